"""What the whole gateway does at a broker, as stories to be told to the one in memory and to mosquitto.

A story sees what everybody at the broker sees, turns what everybody in the house can turn, and reads the truth from the
house and from what reached its Bridge. There is one expectation for both brokers, so that the one in memory cannot lie.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, SimulatedOpener, Timing
from tests.storm.broker import Packet
from tests.storm.spec import BASE, Spec

STATE, INFO, HEALTH = f"{BASE}/gateway/state", f"{BASE}/gateway/info", f"{BASE}/gateway/health"
DOOR, BELL = f"{BASE}/front_door", f"{BASE}/bell"
AVAILABILITY, EVENT, LATE = f"{DOOR}/availability", f"{DOOR}/event", f"{DOOR}/event/late"
SET, GET, RESULT = f"{DOOR}/set", f"{DOOR}/get", f"{DOOR}/result"
BY_ID = f"{BASE}/1A2B3C4D/set"
DISCOVERY, BIRTH = "homeassistant/device/nuki2mqtt_1A2B3C4D/config", "homeassistant/status"
REQUEST, RESPONSE = f"{BASE}/gateway/request/callbacks", f"{BASE}/gateway/response/callbacks"
NOT_KEPT = ("/set", "/get", "/result", "/event", "/event/late", "/request/callbacks", "/response/callbacks")
ENDS = frozenset({"confirmed", "failed", "unconfirmed", "expired", "refused"})
FIRST, SECOND = "1234abcd", "fedc9876"  # the instances
DOOR_CLOSED, DOOR_OPEN = 2, 3  # Bridge API 1.13.2 section 4.6

STARTING_S = 3.5  # commands are refused before; the first request after a kill waits 2 s
LATE_S = 11.0  # an event is late after 10 s
BORN_S = 5.5  # by then all is said again after a birth message
MINUTE_S = 61.0
GONE_S = 2.1  # after that a message with an expiry of 1 s is gone; mosquitto counts whole seconds
TRIES = 3  # while something is said, a client that comes may be told what was said before it
TIMING = Timing(
    answer_s=0.002,
    read_s=0.01,
    unreachable_s=0.05,
    accept_s=0.01,
    motor_s=0.1,
    unlatched_s=0.1,
    callback_s=0.005,
)


class Stage(Protocol):
    """A broker, a house, and the computers on which gateways run; `protocol` is what they speak with the broker.

    `heard` is everything that an MQTT 5 client of somebody was told, in order, live messages with the retain flag under
    which they were published.
    """

    protocol: str
    heard: list[Packet]
    log: list[str]
    lock: SimulatedLock
    bell: SimulatedOpener
    bridge: SimulatedBridge

    def now(self) -> datetime:
        """What every clock shows."""

    async def start(self) -> None:
        """Start the gateway."""

    async def kill(self) -> None:
        """End the gateway at once; nothing is said but its will."""

    async def stop(self) -> None:
        """Let the gateway end by itself; until it has."""

    async def start_other(self) -> None:
        """Start a gateway on another computer, with the same settings."""

    async def kill_other(self) -> None:
        """End that one at once."""

    def lose_state(self) -> None:
        """The gateway's state file is gone."""

    async def cut(self) -> None:
        """Break the gateway's connection, which both sides notice; it finds no way until `mend`."""

    async def mend(self) -> None:
        """The gateway finds its way again."""

    async def stop_broker(self, *, keeps: bool) -> None:
        """The broker ends in good order, says the wills and keeps what is retained; or it is killed and forgets all."""

    async def start_broker(self) -> None:
        """It is there again, and somebody listens; the gateway finds no way to it until `mend`."""

    async def publish(self, packet: Packet) -> None:
        """Somebody says something; the broker has it afterwards."""

    async def happens(self, do: Callable[[], None]) -> None:
        """Somebody does something in the house; its Bridge says so."""

    async def until(self, is_so: Callable[[], object], what: str) -> None:
        """Wait for something, with a limit."""

    async def passes(self, seconds: float) -> None:
        """So much time passes in the house and for the gateways; maybe not for the broker."""

    async def lasts(self, seconds: float) -> None:
        """So much time passes for everybody."""

    async def kept(self) -> Mapping[str, Packet]:
        """What a client that comes now is told."""


