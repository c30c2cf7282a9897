"""Named faults of a simulated cloud: each begins and ends, and may concern one device, one path or one kind of write.

    with cloud.faults.lost_writes(kind="delete"):
        ...

What is known to go wrong: reference of the Web API, sections 1.2, 6.2 and 7. Where nothing is said of a fault, it does
what it does until it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud


class CloudFaultName(StrEnum):
    """Every fault of the cloud."""

    REFUSE_TOKEN = "refuse_token"  # noqa: S105 - a fault's name
    PROXY_ERROR = "proxy_error"
    THROTTLE = "throttle"
    SILENT = "silent"
    RESET_CONNECTIONS = "reset_connections"
    REFUSE_CONNECTIONS = "refuse_connections"
    GARBAGE = "garbage"
    OFFLINE = "offline"
    LOST_WRITES = "lost_writes"
    SLOW_WRITES = "slow_writes"
    GHOST_CREATES = "ghost_creates"
    HELD_OPERATION = "held_operation"
    FROZEN_COPY = "frozen_copy"
    STRIPPED = "stripped"
    SLOW_LOG = "slow_log"
    LOST_LOG = "lost_log"
    NAMELESS_LOG = "nameless_log"
    SILENT_WEBHOOKS = "silent_webhooks"
    REPEATED_WEBHOOKS = "repeated_webhooks"


class Write(StrEnum):
    """The kinds of what a cloud has a device do."""

    ACTION = "action"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    SYNC = "sync"
    CONFIG = "config"


def _nothing() -> None:
    """Nothing to do at this end of the fault."""


@dataclass(eq=False, kw_only=True)
class CloudFault:
    """One fault. `nuki_id`, `path` or `kind` None means all of them; `acts`: the request is carried out all the same.

    A path is a request's own, or that of a route as `/smartlock/{smartlockId}/log`. `hits`: how often it was met.
    """

    name: CloudFaultName
    faults: "CloudFaults" = field(repr=False)
    nuki_id: int | None = None
    path: str | None = None
    kind: Write | None = None
    acts: bool = False
    status: int = 200
    body: bytes = b""
    seconds: float | None = None
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


class CloudFaults:
    """All faults that a cloud can have; `active` lists those that it has now."""

    def __init__(self, cloud: "SimulatedCloud") -> None:
        self.active: list[CloudFault] = []
        self._cloud = cloud
        self._observers: list[Callable[[], None]] = []

    def find(
        self,
        name: CloudFaultName,
        *,
        nuki_id: int | None = None,
        paths: tuple[str, ...] = (),
        kind: Write | None = None,
    ) -> CloudFault | None:
        """The newest active fault of this name that concerns the device, one of the paths and the kind."""
        for fault in reversed(self.active):
            concerns = fault.nuki_id in {None, nuki_id} and fault.kind in {None, kind}
            if fault.name is name and concerns and fault.path in {None, *paths}:
                fault.hits += 1
                return fault
        return None

    def has(self, name: CloudFaultName, *, nuki_id: int | None = None) -> bool:
        """Whether such a fault is active; it counts as a hit."""
        return self.find(name, nuki_id=nuki_id) is not None

    def is_on(self, name: CloudFaultName, *, nuki_id: int | None = None) -> bool:
        """The same without a hit, for who only looks."""
        return any(fault.name is name and fault.nuki_id in {None, nuki_id} for fault in self.active)

    def observe(self, observer: Callable[[], None]) -> None:
        """Call `observer` after each beginning and end."""
        self._observers.append(observer)

    def ignore(self, observer: Callable[[], None]) -> None:
        """Do not call `observer` any more."""
        self._observers.remove(observer)

    def tell(self) -> None:
        """Tell all observers that a fault has begun or ended."""
        for observer in tuple(self._observers):
            observer()

    def refuse_token(self) -> CloudFault:
        """401 to everything, as after a change of the account's password."""
        return CloudFault(name=CloudFaultName.REFUSE_TOKEN, faults=self)

    def proxy_error(self, path: str | None = None, *, status: int = 502, acts: bool = False) -> CloudFault:
        """The proxy before the API answers with this status, in HTML."""
        return CloudFault(name=CloudFaultName.PROXY_ERROR, faults=self, path=path, status=status, acts=acts)

    def throttle(self, path: str | None = None, *, seconds: float | None = None) -> CloudFault:
        """429, with `Retry-After` where seconds are given."""
        return CloudFault(name=CloudFaultName.THROTTLE, faults=self, path=path, seconds=seconds)

    def silent(self, path: str | None = None, *, acts: bool = False) -> CloudFault:
        """The connection is taken and no answer comes."""
        return CloudFault(name=CloudFaultName.SILENT, faults=self, path=path, acts=acts)

    def reset_connections(self, path: str | None = None, *, acts: bool = False) -> CloudFault:
        """The connection is taken and broken without an answer."""
        return CloudFault(name=CloudFaultName.RESET_CONNECTIONS, faults=self, path=path, acts=acts)

    def refuse_connections(self) -> CloudFault:
        """Nobody listens: nothing is written."""
        return CloudFault(name=CloudFaultName.REFUSE_CONNECTIONS, faults=self)

    def garbage(self, path: str, body: bytes, *, status: int = 200, acts: bool = False) -> CloudFault:
        """One path answers these bytes with this status; with `acts` it does its work, too."""
        return CloudFault(name=CloudFaultName.GARBAGE, faults=self, path=path, body=body, status=status, acts=acts)

    def offline(self, nuki_id: int) -> CloudFault:
        """The device does not reach the cloud: its server state is 4, nothing comes from it, no write reaches it."""
        known = self._cloud.known(nuki_id)
        return CloudFault(
            name=CloudFaultName.OFFLINE,
            faults=self,
            nuki_id=nuki_id,
            at_begin=known.go,
            at_end=known.come_back,
        )

    def lost_writes(self, nuki_id: int | None = None, *, kind: Write | None = None) -> CloudFault:
        """What is written meanwhile is answered 204 and never carried out."""
        return CloudFault(name=CloudFaultName.LOST_WRITES, faults=self, nuki_id=nuki_id, kind=kind)

    def slow_writes(self, seconds: float, *, nuki_id: int | None = None, kind: Write | None = None) -> CloudFault:
        """What is written meanwhile is carried out only after so many seconds."""
        return CloudFault(name=CloudFaultName.SLOW_WRITES, faults=self, seconds=seconds, nuki_id=nuki_id, kind=kind)

    def ghost_creates(self, nuki_id: int | None = None) -> CloudFault:
        """New authorizations come into the cloud's list and not onto the lock."""
        return CloudFault(name=CloudFaultName.GHOST_CREATES, faults=self, nuki_id=nuki_id)

    def held_operation(self, nuki_id: int) -> CloudFault:
        """An operation holds the device and all its authorizations: 423 to every write that heeds one."""
        return CloudFault(name=CloudFaultName.HELD_OPERATION, faults=self, nuki_id=nuki_id)

    def frozen_copy(self, nuki_id: int) -> CloudFault:
        """The cloud's copy of the state does not follow the device; its log does."""
        known = self._cloud.known(nuki_id)
        return CloudFault(name=CloudFaultName.FROZEN_COPY, faults=self, nuki_id=nuki_id, at_end=known.catch_up)

    def stripped(self, nuki_id: int | None = None) -> CloudFault:
        """A device is shown without state and settings, with an `error`, as without a subscription."""
        return CloudFault(name=CloudFaultName.STRIPPED, faults=self, nuki_id=nuki_id)

    def slow_log(self, seconds: float, *, nuki_id: int | None = None) -> CloudFault:
        """What happens meanwhile shows in the log so many seconds later than usual."""
        return CloudFault(name=CloudFaultName.SLOW_LOG, faults=self, seconds=seconds, nuki_id=nuki_id)

    def lost_log(self, nuki_id: int | None = None) -> CloudFault:
        """What happens meanwhile never shows in the log."""
        return CloudFault(name=CloudFaultName.LOST_LOG, faults=self, nuki_id=nuki_id)

    def nameless_log(self, nuki_id: int | None = None) -> CloudFault:
        """Entries that come meanwhile have no name when they are read; webhooks name them."""
        return CloudFault(name=CloudFaultName.NAMELESS_LOG, faults=self, nuki_id=nuki_id)

    def silent_webhooks(self) -> CloudFault:
        """No webhook is sent for what changes meanwhile."""
        return CloudFault(name=CloudFaultName.SILENT_WEBHOOKS, faults=self)

    def repeated_webhooks(self) -> CloudFault:
        """Every webhook is sent twice."""
        return CloudFault(name=CloudFaultName.REPEATED_WEBHOOKS, faults=self)
