"""`nuki2mqtt check` with a token of Nuki Web: one read, and what it says of the token."""

import time
from collections.abc import AsyncIterator

import pytest

from nuki2mqtt.faces.check import check
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.web import SimulatedCloud
from nuki2mqtt.simulator.web_server import SimulatedCloudServer
from tests.faces.conftest import Perform, Said, Site
from tests.faces.test_check import lines
from tests.stories.real.household import free_port

TOKEN = "cloudtokenMARKone"


@pytest.fixture
async def cloud() -> AsyncIterator[SimulatedCloudServer]:
    house = House(now=time.time())
    cloud = SimulatedCloud(house)
    cloud.tokens[TOKEN] = frozenset({"smartlock.readOnly"})
    for number in (1, 2):
        cloud.add(house.add(SimulatedLock(nuki_id=number, name=f"Door {number}", device_type=5)))
    async with SimulatedCloudServer(cloud) as server:
        yield server


async def checked(here: Site, perform: Perform, url: str, token: str = TOKEN) -> tuple[Said, str]:
    """Check a house with nothing but an account; what it says of the cloud."""
    text = (
        f"version: 1\nmqtt: {{host: 127.0.0.1, port: {free_port()}}}\nfind: {{mdns: false, hostnames: false}}\n"
        f"nuki_web: {{token: {token}, base_url: '{url}'}}\n"
    )
    said = await perform(check, Setup(read_settings(text, read_file=lambda name: name), here.folder / "state"))
    assert token not in said.out + said.err
    (line,) = lines(said, "cloud")
    return said, line


async def test_the_locks_are_counted_by_one_read(here: Site, cloud: SimulatedCloudServer, perform: Perform) -> None:
    said, line = await checked(here, perform, cloud.url)

    assert line.startswith("ok Nuki Web takes the token and lists 2 devices;")
    assert [(one.method, one.path) for one in cloud.cloud.requests] == [("GET", "/smartlock")]
    assert lines(said, "settings")[0] == f"ok readable, no Bridge but Nuki Web, state in {here.folder}/state"


async def test_a_wrong_token(here: Site, cloud: SimulatedCloudServer, perform: Perform) -> None:
    said, line = await checked(here, perform, cloud.url, "anotherMARKtoken")

    assert said.status == 1
    assert line.startswith("FAIL Nuki Web refuses the token (401")
    assert "nuki_web.token" in line


async def test_a_token_without_the_scope(here: Site, cloud: SimulatedCloudServer, perform: Perform) -> None:
    cloud.cloud.tokens[TOKEN] = frozenset({"smartlock.log"})
    said, line = await checked(here, perform, cloud.url)

    assert said.status == 1
    assert line.startswith("FAIL Nuki Web refuses the token (40")
    assert "smartlock.readOnly" in line


async def test_an_account_without_a_lock(here: Site, cloud: SimulatedCloudServer, perform: Perform) -> None:
    with cloud.cloud.faults.garbage("/smartlock", b"[]"):
        said, line = await checked(here, perform, cloud.url)

    assert said.status == 1
    assert line.startswith("FAIL Nuki Web takes the token, but the account has no device")
    assert "activate Nuki Web" in line


async def test_a_login_page_of_a_proxy(here: Site, cloud: SimulatedCloudServer, perform: Perform) -> None:
    with cloud.cloud.faults.garbage("/smartlock", b"<html><body>Please log in</body></html>"):
        said, line = await checked(here, perform, cloud.url)

    assert said.status == 1
    assert "login page" in line


async def test_a_403(here: Site, cloud: SimulatedCloudServer, perform: Perform) -> None:
    with cloud.cloud.faults.garbage("/smartlock", b"", status=403):
        said, line = await checked(here, perform, cloud.url)

    assert said.status == 1
    assert line.startswith("FAIL Nuki Web refuses the token (403")


async def test_no_network(here: Site, perform: Perform) -> None:
    said, line = await checked(here, perform, f"http://127.0.0.1:{free_port()}")

    assert said.status == 1
    assert line.startswith("FAIL Nuki Web: refused")
    assert "internet connection" in line


async def test_without_a_token_the_cloud_is_not_asked(here: Site, perform: Perform) -> None:
    said = await perform(check, here.setup())

    assert lines(said, "cloud") == []
