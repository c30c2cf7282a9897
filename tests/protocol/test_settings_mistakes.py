"""Each mistake in a file: its exact place and text, and all of them at once."""

import pytest

from nuki2mqtt.errors import SettingsError, SettingsProblem
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_checks import NOT_IN_THIS_VERSION
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_shape import leaf_keys


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


SINGLE = [
    # unknown keys: the place of the key
    ("mqtt:\n  host: a\n  prot: 1883\n", "3:3", "mqtt.prot: unknown key; did you mean mqtt.port?"),
    ("mqtt: {base-topik: a}", "1:8", "mqtt.base-topik: unknown key; did you mean mqtt.base_topic?"),
    ("MQTT: {}", "1:1", "MQTT: unknown key; did you mean mqtt?"),
    ("home_assistant: {}", "1:1", "home_assistant: unknown key; did you mean homeassistant?"),
    ("pasword: a", "1:1", "pasword: unknown key; did you mean mqtt.password or web.password?"),
    ("find: {xyz: 1}", "1:8", "find.xyz: unknown key; known here: mdns, hostnames, cloud, follow"),
    ("mqtt: {host_file: a}", "1:8", "mqtt.host_file: unknown key; did you mean mqtt.host?"),
    ("bridges:\n- host: a\n  tokn: b", "3:3", "bridges.0.tokn: unknown key; did you mean bridges.0.token?"),
    ("devices: {1: {topics: a}}", "1:15", "devices.00000001.topics: unknown key; did you mean devices.00000001.topic?"),
    ("log: {password:hunter2}", "1:7", "log.password...: unknown key; did you mean mqtt.password or web.password?"),
    (
        "warnings: []",
        "1:1",
        (
            "warnings: unknown key; known here: version, mqtt, homeassistant, bridges, find, callback,"
            " poll, commands, nuki_web, devices, web, state_dir, log"
        ),
    ),
    # wrong shapes: the place of the value
    ("a text", "1:1", "the file must begin with keys"),
    ("- a\n", "1:1", "the file must begin with keys"),
    ("mqtt: 5", "1:7", "mqtt: must be a section with keys of its own"),
    ("mqtt: [a]", "1:7", "mqtt: must be a section with keys of its own"),
    ("mqtt:\n  tls: true", "2:8", "mqtt.tls: must be a section with keys of its own"),
    ("bridges: {host: a}", "1:10", "bridges: must be a list; write each item as - ..."),
    ("bridges: 192.0.2.10", "1:10", "bridges: must be a list; write each item as - ..."),
    ("bridges: [192.0.2.10]", "1:11", "bridges.0: must be a section with keys of its own"),
    ("devices: [a]", "1:10", "devices: must be a section with keys of its own"),
    (
        "mqtt: {host: [a]}",
        "1:14",
        "mqtt.host: must not be a list; write host name or address of at most 256 characters",
    ),
    ("state_dir: {a: b}", "1:12", "state_dir: must not be a section; write path of at most 4096 characters or null"),
    ("? [a, b]\n: c", "1:3", "a key must be a word"),
    # missing
    ("bridges: [{port: 80}]", "1:11", "bridges.0.host: is missing"),
    ("bridges:\n-\n", "2:2", "bridges.0.host: is missing"),
    # given twice
    ("mqtt:\n  host: a\n  host: b\n", "3:3", "mqtt.host: given twice, first in line 2"),
    ("log: {}\nlog: {}\n", "2:1", "log: given twice, first in line 1"),
    ("bridges:\n- host: a\n  host: b\n", "3:3", "bridges.0.host: given twice, first in line 2"),
    ("devices:\n  1a: {}\n  1A: {}\n", "3:3", "devices.1A: the same ID as at config.yaml:2:3"),
    ("devices:\n  1: {}\n  00000001: {}\n", "3:3", "devices.00000001: the same ID as at config.yaml:2:3"),
    # texts
    ("mqtt: {host: }", "1:13", "mqtt.host: must not be empty; write host name or address of at most 256 characters"),
    ('mqtt: {host: ""}', "1:14", "mqtt.host: must not be empty"),
    (f"mqtt: {{client_id: {'a' * 101}}}", "1:19", "mqtt.client_id: must have at most 100 characters, has 101"),
    ('mqtt: {username: "a\\nb"}', "1:18", "mqtt.username: must not contain control characters or line breaks"),
    ('mqtt: {username: "a\\0"}', "1:18", "mqtt.username: must not contain control characters or line breaks"),
    ('mqtt: {username: "\\ud800"}', "1:18", "mqtt.username: must not contain control characters or line breaks"),
    # IDs
    ("bridges: [{host: a, id: 0x12}]", "1:25", "bridges.0.id: a Nuki ID is written as 1 to 8 hex digits without 0x"),
    (
        "bridges: [{host: a, id: 439041101}]",
        "1:25",
        "bridges.0.id: a Nuki ID is written in hex; this decimal number would be 1A2B3C4D",
    ),
    ("bridges: [{host: a, id: 1A2B3C4D5}]", "1:25", "bridges.0.id: a Nuki ID has at most 8 hex digits, not 9"),
    ("bridges: [{host: a, id: wxyz}]", "1:25", "bridges.0.id: a Nuki ID is written as 1 to 8 hex digits (0-9, A-F)"),
    ("devices: {front: {}}", "1:11", "devices.front: a Nuki ID is written as 1 to 8 hex digits (0-9, A-F)"),
    # permits
    (
        "commands: {permit: [lock, open]}",
        "1:27",
        "commands.permit: open means unlatch for a lock and electric_strike for an Opener; write the one you mean",
    ),
    ("commands: {permit: [unlok]}", "1:21", "commands.permit: unknown action unlok; did you mean unlock?"),
    (
        "commands: {permit: [zzz]}",
        "1:21",
        (
            "commands.permit: unknown action zzz; use unlock, lock, unlatch, lock_n_go,"
            " lock_n_go_unlatch, activate_rto, deactivate_rto, electric_strike, activate_cm, deactivate_cm"
        ),
    ),
    ("commands: {permit: [all]}", "1:21", "commands.permit: all stands alone, not in a list"),
    ("commands: {permit: [[lock]]}", "1:21", "commands.permit: must be a list of action words"),
    (
        "commands: {permit: lock}",
        "1:20",
        "commands.permit: must be all or a list of actions, such as [lock, unlock]; [] permits nothing",
    ),
    ("commands: {permit: null}", "1:20", "commands.permit: must not be empty; write all or a list of actions"),
    (
        "commands: {permit: {lock: true}}",
        "1:20",
        "commands.permit: must not be a section; write all or a list of actions",
    ),
    (
        "devices: {1: {permit: none}}",
        "1:23",
        "devices.00000001.permit: must be all, a list of actions or null, such as [lock, unlock]; [] permits nothing",
    ),
]


