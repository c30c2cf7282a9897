"""The last snapshot per device, with its source and age; from report to change.

The ordering rule (docs/architecture.md, "One state change"):
- answers of one Bridge's `/list` are ordered by the entry's own timestamp, raw; an entry without one counts
  from the first answer that said the same;
- a callback counts as of its arrival, a `/lockState` as of its sending (docs/decisions/0033);
- an entry overrides those only if its timestamp, mapped to our clock, is not older (2 s tolerance). An older
  entry that contradicts them, or its Bridge's former one, changes nothing and raises a doubt, which one `/lockState`
  decides;
- the cloud's word counts as of the change that it saw, not as of its reads, and never beyond them (`cloud_truth`):
  only an entry from before that change, and against it, raises a doubt instead of taking the lead;
- what a source does not say erases only what the same source had said: a door's silence is normal.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from nuki2mqtt.gateway.bridge_clock import TOLERANCE_S, BridgeClock
from nuki2mqtt.gateway.device_changes import changes_between, visible_facts
from nuki2mqtt.gateway.rings import Rings
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.device import DeviceKind, NukiId, kind_of
from nuki2mqtt.model.event import DeviceEvent, EventType, RingTime
from nuki2mqtt.model.state import (
    DOOR_CLOSED_CODE,
    DOOR_OPEN_CODE,
    Battery,
    DeviceState,
    Report,
    Snapshot,
    Source,
    is_called_back,
    is_transitional,
)

_T = TypeVar("_T")

# Reference 4.4: a transition that `/list` shows for longer is the Bridge's cache, stuck.
STUCK_AFTER_S = 60.0
# A Bridge whose clock was never set stamps its entries with any year; ours cannot count before year 1.
_OLDEST_S = 10 * 365 * 86_400.0
_NEVER = float("-inf")


class Doubt(StrEnum):
    """Why `/lockState` should decide. There are no other reasons than these."""

    CONTRADICTED = "an older /list entry contradicts what was reported"
    STUCK = "a transition lasts too long"
    NO_STATE = "/list has no state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a report came to.

    `is_newer_entry`: a `/list` entry newer than the one before; `time` is its time on our monotonic clock.
    `told_first_by_list`: a change that a callback should have told. `is_gap`: an entry lost its state.
    """

    nuki_id: NukiId
    events: tuple[DeviceEvent, ...] = ()
    doubt: Doubt | None = None
    is_newer_entry: bool = False
    time: float = 0.0
    has_state: bool = True
    is_gap: bool = False
    told_first_by_list: bool = False


@dataclass(slots=True)
class _Entry:
    """The last `/list` entry of a device on one Bridge; `older`: the last one that came later, stamped older.

    `is_dated`: its stamp was not ahead of the Bridge's own clock when it was first seen.
    """

    at: datetime | None
    time: float
    state: DeviceState | None
    is_ordered: bool = True
    is_dated: bool = True
    older: tuple[datetime | None, DeviceState] | None = None


@dataclass(slots=True)
class _Device:
    nuki_id: NukiId
    device_type: int
    name: str
    firmware: str | None = None
    state: DeviceState | None = None
    source: Source | None = None
    link: str = ""
    time: float = 0.0
    local: DeviceState | None = None  # the last that was a Bridge's word
    cloud_changed: float | None = None  # when the cloud that leads was seen to change
    seen: datetime | None = None
    changed: datetime | None = None
    state_since: float = 0.0
    is_hint_settled: bool = False
    is_stuck_settled: bool = False
    definite_door: int | None = None
    has_keypad: bool = False
    door_listed_by: set[str] = field(default_factory=set)
    keypad_listed_by: set[str] = field(default_factory=set)
    has_reported: bool = False
    rings: Rings = field(default_factory=Rings)
    entries: dict[str, _Entry] = field(default_factory=dict)
    snapshot: Snapshot | None = None  # the last one, and what it was made of
    snapshot_made_of: tuple[object, ...] = ()


def _is_ahead(clock: BridgeClock, at: datetime, now: Moment) -> bool:
    return clock.monotonic(at) > now.monotonic + 2 * TOLERANCE_S


def _newer(new: _T | None, old: _T | None) -> _T | None:
    return old if new is None else new


def _contradicts(entry: DeviceState, held: DeviceState) -> bool:
    """Whether two reports cannot both be true; silence contradicts nothing."""
    if entry.state_code != held.state_code:
        return True
    pairs = ((entry.door_code, held.door_code), (entry.mode_code, held.mode_code))
    return any(one is not None and other is not None and one != other for one, other in pairs)


