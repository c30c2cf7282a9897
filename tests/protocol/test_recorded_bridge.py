"""Every recorded Bridge answer, read field by field; the recordings lie beside the checkout."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Battery, DeviceState, Report, Ring, Source
from nuki2mqtt.protocol.bridge_api import (
    ActionAnswer,
    Answer,
    AuthRequest,
    BridgeRequest,
    CallbackAddRequest,
    CallbackListAnswer,
    CallbackListRequest,
    ConfigAuthRequest,
    InfoAnswer,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockActionRequest,
    LockStateAnswer,
    LockStateRequest,
    LogAnswer,
    LogEntry,
    LogRequest,
    ScanHit,
    SuccessAnswer,
    read_response,
)

FOLDER = Path(__file__).parents[2].parent / "shared" / "recorded" / "bridge"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recordings are not beside this checkout")

DEVICE = NukiId(0x1A2B3C4D)
LIST = ListRequest()
INFO = InfoRequest()
LOCK_STATE = LockStateRequest(DEVICE, 0)
LOCK_ACTION = LockActionRequest(DEVICE, 0, 2, nowait=True)
CALLBACK_ADD = CallbackAddRequest(Secret("http://192.0.2.7:8099/x"))
CALLBACK_LIST = CallbackListRequest()
LOG = LogRequest()


def utc(year: int, month: int, day: int, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def entry(
    nuki_id: int,
    name: str,
    *,
    device_type: int | None = None,
    firmware: str | None = None,
    state: DeviceState | None = None,
    at: datetime | None = None,
) -> Report:
    """One report of `/list`."""
    return Report(
        nuki_id=NukiId(nuki_id),
        source=Source.LIST,
        device_type=device_type,
        name=name,
        firmware=firmware,
        state=state,
        at=at,
    )


FULL = Battery(level=100, critical=False, charging=False)
NOT_CRITICAL = Battery(critical=False)

READ: dict[str, tuple[BridgeRequest, Answer]] = {
    "01-list-lock-doorsensor-and-opener.json": (
        LIST,
        ListAnswer(
            (
                entry(
                    527875674,
                    "Eine Tür",
                    device_type=0,
                    firmware="2.8.15",
                    state=DeviceState(state_code=3, mode_code=2, door_code=2, battery=FULL),
                    at=utc(2020, 1, 30, 20, 0),
                ),
                entry(
                    519611324,
                    "Andere Tür",
                    device_type=2,
                    firmware="1.5.3",
                    state=DeviceState(
                        state_code=1,
                        mode_code=2,
                        battery=NOT_CRITICAL,
                        ring=Ring(at=utc(2020, 1, 30, 20, 0), active=False),
                    ),
                    at=utc(2020, 1, 30, 20, 0),
                ),
            )
        ),
    ),
    "02-info-hw-v2-fw270.json": (
        INFO,
        InfoAnswer(
            bridge_type=1,
            hardware_id=NukiId(548263954),
            server_id=NukiId(448942400),
            firmware="2.7.0",
            wifi_firmware="2.1.17",
            app_version=None,
            uptime_s=1278,
            current_time=utc(2020, 10, 26, 22, 50, 56),
            wlan_connected=True,
            server_connected=True,
            scan=(
                ScanHit(NukiId(509600314), 2, "Nuki_Opener_1E5FE23A", -57, paired=True),
                ScanHit(NukiId(597878773), 0, "Nuki_23A2E7F5", -61, paired=True),
            ),
        ),
    ),
    "05-list-ha-fixture.json": (
        LIST,
        ListAnswer(
            (
                entry(
                    1,
                    "Home",
                    device_type=0,
                    state=DeviceState(
                        state_code=1,  # named "unlocked" there: the number counts
                        mode_code=2,
                        door_code=2,
                        battery=Battery(level=85, critical=False, charging=False),
                    ),
                    at=utc(2018, 10, 3, 6, 49),
                ),
                entry(
                    2,
                    "Community door",
                    device_type=2,
                    state=DeviceState(state_code=3, mode_code=3, battery=NOT_CRITICAL),
                    at=utc(2018, 10, 3, 6, 49),
                ),
            )
        ),
    ),
    "06-info-ha-fixture.json": (
        INFO,
        InfoAnswer(
            bridge_type=1,
            hardware_id=NukiId(12345678),
            server_id=NukiId(12345678),
            firmware="0.1.0",
            wifi_firmware="0.2.0",
            uptime_s=120,
            current_time=utc(2018, 4, 1, 12, 10, 11),
            wlan_connected=None,
            server_connected=True,
            scan=(
                ScanHit(NukiId(10), 0, "Nuki_00000010", -87, paired=True),
                ScanHit(NukiId(2), 11, "Nuki_00000011", -93, paired=False),
            ),
        ),
    ),
    "07-callback-list-ha-fixture.json": (
        CALLBACK_LIST,
        CallbackListAnswer(
            (
                CallbackSlot(0, "http://192.168.0.20:8000/nuki"),
                CallbackSlot(1, "http://192.168.0.21/test"),
            )
        ),
    ),
    "08-info-android-software-bridge-146.json": (
        INFO,
        InfoAnswer(
            bridge_type=2,
            hardware_id=None,
            server_id=NukiId(1640968852),
            app_version="1.4.6",
            uptime_s=86725,
            current_time=utc(2021, 1, 6, 14, 21),
            server_connected=True,
            scan=(ScanHit(NukiId(592627998), None, "Nuki_2352C91E", -62, paired=True),),
        ),
    ),
    "09-lockstate-software-bridge-no-mode.json": (
        LOCK_STATE,
        LockStateAnswer(success=True, state=DeviceState(state_code=3, mode_code=None, battery=NOT_CRITICAL)),
    ),
    "10-info-software-bridge-0214-2017.json": (
        INFO,
        InfoAnswer(
            bridge_type=2,
            server_id=NukiId(142667440),
            app_version="0.2.14",
            uptime_s=1527,
            current_time=utc(2017, 1, 17, 4, 55, 58),
            server_connected=True,
            scan=(
                ScanHit(NukiId(1), None, "Home", -87, paired=True),
                ScanHit(NukiId(2), None, "Grandma", -93, paired=False),
            ),
        ),
    ),
    "11-list-api13-2016-no-devicetype.json": (
        LIST,
        ListAnswer(
            (
                entry(
                    1,
                    "Home",
                    state=DeviceState(state_code=1, battery=NOT_CRITICAL),
                    at=utc(2016, 10, 3, 6, 49),
                ),
                entry(
                    2,
                    "Grandma",
                    state=DeviceState(state_code=3, battery=NOT_CRITICAL),
                    at=utc(2016, 10, 3, 6, 49),
                ),
            )
        ),
    ),
    "12-list-api10-id-and-name-only.json": (LIST, ListAnswer((entry(1, "Home"), entry(2, "Grandma")))),
    "13-lockstate-success-is-a-string.json": (
        LOCK_STATE,
        LockStateAnswer(success=True, state=DeviceState(state_code=1, battery=NOT_CRITICAL)),
    ),
    "14-lockaction-success.json": (LOCK_ACTION, ActionAnswer(success=True, battery_critical=False)),
    "16-third-party-python-bridge-lockstate.json": (
        LOCK_STATE,
        LockStateAnswer(success=True, state=DeviceState(state_code=0, battery=NOT_CRITICAL)),
    ),
    "17-third-party-python-bridge-list.json": (
        LIST,
        ListAnswer((entry(1, "Test_1"), entry(2, "Test_2"))),
    ),
    "20-doc1133-configauth.json": (ConfigAuthRequest(enable=True), SuccessAnswer(success=True)),
    "28-info-hw-v1-no-wlanconnected.json": (
        INFO,
        InfoAnswer(
            bridge_type=1,
            hardware_id=NukiId(318440127),
            server_id=NukiId(845220913),
            firmware="1.17.1",
            wifi_firmware="1.2.0",
            uptime_s=2251,
            current_time=utc(2020, 11, 20, 9, 12, 44),
            wlan_connected=None,
            server_connected=True,
            scan=(
                ScanHit(NukiId(538116723), 2, "Nuki_Opener_20130273", -71, paired=True),
                ScanHit(NukiId(612903477), 0, "Nuki_24882A35", -64, paired=True),
            ),
        ),
    ),
    "29-list-v1-keypad-and-doorsensor.json": (
        LIST,
        ListAnswer(
            (
                entry(
                    612903477,
                    "Tür vorne",
                    device_type=0,
                    firmware="2.9.6",
                    state=DeviceState(
                        state_code=3,
                        mode_code=2,
                        door_code=2,
                        battery=Battery(level=92, critical=False, charging=False),
                        keypad_battery_critical=False,
                    ),
                    at=utc(2020, 11, 20, 9, 2, 19),
                ),
            )
        ),
    ),
    "31-list-lock4-no-doorsensor-opener.json": (
        LIST,
        ListAnswer(
            (
                entry(
                    1026114590,
                    "Oak Street",
                    device_type=4,
                    firmware="4.2.6",
                    state=DeviceState(
                        state_code=3,
                        mode_code=2,
                        battery=Battery(level=94, critical=False, charging=False),
                    ),
                    at=utc(2024, 4, 11, 5, 41, 30),
                ),
                entry(
                    538116723,
                    "Intercom",
                    device_type=2,
                    firmware="1.10.1",
                    state=DeviceState(
                        state_code=1,
                        mode_code=2,
                        battery=NOT_CRITICAL,
                        ring=Ring(at=utc(2024, 4, 10, 22, 15, 3), active=False),
                    ),
                    at=utc(2024, 4, 11, 5, 40, 12),
                ),
            )
        ),
    ),
    "32-list-lock4-stale-while-door-opens.json": (
        LIST,
        ListAnswer(
            (
                entry(
                    1026114590,
                    "Main Entry",
                    device_type=4,
                    firmware="4.5.6",
                    state=DeviceState(state_code=3, mode_code=2, door_code=2, battery=FULL),
                    at=utc(2025, 4, 2, 16, 58, 10),
                ),
            )
        ),
    ),
    "36-lockstate-lock2-raw.json": (
        LOCK_STATE,
        LockStateAnswer(
            success=True,
            state=DeviceState(
                state_code=1,
                mode_code=2,
                door_code=2,
                battery=Battery(level=46, critical=False, charging=False),
            ),
        ),
    ),
    "38-list-hw-no-lastknownstate-no-firmware.json": (
        LIST,
        ListAnswer(
            (
                entry(340112876, "Yard", device_type=0),
                entry(340199021, "Garden", device_type=0),
            )
        ),
    ),
    "39-list-2016-id-and-name-only-real.json": (LIST, ListAnswer((entry(1873920561, "Rear door"),))),
    "40-list-software-bridge-id-and-name-only.json": (LIST, ListAnswer((entry(427816697, "Daheim"),))),
    "42-list-control-char-in-name.txt": (
        LIST,
        ListAnswer(
            (
                entry(
                    705820144,
                    "Kellerabgang Nordwest hinten 12b",
                    device_type=4,
                    firmware="3.5.6",
                    state=DeviceState(
                        state_code=1,
                        mode_code=2,
                        battery=Battery(level=72, critical=False, charging=False),
                    ),
                    at=utc(2023, 2, 14, 16, 50, 2),
                ),
            )
        ),
    ),
    "44-callback-list-three-slots-full.json": (
        CALLBACK_LIST,
        CallbackListAnswer(
            (
                CallbackSlot(0, "http://192.168.0.77:51828/?hook=placeholder"),
                CallbackSlot(1, "http://192.168.0.40:8080/nuki"),
                CallbackSlot(2, "http://192.168.0.41:8123/api/webhook/placeholder"),
            )
        ),
    ),
    "45-callback-add-too-many.json": (
        CALLBACK_ADD,
        SuccessAnswer(success=False, message="too many callbacks registered"),
    ),
    "50-log-hw-v1-2018.json": (
        LOG,
        LogAnswer(
            (
                LogEntry(utc(2018, 10, 12, 7, 10, 41), "HTTP-Log"),
                LogEntry(utc(2018, 10, 12, 7, 10, 41), "WLAN-SocketConnected", details=(("connection", "0"),)),
                LogEntry(utc(2018, 10, 12, 7, 10, 29), "WLAN-SocketDisconnected", details=(("connection", "0"),)),
                LogEntry(utc(2018, 10, 12, 7, 10, 28), "BLE-Disconnected", NukiId(0x24882A35)),
                LogEntry(
                    utc(2018, 10, 12, 7, 10, 28),
                    "BLE-ReceivingMsg",
                    NukiId(0x24882A35),
                    (("cmdId", "000C"),),
                ),
                LogEntry(utc(2018, 10, 12, 7, 10, 27), "BLE-SendingMsg", NukiId(0x24882A35), (("cmdId", "0001"),)),
                LogEntry(utc(2018, 10, 12, 7, 10, 27), "BLE-Connect", details=(("handles", "[24, 25]"),)),
                LogEntry(utc(2018, 10, 12, 6, 43, 55), "SSE-PushNukisResponse", details=(("error", "0"),)),
                LogEntry(utc(2018, 10, 12, 6, 43, 55), "SSE-PushNukisRequest", details=(("count", "2"),)),
            )
        ),
    ),
    "51-raspinukibridge-list-hex-id-nulls.json": (
        LIST,
        ListAnswer(
            (
                entry(
                    0x3D29441E,
                    "Front",
                    device_type=4,
                    state=DeviceState(
                        state_code=1,
                        mode_code=2,
                        door_code=2,
                        battery=Battery(level=76, critical=False, charging=False),
                        keypad_battery_critical=False,
                        ring=None,
                    ),
                    at=utc(2023, 1, 21, 10, 41, 25),
                ),
            )
        ),
    ),
    "52-raspinukibridge-info.json": (
        INFO,
        InfoAnswer(
            bridge_type=2,
            hardware_id=NukiId(142667440),
            server_id=NukiId(142667440),
            app_version="0.1.0",
            uptime_s=512,
            current_time=utc(2023, 1, 21, 11, 41, 25),
            server_connected=False,
            scan=(ScanHit(NukiId(0x3D29441E), 4, "Front", -72, paired=True),),
        ),
    ),
}

# Samples as the document prints them (typographic quotes, an ellipsis, a missing quote), and one fragment.
_NO_QUOTE = "not JSON: Expecting property name enclosed in double quotes"
FRAGMENT = "15-lockstate-lastknownstate-fragment-pimatic.txt"
REFUSED: dict[str, tuple[BridgeRequest, str]] = {
    FRAGMENT: (LIST, "not JSON: Extra data (line 1, column 17)"),
    "19-doc1133-auth.txt": (AuthRequest(), "not JSON: Expecting value (line 2, column 10)"),
    "21-doc1133-list.txt": (LIST, "not JSON: Expecting ',' delimiter (line 26, column 5)"),
    "22-doc1133-lockstate.txt": (LOCK_STATE, f"{_NO_QUOTE} (line 2, column 1)"),
    "23-doc1133-lockaction.txt": (LOCK_ACTION, f"{_NO_QUOTE} (line 2, column 1)"),
    "24-doc1133-info.txt": (INFO, "not JSON: Unterminated string starting at (line 5, column 1)"),
    "25-doc1133-callback-add.txt": (CALLBACK_ADD, f"{_NO_QUOTE} (line 2, column 1)"),
    "26-doc1133-callback-list.txt": (CALLBACK_LIST, f"{_NO_QUOTE} (line 4, column 1)"),
    "27-doc1133-log.txt": (LOG, "not JSON: Expecting value (line 2, column 58)"),
}

ERRORS: dict[str, tuple[BridgeRequest, int, BridgeError]] = {
    "46-error-503-body.txt": (
        LOCK_ACTION,
        503,
        BridgeError(BridgeErrorKind.BUSY, "HTTP 503 Unavailable"),
    ),
    "47-error-401-body.txt": (
        LIST,
        401,
        BridgeError(BridgeErrorKind.TOKEN_REFUSED, "HTTP 401 Unauthorized"),
    ),
    "48-error-400-body.txt": (
        LIST,
        400,
        BridgeError(BridgeErrorKind.BAD_REQUEST, "HTTP 400 Bad Request"),
    ),
}

BIG_LOG = "04-log-hw-v2-70-entries.json"

# Answers of api.nuki.io/discover/bridges, which no Bridge gives: to be read when the cloud list is built.
NOT_OF_A_BRIDGE = {"03-discover-one-bridge.json", "18-doc1133-discover.txt"}


@pytest.mark.parametrize("name", READ)
def test_recorded_answer(name: str) -> None:
    request, answer = READ[name]

    assert read_response(request, 200, (FOLDER / name).read_bytes()) == answer


@pytest.mark.parametrize("name", REFUSED)
def test_recorded_body_that_is_not_json(name: str) -> None:
    request, detail = REFUSED[name]

    with pytest.raises(BridgeError) as caught:
        read_response(request, 200, (FOLDER / name).read_bytes())

    assert caught.value == BridgeError(BridgeErrorKind.UNREADABLE, detail)


@pytest.mark.parametrize("name", ERRORS)
def test_recorded_error_body(name: str) -> None:
    request, status, error = ERRORS[name]

    with pytest.raises(BridgeError) as caught:
        read_response(request, status, (FOLDER / name).read_bytes())

    assert caught.value == error


def test_recorded_fragment_is_read_once_it_is_whole() -> None:
    fragment = (FOLDER / FRAGMENT).read_bytes()

    answer = read_response(LIST, 200, b'[{"nukiId": 1, ' + fragment + b"}]")

    assert answer == ListAnswer(
        (
            Report(
                nuki_id=NukiId(1),
                source=Source.LIST,
                state=DeviceState(
                    state_code=3,
                    mode_code=2,
                    door_code=2,
                    battery=Battery(level=74, critical=False, charging=False),
                ),
                at=utc(2021, 2, 10, 19, 26, 35),
            ),
        )
    )


def test_recorded_log_of_a_hundred_entries() -> None:
    body = (FOLDER / BIG_LOG).read_bytes()
    opener = NukiId(0x1E5FE23A)

    answer = read_response(LOG, 200, body)

    assert isinstance(answer, LogAnswer)
    assert answer.entries[:5] == (
        LogEntry(utc(2020, 11, 1, 22, 0, 18), "HTTP-Log"),
        LogEntry(utc(2020, 11, 1, 21, 53, 37), "SSE-PushNukisResponse"),
        LogEntry(utc(2020, 11, 1, 21, 53, 37), "SSE-PushNukisRequest", None, (("count", "2"),)),
        LogEntry(
            utc(2020, 11, 1, 21, 53, 34),
            "BLE-Disconnected",
            opener,
            (("pairIndex", "1"), ("bleHandle", "0001")),
        ),
        LogEntry(
            utc(2020, 11, 1, 21, 53, 34),
            "BLE-Disconnect",
            opener,
            (("pairIndex", "1"), ("bleHandle", "0001")),
        ),
    )
    assert answer.entries[12] == LogEntry(
        utc(2020, 11, 1, 21, 53, 33), "BLE-Connect", None, (("macAddr", "54D2725FE23A"),)
    )
    # The rest is told by two rules: every other field is a detail, and every number in it is a whole one.
    assert answer == LogAnswer(
        tuple(
            LogEntry(
                at=datetime.strptime(raw.pop("timestamp"), "%Y-%m-%dT%H:%M:%S%z"),
                type=raw.pop("type"),
                nuki_id=NukiId(int(raw.pop("nukiId"), 16)) if "nukiId" in raw else None,
                details=tuple((key, str(value)) for key, value in raw.items()),
            )
            for raw in json.loads(body)
        )
    )
    assert len(answer.entries) == 100
    assert sum(one.nuki_id == opener for one in answer.entries) == 44
    assert sum(one.nuki_id == NukiId(0x23A2E7F5) for one in answer.entries) == 26
    assert [one for one in answer.entries if one.type == "BLE-Retry"] == [
        LogEntry(utc(2020, 11, 1, 20, 44, 36), "BLE-Retry", opener, (("pairIndex", "1"), ("count", "1")))
    ]


@pytest.mark.parametrize(
    ("name", "bridge_id"),
    [
        ("02-info-hw-v2-fw270.json", "20ADD812"),
        ("08-info-android-software-bridge-146.json", "61CF3294"),
        ("52-raspinukibridge-info.json", "0880EEB0"),
    ],
)
def test_id_of_a_recorded_bridge(name: str, bridge_id: str) -> None:
    answer = INFO.read((FOLDER / name).read_bytes())

    assert str(answer.bridge_id) == bridge_id


def test_every_file_has_an_expectation() -> None:
    known = {*READ, *REFUSED, *ERRORS, BIG_LOG, *NOT_OF_A_BRIDGE}

    assert {file.name for file in FOLDER.iterdir()} == known
