"""Killed as by `kill -9` in the middle of a command, and cut off from the broker in the middle of a byte stream.

Whatever the instant: an opening command reaches the Bridge once at most, what was accepted ends once, and what is
retained in the end is the truth. How many kills there are is said by NUKI2MQTT_KILLS (default 20):

    NUKI2MQTT_KILLS=400 python -m pytest -s tests/stories/real/test_kills.py -k kills_in
"""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio

from nuki2mqtt.simulator.bridge import SimulatedRequest
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED
from tests.adapters.mosquitto import Mosquitto, mosquitto, needs_mosquitto
from tests.stories.real.household import WAIT_S, Ear, ear
from tests.stories.real.processes import LOCK_ID, QUICK, Running, Site, site, until
from tests.stories.real.trouble import (
    CODES,
    DOOR,
    ENDS,
    STATE,
    Line,
    Orders,
    line_to,
    selected,
    started,
    told_at_once,
)

KILLS = int(os.environ.get("NUKI2MQTT_KILLS", "20"))
LANES = 5  # houses beside each other, each with a broker, a Bridge and a process of its own
CUT_HOUSES, ROUNDS = 8, 2  # two cuts in each round; more would be longer pauses between the attempts to connect
LONGEST_PAUSE_S = 30.0  # of the link, and some time to connect
OPENING = ("unlatch", "unlock", "lock_n_go")
ACTIONS = (*OPENING, "lock")
MOMENTS = ("published", "writing", "written", "accepted", "reached", "answered", "looking", "reading", "ended")
TOKEN = "tokenMARKEDx9"
SLOW_MOTOR = replace(QUICK, accept_s=0.02, motor_s=0.5, unlatched_s=0.3, lock_n_go_s=0.5)

