"""Lenient readers of what the cloud says of a device: as part of a list, alone, or in a webhook.

Source: web reference 3.1 (Smartlock), 3.2 (state), 3.3 (config), 4 (states), 5 (ids). What is absent, of a wrong type
or out of range is None. Minima and maxima of the API description are stale (web reference 10, row 12) and not looked
at. Latitude and longitude are not read at all.
"""

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.cloud_device import MOST_SMARTLOCK_ID, CloudDevice, CloudFacts, device_type_of, nuki_id_of
from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.model.state import Battery, DeviceState, Report, Source
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_bodies import JsonObject
from nuki2mqtt.protocol.web_texts import clear_web_text

_NO_DOOR_SENSOR = 0  # web reference 4: unavailable, or not paired; a Bridge leaves the field out instead


def read_device(entry: JsonObject) -> CloudDevice:
    """One device; raises UnreadableBody where nobody knows which one it is."""
    smartlock_id = require_smartlock_id(entry)
    said = bodies.read_int(entry, "type")
    device_type = device_type_of(smartlock_id) if said is None else said
    config, state = bodies.read_object(entry, "config"), bodies.read_object(entry, "state")
    facts = _facts(entry, config, state)
    report = Report(
        nuki_id=nuki_id_of(smartlock_id),
        source=Source.WEB,
        device_type=device_type,
        name=bodies.read_name(entry),
        firmware=_version(bodies.read_int(entry, "firmwareVersion")),
        state=_state(state, device_type, facts),
    )
    return CloudDevice(smartlock_id, report, facts)


def require_smartlock_id(entry: JsonObject) -> int:
    """The `smartlockId`; raises UnreadableBody, since without it nobody knows whose the rest is."""
    smartlock_id = bodies.read_int(entry, "smartlockId", high=MOST_SMARTLOCK_ID)
    if smartlock_id is None:
        if isinstance(entry.get("smartlockId"), int | float) and not isinstance(entry["smartlockId"], bool):
            raise UnreadableBody("smartlockId is out of range")
        raise bodies.not_wanted(entry, "smartlockId", "a whole number")
    return smartlock_id


def is_said(data: JsonObject, key: str) -> bool:
    """Whether anything but null stands under this key."""
    return data.get(key) is not None


def read_error(data: JsonObject) -> str | None:
    """What the cloud says is wrong with an entry, without secrets."""
    error = data.get("error")
    return (clear_web_text(error) or None) if isinstance(error, str) else None


def _facts(entry: JsonObject, config: JsonObject, state: JsonObject) -> CloudFacts:
    # Where an entry names no door sensor, its battery is said to be fine all the same.
    has_door_sensor = (bodies.read_int(state, "doorState") or _NO_DOOR_SENSOR) != _NO_DOOR_SENSOR
    return CloudFacts(
        server_state_code=bodies.read_int(entry, "serverState"),
        admin_pin_state_code=bodies.read_int(entry, "adminPinState"),
        keypad_paired=bodies.read_bool(config, "keypadPaired"),
        keypad2_paired=bodies.read_bool(config, "keypad2Paired"),
        time_zone_id=bodies.read_int(config, "timezoneId"),
        has_operation=any(is_said(part, "operationId") for part in (entry, config, state)),
        updated=bodies.read_time(entry, "updateDate"),
        last_action_code=bodies.read_int(state, "lastAction"),
        trigger_code=bodies.read_int(state, "trigger"),
        night_mode=bodies.read_bool(state, "nightMode"),
        ring_to_open_ends=bodies.read_time(state, "ringToOpenEnd"),
        door_sensor_battery_critical=bodies.read_bool(state, "doorsensorBatteryCritical") if has_door_sensor else None,
        is_virtual=bodies.read_bool(entry, "virtualDevice"),
        error=read_error(entry),
    )


def _state(state: JsonObject, device_type: int, facts: CloudFacts) -> DeviceState | None:
    """The state as a Bridge would say it; None without a readable state number."""
    state_code = bodies.read_int(state, "state")
    if state_code is None:
        return None
    door_code = bodies.read_int(state, "doorState")
    level = bodies.read_int(state, "batteryCharge", high=100)
    if level == 0 and kind_of(device_type) is DeviceKind.OPENER:
        level = None  # an Opener measures no charge, and says 0 with a good battery
    return DeviceState(
        state_code=state_code,
        mode_code=bodies.read_int(state, "mode"),
        door_code=None if door_code == _NO_DOOR_SENSOR else door_code,
        battery=Battery(
            level=level,
            critical=bodies.read_bool(state, "batteryCritical"),
            charging=bodies.read_bool(state, "batteryCharging"),
        ),
        keypad_battery_critical=_keypad_battery(state, facts),
    )


def _keypad_battery(state: JsonObject, facts: CloudFacts) -> bool | None:
    # It is said to be fine where there is no Keypad at all, and a webhook does not say whether there is one.
    is_critical = bodies.read_bool(state, "keypadBatteryCritical")
    return is_critical if facts.has_keypad or (facts.has_keypad is None and is_critical) else None


def _version(packed: int | None) -> str | None:
    """A firmware version from its packed bytes: 199175 is 0x030A07 is 3.10.7 (web reference 3.1)."""
    if not packed:
        return None
    return f"{packed >> 16}.{packed >> 8 & 0xFF}.{packed & 0xFF}"
