"""Servers that speak bytes: what a broken one, and one that is none, does to a connection."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """Notes each request, and each client's address."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serving(
    handler: Handler, host: str = "127.0.0.1", *, reads: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Answers every connection by `handler`, after it has read a request; without `reads` at once."""
    raw = RawServer()
    conversations: set[asyncio.Task[None]] = set()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            conversations.add(task)
        raw.clients.append(writer.get_extra_info("peername")[0])
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if reads:
                raw.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                length = re.search(r"(?i)\r\ncontent-length: *([0-9]+)", raw.heads[-1])
                raw.bodies.append(await reader.readexactly(int(length[1]) if length else 0))
            await handler(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        raw.gone.set()

    server = await asyncio.start_server(on_client, host, 0, ssl=tls)
    async with server:
        raw.port = server.sockets[0].getsockname()[1]
        yield raw
        await asyncio.gather(*conversations)


def saying(answer: bytes) -> Handler:
    """Says this and closes."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return handler


def saying_and_waiting(answer: bytes) -> Handler:
    """Says this and keeps the connection until the client goes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        await reader.read()

    return handler


def pouring(head: bytes) -> Handler:
    """Says this and then blanks without end."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(b" " * 65536)
            await writer.drain()

    return handler


async def dripping(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says a good head and then a blank now and then, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Breaks the connection."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()
    await writer.wait_closed()


def plain_response(status: str, body: bytes = b"", *extra: str) -> bytes:
    """A whole answer of a server that closes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: Close", *extra]
    return "\r\n".join([*lines, "", ""]).encode() + body


BROKEN: dict[str, Handler] = {
    "reset": reset,
    "closed": saying(b""),
    "garbage": saying(b"\x00\x01garbage\r\n\r\n"),
    "bad status": saying(b"HTTP/1.1 abc\r\n\r\n"),
    "half a head": saying(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "long header": saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"),
    "short body": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]"),
    "bad chunk": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
}
