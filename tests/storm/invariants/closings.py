"""How often what closes may be sent (docs/decisions/0026): again only when nobody knows what became of the last time.

Equal orders cannot be told apart on the wire. So the requests of one process for one device and action are counted
together: each must be the first one for an order that is fresh, or follow one with an unknown outcome.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.storm.cloud import WebCall
from tests.storm.invariants.invariant import Invariant
from tests.storm.people import Delivery, Order
from tests.storm.stage import Stage
from tests.storm.world import ROUNDING_S, Call

ON_THE_WAY_S = 1.5  # from the decision to the Bridge: the state file, connecting
MOST_SENT = 4  # once, and again after 2, 4 and 8 s
PAUSE_S = 2.0
REPEATED_WITHIN_S = 60.0
LONGEST_TTL_S = 60.0  # to which the sender may lengthen the time of what closes
FORGOTTEN_S = 700.0

_Key = tuple[str, int, str, str]


@dataclass(slots=True)
class _Chain:
    """The requests for one device and action; `starters`: the orders that began it, and how often for certain."""

    last: Call | WebCall
    count: int = 0
    starters: dict[Order, int] = field(default_factory=dict)


class Closings:
    """What each process has sent to close something."""

    def __init__(self, invariant: Invariant) -> None:
        self._world = invariant.world
        self._stage = invariant.stage
        self._chains: dict[_Key, _Chain] = {}

    def objection(
        self, order: Order, call: Call | WebCall, deliveries: Sequence[Delivery], releases: int
    ) -> str | None:
        """Why this request cannot be for this order; None if it can. `releases`: as often it may be given again."""
        chain = self._chain(call)
        why = self._objection_to_first(order, call, deliveries, releases, chain)
        if why is None or chain is None or order not in chain.starters:
            return why
        if not _may_be_again(call, chain.last):
            return f"{why}, and the last request was answered or is not {PAUSE_S:g} s ago"
        if chain.count >= MOST_SENT * sum(self._starts(one) for one in chain.starters):
            return f"sent {chain.count} times"
        limit_s = REPEATED_WITHIN_S + self._ttl_s(order) + ON_THE_WAY_S
        if all(call.began > one.at + limit_s for one in deliveries):
            return "repeated too late"
        return None

    def note(self, call: Call | WebCall, orders: Sequence[tuple[Order, Sequence[Delivery], int]]) -> None:
        """It went out, and may be for these: each with its deliveries and releases."""
        chain = self._chain(call)
        fresh = [
            order
            for order, deliveries, releases in orders
            if self._objection_to_first(order, call, deliveries, releases, chain) is None
        ]
        is_again = chain is not None and _may_be_again(call, chain.last)
        if chain is None:
            chain = self._chains[_key(call)] = _Chain(call)
        for order in fresh:
            chain.starters.setdefault(order, 0)
        if not is_again and len(fresh) == 1:
            chain.starters[fresh[0]] += 1
        chain.count, chain.last = chain.count + 1, call

    def _chain(self, call: Call | WebCall) -> _Chain | None:
        chain = self._chains.get(_key(call))
        return None if chain is None or call.began > chain.last.began + FORGOTTEN_S else chain

    @staticmethod
    def _starts(order: Order) -> int:
        """How often an order may have begun: a bare one with each of its copies."""
        released = [end for end in order.ends if end[1] != "refused" and not end[3]]
        return len(order.deliveries) if order.key is None else 1 + len(released)

    def _objection_to_first(
        self, order: Order, call: Call | WebCall, deliveries: Sequence[Delivery], releases: int, chain: _Chain | None
    ) -> str | None:
        """Why it cannot be the first request for one of these copies."""
        if order.key is not None and chain is not None and chain.starters.get(order, 0) > releases:
            return "sent already"
        reasons = [self._staleness(order, call, one) for one in deliveries]
        return None if None in reasons else reasons[0]

    def _staleness(self, order: Order, call: Call | WebCall, delivery: Delivery) -> str | None:
        limit_s = self._ttl_s(order) + ON_THE_WAY_S
        if call.began > delivery.at + limit_s:
            return f"waited {call.began - delivery.at:.1f} s"
        if order.expiry_s is not None and call.began > expires_at(self._stage, order, delivery) + ON_THE_WAY_S:
            return "expired"
        if order.ts_age_s is None:
            return None
        # What closes goes by our clock, however wrong that is.
        offsets = {delivery.offset_s, call.computer.wall_offset_s}
        ages = [call.began - order.said + order.ts_age_s + offset for offset in offsets]
        return None if any(abs(age_s) <= limit_s for age_s in ages) else f"{ages[0]:.1f} s old"

    def _ttl_s(self, order: Order) -> float:
        ttl_s = None
        if b"ttl_s" in order.packet.payload:
            ttl_s = json.loads(order.packet.payload).get("ttl_s")
        return float(self._world.spec.ttl_s) if ttl_s is None else min(float(ttl_s), LONGEST_TTL_S)


def expires_at(stage: Stage, order: Order, delivery: Delivery) -> float:
    """When a message has expired that says for how long it is good.

    The broker counts that, the line does not: without a `ts` nobody sees that a message waited there.
    """
    assert order.expiry_s is not None
    is_held = stage.had_stalled_line(order.taken[-1], delivery.at)
    return order.expiry_s + (delivery.at if is_held else order.taken[-1])


def _key(call: Call | WebCall) -> _Key:
    return call.computer.name, call.process, call.params["nukiId"], call.params["action"]


def _may_be_again(call: Call | WebCall, last: Call | WebCall) -> bool:
    """Whether the outcome of the last request is unknown and its pause is over, or the cloud had no time for it."""
    if isinstance(last, WebCall) and last.was_locked:
        return last.ended is not None and call.began >= last.ended
    if last.ended is None or call.began < last.ended + PAUSE_S - ROUNDING_S:
        return False
    is_clear = last.is_answered and isinstance(last.body, dict) and isinstance(last.body.get("success"), bool)
    return not is_clear
