"""The whole decision by which way a command goes, written out, and what the cloud's answers are to it."""

import itertools

import pytest

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.cloud_commands import (
    CLOUD,
    FIRST,
    CloudAbilities,
    CloudHolds,
    Local,
    Question,
    Sight,
    decide,
    send_by,
    turn_of,
)
from nuki2mqtt.gateway.command_life import Phase, Turn, next_phase
from nuki2mqtt.gateway.vocabulary import CloudDeviceMemory
from nuki2mqtt.model.action import Action
from nuki2mqtt.protocol.settings_words import WebCommands
from nuki2mqtt.protocol.web_api import DoneAnswer
from tests.gateway.builders import LOCK, OPENER

# "way reason" for each sight: ABSENT, OLD, ONLINE, OFFLINE, FAILED.
BRIDGE, WAIT = ("BRIDGE",) * 5, ("WAIT bridge_unreachable",) * 5
NOBODY = ("REFUSE not_permitted",) * 5
ALONE = (
    "REFUSE device_unreachable",
    "READ_FIRST",
    "CLOUD",
    "REFUSE device_unreachable",
    "WAIT bridge_unreachable",
)
INSTEAD = ("BRIDGE", "READ_FIRST", "CLOUD", "BRIDGE", "BRIDGE")
ROWS = {
    # what the setting says, what Bridges are to it: opening, closing
    ("never", "NONE"): (NOBODY, NOBODY),
    ("never", "UNDECIDED"): (WAIT, WAIT),
    ("never", "UNTRIED"): (BRIDGE, BRIDGE),
    ("never", "NOT_WRITTEN"): (BRIDGE, BRIDGE),
    ("never", "IN_DOUBT"): (BRIDGE, BRIDGE),
    ("never", "SAID_NO"): (BRIDGE, BRIDGE),
    ("when_no_bridge", "NONE"): (ALONE, ALONE),
    ("when_no_bridge", "UNDECIDED"): (WAIT, WAIT),
    ("when_no_bridge", "UNTRIED"): (BRIDGE, BRIDGE),
    ("when_no_bridge", "NOT_WRITTEN"): (BRIDGE, BRIDGE),
    ("when_no_bridge", "IN_DOUBT"): (BRIDGE, BRIDGE),
    ("when_no_bridge", "SAID_NO"): (BRIDGE, BRIDGE),
    ("fallback", "NONE"): (ALONE, ALONE),
    ("fallback", "UNDECIDED"): (WAIT, WAIT),
    ("fallback", "UNTRIED"): (BRIDGE, BRIDGE),
    ("fallback", "NOT_WRITTEN"): (INSTEAD, INSTEAD),
    ("fallback", "IN_DOUBT"): (BRIDGE, BRIDGE),
    ("fallback", "SAID_NO"): (BRIDGE, BRIDGE),
}
CASES = [
    (setting, local, sight, opens, row[0 if opens else 1][place])
    for (setting, local), row in ROWS.items()
    for opens in (True, False)
    for place, sight in enumerate(Sight)
]
ALL = list(itertools.product(WebCommands, Local, Sight, (True, False), (True, False), (True, False)))


def ask(
    setting: WebCommands,
    local: Local,
    sight: Sight,
    *,
    opens: bool,
    can_do: bool = True,
    is_held: bool = False,
) -> str:
    question = Question(setting=setting, local=local, sight=sight, opens=opens, can_do=can_do, is_held=is_held)
    route = decide(question)
    return route.way.name if route.reason is None else f"{route.way.name} {route.reason}"


def test_every_combination_is_written_out() -> None:
    assert list(Sight) == [Sight.ABSENT, Sight.OLD, Sight.ONLINE, Sight.OFFLINE, Sight.FAILED]
    assert len(CASES) == 3 * 6 * 5 * 2 == len(set(CASES))
    assert set(ROWS) == {(str(setting), local.name) for setting in WebCommands for local in Local}
    assert set(FIRST) == set(itertools.product(WebCommands, Local))
    assert set(CLOUD) == set(Sight)


