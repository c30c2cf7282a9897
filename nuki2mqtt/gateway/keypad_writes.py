"""What is asked of the cloud for a keypad code, and what its answers mean (web reference 1.2 and 6.3).

Only after a list that is as fresh as the last write, only for a device that is online, one write at a time. A write
that the cloud may have taken is looked for and counted as a try; after a try in vain the device is read once (a forced
sync, if the budget has one) before the next.
"""

from dataclasses import replace

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.keypad_lane import LOOKS_S, SYNC_LOOKS_S, Call, CallKind, Check, KeypadLane
from nuki2mqtt.gateway.keypad_life import KeypadTurn
from nuki2mqtt.gateway.keypad_orders import refusal_of
from nuki2mqtt.gateway.keypad_steps import AskCloud
from nuki2mqtt.gateway.keypad_table import KeypadTable
from nuki2mqtt.gateway.keypad_wishes import KeypadWish, Why
from nuki2mqtt.gateway.sync_budget import SYNC_EVERY_S
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.keypad import Authorization, KeypadCode
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import KeypadProblem
from nuki2mqtt.protocol.web_api import (
    AuthorizationDeleteRequest,
    AuthorizationListRequest,
    CodeCreateRequest,
    CodeUpdateRequest,
    DoneAnswer,
    SyncRequest,
    WebAnswer,
    WebRequest,
)

MOST_TRIES = 3  # of a creation or a change; a deletion is tried for ever
RETRIES_S = (300.0, 3600.0)  # after the first look in vain, and after the next ones
_MANY_TRIES, _SELDOM_S = 8, 86_400.0
RAISED_AFTER = 2  # deletions in vain that somebody must hear of
_LATE_LOOK_S = 40.0

_KINDS = {
    KeypadPhase.CREATE_PENDING: CallKind.CREATE,
    KeypadPhase.UPDATE_PENDING: CallKind.UPDATE,
    KeypadPhase.DELETE_PENDING: CallKind.DELETE,
}
_CLEAR_NOS: dict[WebErrorKind, Why] = {
    WebErrorKind.NOT_ALLOWED: KeypadReason.NOT_ALLOWED,
    WebErrorKind.PAYMENT_REQUIRED: KeypadReason.UPGRADE_REQUIRED,
    WebErrorKind.UPGRADE_REQUIRED: KeypadReason.UPGRADE_REQUIRED,
    WebErrorKind.BAD_REQUEST: KeypadReason.CLOUD_SAID_NO,
}


