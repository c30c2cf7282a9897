"""Devices, states, doors, rings and batteries that others misread (docs/pains.md, "Devices and states")."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import CONTINUOUS_MODE, LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener
from tests.protocol.ha_schema import complaints
from tests.stories.world import Disk, World

LIST_S = 30.0
SHED_ID = 0x33330001


def entities(world: World, nuki_id: str) -> dict[str, dict[str, Any]]:
    """What Home Assistant was told of a device; that it can read all of it is checked here."""
    topic = f"homeassistant/device/nuki2mqtt_{nuki_id}/config"
    payload = world.retained(topic)
    assert complaints(topic, payload) == []
    components: dict[str, dict[str, Any]] = payload["cmps"]
    return components


def types(world: World, device: str, since: float = 0.0) -> list[str]:
    return [event["event_type"] for event in world.events(device, since)]


# --- Devices and numbers that nobody knows ------------------------------------------------------------------------


ODD_STATES = [0, 3, 77, 253, 255]
ODD_DOORS = [None, 4, 16, 77, 240, 255]


@pytest.mark.parametrize("device_type", [1, 5, 99])
def test_unheard_of_types_states_and_doors_are_shown_as_they_are_and_break_nothing(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, device_type: int
) -> None:
    """A house with a lock for each odd state with each odd door."""
    odd = list(enumerate(product(ODD_STATES, ODD_DOORS), SHED_ID))
    for nuki_id, (state, door) in odd:
        name = f"Shed {nuki_id:08X}"
        world.house.add(SimulatedLock(nuki_id=nuki_id, device_type=device_type, name=name, state=state, door=door))
    process = world.start_ready()
    for nuki_id, (state, door) in odd:
        topic = f"nuki2mqtt/shed_{nuki_id:08x}"
        snapshot = world.retained(topic)
        assert (snapshot["device_type"], snapshot["state_code"], snapshot["door_code"]) == (device_type, state, door)
        assert (snapshot["lock"] is None) is (state != 3)
        assert world.retained(f"{topic}/availability") == "online", "reached, whatever it says"
        assert entities(world, f"{nuki_id:08X}")
    lock.turn(UNLOCKED)
    world.run(1)
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED", "the others go on"
    assert process.is_alive
    assert bridge.wakeups == 0


@pytest.mark.parametrize("device_type", [1, 99])
def test_what_nobody_knows_is_not_unlatched(world: World, lock: SimulatedLock, device_type: int) -> None:
    shed = world.house.add(SimulatedLock(nuki_id=SHED_ID, device_type=device_type, name="Shed"))
    bridge = world.add_bridge()
    world.start_ready()
    for word in ("unlatch", "open", 3, "lock_n_go_unlatch", 5):
        world.command("shed", word)
        world.run(5)
    assert world.life("shed") == [("refused", "unknown_action")] * 5
    assert not world.actions(bridge)
    assert (shed.turns, lock.turns) == (0, 0)


def test_a_lock_that_is_not_calibrated_is_reachable_and_of_an_unknown_state(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    lock.turn(0)
    world.run(LIST_S + 1)
    snapshot = world.retained("nuki2mqtt/front_door")
    assert (snapshot["state"], snapshot["lock"], snapshot["stale"]) == ("uncalibrated", None, False)
    world.run(3600)
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert world.said("nuki2mqtt/front_door/availability").count("offline") <= 1, "before the first report only"
    assert bridge.wakeups == 0


# --- Doors ------------------------------------------------------------------------------------------------------------


def test_a_door_sensor_with_a_bad_hour_neither_opens_the_door_nor_makes_the_lock_unavailable(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    since = world.now
    shown = []
    for code in (4, 2, 255, 2, 16, 240, 2):
        lock.set_door(code)
        world.run(LIST_S + 1)
        shown.append(world.retained("nuki2mqtt/front_door")["door"])
    assert shown == ["unknown", "closed", "unknown", "closed", "uncalibrated", "removed", "closed"]
    assert types(world, "front_door", since) == []
    assert not world.said("nuki2mqtt/front_door/availability", since)
    lock.set_door(3)
    world.run(1)
    assert types(world, "front_door", since) == ["door_opened"]
    assert bridge.wakeups == 0


def test_a_door_sensor_that_comes_later_is_there_without_a_restart_and_one_that_goes_is_gone(world: World) -> None:
    lock = world.house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name="Front door", door=None))
    bridge = world.add_bridge()
    world.start_ready()
    assert "door" not in entities(world, "1A2B3C4D")
    lock.set_door(2)
    world.run(LIST_S + 1)
    assert world.retained("nuki2mqtt/front_door")["door"] == "closed"
    assert entities(world, "1A2B3C4D")["door"]["dev_cla"] == "door"
    lock.set_door(None)
    world.run(LIST_S + 1)
    assert world.retained("nuki2mqtt/front_door")["door"] is None
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert bridge.wakeups == 0


# --- Openers ----------------------------------------------------------------------------------------------------------


def test_an_opener_in_continuous_mode_is_not_shown_as_locked(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    world.start_ready()
    assert world.retained("nuki2mqtt/intercom")["lock"] == "LOCKED"
    opener.set_mode(CONTINUOUS_MODE)
    world.run(LIST_S + 1)
    snapshot = world.retained("nuki2mqtt/intercom")
    assert (snapshot["state"], snapshot["continuous_mode"], snapshot["lock"]) == ("online", True, "UNLOCKED")
    world.command("intercom", "deactivate_cm")
    world.run(10)
    assert world.retained("nuki2mqtt/intercom")["lock"] == "LOCKED"
    assert len(world.actions(bridge)) == opener.turns == 1


def test_an_opener_is_read_as_an_opener(world: World, bridge: SimulatedBridge, opener: SimulatedOpener) -> None:
    """Without the type a Bridge takes the number for a lock's."""
    world.start_ready()
    world.publish("nuki2mqtt/intercom/get", '{"force":true}')
    world.run(10)
    (read,) = world.reads()
    assert read.query == {"nukiId": str(opener.nuki_id), "deviceType": "2"}
    assert (read.status, opener.wakeups, bridge.wakeups) == (200, 1, 1)
    assert world.life("intercom") == [("accepted", None), ("confirmed", None)]


