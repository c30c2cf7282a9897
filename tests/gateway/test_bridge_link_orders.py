"""Orders and questions on one Bridge: they overtake polls, keep the gap, wait for the identity and for nothing else."""

import pytest

from nuki2mqtt.errors import BridgeErrorKind
from nuki2mqtt.protocol.bridge_api import (
    ActionAnswer,
    Answer,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockActionRequest,
    LockStateAnswer,
    LockStateRequest,
    LogAnswer,
    LogRequest,
)
from nuki2mqtt.protocol.settings import PollSettings
from tests.gateway.builders import LOCK, LOCKED, OPENER, ZERO, Line, info, moment
from tests.gateway.site import failure

UNLOCK, STRIKE = LockActionRequest(LOCK, 0, 1, nowait=True), LockActionRequest(OPENER, 2, 3, nowait=True)
EMPTY_LIST, DONE = ListAnswer(()), ActionAnswer(success=True)
FAR = ZERO + 9999
ANSWERS: dict[type, Answer] = {
    LockActionRequest: DONE,
    ListRequest: EMPTY_LIST,
    LockStateRequest: LockStateAnswer(success=True, state=LOCKED),
    LogRequest: LogAnswer(()),
}


def order(line: Line, request: LockActionRequest = UNLOCK, due: float = 0.0) -> None:
    line.link.order(request.nuki_id, request, ZERO + due, FAR)


# --- orders ---


def test_an_order_is_sent_at_once_and_once() -> None:
    line = Line.verified()
    order(line)
    call = line.sent(LockActionRequest)
    while_under_way = (line.link.ordered_device, line.link.waiting_orders, line.due)
    line.answer(call, DONE)

    assert call.request == UNLOCK
    assert while_under_way == (LOCK, (), None)
    assert (line.link.ordered_device, line.due) == (None, 31)


def test_an_order_overtakes_every_poll() -> None:
    line = Line.verified()
    line.now = 400
    line.link.want_lock_state(LOCK, 0, moment(400))
    assert line.link.ask(1, LogRequest(0, 1))
    order(line)
    order(line, STRIKE)
    kinds = list[str]()
    for _ in range(5):
        call = line.next_sent()
        kinds.append(type(call.request).__name__)
        line.answer(call, ANSWERS[type(call.request)])

    assert kinds == ["LockActionRequest", "LockActionRequest", "ListRequest", "LockStateRequest", "LogRequest"]


def test_an_order_keeps_the_gap() -> None:
    line = Line.verified(PollSettings(min_gap_s=1))
    line.now = 31
    line.answer(line.sent(ListRequest), EMPTY_LIST)
    order(line)

    assert line.due == 32
    line.now = 31.9
    assert line.tick() == []
    line.now = 32
    line.sent(LockActionRequest)


@pytest.mark.parametrize("kind", ["busy", "token_refused", "unexpected_status", "unreadable"])
def test_an_order_keeps_the_gap_but_no_back_off(kind: str) -> None:
    line = Line.verified()
    for _ in range(6):
        line.answer(line.next_sent(), failure(kind))
    backed_off = line.due
    order(line)

    assert backed_off is not None
    assert backed_off > line.now + 2
    assert line.due == pytest.approx(line.now + 0.5)


def test_an_order_is_not_sent_before_it_is_due() -> None:
    line = Line.verified()
    order(line, due=10)
    line.now = 9.9
    early = line.tick()
    line.now = 10
    line.sent(LockActionRequest)

    assert early == []


def test_an_order_that_is_not_due_holds_up_no_poll() -> None:
    line = Line.verified()
    order(line, due=1000)
    line.now = 31
    line.sent(ListRequest)


def test_while_a_request_is_under_way_an_order_waits() -> None:
    line = Line.verified()
    line.now = 31
    line.sent(ListRequest)
    order(line)
    line.now = 60

    assert (line.due, line.tick(), line.link.waiting_orders) == (None, [], (LOCK,))


def test_a_newer_order_replaces_the_one_that_waits() -> None:
    line = Line.verified()
    order(line)
    newer = LockActionRequest(LOCK, 0, 2, nowait=True)
    order(line, newer)

    assert line.sent(LockActionRequest).request == newer
    assert line.link.waiting_orders == ()


def test_an_order_that_is_withdrawn_is_not_sent() -> None:
    line = Line.verified()
    order(line)
    order(line, STRIKE)
    line.link.withdraw(LOCK)
    line.link.withdraw(LOCK)

    assert line.sent(LockActionRequest).request == STRIKE
    assert line.link.waiting_orders == ()


def test_withdrawing_does_not_take_back_what_was_sent() -> None:
    line = Line.verified()
    order(line)
    call = line.sent(LockActionRequest)
    line.link.withdraw(LOCK)

    assert line.link.ordered_device == LOCK
    line.answer(call, DONE)


