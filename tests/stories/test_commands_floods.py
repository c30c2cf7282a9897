"""Floods of messages on command topics: a reason each, and nothing grows by them (docs/topics.md, "Commands")."""

import gc

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock
from tests.stories.world import DONE, Process, World

FLOOD = 5000


def forget(world: World, process: Process) -> None:
    """The test world's own memory."""
    process.logs.clear()
    process.calls.clear()
    process.sent.clear()
    world.broker.log.clear()
    for bridge in world.bridges.values():
        bridge.requests.clear()


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


FLOODS: dict[str, tuple[str, str]] = {
    "nonsense": ("front_door", "{{{number}"),
    "unknown devices": ("device_{number}", "unlatch"),
    "unknown words": ("front_door", "word_{number}"),
    "stale": ("front_door", '{{"action":"unlatch","ts":{number},"transaction":{number}}}'),
    "bare": ("front_door", "unlatch"),
    "bare, by ID": ("1A2B3C4D", "unlock"),
    "transactions": ("front_door", '{{"action":"unlatch","transaction":{number}}}'),
    "locks": ("front_door", '{{"action":"lock","transaction":{number}}}'),
}
MEANT = {"bare", "bare, by ID", "transactions", "locks"}


def flood(world: World, name: str, first: int, *, pause_s: float) -> None:
    """A flood with a pause after each hundred messages."""
    device, payload = FLOODS[name]
    for number in range(first, first + FLOOD):
        topic = f"nuki2mqtt/{device.format(number=number)}/set"
        world.publish(topic, payload.format(number=number), qos=number % 2)
        if pause_s and number % 100 == 99:
            world.run(pause_s)


def check_responsive(world: World, lock: SimulatedLock) -> None:
    since, moved = world.now, lock.turns
    world.command("intercom", "open")
    world.command("front_door", {"action": "unlatch", "ts": world.ts(), "transaction": "after the flood"})
    world.run(60)
    assert world.life("front_door", "after the flood") == DONE
    assert world.life("intercom", since=since) == DONE
    assert lock.turns == moved + 1


@pytest.mark.parametrize("name", ["nonsense", "unknown devices", "stale", "transactions"])
def test_a_flood_gets_a_reason_each_and_leaves_us_responsive(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, name: str
) -> None:
    world.start_ready()
    flood(world, name, 0, pause_s=0.1)
    world.run(200)
    said = [message.json for message in world.broker.log if message.topic.endswith("/result")]
    ends = [one for one in said if one["status"] != "accepted"]
    assert len(ends) == FLOOD
    assert all(one["reason"] is not None or one["status"] == "confirmed" for one in ends)
    # Who means it for 5 s gets some of it, one after the other.
    assert len(world.actions(bridge)) <= (10 if name in MEANT else 0)
    check_responsive(world, lock)


@pytest.mark.parametrize("name", ["nonsense", "unknown devices", "stale", "bare", "locks"])
def test_a_flood_at_once_is_remembered_by_nobody_and_leaves_us_responsive(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, name: str
) -> None:
    """More at once than the broker takes of our answers: whether all are said then is not fixed."""
    process = world.start_ready()
    flood(world, name, 0, pause_s=0)
    world.run(700)
    assert len(world.actions(bridge)) <= (2 if name in MEANT else 0)
    forget(world, process)
    before = objects()
    flood(world, name, FLOOD, pause_s=0)
    world.run(700)
    assert len(world.actions(bridge)) <= 2
    forget(world, process)
    assert objects() - before < 3000, "nothing grows with what was refused"
    check_responsive(world, lock)


def test_a_flood_does_not_keep_the_bridge_s_news_from_us(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    for number in range(20):
        for _ in range(250):
            world.publish("nuki2mqtt/front_door/set", f"word_{number}")
        lock.turn(3 if number % 2 else 1)
        world.run(1)
        assert world.retained("nuki2mqtt/front_door")["state"] == ("unlocked" if number % 2 else "locked")
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert not world.actions(bridge)


def test_a_flood_of_stored_messages_at_the_start_is_refused_and_cleared(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    for number in range(1000):
        world.publish(f"nuki2mqtt/device_{number}/set", "unlatch", retain=True)
    world.publish("nuki2mqtt/front_door/set", "unlatch", retain=True)
    process = world.start_ready()
    world.run(120)
    assert not [topic for topic in world.broker.retained if topic.endswith("/set")]
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert not world.actions(bridge)
    assert process.is_alive
    world.command("front_door", "unlock")
    world.run(30)
    assert len(world.actions(bridge)) == lock.turns == 1
