"""Every request to the cloud, written out: method, path, parameters and the exact body."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.model.keypad import Authorization, KeypadCode, compare
from nuki2mqtt.model.schedule import ALWAYS, DailyWindow, Schedule, Weekday
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol import web_api
from nuki2mqtt.protocol.bridge_bodies import JsonObject
from nuki2mqtt.protocol.web_api import (
    AccountRequest,
    AccountUserListRequest,
    ActionOption,
    ActivityRequest,
    AuthorizationDeleteManyRequest,
    AuthorizationDeleteRequest,
    AuthorizationListRequest,
    AuthorizationPageRequest,
    AuthorizationRequest,
    CodeCreateManyRequest,
    CodeCreateRequest,
    CodeUpdateManyRequest,
    CodeUpdateRequest,
    DeviceActionRequest,
    DeviceListRequest,
    DeviceRequest,
    SyncRequest,
    WebhookAddRequest,
    WebhookDeleteRequest,
    WebhookListRequest,
    WebRequest,
    headers_of,
)
from nuki2mqtt.protocol.web_auth_bodies import read_authorization, schedule_fields

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DEVICE = 17924610048  # 4 and 0x2C63D800
AUTH = "65219648fe00000000000d01"
CODE = Secret("839275")
BEGINS = datetime(2026, 12, 1, 9, 30, 15, 987654, timezone(timedelta(hours=1)))
ENDS = datetime(2026, 12, 24, 23, 0, tzinfo=UTC)
LIMITED = Schedule(
    begins=BEGINS, ends=ENDS, weekdays=frozenset({Weekday.MON, Weekday.SUN}), daily=DailyWindow(480, 1080)
)
WANTED = KeypadCode(name="Käthe", code=CODE, schedule=LIMITED)
PLAIN = KeypadCode(name="Cleaner", code=CODE, enabled=False)
DAILY_ONLY = KeypadCode(name="Cleaner", code=CODE, schedule=Schedule(daily=DailyWindow(480, 1080)))
NO_LIMITS = {"allowedWeekDays": 127, "allowedFromTime": 0, "allowedUntilTime": 0}
FULL_LIMITS = {
    "allowedFromDate": "2026-12-01T08:30:15.000Z",
    "allowedUntilDate": "2026-12-24T23:00:00.000Z",
    "allowedWeekDays": 65,
    "allowedFromTime": 480,
    "allowedUntilTime": 1080,
}

WRITTEN: list[tuple[WebRequest, str, dict[str, str], Any]] = [
    (DeviceListRequest(), "GET /smartlock", {}, None),
    (DeviceRequest(DEVICE), f"GET /smartlock/{DEVICE}", {}, None),
    (DeviceActionRequest(DEVICE, 2), f"POST /smartlock/{DEVICE}/action", {}, {"action": 2}),
    (
        DeviceActionRequest(DEVICE, 2, ActionOption.FORCE | ActionOption.FULL_LOCK),
        f"POST /smartlock/{DEVICE}/action",
        {},
        {"action": 2, "option": 6},
    ),
    (SyncRequest(DEVICE), f"POST /smartlock/{DEVICE}/sync", {}, None),
    (AuthorizationListRequest(), "GET /smartlock/auth", {}, None),
    (AuthorizationListRequest(keypad_codes_only=True), "GET /smartlock/auth", {"types": "13"}, None),
    (AuthorizationListRequest(DEVICE, keypad_codes_only=True), f"GET /smartlock/{DEVICE}/auth", {"types": "13"}, None),
    (AuthorizationPageRequest(), "GET /smartlock/auth/paged", {"page": "0", "size": "100"}, None),
    (
        AuthorizationPageRequest(3, 50, keypad_codes_only=True),
        "GET /smartlock/auth/paged",
        {"page": "3", "size": "50", "types": "13"},
        None,
    ),
    (AuthorizationRequest(DEVICE, AUTH), f"GET /smartlock/{DEVICE}/auth/{AUTH}", {}, None),
    (
        CodeCreateRequest(DEVICE, PLAIN),
        f"PUT /smartlock/{DEVICE}/auth",
        {},
        {"name": "Cleaner", "type": 13, "code": 839275, "remoteAllowed": False, **NO_LIMITS},
    ),
    (
        CodeCreateRequest(DEVICE, WANTED),
        f"PUT /smartlock/{DEVICE}/auth",
        {},
        {"name": "Käthe", "type": 13, "code": 839275, "remoteAllowed": False, **FULL_LIMITS},
    ),
    (
        CodeCreateManyRequest((DEVICE, 1), PLAIN),
        "PUT /smartlock/auth",
        {},
        {
            "name": "Cleaner",
            "type": 13,
            "code": 839275,
            "remoteAllowed": False,
            **NO_LIMITS,
            "smartlockIds": [DEVICE, 1],
        },
    ),
    (
        CodeUpdateRequest(DEVICE, AUTH, PLAIN),
        f"POST /smartlock/{DEVICE}/auth/{AUTH}",
        {},
        {
            "name": "Cleaner",
            "code": 839275,
            "enabled": False,
            "remoteAllowed": False,
            "allowedFromDate": None,
            "allowedUntilDate": None,
            **NO_LIMITS,
        },
    ),
    (
        CodeUpdateRequest(DEVICE, AUTH, WANTED),
        f"POST /smartlock/{DEVICE}/auth/{AUTH}",
        {},
        {"name": "Käthe", "code": 839275, "enabled": True, "remoteAllowed": False, **FULL_LIMITS},
    ),
    (
        CodeUpdateManyRequest(((AUTH, WANTED), ("a" * 24, DAILY_ONLY))),
        "POST /smartlock/auth",
        {},
        [
            {"id": AUTH, "name": "Käthe", "code": 839275, "enabled": True, "remoteAllowed": False, **FULL_LIMITS},
            {
                "id": "a" * 24,
                "name": "Cleaner",
                "code": 839275,
                "enabled": True,
                "remoteAllowed": False,
                "allowedFromDate": "2020-01-01T00:00:00.000Z",  # without it the window would be ignored
                "allowedUntilDate": None,
                "allowedWeekDays": 127,
                "allowedFromTime": 480,
                "allowedUntilTime": 1080,
            },
        ],
    ),
    (AuthorizationDeleteRequest(DEVICE, AUTH), f"DELETE /smartlock/{DEVICE}/auth/{AUTH}", {}, None),
    (AuthorizationDeleteManyRequest((AUTH, "a" * 24)), "DELETE /smartlock/auth", {}, [AUTH, "a" * 24]),
    (ActivityRequest(), "GET /smartlock/log", {"limit": "50"}, None),
    (
        ActivityRequest(DEVICE, 20, AUTH, BEGINS, ENDS),
        f"GET /smartlock/{DEVICE}/log",
        {
            "limit": "20",
            "id": AUTH,
            "fromDate": "2026-12-01T08:30:15.000Z",
            "toDate": "2026-12-24T23:00:00.000Z",
        },
        None,
    ),
    (AccountRequest(), "GET /account", {}, None),
    (AccountUserListRequest(), "GET /account/user", {}, None),
    (AccountUserListRequest(100), "GET /account/user", {"offset": "100"}, None),
    (WebhookListRequest(), "GET /api/decentralWebhook", {}, None),
    (
        WebhookAddRequest(Secret("https://hook.example.org/5ec4e7"), ("DEVICE_LOGS",)),
        "PUT /api/decentralWebhook",
        {},
        {"webhookUrl": "https://hook.example.org/5ec4e7", "webhookFeatures": ["DEVICE_LOGS"]},
    ),
    (WebhookDeleteRequest(7), "DELETE /api/decentralWebhook/7", {}, None),
]


@pytest.mark.parametrize(("request_", "line", "query", "body"), WRITTEN)
def test_what_is_sent(request_: WebRequest, line: str, query: dict[str, str], body: Any) -> None:
    sent = request_.body()

    assert f"{request_.method} {request_.path}" == line
    assert request_.query() == query
    assert (None if sent is None else json.loads(sent)) == body


def test_every_request_is_in_the_table() -> None:
    assert {type(row[0]) for row in WRITTEN} == set(get_args(WebRequest))


def test_a_body_is_json_in_utf_8() -> None:
    sent = CodeCreateRequest(DEVICE, WANTED).body()

    assert sent is not None
    assert "Käthe".encode() in sent


def test_scopes() -> None:
    scopes = {type(row[0]).__name__: row[0].scope for row in WRITTEN}

    assert scopes == {
        "DeviceListRequest": "smartlock.readOnly",
        "DeviceRequest": "smartlock.readOnly",
        "DeviceActionRequest": "smartlock.action",
        "SyncRequest": "smartlock.action",
        "AuthorizationListRequest": "smartlock.auth",
        "AuthorizationPageRequest": "smartlock.auth",
        "AuthorizationRequest": "smartlock.auth",
        "CodeCreateRequest": "smartlock.auth",
        "CodeCreateManyRequest": "smartlock.auth",
        "CodeUpdateRequest": "smartlock.auth",
        "CodeUpdateManyRequest": "smartlock.auth",
        "AuthorizationDeleteRequest": "smartlock.auth",
        "AuthorizationDeleteManyRequest": "smartlock.auth",
        "ActivityRequest": "smartlock.log",
        "AccountRequest": "account",
        "AccountUserListRequest": "account",
        "WebhookListRequest": "webhook.decentral",
        "WebhookAddRequest": "webhook.decentral",
        "WebhookDeleteRequest": "webhook.decentral",
    }


def test_the_token_is_in_a_header_and_in_no_request() -> None:
    headers = {"Authorization": "Bearer t0k3n", "Accept": "application/json"}

    assert headers_of(Secret("t0k3n")) == headers
    assert headers_of(Secret("t0k3n"), has_body=True) == headers | {"Content-Type": "application/json"}


def test_no_request_shows_a_code_or_an_address() -> None:
    shown = " ".join(f"{row[0]} {row[0]!r} {row[0].path} {row[0].query()}" for row in WRITTEN)

    assert "839275" not in shown
    assert "5ec4e7" not in shown


def test_the_door_names_all_that_it_offers() -> None:
    assert [name for name in web_api.__all__ if not hasattr(web_api, name)] == []
    assert {one.__name__ for one in get_args(WebRequest)} <= set(web_api.__all__)


@pytest.mark.parametrize("code", ["", "12345", "120000", "123456", "039275", "abcdef", "8392751"])
def test_a_code_that_breaks_a_rule_is_never_sent(code: str) -> None:
    bad = replace(PLAIN, code=Secret(code))
    for make in (
        lambda: CodeCreateRequest(DEVICE, bad),
        lambda: CodeCreateManyRequest((DEVICE,), bad),
        lambda: CodeUpdateRequest(DEVICE, AUTH, bad),
        lambda: CodeUpdateManyRequest(((AUTH, bad),)),
    ):
        with pytest.raises(ValueError, match="breaks a rule") as caught:
            make()
        assert code not in str(caught.value) or not code


@pytest.mark.parametrize("auth_id", ["", "../log", "a/b", "a b", "ä", "a?b", "a" * 65, "a\n"])
def test_what_is_no_id_is_in_no_path(auth_id: str) -> None:
    for make in (
        lambda: AuthorizationRequest(DEVICE, auth_id),
        lambda: CodeUpdateRequest(DEVICE, auth_id, PLAIN),
        lambda: CodeUpdateManyRequest(((auth_id, PLAIN),)),
        lambda: AuthorizationDeleteRequest(DEVICE, auth_id),
        lambda: AuthorizationDeleteManyRequest((auth_id,)),
        lambda: ActivityRequest(before=auth_id),
    ):
        with pytest.raises(ValueError, match="no id"):
            make()


@pytest.mark.parametrize("smartlock_id", [-1, 2**63])
def test_what_is_no_number_of_a_device(smartlock_id: int) -> None:
    for make in (
        lambda: DeviceRequest(smartlock_id),
        lambda: DeviceActionRequest(smartlock_id, 1),
        lambda: SyncRequest(smartlock_id),
        lambda: AuthorizationListRequest(smartlock_id),
        lambda: AuthorizationRequest(smartlock_id, AUTH),
        lambda: CodeCreateRequest(smartlock_id, PLAIN),
        lambda: CodeCreateManyRequest((smartlock_id,), PLAIN),
        lambda: CodeUpdateRequest(smartlock_id, AUTH, PLAIN),
        lambda: ActivityRequest(smartlock_id),
    ):
        with pytest.raises(ValueError, match="no number of a device"):
            make()


def test_bounds() -> None:
    assert AuthorizationPageRequest(0, 1).query() == {"page": "0", "size": "1"}
    assert ActivityRequest(limit=1).query() == {"limit": "1"}
    assert DeviceRequest(0).path == "/smartlock/0"
    assert DeviceRequest(2**63 - 1).path == f"/smartlock/{2**63 - 1}"
    for limit in (0, 51):
        with pytest.raises(ValueError, match="1 to 50"):
            ActivityRequest(limit=limit)
    for page, size in ((-1, 100), (0, 0), (0, 101)):
        with pytest.raises(ValueError, match="is no page"):
            AuthorizationPageRequest(page, size)
    for make in (
        lambda: CodeCreateManyRequest((), PLAIN),
        lambda: CodeUpdateManyRequest(()),
        lambda: AuthorizationDeleteManyRequest(()),
    ):
        with pytest.raises(ValueError, match="at least one"):
            make()
    with pytest.raises(ValueError, match="https"):
        WebhookAddRequest(Secret("http://hook.example.org/"))


# --- What is written is read again ------------------------------------------------------------------------------------

INSTANTS = st.datetimes(
    datetime.fromisoformat("2020-01-02"),
    datetime.fromisoformat("2099-12-31"),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9))]),
)
SCHEDULES = st.builds(
    Schedule,
    begins=st.none() | INSTANTS,
    ends=st.none() | INSTANTS,
    weekdays=st.frozensets(st.sampled_from(Weekday), min_size=1),
    daily=st.none() | st.builds(DailyWindow, st.integers(0, 719), st.integers(720, 1439)),
)
CODES = st.text("123456789", min_size=6, max_size=6).filter(lambda code: not code.startswith("12")).map(Secret)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5)
WANTED_CODES = st.builds(KeypadCode, name=NAMES, code=CODES, enabled=st.booleans(), schedule=SCHEDULES)


def stored(body: bytes | None, **more: object) -> Authorization:
    """What a server that keeps exactly what it was sent says of it."""
    assert body is not None
    entry: JsonObject = {"id": AUTH, "type": 13, "enabled": True, **json.loads(body), **more}
    return read_authorization(entry)


@PATIENT
@given(WANTED_CODES)
def test_an_update_read_back_is_exactly_what_was_wanted(wanted: KeypadCode) -> None:
    assert compare(wanted, stored(CodeUpdateRequest(DEVICE, AUTH, wanted).body())).is_exact


@PATIENT
@given(WANTED_CODES)
def test_a_new_code_read_back_differs_at_most_in_being_enabled(wanted: KeypadCode) -> None:
    compared = compare(wanted, stored(CodeCreateRequest(DEVICE, wanted).body()))

    assert compared.unsaid == frozenset()
    assert compared.differs == (frozenset() if wanted.enabled else frozenset({"enabled"}))


@PATIENT
@given(SCHEDULES)
def test_all_five_fields_are_there_and_a_limit_never_stands_alone(schedule: Schedule) -> None:
    fields = schedule_fields(schedule)

    assert list(fields) == [
        "allowedFromDate",
        "allowedUntilDate",
        "allowedWeekDays",
        "allowedFromTime",
        "allowedUntilTime",
    ]
    assert (fields["allowedFromDate"] is None) is (schedule == ALWAYS)
    assert [key for key, value in fields.items() if value is None and key != "allowedUntilDate"] in (
        [],
        ["allowedFromDate"],
    )
