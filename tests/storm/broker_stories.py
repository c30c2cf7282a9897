"""What a broker does, as stories to be played against the one in memory and against mosquitto.

A story tells clients what to do and says exactly what each received since it was last asked. It is one function
for both brokers, so that there is one expectation.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from tests.storm.broker import Filter, Packet

GONE_S = 2.1  # after that a message or session with an expiry of 1 s is gone; mosquitto counts whole seconds
DENIED, FAILURE, NO_SUBSCRIBERS, IN_FLIGHT = 0x87, 0x80, 0x10, 20


class Client(Protocol):
    """One connection of a client. `publish` waits until the broker has the message: the code of PUBACK, or None."""

    expiry_slack_s: int
    heard: list[Packet]

    @property
    def is_open(self) -> bool: ...
    @property
    def session_present(self) -> bool: ...
    def subscribe(self, *filters: Filter) -> tuple[int, ...]: ...
    def unsubscribe(self, *topic_filters: str) -> None: ...
    def publish(self, packet: Packet) -> int | None: ...
    def acknowledge(self, packet: Packet) -> None: ...
    def disconnect(self) -> None: ...
    def drop(self) -> None: ...
    def stall(self) -> None: ...
    def resume(self) -> None: ...
    def take_heard(self) -> list[Packet]: ...


@dataclass(frozen=True)
class Setting:
    """How the broker is set up. `acl` is mosquitto's file, `denies` the same as a predicate.

    `is_persistent`: each change is on the disk at once. `subscribable`: the only filter that may be subscribed to.
    """

    acl: str | None = None
    denies: Callable[[str, str, str], bool] | None = None
    max_queued: int = 1000
    is_persistent: bool = False
    subscribable: str | None = None


class Stage(ABC):
    """A broker and its clients."""

    @abstractmethod
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
    ) -> Client: ...

    @abstractmethod
    def wait(self, seconds: float, until_heard: Client | None = None) -> None:
        """Let time pass, at most until this client hears something; only those who are stalled are silent."""

    @abstractmethod
    def settle(self) -> None:
        """Until everything that was caused has arrived."""

    @abstractmethod
    def restart(self, *, says_wills: bool = False) -> None:
        """The broker dies, or ends in good order and says the wills before, and is started again."""

    def hears(self, client: Client, *expected: Packet) -> None:
        """That this client got exactly these since it was last asked, in this order."""
        self.settle()
        heard = client.take_heard()
        assert [self._near(client, *pair) for pair in zip(heard, expected, strict=False)] == list(expected), heard
        assert len(heard) == len(expected), heard

    def hears_nothing(self, client: Client) -> None:
        self.hears(client)

    @staticmethod
    def _near(client: Client, heard: Packet, expected: Packet) -> Packet:
        """A real clock may be read on both sides of a full second."""
        if heard.expiry_s is None or expected.expiry_s is None:
            return heard
        is_near = expected.expiry_s - client.expiry_slack_s <= heard.expiry_s <= expected.expiry_s
        return replace(heard, expiry_s=expected.expiry_s) if is_near else heard


@dataclass(frozen=True)
class Story:
    name: str
    play: Callable[[Stage], None]
    setting: Setting


STORIES: list[Story] = []


def story(setting: Setting | None = None) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    def add(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        STORIES.append(Story(play.__name__, play, setting or Setting()))
        return play

    return add


def kept(topic: str, payload: bytes, qos: int = 1) -> Packet:
    """A retained message, as it is published and as it comes out of the store."""
    return Packet(topic, payload, qos, retain=True)


def live(topic: str, payload: bytes, qos: int = 1) -> Packet:
    return Packet(topic, payload, qos)


# --- delivery -------------------------------------------------------------------------------------------------


@story()
def messages_arrive_in_order_with_the_lower_qos(stage: Stage) -> None:
    a, b, c = stage.connect("a"), stage.connect("b", Filter("t", 1)), stage.connect("c", Filter("t", 0))
    sent = [live("t", bytes([number]), number % 2) for number in range(30)]
    for packet in sent:
        a.publish(packet)
    stage.hears(b, *sent)
    stage.hears(c, *(replace(packet, qos=0) for packet in sent))
    stage.hears_nothing(a)


@story()
def an_acknowledgement_says_whether_anybody_listens(stage: Stage) -> None:
    a, old = stage.connect("a"), stage.connect("old", protocol="3.1.1")
    assert a.publish(live("t", b"1")) == NO_SUBSCRIBERS
    assert a.publish(kept("t", b"2")) == NO_SUBSCRIBERS
    assert old.publish(live("t", b"3")) == 0
    assert a.publish(live("t", b"4", 0)) is None
    b = stage.connect("b", Filter("t", 0))
    assert a.publish(live("t", b"5")) == 0
    stage.hears(b, kept("t", b"2", 0), live("t", b"5", 0))
    b.unsubscribe("t")
    assert a.publish(live("t", b"6")) == NO_SUBSCRIBERS
    stage.hears_nothing(b)


@story()
def offline_sessions_and_own_subscriptions_count_as_listeners(stage: Stage) -> None:
    b = stage.connect("b", Filter("t"), session_expiry_s=60)
    b.disconnect()
    a = stage.connect("a", Filter("own", no_local=True))
    assert a.publish(live("t", b"1", 1)) == 0
    assert a.publish(live("own", b"1", 1)) == 0
    stage.hears_nothing(a)


@story()
def no_local_holds_back_only_what_is_ones_own(stage: Stage) -> None:
    a = stage.connect("a", Filter("t", no_local=True), Filter("u"))
    b = stage.connect("b")
    a.publish(live("t", b"own"))
    a.publish(live("u", b"own"))
    b.publish(live("t", b"foreign"))
    stage.hears(a, live("u", b"own"), live("t", b"foreign"))


@story()
def no_local_does_not_hold_back_ones_own_retained_message(stage: Stage) -> None:
    a = stage.connect("a")
    a.publish(kept("t", b"own"))
    a.subscribe(Filter("t", no_local=True))
    stage.hears(a, kept("t", b"own"))


@story()
def wildcards_match_whole_levels(stage: Stage) -> None:
    a = stage.connect("a")
    plus, many, middle = (stage.connect(each, Filter(each)) for each in ("+", "a/#", "a/+/c"))
    top, all_ = stage.connect("top", Filter("+/+")), stage.connect("all", Filter("#"))
    for topic in ("a", "a/b", "a/b/c", "a//c", "/a", "ab", "a/b/c/d"):
        a.publish(live(topic, b""))
    stage.hears(plus, live("a", b""), live("ab", b""))
    stage.hears(many, *(live(topic, b"") for topic in ("a", "a/b", "a/b/c", "a//c", "a/b/c/d")))
    stage.hears(middle, live("a/b/c", b""), live("a//c", b""))
    stage.hears(top, live("a/b", b""), live("/a", b""))
    stage.hears(all_, *(live(topic, b"") for topic in ("a", "a/b", "a/b/c", "a//c", "/a", "ab", "a/b/c/d")))


@story()
def topics_with_a_dollar_are_not_matched_by_a_first_wildcard(stage: Stage) -> None:
    a, all_, plus = stage.connect("a"), stage.connect("all", Filter("#")), stage.connect("plus", Filter("+/x"))
    named = stage.connect("named", Filter("$mine/#"), Filter("a/$mine"))
    a.publish(kept("$mine/x", b"1"))
    a.publish(live("a/$mine", b"2"))
    stage.hears(all_, live("a/$mine", b"2"))
    stage.hears_nothing(plus)
    stage.hears(named, live("$mine/x", b"1"), live("a/$mine", b"2"))
    late = stage.connect("late", Filter("#"), Filter("+/x"), Filter("$mine/+"))
    stage.hears(late, kept("$mine/x", b"1"))


@story()
def the_broker_hangs_up_at_a_topic_with_wildcards(stage: Stage) -> None:
    b = stage.connect("b", Filter("#"))
    for name, topic in (("a1", "t/+"), ("a2", "#"), ("a3", "t+")):
        a = stage.connect(name, will=live(f"will/{name}", b"gone"))
        assert a.publish(live(topic, b"1")) is None
        stage.hears(b, live(f"will/{name}", b"gone"))
        assert not a.is_open


@story()
def the_broker_hangs_up_at_a_filter_that_is_none(stage: Stage) -> None:
    for topic_filter in ("a/#/b", "a+", "a#", ""):
        a = stage.connect("a")
        assert a.subscribe(Filter(topic_filter)) == ()
        assert not a.is_open


# --- overlapping subscriptions ----------------------------------------------------------------------------------


@story()
def overlapping_subscriptions_deliver_once_each_with_mqtt_5(stage: Stage) -> None:
    a = stage.connect("a")
    b = stage.connect("b", Filter("#", 0), Filter("a/+", 1), Filter("a/b", 0), Filter("a/b/#", 1), Filter("+/#", 1))
    a.publish(live("a/b", b"1"))
    stage.hears(b, *(live("a/b", b"1", qos) for qos in (1, 0, 1, 1, 0)))


@story()
def overlapping_subscriptions_deliver_once_with_mqtt_311(stage: Stage) -> None:
    a = stage.connect("a")
    b = stage.connect("b", Filter("#", 1), Filter("a/+", 0), protocol="3.1.1")
    c = stage.connect("c", Filter("#", 0), Filter("a/+", 1), protocol="3.1.1")
    a.publish(live("a/b", b"1"))
    stage.hears(b, live("a/b", b"1", 0))
    stage.hears(c, live("a/b", b"1", 1))
    for each in (b, c):
        each.disconnect()
    offline = stage.connect("b", Filter("#", 1), Filter("a/+", 0), protocol="3.1.1", clean=False)
    offline.disconnect()
    a.publish(live("a/b", b"2"))
    stage.hears(stage.connect("b", protocol="3.1.1", clean=False), live("a/b", b"2"))


@story()
def subscribing_again_replaces_the_subscription(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t", 1))
    assert b.subscribe(Filter("t", 0)) == (0,)
    a.publish(live("t", b"1"))
    stage.hears(b, live("t", b"1", 0))


# --- retained messages --------------------------------------------------------------------------------------------


@story()
def retained_messages_follow_a_subscription_and_are_flagged(stage: Stage) -> None:
    a = stage.connect("a")
    for packet in (kept("t", b"old"), kept("t", b"new"), live("t", b"live"), kept("u", b"zero", 0)):
        a.publish(packet)
    for protocol in ("5", "3.1.1"):
        b = stage.connect("b", protocol=protocol)
        assert b.subscribe(Filter("t", 0), Filter("u", 1)) == (0, 1)
        stage.hears(b, kept("t", b"new", 0), kept("u", b"zero", 0))


@story()
def retained_messages_come_in_the_order_of_the_tree(stage: Stage) -> None:
    a = stage.connect("a")
    for topic in ("m/z", "m/a", "k", "m", "m/z/1", "m/a/1", "k/1", "a"):
        a.publish(kept(topic, b"1"))
    a.publish(kept("m/z", b"2"))
    b = stage.connect("b", Filter("#"))
    stage.hears(
        b,
        *(kept(topic, b"1") for topic in ("m",)),
        kept("m/z", b"2"),
        *(kept(topic, b"1") for topic in ("m/z/1", "m/a", "m/a/1", "k", "k/1", "a")),
    )
    c = stage.connect("c", Filter("m/#"))
    stage.hears(c, kept("m/z", b"2"), *(kept(topic, b"1") for topic in ("m/z/1", "m/a", "m/a/1", "m")))
    d = stage.connect("d", Filter("+/#"))
    stage.hears(
        d,
        kept("m/z", b"2"),
        *(kept(topic, b"1") for topic in ("m/z/1", "m/a", "m/a/1", "m", "k/1", "k", "a")),
    )


@story()
def a_topic_that_was_cleared_keeps_its_place_in_the_order(stage: Stage) -> None:
    a = stage.connect("a")
    for topic, payload in (("x", b"1"), ("y", b"1"), ("x", b""), ("x", b"2")):
        a.publish(kept(topic, payload))
    stage.hears(stage.connect("b", Filter("+")), kept("x", b"2"), kept("y", b"1"))


@story()
def live_messages_are_flagged_only_when_retained_as_published(stage: Stage) -> None:
    a = stage.connect("a")
    plain, as_published = stage.connect("b", Filter("t")), stage.connect("c", Filter("t", retain_as_published=True))
    old = stage.connect("d", Filter("t"), protocol="3.1.1")
    a.publish(kept("t", b"1"))
    a.publish(live("t", b"2"))
    for each in (plain, old):
        stage.hears(each, live("t", b"1"), live("t", b"2"))
    stage.hears(as_published, kept("t", b"1"), live("t", b"2"))
    for option in (True, False):
        stage.hears(stage.connect("e", Filter("t", retain_as_published=option)), kept("t", b"1"))


@story()
def an_empty_payload_clears_and_is_delivered(stage: Stage) -> None:
    a, b, c = stage.connect("a"), stage.connect("b", Filter("t", retain_as_published=True)), stage.connect("c")
    c.subscribe(Filter("t"))
    a.publish(kept("t", b"1"))
    a.publish(kept("t", b""))
    stage.hears(b, kept("t", b"1"), kept("t", b""))
    stage.hears(c, live("t", b"1"), live("t", b""))
    stage.hears_nothing(stage.connect("d", Filter("#")))


@story()
def retain_handling_decides_when_retained_messages_follow(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b")
    a.publish(kept("t", b"1"))
    for handling, times in ((0, (1, 1)), (1, (1, 0)), (2, (0, 0))):
        for count in times:
            b.subscribe(Filter("t", retain_handling=handling))
            stage.hears(b, *[kept("t", b"1")] * count)
        b.unsubscribe("t")


@story()
def retain_handling_1_knows_the_subscriptions_of_the_session(stage: Stage) -> None:
    stage.connect("a").publish(kept("t", b"1"))
    b = stage.connect("b", Filter("t"), session_expiry_s=60)
    stage.hears(b, kept("t", b"1"))
    b.disconnect()
    b = stage.connect("b", Filter("t", retain_handling=1), clean=False, session_expiry_s=60)
    stage.hears_nothing(b)
    b.disconnect()
    b = stage.connect("b", Filter("t", retain_handling=1))
    stage.hears(b, kept("t", b"1"))


@story()
def with_mqtt_311_each_subscription_brings_the_retained_messages(stage: Stage) -> None:
    stage.connect("a").publish(kept("t", b"1"))
    b = stage.connect("b", Filter("t"), Filter("#"), protocol="3.1.1", clean=False)
    stage.hears(b, kept("t", b"1"), kept("t", b"1"))
    b.subscribe(Filter("t"))
    stage.hears(b, kept("t", b"1"))
    b.disconnect()
    b = stage.connect("b", Filter("t"), protocol="3.1.1", clean=False)
    assert b.session_present
    stage.hears(b, kept("t", b"1"))


# --- properties ---------------------------------------------------------------------------------------------------


@story()
def properties_travel_between_clients_of_mqtt_5_only(stage: Stage) -> None:
    a, b, old = stage.connect("a"), stage.connect("b"), stage.connect("old", protocol="3.1.1")
    for each in (b, old):
        each.subscribe(Filter("t"))
    full = Packet("t", b"1", 1, retain=True, response_topic="r", correlation=b"\0c", expiry_s=60)
    a.publish(full)
    old.publish(live("t", b"2"))
    stage.hears(b, replace(full, retain=False), live("t", b"2"))
    stage.hears(old, live("t", b"1"), live("t", b"2"))
    stage.hears(stage.connect("late", Filter("t")), full)
    stage.hears(stage.connect("late", Filter("t"), protocol="3.1.1"), kept("t", b"1"))


@story()
def an_expiry_of_zero_is_none(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"))
    a.publish(Packet("t", b"1", 1, retain=True, expiry_s=0))
    stage.hears(b, live("t", b"1"))
    stage.hears(stage.connect("late", Filter("t")), kept("t", b"1"))


@story()
def what_waits_expires(stage: Stage) -> None:
    a, late = stage.connect("a"), Filter("kept/#")
    for name in ("new", "old"):
        protocol = "5" if name == "new" else "3.1.1"
        stage.connect(name, Filter("t"), protocol=protocol, clean=False, session_expiry_s=60).drop()
    stage.settle()
    for topic, expiry_s in (("t", 1), ("t", 60), ("kept/1", 1), ("kept/60", 60)):
        a.publish(Packet(topic, b"", 1, expiry_s=expiry_s))
        a.publish(Packet(topic, str(expiry_s).encode(), 1, retain=topic != "t", expiry_s=expiry_s))
    stage.wait(GONE_S)
    b = stage.connect("new", clean=False, session_expiry_s=60)
    stage.hears(b, *(Packet("t", payload, 1, expiry_s=58) for payload in (b"", b"60")))
    old = stage.connect("old", protocol="3.1.1", clean=False)
    stage.hears(old, live("t", b""), live("t", b"60"))
    stage.hears(stage.connect("c", late), Packet("kept/60", b"60", 1, retain=True, expiry_s=58))
    stage.hears(stage.connect("d", late, protocol="3.1.1"), kept("kept/60", b"60"))


# --- sessions -----------------------------------------------------------------------------------------------------


def dup(packet: Packet) -> Packet:
    return replace(packet, dup=True)


@story()
def a_session_keeps_subscriptions_and_queues_qos_1(stage: Stage) -> None:
    a = stage.connect("a")
    for protocol in ("5", "3.1.1"):
        b = stage.connect("b", Filter("t"), protocol=protocol, clean=False, session_expiry_s=60)
        assert not b.session_present
        b.disconnect()
        for number in range(30):
            a.publish(live("t", bytes([number]), number % 2))
        b = stage.connect("b", protocol=protocol, clean=False, session_expiry_s=60)
        assert b.session_present
        stage.hears(b, *(live("t", bytes([number])) for number in range(1, 30, 2)))
        a.publish(live("t", b"now"))
        stage.hears(b, live("t", b"now"))
        b.disconnect()
        stage.connect("b", protocol=protocol).disconnect()


@story()
def a_clean_start_ends_the_session(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"), session_expiry_s=60)
    b.disconnect()
    a.publish(live("t", b"1"))
    b = stage.connect("b", clean=True, session_expiry_s=60)
    assert not b.session_present
    assert a.publish(live("t", b"2")) == NO_SUBSCRIBERS
    stage.hears_nothing(b)


@story()
def a_session_without_expiry_ends_with_its_connection(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"), clean=False)
    b.drop()
    assert a.publish(live("t", b"1")) == NO_SUBSCRIBERS
    b = stage.connect("b", clean=False)
    assert not b.session_present
    stage.hears_nothing(b)


@story()
def a_session_may_go_on_with_another_protocol(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t", retain_as_published=True), session_expiry_s=60)
    b.disconnect()
    full = Packet("t", b"1", 1, retain=True, response_topic="r", correlation=b"c", expiry_s=60)
    a.publish(full)
    b = stage.connect("b", protocol="3.1.1", clean=False)
    assert b.session_present
    stage.hears(b, kept("t", b"1"))
    a.publish(kept("t", b"2"))
    stage.hears(b, kept("t", b"2"))


@story()
def what_was_not_acknowledged_comes_again_as_a_duplicate(stage: Stage) -> None:
    a = stage.connect("a")
    for protocol in ("5", "3.1.1"):
        b = stage.connect("b", Filter("t"), protocol=protocol, clean=False, session_expiry_s=60, manual_ack=True)
        sent = [live("t", bytes([number])) for number in range(4)]
        for packet in sent[:3]:
            a.publish(packet)
        a.publish(live("t", b"zero", 0))
        stage.hears(b, *sent[:3], live("t", b"zero", 0))
        b.acknowledge(sent[1])
        b.drop()
        a.publish(sent[3])
        for _ in range(2):
            b = stage.connect("b", protocol=protocol, clean=False, session_expiry_s=60, manual_ack=True)
            last = sent[3] if _ == 0 else dup(sent[3])
            stage.hears(b, dup(sent[0]), dup(sent[2]), last)
            b.drop()
        b = stage.connect("b", protocol=protocol, clean=False, session_expiry_s=60)
        stage.hears(b, *(dup(sent[number]) for number in (0, 2, 3)))
        b.drop()
        b = stage.connect("b", protocol=protocol, clean=True)
        stage.hears_nothing(b)
        b.drop()


@story()
def what_was_on_its_way_when_the_line_broke_comes_again(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"), session_expiry_s=60)
    stage.settle()
    b.stall()
    a.publish(live("t", b"zero", 0))
    a.publish(live("t", b"one"))
    b.drop()
    a.publish(live("t", b"two"))
    b = stage.connect("b", clean=False, session_expiry_s=60)
    stage.hears(b, dup(live("t", b"one")), live("t", b"two"))


@story()
def twenty_messages_are_in_flight_and_others_wait(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"), manual_ack=True)
    sent = [live("t", bytes([number])) for number in range(IN_FLIGHT + 2)]
    for packet in sent:
        a.publish(packet)
    a.publish(live("t", b"zero", 0))
    stage.hears(b, *sent[:IN_FLIGHT], live("t", b"zero", 0))
    for packet in sent[:IN_FLIGHT]:  # all of them: after the first PUBACK mosquitto 2.0.11 sends more than 20 in all
        b.acknowledge(packet)
    stage.hears(b, *sent[IN_FLIGHT:])


@story()
def what_waits_in_the_pipe_arrives_as_it_was_and_what_waits_in_the_broker_expires(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"), manual_ack=True)
    short, long = Packet("t", b"", 1, expiry_s=1), Packet("t", b"", 1, expiry_s=60)
    in_pipe = [replace(short, payload=bytes([number])) for number in range(IN_FLIGHT)]
    stage.settle()
    b.stall()
    for packet in (*in_pipe, short, long):
        a.publish(packet)
    stage.wait(GONE_S)
    b.resume()
    stage.hears(b, *in_pipe)
    b.acknowledge(in_pipe[0])
    stage.hears(b, replace(long, expiry_s=58))


@story(Setting(max_queued=5))
def a_full_queue_takes_no_more(stage: Stage) -> None:
    a, b = stage.connect("a"), stage.connect("b", Filter("t"), session_expiry_s=60, manual_ack=True)
    sent = [live("t", bytes([number])) for number in range(IN_FLIGHT + 8)]
    for packet in sent[:3]:
        a.publish(packet)
    stage.hears(b, *sent[:3])
    b.drop()
    for packet in sent[3:]:
        assert a.publish(packet) == 0
    b = stage.connect("b", clean=False, session_expiry_s=60)
    stage.hears(b, *map(dup, sent[:3]), *sent[3:5])
    b.disconnect()
    b = stage.connect("b", clean=False, session_expiry_s=60, manual_ack=True)
    for packet in sent:
        a.publish(packet)
    stage.hears(b, *sent[:IN_FLIGHT])
    for packet in sent[:IN_FLIGHT]:
        b.acknowledge(packet)
    stage.hears(b, *sent[IN_FLIGHT : IN_FLIGHT + 5])


@story()
def a_session_expires(stage: Stage) -> None:
    a = stage.connect("a")
    for name, expiry_s in (("short", 1), ("long", 60)):
        stage.connect(name, Filter(name), session_expiry_s=expiry_s).drop()
        assert a.publish(live(name, b"1")) == 0
    stage.wait(GONE_S)
    assert a.publish(live("short", b"2")) == NO_SUBSCRIBERS
    short = stage.connect("short", clean=False, session_expiry_s=60)
    assert not short.session_present
    stage.hears_nothing(short)
    long = stage.connect("long", clean=False)
    assert long.session_present
    stage.hears(long, live("long", b"1"))


# --- wills and takeover -------------------------------------------------------------------------------------------

WILL = Packet("will", b"gone", 1, retain=True, response_topic="r", correlation=b"c", expiry_s=60)


@story()
def a_will_is_said_on_a_drop_and_not_on_a_disconnect(stage: Stage) -> None:
    b = stage.connect("b", Filter("will", retain_as_published=True))
    stage.connect("a", will=WILL).disconnect()
    stage.hears_nothing(b)
    stage.connect("a", will=WILL).drop()
    stage.hears(b, WILL)
    stage.connect("a", will=Packet("will", b"zero", 0)).drop()
    stage.hears(b, live("will", b"zero", 0))
    stage.connect("a", will=kept("will", b""), session_expiry_s=60).drop()
    stage.hears(b, kept("will", b""))
    stage.hears_nothing(stage.connect("c", Filter("will")))
    old = stage.connect("old", protocol="3.1.1", will=kept("will", b"old"))
    old.drop()
    stage.hears(b, kept("will", b"old"))
    stage.hears(stage.connect("c", Filter("will")), kept("will", b"old"))


@story()
def a_will_waits_for_the_session_of_who_left_it(stage: Stage) -> None:
    stage.connect("a", Filter("will"), session_expiry_s=60, will=live("will", b"1")).drop()
    stage.hears(stage.connect("a", clean=False), live("will", b"1"))


@story()
def a_silent_client_is_kicked(stage: Stage) -> None:
    b, a = stage.connect("b", Filter("will")), stage.connect("a", keepalive_s=1, will=live("will", b"1"))
    stage.wait(0.1)
    a.stall()
    stage.wait(7.0, b)  # mosquitto looks every 5 s
    stage.hears(b, live("will", b"1"))
    a.resume()
    stage.settle()
    assert not a.is_open


@story()
def a_second_connection_takes_over(stage: Stage) -> None:
    b = stage.connect("b", Filter("will"))
    for protocol, clean, expiry_s, again_clean, goes_on in (
        ("5", True, 60, False, True),
        ("5", True, 60, True, False),
        ("5", False, 0, False, False),
        ("3.1.1", False, 0, False, True),
        ("3.1.1", False, 0, True, False),
        ("3.1.1", True, 0, False, False),
    ):
        will, owed = live("will", b"gone"), live("t", b"1")
        ask = partial(stage.connect, "a", protocol=protocol, session_expiry_s=expiry_s)
        first = ask(Filter("t"), clean=clean, will=will, manual_ack=True)
        b.publish(owed)
        stage.hears(first, owed)
        second = ask(clean=again_clean)
        assert second.session_present == goes_on
        stage.hears(second, *[dup(owed)] * goes_on)
        stage.hears(b, *[will] * (not goes_on))  # the standard would say it in any case
        assert not first.is_open
        second.disconnect()
        stage.connect("a").disconnect()


# --- rights -------------------------------------------------------------------------------------------------------

ACL = """topic readwrite open/#
topic read told/#
topic write said/#
pattern readwrite own/%c/#
topic read $SYS/#
"""


def denies(client_id: str, topic: str, what: str) -> bool:
    """The same in other words; mosquitto's ACL file does not forbid a subscription."""
    kind, _, rest = topic.partition("/")
    allowed = {"open": ("read", "write"), "told": ("read",), "said": ("write",)}.get(kind, ())
    is_own = kind == "own" and rest.startswith(f"{client_id}/")
    return what != "subscribe" and what not in allowed and not is_own


