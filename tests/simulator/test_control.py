"""The control API by HTTP on a loopback port, with the Bridges that it controls on theirs."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from nuki2mqtt.simulator import control, server
from nuki2mqtt.simulator.catalogue import Model
from nuki2mqtt.simulator.control import ControlServer
from nuki2mqtt.simulator.control_routes import ROUTES
from nuki2mqtt.simulator.estate import BridgePlan, Estate, ServedBridge
from nuki2mqtt.simulator.faults import FaultName
from tests.simulator.test_server import Target, target
from tests.stories.real.processes import until

__all__ = ["target"]

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
FRONT_DOOR, INTERCOM, BOX = "1A2B0101", "1A2B0105", "1A2B0106"
WAIT_S = 10.0


@dataclass
class Site:
    """An estate and its control API; `do` gives the status and the JSON of an answer."""

    estate: Estate
    url: str
    session: aiohttp.ClientSession

    async def do(self, method: str, path: str, body: Any = None, data: bytes | None = None) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, json=body, data=data) as answer:
            assert answer.content_type == "application/json"
            return answer.status, await answer.json()

    async def done(self, method: str, path: str, body: Any = None, data: bytes | None = None) -> Any:
        status, value = await self.do(method, path, body, data)
        assert status == 200, value
        return value

    async def refused(self, method: str, path: str, body: Any = None, data: bytes | None = None) -> tuple[int, str]:
        status, value = await self.do(method, path, body, data)
        assert list(value) == ["error"]
        return status, value["error"]

    async def ask(self, path: str, **query: str) -> Any:
        """Ask the first Bridge: JSON, bytes where it is none, or the status of a refusal."""
        one = self.bridge()
        url = one.server.url + path
        async with self.session.get(url, params={"token": one.bridge.tokens.token} | query) as answer:
            body = await answer.read()
            if answer.status != 200:
                return answer.status
            try:
                return await answer.json()
            except ValueError:
                return body

    def bridge(self, number: int = 0) -> ServedBridge:
        return self.estate.bridges[number]

    async def state_shown(self, nuki_id: str = FRONT_DOOR) -> dict[str, Any]:
        """What `/list` shows of a device."""
        for entry in await self.ask("/list"):
            if entry["nukiId"] == int(nuki_id, 16):
                shown: dict[str, Any] = entry["lastKnownState"]
                return shown
        raise AssertionError(nuki_id)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    plans = [BridgePlan.parse(text) for text in ("v2", "v1:1.11.0", "software")]
    async with (
        Estate(plans, speed=100) as estate,
        ControlServer(estate) as serving,
        aiohttp.ClientSession() as session,
        asyncio.timeout(30),
    ):
        yield Site(estate, serving.url, session)


# --- The page -----------------------------------------------------------------------------------------------------


def _table(heading: str) -> dict[str, str]:
    """The rows of a section's tables: the first cell's code and the rest."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = (line.split("|", 2) for line in section.splitlines() if line.startswith("| `"))
    return {row[1].strip().strip("`"): row[2] for row in rows}


def test_the_page_has_every_route_and_no_other() -> None:
    assert list(_table("The control API")) == [f"{route.method} {route.template}" for route in ROUTES]


def test_the_page_has_every_fault_and_model() -> None:
    assert list(_table("Faults")) == list(FaultName)
    assert set(re.findall(r"`(\w+)`", PAGE)) >= set(Model)


async def test_the_page_has_every_parameter_of_every_fault(site: Site) -> None:
    known = await site.done("GET", "/faults")
    for name, cells in _table("Faults").items():
        words = cells.split("|")[0]
        given = re.findall(r"(\[?)`(\w+)`", words)
        assert known[name]["needs"] == [word for bracket, word in given if not bracket]
        assert known[name]["takes"] == [word for bracket, word in given if bracket]
        assert known[name]["does"]


# --- Looking ------------------------------------------------------------------------------------------------------


async def test_it_lists_what_can_be_asked(site: Site) -> None:
    listed = await site.done("GET", "/")
    assert {"method": "GET", "path": "/house", "does": "the state of the house: every device, as it truly is"} in listed
    assert len(listed) == len(ROUTES)


