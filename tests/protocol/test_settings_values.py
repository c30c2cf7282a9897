"""Every bound, every word, every boolean: what is accepted, and what is said of the rest."""

import pytest

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_checks import NOT_IN_THIS_VERSION
from nuki2mqtt.protocol.settings_kinds import Flag, Hidden, Seconds, Whole, Word
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_shape import LeafKey, leaf_keys


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def read(text: str) -> Settings:
    return read_settings(text, read_file=no_file)


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(text)
    return [(problem.place, problem.text) for problem in caught.value.problems]


def in_file(path: str, value: str) -> str:
    """The shortest file that sets one key; the value is the last thing in it."""
    first, *rest = path.split(".")
    lines = [f"{first}:"]
    indent = "  "
    for name in rest:
        if name == "0":
            lines.append(f"{indent}- host: 192.0.2.10" if rest[-1] != "host" else f"{indent}- port: 8080")
        else:
            lines.append(f"{indent}{name}:")
        indent += "  "
    return "\n".join(lines) + f" {value}"


LEAVES = list(leaf_keys(Settings))
NUMBERS = [leaf for leaf in LEAVES if isinstance(leaf.kind, Whole | Seconds)]
BOUNDS = {
    "mqtt.port": (1, 65535),
    "bridges.0.port": (1, 65535),
    "callback.port": (1, 65535),
    "web.port": (1, 65535),
    "poll.list_s": (1, 3600),
    "poll.info_s": (30, 86400),
    "poll.min_gap_s": (0, 10),
    "poll.offline_after_scans": (0, 1000),
    "poll.forced_min_s": (10, 86400),
    "poll.forced_per_day": (0, 1000),
    "commands.ttl_s": (1, 60),
    "commands.confirm_s": (2, 300),
    "nuki_web.poll_s": (10, 3600),
    "nuki_web.webhook.port": (1, 65535),
}


def test_every_number_has_its_bounds_listed_here() -> None:
    assert {leaf.path for leaf in NUMBERS} == set(BOUNDS)


def value_at(settings: Settings, path: str) -> object:
    value: object = settings
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, tuple) else getattr(value, name)
    return value


@pytest.mark.parametrize(("path", "bounds"), BOUNDS.items())
def test_both_bounds_are_accepted(path: str, bounds: tuple[int, int]) -> None:
    for bound in bounds:
        assert value_at(read(in_file(path, str(bound))), path) == bound


@pytest.mark.parametrize("leaf", NUMBERS, ids=lambda leaf: leaf.path)
def test_beyond_a_bound(leaf: LeafKey) -> None:
    low, high = BOUNDS[leaf.path]
    step = "0.001" if isinstance(leaf.kind, Seconds) else "1"
    for value in (f"{low - float(step):g}", f"{high + float(step):.10g}", "1" + "0" * 17):
        [(_, text)] = problems(in_file(leaf.path, value))
        assert text == f"{leaf.path}: {value} is out of bounds; use {low} to {high}"


@pytest.mark.parametrize("leaf", NUMBERS, ids=lambda leaf: leaf.path)
def test_no_number(leaf: LeafKey) -> None:
    low, high = BOUNDS[leaf.path]
    if isinstance(leaf.kind, Seconds):
        wrong, what = ["30s", "abc", ".nan", ".inf", "-.inf", "1:30", "yes", "1_0"], "number of seconds"
        end = ", written without a unit"
    else:
        wrong, what, end = ["1.5", "abc", "yes", "010", "0x10", "1e2", "1_0", "1:30", "9" * 30], "whole number", ""
    for value in wrong:
        [(_, text)] = problems(in_file(leaf.path, value))
        assert text == f"{leaf.path}: must be a {what} from {low} to {high}{end}"
    [(_, text)] = problems(in_file(leaf.path, f'"{high}"'))
    assert text == f"{leaf.path}: must be a {what} from {low} to {high}, written without quotes"
    [(_, text)] = problems(in_file(leaf.path, "null"))
    assert text == f"{leaf.path}: must not be empty; write {what} from {low} to {high}"


FLAGS = [leaf for leaf in LEAVES if isinstance(leaf.kind, Flag)]


@pytest.mark.parametrize("leaf", FLAGS, ids=lambda leaf: leaf.path)
def test_no_boolean(leaf: LeafKey) -> None:
    for value in ("maybe", "1", "0", "tRUE", "y"):
        [(_, text)] = problems(in_file(leaf.path, value))
        assert text == f"{leaf.path}: must be true or false"
    [(_, text)] = problems(in_file(leaf.path, '"true"'))
    assert text == f"{leaf.path}: must be true or false, written without quotes"
    [(_, text)] = problems(in_file(leaf.path, "~"))
    assert text == f"{leaf.path}: must not be empty; write true or false"
    [(_, text)] = problems(in_file(leaf.path, "[true]"))
    assert text == f"{leaf.path}: must not be a list; write true or false"


WORDS = {
    "mqtt.protocol": ["auto", "5", "3.1.1"],
    "mqtt.output": ["json", "attribute", "both"],
    "homeassistant.form": ["device", "entity"],
    "homeassistant.command_ts": ["auto", "on", "off"],
    "bridges.0.auth": ["auto", "encrypted", "hashed", "plain"],
    "callback.sender": ["auto", "strict", "off"],
    "commands.overlap": ["reject", "queue"],
    "commands.trust_clock": ["auto", "always"],
    "nuki_web.commands": ["never", "when_no_bridge", "fallback"],
    "log.level": ["debug", "info", "warning", "error"],
    "log.format": ["text", "json"],
}


def test_every_word_is_listed_here() -> None:
    assert {leaf.path for leaf in LEAVES if isinstance(leaf.kind, Word)} == set(WORDS)


@pytest.mark.parametrize(("path", "words"), WORDS.items())
def test_words(path: str, words: list[str]) -> None:
    for word in words:
        if NOT_IN_THIS_VERSION.get(path) != word:
            assert value_at(read(in_file(path, word)), path) == word
            assert value_at(read(in_file(path, f'"{word.upper()}"')), path) == word
    listed = f"{', '.join(words[:-1])} or {words[-1]}"
    [(_, text)] = problems(in_file(path, "zzz"))
    is_repeated = path != "bridges.0.auth"  # somebody may have written the token there
    assert text == f"{path}: unknown word{' zzz' if is_repeated else ''}; use {listed}"
    [(_, text)] = problems(in_file(path, '"zz zz"'))
    assert text == f"{path}: unknown word; use {listed}"
    [(_, text)] = problems(in_file(path, f"{words[-1]}x"))
    assert text == f"{path}: unknown word{f' {words[-1]}x' if is_repeated else ''}; did you mean {words[-1]}?"
    [(_, text)] = problems(in_file(path, ""))
    assert text == f"{path}: must not be empty; write {listed}"


def test_secrets_are_listed() -> None:
    assert {leaf.path for leaf in LEAVES if isinstance(leaf.kind, Hidden)} == {
        "mqtt.password",
        "bridges.0.token",
        "nuki_web.token",
        "nuki_web.webhook.secret",
        "web.password",
    }
