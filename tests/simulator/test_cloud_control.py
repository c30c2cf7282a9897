"""What the control API does to the cloud, by HTTP; and the page that describes it."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any

import aiohttp
import pytest

from nuki2mqtt.simulator.control import ControlServer
from nuki2mqtt.simulator.estate import BridgePlan, Estate, ServedCloud
from nuki2mqtt.simulator.web import Conduct
from nuki2mqtt.simulator.web_faults import CloudFaultName, Write
from nuki2mqtt.simulator.web_routes import CALLS, SCOPES
from tests.simulator.test_control import PAGE, Site, _table
from tests.stories.real.processes import until

DOOR, STUDIO, INTERCOM = "1A2B0101", "1A2B0002", "1A2B0105"
GUEST = 345678


class CloudSite(Site):
    """The same with a cloud that is asked with its own token."""

    @property
    def cloud(self) -> ServedCloud:
        assert self.estate.cloud is not None
        return self.estate.cloud

    async def web(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.cloud.token}"}
        url = self.cloud.server.url + path
        async with self.session.request(method, url, json=body, params=query, headers=headers) as answer:
            is_json = answer.content_type == "application/json" and answer.status != 204
            return answer.status, await answer.json() if is_json else await answer.text()

    async def listed(self, path: str) -> Any:
        status, value = await self.web("GET", path)
        assert status == 200
        return value

    @property
    def door(self) -> str:
        return f"/smartlock/{self.cloud.cloud.known(int(DOOR, 16)).smartlock_id}"


@pytest.fixture
async def site() -> AsyncIterator[CloudSite]:
    async with (
        Estate([BridgePlan()], speed=100, cloud_port=0) as estate,
        ControlServer(estate) as serving,
        aiohttp.ClientSession() as session,
        asyncio.timeout(30),
    ):
        yield CloudSite(estate, serving.url, session)


# --- The page -----------------------------------------------------------------------------------------------------


async def test_the_page_has_every_fault_of_the_cloud_and_its_parameters(site: CloudSite) -> None:
    table = _table("Faults of the cloud")
    assert list(table) == list(CloudFaultName)
    known = await site.done("GET", "/faults/cloud")
    for name, cells in table.items():
        given = re.findall(r"(\[?)`(\w+)`", cells.split("|")[0])
        assert sorted(known[name]["needs"]) == sorted(word for bracket, word in given if not bracket)
        assert sorted(known[name]["takes"]) == sorted(word for bracket, word in given if bracket)
        assert known[name]["does"]


def test_the_page_has_the_conduct_and_the_kinds_of_writes() -> None:
    conduct = {name: row.split("|")[0].strip() for name, row in _table("The simulated cloud").items()}
    for field in fields(Conduct):
        assert conduct[field.name] == str(getattr(Conduct(), field.name)).lower()
    assert set(re.findall(r"`(\w+)`", PAGE)) >= {*Write, "smart_lock_5"}


def test_the_page_has_every_call_with_its_methods_and_scopes() -> None:
    shown = [row for name, row in _table("The simulated cloud").items() if name.startswith("/")]
    paths = [name for name in _table("The simulated cloud") if name.startswith("/")]
    assert paths == list(dict.fromkeys(call.template for call in CALLS))
    for path, row in zip(paths, shown, strict=True):
        methods, scopes = (cell.strip().split(", ") for cell in row.split("|")[:2])
        calls = [call for call in CALLS if call.template == path]
        assert methods == [call.method for call in calls]
        assert scopes == sorted({scope for call in calls for scope in call.scopes})


# --- Looking ------------------------------------------------------------------------------------------------------


async def test_the_cloud_and_its_devices(site: CloudSite) -> None:
    shown = await site.done("GET", "/cloud")
    assert (shown["url"], shown["token"]) == (site.cloud.server.url, site.cloud.token)
    assert (shown["scopes"], shown["faults"], shown["webhooks"]) == (list(SCOPES), [], [])
    assert [one["id"] for one in shown["devices"]] == [
        *(f"1A2B010{number}" for number in range(1, 7)),
        "1A2B0001",
        "1A2B0002",
    ]
    house = await site.done("GET", "/house")
    assert [one["bridges"] for one in house["devices"]][-3:] == [[], [], []]
    assert [one["type"] for one in await site.listed("/smartlock")] == [4, 0, 4, 3, 2, 1, 4, 5]


async def test_what_was_asked(site: CloudSite) -> None:
    await site.web("GET", "/smartlock", type="4")
    await site.web("POST", "/nothing")
    first, second = await site.done("GET", "/cloud/requests")
    assert (first["method"], first["path"], first["query"], first["status"], first["outcome"]) == (
        "GET",
        "/smartlock",
        {"type": "4"},
        200,
        "answered",
    )
    assert second["status"] == 404
    assert "Bearer" not in str((first, second))
    assert await site.done("DELETE", "/cloud/requests") == {"forgotten": 2}
    assert await site.done("GET", "/cloud/requests") == []


async def test_what_became_of_writes(site: CloudSite) -> None:
    await site.done("POST", "/cloud/faults", {"name": "lost_writes", "kind": "sync"})
    assert (await site.web("POST", f"{site.door}/sync"))[0] == 204
    assert (await site.web("POST", f"{site.door}/action", {"action": 1}))[0] == 204
    writes: list[Any] = [{"end": "waiting"}]
    while any(one["end"] == "waiting" for one in writes):
        writes = await site.done("GET", "/cloud/writes")
    assert [(one["device"], one["kind"], one["end"]) for one in writes] == [
        (DOOR, "sync", "lost"),
        (DOOR, "action", "done"),
    ]
    assert all(one["ended_at_s"] > one["at_s"] for one in writes)


# --- Doing --------------------------------------------------------------------------------------------------------


async def test_scopes(site: CloudSite) -> None:
    assert await site.done("PUT", "/cloud/scopes", {"scopes": ["smartlock.log"]}) == {"scopes": ["smartlock.log"]}
    assert (await site.web("GET", "/smartlock"))[0] == 401
    assert (await site.web("GET", "/smartlock/log"))[0] == 200
    assert (await site.refused("PUT", "/cloud/scopes", {"scopes": ["all"]}))[0] == 400
    assert (await site.refused("PUT", "/cloud/scopes", {"scopes": "smartlock"}))[0] == 400


async def test_conduct(site: CloudSite) -> None:
    after = await site.done("PUT", "/cloud/conduct", {"code_is_a_list": True, "failed_trigger": 253})
    assert (after["code_is_a_list"], after["failed_trigger"], after["keeps_offline_writes"]) == (True, 253, True)
    assert site.cloud.cloud.conduct == Conduct(code_is_a_list=True, failed_trigger=253)
    assert (await site.refused("PUT", "/cloud/conduct", {"code_is_a_list": 1}))[0] == 400
    assert (await site.refused("PUT", "/cloud/conduct", {}))[0] == 400


async def test_a_code_is_typed(site: CloudSite) -> None:
    made = await site.done("POST", f"/devices/{DOOR}/codes", {"name": "By app", "code": GUEST})
    assert (made["name"], made["code"]) == ("By app", GUEST)
    both = await site.done("GET", f"/devices/{DOOR}/auths")
    assert [[one["name"] for one in both[side]] for side in ("lock", "cloud")] == [
        ["Owner", "Keypad", "By app"],
        ["Owner", "Keypad"],
    ]
    opened = await site.done("POST", f"/devices/{DOOR}/keypad", {"code": GUEST})
    assert (opened["opened"], opened["name"]) == (True, "By app")
    assert await site.done("POST", f"/devices/{DOOR}/keypad", {"code": 999999}) == {"opened": False, "why": "unknown"}
    assert (await site.done("POST", f"/devices/{DOOR}/keypad", {"finger": "7"}))["opened"] is False
    assert (await site.done("POST", f"/devices/{DOOR}/keypad", {"tag": "x"}))["opened"] is False
    log: list[Any] = []
    while len(log) < 4:
        log = await site.listed(f"{site.door}/log")
    assert sorted((row["source"], row["state"]) for row in log) == [(1, 0), (1, 224), (2, 225), (3, 226)]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/devices/{DOOR}/keypad", {}, 400),
        (f"/devices/{DOOR}/keypad", {"code": GUEST, "tag": "x"}, 400),
        (f"/devices/{DOOR}/keypad", {"code": GUEST, "action": "ring"}, 400),
        (f"/devices/{INTERCOM}/keypad", {"code": GUEST}, 409),
        (f"/devices/{DOOR}/codes", {"name": "x", "code": 120000}, 400),
        (f"/devices/{DOOR}/ghost", {"name": "Nobody"}, 404),
        (f"/devices/{DOOR}/app", {"action": "lock", "number": 77}, 404),
        (f"/devices/{INTERCOM}/auto_lock", {}, 409),
    ],
)
async def test_what_cannot_be_done(site: CloudSite, path: str, body: Any, status: int) -> None:
    assert (await site.refused("POST", path, body))[0] == status


async def test_a_ghost(site: CloudSite) -> None:
    body = {"type": 13, "name": "Guest", "code": GUEST, "remoteAllowed": False}
    assert (await site.web("PUT", f"{site.door}/auth", body))[0] == 204
    while len(await site.listed(f"{site.door}/auth")) < 3:
        pass
    made = await site.done("POST", f"/devices/{DOOR}/ghost", {"name": "Guest"})
    assert made["ghost"] is True
    assert (await site.web("PUT", f"{site.door}/auth", body))[0] == 409
    assert (await site.web("POST", f"{site.door}/sync"))[0] == 204
    while len(await site.listed(f"{site.door}/auth")) > 2:
        pass
    [door] = [one for one in (await site.done("GET", "/cloud"))["devices"] if one["id"] == DOOR]
    assert (door["forced_syncs"], door["operations"]) == (1, [])


@pytest.mark.parametrize(
    ("path", "body", "row"),
    [
        ("app", {"action": "unlock"}, (1, 5, "Owner")),
        ("button", {"action": "lock"}, (2, 2, "")),
        ("auto_lock", {}, (2, 6, "")),
        ("turn", {"state": "unlocked"}, (1, 1, "")),
    ],
)
async def test_who_did_it(site: CloudSite, path: str, body: Any, row: tuple[int, int, str]) -> None:
    await site.done("POST", f"/devices/{DOOR}/{path}", body)
    log: list[Any] = []
    while not log:
        log = await site.listed(f"{site.door}/log")
    assert [(one["action"], one["trigger"], one["name"]) for one in log] == [row]


async def test_a_device_that_only_the_cloud_has(site: CloudSite) -> None:
    body = {"model": "smart_lock_5", "id": "00000009", "name": "Attic", "keypad": True, "unlatch": False, "capacity": 3}
    made = await site.done("POST", "/cloud/devices", body)
    assert (made["smartlock_id"], made["unlatch"], made["capacity"]) == (5 << 32 | 9, False, 3)
    assert (await site.web("POST", f"/smartlock/{5 << 32 | 9}/action", {"action": 3}))[0] == 400
    assert 9 not in [one["nukiId"] for one in await site.ask("/list")]
    assert (await site.refused("POST", "/cloud/devices", body))[0] == 409
    assert (await site.refused("POST", "/cloud/devices", body | {"model": "unknown", "id": "0000000A"}))[0] == 400
    await site.done("POST", "/bridges/1/devices", {"model": "smart_lock_3", "id": "0000000B", "name": "Both"})
    assert (await site.web("GET", f"/smartlock/{4 << 32 | 11}"))[0] == 200


# --- Faults and webhooks ------------------------------------------------------------------------------------------


async def test_a_fault_begins_and_ends(site: CloudSite) -> None:
    begun = await site.done("POST", "/cloud/faults", {"name": "offline", "nuki_id": DOOR})
    assert begun == {"fault": 1, "name": "offline", "active": True, "hits": 0, "nuki_id": DOOR}
    assert (await site.listed(site.door))["serverState"] == 4
    second = await site.done("POST", "/cloud/faults", {"name": "lost_writes", "kind": "delete"})
    assert (second["fault"], second["kind"]) == (2, "delete")
    assert [one["name"] for one in await site.done("GET", "/cloud/faults")] == ["offline", "lost_writes"]
    assert (await site.done("DELETE", "/cloud/faults/1"))["active"] is False
    assert (await site.listed(site.door))["serverState"] == 0
    assert await site.done("DELETE", "/cloud/faults") == {"ended": 1}
    assert (await site.refused("DELETE", "/cloud/faults/1"))[0] == 404


@pytest.mark.parametrize("name", list(CloudFaultName))
async def test_every_fault_can_be_begun(site: CloudSite, name: CloudFaultName) -> None:
    known = (await site.done("GET", "/faults/cloud"))[name]
    values = {"nuki_id": DOOR, "path": "/smartlock", "body": "x", "status": 500, "seconds": 1, "kind": "sync"}
    given = {key: values.get(key, False) for key in (*known["needs"], *known["takes"])}
    assert (await site.done("POST", "/cloud/faults", {"name": name} | given))["active"] is True
    assert await site.done("DELETE", "/cloud/faults") == {"ended": 1}


async def test_what_is_no_fault(site: CloudSite) -> None:
    assert (await site.refused("POST", "/cloud/faults", {"name": "busy"}))[0] == 404
    assert (await site.refused("POST", "/cloud/faults", {"name": "offline"}))[0] == 400
    assert (await site.refused("POST", "/cloud/faults", {"name": "offline", "nuki_id": "0000ABCD"}))[0] == 404
    assert (await site.refused("POST", "/cloud/faults", {"name": "lost_writes", "kind": "all"}))[0] == 400
    assert (await site.refused("POST", "/cloud/faults", {"name": "refuse_token", "path": "/x"}))[0] == 400


async def test_webhooks(site: CloudSite) -> None:
    made = await site.done("POST", "/cloud/webhooks", {"url": "http://127.0.0.1:1/", "features": ["DEVICE_STATUS"]})
    assert (made["features"], len(made["secret"])) == (["DEVICE_STATUS"], 40)
    [shown] = (await site.done("GET", "/cloud"))["webhooks"]
    assert shown == {"id": made["id"], "url": "http://127.0.0.1:1/", "features": ["DEVICE_STATUS"]}
    assert (await site.refused("POST", "/cloud/webhooks", {"url": "x", "features": ["ALL"]}))[0] == 400
    assert await site.done("DELETE", "/cloud/webhooks") == {"removed": 1}


async def test_refused_connections_come_back(site: CloudSite) -> None:
    await site.done("POST", "/cloud/faults", {"name": "refuse_connections"})
    async with aiohttp.ClientSession() as fresh:
        with pytest.raises(aiohttp.ClientConnectorError):
            await fresh.get(site.cloud.server.url)
    await site.done("DELETE", "/cloud/faults")
    await until(lambda: site.cloud.server.port, "it listens")
    assert (await site.web("GET", "/account"))[0] == 200


async def test_without_a_cloud() -> None:
    async with Estate([BridgePlan()]) as estate, ControlServer(estate) as serving, aiohttp.ClientSession() as session:
        for path in ("/cloud", "/cloud/requests", f"/devices/{DOOR}/auths"):
            async with session.get(serving.url + path) as answer:
                assert (answer.status, "--cloud" in (await answer.json())["error"]) == (409, True)
        assert len(estate.house.devices) == 6