@dataclass(frozen=True)
class Story:
    name: str
    protocol: str
    tell: Callable[[Stage], Awaitable[None]]

    def __str__(self) -> str:
        return f"{self.name}-{self.protocol}"


STORIES: list[Story] = []


def story(*protocols: str) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[Stage], Awaitable[None]]]:
    """A story for gateways that speak these."""

    def add(tell: Callable[[Stage], Awaitable[None]]) -> Callable[[Stage], Awaitable[None]]:
        STORIES.extend(Story(tell.__name__, protocol, tell) for protocol in protocols)
        return tell

    return add


def spec_of(protocol: str) -> Spec:
    """The house of all stories."""
    return Spec(seed=1, protocol=protocol)


def settings_of(spec: Spec) -> Settings:
    """The settings of all stories; only the addresses differ from stage to stage."""
    read = read_settings(spec.config(), read_file=lambda name: name)
    return replace(read, poll=replace(read.poll, min_gap_s=0))


# --- What stories do ----------------------------------------------------------------------------------------------


def payload_of(packet: Packet) -> Any:
    try:
        return json.loads(packet.payload)
    except ValueError:
        return packet.payload.decode()


def said(stage: Stage, topic: str, since: int = 0) -> list[Any]:
    """What was said on a topic, in order; after the first `since` messages."""
    return [payload_of(packet) for packet in stage.heard[since:] if packet.topic == topic]


async def hears(
    stage: Stage, topic: str, is_wanted: Callable[[Any], object] = lambda _: True, since: int = 0
) -> tuple[int, Packet]:
    """The first message of a topic that is wanted, heard or to come, and its place."""
    found: list[tuple[int, Packet]] = []

    def is_heard() -> bool:
        numbered = enumerate(stage.heard[since:], start=since)
        found.extend(
            (number, packet)
            for number, packet in numbered
            if packet.topic == topic and packet.payload and is_wanted(payload_of(packet))
        )
        return bool(found)

    await stage.until(is_heard, f"a message on {topic}; there were {said(stage, topic, since)[-5:]}")
    return found[0]


def is_word(word: str) -> Callable[[Any], bool]:
    return lambda payload: bool(payload == word)


def is_live(payload: Any) -> bool:
    return isinstance(payload, dict) and payload["stale"] is False


def shows(state: str) -> Callable[[Any], bool]:
    return lambda payload: is_live(payload) and payload["state"] == state and not payload["derived"]


async def comes_home(stage: Stage, since: int) -> None:
    """Until the gateway vouches for the door and is called back."""
    await hears(stage, STATE, is_word("online"), since)
    await hears(stage, HEALTH, lambda payload: payload["bridges"][0]["callback"] == "held", since)
    await hears(stage, AVAILABILITY, is_word("online"), since)
    await hears(stage, DOOR, is_live, since)


async def begin(stage: Stage) -> int:
    """Start the gateway, until commands are taken; gives how much was heard before."""
    since = len(stage.heard)
    await stage.start()
    await hears(stage, STATE, is_word("online"), since)
    await stage.passes(STARTING_S)
    await comes_home(stage, since)
    await settled(stage)
    return since


def order(stage: Stage, action: str, transaction: str, *, ago_s: float = 0.0) -> bytes:
    """A command that was given so long ago."""
    ts = (stage.now() - timedelta(seconds=ago_s)).isoformat()
    return json.dumps({"action": action, "transaction": transaction, "ts": ts}).encode()


async def give(stage: Stage, action: str, transaction: str, *, ago_s: float = 0.0) -> None:
    """Give a command."""
    await stage.publish(Packet(SET, order(stage, action, transaction, ago_s=ago_s), 1))


async def settled(stage: Stage) -> None:
    """Until the gateway has dealt with all that was said before: then it answers a question that it asks its Bridge."""
    name, since = f"settled {stage.now().isoformat()}", len(stage.heard)
    await stage.publish(Packet(REQUEST, json.dumps({"transaction": name}).encode(), 1))
    await hears(stage, RESPONSE, lambda answer: answer["transaction"] == name, since)


def life(stage: Stage, transaction: str, topic: str = RESULT) -> list[tuple[str, str | None]]:
    """All results of a command."""
    return [(one["status"], one["reason"]) for one in said(stage, topic) if one["transaction"] == transaction]


