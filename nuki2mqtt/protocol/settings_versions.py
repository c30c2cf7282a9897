"""Versions of the file's layout: an older file is migrated, a newer one refused.

A migration takes the tree of a file of version n and returns that of version n + 1. The places in the file
stay, so that errors still point at what the user wrote.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from nuki2mqtt.protocol.settings_kinds import BadValueError, Spelling
from nuki2mqtt.protocol.settings_nodes import Branch, Entry, Leaf, Mistake

VERSION = 1

Migration = Callable[[Branch], Branch]
MIGRATIONS: Mapping[int, Migration] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the file's layout."""

    nullable: bool = False

    def read(self, text: str, spelling: Spelling) -> int:
        """The current version; older ones were migrated before."""
        number = _number(text) if spelling is not Spelling.QUOTED else None
        if number is None:
            raise BadValueError(f"must be a whole number, without quotes; write version: {VERSION}")
        if number > VERSION:
            raise BadValueError(_newer(number, VERSION))
        if number < VERSION:
            raise BadValueError(f"there is no version {number}; write version: {VERSION}")
        return number

    def show(self, value: Any) -> Any:
        """The number."""
        return value

    def describe(self) -> str:
        """What can be written."""
        return str(VERSION)


def migrate(root: Branch, *, current: int = VERSION, migrations: Mapping[int, Migration] = MIGRATIONS) -> Branch:
    """The same settings in the current layout; a version that cannot be read stays as it is."""
    number = _version_of(root)
    if number is None or not 1 <= number < current:
        return root
    for step in range(number, current):
        root = migrations[step](root)
    place = root.entries["version"].place
    written = Entry(Leaf(str(current), Spelling.PLAIN, place), place)
    return replace(root, entries={**root.entries, "version": written})


def refusal_of_newer(root: Branch, *, current: int = VERSION) -> Mistake | None:
    """The only thing to be said of a file of a later version: its other keys cannot be judged."""
    number = _version_of(root)
    if number is None or number <= current:
        return None
    return Mistake(root.entries["version"].node.place, f"version: {_newer(number, current)}")


def _newer(number: int, current: int) -> str:
    return f"this file has version {number}, this program knows up to {current}; use a newer nuki2mqtt"


def _version_of(root: Branch) -> int | None:
    entry = root.entries.get("version")
    if entry is None or not isinstance(entry.node, Leaf) or entry.node.spelling is not Spelling.PLAIN:
        return None
    return _number(entry.node.text)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else None
