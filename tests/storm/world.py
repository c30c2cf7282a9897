"""A whole house in virtual time: locks, Bridges, a broker, the computers that run the gateway, and what joins them.

Nothing here judges and nothing here is chance: steps come from a plan (`plan`), invariants watch (`watch`).
"""

import asyncio
import contextvars
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.vocabulary import Memory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.discovery import Candidate, How
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.bridge import Ending, SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.callbacks import Callbacks, SimulatedCallback
from nuki2mqtt.simulator.house import House, SimulatedDevice, SimulatedLock, SimulatedOpener
from tests.storm.broker import MemoryBroker, Packet, Taken
from tests.storm.cloud import CloudSite, WebCall
from tests.storm.computer import Computer
from tests.storm.spec import DOOR_PORT, PORT, Spec
from tests.storm.virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from nuki2mqtt.protocol.bridge_api import BridgeRequest
    from tests.storm.keypad_people import CodeOrder
    from tests.storm.people import Order

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC).timestamp()
ROUNDING_S = 0.001


@dataclass(eq=False)
class Call:
    """One request of ours on the wire, from the first byte (or the attempt) to its end, in virtual epoch seconds."""

    computer: Computer
    process: int
    host: str
    port: int
    path: str
    params: Mapping[str, str]
    signed: Mapping[str, str]
    began: float
    timeout_s: float
    ended: float | None = None
    bridge: SimulatedBridge | None = None
    answer: SimulatedAnswer | None = None
    arrived: float | None = None
    turned: bool = False  # the device obeyed
    evicted: tuple[str, ...] = ()  # the callback URLs of others that are gone by it
    wanted_by: "tuple[Order, ...]" = ()  # the orders that it may be for

    @property
    def was_written(self) -> bool:
        """Whether a Bridge saw a byte of it."""
        return self.answer is not None and self.answer.ending is not Ending.REFUSED

    @property
    def is_answered(self) -> bool:
        """Whether the whole answer has reached its caller; asked when the call has ended."""
        answer = self.answer
        if answer is None or self.arrived is None or self.ended is None or answer.ending is not Ending.ANSWERED:
            return False
        return answer.delay_s <= self.timeout_s and self.ended >= self.arrived + answer.delay_s - ROUNDING_S

    @cached_property
    def body(self) -> Any:
        """What the answer says; None where it cannot be read. Asked when there is an answer."""
        if self.answer is None or self.answer.status != 200:
            return None
        try:
            return json.loads(self.answer.body)
        except ValueError:
            return None

    @cached_property
    def entries(self) -> dict[int, dict[str, Any] | None]:
        """The devices of a `/list` that could be read, with their states; none for anything else."""
        body = self.body if self.path == "/list" else None
        entries = body if isinstance(body, list) else []
        return {
            int(entry["nukiId"]): entry.get("lastKnownState")
            for entry in entries
            if isinstance(entry, dict) and "nukiId" in entry
        }


class Watch(Protocol):
    """What the invariants want to know, at the moment when it happens."""

    def ordered(self, order: "Order") -> None: ...
    def code_ordered(self, order: "CodeOrder") -> None: ...
    def call_began(self, call: Call) -> None: ...
    def call_arrived(self, call: Call) -> None: ...
    def call_ended(self, call: Call) -> None: ...
    def said(self, computer: Computer, packet: Packet) -> None: ...
    def taken(self, taken: Taken) -> None: ...
    def delivered(self, computer: Computer, packet: Packet) -> None: ...
    def called_back(
        self, computer: Computer | None, bridge: SimulatedBridge, body: bytes, status: int, *, is_forged: bool
    ) -> None: ...
    def web_began(self, call: WebCall) -> None: ...
    def web_arrived(self, call: WebCall) -> None: ...
    def web_ended(self, call: WebCall) -> None: ...
    def hooked(self, computer: Computer, body: bytes, status: int, *, is_forged: bool) -> None: ...
    def changed(self, device: SimulatedDevice) -> None: ...
    def logged(self, text: str) -> None: ...
    def crashed(self, computer: Computer, error: BaseException) -> None: ...


class _LoopHouse(House):
    """A house whose agenda is kept by the loop."""

    def __init__(self, world: "World") -> None:
        super().__init__(now=world.now)
        self._world = world

    def plan(self, at: float, device: SimulatedDevice | None, happen: Callable[[], None]) -> None:
        super().plan(at, device, happen)
        self._world.at(at, lambda: self.advance(self._world.now))


class _LoopCallbacks(Callbacks):
    """Callback slots whose POSTs are on their way at once."""

    def __init__(self, world: "World", bridge: SimulatedBridge) -> None:
        super().__init__()
        self._world = world
        self._bridge = bridge

    def owe(self, body: bytes, at: float, each_s: float) -> None:
        super().owe(body, at, each_s)
        for callback in self.take():
            self._world.post(self._bridge, callback)


