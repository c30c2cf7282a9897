"""One command and its lane, by value: when it is busy, what is joined, what an end says, what is derived."""

from dataclasses import replace
from typing import Any

import pytest

from nuki2mqtt.gateway.command_lane import JOIN_S, Command, End, Lane, ReplyTo
from nuki2mqtt.gateway.command_life import Phase, Turn
from nuki2mqtt.gateway.evidence import Trial
from nuki2mqtt.model.action import LOCK_ACTIONS, OPENER_ACTIONS, Action
from nuki2mqtt.model.command import Evidence, Reason, Status
from nuki2mqtt.protocol.command_payloads import CommandOrder
from tests.gateway.builders import LINK, LOCK, moment, state, wall

ACTIONS = LOCK_ACTIONS | OPENER_ACTIONS
UNANSWERED = (Phase.WAITING, Phase.SENT)
ANSWERED = (Phase.REPEATING, Phase.ACKNOWLEDGED, Phase.VERIFYING, Phase.DOUBTFUL, Phase.LOOKING)
ACTED, DID_NOTHING = End(Status.CONFIRMED, may_have_acted=True), End(Status.FAILED)


def command(
    action: str = "unlock", received: float = 10.0, phase: Phase = Phase.WAITING, *, key: object = None, **fields: Any
) -> Command:
    return Command(
        nuki_id=LOCK,
        action=Action(action),
        facts=ACTIONS[Action(action)],
        order=CommandOrder(action, key),
        reply_to=ReplyTo("front_door"),
        received=received,
        deadline=received + 10,
        phase=phase,
        **fields,
    )


def lane_of(active: Command, **fields: Any) -> Lane:
    return Lane(active=active, recent=[active], **fields)


# --- busy ---


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_end])
def test_a_lane_is_busy_until_the_bridge_s_answer(phase: Phase) -> None:
    assert lane_of(command(phase=phase)).is_busy is (phase in UNANSWERED)
    assert {*UNANSWERED, *ANSWERED} == {phase for phase in Phase if not phase.is_end}


def test_an_empty_lane_is_busy_while_an_answer_is_outstanding() -> None:
    assert (Lane().is_busy, Lane(outstanding=LINK).is_busy) == (False, True)


def test_what_has_ended_leaves_the_lane_and_stays_the_last() -> None:
    active, queued = command(), command("lock")
    lane = Lane(active=active, queued=queued, recent=[active, queued])
    before = lane.under_way
    lane.leave(queued)
    lane.leave(active)

    assert (before, lane.under_way, lane.recent[-1]) == ((active, queued), (), queued)


# --- joined ---


@pytest.mark.parametrize("phase", UNANSWERED)
@pytest.mark.parametrize("key", [None, "b"])
@pytest.mark.parametrize("action", ["unlock", "lock"])
def test_an_equal_command_without_an_answer_is_the_twin_of_any(phase: Phase, key: str | None, action: str) -> None:
    first = command(action, phase=phase)

    assert lane_of(first).twin(command(action, 500, key=key)) is first
    assert lane_of(first).twin(command("unlatch", 10)) is None


def test_an_equal_one_that_waits_for_its_turn_is_the_twin() -> None:
    queued = command("lock")
    active = command("unlock", phase=Phase.SENT)
    lane = Lane(active=active, queued=queued, recent=[active, queued])

    assert lane.twin(command("lock", 500, key="b")) is queued
    # What waits has moved nothing: a bare repeat is one of the command before it.
    assert lane.twin(command("unlock", 10 + JOIN_S)) is lane.active
    assert lane.twin(command("unlock", 10 + JOIN_S + 0.01)) is None
    assert lane.twin(command("unlock", 10, key="b")) is None
    assert lane.twin(command("unlatch", 10)) is None


