"""The main flows of a gateway by value: beginning, owning the base, following a Bridge, reconnecting, stopping."""

import json
from dataclasses import replace

import pytest

from nuki2mqtt.gateway.vocabulary import (
    BridgeMemory,
    CallBridge,
    ConnectMqtt,
    DeviceMemory,
    Effect,
    Memory,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttSubscribed,
    OpenCallbackDoor,
    Remember,
    Subscription,
    Will,
)
from nuki2mqtt.protocol.bridge_api import (
    InfoRequest,
    ListAnswer,
)
from nuki2mqtt.protocol.bridge_auth import AuthMode
from tests.gateway.builders import (
    BRIDGE_ID,
    LINK,
    LOCK,
    LOCKED,
    OTHER_LINK,
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
    wall,
)

STATE, INFO, HEALTH = "nuki2mqtt/gateway/state", "nuki2mqtt/gateway/info", "nuki2mqtt/gateway/health"
DEVICE, AVAILABILITY = "nuki2mqtt/front_door", "nuki2mqtt/front_door/availability"
ALWAYS = tuple(Subscription(topic, qos=0) for topic in (STATE, INFO, HEALTH, "homeassistant/status"))
SNAPSHOTS = Subscription("nuki2mqtt/+", qos=0)
BRIDGES = Subscription("nuki2mqtt/bridge/+/availability", qos=0)
ORDERS = tuple(
    Subscription(topic, qos=1, retain_as_published=True)
    for topic in ("nuki2mqtt/+/set", "nuki2mqtt/+/get", "nuki2mqtt/gateway/request/+", "nuki2mqtt/+/keypad/set")
)
WILL = Will(STATE, b"offline")
REMEMBERED = Memory(devices={LOCK: DeviceMemory("front_door", "Front door", 4)}, retired_topics={"front_door": LOCK})


def claim(instance: str, started: float) -> bytes:
    return json.dumps({"instance": instance, "started": wall(started).isoformat()}).encode()


def followed(hand: Hand | None = None) -> Hand:
    """Owns the base, has said everything, has the identity and the first list of its Bridge."""
    hand = hand or Hand.with_config()
    hand.follow(entry(LOCKED, -5), asked=hand.own_base())
    return hand


def asked(effects: list[Effect]) -> list[str]:
    return [type(call.request).__name__ for call in only(effects, CallBridge)]


# --- beginning ---


def test_the_first_effect_is_to_connect_without_a_will() -> None:
    assert Hand.with_config().gateway.begin() == [ConnectMqtt(None, (*ALWAYS, SNAPSHOTS, BRIDGES))]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("version: 1\n", ("No Bridge is configured", "nuki2mqtt pair")),
        ("version: 1\nbridges:\n  - {host: 192.0.2.10}\n", (LINK, "no token", "nuki2mqtt pair --host 192.0.2.10")),
    ],
)
def test_what_is_missing_is_told_with_the_next_step(config: str, words: tuple[str, ...]) -> None:
    (text,) = logged(Hand.with_config(config).gateway.begin(), "warning")

    assert [word for word in words if word not in text] == []


def test_without_a_bridge_the_gateway_is_online_and_needs_pairing() -> None:
    hand = Hand.with_config("version: 1\n")
    told = dict(said(hand.own_base()))

    assert told[STATE] == "online"
    assert json.loads(told[HEALTH])["needs_pairing"] is True


# --- owning the base ---


def test_an_empty_broker_is_read_and_then_owned_with_a_will() -> None:
    hand = Hand.with_config()
    effects = hand.tell(MqttConnected("5"))
    effects += hand.tell(MqttSubscribed())
    before = (said(effects), asked(effects))
    effects = hand.wait(0.2)

    assert before == ([], [])
    assert only(effects, ConnectMqtt) == [ConnectMqtt(WILL, (*ALWAYS, SNAPSHOTS, BRIDGES, *ORDERS))]
    assert only(effects, CallBridge) == [CallBridge(LINK, 1, InfoRequest(), AuthMode.ENCRYPTED, TOKEN)]
    assert [[path.link for path in door.paths] for door in only(effects, OpenCallbackDoor)] == [[LINK]]
    assert said(effects) == []


def test_the_owner_s_first_words() -> None:
    hand = Hand.with_config()
    told = topics(hand.own_base())

    assert told[:2] == [INFO, STATE]
    assert set(told) == {
        STATE,
        INFO,
        HEALTH,
        "nuki2mqtt/gateway/devices",
        "homeassistant/device/nuki2mqtt_gateway_nuki2mqtt/config",
    }


def test_everything_remembered_is_told_offline_and_stale_before_the_gateway_is_online() -> None:
    hand = Hand.with_config(memory=REMEMBERED)
    told = said(hand.own_base())
    places = {topic: place for place, (topic, _) in reversed(list(enumerate(told)))}

    assert places[DEVICE] < places[AVAILABILITY] < places[STATE]
    assert dict(told)[AVAILABILITY] == "offline"
    assert json.loads(dict(told)[DEVICE])["stale"] is True


