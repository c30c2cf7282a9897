"""The callback door: who may knock, what is read, and what is answered."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from nuki2mqtt.adapters.address import is_local, plain_address
from nuki2mqtt.adapters.callback_server import MAX_BODY_BYTES, CallbackServer
from nuki2mqtt.adapters.post_door import MAX_IN_PROGRESS
from nuki2mqtt.errors import CallbackDoorError
from nuki2mqtt.gateway.vocabulary import CallbackPath, CallbackReceived, Moment
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings_words import SenderCheck

SECRET = "5ec4e75ec4e75ec4e75ec4e75ec4e7aa"
PATH = f"/callback/0badcafe123456/{SECRET}"
LINK = "192.0.2.10:8080"
LOCKED = b'{"nukiId":11,"deviceType":0,"mode":2,"state":1,"stateName":"locked","batteryCritical":false}'


class HandClock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.monotonic = 1000.0

    def now(self) -> Moment:
        return Moment(self.monotonic, datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class Inbox:
    """Takes what was emitted, until it is full."""

    events: list[CallbackReceived] = field(default_factory=list)
    is_full: bool = False

    def emit(self, event: CallbackReceived) -> bool:
        if self.is_full:
            return False
        self.events.append(event)
        return True


@dataclass
class Door:
    """An open callback server."""

    port: int
    inbox: Inbox
    clock: HandClock

    async def knock(
        self, body: bytes = LOCKED, *, path: str = PATH, method: str = "POST", sender: str = "127.0.0.1"
    ) -> int:
        """Send one whole request and read the status."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        return await self.say(head.encode() + body, sender=sender)

    async def say(self, data: bytes, *, sender: str = "127.0.0.1", host: str = "127.0.0.1") -> int:
        """Send these bytes, read to the end, and say the status."""
        reader, writer = await asyncio.open_connection(host, self.port, local_addr=(sender, 0))
        try:
            writer.write(data)
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
        return int(answer.split()[1])


@asynccontextmanager
async def opened(
    sender: SenderCheck = SenderCheck.AUTO,
    host: str = "127.0.0.1",
    bind: str = "127.0.0.1",
    body_timeout_s: float = 5.0,
) -> AsyncIterator[Door]:
    inbox, clock = Inbox(), HandClock()
    async with CallbackServer(inbox.emit, clock=clock, body_timeout_s=body_timeout_s) as server:
        port = await server.open(bind, 0, (CallbackPath(Secret(PATH), LINK, host),), sender)
        yield Door(port, inbox, clock)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


async def test_a_callback_is_emitted_and_answered_200(door: Door) -> None:
    assert await door.knock() == 200
    [event] = door.inbox.events
    assert event.link == LINK
    assert event.report.nuki_id == NukiId(11)


async def test_a_connection_is_not_kept(door: Door) -> None:
    request = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LOCKED)}\r\n\r\n".encode() + LOCKED
    assert await door.say(request * 2) == 200
    assert len(door.inbox.events) == 1


async def test_a_chunked_callback_without_content_type(door: Door) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (LOCKED[:7], LOCKED[7:]))
    assert await door.say(head.encode() + chunks + b"0\r\n\r\n") == 200
    assert len(door.inbox.events) == 1


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/", "/callback/0badcafe123456/", PATH[:-1], PATH + "a", PATH.upper(), PATH + "/", "/%00"]
)
async def test_an_unknown_path_is_404_by_any_method(door: Door, path: str, method: str) -> None:
    assert await door.knock(path=path, method=method) == 404
    assert door.inbox.events == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
async def test_other_methods_are_405(door: Door, method: str) -> None:
    assert await door.knock(method=method) == 405
    assert door.inbox.events == []


async def test_each_bridge_has_its_path() -> None:
    inbox = Inbox()
    paths = tuple(CallbackPath(Secret(f"/callback/x/{n}"), f"bridge {n}", "127.0.0.1") for n in range(3))
    async with CallbackServer(inbox.emit) as server:
        door = Door(await server.open("127.0.0.1", 0, paths, SenderCheck.STRICT), inbox, HandClock())
        for n in (2, 0):
            assert await door.knock(path=f"/callback/x/{n}") == 200
    assert [event.link for event in inbox.events] == ["bridge 2", "bridge 0"]


# --- Senders ------------------------------------------------------------------------------------------------


async def test_strict_takes_the_bridge_only() -> None:
    async with opened(SenderCheck.STRICT) as door:
        assert await door.knock() == 200
        assert await door.knock(sender="127.0.0.2") == 403
    assert len(door.inbox.events) == 1


