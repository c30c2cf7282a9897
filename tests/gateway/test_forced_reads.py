"""Reads that wake a lock: spaced, within the budget of the day, tried again only as docs/decisions/0019 says."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.errors import BridgeErrorKind
from nuki2mqtt.gateway.forced_reads import ForcedReads
from nuki2mqtt.model.device import NukiId
from tests.gateway.builders import LOCK, OPENER

DAY_S = 86400.0
LONGEST_CALL_S = 30.0
BUSY, TIMEOUT = BridgeErrorKind.BUSY, BridgeErrorKind.TIMEOUT


def reads(per_day: int = 24) -> ForcedReads:
    return ForcedReads(60.0, per_day)


def test_a_wanted_read_is_due_at_once_and_taken_with_its_type() -> None:
    made = reads()

    assert (made.next_due(), made.want(LOCK, 4, 10), made.next_due()) == (None, True, 10)
    assert (len(made), LOCK in made, OPENER in made) == (1, True, False)
    assert (made.take(9.9), made.take(10), made.made) == (None, (LOCK, 4), 1)


def test_a_read_that_reached_the_lock_is_wanted_no_more() -> None:
    made = reads()
    made.want(LOCK, 4, 10)
    made.take(10)
    made.answered(LOCK, 11, has_reached=True)

    assert (LOCK in made, made.next_due()) == (False, None)


def test_the_next_read_of_the_same_lock_waits_for_the_space() -> None:
    made = reads()
    made.want(LOCK, 4, 10)
    made.take(10)
    made.answered(LOCK, 11, has_reached=True)
    made.want(LOCK, 4, 12)
    made.want(OPENER, 2, 12)

    first = made.take(12)
    made.answered(OPENER, 13, has_reached=True)

    assert (first, made.take(69.9), made.take(70)) == ((OPENER, 2), None, (LOCK, 4))


def test_a_wish_is_one_wish_however_often_it_is_made() -> None:
    made = reads()
    for now in (10, 11, 12):
        made.want(LOCK, 4, now)

    assert (len(made), made.next_due()) == (1, 10)


def test_unreached_reads_come_again_after_ten_minutes_and_an_hour_and_never_more() -> None:
    made, due = reads(), list[float | None]()
    made.want(LOCK, 4, 0)
    for now in (0, 600, 4200):
        assert made.take(now) == (LOCK, 4)
        made.answered(LOCK, now, has_reached=False)
        due.append(made.next_due())

    assert due == [600, 4200, None]


def test_a_new_wish_does_not_wait_for_the_late_retry() -> None:
    made = reads()
    made.want(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 1, has_reached=False)
    made.want(LOCK, 4, 100)

    assert made.next_due() == 100


@pytest.mark.parametrize(("has_failed", "is_wanted"), [(True, False), (False, True)])
def test_a_lock_that_was_heard_of_needs_no_retry_but_keeps_a_first_wish(*, has_failed: bool, is_wanted: bool) -> None:
    made = reads()
    made.want(LOCK, 4, 0)
    if has_failed:
        made.take(0)
        made.answered(LOCK, 1, has_reached=False)
    made.heard_of(LOCK)
    made.heard_of(OPENER)

    assert (LOCK in made) is is_wanted


@pytest.mark.parametrize("kind", BridgeErrorKind)
def test_only_what_did_not_wake_the_lock_is_tried_again(kind: BridgeErrorKind) -> None:
    made = reads()
    made.want(LOCK, 4, 0)
    made.take(0)
    made.failed(LOCK, kind, 2)

    assert (LOCK in made) is (kind in {"busy", "refused", "token_refused"})


def test_failures_are_tried_three_times_within_the_space() -> None:
    made, due = reads(), list[float | None]()
    made.want(LOCK, 4, 0)
    for now, again in ((0, 2), (60, 180), (180, 182)):
        made.take(now)
        made.failed(LOCK, BUSY, again)
        due.append(made.next_due())

    assert due == [60, 180, None]


def test_the_budget_of_a_day() -> None:
    made = reads(per_day=2)
    wanted = list[bool]()
    for now in (0, 100, 200, DAY_S - 1, DAY_S, DAY_S + 70):
        wanted.append(made.want(LOCK, 4, now))
        made.take(now)
        made.answered(LOCK, now, has_reached=True)

    assert wanted == [True, True, False, False, True, False]
    assert made.made == 3


def test_a_wish_that_outlives_the_budget_is_dropped_when_it_is_due() -> None:
    made = reads(per_day=1)
    made.want(LOCK, 4, 0)
    made.take(0)
    made.failed(LOCK, BUSY, 2)

    assert (made.next_due(), made.take(60), made.next_due(), made.made) == (60, None, None, 1)


def test_what_was_made_still_counts_after_clearing() -> None:
    made = reads(per_day=1)
    made.want(LOCK, 4, 0)
    made.take(0)
    made.clear()

    assert (len(made), made.want(LOCK, 4, 100)) == (0, False)


@pytest.mark.parametrize("kind", [BUSY, TIMEOUT])
def test_answers_for_nothing_wanted_are_nothing(kind: BridgeErrorKind) -> None:
    made = reads()
    made.answered(LOCK, 0, has_reached=False)
    made.failed(LOCK, kind, 2)

    assert (len(made), made.next_due(), made.made) == (0, None, 0)


PAUSES = st.sampled_from([0.0, 1.0, 30.0, 60.0, 700.0, 4000.0, DAY_S / 2])
ORDERS = st.sampled_from(["want", "want", "reached", "unreached", "busy", "timeout", "heard"])


@given(st.lists(st.tuples(PAUSES, ORDERS, st.sampled_from([LOCK, OPENER])), max_size=60), st.integers(0, 3))
def test_spacing_and_budget_hold_whatever_happens(steps: list[tuple[float, str, NukiId]], per_day: int) -> None:
    made, now = reads(per_day), 0.0
    taken: dict[NukiId, list[float]] = {LOCK: [], OPENER: []}
    under_way: NukiId | None = None
    for pause, order, nuki_id in steps:
        now += pause if under_way is None else min(pause, LONGEST_CALL_S)
        match order:
            case "want":
                made.want(nuki_id, 0, now)
            case "heard":
                made.heard_of(nuki_id)
            case "reached" | "unreached" if under_way is not None:
                made.answered(under_way, now, has_reached=order == "reached")
                under_way = None
            case "busy" | "timeout" if under_way is not None:
                made.failed(under_way, BUSY if order == "busy" else TIMEOUT, now + 2)
                under_way = None
            case _:
                pass
        if under_way is None:
            read = made.take(now)
            due = made.next_due()
            assert read is not None or due is None or due > now, "nothing is read and the deadline is not ahead"
            if read is not None:
                under_way = read[0]
                taken[under_way].append(now)
    for times in taken.values():
        assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(times))
        assert all(later - earlier >= DAY_S for earlier, later in zip(times, times[per_day:], strict=False))
    assert made.made == sum(map(len, taken.values()))
