"""The kinds of values that a setting can have: how each is read from text, shown and described.

A value is read from the text of its node, not from what YAML makes of it: `01234567` stays an ID and `0123` a
password. A `BadValueError` never contains the text of a value that could be a secret.
"""

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Protocol

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret

NULL_WORDS = frozenset({"", "~", "null", "Null", "NULL"})  # YAML 1.1, as PyYAML reads them
ALL_ACTIONS = frozenset(Action)

_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,3})?")
_SHOWABLE = re.compile(r"[A-Za-z0-9_.+-]{1,40}")
_SECRET_LIMIT = 1024


class Spelling(Enum):
    """How a text was written; only the file knows quotes."""

    PLAIN = "plain"
    QUOTED = "quoted"
    OUTSIDE = "outside"  # environment, command line, or the content of a secret's file


class BadValueError(ValueError):
    """A value that a setting cannot have; the text says what it can have."""


class Kind(Protocol):
    """What every kind of value can do."""

    @property
    def nullable(self) -> bool:
        """Whether `null` is a value."""

    def read(self, text: str, spelling: Spelling) -> object:
        """The value; raises BadValueError."""

    def show(self, value: Any) -> Any:
        """The value as JSON would write it, secrets as three stars."""

    def describe(self) -> str:
        """What can be written, for people."""


def is_clean(text: str) -> bool:
    """Whether a text has no control character, line separator, lone surrogate or noncharacter."""
    return all(
        unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"}
        and ord(char) & 0xFFFE != 0xFFFE
        and not 0xFDD0 <= ord(char) <= 0xFDEF
        for char in text
    )


def closest(word: str, known: Collection[str], *, likeness: float = 0.6) -> str | None:
    """The known word that was probably meant; `likeness` is from 0 (none) to 1 (the same)."""
    near = difflib.get_close_matches(word.lower().replace("-", "_")[:64], known, n=1, cutoff=likeness)
    return near[0] if near else None


def showable(text: str) -> str | None:
    """The text if it is one harmless word: an error repeats nothing else."""
    return text if _SHOWABLE.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    nullable: bool = False

    def read(self, text: str, spelling: Spelling) -> bool:
        """YAML 1.1 words; any case outside the file."""
        word = text.lower()
        is_yaml_case = text in {word, word.upper(), word.capitalize()}
        if spelling is Spelling.QUOTED:
            raise BadValueError("must be true or false, written without quotes")
        if word in _TRUE + _FALSE and (is_yaml_case or spelling is Spelling.OUTSIDE):
            return word in _TRUE
        raise BadValueError("must be true or false")

    def show(self, value: Any) -> Any:
        """The value itself."""
        return value

    def describe(self) -> str:
        """What can be written."""
        return "true or false"


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number with bounds, both included."""

    low: int
    high: int
    nullable: bool = False

    def read(self, text: str, spelling: Spelling) -> int:
        """Decimal digits only: no leading zero, which YAML 1.1 takes for octal."""
        if spelling is Spelling.QUOTED:
            raise BadValueError(f"must be a {self.describe()}, written without quotes")
        if not _WHOLE.fullmatch(text):
            raise BadValueError(f"must be a {self.describe()}")
        value = int(text)
        if not self.low <= value <= self.high:
            raise BadValueError(f"{value} is out of bounds; use {self.low} to {self.high}")
        return value

    def show(self, value: Any) -> Any:
        """The value itself."""
        return value

    def describe(self) -> str:
        """What can be written."""
        return f"whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Seconds:
    """A finite number of seconds with bounds, both included."""

    low: float
    high: float
    nullable: bool = False

    def read(self, text: str, spelling: Spelling) -> float:
        """A decimal number, with or without fraction."""
        if spelling is Spelling.QUOTED:
            raise BadValueError(f"must be a {self.describe()}, written without quotes")
        if not _NUMBER.fullmatch(text):
            raise BadValueError(f"must be a {self.describe()}, written without a unit")
        value = float(text)
        if not math.isfinite(value) or not self.low <= value <= self.high:
            raise BadValueError(f"{text} is out of bounds; use {self.low:g} to {self.high:g}")
        return value

    def show(self, value: Any) -> Any:
        """Whole seconds without a fraction."""
        return int(value) if float(value).is_integer() else value

    def describe(self) -> str:
        """What can be written."""
        return f"number of seconds from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text on one line; `check` raises BadValueError for one that cannot be used."""

    what: str = "text"
    nullable: bool = False
    limit: int = 256
    check: Callable[[str], None] | None = None

    def read(self, text: str, spelling: Spelling) -> str:  # noqa: ARG002 - one signature for all kinds
        """The text as it is."""
        if len(text) > self.limit:
            raise BadValueError(f"must have at most {self.limit} characters, has {len(text)}")
        if not text:
            raise BadValueError("must not be empty")
        if not is_clean(text):
            raise BadValueError("must not contain control characters or line breaks")
        if self.check is not None:
            self.check(text)
        return text

    def show(self, value: Any) -> Any:
        """The text itself."""
        return value

    def describe(self) -> str:
        """What can be written."""
        what = f"{self.what} of at most {self.limit} characters"
        return f"{what} or null" if self.nullable else what


