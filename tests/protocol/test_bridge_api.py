"""The Bridge API beyond the recordings: parameters, statuses, odd bodies, and what may be raised."""

import json
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.errors import BridgeError, BridgeErrorKind, UnreadableBody
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import DeviceState, Report, Source
from nuki2mqtt.protocol.bridge_api import (
    ActionAnswer,
    AuthAnswer,
    AuthRequest,
    BridgeRequest,
    CallbackAddRequest,
    CallbackListAnswer,
    CallbackListRequest,
    CallbackRemoveRequest,
    ClearLogRequest,
    ConfigAuthRequest,
    EmptyAnswer,
    FactoryResetRequest,
    FirmwareUpdateRequest,
    InfoAnswer,
    InfoRequest,
    ListRequest,
    LockActionRequest,
    LockStateAnswer,
    LockStateRequest,
    LogAnswer,
    LogEntry,
    LogRequest,
    RebootRequest,
    ScanHit,
    SimpleLockRequest,
    SimpleUnlockRequest,
    SuccessAnswer,
    UnpairRequest,
    hide_secrets,
    parse_callback,
    read_response,
)

DEVICE = NukiId(0xFEDCBA98)
URL = Secret("http://192.0.2.7:8099/callback/main/s3cr3t")

# request, path, parameters without those of the token, needs a token, seconds
CALLS: list[tuple[BridgeRequest, str, dict[str, str], bool, float]] = [
    (AuthRequest(), "/auth", {}, False, 40),
    (ConfigAuthRequest(enable=True), "/configAuth", {"enable": "1"}, True, 15),
    (ConfigAuthRequest(enable=False), "/configAuth", {"enable": "0"}, True, 15),
    (ListRequest(), "/list", {}, True, 15),
    (InfoRequest(), "/info", {}, True, 15),
    (LockStateRequest(DEVICE, 4), "/lockState", {"nukiId": "4275878552", "deviceType": "4"}, True, 30),
    (
        LockActionRequest(DEVICE, 0, 3, nowait=True),
        "/lockAction",
        {"nukiId": "4275878552", "deviceType": "0", "action": "3", "nowait": "1"},
        True,
        60,
    ),
    (
        LockActionRequest(DEVICE, 2, 1, nowait=False),
        "/lockAction",
        {"nukiId": "4275878552", "deviceType": "2", "action": "1", "nowait": "0"},
        True,
        60,
    ),
    (SimpleLockRequest(DEVICE, 0), "/lock", {"nukiId": "4275878552", "deviceType": "0"}, True, 60),
    (SimpleUnlockRequest(DEVICE, 0), "/unlock", {"nukiId": "4275878552", "deviceType": "0"}, True, 60),
    (UnpairRequest(DEVICE, 3), "/unpair", {"nukiId": "4275878552", "deviceType": "3"}, True, 30),
    (CallbackAddRequest(URL), "/callback/add", {"url": URL.reveal()}, True, 15),
    (CallbackListRequest(), "/callback/list", {}, True, 15),
    (CallbackRemoveRequest(2), "/callback/remove", {"id": "2"}, True, 15),
    (LogRequest(), "/log", {"offset": "0", "count": "100"}, True, 15),
    (LogRequest(offset=100, count=20), "/log", {"offset": "100", "count": "20"}, True, 15),
    (ClearLogRequest(), "/clearlog", {}, True, 15),
    (FirmwareUpdateRequest(), "/fwupdate", {"scope": "0"}, True, 15),
    (
        FirmwareUpdateRequest(2, DEVICE, 0),
        "/fwupdate",
        {"scope": "2", "nukiId": "4275878552", "deviceType": "0"},
        True,
        15,
    ),
    (RebootRequest(), "/reboot", {}, True, 15),
    (FactoryResetRequest(), "/factoryReset", {}, True, 15),
]
REQUESTS = [call[0] for call in CALLS]


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def refused(request: BridgeRequest, status: int, content: bytes) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        read_response(request, status, content)
    return caught.value


