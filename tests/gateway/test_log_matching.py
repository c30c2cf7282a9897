"""Which entry of a log tells who did it: what can have led to what, both windows, and what makes it doubtful."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from nuki2mqtt.gateway.log_matching import Deed, causes_of, find_cause, is_on_way, is_tail, mode_causes_of
from nuki2mqtt.model.activity import Activity, ActivityAction
from tests.gateway.builders import LOCK, NOON

U, L, X, G, H = "unlock", "lock", "unlatch", "lock_n_go", "lock_n_go_unlatch"
ALL = {U, L, X, G, H}
CODES = (0, 1, 2, 3, 4, 5, 6, 7, 224, 225, 253, 254, 255, 99)
LOCK_CAUSES = {
    1: {L},
    2: {U, X, G, H},
    3: {U, X, G, H},
    4: {L},
    5: {X, H},
    6: {G, H},
    7: {X, H},
    254: ALL,
}
OPENER_CAUSES = {1: {"deactivate_rto"}, 3: {"activate_rto"}, 5: {"electric_strike"}, 7: {"electric_strike"}}
LOCK_TAILS, OPENER_TAILS = {(5, 3), (7, 3), (6, 3)}, {(5, 1), (5, 3), (7, 1), (7, 3)}


@pytest.mark.parametrize("device_type", [0, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("code", CODES)
def test_what_can_have_led_to_a_state(device_type: int, code: int) -> None:
    causes = OPENER_CAUSES if device_type == 2 else LOCK_CAUSES
    ways, tails = ({5, 7}, OPENER_TAILS) if device_type == 2 else ({2, 4, 5, 7}, LOCK_TAILS)

    assert {str(action) for action in causes_of(device_type, code)} == causes.get(code, set())
    assert is_on_way(device_type, code) == (code in ways)
    assert {(was, code) for was in CODES if is_tail(device_type, was, code)} == {one for one in tails if one[1] == code}


@pytest.mark.parametrize(("mode", "causes"), [(2, {"deactivate_cm"}), (3, {"activate_cm"}), (0, set()), (4, set())])
def test_what_can_have_led_to_a_mode(mode: int, causes: set[str]) -> None:
    assert {str(action) for action in mode_causes_of(mode)} == causes


# --- finding ---

NUMBERS = {U: 1, L: 2, X: 3, G: 4, H: 5}


def entry(
    at: float, action: str = U, who: str = "Ada", *, state: int | None = 0, trigger: int = 255, source: int | None = 1
) -> Activity:
    return Activity(
        id=f"{at}{action}{who}",
        nuki_id=LOCK,
        device_type=4,
        at=NOON + timedelta(seconds=at),
        action_code=NUMBERS[action],
        trigger_code=trigger,
        completion_code=state,
        source_code=source,
        name=who,
        auth_id=f"id{who}",
    )


def deed(
    latest: float = 0.0, *actions: str, number: int = 1, earliest: float | None = None, is_blocked: bool = False
) -> Deed:
    begins = latest if earliest is None else earliest
    return Deed(
        number,
        frozenset(ActivityAction(action) for action in actions or (U, X, G, H)),
        NOON + timedelta(seconds=begins),
        NOON + timedelta(seconds=latest),
        is_blocked=is_blocked,
    )


def who(one: Deed, entries: Sequence[Activity], others: Sequence[Deed] = ()) -> tuple[str | None, str | None]:
    """The name found before and at the last read."""
    found = [find_cause(one, entries, others, is_last=is_last) for is_last in (False, True)]
    before, last = [None if activity is None else f"{activity.name}" for activity in found]
    return before, last


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (-45.1, (None, None)),
        (-45, (None, "Ada")),
        (-15.1, (None, "Ada")),
        (-15, ("Ada", "Ada")),
        (0, ("Ada", "Ada")),
        (5, ("Ada", "Ada")),
        (5.1, (None, "Ada")),
        (20, (None, "Ada")),
        (20.1, (None, None)),
    ],
)
def test_the_windows(at: float, expected: tuple[str | None, str | None]) -> None:
    assert who(deed(), [entry(at)]) == expected


def test_a_change_between_two_polls_has_wider_ones() -> None:
    one = deed(60.0, earliest=0.0)

    assert [who(one, [entry(at)])[1] for at in (-45.1, -45, 30, 80, 80.1)] == [None, "Ada", "Ada", "Ada", None]


def test_what_may_hide_others_is_decided_at_the_last_read_only() -> None:
    assert who(deed(5.0, earliest=0.0), [entry(0)]) == ("Ada", "Ada")
    assert who(deed(5.1, earliest=0.0), [entry(0)]) == (None, "Ada")


@pytest.mark.parametrize(
    "other",
    [
        entry(-2, L),
        entry(-2, U, state=1),  # blocked
        entry(-2, U, state=9),  # rejected
        entry(-2, U, state=224),  # a wrong code
        entry(-2, U, trigger=253),
    ],
)
def test_what_cannot_be_it(other: Activity) -> None:
    assert who(deed(), [other]) == (None, None)
    assert who(deed(), []) == (None, None)


def test_an_old_row_that_does_not_say_how_it_ended_may_be_it() -> None:
    assert who(deed(), [entry(-2, state=None)]) == ("Ada", "Ada")


def test_a_blocked_motor_has_a_blocked_entry() -> None:
    blocked = deed(0.0, U, L, is_blocked=True)

    assert who(blocked, [entry(-2, L)]) == (None, None)
    assert who(blocked, [entry(-9, U), entry(-2, L, "Bob", state=1)]) == ("Bob", "Bob")
    assert who(deed(0.0, U), [entry(-2, U, state=1)]) == (None, None)


def test_two_people_are_nobody() -> None:
    both = [entry(-10, who="Ada"), entry(-2, who="Bob")]

    assert who(deed(), both) == (None, None)
    assert who(deed(), [entry(-10), entry(-2, trigger=5)]) == (None, None)  # with a code, or with her phone?
    assert who(deed(), [entry(-10), entry(-2, source=2)]) == (None, None)
    assert who(deed(), [entry(-10), entry(-2, X)]) == ("Ada", "Ada")  # unlocked, then opened by the same code


def test_between_two_polls_the_one_after_the_last_locking_did_it() -> None:
    """Ada came and locked behind her, Bob came: the lock is unlocked."""
    one = deed(60.0, earliest=0.0)

    assert who(one, [entry(5), entry(20, L), entry(40, U, "Bob")]) == (None, "Bob")
    assert who(one, [entry(5), entry(20, L)]) == (None, None)  # the log is behind: Bob is not in it yet


def test_what_happened_after_the_change_does_not_count() -> None:
    assert who(deed(), [entry(-2), entry(3, L, "Bob")]) == ("Ada", "Ada")


def test_what_came_just_before_or_just_after_must_not_matter() -> None:
    """Ada locks, unlocks as it is polled and Bob locks: whoever of the two it was, it is not certain."""
    one = deed(60.0, L, earliest=30.0)

    assert who(one, [entry(53, L), entry(60), entry(64, L, "Bob")]) == (None, None)
    assert who(one, [entry(53, L), entry(60), entry(66, L, "Bob")]) == (None, "Ada")
    assert who(one, [entry(53, L), entry(60), entry(64, L, "Ada")]) == (None, "Ada")


# --- other changes ---


def test_an_entry_that_another_change_can_claim_is_nobodys() -> None:
    assert who(deed(0.0), [entry(-2)], [deed(8.0, number=2)]) == (None, None)
    assert who(deed(0.0), [entry(-2)], [deed(8.0, L, number=2)]) == ("Ada", "Ada")
    assert who(deed(0.0), [entry(-2)], [deed(30.0, number=2)]) == ("Ada", "Ada")


def test_an_older_change_claims_from_far_as_well() -> None:
    """The lock's clock is ahead: what is dated 18 s may be the deed of second 0."""
    assert who(deed(20.0, number=2), [entry(18)], [deed(0.0)]) == (None, None)
    assert who(deed(0.0), [entry(18)], [deed(20.0, number=2)]) == (None, None)
    assert who(deed(0.0), [entry(18)]) == (None, "Ada")
