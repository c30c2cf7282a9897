"""Keypad codes that converge: what is wanted, made true in the cloud, and believed only when it was read back.

    steps = keypads.order(smartlock_id, order, now)
    steps = keypads.answered(call_id, answer, now)

Who may order at all is decided elsewhere; what is written next in `keypad_writes`. Whatever changes in `remember` comes
with a `SaveWishes` before any `AskCloud`, so that what is sent is known to the next process; and that one, which cannot
know whether it was sent, looks first.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.clock_trust import BUILT
from nuki2mqtt.gateway.keypad_judging import Sight, judge
from nuki2mqtt.gateway.keypad_lane import AUDIT_S, LOOKS_S, OWN_ECHO_S, SYNC_LOOKS_S, CallKind, KeypadLane
from nuki2mqtt.gateway.keypad_life import KeypadTurn
from nuki2mqtt.gateway.keypad_orders import Refusal, wish_for
from nuki2mqtt.gateway.keypad_results import NO_REPLY, Reply
from nuki2mqtt.gateway.keypad_steps import AskCloud, KeypadStep, SaveWishes, SayKeypad
from nuki2mqtt.gateway.keypad_table import KeypadTable
from nuki2mqtt.gateway.keypad_wishes import KeypadMemory
from nuki2mqtt.gateway.keypad_writes import KeypadWrites
from nuki2mqtt.gateway.sync_budget import SyncBudget
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.cloud_device import CloudDevice, ServerState
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import DEFAULT_CAPACITY
from nuki2mqtt.protocol.keypad_payloads import KeypadEntry, KeypadOrder
from nuki2mqtt.protocol.web_api import AuthorizationListAnswer, WebAnswer

EXPIRED_GRACE = timedelta(hours=24)
_EXPIRY_CHECK_S = 3600.0  # the wall clock may be set meanwhile
_HINT_S = 1.0  # several hints of one change come together
_AWAY = frozenset(
    {ServerState.OFFLINE, ServerState.UNREGISTERED, ServerState.AUTH_INVALID, ServerState.AUTH_UUID_INVALID}
)
_EXPIRES = frozenset({KeypadPhase.CREATE_PENDING, KeypadPhase.UPDATE_PENDING, KeypadPhase.ACTIVE, KeypadPhase.FAILED})


class Keypads:
    """The keypad codes of all devices.

    `entropy` gives bytes fit for cryptography. `is_told`: codes are published, so that one may be drawn. `capacity` is
    how many authorizations a device holds, `grace` how long an expired code of ours stays. `budget`: of forced syncs,
    where somebody else wants them, too.
    """

    def __init__(
        self,
        memory: KeypadMemory,
        now: Moment,
        *,
        entropy: Callable[[int], bytes],
        is_told: bool = False,
        capacity: int = DEFAULT_CAPACITY,
        grace: timedelta = EXPIRED_GRACE,
        budget: SyncBudget | None = None,
    ) -> None:
        budget = SyncBudget(memory.syncs, now.monotonic) if budget is None else budget
        self._table = KeypadTable(memory, now, capacity=capacity, budget=budget)
        self._writes = KeypadWrites(self._table)
        self._entropy = entropy
        self._is_told = is_told
        self._grace = grace
        self._devices: dict[int, CloudDevice] = {}
        self._shown: dict[int, tuple[KeypadEntry, ...]] = {}
        self._expiry_due = now.monotonic
        self._next: float | None = None

    # --- What happens -------------------------------------------------------------------------------------------------

    def order(self, smartlock_id: int, order: KeypadOrder, now: Moment, reply: Reply = NO_REPLY) -> list[KeypadStep]:
        """Somebody orders something; it is taken or refused at once."""
        table, results = self._table, self._table.results
        lane = self._lane(smartlock_id, now)
        if results.is_repeat(smartlock_id, order, now.monotonic):
            results.refuse(smartlock_id, order, reply, Refusal(KeypadReason.DUPLICATE))
            return self._flush()
        wanted = wish_for(order, table.surroundings(lane), now.wall, entropy=self._entropy, is_told=self._is_told)
        if isinstance(wanted, Refusal):
            results.refuse(smartlock_id, order, reply, wanted)
            return self._flush()
        wish_id, wish = wanted
        wish_id = table.new_id(smartlock_id, now) if wish_id is None else wish_id
        results.accept(wish_id, smartlock_id, order, reply, now.monotonic)
        table.is_changed = True  # also where the same is wanted as before
        table.touch(lane)
        lane.next_try.pop(wish_id, None)
        lane.conflicts.discard(wish_id)
        lane.denied.discard(wish_id)
        table.put(lane, wish_id, wish)
        if wish.phase is KeypadPhase.DELETE_PENDING and wish.auth_id is None and wish.sent_code is None:
            table.turn(lane, wish_id, KeypadTurn.MISSING)  # it was never sent
        self._advance(lane, now)
        return self._flush()

    def answered(self, call_id: int, answer: WebAnswer | WebError, now: Moment) -> list[KeypadStep]:
        """A call ended; one that nobody waits for is ignored."""
        lane = self._table.lane_of_call(call_id)
        if lane is None or lane.call is None:
            return []
        call, lane.call = lane.call, None
        if call.kind is not CallKind.LIST:
            self._writes.ended(lane, call, answer, now)
        elif isinstance(answer, AuthorizationListAnswer):
            lane.succeed()
            lane.listed = call.asked
            lane.audit_due = now.monotonic + AUDIT_S
            # The account itself is on every list: one without anybody is an answer that nobody shall act upon.
            is_complete = answer.is_complete and bool(answer.authorizations)
            self._listed(lane, answer.authorizations, now, is_complete=is_complete)
        else:
            error = answer if isinstance(answer, WebError) else WebError(WebErrorKind.UNREADABLE)
            lane.fail(error, now.monotonic)
        self._table.touch(lane)
        self._advance(lane, now)
        return self._flush()

    def hear_devices(self, devices: Iterable[CloudDevice], now: Moment) -> list[KeypadStep]:
        """The cloud has listed devices: whether it reaches them, and whether they have a Keypad."""
        for device in devices:
            self._devices[device.smartlock_id] = device
            lane = self._table.lanes.get(device.smartlock_id)
            if lane is not None:
                self._see(lane, device, now)
                self._advance(lane, now)
        return self._flush()

    def forget_shown(self, smartlock_id: int) -> None:
        """The device was removed: if it comes back, its codes are said anew. What is wanted stays."""
        self._shown.pop(smartlock_id, None)
        self._devices.pop(smartlock_id, None)

    def hear_codes(
        self, smartlock_id: int, codes: tuple[Authorization, ...], asked: float, now: Moment
    ) -> list[KeypadStep]:
        """A list of a device's keypad codes that somebody else asked for, at this monotonic time.

        It never proves that a code of ours is gone: where it lacks one, we look ourselves.
        """
        lane = self._lane(smartlock_id, now)
        is_late = asked < lane.written or (lane.call is not None and lane.call.kind is not CallKind.LIST)
        if not self._table.owned(lane) <= {one.id for one in codes}:
            self._look(lane, now)
        elif not is_late:
            lane.audit_due = now.monotonic + AUDIT_S
            others = [one for one in lane.listing or () if not one.is_keypad_code]
            self._listed(lane, (*others, *codes), now, is_complete=False)
            self._advance(lane, now)
        return self._flush()

    def hint(self, smartlock_id: int, now: Moment) -> list[KeypadStep]:
        """Something may have changed there (a webhook): it is read, if codes of ours are there."""
        lane = self._table.lanes.get(smartlock_id)
        if lane is not None:
            self._look(lane, now)
        return self._flush()

    def _look(self, lane: KeypadLane, now: Moment) -> None:
        if self._table.has_wishes(lane) and lane.check is None:
            lane.looks = lane.looks or [now.monotonic + _HINT_S]

    def used(self, smartlock_id: int, auth_id: str, now: Moment) -> list[KeypadStep]:
        """The log says that this entry opened: it is on the lock, whatever becomes of it, and a one-time code goes."""
        lane = self._table.lanes.get(smartlock_id)
        for wish_id, wish in () if lane is None else self._table.wishes_of(lane):
            if lane is None or wish.auth_id != auth_id:
                continue
            self._table.put(lane, wish_id, replace(wish, revived=True))
            if wish.once and wish.phase is KeypadPhase.ACTIVE:
                self._table.turn(lane, wish_id, KeypadTurn.ENDED)
                self._advance(lane, now)
        return self._flush()

    def woken(self, smartlock_id: int, now: Moment) -> list[KeypadStep]:
        """Somebody else had this device read: what was written before may show now."""
        lane = self._table.lanes.get(smartlock_id)
        if lane is not None:
            lane.synced = now.monotonic
            if self._table.has_wishes(lane):
                lane.look(now.monotonic, SYNC_LOOKS_S)
        return self._flush()

    def told(self, operation_id: str) -> list[KeypadStep]:
        """The broker has the newest result of this operation."""
        self._table.is_changed |= self._table.results.told(operation_id)
        return self._flush()

    # --- Time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float:
        """When `handle_timer` wants to be called, monotonic; at once for a new process."""
        if self._next is None:  # nothing of a lane changes but by what ends in `_flush`
            self._next = min((self._due(lane) for lane in self._table.lanes.values()), default=self._expiry_due)
        return self._next

    def _due(self, lane: KeypadLane) -> float:
        if lane.call is not None:
            return self._expiry_due
        return min(max(min(self._times(lane)), lane.quiet_until), self._expiry_due)

    def _times(self, lane: KeypadLane) -> Iterator[float]:
        yield self._expiry_due
        if lane.looks:
            yield lane.looks[0]
        if lane.check is not None:
            return  # nothing else has its turn
        if self._table.has_wishes(lane):
            yield lane.audit_due
        if lane.is_online:
            for wish_id in self._table.pending(lane):
                yield lane.next_try.get(wish_id, lane.born)

    def handle_timer(self, now: Moment) -> list[KeypadStep]:
        """Look and write where it is time, and let go what has expired."""
        if now.monotonic < self.next_deadline():
            return []
        if self._expiry_due <= now.monotonic:
            self._expiry_due = now.monotonic + _EXPIRY_CHECK_S
            self._expire(now)
        for lane in self._table.lanes.values():
            if self._due(lane) <= now.monotonic:
                self._advance(lane, now)
        return self._flush()

    def _expire(self, now: Moment) -> None:
        if now.wall < BUILT or now.is_synchronised is False:
            return  # a clock that nobody believes must not take away anybody's code
        for lane in self._table.lanes.values():
            for wish_id, wish in self._table.wishes_of(lane):
                if wish.phase in _EXPIRES and wish.schedule.has_ended(now.wall - self._grace):
                    self._table.turn(lane, wish_id, KeypadTurn.ENDED)
            self._advance(lane, now)

    # --- Views --------------------------------------------------------------------------------------------------------

    def remember(self) -> KeypadMemory:
        """What the state file is to hold."""
        return self._table.remember()

    def syncs(self, smartlock_id: int) -> int:
        """How often this device was woken to be read."""
        return self._table.budget.count(smartlock_id)

    def is_ours(self, smartlock_id: int, auth_id: str) -> bool:
        """Whether this entry of the cloud is a code of ours."""
        lane = self._table.lanes.get(smartlock_id)
        return lane is not None and auth_id in self._table.owned(lane)

    def entries(self, smartlock_id: int) -> tuple[KeypadEntry, ...]:
        """The codes of a device, ours first."""
        lane = self._table.lanes.get(smartlock_id)
        return () if lane is None else self._table.entries(lane)

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _lane(self, smartlock_id: int, now: Moment) -> KeypadLane:
        lane = self._table.lanes.get(smartlock_id)
        if lane is None:
            lane = self._table.add_lane(smartlock_id, now.monotonic)
        device = self._devices.get(smartlock_id)
        if device is not None:
            self._see(lane, device, now)
        return lane

    def _see(self, lane: KeypadLane, device: CloudDevice, now: Moment) -> None:
        if device.facts.has_keypad is not None:
            lane.has_keypad = device.facts.has_keypad
        is_online = device.facts.server_state not in _AWAY
        if is_online and not lane.is_online:
            lane.online_since = now.monotonic
            # What the cloud has kept for it is carried out now: nothing is to be sent twice because of that.
            for wish_id in self._table.pending(lane):
                wish = self._table.wishes[wish_id]
                is_sent = wish.attempts > 0 or wish.sent_code is not None
                lane.next_try[wish_id] = now.monotonic + (LOOKS_S[-1] if is_sent else 0.0)
            lane.look(now.monotonic, LOOKS_S)
        if is_online is not lane.is_online:
            lane.is_online = is_online
            self._table.touch(lane)

    def _listed(self, lane: KeypadLane, listing: tuple[Authorization, ...], now: Moment, *, is_complete: bool) -> None:
        before = lane.take_list(listing)
        self._table.touch(lane)
        for wish_id, wish in self._table.wishes_of(lane):
            found = lane.find(wish, self._table.owned(lane))
            if wish.phase is KeypadPhase.DELETED and found is not None and self._is_wanted(lane, found):
                found = None
            self._writes.seen(lane, wish_id, found)
            check = lane.check
            sight = Sight(
                now=now.wall,
                before=None if wish.auth_id is None else before.get(wish.auth_id),
                is_settled=now.monotonic >= lane.settles_at(wish_id),
                is_own_echo=now.monotonic - lane.wrote.get(wish_id, lane.born) <= OWN_ECHO_S and wish_id in lane.wrote,
                is_superseded=check is not None and check.wish_id == wish_id and wish.attempts == 0,
            )
            if found is None and not is_complete:
                continue  # it may be what could not be read
            judged = judge(wish, found, sight)
            if (found is not None and wish.auth_id is None) or judged.attempts < wish.attempts:
                lane.came = now.monotonic
            self._table.put(lane, wish_id, judged)
            if self._table.has_moved(wish_id, wish):
                lane.end_check(wish_id)

    def _is_wanted(self, lane: KeypadLane, found: Authorization) -> bool:
        """Whether somebody has ordered just this code again since it was deleted."""
        living = [wish for _, wish in self._table.living(lane) if wish.auth_id is None]
        names = {(wish.name, wish.code) for wish in living} | {(wish.sent_name, wish.sent_code) for wish in living}
        return (found.name, found.code) in names

    def _advance(self, lane: KeypadLane, now: Moment) -> None:
        """Ask the next thing of the cloud, if it is time."""
        at = now.monotonic
        if lane.call is not None or at < lane.quiet_until:
            return
        if lane.looks and lane.looks[0] <= at:
            lane.looks = [one for one in lane.looks if one > at]
            self._writes.read_list(lane, now)
        elif lane.check is not None:
            if not lane.looks:
                self._writes.give_up_looking(lane, now)
                self._advance(lane, now)
        elif lane.is_online and (due := self._writes.due(lane, at)):
            if not lane.is_fresh(at):
                self._writes.read_list(lane, now)
            elif not any(self._writes.write(lane, wish_id, now) for wish_id in due):
                self._table.touch(lane)
        elif lane.audit_due <= at and self._table.has_wishes(lane):
            self._writes.read_list(lane, now)

    def _flush(self) -> list[KeypadStep]:
        self._next = None
        steps: list[KeypadStep] = []
        table = self._table
        entries: list[KeypadStep] = []
        for lane in table.take_touched():
            table.tell_progress(lane)
            shown = table.entries(lane)
            if lane.listing is not None and self._shown.get(lane.smartlock_id) != shown:
                self._shown[lane.smartlock_id] = shown
                entries.append(SayKeypad(lane.smartlock_id, shown))
        if table.is_changed:
            table.is_changed = False
            steps.append(SaveWishes())
        asked: list[AskCloud] = self._writes.take_asked()
        return [*steps, *table.results.take_said(), *entries, *table.take_logs(), *asked]
