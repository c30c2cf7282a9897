"""What people and their programs want of keypads: good, bad, doubled and retained orders on `keypad/set`.

`CodeOrder` says what a message means without any of the gateway's codecs, as `people.Order` does for commands.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.storm.broker import Packet
from tests.storm.spec import BASE

if TYPE_CHECKING:
    from tests.storm.people import Client, Delivery
    from tests.storm.world import World

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ENDS = frozenset({"active", "deleted", "failed", "needs_review"})
SAMPLE_S = 25_981.0  # seven hours and something, so that all days and hours are met
SAMPLES = 70
ONE_TIME_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One code as somebody wants it; `schedule` is that of the order, None for always. `ends_at`: it goes by itself."""

    name: str
    code: str
    enabled: bool = True
    schedule: Mapping[str, Any] | None = None
    once: bool = False
    ends_at: float | None = None

    def admits(self, at: float, zone_name: str) -> bool:
        """Whether it is to open at this time."""
        plan = self.schedule or {}
        if "from" in plan and at < _epoch(plan["from"]):
            return False
        if "until" in plan and at > _epoch(plan["until"]):
            return False
        local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone_name))
        if DAYS[local.weekday()] not in plan.get("weekdays", DAYS):
            return False
        if "daily" not in plan:
            return True
        begin, end = (_minute(plan["daily"][key]) for key in ("from", "until"))
        return begin <= local.hour * 60 + local.minute < end

    def samples(self, now: float) -> list[float]:
        """Times at which it is to be compared with what a lock does."""
        plan = self.schedule or {}
        edges = [_epoch(plan[key]) + aside_s for key in ("from", "until") if key in plan for aside_s in (-61.0, 61.0)]
        return [*(now + number * SAMPLE_S for number in range(SAMPLES)), *edges]


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)


class Told(NamedTuple):
    """One word on `keypad/result`; `payload` is the whole of it."""

    at: float
    phase: str
    reason: str | None
    payload: bytes


@dataclass(eq=False)
class CodeOrder:
    """One order as somebody meant it; its copies are the same order, by their `key`."""

    number: int
    device: str
    key: str
    step: Mapping[str, Any]
    said: float
    packet: Packet
    deliveries: list["Delivery"] = field(default_factory=list)
    words: list[Told] = field(default_factory=list)

    @property
    def op(self) -> str:
        """What it asks for."""
        return str(self.step["op"])

    @property
    def is_valid(self) -> bool:
        """Whether it keeps the rules that hold for every keypad."""
        return bool(self.step.get("is_valid", True))

    @property
    def live(self) -> "list[Delivery]":
        """The copies that were not flagged as retained."""
        return [one for one in self.deliveries if not one.is_flagged]

    @property
    def is_accepted(self) -> bool:
        """Whether it was said to be taken."""
        return any(word.phase != "refused" for word in self.words)

    @property
    def refusals(self) -> int:
        """How many of its copies were refused."""
        return sum(word.phase == "refused" for word in self.words)

    @property
    def taken(self) -> "tuple[Delivery, bool] | None":
        """The copy that was said to be taken, and whether nobody doubts that; None if none was.

        A copy may be refused first and taken later, when there is something to change; each of the former was told so.
        """
        said = next((word.at for word in self.words if word.phase != "refused"), float("-inf"))
        tried = [one for one in self.live if one.at <= said]
        if not tried:
            return None
        former = sum(word.phase == "refused" and word.at <= said for word in self.words)
        return tried[-1], former == len(tried) - 1 and self.refusals >= len(self.deliveries) - 1

    @property
    def ends(self) -> list[Told]:
        """Its ends; the same one may be said twice."""
        return [word for word in self.words if word.phase in ENDS]

    def change(self, before: Wanted | None, at: float) -> Wanted | None:
        """What is wanted after it; None is nothing."""
        step = self.step
        if self.op == "delete":
            return None
        if self.op == "create":
            life_s = step.get("life_s", ONE_TIME_S if step.get("once") else None)
            return Wanted(
                name=step["name"],
                code=step["code"],
                enabled=step.get("enabled", True),
                schedule=step.get("schedule"),
                once=bool(step.get("once")),
                ends_at=None if life_s is None else at + life_s,
            )
        if before is None:
            return None
        enabled = {"enable": True, "disable": False}.get(self.op, step.get("enabled", before.enabled))
        return Wanted(
            name=step.get("new_name", before.name),
            code=step.get("code", before.code),
            enabled=enabled,
            schedule=step.get("schedule", before.schedule),
            once=before.once,
            ends_at=None if "schedule" in step else before.ends_at,
        )


class KeypadPeople:
    """Everybody who wants codes; `orders` are by their transactions."""

    def __init__(self, world: "World", client: "Client") -> None:
        self._world = world
        self._client = client
        self.orders: dict[str, CodeOrder] = {}
        self._number = 0

    def order(self, step: Mapping[str, Any]) -> CodeOrder:
        """Publish an order as the step of a plan describes it."""
        self._number += 1
        key, device = str(step["key"]), str(step["device"])
        order = self.orders.get(key)
        if order is None:
            payload = self._payload(step)
            topic = f"{BASE}/{device}/keypad/set"
            packet = Packet(topic, payload, int(step.get("qos", 1)), retain=bool(step.get("retain")))
            order = CodeOrder(self._number, device, key, step, self._world.now, packet)
            self.orders[key] = order
            self._world.watch.code_ordered(order)
        self._client.publish(order.packet)
        return order

    def meant(self, packet: Packet) -> CodeOrder | None:
        """Which order a message is."""
        try:
            body = json.loads(packet.payload)
        except ValueError:
            return None
        found = self.orders.get(str(body.get("transaction"))) if isinstance(body, dict) else None
        return found if found is not None and found.packet.payload == packet.payload else None

    def _payload(self, step: Mapping[str, Any]) -> bytes:
        if "raw" in step:
            return str(step["raw"]).replace("%k", str(step["key"])).encode()
        keys = ("op", "name", "new_name", "code", "enabled", "schedule", "once", "life_s")
        body = {key: step[key] for key in keys if key in step} | {"transaction": step["key"]}
        found = self._id_of(str(step["device"]), str(step["name"])) if step.get("by_id") else None
        if found is not None:
            del body["name"]
            body["id"] = found
        if "id" in body and "new_name" in body:
            body["name"] = body.pop("new_name")
        return json.dumps(body).encode()

    def _id_of(self, device: str, name: str) -> str | None:
        """What a program finds in the list of the gateway."""
        payload = self._world.retained(f"{BASE}/{device}/keypad")
        entries = json.loads(payload) if payload else []
        found = [entry["id"] for entry in entries if entry["name"] == name and entry["phase"] != "foreign"]
        return found[0] if len(found) == 1 else None