@pytest.mark.parametrize("phase", ANSWERED)
@pytest.mark.parametrize(
    ("action", "key", "later_s", "is_twin"),
    [
        ("unlock", None, JOIN_S, True),
        ("unlock", None, JOIN_S + 0.01, False),
        ("unlock", "b", 0.1, False),
        ("lock", None, 0.1, False),
        ("activate_cm", None, JOIN_S, True),
        ("deactivate_cm", None, 0.1, False),
    ],
)
def test_after_the_answer_only_a_bare_opening_one_within_5_s_is(
    phase: Phase, action: str, key: str | None, later_s: float, *, is_twin: bool
) -> None:
    first = command(action, phase=phase)

    assert JOIN_S == 5
    assert lane_of(first).twin(command(action, 10 + later_s, key=key)) is (first if is_twin else None)


@pytest.mark.parametrize(("end", "is_twin"), [(ACTED, True), (DID_NOTHING, False)])
def test_after_an_end_only_what_may_have_acted_is_joined(end: End, *, is_twin: bool) -> None:
    first = command(phase=Phase.CONFIRMED, end=end)
    lane = Lane(recent=[first])

    assert lane.twin(command(received=12)) is (first if is_twin else None)


@pytest.mark.parametrize(
    "between",
    [
        command("lock", 11, Phase.FAILED, end=DID_NOTHING),
        command("lock", 11, Phase.EXPIRED, end=End(Status.EXPIRED)),
        command("lock", 11, Phase.WAITING),
    ],
)
@pytest.mark.parametrize("first", [command(phase=Phase.ACKNOWLEDGED), command(phase=Phase.DOUBTFUL, end=ACTED)])
def test_what_moved_nothing_in_between_makes_no_other_wish_of_a_copy(first: Command, between: Command) -> None:
    lane = Lane()
    for one in (first, between):
        lane.enter(one)

    assert lane.twin(command(received=12)) is first
    assert lane.twin(command(received=12, key="b")) is None
    assert lane.twin(command(received=10 + JOIN_S + 0.01)) is None


@pytest.mark.parametrize("phase", [Phase.SENT, *ANSWERED, Phase.CONFIRMED])
def test_after_another_action_that_may_have_moved_it_an_opening_one_is_a_new_wish(phase: Phase) -> None:
    lane = Lane()
    lane.enter(command(phase=Phase.ACKNOWLEDGED))
    lane.enter(command("lock", 11, phase, end=ACTED if phase.is_end else None))

    assert lane.twin(command(received=12)) is None


def test_a_copy_counts_from_when_it_came_and_not_from_when_we_had_time_for_it() -> None:
    first = command(received=10.5, phase=Phase.CONFIRMED, end=ACTED, arrived=10.0)

    assert Lane(recent=[first]).twin(command(received=19, arrived=10 + JOIN_S)) is first
    assert Lane(recent=[first]).twin(command(received=19, arrived=10 + JOIN_S + 0.1)) is None


def test_a_lane_remembers_little() -> None:
    lane = Lane()
    for number in range(100):
        lane.enter(command("lock", number, Phase.FAILED, end=DID_NOTHING))
        lane.enter(command("lock", number, Phase.CONFIRMED, end=ACTED))

    assert len(lane.recent) < 12


def test_with_a_ts_a_command_has_a_key() -> None:
    with_ts = command(received=11)
    with_ts.order = replace(with_ts.order, ts=wall(0))

    assert lane_of(command(phase=Phase.ACKNOWLEDGED)).twin(with_ts) is None


# --- ends ---


