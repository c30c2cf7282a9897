"""What the cloud answers, read from bodies of ours: documented fields, and oddities that were reported or invented."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.model.activity import Activity
from nuki2mqtt.model.cloud_device import CloudDevice, CloudFacts
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad import Authorization, CodeField, KeypadCode
from nuki2mqtt.model.schedule import ALWAYS, DailyWindow, Schedule, Weekday
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Battery, DeviceState, Report, Source
from nuki2mqtt.protocol.web_api import (
    AccountAnswer,
    AccountRequest,
    AccountUser,
    AccountUserListAnswer,
    AccountUserListRequest,
    ActivityAnswer,
    ActivityRequest,
    AuthorizationAnswer,
    AuthorizationListAnswer,
    AuthorizationListRequest,
    AuthorizationPageAnswer,
    AuthorizationPageRequest,
    AuthorizationRequest,
    CodeUpdateRequest,
    DeviceAnswer,
    DeviceListAnswer,
    DeviceListRequest,
    DeviceRequest,
    Webhook,
    WebhookAddRequest,
    WebhookAnswer,
    WebhookListAnswer,
    WebhookListRequest,
    WebRequest,
    read_response,
)
from nuki2mqtt.protocol.web_auth_bodies import read_authorization
from nuki2mqtt.protocol.web_device_bodies import read_device
from nuki2mqtt.protocol.web_log_bodies import read_activity

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

GOLDEN = Path(__file__).parent / "golden" / "web"
DEVICE = 21913877581
AUTH = "65219648fe00000000000d01"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def answer(request: WebRequest, value: object) -> Any:
    return read_response(request, 200, json.dumps(value).encode())


def refusal(request: WebRequest, value: object) -> str:
    with pytest.raises(WebError) as caught:
        answer(request, value)
    assert caught.value.kind is WebErrorKind.UNREADABLE
    return caught.value.detail


# --- Devices ----------------------------------------------------------------------------------------------------------

DEVICES = (
    CloudDevice(
        DEVICE,
        Report(
            nuki_id=NukiId(0x1A2B3C4D),
            source=Source.WEB,
            device_type=5,
            name="Front door",
            firmware="5.2.1",
            state=DeviceState(
                state_code=3,
                mode_code=2,
                door_code=3,
                battery=Battery(level=91, critical=False, charging=True),
                keypad_battery_critical=False,
            ),
        ),
        CloudFacts(
            server_state_code=0,
            admin_pin_state_code=0,
            keypad_paired=False,
            keypad2_paired=True,
            time_zone_id=37,
            has_operation=True,
            updated=utc("2026-11-21T20:15:03"),
            last_action_code=1,
            trigger_code=255,
            night_mode=False,
            door_sensor_battery_critical=True,
            is_virtual=False,
        ),
    ),
    CloudDevice(
        9095667026,
        Report(
            nuki_id=NukiId(0x1E24DD52),
            source=Source.WEB,
            device_type=2,
            name="Intercom",
            state=DeviceState(state_code=1, mode_code=3, battery=Battery(critical=True)),
        ),
        CloudFacts(
            server_state_code=4,
            keypad_paired=False,
            time_zone_id=65535,
            last_action_code=6,
            trigger_code=6,
            night_mode=True,
            ring_to_open_ends=utc("2026-11-21T20:35:03"),
        ),
    ),
    CloudDevice(
        0xA_0000_0001,
        Report(
            nuki_id=NukiId(1),
            source=Source.WEB,
            device_type=10,
            name="From the future",
            state=DeviceState(state_code=77, mode_code=9),
        ),
        CloudFacts(server_state_code=9),
    ),
    CloudDevice(
        0x1_0000_0001,
        Report(nuki_id=NukiId(1), source=Source.WEB, device_type=1, name="Box"),
        CloudFacts(error="no subscription for ***"),
    ),
)


def test_devices() -> None:
    found = read_response(DeviceListRequest(), 200, golden("devices.json"))

    assert found == DeviceListAnswer(DEVICES, ("entry 5: smartlockId is missing", "entry 6: a text, not an object"))
    assert isinstance(found, DeviceListAnswer)
    assert not found.is_complete


def test_words_of_a_device() -> None:
    front, intercom, future, _ = DEVICES

    assert (front.last_action, front.trigger, front.facts.server_state) == ("unlock", "keypad", "ok")
    assert (intercom.last_action, intercom.trigger) == ("activate_cm", "continuous_mode")
    assert (intercom.facts.server_state, intercom.facts.time_zone_name) == ("offline", None)
    assert future.facts.server_state == "unknown"


def test_no_place_on_earth_is_read() -> None:
    assert "48.1" not in repr(read_response(DeviceListRequest(), 200, golden("devices.json")))


def state_of(state: dict[str, Any], **more: Any) -> DeviceState | None:
    return read_device({"smartlockId": 1, "state": state, **more}).report.state


@pytest.mark.parametrize("door", [0, None, "0"])
def test_without_a_door_sensor_there_is_no_door(door: object) -> None:
    device = read_device(
        {"smartlockId": 1, "state": {"state": 1, "doorState": door, "doorsensorBatteryCritical": False}}
    )

    assert device.report.state == DeviceState(state_code=1)
    assert device.facts.door_sensor_battery_critical is None


@pytest.mark.parametrize("door", [1, 2, 3, 4, 5, 16, 240, 255])
def test_doors_are_numbered_as_by_a_bridge(door: int) -> None:
    assert state_of({"state": 1, "doorState": door}) == DeviceState(state_code=1, door_code=door)


@pytest.mark.parametrize(
    ("device_type", "charge", "level"),
    [(2, 0, None), (2, 7, 7), (4, 0, 0), (4, 100, 100), (4, 101, None), (4, -1, None), (4, "55", 55)],
)
def test_charge(device_type: int, charge: object, level: int | None) -> None:
    state = state_of({"state": 1, "batteryCharge": charge}, type=device_type)

    assert state == DeviceState(state_code=1, battery=Battery(level=level))


@pytest.mark.parametrize(
    ("config", "said", "read"),
    [
        ({"keypadPaired": True}, False, False),
        ({"keypadPaired": True}, True, True),
        ({"keypad2Paired": True, "keypadPaired": False}, False, False),
        ({"keypadPaired": False}, True, None),
        ({"keypadPaired": False, "keypad2Paired": False}, False, None),
        ({}, False, None),
        ({}, True, True),
    ],
)
def test_the_battery_of_a_keypad(config: dict[str, bool], *, said: bool, read: bool | None) -> None:
    state = state_of({"state": 1, "keypadBatteryCritical": said}, config=config)

    assert state == DeviceState(state_code=1, keypad_battery_critical=read)


@pytest.mark.parametrize("state", [{}, {"state": None}, {"state": "x"}, {"state": -1}, [], "x", None, {"mode": 2}])
def test_a_device_without_a_readable_state(state: object) -> None:
    assert read_device({"smartlockId": 1, "state": state}).report.state is None


@pytest.mark.parametrize(
    ("packed", "text"),
    [(199175, "3.10.7"), (133135, "2.8.15"), (67585, "1.8.1"), (0, None), (None, None), ("199175", "3.10.7")],
)
def test_versions(packed: object, text: str | None) -> None:
    assert read_device({"smartlockId": 1, "firmwareVersion": packed}).report.firmware == text


@pytest.mark.parametrize("place", ["top", "config", "state"])
def test_an_operation_anywhere_holds_the_device(place: str) -> None:
    operation = {"operationId": "x"}
    entry: dict[str, Any] = {"smartlockId": 1}

    assert not read_device(entry).facts.has_operation
    assert not read_device({**entry, "operationId": None}).facts.has_operation
    assert read_device({**entry, **(operation if place == "top" else {place: operation})}).facts.has_operation


@pytest.mark.parametrize(
    ("value", "smartlock_id"),
    [(18144654068, 18144654068), ("18144654068", 18144654068), (18144654068.0, 18144654068), (2**63 - 1, 2**63 - 1)],
)
def test_numbers_of_devices(value: object, smartlock_id: int) -> None:
    found = answer(DeviceRequest(1), {"smartlockId": value})

    assert isinstance(found, DeviceAnswer)
    assert found.device.smartlock_id == smartlock_id
    assert found.device.report.device_type == smartlock_id >> 32


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "an array, not an object"),
        ({}, "smartlockId is missing"),
        ({"smartlockId": "1A2B3C4D"}, "smartlockId is a text, not a whole number"),
        ({"smartlockId": 2**63}, "smartlockId is out of range"),
        ({"smartlockId": 10**30}, "smartlockId is null, not a whole number"),  # no number of this API is so long
        ({"detailMessage": "x"}, "smartlockId is missing"),
    ],
)
def test_what_is_no_device(value: object, text: str) -> None:
    assert refusal(DeviceRequest(1), value) == text


def test_a_flood_of_devices_is_cut_off_and_told() -> None:
    found = answer(DeviceListRequest(), [{"smartlockId": 1}] * 1001)

    assert isinstance(found, DeviceListAnswer)
    assert len(found.devices) == 1000
    assert found.broken == ("1001 entries, only the first 1000 were read",)


# --- Authorizations ---------------------------------------------------------------------------------------------------

AUTHORIZATIONS = (
    Authorization(
        id="65219648fe00000000000d01",
        smartlock_id=DEVICE,
        lock_auth_id=8200,
        type=13,
        name="Käthe",
        code=Secret("839275"),
        enabled=True,
        remote_allowed=False,
        schedule=Schedule(
            begins=utc("2026-12-01T08:30:15"),
            ends=utc("2026-12-24T23:00"),
            weekdays=frozenset({Weekday.MON, Weekday.SUN}),
            daily=DailyWindow(480, 1080),
        ),
        lock_count=12,
        last_active=utc("2026-11-21T20:15:03.123"),
        created=utc("2026-11-01T10:00"),
        updated=utc("2026-11-02T10:00"),
    ),
    Authorization(
        id="65219648fe00000000000d02",
        smartlock_id=DEVICE,
        lock_auth_id=8201,
        type=13,
        name="Cleaner ",  # as it is, since it is compared
        code=Secret("274196"),
        schedule=Schedule(daily=DailyWindow(480, 1080)),
        has_operation=True,
    ),
    Authorization(
        id="65219648fe00000000000d03",
        smartlock_id=DEVICE,
        type=13,
        name="Odd",
        code=Secret("331385"),
        enabled=False,
        unreadable=frozenset({CodeField.BEGINS, CodeField.ENDS, CodeField.WEEKDAYS, CodeField.DAILY}),
    ),
    Authorization(id="65219648fe00000000000d04", smartlock_id=DEVICE, type=0, name="Somebody", enabled=True),
    Authorization(id="65219648fe00000000000d05", type=99, error="code *** of ***"),
)


def test_authorizations() -> None:
    found = read_response(AuthorizationListRequest(DEVICE), 200, golden("authorizations.json"))

    assert found == AuthorizationListAnswer(AUTHORIZATIONS, ("entry 6: id is missing",))
    assert isinstance(found, AuthorizationListAnswer)
    assert not found.is_complete
    assert AuthorizationListAnswer(()).is_complete


@pytest.mark.parametrize(
    ("code", "digits"),
    [
        (839275, "839275"),
        ("839275", "839275"),
        (" 839275 ", "839275"),
        (839275.0, "839275"),
        ([839275], "839275"),
        (["839275"], "839275"),
        ([8, 3, 9, 2, 7, 5], "839275"),
        (None, None),
        (0, None),
        ("0", None),
        ("", None),
        ([], None),
        ([None], None),
        ([[839275]], None),
        (-839275, None),
        (True, None),
        (1.5, None),
        (1e300, None),
        ("abc", None),
        ("\u0668\u0663", None),
        ("8" * 13, None),
        ([839275] * 3, None),
        ({}, None),
    ],
)
def test_however_a_code_is_written(code: object, digits: str | None) -> None:
    assert read_authorization({"id": AUTH, "code": code}).code == (None if digits is None else Secret(digits))


@pytest.mark.parametrize(
    ("fields", "schedule"),
    [
        ({}, ALWAYS),
        ({"allowedWeekDays": None, "allowedFromTime": None, "allowedUntilTime": None, "allowedFromDate": None}, ALWAYS),
        ({"allowedWeekDays": 127, "allowedFromTime": 0, "allowedUntilTime": 0}, ALWAYS),
        ({"allowedFromDate": "2020-01-01T00:00:00Z"}, ALWAYS),
        ({"allowedWeekDays": 0}, Schedule(weekdays=frozenset())),
        ({"allowedFromTime": 480}, Schedule(daily=DailyWindow(480, 0))),
        ({"allowedUntilTime": 480}, Schedule(daily=DailyWindow(0, 480))),
        ({"allowedFromTime": "480", "allowedUntilTime": 1440}, Schedule(daily=DailyWindow(480, 1440))),
        ({"allowedUntilDate": "2026-12-24T23:00:00+01:00"}, Schedule(ends=utc("2026-12-24T22:00"))),
    ],
)
def test_schedules(fields: dict[str, Any], schedule: Schedule) -> None:
    found = read_authorization({"id": AUTH, **fields})

    assert found.schedule == schedule
    assert found.unreadable == frozenset()


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("allowedFromDate", "soon", "begins"),
        ("allowedUntilDate", "2026-02-30T00:00:00Z", "ends"),
        ("allowedWeekDays", "all", "weekdays"),
        ("allowedWeekDays", 128, "weekdays"),
        ("allowedFromTime", -1, "daily"),
        ("allowedUntilTime", "08:00", "daily"),
    ],
)
def test_a_limit_that_cannot_be_read_is_not_taken_for_none(key: str, value: object, field: str) -> None:
    assert read_authorization({"id": AUTH, key: value}).unreadable == {CodeField(field)}


@pytest.mark.parametrize("auth_id", [None, 5, "", "a b", "../x", "x" * 65, [], "ä"])
def test_an_authorization_without_a_usable_id_is_none(auth_id: object) -> None:
    assert refusal(AuthorizationRequest(1, AUTH), {"id": auth_id}).startswith("id is ")


def test_one_authorization() -> None:
    assert answer(AuthorizationRequest(1, AUTH), {"id": AUTH, "type": 13}) == AuthorizationAnswer(
        Authorization(id=AUTH, type=13)
    )


@pytest.mark.parametrize(
    ("pagination", "next_page"),
    [
        ({"currentPage": 0, "nextPage": 1, "totalPages": 3}, 1),
        ({"nextPage": 1, "totalPages": 3}, 1),
        ({"currentPage": 2, "nextPage": None, "totalPages": 3}, None),
        ({"currentPage": 2, "nextPage": 2, "totalPages": 3}, None),
        ({"currentPage": 2, "nextPage": 0, "totalPages": 3}, None),
        ({"totalPages": 3}, None),
    ],
)
def test_a_page_of_authorizations(pagination: dict[str, Any], next_page: int | None) -> None:
    found = answer(AuthorizationPageRequest(), {"results": [{"id": AUTH, "type": 0}], "pagination": pagination})

    assert found == AuthorizationPageAnswer((Authorization(id=AUTH, type=0),), (), next_page, 3)


def test_a_page_with_an_unreadable_entry_is_not_complete() -> None:
    whole = answer(AuthorizationPageRequest(), {"results": []})
    broken = answer(AuthorizationPageRequest(), {"results": [{}]})

    assert (whole, whole.is_complete) == (AuthorizationPageAnswer(()), True)
    assert (broken, broken.is_complete) == (AuthorizationPageAnswer((), ("entry 1: id is missing",)), False)


def test_what_is_no_page() -> None:
    assert refusal(AuthorizationPageRequest(), {}) == "results is missing"
    assert refusal(AuthorizationPageRequest(), []) == "an array, not an object"


# --- Log --------------------------------------------------------------------------------------------------------------


def test_a_log() -> None:
    found = read_response(ActivityRequest(), 200, golden("log.json"))
    common: dict[str, Any] = {"nuki_id": NukiId(0x1A2B3C4D), "device_type": 5}

    assert found == ActivityAnswer(
        (
            Activity(
                **common,
                id="6700000000000000000000a3",
                at=utc("2026-11-21T20:15:03"),
                action_code=1,
                trigger_code=255,
                completion_code=0,
                source_code=1,
                name="Käthe",
                auth_id=AUTH,
                auto_unlock=False,
            ),
            Activity(
                **common,
                id="6700000000000000000000a2",
                at=utc("2026-11-21T20:14:58"),
                action_code=1,
                trigger_code=255,
                completion_code=224,
                source_code=1,
                auto_unlock=False,
            ),
            Activity(  # an older API called every lock 0 here
                **common,
                id="6700000000000000000000a1",
                at=utc("2026-11-21T19:00"),
                action_code=208,
                trigger_code=0,
                completion_code=0,
                ajar_minutes=5,
            ),
        ),
        ("entry 4: smartlockId is missing",),
        "6700000000000000000000a1",
    )
    assert isinstance(found, ActivityAnswer)
    assert [(one.action, one.via(), one.is_entry_refused) for one in found.activities] == [
        ("unlock", "code", False),
        ("unlock", "code", True),
        ("door_ajar", "system", False),
    ]


def test_only_an_empty_page_is_the_last() -> None:
    assert answer(ActivityRequest(), []) == ActivityAnswer((), is_empty=True)
    assert answer(ActivityRequest(), [5]) == ActivityAnswer((), ("entry 1: a number, not an object",))


@pytest.mark.parametrize(("said", "device_type"), [(None, 0), (0, 0), (2, 2), (5, 5), ("x", 0)])
def test_the_type_of_an_old_number_is_what_is_said(said: object, device_type: int) -> None:
    assert read_activity({"smartlockId": 1, "deviceType": said}).device_type == device_type


def test_an_id_may_be_a_number() -> None:
    found = read_activity({"smartlockId": 1, "id": 5, "authId": 8200})

    assert (found.id, found.auth_id) == ("5", "8200")


# --- Account and webhooks ---------------------------------------------------------------------------------------------


def test_an_account() -> None:
    assert answer(AccountRequest(), {"accountId": 512300771, "email": "me@example.org"}) == AccountAnswer(512300771)
    assert refusal(AccountRequest(), {"email": "me@example.org"}) == "accountId is missing"


def test_users() -> None:
    found = answer(
        AccountUserListRequest(), [{"accountUserId": 7, "name": " Person A ", "email": "a@example.org"}, {"name": "x"}]
    )

    assert found == AccountUserListAnswer((AccountUser(7, "Person A"),), ("entry 2: accountUserId is missing",))


HOOK = {
    "id": 7,
    "secret": "whsec_5ec4e7",
    "webhookUrl": "https://hook.example.org/5ec4e7",
    "webhookFeatures": ["DEVICE_LOGS", 5],
}
READ_HOOK = Webhook(7, Secret("https://hook.example.org/5ec4e7"), Secret("whsec_5ec4e7"), frozenset({"DEVICE_LOGS"}))


def test_webhooks() -> None:
    added = answer(WebhookAddRequest(Secret("https://hook.example.org/5ec4e7")), HOOK)
    listed = answer(WebhookListRequest(), [HOOK, {"id": 8}, {}])

    assert added == WebhookAnswer(READ_HOOK)
    assert listed == WebhookListAnswer((READ_HOOK, Webhook(8)), ("entry 3: id is missing",))
    assert "5ec4e7" not in f"{added!r} {listed!r} {added} {listed}"


@pytest.mark.parametrize("value", ["", 5, None, "x" * 3000, "a\nb", "\ud800"])
def test_a_webhook_with_an_unusable_secret(value: object) -> None:
    assert answer(WebhookListRequest(), [{"id": 7, "secret": value, "webhookUrl": value}]) == WebhookListAnswer(
        (Webhook(7),)
    )


# --- Anything ---------------------------------------------------------------------------------------------------------

READINGS: list[WebRequest] = [
    DeviceListRequest(),
    DeviceRequest(1),
    AuthorizationListRequest(),
    AuthorizationPageRequest(),
    AuthorizationRequest(1, AUTH),
    ActivityRequest(),
    AccountRequest(),
    AccountUserListRequest(),
    WebhookListRequest(),
    WebhookAddRequest(Secret("https://hook.example.org/")),
    CodeUpdateRequest(1, AUTH, KeypadCode(name="x", code=Secret("839275"))),
]
PLACES = ["smartlockId", "id", "state", "config", "type", "name", "code", "date", "action", "results", "pagination"]
FIELDS = ["allowedFromDate", "allowedWeekDays", "openerLog", "accountId", "webhookFeatures", "operationId"]
KEYS = st.sampled_from([*PLACES, *FIELDS, "detailMessage"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("2026-11-21T20:15:03Z")
)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)


@PATIENT
@given(ANY_JSON | st.binary(max_size=60), st.sampled_from([200, 204, 400, 401, 429, 502]))
def test_any_body_is_an_answer_or_our_error(value: object, status: int) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode(errors="replace")
    for request in READINGS:
        try:
            found = read_response(request, status, body)
        except WebError as error:
            text = error.detail
        else:
            text = ""
            assert found == read_response(request, status, body)
        assert len(text) <= 150
        assert text.isprintable()


@pytest.mark.parametrize("read", [read_device, read_authorization, read_activity])
def test_readers_do_not_change_what_they_read(read: Callable[[dict[str, Any]], object]) -> None:
    entry = {"id": AUTH, "smartlockId": 1, "state": {"state": 1}, "code": [1, 2], "openerLog": {"source": 1}}
    before = json.dumps(entry)
    read(entry)

    assert json.dumps(entry) == before


def test_every_golden_file_is_read() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {"devices.json", "authorizations.json", "log.json"}
