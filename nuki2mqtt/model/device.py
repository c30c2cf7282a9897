"""Which devices exist and how they are told apart.

Source: Bridge API 1.13.2 section 4.1 (device types), MQTT API 1.5 section 4.1 (IDs as eight hex digits).
"""

from dataclasses import dataclass
from enum import StrEnum

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True, order=True)
class NukiId:
    """The 32-bit number of a Nuki device or Bridge; people see it as eight upper-case hex digits."""

    value: int

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 0xFFFF_FFFF:
            raise ValueError(f"{self.value} is not a Nuki ID (0 to 4294967295)")

    def __hash__(self) -> int:
        return self.value  # it is looked up at every event; the generated one makes a tuple first

    def __str__(self) -> str:
        return f"{self.value:08X}"

    @classmethod
    def from_hex(cls, text: str) -> "NukiId":
        """Read one to eight hex digits, in any case; raises ValueError."""
        if not 1 <= len(text) <= 8 or not set(text) <= _HEX_DIGITS:
            raise ValueError(f"{text!r} is not a Nuki ID (up to eight hex digits)")
        return cls(int(text, 16))


class DeviceKind(StrEnum):
    """The word for a device type; several numbers share one."""

    SMART_LOCK = "smart_lock"
    BOX = "box"
    OPENER = "opener"
    SMART_DOOR = "smart_door"
    UNKNOWN = "unknown"


# Bridge API 1.13.2 section 4.1; 1 and 5 are known from the Web API only.
_KINDS = {
    0: DeviceKind.SMART_LOCK,
    1: DeviceKind.BOX,
    2: DeviceKind.OPENER,
    3: DeviceKind.SMART_DOOR,
    4: DeviceKind.SMART_LOCK,
    5: DeviceKind.SMART_LOCK,
}

DEVICE_TYPES = tuple(_KINDS)

_MODELS = {
    0: "Smart Lock",
    1: "Box",
    2: "Opener",
    3: "Smart Door",
    4: "Smart Lock 3.0 or 4th generation",
    5: "Smart Lock 5",
}


def kind_of(device_type: int) -> DeviceKind:
    """The kind of a `deviceType` number; numbers that no document names are `UNKNOWN`."""
    return _KINDS.get(device_type, DeviceKind.UNKNOWN)


def model_name(device_type: int) -> str:
    """The model as people call it, for Home Assistant's device page."""
    return _MODELS.get(device_type, f"Nuki device of unknown type {device_type}")


class Feature(StrEnum):
    """What a device was seen to have; entities are offered only for what was seen."""

    DOOR = "door"
    BATTERY_LEVEL = "battery_level"
    BATTERY_CRITICAL = "battery_critical"
    BATTERY_CHARGING = "battery_charging"
    KEYPAD = "keypad"
    DOOR_SENSOR_BATTERY = "door_sensor_battery"
    RING = "ring"
    RSSI = "rssi"
    LAST_ACTION = "last_action"
