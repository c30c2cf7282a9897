"""A computer that runs the gateway: its clocks, its disk, and the one process that lives on it at a time.

A process is the real `Service` with the real `Gateway`; it can be killed at any moment, also in the middle of what it
is carrying out, and started again with what the disk holds.
"""

import asyncio
import contextvars
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nuki2mqtt.adapters.mqtt_link import Emit
from nuki2mqtt.adapters.state_codec import read_state
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.vocabulary import CallbackReceived, Memory, Moment, WebhookReceived
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.service import Service
from tests.storm.ports import (
    LONG_S,
    SeededEntropy,
    SimulatedClock,
    SimulatedDisk,
    SimulatedDoor,
    SimulatedFinder,
    SimulatedHttp,
    SimulatedLink,
)
from tests.storm.web_ports import SimulatedWeb, SimulatedWebhookDoor

if TYPE_CHECKING:
    from tests.storm.broker import Packet
    from tests.storm.world import World

BOOTED_S = 1000.0  # what the monotonic clock shows at the beginning
NEVER_S = 1e9
CURRENT: contextvars.ContextVar["Computer"] = contextvars.ContextVar("computer")


class Process:
    """One life of the gateway."""

    def __init__(self, computer: "Computer", number: int) -> None:
        self.number = number
        self.began = computer.world.now
        self.ended: float | None = None
        self.gateway: Gateway | None = None
        self.link: SimulatedLink | None = None
        self.door: SimulatedDoor | None = None
        self.webhook_door: SimulatedWebhookDoor | None = None
        self.task: asyncio.Task[None] | None = None


