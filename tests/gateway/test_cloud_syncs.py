"""`gateway/request/sync`: one forced sync of one device, within the budget, refused with a reason otherwise."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nuki2mqtt.gateway.keypad_wishes import KeypadSyncs
from nuki2mqtt.gateway.sync_budget import SYNC_EVERY_S, SyncBudget
from nuki2mqtt.gateway.vocabulary import Memory, Publish
from nuki2mqtt.protocol.web_api import DeviceRequest, SyncRequest
from nuki2mqtt.simulator.web_routes import SCOPES
from tests.gateway.builders import CONFIG, LOCK, moment, only, wall
from tests.gateway.cloud_site import CLOUD_CONFIG, TOKEN, CloudSite, front_door, simulated_cloud
from tests.gateway.site import Site

NUMBER = 4 << 32 | LOCK.value
UNMANAGED = f"version: 1\nnuki_web: {{token: {TOKEN}}}\n"
TOPIC = "nuki2mqtt/gateway/response/sync"


def answered(site: Site) -> list[dict[str, Any]]:
    return [json.loads(publish.payload) for publish in only(site.effects, Publish) if publish.topic == TOPIC]


def refusal(site: Site, device: str = "front_door") -> str:
    """What a request is refused with, at once."""
    before = len(answered(site))
    site.request("sync", {"device": device})
    (answer,) = answered(site)[before:]
    assert (answer["status"], answer["data"]) == ("error", {})
    return str(answer["error"])


# --- one that is made ---


@pytest.mark.parametrize("config", [CLOUD_CONFIG, UNMANAGED])
@pytest.mark.parametrize("payload", ["front_door", str(LOCK), {"device": "front_door"}])
def test_the_device_is_read_by_the_cloud_and_then_by_us(config: str, payload: Any) -> None:
    site = CloudSite.at_work_with(config=config)
    asked = site.hand.now
    site.request("sync", payload)
    site.wait(60)

    (answer,) = answered(site)
    next_at = wall(asked + SYNC_EVERY_S).replace(microsecond=0) + timedelta(seconds=1)
    assert answer == {
        "status": "ok",
        "data": {
            "id": str(LOCK),
            "renewed": True,
            "forced_syncs": 1,
            "next": next_at.isoformat().replace("+00:00", "Z"),
        },
        "transaction": None,
    }
    assert site.known.forced_syncs == 1
    (sent,) = site.asked_for(SyncRequest)
    assert all(sent < at < sent + 25 for at in site.asked_for(DeviceRequest))


def test_it_is_in_the_state_file_before_it_is_sent() -> None:
    site = CloudSite.at_work_with(config=UNMANAGED)
    site.request("sync", "front_door")
    site.wait(5)
    kept = site.kept_before(SyncRequest)

    assert kept is not None
    assert [spent.count for spent in kept.keypad_syncs.values()] == [1]


def test_it_is_counted_on_the_health_topic() -> None:
    site = CloudSite.at_work_with()
    site.request("sync", "front_door")
    site.wait(61)

    assert json.loads(site.retained()["nuki2mqtt/gateway/health"])["cloud"]["forced_syncs"] == 1


def test_a_sync_that_never_happens_is_answered_without_anything_newer() -> None:
    site = CloudSite.at_work_with()
    with site.cloud.faults.lost_writes():
        site.request("sync", "front_door")
        site.wait(60)

    (answer,) = answered(site)
    assert (answer["status"], answer["data"]["renewed"]) == ("ok", False)
    assert len(site.asked_for(DeviceRequest)) == 4


# --- the budget ---


@pytest.mark.parametrize("config", [CLOUD_CONFIG, UNMANAGED])
def test_the_next_one_is_refused_until_its_time(config: str) -> None:
    site = CloudSite.at_work_with(config=config)
    site.request("sync", "front_door")
    site.wait(60)
    text = answered(site)[0]["data"]["next"]

    assert f"the next one from {text} on" in refusal(site)
    site.wait(SYNC_EVERY_S - 62)
    assert f"the next one from {text} on" in refusal(site)
    site.wait(3)
    site.request("sync", "front_door")
    site.wait(60)

    assert answered(site)[-1]["data"]["forced_syncs"] == 2
    assert site.known.forced_syncs == 2


def test_two_at_once_are_one() -> None:
    site = CloudSite.at_work_with()
    site.request("sync", {"device": "front_door", "transaction": 1})
    site.request("sync", {"device": "front_door", "transaction": 2})
    site.wait(60)

    assert [(one["transaction"], one["status"]) for one in answered(site)] == [(2, "error"), (1, "ok")]
    assert answered(site)[0]["error"] == f"busy: a sync of {LOCK} is under way"
    assert site.known.forced_syncs == 1


def test_a_restart_gives_nothing_back() -> None:
    spent = Memory(keypad_syncs={str(NUMBER): KeypadSyncs(7, wall(-3600))})
    site = CloudSite.at_work_with(config=UNMANAGED, memory=spent)

    assert "the next one from 2026-11-22T17:00:00Z on" in refusal(site)
    assert site.asked_for(SyncRequest) == []


def test_one_for_a_keypad_code_counts() -> None:
    site = CloudSite.at_work_with()
    with site.cloud.faults.lost_writes():
        order = {"op": "create", "name": "Anna", "code": "839275"}
        site.receive("nuki2mqtt/front_door/keypad/set", order)
        site.wait(3600)

    assert len(site.asked_for(SyncRequest)) == 1
    assert f"the budget of {LOCK} is spent" in refusal(site)


def test_one_for_a_person_counts_for_keypad_codes() -> None:
    site = CloudSite.at_work_with()
    site.request("sync", "front_door")
    site.wait(60)
    with site.cloud.faults.lost_writes():
        order = {"op": "create", "name": "Anna", "code": "839275"}
        site.receive("nuki2mqtt/front_door/keypad/set", order)
        site.wait(3600)

    assert len(site.asked_for(SyncRequest)) == 1


def test_what_the_cloud_has_not_taken_costs_nothing() -> None:
    site = CloudSite.at_work_with(config=UNMANAGED)
    with site.cloud.faults.throttle(seconds=5.0):
        site.request("sync", "front_door")
        site.wait(20)
    site.wait(200)
    (answer,) = answered(site)
    site.request("sync", "front_door")
    site.wait(60)

    assert answer["status"] == "error"
    assert answer["error"].startswith("Nuki Web has not taken it (")
    assert answered(site)[1]["data"]["forced_syncs"] == 1
    assert site.memory.keypad_syncs[str(NUMBER)].count == 1


def test_what_may_have_happened_counts() -> None:
    site = CloudSite.at_work_with(config=UNMANAGED)
    with site.cloud.faults.reset_connections(acts=True):
        site.request("sync", "front_door")
        site.wait(2)
    (answer,) = answered(site)

    assert answer["error"].startswith("Nuki Web gave no answer (")
    assert site.memory.keypad_syncs[str(NUMBER)].count == 1
    assert "is spent" in refusal(site)


# --- refused ---


def test_without_a_token_it_says_so() -> None:
    site = Site.at_work(CONFIG)

    assert refusal(site) == "nuki_web.token is not set: a forced sync is made by Nuki's cloud, never by a Bridge"


def test_an_unknown_device() -> None:
    site = CloudSite.at_work_with()

    assert refusal(site, "back_door") == '"device" must be the topic or the ID of a known device'


def test_a_device_that_only_a_bridge_has() -> None:
    cloud = simulated_cloud(front_door(nuki_id=0x3C4D5E6F, name="Shed"))
    site = CloudSite.at_work_with(cloud, f"{CONFIG}nuki_web: {{token: {TOKEN}}}\n")

    assert refusal(site) == f"unknown device: {LOCK} is not in the account of nuki_web.token, only a Bridge has it"
    assert site.asked_for(SyncRequest) == []


def test_a_device_that_is_offline() -> None:
    site = CloudSite.at_work_with()
    with site.cloud.faults.offline(LOCK.value):
        site.wait(70)
        assert refusal(site) == f"device {LOCK} is offline: Nuki Web does not reach it"
    assert site.asked_for(SyncRequest) == []


def test_a_token_without_the_scope() -> None:
    site = CloudSite.at_work_with(config=UNMANAGED)
    site.cloud.tokens[TOKEN] = frozenset(SCOPES) - {SyncRequest.scope}
    site.request("sync", "front_door")
    site.wait(5)
    (answer,) = answered(site)

    assert "HTTP 401" in answer["error"]
    assert "it needs the scope smartlock.action" in refusal(site)
    assert site.memory.keypad_syncs == {}


def test_while_the_gateway_starts_it_is_refused() -> None:
    site = CloudSite.at_work_with()
    site.reconnect()

    assert refusal(site) == "starting: try again in a few seconds"


# --- the budget alone ---


@pytest.mark.parametrize(
    ("spent_ago_s", "now_s", "wait_s"),
    [
        (None, 0.0, 0.0),
        (SYNC_EVERY_S, 0.0, 0.0),
        (SYNC_EVERY_S - 1, 0.0, 1.0),
        (0.0, 0.0, SYNC_EVERY_S),
        (-60.0, 0.0, SYNC_EVERY_S),  # the clock was set back: six hours of this process
        (-86_400.0, SYNC_EVERY_S - 5, 5.0),
        (-86_400.0, SYNC_EVERY_S, 0.0),
    ],
)
def test_the_wait_after_a_restart(spent_ago_s: float | None, now_s: float, wait_s: float) -> None:
    spent = {} if spent_ago_s is None else {"7": KeypadSyncs(1, wall(now_s - spent_ago_s))}
    budget = SyncBudget(spent, moment(0).monotonic)

    assert budget.wait_s(7, moment(now_s)) == wait_s


def test_a_wall_clock_that_is_set_forward_gives_nothing() -> None:
    budget = SyncBudget({}, moment(0).monotonic)
    budget.spend(7, moment(0))
    later = replace(moment(60), wall=wall(86_400))

    assert budget.wait_s(7, later) == SYNC_EVERY_S - 60


def test_what_is_given_back_is_what_was_before() -> None:
    before = {"7": KeypadSyncs(2, wall(-SYNC_EVERY_S)), "8": KeypadSyncs(1, wall(0))}
    budget = SyncBudget(before, moment(0).monotonic)
    budget.spend(7, moment(1))
    assert budget.spent["7"] == KeypadSyncs(3, wall(1))
    budget.refund(7)

    assert budget.spent == before
    assert budget.wait_s(7, moment(2)) == 0.0
