"""One Bridge: identity first, one request at a time, the gap, the order of urgency, the cadence, hints."""

import pytest

from nuki2mqtt.gateway.bridge_jobs import JobKind
from nuki2mqtt.gateway.callback_lease import OwnCallback
from nuki2mqtt.gateway.vocabulary import BridgeAnswered, BridgeMemory, CallBridge
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    CallbackListAnswer,
    CallbackListRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockStateAnswer,
    LockStateRequest,
    SuccessAnswer,
)
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.settings import BridgeSettings, PollSettings
from tests.gateway.builders import BRIDGE_ID, LINK, LOCK, LOCKED, TOKEN, Line, info, moment, wall

OWN = OwnCallback("192.0.2.5", 8321, Secret("/callback/1234abcd/5ecret"), "1234abcd")
EMPTY_LIST = ListAnswer(())


def started(*, after_unclean_end: bool = False, min_gap_s: float = 0.5) -> Line:
    line = Line.with_settings(poll=PollSettings(min_gap_s=min_gap_s))
    line.link.start(moment(0), after_unclean_end=after_unclean_end)
    return line


def usual(call: CallBridge, now: float) -> Answer:
    """What a healthy Bridge without callbacks answers."""
    match call.request:
        case InfoRequest():
            return info(now)
        case ListRequest():
            return EMPTY_LIST
        case LockStateRequest():
            return LockStateAnswer(success=True, state=LOCKED)
        case CallbackListRequest():
            return CallbackListAnswer(())
        case _:
            return SuccessAnswer(success=True)


# --- beginning ---


def test_nothing_is_asked_before_the_start() -> None:
    line = Line.with_settings()

    assert (line.due, line.tick()) == (None, [])


def test_the_identity_is_asked_first() -> None:
    assert started().tick() == [CallBridge(LINK, 1, InfoRequest(), AuthMode.ENCRYPTED, TOKEN)]


def test_after_an_unclean_end_the_first_request_waits_2_s() -> None:
    line = started(after_unclean_end=True)

    assert (line.due, line.tick()) == (2, [])
    line.now = 2
    assert len(line.tick()) == 1


def test_a_second_start_asks_nothing_twice() -> None:
    line = started()
    line.tick()
    line.link.start(moment(0))

    assert (line.due, line.tick()) == (None, [])


def test_without_a_token_nothing_is_asked() -> None:
    line = Line.with_settings(BridgeSettings(host="192.0.2.10"))
    line.link.start(moment(0))

    assert (line.link.needs_pairing, line.due, line.tick()) == (True, None, [])


def test_token_id_and_mode_are_remembered_and_settings_go_first() -> None:
    memory = BridgeMemory(NukiId(7), Secret("remembered"), AuthMode.HASHED)
    remembered = Line.with_settings(BridgeSettings(host="192.0.2.10"), memory=memory).link
    configured = Line.with_settings(BridgeSettings(host="192.0.2.10", token=TOKEN, id=BRIDGE_ID), memory=memory).link

    assert (remembered.bridge_id, remembered.token, remembered.ladder.mode) == (
        NukiId(7),
        Secret("remembered"),
        "hashed",
    )
    assert (configured.bridge_id, configured.token, configured.needs_pairing) == (BRIDGE_ID, TOKEN, False)


def test_the_clock_of_a_bridge_is_read_as_of_the_answer_s_arrival() -> None:
    """An answer may wait for a slow disk; each entry of a list would be mapped by so much too late."""
    line = started()
    call = line.sent(InfoRequest)
    line.now = 12
    event = BridgeAnswered(call.link, call.call_id, info(2), received=moment(2).monotonic)
    line.link.handle_answer(event, moment(12), is_clock_trusted=True)

    clock = line.link.facts.clock
    assert clock is not None
    assert clock.monotonic(wall(100)) == pytest.approx(moment(99).monotonic)
    assert clock.skew_s == pytest.approx(1)


# --- one at a time, with the gap ---


def test_while_a_request_is_under_way_nothing_else_is_asked() -> None:
    line = started()
    line.tick()
    line.now = 500
    line.link.want_lock_state(LOCK, 0, moment(500))

    assert (line.due, line.tick()) == (None, [])


def test_the_next_request_comes_the_gap_after_the_answer() -> None:
    line = started()
    call = line.sent(InfoRequest)
    line.now = 3
    line.answer(call, info(3))

    assert (line.due, line.tick()) == (3.5, [])
    line.now = 3.5
    line.sent(ListRequest)


def test_an_answer_that_nobody_waits_for_is_ignored() -> None:
    line = started()
    call = line.sent(InfoRequest)
    stray = BridgeAnswered(LINK, call.call_id + 1, info(0))

    assert line.link.handle_answer(stray, moment(1), is_clock_trusted=True) == (None, [])
    assert (line.due, line.link.is_verified) == (None, False)
    line.answer(call, info(0))
    assert line.link.handle_answer(BridgeAnswered(LINK, call.call_id, info(0)), moment(9), is_clock_trusted=True) == (
        None,
        [],
    )
    assert line.due == 0.5


# --- the order of urgency ---


