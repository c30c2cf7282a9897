"""The service's ways out, simulated: a link to the memory broker, HTTP to simulated Bridges, a callback door, a disk.

Each belongs to a `Computer` (see `computer`) and is deaf and dumb from the moment it dies, as after kill -9.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from nuki2mqtt.adapters.callback_server import CallbackServer, _door
from nuki2mqtt.adapters.mqtt_link import Emit
from nuki2mqtt.adapters.state_codec import StateContents, render_state
from nuki2mqtt.errors import BridgeError, BridgeErrorKind, CallbackDoorError, StateFileError
from nuki2mqtt.gateway.vocabulary import (
    BridgePaired,
    BridgesFound,
    CallbackPath,
    CallbackReceived,
    ConnectMqtt,
    FindBridges,
    Memory,
    Moment,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttRefused,
    MqttSubscribed,
    Publish,
)
from nuki2mqtt.protocol.bridge_api import Answer, BridgeRequest, read_response
from nuki2mqtt.protocol.discovery import Tried, Verdict, join_tried
from nuki2mqtt.protocol.settings_words import SenderCheck
from nuki2mqtt.simulator.bridge import Ending
from tests.storm.broker import Filter, Line, Packet

if TYPE_CHECKING:
    from tests.storm.computer import Computer
    from tests.storm.world import Call

CONNECT_S = 5.0  # adapters/bridge_http gives up connecting then
ACK_S = 10.0
STANDSTILL_S = 4.5  # adapters/mqtt_connection notices it then
STOOD_STILL = "this process stood still; what waited meanwhile is not acted upon"
SEARCH_S = 6.0
LONG_S = 0.1  # a disk that takes longer is at fault
BACKOFF_MAX_S = 15.0
_Item = Packet | tuple[int, int] | str


class SimulatedClock:
    """Both clocks of a computer; the wall clock may be wrong."""

    def __init__(self, computer: "Computer") -> None:
        self._computer = computer

    def now(self) -> Moment:
        """This instant."""
        return self._computer.moment()


class SeededEntropy:
    """Chance that is the same at every run."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a seed is the point

    def nonce(self) -> bytes:
        """24 bytes."""
        return self._random.randbytes(24)

    def rnr(self) -> int:
        """0 to 65535."""
        return self._random.randrange(65536)

    def fraction(self) -> float:
        """0 up to 1."""
        return self._random.random()

    def token(self, n_bytes: int) -> str:
        """Lower-case hex."""
        return self._random.randbytes(n_bytes).hex()


class SimulatedDisk:
    """Where memory is kept, in the bytes of the real state file."""

    def __init__(self, computer: "Computer") -> None:
        self._computer = computer
        self._process = computer.process

    def save(self, memory: Memory) -> None:
        """Write it; raises StateFileError."""
        computer = self._computer
        if not computer.is_alive or computer.process is not self._process:
            return  # killed before the new file got its name
        if computer.full_disks:
            computer.note_fault("disk_full")
            raise StateFileError("The state file cannot be written (no space left on device).")
        if computer.disk_s > LONG_S:
            computer.note_fault("disk_slow")
        computer.state = render_state(StateContents(computer.seed, computer.callback_secret, memory))

    def take_pairing(self) -> tuple[BridgePaired, ...]:
        """Nobody pairs in a storm."""
        return ()


