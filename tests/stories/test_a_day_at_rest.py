"""A day of the simulated house: what a Bridge has to bear at rest, and what a day's life costs.

`pytest -s tests/stories/test_a_day_at_rest.py` prints the figures.
"""

from collections import Counter

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.world import World

DAY_S = 86_400
AT_MOST_PER_HOUR = 136  # 120 /list, 12 /info, 4 /callback/list


def test_a_day_at_rest_costs_at_most_136_requests_an_hour_and_wakes_no_lock(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    world.start_gateway()
    world.run(3600)
    since, said = world.now, len(world.broker.log)
    world.run(DAY_S)
    paths = Counter(request.path for request in bridge.requests if request.at >= since)
    per_hour = sum(paths.values()) / 24
    messages = Counter(message.topic for message in world.broker.log[said:])
    print(f"\na day at rest: {per_hour:.1f} requests an hour ({dict(paths)}), {sum(messages.values())} MQTT messages")
    assert per_hour <= AT_MOST_PER_HOUR
    assert lock.wakeups == opener.wakeups == bridge.wakeups == 0
    assert messages["nuki2mqtt/front_door/event"] == messages["nuki2mqtt/intercom/event"] == 0
    assert messages["nuki2mqtt/front_door/availability"] == 0


def test_a_day_of_comings_and_goings_wakes_no_lock_and_tells_each_once(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    world.start_gateway()
    world.run(3600)
    since = world.now
    for _ in range(20):
        opener.ring()
        world.run(20)
        lock.turn(UNLOCKED)
        world.run(5)
        lock.set_door(3)
        world.run(10)
        lock.set_door(2)
        world.run(30)
        lock.turn(LOCKED)
        world.run(DAY_S / 20 - 65)
    requests = [request for request in bridge.requests if request.at >= since]
    print(f"\na day with 100 changes: {len(requests) / 24:.1f} requests an hour, {bridge.wakeups} reads of a lock")
    assert bridge.wakeups == 0
    assert len(requests) / 24 <= AT_MOST_PER_HOUR + 6
    counts = Counter(event["event_type"] for event in world.events("front_door", since))
    assert counts == {"state_changed": 40, "door_opened": 20, "door_closed": 20}
    assert [event["event_type"] for event in world.events("intercom", since)] == ["ring"] * 20