def test_list_before_lock_state_before_the_lease_before_info() -> None:
    line = Line.verified()
    line.now = 400
    line.link.set_own_callback(OWN, moment(400))
    line.link.want_lock_state(LOCK, 0, moment(400))
    slots = [CallbackListAnswer(()), CallbackListAnswer((CallbackSlot(0, OWN.url().reveal()),))]
    order = list[str]()
    for _ in range(6):
        call = line.next_sent()
        order.append(type(call.request).__name__)
        line.answer(call, slots.pop(0) if isinstance(call.request, CallbackListRequest) else usual(call, line.now))

    assert order == [
        "ListRequest",
        "LockStateRequest",
        "CallbackListRequest",
        "CallbackAddRequest",
        "CallbackListRequest",
        "InfoRequest",
    ]
    assert line.link.lease == "held"


def test_the_kinds_of_jobs_are_in_the_order_of_their_urgency() -> None:
    assert [kind.name for kind in sorted(JobKind)] == [
        "ACTION",
        "LIST",
        "LOCK_STATE",
        "ASKED",
        "LEASE",
        "SLOTS",
        "INFO",
    ]


# --- cadence ---


@pytest.mark.parametrize(("is_fast", "pause"), [(False, 30), (True, 10)])
def test_the_list_is_asked_every_list_s_and_three_times_as_often_when_callbacks_are_lost(
    pause: float, *, is_fast: bool
) -> None:
    line = Line.verified()
    line.now = 31
    call = line.sent(ListRequest)
    line.link.is_fast = is_fast
    line.now = 32
    line.answer(call, EMPTY_LIST)

    assert line.due == 31 + pause


def test_a_slow_answer_does_not_pile_up_lists() -> None:
    line = Line.verified(PollSettings(list_s=1))
    call = line.next_sent()
    line.now = 12
    line.answer(call, EMPTY_LIST)

    assert line.due == 12.5


def test_info_is_asked_every_300_s() -> None:
    line = Line.verified()
    asked = list[float]()
    for _ in range(60):
        call = line.next_sent()
        is_info = isinstance(call.request, InfoRequest)
        asked += [line.now] if is_info else []
        line.answer(call, info(line.now) if is_info else EMPTY_LIST)

    assert asked == pytest.approx([300, 600, 900, 1200, 1500], abs=1)


# --- hints ---


@pytest.mark.parametrize(
    ("hint_at", "due"),
    [(2, 3), (10, 11), (29.5, 30.5), (30.5, 31), (31, 31)],
)
def test_a_hint_brings_the_list_forward_to_1_s_and_never_delays_it(hint_at: float, due: float) -> None:
    line = Line.verified()
    line.link.bring_list_forward(moment(hint_at))

    assert line.due == due


def test_hints_bring_at_most_one_list_in_2_s() -> None:
    line = Line.verified()
    line.link.bring_list_forward(moment(10))
    line.now = 11
    line.answer(line.sent(ListRequest), EMPTY_LIST)
    line.now = 11.2
    line.link.bring_list_forward(moment(11.2))

    assert line.due == 13


def test_a_stream_of_hints_postpones_nothing() -> None:
    line = Line.verified()
    for hint_at in (10, 10.3, 10.6, 10.9):
        line.link.bring_list_forward(moment(hint_at))

    assert line.due == 11


def test_a_hint_while_the_list_is_under_way_brings_the_next_one_forward() -> None:
    line = Line.verified()
    line.now = 31
    call = line.sent(ListRequest)
    line.link.bring_list_forward(moment(31.2))
    line.now = 31.5
    line.answer(call, EMPTY_LIST)

    assert line.due == 33


def test_a_hint_does_not_hurry_the_gap() -> None:
    line = started(min_gap_s=5)
    line.answer(line.sent(InfoRequest), info(0))
    line.now = 5
    line.answer(line.sent(ListRequest), EMPTY_LIST)
    line.link.bring_list_forward(moment(5))

    assert line.due == 10


# --- what /info tells ---


def test_info_gives_the_view_the_clock_and_the_start() -> None:
    line = started()
    call = line.sent(InfoRequest)
    line.now = 2
    line.answer(call, info(11, uptime_s=500))
    view, clock = line.link.facts.view, line.link.facts.clock

    assert view is not None
    assert clock is not None
    assert (view.bridge_id, view.host, view.port, view.firmware, view.uptime_s) == (
        BRIDGE_ID,
        "192.0.2.10",
        8080,
        "2.18.0",
        500,
    )
    assert (clock.skew_s, line.link.facts.started) == (10, wall(-498))
    assert (line.link.facts.was_clock_set, line.link.facts.was_rebooted) == (False, False)


@pytest.mark.parametrize(
    ("clock", "uptime", "was_set", "was_rebooted"),
    [(300, 5300, False, False), (309, 5300, True, False), (300, 10, False, True), (-3300, 4999, True, True)],
)
def test_a_clock_that_was_set_and_an_uptime_that_fell(
    clock: float, uptime: int, *, was_set: bool, was_rebooted: bool
) -> None:
    line = Line.verified()
    line.now = 301
    line.answer(line.sent(ListRequest), EMPTY_LIST)
    line.now = 302
    call = line.sent(InfoRequest)
    line.answer(call, info(clock + 2, uptime_s=uptime))

    assert (line.link.facts.was_clock_set, line.link.facts.was_rebooted) == (was_set, was_rebooted)


def test_a_wobble_of_the_uptime_does_not_move_the_start() -> None:
    line = Line.verified()
    before = line.link.facts.started
    line.now = 301
    line.answer(line.sent(ListRequest), EMPTY_LIST)
    line.now = 302
    line.answer(line.sent(InfoRequest), info(302, uptime_s=5299))

    assert line.link.facts.started == before
