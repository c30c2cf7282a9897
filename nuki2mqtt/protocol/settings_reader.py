"""Text, environment and command line -> Settings, or every mistake at once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.protocol.settings import MQTT_TLS_PORT, Settings
from nuki2mqtt.protocol.settings_checks import Finding, cautions, contradictions, refusals
from nuki2mqtt.protocol.settings_kinds import Spelling
from nuki2mqtt.protocol.settings_nodes import Branch, Leaf, Mistake, Node, Origin, Place, tree_of_paths
from nuki2mqtt.protocol.settings_sections import SectionReader
from nuki2mqtt.protocol.settings_shape import CONFIG_VARIABLE, VARIABLE_PREFIX
from nuki2mqtt.protocol.settings_versions import migrate, refusal_of_newer
from nuki2mqtt.protocol.settings_yaml import UnreadableFileError, read_tree

_NOTHING: Mapping[str, str] = MappingProxyType({})
_PARTS_LIMIT = 6  # one more than the deepest key has
_COMMAND_LINE = "command line"


def read_settings(
    text: str | None,
    *,
    file_name: str = "config.yaml",
    environ: Mapping[str, str] = _NOTHING,
    overrides: Mapping[str, str] = _NOTHING,
    read_file: Callable[[str], str],
) -> Settings:
    """The settings: `overrides` (dotted keys) go before `environ`, then the file's `text`, then defaults.

    `read_file` gives the content of a secret's file and may raise OSError or ValueError. Raises
    SettingsError with every mistake; the error never holds a secret.
    """
    try:
        root, mistakes = read_tree(text, file_name) if text is not None else (None, [])
    except UnreadableFileError as error:
        raise SettingsError((error.mistake.problem(),)) from None
    if isinstance(root, Branch):
        newer = refusal_of_newer(root)
        if newer is not None:
            raise SettingsError((newer.problem(),))
        root = migrate(root)
    outside, more = _outside(environ, overrides)
    nodes: list[Node] = [*outside, *([] if root is None else [root])]
    reader = SectionReader(read_file)
    settings: Settings = reader.section(Settings, nodes)
    if settings.mqtt.tls.enabled and "mqtt.port" not in reader.places:
        settings = replace(settings, mqtt=replace(settings.mqtt, port=MQTT_TLS_PORT))
    nowhere = Place(Origin.FILE, 1, 1, file_name)
    findings = (
        Mistake(_place_of(finding, reader, nowhere), f"{finding.keys[0]}: {finding.text}")
        for finding in (*refusals(settings), *contradictions(settings))
        if reader.failed.isdisjoint(finding.keys)
    )
    every = sorted({*mistakes, *more, *reader.mistakes, *findings})
    if every:
        raise SettingsError(tuple(mistake.problem() for mistake in every))
    return replace(settings, warnings=tuple(cautions(settings, reader.places)))


def _place_of(finding: Finding, reader: SectionReader, nowhere: Place) -> Place:
    """Where the first of its keys that anybody wrote was written."""
    return next((reader.places[key] for key in finding.keys if key in reader.places), nowhere)


def _outside(environ: Mapping[str, str], overrides: Mapping[str, str]) -> tuple[list[Node], list[Mistake]]:
    """The trees of the command line and of the environment, in this order."""
    line = [
        (key.split(".", _PARTS_LIMIT), text, Place(Origin.COMMAND_LINE, 0, 0, _COMMAND_LINE))
        for key, text in overrides.items()
    ]
    variables = [
        (
            name.removeprefix(VARIABLE_PREFIX).split("__", _PARTS_LIMIT),
            text,
            Place(Origin.ENVIRONMENT, 0, 0, name),
        )
        for name, text in sorted(environ.items())
        if name.startswith(VARIABLE_PREFIX) and name != CONFIG_VARIABLE
    ]
    trees: list[Node] = []
    mistakes: list[Mistake] = []
    for given in (line, variables):
        leaves: dict[tuple[str, ...], Leaf] = {}
        for parts, text, place in given:
            path = tuple(part.lower() for part in parts)
            if path in leaves:
                mistakes.append(Mistake(place, f"given twice, also as {leaves[path].place}"))
            leaves[path] = Leaf(text, Spelling.OUTSIDE, place)
        if leaves:
            tree, more = tree_of_paths(leaves, given[0][2])
            trees.append(tree)
            mistakes += more
    return trees, mistakes
