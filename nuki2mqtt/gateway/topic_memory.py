"""Which device has which topic, for ever.

A device's topic is chosen when it is first seen and then remembered: in the state file, and with that lost by
the `id` in our own retained snapshots. A topic once used by another device is never given away by chance.
"""

from collections.abc import Iterable

from nuki2mqtt.gateway.devices import Devices
from nuki2mqtt.gateway.vocabulary import DeviceMemory, Memory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Snapshot
from nuki2mqtt.protocol.payloads import RetainedSnapshot
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.topics import choose_slugs, is_device_topic

_ID_DIGITS = 8


class TopicMemory:
    """The topics of all devices, and those that were given up."""

    def __init__(self, settings: Settings, memory: Memory, devices: Devices) -> None:
        self.known: dict[NukiId, DeviceMemory] = dict(memory.devices)
        self.retired: dict[str, NukiId] = dict(memory.retired_topics)
        # What Home Assistant was told of; gateway/announcements.py keeps it.
        self.announced: dict[str, dict[str, str]] = dict(memory.announced)
        self._configured = {
            nuki_id: device.topic for nuki_id, device in settings.devices.items() if device.topic is not None
        }
        for nuki_id, device in self.known.items():
            devices.remember(nuki_id, device.device_type, device.name)

    def learn_retained(self, snapshots: dict[str, RetainedSnapshot], devices: Devices) -> None:
        """Take the topics of devices that only the broker remembers."""
        for topic, retained in snapshots.items():
            if not is_device_topic(topic):
                continue
            owner = self.retired.setdefault(topic, retained.nuki_id)
            if owner == retained.nuki_id and retained.nuki_id not in self.known:
                self.known[retained.nuki_id] = DeviceMemory(topic, retained.name, retained.device_type)
                devices.remember(retained.nuki_id, retained.device_type, retained.name)

    def remembered(self) -> Iterable[tuple[NukiId, DeviceMemory]]:
        """Devices that an earlier process published; ignored ones, too, for their topics are still there."""
        return self.known.items()

    def find(self, level: str) -> NukiId | None:
        """The device that a topic level names, by its topic or by its ID."""
        for nuki_id, topic in self._configured.items():
            if topic == level:
                return nuki_id
        for nuki_id, device in self.known.items():
            # A topic that a setting has given away, or taken from its device, is no name of it any more.
            if device.topic == level and nuki_id not in self._configured:
                return nuki_id
        try:
            nuki_id = NukiId.from_hex(level)
        except ValueError:
            return None
        return nuki_id if len(level) == _ID_DIGITS and nuki_id in self.known else None

    def topic_of(self, nuki_id: NukiId) -> str | None:
        """The topic of a device; None before it has one."""
        known = self.known.get(nuki_id)
        return self._configured.get(nuki_id, None if known is None else known.topic)

    def assign(self, snapshots: Iterable[Snapshot]) -> list[str]:
        """Give every shown device its topic; the topics that were given up by a new setting."""
        given_up: list[str] = []
        new: dict[NukiId, Snapshot] = {}
        for snapshot in snapshots:
            nuki_id = snapshot.nuki_id
            wanted, known = self._configured.get(nuki_id), self.known.get(nuki_id)
            if wanted is not None and (known is None or known.topic != wanted):
                if known is not None:
                    given_up.append(known.topic)
                self._set(snapshot, wanted)
            elif known is None or self._is_taken_by_setting(known.topic, nuki_id):
                new[nuki_id] = snapshot
            elif (known.name, known.device_type) != (snapshot.name, snapshot.device_type):
                self._set(snapshot, known.topic)
        if new:
            taken = {topic for topic, owner in self.retired.items() if owner not in new}
            taken |= set(self._configured.values()) | {device.topic for device in self.known.values()}
            topics = choose_slugs({nuki_id: snapshot.name for nuki_id, snapshot in new.items()}, taken)
            for nuki_id, topic in topics.items():
                self._set(new[nuki_id], topic)
        return given_up

    def _is_taken_by_setting(self, topic: str, nuki_id: NukiId) -> bool:
        return any(topic == other and owner != nuki_id for owner, other in self._configured.items())

    def _set(self, snapshot: Snapshot, topic: str) -> None:
        self.known[snapshot.nuki_id] = DeviceMemory(topic, snapshot.name, snapshot.device_type)
        self.retired[topic] = snapshot.nuki_id
