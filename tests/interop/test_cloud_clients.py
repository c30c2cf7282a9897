"""nuki-web-api, a client of Nuki's Web API written by others, with the simulated cloud: it reads, acts and makes codes.

What it gets wrong is in the reference of the Web API, section 9: some of its getters give the whole HTTP answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.web import SimulatedCloud
from nuki2mqtt.simulator.web_routes import SCOPES
from nuki2mqtt.simulator.web_server import SimulatedCloudServer
from tests.interop.conftest import QUICK, TOKEN, WAIT_S

GUEST = 345678


@dataclass(frozen=True)
class CloudSite:
    """A cloud with a lock that has a keypad, and an Opener; `client` is theirs."""

    server: SimulatedCloudServer
    lock: SimulatedLock
    opener: SimulatedOpener
    client: Any

    @property
    def lock_id(self) -> int:
        return self.server.cloud.known(self.lock.nuki_id).smartlock_id

    @property
    def opener_id(self) -> int:
        return self.server.cloud.known(self.opener.nuki_id).smartlock_id

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Ask with their blocking client until it holds."""
        limit = time.monotonic() + WAIT_S
        while not (found := await asyncio.to_thread(holds)):
            assert time.monotonic() < limit, what
        return found


def _client() -> Any:
    try:
        return import_module("nukiwebapi.nuki_web_api").NukiWebAPI
    except ImportError as error:
        pytest.skip(f"nuki-web-api is not installed ({error}); pip install --no-deps nuki-web-api==0.1.15")


@pytest.fixture
async def site() -> AsyncIterator[CloudSite]:
    house = House(now=time.time())
    lock = house.add(SimulatedLock(nuki_id=0x1A2B0101, door=2, keypad_critical=False))
    opener = house.add(SimulatedOpener(nuki_id=0x1A2B0102))
    cloud = SimulatedCloud(house, motor=QUICK)
    cloud.tokens[TOKEN] = frozenset(SCOPES)
    for device in (lock, opener):
        cloud.add(device)
    async with SimulatedCloudServer(cloud, time_scale=0.02) as server:
        yield CloudSite(server, lock, opener, _client()(TOKEN, server.url))


async def test_it_lists(site: CloudSite) -> None:
    listed = await asyncio.to_thread(lambda: site.client.lock_instances)
    assert list(listed) == [site.lock_id, site.opener_id]
    door = listed[site.lock_id]
    assert (door.name, door.is_locked, door.battery_charge) == ("Front door", True, 80)
    assert door.hex_id == "1A2B0101"
    old = site.server.cloud.house.add(SimulatedLock(nuki_id=0x1A2B0103, device_type=0, firmware="2.15.2"))
    site.server.cloud.add(old)
    found = await asyncio.to_thread(site.client.smartlock.get_smartlock, old.nuki_id)
    assert found.hex_id == "A2B0103", "it takes the first digit away, type or not"
    only = await asyncio.to_thread(site.client.smartlock.list_smartlocks, type_=2)
    assert [one["smartlockId"] for one in only] == [site.opener_id]


async def test_it_acts(site: CloudSite) -> None:
    door = (await asyncio.to_thread(lambda: site.client.lock_instances))[site.lock_id]
    await asyncio.to_thread(door.unlock)
    await site.until(lambda: door.refresh()["state"]["state"] == 3, "the door is unlocked")
    assert (site.lock.turns, door.is_locked) == (1, False)
    await asyncio.to_thread(site.client.smartlock.action, site.opener_id, {"action": 3})
    log = site.client.smartlock_log.list_logs_for_smartlock
    [entry] = await site.until(lambda: log(site.opener_id).json(), "the log shows it")
    assert (entry["action"], entry["trigger"], site.opener.unlatches) == (3, 4, 1)
    await asyncio.to_thread(site.client.smartlock.sync_smartlock, site.lock_id)


async def test_it_makes_changes_and_deletes_a_code(site: CloudSite) -> None:
    auths = site.client.smartlock_auth
    memory = site.server.cloud.known(site.lock.nuki_id).memory
    await asyncio.to_thread(auths.create_auth_for_smartlock, site.lock_id, "Guest", False, type=13, code=GUEST)

    def listed() -> Any:
        return auths.list_auths_for_smartlock(site.lock_id, types="13")

    [one] = await site.until(listed, "the code is listed")
    assert (one["code"], one["name"], GUEST in memory.codes) == (GUEST, "Guest", True)
    await asyncio.to_thread(auths.update_auth, site.lock_id, one["id"], name="New", code=GUEST, enabled=False)
    await site.until(lambda: listed()[0]["name"] == "New", "the name is new")
    assert memory.codes[GUEST].enabled is False
    paged = await asyncio.to_thread(auths.list_auths_paged, size=1)
    assert paged.json()["pagination"]["totalItems"] == 4
    await asyncio.to_thread(auths.delete_auths, [one["id"]])
    await site.until(lambda: not listed(), "the code is gone")
    assert memory.codes == {}


async def test_it_is_told_what_is_wrong(site: CloudSite) -> None:
    refused = import_module("requests").HTTPError
    auths = site.client.smartlock_auth
    with pytest.raises(refused, match="'123456' for parameter 'code' is not valid"):
        await asyncio.to_thread(auths.create_auth_for_smartlock, site.lock_id, "x", False, type=13, code=123456)
    with pytest.raises(refused, match="'4' for parameter 'action' is not valid"):
        await asyncio.to_thread(site.client.smartlock.action, site.opener_id, {"action": 4})
    with pytest.raises(refused, match="Your access token is not authorized"):
        await asyncio.to_thread(_client()("wrong", site.server.url).smartlock.list_smartlocks)
    with site.server.cloud.faults.proxy_error(), pytest.raises(refused, match="502 Bad Gateway"):
        await asyncio.to_thread(site.client.smartlock.list_smartlocks)
