"""The stage on which stories of the gateway are told to mosquitto in real time.

The real service runs in this process, its Bridge on HTTP. The clocks of the gateways and of the house are moved on
where a story lets time pass; the broker's clock goes as time does. A process that is really killed is in `test_kills`:
here the service is cancelled, and its sockets are closed.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from nuki2mqtt.adapters.clock import SystemEntropy
from nuki2mqtt.adapters.mqtt_link import Emit, MqttLink, Timing
from nuki2mqtt.adapters.network import SystemNetwork
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.vocabulary import BridgePaired, Memory, MqttReceived
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.service import Service
from nuki2mqtt.simulator.house import House, SimulatedDevice, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.adapters.brokers import Reachable
from tests.adapters.mosquitto import HOST, Mosquitto
from tests.stories.real.household import WAIT_S, GoingClock, free_port
from tests.stories.real.processes import until
from tests.storm.broker import Packet
from tests.storm.gateway_stories import FIRST, SECOND, TIMING, settings_of, spec_of

BARRIER = "test/barrier"
AT_ONCE = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)  # otherwise each answer takes 40 ms
SHORT_PAUSES = Timing(backoff_min_s=0.05, backoff_max_s=0.2)


# --- Somebody at the broker ---------------------------------------------------------------------------------------


class Somebody:
    """A client of MQTT 5 that hears everything."""

    def __init__(self, client: aiomqtt.Client, heard: list[Packet]) -> None:
        self.is_listening = True
        self._client = client
        self._heard = heard
        self._barriers = 0
        self._passed = 0

    async def listen(self) -> None:
        """Take in messages until the connection ends."""
        try:
            async for message in self._client.messages:
                self._take(message)
        except aiomqtt.MqttError:
            pass  # the broker is gone
        finally:
            self.is_listening = False

    def _take(self, message: aiomqtt.Message) -> None:
        topic, payload, properties = message.topic.value, message.payload, message.properties
        assert isinstance(payload, bytes)
        if topic == BARRIER:
            self._passed = int(payload)
            return
        packet = Packet(
            topic,
            payload,
            message.qos,
            retain=message.retain,
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation=getattr(properties, "CorrelationData", None),
            expiry_s=getattr(properties, "MessageExpiryInterval", None),
        )
        self._heard.append(packet)

    async def publish(self, packet: Packet) -> None:
        """Say something; the broker has it afterwards."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if packet.response_topic is not None:
            properties.ResponseTopic = packet.response_topic
        if packet.correlation is not None:
            properties.CorrelationData = packet.correlation
        if packet.expiry_s is not None:
            properties.MessageExpiryInterval = packet.expiry_s
        await self._client.publish(
            packet.topic, packet.payload, qos=packet.qos, retain=packet.retain, properties=properties
        )

    async def barrier(self) -> None:
        """Until everything that the broker had when this began is heard."""
        self._barriers += 1
        await self._client.publish(BARRIER, str(self._barriers).encode(), qos=1)
        await until(lambda: self._passed >= self._barriers, "the broker shows what it has")


@asynccontextmanager
async def somebody(broker: Mosquitto, heard: list[Packet]) -> AsyncIterator[Somebody]:
    async with aiomqtt.Client(
        broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5, socket_options=AT_ONCE
    ) as client:
        one = Somebody(client, heard)
        listening = asyncio.create_task(one.listen(), name="somebody")
        try:
            for topic in (BARRIER, "#"):
                await client.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=True))
            await one.barrier()
            yield one
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


# --- The way to the broker ----------------------------------------------------------------------------------------


