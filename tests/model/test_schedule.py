"""When a code works: days, windows, instants, and the lock's own time zone."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.model.schedule import (
    ALWAYS,
    EVERY_DAY,
    DailyWindow,
    Schedule,
    Weekday,
    bits_of,
    instant_of,
    is_same_instant,
    weekdays_of,
)
from nuki2mqtt.model.time_zone import NO_TIME_ZONE, TIME_ZONE_NAMES, time_zone_name

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

BERLIN = ZoneInfo("Europe/Berlin")
HONOLULU = ZoneInfo("Pacific/Honolulu")


def utc(month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "bit"),
    [("mon", 64), ("tue", 32), ("wed", 16), ("thu", 8), ("fri", 4), ("sat", 2), ("sun", 1)],
)
def test_bits_of_the_weekdays(day: str, bit: int) -> None:
    assert bits_of(frozenset({Weekday(day)})) == bit
    assert weekdays_of(bit) == {Weekday(day)}


def test_all_days_and_none() -> None:
    assert bits_of(EVERY_DAY) == 127
    assert weekdays_of(127) == EVERY_DAY
    assert weekdays_of(0) == frozenset()
    assert weekdays_of(128 + 64) == {Weekday.MON}


@PATIENT
@given(st.integers(0, 127))
def test_bits_come_back(bits: int) -> None:
    assert bits_of(weekdays_of(bits)) == bits


def test_always() -> None:
    assert Schedule().is_always
    assert not Schedule(daily=DailyWindow(0, 1)).is_always
    assert ALWAYS.applies(utc(1, 1), UTC)
    assert not ALWAYS.has_ended(utc(1, 1))


@pytest.mark.parametrize(
    ("at", "applies"),
    [
        (utc(7, 1, 7, 59, 59), False),
        (utc(7, 1, 8), True),
        (utc(7, 9, 7, 59, 59), True),
        (utc(7, 9, 8), False),
    ],
)
def test_a_span_of_dates(at: datetime, applies: bool) -> None:  # noqa: FBT001 - a column
    schedule = Schedule(begins=utc(7, 1, 8), ends=utc(7, 9, 8))

    assert schedule.applies(at, BERLIN) is applies
    assert schedule.applies(at, HONOLULU) is applies


@pytest.mark.parametrize(
    ("at", "applies"),
    [
        (utc(7, 1, 5, 59, 59), False),  # 07:59 in Berlin, a Wednesday
        (utc(7, 1, 6), True),
        (utc(7, 1, 15, 59, 59), True),
        (utc(7, 1, 16), False),  # 18:00 there
        (utc(1, 7, 6, 59, 59), False),  # winter: one hour less
        (utc(1, 7, 7), True),
        (utc(7, 2, 6), False),  # a Thursday
    ],
)
def test_a_daily_window_is_meant_in_the_time_of_the_lock(at: datetime, applies: bool) -> None:  # noqa: FBT001
    schedule = Schedule(weekdays=frozenset({Weekday.WED}), daily=DailyWindow(8 * 60, 18 * 60))

    assert schedule.applies(at, BERLIN) is applies


def test_the_weekday_is_that_of_the_lock() -> None:
    monday = Schedule(weekdays=frozenset({Weekday.MON}))
    at = utc(7, 6, 3)  # a Monday in Berlin, still Sunday in Honolulu

    assert monday.applies(at, BERLIN)
    assert not monday.applies(at, HONOLULU)


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("2026-07-01T10:00", utc(7, 1, 8)),
        ("2026-01-07T10:00", utc(1, 7, 9)),
        ("2026-10-25T02:30", utc(10, 25, 0, 30)),  # twice that night: the first
        ("2026-03-29T02:30", utc(3, 29, 1, 30)),  # left out that night: 03:30 in summer time
    ],
)
def test_a_local_time_as_an_instant(local: str, instant: datetime) -> None:
    assert instant_of(datetime.fromisoformat(local), BERLIN) == instant
    assert instant_of(datetime.fromisoformat(local).replace(fold=1), BERLIN) == instant


def test_dates_are_compared_as_instants_to_the_second() -> None:
    at = utc(7, 1, 8)
    elsewhere = at.astimezone(timezone(timedelta(hours=-5)))

    assert is_same_instant(at, elsewhere)
    assert is_same_instant(at, at + timedelta(milliseconds=999))
    assert not is_same_instant(at, at + timedelta(seconds=1))
    assert is_same_instant(None, None)
    assert not is_same_instant(at, None)
    assert not is_same_instant(None, at)


def test_every_time_zone_has_rules() -> None:
    assert sorted(TIME_ZONE_NAMES) == list(range(46))
    assert [name for name in TIME_ZONE_NAMES.values() if ZoneInfo(name).key != name] == []
    assert len(set(TIME_ZONE_NAMES.values())) == 46


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "Africa/Cairo"),
        (5, "America/Argentina/Buenos_Aires"),
        (12, "America/New_York"),
        (23, "Asia/Kathmandu"),
        (37, "Europe/Berlin"),
        (45, "Pacific/Pago_Pago"),
        (46, None),
        (NO_TIME_ZONE, None),
        (-1, None),
        (None, None),
    ],
)
def test_time_zone_names(number: int | None, name: str | None) -> None:
    assert time_zone_name(number) == name
