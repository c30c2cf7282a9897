"""The devices of Nuki's account as the cloud last said they are: in which order its words count, what it vouches for.

No time of the cloud belongs to a state (`updateDate` moves with any change of the entry), so a read counts as of its
sending, and a webhook as of its arrival: what was on its way before is older. A webhook may be late, forged or a
repeat: it shows at once, and where it says anything new `confirm` asks for a read of that device.

The cloud numbers a device by type and Nuki ID: a lock that a Bridge knows, too, is found by the low 32 bits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from nuki2mqtt.gateway.cloud_commands import FRESH_S, Sight
from nuki2mqtt.gateway.vouching import GRACE_S
from nuki2mqtt.model.activity import ActivityAction, Trigger
from nuki2mqtt.model.cloud_device import CloudDevice, CloudFacts, ServerState
from nuki2mqtt.model.device import NukiId, kind_of
from nuki2mqtt.model.state import Battery, DeviceState, Report, Source
from nuki2mqtt.protocol.web_api import DeviceListAnswer
from nuki2mqtt.protocol.webhooks import DeviceHook


class Standing(StrEnum):
    """Whether what the cloud says of a device may be shown as fresh, and why not; the first that holds counts."""

    VOUCHED = "vouched for"
    ABSENT = "not in the account"
    SILENT = "no read of it for too long"
    MISCONFIGURED = "Nuki Web has no valid authorization on it"
    OFFLINE = "the cloud does not reach it"
    NO_STATE = "without a state"


@dataclass(frozen=True, slots=True)
class CloudReport:
    """What the cloud newly says of a device, for `devices`: the report with Source.WEB, as of `time` (monotonic).

    `since`: when the cloud last said otherwise, None where it never did; a change happened between the two. `is_news`:
    the state or the door is another than the cloud said before; never of the first report.
    """

    report: Report
    time: float
    since: float | None
    is_news: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What a read or a webhook came to. `texts` are for the log, once each.

    `confirm`: devices to be read, since only a webhook said so. `stirred`: something happened to them that is no change
    of state, so that only the log can say what. `wants_list`: the account itself may have changed.
    """

    reports: tuple[CloudReport, ...] = ()
    texts: tuple[str, ...] = ()
    confirm: frozenset[NukiId] = frozenset()
    stirred: frozenset[NukiId] = frozenset()
    wants_list: bool = False


@dataclass(slots=True)
class CloudView:
    """What is held of one device. Times are monotonic seconds.

    `time` is that of the youngest word, `read` of the youngest read, `changed` when the state or door became another
    one in this process (None: it is as it first was), `confirmed` when a word last agreed with what is held.
    `was_refusing`: instead of a position the last word said that a keypad refused somebody.
    """

    smartlock_id: int
    device_type: int
    time: float
    name: str | None = None
    firmware: str | None = None
    state: DeviceState | None = None
    facts: CloudFacts = field(default_factory=CloudFacts)
    read: float | None = None
    changed: float | None = None
    confirmed: float | None = None
    is_listed: bool = True
    was_refusing: bool = False

    @property
    def last_action(self) -> ActivityAction | None:
        """What it did last, as the cloud's state says."""
        return self.as_device().last_action

    @property
    def trigger(self) -> Trigger | None:
        """What set that off."""
        return self.as_device().trigger

    def as_device(self) -> CloudDevice:
        """The device without its state."""
        report = Report(
            nuki_id=NukiId(self.smartlock_id & 0xFFFF_FFFF), source=Source.WEB, device_type=self.device_type
        )
        return CloudDevice(self.smartlock_id, report, self.facts)


def _is_other(one: DeviceState, other: DeviceState) -> bool:
    """Whether state, mode or door differ; what is not said differs from nothing."""
    pairs = ((one.mode_code, other.mode_code), (one.door_code, other.door_code))
    return one.state_code != other.state_code or any(a != b for a, b in pairs if a is not None and b is not None)


