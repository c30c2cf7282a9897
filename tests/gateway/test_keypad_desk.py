"""Keypad codes in a whole gateway: what the desk hears, and what it lets go again."""

from nuki2mqtt.model.cloud_device import CloudFacts
from nuki2mqtt.protocol.webhooks import DeviceHook, WebhookFeature
from tests.gateway.cloud_site import CLOUD_CONFIG, CloudSite, wifi

STUDIO = "studio"
MANAGED = CLOUD_CONFIG + "  keypad: {manage: true}\n"
HERE = CloudFacts(server_state_code=0, keypad_paired=True)
AWAY = CloudFacts(server_state_code=4, keypad_paired=True)
CREATE = {"op": "create", "name": "Cleaner", "code": "839275"}


def at_work() -> CloudSite:
    return CloudSite.with_cloud(wifi(1, facts=HERE), config=MANAGED, seconds=10)


def writes(site: CloudSite) -> int:
    return sum(name == "CodeCreate" for _, name in site.web)


# --- what the cloud says of a device, by whatever way ---


def test_a_code_is_not_sent_to_a_lock_that_a_webhook_calls_offline() -> None:
    site = at_work()
    site.hook(DeviceHook(WebhookFeature.DEVICE_STATUS, wifi(1, facts=AWAY)))
    site.receive("nuki2mqtt/studio/keypad/set", CREATE)
    site.wait(20)

    assert writes(site) == 0


def test_a_code_is_not_sent_to_a_lock_that_a_read_calls_offline_and_is_when_it_is_back() -> None:
    site = at_work()
    site.have(wifi(1, facts=AWAY))
    site.hook(DeviceHook(WebhookFeature.DEVICE_STATUS, wifi(3, facts=HERE)))  # which is read once
    site.wait(2)
    site.receive("nuki2mqtt/studio/keypad/set", CREATE)
    site.wait(20)
    assert writes(site) == 0

    site.have(wifi(1, facts=HERE))
    site.wait(60)
    assert writes(site) == 1


def test_a_code_is_sent_to_a_lock_that_is_online() -> None:
    site = at_work()
    site.receive("nuki2mqtt/studio/keypad/set", CREATE)
    site.wait(20)

    assert writes(site) == 1
