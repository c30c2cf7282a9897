"""The Nuki Web API over a simulated house. Pure, and seeded: the same requests at the same times, the same answers.

    cloud = SimulatedCloud(house, seed=4)
    cloud.tokens["secret"] = frozenset({"smartlock.readOnly", "smartlock.action"})
    cloud.add(lock)
    answer = cloud.answer("POST", "/smartlock/17740534100/action", {}, cloud_headers, b'{"action":2}', now)

A write is answered 204 when it is valid; it is carried out later, or never. Everything that is yet to happen stands on
the house's agenda: it happens when the house is advanced, through this cloud, a Bridge, or by hand. Behaves as the
reference of the Web API says; where its sources contradict each other, a setting in `Conduct` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any, Self, TypeAlias, TypeVar

from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.house import House, SimulatedDevice, Timing
from nuki2mqtt.simulator.keypad import NEW_CAPACITY
from nuki2mqtt.simulator.script import Chance
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_faults import CloudFault, CloudFaultName, CloudFaults, Write
from nuki2mqtt.simulator.web_hooks import OwedPost, Webhooks
from nuki2mqtt.simulator.web_log import Log
from nuki2mqtt.simulator.web_operations import Operation
from nuki2mqtt.simulator.web_routes import CloudCall, find_call
from nuki2mqtt.simulator.web_values import (
    NOT_AUTHORIZED,
    CloudAsked,
    CloudRefusalError,
    Ids,
    proxy_page,
    refusal_body,
    write,
)

JSON = "application/json;charset=UTF-8"
MOST_REQUESTS = 10_000  # the oldest half is forgotten then
_BEARER = "bearer "
_T = TypeVar("_T")

Range: TypeAlias = "tuple[float, float]"  # from and to, in seconds; chance picks between them


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudTiming:
    """How long things take, in seconds; the reference says seconds for writes, about a minute for the log."""

    answer_s: float = 0.2
    state_s: float = 1.0
    webhook_s: float = 0.5
    action_s: Range = (0.8, 2.5)
    write_s: Range = (2.0, 8.0)
    sync_s: Range = (3.0, 10.0)
    log_s: Range = (45.0, 75.0)
    daily_sync_s: float = 86_400.0

    def of(self, kind: Write) -> Range:
        """How long a write takes."""
        return {Write.ACTION: self.action_s, Write.SYNC: self.sync_s}.get(kind, self.write_s)

    def scaled(self, factor: float) -> Self:
        """The same with everything multiplied but the day."""
        ranges: dict[str, Any] = {name: tuple(factor * end for end in getattr(self, name)) for name in _RANGES}
        numbers = {name: factor * getattr(self, name) for name in ("answer_s", "state_s", "webhook_s")}
        return replace(self, **ranges, **numbers)


_RANGES = ("action_s", "write_s", "sync_s", "log_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How this cloud behaves where the reference knows two answers or none.

    `keeps_offline_writes`: what is written to a device that is offline waits for it, or else is lost (section 6.2).
    `code_is_a_list`, `omits_defaults`: of authorizations (section 3.5). `update_heals_ghosts`: an update brings a ghost
    onto the lock (section 6.2). `shows_webhook_secret`: also in the list (section 2.5). `allows_plain_webhooks`: HTTP
    addresses, which the real one refuses. `failed_trigger`: of an attempt at the keypad, 253 or 255 (section 7).
    """

    keeps_offline_writes: bool = True
    code_is_a_list: bool = False
    omits_defaults: bool = False
    update_heals_ghosts: bool = False
    shows_webhook_secret: bool = False
    allows_plain_webhooks: bool = False
    failed_trigger: int = 255


@dataclass(frozen=True, slots=True)
class CloudAnswer:
    """What becomes of a request; `status` is 0 unless `ANSWERED`, `delay_s` is infinite when `SILENT`."""

    status: int
    body: bytes = field(default=b"", repr=False)
    delay_s: float = 0.0
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending = Ending.ANSWERED


@dataclass(frozen=True, slots=True)
class CloudRequest:
    """A request as it came, without its token; `status` is 0 when it got no answer."""

    at: float
    method: str
    path: str
    query: Mapping[str, str]
    status: int
    ending: Ending = Ending.ANSWERED
    body: bytes = field(default=b"", repr=False)