async def ended(stage: Stage, transaction: str, times: int = 1) -> None:
    """Until a command has as many ends."""

    def is_so() -> bool:
        return sum(status in ENDS for status, _ in life(stage, transaction)) >= times

    await stage.until(is_so, f"an end of {transaction}; {said(stage, RESULT)[-3:]}")


def acted(stage: Stage) -> list[str]:
    """The numbers of the actions that its Bridge was told."""
    return [request.query["action"] for request in stage.bridge.requests if request.path == "/lockAction"]


def payloads(kept: Mapping[str, Packet]) -> dict[str, bytes]:
    return {topic: packet.payload for topic, packet in kept.items()}


def last(stage: Stage, since: int = 0) -> dict[str, bytes]:
    """What a broker must keep after what was heard."""
    said_last = {packet.topic: packet.payload for packet in stage.heard[since:] if packet.retain}
    return {topic: payload for topic, payload in said_last.items() if payload}


async def is_tidy(stage: Stage, since: int = 0) -> None:
    """Whether a client that comes now is told what was said last, and no command, result or event."""
    await settled(stage)
    kept = await stage.kept()
    for _ in range(TRIES):
        if payloads(kept) == last(stage, since):
            break
        kept = await stage.kept()
    assert payloads(kept) == last(stage, since)
    assert not [topic for topic in kept if topic.endswith(NOT_KEPT)]
    assert all(packet.retain for packet in kept.values())
    door = payload_of(kept[DOOR])
    assert (door["state_code"], door["door_code"]) == (stage.lock.state, stage.lock.door)
    assert (door["stale"], door["derived"]) == (False, False)
    assert (kept[STATE].payload, kept[AVAILABILITY].payload) == (b"online", b"online")


# --- The life of a gateway ----------------------------------------------------------------------------------------


@story("5", "3.1.1")
async def the_first_words_come_in_order(stage: Stage) -> None:
    """We are online; only then what was seen. Nothing but retained messages, and no event for a first report."""
    await begin(stage)
    online = stage.heard.index(Packet(STATE, b"online", 1, retain=True))
    available = stage.heard.index(Packet(AVAILABILITY, b"online", 1, retain=True))
    door, snapshot = await hears(stage, DOOR)
    assert online < available
    assert online < door
    assert (payload_of(snapshot)["state"], payload_of(snapshot)["stale"]) == ("locked", False)
    assert (snapshot.qos, snapshot.retain) == (1, True)
    assert said(stage, STATE) == ["online"]
    assert said(stage, AVAILABILITY) == ["online"]
    assert [one["instance"] for one in said(stage, INFO)] == [FIRST]
    flags = {packet.topic: packet.retain for packet in stage.heard if packet.topic not in {REQUEST, RESPONSE}}
    assert all(flags.values()), flags
    await is_tidy(stage)


@story("5", "3.1.1")
async def after_a_kill_the_will_is_said_and_the_first_words_vouch_for_nothing(stage: Stage) -> None:
    await begin(stage)
    since = len(stage.heard)
    await stage.kill()
    await hears(stage, STATE, is_word("offline"), since)
    assert [packet.topic for packet in stage.heard[since:]] == [STATE]
    assert stage.heard[since].retain
    assert (await stage.kept())[STATE].payload == b"offline"
    assert (await stage.kept())[AVAILABILITY].payload == b"online"
    await stage.happens(lambda: stage.lock.turn(UNLOCKED))
    since = await begin(stage)
    online, _ = await hears(stage, STATE, is_word("online"), since)
    before = {packet.topic: payload_of(packet) for packet in stage.heard[since:online]}
    assert before[AVAILABILITY] == before[f"{BELL}/availability"] == "offline"
    assert (before[DOOR]["state"], before[DOOR]["stale"]) == ("locked", True)
    assert said(stage, AVAILABILITY, online) == ["online"]
    assert {(one["state"], one["stale"]) for one in said(stage, DOOR, online)} == {("unlocked", False)}
    assert said(stage, EVENT) == []
    await is_tidy(stage)


