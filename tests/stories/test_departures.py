"""A device that was removed from its Bridge leaves nothing behind; one whose Bridge is away stays."""

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from tests.stories.world import World

DISCOVERY = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"


def test_a_removed_device_is_cleared_after_ten_minutes_and_comes_back_when_it_is_paired_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    process = world.start_ready()
    world.run(30)
    assert DISCOVERY in world.broker.retained
    bridge.paired = {opener.nuki_id}
    world.run(500)
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"offline"
    assert DISCOVERY in world.broker.retained
    world.run(200)

    assert [topic for topic in world.broker.retained if "front_door" in topic or "1A2B3C4D" in topic] == []
    assert "No Bridge lists device 1A2B3C4D any more: it is removed, with its topics and entities." in process.warnings
    assert world.broker.retained["nuki2mqtt/intercom/availability"] == b"online"
    assert [one["topic"] for one in world.retained("nuki2mqtt/gateway/devices")] == ["intercom"]

    bridge.paired = {opener.nuki_id, lock.nuki_id}
    world.run(60)
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"
    assert DISCOVERY in world.broker.retained


def test_a_device_whose_bridge_is_away_stays(world: World, lock: SimulatedLock) -> None:
    away = world.add_bridge("192.0.2.11", hardware_id=0x0B000000, paired={lock.nuki_id})
    world.add_bridge("192.0.2.10", hardware_id=0x0C000000, paired=set())
    world.start_ready()
    world.run(30)
    with away.faults.refuse_connections():
        world.run(3600)
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"offline"
    assert DISCOVERY in world.broker.retained
    world.run(120)
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"


def test_a_list_that_cannot_be_read_whole_takes_nothing_away(world: World, bridge: SimulatedBridge) -> None:
    world.start_ready()
    world.run(30)
    with bridge.faults.garbage("/list", b'[{"nukiId": "?"}]'):
        world.run(3600)
    assert DISCOVERY in world.broker.retained