class Computer:
    """One host on the network; `is_alive` says whether a gateway runs on it."""

    def __init__(self, world: "World", name: str, host: str, settings: Settings, *, seed: str, secret: str) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.settings = settings
        self.seed = seed
        self.callback_secret = Secret(secret)
        self.client_id = f"nuki2mqtt-{name}"
        self.clock = SimulatedClock(self)
        self.entropy = SeededEntropy(f"{world.spec.seed}/{name}")
        self.state: bytes | None = None
        self.wall_offset_s = 0.0
        self.is_synchronised: bool | None = True
        self.full_disks = 0  # how many faults fill it
        self.disk_s = 0.002
        self.waits_until = 0.0  # its gateway waits for a slow disk, and so does what it has heard
        self.is_port_taken = False
        self.is_alive = False
        self.process: Process | None = None
        self.processes: list[Process] = []
        self.was_unclean = False
        self.dies_at: Callable[[str], bool] | None = None
        self.knocks: list[Callable[[], object]] = []  # callbacks that wait in the socket of a process that stands still
        self._stands_since = 0.0
        self._go_on: Callable[[], None] | None = None

    @property
    def is_standing_still(self) -> bool:
        """Whether it is suspended, or its process stopped."""
        return self._go_on is not None

    def moment(self) -> Moment:
        """What its clocks show."""
        wall = datetime.fromtimestamp(self.world.now + self.wall_offset_s, UTC)
        return Moment(BOOTED_S + self.world.elapsed, wall, self.is_synchronised)

    @property
    def inbox_size(self) -> int:
        """How many events wait in its service."""
        return self._service._inbox.qsize()

    def note_fault(self, kind: str) -> None:
        """A fault of this computer has taken effect."""
        self.world.note_hit(f"{kind} {self.name}")

    # --- Life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the gateway, if none runs."""
        if self.is_alive:
            return
        self.is_alive = True
        self.dies_at = None
        process = self.process = Process(self, len(self.processes))
        self.processes.append(process)
        paired = Memory(self.world.spec.pairings())
        memory = paired if self.state is None else read_state(self.state).memory
        identity = Identity(
            instance=self.seed,
            version="0.1.0",
            callback_secret=self.callback_secret,
            started=self.moment(),
            after_unclean_end=self.was_unclean,
            jitter=self.entropy.fraction(),
        )
        process.gateway = self.world.make_gateway(self, identity, memory)
        self.was_unclean = True
        service = Service(
            self.settings,
            process.gateway,
            client_id=self.client_id,
            state=SimulatedDisk(self),
            clock=self.clock,
            entropy=self.entropy,
            network=self,
            pairing_every_s=NEVER_S,
        )
        context = contextvars.copy_context()
        context.run(CURRENT.set, self)
        process.task = asyncio.get_running_loop().create_task(self._live(service, process), context=context)
        self._service = service

    async def _live(self, service: Service, process: Process) -> None:
        try:
            await service.run()
        except Exception as error:  # noqa: BLE001 - the worst that can happen to it is for the watch to judge
            if process.ended is None:
                self.world.watch.crashed(self, error)
        if process.ended is not None:
            return
        # A clean end: whoever was killed is cancelled and hardly ever gets here.
        process.ended = self.world.now
        self.is_alive = False
        self.was_unclean = False

    def kill(self) -> None:
        """kill -9, at this very moment."""
        process = self.process
        if not self.is_alive or process is None:
            return
        self.is_alive = False
        process.ended = self.world.now
        if process.link is not None:
            process.link.die()
        if self._go_on is not None:  # its steps that were due find themselves dead
            self._go_on()
            self._go_on = None
            self.knocks.clear()
        if process.task is not None:
            process.task.cancel()

    def stand_still(self) -> bool:
        """SIGSTOP, or the lid is closed: nothing of its process runs until `go_on`. Whether that makes a difference."""
        if not self.is_alive or self.is_standing_still:
            return False
        self._stands_since = self.world.now
        self._go_on = self.world.loop.hold(lambda context: context.get(CURRENT) is self)
        return True

    def go_on(self) -> int:
        """SIGCONT; gives how much came for it meanwhile."""
        process, go_on, knocks = self.process, self._go_on, self.knocks
        if go_on is None or process is None:
            return 0
        self._go_on, self.knocks = None, []
        waited = len(knocks)
        if process.link is not None:
            waited += process.link.wake_up(self.world.now - self._stands_since)
        go_on()
        for knock in knocks:
            knock()
        return waited

    def stop(self) -> None:
        """SIGTERM."""
        if self.is_alive:
            self._service.request_stop()

    # --- The network of its process -----------------------------------------------------------------------------------

    def mqtt(self, emit: Emit) -> SimulatedLink:
        """A link to the broker."""
        assert self.process is not None
        self.process.link = SimulatedLink(self, emit)
        return self.process.link

    def http(self) -> SimulatedHttp:
        """The way to Bridges."""
        return SimulatedHttp(self)

    def door(self, accept: Callable[[CallbackReceived], bool]) -> SimulatedDoor:
        """Where Bridges knock."""
        assert self.process is not None
        self.process.door = SimulatedDoor(self, accept)
        return self.process.door

    def finder(self) -> SimulatedFinder:
        """Who searches for Bridges."""
        return SimulatedFinder(self)

    def web(self) -> SimulatedWeb:
        """The way to the cloud."""
        return SimulatedWeb(self)

    def webhook_door(self, accept: Callable[[WebhookReceived], bool]) -> SimulatedWebhookDoor:
        """Where the cloud knocks."""
        assert self.process is not None
        self.process.webhook_door = SimulatedWebhookDoor(self, accept)
        return self.process.webhook_door

    # --- What its process does ----------------------------------------------------------------------------------------

    def note_published(self, packet: "Packet") -> None:
        """It is about to say this; it may die of it."""
        self.world.watch.said(self, packet)
        self._die_at(f"publish {packet.topic}")

    def note_handed_over(self, packet: "Packet") -> None:
        """The broker has it; it may die before it knows."""
        self._die_at(f"published {packet.topic}")

    def note_received(self, packet: "Packet") -> None:
        """This arrived at its link."""
        self.world.note_delivered(self, packet)

    def note_request(self, path: str) -> None:
        """Its request has arrived at a Bridge; it may die of it."""
        self._die_at(f"request {path}")

    def _die_at(self, what: str) -> None:
        if self.dies_at is not None and self.dies_at(what):
            self.world.note_hit(f"kill_at {self.name}")
            self.kill()


def thread_s() -> float:
    """How long what goes to a thread takes: writing the state file, on whatever disk the caller has."""
    computer = CURRENT.get(None)
    if computer is None:
        return 0.001
    if computer.disk_s > LONG_S:
        computer.waits_until = computer.world.now + computer.disk_s
    return computer.disk_s
