"""A simulated Bridge on a loopback port, and a target of its callbacks, for clients that other people wrote."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener, Timing
from nuki2mqtt.simulator.server import SimulatedBridgeServer

WAIT_S = 15.0
TOKEN = "abc123"
QUICK = Timing(answer_s=0.005, read_s=0.02, accept_s=0.02, motor_s=0.05, strike_s=0.02, unlatched_s=0.05)


@dataclass
class Target:
    """Where the Bridge calls back; keeps the bodies."""

    url: str
    bodies: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)

    async def heard(self) -> dict[str, Any]:
        """The next body, heard or to come."""
        async with asyncio.timeout(WAIT_S):
            return await self.bodies.get()


@dataclass(frozen=True)
class Site:
    """A Bridge with a Smart Lock 2.0, a Smart Lock 3.0 and an Opener."""

    server: SimulatedBridgeServer
    old_lock: SimulatedLock
    lock: SimulatedLock
    opener: SimulatedOpener

    @property
    def bridge(self) -> SimulatedBridge:
        return self.server.bridge

    def modes(self, path: str) -> set[str | None]:
        """How the token was proved when this path was asked with success."""
        return {request.mode for request in self.bridge.requests if request.path == path and request.status == 200}

    async def state(self, lock: SimulatedLock | SimulatedOpener, code: int) -> None:
        """Until the device has this state."""
        limit = time.monotonic() + WAIT_S
        while lock.state != code:
            assert time.monotonic() < limit, f"{lock} is not {code}"
            await asyncio.sleep(0.01)
            self.bridge.house.advance(time.time())

    def turn(self, lock: SimulatedLock, code: int) -> None:
        """Turn a lock by hand; the Bridge calls back."""
        lock.turn(code)
        self.server.changed()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    house = House(now=time.time())
    old_lock = house.add(SimulatedLock(nuki_id=0x1A2B0101, device_type=0, name="Cellar", firmware="2.15.2", door=2))
    lock = house.add(SimulatedLock(nuki_id=0x1A2B0102, name="Front door", door=2))
    opener = house.add(SimulatedOpener(nuki_id=0x1A2B0103))
    bridge = SimulatedBridge(house, hardware_id=0x0A1B2C3D, server_id=0x0A1B3C3D, token=TOKEN, timing=QUICK)
    async with SimulatedBridgeServer(bridge) as server:
        yield Site(server, old_lock, lock, opener)


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    one = Target("")

    async def handle(request: web.BaseRequest) -> web.Response:
        one.bodies.put_nowait(json.loads(await request.read()))
        return web.Response()

    server = web.Server(handle)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/heard"
    yield one
    listening.close()
    await server.shutdown(timeout=0)
