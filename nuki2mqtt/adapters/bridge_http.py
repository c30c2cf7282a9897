"""Requests to a Bridge over HTTP: one fresh connection each, never repeated, never redirected.

A Bridge closes the connection after each answer (reference 1.1) and takes orders by GET. Whoever repeats such
a GET after a broken connection opens the door twice, so nothing here repeats anything. What is passed on of a
failure is in our own words, since the texts of the HTTP library contain the address with the token.
"""

import errno
import re
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote

from aiohttp import ClientConnectorDNSError, ClientSession
from yarl import URL

from nuki2mqtt.adapters.http_flight import HttpCall, Landed, Loss, Lost, WatchedConnector, fly, open_session
from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.protocol.bridge_api import Answer, BridgeRequest, read_response

_MAX_BODY_BYTES = 256 * 1024  # a Bridge's longest answer, its log, is a few dozen KiB
_CONNECT_TIMEOUT_S = 5.0
_NOT_IN_A_HOST = re.compile(r"[\s/\\@?#\[\]\x00-\x1f]")


class BridgeHttp:
    """Sends requests to Bridges; use it as an async context manager."""

    def __init__(self, *, connect_timeout_s: float = _CONNECT_TIMEOUT_S) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = open_session(WatchedConnector(force_close=True, use_dns_cache=False))
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
        outcome: Landed | BridgeError
        if within_s <= 0:
            outcome = BridgeError(BridgeErrorKind.TOO_LATE, "the order came too late and was not sent")
        else:
            outcome = await self._exchange(host, port, request, auth_params, within_s)
        if isinstance(outcome, BridgeError):
            raise outcome  # here, outside of any handler: no foreign error hangs on to it
        return read_response(request, outcome.status, outcome.body), outcome.local_host

    async def _exchange(
        self, host: str, port: int, request: BridgeRequest, auth_params: Mapping[str, str], connect_within_s: float
    ) -> Landed | BridgeError:
        if self._session is None:
            raise RuntimeError("BridgeHttp is used outside of its context")
        where = f"{_bracketed(host)}:{port}"
        if not host or _NOT_IN_A_HOST.search(host):
            return BridgeError(BridgeErrorKind.REFUSED, f"{host!r} is neither an address nor a host name")
        query = "&".join(f"{_encoded(k)}={_encoded(v)}" for k, v in {**request.params(), **auth_params}.items())
        try:
            url = URL(f"http://{where}{request.path}{'?' if query else ''}{query}", encoded=True)
        except ValueError as error:
            return BridgeError(BridgeErrorKind.REFUSED, f"{where} {_why_not_connected(error)}")
        call = HttpCall(
            method="GET",
            url=url,
            headers={"Host": f"{_bracketed(host.partition('%')[0])}:{port}"},
            connect_within_s=connect_within_s,
            answer_within_s=request.timeout_s,
            most_bytes=_MAX_BODY_BYTES,
            most_error_bytes=_MAX_BODY_BYTES,
        )
        outcome = await fly(self._session, call)
        return _failure(outcome, where, call) if isinstance(outcome, Lost) else outcome


def _failure(lost: Lost, where: str, call: HttpCall) -> BridgeError:
    match lost.loss:
        case Loss.NOT_CONNECTED:
            return BridgeError(BridgeErrorKind.REFUSED, f"{where} {_why_not_connected(lost.cause)}")
        case Loss.NOT_CONNECTED_IN_TIME:
            text = f"{where} does not answer within {call.connect_within_s:.3g} s"
            return BridgeError(BridgeErrorKind.REFUSED, text)
        case Loss.SILENT:
            text = f"{where} has taken the request and not answered it within {call.answer_within_s:g} s"
            return BridgeError(BridgeErrorKind.TIMEOUT, text)
        case Loss.BROKEN:
            text = f"{where} broke the connection or answered something that is not HTTP"
            return BridgeError(BridgeErrorKind.RESET, text)
        case Loss.TOO_LARGE:
            return BridgeError(BridgeErrorKind.UNREADABLE, f"{where} answers more than {_MAX_BODY_BYTES} bytes")


def _encoded(text: str) -> str:
    return quote(text, safe="")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why_not_connected(error: Exception | None) -> str:
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
