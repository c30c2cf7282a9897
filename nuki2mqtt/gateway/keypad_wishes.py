"""What must be remembered of keypad codes: which are wanted, which orders have no end that was heard, which syncs cost.

It stands in the state file before the first request: whatever is sent is known to the next process. A code stands
there only as long as it is needed, that is while it is still to be written or to be recognised; of one that is active
only the cloud's id is kept.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nuki2mqtt.model.keypad import Authorization, CodeField, Comparison, KeypadCode, compare
from nuki2mqtt.model.keypad_order import KeypadOp, KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import KeypadProblem
from nuki2mqtt.model.schedule import ALWAYS, Schedule
from nuki2mqtt.model.secret import Secret

Why = KeypadReason | KeypadProblem
_WHYS: dict[str, Why] = {str(one): one for one in (*KeypadProblem, *KeypadReason)}


def why_of(text: str | None) -> Why | None:
    """The reason that a text of the state file names; None for none, and for one that this version does not know."""
    return None if text is None else _WHYS.get(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadWish:
    """One code of ours on one device, as it is wanted, and how far that is.

    `auth_id` is the cloud's id, None before a list has shown it. `code` is None where it is left as it is.
    `sent_name` and `sent_code` are those of a creation that may still be carried out. `attempts` counts the writes of
    this phase that the cloud may have taken. `once`: it is to go when it was used. `revived`: it is not
    created anew any more, as that was done once, or as the log has shown it in use. `confirmed` is on our wall clock.
    """

    smartlock_id: int
    name: str
    phase: KeypadPhase
    enabled: bool = True
    schedule: Schedule = ALWAYS
    code: Secret | None = None
    auth_id: str | None = None
    reason: str | None = None
    attempts: int = 0
    sent_name: str | None = None
    sent_code: Secret | None = None
    once: bool = False
    revived: bool = False
    confirmed: datetime | None = None

    def wanted(self, found: Authorization | None) -> KeypadCode | None:
        """The whole code as it shall be; what is left as it is comes from the list. None where no code is known."""
        code = self.code if self.code is not None or found is None else found.code
        if code is None:
            return None
        return KeypadCode(name=self.name, code=code, enabled=self.enabled, schedule=self.schedule)

    def compare(self, found: Authorization) -> Comparison:
        """In what the list contradicts it.

        An entry without `enabled` is an enabled one (web reference 3.5), and where the code is left as it is, nothing
        can contradict it.
        """
        shown = replace(found, enabled=True) if found.enabled is None else found
        wanted = self.wanted(found)
        if wanted is None:  # neither we nor the list know the code, so that it cannot differ
            blind = KeypadCode(name=self.name, code=Secret(""), enabled=self.enabled, schedule=self.schedule)
            said = compare(blind, shown)
            return Comparison(said.differs, frozenset(one for one in said.unsaid if one is not CodeField.CODE))
        return compare(wanted, shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadOperation:
    """An order on `keypad/set`: what was asked, by whom, and how it ended.

    `transaction` is its JSON text, `correlation` is in hex. `phase`, `reason` and `detail` are those of its end, once
    `is_ended`; it is kept until the broker has that.
    """

    wish_id: str
    smartlock_id: int
    op: KeypadOp
    name: str | None = None
    auth_id: str | None = None
    transaction: str | None = None
    response_topic: str | None = None
    correlation: str | None = None
    phase: KeypadPhase = KeypadPhase.REFUSED
    reason: str | None = None
    detail: str | None = None
    is_ended: bool = False

    def read_transaction(self) -> Any:
        """The transaction as a JSON value; None without one, and for what no process of ours has written."""
        try:
            value = json.loads(self.transaction or "null")
            json.dumps(value, allow_nan=False)
        except (ValueError, RecursionError):
            return None
        return value

    def read_correlation(self) -> bytes | None:
        """The correlation data; None without, and for what no process of ours has written."""
        try:
            return None if self.correlation is None else bytes.fromhex(self.correlation)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class KeypadSyncs:
    """How often a device was woken to be read (a forced sync), and when last, on our wall clock."""

    count: int
    last: datetime


@dataclass(frozen=True, slots=True)
class KeypadMemory:
    """All of it, as it stands in `Memory`.

    Wishes and operations are by ids of our own, syncs by the cloud's number of the device as text.
    """

    wishes: dict[str, KeypadWish] = field(default_factory=dict)
    operations: dict[str, KeypadOperation] = field(default_factory=dict)
    syncs: dict[str, KeypadSyncs] = field(default_factory=dict)
