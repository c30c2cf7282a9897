"""The command line: options before and after the verb, exit statuses, help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nuki2mqtt import __version__
from nuki2mqtt.__main__ import main
from nuki2mqtt.adapters.heartbeat import Heartbeat
from nuki2mqtt.errors import SettingsError
from nuki2mqtt.faces.cli import make_parser, run_cli
from nuki2mqtt.faces.setup import load
from tests.stories.real.processes import REPO

VERBS = ("run", "check", "watch", "pair", "health")


def call(*arguments: str) -> tuple[int, str]:
    """The command in a process of its own; its exit status and all that it printed."""
    environ = {"PYTHONPATH": str(REPO), "PATH": ""}
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "nuki2mqtt", *arguments],
        capture_output=True,
        text=True,
        env=environ,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


# --- Help ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_needs_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli([verb, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "Needs " in text or "next step" in text
    assert f"example:\n  nuki2mqtt {verb}" in text
    assert "exit statuses:" in text
    assert "--config FILE" in text


def test_help_of_health_without_loading_anything_large(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["nuki2mqtt", "health", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "Example: nuki2mqtt health" in text
    assert "Exit status" in text


def test_help_lists_all_verbs_and_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_cli(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {verb} " in text for verb in VERBS)
    assert all(f"\n  {status} " in text for status in (0, 1, 2, 75, 78, 130))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"nuki2mqtt {__version__}\n"


def test_health_loads_nothing_large(tmp_path: Path) -> None:
    """It is started twice a minute, on computers as small as a router."""
    Heartbeat(tmp_path / "heartbeat").beat()
    arguments = ["nuki2mqtt", "health", "--state-dir", str(tmp_path)]
    code = (
        f"import sys; sys.argv = {arguments!r}\n"
        "from nuki2mqtt.__main__ import main\n"
        "status = main()\n"
        "large = {'aiohttp', 'aiomqtt', 'yaml', 'cattrs', 'nacl', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'loaded {large}' if large else status)"
    )
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(REPO)},
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "alive\n", "")


# --- Exit statuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [("fly",), ("pair",), ("pair", "--host"), ("pair", "--host", "x", "--port", "0"), ("--nonsense",), ("run", "x")],
)
def test_a_wrong_command_line_is_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(list(arguments))
    assert ended.value.code == 2
    assert "usage: nuki2mqtt" in capsys.readouterr().err


def test_a_wrong_port_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_cli(["pair", "--host", "x", "--port", "70000"])
    assert "_port" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("run",), ("check",), ("watch",), ("pair", "--host", "192.0.2.10"), ()])
def test_wrong_settings_are_78_for_every_verb(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("mqtt: {prot: 1883}\npoll: {list_s: 0}\n")
    assert run_cli(list(arguments)) == 78
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "config.yaml:1:8: mqtt.prot: unknown key; did you mean mqtt.port?"
    assert lines[1].startswith("config.yaml:2:16: poll.list_s: ")
    assert len(lines) == 2


def test_a_settings_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "no.yaml")
    assert run_cli(["--config", path, "check"]) == 78
    assert capsys.readouterr().err == f"{path}: there is no such file\n"


def test_a_settings_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: Tür".encode("latin-1"))
    assert run_cli(["check", "--config", "latin.yaml"]) == 78
    assert capsys.readouterr().err == "latin.yaml: cannot be read: it is not UTF-8 text\n"
    assert run_cli(["check", "--config", str(tmp_path)]) == 78
    assert capsys.readouterr().err == f"{tmp_path}: cannot be read: Is a directory\n"


def test_a_set_without_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["check", "--set", "mqtt.host"]) == 78
    assert capsys.readouterr().err == "--set: needs KEY=VALUE\n"


def test_a_state_file_of_a_later_version_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"version": 99, "seed": "00000000", "callback_secret": "0" * 32}
    (tmp_path / "state.json").write_text(json.dumps(body))
    assert run_cli(["run", "--set", f"state_dir={tmp_path}"]) == 1
    assert "written by a later nuki2mqtt" in capsys.readouterr().err
    assert json.loads((tmp_path / "state.json").read_text()) == body


def test_the_process_ends_with_the_status(tmp_path: Path) -> None:
    status, text = call("health", "--state-dir", str(tmp_path))
    assert (status, text.startswith("no sign of life")) == (1, True)
    status, text = call("--config", str(tmp_path / "no.yaml"))
    assert (status, text.endswith("there is no such file\n")) == (78, True)


# --- Options ------------------------------------------------------------------------------------------------------


def test_options_may_stand_before_and_behind_the_verb(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mqtt: {host: from.file}\n")
    for arguments in (["--config", "a.yaml", "check"], ["check", "--config", "a.yaml"], ["--config", "a.yaml"]):
        assert load(make_parser().parse_args(arguments)).settings.mqtt.host == "from.file"
    for arguments in (["--set", "mqtt.host=set.it", "check"], ["check", "--set", "mqtt.host=set.it"]):
        assert load(make_parser().parse_args(arguments)).settings.mqtt.host == "set.it"


def test_sets_on_both_sides_of_the_verb_all_count() -> None:
    settings = load(make_parser().parse_args(["--set", "mqtt.host=a.b", "check", "--set", "mqtt.port=1884"])).settings
    assert (settings.mqtt.host, settings.mqtt.port) == ("a.b", 1884)


def test_the_order_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command line, environment, file."""
    (tmp_path / "config.yaml").write_text("mqtt: {host: file, port: 1, client_id: file, base_topic: file}\n")
    monkeypatch.setenv("NUKI2MQTT_MQTT__PORT", "2")
    monkeypatch.setenv("NUKI2MQTT_MQTT__CLIENT_ID", "environment")
    mqtt = load(make_parser().parse_args(["--set", "mqtt.client_id=line"])).settings.mqtt
    assert (mqtt.host, mqtt.port, mqtt.client_id, mqtt.base_topic) == ("file", 2, "line", "file")


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush hush\n")
    (tmp_path / "config.yaml").write_text(f"mqtt: {{username: u, password_file: {tmp_path}/password}}\n")
    password = load(make_parser().parse_args([])).settings.mqtt.password
    assert password is not None
    assert password.reveal() == "hush hush"
    (tmp_path / "password").unlink()
    with pytest.raises(SettingsError) as raised:
        load(make_parser().parse_args([]))
    assert "mqtt.password_file" in str(raised.value)


def test_health_takes_the_options_of_all_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Heartbeat(tmp_path / "heartbeat").beat()
    assert run_cli(["--set", f"state_dir={tmp_path}", "health"]) == 0
    assert capsys.readouterr().out == "alive\n"


def test_health_takes_set_behind_it_as_its_help_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Heartbeat(tmp_path / "heartbeat").beat()
    monkeypatch.setattr(sys, "argv", ["nuki2mqtt", "health", "--set", f"state_dir={tmp_path}"])
    assert main() == 0
