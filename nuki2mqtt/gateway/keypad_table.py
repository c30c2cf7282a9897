"""The wishes of all devices with their lanes: who changes one here leaves nothing untold and nothing unsaved."""

import re
from dataclasses import replace

from nuki2mqtt.gateway.keypad_lane import LOOKS_S, KeypadLane
from nuki2mqtt.gateway.keypad_life import PENDING, KeypadTurn, next_phase
from nuki2mqtt.gateway.keypad_orders import Surroundings
from nuki2mqtt.gateway.keypad_results import KeypadResults
from nuki2mqtt.gateway.keypad_wishes import KeypadMemory, KeypadWish, Why, why_of
from nuki2mqtt.gateway.sync_budget import SyncBudget
from nuki2mqtt.gateway.vocabulary import Level, Log, Moment
from nuki2mqtt.model.cloud_device import nuki_id_of
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import KeypadProblem
from nuki2mqtt.protocol.keypad_payloads import KeypadEntry

_LIKE_A_CODE = re.compile(r"[0-9]{4,}")
_FIRST_AUDIT_S = 1.0
# Where an order ends.
_RESTS = frozenset({KeypadPhase.ACTIVE, KeypadPhase.FAILED, KeypadPhase.NEEDS_REVIEW})


class KeypadTable:
    """`is_changed`: what `remember` gives must be saved. `budget`: of forced syncs, shared with whoever wants one."""

    def __init__(self, memory: KeypadMemory, now: Moment, *, capacity: int, budget: SyncBudget) -> None:
        self.wishes = dict(memory.wishes)
        self.budget = budget
        self.results = KeypadResults(memory.operations)
        self.lanes: dict[int, KeypadLane] = {}
        self.is_changed = False
        self._capacity = capacity
        self._ids: dict[int, dict[str, None]] = {}
        self._pending: dict[int, dict[str, None]] = {}
        self._touched: dict[int, None] = {}
        self._logs: list[Log] = []
        self._made = 0
        for wish_id, wish in memory.wishes.items():
            lane = self.lanes.get(wish.smartlock_id)
            if lane is None:
                first_s = _FIRST_AUDIT_S * len(self.lanes)  # five hundred devices need not be read at once
                lane = self.add_lane(wish.smartlock_id, now.monotonic)
                lane.audit_due = now.monotonic + first_s
            self._index(wish_id, wish)
            if wish.phase in PENDING and (wish.attempts or wish.sent_code is not None):
                # The former process may have sent it just now.
                lane.look(now.monotonic, LOOKS_S)
                lane.next_try[wish_id] = now.monotonic + LOOKS_S[-1]

    def add_lane(self, smartlock_id: int, now: float) -> KeypadLane:
        """A device that nothing was known of."""
        lane = KeypadLane(smartlock_id, now)
        self.lanes[smartlock_id] = lane
        self._touched[smartlock_id] = None
        return lane

    def new_id(self, smartlock_id: int, now: Moment) -> str:
        """An id that no wish has."""
        while True:
            self._made += 1
            wish_id = f"{smartlock_id} {now.wall.isoformat(timespec='seconds')} {self._made}"
            if wish_id not in self.wishes:
                return wish_id

    def lane_of_call(self, call_id: int) -> KeypadLane | None:
        """The device of a call under way."""
        return next((lane for lane in self.lanes.values() if lane.call and lane.call.call_id == call_id), None)

    # --- Looking ------------------------------------------------------------------------------------------------------

    def wishes_of(self, lane: KeypadLane) -> list[tuple[str, KeypadWish]]:
        """The codes of ours on a device, in the order in which they were wanted."""
        return [(wish_id, self.wishes[wish_id]) for wish_id in self._ids.get(lane.smartlock_id, ())]

    def living(self, lane: KeypadLane) -> list[tuple[str, KeypadWish]]:
        """Those of them that people know of: without what was deleted and may still be created."""
        return [one for one in self.wishes_of(lane) if one[1].phase is not KeypadPhase.DELETED]

    def has_wishes(self, lane: KeypadLane) -> bool:
        """Whether there are any."""
        return bool(self._ids.get(lane.smartlock_id))

    def pending(self, lane: KeypadLane) -> tuple[str, ...]:
        """Those of them that are not as wanted yet."""
        return tuple(self._pending.get(lane.smartlock_id, ()))

    def owned(self, lane: KeypadLane) -> frozenset[str]:
        """The cloud's ids of our codes on a device."""
        return frozenset(wish.auth_id for _, wish in self.wishes_of(lane) if wish.auth_id is not None)

    def has_moved(self, wish_id: str, was: KeypadWish) -> bool:
        """Whether it is in another phase than it was, or gone."""
        wish = self.wishes.get(wish_id)
        return wish is None or wish.phase is not was.phase

    def surroundings(self, lane: KeypadLane) -> Surroundings:
        """What orders and rules need to know of a device."""
        return Surroundings(
            smartlock_id=lane.smartlock_id,
            wishes=dict(self.living(lane)),
            listing=lane.listing,
            has_keypad=lane.has_keypad,
            capacity=lane.capacity(self._capacity),
        )

    def remember(self) -> KeypadMemory:
        """What the state file is to hold."""
        return KeypadMemory(dict(self.wishes), dict(self.results.operations), dict(self.budget.spent))

    # --- Changing -----------------------------------------------------------------------------------------------------

    def put(self, lane: KeypadLane, wish_id: str, wish: KeypadWish, detail: str | None = None) -> None:
        """This is how it is wanted and how far it is; where that is an end, its orders end."""
        was = self.wishes.get(wish_id)
        if wish == was:
            return
        self.touch(lane)
        self.is_changed = True
        if wish.phase is KeypadPhase.DELETED:
            if wish.sent_code is None:
                self._forget(lane, wish_id)
            else:  # its creation may still be carried out
                lane.end_check(wish_id)
                self._index(wish_id, wish)
            self.results.end(wish_id, wish, KeypadPhase.DELETED, None, None)
            return
        self._index(wish_id, wish)
        if was is None or wish.phase is was.phase:
            return
        lane.next_try.pop(wish_id, None)
        if wish.phase in _RESTS:
            self.results.end(wish_id, wish, wish.phase, why_of(wish.reason), detail)
        if wish.phase in {KeypadPhase.FAILED, KeypadPhase.NEEDS_REVIEW}:
            self.warn(lane, wish, str(wish.reason))

    def turn(
        self,
        lane: KeypadLane,
        wish_id: str,
        turn: KeypadTurn,
        reason: Why | None = None,
        detail: str | None = None,
    ) -> None:
        """This has happened to it."""
        wish = self.wishes[wish_id]
        phase = next_phase(wish.phase, turn)
        if turn is KeypadTurn.ENDED:
            self.results.end(wish_id, wish, KeypadPhase.FAILED, KeypadProblem.SCHEDULE_IN_THE_PAST, None)
            wish = replace(wish, code=None)
        reason_text = None if reason is None else str(reason)
        self.put(lane, wish_id, replace(wish, phase=phase, reason=reason_text, attempts=0), detail)

    def spend_sync(self, lane: KeypadLane, now: Moment) -> None:
        """The device is woken to be read."""
        self.budget.spend(lane.smartlock_id, now)
        lane.synced = now.monotonic
        self.is_changed = True

    def refund_sync(self, lane: KeypadLane) -> None:
        """The cloud has not taken it: it costs nothing, though this process does not try at once again."""
        self.budget.refund(lane.smartlock_id)
        self.is_changed = True

    def touch(self, lane: KeypadLane) -> None:
        """Something of this device may have to be told."""
        self._touched[lane.smartlock_id] = None

    def warn(self, lane: KeypadLane, wish: KeypadWish, why: str) -> None:
        """Tell the person who reads the log."""
        name = _LIKE_A_CODE.sub("***", wish.name)
        text = f'The keypad code "{name}" of the device {nuki_id_of(lane.smartlock_id)} is {wish.phase}: {why}.'
        self._logs.append(Log(Level.WARNING, text))

    def _index(self, wish_id: str, wish: KeypadWish) -> None:
        self.wishes[wish_id] = wish
        self._ids.setdefault(wish.smartlock_id, {})[wish_id] = None
        pending = self._pending.setdefault(wish.smartlock_id, {})
        if wish.phase in PENDING:
            pending[wish_id] = None
        else:
            pending.pop(wish_id, None)

    def _forget(self, lane: KeypadLane, wish_id: str) -> None:
        self.wishes.pop(wish_id, None)
        self._ids.get(lane.smartlock_id, {}).pop(wish_id, None)
        self._pending.get(lane.smartlock_id, {}).pop(wish_id, None)
        lane.forget(wish_id)

    # --- Telling ------------------------------------------------------------------------------------------------------

    def take_touched(self) -> list[KeypadLane]:
        """The devices of which something may have to be told."""
        touched, self._touched = self._touched, {}
        return [self.lanes[smartlock_id] for smartlock_id in touched]

    def take_logs(self) -> list[Log]:
        """What is to be logged since the last call."""
        logs, self._logs = self._logs, []
        return logs

    def tell_progress(self, lane: KeypadLane) -> None:
        """Say where the open orders of a device stand."""
        for wish_id in self.pending(lane):
            wish = self.wishes[wish_id]
            self.results.progress(wish_id, wish, self._why(lane, wish))

    def entries(self, lane: KeypadLane) -> tuple[KeypadEntry, ...]:
        """The codes of a device as they are shown, ours first."""
        listed = {one.id: one for one in lane.listing or ()}
        owned = self.owned(lane)
        ours = [self._entry(lane, wish, listed.get(wish.auth_id or "")) for _, wish in self.living(lane)]
        foreign = [_foreign(one) for one in listed.values() if one.is_keypad_code and one.id not in owned]
        return (*ours, *foreign)

    def _entry(self, lane: KeypadLane, wish: KeypadWish, found: Authorization | None) -> KeypadEntry:
        return KeypadEntry(
            id=wish.auth_id,
            name=wish.name,
            enabled=wish.enabled,
            schedule=wish.schedule,
            phase=wish.phase,
            reason=self._why(lane, wish),
            uses=None if found is None else found.lock_count,
            last_used=None if found is None else found.last_active,
            code=wish.code if wish.code is not None or found is None else found.code,
        )

    @staticmethod
    def _why(lane: KeypadLane, wish: KeypadWish) -> Why | None:
        reason = why_of(wish.reason)
        if wish.phase not in PENDING:
            return reason
        return KeypadReason.DEVICE_OFFLINE if not lane.is_online else lane.trouble or reason


def _foreign(one: Authorization) -> KeypadEntry:
    return KeypadEntry(
        id=one.id,
        name=one.name or "",
        enabled=one.enabled,
        schedule=one.schedule,
        phase=KeypadPhase.FOREIGN,
        uses=one.lock_count,
        last_used=one.last_active,
        code=one.code,
    )