class Way:
    """A way to a broker, which can be broken; `is_open` says whether there is one."""

    host = HOST

    def __init__(self, broker: Reachable) -> None:
        self.is_open = True
        self.port = 0
        self._broker = broker
        self._ends: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Break every connection, for both sides; there is no way any more."""
        self.is_open = False
        for end in self._ends:
            end.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        ends = {writer}
        try:
            if self.is_open:
                with contextlib.suppress(OSError):
                    far_reader, far_writer = await asyncio.open_connection(self._broker.host, self._broker.port)
                    ends.add(far_writer)
                    self._ends |= ends
                    await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        except asyncio.CancelledError:
            pass  # asyncio 3.11 logs a cancelled handler as an error
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def end(self) -> None:
        """Break what is left."""
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(4096):
            writer.write(some)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def way_to(broker: Reachable) -> AsyncIterator[Way]:
    way = Way(broker)
    server = await asyncio.start_server(way.serve, HOST, 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        await way.end()
        await server.wait_closed()


# --- The computers ------------------------------------------------------------------------------------------------


class NearNetwork(SystemNetwork):
    """That of this computer, with short pauses between the attempts to connect; `emit` is the service's inbox."""

    def __init__(self, settings: Settings, client_id: str, *, clock: GoingClock, entropy: SystemEntropy) -> None:
        super().__init__(settings, client_id, clock=clock, entropy=entropy)
        self._mine = settings, client_id, entropy
        self.emit: Emit | None = None

    def mqtt(self, emit: Emit) -> MqttLink:
        self.emit = emit
        settings, client_id, entropy = self._mine
        return MqttLink(settings.mqtt, client_id, emit=emit, jitter=entropy.fraction, timing=SHORT_PAUSES)


class RealComputer:
    """Runs a gateway, and keeps its memory."""

    def __init__(self, instance: str, settings: Settings, clock: GoingClock) -> None:
        self.memory = Memory()
        self._instance = instance
        self._settings = settings
        self._clock = clock
        self._was_unclean = False
        self._service: Service | None = None
        self._network: NearNetwork | None = None
        self._running: asyncio.Task[None] | None = None

    def save(self, memory: Memory) -> None:
        self.memory = memory

    def take_pairing(self) -> tuple[BridgePaired, ...]:
        return ()

    def start(self) -> None:
        identity = Identity(
            instance=self._instance,
            version="0.1.0",
            callback_secret=Secret(f"5ecret{self._instance}"),
            started=self._clock.now(),
            after_unclean_end=self._was_unclean,
        )
        self._was_unclean = True
        client_id, entropy = f"nuki2mqtt-{self._instance}", SystemEntropy()
        self._network = NearNetwork(self._settings, client_id, clock=self._clock, entropy=entropy)
        self._service = Service(
            self._settings,
            Gateway(self._settings, identity, self.memory),
            client_id=client_id,
            state=self,
            clock=self._clock,
            entropy=entropy,
            network=self._network,
        )
        self._running = asyncio.create_task(self._service.run(), name=client_id)

    async def kill(self) -> None:
        running, self._running = self._running, None
        if running is not None and not running.done():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        elif running is not None:
            running.result()  # what ended by itself has crashed

    async def stop(self) -> None:
        running, self._running = self._running, None
        assert running is not None
        assert self._service is not None
        self._service.request_stop()
        async with asyncio.timeout(WAIT_S):
            await running
        self._was_unclean = False

    async def notice_the_time(self) -> None:
        """A moved clock is noticed at the next event; this one means nothing to the gateway."""
        if self._running is not None and self._network is not None and self._network.emit is not None:
            await self._network.emit(MqttReceived(BARRIER, b"", retained=False))