@pytest.mark.parametrize(("text", "place", "said"), SINGLE)
def test_one_mistake(text: str, place: str, said: str) -> None:
    assert problems(text) == [(f"config.yaml:{place}", said)]


TOGETHER = [
    (
        "mqtt: {base_topic: homeassistant}",
        "1:20",
        "mqtt.base_topic: must not be the discovery prefix or below it; choose another topic",
    ),
    (
        "mqtt: {base_topic: homeassistant/a}",
        "1:20",
        "mqtt.base_topic: must not be the discovery prefix or below it; choose another topic",
    ),
    (
        "homeassistant: {prefix: nuki2mqtt}",
        "1:25",
        "mqtt.base_topic: must not be the discovery prefix or below it; choose another topic",
    ),
    (
        "homeassistant: {prefix: nuki2mqtt/ha}",
        "1:25",
        "homeassistant.prefix: must not be below mqtt.base_topic; choose another topic",
    ),
    ("callback: {port: 8099}", "1:18", "callback.port: must not be the same as web.port; choose another port"),
    ("web: {port: 8321}", "1:13", "callback.port: must not be the same as web.port; choose another port"),
    (
        "callback: {port: 8098}\nnuki_web: {webhook: {secret: a}}",
        "1:18",
        "nuki_web.webhook.port: must not be the same as callback.port; choose another port",
    ),
    (
        "nuki_web: {webhook: {secret: a, port: 8099}}",
        "1:39",
        "nuki_web.webhook.port: must not be the same as web.port; choose another port",
    ),
    ("mqtt: {tls: {enabled: true, cert: a}}", "1:35", "mqtt.tls.cert: needs mqtt.tls.key too; give both or none"),
    ("mqtt: {tls: {enabled: true, key: a}}", "1:34", "mqtt.tls.key: needs mqtt.tls.cert too; give both or none"),
    (
        "mqtt: {embedded: true, host: 192.0.2.2}",
        "1:30",
        "mqtt.host: not with mqtt.embedded, whose broker is here; leave one of them out",
    ),
    (
        "mqtt: {tls: {enabled: true}, embedded: true}",
        "1:23",
        "mqtt.tls.enabled: the embedded broker speaks no TLS; set one of them to false",
    ),
    (
        "mqtt: {embedded: true, protocol: 5}",
        "1:34",
        "mqtt.protocol: the embedded broker speaks MQTT 3.1.1 only; set it to auto",
    ),
    ("bridges: [{host: a}, {host: A}]", "1:29", "bridges.1.host: the same address as bridges.0; list each Bridge once"),
    (
        "bridges: [{host: a, id: 12}, {host: b}, {host: c, id: 0012}]",
        "1:55",
        "bridges.2.id: the same ID as bridges.0; list each Bridge once",
    ),
    (
        "devices: {1: {topic: a}, 2: {topic: a}}",
        "1:37",
        "devices.00000002.topic: the same as devices.00000001.topic; give each device its own topic",
    ),
    (
        "bridges:" + "".join(f"\n- host: h{n}" for n in range(33)),
        "34:3",
        "bridges.32: there can be at most 32",
    ),
]


