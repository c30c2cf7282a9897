"""From a message on `set` to results, in a whole gateway: what is refused and how, what is told, what is remembered."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    CallbackReceived,
    CallBridge,
    DeviceMemory,
    Effect,
    JournalEntry,
    Log,
    Memory,
    Moment,
    MqttReceived,
    Publish,
    Remember,
)
from nuki2mqtt.model.action import Action
from nuki2mqtt.protocol.bridge_api import ActionAnswer, LockActionRequest
from tests.gateway.builders import CONFIG, LINK, LOCK, LOCKED, OPENER, UNLOCKED, Hand, called, logged, only, state, wall
from tests.gateway.site import BOTH, NO, YES, Site, failure

SET, RESULT = "nuki2mqtt/front_door/set", "nuki2mqtt/front_door/result"
PERMIT = CONFIG + "commands: {permit: [lock, unlock]}\n"


def clearings(site: Site) -> list[str]:
    return [p.topic for p in only(site.effects, Publish) if p.payload == b"" and p.retain and p.topic.endswith("et")]


# --- the closed list ---

# In the order in which they go first; a retained flag wins always.
FAULTS: dict[str, dict[str, Any]] = {
    "retained": {"retained": True},
    "bad_payload": {"ttl_s": -1},
    "unknown_device": {"to": "nobody"},
    "unknown_action": {"action": "fly"},
    "not_permitted": {"action": "unlatch"},
    "starting": {"is_starting": True},
    "duplicate": {"transaction": "d"},
    "stale": {"waited_s": 11},
    "clock_ahead": {"ahead_s": 11},
    "busy": {"is_busy": True},
}
PAIRS = [pair for pair in itertools.combinations(FAULTS, 2) if pair != ("unknown_action", "not_permitted")]
ACCEPTED = {
    str(number): JournalEntry(device=LOCK, action=action, accepted=wall(0), key='"d"', is_ended=True)
    for number, action in enumerate((Action.UNLOCK, Action.UNLATCH))
}


def given_with(faults: dict[str, Any]) -> tuple[Site, str]:
    """A gateway that was given one command with these faults, and where its result is to be."""
    site = Site.at_work(PERMIT, Memory(journal=ACCEPTED))
    if faults.get("is_busy"):
        site.set("lock")
        site.wait(0.1)
    if faults.get("is_starting"):
        site.reconnect()
    site.effects.clear()
    body = {"action": faults.get("action", "unlock")}
    body |= {key: faults[key] for key in ("ttl_s", "transaction") if key in faults}
    if "ahead_s" in faults:
        body["ts"] = wall(site.hand.now + faults["ahead_s"]).isoformat()
    to = faults.get("to", "front_door")
    received = site.hand.monotonic - faults.get("waited_s", 0)
    site.set(body, to, retained=faults.get("retained", False), received=received)
    return site, to


def test_the_command_without_a_fault_is_accepted() -> None:
    site, _ = given_with({})

    assert site.told() == [("accepted", None)]


@pytest.mark.parametrize("reason", FAULTS)
def test_each_reason_alone(reason: str) -> None:
    site, to = given_with(FAULTS[reason])

    assert site.told(to) == [("refused", reason)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_when_two_hold_the_first_of_the_list_is_given(first: str, second: str) -> None:
    site, to = given_with(FAULTS[first] | FAULTS[second])

    assert site.told(to) == [("refused", first)]
    assert [code for _, code in site.sent if code != 2] == []


def test_a_refusal_says_all_that_is_known() -> None:
    site, _ = given_with(FAULTS["not_permitted"] | {"transaction": "d", "ahead_s": -4})
    (result,) = site.results()

    assert result == {
        "transaction": "d",
        "action": "unlatch",
        "status": "refused",
        "reason": "not_permitted",
        "evidence": None,
        "may_have_acted": False,
        "state": "locked",
        "duration_s": 0.0,
        "age_s": 4.0,
    }


@pytest.mark.parametrize("reason", FAULTS)
def test_each_refusal_for_a_known_device_is_also_an_event(reason: str) -> None:
    site, to = given_with(FAULTS[reason])
    shown = FAULTS[reason].get("action", "unlock")
    expected = [] if to == "nobody" else [(shown, reason)]

    assert [(event["action"], event["reason"]) for event in site.events()] == expected


def test_an_untrusted_clock_is_one_of_the_reasons() -> None:
    site = Site.at_work()
    long_ago = Moment(site.hand.monotonic, datetime(2020, 1, 1, tzinfo=UTC))
    body = json.dumps({"action": "unlock", "ts": "2020-01-01T00:00:00Z"}).encode()
    site.take(site.hand.gateway.handle(MqttReceived(SET, body), long_ago))

    assert site.told() == [("refused", "clock_untrusted")]


# --- retained ---


@pytest.mark.parametrize("payload", ["unlock", "lock", b"\xff", {"action": "unlock", "ts": "2026-11-22T12:00:00Z"}])
@pytest.mark.parametrize("to", ["front_door", "1A2B3C4D", "nobody"])
def test_a_retained_command_is_refused_and_cleared_whatever_it_says(payload: Any, to: str) -> None:
    site = Site.at_work()
    site.set(payload, to, retained=True)
    shown = "nobody" if to == "nobody" else "front_door"

    assert site.told(shown) == [("refused", "retained")]
    assert clearings(site) == [f"nuki2mqtt/{to}/set"]
    assert site.sent == []


def test_a_retained_command_is_warned_of_once_per_topic() -> None:
    site = Site.at_work()
    for _ in range(3):
        site.set("unlock", retained=True)
    site.set("unlock", "gate", retained=True)
    texts = [text for text in logged(site.effects, "warning") if "retained" in text]

    assert [text.split()[3] for text in texts] == [SET, "nuki2mqtt/gate/set"]
    assert clearings(site) == [SET] * 3 + ["nuki2mqtt/gate/set"]


@pytest.mark.parametrize("retained", [False, True])
def test_our_own_clearing_is_ignored(*, retained: bool) -> None:
    site = Site.at_work()
    site.set(b"", retained=retained)
    site.get(b"", retained=retained)
    site.request("refresh", b"", retained=retained)

    assert (site.told(), clearings(site), site.sent) == ([], [], [])


def test_with_3_1_1_each_command_s_topic_is_cleared_after_it() -> None:
    site = Site.at_work(protocol="3.1.1")
    site.set("lock")
    site.get()

    assert clearings(site) == [SET, "nuki2mqtt/front_door/get"]
    assert site.told()[0] == ("accepted", None)


def test_with_5_a_live_command_is_not_cleared() -> None:
    site = Site.at_work()
    site.set("lock")

    assert clearings(site) == []


def test_with_3_1_1_a_bare_opening_command_is_told_the_exact_words_to_send_once() -> None:
    site = Site.at_work(protocol="3.1.1")
    site.set("unlock")
    site.set("unlock")
    texts = [text for text in logged(site.effects, "warning") if "needs_ts" in text]

    assert site.told() == [("refused", "needs_ts")] * 2
    assert len(texts) == 1
    assert '{"action": "unlock", "ts": "2026-11-22T12:00:03' in texts[0]
    assert "commands.bare_opening" in texts[0]


@pytest.mark.parametrize(("protocol", "wait_s"), [("5", 2.0), ("3.1.1", 3.0)])
def test_after_a_new_connection_commands_are_starting(protocol: str, wait_s: float) -> None:
    site = Site.at_work(protocol=protocol)
    site.reconnect(protocol)
    site.wait(wait_s - 0.01)
    site.set("lock")
    site.wait(0.02)
    site.set("lock")

    assert site.told() == [("refused", "starting"), ("accepted", None)]


# --- whom, and by which words ---


@pytest.mark.parametrize("to", ["front_door", "1A2B3C4D", "1a2b3c4d"])
def test_a_device_is_named_by_its_topic_or_its_id(to: str) -> None:
    site = Site.at_work()
    site.set("unlock", to)
    site.wait(0.1)

    assert (site.told(), site.sent) == ([("accepted", None)], [(LOCK, 1)])


@pytest.mark.parametrize("to", ["nobody", "2B3C4D5E", "1A2B3C4", "gateway", "Front_Door"])
def test_an_unknown_one_has_its_result_where_it_was_named(to: str) -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": [1]}, to)

    assert [(r["status"], r["reason"], r["transaction"], r["state"]) for r in site.results(to)] == [
        ("refused", "unknown_device", [1], None)
    ]


def test_an_ignored_device_is_unknown() -> None:
    site = Site.at_work(CONFIG + "devices: {1A2B3C4D: {ignore: true}}\n")
    site.set("unlock", "1A2B3C4D")

    assert (site.told("1A2B3C4D"), site.sent) == ([("refused", "unknown_device")], [])


@pytest.mark.parametrize(
    ("payload", "to", "order"),
    [
        ("UNLOCK", "front_door", (LOCK, 1)),
        ("Lock'n'Go", "front_door", (LOCK, 4)),
        ("open", "front_door", (LOCK, 3)),
        ({"state": "LOCK"}, "front_door", (LOCK, 2)),
        ("5", "front_door", (LOCK, 5)),
        ("unlock", "gate", (OPENER, 1)),
        ("lock", "gate", (OPENER, 2)),
        ("open", "gate", (OPENER, 3)),
        ("4", "gate", (OPENER, 4)),
    ],
)
def test_words_and_numbers_by_device_type(payload: Any, to: str, order: tuple[Any, int]) -> None:
    site = Site.at_work()
    site.set(payload, to)
    site.wait(0.1)

    assert site.sent == [order]


@pytest.mark.parametrize("wait", ["true", "false"])
def test_an_order_says_device_type_action_and_whether_to_wait(wait: str) -> None:
    site = Site.at_work(CONFIG + f"commands: {{wait: {wait}}}\n")
    site.set("open", "gate")
    site.wait(0.1)
    (call,) = site.orders

    assert call.request == LockActionRequest(OPENER, 2, 3, nowait=wait == "false")


# --- what is told ---


def test_the_life_of_a_command_word_for_word() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1", "ts": wall(site.hand.now - 0.2).isoformat()})
    site.wait(1)
    site.answer(YES)
    site.wait(2)
    site.call_back(UNLOCKED)

    assert site.results() == [
        {
            "transaction": "a1",
            "action": "unlock",
            "status": "accepted",
            "reason": None,
            "evidence": None,
            "may_have_acted": False,
            "state": "locked",
            "duration_s": 0.0,
            "age_s": 0.2,
        },
        {
            "transaction": "a1",
            "action": "unlock",
            "status": "confirmed",
            "reason": None,
            "evidence": "target",
            "may_have_acted": True,
            "state": "unlocked",
            "duration_s": 3.0,
            "age_s": 0.2,
        },
    ]
    assert site.events() == []


def test_results_are_never_retained_and_carry_qos_1() -> None:
    site = Site.at_work()
    site.set("unlock", response_topic="me/answers", correlation=b"c")
    said = [publish for publish in only(site.effects, Publish) if publish.topic in {RESULT, "me/answers"}]

    assert [(p.topic, p.qos, p.retain, p.correlation) for p in said] == [
        (RESULT, 1, False, None),
        ("me/answers", 1, False, b"c"),
    ]


@pytest.mark.parametrize(
    "topic",
    [
        "nuki2mqtt",
        "nuki2mqtt/front_door/set",
        "nuki2mqtt/answers",
        "homeassistant/x",
        "zigbee2mqtt/lamp/set",
        "a/get",
        "a/config",
        "nuki/1/lockAction",
        "a/+",
        "#",
        "$SYS/x",
        "",
    ],
)
def test_a_response_topic_on_which_somebody_may_act_is_not_used(topic: str) -> None:
    site = Site.at_work()
    site.effects.clear()
    site.set("unlock", response_topic=topic)
    site.set("nothing", response_topic=topic)

    assert [(p.topic, p.payload) for p in only(site.effects, Publish) if p.topic == topic] == []
    assert len(site.results()) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(NO, "bridge_said_no"), (failure("token_refused"), "token_refused"), (failure("not_paired"), "bridge_said_no")],
)
def test_a_failure_is_an_event_too(answer: Any, reason: str) -> None:
    site = Site.at_work()
    site.set("unlock")
    site.wait(0.1)
    site.answer(answer)

    assert site.told() == [("accepted", None), ("failed", reason)]
    assert [(event["action"], event["reason"]) for event in site.events()] == [("unlock", reason)]


def test_an_expired_command_is_an_event_too() -> None:
    site = Site.at_work(reports=(BOTH[1],), memory=Memory(devices={LOCK: DeviceMemory("front_door", "Front door", 4)}))
    site.set("unlock")
    site.wait(11)

    assert site.told() == [("accepted", None), ("expired", "bridge_unreachable")]
    assert [event["reason"] for event in site.events()] == ["bridge_unreachable"]


def test_what_is_told_while_the_broker_is_away_is_told_when_it_is_back() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.wait(0.1)
    site.lose()
    site.answer(NO)
    before = len(site.results())
    site.wait(100)
    site.reconnect()

    assert before == 1
    assert site.told() == [("accepted", None), ("failed", "bridge_said_no")]
    assert site.events() == []
    assert [p.topic for p in only(site.effects, Publish) if p.topic.endswith("/late")] == [
        "nuki2mqtt/front_door/event/late"
    ]


def test_a_reconnection_ends_nothing() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1"})
    site.wait(0.1)
    site.reconnect()
    site.wait(1)
    before = site.told()
    site.answer(YES)
    site.call_back(UNLOCKED)

    assert before == [("accepted", None)]
    assert site.told() == [("accepted", None), ("confirmed", "target")]


def test_a_derived_state_is_shown_until_a_report_comes() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.wait(0.1)
    site.answer(YES)
    shown = [json.loads(p.payload) for p in only(site.effects, Publish) if p.topic == "nuki2mqtt/front_door"][-1]
    site.call_back(LOCKED)
    then = [json.loads(p.payload) for p in only(site.effects, Publish) if p.topic == "nuki2mqtt/front_door"][-1]

    assert (shown["state"], shown["derived"], shown["lock"]) == ("unlocking", True, "UNLOCKING")
    assert (then["state"], then["derived"]) == ("locked", False)


@pytest.mark.parametrize("action", ["lock", "unlock"])
def test_nothing_is_derived_where_the_bolt_is_already(action: str) -> None:
    at = 1 if action == "lock" else 3
    site = Site.at_work(reports=(BOTH[1],))
    site.lists = dict.fromkeys(site.lists, (*BOTH,))
    site.list_says(state(at, 2), 0)
    site.wait(40)
    site.set(action)
    site.wait(0.1)
    site.answer(YES)
    shown = [json.loads(p.payload) for p in only(site.effects, Publish) if p.topic == "nuki2mqtt/front_door"][-1]

    assert (shown["state_code"], shown["derived"]) == (at, False)


# --- the state file ---


def test_before_an_opening_order_goes_out_its_entry_is_in_the_state_file() -> None:
    site = Site.at_work()
    site.effects.clear()
    body = {"action": "unlock", "transaction": {"b": 1, "a": 2}}
    site.set(body, response_topic="me/answers", correlation=b"\x01\xff")
    site.wait(0.1)
    names = [type(effect).__name__ for effect in site.effects if isinstance(effect, Remember | CallBridge)]
    (entry,) = only(site.effects, Remember)[0].memory.journal.values()

    assert names == ["Remember", "CallBridge"]
    assert entry == JournalEntry(
        device=LOCK,
        action=Action.UNLOCK,
        accepted=wall(3.2),
        key='{"a":2,"b":1}',
        transaction='{"a":2,"b":1}',
        response_topic="me/answers",
        correlation="01ff",
        is_dated=True,
    )


def test_a_clock_that_is_trusted_only_because_the_settings_say_so_dates_no_entry() -> None:
    site = Site.at_work(f"{CONFIG}commands: {{trust_clock: always}}\n")
    for link in site.hand.gateway._following.links.values():
        link.facts.clock = None  # no Bridge confirms ours
    site.hand.is_synchronised = False
    site.effects.clear()
    site.set({"action": "unlock", "transaction": "a", "ts": wall(site.hand.now).isoformat()})
    (entry,) = only(site.effects, Remember)[0].memory.journal.values()

    assert (entry.key, entry.is_dated) == ('"a"', False)


def test_accepted_is_said_before_the_order_goes_out() -> None:
    site = Site.at_work()
    site.effects.clear()
    site.set("unlock")
    shown = [
        effect for effect in site.effects if isinstance(effect, CallBridge) or getattr(effect, "topic", "") == RESULT
    ]

    assert [type(effect).__name__ for effect in shown] == ["Publish", "CallBridge"]


@pytest.mark.parametrize(
    ("to", "action"), [("front_door", "lock"), ("gate", "deactivate_rto"), ("gate", "deactivate_cm")]
)
def test_a_closing_order_stands_in_the_journal_until_its_end_and_no_longer(to: str, action: str) -> None:
    site = Site.at_work()
    site.set({"action": action, "transaction": "a1"}, to)
    site.wait(0.1)
    (entry,) = site.memory.journal.values()
    site.answer(NO)

    assert (entry.action, entry.opens, entry.is_ended) == (action, False, False)
    assert (len(site.sent), site.told(to)[-1]) == (1, ("failed", "bridge_said_no"))
    assert site.memory.journal == {}


def test_a_refused_connection_leaves_the_command_in_the_journal_until_its_end() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1"})
    site.wait(0.1)
    first = dict(site.memory.journal)
    site.answer(failure("refused"))
    between = dict(site.memory.journal)
    site.wait(3)
    again = dict(site.memory.journal)
    while site.orders:
        site.answer(failure("refused"))
        site.wait(5)

    assert len(first) == 1
    assert first == between == again
    assert site.told()[-1] == ("failed", "bridge_unreachable")
    assert site.memory.journal == {}


def after_a_crash(site: Site) -> Site:
    """A new process with the state file of the old one, ten seconds later."""
    return Site.at_work(memory=site.memory, started=site.hand.now + 10)


def test_after_a_crash_a_sent_command_ends_unconfirmed_restarted_and_is_not_sent_again() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1"}, response_topic="me/answers", correlation=b"c")
    site.wait(0.1)
    heir = after_a_crash(site)
    heir.wait(60)
    heir.reconnect()
    heir.wait(60)
    (result,) = heir.results()
    answers = [p for p in only(heir.effects, Publish) if p.topic == "me/answers"]

    assert (result["status"], result["reason"], result["transaction"]) == ("unconfirmed", "restarted", "a1")
    assert result["may_have_acted"] is True
    assert [(p.correlation, json.loads(p.payload)) for p in answers] == [(b"c", result)]
    assert heir.sent == []


def test_what_waited_and_what_closes_end_once_after_a_crash_and_move_nothing() -> None:
    site = Site.at_work(CONFIG + "commands: {overlap: queue}\n")
    site.set({"action": "lock", "transaction": "under way"})
    site.set({"action": "unlock", "transaction": "waits"})
    site.wait(0.1)
    sent = list(site.sent)
    heir = after_a_crash(site)
    heir.wait(60)
    heir.reconnect()
    heir.wait(60)

    assert sent == [(LOCK, 2)]
    assert [(r["transaction"], r["status"], r["reason"]) for r in heir.results()] == [
        ("under way", "unconfirmed", "restarted"),
        ("waits", "unconfirmed", "restarted"),
    ]
    assert heir.sent == []
    assert [entry.key for entry in heir.memory.journal.values()] == ['"waits"']


def test_what_closes_may_be_given_again_after_a_crash() -> None:
    site = Site.at_work()
    site.set({"action": "lock", "transaction": "a1"})
    site.wait(0.1)
    heir = after_a_crash(site)
    heir.set({"action": "lock", "transaction": "a1"})
    heir.wait(0.1)

    assert heir.told() == [("unconfirmed", "restarted"), ("accepted", None)]
    assert heir.sent == [(LOCK, 2)]


# --- a disk that takes its time ---


def order_of(effects: list[Effect]) -> list[str]:
    """The kinds of effects and the topics, in their order."""
    shown = [effect for effect in effects if isinstance(effect, Publish | Remember | CallBridge)]
    return [effect.topic if isinstance(effect, Publish) else type(effect).__name__ for effect in shown]


def test_accepted_waits_for_the_state_file_and_the_order_for_accepted() -> None:
    site = Site.at_work()
    effects = site.hand.tell(MqttReceived(SET, b"unlock"))

    assert order_of(effects) == ["Remember", RESULT, "CallBridge"]


def test_states_and_events_do_not_wait_for_the_state_file_and_the_end_does() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.wait(0.1)
    site.answer(YES)
    effects = site.hand.tell(CallbackReceived(LINK, called(UNLOCKED)))

    assert order_of(effects) == ["nuki2mqtt/front_door", "nuki2mqtt/front_door/event", "Remember", RESULT]


def test_a_failure_does_not_wait_for_the_state_file_and_its_result_does() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.wait(0.1)
    order = site.orders.pop()
    effects = site.hand.tell(BridgeAnswered(order.link, order.call_id, NO))

    assert order_of(effects) == ["nuki2mqtt/front_door/event", "Remember", RESULT]


def test_what_is_announced_is_remembered_before() -> None:
    hand = Hand.with_config()
    effects = hand.own_base()
    effects += hand.follow(*BOTH, asked=effects)
    saved = [index for index, effect in enumerate(effects) if isinstance(effect, Remember)]
    said = [p for p in only(effects, Publish) if p.topic.startswith("homeassistant/")]
    first = {p.topic: effects.index(p) for p in reversed(said)}
    known = [remember.memory.announced for remember in only(effects, Remember)]

    assert len(first) == 4
    for topic, at in first.items():
        assert any(topic in announced for index, announced in zip(saved, known, strict=True) if index < at)


# --- an end that the broker may not have ---


def test_an_end_stands_in_the_state_file_before_it_is_said() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1"}, response_topic="me/answers", correlation=b"c")
    site.wait(0.1)
    site.effects.clear()
    site.answer(NO)
    said = [p for p in only(site.effects, Publish) if p.topic in {RESULT, "me/answers"}]
    saved = next(effect for effect in site.effects if isinstance(effect, Remember))
    (entry,) = saved.memory.journal.values()

    assert [entry.end] * 2 == [p.payload.decode() for p in said]
    assert (entry.may_have_acted, entry.is_ended) == (False, False)
    assert site.effects.index(saved) < site.effects.index(said[0])


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(("answer", "end"), [(NO, ("failed", "bridge_said_no")), (YES, ("confirmed", "transition"))])
def test_an_end_without_an_acknowledgement_is_said_again_verbatim_after_a_crash(
    protocol: str, answer: ActionAnswer, end: tuple[str, str]
) -> None:
    site = Site.at_work(protocol=protocol)
    fields: dict[str, Any] = {"response_topic": "me/answers", "correlation": b"c"} if protocol == "5" else {}
    site.set({"action": "unlock", "transaction": "a1", "ts": wall(site.hand.now).isoformat()}, **fields)
    site.wait(0.1)
    site.has_broker = False  # it says what comes now, and we do not hear of it
    order = site.orders.pop()
    site.take(site.hand.tell(BridgeAnswered(order.link, order.call_id, answer)))
    if answer is YES:
        site.take(site.hand.tell(CallbackReceived(LINK, called(state(2)))))
        site.take(site.hand.tell(CallbackReceived(LINK, called(UNLOCKED))))
    heir = Site.at_work(memory=site.memory, started=site.hand.now + 10, protocol=protocol)
    heir.reconnect(protocol)
    heir.wait(60)
    effects = [*site.effects, *heir.effects]
    answers = [(p.correlation, p.payload) for p in only(effects, Publish) if p.topic == "me/answers"]

    assert (site.told()[-1], heir.told()) == (end, [end])
    assert heir.results() == site.results()[-1:]
    assert len(set(answers[1:])) == (1 if protocol == "5" else 0)
    assert heir.sent == []


@pytest.mark.parametrize("has_ended", [False, True])
def test_after_a_restart_the_repeat_of_an_opening_command_is_refused(*, has_ended: bool) -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1"})
    site.wait(0.1)
    if has_ended:
        site.answer(YES)
        site.call_back(UNLOCKED)
    heir = after_a_crash(site)
    heir.set({"action": "unlock", "transaction": "a1"})

    assert (heir.told()[-1], heir.sent) == (("refused", "duplicate"), [])


def test_after_a_restart_the_repeat_of_a_joined_opening_command_is_refused() -> None:
    """A command that was joined was accepted, and has acted by the other one's order."""
    site = Site.at_work()
    site.set("unlock")
    site.set({"action": "unlock", "transaction": "b"})
    site.wait(0.1)
    site.answer(YES)
    site.call_back(UNLOCKED)
    heir = after_a_crash(site)
    heir.set({"action": "unlock", "transaction": "b"})
    heir.wait(1)

    assert site.told()[1:] == [("accepted", "joined"), ("confirmed", "target"), ("confirmed", "target")]
    assert (heir.told()[-1:], heir.sent) == ([("refused", "duplicate")], [])


