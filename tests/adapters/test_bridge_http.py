"""Against raw servers: what a Bridge, a broken Bridge and something that is no Bridge do to a connection."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from ipaddress import IPv6Address
from pathlib import Path
from typing import ClassVar

import pytest

from nuki2mqtt.adapters.bridge_http import BridgeHttp
from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.protocol.bridge_api import ListAnswer, ListRequest
from tests.adapters.raw_servers import (
    BROKEN,
    Handler,
    dripping,
    plain_response,
    pouring,
    reset,
    saying,
    saying_and_waiting,
    serving,
)

TOKEN = "t0ken/+ &=ü"
TOKEN_ENCODED = "t0ken%2F%2B%20%26%3D%C3%BC"
AUTH = {"token": TOKEN}


class QuickList(ListRequest):
    """`/list` with little patience."""

    timeout_s: ClassVar[float] = 0.2


# As recorded from a Bridge (reference 1.1).
BRIDGE_LIST = (
    b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Type: application/json;charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n"
)


@pytest.fixture
async def http() -> AsyncIterator[BridgeHttp]:
    async with BridgeHttp(connect_timeout_s=2) as adapter:
        yield adapter


async def failure(http: BridgeHttp, port: int, host: str = "127.0.0.1") -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        await http.send(host, port, QuickList(), AUTH)
    return caught.value


def assert_tells_nothing(error: BridgeError) -> None:
    link: BaseException | None = error
    seen = []
    while link is not None:
        seen.append(f"{link!r} {link} {link.args}")
        link = link.__cause__ or link.__context__
    assert not any("t0ken" in text for text in seen)


async def test_chunked_answer_of_a_bridge(http: BridgeHttp) -> None:
    async with serving(saying(BRIDGE_LIST)) as server:
        answer, local_host = await http.send("127.0.0.1", server.port, ListRequest(), AUTH)
    assert isinstance(answer, ListAnswer)
    assert local_host == "127.0.0.1"
    assert server.clients == ["127.0.0.1"]


async def test_the_bytes_that_are_sent(http: BridgeHttp) -> None:
    async with serving(saying(BRIDGE_LIST)) as server:
        await http.send("127.0.0.1", server.port, ListRequest(), AUTH)
    request, *headers = server.heads[0].rstrip("\r\n").split("\r\n")
    assert request == f"GET /list?token={TOKEN_ENCODED} HTTP/1.1"
    assert set(headers) == {f"Host: 127.0.0.1:{server.port}", "Connection: close", "Accept: */*"}


async def test_no_question_mark_without_parameters(http: BridgeHttp) -> None:
    async with serving(saying(BRIDGE_LIST)) as server:
        await http.send("127.0.0.1", server.port, ListRequest(), {})
    assert server.heads[0].startswith("GET /list HTTP/1.1\r\n")


async def test_each_request_has_its_own_connection(http: BridgeHttp) -> None:
    # A server that would keep the connection, and that sets a cookie.
    kept = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\n[]"
    async with serving(saying_and_waiting(kept)) as server:
        for _ in range(2):
            await http.send("127.0.0.1", server.port, ListRequest(), AUTH)
            await server.gone.wait()
            server.gone.clear()
    assert len(server.clients) == 2
    assert "Cookie" not in server.heads[1]


def own_ipv6_address(wanted_scope: str) -> str | None:
    """One of this computer's (10: loopback, 20: link-local), a link-local one with its interface."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        digits, _index, _prefix, scope, _flags, interface = line.split()
        if scope == wanted_scope:
            address = IPv6Address(bytes.fromhex(digits))
            return f"{address}%{interface}" if address.is_link_local else str(address)
    return None


@pytest.mark.parametrize("scope", ["10", "20"])
async def test_ipv6_is_bracketed_and_scopes_stay_here(http: BridgeHttp, scope: str) -> None:
    host = own_ipv6_address(scope)
    if host is None:
        pytest.skip("no such address on this computer")
    async with serving(saying(BRIDGE_LIST), host) as server:
        _answer, local_host = await http.send(host, server.port, ListRequest(), AUTH)
    unscoped = host.partition("%")[0]
    assert local_host == unscoped
    assert f"\r\nHost: [{unscoped}]:{server.port}\r\n" in server.heads[0]


async def test_a_mapped_address_is_shown_as_ipv4(http: BridgeHttp) -> None:
    async with serving(saying(BRIDGE_LIST)) as server:
        _answer, local_host = await http.send("::ffff:127.0.0.1", server.port, ListRequest(), AUTH)
    assert local_host == "127.0.0.1"


async def test_our_address_is_that_of_this_connection(http: BridgeHttp) -> None:
    async with serving(saying(BRIDGE_LIST), "127.0.0.2") as server:
        _answer, local_host = await http.send("127.0.0.2", server.port, ListRequest(), AUTH)
    assert server.clients == [local_host]


async def test_a_host_name_is_resolved(http: BridgeHttp) -> None:
    async with serving(saying(BRIDGE_LIST)) as server:
        answer, _local = await http.send("localhost", server.port, ListRequest(), AUTH)
    assert isinstance(answer, ListAnswer)
    assert f"Host: localhost:{server.port}" in server.heads[0]


async def test_a_proxy_of_the_environment_is_not_asked(http: BridgeHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        serving(saying(plain_response("502 Bad Gateway"))) as proxy,
        serving(saying(BRIDGE_LIST)) as server,
    ):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await http.send("127.0.0.1", server.port, ListRequest(), AUTH)
    assert proxy.clients == []


