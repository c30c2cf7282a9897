"""The error tree. Each error about a Bridge or the cloud says whether the lock may have moved.

Nuki2mqttError
  SettingsError           the settings cannot be used; lists every mistake with its place (exit status 78)
  UnreadableBody          bytes that a codec cannot read; says what was expected and what was found
  BridgeError             a request to a Bridge has no usable answer; `kind` and `may_have_acted` say more
  WebError                the same of a request to Nuki's cloud
  MqttError               the broker cannot be reached or refuses us
    EmbeddedBrokerError   the broker of this process cannot start; the text says what to do
  CallbackDoorError       the callback server cannot listen; the text says what to do
  WebhookDoorError        the same of the door for webhooks
  StateFileError          the state file cannot be read or written; `newer` when a later version wrote it
"""

from dataclasses import dataclass
from enum import StrEnum


class Nuki2mqttError(Exception):
    """Anything that we raise on purpose."""


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """One mistake: where it is ("config.yaml:12:5" or the variable's name) and what is wrong."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class SettingsError(Nuki2mqttError):
    """All mistakes of the settings at once."""

    def __init__(self, problems: tuple[SettingsProblem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class UnreadableBody(Nuki2mqttError):  # noqa: N818 - reads as what it is
    """A body that is not what the document promises; the text is safe to log."""


class BridgeErrorKind(StrEnum):
    """Why a request failed. Bridge API 1.13.2 section 7 for the HTTP statuses."""

    REFUSED = "refused"  # no connection: nothing was written
    TOO_LATE = "too_late"  # it was not sent any more
    TIMEOUT = "timeout"  # written, no answer in time
    RESET = "reset"  # written, connection closed
    BUSY = "busy"  # 503; orders have been executed behind one (reference 4.3)
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - 401
    FORBIDDEN = "forbidden"  # 403
    BAD_REQUEST = "bad_request"  # 400
    NOT_PAIRED = "not_paired"  # 404: the Bridge does not know this device
    DEVICE_OFFLINE = "device_offline"  # 410
    UNEXPECTED_STATUS = "unexpected_status"
    UNREADABLE = "unreadable"  # 200 with a body that is not an answer


_NOTHING_HAPPENED = frozenset(
    {
        BridgeErrorKind.REFUSED,
        BridgeErrorKind.TOO_LATE,
        BridgeErrorKind.TOKEN_REFUSED,
        BridgeErrorKind.FORBIDDEN,
        BridgeErrorKind.BAD_REQUEST,
        BridgeErrorKind.NOT_PAIRED,
    }
)


class BridgeError(Nuki2mqttError):
    """A request to a Bridge failed; equal by value, so that it can be an event.

    `detail` can be the Bridge's own text. What looks like a secret is gone from it; those that the link knows are
    taken out before it is shown (`bridge_api.hide_secrets`), and `repr` does not show it.
    """

    def __init__(self, kind: BridgeErrorKind, detail: str = "") -> None:
        self.kind = kind
        self.detail = detail
        super().__init__(f"{kind}: {detail}" if detail else str(kind))

    def __repr__(self) -> str:
        return f"BridgeError({self.kind})"

    @property
    def may_have_acted(self) -> bool:
        """Whether the order may have been executed although no answer came."""
        return self.kind not in _NOTHING_HAPPENED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BridgeError) and (self.kind, self.detail) == (other.kind, other.detail)

    def __hash__(self) -> int:
        return hash((self.kind, self.detail))


class WebErrorKind(StrEnum):
    """Why a request to the cloud failed. Web reference 1.2 for the HTTP statuses."""

    REFUSED = "refused"  # no connection: nothing was written
    TOO_LATE = "too_late"  # it was not sent any more
    TIMEOUT = "timeout"  # written, no answer in time
    RESET = "reset"  # written, connection closed
    BAD_REQUEST = "bad_request"  # 400: a parameter is not valid; also what a device cannot do
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - 401: not authorised, or a scope is missing
    PAYMENT_REQUIRED = "payment_required"  # 402
    FORBIDDEN = "forbidden"  # 403: not this account's lock, or no right
    NOT_FOUND = "not_found"  # 404
    NOT_ALLOWED = "not_allowed"  # 405
    CONFLICT = "conflict"  # 409: of a keypad code, that there is one with the same digits
    LOCKED = "locked"  # 423: another operation is under way
    UPGRADE_REQUIRED = "upgrade_required"  # 426: a subscription is missing
    TOO_MANY = "too_many"  # 429
    SERVER_ERROR = "server_error"  # 5xx, often a page of HTML
    UNEXPECTED_STATUS = "unexpected_status"
    UNREADABLE = "unreadable"  # a success with a body that is not an answer


_NOTHING_TAKEN = frozenset(
    {
        WebErrorKind.REFUSED,
        WebErrorKind.TOO_LATE,
        WebErrorKind.BAD_REQUEST,
        WebErrorKind.TOKEN_REFUSED,
        WebErrorKind.PAYMENT_REQUIRED,
        WebErrorKind.FORBIDDEN,
        WebErrorKind.NOT_FOUND,
        WebErrorKind.NOT_ALLOWED,
        WebErrorKind.CONFLICT,
        WebErrorKind.LOCKED,
        WebErrorKind.UPGRADE_REQUIRED,
        WebErrorKind.TOO_MANY,
    }
)


class WebError(Nuki2mqttError):
    """A request to Nuki's cloud failed; equal by value, so that it can be an event.

    `parameter` is what a 400 complains of, `value` what it says stood there, only where that can be no secret: a keypad
    code is never echoed. `retry_after_s` is how long the cloud asks us to wait, bounded. `detail` is without what looks
    like a secret or a keypad code, and `repr` does not show it.
    """

    def __init__(
        self,
        kind: WebErrorKind,
        detail: str = "",
        *,
        parameter: str | None = None,
        value: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.parameter = parameter
        self.value = value
        self.retry_after_s = retry_after_s
        super().__init__(f"{kind}: {detail}" if detail else str(kind))

    def __repr__(self) -> str:
        return f"WebError({self.kind})"

    @property
    def may_have_acted(self) -> bool:
        """Whether the cloud may have taken the order although it did not say so."""
        return self.kind not in _NOTHING_TAKEN

    def _facts(self) -> tuple[object, ...]:
        return (self.kind, self.detail, self.parameter, self.value, self.retry_after_s)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WebError) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())


class MqttError(Nuki2mqttError):
    """The broker cannot be reached or refuses us; the text says what to do."""


class EmbeddedBrokerError(MqttError):
    """The broker of this process cannot start; the text says what to do."""


class CallbackDoorError(Nuki2mqttError):
    """The callback server cannot listen; the text says what to do."""


class WebhookDoorError(Nuki2mqttError):
    """The door for webhooks cannot listen; the text says what to do."""


class StateFileError(Nuki2mqttError):
    """The state file cannot be used; the text says what to do."""

    def __init__(self, text: str, *, newer: bool = False) -> None:
        self.newer = newer
        super().__init__(text)
