"""Motors go their way as time passes; hands turn at once."""

import pytest

from nuki2mqtt.simulator.house import House, SimulatedDevice, SimulatedLock, SimulatedOpener, Timing

TIMING = Timing()


def _way(house: House, device: SimulatedDevice) -> list[tuple[float, int]]:
    began, way = house.now, list[tuple[float, int]]()
    while (at := house.next_change_at()) is not None:
        house.advance(at)
        way.append((round(at - began, 3), device.state))
    return way


@pytest.mark.parametrize(
    ("action", "way", "unlatches"),
    [
        (1, [(0.5, 2), (3.5, 3)], 0),
        (2, [(0.5, 4), (3.5, 1)], 0),
        (3, [(0.5, 7), (3.5, 5), (6.5, 3)], 1),
        (4, [(0.5, 2), (3.5, 6), (23.5, 4), (26.5, 1)], 0),
        (5, [(0.5, 7), (3.5, 5), (6.5, 6), (26.5, 4), (29.5, 1)], 1),
    ],
)
def test_the_way_of_a_lock(
    house: House, lock: SimulatedLock, action: int, way: list[tuple[float, int]], unlatches: int
) -> None:
    assert lock.order(action, TIMING) == way[-1][0]
    assert _way(house, lock) == way
    assert (lock.turns, lock.unlatches) == (1, unlatches)


@pytest.mark.parametrize(
    ("before", "action", "way", "unlatches"),
    [
        (1, 1, [(0.5, 3)], 0),
        (3, 2, [(0.5, 1)], 0),
        (1, 3, [(0.5, 7), (1.5, 5), (4.5, 1)], 1),
        (3, 3, [(0.5, 7), (1.5, 5), (4.5, 3)], 1),
    ],
)
def test_the_way_of_an_opener(
    house: House,
    opener: SimulatedOpener,
    before: int,
    action: int,
    way: list[tuple[float, int]],
    unlatches: int,
) -> None:
    opener.turn(before)
    opener.order(action, TIMING)
    assert _way(house, opener) == way
    assert (opener.turns, opener.unlatches) == (1, unlatches)


def test_continuous_mode_shows_in_the_mode_only(house: House, opener: SimulatedOpener) -> None:
    opener.order(4, TIMING)
    house.advance(house.now + 1)
    assert (opener.state, opener.mode) == (1, 3)
    opener.order(5, TIMING)
    house.advance(house.now + 1)
    assert (opener.state, opener.mode) == (1, 2)


def test_simple_lock_ends_ring_to_open_and_continuous_mode(house: House, opener: SimulatedOpener) -> None:
    opener.turn(3)
    opener.set_mode(3)
    opener.order_lock(TIMING)
    house.advance(house.now + 1)
    assert (opener.state, opener.mode, opener.unlatches) == (1, 2, 0)


@pytest.mark.parametrize(("has_knob", "unlatches"), [(True, 1), (False, 0)])
def test_simple_unlock_opens_a_door_with_a_knob(lock: SimulatedLock, unlatches: int, *, has_knob: bool) -> None:
    lock.has_knob = has_knob
    lock.order_unlock(TIMING)
    assert lock.unlatches == unlatches


def test_a_jammed_motor(house: House, lock: SimulatedLock) -> None:
    lock.is_jammed = True
    lock.order(3, TIMING)
    assert _way(house, lock) == [(0.5, 7), (3.5, 254)]
    assert (lock.turns, lock.unlatches) == (1, 0)


def test_a_hand_and_a_second_order_end_the_way_under_way(house: House, lock: SimulatedLock) -> None:
    lock.order(4, TIMING)
    house.advance(house.now + 4)
    lock.order(1, TIMING)
    house.advance(house.now + 1)
    lock.turn(1)
    assert house.next_change_at() is None
    assert (lock.state, lock.turns) == (1, 2)


def test_a_ring_lasts_30_seconds_and_changes_no_state(house: House, opener: SimulatedOpener) -> None:
    began = house.now
    opener.ring(began + 22)
    house.advance(began + 20)
    opener.ring()
    house.advance(began + 49)
    assert (opener.is_ringing, opener.ring_at, opener.state) == (True, began + 20, 1)
    house.advance(began + 50)
    assert not opener.is_ringing


def test_time_never_runs_backwards(house: House) -> None:
    now = house.now
    house.advance(now - 10)
    assert house.now == now


def test_a_device_without_a_house_cannot_move() -> None:
    with pytest.raises(RuntimeError, match="00000001 is in no house"):
        SimulatedLock(nuki_id=1).order(1, TIMING)


def test_durations_are_scaled() -> None:
    assert TIMING.scaled(0.5) == Timing(
        answer_s=0.025,
        read_s=1.0,
        unreachable_s=5.0,
        accept_s=0.25,
        motor_s=1.5,
        strike_s=0.5,
        unlatched_s=1.5,
        lock_n_go_s=10.0,
        callback_s=0.1,
        auth_window_s=15.0,
        reboot_s=22.5,
    )
