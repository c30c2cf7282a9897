"""One lock on two Bridges, and one that moves from one to the other: one device, one topic, no change told twice."""

import json
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock
from tests.stories.world import DONE, Disk, World

LOCKED, UNLOCKED = 1, 3
DISCOVERY = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"
FIRST_HOST, SECOND_HOST = "192.0.2.10", "192.0.2.11"


@pytest.fixture
def first(world: World, lock: SimulatedLock) -> SimulatedBridge:
    assert lock.house is world.house
    return world.add_bridge(FIRST_HOST, hardware_id=0x0A1B2C3D)


@pytest.fixture
def second(world: World, first: SimulatedBridge) -> SimulatedBridge:
    assert first.house is world.house
    return world.add_bridge(SECOND_HOST, hardware_id=0x0B1B2C3D)


def shown(world: World) -> dict[str, Any]:
    snapshot: dict[str, Any] = world.retained("nuki2mqtt/front_door")
    return snapshot


def devices(world: World) -> list[tuple[str, str]]:
    return [(one["id"], one["topic"]) for one in world.retained("nuki2mqtt/gateway/devices")]


def changes(world: World, since: float = 0.0) -> list[tuple[str, str]]:
    told = [event for event in world.events("front_door", since) if event["event_type"] == "state_changed"]
    return [(event["from"], event["to"]) for event in told]


# --- On two -------------------------------------------------------------------------------------------------------


