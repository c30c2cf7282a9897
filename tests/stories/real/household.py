"""A real service in this process, beside a simulated Bridge and a real broker; only time is steered.

The clock stands still until a test moves it, so that every time in a message is exact. A moved clock is noticed
at the next event: `Household.settle` sends one that the gateway ignores and waits until nothing is under way.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from nuki2mqtt.adapters.clock import SystemEntropy
from nuki2mqtt.adapters.heartbeat import Heartbeat
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgePaired,
    CallbackDoorFailed,
    CallbackDoorOpened,
    CallBridge,
    Effect,
    Event,
    Memory,
    MemoryNotSaved,
    MemorySaved,
    Moment,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttRefused,
    OpenCallbackDoor,
    Publish,
    Remember,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_words import MqttProtocol
from nuki2mqtt.service import Service, StatePort
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, Timing
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.adapters import mosquitto
from tests.adapters.brokers import Reachable

TOKEN = "abcdef"
INSTANCE = "1234abcd"
WAIT_S = 15.0
_IGNORED = "homeassistant/status"
_BARRIER = "test/barrier"
AT_ONCE = Timing(answer_s=0.0, read_s=0.0, unreachable_s=0.0, accept_s=0.0, callback_s=0.0)


def free_port() -> int:
    """A port nobody listens at, and none that was given before."""
    return mosquitto.free_port()


class SteeredClock:
    """Both clocks of a computer; they go when a test says so."""

    def __init__(self, start: datetime) -> None:
        self.at = start
        self._start = start

    def now(self) -> Moment:
        """This instant."""
        return Moment(1000.0 + (self.at - self._start).total_seconds(), self.at, is_synchronised=True)

    def epoch(self) -> float:
        """The wall clock in epoch seconds, for the simulated Bridge."""
        return self.at.timestamp()


class GoingClock(SteeredClock):
    """Goes as time does, and further when a test says so."""

    def __init__(self) -> None:
        self._offset = timedelta()
        super().__init__(datetime.now(UTC))

    @property
    def at(self) -> datetime:
        return datetime.now(UTC) + self._offset

    @at.setter
    def at(self, at: datetime) -> None:
        self._offset = at - datetime.now(UTC)


class WatchedGateway(Gateway):
    """The real one; it only counts what went in and what is under way."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.events: list[Event] = []
        self.orders: list[Effect] = []
        self.is_connected = False
        self.has_stopped = False
        self._under_way: set[tuple[str, object]] = set()
        self._turned = asyncio.Event()

    def handle(self, event: Event, now: Moment) -> list[Effect]:
        self.events.append(event)
        self._note_ended(event)
        return self._note_begun(super().handle(event, now))

    def handle_timer(self, now: Moment) -> list[Effect]:
        return self._note_begun(super().handle_timer(now))

    def is_at_rest(self, now: float) -> bool:
        """Whether nothing is under way and nothing is due."""
        deadline = self.next_deadline()
        return not self._under_way and (deadline is None or deadline > now)

    async def wait_until(self, predicate: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Until the predicate holds; it is asked after each turn."""
        try:
            async with asyncio.timeout(timeout_s):
                while not predicate():
                    assert not self.has_stopped, "the service has ended"
                    self._turned.clear()
                    await self._turned.wait()
        except TimeoutError:
            raise AssertionError(f"it did not come; under way: {self._under_way}, {self.events[-10:]}") from None

    def note_stopped(self, running: "asyncio.Task[None]") -> None:
        """The service has ended, by itself or by an error."""
        self.has_stopped = True
        self._turned.set()
        if not running.cancelled() and running.exception() is not None:
            logging.getLogger(__name__).error("The service crashed", exc_info=running.exception())

    def _note_begun(self, effects: list[Effect]) -> list[Effect]:
        self.orders += effects
        for effect in effects:
            match effect:
                case CallBridge(link, call_id):
                    self._under_way.add((link, call_id))
                case Publish(message_id) if self.is_connected:
                    self._under_way.add(("publish", message_id))
                case Remember() | OpenCallbackDoor():
                    self._under_way.add((type(effect).__name__, ""))
                case _:
                    pass
        self._turned.set()
        return effects

    def _note_ended(self, event: Event) -> None:
        match event:
            case BridgeAnswered(link, call_id):
                self._under_way.discard((link, call_id))
            case MqttPublished(message_id) | MqttRefused(message_id):
                self._under_way.discard(("publish", message_id))
            case MemorySaved() | MemoryNotSaved():
                self._under_way.discard(("Remember", ""))
            case CallbackDoorOpened() | CallbackDoorFailed():
                self._under_way.discard(("OpenCallbackDoor", ""))
            case MqttConnected():
                self.is_connected = True
            case MqttLost():
                self.is_connected = False
                self._under_way = {item for item in self._under_way if item[0] != "publish"}
            case _:
                pass


class MemoryInMemory:
    """Where memory is kept; nothing is ever handed over."""

    def __init__(self) -> None:
        self.saved: list[Memory] = []

    def save(self, memory: Memory) -> None:
        self.saved.append(memory)

    def take_pairing(self) -> tuple[BridgePaired, ...]:
        return ()


@dataclass(frozen=True)
class Said:
    """One message: its topic, its payload (an object, or the text where it is none), and its retain flag."""

    topic: str
    payload: Any
    retain: bool


class Ear:
    """Hears everything, live messages with the retain flag under which they were published."""

    def __init__(self, client: aiomqtt.Client, *, is_v5: bool) -> None:
        self.heard: list[Said] = []
        self.raw: list[tuple[str, bytes]] = []
        self._client = client
        self._is_v5 = is_v5
        self._barriers = 0
        self._passed = 0
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Take in messages until cancelled."""
        async for message in self._client.messages:
            topic, payload = message.topic.value, message.payload
            assert isinstance(payload, bytes)
            if topic == _BARRIER:
                self._passed = int(payload)
            else:
                # 3.1.1 shows live messages without the flag; what the broker keeps is looked at in the end.
                retain = bool(message.retain) if self._is_v5 else not topic.endswith(("/event", "/event/late"))
                self.heard.append(Said(topic, _read(payload), retain))
                self.raw.append((topic, payload))
            self._changed.set()

    async def wait_for(
        self,
        topic: str,
        is_wanted: Callable[[Any], object] = lambda _: True,
        *,
        since: int = 0,
        timeout_s: float = WAIT_S,
    ) -> Said:
        """The first message of this topic that is wanted, heard after the first `since` messages or to come."""
        checked = since
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._changed.clear()
                    while checked < len(self.heard):
                        said, checked = self.heard[checked], checked + 1
                        if said.topic == topic and is_wanted(said.payload):
                            return said
                    await self._changed.wait()
        except TimeoutError:
            tail = [(said.topic, said.payload) for said in self.heard[since:]][-12:]
            raise AssertionError(f"{topic}: it was not said; the last messages: {tail}") from None

    def said(self, topic: str, since: int = 0) -> list[Any]:
        """The payloads of a topic, in order."""
        return [said.payload for said in self.heard[since:] if said.topic == topic]

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Say something."""
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def barrier(self) -> None:
        """Wait until everything that the broker had when this began is heard."""
        self._barriers += 1
        await self.publish(_BARRIER, str(self._barriers).encode())
        async with asyncio.timeout(WAIT_S):
            while self._passed < self._barriers:
                self._changed.clear()
                await self._changed.wait()


def _read(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode()


@asynccontextmanager
async def ear(
    broker: Reachable, *filters: str, username: str | None = None, password: str | None = None
) -> AsyncIterator[Ear]:
    """An ear at these filters, or at everything below the base topic."""
    is_v5 = broker.protocol is not MqttProtocol.V311
    protocol = aiomqtt.ProtocolVersion.V5 if is_v5 else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client(
        broker.host, broker.port, protocol=protocol, username=username, password=password
    ) as client:
        one = Ear(client, is_v5=is_v5)
        for topic in (*(filters or ("nuki2mqtt/#",)), _BARRIER):
            if is_v5:
                await client.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=True))
            else:
                await client.subscribe(topic, qos=1)
        listening = asyncio.create_task(one.listen(), name="ear")
        try:
            await one.barrier()
            yield one
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def kept(broker: Reachable, *filters: str, **login: str) -> dict[str, Any]:
    """What the broker keeps: all that a client which comes now is told."""
    async with ear(broker, *filters, **login) as late:
        return {said.topic: said.payload for said in late.heard if said.retain}


class Household:
    """Everything of one test; `clock`, `bridge` and `house` are its to move."""

    def __init__(
        self,
        broker: Reachable,
        clock: SteeredClock,
        bridge: SimulatedBridge,
        gateway: WatchedGateway,
        service: Service,
        heard: Ear,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.bridge = bridge
        self.gateway = gateway
        self.service = service
        self.ear = heard
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S))
        self._pokes = 0
        self._taken = 0

    async def begin(self) -> None:
        """Wait until the gateway owns the base and has its callback slot, then until nothing is under way."""
        await self.gateway.wait_until(lambda: self.gateway.is_connected)
        async with asyncio.timeout(WAIT_S):
            while self.callback_url is None:
                self.clock.at += timedelta(seconds=1)
                await self.settle()
        await self.settle()

    @property
    def callback_url(self) -> str | None:
        """Where the Bridge would call us."""
        return self.bridge.callbacks.slots[0]

    async def poke(self) -> None:
        """Let the service notice the time."""
        self._pokes += 1
        poke = b"poke %d" % self._pokes
        await self.ear.publish(_IGNORED, poke)
        await self.gateway.wait_until(lambda: self._has_handled(poke))

    async def settle(self) -> None:
        """Let the service notice the time, and wait until all that it does about it is done and heard."""
        await self.poke()
        await self.gateway.wait_until(self._is_at_rest)
        await self.ear.barrier()

    def _has_handled(self, poke: bytes) -> bool:
        return any(isinstance(event, MqttReceived) and event.payload == poke for event in self.gateway.events[-200:])

    def _is_at_rest(self) -> bool:
        return self.gateway.is_at_rest(self.clock.now().monotonic)

    async def wait_until(self, at: datetime) -> None:
        """Let time pass in one step."""
        assert at >= self.clock.at
        self.clock.at = at
        await self.settle()

    async def post(self, body: bytes) -> int:
        """What the Bridge does when something happened; gives the status of the answer."""
        url = self.callback_url
        assert url is not None
        async with self._session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            return answer.status

    def take_said(self, *devices: str) -> list[Said]:
        """What was said of these devices since the last call, in order; of all devices, if none is named."""
        new, self._taken = self.ear.heard[self._taken :], len(self.ear.heard)
        found = []
        for said in new:
            device = said.topic.split("/")[1]
            if device not in {"gateway", "bridge"} and (not devices or device in devices):
                found.append(said)
        return found

    async def end(self) -> None:
        """Close what was opened."""
        await self._session.close()


@asynccontextmanager
async def household(
    broker: Reachable,
    house: House,
    clock: SteeredClock,
    *,
    token: str = TOKEN,
    state: StatePort | None = None,
    heartbeat: Heartbeat | None = None,
    kind: type[WatchedGateway] = WatchedGateway,
) -> AsyncIterator[Household]:
    """A service that follows all devices of the house; the Bridge says nothing by itself.

    With an empty token it has to be paired.
    """
    bridge = SimulatedBridge(house, hardware_id=0x0A1B2C3D, server_id=1, token=TOKEN, timing=AT_ONCE)
    async with SimulatedBridgeServer(bridge, clock=clock.epoch) as server, ear(broker) as heard:
        text = (
            f"version: 1\nmqtt: {{host: {broker.host}, port: {broker.port}, protocol: {broker.protocol}}}\n"
            f"bridges: [{{host: {server.host}, port: {server.port}, token: {token or 'null'}}}]\n"
            f"callback: {{bind: 127.0.0.1, port: {free_port()}}}\n"
            "poll: {list_s: 3600, info_s: 86400, min_gap_s: 0}\n"
        )
        read = read_settings(text, read_file=lambda name: name)
        identity = Identity(
            instance=INSTANCE, version="0.1.0", callback_secret=Secret("5ecret"), started=clock.now(), jitter=0.0
        )
        gateway = kind(read, identity, Memory())
        service = Service(
            read,
            gateway,
            client_id=f"nuki2mqtt-{INSTANCE}",
            state=MemoryInMemory() if state is None else state,
            clock=clock,
            entropy=SystemEntropy(),
            heartbeat=heartbeat,
        )
        one = Household(broker, clock, bridge, gateway, service, heard)
        running = asyncio.create_task(service.run(), name="service")
        running.add_done_callback(gateway.note_stopped)
        try:
            with bridge.faults.silent_callbacks():
                yield one
            service.request_stop()
            async with asyncio.timeout(WAIT_S):
                await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await one.end()
