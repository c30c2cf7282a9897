"""`gateway/request/<verb>`: each gets one answer; what needs a Bridge waits in its queue, a minute at most."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from nuki2mqtt.errors import BridgeError
from nuki2mqtt.gateway.requests import MOST_REQUESTS, PATIENCE_S, VERBS
from nuki2mqtt.gateway.vocabulary import CallBridge, Effect, MqttReceived, Publish, SetLogLevel
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    CallbackListAnswer,
    CallbackRemoveRequest,
    EmptyAnswer,
    LogAnswer,
    LogEntry,
    LogRequest,
    RebootRequest,
    SuccessAnswer,
)
from tests.gateway.builders import BRIDGE_ID, CONFIG, LINK, LOCK, OTHER_LINK, logged, only, wall
from tests.gateway.site import BOTH, Site, failure

TWO = CONFIG + "  - {host: 192.0.2.11, token: abcdef}\n"
SLOTS = (CallbackSlot(0, "http://192.0.2.99/x"), CallbackSlot(1, "http://192.0.2.5/callback/1234abcd/5ecret"))


@dataclass
class Desk(Site):
    """`answers` is what Bridges say to what people ask, by the request's name; None keeps them waiting."""

    answers: dict[str, Answer | BridgeError | None] = field(default_factory=dict)
    waiting: list[CallBridge] = field(default_factory=list)

    def _call(self, call: CallBridge) -> list[Effect]:
        name = type(call.request).__name__.removesuffix("Request")
        if name in self.answers:
            answer = self.answers[name]
            if answer is None:
                self.waiting.append(call)
                return []
            return self.hand.answer(call, answer)
        return super()._call(call)

    def ask(self, verb: str, payload: object = "x", **fields: Any) -> list[dict[str, Any]]:
        """Make a request and give it two seconds; all answers so far."""
        self.request(verb, payload, **fields)
        self.wait(2)
        return self.answered(verb)

    def answered(self, verb: str) -> list[dict[str, Any]]:
        topic = f"nuki2mqtt/gateway/response/{verb}"
        return [json.loads(publish.payload) for publish in only(self.effects, Publish) if publish.topic == topic]

    def error(self, verb: str, payload: object = "x", **fields: Any) -> str:
        (answer,) = self.ask(verb, payload, **fields)
        assert (answer["status"], answer["data"]) == ("error", {})
        return str(answer["error"])

    def data(self, verb: str, payload: object = "x", **fields: Any) -> Any:
        (answer,) = self.ask(verb, payload, **fields)
        assert answer["status"] == "ok"
        assert "error" not in answer
        return answer["data"]

    @property
    def requests(self) -> list[object]:
        return [call.request for call in only(self.effects, CallBridge)]


def about(link: str = LINK, bridge_id: NukiId = BRIDGE_ID) -> dict[str, str]:
    return {"id": str(bridge_id), "address": link}


# --- every request ---


@pytest.mark.parametrize("verb", [*VERBS, "fly", "SET"])
@pytest.mark.parametrize("payload", ["x", "{}", {"transaction": {"a": [1]}}, b"\xff", "[1]"])
def test_every_request_gets_exactly_one_answer(verb: str, payload: Any) -> None:
    desk = Desk.at_work()
    desk.answers = {"Log": LogAnswer(()), "Reboot": EmptyAnswer()}
    desk.ask(verb, payload)
    desk.wait(70)
    (answer,) = desk.answered(verb)

    assert answer["status"] in {"ok", "error"}
    assert answer["transaction"] == (payload["transaction"] if isinstance(payload, dict) else None)


def test_an_unknown_request_is_told_the_known_ones() -> None:
    error = Desk.at_work().error("fly")

    assert [verb for verb in VERBS if verb not in error] == []


def test_no_verb_destroys_anything() -> None:
    forbidden = {"factory_reset", "unpair", "fwupdate", "firmware_update", "clear_log", "lock", "unlock", "lock_action"}

    assert set(VERBS) & forbidden == set()


def test_a_retained_request_is_refused_and_cleared() -> None:
    desk = Desk.at_work()
    error = desk.error("bridge_reboot", retained=True)
    cleared = [p for p in only(desk.effects, Publish) if p.topic == "nuki2mqtt/gateway/request/bridge_reboot"]

    assert "retained" in error
    assert [(publish.payload, publish.retain) for publish in cleared] == [(b"", True)]
    assert RebootRequest() not in desk.requests


