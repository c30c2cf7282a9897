"""Home Assistant's rules for a device-form discovery message, as strict as all its releases since 2024.12.

Written from Home Assistant's own schemas, not from our renderer: what is new in 2026.11 is refused, since an
older release refuses the whole device for it. Ours are stricter where the contract is: only abbreviations,
`qos` in every component, nothing retained. A component that is nothing but a platform takes itself back.
"""

import re
from typing import Any

TOP_KEYS = {"dev", "o", "cmps", "avty", "avty_mode"}
DEVICE_KEYS = {"ids", "cns", "name", "mf", "mdl", "mdl_id", "hw", "sw", "sn", "sa", "cu", "via_device"}
ORIGIN_KEYS = {"name", "sw", "url"}
COMMON_KEYS = {"p", "uniq_id", "qos", "name", "en", "ent_cat", "ic", "def_ent_id", "avty", "avty_mode"}

# platform: (required, allowed) beside the common keys
PLATFORMS = {
    "lock": (
        {"cmd_t"},
        {
            "stat_t",
            "val_tpl",
            "cmd_tpl",
            "pl_lock",
            "pl_unlk",
            "pl_open",
            "stat_locked",
            "stat_unlocked",
            "stat_locking",
            "stat_unlocking",
            "stat_jam",
        },
    ),
    "binary_sensor": ({"stat_t"}, {"val_tpl", "dev_cla", "pl_on", "pl_off"}),
    "sensor": ({"stat_t"}, {"val_tpl", "dev_cla", "unit_of_meas", "stat_cla", "ops"}),
    "button": ({"cmd_t"}, {"cmd_tpl", "pl_prs", "dev_cla"}),
    "event": ({"stat_t", "evt_typ"}, {"val_tpl", "dev_cla"}),
    "switch": ({"cmd_t"}, {"stat_t", "val_tpl", "cmd_tpl", "pl_on", "pl_off", "stat_on", "stat_off"}),
}
DEVICE_CLASSES = {
    "lock": set[str](),
    "binary_sensor": {"door", "lock", "battery", "battery_charging", "problem", "connectivity"},
    "sensor": {"battery", "enum", "timestamp", "signal_strength"},
    "button": {"identify", "restart", "update"},
    "event": {"doorbell", "button", "motion"},
    "switch": {"outlet", "switch"},
}
UNITS: dict[str, set[str | None]] = {
    "battery": {"%"},
    "signal_strength": {"dB", "dBm"},
    "timestamp": {None},
    "enum": {None},
}
IDENTIFIER = re.compile(r"[a-zA-Z0-9_-]+")


def complaints(topic: str, payload: dict[str, Any]) -> list[str]:
    """What Home Assistant, or our contract, has against this message; empty for a good one."""
    found: list[str] = []
    parts = topic.split("/")
    if len(parts) < 4 or parts[-3] != "device" or parts[-1] != "config" or not IDENTIFIER.fullmatch(parts[-2]):
        found.append(f"{topic} is no discovery topic")
    elif not parts[-2].startswith("nuki2mqtt_"):
        found.append(f"{topic} does not carry our prefix")
    found += _keys("top level", payload, {"dev", "o", "cmps", "avty", "avty_mode"}, TOP_KEYS)
    found += _device(payload.get("dev", {}))
    found += _origin(payload.get("o", {}))
    found += _availability("top level", payload)
    if payload.get("avty_mode") != "all":
        found.append("availability mode is not all")
    components = payload.get("cmps", {})
    if not components:
        found.append("no components")
    for key, component in components.items():
        if not IDENTIFIER.fullmatch(key):
            found.append(f"{key!r} is no component id")
        found += [f"{key}: {text}" for text in _component(component)]
    unique_ids = [component.get("uniq_id") for component in components.values() if component.keys() != {"p"}]
    if len(set(unique_ids)) != len(unique_ids):
        found.append("unique ids repeat")
    if sum("name" in component and component["name"] is None for component in components.values()) > 1:
        found.append("more than one main entity")
    return found


def _keys(where: str, value: dict[str, Any], required: set[str], allowed: set[str]) -> list[str]:
    missing = [f"{where} lacks {key}" for key in sorted(required - value.keys())]
    return missing + [f"{where} has unknown {key}" for key in sorted(value.keys() - allowed - required)]


def _texts(where: str, value: dict[str, Any], keys: set[str]) -> list[str]:
    return [
        f"{where} {key} is no text"
        for key in sorted(keys & value.keys())
        if not isinstance(value[key], str) or not value[key]
    ]


def _device(device: dict[str, Any]) -> list[str]:
    found = _keys("dev", device, {"ids", "name"}, DEVICE_KEYS)
    found += _texts("dev", device, DEVICE_KEYS - {"ids", "cns"})
    identifiers = device.get("ids")
    if not isinstance(identifiers, list) or not identifiers:
        return [*found, "dev has no list of ids"]
    linked = [*identifiers, device["via_device"]] if "via_device" in device else identifiers
    if device.get("via_device") in identifiers:
        found.append("dev is reached through itself")
    return found + [f"{text!r} is no device id" for text in linked if not _is_own_id(text)]


def _is_own_id(text: Any) -> bool:
    return isinstance(text, str) and text.startswith("nuki2mqtt_") and IDENTIFIER.fullmatch(text) is not None


def _origin(origin: dict[str, Any]) -> list[str]:
    return _keys("o", origin, {"name"}, ORIGIN_KEYS) + _texts("o", origin, ORIGIN_KEYS)


