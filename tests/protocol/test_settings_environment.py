"""Settings from the environment and the command line."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import BridgeSettings, DeviceSettings, Settings
from nuki2mqtt.protocol.settings_kinds import Hidden
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_shape import known_paths, leaf_keys

NOTHING: Mapping[str, str] = MappingProxyType({})


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def read(environ: Mapping[str, str], text: str | None = None, overrides: Mapping[str, str] = NOTHING) -> Settings:
    return read_settings(text, environ=environ, overrides=overrides, read_file=no_file)


def problems(
    environ: Mapping[str, str], text: str | None = None, overrides: Mapping[str, str] = NOTHING
) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(environ, text, overrides)
    return [(problem.place, problem.text) for problem in caught.value.problems]


def test_every_key_has_its_variable() -> None:
    environ = {"NUKI2MQTT_BRIDGES__0__HOST": "192.0.2.10"}
    for variable, path in known_paths(Settings).items():
        leaf = next((leaf for leaf in leaf_keys(Settings) if leaf.path == path), None)
        if leaf is None or isinstance(leaf.kind, Hidden) or leaf.is_required:
            continue
        shown = leaf.kind.show(leaf.default)
        environ[variable] = "" if shown is None else str(shown)
    assert read(environ) == Settings(
        bridges=(BridgeSettings(host="192.0.2.10"),), devices={NukiId(0x1A2B3C4D): DeviceSettings()}
    )


def test_bridges_from_variables_alone() -> None:
    settings = read(
        {
            "NUKI2MQTT_BRIDGES__0__HOST": "192.0.2.10",
            "NUKI2MQTT_BRIDGES__0__TOKEN": "abcdef",
            "NUKI2MQTT_BRIDGES__1__HOST": "192.0.2.11",
            "NUKI2MQTT_BRIDGES__1__PORT": "8081",
        }
    )
    assert settings.bridges == (
        BridgeSettings(host="192.0.2.10", token=Secret("abcdef")),
        BridgeSettings(host="192.0.2.11", port=8081),
    )


def test_more_than_ten_bridges_stay_in_order() -> None:
    hosts = [f"192.0.2.{number}" for number in range(1, 13)]
    environ = {f"NUKI2MQTT_BRIDGES__{index}__HOST": host for index, host in enumerate(hosts)}
    assert [bridge.host for bridge in read(environ).bridges] == hosts


def test_variables_complete_and_replace_what_the_file_says() -> None:
    settings = read(
        {
            "NUKI2MQTT_BRIDGES__0__TOKEN": "abcdef",
            "NUKI2MQTT_BRIDGES__1__HOST": "192.0.2.11",
            "NUKI2MQTT_DEVICES__1A2B3C4D__TOPIC": "front",
            "NUKI2MQTT_DEVICES__2B__IGNORE": "TRUE",
        },
        "bridges: [{host: 192.0.2.10}]\ndevices: {1a2b3c4d: {topic: old, name: Front}}\n",
    )
    assert settings.bridges == (
        BridgeSettings(host="192.0.2.10", token=Secret("abcdef")),
        BridgeSettings(host="192.0.2.11"),
    )
    assert settings.devices == {
        NukiId(0x1A2B3C4D): DeviceSettings(topic="front", name="Front"),
        NukiId(0x2B): DeviceSettings(ignore=True),
    }


@pytest.mark.parametrize(
    ("environ", "permit"),
    [
        ({"NUKI2MQTT_COMMANDS__PERMIT": "all"}, None),
        ({"NUKI2MQTT_COMMANDS__PERMIT": "lock"}, {Action.LOCK}),
        ({"NUKI2MQTT_COMMANDS__PERMIT": "lock, lockNGo"}, {Action.LOCK, Action.LOCK_N_GO}),
        ({"NUKI2MQTT_COMMANDS__PERMIT": "[lock,unlock]"}, {Action.LOCK, Action.UNLOCK}),
        ({"NUKI2MQTT_COMMANDS__PERMIT": "[]"}, set()),
        (
            {"NUKI2MQTT_COMMANDS__PERMIT__0": "lock", "NUKI2MQTT_COMMANDS__PERMIT__1": "unlock"},
            {Action.LOCK, Action.UNLOCK},
        ),
    ],
)
def test_permits_from_variables(environ: dict[str, str], permit: set[Action] | None) -> None:
    assert read(environ).commands.permit == permit


def test_null_in_a_variable_takes_back_what_the_file_says() -> None:
    text = "mqtt: {username: a, password: b}"
    environ = {"NUKI2MQTT_MQTT__USERNAME": "", "NUKI2MQTT_MQTT__PASSWORD": "null"}
    assert read(environ, text) == Settings()


def test_other_variables_are_not_ours() -> None:
    environ = {"PATH": "/bin", "NUKI2MQTTX": "a", "nuki2mqtt_mqtt__host": "b", "NUKI2MQTT_CONFIG": "/etc/config.yaml"}
    assert read(environ) == Settings()


SINGLE = [
    ("NUKI2MQTT_MQTT__PROT", "1", "unknown variable; did you mean NUKI2MQTT_MQTT__PORT?"),
    ("NUKI2MQTT_MQTT_HOST", "a", "unknown variable; did you mean NUKI2MQTT_MQTT__HOST?"),
    ("NUKI2MQTT_MQT__HOST", "a", "unknown variable; did you mean NUKI2MQTT_MQTT__HOST?"),
    ("NUKI2MQTT_MQTT__HOST__X", "a", "unknown variable; did you mean NUKI2MQTT_MQTT__HOST?"),
    ("NUKI2MQTT_BRIDGE__0__HOST", "a", "unknown variable; did you mean NUKI2MQTT_BRIDGES__0__HOST?"),
    ("NUKI2MQTT_BRIDGES__HOST", "a", "unknown variable; did you mean NUKI2MQTT_BRIDGES__0__HOST?"),
    ("NUKI2MQTT_BRIDGES__00__HOST", "a", "unknown variable; did you mean NUKI2MQTT_BRIDGES__0__HOST?"),
    ("NUKI2MQTT_CONFIG_FILE", "a", "unknown variable; docs/settings.md lists all"),
    ("NUKI2MQTT_", "a", "unknown variable; docs/settings.md lists all"),
    ("NUKI2MQTT_A__B__C__D__E__F__G__H__I", "a", "unknown variable; docs/settings.md lists all"),
    ("NUKI2MQTT_MQTT__PORT", "x", "mqtt.port: must be a whole number from 1 to 65535"),
    ("NUKI2MQTT_MQTT__PORT", "0", "mqtt.port: 0 is out of bounds; use 1 to 65535"),
    ("NUKI2MQTT_MQTT__PORT", "", "mqtt.port: must not be empty; write whole number from 1 to 65535"),
    ("NUKI2MQTT_MQTT__TLS__ENABLED", "1", "mqtt.tls.enabled: must be true or false"),
    ("NUKI2MQTT_MQTT", "a", "mqtt: must be a section; set its keys, as in NUKI2MQTT_MQTT__..."),
    ("NUKI2MQTT_BRIDGES", "a", "bridges: must be a list; write each item as NUKI2MQTT_BRIDGES__0__..."),
    ("NUKI2MQTT_BRIDGES__1__HOST", "a", "bridges.1: bridges.0 is missing; count from 0"),
    ("NUKI2MQTT_BRIDGES__999__HOST", "a", "bridges.999: there can be at most 32"),
    ("NUKI2MQTT_BRIDGES__0__PORT", "80", "bridges.0.host: is missing"),
    ("NUKI2MQTT_DEVICES__FRONT__TOPIC", "a", "devices.front: a Nuki ID is written as 1 to 8 hex digits (0-9, A-F)"),
    ("NUKI2MQTT_COMMANDS__PERMIT", "lock,unlok", "commands.permit: unknown action unlok; did you mean unlock?"),
    ("NUKI2MQTT_COMMANDS__PERMIT", "", "commands.permit: must not be empty; write all or a list of actions"),
    ("NUKI2MQTT_WEB__ENABLED", "true", "web.enabled: not in this version; leave it out or set it to false"),
    ("NUKI2MQTT_VERSION", "2", "version: this file has version 2, this program knows up to 1; use a newer nuki2mqtt"),
]


@pytest.mark.parametrize(("variable", "value", "said"), SINGLE)
def test_one_mistake_in_the_environment(variable: str, value: str, said: str) -> None:
    assert problems({variable: value}) == [(variable, said)]


def test_a_variable_cannot_be_given_beside_its_parts() -> None:
    environ = {"NUKI2MQTT_COMMANDS__PERMIT": "all", "NUKI2MQTT_COMMANDS__PERMIT__0": "lock"}
    assert problems(environ) == [("NUKI2MQTT_COMMANDS__PERMIT__0", "cannot be given beside NUKI2MQTT_COMMANDS__PERMIT")]


def test_one_key_cannot_be_given_twice() -> None:
    environ = {"NUKI2MQTT_DEVICES__1A__NAME": "a", "NUKI2MQTT_DEVICES__1a__NAME": "b"}
    assert problems(environ) == [("NUKI2MQTT_DEVICES__1a__NAME", "given twice, also as NUKI2MQTT_DEVICES__1A__NAME")]
    assert problems({"NUKI2MQTT_DEVICES__1A__NAME": "a", "NUKI2MQTT_DEVICES__01A__NAME": "b"}) == [
        ("NUKI2MQTT_DEVICES__1A__NAME", "devices.1a: the same ID as at NUKI2MQTT_DEVICES__01A__NAME")
    ]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("mqtt.prot", "1", "mqtt.prot: unknown key; did you mean mqtt.port?"),
        ("mqtt.port", "x", "mqtt.port: must be a whole number from 1 to 65535"),
        ("host", "a", "host: unknown key; did you mean mqtt.host or bridges.0.host or callback.host?"),
        ("bridges.0.tokn", "a", "bridges.0.tokn: unknown key; did you mean bridges.0.token?"),
        ("web.enabled", "true", "web.enabled: not in this version; leave it out or set it to false"),
    ],
)
def test_one_mistake_on_the_command_line(key: str, value: str, said: str) -> None:
    assert ("command line", said) in problems(NOTHING, None, {key: value})


def test_overrides_reach_lists_devices_and_secrets() -> None:
    overrides = {"bridges.0.host": "192.0.2.10", "devices.1A2B3C4D.topic": "front", "mqtt.password": "p"}
    settings = read(NOTHING, None, overrides)
    assert settings.bridges[0].host == "192.0.2.10"
    assert settings.devices[NukiId(0x1A2B3C4D)].topic == "front"
    assert settings.mqtt.password == Secret("p")


def test_a_mistake_counts_even_where_something_hides_it() -> None:
    assert problems({"NUKI2MQTT_MQTT__PORT": "1884"}, "mqtt: {port: x}") == [
        ("config.yaml:1:14", "mqtt.port: must be a whole number from 1 to 65535")
    ]


def test_but_what_is_not_built_may_be_switched_off_again() -> None:
    assert read({"NUKI2MQTT_WEB__ENABLED": "false"}, "web: {enabled: true}") == Settings()


def test_a_contradiction_is_shown_where_the_winning_value_was_written() -> None:
    assert problems({"NUKI2MQTT_MQTT__BASE_TOPIC": "ha/x"}, "homeassistant: {prefix: ha}") == [
        (
            "NUKI2MQTT_MQTT__BASE_TOPIC",
            "mqtt.base_topic: must not be the discovery prefix or below it; choose another topic",
        )
    ]


def test_file_then_environment_then_command_line() -> None:
    places = [place for place, _ in problems({"NUKI2MQTT_B": "", "NUKI2MQTT_A": ""}, "x: 1\ny: 2\n", {"z": "3"})]
    assert places == ["config.yaml:1:1", "config.yaml:2:1", "NUKI2MQTT_A", "NUKI2MQTT_B", "command line"]
