"""An HTTP server for what machines post to us: bounded in size, time and number, and silent about what strangers say.

Who may come in, and what becomes of a body, is for its owner to say: `callback_server` and `webhook_server`.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from nuki2mqtt.adapters.address import plain_address
from nuki2mqtt.adapters.clock import Clock

MAX_IN_PROGRESS = 32
BODY_TIMEOUT_S = 5.0

_LINGER_S = 1.0  # reads on after a refusal, so that the refusal itself is not lost in a reset
_SHUTDOWN_S = 1.0
_SAY_AGAIN_S = 60.0
_MAX_REMEMBERED_REFUSALS = 256

_log = logging.getLogger(__name__)
# aiohttp's own words about bad requests quote them, and with them secret paths.
_silent = logging.getLogger("nuki2mqtt.silent")
_silent.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned away; `text` is safe to log."""

    status: HTTPStatus
    text: str


UNKNOWN_PATH = Refusal(HTTPStatus.NOT_FOUND, "unknown path")
NOT_A_POST = Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "not a POST")
FULL_INBOX = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the inbox is full")


@dataclass(frozen=True, slots=True)
class Knock:
    """What is known of a request before its body is read; the path is as it came, without the query."""

    path: str = field(repr=False)
    method: str
    sender: str
    headers: Mapping[str, str] = field(repr=False)


TakeBody = Callable[[bytes], Refusal | None]
Admit = Callable[[Knock], Refusal | TakeBody]


class _Refusals:
    """Says each kind of refusal once a minute for each sender, and forgets within bounds."""

    def __init__(self, what: str, clock: Clock) -> None:
        self._what = what
        self._clock = clock
        self._said: dict[tuple[HTTPStatus, str], float] = {}

    def say(self, refusal: Refusal, sender: str) -> None:
        now = self._clock.now().monotonic
        key = (refusal.status, sender)
        self._said = {known: at for known, at in self._said.items() if now - at < _SAY_AGAIN_S}
        # When it is full of fresh ones, somebody makes up senders: silence is the better answer.
        if key in self._said or len(self._said) >= _MAX_REMEMBERED_REFUSALS:
            return
        self._said[key] = now
        _log.warning("Refused %s from %s with %d: %s", self._what, sender, refusal.status, refusal.text)


class PostDoor:
    """Listens at one port; `admit` says of each request why it is refused, or what takes its body.

    `what` is what is expected here, for the log ("a callback").
    """

    def __init__(
        self, what: str, admit: Admit, *, clock: Clock, most_bytes: int, body_timeout_s: float = BODY_TIMEOUT_S
    ) -> None:
        self._what = what
        self._admit = admit
        self._refusals = _Refusals(what, clock)
        self._most_bytes = most_bytes
        self._body_timeout_s = body_timeout_s
        self._in_progress = 0
        self._runner: web.ServerRunner | None = None

    async def open(self, bind: str, port: int) -> int:
        """Listen, and say the port (0 takes any); raises OSError or UnicodeError, see `why_not`."""
        server = web.Server(
            self._answer,
            logger=_silent,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self._body_timeout_s,  # also ends connections that never ask anything
            lingering_time=_LINGER_S,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await _site(runner, bind, port).start()
        except (OSError, UnicodeError):  # UnicodeError: a host name that cannot be one
            await runner.cleanup()
            raise
        self._runner = runner
        return int(runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening; requests in progress have a second to end."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        sender = plain_address(request.remote or "") or "unknown"
        try:
            refusal = await self._refusal(request, sender)
        except Exception:  # noqa: BLE001 - a mistake of ours, which aiohttp would tell to the silent log
            _log.exception("What was taken for %s from %s could not be handled", self._what, sender)
            refusal = Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "our own mistake")
        if refusal is not None:
            self._refusals.say(refusal, sender)
        response = web.Response(status=HTTPStatus.OK if refusal is None else refusal.status)
        response.force_close()
        return response

    async def _refusal(self, request: web.BaseRequest, sender: str) -> Refusal | None:
        admitted = self._admit(Knock(request.rel_url.raw_path, request.method, sender, request.headers))
        if isinstance(admitted, Refusal):
            return admitted
        # Counted only from here on, so that nobody who is refused by then can use up the places.
        if self._in_progress >= MAX_IN_PROGRESS:
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once")
        self._in_progress += 1
        try:
            body = await self._read_body(request)
        finally:
            self._in_progress -= 1
        return body if isinstance(body, Refusal) else admitted(body)

    async def _read_body(self, request: web.BaseRequest) -> bytes | Refusal:
        too_large = Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body of more than {self._most_bytes} bytes")
        if (request.content_length or 0) > self._most_bytes:
            return too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._most_bytes:
                        return too_large
        except TimeoutError:
            return Refusal(HTTPStatus.REQUEST_TIMEOUT, f"no whole body within {self._body_timeout_s:g} s")
        except (OSError, web.RequestPayloadError):
            return Refusal(HTTPStatus.BAD_REQUEST, "the body broke off")
        return bytes(body)


def _site(runner: web.ServerRunner, bind: str, port: int) -> web.BaseSite:
    if bind == "::":  # asyncio would leave IPv4 out
        dual = socket.has_dualstack_ipv6()
        return web.SockSite(runner, socket.create_server((bind, port), family=socket.AF_INET6, dualstack_ipv6=dual))
    return web.TCPSite(runner, bind, port)


def why_not(error: OSError | UnicodeError) -> str:
    """Why a door cannot be opened, in a few words."""
    if isinstance(error, socket.gaierror) or not isinstance(error, OSError) or error.errno is None:
        return "not an address of this computer"
    return os.strerror(error.errno)
