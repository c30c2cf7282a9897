"""The rules that a keypad code must obey, each with the reason that is given where it does not.

Source: web reference 6.1 (Nuki's key API concepts, Nuki support, developer.nuki.io thread 54), whose rows are named
here. They are checked before anything is sent: the cloud says no to some of them only by never doing it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from nuki2mqtt.model.keypad import Authorization, KeypadCode
from nuki2mqtt.model.schedule import MINUTES_OF_A_DAY, OPEN_BEGINNING, Schedule
from nuki2mqtt.model.secret import Secret

CODE_DIGITS = 6
DIGITS = "123456789"
FORBIDDEN_BEGINNING = "12"
# 20 characters in the documents, 20 bytes in the lock's own memory: the narrower one holds.
MOST_NAME_BYTES = 20
# Old devices hold 100 authorizations of all types together, newer ones 200, and no field tells which.
DEFAULT_CAPACITY = 100
_LATEST_END = datetime(2100, 1, 1, tzinfo=UTC)


class KeypadProblem(StrEnum):
    """Why a code cannot be. One closed list; where several hold, all are given, in this order."""

    NO_KEYPAD = "no_keypad"
    NO_ROOM = "no_room"
    NAME_MISSING = "name_missing"
    NAME_TOO_LONG = "name_too_long"
    NAME_NOT_PRINTABLE = "name_not_printable"
    CODE_NOT_SIX_DIGITS = "code_not_six_digits"
    CODE_FORBIDDEN_DIGIT = "code_forbidden_digit"
    CODE_BEGINS_WITH_12 = "code_begins_with_12"
    CODE_TAKEN = "code_taken"
    SCHEDULE_OUT_OF_RANGE = "schedule_out_of_range"
    SCHEDULE_ENDS_TOO_EARLY = "schedule_ends_too_early"
    SCHEDULE_IN_THE_PAST = "schedule_in_the_past"
    SCHEDULE_WITHOUT_DAYS = "schedule_without_days"
    SCHEDULE_BAD_WINDOW = "schedule_bad_window"


PROBLEM_TEXTS: dict[KeypadProblem, str] = {
    KeypadProblem.NO_KEYPAD: "no Keypad is paired with this device",
    KeypadProblem.NO_ROOM: "the device holds as many authorizations as it may; delete one first",
    KeypadProblem.NAME_MISSING: "a code needs a name",
    KeypadProblem.NAME_TOO_LONG: f"the name has more than {MOST_NAME_BYTES} bytes (a letter like \u00e4 has two)",
    KeypadProblem.NAME_NOT_PRINTABLE: "the name has characters that cannot be shown, or blanks at an end",
    KeypadProblem.CODE_NOT_SIX_DIGITS: f"a code has exactly {CODE_DIGITS} digits",
    KeypadProblem.CODE_FORBIDDEN_DIGIT: "a code has only the digits 1 to 9",
    KeypadProblem.CODE_BEGINS_WITH_12: "a code must not begin with 12",
    KeypadProblem.CODE_TAKEN: "another entry of this Keypad has the same code",
    KeypadProblem.SCHEDULE_OUT_OF_RANGE: "the dates must lie after 2020-01-01 and before 2100-01-01",
    KeypadProblem.SCHEDULE_ENDS_TOO_EARLY: "the end must be later than the beginning",
    KeypadProblem.SCHEDULE_IN_THE_PAST: "the end is over already",
    KeypadProblem.SCHEDULE_WITHOUT_DAYS: "at least one weekday is needed",
    KeypadProblem.SCHEDULE_BAD_WINDOW: "the daily window must begin before it ends, between 00:00 and 23:59",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadPlace:
    """Where a code shall go: the other entries of that keypad.

    `is_paired` is None where the cloud does not say. `taken` are the codes of all other entries, also of those that are
    only planned; `used` counts the authorizations of every type, without the one that is changed.
    """

    is_paired: bool | None = True
    taken: frozenset[Secret] = field(default=frozenset(), repr=False)
    used: int = 0
    capacity: int = DEFAULT_CAPACITY


def place_of(
    found: Collection[Authorization],
    *,
    is_paired: bool | None,
    planned: Collection[Secret] = (),
    capacity: int = DEFAULT_CAPACITY,
    without: str | None = None,
) -> KeypadPlace:
    """The place that the cloud's list of one device and our own plans leave; `without` is the id that is changed."""
    others = [one for one in found if one.id != without]
    codes = {one.code for one in others if one.code is not None} | set(planned)
    return KeypadPlace(
        is_paired=is_paired,
        taken=frozenset(codes),
        used=len(others) + len(set(planned) - {one.code for one in others}),
        capacity=capacity,
    )


