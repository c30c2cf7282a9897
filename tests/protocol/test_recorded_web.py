"""Recorded answers of the cloud and posted webhooks, read field by field; the recordings lie beside the checkout."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuki2mqtt.errors import UnreadableBody, WebError, WebErrorKind
from nuki2mqtt.model.activity import Activity, OpenerActivity
from nuki2mqtt.model.cloud_device import CloudDevice, CloudFacts
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad import Authorization, KeypadCode
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Battery, DeviceState, Report, Source
from nuki2mqtt.protocol.web_api import (
    ActivityAnswer,
    ActivityRequest,
    CodeCreateRequest,
    DeviceAnswer,
    DeviceListAnswer,
    DeviceListRequest,
    DeviceRequest,
    WebAnswer,
    WebRequest,
    read_response,
)
from nuki2mqtt.protocol.webhooks import (
    ActivityHook,
    AuthorizationHook,
    DeviceHook,
    FailureDetail,
    Hook,
    OrderHook,
    WebhookFeature,
    parse_webhook,
)

RECORDED = Path(__file__).parents[2].parent / "shared" / "recorded"
WEB, WEBHOOK = RECORDED / "web", RECORDED / "webhook"
pytestmark = pytest.mark.skipif(not WEB.is_dir(), reason="the recordings are not beside this checkout")

LIST = DeviceListRequest()
ONE = DeviceRequest(18144654068)
LOG = ActivityRequest()
CREATE = CodeCreateRequest(18144654068, KeypadCode(name="x", code=Secret("234567")))
FINE = Battery(level=None, critical=False, charging=False)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


LOCK_3_PRO = CloudDevice(
    18144654068,
    Report(
        nuki_id=NukiId(0x398172F4),
        source=Source.WEB,
        device_type=4,
        name="Maison",
        firmware="3.10.7",
        # No door sensor, no Keypad: what is said of their batteries is not believed.
        state=DeviceState(state_code=1, mode_code=2, battery=Battery(level=38, critical=False, charging=False)),
    ),
    CloudFacts(
        server_state_code=0,
        admin_pin_state_code=0,
        keypad_paired=False,
        keypad2_paired=False,
        time_zone_id=37,
        updated=utc("2025-03-29T05:02:44.480"),
        last_action_code=2,
        trigger_code=3,
        night_mode=False,
        is_virtual=False,
    ),
)
OPENER = CloudDevice(
    9128051315,
    Report(
        nuki_id=NukiId(9128051315 - 2 * 2**32),
        source=Source.WEB,
        device_type=2,
        name="Stiegenhaus",
        firmware="1.8.1",
        state=DeviceState(state_code=1, mode_code=2, battery=FINE),  # a charge of 0 is none
    ),
    CloudFacts(
        server_state_code=0,
        admin_pin_state_code=0,
        keypad_paired=False,
        time_zone_id=37,
        updated=utc("2022-06-10T17:30:55.120"),
        last_action_code=1,
        trigger_code=0,
        night_mode=False,
        is_virtual=False,
    ),
)
OPENER_SPARSE = CloudDevice(
    9634641666,
    Report(
        nuki_id=NukiId(0x3E44F702),
        source=Source.WEB,
        device_type=2,
        name="Opener Name",
        state=DeviceState(state_code=3, mode_code=2, battery=Battery(critical=False)),
    ),
    CloudFacts(),
)
RING_2019 = Activity(
    id="5dff830400000000000000a1",
    nuki_id=NukiId(9128051315 - 2 * 2**32),
    device_type=2,
    at=utc("2019-12-20T14:52:20"),
    action_code=224,
    trigger_code=0,
    completion_code=0,
    auto_unlock=False,
    opener=OpenerActivity(
        source_code=0,
        active_rto=False,
        active_cm=False,
        is_geofence=False,
        is_forced=False,
        is_doorbell_suppressed=False,
    ),
)
OPENER_2026 = NukiId(9131028519 - 2 * 2**32)

READ: dict[str, tuple[WebRequest, WebAnswer]] = {
    "01-smartlock-type4-lock3pro.json": (ONE, DeviceAnswer(LOCK_3_PRO)),
    "02-smartlock-list-one-type4.json": (LIST, DeviceListAnswer((LOCK_3_PRO,))),
    "04-smartlock-type2-opener-2022.json": (LIST, DeviceListAnswer((OPENER,))),
    "07-opener-state-google-script-sample.json": (ONE, DeviceAnswer(OPENER_SPARSE)),
    "08-log-opener-ring-action224.json": (LOG, ActivityAnswer((RING_2019,), last_id="5dff830400000000000000a1")),
    "10-log-opener-fields-2026.json": (
        LOG,
        ActivityAnswer(
            (
                Activity(
                    nuki_id=OPENER_2026,
                    device_type=2,
                    at=utc("2026-01-09T20:35:10"),
                    action_code=3,
                    trigger_code=2,
                    completion_code=0,
                    source_code=0,
                    opener=OpenerActivity(active_rto=False),
                ),
                Activity(
                    nuki_id=OPENER_2026,
                    device_type=2,
                    at=utc("2026-01-09T19:11:46"),
                    action_code=224,
                    trigger_code=0,
                    completion_code=0,
                    source_code=0,
                    name="Person A",
                    opener=OpenerActivity(active_rto=True),
                ),
                Activity(
                    nuki_id=OPENER_2026,
                    device_type=2,
                    at=utc("2026-01-05T14:40:02"),
                    trigger_code=0,
                    source_code=0,
                    name="Person B",
                ),
            )
        ),
    ),
}
REFUSED: dict[str, tuple[int, WebError]] = {
    "11-error-400-code-not-valid.json": (
        400,
        WebError(WebErrorKind.BAD_REQUEST, "HTTP 400: parameter code is not valid", parameter="code"),
    ),
    "12-error-400-type-not-valid.json": (
        400,
        WebError(WebErrorKind.BAD_REQUEST, "HTTP 400: parameter type (13) is not valid", parameter="type", value="13"),
    ),
    "15-error-502-nginx-html.txt": (502, WebError(WebErrorKind.SERVER_ERROR, "HTTP 502: 502 Bad Gateway")),
}
FRAGMENTS = {"06-smartlock-state-with-doorsensor-battery.json"}


def webhook_device(
    smartlock_id: int,
    *,
    state: DeviceState | None = None,
    device_type: int | None = None,
    name: str | None = None,
    firmware: str | None = None,
    facts: CloudFacts,
) -> CloudDevice:
    report = Report(
        nuki_id=NukiId(smartlock_id & 0xFFFFFFFF),
        source=Source.WEB,
        device_type=smartlock_id >> 32 if device_type is None else device_type,
        name=name,
        firmware=firmware,
        state=state,
    )
    return CloudDevice(smartlock_id, report, facts)


DEVICE = 17924610048
POSTED: dict[str, Hook] = {
    "01-device-status.json": DeviceHook(
        WebhookFeature.DEVICE_STATUS,
        webhook_device(
            DEVICE,
            state=DeviceState(state_code=1, mode_code=2, battery=Battery(level=88, critical=False, charging=False)),
            facts=CloudFacts(
                server_state_code=0,
                admin_pin_state_code=0,
                last_action_code=2,
                trigger_code=6,
                night_mode=False,
            ),
        ),
    ),
    "02-device-masterdata.json": DeviceHook(
        WebhookFeature.DEVICE_MASTERDATA,
        webhook_device(
            DEVICE,
            name="Hallway",
            firmware="3.10.7",
            facts=CloudFacts(server_state_code=0, admin_pin_state_code=0, updated=utc("2025-09-11T11:20:37.772")),
        ),
    ),
    "04-device-auths-keypad-code.json": AuthorizationHook(
        Authorization(
            id="65219648fe00000000000d01",
            smartlock_id=DEVICE,
            lock_auth_id=1,
            type=13,
            name="example",
            code=Secret("982300"),
        )
    ),
    "05-api-triggered-unlock-success.json": OrderHook(
        "UnlockAction", "68c4242a00000000000000e1", success=True, smartlock_id=DEVICE
    ),
    "06-api-triggered-auth-failure.json": OrderHook(
        "AuthCreation",
        "68b1420000000000000000f1",
        success=False,
        failures=(FailureDetail(DEVICE, "ff", "68b1420000000000000000f2"),),
    ),
    "07-test-status-offline.json": DeviceHook(
        WebhookFeature.DEVICE_STATUS,
        webhook_device(
            111, state=DeviceState(state_code=1, battery=Battery(level=80)), facts=CloudFacts(server_state_code=4)
        ),
    ),
    "08-test-status-config-problem.json": DeviceHook(
        WebhookFeature.DEVICE_STATUS,
        webhook_device(222, state=DeviceState(state_code=3), facts=CloudFacts(server_state_code=2)),
    ),
    "09-test-masterdata-firmware.json": DeviceHook(
        WebhookFeature.DEVICE_MASTERDATA,
        webhook_device(111, name="Villa Nord", firmware="2.8.15", facts=CloudFacts()),
    ),
    "10-test-logs-keypad.json": ActivityHook(
        Activity(
            nuki_id=NukiId(111),
            device_type=0,
            action_code=1,
            trigger_code=255,
            completion_code=0,
            name="Keypad Gast",
        )
    ),
    "11-test-config.json": DeviceHook(WebhookFeature.DEVICE_CONFIG, webhook_device(111, facts=CloudFacts())),
}
NOT_POSTED = {"03-webhook-log-entry.json", "12-test-broken-json.txt"}


@pytest.mark.parametrize("name", READ)
def test_a_recorded_answer(name: str) -> None:
    request, answer = READ[name]

    assert read_response(request, 200, (WEB / name).read_bytes()) == answer


@pytest.mark.parametrize("name", REFUSED)
def test_a_recorded_refusal(name: str) -> None:
    status, error = REFUSED[name]
    with pytest.raises(WebError) as caught:
        read_response(CREATE, status, (WEB / name).read_bytes())

    assert caught.value == error
    assert "234567" not in f"{caught.value} {caught.value!r} {caught.value.__dict__}"


def test_a_recorded_state_with_a_door_sensor() -> None:
    state = json.loads((WEB / "06-smartlock-state-with-doorsensor-battery.json").read_bytes())
    body = json.dumps({"smartlockId": 1, "state": state}).encode()
    answer = read_response(ONE, 200, body)

    assert isinstance(answer, DeviceAnswer)
    assert answer.device.report.state == DeviceState(
        state_code=1, mode_code=2, door_code=2, battery=Battery(level=80, critical=False, charging=False)
    )
    assert answer.device.facts.door_sensor_battery_critical is False
    assert answer.device.facts.night_mode is True


@pytest.mark.parametrize("name", POSTED)
def test_a_posted_body(name: str) -> None:
    assert parse_webhook((WEBHOOK / name).read_bytes()) == (POSTED[name],)


def test_the_body_in_a_delivery_log_is_a_body() -> None:
    (entry,) = json.loads((WEBHOOK / "03-webhook-log-entry.json").read_bytes())

    assert parse_webhook(json.dumps(entry["response"]["body"]).encode()) == (POSTED["02-device-masterdata.json"],)


def test_a_posted_body_that_is_no_json() -> None:
    with pytest.raises(UnreadableBody, match="not JSON"):
        parse_webhook((WEBHOOK / "12-test-broken-json.txt").read_bytes())


def test_every_recording_is_in_a_table() -> None:
    assert {path.name for path in WEB.iterdir()} == READ.keys() | REFUSED.keys() | FRAGMENTS
    assert {path.name for path in WEBHOOK.iterdir()} == POSTED.keys() | NOT_POSTED
