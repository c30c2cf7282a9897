"""The devices of `gateway/devices`, and which of them a person means."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.faces.retained import read_json
from nuki2mqtt.faces.terminal import printable
from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.device import DeviceKind, NukiId
from nuki2mqtt.protocol.command_words import find_action
from nuki2mqtt.protocol.settings_kinds import closest
from nuki2mqtt.protocol.topics import is_device_topic

_LEVEL = re.compile(r"[^/+#\x00-\x1f\x7f]{1,100}")
# A number of each kind; the list has the word only. An unknown type is left to the gateway.
_TYPES = {DeviceKind.SMART_LOCK: 4, DeviceKind.SMART_DOOR: 3, DeviceKind.OPENER: 2, DeviceKind.BOX: 1}
_SHOWN_NAME = 60
_SHOWN_DEVICES = 50


@dataclass(frozen=True, slots=True)
class Listed:
    """One device of the list. `name` is as the list has it, `kind` None where it is no word that we know."""

    nuki_id: NukiId
    name: str
    topic: str
    kind: DeviceKind | None
    permitted: tuple[Action, ...]

    @property
    def actions(self) -> tuple[Action, ...] | None:
        """What a device of this kind can be told at all; None where that is not known."""
        number = None if self.kind is None else _TYPES.get(self.kind)
        return None if number is None else tuple(actions_of(number))

    def objection(self, word: str) -> str | None:
        """Why this word cannot be any action of this device; None where the gateway shall decide."""
        number = None if self.kind is None else _TYPES.get(self.kind)
        actions = self.actions
        if number is None or actions is None:
            return None
        text = word.strip()
        if find_action(int(text) if re.fullmatch(r"[0-9]{1,3}", text) else text, number) is not None:
            return None
        shown = f"{shown_name(self)} ({self.kind}) has no action {printable(word, _SHOWN_NAME)!r}"
        if not actions:
            return f"{shown}: it cannot be told anything"
        meant = closest(word, [*actions, "open"])
        return f"{shown}{f'; did you mean {meant}?' if meant else ''}\nIt can be told: {', '.join(actions)}"

    def __str__(self) -> str:
        return f"{printable(self.topic)} ({shown_name(self)}, {self.nuki_id})"


def shown_name(device: Listed) -> str:
    """A device's name as it may be shown in a terminal."""
    return printable(device.name, _SHOWN_NAME)


def read_devices(body: bytes | None) -> tuple[Listed, ...] | None:
    """Read `gateway/devices`; None if that is no list. Entries that cannot be a device's are left out."""
    value = read_json(body)
    if not isinstance(value, list):
        return None
    entries = (_read(entry) for entry in value)
    return tuple(entry for entry in entries if entry is not None)


def _read(entry: Any) -> Listed | None:
    if not isinstance(entry, dict):
        return None
    text, topic, name = entry.get("id"), entry.get("topic"), entry.get("name")
    if not isinstance(text, str) or not isinstance(topic, str) or not _LEVEL.fullmatch(topic):
        return None
    if not topic.isprintable() or not is_device_topic(topic):
        return None
    try:
        nuki_id = NukiId.from_hex(text)
    except ValueError:
        return None
    kind, permitted = entry.get("type"), entry.get("permitted")
    words = permitted if isinstance(permitted, list) else []
    return Listed(
        nuki_id=nuki_id,
        name=name if isinstance(name, str) else "",
        topic=topic,
        kind=next((each for each in DeviceKind if each == kind), None),
        permitted=tuple(action for action in Action if action in words),
    )


def find(devices: Sequence[Listed], text: str) -> tuple[Listed, ...]:
    """The devices that a text may mean: by topic, by the eight digits of the ID, by the shown name."""
    wanted = text.strip()
    by_topic = tuple(device for device in devices if device.topic == wanted)
    by_id = tuple(device for device in devices if str(device.nuki_id) == wanted.upper())
    by_name = tuple(device for device in devices if _fold(device.name) == _fold(wanted))
    return by_topic or by_id or by_name


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def explain_not_found(devices: Sequence[Listed], found: Sequence[Listed], text: str) -> str:
    """Why a text does not name one device, and which devices there are."""
    shown = repr(printable(text, _SHOWN_NAME))
    if found:
        return "\n".join([f"{shown} means {len(found)} devices; name one by topic or ID:", *_lines(found)])
    if not devices:
        return f"There is no device {shown}: the gateway lists none. See what `nuki2mqtt status` says of the Bridges."
    return "\n".join([f"There is no device {shown}. There are:", *_lines(devices)])


def _lines(devices: Sequence[Listed]) -> list[str]:
    lines = [f"  {device}" for device in devices[:_SHOWN_DEVICES]]
    return lines if len(devices) <= _SHOWN_DEVICES else [*lines, f"  and {len(devices) - _SHOWN_DEVICES} more"]