def problems_of(wanted: KeypadCode, place: KeypadPlace, now: datetime) -> tuple[KeypadProblem, ...]:
    """Every rule that this code breaks there; empty where it may be sent. `now` is the wall clock's time."""
    broken = (
        problems_of_place(place)
        | problems_of_name(wanted.name)
        | problems_of_code(wanted.code)
        | ({KeypadProblem.CODE_TAKEN} if wanted.code in place.taken else set())
        | problems_of_schedule(wanted.schedule, now)
    )
    return tuple(problem for problem in KeypadProblem if problem in broken)


def problems_of_place(place: KeypadPlace) -> set[KeypadProblem]:
    """Rows "a keypad must be paired" and "capacity per device"."""
    broken = set()
    if place.is_paired is False:
        broken.add(KeypadProblem.NO_KEYPAD)
    if place.used >= place.capacity:
        broken.add(KeypadProblem.NO_ROOM)
    return broken


def problems_of_name(name: str) -> set[KeypadProblem]:
    """Row "name"; that it can be shown and has no blanks at its ends is ours, since such names are confused."""
    broken = set()
    if not name.strip():
        broken.add(KeypadProblem.NAME_MISSING)
    elif not name.isprintable() or name != name.strip():
        broken.add(KeypadProblem.NAME_NOT_PRINTABLE)
    if len(name.encode("utf-8", "surrogatepass")) > MOST_NAME_BYTES:
        broken.add(KeypadProblem.NAME_TOO_LONG)
    return broken


def problems_of_code(code: Secret) -> set[KeypadProblem]:
    """Rows "exactly 6 digits", "digits 1-9 only", "must not start with 12"."""
    digits = code.reveal()
    broken = set()
    if len(digits) != CODE_DIGITS:
        broken.add(KeypadProblem.CODE_NOT_SIX_DIGITS)
    if not set(digits) <= set(DIGITS):
        broken.add(KeypadProblem.CODE_FORBIDDEN_DIGIT)
    if digits.startswith(FORBIDDEN_BEGINNING):
        broken.add(KeypadProblem.CODE_BEGINS_WITH_12)
    return broken


def problems_of_schedule(schedule: Schedule, now: datetime) -> set[KeypadProblem]:
    """Row "order/limits unvalidated in the docs": what cannot be meant is refused here.

    A window over midnight is refused: no document says what becomes of it, and 0 to 0 means none at all. A lock's own
    clock has no 24:00.
    """
    broken = set()
    dates = [date.replace(microsecond=0) for date in (schedule.begins, schedule.ends) if date is not None]
    if any(not OPEN_BEGINNING < date < _LATEST_END for date in dates):
        broken.add(KeypadProblem.SCHEDULE_OUT_OF_RANGE)
    if len(dates) == 2 and dates[0] >= dates[1]:
        broken.add(KeypadProblem.SCHEDULE_ENDS_TOO_EARLY)
    if schedule.has_ended(now):
        broken.add(KeypadProblem.SCHEDULE_IN_THE_PAST)
    if not schedule.weekdays:
        broken.add(KeypadProblem.SCHEDULE_WITHOUT_DAYS)
    daily = schedule.daily
    if daily is not None and not 0 <= daily.from_minute < daily.until_minute < MINUTES_OF_A_DAY:
        broken.add(KeypadProblem.SCHEDULE_BAD_WINDOW)
    return broken
