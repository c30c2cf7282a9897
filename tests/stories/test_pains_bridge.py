"""A busy Bridge, a slow one, one with a wrong clock or another address (docs/pains.md)."""

from collections import Counter
from itertools import pairwise

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.world import BRIDGE_HOST, DONE, TOKEN, Disk, World

HOUR_S = 3600.0
GAP_S = 0.5
SNAPSHOT = "nuki2mqtt/front_door"
AVAILABILITY = "nuki2mqtt/front_door/availability"
NEW_HOST = "192.0.2.99"


def paths(bridge: SimulatedBridge, since: float) -> Counter[str]:
    return Counter(request.path for request in bridge.requests if request.at >= since)


# --- Busy -----------------------------------------------------------------------------------------------------------


def test_hours_full_of_life_and_the_bridge_is_never_asked_while_it_works(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    """Polls, commands, `get`, refreshes, callbacks: no request meets another, and the Bridge rests after each."""
    world.start_ready()
    for number in range(20):
        world.command("front_door", {"action": "lock" if number % 2 else "unlock", "ts": world.ts()})
        world.publish("nuki2mqtt/intercom/get", "{}")
        world.request("refresh")
        world.run(1)
        opener.ring()
        world.request("callbacks")
        world.publish("nuki2mqtt/front_door/get", '{"force":true}')
        world.command("intercom", {"action": "open", "ts": world.ts()})
        world.run(119)
    assert {request.status for request in bridge.requests} == {200}
    assert all(later.at - earlier.at >= GAP_S for earlier, later in pairwise(bridge.requests))
    assert world.retained("nuki2mqtt/gateway/health")["bridges"][0]["busy_answers"] == 0
    assert (lock.turns, opener.turns) == (20, 20)
    assert set(world.said(AVAILABILITY)) <= {"offline", "online"}
    assert world.said(AVAILABILITY).count("online") == 1


def test_a_start_asks_one_thing_after_the_other_and_then_only_the_list(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """The first minute, in which others have made a Bridge reboot."""
    world.start_gateway()
    world.run(60)
    assert paths(bridge, 0.0) == {"/info": 1, "/list": 2, "/callback/list": 2, "/callback/add": 1}
    assert all(later.at - earlier.at >= GAP_S for earlier, later in pairwise(bridge.requests))
    assert world.retained(AVAILABILITY) == "online"
    assert lock.wakeups == 0


def test_a_bridge_that_is_busy_when_asked_for_its_callbacks_does_not_keep_us_from_starting(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    with bridge.faults.busy("/callback/list"):
        process = world.start_ready()
        world.run(120)
        assert process.is_alive
        assert world.retained("nuki2mqtt/gateway/state") == "online"
        assert world.retained(AVAILABILITY) == "online"
        assert bridge.callbacks.slots == [None, None, None]
        lock.turn(UNLOCKED)
        world.run(65)
        assert world.retained(SNAPSHOT)["lock"] == "UNLOCKED"
        assert paths(bridge, 0.0)["/callback/list"] <= 12, "asked ever more seldom"
    world.run(125)
    assert bridge.callbacks.slots[0] is not None
    assert world.retained("nuki2mqtt/gateway/health")["bridges"][0]["callback"] == "held"


def test_two_minutes_of_503_are_busy_and_not_offline_and_a_command_in_it_ends_with_a_reason(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    since = world.now
    with bridge.faults.busy():
        world.command("front_door", {"action": "unlatch", "transaction": "opens"})
        world.run(120)
        assert paths(bridge, since)["/list"] <= 9, "reads back off"
    world.run(240)
    assert set(world.said(AVAILABILITY, since)) <= {"online"}
    assert world.retained("nuki2mqtt/gateway/health")["bridges"][0]["busy_answers"] >= 1
    end = world.end("front_door", "opens")
    assert (end["status"], end["reason"]) == ("unconfirmed", "busy"), "even the look at it was answered 503"
    assert len(world.actions(bridge)) == 1
    assert (lock.turns, lock.unlatches) == (0, 0)


def test_one_timeout_loses_no_lock(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    since = world.now
    with bridge.faults.silent():
        world.run(31)
        silent = [request for request in bridge.requests if request.ending == "silent"]
        assert len(silent) == 1, "the story needs one that got no answer"
    lock.turn(UNLOCKED)
    world.run(90)
    assert set(world.said(AVAILABILITY, since)) <= {"online"}
    assert world.retained(SNAPSHOT)["lock"] == "UNLOCKED"


# --- Stale ------------------------------------------------------------------------------------------------------------


def test_a_jam_is_told_once_from_the_list_and_wakes_the_lock_for_nothing(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """A Bridge does not call back about a blocked motor; somebody frees it an hour later."""
    world.start_ready()
    lock.turn(254)
    world.run(31)
    snapshot = world.retained(SNAPSHOT)
    assert (snapshot["lock"], snapshot["state"], snapshot["state_code"]) == ("JAMMED", "motor_blocked", 254)
    world.run(HOUR_S)
    assert [event["event_type"] for event in world.events("front_door")] == ["state_changed", "jammed"]
    assert world.retained(AVAILABILITY) == "online"
    assert lock.wakeups == bridge.wakeups == 0, "an unusual state is no reason to spend battery"
    lock.turn(LOCKED)
    world.run(31)
    assert world.retained(SNAPSHOT)["lock"] == "LOCKED"


# --- Tokens and clocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["plain", "hashed", "encrypted"])
def test_the_token_mode_of_the_settings_is_the_one_that_is_used(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, mode: str
) -> None:
    world.start_ready(bridge=f"auth: {mode}")
    world.command("front_door", "unlock")
    world.run(60)
    assert {request.mode for request in bridge.requests} == {mode}
    assert world.retained("nuki2mqtt/gateway/health")["bridges"][0]["auth"] == mode
    assert world.life("front_door") == DONE
    assert lock.turns == 1


@pytest.mark.parametrize("mode", ["hashed", "encrypted"])
def test_a_mode_of_the_settings_is_not_left_when_the_bridge_refuses_it(
    world: World, lock: SimulatedLock, mode: str
) -> None:
    bridge = world.add_bridge(modes={"plain"})
    world.start_ready(bridge=f"auth: {mode}, allow_plain: true")
    world.run(HOUR_S)
    assert {request.mode for request in bridge.requests} == {mode}
    assert world.retained("nuki2mqtt/gateway/state") == "online"
    assert "401" in world.retained("nuki2mqtt/gateway/health")["bridges"][0]["problem"]
    assert lock.turns == 0


@pytest.mark.parametrize("skew_s", [90.0, -90.0, 5 * HOUR_S])
def test_a_bridge_whose_clock_is_wrong_refuses_the_token_and_the_clocks_are_named(
    world: World, lock: SimulatedLock, skew_s: float
) -> None:
    """It refuses `/info` too, so that how far it is off cannot be asked; both clocks are what to compare."""
    bridge = world.add_bridge(clock_skew_s=skew_s)
    process = world.start_ready()
    world.run(600)
    problem = world.retained("nuki2mqtt/gateway/health")["bridges"][0]["problem"]
    assert "401" in problem
    assert "clock" in problem
    assert "2026-11-22T12:0" in problem, "our own time, to compare"
    assert len([text for text in process.warnings if "401" in text]) == 1
    assert {request.mode for request in bridge.requests} == {"encrypted", "hashed"}, "never in clear by itself"
    assert world.retained(AVAILABILITY) != "online"
    assert lock.turns == 0


def test_where_plain_is_allowed_a_bridge_with_a_wrong_clock_works_and_its_skew_is_told(
    world: World, lock: SimulatedLock
) -> None:
    bridge = world.add_bridge(clock_skew_s=90.0)
    world.start_ready(bridge="allow_plain: true")
    world.run(600)
    health = world.retained("nuki2mqtt/gateway/health")["bridges"][0]
    assert health["auth"] == "plain"
    assert health["clock_skew_s"] == pytest.approx(90, abs=2)
    assert world.retained(AVAILABILITY) == "online"
    assert {request.mode for request in bridge.requests if request.status == 200} == {"plain"}
    assert lock.wakeups == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, ("401", "clock", "pair")), (403, ("HTTP API", "Nuki app")), (503, ("busy",)), (500, ("Nuki Bridge",))],
)
def test_each_way_of_being_refused_has_words_of_its_own(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, status: int, words: tuple[str, ...]
) -> None:
    with bridge.faults.garbage("/info", b"HTTP", status):
        process = world.start_ready()
        world.run(300)
        problem = world.retained("nuki2mqtt/gateway/health")["bridges"][0]["problem"]
    assert all(word in problem for word in words)
    assert ("clock" in problem) is (status == 401)
    assert TOKEN not in "".join(log.text for log in process.logs)
    world.run(130)
    assert world.retained(AVAILABILITY) == "online", "and none of them is the end"
    assert lock.turns == 0


# --- Addresses --------------------------------------------------------------------------------------------------------


def test_without_the_internet_the_first_state_is_there_in_5_s_and_everything_works(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """The Bridge has no way to its maker's server; we have none to ask and miss nothing."""
    bridge.server_connected = False
    process = world.start_ready()
    assert world.retained(SNAPSHOT)["lock"] == "LOCKED"
    assert world.retained(AVAILABILITY) == "online"
    world.command("front_door", "unlock")
    world.run(2)
    lock.set_door(3)
    world.run(10)
    assert world.life("front_door") == DONE
    assert "door_opened" in {event["event_type"] for event in world.events("front_door")}
    assert world.retained("nuki2mqtt/bridge/0A1B2C3D")["cloud_connected"] is False
    assert {call.link for call in process.calls} == {f"{BRIDGE_HOST}:8080"}


def test_a_bridge_at_a_new_address_keeps_its_devices_here_and_in_home_assistant(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """The router gave it another one, and the settings follow."""
    disk = Disk("1234abcd")
    world.start_ready(disk=disk).stop()
    world.run(8)
    topics, announced = set(world.broker.retained), dict(world.broker.retained)
    world.bridges = {f"{NEW_HOST}:8080": bridge}
    process = world.start_ready(disk=disk)
    world.run(60)
    assert set(world.broker.retained) == topics, "nothing new, nothing lost"
    for topic in topics:
        if topic.startswith("homeassistant/"):
            assert world.broker.retained[topic] == announced[topic]
    assert world.retained(AVAILABILITY) == "online"
    assert world.retained("nuki2mqtt/bridge/0A1B2C3D")["address"] == f"{NEW_HOST}:8080"
    assert {call.link for call in process.calls} == {f"{NEW_HOST}:8080"}
    assert [slot is not None for slot in bridge.callbacks.slots] == [True, False, False]
    assert lock.turns == 0
