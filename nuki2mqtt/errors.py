"""The error tree. Each error about a Bridge says whether the lock may have moved.

Nuki2mqttError
  SettingsError           the settings cannot be used; lists every mistake with its place (exit status 78)
  UnreadableBody          bytes that a codec cannot read; says what was expected and what was found
  BridgeError             a request to a Bridge has no usable answer; `kind` and `may_have_acted` say more
  MqttError               the broker cannot be reached or refuses us
    EmbeddedBrokerError   the broker of this process cannot start; the text says what to do
  CallbackDoorError       the callback server cannot listen; the text says what to do
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


class MqttError(Nuki2mqttError):
    """The broker cannot be reached or refuses us; the text says what to do."""


class EmbeddedBrokerError(MqttError):
    """The broker of this process cannot start; the text says what to do."""


class CallbackDoorError(Nuki2mqttError):
    """The callback server cannot listen; the text says what to do."""


class StateFileError(Nuki2mqttError):
    """The state file cannot be used; the text says what to do."""

    def __init__(self, text: str, *, newer: bool = False) -> None:
        self.newer = newer
        super().__init__(text)
