"""Something else happens between a command and its end: topics change hands, devices go, clocks are set, we stop."""

import json
from dataclasses import replace

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.vocabulary import BridgeAnswered, CallBridge, Memory
from nuki2mqtt.protocol.bridge_api import LockActionRequest
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.conftest import OPENER_ID
from tests.stories.world import DONE, Disk, Process, World, refused

HOUR_S = 3600.0
NEW_ID = 0x99998888


def new_lock(world: World) -> SimulatedLock:
    return world.house.add(SimulatedLock(nuki_id=NEW_ID, name="Cellar", door=2))


# --- Topics and devices -----------------------------------------------------------------------------------------------


def test_a_topic_that_the_settings_gave_to_another_lock_never_opens_the_former_one(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the broker is slow, so that the first words of the new process are not yet acknowledged."""
    cellar, disk = new_lock(world), Disk("1234abcd")
    world.start_ready(disk=disk).stop()
    world.run(10)
    config = "devices: {1A2B3C4D: {topic: old_door}, 99998888: {topic: front_door}}\n"
    process = world.start_gateway(f"version: 1\nbridges:\n  - {{host: 192.0.2.10, token: abcdef}}\n{config}", disk)
    acknowledge = process._acknowledge
    monkeypatch.setattr(process, "_acknowledge", lambda number: world.after(4.0, acknowledge, number))
    world.run(3.5)
    since = world.now
    world.command("front_door", {"action": "unlatch", "transaction": "x", "ts": world.ts()})
    world.run(60)
    assert (lock.unlatches, cellar.unlatches) == (0, 1)
    assert world.life("front_door", "x", since) == DONE
    assert len(world.actions(bridge)) == 1


def test_a_lock_that_replaces_an_ignored_one_is_commanded_by_its_topic(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    cellar, disk = new_lock(world), Disk("1234abcd")
    world.start_ready(disk=disk).stop()
    world.run(10)
    world.start_ready("devices: {1A2B3C4D: {ignore: true}, 99998888: {topic: front_door}}\n", disk=disk)
    since = world.now
    world.command("front_door", {"action": "unlatch", "transaction": "a"})
    world.run(60)
    assert world.life("front_door", "a", since) == DONE
    assert (lock.turns, cellar.unlatches, len(world.actions(bridge))) == (0, 1, 1)


@pytest.mark.parametrize("verb", ["set", "get"])
def test_a_device_is_not_removed_while_somebody_waits_for_it(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener, verb: str
) -> None:
    world.start_ready()
    bridge.faults.silent("/lockAction", acts=True).begin()
    bridge.faults.silent("/list").begin()
    world.publish(f"nuki2mqtt/front_door/{verb}", json.dumps({"action": "unlatch", "transaction": "a"}))
    world.run(1)
    bridge.paired = [OPENER_ID]
    world.request("device_remove", {"device": "front_door"})
    world.run(1)
    (answer,) = world.responses("device_remove")
    assert answer["status"] == "error"
    assert answer["error"].startswith("busy")
    bridge.faults.active.clear()
    world.run(300)
    assert world.end("front_door", "a")
    world.request("device_remove", {"device": "front_door"})
    world.run(5)
    assert world.responses("device_remove")[-1]["status"] == "ok"
    assert world.retained("nuki2mqtt/front_door") is None
    world.command("intercom", "open")
    world.run(30)
    assert opener.unlatches == 1
    assert lock.unlatches == (1 if verb == "set" else 0)


def test_a_lock_that_moved_to_the_other_bridge_is_ordered_there(world: World, lock: SimulatedLock) -> None:
    first = world.add_bridge("192.0.2.10", hardware_id=0x0A1B2C3D)
    second = world.add_bridge("192.0.2.11", hardware_id=0x0A1B2C3E, paired=[OPENER_ID])
    first.rssi_offset_db = 20
    world.start_ready()
    world.run(60)
    first.paired, second.paired = [OPENER_ID], None
    second.catch_up()
    world.run(400)
    world.command("front_door", {"action": "unlatch", "transaction": "x"})
    world.run(60)
    assert world.life("front_door", "x") == DONE
    assert (len(world.actions(first)), len(world.actions(second)), lock.unlatches) == (0, 1, 1)


# --- One command after another ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("former", ["unlock", "unlatch", "lock_n_go"])
def test_what_the_former_command_still_does_confirms_no_other_one(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, former: str
) -> None:
    world.start_ready()
    world.command("front_door", {"action": former, "transaction": "a1"})
    world.run(1.0)
    moved = lock.unlatches
    with bridge.faults.busy("/lockAction"):
        world.command("front_door", {"action": "unlatch", "transaction": "a2"})
        world.run(1.5)
    world.run(120)
    assert lock.unlatches == moved, "the second one did not act"
    end = world.end("front_door", "a2")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("unconfirmed", "busy", True)


def test_a_refused_connection_does_not_make_us_forget_the_former_one(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(1.2)
    with bridge.faults.refuse_connections():
        world.command("front_door", {"action": "unlatch", "transaction": "a2"})
        world.run(0.6)
    with bridge.faults.busy("/lockAction"):
        world.run(30)
    world.run(120)
    assert lock.unlatches == 1
    assert world.end("front_door", "a2")["status"] != "confirmed"


def test_a_command_in_between_does_not_make_us_forget_the_one_before(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(0.7)
    with bridge.faults.busy("/lockAction"):
        world.command("front_door", {"action": "lock", "transaction": "b"})
        world.run(0.7)
        world.command("front_door", {"action": "unlatch", "transaction": "a2"})
        world.run(1.5)
    world.run(120)
    assert lock.unlatches == 1
    assert world.end("front_door", "a2")["status"] != "confirmed"


def test_queued_and_not_yet_sent_hides_no_equal_one(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    bridge.timing = replace(bridge.timing, accept_s=2.0)
    world.start_ready("commands: {overlap: queue}\n")
    for word in ("unlatch", "lock", "unlatch"):
        world.command("front_door", word)
        world.run(0.3)
    world.run(60)
    assert lock.unlatches == 1
    assert [request.query["action"] for request in world.actions(bridge)] == ["3", "2"]


def test_a_reason_of_an_earlier_try_is_not_given_for_a_later_one(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    bridge.faults.lost_orders(lock.nuki_id).begin()
    with bridge.faults.busy("/lockAction"):
        world.command("front_door", "lock")
        world.run(1)
    world.run(200)
    end = world.end("front_door")
    assert (end["status"], end["reason"]) == ("unconfirmed", None)


def test_what_was_derived_is_withdrawn_when_another_command_comes(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    bridge.faults.silent_callbacks().begin()
    bridge.faults.frozen_cache(lock.nuki_id).begin()
    world.command("front_door", "unlock")
    world.run(1)
    assert world.retained("nuki2mqtt/front_door")["derived"] is True
    bridge.faults.silent("/lockAction").begin()
    world.command("front_door", "lock")
    world.run(0.1)
    snapshot = world.retained("nuki2mqtt/front_door")
    assert (snapshot["state"], snapshot["derived"]) == ("locked", False)


# --- Clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_fell_back_since_the_last_info_is_not_trusted(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.is_synchronised = False
    world.start_ready(bridge="auth: plain")
    old = world.ts()
    world.run(HOUR_S + 20)
    world.set_wall(world.now - HOUR_S - 20)
    world.run(5)
    since = world.now
    world.command("front_door", {"action": "unlatch", "ts": old})
    world.run(20)
    assert world.life("front_door", since=since) == refused("clock_untrusted")
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_what_was_sent_while_the_clock_stood_at_1970_is_known_after_a_restart(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    disk = Disk("1234abcd")
    world.set_wall(1000.0)
    world.is_synchronised = False
    process = world.start_ready(bridge="auth: plain", disk=disk)
    world.run(30)
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(20)
    process.kill()
    world.wall_offset_s, world.is_synchronised = 0.0, True
    world.run(1)
    world.start_ready(bridge="auth: plain", disk=disk)
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(20)
    assert world.life("front_door", "a1") == [*DONE, ("refused", "duplicate")]
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_an_expiry_that_is_over_by_waiting_is_stale(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    process = world.start_ready()
    process.inbox_s = 4.0
    world.publish("nuki2mqtt/front_door/set", "unlatch", expiry_s=3)
    world.run(30)
    assert world.life("front_door") == refused("stale")
    assert not world.actions(bridge)
    assert lock.turns == 0


# --- Outages, stops ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_an_end_that_the_broker_never_had_is_told_after_the_restart(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, ending: str
) -> None:
    disk = Disk("1234abcd")
    process = world.start_ready(disk=disk)
    world.command("front_door", {"action": "unlatch", "transaction": "a1", "ts": world.ts()})
    world.run(0.3)
    world.broker.stop()
    world.run(60)
    process.stop() if ending == "stop" else process.kill()
    world.run(10)
    world.broker.start()
    world.start_ready(disk=disk)
    world.run(60)
    assert world.life("front_door", "a1") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_a_request_that_waits_is_answered_when_we_stop(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_ready()
    bridge.faults.silent("/log").begin()
    world.request("bridge_log", {"transaction": 1})
    world.run(1)
    process.stop()
    world.run(10)
    (answer,) = world.responses("bridge_log")
    assert (answer["status"], answer["transaction"]) == ("error", 1)


def too_late(process: Process, call: CallBridge) -> None:
    """The shell found the order too late: the state file had taken its time."""
    error = BridgeError(BridgeErrorKind.TOO_LATE, "the order came too late and was not sent")
    process.world.after(12.0, process.deliver, BridgeAnswered(call.link, call.call_id, error))


def test_an_order_that_the_disk_held_back_expires_and_blames_no_bridge(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk("1234abcd", memory=Memory())
    process = world.start_ready(disk=disk)
    usual = process._call

    def call(order: CallBridge) -> None:
        too_late(process, order) if isinstance(order.request, LockActionRequest) else usual(order)

    monkeypatch.setattr(process, "_call", call)
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(60)
    end = world.end("front_door", "a1")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("expired", "busy", False)
    assert not disk.memory.journal
    assert not [text for text in process.warnings if "Bridge" in text]
    assert (lock.turns, len(world.actions(bridge))) == (0, 0)
