"""What can be known of a lock, and how two views of it differ.

The vendor's numbers are the facts; words are read from them here and nowhere else.
Sources: Bridge API 1.13.2 sections 4.2 (mode), 4.3 (states), 4.6 (door sensor); the words are those of
docs/topics.md.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nuki2mqtt.model.device import DeviceKind, Feature, NukiId, kind_of


class LockState(StrEnum):
    """State of types 0, 3, 4, 5 (and of unknown types, as a lock is the safest reading)."""

    UNCALIBRATED = "uncalibrated"
    LOCKED = "locked"
    UNLOCKING = "unlocking"
    UNLOCKED = "unlocked"
    LOCKING = "locking"
    UNLATCHED = "unlatched"
    UNLOCKED_LOCK_N_GO = "unlocked_lock_n_go"
    UNLATCHING = "unlatching"
    BOOT_RUN = "boot_run"
    MOTOR_BLOCKED = "motor_blocked"
    UNDEFINED = "undefined"
    UNKNOWN = "unknown"


class OpenerState(StrEnum):
    """State of type 2."""

    UNTRAINED = "untrained"
    ONLINE = "online"
    RTO_ACTIVE = "rto_active"
    OPEN = "open"
    OPENING = "opening"
    BOOT_RUN = "boot_run"
    UNDEFINED = "undefined"
    UNKNOWN = "unknown"


class LockWord(StrEnum):
    """The reduced state that Home Assistant's lock knows."""

    LOCKED = "LOCKED"
    UNLOCKING = "UNLOCKING"
    UNLOCKED = "UNLOCKED"
    LOCKING = "LOCKING"
    OPEN = "OPEN"
    OPENING = "OPENING"
    JAMMED = "JAMMED"


class DoorState(StrEnum):
    """What the door sensor says."""

    DEACTIVATED = "deactivated"
    CLOSED = "closed"
    OPEN = "open"
    UNKNOWN = "unknown"
    CALIBRATING = "calibrating"
    UNCALIBRATED = "uncalibrated"
    REMOVED = "removed"


class Mode(StrEnum):
    """Operating mode; continuous mode exists on the Opener only."""

    DOOR = "door"
    CONTINUOUS = "continuous"
    UNKNOWN = "unknown"


class Source(StrEnum):
    """Who said it.

    `LIST` is the Bridge's cache, `LOCK_STATE` a read that woke the lock, `WEB` Nuki's cloud, `COMMAND` we ourselves.
    """

    LIST = "list"
    CALLBACK = "callback"
    LOCK_STATE = "lock_state"
    WEB = "web"
    COMMAND = "command"


JAMMED_CODE = 254
OPENER_RTO_CODE = 3
DOOR_CLOSED_CODE = 2
DOOR_OPEN_CODE = 3
DOOR_MODE_CODE = 2
CONTINUOUS_MODE_CODE = 3

_LOCK_STATES: dict[int, tuple[LockState, LockWord | None]] = {
    0: (LockState.UNCALIBRATED, None),
    1: (LockState.LOCKED, LockWord.LOCKED),
    2: (LockState.UNLOCKING, LockWord.UNLOCKING),
    3: (LockState.UNLOCKED, LockWord.UNLOCKED),
    4: (LockState.LOCKING, LockWord.LOCKING),
    5: (LockState.UNLATCHED, LockWord.OPEN),
    6: (LockState.UNLOCKED_LOCK_N_GO, LockWord.UNLOCKED),
    7: (LockState.UNLATCHING, LockWord.OPENING),
    253: (LockState.BOOT_RUN, None),
    JAMMED_CODE: (LockState.MOTOR_BLOCKED, LockWord.JAMMED),
    255: (LockState.UNDEFINED, None),
}
_OPENER_STATES: dict[int, tuple[OpenerState, LockWord | None]] = {
    0: (OpenerState.UNTRAINED, None),
    1: (OpenerState.ONLINE, LockWord.LOCKED),
    OPENER_RTO_CODE: (OpenerState.RTO_ACTIVE, LockWord.UNLOCKED),
    5: (OpenerState.OPEN, LockWord.OPEN),
    7: (OpenerState.OPENING, LockWord.OPENING),
    253: (OpenerState.BOOT_RUN, None),
    255: (OpenerState.UNDEFINED, None),
}
_DOOR_STATES = {
    1: DoorState.DEACTIVATED,
    DOOR_CLOSED_CODE: DoorState.CLOSED,
    DOOR_OPEN_CODE: DoorState.OPEN,
    4: DoorState.UNKNOWN,
    5: DoorState.CALIBRATING,
    16: DoorState.UNCALIBRATED,
    240: DoorState.REMOVED,
    255: DoorState.UNKNOWN,
}
_MODES = {DOOR_MODE_CODE: Mode.DOOR, CONTINUOUS_MODE_CODE: Mode.CONTINUOUS}

# States that a motor leaves within seconds. The Bridge's cache has been seen stuck in them
# (homebridge-nb issues 132 and 133); 6 lasts as long as the lock 'n' go delay.
_TRANSITIONAL_LOCK = frozenset({2, 4, 6, 7})
_TRANSITIONAL_OPENER = frozenset({7})
# States that a Bridge reports by callback: final ones (developer.nuki.io, thread 4237).
_CALLED_BACK_LOCK = frozenset({1, 3})
_CALLED_BACK_OPENER = frozenset({1, 3})


def state_of(device_type: int, code: int) -> LockState | OpenerState:
    """The word for a state number of this device type."""
    if kind_of(device_type) is DeviceKind.OPENER:
        return _OPENER_STATES[code][0] if code in _OPENER_STATES else OpenerState.UNKNOWN
    return _LOCK_STATES[code][0] if code in _LOCK_STATES else LockState.UNKNOWN


