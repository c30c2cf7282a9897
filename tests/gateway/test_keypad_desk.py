"""Keypad codes in a whole gateway: what the desk hears, and what it lets go again."""

from nuki2mqtt.model.cloud_device import CloudFacts
from nuki2mqtt.protocol.webhooks import DeviceHook, WebhookFeature
from tests.gateway.scripted_cloud import CLOUD_CONFIG, CloudSite, wifi

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


# --- devices that go and come back ---


def surveys(site: CloudSite) -> int:
    return sum(name == "AuthorizationList" for _, name in site.web)


def test_the_codes_of_a_removed_device_are_said_again_when_it_is_back() -> None:
    site = at_work()
    assert site.published("keypad", STUDIO) == [b"[]"]
    site.have()
    site.wait(100)
    site.request("device_remove", {"device": STUDIO})
    site.wait(1)
    assert site.published("keypad", STUDIO) == [b"[]", b""]
    site.have(wifi(1, facts=HERE))
    site.wait(65)

    assert site.published("keypad", STUDIO) == [b"[]", b"", b"[]"]


def test_removing_a_device_clears_the_codes_that_a_former_process_said() -> None:
    former = at_work()
    site = CloudSite.with_cloud(memory=former.memory, started=20, seconds=10)
    assert site.published("keypad", STUDIO) == []
    site.request("device_remove", {"device": STUDIO})
    site.wait(1)

    assert site.published("keypad", STUDIO) == [b""]


def test_the_codes_of_a_device_that_has_left_the_account_are_not_asked_for() -> None:
    site = at_work()
    site.have(wifi(1, facts=HERE, name="Studio"))
    before = surveys(site)
    site.wait(86_400)
    assert surveys(site) - before == 4
    site.have()
    site.wait(100)
    before = surveys(site)
    site.wait(86_400)

    assert surveys(site) == before


def test_a_device_that_comes_back_to_the_account_is_surveyed_at_once() -> None:
    site = at_work()
    site.have()
    site.wait(86_400)
    before = surveys(site)
    site.have(wifi(1, facts=HERE))
    site.wait(70)

    assert surveys(site) == before + 1


# --- the end ---


def test_nothing_new_is_asked_while_the_gateway_stops() -> None:
    site = at_work()
    site.receive("nuki2mqtt/studio/keypad/set", CREATE)
    before = len(site.web)
    site.has_broker = False
    site.stop()
    site.web_side.link.ask_list_now(site.hand.moment)
    site.take(site.hand.gateway.handle_timer(site.hand.moment))
    site.wait(3.9)

    assert site.web[before:] == []
    assert site.web_side.link.next_deadline() is None
