"""The service with real loopback parts: what fills up, hangs or fails, and how it ends."""

import asyncio
import contextlib
import itertools
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.adapters.heartbeat import Heartbeat
from nuki2mqtt.adapters.log_output import TALKATIVE
from nuki2mqtt.adapters.state_file import StateFile, write_pairing
from nuki2mqtt.errors import StateFileError
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgePaired,
    CallBridge,
    ConnectMqtt,
    Effect,
    Event,
    Level,
    Log,
    Memory,
    MemoryNotSaved,
    MemorySaved,
    Moment,
    MqttPublished,
    MqttSubscribed,
    Publish,
    Remember,
    Stop,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import InfoRequest
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.service import INBOX, StatePort
from nuki2mqtt.simulator.house import House, SimulatedLock
from tests.adapters.brokers import any_broker
from tests.stories.real.household import (
    TOKEN,
    GoingClock,
    Household,
    SteeredClock,
    WatchedGateway,
    household,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
LOCK_ID = 0x1A2B3C4D
HEALTH = "nuki2mqtt/gateway/health"


class SlowMemory:
    """A disk that can be made to hang or to fail."""

    def __init__(self) -> None:
        self.failure: StateFileError | None = None
        self.is_saving = threading.Event()
        self.saved: list[Memory] = []
        self._gate = threading.Event()
        self._gate.set()

    def hang(self) -> None:
        """Let the next save last until `go_on`."""
        self.is_saving.clear()
        self._gate.clear()

    def go_on(self) -> None:
        """End `hang`."""
        self._gate.set()

    def save(self, memory: Memory) -> None:
        self.is_saving.set()
        self._gate.wait(30)
        if self.failure is not None:
            raise self.failure
        self.saved.append(memory)

    def take_pairing(self) -> tuple[BridgePaired, ...]:
        return ()


class CountedHeartbeat(Heartbeat):
    """Only counts."""

    def __init__(self) -> None:
        super().__init__(Path("unused"))
        self.beats = 0

    def beat(self) -> bool:
        self.beats += 1
        return True


@asynccontextmanager
async def one_door(clock: SteeredClock, **options: Any) -> AsyncIterator[Household]:
    """A service that follows one lock."""
    house = House(now=clock.epoch())
    house.add(SimulatedLock(nuki_id=LOCK_ID, device_type=4, name="Front door", door=2))
    async with any_broker() as broker, household(broker, house, clock, **options) as one:
        yield one


def callback(number: int) -> bytes:
    """A callback whose battery level tells which one it is."""
    body = {
        "deviceType": 4,
        "nukiId": LOCK_ID,
        "mode": 2,
        "state": 1 if number % 2 else 3,
        "batteryChargeState": number,
    }
    return json.dumps(body).encode()


async def hang_in_saving(one: Household, memory: SlowMemory) -> None:
    """Let the service meet something worth keeping, while the disk hangs."""
    memory.hang()
    one.bridge.device(LOCK_ID).name = "Renamed"
    one.clock.at += timedelta(hours=1)
    await one.ear.publish("homeassistant/status", b"wake up")
    assert await asyncio.to_thread(memory.is_saving.wait, 10)


# --- The inbox ----------------------------------------------------------------------------------------------------


async def test_a_flood_of_callbacks_is_refused_and_survived() -> None:
    """While the disk hangs the inbox fills up; what does not fit gets 503, and nothing is lost afterwards."""
    memory = SlowMemory()
    async with one_door(SteeredClock(NOON), state=memory) as one:
        await one.begin()
        await hang_in_saving(one, memory)
        statuses: list[int] = []
        while statuses.count(503) < 20:
            assert len(statuses) < INBOX + 100
            statuses += await asyncio.gather(*(one.post(callback(number)) for number in range(1, 17)))
        assert set(statuses) == {200, 503}
        accepted = statuses.count(200)
        assert INBOX - 50 <= accepted <= INBOX
        assert statuses[:accepted] == [200] * accepted  # only when it is full
        memory.go_on()
        await one.poke()  # comes after all of them
        received = [event for event in one.gateway.events if type(event).__name__ == "CallbackReceived"]
        assert len(received) == accepted
        assert await one.post(callback(77)) == 200
        told = await one.ear.wait_for("nuki2mqtt/front_door", lambda said: said["battery"]["level"] == 77)
        assert told.payload["lock"] == "LOCKED"


async def test_a_stop_is_not_lost_in_a_full_inbox() -> None:
    """Container engines kill after 10 s."""
    memory = SlowMemory()
    async with one_door(SteeredClock(NOON), state=memory) as one:
        await one.begin()
        await hang_in_saving(one, memory)
        # The inbox takes a thousand, the arrivals before it as many again.
        for number in range(INBOX + 200):
            await one.ear.publish("homeassistant/status", b"flood %d" % number)
        one.service.request_stop()
        memory.go_on()
        try:
            await one.gateway.wait_until(lambda: one.gateway.has_stopped, timeout_s=5)
        finally:
            one.service.request_stop()


# --- Stopping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/info", "/callback/list", "/callback/remove"])
async def test_a_stop_does_not_wait_for_a_bridge_that_never_answers(path: str) -> None:
    """Before the first answer, and while the callback slot is given back."""
    async with one_door(GoingClock()) as one:
        if path == "/info":
            with one.bridge.faults.silent("/info"):
                await one.gateway.wait_until(lambda: any(isinstance(order, CallBridge) for order in one.gateway.orders))
                await ends_within_ten_seconds(one)
            return
        await one.begin()
        with one.bridge.faults.silent(path):
            await ends_within_ten_seconds(one)
        assert one.ear.said("nuki2mqtt/gateway/state") == ["online", "offline"]
        assert one.ear.said("nuki2mqtt/front_door/availability") == ["online", "offline"]


async def ends_within_ten_seconds(one: Household) -> None:
    begun = time.monotonic()
    one.service.request_stop()
    one.service.request_stop()  # an impatient person presses twice
    await one.gateway.wait_until(lambda: one.gateway.has_stopped, timeout_s=10)
    assert time.monotonic() - begun < 9
    await one.ear.barrier()


# --- The heartbeat ------------------------------------------------------------------------------------------------


async def test_a_call_that_hangs_stops_the_heartbeat() -> None:
    """Later than two minutes past its own limit: then only a restart helps."""
    heartbeat = CountedHeartbeat()
    async with one_door(SteeredClock(NOON), heartbeat=heartbeat) as one:
        await one.begin()
        assert heartbeat.beats > 0
        with one.bridge.faults.silent("/list"):
            one.clock.at += timedelta(hours=1)
            calls = sum(isinstance(order, CallBridge) for order in one.gateway.orders)
            await one.poke()
            await one.gateway.wait_until(
                lambda: sum(isinstance(order, CallBridge) for order in one.gateway.orders) > calls
            )
            one.clock.at += timedelta(seconds=130)
            before = heartbeat.beats
            await one.poke()
            await one.poke()
            assert heartbeat.beats > before  # within its limits it may take its time
            one.clock.at += timedelta(seconds=10)
            await one.poke()
            before = heartbeat.beats
            await one.poke()
            await one.poke()
            assert heartbeat.beats == before
            # The end is given to it by time alone: the limit of a stop.
            one.service.request_stop()
            await one.poke()
            one.clock.at += timedelta(seconds=10)
            await one.ear.publish("homeassistant/status", b"wake up")
            await one.gateway.wait_until(lambda: one.gateway.has_stopped)


# --- Effects ------------------------------------------------------------------------------------------------------


class Scripted(WatchedGateway):
    """Gives orders as written here, and notes what happened."""

    def begin(self) -> list[Effect]:
        self.seen: list[str] = []
        return [ConnectMqtt(None, ()), Log(Level.INFO, "first"), Log(Level.INFO, "second")]

    def next_deadline(self) -> float | None:
        return None

    def handle_timer(self, now: Moment) -> list[Effect]:  # noqa: ARG002
        return []

    def handle(self, event: Event, now: Moment) -> list[Effect]:  # noqa: ARG002
        self.seen.append(type(event).__name__)
        self._turned.set()
        match event:
            case MqttSubscribed():
                link = next(iter(self._following.links))
                call = CallBridge(link, 1, InfoRequest(), AuthMode.ENCRYPTED, Secret(TOKEN))
                return [say(1), Remember(Memory()), say(2), call, say(3), say(4)]
            case MqttPublished(4):
                return [Remember(Memory()), say(5)]
            case _:
                return (
                    [Stop()] if {"BridgeAnswered"} <= set(self.seen) and self.seen.count("MqttPublished") == 5 else []
                )


def say(number: int) -> Publish:
    return Publish(number, f"nuki2mqtt/said/{number}", b"%d" % number, 1, retain=False)


async def test_effects_are_carried_out_in_order(caplog: pytest.LogCaptureFixture) -> None:
    """What follows a `Remember` may rely on what is kept: a call must not be made before."""
    caplog.set_level(logging.INFO, "nuki2mqtt")
    memory = SlowMemory()
    memory.hang()
    async with one_door(SteeredClock(NOON), state=memory, kind=Scripted) as one:
        gateway = one.gateway
        assert isinstance(gateway, Scripted)
        assert await asyncio.to_thread(memory.is_saving.wait, 10)
        await one.ear.wait_for("nuki2mqtt/said/1")
        await one.ear.barrier()
        assert [said.payload for said in one.ear.heard] == [1]
        assert one.bridge.requests == []
        memory.go_on()
        await gateway.wait_until(lambda: gateway.has_stopped)
        await one.ear.barrier()
        assert [said.payload for said in one.ear.heard] == [1, 2, 3, 4, 5]
        assert [request.path for request in one.bridge.requests] == ["/info"]
        assert memory.saved == [Memory(), Memory()]
        assert [record.message for record in caplog.records if record.name == "nuki2mqtt"][:2] == ["first", "second"]


async def test_every_call_ends_in_an_answer() -> None:
    """Refused, reset, unreadable, a wrong token, and well again: the gateway always hears of it."""
    async with one_door(SteeredClock(NOON)) as one:
        await one.begin()
        faults = one.bridge.faults
        for fault in (
            faults.refuse_connections(),
            faults.reset_connections(),
            faults.garbage("/list", b"\xff"),
            faults.busy(),
            faults.refuse_token(),
        ):
            with fault:
                one.clock.at += timedelta(hours=1)
                await one.settle()
        one.clock.at += timedelta(hours=1)
        await one.settle()
        calls = [order.call_id for order in one.gateway.orders if isinstance(order, CallBridge)]
        answers = [event.call_id for event in one.gateway.events if isinstance(event, BridgeAnswered)]
        assert calls == answers
        kinds = [
            getattr(event.answer, "kind", "well") for event in one.gateway.events if isinstance(event, BridgeAnswered)
        ]
        in_order = [kind for kind, _ in itertools.groupby(kinds)]
        assert [str(kind) for kind in in_order if kind != "well"] == [
            "refused",
            "reset",
            "unreadable",
            "busy",
            "token_refused",
        ]
        assert in_order[-1] == "well"


@pytest.fixture
def log_levels() -> Iterator[None]:
    """Whatever the log level becomes, it is put back."""
    loggers = [logging.getLogger(name) for name in (None, *TALKATIVE)]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("log_levels")
async def test_the_log_level_is_changed_while_it_runs() -> None:
    request, response = "nuki2mqtt/gateway/request/log_level", "nuki2mqtt/gateway/response/log_level"
    async with one_door(SteeredClock(NOON)) as one:
        await one.begin()
        for level in ("debug", "error"):
            heard = len(one.ear.heard)
            await one.ear.publish(request, b'{"level":"%s","transaction":[1]}' % level.encode())
            said = await one.ear.wait_for(response, since=heard)
            assert said.payload == {"status": "ok", "data": {"level": level}, "transaction": [1]}
            assert logging.getLogger().level == logging.getLevelNamesMapping()[level.upper()]
        assert {logging.getLogger(name).level for name in TALKATIVE} == {logging.ERROR}


# --- Memory -------------------------------------------------------------------------------------------------------


async def test_a_disk_that_fails_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nuki2mqtt")
    memory = SlowMemory()
    memory.failure = StateFileError("/state cannot be written (No space left on device): free some space")
    async with one_door(SteeredClock(NOON), state=memory) as one:
        await one.begin()
        told = await one.ear.wait_for(HEALTH, lambda said: said["state_file"] is not None)
        assert told.payload["state_file"] == str(memory.failure)
        assert one.ear.said("nuki2mqtt/front_door/availability") == ["online"]  # it goes on without
        for _ in range(3):
            one.clock.at += timedelta(minutes=1)
            await one.settle()
        assert sum(isinstance(event, MemoryNotSaved) for event in one.gateway.events) >= 4
        assert [record.levelname for record in caplog.records if "free some space" in record.message] == ["ERROR"]

        memory.failure = None
        mark = len(one.ear.heard)
        one.clock.at += timedelta(minutes=1)
        await one.settle()
        assert any(isinstance(event, MemorySaved) for event in one.gateway.events)
        assert [str(key) for key in memory.saved[-1].devices] == ["1A2B3C4D"]
        one.clock.at += timedelta(minutes=1)
        await one.settle()
        assert one.ear.said(HEALTH, mark)[-1]["state_file"] is None


DOOR = "nuki2mqtt/front_door"


async def test_while_the_disk_hangs_what_is_seen_is_told_and_only_ends_wait() -> None:
    """A callback that comes then waits for its turn, and is as old as its arrival."""
    memory, clock = SlowMemory(), SteeredClock(NOON)
    async with one_door(clock, state=memory) as one:
        await one.begin()
        clock.at += timedelta(seconds=30)
        await one.ear.publish(f"{DOOR}/set", b'{"action":"unlock","transaction":"a1"}')
        await one.ear.wait_for(DOOR, lambda said: said["derived"])
        await one.poke()
        memory.hang()
        assert await one.post(callback(2)) == 200
        told = await one.ear.wait_for(f"{DOOR}/event")
        await one.ear.wait_for(DOOR, lambda said: said["lock"] == "UNLOCKED")
        assert await asyncio.to_thread(memory.is_saving.wait, 10)
        assert told.payload["to"] == "unlocked"
        assert [said["status"] for said in one.ear.said(f"{DOOR}/result")] == ["accepted"]

        assert await one.post(callback(1)) == 200
        clock.at += timedelta(seconds=20)
        memory.go_on()
        end = await one.ear.wait_for(f"{DOOR}/result", lambda said: said["status"] == "confirmed")
        late = await one.ear.wait_for(f"{DOOR}/event/late")
        assert end.payload["transaction"] == "a1"
        assert late.payload["to"] == "locked"
        assert [said["to"] for said in one.ear.said(f"{DOOR}/event")] == ["unlocked"]


async def test_a_failure_is_told_while_the_disk_hangs_and_its_result_when_it_is_kept() -> None:
    memory, clock = SlowMemory(), SteeredClock(NOON)
    async with one_door(clock, state=memory) as one:
        await one.begin()
        clock.at += timedelta(seconds=30)
        await one.ear.publish(f"{DOOR}/set", b"unlock")
        await one.ear.wait_for(DOOR, lambda said: said["derived"])
        await one.poke()
        memory.hang()
        assert await one.post(callback(1).replace(b'"state": 1', b'"state": 254')) == 200
        told = await one.ear.wait_for(f"{DOOR}/event", lambda said: said["event_type"] == "command_failed")
        assert told.payload["reason"] == "motor_blocked"
        assert [said["status"] for said in one.ear.said(f"{DOOR}/result")] == ["accepted"]
        clock.at += timedelta(seconds=20)
        memory.go_on()
        await one.ear.wait_for(f"{DOOR}/result", lambda said: said["status"] == "failed")


async def test_a_failed_save_is_told_though_the_inbox_is_full() -> None:
    memory = SlowMemory()
    async with one_door(SteeredClock(NOON), state=memory) as one:
        await one.begin()
        await hang_in_saving(one, memory)
        memory.failure = StateFileError("/state cannot be written")
        while await one.post(callback(1)) == 200:
            pass
        memory.go_on()
        await one.poke()
        one.clock.at += timedelta(minutes=2)
        await one.poke()
        await one.ear.wait_for(HEALTH, lambda said: said["state_file"] == str(memory.failure), timeout_s=5)


async def test_a_pairing_that_is_left_for_it_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder in the file's place is told once; the token that comes then is taken within seconds."""
    caplog.set_level(logging.INFO, "nuki2mqtt")
    (tmp_path / "pairing.json").mkdir()
    with StateFile(tmp_path) as state:
        state.open()
        async with one_door(GoingClock(), token="", state=state) as one:
            health = await one.ear.wait_for(HEALTH)
            assert health.payload["needs_pairing"] is True
            assert one.bridge.requests == []
            told = [record.message for record in caplog.records if "cannot be taken" in record.message]
            assert len(told) == 1
            (tmp_path / "pairing.json.taken").rmdir()
            link = health.payload["bridges"][0]["address"]
            write_pairing(tmp_path, BridgePaired(link, Secret(TOKEN)))
            await one.ear.wait_for("nuki2mqtt/front_door/availability", lambda said: said == "online")
            await one.ear.wait_for(HEALTH, lambda said: said["needs_pairing"] is False)
            assert not (tmp_path / "pairing.json").exists()
            assert len([record for record in caplog.records if "cannot be taken" in record.message]) == 1
            await one.begin()
    kept: StatePort = StateFile(tmp_path)
    assert isinstance(kept, StateFile)
    with contextlib.closing(kept):
        (known,) = kept.open().memory.bridges.values()
        assert known.token == Secret(TOKEN)
        assert str(known.bridge_id) == "0A1B2C3D"
