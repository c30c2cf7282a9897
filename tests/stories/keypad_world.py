"""Keypad codes and a simulated cloud in virtual time, with everything between them but the sockets."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.keypad_steps import AskCloud, KeypadStep, SaveWishes, SayKeypad, SayResult
from nuki2mqtt.gateway.keypad_wishes import KeypadMemory
from nuki2mqtt.gateway.keypads import Keypads
from nuki2mqtt.gateway.vocabulary import Log, Moment
from nuki2mqtt.model.keypad_order import KeypadOp
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.keypad_payloads import KeypadOrder, KeypadResult
from nuki2mqtt.protocol.web_api import DeviceListAnswer, DeviceListRequest, WebAnswer, WebRequest, read_response
from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.keypad import NEW_CAPACITY
from nuki2mqtt.simulator.web import CloudTiming, Conduct, SimulatedCloud
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_routes import SCOPES

# 2026-11-22, 12:00 UTC.
BEGAN = 1_795_348_800.0
TOKEN = "cloud-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
TIMEOUT_S = 30.0
MOST_TURNS = 100
ENDINGS = {Ending.REFUSED: WebErrorKind.REFUSED, Ending.RESET: WebErrorKind.RESET, Ending.SILENT: WebErrorKind.TIMEOUT}
DAILY_S = 86_400.0


def chance(length: int) -> bytes:
    """No chance at all, but six digits that nobody guesses."""
    return bytes(range(20, 20 + 5 * length, 5))


@dataclass
class KeypadWorld:
    """One front door with a Keypad. With a `fuse` the process is killed after so many more steps."""

    seed: int = 4
    conduct: Conduct | None = None
    timing: CloudTiming | None = None
    capacity: int = NEW_CAPACITY
    told: list[KeypadResult] = field(default_factory=list)
    lists: list[SayKeypad] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    sent: list[tuple[float, WebRequest]] = field(default_factory=list)
    saved: KeypadMemory = field(default_factory=KeypadMemory)
    poll_s: float = 60.0
    fuse: int | None = None
    kills: int = 0

    def __post_init__(self) -> None:
        self.house = House(now=BEGAN)
        lock = self.house.add(SimulatedLock(nuki_id=0x3ED0AFC5, device_type=4, door=2, keypad_critical=False))
        timing = CloudTiming() if self.timing is None else self.timing
        self.cloud = SimulatedCloud(self.house, seed=self.seed, timing=timing, conduct=self.conduct)
        self.cloud.tokens[TOKEN] = frozenset(SCOPES)
        self.known: KnownDevice = self.cloud.add(lock, capacity=self.capacity)
        self.numbers: Iterator[int] = count()
        self.answers: list[tuple[float, int, int, WebAnswer | WebError]] = []
        self.polled = BEGAN
        self.keypads = self._begin()
        self.poll()

    def _begin(self) -> Keypads:
        return Keypads(self.saved, self.moment(), entropy=chance)

    # --- Time ---------------------------------------------------------------------------------------------------------

    @property
    def at(self) -> float:
        """Seconds since the beginning."""
        return self.house.now - BEGAN

    def moment(self) -> Moment:
        # One clock for both: a difference of great numbers is another one than the deadline that was given.
        return Moment(self.house.now, datetime.fromtimestamp(self.house.now, UTC), is_synchronised=True)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.house.now + seconds
        was, turns = self.house.now, 0
        while True:
            due = [end, self.polled + self.poll_s, self.keypads.next_deadline()]
            if self.answers:
                due.append(self.answers[0][0])
            at = max(min(due), self.house.now)
            was, turns = at, turns + 1 if at == was else 0
            assert turns < MOST_TURNS, "time stands still"
            if at >= end:
                self.house.advance(end)
                return
            self.house.advance(at)
            if self.answers and self.answers[0][0] <= at:
                _, _, call_id, answer = heapq.heappop(self.answers)
                self.carry_out(self.keypads.answered(call_id, answer, self.moment()))
            elif self.polled + self.poll_s <= at:
                self.poll()
            else:
                self.carry_out(self.keypads.handle_timer(self.moment()))

    def poll(self) -> None:
        self.polled = self.house.now
        answer, _ = self.ask(DeviceListRequest())
        if isinstance(answer, DeviceListAnswer):
            self.carry_out(self.keypads.hear_devices(answer.devices, self.moment()))

    # --- The shell ----------------------------------------------------------------------------------------------------

    def carry_out(self, steps: list[KeypadStep]) -> None:
        for step in steps:
            if self.fuse is not None:
                self.fuse -= 1
                if self.fuse < 0:
                    self.fuse = None
                    self.kill()
                    return
            match step:
                case SaveWishes():
                    self.saved = self.keypads.remember()
                case AskCloud():
                    self.sent.append((self.at, step.request))
                    answer, delay_s = self.ask(step.request)
                    heapq.heappush(self.answers, (self.house.now + delay_s, next(self.numbers), step.call_id, answer))
                case SayResult():
                    self.told.append(step.result)
                    if step.operation_id is not None and step.operation.is_ended:
                        self.carry_out(self.keypads.told(step.operation_id))
                case SayKeypad():
                    self.lists.append(step)
                case Log():
                    self.logs.append(step.text)

    def ask(self, request: WebRequest) -> tuple[WebAnswer | WebError, float]:
        body = request.body() or b""
        said = self.cloud.answer(request.method, request.path, request.query(), HEADERS, body, self.house.now)
        if said.ending is not Ending.ANSWERED:
            return WebError(ENDINGS[said.ending]), TIMEOUT_S if said.ending is Ending.SILENT else 0.1
        try:
            retry_after = said.headers.get("Retry-After")
            return read_response(request, said.status, said.body, retry_after=retry_after), said.delay_s
        except WebError as error:
            return error, said.delay_s

    def kill(self) -> None:
        """The process is killed and begins anew with what was saved; answers to what it asked come to nobody."""
        self.kills += 1
        self.answers.clear()
        self.keypads = self._begin()
        self.poll()

    # --- People -------------------------------------------------------------------------------------------------------

    def order(self, op: str, name: str | None = None, code: str | None = None, **more: Any) -> None:
        order = KeypadOrder(op=KeypadOp(op), name=name, code=None if code is None else Secret(code), **more)
        self.carry_out(self.keypads.order(self.known.smartlock_id, order, self.moment()))

    def create(self, name: str, code: str, **more: Any) -> None:
        self.order("create", name, code, **more)

    # --- What there is ------------------------------------------------------------------------------------------------

    def steps(self, transaction: Any = None) -> list[tuple[str, str | None]]:
        """Phases and reasons that were told of one order."""
        return [
            (str(one.phase), None if one.reason is None else str(one.reason))
            for one in self.told
            if one.transaction == transaction
        ]

    def on_lock(self) -> dict[str, str]:
        """Codes on the lock itself by their names; disabled ones in brackets."""
        return {one.name: str(code) if one.enabled else f"({code})" for code, one in self.known.memory.codes.items()}

    def in_list(self) -> dict[str, str]:
        return {one.shown.name: str(one.shown.code) for one in self.known.auths if one.shown.code is not None}

    def phases(self) -> dict[str, tuple[str, str | None]]:
        return {
            one.name: (str(one.phase), None if one.reason is None else str(one.reason))
            for one in self.keypads.entries(self.known.smartlock_id)
        }

    def writes(self) -> list[str]:
        """What was sent but for lists, by its name."""
        return [type(request).__name__ for _, request in self.sent if request.method != "GET"]

    def reads(self, since: float = 0.0) -> list[float]:
        """When lists were read."""
        return [round(at, 1) for at, request in self.sent if request.method == "GET" and at >= since]