@story("5")
async def a_clean_stop_takes_everything_back_and_says_no_will(stage: Stage) -> None:
    await begin(stage)
    since = len(stage.heard)
    await stage.stop()
    await hears(stage, STATE, is_word("offline"), since)
    kept = await stage.kept()
    assert said(stage, STATE, since) == ["offline"]
    assert stage.heard[-1].topic == STATE
    assert said(stage, AVAILABILITY, since) == ["offline"]
    assert [one["stale"] for one in said(stage, DOOR, since)] == [True]
    assert payload_of(kept[DOOR])["lock"] == "LOCKED"
    assert (kept[STATE].payload, kept[AVAILABILITY].payload) == (b"offline", b"offline")
    assert stage.bridge.callbacks.slots == [None] * 3
    await begin(stage)
    await is_tidy(stage)


@story("5", "3.1.1")
async def topics_are_learnt_from_what_is_retained(stage: Stage) -> None:
    """The state file is lost and the door has another name: its topic stays."""
    await begin(stage)
    await stage.kill()
    stage.lose_state()
    stage.lock.name = "Main entrance"
    since = await begin(stage)
    online, _ = await hears(stage, STATE, is_word("online"), since)
    assert said(stage, DOOR, since)[0]["stale"]
    assert said(stage, AVAILABILITY, since)[0] == "offline"
    assert said(stage, DOOR, online)[-1]["name"] == "Main entrance"
    assert not [packet.topic for packet in stage.heard if "main_entrance" in packet.topic]
    await is_tidy(stage)


# --- What happens in the house ------------------------------------------------------------------------------------


@story("5", "3.1.1")
async def a_change_by_hand_is_a_state_and_one_event(stage: Stage) -> None:
    await begin(stage)
    since = len(stage.heard)
    await stage.happens(lambda: stage.lock.turn(UNLOCKED))
    _, event = await hears(stage, EVENT, since=since)
    _, snapshot = await hears(stage, DOOR, shows("unlocked"), since)
    told = payload_of(event)
    assert (told["event_type"], told["from"], told["to"], told["source"]) == (
        "state_changed",
        "locked",
        "unlocked",
        "callback",
    )
    assert (event.qos, event.retain, snapshot.qos, snapshot.retain) == (1, False, 1, True)
    await stage.happens(lambda: stage.lock.set_door(DOOR_OPEN))
    await hears(stage, DOOR, lambda payload: payload["door"] == "open", since)
    await is_tidy(stage)
    assert [one["event_type"] for one in said(stage, EVENT)] == ["state_changed", "door_opened"]
    assert said(stage, LATE) == []


@story("5")
async def a_ring_is_told_once(stage: Stage) -> None:
    """By the callback, by `/list`, and to a client that comes later: not at all."""
    await begin(stage)
    await stage.happens(stage.bell.ring)
    _, event = await hears(stage, f"{BELL}/event")
    assert (payload_of(event)["event_type"], event.qos, event.retain) == ("ring", 1, False)
    await stage.publish(Packet(GET, b'{"transaction": "look"}', 1))
    await ended(stage, "look")
    await is_tidy(stage)
    assert len(said(stage, f"{BELL}/event")) == 1


# --- Commands -----------------------------------------------------------------------------------------------------


@story("5", "3.1.1")
async def a_command_is_accepted_then_seen_then_confirmed(stage: Stage) -> None:
    await begin(stage)
    since = len(stage.heard)
    await give(stage, "unlock", "a1")
    accepted, _ = await hears(stage, RESULT, lambda one: one["status"] == "accepted", since)
    derived, _ = await hears(stage, DOOR, lambda one: one["derived"] and one["state"] == "unlocking", since)
    confirmed, end = await hears(stage, RESULT, lambda one: one["status"] == "confirmed", since)
    await hears(stage, DOOR, shows("unlocked"), since)
    assert accepted < derived < confirmed
    assert (end.qos, end.retain) == (1, False)
    assert life(stage, "a1") == [("accepted", None), ("confirmed", None)]
    assert (acted(stage), stage.lock.turns) == (["1"], 1)
    await is_tidy(stage)
    assert [one["to"] for one in said(stage, EVENT)] == ["unlocked"]