def test_after_a_crash_a_joined_opening_command_has_its_end_too() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a"})
    site.set({"action": "unlock", "transaction": "b"})
    site.wait(0.1)
    heir = after_a_crash(site)

    assert sorted((r["transaction"], r["status"], r["reason"]) for r in heir.results()) == [
        ("a", "unconfirmed", "restarted"),
        ("b", "unconfirmed", "restarted"),
    ]


def test_what_did_not_act_may_be_given_again_after_a_restart() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1"})
    site.wait(0.1)
    site.answer(NO)
    heir = after_a_crash(site)
    heir.set({"action": "unlock", "transaction": "a1"})
    heir.wait(0.1)

    assert (heir.told(), heir.sent) == ([("accepted", None)], [(LOCK, 1)])


def test_a_response_topic_in_the_state_file_is_asked_again() -> None:
    topic = "nuki2mqtt/gate/set"
    entry = JournalEntry(device=LOCK, action=Action.UNLOCK, accepted=wall(-9), response_topic=topic)
    site = Site.at_work(memory=Memory(journal={"1": entry}))

    # The device is known by its ID only before its Bridge has listed it.
    assert site.told("1A2B3C4D") + site.told() == [("unconfirmed", "restarted")]
    assert [p for p in only(site.effects, Publish) if p.topic == topic] == []


