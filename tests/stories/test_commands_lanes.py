"""One command at a time per device, one request at a time per Bridge (docs/topics.md, "Commands")."""

from itertools import pairwise

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener, Timing
from tests.stories.world import DONE, Process, World, refused

BACK_DOOR_ID = 0x3A2B3C4F
SECOND_HOST = "192.0.2.11"
QUEUE = "commands: {overlap: queue}\n"


def codes(world: World) -> list[str]:
    return [request.query["action"] for request in world.actions()]


def order(action: str) -> dict[str, str]:
    return {"action": action, "transaction": action}


# --- One at a time per device -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["unlatch", "lock_n_go", "lock_n_go_unlatch"])
def test_busy_a_different_action_is_refused_until_the_bridge_answers(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, second: str
) -> None:
    world.start_ready()
    world.command("front_door", order("unlock"))
    world.run(0.3)
    world.command("front_door", order(second))
    world.run(0.1)
    assert world.life("front_door", second) == refused("busy")
    world.run(60)
    assert world.life("front_door", "unlock") == DONE
    assert world.failures("front_door") == [(second, "busy")]
    assert codes(world) == ["1"]
    assert (lock.turns, lock.unlatches) == (1, 0)
    assert bridge.requests


@pytest.mark.parametrize("second", ["unlatch", "lock_n_go", "lock_n_go_unlatch"])
def test_overlap_queue_a_different_action_waits_for_the_bridge_s_answer(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, second: str
) -> None:
    world.start_ready(QUEUE)
    world.command("front_door", order("unlock"))
    world.run(0.3)
    world.command("front_door", order(second))
    world.run(0.1)
    assert world.life("front_door", second) == [("accepted", "queued")]
    assert len(world.actions()) == 1
    world.run(1)
    assert len(world.actions()) == 2, "it is sent when the answer is there, not when the motor rests"
    world.run(90)
    assert world.life("front_door", second) == [("accepted", "queued"), ("confirmed", None)]
    end = world.end("front_door", "unlock")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("unconfirmed", "superseded", True)
    assert lock.turns == 2
    assert bridge.requests


def test_superseded_a_waiting_one_is_replaced_by_a_newer(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(accept_s=3.0))
    world.start_ready(QUEUE)
    world.command("front_door", order("unlock"))
    world.run(1)
    world.command("front_door", order("unlatch"))
    world.run(0.5)
    world.command("front_door", order("lock_n_go"))
    world.run(0.1)
    end = world.results("front_door")[-2:]
    assert ("unlatch", "refused", "superseded") in {(one["transaction"], one["status"], one["reason"]) for one in end}
    world.run(90)
    unlatched = world.end("front_door", "unlatch")
    assert (unlatched["status"], unlatched["reason"], unlatched["may_have_acted"]) == ("refused", "superseded", False)
    assert world.end("front_door", "lock_n_go")["status"] == "confirmed"
    assert codes(world) == ["1", "4"]
    assert (lock.turns, lock.unlatches) == (2, 0)
    assert bridge.requests


@pytest.mark.parametrize("extra", ["", QUEUE])
@pytest.mark.parametrize("first", ["unlock", "unlatch", "lock_n_go"])
def test_lock_right_after_what_opens_always_waits_and_never_is_refused(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, extra: str, first: str
) -> None:
    world.start_ready(extra)
    world.command("front_door", order(first))
    world.run(0.1)
    world.command("front_door", order("lock"))
    world.run(90)
    assert world.life("front_door", "lock") == [("accepted", "queued"), ("confirmed", None)]
    end = world.end("front_door", first)
    assert (end["status"], end["reason"]) in {("unconfirmed", "superseded"), ("confirmed", None)}
    assert codes(world)[1:] == ["2"]
    assert lock.state == LOCKED
    assert world.retained("nuki2mqtt/front_door")["state"] == "locked"
    assert lock.turns == 2
    assert bridge.requests


@pytest.mark.parametrize(("first", "second"), [("activate_rto", "deactivate_rto"), ("activate_cm", "deactivate_cm")])
def test_deactivating_always_waits(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener, first: str, second: str
) -> None:
    world.start_ready()
    world.command("intercom", order(first))
    world.run(0.1)
    world.command("intercom", order(second))
    world.run(90)
    assert world.life("intercom", second) == [("accepted", "queued"), ("confirmed", None)]
    assert world.end("intercom", first)["status"] in {"confirmed", "unconfirmed"}
    assert opener.turns == 2
    assert world.retained("nuki2mqtt/intercom")["ring_to_open"] is False
    assert world.retained("nuki2mqtt/intercom")["continuous_mode"] is False
    assert bridge.requests


