"""What a report proves of a command that was sent, by value (docs/topics.md, "Confirmed").

Commands are sent at 10 s; where the Bridge has said `success`, it did at 12 s.
"""

import itertools

import pytest

from nuki2mqtt.gateway.evidence import STAMP_S, Observation, Trial
from nuki2mqtt.model.action import LOCK_ACTIONS, OPENER_ACTIONS, Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DeviceState, Source
from tests.gateway.builders import LOCK, OPENER, state

SENT, ANSWERED = 10.0, 12.0
ACTIONS = LOCK_ACTIONS | OPENER_ACTIONS
CALLBACK, LIST, READ = Source.CALLBACK, Source.LIST, Source.LOCK_STATE
CLOSED, OPEN = 2, 3  # of a door


def trial(action: str, before: int | DeviceState | None, *, is_answered: bool = False) -> Trial:
    known = state(before, CLOSED) if isinstance(before, int) else before
    return Trial(ACTIONS[Action(action)], known, SENT, ANSWERED if is_answered else None)


def seen(
    code: int, time: float = 13.0, source: Source = CALLBACK, *, door: int | None = CLOSED, mode: int | None = 2
) -> Observation:
    nuki_id: NukiId = LOCK if door is not None else OPENER
    return Observation(nuki_id, source, state(code, door, mode=mode), time)


def judged(tried: Trial, *codes: int) -> list[str | None]:
    return [tried.judge(seen(code)) for code in codes]


# --- on its way, then there ---


@pytest.mark.parametrize(
    ("action", "before", "codes", "evidence"),
    [
        ("unlock", 1, (2, 3), [None, "transition"]),
        ("unlock", 1, (3,), ["target"]),
        ("unlock", 1, (2, 1, 3), [None, None, "transition"]),
        ("lock", 3, (4, 1), [None, "transition"]),
        ("lock", 3, (1,), ["target"]),
        ("lock", 6, (1,), ["target"]),
        ("unlatch", 1, (2, 7, 5), [None, None, "transition"]),
        ("unlatch", 1, (5,), ["transition"]),
        ("unlatch", 3, (7, 3), [None, "transition"]),
        ("unlatch", 1, (3,), ["target"]),
        ("lock_n_go", 1, (6,), ["transition"]),
        ("lock_n_go", 1, (3,), ["target"]),
        ("lock_n_go", 1, (2, 4, 1), [None, None, None]),
        ("lock_n_go_unlatch", 1, (7, 5), [None, "transition"]),
        ("activate_rto", 1, (3,), ["target"]),
        ("deactivate_rto", 3, (1,), ["target"]),
        ("electric_strike", 1, (7, 1), [None, "transition"]),
        ("electric_strike", 1, (5,), ["transition"]),
        ("electric_strike", 3, (7, 5), [None, "transition"]),
    ],
)
def test_a_transition_or_the_target_from_another_state_proves(
    action: str, before: int, codes: tuple[int, ...], evidence: list[str | None]
) -> None:
    assert judged(trial(action, before), *codes) == evidence


@pytest.mark.parametrize(
    ("action", "before"),
    [
        ("unlock", 3),
        ("lock", 1),
        ("unlatch", 3),
        ("lock_n_go", 3),
        ("activate_rto", 3),
        ("deactivate_rto", 1),
        ("electric_strike", 1),
        ("electric_strike", 3),
    ],
)
def test_already_there_proves_nothing_without_an_answer_and_with_one_it_does(action: str, before: int) -> None:
    assert judged(trial(action, before), before, before) == [None, None]
    assert judged(trial(action, before, is_answered=True), before) == ["answer"]


@pytest.mark.parametrize(("action", "wrong"), [("unlock", 1), ("unlatch", 1), ("lock", 3), ("unlock", 254)])
def test_an_answer_needs_a_report_that_agrees(action: str, wrong: int) -> None:
    assert trial(action, None, is_answered=True).judge(seen(wrong)) is None


@pytest.mark.parametrize("action", ["lock_n_go", "lock_n_go_unlatch"])
@pytest.mark.parametrize("relocking", [(4, 1), (1,), (1, 4, 1)])
def test_a_relocking_is_no_evidence(action: str, relocking: tuple[int, ...]) -> None:
    for before, is_answered in itertools.product((1, 3, None), (False, True)):
        assert judged(trial(action, before, is_answered=is_answered), *relocking) == [None] * len(relocking)