@story(Setting(acl=ACL, denies=denies))
def what_is_denied_is_not_taken_and_not_told(stage: Stage) -> None:
    a, old, b = stage.connect("a"), stage.connect("old", protocol="3.1.1"), stage.connect("b")
    assert b.subscribe(Filter("#"), Filter("said/x")) == (1, 1)
    for topic, code in (("open/x", 0), ("told/x", DENIED), ("said/x", 0), ("own/a/x", 0), ("own/b/x", DENIED)):
        assert a.publish(kept(topic, b"a")) == code
        assert old.publish(live(topic, b"old")) == 0
        a.publish(live(topic, b"a", 0))
    stage.hears(b, live("open/x", b"a"), live("open/x", b"old"), live("open/x", b"a", 0))
    assert b.publish(live("own/b/x", b"b")) == 0
    stage.hears(b, live("own/b/x", b"b"))
    stage.hears(stage.connect("late", Filter("#"), Filter("own/a/x")), kept("open/x", b"a"))


@story(Setting(acl=ACL, denies=denies))
def a_will_needs_the_right_to_be_said(stage: Stage) -> None:
    b = stage.connect("b", Filter("#"))
    stage.connect("a", will=live("told/will", b"1")).drop()
    stage.connect("a", will=live("open/will", b"2")).drop()
    stage.hears(b, live("open/will", b"2"))


