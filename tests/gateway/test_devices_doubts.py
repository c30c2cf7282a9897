"""Stuck transitions, entries without a state, unknown devices, and what `is_gap` and `told_first_by_list` say."""

import pytest

from nuki2mqtt.gateway.devices import Doubt, Verdict
from nuki2mqtt.model.state import DeviceState
from tests.gateway.builders import (
    CLOCK,
    LINK,
    LOCK,
    LOCKED,
    LOCKING,
    OPENER,
    OTHER_LINK,
    UNLOCKED,
    Seen,
    called,
    moment,
    state,
)

# --- a transition that lasts ---


@pytest.mark.parametrize("code", [2, 4, 6, 7])
def test_a_transition_is_stuck_after_60_s_and_doubted_once(code: int) -> None:
    seen = Seen()
    seen.listed(10, state(code), 5)
    before = seen.listed(69.9, state(code), 5).doubt
    after = seen.listed(70, state(code), 5).doubt
    seen.settle(71)

    assert (before, after) == (None, Doubt.STUCK)
    assert [seen.listed(at, state(code), 5).doubt for at in (100, 9000)] == [None, None]


@pytest.mark.parametrize("code", [0, 1, 3, 5, 253, 254, 255, 99])
def test_a_state_that_lasts_is_not_stuck(code: int) -> None:
    seen = Seen()
    seen.listed(10, state(code), 5)

    assert seen.listed(9000, state(code), 5).doubt is None


def test_a_transition_is_timed_from_its_own_beginning() -> None:
    seen = Seen()
    seen.listed(10, state(2), 5)
    seen.listed(60, LOCKING, 59)

    assert [seen.listed(at, LOCKING, 59).doubt for at in (119, 120)] == [None, Doubt.STUCK]


def test_newer_entries_of_the_same_transition_do_not_begin_it_anew() -> None:
    seen = Seen()
    seen.listed(10, LOCKING, 5)
    seen.listed(40, LOCKING, 39)

    assert seen.listed(71, LOCKING, 70).doubt is Doubt.STUCK


def test_a_settled_transition_that_comes_again_is_doubted_again() -> None:
    seen = Seen()
    seen.listed(10, LOCKING, 5)
    seen.settle(75)
    seen.listed(80, LOCKED, 79)
    seen.listed(100, LOCKING, 99)

    assert seen.listed(160, LOCKING, 99).doubt is Doubt.STUCK


def test_an_entry_that_disagrees_with_the_lasting_transition_is_not_called_stuck() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, LOCKING)

    assert seen.listed(200, LOCKED, 5).doubt is Doubt.CONTRADICTED


def test_a_read_in_the_middle_of_a_movement_does_not_excuse_the_cache_from_being_stuck() -> None:
    seen = Seen()
    seen.listed(10, UNLOCKED, 5)
    seen.called(20, LOCKED)
    seen.read(22, LOCKING)

    assert seen.listed(200, LOCKING, 23).doubt is Doubt.STUCK


# --- no `lastKnownState` ---


def gist(verdict: Verdict) -> tuple[bool, bool, Doubt | None]:
    assert verdict.events == ()
    return verdict.has_state, verdict.is_gap, verdict.doubt


def test_an_entry_that_never_had_a_state_is_a_gap_once() -> None:
    seen = Seen()

    assert gist(seen.listed(10, None, None)) == (False, True, Doubt.NO_STATE)
    assert gist(seen.listed(40, None, None)) == (False, False, None)
    assert not seen.devices.has_state(LOCK)
    assert seen.devices.snapshot(LOCK).lock is None


def test_an_entry_that_lost_its_state_is_a_gap_once_and_what_was_seen_stays() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)

    assert gist(seen.listed(40, None, None)) == (False, True, Doubt.NO_STATE)
    assert gist(seen.listed(70, None, None)) == (False, False, None)
    assert seen.held[0] == 1


def test_a_callback_about_a_device_listed_without_a_state_asks_for_a_read() -> None:
    seen = Seen()
    seen.listed(10, None, None)
    verdict = seen.called(20, LOCKED)

    assert verdict is not None
    assert (verdict.doubt, seen.held[0]) == (Doubt.NO_STATE, 1)
    assert gist(seen.listed(40, None, None)) == (False, False, None)


def test_a_callback_of_the_other_bridge_asks_for_no_read() -> None:
    seen = Seen()
    seen.listed(10, None, None)
    seen.listed(10, LOCKED, 5, OTHER_LINK)
    verdict = seen.called(20, UNLOCKED, OTHER_LINK)

    assert verdict is not None
    assert verdict.doubt is None


def test_a_bridge_that_never_knew_the_state_is_no_gap_where_another_one_does() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5, OTHER_LINK)

    assert gist(seen.listed(10, None, None)) == (False, False, None)


def test_a_state_after_a_gap_is_taken_even_with_an_old_timestamp() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(40, None, None)
    seen.listed(70, UNLOCKED, 4)

    assert seen.held[0] == 3


# --- who may speak ---


def test_nobody_learns_of_a_device_by_a_callback_or_a_read() -> None:
    seen = Seen()

    assert (seen.called(10, LOCKED), seen.read(10, LOCKED)) == (None, None)
    assert (seen.devices.ids(), seen.devices.knows(LOCK)) == ((), False)


def test_a_remembered_device_is_known_and_its_callback_taken() -> None:
    seen = Seen()
    seen.devices.remember(LOCK, 4, "Front door")
    verdict = seen.called(10, UNLOCKED)

    assert verdict is not None
    assert (seen.held[:2], seen.devices.device_type(LOCK), verdict.events) == ((3, "callback"), 4, ())


def test_remembering_does_not_overwrite_what_was_listed() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.devices.remember(LOCK, 2, "Another name")

    assert (seen.devices.device_type(LOCK), seen.devices.snapshot(LOCK).name) == (0, "Front door")


def test_a_device_without_a_name_is_shown_by_its_id() -> None:
    seen = Seen()
    seen.devices.remember(OPENER, 2, "")

    assert seen.devices.snapshot(OPENER).name == "Nuki_2E5FE23A"


# --- a change that a callback should have told ---


def told_first(before: DeviceState, after: DeviceState) -> bool:
    seen = Seen()
    seen.listed(10, before, 5)
    return seen.listed(40, after, 35).told_first_by_list


@pytest.mark.parametrize(
    ("before", "after", "is_lost"),
    [
        (LOCKED, UNLOCKED, True),
        (UNLOCKED, LOCKED, True),
        (LOCKED, LOCKING, False),
        (LOCKED, state(254, 2), False),
        (LOCKED, state(1, 3), True),
        (state(1, 4), state(1, 2), True),
        (LOCKED, state(1, 4), False),
        (LOCKED, state(1), False),
        (LOCKED, state(1, 2, level=50), False),
        (LOCKED, LOCKED, False),
    ],
)
def test_final_states_and_doors_are_called_back(before: DeviceState, after: DeviceState, *, is_lost: bool) -> None:
    assert told_first(before, after) is is_lost


def test_the_first_list_and_what_a_callback_told_are_no_lost_callbacks() -> None:
    seen = Seen()
    first = seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    confirmed = seen.listed(40, UNLOCKED, 20)

    assert (first.told_first_by_list, confirmed.told_first_by_list) == (False, False)
    assert seen.held[1] == "list"


def test_a_callback_is_never_told_first_by_list() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    verdict = seen.devices.apply_callback(LINK, called(UNLOCKED), CLOCK, moment(20))

    assert verdict is not None
    assert not verdict.told_first_by_list