def test_a_bridge_of_an_earlier_process_is_told_offline_before_the_gateway_is_online() -> None:
    hand = Hand.with_config(memory=Memory(bridges={LINK: BridgeMemory(BRIDGE_ID)}))
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    hand.tell(MqttReceived("nuki2mqtt/bridge/0BADB01D/availability", b"online", retained=True))
    hand.wait(0.2)
    hand.tell(MqttLost("reconnecting"))

    told = said(hand.connect())
    assert told[0][0] == INFO
    assert told[1:4] == [
        ("nuki2mqtt/bridge/0A1B2C3D/availability", "offline"),
        ("nuki2mqtt/bridge/0BADB01D/availability", "offline"),
        (STATE, "online"),
    ]


def test_the_last_known_lock_stays_readable_in_the_stale_snapshot() -> None:
    hand = Hand.with_config(memory=REMEMBERED)
    kept = b'{"id":"1A2B3C4D","name":"Front door","device_type":4,"lock":"LOCKED","stale":false}'
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    hand.tell(MqttReceived(DEVICE, kept, retained=True))
    hand.wait(0.2)
    hand.tell(MqttLost("reconnecting"))

    assert dict(said(hand.connect()))[DEVICE].encode() == kept.replace(b'"stale":false', b'"stale":true')


def test_with_the_state_file_lost_the_broker_s_snapshots_are_remembered() -> None:
    hand = Hand.with_config()
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    kept = b'{"id":"1A2B3C4D","name":"Front door","device_type":4,"stale":false}'
    hand.tell(MqttReceived("nuki2mqtt/haustuer", kept, retained=True))
    hand.wait(0.2)
    hand.tell(MqttLost("reconnecting"))
    told = hand.connect()

    assert dict(said(told))["nuki2mqtt/haustuer/availability"] == "offline"
    assert only(told, Remember)[-1].memory.devices == {LOCK: DeviceMemory("haustuer", "Front door", 4)}


def test_what_this_process_saw_follows_when_the_broker_has_what_is_stale() -> None:
    hand = Hand.with_config(memory=REMEMBERED)
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    call = only(hand.wait(0.2), CallBridge)[0]
    hand.tell(MqttLost("reconnecting"))
    hand.answer(call, info(0.2))
    (second,) = only(hand.wait(0.5), CallBridge)
    hand.answer(second, ListAnswer((entry(LOCKED, -5),)))
    told = [(topic, payload) for topic, payload in said(hand.connect()) if topic in {AVAILABILITY, STATE}]

    assert told == [(AVAILABILITY, "offline"), (STATE, "online"), (AVAILABILITY, "online")]


# --- another gateway ---


def test_another_gateway_that_may_be_gone_is_waited_for_with_a_word() -> None:
    hand = Hand.with_config()
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    for topic, payload in ((STATE, b"online"), (INFO, claim("other", 60))):
        hand.tell(MqttReceived(topic, payload, retained=True))
    effects = hand.wait(0.5)
    later = hand.wait(149)
    heir = hand.wait(1)

    assert len(logged(effects, "warning")) == 1
    assert "other" in logged(effects, "warning")[0]
    assert (said(effects + later), asked(effects + later)) == ([], [])
    assert [order.will for order in only(heir, ConnectMqtt)] == [WILL]


def test_another_live_gateway_makes_us_silent_with_a_loud_word() -> None:
    hand = Hand.with_config()
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    effects = hand.tell(MqttReceived(HEALTH, claim("other", 60)))
    later = hand.wait(140)

    assert len(logged(effects, "error")) == 1
    assert "other" in logged(effects, "error")[0]
    assert (said(effects + later), asked(effects + later), only(effects + later, ConnectMqtt)) == ([], [], [])


def test_who_followed_its_bridges_without_a_broker_stops_when_another_gateway_is_there() -> None:
    hand = Hand.with_config()
    (call,) = only(hand.wait(20), CallBridge)
    hand.answer(call, info(hand.now))
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    effects = hand.tell(MqttReceived(HEALTH, claim("other", 60)))

    assert (asked(effects), asked(hand.wait(140))) == ([], [])


def test_an_owner_that_yields_connects_without_a_will_and_falls_silent() -> None:
    hand = followed()
    effects = hand.tell(MqttReceived(INFO, claim("other", -60)))
    later = hand.tell(MqttLost("reconnecting")) + hand.connect()
    for topic, payload in ((STATE, b"online"), (INFO, claim("other", -60))):
        later += hand.tell(MqttReceived(topic, payload, retained=True))
    later += hand.wait(140)

    assert only(effects, ConnectMqtt) == [ConnectMqtt(None, (*ALWAYS, SNAPSHOTS, BRIDGES))]
    assert len(logged(effects, "error")) == 1
    assert (said(effects + later), asked(effects + later)) == ([], [])