def test_with_3_1_1_each_request_is_cleared() -> None:
    desk = Desk.at_work(protocol="3.1.1")
    desk.ask("refresh")
    topic = "nuki2mqtt/gateway/request/refresh"

    assert [p.payload for p in only(desk.effects, Publish) if p.topic == topic and p.retain] == [b""]
    assert desk.answered("refresh")[0]["status"] == "ok"


def test_the_answer_goes_to_the_response_topic_too() -> None:
    desk = Desk.at_work()
    desk.ask("refresh", {"transaction": 7}, response_topic="me/answers", correlation=b"c")
    said = [p for p in only(desk.effects, Publish) if p.topic == "me/answers"]

    assert [(p.correlation, p.retain, json.loads(p.payload)) for p in said] == [
        (b"c", False, desk.answered("refresh")[0])
    ]


@pytest.mark.parametrize("verb", ["callback_remove", "bridge_reboot", "device_remove"])
def test_what_changes_something_is_not_done_while_starting(verb: str) -> None:
    desk = Desk.at_work()
    desk.reconnect()

    assert "starting" in desk.error(verb)


def test_reading_is_done_while_starting() -> None:
    desk = Desk.at_work()
    desk.reconnect()

    assert desk.data("refresh")


def test_nothing_is_answered_while_another_gateway_owns_the_base() -> None:
    desk = Desk.at_work()
    claim = json.dumps({"instance": "0000ffff", "started": wall(-500).isoformat()}).encode()
    desk.take(desk.hand.tell(MqttReceived("nuki2mqtt/gateway/info", claim)))
    desk.reconnect()

    assert desk.ask("diagnostics") == []


def test_nobody_waits_longer_than_a_minute() -> None:
    desk = Desk.at_work()
    desk.answers = {"Log": None}
    desk.request("bridge_log")
    desk.wait(PATIENCE_S - 0.1)
    before = desk.answered("bridge_log")
    desk.wait(0.2)

    assert (PATIENCE_S, before) == (60, [])
    assert "does not answer" in desk.answered("bridge_log")[0]["error"]
    desk.answers = {}
    (call,) = desk.waiting
    desk.take(desk.hand.answer(call, LogAnswer(())))
    assert len(desk.answered("bridge_log")) == 1


def test_at_most_fifty_wait() -> None:
    desk = Desk.at_work()
    desk.answers = {"List": None}
    for _ in range(MOST_REQUESTS + 1):
        desk.request("refresh")

    assert MOST_REQUESTS == 50
    assert [answer["error"] for answer in desk.answered("refresh")] == ["busy: too many requests wait"]


def test_a_bridge_s_own_queue_is_bounded() -> None:
    desk = Desk.at_work()
    desk.answers = {"Log": None}
    for _ in range(20):
        desk.request("bridge_log")
    errors = {answer["error"] for answer in desk.answered("bridge_log")}

    assert errors == {"busy: too many requests wait for this Bridge"}


# --- which Bridge ---


@pytest.mark.parametrize("name", ["0A1B2C3D", "0a1b2c3d", LINK])
def test_a_bridge_is_named_by_its_id_or_its_address(name: str) -> None:
    desk = Desk.at_work(TWO)

    assert desk.data("refresh", {"bridge": name}) == {"bridges": [about() | {"devices": 2}]}


@pytest.mark.parametrize("name", ["0BADBAD0", "192.0.2.10", 7, "none"])
def test_an_unknown_bridge_is_said_so(name: object) -> None:
    assert "must be the ID or the address" in Desk.at_work(TWO).error("refresh", {"bridge": name})


@pytest.mark.parametrize("verb", ["bridge_log", "bridge_reboot", "callback_remove"])
def test_with_two_bridges_it_must_be_said_which(verb: str) -> None:
    assert "several Bridges" in Desk.at_work(TWO).error(verb, {"id": 0, "url": "x"})


def test_without_a_bridge_that_can_be_asked_it_is_said_so() -> None:
    desk = Desk.at_work("version: 1\nbridges:\n  - {host: 192.0.2.10}\n")

    assert "no Bridge can be asked" in desk.error("refresh")


