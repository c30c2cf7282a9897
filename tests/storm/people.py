"""What people and their programs send: young, old, retained, doubled, contradicting and forged orders.

`Order` says what a message means without any of the gateway's codecs, so that a mistake there cannot cancel out.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.storm.broker import Line, Packet
from tests.storm.spec import BASE

if TYPE_CHECKING:
    from tests.storm.cloud import WebCall
    from tests.storm.computer import Computer
    from tests.storm.world import Call, World

BACK_S = 5.0  # when a client is back after the broker is

# Bridge API 1.13.2 section 4.4: the number of each action; all but `lock` and the deactivating ones let somebody in.
LOCK_ACTIONS = {"unlock": 1, "lock": 2, "unlatch": 3, "lock_n_go": 4, "lock_n_go_unlatch": 5}
BELL_ACTIONS = {"activate_rto": 1, "deactivate_rto": 2, "electric_strike": 3, "activate_cm": 4, "deactivate_cm": 5}
CLOSING = frozenset({"lock", "deactivate_rto", "deactivate_cm"})


def actions_of(device: str) -> Mapping[str, int]:
    """The actions of a device by their words."""
    return BELL_ACTIONS if device == "bell" else LOCK_ACTIONS


class Delivery(NamedTuple):
    """An order arrived at a gateway's link."""

    at: float
    computer: "Computer"
    process: int
    is_flagged: bool  # as retained
    offset_s: float  # of the computer's wall clock then


@dataclass(eq=False)
class Order:
    """One order as somebody meant it; its copies are the same order.

    `key` is what makes two messages the same order; None for a bare word. `is_valid`: understood, for a device that
    exists, and permitted. `said` is when it was written, by a right clock; `ts_age_s` how old its `ts` claims to be
    then (None without one).
    """

    number: int
    device: str
    action: str
    key: str | None
    is_valid: bool
    is_readable: bool
    ts_age_s: float | None
    expiry_s: int | None
    said: float
    packet: Packet
    acceptances: list[bytes] = field(default_factory=list)  # what was said of its being accepted
    deliveries: list[Delivery] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)  # when the broker took it
    calls: list["Call | WebCall"] = field(default_factory=list)
    ends: list[tuple[float, str, str | None, bool]] = field(
        default_factory=list
    )  # when, status, reason, may have acted

    @property
    def accepted(self) -> int:
        """How many of its copies were accepted at least; that may have been said twice (docs/decisions/0027)."""
        return len(set(self.acceptances))

    @property
    def is_under_way(self) -> bool:
        """Whether a copy was accepted that has had no end yet; a refused one is another copy."""
        ends = [end for end in self.ends if end[1] != "refused" or end[2] == "superseded"]
        return self.accepted > len(ends)

    @property
    def opens(self) -> bool:
        """Whether it lets somebody in."""
        return self.action not in CLOSING


class Client:
    """A program with a queue of its own: what it cannot send with QoS 1 waits for the broker."""

    def __init__(self, world: "World", client_id: str) -> None:
        self._world = world
        self._client_id = client_id
        self._line: Line | None = None
        self._queue: deque[Packet] = deque()
        self.copies = 1
        self._connect()

    def publish(self, packet: Packet) -> None:
        """Send it, now or when the broker is back; QoS 0 now or never."""
        if self._line is not None and self._line.is_open:
            self._send(packet)
        elif packet.qos > 0:
            self._queue.append(packet)

    def _send(self, packet: Packet) -> None:
        assert self._line is not None
        self._line.publish(packet)
        for _ in range(1, self.copies if packet.qos > 0 else 1):
            self._world.note_hit("redelivery")
            self._line.publish(packet)

    def _connect(self) -> None:
        try:
            self._line = self._world.broker.connect(
                self._client_id, protocol=self._world.spec.protocol, deliver=lambda _packet: None, lost=self._lost
            )
        except ConnectionRefusedError:
            self._world.later(BACK_S, self._connect)
            return
        while self._queue:
            self._send(self._queue.popleft())

    def _lost(self, _reason: str) -> None:
        self._line = None
        self._world.later(BACK_S, self._connect)


