"""Who and why: from the changes of devices and the log of the cloud to `attributed` and what else only the log knows.

A change is told as soon as it is seen, by whoever sees it. Who brought it about is told later, in an event of its own,
once the log says it: read with patience (`log_reads`), matched with care (`log_matching`). A change whose cause is not
certain after its last read stays without one. The log brings more: codes that a keypad refused, and doors of which no
other source told (`door_history`).

Nothing is told twice: entries that were told are remembered by their ids. What is dated before our start is never told;
an entry without an id or a date never is, either.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.door_history import DoorHistory
from nuki2mqtt.gateway.findings import Finding, LastDeed, LogWish
from nuki2mqtt.gateway.log_matching import (
    FAR_BEFORE_S,
    Deed,
    causes_of,
    find_cause,
    identity,
    is_done,
    is_on_way,
    is_tail,
    mode_causes_of,
)
from nuki2mqtt.gateway.log_reads import AFTER_S, STIRRED_AFTER_S, LogReads
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.activity import Activity, ActivityAction, Trigger
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import EventType
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.state import JAMMED_CODE
from nuki2mqtt.protocol.web_api import ActivityAnswer
from nuki2mqtt.protocol.web_requests import MOST_LOG_ENTRIES

MOST_TOLD = 5000
READ_PATIENCE_S = 60.0
NAME_PATIENCE_S = 20.0
LATE_DOOR_S = 60.0  # as for a ring that `/list` told: nobody is to act on it any more
_MOST_DEEDS = 20
_MOST_ENTRIES = 60
_CLAIMS_S = 300.0
_EXPIRED_S = 60.0  # a read that began in time has ended by then
_SKEW_S = 600.0  # the log is read from so long before; a clock that is further off is no use
_MOTION_S = 60.0
_DOOR_EVENTS = {
    ActivityAction.DOOR_OPENED: EventType.DOOR_OPENED,
    ActivityAction.DOOR_CLOSED: EventType.DOOR_CLOSED,
}
_HOPELESS = frozenset({WebErrorKind.TOKEN_REFUSED, WebErrorKind.FORBIDDEN, WebErrorKind.NOT_FOUND})


@dataclass(slots=True)
class _Device:
    deeds: list[Deed] = field(default_factory=list)  # whose cause is sought, oldest first
    motion: Deed | None = None  # the last one, to which what comes next may belong
    unsolved: list[Deed] = field(default_factory=list)
    entries: dict[str, Activity] = field(default_factory=dict)
    door: DoorHistory = field(default_factory=DoorHistory)
    last: LastDeed | None = None
    last_number: int = 0


class Attribution:
    """The changes of all devices, and what is known of who did them. `started` is when we began to tell of them.

    What is only in the log is told as long as our own clock can be believed: else nobody knows what is from before.
    """

    def __init__(self, started: Moment, is_clock_trusted: Callable[[Moment], bool]) -> None:
        self.reads = LogReads()
        self.attributed = 0
        self.unsolved = 0
        self._began = started.monotonic
        self._is_clock_trusted = is_clock_trusted
        self._devices: dict[NukiId, _Device] = {}
        self._seeking: set[NukiId] = set()  # those of which a cause is sought, and perhaps some more
        self._told: dict[str, None] = {}
        self._nameless: list[tuple[float, Finding]] = []
        self._deeds = 0

    def begin(self, now: Moment) -> None:
        """It is for us to tell from now on; what happened before, another gateway may have told."""
        self._began = max(self._began, now.monotonic)

    def _beginning(self, now: Moment) -> datetime:
        """When that was, by the wall clock as it stands now: it may have been set since."""
        return now.wall - timedelta(seconds=now.monotonic - self._began)

    def _device(self, nuki_id: NukiId) -> _Device:
        return self._devices.setdefault(nuki_id, _Device())

    # --- What is seen -------------------------------------------------------------------------------------------------

    def changed(
        self,
        nuki_id: NukiId,
        device_type: int,
        from_code: int,
        to_code: int,
        now: Moment,
        *,
        latest: datetime,
        earliest: datetime | None = None,
    ) -> None:
        """A state became another one at `latest` (our clock); between the two times where it was seen by polls."""
        device = self._device(nuki_id)
        actions = causes_of(device_type, to_code)
        is_moving, is_blocked = is_on_way(device_type, to_code), to_code == JAMMED_CODE
        motion = device.motion
        if motion is not None and motion.is_moving and latest - motion.latest <= timedelta(seconds=_MOTION_S):
            same = replace(motion, actions=motion.actions & actions, is_moving=is_moving, is_blocked=is_blocked)
            if same.actions:
                device.motion = same
                device.deeds = [same if one.number == same.number else one for one in device.deeds]
                return
        if is_tail(device_type, from_code, to_code):
            return
        deed = Deed(0, actions, earliest or latest, latest, is_moving=is_moving, is_blocked=is_blocked)
        self._begin(nuki_id, device, deed, now)

    def mode_changed(self, nuki_id: NukiId, to_mode: int, now: Moment, *, latest: datetime) -> None:
        """An Opener's mode became another one."""
        self._begin(nuki_id, self._device(nuki_id), Deed(0, mode_causes_of(to_mode), latest, latest), now)

    def _begin(self, nuki_id: NukiId, device: _Device, deed: Deed, now: Moment) -> None:
        self._deeds += 1
        device.last_number = self._deeds
        # As long as nobody knows who it was, nothing of the one before is shown.
        only = next(iter(deed.actions)) if len(deed.actions) == 1 else None
        device.last, device.motion = LastDeed(only), None
        if not deed.actions or deed.latest < self._beginning(now):  # a change from before may have been explained
            return
        device.motion = replace(deed, number=self._deeds, until=now.monotonic + max(AFTER_S))
        device.deeds.append(device.motion)
        self._seeking.add(nuki_id)
        if len(device.deeds) > _MOST_DEEDS:
            self._give_up(device, device.deeds[0])
        self.reads.want(nuki_id, now.monotonic)

    def stirred(self, nuki_id: NukiId, now: Moment) -> None:
        """Something happened to a device that is no change of state: only its log can say what."""
        self.reads.want(nuki_id, now.monotonic, STIRRED_AFTER_S)

    def acted(self, nuki_id: NukiId, now: Moment) -> None:
        """An order of ours goes to the device: who moved it last is open until a change or the log tells."""
        device = self._device(nuki_id)
        if device.last is not None:
            device.last = LastDeed()
        self.stirred(nuki_id, now)

    def saw_door(self, nuki_id: NukiId, at: datetime) -> None:
        """A source other than the log said how the door was at this time (our clock): also what does not differ."""
        self._device(nuki_id).door.saw(at)

    def told_door(self, nuki_id: NukiId, event_type: EventType, at: datetime) -> None:
        """An event `door_opened` or `door_closed` was told, of this time (our clock)."""
        self._device(nuki_id).door.told(event_type, at)

    def told_by_state(self, nuki_id: NukiId, action: ActivityAction | None, trigger: Trigger | None) -> None:
        """What a read of the cloud says of the last action, where no log has said it; made after the last change."""
        device = self._device(nuki_id)
        if device.last is None or (device.last.activity is None and device.last.action in {None, action}):
            device.last = LastDeed(action, trigger)

    # --- The log ------------------------------------------------------------------------------------------------------

    def take_wishes(self, now: Moment) -> tuple[LogWish, ...]:
        """The logs that are to be read now; each is to end by `read_ended`, also where it cannot be made."""
        return tuple(self._wish(nuki_id, now) for nuki_id in self.reads.take(now.monotonic))

    def _wish(self, nuki_id: NukiId, now: Moment) -> LogWish:
        begins = [deed.earliest for deed in self._device(nuki_id).deeds]
        first = min(begins, default=now.wall - timedelta(seconds=max(AFTER_S)))
        since = first - timedelta(seconds=FAR_BEFORE_S + _SKEW_S)
        return LogWish(nuki_id, since, now.monotonic + READ_PATIENCE_S)

    def read_ended(
        self, nuki_id: NukiId, answer: ActivityAnswer | WebError, names: Mapping[str, Authorization], now: Moment
    ) -> list[Finding]:
        """Take in a log that was read, or was not; `names` are the known authorizations by id."""
        self.reads.ended(nuki_id)
        device = self._device(nuki_id)
        if isinstance(answer, WebError):
            if answer.kind in _HOPELESS:
                for deed in list(device.deeds):
                    self._give_up(device, deed)
                self.reads.forget(nuki_id)
            return self._expire(device, now)
        cut = None
        if len(answer.activities) + len(answer.broken) >= MOST_LOG_ENTRIES:
            cut = min((one.at for one in answer.activities if one.at is not None), default=None)
        return self._take(nuki_id, answer.activities, names, now, cut)

    def heard(self, activity: Activity, names: Mapping[str, Authorization], now: Moment) -> list[Finding]:
        """Take in an entry that a webhook brought."""
        return self._take(activity.nuki_id, (activity,), names, now, None)

    def _take(
        self,
        nuki_id: NukiId,
        activities: tuple[Activity, ...],
        names: Mapping[str, Authorization],
        now: Moment,
        cut: datetime | None,
    ) -> list[Finding]:
        """`cut`: what is older than this is not in the answer, which was full."""
        device = self._device(nuki_id)
        for one in activities:
            if one.id is not None and one.at is not None and one.nuki_id == nuki_id:
                device.entries[one.id] = one
        newest = sorted(device.entries.values(), key=lambda one: (one.at or now.wall, one.id or ""))
        device.entries = {one.id or "": one for one in newest[-_MOST_ENTRIES:]}
        findings = self._find_causes(nuki_id, device, now, cut)
        findings += self._find_others(nuki_id, device, now)
        if device.last is None:
            self._show_newest(device)
        elif device.last.activity is not None and _is_outdated(device.last.activity, device.entries.values()):
            device.last = LastDeed()
        if not device.deeds:
            self.reads.settle(nuki_id)
        return self._with_names(findings, names, now)

    def _find_causes(self, nuki_id: NukiId, device: _Device, now: Moment, cut: datetime | None) -> list[Finding]:
        findings: list[Finding] = []
        oldest_claim = now.wall - timedelta(seconds=_CLAIMS_S)
        device.unsolved = [one for one in device.unsolved if one.latest > oldest_claim]
        is_new = True
        while is_new:  # one that is solved claims no entry any more
            is_new = False
            for deed in list(device.deeds):
                is_last = now.monotonic >= deed.until
                free = [one for key, one in device.entries.items() if key not in self._told]
                others = [one for one in (*device.unsolved, *device.deeds) if one.number != deed.number]
                is_whole = cut is None or cut < deed.earliest - timedelta(seconds=FAR_BEFORE_S)
                found = find_cause(deed, free, others, is_last=is_last) if is_whole else None
                if found is None:
                    continue
                device.deeds.remove(deed)
                self._tell(found)
                self.attributed += 1
                findings.append(Finding(nuki_id, EventType.ATTRIBUTED, found, changed=deed.latest))
                if deed.number == device.last_number:
                    device.last = LastDeed(found.action, found.trigger, found)
                is_new = True
                break
        for deed in [one for one in device.deeds if now.monotonic >= one.until]:
            self._give_up(device, deed)
        return findings

    def _find_others(self, nuki_id: NukiId, device: _Device, now: Moment) -> list[Finding]:
        findings: list[Finding] = []
        if not self._is_clock_trusted(now):
            return findings
        begin, end = self._beginning(now), now.wall + timedelta(seconds=_SKEW_S)
        for key, entry in device.entries.items():
            if key in self._told or entry.at is None or not begin <= entry.at <= end:
                continue
            if entry.is_entry_refused:
                self._tell(entry)
                findings.append(Finding(nuki_id, EventType.CODE_REFUSED, entry))
            elif (event_type := _DOOR_EVENTS.get(entry.action)) is not None:
                is_missing = device.door.is_missing(event_type, entry.at)
                if is_missing is not None:
                    self._tell(entry)
                if is_missing:
                    is_old = now.wall - entry.at > timedelta(seconds=LATE_DOOR_S)
                    findings.append(Finding(nuki_id, event_type, entry, is_old=is_old))
        return findings

    def _show_newest(self, device: _Device) -> None:
        """Nothing has changed since our start: what the log says last is so still."""
        done = [one for one in device.entries.values() if is_done(one)]
        if done:
            device.last = LastDeed(done[-1].action, done[-1].trigger, done[-1])

    def _tell(self, activity: Activity) -> None:
        if activity.id is not None:
            self._told[activity.id] = None
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]

    def _give_up(self, device: _Device, deed: Deed) -> None:
        device.deeds.remove(deed)
        device.unsolved.append(deed)
        self.unsolved += 1

    def _expire(self, device: _Device, now: Moment) -> list[Finding]:
        for deed in [one for one in device.deeds if now.monotonic >= one.until]:
            self._give_up(device, deed)
        return []

    # --- Names --------------------------------------------------------------------------------------------------------

    def _with_names(self, findings: list[Finding], names: Mapping[str, Authorization], now: Moment) -> list[Finding]:
        """What can be told now; an entry may lack its name, which the list of authorizations has."""
        ready: list[Finding] = []
        for one in findings:
            if (
                one.activity.actor({}) is None
                and one.activity.auth_id is not None
                and one.activity.auth_id not in names
            ):
                self._nameless.append((now.monotonic + NAME_PATIENCE_S, one))
            else:
                ready.append(one)
        return ready

    @property
    def wants_names(self) -> frozenset[NukiId]:
        """The devices whose authorizations are to be read, for the name of somebody."""
        return frozenset(one.nuki_id for _, one in self._nameless)

    def take_named(self, names: Mapping[str, Authorization], now: Moment) -> list[Finding]:
        """What waited for a name and has it now, or has waited long enough."""
        ready = [one for one in self._nameless if one[0] <= now.monotonic or one[1].activity.auth_id in names]
        self._nameless = [one for one in self._nameless if one not in ready]
        return [finding for _, finding in ready]

    # --- Time and views -----------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `take_wishes`, `take_named` or `handle_timer` have something to do."""
        times = [until for until, _ in self._nameless]
        times += [deed.until + _EXPIRED_S for device in self._sought() for deed in device.deeds]
        due = self.reads.next_due()
        return min([*times, due] if due is not None else times, default=None)

    def handle_timer(self, now: Moment) -> None:
        """Give up what no read can solve any more."""
        for device in self._sought():
            for deed in [one for one in device.deeds if now.monotonic >= one.until + _EXPIRED_S]:
                self._give_up(device, deed)

    def _sought(self) -> list[_Device]:
        """The devices of which a cause is sought; this runs at every event."""
        self._seeking = {one for one in self._seeking if one in self._devices and self._devices[one].deeds}
        return [self._devices[one] for one in self._seeking]

    def last(self, nuki_id: NukiId) -> LastDeed:
        """What happened last to a device."""
        device = self._devices.get(nuki_id)
        return LastDeed() if device is None or device.last is None else device.last

    def forget(self, nuki_id: NukiId) -> None:
        """This device is gone."""
        self._devices.pop(nuki_id, None)
        self.reads.forget(nuki_id)
        self._nameless = [one for one in self._nameless if one[1].nuki_id != nuki_id]

    def clear(self) -> None:
        """Another gateway owns the base: nothing is sought and nothing is told; what was told stays told."""
        self._devices.clear()
        self._nameless.clear()
        self.reads.clear()


def _is_outdated(shown: Activity, entries: Iterable[Activity]) -> bool:
    """Whether somebody else moved the device later, as its log says: we have missed a change."""
    later = [one for one in entries if one.at is not None and shown.at is not None and one.at > shown.at]
    return any(is_done(one) and identity(one) != identity(shown) for one in later)
