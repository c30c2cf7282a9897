"""The whole table of a keypad code's life: every phase with everything that can happen, written out."""

import itertools

import pytest

from nuki2mqtt.gateway.keypad_life import LIVES, PENDING, TABLE, KeypadTurn, next_phase
from nuki2mqtt.model.keypad_order import ENDS, KeypadPhase

NOT = ""  # a pair that cannot be
TURNS = (
    "create ordered",
    "change ordered",
    "delete ordered",
    "as wanted",
    "different",
    "changed",
    "missing",
    "never there",
    "refused",
    "given up",
    "ended",
    "came late",
)
C, U, A, D, X, F, R = (
    "create_pending",
    "update_pending",
    "active",
    "delete_pending",
    "deleted",
    "failed",
    "needs_review",
)
ROWS = {
    #  creat chng del  want diff othr miss nevr refu gave ended late
    C: (C, NOT, D, A, U, NOT, NOT, NOT, F, F, D, NOT),
    U: (NOT, U, D, A, NOT, NOT, R, C, F, F, D, NOT),
    A: (NOT, U, D, NOT, U, R, R, C, NOT, NOT, D, NOT),
    D: (NOT, NOT, D, NOT, NOT, NOT, X, NOT, F, NOT, NOT, NOT),
    X: (*(NOT,) * 11, D),
    F: (C, U, D, A, NOT, NOT, NOT, NOT, NOT, NOT, D, NOT),
    R: (C, U, D, A, NOT, NOT, NOT, NOT, NOT, NOT, NOT, NOT),
}
PAIRS = [(phase, turn, ends[place]) for phase, ends in ROWS.items() for place, turn in enumerate(TURNS)]


def test_every_pair_is_written_out() -> None:
    assert len(PAIRS) == 7 * 12 == 84
    assert {(phase, turn) for phase, turn, _ in PAIRS} == {(str(p), str(t)) for p in LIVES for t in KeypadTurn}
    assert sum(end != NOT for _, _, end in PAIRS) == len(TABLE) == 35


@pytest.mark.parametrize(("phase", "turn", "end"), PAIRS)
def test_a_pair_leads_where_it_is_written_or_cannot_be(phase: str, turn: str, end: str) -> None:
    if end == NOT:
        with pytest.raises(ValueError, match=f"a code that is {phase} cannot meet"):
            next_phase(KeypadPhase(phase), KeypadTurn(turn))
    else:
        assert next_phase(KeypadPhase(phase), KeypadTurn(turn)) == end


def test_two_phases_are_no_part_of_a_life() -> None:
    assert set(KeypadPhase) - set(LIVES) == {KeypadPhase.FOREIGN, KeypadPhase.REFUSED}
    assert PENDING == {KeypadPhase(one) for one in (C, U, D)} == set(LIVES) - ENDS


@pytest.mark.parametrize("phase", [phase for phase in LIVES if phase is not KeypadPhase.DELETED])
def test_what_is_ordered_to_go_goes_from_everywhere(phase: KeypadPhase) -> None:
    assert next_phase(phase, KeypadTurn.DELETE_ORDERED) is KeypadPhase.DELETE_PENDING


@pytest.mark.parametrize("phase", sorted(PENDING))
def test_everything_that_is_wanted_can_come_to_an_end(phase: KeypadPhase) -> None:
    seen = {phase}
    for _ in LIVES:
        seen |= {TABLE[one, turn] for one, turn in itertools.product(seen, KeypadTurn) if (one, turn) in TABLE}

    assert seen & ENDS


def test_a_deletion_is_never_given_up() -> None:
    assert (KeypadPhase.DELETE_PENDING, KeypadTurn.GIVEN_UP) not in TABLE


def test_only_a_list_makes_a_code_active_or_deleted() -> None:
    ends = {KeypadPhase.ACTIVE, KeypadPhase.DELETED}

    assert {turn for (_, turn), end in TABLE.items() if end in ends} == {KeypadTurn.AS_WANTED, KeypadTurn.MISSING}


def test_what_somebody_else_did_is_undone_by_an_order_only() -> None:
    out = {turn for (phase, turn), end in TABLE.items() if phase is KeypadPhase.NEEDS_REVIEW and end != phase}

    assert out == {
        KeypadTurn.CREATE_ORDERED,
        KeypadTurn.CHANGE_ORDERED,
        KeypadTurn.DELETE_ORDERED,
        KeypadTurn.AS_WANTED,
    }
