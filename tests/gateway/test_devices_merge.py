"""What a source does not say erases only what the same source had said; `changed` and `seen`."""

from datetime import datetime

import pytest

from nuki2mqtt.gateway.devices import Devices
from nuki2mqtt.model.state import Battery, DeviceState, DoorState
from tests.gateway.builders import (
    CLOCK,
    LINK,
    LOCK,
    LOCKED,
    OPENER,
    OTHER_LINK,
    UNLOCKED,
    ZERO,
    Seen,
    called,
    entry,
    moment,
    state,
    wall,
)


def door(seen: Seen) -> DoorState | None:
    return seen.devices.snapshot(LOCK).door


# --- the door's silence, per source ---


@pytest.mark.parametrize("source", ["callback", "lock_state"])
def test_a_door_that_a_callback_or_read_does_not_name_stays(source: str) -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    (seen.called if source == "callback" else seen.read)(20, state(3))

    assert (seen.held[0], door(seen)) == (3, "closed")


def test_a_door_that_only_callbacks_name_stays_when_the_list_is_silent() -> None:
    seen = Seen()
    seen.listed(10, state(1), 5)
    seen.called(20, state(3, 3))
    seen.listed(40, state(3), 35)
    seen.listed(70, state(3), 65)

    assert door(seen) == "open"


def test_a_door_that_the_list_named_and_names_no_more_is_gone() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(40, state(1), 35)

    assert door(seen) is None


def test_the_silence_of_one_bridge_does_not_erase_what_the_other_said() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(40, state(1), 35, OTHER_LINK)

    assert (seen.held, door(seen)) == ((1, "list", wall(35)), "closed")


def test_a_door_goes_although_the_first_silent_entry_was_older_than_a_callback() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, state(3))
    seen.listed(21, state(3), 6)
    seen.listed(50, state(3), 45)

    assert door(seen) is None


# --- keypad, battery, mode, name, firmware ---


def test_a_keypad_that_only_a_callback_names_is_a_phantom() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.called(20, state(3, 2, keypad=True))
    snapshot = seen.devices.snapshot(LOCK)

    assert (snapshot.has_keypad, snapshot.keypad_battery_critical) == (False, None)


def test_a_phantom_keypad_stays_one_when_the_first_report_is_a_callback() -> None:
    seen = Seen()
    seen.devices.remember(LOCK, 4, "Front door")
    seen.called(20, state(3, 2, keypad=False))
    snapshot = seen.devices.snapshot(LOCK)

    assert (snapshot.has_keypad, snapshot.keypad_battery_critical) == (False, None)


def test_a_keypad_that_the_list_names_is_believed_from_all_sources() -> None:
    seen = Seen()
    seen.listed(10, state(1, 2, keypad=False), 5)
    seen.called(20, state(3, 2, keypad=True))
    seen.called(21, state(1, 2))
    snapshot = seen.devices.snapshot(LOCK)

    assert (snapshot.has_keypad, snapshot.keypad_battery_critical) == (True, True)


def test_a_keypad_battery_that_the_list_names_no_more_is_unknown() -> None:
    seen = Seen()
    seen.listed(10, state(1, 2, keypad=True), 5)
    seen.listed(40, state(1, 2), 35)
    snapshot = seen.devices.snapshot(LOCK)

    assert (snapshot.has_keypad, snapshot.keypad_battery_critical) == (True, None)


def test_what_a_short_callback_leaves_out_stays() -> None:
    seen = Seen()
    seen.listed(10, DeviceState(state_code=1, mode_code=2, door_code=2, battery=Battery(80, False, True)), 5)
    seen.called(20, DeviceState(state_code=3))
    snapshot = seen.devices.snapshot(LOCK)

    assert (snapshot.state_code, snapshot.mode_code, snapshot.battery) == (3, 2, Battery(80, False, True))


def test_each_part_of_the_battery_is_taken_by_itself() -> None:
    seen = Seen()
    seen.listed(10, DeviceState(state_code=1, battery=Battery(80, False, True)), 5)
    seen.called(20, DeviceState(state_code=1, battery=Battery(level=12)))
    seen.called(21, DeviceState(state_code=1, battery=Battery(critical=True)))

    assert seen.devices.snapshot(LOCK).battery == Battery(12, True, True)


def test_the_newest_name_type_and_firmware_that_were_said_are_shown() -> None:
    devices = Devices(ZERO)
    devices.apply_entry(LINK, entry(LOCKED, 5), CLOCK, moment(10))
    devices.apply_entry(LINK, entry(LOCKED, 5, name="Yard", device_type=4), CLOCK, moment(40))
    devices.apply_entry(LINK, entry(LOCKED, 5, name=None, device_type=None), CLOCK, moment(70))
    snapshot = devices.snapshot(LOCK)

    assert (snapshot.name, snapshot.device_type, snapshot.firmware) == ("Yard", 4, "2.12.4")


def test_a_type_that_is_never_said_is_0() -> None:
    devices = Devices(ZERO)
    devices.apply_entry(LINK, entry(LOCKED, 5, device_type=None), CLOCK, moment(10))

    assert devices.device_type(LOCK) == 0


# --- `changed` and `seen` ---


def changed(seen: Seen) -> datetime | None:
    return seen.devices.snapshot(LOCK).changed


def test_changed_is_the_seen_of_the_first_report() -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)

    assert (seen.held[2], changed(seen)) == (wall(5), wall(5))


@pytest.mark.parametrize(
    ("after", "has_changed"),
    [
        (UNLOCKED, True),
        (state(1, 3), True),
        (state(1), True),
        (LOCKED, False),
        (state(1, 2, level=12, critical=True, keypad=True), False),
        (state(1, 2, mode=0), False),
    ],
)
def test_changed_moves_with_state_and_door_only(after: DeviceState, *, has_changed: bool) -> None:
    seen = Seen()
    seen.listed(10, LOCKED, 5)
    seen.listed(40, after, 35)

    assert (seen.held[2], changed(seen)) == (wall(35), wall(35 if has_changed else 5))


@pytest.mark.parametrize(
    ("after", "has_changed"),
    [(state(3), True), (state(1, mode=3), True), (state(1, mode=None), False), (state(1, critical=True), False)],
)
def test_changed_of_an_opener_moves_with_ring_to_open_and_continuous_mode(
    after: DeviceState, *, has_changed: bool
) -> None:
    devices = Devices(ZERO)
    devices.apply_entry(LINK, entry(state(1), 5, nuki_id=OPENER, device_type=2), CLOCK, moment(10))
    devices.apply_callback(LINK, called(after, nuki_id=OPENER, device_type=2), CLOCK, moment(20))
    snapshot = devices.snapshot(OPENER)

    assert (snapshot.seen, snapshot.changed) == (wall(20), wall(20 if has_changed else 5))


def test_seen_of_an_entry_is_its_own_time_and_changed_the_time_of_the_change() -> None:
    seen = Seen()
    seen.listed(100, LOCKED, 5)
    seen.listed(130, UNLOCKED, 50)
    seen.listed(160, UNLOCKED, 90)

    assert (seen.held[2], changed(seen)) == (wall(90), wall(50))


@pytest.mark.parametrize(("before", "after"), [(state(1, 4), state(1, 255)), (state(98, 2), state(99, 2))])
def test_changed_does_not_move_between_two_numbers_of_the_same_word(before: DeviceState, after: DeviceState) -> None:
    seen = Seen()
    seen.listed(10, before, 5)
    seen.listed(40, after, 35)

    assert changed(seen) == wall(5)
