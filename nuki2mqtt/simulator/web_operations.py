"""What the cloud has promised with a 204 and not yet done: one operation of a device after the other. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from nuki2mqtt.simulator.house import House
from nuki2mqtt.simulator.web_faults import Write


class WriteEnd(StrEnum):
    """What has become of a write; `NO_EFFECT`: it reached the device, which did not change by it."""

    WAITING = "waiting"
    DONE = "done"
    NO_EFFECT = "no_effect"
    LOST = "lost"


@dataclass(eq=False, kw_only=True, slots=True)
class Operation:
    """One of them: it takes so many seconds from its turn on, then `do` is called once, if at all.

    `do` says whether it has changed anything. `auth_ids` are the authorizations that it holds meanwhile. Times are
    epoch seconds; `ended_at` is None while it waits.
    """

    id: str
    nuki_id: int
    kind: Write
    do: Callable[[], bool] = field(repr=False)
    asked_at: float
    takes_s: float
    is_lost: bool = False
    auth_ids: frozenset[str] = frozenset()
    end: WriteEnd = WriteEnd.WAITING
    ended_at: float | None = None


class Lane:
    """The operations that wait for each other. What finds its device offline waits for it there, or is lost."""

    def __init__(self, house: House, *, is_reachable: Callable[[], bool], is_kept: Callable[[], bool]) -> None:
        self._house = house
        self._is_reachable = is_reachable
        self._is_kept = is_kept
        self._operations: deque[Operation] = deque()
        self._is_stalled = False

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The one under way and those behind it."""
        return tuple(self._operations)

    def add(self, operation: Operation) -> None:
        """Let it happen after the others."""
        self._operations.append(operation)
        if len(self._operations) == 1:
            self._plan()

    def resume(self) -> None:
        """The device is back: what has waited for it takes its time anew."""
        if self._is_stalled:
            self._is_stalled = False
            self._plan()

    def _plan(self) -> None:
        operation = self._operations[0]
        self._house.plan(self._house.now + operation.takes_s, None, partial(self._happen, operation))

    def _happen(self, operation: Operation) -> None:
        is_reachable = self._is_reachable()
        if not is_reachable and self._is_kept():
            self._is_stalled = True
            return
        self._operations.popleft()
        operation.ended_at = self._house.now
        if operation.is_lost or not is_reachable:
            operation.end = WriteEnd.LOST
        else:
            operation.end = WriteEnd.DONE if operation.do() else WriteEnd.NO_EFFECT
        if self._operations:
            self._plan()
