"""A listening socket whose connections an aiohttp server answers, as long as it is open."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from aiohttp import web

_BACKLOG = 16


class Door:
    """Opened and closed; connections that were taken go on. `connecting` are the tasks of those just being taken."""

    def __init__(self, answering: web.Server, connecting: "set[asyncio.Task[Any]]", *, name: str) -> None:
        self._answering = answering
        self._connecting = connecting
        self._name = name
        self._listening: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody listens."""
        return self._listening is not None

    def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which 0 leaves to the system. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        listening.setblocking(False)
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
        return int(listening.getsockname()[1])

    def close(self) -> None:
        """Listen no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            connection, _ = listening.accept()
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            task = loop.create_task(loop.connect_accepted_socket(self._answering, connection), name=self._name)
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