def _differ(one: Battery, other: Battery) -> bool:
    """Whether one is said to be low and the other not to be."""
    return one.critical is not None and other.critical is not None and one.critical is not other.critical


def _make_snapshot(device: _Device) -> Snapshot:
    """`Devices.snapshot` must know all that is read here."""
    state = device.state
    snapshot = Snapshot(
        nuki_id=device.nuki_id,
        device_type=device.device_type,
        name=device.name or f"Nuki_{device.nuki_id}",
        firmware=device.firmware,
        has_keypad=device.has_keypad,
        ring_at=device.rings.shown,
        source=device.source,
        seen=device.seen,
        changed=device.changed,
    )
    if state is None:
        return snapshot
    return replace(
        snapshot,
        state_code=state.state_code,
        mode_code=state.mode_code,
        door_code=state.door_code,
        battery=state.battery,
        keypad_battery_critical=state.keypad_battery_critical,
    )


class Devices:
    """All devices of all Bridges. `started` is the process's start on the monotonic clock."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._devices: dict[NukiId, _Device] = {}

    def remember(self, nuki_id: NukiId, device_type: int, name: str) -> None:
        """Know a device from an earlier process; nothing is known of its state."""
        self._devices.setdefault(nuki_id, _Device(nuki_id, device_type, name))

    def remove(self, nuki_id: NukiId) -> None:
        """Forget a device; what is listed again is a newcomer."""
        self._devices.pop(nuki_id, None)

    def knows(self, nuki_id: NukiId) -> bool:
        """Whether this device was ever listed."""
        return nuki_id in self._devices

    def ids(self) -> tuple[NukiId, ...]:
        """All known devices, in the order of their first sight."""
        return tuple(self._devices)

    def device_type(self, nuki_id: NukiId) -> int:
        """The type of a known device."""
        return self._devices[nuki_id].device_type

    def has_state(self, nuki_id: NukiId) -> bool:
        """Whether any source told the state in this process."""
        return self._devices[nuki_id].state is not None

    def state(self, nuki_id: NukiId) -> DeviceState | None:
        """The state that was last seen."""
        return self._devices[nuki_id].state

    def lacks_listed_state(self, nuki_id: NukiId, link: str) -> bool:
        """Whether this Bridge's last `/list` had the device without a state."""
        entry = self._devices[nuki_id].entries.get(link)
        return entry is not None and entry.state is None

    def is_told_by(self, nuki_id: NukiId, link: str) -> bool:
        """Whether this link has listed a device, or spoke last of it."""
        device = self._devices[nuki_id]
        return link in device.entries or device.link == link

    def source_of(self, nuki_id: NukiId) -> Source | None:
        """Who spoke last of a device."""
        return self._devices[nuki_id].source

    def time_of(self, nuki_id: NukiId) -> float:
        """When the state that is held was so, monotonic seconds."""
        return self._devices[nuki_id].time

    def link_of(self, nuki_id: NukiId) -> str:
        """The link that spoke last of a device, empty before any did."""
        return self._devices[nuki_id].link

    def snapshot(self, nuki_id: NukiId) -> Snapshot:
        """What we last saw; the caller knows whether it is vouched for, by which Bridge, and how strong.

        The same object as long as nothing of it differs.
        """
        device = self._devices[nuki_id]
        said = (device.device_type, device.name, device.firmware, device.has_keypad, device.rings.shown)
        made_of = (*said, device.state, device.source, device.seen, device.changed)
        if device.snapshot is None or device.snapshot_made_of != made_of:
            device.snapshot, device.snapshot_made_of = _make_snapshot(device), made_of
        return device.snapshot

    def forget_order(self, link: str) -> None:
        """The clock of this Bridge was set: its older timestamps say nothing about newer ones."""
        for device in self._devices.values():
            entry = device.entries.get(link)
            if entry is not None:
                entry.is_ordered = False

    def forget_reports(self) -> None:
        """Another gateway followed in the meantime: each next report is a first one."""
        for nuki_id, device in list(self._devices.items()):
            fresh = _Device(nuki_id, device.device_type, device.name, device.firmware)
            fresh.rings.shown = device.rings.shown
            self._devices[nuki_id] = fresh

    def settle(self, nuki_id: NukiId, now: Moment) -> None:
        """A direct read was tried: the doubt about what is held now is not raised again."""
        device = self._devices.get(nuki_id)
        if device is not None:
            device.is_hint_settled = True
            device.is_stuck_settled = now.monotonic - device.state_since >= STUCK_AFTER_S

    # --- Reports --------------------------------------------------------------------------------------

    def apply_entry(
        self, link: str, report: Report, clock: BridgeClock | None, now: Moment, *, may_lead: bool = True
    ) -> Verdict:
        """Take in one entry of a `/list` answer; `may_lead`: an old one, too, takes the lead back from the cloud."""
        device = self._listed(link, report)
        known = device.entries.get(link)
        entry_state = report.state
        if entry_state is None:
            # A Bridge that lost a state was started anew, perhaps with its clock not set: a new order begins.
            device.entries[link] = _Entry(None, now.monotonic, None)
            is_gap = device.local is None if known is None else known.state is not None
            return Verdict(
                nuki_id=device.nuki_id,
                has_state=False,
                is_gap=is_gap,
                doubt=Doubt.NO_STATE if is_gap else None,
            )
        time = self._entry_time(known, report, clock, now)
        is_same = known is not None and (known.at, known.state) == (report.at, entry_state)
        is_older = (
            known is not None
            and known.is_ordered
            and known.at is not None
            and report.at is not None
            and report.at < known.at
        )
        if entry_state.door_code is not None:
            device.door_listed_by.add(link)
        if entry_state.keypad_battery_critical is not None:
            device.keypad_listed_by.add(link)
            device.has_keypad = True
        ring_events = self._ring_events(device, entry_state, Source.LIST, link, clock, now)
        # It may be the newest one all the same, by a clock that was wrong when it stamped this or a former one.
        is_new_word = not is_same
        if known is not None and is_older:
            is_new_word, known.older = known.older != (report.at, entry_state), (report.at, entry_state)
        # A stamp ahead of the Bridge's own clock is from a clock that was set since: it orders nothing, and when it was
        # made nobody knows.
        is_ahead = clock is not None and report.at is not None and _is_ahead(clock, report.at, now)
        is_dated = known.is_dated if known is not None and is_same else not is_ahead
        if not is_older:
            is_ordered = not is_ahead and (not is_same or known is None or known.is_ordered)
            device.entries[link] = _Entry(report.at, time, entry_state, is_ordered, is_dated=is_dated)
        doubt: Doubt | None = None
        if is_same and device.source is Source.LIST and device.link == link:
            events: tuple[DeviceEvent, ...] = ()
            told_first = False
        elif is_same and device.source is Source.WEB and not may_lead:
            events, told_first = (), False
        elif not is_older and self._may_override(device, link, time, entry_state):
            merged = self._merge_entry(device, link, entry_state)
            told_first = self._is_news(device, merged)
            events = self._take(device, merged, Source.LIST, link, time, now)
        else:
            events, told_first = (), False
            is_contrary = device.state is not None and _contradicts(entry_state, device.state)
            if is_same and device.state is not None and _differ(entry_state.battery, device.state.battery):
                is_contrary = True  # of an entry that is new the batteries are taken
            if is_new_word and is_contrary:
                device.is_hint_settled = False
            is_hint = (device.source is not Source.LIST or is_older) and not device.is_hint_settled
            if is_hint and is_contrary:
                doubt = Doubt.CONTRADICTED
            elif not is_same and not is_older and not is_contrary and device.link == link:
                events = self._take_rest(device, entry_state, time, now)
        return Verdict(
            nuki_id=device.nuki_id,
            events=events + ring_events,
            doubt=doubt or self._stuck(device, entry_state, now),
            is_newer_entry=not is_same and not is_older and is_dated,
            time=time if is_dated else _NEVER,
            told_first_by_list=told_first or bool(ring_events),
        )

    def apply_callback(
        self,
        link: str,
        report: Report,
        clock: BridgeClock | None,
        now: Moment,
        *,
        received: float | None = None,
    ) -> Verdict | None:
        """Take in a callback; None for a device that no `/list` ever named.

        It counts as of `received` (monotonic, None for now), when it arrived: it may have waited for us, and what a
        `/list` has stamped since is newer.
        """
        device = self._devices.get(report.nuki_id)
        if device is None or report.state is None:
            return None
        state = report.state
        arrived = now.monotonic if received is None else received
        arrival = replace(now, monotonic=arrived, wall=now.wall - timedelta(seconds=now.monotonic - arrived))
        ring_events = self._ring_events(device, state, Source.CALLBACK, link, clock, arrival)
        time = max(self._held_since(device), arrived)
        events = self._take(device, self._merge(device, state), Source.CALLBACK, link, time, now)
        doubt = Doubt.NO_STATE if self.lacks_listed_state(device.nuki_id, link) else None
        return Verdict(nuki_id=device.nuki_id, events=events + ring_events, doubt=doubt)

    def apply_lock_state(
        self, link: str, nuki_id: NukiId, state: DeviceState, clock: BridgeClock | None, now: Moment, *, sent: float
    ) -> Verdict | None:
        """Take in the answer of a read that woke the lock; None for an unknown device.

        The answer may have been on its way for long, so that it counts as of `sent` (monotonic): what was reported
        since is newer.
        """
        device = self._devices.get(nuki_id)
        if device is None:
            return None
        ring_events = self._ring_events(device, state, Source.LOCK_STATE, link, clock, now)
        former = self._held_since(device)
        if device.state is not None and former > sent and _contradicts(state, device.state):
            return Verdict(nuki_id=nuki_id, events=ring_events)
        events = self._take(device, self._merge(device, state), Source.LOCK_STATE, link, now.monotonic, now)
        device.time = max(former, sent)
        self.settle(nuki_id, now)
        return Verdict(nuki_id=nuki_id, events=events + ring_events)

    def apply_cloud(
        self, link: str, report: Report, now: Moment, *, time: float, changed: float | None, is_alone: bool
    ) -> Verdict:
        """Take in what the cloud says as of `time` (monotonic), where it leads; `is_alone`: no Bridge has the device.

        Then its name and firmware count, too. `report` has a state; `changed` is when the cloud was seen to change.
        """
        device = self._devices.get(report.nuki_id)
        if device is None or is_alone:
            device = self._listed(link, report)
        if report.state is None or (device.state is not None and time < device.time):
            return Verdict(nuki_id=device.nuki_id, has_state=report.state is not None)
        device.has_keypad = device.has_keypad or report.state.keypad_battery_critical is not None
        is_settled = device.is_hint_settled and device.source is Source.WEB and device.cloud_changed == changed
        events = self._take(device, self._merge(device, report.state), Source.WEB, link, time, now)
        device.cloud_changed, device.is_hint_settled = changed, is_settled
        return Verdict(nuki_id=device.nuki_id, events=events)

    # --- Inside ---------------------------------------------------------------------------------------

    def _listed(self, link: str, report: Report) -> _Device:
        device = self._devices.get(report.nuki_id)
        if device is None:
            device = _Device(report.nuki_id, report.device_type or 0, report.name or "")
            self._devices[report.nuki_id] = device
        device.link = device.link or link
        device.name = report.name or device.name
        device.firmware = report.firmware or device.firmware
        if report.device_type is not None:
            device.device_type = report.device_type
        return device

    @staticmethod
    def _entry_time(known: _Entry | None, report: Report, clock: BridgeClock | None, now: Moment) -> float:
        if known is not None and (known.at, known.state) == (report.at, report.state):
            return known.time
        if report.at is not None and clock is not None:
            earliest = now.monotonic - _OLDEST_S
            return min(max(clock.monotonic(report.at), earliest), now.monotonic)
        return now.monotonic

    @staticmethod
    def _held_since(device: _Device) -> float:
        """Since when what is held stands against a Bridge's word: of the cloud only a change does that was seen."""
        if device.source is Source.WEB:
            return _NEVER if device.cloud_changed is None else device.cloud_changed
        return _NEVER if device.state is None else device.time

    def _may_override(self, device: _Device, link: str, time: float, entry: DeviceState) -> bool:
        if device.state is None:
            return True
        if device.source is Source.WEB:  # a Bridge that speaks again leads again
            return not _contradicts(entry, device.state) or time + TOLERANCE_S >= self._held_since(device)
        if device.source is Source.LIST:
            return device.link == link or time >= device.time
        return time + TOLERANCE_S >= device.time

    @staticmethod
    def _merge(device: _Device, said: DeviceState) -> DeviceState:
        """A report over what the Bridges last said: what it does not say stays, but nothing of the cloud."""
        held = device.local
        keypad = said.keypad_battery_critical if device.has_keypad else None
        if held is None:
            return replace(said, keypad_battery_critical=keypad)

        return DeviceState(
            state_code=said.state_code,
            mode_code=_newer(said.mode_code, held.mode_code),
            door_code=_newer(said.door_code, held.door_code),
            battery=Battery(
                _newer(said.battery.level, held.battery.level),
                _newer(said.battery.critical, held.battery.critical),
                _newer(said.battery.charging, held.battery.charging),
            ),
            keypad_battery_critical=_newer(keypad, held.keypad_battery_critical),
        )

    def _merge_entry(self, device: _Device, link: str, said: DeviceState) -> DeviceState:
        """As `_merge`, but a door that this `/list` used to name and names no more is gone."""
        merged = self._merge(device, said)
        if said.door_code is None and link in device.door_listed_by:
            device.door_listed_by.discard(link)
            merged = replace(merged, door_code=None)
        if said.keypad_battery_critical is None and link in device.keypad_listed_by:
            device.keypad_listed_by.discard(link)
            merged = replace(merged, keypad_battery_critical=None)
        return merged

    @staticmethod
    def _is_news(device: _Device, merged: DeviceState) -> bool:
        """Whether this is a change that the Bridge should have told by callback."""
        held = device.local
        if held is None:
            return False
        if merged.state_code != held.state_code and is_called_back(device.device_type, merged.state_code):
            return True
        return merged.door_code in {DOOR_CLOSED_CODE, DOOR_OPEN_CODE} and merged.door_code != held.door_code

    @staticmethod
    def _stuck(device: _Device, entry: DeviceState, now: Moment) -> Doubt | None:
        held = device.state
        if held is None or device.is_stuck_settled or held.state_code != entry.state_code:
            return None
        is_long = now.monotonic - device.state_since >= STUCK_AFTER_S
        return Doubt.STUCK if is_long and is_transitional(device.device_type, held.state_code) else None

    @staticmethod
    def _take(
        device: _Device, state: DeviceState, source: Source, link: str, time: float, now: Moment
    ) -> tuple[DeviceEvent, ...]:
        held = device.state
        seen = now.wall - timedelta(seconds=now.monotonic - time)
        if held is None or held.state_code != state.state_code:
            device.state_since = now.monotonic
            device.is_stuck_settled = False
        door_before = device.definite_door
        if state.door_code in {DOOR_CLOSED_CODE, DOOR_OPEN_CODE}:
            device.definite_door = state.door_code
        facts = visible_facts(device.device_type, state)
        if held is None or facts != visible_facts(device.device_type, held):
            device.changed = seen
        device.is_hint_settled = False
        device.state, device.source, device.link = state, source, link
        device.local = device.local if source is Source.WEB else state
        device.time, device.seen = time, seen
        if held is None:
            return ()
        return changes_between(device.device_type, held, state, door_before, seen, source)

    def _take_rest(self, device: _Device, entry: DeviceState, time: float, now: Moment) -> tuple[DeviceEvent, ...]:
        """An entry that is older than a belated callback, and agrees with it.

        It knows the batteries at least as well, and perhaps a door or a mode of which the callback did not speak.
        """
        held = device.state
        if held is None:
            return ()
        merged = self._merge(device, entry)
        device.state = device.local = replace(
            held,
            mode_code=_newer(held.mode_code, entry.mode_code),
            door_code=_newer(held.door_code, entry.door_code),
            battery=merged.battery,
            keypad_battery_critical=merged.keypad_battery_critical,
        )
        seen = now.wall - timedelta(seconds=now.monotonic - time)
        if visible_facts(device.device_type, device.state) != visible_facts(device.device_type, held):
            device.changed = seen
        door_before = device.definite_door
        if device.state.door_code in {DOOR_CLOSED_CODE, DOOR_OPEN_CODE}:
            device.definite_door = device.state.door_code
        return changes_between(device.device_type, held, device.state, door_before, seen, Source.LIST)

    def _ring_events(
        self,
        device: _Device,
        state: DeviceState,
        source: Source,
        link: str,
        clock: BridgeClock | None,
        now: Moment,
    ) -> tuple[DeviceEvent, ...]:
        is_first = not device.has_reported
        device.has_reported = True
        if state.ring is None or kind_of(device.device_type) is not DeviceKind.OPENER:
            return ()
        new = device.rings.observe(
            state.ring,
            source=source,
            link=link,
            clock=clock,
            started=self._started,
            is_first=is_first,
            now=now,
        )
        if new is None:
            return ()
        at = now.wall - timedelta(seconds=now.monotonic - new.time)
        return (DeviceEvent(EventType.RING, at, source, RingTime(new.at), is_old=new.is_old),)
