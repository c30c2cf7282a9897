"""What a large account costs: the poll of all its locks, the first survey of all their codes, and memory."""

import json
import time

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.keypad import KEYPAD_CODE
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from nuki2mqtt.simulator.web import SimulatedCloud
from nuki2mqtt.simulator.web_bodies import smartlock
from nuki2mqtt.simulator.web_routes import SCOPES
from nuki2mqtt.simulator.web_server import SimulatedCloudServer
from tests.bench.ear import Ear, heard
from tests.bench.figures import Figure
from tests.bench.place import TOKEN, Place, running
from tests.bench.rest import PROPORTIONAL, RESIDENT, cpu_s, mib

POLL_S = 10  # the shortest that the settings allow
DEFAULT_POLL_S = 60.0
SURVEY_S = 1200.0
BASE, ALONE = "account", "no_account"
LIST = "/smartlock"
_FIRST_ID = 0x1A000000
_UNLOCKED, _LOCKED = 3, 1


def make_account(locks: int, codes: int) -> SimulatedCloud:
    """So many locks that no Bridge knows, with so many codes each."""
    house = House(now=time.time())
    cloud = SimulatedCloud(house)
    cloud.tokens[TOKEN] = frozenset(SCOPES)
    for number in range(locks):
        lock = SimulatedLock(
            nuki_id=_FIRST_ID + number, device_type=4, name=f"Door {number}", door=2, keypad_critical=False
        )
        known = cloud.add(house.add(lock))
        for index in range(codes):
            known.auths.add_by_app(name=f"Guest {index}", code=_code(index), type=KEYPAD_CODE)
        known.sync(is_forced=False)
    return cloud


def _code(index: int) -> int:
    """Six digits from 1 to 9, another one for each number."""
    return int("3" + "".join(str(1 + index // 9**place % 9) for place in range(5)))


async def account(place: Place, locks: int, codes: int, polls: int) -> list[Figure]:
    """The cloud answers at once; what the gateway waits for between two requests is its own."""
    cloud = make_account(locks, codes)
    names = [f"door_{number}" for number in range(locks)]
    extra = (
        f"nuki_web: {{token: {TOKEN}, base_url: 'http://127.0.0.1:%d', poll_s: {POLL_S}, keypad: {{manage: true}}}}\n"
    )
    async with (
        SimulatedCloudServer(cloud, time_scale=0) as server,
        Ear(place.port, place.protocol, f"{BASE}/#") as ear,
    ):
        states = [ear.expect(f"{BASE}/{name}", lambda state: not state["stale"]) for name in names]
        lists = [ear.expect(f"{BASE}/{name}/keypad", lambda listed: len(listed) == codes) for name in names]
        config = place.config(BASE, extra=extra % server.port)
        began = time.perf_counter()
        async with running(place.folder, "-m", "nuki2mqtt", "run", "--config", config) as gateway:
            published = max(await heard(*states, within_s=SURVEY_S)) - began
            surveyed = max(await heard(*lists, within_s=SURVEY_S)) - began
            spent, asked = cpu_s(gateway.pid), _polls(cloud)
            delays = [await _change(cloud, server, ear, number) for number in range(polls)]
            spent, asked = cpu_s(gateway.pid) - spent, _polls(cloud) - asked
            memory = [(of, mib(gateway.pid, of)) for of in (RESIDENT, PROPORTIONAL)]
    alone = await _without(place)
    of = f"{locks} locks"
    return [
        Figure(f"start to the last of {of} published", published, "s", aim=DEFAULT_POLL_S),
        Figure(f"start to the last of {locks * codes} codes listed", surveyed, "s"),
        Figure(f"processor time of a poll of {of}", spent / max(asked, 1), "s", _bare_s(cloud), DEFAULT_POLL_S),
        Figure(f"a change of one of {of}, the slowest", max(delays), "s", aim=POLL_S + 1.0),
        *(
            Figure(f"memory ({kind[1].rstrip(':')}) with {of} and their codes", value, "MiB", alone.get(kind))
            for kind, value in memory
            if value is not None
        ),
    ]


def _polls(cloud: SimulatedCloud) -> int:
    return sum(request.path == LIST for request in cloud.requests)


async def _change(cloud: SimulatedCloud, server: SimulatedCloudServer, ear: Ear, number: int) -> float:
    """Turn a lock by hand; how long it is until a subscriber has read that."""
    device = cloud.devices[-1].device
    code, word = (_UNLOCKED, "unlocked") if number % 2 == 0 else (_LOCKED, "locked")
    said = ear.expect(f"{BASE}/door_{len(cloud.devices) - 1}", lambda state: state["state"] == word)
    began = time.perf_counter()
    device.turn(code)
    server.changed()
    [at] = await heard(said)
    return at - began


def _bare_s(cloud: SimulatedCloud) -> float:
    """How long the same list takes to be read as JSON, and nothing else."""
    body = json.dumps([smartlock(known, time.time()) for known in cloud.devices])
    began = time.process_time()
    json.loads(body)
    return time.process_time() - began


async def _without(place: Place) -> dict[tuple[str, str], float]:
    """The memory of a gateway with one Bridge, one lock and no cloud, as soon as it is at work."""
    house = House(now=time.time())
    house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name="Front door", door=2))
    bridge = SimulatedBridge(house, hardware_id=0x0A1B2C3D, server_id=1, token=TOKEN)
    async with (
        SimulatedBridgeServer(bridge, time_scale=0) as server,
        Ear(place.port, place.protocol, f"{ALONE}/front_door") as ear,
    ):
        said = ear.expect(f"{ALONE}/front_door", lambda state: state["state"] == "locked")
        config = place.config(ALONE, server)
        async with running(place.folder, "-m", "nuki2mqtt", "run", "--config", config) as gateway:
            await heard(said)
            found = {of: mib(gateway.pid, of) for of in (RESIDENT, PROPORTIONAL)}
    return {of: value for of, value in found.items() if value is not None}
