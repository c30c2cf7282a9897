"""A Bridge's clock mapped to our monotonic clock."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.gateway.bridge_clock import BridgeClock
from tests.gateway.builders import CLOCK, ZERO, moment, wall


@pytest.mark.parametrize("ahead", [-3600, -22, 0, 22, 86400])
def test_a_time_of_the_bridge_is_mapped_to_our_monotonic_clock(ahead: float) -> None:
    clock = BridgeClock.read(wall(10 + ahead), moment(10), travelled_s=0)

    assert clock.skew_s == ahead
    assert clock.monotonic(wall(10 + ahead)) == ZERO + 10
    assert clock.monotonic(wall(-50 + ahead)) == ZERO - 50


def test_half_of_the_journey_lies_before_the_bridge_read_its_clock() -> None:
    clock = BridgeClock.read(wall(9), moment(10), travelled_s=2)

    assert (clock.skew_s, clock.monotonic(wall(9))) == (0, ZERO + 9)


def test_the_wall_clock_is_in_the_skew_only() -> None:
    right = BridgeClock.read(wall(10), moment(10), travelled_s=0)
    wrong_wall = BridgeClock.read(wall(10), type(moment(10))(ZERO + 10, wall(10) - timedelta(hours=2)), travelled_s=0)

    assert (right.offset, right.skew_s, wrong_wall.skew_s) == (wrong_wall.offset, 0, 7200)


@pytest.mark.parametrize(("jump", "agrees"), [(0, True), (4, True), (-4, True), (4.1, False), (-4.1, False)])
def test_a_clock_that_went_on_agrees_with_its_earlier_reading(jump: float, *, agrees: bool) -> None:
    later = BridgeClock.read(wall(300 + jump), moment(300), travelled_s=0)

    assert later.agrees_with(CLOCK) is agrees
    assert CLOCK.agrees_with(later) is agrees


@given(st.floats(-1e6, 1e6), st.floats(0, 30), st.floats(-1e6, 1e6))
def test_equal_distances_stay_equal(skew: float, travelled: float, distance: float) -> None:
    clock = BridgeClock.read(wall(skew), moment(0), travelled_s=travelled)
    apart = clock.monotonic(wall(skew + distance)) - clock.monotonic(wall(skew))

    assert apart == pytest.approx(distance, abs=1e-3)


def test_a_slow_answer_is_no_sign_that_a_clock_was_set() -> None:
    clock = BridgeClock(100.0, 0.0)

    assert not BridgeClock(107.0, 7.0).agrees_with(clock)
    assert BridgeClock(107.0, 7.0).agrees_with(clock, travelled_s=14.0)
