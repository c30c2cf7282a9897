"""The ordering rule, sentence by sentence (docs/architecture.md, "One state change", 4)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nuki2mqtt.gateway.bridge_clock import BridgeClock
from nuki2mqtt.gateway.devices import Doubt
from nuki2mqtt.model.state import DeviceState
from tests.gateway.builders import (
    CLOCK,
    LINK,
    LOCK,
    LOCKED,
    LOCKING,
    OTHER_LINK,
    UNLOCKED,
    ZERO,
    Seen,
    called,
    entry,
    moment,
    state,
    wall,
)

# --- "/list entries are ordered by their own timestamp, raw, per Bridge" ---


def test_a_newer_entry_replaces_an_older_one() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(40, UNLOCKED, 35)

    assert seen.held == (3, "list", wall(35))


def test_an_entry_with_an_older_timestamp_than_the_last_one_changes_nothing_and_one_read_decides() -> None:
    """The Bridge's clock may have been wrong when it stamped either of them."""
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    verdict = seen.listed(40, UNLOCKED, 4)

    assert seen.held == (1, "list", wall(5))
    assert (verdict.doubt, verdict.is_newer_entry, verdict.events) == (Doubt.CONTRADICTED, False, ())

    seen.read(42, LOCKED)

    assert seen.listed(70, UNLOCKED, 4).doubt is None
    assert seen.held[0] == 1


def test_an_entry_with_an_older_timestamp_that_agrees_raises_no_doubt() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)

    assert seen.listed(40, LOCKED, 4).doubt is None


def test_entries_are_ordered_by_the_raw_timestamp_also_when_the_mapping_moved() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.clock = BridgeClock(CLOCK.offset + 8, 8)
    seen.listed(40, UNLOCKED, 6)

    assert seen.held == (3, "list", wall(-2))


def test_the_same_timestamp_with_another_state_is_taken() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(40, UNLOCKED, 5)

    assert seen.held == (3, "list", wall(5))


def test_the_same_entry_again_is_no_newer_one() -> None:
    seen = Seen()
    first = seen.listed(10, LOCKED, 5)
    again = seen.listed(40, LOCKED, 5)

    assert (first.is_newer_entry, again.is_newer_entry) == (True, False)
    assert seen.held == (1, "list", wall(5))


def test_a_newer_timestamp_with_the_same_state_is_a_newer_entry() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    verdict = seen.listed(40, LOCKED, 35)

    assert (verdict.is_newer_entry, verdict.time, verdict.events) == (True, ZERO + 35, ())
    assert seen.held == (1, "list", wall(35))


# --- "a callback has none and counts as of its arrival" ---


def test_a_callback_counts_as_of_its_arrival() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)

    assert seen.held == (3, "callback", wall(20))


def test_callbacks_are_taken_in_the_order_of_their_arrival() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    seen.called(20, LOCKED)

    assert seen.held == (1, "callback", wall(20))


def test_a_read_that_woke_the_lock_counts_as_of_its_arrival() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 9)
    seen.read(20, UNLOCKED)

    assert seen.held == (3, "lock_state", wall(20))


# --- "overrides a callback only if its timestamp (mapped, 2 s tolerance) is not older than its arrival" ---


@pytest.mark.parametrize(
    ("behind", "overrides"), [(-5, True), (0, True), (1.9, True), (2.0, True), (2.1, False), (2700, False)]
)
@pytest.mark.parametrize("source", ["callback", "lock_state"])
def test_an_entry_overrides_unless_it_is_more_than_2_s_older(behind: float, source: str, *, overrides: bool) -> None:
    seen = Seen()
    seen.listed(10, LOCKED, -9000)
    (seen.called if source == "callback" else seen.read)(20, UNLOCKED)
    seen.listed(40, LOCKED, 20 - behind)

    assert seen.held == ((1, "list", wall(20 - behind)) if overrides else (3, source, wall(20)))


@pytest.mark.parametrize("skew", [-3600.0, 22.0, 86400.0])
@pytest.mark.parametrize(("behind", "overrides"), [(1.9, True), (2.1, False)])
def test_the_timestamp_is_mapped_to_our_clock(skew: float, behind: float, *, overrides: bool) -> None:
    seen = Seen(clock=BridgeClock(CLOCK.offset + skew, skew))
    seen.listed(10, LOCKED, -9000 + skew)
    seen.called(20, UNLOCKED)
    seen.listed(40, LOCKED, 20 - behind + skew)

    assert (seen.held[1] == "list") is overrides


