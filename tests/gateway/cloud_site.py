"""A whole gateway at work with a simulated cloud, all in virtual time: everything between them but the sockets."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Self

from nuki2mqtt.adapters.time_zones import zone_of
from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Outside
from nuki2mqtt.gateway.vocabulary import (
    CallWeb,
    DropWeb,
    Effect,
    Memory,
    MqttConnected,
    MqttSubscribed,
    Publish,
    Remember,
    Stop,
    WebAnswered,
    WebOrdered,
)
from nuki2mqtt.protocol.web_api import WebAnswer, WebRequest, read_response
from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.web import CloudTiming, SimulatedCloud
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_routes import SCOPES
from tests.gateway.builders import NOON, ZERO, Hand, identity, only, read
from tests.gateway.site import BOTH, READY_S, Site

TOKEN = "cloud-token"
CLOUD_CONFIG = f"version: 1\nnuki_web: {{token: {TOKEN}, keypad: {{manage: true}}}}\n"
BEGAN = NOON.timestamp()
TIMEOUT_S = 20.0
MOST_STEPS = 1_000_000
ENDINGS = {Ending.REFUSED: WebErrorKind.REFUSED, Ending.RESET: WebErrorKind.RESET, Ending.SILENT: WebErrorKind.TIMEOUT}


def front_door(nuki_id: int = 0x1A2B3C4D, name: str = "Front door", *, level: int = 85) -> SimulatedLock:
    """A lock with Wi-Fi, a door sensor and a Keypad."""
    return SimulatedLock(nuki_id=nuki_id, name=name, device_type=4, door=2, battery_level=level, keypad_critical=False)


def simulated_cloud(*locks: SimulatedLock, timing: CloudTiming | None = None) -> SimulatedCloud:
    house = House(now=BEGAN)
    cloud = SimulatedCloud(house, timing=timing)
    cloud.tokens[TOKEN] = frozenset(SCOPES)
    for lock in locks or (front_door(),):
        cloud.add(house.add(lock))
    return cloud


@dataclass
class CloudSite(Site):
    """`called` is what the cloud was asked, with the time."""

    cloud: SimulatedCloud = field(default_factory=simulated_cloud)
    called: list[tuple[float, WebRequest]] = field(default_factory=list)
    answers: list[tuple[float, int, int, WebAnswer | WebError]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    has_stopped: bool = False

    @classmethod
    def at_work_with(
        cls,
        cloud: SimulatedCloud | None = None,
        config: str = CLOUD_CONFIG,
        memory: Memory | None = None,
        *,
        started: float = 0.0,
    ) -> Self:
        outside = Outside(lambda length: bytes(range(20, 20 + 5 * length, 5)), zone_of)
        gateway = Gateway(read(config), identity(started=started), memory or Memory(), outside)
        site = cls(Hand(gateway, ZERO + started), cloud=cloud or simulated_cloud())
        site.lists = {link: BOTH for link in site.hand.gateway._following.links}  # noqa: C420 - as of `Site`
        site.take(site.hand.tell(MqttConnected("5")))
        site.take(site.hand.tell(MqttSubscribed()))
        site.wait(0.2)
        site.reconnect()
        site.wait(READY_S)
        site.shown = len(site.effects)
        return site

    @property
    def known(self) -> KnownDevice:
        """The first device of the account."""
        return self.cloud.devices[0]

    def take(self, effects: list[Effect]) -> None:
        before = len(self.effects)
        super().take(effects)
        for effect in self.effects[before:]:
            if isinstance(effect, CallWeb):
                self._send(effect)
            elif isinstance(effect, DropWeb):
                self.answers = [one for one in self.answers if one[2] != effect.call_id]
            elif isinstance(effect, Stop):
                self.has_stopped = True

    def _send(self, call: CallWeb) -> None:
        self.called.append((self.hand.now, call.request))
        if call.not_after is not None:
            self.take(self.hand.tell(WebOrdered(call.call_id, self.hand.monotonic)))
        answer, delay_s = self._ask(call)
        heapq.heappush(self.answers, (self.hand.monotonic + delay_s, next(self.numbers), call.call_id, answer))

    def _ask(self, call: CallWeb) -> tuple[WebAnswer | WebError, float]:
        request, headers = call.request, {"Authorization": f"Bearer {call.token.reveal()}"}
        self._let_be(self.hand.monotonic)
        said = self.cloud.answer(
            request.method, request.path, request.query(), headers, request.body() or b"", self.cloud.house.now
        )
        if said.ending is not Ending.ANSWERED:
            return WebError(ENDINGS[said.ending]), TIMEOUT_S if said.ending is Ending.SILENT else 0.1
        try:
            retry_after = said.headers.get("Retry-After")
            return read_response(request, said.status, said.body, retry_after=retry_after), said.delay_s
        except WebError as error:
            return error, said.delay_s

    def _let_be(self, monotonic: float) -> None:
        self.cloud.house.advance(max(BEGAN + monotonic - ZERO, self.cloud.house.now))

    def wait(self, seconds: float) -> None:
        """Let time pass, for the house as well."""
        end = self.hand.monotonic + seconds
        for _ in range(MOST_STEPS):
            times = [self.answers[0][0]] if self.answers else []
            deadline = self.hand.gateway.next_deadline()
            at = min(times if deadline is None else [*times, deadline], default=end + 1)
            self.hand.monotonic = max(self.hand.monotonic, min(at, end))
            self._let_be(self.hand.monotonic)
            if at > end + 1e-9 or self.has_stopped:
                return
            self.hand.monotonic = max(self.hand.monotonic, at)
            if times and times[0] <= self.hand.monotonic:
                _, _, call_id, answer = heapq.heappop(self.answers)
                self.take(self.hand.tell(WebAnswered(call_id, answer, self.hand.monotonic)))
            else:
                self.take(self.hand.gateway.handle_timer(self.hand.moment))
        raise AssertionError("the timers do not come to rest")

    # --- What came of it ----------------------------------------------------------------------------------------

    def asked_for(self, kind: type) -> list[float]:
        """When requests of a kind went to the cloud."""
        return [round(at, 3) for at, request in self.called if isinstance(request, kind)]

    def retained(self) -> dict[str, bytes]:
        """What the broker holds."""
        held = {publish.topic: publish.payload for publish in only(self.effects, Publish) if publish.retain}
        return {topic: payload for topic, payload in held.items() if payload}

    def kept_before(self, kind: type) -> Memory | None:
        """What stood in the state file when the first request of a kind went out."""
        kept = None
        for effect in self.effects:
            if isinstance(effect, Remember):
                kept = effect.memory
            elif isinstance(effect, CallWeb) and isinstance(effect.request, kind):
                return kept
        return None