# --- Requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("request_", "path", "params", "needs_token", "timeout_s"), CALLS)
def test_call(
    request_: BridgeRequest,
    path: str,
    params: dict[str, str],
    needs_token: bool,  # noqa: FBT001 - a column of the table
    timeout_s: float,
) -> None:
    assert request_.path == path
    assert request_.params() == params
    assert request_.needs_token is needs_token
    assert request_.timeout_s == timeout_s


def test_requests_are_values() -> None:
    assert LockStateRequest(DEVICE, 4) == LockStateRequest(NukiId(0xFEDCBA98), 4)
    assert len({*REQUESTS, *REQUESTS}) == len(REQUESTS)


def test_the_callback_address_is_not_shown() -> None:
    assert "s3cr3t" not in repr(CallbackAddRequest(URL))


@pytest.mark.parametrize(("nuki_id", "device_type"), [(DEVICE, None), (None, 0)])
def test_firmware_update_of_half_a_device_is_refused(nuki_id: NukiId | None, device_type: int | None) -> None:
    with pytest.raises(ValueError, match="give both or none"):
        FirmwareUpdateRequest(2, nuki_id, device_type)


# --- HTTP statuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "may_have_acted"),
    [
        (400, BridgeErrorKind.BAD_REQUEST, False),
        (401, BridgeErrorKind.TOKEN_REFUSED, False),
        (403, BridgeErrorKind.FORBIDDEN, False),
        (404, BridgeErrorKind.NOT_PAIRED, False),
        (410, BridgeErrorKind.DEVICE_OFFLINE, True),
        (503, BridgeErrorKind.BUSY, True),
        (201, BridgeErrorKind.UNEXPECTED_STATUS, True),
        (302, BridgeErrorKind.UNEXPECTED_STATUS, True),
        (418, BridgeErrorKind.UNEXPECTED_STATUS, True),
        (500, BridgeErrorKind.UNEXPECTED_STATUS, True),
    ],
)
def test_status(
    status: int,
    kind: BridgeErrorKind,
    may_have_acted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    error = refused(LockActionRequest(DEVICE, 0, 3, nowait=True), status, b"")

    assert error == BridgeError(kind, f"HTTP {status}")
    assert error.may_have_acted is may_have_acted


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"HTTP 503 Unavailable", "HTTP 503 Unavailable"),
        (b"  busy\r\nlater\x00\x1b[31m \xff", "HTTP 503: busy later [31m \N{REPLACEMENT CHARACTER}"),
        (b"x" * 500, "HTTP 503: " + "x" * 80),
        (b"no /list?token=123456&nowait=1", "HTTP 503: no /list?token=***&nowait=1"),
        (b"/list?ctoken=ab12&nonce=cd34", "HTTP 503: /list?ctoken=***&nonce=***"),
        (b"/add?url=http%3A%2F%2Fs3cr3t HTTP/1.1", "HTTP 503: /add?url=*** HTTP/1.1"),
        (b'{"Token": "123456"}', 'HTTP 503: {"Token": "***"}'),
        (b"token: 123456", "HTTP 503: token: ***"),
        (b"{'token': '123456'}", "HTTP 503: {'token': '***'}"),
        (b"/list%3Ftoken%3D123456", "HTTP 503: /list%3Ftoken%3D***"),
        (b"http%3A%2F%2Fa%2Fcallback%2F1%2F5ec4e7", "HTTP 503: http%3A%2F%2Fa/callback/***"),
        (b"at http://me:pass@192.0.2.5/x", "HTTP 503: at http://***@192.0.2.5/x"),
    ],
)
def test_detail_of_an_error_is_safe_to_log(content: bytes, detail: str) -> None:
    assert refused(ListRequest(), 503, content).detail == detail


@pytest.mark.parametrize("request_", REQUESTS)
def test_software_bridge_refuses_the_token_with_status_200(request_: BridgeRequest) -> None:
    error = refused(request_, 200, b'{"error":"invalid api token"}')

    assert error == BridgeError(BridgeErrorKind.TOKEN_REFUSED, "invalid api token")


def test_another_error_object_is_no_answer() -> None:
    assert refused(InfoRequest(), 200, b'{"error": "out\\nof memory"}') == BridgeError(
        BridgeErrorKind.UNREADABLE, "out of memory"
    )


