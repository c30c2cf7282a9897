"""What the gateway costs while nothing happens: memory, processor time, requests at the Bridge."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.bench.ear import Ear, heard
from tests.bench.figures import Figure
from tests.bench.place import TOKEN, Place, running
from tests.stories.world import World

AIM_MIB = 48.0
AIM_PER_HOUR = 136.0
HOUR_S = 3600
BASE = "idle"
RESIDENT = ("status", "VmRSS:")  # a file in /proc/<pid> and the line in it
PROPORTIONAL = ("smaps_rollup", "Pss:")


async def idle(place: Place, minutes: float) -> list[Figure]:
    """Two Bridges with two devices each, as slow as real ones; the bare program is idle beside it."""
    house = House(now=time.time())
    bridges = []
    for number in (1, 2):
        lock = house.add(SimulatedLock(nuki_id=0x1A2B3C00 + number, name=f"Door {number}", door=2))
        opener = house.add(SimulatedOpener(nuki_id=0x2A2B3C00 + number, name=f"Intercom {number}"))
        paired = {lock.nuki_id, opener.nuki_id}
        bridges.append(
            SimulatedBridge(house, hardware_id=0x0A1B2C00 + number, server_id=number, token=TOKEN, paired=paired)
        )
    async with (
        SimulatedBridgeServer(bridges[0]) as first,
        SimulatedBridgeServer(bridges[1]) as second,
        Ear(place.port, place.protocol, f"{BASE}/gateway/health", "bare/idle") as ear,
    ):
        ready = ear.expect(f"{BASE}/gateway/health", _is_ready), ear.expect("bare/idle")
        config = place.config(BASE, first, second)
        bare_arguments = (str(place.port), place.protocol, "bare/idle")
        async with (
            running(place.folder, "-m", "nuki2mqtt", "run", "--config", config) as gateway,
            running(place.folder, "-m", "tests.bench.bare", *bare_arguments) as script,
        ):
            await heard(*ready)
            pids = gateway.pid, script.pid
            asked = [len(bridge.requests) for bridge in bridges]
            spent = [cpu_s(pid) for pid in pids]
            await asyncio.sleep(60 * minutes)
            spent = [cpu_s(pid) - before for pid, before in zip(pids, spent, strict=True)]
            asked = [len(bridge.requests) - before for bridge, before in zip(bridges, asked, strict=True)]
            resident, share = ([mib(pid, of) for pid in pids] for of in (RESIDENT, PROPORTIONAL))
    after = f"{minutes:g} idle minutes"
    memory = (
        (f"resident memory (VmRSS) after {after}", resident, AIM_MIB),
        (f"its proportional share (PSS) after {after}", share, None),
    )
    return [
        *(Figure(name, own, "MiB", bare, aim) for name, (own, bare), aim in memory if own is not None),
        Figure(f"processor time in {after}", spent[0], "s", spent[1]),
        Figure("requests an hour at each Bridge, of the idle run", max(asked) * 60 / minutes, "", aim=AIM_PER_HOUR),
    ]


def _is_ready(health: Any) -> bool:
    return [each["callback"] for each in health["bridges"]] == ["held", "held"]


def mib(pid: int, of: tuple[str, str]) -> float | None:
    """One line of a file in `/proc/<pid>`, which counts in KiB; None where it cannot be read."""
    name, word = of
    try:
        text = Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(word)), None)


def cpu_s(pid: int) -> float:
    """User and system time of a process (proc(5): fields 14 and 15 of `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(hours: int) -> list[Figure]:
    """In virtual time, in the world of the stories, after an hour of settling: requests and read-outs of a lock."""
    world = World()
    lock = world.house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name="Front door", door=2))
    opener = world.house.add(SimulatedOpener(nuki_id=0x2A2B3C4E, name="Intercom"))
    bridge = world.add_bridge()
    world.start_gateway()
    world.run(HOUR_S)
    before = len(bridge.requests)
    world.run(hours * HOUR_S)
    per_hour = (len(bridge.requests) - before) / hours
    return [
        Figure(f"requests an hour at rest, {hours} virtual hours", per_hour, "", aim=AIM_PER_HOUR),
        Figure(f"times a device was woken, {hours} virtual hours", lock.wakeups + opener.wakeups, "", aim=0.0),
    ]
