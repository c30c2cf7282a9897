"""(12) What is ordered from the cloud: only what no Bridge can be told, right after a look, once, and not into a doubt.

A 204 may open a door hours later (docs/decisions/0038). So for two minutes after an opening order of which
nobody saw an end, nothing that opens is sent, by no way. That it is sent for an order at all, and once: (1) and (2).
"""

from tests.storm.cloud import CloudSite, WebCall
from tests.storm.invariants.invariant import Invariant
from tests.storm.people import Order
from tests.storm.world import Call

FRESH_S = 15.0
ON_THE_WAY_S = 0.3
HOLD_S = 120.0
SAID_S = 100.0  # an end that is said later waited for the broker
ROUNDING_S = 2.0
UNDECIDED_S = 600.0
ONLINE = 0


class OnlyWhatTheCloudMay(Invariant):
    """Judges each order that reaches the cloud, and each opening one that follows it."""

    name = "12"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.orders = 0
        self._opening: dict[int, list[WebCall]] = {}
        self._promised: list[WebCall] = []

    @property
    def _site(self) -> CloudSite:
        assert self.world.cloud is not None
        return self.world.cloud

    def call_arrived(self, call: Call) -> None:
        if call.path != "/lockAction" or not call.was_written or not call.wanted_by:
            return
        if call.wanted_by[0].opens:
            self._check_hold(call, int(call.params["nukiId"]))

    def web_arrived(self, call: WebCall) -> None:
        if not call.is_order or not call.was_written or not call.wanted_by:
            return  # what nobody ordered is for (1)
        self.orders += 1
        nuki_id = int(call.params["nukiId"])
        order = self._order_of(call)
        self._check_way(call, nuki_id, order)
        self._check_look(call, nuki_id)
        if order.opens:
            self._check_hold(call, nuki_id)
        elif order.key is not None and self._taken(order) > len(order.deliveries):
            self.fail(f"order {order.key} went to the cloud again")
        if call.promised:
            self._promised.append(call)
            if order.opens:
                self._opening.setdefault(nuki_id, []).append(call)

    @staticmethod
    def _taken(order: Order) -> int:
        """How often the cloud may have taken it."""
        return sum(isinstance(one, WebCall) and not one.was_locked for one in order.calls)

    @staticmethod
    def _order_of(call: Call | WebCall) -> Order:
        return next((one for one in call.wanted_by if call in one.calls), call.wanted_by[0])

    def _check_way(self, call: WebCall, nuki_id: int, order: Order) -> None:
        setting, what = self.world.spec.web_commands, f"order {order.key} ({order.action})"
        if setting == "never":
            self.fail(f"{what} went to the cloud, which is to get none")
        if not self.world.is_bridged(nuki_id) or self._has_met_a_stranger(call, nuki_id):
            return
        if setting != "fallback":
            self.fail(f"{what} went to the cloud, and a Bridge knows {nuki_id:08X}")
            return
        local = [one for one in order.calls if isinstance(one, Call) and one.process == call.process]
        if order.opens and any(one.was_written for one in local):
            self.fail(f"{what} went to the cloud after a byte of it was written to a Bridge")
        if any(isinstance(one.body, dict) and one.body.get("success") is False for one in local):
            self.fail(f"{what} went to the cloud after a Bridge had said no")
        # A connection that failed is no call that arrived: it is looked for on the wire, and the order may have waited
        # for the end of an earlier one.
        since = order.said - 1.0
        tried = [
            one
            for one in self.world.wire.calls
            if one.computer is call.computer and one.process == call.process
            if (one.began >= since and one.path == "/lockAction" and one.params.get("nukiId") == str(nuki_id))
            or (not one.was_written and (one.ended is None or one.ended >= since))
        ]
        if not tried:
            self.fail(f"{what} went to the cloud, and no Bridge was tried")

    def _has_met_a_stranger(self, call: WebCall, nuki_id: int) -> bool:
        """Whether only somebody else, at its Bridge's address, has told this process what is paired there.

        Once ours has, the device stays the Bridge's.
        """
        hosts = {
            self.world.spec.bridge_host(number)
            for number, bridge in enumerate(self.world.bridges)
            if nuki_id in (bridge.paired or ())
        }
        lists = [
            one
            for one in self.world.wire.calls
            if one.computer is call.computer and one.process == call.process and one.host in hosts
            if one.path == "/list" and one.is_answered
        ]
        is_told = any(nuki_id in one.entries for one in lists)
        return not is_told and any(one.bridge not in self.world.bridges for one in lists)

    def _check_look(self, call: WebCall, nuki_id: int) -> None:
        reads = [
            one
            for one in self._site.calls
            if one.computer is call.computer and one.process == call.process
            if one.is_answered and one.ended is not None and one.ended <= call.began and nuki_id in one.shown()
        ]
        last = max(reads, key=lambda one: one.began, default=None)
        assert call.arrived is not None
        if last is None or call.arrived - last.began > FRESH_S + ON_THE_WAY_S:
            age = "never" if last is None else f"{call.arrived - last.began:.1f} s before"
            self.fail(f"an order went to the cloud, and {nuki_id:08X} was read {age}")
        elif last.shown()[nuki_id].get("serverState") != ONLINE:
            self.fail(f"an order went to the cloud, which does not reach {nuki_id:08X}")

    def _check_hold(self, call: Call | WebCall, nuki_id: int) -> None:
        assert call.arrived is not None
        for former in self._opening.get(nuki_id, ()):
            if former.computer is not call.computer or former.arrived is None:
                continue
            ago_s = call.arrived - former.arrived
            ends = [end for one in former.wanted_by for end in one.ends if former.arrived <= end[0] <= call.arrived]
            if any(end[1] == "confirmed" for end in ends) or ago_s > HOLD_S + SAID_S:
                continue
            if former.process != call.process and self.stage.had_full_disk(former.arrived):
                continue
            said = [end[0] for end in ends if end[1] != "refused" and end[0] - former.arrived < SAID_S]
            held_until = (said[0] if said else former.arrived) + HOLD_S - ROUNDING_S
            if call.arrived < held_until:
                self.fail(
                    f"something opening for {nuki_id:08X} {ago_s:.1f} s after an order of which nobody saw the end"
                )

    def check(self) -> None:
        """What the cloud has promised may have acted, whatever became of it."""
        now = self.world.now
        for call in self._promised:
            orders = [one for one in call.wanted_by if one.key is not None]
            ends = [end for one in orders for end in one.ends if end[0] >= call.began and end[1] != "refused"]
            is_clear = bool(ends) and len(orders) == len(call.wanted_by) and not any(end[3] for end in ends)
            if is_clear and not any(one.is_under_way for one in orders):
                self.fail(f"{[end[1:] for end in ends]} for {orders[0].key}, which the cloud has promised")
        self._promised = [one for one in self._promised if one.began > now - UNDECIDED_S]
        for nuki_id, calls in self._opening.items():
            self._opening[nuki_id] = [one for one in calls if one.began > now - UNDECIDED_S]
