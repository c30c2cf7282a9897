"""When the outcome is unknown we look, we never push again (docs/topics.md, "Commands": Never twice)."""

from itertools import pairwise

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.faults import Fault, Faults
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.world import DONE, Life, Process, World, is_action

OPENING = ["unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch"]
SNAPSHOT = "nuki2mqtt/front_door"
NO = b'{"success": false, "batteryCritical": false}'


def broken(faults: Faults, how: str, *, acts: bool) -> Fault:
    """An order of which no clear word comes back."""
    return {
        "silent": faults.silent("/lockAction", acts=acts),
        "reset": faults.reset_connections("/lockAction", acts=acts),
        "busy": faults.busy("/lockAction", acts=acts),
    }[how]


REASONS = {"silent": "no_answer", "reset": "no_answer", "busy": "busy"}


def play(
    world: World, bridge: SimulatedBridge, how: str, action: str, *, acts: bool, device: str = "front_door"
) -> None:
    with broken(bridge.faults, how, acts=acts):
        world.command(device, action)
        world.run(240)
    world.run(600)
    assert len(world.actions(bridge)) == 1, "exactly one request with a byte on the wire"


# --- Not acted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["silent", "reset", "busy"])
@pytest.mark.parametrize("action", ["unlock", "unlatch"])
def test_never_twice_not_acted_the_read_shows_it_unmoved(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, how: str, action: str
) -> None:
    world.start_ready()
    sent_at = world.now
    play(world, bridge, how, action, acts=False)
    end = world.end("front_door")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("failed", REASONS[how], False)
    assert world.life("front_door")[0] == ("accepted", None)
    assert world.failures("front_door") == [(action, REASONS[how])]
    (read,) = world.reads()
    assert read.at - sent_at >= 10
    lists = [request.at for request in bridge.requests if request.path == "/list" and request.at > sent_at]
    assert lists[0] < read.at, "the cache is asked first"
    assert lock.turns == 0
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert world.retained(SNAPSHOT)["derived"] is False


@pytest.mark.parametrize("how", ["silent", "reset", "busy"])
@pytest.mark.parametrize("action", ["lock_n_go", "lock_n_go_unlatch"])
def test_never_twice_not_acted_lock_n_go_may_have_locked_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, how: str, action: str
) -> None:
    """After a minute of silence nobody can tell; after a quick word it may be said to have failed."""
    world.start_ready()
    play(world, bridge, how, action, acts=False)
    end = world.end("front_door")
    assert (end["status"], end["may_have_acted"]) in {("unconfirmed", True), ("failed", False)}
    assert end["status"] == "unconfirmed" or how != "silent"
    assert end["reason"] == REASONS[how]
    assert lock.turns == 0


@pytest.mark.parametrize("how", ["silent", "reset", "busy"])
def test_never_twice_not_acted_an_unlatch_from_an_unlocked_door_stays_unconfirmed(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, how: str
) -> None:
    """It would be unlocked afterwards, too: nobody can tell."""
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    play(world, bridge, how, "unlatch", acts=False)
    end = world.end("front_door")
    assert (end["status"], end["may_have_acted"]) == ("unconfirmed", True)
    assert not world.failures("front_door")
    assert lock.turns == 0


def test_never_twice_not_acted_ring_to_open(world: World, bridge: SimulatedBridge, opener: SimulatedOpener) -> None:
    world.start_ready()
    play(world, bridge, "busy", "activate_rto", acts=False, device="intercom")
    end = world.end("intercom")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("failed", "busy", False)
    assert opener.turns == 0


