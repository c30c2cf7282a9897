"""The file's text -> the tree of what it says.

The tree is built from the events of PyYAML's parser, always the one written in Python, so that places and
messages are the same everywhere. So texts stay texts, and aliases, tags, duplicate keys, deep nesting and
floods of entries are met before anything is built of them. What the parser says of broken YAML is reworded,
because it can quote a piece of a secret.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_kinds import Spelling, showable
from nuki2mqtt.protocol.settings_nodes import Branch, Broken, Entry, Items, Leaf, Mistake, Node, Origin, Place
from nuki2mqtt.protocol.settings_shape import EXAMPLE_ID, EXAMPLE_INDEX, leaf_keys

TEXT_LIMIT = 1024 * 1024
DEPTH_LIMIT = 20
EVENT_LIMIT = 20_000

_UNREADABLE = "this is not readable as YAML; check the indentation, colons and quotes here and above"
_REWORDED = (
    (
        "mapping values are not allowed",
        "a colon where none can be; put quotes around a text that contains it",
    ),
    ("could not find expected ':'", "a colon is missing"),
    ("found character '\\t'", "a tab; indent with spaces"),
    ("found unexpected end of stream", "a quote was opened and never closed"),
    ("found unknown escape character", 'an unknown escape; write \\\\ for a backslash inside "..."'),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("expected the node content", "a value is missing here"),
    ("expected ',' or", "a comma or a closing bracket is missing"),
)
# An index of a list or an ID, and every path that has keys of ours below it.
_ITEM = re.compile("[0-9A-Fa-f]{1,8}")
_SECTIONS = frozenset(
    tuple("*" if level in {EXAMPLE_INDEX, EXAMPLE_ID} else level for level in levels[:depth])
    for levels in (leaf.path.split(".") for leaf in leaf_keys(Settings))
    for depth in range(len(levels))
)


class UnreadableFileError(Exception):
    """The text is no YAML that we read; nothing else can be said of it."""

    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake
        super().__init__(str(mistake.place))


def read_tree(text: str, file_name: str) -> tuple[Node | None, list[Mistake]]:
    """The file's tree (None where it says nothing) and its mistakes; raises UnreadableFileError."""
    start = Place(Origin.FILE, 1, 1, file_name)
    if len(text) > TEXT_LIMIT:
        raise UnreadableFileError(Mistake(start, "the file has more than 1 MiB; this cannot be a settings file"))
    builder = _Builder(file_name)
    try:
        return builder.file(yaml.parse(text, Loader=yaml.SafeLoader)), builder.mistakes
    except yaml.reader.ReaderError as error:
        place = _place_of_character(text, error.position, file_name)
        broken = Mistake(place, "a character that YAML does not allow")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = start if mark is None else Place(Origin.FILE, mark.line + 1, mark.column + 1, file_name)
        broken = Mistake(place, _reworded(error.problem or ""))
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML lets numbers of the %YAML line and \U escapes beyond Unicode through to int() and chr().
        broken = Mistake(start, _UNREADABLE)
    raise UnreadableFileError(broken)  # outside of any handler: PyYAML's error shows a piece of the file


def _is_section(path: str) -> bool:
    """Whether keys of ours stand below this path: anything below a secret may be a piece of it."""
    levels = tuple("*" if _ITEM.fullmatch(level) else level for level in path.split(".")[:-1])
    return levels in _SECTIONS


def _reworded(problem: str) -> str:
    return next((ours for theirs, ours in _REWORDED if problem.startswith(theirs)), _UNREADABLE)


def _place_of_character(text: str, position: int, file_name: str) -> Place:
    before = text[:position]
    return Place(Origin.FILE, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1, file_name)


class _Builder:
    """Takes events one by one; every event is counted, every nesting too."""

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self.mistakes: list[Mistake] = []
        self.count = 0

    def file(self, events: Iterator[Any]) -> Node | None:
        """The one document of a file."""
        root: Node | None = None
        for event in events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            if root is not None:
                raise UnreadableFileError(
                    Mistake(self._place(event), "a second document begins here; one file is one document")
                )
            root = self._node(next(events), events, "", 0)
        return root

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(Origin.FILE, mark.line + 1, mark.column + 1, self.file_name)

    def _node(self, event: Any, events: Iterator[Any], path: str, depth: int) -> Node:
        place = self._place(event)
        self._count(place, depth)
        if isinstance(event, yaml.AliasEvent):
            self.mistakes.append(Mistake(place, "aliases (*name) are not read here; write the value itself"))
            return Broken(place)
        if event.anchor is not None:
            self.mistakes.append(Mistake(place, "anchors (&name) are not read here; remove it"))
        if event.tag is not None:
            self.mistakes.append(
                Mistake(place, "tags (!name) are not read here; a secret can come from a file by its _file key")
            )
        if isinstance(event, yaml.ScalarEvent):
            spelling = Spelling.PLAIN if event.style is None else Spelling.QUOTED
            return Leaf(event.value, spelling, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(events, path, place, depth)
        return self._branch(events, path, place, depth)

    def _count(self, place: Place, depth: int) -> None:
        self.count += 1
        if self.count > EVENT_LIMIT:
            raise UnreadableFileError(Mistake(place, f"more than {EVENT_LIMIT} entries; this cannot be settings"))
        if depth > DEPTH_LIMIT:
            raise UnreadableFileError(Mistake(place, f"more than {DEPTH_LIMIT} levels; this cannot be settings"))

    def _items(self, events: Iterator[Any], path: str, place: Place, depth: int) -> Items:
        items: list[Node] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, events, f"{path}{len(items)}.", depth + 1))
        return Items(tuple(items), place)

    def _branch(self, events: Iterator[Any], path: str, place: Place, depth: int) -> Branch:
        entries: dict[str, Entry] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._node(event, events, path, depth + 1)
            name = key.text if isinstance(key, Leaf) else None
            value = self._node(next(events), events, f"{path}{showable(name or '') or '...'}.", depth + 1)
            if name is None:
                if not isinstance(key, Broken):
                    self.mistakes.append(Mistake(key.place, "a key must be a word"))
            elif name in entries:
                first = entries[name].place.line
                shown = path + (showable(name) or "this key") if _is_section(path) else "this key"
                self.mistakes.append(Mistake(key.place, f"{shown}: given twice, first in line {first}"))
            else:
                entries[name] = Entry(value, key.place)
        return Branch(entries, place)
