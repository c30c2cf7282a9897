"""The log of the account: who did what at which device, as it comes to show about a minute later. Pure.

Numbers and lag: reference of the Web API, sections 3.6 and 7. An order is one entry, written when the motor has done
it, has blocked, or was given something else to do, and dated when it was given.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nuki2mqtt.simulator import house as physical
from nuki2mqtt.simulator.doer import BY_ITSELF, SYSTEM, Doer
from nuki2mqtt.simulator.house import Facts, SimulatedDevice
from nuki2mqtt.simulator.web_faults import CloudFaultName

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud
    from nuki2mqtt.simulator.web_device import KnownDevice

SUCCESS, MOTOR_BLOCKED, CANCELED = 0, 1, 2
INVALID_CODE, INVALID_FINGERPRINT, INVALID_TAG = 224, 225, 226
RING, DOOR_OPENED, DOOR_CLOSED, DOOR_JAMMED = 224, 240, 241, 242
ACTIVATE_CM, DEACTIVATE_CM = 6, 7  # the Bridge says 4 and 5 (section 4)
MOST_ENTRIES = 5000  # the oldest half is forgotten then

_DOORS = {2: DOOR_CLOSED, 3: DOOR_OPENED}
_SETTLED_LOCK = {
    physical.UNLOCK: physical.UNLOCKED,
    physical.LOCK: physical.LOCKED,
    physical.UNLATCH: physical.UNLATCHED,
    physical.LOCK_N_GO: physical.UNLOCKED_LOCK_N_GO,
    physical.LOCK_N_GO_UNLATCH: physical.UNLATCHED,
}
_SETTLED_OPENER = {
    physical.ACTIVATE_RTO: physical.RTO_ACTIVE,
    physical.DEACTIVATE_RTO: physical.ONLINE,
    physical.STRIKE: physical.OPEN,
}
_MODES = {physical.ACTIVATE_CM: physical.CONTINUOUS_MODE, physical.DEACTIVATE_CM: physical.DOOR_MODE}
_BY_HAND_LOCK = {
    physical.LOCKED: physical.LOCK,
    physical.UNLOCKED: physical.UNLOCK,
    physical.UNLATCHED: physical.UNLATCH,
    physical.MOTOR_BLOCKED: physical.LOCK,
}
_BY_HAND_OPENER = {
    physical.RTO_ACTIVE: physical.ACTIVATE_RTO,
    physical.ONLINE: physical.DEACTIVATE_RTO,
    physical.OPEN: physical.STRIKE,
}
_GOES = frozenset({physical.LOCK_N_GO, physical.LOCK_N_GO_UNLATCH})


@dataclass(eq=False, kw_only=True, slots=True)
class LogEntry:
    """One entry: `at` is when it happened; `number` is the doer's authorization on the lock.

    `appears_at` is None until it has reached the cloud; `is_shown`: it can be read. `is_nameless`: without its name.
    """

    id: str
    known: "KnownDevice"
    at: float
    action: int
    doer: Doer
    state: int = SUCCESS
    auth_id: str | None = None
    active_cm: bool = False
    active_rto: bool = False
    is_nameless: bool = False
    extra_s: float = 0.0
    appears_at: float | None = None
    is_shown: bool = False

    @property
    def order(self) -> tuple[float, str]:
        """By what entries are sorted."""
        return self.at, self.id


class _Pending(NamedTuple):
    action: int
    doer: Doer
    at: float


class Log:
    """All entries of the account, and what is about to become one."""

    def __init__(self, cloud: "SimulatedCloud") -> None:
        self.entries: list[LogEntry] = []
        self._cloud = cloud
        self._shown: list[LogEntry] = []  # oldest first
        self._pending: dict[int, _Pending] = {}
        self._hands: dict[int, Doer] = {}
        self._facts: dict[int, Facts] = {}
        self._appeared_at: dict[int, float] = {}

    def begin(self, known: "KnownDevice") -> None:
        """Watch a device from its present state on."""
        self._facts[known.nuki_id] = known.device.facts

    def witness(self, device: SimulatedDevice, action: int | None, doer: Doer) -> None:
        """Somebody is about to order or to turn."""
        known = self._cloud.find_known(device.nuki_id)
        if known is None:
            return
        before = self._pending.pop(device.nuki_id, None)
        if before is not None:
            self.write(known, before.action, before.doer, state=CANCELED, at=before.at)
        if action is None:
            self._hands[device.nuki_id] = doer
        else:
            self._pending[device.nuki_id] = _Pending(action, doer, self._cloud.house.now)

    def watch(self, known: "KnownDevice") -> None:
        """The device has changed."""
        nuki_id, facts = known.nuki_id, known.device.facts
        before, self._facts[nuki_id] = self._facts[nuki_id], facts
        hand = self._hands.pop(nuki_id, None)
        if facts.door != before.door and facts.door in _DOORS:
            self.write(known, _DOORS[facts.door], Doer(SYSTEM))
        if facts.is_ringing and (facts.ring_at, True) != (before.ring_at, before.is_ringing):
            self.write(known, RING, Doer(SYSTEM))
        if hand is not None:
            self._watch_hand(known, before, facts, hand)
        else:
            self._watch_motor(known, facts)

    def _watch_hand(self, known: "KnownDevice", before: Facts, facts: Facts, hand: Doer) -> None:
        action = (_BY_HAND_OPENER if known.is_opener else _BY_HAND_LOCK).get(facts.state)
        if action is not None and facts.state != before.state:
            is_blocked = not known.is_opener and facts.state == physical.MOTOR_BLOCKED
            self.write(known, action, hand, state=MOTOR_BLOCKED if is_blocked else SUCCESS)

    def _watch_motor(self, known: "KnownDevice", facts: Facts) -> None:
        pending = self._pending.get(known.nuki_id)
        if pending is None:
            return
        settled = _SETTLED_OPENER if known.is_opener else _SETTLED_LOCK
        is_blocked = not known.is_opener and facts.state == physical.MOTOR_BLOCKED
        is_done = facts.state == settled.get(pending.action)
        if known.is_opener and pending.action in _MODES:
            is_done = facts.mode == _MODES[pending.action]
        if not (is_done or is_blocked):
            return
        del self._pending[known.nuki_id]
        if not known.is_opener and pending.action in _GOES and is_done:
            self._pending[known.nuki_id] = _Pending(physical.LOCK, BY_ITSELF, self._cloud.house.now)
        state = MOTOR_BLOCKED if is_blocked else SUCCESS
        self.write(known, pending.action, pending.doer, state=state, at=pending.at)

    def write(
        self, known: "KnownDevice", action: int, doer: Doer, *, state: int = SUCCESS, at: float | None = None
    ) -> LogEntry:
        """Write an entry; it comes to the cloud while the device is online. Actions are the Bridge's numbers."""
        house, faults = self._cloud.house, self._cloud.faults
        facts, is_order = known.device.facts, action <= physical.LOCK_N_GO_UNLATCH
        if known.is_opener and action in _MODES:
            action += ACTIVATE_CM - physical.ACTIVATE_CM
        if is_order and state in {SUCCESS, MOTOR_BLOCKED}:
            known.last_action = action
            known.trigger = doer.trigger if doer.trigger in {0, 1, 2, 3, 6} else SYSTEM  # section 4: the others are n/a
        slow = faults.find(CloudFaultName.SLOW_LOG, nuki_id=known.nuki_id)
        entry = LogEntry(
            id=self._cloud.ids.make(house.now),
            known=known,
            at=house.now if at is None else at,
            action=action,
            doer=doer,
            state=state,
            auth_id=known.auths.id_of(doer.number),
            active_cm=known.is_opener and facts.mode == physical.CONTINUOUS_MODE,
            active_rto=known.is_opener and facts.state == physical.RTO_ACTIVE,
            is_nameless=faults.has(CloudFaultName.NAMELESS_LOG, nuki_id=known.nuki_id),
            extra_s=0.0 if slow is None or slow.seconds is None else slow.seconds,
        )
        if faults.has(CloudFaultName.LOST_LOG, nuki_id=known.nuki_id):
            return entry
        self.entries.append(entry)
        if len(self.entries) > MOST_ENTRIES:
            del self.entries[: MOST_ENTRIES // 2]
        if not known.is_offline:
            self._carry(entry)
        return entry

    def arrive(self, known: "KnownDevice") -> None:
        """The device is online again and brings what it has kept."""
        for entry in self.entries:
            if entry.known is known and entry.appears_at is None:
                self._carry(entry)

    def shown(self) -> Iterator[LogEntry]:
        """All entries that can be read, newest first."""
        return reversed(self._shown)

    def _carry(self, entry: LogEntry) -> None:
        """Entries of a device show in the order in which they come."""
        cloud, nuki_id = self._cloud, entry.known.nuki_id
        at = cloud.house.now + cloud.chance.between(cloud.timing.log_s) + entry.extra_s
        entry.appears_at = self._appeared_at[nuki_id] = max(at, self._appeared_at.get(nuki_id, 0.0))
        cloud.house.plan(entry.appears_at, None, partial(self._appear, entry))

    def _appear(self, entry: LogEntry) -> None:
        entry.is_shown = True
        insort(self._shown, entry, key=_order_of)
        if len(self._shown) > MOST_ENTRIES:
            del self._shown[: MOST_ENTRIES // 2]
        self._cloud.hooks.log_entry(entry)


def _order_of(entry: LogEntry) -> tuple[float, str]:
    return entry.order