def test_when_another_gateway_took_the_base_what_was_sent_is_left_open() -> None:
    site = Site.at_work()
    site.set({"action": "unlock", "transaction": "a1"})
    site.wait(0.1)
    claim = json.dumps({"instance": "0000ffff", "started": wall(-500).isoformat()}).encode()
    site.receive("nuki2mqtt/gateway/info", claim)
    site.reconnect()
    site.answer(YES)
    site.set("unlock")
    silent = site.told()
    site.receive("nuki2mqtt/gateway/state", b"offline")
    site.wait(200)
    site.reconnect()
    site.wait(1)

    assert silent == [("accepted", None)]
    assert site.told() == [("accepted", None), ("unconfirmed", "restarted")]
    assert len(site.sent) == 1
    site.wait(3)
    site.set("unlatch")
    assert site.told()[2:] == [("accepted", None)]


# --- a device that goes ---


def test_a_device_that_is_removed_while_a_command_waits_for_it_does_not_break_the_gateway() -> None:
    """It was remembered, and no Bridge lists it: it may be removed at any time."""
    memory = Memory(devices={LOCK: DeviceMemory("front_door", "Front door", 4)}, retired_topics={"front_door": LOCK})
    site = Site.at_work(memory=memory, reports=(BOTH[1],))
    site.set("unlock")
    site.request("device_remove", "front_door")
    site.wait(30)

    assert (next(status for status, _ in site.told()), len(site.told())) == ("accepted", 2)


