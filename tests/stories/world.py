"""A world with virtual time: simulated Bridges, an in-memory broker, and gateways with real floors 0 to 2.

Nothing sleeps. Every request goes through the real codecs on our side and through the simulator's own wire
format on the other. `World.run(seconds)` lets time pass.

Four clocks can differ: the truth (`World.now`, that of clients too), what a gateway's computer shows
(`wall_offset_s`), what its kernel says of that (`is_synchronised`), and each Bridge's (`clock_skew_s`).
"""

import heapq
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from nuki2mqtt.adapters.time_zones import zone_of
from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity, Outside
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgeAskedToPair,
    BridgesFound,
    CallbackDoorFailed,
    CallbackDoorOpened,
    CallbackPath,
    CallbackReceived,
    CallBridge,
    CallWeb,
    ConnectMqtt,
    DropWeb,
    Effect,
    Event,
    FindBridges,
    Level,
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
    OpenWebhookDoor,
    PairBridge,
    Publish,
    ReachBridge,
    Remember,
    SetLogLevel,
    Stop,
    StopRequested,
    Subscription,
    WebAnswered,
    WebhookDoorOpened,
    WebOrdered,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import AuthAnswer, AuthRequest, parse_callback, read_response
from nuki2mqtt.protocol.bridge_auth import sign
from nuki2mqtt.protocol.discovery import Tried
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.bridge import Ending, SimulatedBridge, SimulatedRequest
from nuki2mqtt.simulator.house import House
from nuki2mqtt.simulator.web import SimulatedCloud
from tests.stories.cloud_path import WebhookDoor, ask

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC).timestamp()
BRIDGE_HOST, BRIDGE_PORT = "192.0.2.10", 8080
GATEWAY_HOST, DOOR_PORT = "192.0.2.5", 8321
TOKEN = "abcdef"
BROKER_S = 0.002
SEARCH_S = 6.0
MONOTONIC_START = 1000.0
CLOCK_TICK_S = 2.0**-22  # between two numbers of epoch seconds
MAX_STEPS = 2_000_000
READY_S = 5.0  # 2 s after `online`, with 3.1.1 3 s after the subscription, and some more
ACTION_PATHS = frozenset({"/lockAction", "/lock", "/unlock"})


Protocol = Literal["5", "3.1.1"]
Life = list[tuple[str, str | None]]  # status and reason of each result
DONE: Life = [("accepted", None), ("confirmed", None)]


def refused(reason: str, times: int = 1) -> Life:
    """The whole life of a command that was refused, or of several."""
    return [("refused", reason)] * times


@dataclass(frozen=True)
class Message:
    """One message as the broker took it; `at` is the true time."""

    at: float
    topic: str
    payload: bytes
    retain: bool
    qos: int = 1
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    def left_s(self, now: float) -> float:
        """How long it may still be delivered (MQTT 5 section 3.3.2.3.3)."""
        return float("inf") if self.expiry_s is None else self.at + self.expiry_s - now


@dataclass
class Connection:
    """One gateway's connection; what waits in it while the path stalls."""

    process: "Process"
    order: ConnectMqtt
    waiting: list[tuple[Message, bool]] = field(default_factory=list)

    def subscription(self, topic: str) -> Subscription | None:
        """The subscription by which a topic is delivered, the one that shows most where several match."""
        found = [one for one in self.order.subscriptions if matches(one.topic_filter, topic)]
        return max(found, key=lambda one: (one.retain_as_published, one.qos), default=None)


