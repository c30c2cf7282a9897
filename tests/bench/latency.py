"""How long a callback takes to its subscriber, and a command to the Bridge; each beside the bare relay.

Gateway and relay take turns, one sample each, and who begins changes each time. Both have the same broker, the same
Bridge, which answers at once, and the same body to carry.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from nuki2mqtt.simulator.bridge import SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.house import LOCK, LOCKED, UNLOCKED, House, SimulatedLock
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.adapters.mosquitto import free_port
from tests.bench.bare import HOST
from tests.bench.ear import WAIT_S, Ear, Expected, heard
from tests.bench.figures import Figure, quantile
from tests.bench.place import TOKEN, Place, running

AIM = 1.3
WARM_UP = 10
LOST_S = 3.0  # a `/list` under way can tell of a change before its callback does: that sample is taken again
TRIES = 3
BASE = "nuki2mqtt"
WORDS = {LOCKED: "locked", UNLOCKED: "unlocked"}
# The rest that Bridges need after each request would be measured, not the gateway.
SETTINGS = "poll: {min_gap_s: 0}\ncommands: {trust_clock: always}\ndevices: {2B3C4D5E: {ignore: true}}\n"
Sample = Callable[[], Awaitable[list[float]]]


class TimedBridge(SimulatedBridge):
    """Notes when an order for a lock comes in."""

    def __init__(self, house: House) -> None:
        super().__init__(house, hardware_id=0x0A1B2C3D, server_id=1, token=TOKEN)
        self._expected: Expected | None = None

    def expect_order(self) -> Expected:
        """When the next one comes (`time.perf_counter`)."""
        self._expected = asyncio.get_running_loop().create_future()
        return self._expected

    def answer(self, path: str, query: Mapping[str, str], now: float) -> SimulatedAnswer:
        """As every Bridge."""
        at = time.perf_counter()
        if path == "/lockAction" and self._expected is not None and not self._expected.done():
            self._expected.set_result((at, query["nukiId"]))
        return super().answer(path, query, now)


class Bench:
    """One lock for the gateway, which ignores the other one: that is the relay's."""

    def __init__(self, house: House, bridge: TimedBridge, ear: Ear, relay_port: int) -> None:
        self.lock = house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name="Front door", door=2))
        self.other = house.add(SimulatedLock(nuki_id=0x2B3C4D5E, name="Garage", door=2))
        self._house = house
        self._bridge = bridge
        self._ear = ear
        self._relay = f"http://{HOST}:{relay_port}/callback"
        self._body = b""
        self._orders = 0

    async def callback_by_gateway(self) -> list[float]:
        """Somebody turns the lock; seconds from the POST to the snapshot, and to the event."""

        def turn() -> bytes:
            self._house.advance(time.time())
            code = UNLOCKED if self.lock.state == LOCKED else LOCKED
            expected.append(self._ear.expect(f"{BASE}/front_door", lambda said: said["state"] == WORDS[code]))
            expected.append(self._ear.expect(f"{BASE}/front_door/event", lambda said: said.get("to") == WORDS[code]))
            self.lock.turn(code)
            self._body = self._bridge.take_callbacks()[-1].body
            return self._body

        expected: list[Expected] = []
        sent = await _post(self._bridge.callbacks.slots[0] or "", turn)
        return [at - sent for at in await heard(*expected, within_s=LOST_S)]

    async def callback_by_relay(self) -> list[float]:
        """The same body to the relay."""
        device = f"relay/{self.lock.nuki_id}"
        expected = self._ear.expect(device), self._ear.expect(f"{device}/event")
        sent = await _post(self._relay, lambda: self._body)
        return [at - sent for at in await heard(*expected, within_s=LOST_S)]

    async def wait_for_commands(self) -> None:
        """In the first seconds of a connection none is taken; one that is too old is refused for that later."""
        async with asyncio.timeout(WAIT_S):
            reason = "starting"
            while reason == "starting":
                answered = self._ear.expect(f"{BASE}/front_door/result")
                self._ear.say(f"{BASE}/front_door/set", {"action": "lock", "ts": "2020-01-01T00:00:00Z"})
                reason = (await answered)[1]["reason"]
                await asyncio.sleep(0.1)

    async def command_by_gateway(self) -> list[float]:
        """Seconds from `lock` on MQTT to the request at the Bridge, and to `accepted`; ends with the command."""
        await self._settle()
        if self.lock.state == LOCKED:
            await self._settle()
        self._orders += 1
        number, results = self._orders, f"{BASE}/front_door/result"
        accepted = self._ear.expect(results, lambda said: (said["transaction"], said["status"]) == (number, "accepted"))
        ended = self._ear.expect(results, lambda said: said["transaction"] == number and said["status"] != "accepted")
        arrived = self._bridge.expect_order()
        sent = self._ear.say(f"{BASE}/front_door/set", {"action": "lock", "transaction": number})
        came = await heard(arrived, accepted, within_s=LOST_S)
        for callback in self._bridge.take_callbacks():
            await _post(callback.url, partial(bytes, callback.body))
        await heard(ended)
        return [at - sent for at in came]

    async def command_by_relay(self) -> list[float]:
        """The same for the relay, with the gateway at rest."""
        await self._settle()
        accepted = self._ear.expect("relay/result", lambda said: said["status"] == "accepted")
        done = self._ear.expect("relay/result", lambda said: said["status"] == "done")
        arrived = self._bridge.expect_order()
        order = {"nukiId": self.other.nuki_id, "deviceType": 4, "action": LOCK, "nowait": 1, "token": TOKEN}
        sent = self._ear.say("relay/set", order)
        came = await heard(arrived, accepted)
        await heard(done)
        self._bridge.take_callbacks()
        return [at - sent for at in came]

    async def _settle(self) -> None:
        """Turn the lock by hand: when that is told, the gateway has done all that it was at."""
        await _taken(self.callback_by_gateway)