async def test_strict_resolves_host_names() -> None:
    async with opened(SenderCheck.STRICT, host="localhost") as door:
        assert await door.knock() == 200
        assert await door.knock(sender="127.0.0.2") == 403


async def test_a_name_that_cannot_be_resolved_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(SenderCheck.STRICT, host="a..b") as door:
        assert "a..b cannot be resolved" in caplog.text
        assert await door.knock() == 403


async def test_auto_pins_the_first_foreign_private_sender(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(host="192.0.2.10") as door:
        assert await door.knock(sender="127.0.0.2") == 200
        assert await door.knock(sender="127.0.0.2") == 200
        assert await door.knock(sender="127.0.0.3") == 403
    assert len(door.inbox.events) == 2
    assert caplog.text.count("come from 127.0.0.2") == 1


async def test_auto_takes_the_bridge_beside_a_pinned_sender() -> None:
    async with opened(host="127.0.0.1") as door:
        assert await door.knock(sender="127.0.0.2") == 200
        assert await door.knock(sender="127.0.0.1") == 200
        assert await door.knock(sender="127.0.0.3") == 403


async def test_only_a_real_callback_pins_its_sender() -> None:
    async with opened(host="192.0.2.10") as door:
        assert await door.knock(b"hello", sender="127.0.0.9") == 400
        assert await door.knock(sender="127.0.0.2") == 200
        assert await door.knock(sender="127.0.0.9") == 403


async def test_off_takes_anybody_with_the_path() -> None:
    async with opened(SenderCheck.OFF, host="192.0.2.10") as door:
        assert await door.knock(sender="127.0.0.2") == 200
        assert await door.knock(sender="127.0.0.3") == 200
        assert await door.knock(sender="127.0.0.3", path="/callback/x/y") == 404


async def test_mapped_addresses_are_the_same_sender() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 on this computer")
    async with opened(SenderCheck.STRICT, host="::ffff:127.0.0.1", bind="::") as door:
        assert await door.knock() == 200
        assert await door.knock(sender="127.0.0.2") == 403


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("192.0.2.10", "192.0.2.10"),
        ("::ffff:192.0.2.10", "192.0.2.10"),
        ("fe80::1%eth0", "fe80::1"),
        ("[FD00::01]", "fd00::1"),
        ("bridge.lan", None),
        ("192.0.2.010", None),
        ("", None),
    ],
)
def test_addresses_have_one_spelling(text: str, plain: str | None) -> None:
    assert plain_address(text) == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [("172.17.0.1", True), ("fe80::1", True), ("127.0.0.1", True), ("fd00::1", True), ("8.8.8.8", False), ("x", False)],
)
def test_which_addresses_are_local(text: str, *, expected: bool) -> None:
    assert is_local(text) is expected


# --- Bodies -------------------------------------------------------------------------------------------------


async def test_a_body_at_the_limit_is_read(door: Door) -> None:
    assert await door.knock(LOCKED.ljust(MAX_BODY_BYTES)) == 200


async def test_a_body_over_the_limit_is_413_by_its_announcement(door: Door) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(head.encode())
    assert (await reader.readline()).split()[1] == b"413"  # before a byte of the body was sent
    writer.close()
    await writer.wait_closed()


async def test_a_body_over_the_limit_is_413_while_it_comes(door: Door) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    assert await door.say(head.encode() + chunk * 5 + b"0\r\n\r\n") == 413


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b"{}", b'{"nukiId":11}', b'{"nukiId":11,"state":"x"}', b"\xff", b"[" * 10_000]
)
async def test_what_is_not_a_callback_is_400(door: Door, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert await door.knock(body) == 400
    assert door.inbox.events == []
    assert len(caplog.records) == 1
    assert SECRET not in caplog.text


async def test_a_compressed_body_is_not_unpacked(door: Door) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Encoding: deflate\r\nContent-Length: {len(LOCKED)}\r\n\r\n"
    assert await door.say(head.encode() + LOCKED) == 200


async def test_a_slow_body_is_408() -> None:
    async with opened(body_timeout_s=0.05) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert (await reader.readline()).split()[1] == b"408"
        writer.close()
        await writer.wait_closed()


async def test_a_connection_that_asks_nothing_is_closed() -> None:
    async with opened(body_timeout_s=0.05) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_no_http_at_all_is_not_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="nuki2mqtt")
    assert await door.say(f"POST {PATH} \x01\r\n\r\n".encode()) == 400
    assert caplog.records == []


async def test_a_full_inbox_is_503(door: Door) -> None:
    door.inbox.is_full = True
    assert await door.knock() == 503
    door.inbox.is_full = False
    assert await door.knock() == 200