# --- Answers that the recordings do not show ----------------------------------------------------------------


def test_token() -> None:
    answer = AuthRequest().read(b'{"token": "s3cr3t", "success": true}')

    assert answer == AuthAnswer(Secret("s3cr3t"))
    assert "s3cr3t" not in repr(answer)


def test_nobody_pressed_the_button() -> None:
    assert AuthRequest().read(b'{"success": false}') == AuthAnswer(None)


@pytest.mark.parametrize("token", ["", 123456, None, "\ud800", "a\nb"])
def test_token_that_cannot_be_used(token: object) -> None:
    error = refused(AuthRequest(), 200, body({"success": True, "token": token}))

    assert error == BridgeError(BridgeErrorKind.UNREADABLE, "success is true, but there is no usable token")


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "an empty body, not JSON"),
        (b" \r\n", "an empty body, not JSON"),
        (b"HTTP 200 OK", "not JSON: Expecting value (line 1, column 1)"),
        (b"null", "null, not an "),
        (b"17", "a number, not an "),
        (b'"text"', "a text, not an "),
        (b"true", "true or false, not an "),
        (b"[" * 100_000, "not an answer: JSON nested too deeply"),
        (b'{"a":' * 100_000, "not an answer: JSON nested too deeply"),
    ],
)
def test_body_that_is_no_answer(request_: BridgeRequest, content: bytes, detail: str) -> None:
    if isinstance(request_, ClearLogRequest | FirmwareUpdateRequest | RebootRequest | FactoryResetRequest):
        assert read_response(request_, 200, content) == EmptyAnswer()
        return
    error = refused(request_, 200, content)

    assert error.kind is BridgeErrorKind.UNREADABLE
    assert error.detail.startswith(detail)


@pytest.mark.parametrize(
    ("request_", "detail"),
    [
        (ListRequest(), "an object, not an array"),
        (LogRequest(), "an object, not an array"),
        (CallbackListRequest(), "callbacks is missing"),
        (LockStateRequest(DEVICE, 0), "neither success nor a state number"),
        (LockActionRequest(DEVICE, 0, 1, nowait=True), "success is missing"),
        (SimpleLockRequest(DEVICE, 0), "success is missing"),
        (SimpleUnlockRequest(DEVICE, 0), "success is missing"),
        (UnpairRequest(DEVICE, 0), "success is missing"),
        (ConfigAuthRequest(enable=True), "success is missing"),
        (CallbackAddRequest(URL), "success is missing"),
        (CallbackRemoveRequest(0), "success is missing"),
        (AuthRequest(), "success is missing"),
    ],
)
def test_empty_object_is_no_answer(request_: BridgeRequest, detail: str) -> None:
    assert refused(request_, 200, b"{}") == BridgeError(BridgeErrorKind.UNREADABLE, detail)


def test_success_that_is_neither_yes_nor_no() -> None:
    error = refused(LockActionRequest(DEVICE, 0, 1, nowait=True), 200, b'{"success": 1}')

    assert error.detail == "success is a number, not true or false"


def test_callbacks_that_are_no_array() -> None:
    assert refused(CallbackListRequest(), 200, b'{"callbacks": "none"}').detail == ("callbacks is a text, not an array")


def test_info_of_which_nothing_can_be_read_is_still_a_sign_of_life() -> None:
    odd = {"ids": 5, "versions": [], "bridgeType": "one", "uptime": -1, "currentTime": 0, "scanResults": {}}

    answer = InfoRequest().read(body(odd))

    assert answer == InfoAnswer()
    assert answer.bridge_id is None


@pytest.mark.parametrize(
    ("bridge_type", "hardware_id", "server_id", "expected"),
    [
        (1, 7, 9, 7),
        (1, None, 9, 9),
        (None, 7, 9, 7),
        (2, 7, 9, 9),
        (2, 7, None, None),
    ],
)
def test_bridge_id(
    bridge_type: int | None, hardware_id: int | None, server_id: int | None, expected: int | None
) -> None:
    ids = {"hardwareId": hardware_id, "serverId": server_id}
    answer = InfoRequest().read(body({"bridgeType": bridge_type, "ids": ids}))

    assert answer.bridge_id == (None if expected is None else NukiId(expected))


