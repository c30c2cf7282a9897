"""What `diagnostics` says of the cloud: the standing of each device, each fact with source and age, nothing secret."""

import json
from typing import Any

from nuki2mqtt.gateway.vocabulary import Publish
from tests.gateway.builders import CONFIG, LOCK, OPENER, only
from tests.gateway.cloud_site import CLOUD_CONFIG, TOKEN, CloudSite
from tests.gateway.site import Site

TOPIC = "nuki2mqtt/gateway/response/diagnostics"
CODE = "739164"


def diagnosed(site: Site) -> Any:
    site.request("diagnostics")
    (said,) = [publish for publish in only(site.effects, Publish) if publish.topic == TOPIC]
    assert TOKEN.encode() not in said.payload
    assert CODE.encode() not in said.payload
    return json.loads(said.payload)["data"]["cloud"]


def test_without_a_cloud_there_is_nothing() -> None:
    assert diagnosed(Site.at_work()) is None


def test_a_lock_that_only_the_cloud_has() -> None:
    site = CloudSite.at_work_with(config=CLOUD_CONFIG)
    order = {"op": "create", "name": "Anna", "code": CODE}
    site.receive("nuki2mqtt/front_door/keypad/set", order)
    site.wait(56.8)  # since the poll before

    said = diagnosed(site)
    (device,) = said.pop("devices")
    facts = device.pop("facts")
    read_age_s = device.pop("read_age_s")
    assert said.pop("poll_age_s") == read_age_s
    assert said.pop("requests") > 3
    assert said == {
        "reachable": True,
        "problem": None,
        "poll_s": 60.0,
        "queue": 0,
        "scopes_missing": [],
        "keypad": {"codes": {"active": 1}, "orders_without_end": 0},
    }
    assert device == {
        "id": str(LOCK),
        "standing": "vouched for",
        "server_state": "ok",
        "leads": "web",
        "doubtful": False,
        "forced_syncs": 0,
        "last_forced_sync": None,
    }
    assert {name: (fact["value"], fact["source"]) for name, fact in facts.items()} == {
        "state": (1, "web"),
        "mode": (2, "web"),
        "door": (2, "web"),
        "battery.level": (85, "web"),
        "battery.critical": (False, "web"),
        "battery.charging": (False, "web"),
        "keypad.battery_critical": (False, "web"),
    }
    assert {fact["age_s"] for fact in facts.values()} == {read_age_s}
    assert 0 < read_age_s <= 60


def test_a_lock_of_both_and_an_opener_of_a_bridge() -> None:
    site = CloudSite.at_work_with(config=f"{CONFIG}nuki_web: {{token: {TOKEN}}}\n")
    site.request("sync", "front_door")
    site.wait(60)
    lock, opener = sorted(diagnosed(site)["devices"], key=lambda one: str(one["id"]))

    assert (lock["id"], lock["standing"], lock["leads"], lock["forced_syncs"]) == (str(LOCK), "vouched for", "list", 1)
    assert {name: fact["source"] for name, fact in lock["facts"].items()} == {
        "state": "list",
        "mode": "list",
        "door": "list",
        "battery.level": "web",
        "battery.critical": "list",
        "battery.charging": "web",
        "keypad.battery_critical": "web",
    }
    assert (opener["id"], opener["standing"], opener["leads"]) == (str(OPENER), "not in the account", "list")


def test_a_lock_that_the_cloud_does_not_reach() -> None:
    site = CloudSite.at_work_with()
    with site.cloud.faults.offline(LOCK.value):
        site.wait(70)
        (device,) = diagnosed(site)["devices"]

    assert (device["standing"], device["server_state"]) == ("the cloud does not reach it", "offline")
