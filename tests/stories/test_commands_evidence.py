"""What is said of a command was seen (docs/topics.md, "Commands": Confirmed; `derived` of the snapshot)."""

import json
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener, Timing
from tests.stories.world import DONE, World

SNAPSHOT = "nuki2mqtt/front_door"


def snapshots(world: World, since: float = 0.0, topic: str = SNAPSHOT) -> list[dict[str, Any]]:
    return [json.loads(text) for text in world.said(topic, since)]


def shown(world: World, since: float = 0.0, topic: str = SNAPSHOT) -> list[tuple[str, bool]]:
    """Which states were shown, and whether they were derived; the same in a row once."""
    found: list[tuple[str, bool]] = []
    for snapshot in snapshots(world, since, topic):
        state = (snapshot["state"], snapshot["derived"])
        if found[-1:] != [state]:
            found.append(state)
    return found


def changes(world: World, device: str = "front_door") -> list[tuple[str, str]]:
    events = world.events(device)
    return [(event["from"], event["to"]) for event in events if event["event_type"] == "state_changed"]


# --- The three kinds of evidence --------------------------------------------------------------------------------------


def test_evidence_transition_seen_after_sending(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(motor_s=8.0))
    world.start_ready()
    with bridge.faults.silent_callbacks():
        world.command("front_door", "unlock")
        world.run(60)
    end = world.end("front_door")
    assert (end["status"], end["reason"], end["evidence"]) == ("confirmed", None, "transition")
    assert world.life("front_door") == DONE
    assert lock.wakeups == 0
    assert len(world.actions(bridge)) == lock.turns == 1
    assert not world.failures("front_door")


def test_evidence_target_reached_from_another_state(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(motor_s=0.2))
    world.start_ready()
    world.command("front_door", "unlock")
    world.run(60)
    end = world.end("front_door")
    assert (end["status"], end["evidence"], end["state"]) == ("confirmed", "target", "unlocked")
    assert world.life("front_door") == DONE
    assert lock.wakeups == 0
    assert len(world.actions(bridge)) == lock.turns == 1


