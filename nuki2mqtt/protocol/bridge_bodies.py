"""Lenient readers of the Bridge's JSON: what is absent, of a wrong type or out of range is None.

Sources: Bridge API 1.13.2 section 5 for the fields, reference 4.4 for what Bridges really send (names without
a terminator, texts for booleans, times without a zone). Every text of an error is safe to log.
"""

import json
import math
import re
import unicodedata
from datetime import UTC, datetime

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Battery, DeviceState, Ring

JsonObject = dict[str, object]

_UINT32_MAX = 0xFFFF_FFFF  # no number of this API is wider (section 5: nukiId is a uint32)
_MAX_INT_DIGITS = 20  # longer ones are no number of this API, and Python refuses them from 4,300 digits on
_NAME_BYTES = 32  # Bridge API 1.13.2 section 5, /list
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
# Controls, what nobody has assigned, halves of UTF-16 pairs, separators: none may reach a log or a topic.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})
# A cut or foreign character at the end of a name was read as a replacement character.
_EDGES = re.compile(r"^[\s\N{REPLACEMENT CHARACTER}]+|[\s\N{REPLACEMENT CHARACTER}]+$")


# --- Bodies -------------------------------------------------------------------------------------------------


def load_json(body: bytes) -> object:
    """The body as JSON, with stray bytes and control characters tolerated; raises UnreadableBody."""
    text = body.decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise UnreadableBody("an empty body, not JSON")
    try:
        return json.loads(text, strict=False, parse_int=_parse_int, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UnreadableBody(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise UnreadableBody("not an answer: JSON nested too deeply") from error


def _parse_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else None


def _no_constant(_name: str) -> None:
    """NaN and Infinity are no JSON: the field counts as absent."""


def load_object(body: bytes) -> JsonObject:
    """The body as a JSON object; raises UnreadableBody."""
    return as_object(load_json(body))


def load_array(body: bytes) -> list[object]:
    """The body as a JSON array; raises UnreadableBody."""
    data = load_json(body)
    if not isinstance(data, list):
        raise UnreadableBody(f"{kind_word(data)}, not an array")
    return data


def as_object(data: object) -> JsonObject:
    """The value as a JSON object; raises UnreadableBody."""
    if not isinstance(data, dict):
        raise UnreadableBody(f"{kind_word(data)}, not an object")
    return data


def kind_word(value: object) -> str:
    """What a JSON value is, in words that hold nothing of it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an array"
        case _:
            return "an object"


def not_wanted(data: JsonObject, key: str, wanted: str) -> UnreadableBody:
    """The error that says what stands under this key instead of what was wanted."""
    found = f"{kind_word(data[key])}, not {wanted}" if key in data else "missing"
    return UnreadableBody(f"{key} is {found}")


# --- Fields -------------------------------------------------------------------------------------------------


def read_object(data: JsonObject, key: str) -> JsonObject:
    """The object under this key, empty where there is none."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def read_bool(data: JsonObject, key: str) -> bool | None:
    """True or false; old Bridges and some clones write them as text."""
    value = data.get(key)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return None


def read_int(data: JsonObject, key: str, *, low: int = 0, high: int = _UINT32_MAX) -> int | None:
    """A whole number from `low` to `high`, also written as text or as 3.0."""
    number = _whole_number(data.get(key))
    return number if number is not None and low <= number <= high else None


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() else None
    if isinstance(value, str):
        digits = value.strip()  # strips more than int() does
        return int(digits) if _INTEGER.fullmatch(digits) else None
    return None


def read_nuki_id(data: JsonObject, key: str) -> NukiId | None:
    """An ID: a number, or a text of up to eight hex digits (`/log`, RaspiNukiBridge)."""
    try:
        return _nuki_id(data, key)
    except UnreadableBody:
        return None


def require_nuki_id(data: JsonObject) -> NukiId:
    """The `nukiId`; raises UnreadableBody, since without it nobody knows whose the rest is."""
    return _nuki_id(data, "nukiId")


def _nuki_id(data: JsonObject, key: str) -> NukiId:
    value = data.get(key)
    if isinstance(value, str):
        try:
            return NukiId.from_hex(value.strip())
        except ValueError as error:
            raise UnreadableBody(f"{key} is a text but not one to eight hex digits") from error
    number = _whole_number(value)
    if number is None:
        raise not_wanted(data, key, "a whole number")
    if not 0 <= number <= _UINT32_MAX:
        raise UnreadableBody(f"{key} is not 0 to {_UINT32_MAX}")
    return NukiId(number)


def read_time(data: JsonObject, key: str) -> datetime | None:
    """A time as aware UTC; without a zone it is UTC (section 5; clones leave the zone out)."""
    value = data.get(key)
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value.strip()):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_text(data: JsonObject, key: str, max_chars: int) -> str | None:
    """A short text without control characters; None where nothing is left."""
    value = data.get(key)
    return (safe_text(value, max_chars) or None) if isinstance(value, str) else None


def read_name(data: JsonObject) -> str | None:
    """A `name`, cut to its 32 bytes.

    A name of exactly 32 bytes has been sent without its terminator, so that the memory behind it followed
    (home-assistant/core issue 88103): control characters go first, then everything behind the 32nd byte.
    """
    value = data.get("name")
    if not isinstance(value, str):
        return None
    text = value if value.isprintable() else "".join(char for char in value if _is_safe_char(char))
    cut = text.encode("utf-8")[:_NAME_BYTES].decode("utf-8", errors="ignore")
    return _EDGES.sub("", cut) or None


def is_safe(text: str) -> bool:
    """Whether the text has no control characters and can be written as UTF-8."""
    return text.isprintable() or all(_is_safe_char(char) for char in text)


def safe_text(text: str, max_chars: int) -> str:
    """The text on one line, each run of spaces and control characters one space, trimmed and bounded."""
    spaced = text if text.isprintable() else "".join(char if _is_safe_char(char) else " " for char in text)
    return " ".join(spaced.split())[:max_chars].rstrip()


def _is_safe_char(char: str) -> bool:
    return unicodedata.category(char) not in _UNSAFE_CATEGORIES


def detail_text(value: object) -> str:
    """Any JSON value as a text, for the Bridge's log."""
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except RecursionError:
        return "..."


# --- The state of a device ----------------------------------------------------------------------------------


def read_state(data: JsonObject) -> DeviceState | None:
    """The state object of `/list`, `/lockState` and callbacks; None without a readable `state` number."""
    state_code = read_int(data, "state")
    if state_code is None:
        return None
    return DeviceState(
        state_code=state_code,
        mode_code=read_int(data, "mode"),
        door_code=read_int(data, "doorsensorState"),
        battery=Battery(
            level=read_int(data, "batteryChargeState", high=100),
            critical=read_bool(data, "batteryCritical"),
            charging=read_bool(data, "batteryCharging"),
        ),
        keypad_battery_critical=read_bool(data, "keypadBatteryCritical"),
        ring=_ring(data),
    )


def _ring(data: JsonObject) -> Ring | None:
    at = read_time(data, "ringactionTimestamp")
    active = read_bool(data, "ringactionState")
    return None if at is None and active is None else Ring(at, active)