class KeypadWrites:
    """The calls of all devices."""

    def __init__(self, table: KeypadTable) -> None:
        self._table = table
        self._asked: list[AskCloud] = []
        self._calls = 0

    def take_asked(self) -> list[AskCloud]:
        """What is to be sent since the last call."""
        asked, self._asked = self._asked, []
        return asked

    def _ask(
        self,
        lane: KeypadLane,
        kind: CallKind,
        request: WebRequest,
        now: Moment,
        wish_id: str | None = None,
        *,
        is_first: bool = False,
    ) -> None:
        self._calls += 1
        wanted = request.wanted if isinstance(request, CodeUpdateRequest) else None
        lane.call = Call(self._calls, kind, now.monotonic, wish_id, wanted, is_first)
        self._asked.append(AskCloud(self._calls, lane.smartlock_id, request))

    # --- Asking -------------------------------------------------------------------------------------------------------

    def read_list(self, lane: KeypadLane, now: Moment) -> None:
        """Read the device's authorizations, of all types: they share the room."""
        self._ask(lane, CallKind.LIST, AuthorizationListRequest(lane.smartlock_id), now)

    def due(self, lane: KeypadLane, now: float) -> tuple[str, ...]:
        """The codes that may be written now."""
        return tuple(wish_id for wish_id in self._table.pending(lane) if lane.next_try.get(wish_id, now) <= now)

    def write(self, lane: KeypadLane, wish_id: str, now: Moment) -> bool:
        """Do what this code needs next; whether something is asked now. The list is fresh."""
        wish = self._table.wishes[wish_id]
        found = lane.find(wish, self._table.owned(lane))
        if found is not None and found.has_operation:
            lane.wait_for_operation(wish_id, now.monotonic)
            return False
        if found is None and wish.sent_code is not None and now.monotonic < lane.settles_at(wish_id):
            lane.next_try[wish_id] = lane.settles_at(wish_id)  # it may still come
            return False
        if found is not None and wish_id in lane.denied:
            self._table.turn(lane, wish_id, KeypadTurn.REFUSED, KeypadReason.NOT_ALLOWED)
            return False
        code = wish.wanted(found)
        if wish.phase is not KeypadPhase.DELETE_PENDING and self._is_refused(lane, wish_id, wish, code, now):
            return False
        is_in_vain = wish.attempts > 0 or wish_id in lane.conflicts
        if is_in_vain and self._may_sync(lane, wish_id, now):
            self._table.spend_sync(lane, now)
            self._ask(lane, CallKind.SYNC, SyncRequest(lane.smartlock_id), now, wish_id)
            return True
        return self._send(lane, wish_id, wish, found, code, now)

    def _send(
        self,
        lane: KeypadLane,
        wish_id: str,
        wish: KeypadWish,
        found: Authorization | None,
        code: KeypadCode | None,
        now: Moment,
    ) -> bool:
        request: WebRequest
        is_first = wish.sent_code is None
        if wish.phase is KeypadPhase.CREATE_PENDING and code is not None:
            request = CodeCreateRequest(lane.smartlock_id, code)
            wish = replace(wish, sent_name=code.name, sent_code=code.code)
        elif wish.phase is KeypadPhase.UPDATE_PENDING and code is not None and found is not None:
            request = CodeUpdateRequest(lane.smartlock_id, found.id, code)
        elif wish.phase is KeypadPhase.DELETE_PENDING and found is not None:
            request = AuthorizationDeleteRequest(lane.smartlock_id, found.id)
        else:
            lane.next_try[wish_id] = now.monotonic + _LATE_LOOK_S  # the list was not complete: another one decides
            return False
        self._table.put(lane, wish_id, replace(wish, attempts=wish.attempts + 1))
        self._ask(lane, _KINDS[wish.phase], request, now, wish_id, is_first=is_first)
        return True

    def _is_refused(
        self, lane: KeypadLane, wish_id: str, wish: KeypadWish, code: KeypadCode | None, now: Moment
    ) -> bool:
        """Whether a rule forbids it, now that the device is known."""
        if code is None:
            self._table.turn(lane, wish_id, KeypadTurn.REFUSED, KeypadReason.CODE_NEEDED)
            return True
        problems = self._table.surroundings(lane).problems(wish_id, wish, code, now.wall)
        if wish_id in lane.conflicts and KeypadProblem.CODE_TAKEN in problems:
            self._table.turn(lane, wish_id, KeypadTurn.REFUSED, KeypadReason.CODE_IN_USE)
        elif problems:
            refusal = refusal_of(problems)
            self._table.turn(lane, wish_id, KeypadTurn.REFUSED, refusal.reason, refusal.detail)
        elif (
            wish_id in lane.conflicts and not self._is_synced(lane, wish_id) and not self._may_sync(lane, wish_id, now)
        ):
            # The cloud says that it is taken, the list does not show by what, and there is no other way to learn it.
            self._table.turn(lane, wish_id, KeypadTurn.REFUSED, KeypadReason.CODE_IN_USE)
        else:
            return False
        return True

    def _is_synced(self, lane: KeypadLane, wish_id: str) -> bool:
        """Whether the device was read since the last write to this code."""
        return lane.synced is not None and lane.synced >= lane.wrote.get(wish_id, lane.born)

    def _may_sync(self, lane: KeypadLane, wish_id: str, now: Moment) -> bool:
        """Whether a forced sync is left in the budget, and was not tried in vain lately."""
        is_lately = lane.synced is not None and now.monotonic - lane.synced < SYNC_EVERY_S
        if is_lately or self._is_synced(lane, wish_id):
            return False
        return self._table.budget.wait_s(lane.smartlock_id, now) <= 0

    # --- Answers ------------------------------------------------------------------------------------------------------

    def ended(self, lane: KeypadLane, call: Call, answer: WebAnswer | WebError, now: Moment) -> None:
        """A write or a sync has its answer."""
        wish_id = call.wish_id or ""
        if isinstance(answer, DoneAnswer):
            lane.succeed()
            lane.locked = 0
        lane.written = now.monotonic
        if call.kind is CallKind.SYNC:
            if isinstance(answer, WebError) and not answer.may_have_acted:
                self._table.refund_sync(lane)
            lane.begin_check(Check(wish_id, call.kind), now.monotonic, SYNC_LOOKS_S)
            return
        wish = self._table.wishes.get(wish_id)
        if isinstance(answer, WebError) and not answer.may_have_acted:
            if wish is not None:
                self._not_taken(lane, call, wish_id, wish, answer, now)
            return
        lane.wrote[wish_id] = now.monotonic
        lane.conflicts.discard(wish_id)
        lane.begin_check(Check(wish_id, call.kind, call.wanted), now.monotonic, LOOKS_S)

    def _not_taken(
        self, lane: KeypadLane, call: Call, wish_id: str, wish: KeypadWish, error: WebError, now: Moment
    ) -> None:
        wish = replace(wish, attempts=max(wish.attempts - 1, 0))
        if call.is_first:
            wish = replace(wish, sent_name=None, sent_code=None)
        self._table.put(lane, wish_id, wish)
        is_current = _KINDS.get(wish.phase) is call.kind  # else a newer order came in between
        match error.kind:
            case WebErrorKind.LOCKED:
                lane.wait_for_operation(wish_id, now.monotonic)
            case WebErrorKind.CONFLICT if is_current and call.kind is CallKind.CREATE and wish_id not in lane.conflicts:
                lane.conflicts.add(wish_id)
                lane.wrote[wish_id] = now.monotonic
            case WebErrorKind.CONFLICT if is_current:
                self._table.turn(lane, wish_id, KeypadTurn.REFUSED, KeypadReason.CODE_IN_USE)
            case WebErrorKind.FORBIDDEN | WebErrorKind.NOT_FOUND if is_current and call.kind is CallKind.CREATE:
                self._table.turn(lane, wish_id, KeypadTurn.REFUSED, KeypadReason.NOT_ALLOWED)
            case WebErrorKind.FORBIDDEN | WebErrorKind.NOT_FOUND:
                lane.denied.add(wish_id)  # it is gone, or it is not ours to touch: the list tells
            case kind if kind in _CLEAR_NOS and is_current:
                reason = _CLEAR_NOS[kind]
                if call.kind is CallKind.CREATE and error.parameter == "type":  # web reference 6.1: no Keypad
                    reason = KeypadProblem.NO_KEYPAD
                self._table.turn(lane, wish_id, KeypadTurn.REFUSED, reason, error.detail)
            case kind if kind in _CLEAR_NOS or kind is WebErrorKind.CONFLICT:
                pass  # of what is not wanted any more
            case _:
                lane.fail(error, now.monotonic)

    # --- Looking for what was written ---------------------------------------------------------------------------------

    def seen(self, lane: KeypadLane, wish_id: str, found: Authorization | None) -> None:
        """End the look for a write that a list shows, so that a newer order for the same code has its turn."""
        check = lane.check
        if check is None or check.wish_id != wish_id or found is None or found.has_operation:
            return
        wish = self._table.wishes[wish_id]
        if check.kind is CallKind.CREATE:
            lane.end_check(wish_id)
        elif check.kind is CallKind.UPDATE and check.wanted is not None:
            former = replace(
                wish,
                name=check.wanted.name,
                enabled=check.wanted.enabled,
                schedule=check.wanted.schedule,
                code=check.wanted.code,
            )
            if former.compare(found).is_exact:
                lane.end_check(wish_id)

    def give_up_looking(self, lane: KeypadLane, now: Moment) -> None:
        """The last look was in vain: again later, or not any more."""
        if lane.listed < lane.written:  # no list since: nothing is known yet
            lane.looks = [now.monotonic + _LATE_LOOK_S]
            return
        check, lane.check = lane.check, None
        wish = None if check is None else self._table.wishes.get(check.wish_id)
        if check is None or wish is None:
            return
        if check.kind is CallKind.SYNC or wish.attempts == 0:
            lane.next_try[check.wish_id] = now.monotonic
            return
        is_deletion = wish.phase is KeypadPhase.DELETE_PENDING
        if not is_deletion and wish.attempts >= MOST_TRIES and lane.is_online:
            self._table.turn(lane, check.wish_id, KeypadTurn.GIVEN_UP, KeypadReason.NOT_CONFIRMED)
            return
        lane.next_try[check.wish_id] = now.monotonic + retry_s(wish.attempts)
        waiting = replace(wish, reason=str(KeypadReason.NOT_CONFIRMED))
        self._table.put(lane, check.wish_id, waiting)
        if is_deletion and wish.attempts == RAISED_AFTER:
            self._table.warn(lane, waiting, "the cloud takes every order to delete it, and lists it still")


def retry_s(tries: int) -> float:
    """How long to wait after so many tries in vain."""
    return _SELDOM_S if tries > _MANY_TRIES else RETRIES_S[min(tries, len(RETRIES_S)) - 1]
