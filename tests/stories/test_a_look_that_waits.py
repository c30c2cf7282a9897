"""What differs in `seen` alone may wait five minutes to be said, and not until a Bridge happens to speak again."""

import json

from nuki2mqtt.gateway.projection import QUIET_CHANGE_S
from nuki2mqtt.gateway.telling import HEALTH_S
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, SimulatedLock
from tests.stories.conftest import LOCK_ID
from tests.stories.world import World


def test_when_a_lock_was_seen_is_told_though_nobody_asks_its_bridge(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready("poll: {list_s: 3600, info_s: 3600}\n")
    lock.turn(UNLOCKED)
    world.run(20)
    first, asked = world.retained("nuki2mqtt/front_door"), len(bridge.requests)

    url = bridge.callbacks.slots[0]
    assert url is not None
    said = {"deviceType": 4, "nukiId": LOCK_ID, "mode": 2, "state": UNLOCKED, "doorsensorState": first["door_code"]}
    world.knock(url, json.dumps(said).encode())
    world.run(QUIET_CHANGE_S + HEALTH_S)
    second = world.retained("nuki2mqtt/front_door")

    assert len(bridge.requests) <= asked + 1
    assert second["seen"] > first["seen"]
    assert {**second, "seen": None, "source": None} == {**first, "seen": None, "source": None}