class Broker:
    """Keeps retained messages, delivers, publishes wills. Every connection is in order, every session is clean.

    Retain flags follow MQTT 5 (section 3.8.3.1) with retain handling 0, or 3.1.1, by which a live message is
    never flagged; so do expiry, response topic and correlation, which 3.1.1 does not know.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.is_up = True
        self.retained: dict[str, bytes] = {}
        self.log: list[Message] = []
        self.connected: dict[int, tuple[Process, ConnectMqtt]] = {}
        self.clients_back_s = 5.0  # when clients with a queue are back after an outage
        self.clients_heed_expiry = False  # whether their queue forgets what has expired; nothing obliges it to
        self._properties: dict[str, Message] = {}
        self._connections: dict[int, Connection] = {}
        self._stalled: set[int] = set()
        self._queued: list[Message] = []

    def publish(self, topic: str, payload: bytes, *, retain: bool, **properties: Any) -> None:
        """Take one message, of whomever."""
        self.take(Message(self._world.now, topic, payload, retain, **properties))

    def take(self, message: Message) -> None:
        assert self.is_up
        self.log.append(message)
        topic = message.topic
        if message.retain and message.payload:
            self.retained[topic] = message.payload
            self._properties[topic] = message
        elif message.retain:
            self.retained.pop(topic, None)
            self._properties.pop(topic, None)
        for number in list(self.connected):
            connection = self._connections[number]
            subscription = connection.subscription(topic)
            if subscription is not None:
                is_flagged = message.retain and subscription.retain_as_published and self._world.protocol == "5"
                self._send(connection, message, is_flagged)

    def take_from_client(self, message: Message) -> None:
        """A client of somebody else: what it cannot send with QoS 1 waits in its own queue."""
        if self.is_up:
            self.take(message)
        elif message.qos > 0:
            self._queued.append(message)

    def connect(self, process: "Process", order: ConnectMqtt) -> None:
        self.disconnect(process, is_clean=True)
        if not self.is_up:
            process.deliver(MqttLost("connection refused"))
            self._world.after(1.0, process.reconnect)
            return
        self.connected[process.number] = (process, order)
        connection = self._connections[process.number] = Connection(process, order)
        process.deliver(MqttConnected(self._world.protocol))
        self._world.after(BROKER_S, self._suback, connection)
        for topic, payload in list(self.retained.items()):
            if connection.subscription(topic) is None:
                continue
            stored = self._properties.get(topic)
            if stored is None or stored.payload != payload:
                stored = Message(self._world.now, topic, payload, retain=True)
            if stored.left_s(self._world.now) > 0:
                self._world.after(BROKER_S, self._send, connection, stored, True)

    def disconnect(self, process: "Process", *, is_clean: bool) -> None:
        _, order = self.connected.pop(process.number, (None, None))
        self._connections.pop(process.number, None)
        self._stalled.discard(process.number)
        if order is not None and not is_clean and order.will is not None and self.is_up:
            self.publish(order.will.topic, order.will.payload, retain=True)

    def stop(self, *, forget: bool = False) -> None:
        """The broker goes down: every connection breaks, no will is said."""
        self.is_up = False
        processes = [process for process, _ in self.connected.values()]
        self.connected.clear()
        self._connections.clear()
        self._stalled.clear()
        if forget:
            self.retained.clear()
        for process in processes:
            process.deliver(MqttLost("connection closed by the broker"))
            self._world.after(1.0, process.reconnect)

    def start(self) -> None:
        """The broker is back; what clients have queued comes when they are, in its order and as it was."""
        self.is_up = True
        queued, self._queued = self._queued, []
        for message in queued:
            self._world.after(self.clients_back_s, self._take_late, message)

    def stall(self, process: "Process") -> None:
        """What is for this gateway waits from now on, without a sign of it."""
        self._stalled.add(process.number)

    def resume(self, process: "Process", *, in_pipe: bool = False) -> None:
        """The path to this gateway is free again.

        What waited at the broker comes with what is left of its expiry, or not at all. What waited in the pipe
        comes as it was, since nobody touches it there.
        """
        self._stalled.discard(process.number)
        connection = self._connections.get(process.number)
        if connection is None:
            return
        waiting, connection.waiting = connection.waiting, []
        for message, is_retained in waiting:
            left_s = message.left_s(self._world.now)
            if in_pipe:
                self._send(connection, message, is_retained)
            elif message.expiry_s is None or left_s > 0:
                expiry_s = None if message.expiry_s is None else int(left_s)
                self._send(connection, replace(message, expiry_s=expiry_s), is_retained)

    def _take_late(self, message: Message) -> None:
        if not self.is_up:
            self._queued.append(message)
        elif message.left_s(self._world.now) > 0 or not self.clients_heed_expiry:
            self.take(replace(message, at=self._world.now))

    def _suback(self, connection: Connection) -> None:
        if self._connections.get(connection.process.number) is connection:
            connection.process.deliver(MqttSubscribed())

    def _send(self, connection: Connection, message: Message, is_retained: bool) -> None:  # noqa: FBT001
        if connection.process.number in self._stalled:
            connection.waiting.append((message, is_retained))
        else:
            self._world.after(BROKER_S, self._arrive, connection, message, is_retained)

    def _arrive(self, connection: Connection, message: Message, is_retained: bool) -> None:  # noqa: FBT001
        if self._connections.get(connection.process.number) is connection:
            connection.process.receive(message, is_retained=is_retained)


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5 section 4.7."""
    wanted, found = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"#", "+"}:
        return False
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
    """One run of a gateway: a real `Gateway` and a shell that carries out its effects.

    `wall_offset_s` is how far the clock of its computer is ahead of the truth, None for the world's. `inbox_s`
    is how long a message waits between its arrival and its turn.
    """

    _numbers = itertools.count()

    def __init__(
        self,
        world: "World",
        config: str,
        disk: Disk,
        *,
        in_container: bool = False,
        door: str | None = None,
        host: str = GATEWAY_HOST,
        wall_offset_s: float | None = None,
    ) -> None:
        self.number = next(self._numbers)
        self.world = world
        self.disk = disk
        self.host = host
        self.wall_offset_s = wall_offset_s
        self.inbox_s = 0.0
        self.logs: list[Log] = []
        self.log_level: Level | None = None
        self.door_port = DOOR_PORT
        self.door_error = door
        self.has_stopped = False
        self.is_alive = True
        self.calls: list[CallBridge] = []
        self.sent: list[tuple[float, CallBridge]] = []
        self._paths: tuple[CallbackPath, ...] = ()
        self._places: dict[str, str] = {}  # where it asks a Bridge, if not at its link
        self.searches = 0
        self.web_sent: list[tuple[float, CallWeb]] = []
        self.webhooks = WebhookDoor(settings := read_settings(config, read_file=lambda name: name))
        self._web_under_way: set[int] = set()
        self._order: ConnectMqtt | None = None
        self._timer: float | None = None
        self._dies_before: Callable[[Effect], bool] | None = None
        self._dies_after: Callable[[Effect], bool] | None = None
        identity = Identity(
            instance=disk.instance,
            version="0.1.0",
            callback_secret=Secret(disk.secret),
            started=self.moment,
            in_container=in_container,
        )
        self.gateway = Gateway(settings, identity, disk.memory, Outside(world.entropy, zone_of))
        self.carry_out(self.gateway.begin())

    @property
    def moment(self) -> Moment:
        """What the clocks of its computer show."""
        return self.world.moment_at(self.wall_offset_s)

    # --- The shell ---

    def deliver(self, event: Event) -> None:
        if self.is_alive:
            self.carry_out(self.gateway.handle(event, self.moment))

    def receive(self, message: Message, *, is_retained: bool) -> None:
        """A message arrives at its MQTT link."""
        is_v5 = self.world.protocol == "5"
        event = MqttReceived(
            message.topic,
            message.payload,
            retained=is_retained,
            response_topic=message.response_topic if is_v5 else None,
            correlation=message.correlation if is_v5 else None,
            expiry_s=message.expiry_s if is_v5 else None,
            received=self.world.monotonic,
        )
        if self.inbox_s:
            self.world.after(self.inbox_s, self.deliver, event)
        else:
            self.deliver(event)

    def tick(self) -> None:
        deadline = self.gateway.next_deadline()
        if self.is_alive and deadline is not None and deadline <= self.world.monotonic + 1e-9:
            self._timer = None
            self.carry_out(self.gateway.handle_timer(self.moment))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if self._dies_before is not None and self._dies_before(effect):
                self.kill()
            if not self.is_alive:
                return
            self._carry_out(effect)
            if self._dies_after is not None and self._dies_after(effect):
                self.kill()
        deadline = self.gateway.next_deadline()
        if self.is_alive and deadline is not None and (self._timer is None or deadline < self._timer):
            self._timer = deadline
            self.world.after(self.world.until(deadline), self._wake, deadline)

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
            case Publish(message_id, topic, payload, qos, retain, correlation):
                if self.number in self.world.broker.connected:
                    if self.world.protocol == "3.1.1":
                        assert correlation is None, "3.1.1 has no correlation data"
                    self.world.broker.publish(topic, payload, retain=retain, qos=qos, correlation=correlation)
                    self.world.after(BROKER_S, self._acknowledge, message_id)
            case CallBridge():
                self.calls.append(effect)
                self.sent.append((self.world.now, effect))
                self._call(effect)
            case CallWeb():
                self.web_sent.append((self.world.now, effect))
                self._call_web(effect)
            case DropWeb(call_id):
                self._web_under_way.discard(call_id)
            case OpenWebhookDoor():
                self.webhooks.is_open = True
                self.world.after(0.001, self.deliver, WebhookDoorOpened(self.webhooks.port))
            case ReachBridge(link, host, port):
                self._places[link] = f"{host}:{port}"
            case FindBridges():
                self.searches += 1
                self.world.after(SEARCH_S, self._found, effect)
            case PairBridge():
                self._pair(effect)
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
            case SetLogLevel(level):
                self.log_level = level
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

    def _found(self, order: FindBridges) -> None:
        """What is announced, but for what is followed anyway."""
        tried = tuple(one for one in self.world.announced if one.candidate.link not in order.followed)
        self.deliver(BridgesFound(tried))

    def _pair(self, order: PairBridge) -> None:
        bridge = self.world.bridges.get(f"{order.host}:{order.port}")
        if bridge is None:
            refused = BridgeError(BridgeErrorKind.REFUSED, "no route")
            self.world.after(0.01, self.deliver, BridgeAskedToPair(order.link, refused))
            return
        answer = bridge.answer("/auth", {}, self.world.now)
        try:
            read = read_response(AuthRequest(), answer.status, answer.body)
        except BridgeError as error:
            self.world.after(answer.delay_s, self.deliver, BridgeAskedToPair(order.link, error))
        else:
            assert isinstance(read, AuthAnswer)
            self.world.after(answer.delay_s, self.deliver, BridgeAskedToPair(order.link, read.token))

    def _call(self, call: CallBridge) -> None:
        world, request = self.world, call.request
        bridge = world.bridges.get(self._places.get(call.link, call.link))
        query = request.params()
        if request.needs_token:
            nonce = world.next_number().to_bytes(24, "big")
            query |= sign(call.token, call.auth, now=self.moment.wall, rnr=world.next_number() % 65536, nonce=nonce)
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
                    event = BridgeAnswered(call.link, call.call_id, read, self.host)
                    world.after(answer.delay_s, self.deliver, event)

    def _answer(self, call: CallBridge, error: BridgeError, after_s: float) -> None:
        self.world.after(after_s, self.deliver, BridgeAnswered(call.link, call.call_id, error, None))

    def _call_web(self, call: CallWeb) -> None:
        world = self.world
        if call.not_after is not None:
            world.after(0.0, self.deliver, WebOrdered(call.call_id, world.monotonic))
        self._web_under_way.add(call.call_id)
        answer, delay_s = ask(world.cloud, call, world.now, world.monotonic)
        world.after(delay_s, self._web_answered, WebAnswered(call.call_id, answer))

    def _web_answered(self, event: WebAnswered) -> None:
        if event.call_id in self._web_under_way:
            self._web_under_way.discard(event.call_id)
            self.deliver(event)

    def post(self, headers: Mapping[str, str], body: bytes) -> int:
        """A POST of the cloud, or of whoever says so, to the door for webhooks; gives the status."""
        if not self.is_alive:
            return 502  # the reverse proxy's
        status, event = self.webhooks.take(headers, body, self.world.monotonic)
        if event is not None:
            self.deliver(event)
        return status

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

    def kill_before(self, is_fatal: Callable[[Effect], bool]) -> None:
        """kill -9 when it is about to carry out such an effect; what came before it is done."""
        self._dies_before = is_fatal

    def kill_after(self, is_fatal: Callable[[Effect], bool]) -> None:
        """kill -9 when it has just carried out such an effect; nothing that follows is done."""
        self._dies_after = is_fatal

    def stop(self) -> None:
        """SIGTERM."""
        self.deliver(StopRequested())

    @property
    def warnings(self) -> list[str]:
        return [log.text for log in self.logs if log.level in {"warning", "error"}]


