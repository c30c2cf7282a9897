"""What a process knows of one device's keypad: the newest list, the call under way, and when the next one is due.

One call at a time per device, and one write at a time: after a write the list is read at growing intervals, until it
shows what was written or the time for it is up. All times are monotonic seconds; nothing of this outlives the process.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.keypad_wishes import KeypadWish
from nuki2mqtt.model.keypad import Authorization, KeypadCode
from nuki2mqtt.model.keypad_order import KeypadReason
from nuki2mqtt.model.keypad_rules import DEFAULT_CAPACITY

LOOKS_S = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)  # web reference 6.3, item 4
SYNC_LOOKS_S = (5.0, 10.0, 20.0, 40.0)
FRESH_S = 10.0  # a list that is older is read again before a write
SETTLED_S = 300.0  # so long after a write, with the device online, nothing of it is expected any more
OWN_ECHO_S = 900.0  # so long after a write a contradiction may be our own doing
AUDIT_S = 6 * 3600.0
NEW_CAPACITY = 200  # web reference 6.1: newer devices; known to be one by what it holds
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 5.0, 300.0
_THROTTLED_S = 60.0
_TOKEN_S = 900.0
_REFUSED_DEVICE_S = 3600.0
_LOCKED_S = (5.0, 10.0, 20.0, 30.0)  # web reference 6.3, item 3
_PATIENT_LOCKED = 20  # after so many in a row an operation is no matter of seconds
_LONG_LOCKED_S = 300.0


class CallKind(StrEnum):
    """What is asked of the cloud."""

    LIST = "list"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class Call:
    """A call under way; `asked` is when it was handed over, `wish_id` for which code.

    `wanted` is what an update sends. `is_first`: no creation of this code was sent before.
    """

    call_id: int
    kind: CallKind
    asked: float
    wish_id: str | None = None
    wanted: KeypadCode | None = None
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """What a write shall have brought about: `wanted` is what an update has sent."""

    wish_id: str
    kind: CallKind
    wanted: KeypadCode | None = None


@dataclass(slots=True, eq=False)
class KeypadLane:
    """One device.

    `listing` is the newest complete list, None before the first; `listed` when one of ours was asked for. `written`:
    when the last write had its answer. `came`: when a list last showed that one was carried out. `looks`: when to read
    because of `check`, or because something may have changed. `quiet_until`: nothing is asked before. `next_try`: when
    a code may be written, `wrote`: when it was last. `synced`: when the device was woken to be read.
    `conflicts` are codes that the cloud says are taken, `denied` those that it would not have us touch.
    """

    smartlock_id: int
    born: float
    call: Call | None = None
    check: Check | None = None
    listing: tuple[Authorization, ...] | None = None
    by_id: dict[str, Authorization] = field(default_factory=dict)
    listed: float = -math.inf
    written: float = -math.inf
    came: float = -math.inf
    looks: list[float] = field(default_factory=list)
    quiet_until: float = -math.inf
    audit_due: float = -math.inf
    failures: int = 0
    locked: int = 0
    trouble: KeypadReason | None = None
    is_online: bool = True
    online_since: float = -math.inf
    has_keypad: bool | None = None
    synced: float | None = None
    next_try: dict[str, float] = field(default_factory=dict)
    wrote: dict[str, float] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def find(self, wish: KeypadWish, owned: frozenset[str]) -> Authorization | None:
        """The entry of this code: by its id, else as what our creation has sent; `owned` are the ids of our codes."""
        if wish.auth_id is not None:
            return self.by_id.get(wish.auth_id)
        if wish.sent_code is None:
            return None
        strangers = (one for one in self.listing or () if one.is_keypad_code and one.id not in owned)
        return next((one for one in strangers if (one.code, one.name) == (wish.sent_code, wish.sent_name)), None)

    def take_list(self, listing: tuple[Authorization, ...]) -> dict[str, Authorization]:
        """This is the newest list; gives the former one by ids."""
        before = self.by_id
        self.listing, self.by_id = listing, {one.id: one for one in listing}
        return before

    def is_fresh(self, now: float) -> bool:
        """Whether the list may be relied on for a write."""
        return self.listing is not None and self.listed >= max(now - FRESH_S, self.written)

    def settles_at(self, wish_id: str) -> float:
        """When nothing of the last write to this code is to be expected any more; infinite while the device is away.

        The cloud does one write of a device after the other: what waits behind one that came late comes later still.
        """
        if not self.is_online:
            return math.inf
        return max(self.wrote.get(wish_id, self.born), self.online_since, self.came) + SETTLED_S

    def capacity(self, setting: int) -> int:
        """How many authorizations it holds, as far as is known."""
        is_new = setting == DEFAULT_CAPACITY and len(self.listing or ()) > DEFAULT_CAPACITY
        return NEW_CAPACITY if is_new else setting

    def look(self, now: float, after_s: tuple[float, ...]) -> None:
        """Read the list after these times."""
        self.looks = sorted({*self.looks, *(now + one for one in after_s)})

    def begin_check(self, check: Check, now: float, looks_s: tuple[float, ...]) -> None:
        """A write may have been taken: from now on only reading tells."""
        self.check = check
        self.written = now
        self.looks = [now + one for one in looks_s]

    def end_check(self, wish_id: str) -> None:
        """What was looked for is decided."""
        if self.check is not None and self.check.wish_id == wish_id:
            self.check, self.looks = None, []

    def forget(self, wish_id: str) -> None:
        """This code is none of ours any more."""
        self.end_check(wish_id)
        for times in (self.next_try, self.wrote):
            times.pop(wish_id, None)
        self.conflicts.discard(wish_id)
        self.denied.discard(wish_id)

    # --- Trouble ------------------------------------------------------------------------------------------------------

    def succeed(self) -> None:
        """The cloud has answered."""
        self.failures, self.trouble = 0, None

    def fail(self, error: WebError, now: float) -> None:
        """The cloud has not, or would not: be quiet for a while."""
        match error.kind:
            case WebErrorKind.TOKEN_REFUSED:
                self.trouble, wait_s = KeypadReason.TOKEN_REFUSED, _TOKEN_S
            case WebErrorKind.FORBIDDEN | WebErrorKind.NOT_FOUND | WebErrorKind.NOT_ALLOWED:
                self.trouble, wait_s = KeypadReason.NOT_ALLOWED, _REFUSED_DEVICE_S
            case WebErrorKind.TOO_MANY:
                self.trouble, wait_s = KeypadReason.CLOUD_UNREACHABLE, error.retry_after_s or _THROTTLED_S
            case _:
                self.trouble = KeypadReason.CLOUD_UNREACHABLE
                wait_s = min(_FIRST_BACKOFF_S * 2.0 ** min(self.failures, 10), _LONGEST_BACKOFF_S)
        self.failures += 1
        self.quiet_until = now + wait_s

    def wait_for_operation(self, wish_id: str, now: float) -> None:
        """Another operation is under way there: later (423, or an `operationId` in the list)."""
        wait_s = _LOCKED_S[min(self.locked, len(_LOCKED_S) - 1)]
        self.next_try[wish_id] = now + (_LONG_LOCKED_S if self.locked > _PATIENT_LOCKED else wait_s)
        self.listed = -math.inf  # what it shows is under way
        self.locked += 1
