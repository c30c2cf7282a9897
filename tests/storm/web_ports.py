"""The service's ways to and from Nuki's cloud, simulated: requests to a simulated account, and the door for webhooks.

They are deaf and dumb from the moment their process dies, as those of `ports`.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

from nuki2mqtt.errors import UnreadableBody, WebError, WebErrorKind, WebhookDoorError
from nuki2mqtt.gateway.vocabulary import WebhookReceived
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_api import WebAnswer, WebRequest, read_response
from nuki2mqtt.protocol.webhooks import SIGNATURE_HEADER, is_signed, parse_webhook
from nuki2mqtt.simulator.bridge import Ending

if TYPE_CHECKING:
    from tests.storm.cloud import CloudSite, WebCall
    from tests.storm.computer import Computer

CONNECT_S = 10.0
HANDSHAKE_S = 0.08  # TCP and TLS


class SimulatedWeb:
    """The way to the cloud."""

    def __init__(self, computer: "Computer") -> None:
        self._computer = computer
        self._process = computer.process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def send(self, request: WebRequest, token: Secret, *, connect_within_s: float | None = None) -> WebAnswer:
        """The answer; raises WebError."""
        within_s = CONNECT_S if connect_within_s is None else min(CONNECT_S, connect_within_s)
        if within_s <= 0:
            raise WebError(WebErrorKind.TOO_LATE)
        await self._be_alive()
        site = self._computer.world.cloud
        if site is None:
            await asyncio.sleep(within_s)
            raise WebError(WebErrorKind.REFUSED, "nobody is there")
        call = site.begin(self._computer, request)
        try:
            return await self._exchange(site, call, request, token, within_s)
        except asyncio.CancelledError:
            call.was_dropped = True
            raise
        finally:
            site.end(call)

    async def _be_alive(self) -> None:
        """The dead do not go on."""
        if not self._computer.is_alive or self._computer.process is not self._process:
            await asyncio.Event().wait()

    async def _exchange(
        self, site: "CloudSite", call: "WebCall", request: WebRequest, token: Secret, within_s: float
    ) -> WebAnswer:
        if site.dark:
            site.world.note_hit("cloud dark")
            await asyncio.sleep(within_s)
            raise WebError(WebErrorKind.REFUSED, "no connection")
        if within_s <= HANDSHAKE_S:
            await asyncio.sleep(within_s)
            raise WebError(WebErrorKind.TOO_LATE)
        await asyncio.sleep(HANDSHAKE_S)
        await self._be_alive()
        answer = site.take(call, token)
        await self._be_alive()
        match answer.ending:
            case Ending.REFUSED:
                raise WebError(WebErrorKind.REFUSED, "the connection is refused")
            case Ending.RESET:
                await asyncio.sleep(0.05)
                raise WebError(WebErrorKind.RESET, "the connection was broken")
            case _ if answer.ending is Ending.SILENT or answer.delay_s > request.timeout_s:
                await asyncio.sleep(request.timeout_s)
                raise WebError(WebErrorKind.TIMEOUT, "no answer")
        await asyncio.sleep(answer.delay_s)
        return read_response(request, answer.status, answer.body, retry_after=answer.headers.get("Retry-After"))


class SimulatedWebhookDoor:
    """Where the cloud knocks."""

    def __init__(self, computer: "Computer", accept: Callable[[WebhookReceived], bool]) -> None:
        self._computer = computer
        self._accept = accept
        self._place: tuple[str, Secret] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._place = None

    async def open(self, host: str, port: int, path: str, secret: Secret) -> int:
        """Listen; raises WebhookDoorError."""
        if self._computer.is_port_taken:
            raise WebhookDoorError(f"cannot listen for webhooks on {host} port {port} (address already in use)")
        self._place = path, secret
        return port

    def knock(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """A POST; gives the HTTP status, 0 where nobody listens."""
        if self._place is None or not self._computer.is_alive:
            return 0
        if path != self._place[0]:
            return 404
        if not is_signed(body, headers.get(SIGNATURE_HEADER), self._place[1]):
            return 401
        try:
            hooks = parse_webhook(body)
        except UnreadableBody:
            return 400
        event = WebhookReceived(hooks, self._computer.moment().monotonic)
        return 200 if self._accept(event) else 503
