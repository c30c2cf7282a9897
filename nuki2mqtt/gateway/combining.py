"""One lock of which two sources speak: its facts, each with its source and its time.

The local side leads: what it says counts, and of the cloud is taken only what the local side does not say. The cloud
leads where there is nothing local; and where the local side cannot be vouched for but the cloud's can, if both agree,
or if the cloud was seen to change since the local side last spoke. Otherwise nobody knows which of two contrary states
is the newer one, and the local one stays, shown as stale.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from nuki2mqtt.model.state import DeviceState, Source

# Both clocks of ours are one; a change may have been on its way from the lock to two places.
_TOLERANCE_S = 2.0


class FactName(StrEnum):
    """A leaf of the snapshot that both sources can tell."""

    STATE = "state"
    MODE = "mode"
    DOOR = "door"
    BATTERY_LEVEL = "battery.level"
    BATTERY_CRITICAL = "battery.critical"
    BATTERY_CHARGING = "battery.charging"
    KEYPAD_BATTERY = "keypad.battery_critical"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, who said it, and when it was so (monotonic seconds)."""

    value: int | bool
    source: Source
    time: float


@dataclass(frozen=True, slots=True)
class Side:
    """What one source holds. `changed`: when it was seen to become so, None where it was so from the first."""

    state: DeviceState
    source: Source
    time: float
    is_vouched: bool
    changed: float | None = None


@dataclass(frozen=True, slots=True)
class Combined:
    """All facts; `leads` is the side whose state is shown, by which it is vouched for.

    `is_doubtful`: both are vouched for and the cloud saw another state later: a reason to look, once for each `changed`
    of the cloud.
    """

    facts: dict[FactName, Fact]
    leads: Side
    is_doubtful: bool = False

    @property
    def is_vouched(self) -> bool:
        """Whether it may be shown as fresh."""
        return self.leads.is_vouched


def facts_of(side: Side) -> Iterator[tuple[FactName, Fact]]:
    """What a side says."""
    state = side.state
    values: dict[FactName, int | bool | None] = {
        FactName.STATE: state.state_code,
        FactName.MODE: state.mode_code,
        FactName.DOOR: state.door_code,
        FactName.BATTERY_LEVEL: state.battery.level,
        FactName.BATTERY_CRITICAL: state.battery.critical,
        FactName.BATTERY_CHARGING: state.battery.charging,
        FactName.KEYPAD_BATTERY: state.keypad_battery_critical,
    }
    for name, value in values.items():
        if value is not None:
            yield name, Fact(value, side.source, side.time)


def _agree(one: DeviceState, other: DeviceState) -> bool:
    is_same_door = one.door_code == other.door_code or None in {one.door_code, other.door_code}
    return one.state_code == other.state_code and is_same_door


def cloud_leads(local: Side, cloud: Side) -> bool:
    """Whether the cloud's state is shown although there is a local one."""
    if local.is_vouched or not cloud.is_vouched:
        return False
    is_newer = cloud.changed is not None and cloud.changed > local.time + _TOLERANCE_S
    return is_newer or _agree(local.state, cloud.state)


def combine(local: Side | None, cloud: Side | None) -> Combined | None:
    """What is to be shown of a lock; None where no source has a state."""
    if local is None or cloud is None:
        only = local or cloud
        return None if only is None else Combined(dict(facts_of(only)), only)
    leads, other = (cloud, local) if cloud_leads(local, cloud) else (local, cloud)
    facts = dict(facts_of(other)) | dict(facts_of(leads))
    was_later = cloud.changed is not None and cloud.changed > local.time + _TOLERANCE_S
    is_contrary = not _agree(local.state, cloud.state)
    is_doubtful = local.is_vouched and cloud.is_vouched and was_later and is_contrary
    return Combined({name: facts[name] for name in FactName if name in facts}, leads, is_doubtful)
