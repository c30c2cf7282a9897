"""The settings of a device as the cloud has them: keys and their order as recorded of a type 4 and a type 2.

Of other types no body was recorded: they have the keys that the API's description names for them (reference of the
Web API, sections 3.3 and 3.4).
"""

from collections.abc import Mapping

from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.simulator.web_values import Json, Members, not_valid

BERLIN = 37  # section 5, time zone ids

_READ_ONLY = frozenset(  # section 2.1
    {"capabilities", "fobPaired", "fobAction1", "fobAction2", "fobAction3", "operatingMode", "keypadPaired"}
    | {"keypad2Paired", "homekitState", "matterState", "deviceType", "wifiEnabled", "operationId", "productVariant"}
    | {"totalDegrees", "intercomId", "busModeSwitch", "supportedBatteryTypes"}
)
REQUIRED = {  # section 2.1, as far as a device of the type has them
    "config": ("name", "latitude", "longitude", "advertisingMode", "timezoneOffset", "timezoneId"),
    "advancedConfig": ("singleLockedPositionOffsetDegrees", "unlockedPositionOffsetDegrees", "batteryType"),
    "openerAdvancedConfig": ("shortCircuitDuration", "electricStrikeDelay", "rtoTimeout", "batteryType"),
    "smartdoorAdvancedConfig": ("autoLock", "batteryType"),
}


def first_config(device_type: int, name: str, *, has_keypad: bool) -> dict[str, Json]:
    """The `config` of a new device."""
    place: dict[str, Json] = {"name": name, "latitude": 48.2, "longitude": 16.4, "capabilities": 1}
    if kind_of(device_type) is DeviceKind.OPENER:
        return place | {
            "pairingEnabled": False,
            "buttonEnabled": True,
            "ledEnabled": False,
            "timezoneOffset": 0,
            "daylightSavingMode": 0,
            "fobPaired": False,
            "fobAction1": 7,
            "fobAction2": 0,
            "fobAction3": 0,
            "operatingMode": 1,
            "advertisingMode": 0,
            "keypadPaired": has_keypad,
            "homekitState": 0,
            "timezoneId": BERLIN,
        }
    config: dict[str, Json] = place | {
        "autoUnlatch": False,
        "liftUpHandle": False,
        "pairingEnabled": True,
        "buttonEnabled": True,
        "ledEnabled": True,
        "ledBrightness": 2,
        "timezoneOffset": 0,
        "daylightSavingMode": 0,
        "fobPaired": False,
        "fobAction1": 4,
        "fobAction2": 1,
        "fobAction3": 2,
        "singleLock": False,
        "advertisingMode": 0,
        "keypadPaired": has_keypad,
        "keypad2Paired": False,
        "homekitState": 1,
        "matterState": 0,
        "timezoneId": BERLIN,
        "deviceType": device_type,
        "wifiEnabled": device_type in {4, 5},
    }
    return config | {"productVariant": 2} if device_type == 5 else config


def first_advanced_config(device_type: int) -> tuple[str, dict[str, Json]] | None:
    """The second object of settings and its key; None for what has none."""
    buttons: dict[str, Json] = {
        "lngTimeout": 30,
        "singleButtonPressAction": 1,
        "doubleButtonPressAction": 5,
        "automaticBatteryTypeDetection": True,
        "unlatchDuration": 3,
    }
    match kind_of(device_type):
        case DeviceKind.OPENER:
            return "openerAdvancedConfig", _OPENER | {}
        case DeviceKind.SMART_DOOR:
            door: dict[str, Json] = {"buzzerVolume": 1, "supportedBatteryTypes": [0, 1], "batteryType": 0}
            return "smartdoorAdvancedConfig", buttons | door | {"autoLock": False, "autoLockTimeout": 600}
        case DeviceKind.BOX:
            return None
        case _:
            return "advancedConfig", _LOCK | buttons


_LOCK: dict[str, Json] = {
    "totalDegrees": 921,
    "singleLockedPositionOffsetDegrees": -90,
    "unlockedToLockedTransitionOffsetDegrees": 0,
    "unlockedPositionOffsetDegrees": 90,
    "lockedPositionOffsetDegrees": -90,
    "detachedCylinder": False,
    "batteryType": 1,
    "autoLock": False,
    "autoLockTimeout": 600,
    "autoUpdateEnabled": True,
}
_OPENER: dict[str, Json] = {
    "intercomId": 0,
    "busModeSwitch": 0,
    "shortCircuitDuration": 0,
    "electricStrikeDelay": 0,
    "randomElectricStrikeDelay": False,
    "electricStrikeDuration": 3000,
    "disableRtoAfterRing": True,
    "rtoTimeout": 20,
    "doorbellSuppression": 2,
    "doorbellSuppressionDuration": 500,
    "soundRing": 0,
    "soundOpen": 0,
    "soundRto": 0,
    "soundCm": 0,
    "soundConfirmation": 0,
    "soundLevel": 255,
    "singleButtonPressAction": 2,
    "doubleButtonPressAction": 4,
    "batteryType": 0,
    "automaticBatteryTypeDetection": True,
}


def changed(key: str, before: Mapping[str, Json], given: Members) -> dict[str, Json]:
    """The settings after a write of the whole object; raises CloudRefusalError where a needed member is missing.

    Members that cannot be written, or that this device does not have, are passed over.
    """
    for name in REQUIRED[key]:
        if given.values.get(name) is None:
            raise not_valid(name, None)
    after = dict(before)
    for name, value in before.items():
        new = given.values.get(name)
        if name in _READ_ONLY or new is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = isinstance(new, int | float) and not isinstance(new, bool) if is_number else type(new) is type(value)
        if not fits or not isinstance(new, bool | int | float | str):
            raise not_valid(name, new)
        after[name] = new
    return after
