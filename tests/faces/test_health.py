"""`nuki2mqtt health`: a small file tells whether the service makes progress."""

import time
from pathlib import Path

import pytest

from nuki2mqtt.adapters.heartbeat import Heartbeat
from nuki2mqtt.adapters.state_dir import default_state_dir
from nuki2mqtt.faces.health import run_health
from nuki2mqtt.protocol.settings_reader import read_settings


def test_a_beating_heart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Heartbeat(tmp_path / "heartbeat").beat()
    assert run_health(["--state-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "alive\n"


@pytest.mark.parametrize("written", [None, "", "soon", "121 s ago", "from before a reboot"])
def test_no_sign_of_life(tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str | None) -> None:
    times = {"121 s ago": time.monotonic() - 121, "from before a reboot": time.monotonic() + 1000}
    if written is not None:
        (tmp_path / "heartbeat").write_text(f"{times.get(written, written)}\n")
    assert run_health(["--state-dir", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"no sign of life in {tmp_path}: look at the service's log, or name its state folder with --state-dir\n"
    )


def looked_at(capsys: pytest.CaptureFixture[str], *arguments: str) -> Path:
    """The folder in which no sign of life was found."""
    capsys.readouterr()
    assert run_health(list(arguments)) == 1
    return Path(capsys.readouterr().err.removeprefix("no sign of life in ").partition(": ")[0])


def test_the_folder_is_found_as_by_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment before the file, the file before the default."""
    config = tmp_path / "config.yaml"
    config.write_text(f"version: 1\nstate_dir: {tmp_path}/from_file\n")
    assert looked_at(capsys, "--config", str(config)) == tmp_path / "from_file"
    monkeypatch.setenv("NUKI2MQTT_CONFIG", str(config))
    assert looked_at(capsys) == tmp_path / "from_file"
    monkeypatch.setenv("NUKI2MQTT_STATE_DIR", str(tmp_path / "from_environment"))
    assert looked_at(capsys) == tmp_path / "from_environment"


def test_without_settings_the_default_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert looked_at(capsys) == default_state_dir({"HOME": str(tmp_path)}, "linux")


@pytest.mark.parametrize(
    "text",
    [
        "state_dir: /no/b",
        "state_dir: /no/b # here",
        "state_dir: '/no/b'",
        'state_dir: "/no/b"',
        "state_dir: null",
        "state_dir: ~",
        "state_dir:\nlog: {level: info}",  # an empty value: the next key must not be taken for it
        "state_dir: '/no/with space/b'",
        "state_dir: Null",
        "state_dir: /no/it's",
        "state_dir: /no#b",
        "{state_dir: /no/b}",
        "'state_dir': /no/b",
        "state_dir : /no/b",
        "state_dir: >-\n  /no/folded",
        "log: {level: info}\nstate_dir: /no/b",
    ],
)
def test_every_spelling_of_the_key_is_read_as_by_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"{text}\n")
    as_service = read_settings(f"{text}\n", read_file=lambda name: name).state_dir
    default = default_state_dir({"HOME": str(tmp_path)}, "linux")
    assert looked_at(capsys, "--config", str(config)) == (default if as_service is None else Path(as_service))
