"""The button of a Bridge and its clock: pressed in time, pressed too late, ahead, drifting."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from nuki2mqtt.simulator.bridge import SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.house import House, Timing
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.simulator.conftest import NOW, TOKEN
from tests.stories.real.processes import until

Read = Callable[..., Any]
GIVEN = {"success": True, "token": TOKEN}


def test_pressed_before_it_helps_within_30_seconds(bridge: SimulatedBridge, read: Read) -> None:
    bridge.press_button()
    assert read("/auth", at=29) == GIVEN
    assert read("/auth", at=30) == {"success": False}
    bridge.press_button()
    assert read("/auth", at=61) == {"success": False}


def test_pressed_while_it_waits(bridge: SimulatedBridge) -> None:
    waiting = bridge.answer("/auth", {}, NOW)
    assert (json.loads(waiting.body), waiting.delay_s) == ({"success": False}, 30.0)
    assert bridge.answer_pressed(NOW + 5) is None
    bridge.press_button()
    answer = bridge.answer_pressed(NOW + 5)
    assert isinstance(answer, SimulatedAnswer)
    assert json.loads(answer.body) == GIVEN
    assert bridge.answer_pressed(NOW + 5) is None


def test_pressed_after_its_end(bridge: SimulatedBridge) -> None:
    bridge.answer("/auth", {}, NOW)
    bridge.release()
    bridge.press_button()
    assert bridge.answer_pressed(NOW + 31) is None


def test_a_replaced_answer_is_given_at_the_button_too(bridge: SimulatedBridge) -> None:
    with bridge.faults.garbage("/auth", b"<html>"):
        bridge.answer("/auth", {}, NOW)
        bridge.press_button()
        answer = bridge.answer_pressed(NOW + 1)
    assert answer is not None
    assert answer.body == b"<html>"


async def test_pressed_while_a_client_waits(house: House) -> None:
    bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token=TOKEN)
    async with SimulatedBridgeServer(bridge) as server, aiohttp.ClientSession() as session:

        async def auth() -> Any:
            async with session.get(server.url + "/auth") as answer:
                return await answer.json()

        async with asyncio.timeout(10):
            asking = asyncio.create_task(auth())
            await until(lambda: bridge.requests, "somebody asks for a token")
            async with session.get(server.url + "/list", params={"token": TOKEN}) as busy:
                assert busy.status == 503
            server.press_button()
            assert await asking == GIVEN


@pytest.mark.parametrize("per_day", [86.4, -86.4])
def test_a_clock_that_drifts(bridge: SimulatedBridge, per_day: float) -> None:
    bridge.set_clock(drift_s_per_day=per_day)
    assert bridge.clock(NOW + 1000) - (NOW + 1000) == pytest.approx(per_day / 86.4)
    bridge.house.advance(NOW + 1000)
    bridge.set_clock(drift_s_per_day=0)
    assert bridge.clock(NOW + 9000) - (NOW + 9000) == pytest.approx(per_day / 86.4)
    bridge.set_clock(skew_s=40)
    assert bridge.clock(NOW + 1000) == NOW + 1040


def test_a_clock_set_while_it_drifts_goes_on_drifting(bridge: SimulatedBridge) -> None:
    bridge.set_clock(drift_s_per_day=864)
    bridge.house.advance(NOW + 1000)
    bridge.set_clock(skew_s=0)
    assert bridge.clock(NOW + 1000) == NOW + 1000
    assert bridge.clock(NOW + 1100) - (NOW + 1100) == pytest.approx(1)


async def test_nobody_listens_while_it_reboots(house: House) -> None:
    """It listens again by itself, at the same address, with a new uptime."""
    bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token=TOKEN, timing=Timing(reboot_s=0.2))
    now = NOW
    async with (
        SimulatedBridgeServer(bridge, clock=lambda: now) as server,
        aiohttp.ClientSession() as session,
        asyncio.timeout(10),
    ):
        there, query = server.url, {"token": TOKEN}
        async with session.get(there + "/reboot", params=query) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        assert await _uptime(session, server, is_there=False) is None
        now = NOW + 1
        server.changed()
        assert await _uptime(session, server, is_there=True) == 0
    assert server.url == there


async def _uptime(session: aiohttp.ClientSession, server: SimulatedBridgeServer, *, is_there: bool) -> int | None:
    """Ask until somebody listens (or until nobody does); the uptime, None if nobody listens."""
    while True:
        try:
            async with session.get(server.url + "/info", params={"token": TOKEN}) as answer:
                uptime = int((await answer.json())["uptime"])
        except aiohttp.ClientConnectorError:
            if not is_there:
                return None
        except aiohttp.ClientError:  # accepted just before it went down
            pass
        else:
            if is_there:
                return uptime
        await asyncio.sleep(0.01)
