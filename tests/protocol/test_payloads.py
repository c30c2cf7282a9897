"""The exact bytes of our messages (docs/topics.md): devices, events, snapshots that a broker kept."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.command import Reason
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import BatteryPart, CommandFailure, DeviceEvent, EventType, RingTime, StateChange
from nuki2mqtt.model.state import Battery, LockState, OpenerState, Snapshot, Source
from nuki2mqtt.protocol.payloads import (
    RetainedSnapshot,
    parse_retained_snapshot,
    render_attributes,
    render_availability,
    render_event,
    render_snapshot,
    render_time,
)

SEEN = datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
CHANGED = datetime(2026, 11, 21, 19, 58, 40, tzinfo=UTC)
LOCK = Snapshot(
    nuki_id=NukiId(0x1A2B3C4D),
    device_type=4,
    name="Front door",
    firmware="3.5.1",
    state_code=1,
    mode_code=2,
    door_code=2,
    battery=Battery(level=85, critical=False, charging=False),
    keypad_battery_critical=False,
    has_keypad=True,
    source=Source.CALLBACK,
    seen=SEEN,
    changed=CHANGED,
    stale=False,
    bridge=NukiId(0x0A1B2C3D),
    rssi_dbm=-67,
)
OPENER = Snapshot(
    nuki_id=NukiId(0x2E5FE23A),
    device_type=2,
    name="Sprechanlage Süd",
    firmware="1.9.0",
    state_code=1,
    mode_code=3,
    battery=Battery(critical=True),
    ring_at=datetime(2026, 11, 21, 18, 0, 0, tzinfo=UTC),
    source=Source.LIST,
    seen=SEEN,
    changed=CHANGED,
    stale=False,
    bridge=NukiId(0x0A1B2C3D),
)
UNSEEN = Snapshot(nuki_id=NukiId(0xBEEF), device_type=0, name="Yard")


def test_a_lock_with_everything() -> None:
    assert render_snapshot(LOCK) == (
        b'{"id":"1A2B3C4D","nuki_id":439041101,"type":"smart_lock","device_type":4,"name":"Front door",'
        b'"firmware":"3.5.1","state":"locked","state_code":1,"lock":"LOCKED","derived":false,"mode":"door",'
        b'"mode_code":2,"door":"closed","door_code":2,"battery":{"level":85,"critical":false,"charging":false},'
        b'"keypad":{"battery_critical":false},"source":"callback","seen":"2026-11-21T20:15:03Z",'
        b'"changed":"2026-11-21T19:58:40Z","stale":false,"bridge":"0A1B2C3D","rssi_dbm":-67}'
    )


def test_a_lock_without_a_door_sensor_has_a_door_of_null() -> None:
    lock = replace(LOCK, door_code=None, has_keypad=False, firmware=None, battery=Battery(critical=True), rssi_dbm=None)

    assert render_snapshot(lock) == (
        b'{"id":"1A2B3C4D","nuki_id":439041101,"type":"smart_lock","device_type":4,"name":"Front door",'
        b'"state":"locked","state_code":1,"lock":"LOCKED","derived":false,"mode":"door","mode_code":2,'
        b'"door":null,"door_code":null,"battery":{"critical":true},"source":"callback",'
        b'"seen":"2026-11-21T20:15:03Z","changed":"2026-11-21T19:58:40Z","stale":false,"bridge":"0A1B2C3D"}'
    )


def test_an_opener_has_ring_to_open_continuous_mode_and_ring_and_no_door() -> None:
    assert render_snapshot(OPENER).decode() == (
        '{"id":"2E5FE23A","nuki_id":778035770,"type":"opener","device_type":2,"name":"Sprechanlage Süd",'
        '"firmware":"1.9.0","state":"online","state_code":1,"lock":"UNLOCKED","derived":false,'
        '"mode":"continuous","mode_code":3,"ring_to_open":false,"continuous_mode":true,'
        '"ring":"2026-11-21T18:00:00Z","battery":{"critical":true},"source":"list",'
        '"seen":"2026-11-21T20:15:03Z","changed":"2026-11-21T19:58:40Z","stale":false,"bridge":"0A1B2C3D"}'
    )


def test_a_device_of_which_nothing_was_seen_has_nulls_and_is_stale() -> None:
    assert render_snapshot(UNSEEN) == (
        b'{"id":"0000BEEF","nuki_id":48879,"type":"smart_lock","device_type":0,"name":"Yard","state":null,'
        b'"state_code":null,"lock":null,"derived":false,"door":null,"door_code":null,"source":null,"seen":null,'
        b'"changed":null,"stale":true,"bridge":null}'
    )


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"state_code": 99}, {"state": "unknown", "state_code": 99, "lock": None}),
        ({"state_code": 254}, {"state": "motor_blocked", "lock": "JAMMED"}),
        ({"state_code": 4, "derived": True}, {"state": "locking", "lock": "LOCKING", "derived": True}),
        ({"door_code": 99}, {"door": "unknown", "door_code": 99}),
        ({"door_code": 240}, {"door": "removed", "door_code": 240}),
        ({"mode_code": 7}, {"mode": "unknown", "mode_code": 7}),
        ({"device_type": 99}, {"type": "unknown", "device_type": 99, "state": "locked", "lock": "LOCKED"}),
        ({"device_type": 1}, {"type": "box", "device_type": 1}),
        ({"device_type": 3}, {"type": "smart_door", "device_type": 3}),
        ({"keypad_battery_critical": None}, {"keypad": {"battery_critical": None}}),
        ({"battery": Battery(level=0)}, {"battery": {"level": 0}}),
    ],
)
def test_unknown_numbers_are_words_and_numbers(change: dict[str, object], fields: dict[str, object]) -> None:
    body = json.loads(render_snapshot(replace(LOCK, **change)))  # type: ignore[arg-type]

    assert {key: body[key] for key in fields} == fields


# --- attributes ---


def test_the_attribute_form_of_a_lock_with_everything() -> None:
    assert render_attributes(LOCK) == {
        "id": b"1A2B3C4D",
        "nuki_id": b"439041101",
        "type": b"smart_lock",
        "device_type": b"4",
        "name": b"Front door",
        "firmware": b"3.5.1",
        "state": b"locked",
        "state_code": b"1",
        "lock": b"LOCKED",
        "derived": b"false",
        "mode": b"door",
        "mode_code": b"2",
        "door": b"closed",
        "door_code": b"2",
        "battery/level": b"85",
        "battery/critical": b"false",
        "battery/charging": b"false",
        "keypad/battery_critical": b"false",
        "source": b"callback",
        "seen": b"2026-11-21T20:15:03Z",
        "changed": b"2026-11-21T19:58:40Z",
        "stale": b"false",
        "bridge": b"0A1B2C3D",
        "rssi_dbm": b"-67",
    }


def test_null_is_an_empty_message() -> None:
    attributes = render_attributes(UNSEEN)

    assert {path for path, payload in attributes.items() if payload == b""} == {
        "state",
        "state_code",
        "lock",
        "door",
        "door_code",
        "source",
        "seen",
        "changed",
        "bridge",
    }
    assert attributes["stale"] == b"true"


def test_the_attribute_form_of_an_opener() -> None:
    attributes = render_attributes(OPENER)

    assert attributes["name"].decode() == "Sprechanlage Süd"
    assert (attributes["ring_to_open"], attributes["continuous_mode"]) == (b"false", b"true")
    assert (attributes["ring"], attributes["battery/critical"]) == (b"2026-11-21T18:00:00Z", b"true")
    assert "door" not in attributes


@pytest.mark.parametrize("snapshot", [LOCK, OPENER, UNSEEN])
def test_both_forms_have_the_same_leaves(snapshot: Snapshot) -> None:
    leaves = dict[str, object]()
    for key, value in json.loads(render_snapshot(snapshot)).items():
        leaves |= {f"{key}/{inner}": leaf for inner, leaf in value.items()} if isinstance(value, dict) else {key: value}

    def plain(value: object) -> bytes:
        if value is None:
            return b""
        return value.encode() if isinstance(value, str) else json.dumps(value).encode()

    assert render_attributes(snapshot) == {path: plain(value) for path, value in leaves.items()}


# --- snapshots that the broker kept ---


def test_our_own_snapshot_is_read_back() -> None:
    body = render_snapshot(LOCK)
    stale = body.replace(b'"stale":false', b'"stale":true')

    assert parse_retained_snapshot(body) == RetainedSnapshot(LOCK.nuki_id, "Front door", 4, stale)


def test_the_stale_form_differs_in_one_word() -> None:
    retained = parse_retained_snapshot(render_snapshot(LOCK))
    assert retained is not None

    assert retained.stale == render_snapshot(LOCK).replace(b'"stale":false', b'"stale":true')


def test_the_stale_form_keeps_what_it_does_not_know() -> None:
    body = '{"id":"1A2B3C4D","name":"Tür 🚪","device_type":4,"lock":"LOCKED","later":{"x":[1,2.5,null]},"stale":false}'
    retained = parse_retained_snapshot(body.encode())
    assert retained is not None

    assert retained.stale.decode() == body.replace('"stale":false', '"stale":true')


def test_the_stale_form_of_a_snapshot_without_the_word_has_it() -> None:
    retained = parse_retained_snapshot(b'{"id":"1A2B3C4D","name":"x","device_type":4}')
    assert retained is not None

    assert retained.stale == b'{"id":"1A2B3C4D","name":"x","device_type":4,"stale":true}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"online",
        b"null",
        b"[]",
        b'"1A2B3C4D"',
        b"{}",
        b'{"id":"1A2B3C4D"}',
        b'{"id":"1A2B3C4D","name":"x"}',
        b'{"id":"1A2B3C4D","name":"x","device_type":"lock"}',
        b'{"id":"1A2B3C4D","name":"x","device_type":null}',
        b'{"id":"front","name":"x","device_type":4}',
        b'{"id":439041101,"name":"x","device_type":4}',
        b'{"id":["1A2B3C4D"],"name":"x","device_type":4}',
        b'{"id":"1A2B3C4D","name":"x","device_type":4',
        b'{"id":"1A2B3C4D","name":"\xff","device_type":4}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_a_snapshot_of_ours_is_nothing(body: bytes) -> None:
    assert parse_retained_snapshot(body) is None


@pytest.mark.parametrize("number", [b"Infinity", b"-Infinity", b"1e999"])
def test_an_infinite_device_type_is_no_snapshot_of_ours(number: bytes) -> None:
    assert parse_retained_snapshot(b'{"id":"1A2B3C4D","name":"x","device_type":' + number + b"}") is None


def test_what_was_read_can_be_written_again() -> None:
    retained = parse_retained_snapshot(b'{"id":"1A2B3C4D","name":"\\ud800","device_type":4}')

    assert retained is None or json.loads(retained.stale)["stale"] is True


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "name", "device_type", "x"]), inner),
    )
)
def test_no_json_breaks_the_reader(value: object) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    retained = parse_retained_snapshot(body)

    assert retained is None or json.loads(retained.stale) == json.loads(body) | {"stale": True}


# --- events, times, availability ---


def event(event_type: EventType, details: StateChange | RingTime | BatteryPart | None = None) -> DeviceEvent:
    return DeviceEvent(event_type, SEEN, Source.CALLBACK, details)


def failure(action: str | None, reason: Reason) -> DeviceEvent:
    return DeviceEvent(EventType.COMMAND_FAILED, SEEN, Source.COMMAND, CommandFailure(action, reason))


@pytest.mark.parametrize(
    ("told", "body"),
    [
        (
            event(EventType.STATE_CHANGED, StateChange(LockState.LOCKED, LockState.UNLOCKED, 1, 3)),
            (
                b'{"event_type":"state_changed","at":"2026-11-21T20:15:03Z","source":"callback","actor":null,'
                b'"from":"locked","to":"unlocked","from_code":1,"to_code":3}'
            ),
        ),
        (
            event(EventType.STATE_CHANGED, StateChange(OpenerState.ONLINE, OpenerState.RTO_ACTIVE, 1, 3)),
            (
                b'{"event_type":"state_changed","at":"2026-11-21T20:15:03Z","source":"callback","actor":null,'
                b'"from":"online","to":"rto_active","from_code":1,"to_code":3}'
            ),
        ),
        (
            event(EventType.DOOR_OPENED),
            b'{"event_type":"door_opened","at":"2026-11-21T20:15:03Z","source":"callback","actor":null}',
        ),
        (
            event(EventType.DOOR_CLOSED),
            b'{"event_type":"door_closed","at":"2026-11-21T20:15:03Z","source":"callback","actor":null}',
        ),
        (
            event(EventType.RING, RingTime(CHANGED)),
            (
                b'{"event_type":"ring","at":"2026-11-21T20:15:03Z","source":"callback","actor":null,'
                b'"ring":"2026-11-21T19:58:40Z"}'
            ),
        ),
        (
            event(EventType.RING, RingTime(None)),
            b'{"event_type":"ring","at":"2026-11-21T20:15:03Z","source":"callback","actor":null,"ring":null}',
        ),
        (
            event(EventType.JAMMED),
            b'{"event_type":"jammed","at":"2026-11-21T20:15:03Z","source":"callback","actor":null}',
        ),
        (
            event(EventType.BATTERY_LOW, BatteryPart.LOCK),
            b'{"event_type":"battery_low","at":"2026-11-21T20:15:03Z","source":"callback","actor":null,"part":"lock"}',
        ),
        (
            event(EventType.BATTERY_LOW, BatteryPart.KEYPAD),
            b'{"event_type":"battery_low","at":"2026-11-21T20:15:03Z","source":"callback","actor":null,"part":"keypad"}',
        ),
        (
            failure(Action.UNLOCK, Reason.MOTOR_BLOCKED),
            (
                b'{"event_type":"command_failed","at":"2026-11-21T20:15:03Z","source":"command","actor":null,'
                b'"action":"unlock","reason":"motor_blocked"}'
            ),
        ),
        (
            failure("open sesame \ud83d", Reason.UNKNOWN_ACTION),
            (
                b'{"event_type":"command_failed","at":"2026-11-21T20:15:03Z","source":"command","actor":null,'
                b'"action":"open sesame ?","reason":"unknown_action"}'
            ),
        ),
        (
            failure(None, Reason.BAD_PAYLOAD),
            (
                b'{"event_type":"command_failed","at":"2026-11-21T20:15:03Z","source":"command","actor":null,'
                b'"action":null,"reason":"bad_payload"}'
            ),
        ),
    ],
    ids=lambda value: value.event_type.value if isinstance(value, DeviceEvent) else "",
)
def test_each_event(told: DeviceEvent, body: bytes) -> None:
    assert render_event(told) == body


def test_the_event_types_are_those_of_the_contract() -> None:
    assert [event_type.value for event_type in EventType] == [
        "state_changed",
        "door_opened",
        "door_closed",
        "ring",
        "jammed",
        "battery_low",
        "code_refused",
        "command_failed",
        "attributed",
    ]


@pytest.mark.parametrize("source", Source)
def test_the_source_is_said(source: Source) -> None:
    assert json.loads(render_event(replace(event(EventType.JAMMED), source=source)))["source"] == source.value


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (SEEN, "2026-11-21T20:15:03Z"),
        (SEEN.replace(microsecond=999_999), "2026-11-21T20:15:03Z"),
        (SEEN.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-11-21T20:15:03Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_utc_with_seconds_and_a_z(at: datetime, text: str) -> None:
    assert render_time(at) == text


def test_availability() -> None:
    assert (render_availability(is_online=True), render_availability(is_online=False)) == (b"online", b"offline")