async def test_bridges_with_address_and_token(site: Site) -> None:
    first, second, third = await site.done("GET", "/bridges")
    assert (first["id"], first["family"], first["firmware"]) == ("0A1B2C01", "v2", "2.18.0")
    assert first["url"] == site.bridge().server.url == f"http://{first['host']}:{first['port']}"
    assert first["token_modes"] == ["encrypted", "hashed", "plain"]
    assert first["devices"] == ["1A2B0101", "1A2B0102", "1A2B0103", "1A2B0104", "1A2B0105"]
    assert (first["callbacks"], first["faults"]) == ([None, None, None], [])
    assert (second["family"], second["firmware"], second["token_modes"]) == ("v1", "1.11.0", ["plain"])
    assert (third["family"], third["id"], third["devices"]) == ("software", "0A1B3C03", ["1A2B0301"])
    assert len({one["token"] for one in (first, second, third)}) == 3


async def test_the_house(site: Site) -> None:
    devices = {one["id"]: one for one in (await site.done("GET", "/house"))["devices"]}
    assert [one["device_type"] for one in devices.values()] == [4, 0, 4, 3, 2, 1, 4, 2, 0]
    assert devices[FRONT_DOOR]["bridges"] == ["0A1B2C01"]
    assert (devices[FRONT_DOOR]["state_name"], devices[FRONT_DOOR]["door"]) == ("locked", 2)
    assert devices[BOX]["bridges"] == []
    assert (devices[INTERCOM]["state_name"], devices[INTERCOM]["ringing"]) == ("online", False)


