"""What valid settings become: defaults, every key, precedence."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import (
    BridgeSettings,
    CallbackSettings,
    CommandSettings,
    DeviceSettings,
    FindSettings,
    HomeAssistantSettings,
    KeypadSettings,
    LogSettings,
    MqttSettings,
    NukiWebSettings,
    PollSettings,
    Settings,
    TlsSettings,
    WebhookSettings,
    WebSettings,
)
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_words import (
    AuthSetting,
    CommandTs,
    DiscoveryForm,
    LogFormat,
    LogLevel,
    MqttProtocol,
    Output,
    Overlap,
    SenderCheck,
    TrustClock,
    WebCommands,
)

NOTHING: Mapping[str, str] = MappingProxyType({})
SMART_LOCK, OPENER, BOX, FROM_THE_FUTURE = 4, 2, 1, 77


def no_file(path: str) -> str:
    raise AssertionError(f"nobody may read {path}")


def read(text: str | None, environ: Mapping[str, str] = NOTHING, overrides: Mapping[str, str] = NOTHING) -> Settings:
    return read_settings(text, environ=environ, overrides=overrides, read_file=no_file)


@pytest.mark.parametrize(
    "text", [None, "", "# only a comment\n", "---\n", "~", "{}", "version: 1\n", "mqtt:\nbridges:\n"]
)
def test_nothing_said_gives_the_defaults(text: str | None) -> None:
    assert read(text) == Settings()


def test_the_defaults_are_those_of_the_contract_with_unbuilt_parts_off() -> None:
    assert Settings() == Settings(
        version=1,
        mqtt=MqttSettings(
            embedded=False,
            host="localhost",
            port=1883,
            username=None,
            password=None,
            client_id=None,
            base_topic="nuki2mqtt",
            protocol=MqttProtocol.AUTO,
            tls=TlsSettings(enabled=False, ca=None, cert=None, key=None, verify=True),
            output=Output.JSON,
        ),
        homeassistant=HomeAssistantSettings(
            enabled=True,
            prefix="homeassistant",
            form=DiscoveryForm.DEVICE,
            open_states=True,
            command_ts=CommandTs.AUTO,
        ),
        bridges=(),
        find=FindSettings(mdns=True, hostnames=True, cloud=False, follow=True),
        callback=CallbackSettings(enabled=True, host="auto", bind="0.0.0.0", port=8321, sender=SenderCheck.AUTO),
        poll=PollSettings(
            list_s=30, info_s=300, min_gap_s=0.5, offline_after_scans=5, forced_min_s=60, forced_per_day=24
        ),
        commands=CommandSettings(
            ttl_s=10,
            overlap=Overlap.REJECT,
            confirm_s=45,
            wait=False,
            bare_opening=False,
            trust_clock=TrustClock.AUTO,
            permit=None,
        ),
        nuki_web=NukiWebSettings(
            token=None,
            base_url="https://api.nuki.io",
            poll_s=60,
            log=True,
            commands=WebCommands.WHEN_NO_BRIDGE,
            keypad=KeypadSettings(manage=False, publish_codes=False),
            webhook=WebhookSettings(secret=None, host="127.0.0.1", port=8098, path="/nuki"),
        ),
        devices={},
        web=WebSettings(enabled=False, host="127.0.0.1", port=8099, password=None),
        state_dir=None,
        log=LogSettings(level=LogLevel.INFO, format=LogFormat.TEXT),
        warnings=(),
    )


def test_every_key_can_be_read_from_the_file() -> None:
    settings = read("""\
version: 1
mqtt:
  embedded: false
  host: broker.example.org
  port: 8884
  username: gateway
  password: "a: b # c"
  client_id: mine
  base_topic: home/locks
  protocol: 5
  tls: {enabled: true, ca: /ca.pem, cert: /cert.pem, key: /key.pem, verify: yes}
  output: both
homeassistant: {enabled: off, prefix: ha/discovery, form: device, open_states: false, command_ts: on}
bridges:
  - {host: 192.0.2.10, port: 8081, id: 01234567, token: 0123456, auth: hashed, allow_plain: false}
  - {host: "2001:db8::1"}