def test_never_twice_not_acted_a_strike_stays_unconfirmed(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    world.start_ready()
    play(world, bridge, "busy", "electric_strike", acts=False, device="intercom")
    end = world.end("intercom")
    assert (end["status"], end["may_have_acted"]) == ("unconfirmed", True)
    assert opener.turns == 0


# --- Acted ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["silent", "reset", "busy"])
@pytest.mark.parametrize("action", OPENING)
def test_never_twice_acted_it_is_seen(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, how: str, action: str
) -> None:
    world.start_ready()
    play(world, bridge, how, action, acts=True)
    end = world.end("front_door")
    if how == "silent" and "lock_n_go" in action:
        # The only callback is that of the relocking, and the list can be asked only when all is over.
        assert (end["status"], end["may_have_acted"]) == ("unconfirmed", True)
    else:
        assert (end["status"], end["reason"]) == ("confirmed", None)
        assert end["evidence"] in {"transition", "target"}
    assert not world.failures("front_door")
    assert lock.turns == 1
    assert lock.unlatches == (1 if "unlatch" in action else 0)


@pytest.mark.parametrize("how", ["silent", "reset", "busy"])
def test_never_twice_acted_it_is_seen_by_the_read_alone(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, how: str
) -> None:
    world.start_ready()
    with bridge.faults.silent_callbacks(), bridge.faults.frozen_cache(lock.nuki_id):
        play(world, bridge, how, "unlatch", acts=True)
    end = world.end("front_door")
    assert (end["status"], end["evidence"], end["state"]) == ("confirmed", "target", "unlocked")
    assert len(world.reads()) == lock.wakeups == 1
    assert lock.unlatches == 1


@pytest.mark.parametrize("how", ["silent", "reset", "busy"])
def test_never_twice_acted_an_unlatch_from_an_unlocked_door(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, how: str
) -> None:
    """Confirmed where its way was seen; never said to have failed."""
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    play(world, bridge, how, "unlatch", acts=True)
    end = world.end("front_door")
    assert end["status"] in {"confirmed", "unconfirmed"}
    assert end["may_have_acted"] is True
    assert not world.failures("front_door")
    assert (lock.turns, lock.unlatches) == (1, 1)


@pytest.mark.parametrize("how", ["silent", "reset", "busy"])
def test_never_twice_acted_and_nothing_seen_of_it_stays_unconfirmed(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, how: str
) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    with bridge.faults.silent_callbacks(), bridge.faults.frozen_cache(lock.nuki_id):
        play(world, bridge, how, "unlatch", acts=True)
    end = world.end("front_door")
    assert (end["status"], end["may_have_acted"]) == ("unconfirmed", True)
    assert (lock.turns, lock.unlatches) == (1, 1)


@pytest.mark.parametrize(("body", "status"), [(b"<html>", 200), (b"", 200), (b"HTTP 500", 500), (b"{}", 200)])
def test_never_twice_an_answer_that_cannot_be_read_is_none(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, body: bytes, status: int
) -> None:
    world.start_ready()
    with bridge.faults.garbage("/lockAction", body, status):
        world.command("front_door", "unlatch")
        world.run(240)
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_never_twice_the_read_fails_too(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    with bridge.faults.busy(), bridge.faults.silent_callbacks():
        world.command("front_door", "unlatch")
        world.run(400)
    end = world.end("front_door")
    assert (end["status"], end["may_have_acted"]) == ("unconfirmed", True)
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


def test_never_twice_the_bridge_reboots_over_an_unlatch(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    fault = bridge.faults.silent("/lockAction", acts=True).begin()
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(1)
    with bridge.faults.refuse_connections():
        world.run(120)
    fault.end()
    world.run(600)
    assert world.end("front_door", "a1")["status"] in {"confirmed", "unconfirmed"}
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_never_twice_the_read_has_a_reserve_in_the_budget(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready("poll: {forced_per_day: 1}\n")
    world.publish("nuki2mqtt/front_door/get", '{"force":true}')
    world.run(120)
    assert len(world.reads()) == 1
    since = world.now
    play(world, bridge, "busy", "unlatch", acts=False)
    assert world.end("front_door", since=since)["status"] == "failed"
    assert len(world.reads()) == 2
    assert lock.turns == 0


# --- What closes may be repeated --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("device", "action", "code"), [("front_door", "lock", "2"), ("intercom", "lock", "2")])
def test_lock_may_be_repeated_after_2_4_8_s(
    world: World,
    bridge: SimulatedBridge,
    lock: SimulatedLock,
    opener: SimulatedOpener,
    device: str,
    action: str,
    code: str,
) -> None:
    lock.state, opener.state = UNLOCKED, 3
    bridge.catch_up()
    world.start_ready()
    with bridge.faults.busy("/lockAction"):
        world.command(device, action)
        world.run(240)
    world.run(600)
    requests = world.actions(bridge)
    assert 2 <= len(requests) <= 4
    assert {request.query["action"] for request in requests} == {code}
    gaps = [later.at - earlier.at for earlier, later in pairwise(requests)]
    assert all(gap >= 1.9 for gap in gaps)
    assert gaps == sorted(gaps)
    end = world.end(device)
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("failed", "busy", False)
    assert lock.turns == opener.turns == 0


def test_lock_is_repeated_until_the_bridge_is_free(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    with bridge.faults.busy("/lockAction"):
        world.command("front_door", "lock")
        world.run(4)
    world.run(120)
    assert world.life("front_door") == DONE
    assert lock.turns == 1
    assert lock.state == LOCKED
    assert 2 <= len(world.actions(bridge)) <= 3


def test_lock_that_acted_behind_a_503_is_confirmed(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    with bridge.faults.busy("/lockAction", acts=True):
        world.command("front_door", "lock")
        world.run(240)
    assert world.life("front_door") == DONE
    assert 1 <= lock.turns <= 4
    assert lock.state == LOCKED


# --- Refused before a byte --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [*OPENING, "lock"])
def test_refused_before_a_byte_it_ends_within_the_ttl_and_nothing_comes_later(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, action: str
) -> None:
    world.start_ready()
    with bridge.faults.refuse_connections():
        world.command("front_door", action)
        world.run(12)
        end = world.end("front_door")
        assert end["status"] in {"failed", "expired"}
        assert (end["reason"], end["may_have_acted"]) == ("bridge_unreachable", False)
        world.run(20)
    world.run(600)
    world.end("front_door")
    assert not world.actions(bridge)
    assert lock.turns == 0


@pytest.mark.parametrize("action", [*OPENING, "lock"])
@pytest.mark.parametrize("refused_s", [0.5, 2.0, 5.0])
def test_refused_before_a_byte_it_is_sent_again_after_1_2_4_s(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, action: str, refused_s: float
) -> None:
    world.start_ready()
    with bridge.faults.refuse_connections():
        world.command("front_door", action)
        world.run(refused_s)
    world.run(120)
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.turns == 1


def test_refused_before_a_byte_a_shorter_ttl_ends_it_earlier(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with bridge.faults.refuse_connections():
        world.command("front_door", {"action": "unlatch", "ttl_s": 2})
        world.run(4)
        assert world.end("front_door")["status"] in {"failed", "expired"}
    world.run(60)
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_refused_before_a_byte_then_a_byte_without_an_answer_ends_the_repeating(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with bridge.faults.reset_connections("/lockAction"):
        with bridge.faults.refuse_connections():
            world.command("front_door", "unlatch")
            world.run(2.5)
        world.run(240)
    end = world.end("front_door")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("failed", "no_answer", False)
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


# --- A clear no -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", OPENING)
def test_bridge_said_no(world: World, bridge: SimulatedBridge, lock: SimulatedLock, action: str) -> None:
    world.start_ready()
    with bridge.faults.lost_orders(lock.nuki_id), bridge.faults.garbage("/lockAction", NO):
        world.command("front_door", action)
        world.run(5)
        life: Life = [("accepted", None), ("failed", "bridge_said_no")]
        assert world.life("front_door") == life
        world.run(240)
    assert world.life("front_door") == life
    assert world.failures("front_door") == [(action, "bridge_said_no")]
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0
    assert world.retained(SNAPSHOT)["state"] == "locked"


def test_bridge_said_no_since_the_radio_does_not_reach_the_lock(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with bridge.faults.unreachable(lock.nuki_id):
        world.command("front_door", "unlatch")
        world.run(60)
    assert world.life("front_door") == [("accepted", None), ("failed", "bridge_said_no")]
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


def test_device_unreachable_410_and_not_moved(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    with bridge.faults.lost_orders(lock.nuki_id), bridge.faults.garbage("/lockAction", b"HTTP 410 Gone", 410):
        world.command("front_door", "unlatch")
        world.run(240)
    end = world.end("front_door")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("failed", "device_unreachable", False)
    assert world.failures("front_door") == [("unlatch", "device_unreachable")]
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


def test_device_unreachable_is_not_vouched_for_until_it_is_heard_of(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    assert world.retained(f"{SNAPSHOT}/availability") == "online"
    with bridge.faults.unreachable(lock.nuki_id), bridge.faults.garbage("/lockAction", b"HTTP 410 Gone", 410):
        world.command("front_door", "unlatch")
        world.run(120)
        end = world.end("front_door")
        assert end["status"] in {"failed", "unconfirmed"}
        assert end["reason"] == "device_unreachable"
        assert world.retained(f"{SNAPSHOT}/availability") == "offline"
        assert world.retained(SNAPSHOT)["stale"] is True
    lock.turn(UNLOCKED)
    world.run(5)
    assert world.retained(f"{SNAPSHOT}/availability") == "online"
    assert len(world.actions(bridge)) == 1
    assert lock.turns == 0


def test_token_refused(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    with bridge.faults.refuse_token():
        world.command("front_door", {"action": "unlatch", "transaction": "a1"})
        world.run(60)
        end = world.end("front_door", "a1")
        assert end["status"] in {"failed", "expired"}
        assert (end["reason"], end["may_have_acted"]) == ("token_refused", False)
    assert {request.status for request in world.actions(bridge)} <= {401}
    world.run(600)
    assert {request.status for request in world.actions(bridge)} <= {401}
    assert lock.turns == 0


def test_a_device_that_the_bridge_does_not_know_any_more_is_not_ordered(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    world.start_ready()
    bridge.paired = {opener.nuki_id}
    world.command("front_door", "unlatch")
    world.run(60)
    end = world.end("front_door")
    assert (end["status"], end["may_have_acted"]) == ("failed", False)
    assert len(world.failures("front_door")) == 1
    assert {request.status for request in world.actions(bridge)} <= {404}
    assert lock.turns == 0


# --- The state file ---------------------------------------------------------------------------------------------------


def test_never_twice_with_a_state_file_that_cannot_be_written_it_is_one_request_at_most(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Whether an opening command is taken then is not fixed; that it is not sent twice is."""
    process: Process = world.start_ready()
    process.disk.is_writable = False
    process.kill_after(is_action)
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(60)
    world.start_ready(disk=process.disk)
    world.run(120)
    assert len(world.actions(bridge)) <= 1
    assert lock.unlatches <= 1