class People:
    """Everybody who gives orders."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.client = Client(world, "somebody")
        self.orders: dict[str, Order] = {}  # by transaction
        self._meanings: dict[tuple[str, bytes], list[Order]] = {}
        self._number = 0

    def order(self, step: Mapping[str, Any]) -> Order | None:
        """Publish an order as the step of a plan describes it."""
        world = self._world
        device, word, flavour = step["device"], step["word"], step["flavour"]
        self._number += 1
        action = str(step.get("means", word))
        key = None if "raw" in step else step.get("key")
        is_bare = flavour == "bare"
        ts_age_s = None if is_bare else step.get("ts_age_s")
        payload = (
            word if is_bare else _payload(step, world.moment_text(ts_age_s or 0.0) if ts_age_s is not None else None)
        )
        packet = self._packet(step, payload)
        order = self.orders.get(str(key))
        if order is None:
            order = Order(
                number=self._number,
                device=device,
                action=action,
                key=key,
                is_valid=bool(step.get("is_valid", True)) and self._is_permitted(device, action),
                is_readable="raw" not in step,
                ts_age_s=ts_age_s,
                expiry_s=packet.expiry_s,
                said=world.now,
                packet=packet,
            )
            world.watch.ordered(order)
            self._meanings.setdefault((packet.topic, packet.payload), []).append(order)
        elif step.get("is_fresh"):
            order.packet, order.said = packet, world.now
            self._meanings.setdefault((packet.topic, packet.payload), []).append(order)
        if key is not None:
            self.orders[str(key)] = order
        self.client.publish(order.packet)
        return order

    def say(self, step: Mapping[str, Any]) -> None:
        """Publish something that is no order: a `get`, or a request to the gateway itself."""
        payload = str(step["payload"]).encode("latin-1")
        self.client.publish(Packet(str(step["topic"]), payload, int(step["qos"]), retain=bool(step.get("retain"))))

    def meant(self, packet: Packet) -> Order | None:
        """Which order a message is: of equal bare words the oldest that has not arrived yet."""
        found = self._meanings.get((packet.topic, packet.payload))
        if not found:
            return None
        return next((order for order in found if not order.deliveries), found[-1])

    def forget(self, said_before: float) -> None:
        """Keep no orders that are older than this."""
        self.orders = {key: order for key, order in self.orders.items() if order.said >= said_before}
        for message, orders in list(self._meanings.items()):
            left = [order for order in orders if order.said >= said_before]
            if left:
                self._meanings[message] = left
            else:
                del self._meanings[message]

    def _is_permitted(self, device: str, action: str) -> bool:
        return device != "front_door" or self._world.spec.permit_unlatch or action in {"lock", "unlock"}

    def _packet(self, step: Mapping[str, Any], payload: str) -> Packet:
        is_v5 = self._world.spec.protocol == "5"
        wants_response = bool(step.get("wants_response")) and is_v5
        return Packet(
            f"{BASE}/{step.get('address', step['device'])}/set",
            payload.encode(),
            qos=int(step.get("qos", 1)),
            retain=bool(step.get("retain", False)),
            expiry_s=step.get("expiry_s") if is_v5 else None,
            response_topic="answers/somebody" if wants_response else None,
            correlation=str(self._number).encode() if wants_response else None,
        )


def _payload(step: Mapping[str, Any], ts: str | None) -> str:
    if "raw" in step:
        return str(step["raw"])
    body: dict[str, Any] = {"action": step["word"]}
    if step.get("key") is not None:
        body["transaction"] = step["key"]
    if ts is not None:
        body["ts"] = ts
    if "body_ttl_s" in step:
        body["ttl_s"] = step["body_ttl_s"]
    return json.dumps(body)
