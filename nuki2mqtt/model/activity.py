"""Who did what: one entry of a device's log, as Nuki's cloud keeps it.

Source: web reference 3.6 (entries), 4 (triggers, actions). The vendor's numbers are the facts; words are read from them
here and nowhere else, and numbers that no document names are `UNKNOWN`. A device type without its own column is read as
a lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nuki2mqtt.model.device import DeviceKind, NukiId, kind_of
from nuki2mqtt.model.keypad import AuthorizationKind


class ActivityAction(StrEnum):
    """What happened. The first ten are spelled as in `action.Action`."""

    UNLOCK = "unlock"
    LOCK = "lock"
    UNLATCH = "unlatch"
    LOCK_N_GO = "lock_n_go"
    LOCK_N_GO_UNLATCH = "lock_n_go_unlatch"
    ACTIVATE_RTO = "activate_rto"
    DEACTIVATE_RTO = "deactivate_rto"
    ELECTRIC_STRIKE = "electric_strike"
    ACTIVATE_CM = "activate_cm"
    DEACTIVATE_CM = "deactivate_cm"
    FACTORY_RESET = "factory_reset"
    DOOR_AJAR = "door_ajar"
    DOOR_STATUS_MISMATCH = "door_status_mismatch"
    DOORBELL = "doorbell"
    DOOR_OPENED = "door_opened"
    DOOR_CLOSED = "door_closed"
    DOOR_SENSOR_JAMMED = "door_sensor_jammed"
    FIRMWARE_UPDATE = "firmware_update"
    DOOR_LOG_ENABLED = "door_log_enabled"
    DOOR_LOG_DISABLED = "door_log_disabled"
    INITIALIZATION = "initialization"
    CALIBRATION = "calibration"
    LOG_ENABLED = "log_enabled"
    LOG_DISABLED = "log_disabled"
    UNKNOWN = "unknown"


class Trigger(StrEnum):
    """What set it off; 6 is the Opener's continuous mode and a lock's auto lock (web reference 4)."""

    SYSTEM = "system"
    MANUAL = "manual"
    BUTTON = "button"
    AUTOMATIC = "automatic"
    WEB = "web"
    APP = "app"
    AUTO_LOCK = "auto_lock"
    CONTINUOUS_MODE = "continuous_mode"
    ACCESSORY = "accessory"
    KEYPAD_ERROR = "keypad_error"
    NUKI_MODE = "nuki_mode"
    KEYPAD = "keypad"
    UNKNOWN = "unknown"


class Completion(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    MOTOR_BLOCKED = "motor_blocked"
    CANCELED = "canceled"
    TOO_RECENT = "too_recent"
    BUSY = "busy"
    LOW_MOTOR_VOLTAGE = "low_motor_voltage"
    CLUTCH_FAILURE = "clutch_failure"
    MOTOR_POWER_FAILURE = "motor_power_failure"
    INCOMPLETE = "incomplete"
    REJECTED = "rejected"
    REJECTED_NIGHT_MODE = "rejected_night_mode"
    INVALID_CODE = "invalid_code"
    INVALID_FINGERPRINT = "invalid_fingerprint"
    INVALID_NFC_TAG = "invalid_nfc_tag"
    OTHER_ERROR = "other_error"
    UNKNOWN_ERROR = "unknown_error"
    ACCESS_REVOKED = "access_revoked"
    NFC_FAILED = "nfc_failed"
    NFC_CONTROL_FLOW = "nfc_control_flow"
    NFC_TIME_EXPIRED = "nfc_time_expired"
    NFC_INVALID_DATA = "nfc_invalid_data"
    NFC_INVALID_RIGHTS = "nfc_invalid_rights"
    UNKNOWN = "unknown"


class Via(StrEnum):
    """By what somebody acted, in the words that people use."""

    CODE = "code"
    FINGERPRINT = "fingerprint"
    TAP = "tap"
    KEYPAD = "keypad"
    APP = "app"
    WEB = "web"
    BRIDGE = "bridge"
    FOB = "fob"
    ACCESSORY = "accessory"
    BUTTON = "button"
    MANUAL = "manual"
    DOORBELL = "doorbell"
    AUTO_LOCK = "auto_lock"
    AUTO_UNLOCK = "auto_unlock"
    CONTINUOUS_MODE = "continuous_mode"
    TIME_CONTROL = "time_control"
    NUKI_MODE = "nuki_mode"
    AUTOMATIC = "automatic"
    SYSTEM = "system"
    UNKNOWN = "unknown"


_LOCK_ACTIONS = {
    1: ActivityAction.UNLOCK,
    2: ActivityAction.LOCK,
    3: ActivityAction.UNLATCH,
    4: ActivityAction.LOCK_N_GO,
    5: ActivityAction.LOCK_N_GO_UNLATCH,
}
# The Bridge calls continuous mode 4 and 5, the cloud 6 and 7 (web reference 4, "Trap").
_OPENER_ACTIONS = {
    1: ActivityAction.ACTIVATE_RTO,
    2: ActivityAction.DEACTIVATE_RTO,
    3: ActivityAction.ELECTRIC_STRIKE,
    6: ActivityAction.ACTIVATE_CM,
    7: ActivityAction.DEACTIVATE_CM,
}
_OTHER_ACTIONS = {
    11: ActivityAction.FACTORY_RESET,
    208: ActivityAction.DOOR_AJAR,
    209: ActivityAction.DOOR_STATUS_MISMATCH,
    224: ActivityAction.DOORBELL,
    240: ActivityAction.DOOR_OPENED,
    241: ActivityAction.DOOR_CLOSED,
    242: ActivityAction.DOOR_SENSOR_JAMMED,
    243: ActivityAction.FIRMWARE_UPDATE,
    250: ActivityAction.DOOR_LOG_ENABLED,
    251: ActivityAction.DOOR_LOG_DISABLED,
    252: ActivityAction.INITIALIZATION,
    253: ActivityAction.CALIBRATION,
    254: ActivityAction.LOG_ENABLED,
    255: ActivityAction.LOG_DISABLED,
}
_ACTUATIONS = frozenset([*_LOCK_ACTIONS.values(), *_OPENER_ACTIONS.values()])
_DOOR_EVENTS = frozenset(
    {
        ActivityAction.DOOR_AJAR,
        ActivityAction.DOOR_STATUS_MISMATCH,
        ActivityAction.DOOR_OPENED,
        ActivityAction.DOOR_CLOSED,
        ActivityAction.DOOR_SENSOR_JAMMED,
    }
)
_AUTO_LOCK_TRIGGER = 6
_KEYPAD_ERROR_TRIGGER = 253
_TRIGGERS = {
    0: Trigger.SYSTEM,
    1: Trigger.MANUAL,
    2: Trigger.BUTTON,
    3: Trigger.AUTOMATIC,
    4: Trigger.WEB,
    5: Trigger.APP,
    _AUTO_LOCK_TRIGGER: Trigger.AUTO_LOCK,
    7: Trigger.ACCESSORY,
    _KEYPAD_ERROR_TRIGGER: Trigger.KEYPAD_ERROR,
    254: Trigger.NUKI_MODE,
    255: Trigger.KEYPAD,
}
_COMPLETIONS = {
    0: Completion.SUCCESS,
    1: Completion.MOTOR_BLOCKED,
    2: Completion.CANCELED,
    3: Completion.TOO_RECENT,
    4: Completion.BUSY,
    5: Completion.LOW_MOTOR_VOLTAGE,
    6: Completion.CLUTCH_FAILURE,
    7: Completion.MOTOR_POWER_FAILURE,
    8: Completion.INCOMPLETE,
    9: Completion.REJECTED,
    10: Completion.REJECTED_NIGHT_MODE,
    224: Completion.INVALID_CODE,
    225: Completion.INVALID_FINGERPRINT,
    226: Completion.INVALID_NFC_TAG,
    254: Completion.OTHER_ERROR,
    255: Completion.UNKNOWN_ERROR,
}
# With source 3 (tap to unlock) and trigger 253 the same numbers mean these.
_TAP_COMPLETIONS = {
    0: Completion.ACCESS_REVOKED,
    1: Completion.NFC_FAILED,
    2: Completion.NFC_CONTROL_FLOW,
    3: Completion.NFC_TIME_EXPIRED,
    7: Completion.NFC_INVALID_DATA,
    37: Completion.NFC_INVALID_RIGHTS,
    255: Completion.UNKNOWN_ERROR,
}
_TAP_SOURCE = 3
_SOURCES = {1: Via.CODE, 2: Via.FINGERPRINT, _TAP_SOURCE: Via.TAP}
_REFUSED_ENTRIES = frozenset({Completion.INVALID_CODE, Completion.INVALID_FINGERPRINT, Completion.INVALID_NFC_TAG})
# What a keypad that knew the code answers outside of its hours.
_REJECTIONS = frozenset({Completion.REJECTED, Completion.REJECTED_NIGHT_MODE})
_VIA_TRIGGERS = {
    Trigger.SYSTEM: Via.SYSTEM,
    Trigger.MANUAL: Via.MANUAL,
    Trigger.BUTTON: Via.BUTTON,
    Trigger.AUTOMATIC: Via.AUTOMATIC,
    Trigger.WEB: Via.WEB,
    Trigger.APP: Via.APP,
    Trigger.AUTO_LOCK: Via.AUTO_LOCK,
    Trigger.CONTINUOUS_MODE: Via.CONTINUOUS_MODE,
    Trigger.ACCESSORY: Via.ACCESSORY,
    Trigger.KEYPAD_ERROR: Via.KEYPAD,
    Trigger.NUKI_MODE: Via.NUKI_MODE,
    Trigger.KEYPAD: Via.KEYPAD,
    Trigger.UNKNOWN: Via.UNKNOWN,
}
# openerLog.source: what activated ring-to-open or continuous mode; 0 is also what stands there by default.
_OPENER_SOURCES = {1: Via.TIME_CONTROL, 2: Via.APP, 3: Via.BUTTON, 4: Via.FOB, 5: Via.BRIDGE, 6: Via.KEYPAD}
_VIA_KINDS = {
    AuthorizationKind.APP: Via.APP,
    AuthorizationKind.BRIDGE: Via.BRIDGE,
    AuthorizationKind.FOB: Via.FOB,
    AuthorizationKind.KEYPAD: Via.KEYPAD,
    AuthorizationKind.KEYPAD_CODE: Via.CODE,
}


def activity_action_of(device_type: int, code: int) -> ActivityAction:
    """The word for an action number of the cloud: of a log entry, or a state's `lastAction`."""
    own = _OPENER_ACTIONS if kind_of(device_type) is DeviceKind.OPENER else _LOCK_ACTIONS
    return own.get(code) or _OTHER_ACTIONS.get(code, ActivityAction.UNKNOWN)