@story("5", "3.1.1")
async def the_same_key_acts_once_also_after_a_kill(stage: Stage) -> None:
    await begin(stage)
    again = Packet(SET, order(stage, "unlatch", "a1"), 1)
    for _ in range(2):
        await stage.publish(again)
    await ended(stage, "a1", times=2)
    await stage.publish(replace(again, topic=BY_ID))
    await ended(stage, "a1", times=3)
    await stage.kill()
    await begin(stage)
    await give(stage, "unlatch", "a1")
    await ended(stage, "a1", times=4)
    assert sorted(life(stage, "a1"), key=str) == [
        ("accepted", None),
        ("confirmed", None),
        *[("refused", "duplicate")] * 3,
    ]
    assert (acted(stage), stage.lock.unlatches) == (["3"], 1)
    await is_tidy(stage)


@story("5", "3.1.1")
async def a_stored_command_is_refused_and_cleared(stage: Stage) -> None:
    await stage.publish(Packet(SET, order(stage, "unlatch", "a1"), 1, retain=True))
    await stage.publish(Packet(BY_ID, b"unlock", 0, retain=True))
    assert set(await stage.kept()) == {SET, BY_ID}
    await begin(stage)
    await hears(stage, RESULT, lambda one: one["transaction"] == "a1")
    assert life(stage, "a1") == [("refused", "retained")]
    assert [packet.payload for packet in stage.heard if packet.topic == BY_ID] == [b"unlock", b""]
    assert acted(stage) == []
    since = len(stage.heard)
    await stage.cut()
    await stage.mend()
    await hears(stage, STATE, is_word("online"), since)
    await is_tidy(stage)
    assert life(stage, "a1") == [("refused", "retained")]
    assert acted(stage) == []


@story("5")
async def a_live_command_with_the_retain_flag_is_refused_and_cleared(stage: Stage) -> None:
    await begin(stage)
    await stage.publish(Packet(SET, order(stage, "unlatch", "a1"), 1, retain=True))
    await ended(stage, "a1")
    await is_tidy(stage)
    assert life(stage, "a1") == [("refused", "retained")]
    assert acted(stage) == []


@story("3.1.1")
async def a_live_command_that_was_retained_is_carried_out_once_and_cleared(stage: Stage) -> None:
    """MQTT 3.1.1 does not show the flag of live messages."""
    await begin(stage)
    await stage.publish(Packet(SET, order(stage, "unlatch", "a1"), 1, retain=True))
    await ended(stage, "a1")
    await hears(stage, DOOR, shows("unlocked"))
    await settled(stage)
    assert SET not in await stage.kept()
    await stage.kill()
    await begin(stage)
    await is_tidy(stage)
    assert life(stage, "a1") == [("accepted", None), ("confirmed", None)]
    assert acted(stage) == ["3"]


@story("5")
async def an_old_command_is_refused_and_one_of_the_future(stage: Stage) -> None:
    await begin(stage)
    for name, ago_s in (("old", 30.0), ("future", -30.0), ("young", 1.0)):
        await give(stage, "unlock", name, ago_s=ago_s)
        await ended(stage, name)
    assert life(stage, "old") == [("refused", "stale")]
    assert life(stage, "future") == [("refused", "clock_ahead")]
    assert life(stage, "young") == [("accepted", None), ("confirmed", None)]
    assert acted(stage) == ["1"]
    failed = [one["reason"] for one in said(stage, EVENT) if one["event_type"] == "command_failed"]
    assert failed == ["stale", "clock_ahead"]


@story("5", "3.1.1")
async def a_bare_word_opens_only_where_its_age_can_be_known(stage: Stage) -> None:
    await begin(stage)
    since = len(stage.heard)
    await stage.publish(Packet(SET, b"lock", 1))
    await hears(stage, RESULT, lambda one: one["action"] == "lock" and one["status"] in ENDS, since)
    await stage.publish(Packet(SET, b"unlatch", 1))
    _, end = await hears(stage, RESULT, lambda one: one["action"] == "unlatch" and one["status"] in ENDS, since)
    expected = ("confirmed", None) if stage.protocol == "5" else ("refused", "needs_ts")
    assert (payload_of(end)["status"], payload_of(end)["reason"]) == expected
    assert acted(stage) == (["2", "3"] if stage.protocol == "5" else ["2"])
    await settled(stage)
    assert not [topic for topic in await stage.kept() if topic.endswith(NOT_KEPT)]


