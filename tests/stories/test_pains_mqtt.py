"""Brokers, Home Assistant and packaging (docs/pains.md, "MQTT and Home Assistant")."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.adapters.heartbeat import Heartbeat
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, House, SimulatedLock
from tests.adapters.brokers import any_broker
from tests.stories.real.household import SteeredClock, household
from tests.stories.world import BRIDGE_HOST, TOKEN, Disk, World

ROOT = Path(__file__).parent.parent.parent
DISCOVERY = re.compile(r"homeassistant/device/[^/]+/config")


def discoveries(world: World) -> dict[str, Any]:
    """All that Home Assistant is told of, by topic."""
    return {topic: world.retained(topic) for topic in world.broker.retained if DISCOVERY.fullmatch(topic)}


def unique_ids(world: World) -> set[str]:
    return {component["uniq_id"] for payload in discoveries(world).values() for component in payload["cmps"].values()}


def lifelines(payload: dict[str, Any]) -> list[str]:
    """The topics on which Home Assistant reads whether the entities of a device are available."""
    topics: list[str] = [entry["t"] for entry in payload["avty"]]
    return topics


def test_a_broker_that_lost_everything_is_told_everything_again(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    before = dict(world.broker.retained)
    world.broker.stop(forget=True)
    world.run(30)
    lock.turn(UNLOCKED)
    world.broker.start()
    world.run(5)
    assert world.broker.retained.keys() == before.keys()
    for topic in discoveries(world):
        assert world.broker.retained[topic] == before[topic]
        assert all(world.retained(lifeline) == "online" for lifeline in lifelines(world.retained(topic)))
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED"
    assert bridge.requests


@pytest.mark.parametrize("is_new", [True, False])
def test_home_assistant_is_told_of_nothing_before_it_can_read_whether_it_is_available(
    world: World,
    bridge: SimulatedBridge,
    is_new: bool,  # noqa: FBT001
) -> None:
    disk = Disk("1234abcd")
    if not is_new:
        world.start_ready(disk=disk).kill()
        world.broker.stop(forget=True)
        world.broker.start()
        world.broker.log.clear()
    world.start_ready(disk=disk)
    known: set[str] = set()
    announced = 0
    for message in world.broker.log:
        known |= {message.topic} if message.retain and message.payload else set()
        if DISCOVERY.fullmatch(message.topic):
            announced += 1
            assert message.retain
            assert set(lifelines(message.json)) <= known, message.topic
    assert announced >= 4, "gateway, Bridge, lock and Opener"
    assert all(world.retained(topic) == "online" for one in discoveries(world).values() for topic in lifelines(one))
    assert bridge.requests


def test_a_house_without_a_single_lock_has_an_available_gateway(world: World) -> None:
    bridge = world.add_bridge()
    world.start_ready()
    world.run(60)
    assert world.retained("nuki2mqtt/gateway/state") == "online"
    assert {topic.split("/")[2] for topic in discoveries(world)} == {
        "nuki2mqtt_gateway_nuki2mqtt",
        "nuki2mqtt_bridge_0A1B2C3D",
    }
    assert all(world.retained(topic) == "online" for one in discoveries(world).values() for topic in lifelines(one))
    assert {request.status for request in bridge.requests} == {200}


def test_what_changes_while_it_runs_makes_no_entity_unavailable(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """A new name, another log level, a refresh, a new sensor: one message at most, and the same entities."""
    world.start_ready()
    since, before = world.now, unique_ids(world)
    world.request("log_level", "debug")
    world.request("refresh")
    lock.name = "Garden door"
    lock.set_battery(critical=True)
    bridge.catch_up()
    world.run(120)
    topic = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"
    assert world.retained(topic)["dev"]["name"] == "Garden door"
    assert len(world.said(topic, since)) == 1
    assert len([message for message in world.broker.log if message.at >= since and DISCOVERY.match(message.topic)]) == 1
    assert unique_ids(world) == before
    spoken = [message for message in world.broker.log if message.at >= since]
    assert not [message.topic for message in spoken if message.payload == b"offline"]


def test_a_new_installation_makes_no_second_device_of_the_same_lock(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Names are those of the hardware and of the base topic, nothing is drawn by lot at the start."""
    world.start_ready(disk=Disk("first")).stop()
    world.run(8)
    topics, ids = set(discoveries(world)), unique_ids(world)
    world.start_ready(disk=Disk("second", secret="another"))
    world.run(30)
    assert set(discoveries(world)) == topics
    assert unique_ids(world) == ids
    assert len([url for url in bridge.callbacks.slots if url is not None]) == 1
    assert lock.turns == 0


