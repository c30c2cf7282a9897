"""(11) Keypad codes become as wanted, or it is said why not; strangers' codes stay; no more syncs than the budget has.

What is wanted is read from the orders that were said to be taken, in the order in which they were delivered; what is so
from the memory of the simulated locks. It takes patience: a write in vain is looked for, and repeated after an hour.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from nuki2mqtt.simulator.keypad import KEYPAD_CODE, StoredAuth
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_faults import Write
from tests.storm.broker import Packet, Taken
from tests.storm.cloud import CloudSite, WebCall
from tests.storm.computer import Computer
from tests.storm.invariants.invariant import Invariant
from tests.storm.keypad_people import ENDS, CodeOrder, Told, Wanted
from tests.storm.people import Delivery
from tests.storm.spec import BASE

PATIENCE_S = 3.5 * 3600.0  # a refusal is tried again after an hour, and so is a write; with what lies between
LONG_PATIENCE_S = 34 * 3600.0  # the daily sync shows ghosts, an audit of six hours finds that, and then the same
SYNC_EVERY_S = 6 * 3600.0
ROUNDING_S = 30.0
PHASES = frozenset({"create_pending", "update_pending", "delete_pending", "refused"}) | ENDS
_FIELDS = frozenset({"allowedFromDate", "allowedUntilDate", "allowedWeekDays", "allowedFromTime", "allowedUntilTime"})
_WRITES = frozenset({"PUT", "POST", "DELETE"})
REPEATED_S = 600.0  # a repeat is known for so long
STARTED_S = 120.0  # the first word is said within this, when nothing is in the way


@dataclass(eq=False)
class _Chain:
    """The orders for one code, one after the other, and all `names` that it had.

    `is_certain`: nobody doubts which of them were taken, nor that who is to make them true knows of them.
    """

    wanted: Wanted | None = None
    last: CodeOrder | None = None
    is_certain: bool = True
    names: set[str] = field(default_factory=set)


class CodesConverge(Invariant):
    """Compares locks with orders when all has been calm for long, and every write at once."""

    name = "11"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.outcomes: Counter[str] = Counter()
        self.judged = 0
        self._writing: dict[int, WebCall] = {}
        self._synced: dict[tuple[int, Computer], tuple[float, int]] = {}
        self._arrived: list[tuple[CodeOrder, Delivery]] = []
        self._clock_wrong_at = float("-inf")
        self._ghosts: dict[int, float] = {}  # when the cloud last listed what the lock does not have, by device

    @property
    def _site(self) -> CloudSite:
        assert self.world.cloud is not None
        return self.world.cloud

    # --- What is ordered and said -------------------------------------------------------------------------------------

    def delivered(self, computer: Computer, packet: Packet) -> None:
        if not packet.topic.endswith("/keypad/set") or computer.process is None or not packet.payload:
            return
        order = self.stage.keypad_people.meant(packet)
        if order is not None:
            delivery = Delivery(
                self.world.now, computer, computer.process.number, packet.retain, computer.wall_offset_s
            )
            order.deliveries.append(delivery)
            self._arrived.append((order, delivery))

    def taken(self, taken: Taken) -> None:
        packet, levels = taken.packet, taken.packet.topic.split("/")
        if levels[0] != BASE or levels[2:] != ["keypad", "result"]:
            return
        if packet.retain or packet.qos != 1:
            self.fail(f"a result of a keypad with retain {packet.retain} and QoS {packet.qos}")
        result = json.loads(packet.payload)
        phase, reason = str(result["phase"]), result["reason"]
        if phase not in PHASES:
            self.fail(f"a result with the phase {phase}")
        self.outcomes[f"{phase} {reason or ''}".strip()] += 1
        order = self.stage.keypad_people.orders.get(str(result["transaction"]))
        if order is None:
            return
        order.words.append(Told(taken.at, phase, reason, packet.payload))
        if phase != "refused" and not order.is_valid:
            self.fail(f"the order {order.key} ({order.op}) breaks a rule, and was taken: {phase}")
        if phase != "refused" and not order.live:
            self.fail(f"the order {order.key} ({order.op}) was retained, and was taken: {phase}")
        if phase in {"failed", "needs_review", "refused"} and not reason:
            self.fail(f"the order {order.key} ({order.op}) is {phase}, and nobody says why")
        # Orders are repeated after ends that the broker has; each end of one that was taken once is the same.
        ends = {word.payload for word in order.ends}
        if len(ends) > max(1, len(order.deliveries) - order.refusals) and not self._is_forgiven(order):
            words = [word[1:3] for word in order.ends]
            self.fail(f"the order {order.key} ({order.op}) has the ends {words}")

    # --- On the wire --------------------------------------------------------------------------------------------------

    def ticked(self) -> None:
        if any(computer.wall_offset_s for computer in self.world.computers):
            self._clock_wrong_at = self.world.now
        for known in self._site.names.values():
            if any(one.is_ghost for one in known.auths):
                self._ghosts[known.nuki_id] = self.world.now

    def web_began(self, call: WebCall) -> None:
        nuki_id = call.nuki_id
        if nuki_id is None or call.method not in _WRITES or "auth" not in call.levels:
            return
        other = self._writing.get(nuki_id)
        if other is not None and other.ended is None and other.computer is call.computer:
            self.fail(f"two writes at a time at the keypad of {nuki_id:08X}")
        self._writing[nuki_id] = call

    def web_arrived(self, call: WebCall) -> None:
        if call.nuki_id is None or call.method not in _WRITES:
            return
        if call.levels[2:] == ["sync"]:
            self._check_sync(call, call.nuki_id)
        elif "auth" in call.levels:
            self._check_write(call, self._known(call.nuki_id))

    def _check_sync(self, call: WebCall, nuki_id: int) -> None:
        if not any(one.kind is Write.SYNC for one in call.promised):
            return
        # Another gateway has a state file, and so a budget, of its own.
        now, former = self.world.now, self._synced.get((nuki_id, call.computer))
        self._synced[nuki_id, call.computer] = now, call.process
        if former is None or now - former[0] >= SYNC_EVERY_S - ROUNDING_S:
            return
        is_same = former[1] == call.process
        # What the state file could not keep died with the process, and a clock that was set tells it nothing.
        is_forgotten = not is_same and (self.stage.had_full_disk(former[0]) or self._clock_wrong_at > former[0] - 120.0)
        if not is_forgotten:
            self.fail(f"{nuki_id:08X} is synced again after {now - former[0]:.0f} s")

    def _check_write(self, call: WebCall, known: KnownDevice) -> None:
        asked = call.asked
        if call.method in {"PUT", "POST"}:
            self._check_whole(call, asked)
            ordered = [one for one, _ in self._arrived if self._site.names[one.device] is known and one.is_valid]
            names = {text for one in ordered for text in (one.step["name"], one.step.get("new_name"))}
            codes = {str(one.step["code"]) for one in ordered if "code" in one.step}
            if asked.get("name") not in names or str(asked.get("code")) not in codes | self._touched_codes(known):
                self.fail(f"{call.method} of a code for {asked.get('name')!r}, which nobody ordered")
        if call.method in {"POST", "DELETE"}:
            entry = known.auths.get(call.levels[-1])
            if entry is not None and (known.nuki_id, entry.shown.number) in self._site.strangers:
                self.fail(f"{call.method} of the code {entry.shown.name!r}, which is a stranger's")
            elif entry is not None and entry.shown.type != KEYPAD_CODE:
                self.fail(f"{call.method} of an authorization that is no keypad code")

    def _touched_codes(self, known: KnownDevice) -> set[str]:
        """Digits that somebody gave to a code of ours with the app: they are left when only a name is changed."""
        return {str(one.shown.code) for one in known.auths if (known.nuki_id, one.shown.number) in self._site.touched}

    def _check_whole(self, call: WebCall, asked: dict[str, Any]) -> None:
        missing = ({"name", "code"} | (_FIELDS if call.method == "POST" else set())) - asked.keys()
        if missing:
            self.fail(f"{call.method} of a code without {sorted(missing)}")

    def _known(self, nuki_id: int) -> KnownDevice:
        return self._site.cloud.known(nuki_id)

    # --- At rest ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        self._check_strangers()
        calm_s = self.world.now - self.stage.ended_at
        if self.stage.ends or calm_s < PATIENCE_S or not self.world.main.is_alive:
            return
        self.judged += 1
        for name, known in self._site.names.items():
            if known.has_keypad:
                self._check_keypad(name, known, calm_s)

    def _check_strangers(self) -> None:
        for (nuki_id, number), was in self._site.strangers.items():
            one = self._known(nuki_id).memory.stored.get(number)
            if one is None or _essence(one) != _essence(was):
                self.fail(f"the stranger's code {was.name!r} at {nuki_id:08X} is not as it was")

    def _chains(self, device: str) -> dict[str, _Chain]:
        """What is wanted at a device by names, after everything that was said to be taken."""
        chains: dict[str, _Chain] = {}
        for order, delivery in self._arrived:
            if order.device != device or order.taken is None:
                continue
            taken, is_certain = order.taken
            if delivery is not taken:
                continue
            name = order.step["name"]
            chain = chains.setdefault(name, _Chain())
            # What another gateway has taken stands in its state file, and is made true only while it lives. What could
            # not be written to the state file was forgotten with the process, and is a stranger's to the next one.
            is_known = delivery.computer is self.world.main and not self._is_forgiven(order)
            chain.is_certain = chain.is_certain and is_certain and is_known
            wanted = order.change(chain.wanted, delivery.at)
            chain.last = order
            chain.names.add(name)
            if wanted is not None and wanted.name != name:
                former = chains.get(wanted.name, chain)
                chain.is_certain = chain.is_certain and former.is_certain
                chain.names |= former.names
                del chains[name]
                chains[wanted.name] = chain
            chain.wanted = wanted
        return chains

    def _check_keypad(self, device: str, known: KnownDevice, calm_s: float) -> None:
        ours = self._site.ours(known)
        shown = self._shown(device)
        is_patient = calm_s >= LONG_PATIENCE_S or known.nuki_id not in self._ghosts
        left = list(ours)
        for name, chain in self._chains(device).items():
            mine = [one for one in ours if one.name == name and (known.nuki_id, one.number) not in self._site.touched]
            left = [one for one in left if one not in mine and (chain.is_certain or one.name not in chain.names)]
            if chain.is_certain and chain.last is not None:
                self._check_chain(device, known, name, chain, mine, shown, is_patient=is_patient)
        for one in left:
            if (known.nuki_id, one.number) not in self._site.touched:
                self.fail(f"{device}: the code of {one.name!r} is on the lock, and nobody wants it")

    def _check_chain(
        self,
        device: str,
        known: KnownDevice,
        name: str,
        chain: _Chain,
        mine: list[StoredAuth],
        shown: dict[str, str],
        *,
        is_patient: bool,
    ) -> None:
        order, wanted = chain.last, chain.wanted
        assert order is not None
        where = f"{device}: the code of {name!r} (order {order.key}, {order.op})"
        if not order.ends:
            self.fail(f"{where} has no end, {[word[1:3] for word in order.words]}")
            return
        end = order.ends[-1]
        if len(mine) > 1:
            self.fail(f"{where} is on the lock {len(mine)} times")
        if end.phase == "deleted" or (wanted is None and end.phase == "active"):
            if mine and shown.get(name) is None:
                self.fail(f"{where} was said to be deleted, and is on the lock")
            return
        if end.phase != "active" or wanted is None or wanted.once or shown.get(name) in {"needs_review", "failed"}:
            return  # it says why not
        if wanted.ends_at is not None and wanted.ends_at < self.world.now:
            return  # it goes by itself
        if self._was_touched(known, end.at):
            return
        if not mine:
            if is_patient:
                self.fail(f"{where} was said to be active, and is not on the lock; it is told as {shown.get(name)}")
            return
        wrong = self._differences(known, wanted, mine[0])
        if wrong:
            self.fail(f"{where} is on the lock otherwise than wanted: {wrong}")

    def _was_touched(self, known: KnownDevice, since: float) -> bool:
        """Whether somebody has changed one of our codes there since, or it was changed before this was seen."""
        times = [at for (nuki_id, _), at in self._site.touched.items() if nuki_id == known.nuki_id]
        return any(at > since - LONG_PATIENCE_S for at in times)

    def _differences(self, known: KnownDevice, wanted: Wanted, one: StoredAuth) -> list[str]:
        wrong = []
        if str(one.code) != wanted.code:
            wrong.append("the code")
        if one.enabled is not wanted.enabled:
            wrong.append(f"enabled {one.enabled}")
        if wanted.ends_at is not None:
            if one.schedule.until_date is None:
                wrong.append("no end")
            return wrong
        zone = known.memory.zone_name
        for at in wanted.samples(self.world.now):
            if wanted.admits(at, zone) is not one.schedule.admits(at, zone):
                wrong.append(f"at {at:.0f} the lock says {one.schedule.admits(at, zone)} by {one.schedule}")
                break
        return wrong

    def _is_forgiven(self, order: CodeOrder) -> bool:
        """What could not be written to the state file dies with the process."""
        return any(self.stage.had_full_disk(one.at, PATIENCE_S) for one in order.deliveries)

    def _shown(self, device: str) -> dict[str, str]:
        """The phases on the retained list, of codes that are ours."""
        payload = self.world.retained(f"{BASE}/{device}/keypad")
        entries = json.loads(payload) if payload else []
        return {entry["name"]: entry["phase"] for entry in entries if entry["phase"] != "foreign"}


def _essence(one: StoredAuth) -> tuple[object, ...]:
    return one.name, one.code, one.enabled, one.schedule, one.remote_allowed
