"""(1) A lock moves by our doing only for an order that was permitted, fresh, not retained and not seen before.

(2) And an opening one moves it once: what has an unknown outcome is never sent again, over restarts too.
"""

from tests.storm.broker import Packet, Taken
from tests.storm.cloud import WebCall
from tests.storm.computer import Computer
from tests.storm.invariants.closings import ON_THE_WAY_S, Closings, expires_at
from tests.storm.invariants.invariant import Invariant
from tests.storm.people import CLOSING, Delivery, Order, actions_of
from tests.storm.world import Call

TRUSTED_S = 60.0  # docs/topics.md, "Stale": a clock that is so far off is not trusted
REMEMBERED_S = 600.0
SENT_ALREADY = "sent already"
KEPT_S = 7_200.0
_ORDERS = frozenset({"/lockAction", "/lock", "/unlock"})


class OnlyWhatWasOrdered(Invariant):
    """Each request that may move a lock is matched with an order of its own."""

    name = "1"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._orders: dict[tuple[int, int], list[Order]] = {}
        self._closings = Closings(self)

    def ordered(self, order: Order) -> None:
        device = self.world.devices[order.device]
        code = actions_of(order.device)[order.action]
        orders = self._orders.setdefault((device.nuki_id, code), [])
        orders.append(order)
        self._orders[device.nuki_id, code] = [one for one in orders if one.said > self.world.now - KEPT_S]

    def taken(self, taken: Taken) -> None:
        if taken.packet.topic.endswith("/set") and taken.packet.payload:
            order = self.stage.people.meant(taken.packet)
            if order is not None:
                order.taken.append(taken.at)

    def delivered(self, computer: Computer, packet: Packet) -> None:
        if not packet.topic.endswith("/set") or not packet.payload:
            return
        self.stage.delivered += 1
        order = self.stage.people.meant(packet)
        if order is not None and computer.process is not None:
            delivery = Delivery(
                self.world.now, computer, computer.process.number, packet.retain, computer.wall_offset_s
            )
            order.deliveries.append(delivery)

    def call_arrived(self, call: Call) -> None:
        if call.path not in _ORDERS or not call.was_written or call.bridge not in self.world.bridges:
            return
        if call.path != "/lockAction" or not {"nukiId", "action", "deviceType"} <= call.params.keys():
            self.fail(f"an order without its action or device type: {call.path} {dict(call.params)}")
            return
        nuki_id, code = int(call.params["nukiId"]), int(call.params["action"])
        device = next(one for one in self.world.house.devices if one.nuki_id == nuki_id)
        if int(call.params["deviceType"]) != device.device_type:
            self.fail(f"an order with the device type {call.params['deviceType']}")
        self._match(call, nuki_id, code)

    def web_arrived(self, call: WebCall) -> None:
        if call.is_order and call.was_written:
            self._match(call, int(call.params["nukiId"]), int(call.params["action"]))

    def _match(self, call: Call | WebCall, nuki_id: int, code: int) -> None:
        orders = self._orders.get((nuki_id, code), [])
        may = [one for one in orders if self._objection(one, call) is None]
        if not may:
            again = [one for one in orders if one.opens and self._objection(one, call) == SENT_ALREADY]
            if again:
                self._fail("2", f"{call.path} action {code} went out again for order {again[-1].key}")
                return
            why = [f"{one.key or one.packet.payload!r}: {self._objection(one, call)}" for one in orders[-4:]]
            self.fail(f"{call.path} action {code} for {nuki_id:08X} went out, and nobody ordered it: {why}")
            return
        # Of several equal ones it is most likely one that is known to be under way, and of those the oldest.
        order = min(may, key=lambda one: (not one.is_under_way, not one.calls, one.deliveries[0].at))
        if order.action in CLOSING:
            self._closings.note(call, [(one, self._delivered(one, call), self._releases(one, call)) for one in may])
        call.wanted_by = tuple(may)
        order.calls.append(call)

    @staticmethod
    def _delivered(order: Order, call: Call | WebCall) -> list[Delivery]:
        """The copies that had come to the process that calls, flagged ones aside."""
        return [
            one
            for one in order.deliveries
            if one.computer is call.computer
            and one.process == call.process
            and one.at <= call.began
            and not one.is_flagged
        ]

    def _objection(self, order: Order, call: Call | WebCall) -> str | None:
        """Why this request cannot be for this order; None if it can."""
        if not order.is_valid:
            return "not permitted or not understood"
        deliveries = self._delivered(order, call)
        if not deliveries:
            return "not delivered to this process, or retained"
        if order.accepted == 0 and len(order.ends) >= len(order.deliveries):
            return "refused"
        if order.action in CLOSING:
            return self._closings.objection(order, call, deliveries, self._releases(order, call))
        spec = self.world.spec
        if order.ts_age_s is None and spec.protocol != "5" and not spec.bare_opening:
            return "needs a ts with 3.1.1"
        # Another instance that has taken over knows of copies that came to it, not of what the first one did.
        senders = {one.computer.name for one in order.calls} | {call.computer.name}
        own = [one for one in order.calls if one.computer is call.computer]
        if len(own) >= 1 + self._releases(order, call) or len(senders) > len(order.taken):
            return SENT_ALREADY
        reasons = [self._staleness(order, call, one) for one in deliveries]
        return None if None in reasons else reasons[0]

    def _releases(self, order: Order, call: Call | WebCall) -> int:
        """How often it was said that the order has not acted, so that it may be given again."""
        ends = [end for end in order.ends if end[0] < call.began and end[1] != "refused" and not end[3]]
        forgotten = [one for one in order.calls if one.computer is call.computer and self._is_forgotten(one, call)]
        return len(ends) + len(forgotten)

    def _is_forgotten(self, former: Call | WebCall, call: Call | WebCall) -> bool:
        """After ten minutes; with the process, if the state file could not be written (docs/decisions/0025)."""
        if former.began < call.began - REMEMBERED_S:
            return True
        return former.process != call.process and self.stage.had_full_disk(former.began)

    def _staleness(self, order: Order, call: Call | WebCall, delivery: Delivery) -> str | None:
        spec = self.world.spec
        limit_s = spec.ttl_s + ON_THE_WAY_S
        if call.began > delivery.at + limit_s:
            return f"waited {call.began - delivery.at:.1f} s"
        if order.expiry_s is not None and call.began > expires_at(self.stage, order, delivery) + ON_THE_WAY_S:
            return "expired"
        if order.ts_age_s is None:
            return None
        # What waits for a slow disk is judged by the clock of its turn.
        offsets = {delivery.offset_s, call.computer.wall_offset_s}
        trusted = [abs(offset_s) for offset_s in offsets if abs(offset_s) <= TRUSTED_S]
        if not trusted:
            if any(abs(offset_s - skew) <= TRUSTED_S + 5 for offset_s in offsets for skew in self._skews()):
                return None  # the Bridge's clock is wrong alike: nobody can tell
            return "our clock could not be trusted"
        age_s = call.began - order.said + order.ts_age_s
        if age_s > limit_s + max(trusted):
            return f"{age_s:.1f} s old"
        if -age_s > limit_s + max(trusted):
            return f"{-age_s:.1f} s ahead"
        return None

    def _skews(self) -> list[float]:
        return [bridge.clock_skew_s + bridge.faults.clock_skew_s for bridge in self.world.bridges]


class OpensOnce(Invariant):
    """What a house did for an order, it does not do again for the same order."""

    name = "2"

    def call_arrived(self, call: Call) -> None:
        if call.path in _ORDERS and call.turned:
            self._check(call)

    def web_arrived(self, call: WebCall) -> None:
        if call.turned:
            self._check(call)

    def _check(self, call: Call | WebCall) -> None:
        code, nuki_id = int(call.params.get("action", 0)), int(call.params.get("nukiId", 0))
        for order in self.stage.people.orders.values():
            device = self.world.devices[order.device]
            if not order.opens or (device.nuki_id, actions_of(order.device)[order.action]) != (nuki_id, code):
                continue
            since = call.began - REMEMBERED_S
            turned = [
                one
                for one in order.calls
                if one.turned and one.began > since and one.computer is call.computer
                if one.process == call.process or not self.stage.had_full_disk(one.began)
            ]
            if call in order.calls and len(turned) > 1:
                self.fail(f"order {order.key} has opened {order.device} {len(turned)} times")