@dataclass
class Wire:
    """Every request of ours, in order."""

    world: "World"
    calls: list[Call] = field(default_factory=list)

    def begin(
        self, computer: Computer, host: str, port: int, request: "BridgeRequest", auth_params: Mapping[str, str]
    ) -> Call:
        """A request is about to go out."""
        number = 0 if computer.process is None else computer.process.number
        call = Call(
            computer,
            number,
            host,
            port,
            request.path,
            request.params(),
            auth_params,
            self.world.now,
            request.timeout_s,
        )
        self.calls.append(call)
        self.world.watch.call_began(call)
        return call

    def end(self, call: Call) -> None:
        """It is answered, given up, or its caller is dead."""
        call.ended = self.world.now
        self.world.watch.call_ended(call)


class World:
    """Everything of one house; make it inside of a running `VirtualLoop`."""

    def __init__(self, spec: Spec, watch: Watch) -> None:
        self.spec = spec
        self.watch = watch
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        # What goes on in the world is nobody's process, whoever has set it going.
        self._context = contextvars.copy_context()
        self.broker = MemoryBroker(lambda: self.now, self.later)
        self.broker.taps.append(self._taken)
        self.house = _LoopHouse(self)
        self.devices: dict[str, SimulatedLock | SimulatedOpener] = {}
        for name, device in spec.make_devices():
            self.devices[name] = self.house.add(device)
        self.bridges: list[SimulatedBridge] = []
        self.at_address: dict[str, SimulatedBridge] = {}
        self.dark: Counter[str] = Counter()  # how many faults hide an address
        for number in range(spec.bridges):
            bridge = spec.make_bridge(self.house, number)
            self.bridges.append(bridge)
            self.at_address[spec.bridge_host(number)] = bridge
            self._adopt(bridge)
        self.house.observe(watch.changed)
        self.wire = Wire(self)
        self.places = [spec.bridge_host(number) for number in range(spec.bridges)]  # where the Bridges are now
        self.rogues: dict[str, int] = {}  # addresses at which something calls itself like one of them
        self.connect_s = 0.003
        self._listeners: dict[str, list[Callable[[], object]]] = {}
        self.callback_rules: list[Callable[[SimulatedBridge, list[float]], list[float]]] = []
        settings = replace(read_settings(spec.config(), read_file=lambda name: name), nuki_web=spec.web_settings())
        self.cloud = self._make_cloud() if spec.has_cloud else None
        self.main = Computer(self, "main", spec.host, settings, seed="1234abcd", secret=spec.callback_secret)
        self.other = Computer(self, "other", spec.other_host, settings, seed="fedc9876", secret=spec.other_secret)
        self.computers = (self.main, self.other)
        self._log = _LogTap(self)
        logger = logging.getLogger("nuki2mqtt")
        logger.addHandler(self._log)
        self._level, self._propagates = logger.level, logger.propagate
        logger.propagate = False

    def _make_cloud(self) -> CloudSite:
        """All devices are in the account, and Wi-Fi locks of which no Bridge knows."""
        devices: dict[str, SimulatedDevice] = dict(self.devices)
        for device in self.devices.values():
            if isinstance(device, SimulatedLock):
                device.keypad_critical = False
        for name, lock in self.spec.make_wifi_locks():
            devices[name] = self.house.add(lock)
            self.devices[name] = lock
        return CloudSite(self, self.spec, devices)

    def is_bridged(self, nuki_id: int) -> bool:
        """Whether a Bridge knows this device."""
        return any(nuki_id in (bridge.paired or ()) for bridge in self.bridges)

    def close(self) -> None:
        """Leave no trace in what is shared with other worlds."""
        logger = logging.getLogger("nuki2mqtt")
        logger.removeHandler(self._log)
        logger.setLevel(self._level)
        logger.propagate = self._propagates

    # --- Time ---------------------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.loop.time()

    @property
    def now(self) -> float:
        """The true time, epoch seconds."""
        return START + self.loop.time()

    def later(self, delay_s: float, do: Callable[[], object]) -> asyncio.TimerHandle:
        """Do it after so many seconds."""
        return self.loop.call_later(delay_s, do, context=self._context)

    def at(self, epoch: float, do: Callable[[], object]) -> asyncio.TimerHandle:
        """Do it at this time."""
        return self.loop.call_at(epoch - START, do, context=self._context)

    def moment_text(self, ago_s: float = 0.0) -> str:
        """The true time as clients write it."""
        return datetime.fromtimestamp(self.now - ago_s, UTC).isoformat()

    # --- The network --------------------------------------------------------------------------------------------------

    def bridge_at(self, call: Call) -> SimulatedBridge | None:
        """Who answers at an address."""
        host = call.host
        if self.dark[host] or call.port != PORT:
            self.note_hit(f"dark {host} for {call.computer.name}")
            return None
        return self.at_address.get(host)

    def announced(self) -> list[Candidate]:
        """What a search finds: every Bridge where it is, and who calls itself like one, before it in the order."""
        places = [*((host, number) for host, number in self.rogues.items()), *zip(self.places, range(99), strict=False)]
        return [
            Candidate(host, PORT, NukiId(self.spec.bridge_id(number)), (How.MDNS,))
            for host, number in places
            if not self.dark[host]
        ]

    def absence_s(self, host: str) -> float:
        """How long one waits for nobody: nothing comes back from an address without a host."""
        return 60.0 if self.dark[host] else 0.05

    def answer(self, call: Call, bridge: SimulatedBridge) -> SimulatedAnswer:
        """A request of ours arrives."""
        turns = sum(device.turns for device in self.house.devices)
        others = [url for url in bridge.callbacks.slots if url is not None and not self.spec.is_own_url(url)]
        call.bridge, call.arrived = bridge, self.now
        call.answer = bridge.answer(call.path, {**call.params, **call.signed}, self.now)
        if call.answer.status == 503:
            self.note_hit(f"busy {self.host_of(bridge)}")
        call.turned = sum(device.turns for device in self.house.devices) != turns
        call.evicted = tuple(url for url in others if url not in bridge.callbacks.slots)
        self.watch.call_arrived(call)
        call.computer.note_request(call.path)
        return call.answer

    def post(self, bridge: SimulatedBridge, callback: SimulatedCallback) -> None:
        """A Bridge sends a callback; faults of the way may lose, delay or double it."""
        delays_s = [max(0.0, callback.due_at - self.now)]
        for rule in self.callback_rules:
            delays_s = rule(bridge, delays_s)
        for delay_s in delays_s:
            self.later(delay_s, lambda: self.deliver_callback(bridge, callback))

    def deliver_callback(
        self,
        bridge: SimulatedBridge,
        callback: SimulatedCallback,
        sender: str | None = None,
        *,
        is_forged: bool = False,
    ) -> int:
        """It arrives; gives the HTTP status, 0 where nobody is."""
        host = self.host_of(bridge)
        parts = urlsplit(callback.url)
        status, found = 0, None
        if not self.dark[host] and parts.port == DOOR_PORT:
            for computer in self.computers:
                process = computer.process
                if computer.host == parts.hostname and computer.is_alive and process is not None and process.door:
                    if computer.is_standing_still:
                        computer.knocks.append(
                            lambda: self.deliver_callback(bridge, callback, sender, is_forged=is_forged)
                        )
                        return 0
                    found = computer
                    status = process.door.knock(sender or host, parts.path, callback.body)
        self.watch.called_back(found, bridge, callback.body, status, is_forged=is_forged)
        return status

    def host_of(self, bridge: SimulatedBridge) -> str:
        """The address of a Bridge of ours."""
        return self.places[self.bridges.index(bridge)] if bridge in self.bridges else self.spec.stranger_host

    # --- Faults -------------------------------------------------------------------------------------------------------

    def listen(self, key: str, hit: Callable[[], object]) -> Callable[[], None]:
        """Call `hit` whenever a fault of this key has changed something; gives what ends that."""
        listeners = self._listeners.setdefault(key, [])
        listeners.append(hit)
        return lambda: listeners.remove(hit)

    def note_hit(self, key: str) -> None:
        """A fault of this key has changed something."""
        for hit in tuple(self._listeners.get(key, ())):
            hit()

    # --- What happens -------------------------------------------------------------------------------------------------

    def make_gateway(self, computer: Computer, identity: Identity, memory: Memory) -> Gateway:
        """The real one."""
        return Gateway(computer.settings, identity, memory)

    def note_delivered(self, computer: Computer, packet: Packet) -> None:
        """A message arrived at a gateway's link."""
        self.watch.delivered(computer, packet)

    def _taken(self, taken: Taken) -> None:
        self.watch.taken(taken)

    def _adopt(self, bridge: SimulatedBridge) -> None:
        slots = bridge.callbacks.slots
        bridge.callbacks = _LoopCallbacks(self, bridge)
        bridge.callbacks.slots = slots

    def retained(self, topic: str) -> bytes | None:
        """What a new subscriber would get."""
        packet = self.broker.retained.get(topic)
        return None if packet is None else packet.payload


class _LogTap(logging.Handler):
    """Shows every log line, as it is before anything is taken out of it, to the watch."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.DEBUG)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" {record.exc_info[1]!r}"
        self._world.watch.logged(text)
