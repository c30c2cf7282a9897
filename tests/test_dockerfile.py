"""The rules that the container image keeps, read from the Dockerfile; hadolint knows more of them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HADOLINT = shutil.which("hadolint")


def instructions() -> list[tuple[str, str]]:
    """Every instruction with its arguments, comments left out and continued lines joined."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    found = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, _, rest in found]


def final_stage() -> dict[str, str]:
    """The last arguments of each instruction of the final stage."""
    parts = instructions()
    start = max(index for index, (word, _) in enumerate(parts) if word == "FROM")
    return dict(parts[start:])


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in final_stage()["ENV"].split())


def test_two_stages_of_the_same_slim_python() -> None:
    stages = [rest for word, rest in instructions() if word == "FROM"]
    assert [stage.split()[0] for stage in stages] == ["python:3.13-slim", "python:3.13-slim"]


def test_no_compiler_in_the_final_stage() -> None:
    assert "apt-get" not in final_stage()["RUN"]


def test_nothing_is_fetched_from_elsewhere() -> None:
    words = {word for word, _ in instructions()}
    runs = " ".join(rest for word, rest in instructions() if word == "RUN")
    assert "ADD" not in words
    assert not re.search(r"\b(curl|wget|git|https?:)", runs)


def test_versions_come_from_the_constraints() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN" and " install " in rest and "pip" in rest]
    assert len(runs) == 1
    assert "--constraint constraints.txt" in runs[0]


def test_an_ordinary_user_who_can_write_to_data_only() -> None:
    stage = final_stage()
    assert stage["USER"] == "10001:10001"
    assert json.loads(stage["VOLUME"]) == ["/data"]
    assert environment()["NUKI2MQTT_STATE_DIR"] == "/data"
    assert environment()["NUKI2MQTT_CONFIG"] == "/data/config.yaml"
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_signals_reach_the_process() -> None:
    stage = final_stage()
    assert json.loads(stage["ENTRYPOINT"]) == ["nuki2mqtt"]
    assert json.loads(stage["CMD"]) == ["run"]
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert environment()["PYTHONUNBUFFERED"] == "1"


def test_health_is_asked_without_a_shell() -> None:
    options, _, command = final_stage()["HEALTHCHECK"].partition("CMD ")
    assert json.loads(command) == ["nuki2mqtt", "health"]
    assert "--start-period=30s" in options


def test_only_what_is_needed_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in ignored if line and not line.startswith("#")]
    sent = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    copies = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    assert patterns[0] == "*"
    assert sent == {source.removeprefix("./") for sources in copies for source in sources}


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    assert HADOLINT is not None
    found = subprocess.run(  # noqa: S603 - a fixed command
        [HADOLINT, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