async def test_requests_with_their_outcome(site: Site) -> None:
    await site.ask("/list")
    await site.ask("/lockState", nukiId="1")
    site.bridge().bridge.faults.reset_connections().begin()
    with pytest.raises(aiohttp.ClientError):
        await site.ask("/info")
    listed = await site.done("GET", "/bridges/1/requests")
    keys = ("path", "query", "token_mode", "status", "outcome")
    assert [tuple(one[key] for key in keys) for one in listed[:3]] == [  # the client may have tried again
        ("/list", {}, "plain", 200, "answered"),
        ("/lockState", {"nukiId": "1"}, "plain", 404, "answered"),
        ("/info", {}, "plain", None, "reset"),
    ]
    assert listed[0]["at_s"] <= listed[1]["at_s"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", listed[0]["at"])
    assert await site.done("GET", "/bridges/2/requests") == []
    assert await site.done("DELETE", "/bridges/0a1b2c01/requests") == {"forgotten": len(listed)}
    assert await site.done("GET", "/bridges/1/requests") == []


# --- Hands --------------------------------------------------------------------------------------------------------


async def test_a_turn_is_listed_and_called_back(site: Site, target: Target) -> None:
    await site.ask("/callback/add", url=target.url)
    assert await site.done("POST", f"/devices/{FRONT_DOOR}/turn", {"state": "unlocked"}) == {
        "state": 3,
        "state_name": "unlocked",
    }
    async with asyncio.timeout(WAIT_S):
        assert b'"state": 3' in (await target.posts.get())[1]
    assert (await site.state_shown())["state"] == 3
    assert (await site.done("POST", f"/devices/{FRONT_DOOR}/turn", {"state": 254}))["state_name"] == "motor blocked"
    assert (await site.done("POST", f"/devices/{INTERCOM}/turn", {"state": "rto_active"}))["state"] == 3


async def test_a_door(site: Site) -> None:
    assert await site.done("POST", f"/devices/{FRONT_DOOR}/door", {"door": "open"}) == {"door": 3}
    assert (await site.state_shown())["doorsensorStateName"] == "door opened"
    assert await site.done("POST", f"/devices/{FRONT_DOOR}/door", {"door": 240}) == {"door": 240}
    assert await site.done("POST", f"/devices/{FRONT_DOOR}/door", {"door": "no_sensor"}) == {"door": None}
    assert "doorsensorState" not in await site.state_shown()


async def test_a_ring_is_called_back(site: Site, target: Target) -> None:
    await site.ask("/callback/add", url=target.url)
    rung = await site.done("POST", f"/devices/{INTERCOM}/ring")
    async with asyncio.timeout(WAIT_S):
        assert b'"ringactionState": true' in (await target.posts.get())[1]
    assert (await site.state_shown(INTERCOM))["ringactionTimestamp"] == rung["rung_at"]


async def test_a_battery(site: Site) -> None:
    drained = await site.done("POST", f"/devices/{FRONT_DOOR}/battery", {"level": 4, "critical": True})
    assert drained == {"level": 4, "critical": True, "charging": False, "keypad_critical": False}
    shown = await site.state_shown()
    assert (shown["batteryChargeState"], shown["batteryCritical"]) == (4, True)


async def test_a_jam(site: Site) -> None:
    assert await site.done("POST", f"/devices/{FRONT_DOOR}/jam", {"jammed": True}) == {"jammed": True}
    lock = {"nukiId": str(int(FRONT_DOOR, 16)), "deviceType": "4"}
    assert (await site.ask("/lockAction", action="1", **lock))["success"] is True
    assert (await site.ask("/lockState", **lock))["stateName"] == "motor blocked"


async def test_another_device(site: Site) -> None:
    made = {"model": "unknown", "id": "1A2B0999", "name": "Thing", "device_type": 77, "door_sensor": True}
    described = await site.done("POST", "/bridges/1/devices", made)
    assert (described["device_type"], described["bridges"], described["door"]) == (77, ["0A1B2C01"], 2)
    assert (await site.ask("/list"))[-1]["deviceType"] == 77
    assert await site.refused("POST", "/bridges/1/devices", made) == (
        409,
        "there is a device 1A2B0999 already; choose another ID.",
    )
    for number, model in enumerate(Model):
        made = {"model": model, "id": f"1A2B0A0{number}", "name": f"{model}"}
        assert (await site.done("POST", "/bridges/2/devices", made))["bridges"] == ["0A1B2C02"]


# --- Bridges ------------------------------------------------------------------------------------------------------


async def test_the_button(site: Site) -> None:
    assert await site.done("POST", "/bridges/1/button") == {"window_s": 0.3}
    assert (await site.ask("/auth"))["success"] is True
    status, text = await site.refused("POST", "/bridges/3/button")
    assert (status, text[:34]) == (409, "Bridge 0A1B3C03 is an app and has ")


async def test_the_clock(site: Site) -> None:
    moved = await site.done("POST", "/bridges/1/clock", {"skew_s": 3600})
    assert moved["skew_s"] == 3600
    assert (await site.ask("/info"))["currentTime"][:16] == moved["clock"][:16]
    drifting = await site.done("POST", "/bridges/1/clock", {"drift_s_per_day": -10})
    assert drifting["skew_s"] == pytest.approx(3600, abs=0.1)


async def test_another_address(site: Site) -> None:
    before = site.bridge().server.url
    moved = await site.done("POST", "/bridges/1/address", {"port": 0})
    assert moved["url"] == site.bridge().server.url != before
    assert len(await site.ask("/list")) == 5
    with pytest.raises(aiohttp.ClientConnectorError):
        await site.session.get(before + "/list")
    assert await site.done("POST", "/bridges/1/address", {"port": site.bridge().server.port}) == moved


async def test_an_address_that_is_taken(site: Site) -> None:
    taken = site.bridge(1).server.port
    status, text = await site.refused("POST", "/bridges/1/address", {"port": taken})
    assert (status, f"127.0.0.1:{taken} cannot be used" in text) == (409, True)
    assert len(await site.ask("/list")) == 5
    assert (await site.refused("POST", "/bridges/1/address", {"host": "no such host"}))[0] == 409
    assert len(await site.ask("/list")) == 5


async def test_a_reboot(site: Site) -> None:
    await site.ask("/callback/add", url="http://192.0.2.1/")
    assert await site.done("POST", "/bridges/1/reboot", {"lose_callbacks": True}) == {"back_in_s": 0.45}
    info = None
    while info is None:
        with suppress(aiohttp.ClientError):
            info = await site.ask("/info")
        await asyncio.sleep(0.02)
    assert info["uptime"] < 60
    assert await site.ask("/callback/list") == {"callbacks": []}


# --- Faults -------------------------------------------------------------------------------------------------------

VALUES = {
    "nuki_id": FRONT_DOOR,
    "path": "/list",
    "acts": True,
    "body": "garbage",
    "status": 500,
    "seconds": -90,
    "code": 4,
    "count": 2,
    "lose_states": True,
    "lose_callbacks": True,
}


@pytest.mark.parametrize("name", FaultName)
async def test_every_fault_begins_and_ends(site: Site, name: FaultName) -> None:
    known = (await site.done("GET", "/faults"))[name]
    for keys in (known["needs"], known["needs"] + known["takes"]):
        begun = await site.done("POST", "/bridges/1/faults", {"name": name} | {key: VALUES[key] for key in keys})
        assert (begun["name"], begun["active"]) == (name, True)
        [active] = await site.done("GET", "/bridges/1/faults")
        assert active["fault"] == begun["fault"]
        assert (await site.done("DELETE", f"/bridges/1/faults/{begun['fault']}"))["active"] is False
        assert await site.done("GET", "/bridges/1/faults") == []
    assert len(await site.ask("/list")) == 5


async def test_faults_show(site: Site) -> None:
    await site.done("POST", "/bridges/1/faults", {"name": "busy", "path": "/info"})
    await site.done("POST", "/bridges/1/faults", {"name": "stuck_state", "nuki_id": FRONT_DOOR, "code": 4})
    assert (await site.ask("/info"), (await site.state_shown())["state"]) == (503, 4)
    assert await site.done("DELETE", "/bridges/1/faults") == {"ended": 2}
    assert (await site.state_shown())["state"] == 1


async def test_a_port_that_was_taken_meanwhile(site: Site) -> None:
    fault = await site.done("POST", "/bridges/1/faults", {"name": "refuse_connections"})
    with socket.create_server(("127.0.0.1", site.bridge().server.port)):
        status, text = await site.refused("DELETE", f"/bridges/1/faults/{fault['fault']}")
    assert (status, "move it to another port" in text) == (409, True)
    await site.done("POST", "/bridges/1/address", {"port": 0})
    assert len(await site.ask("/list")) == 5


async def test_a_port_that_was_taken_during_a_reboot(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Bridge comes back by itself when the port is free."""
    monkeypatch.setattr(server, "PORT_RETRY_S", 0.05)
    port = site.bridge().server.port
    await site.done("POST", "/bridges/1/reboot")
    taken = None
    while taken is None:
        with suppress(OSError):
            taken = socket.create_server(("127.0.0.1", port))
        await asyncio.sleep(0.01)
    with taken:
        await until(lambda: site.estate.clock() > site.bridge().bridge.booted_at + 0.2, "the end of the reboot")
    info = None
    while info is None:
        with suppress(aiohttp.ClientError):
            info = await site.ask("/info")
        await asyncio.sleep(0.01)
    assert info["uptime"] < 60


async def test_an_answer_is_replaced_and_restored(site: Site) -> None:
    body = b"\x00\xff not JSON"
    replaced = await site.done("PUT", "/bridges/1/answers/callback/list?status=500", data=b"first")
    assert replaced == {"path": "/callback/list", "status": 500, "bytes": 5}
    assert await site.ask("/callback/list") == 500
    await site.done("PUT", "/bridges/1/answers/callback/list", data=body)
    async with site.session.get(
        site.bridge().server.url + "/callback/list", params={"token": site.bridge().bridge.tokens.token}
    ) as answer:
        assert (answer.status, await answer.read()) == (200, body)
    assert await site.done("DELETE", "/bridges/1/answers/callback/list") == {"path": "/callback/list", "ended": 1}
    assert await site.ask("/callback/list") == {"callbacks": []}


# --- No -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nothing", None, 404, "There is nothing at /nothing; GET / lists what there is."),
        ("POST", "/house", None, 405, "/house takes GET, not POST."),
        ("GET", "/bridges/9/requests", None, 404, "There is no Bridge '9': 0A1B2C01, 0A1B2C02, 0A1B3C03, or"),
        ("POST", "/bridges/1/clock", None, 400, "Nothing to do: give skew_s"),
        ("POST", "/bridges/1/clock", {"skew_s": "1"}, 400, "skew_s has to be a number of seconds."),
        ("POST", "/bridges/1/clock", {"skew": 1}, 400, "There is no parameter 'skew' here: it takes skew_s, drift"),
        ("POST", "/bridges/1/button", {"skew": 1}, 400, "There is no parameter 'skew' here: it takes none."),
        ("POST", "/bridges/1/address", {"port": 65536}, 400, "port has to be from 0 to 65535."),
        ("POST", "/bridges/1/reboot", {"lose_callbacks": 1}, 400, "lose_callbacks has to be true or false."),
        ("POST", "/bridges/1/faults", {}, 400, "name is missing."),
        ("POST", "/bridges/1/faults", {"name": "fire"}, 404, "There is no fault 'fire': silent_callbacks, "),
        ("POST", "/bridges/1/faults", {"name": "busy", "code": 1}, 400, "There is no parameter 'code' here"),
        ("POST", "/bridges/1/faults", {"name": "unreachable"}, 400, "nuki_id is missing."),
        ("POST", "/bridges/1/faults", {"name": "unreachable", "nuki_id": "7"}, 400, "nuki_id has to be an ID of"),
        ("POST", "/bridges/1/faults", {"name": "unreachable", "nuki_id": BOX}, 404, "Bridge 0A1B2C01 has no such"),
        ("DELETE", "/bridges/1/faults/7", None, 404, "Bridge 0A1B2C01 has no active fault 7."),
        ("DELETE", "/bridges/1/faults/x", None, 404, "Bridge 0A1B2C01 has no active fault x."),
        ("PUT", "/bridges/1/answers/nothing", None, 404, "Bridge 0A1B2C01 has no endpoint /nothing."),
        ("PUT", "/bridges/1/answers/list?status=99", None, 400, "status has to be an HTTP status from 200 to 599."),
        ("POST", "/devices/7/ring", None, 400, "The device has to be an ID of eight hex digits, such as 1A2B0101."),
        ("POST", "/devices/00000007/ring", None, 404, "There is no device 00000007 in the house; GET /house"),
        ("POST", f"/devices/{FRONT_DOOR}/ring", None, 409, "Nobody can ring at 1A2B0101: it is no Opener."),
        ("POST", f"/devices/{INTERCOM}/door", {"door": "open"}, 409, "1A2B0105 has no door: it is no lock."),
        ("POST", f"/devices/{FRONT_DOOR}/turn", {"state": "ajar"}, 400, "state has to be one of locked, unlocked, "),
        ("POST", f"/devices/{FRONT_DOOR}/turn", {"state": True}, 400, "state has to be one of locked, unlocked, "),
        ("POST", f"/devices/{FRONT_DOOR}/battery", {"level": 101}, 400, "level has to be from 0 to 100."),
        ("POST", f"/devices/{FRONT_DOOR}/battery", {}, 400, "Nothing to do: give level, critical"),
        ("POST", "/bridges/1/devices", {"model": "safe"}, 400, "There is no model 'safe': smart_lock_2, "),
        ("POST", "/bridges/1/devices", {"model": "box", "id": "1A2B0999", "name": "\ud800"}, 400, "name has to be a"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_sentence(
    site: Site, method: str, path: str, body: Any, status: int, words: str
) -> None:
    found, text = await site.refused(method, path, body)
    assert found == status, text
    assert text.startswith(words), text


@pytest.mark.parametrize(("body", "words"), [(b"{", "is not JSON"), (b"[]", "a JSON object"), (b"\xff", "is not JSON")])
async def test_bodies_that_are_none(site: Site, body: bytes, words: str) -> None:
    status, text = await site.refused("POST", "/bridges/1/clock", data=body)
    assert (status, words in text) == (400, True)


async def test_a_body_that_is_too_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_BYTES", 100)
    assert await site.refused("PUT", "/bridges/1/answers/list", data=b"a" * 101) == (
        413,
        "The body is longer than 100 bytes.",
    )


async def test_a_port_that_is_taken_ends_the_start(site: Site) -> None:
    taken = site.bridge().server.port
    with pytest.raises(OSError, match="in use"):
        async with Estate([BridgePlan(), BridgePlan()], first_port=taken - 1):
            pass


@pytest.mark.parametrize(
    ("text", "words"),
    [("v3", "v3 is no family"), ("v1:2.1.0", "no firmware of a v1"), ("v2:x", "is no firmware")],
)
def test_plans_that_are_none(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BridgePlan.parse(text)
