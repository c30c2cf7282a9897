"""All invariants at once: hears of everything, remembers the first violation and what went before it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedDevice
from tests.storm.broker import Packet, Taken
from tests.storm.cloud import WebCall
from tests.storm.computer import Computer
from tests.storm.keypad_people import CodeOrder
from tests.storm.people import Order
from tests.storm.world import Call

if TYPE_CHECKING:
    from tests.storm.invariants.invariant import Invariant
    from tests.storm.stage import Stage

LINES = 5000
COUNTS_WORDS = "4"  # the invariant that counts the words on commands
_GET = b'"action":"get"'
QUESTIONS = (
    "check", "ticked", "ordered", "call_began", "call_arrived", "call_ended", "said", "taken", "delivered",
    "called_back", "changed", "logged", "crashed", "web_began", "web_arrived", "web_ended", "hooked", "code_ordered",
)  # fmt: skip


class Violation(NamedTuple):
    """The invariant that does not hold, in the house's time, and what is wrong."""

    invariant: str
    at: float
    text: str


class Judge:
    """Hands everything to every invariant."""

    def __init__(self, *, keeps_trace: bool = False) -> None:
        self.violation: Violation | None = None
        self.broken = asyncio.Event()
        self.trace: deque[str] = deque(maxlen=LINES if keeps_trace else 0)
        self.invariants: list[Invariant] = []
        self.stage: Stage | None = None
        self._keeps_trace = keeps_trace
        self._ask: dict[str, list[Callable[..., None]]] = {name: [] for name in QUESTIONS}

    def begin(self, stage: "Stage", invariants: "list[type[Invariant]]") -> None:
        """Watch this stage."""
        self.stage = stage
        self.invariants = [kind(stage, self.fail) for kind in invariants]
        # Only those that do something are asked: a storm asks millions of times.
        self._ask = {
            name: [getattr(one, name) for one in self.invariants if name in vars(type(one))] for name in QUESTIONS
        }
        # A `get` moves nothing: what is said of it is no word on a command.
        counting = [one.taken for one in self.invariants if one.name == COUNTS_WORDS]
        self._ask["taken of get"] = [ask for ask in self._ask["taken"] if ask not in counting]

    def fail(self, invariant: str, text: str) -> None:
        """The first violation counts."""
        if self.violation is None and self.stage is not None:
            self.violation = Violation(invariant, self.stage.world.elapsed, text)
            self.broken.set()

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self._keeps_trace and self.stage is not None:
            self.trace.append(f"{self.stage.world.elapsed:12.3f}  {text}")

    def check(self) -> None:
        """Everything must be right now."""
        self.note("check")
        for ask in self._ask["check"]:
            ask()

    def ticked(self) -> None:
        """A minute is over."""
        for ask in self._ask["ticked"]:
            ask()

    def ordered(self, order: Order) -> None:
        for ask in self._ask["ordered"]:
            ask(order)

    def call_began(self, call: Call) -> None:
        for ask in self._ask["call_began"]:
            ask(call)

    def call_arrived(self, call: Call) -> None:
        answer = call.answer
        what = (
            "" if answer is None else f"{answer.ending} {answer.status} {answer.body[:900]!r} in {answer.delay_s:g} s"
        )
        self.note(f"{call.computer.name} asks {call.host}{call.path} {dict(call.params)}: {what}")
        for ask in self._ask["call_arrived"]:
            ask(call)

    def call_ended(self, call: Call) -> None:
        for ask in self._ask["call_ended"]:
            ask(call)

    def said(self, computer: Computer, packet: Packet) -> None:
        for ask in self._ask["said"]:
            ask(computer, packet)

    def taken(self, taken: Taken) -> None:
        packet = taken.packet
        if self._keeps_trace and "/health" not in packet.topic and not packet.topic.startswith("homeassistant/device"):
            flag = " (retain)" if packet.retain else ""
            self.note(f"{taken.client_id} says {packet.topic}{flag} {packet.payload[:300].decode(errors='replace')}")
        is_of_get = packet.topic.endswith("/result") and _GET in packet.payload
        for ask in self._ask["taken of get" if is_of_get else "taken"]:
            ask(taken)

    def delivered(self, computer: Computer, packet: Packet) -> None:
        for ask in self._ask["delivered"]:
            ask(computer, packet)

    def called_back(
        self, computer: Computer | None, bridge: SimulatedBridge, body: bytes, status: int, *, is_forged: bool
    ) -> None:
        if self._keeps_trace:
            self.note(f"callback{' (forged)' if is_forged else ''} {status} {body[:160].decode(errors='replace')}")
        for ask in self._ask["called_back"]:
            ask(computer, bridge, body, status, is_forged=is_forged)

    def web_began(self, call: WebCall) -> None:
        for ask in self._ask["web_began"]:
            ask(call)

    def web_arrived(self, call: WebCall) -> None:
        answer = call.answer
        if self._keeps_trace and answer is not None:
            what = f"{answer.ending} {answer.status} {answer.body[:900]!r} in {answer.delay_s:g} s"
            promised = [str(one.kind) for one in call.promised]
            self.note(
                f"{call.computer.name} asks the cloud {call.method} {call.path} {call.content!r}: {what} {promised}"
            )
        for ask in self._ask["web_arrived"]:
            ask(call)

    def web_ended(self, call: WebCall) -> None:
        for ask in self._ask["web_ended"]:
            ask(call)

    def hooked(self, computer: Computer, body: bytes, status: int, *, is_forged: bool) -> None:
        if self._keeps_trace:
            self.note(f"webhook{' (forged)' if is_forged else ''} {status} {body[:160].decode(errors='replace')}")
        for ask in self._ask["hooked"]:
            ask(computer, body, status, is_forged=is_forged)

    def code_ordered(self, order: CodeOrder) -> None:
        for ask in self._ask["code_ordered"]:
            ask(order)

    def changed(self, device: SimulatedDevice) -> None:
        self.note(f"house: {device.name!s} state {device.state} door {device.door} mode {device.mode}")
        for ask in self._ask["changed"]:
            ask(device)

    def logged(self, text: str) -> None:
        self.note(f"log: {text}")
        for ask in self._ask["logged"]:
            ask(text)

    def crashed(self, computer: Computer, error: BaseException) -> None:
        self.note(f"crash of {computer.name}: {error!r}")
        for ask in self._ask["crashed"]:
            ask(computer, error)
