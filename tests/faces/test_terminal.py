"""What is printed where nothing can be printed: no stream, a closed one, a full one, one that nobody reads."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nuki2mqtt.faces.terminal import say, settle_output
from tests.stories.real.processes import REPO

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
BOTH = pytest.mark.parametrize("name", ["stdout", "stderr"])


class Broken(io.StringIO):
    """Takes nothing, and has no descriptor."""

    encoding = "utf-8"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@BOTH
def test_no_stream(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`>&-`: whoever closes it wants nothing to be said, and nobody has gone away."""
    monkeypatch.setattr(sys, name, None)
    assert say("it", is_trouble=name == "stderr")
    settle_output()


@BOTH
@pytest.mark.parametrize("error", [OSError(28, "full"), OSError(5, "gone"), BrokenPipeError(), ValueError("closed")])
def test_a_stream_that_takes_nothing(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, since the interpreter would stumble over it at its end, too."""
    monkeypatch.setattr(sys, name, Broken(error))
    assert not say("it", is_trouble=name == "stderr")
    assert getattr(sys, name) is None
    monkeypatch.setattr(sys, name, Broken(error))
    settle_output()
    assert getattr(sys, name) is None


@BOTH
def test_a_closed_stream(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream.close()
    monkeypatch.setattr(sys, name, stream)
    assert not say("it", is_trouble=name == "stderr")
    settle_output()


@needs_full
@BOTH
def test_a_full_device_becomes_one_that_takes_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FULL.open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, name, stream)
        assert not say("it", is_trouble=name == "stderr")
        assert say("more", is_trouble=name == "stderr")
        assert os.path.samestat(os.fstat(stream.fileno()), Path(os.devnull).stat())


@needs_full
@pytest.mark.parametrize("redirects", [">/dev/full", ">&-", ">/dev/full 2>&1", ">&- 2>&-"])
def test_the_interpreter_does_not_change_the_status_at_its_end(redirects: str) -> None:
    """What is left in a buffer and cannot be written would make it 120."""
    ended = subprocess.run(  # noqa: S603 - our own program
        ["/bin/sh", "-c", f'exec "$@" {redirects}', "sh", sys.executable, "-m", "nuki2mqtt", "--version"],
        env={"PYTHONPATH": str(REPO), "PATH": ""},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert ended.returncode == 0
    assert b"Exception" not in ended.stderr
    assert b"Traceback" not in ended.stderr