def test_one_bridge_that_fails_does_not_make_the_request_fail() -> None:
    desk = Desk.at_work(TWO)
    desk.lists[OTHER_LINK] = failure("timeout")
    first, second = desk.data("refresh")["bridges"]

    assert (first["devices"], second["error"]) == (2, "no readable answer")


def test_where_none_did_it_the_request_fails() -> None:
    desk = Desk.at_work()
    desk.lists[LINK] = failure("timeout")

    assert desk.error("refresh") == "no readable answer"


# --- the verbs ---


def test_refresh_asks_the_list_at_once() -> None:
    desk = Desk.at_work()
    start = desk.hand.now
    desk.request("refresh")

    assert desk.times("List", start) == [0]
    assert desk.answered("refresh")[0]["data"] == {"bridges": [about() | {"devices": 2}]}


def test_callbacks_are_shown_without_what_is_secret_in_them() -> None:
    desk = Desk.at_work()
    desk.answers = {"CallbackList": CallbackListAnswer(SLOTS)}
    (bridge,) = desk.data("callbacks")["bridges"]

    assert [slot["id"] for slot in bridge["callbacks"]] == [0, 1]
    assert "5ecret" not in json.dumps(bridge)


def test_a_callback_is_removed_only_if_it_is_what_the_person_saw() -> None:
    desk = Desk.at_work()
    desk.answers = {"CallbackList": CallbackListAnswer(SLOTS), "CallbackRemove": SuccessAnswer(success=True)}
    error = desk.error("callback_remove", {"id": 0, "url": "http://192.0.2.98/other"})

    assert "does not hold this url" in error
    assert [request for request in desk.requests if isinstance(request, CallbackRemoveRequest)] == []
    desk.ask("callback_remove", {"id": 0, "url": "http://192.0.2.99/x"})
    assert [request for request in desk.requests if isinstance(request, CallbackRemoveRequest)] == [
        CallbackRemoveRequest(0)
    ]
    assert desk.answered("callback_remove")[-1]["status"] == "ok"


def test_a_no_to_a_removal_is_told() -> None:
    desk = Desk.at_work()
    no = SuccessAnswer(success=False, message="nope")
    desk.answers = {"CallbackList": CallbackListAnswer(SLOTS), "CallbackRemove": no}

    assert desk.error("callback_remove", {"id": 0, "url": "http://192.0.2.99/x"}) == "the Bridge said no: nope"


def test_a_no_is_told_without_the_token_that_the_bridge_repeats() -> None:
    desk = Desk.at_work()
    no = SuccessAnswer(success=False, message="abcdef is not valid")
    desk.answers = {"CallbackList": CallbackListAnswer(SLOTS), "CallbackRemove": no}

    error = desk.error("callback_remove", {"id": 0, "url": "http://192.0.2.99/x"})
    assert error == "the Bridge said no: *** is not valid"


@pytest.mark.parametrize("values", [{}, {"id": 0}, {"url": "x"}, {"id": "0", "url": "x"}, {"id": True, "url": "x"}])
def test_a_removal_needs_a_number_and_a_url(values: dict[str, Any]) -> None:
    assert '"id" (a number) and "url"' in Desk.at_work().error("callback_remove", values)


def test_the_bridge_s_log_hides_what_is_secret() -> None:
    desk = Desk.at_work()
    entry = LogEntry(wall(0), "HTTP-GET", LOCK, (("Url", "http://secret"), ("count", "3")))
    desk.answers = {"Log": LogAnswer((entry,) * 5)}
    (bridge,) = desk.data("bridge_log", {"offset": 2, "count": 3})["bridges"]
    shown = {"at": "2026-11-22T12:00:00Z", "type": "HTTP-GET", "id": "1A2B3C4D", "Url": "***", "count": "3"}

    assert bridge["log"] == [shown] * 3
    assert LogRequest(2, 3) in desk.requests


@pytest.mark.parametrize(
    "values", [{"offset": -1}, {"count": 0}, {"count": 201}, {"count": "3"}, {"offset": 1.5}, {"count": True}]
)
def test_the_log_s_bounds(values: dict[str, Any]) -> None:
    assert "1 to 200" in Desk.at_work().error("bridge_log", values)


