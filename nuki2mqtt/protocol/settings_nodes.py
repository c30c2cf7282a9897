"""Trees of settings as they were written, each node with its place.

Three of them are made: of the file (`settings_yaml`), of the environment and of the command line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from nuki2mqtt.errors import SettingsProblem
from nuki2mqtt.protocol.settings_kinds import Spelling


class Origin(IntEnum):
    """Who said it; a later one goes before an earlier one."""

    FILE = 0
    ENVIRONMENT = 1
    COMMAND_LINE = 2


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written; ordered as a reader looks for it."""

    origin: Origin
    line: int
    column: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.origin is Origin.FILE else self.name


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake at its place."""

    place: Place
    text: str

    def problem(self) -> SettingsProblem:
        """The mistake as the error carries it."""
        return SettingsProblem(str(self.place), self.text)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One text; it may be a secret."""

    text: str = field(repr=False)
    spelling: Spelling
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands under a key, and where the key stands."""

    node: "Node"
    place: Place


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping."""

    entries: Mapping[str, Entry]
    place: Place


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that cannot be used and was reported already."""

    place: Place


Node = Leaf | Items | Branch | Broken


def leaves_of(node: Node) -> Iterator[Leaf]:
    """All texts of a tree."""
    match node:
        case Leaf():
            yield node
        case Items(items):
            for item in items:
                yield from leaves_of(item)
        case Branch(entries):
            for entry in entries.values():
                yield from leaves_of(entry.node)
        case Broken():
            pass


def tree_of_paths(leaves: Mapping[tuple[str, ...], Leaf], place: Place) -> tuple[Branch, list[Mistake]]:
    """The tree of what was given by path; a list shows as a mapping of its indices."""
    groups: dict[str, dict[tuple[str, ...], Leaf]] = {}
    for path, leaf in leaves.items():
        groups.setdefault(path[0], {})[path[1:]] = leaf
    entries: dict[str, Entry] = {}
    mistakes: list[Mistake] = []
    for name, group in groups.items():
        own = group.pop((), None)
        if own is not None:
            entries[name] = Entry(own, own.place)
            mistakes += [Mistake(leaf.place, f"cannot be given beside {own.place}") for leaf in group.values()]
            continue
        first = min(leaf.place for leaf in group.values())
        branch, deeper = tree_of_paths(group, first)
        entries[name] = Entry(branch, first)
        mistakes += deeper
    return Branch(entries, place), mistakes
