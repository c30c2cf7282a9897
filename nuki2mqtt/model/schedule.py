"""When a keypad code works.

One code has at most one span of dates and one daily window, on chosen weekdays (web reference 6.1). Dates are
instants; the daily window and the weekdays are meant in the lock's own local time (web reference 5), which is why they
stay minutes and names here and never become instants.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

MINUTES_OF_A_DAY = 24 * 60
# What stands for "no beginning" in the cloud: a daily window without `allowedFromDate` has been reported as ignored
# (web reference 6.1, developer.nuki.io thread 56), so that something must stand there. Older than any keypad code.
OPEN_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


class Weekday(StrEnum):
    """The days as they are named in MQTT, in the order of `datetime.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Weekday)
EVERY_DAY = frozenset(Weekday)
# Web reference 5, `allowedWeekDays`: Monday 64 to Sunday 1.
_BITS = {day: 64 >> number for number, day in enumerate(WEEK)}


def weekdays_of(bits: int) -> frozenset[Weekday]:
    """The days of an `allowedWeekDays` mask; higher bits mean nothing."""
    return frozenset(day for day, bit in _BITS.items() if bits & bit)


def bits_of(weekdays: frozenset[Weekday]) -> int:
    """The `allowedWeekDays` mask of these days."""
    return sum(_BITS[day] for day in weekdays)


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """From when until when on each of the days, in minutes after the lock's midnight; the end is outside of it."""

    from_minute: int
    until_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a code works; without any argument: always.

    `begins` and `ends` are aware instants, None is without limit. Anything can be said here, also by the cloud:
    what is sane is decided by `keypad_rules`.
    """

    begins: datetime | None = None
    ends: datetime | None = None
    weekdays: frozenset[Weekday] = EVERY_DAY
    daily: DailyWindow | None = None

    @property
    def is_always(self) -> bool:
        """Whether nothing limits it."""
        return self == ALWAYS

    def has_ended(self, at: datetime) -> bool:
        """Whether it can never apply again from this instant on."""
        return self.ends is not None and self.ends <= at

    def applies(self, at: datetime, zone: tzinfo) -> bool:
        """Whether it applies at this instant; `zone` is that of the lock, as the cloud names it."""
        if self.has_ended(at) or (self.begins is not None and at < self.begins):
            return False
        local = at.astimezone(zone)
        if WEEK[local.weekday()] not in self.weekdays:
            return False
        minute = local.hour * 60 + local.minute
        return self.daily is None or self.daily.from_minute <= minute < self.daily.until_minute


ALWAYS = Schedule()


def instant_of(local: datetime, zone: tzinfo) -> datetime:
    """A time without a zone, as a clock beside the lock shows it, as an instant (UTC).

    In the hour that an autumn has twice the first one is meant; a time that a spring leaves out is read as if the clock
    had not been put forward yet.
    """
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def is_same_instant(one: datetime | None, other: datetime | None) -> bool:
    """Whether two dates of a schedule are the same second; a lock keeps no finer ones."""
    if one is None or other is None:
        return one is other
    return one.replace(microsecond=0) == other.replace(microsecond=0)
