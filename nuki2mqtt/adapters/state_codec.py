"""What is in the state file: JSON with a version, read tolerantly and written exactly.

A broken entry is dropped and named; a broken frame (no JSON, no version, no seed) makes the whole file
unreadable, so that the former one is used.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from cattrs import Converter

from nuki2mqtt.errors import StateFileError, UnreadableBody
from nuki2mqtt.gateway.vocabulary import Memory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret

VERSION = 1

Migration = Callable[[dict[str, Any]], dict[str, Any]]
# From each older version to the next one; the function gets and returns the whole JSON object.
MIGRATIONS: Mapping[int, Migration] = {}

_SEED = re.compile(r"[0-9a-f]{8}")
_CALLBACK_SECRET = re.compile(r"[0-9a-f]{32}")
# What reading an entry of any shape can raise.
_BAD_ENTRY = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True)
class StateContents:
    """Everything in the state file; `dropped` names the entries that could not be read."""

    seed: str
    callback_secret: Secret
    memory: Memory
    dropped: tuple[str, ...] = ()


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:  # also tells True from 1
            raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
        return value

    return structure


def _secret(value: Any, _: Any) -> Secret:
    if not isinstance(value, str) or not value:
        raise TypeError("no text")
    return Secret(value)


def _time(value: Any, _: Any) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise TypeError("a time without an offset")
    return at


# Sets in an order of their own, so that equal memories are equal files.
_converter = Converter(detailed_validation=False, unstruct_collection_overrides={frozenset: sorted})
_converter.register_structure_hook(str, _exactly(str))
_converter.register_structure_hook(int, _exactly(int))
_converter.register_structure_hook(bool, _exactly(bool))
_converter.register_structure_hook(float, _exactly(float))
_converter.register_structure_hook(StrEnum, lambda value, kind: kind(value))
_converter.register_structure_hook(NukiId, lambda value, _: NukiId.from_hex(value))
_converter.register_structure_hook(Secret, _secret)
_converter.register_structure_hook(datetime, _time)
_converter.register_unstructure_hook(datetime, datetime.isoformat)
_converter.register_unstructure_hook(NukiId, str)
_converter.register_unstructure_hook(Secret, Secret.reveal)


def render_state(contents: StateContents, version: int = VERSION) -> bytes:
    """The bytes of the file. The only place where tokens are written in clear."""
    data = {
        "version": version,
        "seed": contents.seed,
        "callback_secret": contents.callback_secret.reveal(),
        **_converter.unstructure(contents.memory),
    }
    return (_spread(data, _spread) + "\n").encode()


def _spread(data: Mapping[str, Any], render: Callable[[Any], str] = json.dumps) -> str:
    """A line for each entry, for people who look; `json.dumps` with an indent is not its fast half."""
    items = (
        f"{json.dumps(key)}: {render(value) if isinstance(value, dict) and value else json.dumps(value)}"
        for key, value in data.items()
    )
    return "{\n" + ",\n".join(items) + "\n}"  # ASCII: a name may hold half a surrogate pair


def read_state(body: bytes, version: int = VERSION, migrations: Mapping[int, Migration] = MIGRATIONS) -> StateContents:
    """Read the file, of this version or an older one.

    Raises UnreadableBody for a broken frame, StateFileError (`newer`) for the file of a later version.
    """
    data = _migrated(_load(body), version, migrations)
    seed, secret = data.get("seed"), data.get("callback_secret")
    if not isinstance(seed, str) or not _SEED.fullmatch(seed):
        raise UnreadableBody("no seed of eight hex digits")
    if not isinstance(secret, str) or not _CALLBACK_SECRET.fullmatch(secret):
        raise UnreadableBody("no callback secret of 32 hex digits")
    memory, dropped = _memory(data)
    return StateContents(seed, Secret(secret), memory, dropped)


def _load(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise UnreadableBody("not JSON; broken off or damaged") from None  # the text would show what is in it
    if not isinstance(data, dict):
        raise UnreadableBody("not a JSON object")
    return data


def _migrated(data: dict[str, Any], version: int, migrations: Mapping[int, Migration]) -> dict[str, Any]:
    found = data.get("version")
    if type(found) is not int or found < 1:
        raise UnreadableBody("no version number")
    if found > version:
        raise StateFileError(
            f"the state file was written by a later nuki2mqtt (file version {found}, this one reads up to"
            f" {version}): start the later one again, or give this one an empty folder (state_dir) and pair",
            newer=True,
        )
    for step in range(found, version):
        if step not in migrations:
            raise UnreadableBody(f"version {step}, which nothing reads any more")
        try:
            data = {**migrations[step](data), "version": step + 1}
        except _BAD_ENTRY:
            raise UnreadableBody(f"version {step}, but not as that version wrote it") from None
    return data


def _memory(data: Mapping[str, Any]) -> tuple[Memory, tuple[str, ...]]:
    hints = get_type_hints(Memory)
    values: dict[str, Any] = {}
    dropped: list[str] = []
    for field in fields(Memory):
        if field.name not in data:
            continue  # an older file of this version; the default stands
        value, kind = data[field.name], hints[field.name]
        if get_origin(kind) is not dict:
            try:
                values[field.name] = _converter.structure(value, kind)
            except _BAD_ENTRY:
                dropped.append(field.name)
        elif isinstance(value, dict):
            values[field.name], lost = _entries(field.name, value, kind)
            dropped.extend(lost)
        else:
            raise UnreadableBody(f"{field.name} is not an object")
    return Memory(**values), tuple(dropped)


def _entries(name: str, value: Mapping[str, Any], kind: Any) -> tuple[dict[Any, Any], list[str]]:
    key_kind, value_kind = get_args(kind)
    entries, lost = {}, []
    for key, entry in value.items():
        try:
            entries[_converter.structure(key, key_kind)] = _converter.structure(entry, value_kind)
        except _BAD_ENTRY:
            lost.append(f"{name} {key[:40]!r}")
    return entries, lost
