"""What is said late, or never again, when the broker was away (docs/topics.md, `event/late`)."""

import json

import pytest

from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    CallbackReceived,
    CallBridge,
    Effect,
    MqttConnected,
    MqttLost,
    MqttSubscribed,
    Publish,
)
from nuki2mqtt.model.state import Ring
from nuki2mqtt.protocol.bridge_api import ListAnswer
from tests.gateway.builders import (
    LINK,
    LOCKED,
    OPENER,
    UNLOCKED,
    Hand,
    called,
    entry,
    info,
    only,
    said,
    state,
    topics,
    wall,
)

EVENT, LATE = "nuki2mqtt/front_door/event", "nuki2mqtt/front_door/event/late"


def followed() -> Hand:
    hand = Hand.with_config()
    hand.follow(entry(LOCKED, -5), asked=hand.own_base())
    return hand


def events(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(topic, payload) for topic, payload in said(effects) if "/event" in topic]


@pytest.mark.parametrize(("away", "topic"), [(5.0, EVENT), (9.5, EVENT), (10.0, LATE), (3600.0, LATE)])
def test_an_event_of_the_broker_s_absence_is_late_after_10_s(away: float, topic: str) -> None:
    hand = followed()
    hand.tell(MqttLost("gone"))
    hand.call_back(called(UNLOCKED))
    hand.monotonic += away
    told = events(hand.connect())

    assert [said_on for said_on, _ in told] == [topic]
    assert json.loads(told[0][1])["to"] == "unlocked"


@pytest.mark.parametrize(("waited", "topic"), [(0.0, EVENT), (9.9, EVENT), (10.0, LATE)])
def test_a_callback_that_waited_for_its_turn_is_as_old_as_its_arrival(waited: float, topic: str) -> None:
    hand = followed()
    knocked = CallbackReceived(LINK, called(UNLOCKED), hand.monotonic)
    hand.monotonic += waited
    told = events(hand.acknowledge_all(hand.tell(knocked)))

    assert [said_on for said_on, _ in told] == [topic]


@pytest.mark.parametrize(("waited", "topic"), [(0.0, EVENT), (9.9, EVENT), (10.0, LATE)])
def test_an_answer_that_waited_for_its_turn_is_as_old_as_its_arrival(waited: float, topic: str) -> None:
    hand = followed()
    (call,) = only(hand.wait(30), CallBridge)
    answered = BridgeAnswered(LINK, call.call_id, ListAnswer((entry(UNLOCKED, hand.now),)), received=hand.monotonic)
    hand.monotonic += waited
    told = events(hand.acknowledge_all(hand.tell(answered)))

    assert [said_on for said_on, _ in told] == [topic]


def test_when_it_came_makes_no_other_event_of_it() -> None:
    assert CallbackReceived(LINK, called(UNLOCKED), 1.0) == CallbackReceived(LINK, called(UNLOCKED), 2.0)
    answer = ListAnswer(())
    assert BridgeAnswered(LINK, 1, answer, received=1.0) == BridgeAnswered(LINK, 1, answer, received=2.0)


def test_an_event_that_the_broker_did_not_take_in_time_is_said_again_as_late() -> None:
    hand = followed()
    under_way = hand.tell_callback(called(UNLOCKED))
    hand.tell(MqttLost("gone"))
    hand.monotonic += 60

    assert [topic for topic, _ in events(under_way)] == [EVENT]
    assert [topic for topic, _ in events(hand.connect())] == [LATE]


def test_events_are_not_replayed_on_later_connections() -> None:
    hand = followed()
    first = events(hand.call_back(called(UNLOCKED)))
    hand.tell(MqttLost("gone"))

    assert (len(first), events(hand.connect())) == (1, [])


def test_events_are_never_retained() -> None:
    hand = followed()
    effects = hand.call_back(called(UNLOCKED))

    assert [publish.retain for publish in only(effects, Publish) if publish.topic == EVENT] == [False]


def test_what_happened_before_the_broker_was_ever_there_is_late() -> None:
    hand = Hand.with_config()
    (call,) = only(hand.wait(20), CallBridge)
    hand.answer(call, info(hand.now))
    (call,) = only(hand.wait(0.5), CallBridge)
    hand.answer(call, ListAnswer((entry(LOCKED, -5),)))
    hand.monotonic += 5
    hand.call_back(called(UNLOCKED))
    hand.monotonic += 60
    effects = hand.tell(MqttConnected("5")) + hand.tell(MqttSubscribed()) + hand.wait(0.5)
    hand.tell(MqttLost("reconnecting"))
    effects += hand.connect()

    assert [topic for topic, _ in events(effects)] == [LATE]


@pytest.mark.parametrize(("age", "suffix"), [(59, "event"), (61, "event/late")])
def test_a_ring_first_seen_by_the_list_is_late_after_60_s(age: float, suffix: str) -> None:
    hand = Hand.with_config()

    def opener(ring_at: float, at: float) -> ListAnswer:
        return ListAnswer(
            (entry(state(1, ring=Ring(wall(ring_at), False)), at, nuki_id=OPENER, device_type=2, name="Intercom"),)
        )

    hand.follow(*opener(-500, -5).reports, asked=hand.own_base())
    hand.monotonic += 100
    (call,) = only(hand.wait(0), CallBridge)
    effects = hand.answer(call, opener(hand.now - age, hand.now))

    assert [topic for topic, _ in events(effects)] == [f"nuki2mqtt/intercom/{suffix}"]


def test_the_newest_state_is_said_before_the_events_of_the_absence() -> None:
    hand = followed()
    hand.tell(MqttLost("gone"))
    for report in (UNLOCKED, LOCKED, UNLOCKED):
        hand.call_back(called(report))
    told = topics(hand.connect())

    assert told.count("nuki2mqtt/front_door") == 1
    assert told[-3:] == [EVENT, EVENT, EVENT]


def test_1000_events_wait_for_the_broker_and_health_counts_the_dropped_ones() -> None:
    hand = followed()
    hand.tell(MqttLost("gone"))
    for number in range(1005):
        hand.call_back(called(UNLOCKED if number % 2 == 0 else LOCKED))
    effects = hand.connect()
    health = [json.loads(payload) for topic, payload in said(effects) if topic == "nuki2mqtt/gateway/health"]

    assert len(events(effects)) == 1000
    assert health[-1]["broker"]["events_dropped"] == 5
