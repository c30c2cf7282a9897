"""What Nuki's cloud says of one device: the same report as a Bridge's, and what only the cloud knows.

Sources: web reference 3.1 to 3.3 (fields), 4 (states), 5 (how the cloud numbers devices).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nuki2mqtt.model.activity import ActivityAction, Trigger, activity_action_of, trigger_of
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Report
from nuki2mqtt.model.time_zone import time_zone_name

_TYPE_SHIFT = 32  # web reference 5: the device type stands above the 32 bits of the Nuki ID
_NUKI_ID_BITS = 0xFFFF_FFFF
MOST_SMARTLOCK_ID = 2**63 - 1  # web reference 2: int64
# States that are no position of the lock: a wrong code, a wrong finger (web reference 4; in the API description only).
ENTRY_REFUSED_STATES = frozenset({224, 225})


def smartlock_id_of(device_type: int, nuki_id: NukiId) -> int:
    """The cloud's number of a device; type 0 adds nothing."""
    return device_type << _TYPE_SHIFT | nuki_id.value


def nuki_id_of(smartlock_id: int) -> NukiId:
    """The Nuki ID in the cloud's number of a device."""
    return NukiId(smartlock_id & _NUKI_ID_BITS)


def device_type_of(smartlock_id: int) -> int:
    """The device type in the cloud's number of a device; what the cloud says as `type` comes before it."""
    return smartlock_id >> _TYPE_SHIFT


class ServerState(StrEnum):
    """Whether the cloud reaches a device; everything but `OFFLINE` and `OK` is a matter of its registration."""

    OK = "ok"
    UNREGISTERED = "unregistered"
    AUTH_UUID_INVALID = "auth_uuid_invalid"
    AUTH_INVALID = "auth_invalid"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


# Web reference 3.1, `serverState`.
_SERVER_STATES = {
    0: ServerState.OK,
    1: ServerState.UNREGISTERED,
    2: ServerState.AUTH_UUID_INVALID,
    3: ServerState.AUTH_INVALID,
    4: ServerState.OFFLINE,
}


def server_state_of(code: int) -> ServerState:
    """The word for a `serverState` number."""
    return _SERVER_STATES.get(code, ServerState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudFacts:
    """What only the cloud says; None is "it does not say". Times are aware UTC.

    `has_operation`: the cloud holds the device for a change that is under way. `updated` moves with any change of the
    entry, so that it is no time of the state. Where the device stands (latitude, longitude) is never read.
    """

    server_state_code: int | None = None
    admin_pin_state_code: int | None = None
    keypad_paired: bool | None = None
    keypad2_paired: bool | None = None
    time_zone_id: int | None = None
    has_operation: bool = False
    updated: datetime | None = None
    last_action_code: int | None = None
    trigger_code: int | None = None
    night_mode: bool | None = None
    ring_to_open_ends: datetime | None = None
    door_sensor_battery_critical: bool | None = None
    is_virtual: bool | None = None
    error: str | None = None

    @property
    def server_state(self) -> ServerState | None:
        """Whether the cloud reaches it."""
        return None if self.server_state_code is None else server_state_of(self.server_state_code)

    @property
    def has_keypad(self) -> bool | None:
        """Whether a Keypad of either kind is paired; None where the cloud says nothing of either."""
        said = [paired for paired in (self.keypad_paired, self.keypad2_paired) if paired is not None]
        return any(said) if said else None

    @property
    def time_zone_name(self) -> str | None:
        """The time zone of the lock by name."""
        return time_zone_name(self.time_zone_id)


@dataclass(frozen=True, slots=True)
class CloudDevice:
    """One device of the account. The report's `at` is None: no time of the cloud belongs to the state."""

    smartlock_id: int
    report: Report
    facts: CloudFacts

    @property
    def device_type(self) -> int:
        """The type as the cloud says it, else as its number holds it."""
        said = self.report.device_type
        return device_type_of(self.smartlock_id) if said is None else said

    @property
    def is_entry_refused(self) -> bool:
        """Whether its state is no position but says that a keypad refused somebody."""
        return self.report.state is not None and self.report.state.state_code in ENTRY_REFUSED_STATES

    @property
    def last_action(self) -> ActivityAction | None:
        """What it did last."""
        code = self.facts.last_action_code
        return None if code is None else activity_action_of(self.device_type, code)

    @property
    def trigger(self) -> Trigger | None:
        """What set that off."""
        code = self.facts.trigger_code
        return None if code is None else trigger_of(self.device_type, code)
