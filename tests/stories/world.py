"""A world with virtual time: simulated Bridges, an in-memory broker, and gateways with real floors 0 to 2.

Nothing sleeps. Every request goes through the real codecs on our side and through the simulator's own wire
format on the other. `World.run(seconds)` lets time pass.
"""

import heapq
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    CallbackDoorFailed,
    CallbackDoorOpened,
    CallbackPath,
    CallbackReceived,
    CallBridge,
    ConnectMqtt,
    Effect,
    Event,
    Log,
    Memory,
    MemoryNotSaved,
    MemorySaved,
    Moment,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttSubscribed,
    OpenCallbackDoor,
    Publish,
    Remember,
    Stop,
    StopRequested,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import parse_callback, read_response
from nuki2mqtt.protocol.bridge_auth import sign
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.bridge import Ending, SimulatedBridge
from nuki2mqtt.simulator.house import House

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC).timestamp()
BRIDGE_HOST, BRIDGE_PORT = "192.0.2.10", 8080
GATEWAY_HOST, DOOR_PORT = "192.0.2.5", 8321
TOKEN = "abcdef"
BROKER_S = 0.002
MAX_STEPS = 2_000_000


@dataclass
class Message:
    """One message as a subscriber of everything saw it."""

    at: float
    topic: str
    payload: bytes
    retain: bool

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Broker:
    """Keeps retained messages, delivers, publishes wills. Every connection is in order."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.is_up = True
        self.retained: dict[str, bytes] = {}
        self.log: list[Message] = []
        self.connected: dict[int, tuple[Process, ConnectMqtt]] = {}

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        assert self.is_up
        self.log.append(Message(self._world.now, topic, payload, retain))
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        for process, order in list(self.connected.values()):
            if any(matches(subscription.topic_filter, topic) for subscription in order.subscriptions):
                self._world.after(BROKER_S, process.deliver, MqttReceived(topic, payload))

    def connect(self, process: "Process", order: ConnectMqtt) -> None:
        self.disconnect(process, is_clean=True)
        if not self.is_up:
            process.deliver(MqttLost("connection refused"))
            self._world.after(1.0, process.reconnect)
            return
        self.connected[process.number] = (process, order)
        process.deliver(MqttConnected("5"))
        self._world.after(BROKER_S, process.deliver, MqttSubscribed())
        for topic, payload in list(self.retained.items()):
            if any(matches(subscription.topic_filter, topic) for subscription in order.subscriptions):
                self._world.after(2 * BROKER_S, process.deliver, MqttReceived(topic, payload, retained=True))

    def disconnect(self, process: "Process", *, is_clean: bool) -> None:
        _, order = self.connected.pop(process.number, (None, None))
        if order is not None and not is_clean and order.will is not None and self.is_up:
            self.publish(order.will.topic, order.will.payload, retain=True)

    def stop(self, *, forget: bool = False) -> None:
        """The broker goes down: every connection breaks, no will is said."""
        self.is_up = False
        processes = [process for process, _ in self.connected.values()]
        self.connected.clear()
        if forget:
            self.retained.clear()
        for process in processes:
            process.deliver(MqttLost("connection closed by the broker"))
            self._world.after(1.0, process.reconnect)

    def start(self) -> None:
        self.is_up = True


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5 section 4.7."""
    wanted, found = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(found) or level not in {"+", found[index]}:
            return False
    return len(wanted) == len(found)


@dataclass
class Disk:
    """What a gateway keeps over restarts."""

    instance: str
    secret: str = "5ecret"
    memory: Memory = field(default_factory=Memory)
    is_writable: bool = True


