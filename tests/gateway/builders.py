"""Small builders that the tests of floor 2 share: one time line, reports, answers, and a gateway in the hand.

The time line: `moment(0)` is the start of the process, 1000 s on the monotonic clock and noon on the wall.
`CLOCK` is a Bridge's clock that agrees with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from nuki2mqtt.errors import BridgeError
from nuki2mqtt.gateway.bridge_clock import BridgeClock
from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.devices import Devices, Verdict
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgeMemory,
    CallbackReceived,
    CallBridge,
    Effect,
    Event,
    Log,
    Memory,
    Moment,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttSubscribed,
    Publish,
    Stop,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Battery, DeviceState, Report, Ring, Source
from nuki2mqtt.protocol.bridge_api import Answer, InfoAnswer, InfoRequest, ListAnswer, ListRequest, ScanHit
from nuki2mqtt.protocol.settings import BridgeSettings, PollSettings, Settings
from nuki2mqtt.protocol.settings_reader import read_settings

ZERO = 1000.0
NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
LOCK, OPENER = NukiId(0x1A2B3C4D), NukiId(0x2E5FE23A)
BRIDGE_ID = NukiId(0x0A1B2C3D)
LINK, OTHER_LINK = "192.0.2.10:8080", "192.0.2.11:8080"
TOKEN = Secret("abcdef")
CLOCK = BridgeClock(offset=NOON.timestamp() - ZERO, skew_s=0.0)


def wall(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def moment(seconds: float, *, is_synchronised: bool | None = True) -> Moment:
    return Moment(ZERO + seconds, wall(seconds), is_synchronised)


# --- Reports --------------------------------------------------------------------------------------------------


def state(
    code: int,
    door: int | None = None,
    *,
    mode: int | None = 2,
    level: int | None = None,
    critical: bool | None = False,
    keypad: bool | None = None,
    ring: Ring | None = None,
) -> DeviceState:
    return DeviceState(
        state_code=code,
        mode_code=mode,
        door_code=door,
        battery=Battery(level=level, critical=critical),
        keypad_battery_critical=keypad,
        ring=ring,
    )


def entry(
    said: DeviceState | None,
    at: float | None,
    *,
    nuki_id: NukiId = LOCK,
    device_type: int | None = 0,
    name: str | None = "Front door",
) -> Report:
    """One entry of `/list`; `at` is its timestamp on the time line."""
    return Report(
        nuki_id=nuki_id,
        source=Source.LIST,
        device_type=device_type,
        name=name,
        firmware="2.12.4",
        state=said,
        at=None if at is None else wall(at),
    )


def called(said: DeviceState, *, nuki_id: NukiId = LOCK, device_type: int = 0) -> Report:
    """The body of a callback."""
    return Report(nuki_id=nuki_id, source=Source.CALLBACK, device_type=device_type, state=said)


def info(
    at: float | None = 0.0,
    *,
    bridge_id: NukiId | None = BRIDGE_ID,
    uptime_s: int | None = 5000,
    scan: Iterable[NukiId] = (),
    bridge_type: int | None = 1,
) -> InfoAnswer:
    """An `/info` answer of a Bridge whose clock agrees with ours."""
    return InfoAnswer(
        bridge_type=bridge_type,
        hardware_id=bridge_id,
        firmware="2.18.0",
        uptime_s=uptime_s,
        current_time=None if at is None else wall(at),
        server_connected=True,
        scan=tuple(ScanHit(nuki_id, 0, "", -67, paired=True) for nuki_id in scan),
    )


# --- Devices ------------------------------------------------------------------------------------------------

LOCKED, UNLOCKED, LOCKING = state(1, 2), state(3, 2), state(4, 2)


@dataclass
class Seen:
    """Takes in reports on the time line and shows what is held."""

    devices: Devices = field(default_factory=lambda: Devices(ZERO))
    clock: BridgeClock | None = CLOCK

    def listed(self, now: float, said: DeviceState | None, at: float | None, link: str = LINK) -> Verdict:
        return self.devices.apply_entry(link, entry(said, at), self.clock, moment(now))

    def called(self, now: float, said: DeviceState, link: str = LINK) -> Verdict | None:
        return self.devices.apply_callback(link, called(said), self.clock, moment(now))

    def read(self, now: float, said: DeviceState, link: str = LINK, sent: float | None = None) -> Verdict | None:
        began = moment(now if sent is None else sent).monotonic
        return self.devices.apply_lock_state(link, LOCK, said, self.clock, moment(now), sent=began)

    def settle(self, now: float) -> None:
        self.devices.settle(LOCK, moment(now))

    @property
    def held(self) -> tuple[int | None, Source | None, datetime | None]:
        snapshot = self.devices.snapshot(LOCK)
        return snapshot.state_code, snapshot.source, snapshot.seen


# --- Effects --------------------------------------------------------------------------------------------------

_E = TypeVar("_E")


def only(effects: Iterable[Effect], kind: type[_E]) -> list[_E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def said(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    """What is published, as (topic, payload)."""
    return [(publish.topic, publish.payload.decode()) for publish in only(effects, Publish)]


def topics(effects: Iterable[Effect]) -> list[str]:
    return [topic for topic, _ in said(effects)]


def logged(effects: Iterable[Effect], *levels: str) -> list[str]:
    return [log.text for log in only(effects, Log) if log.level in levels]


# --- A gateway in the hand ------------------------------------------------------------------------------------

CONFIG = "version: 1\nbridges:\n  - {host: 192.0.2.10, token: abcdef}\n"


def read(config: str = CONFIG) -> Settings:
    return read_settings(config, read_file=lambda name: name)


def identity(instance: str = "1234abcd", *, started: float = 0.0) -> Identity:
    return Identity(
        instance=instance,
        version="0.1.0",
        callback_secret=Secret("5ecret"),
        started=moment(started),
    )


@dataclass
class Hand:
    """Drives a real `Gateway`: tells it events, lets its timers run, keeps all effects in order."""

    gateway: Gateway
    monotonic: float = ZERO
    is_synchronised: bool = True

    @classmethod
    def with_config(cls, config: str = CONFIG, memory: Memory | None = None, *, started: float = 0.0) -> "Hand":
        gateway = Gateway(read(config), identity(started=started), memory or Memory())
        return cls(gateway, ZERO + started)

    @property
    def now(self) -> float:
        return self.monotonic - ZERO

    @property
    def moment(self) -> Moment:
        return Moment(self.monotonic, wall(self.now), is_synchronised=self.is_synchronised)

    def tell(self, event: Event) -> list[Effect]:
        return self.gateway.handle(event, self.moment)

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass; nobody answers and no broker acknowledges."""
        end = self.monotonic + seconds
        effects: list[Effect] = []
        for _ in range(10_000):
            deadline = self.gateway.next_deadline()
            if deadline is None or deadline > end + 1e-6:
                self.monotonic = max(self.monotonic, end)
                return effects
            self.monotonic = max(self.monotonic, deadline)
            effects += self.gateway.handle_timer(self.moment)
            if only(effects, Stop):
                return effects
        raise AssertionError("the timers do not come to rest")

    def acknowledge(self, effects: Iterable[Effect]) -> list[Effect]:
        """The broker takes all of these, and all that follows."""
        waiting, followed = only(effects, Publish), list[Effect]()
        while waiting:
            new = self.tell(MqttPublished(waiting.pop(0).message_id))
            followed += new
            waiting += only(new, Publish)
        return followed

    def acknowledge_all(self, effects: list[Effect]) -> list[Effect]:
        """These effects and all that follows when the broker takes what they say."""
        return effects + self.acknowledge(effects)

    def own_base(self) -> list[Effect]:
        """Connect to an empty broker and become the owner; everything said is acknowledged."""
        effects = self.tell(MqttConnected("5")) + self.tell(MqttSubscribed()) + self.wait(0.2)
        effects += self.tell(MqttLost("reconnecting")) + self.connect()
        return effects

    def connect(self) -> list[Effect]:
        """Connect and subscribe as we are; everything said is acknowledged."""
        effects = self.tell(MqttConnected("5")) + self.tell(MqttSubscribed())
        return effects + self.acknowledge(effects)

    def answer(self, call: CallBridge, answer: Answer | BridgeError, local_host: str | None = None) -> list[Effect]:
        effects = self.tell(BridgeAnswered(call.link, call.call_id, answer, local_host))
        return effects + self.acknowledge(effects)

    def follow(self, *reports: Report, asked: Iterable[Effect]) -> list[Effect]:
        """Answer the identity and the first list of the only Bridge."""
        effects = self.answer(self._call(asked, InfoRequest), info(self.now))
        effects += self.wait(0.5)
        effects += self.answer(self._call(effects, ListRequest), ListAnswer(reports))
        return effects

    @staticmethod
    def _call(effects: Iterable[Effect], request: type) -> CallBridge:
        (call,) = [call for call in only(effects, CallBridge) if isinstance(call.request, request)]
        return call

    def tell_callback(self, report: Report, link: str = LINK) -> list[Effect]:
        return self.tell(CallbackReceived(link, report))

    def call_back(self, report: Report, link: str = LINK) -> list[Effect]:
        """A callback, and the broker takes what it comes to."""
        return self.acknowledge_all(self.tell_callback(report, link))


