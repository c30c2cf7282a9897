"""What the cloud posts: who may, what it tells, and what is the same twice."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_answers import AccountUser
from nuki2mqtt.protocol.webhooks import (
    AccountUserHook,
    ActivityHook,
    AuthorizationHook,
    DeviceHook,
    FailureDetail,
    Hook,
    OrderHook,
    UnknownHook,
    WebhookFeature,
    is_signed,
    parse_webhook,
    repeat_key,
)

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SECRET = Secret("whsec_5ec4e7")
BODY = b'{"feature":"DEVICE_STATUS","smartlockId":17924610048,"serverState":0}'
# Of these bytes with this key, by another implementation: openssl dgst -sha256 -hmac whsec_5ec4e7
SIGNATURE = "e473f9f2aea1f2529936bcb899f89165c068bc3bdc61498fcb5d228d6f222514"
DEVICE = 17924610048
AUTH = "65219648fe00000000000d01"


def hook(**values: Any) -> Hook:
    (found,) = parse_webhook(json.dumps(values).encode())
    return found


def log(**values: Any) -> Hook:
    return hook(feature="DEVICE_LOGS", smartlockLog={"smartlockId": DEVICE, **values})


def auth(*, deleted: bool = False, **values: Any) -> Hook:
    return hook(feature="DEVICE_AUTHS", deleted=deleted, smartlockAuth={"id": AUTH, **values})


# --- Who posted it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signature", [SIGNATURE, SIGNATURE.upper(), f" {SIGNATURE}\r\n"])
def test_what_the_cloud_signed(signature: str) -> None:
    assert is_signed(BODY, signature, SECRET)


@pytest.mark.parametrize(
    ("body", "signature", "secret"),
    [
        (BODY, None, SECRET),
        (BODY, "", SECRET),
        (BODY, SIGNATURE[:-1], SECRET),
        (BODY, SIGNATURE[:40], SECRET),  # the length of the other header
        (BODY, SIGNATURE[:-1] + "0", SECRET),
        (BODY, "\u0660" * 64, SECRET),
        (BODY, "x" * 64, SECRET),
        (BODY, f"sha256={SIGNATURE}", SECRET),
        (BODY + b" ", SIGNATURE, SECRET),
        (BODY.replace(b"0}", b"4}"), SIGNATURE, SECRET),
        (b"", SIGNATURE, SECRET),
        (BODY, SIGNATURE, Secret("whsec_5ec4e8")),
        (BODY, SIGNATURE, Secret("")),
        (BODY, hmac.new(b"", BODY, hashlib.sha256).hexdigest(), Secret("")),
    ],
)
def test_what_somebody_else_posted(body: bytes, signature: str | None, secret: Secret) -> None:
    assert not is_signed(body, signature, secret)


@PATIENT
@given(st.binary(max_size=200), st.text(max_size=80), st.text(min_size=1, max_size=20))
def test_only_the_right_signature_counts(body: bytes, signature: str, key: str) -> None:
    own = hmac.new(key.encode("utf-8", "surrogatepass"), body, "sha256").hexdigest()

    assert is_signed(body, own, Secret(key))
    assert is_signed(body, signature, Secret(key)) is (signature.strip().lower() == own)


# --- What it tells ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feature", ["DEVICE_STATUS", "DEVICE_MASTERDATA", "DEVICE_CONFIG", "device_config"])
def test_devices(feature: str) -> None:
    found = hook(
        feature=feature,
        smartlockId=DEVICE,
        deleted=True,
        config={"keypad2Paired": True, "timezoneId": 37},
        state={"state": 3, "keypadBatteryCritical": False},
    )

    assert isinstance(found, DeviceHook)
    assert (found.feature, found.is_deleted) == (WebhookFeature(feature.upper()), True)
    assert found.device.smartlock_id == DEVICE
    assert (found.device.facts.has_keypad, found.device.facts.time_zone_name) == (True, "Europe/Berlin")
    assert found.device.report.state is not None
    assert found.device.report.state.keypad_battery_critical is False


@pytest.mark.parametrize(("said", "read"), [(False, None), (True, True), (None, None)])
def test_a_keypad_battery_where_nobody_says_whether_there_is_a_keypad(*, said: bool | None, read: bool | None) -> None:
    found = hook(feature="DEVICE_STATUS", smartlockId=1, state={"state": 1, "keypadBatteryCritical": said})

    assert isinstance(found, DeviceHook)
    assert found.device.report.state is not None
    assert found.device.report.state.keypad_battery_critical is read


def test_a_log_entry_names_its_device_inside_or_outside() -> None:
    inside = log(id=AUTH, action=240)
    outside = hook(feature="DEVICE_LOGS", smartlockId=DEVICE, smartlockLog={"id": AUTH, "action": 240})

    assert isinstance(inside, ActivityHook)
    assert inside == outside
    assert (inside.activity.action, str(inside.activity.nuki_id)) == ("door_opened", "2C63D800")


def test_a_deleted_authorization_needs_no_more_than_its_id() -> None:
    found = auth(deleted=True)

    assert isinstance(found, AuthorizationHook)
    assert (found.authorization.id, found.is_deleted, found.authorization.kind) == (AUTH, True, "unknown")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (
            {"accountUser": {"accountUserId": 7, "name": "Person A", "email": "a@example.org"}},
            AccountUser(7, "Person A"),
        ),
        ({"accountUserId": 7, "name": "Person A", "deleted": False}, AccountUser(7, "Person A")),
        ({}, None),
        ({"accountUser": "x"}, None),
    ],
)
def test_users(values: dict[str, Any], found: AccountUser | None) -> None:
    assert hook(feature="ACCOUNT_USER", **values) == AccountUserHook(found)


def test_ends_of_orders() -> None:
    detail = [{"smartlockId": 1, "success": True}, {"smartlockId": 2, "success": False, "errorCode": "ff"}, {}, 5]

    assert hook(type="AuthCreation", requestId="r1", success=False, detail=detail) == OrderHook(
        "AuthCreation",
        "r1",
        success=False,
        failures=(FailureDetail(2, "ff"), FailureDetail(None, None)),
    )
    assert hook(requestId="r1", success="true") == OrderHook("", "r1", success=True)


@pytest.mark.parametrize("feature", ["DEVICE_AUTH", "SOMETHING_NEW", "x"])
def test_a_feature_that_nobody_knows_is_no_error(feature: str) -> None:
    assert hook(feature=feature, whatever=1) == UnknownHook(feature)


def test_a_list_tells_several_things() -> None:
    assert parse_webhook(b'[{"feature":"A"},{"feature":"B"}]') == (UnknownHook("A"), UnknownHook("B"))
    assert parse_webhook(b"[]") == ()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "an empty body, not JSON"),
        (b"null", "null, not an object"),
        (b"[1]", "a number, not an object"),
        (b"{}", "neither a feature nor a requestId"),
        (b'{"feature":5}', "neither a feature nor a requestId"),
        (b'{"requestId":"r1"}', "success is missing"),
        (b'{"requestId":"../x","success":true}', "neither a feature nor a requestId"),
        (b'{"feature":"DEVICE_STATUS"}', "smartlockId is missing"),
        (b'{"feature":"DEVICE_STATUS","smartlockId":-1}', "smartlockId is out of range"),
        (b'{"feature":"DEVICE_STATUS","smartlockId":9223372036854775808}', "smartlockId is out of range"),
        (b'{"feature":"DEVICE_STATUS","smartlockId":true}', "smartlockId is true or false, not a whole number"),
        (b'{"feature":"DEVICE_LOGS"}', "smartlockLog is missing"),
        (b'{"feature":"DEVICE_LOGS","smartlockLog":{"id":"x"}}', "smartlockId is missing"),
        (b'{"feature":"DEVICE_AUTHS","smartlockAuth":[]}', "smartlockAuth is an array, not an object"),
        (b'{"feature":"DEVICE_AUTHS","smartlockAuth":{"code":839275}}', "id is missing"),
        (b'{"feature":"DEVICE_AUTHS","smartlockAuth":{"id":"a b"}}', "id is no id"),
    ],
)
def test_what_tells_nothing(body: bytes, text: str) -> None:
    with pytest.raises(UnreadableBody) as caught:
        parse_webhook(body)
    assert str(caught.value) == text


# --- What is the same twice -------------------------------------------------------------------------------------------

UPDATED = "2026-11-21T20:15:03.123Z"


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (log(id=AUTH), f"log {AUTH}"),
        (log(), None),
        (auth(updateDate=UPDATED), f"auth {AUTH} 2026-11-21T20:15:03.123000+00:00 False"),
        (auth(updateDate=UPDATED, deleted=True), f"auth {AUTH} 2026-11-21T20:15:03.123000+00:00 True"),
        (auth(), None),
        (hook(type="UnlockAction", requestId="r1", success=True), "order r1"),
        (hook(feature="DEVICE_STATUS", smartlockId=1, state={"state": 1}), None),
        (hook(feature="DEVICE_MASTERDATA", smartlockId=1, updateDate=UPDATED), None),
        (hook(feature="ACCOUNT_USER"), None),
        (hook(feature="NEW"), None),
    ],
)
def test_what_makes_a_repeat(found: Hook, key: str | None) -> None:
    assert repeat_key(found) == key


def test_nothing_is_deleted_unless_it_is_said() -> None:
    found = [hook(feature="DEVICE_STATUS", smartlockId=1), auth(), hook(feature="ACCOUNT_USER")]

    assert [getattr(one, "is_deleted", None) for one in found] == [False] * 3
    assert not AccountUserHook().is_deleted


def test_no_code_shows_itself() -> None:
    found = auth(code=839275, name="Cleaner")

    assert "839275" not in f"{found} {found!r} {repeat_key(found)}"
