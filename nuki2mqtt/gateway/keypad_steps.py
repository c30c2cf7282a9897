"""What keypad codes ask of the rest of the gateway, in the order in which it is to be done."""

from dataclasses import dataclass

from nuki2mqtt.gateway.keypad_wishes import KeypadOperation, why_of
from nuki2mqtt.gateway.vocabulary import Log
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.keypad_payloads import KeypadEntry, KeypadResult
from nuki2mqtt.protocol.web_api import WebRequest


@dataclass(frozen=True, slots=True)
class SaveWishes:
    """What `Keypads.remember` gives has changed: it must stand in the state file before what comes next."""


@dataclass(frozen=True, slots=True)
class AskCloud:
    """Send this; `Keypads.answered` with the same id follows, always, with a WebAnswer or a WebError."""

    call_id: int
    smartlock_id: int
    request: WebRequest


@dataclass(frozen=True, slots=True)
class SayResult:
    """One step of an order, for `keypad/result` and its response topic.

    `operation_id` is None for what was refused. After the end of another one `Keypads.told` is to be called when the
    broker has it; until then each process says it anew.
    """

    operation_id: str | None
    operation: KeypadOperation
    code: Secret | None = None

    @property
    def result(self) -> KeypadResult:
        """The same for the codec."""
        operation = self.operation
        return KeypadResult(
            transaction=operation.read_transaction(),
            op=operation.op,
            phase=operation.phase,
            id=operation.auth_id,
            name=operation.name,
            reason=why_of(operation.reason),
            detail=operation.detail,
            code=self.code,
        )


@dataclass(frozen=True, slots=True)
class SayKeypad:
    """The list of a device's codes has changed, for `keypad`."""

    smartlock_id: int
    entries: tuple[KeypadEntry, ...]


KeypadStep = SaveWishes | AskCloud | SayResult | SayKeypad | Log
