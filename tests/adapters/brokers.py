"""Real brokers on the loopback interface, and an independent client."""

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import paho.mqtt.client as paho
import pytest
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

HOST = "127.0.0.1"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or shutil.which("mosquitto")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
_START_S = 10.0
_STOP_S = 5.0


class Reachable(Protocol):
    """Something that listens."""

    host: str
    port: int


class RunningBroker(Reachable, Protocol):
    """What every broker here offers."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


def free_port() -> int:
    """A port nobody listens at, outside of Linux's ephemeral range.

    Within that range a client that tries again and again would, on the loopback, connect to itself some day.
    """
    while True:
        port = random.randint(20000, 32000)  # noqa: S311
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


# --- mosquitto ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Tls:
    """The PEM files of a TLS listener; `ask_client` demands a certificate from clients."""

    ca: Path
    cert: Path
    key: Path
    ask_client: bool = False


class Mosquitto:
    """A mosquitto process; stopped and started again it keeps its port and, if asked to, its messages."""

    def __init__(self, config: Path, port: int) -> None:
        self.host = HOST
        self.port = port
        self.log: deque[str] = deque(maxlen=2000)
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start and wait until it listens."""
        assert MOSQUITTO is not None
        assert self._process is None, "it runs already"
        self._process = await asyncio.create_subprocess_exec(
            MOSQUITTO, "-c", str(self._config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        stream = self._process.stderr
        assert stream is not None
        try:
            async with asyncio.timeout(_START_S):
                await self._read_until(stream, "running")
                # 2.0.11 forgets a SIGTERM that comes before its loop, so wait until that is at work.
                _, writer = await asyncio.open_connection(HOST, self.port)
                await self._read_until(stream, "New connection")
                writer.transport.abort()
        except BaseException:
            await self.kill()
            raise
        self._reading = asyncio.create_task(self._drain(stream), name="mosquitto-log")

    async def stop(self) -> None:
        """Let it end by itself, as on a shutdown."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once; nothing is said to its clients."""
        await self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading
            self._reading = None

    async def _read_until(self, stream: asyncio.StreamReader, words: str) -> None:
        while words not in (line := await self._line(stream)):
            assert line, f"mosquitto did not start: {list(self.log)}"

    async def _line(self, stream: asyncio.StreamReader) -> str:
        line = (await stream.readline()).decode(errors="replace").rstrip()
        self.log.append(line)
        return line

    async def _drain(self, stream: asyncio.StreamReader) -> None:
        while await self._line(stream):
            pass


@asynccontextmanager
async def mosquitto(
    *,
    users: Mapping[str, str] | None = None,
    acl: str | None = None,
    tls: Tls | None = None,
    persistence: bool = False,
    settings: tuple[str, ...] = (),
) -> AsyncIterator[Mosquitto]:
    """A mosquitto of one's own; skips the test where there is none.

    `users` are names and passwords (None lets everybody in), `acl` is the text of an ACL file, `settings` are
    further lines of the configuration.
    """
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    with tempfile.TemporaryDirectory(prefix="mosquitto-") as name:
        directory, port = Path(name), free_port()
        lines = [
            "user root",  # started as root it would become a user who cannot read this directory
            "log_dest stderr",
            "log_type all",
            "set_tcp_nodelay true",
            f"listener {port} {HOST}",
            f"allow_anonymous {str(users is None).lower()}",
        ]
        if users is not None:
            lines.append(f"password_file {await _password_file(directory, users)}")
        if acl is not None:
            await asyncio.to_thread((directory / "acl").write_text, acl)
            (directory / "acl").chmod(0o600)
            lines.append(f"acl_file {directory / 'acl'}")
        if tls is not None:
            lines += [f"cafile {tls.ca}", f"certfile {tls.cert}", f"keyfile {tls.key}"]
            lines.append(f"require_certificate {str(tls.ask_client).lower()}")
        if persistence:
            lines += ["persistence true", f"persistence_location {directory}/"]
        config = directory / "mosquitto.conf"
        await asyncio.to_thread(config.write_text, "\n".join((*lines, *settings)) + "\n")
        broker = Mosquitto(config, port)
        try:
            await broker.start()
            yield broker
        finally:
            await broker.kill()


async def _password_file(directory: Path, users: Mapping[str, str]) -> Path:
    path = directory / "users"
    lines = "".join(f"{name}:{password}\n" for name, password in users.items())
    await asyncio.to_thread(path.write_text, lines)
    path.chmod(0o600)
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    hashing = await asyncio.create_subprocess_exec(tool, "-U", str(path))
    assert await hashing.wait() == 0
    return path


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
        heard = Heard(message.topic, bytes(message.payload), bool(message.retain), message.qos)
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
