"""Requests to a Bridge over HTTP: one fresh connection each, never repeated, never redirected.

A Bridge closes the connection after each answer (reference 1.1) and takes orders by GET. Whoever repeats such
a GET after a broken connection opens the door twice, so nothing here repeats anything. What is passed on of a
failure is in our own words, since the texts of the HTTP library contain the address with the token.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote

from aiohttp import (
    ClientConnectorDNSError,
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
from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.protocol.bridge_api import Answer, BridgeRequest, read_response

_MAX_BODY_BYTES = 256 * 1024  # a Bridge's longest answer, its log, is a few dozen KiB
_CONNECT_TIMEOUT_S = 5.0
_NOT_IN_A_HOST = re.compile(r"[\s/\\@?#\[\]\x00-\x1f]")


@dataclass(slots=True)
class _Flight:
    """One request on its way: how far it came, and when it ends; after `latest` (monotonic) nothing is written."""

    limit: asyncio.Timeout
    answer_timeout_s: float
    latest: float
    is_connected: bool = False
    local_host: str | None = None


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    body: bytes
    local_host: str | None


class _ConnectionBroken(Exception):  # noqa: N818 - says what happened
    """The connection broke; not an aiohttp error, because those make it send a GET again."""


class _BodyTooLarge(Exception):  # noqa: N818 - says what happened
    """The answer does not end within bounds."""


_FLIGHT: ContextVar[_Flight] = ContextVar("flight")


class _WatchedConnector(TCPConnector):
    """Notes the moment of the connection and our own address on it."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's signature
        connection = await super().connect(req, traces, timeout)
        flight = _FLIGHT.get()
        if monotonic_s() > flight.latest:  # the loop's clock stands still while the computer sleeps
            connection.close()
            raise TimeoutError
        flight.is_connected = True
        if not flight.limit.expired():
            flight.limit.reschedule(asyncio.get_running_loop().time() + flight.answer_timeout_s)
        if connection.transport is not None:
            sockname = connection.transport.get_extra_info("sockname")
            flight.local_host = plain_address(sockname[0]) if sockname else None
        return connection


async def _send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from repeating a request whose connection broke; it does so with every GET."""
    try:
        return await handler(request)
    except ClientConnectorError:
        raise  # not repeated, and tells that nothing was written
    except (ClientOSError, ServerDisconnectedError):
        raise _ConnectionBroken from None


class BridgeHttp:
    """Sends requests to Bridges; use it as an async context manager."""

    def __init__(self, *, connect_timeout_s: float = _CONNECT_TIMEOUT_S) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=_WatchedConnector(force_close=True, use_dns_cache=False),
            cookie_jar=DummyCookieJar(),
            # Only our own limits count: `timeout` of aiohttp does not tell connecting from answering.
            timeout=ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            middlewares=(_send_once,),
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self,
        host: str,
        port: int,
        request: BridgeRequest,
        auth_params: Mapping[str, str],
        *,
        connect_within_s: float | None = None,
    ) -> tuple[Answer, str | None]:
        """The answer, and our own address on that connection; raises BridgeError.

        Connecting takes at most 5 s, or `connect_within_s` if that is less, everything after it `request.timeout_s`.
        Nothing is written where that time is over.
        """
        within_s = self._connect_timeout_s
        if connect_within_s is not None:
            within_s = min(within_s, connect_within_s)
        outcome: _Response | BridgeError
        if within_s <= 0:
            outcome = BridgeError(BridgeErrorKind.TOO_LATE, "the order came too late and was not sent")
        else:
            outcome = await self._exchange(host, port, request, auth_params, within_s)
        if isinstance(outcome, BridgeError):
            raise outcome  # here, outside of any handler: no foreign error hangs on to it
        return read_response(request, outcome.status, outcome.body), outcome.local_host

    async def _exchange(
        self, host: str, port: int, request: BridgeRequest, auth_params: Mapping[str, str], connect_within_s: float
    ) -> _Response | BridgeError:
        if self._session is None:
            raise RuntimeError("BridgeHttp is used outside of its context")
        where = f"{_bracketed(host)}:{port}"
        if not host or _NOT_IN_A_HOST.search(host):
            return BridgeError(BridgeErrorKind.REFUSED, f"{host!r} is neither an address nor a host name")
        query = "&".join(f"{_encoded(k)}={_encoded(v)}" for k, v in {**request.params(), **auth_params}.items())
        limit = asyncio.timeout(connect_within_s)
        flight = _Flight(limit, request.timeout_s, monotonic_s() + connect_within_s)
        mark = _FLIGHT.set(flight)
        try:
            async with (
                limit,
                self._session.get(
                    URL(
                        f"http://{_bracketed(host)}:{port}{request.path}{'?' if query else ''}{query}",
                        encoded=True,
                    ),
                    headers={"Host": f"{_bracketed(host.partition('%')[0])}:{port}", "Connection": "close"},
                    allow_redirects=False,
                ) as response,
            ):
                return _Response(response.status, await _read_body(response), flight.local_host)
        except _BodyTooLarge:
            return BridgeError(BridgeErrorKind.UNREADABLE, f"{where} answers more than {_MAX_BODY_BYTES} bytes")
        except TimeoutError:
            if flight.is_connected:
                text = f"{where} has taken the request and not answered it within {request.timeout_s:g} s"
                return BridgeError(BridgeErrorKind.TIMEOUT, text)
            text = f"{where} does not answer within {connect_within_s:.3g} s"
            return BridgeError(BridgeErrorKind.REFUSED, text)
        except (ClientError, OSError, ValueError, _ConnectionBroken) as error:
            if flight.is_connected:
                text = f"{where} broke the connection or answered something that is not HTTP"
                return BridgeError(BridgeErrorKind.RESET, text)
            return BridgeError(BridgeErrorKind.REFUSED, f"{where} {_why_not_connected(error)}")
        finally:
            _FLIGHT.reset(mark)


async def _read_body(response: ClientResponse) -> bytes:
    body = bytearray()
    is_ok = response.status == 200
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                if is_ok:
                    raise _BodyTooLarge
                break
    except ClientError:
        if is_ok:
            raise
        # Any other status says all there is to know; its text is only for people.
    return bytes(body[:_MAX_BODY_BYTES])


def _encoded(text: str) -> str:
    return quote(text, safe="")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why_not_connected(error: Exception) -> str:
    if isinstance(error, ClientConnectorDNSError | socket.gaierror):
        return "cannot be resolved: is the host name right?"
    match getattr(error, "errno", None):
        case errno.ECONNREFUSED:
            return "refuses the connection: is the HTTP API switched on in the Nuki app, and the port right?"
        case errno.EHOSTUNREACH | errno.ENETUNREACH | errno.EHOSTDOWN | errno.ENETDOWN:
            return "cannot be reached: is the Bridge switched on and in this network?"
        case errno.ETIMEDOUT:
            return "does not answer"
        case _:
            return "cannot be connected to: is it the address of a Bridge?"