@story("5", "3.1.1")
async def a_command_just_after_the_first_words_is_refused(stage: Stage) -> None:
    await stage.start()
    await hears(stage, AVAILABILITY, is_word("online"))
    await give(stage, "unlock", "early")
    await ended(stage, "early")
    assert life(stage, "early") == [("refused", "starting")]
    await stage.passes(STARTING_S)
    await give(stage, "unlock", "early")
    await ended(stage, "early", times=2)
    assert life(stage, "early")[1:] == [("accepted", None), ("confirmed", None)]
    assert acted(stage) == ["1"]


@story("5")
async def a_stored_command_that_expired_is_never_heard_of(stage: Stage) -> None:
    await stage.publish(Packet(SET, order(stage, "unlatch", "short"), 1, retain=True, expiry_s=1))
    await stage.publish(Packet(BY_ID, order(stage, "unlatch", "long"), 1, retain=True, expiry_s=600))
    await stage.lasts(GONE_S)
    await begin(stage)
    await is_tidy(stage, since=1)  # nobody clears what expires
    assert life(stage, "short") == []
    assert life(stage, "long") + life(stage, "long", f"{BASE}/1A2B3C4D/result") == [("refused", "retained")]
    assert acted(stage) == []


@story("5")
async def a_command_is_not_carried_out_after_its_expiry(stage: Stage) -> None:
    """Its Bridge is away until then; the time to live of the settings is longer."""
    await begin(stage)
    with stage.bridge.faults.refuse_connections():
        await stage.publish(Packet(SET, order(stage, "unlatch", "a1"), 1, expiry_s=1))
        await hears(stage, RESULT, lambda one: one["transaction"] == "a1")
        await stage.passes(GONE_S)
    await ended(stage, "a1")
    assert life(stage, "a1")[0] == ("accepted", None)
    assert life(stage, "a1")[1][1] == "bridge_unreachable"
    assert [one["may_have_acted"] for one in said(stage, RESULT) if one["transaction"] == "a1"] == [False, False]
    await give(stage, "lock", "a2")
    await ended(stage, "a2")
    assert acted(stage)[-1:] == ["2"]
    assert stage.lock.unlatches == 0


@story("5", "3.1.1")
async def a_command_that_came_while_we_were_away_is_never_heard_of(stage: Stage) -> None:
    """Our session is clean: the broker keeps nothing for us."""
    await begin(stage)
    await stage.cut()
    since = len(stage.heard)
    await give(stage, "unlatch", "a1")
    await stage.mend()
    await hears(stage, STATE, is_word("online"), since)
    await stage.passes(STARTING_S)
    await is_tidy(stage)
    assert life(stage, "a1") == []
    assert acted(stage) == []
    await give(stage, "unlock", "a2")
    await ended(stage, "a2")
    assert acted(stage) == ["1"]


@story("5", "3.1.1")
async def a_response_topic_gets_the_results_with_its_correlation(stage: Stage) -> None:
    """MQTT 3.1.1 has none, and a topic of ours is not answered on."""
    await begin(stage)
    since = len(stage.heard)
    question = Packet(SET, order(stage, "unlock", "a1"), 1, response_topic="answers/7", correlation=b"\x00\xff7")
    await stage.publish(question)
    await ended(stage, "a1")
    await stage.publish(Packet(SET, order(stage, "unlock", "a1"), 1, response_topic=f"{BASE}/answers"))
    await ended(stage, "a1", times=2)
    await stage.publish(replace(question, topic=REQUEST, payload=b'{"transaction": 8}'))
    await hears(stage, RESPONSE, lambda one: one["transaction"] == 8)
    await settled(stage)
    answers = [packet for packet in stage.heard if packet.topic == "answers/7"]
    if stage.protocol == "5":
        assert [payload_of(packet)["status"] for packet in answers] == ["accepted", "confirmed", "ok"]
        assert {(packet.correlation, packet.qos, packet.retain) for packet in answers} == {(b"\x00\xff7", 1, False)}
    else:
        assert answers == []
    assert said(stage, f"{BASE}/answers") == []
    assert life(stage, "a1") == [("accepted", None), ("confirmed", None), ("refused", "duplicate")]
    assert {packet.correlation for packet in stage.heard[since:] if packet.topic in {RESULT, RESPONSE}} == {None}


