"""Secrets: from files, and never in an error, a repr or a public view."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_kinds import Hidden
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_shape import leaf_keys, variable_of

NOTHING: Mapping[str, str] = MappingProxyType({})
FILES = {
    "/run/a": "file-secret\n",
    "/run/b": "no line break",
    "/run/crlf": "windows\r\n",
    "/run/two": "one\ntwo\n",
    "/run/empty": "\n",
    "/run/breaks": "one\n\n",
    "/run/long": "x" * 1025,
    "/run/null": "null",
}
MARKED = "s3cr3tMARK"


def from_files(path: str) -> str:
    if path == "/run/binary":
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    if path == "/run/forbidden":
        raise PermissionError(13, "Permission denied")
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[path]


def read(text: str | None, environ: Mapping[str, str] = NOTHING, overrides: Mapping[str, str] = NOTHING) -> Settings:
    return read_settings(text, environ=environ, overrides=overrides, read_file=from_files)


def problems(text: str | None, environ: Mapping[str, str] = NOTHING) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(text, environ)
    return [(problem.place, problem.text) for problem in caught.value.problems]


def test_every_secret_can_come_from_a_file() -> None:
    settings = read(
        "mqtt: {password_file: /run/a}\nweb: {password_file: /run/b}\n"
        "bridges: [{host: a, token_file: /run/crlf}, {host: b, token_file: /run/null}]\n"
    )
    assert settings.mqtt.password == Secret("file-secret")
    assert settings.web.password == Secret("no line break")
    assert [bridge.token for bridge in settings.bridges] == [Secret("windows"), Secret("null")]


def test_every_secret_can_come_from_a_file_named_by_a_variable() -> None:
    settings = read(
        "bridges: [{host: a}]",
        {"NUKI2MQTT_MQTT__PASSWORD_FILE": "/run/a", "NUKI2MQTT_BRIDGES__0__TOKEN_FILE": "/run/b"},
    )
    assert settings.mqtt.password == Secret("file-secret")
    assert settings.bridges[0].token == Secret("no line break")


@pytest.mark.parametrize(
    ("text", "environ", "overrides", "password"),
    [
        ("mqtt: {password_file: /run/a}", {"NUKI2MQTT_MQTT__PASSWORD": "env"}, {}, "env"),
        ("mqtt: {password_file: /run/missing}", {"NUKI2MQTT_MQTT__PASSWORD": "env"}, {}, "env"),
        ("mqtt: {password: file}", {"NUKI2MQTT_MQTT__PASSWORD_FILE": "/run/a"}, {}, "file-secret"),
        ("mqtt: {password: file}", {"NUKI2MQTT_MQTT__PASSWORD": "env"}, {"mqtt.password": "line"}, "line"),
        (
            "mqtt: {password: file}",
            {"NUKI2MQTT_MQTT__PASSWORD": "env"},
            {"mqtt.password_file": "/run/b"},
            "no line break",
        ),
        ("mqtt: {password: null, password_file: /run/a}", {}, {}, "file-secret"),
        ("mqtt: {password: own, password_file: null}", {}, {}, "own"),
        ("mqtt: {password: null, password_file: null}", {}, {}, None),
        ("mqtt: {password_file: /run/a}", {"NUKI2MQTT_MQTT__PASSWORD_FILE": ""}, {}, None),
    ],
)
def test_which_secret_holds(
    text: str, environ: dict[str, str], overrides: dict[str, str], password: str | None
) -> None:
    found = read(text, environ, overrides).mqtt.password
    assert (found.reveal() if found else None) == password


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (
            "mqtt: {password: marked, password_file: /run/a}",
            "1:26",
            "cannot be given beside mqtt.password; keep one of them",
        ),
        ("mqtt: {password_file: /run/missing}", "1:23", "cannot be read (No such file or directory)"),
        ("mqtt: {password_file: /run/forbidden}", "1:23", "cannot be read (Permission denied)"),
        ("mqtt: {password_file: /run/binary}", "1:23", "cannot be read (not a text in UTF-8)"),
        ("mqtt: {password_file: /run/empty}", "1:23", "its content must not be empty"),
        ("mqtt: {password_file: /run/two}", "1:23", "its content must not contain control characters or line breaks"),
        (
            "mqtt: {password_file: /run/breaks}",
            "1:23",
            "its content must not contain control characters or line breaks",
        ),
        ("mqtt: {password_file: /run/long}", "1:23", "its content must have at most 1024 characters"),
        ("mqtt: {password_file: [a]}", "1:23", "must not be a list; write path of at most 4096 characters or null"),
    ],
)
def test_files_that_cannot_be_used(text: str, place: str, said: str) -> None:
    assert problems(text) == [(f"config.yaml:{place}", f"mqtt.password_file: {said}")]


def test_both_in_the_environment_are_a_mistake_too() -> None:
    environ = {"NUKI2MQTT_MQTT__PASSWORD": MARKED, "NUKI2MQTT_MQTT__PASSWORD_FILE": "/run/a"}
    assert problems(None, environ) == [
        ("NUKI2MQTT_MQTT__PASSWORD_FILE", "mqtt.password_file: cannot be given beside mqtt.password; keep one of them")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'mqtt: {{password: "{MARKED}\\n"}}', "mqtt.password: must not contain control characters or line breaks"),
        (
            f"mqtt: {{password: [{MARKED}]}}",
            "mqtt.password: must not be a list; write secret text of at most 1024 characters or null",
        ),
        (
            f"mqtt: {{password: {{{MARKED}: 1}}}}",
            "mqtt.password: must not be a section; write secret text of at most 1024 characters or null",
        ),
        (f"mqtt: {{pasword: {MARKED}}}", "mqtt.pasword: unknown key; did you mean mqtt.password?"),
        (f"mqtt: {{password:{MARKED}}}", "mqtt.password...: unknown key; did you mean mqtt.password?"),
        (f"mqtt: {{password {MARKED}}}", "mqtt.password...: unknown key; did you mean mqtt.password?"),
        (f"mqtt: {{password: {MARKED * 200}}}", "mqtt.password: must have at most 1024 characters"),
        (f"mqtt: {{password_file: /run/{MARKED}}}", "mqtt.password_file: cannot be read (No such file or directory)"),
        (
            f"mqtt: {{host: 'mqtt://me:{MARKED}@example.org'}}",
            "mqtt.host: write only the host name or address, without http:// or mqtt:// before it",
        ),
        (
            f"nuki_web: {{base_url: 'https://me:{MARKED}@api.nuki.io'}}",
            "nuki_web.base_url: must not contain a user or password",
        ),
        (
            f"mqtt: {{password: !{MARKED}!x a}}",
            "this is not readable as YAML; check the indentation, colons and quotes here and above",
        ),
        (f"mqtt: {{password: *{MARKED}}}", "aliases (*name) are not read here; write the value itself"),
        (
            f"nuki_web: {{token: [{MARKED}]}}",
            "nuki_web.token: must not be a list; write secret text of at most 1024 characters or null",
        ),
        (
            f"nuki_web: {{webhook: {{secret: {{{MARKED}: 1}}}}}}",
            "nuki_web.webhook.secret: must not be a section; write secret text of at most 1024 characters or null",
        ),
        (f"web: {{port: {MARKED}}}", "web.port: must be a whole number from 1 to 65535"),
    ],
)
def test_no_error_repeats_a_secret(text: str, said: str) -> None:
    assert [text for _, text in problems(text)] == [said]


def test_no_repr_shows_a_secret() -> None:
    settings = read(
        f"mqtt: {{password: {MARKED}}}\nbridges: [{{host: a, token: {MARKED}}}]\nweb: {{password: {MARKED}}}\n"
        f"nuki_web: {{webhook: {{secret: {MARKED}}}}}\n"
    )
    assert MARKED not in repr(settings)
    assert MARKED not in str(settings)
    assert MARKED not in repr(settings.render_public())
    assert MARKED not in repr(settings.warnings)
    assert settings.web.password == Secret(MARKED)
    assert settings.nuki_web.webhook.secret == Secret(MARKED)


SECRETS = [leaf.path for leaf in leaf_keys(Settings) if isinstance(leaf.kind, Hidden)]
BITS = (
    "mqtt|bridges|web|password|token|host|tls|:|: |\n|\n  |- |{|}|[|]|, |"
    "\"|'|&a |*a|!x |? |---\n|%YAML 9\n|#|\t|null|1|\0|\ufeff"
)
YAML_BITS = st.lists(st.sampled_from([*BITS.split("|"), "|\n"]), max_size=30).map("".join)


def outcome(text: str | None, environ: Mapping[str, str] = NOTHING) -> Settings | SettingsError:
    try:
        return read(text, environ)
    except SettingsError as error:
        return error


@given(text=st.one_of(st.text(), YAML_BITS))
def test_any_text_is_settings_or_a_settings_error(text: str) -> None:
    end = outcome(text)
    if isinstance(end, SettingsError):
        assert end.problems
        assert all(problem.place.startswith("config.yaml:") for problem in end.problems)


@given(before=st.one_of(st.text(), YAML_BITS), after=st.one_of(st.text(), YAML_BITS))
def test_no_text_around_a_secret_brings_it_into_an_error(before: str, after: str) -> None:
    end = outcome(f"mqtt:\n  password: {MARKED}{after}\n{before}\nweb:\n  password: {MARKED}\n")
    assert MARKED not in f"{end!r} {end}"


@given(name=st.text(alphabet="ABMQTPORHS_0123456789xé.", max_size=40), value=st.text(max_size=20))
def test_any_environment_is_settings_or_a_settings_error(name: str, value: str) -> None:
    secrets = {"NUKI2MQTT_MQTT__PASSWORD": MARKED, "NUKI2MQTT_WEB__PASSWORD": f"{MARKED}\n"}
    end = outcome(None, {f"NUKI2MQTT_{name}": value, **secrets})
    assert MARKED not in f"{end!r} {end}"


@given(path=st.sampled_from(SECRETS), value=st.text(max_size=20))
def test_a_secret_in_a_variable_is_kept_or_refused_but_never_shown(path: str, value: str) -> None:
    end = outcome(None, {"NUKI2MQTT_BRIDGES__0__HOST": "192.0.2.10", variable_of(path): MARKED + value})
    assert MARKED not in f"{end!r} {end}"