def is_action(effect: Effect) -> bool:
    """Whether an effect orders a device to do something."""
    return isinstance(effect, CallBridge) and effect.request.path in ACTION_PATHS


class World:
    """Time, a house, its Bridges, a broker, gateways.

    `wall_offset_s` is how far the gateways' wall clocks are ahead of the truth, `is_synchronised` what their
    kernels say of them.
    """

    def __init__(self, protocol: Protocol = "5") -> None:
        self.protocol: Protocol = protocol
        self.wall_offset_s = 0.0
        self.is_synchronised: bool | None = True
        self.now = START
        self.house = House(now=START)
        self.bridges: dict[str, SimulatedBridge] = {}
        self.broker = Broker(self)
        self.cloud: SimulatedCloud | None = None
        self.holds_posts_s = 0.0
        self.processes: list[Process] = []
        self.holds_callbacks_s = 0.0
        self.announced: list[Tried] = []  # what a search finds
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = itertools.count()
        self._numbers = itertools.count(1)

    @property
    def monotonic(self) -> float:
        return self.now - START + MONOTONIC_START

    @property
    def moment(self) -> Moment:
        """What the clocks of a gateway's computer show."""
        return self.moment_at(None)

    def moment_at(self, wall_offset_s: float | None) -> Moment:
        offset_s = self.wall_offset_s if wall_offset_s is None else wall_offset_s
        wall = datetime.fromtimestamp(self.now + offset_s, UTC)
        return Moment(self.monotonic, wall, is_synchronised=self.is_synchronised)

    def set_wall(self, epoch: float) -> None:
        """Set the wall clocks of the gateways' computers; they go on from there."""
        self.wall_offset_s = epoch - self.now

    def next_number(self) -> int:
        return next(self._numbers)

    def entropy(self, count: int) -> bytes:
        """No chance at all."""
        return bytes((self.next_number() * 37 + index * 11) % 251 for index in range(count))

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
        host: str = GATEWAY_HOST,
        wall_offset_s: float | None = None,
    ) -> Process:
        process = Process(
            self,
            default_config(*self.bridges) if config is None else config,
            Disk("1234abcd") if disk is None else disk,
            in_container=in_container,
            door=door,
            host=host,
            wall_offset_s=wall_offset_s,
        )
        self.processes.append(process)
        return process

    def start_ready(self, extra: str = "", *, bridge: str = "", disk: Disk | None = None) -> Process:
        """Start a gateway and wait until it takes commands; `extra` are settings, `bridge` further keys of a Bridge."""
        links = [link.rpartition(":")[0] for link in self.bridges]
        keys = f", {bridge}" if bridge else ""
        bridges = "".join(f"  - {{host: {host}, token: {TOKEN}{keys}}}\n" for host in links)
        process = self.start_gateway(f"version: 1\nbridges:\n{bridges}{extra}", disk)
        self.run(READY_S)
        return process

    def until(self, monotonic: float) -> float:
        """How long until then; epoch seconds are coarser than the monotonic ones, so that a little may be added."""
        delay_s = max(0.0, monotonic - self.monotonic)
        if self.now + delay_s - START + MONOTONIC_START < monotonic:
            delay_s += CLOCK_TICK_S
        return delay_s

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
        for post in [] if self.cloud is None else self.cloud.take_posts():
            delay = max(0.0, post.due_at - self.now) + self.holds_posts_s
            self.after(delay, self._deliver_post, post.headers, post.body)

    def _deliver_post(self, headers: Mapping[str, str], body: bytes) -> None:
        self.post(headers, body)

    def post(self, headers: Mapping[str, str], body: bytes) -> list[int]:
        """The cloud posts, or whoever says so."""
        return [process.post(headers, body) for process in self.processes if process.is_alive]

    def knock(self, url: str, body: bytes) -> None:
        for process in self.processes:
            if process.knock(url, body):
                return

    # --- What a client of somebody else says ---

    def publish(
        self,
        topic: str,
        payload: bytes | str,
        *,
        retain: bool = False,
        qos: int = 1,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        expiry_s: int | None = None,
        copies: int = 1,
    ) -> None:
        """Publish as a client with a queue of its own; two `copies` are a QoS 1 message delivered again."""
        body = payload.encode() if isinstance(payload, str) else payload
        message = Message(
            self.now,
            topic,
            body,
            retain,
            qos=qos,
            response_topic=response_topic,
            correlation=correlation,
            expiry_s=expiry_s,
        )
        for _ in range(copies):
            self.broker.take_from_client(message)

    def command(self, device: str, order: str | int | Mapping[str, Any], **options: Any) -> None:
        """Publish an order on a device's `set`, a mapping as JSON."""
        body = json.dumps(order) if isinstance(order, Mapping) else str(order)
        self.publish(f"nuki2mqtt/{device}/set", body, **options)

    def request(self, verb: str, order: str | Mapping[str, Any] = "", **options: Any) -> None:
        """Publish a request to the gateway."""
        body = json.dumps(order) if isinstance(order, Mapping) else order
        self.publish(f"nuki2mqtt/gateway/request/{verb}", body, **options)

    def ts(self, ago_s: float = 0.0) -> str:
        """The time on a client's clock, which is right."""
        return datetime.fromtimestamp(self.now - ago_s, UTC).isoformat()

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

    def messages(self, topic: str, since: float = 0.0) -> list[Message]:
        return [message for message in self.broker.log if message.topic == topic and message.at >= since]

    def events(self, device: str, since: float = 0.0) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.said(f"nuki2mqtt/{device}/event", since)]

    def failures(self, device: str, since: float = 0.0) -> list[tuple[str | None, str]]:
        """Action and reason of each event `command_failed`."""
        events = self.events(device, since)
        return [(event["action"], event["reason"]) for event in events if event["event_type"] == "command_failed"]

    def results(self, device: str, since: float = 0.0) -> list[dict[str, Any]]:
        """What was said of commands, in order; that none of it is retained and all is QoS 1 is checked here."""
        messages = self.messages(f"nuki2mqtt/{device}/result", since)
        assert all(message.qos == 1 and not message.retain for message in messages)
        return [message.json for message in messages]

    def life(self, device: str, transaction: Any = ..., since: float = 0.0) -> Life:
        """Status and reason of each result, of one transaction if it is named."""
        results = self.results(device, since)
        return [
            (result["status"], result["reason"])
            for result in results
            if transaction is ... or result["transaction"] == transaction
        ]

    def end(self, device: str, transaction: Any = ..., since: float = 0.0) -> dict[str, Any]:
        """The one end of the one command (of this transaction); no other life ends like that."""
        results = self.results(device, since)
        chosen = [one for one in results if transaction is ... or one["transaction"] == transaction]
        ends = [one for one in chosen if one["status"] != "accepted"]
        assert len(ends) == 1, chosen
        assert chosen[-1] is ends[0], chosen
        return ends[0]

    def responses(self, verb: str, since: float = 0.0) -> list[dict[str, Any]]:
        messages = self.messages(f"nuki2mqtt/gateway/response/{verb}", since)
        assert not any(message.retain for message in messages)
        return [message.json for message in messages]

    # --- What reached a Bridge ---

    def actions(self, bridge: SimulatedBridge | None = None, since: float = 0.0) -> list[SimulatedRequest]:
        """The orders of which a Bridge, or any, saw a byte; that each names its action is checked here."""
        bridges = {id(one): one for one in self.bridges.values()}.values() if bridge is None else [bridge]
        found = [
            request
            for one in bridges
            for request in one.requests
            if request.path in ACTION_PATHS and request.at >= since and request.ending is not Ending.REFUSED
        ]
        assert all(request.path == "/lockAction" and "action" in request.query for request in found)
        return sorted(found, key=lambda request: request.at)

    def reads(self, since: float = 0.0) -> list[SimulatedRequest]:
        """The reads that woke a device or tried to."""
        bridges = {id(one): one for one in self.bridges.values()}.values()
        return [
            request
            for one in bridges
            for request in one.requests
            if request.path == "/lockState" and request.at >= since
        ]


def default_config(*links: str, extra: str = "") -> str:
    bridges = "".join(f"  - {{host: {link.rpartition(':')[0]}, token: {TOKEN}}}\n" for link in links)
    return f"version: 1\nbridges:\n{bridges}{extra}"
