"""Events: none for the first report, none for what is no change, one for each change that people asked for."""

import pytest

from nuki2mqtt.gateway.devices import Devices
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import BatteryPart, DeviceEvent, EventType, StateChange
from nuki2mqtt.model.state import Battery, DeviceState, LockState, OpenerState, Source
from tests.gateway.builders import (
    CLOCK,
    LINK,
    LOCK,
    LOCKED,
    OPENER,
    UNLOCKED,
    ZERO,
    Seen,
    called,
    entry,
    moment,
    state,
    wall,
)

CALLBACK = Source.CALLBACK


def events_of(*said: DeviceState, nuki_id: NukiId = LOCK, device_type: int = 0) -> list[DeviceEvent]:
    """The events of a list and the callbacks after it, at 20 s, 30 s and so on."""
    devices = Devices(ZERO)
    first = devices.apply_entry(LINK, entry(said[0], 5, nuki_id=nuki_id, device_type=device_type), CLOCK, moment(10))
    events = list(first.events)
    for number, later in enumerate(said[1:]):
        report = called(later, nuki_id=nuki_id, device_type=device_type)
        verdict = devices.apply_callback(LINK, report, CLOCK, moment(20 + 10 * number))
        assert verdict is not None
        events += verdict.events
    return events


def changed(at: float, before: LockState | OpenerState, after: LockState | OpenerState, *codes: int) -> DeviceEvent:
    return DeviceEvent(EventType.STATE_CHANGED, wall(at), CALLBACK, StateChange(before, after, codes[0], codes[1]))


def plain(at: float, event_type: EventType, part: BatteryPart | None = None) -> DeviceEvent:
    return DeviceEvent(event_type, wall(at), CALLBACK, part)


@pytest.mark.parametrize(
    "first", [LOCKED, state(254, 3), state(1, 2, critical=True, keypad=True), state(3, mode=3), state(99, 99)]
)
@pytest.mark.parametrize("device_type", [0, 2, 4, 99])
def test_the_first_report_of_a_process_gives_no_event(first: DeviceState, device_type: int) -> None:
    assert events_of(first, device_type=device_type) == []


def test_the_first_report_gives_no_event_whichever_source_it_is_from() -> None:
    by_callback, by_read = Seen(), Seen()
    for seen in (by_callback, by_read):
        seen.devices.remember(LOCK, 0, "Front door")
    told = (by_callback.called(10, state(254, 3, critical=True)), by_read.read(10, state(254, 3, critical=True)))

    assert [verdict.events for verdict in told if verdict is not None] == [(), ()]


def test_a_state_after_a_listing_without_one_is_a_first_report() -> None:
    seen = Seen()
    seen.listed(10, None, None)
    verdict = seen.listed(40, UNLOCKED, 35)

    assert verdict.events == ()


def test_a_change_of_state_gives_words_and_numbers() -> None:
    assert events_of(LOCKED, UNLOCKED) == [changed(20, LockState.LOCKED, LockState.UNLOCKED, 1, 3)]


def test_an_equal_report_gives_no_event() -> None:
    assert events_of(LOCKED, LOCKED, LOCKED) == []


@pytest.mark.parametrize(
    "after",
    [
        state(1, 2, level=79),
        state(1, 2, critical=None),
        state(1, 2, mode=0),
        state(1),
        DeviceState(state_code=1, mode_code=2, door_code=2, battery=Battery(level=80, critical=False, charging=True)),
    ],
)
def test_battery_level_charging_and_silence_give_no_event(after: DeviceState) -> None:
    assert events_of(state(1, 2, level=80), after) == []


# --- door ---


@pytest.mark.parametrize(
    ("doors", "expected"),
    [
        ((2, 3), [plain(20, EventType.DOOR_OPENED)]),
        ((3, 2), [plain(20, EventType.DOOR_CLOSED)]),
        ((2, 4, 2), []),
        ((2, 4, 3), [plain(30, EventType.DOOR_OPENED)]),
        ((3, 255, 4, 2), [plain(40, EventType.DOOR_CLOSED)]),
        ((3, 4, 3), []),
        ((2, None, 3), [plain(30, EventType.DOOR_OPENED)]),
        ((4, 3), []),
        ((None, 3), []),
        ((16, 5, 3, 2), [plain(40, EventType.DOOR_CLOSED)]),
        ((2, 240, 3), [plain(30, EventType.DOOR_OPENED)]),
        ((2, 1, 2), []),
        ((2, 3, 3, 2), [plain(20, EventType.DOOR_OPENED), plain(40, EventType.DOOR_CLOSED)]),
    ],
)
def test_a_door_moves_only_between_closed_and_open(doors: tuple[int | None, ...], expected: list[DeviceEvent]) -> None:
    assert events_of(*(state(1, door) for door in doors)) == expected


