"""(4) Every command gets exactly one end; after a kill `unconfirmed`.

Each message that reached a gateway which lived on has exactly one last word: an end, or a refusal. What was `accepted`
has an end even if the gateway was killed. None says that nothing can have moved where the house did obey.
"""

import json
from collections import Counter, deque
from typing import NamedTuple

from tests.storm.broker import Packet, Taken
from tests.storm.computer import Computer
from tests.storm.invariants.invariant import Invariant
from tests.storm.people import Delivery, Order
from tests.storm.spec import BASE
from tests.storm.world import Call

ENDS = frozenset({"confirmed", "failed", "unconfirmed", "expired"})
STATUSES = ENDS | {"accepted", "refused"}
FULL_S = 300.0  # a command may take so long, and its end is written down, too
ANSWERED_S = 600.0  # a gateway that lived on for so long, beside however slow a disk, has said its first word
UNDECIDED_S = 600.0  # until the end of what turned a lock is known at rest
MOST_READS = 500

# Where an action may leave its device, by Bridge API 1.13.2 sections 4.2 to 4.4: states, and modes of an Opener. A
# direct read that shows another one says that it did not act.
RESTS = {
    "unlock": {3},
    "lock": {1},
    "unlatch": {3, 5},
    "lock_n_go": {1, 3, 5, 6},
    "lock_n_go_unlatch": {1, 3, 5, 6},
    "activate_rto": {3},
    "deactivate_rto": {1},
    "electric_strike": {1, 3, 5},
}
MODES = {"activate_cm": 3, "deactivate_cm": 2}


class _Read(NamedTuple):
    """What a direct read showed, and to whom."""

    at: float
    computer: Computer
    process: int
    nuki_id: int
    state: int
    mode: int


