"""The cloud and the vendor's description of it: the checker itself, and what the description has and we have not.

Every request and answer of `CloudSite.ask` (cloud_site.py) goes through the checker.
"""

import json
from typing import Any

import pytest

from nuki2mqtt.simulator.web_routes import CALLS
from tests.simulator import openapi
from tests.simulator.cloud_site import CloudSite, code_body, make_site
from tests.simulator.conftest import Recorded
from tests.simulator.openapi import complaints_of_answer, complaints_of_request, complaints_of_value

pytestmark = pytest.mark.skipif(openapi.description() is None, reason="the vendor's description is not here")

# Calls of the description below /smartlock that the simulated cloud does not have.
NOT_SIMULATED = {
    ("DELETE", "/smartlock/{smartlockId}"): "nobody takes his locks out of the account by a gateway",
    ("POST", "/smartlock/{smartlockId}/admin/pin"): "a gateway has no business with it",
    ("POST", "/smartlock/{smartlockId}/auth/advanced/sharedkey"): "of the Advanced API, for apps of others",
}


@pytest.fixture
def site() -> CloudSite:
    return make_site()


def test_every_call_of_the_description_is_there_or_is_named() -> None:
    described = {
        (method.upper(), path)
        for path, methods in openapi.description()["paths"].items()
        for method in methods
        if path.startswith("/smartlock")
    }
    ours = {(call.method, call.template) for call in CALLS if call.template.startswith("/smartlock")}
    assert described - ours == NOT_SIMULATED.keys()
    assert ours - described == openapi.NEWER_CALLS.keys()


def test_scopes_are_those_of_the_description() -> None:
    paths = openapi.description()["paths"]
    for call in CALLS:
        if (call.method, call.template) not in openapi.NEWER_CALLS:
            [security] = paths[call.template][call.method.lower()]["security"]
            assert set(security["oauth"]) == call.scopes, call


@pytest.mark.parametrize("name", ["web/02-smartlock-list-one-type4.json", "web/04-smartlock-type2-opener-2022.json"])
def test_recorded_bodies_agree_with_the_description(recorded: Recorded, name: str) -> None:
    told = complaints_of_answer("GET", "/smartlock", 200, "application/json", recorded(name))
    assert told == []


def test_a_recorded_entry_of_the_log_agrees(recorded: Recorded) -> None:
    for entry in json.loads(recorded("web/08-log-opener-ring-action224.json")):
        assert complaints_of_value(entry, "SmartlockLog") == []


def broken(value: Any, *keys: Any, to: Any) -> Any:
    """The same value with one thing in it replaced, or taken away."""
    copy = json.loads(json.dumps(value))
    place = copy
    for key in keys[:-1]:
        place = place[key]
    if to is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    return copy


@pytest.mark.parametrize(
    ("keys", "to", "complaint"),
    [
        (("smartlockId",), "18233733061", "is no integer"),
        (("serverState",), None, "serverState is missing"),
        (("serverState",), 5, "is above 4"),
        (("state", "batteryCritical"), 1, "is no boolean"),
        (("state", "doorState"), None, "doorState is missing"),
        (("state", "doorsenseState"), 2, "has no doorsenseState"),
        (("updateDate",), "yesterday", "is no time"),
        (("accountId",), 2**31, "does not fit"),
        (("advancedConfig", "lngTimeout"), 31, "is none of"),
        (("config", "latitude"), True, "is no number"),
        (("currentSubscription", "type"), "C2C", "is none of"),
    ],
)
def test_the_checker_finds_what_is_wrong(site: CloudSite, keys: tuple[str, ...], to: Any, complaint: str) -> None:
    body = json.dumps(broken(site.get(site.path), *keys, to=to)).encode()
    [told] = complaints_of_answer("GET", site.path, 200, "application/json;charset=UTF-8", body)
    assert complaint in told


def test_the_checker_knows_statuses_and_types_of_content(site: CloudSite) -> None:
    path = f"{site.path}/auth"
    assert complaints_of_answer("PUT", path, 201, "application/json", b"") == [f"PUT {path} 201: no such status"]
    assert complaints_of_answer("PUT", path, 423, "application/json", b"") == [f"PUT {path} 423: no such status"]
    assert complaints_of_answer("PUT", path, 204, "application/json", b"{}") == [
        f"PUT {path} 204: a body where there is none"
    ]
    assert complaints_of_answer("GET", path, 200, "text/html", b"[]") == [f"GET {path} 200: text/html"]


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "complaint"),
    [
        ("PATCH", "/smartlock", {}, None, "there is no such call"),
        ("GET", "/smartlock/1/log", {"offset": "1"}, None, "no parameter offset"),
        ("GET", "/smartlock/1/log", {"limit": "x"}, None, "limit is no number"),
        ("PUT", "/smartlock/1/auth", {}, {"type": 13, "code": 345678}, "name is missing"),
        ("PUT", "/smartlock/1/auth", {}, code_body("x", 345678, enable=False), "has no enable"),
        ("PUT", "/smartlock/1/auth", {}, code_body("x", 345678) | {"code": "345678"}, "is no integer"),
        ("POST", "/smartlock/1/action", {}, {"option": 2}, "action is missing"),
        ("POST", "/smartlock/1/action", {}, {"action": 8}, "is above 7"),
        ("POST", "/smartlock/1/action/lock", {}, {}, "takes no body"),
    ],
)
def test_the_checker_reads_requests(method: str, path: str, query: dict[str, str], body: Any, complaint: str) -> None:
    raw = b"" if body is None else json.dumps(body).encode()
    [told] = complaints_of_request(method, path, query, raw)
    assert complaint in told


def test_every_known_error_is_one() -> None:
    """What the tables excuse stands in the description indeed."""
    schemas = openapi.description()["components"]["schemas"]
    for schema, name in {**openapi.WRONG_LIMITS, **openapi.WRONG_TYPES}:
        assert name in schemas[schema]["properties"]
    for schema, name in openapi.WRONG_LIMITS:
        assert {"minimum", "maximum", "enum"} & schemas[schema]["properties"][name].keys()
    for schema, name in openapi.NOT_REQUIRED:
        assert name in schemas[schema]["required"]
