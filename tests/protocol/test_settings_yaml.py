"""What the YAML reader refuses, and where."""

import pytest

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_reader import read_settings

UNREADABLE = "this is not readable as YAML; check the indentation, colons and quotes here and above"


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read_settings(text, read_file=no_file)
    return [(problem.place, problem.text) for problem in caught.value.problems]


SINGLE = [
    ("mqtt:\n  host: a: b\n", "2:10", "a colon where none can be; put quotes around a text that contains it"),
    ("mqtt:\n  host: a\n port: 1\n", "3:2", "the indentation does not fit the lines above"),
    ("mqtt:\n\thost: a\n", "2:1", "a tab; indent with spaces"),
    ("mqtt:\n  host a\n  port: 1\n", "3:7", "a colon where none can be; put quotes around a text that contains it"),
    ("mqtt: {}\nhost\nport: 1\n", "3:1", "a colon is missing"),
    ('mqtt:\n  host: "a\n', "3:1", "a quote was opened and never closed"),
    ('mqtt: {host: "\\q"}', "1:16", 'an unknown escape; write \\\\ for a backslash inside "..."'),
    ("mqtt: {host: a", "1:15", "a comma or a closing bracket is missing"),
    ("mqtt: ]", "1:7", "a value is missing here"),
    ("mqtt: @a", "1:7", UNREADABLE),
    ("mqtt: {host: a}\n\x07", "2:1", "a character that YAML does not allow"),
    ("a\ud800", "1:2", "a character that YAML does not allow"),
    ('mqtt: "\\UFFFFFFFF"', "1:1", UNREADABLE),
    (f"%YAML {'9' * 5000}.1\n---\n", "1:1", UNREADABLE),
    ("mqtt: {}\n---\nmqtt: {}\n", "2:1", "a second document begins here; one file is one document"),
    ("log: {level: &a info}", "1:14", "anchors (&name) are not read here; remove it"),
    ("log: &a {level: info}", "1:6", "anchors (&name) are not read here; remove it"),
    (
        "mqtt: {password: !secret a}",
        "1:18",
        "tags (!name) are not read here; a secret can come from a file by its _file key",
    ),
    (
        "mqtt: {password: !!python/name:os.system a}",
        "1:18",
        "tags (!name) are not read here; a secret can come from a file by its _file key",
    ),
]


@pytest.mark.parametrize(("text", "place", "said"), SINGLE)
def test_one_mistake(text: str, place: str, said: str) -> None:
    assert problems(text) == [(f"config.yaml:{place}", said)]


def test_aliases_are_refused_without_following_them() -> None:
    laughs = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{before}, *{before}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    found = problems(laughs)
    assert ("config.yaml:2:8", "aliases (*name) are not read here; write the value itself") in found
    assert len([text for _, text in found if text.startswith("aliases")]) == 16


def test_a_merge_key_is_an_unknown_key() -> None:
    [(place, text)] = problems("mqtt:\n  <<: {host: a}\n")
    assert place == "config.yaml:2:3"
    assert text.startswith("mqtt.(no word): unknown key; known here: embedded, host, port,")


@pytest.mark.parametrize(("opening", "place"), [("[", "1:22"), ("{a: ", "1:82"), ("- ", "1:43")])
def test_deep_nesting_is_refused(opening: str, place: str) -> None:
    assert problems(opening * 5000) == [(f"config.yaml:{place}", "more than 20 levels; this cannot be settings")]


def test_floods_of_entries_are_refused() -> None:
    [(_, text)] = problems("a: [" + "x," * 30_000 + "]")
    assert text == "more than 20000 entries; this cannot be settings"


def test_huge_files_are_refused_unread() -> None:
    assert problems("#" * (1024 * 1024 + 1)) == [
        ("config.yaml:1:1", "the file has more than 1 MiB; this cannot be a settings file")
    ]


def test_a_file_of_one_mib_is_read() -> None:
    assert read_settings("#" * 1024 * 1024, read_file=no_file) == Settings()


def test_a_byte_order_mark_and_windows_lines_do_no_harm() -> None:
    assert read_settings("\ufeffmqtt:\r\n  host: a\r\n", read_file=no_file).mqtt.host == "a"


def test_columns_count_characters() -> None:
    assert problems('mqtt: {username: "äöü😀", prot: 1}')[0][0] == "config.yaml:1:26"