def test_an_entry_from_our_future_counts_as_of_now() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 500)

    assert seen.held == (1, "list", wall(10))


# --- "an older entry that contradicts it changes nothing; one /lockState decides" ---


@pytest.mark.parametrize(
    ("said_later", "doubt"),
    [
        (state(1, 2), Doubt.CONTRADICTED),
        (state(3, 3), Doubt.CONTRADICTED),
        (state(3, 2, mode=3), Doubt.CONTRADICTED),
        (state(3, 2), None),
        (state(3), None),
        (state(3, 2, mode=None), None),
        (state(3, 2, critical=True), None),
    ],
)
def test_only_a_contradiction_raises_a_doubt(said_later: DeviceState, doubt: Doubt | None) -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    verdict = seen.listed(40, said_later, 17)

    low = ["battery_low"] if said_later.battery.critical else []
    assert verdict.doubt == doubt
    assert [event.event_type for event in verdict.events] == low
    assert seen.held == (3, "callback", wall(20))


def test_the_unchanged_entry_from_before_the_callback_raises_the_doubt() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)

    assert seen.listed(21, LOCKED, 5).doubt is Doubt.CONTRADICTED


def test_a_doubt_that_was_settled_is_not_raised_again() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    seen.listed(21, LOCKED, 5)
    seen.settle(25)

    assert [seen.listed(at, LOCKED, 5).doubt for at in (51, 81, 3600)] == [None, None, None]
    assert seen.held == (3, "callback", wall(20))


def test_the_next_callback_may_be_doubted_anew() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    seen.settle(25)
    seen.called(30, LOCKING)

    assert seen.listed(40, LOCKED, 5).doubt is Doubt.CONTRADICTED


def test_the_read_decides_and_is_not_doubted() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    seen.read(22, LOCKED)

    assert seen.held == (1, "lock_state", wall(22))
    assert seen.listed(40, LOCKED, 5).doubt is None
    assert seen.listed(70, UNLOCKED, 5).doubt is Doubt.CONTRADICTED  # it was not said before
    seen.read(72, LOCKED)
    assert seen.listed(100, UNLOCKED, 5).doubt is None


def test_what_a_bridge_with_a_wrong_clock_says_against_a_read_is_looked_into_once() -> None:
    """By reading: after a reboot the state came from a read; the key was turned, and the entry stamped 200 s behind."""
    seen = Seen()
    seen.listed(10, LOCKED, -300)
    seen.read(91, LOCKED)

    assert seen.listed(121, UNLOCKED, -104).doubt is Doubt.CONTRADICTED
    seen.settle(125)
    assert seen.listed(151, UNLOCKED, -104).doubt is None
    assert seen.listed(181, LOCKING, -90).doubt is Doubt.CONTRADICTED


def test_what_a_list_says_anew_against_a_callback_is_looked_into_though_an_earlier_doubt_is_settled() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, -300)
    seen.called(20, UNLOCKED)
    assert seen.listed(40, LOCKED, -200).doubt is Doubt.CONTRADICTED
    seen.settle(45)

    assert seen.listed(70, LOCKED, -200).doubt is None
    assert seen.listed(100, LOCKING, -150).doubt is Doubt.CONTRADICTED


def test_a_battery_of_which_a_callback_and_the_same_old_entry_differ_is_looked_into_once() -> None:
    """Storm, invariant 3, seed 2047: a forged callback said that the batteries are well, and nothing mended it."""
    seen = Seen()
    low, well = state(1, 2, critical=True), state(1, 2, critical=False)
    seen.listed(10, low, 5)
    seen.called(20, well)

    assert seen.listed(40, low, 5).doubt is Doubt.CONTRADICTED
    seen.read(42, low)
    assert seen.devices.snapshot(LOCK).battery.critical is True
    assert seen.listed(70, low, 5).doubt is None
    seen.called(80, state(1, 2, critical=None))
    assert seen.listed(100, low, 5).doubt is None


def test_an_entry_that_is_stamped_ahead_of_its_bridge_s_clock_is_of_no_known_time() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    ahead = seen.listed(40, UNLOCKED, 300)
    again = seen.listed(400, UNLOCKED, 300)

    assert (ahead.is_newer_entry, ahead.time, again.time) == (False, float("-inf"), float("-inf"))
    assert seen.held[0] == 3
    later = seen.listed(430, LOCKED, 420)
    assert (later.is_newer_entry, later.time) == (True, moment(420).monotonic)


