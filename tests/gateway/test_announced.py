"""What Home Assistant was told of and is not offered any more: named by its platform alone, then left out."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from nuki2mqtt.gateway.announcements import LEAVE_OUT_AFTER_S, Announcements
from nuki2mqtt.gateway.publications import Publications, Rank
from nuki2mqtt.gateway.vocabulary import (
    Effect,
    Memory,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttRefused,
    Publish,
    Remember,
)
from nuki2mqtt.protocol.homeassistant import Discovery
from tests.gateway.builders import CONFIG, LOCKED, Hand, entry, only, said, state

TOPIC = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"
NARROWED = f"{CONFIG}commands: {{permit: [lock, unlock]}}\n"
WITHOUT_LOCK = f"{CONFIG}commands: {{permit: [lock]}}\n"
BUTTONS = {"lock_n_go": "button", "lock_n_go_unlatch": "button", "unlatch": "button"}
BARE = {key: {"p": platform} for key, platform in BUTTONS.items()}
ANNOUNCED = {"lock": "lock", "activity": "event", "battery": "sensor", **BUTTONS}
AWAY = MqttLost("gone")


# --- the whole gateway ---


def followed(config: str, *, announced: dict[str, str] | None = None) -> tuple[Hand, list[Any]]:
    """Has seen a lock; also what was announced of it until then."""
    hand = Hand.with_config(config, None if announced is None else Memory(announced={TOPIC: announced}))
    return hand, announcements(hand.follow(entry(LOCKED, -5), asked=hand.own_base()))


def announcements(effects: Iterable[Effect]) -> list[Any]:
    """What is announced of the lock: the components of each message, None for an empty one."""
    return [json.loads(payload)["cmps"] if payload else None for topic, payload in said(effects) if topic == TOPIC]


def bare(components: dict[str, Any]) -> dict[str, Any]:
    """The components that are taken back."""
    return {key: component for key, component in components.items() if component.keys() == {"p"}}


def test_what_is_not_permitted_any_more_is_taken_back_and_left_out_2_s_later() -> None:
    hand, told = followed(NARROWED, announced=ANNOUNCED)
    early = announcements(hand.acknowledge_all(hand.wait(1.9)))
    late = announcements(hand.acknowledge_all(hand.wait(0.1)))
    never = announcements(hand.acknowledge_all(hand.wait(60)))

    (removal,), (final,) = told, late
    assert bare(removal) == BARE
    assert final == {key: value for key, value in removal.items() if key not in BUTTONS}
    assert {"lock", "activity", "refresh"} <= final.keys()
    assert (early, never) == ([], [])


def test_a_run_with_less_permitted_takes_back_what_the_former_one_announced() -> None:
    former = Hand.with_config(CONFIG)
    asked = former.own_base()
    memory = only(asked + former.follow(entry(LOCKED, -5), asked=asked), Remember)[-1].memory
    hand = Hand.with_config(NARROWED, memory, started=100)
    asked = hand.own_base()
    effects = asked + hand.follow(entry(LOCKED, 95), asked=asked)
    final = hand.acknowledge_all(hand.wait(LEAVE_OUT_AFTER_S))

    assert BUTTONS.items() <= memory.announced[TOPIC].items()
    assert [bare(message) for message in announcements(effects)] == [BARE]
    assert all(BUTTONS.items() <= order.memory.announced[TOPIC].items() for order in only(effects, Remember))
    assert [bare(message) for message in announcements(final)] == [{}]
    assert not BUTTONS.keys() & only(final, Remember)[-1].memory.announced[TOPIC].keys()


def next_run(config: str, memory: Memory, started: float) -> tuple[list[Any], Memory]:
    """What a run of its own announces, the removals done, and what it leaves behind."""
    hand = Hand.with_config(config, memory, started=started)
    asked = hand.own_base()
    effects = asked + hand.follow(entry(LOCKED, started - 5), asked=asked)
    effects += hand.acknowledge_all(hand.wait(60))
    remembered = [order.memory for order in only(effects, Remember)]
    return announcements(effects), (remembered or [memory])[-1]


def test_the_lock_goes_with_one_of_its_two_permissions_and_comes_back_with_it() -> None:
    at_first, memory = next_run(CONFIG, Memory(), 0)
    narrowed, less = next_run(WITHOUT_LOCK, memory, 1000)
    unchanged, kept = next_run(WITHOUT_LOCK, less, 2000)
    widened, all_again = next_run(CONFIG, kept, 3000)

    instead = {"unlocked": {"p": "binary_sensor"}, "lock_button": {"p": "button"}}
    assert [bare(message) for message in narrowed] == [{"lock": {"p": "lock"}, **BARE}, {}]
    assert [bare(message) for message in widened] == [instead, {}]
    assert all(message["lock"]["cmd_t"] for message in at_first + widened)
    assert all(message["unlocked"]["stat_t"] for message in narrowed)
    assert "lock" not in narrowed[-1]
    assert unchanged == narrowed[-1:]
    assert widened[-1:] == at_first
    assert not instead.keys() & memory.announced[TOPIC].keys()
    assert instead.keys() <= less.announced[TOPIC].keys()
    assert "lock" not in less.announced[TOPIC]
    assert all_again.announced == memory.announced


def test_another_single_permission_takes_the_other_button() -> None:
    _, memory = next_run(WITHOUT_LOCK, Memory(), 0)
    told, _ = next_run(f"{CONFIG}commands: {{permit: [unlock]}}\n", memory, 1000)

    assert [bare(message) for message in told] == [{"lock_button": {"p": "button"}}, {}]
    assert {"unlocked", "unlock"} <= told[-1].keys()


@pytest.mark.parametrize(
    ("config", "announced"),
    [
        (CONFIG, ANNOUNCED),  # still permitted
        (NARROWED, None),  # the state file is lost, or the device new
        (NARROWED, {}),
        (NARROWED, {"lock": "lock", "activity": "event"}),
        (CONFIG, {"lock": "lock"}),  # permitted now
    ],
)
def test_otherwise_a_device_is_announced_once(config: str, announced: dict[str, str] | None) -> None:
    hand, told = followed(config, announced=announced)
    later = announcements(hand.acknowledge_all(hand.wait(60)))

    (only_one,) = told
    assert (bare(only_one), later) == ({}, [])


def test_what_was_merely_not_seen_again_is_not_taken_back() -> None:
    seen_before = {"door": "binary_sensor", "door_state": "sensor", "rssi": "sensor", "last_action": "sensor"}
    hand = Hand.with_config(NARROWED, Memory(announced={TOPIC: ANNOUNCED | seen_before}))
    (removal,) = announcements(hand.follow(entry(state(1), -5), asked=hand.own_base()))

    assert bare(removal) == BARE
    assert not removal.keys() & seen_before.keys()


@dataclass
class Stalling(Hand):
    """As `Hand`, but the broker acknowledges nothing while it stalls."""

    is_stalled: bool = False

    def acknowledge(self, effects: Iterable[Effect]) -> list[Effect]:
        return [] if self.is_stalled else super().acknowledge(effects)

    @classmethod
    def before_the_removal(cls) -> tuple["Stalling", list[Any]]:
        """The broker stalled before it had the removal; also what was announced until then."""
        hand = cls(Hand.with_config(NARROWED, Memory(announced={TOPIC: ANNOUNCED})).gateway)
        asked = hand.own_base()
        hand.is_stalled = True
        told = announcements(hand.follow(entry(LOCKED, -5), asked=asked))
        hand.is_stalled = False
        return hand, told


def test_a_removal_that_was_under_way_when_the_connection_broke_is_said_before_the_rest() -> None:
    hand, unheard = Stalling.before_the_removal()
    waited = announcements(hand.wait(30))
    hand.tell(AWAY)
    away = announcements(hand.wait(30))
    again = announcements(hand.connect())
    final = announcements(hand.acknowledge_all(hand.wait(LEAVE_OUT_AFTER_S)))

    assert [bare(message) for message in unheard + again] == [BARE, BARE]
    assert (waited, away) == ([], [])
    assert [bare(message) for message in final] == [{}]


def test_with_the_broker_away_the_time_runs_on_and_the_rest_is_said_on_the_next_connection() -> None:
    hand, told = followed(NARROWED, announced=ANNOUNCED)
    hand.tell(AWAY)
    away = announcements(hand.wait(10))
    again = announcements(hand.connect())

    assert [bare(message) for message in told] == [BARE]
    assert (away, [bare(message) for message in again]) == ([], [{}])


def test_a_reconnection_within_the_2_s_says_the_removal_again() -> None:
    hand, _ = followed(NARROWED, announced=ANNOUNCED)
    hand.tell(AWAY)
    again = announcements(hand.connect())
    final = announcements(hand.acknowledge_all(hand.wait(LEAVE_OUT_AFTER_S)))

    assert [bare(message) for message in again + final] == [BARE, {}]


def test_home_assistant_s_birth_in_between_does_not_lose_the_removal() -> None:
    hand, told = Stalling.before_the_removal()
    hand.tell(MqttReceived("homeassistant/status", b"online"))
    told += announcements(hand.wait(5))
    hand.tell(AWAY)
    told += announcements(hand.connect())
    final = announcements(hand.acknowledge_all(hand.wait(LEAVE_OUT_AFTER_S)))

    assert [bare(message) for message in told] == [BARE] * len(told)
    assert [bare(message) for message in final] == [{}]
    assert len(told) > 1


def test_home_assistant_s_birth_after_the_removal_repeats_what_holds_then() -> None:
    hand, _ = followed(NARROWED, announced=ANNOUNCED)
    hand.tell(MqttReceived("homeassistant/status", b"online"))
    told = announcements(hand.acknowledge_all(hand.wait(10)))

    # Left out 2 s after the removal, and said once more within 5 s.
    assert [bare(message) for message in told] == [{}, {}]


def test_with_plain_topics_only_all_is_removed_at_once() -> None:
    _, told = followed(f"{NARROWED}mqtt: {{output: attribute}}\n", announced=ANNOUNCED)

    assert told == [None]


# --- one topic ---


class Stage:
    """Announcements, what the broker is told of them, and what is remembered."""

    def __init__(self, announced: dict[str, str] | None = None) -> None:
        self.publications = Publications()
        self.publications.opened()
        self.announced = {} if announced is None else {"t": announced}
        self.restart()

    def restart(self) -> None:
        self.announcements = Announcements(self.publications, self.announced)

    def announce(self, *, unseen: dict[str, str] | None = None, **platforms: str) -> None:
        components = {key: {"p": platform, "is": "whole"} for key, platform in platforms.items()}
        payload = json.dumps({"cmps": components}).encode()
        self.announcements.announce(Discovery("t", payload, platforms, unseen or {}))

    def take(self, *, refuse: bool = False) -> list[Any]:
        """All that is said now: whole components by their platform, others as `-platform`, None for an empty one."""
        told = list[Any]()
        for publish in only(self.publications.flush(0), Publish):
            body = json.loads(publish.payload)["cmps"].items() if publish.payload else None
            told.append(body and {key: item["p"] if "is" in item else f"-{item['p']}" for key, item in body})
            ended = MqttRefused(publish.message_id, "no") if refuse else MqttPublished(publish.message_id)
            self.publications.ended(ended)
        return told

    def at(self, now: float) -> list[Any]:
        self.announcements.finish(now)
        return self.take()


def test_what_is_taken_back_is_remembered_until_it_is_left_out() -> None:
    stage = Stage({"a": "button", "b": "sensor"})
    stage.announce(b="sensor")
    before = dict(stage.announced)
    taken = stage.take()
    stage.announcements.finish(0)
    under_way = dict(stage.announced)
    final = stage.at(2)

    assert before == under_way == {"t": {"a": "button", "b": "sensor"}}
    assert (taken, final) == ([{"b": "sensor", "a": "-button"}], [{"b": "sensor"}])
    assert stage.announced == {"t": {"b": "sensor"}}


def test_an_end_in_between_begins_the_removal_again() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor")
    stage.take()
    stage.at(1)
    stage.restart()
    stage.announce(b="sensor")

    assert stage.announcements.next_deadline() is None
    assert stage.announced == {"t": {"a": "button", "b": "sensor"}}
    assert stage.at(100) == []
    assert stage.at(102) == [{"b": "sensor"}]


def test_the_deadline_is_2_s_after_the_broker_has_it() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor")
    stage.announcements.finish(0)
    unsaid = stage.announcements.next_deadline()
    stage.take()
    stage.announcements.finish(7)

    assert (unsaid, stage.announcements.next_deadline()) == (None, 9)
    assert stage.at(8.9) == []
    assert stage.at(9) == [{"b": "sensor"}]
    assert stage.announcements.next_deadline() is None


def test_said_again_in_between_it_is_the_removal_still() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor")
    stage.take()
    stage.at(0)
    stage.publications.say_again(lambda _: True)

    assert stage.at(1) == [{"b": "sensor", "a": "-button"}]
    assert stage.at(2) == [{"b": "sensor"}]


def test_a_removal_that_the_broker_refused_is_not_done() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor")
    stage.take(refuse=True)

    assert (stage.at(0), stage.at(100)) == ([], [])
    assert stage.announced == {"t": {"a": "button", "b": "sensor"}}


def test_what_shows_up_meanwhile_is_announced_and_the_time_runs_on() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor")
    stage.take()
    stage.at(0)
    stage.announce(b="sensor", c="event")

    assert stage.at(1.9) == [{"b": "sensor", "c": "event", "a": "-button"}]
    assert stage.at(2) == [{"b": "sensor", "c": "event"}]
    assert stage.announced == {"t": {"b": "sensor", "c": "event"}}


def test_more_to_take_back_needs_its_own_time() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor", c="event")
    stage.take()
    stage.at(0)
    stage.announce(b="sensor")

    assert stage.at(1) == [{"b": "sensor", "a": "-button", "c": "-event"}]
    assert stage.at(1.5) == []
    assert (stage.at(2), stage.at(3.4), stage.at(3.5)) == ([], [], [{"b": "sensor"}])


def test_what_is_offered_again_meanwhile_stays() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor")
    stage.take()
    stage.at(0)
    stage.announce(b="sensor", a="button")

    assert stage.at(1) == [{"b": "sensor", "a": "button"}]
    assert stage.at(10) == []
    assert stage.announced == {"t": {"a": "button", "b": "sensor"}}


def test_another_platform_is_taken_back_before_it_is_there_anew() -> None:
    stage = Stage({"a": "sensor"})
    stage.announce(a="binary_sensor")

    assert stage.take() == [{"a": "-sensor"}]
    assert stage.announced == {"t": {"a": "sensor"}}
    assert (stage.at(0), stage.at(2)) == ([], [{"a": "binary_sensor"}])
    assert stage.announced == {"t": {"a": "binary_sensor"}}


def test_what_was_not_seen_again_stays_remembered_for_the_day_it_is_not_permitted() -> None:
    stage = Stage({"a": "button", "door": "sensor"})
    stage.announce(b="sensor", unseen={"door": "sensor"})

    assert stage.take() == [{"b": "sensor", "a": "-button"}]
    stage.at(0)
    assert stage.at(2) == [{"b": "sensor"}]
    assert stage.announced == {"t": {"door": "sensor", "b": "sensor"}}
    stage.announce(b="sensor")
    assert stage.take() == [{"b": "sensor", "door": "-sensor"}]


def test_what_is_withdrawn_is_forgotten_when_the_broker_has_that() -> None:
    stage = Stage({"a": "button"})
    stage.announcements.withdraw("t")
    stage.announcements.finish(0)
    before = dict(stage.announced)
    told = stage.take()
    stage.at(1)
    stage.announcements.withdraw("t")

    assert (before, told) == ({"t": {"a": "button"}}, [None])
    assert (stage.at(3), stage.announced) == ([], {})
    stage.announcements.withdraw("t")
    stage.announce(b="sensor")
    assert stage.take() == [{"b": "sensor"}]


def test_withdrawing_in_the_middle_of_a_removal_leaves_nothing() -> None:
    stage = Stage({"a": "button"})
    stage.announce(b="sensor")
    stage.take()
    stage.at(0)
    stage.announcements.withdraw("t")

    assert stage.at(1) == [None]
    assert (stage.at(2), stage.at(3), stage.at(4)) == ([], [], [])
    assert stage.announced == {}


def test_a_withdrawal_that_the_broker_never_had_is_not_forgotten() -> None:
    stage = Stage({"a": "button"})
    stage.announcements.withdraw("t")
    stage.announcements.finish(100)
    stage.restart()
    stage.announce(b="sensor")

    assert stage.take() == [{"b": "sensor", "a": "-button"}]


# --- what the broker has ---


def test_the_broker_has_what_it_acknowledged_until_something_else_is_to_be_said() -> None:
    publications = Publications()
    publications.opened()
    seen = list[bool]()

    def look() -> None:
        seen.append(publications.is_with_broker("a"))

    def flush() -> int:
        (publish,) = only(publications.flush(0), Publish)
        return publish.message_id

    look()
    publications.say("a", b"1", Rank.DISCOVERY)
    look()
    first = flush()
    look()
    publications.ended(MqttPublished(first))
    look()
    publications.say("a", b"2", Rank.DISCOVERY)
    look()
    second = flush()
    look()
    assert seen == [False, False, False, True, False, False]
    publications.closed()
    publications.ended(MqttPublished(second))
    assert not publications.is_with_broker("a")


def test_the_acknowledgement_of_a_former_payload_is_none_of_the_newest() -> None:
    publications = Publications()
    publications.opened()
    ids = list[int]()
    for payload in (b"1", b"2"):
        publications.say("a", payload, Rank.DISCOVERY)
        ids += [publish.message_id for publish in only(publications.flush(0), Publish)]
    publications.ended(MqttPublished(ids[0]))
    publications.closed()

    assert not publications.is_with_broker("a")


def test_after_another_gateway_owned_the_base_the_broker_has_nothing_of_ours() -> None:
    publications = Publications()
    publications.opened()
    publications.say("a", b"1", Rank.DISCOVERY)
    for publish in only(publications.flush(0), Publish):
        publications.ended(MqttPublished(publish.message_id))
    publications.forget()

    assert not publications.is_with_broker("a")
