"""Every row of "What we vouch for" (docs/topics.md): how it begins and the only ways in which it ends."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.gateway.vouching import Vouching
from tests.gateway.builders import LINK, LOCK, OPENER, OTHER_LINK

LIST_S = 30.0
SCANS = 5


def vouching(*, offline_after_scans: int = SCANS) -> Vouching:
    return Vouching(LIST_S, offline_after_scans)


def fresh(now: float = 0.0, *links: str, offline_after_scans: int = SCANS) -> Vouching:
    """A device that was listed with its state and heard by a scan, on one Bridge or on several."""
    made = vouching(offline_after_scans=offline_after_scans)
    for link in links or (LINK,):
        made.listed(link, [LOCK], now)
        made.scanned(link, [LOCK])
    made.state_told(LOCK)
    assert made.is_vouched(LOCK, now)
    return made


def test_nothing_is_vouched_for_at_first() -> None:
    assert not vouching().is_vouched(LOCK, 0)
    assert not vouching().is_bridge_online(LINK, 0)
    assert vouching().next_deadline(0) is None


def test_a_device_goes_online_by_a_listing_and_a_state_of_this_process() -> None:
    made = vouching()
    made.listed(LINK, [LOCK], 0)
    only_listed = made.is_vouched(LOCK, 0)
    made.state_told(LOCK)

    assert (only_listed, made.is_vouched(LOCK, 0), made.is_vouched(OPENER, 0)) == (False, True, False)


# --- no readable /list ---


@pytest.mark.parametrize(("now", "is_online"), [(0, True), (74.9, True), (75, False), (9999, False)])
def test_without_a_readable_list_for_2_list_s_and_15_s(now: float, *, is_online: bool) -> None:
    made = fresh()

    assert made.is_vouched(LOCK, now) is is_online
    assert made.is_bridge_online(LINK, now) is is_online


def test_the_patience_follows_list_s() -> None:
    made = Vouching(120.0, SCANS)
    made.listed(LINK, [LOCK], 0)
    made.state_told(LOCK)

    assert (made.is_vouched(LOCK, 254.9), made.is_vouched(LOCK, 255)) == (True, False)


def test_each_readable_list_begins_the_patience_anew() -> None:
    made = fresh()
    made.listed(LINK, [LOCK], 70)

    assert (made.next_deadline(70), made.is_vouched(LOCK, 144), made.is_vouched(LOCK, 145)) == (145, True, False)


def test_a_list_without_the_device_does_not_vouch_for_it() -> None:
    made = fresh()
    made.listed(LINK, [OPENER], 70)

    assert (made.is_vouched(LOCK, 75), made.is_bridge_online(LINK, 75)) == (False, True)


def test_a_list_of_another_bridge_is_no_answer_of_this_one() -> None:
    made = fresh()
    made.listed(OTHER_LINK, [OPENER], 70)

    assert (made.is_vouched(LOCK, 75), made.is_bridge_online(LINK, 75)) == (False, False)


@pytest.mark.parametrize(
    ("busy_at", "silent_at"),
    [
        ((), 75),
        ((0,), 75),
        ((10,), 85),
        ((74,), 149),
        ((75,), 75),
        ((100,), 75),
        ((60, 120, 180, 240), 315),
        ((60, 120, 180, 240, 300), 375),
        ((60, 120, 180, 240, 300, 360), 375),
        (tuple(range(10, 400, 10)), 375),
    ],
)
def test_503_extends_the_patience_by_at_most_300_s(busy_at: tuple[float, ...], silent_at: float) -> None:
    made = fresh()
    for now in busy_at:
        made.busy(LINK, now)

    assert (made.is_vouched(LOCK, silent_at - 0.1), made.is_vouched(LOCK, silent_at)) == (True, False)
    assert (made.is_bridge_online(LINK, silent_at - 0.1), made.is_bridge_online(LINK, silent_at)) == (True, False)


def test_a_list_gives_the_whole_extension_back() -> None:
    made = fresh()
    for now in range(10, 370, 10):
        made.busy(LINK, now)
    made.listed(LINK, [LOCK], 370)
    made.busy(LINK, 440)

    assert (made.is_vouched(LOCK, 514), made.is_vouched(LOCK, 515)) == (True, False)


def test_a_busy_bridge_buys_no_time_for_another() -> None:
    made = fresh(0, LINK, OTHER_LINK)
    made.busy(OTHER_LINK, 70)

    assert (made.is_bridge_online(LINK, 100), made.is_bridge_online(OTHER_LINK, 100)) == (False, True)


# --- missing from scans ---


@pytest.mark.parametrize(("missed", "is_online"), [(0, True), (4, True), (5, False), (50, False)])
def test_missing_from_five_scans_in_a_row(missed: int, *, is_online: bool) -> None:
    made = fresh()
    for _ in range(missed):
        made.scanned(LINK, [OPENER])

    assert made.is_vouched(LOCK, 0) is is_online


def test_a_hit_in_between_begins_the_count_anew() -> None:
    made = fresh()
    for hits in ([OPENER],) * 4 + ([LOCK],) + ([OPENER],) * 4:
        made.scanned(LINK, hits)

    assert made.is_vouched(LOCK, 0)


def test_0_scans_is_off() -> None:
    made = fresh(offline_after_scans=0)
    for _ in range(500):
        made.scanned(LINK, [OPENER])

    assert made.is_vouched(LOCK, 0)


def test_a_device_that_no_scan_ever_listed_is_not_missing() -> None:
    made = vouching()
    made.listed(LINK, [LOCK], 0)
    made.state_told(LOCK)
    for _ in range(50):
        made.scanned(LINK, [OPENER])

    assert made.is_vouched(LOCK, 0)


def test_a_scan_before_the_first_list_counts_as_having_listed_it() -> None:
    made = vouching()
    made.scanned(LINK, [LOCK])
    made.listed(LINK, [LOCK], 0)
    made.state_told(LOCK)
    for _ in range(5):
        made.scanned(LINK, [OPENER])

    assert not made.is_vouched(LOCK, 0)


def test_the_scans_of_another_bridge_do_not_count() -> None:
    made = fresh()
    for _ in range(50):
        made.scanned(OTHER_LINK, [OPENER])

    assert made.is_vouched(LOCK, 0)


# --- the matrix: each cause ends only by its own contrary ---


def missing(made: Vouching) -> None:
    for _ in range(5):
        made.scanned(LINK, [OPENER])


CAUSES: dict[str, Callable[[Vouching], None]] = {
    "silent bridge": lambda _: None,
    "missing from scans": missing,
    "unreachable": lambda made: made.unreachable(LOCK, 80),
    "no state": lambda made: made.no_state(LOCK),
    "stopped": lambda made: made.stop(),
}
CONTRARIES: dict[str, Callable[[Vouching], None]] = {
    "a readable list": lambda made: made.listed(LINK, [LOCK], 90),
    "a list without it": lambda made: made.listed(LINK, [], 90),
    "503": lambda made: made.busy(LINK, 90),
    "a scan hit": lambda made: made.scanned(LINK, [LOCK]),
    "a scan of others": lambda made: made.scanned(LINK, [OPENER]),
    "a callback": lambda made: made.callback(LINK, LOCK),
    "a callback of another": lambda made: made.callback(LINK, OPENER),
    "a read": lambda made: made.lock_state_read(LOCK),
    "an entry from after it": lambda made: made.newer_entry(LINK, LOCK, 81),
    "an entry from before it": lambda made: made.newer_entry(LINK, LOCK, 79),
    "an entry of the same time": lambda made: made.newer_entry(LINK, LOCK, 80),
    "a state": lambda made: made.state_told(LOCK),
    "another failure": lambda made: made.unreachable(LOCK, 85),
    "another gap": lambda made: made.no_state(LOCK),
}
ENDS = {
    "silent bridge": {"a readable list"},
    "missing from scans": {
        "a scan hit",
        "a callback",
        "an entry from after it",
        "an entry from before it",
        "an entry of the same time",
    },
    "unreachable": {"a callback", "a read", "an entry from after it"},
    "no state": {"a callback", "a read", "a state"},
    "stopped": set[str](),
}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("event", CONTRARIES)
def test_each_cause_ends_only_by_its_own_contrary(cause: str, event: str) -> None:
    made = fresh(0 if cause == "silent bridge" else 80)
    CAUSES[cause](made)
    assert not made.is_vouched(LOCK, 80)

    CONTRARIES[event](made)

    assert made.is_vouched(LOCK, 90) is (event in ENDS[cause])


@pytest.mark.parametrize("one", ["missing from scans", "unreachable", "no state"])
@pytest.mark.parametrize("other", ["missing from scans", "unreachable", "no state"])
def test_the_end_of_one_cause_leaves_the_other(one: str, other: str) -> None:
    own_end = {"missing from scans": "a scan hit", "unreachable": "an entry from after it", "no state": "a state"}
    made = fresh(80)
    CAUSES[one](made)
    CAUSES[other](made)
    CONTRARIES[own_end[one]](made)
    ended_too = own_end[one] in ENDS[other]

    assert made.is_vouched(LOCK, 90) is ended_too
    CONTRARIES[own_end[other]](made)
    assert made.is_vouched(LOCK, 90)


def test_when_the_gateway_stops_no_bridge_is_online() -> None:
    made = fresh()
    made.stop()

    assert not made.is_bridge_online(LINK, 0)


# --- two Bridges, deadlines ---


def test_a_device_needs_one_bridge_without_a_cause_of_its_own() -> None:
    made = fresh(0, LINK, OTHER_LINK)
    missing(made)
    one_missing = made.is_vouched(LOCK, 10)
    made.listed(LINK, [LOCK], 70)
    other_silent = made.is_vouched(LOCK, 80)
    made.scanned(LINK, [LOCK])

    assert (one_missing, other_silent, made.is_vouched(LOCK, 80)) == (True, False, True)


def test_the_next_deadline_is_the_next_silence_and_never_past() -> None:
    made = fresh(0)
    made.listed(OTHER_LINK, [OPENER], 20)

    assert [made.next_deadline(now) for now in (0, 74.9, 75, 94, 95, 500)] == [75, 75, 95, 95, None, None]


STEP = st.tuples(st.floats(0, 40), st.sampled_from(sorted({"listed", "busy", "callback", "stop"})))


@given(st.lists(STEP, max_size=30))
def test_what_is_vouched_for_changes_between_events_only_at_a_deadline(steps: list[tuple[float, str]]) -> None:
    made, now = vouching(), 0.0
    orders: dict[str, Callable[[], None]] = {
        "listed": lambda: made.listed(LINK, [LOCK], now),
        "busy": lambda: made.busy(LINK, now),
        "callback": lambda: made.callback(LINK, LOCK),
        "stop": lambda: None,
    }
    for delay, order in steps:
        deadline, before = made.next_deadline(now), made.is_vouched(LOCK, now)
        if deadline is None or now + delay < deadline:
            assert made.is_vouched(LOCK, now + delay) is before
        now += delay
        orders[order]()
