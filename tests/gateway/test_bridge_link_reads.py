"""Reads that wake a lock, as one Bridge is asked for them."""

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.vocabulary import CallBridge
from nuki2mqtt.model.device import NukiId
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
from nuki2mqtt.protocol.settings import PollSettings
from tests.gateway.builders import LOCK, LOCKED, OPENER, Line, info, moment

EMPTY_LIST = ListAnswer(())


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


# --- reads that wake a lock ---


def test_a_wanted_read_is_asked_once() -> None:
    line = Line.verified()
    wanted = [line.link.want_lock_state(LOCK, 4, moment(2)) for _ in range(3)]
    call = line.sent(LockStateRequest)
    while_under_way = (line.link.want_lock_state(LOCK, 4, moment(2)), line.link.is_wanted(LOCK))
    line.answer(call, LockStateAnswer(success=True, state=LOCKED))

    assert call.request == LockStateRequest(LOCK, 4)
    assert (wanted, while_under_way) == ([True] * 3, (True, True))
    assert (line.link.is_wanted(LOCK), line.link.forced_reads, line.due) == (False, 1, 31)


def test_the_same_lock_is_not_woken_twice_within_forced_min_s() -> None:
    line = Line.verified()
    line.link.want_lock_state(LOCK, 0, moment(2))
    line.answer(line.sent(LockStateRequest), LockStateAnswer(success=True, state=LOCKED))
    line.link.want_lock_state(LOCK, 0, moment(3))
    line.link.want_lock_state(OPENER, 2, moment(3))
    line.now = 3
    other = line.sent(LockStateRequest)
    line.answer(other, LockStateAnswer(success=True, state=LOCKED))
    times = list[float]()
    for _ in range(3):
        call = line.next_sent()
        times += [line.now] if isinstance(call.request, LockStateRequest) else []
        line.answer(call, EMPTY_LIST if isinstance(call.request, ListRequest) else LockStateAnswer(success=True))

    assert other.request == LockStateRequest(OPENER, 2)
    assert times == [62]


def wake(line: Line, at: float, nuki_id: NukiId = LOCK) -> bool:
    """Want a read at this time and let the Bridge answer all that is due within 5 s."""

    def answer_all() -> None:
        while (due := line.due) is not None and due <= line.now + 5:
            call = line.next_sent()
            line.answer(call, usual(call, line.now))

    line.now = at
    answer_all()
    wanted = line.link.want_lock_state(nuki_id, 0, moment(line.now))
    answer_all()
    return wanted


def test_the_budget_of_the_day_comes_back_read_by_read() -> None:
    line = Line.verified(PollSettings(forced_per_day=2, forced_min_s=10, list_s=3600, info_s=86400))

    assert [wake(line, at) for at in (10, 100, 200, 86400, 86420, 86440, 86520)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert line.link.forced_reads == 4


def test_the_budget_is_each_lock_s_own() -> None:
    line = Line.verified(PollSettings(forced_per_day=1, forced_min_s=10))

    assert [wake(line, 10), wake(line, 40), wake(line, 70, OPENER), wake(line, 100, OPENER)] == [
        True,
        False,
        True,
        False,
    ]


def test_a_budget_of_0_wakes_nobody() -> None:
    line = Line.verified(PollSettings(forced_per_day=0))

    assert (line.link.want_lock_state(LOCK, 0, moment(2)), line.tick()) == (False, [])


def test_a_read_that_did_not_reach_the_lock_is_tried_twice_more_much_later() -> None:
    line = Line.verified(PollSettings(list_s=3600, info_s=86400))
    line.link.want_lock_state(LOCK, 0, moment(2))
    times = list[float]()
    while line.link.is_wanted(LOCK):
        call = line.next_sent()
        is_read = isinstance(call.request, LockStateRequest)
        times += [line.now] if is_read else []
        line.answer(call, LockStateAnswer(success=False) if is_read else EMPTY_LIST)

    assert times == pytest.approx([2, 602, 4202], abs=1)


@pytest.mark.parametrize("kind", list(BridgeErrorKind))
def test_a_failed_read_is_tried_again_only_if_the_lock_was_not_woken_or_not_reached(kind: BridgeErrorKind) -> None:
    line = Line.verified()
    line.link.want_lock_state(LOCK, 0, moment(2))
    line.answer(line.sent(LockStateRequest), BridgeError(kind))

    may_come = {"busy", "refused", "too_late", "token_refused", "device_offline"}
    assert line.link.is_wanted(LOCK) is (kind in may_come)


def test_a_read_is_tried_three_times_at_most_and_not_within_forced_min_s() -> None:
    line = Line.verified()
    line.link.want_lock_state(LOCK, 0, moment(2))
    times = list[float]()
    while line.link.is_wanted(LOCK):
        call = line.next_sent()
        if isinstance(call.request, LockStateRequest):
            times.append(line.now)
            line.answer(call, BridgeError(BridgeErrorKind.BUSY))
        else:
            line.answer(call, EMPTY_LIST)

    assert times == [2, 62, 122]
    assert (line.link.forced_reads, line.link.busy_answers) == (3, 3)