find: {mdns: false, hostnames: no, cloud: True, follow: FALSE}
callback: {enabled: false, host: 192.0.2.2, bind: "::", port: 8322, sender: strict}
poll: {list_s: 12.5, info_s: 30, min_gap_s: 1e0, offline_after_scans: 0, forced_min_s: 86400, forced_per_day: 0}
commands: {ttl_s: 60, overlap: queue, confirm_s: 2, wait: yes, permit: [lock, lockNGo], bare_opening: true,
  trust_clock: always}
nuki_web: {token: null, base_url: "https://cloud.example.org/nuki", poll_s: 10, log: false, commands: never,
  webhook: {secret: 0a1b, host: "::1", port: 9000, path: /hooks/nuki}}
devices:
  1a2b: {topic: front_door, name: Front door, permit: all, ignore: false}
  01234567: {permit: [], ignore: true}
web: {host: "::1", port: 8100, password: yes}
state_dir: /var/lib/nuki2mqtt
log: {level: DEBUG, format: json}
""")
    assert [warning.partition(":")[0] for warning in settings.warnings] == [
        "commands.bare_opening",
        "commands.trust_clock",
        "nuki_web.webhook.secret",
    ]
    assert replace(settings, warnings=()) == Settings(
        mqtt=MqttSettings(
            host="broker.example.org",
            port=8884,
            username="gateway",
            password=Secret("a: b # c"),
            client_id="mine",
            base_topic="home/locks",
            protocol=MqttProtocol.V5,
            tls=TlsSettings(enabled=True, ca="/ca.pem", cert="/cert.pem", key="/key.pem"),
            output=Output.BOTH,
        ),
        homeassistant=HomeAssistantSettings(
            enabled=False, prefix="ha/discovery", open_states=False, command_ts=CommandTs.ON
        ),
        bridges=(
            BridgeSettings(
                host="192.0.2.10",
                port=8081,
                id=NukiId(0x01234567),
                token=Secret("0123456"),
                auth=AuthSetting.HASHED,
            ),
            BridgeSettings(host="2001:db8::1"),
        ),
        find=FindSettings(mdns=False, hostnames=False, cloud=True, follow=False),
        callback=CallbackSettings(enabled=False, host="192.0.2.2", bind="::", port=8322, sender=SenderCheck.STRICT),
        poll=PollSettings(
            list_s=12.5, info_s=30, min_gap_s=1, offline_after_scans=0, forced_min_s=86400, forced_per_day=0
        ),
        commands=CommandSettings(
            ttl_s=60,
            overlap=Overlap.QUEUE,
            confirm_s=2,
            wait=True,
            bare_opening=True,
            trust_clock=TrustClock.ALWAYS,
            permit=frozenset({Action.LOCK, Action.LOCK_N_GO}),
        ),
        nuki_web=NukiWebSettings(
            base_url="https://cloud.example.org/nuki",
            poll_s=10,
            log=False,
            commands=WebCommands.NEVER,
            webhook=WebhookSettings(secret=Secret("0a1b"), host="::1", port=9000, path="/hooks/nuki"),
        ),
        devices={
            NukiId(0x1A2B): DeviceSettings(topic="front_door", name="Front door", permit=frozenset(Action)),
            NukiId(0x01234567): DeviceSettings(permit=frozenset(), ignore=True),
        },
        web=WebSettings(host="::1", port=8100, password=Secret("yes")),
        state_dir="/var/lib/nuki2mqtt",
        log=LogSettings(level=LogLevel.DEBUG, format=LogFormat.JSON),
    )


@pytest.mark.parametrize(
    ("text", "protocol"),
    [("5", MqttProtocol.V5), ('"5"', MqttProtocol.V5), ("3.1.1", MqttProtocol.V311), ("auto", MqttProtocol.AUTO)],
)
def test_the_protocol_is_read_from_its_text(text: str, protocol: MqttProtocol) -> None:
    assert read(f"mqtt: {{protocol: {text}}}").mqtt.protocol is protocol


@pytest.mark.parametrize(
    ("text", "command_ts"),
    [
        ("true", CommandTs.ON),
        ("on", CommandTs.ON),
        ('"on"', CommandTs.ON),
        ("yes", CommandTs.ON),
        ("false", CommandTs.OFF),
        ("off", CommandTs.OFF),
        ("auto", CommandTs.AUTO),
    ],
)
def test_command_ts_reads_booleans_too(text: str, command_ts: CommandTs) -> None:
    assert read(f"homeassistant: {{command_ts: {text}}}").homeassistant.command_ts is command_ts


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"])
def test_true_in_all_words_of_yaml_1_1(word: str) -> None:
    assert read(f"log: {{level: info}}\ncallback: {{enabled: {word}}}").callback.enabled is True
    assert read(f"mqtt: {{tls: {{enabled: {word}}}}}").mqtt.tls.enabled is True


@pytest.mark.parametrize("word", ["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"])
def test_false_in_all_words_of_yaml_1_1(word: str) -> None:
    assert read(f"callback: {{enabled: {word}}}").callback.enabled is False


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("0123", "0123"),
        ("yes", "yes"),
        ("1e3", "1e3"),
        ("2026-11-21", "2026-11-21"),
        ("0x1F", "0x1F"),
        ('"null"', "null"),
        ("'~'", "~"),
        ('"  a  "', "  a  "),
    ],
)
def test_a_text_stays_as_it_is_written(written: str, password: str) -> None:
    settings = read(f"mqtt:\n  username: {written}\n  password: {written}\n")
    assert (settings.mqtt.username, settings.mqtt.password) == (password, Secret(password))


@pytest.mark.parametrize("written", ["null", "~", "", "Null", "NULL", '""', "''"])
def test_null_where_null_is_allowed(written: str) -> None:
    settings = read(
        f"mqtt:\n  username: {written}\n  password: {written}\nbridges:\n- host: a\n  id: {written}\n"
        f"devices:\n  AB:\n    topic: {written}\n    permit: {written}\nstate_dir: {written}\n"
    )
    assert settings == Settings(bridges=(BridgeSettings(host="a"),), devices={NukiId(0xAB): DeviceSettings()})


@pytest.mark.parametrize("written", ["1a2b3c4d", "1A2B3C4D", '"1A2b3C4D"'])
def test_ids_in_any_case(written: str) -> None:
    settings = read(f"bridges: [{{host: a, id: {written}}}]\ndevices: {{{written}: {{}}}}")
    assert settings.bridges[0].id == NukiId(0x1A2B3C4D)
    assert list(settings.devices) == [NukiId(0x1A2B3C4D)]


@pytest.mark.parametrize(("written", "value"), [("01234567", 0x01234567), ("12e5", 0x12E5), ("0", 0), ("777", 0x777)])
def test_ids_are_never_octal_or_floats(written: str, value: int) -> None:
    settings = read(f"bridges: [{{host: a, id: {written}}}]\ndevices: {{{written}: {{}}}}")
    assert settings.bridges[0].id == NukiId(value)
    assert list(settings.devices) == [NukiId(value)]


@pytest.mark.parametrize("action", list(Action))
def test_action_words_with_and_without_separators(action: Action) -> None:
    words = [action, action.upper(), action.replace("_", "-"), action.replace("_", ""), f'"{action.replace("_", " ")}"']
    for word in words:
        assert read(f"commands: {{permit: [{word}]}}").commands.permit == frozenset({action})


def test_lock_n_go_as_nuki_writes_it() -> None:
    assert read("commands: {permit: [lock'n'go, lockNGoUnlatch]}").commands.permit == frozenset(
        {Action.LOCK_N_GO, Action.LOCK_N_GO_UNLATCH}
    )


def test_the_port_follows_tls_unless_it_is_given() -> None:
    assert read("mqtt: {tls: {enabled: true}}").mqtt.port == 8883
    assert read("mqtt: {port: 1884, tls: {enabled: true}}").mqtt.port == 1884
    assert read(None, {"NUKI2MQTT_MQTT__TLS__ENABLED": "true"}).mqtt.port == 8883


def test_command_line_goes_before_environment_before_file_before_default() -> None:
    text, environ, overrides = "mqtt: {host: a}", {"NUKI2MQTT_MQTT__HOST": "b"}, {"mqtt.host": "c"}
    assert read(None).mqtt.host == "localhost"
    assert read(text).mqtt.host == "a"
    assert read(text, environ).mqtt.host == "b"
    assert read(text, environ, overrides).mqtt.host == "c"
    assert read(text, NOTHING, overrides).mqtt.host == "c"