# --- entries without a timestamp, Bridges without a clock, clocks that were set ---


def test_an_entry_without_a_timestamp_counts_from_the_first_answer_that_said_the_same() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, None)
    seen.listed(40, LOCKED, None)

    assert seen.held == (1, "list", wall(10))


def test_an_entry_without_a_timestamp_does_not_override_a_callback_by_repeating_itself() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, None)
    seen.called(20, UNLOCKED)

    assert seen.listed(40, LOCKED, None).doubt is Doubt.CONTRADICTED
    assert seen.held == (3, "callback", wall(20))


def test_an_entry_without_a_timestamp_that_says_something_new_counts_as_of_now() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, None)
    seen.called(20, UNLOCKED)
    seen.listed(40, state(4, 2), None)

    assert seen.held == (4, "list", wall(40))


def test_without_the_bridge_s_clock_an_entry_counts_as_of_its_first_arrival() -> None:
    seen = Seen(clock=None)
    seen.listed(10, LOCKED, 5)
    seen.listed(40, LOCKED, 5)

    assert seen.held == (1, "list", wall(10))


def test_without_the_bridge_s_clock_an_unchanged_entry_does_not_override_a_callback() -> None:
    seen = Seen(clock=None)
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    seen.listed(40, LOCKED, 5)

    assert seen.held == (3, "callback", wall(20))


def test_without_the_bridge_s_clock_a_newer_entry_overrides_a_callback() -> None:
    seen = Seen(clock=None)
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    seen.listed(40, LOCKED, 35)

    assert seen.held == (1, "list", wall(40))


def test_a_clock_set_back_makes_older_timestamps_newer_ones() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.clock = BridgeClock(CLOCK.offset - 3600, -3600)
    seen.devices.forget_order(LINK)
    seen.listed(40, UNLOCKED, 35 - 3600)

    assert seen.held == (3, "list", wall(35))


def test_the_order_of_another_bridge_is_not_forgotten() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.devices.forget_order(OTHER_LINK)
    seen.listed(40, UNLOCKED, 4)

    assert seen.held == (1, "list", wall(5))


@pytest.mark.parametrize("set_by", [0.0, -3600.0])
def test_the_same_entry_is_no_newer_one_because_the_clock_was_set(set_by: float) -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.devices.forget_order(LINK)
    seen.clock = BridgeClock(CLOCK.offset + set_by, set_by)

    assert not seen.listed(40, LOCKED, 5).is_newer_entry


def test_an_unchanged_entry_does_not_override_a_callback_because_the_clock_was_set_back() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, UNLOCKED)
    seen.clock = BridgeClock(CLOCK.offset - 3600, -3600)
    seen.devices.forget_order(LINK)
    seen.listed(40, LOCKED, 5)

    assert seen.held == (3, "callback", wall(20))


@pytest.mark.parametrize("year", [1, 9999])
@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0, -6e10])
def test_a_timestamp_from_another_age_breaks_nothing(year: int, ahead: float) -> None:
    seen = Seen(clock=BridgeClock(CLOCK.offset + ahead, ahead))
    seen.devices.apply_entry(
        LINK, replace(entry(LOCKED, 0), at=datetime(year, 1, 1, tzinfo=UTC)), seen.clock, moment(10)
    )

    assert seen.held[:2] == (1, "list")


# --- two Bridges: "the newest report wins" ---


@pytest.mark.parametrize(("other_at", "winner"), [(30, 3), (5, 3), (4.9, 1)])
def test_of_two_bridges_the_newest_entry_wins(other_at: float, winner: int) -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(40, UNLOCKED, other_at, OTHER_LINK)

    assert seen.held[0] == winner


def test_each_bridge_s_raw_order_is_its_own() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 9000)
    seen.clock = BridgeClock(CLOCK.offset - 10_000, -10_000)
    seen.listed(40, UNLOCKED, 30 - 10_000, OTHER_LINK)

    assert seen.held == (3, "list", wall(30))


def test_the_older_bridge_does_not_take_the_device_back_by_repeating_itself() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(11, UNLOCKED, 8, OTHER_LINK)

    assert seen.listed(40, LOCKED, 5).events == ()
    assert seen.held == (3, "list", wall(8))
    assert seen.devices.link_of(LOCK) == OTHER_LINK


def test_a_callback_of_either_bridge_counts() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(10, LOCKED, 6, OTHER_LINK)
    seen.called(20, UNLOCKED, OTHER_LINK)
    seen.called(25, LOCKED)

    assert seen.held == (1, "callback", wall(25))