def test_a_reboot_is_sent_once() -> None:
    desk = Desk.at_work()
    desk.answers = {"Reboot": EmptyAnswer()}

    assert desk.data("bridge_reboot", {"bridge": LINK}) == {"bridges": [about()]}
    desk.wait(600)
    assert desk.requests.count(RebootRequest()) == 1


@pytest.mark.parametrize("payload", ["x", "now", "0BADB01D"])
def test_a_word_that_does_not_name_the_bridge_reboots_nothing(payload: str) -> None:
    desk = Desk.at_work()

    assert "say which Bridge" in desk.error("bridge_reboot", payload)
    assert RebootRequest() not in desk.requests


@pytest.mark.parametrize("kind", ["timeout", "busy", "refused"])
def test_what_a_person_asked_is_not_asked_again_when_it_fails(kind: str) -> None:
    desk = Desk.at_work()
    desk.answers = {"Reboot": failure(kind)}

    assert "gave no answer" in desk.error("bridge_reboot", {"bridge": LINK})
    desk.wait(600)
    assert desk.requests.count(RebootRequest()) == 1


@pytest.mark.parametrize("payload", ["debug", "DEBUG", {"level": "debug"}])
def test_the_log_level(payload: Any) -> None:
    desk = Desk.at_work()

    assert desk.data("log_level", payload) == {"level": "debug"}
    assert [effect.level for effect in only(desk.effects, SetLogLevel)] == ["debug"]
    assert [text for text in logged(desk.effects, "warning") if "log level is debug" in text]


@pytest.mark.parametrize("payload", ["loud", "{}", {"level": 3}])
def test_another_level_is_refused(payload: Any) -> None:
    desk = Desk.at_work()

    assert "must be one of" in desk.error("log_level", payload)
    assert only(desk.effects, SetLogLevel) == []


def test_diagnostics_hold_no_secret() -> None:
    desk = Desk.at_work()
    data = desk.data("diagnostics")

    assert [device["topic"] for device in data["devices"]] == ["front_door", "gate"]
    assert (data["commands_under_way"], data["commands_remembered"]) == (0, 0)
    assert [secret for secret in ("abcdef", "5ecret") if secret in json.dumps(data)] == []


def test_diagnostics_count_commands() -> None:
    desk = Desk.at_work()
    desk.set({"action": "unlock", "transaction": "a"})
    desk.set("lock")
    data = desk.data("diagnostics")

    assert (data["commands_under_way"], data["commands_remembered"]) == (2, 2)


def test_a_device_that_a_bridge_lists_is_not_removed() -> None:
    error = Desk.at_work().error("device_remove", "front_door")

    assert "still lists 1A2B3C4D" in error


@pytest.mark.parametrize("payload", ["front_door", "1A2B3C4D", {"device": "front_door"}])
def test_a_device_that_is_gone_is_removed_from_everything(payload: Any) -> None:
    desk = Desk.at_work()
    desk.lists[LINK] = (BOTH[1],)
    desk.wait(40)
    desk.effects.clear()

    assert desk.data("device_remove", payload) == {"id": "1A2B3C4D"}
    cleared = {p.topic for p in only(desk.effects, Publish) if p.payload == b"" and p.retain}
    assert cleared >= {"nuki2mqtt/front_door", "nuki2mqtt/front_door/availability"}
    assert LOCK not in desk.memory.devices
    desk.set("unlock")
    assert desk.told() == [("refused", "unknown_device")]


@pytest.mark.parametrize("payload", ["nobody", "{}", {"device": 3}])
def test_an_unknown_device_is_not_removed(payload: Any) -> None:
    assert "known device" in Desk.at_work().error("device_remove", payload)


def test_orders_overtake_what_people_ask() -> None:
    desk = Desk.at_work()
    desk.set("open", "gate")
    desk.request("bridge_log")
    desk.request("callbacks")
    desk.set("lock")
    desk.answers = {"Log": LogAnswer(())}
    start = desk.hand.now
    desk.answer(failure("token_refused"))
    desk.wait(3)

    assert desk.asked[-1][1] == "LockAction"
    assert desk.times("LockAction", start)[-1] == 0.5
