"""Whatever comes in whichever order: one actuation per opening command, one end per command.

A real `Gateway` gets up to six commands, six answers to its orders, reports, pauses and troubles, in any order. Every
command names a response topic of its own, by which its results, and its entry in the journal, are known.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.errors import BridgeError
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    CallBridge,
    Effect,
    JournalEntry,
    MqttLost,
    MqttPublished,
    MqttReceived,
    Publish,
    Remember,
    Stop,
    StopRequested,
)
from nuki2mqtt.model.action import LOCK_ACTIONS, OPENER_ACTIONS, Action, ActionFacts
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import Answer, LockActionRequest, LockStateAnswer, LockStateRequest
from tests.gateway.builders import LINK, LOCK, OPENER, OTHER_LINK, state, wall
from tests.gateway.site import NO, YES, Site, failure

TTL_S = 10.0
REPEATED_WITHIN_S = 60.0
MOST_OF_EACH = 6
SETTLED_AFTER_MIN = 10  # far more than any command may take
TIMEOUT = "timeout"
UNWRITTEN = frozenset({"refused", "token_refused", "not_paired"})
ANSWERS: dict[str, Answer | BridgeError] = {
    "success": YES,
    "denied": NO,
    **{
        kind: failure(kind)
        for kind in (
            "refused",
            "token_refused",
            "not_paired",
            "busy",
            "timeout",
            "reset",
            "device_offline",
            "unreadable",
        )
    },
}
LOOK_S = 3.0  # a direct read that is answered takes as long
TIMEOUTS_S = {LockActionRequest: 60.0, LockStateRequest: 30.0}
CODES = {LOCK: (1, 2, 3, 4, 5, 6, 7, 254), OPENER: (1, 3, 5, 7)}
LEVELS = {LOCK: "front_door", OPENER: "gate"}
ENDS = {"confirmed", "failed", "unconfirmed", "expired", "refused"}
CONFIGS = [
    "version: 1\nbridges:\n"
    + "".join(f"  - {{host: {link.partition(':')[0]}, token: abcdef}}\n" for link in links)
    + f"commands: {{overlap: {overlap}}}\n"
    + "homeassistant: {enabled: false}\n"
    for overlap in ("reject", "queue")
    for links in ((LINK,), (LINK, OTHER_LINK))
]


def facts_of(nuki_id: NukiId) -> dict[Action, ActionFacts]:
    return OPENER_ACTIONS if nuki_id == OPENER else LOCK_ACTIONS


@dataclass(eq=False)
class Given:
    """One command as it was given, and what became of it. Times are monotonic seconds."""

    number: int
    nuki_id: NukiId
    action: Action
    key: str | None
    received: float
    deadline: float
    results: list[dict[str, Any]] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)  # how each of them was answered, "" until then
    link: str = ""  # where the last one went

    @property
    def facts(self) -> ActionFacts:
        return facts_of(self.nuki_id)[self.action]

    @property
    def statuses(self) -> list[str]:
        return [result["status"] for result in self.results]

    @property
    def end(self) -> dict[str, Any] | None:
        return self.results[-1] if self.results and self.results[-1]["status"] in ENDS else None

    @property
    def has_lane(self) -> bool:
        """Whether it may be on the wire now: accepted in its own right, and not ended."""
        return self.statuses == ["accepted"] and self.results[0]["reason"] != "joined"

    @property
    def written(self) -> int:
        return sum(answer not in UNWRITTEN for answer in self.orders)


@dataclass
class Watched(Site):
    """A gateway whose every effect is checked as it comes."""

    commands: list[Given] = field(default_factory=list)
    under_way: dict[str, tuple[CallBridge, float, Given | None]] = field(default_factory=dict)
    journal: list[JournalEntry] = field(default_factory=list)
    look: str | int | None = TIMEOUT  # what a direct read comes to, if no step answers it before
    is_over: bool = False
    has_stopped: bool = False

    # --- What is given ------------------------------------------------------------------------------------------

    def command(self, nuki_id: NukiId, action: Action, key: str | None, ttl_s: float | None) -> None:
        number, now = len(self.commands), self.hand.monotonic
        body: dict[str, Any] = {"action": action}
        if key == "ts":
            body["ts"] = wall(self.hand.now - 1).isoformat()
        elif key is not None:
            body["transaction"] = key
        if ttl_s is not None:
            body["ttl_s"] = ttl_s
        patience_s = (ttl_s or TTL_S) - (1 if key == "ts" else 0)
        new = Given(number, nuki_id, action, body.get("ts", key), now, now + patience_s)
        self.commands.append(new)
        self.set(body, LEVELS[nuki_id], response_topic=f"answers/{number}", received=now)

    def answer_order(self, kind: str) -> None:
        for link, (call, _, command) in self.under_way.items():
            if isinstance(call.request, LockActionRequest):
                assert command is not None
                command.orders[-1] = kind
                self._answer(link, ANSWERS[kind])
                return

    def answer_look(self, code: int | None) -> None:
        for link, (call, _, _) in self.under_way.items():
            if isinstance(call.request, LockStateRequest):
                self._answer(link, LockStateAnswer(code is not None, None if code is None else state(code, 2)))
                return

    def _answer(self, link: str, answer: Answer | BridgeError) -> None:
        call, _, _ = self.under_way.pop(link)
        self.take(self.hand.tell(BridgeAnswered(link, call.call_id, answer)))

    def report(self, way: str, nuki_id: NukiId, code: int) -> None:
        said = state(code, 3 if code == 5 else 2, mode=3 if code == 3 and nuki_id == OPENER else 2)
        if way == "callback":
            self.call_back(said, nuki_id)
        else:
            self.list_says(said, self.hand.now - (0 if way == "entry" else 20), nuki_id)

    def stop(self) -> None:
        self.is_over = True
        self.take(self.hand.tell(StopRequested()))

    def yield_base(self) -> None:
        """Another gateway that was there before us speaks up."""
        self.is_over = True
        claim = json.dumps({"instance": "0000ffff", "started": wall(-500).isoformat()}).encode()
        self.take(self.hand.tell(MqttReceived("nuki2mqtt/gateway/info", claim)))
        self.take(self.hand.tell(MqttLost("reconnecting")))

    # --- What comes of it ---------------------------------------------------------------------------------------

    def take(self, effects: list[Effect]) -> None:
        """Look at effects in their order, then let broker and Bridges answer them, and so on."""
        batches = [effects]
        for _ in range(10_000):
            if not batches:
                return
            batch = batches.pop(0)
            for effect in batch:
                self._see(effect)
            for effect in batch:
                if isinstance(effect, Publish) and self.has_broker:
                    batches.append(self.hand.tell(MqttPublished(effect.message_id)))
                elif isinstance(effect, CallBridge) and type(effect.request) not in TIMEOUTS_S:
                    del self.under_way[effect.link]
                    batches.append(self.hand.tell(BridgeAnswered(effect.link, effect.call_id, self._usual(effect))))
        raise AssertionError("the effects do not come to an end")

    def _see(self, effect: Effect) -> None:
        match effect:
            case Remember(memory):
                self.journal = list(memory.journal.values())
            case Publish(topic=topic, payload=payload) if topic.startswith("answers/"):
                self._told(self.commands[int(topic.removeprefix("answers/"))], json.loads(payload))
            case CallBridge(link):
                assert link not in self.under_way, "one request at a time"
                request = effect.request
                command = self._ordered(link, request) if isinstance(request, LockActionRequest) else None
                self.under_way[link] = (effect, self.hand.monotonic, command)
            case Stop():
                self.has_stopped = True
            case _:
                pass

    def _told(self, command: Given, result: dict[str, Any]) -> None:
        before = command.statuses
        status, reason = result["status"], result["reason"]
        if not before:
            assert status in {"accepted", "refused"}
        else:
            assert before == ["accepted"], "nothing comes after an end"
            assert status in ENDS
            assert status != "refused" or reason == "superseded"
        assert (status == "confirmed") == (result["evidence"] is not None)
        command.results.append(result)

    def _ordered(self, link: str, request: LockActionRequest) -> Given:
        assert not self.is_over, "nothing is sent after the end"
        wanted = (request.nuki_id, request.code)
        candidates = [c for c in self.commands if c.has_lane and (c.nuki_id, c.facts.code) == wanted]
        assert candidates, "no order without an accepted command"
        command = candidates[0]
        others = (ordered for _, _, ordered in self.under_way.values() if ordered is not None)
        assert command.nuki_id not in {other.nuki_id for other in others}, "one order per device"
        latest = command.received + REPEATED_WITHIN_S if command.written else command.deadline
        assert self.hand.monotonic <= latest, "no order after its time"
        assert not command.written or link == command.link, "never to the second Bridge after a byte"
        assert command.written < (1 if command.facts.opens else 4), "not once more"
        if command.facts.opens:
            entries = [entry for entry in self.journal if entry.response_topic == f"answers/{command.number}"]
            assert [(entry.device, entry.action, entry.is_ended) for entry in entries] == [
                (command.nuki_id, command.action, False)
            ], "the journal is written before the order is sent"
        command.orders.append("")
        command.link = link
        return command

    # --- Time ---------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        end = self.hand.monotonic + seconds
        for _ in range(100_000):
            timeout, link = min(self._timeouts(), default=(end + 1, ""))
            deadline = self.hand.gateway.next_deadline()
            until = min(timeout, end + 1 if deadline is None else deadline)
            if until > end or self.has_stopped:
                self.hand.monotonic = end
                return
            self.hand.monotonic = max(self.hand.monotonic, until)
            if timeout <= self.hand.monotonic:
                self._give_up(link)
            else:
                self.take(self.hand.gateway.handle_timer(self.hand.moment))
        raise AssertionError("the timers do not come to rest")

    def _timeouts(self) -> Iterator[tuple[float, str]]:
        for link, (call, sent, _) in self.under_way.items():
            is_look = isinstance(call.request, LockStateRequest)
            yield sent + (LOOK_S if is_look and self.look != TIMEOUT else TIMEOUTS_S[type(call.request)]), link

    def _give_up(self, link: str) -> None:
        call, _, command = self.under_way[link]
        if isinstance(call.request, LockStateRequest) and not isinstance(self.look, str):
            self.answer_look(self.look)
        else:
            if command is not None:
                command.orders[-1] = TIMEOUT
            self._answer(link, failure(TIMEOUT))

    def settle(self) -> None:
        """Nothing fails any more, nobody says anything, time passes: every command has its end, and only that."""
        self.infos.clear()
        for _ in range(SETTLED_AFTER_MIN):
            self.wait(60)
            if all(command.end for command in self.commands):
                break
        self.wait(60)
        for command in self.commands:
            assert len(command.results) == (1 if command.statuses[0] == "refused" else 2), "one end each"
            assert command.end is not None
            if "success" in command.orders:
                assert command.end["may_have_acted"], "what the Bridge said yes to has acted"
            if command.end["status"] == "confirmed" and command.results[0]["reason"] != "joined":
                assert command.orders, "nothing is confirmed that was not sent"
        self._check_keys()

    def _check_keys(self) -> None:
        """Of all commands with one key only the last one may have acted."""
        groups = Counter((command.nuki_id, command.action, command.key) for command in self.commands if command.key)
        for group in groups:
            same = [c for c in self.commands if (c.nuki_id, c.action, c.key) == group and c.written]
            assert [command for command in same[:-1] if command.end and command.end["may_have_acted"]] == []


DEVICES = st.sampled_from([LOCK, LOCK, OPENER])
COMMAND = DEVICES.flatmap(
    lambda nuki_id: st.tuples(
        st.just("command"),
        st.just(nuki_id),
        # Equal ones are what joining and repeats are about.
        st.one_of(st.sampled_from(list(facts_of(nuki_id))), st.sampled_from(list(facts_of(nuki_id))[:2])),
        st.sampled_from([None, "k1", "k1", "ts"]),
        st.sampled_from([None, None, 3.0]),
    )
)
REPORT = DEVICES.flatmap(
    lambda nuki_id: st.tuples(
        st.just("report"),
        st.sampled_from(["callback", "entry", "old entry"]),
        st.just(nuki_id),
        st.sampled_from(CODES[nuki_id]),
    )
)
STEP = st.one_of(
    COMMAND,
    COMMAND,
    st.tuples(st.just("answer"), st.sampled_from(list(ANSWERS))),
    st.tuples(st.just("answer"), st.sampled_from(["success", "success", "refused", "busy"])),
    REPORT,
    st.tuples(st.just("look"), st.sampled_from([None, 1, 3])),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 1.0, 2.1, 4.1, 5.5, 11.0, 50.0])),
    st.tuples(st.just("trouble"), st.sampled_from([None, None, "refused", "busy", "reconnect"])),
)
LOOKS = st.sampled_from([TIMEOUT, None, 1, 3])


def carry_out(site: Watched, steps: list[tuple[Any, ...]]) -> None:
    counts = Counter[str]()
    for name, *values in steps:
        counts[name] += 1
        if counts[name] > MOST_OF_EACH and name != "wait":
            continue
        match name:
            case "command":
                site.command(*values)
            case "answer":
                site.answer_order(*values)
            case "report":
                site.report(*values)
            case "look":
                site.answer_look(*values)
            case "wait":
                site.wait(*values)
            case _ if values[0] == "reconnect":
                site.reconnect()
            case _:
                site.infos = {} if values[0] is None else {link: failure(values[0]) for link in site.lists}


STEPS = st.lists(STEP, min_size=4, max_size=28)


@pytest.mark.timeout(300)  # a failure takes its time to be made small
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CONFIGS), LOOKS, STEPS)
def test_every_command_acts_at_most_once_and_ends_once(
    config: str, look: str | int | None, steps: list[tuple[Any, ...]]
) -> None:
    site = Watched.at_work(config)
    site.look = look
    carry_out(site, steps)
    site.settle()


@pytest.mark.timeout(300)
@settings(max_examples=80, deadline=None)
@given(st.sampled_from(CONFIGS), STEPS)
def test_a_stop_ends_every_command_at_once_and_nothing_is_sent_after_it(
    config: str, steps: list[tuple[Any, ...]]
) -> None:
    site = Watched.at_work(config)
    carry_out(site, steps)
    site.stop()
    ended = [command.end is not None for command in site.commands]
    carry_out(site, steps)

    assert all(ended)
    assert all(command.end for command in site.commands)


@pytest.mark.timeout(300)
@settings(max_examples=80, deadline=None)
@given(st.sampled_from(CONFIGS), STEPS)
def test_after_the_base_went_to_another_nothing_is_sent_and_nothing_is_said(
    config: str, steps: list[tuple[Any, ...]]
) -> None:
    site = Watched.at_work(config)
    carry_out(site, steps)
    site.yield_base()
    before = [list(command.results) for command in site.commands]
    site.reconnect()
    site.wait(100)

    assert [command.results for command in site.commands] == before
    assert all(len(command.results) <= 2 for command in site.commands)
