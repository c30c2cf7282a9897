"""What of the cloud's words is shown: where no Bridge speaks of a lock, none that we vouch for, and what only it says.

The words of a Bridge count before those of the cloud (`combining`). What the cloud leads goes into `Devices` like a
report of a link of its own, `CLOUD`, so that the same rules make the changes and the events of it; what the cloud says
beside a Bridge only fills what that one leaves open, and only as long as the cloud is vouched for.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from nuki2mqtt.gateway.cloud_devices import CloudDevices, CloudReport, CloudView, Standing, Taken
from nuki2mqtt.gateway.combining import Combined, Side, cloud_leads, combine
from nuki2mqtt.gateway.devices import Verdict
from nuki2mqtt.gateway.evidence import Observation
from nuki2mqtt.gateway.following import MAX_DEVICES, Following
from nuki2mqtt.gateway.vocabulary import CLOUD, Effect, Level, Log, Moment
from nuki2mqtt.gateway.web_link import WebLink
from nuki2mqtt.model.cloud_device import CloudFacts
from nuki2mqtt.model.device import NukiId, kind_of
from nuki2mqtt.model.event import DeviceEvent, EventType
from nuki2mqtt.model.state import DOOR_CLOSED_CODE, DOOR_OPEN_CODE, Battery, DeviceState, Report, Snapshot, Source

_MOST_TEXTS = 64
_DOORS = {DOOR_CLOSED_CODE: EventType.DOOR_CLOSED, DOOR_OPEN_CODE: EventType.DOOR_OPENED}


class CloudTruth:
    """The devices of the account beside those of the Bridges."""

    def __init__(self, following: Following, link: WebLink) -> None:
        self.devices = CloudDevices()
        self._following = following
        self._link = link
        self._told: dict[str, None] = {}
        self._looked_for: dict[NukiId, float] = {}  # the change of the cloud for which a Bridge was asked to look
        self._doors: dict[NukiId, int] = {}  # what the cloud last read of a door, open or closed
        self._is_stopped = False

    # --- What comes ---------------------------------------------------------------------------------------------------

    def take(self, taken: Taken, now: Moment, *, is_read: bool) -> list[Effect]:
        """Take in what a read or a webhook came to."""
        effects = self.say_once(taken.texts)
        bridged = self._following.bridged.all()
        for nuki_id in self.devices.strangers(bridged):
            text = f"Nuki Web has a device {nuki_id} of another kind than the Bridge: only the Bridge's is followed."
            effects += self.say_once((text,))
        for report in taken.reports:
            effects += self._take(report, bridged, now, is_read=is_read)
        return effects

    def _take(self, said: CloudReport, bridged: Mapping[NukiId, int], now: Moment, *, is_read: bool) -> list[Effect]:
        following, nuki_id, state = self._following, said.report.nuki_id, said.report.state
        view = self.devices.view(nuki_id)
        if view is None or state is None or following.is_ignored(nuki_id) or self._is_stranger(view, bridged):
            return []
        if not following.devices.knows(nuki_id) and len(following.devices.ids()) >= MAX_DEVICES:
            return self.say_once((f"Nuki Web has more than {MAX_DEVICES} devices; the newest are not followed.",))
        local = self._local(nuki_id, now)
        if local is None or cloud_leads(local, self._side(nuki_id, view, now)):
            is_alone = nuki_id not in bridged
            verdict = following.devices.apply_cloud(
                CLOUD, said.report, now, time=said.time, changed=view.changed, is_alone=is_alone
            )
            following.note_cloud(verdict, now, said.since)
        elif is_read:
            self._look_again(nuki_id, view, local, now)
            if local.state.door_code is None:
                self._tell_door(said, state, now)
        if is_read and state.door_code in _DOORS:
            self._doors[nuki_id] = state.door_code
        if is_read:  # a webhook may be late, forged or a repeat: it proves nothing
            following.observe(Observation(nuki_id, Source.WEB, state, said.time))
        return []

    def _tell_door(self, said: CloudReport, state: DeviceState, now: Moment) -> None:
        """A Bridge leads, but of the door only the cloud speaks: nobody else would tell that it moved."""
        nuki_id, door = said.report.nuki_id, _DOORS.get(state.door_code or 0)
        if door is None or self._doors.get(nuki_id, state.door_code) == state.door_code:
            return
        at = now.wall - timedelta(seconds=now.monotonic - said.time)
        verdict = Verdict(nuki_id=nuki_id, events=(DeviceEvent(door, at, Source.WEB),))
        self._following.note_cloud(verdict, now, said.since)

    def take_over(self, now: Moment) -> None:
        """Lead at once where a Bridge has just fallen silent, by what was read after its last word."""
        for nuki_id in self._following.bridged.all():
            view, local = self.devices.view(nuki_id), self._local(nuki_id, now)
            if view is None or view.state is None or local is None or local.is_vouched or view.time <= local.time:
                continue
            if self.knows(nuki_id) and cloud_leads(local, self._side(nuki_id, view, now)):
                report = Report(
                    nuki_id=nuki_id,
                    source=Source.WEB,
                    device_type=view.device_type,
                    name=view.name,
                    firmware=view.firmware,
                    state=view.state,
                )
                verdict = self._following.devices.apply_cloud(
                    CLOUD, report, now, time=view.time, changed=view.changed, is_alone=False
                )
                self._following.note_cloud(verdict, now, local.time)

    def _is_stranger(self, view: CloudView, bridged: Mapping[NukiId, int]) -> bool:
        nuki_id = NukiId(view.smartlock_id & 0xFFFF_FFFF)
        return nuki_id in bridged and kind_of(bridged[nuki_id]) is not kind_of(view.device_type)

    def _look_again(self, nuki_id: NukiId, view: CloudView, local: Side, now: Moment) -> None:
        """The cloud saw it change since and says otherwise: once for each such change the Bridge is asked to look."""
        combined = combine(local, self._side(nuki_id, view, now))
        if combined is None or not combined.is_doubtful or view.changed is None:
            return
        if self._looked_for.get(nuki_id) != view.changed:
            self._looked_for[nuki_id] = view.changed
            self._following.look_again(nuki_id, now)

    def _local(self, nuki_id: NukiId, now: Moment) -> Side | None:
        """What the Bridges say; None where none has said anything, or the cloud has spoken last."""
        devices = self._following.devices
        state = devices.state(nuki_id) if devices.knows(nuki_id) else None
        if state is None or devices.link_of(nuki_id) == CLOUD:
            return None
        is_vouched = self._following.vouching.is_vouched(nuki_id, now.monotonic)
        return Side(state, devices.source_of(nuki_id) or Source.LIST, devices.time_of(nuki_id), is_vouched)

    def _side(self, nuki_id: NukiId, view: CloudView, now: Moment) -> Side:
        if view.state is None:
            raise ValueError(f"the cloud has no state of {nuki_id}")
        is_vouched = self.standing(nuki_id, now) is Standing.VOUCHED
        return Side(view.state, Source.WEB, view.time, is_vouched, view.changed)

    def say_once(self, texts: tuple[str, ...]) -> list[Effect]:
        """Log lines that are told once in the life of the process."""
        effects: list[Effect] = []
        for text in texts:
            if text not in self._told:
                if len(self._told) >= _MOST_TEXTS:
                    self._told.pop(next(iter(self._told)))
                self._told[text] = None
                effects.append(Log(Level.WARNING, text))
        return effects

    # --- Views --------------------------------------------------------------------------------------------------------

    def standing(self, nuki_id: NukiId, now: Moment) -> Standing:
        """Whether what the cloud says may be shown as fresh."""
        if self._is_stopped:
            return Standing.SILENT
        return self.devices.standing(nuki_id, now.monotonic, self._link.interval_s(now.monotonic))

    def is_vouched(self, nuki_id: NukiId, now: Moment) -> bool:
        """Whether the state that is shown is the cloud's, and fresh."""
        is_leading = self._following.devices.link_of(nuki_id) == CLOUD
        return is_leading and self.standing(nuki_id, now) is Standing.VOUCHED

    def knows(self, nuki_id: NukiId) -> bool:
        """Whether the account has this device, it is to be followed, and it is not another one with the same ID."""
        view, following = self.devices.view(nuki_id), self._following
        if view is None or not view.is_listed or following.is_ignored(nuki_id):
            return False
        by_bridge = following.bridged.all().get(nuki_id)
        return by_bridge is None or kind_of(by_bridge) is kind_of(view.device_type)

    def smartlock_id(self, nuki_id: NukiId) -> int | None:
        """The cloud's number of a device that it knows."""
        view = self.devices.view(nuki_id)
        return view.smartlock_id if view is not None and self.knows(nuki_id) else None

    def agrees(self, nuki_id: NukiId) -> bool:
        """Whether the cloud says of the state what is held of it."""
        devices, view = self._following.devices, self.devices.view(nuki_id)
        held = devices.state(nuki_id) if devices.knows(nuki_id) else None
        said = None if view is None else view.state
        return held is not None and said is not None and held.state_code == said.state_code

    def combined(self, nuki_id: NukiId, now: Moment) -> Combined | None:
        """Each fact with its source and age, for people who look closer."""
        view = self.devices.view(nuki_id)
        cloud = None if view is None or view.state is None else self._side(nuki_id, view, now)
        return combine(self._local(nuki_id, now), cloud)

    def filling(self, nuki_id: NukiId, now: Moment) -> tuple[CloudFacts | None, DeviceState | None]:
        """What of the cloud's word may fill a snapshot: the facts of a device that it knows, a state that is fresh."""
        view = self.devices.view(nuki_id)
        if view is None or not self.knows(nuki_id):
            return None, None
        return view.facts, view.state if self.standing(nuki_id, now) is Standing.VOUCHED else None

    def next_silence(self, now: float) -> float | None:
        """When the next device falls silent (monotonic seconds)."""
        return self.devices.next_silence(now, self._link.interval_s(now))

    # --- Switching ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """The gateway stops: nothing is vouched for any more."""
        self._is_stopped = True

    def clear(self) -> None:
        """Another gateway owns the base."""
        self.devices.clear()
        self._looked_for.clear()
        self._doors.clear()

    def forget(self, nuki_id: NukiId) -> None:
        """A person has removed it."""
        self.devices.forget(nuki_id)
        self._looked_for.pop(nuki_id, None)
        self._doors.pop(nuki_id, None)


def fill(snapshot: Snapshot, facts: CloudFacts, state: DeviceState | None) -> Snapshot:
    """The snapshot with what only the cloud says of the device; `state` is None where it is not fresh."""
    filled = replace(snapshot, has_keypad=snapshot.has_keypad or facts.has_keypad is True)
    if state is None:
        return filled
    battery, other = snapshot.battery, state.battery
    keypad = snapshot.keypad_battery_critical
    return replace(
        filled,
        door_code=state.door_code if snapshot.door_code is None else snapshot.door_code,
        battery=Battery(
            other.level if battery.level is None else battery.level,
            other.critical if battery.critical is None else battery.critical,
            other.charging if battery.charging is None else battery.charging,
        ),
        keypad_battery_critical=state.keypad_battery_critical if keypad is None else keypad,
        door_sensor_battery_critical=facts.door_sensor_battery_critical,
    )
