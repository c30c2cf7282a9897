"""The door that Bridges knock on. It checks who knocks and what is said, and decides nothing.

A Bridge can neither sign nor encrypt its callbacks, so the path is the secret. Answers are immediate:
a Bridge calls one address after another, and waits for a slow one (reference 3.1).
"""

import asyncio
import hmac
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Self

from nuki2mqtt.adapters.address import is_local, plain_address
from nuki2mqtt.adapters.clock import Clock, SystemClock
from nuki2mqtt.adapters.post_door import (
    BODY_TIMEOUT_S,
    FULL_INBOX,
    NOT_A_POST,
    UNKNOWN_PATH,
    Knock,
    PostDoor,
    Refusal,
    TakeBody,
    why_not,
)
from nuki2mqtt.errors import CallbackDoorError, UnreadableBody
from nuki2mqtt.gateway.vocabulary import CallbackPath, CallbackReceived
from nuki2mqtt.protocol.bridge_api import parse_callback
from nuki2mqtt.protocol.settings_words import SenderCheck

MAX_BODY_BYTES = 16 * 1024  # a callback has a few hundred

_RESOLVE_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


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


class CallbackServer:
    """Listens for callbacks; `emit` takes what was understood, and says False when it cannot."""

    def __init__(
        self,
        emit: Callable[[CallbackReceived], bool],
        *,
        clock: Clock | None = None,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._emit = emit
        self._clock = clock or SystemClock()
        self._doors: tuple[_Door, ...] = ()
        self._posts = PostDoor(
            "a callback", self._admit, clock=self._clock, most_bytes=MAX_BODY_BYTES, body_timeout_s=body_timeout_s
        )
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
        try:
            return await self._posts.open(bind, port)
        except (OSError, UnicodeError) as error:
            raise CallbackDoorError(
                f"cannot listen for callbacks on {bind} port {port} ({why_not(error)}): choose another callback.port or"
                " callback.bind; until then changes are seen by polling only"
            ) from error

    async def close(self) -> None:
        """Stop listening; requests in progress have a second to end."""
        await self._posts.close()
        self._doors = ()

    def _admit(self, knock: Knock) -> Refusal | TakeBody:
        door = self._find(knock.path)
        if door is None:
            return UNKNOWN_PATH
        if knock.method != "POST":
            return NOT_A_POST
        if not door.may_enter(knock.sender):
            return _wrong_sender(door)
        return partial(self._take, door=door, sender=knock.sender)

    def _find(self, raw_path: str) -> _Door | None:
        asked = raw_path.encode("utf-8", "surrogateescape")
        # Every path is compared, each in constant time: the time taken tells nothing about any of them.
        found = [door for door in self._doors if hmac.compare_digest(asked, door.path)]
        return found[0] if found else None

    def _take(self, body: bytes, door: _Door, sender: str) -> Refusal | None:
        try:
            report = parse_callback(body)
        except UnreadableBody as error:
            return Refusal(HTTPStatus.BAD_REQUEST, f"not a callback: {error}")
        # Again, and only now: a stray request must not take the one place of a foreign private sender.
        if not door.enter(sender):
            return _wrong_sender(door)
        if not self._emit(CallbackReceived(door.link, report, self._clock.now().monotonic)):
            return FULL_INBOX
        return None


def _wrong_sender(door: _Door) -> Refusal:
    text = f"it has the path of the Bridge at {door.link}, but another address (callback.sender: {door.check})"
    return Refusal(HTTPStatus.FORBIDDEN, text)


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
