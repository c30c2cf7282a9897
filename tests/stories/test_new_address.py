"""Our computer gets another address: the Bridge must be told soon, or it calls somebody else."""

from nuki2mqtt.simulator.bridge import SimulatedBridge
from tests.stories.world import World


def test_the_bridge_has_our_new_address_with_the_next_answer_and_one_slot_is_ours(
    world: World, bridge: SimulatedBridge
) -> None:
    process = world.start_ready()
    (before,) = [url for url in bridge.callbacks.slots if url is not None]
    assert before.startswith("http://192.0.2.5:")

    process.host = "192.0.2.99"
    world.run(70)

    (own,) = [url for url in bridge.callbacks.slots if url is not None]
    assert own.startswith("http://192.0.2.99:")
