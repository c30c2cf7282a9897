"""Serves a simulated cloud by HTTP, in real time, and posts its webhooks. The real one is reached by HTTPS."""

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

from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.listening import Door
from nuki2mqtt.simulator.web import CloudAnswer, SimulatedCloud
from nuki2mqtt.simulator.web_faults import CloudFaultName
from nuki2mqtt.simulator.web_hooks import OwedPost

POST_TIMEOUT_S = 5.0
PORT_RETRY_S = 1.0
MOST_BYTES = 1_048_576


class SimulatedCloudServer:
    """`async with SimulatedCloudServer(cloud) as server:` serves at `server.url`; raises OSError.

    `time_scale` multiplies what the cloud and the motors take; `clock` gives epoch seconds, which become the house's
    time. What happens by itself, and webhooks with it, happens in the background; `changed` says that there is news.
    """

    def __init__(
        self,
        cloud: SimulatedCloud,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cloud = cloud
        self.host = host
        self.port = port
        self._clock = clock
        self._timing = cloud.timing, cloud.motor
        self._time_scale = time_scale
        self._connecting: set[asyncio.Task[Any]] = set()
        self._door: Door | None = None
        self._answering: web.Server | None = None
        self._session: aiohttp.ClientSession | None = None
        self._courier: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()

    @property
    def url(self) -> str:
        """The base address, in place of https://api.nuki.io."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._answering = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._door = Door(self._answering, self._connecting, name="simulated cloud connection")
        self._follow_faults()
        timing, motor = self._timing
        self.cloud.timing, self.cloud.motor = timing.scaled(self._time_scale), motor.scaled(self._time_scale)
        self.cloud.faults.observe(self._follow_faults)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=POST_TIMEOUT_S), connector=aiohttp.TCPConnector(force_close=True)
        )
        self._courier = asyncio.create_task(self._carry(), name="simulated cloud webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cloud.faults.ignore(self._follow_faults)
        self.cloud.timing, self.cloud.motor = self._timing
        self._closing.set()
        if self._door is not None:
            self._door.close()
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
        """Something was done by hand, or a device has changed."""
        self._wake.set()

    async def deliver(self) -> list[tuple[str, int]]:
        """Post what is owed now, one after the other; the statuses, 0 where no answer came."""
        return [(post.url, await self._post(post)) for post in self.cloud.take_posts(self._clock())]

    async def _post(self, post: OwedPost) -> int:
        if self._session is None:
            raise RuntimeError("the server is not running")
        try:
            async with self._session.post(
                post.url, data=post.body, headers=post.headers, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):  # a host may be no name at all
            return 0

    async def _carry(self) -> None:
        while True:
            self._wake.clear()
            await self.deliver()
            at = self.cloud.house.next_change_at()
            timeout_s = None if at is None else max(0.0, at - self._clock())
            try:
                self._follow_faults()
            except OSError:  # another program has taken the port meanwhile
                timeout_s = PORT_RETRY_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout_s)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = bytearray()
        async for part in request.content.iter_any():
            body += part
            if len(body) > MOST_BYTES:
                return web.Response(status=413)
        answer = self.cloud.answer(
            request.method, request.path, dict(request.query), request.headers, bytes(body), self._clock()
        )
        self._wake.set()
        with suppress(TimeoutError):
            timeout_s = None if answer.delay_s == inf else answer.delay_s
            await asyncio.wait_for(self._closing.wait(), timeout_s)
        if answer.ending is not Ending.ANSWERED or self._closing.is_set():
            _reset(request)
        return _response(answer)

    def _follow_faults(self) -> None:
        if self._door is None or self._closing.is_set():
            return
        if self.cloud.faults.is_on(CloudFaultName.REFUSE_CONNECTIONS):
            self._door.close()
        elif not self._door.is_open:
            self.port = self._door.open(self.host, self.port)


def _response(answer: CloudAnswer) -> web.Response:
    headers = dict(answer.headers)
    if answer.status != 204:
        headers["Content-Type"] = answer.content_type
    return web.Response(status=answer.status or 503, body=answer.body or None, headers=headers)


def _reset(request: web.BaseRequest) -> None:
    """Break the connection without a word."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
