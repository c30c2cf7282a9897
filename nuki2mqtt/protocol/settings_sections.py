"""Trees -> the dataclasses of the settings, noting each mistake and going on.

A section is read from several trees, the most important first. A mistake counts even where something more
important hides it, so that nothing wrong waits in the file.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.settings_kinds import (
    NULL_WORDS,
    BadValueError,
    Hidden,
    Kind,
    Spelling,
    Text,
    read_nuki_id,
)
from nuki2mqtt.protocol.settings_nodes import (
    Branch,
    Broken,
    Entry,
    Items,
    Leaf,
    Mistake,
    Node,
    Origin,
    Place,
    leaves_of,
)
from nuki2mqtt.protocol.settings_permit import Permit, read_action
from nuki2mqtt.protocol.settings_shape import Key, ListOf, Section, TableOf, keys_of, variable_of
from nuki2mqtt.protocol.settings_unknown import joined, shown, unknown_key, unknown_variable

_ABSENT = object()  # nobody gave a usable value: the default holds
_SECRET_FILE = Text("path", nullable=True, limit=4096)


class SectionReader:
    """Collects `mistakes`, the `places` of the values that hold, and the paths that `failed`."""

    def __init__(self, read_file: Callable[[str], str]) -> None:
        self._read_file = read_file
        self.mistakes: list[Mistake] = []
        self.places: dict[str, Place] = {}
        self.failed: set[str] = set()

    def section(self, shape: type[Any], nodes: Sequence[Node], path: str = "") -> Any:
        """A section's dataclass; keys that nobody gave keep their default."""
        keys = keys_of(shape)
        branches = [branch for node in nodes if (branch := self._branch(node, path)) is not None]
        for branch in branches:
            self._note_unknown(branch, path, keys)
        values: dict[str, Any] = {}
        for item in fields(shape):
            if item.name not in keys:
                continue
            here = joined(path, item.name)
            value = self._value(keys[item.name].kind, branches, item.name, here)
            if value is not _ABSENT:
                values[item.name] = value
            elif item.default is MISSING and item.default_factory is MISSING:
                values[item.name] = ""
                if self.failed.isdisjoint((here, path)):
                    self._note(nodes[0].place, here, "is missing")
        return shape(**values)

    def _value(self, kind: Any, branches: Sequence[Branch], name: str, path: str) -> Any:
        nodes = [branch.entries[name].node for branch in branches if name in branch.entries]
        match kind:
            case Section(shape):
                return self.section(shape, nodes, path)
            case ListOf():
                return self._list(kind, nodes, path)
            case TableOf(shape):
                return self._table(shape, nodes, path)
            case Hidden():
                return self._secret(branches, path)
            case _:
                values = [self._single(kind, node, path) for node in nodes]
                if values and values[0] is not _ABSENT:
                    self.places[path] = nodes[0].place
                return values[0] if values else _ABSENT

    def _single(self, kind: Kind, node: Node, path: str) -> Any:
        """One value, or _ABSENT with a mistake noted."""
        match node:
            case Leaf(text, spelling):
                if kind.nullable and (_is_null(node) or not text):
                    return None
                if _is_null(node):
                    return self._note(node.place, path, f"must not be empty; write {kind.describe()}")
                try:
                    return kind.read(text, spelling)
                except BadValueError as error:
                    return self._note(node.place, path, str(error))
            case Broken():
                self.failed.add(path)
                return _ABSENT
            case Items() if isinstance(kind, Permit):
                return self._actions(node.items, path)
            case Branch() if node.place.origin is not Origin.FILE:
                if isinstance(kind, Permit):
                    return self._actions([item for _, item in self._indexed(node, path)], path)
                self._note_outside(node, path, None, {})
                self.failed.add(path)
                return _ABSENT
            case Items() | Branch():
                what = "a list" if isinstance(node, Items) else "a section"
                return self._note(node.place, path, f"must not be {what}; write {kind.describe()}")

    def _actions(self, nodes: Sequence[Node], path: str) -> Any:
        actions: set[Action] = set()
        for node in nodes:
            if isinstance(node, Leaf):
                try:
                    actions.add(read_action(node.text))
                except BadValueError as error:
                    self._note(node.place, path, str(error))
            elif not isinstance(node, Broken):
                self._note(node.place, path, "must be a list of action words")
        return frozenset(actions)

    def _secret(self, branches: Sequence[Branch], path: str) -> Any:
        """A secret or the content of its file; the most important tree that has either of them decides."""
        name = path.rsplit(".", 1)[-1]
        secret: Any = _ABSENT
        for branch in reversed(branches):
            own, file = branch.entries.get(name), branch.entries.get(f"{name}_file")
            text = self._single(Hidden(), own.node, path) if own else None
            source = self._single(_SECRET_FILE, file.node, f"{path}_file") if file else None
            if file and text is not None and source is not None:
                self._note(file.place, f"{path}_file", f"cannot be given beside {path}; keep one of them")
                secret = None
            elif file and source is not None:
                secret, self.places[path] = source, file.node.place
            elif own:
                secret, self.places[path] = text, own.node.place
            elif file:
                secret, self.places[path] = source, file.node.place
        # A path is still a text, a secret is one no longer.
        return self._content(secret, path) if isinstance(secret, str) else secret

    def _content(self, source: str, path: str) -> Any:
        """The secret in a file, without the line break at its end."""
        place = self.places[path]
        try:
            content = self._read_file(source)
        except OSError as error:
            return self._note(place, f"{path}_file", f"cannot be read ({error.strerror or 'no reason given'})")
        except ValueError:
            return self._note(place, f"{path}_file", "cannot be read (not a text in UTF-8)")
        content = content.removesuffix("\n").removesuffix("\r")
        try:
            return Hidden().read(content, Spelling.OUTSIDE)
        except BadValueError as error:
            return self._note(place, f"{path}_file", f"its content {error}")

    def _list(self, kind: ListOf, nodes: Sequence[Node], path: str) -> tuple[Any, ...]:
        columns: dict[int, list[Node]] = {}
        for node in nodes:
            for index, item in self._indexed(node, path):
                columns.setdefault(index, []).append(item)
        sections: list[Any] = []
        for index in sorted(columns):
            here = f"{path}.{index}"
            if index >= kind.limit:
                self._note(columns[index][0].place, here, f"there can be at most {kind.limit}")
                break
            if index != len(sections):
                self._note(columns[index][0].place, here, f"{path}.{len(sections)} is missing; count from 0")
                break
            sections.append(self.section(kind.shape, columns[index], here))
        return tuple(sections)

    def _indexed(self, node: Node, path: str) -> Iterator[tuple[int, Node]]:
        """The items of a list; outside the file it is a mapping of indices."""
        match node:
            case Items(items):
                yield from enumerate(items)
            case Leaf() if _is_null(node):
                pass
            case Branch(entries) if node.place.origin is not Origin.FILE:
                for name, entry in sorted(entries.items()):
                    if re.fullmatch("0|[1-9][0-9]{0,3}", name):
                        yield int(name), entry.node
                    else:
                        self._note_outside(entry.node, path, None, {})
            case Leaf() | Branch():
                example = f"{variable_of(path)}__0__..." if node.place.origin is not Origin.FILE else "- ..."
                self._note(node.place, path, f"must be a list; write each item as {example}")
            case Broken():
                self.failed.add(path)

    def _table(self, shape: type[Any], nodes: Sequence[Node], path: str) -> Mapping[NukiId, Any]:
        columns: dict[NukiId, list[Node]] = {}
        for node in nodes:
            branch = self._branch(node, path)
            first: dict[NukiId, Entry] = {}
            for name, entry in branch.entries.items() if branch else ():
                here = joined(path, shown(name))
                try:
                    nuki_id = read_nuki_id(name)
                except BadValueError as error:
                    self._note(entry.place, here, str(error))
                    continue
                if nuki_id in first:
                    self._note(entry.place, here, f"the same ID as at {first[nuki_id].place}")
                    continue
                first[nuki_id] = entry
                columns.setdefault(nuki_id, []).append(entry.node)
        return MappingProxyType(
            {nuki_id: self.section(shape, column, f"{path}.{nuki_id}") for nuki_id, column in columns.items()}
        )

    def _branch(self, node: Node, path: str) -> Branch | None:
        match node:
            case Branch():
                return node
            case Leaf() if _is_null(node):
                return None
            case Broken():
                self.failed.add(path)
                return None
            case Leaf() | Items():
                if node.place.origin is not Origin.FILE:
                    text = f"must be a section; set its keys, as in {variable_of(path)}__..."
                else:
                    text = "must be a section with keys of its own" if path else "the file must begin with keys"
                self._note(node.place, path, text)
                return None

    def _note_unknown(self, branch: Branch, path: str, keys: Mapping[str, Key]) -> None:
        known = {*keys, *(f"{name}_file" for name, key in keys.items() if isinstance(key.kind, Hidden))}
        for name, entry in branch.entries.items():
            if name in known:
                continue
            if entry.place.origin is Origin.FILE:
                self.mistakes.append(Mistake(entry.place, unknown_key(path, name, keys)))
            else:
                self._note_outside(entry.node, path, name, keys)

    def _note_outside(self, node: Node, path: str, name: str | None, keys: Mapping[str, Key]) -> None:
        """An unknown key outside the file: each variable below it is a mistake of its own."""
        last = name if isinstance(node, Leaf) else None
        for leaf in leaves_of(node):
            if leaf.place.origin is Origin.COMMAND_LINE:
                text = unknown_key(path, name or "", keys)
            else:
                text = unknown_variable(leaf.place.name, path, last, keys)
            self.mistakes.append(Mistake(leaf.place, text))

    def _note(self, place: Place, path: str, text: str) -> Any:
        self.mistakes.append(Mistake(place, f"{path}: {text}" if path else text))
        self.failed.add(path)
        return _ABSENT


def _is_null(leaf: Leaf) -> bool:
    return leaf.spelling is not Spelling.QUOTED and leaf.text in NULL_WORDS
