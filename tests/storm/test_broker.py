"""The stories of the broker, against the one in memory."""

import heapq
from collections.abc import Callable

import pytest

from tests.storm.broker import Filter, Line, MemoryBroker, Packet, Taken
from tests.storm.broker_stories import DENIED, STORIES, Client, Setting, Stage, Story, dup, kept, live

SETTLE_S = 0.05


class Time:
    """Virtual time: what is due happens in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now + seconds, self._count, call))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, call = heapq.heappop(self._due)
            call()
        self.now = until


class MemoryClient:
    expiry_slack_s = 0

    def __init__(self, stage: "MemoryStage") -> None:
        self.reasons: list[str] = []
        self.heard: list[Packet] = []
        self.line: Line | None = None
        self._stage = stage

    @property
    def _line(self) -> Line:
        assert self.line is not None
        return self.line

    @property
    def is_open(self) -> bool:
        return self._line.is_open

    @property
    def session_present(self) -> bool:
        return self._line.session_present

    def subscribe(self, *filters: Filter) -> tuple[int, ...]:
        return self._line.subscribe(*filters)

    def unsubscribe(self, *topic_filters: str) -> None:
        self._line.unsubscribe(*topic_filters)

    def publish(self, packet: Packet) -> int | None:
        codes: list[int] = []
        self._line.publish(packet, acknowledged=codes.append)
        self._stage.time.run(3 * self._stage.broker.latency_s)
        return codes[0] if codes else None

    def acknowledge(self, packet: Packet) -> None:
        self._line.acknowledge(packet)

    def disconnect(self) -> None:
        self._line.disconnect()

    def drop(self) -> None:
        self._line.drop()

    def stall(self) -> None:
        self._line.stall()

    def resume(self) -> None:
        self._line.resume(in_pipe=True)

    def hear(self, packet: Packet) -> None:
        self.heard.append(packet)

    def take_heard(self) -> list[Packet]:
        heard, self.heard = self.heard, []
        return heard


class MemoryStage(Stage):
    def __init__(self, story: Story) -> None:
        setting = story.setting
        self.time = Time()
        self.broker = MemoryBroker(lambda: self.time.now, self.time.later, max_queued=setting.max_queued)
        self._is_persistent = setting.is_persistent
        if setting.denies is not None:
            self.broker.deny(setting.denies)

    def connect(
        self,
        name: str,
        *filters: Filter,
        protocol: str = "5",
        clean: bool = True,
        session_expiry_s: int = 0,
        will: Packet | None = None,
        keepalive_s: int | None = None,
        manual_ack: bool = False,
    ) -> MemoryClient:
        client = MemoryClient(self)
        client.line = self.broker.connect(
            name,
            protocol=protocol,
            clean=clean,
            session_expiry_s=session_expiry_s,
            will=will,
            keepalive_s=keepalive_s,
            manual_ack=manual_ack,
            deliver=client.hear,
            lost=client.reasons.append,
        )
        if filters:
            client.subscribe(*filters)
        return client

    def wait(self, seconds: float, _until_heard: Client | None = None) -> None:
        self.time.run(seconds)

    def settle(self) -> None:
        self.time.run(SETTLE_S)

    def restart(self, *, says_wills: bool = False) -> None:
        is_kept = self._is_persistent
        self.broker.stop(keep_retained=is_kept, keep_sessions=is_kept, says_wills=says_wills)
        self.settle()
        self.broker.start()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_story(story: Story) -> None:
    story.play(MemoryStage(story))


# --- what mosquitto cannot be made to show ------------------------------------------------------------------------


@pytest.fixture
def stage() -> MemoryStage:
    return MemoryStage(Story("", lambda _stage: None, Setting(is_persistent=True)))


def test_a_message_takes_the_latency_and_its_acknowledgement_twice_that(stage: MemoryStage) -> None:
    a, b = stage.connect("a").line, stage.connect("b", Filter("t"))
    codes: list[int] = []
    assert a is not None
    a.publish(live("t", b"1"), acknowledged=codes.append)
    latency_s = stage.broker.latency_s
    for seconds, heard, acknowledged in ((0.9, 0, 0), (0.2, 1, 0), (0.8, 1, 0), (0.2, 1, 1)):
        stage.time.run(seconds * latency_s)
        assert (len(b.heard), len(codes)) == (heard, acknowledged)


def test_a_line_that_breaks_hears_no_acknowledgement_and_no_message(stage: MemoryStage) -> None:
    a = stage.connect("a", Filter("t"))
    codes: list[int] = []
    assert a.line is not None
    a.line.publish(live("t", b"1"), acknowledged=codes.append)
    a.line.cut()
    a.line.cut()
    stage.hears(a)
    assert (codes, a.reasons, a.is_open) == ([], ["connection reset"], False)
    with pytest.raises(ConnectionResetError):
        a.line.publish(live("t", b"2"))


def test_who_breaks_the_line_is_not_told_and_who_loses_it_is(stage: MemoryStage) -> None:
    b = stage.connect("b", Filter("will"))
    a = stage.connect("a", will=live("will", b"1"))
    a.drop()
    a.drop()
    a = stage.connect("a", will=live("will", b"2"))
    stage.connect("a").disconnect()
    stage.hears(b, live("will", b"1"), live("will", b"2"))
    assert a.reasons == ["session taken over"]


def test_nobody_connects_to_a_stopped_broker(stage: MemoryStage) -> None:
    a = stage.connect("a", will=live("will", b"1"))
    taken: list[Taken] = []
    stage.broker.taps.append(taken.append)
    stage.broker.stop()
    assert (stage.broker.is_up, a.is_open, a.reasons, taken) == (False, False, ["the broker stopped"], [])
    with pytest.raises(ConnectionRefusedError):
        stage.connect("a")
    stage.broker.start()
    assert stage.connect("a").is_open


@pytest.mark.parametrize("keep_retained", [True, False])
@pytest.mark.parametrize("keep_sessions", [True, False])
def test_a_stopped_broker_forgets_what_it_is_told_to(
    stage: MemoryStage, *, keep_retained: bool, keep_sessions: bool
) -> None:
    stage.connect("a", Filter("t"), session_expiry_s=60).publish(kept("t", b"1"))
    stage.broker.stop(keep_retained=keep_retained, keep_sessions=keep_sessions)
    stage.broker.start()
    assert stage.connect("a", clean=False).session_present == keep_sessions
    assert stage.broker.retained_payload("t") == (b"1" if keep_retained else None)
    assert list(stage.broker.retained) == ["t"] * keep_retained


def test_what_is_retained_is_read_without_what_has_expired(stage: MemoryStage) -> None:
    stage.connect("a").publish(Packet("t", b"1", 1, retain=True, expiry_s=2))
    stage.time.run(1.9)
    assert stage.broker.retained_payload("t") == b"1"
    stage.time.run(0.1)
    assert stage.broker.retained_payload("t") is None
    assert not stage.broker.retained


def test_a_tap_sees_what_is_taken_and_nothing_else(stage: MemoryStage) -> None:
    taken: list[Taken] = []
    stage.broker.taps.append(taken.append)
    stage.broker.deny(lambda _client, topic, what: (topic, what) == ("denied", "write"))
    a = stage.connect("a", will=kept("will", b"gone"))
    assert a.publish(live("denied", b"1")) == DENIED
    a.publish(Packet("t", b"2", 1, expiry_s=5))
    at = stage.time.now
    a.drop()
    assert [(one.client_id, one.packet) for one in taken] == [
        ("a", Packet("t", b"2", 1, expiry_s=5)),
        ("a", kept("will", b"gone")),
    ]
    assert taken[1].at == at


def test_a_stall_ends_with_what_waited_in_the_broker_or_in_the_pipe(stage: MemoryStage) -> None:
    a = stage.connect("a")
    for in_pipe in (True, False):
        b = stage.connect("b", Filter("t"))
        assert b.line is not None
        b.line.stall()
        for expiry_s in (2, 9, None):
            a.publish(Packet("t", b"", 1, expiry_s=expiry_s))
        a.publish(Packet("t", b"", 0, expiry_s=9))
        stage.wait(3.5)
        a.publish(live("t", b"last"))
        stage.hears_nothing(b)
        b.line.resume(in_pipe=in_pipe)
        aged = [(1, 2), (1, 9), (1, None), (0, 9)] if in_pipe else [(1, 6), (1, None), (0, 6)]
        stage.hears(b, *(Packet("t", b"", qos, expiry_s=left) for qos, left in aged), live("t", b"last"))


def test_what_a_line_swallows_is_neither_taken_nor_acknowledged(stage: MemoryStage) -> None:
    a, b = stage.connect("a"), stage.connect("b")
    b.subscribe(Filter("t"))
    swallowed: list[str] = []
    acknowledged: list[int] = []
    assert a.line is not None
    a.line.swallow(lambda: swallowed.append("t"))

    a.line.publish(Packet("t", b"1", qos=1, retain=True), acknowledged=acknowledged.append)
    stage.wait(SETTLE_S)

    assert (swallowed, acknowledged, b.heard) == (["t"], [], [])
    assert stage.broker.retained_payload("t") is None


def test_a_stalled_client_is_kicked_unless_it_says_something(stage: MemoryStage) -> None:
    b = stage.connect("b", Filter("will"))
    a = stage.connect("a", keepalive_s=10, will=live("will", b"1"))
    a.stall()
    stage.wait(14.9)
    a.publish(live("t", b"1", 0))
    stage.wait(14.9)
    assert a.is_open
    stage.wait(0.2)
    assert a.reasons == ["keepalive timeout"]
    stage.hears(b, live("will", b"1"))
    a = stage.connect("a", keepalive_s=10)
    a.stall()
    stage.wait(14)
    a.resume()
    stage.wait(0.5)
    a.stall()
    stage.wait(14.7)  # longer than that after the first stall, and after its end
    assert a.is_open
    a.resume()
    stage.wait(60)
    assert a.is_open


def test_a_copy_of_a_message_can_be_acknowledged_but_only_one_at_a_time(stage: MemoryStage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"), session_expiry_s=60, manual_ack=True)
    for _ in range(3):
        a.publish(live("t", b"same"))
    stage.hears(b, *[live("t", b"same")] * 3)
    b.acknowledge(live("t", b"same"))
    b.drop()
    b.acknowledge(live("t", b"same"))
    stage.hears(stage.connect("b", clean=False), *[dup(live("t", b"same"))] * 2)


def test_a_client_of_311_knows_no_options_and_no_properties(stage: MemoryStage) -> None:
    full = Packet("t", b"1", 1, retain=True, response_topic="r", correlation=b"c", expiry_s=9)
    new = stage.connect("new", Filter("t", retain_as_published=True))
    option = Filter("t", retain_as_published=True, no_local=True, retain_handling=2)
    old = stage.connect("old", option, protocol="3.1.1", will=full)
    old.publish(full)
    old.subscribe(option)
    stage.hears(old, live("t", b"1"), kept("t", b"1"))
    old.drop()
    stage.hears(new, kept("t", b"1"), kept("t", b"1"))


def test_a_message_expires_at_its_second(stage: MemoryStage) -> None:
    a = stage.connect("a")
    stage.connect("b", Filter("t"), session_expiry_s=60).drop()
    taken: list[float] = []
    stage.broker.taps.append(lambda one: taken.append(one.at))
    a.publish(Packet("t", b"1", 1, retain=True, expiry_s=4))
    stage.time.now = taken[0] + 4
    stage.hears_nothing(stage.connect("b", Filter("t"), clean=False))