def _availability(where: str, value: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for entry in value.get("avty", []):
        found += _keys(f"{where} availability", entry, {"t"}, {"t", "pl_avail", "pl_not_avail", "val_tpl"})
        found += _topics(f"{where} availability", entry, {"t"})
    return found


def _topics(where: str, value: dict[str, Any], keys: set[str]) -> list[str]:
    return [
        f"{where} {key} is no topic"
        for key in sorted(keys & value.keys())
        if not isinstance(value[key], str) or not value[key] or set(value[key]) & set("+#\0")
    ]


def _component(component: dict[str, Any]) -> list[str]:
    platform = component.get("p")
    if platform not in PLATFORMS:
        return [f"unknown platform {platform!r}"]
    if component.keys() == {"p"}:
        return []
    required, allowed = PLATFORMS[platform]
    found = _keys("component", component, {"p", "uniq_id", "qos"} | required, COMMON_KEYS | required | allowed)
    found += _topics("component", component, {"stat_t", "cmd_t"})
    found += _availability("component", component)
    found += _common(component)
    found += _texts(
        "component",
        component,
        {"val_tpl", "cmd_tpl", "pl_prs", "pl_on", "pl_off", "stat_on", "stat_off", "pl_open"},
    )
    found += _templates(component)
    match platform:
        case "sensor":
            found += _sensor(component)
        case "event":
            found += _event(component)
        case "switch" | "binary_sensor":
            found += _two_sided(component)
        case "lock" if component.get("name", "") is not None:
            found.append("a lock is the main entity")
    return found


def _common(component: dict[str, Any]) -> list[str]:
    found: list[str] = []
    # A command without its time must not wait in a client.
    is_bare = component.get("cmd_t", "").endswith("/set") and "utcnow()" not in component.get("cmd_tpl", "")
    if component.get("qos") != (0 if is_bare else 1) or isinstance(component.get("qos"), bool):
        found.append("qos is not 1, or not 0 for a bare command")
    if not _is_own_id(component.get("uniq_id")):
        found.append("unique id without our prefix, or with foreign characters")
    if "name" in component:
        if component["name"] is not None and not (isinstance(component["name"], str) and component["name"]):
            found.append("name is neither text nor null")
    elif "dev_cla" not in component:
        found.append("neither a name nor a device class to take it from")
    if "dev_cla" in component and component["dev_cla"] not in DEVICE_CLASSES[component["p"]]:
        found.append(f"unknown device class {component['dev_cla']!r}")
    if not isinstance(component.get("en", True), bool):
        found.append("en is no bool")
    category: str | None = component.get("ent_cat")
    if category not in {None, "diagnostic", "config"}:
        found.append(f"unknown category {category!r}")
    if category == "config" and component["p"] in {"sensor", "binary_sensor", "event"}:
        found.append("a category for controls on something that only shows")
    return found


def _templates(component: dict[str, Any]) -> list[str]:
    """Only templates that bear a missing and a null key: `.get` everywhere, `or {}` before a deeper one."""
    found: list[str] = []
    template = str(component.get("val_tpl", "{{ value }}"))
    if not re.fullmatch(r"\{\{ .* \}\}", template):
        found.append("value template is not one expression")
    if re.search(r"value_json(?!\.get\('\w+'\))", template):
        found.append("value template reads without .get")
    if re.search(r"value_json\.get\('\w+'\)[.\[]", template):
        found.append("value template reads below a value that may be null")
    if "cmd_tpl" in component and "{{ value }}" not in component["cmd_tpl"]:
        found.append("command template drops the command")
    return found


def _sensor(component: dict[str, Any]) -> list[str]:
    found: list[str] = []
    device_class = component.get("dev_cla")
    options = component.get("ops")
    if (device_class == "enum") != (options is not None):
        found.append("options and the class enum belong together")
    if options is not None and (not options or len(set(options)) != len(options)):
        found.append("options are empty or repeat")
    if component.get("unit_of_meas") not in UNITS.get(str(device_class), {None}):
        found.append(f"unit {component.get('unit_of_meas')!r} does not fit {device_class}")
    if component.get("stat_cla") not in {None, "measurement"}:
        found.append("unknown state class")
    if "stat_cla" in component and "unit_of_meas" not in component:
        found.append("a state class without a unit")
    return found


def _event(component: dict[str, Any]) -> list[str]:
    found: list[str] = []
    types = component.get("evt_typ")
    if not isinstance(types, list) or not types or not all(isinstance(name, str) and name for name in types):
        return ["event types are no list of texts"]
    if len(set(types)) != len(types):
        found.append("event types repeat")
    if component.get("dev_cla") == "doorbell" and "ring" not in types:
        found.append("a doorbell must list ring")
    template = str(component.get("val_tpl", ""))
    listed = re.search(r" in \[(.*)\] else '' }}$", template)
    if listed is None or [name.strip("'") for name in listed[1].split(",")] != types:
        found.append("event template lets through what the entity does not list")
    return found


def _two_sided(component: dict[str, Any]) -> list[str]:
    on, off = component.get("pl_on", "ON"), component.get("pl_off", "OFF")
    found = ["on and off are the same"] if on == off else []
    if component["p"] == "switch" and on != "ON" and not {"stat_on", "stat_off"} <= component.keys():
        found.append("the state would be compared with the command")
    return found
