"""mDNS on the loopback interface: simulated Bridges announce themselves, and are found, moved and taken back."""

import asyncio
import gc
import socket
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import ifaddr
import pytest

from nuki2mqtt.adapters.mdns import Browsed, browse, interfaces
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.discovery import find_in_service, join_found
from nuki2mqtt.simulator.announcer import Announcer
from nuki2mqtt.simulator.estate import BridgePlan, Estate
from tests.adapters.multicast import LOOPBACK, needs_multicast

LOOK_S = 2.0


class Lines(list[str]):
    """What an announcer tells."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def take(self, line: str) -> None:
        self.append(line)
        self._more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self) < count:
                self._more.clear()
                await self._more.wait()


def places(browsed: Browsed) -> list[tuple[str, int, NukiId | None]]:
    candidates = join_found(map(find_in_service, browsed.services)).candidates
    return sorted(((one.host, one.port, one.bridge_id) for one in candidates), key=str)


async def look() -> Browsed:
    return await browse(LOOK_S, at=(LOOPBACK,))


# --- A pair ---------------------------------------------------------------------------------------------------------


@needs_multicast
async def test_bridges_are_announced_moved_and_taken_back() -> None:
    told = Lines()
    async with Estate([BridgePlan(), BridgePlan.parse("software")]) as estate:
        hardware, software = estate.bridges
        async with Announcer(estate, tell=told.take):
            await told.until(2)
            assert sorted(told) == [
                f"Bridge {one.id} is announced by mDNS at {one.server.url}." for one in (hardware, software)
            ]
            browsed = await look()
            assert browsed.warnings == ()
            mine = [service for service in browsed.services if hardware.id in service.name]
            assert sorted(service.name.partition(".")[0] for service in mine) == [
                f"Hall {hardware.id}",
                f"Nuki Bridge {hardware.id}",
                f"Nuki_Bridge_{hardware.id}",
            ]
            assert places(browsed) == sorted(
                ((LOOPBACK, one.server.port, NukiId(one.bridge.id)) for one in (hardware, software)), key=str
            )
            before = hardware.server.port
            estate.move(hardware, LOOPBACK, 0)
            assert hardware.server.port != before
            await told.until(3)
            assert {port for _, port, _ in places(await look())} == {hardware.server.port, software.server.port}
    assert places(await look()) == []


@needs_multicast
async def test_two_simulations_side_by_side_are_both_found() -> None:
    """The same names twice: the second one is announced under another one."""
    told = Lines()
    async with Estate([BridgePlan()]) as one, Estate([BridgePlan()]) as other, Announcer(one, tell=told.take):
        await told.until(1)
        async with Announcer(other, tell=told.take):
            await told.until(2)
            found = places(await look())
    assert {port for _, port, _ in found} == {one.bridges[0].server.port, other.bridges[0].server.port}


@needs_multicast
@pytest.mark.parametrize("after_s", [0, 0.3])
async def test_an_end_in_the_middle_of_the_announcement(after_s: float) -> None:
    told = Lines()
    async with Estate([BridgePlan()]) as estate, Announcer(estate, tell=told.take):
        await asyncio.sleep(after_s)
    assert told == []


# --- What can go wrong ----------------------------------------------------------------------------------------------


@pytest.fixture
def port_taken() -> socket.socket:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        taken.bind((LOOPBACK, 5353))
    except OSError:
        taken.close()
        pytest.skip("another program has UDP port 5353")
    return taken


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # zeroconf leaves the one that it could not bind
async def test_a_port_that_is_taken_is_one_warning(port_taken: socket.socket) -> None:
    told = Lines()
    with port_taken:
        browsed = await look()
        async with Estate([BridgePlan()]) as estate, Announcer(estate, tell=told.take):
            await told.until(1)
            [bridge] = estate.bridges
    assert browsed.services == ()
    [warning] = browsed.warnings
    assert warning.startswith("mDNS is not possible: another program has UDP port 5353 for itself. Stop it, or let it")
    assert warning.endswith("look up the address in your router, and pair with it.")
    assert told == [f"Bridge {bridge.id} cannot be announced by mDNS at {bridge.server.url}: Address already in use."]
    gc.collect()  # here, where its warning is expected


async def test_an_address_that_is_not_ours() -> None:
    browsed = await browse(LOOK_S, at=("192.0.2.213",))
    [warning] = browsed.warnings
    assert warning.startswith("mDNS is not possible: 192.0.2.213 is not an address of this computer.")


async def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifaddr, "get_adapters", list)
    browsed = await browse(LOOK_S)
    [warning] = browsed.warnings
    assert warning.startswith("mDNS is not possible: this computer has no network that is up.")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(1, "Operation not permitted"), "Permit multicast in its sandbox"),
        (OSError(19, "No such device"), "In a container use the host's network"),
        (OSError(97, "Address family not supported by protocol"), "does not speak the protocol"),
        (OSError(5, "Input/output error"), "mDNS is not possible: Input/output error."),
    ],
)
async def test_other_trouble(error: OSError, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(ifaddr, "get_adapters", fail)
    [warning] = (await browse(LOOK_S)).warnings
    assert words in warning


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # zeroconf's, as above
async def test_no_multicast(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interface that is listed, and gone when it is to be used."""
    gone = Adapter("eth9", 99, [SimpleNamespace(ip="192.0.2.213")])
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [gone])
    [warning] = (await browse(LOOK_S)).warnings
    assert warning.startswith(
        "mDNS is not possible: no network here has multicast. In a container use the host's network."
    )
    gc.collect()  # here, where its warning is expected


async def test_without_zeroconf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    [warning] = (await browse(LOOK_S)).warnings
    assert "pip install zeroconf" in warning


@dataclass
class Adapter:
    name: str
    index: int
    ips: list[SimpleNamespace]


def test_ends_of_containers_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def adapter(name: str, index: int, v4: str, v6: str) -> Adapter:
        return Adapter(name, index, [SimpleNamespace(ip=v4), SimpleNamespace(ip=(v6, 0, 0))])

    adapters = [
        adapter("lo", 1, LOOPBACK, "::1"),
        adapter("eth0", 2, "192.0.2.2", "fd00::2"),
        adapter("docker0", 3, "192.0.2.3", "fd00::3"),
        adapter("br-0123456789ab", 4, "192.0.2.4", "fd00::4"),
        adapter("veth01234567", 5, "192.0.2.5", "fd00::5"),
        adapter("br0", 6, "192.0.2.6", "fd00::6"),
        *(adapter(f"eth{number}", number, f"192.0.2.{number}", f"fd00::{number}") for number in range(10, 20)),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
    (_, v4), (_, v6) = interfaces(())
    assert v4 == [LOOPBACK, "192.0.2.2", "192.0.2.6", *(f"192.0.2.{number}" for number in range(10, 15))]
    assert v6 == [2, 6, *range(10, 16)]
    [(_, only)] = interfaces(("192.0.2.3",))
    assert only == ["192.0.2.3"]


@pytest.mark.parametrize("module", ["nuki2mqtt.faces.find", "nuki2mqtt.faces.simulate", "nuki2mqtt.service"])
async def test_nobody_loads_zeroconf_before_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; sys.exit('zeroconf' in sys.modules or 'ifaddr' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