def test_scan_results_are_read_one_by_one() -> None:
    hits = [
        None,
        {"name": "without an ID"},
        {"nukiId": 1, "deviceType": "x", "type": 3, "name": 5, "rssi": -999, "paired": "TRUE"},
        {"nukiId": 2, "rssi": "-60"},
    ]

    assert InfoRequest().read(body({"scanResults": hits})).scan == (
        ScanHit(NukiId(1), 3, "", None, paired=True),
        ScanHit(NukiId(2), None, "", -60, None),
    )


def test_scan_results_are_bounded() -> None:
    hits = [{"nukiId": number} for number in range(300)]

    assert len(InfoRequest().read(body({"scanResults": hits})).scan) == 256


def test_callback_slots_without_id_or_address_are_left_out() -> None:
    slots = [{"id": 2, "url": "http://192.0.2.7/a"}, {"id": 0}, {"url": "http://192.0.2.7/b"}, 5]

    assert CallbackListRequest().read(body({"callbacks": slots})) == CallbackListAnswer(
        (CallbackSlot(2, "http://192.0.2.7/a"),)
    )


def test_log_entries_are_read_one_by_one() -> None:
    entries = [
        "no entry",
        {"timestamp": "yesterday", "nukiId": "xyz", "type": "A\nB"},
        {"deviceType": "...", "nested": {"a": [True, None]}, "long": "y" * 200},
    ]

    assert LogRequest().read(body(entries)) == LogAnswer(
        (
            LogEntry(None, "A B"),
            LogEntry(
                None,
                "",
                None,
                (("deviceType", "..."), ("nested", '{"a": [true, null]}'), ("long", "y" * 80)),
            ),
        )
    )


def test_log_detail_of_any_depth_is_read_or_refused() -> None:
    for depth in range(600, 1020):
        content = b'[{"x":' + b"[" * depth + b"]" * depth + b"}]"
        try:
            answer = LogRequest().read(content)
        except BridgeError as error:
            detail = error.detail
        else:
            detail = answer.entries[0].details[0][1]
        assert detail in {"[" * 80, "...", "not an answer: JSON nested too deeply"}


def test_lock_that_was_not_reached_has_no_state() -> None:
    answer = LockStateRequest(DEVICE, 0).read(b'{"success": false, "state": 1, "batteryCritical": false}')

    assert answer == LockStateAnswer(success=False, state=None)


def test_success_without_a_state_has_no_state() -> None:
    answer = LockStateRequest(DEVICE, 0).read(b'{"success": true, "state": "open"}')

    assert answer == LockStateAnswer(success=True, state=None)


def test_a_state_without_success_counts() -> None:
    answer = LockStateRequest(DEVICE, 0).read(b'{"state": 1}')

    assert answer == LockStateAnswer(success=True, state=DeviceState(state_code=1))


def test_a_clear_no() -> None:
    answer = LockActionRequest(DEVICE, 0, 1, nowait=True).read(b'{"success": "False"}')

    assert answer == ActionAnswer(success=False, battery_critical=None)


def test_message_is_one_bounded_line() -> None:
    answer = CallbackAddRequest(URL).read(body({"success": False, "message": "a\r\nb " + "c" * 100}))

    assert answer == SuccessAnswer(success=False, message="a b " + "c" * 76)


def test_message_is_without_what_looks_like_a_secret() -> None:
    message = "no: http://192.0.2.5/callback/1/5ec4e7, token=s3cr3t"
    answer = CallbackAddRequest(URL).read(body({"success": False, "message": message}))

    assert answer == SuccessAnswer(success=False, message="no: http://192.0.2.5/callback/*** token=***")


def test_no_text_of_a_bridge_shows_itself() -> None:
    answers = (
        BridgeError(BridgeErrorKind.BUSY, "abcdef"),
        SuccessAnswer(success=False, message="abcdef"),
        LogAnswer((LogEntry(None, "abcdef", None, (("a", "abcdef"),)),)),
    )

    assert "abcdef" not in repr(answers)


