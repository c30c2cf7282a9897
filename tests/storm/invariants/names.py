"""(13) Nobody is named who has not done it, and nothing is told twice.

The house knows who it was: whoever orders or turns is witnessed. Each `attributed` must be of a deed of his, and who
the snapshot names at rest must have done what was done last.
"""

import json
from collections import deque
from datetime import datetime
from typing import Any, NamedTuple

from nuki2mqtt.simulator.doer import Doer
from nuki2mqtt.simulator.house import SimulatedDevice
from nuki2mqtt.simulator.web_faults import CloudFaultName
from tests.storm.broker import Taken
from tests.storm.cloud import CloudSite
from tests.storm.invariants.invariant import Invariant
from tests.storm.spec import BASE

DATED_S = 1.5  # times are told in whole seconds
CLOCK_S = 900.0  # what a lock's clock that was just set may have left
REST_S = 200.0  # the log is read for the last time 90 s after a change
LOST_S = 300.0
MOST_DEEDS = 2000
WORDS = {1: "unlock", 2: "lock", 3: "unlatch", 4: "lock_n_go", 5: "lock_n_go_unlatch"}
BELL_WORDS = {1: "activate_rto", 2: "deactivate_rto", 3: "electric_strike", 4: "activate_cm", 5: "deactivate_cm"}


class Deed(NamedTuple):
    """Somebody was about to do this; `action` is None where he turned it by hand."""

    at: float
    nuki_id: int
    action: int | None
    doer: Doer
    skew_s: float


class NobodyElseIsNamed(Invariant):
    """Compares names with what the house has seen."""

    name = "13"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.attributed = self.refused = 0
        self._deeds: deque[Deed] = deque(maxlen=MOST_DEEDS)
        self._changed: dict[int, tuple[int, float]] = {}  # the state of a device, and since when it is another one
        self._told: dict[tuple[str, ...], tuple[int, bytes]] = {}
        self._lost_at = float("-inf")
        self.world.house.witnesses.add(self._witness)

    @property
    def _site(self) -> CloudSite:
        assert self.world.cloud is not None
        return self.world.cloud

    def _witness(self, device: SimulatedDevice, action: int | None, doer: Doer) -> None:
        skew_s = self._site.clocks.get(device.nuki_id, 0.0)
        self._deeds.append(Deed(self.world.house.now, device.nuki_id, action, doer, skew_s))
        if self._site.cloud.faults.is_on(CloudFaultName.LOST_LOG, nuki_id=device.nuki_id):
            self._lost_at = self.world.now

    def changed(self, device: SimulatedDevice) -> None:
        if self._changed.get(device.nuki_id, (None, 0.0))[0] != device.state:
            self._changed[device.nuki_id] = device.state, self.world.now

    def taken(self, taken: Taken) -> None:
        packet, levels = taken.packet, taken.packet.topic.split("/")
        if levels[0] != BASE or levels[2:3] != ["event"] or levels[1] not in self.world.devices:
            return
        event = json.loads(packet.payload)
        nuki_id = self.world.devices[levels[1]].nuki_id
        match event["event_type"]:
            case "attributed":
                self.attributed += 1
                self._check_once(taken, levels[1], event)
                self._check_attributed(levels[1], nuki_id, event)
            case "code_refused":
                self.refused += 1
                self._check_once(taken, levels[1], event)
                self._check_refused(levels[1], nuki_id, event)
            case _:
                pass

    def _check_once(self, taken: Taken, device: str, event: dict[str, Any]) -> None:
        key = tuple(str(part) for part in (device, event["event_type"], event["at_of"], event["actor"], event["via"]))
        process = self.world.main.process
        life = -1 if process is None else process.number
        former = self._told.get(key)
        # What the broker has not acknowledged is said again as it was.
        if former is not None and former != (life, taken.packet.payload) and not self._is_several(nuki=device, key=key):
            self.fail(f"{device}: {event['event_type']} of {event['at_of']} is told twice")
        self._told[key] = life, taken.packet.payload
        while len(self._told) > MOST_DEEDS:
            del self._told[next(iter(self._told))]

    def _is_several(self, nuki: str, key: tuple[str, ...]) -> bool:
        """Whether several such things have happened within a second."""
        at, nuki_id = _epoch(key[2]), self.world.devices[nuki].nuki_id
        deeds = [one for one in self._deeds if one.nuki_id == nuki_id and abs(one.at + one.skew_s - at) <= DATED_S]
        tries = [one for one in self._site.refused if one[0] == nuki_id and abs(one[1] - at) <= 2 * DATED_S]
        return max(len(deeds), len(tries)) > 1

    def _check_attributed(self, device: str, nuki_id: int, event: dict[str, Any]) -> None:
        if event["at_of"] is None or self._is_clock_moving() or event["trigger"] == "automatic":
            return  # what a lock does by itself has no witness
        at = _epoch(event["at_of"])
        deeds = [one for one in self._deeds if one.nuki_id == nuki_id and abs(one.at + one.skew_s - at) <= DATED_S]
        words = BELL_WORDS if device == "bell" else WORDS
        fits = [one for one in deeds if one.action is None or words.get(one.action) == event["action"]]
        if not fits:
            self.fail(f"{device}: {event['action']} at {event['at_of']} is attributed, and nobody did that then")
        elif event["actor"] is not None and not any(event["actor"] in self._names(one) for one in fits):
            who = [one.doer.name for one in fits]
            self.fail(f"{device}: {event['action']} is attributed to {event['actor']!r}, and it was {who}")

    def _check_refused(self, device: str, nuki_id: int, event: dict[str, Any]) -> None:
        if event["at_of"] is None or self._is_clock_moving():
            return
        at, skew_s = _epoch(event["at_of"]), self._site.clocks.get(nuki_id, 0.0)
        if not any(one == nuki_id and abs(when + skew_s - at) <= 2 * DATED_S for one, when in self._site.refused):
            self.fail(f"{device}: a code was refused at {event['at_of']}, and nobody typed one then")

    def _names(self, deed: Deed) -> set[str]:
        """What he is called: in the log, and in the list of authorizations."""
        stored = self._site.cloud.known(deed.nuki_id).memory.stored
        number = deed.doer.number
        return {deed.doer.name} | ({stored[number].name} if number is not None and number in stored else set())

    def _is_clock_moving(self) -> bool:
        return self.world.now - self._site.clock_changed_at < CLOCK_S

    # --- At rest ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        for name, device in self.world.devices.items():
            payload = self.world.retained(f"{BASE}/{name}")
            snapshot = json.loads(payload) if payload else {}
            if snapshot.get("actor") is not None:
                self._check_last(name, device.nuki_id, snapshot["actor"])

    def _check_last(self, name: str, nuki_id: int, actor: str) -> None:
        deeds = [one for one in self._deeds if one.nuki_id == nuki_id]
        now = self.world.now
        is_muddled = self._is_clock_moving() or now - self._lost_at < LOST_S
        if not deeds or now - deeds[-1].at < REST_S or is_muddled:
            return
        _, changed_at = self._changed.get(nuki_id, (0, 0.0))
        # Who did the last thing, and who did it when the state became another one: what changes nothing is not seen.
        last = [one for one in deeds if one.at <= changed_at][-1:] + [one for one in deeds if one.at > changed_at]
        if deeds[-1].at < changed_at - 60.0:
            return
        if not any(actor in self._names(one) for one in last):
            self.fail(f"{name} names {actor!r}, and it was {[one.doer.name for one in last]}")


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
