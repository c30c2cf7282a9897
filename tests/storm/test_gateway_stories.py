"""The stories of the gateway, told to the broker in memory in virtual time."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedDevice, SimulatedLock, SimulatedOpener
from tests.storm.broker import Filter, Line, MemoryBroker, Packet, Taken
from tests.storm.cloud import WebCall
from tests.storm.computer import Computer, thread_s
from tests.storm.gateway_stories import STORIES, TIMING, Story, settings_of, spec_of
from tests.storm.keypad_people import CodeOrder
from tests.storm.people import Order
from tests.storm.virtual_loop import VirtualLoop
from tests.storm.world import Call, World

PATIENCE_S = 30.0
LOOK_S = 0.01
SETTLE_S = 0.05  # many times the latency of the broker


class Listener:
    """A watch that judges nothing; it keeps the log and what must not happen."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.crashes: list[BaseException] = []

    def logged(self, text: str) -> None:
        self.log.append(text)

    def crashed(self, _computer: Computer, error: BaseException) -> None:
        self.crashes.append(error)

    def ordered(self, order: Order) -> None: ...
    def code_ordered(self, order: CodeOrder) -> None: ...
    def call_began(self, call: Call) -> None: ...
    def call_arrived(self, call: Call) -> None: ...
    def call_ended(self, call: Call) -> None: ...
    def said(self, computer: Computer, packet: Packet) -> None: ...
    def taken(self, taken: Taken) -> None: ...
    def delivered(self, computer: Computer, packet: Packet) -> None: ...
    def called_back(
        self, computer: Computer | None, bridge: SimulatedBridge, body: bytes, status: int, *, is_forged: bool
    ) -> None: ...
    def web_began(self, call: WebCall) -> None: ...
    def web_arrived(self, call: WebCall) -> None: ...
    def web_ended(self, call: WebCall) -> None: ...
    def hooked(self, computer: Computer, body: bytes, status: int, *, is_forged: bool) -> None: ...
    def changed(self, device: SimulatedDevice) -> None: ...


class GatedBroker(MemoryBroker):
    """Nobody of this name finds a way to it."""

    barred: str | None = None

    def connect(self, client_id: str, **options: Any) -> Line:
        if client_id == self.barred:
            raise ConnectionRefusedError("there is no way")
        return super().connect(client_id, **options)


class MemoryStage:
    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.heard: list[Packet] = []
        self.watch = Listener()
        self.log = self.watch.log
        spec = spec_of(protocol)
        self.world = World(spec, self.watch)
        self.broker = self.world.broker = GatedBroker(lambda: self.world.now, self.world.later)
        for computer in self.world.computers:
            computer.settings = settings_of(spec)
        self.bridge = self.world.bridges[0]
        self.bridge.timing = TIMING
        lock, bell = self.world.devices["front_door"], self.world.devices["bell"]
        assert isinstance(lock, SimulatedLock)
        assert isinstance(bell, SimulatedOpener)
        self.lock, self.bell = lock, bell
        self._ear = self._listen(self.heard)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.world.now, UTC)

    # --- gateways ---

    async def start(self) -> None:
        self.world.main.start()

    async def kill(self) -> None:
        self.world.main.kill()
        await asyncio.sleep(SETTLE_S)

    async def stop(self) -> None:
        self.world.main.stop()
        await self.until(lambda: not self.world.main.is_alive, "the gateway ends")

    async def start_other(self) -> None:
        self.world.other.start()

    async def kill_other(self) -> None:
        self.world.other.kill()
        await asyncio.sleep(SETTLE_S)

    def lose_state(self) -> None:
        self.world.main.state = None

    async def cut(self) -> None:
        process = self.world.main.process
        assert process is not None
        assert process.link is not None
        assert process.link.line is not None
        self.broker.barred = self.world.main.client_id
        process.link.line.cut()

    async def mend(self) -> None:
        self.broker.barred = None

    # --- the broker ---

    async def stop_broker(self, *, keeps: bool) -> None:
        self.broker.stop(keep_retained=keeps, keep_sessions=keeps, says_wills=keeps)

    async def start_broker(self) -> None:
        self.broker.barred = self.world.main.client_id
        self.broker.start()
        self._ear = self._listen(self.heard)
        await asyncio.sleep(SETTLE_S)

    async def publish(self, packet: Packet) -> None:
        self._ear.publish(packet)

    async def kept(self) -> Mapping[str, Packet]:
        await asyncio.sleep(SETTLE_S)
        told: list[Packet] = []
        newcomer = self._listen(told, "newcomer")
        await asyncio.sleep(SETTLE_S)
        newcomer.disconnect()
        return {packet.topic: packet for packet in told}

    def _listen(self, heard: list[Packet], name: str = "somebody") -> Line:
        line = self.broker.connect(name, deliver=heard.append, lost=lambda _reason: None)
        line.subscribe(Filter("#", 1, retain_as_published=True))
        return line

    # --- the house, and time ---

    async def happens(self, do: Callable[[], None]) -> None:
        self.world.house.advance(self.world.now)
        do()
        await asyncio.sleep(SETTLE_S)

    async def until(self, is_so: Callable[[], object], what: str) -> None:
        limit = self.world.elapsed + PATIENCE_S
        while not is_so():
            assert self.world.elapsed < limit, f"it did not come to be: {what}"
            await asyncio.sleep(LOOK_S)

    async def passes(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def lasts(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        for computer in self.world.computers:
            computer.kill()
        tasks = [one.task for computer in self.world.computers for one in computer.processes if one.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        self.world.close()


async def tell(story: Story) -> None:
    stage = MemoryStage(story.protocol)
    try:
        await story.tell(stage)
    finally:
        await stage.close()
    assert stage.watch.crashes == []


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_story(story: Story) -> None:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(thread_s)) as runner:
        runner.run(tell(story))