class SimulatedCloud:
    """One account's cloud over the devices that were given to it with `add`.

    `tokens` says which scopes each token has. `requests` are those that came, `writes` what it has promised with a 204
    and what became of it, both oldest first and bounded. `motor` is how long motors take for what the cloud orders.
    """

    def __init__(
        self,
        house: House,
        *,
        seed: int = 4,
        timing: CloudTiming | None = None,
        motor: Timing | None = None,
        conduct: Conduct | None = None,
    ) -> None:
        self.house = house
        self.seed = seed
        self.timing = CloudTiming() if timing is None else timing
        self.motor = Timing() if motor is None else motor
        self.conduct = Conduct() if conduct is None else conduct
        self.began_at = house.now
        self.account_id = 1_980_000_000 + seed % 1000
        self.account_user_id = 1_910_000_000 + seed % 1000
        self.tokens: dict[str, frozenset[str]] = {}
        self.requests: list[CloudRequest] = []
        self.writes: list[Operation] = []
        self.chance = Chance(seed)
        self.ids = Ids(seed)
        self.faults = CloudFaults(self)
        self.hooks = Webhooks(self)
        self.log = Log(self)
        self._known: dict[int, KnownDevice] = {}
        self._added = 0
        house.observe(self._notice)
        house.witnesses.add(self.log.witness)

    @property
    def devices(self) -> tuple[KnownDevice, ...]:
        """All devices of the account, in the order in which they came."""
        return tuple(self._known.values())

    def add(self, device: SimulatedDevice, *, has_unlatch: bool = True, capacity: int = NEW_CAPACITY) -> KnownDevice:
        """Take a device of the house into the account; raises ValueError for one that is there already."""
        if device.nuki_id in self._known:
            raise ValueError(f"{device.nuki_id:08X} is in the account already")
        self._added += 1
        auth_id = self.account_user_id + self._added
        known = KnownDevice(self, device, auth_id=auth_id, has_unlatch=has_unlatch, capacity=capacity)
        self._known[device.nuki_id] = known
        self.log.begin(known)
        first_s = self.chance.between((0.0, self.timing.daily_sync_s))
        self.house.plan(self.house.now + first_s, None, partial(self._sync_daily, known))
        return known

    def remove(self, nuki_id: int) -> None:
        """Take a device out of the account; raises KeyError."""
        del self._known[nuki_id]

    def known(self, nuki_id: int) -> KnownDevice:
        """A device of the account; raises KeyError."""
        return self._known[nuki_id]

    def find_known(self, nuki_id: int) -> KnownDevice | None:
        """A device of the account, None where it has none such."""
        return self._known.get(nuki_id)

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, now: float
    ) -> CloudAnswer:
        """Answer a request that arrives at `now` (epoch seconds); names of headers count in any case."""
        self.house.advance(now)
        answer = self._answer(method, path, query, headers, body)
        seen = CloudRequest(now, method, path, dict(query), answer.status, answer.ending, body)
        _append(self.requests, seen)
        return answer

    def keep(self, operation: Operation) -> None:
        """Remember a promise."""
        _append(self.writes, operation)

    def take_posts(self, now: float | None = None) -> list[OwedPost]:
        """What the cloud owes its webhooks, taken once. Time passes until `now` first, if given."""
        if now is not None:
            self.house.advance(now)
        return self.hooks.take()

    def _answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> CloudAnswer:
        faults, paths = self.faults, self._paths(method, path)
        if faults.has(CloudFaultName.REFUSE_CONNECTIONS):
            return CloudAnswer(0, ending=Ending.REFUSED)
        for name in _ENDS:
            fault = faults.find(name, paths=paths)
            if fault is not None:
                if fault.acts:
                    self._work(method, path, query, headers, body)
                return self._broken(fault)
        return self._work(method, path, query, headers, body)

    def _broken(self, fault: CloudFault) -> CloudAnswer:
        answer_s = self.timing.answer_s
        match fault.name:
            case CloudFaultName.SILENT:
                return CloudAnswer(0, delay_s=inf, ending=Ending.SILENT)
            case CloudFaultName.RESET_CONNECTIONS:
                return CloudAnswer(0, ending=Ending.RESET)
            case CloudFaultName.PROXY_ERROR:
                return CloudAnswer(fault.status, proxy_page(fault.status), answer_s, "text/html")
            case CloudFaultName.THROTTLE:
                headers = {} if fault.seconds is None else {"Retry-After": str(int(fault.seconds))}
                return CloudAnswer(429, refusal_body(None), answer_s, headers=headers)
            case _:
                return CloudAnswer(fault.status, fault.body, answer_s)

    def _work(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> CloudAnswer:
        try:
            call, places = find_call(method, path)
            self._demand_scope(call, headers)
            status, value = call.work(self, CloudAsked(places, query, body))
        except CloudRefusalError as refusal:
            return CloudAnswer(refusal.status, refusal_body(refusal.detail), self.timing.answer_s)
        return CloudAnswer(status, b"" if status == 204 else write(value), self.timing.answer_s)

    def _demand_scope(self, call: CloudCall, headers: Mapping[str, str]) -> None:
        if not call.scopes & self._scopes(headers):  # a missing scope is a 401, too (section 1.2)
            raise CloudRefusalError(401, NOT_AUTHORIZED)

    def _scopes(self, headers: Mapping[str, str]) -> frozenset[str]:
        given = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
        if self.faults.has(CloudFaultName.REFUSE_TOKEN) or not given.lower().startswith(_BEARER):
            return frozenset()
        return self.tokens.get(given[len(_BEARER) :].strip(), frozenset())

    def _paths(self, method: str, path: str) -> tuple[str, ...]:
        try:
            return path, find_call(method, path)[0].template
        except CloudRefusalError:
            return (path,)

    def _notice(self, device: SimulatedDevice) -> None:
        known = self._known.get(device.nuki_id)
        if known is not None:
            self.log.watch(known)
            known.notice()

    def _sync_daily(self, known: KnownDevice) -> None:
        if self._known.get(known.nuki_id) is not known:
            return
        if not known.is_offline:
            known.sync(is_forced=False)
        self.house.plan(self.house.now + self.timing.daily_sync_s, None, partial(self._sync_daily, known))


def _append(kept: list[_T], one: _T) -> None:
    kept.append(one)
    if len(kept) > MOST_REQUESTS:
        del kept[: MOST_REQUESTS // 2]


_ENDS = (
    CloudFaultName.SILENT,
    CloudFaultName.RESET_CONNECTIONS,
    CloudFaultName.PROXY_ERROR,
    CloudFaultName.THROTTLE,
    CloudFaultName.GARBAGE,
)
