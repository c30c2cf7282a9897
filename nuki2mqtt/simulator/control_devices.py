"""What can be done to a simulated device by hand, from outside. Pure."""

from nuki2mqtt.simulator.bodies import iso, state_name
from nuki2mqtt.simulator.catalogue import Model, make_device
from nuki2mqtt.simulator.control_values import Asked, ControlError, Json, read_id
from nuki2mqtt.simulator.estate import Estate, ServedBridge
from nuki2mqtt.simulator.house import (
    LOCKED,
    MOTOR_BLOCKED,
    ONLINE,
    OPEN,
    RTO_ACTIVE,
    UNLATCHED,
    UNLOCKED,
    SimulatedDevice,
    SimulatedLock,
    SimulatedOpener,
)
from nuki2mqtt.simulator.script import DOOR_CLOSED, DOOR_OPEN

LOCK_WORDS = {"locked": LOCKED, "unlocked": UNLOCKED, "unlatched": UNLATCHED, "motor_blocked": MOTOR_BLOCKED}
OPENER_WORDS = {"online": ONLINE, "rto_active": RTO_ACTIVE, "open": OPEN}
DOOR_WORDS = {"closed": DOOR_CLOSED, "open": DOOR_OPEN}
_MOST_DEVICES = 100


def find_device(estate: Estate, text: str) -> SimulatedDevice:
    """A device by its ID; raises ControlError."""
    nuki_id = read_id(text, "The device")
    for device in estate.house.devices:
        if device.nuki_id == nuki_id:
            return device
    raise ControlError(404, f"There is no device {text.upper()} in the house; GET /house lists them.")


def describe_device(estate: Estate, device: SimulatedDevice) -> Json:
    """The truth about a device; `bridges` are those with which it is paired."""
    shown: dict[str, Json] = {
        "id": f"{device.nuki_id:08X}",
        "nuki_id": device.nuki_id,
        "device_type": device.device_type,
        "name": device.name if isinstance(device.name, str) else device.name.decode(errors="replace"),
        "firmware": device.firmware,
        "bridges": [one.id for one in estate.bridges if device.nuki_id in one.paired],
        "state": device.state,
        "state_name": state_name(device, device.state),
        "mode": device.mode,
        "battery": {
            "level": device.battery_level,
            "critical": device.battery_critical,
            "charging": device.battery_charging,
            "keypad_critical": device.keypad_critical,
        },
        "turns": device.turns,
        "unlatches": device.unlatches,
        "wakeups": device.wakeups,
    }
    if isinstance(device, SimulatedLock):
        shown |= {"door": device.door, "jammed": device.is_jammed}
    if isinstance(device, SimulatedOpener):
        shown |= {"ringing": device.is_ringing, "rung_at": None if device.ring_at is None else iso(device.ring_at)}
    return shown


def turn(device: SimulatedDevice, asked: Asked) -> Json:
    """Bring a device to a state by hand."""
    words = OPENER_WORDS if isinstance(device, SimulatedOpener) else LOCK_WORDS
    device.turn(asked.fields("state").code("state", words))
    return {"state": device.state, "state_name": state_name(device, device.state)}


def move_door(device: SimulatedDevice, asked: Asked) -> Json:
    """Move the door of a lock; `no_sensor` takes its sensor away."""
    lock = _lock(device, "door")
    given = asked.fields("door")
    lock.set_door(None if given.values.get("door") == "no_sensor" else given.code("door", DOOR_WORDS))
    return {"door": lock.door}


def ring(device: SimulatedDevice, asked: Asked) -> Json:
    """Ring at an Opener."""
    asked.fields()
    if not isinstance(device, SimulatedOpener):
        raise ControlError(409, f"Nobody can ring at {device.nuki_id:08X}: it is no Opener.")
    device.ring()
    return {"rung_at": iso(device.ring_at or 0.0)}


def set_battery(device: SimulatedDevice, asked: Asked) -> Json:
    """Change what is given of the batteries."""
    given = asked.fields("level", "critical", "charging", "keypad_critical")
    if not given.values:
        raise ControlError(400, "Nothing to do: give level, critical, charging or keypad_critical.")
    device.set_battery(
        level=given.within("level", 0, 100) if given.has("level") else None,
        critical=given.switch("critical") if given.has("critical") else None,
        charging=given.switch("charging") if given.has("charging") else None,
        keypad_critical=given.switch("keypad_critical") if given.has("keypad_critical") else None,
    )
    return {
        "level": device.battery_level,
        "critical": device.battery_critical,
        "charging": device.battery_charging,
        "keypad_critical": device.keypad_critical,
    }


def jam(device: SimulatedDevice, asked: Asked) -> Json:
    """Let every motor's way end in "motor blocked", or free it again."""
    lock = _lock(device, "motor that can block")
    lock.is_jammed = asked.fields("jammed").switch("jammed")
    return {"jammed": lock.is_jammed}


def add_device(estate: Estate, one: ServedBridge, asked: Asked) -> Json:
    """Put another device into the house and pair it with a Bridge."""
    given = asked.fields("model", "id", "name", "device_type", "door_sensor", "keypad")
    model = given.text("model")
    if model not in set(Model):
        raise ControlError(400, f"There is no model {model!r}: {', '.join(Model)}.")
    if len(estate.house.devices) >= _MOST_DEVICES:
        raise ControlError(409, f"The house is full: {_MOST_DEVICES} devices at most.")
    device = make_device(
        Model(model),
        given.nuki_id("id"),
        given.text("name"),
        device_type=given.within("device_type", 0, 255) if given.has("device_type") else None,
        has_door_sensor=given.switch("door_sensor", default=False),
        has_keypad=given.switch("keypad", default=False),
    )
    try:
        estate.add(one, device)
    except ValueError as error:
        raise ControlError(409, f"{error}") from None
    return describe_device(estate, device)


def _lock(device: SimulatedDevice, what: str) -> SimulatedLock:
    if not isinstance(device, SimulatedLock):
        raise ControlError(409, f"{device.nuki_id:08X} has no {what}: it is no lock.")
    return device
