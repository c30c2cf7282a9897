"""Where it is measured: a broker, processes of our own and their settings, all on the loopback interface."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nuki2mqtt.adapters.embedded_broker import EmbeddedBroker
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.adapters.mosquitto import MOSQUITTO, free_port
from tests.bench.bare import HOST
from tests.bench.ear import WAIT_S

REPO = Path(__file__).parents[2]
TOKEN = "abcdef"
_STOP_S = 10.0
_ENVIRON = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(REPO)}


@dataclass(frozen=True, slots=True)
class Place:
    """The broker's port, its protocol, what it is, and a folder for settings and state."""

    port: int
    protocol: str
    broker: str
    folder: Path

    def config(self, name: str, *servers: SimulatedBridgeServer, extra: str = "") -> Path:
        """A settings file of the gateway; `name` is also its base topic, and its state is new."""
        bridges = ", ".join(f"{{host: {HOST}, port: {server.port}, token: {TOKEN}}}" for server in servers)
        path = self.folder / f"{name}.yaml"
        path.write_text(
            f"mqtt: {{host: {HOST}, port: {self.port}, protocol: {self.protocol}, base_topic: {name}}}\n"
            f"bridges: [{bridges}]\n"
            f"callback: {{bind: {HOST}, port: {free_port()}}}\n"
            f"homeassistant: {{prefix: {name}_homeassistant}}\n"
            "log: {level: error}\n"
            f"state_dir: {self.folder / name}\n{extra}",
            encoding="utf-8",
        )
        return path


@asynccontextmanager
async def running(folder: Path, *arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python ARGUMENTS` until the block ends; what it prints is seen by whoever runs the benchmark."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, arguments), stdin=asyncio.subprocess.DEVNULL, cwd=folder, env=_ENVIRON
    )
    try:
        yield process
    finally:
        await _end(process)


async def error_output(folder: Path, *arguments: str) -> str:
    """What `python ARGUMENTS` writes to stderr until it ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stderr=asyncio.subprocess.PIPE, cwd=folder, env=_ENVIRON
    )
    try:
        async with asyncio.timeout(WAIT_S):
            _, text = await process.communicate()
    finally:
        await _end(process)
    return text.decode()


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    """With mosquitto where there is one, else with the embedded broker in this process."""
    if MOSQUITTO is None:
        async with EmbeddedBroker() as broker:
            yield Place(broker.port, "3.1.1", "embedded broker", folder)
        return
    port, config = free_port(), folder / "mosquitto.conf"
    # As root it would become a user who cannot read the folder; without `nodelay` the kernel's waiting is measured.
    config.write_text(
        f"user root\nlog_dest none\nset_tcp_nodelay true\nallow_anonymous true\nlistener {port} {HOST}\n",
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(
        MOSQUITTO, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _listening(port)
        yield Place(port, "5", "mosquitto", folder)
    finally:
        await _end(process)


async def _listening(port: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