class ExactlyOneEnd(Invariant):
    """Counts the words on `<device>/result` for each transaction."""

    name = "4"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.outcomes: Counter[str] = Counter()
        self._bare_arrivals: dict[str, list[tuple[float, Computer, int]]] = {}
        self._bare_words: Counter[str] = Counter()
        self._checked_at = self.world.now
        self._bare_payloads: dict[str, list[bytes]] = {}
        self._turned: list[Call] = []
        self._reads: deque[_Read] = deque(maxlen=MOST_READS)

    def call_arrived(self, call: Call) -> None:
        if call.turned and call.wanted_by:
            self._turned.append(call)
        elif call.path == "/lockState" and call.answer is not None and call.answer.status == 200:
            nuki_id = int(call.params["nukiId"])
            device = next((one for one in self.world.house.devices if one.nuki_id == nuki_id), None)
            if device is not None:
                read = _Read(self.world.now, call.computer, call.process, nuki_id, device.state, device.mode)
                self._reads.append(read)

    def delivered(self, computer: Computer, packet: Packet) -> None:
        order = self.stage.people.meant(packet) if packet.topic.endswith("/set") and packet.payload else None
        if order is not None and order.key is None and computer.process is not None:
            arrivals = self._bare_arrivals.setdefault(order.device, [])
            arrivals.append((self.world.now, computer, computer.process.number))

    def taken(self, taken: Taken) -> None:
        packet = taken.packet
        levels = packet.topic.split("/")
        if levels[2:] != ["result"] or levels[0] != BASE:
            return
        if packet.retain or packet.qos != 1:
            self.fail(f"a result with retain {packet.retain} and QoS {packet.qos}")
        result = json.loads(packet.payload)
        status, reason, key = str(result["status"]), result["reason"], result["transaction"]
        if status not in STATUSES:
            self.fail(f"a result with the status {status}")
        self.outcomes[f"{status} {reason or ''}".strip()] += 1
        order = self.stage.people.orders.get(str(key))
        if order is None:
            if status != "accepted":
                self._bare_words[levels[1]] += 1
                if reason != "restarted":  # that may be said at each of several restarts
                    self._bare_payloads.setdefault(levels[1], []).append(packet.payload)
            return
        if status == "accepted":
            order.acceptances.append(packet.payload)
        else:
            order.ends.append((self.world.now, status, reason, bool(result["may_have_acted"])))

    def check(self) -> None:
        for key, order in self.stage.people.orders.items():
            self._check_order(key, order)
        for device in self.world.devices:
            self._check_bare(device)
        for call in self._turned:
            self._check_turned(call)
        self._turned = [call for call in self._turned if call.began > self.world.now - UNDECIDED_S]
        self._checked_at = self.world.now
        self.stage.people.forget(self.world.now - 3600.0)

    def _check_order(self, key: str, order: Order) -> None:
        sure = sum(1 for one in order.deliveries if self._lived_on(one.computer, one.process, one.at))
        unsure = len(order.deliveries) - sure
        is_forgiven = any(self._is_forgiven(one) for one in order.deliveries)
        said = f"{[end[1:] for end in order.ends]} for {len(order.deliveries)} copies of order {key} ({order.action})"
        if len(order.ends) < sure and not is_forgiven:
            self.fail(f"{said}, of which {sure} reached a gateway that lived on")
        # What waits may be replaced by a newer one: it is `refused`, `superseded` after its `accepted`.
        ends = [end for end in order.ends if end[1] in ENDS or end[2] == "superseded"]
        if len(ends) < order.accepted and not is_forgiven:
            self.fail(f"{said}: accepted {order.accepted} times")
        # The same word may be said twice when the broker was away (docs/decisions/0027), another one never: what was
        # written down is said by the next process as it was.
        kinds = {end[1:] for end in ends}
        if len(kinds) > min(len(order.acceptances) + unsure, len(order.deliveries)) and not is_forgiven:
            self.fail(f"{said}: accepted {order.accepted} times")
        if any(call.was_written for call in order.calls) and not ends and not is_forgiven:
            self.fail(f"{said}, though it went to a Bridge")

    def _check_turned(self, call: Call) -> None:
        """What turned a lock has an end that says so; of equal orders nobody knows which one it was for."""
        orders = call.wanted_by
        if any(one.key is None or any(self._is_forgiven(copy) for copy in one.deliveries) for one in orders):
            return
        ends = [end for one in orders for end in one.ends if end[1] in ENDS and end[0] >= call.began]
        is_open = any(
            one.accepted > sum(end[1] in ENDS or end[2] == "superseded" for end in one.ends) for one in orders
        )
        if is_open or not ends or any(end[3] for end in ends) or self._was_seen_elsewhere(call, orders[0].action):
            return
        keys = [one.key for one in orders]
        ago_s = self.world.now - call.began
        self.fail(f"{[end[1:] for end in ends]} for {keys} ({orders[0].action}), and it moved {ago_s:.0f} s ago")

    def _was_seen_elsewhere(self, call: Call, action: str) -> bool:
        """Whether a direct read since showed it where the action does not lead: somebody has turned it back."""
        nuki_id = int(call.params["nukiId"])
        for read in self._reads:
            is_own = (read.computer, read.process, read.nuki_id) == (call.computer, call.process, nuki_id)
            is_elsewhere = read.mode != MODES[action] if action in MODES else read.state not in RESTS[action]
            if is_own and read.at >= call.began and is_elsewhere:
                return True
        return False

    def _is_forgiven(self, delivery: Delivery) -> bool:
        """What could not be written to the state file dies with the process (docs/decisions/0025).

        And what waits when another gateway takes over has its end when this one owns the base again.
        """
        has_died = delivery.computer.processes[delivery.process].ended is not None
        was_full = self.stage.had_full_disk(delivery.at, FULL_S)
        return (has_died and was_full) or self.stage.had_second_gateway(delivery.at)

    def _check_bare(self, device: str) -> None:
        arrivals = self._bare_arrivals.get(device, [])
        sure = sum(1 for at, computer, process in arrivals if self._lived_on(computer, process, at))
        words = self._bare_words[device]
        said = len(set(self._bare_payloads.pop(device, [])))
        # What another process or gateway left open is said later, in no relation to what arrived since.
        began = 0.0 if self.world.main.process is None else self.world.main.process.began
        is_muddled = began > self._checked_at or any(
            until > self._checked_at for _, until in self.stage.second_gateways
        )
        if words < sure or (said > len(arrivals) and not is_muddled):
            self.fail(f"{words} last words for {len(arrivals)} bare orders for {device}, {sure} of them owed")
        self._bare_arrivals[device] = []
        self._bare_words[device] = 0

    def _lived_on(self, computer: Computer, process: int, at: float) -> bool:
        """Whether that process was the one that answers, and not ended before it could."""
        if computer is not self.world.main or self.stage.had_second_gateway(at):
            return False
        one = computer.processes[process]
        return one.ended is None or one.ended > at + ANSWERED_S