@story("5", "3.1.1")
async def a_stored_request_is_refused_and_cleared(stage: Stage) -> None:
    await stage.publish(Packet(REQUEST, b'{"transaction": 7}', 1, retain=True))
    await begin(stage)
    _, answer = await hears(stage, RESPONSE, lambda one: one["transaction"] == 7)
    assert (payload_of(answer)["status"], payload_of(answer)["transaction"]) == ("error", 7)
    assert payload_of(answer)["error"].startswith("retained")
    assert not answer.retain
    await is_tidy(stage)
    await stage.publish(Packet(REQUEST, b'{"transaction": 8}', 1))
    _, answer = await hears(stage, RESPONSE, lambda one: one["transaction"] == 8)
    assert (payload_of(answer)["status"], answer.retain) == ("ok", False)
    await is_tidy(stage)


# --- Trouble with the broker --------------------------------------------------------------------------------------


@story("5", "3.1.1")
async def after_a_cut_the_will_is_said_and_taken_back(stage: Stage) -> None:
    """What happened meanwhile is told in time; the devices are vouched for all along."""
    await begin(stage)
    since = len(stage.heard)
    await stage.cut()
    await hears(stage, STATE, is_word("offline"), since)
    await stage.happens(lambda: stage.lock.set_door(DOOR_OPEN))
    await stage.mend()
    await hears(stage, STATE, is_word("online"), since)
    await hears(stage, DOOR, lambda payload: payload["door"] == "open", since)
    await hears(stage, EVENT, since=since)
    await is_tidy(stage)
    assert said(stage, STATE, since) == ["offline", "online"]
    assert set(said(stage, AVAILABILITY, since)) <= {"online"}
    assert not any(one["stale"] for one in said(stage, DOOR, since))
    assert [one["event_type"] for one in said(stage, EVENT)] == ["door_opened"]
    assert said(stage, LATE) == []


@story("5", "3.1.1")
async def a_broker_that_lost_everything_is_told_everything(stage: Stage) -> None:
    await begin(stage)
    before = await stage.kept()
    await stage.stop_broker(keeps=False)
    since = len(stage.heard)
    await stage.start_broker()
    assert await stage.kept() == {}
    await stage.mend()
    await comes_home(stage, since)
    await is_tidy(stage, since)
    after = await stage.kept()
    assert after.keys() == before.keys()
    assert {DISCOVERY, DOOR, BELL, STATE} <= after.keys()
    same = [topic for topic in after if topic not in {HEALTH, DOOR, BELL}]
    assert {topic: after[topic].payload for topic in same} == {topic: before[topic].payload for topic in same}
    assert said(stage, STATE) == ["online", "online"]
    assert said(stage, EVENT) == []
    await stage.passes(STARTING_S)
    await give(stage, "unlock", "a1")
    await ended(stage, "a1")
    assert acted(stage) == ["1"]


@story("5", "3.1.1")
async def a_broker_that_kept_everything_has_our_will_until_we_are_back(stage: Stage) -> None:
    await begin(stage)
    before = await stage.kept()
    since = len(stage.heard)
    await stage.stop_broker(keeps=True)
    assert stage.heard[since:] == [Packet(STATE, b"offline", 1, retain=True)]
    since = len(stage.heard)
    await stage.start_broker()
    kept = await stage.kept()
    assert kept.keys() == before.keys()
    assert (kept[STATE].payload, kept[AVAILABILITY].payload) == (b"offline", b"online")
    await stage.mend()
    await hears(stage, STATE, is_word("online"), since)
    await is_tidy(stage, since)
    assert said(stage, STATE, since) == ["offline", "online"]
    assert set(said(stage, AVAILABILITY, since)) == {"online"}
    assert not any(one["stale"] for one in said(stage, DOOR, since))


@story("5", "3.1.1")
async def what_can_only_be_said_late_is_a_late_event(stage: Stage) -> None:
    """A door opens while the broker is away, and closes later; a client that comes then is told neither."""
    await begin(stage)
    await stage.stop_broker(keeps=True)
    since = len(stage.heard)
    await stage.happens(lambda: stage.lock.set_door(DOOR_OPEN))
    await stage.passes(LATE_S)
    await stage.start_broker()
    await stage.mend()
    _, opened = await hears(stage, LATE, since=since)
    await stage.happens(lambda: stage.lock.set_door(DOOR_CLOSED))
    _, closed = await hears(stage, EVENT, since=since)
    assert (payload_of(opened)["event_type"], payload_of(closed)["event_type"]) == ("door_opened", "door_closed")
    assert (opened.qos, opened.retain, closed.retain) == (1, False, False)
    await is_tidy(stage, since)
    assert (len(said(stage, LATE)), len(said(stage, EVENT))) == (1, 1)