def test_busy_a_waiting_lock_is_not_pushed_aside_by_what_is_refused(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(accept_s=3.0))
    world.start_ready()
    world.command("front_door", order("unlock"))
    world.run(0.5)
    world.command("front_door", order("lock"))
    world.run(0.5)
    world.command("front_door", order("unlatch"))
    world.run(90)
    assert world.life("front_door", "unlatch") == refused("busy")
    assert world.life("front_door", "lock") == [("accepted", "queued"), ("confirmed", None)]
    assert codes(world) == ["1", "2"]
    assert lock.state == LOCKED
    assert bridge.requests


@pytest.mark.parametrize("second", ["unlatch", "lock"])
def test_superseded_after_the_answer_a_different_action_is_sent_at_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, second: str
) -> None:
    world.start_ready()
    world.command("front_door", order("unlock"))
    world.run(1.1)
    assert world.life("front_door") == [("accepted", None)]
    sent_at = world.now
    world.command("front_door", order(second))
    world.run(0.1)
    end = world.end("front_door", "unlock")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("unconfirmed", "superseded", True)
    world.run(60)
    assert world.life("front_door", second) == DONE
    assert world.actions()[-1].at - sent_at < 0.1
    assert not world.failures("front_door")
    assert lock.turns == 2
    assert bridge.requests


def test_superseded_is_not_said_of_what_is_evident(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(motor_s=0.2))
    world.start_ready()
    world.command("front_door", order("unlock"))
    world.run(3)
    world.command("front_door", order("lock"))
    world.run(60)
    assert world.life("front_door", "unlock") == DONE
    assert world.life("front_door", "lock") == DONE
    assert lock.state == LOCKED
    assert bridge.requests