@dataclass(frozen=True, slots=True)
class Hidden:
    """A secret; it can be read from a file too."""

    nullable: bool = True

    def read(self, text: str, spelling: Spelling) -> Secret:  # noqa: ARG002 - one signature for all kinds
        """The secret; no error repeats it, not even its length."""
        if not text:
            raise BadValueError("must not be empty")
        if len(text) > _SECRET_LIMIT:
            raise BadValueError(f"must have at most {_SECRET_LIMIT} characters")
        if not is_clean(text):
            raise BadValueError("must not contain control characters or line breaks")
        return Secret(text)

    def show(self, value: Any) -> Any:
        """Whether it is set."""
        return None if value is None else "***"

    def describe(self) -> str:
        """What can be written."""
        return f"secret text of at most {_SECRET_LIMIT} characters or null"


@dataclass(frozen=True, slots=True)
class Word:
    """One of an enumeration's words; `also` maps further words to them.

    `is_repeated`: whether an error repeats an unknown word; not where a secret may have been written by mistake.
    """

    words: type[StrEnum]
    also: Mapping[str, str] = field(default_factory=dict)
    nullable: bool = False
    is_repeated: bool = True

    def read(self, text: str, spelling: Spelling) -> StrEnum:  # noqa: ARG002 - one signature for all kinds
        """The word in any case."""
        word = text.lower()
        known = [str(member) for member in self.words]
        word = self.also.get(word, word)
        if word in known:
            return self.words(word)
        shown = showable(text) if self.is_repeated else None
        meant = closest(text, known)
        start = f"unknown word {shown}" if shown else "unknown word"
        raise BadValueError(f"{start}; did you mean {meant}?" if meant else f"{start}; use {self.describe()}")

    def show(self, value: Any) -> Any:
        """The word."""
        return str(value)

    def describe(self) -> str:
        """What can be written."""
        *others, last = [str(member) for member in self.words]
        return f"{', '.join(others)} or {last}"


@dataclass(frozen=True, slots=True)
class HexId:
    """A Nuki ID."""

    nullable: bool = True

    def read(self, text: str, spelling: Spelling) -> NukiId:  # noqa: ARG002 - one signature for all kinds
        """One to eight hex digits in any case."""
        return read_nuki_id(text)

    def show(self, value: Any) -> Any:
        """Eight upper-case hex digits."""
        return None if value is None else str(value)

    def describe(self) -> str:
        """What can be written."""
        return "1 to 8 hex digits or null"


def read_nuki_id(text: str) -> NukiId:
    """Read an ID as people write it; raises BadValueError that names the usual mistakes."""
    try:
        return NukiId.from_hex(text)
    except ValueError:
        pass
    if text[:2] in {"0x", "0X"}:
        raise BadValueError("a Nuki ID is written as 1 to 8 hex digits without 0x")
    if re.fullmatch("[0-9]{9,10}", text) and int(text) <= 0xFFFF_FFFF:
        raise BadValueError(f"a Nuki ID is written in hex; this decimal number would be {NukiId(int(text))}")
    if re.fullmatch("[0-9A-Fa-f]{9,64}", text):
        raise BadValueError(f"a Nuki ID has at most 8 hex digits, not {len(text)}")
    raise BadValueError("a Nuki ID is written as 1 to 8 hex digits (0-9, A-F)")
