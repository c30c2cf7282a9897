"""Floods and large messages: memory is bounded, and what is lost is said."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from nuki2mqtt.adapters.mqtt_arrivals import BYTES_LIMIT, MESSAGES_LIMIT, Arrivals
from nuki2mqtt.gateway.vocabulary import MqttPublished, MqttReceived
from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.brokers import RunningBroker, amqtt_broker, listener, mosquitto, needs_mosquitto
from tests.adapters.linked import linked

SET = "base/front_door/set"
BrokerOf = Callable[[], AbstractAsyncContextManager[RunningBroker]]


HALF = BYTES_LIMIT // 2 - len(SET)


@pytest.mark.parametrize(
    "half",
    [
        MqttReceived(SET, bytes(HALF)),
        MqttReceived(SET, b"unlock", response_topic="a/b", correlation=bytes(HALF - len("unlock") - len("a/b"))),
    ],
    ids=["payload", "correlation"],
)
async def test_the_bytes_that_wait_are_bounded_too(half: MqttReceived) -> None:
    arrivals = Arrivals()
    for _ in range(3):
        arrivals.take(half)
    assert arrivals.qsize() == 2
    await arrivals.next()
    arrivals.take(half)
    assert arrivals.qsize() == 2


@needs_mosquitto
async def test_a_flood_is_bounded_and_the_oldest_messages_win(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1000
    assert limit < MESSAGES_LIMIT, "as many would take their time here"
    monkeypatch.setattr("nuki2mqtt.adapters.mqtt_arrivals.MESSAGES_LIMIT", limit)
    settings = ("max_queued_messages 0",)
    async with mosquitto(settings=settings) as broker, linked(broker) as one, listener(broker, SET) as other:
        await one.ready()
        one.inbox.gate.clear()
        for number in range(5000):
            await other.publish(SET, str(number).encode(), qos=0)
        await other.wait_until(lambda: len(other.heard) == 5000)
        end = one.publish("base/end")
        await one.inbox.wait_until(lambda: MqttPublished(end) in one.inbox.events)
        one.inbox.gate.set()
        await one.inbox.wait_for(MqttReceived, limit + 1)
        await other.publish(SET, b"after")
        await one.inbox.wait_until(lambda: MqttReceived(SET, b"after") in one.inbox.events)
        taken = [message.payload for message in one.inbox.all(MqttReceived)]
        assert taken == [*(str(number).encode() for number in range(limit + 1)), b"after"]
        assert caplog.text.count("the newest are dropped") == 1
        assert f"{5000 - limit - 1} were dropped" in caplog.text
        assert not one.reasons


@needs_mosquitto
async def test_a_flood_is_taken_whole_when_the_inbox_keeps_up() -> None:
    async with mosquitto() as broker, linked(broker) as one, listener(broker) as other:
        await one.ready()
        for number in range(5000):
            await other.publish(SET, str(number).encode(), qos=0)
        await one.inbox.wait_for(MqttReceived, 5000)


@needs_mosquitto
async def test_a_message_too_large_for_us_is_not_sent_by_the_broker_and_harms_nothing() -> None:
    async with mosquitto() as broker, linked(broker) as one, listener(broker) as other:
        await one.ready()
        await other.publish(SET, bytes(300 * 1024))
        await other.publish(SET, bytes(200 * 1024))
        assert len((await one.inbox.wait_for(MqttReceived)).payload) == 200 * 1024
        assert not one.reasons


@pytest.mark.parametrize("broker_of", [pytest.param(mosquitto, marks=needs_mosquitto), amqtt_broker])
async def test_mqtt_3_1_1_cuts_large_messages_off(broker_of: BrokerOf) -> None:
    async with broker_of() as broker, linked(broker, protocol=MqttProtocol.V311) as one, listener(broker) as other:
        assert await one.ready() == "3.1.1"
        await other.publish(SET, bytes(300 * 1024))
        assert len((await one.inbox.wait_for(MqttReceived)).payload) == 64 * 1024 + 1
