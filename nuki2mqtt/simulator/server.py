"""Serves one simulated Bridge by HTTP, in real time, and posts its callbacks.

One connection carries one request, and every answer closes it, as with a real Bridge (reference, 1.1).
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from nuki2mqtt.simulator.bridge import Ending, SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.faults import FaultName
from nuki2mqtt.simulator.listening import Door

POST_TIMEOUT_S = 5.0
PORT_RETRY_S = 1.0
MOST_REQUESTS = 10_000  # of those that a Bridge lists; the oldest half is forgotten then


class SimulatedBridgeServer:
    """`async with SimulatedBridgeServer(bridge) as server:` serves on `server.port`.

    `time_scale` multiplies every duration of the Bridge; `clock` gives epoch seconds, which become the
    house's time. Post what is owed with `deliver`, or let it happen in the background with `changed`; what a
    motor does after an order is posted in the background anyway.
    """

    def __init__(
        self,
        bridge: SimulatedBridge,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.bridge = bridge
        self.host = host
        self.port = port
        self._clock = clock
        self._timing = bridge.timing
        self._time_scale = time_scale
        self._answering: web.Server | None = None
        self._door: Door | None = None
        self._connecting: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._courier: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._button = asyncio.Event()
        self._one_delivery = asyncio.Lock()

    @property
    def url(self) -> str:
        """The base address of the API."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._answering = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._door = self._make_door(self._answering)
        self._follow_faults()
        self.bridge.timing = self._timing.scaled(self._time_scale)
        self.bridge.faults.observe(self._follow_faults)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=POST_TIMEOUT_S),
            connector=aiohttp.TCPConnector(force_close=True),
        )
        self._courier = asyncio.create_task(self._carry(), name="simulated bridge callbacks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bridge.faults.ignore(self._follow_faults)
        self.bridge.timing = self._timing
        self._close(self._door)
        self._closing.set()
        await asyncio.gather(*self._connecting)
        if self._courier is not None:
            self._courier.cancel()
            with suppress(asyncio.CancelledError):
                await self._courier
        if self._answering is not None:
            await self._answering.shutdown(timeout=POST_TIMEOUT_S)
        if self._session is not None:
            await self._session.close()

    def changed(self) -> None:
        """Let what is owed be posted in the background, soon."""
        self._wake.set()

    def press_button(self) -> None:
        """Press the Bridge's button; an `/auth` that waits is answered at once."""
        self.bridge.house.advance(self._clock())
        self.bridge.press_button()
        self._button.set()
        self._button = asyncio.Event()

    def move(self, host: str, port: int) -> None:
        """Serve at another address from now on, port 0 being any free one; raises OSError and stays where it is."""
        if (host, port) == (self.host, self.port):
            return
        if self._answering is None:
            self.host, self.port = host, port
            return
        before, door = (self.host, self.port), self._door
        self.host, self.port, self._door = host, port, self._make_door(self._answering)
        try:
            self._follow_faults()
        except OSError:
            (self.host, self.port), self._door = before, door
            raise
        self._close(door)

    async def deliver(self) -> list[tuple[str, int]]:
        """Post what is owed now, one target after another; the statuses, 0 where no answer came."""
        async with self._one_delivery:
            return [(url, await self._post(url, body)) for _, url, body in self.bridge.take_callbacks(self._clock())]

    async def _post(self, url: str, body: bytes) -> int:
        if self._session is None:
            raise RuntimeError("the server is not running")
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):  # a host may be no name at all
            return 0

    async def _carry(self) -> None:
        while True:
            self._wake.clear()
            await self.deliver()
            at = self.bridge.house.next_change_at()
            timeout_s = None if at is None else max(0.0, at - self._clock())
            try:
                self._follow_faults()
            except OSError:  # another program has taken the port while the Bridge was down
                timeout_s = PORT_RETRY_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout_s)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "GET":
            return _response(400, b"HTTP 400 Bad Request", "text/plain")
        answer = self.bridge.answer(request.path, dict(request.query), self._clock())
        if len(self.bridge.requests) > MOST_REQUESTS:
            del self.bridge.requests[: MOST_REQUESTS // 2]
        if self.bridge.house.next_change_at() is not None:
            self._wake.set()
        if answer.ending in {Ending.ANSWERED, Ending.SILENT}:
            answer = await self._waited(request.path, answer)
        if answer.ending is not Ending.ANSWERED or self._closing.is_set():
            _reset(request)
        elif answer.status != 503:
            self.bridge.release()
        return _response(answer.status or 503, answer.body, answer.content_type)

    async def _waited(self, path: str, answer: SimulatedAnswer) -> SimulatedAnswer:
        """The answer when it is time; another one where the button was pressed meanwhile."""
        waits = [asyncio.create_task(self._closing.wait(), name="simulated bridge closing")]
        may_be_pressed = path == "/auth" and answer.ending is Ending.ANSWERED and answer.status == 200
        if may_be_pressed:
            waits.append(asyncio.create_task(self._button.wait(), name="simulated bridge button"))
        try:
            timeout_s = None if answer.delay_s == inf else answer.delay_s
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        pressed = self.bridge.answer_pressed(self._clock()) if may_be_pressed else None
        return answer if pressed is None else pressed

    def _follow_faults(self) -> None:
        bridge = self.bridge
        is_refusing = any(fault.name is FaultName.REFUSE_CONNECTIONS for fault in bridge.faults.active)
        if is_refusing or bridge.house.now < bridge.booted_at:
            self._close(self._door)
        elif self._door is not None and not self._door.is_open:
            self.port = self._door.open(self.host, self.port)

    def _make_door(self, answering: web.Server) -> Door:
        return Door(answering, self._connecting, name="simulated bridge connection")

    @staticmethod
    def _close(door: Door | None) -> None:
        if door is not None:
            door.close()


def _response(status: int, body: bytes, content_type: str) -> web.Response:
    response = web.Response(status=status, body=body, headers={"Content-Type": content_type})
    response.enable_chunked_encoding()
    response.force_close()
    return response


def _reset(request: web.BaseRequest) -> None:
    """Break the connection without a word."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
