"""Every recorded callback body, read field by field; the recordings lie beside the checkout."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Battery, DeviceState, Report, Ring, Source
from nuki2mqtt.protocol.bridge_api import parse_callback

FOLDER = Path(__file__).parents[2].parent / "shared" / "recorded" / "callback"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recordings are not beside this checkout")

LOCK = NukiId(574218836)
OPENER = NukiId(541093927)


def lock(state: int, door: int, level: int = 80) -> Report:
    """The recorded Smart Lock 2.0 with its door sensor."""
    return Report(
        nuki_id=LOCK,
        source=Source.CALLBACK,
        device_type=0,
        name=None,
        firmware=None,
        state=DeviceState(
            state_code=state,
            mode_code=2,
            door_code=door,
            battery=Battery(level=level, critical=False, charging=False),
            keypad_battery_critical=None,
            ring=None,
        ),
        at=None,
    )


def opener(state: int, ring_at: datetime, *, ringing: bool = False) -> Report:
    """The recorded Opener."""
    return Report(
        nuki_id=OPENER,
        source=Source.CALLBACK,
        device_type=2,
        name=None,
        firmware=None,
        state=DeviceState(
            state_code=state,
            mode_code=2,
            door_code=None,
            battery=Battery(level=None, critical=False, charging=None),
            keypad_battery_critical=None,
            ring=Ring(at=ring_at, active=ringing),
        ),
        at=None,
    )


def january(day: int, hour: int, minute: int, second: int) -> datetime:
    return datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)


READ: dict[str, Report] = {
    "01-lock-locked-door-closed.json": lock(1, 2),
    "02-lock-unlocked-door-closed.json": lock(3, 2),
    "03-lock-unlocked-door-opened.json": lock(3, 3),
    "04-lock-unlocked-door-state-unknown.json": lock(3, 4),
    "05-lock-locking.json": lock(4, 2),
    "06-lock-lockngo-door-closed.json": lock(6, 2),
    "07-lock-lockngo-door-opened.json": lock(6, 3, level=76),
    "08-lock-unlatching.json": lock(7, 2, level=64),
    "09-opener-online-stale-ring.json": opener(1, january(4, 14, 43, 38)),
    "10-opener-online-ring.json": opener(1, january(5, 3, 16, 34), ringing=True),
    "11-opener-rto-active.json": opener(3, january(4, 14, 43, 38)),
    "12-opener-opening.json": opener(7, january(5, 3, 16, 34)),
    "13-opener-open.json": opener(5, january(5, 3, 16, 34)),
    "18-node-red-lock-unlatched-wrapped.json": Report(
        nuki_id=NukiId(237252569),
        source=Source.CALLBACK,
        device_type=0,
        state=DeviceState(state_code=5, mode_code=2, battery=Battery(level=62, critical=False, charging=False)),
        at=None,  # there is a timestamp in the body: a callback counts as of its arrival
    ),
    "19-symcon-oldest-form.json": Report(
        nuki_id=NukiId(987654321),
        source=Source.CALLBACK,
        device_type=None,
        state=DeviceState(state_code=1, mode_code=None, battery=Battery(critical=True)),
    ),
    "20-loxone-api19-form.json": Report(
        nuki_id=NukiId(374773519),
        source=Source.CALLBACK,
        device_type=0,
        state=DeviceState(state_code=1, mode_code=2, battery=Battery(critical=True)),
    ),
    "21-loxberry-api19-form.json": Report(
        nuki_id=NukiId(123456789),
        source=Source.CALLBACK,
        device_type=0,
        state=DeviceState(state_code=3, mode_code=2, battery=Battery(critical=False)),
    ),
    "22-pynuki-curl-strings-for-booleans.json": Report(
        nuki_id=NukiId(490318788),
        source=Source.CALLBACK,
        device_type=0,
        state=DeviceState(
            state_code=9,
            mode_code=9,
            door_code=9,
            battery=Battery(level=70, critical=False, charging=False),
        ),
    ),
    "28-raspinukibridge-callback.json": Report(
        nuki_id=NukiId(0x3D29441E),
        source=Source.CALLBACK,
        device_type=4,
        state=DeviceState(
            state_code=1,
            mode_code=2,
            door_code=2,
            battery=Battery(level=76, critical=False, charging=False),
            keypad_battery_critical=False,
            ring=None,
        ),
        at=None,
    ),
}

# Several bodies in one file, each with its arrival: (seconds, report).
SEQUENCES: dict[str, list[tuple[int, Report]]] = {
    "15-sequence-opener-ring-to-open.json": [
        (102158, opener(3, january(5, 17, 58, 46))),
        (102570, opener(7, january(5, 17, 58, 46))),
        (102571, opener(5, january(5, 17, 58, 46))),
        (102573, opener(1, january(6, 4, 29, 35), ringing=True)),
        (107457, opener(3, january(6, 4, 29, 35))),
    ],
    "16-sequence-opener-same-ring-twice.json": [
        (203598, opener(1, january(7, 8, 33, 27), ringing=True)),
        (203616, opener(1, january(7, 8, 33, 27), ringing=True)),
    ],
}

RING_AHEAD = "14-opener-ring-22s-in-the-future.json"

# The document prints typographic quotes.
_NO_QUOTE = "not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"
REFUSED: dict[str, str] = {
    "25-doc1133-lock.txt": _NO_QUOTE,
    "26-doc1133-lock-doorsensor.txt": _NO_QUOTE,
    "27-doc1133-opener.txt": _NO_QUOTE,
}


@pytest.mark.parametrize("name", READ)
def test_recorded_body(name: str) -> None:
    assert parse_callback((FOLDER / name).read_bytes()) == READ[name]


@pytest.mark.parametrize("name", SEQUENCES)
def test_recorded_sequence(name: str) -> None:
    steps = json.loads((FOLDER / name).read_bytes())

    assert [(step["t"], parse_callback(json.dumps(step["body"]).encode())) for step in steps] == SEQUENCES[name]


def test_recorded_ring_that_is_ahead_of_its_arrival() -> None:
    step = json.loads((FOLDER / RING_AHEAD).read_bytes())

    report = parse_callback(json.dumps(step["body"]).encode())

    assert (step["t"], step["utc"]) == (128733, "2026-01-06T11:45:33+00:00")
    assert report == opener(1, january(6, 11, 45, 55), ringing=True)


@pytest.mark.parametrize("name", REFUSED)
def test_document_sample_that_is_not_json(name: str) -> None:
    with pytest.raises(UnreadableBody) as caught:
        parse_callback((FOLDER / name).read_bytes())

    assert str(caught.value) == REFUSED[name]


def test_every_file_has_an_expectation() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {*READ, *SEQUENCES, RING_AHEAD, *REFUSED}
