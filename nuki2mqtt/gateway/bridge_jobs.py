"""What waits to be sent to one Bridge, and which kind of it goes first."""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum, auto

from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import BridgeRequest, LockActionRequest

_MOST_QUESTIONS = 8


class JobKind(IntEnum):
    """What a request is for, the most urgent first."""

    ACTION = auto()
    LIST = auto()
    LOCK_STATE = auto()
    ASKED = auto()
    LEASE = auto()
    SLOTS = auto()
    INFO = auto()


# Their failure says little of the next request, and they are never sent again by the link itself.
ONCE = frozenset({JobKind.ACTION, JobKind.ASKED})


@dataclass(frozen=True, slots=True)
class Job:
    """One request and what it is for: `nuki_id` of an order or a direct read, `ask_id` of what a person asked for.

    `not_after`: monotonic seconds after which an order is not to be written any more.
    """

    kind: JobKind
    request: BridgeRequest
    nuki_id: NukiId | None = None
    ask_id: int | None = None
    not_after: float | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    job: Job
    due: float


class Orders:
    """Orders to locks, one for each device, in the order in which they came."""

    def __init__(self) -> None:
        self._orders: dict[NukiId, _Order] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def put(self, nuki_id: NukiId, request: LockActionRequest, due: float, not_after: float) -> None:
        """Wait to be sent between these times (monotonic seconds); replaces one that waits for this device."""
        self._orders[nuki_id] = _Order(Job(JobKind.ACTION, request, nuki_id, not_after=not_after), due)

    def withdraw(self, nuki_id: NukiId) -> None:
        """Do not send the order that waits for this device."""
        self._orders.pop(nuki_id, None)

    def clear(self) -> None:
        """Send nothing of what waits."""
        self._orders.clear()

    @property
    def devices(self) -> tuple[NukiId, ...]:
        """The devices for which an order waits."""
        return tuple(self._orders)

    def next_due(self) -> float | None:
        """When the next order may go."""
        return min([order.due for order in self._orders.values()]) if self._orders else None

    def take(self, now: float) -> Job | None:
        """The first order that may go now; it waits no more."""
        nuki_id = next((nuki_id for nuki_id, order in self._orders.items() if order.due <= now), None)
        return None if nuki_id is None else self._orders.pop(nuki_id).job


class Questions:
    """What people ask a Bridge, first come, first served, each once."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, ask_id: int, request: BridgeRequest) -> bool:
        """Wait to be sent; False if too much waits."""
        if len(self._jobs) >= _MOST_QUESTIONS:
            return False
        self._jobs.append(Job(JobKind.ASKED, request, ask_id=ask_id))
        return True

    def withdraw(self, ask_id: int) -> None:
        """Do not ask it any more."""
        self._jobs = deque(job for job in self._jobs if job.ask_id != ask_id)

    def clear(self) -> None:
        """Ask nothing of what waits."""
        self._jobs.clear()

    def take(self) -> Job | None:
        """The next question; it waits no more."""
        return self._jobs.popleft() if self._jobs else None
