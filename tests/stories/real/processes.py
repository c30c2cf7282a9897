"""The real command line in processes of its own, and a site for it: a broker, a Bridge, a folder.

Waiting is always for a line, a message, a request or an exit, with a limit.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, Timing
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.adapters.brokers import Reachable
from tests.adapters.mosquitto import Mosquitto
from tests.stories.real.household import TOKEN, WAIT_S, Ear, free_port

REPO = Path(__file__).parents[3]
LOCK_ID = 0x1A2B3C4D
FOREIGN = "http://192.0.2.77:8080/someone"
QUICK = Timing(answer_s=0.002, read_s=0.01, unreachable_s=0.05, accept_s=0.01, callback_s=0.01, auth_window_s=0.3)


async def until(predicate: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    """Until something outside of MQTT holds."""
    limit = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < limit, f"it did not come to be: {what}"
        await asyncio.sleep(0.01)


class Running:
    """One process of ours and all that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[str] = []
        self.pid = process.pid
        self._process = process
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name=f"output of {process.pid}")

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return "\n".join(self.lines)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode().rstrip("\n"))
            self._changed.set()

    async def wait_line(self, *words: str, timeout_s: float = WAIT_S) -> str:
        """The first line that holds all of these words, printed or to come."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._changed.clear()
                    for line in self.lines:
                        if all(word in line for word in words):
                            return line
                    assert not self._reading.done(), f"it ended without saying {words}:\n{self.text}"
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"it did not say {words}:\n{self.text}") from None

    async def ended(self, timeout_s: float = WAIT_S) -> int:
        """Its exit status."""
        try:
            async with asyncio.timeout(timeout_s):
                status = await self._process.wait()
                await self._reading
        except TimeoutError:
            raise AssertionError(f"it does not end:\n{self.text}") from None
        return status

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """End it at once, as `kill -9`."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        self.send(signal.SIGTERM)
        return await self.ended()


class Site:
    """A broker, a Bridge with a lock, a folder; and the processes that were started here."""

    def __init__(self, folder: Path, broker: Mosquitto, server: SimulatedBridgeServer, lock: SimulatedLock) -> None:
        self.folder = folder
        self.broker = broker
        self.server = server
        self.bridge = server.bridge
        self.lock = lock
        self.callback_port = free_port()
        self.started: list[Running] = []

    @property
    def state_dir(self) -> Path:
        """The state folder, unless a test names another one."""
        return self.folder / "state"

    def write_config(
        self,
        name: str = "config.yaml",
        *,
        bridge: str = f"token: {TOKEN}",
        mqtt: str = "",
        poll: str = "min_gap_s: 0",
        callback_port: int | None = None,
        state_dir: Path | None = None,
        extra: str = "",
        via: Reachable | None = None,
    ) -> Path:
        """A settings file; the texts are further keys of its sections, in YAML's flow style.

        `via` is a way to the broker other than the direct one.
        """
        path = self.folder / name
        there = via or self.broker
        path.write_text(
            "version: 1\n"
            f"mqtt: {{host: {there.host}, port: {there.port}{', ' if mqtt else ''}{mqtt}}}\n"
            f"bridges: [{{host: {self.server.host}, port: {self.server.port}{', ' if bridge else ''}{bridge}}}]\n"
            f"callback: {{bind: 127.0.0.1, port: {callback_port or self.callback_port}}}\n"
            f"poll: {{{poll}}}\n"
            f"state_dir: {state_dir or self.state_dir}\n{extra}",
            encoding="utf-8",
        )
        return path

    async def start(self, *arguments: str | Path, environ: Mapping[str, str] | None = None) -> Running:
        """Start `nuki2mqtt ARGUMENTS`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nuki2mqtt",
            *map(str, arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 20,
            cwd=self.folder,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(self.folder),
                "PYTHONPATH": str(REPO),
                "PYTHONUNBUFFERED": "1",
                **(environ or {}),
            },
        )
        running = Running(process)
        self.started.append(running)
        return running

    async def run(self, config: Path | None = None, **environ: str) -> Running:
        """Start the service."""
        return await self.start("run", "--config", config or self.write_config(), environ=environ)

    async def finish(self, *arguments: str | Path) -> tuple[int, str]:
        """Run `nuki2mqtt ARGUMENTS` to its end; its exit status and all that it printed."""
        running = await self.start(*arguments)
        return await running.ended(), running.text

    def asked(self, path: str) -> int:
        """How often the Bridge was asked for this path."""
        return sum(request.path == path for request in self.bridge.requests)

    @property
    def own_slots(self) -> list[str]:
        """The callback slots that are not a stranger's."""
        return [url for url in self.bridge.callbacks.slots if url is not None and url != FOREIGN]


def new_house() -> tuple[House, SimulatedLock]:
    """A house with one locked door."""
    house = House(now=time.time())
    lock = house.add(SimulatedLock(nuki_id=LOCK_ID, device_type=4, name="Front door", door=2))
    return house, lock


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A shell starts its background jobs with SIGINT ignored, and every child would inherit that."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@asynccontextmanager
async def site(folder: Path, broker: Mosquitto) -> AsyncIterator[Site]:
    """A site with this broker; what was started there and still runs is ended afterwards."""
    house, lock = new_house()
    bridge = SimulatedBridge(house, hardware_id=0x0A1B2C3D, server_id=1, token=TOKEN, timing=QUICK)
    async with SimulatedBridgeServer(bridge) as server:
        one = Site(folder, broker, server, lock)
        try:
            with interruptible():
                yield one
        finally:
            for running in one.started:
                with contextlib.suppress(ProcessLookupError):
                    await running.kill()


async def online(heard: Ear, *, since: int = 0, device: str = "front_door") -> None:
    """Until the service vouches for a device."""
    await heard.wait_for("nuki2mqtt/gateway/state", lambda said: said == "online", since=since)
    await heard.wait_for(f"nuki2mqtt/{device}/availability", lambda said: said == "online", since=since)


async def leased(heard: Ear, *, since: int = 0) -> None:
    """Until the Bridge calls the service back."""
    await heard.wait_for("nuki2mqtt/gateway/health", lambda said: said["bridges"][0]["callback"] == "held", since=since)
