"""A mosquitto process of one's own on the loopback interface."""

import asyncio
import contextlib
import random
import shutil
import signal
import socket
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from nuki2mqtt.protocol.settings_words import MqttProtocol

HOST = "127.0.0.1"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or shutil.which("mosquitto")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
_START_S = 10.0
_STOP_S = 5.0
_GIVEN: set[int] = set()


def free_port() -> int:
    """A port nobody listens at, outside of Linux's ephemeral range, and none that was given before.

    Within that range a client that tries again and again would, on the loopback, connect to itself some day.
    """
    while True:
        port = random.randint(20000, 32000)  # noqa: S311
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port


@dataclass(frozen=True, kw_only=True)
class Tls:
    """The PEM files of a TLS listener; `ask_client` demands a certificate from clients."""

    ca: Path
    cert: Path
    key: Path
    ask_client: bool = False


class Mosquitto:
    """A mosquitto process; stopped and started again it keeps its port and, if asked to, its messages."""

    protocol = MqttProtocol.AUTO

    def __init__(self, config: Path, port: int) -> None:
        self.host = HOST
        self.port = port
        self.log: deque[str] = deque(maxlen=2000)
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start and wait until it listens."""
        assert MOSQUITTO is not None
        assert self._process is None, "it runs already"
        self._process = await asyncio.create_subprocess_exec(
            MOSQUITTO, "-c", str(self._config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        stream = self._process.stderr
        assert stream is not None
        try:
            async with asyncio.timeout(_START_S):
                await self._read_until(stream, "running")
                # 2.0.11 forgets a SIGTERM that comes before its loop, so wait until that is at work.
                _, writer = await asyncio.open_connection(HOST, self.port)
                await self._read_until(stream, "New connection")
                writer.transport.abort()
        except BaseException:
            await self.kill()
            raise
        self._reading = asyncio.create_task(self._drain(stream), name="mosquitto-log")

    async def stop(self) -> None:
        """Let it end by itself, as on a shutdown."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once; nothing is said to its clients."""
        await self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `pause`."""
        self._signal(signal.SIGCONT)

    async def reload(self, *, acl: str | None = None, users: Mapping[str, str] | None = None) -> None:
        """Have it read new rights, new users or both; its connections stay."""
        if acl is not None:
            await asyncio.to_thread((self._config.parent / "acl").write_text, acl)
        if users is not None:
            await _password_file(self._config.parent, users)
        self._signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading
            self._reading = None

    async def _read_until(self, stream: asyncio.StreamReader, words: str) -> None:
        while words not in (line := await self._line(stream)):
            assert line, f"mosquitto did not start: {list(self.log)}"

    async def _line(self, stream: asyncio.StreamReader) -> str:
        line = (await stream.readline()).decode(errors="replace").rstrip()
        self.log.append(line)
        return line

    async def _drain(self, stream: asyncio.StreamReader) -> None:
        while await self._line(stream):
            pass


@asynccontextmanager
async def mosquitto(
    *,
    users: Mapping[str, str] | None = None,
    acl: str | None = None,
    tls: Tls | None = None,
    persistence: bool = False,
    settings: tuple[str, ...] = (),
) -> AsyncIterator[Mosquitto]:
    """A mosquitto of one's own; skips the test where there is none.

    `users` are names and passwords (None lets everybody in), `acl` is the text of an ACL file, `settings` are
    further lines of the configuration.
    """
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    with tempfile.TemporaryDirectory(prefix="mosquitto-") as name:
        directory, port = Path(name), free_port()
        lines = [
            "user root",  # started as root it would become a user who cannot read this directory
            "log_dest stderr",
            "log_type all",
            "set_tcp_nodelay true",
            f"listener {port} {HOST}",
            f"allow_anonymous {str(users is None).lower()}",
        ]
        if users is not None:
            lines.append(f"password_file {await _password_file(directory, users)}")
        if acl is not None:
            await asyncio.to_thread((directory / "acl").write_text, acl)
            (directory / "acl").chmod(0o600)
            lines.append(f"acl_file {directory / 'acl'}")
        if tls is not None:
            lines += [f"cafile {tls.ca}", f"certfile {tls.cert}", f"keyfile {tls.key}"]
            lines.append(f"require_certificate {str(tls.ask_client).lower()}")
        if persistence:
            lines += ["persistence true", f"persistence_location {directory}/"]
        config = directory / "mosquitto.conf"
        await asyncio.to_thread(config.write_text, "\n".join((*lines, *settings)) + "\n")
        broker = Mosquitto(config, port)
        try:
            await broker.start()
            yield broker
        finally:
            await broker.kill()


async def _password_file(directory: Path, users: Mapping[str, str]) -> Path:
    path = directory / "users"
    lines = "".join(f"{name}:{password}\n" for name, password in users.items())
    await asyncio.to_thread(path.write_text, lines)
    path.chmod(0o600)
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    hashing = await asyncio.create_subprocess_exec(tool, "-U", str(path))
    assert await hashing.wait() == 0
    return path
