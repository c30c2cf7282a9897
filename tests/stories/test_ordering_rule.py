"""The ordering rule, sentence by sentence (docs/architecture.md, "One state change")."""

import json
from itertools import pairwise

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, LOCKING, UNLOCKED, SimulatedLock
from tests.stories.conftest import LOCK_ID
from tests.stories.world import BRIDGE_HOST, START, Process, World, default_config

LINK = f"{BRIDGE_HOST}:8080"
SNAPSHOT = "nuki2mqtt/front_door"


def started(world: World, extra: str = "") -> Process:
    process = world.start_gateway(default_config(LINK, extra=extra))
    world.run(5)
    return process


def forge(world: World, **said: object) -> None:
    """A callback that the Bridge did not send, by somebody who knows the path."""
    url = world.bridges[LINK].callbacks.slots[0]
    assert url is not None
    body = {"deviceType": 4, "nukiId": LOCK_ID, "mode": 2, "state": 1, "batteryCritical": False} | said
    world.knock(url, json.dumps(body).encode())


def reads(bridge: SimulatedBridge) -> int:
    return len([request for request in bridge.requests if request.path == "/lockState"])


def lists(bridge: SimulatedBridge, since: float) -> list[float]:
    return [request.at - since for request in bridge.requests if request.path == "/list" and request.at >= since]


def health(world: World) -> dict[str, object]:
    bridges = world.retained("nuki2mqtt/gateway/health")["bridges"]
    assert isinstance(bridges[0], dict)
    return bridges[0]


