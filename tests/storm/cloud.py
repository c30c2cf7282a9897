"""Nuki's cloud over the houses of a storm: an account with all devices, the requests on the wire, people with the app.

Pure but for the loop that keeps the agenda of the house; what goes wrong is begun by `cloud_faults`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.protocol.web_api import headers_of
from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.house import SimulatedDevice
from nuki2mqtt.simulator.keypad import ALWAYS, KEYPAD_CODE, Schedule, StoredAuth
from nuki2mqtt.simulator.web import CloudAnswer, Conduct, SimulatedCloud
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_hooks import FEATURES, OwedPost, Webhooks
from nuki2mqtt.simulator.web_log import INVALID_CODE, INVALID_FINGERPRINT, INVALID_TAG, Log, LogEntry
from nuki2mqtt.simulator.web_operations import Operation
from nuki2mqtt.simulator.web_routes import SCOPES
from tests.storm.spec import WEB_TOKEN, WEBHOOK_PATH, WEBHOOK_SECRET, Spec

if TYPE_CHECKING:
    from nuki2mqtt.model.secret import Secret
    from nuki2mqtt.protocol.web_api import WebRequest
    from tests.storm.computer import Computer
    from tests.storm.people import Order
    from tests.storm.world import World

ROUNDING_S = 0.001
_REFUSED = frozenset({INVALID_CODE, INVALID_FINGERPRINT, INVALID_TAG})
_MOST_REFUSED = 500
STRANGERS = (("Owner's son", 274619), ("Anna", 961834))  # one has a name that our people use, too
# Nuki's cloud numbers two actions of an Opener otherwise than a Bridge does (web reference 4).
_OPENER_ACTIONS = {6: 4, 7: 5}

LOCKED = 423


@dataclass(eq=False)
class WebCall:
    """One request of ours to the cloud, in virtual epoch seconds; what it has in common with `world.Call` is the same.

    `promised` is what the cloud is to do by it, now or later; `was_dropped`: nobody waits for its answer any more.
    """

    computer: "Computer"
    process: int
    method: str
    path: str
    query: Mapping[str, str]
    content: bytes = field(repr=False)
    began: float = 0.0
    timeout_s: float = 30.0
    ended: float | None = None
    arrived: float | None = None
    answer: CloudAnswer | None = None
    promised: tuple[Operation, ...] = ()
    was_dropped: bool = False
    turned: bool = False
    wanted_by: "tuple[Order, ...]" = ()

    @property
    def was_written(self) -> bool:
        """Whether the cloud saw a byte of it."""
        return self.answer is not None and self.answer.ending is not Ending.REFUSED

    @property
    def is_answered(self) -> bool:
        """Whether the whole answer has reached its caller; asked when the call has ended."""
        answer = self.answer
        if answer is None or self.arrived is None or self.ended is None or answer.ending is not Ending.ANSWERED:
            return False
        return answer.delay_s <= self.timeout_s and self.ended >= self.arrived + answer.delay_s - ROUNDING_S

    @property
    def was_locked(self) -> bool:
        """Whether the cloud said that another operation is under way, and did not take it."""
        return self.is_answered and self.answer is not None and self.answer.status == LOCKED

    @cached_property
    def body(self) -> Any:
        """What the answer says; None where it cannot be read."""
        if self.answer is None or not 200 <= self.answer.status < 300:
            return None
        return _loaded(self.answer.body)

    @cached_property
    def asked(self) -> dict[str, Any]:
        """What the request says; empty where it has no object."""
        loaded = _loaded(self.content)
        return loaded if isinstance(loaded, dict) else {}

    @property
    def levels(self) -> list[str]:
        """The parts of its path."""
        return self.path.strip("/").split("/")

    @property
    def smartlock_id(self) -> int | None:
        """The device that its path names."""
        levels = self.levels
        return int(levels[1]) if len(levels) > 1 and levels[1].isdecimal() else None

    @property
    def nuki_id(self) -> int | None:
        """The same as people know it."""
        return None if self.smartlock_id is None else self.smartlock_id & 0xFFFF_FFFF

    @property
    def is_order(self) -> bool:
        """Whether it may move a device."""
        return self.method == "POST" and "action" in self.levels[2:]

    @property
    def params(self) -> dict[str, str]:
        """An order as a Bridge would get it."""
        number = int(self.asked.get("action", 0))
        is_opener = self.smartlock_id is not None and kind_of(self.smartlock_id >> 32) is DeviceKind.OPENER
        code = _OPENER_ACTIONS.get(number, number) if is_opener else number
        return {"nukiId": str(self.nuki_id), "action": str(code)}

    def shown(self) -> dict[int, dict[str, Any]]:
        """The devices that a read shows, by their IDs; none for anything else."""
        if self.method != "GET" or self.levels[0] != "smartlock" or len(self.levels) > 2:
            return {}
        rows = self.body if isinstance(self.body, list) else [self.body]
        return {
            row["smartlockId"] & 0xFFFF_FFFF: row
            for row in rows
            if isinstance(row, dict) and isinstance(row.get("smartlockId"), int)
        }


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


class _LoopHooks(Webhooks):
    """Webhooks whose posts are on their way at once."""

    def __init__(self, site: "CloudSite") -> None:
        super().__init__(site.cloud)
        self._site = site

    def _owe(self, feature: str | None, body: Mapping[str, Any]) -> None:
        super()._owe(feature, body)
        for post in self.take():
            self._site.post(post)


class _SkewedLog(Log):
    """A log whose entries are dated by locks with clocks of their own."""

    def __init__(self, site: "CloudSite") -> None:
        super().__init__(site.cloud)
        self._site = site

    def write(self, known: KnownDevice, *args: Any, **more: Any) -> LogEntry:
        entry = super().write(known, *args, **more)
        if entry.state in _REFUSED and entry.doer.trigger == self._site.cloud.conduct.failed_trigger:
            self._site.refused.append((known.nuki_id, entry.at))
            del self._site.refused[:-_MOST_REFUSED]
        skew_s = self._site.clocks.get(known.nuki_id, 0.0)
        if skew_s:
            entry.at += skew_s
            self._site.world.note_hit("log clock")
        return entry


class CloudSite:
    """The account; `strangers` are the codes that others have made, as they must be, by device and number.

    `names` are its devices by their topics. `dark` counts the faults that hide the cloud, `clocks` are how wrong the
    clocks of locks are, `rules` are of the way of webhooks. `touched` are codes of ours that others have changed, with
    when; `refused` is when a keypad refused somebody.
    """

    def __init__(self, world: "World", spec: Spec, devices: Mapping[str, SimulatedDevice]) -> None:
        self.world = world
        conduct = Conduct(
            keeps_offline_writes=spec.keeps_offline_writes,
            update_heals_ghosts=spec.update_heals_ghosts,
            code_is_a_list=spec.code_is_a_list,
            omits_defaults=spec.omits_defaults,
        )
        self.cloud = SimulatedCloud(world.house, seed=spec.seed, conduct=conduct)
        self.cloud.tokens[WEB_TOKEN] = frozenset(SCOPES)
        self.calls: list[WebCall] = []
        self.dark = 0
        self.clocks: dict[int, float] = {}
        self.rules: list[Callable[[list[float]], list[float]]] = []
        self.strangers: dict[tuple[int, int], StoredAuth] = {}
        self.touched: dict[tuple[int, int], float] = {}
        self.refused: list[tuple[int, float]] = []
        self.clock_changed_at = float("-inf")
        world.house.witnesses.remove(self.cloud.log.witness)
        self.cloud.log = _SkewedLog(self)
        world.house.witnesses.add(self.cloud.log.witness)
        self.cloud.hooks = _LoopHooks(self)
        self.names: dict[str, KnownDevice] = {name: self.cloud.add(device) for name, device in devices.items()}
        for known in self.names.values():
            if known.has_keypad:
                for name, code in STRANGERS:
                    self.add_by_app(known, name, code)
                known.sync(is_forced=False)
                known.daily_syncs -= 1
        if spec.has_webhooks:
            self.cloud.hooks.add("https://home.example.org/nuki", frozenset(FEATURES), WEBHOOK_SECRET)

    # --- Requests -----------------------------------------------------------------------------------------------------

    def begin(self, computer: "Computer", request: "WebRequest") -> WebCall:
        """A request is about to go out."""
        number = 0 if computer.process is None else computer.process.number
        call = WebCall(
            computer,
            number,
            request.method,
            request.path,
            request.query(),
            request.body() or b"",
            self.world.now,
            request.timeout_s,
        )
        self.calls.append(call)
        self.world.watch.web_began(call)
        return call

    def take(self, call: WebCall, token: "Secret") -> CloudAnswer:
        """It arrives."""
        cloud, now = self.cloud, self.world.now
        last = cloud.writes[-1] if cloud.writes else None
        call.arrived = now
        headers = headers_of(token, has_body=bool(call.content))
        call.answer = cloud.answer(call.method, call.path, call.query, headers, call.content, now)
        call.promised = tuple(takewhile(lambda one: one is not last, reversed(cloud.writes)))
        call.turned = call.is_order and bool(call.promised)
        self.world.watch.web_arrived(call)
        call.computer.note_request(f"{call.method} {self.place(call)}")
        return call.answer

    def end(self, call: WebCall) -> None:
        """It is answered, given up, dropped, or its caller is dead."""
        call.ended = self.world.now
        self.world.watch.web_ended(call)

    @staticmethod
    def place(call: WebCall) -> str:
        """What it is about, without numbers."""
        return "/".join(level for level in call.levels if not level.isdecimal() and len(level) < 24)

    # --- Webhooks -----------------------------------------------------------------------------------------------------

    def post(self, post: OwedPost) -> None:
        """A webhook is on its way; faults may lose, delay or double it."""
        delays_s = [max(0.0, post.due_at - self.world.now)]
        for rule in self.rules:
            delays_s = rule(delays_s)
        for delay_s in delays_s:
            self.world.later(delay_s, lambda: self.deliver(post.headers, post.body))

    def deliver(self, headers: Mapping[str, str], body: bytes, *, is_forged: bool = False) -> int:
        """It arrives through somebody's reverse proxy; gives the HTTP status, 0 where nobody is."""
        computer = self.world.main
        process, status = computer.process, 0
        if computer.is_alive and process is not None and process.webhook_door is not None:
            if computer.is_standing_still:
                computer.knocks.append(lambda: self.deliver(headers, body, is_forged=is_forged))
                return 0
            status = process.webhook_door.knock(WEBHOOK_PATH, headers, body)
        self.world.watch.hooked(computer, body, status, is_forged=is_forged)
        return status

    # --- Others -------------------------------------------------------------------------------------------------------

    def add_by_app(self, known: KnownDevice, name: str, code: int, schedule: Schedule = ALWAYS) -> bool:
        """Somebody makes a code with the app; the cloud learns of it at the next sync. Whether there was room."""
        memory = known.memory
        # No number that an entry has which only the cloud lists.
        listed = max((one.shown.number for one in known.auths if one.shown.type == KEYPAD_CODE), default=0)
        number = max(memory.next_number(KEYPAD_CODE), listed + 1)
        one = StoredAuth(number=number, type=KEYPAD_CODE, name=name, code=code, schedule=schedule)
        is_new = memory.store(one)
        if is_new:
            self.strangers[known.nuki_id, number] = one
        return is_new

    def change_by_app(self, known: KnownDevice, number: int, **what: Any) -> bool:
        """Somebody changes a code with the app, ours or not."""
        before = known.memory.stored.get(number)
        if before is None or not known.memory.store(replace(before, **what)):
            return False
        if (known.nuki_id, number) in self.strangers:
            self.strangers[known.nuki_id, number] = known.memory.stored[number]
        else:
            self.touched[known.nuki_id, number] = self.world.now
        return True

    def remove_by_app(self, known: KnownDevice, number: int) -> bool:
        """Somebody takes a code away with the app, ours or not."""
        if not known.memory.remove(number):
            return False
        if self.strangers.pop((known.nuki_id, number), None) is None:
            self.touched[known.nuki_id, number] = self.world.now
        return True

    def ours(self, known: KnownDevice) -> list[StoredAuth]:
        """The codes on the lock that nobody else has made."""
        return [
            one
            for one in known.memory.stored.values()
            if one.type == KEYPAD_CODE and (known.nuki_id, one.number) not in self.strangers
        ]
