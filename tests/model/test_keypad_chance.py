"""Codes drawn by chance: valid, unused, not guessable, each equally likely."""

from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.model.keypad_chance import draw_code, is_guessable
from nuki2mqtt.model.keypad_rules import DIGITS, problems_of_code
from nuki2mqtt.model.secret import Secret

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def source_of(data: bytes) -> Callable[[int], bytes]:
    """Chance that gives these bytes, and then sevens."""
    rest = iter(data)
    return lambda count: bytes(next(rest, 7) for _ in range(count))


@pytest.mark.parametrize(
    "digits",
    [
        "111111",
        "787878",  # two digits
        "445445",  # three digits
        "391193",  # mirrored
        "381113",
        "345673",  # a row within
        "913456",
        "987659",
        "982345",
        "147258",  # two columns
        "369741",
        "159753",
        "789456",
        "198537",  # a year in front
        "371985",  # and behind
        "241185",  # day, month, year
        "311276",
        "112485",  # month, day, year
        "851124",  # year, month, day
    ],
)
def test_what_people_try_first(digits: str) -> None:
    assert is_guessable(digits)


@pytest.mark.parametrize("digits", ["839275", "618294", "274918", "147259", "331385", "251385", "234987", "883349"])
def test_what_nobody_tries_first(digits: str) -> None:
    assert not is_guessable(digits)


def test_how_many_codes_there_are_to_draw() -> None:
    every = ["".join(digits) for digits in product(DIGITS, repeat=6)]
    valid = [digits for digits in every if not problems_of_code(Secret(digits))]
    good = [digits for digits in valid if not is_guessable(digits)]

    assert len(valid) == 9**6 - 9**4  # reference 6.1
    assert len(good) == 447_169


def test_each_digit_is_equally_likely() -> None:
    rest = bytes([7, 2, 6, 1, 8, 3])  # 83729 and a 4 for the byte that is thrown away
    drawn = [draw_code(source_of(bytes([byte]) + rest), ()) for byte in range(256)]
    first_digits = Counter(code.reveal()[0] for code in drawn[:252] if code is not None)

    assert first_digits == dict.fromkeys(DIGITS, 28)
    assert drawn[252:] == [Secret("837294")] * 4


def test_a_taken_code_is_not_drawn() -> None:
    first, second = bytes([7, 2, 8, 1, 6, 4]) + bytes(6), bytes([1, 6, 3, 0, 8, 5]) + bytes(6)

    assert draw_code(source_of(first + second), ()) == Secret("839275")
    assert draw_code(source_of(first + second), {Secret("839275")}) == Secret("274196")


@pytest.mark.parametrize("byte", [0, 7, 252, 255])
def test_a_broken_source_gives_no_code(byte: int) -> None:
    assert draw_code(lambda count: bytes([byte]) * count, ()) is None


@PATIENT
@given(st.binary(max_size=200))
def test_whatever_is_drawn_is_good(data: bytes) -> None:
    code = draw_code(source_of(data), {Secret("839275")})

    if code is not None:
        assert problems_of_code(code) == set()
        assert not is_guessable(code.reveal())
        assert code != Secret("839275")
