"""The heartbeat file, and how little `nuki2mqtt health` needs to read it."""

import subprocess
import sys
from pathlib import Path

import pytest

from nuki2mqtt.adapters.heartbeat import Heartbeat, is_fresh


class HandTime:
    """A monotonic clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 5000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> HandTime:
    return HandTime()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat"


def test_fresh_up_to_its_age(path: Path, time: HandTime) -> None:
    assert not is_fresh(path, monotonic=time)
    assert Heartbeat(path, monotonic=time).beat()
    assert is_fresh(path, monotonic=time)
    time.now += 120
    assert is_fresh(path, monotonic=time)
    time.now += 0.5
    assert not is_fresh(path, monotonic=time)
    assert is_fresh(path, 121, monotonic=time)


def test_a_beat_from_before_a_reboot_is_stale(path: Path, time: HandTime) -> None:
    Heartbeat(path, monotonic=time).beat()
    time.now = 10.0
    assert not is_fresh(path, monotonic=time)


def test_the_file_is_written_every_ten_seconds_only(path: Path, time: HandTime) -> None:
    heart = Heartbeat(path, monotonic=time)
    assert heart.beat()
    path.unlink()
    time.now += 9
    assert heart.beat()
    assert not path.exists()
    time.now += 1
    assert heart.beat()
    assert path.exists()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-inf", "1e999", "\xff"])
def test_nonsense_is_stale(path: Path, time: HandTime, text: str) -> None:
    path.write_text(text, encoding="latin-1")
    assert not is_fresh(path, monotonic=time)


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, time: HandTime) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    heart = Heartbeat(in_the_way / "heartbeat", monotonic=time)
    assert not heart.beat()
    assert not is_fresh(in_the_way / "heartbeat", monotonic=time)
    in_the_way.unlink()
    in_the_way.mkdir()
    assert heart.beat()  # tried again at once, not after ten seconds


def test_the_system_clock(path: Path) -> None:
    Heartbeat(path).beat()
    assert is_fresh(path)


def test_it_imports_nothing_heavy() -> None:
    code = "import sys, nuki2mqtt.adapters.heartbeat; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    assert not {"aiohttp", "asyncio", "json", "logging", "cattrs", "yaml", "socket"} & set(loaded.stdout.split())
