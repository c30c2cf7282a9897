"""(5) No event is lost while the broker is away, none older than 10 s is on `event`, each ring is told once.

What must be told is read from the callbacks that a gateway took: two in a row with different states are a change, and
a callback with a new ring is a ring. So are two answers of `/list` in a row, where nobody else has spoken.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from nuki2mqtt.simulator.bridge import SimulatedBridge
from tests.storm.broker import Taken
from tests.storm.computer import Computer
from tests.storm.invariants.invariant import Invariant
from tests.storm.invariants.reports import OLDER_S, SKEWED_S, Reports
from tests.storm.spec import BASE
from tests.storm.world import Call

LATE_S = 10.0
RING_S = 60.0  # a ring first seen so long after it goes to `event/late` (docs/topics.md, "Device")
ROUNDING_S = 2.0  # times in messages are whole seconds, and a message is on its way for a moment
CLOCK_S = 400.0  # what a wrong clock may have left in the mapping of times
_FINAL = frozenset({1, 3})


@dataclass(frozen=True, slots=True)
class _Owed:
    """Something that must be told, seen by this process at this time."""

    at: float
    computer: Computer
    process: int
    device: str
    kind: str  # "ring" or a state's number
    since: float


class EventsAreTold(Invariant):
    """Compares what was on `event` and `event/late` with what was seen."""

    name = "5"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.told = self.late = 0
        self._told_rings: dict[str, float] = {}  # when the last one was told, by device
        self._told_states: dict[tuple[str, str], float] = {}  # the same of each state, however long ago
        self._rings: dict[str, tuple[float, bytes, str]] = {}
        self._owed: list[_Owed] = []
        self._last: dict[str, tuple[float, Computer, int, int]] = {}
        self._last_ring: dict[str, str] = {}
        self._reported: set[tuple[str, int, int]] = set()
        self._clock_wrong_at = float("-inf")
        self._names = {device.nuki_id: name for name, device in self.world.devices.items()}
        self._reports = Reports()

    # --- What is told -------------------------------------------------------------------------------------------------

    def taken(self, taken: Taken) -> None:
        packet, levels = taken.packet, taken.packet.topic.split("/")
        if levels[0] != BASE or len(levels) < 3 or levels[2] != "event" or levels[1] not in self.world.devices:
            return
        if packet.retain or packet.qos != 1:
            self.fail(f"an event with retain {packet.retain} and QoS {packet.qos} on {packet.topic}")
        event = json.loads(packet.payload)
        is_late = levels[3:] == ["late"]
        self.told += not is_late
        self.late += is_late
        if "to_code" in event:
            self._told_states[levels[1], str(event["to_code"])] = taken.at
        age_s = taken.at - _epoch(event["at"])
        limit_s = RING_S if event["event_type"] == "ring" else LATE_S
        is_of_now = not is_late and event["source"] in {"callback", "command"} and not self._is_clock_wrong()
        if is_of_now and age_s > limit_s + ROUNDING_S:
            self.fail(f"{packet.topic} tells {event['event_type']} {age_s:.0f} s after it was seen")
        if event["event_type"] == "ring":
            self._told_rings[levels[1]] = taken.at
            self._check_ring(levels[1], str(event["ring"]), taken, is_late=is_late)

    def _check_ring(self, device: str, ring: str, taken: Taken, *, is_late: bool) -> None:
        key = f"{device} {ring}"
        told_at, payload, told_by = self._rings.get(key, (None, b"", ""))
        # What the broker did not acknowledge is said again as it was, and only where no automation acts on it. What
        # another gateway has told, whose place this one takes back, nobody can know: both were called back.
        is_young = told_at is not None and taken.at - told_at <= LATE_S + ROUNDING_S
        is_of_another = told_by != taken.client_id and (is_late or is_young)
        is_same_again = is_of_another or (is_late and payload == taken.packet.payload)
        if told_at is not None and not is_same_again:
            self.fail(f"the ring of {ring} is told again, {taken.at - told_at:.0f} s later")
        self._rings[key] = taken.at, taken.packet.payload, taken.client_id
        if self._is_clock_wrong():
            return
        rang = _epoch(ring)
        began = self._running_since(taken)
        if began is not None and rang < began - ROUNDING_S - 3:
            self.fail(f"a ring of {began - rang:.0f} s before the start is told")

    def _running_since(self, taken: Taken) -> float | None:
        for computer in self.world.computers:
            if computer.client_id == taken.client_id and computer.process is not None:
                return computer.process.began
        return None

    def _is_clock_wrong(self) -> bool:
        is_wrong = any(computer.wall_offset_s for computer in self.world.computers) or any(
            bridge.faults.clock_skew_s for bridge in self.world.bridges
        )
        if is_wrong:
            self._clock_wrong_at = self.world.now
        return self.world.now - self._clock_wrong_at < CLOCK_S

    def ticked(self) -> None:
        self._is_clock_wrong()

    # --- What is seen -------------------------------------------------------------------------------------------------

    def called_back(
        self,
        computer: Computer | None,
        bridge: SimulatedBridge,  # noqa: ARG002
        body: bytes,
        status: int,
        *,
        is_forged: bool,
    ) -> None:
        self._reports.hear_callback(computer, body, status)
        if computer is None or computer.process is None or status != 200:
            return
        report = json.loads(body)
        name = next((name for name, one in self.world.devices.items() if one.nuki_id == report["nukiId"]), None)
        if name is None:
            return
        now, life = self.world.now, (computer, computer.process.number)
        seen = (computer.name, computer.process.number, int(report["nukiId"]))
        # The first report of a process makes no event (docs/topics.md, "Device").
        if seen in self._reported and computer is self.world.main:
            last = self._last.get(name)
            if last is not None and last[1:3] == life and last[3] != report["state"]:
                self._owed.append(_Owed(now, *life, name, str(report["state"]), last[0]))
            ring = report.get("ringactionTimestamp")
            is_new = report.get("ringactionState") is True and self._last_ring.get(name) != ring and not is_forged
            if is_new and not self._is_clock_wrong() and _epoch(ring) > computer.process.began:
                self._owed.append(_Owed(now, *life, name, "ring", now - 60.0))
        if report.get("ringactionTimestamp"):
            self._last_ring[name] = report["ringactionTimestamp"]
        self._last[name] = (now, *life, int(report["state"]))
        self._reported.add(seen)

    def call_ended(self, call: Call) -> None:
        if call.computer.is_alive and call.entries:
            self._reported |= {(call.computer.name, call.process, nuki_id) for nuki_id in call.entries}
            if call.computer is self.world.main and call.is_answered:
                self._compare(call)
        self._reports.hear_call(call)

    def _compare(self, call: Call) -> None:
        """Two states in a row of one Bridge are a change, where no other source said another one or speaks since."""
        source = f"/list {call.host}"
        if self._is_clock_wrong() or self.world.now - self._clock_wrong_at < SKEWED_S:
            return
        for nuki_id, entry in call.entries.items():
            words = self._reports.of(call.computer, call.process, nuki_id)
            if entry is None or source not in words or nuki_id not in self._names:
                continue
            former = words[source][-1]
            others = [heard[-1] for name, heard in words.items() if name != source]
            is_agreed = all(one.state == former.state and one.at < former.at - OLDER_S for one in others)
            was_followed = any(until >= former.at for _, until in self.stage.second_gateways)
            if former.state != entry["state"] and is_agreed and not was_followed:
                state = str(entry["state"])
                self._owed.append(
                    _Owed(self.world.now, call.computer, call.process, self._names[nuki_id], state, former.at)
                )

    # --- At rest ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        for owed in self._owed:
            process = owed.computer.processes[owed.process]
            if process.ended is not None and process.ended < self.world.now:
                continue  # what it knew died with it
            if self.stage.had_second_gateway(owed.at):
                continue
            if not self._is_told(owed):
                self.fail(f"{owed.device}: {owed.kind} seen {self.world.now - owed.at:.0f} s ago was never told")
        self._owed.clear()
        limit = self.world.now - 3600.0
        self._rings = {key: told for key, told in self._rings.items() if told[0] >= limit}

    def _is_told(self, owed: _Owed) -> bool:
        is_ring = owed.kind == "ring"
        told = self._told_rings.get(owed.device) if is_ring else self._told_states.get((owed.device, owed.kind))
        return told is not None and told >= owed.since


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