def test_what_is_not_permitted_any_more_leaves_no_orphan_in_home_assistant(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Over a restart: each entity that goes is named once by its platform alone, and left out afterwards."""
    disk = Disk("1234abcd")
    world.start_ready(disk=disk).stop()
    world.run(8)
    since = world.now
    world.start_ready("commands: {permit: [lock, unlock, deactivate_rto, activate_rto]}\n", disk=disk)
    world.run(10)
    topic = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"
    taken_back, left = [message.json["cmps"] for message in world.messages(topic, since)]
    gone = {"unlatch", "lock_n_go", "lock_n_go_unlatch"}
    assert {key for key, component in taken_back.items() if component.keys() == {"p"}} == gone
    assert not gone & left.keys()
    assert "lock" in left
    world.command("front_door", "unlatch")
    world.run(10)
    assert world.life("front_door") == [("refused", "not_permitted")]
    assert not world.actions(bridge)
    assert lock.turns == 0


@pytest.mark.parametrize("former", ["attribute", "both"])
def test_plain_topics_of_a_former_setting_do_not_go_on_saying_locked(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, former: str
) -> None:
    """Whoever still reads them sees "LOCKED", not stale, beside an availability that is online: for ever."""
    disk = Disk("1234abcd")
    world.start_ready(f"mqtt: {{output: {former}}}\n", disk=disk).kill()
    world.start_ready(disk=disk)
    lock.turn(UNLOCKED)
    world.run(60)
    assert bridge.requests
    left = [topic for topic in world.broker.retained if topic.startswith("nuki2mqtt/front_door/")]
    assert left == ["nuki2mqtt/front_door/availability"]


def test_switching_home_assistant_off_says_nothing_there_and_everything_else(
    world: World, bridge: SimulatedBridge
) -> None:
    """Off is a setting of its own; an empty prefix is a mistake and not a trick."""
    world.start_ready("homeassistant: {enabled: false}\n")
    world.run(60)
    assert not [message.topic for message in world.broker.log if not message.topic.startswith("nuki2mqtt/")]
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert bridge.requests


def test_twenty_locks_with_keypads_and_sensors_do_not_flood_the_broker(world: World) -> None:
    """Twenty locks with everything: what a start says is counted in messages per device."""
    for number in range(20):
        each = world.house.add(SimulatedLock(nuki_id=0x33330000 + number, name=f"Flat {number}", door=2))
        each.set_battery(keypad_critical=False, charging=False)
    bridge = world.add_bridge()
    world.start_gateway(f"bridges: [{{host: {BRIDGE_HOST}, token: {TOKEN}}}]\n")
    world.run(60)
    per_device = [message for message in world.broker.log if "/flat_7" in message.topic or "33330007" in message.topic]
    assert 3 <= len(per_device) <= 12
    assert len([topic for topic in world.broker.retained if "/flat_7" in topic]) == 2
    assert {request.status for request in bridge.requests} == {200}


class CountedHeartbeat(Heartbeat):
    """Only counts."""

    def __init__(self) -> None:
        super().__init__(Path("unused"))
        self.beats = 0

    def beat(self) -> bool:
        self.beats += 1
        return True


async def test_a_bridge_that_is_away_is_told_and_is_no_reason_to_restart_the_gateway() -> None:
    """What a container engine asks is whether the service itself lives; the Bridge has a topic for that."""
    clock, heartbeat = SteeredClock(datetime(2026, 11, 22, 12, tzinfo=UTC)), CountedHeartbeat()
    house = House(now=clock.epoch())
    house.add(SimulatedLock(nuki_id=0x1A2B3C4D, device_type=4, name="Front door"))
    async with any_broker() as broker, household(broker, house, clock, heartbeat=heartbeat) as one:
        await one.begin()
        assert one.ear.said("nuki2mqtt/bridge/0A1B2C3D/availability")[-1] == "online"
        with one.bridge.faults.refuse_connections():
            for _ in range(5):
                clock.at += timedelta(hours=2)
                before = heartbeat.beats
                await one.settle()
                assert heartbeat.beats > before
            assert one.ear.said("nuki2mqtt/bridge/0A1B2C3D/availability")[-1] == "offline"
            assert one.ear.said("nuki2mqtt/gateway/state")[-1] == "online"


RUST = {"cryptography", "pydantic", "pydantic-core", "orjson", "bcrypt", "rpds-py", "jiter", "tokenizers", "uvloop"}


def test_what_the_gateway_needs_has_no_part_in_rust() -> None:
    """Such parts have no ready-made packages for 32-bit ARM; the one in C can be built in the image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^A-Za-z0-9_-]", text)[0].lower() for text in project["dependencies"]}
    assert needed == {"aiohttp", "aiomqtt", "paho-mqtt", "pyyaml", "cattrs", "pynacl", "zeroconf"}
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert needed <= pinned
    assert not pinned & RUST
