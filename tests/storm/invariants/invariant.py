"""What every invariant is: it watches the world and says at once where something is not as it must be.

The truth is read from the house alone, and what went over the wire from the requests that Bridges saw alone; of the
gateway itself nothing is asked.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedDevice
from tests.storm.broker import Packet, Taken
from tests.storm.cloud import WebCall
from tests.storm.computer import Computer
from tests.storm.keypad_people import CodeOrder
from tests.storm.people import Order
from tests.storm.world import Call

if TYPE_CHECKING:
    from tests.storm.stage import Stage

Fail = Callable[[str, str], None]


class Invariant:
    """Hears of everything; a kind of its own overrides what it needs. `name` is its number in docs/reliability.md."""

    name = "0"

    def __init__(self, stage: "Stage", fail: Fail) -> None:
        self.stage = stage
        self.world = stage.world
        self._fail = fail

    def fail(self, text: str) -> None:
        """Something is not as it must be."""
        self._fail(self.name, text)

    def ordered(self, order: Order) -> None:
        """Somebody wrote an order for the first time."""

    def call_began(self, call: Call) -> None:
        """A gateway is about to ask a Bridge."""

    def call_arrived(self, call: Call) -> None:
        """A Bridge has got a request, and its answer is made."""

    def call_ended(self, call: Call) -> None:
        """The gateway has its answer, or has given up."""

    def said(self, computer: Computer, packet: Packet) -> None:
        """A gateway hands a message to its connection; the broker may get it later, or never."""

    def taken(self, taken: Taken) -> None:
        """The broker took a message."""

    def delivered(self, computer: Computer, packet: Packet) -> None:
        """A message arrived at a gateway's link."""

    def called_back(
        self, computer: Computer | None, bridge: SimulatedBridge, body: bytes, status: int, *, is_forged: bool
    ) -> None:
        """A callback arrived somewhere, or nowhere."""

    def code_ordered(self, order: CodeOrder) -> None:
        """Somebody wrote an order for a keypad code for the first time."""

    def web_began(self, call: WebCall) -> None:
        """A gateway is about to ask the cloud."""

    def web_arrived(self, call: WebCall) -> None:
        """The cloud has got a request, and its answer is made."""

    def web_ended(self, call: WebCall) -> None:
        """The gateway has its answer, has given up, or waits no more."""

    def hooked(self, computer: Computer, body: bytes, status: int, *, is_forged: bool) -> None:
        """A webhook arrived, or found nobody."""

    def changed(self, device: SimulatedDevice) -> None:
        """A device is not as it was."""

    def logged(self, text: str) -> None:
        """A line of the log, before anything is taken out of it."""

    def crashed(self, computer: Computer, error: BaseException) -> None:
        """The service ended by an exception."""

    def ticked(self) -> None:
        """A minute is over."""

    def check(self) -> None:
        """All faults are over for long enough: everything must be right."""
