"""How sections of settings are built: each dataclass field carries its kind and what it is for.

Reader, checks, reference page and tests all walk this one description.
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from nuki2mqtt.protocol.settings_kinds import Hidden, Kind

VARIABLE_PREFIX = "NUKI2MQTT_"
CONFIG_VARIABLE = "NUKI2MQTT_CONFIG"  # the file's own path: read by the command line, no key of the file
EXAMPLE_INDEX = "0"
EXAMPLE_ID = "1A2B3C4D"


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with the keys of a dataclass."""

    shape: type[Any]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of sections."""

    shape: type[Any]
    limit: int


@dataclass(frozen=True, slots=True)
class TableOf:
    """Sections by Nuki ID."""

    shape: type[Any]


@dataclass(frozen=True, slots=True)
class Key:
    """What one key can hold and what it is for."""

    kind: Kind | Section | ListOf | TableOf
    about: str


@dataclass(frozen=True, slots=True)
class LeafKey:
    """A key that holds one value: its dotted path, its kind and its default."""

    path: str
    kind: Kind
    default: object
    about: str
    is_required: bool


def setting(kind: Kind, default: object, about: str) -> Any:
    """A field with a default."""
    return field(default=default, metadata={"key": Key(kind, about)})


def required(kind: Kind, about: str) -> dict[str, Key]:
    """The metadata of a field without a default."""
    return {"key": Key(kind, about)}


def section(shape: type[Any], about: str) -> Any:
    """A field that is a section of its own."""
    return field(default_factory=shape, metadata={"key": Key(Section(shape), about)})


def keys_of(shape: type[Any]) -> dict[str, Key]:
    """The keys of a section, in their order."""
    return {item.name: item.metadata["key"] for item in fields(shape) if "key" in item.metadata}


def leaf_keys(shape: type[Any], path: str = "") -> Iterator[LeafKey]:
    """Every key that holds a value; lists show the index 0 and tables an example ID."""
    for item in fields(shape):
        if "key" not in item.metadata:
            continue
        here = f"{path}.{item.name}" if path else item.name
        described: Key = item.metadata["key"]
        match described.kind:
            case Section(inner):
                yield from leaf_keys(inner, here)
            case ListOf(inner):
                yield from leaf_keys(inner, f"{here}.{EXAMPLE_INDEX}")
            case TableOf(inner):
                yield from leaf_keys(inner, f"{here}.{EXAMPLE_ID}")
            case kind:
                is_required = item.default is MISSING
                default = None if is_required else item.default
                yield LeafKey(here, kind, default, described.about, is_required)


def known_paths(shape: type[Any]) -> dict[str, str]:
    """Every dotted path that can be written, `_file` ones included, by its variable's name."""
    paths: dict[str, str] = {}
    for leaf in leaf_keys(shape):
        paths[variable_of(leaf.path)] = leaf.path
        if isinstance(leaf.kind, Hidden):
            paths[variable_of(leaf.path + "_file")] = leaf.path + "_file"
    return paths


def variable_of(path: str) -> str:
    """The environment variable of a dotted path."""
    return VARIABLE_PREFIX + path.upper().replace(".", "__")
