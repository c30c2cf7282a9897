"""`nuki2mqtt find` across a cable: two network namespaces, a Bridge in one of them, the search in the other."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faces.test_demo import our, started

IP = shutil.which("ip")


@dataclass(frozen=True)
class Namespaces:
    """Two of them; a cable leads from one to the other."""

    here: str
    there: str

    @staticmethod
    def within(name: str, *command: str) -> tuple[str, ...]:
        assert IP is not None
        return (IP, "netns", "exec", name, *command)


async def ip(text: str) -> str:
    """Run `ip`; what it complains of."""
    assert IP is not None
    process = await asyncio.create_subprocess_exec(
        IP, *text.split(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()
    return "" if process.returncode == 0 else complaint.decode().strip() or "ip fails"


@asynccontextmanager
async def namespaces(here_address: str = "", there_address: str = "") -> AsyncIterator[Namespaces]:
    if IP is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and ip")
    mark = f"n2m{os.getpid()}"
    both = Namespaces(f"{mark}here", f"{mark}there")
    is_v6 = ":" in here_address
    extra = " nodad" if is_v6 else ""
    steps = [f"netns add {both.here}", f"netns add {both.there}"]
    if here_address:
        steps += [
            f"link add cable0 netns {both.here} type veth peer name cable0 netns {both.there}",
            *(f"-n {name} link set cable0 addrgenmode none" for name in (both.here, both.there) if is_v6),
            f"-n {both.here} addr add {here_address} dev cable0{extra}",
            f"-n {both.there} addr add {there_address} dev cable0{extra}",
            *(f"-n {name} link set {link} up" for name in (both.here, both.there) for link in ("lo", "cable0")),
        ]
    try:
        for step in steps:
            if complaint := await ip(step):
                pytest.skip(f"no network namespaces here: ip {step}: {complaint}")
        yield both
    finally:
        for name in (both.here, both.there):
            await ip(f"netns del {name}")


@pytest.mark.parametrize(
    ("here", "there", "link"),
    [("192.0.2.1/24", "192.0.2.10/24", "192.0.2.10:8080"), ("fd00::1/64", "fd00::10/64", "[fd00::10]:8080")],
)
async def test_a_bridge_at_the_other_end_of_a_cable(tmp_path: Path, here: str, there: str, link: str) -> None:
    address = there.partition("/")[0]
    async with namespaces(here, there) as both:
        options = ("simulate", "--announce", "--bind", address)
        async with started(tmp_path, *both.within(both.there, *our(*options))) as simulating:
            said = await simulating.wait_line("by mDNS")
            assert "is announced" in said, said
            async with started(tmp_path, *both.within(both.here, *our("find", "--seconds", "3"))) as finding:
                assert await finding.ended(30) == 0, finding.text
            assert await simulating.stop() == 0
    assert f"Bridge 0A1B2C01 at {link}" in finding.lines
    assert finding.lines[-1] == f"  not paired; next: nuki2mqtt pair --host {address}"
    assert not [line for line in finding.lines if line.startswith("note: ")]


async def test_no_network_only_warns(tmp_path: Path) -> None:
    async with (
        namespaces() as both,
        started(tmp_path, *both.within(both.here, *our("find", "--seconds", "1"))) as finding,
    ):
        assert await finding.ended(30) == 1, finding.text
    [note] = [line for line in finding.lines if line.startswith("note: ")]
    assert "this computer has no network that is up" in note
    assert "Traceback" not in finding.text
