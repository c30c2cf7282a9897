"""The bodies that a Bridge writes: its spacing, its key order, its words.

Order and spacing are those of recorded bodies, the words those of Bridge API 1.13.2 sections 4.3 and 4.6.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.simulator.house import Facts, SimulatedDevice, SimulatedLock

Wire: TypeAlias = "bool | int | str | bytes | Sequence[Wire] | Mapping[str, Wire]"

_ENCODER = json.JSONEncoder(ensure_ascii=False)
_NAME_BYTES = 32  # Bridge API 1.13.2 section 5, /list: name is uint8[32]

_LOCK_STATES = {
    0: "uncalibrated",
    1: "locked",
    2: "unlocking",
    3: "unlocked",
    4: "locking",
    5: "unlatched",
    6: "unlocked (lock 'n' go)",
    7: "unlatching",
    253: "boot run",
    254: "motor blocked",
    255: "undefined",
}
_OPENER_STATES = {
    0: "untrained",
    1: "online",
    3: "rto active",
    5: "open",
    7: "opening",
    253: "boot run",
    255: "undefined",
}
_DOOR_STATES = {
    1: "deactivated",
    2: "door closed",
    3: "door opened",
    4: "door state unknown",
    5: "calibrating",
    16: "uncalibrated",
    240: "removed",
    255: "unknown",
}


def write(value: Wire) -> bytes:
    """JSON with `", "` and `": "`; bytes stand between quotes as they are, even where that is no JSON."""
    match value:
        case bool():
            return b"true" if value else b"false"
        case int():
            return str(value).encode()
        case str():
            return _text(value)
        case bytes():
            return b'"' + value + b'"'
        case Mapping():
            return b"{" + b", ".join(write(key) + b": " + write(item) for key, item in value.items()) + b"}"
        case Sequence():
            return b"[" + b", ".join(write(item) for item in value) + b"]"


@lru_cache(maxsize=500)
def _text(text: str) -> bytes:
    return _ENCODER.encode(text).encode()


def iso(at: float) -> str:
    """A time as the Bridge writes it, from epoch seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def ble_name(device: SimulatedDevice) -> str:
    """The name that the device advertises by Bluetooth (reference, section 1.6)."""
    return f"Nuki_{'Opener_' if is_opener(device) else ''}{device.nuki_id:08X}"


def is_opener(device: SimulatedDevice) -> bool:
    """Whether the device speaks in an Opener's words."""
    return kind_of(device.device_type) is DeviceKind.OPENER


def state_name(device: SimulatedDevice, code: int) -> str:
    """The Bridge's words for a state (Bridge API 1.13.2 section 4.3)."""
    return (_OPENER_STATES if is_opener(device) else _LOCK_STATES).get(code, "undefined")


def list_entry(device: SimulatedDevice, known: tuple[Facts, float] | None) -> dict[str, Wire]:
    """One entry of `/list`; `known` is what the Bridge remembers and when it read it on its own clock."""
    entry: dict[str, Wire] = {
        "deviceType": device.device_type,
        "nukiId": device.nuki_id,
        "name": _name(device.name),
    }
    if known is None:
        return entry
    if device.firmware is not None:
        entry["firmwareVersion"] = device.firmware
    facts, read_at = known
    entry["lastKnownState"] = _state(device, facts) | {"timestamp": iso(read_at)}
    return entry


def lock_state(device: SimulatedDevice, facts: Facts) -> dict[str, Wire]:
    """The answer of `/lockState`."""
    return _state(device, facts) | {"success": True}


def callback(device: SimulatedDevice, facts: Facts) -> dict[str, Wire]:
    """The flat body of a callback (Bridge API 1.13.2 section 5, /callback)."""
    if isinstance(device, SimulatedLock) and device.has_phantom_keypad and facts.keypad_critical is None:
        facts = facts._replace(keypad_critical=False)
    return {"deviceType": device.device_type, "nukiId": device.nuki_id} | _state(device, facts)


def _state(device: SimulatedDevice, facts: Facts) -> dict[str, Wire]:
    state: dict[str, Wire] = {
        "mode": facts.mode,
        "state": facts.state,
        "stateName": state_name(device, facts.state),
        "batteryCritical": facts.battery_critical,
    }
    if facts.battery_charging is not None:
        state["batteryCharging"] = facts.battery_charging
    if facts.battery_level is not None:
        state["batteryChargeState"] = facts.battery_level
    if facts.keypad_critical is not None:
        state["keypadBatteryCritical"] = facts.keypad_critical
    if facts.door is not None:
        state["doorsensorState"] = facts.door
        state["doorsensorStateName"] = _DOOR_STATES.get(facts.door, "unknown")
    if facts.ring_at is not None:
        state["ringactionTimestamp"] = iso(facts.ring_at)
        state["ringactionState"] = facts.is_ringing
    return state


def _name(name: str | bytes) -> bytes:
    if isinstance(name, bytes):
        return name
    return name.encode()[:_NAME_BYTES].replace(b"\\", b"\\\\").replace(b'"', b'\\"')