async def latency(place: Place, samples: int) -> list[Figure]:
    """The figures of callbacks and of commands."""
    async with bench(place) as one:
        callbacks = await _pairs(one.callback_by_gateway, one.callback_by_relay, samples)
        await one.wait_for_commands()
        commands = await _pairs(one.command_by_gateway, one.command_by_relay, samples)
    return [
        *_figures("callback to snapshot", callbacks, 0, AIM),
        *_figures("callback to event", callbacks, 1, AIM),
        *_figures("command to the Bridge", commands, 0, AIM),
        *_figures("command to `accepted`", commands, 1, None),
    ]


@asynccontextmanager
async def bench(place: Place) -> AsyncIterator[Bench]:
    """Gateway and relay in processes of their own, both ready."""
    house, relay_port = House(now=time.time()), free_port()
    bridge = TimedBridge(house)
    topics = (f"{BASE}/gateway/health", f"{BASE}/front_door", f"{BASE}/front_door/event", f"{BASE}/front_door/result")
    async with (
        SimulatedBridgeServer(bridge, time_scale=0) as server,
        Ear(place.port, place.protocol, *topics, "relay/#") as ear,
    ):
        one = Bench(house, bridge, ear, relay_port)
        health = ear.expect(f"{BASE}/gateway/health", lambda said: _is_leased(said, 1))
        relay = ear.expect("relay/state")
        config = place.config(BASE, server, extra=SETTINGS)
        arguments = map(str, (place.port, place.protocol, relay_port, server.port))
        async with (
            running(place.folder, "-m", "nuki2mqtt", "run", "--config", config),
            running(place.folder, "-m", "tests.bench.relay", *arguments),
        ):
            await heard(health, relay)
            bridge.take_callbacks()
            yield one


def _is_leased(health: Any, bridges: int) -> bool:
    return [each["callback"] for each in health["bridges"]] == ["held"] * bridges


async def _pairs(by_gateway: Sample, by_relay: Sample, samples: int) -> list[tuple[list[float], list[float]]]:
    pairs = []
    for number in range(WARM_UP + samples):
        if number % 2:
            relay = await _taken(by_relay)
            gateway = await _taken(by_gateway)
        else:
            gateway = await _taken(by_gateway)
            relay = await _taken(by_relay)
        pairs.append((gateway, relay))
    return pairs[WARM_UP:]


async def _taken(sample: Sample) -> list[float]:
    for _ in range(TRIES):
        try:
            return await sample()
        except TimeoutError:
            continue
    raise TimeoutError(f"{sample} was not heard")


def _figures(name: str, pairs: list[tuple[list[float], list[float]]], which: int, aim: float | None) -> list[Figure]:
    gateway, relay = ([1000 * one[side][which] for one in pairs] for side in (0, 1))
    return [
        Figure(f"{name}, {text}", quantile(gateway, share), "ms", quantile(relay, share), aim, aims_at_ratio=True)
        for text, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _post(url: str, make_body: Callable[[], bytes]) -> float:
    """POST as a Bridge does, over a connection of its own; when it was written."""
    async with asyncio.timeout(WAIT_S):
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            body = make_body()
            head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            sent = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(answer[:100].decode(errors="replace"))
    return sent
