"""Every request that we make, against Nuki's own description of the API (version 3.9.0), where that is at hand."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.model.state import Source
from nuki2mqtt.protocol.web_api import WebRequest
from nuki2mqtt.protocol.web_auth_bodies import read_authorization
from nuki2mqtt.protocol.web_device_bodies import read_device
from nuki2mqtt.protocol.web_log_bodies import read_activity
from tests.protocol.test_web_requests import WRITTEN

DESCRIPTION = Path(__file__).parents[2].parent / "shared" / "reference" / "nuki_web_openapi.json"
pytestmark = pytest.mark.skipif(not DESCRIPTION.is_file(), reason="the API description is not beside this checkout")

# Where we do otherwise on purpose. Each row must be needed, else the test fails.
KNOWN_PATHS = {"/smartlock/auth/paged": "since 3.13.0 (web reference 2.2); the description is 3.9.0"}
KNOWN_NULLS = {
    "allowedFromDate": "null clears a limit (web reference 5, developer.nuki.io thread 86)",
    "allowedUntilDate": "the same",
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


@cache
def description() -> Any:
    return json.loads(DESCRIPTION.read_text(encoding="utf-8"))


def resolved(schema: Any) -> Any:
    """The schema behind a reference."""
    while "$ref" in schema:
        value = description()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            value = value[part]
        schema = value
    return schema


def mistakes(value: Any, schema: Any, place: str = "") -> Iterator[str]:
    """What of a value is not as the schema says; of formats only dates are looked at."""
    schema = resolved(schema)
    kind = schema["type"]
    is_of_kind = isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not is_of_kind:
        yield f"{place}: {value!r} is no {kind}"
        return
    if value not in schema.get("enum", [value]):
        yield f"{place}: {value!r} is none of {schema['enum']}"
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{place}: {value} is out of range"
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        yield f"{place}: {value} is too wide"
    if schema.get("format") == "date-time" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value):
        yield f"{place}: {value!r} is no date"
    if kind == "array":
        for number, item in enumerate(value):
            yield from mistakes(item, schema["items"], f"{place}[{number}]")
    if kind == "object":
        properties = schema.get("properties", {})
        yield from (f"{place}.{key} is missing" for key in schema.get("required", []) if key not in value)
        for key, inner in value.items():
            if key not in properties:
                yield f"{place}.{key} is unknown"
            elif properties[key].get("readOnly"):
                yield f"{place}.{key} is read-only"
            else:
                yield from mistakes(inner, properties[key], f"{place}.{key}")


def operation_of(request_: WebRequest) -> tuple[Any, dict[str, str]] | None:
    """The described operation, and the values of the path's parameters."""
    for path, operations in sorted(description()["paths"].items(), key=lambda item: item[0].count("{")):
        names = re.findall(r"\{(\w+)\}", path)
        found = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", path), request_.path)
        if found and request_.method.lower() in operations:
            return operations[request_.method.lower()], dict(zip(names, found.groups(), strict=True))
    return None


def written_as(text: str, schema: Any) -> Any:
    """A parameter, which is always a text, as the type that is described."""
    return int(text) if schema["type"] == "integer" and text.lstrip("-").isdigit() else text


REQUESTS = [row[0] for row in WRITTEN]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_as_described(request_: WebRequest) -> None:
    operation = operation_of(request_)
    if operation is None:
        assert request_.path in KNOWN_PATHS
        return
    described, in_path = operation
    assert request_.path not in KNOWN_PATHS
    given = {("path", key): value for key, value in in_path.items()}
    given |= {("query", key): value for key, value in request_.query().items()}
    known = {(one["in"], one["name"]): one["schema"] for one in described.get("parameters", [])}
    required = {(one["in"], one["name"]) for one in described.get("parameters", []) if one.get("required")}
    assert required <= given.keys() <= known.keys()
    for key, text in given.items():
        assert list(mistakes(written_as(text, known[key]), known[key], str(key))) == []

    sent = request_.body()
    body = resolved(described["requestBody"]) if "requestBody" in described else None
    assert (sent is None) == (body is None)
    if sent is not None and body is not None:
        found = list(mistakes(json.loads(sent), body["content"]["application/json"]["schema"]))
        unexplained = [text for text in found if not any(f".{key}: None is no string" in text for key in KNOWN_NULLS)]
        assert unexplained == []


def test_every_known_difference_is_needed() -> None:
    bodies = " ".join((request_.body() or b"").decode() for request_ in REQUESTS)

    assert set(KNOWN_PATHS) == {request_.path for request_ in REQUESTS if operation_of(request_) is None}
    assert [key for key in KNOWN_NULLS if f'"{key}":null' not in bodies] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"action": "2"}, ".action: '2' is no integer"),
        ({"action": True}, ".action: True is no integer"),
        ({"action": 8}, ".action: 8 is out of range"),
        ({"action": 2, "config": 0}, ".config is unknown"),
        ({}, ".action is missing"),
        ([], ": [] is no object"),
    ],
)
def test_the_validator_finds_mistakes(value: Any, text: str) -> None:
    assert list(mistakes(value, {"$ref": "#/components/schemas/SmartlockAction"})) == [text]


# --- What is described can be read ------------------------------------------------------------------------------------


def sample(schema: Any, *, depth: int = 6) -> Any:
    """A value with every property that is described."""
    schema = resolved(schema)
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            items = schema.get("properties", {}).items() if depth else ()
            return {key: sample(inner, depth=depth - 1) for key, inner in items}
        case "array":
            return [sample(schema["items"], depth=depth - 1)]
        case "integer":
            return min(schema.get("maximum", 13), 13)
        case "number":
            return 1.5
        case "boolean":
            return True
        case _:
            return "2026-11-21T20:15:03.123Z" if schema.get("format") == "date-time" else "65219648fe00000000000d01"


def described(name: str, **more: Any) -> Any:
    """A full sample of a schema by its name."""
    return sample({"$ref": f"#/components/schemas/{name}"}) | more


def test_a_device_as_described_is_read_whole() -> None:
    device = read_device(described("Smartlock", smartlockId=17924610048, type=2))
    report, facts = device.report, device.facts

    assert (report.source, report.device_type, str(report.nuki_id)) == (Source.WEB, 2, "2C63D800")
    assert report.name
    assert report.firmware == "0.0.13"
    assert report.state is not None
    unsaid = {field for field in report.state.__slots__ if getattr(report.state, field) is None}
    assert unsaid == {"ring"}, "the cloud tells no ring in a state"
    assert [field for field in facts.__slots__ if getattr(facts, field) is None] == []
    assert facts.has_operation


def test_an_authorization_as_described_is_read_whole() -> None:
    found = read_authorization(described("SmartlockAuth", code=839275))

    assert [field for field in found.__slots__ if getattr(found, field) is None] == []
    assert found.unreadable == frozenset()
    assert found.has_operation


def test_a_log_entry_as_described_is_read_whole() -> None:
    found = read_activity(described("SmartlockLog", smartlockId=17924610048))

    assert [field for field in found.__slots__ if getattr(found, field) is None] == []
    assert found.opener is not None
    assert [field for field in found.opener.__slots__ if getattr(found.opener, field) is None] == []
