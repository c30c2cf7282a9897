"""The broker comes and goes, what is remembered, and how a gateway stops."""

import json

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.vocabulary import (
    BridgeMemory,
    BridgePaired,
    CallbackDoorFailed,
    CallbackDoorOpened,
    CallBridge,
    Effect,
    Level,
    Log,
    MemoryNotSaved,
    MemorySaved,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttRefused,
    MqttSubscribed,
    Publish,
    Remember,
    Stop,
    StopRequested,
)
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import (
    CallbackAddRequest,
    CallbackListAnswer,
    CallbackListRequest,
    CallbackRemoveRequest,
    InfoRequest,
    ListAnswer,
    ListRequest,
    SuccessAnswer,
)
from nuki2mqtt.protocol.bridge_auth import AuthMode
from tests.gateway.builders import (
    LINK,
    LOCKED,
    TOKEN,
    UNLOCKED,
    Hand,
    called,
    entry,
    info,
    logged,
    only,
    said,
    topics,
)

STATE, INFO, HEALTH = "nuki2mqtt/gateway/state", "nuki2mqtt/gateway/info", "nuki2mqtt/gateway/health"
DEVICE, AVAILABILITY = "nuki2mqtt/front_door", "nuki2mqtt/front_door/availability"


def followed(hand: Hand | None = None) -> Hand:
    """Owns the base, has said everything, has the identity and the first list of its Bridge."""
    hand = hand or Hand.with_config()
    hand.follow(entry(LOCKED, -5), asked=hand.own_base())
    return hand


def asked(effects: list[Effect]) -> list[str]:
    return [type(call.request).__name__ for call in only(effects, CallBridge)]


# --- the broker comes and goes ---


def test_after_a_reconnection_everything_is_said_again_by_rank() -> None:
    hand = Hand.with_config()
    before = hand.own_base()
    before += hand.follow(entry(LOCKED, -5), asked=before)
    hand.tell(MqttLost("gone"))
    told = topics(hand.connect())
    discovery = [topic for topic in told if topic.startswith("homeassistant/")]

    assert told[:4] == [INFO, DEVICE, AVAILABILITY, STATE]
    assert told[-len(discovery) :] == discovery
    assert sorted(told) == sorted(set(topics(before)))


def test_a_loss_is_warned_of_and_our_own_reconnecting_is_not() -> None:
    hand = Hand.with_config()
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    hand.wait(0.2)
    own = hand.tell(MqttLost("reconnecting"))
    hand.connect()
    foreign = hand.tell(MqttLost("broken pipe"))

    assert (logged(own, "warning"), len(logged(foreign, "warning"))) == ([], 1)
    assert "broken pipe" in logged(foreign, "warning")[0]


def test_home_assistant_s_birth_is_answered_within_5_s_with_everything() -> None:
    hand = followed()
    everything = set(topics(hand.tell(MqttLost("gone")) + hand.connect()))
    at_once = hand.tell(MqttReceived("homeassistant/status", b"online"))
    early = hand.wait(0.9)
    told = topics(hand.acknowledge_all(hand.wait(4.1)))

    assert (said(at_once), said(early)) == ([], [])
    assert set(told) == everything


GATEWAY_CONFIG = "homeassistant/device/nuki2mqtt_gateway_nuki2mqtt/config"


def test_what_the_broker_refuses_is_named_once_below_each_root_topic() -> None:
    hand = Hand.with_config()
    hand.own_base()
    hand.tell(MqttLost("gone"))
    effects = hand.tell(MqttConnected("5")) + hand.tell(MqttSubscribed())
    told = list[str]()
    for publish in only(effects, Publish):
        told += logged(hand.tell(MqttRefused(publish.message_id, "not authorised. Give it the right")), "warning")

    assert told == [
        "The broker refuses nuki2mqtt/gateway/info: not authorised. Give it the right.",
        f"The broker refuses {GATEWAY_CONFIG}: not authorised. Give it the right.",
    ]


def test_what_the_broker_has_refused_is_said_again_with_the_next_minute_s_health() -> None:
    hand = followed()
    hand.tell(MqttLost("gone"))
    effects = hand.tell(MqttConnected("5")) + hand.tell(MqttSubscribed())
    refused = list[str]()
    while only(effects, Publish):
        refused += topics(effects)
        effects = [
            effect
            for publish in only(effects, Publish)
            for effect in hand.tell(MqttRefused(publish.message_id, "not authorised"))
        ]
    early = hand.wait(30)
    told = hand.wait(31)
    again = topics(told)
    hand.acknowledge(told)

    assert {"nuki2mqtt/gateway/state", "nuki2mqtt/front_door"} <= set(refused)
    assert only(early, Publish) == []
    assert set(refused) <= set(again)
    assert all(again.count(topic) == 1 for topic in set(refused) - {"nuki2mqtt/gateway/health"})
    assert "nuki2mqtt/gateway/state" not in topics(hand.acknowledge_all(hand.wait(61)))


# --- memory, pairing, the door ---


def test_memory_is_written_when_it_changes_only() -> None:
    hand = followed()
    hand.monotonic += 5

    assert only(hand.call_back(called(UNLOCKED)), Remember) == []


def test_memory_that_could_not_be_written_is_told_once_and_written_again_each_minute() -> None:
    hand = followed()
    first = hand.tell(MemoryNotSaved("disk full"))
    second = hand.tell(MemoryNotSaved("disk full"))
    minute = hand.acknowledge_all(hand.wait(60))
    saved = hand.tell(MemorySaved())
    later = hand.acknowledge_all(hand.wait(120))

    assert (logged(first, "error"), logged(second, "error")) == (["disk full"], [])
    assert len(only(minute, Remember)) == 1
    assert json.loads(dict(said(minute))[HEALTH])["state_file"] == "disk full"
    assert (only(saved, Remember), only(later, Remember)) == ([], [])


