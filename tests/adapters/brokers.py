"""Real brokers on the loopback interface, and an independent client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import paho.mqtt.client as paho
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.mosquitto import HOST, MOSQUITTO, Mosquitto, Tls, mosquitto, needs_mosquitto

__all__ = [
    "HOST",
    "AmqttBroker",
    "Heard",
    "Listener",
    "Mosquitto",
    "Reachable",
    "RunningBroker",
    "Tls",
    "amqtt_broker",
    "any_broker",
    "listener",
    "mosquitto",
    "needs_mosquitto",
]
_START_S = 10.0
_STOP_S = 5.0


class Reachable(Protocol):
    """Something that listens; `protocol` is how it is best spoken to."""

    host: str
    port: int
    protocol: MqttProtocol


class RunningBroker(Reachable, Protocol):
    """What every broker here offers."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


# --- amqtt ----------------------------------------------------------------------------------------------------


class _TidyBroker(Broker):  # type: ignore[misc] # amqtt is not typed
    """amqtt 0.12.1 leaves the connections of a stopped broker, and some ended ones, open."""

    def __init__(self, config: BrokerConfig) -> None:
        super().__init__(config)
        self._conversations: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations[task] = writer
        try:
            await super().stream_connected(reader, writer, listener_name)
        finally:
            del self._conversations[task]
            writer.close()

    async def end_conversations(self) -> None:
        for writer in self._conversations.values():
            writer.transport.abort()
        if self._conversations:
            _, left = await asyncio.wait(tuple(self._conversations), timeout=_STOP_S)
            assert not left


class AmqttBroker:
    """An MQTT 3.1.1 broker in this process; it keeps nothing when it is stopped."""

    protocol = MqttProtocol.V311  # 0.12.1 does not answer to MQTT 5 at all

    def __init__(self) -> None:
        self.host = HOST
        self.port = 0
        self._broker: _TidyBroker | None = None

    async def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        config = BrokerConfig(
            listeners={"default": ListenerConfig(bind=f"{HOST}:{self.port}")},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
        self._broker = _TidyBroker(config)
        await self._broker.start()
        self.port = self._broker._servers["default"].instance.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End it and its connections."""
        broker, self._broker = self._broker, None
        if broker is not None:
            async with asyncio.timeout(_STOP_S):
                await broker.shutdown()
                await broker.end_conversations()


@asynccontextmanager
async def amqtt_broker() -> AsyncIterator[AmqttBroker]:
    """The broker for where mosquitto is absent: MQTT 3.1.1 only."""
    broker = AmqttBroker()
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def any_broker() -> AbstractAsyncContextManager[RunningBroker]:
    """Mosquitto where there is one, otherwise amqtt; for tests that need no more than MQTT 3.1.1."""
    return amqtt_broker() if MOSQUITTO is None else mosquitto()


# --- an independent client --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """A message as the listener got it."""

    topic: str
    payload: bytes
    retain: bool
    qos: int
    correlation: bytes | None = None


class Listener:
    """A client with a thread of its own that hears and speaks; nothing of ours is in it."""

    def __init__(self, client: paho.Client, loop: asyncio.AbstractEventLoop) -> None:
        self.heard: list[Heard] = []
        self._client = client
        self._loop = loop
        self._changed = asyncio.Condition()
        self._connected = asyncio.Event()
        self._subscribed = asyncio.Event()
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish

    @property
    def topics(self) -> list[str]:
        """The topics of what was heard, in order."""
        return [message.topic for message in self.heard]

    def payloads(self, topic: str) -> list[bytes]:
        """What was heard at a topic, in order."""
        return [message.payload for message in self.heard if message.topic == topic]

    async def wait_for(self, predicate: Callable[[Heard], bool], timeout_s: float = 10.0) -> Heard:
        """The first message, heard already or to come, that the predicate likes."""
        await self.wait_until(lambda: any(map(predicate, self.heard)), timeout_s)
        return next(filter(predicate, self.heard))

    async def wait_until(self, predicate: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Until the predicate holds; it is asked after each message."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(predicate)

    async def publish(
        self, topic: str, payload: bytes = b"", *, qos: int = 1, retain: bool = False, **properties: Any
    ) -> None:
        """Publish and wait for the acknowledgement of QoS 1; properties (of MQTT 5) by their names in paho."""
        packed = None
        if properties:
            packed = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            for name, value in properties.items():
                setattr(packed, name, value)
        info = self._client.publish(topic, payload, qos, retain, packed)
        if qos:
            await asyncio.to_thread(info.wait_for_publish, 10.0)
            assert info.is_published(), f"no acknowledgement for {topic}"

    async def begin(self, filters: tuple[str, ...]) -> None:
        """Wait for the connection, then for the subscriptions."""
        async with asyncio.timeout(_START_S):
            await self._connected.wait()
            if filters:
                self._client.subscribe([(each, 1) for each in filters])
                await self._subscribed.wait()

    def _on_connect(self, _c: paho.Client, _u: Any, _f: paho.ConnectFlags, code: ReasonCode, _p: Any) -> None:
        assert not code.is_failure
        self._loop.call_soon_threadsafe(self._connected.set)

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        heard = Heard(message.topic, bytes(message.payload), bool(message.retain), message.qos, correlation)
        asyncio.run_coroutine_threadsafe(self._hear(heard), self._loop)

    async def _hear(self, heard: Heard) -> None:
        async with self._changed:
            self.heard.append(heard)
            self._changed.notify_all()

    def _on_subscribe(self, _c: paho.Client, _u: Any, _mid: int, codes: list[ReasonCode], _p: Any) -> None:
        assert not any(code.is_failure for code in codes)
        self._loop.call_soon_threadsafe(self._subscribed.set)

    def _on_publish(self, _c: paho.Client, _u: Any, _mid: int, code: ReasonCode, _p: Any) -> None:
        assert not code.is_failure


@asynccontextmanager
async def listener(
    broker: Reachable,
    *filters: str,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    username: str | None = None,
    password: str | None = None,
) -> AsyncIterator[Listener]:
    """A listener to these filters, subscribed already."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol, reconnect_on_failure=False)
    if username is not None:
        client.username_pw_set(username, password)
    found = Listener(client, asyncio.get_running_loop())
    await asyncio.to_thread(client.connect, broker.host, broker.port)
    client.loop_start()
    try:
        await found.begin(filters)
        yield found
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
