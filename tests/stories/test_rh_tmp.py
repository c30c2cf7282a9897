"""Random days in a house where things go wrong, judged by the house's own truth.

A small forerunner of a storm: faults with a beginning and an end, people who turn keys, a broker that goes away,
a gateway that is killed. When all is calm again MQTT must say what is true, and at no time may a Bridge be asked
two things at once or more often than the gap allows.
"""

import json
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from nuki2mqtt.model.state import state_of
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.faults import Fault
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.world import START, Disk, Process, World

SEEDS = range(1000, 2200)
CALM_S = 140.0
READ_S = 31.0
INFO_S = 310.0
STEPS = 60


class Day:
    """One seeded day."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a seed is the point
        self.world = World()
        self.lock = self.world.house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name="Front door", door=2))
        self.opener = self.world.house.add(SimulatedOpener(nuki_id=0x2A2B3C4E))
        self.bridge = self.world.add_bridge(clock_skew_s=self.chance.choice([0.0, 0.0, -40.0, 40.0]))
        self.disk = Disk("1234abcd")
        self.process: Process = self.world.start_gateway(disk=self.disk)
        self.faults: list[tuple[float, Fault]] = []
        self.rings: list[float] = []

    def step(self) -> None:
        world, chance = self.world, self.chance
        match chance.randrange(12):
            case 0 | 1 | 2:
                self.lock.turn(UNLOCKED if self.lock.state == LOCKED else LOCKED)
            case 3 | 4:
                self.lock.set_door(5 - (self.lock.door or 2))
            case 5 if world.broker.is_up and self.process.is_alive and world.now - self.process_since > 10:
                self.opener.ring()
            case 6 | 7 | 8:
                fault = self.random_fault()
                self.faults.append((world.now + chance.uniform(1, 200), fault.begin()))
            case 9:
                world.broker.stop(forget=chance.random() < 0.3)
                world.run(chance.uniform(0.1, 20))
                world.broker.start()
            case 10:
                self.process.kill()
                world.run(chance.uniform(0, 30))
                self.process = world.start_gateway(disk=self.disk)
            case _:
                world.holds_callbacks_s = chance.choice([0.0, 0.0, 5.0, 60.0])
        world.run(chance.choice([0.1, 1, 3, 10, 40, 120]))
        for end, fault in list(self.faults):
            if end <= world.now:
                fault.end()
                self.faults.remove((end, fault))

    @property
    def process_since(self) -> float:
        return self.process.gateway._identity.started.wall.timestamp()

    def random_fault(self) -> Fault:
        faults, lock_id = self.bridge.faults, self.lock.nuki_id
        makers: list[Callable[[], Fault]] = [
            faults.silent_callbacks,
            faults.busy,
            faults.silent,
            faults.refuse_connections,
            faults.reset_connections,
            lambda: faults.garbage("/list", b"<html>"),
            lambda: faults.frozen_cache(lock_id),
            lambda: faults.no_last_known_state(lock_id),
            lambda: faults.unreachable(lock_id),
            lambda: faults.missing_from_scan(lock_id),
            lambda: faults.reboot(lose_callbacks=self.chance.random() < 0.5),
        ]
        return self.chance.choice(makers)()

    def calm(self) -> None:
        for _, fault in self.faults:
            fault.end()
        self.faults.clear()
        self.world.holds_callbacks_s = 0.0
        self.world.run(READ_S)  # a read of a lock that began in the last fault may end badly after it
        self.bridge.catch_up()
        self.world.run(CALM_S)


@pytest.fixture(params=SEEDS)
def day(request: pytest.FixtureRequest) -> Day:
    lived = Day(request.param)
    for _ in range(STEPS):
        lived.step()
    lived.calm()
    return lived


def check_truth(day: Day) -> None:
    for topic, device in (("front_door", day.lock), ("intercom", day.opener)):
        snapshot = day.world.retained(f"nuki2mqtt/{topic}")
        assert snapshot["state"] == state_of(device.device_type, device.state)
        assert snapshot["stale"] is False
        assert day.world.retained(f"nuki2mqtt/{topic}/availability") == "online"
    assert day.world.retained("nuki2mqtt/front_door")["door"] == ("closed" if day.lock.door == 2 else "open")
    assert day.world.retained("nuki2mqtt/gateway/state") == "online"


def check_bridge(bridge: SimulatedBridge, day: Day) -> None:
    for process in day.world.processes:
        sent = [at for at, call in process.sent if call.link]
        assert all(later - earlier >= 0.5 - 1e-6 for earlier, later in pairwise(sent))
    ours = [slot for slot in bridge.callbacks.slots if slot is not None]
    assert len(ours) == 1
    assert max(day.lock.wakeups, day.opener.wakeups) <= 24 * (len(day.world.processes) + 1)


def check_words(day: Day) -> None:
    for message in day.world.broker.log:
        assert not (message.retain and "/event" in message.topic)
        assert b"abcdef" not in message.payload
        assert b"/callback/" not in message.payload
    for topic in ("front_door", "intercom"):
        stale: bool | None = None
        for message in day.world.broker.log:
            if message.topic == f"nuki2mqtt/{topic}" and message.payload:
                stale = json.loads(message.payload)["stale"]
            if message.topic == f"nuki2mqtt/{topic}/availability" and message.payload == b"online":
                assert stale is False, "online is said only of a fresh snapshot"


def test_when_all_is_calm_mqtt_says_what_is_true(day: Day) -> None:
    check_truth(day)
    day.world.run(INFO_S)  # a Bridge that lost our callback in a reboot is found out by its uptime
    check_truth(day)
    check_bridge(day.bridge, day)
    check_words(day)
    assert day.world.now > START