@pytest.mark.parametrize(("setting", "local", "sight", "opens", "expected"), CASES)
def test_where_a_command_goes(setting: str, local: str, sight: Sight, *, opens: bool, expected: str) -> None:
    assert ask(WebCommands(setting), Local[local], sight, opens=opens) == expected


@pytest.mark.parametrize(("setting", "local"), list(itertools.product(WebCommands, Local)))
def test_what_the_device_cannot_do_never_goes_to_the_cloud(setting: WebCommands, local: Local) -> None:
    is_alone = local is Local.NONE and setting is not WebCommands.NEVER
    for sight, opens in itertools.product(Sight, (True, False)):
        usual = ask(setting, local, sight, opens=opens)
        stays = usual if usual in {WAIT[0], NOBODY[0]} else "BRIDGE"

        assert ask(setting, local, sight, opens=opens, can_do=False) == ("REFUSE unknown_action" if is_alone else stays)


def test_a_held_lane_refuses_what_opens_by_any_way_and_nothing_else() -> None:
    for setting, local, sight, can_do in itertools.product(WebCommands, Local, Sight, (True, False)):
        assert ask(setting, local, sight, opens=True, can_do=can_do, is_held=True) == "REFUSE busy"
        free = ask(setting, local, sight, opens=False, can_do=can_do)
        assert ask(setting, local, sight, opens=False, can_do=can_do, is_held=True) == free


def test_the_rule_in_one_sentence_over_every_question() -> None:
    """An opening action goes to the cloud only if no Bridge knows the lock, or before a byte; and only seen online."""
    for setting, local, sight, opens, can_do, is_held in ALL:
        if not ask(setting, local, sight, opens=opens, can_do=can_do, is_held=is_held).startswith("CLOUD"):
            continue
        assert setting is not WebCommands.NEVER
        assert sight is Sight.ONLINE
        assert can_do
        if opens:
            assert not is_held
            assert local is Local.NONE or (setting is WebCommands.FALLBACK and local is Local.NOT_WRITTEN)


def test_an_order_is_written_within_15_s_of_the_read_and_before_its_deadline() -> None:
    assert (send_by(100.0, 130.0), send_by(100.0, 110.0)) == (115.0, 110.0)


# --- answers ---

TURNS = {
    "refused": "not written bridge_unreachable",
    "too_late": "too late busy",
    "timeout": "unknown no_answer",
    "reset": "unknown no_answer",
    "bad_request": "denied bridge_said_no",
    "token_refused": "never written token_refused",
    "payment_required": "denied bridge_said_no",
    "forbidden": "denied bridge_said_no",
    "not_found": "denied bridge_said_no",
    "not_allowed": "denied bridge_said_no",
    "conflict": "denied bridge_said_no",
    "locked": "denied busy",
    "upgrade_required": "denied bridge_said_no",
    "too_many": "never written busy",
    "server_error": "unknown no_answer",
    "unexpected_status": "unknown no_answer",
    "unreadable": "unknown no_answer",
}


CLOSING_TURNS = {**TURNS, "locked": "not written busy"}


@pytest.mark.parametrize("kind", WebErrorKind)
@pytest.mark.parametrize(("opens", "turns"), [(True, TURNS), (False, CLOSING_TURNS)])
def test_what_a_failure_is_to_the_command(kind: WebErrorKind, turns: dict[str, str], *, opens: bool) -> None:
    error = WebError(kind)
    turn, reason = turn_of(error, opens=opens)

    assert f"{turn} {reason}" == turns[kind]
    assert (turn is Turn.UNKNOWN) == error.may_have_acted
    assert next_phase(Phase.SENT, turn) is not None


@pytest.mark.parametrize("opens", [True, False])
def test_a_204_is_only_an_acknowledgement(*, opens: bool) -> None:
    assert turn_of(DoneAnswer(), opens=opens) == (Turn.SUCCESS, None)