class LogTap(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


# --- The stage ----------------------------------------------------------------------------------------------------


class RealStage:
    def __init__(
        self,
        protocol: str,
        broker: Mosquitto,
        way: Way,
        clock: GoingClock,
        house: House,
        settings: Settings | None = None,
    ) -> None:
        spec = spec_of(protocol)
        self.protocol = protocol
        self.heard: list[Packet] = []
        self.log: list[str] = []
        devices: dict[str, SimulatedDevice] = {name: house.add(device) for name, device in spec.make_devices()}
        lock, bell = devices["front_door"], devices["bell"]
        assert isinstance(lock, SimulatedLock)
        assert isinstance(bell, SimulatedOpener)
        self.lock, self.bell = lock, bell
        self.bridge = spec.make_bridge(house, 0)
        self.bridge.timing = TIMING
        self.server = SimulatedBridgeServer(self.bridge, clock=clock.epoch)
        self._broker = broker
        self._way = way
        self._clock = clock
        self._house = house
        self._settings = settings or settings_of(spec)
        self._computers: dict[str, RealComputer] = {}
        self._presence = AsyncExitStack()
        self._somebody: Somebody | None = None

    def now(self) -> datetime:
        return self._clock.at

    # --- gateways ---

    async def start(self) -> None:
        self._computer(FIRST).start()

    async def kill(self) -> None:
        await self._computer(FIRST).kill()

    async def stop(self) -> None:
        await self._computer(FIRST).stop()

    async def start_other(self) -> None:
        self._computer(SECOND).start()

    async def kill_other(self) -> None:
        await self._computer(SECOND).kill()

    def lose_state(self) -> None:
        self._computer(FIRST).memory = Memory()

    async def cut(self) -> None:
        self._way.cut()

    async def mend(self) -> None:
        self._way.is_open = True

    def _computer(self, instance: str) -> RealComputer:
        if instance not in self._computers:
            settings = self._settings
            settings = replace(
                settings,
                mqtt=replace(settings.mqtt, host=HOST, port=self._way.port),
                bridges=(replace(settings.bridges[0], host=self.server.host, port=self.server.port),),
                callback=replace(settings.callback, bind=HOST, port=free_port()),
            )
            self._computers[instance] = RealComputer(instance, settings, self._clock)
        return self._computers[instance]

    # --- the broker ---

    async def stop_broker(self, *, keeps: bool) -> None:
        await self._barrier()
        self._way.is_open = False
        await (self._broker.stop() if keeps else self._broker.kill())
        ear = self._somebody
        await until(lambda: ear is None or not ear.is_listening, "its last words are heard")
        await self._presence.aclose()

    async def start_broker(self) -> None:
        await self._broker.start()
        await self.come()

    async def publish(self, packet: Packet) -> None:
        assert self._somebody is not None
        await self._somebody.publish(packet)

    async def kept(self) -> Mapping[str, Packet]:
        await self._barrier()
        told: list[Packet] = []
        async with somebody(self._broker, told):
            return {packet.topic: packet for packet in told}

    async def come(self) -> None:
        """Listen from now on."""
        self._somebody = await self._presence.enter_async_context(somebody(self._broker, self.heard))

    async def _barrier(self) -> None:
        assert self._somebody is not None
        await self._somebody.barrier()

    # --- the house, and time ---

    async def happens(self, do: Callable[[], None]) -> None:
        self._house.advance(self._clock.epoch())
        do()
        await self.server.deliver()

    async def until(self, is_so: Callable[[], object], what: str) -> None:
        await until(is_so, what)

    async def passes(self, seconds: float) -> None:
        self._clock.at += timedelta(seconds=seconds)
        self.server.changed()
        for computer in self._computers.values():
            await computer.notice_the_time()

    async def lasts(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        for computer in self._computers.values():
            await computer.kill()
        await self._presence.aclose()


@asynccontextmanager
async def stage_at(
    broker: Mosquitto, way: Way, protocol: str, settings: Settings | None = None
) -> AsyncIterator[RealStage]:
    """A house whose gateways take this way to the broker, and somebody who listens there.

    `protocol` is what they are to speak with it; `settings` are theirs, if they differ from those of all stories.
    """
    clock, logger = GoingClock(), logging.getLogger("nuki2mqtt")
    stage = RealStage(protocol, broker, way, clock, House(now=clock.epoch()), settings)
    tap, level = LogTap(stage.log), logger.level
    logger.addHandler(tap)
    logger.setLevel(logging.INFO)
    try:
        async with stage.server:
            try:
                await stage.come()
                yield stage
            finally:
                await stage.close()
    finally:
        logger.removeHandler(tap)
        logger.setLevel(level)
