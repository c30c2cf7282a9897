"""A Bridge in trouble: growing delays, the token ladder, another Bridge at the address, and what the log says."""

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.vocabulary import BridgeAnswered, BridgeMemory, CallBridge, Effect, Level, Log
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import InfoAnswer, InfoRequest, ListAnswer, ListRequest
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.settings import BridgeSettings, PollSettings
from nuki2mqtt.protocol.settings_words import AuthSetting
from tests.gateway.builders import BRIDGE_ID, LINK, TOKEN, Line, info, logged, moment, wall

REFUSED, TIMEOUT, RESET = BridgeErrorKind.REFUSED, BridgeErrorKind.TIMEOUT, BridgeErrorKind.RESET
BUSY, UNREADABLE = BridgeErrorKind.BUSY, BridgeErrorKind.UNREADABLE
OTHER_BRIDGE = NukiId(0x0BADB01D)
EMPTY_LIST = ListAnswer(())


def fail(line: Line, kind: BridgeErrorKind, times: int) -> list[float]:
    """Fail all requests; the pauses after each of them."""
    pauses = list[float]()
    for _ in range(times):
        call = line.next_sent()
        line.answer(call, BridgeError(kind))
        assert line.due is not None
        pauses.append(line.due - line.now)
    return pauses


# --- growing delays ---


@pytest.mark.parametrize("kind", [REFUSED, TIMEOUT, RESET, BUSY, UNREADABLE, BridgeErrorKind.FORBIDDEN])
def test_a_failing_bridge_is_asked_after_a_growing_delay(kind: BridgeErrorKind) -> None:
    assert fail(Line.verified(), kind, 8) == pytest.approx([2, 4, 8, 16, 30, 30, 30, 30])


@pytest.mark.parametrize(("list_s", "longest"), [(1, 2), (10, 10), (60, 60), (3600, 60)])
def test_the_longest_delay_is_list_s_within_2_and_60_s(list_s: float, longest: float) -> None:
    assert fail(Line.verified(PollSettings(list_s=list_s)), BUSY, 9)[-1] == pytest.approx(longest)


def test_one_answer_ends_the_trouble() -> None:
    line = Line.verified()
    fail(line, BUSY, 5)
    line.answer(line.next_sent(), EMPTY_LIST)

    assert fail(line, BUSY, 1) == pytest.approx([2])


def test_a_bridge_that_is_away_for_a_day_is_still_asked() -> None:
    line = Line.verified()

    assert fail(line, REFUSED, 3000)[-1] == pytest.approx(30)


def test_what_else_is_due_waits_as_long() -> None:
    line = Line.verified()
    line.now = 31
    line.answer(line.sent(ListRequest), BridgeError(BUSY))
    line.link.bring_list_forward(moment(31))
    line.link.want_lock_state(BRIDGE_ID, 0, moment(31))

    assert line.due == 33


# --- who answers there? ---


@pytest.mark.parametrize("kind", list(BridgeErrorKind))
def test_after_a_lost_connection_the_identity_is_asked_first(kind: BridgeErrorKind) -> None:
    line = Line.verified()
    line.now = 31
    line.answer(line.sent(ListRequest), BridgeError(kind))
    is_lost = kind in {REFUSED, TIMEOUT, RESET}

    assert line.link.is_verified is not is_lost
    assert isinstance(line.next_sent().request, InfoRequest if is_lost else ListRequest)


def test_another_bridge_at_the_address_ends_the_contact_and_says_both_ids() -> None:
    line = Line.with_settings(memory=BridgeMemory(bridge_id=BRIDGE_ID))
    line.link.start(moment(0))
    effects = line.answer(line.sent(InfoRequest), info(0, bridge_id=OTHER_BRIDGE))
    text = bridge_problems.other_bridge(BridgeSettings(host="192.0.2.10"), BRIDGE_ID, OTHER_BRIDGE)

    assert effects == [Log(Level.ERROR, text)]
    assert "0A1B2C3D" in text
    assert "0BADB01D" in text
    assert (line.due, line.link.is_verified, line.link.bridge_id, line.link.problem) == (None, False, BRIDGE_ID, text)
    line.now = 100_000
    assert line.tick() == []


def test_a_bridge_that_is_exchanged_while_we_run_ends_the_contact() -> None:
    line = Line.verified()
    line.now = 301
    line.answer(line.sent(ListRequest), EMPTY_LIST)
    line.now = 302
    line.answer(line.sent(InfoRequest), info(302, bridge_id=OTHER_BRIDGE))

    assert (line.due, line.link.is_verified) == (None, False)
    assert line.link.facts.view is not None
    assert line.link.facts.view.bridge_id == BRIDGE_ID


@pytest.mark.parametrize("known", [BRIDGE_ID, NukiId(0x0000F00D)])
def test_a_bridge_is_known_by_either_of_its_ids(known: NukiId) -> None:
    line = Line.with_settings(BridgeSettings(host="192.0.2.10", token=TOKEN, id=known))
    line.link.start(moment(0))
    line.answer(line.sent(InfoRequest), InfoAnswer(bridge_type=1, hardware_id=BRIDGE_ID, server_id=NukiId(0x0000F00D)))

    assert line.link.is_verified