def test_seen_elsewhere_after_sending_counts_as_another_state() -> None:
    assert judged(trial("unlock", None), 1, 3) == [None, "target"]
    assert judged(trial("unlock", 3), 1, 3) == [None, "target"]


# --- the state before, when it is not vouched for ---


def test_without_a_known_state_before_the_target_alone_proves_nothing() -> None:
    assert judged(trial("unlock", None), 3, 3) == [None, None]
    assert judged(trial("unlock", None, is_answered=True), 3) == ["answer"]


def test_without_a_known_state_before_a_transition_still_shows_that_it_runs() -> None:
    assert judged(trial("unlock", None), 2, 3) == [None, "transition"]


def test_a_transition_that_was_there_before_is_not_ours() -> None:
    tried = trial("unlock", 2)

    assert (tried.judge(seen(2)), tried.has_run) == (None, False)


def test_on_its_way_is_remembered() -> None:
    tried = trial("unlock", 1)
    before = tried.has_run
    tried.judge(seen(2))

    assert (before, tried.has_run) == (False, True)


# --- when a report is from ---


@pytest.mark.parametrize(
    ("source", "time", "counts"),
    [
        (CALLBACK, SENT - 0.01, False),
        (CALLBACK, SENT, True),
        (READ, SENT - 0.01, False),
        (READ, SENT, True),
        (LIST, SENT - STAMP_S - 0.01, False),
        (LIST, SENT - STAMP_S, True),
        (LIST, SENT, True),
    ],
)
def test_only_what_is_since_the_sending_counts_and_a_list_entry_has_a_second_of_slack(
    source: Source, time: float, *, counts: bool
) -> None:
    assert STAMP_S == 1.0
    assert trial("unlock", 1).judge(seen(3, time, source)) == ("target" if counts else None)


@pytest.mark.parametrize(
    ("source", "time", "counts"),
    [
        (CALLBACK, ANSWERED - 0.01, False),
        (CALLBACK, ANSWERED, True),
        (READ, ANSWERED - 0.01, False),
        (READ, ANSWERED, True),
        (LIST, ANSWERED - 1.01, False),
        (LIST, ANSWERED - 1, True),
    ],
)
def test_with_the_answer_a_report_counts_that_is_since_the_answer_s_second(
    source: Source, time: float, *, counts: bool
) -> None:
    tried = trial("unlock", 3, is_answered=True)

    assert tried.judge(seen(3, time, source)) == ("answer" if counts else None)


def test_an_old_report_changes_nothing() -> None:
    tried = trial("unlock", 3)
    tried.judge(seen(1, SENT - 5))
    tried.judge(seen(2, SENT - 5))

    assert (tried.has_run, tried.has_moved, tried.was_elsewhere) == (False, False, False)
    assert tried.judge(seen(3)) is None


# --- continuous mode shows in the mode only ---


@pytest.mark.parametrize(("action", "before", "after"), [("activate_cm", 2, 3), ("deactivate_cm", 3, 2)])
def test_continuous_mode_is_proved_by_the_mode_whatever_the_state(action: str, before: int, after: int) -> None:
    for code in (1, 3, 5, 7):
        tried = trial(action, state(1, mode=before))
        still = tried.judge(seen(code, door=None, mode=before))
        assert (still, tried.judge(seen(code, door=None, mode=after))) == (None, "target")


@pytest.mark.parametrize(("action", "mode"), [("activate_cm", 3), ("deactivate_cm", 2)])
def test_a_mode_that_was_there_before_needs_the_answer(action: str, mode: int) -> None:
    before = state(1, mode=mode)
    report = seen(1, door=None, mode=mode)

    assert trial(action, before).judge(report) is None
    assert trial(action, before, is_answered=True).judge(report) == "answer"


@pytest.mark.parametrize("before", [state(1, mode=None), state(1, mode=3)])
def test_a_mode_that_was_not_told_is_not_another_mode(before: DeviceState) -> None:
    """A callback may leave the mode out (so `is_unmoved` knows): reached *from another state* is then not seen."""
    tried = trial("activate_cm", before)
    tried.judge(seen(1, door=None, mode=None))

    assert tried.judge(seen(1, door=None, mode=3)) is None