async def test_a_mistake_of_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_event: CallbackReceived) -> bool:
        raise LookupError("surprise")

    async with CallbackServer(fail) as server:
        path = CallbackPath(Secret(PATH), LINK, "127.0.0.1")
        port = await server.open("127.0.0.1", 0, (path,), SenderCheck.AUTO)
        assert await Door(port, Inbox(), HandClock()).knock() == 500
    assert "surprise" in caplog.text
    assert SECRET not in caplog.text


async def test_too_many_at_once_are_503_and_strangers_take_no_place(door: Door) -> None:
    async def begin(stack: AsyncExitStack, path: str) -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        stack.callback(writer.close)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
        await writer.drain()

    async def knock_until(status: int) -> None:
        async with asyncio.timeout(5):
            while await door.knock() != status:
                pass

    async with AsyncExitStack() as strangers:
        for _ in range(MAX_IN_PROGRESS + 1):
            await begin(strangers, "/callback/x/y")
        assert await door.knock() == 200
        async with AsyncExitStack() as slow_ones:
            for _ in range(MAX_IN_PROGRESS):
                await begin(slow_ones, PATH)
            await knock_until(503)
        await knock_until(200)


# --- Logs ---------------------------------------------------------------------------------------------------


async def test_refusals_are_said_once_a_minute_for_each_sender(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await door.knock(path="/x")
    assert len(caplog.records) == 1
    await door.knock(path="/x", sender="127.0.0.2")
    await door.knock(method="GET")
    assert len(caplog.records) == 3
    door.clock.monotonic += 60
    await door.knock(path="/x")
    assert len(caplog.records) == 4


async def test_made_up_senders_cannot_fill_the_memory(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(300):
        await door.knock(path="/x", sender=f"127.1.{n // 200}.{n % 200 + 1}")
    assert len(caplog.records) == 256
    door.clock.monotonic += 60
    await door.knock(path="/x")
    assert len(caplog.records) == 257


async def test_the_secret_path_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(SenderCheck.STRICT) as door:
        await door.knock()
        await door.knock(b"hello")
        await door.knock(method="GET")
        await door.knock(sender="127.0.0.2")
        await door.knock(path=PATH + "x")
    assert caplog.records
    assert SECRET not in caplog.text


# --- Opening and closing ------------------------------------------------------------------------------------


async def test_a_taken_port_is_said_with_the_next_step() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        async with CallbackServer(Inbox().emit) as server:
            with pytest.raises(CallbackDoorError, match=rf"port {port} \(Address already in use\).*callback.port"):
                await server.open("127.0.0.1", port, (), SenderCheck.AUTO)


@pytest.mark.parametrize("bind", ["192.0.2.1", "a..b"])
async def test_an_address_that_is_not_ours(bind: str) -> None:
    async with CallbackServer(Inbox().emit) as server:
        with pytest.raises(CallbackDoorError, match=r"(not an address|assign requested).*callback\.bind"):
            await server.open(bind, 0, (), SenderCheck.AUTO)


async def test_of_two_orders_at_once_the_last_one_holds() -> None:
    """Two Bridges that have moved at once, as after a router's restart."""
    inbox = Inbox()
    first, last = (CallbackPath(Secret(path), LINK, "127.0.0.1") for path in (f"{PATH}/1", f"{PATH}/2"))
    async with CallbackServer(inbox.emit, clock=HandClock()) as server:
        port = await server.open("127.0.0.1", 0, (), SenderCheck.AUTO)
        orders = [server.open("127.0.0.1", port, (path,), SenderCheck.AUTO) for path in (first, last)]
        assert await asyncio.gather(*orders) == [port, port]
        door = Door(port, inbox, HandClock())
        assert [await door.knock(path=f"{PATH}/{number}") for number in (1, 2)] == [404, 200]


async def test_opening_again_replaces_the_paths() -> None:
    inbox = Inbox()
    async with CallbackServer(inbox.emit) as server:
        path = CallbackPath(Secret(PATH), LINK, "127.0.0.1")
        port = await server.open("127.0.0.1", 0, (path,), SenderCheck.AUTO)
        assert await server.open("127.0.0.1", port, (), SenderCheck.AUTO) == port
        assert await Door(port, inbox, HandClock()).knock() == 404


async def test_a_closed_door_refuses(door: Door) -> None:
    async with CallbackServer(Inbox().emit) as server:
        port = await server.open("127.0.0.1", 0, (), SenderCheck.AUTO)
        await server.close()
        await server.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    assert await door.knock() == 200