def test_evidence_answer_and_a_later_callback_that_agrees(world: World, lock: SimulatedLock) -> None:
    """The door is unlocked in the daytime; nothing of the unlatching is seen but its end."""
    bridge = world.add_bridge()
    lock.turn(UNLOCKED)
    world.start_ready()
    with bridge.faults.frozen_cache(lock.nuki_id):
        world.command("front_door", "unlatch")
        world.run(60)
    end = world.end("front_door")
    assert (end["status"], end["evidence"]) == ("confirmed", "answer")
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_evidence_answer_and_a_later_entry_of_the_list_that_agrees(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    world.start_ready()
    with bridge.faults.silent_callbacks():
        world.command("intercom", "deactivate_rto")
        world.run(40)
    end = world.end("intercom")
    assert (end["status"], end["evidence"]) == ("confirmed", "answer")
    assert opener.wakeups == 0
    assert len(world.actions(bridge)) == opener.turns == 1


def test_evidence_answer_an_entry_from_before_the_answer_proves_nothing(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """It is locked already, and nothing moves: only the read at the deadline says that it is so now."""
    world.start_ready()
    with bridge.faults.lost_orders(lock.nuki_id):
        world.command("front_door", "lock")
        world.run(40)
        assert world.life("front_door") == [("accepted", None)]
        world.run(60)
    end = world.end("front_door")
    assert (end["status"], end["evidence"]) == ("confirmed", "answer")
    assert len(world.reads()) == 1
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


def test_confirmed_by_the_late_read(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    with bridge.faults.silent_callbacks(), bridge.faults.frozen_cache(lock.nuki_id):
        world.command("front_door", "unlock")
        world.run(40)
        assert world.life("front_door") == [("accepted", None)]
        assert not world.reads()
        world.run(60)
    end = world.end("front_door")
    assert (end["status"], end["evidence"], end["state"]) == ("confirmed", "target", "unlocked")
    assert 45 <= end["duration_s"] < 60
    assert len(world.reads()) == lock.wakeups == 1
    assert len(world.actions(bridge)) == lock.turns == 1
    assert world.retained(SNAPSHOT)["state"] == "unlocked"


def test_confirmed_the_time_for_it_runs_from_the_answer(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(motor_s=20.0))
    world.start_ready("commands: {wait: true, confirm_s: 5}\n")
    with bridge.faults.frozen_cache(lock.nuki_id):
        world.command("front_door", "unlock")
        world.run(19)
        assert world.life("front_door") == [("accepted", None)]
        assert not world.reads()
        world.run(60)
    assert world.end("front_door")["status"] == "confirmed"
    assert world.end("front_door")["duration_s"] > 20
    assert len(world.actions(bridge)) == lock.turns == 1


def test_unconfirmed_success_is_said_and_nothing_moves(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with bridge.faults.lost_orders(lock.nuki_id):
        world.command("front_door", "unlatch")
        world.run(120)
    end = world.end("front_door")
    assert (end["status"], end["evidence"], end["state"]) == ("unconfirmed", None, "locked")
    assert len(world.reads()) == 1
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0
    assert not changes(world)


def test_unconfirmed_already_there_and_no_answer(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    with bridge.faults.reset_connections("/lockAction"):
        world.command("front_door", "unlock")
        world.run(120)
    end = world.end("front_door")
    assert (end["status"], end["evidence"], end["may_have_acted"]) == ("unconfirmed", None, True)
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


# --- Unlatching, striking, lock'n'go ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [LOCKED, UNLOCKED])
def test_confirmed_an_unlatch_by_night_and_by_day(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, state: int
) -> None:
    lock.state = state
    bridge.catch_up()
    world.start_ready()
    world.command("front_door", "unlatch")
    world.run(60)
    assert world.life("front_door") == DONE
    assert world.end("front_door")["evidence"] in {"transition", "target", "answer"}
    assert len(world.actions(bridge)) == lock.unlatches == 1
    assert lock.wakeups == 0
    assert world.retained(SNAPSHOT)["state"] == "unlocked"
    assert world.retained(SNAPSHOT)["derived"] is False


def test_confirmed_an_unlatch_from_an_unlocked_door_by_the_late_read(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    with bridge.faults.silent_callbacks(), bridge.faults.frozen_cache(lock.nuki_id):
        world.command("front_door", "unlatch")
        world.run(100)
    end = world.end("front_door")
    assert (end["status"], end["evidence"]) == ("confirmed", "answer")
    assert len(world.reads()) == 1
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_confirmed_an_unlatch_by_the_door_that_opens(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """The lock itself says nothing that agrees; the door does."""
    world.start_ready()
    with bridge.faults.lost_orders(lock.nuki_id):
        world.command("front_door", "unlatch")
        world.run(5)
        lock.set_door(3)
        world.run(10)
    assert world.life("front_door") == DONE
    assert world.end("front_door")["evidence"] in {"target", "answer"}
    assert len(world.actions(bridge)) == 1


@pytest.mark.parametrize(("action", "unlatches"), [("lock_n_go", 0), ("lock_n_go_unlatch", 1)])
def test_confirmed_a_relocking_is_a_change_of_its_own(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, action: str, unlatches: int
) -> None:
    world.start_ready()
    world.command("front_door", action)
    world.run(20)
    assert world.life("front_door") == DONE
    world.run(60)
    assert world.life("front_door") == DONE
    assert changes(world)[-1][1] == "locked"
    assert lock.state == LOCKED
    assert (len(world.actions(bridge)), lock.turns, lock.unlatches) == (1, 1, unlatches)


@pytest.mark.parametrize("is_ring_to_open", [False, True])
def test_confirmed_a_strike_of_an_opener(
    world: World,
    bridge: SimulatedBridge,
    opener: SimulatedOpener,
    is_ring_to_open: bool,  # noqa: FBT001
) -> None:
    opener.state = 3 if is_ring_to_open else 1
    bridge.catch_up()
    world.start_ready()
    world.command("intercom", "open")
    world.run(60)
    assert world.life("intercom") == DONE
    assert len(world.actions(bridge)) == opener.unlatches == 1


def test_confirmed_continuous_mode_by_the_mode(world: World, bridge: SimulatedBridge, opener: SimulatedOpener) -> None:
    world.start_ready()
    world.command("intercom", "activate_cm")
    world.run(10)
    assert world.life("intercom") == DONE
    assert world.retained("nuki2mqtt/intercom")["continuous_mode"] is True
    world.command("intercom", "deactivate_cm")
    world.run(10)
    assert world.life("intercom") == DONE * 2
    assert world.retained("nuki2mqtt/intercom")["continuous_mode"] is False
    assert len(world.actions(bridge)) == opener.turns == 2


# --- A blocked motor --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["unlock", "unlatch", "lock"])
def test_motor_blocked(world: World, lock: SimulatedLock, action: str) -> None:
    bridge = world.add_bridge(timing=Timing(motor_s=1.0))
    if action == "lock":
        lock.state = UNLOCKED
        bridge.catch_up()
    world.start_ready()
    lock.is_jammed = True
    world.command("front_door", action)
    world.run(120)
    end = world.end("front_door")
    assert (end["status"], end["reason"], end["state"]) == ("failed", "motor_blocked", "motor_blocked")
    assert world.failures("front_door") == [(action, "motor_blocked")]
    assert world.retained(SNAPSHOT)["lock"] == "JAMMED"
    assert [event["event_type"] for event in world.events("front_door")].count("jammed") == 1
    assert len(world.actions(bridge)) == lock.turns == 1


def test_motor_blocked_after_the_motor_was_seen_turning(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Whether the transition was the end already is not fixed; that it jammed is told in any case."""
    world.start_ready()
    lock.is_jammed = True
    world.command("front_door", "unlock")
    world.run(120)
    end = world.end("front_door")
    assert (end["status"], end["reason"], end["evidence"]) in {
        ("failed", "motor_blocked", None),
        ("confirmed", None, "transition"),
    }
    assert world.retained(SNAPSHOT)["lock"] == "JAMMED"
    assert [event["event_type"] for event in world.events("front_door")].count("jammed") == 1
    assert len(world.actions(bridge)) == lock.turns == 1


# --- derived ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "action", "state", "word", "rests"),
    [
        ("front_door", "unlock", "unlocking", "UNLOCKING", "unlocked"),
        ("front_door", "lock", "locking", "LOCKING", "locked"),
        ("front_door", "unlatch", "unlatching", "OPENING", "unlocked"),
        ("intercom", "open", "opening", "OPENING", "online"),
    ],
)
def test_derived_from_our_own_command_until_a_report_comes(
    world: World,
    bridge: SimulatedBridge,
    lock: SimulatedLock,
    device: str,
    action: str,
    state: str,
    word: str,
    rests: str,
) -> None:
    if action == "lock":
        lock.state = UNLOCKED
        bridge.catch_up()
    world.start_ready()
    since = world.now
    world.command(device, action)
    world.run(60)
    topic = f"nuki2mqtt/{device}"
    derived = [snapshot for snapshot in snapshots(world, since, topic) if snapshot["derived"]]
    assert {(snapshot["state"], snapshot["lock"]) for snapshot in derived} == {(state, word)}
    assert shown(world, since, topic)[0] == (state, True)
    assert shown(world, since, topic)[-1] == (rests, False)
    assert snapshots(world, since, topic)[0]["stale"] is False
    assert bridge.requests


@pytest.mark.parametrize("action", ["unlock", "unlatch"])
def test_derived_falls_back_to_what_was_seen_when_the_command_ends_without_a_report(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, action: str
) -> None:
    world.start_ready()
    since = world.now
    with bridge.faults.lost_orders(lock.nuki_id):
        world.command("front_door", action)
        world.run(200)
    assert world.end("front_door")["status"] == "unconfirmed"
    state = "unlocking" if action == "unlock" else "unlatching"
    assert set(shown(world, since)) <= {(state, True), ("locked", False)}
    assert shown(world, since)[0] == (state, True)
    assert shown(world, since)[-1] == ("locked", False)
    assert world.retained(SNAPSHOT)["lock"] == "LOCKED"
    assert not changes(world)
    assert lock.turns == 0


def test_derived_gives_no_event_and_what_is_seen_gives_each_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with bridge.faults.frozen_cache(lock.nuki_id):
        world.command("front_door", "unlock")
        world.run(30)
    assert changes(world) == [("locked", "unlocked")]
    assert len(world.events("front_door")) == 1


def test_derived_is_not_shown_for_what_is_refused_or_never_sent(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    since = world.now
    world.command("front_door", {"action": "unlock", "ts": world.ts(60)})
    world.command("front_door", "fly")
    with bridge.faults.refuse_connections():
        world.command("front_door", "unlatch")
        world.run(30)
    world.run(60)
    assert not [state for state in shown(world, since) if state[1] and state[0] != "unlatching"]
    assert shown(world, since)[-1:] in ([], [("locked", False)])
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert lock.turns == 0


def test_derived_does_not_survive_a_crash(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    process = world.start_ready()
    with bridge.faults.lost_orders(lock.nuki_id):
        world.command("front_door", "unlock")
        world.run(1)
        assert world.retained(SNAPSHOT)["derived"] is True
        process.kill()
        world.start_ready(disk=process.disk)
        world.run(60)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert world.retained(SNAPSHOT)["derived"] is False
    assert len(world.actions(bridge)) == 1
