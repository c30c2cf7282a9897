"""One wish moves a door once (docs/topics.md, "Commands": Repeated; Never twice: after a crash)."""

from collections.abc import Callable

import pytest

from nuki2mqtt.gateway.vocabulary import CallBridge, Effect
from nuki2mqtt.protocol.bridge_api import LockActionRequest
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, SimulatedLock, Timing
from tests.stories.world import DONE, Disk, Life, Process, World, is_action, refused

DUPLICATE = refused("duplicate")
RESTARTED: Life = [("unconfirmed", "restarted")]


def codes(world: World) -> list[str]:
    return [request.query["action"] for request in world.actions()]


# --- duplicate --------------------------------------------------------------------------------------------------------


def test_repeated_a_constant_transaction_is_refused_for_ten_minutes(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    order = {"action": "unlock", "transaction": "always the same"}
    accepted_at = world.now
    world.command("front_door", order)
    world.run(0.2)
    world.command("front_door", order)  # while it runs
    world.run(30)
    world.command("front_door", order)  # after its end
    world.run(accepted_at + 595 - world.now)
    world.command("front_door", order)
    world.run(0.1)
    assert sorted(world.life("front_door")) == sorted(DONE + DUPLICATE * 3)
    assert world.failures("front_door") == [("unlock", "duplicate")] * 3
    assert codes(world) == ["1"]
    world.run(10)
    since = world.now
    world.command("front_door", order)
    world.run(60)
    assert world.life("front_door", since=since)[0] == ("accepted", None)
    assert codes(world) == ["1", "1"]
    assert lock.turns == 2
    assert bridge.wakeups <= 2


@pytest.mark.parametrize("transaction", ["a", 7, 0, ["x"], {"b": 1, "a": 2}, 1.5])
def test_repeated_any_json_value_is_a_transaction(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, transaction: object
) -> None:
    world.start_ready()
    for _ in range(2):
        world.command("front_door", {"action": "unlatch", "transaction": transaction})
        world.run(30)
    assert world.life("front_door", transaction) == DONE + DUPLICATE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_repeated_the_key_names_device_action_and_transaction(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    for device, action in (
        ("front_door", "unlock"),
        ("1A2B3C4D", "UNLOCK"),
        ("front_door", "lock"),
        ("front_door", "unlatch"),
        ("intercom", "open"),
        ("front_door", "open"),
    ):
        world.command(device, {"action": action, "transaction": "one"})
        world.run(60)
    assert world.life("front_door") == DONE + DUPLICATE + DONE + DONE + DUPLICATE
    assert world.life("intercom") == DONE
    assert codes(world) == ["1", "2", "3", "3"]
    assert lock.turns == 3
    assert bridge.requests


def test_repeated_a_qos_1_message_delivered_twice_with_one_ts_moves_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlatch", "ts": world.ts()}, copies=2)
    world.run(60)
    assert sorted(world.life("front_door")) == sorted(DONE + DUPLICATE)
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_repeated_a_qos_1_message_delivered_again_after_a_new_connection_moves_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready("commands: {ttl_s: 60}\n")
    order = {"action": "unlatch", "ts": world.ts()}
    world.command("front_door", order)
    world.run(15)
    world.broker.stop()
    world.run(1)
    world.broker.start()
    world.run(10)
    world.command("front_door", order)
    world.run(60)
    assert world.life("front_door") == DONE + DUPLICATE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_repeated_the_same_ts_written_differently_is_the_same(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    now = int(world.now)
    world.command("front_door", {"action": "unlatch", "ts": now})
    world.run(8)
    world.command("front_door", {"action": "unlatch", "ts": now * 1000})
    world.run(60)
    assert world.life("front_door") == DONE + DUPLICATE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_repeated_another_ts_is_another_command(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    for _ in range(2):
        world.command("front_door", {"action": "unlatch", "ts": world.ts()})
        world.run(30)
    assert world.life("front_door") == DONE + DONE
    assert len(world.actions(bridge)) == lock.unlatches == 2


def test_repeated_a_transaction_is_forgotten_when_its_end_says_that_nothing_moved(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    order = {"action": "unlatch", "transaction": "again"}
    with bridge.faults.refuse_connections():
        world.command("front_door", order)
        world.run(30)
    assert world.end("front_door", "again")["may_have_acted"] is False
    world.run(120)
    since = world.now
    world.command("front_door", order)
    world.run(60)
    assert world.life("front_door", since=since) == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_repeated_a_refusal_is_not_remembered(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlatch", "transaction": "a", "ts": world.ts(60)})
    world.run(5)
    world.command("front_door", {"action": "unlatch", "transaction": "a", "ts": world.ts()})
    world.run(60)
    assert world.life("front_door", "a") == [("refused", "stale"), *DONE]
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_repeated_an_unknown_outcome_is_remembered(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    with bridge.faults.busy("/lockAction"):
        world.command("front_door", {"action": "unlatch", "transaction": "a"})
        world.run(120)
    end = world.end("front_door", "a")
    assert (end["status"], end["may_have_acted"]) == ("unconfirmed", True)
    since = world.now
    world.command("front_door", {"action": "unlatch", "transaction": "a"})
    world.run(60)
    assert world.life("front_door", "a", since) == DUPLICATE
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


def test_repeated_at_most_1000_are_remembered(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    process = world.start_ready("poll: {min_gap_s: 0}\ncommands: {overlap: queue}\n")
    bridge.timing = Timing(answer_s=0.001, accept_s=0.001, motor_s=0.001, unlatched_s=0.001, callback_s=0.001)
    for number in range(1100):
        world.command("front_door", {"action": "unlatch", "transaction": number})
        world.run(0.05)
    world.run(60)
    ends = [one for one in world.results("front_door") if one["status"] != "accepted"]
    assert len(ends) == 1100
    assert len(process.disk.memory.journal) <= 1000
    moved = lock.unlatches
    assert moved == len(world.actions(bridge))
    for number in (1099, 1000, 500):
        world.command("front_door", {"action": "unlatch", "transaction": number})
        world.run(1)
        assert world.life("front_door", number)[-1] == ("refused", "duplicate")
    assert lock.unlatches == moved


# --- joined -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["unlock", "unlatch"])
def test_joined_an_equal_bare_opening_within_5_s_gets_the_same_end_and_moves_nothing(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, word: str
) -> None:
    world.start_ready()
    world.command("front_door", word)
    world.run(0.3)  # it runs: the Bridge has not answered
    world.command("front_door", {"action": word})
    world.run(2)  # it runs: the motor turns
    world.command("front_door", word.upper())
    world.run(60)
    life = world.life("front_door")
    assert life.count(("accepted", None)) == 1
    assert life.count(("accepted", "joined")) == 2
    assert [status for status, _ in life].count("confirmed") == 3
    assert len(life) == 6
    ends = [one for one in world.results("front_door") if one["status"] == "confirmed"]
    assert len({one["evidence"] for one in ends}) == 1
    assert len(world.actions(bridge)) == lock.turns == 1


def test_joined_an_equal_bare_opening_after_the_end_gets_it_at_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    bridge.timing = Timing(accept_s=0.1, motor_s=0.3)
    world.start_ready()
    world.command("front_door", "unlock")
    world.run(3)
    assert world.life("front_door") == DONE
    world.command("front_door", "unlock")
    world.run(0.5)
    assert world.life("front_door")[2:] == [("accepted", "joined"), ("confirmed", None)]
    world.run(60)
    world.command("front_door", "unlock")
    world.run(60)
    assert world.life("front_door")[4] == ("accepted", None)
    assert len(world.actions(bridge)) == lock.turns == 2


def test_joined_gets_the_end_of_a_failure_too(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    refusal = b'{"success": false, "batteryCritical": false}'
    with bridge.faults.lost_orders(lock.nuki_id), bridge.faults.garbage("/lockAction", refusal):
        world.command("front_door", "unlatch")
        world.run(0.2)
        world.command("front_door", "unlatch")
        world.run(60)
    assert sorted(world.life("front_door"), key=str) == sorted(
        [("accepted", None), ("accepted", "joined"), ("failed", "bridge_said_no"), ("failed", "bridge_said_no")],
        key=str,
    )
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


def test_joined_is_only_what_is_equal_bare_and_opening(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready("commands: {overlap: queue}\n")
    world.command("front_door", "unlock")
    world.run(1)
    world.command("front_door", {"action": "unlatch", "transaction": "other"})
    world.run(1.5)
    world.command("intercom", "open")
    world.run(60)
    assert ("accepted", "joined") not in world.life("front_door") + world.life("intercom")
    assert codes(world) == ["1", "3", "3"]
    assert lock.turns == 2
    assert bridge.requests


def test_joined_after_a_crash_nothing_is(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    """A bare one that comes after the restart is a wish of its own; those 5 s are over."""
    disk = Disk("1234abcd")
    process = world.start_ready(disk=disk)
    process.kill_after(is_action)
    world.command("front_door", "unlatch")
    world.run(10)
    assert not process.is_alive
    world.start_ready(disk=disk)
    since = world.now
    world.command("front_door", "unlatch")
    world.run(60)
    assert world.life("front_door", since=since) == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 2


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def crash(world: World, disk: Disk, order: dict[str, object]) -> None:
    """A gateway dies while the Bridge works on its order."""
    process = world.start_ready(disk=disk)
    world.command("front_door", order)
    world.run(0.3)
    assert len(world.actions()) == 1
    process.kill()
    world.run(10)


def crash_in_the_middle(world: World, disk: Disk, arm: Callable[[Process], None], order: dict[str, object]) -> None:
    """A gateway dies between two things that it was about to do."""
    process = world.start_ready(disk=disk)
    arm(process)
    world.command("front_door", order)
    world.run(10)
    assert not process.is_alive, "the story needs the kill"


@pytest.mark.parametrize("action", ["unlatch", "unlock", "lock_n_go", "lock_n_go_unlatch"])
def test_restarted_killed_between_sending_and_answer(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, action: str
) -> None:
    disk = Disk("1234abcd")
    order: dict[str, object] = {"action": action, "transaction": "a1"}
    accepted_at = world.now + 5
    crash(world, disk, order)
    assert world.life("front_door") == [("accepted", None)]
    assert disk.memory.journal
    world.start_ready(disk=disk)
    world.run(60)
    end = world.end("front_door", "a1")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("unconfirmed", "restarted", True)
    assert end["action"] == action
    assert len(world.actions(bridge)) == lock.turns == 1
    world.command("front_door", order)
    world.run(accepted_at + 590 - world.now)
    world.command("front_door", order)
    world.run(1)
    assert world.life("front_door", "a1")[2:] == DUPLICATE * 2
    assert len(world.actions(bridge)) == 1
    world.run(30)
    since = world.now
    world.command("front_door", order)
    world.run(60)
    assert world.life("front_door", "a1", since)[0] == ("accepted", None)
    assert len(world.actions(bridge)) == 2


def test_restarted_killed_between_writing_down_and_sending(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    disk = Disk("1234abcd")
    order: dict[str, object] = {"action": "unlatch", "transaction": "a1"}
    crash_in_the_middle(world, disk, lambda process: process.kill_before(is_action), order)
    assert disk.memory.journal, "it is written down before a byte is sent"
    world.start_ready(disk=disk)
    world.run(60)
    assert world.life("front_door", "a1")[-1:] == RESTARTED
    world.end("front_door", "a1")
    world.command("front_door", order)
    world.run(60)
    assert world.life("front_door", "a1")[-1:] == DUPLICATE
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_restarted_killed_the_moment_it_was_sent(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    disk = Disk("1234abcd")
    order: dict[str, object] = {"action": "unlatch", "transaction": "a1"}
    crash_in_the_middle(world, disk, lambda process: process.kill_after(is_action), order)
    world.start_ready(disk=disk)
    world.run(60)
    assert world.life("front_door", "a1")[-1:] == RESTARTED
    world.end("front_door", "a1")
    world.command("front_door", order)
    world.run(60)
    assert world.life("front_door", "a1")[-1:] == DUPLICATE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_restarted_killed_after_the_end_nothing_more_is_said(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    disk = Disk("1234abcd")
    process = world.start_ready(disk=disk)
    order = {"action": "unlatch", "transaction": "a1"}
    world.command("front_door", order)
    world.run(60)
    assert world.life("front_door") == DONE
    process.kill()
    world.start_ready(disk=disk)
    world.run(60)
    assert world.life("front_door") == DONE
    world.command("front_door", order)
    world.run(30)
    assert world.life("front_door") == DONE + DUPLICATE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_restarted_by_its_ts_alone(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    disk = Disk("1234abcd")
    order: dict[str, object] = {"action": "unlatch", "ts": world.ts(-5)}
    crash(world, disk, order)
    world.start_ready("commands: {ttl_s: 60}\n", disk=disk)
    world.run(10)
    assert world.life("front_door") == [("accepted", None), *RESTARTED]
    world.command("front_door", order)
    world.run(30)
    assert world.life("front_door")[2:] == DUPLICATE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_restarted_is_said_once_though_it_is_killed_again_and_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    disk = Disk("1234abcd")
    order: dict[str, object] = {"action": "unlatch", "transaction": "a1"}
    crash(world, disk, order)
    for _ in range(4):
        process = world.start_ready(disk=disk)
        world.run(10)
        process.kill()
    assert world.life("front_door", "a1") == [("accepted", None), *RESTARTED]
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_restarted_is_said_when_the_broker_is_there(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    disk = Disk("1234abcd")
    crash(world, disk, {"action": "unlatch", "transaction": "a1"})
    world.broker.stop()
    world.start_ready(disk=disk)
    world.run(60)
    world.broker.start()
    world.run(30)
    assert world.life("front_door", "a1")[-1:] == RESTARTED
    world.end("front_door", "a1")
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_restarted_a_lock_command_is_not_sent_again_either(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    disk = Disk("1234abcd")
    crash(world, disk, {"action": "lock", "transaction": "a1"})
    world.start_ready(disk=disk)
    world.run(60)
    assert len(world.actions(bridge)) == lock.turns == 1
    assert world.life("front_door", "a1")[0] == ("accepted", None)


def test_restarted_by_a_stop_while_it_runs_it_is_not_sent_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """SIGTERM between sending and answer: whatever is said, it is one end, and the door moves once."""
    disk = Disk("1234abcd")
    process = world.start_ready(disk=disk)
    bridge.timing = Timing(accept_s=8.0)
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(1)
    process.stop()
    world.run(30)
    assert process.has_stopped
    world.start_ready(disk=disk)
    world.run(60)
    end = world.end("front_door", "a1")
    assert end["status"] in {"unconfirmed", "confirmed"}
    assert end["may_have_acted"] is True
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(30)
    assert world.life("front_door", "a1")[-1:] == DUPLICATE
    assert len(world.actions(bridge)) == lock.unlatches == 1


@pytest.mark.parametrize("action", ["unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch"])
def test_never_twice_an_opening_command_is_in_the_state_file_before_it_is_sent(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, action: str
) -> None:
    disk = Disk("1234abcd")
    written: list[int] = []

    def look(effect: Effect) -> bool:
        if isinstance(effect, CallBridge) and isinstance(effect.request, LockActionRequest):
            written.append(len(disk.memory.journal))
        return False

    process = world.start_ready(disk=disk)
    process.kill_before(look)
    world.command("front_door", action)
    world.run(60)
    assert written == [1]
    assert len(world.actions(bridge)) == lock.turns == 1


def test_never_twice_what_is_ten_minutes_old_leaves_the_state_file(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    disk = Disk("1234abcd")
    world.start_ready(disk=disk)
    for number in range(20):
        world.command("front_door", {"action": "unlatch", "transaction": number})
        world.run(60)
    assert 0 < len(disk.memory.journal) <= 20
    world.run(700)
    world.command("front_door", {"action": "unlatch", "transaction": "last"})
    world.run(60)
    assert len(disk.memory.journal) <= 2, "ten minutes later nothing of it is needed"
    assert len(world.actions(bridge)) == lock.unlatches == 21


def test_a_bare_opening_that_goes_round_opens_once(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    """Two brokers that are bridged in a circle, or a client that says back what it hears."""
    world.start_ready()
    for _ in range(600):
        world.command("front_door", "unlatch")
        world.run(0.1)
    world.run(30)
    assert (lock.unlatches, len(world.actions(bridge))) == (1, 1)
    world.command("front_door", "unlatch")
    world.run(30)
    assert lock.unlatches == 2


def test_copies_that_come_on_and_on_are_repeats_after_five_seconds_and_a_failure_may_be_tried_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    for _ in range(4):
        world.command("front_door", "unlatch")
        world.run(4)
    told = [("accepted", None), ("accepted", "joined"), ("confirmed", None), ("confirmed", None)]
    assert world.life("front_door") == [*told, *refused("duplicate", 2)]
    assert lock.unlatches == 1
    world.run(10)
    since = world.now
    with bridge.faults.garbage("/lockAction", b'{"success": false}'), bridge.faults.lost_orders(lock.nuki_id):
        world.command("front_door", "unlatch")
        world.run(1)
    world.command("front_door", "unlatch")
    world.run(10)
    failed = [("accepted", None), ("failed", "bridge_said_no")]
    assert world.life("front_door", since=since) == [*failed, *DONE]
    assert lock.unlatches == 2


def goes_round(world: World, *words: str, seconds: int) -> None:
    """Copies of these commands come once a second each."""
    for _ in range(seconds):
        for word in words:
            world.command("front_door", word)
        world.run(1)


def test_what_goes_round_does_not_open_again_when_another_command_comes_in_between(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    goes_round(world, "unlatch", seconds=20)
    world.command("front_door", "lock")
    goes_round(world, "unlatch", seconds=20)
    assert codes(world) == ["3", "2"]
    goes_round(world, "unlatch", "lock", seconds=30)
    assert lock.unlatches == 1
    assert set(codes(world)[2:]) == {"2"}, "a bare lock that goes round locks again"
    assert bridge.requests


def test_what_goes_round_while_the_bridge_is_away_does_not_open_when_it_is_back(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with bridge.faults.refuse_connections():
        goes_round(world, "unlatch", seconds=60)
    goes_round(world, "unlatch", seconds=60)
    assert (world.actions(bridge), lock.unlatches) == ([], 0)
    world.run(10)
    world.command("front_door", "unlatch")
    world.run(30)
    assert lock.unlatches == 1, "after a pause it is a new wish"


def test_what_goes_round_does_not_push_a_blocked_motor_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    lock.is_jammed = True
    goes_round(world, "unlatch", seconds=60)
    assert ("failed", "motor_blocked") in world.life("front_door")
    lock.is_jammed = False
    goes_round(world, "unlatch", seconds=60)
    assert (len(world.actions(bridge)), lock.unlatches) == (1, 0)


def test_copies_that_were_joined_to_a_keyed_command_open_no_second_time(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlatch", "transaction": "a"})
    for _ in range(6):
        world.run(3)
        world.command("front_door", "unlatch")
    world.run(20)
    assert lock.unlatches == len(world.actions(bridge)) == 1


@pytest.mark.parametrize(("answer_s", "presses"), [(7, (6, 4)), (9, (6, 4)), (7, (5.5, 2.5, 2.2)), (9, (6, 4, 4, 4))])
def test_pressing_on_while_the_bridge_is_slow_opens_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, answer_s: float, presses: tuple[float, ...]
) -> None:
    world.start_ready()
    bridge.timing = Timing(accept_s=answer_s)
    world.command("front_door", "unlatch")
    for pause_s in presses:
        world.run(pause_s)
        world.command("front_door", "unlatch")
    world.run(60)
    assert lock.unlatches == len(world.actions(bridge)) == 1
