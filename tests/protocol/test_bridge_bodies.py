"""The lenient readers: entries of `/list`, fields of a state, callbacks."""

import json
from datetime import UTC, datetime

import pytest

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Battery, DeviceState, Report, Ring, Source
from nuki2mqtt.protocol.bridge_api import ListAnswer, ListRequest, parse_callback


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def state_of(fields: dict[str, object]) -> DeviceState:
    """The state that a `/list` with these fields gives."""
    (report,) = ListRequest().read(body([{"nukiId": 1, "lastKnownState": {"state": 1, **fields}}])).reports
    assert report.state is not None
    return report.state


# --- /list --------------------------------------------------------------------------------------------------


def test_broken_entries_do_not_hide_the_others() -> None:
    entries = [
        {"nukiId": 1, "name": "First"},
        7,
        {"name": "no ID"},
        {"nukiId": None},
        {"nukiId": True},
        {"nukiId": 1.5},
        {"nukiId": -1},
        {"nukiId": 2**32},
        {"nukiId": "xyz"},
        {"nukiId": "123456789"},
        {"nukiId": 2, "name": "Last"},
    ]

    assert ListRequest().read(body(entries)) == ListAnswer(
        reports=(
            Report(nuki_id=NukiId(1), source=Source.LIST, name="First"),
            Report(nuki_id=NukiId(2), source=Source.LIST, name="Last"),
        ),
        broken=(
            "entry 2: a number, not an object",
            "entry 3: nukiId is missing",
            "entry 4: nukiId is null, not a whole number",
            "entry 5: nukiId is true or false, not a whole number",
            "entry 6: nukiId is a number, not a whole number",
            "entry 7: nukiId is not 0 to 4294967295",
            "entry 8: nukiId is not 0 to 4294967295",
            "entry 9: nukiId is a text but not one to eight hex digits",
            "entry 10: nukiId is a text but not one to eight hex digits",
        ),
    )


def test_a_number_that_python_would_refuse_is_absent() -> None:
    content = b'[{"nukiId": 1%s}, {"nukiId": 2, "deviceType": 9%s}]' % (b"0" * 5000, b"9" * 5000)

    assert ListRequest().read(content) == ListAnswer(
        reports=(Report(nuki_id=NukiId(2), source=Source.LIST),),
        broken=("entry 1: nukiId is null, not a whole number",),
    )


def test_list_is_bounded() -> None:
    answer = ListRequest().read(body([{"nukiId": number} for number in range(300)]))

    assert len(answer.reports) == 256
    assert answer.broken == ("300 entries, only the first 256 were read",)


def test_an_empty_list_is_an_answer() -> None:
    assert ListRequest().read(b"[]") == ListAnswer(())


def test_byte_order_mark_is_tolerated() -> None:
    assert ListRequest().read(b"\xef\xbb\xbf[]") == ListAnswer(())


@pytest.mark.parametrize("known", [None, "locked", 1, [], {}, {"state": None}, {"state": "locked"}, {"state": True}])
def test_entry_without_a_readable_state(known: object) -> None:
    answer = ListRequest().read(body([{"nukiId": 1, "lastKnownState": known}]))

    assert answer == ListAnswer((Report(nuki_id=NukiId(1), source=Source.LIST),))


def test_timestamp_counts_without_a_state_too() -> None:
    known = {"timestamp": "2026-01-02T03:04:05Z"}
    (report,) = ListRequest().read(body([{"nukiId": 1, "lastKnownState": known}])).reports

    assert report.state is None
    assert report.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"Haust\xc3\xbcr", "Haustür"),
        (b"Haust\xfcr", "Haust\N{REPLACEMENT CHARACTER}r"),
        (b"  Yard ", "Yard"),
        (b"\xc2\xa0Yard\xe3\x80\x80\xff", "Yard"),
        (b"", None),
        (b" \x00\x00 ", None),
        (b"\xff\xfe", None),
        (b"Yard\x00\x11\x02", "Yard"),
        (b"12345678901234567890123456789012\x11abc", "12345678901234567890123456789012"),
        (b"1234567890123456789012345678901\xc3\xbc", "1234567890123456789012345678901"),
        (b"1234567890123456789012345678901\xc3\x11", "1234567890123456789012345678901"),
        (b"a\\u0007b\\ud800c\\u2028d", "abcd"),
    ],
)
def test_name(raw: bytes, name: str | None) -> None:
    (report,) = ListRequest().read(b'[{"nukiId": 1, "name": "' + raw + b'"}]').reports

    assert report.name == name


def test_firmware_is_one_bounded_line() -> None:
    (report,) = ListRequest().read(body([{"nukiId": 1, "firmwareVersion": "4.5.6\n" + "7" * 99}])).reports

    assert report.firmware == "4.5.6 " + "7" * 26


