"""Nuki's list of Bridges: one GET, bounded in time and size, never redirected; whatever goes wrong is a warning."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nuki2mqtt.adapters.cloud_list import MOST_BYTES, CloudAnswer, ask_cloud
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.discovery import Candidate, How
from tests.stories.real.household import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LIST = '{"bridges": [{"bridgeId": 7, "ip": "192.168.1.50", "port": 8080}], "errorCode": 0}'


@asynccontextmanager
async def cloud(handler: Handler) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server on the loopback address, and what it was asked."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/"), asked


def warning(answer: CloudAnswer) -> str:
    assert answer.found.candidates == ()
    [text] = answer.warnings
    assert text.startswith("Nuki's list of Bridges was not read: ")
    return text.removeprefix("Nuki's list of Bridges was not read: ")


async def test_the_list_is_asked_once() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text=LIST)

    async with cloud(handler) as (url, asked):
        answer = await ask_cloud(url)
    assert answer.warnings == ()
    assert answer.found.candidates == (Candidate("192.168.1.50", 8080, None, (How.CLOUD,), NukiId(7)),)
    [request] = asked
    assert (request.method, request.path_qs) == ("GET", "/discover/bridges")
    assert "User-Agent" not in request.headers


async def test_it_is_not_redirected() -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(text=LIST)

    async with cloud(elsewhere) as (other, asked_there):

        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"{other}/discover/bridges"})

        async with cloud(handler) as (url, asked):
            assert warning(await ask_cloud(url)).startswith("127.0.0.1 says 302; try again later")
    assert (len(asked), len(asked_there)) == (1, 0)


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_another_status(status: int) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="secret words")

    async with cloud(handler) as (url, asked):
        text = warning(await ask_cloud(url))
    assert text.startswith(f"127.0.0.1 says {status}; ")
    assert "secret" not in text
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("x" * (MOST_BYTES + 1), "more than 65536 bytes"),
        ("<html>", "something else than a list"),
        ("", "an empty body"),
    ],
)
async def test_another_body(body: str, words: str) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with cloud(handler) as (url, _):
        assert words in warning(await ask_cloud(url))


async def test_no_answer_in_time() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with cloud(handler) as (url, _):
        assert warning(await ask_cloud(url, limit_s=0.5)).startswith("127.0.0.1 does not answer within 0.5 s")


async def test_nobody_there() -> None:
    assert warning(await ask_cloud(f"http://127.0.0.1:{free_port()}")).startswith("127.0.0.1 cannot be reached")


async def test_it_speaks_no_tls() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text=LIST)

    async with cloud(handler) as (url, asked):
        text = warning(await ask_cloud(url.replace("http://", "https://")))
    assert text.startswith(("127.0.0.1 cannot be reached", "the certificate of 127.0.0.1"))
    assert asked == []
