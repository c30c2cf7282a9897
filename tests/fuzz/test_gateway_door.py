"""Whatever comes by MQTT, from a Bridge or as a memory: the gateway does not raise, nothing moves that was not ordered,
and the world goes on.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.adapters.state_codec import read_state
from nuki2mqtt.errors import Nuki2mqttError
from nuki2mqtt.gateway.vocabulary import CallbackReceived, MqttReceived
from nuki2mqtt.model.action import LOCK_ACTIONS, OPENER_ACTIONS
from nuki2mqtt.protocol.bridge_api import parse_callback
from nuki2mqtt.protocol.command_words import find_action
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from tests.fuzz.inputs import NASTY, bodies, budget
from tests.stories.world import BRIDGE_HOST, BRIDGE_PORT, DONE, Disk, Process, World

LOCK_ID, OPENER_ID = 0x1A2B3C4D, 0x2A2B3C4E
LINK = f"{BRIDGE_HOST}:{BRIDGE_PORT}"
LEVELS = {"front_door": 4, "1A2B3C4D": 4, "1a2b3c4d": 4, "intercom": 2, "2A2B3C4E": 2}
ONLY_LOCK = "commands: {permit: [lock]}\n"
NOTHING = "commands: {permit: []}\n"
LONG_S = 400.0  # longer than another gateway is believed to live


@dataclass(frozen=True)
class Said:
    """One message of somebody."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None
    expiry_s: int | None
    pause_s: float

    def event(self, world: World) -> MqttReceived:
        """As it arrives; MQTT 3.1.1 has no properties."""
        bare = MqttReceived(self.topic, self.payload, self.retained, received=world.monotonic)
        if world.protocol != "5":
            return bare
        return replace(bare, response_topic=self.response_topic, correlation=self.correlation, expiry_s=self.expiry_s)


TEXT = st.text(max_size=12)
TOPICS = st.one_of(
    st.sampled_from([f"nuki2mqtt/{level}/{verb}" for level in LEVELS for verb in ("set", "get")]),
    st.sampled_from(
        ["refresh", "callbacks", "callback_remove", "bridge_log", "bridge_reboot", "diagnostics", "log_level"]
    ).map("nuki2mqtt/gateway/request/{}".format),
    st.sampled_from(
        [
            "homeassistant/status",
            "nuki2mqtt/front_door",
            "nuki2mqtt/gateway/state",
            "nuki2mqtt/gateway/info",
            "nuki2mqtt/gateway/health",
            "nuki2mqtt/bridge/0A1B2C3D/availability",
            "nuki2mqtt//set",
            "nuki2mqtt/gateway/set",
            "nuki2mqtt/nobody/set",
            "nuki2mqtt/front_door/result",
            "nuki2mqtt/gateway/request/find",
        ]
    ),
    TEXT,
    TEXT.map("nuki2mqtt/{}/set".format),
    TEXT.map("nuki2mqtt/gateway/request/{}".format),
)
PAYLOADS = st.one_of(
    bodies("command"), bodies("get"), bodies("request"), bodies("retained"), st.sampled_from(NASTY), st.just(b"unlock")
)
MESSAGES = st.builds(
    Said,
    topic=TOPICS,
    payload=PAYLOADS,
    retained=st.booleans(),
    response_topic=st.none() | st.sampled_from(["answers/a", "nuki2mqtt/front_door/set", "+", "", "a/set"]) | TEXT,
    correlation=st.none() | st.binary(max_size=8),
    expiry_s=st.none() | st.integers(0, 2**32 - 1),
    pause_s=st.sampled_from([0.0, 0.0, 1.0, 20.0]),
)


# What would move something, if it came to the right topic in the right way.
ORDERS = st.builds(
    Said,
    topic=st.sampled_from([f"nuki2mqtt/{level}/set" for level in LEVELS]),
    payload=st.sampled_from([b"unlock", b"3", b'{"action":"unlatch"}', b"lock", b"open", b'{"state":"UNLOCK"}']),
    retained=st.booleans(),
    response_topic=st.none(),
    correlation=st.none(),
    expiry_s=st.none() | st.just(60),
    pause_s=st.sampled_from([0.0, 20.0]),
)
SAID = st.lists(MESSAGES | ORDERS, min_size=1, max_size=6)


def new_world(extra: str = "", protocol: str = "5") -> tuple[World, Process]:
    world = World("5" if protocol == "5" else "3.1.1")
    world.house.add(SimulatedLock(nuki_id=LOCK_ID, device_type=4, name="Front door", door=2))
    world.house.add(SimulatedOpener(nuki_id=OPENER_ID, name="Intercom"))
    world.add_bridge()
    return world, world.start_ready(extra)


def say(world: World, process: Process, messages: Sequence[Said]) -> None:
    for said in messages:
        process.deliver(said.event(world))
        world.run(said.pause_s)


