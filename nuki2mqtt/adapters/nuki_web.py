"""Calls to Nuki's cloud over HTTPS: a fresh connection each, never repeated, never redirected.

A connection that is kept would save some hundred milliseconds once a minute, and cost certainty: what is written to one
that has died meanwhile may have arrived or not, and an order must not be called unsent then. So each call has its own,
and what fails before the first byte is `REFUSED`, everything after it `TIMEOUT` or `RESET`.

Nothing here holds up anything local: names are resolved in threads of their own, and long bodies are read in one.
"""

import asyncio
import errno
import socket
import ssl
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import quote

from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientConnectorSSLError, ClientSession
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from nuki2mqtt import __version__
from nuki2mqtt.adapters.clock import Clock, SystemClock
from nuki2mqtt.adapters.hostnames import resolve
from nuki2mqtt.adapters.http_flight import HttpCall, Landed, Loss, Lost, WatchedConnector, fly, open_session
from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_api import WebAnswer, WebRequest, headers_of, hide_web_secrets, read_response

# The longest answer is the list of all authorizations of an account: 20,000 keypad codes of up to 800 bytes. A device
# has less than 3 KB, so that 500 of them are a tenth of it.
MOST_BODY_BYTES = 16 * 1024 * 1024
MOST_ERROR_BYTES = 64 * 1024  # of what an error says, this is all that is looked at
_CONNECT_TIMEOUT_S = 10.0  # names, TCP and TLS
_READ_IN_A_THREAD_BYTES = 64 * 1024  # takes milliseconds to read
# Whoever runs the service can see who asks, and nothing is packed, so that nothing can swell.
_HEADERS = {"User-Agent": f"nuki2mqtt/{__version__}", "Accept-Encoding": "identity"}


class NukiWeb:
    """Sends calls to the cloud at one address; use it as an async context manager.

    `base_url` is http or https, with a path before those of the API or without. `tls` is for an authority of one's own;
    None trusts those of the system.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock | None = None,
        connect_timeout_s: float = _CONNECT_TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        base = URL(base_url)
        self._base = str(base).rstrip("/")
        self._where = base.authority
        self._clock = clock or SystemClock()
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = WatchedConnector(
            force_close=True,
            use_dns_cache=False,
            resolver=_Resolver(self._connect_timeout_s),
            ssl=True if self._tls is None else self._tls,
        )
        self._session = open_session(connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: WebRequest, token: Secret, *, connect_within_s: float | None = None) -> WebAnswer:
        """The answer; raises WebError.

        Connecting takes at most 10 s, or `connect_within_s` if that is less, everything after it `request.timeout_s`.
        Nothing is written where that time is over.
        """
        within_s = self._connect_timeout_s
        if connect_within_s is not None:
            within_s = min(within_s, connect_within_s)
        outcome: WebAnswer | WebError
        if within_s <= 0:
            outcome = WebError(WebErrorKind.TOO_LATE, "the order came too late and was not sent")
        elif not _is_sendable(token):
            outcome = WebError(WebErrorKind.TOKEN_REFUSED, "it holds characters that no token has; nothing was sent")
        else:
            outcome = await self._ask(request, token, within_s)
        if isinstance(outcome, WebError):
            raise outcome  # here, outside of any handler: no foreign error hangs on to it
        return outcome

    async def _ask(self, request: WebRequest, token: Secret, connect_within_s: float) -> WebAnswer | WebError:
        if self._session is None:
            raise RuntimeError("NukiWeb is used outside of its context")
        body = request.body()
        call = HttpCall(
            method=request.method,
            url=URL(f"{self._base}{request.path}{_query_of(request)}", encoded=True),
            headers={**headers_of(token, has_body=body is not None), **_HEADERS},
            body=body,
            connect_within_s=connect_within_s,
            answer_within_s=request.timeout_s,
            most_bytes=MOST_BODY_BYTES,
            most_error_bytes=MOST_ERROR_BYTES,
        )
        outcome = await fly(self._session, call)
        if isinstance(outcome, Lost):
            return _failure(outcome, self._where, call)
        now = self._clock.now().wall
        if len(outcome.body) > _READ_IN_A_THREAD_BYTES:
            return await asyncio.to_thread(_read, request, outcome, token, now)
        return _read(request, outcome, token, now)


class _Resolver(AbstractResolver):
    """Asks in threads that nobody waits for: those of the loop are few, and the state file is written by them."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for address in (await resolve([host], limit_s=self._limit_s))[host]
            if family in {socket.AF_UNSPEC, kind := socket.AF_INET6 if ":" in address else socket.AF_INET}
        ]
        if not found:
            raise OSError("no address")
        return found

    async def close(self) -> None:
        """Nothing is held."""


def _is_sendable(token: Secret) -> bool:
    text = token.reveal()
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _query_of(request: WebRequest) -> str:
    query = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in request.query().items())
    return f"?{query}" if query else ""


def _read(request: WebRequest, landed: Landed, token: Secret, now: datetime) -> WebAnswer | WebError:
    try:
        return read_response(request, landed.status, landed.body, retry_after=landed.retry_after, now=now)
    except WebError as error:
        # A new one: the causes of this one hold the whole body, and with it keypad codes.
        return hide_web_secrets(error, (token,))


def _failure(lost: Lost, where: str, call: HttpCall) -> WebError:
    match lost.loss:
        case Loss.NOT_CONNECTED:
            return WebError(WebErrorKind.REFUSED, _why_not_connected(lost.cause, where))
        case Loss.NOT_CONNECTED_IN_TIME:
            return WebError(WebErrorKind.REFUSED, f"{where} does not answer within {call.connect_within_s:.3g} s")
        case Loss.SILENT:
            text = f"{where} has taken the request and not answered it within {call.answer_within_s:g} s"
            return WebError(WebErrorKind.TIMEOUT, text)
        case Loss.BROKEN:
            return WebError(WebErrorKind.RESET, f"{where} broke the connection or answered something that is not HTTP")
        case Loss.TOO_LARGE:
            return WebError(WebErrorKind.UNREADABLE, f"{where} answers more than {MOST_BODY_BYTES} bytes")


def _why_not_connected(error: Exception | None, where: str) -> str:
    match error:
        case ClientConnectorCertificateError():
            return f"the certificate of {where} is not good: is the clock of this computer right?"
        case ClientConnectorSSLError():
            return f"{where} does not speak TLS as it should: is nuki_web.base_url right?"
        case ClientConnectorDNSError():
            return f"{where} cannot be resolved"
        case OSError(errno=errno.ECONNREFUSED):
            return f"{where} refuses the connection"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH | errno.EHOSTDOWN | errno.ENETDOWN):
            return f"{where} cannot be reached"
        case _:
            return f"{where} cannot be connected to"