def ring_again_and_again(bridge: SimulatedBridge, opener: SimulatedOpener) -> None:
    bridge.call_back(opener.nuki_id)


def switch_modes(_: SimulatedBridge, opener: SimulatedOpener) -> None:
    opener.set_mode(CONTINUOUS_MODE)
    opener.turn(3)
    opener.turn(1)


def reboot(bridge: SimulatedBridge, _: SimulatedOpener) -> None:
    with bridge.faults.reboot(lose_states=True):
        pass


@pytest.mark.parametrize("what", [ring_again_and_again, switch_modes, reboot])
@pytest.mark.parametrize("after_s", [1.0, 29.0, 31.0, 300.0])
def test_one_ring_is_one_event_whatever_the_bridge_and_the_opener_do_afterwards(
    world: World,
    bridge: SimulatedBridge,
    opener: SimulatedOpener,
    what: Callable[[SimulatedBridge, SimulatedOpener], None],
    after_s: float,
) -> None:
    world.start_ready()
    opener.ring()
    world.run(after_s)
    what(bridge, opener)
    world.run(120)
    assert types(world, "intercom").count("ring") == 1
    assert not world.said("nuki2mqtt/intercom/event/late")
    opener.ring()
    world.run(1)
    assert types(world, "intercom").count("ring") == 2, "and the next one is another"


@pytest.mark.parametrize("down_s", [1.0, 10.0, 60.0])
def test_a_restart_while_it_rings_rings_no_second_time_and_no_ring_is_kept(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener, down_s: float
) -> None:
    disk = Disk("1234abcd")
    process = world.start_ready(disk=disk)
    opener.ring()
    world.run(2)
    assert types(world, "intercom") == ["ring"]
    process.kill()
    world.run(down_s)
    world.start_ready(disk=disk)
    bridge.call_back(opener.nuki_id)
    world.run(120)
    assert types(world, "intercom") == ["ring"]
    assert not world.said("nuki2mqtt/intercom/event/late")
    assert not [topic for topic in world.broker.retained if "/event" in topic]
    assert entities(world, "2A2B3C4E")["ring"]["p"] == "event", "nothing that would have to be switched off again"


# --- Batteries --------------------------------------------------------------------------------------------------------


def test_a_battery_that_was_changed_is_not_low_any_more_and_what_has_no_level_gets_none(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    shown = []
    for critical, level in ((False, 80), (True, 15), (False, 100)):
        lock.set_battery(critical=critical, level=level)
        world.run(LIST_S + 1)
        shown.append(world.retained("nuki2mqtt/front_door")["battery"])
    assert [battery["critical"] for battery in shown] == [False, True, False]
    assert [battery["level"] for battery in shown] == [80, 15, 100]
    assert types(world, "front_door") == ["battery_low"]
    assert world.retained("nuki2mqtt/intercom")["battery"] == {"critical": False}
    assert "battery" in entities(world, "1A2B3C4D")
    assert "battery" not in entities(world, "2A2B3C4E")
    assert "battery_low" in entities(world, "2A2B3C4E")
    assert bridge.wakeups == 0


def test_a_lock_whose_batteries_are_empty_is_not_shown_as_locked_for_ever(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """The Bridge goes on listing its last state; what it does not hear any more is offline, and stale."""
    world.start_ready()
    with bridge.faults.unreachable(lock.nuki_id):
        world.run(5 * 300 + 60)
        snapshot = world.retained("nuki2mqtt/front_door")
        assert (snapshot["lock"], snapshot["stale"]) == ("LOCKED", True)
        assert world.retained("nuki2mqtt/front_door/availability") == "offline"
        assert world.retained("nuki2mqtt/intercom/availability") == "online"
    world.run(400)
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert lock.state == LOCKED