@pytest.mark.parametrize(
    ("phase", "turn", "repeats", "end"),
    [
        (Phase.CONFIRMED, Turn.EVIDENCE, 0, ("confirmed", None, "target", True)),
        (Phase.UNCONFIRMED, Turn.TIME_UP, 0, ("unconfirmed", "no_answer", None, True)),
        (Phase.FAILED, Turn.UNMOVED, 0, ("failed", "no_answer", None, False)),
        (Phase.FAILED, Turn.UNMOVED, 3, ("failed", "no_answer", None, False)),
        (Phase.FAILED, Turn.DENIED, 0, ("failed", "no_answer", None, False)),
        (Phase.FAILED, Turn.DENIED, 1, ("failed", "no_answer", None, True)),
        (Phase.FAILED, Turn.NEVER_WRITTEN, 0, ("failed", "no_answer", None, False)),
        (Phase.FAILED, Turn.BLOCKED, 0, ("failed", "no_answer", None, True)),
        (Phase.EXPIRED, Turn.TIME_UP, 0, ("expired", "no_answer", None, False)),
        (Phase.REFUSED, Turn.SUPERSEDED, 0, ("refused", "no_answer", None, False)),
    ],
)
def test_an_end_says_status_reason_evidence_and_whether_it_may_have_acted(
    phase: Phase, turn: Turn, repeats: int, end: tuple[str, str | None, str | None, bool]
) -> None:
    ended = command(phase=phase, repeats=repeats, cause=Reason.NO_ANSWER)
    made = ended.make_end(turn, Evidence.TARGET if turn is Turn.EVIDENCE else None)

    assert (made.status, made.reason, made.evidence, made.may_have_acted) == end


def test_a_no_to_what_was_seen_on_its_way_does_not_say_that_it_did_nothing() -> None:
    trial = Trial(LOCK_ACTIONS[Action.UNLOCK], state(1), 10, has_run=True)

    assert command(phase=Phase.FAILED, trial=trial).make_end(Turn.DENIED, None).may_have_acted


# --- derived ---


@pytest.mark.parametrize(
    ("action", "before", "derived"),
    [
        ("unlock", 1, 2),
        ("unlock", 3, None),
        ("lock", 3, 4),
        ("lock", 1, None),
        ("unlatch", 1, 7),
        ("unlatch", 5, 7),
        ("lock_n_go", 1, 2),
        ("lock_n_go", 3, 2),
        ("electric_strike", 1, 7),
        ("activate_rto", 1, None),
        ("activate_cm", 1, None),
    ],
)
def test_what_is_concluded_from_the_answer(action: str, before: int, derived: int | None) -> None:
    trial = Trial(ACTIONS[Action(action)], state(before), 10, 11)

    assert command(action, phase=Phase.ACKNOWLEDGED, trial=trial).derived_state == derived


@pytest.mark.parametrize("phase", list(Phase))
def test_only_what_the_bridge_said_yes_to_is_concluded_and_only_until_a_report(phase: Phase) -> None:
    trial = Trial(LOCK_ACTIONS[Action.UNLOCK], None, 10)
    is_yes = phase in {Phase.ACKNOWLEDGED, Phase.VERIFYING}

    assert command(phase=phase, trial=trial).derived_state == (2 if is_yes else None)
    assert command(phase=phase, trial=trial, has_report=True).derived_state is None
    assert command(phase=phase).derived_state is None


# --- the journal ---


def test_an_entry_says_what_is_needed_to_tell_its_end_after_a_crash() -> None:
    given = command(key={"b": [1], "a": None})
    given.reply_to = ReplyTo("front_door", "me/answers", b"\x00\xff")
    entry = given.journal_entry(moment(4))

    assert (entry.device, entry.action, entry.accepted, entry.is_ended) == (LOCK, "unlock", wall(4), False)
    assert entry.key == entry.transaction == '{"a":null,"b":[1]}'
    assert (entry.response_topic, entry.correlation) == ("me/answers", "00ff")


def test_an_entry_of_a_command_with_a_ts_has_a_key_and_no_transaction() -> None:
    given = command()
    given.order = replace(given.order, ts=wall(0))
    entry = given.journal_entry(moment(4))

    assert (entry.key, entry.transaction) == (f"ts {wall(0).timestamp():.6f}", None)
    assert (entry.response_topic, entry.correlation) == (None, None)