def test_a_paired_token_begins_the_contact_anew() -> None:
    line = Line.with_settings(memory=BridgeMemory(bridge_id=BRIDGE_ID, auth=AuthMode.HASHED))
    line.link.start(moment(0))
    line.answer(line.sent(InfoRequest), info(0, bridge_id=OTHER_BRIDGE))
    line.now = 10
    line.link.pair(Secret("new"), moment(10), replace_bridge=True)
    call = line.sent(InfoRequest)
    line.answer(call, info(10, bridge_id=OTHER_BRIDGE))

    assert (call.token, call.auth) == (Secret("new"), AuthMode.ENCRYPTED)
    assert (line.link.is_verified, line.link.bridge_id, line.link.needs_pairing) == (True, OTHER_BRIDGE, False)


def test_a_paired_token_alone_does_not_let_another_bridge_answer() -> None:
    line = Line.with_settings(memory=BridgeMemory(bridge_id=BRIDGE_ID))
    line.link.pair(Secret("new"), moment(0), replace_bridge=False)
    line.answer(line.sent(InfoRequest), info(0, bridge_id=OTHER_BRIDGE))

    assert (line.link.is_verified, line.due) == (False, None)


# --- a Bridge that gives no ID ---


def nameless(line: Line) -> list[Effect]:
    call = line.next_sent()
    assert isinstance(call.request, InfoRequest)
    return line.answer(call, info(line.now, bridge_id=None))


def test_a_bridge_without_an_id_is_asked_for_it_each_minute_and_nothing_else() -> None:
    line = Line.with_settings()
    line.link.start(moment(0))
    effects = nameless(line)

    assert effects == [Log(Level.WARNING, bridge_problems.nameless(LINK))]
    assert (line.due, line.link.is_verified) == (60, False)


def test_a_bridge_without_an_id_is_warned_of_once() -> None:
    line = Line.with_settings()
    line.link.start(moment(0))
    nameless(line)

    assert logged(nameless(line), "info", "warning") == []


def test_a_bridge_without_an_id_is_followed_where_its_id_is_configured() -> None:
    line = Line.with_settings(BridgeSettings(host="192.0.2.10", token=TOKEN, id=BRIDGE_ID))
    line.link.start(moment(0))
    nameless(line)

    assert isinstance(line.next_sent().request, ListRequest)


# --- 401 ---


def refuse(line: Line, times: int, *, is_clock_trusted: bool = True) -> tuple[list[str], list[float]]:
    """The modes that were tried, and the pauses after them."""
    modes, pauses = list[str](), list[float]()
    for _ in range(times):
        call = line.next_sent()
        modes.append(str(call.auth))
        line.answer(call, BridgeError(BridgeErrorKind.TOKEN_REFUSED), is_clock_trusted=is_clock_trusted)
        assert line.due is not None
        pauses.append(line.due - line.now)
    return modes, pauses


@pytest.mark.parametrize(("allow_plain", "sixth"), [(False, "encrypted"), (True, "plain")])
def test_a_refused_token_climbs_down_the_ladder_slowly(sixth: str, *, allow_plain: bool) -> None:
    line = Line.with_settings(BridgeSettings(host="192.0.2.10", token=TOKEN, allow_plain=allow_plain))
    line.link.start(moment(0))
    modes, pauses = refuse(line, 7)

    assert modes[:6] == ["encrypted", "encrypted", "hashed", "encrypted", "hashed", "encrypted"]
    assert modes[6] == ("hashed" if sixth == "encrypted" else sixth)
    assert pauses == pytest.approx([1, 2, 30, 60, 60, 60, 60])


def test_plain_waits_for_a_trusted_clock() -> None:
    line = Line.with_settings(BridgeSettings(host="192.0.2.10", token=TOKEN, allow_plain=True))
    line.link.start(moment(0))

    assert "plain" not in refuse(line, 20, is_clock_trusted=False)[0]


def test_the_mode_that_worked_is_what_is_remembered() -> None:
    line = Line.with_settings()
    line.link.start(moment(0))
    refuse(line, 2)
    line.answer(line.next_sent(), info(line.now))

    assert line.link.ladder.learnt is AuthMode.HASHED
    assert set(refuse(line, 20)[0]) == {"hashed"}


def test_a_token_that_was_refused_is_told_when_the_ladder_is_exhausted() -> None:
    line = Line.with_settings()
    line.link.start(moment(0))
    levels = list[str]()
    for _ in range(5):
        effects = line.answer(line.next_sent(), BridgeError(BridgeErrorKind.TOKEN_REFUSED))
        levels += [effect.level for effect in effects if isinstance(effect, Log)]

    assert levels == ["debug", "debug", "warning", "debug", "debug"]


def test_a_configured_mode_is_told_at_once() -> None:
    settings = BridgeSettings(host="192.0.2.10", token=TOKEN, auth=AuthSetting.PLAIN)
    line = Line.with_settings(settings)
    line.link.start(moment(0))
    call = line.next_sent()
    effects = line.answer(call, BridgeError(BridgeErrorKind.TOKEN_REFUSED))

    assert call.auth is AuthMode.PLAIN
    assert logged(effects, "warning") == [line.link.problem]
    assert "abcdef" not in str(effects)


