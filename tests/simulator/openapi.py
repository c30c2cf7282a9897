"""The vendor's description of the Web API (OpenAPI), as far as it can be checked without a library for it.

Where the description is not at hand nothing is checked. What it gets wrong is in the tables below, each with its
reason; "reference" is the reference of the Web API, which names sources.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[2].parent / "shared" / "reference" / "nuki_web_openapi.json"

# Keywords of the description that do not hold, by schema and property.
WRONG_LIMITS = {
    ("Smartlock.State", "mode"): "maximum 4, but 5 is listed (reference, section 10, 12)",
    ("Smartlock.State", "trigger"): "maximum 6, but 7 is listed (reference, section 10, 12)",
    ("Smartlock.State", "lastAction"): "maximum 5, but an Opener has 6 and 7 (reference, section 4)",
    ("SmartlockAuth", "type"): "maximum 2, but 13 is listed (reference, section 10, 12)",
    ("SmartlockLog", "state"): "minimum 1, but 0 is success (reference, section 10, 12)",
    ("SmartlockLog", "deviceType"): "older than types 4 and 5 (reference, section 3.6)",
}
# Types that do not hold.
WRONG_TYPES = {
    ("SmartlockAuth", "operationId"): "an object in the description, a string in fact (reference, section 3.5)",
}
# Members that the description calls required and that are left out.
NOT_REQUIRED = {
    ("SmartlockAuthCreate", "remoteAllowed"): "a payload without it was accepted (reference, section 10, 8)",
    ("SmartlocksAuthCreate", "remoteAllowed"): "a payload without it was accepted (reference, section 10, 8)",
    ("Smartlock.Config", "singleLock"): "an Opener has none (recorded body)",
    ("Smartlock.AdvancedConfig", "totalDegrees"): "required and read-only (reference, section 2.1)",
}
# Statuses that come although the description of a call has them not; None is any call.
OTHER_STATUSES = {
    (404, None): "a wrong smartlockId (reference, section 1.2)",
    (405, None): "not allowed (reference, section 1.2)",
    (400, None): "parameters of any call (reference, section 2.3: Unix seconds)",
    (401, None): "all calls need a token (reference, section 1.2)",
    (403, None): "not your lock (reference, section 1.2)",
    (423, "action"): "seen on an action (reference, section 1.2)",
    (423, "config"): "an operation holds the device (reference, section 1.2)",
    (429, None): "clients report it generally (reference, section 1.2)",
    (500, None): "HTML of the proxy (reference, section 1.2)",
    (502, None): "HTML of the proxy (reference, section 1.2)",
    (503, None): "HTML of the proxy (reference, section 1.2)",
}
# Calls that came after this version of the description.
NEWER_CALLS = {("GET", "/smartlock/auth/paged"): "since 3.13.0 (reference, section 0)"}


@cache
def description() -> Any:
    """The description, None where it is not at hand."""
    return json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else None


def complaints_of_request(method: str, path: str, query: Mapping[str, str], body: bytes) -> list[str]:
    """What the description has against a request."""
    if description() is None:
        return []
    call = _call(method, path)
    if call is None:
        return [] if (method, path) in NEWER_CALLS else [f"{method} {path}: there is no such call"]
    told = []
    known = {one["name"]: one for one in call.get("parameters", ()) if one["in"] == "query"}
    for name, value in query.items():
        if name not in known:
            told.append(f"{method} {path}: no parameter {name}")
        elif known[name]["schema"].get("type") == "integer" and not re.fullmatch(r"-?\d+", value):
            told.append(f"{method} {path}: {name} is no number: {value}")
    schema = _content(_resolve(call.get("requestBody", {})))
    if schema is None:
        return told + ([f"{method} {path}: takes no body"] if body else [])
    return told + list(_complaints(json.loads(body), schema, f"{method} {path}"))


def complaints_of_answer(method: str, path: str, status: int, content_type: str, body: bytes) -> list[str]:
    """What the description has against an answer."""
    if description() is None:
        return []
    call = _call(method, path)
    if call is None:
        return []
    place = f"{method} {path} {status}"
    found = call["responses"].get(str(status))
    if found is None:
        words = {None, *path.split("/")}
        is_known = any(status == known and word in words for known, word in OTHER_STATUSES)
        return [] if is_known else [f"{place}: no such status"]
    if status >= 400:
        return []
    schema = _content(found)
    if schema is None:
        return [f"{place}: a body where there is none"] if body else []
    if not content_type.startswith("application/json"):
        return [f"{place}: {content_type}"]
    return list(_complaints(json.loads(body), schema, place))


def complaints_of_value(value: Any, schema: str) -> list[str]:
    """What the description has against a value of one of its schemas."""
    if description() is None:
        return []
    return list(_complaints(value, {"$ref": f"#/components/schemas/{schema}"}, schema))


def _call(method: str, path: str) -> Any:
    paths = description()["paths"]
    for template in sorted(paths, key=lambda one: one.count("{")):
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in paths[template]:
            return paths[template][method.lower()]
    return None


def _resolve(value: Any) -> Any:
    reference = value.get("$ref")
    if reference is None:
        return value
    found = description()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _content(value: Any) -> Any:
    contents = list(value.get("content", {}).values())
    return contents[0].get("schema") if contents else None


def _complaints(value: Any, schema: Any, place: str, owner: str = "", name: str = "") -> Iterator[str]:
    if (owner, name) in WRONG_TYPES:
        return
    owner = schema.get("$ref", "").rpartition("/")[2] or owner
    schema = _resolve(schema)
    kind = schema.get("type")
    if kind is not None and not _is_kind(value, kind):
        yield f"{place}: {value!r} is no {kind}"
        return
    if (owner, name) not in WRONG_LIMITS and kind in {"integer", "number", "string"}:
        yield from _limits(value, schema, place)
    if kind == "array":
        for number, item in enumerate(value):
            yield from _complaints(item, schema["items"], f"{place}[{number}]")
    if isinstance(value, dict) and "properties" in schema:
        for missing in sorted(set(schema.get("required", ())) - value.keys()):
            if (owner, missing) not in NOT_REQUIRED:
                yield f"{place}: {missing} is missing"
        for key, item in value.items():
            if key not in schema["properties"]:
                yield f"{place}: {owner} has no {key}"
            else:
                yield from _complaints(item, schema["properties"][key], f"{place}.{key}", owner, key)


def _is_kind(value: Any, kind: str) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": is_number and isinstance(value, int),
        "number": is_number,
    }[kind]


def _limits(value: Any, schema: Any, place: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is none of {schema['enum']}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{place}: {value} is below {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{place}: {value} is above {schema['maximum']}"
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        yield f"{place}: {value} does not fit into 32 bits"
    if schema.get("format") == "date-time" and not _is_date(value):
        yield f"{place}: {value!r} is no time"


def _is_date(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