# --- holds and abilities ---


def test_a_hold_lasts_two_minutes_and_is_of_one_device() -> None:
    holds = CloudHolds()
    holds.begin(LOCK, 100.0)

    assert [holds.is_held(LOCK, now) for now in (100.0, 219.9, 220.0)] == [True, True, False]
    assert (holds.is_held(OPENER, 100.0), holds.next_deadline(100.0), holds.next_deadline(220.0)) == (False, 220, None)
    holds.begin(LOCK, 150.0)
    assert holds.is_held(LOCK, 269.9)


@pytest.mark.parametrize(
    ("action", "error", "is_learnt"),
    [
        (Action.UNLATCH, WebError(WebErrorKind.BAD_REQUEST, parameter="action", value="3"), True),
        (Action.LOCK_N_GO_UNLATCH, WebError(WebErrorKind.BAD_REQUEST), True),
        (Action.UNLATCH, WebError(WebErrorKind.BAD_REQUEST, parameter="option"), False),
        (Action.UNLATCH, WebError(WebErrorKind.SERVER_ERROR), False),
        (Action.UNLOCK, WebError(WebErrorKind.BAD_REQUEST, parameter="action"), False),
    ],
)
def test_a_device_without_unlatch_is_learnt_from_its_400(action: Action, error: WebError, *, is_learnt: bool) -> None:
    abilities = CloudAbilities()
    before = abilities.actions(LOCK, 4)

    assert abilities.refused(LOCK, action, error) is is_learnt
    lost = {Action.UNLATCH, Action.LOCK_N_GO_UNLATCH} if is_learnt else set()
    assert abilities.actions(LOCK, 4) == before - lost
    assert abilities.actions(OPENER, 4) == before
    assert not abilities.refused(LOCK, action, error)
    abilities.forget(LOCK)
    assert (abilities.actions(LOCK, 4), abilities.remembered) == (before, {})


@pytest.mark.parametrize(("parameter", "is_remembered"), [("action", True), (None, False)])
def test_only_what_the_cloud_said_in_so_many_words_outlives_the_process(
    parameter: str | None, *, is_remembered: bool
) -> None:
    abilities = CloudAbilities()
    abilities.refused(LOCK, Action.UNLATCH, WebError(WebErrorKind.BAD_REQUEST, parameter=parameter))

    assert abilities.remembered == ({LOCK: CloudDeviceMemory(no_unlatch=True)} if is_remembered else {})
    again = CloudAbilities(dict(abilities.remembered))
    assert (Action.UNLATCH in again.actions(LOCK, 4)) is not is_remembered


def test_what_is_known_of_a_device_is_kept_as_long_as_it_says_anything() -> None:
    abilities = CloudAbilities()
    abilities.note_way(LOCK, is_alone=False)
    assert abilities.remembered == {}
    abilities.note_way(LOCK, is_alone=True)
    abilities.refused(LOCK, Action.UNLATCH, WebError(WebErrorKind.BAD_REQUEST, parameter="action"))

    assert abilities.remembered == {LOCK: CloudDeviceMemory(no_unlatch=True, is_alone=True)}
    assert (abilities.was_alone(LOCK), abilities.was_alone(OPENER)) == (True, False)
    abilities.note_way(LOCK, is_alone=False)
    assert abilities.remembered == {LOCK: CloudDeviceMemory(no_unlatch=True)}


def test_what_devices_can_do_through_the_cloud() -> None:
    abilities = CloudAbilities({LOCK: CloudDeviceMemory(no_unlatch=True), OPENER: CloudDeviceMemory()})

    assert abilities.actions(LOCK, 5) == {Action.UNLOCK, Action.LOCK, Action.LOCK_N_GO}
    assert abilities.actions(OPENER, 1) == {Action.UNLOCK}
    assert Action.ELECTRIC_STRIKE in abilities.actions(OPENER, 2)
