"""Reads that wake a lock: spaced, within the budget of the day, tried again only as docs/decisions/0019 says."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.errors import BridgeErrorKind
from nuki2mqtt.gateway.forced_reads import COMMAND_READS_PER_DAY, ForcedReads
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

    assert (made.next_due() == 60) is (kind in {"busy", "refused", "token_refused"})
    assert (LOCK in made) is (kind in {"busy", "refused", "token_refused", "device_offline"})


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


# --- for commands ---


def settled(made: ForcedReads, now: float) -> bool:
    """A read that settles a command, made and answered at once; False if it was not allowed."""
    if not made.want_for_command(LOCK, 4, now):
        return False
    assert made.take(now) == (LOCK, 4)
    made.answered(LOCK, now, has_reached=True)
    return True


def test_a_command_s_read_waits_for_no_space_and_no_budget() -> None:
    made = reads(per_day=1)
    made.want(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 0, has_reached=True)

    assert (made.want(LOCK, 4, 1), made.wait_s(LOCK, 1)) == (False, None)
    assert [settled(made, now) for now in (1, 2, 3)] == [True, True, True]


def test_the_reserve_of_commands_is_of_each_device_and_day() -> None:
    made = reads()
    done = [settled(made, float(now)) for now in range(COMMAND_READS_PER_DAY + 1)]

    assert COMMAND_READS_PER_DAY == 48
    assert done == [True] * 48 + [False]
    assert made.want_for_command(OPENER, 2, 50)
    made.drop_for_command(OPENER)
    assert settled(made, DAY_S)
    assert not settled(made, DAY_S + 0.5)


def test_a_command_s_reads_cost_the_budget_nothing() -> None:
    made = reads(per_day=1)
    settled(made, 0)

    assert (made.wait_s(LOCK, 1), made.want(LOCK, 4, 1), made.take(1)) == (0.0, True, (LOCK, 4))


def test_a_waiting_wish_is_made_at_once_for_a_command() -> None:
    made = reads()
    made.want(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 0, has_reached=True)
    made.want(LOCK, 4, 1)
    before = made.next_due()
    made.want_for_command(LOCK, 4, 2)

    assert (before, made.next_due(), len(made)) == (60, 2, 1)


def test_a_command_that_is_settled_without_takes_only_its_own_wish_away() -> None:
    made = reads()
    made.want_for_command(LOCK, 4, 0)
    made.want(OPENER, 2, 0)
    made.drop_for_command(LOCK)
    made.drop_for_command(OPENER)
    made.drop_for_command(LOCK)

    assert (LOCK in made, OPENER in made) == (False, True)


def test_a_busy_bridge_is_asked_again_for_a_command_without_the_space() -> None:
    made = reads()
    settled(made, 0)
    made.want_for_command(LOCK, 4, 1)
    made.take(1)
    made.failed(LOCK, BUSY, 3)

    assert made.next_due() == 3


def test_a_command_s_read_that_did_not_reach_the_lock_comes_again_much_later_within_the_budget() -> None:
    made = reads(per_day=0)
    made.want_for_command(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 5, has_reached=False)

    assert (made.next_due(), made.take(605), LOCK in made) == (605, None, False)


def test_its_late_retry_is_for_the_lock_s_sake_and_stays_when_the_command_is_settled() -> None:
    """Storm, invariant 3, seed 2025: the lock stayed offline until somebody moved it."""
    made = reads()
    made.want_for_command(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 5, has_reached=False)
    made.drop_for_command(LOCK)

    assert (made.next_due(), made.take(605)) == (605, (LOCK, 4))


@pytest.mark.parametrize("is_for_command", [False, True])
def test_an_answer_that_the_lock_is_offline_is_a_read_that_did_not_reach_it(*, is_for_command: bool) -> None:
    made = reads()
    (made.want_for_command if is_for_command else made.want)(LOCK, 4, 0)
    made.take(0)
    made.failed(LOCK, BridgeErrorKind.DEVICE_OFFLINE, 2)

    assert made.next_due() == 602


@pytest.mark.parametrize(("now", "wait_s"), [(10, 50), (60, 0), (100, 0)])
def test_how_long_a_read_would_wait(now: float, wait_s: float) -> None:
    made = reads()
    assert made.wait_s(LOCK, 0) == 0
    made.want(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 1, has_reached=True)

    assert made.wait_s(LOCK, now) == wait_s


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


def test_a_read_for_others_that_a_command_hurried_waits_again_when_the_command_is_settled_without_it() -> None:
    made = ForcedReads(60, 24)
    made.want(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 1, has_reached=True)
    made.want(LOCK, 4, 10)
    made.want_for_command(LOCK, 4, 20)
    hurried = made.next_due()
    made.drop_for_command(LOCK)

    assert (hurried, made.next_due()) == (20, 60)


def test_a_late_retry_that_a_command_hurried_keeps_its_time() -> None:
    made = ForcedReads(60, 24)
    made.want(LOCK, 4, 0)
    made.take(0)
    made.answered(LOCK, 1, has_reached=False)
    before = made.next_due()
    made.want_for_command(LOCK, 4, 20)
    made.drop_for_command(LOCK)

    assert (before, made.next_due()) == (601, 601)
