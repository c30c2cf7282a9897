"""What the stories of killed processes and broken brokers share: orders that are followed to their end, a line that
falls silent or breaks, and stories that are told at once because each of them mostly waits.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.protocol.settings_words import MqttProtocol
from nuki2mqtt.simulator.bridge import SimulatedRequest
from tests.adapters.brokers import HOST, Reachable
from tests.adapters.mosquitto import Mosquitto
from tests.stories.real.household import Ear, ear, kept
from tests.stories.real.processes import QUICK, Running, Site, leased, site, until

STATE, HEALTH = "nuki2mqtt/gateway/state", "nuki2mqtt/gateway/health"
DOOR = "nuki2mqtt/front_door"
AVAILABILITY = f"{DOOR}/availability"
SET, RESULT, EVENT, LATE = f"{DOOR}/set", f"{DOOR}/result", f"{DOOR}/event", f"{DOOR}/event/late"
CODES = {"unlock": "1", "lock": "2", "unlatch": "3", "lock_n_go": "4"}
PATIENCE_S = 40.0  # with many processes at work, one may be slow
WILL_S = 40.0  # until the broker says the last will of a connection that has fallen silent
MOTOR = replace(QUICK, motor_s=0.3, unlatched_s=0.3)
ENDS = frozenset({"confirmed", "failed", "unconfirmed", "expired"})
PROBES = 200
_PROBE_S = 0.5
# Few processes may be at their start at a time, the only time at which one needs much of a processor.
STARTING: ContextVar[asyncio.Semaphore] = ContextVar("starting")

Life = list[tuple[str, str | None]]


def now() -> str:
    return datetime.now(UTC).isoformat()


async def passes(seconds: float) -> None:
    """So long it lasts: the length is what is tested, nothing is awaited by it."""
    await asyncio.sleep(seconds)


class Requests(list[SimulatedRequest]):
    """What reached the Bridge; `on_request` is called before the Bridge answers."""

    def __init__(self) -> None:
        super().__init__()
        self.on_request: Callable[[SimulatedRequest], None] = lambda _: None

    def append(self, request: SimulatedRequest) -> None:
        super().append(request)
        self.on_request(request)


async def started(here: Site, heard: Ear, config: Path) -> Running:
    """Start the service; until it is at home at the broker and at the Bridge."""
    mark = len(heard.heard)
    async with STARTING.get():
        running = await here.run(config)
        await heard.wait_for(STATE, lambda said: said == "online", since=mark, timeout_s=PATIENCE_S)
    await heard.wait_for(AVAILABILITY, lambda said: said == "online", since=mark, timeout_s=PATIENCE_S)
    await leased(heard, since=mark)
    return running


class Orders:
    """The commands for the door of one site, as its Bridge and its broker see them."""

    def __init__(self, here: Site, heard: Ear) -> None:
        self.requests = Requests()
        here.bridge.requests = self.requests
        self._here = here
        self._heard = heard
        self._probes = 0

    @property
    def acted(self) -> list[str]:
        """The actions that reached the Bridge, as numbers."""
        return [request.query["action"] for request in self.requests if request.path == "/lockAction"]

    async def give(self, action: str, transaction: str) -> None:
        """Publish a command that was given just now; the broker has it afterwards."""
        order = {"action": action, "ts": now(), "transaction": transaction}
        await self._heard.publish(SET, json.dumps(order).encode())

    def life(self, transaction: str) -> Life:
        """Its results; the same one twice is one (docs/topics.md)."""
        said = [one for one in self._heard.said(RESULT) if one["transaction"] == transaction]
        return list(dict.fromkeys((one["status"], one["reason"]) for one in said))

    def ends(self, transaction: str) -> Life:
        """The ends among them."""
        return [one for one in self.life(transaction) if one[0] in ENDS]

    async def result(
        self, transaction: str | None, *statuses: str, since: int = 0, timeout_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        """Its first result, or the first of these states; of what was said after the first `since` messages."""
        said = await self._heard.wait_for(
            RESULT,
            lambda one: one["transaction"] == transaction and (not statuses or one["status"] in statuses),
            since=since,
            timeout_s=timeout_s,
        )
        assert isinstance(said.payload, dict)
        return said.payload

    async def obeyed(self, action: str, transaction: str) -> None:
        """Give a command, and see that it is carried out."""
        await self.give(action, transaction)
        end = await self.result(transaction, *ENDS, "refused")
        assert end["status"] == "confirmed", end
        assert self.acted[-1] == CODES[action]

    async def ready(self) -> None:
        """Until commands are taken: then an old one is refused for its age. All results before that are heard."""
        for _ in range(PROBES):
            self._probes += 1
            transaction = f"probe {self._probes}"
            await self._heard.publish(SET, json.dumps({"action": "lock", "ts": 1, "transaction": transaction}).encode())
            with contextlib.suppress(AssertionError):  # nobody takes it while there is no connection
                reason = (await self.result(transaction, timeout_s=_PROBE_S))["reason"]
                if reason == "stale":
                    return
                assert reason == "starting"
            await asyncio.sleep(0.1)  # not to be a flood
        raise AssertionError("it never takes commands")

    async def shows_the_truth(self) -> None:
        """Until the lock rests and the broker keeps what it is; nothing of the other retained topics contradicts."""
        here, lock = self._here, self._here.lock
        await until(lambda: here.bridge.house.next_change_at() is None, "the motor rests")
        await self._heard.wait_for(
            DOOR, lambda said: (said["state_code"], said["stale"], said["derived"]) == (lock.state, False, False)
        )
        await self._heard.barrier()
        found = await kept(here.broker)
        assert (found[DOOR]["state_code"], found[DOOR]["stale"], found[DOOR]["derived"]) == (lock.state, False, False)
        assert (found[STATE], found[f"{DOOR}/availability"]) == ("online", "online")
        assert not [topic for topic in found if topic.endswith(("/set", "/result", "/event", "/late"))]


# --- A line -------------------------------------------------------------------------------------------------------


class Line:
    """A way to a broker that can fall silent without closing, or break after so many bytes."""

    def __init__(self, broker: Reachable) -> None:
        self.host = HOST
        self.port = 0
        self.protocol: MqttProtocol = broker.protocol
        self.connections = 0
        self.cuts = 0
        self._broker = broker
        self._left: int | None = None
        self._speaks = {"to us": asyncio.Event(), "from us": asyncio.Event()}
        self.resume()

    def fall_silent(self, *directions: str) -> None:
        """Pass nothing on, not even an end; what comes meanwhile waits."""
        for direction in directions or tuple(self._speaks):
            self._speaks[direction].clear()

    def resume(self) -> None:
        """End `fall_silent`: what has waited is passed on."""
        for speaks in self._speaks.values():
            speaks.set()

    def cut_after(self, count: int) -> None:
        """Break behind so many bytes of both directions together, once."""
        self._left = count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        far_writer: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(self._broker.host, self._broker.port)
                both = (writer, far_writer)
                await asyncio.gather(
                    self._pass_on(reader, far_writer, both, self._speaks["from us"]),
                    self._pass_on(far_reader, writer, both, self._speaks["to us"]),
                )
        except asyncio.CancelledError:
            pass  # asyncio 3.11 logs a cancelled handler as an error
        finally:
            writer.transport.abort()
            if far_writer is not None:
                far_writer.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: Sequence[asyncio.StreamWriter],
        speaks: asyncio.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(4096):
                await speaks.wait()
                if self._left is not None and len(some) >= self._left:
                    writer.write(some[: self._left])
                    self._left = None
                    self.cuts += 1
                    for each in both:
                        each.transport.abort()
                    return
                if self._left is not None:
                    self._left -= len(some)
                writer.write(some)
                await writer.drain()
        await speaks.wait()
        writer.close()


@asynccontextmanager
async def line_to(broker: Reachable) -> AsyncIterator[Line]:
    """A line to a broker."""
    line = Line(broker)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        task.add_done_callback(serving.discard)
        await line._serve(reader, writer)

    server = await asyncio.start_server(serve, HOST, 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()


# --- A house ---------------------------------------------------------------------------------------------------------


class Home:
    """One house, its service and its commands."""

    def __init__(self, here: Site, heard: Ear, config: Path) -> None:
        here.bridge.timing = MOTOR
        self.here = here
        self.heard = heard
        self.config = config
        self.orders = Orders(here, heard)

    async def begin(self) -> Running:
        """Start the service and wait until commands are taken."""
        running = await started(self.here, self.heard, self.config)
        await self.orders.ready()
        return running

    async def back(self, mark: int) -> None:
        """Until the service is at home again, and takes commands."""
        await self.heard.wait_for(STATE, lambda said: said == "online", since=mark, timeout_s=WILL_S)
        await self.orders.ready()


@asynccontextmanager
async def home(
    folder: Path,
    broker: Mosquitto,
    line: Line | None = None,
    *,
    extra: str = "",
    mqtt: str = "",
    username: str | None = None,
    password: str | None = None,
) -> AsyncIterator[Home]:
    """A house whose service reaches its broker by the line, if there is one; the login is that of the ear."""
    async with (
        site(folder, broker) as here,
        ear(broker, "#", username=username, password=password) as heard,
    ):
        yield Home(here, heard, here.write_config(via=line, extra=extra, mqtt=mqtt))


# --- Many at once -------------------------------------------------------------------------------------------------

Story = Callable[[Path], Awaitable[None]]


@asynccontextmanager
async def told_at_once(
    stories: Mapping[str, Story], folder: Path, places: int
) -> AsyncIterator[dict[str, "asyncio.Task[None]"]]:
    """Begin all these stories, so many at a time; each is a task, under its name."""
    free = asyncio.Semaphore(places)
    STARTING.set(asyncio.Semaphore(3))

    async def tell(name: str, story: Story) -> None:
        async with free:
            own = folder / name
            own.mkdir()
            await story(own)

    tasks = {name: asyncio.create_task(tell(name, story), name=name) for name, story in stories.items()}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def selected(request: pytest.FixtureRequest, stories: Mapping[str, Story]) -> dict[str, Story]:
    """The stories of the requesting module that this run is to tell."""
    wanted = {item.name.partition("[")[2].rstrip("]") for item in request.session.items if item.path == request.path}
    return {name: story for name, story in stories.items() if name in wanted}


def marked(stories: Mapping[str, Story], known: Mapping[str, str]) -> list[Any]:
    """The stories' names as parameters; of the known ones we know that they do not hold yet, and why."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.xfail(strict=True, raises=AssertionError, reason=known[name])] if name in known else (),
        )
        for name in stories
    ]