@pytest.mark.parametrize("way", ["set", "get"])
def test_a_device_that_is_removed_after_its_bridge_lost_it_does_not_break_the_gateway(way: str) -> None:
    """It was listed once and is not any more, so that it may be removed while somebody asks for it."""
    site = Site.at_work()
    site.lists = dict.fromkeys(site.lists, (BOTH[1],))
    site.wait(40)
    site.receive(f"nuki2mqtt/front_door/{way}", {"force": True} if way == "get" else "unlock")
    site.request("device_remove", "front_door")
    if site.orders:
        site.answer(YES)
    if site.reads:
        site.answer_read(LOCKED)
    site.wait(200)
    statuses = [status for status, _ in site.told()]

    assert statuses[:1] in (["accepted"], ["refused"])
    assert len(statuses) == (2 if statuses[0] == "accepted" else 1)
    assert "nuki2mqtt/gateway/response/device_remove" in [publish.topic for publish in only(site.effects, Publish)]


# --- the stop ---


def test_a_stop_ends_what_is_under_way_and_takes_no_more() -> None:
    site = Site.at_work(CONFIG + "commands: {overlap: queue}\n")
    site.set({"action": "unlock", "transaction": "a"})
    site.set({"action": "lock", "transaction": "b"})
    site.set({"action": "lock", "transaction": "c"})
    site.wait(0.1)
    site.stop()
    site.set({"action": "unlock", "transaction": "d"})
    ends = {result["transaction"]: (result["status"], result["reason"]) for result in site.results()}

    assert ends == {
        "a": ("unconfirmed", "restarted"),
        "b": ("expired", "restarted"),
        "c": ("expired", "restarted"),
        "d": ("refused", "starting"),
    }
    assert site.sent == [(LOCK, 1)]


def test_an_end_is_a_line_in_the_log() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.wait(0.1)
    site.answer(NO)
    texts = [log.text for log in only(site.effects, Log) if log.text.startswith("Command ")]

    assert texts == [
        "Command unlock for front_door: accepted.",
        "Command unlock for front_door: failed (bridge_said_no) after 0.1 s; state locked.",
    ]