# --- A link in the hand ---------------------------------------------------------------------------------------


@dataclass
class Line:
    """One `BridgeLink` and the requests that it sends, on the time line."""

    link: BridgeLink
    now: float = 0.0

    @classmethod
    def with_settings(
        cls,
        bridge: BridgeSettings | None = None,
        poll: PollSettings | None = None,
        memory: BridgeMemory | None = None,
    ) -> "Line":
        settings = bridge or BridgeSettings(host="192.0.2.10", token=TOKEN)
        return cls(BridgeLink(settings, poll or PollSettings(), memory or BridgeMemory()))

    @classmethod
    def verified(cls, poll: PollSettings | None = None, bridge: BridgeSettings | None = None) -> "Line":
        """Identity and the first list were answered at 0 s and 1 s; it is 2 s."""
        line = cls.with_settings(bridge, poll)
        line.link.start(moment(0))
        line.answer(line.sent(InfoRequest), info(0))
        line.now = 1
        line.answer(line.sent(ListRequest), ListAnswer(()))
        line.now = 2
        return line

    def tick(self) -> list[Effect]:
        return self.link.handle_timer(moment(self.now))

    def sent(self, kind: type) -> CallBridge:
        """The request that is sent now, which must be of this kind."""
        (call,) = self.tick()
        assert isinstance(call, CallBridge)
        assert isinstance(call.request, kind)
        return call

    def next_sent(self) -> CallBridge:
        """The next request, whenever it is due."""
        deadline = self.link.next_deadline()
        assert deadline is not None
        self.now = max(self.now, deadline - ZERO)
        (call,) = self.link.handle_timer(Moment(max(deadline, ZERO + self.now), wall(self.now)))
        assert isinstance(call, CallBridge)
        return call

    def answer(self, call: CallBridge, answer: Answer | BridgeError, *, is_clock_trusted: bool = True) -> list[Effect]:
        event = BridgeAnswered(call.link, call.call_id, answer)
        _, effects = self.link.handle_answer(event, moment(self.now), is_clock_trusted=is_clock_trusted)
        return effects

    @property
    def due(self) -> float | None:
        deadline = self.link.next_deadline()
        return None if deadline is None else deadline - ZERO
