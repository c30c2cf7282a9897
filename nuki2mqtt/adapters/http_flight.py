"""One HTTP request over a connection of its own: never repeated, never redirected, and how far it came.

aiohttp sends what it holds for repeatable (GET, PUT, DELETE) again when a connection broke. A Bridge takes orders by
GET, the cloud keypad codes by PUT and DELETE: whoever repeats those acts twice. So aiohttp's error becomes one of our
own before it sees it, and no connection is used twice: of what is written to one that the other side has closed
meanwhile nobody knows whether it arrived. What fails is told by `Lost`, without words: those of the library contain the
address, and with it tokens.
"""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum, auto

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from nuki2mqtt.adapters.address import plain_address
from nuki2mqtt.adapters.clock import monotonic_s

# What aiohttp would add by itself: nothing is asked for that is not meant.
_OWN_HEADERS = ("Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """What is sent, and its bounds. Connecting (names and TLS included) and everything after it have a limit each."""

    method: str
    url: URL = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    connect_within_s: float
    answer_within_s: float
    most_bytes: int
    most_error_bytes: int


@dataclass(frozen=True, slots=True)
class Landed:
    """A whole answer; of an error's body only the beginning is certain. `local_host` is our address there."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None
    local_host: str | None


class Loss(Enum):
    """How far a request came that has no answer."""

    NOT_CONNECTED = auto()  # not a byte of it was written
    NOT_CONNECTED_IN_TIME = auto()  # neither here
    SILENT = auto()  # written, and no whole answer in time
    BROKEN = auto()  # written, and the connection broke, or the answer is not HTTP
    TOO_LARGE = auto()  # a success that does not end within bounds


@dataclass(frozen=True, slots=True)
class Lost:
    """A request without an answer; `cause` is what kept us from connecting, not fit for people."""

    loss: Loss
    cause: Exception | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Flight:
    """One request on its way: how far it came, and when it ends; after `latest` (monotonic) nothing is written."""

    limit: asyncio.Timeout
    answer_within_s: float
    latest: float
    is_connected: bool = False
    local_host: str | None = None


class _ConnectionBroken(Exception):  # noqa: N818 - says what happened
    """The connection broke; not an aiohttp error, because those make it send again."""


class _BodyTooLarge(Exception):  # noqa: N818 - says what happened
    """The answer does not end within bounds."""


_FLIGHT: ContextVar[_Flight] = ContextVar("flight")


class WatchedConnector(TCPConnector):
    """Notes the moment of the connection and our own address on it."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's signature
        """Connect; from its return on the request may be written."""
        connection = await super().connect(req, traces, timeout)
        flight = _FLIGHT.get()
        if monotonic_s() > flight.latest:  # the loop's clock stands still while the computer sleeps
            connection.close()
            raise TimeoutError
        flight.is_connected = True
        if not flight.limit.expired():
            flight.limit.reschedule(asyncio.get_running_loop().time() + flight.answer_within_s)
        if connection.transport is not None:
            sockname = connection.transport.get_extra_info("sockname")
            flight.local_host = plain_address(sockname[0]) if sockname else None
        return connection


async def _send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from repeating a request whose connection broke."""
    try:
        return await handler(request)
    except ClientConnectorError:
        raise  # not repeated, and tells that nothing was written
    except (ClientOSError, ServerDisconnectedError):
        raise _ConnectionBroken from None


def open_session(connector: WatchedConnector) -> ClientSession:
    """A session for `fly`; its connector is made with `force_close=True`."""
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        # Only our own limits count: `timeout` of aiohttp does not tell connecting from answering.
        timeout=ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        middlewares=(_send_once,),
        skip_auto_headers=_OWN_HEADERS,
        auto_decompress=False,
        trust_env=False,
    )


async def fly(session: ClientSession, call: HttpCall) -> Landed | Lost:
    """Send it, once; cancelled, it closes its connection."""
    limit = asyncio.timeout(call.connect_within_s)
    flight = _Flight(limit, call.answer_within_s, monotonic_s() + call.connect_within_s)
    mark = _FLIGHT.set(flight)
    try:
        async with (
            limit,
            session.request(
                call.method,
                call.url,
                headers={**call.headers, "Connection": "close"},
                data=call.body,
                allow_redirects=False,
            ) as response,
        ):
            body = await _read_body(response, call)
            return Landed(response.status, body, response.headers.get("Retry-After"), flight.local_host)
    except _BodyTooLarge:
        return Lost(Loss.TOO_LARGE)
    except TimeoutError:
        return Lost(Loss.SILENT if flight.is_connected else Loss.NOT_CONNECTED_IN_TIME)
    except (ClientError, OSError, ValueError, _ConnectionBroken) as error:
        return Lost(Loss.BROKEN) if flight.is_connected else Lost(Loss.NOT_CONNECTED, error)
    finally:
        _FLIGHT.reset(mark)


async def _read_body(response: ClientResponse, call: HttpCall) -> bytes:
    body = bytearray()
    is_ok = 200 <= response.status < 300
    most = call.most_bytes if is_ok else call.most_error_bytes
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                if is_ok:
                    raise _BodyTooLarge
                break
    except ClientError:
        if is_ok:
            raise
        # Any other status says all there is to know; its text is only for people.
    return bytes(body[:most])
