"""Scoped, named faults of a Bridge and its radio, each with a beginning and an end.

`with bridge.faults.busy(): ...`, or `fault = bridge.faults.busy()` with `fault.begin()` and `fault.end()`.
Faults begin and end at the house's `now`. The reference, sections 1 to 4, says where most were seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from nuki2mqtt.simulator.bridge import SimulatedBridge


class FaultName(StrEnum):
    """Every fault."""

    SILENT_CALLBACKS = "silent_callbacks"
    REFUSE_TOKEN = "refuse_token"  # noqa: S105 - a fault's name
    BUSY = "busy"
    SILENT = "silent"
    REFUSE_CONNECTIONS = "refuse_connections"
    RESET_CONNECTIONS = "reset_connections"
    GARBAGE = "garbage"
    FROZEN_CACHE = "frozen_cache"
    NO_LAST_KNOWN_STATE = "no_last_known_state"
    UNREACHABLE = "unreachable"
    MISSING_FROM_SCAN = "missing_from_scan"
    STUCK_STATE = "stuck_state"
    LOST_ORDERS = "lost_orders"
    REBOOT = "reboot"
    SLOTS_TAKEN = "slots_taken"
    CLOCK_SKEW = "clock_skew"


def _nothing() -> None:
    """Nothing to do at this end of the fault."""


@dataclass(eq=False, kw_only=True)
class Fault:
    """One fault. `nuki_id` or `path` None means all of them; `acts`: the order is executed all the same.

    `hits` counts how often it was met: a request, a callback or a reading that it changed.
    """

    name: FaultName
    faults: "Faults" = field(repr=False)
    nuki_id: int | None = None
    path: str | None = None
    acts: bool = False
    status: int = 200
    body: bytes = b""
    seconds: float = 0.0
    hits: int = 0
    at_begin: Callable[[], None] = field(default=_nothing, repr=False)
    at_end: Callable[[], None] = field(default=_nothing, repr=False)

    @property
    def is_active(self) -> bool:
        """Whether it has begun and not ended."""
        return self in self.faults.active

    def begin(self) -> Self:
        """Begin; raises RuntimeError when it has begun already."""
        if self.is_active:
            raise RuntimeError(f"{self.name} has begun already")
        self.faults.active.append(self)
        self.at_begin()
        self.faults.tell()
        return self

    def end(self) -> None:
        """End; a fault that has ended already stays so."""
        if self.is_active:
            self.faults.active.remove(self)
            self.at_end()
            self.faults.tell()

    def __enter__(self) -> Self:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Faults:
    """All faults that a Bridge can have; `active` lists those that it has now."""

    def __init__(self, bridge: "SimulatedBridge") -> None:
        self.active: list[Fault] = []
        self._bridge = bridge
        self._observers: list[Callable[[], None]] = []

    def find(self, name: FaultName, *, nuki_id: int | None = None, path: str | None = None) -> Fault | None:
        """The newest active fault of this name that concerns the device and the path."""
        for fault in reversed(self.active):
            if fault.name is name and fault.nuki_id in {None, nuki_id} and fault.path in {None, path}:
                fault.hits += 1
                return fault
        return None

    def has(self, name: FaultName, *, nuki_id: int | None = None, path: str | None = None) -> bool:
        """Whether such a fault is active."""
        return self.find(name, nuki_id=nuki_id, path=path) is not None

    @property
    def clock_skew_s(self) -> float:
        """How far the active faults put the Bridge's clock ahead."""
        return sum(fault.seconds for fault in self.active if fault.name is FaultName.CLOCK_SKEW)

    def observe(self, observer: Callable[[], None]) -> None:
        """Call `observer` after each beginning and end."""
        self._observers.append(observer)

    def ignore(self, observer: Callable[[], None]) -> None:
        """Do not call `observer` any more."""
        self._observers.remove(observer)

    def tell(self) -> None:
        """Tell all observers that a fault has begun or ended."""
        for observer in self._observers:
            observer()

    def silent_callbacks(self) -> Fault:
        """No callback is sent for what changes meanwhile."""
        return Fault(name=FaultName.SILENT_CALLBACKS, faults=self)

    def refuse_token(self) -> Fault:
        """401 to everything that needs a token."""
        return Fault(name=FaultName.REFUSE_TOKEN, faults=self)

    def busy(self, path: str | None = None, *, acts: bool = False) -> Fault:
        """503 to everything or to one path."""
        return Fault(name=FaultName.BUSY, faults=self, path=path, acts=acts)

    def silent(self, path: str | None = None, *, acts: bool = False) -> Fault:
        """The connection is taken and no answer comes."""
        return Fault(name=FaultName.SILENT, faults=self, path=path, acts=acts)

    def refuse_connections(self) -> Fault:
        """Nobody listens on the port: nothing is written."""
        return Fault(name=FaultName.REFUSE_CONNECTIONS, faults=self)

    def reset_connections(self, path: str | None = None, *, acts: bool = False) -> Fault:
        """The connection is taken and broken without an answer."""
        return Fault(name=FaultName.RESET_CONNECTIONS, faults=self, path=path, acts=acts)

    def garbage(self, path: str, body: bytes, status: int = 200) -> Fault:
        """One endpoint does its work and answers 200 with these bytes (or with another status)."""
        return Fault(name=FaultName.GARBAGE, faults=self, path=path, body=body, status=status)

    def frozen_cache(self, nuki_id: int) -> Fault:
        """`/list` does not follow the device, not even after a `/lockState`; callbacks still come."""
        bridge = self._bridge
        return Fault(
            name=FaultName.FROZEN_CACHE,
            faults=self,
            nuki_id=nuki_id,
            at_end=lambda: bridge.catch_up(nuki_id),
        )

    def no_last_known_state(self, nuki_id: int | None = None) -> Fault:
        """`/list` has neither state nor firmware of the device, or of all."""
        return Fault(name=FaultName.NO_LAST_KNOWN_STATE, faults=self, nuki_id=nuki_id)

    def unreachable(self, nuki_id: int) -> Fault:
        """The radio does not reach the device: no reads, no orders, no callbacks, not in the scan."""
        bridge = self._bridge
        return Fault(
            name=FaultName.UNREACHABLE,
            faults=self,
            nuki_id=nuki_id,
            at_end=lambda: bridge.catch_up(nuki_id),
        )

    def missing_from_scan(self, nuki_id: int) -> Fault:
        """The device is not among the scan results, though it answers."""
        return Fault(name=FaultName.MISSING_FROM_SCAN, faults=self, nuki_id=nuki_id)

    def stuck_state(self, nuki_id: int, code: int) -> Fault:
        """`/list` shows this state until a `/lockState` ends the fault; callbacks still come."""
        bridge = self._bridge
        return Fault(
            name=FaultName.STUCK_STATE,
            faults=self,
            nuki_id=nuki_id,
            at_begin=lambda: bridge.stick(nuki_id, code),
            at_end=lambda: bridge.catch_up(nuki_id),
        )

    def lost_orders(self, nuki_id: int) -> Fault:
        """Orders are answered with `success` true, and nothing moves."""
        return Fault(name=FaultName.LOST_ORDERS, faults=self, nuki_id=nuki_id)

    def reboot(self, *, lose_states: bool = False, lose_callbacks: bool = False) -> Fault:
        """Begins with a boot (uptime 0); ends when all devices have been read again."""
        bridge = self._bridge
        return Fault(
            name=FaultName.REBOOT,
            faults=self,
            at_begin=lambda: bridge.boot(lose_states=lose_states, lose_callbacks=lose_callbacks),
            at_end=bridge.catch_up,
        )

    def slots_taken(self, count: int) -> Fault:
        """Strangers take callback slots: free ones first, then the last ones of others, which are lost."""
        bridge = self._bridge
        urls = [f"http://192.0.2.{200 + number}:8080/stranger" for number in range(count)]
        return Fault(
            name=FaultName.SLOTS_TAKEN,
            faults=self,
            at_begin=lambda: bridge.callbacks.seat(urls),
            at_end=lambda: bridge.callbacks.unseat(urls),
        )

    def clock_skew(self, seconds: float) -> Fault:
        """The Bridge's clock runs ahead by so much (behind, if negative)."""
        return Fault(name=FaultName.CLOCK_SKEW, faults=self, seconds=seconds)
