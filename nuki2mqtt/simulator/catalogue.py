"""Which devices a simulated house can have, and those with which it begins."""

from collections.abc import Iterator
from enum import StrEnum

from nuki2mqtt.simulator.family import Family
from nuki2mqtt.simulator.house import SimulatedDevice, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.script import DOOR_CLOSED

UNKNOWN_TYPE = 11  # no document names it; another project's fixture has it


class Model(StrEnum):
    """A device as people call it."""

    SMART_LOCK_2 = "smart_lock_2"
    SMART_LOCK_3 = "smart_lock_3"
    SMART_LOCK_4 = "smart_lock_4"
    SMART_LOCK_5 = "smart_lock_5"
    SMART_DOOR = "smart_door"
    OPENER = "opener"
    BOX = "box"
    UNKNOWN = "unknown"


# Type numbers: Bridge API 1.13.2 section 4.1; 1 and 5 are the Web API's. Firmware: where one was recorded, of its
# generation.
_LOCKS = {
    Model.SMART_LOCK_2: (0, "2.15.2"),
    Model.SMART_LOCK_3: (4, "3.5.6"),
    Model.SMART_LOCK_4: (4, "4.2.6"),
    Model.SMART_LOCK_5: (5, "5.1.2"),
    Model.SMART_DOOR: (3, "1.2.0"),
    Model.BOX: (1, "1.0.0"),
    Model.UNKNOWN: (UNKNOWN_TYPE, "1.0.0"),
}


def make_device(
    model: Model,
    nuki_id: int,
    name: str,
    *,
    device_type: int | None = None,
    has_door_sensor: bool = False,
    has_keypad: bool = False,
) -> SimulatedDevice:
    """A device of this model, locked and closed; `device_type` is another type number than the model's."""
    if model is Model.OPENER:
        return SimulatedOpener(nuki_id=nuki_id, name=name)
    number, firmware = _LOCKS[model]
    return SimulatedLock(
        nuki_id=nuki_id,
        device_type=number if device_type is None else device_type,
        name=name,
        firmware=firmware,
        door=DOOR_CLOSED if has_door_sensor else None,
        keypad_critical=False if has_keypad else None,
    )


def wifi_devices() -> Iterator[SimulatedDevice]:
    """The devices that are in the cloud only: they have Wi-Fi of their own, and no Bridge is paired with them."""
    yield make_device(Model.SMART_LOCK_4, 0x1A2B0001, "Terrace", has_door_sensor=True)
    yield make_device(Model.SMART_LOCK_5, 0x1A2B0002, "Studio", has_keypad=True)


def first_devices(family: Family, number: int) -> Iterator[tuple[SimulatedDevice, bool]]:
    """The devices that the Bridge of this number (from 1) brings into the house, and whether they are paired with it.

    The first hardware Bridge brings one of each model, each further one a flat's lock and Opener, a software Bridge
    a lock only. A box is in the house and is not paired: no Bridge is known to have one (reference, section 1.7).
    """
    first_id = 0x1A2B0000 + number * 0x100
    if family is Family.SOFTWARE:
        yield make_device(Model.SMART_LOCK_2, first_id + 1, "Front door" if number == 1 else f"Flat {number}"), True
        return
    if number > 1:
        yield make_device(Model.SMART_LOCK_3, first_id + 1, f"Flat {number}", has_door_sensor=True), True
        yield make_device(Model.OPENER, first_id + 2, f"Bell {number}"), True
        return
    front_door = make_device(Model.SMART_LOCK_4, first_id + 1, "Front door", has_door_sensor=True, has_keypad=True)
    yield front_door, True
    yield make_device(Model.SMART_LOCK_2, first_id + 2, "Cellar"), True
    yield make_device(Model.SMART_LOCK_3, first_id + 3, "Garage"), True
    yield make_device(Model.SMART_DOOR, first_id + 4, "Back door", has_door_sensor=True), True
    yield make_device(Model.OPENER, first_id + 5, "Intercom"), True
    yield make_device(Model.BOX, first_id + 6, "Parcels"), False
