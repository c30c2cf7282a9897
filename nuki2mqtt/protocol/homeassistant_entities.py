"""The table of everything that Home Assistant is offered.

Keys of `options` are Home Assistant's MQTT abbreviations. Values are read with `.get`, since a key that a
source does not know is missing from the payload; a missing or null value renders as `None`, which resets an
entity to unknown. Anything else that an entity does not understand would leave its old value standing.
"""

from dataclasses import dataclass

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import DeviceKind, Feature
from nuki2mqtt.model.event import EventType
from nuki2mqtt.model.state import DoorState, LockState, OpenerState

OPENERS = frozenset({DeviceKind.OPENER})
LOCKS = frozenset(DeviceKind) - OPENERS

# What Home Assistant's lock always can, by kind: to lock and to unlock.
_LOCKING = (Action.LOCK, Action.UNLOCK)
_RINGING_TO_OPEN = (Action.DEACTIVATE_RTO, Action.ACTIVATE_RTO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity: what it is, where it listens and sends, and what must hold for it to be offered.

    `state` and `command` are suffixes of the device's own topic, None for neither; `request` is the verb of a
    request to the gateway instead, which names the Bridge. `template_without_open` replaces `template` where
    open states are not wanted. `feature` must have been seen, all of `sends` be permitted; it is not offered
    where all of `unless` are. `opens` is what Home Assistant's "open" does, offered only where permitted.
    """

    key: str
    platform: str
    options: dict[str, object]
    state: str | None = ""
    template: str | None = None
    template_without_open: str | None = None
    command: str | None = None
    request: str | None = None
    kinds: frozenset[DeviceKind] = frozenset(DeviceKind)
    feature: Feature | None = None
    sends: tuple[Action, ...] = ()
    unless: tuple[Action, ...] = ()
    opens: Action | None = None


_DIAGNOSTIC: dict[str, object] = {"ent_cat": "diagnostic"}
_HIDDEN: dict[str, object] = {"ent_cat": "diagnostic", "en": False}
_PERCENT: dict[str, object] = {"unit_of_meas": "%", "stat_cla": "measurement"}
_DBM: dict[str, object] = {"unit_of_meas": "dBm", "stat_cla": "measurement"}


def _value(key: str) -> str:
    return f"value_json.get('{key}')"


def _part(group: str, key: str) -> str:
    return f"(value_json.get('{group}') or {{}}).get('{key}')"


def _show(expression: str) -> str:
    return f"{{{{ {expression} }}}}"


def _on_off(expression: str) -> str:
    return f"{{{{ {{true:'ON',false:'OFF'}}.get({expression}) }}}}"


_LOCK = _show(_value("lock"))
# openHAB's lock does not know OPEN and OPENING.
_LOCK_WITHOUT_OPEN = _show(f"{{'OPEN':'UNLOCKED','OPENING':'UNLOCKING'}}.get({_value('lock')},{_value('lock')})")
# What is jammed may stand anywhere.
_UNLOCKED = _show(
    "{'LOCKED':'OFF','UNLOCKED':'ON','LOCKING':'ON','UNLOCKING':'ON','OPEN':'ON','OPENING':'ON'}"
    f".get({_value('lock')})"
)
_DOOR = _show(f"{{'open':'ON','closed':'OFF'}}.get({_value('door')})")
_JAMMED = _show(
    f"None if {_value('state')} in [None,'undefined','unknown']"
    f" else 'ON' if {_value('state')} == 'motor_blocked' else 'OFF'"
)
_CALLBACK = _show(
    f"None if {_value('callbacks')} is none else 'ON' if {_value('callbacks')}|selectattr('own')|list else 'OFF'"
)

_ACTIVITIES = tuple(event_type.value for event_type in EventType if event_type is not EventType.RING)


def _event(types: tuple[str, ...]) -> str:
    """The message itself for the listed types, an empty text, which Home Assistant ignores, for others."""
    listed = ",".join(f"'{event_type}'" for event_type in types)
    return _show(f"value if {_value('event_type')} in [{listed}] else ''")


def _lock(kinds: frozenset[DeviceKind], sends: tuple[Action, ...], opens: Action) -> Entity:
    """The main entity. Home Assistant cannot take locking or unlocking from its face, so both must be permitted."""
    return Entity(
        key="lock",
        platform="lock",
        options={"name": None},
        template=_LOCK,
        template_without_open=_LOCK_WITHOUT_OPEN,
        command="/set",
        kinds=kinds,
        sends=sends,
        opens=opens,
    )


def _unlocked(kinds: frozenset[DeviceKind], unless: tuple[Action, ...]) -> Entity:
    """The main entity where there is no lock: it shows the state and does nothing."""
    return Entity(
        key="unlocked",
        platform="binary_sensor",
        options={"name": None, "dev_cla": "lock"},
        template=_UNLOCKED,
        kinds=kinds,
        unless=unless,
    )


def _button(
    action: Action, options: dict[str, object], *, key: str | None = None, unless: tuple[Action, ...] = ()
) -> Entity:
    return Entity(
        key=key or action.value,
        platform="button",
        options={**options, "pl_prs": action.value},
        state=None,
        command="/set",
        sends=(action,),
        unless=unless,
    )


def _switch(key: str, name: str, on: Action, off: Action) -> Entity:
    payloads = {"pl_on": on.value, "pl_off": off.value, "stat_on": "ON", "stat_off": "OFF"}
    return Entity(
        key=key,
        platform="switch",
        options={"name": name, **payloads},
        template=_on_off(_value(key)),
        command="/set",
        kinds=OPENERS,
        sends=(on, off),
    )


def _low_battery(key: str, name: str, expression: str, feature: Feature) -> Entity:
    return Entity(
        key=key,
        platform="binary_sensor",
        options={"name": name, "dev_cla": "battery", **_DIAGNOSTIC},
        template=_on_off(expression),
        feature=feature,
    )


def _last(key: str, name: str, field: str) -> Entity:
    return Entity(
        key=key,
        platform="sensor",
        options={"name": name, **_DIAGNOSTIC},
        template=_show(_value(field)),
        feature=Feature.LAST_ACTION,
    )


DEVICE_ENTITIES = (
    _lock(LOCKS, _LOCKING, Action.UNLATCH),
    _lock(OPENERS, _RINGING_TO_OPEN, Action.ELECTRIC_STRIKE),
    _unlocked(LOCKS, _LOCKING),
    _unlocked(OPENERS, _RINGING_TO_OPEN),
    _button(Action.LOCK, {"name": "Lock"}, key="lock_button", unless=_LOCKING),  # "lock" is the lock itself
    _button(Action.UNLOCK, {"name": "Unlock"}, unless=_LOCKING),
    _button(Action.ACTIVATE_RTO, {"name": "Activate ring to open"}, unless=_RINGING_TO_OPEN),
    _button(Action.DEACTIVATE_RTO, {"name": "Deactivate ring to open"}, unless=_RINGING_TO_OPEN),
    _button(Action.ELECTRIC_STRIKE, {"name": "Open"}, unless=_RINGING_TO_OPEN),
    Entity(
        key="door",
        platform="binary_sensor",
        options={"dev_cla": "door"},
        template=_DOOR,
        kinds=LOCKS,
        feature=Feature.DOOR,
    ),
    Entity(
        key="ring",
        platform="event",
        options={"name": "Ring", "dev_cla": "doorbell", "evt_typ": ["ring"]},
        state="/event",
        template=_event(("ring",)),
        kinds=OPENERS,
        feature=Feature.RING,
    ),
    Entity(
        key="activity",
        platform="event",
        options={"name": "Activity", "evt_typ": list(_ACTIVITIES)},
        state="/event",
        template=_event(_ACTIVITIES),
    ),
    _switch("ring_to_open", "Ring to open", Action.ACTIVATE_RTO, Action.DEACTIVATE_RTO),
    _switch("continuous_mode", "Continuous mode", Action.ACTIVATE_CM, Action.DEACTIVATE_CM),
    _button(Action.LOCK_N_GO, {"name": "Lock 'n' Go"}),
    _button(Action.LOCK_N_GO_UNLATCH, {"name": "Lock 'n' Go with unlatch", "en": False}),
    _button(Action.UNLATCH, {"name": "Unlatch", "en": False}),
    Entity(
        key="refresh",
        platform="button",
        options={"name": "Refresh", **_DIAGNOSTIC, "pl_prs": "{}"},
        state=None,
        command="/get",
    ),
    Entity(
        key="battery",
        platform="sensor",
        options={"dev_cla": "battery", **_PERCENT, **_DIAGNOSTIC},
        template=_show(_part("battery", "level")),
        feature=Feature.BATTERY_LEVEL,
    ),
    _low_battery("battery_low", "Battery low", _part("battery", "critical"), Feature.BATTERY_CRITICAL),
    Entity(
        key="battery_charging",
        platform="binary_sensor",
        options={"dev_cla": "battery_charging", **_HIDDEN},
        template=_on_off(_part("battery", "charging")),
        feature=Feature.BATTERY_CHARGING,
    ),
    _low_battery("keypad_battery_low", "Keypad battery low", _part("keypad", "battery_critical"), Feature.KEYPAD),
    _low_battery(
        "door_sensor_battery_low",
        "Door sensor battery low",
        _part("door_sensor", "battery_critical"),
        Feature.DOOR_SENSOR_BATTERY,
    ),
    Entity(
        key="jammed",
        platform="binary_sensor",
        options={"name": "Jammed", "dev_cla": "problem", **_HIDDEN},
        template=_JAMMED,
        kinds=LOCKS,
    ),
    Entity(
        key="lock_state",
        platform="sensor",
        options={
            "name": "Lock state",
            "dev_cla": "enum",
            "ops": [state.value for state in LockState],
            **_DIAGNOSTIC,
        },
        template=_show(_value("state")),
        kinds=LOCKS,
    ),
    Entity(
        key="state",
        platform="sensor",
        options={
            "name": "State",
            "dev_cla": "enum",
            "ops": [state.value for state in OpenerState],
            **_DIAGNOSTIC,
        },
        template=_show(_value("state")),
        kinds=OPENERS,
    ),
    Entity(
        key="door_state",
        platform="sensor",
        options={
            "name": "Door state",
            "dev_cla": "enum",
            "ops": [state.value for state in DoorState],
            **_HIDDEN,
        },
        template=_show(_value("door")),
        kinds=LOCKS,
        feature=Feature.DOOR,
    ),
    _last("last_action", "Last action", "last_action"),
    _last("last_action_by", "Last action by", "actor"),
    _last("last_trigger", "Last trigger", "trigger"),
    Entity(
        key="last_update",
        platform="sensor",
        options={"name": "Last update", "dev_cla": "timestamp", **_HIDDEN},
        template=_show(_value("seen")),
    ),
    Entity(
        key="rssi",
        platform="sensor",
        options={"dev_cla": "signal_strength", **_DBM, **_HIDDEN},
        template=_show(_value("rssi_dbm")),
        feature=Feature.RSSI,
    ),
)

# No Wi-Fi strength: the Bridge API gives none (Bridge API 1.13.2 section 5, /info).
BRIDGE_ENTITIES = (
    Entity(
        key="cloud",
        platform="binary_sensor",
        options={"name": "Cloud", "dev_cla": "connectivity", **_DIAGNOSTIC},
        template=_on_off(_value("cloud_connected")),
    ),
    Entity(
        key="callback",
        platform="binary_sensor",
        options={"name": "Callback", "dev_cla": "connectivity", **_DIAGNOSTIC},
        template=_CALLBACK,
    ),
    Entity(
        key="firmware",
        platform="sensor",
        options={"name": "Firmware", **_DIAGNOSTIC},
        template=_show(f"{_value('firmware')} or {_value('app_version')}"),
    ),
    Entity(
        key="wifi_firmware",
        platform="sensor",
        options={"name": "Wi-Fi firmware", **_HIDDEN},
        template=_show(_value("wifi_firmware")),
    ),
    Entity(
        key="started",
        platform="sensor",
        options={"name": "Started", "dev_cla": "timestamp", **_HIDDEN},
        template=_show(_value("started")),
    ),
    Entity(
        key="restart",
        platform="button",
        options={"name": "Restart", "dev_cla": "restart", "ent_cat": "config", "en": False},
        state=None,
        request="bridge_reboot",
    ),
)

GATEWAY_ENTITIES = (
    Entity(
        key="connectivity",
        platform="binary_sensor",
        # Without an availability of its own it would be unavailable instead of off.
        options={
            "dev_cla": "connectivity",
            **_DIAGNOSTIC,
            "pl_on": "online",
            "pl_off": "offline",
            "avty": [],
        },
        state="/state",
    ),
    Entity(
        key="version",
        platform="sensor",
        options={"name": "Version", **_DIAGNOSTIC},
        state="/info",
        template=_show(_value("version")),
    ),
)
