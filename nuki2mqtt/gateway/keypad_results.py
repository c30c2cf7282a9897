"""The orders on `keypad/set` that have no end which the broker has: what is said of them, each step once.

An end stands in the state file before it is said, and is said again by the next process unless the broker had it. Of an
order that names a transaction a repeat is known for ten minutes, and as long as the order is open.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

from nuki2mqtt.gateway.keypad_orders import Refusal
from nuki2mqtt.gateway.keypad_steps import SayResult
from nuki2mqtt.gateway.keypad_wishes import KeypadOperation, KeypadWish, Why
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.command_payloads import transaction_key
from nuki2mqtt.protocol.keypad_payloads import KeypadOrder, hide_code

REMEMBERED_S = 600.0
MOST_KEYS = 1000
MOST_UNTOLD = 500  # ends that the broker does not take; the oldest is dropped

_Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """MQTT 5's response topic of an order, if it may be used, with its correlation data."""

    response_topic: str | None = None
    correlation: bytes | None = None


NO_REPLY = Reply()


class KeypadResults:
    """All operations, and what is to be said of them."""

    def __init__(self, operations: dict[str, KeypadOperation]) -> None:
        self.operations = dict(operations)
        self._said: list[SayResult] = [SayResult(one_id, one) for one_id, one in operations.items() if one.is_ended]
        self._last: dict[str, tuple[KeypadPhase, str | None]] = {}
        self._keys: OrderedDict[_Key, float] = OrderedDict()
        self._open: dict[str, list[str]] = {}  # by wish
        for one_id, one in operations.items():
            if not one.is_ended:
                self._open.setdefault(one.wish_id, []).append(one_id)
        self._count = 0

    def is_repeat(self, smartlock_id: int, order: KeypadOrder, now: float) -> bool:
        """Whether an order with this transaction was taken lately, or is open."""
        while self._keys and now - next(iter(self._keys.values())) > REMEMBERED_S:
            self._keys.popitem(last=False)
        if order.transaction is None:
            return False
        key = (smartlock_id, str(order.op), transaction_key(order.transaction))
        return key in self._keys or any(
            (one.smartlock_id, str(one.op), one.transaction) == key for one in self.operations.values()
        )

    def refuse(self, smartlock_id: int, order: KeypadOrder, reply: Reply, refusal: Refusal) -> None:
        """An order that is not taken; a name that holds its code is not said back."""
        name = None if order.name is None else hide_code(order.name, order.code)
        operation = replace(_operation("", smartlock_id, order, reply), name=name)
        ended = replace(operation, reason=str(refusal.reason), detail=refusal.detail, auth_id=order.id, is_ended=True)
        self._said.append(SayResult(None, ended))

    def accept(self, wish_id: str, smartlock_id: int, order: KeypadOrder, reply: Reply, now: float) -> None:
        """An order that is taken; the former one for the same code ends."""
        self._end(wish_id, KeypadPhase.FAILED, KeypadReason.SUPERSEDED, None, None)
        if order.transaction is not None:
            self._keys[smartlock_id, str(order.op), transaction_key(order.transaction)] = now
            if len(self._keys) > MOST_KEYS:
                self._keys.popitem(last=False)
        self._count += 1
        while (one_id := f"{wish_id} {self._count}") in self.operations:
            self._count += 1
        self.operations[one_id] = _operation(wish_id, smartlock_id, order, reply)
        self._open.setdefault(wish_id, []).append(one_id)

    def progress(self, wish_id: str, wish: KeypadWish, reason: Why | None) -> None:
        """Where the open orders of this code stand; each step is said once."""
        for one_id in self._open.get(wish_id, ()):
            step = (wish.phase, None if reason is None else str(reason))
            if self._last.get(one_id) != step:
                self._last[one_id] = step
                shown = replace(
                    self.operations[one_id], phase=step[0], reason=step[1], name=wish.name, auth_id=wish.auth_id
                )
                self._said.append(SayResult(one_id, shown, wish.code))

    def end(self, wish_id: str, wish: KeypadWish, phase: KeypadPhase, reason: Why | None, detail: str | None) -> None:
        """The open orders of this code end so."""
        self._end(wish_id, phase, reason, detail, wish)

    def _end(
        self, wish_id: str, phase: KeypadPhase, reason: Why | None, detail: str | None, wish: KeypadWish | None
    ) -> None:
        code: Secret | None = None if wish is None else wish.code
        for one_id in self._open.pop(wish_id, ()):
            self._last.pop(one_id, None)
            ended = replace(
                self.operations[one_id],
                phase=phase,
                reason=None if reason is None else str(reason),
                detail=detail,
                is_ended=True,
            )
            if wish is not None:
                ended = replace(ended, name=wish.name, auth_id=wish.auth_id)
            self.operations[one_id] = ended
            self._said.append(SayResult(one_id, ended, code))
        untold = [one_id for one_id, one in self.operations.items() if one.is_ended]
        for one_id in untold[: max(len(untold) - MOST_UNTOLD, 0)]:
            del self.operations[one_id]

    def told(self, operation_id: str) -> bool:
        """The broker has what was said last; whether that was an end."""
        operation = self.operations.get(operation_id)
        if operation is None or not operation.is_ended:
            return False
        del self.operations[operation_id]
        return True

    def take_said(self) -> list[SayResult]:
        """What is to be said since the last call, in order."""
        said, self._said = self._said, []
        return said


def _operation(wish_id: str, smartlock_id: int, order: KeypadOrder, reply: Reply) -> KeypadOperation:
    return KeypadOperation(
        wish_id=wish_id,
        smartlock_id=smartlock_id,
        op=order.op,
        name=order.name,
        transaction=None if order.transaction is None else transaction_key(order.transaction),
        response_topic=reply.response_topic,
        correlation=None if reply.correlation is None else reply.correlation.hex(),
    )