def test_known_secrets_are_hidden_in_whatever_a_bridge_says() -> None:
    secrets = [Secret("abcdef"), Secret("5ec4e7")]
    message = SuccessAnswer(success=False, message="ABCDEF 5ec4e7")

    assert hide_secrets(BridgeError(BridgeErrorKind.BUSY, "abcdef!"), secrets) == BridgeError(
        BridgeErrorKind.BUSY, "***!"
    )
    assert hide_secrets(SuccessAnswer(success=True), secrets) == SuccessAnswer(success=True)
    assert hide_secrets(message, secrets) == SuccessAnswer(success=False, message="*** ***")


# --- Whatever comes -----------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        *("nukiId", "deviceType", "type", "name", "firmwareVersion", "lastKnownState", "state", "mode"),
        *("batteryCritical", "batteryChargeState", "doorsensorState", "timestamp", "ringactionTimestamp"),
        *("ringactionState", "success", "message", "token", "error", "callbacks", "id", "url", "ids"),
        *("hardwareId", "serverId", "versions", "uptime", "currentTime", "scanResults", "rssi", "paired"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.datetimes().map(datetime.isoformat)
    | st.sampled_from(["\ud800", "true", "3d29441e", 2**32 - 1, "2020-10-26T22:50:56Z"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=8),
    max_leaves=30,
)
BODIES = st.binary(max_size=200) | JSON.map(body) | st.dictionaries(KEYS, JSON, max_size=12).map(body)


@settings(deadline=None, max_examples=300)
@given(request_=st.sampled_from(REQUESTS), content=BODIES)
def test_a_body_is_read_or_refused_as_unreadable(request_: BridgeRequest, content: bytes) -> None:
    try:
        answer = request_.read(content)
    except BridgeError as error:
        right = error.kind is BridgeErrorKind.UNREADABLE and error.detail.isprintable()
    else:
        right = bool(repr(answer).encode())
    assert right


@settings(deadline=None)
@given(request_=st.sampled_from(REQUESTS), status=st.integers(100, 599) | st.just(200), content=BODIES)
def test_a_response_is_an_answer_or_a_bridge_error(request_: BridgeRequest, status: int, content: bytes) -> None:
    try:
        read_response(request_, status, content)
    except BridgeError as error:
        detail = error.detail
    else:
        detail = ""
    assert len(detail) <= 100
    assert len(detail.splitlines()) <= 1
    assert detail.encode().decode() == detail


@settings(deadline=None)
@given(content=BODIES)
def test_a_callback_is_read_or_refused(content: bytes) -> None:
    try:
        report = parse_callback(content)
    except UnreadableBody as error:
        right = str(error).isprintable()
    else:
        right = report.state is not None and report.at is None
    assert right


@settings(deadline=None)
@given(junk=st.lists(JSON, max_size=4), position=st.integers(0, 4))
def test_a_good_entry_survives_beside_broken_ones(junk: list[object], position: int) -> None:
    entry = {"nukiId": 0xFEDCBA98, "deviceType": 4, "name": "Yard", "lastKnownState": {"state": 3}}
    good = Report(
        nuki_id=DEVICE,
        source=Source.LIST,
        device_type=4,
        name="Yard",
        state=DeviceState(state_code=3),
    )

    answer = ListRequest().read(body([*junk[:position], entry, *junk[position:]]))

    assert good in answer.reports
    assert len(answer.reports) + len(answer.broken) == len(junk) + 1


@settings(deadline=None)
@given(text=st.text(max_size=80))
def test_a_name_fits_and_can_be_published(text: str) -> None:
    (report,) = ListRequest().read(body([{"nukiId": 1, "name": text}])).reports

    if report.name is not None:
        assert 1 <= len(report.name.encode()) <= 32
        assert report.name == report.name.strip()
        assert len(report.name.splitlines()) == 1


def test_an_error_that_repeats_our_callback_in_words_does_not_tell_its_path() -> None:
    body = b"cannot add http://192.0.2.5:8321/callback/1234abcd/5ecret now"
    with pytest.raises(BridgeError) as caught:
        read_response(ListRequest(), 400, body)
    assert "5ecret" not in str(caught.value)
    assert "1234abcd" not in str(caught.value)