def lock_word_of(device_type: int, code: int, mode_code: int | None) -> LockWord | None:
    """The reduced word; None where neither locked nor unlocked was seen."""
    if kind_of(device_type) is DeviceKind.OPENER:
        word = _OPENER_STATES[code][1] if code in _OPENER_STATES else None
        if word is LockWord.LOCKED and mode_code == CONTINUOUS_MODE_CODE:
            return LockWord.UNLOCKED
        return word
    return _LOCK_STATES[code][1] if code in _LOCK_STATES else None


def door_of(code: int) -> DoorState:
    """The word for a door sensor number; unknown numbers are `UNKNOWN`."""
    return _DOOR_STATES.get(code, DoorState.UNKNOWN)


def mode_of(code: int) -> Mode:
    """The word for a mode number."""
    return _MODES.get(code, Mode.UNKNOWN)


def is_transitional(device_type: int, code: int) -> bool:
    """Whether a healthy device leaves this state by itself within seconds."""
    is_opener = kind_of(device_type) is DeviceKind.OPENER
    return code in (_TRANSITIONAL_OPENER if is_opener else _TRANSITIONAL_LOCK)


def is_called_back(device_type: int, code: int) -> bool:
    """Whether a Bridge tells the arrival at this state by callback."""
    is_opener = kind_of(device_type) is DeviceKind.OPENER
    return code in (_CALLED_BACK_OPENER if is_opener else _CALLED_BACK_LOCK)


@dataclass(frozen=True, slots=True)
class Battery:
    """Level in percent; None is "the source does not say"."""

    level: int | None = None
    critical: bool | None = None
    charging: bool | None = None


@dataclass(frozen=True, slots=True)
class Ring:
    """An Opener's last ring: its time on the Bridge's clock, and whether it is ringing now."""

    at: datetime | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What one body says of one device; None is "it does not say"."""

    state_code: int
    mode_code: int | None = None
    door_code: int | None = None
    battery: Battery = Battery()
    keypad_battery_critical: bool | None = None
    ring: Ring | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one source says of one device.

    `state` is None where a `/list` entry has no `lastKnownState`. `at` is the entry's own timestamp on the
    Bridge's clock (aware, UTC), None for sources that carry none. `device_type` is None where it is not said.
    """

    nuki_id: NukiId
    source: Source
    device_type: int | None = None
    name: str | None = None
    firmware: str | None = None
    state: DeviceState | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What happened last, what set it off and who it was, as words; None is "not known". Only the cloud can say it."""

    action: str | None = None
    trigger: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What we last saw of a device, and how well we know it.

    Times are aware UTC: `seen` is the report's own time on our clock, `changed` the `seen` of the report in
    which state, door, ring-to-open or continuous mode last differed; `ring_at` is on the Bridge's clock.
    `stale` means that we do not vouch for it now. `has_keypad`: a keypad was named.
    `deed` is None where no cloud could say it.
    """

    nuki_id: NukiId
    device_type: int
    name: str
    firmware: str | None = None
    state_code: int | None = None
    mode_code: int | None = None
    door_code: int | None = None
    battery: Battery = Battery()
    keypad_battery_critical: bool | None = None
    has_keypad: bool = False
    door_sensor_battery_critical: bool | None = None
    ring_at: datetime | None = None
    derived: bool = False
    source: Source | None = None
    seen: datetime | None = None
    changed: datetime | None = None
    stale: bool = True
    bridge: NukiId | None = None
    rssi_dbm: int | None = None
    deed: Deed | None = None

    @property
    def kind(self) -> DeviceKind:
        """The kind of device."""
        return kind_of(self.device_type)

    @property
    def is_opener(self) -> bool:
        """Whether this is an Opener, whose state 1 is "online", not "locked"."""
        return self.kind is DeviceKind.OPENER

    @property
    def state(self) -> LockState | OpenerState | None:
        """The state as a word."""
        return None if self.state_code is None else state_of(self.device_type, self.state_code)

    @property
    def lock(self) -> LockWord | None:
        """The reduced state."""
        if self.state_code is None:
            return None
        return lock_word_of(self.device_type, self.state_code, self.mode_code)

    @property
    def door(self) -> DoorState | None:
        """The door as a word, None without a sensor."""
        return None if self.door_code is None else door_of(self.door_code)

    @property
    def mode(self) -> Mode | None:
        """The mode as a word."""
        return None if self.mode_code is None else mode_of(self.mode_code)

    @property
    def ring_to_open(self) -> bool | None:
        """Whether ring-to-open is active; None for locks and where the state does not tell."""
        if not self.is_opener or self.state_code not in {1, OPENER_RTO_CODE, 5, 7}:
            return None
        return self.state_code == OPENER_RTO_CODE

    @property
    def continuous_mode(self) -> bool | None:
        """Whether an Opener is in continuous mode; it shows in the mode only (Bridge API section 4.2)."""
        if not self.is_opener or self.mode_code not in {DOOR_MODE_CODE, CONTINUOUS_MODE_CODE}:
            return None
        return self.mode_code == CONTINUOUS_MODE_CODE

    @property
    def features(self) -> frozenset[Feature]:
        """What this snapshot shows the device to have."""
        seen = {
            Feature.DOOR: self.door_code is not None,
            Feature.BATTERY_LEVEL: self.battery.level is not None,
            Feature.BATTERY_CRITICAL: self.battery.critical is not None,
            Feature.BATTERY_CHARGING: self.battery.charging is not None,
            Feature.KEYPAD: self.has_keypad,
            Feature.RING: self.is_opener,
            Feature.RSSI: self.rssi_dbm is not None,
        }
        return frozenset(feature for feature, is_seen in seen.items() if is_seen)