pytestmark = [
    needs_mosquitto,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(max(180, 60 + 8 * KILLS // LANES)),
]


@dataclass
class Scene:
    """One house and the process of the moment."""

    here: Site
    heard: Ear
    orders: Orders
    config: Path
    mark: int = 0

    @property
    def process(self) -> Running:
        return self.here.started[-1]

    @property
    def kept(self) -> str:
        """What the state file holds."""
        return (self.here.state_dir / "state.json").read_text(encoding="utf-8")

    async def begin(self) -> None:
        """Start the service and wait until commands are taken; what a former one left open is told by then."""
        self.mark = len(self.heard.heard)
        await started(self.here, self.heard, self.config)
        await self.orders.ready()
        assert len(self.here.own_slots) == 1

    def kill(self, *_: object) -> None:
        """End the process, without a turn of our loop in between."""
        self.process.send(signal.SIGKILL)

    def kill_at(self, is_it: Callable[[SimulatedRequest], bool]) -> None:
        """End the process when such a request has reached the Bridge, before its answer."""
        self.orders.requests.on_request = lambda request: self.kill() if is_it(request) else None

    async def dead(self) -> None:
        """Until the process has been killed and its last will was said."""
        assert await self.process.ended() == -signal.SIGKILL
        self.orders.requests.on_request = lambda _: None
        await self.heard.wait_for(STATE, lambda said: said == "offline", since=self.mark)

    async def turn(self, state: int) -> None:
        """Let somebody turn the lock by hand; until the service has seen it."""
        self.here.lock.turn(state)
        self.here.server.changed()
        await until(lambda: self.heard.said(DOOR)[-1]["state_code"] == state, "the turn by hand is told")

    def tells_no_secret(self) -> None:
        """Neither in a line of any process nor in a message."""
        printed = "\n".join(each.text for each in self.here.started)
        said = b"\n".join(topic.encode() + b" " + payload for topic, payload in self.heard.raw).decode()
        assert len(printed.splitlines()) > 50
        for secret in (TOKEN, str(json.loads(self.kept)["callback_secret"])):
            assert secret not in printed
            assert secret not in said


@asynccontextmanager
async def scene(folder: Path, protocol: str, broker: Mosquitto, line: Line | None = None) -> AsyncIterator[Scene]:
    """A house with a slow motor; `confirm_s` is short, so that the read that wakes the lock comes soon."""
    async with site(folder, broker) as here, ear(broker) as heard:
        here.bridge.timing = SLOW_MOTOR
        here.bridge.tokens.token = TOKEN
        config = here.write_config(
            bridge=f"token: {TOKEN}",
            mqtt=f'protocol: "{protocol}"',
            extra="commands: {confirm_s: 2}\nlog: {level: debug}\n",
            via=line,
        )
        yield Scene(here, heard, Orders(here, heard), config)


# --- Kills --------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What happened in all houses together."""

    kills: int = 0
    cuts: int = 0
    commands: int = 0
    requests: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def note(self, orders: Orders) -> None:
        """One house is done."""
        self.requests += len(orders.acted)


def kill_when(pid: int, is_so: Callable[[], bool]) -> None:
    """In a thread of its own: as near to the instant as can be."""
    limit = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < limit, "it did not come to be"
    os.kill(pid, signal.SIGKILL)


async def give_and_kill(one: Scene, moment: str, action: str, transaction: str) -> None:
    """Give a command, kill at the moment."""
    orders, faults, pid = one.orders, one.here.bridge.faults, one.process.pid
    temp = one.here.state_dir / f"state.json.{pid}.tmp"
    match moment:
        case "published":
            await orders.give(action, transaction)
            one.kill()
        case "writing" | "written":
            is_writing = moment == "writing"  # too short an instant to be seen for sure

            def is_so() -> bool:
                return (is_writing and temp.exists()) or transaction in one.kept

            killing = asyncio.create_task(asyncio.to_thread(kill_when, pid, is_so))
            await orders.give(action, transaction)
            await killing
        case "accepted":
            await orders.give(action, transaction)
            await orders.result(transaction, "accepted")
            one.kill()
        case "reached":
            one.kill_at(lambda request: request.path == "/lockAction")
            await orders.give(action, transaction)
        case "answered":
            await orders.give(action, transaction)
            await one.heard.wait_for(DOOR, lambda said: said["derived"], since=one.mark)
            one.kill()
        case "looking":
            before = len(orders.acted)
            one.kill_at(lambda request: request.path == "/list" and len(orders.acted) > before)
            with faults.reset_connections("/lockAction", acts=True):
                await orders.give(action, transaction)
                await one.process.ended()
        case "reading":
            one.kill_at(lambda request: request.path == "/lockState")
            with faults.lost_orders(LOCK_ID):
                await orders.give(action, transaction)
                await one.process.ended()
        case _:
            await orders.give(action, transaction)
            await orders.result(transaction, *ENDS)
            await until(lambda: is_ended(one, transaction), "its end is remembered")
            one.kill()
    await one.dead()


def is_ended(one: Scene, transaction: str) -> bool:
    """Whether the state file does not hold this command as one without an end any more."""
    entries = json.loads(one.kept)["journal"].values()
    return all(entry["is_ended"] for entry in entries if transaction in (entry["key"] or ""))


def known_end(one: Scene, transaction: str) -> str | None:
    """The status that the state file holds as an end of this command that was not acknowledged; None without."""
    entries = json.loads(one.kept)["journal"].values() if one.kept else ()
    ends = [entry["end"] for entry in entries if transaction in (entry["key"] or "") and entry["end"]]
    return str(json.loads(ends[0])["status"]) if ends else None


async def one_kill(one: Scene, moment: str, action: str, transaction: str, tally: Tally) -> None:
    """A command, a kill, another process, the same command again."""
    orders, opens = one.orders, action in OPENING
    await one.turn(LOCKED if opens else UNLOCKED)
    before = len(orders.acted)
    await give_and_kill(one, moment, action, transaction)
    reached = orders.acted[before:]
    known = known_end(one, transaction) or next((status for status, _ in orders.ends(transaction)), None)
    await one.begin()
    ends, is_accepted = orders.ends(transaction), ("accepted", None) in orders.life(transaction)
    if opens:
        assert len(reached) <= 1, (moment, orders.life(transaction))
    assert len(ends) <= 1, (moment, ends)
    assert ends or not reached, (moment, "it reached the Bridge and has no end")
    # What was known when it died is said as it was: on a slow computer a lock may have turned before the kill.
    is_known = moment == "ended" or known == "confirmed"
    assert not ends or (ends[0][0] == "confirmed" if is_known else ends == [("unconfirmed", "restarted")]), (
        moment,
        ends,
    )
    assert ends or not is_accepted, (moment, "it was accepted and has no end")
    tally.kills += 1
    tally.commands += 1
    mark = len(one.heard.heard)
    await orders.give(action, transaction)
    again = await orders.result(transaction, *ENDS, "refused", since=mark)
    if opens and (reached or ends):
        assert (again["status"], again["reason"]) == ("refused", "duplicate"), moment
    acted = orders.acted[before:]
    assert set(acted) <= {CODES[action]}
    assert not opens or len(acted) <= 1, (moment, acted)
    assert not opens or len(orders.ends(transaction)) <= 1
    tally.ends.update(status for status, _ in orders.ends(transaction))


async def house_of_kills(folder: Path, number: int, tally: Tally) -> None:
    protocol = "3.1.1" if number == LANES - 1 else "5"
    async with mosquitto() as broker, scene(folder, protocol, broker) as one:
        await one.begin()
        for kill in range(number, KILLS, LANES):
            moment, action = MOMENTS[kill % len(MOMENTS)], ACTIONS[kill % len(ACTIONS)]
            await one_kill(one, moment, action, f"kill {number} {kill}", tally)
        await one.orders.shows_the_truth()
        assert await one.process.stop() == 0
        one.tells_no_secret()
        tally.note(one.orders)


async def kills_in_the_middle_of_commands(folder: Path) -> None:
    tally = Tally()
    async with asyncio.TaskGroup() as houses:
        for number in range(LANES):
            (folder / str(number)).mkdir()
            houses.create_task(house_of_kills(folder / str(number), number, tally))
    print(f"\nkills {tally.kills}, commands {tally.commands}, requests {tally.requests}, ends {dict(tally.ends)}")
    assert tally.kills == KILLS


async def killed_while(one: Scene, action: str, is_so: Callable[[], bool]) -> None:
    """A command is accepted, the process is killed when that is so, and another one is at work."""
    await one.begin()
    await one.orders.give(action, "a1")
    await one.orders.result("a1", "accepted")
    await until(is_so, "the moment for the kill")
    one.kill()
    await one.dead()
    await one.begin()


async def a_lock_that_was_sent_ends_after_a_kill(folder: Path) -> None:
    async with mosquitto() as broker, scene(folder, "5", broker) as one:
        with one.here.bridge.faults.silent("/lockAction"):
            await killed_while(one, "lock", lambda: bool(one.orders.acted))
        assert one.orders.acted == ["2"]
        assert one.orders.ends("a1") == [("unconfirmed", "restarted")]


async def a_command_that_waits_for_its_bridge_ends_after_a_kill(folder: Path) -> None:
    async with mosquitto() as broker, scene(folder, "5", broker) as one:
        refusing = one.here.bridge.faults.refuse_connections()

        await one.begin()
        with refusing:
            await one.orders.give("unlatch", "a1")
            await one.orders.result("a1", "accepted")
            assert "a1" in one.kept
            one.kill()
            await one.dead()
        await one.begin()
        assert one.orders.acted == []
        assert one.orders.ends("a1") == [("unconfirmed", "restarted")]


async def an_end_whose_acknowledgement_is_lost_in_a_kill_stays_the_only_end(folder: Path) -> None:
    """The broker has said `confirmed` to everybody; it may be said once more."""
    async with mosquitto() as broker, line_to(broker) as line, scene(folder, "5", broker, line) as one:
        await one.begin()
        await one.orders.give("unlatch", "a1")
        await until(lambda: one.orders.acted, "the order reaches the Bridge")
        line.fall_silent("to us")
        await one.orders.result("a1", "confirmed")
        one.kill()
        await one.process.ended()
        line.resume()
        await one.dead()
        await one.begin()
        assert one.orders.acted == ["3"]
        assert one.orders.ends("a1") == [("confirmed", None)]


# --- Cuts ---------------------------------------------------------------------------------------------------------


async def commands_and_cuts(one: Scene, line: Line, chance: random.Random, tally: Tally) -> None:
    """Give commands until the line is cut somewhere in their bytes, and once more while it connects again."""
    orders, cuts = one.orders, line.cuts
    line.cut_after(chance.randrange(1, 6000))
    while line.cuts == cuts:
        transaction, action = f"cut {tally.commands}", OPENING[tally.commands % len(OPENING)]
        tally.commands += 1
        before, connections = len(orders.acted), line.connections
        await orders.give(action, transaction)

        def is_over(transaction: str = transaction, connections: int = connections) -> bool:
            return line.cuts > cuts or line.connections > connections or bool(orders.ends(transaction))

        await until(is_over, "an end or a cut", timeout_s=LONGEST_PAUSE_S)
        if line.cuts > cuts:
            line.cut_after(chance.randrange(1, 1500))
            await until(lambda: line.cuts == cuts + 2, "a cut while it connects again", timeout_s=LONGEST_PAUSE_S)
        if line.cuts > cuts or line.connections > connections:  # it connects anew, too, when it has stood still
            await orders.ready()
            if ("accepted", None) in orders.life(transaction) or len(orders.acted) > before:
                await orders.result(transaction, *ENDS)
            mark = len(one.heard.heard)
            await orders.give(action, transaction)
            await orders.result(transaction, *ENDS, "refused", since=mark)
        assert orders.acted[before:] in ([], [CODES[action]])
        assert len(orders.ends(transaction)) == 1, orders.life(transaction)
        tally.ends.update(status for status, _ in orders.ends(transaction))


async def house_of_cuts(folder: Path, number: int, tally: Tally) -> None:
    chance = random.Random(number)  # noqa: S311 - to be the same each time
    protocol = "3.1.1" if number % 4 == 3 else "5"
    async with mosquitto() as broker, line_to(broker) as line, scene(folder, protocol, broker, line) as one:
        await one.begin()
        for _ in range(ROUNDS):
            await commands_and_cuts(one, line, chance, tally)
        await one.orders.shows_the_truth()
        assert await one.process.stop() == 0
        one.tells_no_secret()
        tally.cuts += line.cuts
        tally.note(one.orders)


async def cuts_at_random_bytes(folder: Path) -> None:
    tally = Tally()
    async with asyncio.TaskGroup() as houses:
        for number in range(CUT_HOUSES):
            (folder / str(number)).mkdir()
            houses.create_task(house_of_cuts(folder / str(number), number, tally))
    print(f"\ncuts {tally.cuts}, commands {tally.commands}, requests {tally.requests}, ends {dict(tally.ends)}")
    assert tally.cuts == 2 * ROUNDS * CUT_HOUSES


# --- All of them --------------------------------------------------------------------------------------------------

STORIES = {
    story.__name__: story
    for story in (
        kills_in_the_middle_of_commands,
        a_lock_that_was_sent_ends_after_a_kill,
        a_command_that_waits_for_its_bridge_ends_after_a_kill,
        an_end_whose_acknowledgement_is_lost_in_a_kill_stays_the_only_end,
        cuts_at_random_bytes,
    )
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, "asyncio.Task[None]"]]:
    """The stories that were selected, begun together: each of them mostly waits."""
    async with told_at_once(selected(request, STORIES), tmp_path_factory.mktemp("kills"), places=5) as tasks:
        yield tasks


@pytest.mark.parametrize("name", STORIES)
async def test_of(name: str, begun: dict[str, "asyncio.Task[None]"]) -> None:
    await begun[name]
