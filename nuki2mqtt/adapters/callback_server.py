"""The door that Bridges knock on. It checks who knocks and what is said, and decides nothing.

A Bridge can neither sign nor encrypt its callbacks, so the path is the secret. Answers are immediate:
a Bridge calls one address after another, and waits for a slow one (reference 3.1).
"""

import asyncio
import hmac
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp import web

from nuki2mqtt.adapters.address import is_local, plain_address
from nuki2mqtt.adapters.clock import Clock, SystemClock
from nuki2mqtt.errors import CallbackDoorError, UnreadableBody
from nuki2mqtt.gateway.vocabulary import CallbackPath, CallbackReceived
from nuki2mqtt.protocol.bridge_api import parse_callback
from nuki2mqtt.protocol.settings_words import SenderCheck

MAX_BODY_BYTES = 16 * 1024  # a callback has a few hundred
MAX_IN_PROGRESS = 32

_BODY_TIMEOUT_S = 5.0
_LINGER_S = 1.0  # reads on after a refusal, so that the refusal itself is not lost in a reset
_SHUTDOWN_S = 1.0
_RESOLVE_TIMEOUT_S = 5.0
_SAY_AGAIN_S = 60.0
_MAX_REMEMBERED_REFUSALS = 256

_log = logging.getLogger(__name__)
# aiohttp's own words about bad requests quote them, and with them the secret path.
_silent = logging.getLogger("nuki2mqtt.silent")
_silent.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a request is turned away; `text` is safe to log."""

    status: HTTPStatus
    text: str


@dataclass(slots=True)
class _Door:
    """One Bridge's path and who may knock there."""

    path: bytes
    link: str
    expected: frozenset[str]
    check: SenderCheck
    pinned: str | None = None

    def may_enter(self, sender: str) -> bool:
        """Whether this sender may knock here."""
        match self.check:
            case SenderCheck.OFF:
                return True
            case SenderCheck.STRICT:
                return sender in self.expected
            case SenderCheck.AUTO:
                return sender in self.expected or (is_local(sender) and self.pinned in {None, sender})

    def enter(self, sender: str) -> bool:
        """Like `may_enter`, and from now on a foreign private sender is the only one."""
        if not self.may_enter(sender):
            return False
        if self.check is SenderCheck.AUTO and sender not in self.expected and self.pinned is None:
            self.pinned = sender
            _log.warning(
                "Callbacks of the Bridge at %s come from %s, as behind a container's NAT; only this address"
                " is accepted besides the Bridge's own from now on. callback.sender: strict forbids it.",
                self.link,
                sender,
            )
        return True