class SimulatedLink:
    """The link to the memory broker; it connects and reconnects by itself, as `adapters.mqtt_link` does."""

    def __init__(self, computer: "Computer", emit: Emit) -> None:
        self._computer = computer
        self._process = computer.process
        self._emit = emit
        self._order: ConnectMqtt | None = None
        self._turn = asyncio.Event()
        self._is_closing = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._line: Line | None = None
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._unacknowledged: dict[int, float] = {}
        self._is_up = False
        self._is_outage_told = False
        self._has_stood_still = False
        self.last_activity = 0.0

    @property
    def line(self) -> Line | None:
        """The connection, where there is one."""
        return self._line

    def connect(self, order: ConnectMqtt) -> None:
        """Be connected like this from now on."""
        self._order = order
        self._turn.set()

    def publish(self, order: Publish) -> None:
        """Send it now; without a connection it is dropped."""
        line = self._line
        if line is None or not line.is_open or self._turn.is_set() or self._is_closing or not self._is_alive:
            return
        packet = Packet(order.topic, order.payload, order.qos, order.retain, correlation=order.correlation)
        self._computer.note_published(packet)
        if not self._computer.is_alive:  # it dies of this one
            return
        if order.qos == 0:
            line.publish(packet)
            self._items.put_nowait((order.message_id, 0))
            return
        self._unacknowledged[order.message_id] = asyncio.get_running_loop().time()
        line.publish(packet, acknowledged=lambda reason: self._items.put_nowait((order.message_id, reason)))
        self._computer.note_handed_over(packet)

    async def close(self, timeout_s: float) -> None:
        """Wait for the acknowledgements, then leave with a DISCONNECT."""
        self._is_closing = True
        limit = asyncio.get_running_loop().time() + timeout_s
        while self._unacknowledged and self._line is not None and asyncio.get_running_loop().time() < limit:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self._turn.set()
        await self._is_idle.wait()

    async def run(self) -> None:
        """Keep the connection that was ordered last, until cancelled."""
        while True:
            await self._turn.wait()
            self._turn.clear()
            if self._is_closing:
                await asyncio.Event().wait()
            if self._order is not None:
                await self._follow(self._order)

    @property
    def _is_alive(self) -> bool:
        return self._computer.is_alive and self._computer.process is self._process

    def wake_up(self, after_s: float) -> int:
        """The process goes on after so long; gives how many things wait to be read.

        As the real one does (adapters/mqtt_pulse), it gives up a connection over which it stood still for long.
        """
        if after_s > STANDSTILL_S and self._line is not None:
            self._has_stood_still = True
            self._items.put_nowait(STOOD_STILL)
        return self._items.qsize() - self._has_stood_still

    def die(self) -> None:
        """kill -9: the kernel closes the socket, the broker says the will."""
        if self._line is not None and self._line.is_open:
            self._line.drop()

    async def _follow(self, order: ConnectMqtt) -> None:
        if self._is_up:
            await self._emit(MqttLost("reconnecting"))
            self._is_up = False
        self._is_outage_told = False
        self._is_idle.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._serve(order))
                await self._turn.wait()
                serving.cancel()
        finally:
            if self._line is not None and self._line.is_open and self._computer.is_alive:
                self._line.disconnect()
            self._line = None
            self._is_idle.set()

    async def _serve(self, order: ConnectMqtt) -> None:
        failures = 0
        while True:
            begun = asyncio.get_running_loop().time()
            reason = await self._hold(order)
            if self._is_up or not self._is_outage_told:
                await self._emit(MqttLost(reason))
                self._is_up, self._is_outage_told = False, True
            if asyncio.get_running_loop().time() - begun >= 60.0:
                failures = 0
            failures += 1
            ceiling = min(BACKOFF_MAX_S, 2.0 ** min(failures, 16))
            await asyncio.sleep(1.0 + self._computer.entropy.fraction() * (ceiling - 1.0))

    async def _hold(self, order: ConnectMqtt) -> str:
        """Carry until the connection is lost; gives the reason."""
        await asyncio.sleep(0.01)
        if not self._is_alive:
            await asyncio.Event().wait()
        world = self._computer.world
        self._has_stood_still = False
        items: asyncio.Queue[_Item] = asyncio.Queue()
        self._items, self._unacknowledged = items, {}
        will = order.will
        try:
            line = world.broker.connect(
                self._computer.client_id,
                protocol=world.spec.protocol,
                will=None if will is None else Packet(will.topic, will.payload, 1, retain=True),
                deliver=items.put_nowait,
                lost=items.put_nowait,
            )
        except ConnectionRefusedError:
            return "the broker cannot be reached"
        self._line = line
        try:
            await self._emit(MqttConnected(world.spec.protocol))
            self._is_up, self._is_outage_told = True, True
            if order.subscriptions:
                line.subscribe(
                    *(
                        Filter(each.topic_filter, each.qos, retain_as_published=each.retain_as_published)
                        for each in order.subscriptions
                    )
                )
            await asyncio.sleep(0.004)
            await self._emit(MqttSubscribed())
            return await self._carry(items)
        finally:
            self._line = None
            if line.is_open and not self._turn.is_set():
                line.drop()
            elif line.is_open and self._computer.is_alive:
                line.disconnect()

    async def _carry(self, items: "asyncio.Queue[_Item]") -> str:
        while True:
            oldest = min(self._unacknowledged.values(), default=None)
            try:
                async with asyncio.timeout_at(None if oldest is None else oldest + ACK_S):
                    item = await items.get()
            except TimeoutError:
                return f"the broker has not acknowledged a message within {ACK_S:g} s"
            if not self._is_alive:
                await asyncio.Event().wait()
            if self._has_stood_still:
                return STOOD_STILL
            match item:
                case str():
                    return item
                case (message_id, reason):
                    self._unacknowledged.pop(message_id, None)
                    refused = MqttRefused(message_id, f"reason {reason}")
                    await self._emit(refused if reason >= 0x80 else MqttPublished(message_id))
                case Packet():
                    self._computer.note_received(item)
                    event = MqttReceived(
                        item.topic,
                        item.payload,
                        retained=item.retain,
                        response_topic=item.response_topic,
                        correlation=item.correlation,
                        expiry_s=item.expiry_s,
                        received=self._computer.moment().monotonic,
                    )
                    await self._emit(event)


