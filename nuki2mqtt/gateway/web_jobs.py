"""What waits to be sent to the cloud, and which kind of it goes first."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, auto

from nuki2mqtt.errors import WebError
from nuki2mqtt.gateway.vocabulary import CallWeb, DropWeb, Log
from nuki2mqtt.protocol.web_api import (
    ActivityRequest,
    AuthorizationListRequest,
    AuthorizationPageRequest,
    AuthorizationRequest,
    DeviceActionRequest,
    DeviceListRequest,
    DeviceRequest,
    SyncRequest,
    WebAnswer,
    WebRequest,
)

MOST_WAITING = 500


class WebJobKind(IntEnum):
    """What a request is for, the most urgent first."""

    ORDER = auto()
    LOOK = auto()
    LIST = auto()
    WRITE = auto()
    AUTHORIZATIONS = auto()
    LOG = auto()
    SYNC = auto()
    OTHER = auto()


# Somebody waits for these: they overtake, and go out also when the cloud is in trouble.
URGENT = frozenset({WebJobKind.ORDER, WebJobKind.LOOK})


def job_kind_of(request: WebRequest) -> WebJobKind:
    """What a request is for; whatever writes and is no order to a device is a `WRITE`."""
    match request:
        case DeviceActionRequest():
            return WebJobKind.ORDER
        case DeviceRequest():
            return WebJobKind.LOOK
        case DeviceListRequest():
            return WebJobKind.LIST
        case SyncRequest():
            return WebJobKind.SYNC
        case ActivityRequest():
            return WebJobKind.LOG
        case AuthorizationListRequest() | AuthorizationPageRequest() | AuthorizationRequest():
            return WebJobKind.AUTHORIZATIONS
        case _:
            return WebJobKind.OTHER if request.method == "GET" else WebJobKind.WRITE


def device_of(request: WebRequest) -> int | None:
    """The cloud's number of the one device that a request is about; None where it is about several or none."""
    number = getattr(request, "smartlock_id", None)
    return number if isinstance(number, int) else None


WebEffect = CallWeb | DropWeb | Log


@dataclass(frozen=True, slots=True)
class WebJob:
    """One request: `ask_id` is None for the link's own poll, `not_after` monotonic seconds."""

    kind: WebJobKind
    request: WebRequest
    ask_id: int | None = None
    due: float = 0.0
    not_after: float | None = None


@dataclass(frozen=True, slots=True)
class WebEnded:
    """A request is over. `sent` and `received` are monotonic seconds; `sent` is None where it never went out."""

    ask_id: int | None
    request: WebRequest
    answer: WebAnswer | WebError
    sent: float | None
    received: float


class WaitingJobs:
    """What was asked and has not gone out: by urgency, then in the order in which it came."""

    def __init__(self) -> None:
        self._jobs: dict[int, WebJob] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: WebJob) -> bool:
        """Wait to be sent; False if too much waits. What is urgent always may: of each device there is little of it."""
        if job.ask_id is None or (len(self._jobs) >= MOST_WAITING and job.kind not in URGENT):
            return False
        self._jobs[job.ask_id] = job
        return True

    def put_back(self, job: WebJob) -> None:
        """It was sent and is to be sent again, before what came after it."""
        if job.ask_id is not None:
            self._jobs = {job.ask_id: job, **self._jobs}

    def withdraw(self, ask_id: int) -> None:
        """Do not send it any more."""
        self._jobs.pop(ask_id, None)

    def has(self, ask_id: int) -> bool:
        """Whether it waits still."""
        return ask_id in self._jobs

    def clear(self) -> None:
        """Send nothing of what waits."""
        self._jobs.clear()

    def take_all(self, is_meant: Callable[[WebJob], bool]) -> list[WebJob]:
        """All jobs that are meant; they wait no more."""
        taken = [job for job in self._jobs.values() if is_meant(job)]
        for job in taken:
            self.withdraw(job.ask_id or 0)
        return taken

    def next_due(self, is_meant: Callable[[WebJob], bool]) -> float | None:
        """When the first of those that are meant may go."""
        return min((job.due for job in self._jobs.values() if is_meant(job)), default=None)

    def next_end(self) -> float | None:
        """When the first of those that have an end is not to be sent any more."""
        return min((job.not_after for job in self._jobs.values() if job.not_after is not None), default=None)

    def first(self, now: float, is_meant: Callable[[WebJob], bool]) -> WebJob | None:
        """The most urgent one that may go now; it goes on waiting."""
        ready = (job for job in self._jobs.values() if job.due <= now and is_meant(job))
        return min(ready, key=lambda job: job.kind, default=None)
