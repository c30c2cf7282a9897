"""The door at which Nuki's cloud posts webhooks: it checks the signature, and decides nothing.

It stands behind a reverse proxy that speaks TLS, so that every sender is the proxy and says nothing; what counts is the
signature of the raw body (web reference 2.5). Answers are immediate: where too many fail, the cloud may post no more.
What is refused or lost is repaired by polling.
"""

import asyncio
import hmac
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Self

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
from nuki2mqtt.errors import UnreadableBody, WebhookDoorError
from nuki2mqtt.gateway.vocabulary import WebhookReceived
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.webhooks import SIGNATURE_HEADER, Hook, is_signed, parse_webhook, repeat_key

# One device is 2 KB at most; the end of an order to many devices names each that failed, with about 100 bytes.
MAX_BODY_BYTES = 128 * 1024
REMEMBER_S = 3600.0
MOST_REMEMBERED = 1000
_SIGNATURE_CHARS = 64  # SHA-256 in hex

# 403 and not 401: that would have to name a way to log in (RFC 9110, 15.5.2), and some proxies ask for a password then.
_NOT_SIGNED = Refusal(HTTPStatus.FORBIDDEN, "it has no signature")
_WRONGLY_SIGNED = Refusal(
    HTTPStatus.FORBIDDEN,
    "its signature is wrong: compare nuki_web.webhook.secret with Nuki Web, and let the proxy pass bodies unchanged",
)


class _Repeats:
    """What was taken within the last hour, at most a thousand of them, so that the same is not told twice."""

    def __init__(self) -> None:
        self._taken: dict[str, float] = {}  # the oldest first

    def without_known(self, hooks: Iterable[Hook], now: float) -> tuple[Hook, ...]:
        """Those that are new, each once."""
        self._forget(now)
        seen = set(self._taken)
        found: list[Hook] = []
        for hook in hooks:
            key = repeat_key(hook)
            if key is None or key not in seen:
                found.append(hook)
                seen |= set() if key is None else {key}
        return tuple(found)

    def remember(self, hooks: Iterable[Hook], now: float) -> None:
        """These were taken."""
        self._taken |= {key: now for hook in hooks if (key := repeat_key(hook)) is not None}
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._taken:
            key, at = next(iter(self._taken.items()))
            if now - at < REMEMBER_S and len(self._taken) <= MOST_REMEMBERED:
                return
            del self._taken[key]


class WebhookServer:
    """Listens for webhooks; `accept` takes what was understood and is new, and says False when it cannot."""

    def __init__(
        self,
        accept: Callable[[WebhookReceived], bool],
        *,
        clock: Clock | None = None,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._accept = accept
        self._clock = clock or SystemClock()
        self._path = b""
        self._secret = Secret("")
        self._repeats = _Repeats()
        self._posts = PostDoor(
            "a webhook", self._admit, clock=self._clock, most_bytes=MAX_BODY_BYTES, body_timeout_s=body_timeout_s
        )
        self._opening = asyncio.Lock()  # the last order wins, however long the one before takes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, host: str, port: int, path: str, secret: Secret) -> int:
        """Listen, instead of where it listened before, and say the port (0 takes any); raises WebhookDoorError."""
        async with self._opening:
            await self.close()
            self._path, self._secret = path.encode(), secret
            try:
                return await self._posts.open(host, port)
            except (OSError, UnicodeError) as error:
                raise WebhookDoorError(
                    f"cannot listen for webhooks on {host} port {port} ({why_not(error)}): choose another"
                    " nuki_web.webhook.port or nuki_web.webhook.host; until then the cloud is only polled"
                ) from error

    async def close(self) -> None:
        """Stop listening; requests in progress have a second to end."""
        await self._posts.close()

    def _admit(self, knock: Knock) -> Refusal | TakeBody:
        # In constant time: who wants the path itself to be a secret may have it.
        if not hmac.compare_digest(knock.path.encode("utf-8", "surrogateescape"), self._path):
            return UNKNOWN_PATH
        if knock.method != "POST":
            return NOT_A_POST
        signature = knock.headers.get(SIGNATURE_HEADER, "")
        if len(signature.strip()) != _SIGNATURE_CHARS:
            return _NOT_SIGNED  # before a byte of the body is read, and without taking a place
        return partial(self._take, signature=signature)

    def _take(self, body: bytes, signature: str) -> Refusal | None:
        if not is_signed(body, signature, self._secret):
            return _WRONGLY_SIGNED
        try:
            hooks = parse_webhook(body)
        except UnreadableBody as error:
            return Refusal(HTTPStatus.BAD_REQUEST, f"signed, but not a webhook: {error}")
        now = self._clock.now().monotonic
        new = self._repeats.without_known(hooks, now)
        if new and not self._accept(WebhookReceived(new, now)):
            return FULL_INBOX
        self._repeats.remember(new, now)
        return None
