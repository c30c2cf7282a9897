"""The search: candidates are asked once, four at a time, without a token; what the network does is never raised."""

import socket
import time

from aiohttp import web
from aiohttp.test_utils import TestServer

from nuki2mqtt.adapters.bridge_finder import AT_A_TIME, BridgeFinder, SearchPlan, probe, search
from nuki2mqtt.gateway.vocabulary import FindBridges
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.discovery import Candidate, HostName, How, Tried, Verdict
from nuki2mqtt.protocol.settings import FindSettings
from nuki2mqtt.simulator.announcer import Announcer
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.estate import BridgePlan, Estate
from nuki2mqtt.simulator.house import House
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.adapters.multicast import LOOPBACK, needs_multicast
from tests.adapters.test_mdns import Lines
from tests.stories.real.household import free_port

ID = NukiId(0x0A1B2C3D)


def at(port: int, host: str = LOOPBACK) -> Candidate:
    return Candidate(host, port, ID, (How.MDNS,))


def served(*, is_software: bool = False) -> SimulatedBridgeServer:
    bridge = SimulatedBridge(
        House(now=time.time()), hardware_id=ID.value, server_id=7, token="abcdef", is_software=is_software
    )
    return SimulatedBridgeServer(bridge)


async def test_a_bridge_is_asked_once_without_a_token() -> None:
    async with served() as hardware, served(is_software=True) as software:
        tried = await probe([at(hardware.port), at(software.port)])
    assert [one.verdict for one in tried] == [Verdict.BRIDGE, Verdict.BRIDGE]
    for server in (hardware, software):
        [request] = server.bridge.requests
        assert (request.path, dict(request.query), request.mode, request.status) == ("/info", {}, None, 401)


async def test_four_at_a_time() -> None:
    """The fifth one waits until the others are given up."""
    with socket.create_server((LOOPBACK, 0)) as silent:
        port = silent.getsockname()[1]
        begun = time.monotonic()
        tried = await probe([at(port)] * (AT_A_TIME + 1))
        assert {one.verdict for one in tried} == {Verdict.SILENT}
        assert tried[0].text == f"127.0.0.1:{port} does not answer within 5 s"
    assert 9 < time.monotonic() - begun < 20


async def test_what_is_no_bridge() -> None:
    async def router(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>router</html>")

    app = web.Application()
    app.router.add_get("/info", router)
    async with TestServer(app, host=LOOPBACK) as other:
        [garbage] = await probe([at(other.port or 0)])
    async with served() as server:
        with server.bridge.faults.busy("/info"):
            [busy] = await probe([at(server.port)])
    [refused] = await probe([at(free_port())])
    assert (garbage.verdict, busy.verdict, refused.verdict) == (Verdict.OTHER, Verdict.UNCLEAR, Verdict.SILENT)
    assert "is the HTTP API switched on in the Nuki app" in refused.text


async def test_a_link_local_address_is_asked_with_its_scope() -> None:
    [tried] = await probe([at(free_port(), "fe80::1%lo")])
    assert tried.verdict is Verdict.SILENT


async def test_what_is_followed_is_not_asked_by_the_search() -> None:
    """A Bridge answers one question at a time, and those of the service come first."""
    async with served() as by_address, served() as by_id, served() as other:
        names = (
            HostName("localhost", ID, by_address.port),
            HostName("localhost", NukiId(8), by_id.port),
            HostName("localhost", NukiId(9), other.port),
        )
        followed = frozenset({f"127.0.0.1:{by_address.port}"})
        order = FindBridges(names, followed, frozenset({NukiId(8)}))
        found = await BridgeFinder(FindSettings(mdns=False), "http://127.0.0.1:1").find(order)
        asked = [len(server.bridge.requests) for server in (by_address, by_id, other)]
    texts = {one.candidate.port: (one.verdict, one.text) for one in found.tried if ":" not in one.candidate.host}
    assert asked == [0, 0, 1]
    assert texts[by_address.port] == (Verdict.BRIDGE, "is followed already")
    ids = {one.candidate.link: one.candidate.ids for one in found.tried}
    assert ids[f"127.0.0.1:{by_address.port}"] == frozenset(), "a foreign ID that is announced of it is not believed"
    assert texts[by_id.port] == (
        Verdict.UNCLEAR,
        "calls itself like a Bridge that answers at its own address; not asked",
    )
    assert texts[other.port] == (Verdict.BRIDGE, "wants a token (401), as a Bridge does")


async def test_nothing_to_search() -> None:
    found = await search(SearchPlan())
    assert (found.tried, found.notes, found.warnings) == ((), (), ())


@needs_multicast
async def test_by_mdns() -> None:
    told = Lines()
    async with Estate([BridgePlan()]) as estate, Announcer(estate, tell=told.take):
        await told.until(1)
        found = await search(SearchPlan(mdns_s=2.0, at=(LOOPBACK,)))
        [one] = estate.bridges
        candidate = Candidate(
            LOOPBACK, one.server.port, NukiId(one.bridge.id), (How.MDNS,), names=(f"Nuki_Bridge_{one.id}.local",)
        )
        assert found.tried == (Tried(candidate, Verdict.BRIDGE, "wants a token (401), as a Bridge does"),)
        assert (found.notes, found.warnings) == ((), ())
        assert [(each.path, each.mode) for each in one.bridge.requests] == [("/info", None)]