# --- the log ---


def test_first_failure_warning_repeats_debug_recovery_info() -> None:
    line = Line.verified()
    logs = list[Effect]()
    for answer in (BridgeError(BUSY), BridgeError(BUSY), EMPTY_LIST, EMPTY_LIST, BridgeError(BUSY)):
        logs += line.answer(line.next_sent(), answer)
    text = bridge_problems.failure(BridgeSettings(host="192.0.2.10"), BridgeError(BUSY), wall(0))

    assert logs == [
        Log(Level.WARNING, text),
        Log(Level.DEBUG, text),
        Log(Level.INFO, f"Bridge {LINK} answers again."),
        Log(Level.WARNING, text),
    ]


def test_another_kind_of_failure_is_told_again() -> None:
    line = Line.verified()
    first = line.answer(line.next_sent(), BridgeError(BUSY))
    second = line.answer(line.next_sent(), BridgeError(UNREADABLE, "not JSON"))

    assert [len(logged(effects, "warning")) for effects in (first, second)] == [1, 1]
    assert line.link.problem is not None
    assert "not JSON" in line.link.problem


@pytest.mark.parametrize("kind", list(BridgeErrorKind))
def test_every_failure_names_the_bridge_and_the_next_step(kind: BridgeErrorKind) -> None:
    text = bridge_problems.failure(BridgeSettings(host="192.0.2.10"), BridgeError(kind, "seen"), wall(0))

    assert text.startswith(f"Bridge {LINK}")
    assert text.count(". ") >= 1
    assert any(step in text for step in ("Check", "unplug", "Switch", "Pair", "restart"))


def test_slots_that_are_full_say_what_to_do_and_show_no_path() -> None:
    slots = tuple(CallbackSlot(number, f"http://192.0.2.6/secret{number}") for number in range(3))
    text = bridge_problems.slots_full(LINK, slots)

    assert text.startswith(f"All 3 callback slots of Bridge {LINK} belong to other programs.")
    assert "secret" not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bridge_problems.nameless(LINK), (LINK, "Check")),
        (bridge_problems.lease_lost(LINK), (LINK, "registered again")),
        (bridge_problems.lease_refused(LINK, "too many"), (LINK, "too many", "Polling goes on")),
        (bridge_problems.losing_callbacks(LINK, 8321), (LINK, "8321", "firewall")),
        (bridge_problems.container_address(LINK, "172.17.0.2"), (LINK, "172.17.0.2", "`callback.host`")),
        (bridge_problems.same_bridge(LINK, "10.0.0.1:8080"), (LINK, "10.0.0.1:8080", "`bridges`")),
    ],
)
def test_every_problem_names_the_bridge_and_the_next_step(text: str, words: tuple[str, ...]) -> None:
    assert [word for word in words if word not in text] == []


# --- switching off ---


def test_a_stopped_link_asks_nothing_and_ignores_the_answer_under_way() -> None:
    line = Line.verified()
    line.now = 31
    call = line.sent(ListRequest)
    line.link.stop()
    heard = line.link.handle_answer(BridgeAnswered(LINK, call.call_id, EMPTY_LIST), moment(31), is_clock_trusted=True)

    assert (heard, line.due, line.tick(), line.link.queue, line.link.lease) == ((None, []), None, [], 0, "off")


def test_a_link_that_is_started_again_waits_for_the_request_under_way() -> None:
    line = Line.verified()
    line.now = 31
    line.sent(ListRequest)
    line.link.stop()
    line.link.start(moment(32))
    line.now = 32

    assert line.tick() == []


def test_a_link_that_is_started_again_asks_for_the_identity_first() -> None:
    line = Line.verified()
    line.link.stop()
    line.link.start(moment(100))
    line.now = 100
    (call,) = line.tick()

    assert isinstance(call, CallBridge)
    assert isinstance(call.request, InfoRequest)


# --- what a Bridge repeats ---


@pytest.mark.parametrize("said", ["abcdef is not valid", "wrong: 'ABCDEF'", "no %61bcdef", "no abcde"])
def test_a_token_that_a_bridge_repeats_is_shown_nowhere(said: str) -> None:
    line = Line.verified()
    effects = line.answer(line.next_sent(), BridgeError(UNREADABLE, said))
    (text,) = logged(effects, Level.WARNING)

    assert line.link.problem == text
    assert "***" in text
    assert "abcde" not in text.lower()


def test_an_old_token_that_a_bridge_repeats_after_pairing_is_shown_nowhere() -> None:
    line = Line.verified()
    call = line.next_sent()
    line.link.pair(Secret("123456789"), moment(line.now), replace_bridge=False)
    line.answer(call, BridgeError(UNREADABLE, "an answer to the former token"))
    assert line.link.problem is None
    line.answer(line.next_sent(), BridgeError(UNREADABLE, "neither abcdef nor 123456789"))

    assert line.link.problem is not None
    assert "neither *** nor ***" in line.link.problem
