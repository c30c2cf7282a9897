"""The example file and the reference page say what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path

from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.settings import BridgeSettings, DeviceSettings, Settings
from nuki2mqtt.protocol.settings_nodes import Branch, Items, Node
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_reference import render_settings_reference
from nuki2mqtt.protocol.settings_shape import leaf_keys
from nuki2mqtt.protocol.settings_yaml import read_tree

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.yaml.example").read_text(encoding="utf-8")
# A "#" directly before a text is an example to uncomment, "# " begins a sentence.
UNCOMMENTED = re.sub(r"^( *)#(?=[^ #\n])", r"\1", EXAMPLE, flags=re.MULTILINE)


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def paths_of(node: Node, path: str = "") -> Iterator[str]:
    """Dotted paths of all values in a tree."""
    match node:
        case Branch(entries):
            for name, entry in entries.items():
                yield from paths_of(entry.node, f"{path}.{name}" if path else name)
        case Items(items):
            for index, item in enumerate(items):
                yield from paths_of(item, f"{path}.{index}")
        case _:
            yield path


def test_the_example_is_the_defaults_and_warns_of_nothing() -> None:
    assert read_settings(EXAMPLE, read_file=no_file) == Settings()


def test_the_uncommented_example_loads_too() -> None:
    settings = read_settings(UNCOMMENTED, read_file=no_file)
    assert settings == Settings(
        bridges=(BridgeSettings(host="192.0.2.10"),),
        devices={NukiId(0x1A2B3C4D): DeviceSettings(topic="front_door")},
    )


def test_every_key_is_in_the_example_and_every_key_of_the_example_exists() -> None:
    tree, mistakes = read_tree(UNCOMMENTED, "config.yaml.example")
    assert tree is not None
    assert not mistakes
    assert sorted(paths_of(tree)) == sorted(leaf.path for leaf in leaf_keys(Settings))


def test_every_key_of_the_example_stands_below_a_sentence_or_its_section() -> None:
    for leaf in leaf_keys(Settings):
        assert leaf.about.endswith("."), leaf.path


def test_the_reference_page_is_what_the_code_renders() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == render_settings_reference(), "python -m nuki2mqtt.protocol.settings_reference > docs/settings.md"


def test_the_reference_page_has_a_row_for_every_key() -> None:
    rows = re.findall(r"^\| `([a-z_0-9.A-F]+)` \|", render_settings_reference(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(leaf.path for leaf in leaf_keys(Settings))


def test_rows_of_the_reference_page_have_five_cells() -> None:
    for line in render_settings_reference().splitlines():
        if line.startswith("|"):
            assert line.count("|") == 6, line
