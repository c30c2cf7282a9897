"""What happened to a device, as people and automations are told it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nuki2mqtt.model.command import Reason
from nuki2mqtt.model.state import LockState, OpenerState, Source


class EventType(StrEnum):
    """The event types of docs/topics.md."""

    STATE_CHANGED = "state_changed"
    DOOR_OPENED = "door_opened"
    DOOR_CLOSED = "door_closed"
    RING = "ring"
    JAMMED = "jammed"
    BATTERY_LOW = "battery_low"
    CODE_REFUSED = "code_refused"
    COMMAND_FAILED = "command_failed"
    ATTRIBUTED = "attributed"


class BatteryPart(StrEnum):
    """Which battery is low."""

    LOCK = "lock"
    KEYPAD = "keypad"


@dataclass(frozen=True, slots=True)
class StateChange:
    """From which state to which, as words and as the vendor's numbers."""

    from_state: LockState | OpenerState
    to_state: LockState | OpenerState
    from_code: int
    to_code: int


@dataclass(frozen=True, slots=True)
class RingTime:
    """When it rang on the Bridge's clock; None where the firmware does not say."""

    at: datetime | None


@dataclass(frozen=True, slots=True)
class CommandFailure:
    """Which action was refused or failed, and why; the action may be a word that nobody knows."""

    action: str | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One event. `at` is when it happened on our clock; `is_old`: too old when we learnt of it to act on."""

    event_type: EventType
    at: datetime
    source: Source
    details: StateChange | RingTime | BatteryPart | CommandFailure | None = None
    is_old: bool = False
