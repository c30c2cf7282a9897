"""What users of other gateways suffered from commands, played here (docs/pains.md, "Commands")."""

from itertools import pairwise

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener, Timing
from tests.stories.world import DONE, Disk, Protocol, World

HOUR_S = 3600.0


def discovered(world: World, nuki_id: str) -> dict[str, dict[str, object]]:
    """What Home Assistant was told of a device, by the keys of its entities."""
    components: dict[str, dict[str, object]] = world.retained(f"homeassistant/device/nuki2mqtt_{nuki_id}/config")[
        "cmps"
    ]
    return components


# --- What should not have run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_after_a_power_cut_no_command_from_before_it_is_carried_out(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, protocol: Protocol
) -> None:
    """Gateway, broker and Bridge go down together; what somebody wanted meanwhile comes when all are back."""
    world.protocol = protocol
    disk = Disk("1234abcd")
    process = world.start_ready(disk=disk)
    process.kill()
    world.broker.stop()
    with bridge.faults.refuse_connections():
        world.command("front_door", "unlatch", retain=True)
        world.command("front_door", {"action": "unlatch", "ts": world.ts(), "transaction": "queued"})
        world.run(600)
        world.broker.start()
        world.run(1)
        world.start_ready(disk=disk)
    world.run(120)
    assert world.life("front_door", "queued") == [("refused", "stale")]
    assert len(world.life("front_door")) == 2, "the stored one has a reason, too"
    assert "nuki2mqtt/front_door/set" not in world.broker.retained
    assert not world.actions(bridge)
    assert (lock.turns, lock.unlatches) == (0, 0)
    assert world.retained("nuki2mqtt/front_door/availability") == "online"


def test_an_order_for_what_is_so_already_is_sent_once_and_never_by_itself_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """A cache may be wrong, so somebody who asks for it gets it; but once, and by nobody else's wish."""
    world.start_ready()
    world.command("front_door", {"action": "lock", "transaction": "again"})
    world.run(HOUR_S / 2)
    assert world.life("front_door", "again") == DONE
    assert len(world.actions(bridge)) == lock.turns == 1
    assert lock.state == LOCKED


# --- Two at once ----------------------------------------------------------------------------------------------------


