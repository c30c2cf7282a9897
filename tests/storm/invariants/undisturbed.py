"""(14) What is wrong with the cloud delays nothing local: not the start, not a command, not what the Bridges say.

Judged where nothing else is wrong: only faults of the cloud have been on for a while. That states are right after the
last fault is for (3), whose patience knows nothing of the cloud.
"""

from typing import NamedTuple

from tests.storm.broker import Packet, Taken
from tests.storm.computer import Computer
from tests.storm.faults import KINDS
from tests.storm.invariants.invariant import Invariant
from tests.storm.people import Order
from tests.storm.spec import BASE
from tests.storm.world import Call

QUIET_S = 120.0  # since the last local fault, with all that it has left
START_S = 8.0  # a first request waits 2 s after an unclean end
ANSWERED_S = 25.0  # behind another command, or a look


class _Waiting(NamedTuple):
    order: Order
    at: float
    process: int


class NothingLocalWaits(Invariant):
    """Times the first request of a process, and the first word on each command for a device that a Bridge knows."""

    name = "14"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.timed = 0
        self._local_at = self.world.now  # when something local was wrong last
        self._asked: set[int] = set()
        self._waiting: list[_Waiting] = []

    def _is_quiet(self) -> bool:
        if any(not KINDS[episode.kind].is_of_cloud for episode, _ in self.stage.ends.values()):
            self._local_at = self.world.now
        return self.world.now - self._local_at > QUIET_S

    def call_began(self, call: Call) -> None:
        if call.computer is self.world.main:
            self._asked.add(call.process)

    def delivered(self, computer: Computer, packet: Packet) -> None:
        levels = packet.topic.split("/")
        if computer is not self.world.main or computer.process is None or levels[2:] != ["set"] or not packet.payload:
            return
        order = self.stage.people.meant(packet)
        if order is None or order.key is None or not self._is_quiet() or not self.stage.is_connected:
            return
        if self.world.is_bridged(self.world.devices[order.device].nuki_id):
            self.timed += 1
            self._waiting.append(_Waiting(order, self.world.now, computer.process.number))

    def taken(self, taken: Taken) -> None:
        if taken.packet.topic.endswith("/result") and taken.packet.topic.startswith(f"{BASE}/"):
            self._look()

    def ticked(self) -> None:
        is_quiet = self._is_quiet()
        self._look()
        process = self.world.main.process
        if process is None or not self.world.main.is_alive or process.number in self._asked or not is_quiet:
            return
        if self.world.now - process.began > START_S:
            self.fail(f"a process of {self.world.now - process.began:.0f} s ago has asked no Bridge yet")

    def _look(self) -> None:
        now, still = self.world.now, []
        for one in self._waiting:
            process = self.world.main.process
            is_over = process is None or process.number != one.process or not self.world.main.is_alive
            is_heard = any(end[0] >= one.at for end in one.order.ends) or any(
                call.began >= one.at for call in one.order.calls
            )
            is_heard = is_heard or any(b'"joined"' in said for said in one.order.acceptances)  # it goes with another
            if is_over or is_heard or not self._is_quiet():
                continue
            if now - one.at > ANSWERED_S:
                self.fail(f"order {one.order.key} ({one.order.action}) of {now - one.at:.0f} s ago has gone nowhere")
                continue
            still.append(one)
        self._waiting = still