def test_expired_a_queued_one_waits_no_longer_than_its_ttl(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge()
    world.start_ready(QUEUE)
    with bridge.faults.silent("/lockAction"):
        world.command("front_door", order("unlock"))
        world.run(1)
        world.command("front_door", order("unlatch"))
        world.run(9.5)
        assert world.life("front_door", "unlatch") == [("accepted", "queued")]
        world.run(1)
        end = world.end("front_door", "unlatch")
        assert (end["status"], end["may_have_acted"]) == ("expired", False)
        world.run(60)
    world.run(200)
    assert world.end("front_door", "unlock")["status"] == "failed"
    assert codes(world) == ["1"]
    assert lock.turns == 0


# --- One Bridge, many locks -------------------------------------------------------------------------------------------


@pytest.fixture
def back_door(world: World, lock: SimulatedLock) -> SimulatedLock:
    assert lock.house is world.house
    return world.house.add(SimulatedLock(nuki_id=BACK_DOOR_ID, name="Back door"))


def test_expired_busy_behind_another_lock(world: World, lock: SimulatedLock, back_door: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(motor_s=25.0))
    world.start_ready("commands: {wait: true}\n")
    world.command("front_door", order("unlock"))
    world.run(0.5)
    world.command("back_door", order("unlatch"))
    world.run(0.1)
    assert [status for status, _ in world.life("back_door")] == ["accepted"]
    world.run(11)
    end = world.end("back_door")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("expired", "busy", False)
    world.run(120)
    assert world.end("front_door")["status"] == "confirmed"
    world.end("back_door")
    assert [request.query["nukiId"] for request in world.actions(bridge)] == [str(lock.nuki_id)]
    assert (lock.turns, back_door.turns) == (1, 0)


def test_a_command_behind_another_lock_is_sent_when_its_turn_comes(
    world: World, lock: SimulatedLock, back_door: SimulatedLock
) -> None:
    bridge = world.add_bridge(timing=Timing(accept_s=4.0))
    world.start_ready()
    world.command("front_door", order("unlock"))
    world.run(0.5)
    world.command("back_door", order("unlatch"))
    world.run(90)
    assert world.end("front_door")["status"] == "confirmed"
    assert world.end("back_door")["status"] == "confirmed"
    assert (lock.turns, back_door.unlatches) == (1, 1)
    assert {request.status for request in bridge.requests} == {200}


def test_commands_overtake_polls_and_keep_the_gap(
    world: World, lock: SimulatedLock, back_door: SimulatedLock, opener: SimulatedOpener
) -> None:
    bridge = world.add_bridge()
    process: Process = world.start_ready("poll: {list_s: 2}\n")
    since = world.now
    for number in range(20):
        for device in ("front_door", "back_door", "intercom"):
            world.command(device, {"action": "lock", "transaction": number})
        world.run(20)
    assert len(world.actions(bridge)) == lock.turns + back_door.turns + opener.turns == 60
    for device in ("front_door", "back_door", "intercom"):
        assert world.life(device) == DONE * 20
        assert all(one["duration_s"] < 15 for one in world.results(device))
    sent = [at for at, _ in process.sent if at >= since]
    assert all(later - earlier >= 0.5 - 1e-6 for earlier, later in pairwise(sent))
    assert {request.status for request in bridge.requests} == {200}


# --- One lock, two Bridges --------------------------------------------------------------------------------------------


@pytest.fixture
def near(world: World, lock: SimulatedLock) -> SimulatedBridge:
    """The Bridge that hears the lock better; it is not the first of the settings."""
    assert lock.house is world.house
    far = world.add_bridge()
    far.rssi_offset_db = -20
    return world.add_bridge(SECOND_HOST, hardware_id=0x0B1B2C3D)


@pytest.fixture
def far(world: World, near: SimulatedBridge) -> SimulatedBridge:
    (other,) = [bridge for bridge in world.bridges.values() if bridge is not near]
    return other


def test_two_bridges_the_better_rssi_is_taken(
    world: World, near: SimulatedBridge, far: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    world.command("front_door", "unlatch")
    world.run(60)
    assert world.life("front_door") == DONE
    assert (len(world.actions(near)), len(world.actions(far))) == (1, 0)
    assert lock.unlatches == 1


def test_two_bridges_a_scan_hit_goes_before_rssi(
    world: World, near: SimulatedBridge, far: SimulatedBridge, lock: SimulatedLock
) -> None:
    near.faults.missing_from_scan(lock.nuki_id).begin()
    world.start_ready()
    world.command("front_door", "unlatch")
    world.run(60)
    assert world.life("front_door") == DONE
    assert (len(world.actions(near)), len(world.actions(far))) == (0, 1)
    assert lock.unlatches == 1


@pytest.mark.parametrize("how", ["reset", "busy", "silent", "no"])
@pytest.mark.parametrize("action", ["unlock", "unlatch"])
def test_two_bridges_never_the_second_after_a_byte_went_to_the_first(
    world: World, near: SimulatedBridge, far: SimulatedBridge, lock: SimulatedLock, how: str, action: str
) -> None:
    world.start_ready()
    faults = near.faults
    fault = {
        "reset": faults.reset_connections("/lockAction"),
        "busy": faults.busy("/lockAction"),
        "silent": faults.silent("/lockAction"),
        "no": faults.garbage("/lockAction", b'{"success": false}'),
    }[how]
    with fault, faults.lost_orders(lock.nuki_id):
        world.command("front_door", action)
        world.run(300)
    assert world.end("front_door")["status"] == "failed"
    assert (len(world.actions(near)), len(world.actions(far))) == (1, 0)
    assert lock.turns == 0


def test_two_bridges_the_second_is_taken_if_the_first_refused_before_a_byte(
    world: World, near: SimulatedBridge, far: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with near.faults.refuse_connections():
        world.command("front_door", "unlatch")
        world.run(60)
    world.run(60)
    assert world.life("front_door") == DONE
    assert (len(world.actions(near)), len(world.actions(far))) == (0, 1)
    assert lock.unlatches == 1


def test_two_bridges_both_refuse(
    world: World, near: SimulatedBridge, far: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with near.faults.refuse_connections(), far.faults.refuse_connections():
        world.command("front_door", "unlatch")
        world.run(30)
    world.run(300)
    end = world.end("front_door")
    assert (end["reason"], end["may_have_acted"]) == ("bridge_unreachable", False)
    assert not world.actions()
    assert lock.turns == 0


def test_two_bridges_lock_is_repeated_at_the_one_that_had_a_byte(
    world: World, near: SimulatedBridge, far: SimulatedBridge, lock: SimulatedLock
) -> None:
    lock.turn(UNLOCKED)
    world.start_ready()
    with near.faults.busy("/lockAction"):
        world.command("front_door", "lock")
        world.run(4)
    world.run(90)
    assert world.life("front_door") == DONE
    assert not world.actions(far)
    assert len(world.actions(near)) >= 2
    assert lock.turns == 1


def test_two_bridges_a_report_by_the_other_is_evidence(
    world: World, near: SimulatedBridge, far: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with near.faults.silent_callbacks(), near.faults.frozen_cache(lock.nuki_id):
        world.command("front_door", "unlock")
        world.run(15)
    assert world.life("front_door") == DONE
    assert (len(world.actions(near)), len(world.actions(far))) == (1, 0)
    assert lock.turns == 1