# --- Others at the broker -----------------------------------------------------------------------------------------


@story("5", "3.1.1")
async def everything_is_said_again_when_home_assistant_is_born(stage: Stage) -> None:
    """Live, that is: a stored birth message is none, nor is another word."""
    await stage.publish(Packet(BIRTH, b"online", 1, retain=True))
    await begin(stage)
    await stage.passes(BORN_S)
    await settled(stage)
    assert len(said(stage, DISCOVERY)) == 1
    since = len(stage.heard)
    await stage.publish(Packet(BIRTH, b"offline", 1, retain=True))
    await settled(stage)
    await stage.passes(BORN_S)
    await settled(stage)
    assert said(stage, DISCOVERY, since) == []
    before = await stage.kept()
    since = len(stage.heard)
    await stage.publish(Packet(BIRTH, b"online", 1, retain=True))
    await settled(stage)
    assert said(stage, DISCOVERY, since) == []
    await stage.passes(BORN_S)
    await hears(stage, DISCOVERY, since=since)
    await is_tidy(stage)
    kept = await stage.kept()
    assert {packet.topic for packet in stage.heard[since:] if packet.retain} >= before.keys() - {HEALTH}
    assert kept.keys() == before.keys()


@story("5", "3.1.1")
async def who_says_that_we_are_offline_is_contradicted(stage: Stage) -> None:
    await begin(stage)
    since = len(stage.heard)
    await stage.publish(Packet(STATE, b"offline", 1, retain=True))
    await hears(stage, STATE, is_word("online"), since)
    await stage.publish(Packet(STATE, b"offline", 0))
    await stage.publish(Packet(STATE, b"offline", 1, retain=True))
    await stage.passes(1.5)
    await stage.until(lambda: said(stage, STATE, since)[-1] == "online", "we are online after all")
    await is_tidy(stage)
    words = said(stage, STATE, since)
    assert (words[:2], words[-1], words.count("offline")) == (["offline", "online"], "online", 3)
    assert words.count("online") <= 3  # once a second at most


async def start_a_silent_one(stage: Stage) -> None:
    """Start another gateway, until it knows that it has to be silent."""
    await stage.start_other()
    await stage.until(lambda: any("seems to own the base" in line for line in stage.log), "the other one waits")
    await stage.passes(MINUTE_S)
    await stage.until(lambda: any(") owns the base" in line for line in stage.log), "the other one is silent")


@story("5")
async def a_silent_gateway_has_no_will(stage: Stage) -> None:
    await begin(stage)
    await start_a_silent_one(stage)
    await settled(stage)
    since = len(stage.heard)
    await stage.kill_other()
    await is_tidy(stage)
    assert said(stage, STATE, since) == []


@story("5", "3.1.1")
async def a_second_gateway_is_silent_until_the_first_is_gone(stage: Stage) -> None:
    await begin(stage)
    since = len(stage.heard)
    await start_a_silent_one(stage)
    await give(stage, "unlock", "a1")
    await ended(stage, "a1")
    await is_tidy(stage)
    assert life(stage, "a1") == [("accepted", None), ("confirmed", None)]
    assert acted(stage) == ["1"]
    assert said(stage, STATE, since) == []
    assert {one["instance"] for one in said(stage, INFO) + said(stage, HEALTH)} == {FIRST}
    assert sum(slot is not None for slot in stage.bridge.callbacks.slots) == 1
    since = len(stage.heard)
    await stage.kill()
    await hears(stage, STATE, is_word("offline"), since)
    await stage.passes(STARTING_S)
    online, _ = await hears(stage, STATE, is_word("online"), since)
    await stage.passes(STARTING_S)
    await comes_home(stage, online)
    assert {one["instance"] for one in said(stage, INFO, since)} == {SECOND}
    assert said(stage, AVAILABILITY, since) == ["offline", "online"]
    await give(stage, "lock", "a2")
    await ended(stage, "a2")
    assert acted(stage) == ["1", "2"]
    await hears(stage, DOOR, shows("locked"), since)
    assert stage.lock.state == LOCKED
    await is_tidy(stage)
