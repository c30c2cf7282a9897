"""Raw bytes at the callback door: it answers or closes, emits nothing but callbacks, and the next one gets through."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.adapters.callback_server import CallbackServer
from nuki2mqtt.gateway.vocabulary import CallbackPath, CallbackReceived
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings_words import SenderCheck
from tests.fuzz.inputs import bodies, budget

HOST = "127.0.0.1"
MARK = "5ec4e75ec4e75ec4e75ec4e75ec4e7aa"
PATH = f"/callback/0badcafe123456/{MARK}"
GOOD = b'{"nukiId":11,"deviceType":0,"mode":2,"state":1}'
WHOLE = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD
ANSWER_S = 10.0
MANY = 300

LINES = st.one_of(
    st.sampled_from([f"POST {PATH} HTTP/1.1"] * 4),
    st.sampled_from(
        [
            f"GET {PATH} HTTP/1.1",
            f"POST {PATH} HTTP/1.0",
            f"POST {PATH} HTTP/9.9",
            f"POST {PATH}",
            f"POST http://x{PATH} HTTP/1.1",
            f"POST {PATH}?a=b HTTP/1.1",
            f"POST {PATH[:-1]}%61 HTTP/1.1",
            f"POST /{PATH} HTTP/1.1",
            f"CONNECT {PATH} HTTP/1.1",
            f"PRI * HTTP/2.0\r\n\r\nSM {MARK}",
            f"POST {PATH}\x00 HTTP/1.1",
            f"POST {PATH}/../{MARK} HTTP/1.1",
            "POST / HTTP/1.1",
            "",
            "\r\n\r\n",
        ]
    ),
    st.text(max_size=30),
)
HEADERS = st.sampled_from(
    [
        "Host: x",
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 999999999999999999999",
        "Content-Length: 0x2f",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip",
        "Content-Encoding: gzip",
        "Expect: 100-continue",
        "Connection: upgrade",
        "Upgrade: websocket",
        "X" * 9000 + ": y",
        "X: " + "y" * 9000,
        "no colon at all",
        " folded: x",
        "A\x00B: c",
        f"Referer: http://x{PATH}",
        "\xff\xfe: \xff",
    ]
)
CHUNKS = st.sampled_from(
    [
        b"0\r\n\r\n",
        b"5\r\nabcde\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"-1\r\n",
        b"5;x=y\r\nabc",
        b"zz\r\n",
        b"\r\n" * 50,
    ]
)
REQUESTS = st.builds(
    lambda line, headers, body, cut: ("\r\n".join([line, *headers]).encode("latin-1", "replace") + b"\r\n\r\n" + body)[
        :cut
    ],
    LINES,
    st.lists(HEADERS, max_size=4),
    st.one_of(bodies("callback"), CHUNKS),
    st.none() | st.integers(0, 300),
)


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Everything that is logged, with arguments and traces."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(f"{record.getMessage()} {record.args!r} {logging.Formatter().format(record)}")

    handler = Handler(0)
    logging.getLogger().addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(handler)


@asynccontextmanager
async def opened(body_timeout_s: float = 5.0) -> AsyncIterator[tuple[int, list[CallbackReceived]]]:
    events: list[CallbackReceived] = []

    def emit(event: CallbackReceived) -> bool:
        events.append(event)
        return True

    async with CallbackServer(emit, body_timeout_s=body_timeout_s) as server:
        path = CallbackPath(Secret(PATH), "192.0.2.10:8080", HOST)
        yield await server.open(HOST, 0, (path,), SenderCheck.AUTO), events


async def answer_to(port: int, data: bytes, *, patience_s: float | None = None) -> bytes:
    """What is answered to these bytes; nothing follows them, and with `patience_s` the end is said then."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        async with asyncio.timeout(ANSWER_S):
            with contextlib.suppress(ConnectionError):
                writer.write(data)
                reading = asyncio.create_task(reader.read())
                if patience_s is not None:
                    await asyncio.wait({reading}, timeout=patience_s)
                    writer.write_eof()
                return await reading
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def knock_and_look(requests: list[bytes]) -> None:
    with listening() as said:
        async with opened() as (port, events):
            for data in requests:
                answer = await answer_to(port, data, patience_s=0.01)
                assert answer == b"" or answer.startswith(b"HTTP/"), answer
                assert not events or PATH.encode() in data, "nobody gets in without the path"
                events.clear()
            assert (await answer_to(port, WHOLE)).startswith(b"HTTP/1.1 200 ")
            assert len(events) == 1
    assert not any(MARK in line for line in said), said
    assert not any("could not be handled" in line for line in said), said


@budget(60)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=4))
def test_any_bytes_at_the_door(requests: list[bytes]) -> None:
    asyncio.run(knock_and_look(requests))


async def test_a_separator_beside_a_number_is_no_mistake_of_ours() -> None:
    body = b'{"nukiId":1,"state":"\\u001c1"}'
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    await knock_and_look([head + body])


@budget(40)
@given(data=st.binary(max_size=200))
def test_noise_at_the_door(data: bytes) -> None:
    asyncio.run(knock_and_look([data]))


async def test_hundreds_of_half_requests_do_not_keep_a_callback_out() -> None:
    """No one without the path takes a place; each half request is ended when its time is up."""
    starts = (b"", b"POST ", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n1", b"GET / HTTP/1.1\r\nX: ", b"\r\n")
    async with opened(body_timeout_s=0.5) as (port, events):
        opens = [await asyncio.open_connection(HOST, port) for _ in range(MANY)]
        for number, (_, writer) in enumerate(opens):
            writer.write(starts[number % len(starts)])
        assert (await answer_to(port, WHOLE)).startswith(b"HTTP/1.1 200 ")
        assert len(events) == 1
        for _, writer in opens:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_slow_bodies_take_the_places_of_those_who_know_the_path_only_for_their_time() -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
    async with opened(body_timeout_s=0.3) as (port, events):
        slow = [await asyncio.open_connection(HOST, port) for _ in range(40)]
        for _, writer in slow:
            writer.write(head + b"{")
        async with asyncio.timeout(ANSWER_S):
            answers = [await reader.read() for reader, _ in slow]
        assert {answer.split()[1] for answer in answers} <= {b"408", b"503"}
        assert (await answer_to(port, WHOLE)).startswith(b"HTTP/1.1 200 ")
        assert len(events) == 1
        for _, writer in slow:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
