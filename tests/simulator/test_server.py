"""The Bridge on a loopback port, as a client and a callback target meet it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.server import SimulatedBridgeServer

TOKEN = {"token": "sim123"}


class Target:
    """A callback target that keeps what it gets."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        assert request.method == "POST"
        self.posts.put_nowait((request.content_type, await request.read()))
        return web.Response()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    server = web.Server(target.handle)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    target.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/callback"
    yield target
    listening.close()
    await server.shutdown(timeout=0)


@pytest.fixture
async def server(bridge: SimulatedBridge) -> AsyncIterator[SimulatedBridgeServer]:
    async with SimulatedBridgeServer(bridge, time_scale=0.01) as server:
        yield server


@asynccontextmanager
async def _get(server: SimulatedBridgeServer, path: str, **query: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession() as session, session.get(server.url + path, params=query) as answer:
        yield answer


async def _status(server: SimulatedBridgeServer, path: str, **query: str) -> int:
    async with _get(server, path, **(TOKEN | query)) as answer:
        await answer.read()
        return answer.status


async def test_one_connection_one_answer(server: SimulatedBridgeServer) -> None:
    async with _get(server, "/list", **TOKEN) as answer:
        assert answer.headers["Connection"].lower() == "close"
        assert answer.headers["Content-Type"] == "application/json;charset=utf-8"
        assert len(await answer.json()) == 2
    async with _get(server, "/list") as answer:
        assert (answer.status, await answer.read()) == (401, b"HTTP 401 Unauthorized")
    async with aiohttp.ClientSession() as session, session.post(server.url + "/list") as answer:
        assert answer.status == 400


async def test_busy_while_an_order_is_carried_out(server: SimulatedBridgeServer, lock: SimulatedLock) -> None:
    server.bridge.timing = server.bridge.timing.scaled(10)
    order = {"nukiId": str(lock.nuki_id), "deviceType": "4", "action": "1"}
    both = await asyncio.gather(_status(server, "/lockAction", **order), _status(server, "/list"))
    assert sorted(both) == [200, 503]
    assert await _status(server, "/list") == 200


async def test_callbacks_by_hand(server: SimulatedBridgeServer, target: Target, lock: SimulatedLock) -> None:
    assert await _status(server, "/callback/add", url=target.url) == 200
    lock.turn(3)
    assert await server.deliver() == [(target.url, 200)]
    assert await server.deliver() == []
    content_type, body = target.posts.get_nowait()
    assert content_type == "application/json"
    assert b'"stateName": "unlocked"' in body


async def test_callbacks_in_the_background(server: SimulatedBridgeServer, target: Target, lock: SimulatedLock) -> None:
    await _status(server, "/callback/add", url=target.url)
    lock.turn(3)
    server.changed()
    assert b'"state": 3' in (await target.posts.get())[1]
    order = {"nukiId": str(lock.nuki_id), "deviceType": "4", "action": "2", "nowait": "1"}
    await _status(server, "/lockAction", **order)
    assert b'"state": 1' in (await target.posts.get())[1]


async def test_a_dead_target(server: SimulatedBridgeServer, target: Target, lock: SimulatedLock) -> None:
    server.bridge.callbacks.add("http://127.0.0.1:1/dead")
    server.bridge.callbacks.add(target.url)
    lock.turn(3)
    assert await server.deliver() == [("http://127.0.0.1:1/dead", 0), (target.url, 200)]


async def test_refused_connections(server: SimulatedBridgeServer) -> None:
    assert await _status(server, "/list") == 200
    for _ in range(2):
        with server.bridge.faults.refuse_connections(), pytest.raises(aiohttp.ClientConnectorError):
            await _status(server, "/list")
        assert await _status(server, "/list") == 200


async def test_refused_and_back_within_one_breath(server: SimulatedBridgeServer) -> None:
    for _ in range(3):
        with server.bridge.faults.refuse_connections():
            pass
    assert await _status(server, "/list") == 200


async def test_reset_connections(server: SimulatedBridgeServer) -> None:
    with server.bridge.faults.reset_connections(), pytest.raises(aiohttp.ClientConnectionError) as error:
        await _status(server, "/list")
    assert not isinstance(error.value, aiohttp.ClientConnectorError)
    assert await _status(server, "/list") == 200


async def test_no_answer(server: SimulatedBridgeServer) -> None:
    with server.bridge.faults.silent(), pytest.raises(TimeoutError):
        await asyncio.wait_for(_status(server, "/list"), 0.1)
    assert await _status(server, "/list") == 200


async def test_no_answer_does_not_hold_up_the_end(bridge: SimulatedBridge) -> None:
    with bridge.faults.silent():
        async with SimulatedBridgeServer(bridge) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"GET /list HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.1)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert [request.status for request in bridge.requests] == [0]
    writer.close()


async def test_the_clock_is_the_houses_time(house: House, bridge: SimulatedBridge) -> None:
    before = bridge.timing
    began = house.now
    async with (
        SimulatedBridgeServer(bridge, time_scale=0, clock=lambda: began + 60) as server,
        _get(server, "/info", **TOKEN) as answer,
    ):
        assert (await answer.json())["uptime"] == 86_460
    assert bridge.timing is before


async def test_a_target_that_cannot_be_a_name_holds_up_nobody(
    server: SimulatedBridgeServer, target: Target, lock: SimulatedLock
) -> None:
    server.bridge.callbacks.add("http://ha..local:8123/odd")
    server.bridge.callbacks.add(target.url)
    lock.turn(3)

    assert await server.deliver() == [("http://ha..local:8123/odd", 0), (target.url, 200)]


async def test_a_server_that_is_not_running_posts_nothing(bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    bridge.callbacks.add("http://127.0.0.1:1/dead")
    lock.turn(3)
    with pytest.raises(RuntimeError, match="not running"):
        await SimulatedBridgeServer(bridge).deliver()