def test_a_lock_on_two_bridges_is_one_device_whose_every_change_is_told_once(
    world: World, first: SimulatedBridge, second: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    assert devices(world) == [("1A2B3C4D", "front_door")]
    for code in (UNLOCKED, LOCKED, UNLOCKED):
        lock.turn(code)
        world.run(90)
    assert changes(world) == [("locked", "unlocked"), ("unlocked", "locked"), ("locked", "unlocked")]
    assert shown(world)["lock"] == "UNLOCKED"
    assert all(any(request.path == "/list" for request in bridge.requests) for bridge in (first, second))


def test_a_bridge_that_is_behind_does_not_take_back_what_the_other_has_seen(
    world: World, first: SimulatedBridge, second: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    with second.faults.frozen_cache(lock.nuki_id), second.faults.silent_callbacks():
        lock.turn(UNLOCKED)
        world.run(1800)
        assert changes(world) == [("locked", "unlocked")]
        assert (shown(world)["lock"], shown(world)["stale"]) == ("UNLOCKED", False)
    assert len([request for request in second.requests if request.path == "/list"]) > 50
    assert first.requests


@pytest.mark.parametrize("dead", [0, 1])
def test_one_of_two_bridges_is_enough_to_vouch_for_the_lock(
    world: World, first: SimulatedBridge, second: SimulatedBridge, lock: SimulatedLock, dead: int
) -> None:
    world.start_ready()
    before = world.now
    with (first, second)[dead].faults.refuse_connections():
        world.run(1800)
        assert world.said("nuki2mqtt/front_door/availability", before) == []
        lock.turn(UNLOCKED)
        world.run(60)
        assert (shown(world)["lock"], shown(world)["stale"]) == ("UNLOCKED", False)
    dead_id = f"{(first, second)[dead].hardware_id:08X}"
    assert world.said(f"nuki2mqtt/bridge/{dead_id}/availability", before)[0] == "offline"


def test_with_both_bridges_dead_nobody_vouches(
    world: World, first: SimulatedBridge, second: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    deaf = first.faults.refuse_connections(), second.faults.refuse_connections()
    mute = first.faults.silent_callbacks(), second.faults.silent_callbacks()
    with deaf[0], deaf[1], mute[0], mute[1]:
        lock.turn(UNLOCKED)
        world.run(120)
        assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"offline"
        assert (shown(world)["lock"], shown(world)["stale"]) == ("LOCKED", True)
    world.run(120)
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"
    assert (shown(world)["lock"], shown(world)["stale"]) == ("UNLOCKED", False)


# --- Moved --------------------------------------------------------------------------------------------------------


def test_a_lock_that_moves_to_another_bridge_keeps_topic_entities_and_obeys_there(
    world: World, first: SimulatedBridge, second: SimulatedBridge, lock: SimulatedLock
) -> None:
    first.paired, second.paired = {lock.nuki_id}, set()
    process = world.start_ready()
    topics = {topic for topic in world.broker.retained if "front_door" in topic or "1A2B3C4D" in topic}
    assert shown(world)["bridge"] == "0A1B2C3D"
    before = world.now

    first.paired, second.paired = set(), {lock.nuki_id}
    second.catch_up()
    world.run(900)
    assert devices(world) == [("1A2B3C4D", "front_door")]
    assert {topic for topic in world.broker.retained if "front_door" in topic or "1A2B3C4D" in topic} == topics
    assert (shown(world)["bridge"], shown(world)["lock"], shown(world)["stale"]) == ("0B1B2C3D", "LOCKED", False)
    assert changes(world, before) == []
    assert not [text for text in process.warnings if "it is removed" in text]

    world.command("front_door", {"action": "unlatch", "transaction": "there"})
    world.run(60)
    assert world.life("front_door", "there") == DONE
    assert (len(world.actions(first)), len(world.actions(second)), lock.unlatches) == (0, 1, 1)


def test_home_assistant_is_told_of_the_new_bridge_of_a_moved_lock_and_loses_no_entity(
    world: World, first: SimulatedBridge, second: SimulatedBridge, lock: SimulatedLock
) -> None:
    first.paired, second.paired = {lock.nuki_id}, set()
    world.start_ready()
    then = json.loads(world.broker.retained[DISCOVERY])
    before = world.now
    first.paired, second.paired = set(), {lock.nuki_id}
    second.catch_up()
    world.run(900)
    now = json.loads(world.broker.retained[DISCOVERY])
    assert now["cmps"].keys() == then["cmps"].keys()
    assert {one["uniq_id"] for one in now["cmps"].values()} == {one["uniq_id"] for one in then["cmps"].values()}
    assert "" not in world.said(DISCOVERY, before)
    text = world.broker.retained[DISCOVERY].decode()
    assert "nuki2mqtt/bridge/0B1B2C3D/availability" in text
    assert "nuki2mqtt/bridge/0A1B2C3D/availability" not in text


def test_a_lock_that_moved_while_we_were_away_keeps_its_topic(
    world: World, first: SimulatedBridge, second: SimulatedBridge, lock: SimulatedLock
) -> None:
    first.paired, second.paired = {lock.nuki_id}, set()
    disk = Disk("moved")
    process = world.start_ready(disk=disk)
    process.stop()
    world.run(1)
    first.paired, second.paired = set(), {lock.nuki_id}
    second.catch_up()
    lock.name = "Flat 3"
    world.start_ready(disk=disk)
    world.run(900)
    assert devices(world) == [("1A2B3C4D", "front_door")]
    assert (shown(world)["bridge"], shown(world)["name"], shown(world)["stale"]) == ("0B1B2C3D", "Flat 3", False)


def test_a_replaced_lock_of_the_same_name_never_gets_the_topic_of_the_old_one(
    world: World, first: SimulatedBridge, lock: SimulatedLock
) -> None:
    first.paired = {lock.nuki_id}
    world.start_ready()
    other = world.house.add(SimulatedLock(nuki_id=0x5E6F7081, device_type=4, name="Front door"))
    other.turn(UNLOCKED)
    first.paired = {other.nuki_id}
    first.catch_up()
    world.run(1200)
    assert devices(world) == [("5E6F7081", "front_door_7081")]
    assert "nuki2mqtt/front_door" not in world.broker.retained
    assert world.retained("nuki2mqtt/front_door_7081")["lock"] == "UNLOCKED"
    assert {json.loads(text)["id"] for text in world.said("nuki2mqtt/front_door") if text} == {"1A2B3C4D"}

    world.command("front_door", {"action": "unlatch", "transaction": "old topic"})
    world.run(30)
    assert world.life("front_door", "old topic") == [("refused", "unknown_device")]
    assert (other.turns, lock.turns, len(world.actions(first))) == (0, 0, 0)
