"""Keypad codes drawn by chance: valid, unused, and none of those that people guess first.

A keypad hangs outside and has nine keys, so that a code is as good as the number of tries that it takes. Those who try
begin with what people choose (repetitions, rows, lines on the keys, dates); such codes are never drawn. A code that a
person chose may be one of them: that is no rule of Nuki's.
"""

from collections.abc import Callable, Collection
from itertools import pairwise

from nuki2mqtt.model.keypad_rules import CODE_DIGITS, DIGITS, problems_of_code
from nuki2mqtt.model.secret import Secret

_FEWEST_DIFFERENT = 4  # fewer: 112112, 445445, 787878, also every mirrored or doubled half
_LONGEST_EQUAL = 2  # 111 in a row is a repetition
_LONGEST_ROW = 3  # 2345 and 9876 are rows; 234 comes by chance in too many good codes
# The lines of three on the keys 123 / 456 / 789, to and fro: two of them make 147258, 159753, 456789.
_LINES = frozenset(
    line[::step] for line in ("123", "456", "789", "147", "258", "369", "159", "357") for step in (1, -1)
)
# A date without a zero has these days, one of these months and a year without a zero, in three orders.
_DAYS = frozenset(str(day) for day in range(11, 32) if day % 10)
_MONTHS = frozenset({"11", "12"})
_CENTURY = "19"  # 1987 in front or behind; a year of this century has a zero
_MOST_DRAWS = 1000  # about four of five are good: only a broken source of chance needs more


def is_guessable(digits: str) -> bool:
    """Whether six digits are among those that people try first."""
    return (
        len(set(digits)) < _FEWEST_DIFFERENT
        or _longest_run(digits, 0) > _LONGEST_EQUAL
        or max(_longest_run(digits, 1), _longest_run(digits, -1)) > _LONGEST_ROW
        or {digits[:3], digits[3:]} <= _LINES
        or _is_like_a_date(digits)
    )


def _longest_run(digits: str, step: int) -> int:
    """How many digits in a row are each `step` more than the one before."""
    longest = length = 1
    for before, after in pairwise(digits):
        length = length + 1 if int(after) - int(before) == step else 1
        longest = max(longest, length)
    return longest


def _is_like_a_date(digits: str) -> bool:
    first, second, third = digits[:2], digits[2:4], digits[4:]
    return (
        _CENTURY in {first, second}
        or (first in _DAYS and second in _MONTHS)  # day, month, year
        or (first in _MONTHS and second in _DAYS)  # month, day, year
        or (second in _MONTHS and third in _DAYS)  # year, month, day
    )


def draw_code(entropy: Callable[[int], bytes], taken: Collection[Secret]) -> Secret | None:
    """A code that is valid, not in `taken` and not guessable; each of these equally likely.

    `entropy` gives this many bytes fit for cryptography. None where it gave nothing usable in a thousand draws: such a
    source is broken, and no code of it may be used.
    """
    for _ in range(_MOST_DRAWS):
        digits = _draw_digits(entropy)
        if digits is None or is_guessable(digits):
            continue
        code = Secret(digits)
        if not problems_of_code(code) and code not in taken:
            return code
    return None


def _draw_digits(entropy: Callable[[int], bytes]) -> str | None:
    """Six digits, or None where too many bytes had to be thrown away, so that no digit is likelier than another."""
    fair = 256 - 256 % len(DIGITS)
    drawn = [DIGITS[byte % len(DIGITS)] for byte in entropy(2 * CODE_DIGITS) if byte < fair]
    return "".join(drawn[:CODE_DIGITS]) if len(drawn) >= CODE_DIGITS else None
