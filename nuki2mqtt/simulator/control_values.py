"""What the control API is asked, and how it says no. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_EIGHT_HEX = 8


class ControlError(Exception):
    """The request ends with an HTTP status and a sentence for the person who sent it."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        self.sentence = sentence
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: the values in its path, its query, its body as it came."""

    places: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def fields(self, *names: str) -> "Fields":
        """The JSON object of the body, empty without one; raises ControlError where it holds anything else."""
        try:
            value = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            raise ControlError(400, "The body is not JSON.") from None
        if not isinstance(value, dict):
            raise ControlError(400, "The body has to be a JSON object.")
        unknown = sorted(value.keys() - set(names))
        if unknown:
            known = f"it takes {', '.join(names)}" if names else "it takes none"
            raise ControlError(400, f"There is no parameter {unknown[0]!r} here: {known}.")
        return Fields(value)


class Fields:
    """The members of a JSON object; each reader raises ControlError for a value of the wrong kind.

    A member that is left out is the default, and is missed where there is none.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values

    def has(self, name: str) -> bool:
        """Whether it was given."""
        return name in self.values

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ControlError(400, f"{name} has to be a whole number.")
        return value

    def within(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number between two others."""
        value = self.integer(name, default)
        if not least <= value <= most:
            raise ControlError(400, f"{name} has to be from {least} to {most}.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A number between minus and plus 10 years of seconds."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 3.2e8:
            raise ControlError(400, f"{name} has to be a number of seconds.")
        return float(value)

    def switch(self, name: str, *, default: bool | None = None) -> bool:
        """True or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise ControlError(400, f"{name} has to be true or false.")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A text."""
        value = self._value(name, default)
        if not isinstance(value, str) or not value.isprintable():  # half characters are not printable either
            raise ControlError(400, f"{name} has to be a text, without control characters.")
        return value

    def code(self, name: str, words: Mapping[str, int]) -> int:
        """One of these words, or a number of the Bridge API (0 to 255)."""
        value = self._value(name, None)
        if isinstance(value, str) and value in words:
            return words[value]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
            raise ControlError(400, f"{name} has to be one of {', '.join(words)}, or a number from 0 to 255.")
        return value

    def nuki_id(self, name: str) -> int:
        """Eight hex digits."""
        return read_id(self.text(name), name)

    def _value(self, name: str, default: object) -> object:
        value = self.values.get(name, default)
        if value is None:
            raise ControlError(400, f"{name} is missing.")
        return value


def read_id(text: str, name: str) -> int:
    """Eight hex digits; raises ControlError."""
    if len(text) != _EIGHT_HEX or not all(digit in "0123456789abcdefABCDEF" for digit in text):
        raise ControlError(400, f"{name} has to be an ID of eight hex digits, such as 1A2B0101.")
    return int(text, 16)
