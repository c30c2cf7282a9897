"""Whatever a Bridge answers and people want: one request at a time, the gap, and the budget of forced reads."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.callback_lease import OwnCallback
from nuki2mqtt.gateway.vocabulary import CallBridge
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    CallbackListAnswer,
    CallbackListRequest,
    CallbackRemoveRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockStateAnswer,
    LockStateRequest,
    SuccessAnswer,
)
from nuki2mqtt.protocol.settings import PollSettings
from tests.gateway.builders import BRIDGE_ID, LOCK, LOCKED, OPENER, TOKEN, ZERO, Line, info, moment

POLL = PollSettings(list_s=30, info_s=300, min_gap_s=0.5, forced_min_s=60, forced_per_day=3)
DAY_S = 86400.0
OWN = [OwnCallback(host, 8321, Secret("/callback/1234abcd/5ecret"), "1234abcd") for host in ("192.0.2.5", "192.0.2.9")]
FOREIGN = CallbackSlot(7, "http://192.0.2.6:8123/hook")
MINE = CallbackSlot(2, "http://192.0.2.77:8321/callback/1234abcd/0ld")
SLOTS = [(), (FOREIGN,), (FOREIGN, MINE), (FOREIGN, FOREIGN, FOREIGN), (CallbackSlot(0, OWN[0].url().reveal()),)]


class Life(RuleBasedStateMachine):
    """A link under every order of answers, failures, wishes and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line.with_settings(poll=POLL)
        self.under_way: CallBridge | None = None
        self.answered_at: float | None = None
        self.reads: dict[object, list[float]] = {}
        self.has_released = False
        self.line.link.start(moment(0))

    # --- what the shell does ---

    @rule(pause=st.one_of(st.floats(0, 3), st.sampled_from([30.0, 61.0, 900.0, DAY_S])))
    def time_passes(self, pause: float) -> None:
        self.line.now += pause

    @rule()
    def the_deadline_comes(self) -> None:
        if self.line.due is not None:
            self.line.now = max(self.line.now, self.line.due)

    @rule()
    def the_timer_fires(self) -> None:
        for effect in self.line.tick():
            assert isinstance(effect, CallBridge)
            self.sent(effect)
            return
        due = self.line.link.next_deadline()
        assert due is None or due > ZERO + self.line.now, "nothing was sent and the deadline is not ahead: it spins"

    def sent(self, call: CallBridge) -> None:
        assert self.under_way is None, "two requests at a time"
        assert self.answered_at is None or self.line.now - self.answered_at >= POLL.min_gap_s - 1e-6, "within the gap"
        if isinstance(call.request, LockStateRequest):
            reads = self.reads.setdefault(call.request.nuki_id, [])
            assert not reads or self.line.now - reads[-1] >= POLL.forced_min_s - 1e-6, "the lock is woken too often"
            reads.append(self.line.now)
            today = [at for at in reads if self.line.now - at < DAY_S - 1e-6]
            assert len(today) <= POLL.forced_per_day, "the budget of the day is overdrawn"
        if isinstance(call.request, CallbackRemoveRequest):
            assert call.request.id != FOREIGN.id, "a foreign slot is removed"
        if not self.line.link.is_verified:
            assert isinstance(call.request, InfoRequest), "the identity is not asked first"
        self.under_way = call

    # --- what the Bridge does ---

    @precondition(lambda self: self.under_way is not None)
    @rule(takes=st.floats(0, 60), slots=st.sampled_from(SLOTS), success=st.booleans(), uptime=st.integers(0, 9999))
    def the_bridge_answers(self, takes: float, slots: tuple[CallbackSlot, ...], *, success: bool, uptime: int) -> None:
        answer: Answer
        assert self.under_way is not None
        match self.under_way.request:
            case InfoRequest():
                answer = info(self.line.now, uptime_s=uptime)
            case ListRequest():
                answer = ListAnswer(())
            case LockStateRequest():
                answer = LockStateAnswer(success=success, state=LOCKED if success else None)
            case CallbackListRequest():
                answer = CallbackListAnswer(slots)
            case _:
                answer = SuccessAnswer(success=success)
        self.answer(answer, takes)

    @precondition(lambda self: self.under_way is not None)
    @rule(kind=st.sampled_from(BridgeErrorKind), takes=st.floats(0, 60))
    def the_bridge_fails(self, kind: BridgeErrorKind, takes: float) -> None:
        self.answer(BridgeError(kind), takes)

    def answer(self, answer: Answer | BridgeError, takes: float) -> None:
        assert self.under_way is not None
        self.line.now += takes
        self.line.answer(self.under_way, answer)
        self.under_way, self.answered_at = None, self.line.now

    # --- what is wanted ---

    @rule(nuki_id=st.sampled_from([LOCK, OPENER]))
    def a_read_is_wanted(self, nuki_id: type(LOCK)) -> None:  # type: ignore[valid-type]
        self.line.link.want_lock_state(nuki_id, 0, moment(self.line.now))

    @rule()
    def a_hint_comes(self) -> None:
        before = self.line.link.next_deadline()
        self.line.link.bring_list_forward(moment(self.line.now))
        after = self.line.link.next_deadline()
        assert before is None or (after is not None and after <= before), "a hint delays"

    @rule(own=st.sampled_from([*OWN, None]))
    def our_address_is(self, own: OwnCallback | None) -> None:
        self.line.link.set_own_callback(own, moment(self.line.now))

    @rule()
    def the_lease_is_doubted(self) -> None:
        self.line.link.verify_lease(moment(self.line.now))

    @rule()
    def callbacks_are_lost(self) -> None:
        self.line.link.is_fast = not self.line.link.is_fast

    @precondition(lambda self: not self.has_released)
    @rule()
    def a_token_is_paired(self) -> None:
        self.line.link.pair(TOKEN, moment(self.line.now), replace_bridge=False)

    @precondition(lambda self: len(self.reads) > 0)
    @rule()
    def the_process_stops(self) -> None:
        self.has_released = True
        self.line.link.release(moment(self.line.now))

    # --- always ---

    @invariant()
    def nothing_is_due_while_a_request_is_under_way(self) -> None:
        if self.under_way is not None:
            assert self.line.link.next_deadline() is None
            assert self.line.tick() == []

    @invariant()
    def the_bridge_is_the_one_that_answered(self) -> None:
        assert self.line.link.bridge_id in {None, BRIDGE_ID}


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestLife = pytest.mark.timeout(120)(Life.TestCase)