def test_a_paired_token_is_remembered_and_used() -> None:
    hand = Hand.with_config("version: 1\nbridges:\n  - {host: 192.0.2.10}\n")
    hand.own_base()
    effects = hand.tell(BridgePaired(LINK, TOKEN))

    assert only(effects, CallBridge) == [CallBridge(LINK, 1, InfoRequest(), AuthMode.ENCRYPTED, TOKEN)]
    assert only(effects, Remember)[-1].memory.bridges == {LINK: BridgeMemory(None, TOKEN, None)}


def test_a_bridge_that_was_replaced_is_not_online_any_more() -> None:
    hand = followed()
    effects = hand.acknowledge_all(hand.tell(BridgePaired(LINK, TOKEN, replace_bridge=True)))
    while not only(effects, CallBridge):
        effects = hand.wait(0.5)
    told = said(hand.answer(only(effects, CallBridge)[0], info(hand.now, bridge_id=NukiId(0x0BADB01D))))

    assert ("nuki2mqtt/bridge/0A1B2C3D/availability", "offline") in told


def test_a_configured_token_is_not_remembered() -> None:
    hand = Hand.with_config()
    effects = hand.own_base()

    assert {remember.memory.bridges[LINK].token for remember in only(effects, Remember)} == {None}


def test_a_closed_door_is_warned_of_and_polling_goes_on() -> None:
    hand = followed()
    effects = hand.tell(CallbackDoorFailed("Port 8321 is taken."))

    assert len(logged(effects, "warning")) == 1
    assert asked(hand.wait(31)) == ["ListRequest"]


# --- stopping ---


def stopping(hand: Hand) -> list[Effect]:
    effects = hand.tell(StopRequested())
    return effects + hand.acknowledge(effects)


def test_who_never_connected_stops_at_once() -> None:
    hand = Hand.with_config()
    hand.gateway.begin()

    assert only(hand.tell(StopRequested()), Stop) == [Stop()]


def test_before_the_end_devices_are_offline_and_then_the_gateway() -> None:
    hand = followed()
    effects = stopping(hand)
    told = said(effects)

    assert (AVAILABILITY, "offline") in told
    assert json.loads(dict(told)[DEVICE])["stale"] is True
    assert told[-1] == (STATE, "offline")
    assert effects[-1] == Stop()
    assert only(effects, Stop) == [Stop()]


def test_our_callback_is_given_back_before_the_end() -> None:
    hand = Hand.with_config()
    (call,) = only(hand.own_base(), CallBridge)
    hand.tell(CallbackDoorOpened(8321))
    hand.answer(call, info(hand.now), "192.0.2.5")
    slots = list[str]()
    while not slots:
        for asking in only(hand.wait(0.5), CallBridge):
            serve(hand, asking, slots)
    for asking in only(hand.wait(0.5), CallBridge):
        serve(hand, asking, slots)
    effects = stopping(hand)
    for _ in range(6):
        new = hand.wait(0.5)
        effects += new
        for asking in only(new, CallBridge):
            effects += serve(hand, asking, slots)

    assert asked(effects) == ["CallbackListRequest", "CallbackRemoveRequest", "CallbackListRequest"]
    assert slots == []
    assert effects[-1] == Stop()


def serve(hand: Hand, call: CallBridge, slots: list[str]) -> list[Effect]:
    match call.request:
        case CallbackListRequest():
            return hand.answer(call, CallbackListAnswer(tuple(CallbackSlot(n, url) for n, url in enumerate(slots))))
        case CallbackAddRequest(url):
            slots.append(url.reveal())
            return hand.answer(call, SuccessAnswer(success=True))
        case CallbackRemoveRequest(number):
            slots.pop(number)
            return hand.answer(call, SuccessAnswer(success=True))
        case ListRequest():
            return hand.answer(call, ListAnswer((entry(LOCKED, -5),)))
        case _:
            raise AssertionError(call)


def test_a_broker_that_takes_nothing_holds_us_4_s_at_most() -> None:
    hand = followed()
    effects = hand.tell(StopRequested())
    early = hand.wait(3.9)
    late = hand.wait(0.1)

    assert (only(effects + early, Stop), only(late, Stop)) == ([], [Stop()])


def test_without_a_broker_there_is_nobody_to_wait_for() -> None:
    hand = followed()
    hand.tell(MqttLost("gone"))

    assert only(hand.tell(StopRequested()), Stop) == [Stop()]


def test_a_second_request_to_stop_changes_nothing() -> None:
    hand = followed()
    first = hand.tell(StopRequested())

    assert logged(first, "info") == ["Stopping."]
    assert [effect for effect in hand.tell(StopRequested()) if isinstance(effect, Publish | Log)] == []


def test_while_we_stop_a_foreign_offline_is_not_contradicted() -> None:
    hand = followed()
    hand.tell(StopRequested())

    assert said(hand.tell(MqttReceived(STATE, b"offline"))) == []


def test_a_failing_bridge_is_told_with_its_next_step() -> None:
    hand = Hand.with_config()
    (call,) = only(hand.own_base(), CallBridge)
    effects = hand.answer(call, BridgeError(BridgeErrorKind.REFUSED, "connection refused"))
    health = json.loads(dict(said(effects))[HEALTH])

    assert only(effects, Log)[0].level is Level.WARNING
    assert health["bridges"][0]["problem"] == only(effects, Log)[0].text
    assert health["bridges"][0]["reachable"] is False