class SimulatedHttp:
    """The way to Bridges: what is at an address is the world's to say."""

    def __init__(self, computer: "Computer") -> None:
        self._computer = computer
        self._process = computer.process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def send(
        self,
        host: str,
        port: int,
        request: BridgeRequest,
        auth_params: Mapping[str, str],
        *,
        connect_within_s: float | None = None,
    ) -> tuple[Answer, str | None]:
        """The answer, and our own address on that connection; raises BridgeError."""
        within_s = CONNECT_S if connect_within_s is None else min(CONNECT_S, connect_within_s)
        if within_s <= 0:
            raise BridgeError(BridgeErrorKind.TOO_LATE, "the order came too late and was not sent")
        computer = self._computer
        await self._be_alive()
        call = computer.world.wire.begin(computer, host, port, request, auth_params)
        try:
            status, body = await self._exchange(call, request, within_s)
        finally:
            computer.world.wire.end(call)
        return read_response(request, status, body), computer.host

    async def _be_alive(self) -> None:
        """The dead do not go on."""
        if not self._computer.is_alive or self._computer.process is not self._process:
            await asyncio.Event().wait()

    async def _exchange(self, call: "Call", request: BridgeRequest, within_s: float) -> tuple[int, bytes]:
        world, host, port = self._computer.world, call.host, call.port
        bridge = world.bridge_at(call)
        if bridge is None:
            await asyncio.sleep(min(within_s, world.absence_s(host)))
            raise BridgeError(BridgeErrorKind.REFUSED, f"{host}:{port} does not answer")
        await asyncio.sleep(world.connect_s)
        await self._be_alive()
        answer = world.answer(call, bridge)
        match answer.ending:
            case Ending.REFUSED:
                raise BridgeError(BridgeErrorKind.REFUSED, f"{host}:{port} refuses the connection")
            case Ending.RESET:
                await asyncio.sleep(0.05)
                raise BridgeError(BridgeErrorKind.RESET, f"{host}:{port} broke the connection")
            case _ if answer.ending is Ending.SILENT or answer.delay_s > request.timeout_s:
                await asyncio.sleep(request.timeout_s)
                raise BridgeError(BridgeErrorKind.TIMEOUT, f"{host}:{port} has not answered")
        await asyncio.sleep(answer.delay_s)
        return answer.status, answer.body


class SimulatedFinder:
    """The search for Bridges: what is announced is the world's to say."""

    def __init__(self, computer: "Computer") -> None:
        self._computer = computer
        self._process = computer.process

    async def find(self, order: FindBridges) -> BridgesFound:
        """What is announced and not followed by us already, after the time that a search takes."""
        await asyncio.sleep(SEARCH_S)
        computer = self._computer
        if not computer.is_alive or computer.process is not self._process:
            await asyncio.Event().wait()
        world = computer.world
        tried = []
        for one in world.announced():
            world.note_hit(f"found {one.host}")
            if one.link in order.followed:
                known = one if one.ids <= order.followed_ids else replace(one, bridge_id=None, server_id=None)
                tried.append(Tried(known, Verdict.BRIDGE, "is followed already"))
                continue
            if one.ids & order.followed_ids:
                tried.append(Tried(one, Verdict.UNCLEAR, "calls itself like a Bridge that answers elsewhere"))
                continue
            answer = world.at_address[one.host].answer("/info", {}, world.now)
            match answer.ending, answer.status:
                case Ending.ANSWERED, 401:
                    tried.append(Tried(one, Verdict.BRIDGE, "wants a token"))
                case Ending.ANSWERED, 503:
                    tried.append(Tried(one, Verdict.UNCLEAR, "is busy"))
                case _:
                    tried.append(Tried(one, Verdict.SILENT, "does not answer"))
        return BridgesFound(join_tried(tried))


class SimulatedDoor:
    """Where Bridges knock: the real door's judgement without its socket."""

    def __init__(self, computer: "Computer", accept: Callable[[CallbackReceived], bool]) -> None:
        self._computer = computer
        self._server = CallbackServer(accept, clock=computer.clock)
        self._is_open = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._is_open = False

    async def open(self, bind: str, port: int, paths: tuple[CallbackPath, ...], sender: SenderCheck) -> int:
        """Listen; raises CallbackDoorError."""
        self._is_open = False
        if self._computer.is_port_taken:
            self._computer.note_fault("door_taken")
            raise CallbackDoorError(f"cannot listen for callbacks on {bind} port {port} (address already in use)")
        self._server._doors = tuple([await _door(path, sender) for path in paths])
        self._is_open = True
        return port

    def knock(self, sender: str, path: str, body: bytes) -> int:
        """A POST; gives the HTTP status, 0 where nobody listens."""
        if not self._is_open or not self._computer.is_alive:
            return 0
        door = self._server._find(path)
        if door is None:
            return 404
        if not door.may_enter(sender):
            return 403
        refusal = self._server._take(body, door, sender)
        return 200 if refusal is None else int(refusal.status)
