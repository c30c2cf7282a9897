import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from tests.stories.world import World

LOCK_ID = 0x1A2B3C4D
OPENER_ID = 0x2A2B3C4E


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def lock(world: World) -> SimulatedLock:
    return world.house.add(SimulatedLock(nuki_id=LOCK_ID, device_type=4, name="Front door", door=2))


@pytest.fixture
def opener(world: World) -> SimulatedOpener:
    return world.house.add(SimulatedOpener(nuki_id=OPENER_ID, name="Intercom"))


@pytest.fixture
def bridge(world: World, lock: SimulatedLock, opener: SimulatedOpener) -> SimulatedBridge:
    assert lock.house is opener.house
    return world.add_bridge()