def _over_facts(new: CloudFacts, held: CloudFacts) -> CloudFacts:
    """A webhook is a part: what it does not say stays."""
    said = {one.name: getattr(new, one.name) for one in fields(new)}
    said = {name: value for name, value in said.items() if value is not None}
    return replace(held, **{**said, "has_operation": new.has_operation or held.has_operation})


def _over_state(new: DeviceState, held: DeviceState | None) -> DeviceState:
    if held is None:
        return new
    battery = Battery(
        held.battery.level if new.battery.level is None else new.battery.level,
        held.battery.critical if new.battery.critical is None else new.battery.critical,
        held.battery.charging if new.battery.charging is None else new.battery.charging,
    )
    keypad = new.keypad_battery_critical
    return replace(
        new,
        mode_code=held.mode_code if new.mode_code is None else new.mode_code,
        door_code=held.door_code if new.door_code is None else new.door_code,
        battery=battery,
        keypad_battery_critical=held.keypad_battery_critical if keypad is None else keypad,
    )


class CloudDevices:
    """All devices of the account."""

    def __init__(self) -> None:
        self._views: dict[NukiId, CloudView] = {}
        self._heard: set[NukiId] = set()

    # --- What comes ---------------------------------------------------------------------------------------------------

    def listed(self, answer: DeviceListAnswer, sent: float) -> Taken:
        """Take in a poll, which was sent at this monotonic time."""
        once: dict[NukiId, CloudDevice] = {}
        texts = [f"Nuki Web: {text}" for text in answer.broken]
        for device in answer.devices:
            nuki_id = device.report.nuki_id
            held = self._views.get(nuki_id)
            former = once.setdefault(nuki_id, device)
            if former is device:
                continue
            texts.append(f"Nuki Web lists two devices with the ID {nuki_id}; only one is followed.")
            if held is not None and held.smartlock_id == device.smartlock_id:
                once[nuki_id] = device
        if answer.is_complete:
            for nuki_id, view in self._views.items():
                view.is_listed = nuki_id in once
        return self._merge([self._take(device, sent, is_hook=False) for device in once.values()], texts)

    def read(self, device: CloudDevice, sent: float) -> Taken:
        """Take in a read of one device, which was sent at this monotonic time."""
        return self._merge([self._take(device, sent, is_hook=False)], [])

    def hooked(self, hook: DeviceHook, received: float) -> Taken:
        """Take in what a webhook says of a device."""
        nuki_id = hook.device.report.nuki_id
        if hook.is_deleted or nuki_id not in self._views:
            return Taken(wants_list=True)
        return self._take(hook.device, received, is_hook=True)

    def _merge(self, parts: Iterable[Taken], texts: list[str]) -> Taken:
        taken = list(parts)
        return Taken(
            reports=tuple(report for part in taken for report in part.reports),
            texts=tuple(texts),
            stirred=frozenset(nuki_id for part in taken for nuki_id in part.stirred),
        )

    def _take(self, device: CloudDevice, time: float, *, is_hook: bool) -> Taken:
        report, nuki_id = device.report, device.report.nuki_id
        view = self._views.get(nuki_id)
        is_first = view is None
        if view is None:
            view = self._views[nuki_id] = CloudView(device.smartlock_id, device.device_type, time)
        if time < view.time:
            return Taken()  # it was on its way before what is held
        self._heard.add(nuki_id)
        former, held = view.facts, view.state
        view.time = time
        view.smartlock_id, view.device_type = device.smartlock_id, device.device_type
        view.name, view.firmware = report.name or view.name, report.firmware or view.firmware
        view.facts = _over_facts(device.facts, former) if is_hook else device.facts
        if not is_hook:
            view.read, view.is_listed = time, True
        state = None if device.is_entry_refused else report.state  # that number is no position
        if state is None:
            if not is_hook and not device.is_entry_refused:
                view.state = None
            is_stirred = device.is_entry_refused and not is_first and not view.was_refusing
            view.was_refusing = device.is_entry_refused
            return Taken(stirred=frozenset({nuki_id}) if is_stirred else frozenset())
        view.state, view.was_refusing = _over_state(state, held) if is_hook else state, False
        is_news = held is not None and _is_other(view.state, held)
        since, view.confirmed = view.confirmed, time
        if is_news:
            view.changed = time
        moved = former.updated is not None and former.updated != view.facts.updated
        return Taken(
            reports=(CloudReport(replace(report, state=view.state), time, since, is_news),),
            confirm=frozenset({nuki_id}) if is_hook and is_news else frozenset(),
            stirred=frozenset({nuki_id}) if moved and not is_news and not is_hook else frozenset(),
        )

    def forget(self, nuki_id: NukiId) -> None:
        """A person has removed it; if the account has it still, it comes back as a newcomer."""
        self._views.pop(nuki_id, None)
        self._heard.discard(nuki_id)

    def clear(self) -> None:
        """Nothing is known any more: another gateway followed in the meantime, or the token is another account's."""
        self._views.clear()
        self._heard.clear()

    def take_heard(self) -> tuple[CloudDevice, ...]:
        """The devices of which anything was said since the last call, in the order of their first sight."""
        if not self._heard:
            return ()
        heard, self._heard = self._heard, set()
        return tuple(view.as_device() for nuki_id, view in self._views.items() if nuki_id in heard)

    # --- Views --------------------------------------------------------------------------------------------------------

    def view(self, nuki_id: NukiId) -> CloudView | None:
        """What is held of a device."""
        return self._views.get(nuki_id)

    def ids(self) -> tuple[NukiId, ...]:
        """All devices that the account has, in the order of their first sight."""
        return tuple(nuki_id for nuki_id, view in self._views.items() if view.is_listed)

    def only_here(self, by_bridges: Mapping[NukiId, int]) -> tuple[NukiId, ...]:
        """The devices that no Bridge knows; `by_bridges` are those that one does, with their types."""
        return tuple(nuki_id for nuki_id in self.ids() if nuki_id not in by_bridges)

    def strangers(self, by_bridges: Mapping[NukiId, int]) -> tuple[NukiId, ...]:
        """Devices with the ID of one that a Bridge knows, but of another kind: nothing is taken of them."""
        return tuple(
            nuki_id
            for nuki_id in self.ids()
            if nuki_id in by_bridges and kind_of(by_bridges[nuki_id]) is not kind_of(self._views[nuki_id].device_type)
        )

    def standing(self, nuki_id: NukiId, now: float, interval_s: float) -> Standing:
        """Whether what the cloud says may be shown as fresh; `interval_s` is how long it is from poll to poll now."""
        view = self._views.get(nuki_id)
        if view is None or not view.is_listed:
            return Standing.ABSENT
        if view.read is None or now - view.read >= 2 * interval_s + GRACE_S:
            return Standing.SILENT
        if view.facts.server_state is ServerState.OFFLINE:
            return Standing.OFFLINE
        if view.facts.server_state is not ServerState.OK:
            return Standing.MISCONFIGURED
        return Standing.NO_STATE if view.state is None else Standing.VOUCHED

    def next_silence(self, now: float, interval_s: float) -> float | None:
        """When the next device falls silent."""
        patience_s = 2 * interval_s + GRACE_S
        ends = (view.read + patience_s for view in self._views.values() if view.read is not None and view.is_listed)
        return min((end for end in ends if end > now), default=None)

    def sight(self, nuki_id: NukiId, now: float) -> Sight:
        """What a command may rely on. `FAILED` is not known here: whoever asked for the read knows."""
        view = self._views.get(nuki_id)
        if view is None or not view.is_listed:
            return Sight.ABSENT
        if view.read is None or now >= view.read + FRESH_S:
            return Sight.OLD
        return Sight.ONLINE if view.facts.server_state is ServerState.OK else Sight.OFFLINE