# --- Fields of a state --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("2", 2),
        ('"2"', 2),
        ('" 240 "', 240),
        ("2.0", 2),
        ("2.5", None),
        ("-1", None),
        ("4294967296", None),
        ("true", None),
        ("null", None),
        ("NaN", None),
        ("Infinity", None),
        ("-Infinity", None),
        ("1e999", None),
        ("1e300", None),
        ('"two"', None),
        ('"٢"', None),
        ("[2]", None),
        ("9" * 5000, None),
    ],
)
def test_number(raw: str, code: int | None) -> None:
    content = f'{{"nukiId": 1, "state": 1, "doorsensorState": {raw}}}'.encode()
    state = parse_callback(content).state

    assert state == DeviceState(state_code=1, door_code=code)


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("FALSE", False),
        (" True ", True),
        ("yes", None),
        (1, None),
        (0, None),
        (None, None),
        ([], None),
    ],
)
def test_flag(raw: object, flag: bool | None) -> None:  # noqa: FBT001 - a column of the table
    assert state_of({"batteryCritical": raw}) == DeviceState(state_code=1, battery=Battery(critical=flag))


@pytest.mark.parametrize(("raw", "level"), [(0, 0), (100, 100), ("55", 55), (101, None), (-1, None), (255, None)])
def test_battery_level(raw: object, level: int | None) -> None:
    assert state_of({"batteryChargeState": raw}).battery == Battery(level=level)


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        ("2020-10-26T22:50:56+00:00", datetime(2020, 10, 26, 22, 50, 56, tzinfo=UTC)),
        ("2020-10-26T22:50:56Z", datetime(2020, 10, 26, 22, 50, 56, tzinfo=UTC)),
        ("2020-10-26T22:50:56", datetime(2020, 10, 26, 22, 50, 56, tzinfo=UTC)),
        ("2020-10-26T23:50:56+01:00", datetime(2020, 10, 26, 22, 50, 56, tzinfo=UTC)),
        ("2020-10-26T23:50:56+0100", datetime(2020, 10, 26, 22, 50, 56, tzinfo=UTC)),
        ("2020-10-26T22:50:56.25Z", datetime(2020, 10, 26, 22, 50, 56, 250_000, tzinfo=UTC)),
        ("2020-10-26T22:50:56.123456789Z", datetime(2020, 10, 26, 22, 50, 56, 123_456, tzinfo=UTC)),
        (" 2020-10-26T22:50:56Z\n", datetime(2020, 10, 26, 22, 50, 56, tzinfo=UTC)),
        ("2020-10-26", None),
        ("0000-00-00T00:00:00+00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2020-10-26T22:50:56+99:00", None),
        ("2020-13-26T22:50:56Z", None),
        ("yesterday", None),
        ("", None),
        ("\ud800", None),
        (1603752656, None),
        (None, None),
    ],
)
def test_time(raw: object, at: datetime | None) -> None:
    (report,) = ListRequest().read(body([{"nukiId": 1, "lastKnownState": {"timestamp": raw}}])).reports

    assert report.at == at
    assert at is None or (report.at is not None and report.at.tzinfo is UTC)


RING_TIME = datetime(2026, 1, 5, 3, 16, 34, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "ring"),
    [
        ({}, None),
        ({"ringactionTimestamp": None, "ringactionState": None}, None),
        ({"ringactionTimestamp": "never", "ringactionState": 1}, None),
        ({"ringactionTimestamp": "2026-01-05T03:16:34+00:00"}, Ring(at=RING_TIME)),
        ({"ringactionState": "TRUE"}, Ring(active=True)),
        ({"ringactionTimestamp": None, "ringactionState": False}, Ring(active=False)),
    ],
)
def test_ring(fields: dict[str, object], ring: Ring | None) -> None:
    assert state_of(fields).ring == ring


# --- Callbacks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "an empty body, not JSON"),
        (b"state=1", "not JSON: Expecting value (line 1, column 1)"),
        (b"[]", "an array, not an object"),
        (b"{}", "nukiId is missing"),
        (b'{"nukiId": 1}', "state is missing"),
        (b'{"nukiId": 1, "state": "locked"}', "state is a text, not a state number"),
        (b'{"nukiId": 1, "state": -1}', "state is a number, not a state number"),
        (b'{"nukiId": 1, "state": {"mode": 2}}', "state is an object, not a state number"),
        (b'{"nukiId": 4294967296, "state": 1}', "nukiId is not 0 to 4294967295"),
        (b"[" * 100_000, "not an answer: JSON nested too deeply"),
    ],
)
def test_callback_that_cannot_be_read(content: bytes, text: str) -> None:
    with pytest.raises(UnreadableBody) as caught:
        parse_callback(content)

    assert str(caught.value) == text


def test_callback_says_neither_name_nor_time() -> None:
    content = body({"nukiId": 1, "state": 3, "name": "Yard", "timestamp": "2026-01-05T03:16:34Z"})

    assert parse_callback(content) == Report(nuki_id=NukiId(1), source=Source.CALLBACK, state=DeviceState(state_code=3))