def test_two_people_arrive_at_once_and_the_lock_turns_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Each phone sends its own command, with its own time; all come before the Bridge has answered the first."""
    world.start_ready()
    for number in range(5):
        world.command("front_door", {"action": "unlock", "transaction": number, "ts": world.ts()})
        world.run(0.1)
    world.run(60)
    assert len(world.actions(bridge)) == lock.turns == 1
    assert world.life("front_door", 0) == DONE
    for number in range(1, 5):
        assert world.life("front_door", number) == [("accepted", "joined"), ("confirmed", None)]
    assert lock.state == UNLOCKED


MIXED = ["unlock", "lock", "unlatch", "lock_n_go"]


@pytest.mark.parametrize("words", [["unlock"], ["unlatch"], MIXED], ids=["unlock", "unlatch", "mixed"])
@pytest.mark.parametrize("overlap", ["reject", "queue"])
def test_twenty_commands_in_two_seconds_have_one_end_each_and_the_bridge_one_request_at_a_time(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, words: list[str], overlap: str
) -> None:
    world.start_ready(f"commands: {{overlap: {overlap}}}\n")
    for number in range(20):
        world.command("front_door", {"action": words[number % len(words)], "transaction": number, "ts": world.ts()})
        world.run(0.1)
    world.run(120)
    ends = [world.end("front_door", number) for number in range(20)]
    assert all(end["status"] == "confirmed" or end["reason"] is not None for end in ends)
    assert {request.status for request in bridge.requests} == {200}, "a second request at once would get a 503"
    # An order takes the Bridge half a second, and it rests as long: two seconds hold three, and one may wait.
    orders = world.actions(bridge)
    assert 1 <= len(orders) <= 4
    assert len(orders) == lock.turns
    assert all(later.at - earlier.at >= 1.0 for earlier, later in pairwise(orders))


def test_the_second_action_right_after_the_first_works(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    for action in ("unlock", "lock"):
        world.command("front_door", {"action": action, "transaction": action})
        world.run(7)
    world.run(60)
    assert world.life("front_door", "unlock") == world.life("front_door", "lock") == DONE
    assert [request.query["action"] for request in world.actions(bridge)] == ["1", "2"]
    assert (lock.turns, lock.state) == (2, LOCKED)


def test_the_fortieth_action_works_like_the_first(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    for number in range(40):
        action = "lock" if number % 2 else "unlock"
        world.command("front_door", {"action": action, "transaction": number, "ts": world.ts()})
        world.run(60)
        assert world.life("front_door", number) == DONE
    assert len(world.actions(bridge)) == lock.turns == 40
    assert world.retained("nuki2mqtt/gateway/health")["bridges"][0]["busy_answers"] == 0
    assert lock.wakeups == 0


# --- Slow, and no -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["unlatch", "lock"])
def test_an_order_that_the_bridge_answers_after_40_s_is_waited_for_and_sent_once(
    world: World, lock: SimulatedLock, action: str
) -> None:
    bridge = world.add_bridge(timing=Timing(accept_s=40.0))
    if action == "lock":
        lock.turn(UNLOCKED)
    process = world.start_ready()
    since = world.now
    world.command("front_door", action)
    world.run(300)
    patience = [call.request.timeout_s for _, call in process.sent if call.request.path == "/lockAction"]
    assert len(patience) == 1
    assert patience[0] > 40
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.turns == 1
    assert set(world.said("nuki2mqtt/front_door/availability", since)) <= {"online"}, "slow is not away"


def test_a_no_of_the_bridge_is_told_and_what_opens_is_not_tried_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """HTTP 200, and `success` false in the body: neither done nor silently swallowed."""
    world.start_ready()
    no = b'{"success": false, "batteryCritical": false}'
    with bridge.faults.lost_orders(lock.nuki_id), bridge.faults.garbage("/lockAction", no):
        world.command("front_door", {"action": "unlock", "transaction": "a1"})
        world.run(HOUR_S)
    assert world.life("front_door", "a1") == [("accepted", None), ("failed", "bridge_said_no")]
    assert world.failures("front_door") == [("unlock", "bridge_said_no")]
    assert len(world.actions(bridge)) == 1
    assert world.retained("nuki2mqtt/front_door")["lock"] == "LOCKED"
    assert lock.turns == 0


# --- Who may, and who did ---------------------------------------------------------------------------------------------


def test_an_opener_may_open_though_the_lock_may_not_be_unlatched(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    """What one device is permitted says nothing of another; who may not is not even offered it."""
    world.start_ready("devices:\n  1A2B3C4D: {permit: [lock, unlock]}\n")
    assert "pl_open" not in discovered(world, "1A2B3C4D")["lock"]
    assert not {"unlatch", "lock_n_go_unlatch", "lock_n_go"} & discovered(world, "1A2B3C4D").keys()
    assert discovered(world, "2A2B3C4E")["lock"]["pl_open"] == "OPEN"
    world.command("front_door", "OPEN")
    world.command("intercom", "OPEN")
    world.run(60)
    assert world.life("front_door") == [("refused", "not_permitted")]
    assert world.life("intercom") == DONE
    assert [request.query["nukiId"] for request in world.actions(bridge)] == [str(opener.nuki_id)]
    assert (lock.turns, opener.unlatches) == (0, 1)


def test_no_button_that_unlatches_is_there_for_a_tap_by_accident(world: World, bridge: SimulatedBridge) -> None:
    world.start_ready()
    buttons = [one for one in discovered(world, "1A2B3C4D").items() if one[1]["p"] == "button" and "unlatch" in one[0]]
    assert {key for key, _ in buttons} == {"unlatch", "lock_n_go_unlatch"}
    assert all(button["en"] is False for _, button in buttons)
    assert not world.actions(bridge)


def test_every_command_can_be_found_in_the_log_and_in_the_results(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Ghost openings: the log says what was asked of which device and how it ended, the results who says to have."""
    process = world.start_ready("commands: {permit: [lock, unlock]}\n")
    world.command("front_door", {"action": "unlock", "transaction": "Ada's phone"})
    world.run(30)
    world.command("front_door", {"action": "unlatch", "transaction": "a script"})
    world.run(30)
    lines = [log.text for log in process.logs if log.level != "debug" and "ommand " in log.text]
    assert "Command unlock for front_door: accepted." in lines
    assert [line for line in lines if line.startswith("Command unlock for front_door: confirmed")]
    assert [line for line in lines if line.startswith("A command on nuki2mqtt/front_door/set is refused: not_perm")]
    told = {(one["transaction"], one["action"], one["status"]) for one in world.results("front_door")}
    assert told == {
        ("Ada's phone", "unlock", "accepted"),
        ("Ada's phone", "unlock", "confirmed"),
        ("a script", "unlatch", "refused"),
    }
    assert len(world.actions(bridge)) == lock.turns == 1


def test_a_hand_at_the_lock_is_nobody_s_command(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    """An opening without a result was none of ours: the state changes, and no command is told."""
    world.start_ready()
    lock.turn(UNLOCKED)
    world.run(60)
    (event,) = world.events("front_door")
    assert (event["event_type"], event["to"], event["actor"]) == ("state_changed", "unlocked", None)
    assert not world.results("front_door")
    assert not world.actions(bridge)
