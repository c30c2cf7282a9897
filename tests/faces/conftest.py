"""A Bridge and a broker for the verbs that ask them, and a way to run a verb as a shell would."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, Timing
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.adapters.brokers import RunningBroker, any_broker
from tests.stories.real.household import TOKEN, free_port

QUICK = Timing(answer_s=0.002, auth_window_s=0.1)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The verbs set up the logging of their process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the person who runs the tests is read or written."""
    for name in ("NUKI2MQTT_CONFIG", "NUKI2MQTT_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@dataclass(frozen=True)
class Said:
    """What a verb ended with and printed."""

    status: int
    out: str
    err: str


Perform = Callable[..., Any]


@pytest.fixture
def perform(capsys: pytest.CaptureFixture[str]) -> Perform:
    """Run a verb in a thread of its own, since it begins a loop of its own."""

    async def perform(verb: Callable[..., int], *arguments: object, **options: object) -> Said:
        capsys.readouterr()
        status = await asyncio.to_thread(verb, *arguments, **options)
        out, err = capsys.readouterr()
        return Said(status, out, err)

    return perform


@dataclass
class Site:
    """A folder, a Bridge; `text` are settings, in which `extra` may add sections."""

    folder: Path
    server: SimulatedBridgeServer
    callback_port: int

    @property
    def bridge(self) -> SimulatedBridge:
        return self.server.bridge

    @property
    def link(self) -> str:
        return f"{self.server.host}:{self.server.port}"

    def setup(self, broker: Any = None, *, bridge: str = f"token: {TOKEN}", extra: str = "") -> Setup:
        """Settings with this Bridge; without a broker nobody listens there."""
        port = free_port() if broker is None else broker.port
        protocol = "5" if broker is None else broker.protocol
        text = (
            f"version: 1\nmqtt: {{host: 127.0.0.1, port: {port}, protocol: {protocol}}}\n"
            f"bridges: [{{host: {self.server.host}, port: {self.server.port}, {bridge}}}]\n"
            f"callback: {{bind: 127.0.0.1, port: {self.callback_port}}}\n{extra}"
        )
        return Setup(read_settings(text, read_file=lambda name: name), self.folder / "state")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    house = House(now=time.time())
    house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name="Front door"))
    bridge = SimulatedBridge(house, hardware_id=0x0A1B2C3D, server_id=1, token=TOKEN, timing=QUICK)
    async with SimulatedBridgeServer(bridge) as server:
        yield Site(tmp_path, server, free_port())


@pytest.fixture
async def broker() -> AsyncIterator[RunningBroker]:
    async with any_broker() as one:
        yield one
