"""`nb` of hb-nb-tools (three token modes, its callback listener) and nuki-bridge-api with a simulated Bridge.

`make interop` runs this: it fetches two packages by npm, which the ordinary test run shall not.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import TOKEN, WAIT_S, Site, Target
from tests.stories.real.household import free_port
from tests.stories.real.processes import Running, until

PACKAGES = ("hb-nb-tools@2.0.19", "nuki-bridge-api@1.8.0")
INSTALL_S = 50
SWITCH = "NUKI2MQTT_INTEROP"

NB_MODES = {"none": "plain", "hashedToken": "hashed", "encryptedToken": "encrypted"}
NBA_MODES = {"true": "plain", "false": "hashed"}

pytestmark = [
    pytest.mark.skipif(os.environ.get(SWITCH) != "1", reason=f"{SWITCH}=1 (make interop) fetches npm packages"),
    pytest.mark.timeout(INSTALL_S + 60),
]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the packages, installed once."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on this machine")
    folder = tmp_path_factory.mktemp("npm")
    arguments = ["install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    try:
        done = subprocess.run(  # noqa: S603 - the packages of the test
            [npm, *arguments], capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm has not installed {', '.join(PACKAGES)} within {INSTALL_S} s")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {', '.join(PACKAGES)}: {done.stderr[-500:]}")
    return folder / "node_modules"


@asynccontextmanager
async def _started(folder: Path, *command: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder)},
    )
    running = Running(process)
    try:
        yield running
    finally:
        await running.kill()


# --- nb -----------------------------------------------------------------------------------------------------------


def _nb(packages: Path, site: Site, encryption: str, *command: object) -> tuple[str, ...]:
    there = f"{site.server.host}:{site.server.port}"
    nb = str(packages / ".bin" / "nb")
    return (nb, "-H", there, "-T", TOKEN, "-E", encryption, "-t", "15", *map(str, command))


async def _printed(packages: Path, site: Site, encryption: str, *command: object) -> Any:
    async with _started(packages, *_nb(packages, site, encryption, *command)) as running:
        assert await running.ended() == 0, running.text
        return json.loads(running.text)


@pytest.mark.parametrize("encryption", NB_MODES)
async def test_nb_lists_and_acts(packages: Path, site: Site, encryption: str) -> None:
    info = await _printed(packages, site, encryption, "info")
    listed = await _printed(packages, site, encryption, "list")
    lock = site.lock.nuki_id
    done = await _printed(packages, site, encryption, "lockAction", lock, 4, 1)
    state = await _printed(packages, site, encryption, "lockState", lock, 4)

    assert (info["bridgeType"], info["ids"]["hardwareId"]) == (1, 0x0A1B2C3D)
    assert [(entry["name"], entry["lastKnownState"]["stateName"]) for entry in listed] == [
        ("Cellar", "locked"),
        ("Front door", "locked"),
        ("Intercom", "online"),
    ]
    assert done == {"batteryCritical": False, "success": True}
    assert (state["stateName"], state["success"], site.lock.turns, site.lock.wakeups) == ("unlocked", True, 1, 1)
    assert {request.mode for request in site.bridge.requests} == {NB_MODES[encryption]}
    assert {request.status for request in site.bridge.requests} == {200}


@pytest.mark.parametrize("encryption", NB_MODES)
async def test_nb_eventlog_is_called_back(packages: Path, site: Site, encryption: str) -> None:
    async with _started(packages, *_nb(packages, site, encryption, "eventlog", "-n")) as running:
        await until(lambda: site.bridge.callbacks.slots[0], "the callback of nb", WAIT_S)
        path = str(site.bridge.callbacks.slots[0]).rpartition("/notify/")[2]
        assert int(path, 16) == site.bridge.server_id  # it knows a Bridge by serverId, without leading zeros
        site.turn(site.lock, 3)
        line = await running.wait_line('"stateName":"unlocked"')
        site.opener.ring()
        site.server.changed()
        await running.wait_line('"ringactionState":true')
        running.send(signal.SIGTERM)
        await until(lambda: site.bridge.callbacks.slots[0] is None, "nb gives its callback back", WAIT_S)
    said = json.loads(line[line.index("{") :])
    assert (said["nukiId"], said["doorsensorStateName"]) == (site.lock.nuki_id, "door closed")
    assert site.modes("/callback/add") == site.modes("/callback/remove") == {NB_MODES[encryption]}


async def test_nb_gets_a_token_by_the_button(packages: Path, site: Site) -> None:
    nb = str(packages / ".bin" / "nb")
    async with _started(packages, nb, "-H", f"{site.server.host}:{site.server.port}", "auth") as running:
        await until(lambda: site.bridge.requests, "nb asks for a token", WAIT_S)
        site.server.press_button()
        assert await running.ended() == 0
        assert running.lines[-1] == TOKEN


async def test_nb_is_told_that_its_token_is_wrong(packages: Path, site: Site) -> None:
    command = ["wrong" if part == TOKEN else part for part in _nb(packages, site, "encryptedToken", "list")]
    async with _started(packages, *command) as running:
        assert await running.ended() != 0
        assert "401" in running.text


# --- nuki-bridge-api ----------------------------------------------------------------------------------------------

_LIST_AND_ACT = """
const { Bridge, lockAction } = require('nuki-bridge-api')
const [host, port, token, forcePlainToken, url] = process.argv.slice(2)
const bridge = new Bridge(host, port, token, { forcePlainToken: forcePlainToken === 'true' })
const main = async () => {
  const nukis = await bridge.list()
  const door = nukis.find((one) => one.deviceType === 4).nuki
  const unlocked = await door.lockAction(lockAction.UNLOCK, true)
  const state = await door.lockState()
  const callback = await bridge.addCallbackUrl(url)
  console.log(JSON.stringify({ names: nukis.map((one) => one.name), unlocked, state, id: callback.getCallbackId() }))
}
main().catch((error) => { console.error(error); process.exit(1) })
"""

_LISTEN = """
const { Bridge } = require('nuki-bridge-api')
const [host, port, token, forcePlainToken, ownPort] = process.argv.slice(2)
const bridge = new Bridge(host, port, token, { forcePlainToken: forcePlainToken === 'true' })
const main = async () => {
  const callback = await bridge.addCallback('127.0.0.1', ownPort, true)
  callback.on('action', (state, body) => console.log('told ' + JSON.stringify(body)))
  console.log('listening')
}
main().catch((error) => { console.error(error); process.exit(1) })
"""


def _script(packages: Path, text: str, site: Site, plain: str, *arguments: object) -> tuple[str, ...]:
    path = packages.parent / "script.js"
    path.write_text(text, encoding="utf-8")
    return ("node", str(path), site.server.host, str(site.server.port), TOKEN, plain, *map(str, arguments))


@pytest.mark.parametrize("plain", NBA_MODES)
async def test_nuki_bridge_api_lists_and_acts(packages: Path, site: Site, target: Target, plain: str) -> None:
    async with _started(packages, *_script(packages, _LIST_AND_ACT, site, plain, target.url)) as running:
        assert await running.ended() == 0, running.text
        said = json.loads(running.lines[-1])

    assert said == {"names": ["Cellar", "Front door", "Intercom"], "unlocked": True, "state": 3, "id": 0}
    assert site.lock.turns == 1
    assert site.modes("/list") == site.modes("/lockAction") == site.modes("/callback/add") == {NBA_MODES[plain]}
    site.turn(site.lock, 1)
    assert (await target.heard())["stateName"] == "locked"


@pytest.mark.parametrize("plain", NBA_MODES)
async def test_nuki_bridge_api_is_called_back(packages: Path, site: Site, target: Target, plain: str) -> None:
    """It never answers a callback: the Bridge waits for it before it calls the next target."""
    async with _started(packages, *_script(packages, _LISTEN, site, plain, free_port())) as running:
        await running.wait_line("listening")
        site.bridge.callbacks.add(target.url)
        site.turn(site.lock, 3)
        line = await running.wait_line("told")
        assert target.bodies.empty()
        assert json.loads(line.removeprefix("told "))["stateName"] == "unlocked"
        assert (await target.heard())["stateName"] == "unlocked"
