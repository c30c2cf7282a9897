"""What a lock remembers: codes, schedules, room."""

from datetime import UTC, datetime

import pytest

from nuki2mqtt.simulator.keypad import (
    ALWAYS,
    KEYPAD_CODE,
    NEW_CAPACITY,
    LockMemory,
    Refusal,
    Schedule,
    StoredAuth,
    is_code,
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


BEGIN, END = at("2026-03-02T08:00"), at("2026-03-27T08:00")
ANY_DAY = 127


@pytest.mark.parametrize(
    ("code", "is_one"),
    [
        (345678, True),
        (111111, True),
        (129999, False),
        (213456, True),
        (340567, False),
        (34567, False),
        (3456789, False),
    ],
)
def test_rules_of_codes(code: int, *, is_one: bool) -> None:
    assert is_code(code) is is_one


def test_how_many_codes_there_are() -> None:
    """Counted on all that begin with one digit or another: 9^6 - 9^4 (reference of the Web API, section 6.1)."""
    assert sum(is_code(code) for code in range(1_000_000)) == 524_880


@pytest.mark.parametrize(
    ("schedule", "when", "admits"),
    [
        (ALWAYS, "2026-03-10T12:00", True),
        (Schedule(BEGIN, END, ANY_DAY), "2026-03-02T07:59", False),
        (Schedule(BEGIN, END, ANY_DAY), "2026-03-02T08:00", True),
        (Schedule(BEGIN, END, ANY_DAY), "2026-03-27T08:01", False),
        (Schedule(BEGIN, END, None), "2027-01-01T12:00", True),  # without weekdays nothing of it is honoured
        (Schedule(BEGIN, END, ANY_DAY, 0, 0), "2026-03-10T02:00", True),  # 0 and 0 are no limit
        (Schedule(BEGIN, END, ANY_DAY, 480, 1020), "2026-03-10T06:59", False),  # Berlin: an hour ahead
        (Schedule(BEGIN, END, ANY_DAY, 480, 1020), "2026-03-10T07:00", True),
        (Schedule(BEGIN, END, ANY_DAY, 480, 1020), "2026-03-10T16:00", False),
        (Schedule(BEGIN, None, ANY_DAY, 480, 1020), "2026-03-30T06:00", True),  # in summer two hours
        (Schedule(BEGIN, None, ANY_DAY, 1320, 360), "2026-03-10T22:00", True),  # over midnight
        (Schedule(BEGIN, None, ANY_DAY, 1320, 360), "2026-03-10T12:00", False),
        (Schedule(None, None, ANY_DAY, 480, 1020), "2026-03-10T02:00", True),  # times need a first date
        (Schedule(None, None, 64), "2026-03-02T12:00", True),  # a Monday
        (Schedule(None, None, 64), "2026-03-03T12:00", False),
        (Schedule(None, None, 64), "2026-03-01T23:30", True),  # Monday already, where the lock is
        (Schedule(None, None, 1), "2026-03-08T12:00", True),  # a Sunday
    ],
)
def test_schedules(schedule: Schedule, when: str, *, admits: bool) -> None:
    assert schedule.admits(at(when), LockMemory().zone_name) is admits


def test_room() -> None:
    memory = LockMemory(capacity=2)
    first = StoredAuth(number=1, type=KEYPAD_CODE, name="One", code=345678)
    assert memory.store(first)
    assert not memory.store(StoredAuth(number=2, type=KEYPAD_CODE, name="Same", code=345678))
    assert memory.store(StoredAuth(number=2, type=0, name="Phone"))
    assert not memory.store(StoredAuth(number=3, type=KEYPAD_CODE, name="Third", code=456789))
    assert memory.store(StoredAuth(number=1, type=KEYPAD_CODE, name="Changed", code=456789))
    assert memory.remove(2)
    assert not memory.remove(2)
    assert {code: one.name for code, one in memory.codes.items()} == {456789: "Changed"}
    assert (NEW_CAPACITY, LockMemory().capacity) == (200, 200)


def test_numbers_of_codes_are_apart_from_others() -> None:
    memory = LockMemory()
    assert [memory.next_number(kind) for kind in (0, KEYPAD_CODE)] == [1, 8192]
    memory.store(StoredAuth(number=8192, type=KEYPAD_CODE, name="One", code=345678))
    assert [memory.next_number(kind) for kind in (0, KEYPAD_CODE)] == [1, 8193]


def test_a_code_is_counted_when_it_opens_and_shown_nowhere() -> None:
    memory = LockMemory()
    one = StoredAuth(number=8192, type=KEYPAD_CODE, name="One", code=345678, enabled=False)
    memory.store(one)
    assert memory.judge_code(345678, 5.0) is Refusal.DISABLED
    one.enabled = True
    assert memory.judge_code(345678, 5.0) is one
    assert (one.lock_count, one.last_active_at) == (1, 5.0)
    assert memory.judge_finger("7", 5.0) is Refusal.UNKNOWN
    assert "345678" not in repr(one)