class _Refusals:
    """Says each kind of refusal once a minute for each sender, and forgets within bounds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[tuple[HTTPStatus, str], float] = {}

    def say(self, refusal: _Refusal, sender: str) -> None:
        now = self._clock.now().monotonic
        key = (refusal.status, sender)
        self._said = {known: at for known, at in self._said.items() if now - at < _SAY_AGAIN_S}
        # When it is full of fresh ones, somebody makes up senders: silence is the better answer.
        if key in self._said or len(self._said) >= _MAX_REMEMBERED_REFUSALS:
            return
        self._said[key] = now
        _log.warning("Refused a callback from %s with %d: %s", sender, refusal.status, refusal.text)


class CallbackServer:
    """Listens for callbacks; `emit` takes what was understood, and says False when it cannot."""

    def __init__(
        self,
        emit: Callable[[CallbackReceived], bool],
        *,
        clock: Clock | None = None,
        body_timeout_s: float = _BODY_TIMEOUT_S,
    ) -> None:
        self._emit = emit
        self._clock = clock or SystemClock()
        self._refusals = _Refusals(self._clock)
        self._body_timeout_s = body_timeout_s
        self._doors: tuple[_Door, ...] = ()
        self._in_progress = 0
        self._runner: web.ServerRunner | None = None
        self._opening = asyncio.Lock()  # the last order wins, however long the one before takes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, bind: str, port: int, paths: tuple[CallbackPath, ...], sender: SenderCheck) -> int:
        """Listen, instead of where it listened before, and say the port (0 takes any).

        Raises CallbackDoorError.
        """
        async with self._opening:
            return await self._open(bind, port, paths, sender)

    async def _open(self, bind: str, port: int, paths: tuple[CallbackPath, ...], sender: SenderCheck) -> int:
        await self.close()
        self._doors = tuple([await _door(path, sender) for path in paths])
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
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
            await runner.cleanup()
            raise CallbackDoorError(
                f"cannot listen for callbacks on {bind} port {port} ({_reason(error)}): choose another callback.port or"
                " callback.bind; until then changes are seen by polling only"
            ) from error
        self._runner = runner
        return int(runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening; requests in progress have a second to end."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        self._doors = ()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        sender = plain_address(request.remote or "") or "unknown"
        try:
            refusal = await self._refusal(request, sender)
        except Exception:  # noqa: BLE001 - a mistake of ours, which aiohttp would tell to the silent log
            _log.exception("A callback from %s could not be handled", sender)
            refusal = _Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "our own mistake")
        if refusal is not None:
            self._refusals.say(refusal, sender)
        response = web.Response(status=HTTPStatus.OK if refusal is None else refusal.status)
        response.force_close()
        return response

    async def _refusal(self, request: web.BaseRequest, sender: str) -> _Refusal | None:
        door = self._find(request.rel_url.raw_path)
        if door is None:
            return _Refusal(HTTPStatus.NOT_FOUND, "unknown path")
        if request.method != "POST":
            return _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "not a POST")
        if not door.may_enter(sender):
            return _wrong_sender(door)
        # Counted only from here on, so that nobody without the secret path can use up the places.
        if self._in_progress >= MAX_IN_PROGRESS:
            return _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once")
        self._in_progress += 1
        try:
            body = await self._read_body(request)
        finally:
            self._in_progress -= 1
        return body if isinstance(body, _Refusal) else self._take(body, door, sender)

    def _find(self, raw_path: str) -> _Door | None:
        asked = raw_path.encode("utf-8", "surrogateescape")
        # Every path is compared, each in constant time: the time taken tells nothing about any of them.
        found = [door for door in self._doors if hmac.compare_digest(asked, door.path)]
        return found[0] if found else None

    async def _read_body(self, request: web.BaseRequest) -> bytes | _Refusal:
        too_large = _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body of more than {MAX_BODY_BYTES} bytes")
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        return too_large
        except TimeoutError:
            return _Refusal(HTTPStatus.REQUEST_TIMEOUT, f"no whole body within {self._body_timeout_s:g} s")
        except (OSError, web.RequestPayloadError):
            return _Refusal(HTTPStatus.BAD_REQUEST, "the body broke off")
        return bytes(body)

    def _take(self, body: bytes, door: _Door, sender: str) -> _Refusal | None:
        try:
            report = parse_callback(body)
        except UnreadableBody as error:
            return _Refusal(HTTPStatus.BAD_REQUEST, f"not a callback: {error}")
        # Again, and only now: a stray request must not take the one place of a foreign private sender.
        if not door.enter(sender):
            return _wrong_sender(door)
        if not self._emit(CallbackReceived(door.link, report, self._clock.now().monotonic)):
            return _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the inbox is full")
        return None


def _wrong_sender(door: _Door) -> _Refusal:
    text = f"it has the path of the Bridge at {door.link}, but another address (callback.sender: {door.check})"
    return _Refusal(HTTPStatus.FORBIDDEN, text)


def _site(runner: web.ServerRunner, bind: str, port: int) -> web.BaseSite:
    if bind == "::":  # asyncio would leave IPv4 out
        dual = socket.has_dualstack_ipv6()
        return web.SockSite(runner, socket.create_server((bind, port), family=socket.AF_INET6, dualstack_ipv6=dual))
    return web.TCPSite(runner, bind, port)


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror) or not isinstance(error, OSError) or error.errno is None:
        return "not an address of this computer"
    return os.strerror(error.errno)


async def _door(path: CallbackPath, check: SenderCheck) -> _Door:
    return _Door(path.path.reveal().encode(), path.link, await _addresses_of(path.host, check), check)


async def _addresses_of(host: str, check: SenderCheck) -> frozenset[str]:
    address = plain_address(host)
    if address is not None:
        return frozenset({address})
    if check is SenderCheck.OFF:
        return frozenset()
    try:
        async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        _log.warning("The host name %s cannot be resolved, so that callbacks from it cannot be told from others", host)
        return frozenset()
    return frozenset(address for info in found if (address := plain_address(str(info[4][0]))) is not None)