async def test_two_bridges_at_once_do_not_mix(http: BridgeHttp) -> None:
    busy = saying(plain_response("503 Unavailable", b"HTTP 503 Unavailable"))
    async with serving(saying(BRIDGE_LIST)) as good, serving(busy, "127.0.0.2") as bad:
        first, second = await asyncio.gather(
            http.send("127.0.0.1", good.port, ListRequest(), AUTH),
            http.send("127.0.0.2", bad.port, ListRequest(), AUTH),
            return_exceptions=True,
        )
    assert isinstance(first, tuple)
    assert first[1] == "127.0.0.1"
    assert isinstance(second, BridgeError)
    assert second.kind is BridgeErrorKind.BUSY


async def test_refused_connection(http: BridgeHttp) -> None:
    with closing(socket.socket()) as unheard:
        unheard.bind(("127.0.0.1", 0))
        error = await failure(http, unheard.getsockname()[1])
    assert error.kind is BridgeErrorKind.REFUSED
    assert not error.may_have_acted
    assert "refuses the connection" in error.detail
    assert_tells_nothing(error)


@pytest.mark.parametrize(
    "host", ["a..b", "x" * 70 + ".example", "127.1", "user@127.0.0.1", "127.0.0.1/x?", "", "[::1]"]
)
async def test_what_is_not_a_host(http: BridgeHttp, host: str) -> None:
    error = await failure(http, 8080, host)
    assert error.kind is BridgeErrorKind.REFUSED
    assert_tells_nothing(error)


async def test_no_connection_in_time() -> None:
    waiting: list[socket.socket] = []
    with closing(socket.socket()) as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):  # fill its queue, after which Linux lets everybody wait
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(full.getsockname())
            waiting.append(client)
        async with BridgeHttp(connect_timeout_s=0.1) as http:
            error = await failure(http, full.getsockname()[1])
        for client in waiting:
            client.close()
    assert error.kind is BridgeErrorKind.REFUSED
    assert error.detail.endswith("does not answer within 0.1 s")
    assert_tells_nothing(error)


async def test_silence_after_the_request(http: BridgeHttp) -> None:
    async with serving(saying_and_waiting(b"")) as server:
        error = await failure(http, server.port)
        await server.gone.wait()
    assert error.kind is BridgeErrorKind.TIMEOUT
    assert error.may_have_acted
    assert len(server.heads) == 1
    assert_tells_nothing(error)


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_an_answer_that_stops_in_the_middle(http: BridgeHttp, beginning: bytes) -> None:
    async with serving(saying_and_waiting(beginning)) as server:
        error = await failure(http, server.port)
    assert error.kind is BridgeErrorKind.TIMEOUT
    assert_tells_nothing(error)


async def test_a_body_that_drips_ends_at_the_same_deadline(http: BridgeHttp) -> None:
    async with serving(dripping) as server:
        error = await failure(http, server.port)
    assert error.kind is BridgeErrorKind.TIMEOUT


@pytest.mark.parametrize("handler", BROKEN.values(), ids=BROKEN)
async def test_a_broken_connection_is_a_reset_and_nothing_is_sent_twice(http: BridgeHttp, handler: Handler) -> None:
    async with serving(handler) as server:
        error = await failure(http, server.port)
    assert error.kind is BridgeErrorKind.RESET
    assert error.may_have_acted
    assert len(server.heads) == 1
    assert len(server.clients) == 1
    assert_tells_nothing(error)


async def test_closed_before_the_request_was_read(http: BridgeHttp) -> None:
    async with serving(reset, reads=False) as server:
        error = await failure(http, server.port)
    assert error.kind is BridgeErrorKind.RESET
    assert len(server.clients) == 1
    assert_tells_nothing(error)


async def test_a_body_without_end_is_unreadable(http: BridgeHttp) -> None:
    async with serving(pouring(b"HTTP/1.1 200 OK\r\n\r\n")) as server:
        error = await failure(http, server.port)
    assert error.kind is BridgeErrorKind.UNREADABLE
    assert error.may_have_acted


async def test_a_long_body_within_bounds_is_read(http: BridgeHttp) -> None:
    body = b"[" + b" " * (256 * 1024 - 2) + b"]"
    async with serving(saying(plain_response("200 OK", body))) as server:
        answer, _local = await http.send("127.0.0.1", server.port, ListRequest(), AUTH)
    assert isinstance(answer, ListAnswer)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (plain_response("401 Unauthorized", b"HTTP 401 Unauthorized"), BridgeErrorKind.TOKEN_REFUSED),
        (plain_response("503 Unavailable", b"x" * 300_000), BridgeErrorKind.BUSY),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nshort", BridgeErrorKind.UNEXPECTED_STATUS),
        (plain_response("200 OK", b"<html>"), BridgeErrorKind.UNREADABLE),
        (plain_response("200 OK", b"\x1f\x8b", "Content-Encoding: gzip"), BridgeErrorKind.UNREADABLE),
    ],
)
async def test_the_status_says_what_happened(http: BridgeHttp, answer: bytes, kind: BridgeErrorKind) -> None:
    async with serving(saying(answer)) as server:
        error = await failure(http, server.port)
    assert error.kind is kind
    assert_tells_nothing(error)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_not_followed(http: BridgeHttp, status: str) -> None:
    async with serving(saying(BRIDGE_LIST)) as other:
        moved = plain_response(status, b"", f"Location: http://127.0.0.1:{other.port}/list")
        async with serving(saying(moved)) as server:
            error = await failure(http, server.port)
    assert error.kind is BridgeErrorKind.UNEXPECTED_STATUS
    assert other.clients == []


async def test_a_cancelled_request_closes_its_connection(http: BridgeHttp) -> None:
    asked = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()

    async with serving(wait) as server:
        task = asyncio.create_task(http.send("127.0.0.1", server.port, ListRequest(), AUTH))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.gone.wait()


async def test_outside_of_its_context_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="outside of its context"):
        await BridgeHttp().send("127.0.0.1", 8080, ListRequest(), AUTH)
