"""A line that can be cut, a broker that does not know MQTT 5, and one that misbehaves on request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.brokers import HOST, Reachable

_STOP_S = 5.0

# --- a line that can be cut -----------------------------------------------------------------------------------


class Relay:
    """Passes bytes on to a broker until it is cut."""

    def __init__(self, broker: Reachable) -> None:
        self.host = HOST
        self.port = 0
        self.protocol = broker.protocol
        self._broker = broker
        self._lines: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Reset every connection, as a router does that forgets them."""
        for line in tuple(self._lines):
            line.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._broker.host, self._broker.port)
            both = {writer, far_writer}
            self._lines |= both
            try:
                await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
            finally:
                self._lines -= both
                far_writer.transport.abort()
        writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def relay(broker: Reachable) -> AsyncIterator[Relay]:
    """A way to the broker that can be cut."""
    line = Relay(broker)
    async with _serving(line._serve) as port:
        line.port = port
        yield line


@asynccontextmanager
async def _serving(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            pass  # asyncio 3.11 logs a cancelled handler as an error
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(on_client, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tuple(tasks), timeout=_STOP_S)
        await server.wait_closed()


# --- a broker that does not know MQTT 5 -------------------------------------------------------------------------


class LimitedBroker:
    """Stands before a broker and refuses MQTT 5 with `answer`; `levels` are the protocol levels of all CONNECTs.

    mosquitto from 2.1 on does so by itself (`accept_protocol_versions`), with REFUSE_V5; with REFUSE_V311 did all those
    that were written before there was an MQTT 5 (mosquitto before 1.6).
    """

    def __init__(self, broker: Reachable, answer: bytes) -> None:
        self.host = HOST
        self.port = 0
        self.protocol = MqttProtocol.V311
        self.levels: list[int] = []
        self._broker = broker
        self._answer = answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first, body = await _packet(reader)
            self.levels.append(body[6])
            if body[6] == 5:
                writer.write(self._answer)
                writer.close()
                await writer.wait_closed()
                return
            far_reader, far_writer = await asyncio.open_connection(self._broker.host, self._broker.port)
            try:
                far_writer.write(_frame(first, body))
                await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
            finally:
                far_writer.transport.abort()


@asynccontextmanager
async def limited_broker(broker: Reachable, answer: bytes) -> AsyncIterator[LimitedBroker]:
    """This broker, for those who speak 3.1.1."""
    limited = LimitedBroker(broker, answer)
    async with _serving(limited._serve) as port:
        limited.port = port
        yield limited


# --- a broker that misbehaves -----------------------------------------------------------------------------------

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14  # MQTT 5.0 section 2.1.2
SILENT = None
CLOSE = b""
ACCEPT_V5 = bytes((0x20, 3, 0, 0, 0))
ACCEPT_V311 = bytes((0x20, 2, 0, 0))
REFUSE_V5 = bytes((0x20, 3, 0, 0x84, 0))
REFUSE_V311 = bytes((0x20, 2, 0, 1))
NOT_AUTHORISED_V5 = bytes((0x20, 3, 0, 0x87, 0))
NOT_AUTHORISED_V311 = bytes((0x20, 2, 0, 5))
TAKEN_OVER = bytes((0xE0, 2, 0x8E, 0))


Script = bytes | list[bytes | None] | None


def _steps(script: Script) -> list[bytes | None]:
    return script if isinstance(script, list) else [script]


def accept_with(properties: bytes) -> bytes:
    """A CONNACK of MQTT 5 with these properties."""
    return bytes((0x20, 3 + len(properties), 0, 0, len(properties))) + properties


@dataclass
class FakeBroker:
    """Answers CONNECT by the script of its protocol level (the last line of it again and again).

    `levels` and `goodbyes` count what came: the protocol level of each CONNECT, and the DISCONNECTs.
    `subacks` are the codes for the filters of each SUBSCRIBE, none for silence; `after_suback` is sent behind it.
    bodies of all SUBSCRIBEs.
    """

    v5: list[bytes | None]
    v311: list[bytes | None]
    subacks: bytes = b"\x01"
    acknowledges: bool = True
    after_suback: bytes = b""
    levels: list[int] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    subscribed: list[bytes] = field(default_factory=list)
    goodbyes: int = 0
    host: str = HOST
    port: int = 0
    protocol: MqttProtocol = MqttProtocol.AUTO

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        level = 0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                first, body = await _packet(reader)
                kind = first >> 4
                if kind == CONNECT:
                    level = body[6]
                    self.levels.append(level)
                    answer = self._next(self.v5 if level == 5 else self.v311)
                elif kind == SUBSCRIBE:
                    self.subscribed.append(body)
                    properties = b"\0" if level == 5 else b""
                    answer = _frame(0x90, body[:2] + properties + self.subacks) + self.after_suback
                    answer = answer if self.subacks else SILENT
                elif kind == PUBLISH:
                    self.published.append(body)
                    answer = _frame(0x40, _packet_id(body)) if first & 6 and self.acknowledges else SILENT
                elif kind == PINGREQ:
                    answer = bytes((0xD0, 0))
                else:
                    self.goodbyes += kind == DISCONNECT
                    answer = SILENT
                if answer == CLOSE:
                    return
                writer.write(answer or b"")

    @staticmethod
    def _next(script: list[bytes | None]) -> bytes | None:
        return script.pop(0) if len(script) > 1 else script[0]


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, await reader.readexactly(length)


def _frame(first: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    return bytes((first, *length, left)) + body


def _packet_id(publish: bytes) -> bytes:
    topic = int.from_bytes(publish[:2], "big")
    return publish[2 + topic : 4 + topic]


@asynccontextmanager
async def fake_broker(
    *,
    v5: Script = ACCEPT_V5,
    v311: Script = ACCEPT_V311,
    **how: Any,
) -> AsyncIterator[FakeBroker]:
    """A broker that answers CONNECT by the script and keeps no messages."""
    fake = FakeBroker(_steps(v5), _steps(v311), **how)
    async with _serving(fake.serve) as port:
        fake.port = port
        yield fake


@dataclass
class SilentServer:
    """Takes connections and never says a word."""

    host: str = HOST
    port: int = 0
    protocol: MqttProtocol = MqttProtocol.AUTO
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        self.accepted.set()
        with contextlib.suppress(OSError):
            await reader.read(-1)
        self.ended.set()


@asynccontextmanager
async def silent_server() -> AsyncIterator[SilentServer]:
    """A server that neither answers nor hangs up."""
    silent = SilentServer()
    async with _serving(silent.serve) as port:
        silent.port = port
        yield silent