# --- the identity before an order ---


@pytest.mark.parametrize("kind", ["refused", "timeout", "reset"])
def test_the_identity_is_asked_before_an_order_where_somebody_else_may_answer(kind: str) -> None:
    line = Line.verified()
    line.now = 31
    line.answer(line.sent(ListRequest), failure(kind))
    order(line)

    # The identity would wait longer; for an order it is asked at once.
    assert line.due == 31.5
    line.now = 31.5
    line.answer(line.sent(InfoRequest), info(31.5))
    line.now = 32
    line.sent(LockActionRequest)


def test_another_bridge_at_the_address_gets_no_order() -> None:
    line = Line.verified()
    line.now = 31
    line.answer(line.sent(ListRequest), failure("refused"))
    order(line)
    line.now = 31.5
    line.answer(line.sent(InfoRequest), info(31.5, bridge_id=OPENER))
    line.now = 9000

    assert (line.due, line.tick(), line.link.can_be_asked) == (None, [], False)


def test_before_the_first_identity_no_order_goes_out() -> None:
    line = Line.with_settings()
    order(line)
    before = line.tick()
    line.link.start(moment(0))

    assert before == []
    line.sent(InfoRequest)


# --- an order that fails ---


@pytest.mark.parametrize("kind", BridgeErrorKind)
def test_a_failed_order_is_never_repeated_by_the_link(kind: str) -> None:
    line = Line.verified()
    order(line)
    line.answer(line.sent(LockActionRequest), failure(kind))
    asked = list[str]()
    for _ in range(20):
        call = line.next_sent()
        asked.append(type(call.request).__name__)
        line.answer(call, info(line.now) if isinstance(call.request, InfoRequest) else EMPTY_LIST)

    assert set(asked) <= {"InfoRequest", "ListRequest"}


def test_failed_orders_do_not_add_up_to_a_long_back_off() -> None:
    line = Line.verified()
    for _ in range(6):
        order(line)
        line.answer(line.next_sent(), failure("busy"))
    line.link.ask_list_now(moment(line.now))

    assert line.due == line.now + 2


def test_a_failed_order_is_trouble_until_something_is_answered() -> None:
    line = Line.verified()
    order(line)
    line.answer(line.sent(LockActionRequest), failure("busy"))
    before = line.link.is_in_trouble
    line.answer(line.next_sent(), EMPTY_LIST)

    assert (before, line.link.is_in_trouble) == (True, False)


# --- switching ---


def test_a_stop_and_a_release_drop_what_waits() -> None:
    for leave in ("stop", "release"):
        line = Line.verified()
        order(line)
        line.link.ask(1, LogRequest(0, 1))
        if leave == "stop":
            line.link.stop()
        else:
            line.link.release(moment(2))
        line.now = 1000

        assert (line.link.waiting_orders, line.link.queue, line.link.can_be_asked) == ((), 0, False)
        assert line.tick() == []


def test_without_a_token_nothing_can_be_asked() -> None:
    line = Line.with_settings()

    assert (line.link.can_be_asked, line.link.ask(1, LogRequest(0, 1))) == (False, False)


# --- questions ---


def test_what_a_person_asks_comes_after_list_and_read_and_before_the_rest() -> None:
    line = Line.verified()
    line.now = 400
    line.link.want_lock_state(LOCK, 0, moment(400))
    line.link.ask(1, LogRequest(0, 1))
    kinds = list[str]()
    for _ in range(4):
        call = line.next_sent()
        kinds.append(type(call.request).__name__)
        line.answer(call, ANSWERS.get(type(call.request), info(line.now)))

    assert kinds == ["ListRequest", "LockStateRequest", "LogRequest", "InfoRequest"]


def test_at_most_eight_questions_wait() -> None:
    line = Line.verified()

    assert [line.link.ask(number, LogRequest(0, 1)) for number in range(10)] == [True] * 8 + [False] * 2


def test_a_question_is_asked_once_whatever_the_answer() -> None:
    line = Line.verified()
    line.link.ask(1, LogRequest(0, 1))
    line.answer(line.sent(LogRequest), failure("busy"))
    asked = list[str]()
    for _ in range(5):
        call = line.next_sent()
        asked.append(type(call.request).__name__)
        line.answer(call, EMPTY_LIST if isinstance(call.request, ListRequest) else info(line.now))

    assert "LogRequest" not in asked


# --- a list that somebody waits for ---


def test_a_list_that_somebody_waits_for_comes_at_once_and_at_most_every_2_s() -> None:
    line = Line.verified()
    line.now = 10
    line.link.ask_list_now(moment(10))
    first = line.due
    line.answer(line.sent(ListRequest), EMPTY_LIST)
    line.link.ask_list_now(moment(10))

    assert (first, line.due) == (10, 12)