@story(Setting(subscribable="open/#", denies=lambda _client, topic, what: what == "subscribe" and topic[:4] != "open"))
def a_denied_subscription_is_told(stage: Stage) -> None:
    a, b, old = stage.connect("a"), stage.connect("b"), stage.connect("old", protocol="3.1.1")
    assert b.subscribe(Filter("open/x"), Filter("t"), Filter("#")) == (1, DENIED, DENIED)
    assert old.subscribe(Filter("open/x"), Filter("t")) == (1, FAILURE)
    a.publish(live("t", b"1"))
    a.publish(live("open/x", b"2"))
    for each in (b, old):
        stage.hears(each, live("open/x", b"2"))


# --- restarts -----------------------------------------------------------------------------------------------------


def fill(stage: Stage) -> list[Packet]:
    """What a restart may keep or lose: sessions, what they wait for, retained messages, wills that nobody has said."""
    a = stage.connect("a", will=kept("will", b"gone"))
    # Not a clean start: mosquitto 2.0.11 does not save sessions that began with one.
    b = stage.connect("b", Filter("t"), clean=False, session_expiry_s=60, manual_ack=True)
    stage.connect("c", Filter("t"), protocol="3.1.1", clean=False).disconnect()
    stage.connect("d", Filter("t"))
    for topic in ("kept/b", "kept/a"):
        a.publish(kept(topic, b"1"))
    a.publish(Packet("kept/0", b"1", 1, retain=True, response_topic="r", correlation=b"c", expiry_s=60))
    sent = [live("t", b"1"), live("t", b"2")]
    a.publish(sent[0])
    stage.hears(b, sent[0])
    b.drop()
    a.publish(sent[1])
    return sent