# --- jammed ---


def test_a_blocked_motor_is_a_change_and_jammed() -> None:
    assert events_of(LOCKED, state(254, 2)) == [
        changed(20, LockState.LOCKED, LockState.MOTOR_BLOCKED, 1, 254),
        plain(20, EventType.JAMMED),
    ]


def test_a_motor_that_stays_blocked_is_told_once_and_again_after_it_moved() -> None:
    events = events_of(LOCKED, state(254), state(254), state(3), state(254))

    assert [event.event_type for event in events] == [
        "state_changed",
        "jammed",
        "state_changed",
        "state_changed",
        "jammed",
    ]


def test_an_opener_has_no_motor_to_block() -> None:
    assert events_of(state(1), state(254), nuki_id=OPENER, device_type=2) == [
        changed(20, OpenerState.ONLINE, OpenerState.UNKNOWN, 1, 254)
    ]


def test_an_opener_s_states_are_called_by_its_own_words() -> None:
    assert events_of(state(1), state(3), nuki_id=OPENER, device_type=2) == [
        changed(20, OpenerState.ONLINE, OpenerState.RTO_ACTIVE, 1, 3)
    ]


# --- battery ---


@pytest.mark.parametrize(
    ("criticals", "lows"),
    [
        ((False, True), 1),
        ((False, True, True), 1),
        ((False, True, False, True), 2),
        ((True, True), 0),
        ((True, False), 0),
        ((None, True), 0),
        ((False, None, True), 1),
    ],
)
def test_a_battery_is_low_when_it_becomes_critical(criticals: tuple[bool | None, ...], lows: int) -> None:
    expected = [EventType.BATTERY_LOW] * lows

    events = events_of(*(state(1, 2, critical=critical) for critical in criticals))
    assert [event.event_type for event in events] == expected
    assert {event.details for event in events} <= {BatteryPart.LOCK}


def test_a_keypad_s_battery_is_low_when_it_becomes_critical() -> None:
    assert events_of(state(1, 2, keypad=False), state(1, 2, keypad=True), state(1, 2, keypad=True)) == [
        plain(20, EventType.BATTERY_LOW, BatteryPart.KEYPAD)
    ]


def test_a_phantom_keypad_has_no_battery_to_be_low() -> None:
    assert events_of(state(1, 2), state(1, 2, keypad=False), state(1, 2, keypad=True)) == []


# --- several at once, and their time ---


def test_all_that_one_report_tells_is_told_state_first() -> None:
    assert events_of(state(1, 2, keypad=False), state(254, 3, critical=True, keypad=True)) == [
        changed(20, LockState.LOCKED, LockState.MOTOR_BLOCKED, 1, 254),
        plain(20, EventType.JAMMED),
        plain(20, EventType.DOOR_OPENED),
        plain(20, EventType.BATTERY_LOW, BatteryPart.LOCK),
        plain(20, EventType.BATTERY_LOW, BatteryPart.KEYPAD),
    ]


def test_a_change_that_the_list_tells_is_of_the_entry_s_time_and_told_once() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    first = seen.listed(40, UNLOCKED, 32)
    again = seen.listed(70, UNLOCKED, 32)
    change = StateChange(LockState.LOCKED, LockState.UNLOCKED, 1, 3)

    assert first.events == (DeviceEvent(EventType.STATE_CHANGED, wall(32), Source.LIST, change),)
    assert again.events == ()


def test_the_list_that_confirms_a_callback_tells_nothing_again() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, state(3, 3))

    assert seen.listed(40, state(3, 3), 25).events == ()


def test_an_older_entry_that_contradicts_a_callback_tells_nothing() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, state(3, 3))

    assert seen.listed(21, LOCKED, 6).events == ()