def test_a_list_45_minutes_behind_a_callback_changes_nothing_and_one_read_confirms(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    world.run(45 * 60)
    since = world.now
    with bridge.faults.frozen_cache(LOCK_ID):
        lock.set_door(3)
        world.run(3600)
    doors = [json.loads(text)["door"] for text in world.said(SNAPSHOT, since)]
    assert set(doors) == {"open"}
    assert [event["event_type"] for event in world.events("front_door", since)] == ["door_opened"]
    assert reads(bridge) == 1
    assert health(world)["unconfirmed_hints"] == 0


def test_with_the_budget_spent_the_callback_stands_and_is_counted(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world, "poll: {forced_per_day: 0}\n")
    with bridge.faults.frozen_cache(LOCK_ID):
        lock.turn(UNLOCKED)
        world.run(600)
        assert world.retained(SNAPSHOT)["state"] == "unlocked"
        assert world.retained(SNAPSHOT)["stale"] is False
    assert reads(bridge) == 0
    assert health(world)["unconfirmed_hints"] == 1


def test_a_forged_callback_is_corrected_by_one_read_within_seconds(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    world.run(600)
    forge(world, state=3, doorsensorState=3)
    world.run(0.1)
    assert world.retained(SNAPSHOT)["state"] == "unlocked"
    world.run(6)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert world.retained(SNAPSHOT)["door"] == "closed"
    assert reads(bridge) == 1


def test_a_flood_of_forged_callbacks_neither_hurries_the_bridge_nor_delays_the_list(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    world.run(120)
    since = world.now
    for index in range(300):
        forge(world, state=3 if index % 2 else 1)
        world.run(0.2)
    times = lists(bridge, since)
    assert times[0] <= 2.1
    assert all(later - earlier >= 2.0 - 1e-6 for earlier, later in pairwise(times))
    assert reads(bridge) <= 2
    world.run(120)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert lock.wakeups <= 4


def test_forged_callbacks_all_day_spend_no_more_reads_than_the_budget(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    for index in range(24 * 60):
        forge(world, state=3 if index % 2 else 1)
        world.run(60)
    assert reads(bridge) == 24
    assert lock.wakeups == 24


def test_a_late_callback_is_corrected(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    started(world)
    world.holds_callbacks_s = 90
    lock.turn(UNLOCKED)
    world.run(40)
    assert world.retained(SNAPSHOT)["state"] == "unlocked"
    world.holds_callbacks_s = 0
    lock.turn(LOCKED)
    world.run(40)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    world.run(20)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert bridge.requests


def test_an_entry_of_the_same_second_as_the_callback_overrides_it(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    lock.turn(UNLOCKED)
    world.run(0.3)
    with bridge.faults.silent_callbacks():
        lock.turn(LOCKED)
    world.run(3)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert reads(bridge) == 0


@pytest.mark.parametrize("skew_s", [-7200.0, -50.0, 50.0, 7200.0])
def test_a_bridge_with_a_wrong_clock_is_ordered_on_ours(world: World, lock: SimulatedLock, skew_s: float) -> None:
    bridge = world.add_bridge(modes={"plain"}, clock_skew_s=skew_s)
    world.start_gateway(f"bridges: [{{host: {BRIDGE_HOST}, token: abcdef, auth: plain}}]\n")
    world.run(5)
    seen = world.retained(SNAPSHOT)["seen"]
    assert seen.startswith(("2026-11-22T12:00", "2026-11-22T11:59:59"))
    for code, word in ((UNLOCKED, "unlocked"), (LOCKED, "locked"), (UNLOCKED, "unlocked")):
        lock.turn(code)
        world.run(100)
        assert world.retained(SNAPSHOT)["state"] == word
    assert reads(bridge) == 0
    assert abs(int(str(health(world)["clock_skew_s"])) - skew_s) <= 1


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_bridge_whose_clock_is_set_recovers(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, step_s: float
) -> None:
    started(world)
    world.run(100)
    bridge.clock_skew_s += 40 if step_s > 0 else -40
    world.run(400)
    with bridge.faults.silent_callbacks():
        lock.turn(UNLOCKED)
        world.run(31)
        assert world.retained(SNAPSHOT)["state"] == "unlocked"
    lock.turn(LOCKED)
    world.run(31)
    assert world.retained(SNAPSHOT)["state"] == "locked"


def test_a_callback_brings_the_next_list_forward_by_one_second(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    world.run(7)
    since = world.now
    lock.turn(UNLOCKED)
    world.run(5)
    assert lists(bridge, since) == [pytest.approx(1.2, abs=0.05)]


def test_a_door_that_the_list_never_names_is_kept_from_callbacks(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    at = "2026-11-22T11:00:00+00:00"
    state = {"mode": 2, "state": 1, "stateName": "locked", "batteryCritical": False, "timestamp": at}
    entry = {"deviceType": 4, "nukiId": LOCK_ID, "name": "Front door", "lastKnownState": state}
    with bridge.faults.garbage("/list", json.dumps([entry]).encode()):
        world.run(40)
        forge(world, state=1, doorsensorState=3)
        world.run(100)
        assert world.retained(SNAPSHOT)["door"] == "open"


def test_a_stuck_transition_is_read_once_after_a_minute(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    with bridge.faults.silent_callbacks():
        bridge.faults.stuck_state(LOCK_ID, LOCKING).begin()
        world.run(32)
        assert world.retained(SNAPSHOT)["state"] == "locking"
        assert reads(bridge) == 0
        world.run(65)
    assert reads(bridge) == 1
    assert world.retained(SNAPSHOT)["state"] == "locked"
    world.run(3600)
    assert lock.wakeups == 1


def test_a_lost_callback_verifies_the_lease_at_once_and_three_poll_faster(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = started(world)
    since = world.now
    with bridge.faults.silent_callbacks():
        lock.turn(UNLOCKED)
        world.run(45)
        slots = [request.at for request in bridge.requests if request.path == "/callback/list" and request.at > since]
        assert len(slots) == 1
        assert health(world)["lost_callbacks"] == 1
        for code in (LOCKED, UNLOCKED):
            lock.turn(code)
            world.run(60)
        assert health(world)["lost_callbacks"] == 3
        count = len(lists(bridge, world.now - 60))
        world.run(60)
        assert len(lists(bridge, world.now - 60)) in {5, 6, 7}
        assert count < 6
    assert any("lost within an hour" in text for text in process.warnings)
    world.run(3700)
    since = world.now
    world.run(600)
    assert len(lists(bridge, since)) == 20


def test_a_change_told_by_callback_in_time_is_not_lost(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    for code in (UNLOCKED, LOCKED) * 5:
        lock.turn(code)
        world.run(60)
    assert health(world)["lost_callbacks"] == 0
    assert lock.turns == 0
    assert bridge.wakeups == 0


def test_seen_is_the_report_s_own_time_and_changed_its_last_difference(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.house.advance(START)
    world.run(3600)
    started(world)
    assert world.retained(SNAPSHOT)["seen"] == "2026-11-22T12:00:00Z"
    world.run(55)
    lock.turn(UNLOCKED)
    world.run(1)
    snapshot = world.retained(SNAPSHOT)
    assert (snapshot["seen"], snapshot["changed"]) == ("2026-11-22T13:01:00Z", "2026-11-22T13:01:00Z")
    assert bridge.requests


def test_seen_alone_is_said_at_most_every_300_s(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    world.run(60)
    since = world.now
    for _ in range(600):
        bridge.catch_up(LOCK_ID)
        world.run(2)
    assert 3 <= len(world.said(SNAPSHOT, since)) <= 5