@story(Setting(is_persistent=True))
def a_broker_with_a_disk_remembers(stage: Stage) -> None:
    sent = fill(stage)
    stage.settle()
    stage.restart()
    assert stage.connect("a").publish(live("x", b"1")) == NO_SUBSCRIBERS
    b = stage.connect("b", clean=False)
    assert b.session_present
    stage.hears(b, dup(sent[0]), sent[1])
    c = stage.connect("c", protocol="3.1.1", clean=False)
    assert c.session_present
    stage.hears(c, *sent)
    assert not stage.connect("d", clean=False).session_present
    e = stage.connect("e", Filter("#"))
    expiring = Packet("kept/0", b"1", 1, retain=True, response_topic="r", correlation=b"c", expiry_s=60)
    stage.hears(e, kept("kept/b", b"1"), kept("kept/a", b"1"), expiring)


@story()
def a_broker_without_a_disk_forgets(stage: Stage) -> None:
    fill(stage)
    stage.restart()
    for name in ("b", "c"):
        assert not stage.connect(name, clean=False, session_expiry_s=60).session_present
    stage.hears_nothing(stage.connect("e", Filter("#")))


@story(Setting(is_persistent=True))
def a_broker_that_ends_in_good_order_says_the_wills_first(stage: Stage) -> None:
    stage.connect("b", Filter("will"), protocol="3.1.1", clean=False).disconnect()
    stage.connect("a", will=kept("will", b"gone"))
    stage.restart(says_wills=True)
    stage.hears(stage.connect("b", protocol="3.1.1", clean=False), live("will", b"gone"))
    stage.hears(stage.connect("c", Filter("will")), kept("will", b"gone"))


@story(Setting(is_persistent=True))
def a_broker_that_ends_in_good_order_says_the_wills_to_who_listens(stage: Stage) -> None:
    """Nobody's acknowledgement is read any more."""
    b = stage.connect("b", Filter("will"))
    c = stage.connect("c", Filter("will"), clean=False, session_expiry_s=60)
    d = stage.connect("d", Filter("will"), clean=False, session_expiry_s=60, manual_ack=True)
    stage.connect("a", will=live("will", b"gone"))
    stage.restart(says_wills=True)
    for client in (b, c, d):
        stage.hears(client, live("will", b"gone"))
    for name in ("c", "d"):
        stage.hears(stage.connect(name, clean=False, session_expiry_s=60), dup(live("will", b"gone")))