class Process:
    """One run of a gateway: a real `Gateway` and a shell that carries out its effects."""

    _numbers = itertools.count()

    def __init__(self, world: "World", config: str, disk: Disk, *, in_container: bool, door: str | None) -> None:
        self.number = next(self._numbers)
        self.world = world
        self.disk = disk
        self.logs: list[Log] = []
        self.door_port = DOOR_PORT
        self.door_error = door
        self.has_stopped = False
        self.is_alive = True
        self.calls: list[CallBridge] = []
        self.sent: list[tuple[float, CallBridge]] = []
        self._paths: tuple[CallbackPath, ...] = ()
        self._order: ConnectMqtt | None = None
        self._timer: float | None = None
        settings = read_settings(config, read_file=lambda name: name)
        identity = Identity(
            instance=disk.instance,
            version="0.1.0",
            callback_secret=Secret(disk.secret),
            started=world.moment,
            in_container=in_container,
        )
        self.gateway = Gateway(settings, identity, disk.memory)
        self.carry_out(self.gateway.begin())

    # --- The shell ---

    def deliver(self, event: Event) -> None:
        if self.is_alive:
            self.carry_out(self.gateway.handle(event, self.world.moment))

    def tick(self) -> None:
        deadline = self.gateway.next_deadline()
        if self.is_alive and deadline is not None and deadline <= self.world.monotonic + 1e-9:
            self._timer = None
            self.carry_out(self.gateway.handle_timer(self.world.moment))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._carry_out(effect)
        deadline = self.gateway.next_deadline()
        if self.is_alive and deadline is not None and (self._timer is None or deadline < self._timer):
            self._timer = deadline
            self.world.after(max(0.0, deadline - self.world.monotonic), self._wake, deadline)

    def _wake(self, deadline: float) -> None:
        if self._timer == deadline:
            self._timer = None
            self.tick()
            self.carry_out([])

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case ConnectMqtt():
                was_connected = self.number in self.world.broker.connected
                self._order = effect
                if was_connected:
                    self.world.broker.disconnect(self, is_clean=True)
                    self.world.after(0.0, self.deliver, MqttLost("reconnecting"))
                self.world.after(BROKER_S, self.reconnect)
            case Publish(message_id, topic, payload, _, retain):
                if self.number in self.world.broker.connected:
                    self.world.broker.publish(topic, payload, retain=retain)
                    self.world.after(BROKER_S, self._acknowledge, message_id)
            case CallBridge():
                self.calls.append(effect)
                self.sent.append((self.world.now, effect))
                self._call(effect)
            case OpenCallbackDoor(paths):
                self._paths = paths
                failed = self.door_error
                event = CallbackDoorOpened(self.door_port) if failed is None else CallbackDoorFailed(failed)
                self.world.after(0.001, self.deliver, event)
            case Remember(memory):
                if self.disk.is_writable:
                    self.disk.memory = memory
                    self.world.after(0.0, self.deliver, MemorySaved())
                else:
                    self.world.after(0.0, self.deliver, MemoryNotSaved("The state file cannot be written."))
            case Log():
                self.logs.append(effect)
            case Stop():
                self.has_stopped = True
                self.is_alive = False
                self.world.broker.disconnect(self, is_clean=True)

    def reconnect(self) -> None:
        if self.is_alive and self._order is not None and self.number not in self.world.broker.connected:
            self.world.broker.connect(self, self._order)

    def _acknowledge(self, message_id: int) -> None:
        if self.number in self.world.broker.connected:
            self.deliver(MqttPublished(message_id))

    def _call(self, call: CallBridge) -> None:
        world, request = self.world, call.request
        bridge = world.bridges.get(call.link)
        query = request.params()
        if request.needs_token:
            nonce = world.next_number().to_bytes(24, "big")
            wall = datetime.fromtimestamp(world.now, UTC)
            query |= sign(call.token, call.auth, now=wall, rnr=world.next_number() % 65536, nonce=nonce)
        if bridge is None:
            self._answer(call, BridgeError(BridgeErrorKind.REFUSED, "no route"), 0.01)
            return
        answer = bridge.answer(request.path, query, world.now)
        match answer.ending:
            case Ending.REFUSED:
                self._answer(call, BridgeError(BridgeErrorKind.REFUSED, "connection refused"), 0.01)
            case Ending.RESET:
                self._answer(call, BridgeError(BridgeErrorKind.RESET, "connection closed"), 0.05)
            case Ending.SILENT:
                self._answer(call, BridgeError(BridgeErrorKind.TIMEOUT, "no answer"), request.timeout_s)
            case Ending.ANSWERED:
                try:
                    read = read_response(request, answer.status, answer.body)
                except BridgeError as error:
                    self._answer(call, error, answer.delay_s)
                else:
                    event = BridgeAnswered(call.link, call.call_id, read, GATEWAY_HOST)
                    world.after(answer.delay_s, self.deliver, event)

    def _answer(self, call: CallBridge, error: BridgeError, after_s: float) -> None:
        self.world.after(after_s, self.deliver, BridgeAnswered(call.link, call.call_id, error, None))

    def knock(self, url: str, body: bytes) -> bool:
        """A POST to our callback door; whether the path is one of ours."""
        parts = urlsplit(url)
        if not self.is_alive or parts.port != self.door_port or self.door_error is not None:
            return False
        for path in self._paths:
            if path.path.reveal() == parts.path:
                self.deliver(CallbackReceived(path.link, parse_callback(body)))
                return True
        return False

    # --- By hand ---

    def kill(self) -> None:
        """kill -9: the broker notices at once."""
        self.is_alive = False
        self.world.broker.disconnect(self, is_clean=False)

    def stop(self) -> None:
        """SIGTERM."""
        self.deliver(StopRequested())

    @property
    def warnings(self) -> list[str]:
        return [log.text for log in self.logs if log.level in {"warning", "error"}]