def trigger_of(device_type: int, code: int) -> Trigger:
    """The word for a trigger number of the cloud: of a log entry, or of a state."""
    if code == _AUTO_LOCK_TRIGGER and kind_of(device_type) is DeviceKind.OPENER:
        return Trigger.CONTINUOUS_MODE
    return _TRIGGERS.get(code, Trigger.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenerActivity:
    """What an Opener adds; `source_code` is the cause of ring-to-open or continuous mode."""

    source_code: int | None = None
    active_rto: bool | None = None
    active_cm: bool | None = None
    is_geofence: bool | None = None
    is_forced: bool | None = None
    is_doorbell_suppressed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One entry; None is "it does not say". `at` is aware UTC, on the device's clock.

    `id` is unique and where reading goes on. `auth_id` is the `id` of a `keypad.Authorization`, `name` who it was as
    the cloud says it, often empty.
    """

    id: str | None = None
    nuki_id: NukiId
    device_type: int
    at: datetime | None = None
    action_code: int | None = None
    trigger_code: int | None = None
    completion_code: int | None = None
    source_code: int | None = None
    name: str | None = None
    auth_id: str | None = None
    auto_unlock: bool | None = None
    ajar_minutes: int | None = None
    opener: OpenerActivity | None = None
    error: str | None = None

    @property
    def action(self) -> ActivityAction:
        """What happened."""
        code = self.action_code
        return ActivityAction.UNKNOWN if code is None else activity_action_of(self.device_type, code)

    @property
    def trigger(self) -> Trigger:
        """What set it off."""
        code = self.trigger_code
        return Trigger.UNKNOWN if code is None else trigger_of(self.device_type, code)

    @property
    def completion(self) -> Completion:
        """How it ended."""
        if self.completion_code is None:
            return Completion.UNKNOWN
        is_tap = self.source_code == _TAP_SOURCE and self.trigger_code == _KEYPAD_ERROR_TRIGGER
        return (_TAP_COMPLETIONS if is_tap else _COMPLETIONS).get(self.completion_code, Completion.UNKNOWN)

    @property
    def is_actuation(self) -> bool:
        """Whether it was an order to the motor or the strike, done or not."""
        return self.action in _ACTUATIONS

    @property
    def is_door_event(self) -> bool:
        """Whether the door sensor told it."""
        return self.action in _DOOR_EVENTS

    @property
    def is_entry_refused(self) -> bool:
        """Whether a keypad refused somebody: a wrong code, finger or tag, or a right one at a wrong time."""
        if self.trigger is Trigger.KEYPAD_ERROR or self.completion in _REFUSED_ENTRIES:
            return True
        return self.trigger is Trigger.KEYPAD and self.completion in _REJECTIONS

    def actor(self, names: Mapping[str, str]) -> str | None:
        """Who it was; `names` of authorizations by id, since an entry may lack its name (web reference 3.6)."""
        said = (self.name or "").strip()
        return said or (None if self.auth_id is None else names.get(self.auth_id))

    def via(self, kind: AuthorizationKind | None = None) -> Via:
        """By what it was done; `kind` is that of its authorization, where it is known.

        A device knows its own keypad, button and knob. What came by Bluetooth is "system" to it: there the
        authorization tells an app from a fob or a Bridge.
        """
        if self.source_code in _SOURCES:
            return _SOURCES[self.source_code]
        if self.auto_unlock:
            return Via.AUTO_UNLOCK
        if self.action is ActivityAction.DOORBELL:
            return Via.DOORBELL
        if self.trigger is Trigger.SYSTEM:
            if self.opener is not None and self.is_actuation and self.opener.source_code in _OPENER_SOURCES:
                return _OPENER_SOURCES[self.opener.source_code]
            return _VIA_KINDS.get(kind, Via.SYSTEM) if kind is not None else Via.SYSTEM
        if self.trigger is Trigger.KEYPAD and kind is AuthorizationKind.KEYPAD_CODE:
            return Via.CODE
        return _VIA_TRIGGERS[self.trigger]
