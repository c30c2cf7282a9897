"""How long the imports take, and how long it is from the start of the process to the first state on MQTT."""

import time
from statistics import median

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.bench.ear import Ear, heard
from tests.bench.figures import Figure
from tests.bench.place import TOKEN, Place, error_output, running

AIM_S = 1.0
NO_REST = "poll: {min_gap_s: 0}\n"


async def imports(place: Place, times: int) -> list[Figure]:
    """The best of so many, the gateway's and those of its libraries alone in turns."""
    gateway, libraries = [], []
    for _ in range(times):
        gateway.append(imported_ms(await _imported(place, "nuki2mqtt.faces.run")))
        libraries.append(imported_ms(await _imported(place, "tests.bench.bare")))
    return [Figure("imports, best", min(gateway), "ms", min(libraries))]


async def _imported(place: Place, module: str) -> str:
    return await error_output(place.folder, "-X", "importtime", "-c", f"import {module}")


def imported_ms(text: str) -> float:
    """What `-X importtime` says of all that comes after the interpreter's own start."""
    rows = [line.removeprefix("import time:").split("|") for line in text.splitlines()]
    names = [row[-1].strip() for row in rows]
    return sum(int(row[0]) for row in rows[names.index("site") + 1 :]) / 1000


async def first_state(place: Place, times: int) -> list[Figure]:
    """Each time with a new state folder and a new base topic; the bare program in turns with it."""
    gateway: list[float] = []
    hasty: list[float] = []  # without the rest between two requests, which is half a second of the start
    bare: list[float] = []
    house = House(now=time.time())
    house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name="Front door", door=2))
    bridge = SimulatedBridge(house, hardware_id=0x0A1B2C3D, server_id=1, token=TOKEN)
    async with SimulatedBridgeServer(bridge, time_scale=0) as server, Ear(place.port, place.protocol, "#") as ear:
        for number in range(times):
            for values, name, extra in ((gateway, f"start{number}", ""), (hasty, f"hasty{number}", NO_REST)):
                config = place.config(name, server, extra=extra)
                run = ("-m", "nuki2mqtt", "run", "--config", config)
                values.append(await _until_said(place, ear, f"{name}/front_door", *run))
            topic = f"bare/{number}"
            run_bare = ("-m", "tests.bench.bare", str(place.port), place.protocol, topic)
            bare.append(await _until_said(place, ear, topic, *run_bare))
    figures = []
    for name, seconds in (("", gateway), (", poll.min_gap_s: 0", hasty)):
        figures.append(Figure(f"start to first state{name}, best", min(seconds), "s", min(bare), AIM_S))
        figures.append(Figure(f"start to first state{name}, median", median(seconds), "s", median(bare), AIM_S))
    return figures


async def _until_said(place: Place, ear: Ear, topic: str, *arguments: object) -> float:
    said = ear.expect(topic, lambda state: state["state"] == "locked")
    began = time.perf_counter()
    async with running(place.folder, *map(str, arguments)):
        [at] = await heard(said)
    return at - began
