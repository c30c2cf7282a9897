"""Whatever happens in whatever order: no timer spins, no Bridge is asked twice at a time, nothing is raised."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgePaired,
    CallbackDoorFailed,
    CallbackDoorOpened,
    CallbackReceived,
    CallBridge,
    DeviceMemory,
    Effect,
    Event,
    Memory,
    MemoryNotSaved,
    MemorySaved,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttRefused,
    MqttSubscribed,
    Publish,
    Stop,
    StopRequested,
)
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.state import Report, Ring
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    CallbackListAnswer,
    CallbackListRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    LockStateAnswer,
    LockStateRequest,
    SuccessAnswer,
)
from tests.gateway.builders import (
    LINK,
    LOCK,
    OPENER,
    OTHER_LINK,
    TOKEN,
    ZERO,
    Hand,
    called,
    entry,
    info,
    only,
    state,
    wall,
)

CONFIG = (
    "version: 1\n"
    "mqtt: {output: both}\n"
    "bridges:\n  - {host: 192.0.2.10, token: abcdef, allow_plain: true}\n  - {host: 192.0.2.11, token: abcdef}\n"
)
MEMORY = Memory(devices={LOCK: DeviceMemory("front_door", "Front door", 4)}, retired_topics={"front_door": LOCK})


def claim(instance: str, started: float) -> bytes:
    return json.dumps({"instance": instance, "started": wall(started).isoformat()}).encode()


MESSAGES = [
    ("nuki2mqtt/gateway/state", b"online"),
    ("nuki2mqtt/gateway/state", b"offline"),
    ("nuki2mqtt/gateway/info", claim("zzzz", -60)),
    ("nuki2mqtt/gateway/info", claim("zzzz", 60)),
    ("nuki2mqtt/gateway/health", claim("aaaa", 0)),
    ("nuki2mqtt/front_door", b'{"id":"1A2B3C4D","name":"Front door","device_type":4,"stale":false}'),
    ("nuki2mqtt/yard", b'{"id":"1A2B3C4D","name":"Yard","device_type":4}'),
    ("homeassistant/status", b"online"),
]
CODES = st.sampled_from([1, 2, 3, 4, 5, 7, 254, 99])
DOORS = st.sampled_from([None, 2, 3, 4])
FAILURES = st.sampled_from(BridgeErrorKind).map(BridgeError)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    ring = draw(st.sampled_from([None, Ring(wall(5), True), Ring(wall(400), False), Ring(None, True)]))
    said = state(draw(CODES), draw(DOORS), critical=draw(st.booleans()), ring=ring)
    nuki_id, device_type, name = draw(st.sampled_from([(LOCK, 4, "Front door"), (OPENER, 2, "Intercom")]))
    at = draw(st.sampled_from([None, -5.0, 30.0, 400.0]))
    return entry(draw(st.sampled_from([said, None])), at, nuki_id=nuki_id, device_type=device_type, name=name)


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from([MqttConnected("5"), MqttConnected("3.1.1"), MqttConnected("5"), MqttLost("gone")]),
    st.builds(
        lambda message, retained: MqttReceived(message[0], message[1], retained=retained),
        st.sampled_from(MESSAGES),
        st.booleans(),
    ),
    st.builds(
        lambda link, code, door, nuki_id: CallbackReceived(link, called(state(code, door), nuki_id=nuki_id)),
        st.sampled_from([LINK, OTHER_LINK]),
        CODES,
        DOORS,
        st.sampled_from([LOCK, OPENER]),
    ),
    st.sampled_from([CallbackDoorOpened(8321), CallbackDoorFailed("taken."), MemorySaved(), MemoryNotSaved("full")]),
    st.just(BridgePaired(LINK, TOKEN)),
)
STEPS = st.one_of(
    st.tuples(st.just("event"), EVENTS),
    st.tuples(st.just("answer"), st.tuples(st.integers(0, 9), st.lists(reports(), max_size=3), st.booleans())),
    st.tuples(st.just("failure"), FAILURES),
    st.tuples(st.just("acknowledge"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 1.0, 5.0, 20.0, 31.0, 80.0, 151.0, 901.0])),
)


class Run:
    """A gateway under a random script; every timer is checked."""

    def __init__(self) -> None:
        self.hand = Hand.with_config(CONFIG, MEMORY)
        self.calls = dict[str, CallBridge]()
        self.unacknowledged = list[int]()
        self.has_stopped = False
        self.take(self.hand.gateway.begin())

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case CallBridge():
                    assert effect.link not in self.calls, "two requests to one Bridge at a time"
                    self.calls[effect.link] = effect
                case Publish(message_id):
                    self.unacknowledged.append(message_id)
                case Stop():
                    self.has_stopped = True
                case _:
                    pass

    def step(self, kind: str, value: object) -> None:
        match kind, value:
            case "wait", float(pause):
                self.wait(pause)
            case "acknowledge", bool(is_taken) if self.unacknowledged:
                number = self.unacknowledged.pop(0)
                self.take(self.hand.tell(MqttPublished(number) if is_taken else MqttRefused(number, "too large")))
            case (("answer" | "failure"), _) if self.calls:
                link = min(self.calls)
                call = self.calls.pop(link)
                answer = value if isinstance(value, BridgeError) else self.answer(call, value)
                self.take(self.hand.tell(BridgeAnswered(link, call.call_id, answer, "192.0.2.5")))
            case "event", MqttConnected() as event:
                self.take(self.hand.tell(event))
                self.take(self.hand.tell(MqttSubscribed()))
            case "event", event:
                if isinstance(event, MqttLost):
                    self.unacknowledged.clear()
                self.take(self.hand.tell(event))  # type: ignore[arg-type]
            case _:
                pass

    def answer(self, call: CallBridge, value: object) -> Answer:
        assert isinstance(value, tuple)
        number, listed, success = value
        match call.request:
            case InfoRequest():
                return info(self.hand.now + (3600 if number == 9 else 0), uptime_s=number * 1000)
            case ListRequest():
                return ListAnswer(tuple(listed))
            case LockStateRequest():
                return LockStateAnswer(success=success, state=state(1) if success else None)
            case CallbackListRequest():
                return CallbackListAnswer((CallbackSlot(0, "http://192.0.2.6/x"),) * (number % 4))
            case _:
                return SuccessAnswer(success=success)

    def wait(self, pause: float) -> None:
        end = self.hand.monotonic + pause
        for _ in range(3000):
            deadline = self.hand.gateway.next_deadline()
            if deadline is None or deadline > end or self.has_stopped:
                self.hand.monotonic = end
                return
            self.hand.monotonic = max(self.hand.monotonic, deadline)
            effects = self.hand.gateway.handle_timer(self.hand.moment)
            self.take(effects)
            after = self.hand.gateway.next_deadline()
            assert effects or after is None or after > self.hand.monotonic, "a timer spins"
        raise AssertionError("the timers do not come to rest")


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(STEPS, max_size=60), stops=st.booleans())
def test_no_timer_spins_and_no_bridge_is_asked_twice(*, steps: list[tuple[str, object]], stops: bool) -> None:
    run = Run()
    for kind, value in steps:
        run.step(kind, value)
    if stops:
        run.take(run.hand.tell(StopRequested()))
        run.wait(10)
        assert run.has_stopped
    else:
        run.wait(400)


def test_a_broker_that_never_acknowledges_the_subscription_makes_no_timer_spin() -> None:
    run = Run()
    run.take(run.hand.tell(MqttConnected("5")))
    for topic, payload in (MESSAGES[0], MESSAGES[2]):
        run.take(run.hand.tell(MqttReceived(topic, payload, retained=True)))
    run.wait(400)

    assert run.hand.now == 400


def test_a_quiet_day_with_a_bridge_that_is_away_stays_calm() -> None:
    run = Run()
    for event in (MqttConnected("5"), MqttSubscribed()):
        run.take(run.hand.tell(event))
    run.wait(0.2)
    timers = 0
    while run.hand.now < 3600:
        deadline = run.hand.gateway.next_deadline()
        assert deadline is not None
        run.hand.monotonic = max(run.hand.monotonic, deadline)
        run.take(run.hand.gateway.handle_timer(run.hand.moment))
        timers += 1
        while run.calls:
            run.step("failure", BridgeError(BridgeErrorKind.REFUSED))

    assert timers < 3600 / 30 * 4
    assert run.hand.monotonic >= ZERO + 3600


@pytest.mark.parametrize("seconds", [0.0, 5.0, 19.9])
def test_before_the_broker_is_there_only_its_absence_is_awaited(seconds: float) -> None:
    hand = Hand.with_config()
    effects = hand.wait(seconds)

    assert (effects, hand.gateway.next_deadline()) == ([], ZERO + 20)
    assert only(hand.wait(20 - seconds), CallBridge) != []