def test_an_owner_contradicts_a_foreign_offline() -> None:
    hand = followed()
    told = said(hand.tell(MqttReceived(STATE, b"offline")))

    assert [topic for topic, _ in told][:3] == [INFO, STATE, HEALTH]
    assert dict(told)[STATE] == "online"
    assert "nuki2mqtt/front_door" in dict(told), "who denied us may have spoken in our devices' names, too"


def test_the_heir_of_a_gateway_speaks_and_asks() -> None:
    hand = Hand.with_config()
    hand.tell(MqttConnected("5"))
    hand.tell(MqttSubscribed())
    hand.tell(MqttReceived(HEALTH, claim("other", -60)))
    hand.wait(10)
    assert only(hand.tell(MqttReceived(STATE, b"offline")), ConnectMqtt) == [], "it may be contradicted"
    effects = hand.wait(2)
    hand.tell(MqttLost("reconnecting"))

    assert only(effects, ConnectMqtt) == [ConnectMqtt(WILL, (*ALWAYS, SNAPSHOTS, BRIDGES, *ORDERS))]
    assert asked(effects) == ["InfoRequest"]
    assert dict(said(hand.connect()))[STATE] == "online"


# --- following ---


def test_the_first_list_says_the_device_announces_it_and_remembers_it() -> None:
    hand = Hand.with_config()
    effects = hand.follow(entry(LOCKED, -5), asked=hand.own_base())
    told = dict(said(effects))

    assert json.loads(told[DEVICE])["lock"] == "LOCKED"
    assert told[AVAILABILITY] == "online"
    assert told["nuki2mqtt/bridge/0A1B2C3D/availability"] == "online"
    assert "homeassistant/device/nuki2mqtt_1A2B3C4D/config" in told
    memory = only(effects, Remember)[-1].memory
    assert list(memory.announced) == [
        "homeassistant/device/nuki2mqtt_gateway_nuki2mqtt/config",
        "homeassistant/device/nuki2mqtt_bridge_0A1B2C3D/config",
        "homeassistant/device/nuki2mqtt_1A2B3C4D/config",
    ]
    assert replace(memory, announced={}) == Memory(
        bridges={LINK: BridgeMemory(BRIDGE_ID, None, AuthMode.ENCRYPTED)},
        devices={LOCK: DeviceMemory("front_door", "Front door", 0)},
        retired_topics={"front_door": LOCK},
    )


def test_a_callback_says_the_state_and_then_the_events() -> None:
    hand = followed()
    hand.monotonic += 5
    told = said(hand.call_back(called(UNLOCKED)))

    assert [topic for topic, _ in told] == [DEVICE, f"{DEVICE}/event"]
    assert json.loads(told[1][1]) == {
        "event_type": "state_changed",
        "at": wall(hand.now).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "source": "callback",
        "actor": None,
        "from": "locked",
        "to": "unlocked",
        "from_code": 1,
        "to_code": 3,
    }


def test_an_equal_callback_says_nothing() -> None:
    hand = followed()
    hand.monotonic += 5

    assert said(hand.call_back(called(LOCKED))) == []


def test_75_s_without_a_list_say_offline_by_themselves() -> None:
    hand = followed()
    told = said(hand.wait(76))
    (offline_at,) = [place for place, (topic, _) in enumerate(told) if topic == AVAILABILITY]

    assert told[offline_at] == (AVAILABILITY, "offline")
    assert json.loads(dict(told)[DEVICE])["stale"] is True
    assert dict(told)["nuki2mqtt/bridge/0A1B2C3D/availability"] == "offline"


def test_health_is_said_each_minute() -> None:
    hand = Hand.with_config("version: 1\n")
    hand.own_base()
    minutes = [topics(hand.acknowledge_all(hand.wait(60))) for _ in range(3)]

    assert minutes == [[HEALTH], [HEALTH], [HEALTH]]


def test_without_a_broker_the_bridges_are_followed_after_20_s() -> None:
    hand = Hand.with_config()

    assert (asked(hand.wait(19.9)), asked(hand.wait(0.1))) == ([], ["InfoRequest"])


def test_one_bridge_under_two_addresses_is_online() -> None:
    config = "version: 1\nbridges:\n  - {host: 192.0.2.10, token: abcdef}\n  - {host: 192.0.2.11, token: abcdef}\n"
    hand = Hand.with_config(config)
    told = dict[str, str]()
    first, second = only(hand.own_base(), CallBridge)
    assert (first.link, second.link) == (LINK, OTHER_LINK)
    told |= said(hand.answer(first, info(hand.now)))
    (call,) = only(hand.wait(0.5), CallBridge)
    told |= said(hand.answer(call, ListAnswer((entry(LOCKED, -5),))))
    told |= said(hand.answer(second, info(hand.now)))

    assert told["nuki2mqtt/bridge/0A1B2C3D/availability"] == "online"