class World:
    """Time, a house, its Bridges, a broker, gateways."""

    def __init__(self) -> None:
        self.now = START
        self.house = House(now=START)
        self.bridges: dict[str, SimulatedBridge] = {}
        self.broker = Broker(self)
        self.processes: list[Process] = []
        self.holds_callbacks_s = 0.0
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = itertools.count()
        self._numbers = itertools.count(1)

    @property
    def monotonic(self) -> float:
        return self.now - START + 1000.0

    @property
    def moment(self) -> Moment:
        return Moment(self.monotonic, datetime.fromtimestamp(self.now, UTC), is_synchronised=True)

    def next_number(self) -> int:
        return next(self._numbers)

    def add_bridge(self, host: str = BRIDGE_HOST, *, hardware_id: int = 0x0A1B2C3D, **options: Any) -> SimulatedBridge:
        bridge = SimulatedBridge(
            self.house, hardware_id=hardware_id, server_id=hardware_id ^ 0xFFFF, token=TOKEN, **options
        )
        self.bridges[f"{host}:{BRIDGE_PORT}"] = bridge
        return bridge

    def start_gateway(
        self,
        config: str | None = None,
        disk: Disk | None = None,
        *,
        in_container: bool = False,
        door: str | None = None,
    ) -> Process:
        process = Process(
            self,
            default_config(*self.bridges) if config is None else config,
            Disk("1234abcd") if disk is None else disk,
            in_container=in_container,
            door=door,
        )
        self.processes.append(process)
        return process

    def after(self, delay_s: float, action: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._agenda, (self.now + delay_s, next(self._sequence), action, args))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        for _ in range(MAX_STEPS):
            self._collect_callbacks()
            house_at = self.house.next_change_at()
            agenda_at = self._agenda[0][0] if self._agenda else None
            times = [at for at in (house_at, agenda_at) if at is not None and at <= end]
            if not times:
                break
            at = min(times)
            self.now = max(self.now, at)
            if house_at is not None and house_at <= at:
                self.house.advance(self.now)
            else:
                _, _, action, args = heapq.heappop(self._agenda)
                self.house.advance(self.now)
                action(*args)
        else:
            raise AssertionError("the world does not come to rest: something spins")
        self.now = end
        self.house.advance(end)
        self._collect_callbacks()

    def _collect_callbacks(self) -> None:
        for bridge in self.bridges.values():
            for callback in bridge.take_callbacks(self.now):
                delay = max(0.0, callback.due_at - self.now) + self.holds_callbacks_s
                self.after(delay, self.knock, callback.url, callback.body)

    def knock(self, url: str, body: bytes) -> None:
        for process in self.processes:
            if process.knock(url, body):
                return

    # --- What a subscriber knows ---

    def retained(self, topic: str) -> Any:
        payload = self.broker.retained.get(topic)
        if payload is None:
            return None
        try:
            return json.loads(payload)
        except ValueError:
            return payload.decode()

    def said(self, topic: str, since: float = 0.0) -> list[str]:
        return [
            message.payload.decode() for message in self.broker.log if message.topic == topic and message.at >= since
        ]

    def events(self, device: str, since: float = 0.0) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.said(f"nuki2mqtt/{device}/event", since)]


def default_config(*links: str, extra: str = "") -> str:
    bridges = "".join(f"  - {{host: {link.rpartition(':')[0]}, token: {TOKEN}}}\n" for link in links)
    return f"version: 1\nbridges:\n{bridges}{extra}"
