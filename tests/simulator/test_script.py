"""People come, go and ring: the same for the same seed, within the laws of doors, and never without end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, House, SimulatedDevice, SimulatedLock, SimulatedOpener, Timing
from nuki2mqtt.simulator.script import (
    DOOR_CLOSED,
    DOOR_OPEN,
    Chance,
    Script,
    close_door,
    lock_by_button,
    lock_by_hand,
    open_door,
    ring,
    unlock_by_hand,
    unlock_by_keypad,
)

NOW = 1_700_000_000.0
TIMING = Timing()
EXPECTED = [
    "somebody unlocks Front by hand",
    "somebody opens Front",
    "somebody closes Front",
    "somebody unlocks Garage by hand",
    "somebody opens Front",
    "somebody closes Front",
    "somebody presses the button of Front",
    "somebody locks Garage by hand",
]
LIMIT = 20_000


def full_house() -> House:
    house = House(now=NOW)
    house.add(SimulatedLock(nuki_id=1, name="Front", door=DOOR_CLOSED, keypad_critical=False))
    house.add(SimulatedLock(nuki_id=2, name="Garage"))
    house.add(SimulatedOpener(nuki_id=3, name="Intercom"))
    return house


def play(script: Script) -> list[tuple[float, str]]:
    """All that happens until the script ends, each with its time."""
    told: list[tuple[float, str]] = []
    for _ in range(LIMIT):
        at = script.next_at()
        if at is None:
            return told
        told += [(round(at - NOW, 3), text) for text in script.advance(at)]
    raise AssertionError("the script does not end")


def test_the_same_seed_is_the_same_life_and_another_is_another() -> None:
    def life(seed: int) -> list[tuple[float, str]]:
        house = full_house()
        return play(Script(house, seed=seed, timing=TIMING, visits=40))

    assert life(1) == life(1)
    assert life(1) != life(2)


def test_the_beginning_of_a_life_is_that_of_every_version() -> None:
    house = full_house()
    told = [text for _, text in play(Script(house, seed=4, timing=TIMING, visits=4))]
    assert told == EXPECTED


def test_nobody_comes_through_a_letter_box() -> None:
    house = House(now=NOW)
    house.add(SimulatedLock(nuki_id=1, device_type=1, name="Parcels"))
    assert play(Script(house, seed=4, timing=TIMING, visits=4)) == []


def test_in_a_long_life_everything_happens() -> None:
    house = full_house()
    told = [text for _, text in play(Script(house, seed=7, timing=TIMING, visits=200))]
    assert set(told) == {
        "somebody unlocks Front by hand",
        "somebody unlocks Garage by hand",
        "somebody types a code at Front",
        "somebody opens Front",
        "somebody closes Front",
        "somebody locks Front by hand",
        "somebody locks Garage by hand",
        "somebody presses the button of Front",
        "somebody presses the button of Garage",
        "somebody rings at Intercom",
    }


@given(seed=st.integers(), steps=st.lists(st.floats(0.1, 3600), min_size=1, max_size=60))
def test_however_time_goes_doors_obey_their_laws_and_no_call_does_much(seed: int, steps: list[float]) -> None:
    house = full_house()
    front = house.devices[0]
    assert isinstance(front, SimulatedLock)
    broken: list[str] = []

    def look(device: SimulatedDevice) -> None:
        if device is front and front.door == DOOR_OPEN and front.state == LOCKED:
            broken.append("locked while open")

    house.observe(look)
    script, now = Script(house, seed=seed, timing=TIMING), NOW
    for step in steps:
        now += step
        assert len(script.advance(now)) <= 4
        assert house.now == now
        at = script.next_at()
        assert at is not None
        assert now < at < now + 60
    assert broken == []


def test_the_number_of_visits_is_bounded() -> None:
    house = full_house()
    script = Script(house, seed=1, timing=TIMING, visits=3)
    assert len([text for _, text in play(script) if "closes" not in text]) >= 3
    assert script.next_at() is None
    assert script.advance(house.now + 10_000) == []
    assert Script(house, seed=1, timing=TIMING, visits=0).next_at() is None


def test_the_pace_shortens_the_pauses() -> None:
    house = full_house()
    slow = Script(house, seed=1, timing=TIMING).next_at()
    fast = Script(house, seed=1, timing=TIMING, pace=0.1).next_at()
    assert slow is not None
    assert fast is not None
    assert fast - NOW == pytest.approx((slow - NOW) / 10)


def test_nobody_lives_in_an_empty_house() -> None:
    house = House(now=NOW)
    assert Script(house, seed=1, timing=TIMING).next_at() is None
    house.add(SimulatedOpener(nuki_id=3, name=b"Bell \xff"))
    told = play(Script(house, seed=1, timing=TIMING, visits=2))
    assert [text for _, text in told] == ["somebody rings at Bell \N{REPLACEMENT CHARACTER}"] * 2


def test_what_cannot_be_done_is_not_done() -> None:
    house = full_house()
    front, garage, bell = house.devices
    assert isinstance(front, SimulatedLock)
    assert isinstance(garage, SimulatedLock)
    assert isinstance(bell, SimulatedOpener)
    assert open_door(front) is None, "it is locked"
    assert lock_by_hand(front) is None, "it is locked already"
    assert lock_by_button(front, TIMING) is None
    assert close_door(front) is None, "it is closed"
    assert open_door(garage) is None, "it has no sensor"
    assert unlock_by_hand(front) is not None
    assert (front.state, front.turns) == (UNLOCKED, 0)
    assert unlock_by_hand(front) is None
    assert unlock_by_keypad(front, TIMING) is None
    assert open_door(front) is not None
    assert lock_by_hand(front) is None, "it is open"
    assert lock_by_button(front, TIMING) is None
    assert close_door(front) is not None
    assert lock_by_button(front, TIMING) is not None
    house.advance(NOW + 60)
    assert (front.state, front.turns) == (LOCKED, 1)
    assert unlock_by_keypad(front, TIMING) is not None
    house.advance(NOW + 120)
    assert (front.state, front.turns) == (UNLOCKED, 2)
    assert ring(bell) is not None
    assert bell.is_ringing


def test_chance_is_even_enough() -> None:
    chance = Chance(3)
    drawn = [chance.fraction() for _ in range(1000)]
    assert 0 <= min(drawn) < 0.02
    assert 0.98 < max(drawn) < 1
    assert 0.45 < sum(drawn) / len(drawn) < 0.55
    assert {chance.pick("abc") for _ in range(50)} == set("abc")
    assert all(2 <= chance.between((2, 4)) < 4 for _ in range(50))
