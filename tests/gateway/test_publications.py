"""The newest payload per topic, what the broker was told, and events that are said once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.gateway.publications import MAX_EVENTS, MAX_REPLIES, MAX_REPLY_BYTES, MAX_UNDER_WAY, Publications, Rank
from nuki2mqtt.gateway.vocabulary import MqttPublished, MqttRefused, Publish
from tests.gateway.builders import only, said, topics

DEVICE, STATE, GATEWAY, DISCOVERY = Rank.DEVICE, Rank.GATEWAY_STATE, Rank.GATEWAY, Rank.DISCOVERY


def opened() -> Publications:
    publications = Publications()
    publications.opened()
    return publications


def take(publications: Publications, now: float = 0.0) -> list[tuple[str, str]]:
    """All that is said now, with the broker taking each message at once."""
    told = list[tuple[str, str]]()
    while effects := publications.flush(now):
        told += said(effects)
        for publish in only(effects, Publish):
            publications.ended(MqttPublished(publish.message_id))
    return told


def refuse(publications: Publications) -> list[tuple[str, str]]:
    """All that is said now, with the broker refusing each message."""
    effects = publications.flush(0)
    for publish in only(effects, Publish):
        publications.ended(MqttRefused(publish.message_id, "not authorised"))
    return said(effects)


def tell(publications: Publications, number: int, received: float = 0.0) -> None:
    publications.tell("lock/event", "lock/event/late", str(number).encode(), received)


# --- states ---


def test_a_state_is_said_retained_once_with_its_qos() -> None:
    publications = opened()
    publications.say("a", b"1", DEVICE)
    publications.say("b", b"2", DEVICE, qos=0)

    assert publications.flush(0) == [
        Publish(1, "a", b"1", 1, retain=True),
        Publish(2, "b", b"2", 0, retain=True),
    ]
    assert publications.flush(0) == []


def test_only_differences_are_said() -> None:
    publications = opened()
    publications.say("a", b"1", DEVICE)
    first = take(publications)
    publications.say("a", b"1", DEVICE)
    equal = take(publications)
    publications.say("a", b"2", DEVICE)

    assert (first, equal, take(publications)) == ([("a", "1")], [], [("a", "2")])


def test_an_equal_payload_is_said_again_on_request() -> None:
    publications = opened()
    publications.say("a", b"1", DEVICE)
    take(publications)
    publications.say("a", b"1", DEVICE, again=True)

    assert take(publications) == [("a", "1")]


def test_only_the_newest_payload_of_a_topic_waits() -> None:
    publications = Publications()
    for number in range(500):
        publications.say("a", str(number).encode(), DEVICE)
    publications.opened()

    assert take(publications) == [("a", "499")]
    assert publications.said("a") == b"499"
    assert publications.said("b") is None


def test_what_is_to_be_last_goes_out_after_what_was_said_again_since() -> None:
    """`online` over a snapshot that says stale would be a lie, however short."""
    publications = opened()
    publications.say("lock", b"stale", DEVICE)
    publications.say("lock/availability", b"offline", DEVICE, is_last=True)
    first = publications.flush(0)
    publications.say("lock", b"older", DEVICE)
    publications.say("lock/availability", b"online", DEVICE, is_last=True)
    publications.say("other", b"1", DEVICE)
    publications.say("lock", b"fresh", DEVICE)
    publications.say("lock/availability", b"online", DEVICE, is_last=True)

    assert said(first) == [("lock", "stale"), ("lock/availability", "offline")]
    assert take(publications) == [("lock", "fresh"), ("other", "1"), ("lock/availability", "online")]

    publications.say("lock/availability", b"online", DEVICE, is_last=True)

    assert take(publications) == []


def test_an_old_offline_that_still_waits_does_not_become_an_early_online() -> None:
    publications = opened()
    publications.say("lock/availability", b"offline", DEVICE, is_last=True)
    publications.say("lock", b"fresh", DEVICE)
    publications.say("lock/availability", b"online", DEVICE, is_last=True)

    assert take(publications) == [("lock", "fresh"), ("lock/availability", "online")]


def test_nothing_is_said_without_a_connection() -> None:
    publications = Publications()
    publications.say("a", b"1", DEVICE)
    tell(publications, 1)

    assert publications.flush(0) == []
    assert not publications.is_idle


def test_after_a_connection_everything_is_said_again_by_rank() -> None:
    publications = opened()
    for topic, rank in (("config", DISCOVERY), ("info", GATEWAY), ("state", STATE), ("lock", DEVICE), ("door", DEVICE)):
        publications.say(topic, b"x", rank)
    take(publications)
    publications.closed()
    publications.say("info", b"y", GATEWAY)
    publications.opened()

    assert take(publications) == [("lock", "x"), ("door", "x"), ("state", "x"), ("info", "y"), ("config", "x")]


def test_after_a_connection_what_is_last_goes_out_after_its_rank() -> None:
    """`online` beside the attributes of before the outage would make them look fresh."""
    publications = opened()
    publications.say("lock", b"stale", DEVICE)
    publications.say("lock/availability", b"offline", DEVICE, is_last=True)
    publications.say("other", b"stale", DEVICE)
    publications.say("other/availability", b"offline", DEVICE, is_last=True)
    publications.say("lock/battery/level", b"80", DEVICE)
    publications.say("gateway", b"x", GATEWAY)
    take(publications)
    publications.closed()
    publications.say("lock/battery/level", b"20", DEVICE)
    publications.say("lock/availability", b"online", DEVICE, is_last=True)
    publications.opened()

    devices = ["lock", "lock/battery/level", "lock/availability", "other", "other/availability"]
    assert [topic for topic, _ in take(publications)] == [*devices, "gateway"]


def test_what_was_refused_is_said_again_in_its_turn() -> None:
    publications = opened()
    names = [f"lock/{number}" for number in range(20)]
    publications.say("lock/availability", b"online", DEVICE, is_last=True)
    for name in names:
        publications.say(name, b"x", DEVICE)
    for publish in only(publications.flush(0), Publish):
        publications.ended(MqttRefused(publish.message_id, "not authorised"))
    for publish in only(publications.flush(0), Publish):
        publications.ended(MqttRefused(publish.message_id, "not authorised"))
    publications.say_refused_again()

    assert [topic for topic, _ in take(publications)] == [*names, "lock/availability"]


def test_all_topics_of_some_ranks_can_be_said_again() -> None:
    publications = opened()
    for topic, rank in (("config", DISCOVERY), ("state", STATE), ("lock", DEVICE)):
        publications.say(topic, b"x", rank)
    take(publications)
    publications.say_again(lambda rank: rank is not STATE)

    assert take(publications) == [("lock", "x"), ("config", "x")]


def test_a_state_that_was_under_way_when_the_connection_ended_is_said_again() -> None:
    publications = opened()
    publications.say("a", b"1", DEVICE)
    publications.flush(0)
    publications.closed()
    publications.opened()

    assert take(publications) == [("a", "1")]


def test_a_refused_state_is_said_again_when_it_is_asked_for_until_it_is_taken() -> None:
    publications = opened()
    publications.say("a", b"1", DEVICE)
    refuse(publications)
    at_once = take(publications)
    told = list[list[tuple[str, str]]]()
    for _ in range(2):
        publications.say_refused_again()
        told.append(refuse(publications))
    publications.say("a", b"2", DEVICE)
    refuse(publications)
    publications.say_refused_again()
    told.append(take(publications))
    publications.say_refused_again()

    assert at_once == []
    assert told == [[("a", "1")], [("a", "1")], [("a", "2")]]
    assert (take(publications), publications.is_idle) == ([], True)


def test_when_one_that_was_refused_is_taken_the_others_are_tried_once_by_rank() -> None:
    publications = opened()
    for topic, rank in (("config", DISCOVERY), ("state", STATE), ("lock", DEVICE)):
        publications.say(topic, b"x", rank)
    refuse(publications)
    publications.say("free", b"1", DEVICE)
    free = take(publications)
    publications.say("state", b"y", STATE)
    (first,) = only(publications.flush(0), Publish)
    publications.ended(MqttPublished(first.message_id))
    others = refuse(publications)

    assert (free, first.topic) == ([("free", "1")], "state")
    assert others == [("lock", "x"), ("config", "x")]
    assert take(publications) == []


def test_what_was_refused_is_not_said_twice_on_the_next_connection() -> None:
    publications = opened()
    publications.say("a", b"1", DEVICE)
    refuse(publications)
    publications.closed()
    publications.opened()

    assert take(publications) == [("a", "1")]


def test_a_refused_event_is_gone_and_tells_its_topic() -> None:
    publications = opened()
    tell(publications, 1)
    publications.reply("lock/result", b"2", 0)
    publications.flush(20)
    topics_of = [publications.ended(MqttRefused(number, "no")) for number in (1, 2)]
    publications.say_refused_again()

    assert topics_of == ["lock/event/late", "lock/result"]
    assert publications.ended(MqttRefused(99, "no")) is None
    assert take(publications) == []


def test_a_topic_is_cleared_once_and_not_on_each_connection() -> None:
    publications = Publications()
    publications.clear("a", DEVICE)
    publications.clear("b", DEVICE)
    publications.say("b", b"1", DEVICE)
    publications.opened()
    first = take(publications)
    publications.opened()

    assert (first, take(publications)) == ([("a", ""), ("b", "1")], [("b", "1")])


# --- before the state file is written ---


def test_without_the_state_file_states_events_and_failures_go_out_and_the_rest_stays() -> None:
    publications = opened()
    publications.reply("lock/result", b"accepted", 0)
    publications.reply("lock/event", b"failed", 0, late_topic="lock/event/late")
    publications.say("config", b"c", DISCOVERY)
    publications.say("lock", b"x", DEVICE)
    tell(publications, 1)
    first = said(publications.flush(0, is_kept=False))

    assert first == [("lock", "x"), ("lock/event", "1"), ("lock/event", "failed")]
    assert said(publications.flush(0, is_kept=False)) == []
    assert take(publications) == [("config", "c"), ("lock/result", "accepted")]


def test_a_failure_that_was_under_way_is_said_before_results_on_its_late_topic() -> None:
    publications = opened()
    for number in range(2):
        publications.reply("lock/event", str(number).encode(), 0, late_topic="lock/event/late")
    publications.reply("lock/result", b"r", 0)
    publications.flush(0)
    publications.closed()
    publications.opened()

    assert take(publications) == [("lock/event/late", "0"), ("lock/event/late", "1"), ("lock/result", "r")]


# --- events ---


def test_an_event_is_never_retained_and_said_after_the_states() -> None:
    publications = opened()
    tell(publications, 1)
    publications.say("lock", b"x", DEVICE)

    assert publications.flush(0) == [
        Publish(1, "lock", b"x", 1, retain=True),
        Publish(2, "lock/event", b"1", 1, retain=False),
    ]


def test_an_event_is_said_once() -> None:
    publications = opened()
    tell(publications, 1)
    first = take(publications)
    publications.closed()
    publications.opened()
    publications.say_again(lambda _: True)

    assert (first, take(publications)) == ([("lock/event", "1")], [])


@pytest.mark.parametrize(
    ("said_at", "topic"), [(0, "lock/event"), (9.9, "lock/event"), (10, "lock/event/late"), (3600, "lock/event/late")]
)
def test_an_event_is_late_10_s_after_we_received_it(said_at: float, topic: str) -> None:
    publications = Publications()
    tell(publications, 1, received=0)
    publications.opened()

    assert take(publications, said_at) == [(topic, "1")]


def test_events_are_said_in_their_order_and_each_by_its_own_age() -> None:
    publications = Publications()
    for number, received in enumerate((0, 5, 95)):
        tell(publications, number, received)
    publications.opened()

    assert take(publications, 100) == [("lock/event/late", "0"), ("lock/event/late", "1"), ("lock/event", "2")]


def test_events_under_way_wait_again_in_order_before_the_others() -> None:
    publications = opened()
    for number in range(30):
        tell(publications, number)
    publications.flush(0)
    publications.ended(MqttPublished(3))
    publications.closed()
    waiting = publications.events_waiting
    publications.opened()

    assert waiting == 29
    assert [payload for _, payload in take(publications)] == [str(number) for number in range(30) if number != 2]


def test_at_most_1000_events_wait_and_the_oldest_is_dropped_and_counted() -> None:
    publications = Publications()
    for number in range(MAX_EVENTS + 7):
        tell(publications, number)
    publications.opened()
    told = [int(payload) for _, payload in take(publications)]

    assert (MAX_EVENTS, publications.events_dropped) == (1000, 7)
    assert told == list(range(7, MAX_EVENTS + 7))


def test_at_most_1000_events_are_kept_when_those_under_way_come_back() -> None:
    publications = opened()
    for number in range(MAX_EVENTS + MAX_UNDER_WAY):
        publications.flush(0)
        tell(publications, number)
    publications.closed()

    assert publications.events_waiting <= MAX_EVENTS


# --- replies ---


def test_a_reply_is_said_once_never_retained_with_its_correlation() -> None:
    publications = opened()
    publications.reply("me/answers", b"1", 0, correlation=b"c")
    first = publications.flush(0)
    publications.ended(MqttPublished(1))

    assert first == [Publish(1, "me/answers", b"1", 1, retain=False, correlation=b"c")]
    assert (publications.flush(0), publications.is_idle) == ([], True)


def test_a_clearing_is_an_empty_retained_message() -> None:
    publications = opened()
    publications.reply("lock/set", b"", 0, retain=True)

    assert publications.flush(0) == [Publish(1, "lock/set", b"", 1, retain=True)]
    assert publications.said("lock/set") is None


@pytest.mark.parametrize("said_at", [0, 10, 3600])
def test_a_reply_is_said_however_late_on_its_own_topic(said_at: float) -> None:
    publications = Publications()
    publications.reply("lock/result", b"1", 0)
    publications.opened()

    assert take(publications, said_at) == [("lock/result", "1")]


@pytest.mark.parametrize(("said_at", "topic"), [(9.9, "lock/event"), (10, "lock/event/late")])
def test_a_reply_that_is_an_event_is_late_like_one(said_at: float, topic: str) -> None:
    publications = Publications()
    publications.reply("lock/event", b"1", 0, late_topic="lock/event/late")
    publications.opened()

    assert take(publications, said_at) == [(topic, "1")]


def test_replies_keep_their_order_and_come_after_states_and_events() -> None:
    publications = opened()
    publications.reply("lock/result", b"accepted", 0)
    publications.reply("lock/result", b"confirmed", 0)
    tell(publications, 1)
    publications.say("lock", b"x", DEVICE)

    assert [payload for _, payload in take(publications)] == ["x", "1", "accepted", "confirmed"]


def test_replies_under_way_when_the_connection_ends_are_said_again_in_order() -> None:
    publications = opened()
    for number in range(3):
        publications.reply("lock/result", str(number).encode(), 0)
    publications.flush(0)
    publications.ended(MqttPublished(1))
    publications.closed()
    publications.reply("lock/result", b"3", 0)
    publications.opened()

    assert take(publications, 100) == [("lock/result", "1"), ("lock/result", "2"), ("lock/result", "3")]


def test_a_flood_of_replies_costs_no_event_and_the_oldest_replies_go_first() -> None:
    publications = Publications()
    tell(publications, 7)
    for number in range(MAX_REPLIES + 5):
        publications.reply("lock/result", str(number).encode(), 0)
    publications.opened()
    told = take(publications)

    assert (MAX_REPLIES, publications.events_dropped) == (20_000, 5)
    assert told[0] == ("lock/event", "7")
    assert [payload for _, payload in told[1:]] == [str(number) for number in range(5, MAX_REPLIES + 5)]


def test_long_replies_are_bounded_by_their_bytes() -> None:
    publications = Publications()
    for _ in range(2):
        for number in range(12):
            publications.reply("lock/result", str(number).encode() * (MAX_REPLY_BYTES // 20), 0)
        publications.opened()
        sizes = [len(payload) for _, payload in take(publications)]
        publications.closed()

        assert MAX_REPLY_BYTES // 2 < sum(sizes) <= MAX_REPLY_BYTES
        assert sizes[-1] == MAX_REPLY_BYTES // 20 * 2


def test_what_came_back_from_a_lost_connection_counts_among_the_bytes() -> None:
    publications = opened()
    for _ in range(3):
        for _ in range(4):
            publications.reply("lock/result", b"x" * (MAX_REPLY_BYTES // 8), 0)
        publications.flush(0)
        publications.closed()
        publications.opened()
    publications.closed()
    publications.opened()

    assert sum(len(payload) for _, payload in take(publications)) <= MAX_REPLY_BYTES


def test_what_is_forgotten_makes_room_again() -> None:
    publications = opened()
    for _ in range(7):
        publications.reply("lock/result", b"x" * (MAX_REPLY_BYTES // 8), 0)
    publications.forget()
    publications.opened()
    for _ in range(7):
        publications.reply("lock/result", b"y" * (MAX_REPLY_BYTES // 8), 0)

    assert (len(take(publications)), publications.events_dropped) == (7, 0)


def test_a_flood_of_events_costs_no_reply() -> None:
    publications = Publications()
    publications.reply("lock/result", b"1", 0)
    for number in range(MAX_EVENTS + 5):
        tell(publications, number)
    publications.opened()

    assert take(publications)[-1] == ("lock/result", "1")


def test_what_another_gateway_is_to_say_is_not_said_by_us() -> None:
    publications = opened()
    publications.reply("lock/result", b"1", 0)
    publications.forget()
    publications.opened()

    assert (take(publications), publications.is_idle) == ([], True)


# --- under way ---


def test_at_most_20_messages_are_under_way() -> None:
    publications = opened()
    for number in range(50):
        publications.say(f"t{number}", b"x", DEVICE)
        tell(publications, number)
    first = publications.flush(0)
    publications.ended(MqttPublished(1))
    publications.ended(MqttRefused(2, "too large"))

    assert len(first) == 20
    assert topics(publications.flush(0)) == ["t20", "t21"]
    assert publications.flush(0) == []


def test_an_acknowledgement_of_an_earlier_connection_is_nobody_s() -> None:
    publications = opened()
    publications.say("a", b"1", DEVICE)
    (old,) = only(publications.flush(0), Publish)
    publications.closed()
    publications.opened()
    (new,) = only(publications.flush(0), Publish)
    publications.ended(MqttPublished(old.message_id))
    was_idle = publications.is_idle
    publications.ended(MqttPublished(new.message_id))

    assert (was_idle, publications.is_idle) == (False, True)


STEP = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 4), st.integers(0, 3)),
    st.tuples(st.just("tell"), st.integers(0, 0), st.integers(0, 0)),
    st.tuples(st.sampled_from(["open", "close", "ack", "flush"]), st.integers(0, 0), st.integers(0, 0)),
)


@given(st.lists(STEP, max_size=80))
def test_in_the_end_the_broker_holds_the_newest_of_each_topic_and_every_event(
    steps: list[tuple[str, int, int]],
) -> None:
    publications = Publications()
    wanted, broker, events = dict[str, str](), dict[str, str](), list[str]()
    flying = list[Publish]()
    told = 0

    def deliver(publish: Publish) -> None:
        publications.ended(MqttPublished(publish.message_id))
        if publish.retain:
            broker[publish.topic] = publish.payload.decode()
        else:
            events.append(publish.payload.decode())

    for order, topic, payload in steps:
        match order:
            case "say":
                wanted[f"t{topic}"] = str(payload)
                publications.say(f"t{topic}", str(payload).encode(), Rank(topic % 4))
            case "tell":
                tell(publications, told)
                told += 1
            case "open":
                flying.clear()
                publications.opened()
            case "close":
                flying.clear()
                publications.closed()
            case "ack" if flying:
                deliver(flying.pop(0))
            case "flush":
                flying += only(publications.flush(0), Publish)
        assert len(flying) <= MAX_UNDER_WAY
    publications.opened()
    while effects := publications.flush(0):
        for publish in only(effects, Publish):
            deliver(publish)

    assert broker == wanted
    assert events == [str(number) for number in range(told)]
    assert publications.is_idle
