"""The cloud on a loopback port, as a client and a target of its webhooks meet it."""

import asyncio
import hmac
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.web import SimulatedCloud
from nuki2mqtt.simulator.web_hooks import FEATURES
from nuki2mqtt.simulator.web_routes import SCOPES
from nuki2mqtt.simulator.web_server import SimulatedCloudServer
from tests.simulator.conftest import NOW
from tests.stories.real.processes import until

HEADERS = {"Authorization": "Bearer cloud-token"}
WAIT_S = 10.0


@pytest.fixture
async def server() -> AsyncIterator[SimulatedCloudServer]:
    """A hundred times as fast as the real one; its clock is the loop's, from the house's first moment on."""
    house, loop = House(now=NOW), asyncio.get_running_loop()
    cloud = SimulatedCloud(house)
    cloud.tokens["cloud-token"] = frozenset(SCOPES)
    cloud.add(house.add(SimulatedLock(nuki_id=1, keypad_critical=False)))
    began = loop.time()
    async with SimulatedCloudServer(cloud, time_scale=0.01, clock=lambda: NOW + loop.time() - began) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=HEADERS) as session, asyncio.timeout(WAIT_S):
        yield session


def path_of(server: SimulatedCloudServer) -> str:
    return f"{server.url}/smartlock/{server.cloud.devices[0].smartlock_id}"


async def until_listed(session: aiohttp.ClientSession, url: str, count: int) -> list[Any]:
    """Ask until there are so many; the fixture's limit ends it otherwise."""
    while True:
        async with session.get(url) as answer:
            listed: list[Any] = await answer.json()
        if len(listed) >= count:
            return listed


async def test_a_request_by_http(server: SimulatedCloudServer, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{server.url}/smartlock", params={"type": "4"}) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json;charset=UTF-8")
        assert len(await answer.json()) == 1
    async with session.get(f"{server.url}/smartlock", headers={"Authorization": "Bearer x"}) as answer:
        assert (answer.status, (await answer.json())["stackTrace"]) == (401, [])


async def test_a_write_and_what_becomes_of_it(server: SimulatedCloudServer, session: aiohttp.ClientSession) -> None:
    body = {"type": 13, "name": "Guest", "code": 345678, "remoteAllowed": False}
    async with session.put(path_of(server) + "/auth", json=body) as answer:
        assert (answer.status, await answer.read(), "Content-Type" in answer.headers) == (204, b"", False)
    [one] = await until_listed(session, path_of(server) + "/auth?types=13", 1)
    async with session.request("DELETE", f"{server.url}/smartlock/auth", json=[one["id"]]) as answer:
        assert answer.status == 204
    async with session.post(path_of(server) + "/action", json={"action": 1}) as answer:
        assert answer.status == 204
    [entry] = await until_listed(session, path_of(server) + "/log", 1)
    assert (entry["action"], entry["name"]) == (1, "Nuki Web")


async def test_webhooks_are_posted_with_their_signature(
    server: SimulatedCloudServer, session: aiohttp.ClientSession
) -> None:
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def hear(request: web.BaseRequest) -> web.Response:
        heard.put_nowait((request.headers["X-Nuki-Signature-SHA256"], await request.read()))
        return web.Response()

    target = web.Server(hear)
    listening = await asyncio.get_running_loop().create_server(target, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server.cloud.hooks.add("http://127.0.0.1:1/nobody", frozenset(FEATURES), "other")
    server.cloud.hooks.add(f"http://127.0.0.1:{port}/hook", frozenset(FEATURES), "sesame")
    async with session.post(path_of(server) + "/sync") as answer:
        assert answer.status == 204
    signature, body = await heard.get()
    assert json.loads(body)["feature"] == "DEVICE_MASTERDATA"
    assert signature == hmac.new(b"sesame", body, "sha256").hexdigest()
    listening.close()
    await target.shutdown(timeout=0)


async def test_headers_of_a_refusal(server: SimulatedCloudServer, session: aiohttp.ClientSession) -> None:
    with server.cloud.faults.throttle(seconds=30.0):
        async with session.get(f"{server.url}/smartlock") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
    with server.cloud.faults.proxy_error(status=503):
        async with session.get(f"{server.url}/smartlock") as answer:
            assert (answer.status, answer.content_type) == (503, "text/html")
            assert "503 Service Temporarily Unavailable" in await answer.text()


async def test_no_answer(server: SimulatedCloudServer, session: aiohttp.ClientSession) -> None:
    with server.cloud.faults.silent(), pytest.raises(TimeoutError):
        await session.get(f"{server.url}/smartlock", timeout=aiohttp.ClientTimeout(total=0.05))
    with server.cloud.faults.reset_connections(), pytest.raises(aiohttp.ClientError):
        await session.get(f"{server.url}/smartlock")
    async with aiohttp.ClientSession(headers=HEADERS) as fresh:
        with server.cloud.faults.refuse_connections(), pytest.raises(aiohttp.ClientConnectorError):
            await fresh.get(f"{server.url}/smartlock")
        async with fresh.get(f"{server.url}/smartlock") as answer:
            assert answer.status == 200


async def test_a_body_without_end(server: SimulatedCloudServer, session: aiohttp.ClientSession) -> None:
    async with session.put(path_of(server) + "/auth", data=io.BytesIO(b"x" * 1_100_000)) as answer:
        assert answer.status == 413


async def test_it_ends_while_somebody_waits(session: aiohttp.ClientSession) -> None:
    house = House(now=NOW)
    server = SimulatedCloudServer(SimulatedCloud(house))
    async with server:
        server.cloud.faults.silent().begin()
        asking = asyncio.create_task(session.get(f"{server.url}/smartlock").__aenter__())
        await until(lambda: server.cloud.requests, "the request is there")
    with pytest.raises(aiohttp.ClientError):
        await asking