# --- A direct read counts as of its sending: its answer may have been on its way for long ---


def test_a_read_that_was_sent_before_a_callback_does_not_override_it() -> None:
    seen = Seen()
    seen.listed(10, UNLOCKED, 5)
    seen.called(30, LOCKED)
    verdict = seen.read(40, UNLOCKED, sent=20)

    assert seen.held == (1, "callback", wall(30))
    assert verdict is not None
    assert verdict.events == ()


def test_a_read_that_agrees_with_what_was_said_since_is_taken() -> None:
    seen = Seen()
    seen.listed(10, UNLOCKED, 5)
    seen.called(30, LOCKED)
    seen.read(40, LOCKED, sent=20)

    assert seen.held == (1, "lock_state", wall(40))


def test_an_entry_from_the_time_of_a_read_overrides_it() -> None:
    seen = Seen()
    seen.listed(10, UNLOCKED, 5)
    seen.read(40, UNLOCKED, sent=20)
    seen.listed(50, LOCKED, 25)

    assert seen.held == (1, "list", wall(25))


def test_a_read_that_agrees_does_not_make_a_newer_callback_older() -> None:
    seen = Seen()
    seen.listed(12, UNLOCKED, 11)
    seen.called(20, LOCKED)
    seen.read(40, LOCKED, sent=12)
    seen.listed(45, UNLOCKED, 11.5)

    assert seen.held == (1, "lock_state", wall(40))


# --- Batteries change slowly: what a belated callback says of them does not hide a newer entry ---

LOW = replace(LOCKED, battery=replace(LOCKED.battery, critical=True))


def test_an_entry_older_than_a_belated_callback_tells_the_battery() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(100, LOCKED)
    verdict = seen.listed(101, LOW, 60)

    assert seen.held == (1, "callback", wall(100))
    assert [event.event_type for event in verdict.events] == ["battery_low"]
    assert seen.listed(131, LOW, 60).events == ()


def test_the_same_entry_again_takes_nothing_back_of_a_callback() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(100, LOW)
    seen.listed(101, LOCKED, 5)
    state_held = seen.devices.state(LOCK)

    assert state_held is not None
    assert state_held.battery.critical is True


def test_a_callback_that_waited_for_us_counts_as_of_its_arrival() -> None:
    """The state file was slow: in the meantime somebody unlocked, and that callback got lost."""
    seen = Seen()
    seen.listed(10, UNLOCKED, 5)
    seen.devices.apply_callback(LINK, called(LOCKED), seen.clock, moment(56), received=ZERO + 50)
    held = seen.held
    seen.listed(56, UNLOCKED, 53)

    assert held == (1, "callback", wall(50))
    assert seen.held == (3, "list", wall(53))


def test_a_callback_that_waited_makes_nothing_older_than_it_was() -> None:
    seen = Seen()
    seen.listed(52, UNLOCKED, 51)
    seen.devices.apply_callback(LINK, called(LOCKED), seen.clock, moment(56), received=ZERO + 50)

    assert seen.held == (1, "callback", wall(51))


def test_each_further_entry_that_is_stamped_older_raises_the_doubt_again() -> None:
    """The clock was set back an hour, and nobody has noticed yet."""
    seen = Seen()
    seen.listed(10, UNLOCKED, 5)
    first = seen.listed(100, LOCKED, -3500).doubt
    seen.read(102, LOCKED)
    second = seen.listed(200, UNLOCKED, -3400).doubt
    seen.read(202, UNLOCKED)

    assert (first, second) == (Doubt.CONTRADICTED, Doubt.CONTRADICTED)
    assert seen.listed(230, UNLOCKED, -3400).doubt is None
    assert seen.held[0] == 3


def test_an_entry_older_than_a_callback_that_agrees_tells_the_door_of_which_the_callback_did_not_speak() -> None:
    """After a start a callback came first, without the door; nothing else may be told of it for hours."""
    seen = Seen()
    seen.listed(8, None, None)
    seen.called(10, state(3))
    verdict = seen.listed(12, state(3, 3), 4)
    door = seen.devices.snapshot(LOCK).door_code

    assert seen.held == (3, "callback", wall(10))
    assert (door, verdict.events, verdict.doubt) == (3, (), None)
    assert [event.event_type for event in seen.listed(40, state(3, 2), 35).events] == ["door_closed"]