# --- a door that opens ---


@pytest.mark.parametrize("action", ["unlatch", "lock_n_go", "lock_n_go_unlatch"])
def test_a_door_that_opens_agrees_with_what_opens_doors(action: str) -> None:
    assert trial(action, 1, is_answered=True).judge(seen(1, door=OPEN)) == "answer"
    assert trial(action, 1).judge(seen(1, door=OPEN)) is None


def test_a_door_that_opens_says_nothing_of_a_bolt() -> None:
    assert trial("unlock", 1, is_answered=True).judge(seen(1, door=OPEN)) is None


@pytest.mark.parametrize("door", [OPEN, None, 4])
def test_only_a_door_that_was_closed_can_open(door: int | None) -> None:
    tried = trial("unlatch", state(1, door), is_answered=True)

    assert tried.judge(seen(1, door=OPEN)) is None


# --- blocked ---


@pytest.mark.parametrize(
    ("before", "is_answered", "time", "is_ours"),
    [
        (1, False, 13, True),
        (1, False, SENT - 0.1, False),
        (254, False, 13, False),
        (254, True, 13, True),
        (254, True, 11, False),
        (None, False, 13, False),
        (None, True, 13, True),
    ],
)
def test_a_blocked_motor_is_ours_if_it_was_not_blocked_before_or_the_bridge_said_yes(
    before: int | None, time: float, *, is_answered: bool, is_ours: bool
) -> None:
    assert trial("unlock", before, is_answered=is_answered).is_blocked(seen(254, time)) is is_ours


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 253, 255])
def test_no_other_state_is_a_blocked_motor(code: int) -> None:
    assert not trial("unlock", 1, is_answered=True).is_blocked(seen(code))


# --- unmoved ---

UNMOVED = {
    # Where the action may end in the state in which it began, nobody can tell: those are left out.
    "unlock": {1, 5, 6},
    "lock": {3, 5, 6},
    "unlatch": {1, 6},
    "lock_n_go": set[int](),
    "lock_n_go_unlatch": set[int](),
    "activate_rto": {1, 5, 6},
    "deactivate_rto": {3, 5, 6},
    "electric_strike": {6},
}


@pytest.mark.parametrize("action", list(UNMOVED))
def test_unmoved_is_said_only_where_the_action_cannot_end_where_it_began(action: str) -> None:
    facts = ACTIONS[Action(action)]
    told = {before for before in (1, 3, 5, 6) if trial(action, state(before)).is_unmoved(state(before))}

    assert told == UNMOVED[action]
    assert not told & (facts.settles | facts.agrees)


@pytest.mark.parametrize(("before", "read"), [(1, 3), (1, 2), (1, 254), (1, 255)])
def test_a_read_that_shows_another_state_is_not_unmoved(before: int, read: int) -> None:
    assert not trial("unlock", before).is_unmoved(state(read))


def test_without_a_known_state_before_nothing_is_unmoved() -> None:
    assert not trial("unlock", None).is_unmoved(state(1))


@pytest.mark.parametrize("report", [seen(2), seen(254), seen(1, door=OPEN)])
def test_what_was_seen_to_move_is_not_unmoved_when_it_is_back(report: Observation) -> None:
    tried = trial("unlatch", 1)
    tried.judge(report)

    assert not tried.is_unmoved(state(1, CLOSED))


@pytest.mark.parametrize(
    ("action", "before", "read", "is_unmoved"),
    [
        ("activate_cm", 2, 2, True),
        ("activate_cm", 2, 3, False),
        ("activate_cm", 3, 3, False),
        ("activate_cm", None, None, False),
        ("activate_cm", 2, None, False),
        ("deactivate_cm", 3, 3, True),
        ("deactivate_cm", 2, 2, False),
    ],
)
def test_continuous_mode_is_unmoved_by_the_mode(
    action: str, before: int | None, read: int | None, *, is_unmoved: bool
) -> None:
    tried = trial(action, state(1, mode=before))

    assert tried.is_unmoved(state(3, mode=read)) is is_unmoved