@pytest.mark.parametrize(("text", "place", "said"), TOGETHER)
def test_values_that_cannot_go_together(text: str, place: str, said: str) -> None:
    assert problems(text) == [(f"config.yaml:{place}", said)]


def test_a_door_for_webhooks_that_is_not_opened_takes_no_port() -> None:
    assert read("callback: {port: 8098}").nuki_web.webhook.port == 8098


def test_bridges_may_share_a_host_with_different_ports() -> None:
    settings = read("bridges: [{host: a}, {host: a, port: 8081}]")
    assert [bridge.link for bridge in settings.bridges] == ["a:8080", "a:8081"]


UNBUILT = {
    "web.enabled": ("true", "leave it out or set it to false"),
}


def test_every_unbuilt_part_is_listed_here() -> None:
    assert set(UNBUILT) == set(NOT_IN_THIS_VERSION)
    assert set(NOT_IN_THIS_VERSION) <= {leaf.path for leaf in leaf_keys(Settings)}


@pytest.mark.parametrize(("path", "expected"), UNBUILT.items())
def test_unbuilt_parts_stop_the_start(path: str, expected: tuple[str, str]) -> None:
    value, advice = expected
    [(place, text)] = problems(in_file(path, value))
    assert place.startswith("config.yaml:")
    assert text == f"{path}: not in this version; {advice}"


def test_what_is_built_can_be_said_in_words() -> None:
    text = "mqtt: {embedded: true, output: attribute}\nnuki_web: {token: null, log: true}\nfind: {mdns: true}\n"
    assert read(text).mqtt.output == "attribute"
    commands = read("commands: {wait: true, bare_opening: yes}").commands
    assert (commands.wait, commands.bare_opening) == (True, True)


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    assert problems("""\
version: 0
mqtt:
  prot: 1883
  port: 0
  password:
    nested: yes
  tls: {enabled: maybe, verfy: true}
bridges:
  - {host: "http://a", id: xyz}
  - {port: x}
web: {enabled: true}
devices:
  zz: {}
  1: {topic: a/b, permit: [foo, open]}
log: {level: loud}
""") == [
        ("config.yaml:1:10", "version: there is no version 0; write version: 1"),
        ("config.yaml:3:3", "mqtt.prot: unknown key; did you mean mqtt.port?"),
        ("config.yaml:4:9", "mqtt.port: 0 is out of bounds; use 1 to 65535"),
        (
            "config.yaml:6:5",
            "mqtt.password: must not be a section; write secret text of at most 1024 characters or null",
        ),
        ("config.yaml:7:18", "mqtt.tls.enabled: must be true or false"),
        ("config.yaml:7:25", "mqtt.tls.verfy: unknown key; did you mean mqtt.tls.verify?"),
        (
            "config.yaml:9:12",
            "bridges.0.host: write only the host name or address, without http:// or mqtt:// before it",
        ),
        ("config.yaml:9:28", "bridges.0.id: a Nuki ID is written as 1 to 8 hex digits (0-9, A-F)"),
        ("config.yaml:10:5", "bridges.1.host: is missing"),
        ("config.yaml:10:12", "bridges.1.port: must be a whole number from 1 to 65535"),
        ("config.yaml:11:16", "web.enabled: not in this version; leave it out or set it to false"),
        ("config.yaml:13:3", "devices.zz: a Nuki ID is written as 1 to 8 hex digits (0-9, A-F)"),
        ("config.yaml:14:14", "devices.00000001.topic: must be one level, without a slash"),
        (
            "config.yaml:14:28",
            (
                "devices.00000001.permit: unknown action foo; use unlock, lock, unlatch, lock_n_go,"
                " lock_n_go_unlatch, activate_rto, deactivate_rto, electric_strike, activate_cm, deactivate_cm"
            ),
        ),
        (
            "config.yaml:14:33",
            (
                "devices.00000001.permit: open means unlatch for a lock and electric_strike for an"
                " Opener; write the one you mean"
            ),
        ),
        ("config.yaml:15:14", "log.level: unknown word loud; use debug, info, warning or error"),
    ]


def test_the_error_reads_as_one_line_for_each_mistake() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings("mqtt:\n    prot: 1\n    port: 0\n", file_name="/etc/n.yaml", read_file=no_file)
    assert str(caught.value) == (
        "/etc/n.yaml:2:5: mqtt.prot: unknown key; did you mean mqtt.port?\n"
        "/etc/n.yaml:3:11: mqtt.port: 0 is out of bounds; use 1 to 65535"
    )
    assert caught.value.problems[0] == SettingsProblem(
        "/etc/n.yaml:2:5", "mqtt.prot: unknown key; did you mean mqtt.port?"
    )
