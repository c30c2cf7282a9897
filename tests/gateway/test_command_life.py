"""The whole table of a command's life: every phase with everything that can happen, written out."""

import itertools

import pytest

from nuki2mqtt.gateway.command_life import BEFORE_THE_ANSWER, ENDS, TABLE, Phase, Turn, next_phase

NOT = ""  # a pair that cannot be
TURNS = (
    "sending",
    "success",
    "denied",
    "not written",
    "never written",
    "unknown",
    "unknown, may repeat",
    "evidence",
    "blocked",
    "unmoved",
    "nothing proved",
    "time up",
    "superseded",
    "stopped",
    "too late",
)
W, S, R, A, V, D, L = "waiting", "sent", "repeating", "acknowledged", "verifying", "doubtful", "looking"
C, F, U, X, N = "confirmed", "failed", "unconfirmed", "expired", "refused"
ROWS = {
    #  sending succ den  notw nevr unkn rept evid blok unmv noth time supr stop late
    W: (S, NOT, NOT, W, F, NOT, NOT, NOT, NOT, NOT, NOT, X, N, X, NOT),
    S: (NOT, A, F, W, F, D, R, C, F, NOT, NOT, NOT, NOT, U, X),
    R: (S, NOT, NOT, NOT, NOT, NOT, NOT, C, F, NOT, NOT, D, U, U, NOT),
    A: (NOT, NOT, NOT, NOT, NOT, NOT, NOT, C, F, NOT, NOT, V, U, U, NOT),
    V: (NOT, NOT, NOT, NOT, NOT, NOT, NOT, C, F, U, U, U, U, U, NOT),
    D: (NOT, NOT, NOT, NOT, NOT, NOT, NOT, C, F, NOT, NOT, L, U, U, NOT),
    L: (NOT, NOT, NOT, NOT, NOT, NOT, NOT, C, F, F, U, U, U, U, NOT),
    C: (NOT,) * 15,
    F: (NOT,) * 15,
    U: (NOT,) * 15,
    X: (NOT,) * 15,
    N: (NOT,) * 15,
}
PAIRS = [(phase, turn, ends[place]) for phase, ends in ROWS.items() for place, turn in enumerate(TURNS)]


def test_every_pair_is_written_out() -> None:
    assert len(PAIRS) == 12 * 15 == 180
    assert {(phase, turn) for phase, turn, _ in PAIRS} == {(str(p), str(t)) for p in Phase for t in Turn}
    assert sum(end != NOT for _, _, end in PAIRS) == len(TABLE) == 46


@pytest.mark.parametrize(("phase", "turn", "end"), PAIRS)
def test_a_pair_leads_where_it_is_written_or_cannot_be(phase: str, turn: str, end: str) -> None:
    if end == NOT:
        with pytest.raises(ValueError, match=f"a command that is {phase} cannot meet"):
            next_phase(Phase(phase), Turn(turn))
    else:
        assert next_phase(Phase(phase), Turn(turn)) == end


def test_the_ends_are_the_words_of_a_result() -> None:
    assert {str(end) for end in ENDS} == {C, F, U, X, N}
    assert [phase for phase in Phase if phase.is_end] == [C, F, U, X, N]


@pytest.mark.parametrize("end", sorted(ENDS))
def test_nothing_leads_out_of_an_end(end: Phase) -> None:
    assert [turn for turn in Turn if (end, turn) in TABLE] == []


def reached(start: Phase, turns: frozenset[Turn]) -> set[Phase]:
    """All phases that can come after one, by these turns only."""
    seen = {start}
    for _ in Phase:
        seen |= {TABLE[phase, turn] for phase, turn in itertools.product(seen, turns) if (phase, turn) in TABLE}
    return seen


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_end])
def test_every_other_phase_can_reach_an_end_and_a_stop_is_one_at_once(phase: Phase) -> None:
    assert reached(phase, frozenset(Turn)) & ENDS
    assert next_phase(phase, Turn.STOPPED) in ENDS


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_end and phase is not Phase.SENT])
def test_time_alone_ends_what_does_not_wait_for_an_answer(phase: Phase) -> None:
    assert reached(phase, frozenset({Turn.TIME_UP})) & ENDS


def test_an_opening_command_is_on_the_wire_once_unless_nothing_was_written() -> None:
    """Without the repeats of closing ones and without a refused connection, `sent` is entered from `waiting` only."""
    turns = frozenset(Turn) - {Turn.UNKNOWN_MAY_REPEAT, Turn.NOT_WRITTEN}
    after_sending = reached(Phase.SENT, turns) - {Phase.SENT}

    assert not after_sending & {Phase.WAITING, Phase.REPEATING, Phase.SENT}
    assert [phase for phase in after_sending if (phase, Turn.SENDING) in TABLE] == []


def test_an_opening_command_in_doubt_never_comes_back_to_sending() -> None:
    assert reached(Phase.DOUBTFUL, frozenset(Turn)) == {Phase.DOUBTFUL, Phase.LOOKING, *(ENDS - {X, N})}


def test_what_has_acted_for_sure_never_ends_as_expired_or_refused() -> None:
    assert not reached(Phase.ACKNOWLEDGED, frozenset(Turn)) & {Phase.EXPIRED, Phase.REFUSED}


def test_only_a_look_or_a_no_makes_a_doubtful_command_fail() -> None:
    to_failed = {(str(phase), str(turn)) for (phase, turn), end in TABLE.items() if end is Phase.FAILED}

    assert to_failed == {
        (W, "never written"),
        (S, "denied"),
        (S, "never written"),
        (L, "unmoved"),
        *((phase, "blocked") for phase in (S, R, A, V, D, L)),
    }


def test_what_can_end_a_command_before_its_answer() -> None:
    ending = {turn for (phase, turn), end in TABLE.items() if phase is Phase.SENT and end in ENDS}
    answers = {Turn.DENIED, Turn.NEVER_WRITTEN, Turn.TOO_LATE}

    assert ending - answers == BEFORE_THE_ANSWER
