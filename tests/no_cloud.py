"""The way to a cloud that is not there: every call is refused before a byte, and no door can be opened."""

from types import TracebackType
from typing import Self

from nuki2mqtt.errors import WebError, WebErrorKind, WebhookDoorError
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_api import WebAnswer, WebRequest


class NoCloud:
    """A `WebPort` and a `WebhookDoorPort` of a network without internet."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    async def send(self, request: WebRequest, token: Secret, *, connect_within_s: float | None = None) -> WebAnswer:  # noqa: ARG002 - the port's signature
        raise WebError(WebErrorKind.REFUSED, "there is no cloud here")

    async def open(self, host: str, port: int, path: str, secret: Secret) -> int:  # noqa: ARG002 - the port's signature
        raise WebhookDoorError("there is no cloud here")
