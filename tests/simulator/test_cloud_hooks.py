"""Webhooks of the cloud: what is posted, in which shape, signed how."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from nuki2mqtt.simulator.web import Conduct
from nuki2mqtt.simulator.web_hooks import FEATURES, OwedPost, signed
from tests.simulator.cloud_site import CloudSite, make_site
from tests.simulator.conftest import Recorded
from tests.simulator.openapi import complaints_of_value
from tests.simulator.test_cloud_devices import shape

URL = "https://hook.example.org/nuki"


@pytest.fixture
def site() -> CloudSite:
    site = make_site()
    site.cloud.hooks.add(URL, frozenset(FEATURES), "sesame")
    return site


def posts(site: CloudSite) -> list[dict[str, Any]]:
    return [json.loads(post.body) for post in site.cloud.take_posts()]


def post_of(site: CloudSite, feature: str) -> dict[str, Any]:
    [one] = [body for body in posts(site) if body.get("feature") == feature]
    return one


def test_the_signature_is_the_documented_recipe(site: CloudSite) -> None:
    site.door.turn(3)
    site.wait(1)
    [post] = site.cloud.take_posts()
    assert isinstance(post, OwedPost)
    assert (post.url, post.due_at) == (URL, site.house.now + 0.5)
    assert post.headers["Content-Type"] == "application/json; charset=UTF-8"
    expected = hmac.new(b"sesame", post.body, hashlib.sha256).hexdigest()
    assert post.headers["X-Nuki-Signature-SHA256"] == expected
    assert len(post.headers["X-Nuki-Signature"]) == 40
    assert signed(post.body + b" ", "sesame") != post.headers
    assert site.cloud.take_posts() == []


def test_a_signature_by_value() -> None:
    """RFC 4231, test case 2."""
    headers = signed(b"what do ya want for nothing?", "Jefe")
    assert headers["X-Nuki-Signature-SHA256"] == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_headers_are_those_of_a_recorded_delivery(recorded: Recorded) -> None:
    [delivery] = json.loads(recorded("webhook/03-webhook-log-entry.json"))
    real, ours = delivery["response"]["headers"], signed(b"{}", "sesame")
    assert real.keys() == ours.keys()
    assert real["Content-Type"] == ours["Content-Type"]
    assert [len(real[name]) for name in sorted(real)] == [len(ours[name]) for name in sorted(ours)]


def test_a_status(site: CloudSite, recorded: Recorded) -> None:
    real = json.loads(recorded("webhook/01-device-status.json"))
    site.door.turn(3)
    site.wait(1)
    ours = post_of(site, "DEVICE_STATUS")
    assert (shape(ours), list(ours)) == (shape(real), list(real))
    assert (ours["smartlockId"], ours["state"]["state"], ours["serverState"]) == (site.front.smartlock_id, 3, 0)
    assert complaints_of_value(ours["state"], "Smartlock.State") == []


def test_offline_and_back(site: CloudSite) -> None:
    with site.cloud.faults.offline(site.door.nuki_id):
        assert post_of(site, "DEVICE_STATUS")["serverState"] == 4
    assert post_of(site, "DEVICE_STATUS")["serverState"] == 0


def test_master_data(site: CloudSite, recorded: Recorded) -> None:
    real = json.loads(recorded("webhook/02-device-masterdata.json"))
    site.done("POST", site.path, {"name": "Hallway"})
    ours = post_of(site, "DEVICE_MASTERDATA")
    assert (shape(ours), list(ours)) == (shape(real), list(real))
    assert ours["name"] == "Hallway"


def test_a_sync_tells_master_data_and_settings(site: CloudSite) -> None:
    site.done("POST", f"{site.path}/sync")
    site.wait(6)
    assert [body["feature"] for body in posts(site)] == ["DEVICE_MASTERDATA", "DEVICE_CONFIG"]


def test_an_entry_of_the_log_when_it_shows(site: CloudSite) -> None:
    with site.cloud.faults.nameless_log():
        site.done("POST", f"{site.path}/action", {"action": 1})
        site.wait(5)
    site.cloud.take_posts()
    site.wait(60)
    ours = post_of(site, "DEVICE_LOGS")
    assert list(ours) == ["feature", "smartlockLog"]
    assert complaints_of_value(ours["smartlockLog"], "SmartlockLog") == []
    assert (ours["smartlockLog"]["name"], site.get(f"{site.path}/log")[0]["name"]) == ("Nuki Web", "")


def test_authorizations(site: CloudSite, recorded: Recorded) -> None:
    real = json.loads(recorded("webhook/04-device-auths-keypad-code.json"))
    one = site.make_code("Guest", 345678)
    made = post_of(site, "DEVICE_AUTHS")
    assert list(made) == list(real)
    assert made["smartlockAuth"].keys() >= real["smartlockAuth"].keys()
    assert complaints_of_value(made["smartlockAuth"], "SmartlockAuth") == []
    assert made["deleted"] is False
    site.done("POST", f"{site.path}/auth/{one.id}", {"name": "New"})
    site.wait(4)
    assert post_of(site, "DEVICE_AUTHS")["smartlockAuth"]["name"] == "New"
    site.done("DELETE", f"{site.path}/auth/{one.id}")
    site.wait(4)
    gone = post_of(site, "DEVICE_AUTHS")
    assert (gone["deleted"], gone["smartlockAuth"]["id"]) == (True, one.id)


def test_the_end_of_an_advanced_call(site: CloudSite, recorded: Recorded) -> None:
    real = json.loads(recorded("webhook/05-api-triggered-unlock-success.json"))
    answer = site.ask("POST", f"{site.path}/action/unlock/advanced")
    site.wait(1)
    [ours] = posts(site)
    assert (shape(ours), list(ours)) == (shape(real), list(real))
    assert (ours["type"], ours["requestId"]) == (real["type"], json.loads(answer.body)["requestId"])


def test_a_failed_advanced_call(site: CloudSite, recorded: Recorded) -> None:
    real = json.loads(recorded("webhook/06-api-triggered-auth-failure.json"))
    site.cloud.hooks.triggered("AuthCreation", "0" * 24, site.front, error_code="ff")
    [ours] = posts(site)
    assert shape(ours) == shape(real)


def test_only_what_was_asked_for(site: CloudSite) -> None:
    site.cloud.hooks.add("https://other.example.org/", frozenset({"DEVICE_AUTHS"}))
    site.door.turn(3)
    site.wait(1)
    assert [post.url for post in site.cloud.take_posts()] == [URL]
    site.make_code("Guest", 345678)
    assert {post.url for post in site.cloud.take_posts()} == {URL, "https://other.example.org/"}


def test_faults(site: CloudSite) -> None:
    with site.cloud.faults.silent_webhooks():
        site.door.turn(3)
        site.wait(1)
    assert posts(site) == []
    with site.cloud.faults.repeated_webhooks():
        site.door.turn(1)
        site.wait(1)
    first, second = site.cloud.take_posts(site.house.now)
    assert first == second


def test_registered_by_a_client(site: CloudSite) -> None:
    body = {"webhookUrl": "https://gateway.example.org/hook", "webhookFeatures": ["DEVICE_LOGS", "DEVICE_STATUS"]}
    made = json.loads(site.ask("PUT", "/api/decentralWebhook", body).body)
    assert made == body | {"id": 2, "webhookFeatures": ["DEVICE_STATUS", "DEVICE_LOGS"], "secret": made["secret"]}
    assert len(made["secret"]) == 40
    listed = site.get("/api/decentralWebhook")
    assert [one["id"] for one in listed] == [1, 2]
    assert not any("secret" in one for one in listed)
    site.done("DELETE", "/api/decentralWebhook/2")
    assert site.refused("DELETE", "/api/decentralWebhook/2")[0] == 403
    assert "sesame" not in repr(site.cloud.hooks.hooks)


@pytest.mark.parametrize("url", ["http://192.0.2.1/hook", "ftp://example.org", None])
def test_only_with_tls(site: CloudSite, url: str | None) -> None:
    body = {"webhookUrl": url, "webhookFeatures": ["DEVICE_LOGS"]}
    assert site.refused("PUT", "/api/decentralWebhook", body)[0] == 400
    assert site.refused("PUT", "/api/decentralWebhook", {"webhookUrl": URL, "webhookFeatures": ["X"]})[0] == 400


def test_other_conduct() -> None:
    site = make_site(Conduct(allows_plain_webhooks=True, shows_webhook_secret=True))
    body = {"webhookUrl": "http://127.0.0.1/hook", "webhookFeatures": ["DEVICE_LOGS"]}
    assert site.ask("PUT", "/api/decentralWebhook", body).status == 200
    assert "secret" in site.get("/api/decentralWebhook")[0]