def could_order(said: Said) -> tuple[int, int] | None:
    """Device and code of what may be a command; more is let pass here than by the product, but nothing else."""
    level, _, verb = said.topic.removeprefix("nuki2mqtt/").partition("/")
    if said.retained or verb != "set" or level not in LEVELS or not said.topic.startswith("nuki2mqtt/"):
        return None
    text = said.payload.decode("utf-8-sig", errors="replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    word = value.get("action", value.get("state")) if isinstance(value, dict) else value
    if isinstance(word, str) and word.strip().isdecimal():
        word = int(word.strip())
    if isinstance(word, bool) or not isinstance(word, int | str):
        return None
    device_type = LEVELS[level]
    action = find_action(word.strip() if isinstance(word, str) else word, device_type)
    if action is None:
        return None
    facts = LOCK_ACTIONS if device_type == 4 else OPENER_ACTIONS
    return (LOCK_ID if device_type == 4 else OPENER_ID), facts[action].code


def moved(world: World) -> Counter[tuple[int, int]]:
    return Counter((int(sent.query["nukiId"]), int(sent.query["action"])) for sent in world.actions())


def goes_on(world: World, process: Process) -> None:
    """The gateway owns its base, follows its Bridge and takes a command."""
    world.run(LONG_S)
    assert process.is_alive
    assert process.number in world.broker.connected
    since = world.now
    world.run(61)
    assert world.said("nuki2mqtt/gateway/health", since), "its health is said each minute"
    # Whoever wrote on our own topics was contradicted, or is overwritten by the next that differs.
    world.command("1A2B3C4D", {"action": "lock", "transaction": "the last", "ts": world.ts()})
    world.run(60)
    assert [life for life in (world.life("front_door", "the last"),) if life] == [DONE]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_messages_of_anybody_move_only_what_they_order(protocol: str) -> None:
    @budget(20)
    @given(messages=SAID)
    def check(messages: list[Said]) -> None:
        world, process = new_world(protocol=protocol)
        say(world, process, messages)
        world.run(90)
        ordered = Counter(order for said in messages if (order := could_order(said)) is not None)
        assert moved(world) <= ordered, messages
        goes_on(world, process)

    check()


@budget(30)
@given(messages=SAID, extra=st.sampled_from([ONLY_LOCK, NOTHING]))
def test_what_is_not_permitted_never_moves_anything(messages: list[Said], extra: str) -> None:
    world, process = new_world(extra)
    say(world, process, messages)
    world.run(90)
    codes = {code for _, code in moved(world)}
    allowed = {LOCK_ACTIONS[action].code for action in LOCK_ACTIONS if action == "lock"}
    assert codes <= (allowed if extra == ONLY_LOCK else set())


PATHS = {
    "/list": "list",
    "/info": "info",
    "/callback/list": "callback_list",
    "/callback/add": "callback_add",
    "/lockState": "lock_state",
    "/lockAction": "lock_action",
    "/log": "log",
}


@budget(20)
@given(path=st.sampled_from(sorted(PATHS)), status=st.sampled_from([200, 200, 200, 400, 401, 404, 500]), data=st.data())
def test_bodies_of_a_broken_bridge_are_survived(path: str, status: int, data: st.DataObject) -> None:
    body = data.draw(bodies(PATHS[path]))
    world, process = new_world()
    with world.bridges[LINK].faults.garbage(path, body, status):
        world.request("refresh")
        world.request("callbacks")
        world.request("bridge_log")
        world.request("diagnostics")
        world.command("front_door", "lock")
        world.publish("nuki2mqtt/front_door/get", '{"force":true}')
        world.run(400)
    world.run(LONG_S)
    assert process.is_alive
    assert len(moved(world)) <= 1
    since = world.now
    world.run(61)
    assert world.said("nuki2mqtt/gateway/health", since)
    if path != "/info":  # there another Bridge may have answered, and then nothing more is asked until somebody looks
        goes_on(world, process)


@budget(30)
@given(body=bodies("callback"))
def test_callbacks_of_anybody_are_survived(body: bytes) -> None:
    try:
        report = parse_callback(body)
    except Nuki2mqttError:
        return  # the door has said 400
    world, process = new_world()
    process.deliver(CallbackReceived(LINK, report))
    world.run(90)
    assert not moved(world)
    goes_on(world, process)


@budget(30)
@given(body=bodies("state"))
def test_any_readable_state_file_is_a_memory_to_start_with(body: bytes) -> None:
    try:
        memory = read_state(body).memory
    except Nuki2mqttError:
        return
    world = World()
    world.house.add(SimulatedLock(nuki_id=LOCK_ID, device_type=4, name="Front door", door=2))
    world.add_bridge()
    process = world.start_ready(disk=Disk("1234abcd", memory=memory))
    assert not moved(world)
    world.run(LONG_S)
    assert world.retained("nuki2mqtt/gateway/state") == "online"
    process.stop()
    world.run(10)
    assert process.has_stopped
