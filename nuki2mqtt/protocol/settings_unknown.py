"""What to say of a key that does not exist, and which one was probably meant."""

import re
from collections.abc import Mapping

from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_kinds import closest
from nuki2mqtt.protocol.settings_shape import Key, ListOf, Section, TableOf, known_paths, variable_of

_VARIABLES = known_paths(Settings)
_SEVERAL = 3
_SURE = 0.8
_WORD = re.compile("[A-Za-z0-9_-]{0,40}")


def _last(path: str) -> str:
    return path.rsplit(".", 1)[-1]


def joined(path: str, name: str) -> str:
    """The dotted path of a key in a section."""
    return f"{path}.{name}" if path else name


def shown(name: str) -> str:
    """A key as an error shows it: `{password:abc}` is one key to YAML, so only its first word is repeated."""
    word = _WORD.match(name)
    start = word.group() if word else ""
    if not start:
        return "(no word)"
    return start if start == name else f"{start}..."


def unknown_key(path: str, name: str, keys: Mapping[str, Key]) -> str:
    """The error's text for a key of the file or the command line."""
    start = f"{joined(path, shown(name))}: unknown key"
    word = shown(name).removesuffix("...")
    meant = closest(word, keys)
    if meant is not None:
        return f"{start}; did you mean {joined(path, meant)}?"
    near = closest(word, {_last(known) for known in _VARIABLES.values()}, likeness=_SURE)
    if near is not None:
        elsewhere = [known for known in _VARIABLES.values() if _last(known) == near]
        return f"{start}; did you mean {' or '.join(elsewhere[:_SEVERAL])}?"
    return f"{start}; known here: {', '.join(keys)}"


def unknown_variable(variable: str, path: str, name: str | None, keys: Mapping[str, Key]) -> str:
    """The error's text for a variable; `name` is the unknown key, None where it stands deeper than any."""
    values = [known for known, key in keys.items() if not isinstance(key.kind, Section | ListOf | TableOf)]
    meant = closest(name, values) if name is not None else None
    if meant is not None:
        return f"unknown variable; did you mean {variable_of(joined(path, meant))}?"
    near = closest(variable, [known.lower() for known in _VARIABLES], likeness=_SURE)
    if near is not None:
        return f"unknown variable; did you mean {near.upper()}?"
    return "unknown variable; docs/settings.md lists all"
