"""Versions of the file's layout and their migration."""

from dataclasses import replace

import pytest

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.protocol.settings_nodes import Branch, Entry, Leaf, Node, Place
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_versions import MIGRATIONS, VERSION, migrate, refusal_of_newer
from nuki2mqtt.protocol.settings_yaml import read_tree


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def tree(text: str) -> Branch:
    root, mistakes = read_tree(text, "config.yaml")
    assert isinstance(root, Branch)
    assert not mistakes
    return root


def rename(old: str, new: str, root: Branch) -> Branch:
    return replace(root, entries={new if name == old else name: entry for name, entry in root.entries.items()})


def leaf(node: Node) -> Leaf:
    assert isinstance(node, Leaf)
    return node


TWO_STEPS = {1: lambda root: rename("broker", "server", root), 2: lambda root: rename("server", "mqtt", root)}


def test_there_is_a_migration_from_every_older_version() -> None:
    assert set(MIGRATIONS) == set(range(1, VERSION))


def test_an_older_file_goes_through_every_migration_and_keeps_its_places() -> None:
    old = tree("version: 1\nbroker:\n  host: a\n")
    new = migrate(old, current=3, migrations=TWO_STEPS)
    assert list(new.entries) == ["version", "mqtt"]
    assert leaf(new.entries["version"].node).text == "3"
    assert str(new.entries["mqtt"].place) == "config.yaml:2:1"
    assert new.entries["mqtt"] == old.entries["broker"]
    assert list(old.entries) == ["version", "broker"]


def test_a_file_in_between_goes_through_the_rest() -> None:
    assert list(migrate(tree("version: 2\nserver: {}\n"), current=3, migrations=TWO_STEPS).entries) == [
        "version",
        "mqtt",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "version: 3\nbroker: {}\n",
        "broker: {}\n",
        "version: 0\n",
        "version: x\n",
        'version: "1"\n',
        "version: [1]\n",
        "version: 9\n",
        "version: -1\n",
    ],
)
def test_what_needs_no_migration_stays_as_it_is(text: str) -> None:
    root = tree(text)
    assert migrate(root, current=3, migrations=TWO_STEPS) is root


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "there is no version 0; write version: 1"),
        ("-1", "there is no version -1; write version: 1"),
        ("one", "must be a whole number, without quotes; write version: 1"),
        ("1.0", "must be a whole number, without quotes; write version: 1"),
        ('"1"', "must be a whole number, without quotes; write version: 1"),
        ("null", "must not be empty; write 1"),
        ("[1]", "must not be a list; write 1"),
    ],
)
def test_no_version(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(f"version: {text}", read_file=no_file)
    assert str(caught.value) == f"config.yaml:1:10: version: {said}"


def test_of_a_newer_file_nothing_else_is_judged() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings("from_the_future: 1\nversion: 2\nmqtt: 7\n", read_file=no_file)
    assert str(caught.value) == (
        "config.yaml:2:10: version: this file has version 2, this program knows up to 1; use a newer nuki2mqtt"
    )


def test_which_version_is_newer_depends_on_the_program() -> None:
    assert refusal_of_newer(tree("version: 2"), current=2) is None
    assert refusal_of_newer(tree("version: 3"), current=2) is not None


def test_entries_compare_by_value() -> None:
    place: Place = tree("a: 1").place
    assert Entry(Branch({}, place), place) == Entry(Branch({}, place), place)
