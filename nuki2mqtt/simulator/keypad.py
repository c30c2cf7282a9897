"""What a lock itself remembers: everybody who may use it, and the keypad codes among them. Pure.

This is the truth; the cloud's list is a copy of it (reference of the Web API, section 6.2). Rules of codes, schedules
and capacity: section 6.1. Types of authorizations: section 3.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

APP, BRIDGE, FOB, KEYPAD_DEVICE, KEYPAD_CODE = 0, 1, 2, 3, 13
OLD_CAPACITY, NEW_CAPACITY = 100, 200  # section 6.1: all types together, old and newer devices
FIRST_CODE_NUMBER = 8192  # section 3.5: a code was seen with 8200

_MONDAY = 64  # section 5: Monday 64 ... Sunday 1


class Schedule(NamedTuple):
    """When an authorization holds: dates in epoch seconds, weekdays as a mask, minutes after the lock's midnight.

    None is "no limit". Without weekdays nothing of it is honoured, and without a first date no time of day is
    (section 6.1, complaints of users); 0 and 0 as times are no limit.
    """

    from_date: float | None = None
    until_date: float | None = None
    week_days: int | None = None
    from_time: int | None = None
    until_time: int | None = None

    def admits(self, at: float, zone_name: str) -> bool:
        """Whether it holds at this time, in the time zone of the lock."""
        if self.week_days is None:
            return True
        if self.from_date is not None and at < self.from_date:
            return False
        if self.until_date is not None and at > self.until_date:
            return False
        local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone_name))
        if not self.week_days & (_MONDAY >> local.weekday()):
            return False
        begin, end = self.from_time or 0, self.until_time or 0
        if self.from_date is None or begin == end:
            return True
        minute = local.hour * 60 + local.minute
        return begin <= minute < end if begin < end else minute >= begin or minute < end


ALWAYS = Schedule()


@dataclass(kw_only=True)
class StoredAuth:
    """One authorization as the lock stores it; `number` is its id there. `fingerprints` are fingers by their ids."""

    number: int
    type: int
    name: str
    enabled: bool = True
    remote_allowed: bool = False
    code: int | None = field(default=None, repr=False)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    schedule: Schedule = ALWAYS
    lock_count: int = 0
    last_active_at: float | None = None


class Refusal(StrEnum):
    """Why the lock does not open to a code or a finger."""

    UNKNOWN = "unknown"
    DISABLED = "disabled"
    NOT_NOW = "not_now"


class LockMemory:
    """Everybody who may use one lock; `capacity` counts all types together."""

    def __init__(self, *, capacity: int = NEW_CAPACITY, zone_name: str = "Europe/Berlin") -> None:
        self.capacity = capacity
        self.zone_name = zone_name
        self.stored: dict[int, StoredAuth] = {}

    @property
    def is_full(self) -> bool:
        """Whether nobody else finds room."""
        return len(self.stored) >= self.capacity

    @property
    def codes(self) -> dict[int, StoredAuth]:
        """All keypad codes."""
        return {one.code: one for one in self.stored.values() if one.code is not None}

    def next_number(self, kind: int) -> int:
        """The number that the next authorization of this type gets."""
        first = FIRST_CODE_NUMBER if kind == KEYPAD_CODE else 1
        taken = [number for number in self.stored if (number >= FIRST_CODE_NUMBER) == (kind == KEYPAD_CODE)]
        return max(taken, default=first - 1) + 1

    def store(self, one: StoredAuth) -> bool:
        """Store a new one or a change of a known one; False where it finds no room or its code is taken."""
        is_new = one.number not in self.stored
        if is_new and self.is_full:
            return False
        if any(known.code == one.code is not None and known.number != one.number for known in self.stored.values()):
            return False
        self.stored[one.number] = one
        return True

    def remove(self, number: int) -> bool:
        """Forget one; False where it was not there."""
        return self.stored.pop(number, None) is not None

    def judge_code(self, code: int, at: float) -> StoredAuth | Refusal:
        """Whose code this is, if it opens now."""
        return self._judge(self.codes.get(code), at)

    def judge_finger(self, finger: str, at: float) -> StoredAuth | Refusal:
        """Whose finger this is, if it opens now."""
        owner = next((one for one in self.stored.values() if finger in one.fingerprints), None)
        return self._judge(owner, at)

    def _judge(self, one: StoredAuth | None, at: float) -> StoredAuth | Refusal:
        if one is None:
            return Refusal.UNKNOWN
        if not one.enabled:
            return Refusal.DISABLED
        if not one.schedule.admits(at, self.zone_name):
            return Refusal.NOT_NOW
        one.lock_count += 1
        one.last_active_at = at
        return one


def is_code(code: int) -> bool:
    """Whether a keypad takes it: six digits from 1 to 9, not beginning with 12 (section 6.1)."""
    digits = str(code)
    return len(digits) == 6 and "0" not in digits and not digits.startswith("12") and digits.isdecimal()
