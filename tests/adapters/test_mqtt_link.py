"""The link against real brokers: what it carries, and what it does not carry across an outage."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from nuki2mqtt.adapters.mqtt_link import MqttLink
from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttRefused,
    MqttSubscribed,
    Subscription,
    Will,
)
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.broken_brokers import relay
from tests.adapters.brokers import (
    Heard,
    RunningBroker,
    amqtt_broker,
    any_broker,
    listener,
    mosquitto,
    needs_mosquitto,
)
from tests.adapters.linked import IMPATIENT, ORDER, QUICK, WILL, linked

SET = "base/front_door/set"
BrokerOf = Callable[[], AbstractAsyncContextManager[RunningBroker]]
BROKERS = pytest.mark.parametrize(
    ("broker_of", "protocol"),
    [
        pytest.param(mosquitto, MqttProtocol.V5, id="mosquitto", marks=needs_mosquitto),
        pytest.param(amqtt_broker, MqttProtocol.V311, id="amqtt"),
    ],
)


@BROKERS
async def test_connects_subscribes_receives_and_publishes(broker_of: BrokerOf, protocol: MqttProtocol) -> None:
    async with broker_of() as broker, listener(broker, "base/#") as other, linked(broker, protocol=protocol) as one:
        assert await one.ready() == protocol
        await other.publish(SET, b"unlock")
        first = one.publish("base/front_door", b"{}", retain=True)
        second = one.publish("base/front_door/event", b"ring", qos=0)
        await other.wait_for(lambda heard: heard.topic == "base/front_door/event")
        await one.inbox.wait_for(MqttPublished, 2)
        await one.inbox.wait_for(MqttReceived)
        assert one.inbox.events[:2] == [MqttConnected(protocol), MqttSubscribed()]
        assert one.inbox.all(MqttReceived) == [MqttReceived(SET, b"unlock")]
        assert sorted(one.inbox.all(MqttPublished), key=lambda done: done.message_id) == [
            MqttPublished(first),
            MqttPublished(second),
        ]
        assert not one.reasons


async def test_a_small_message_does_not_wait_for_the_acknowledgement_of_the_one_before() -> None:
    async with any_broker() as broker, linked(broker) as one:
        await one.ready()
        connection = one.link._connection
        assert connection is not None
        wire = connection._client._client.socket()
        assert isinstance(wire, socket.socket)
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_messages_arrive_in_the_order_they_were_published() -> None:
    async with any_broker() as broker, listener(broker, "many/#") as other, linked(broker) as one:
        await one.ready()
        ids = [one.publish(f"many/{number}") for number in range(300)]
        await one.inbox.wait_for(MqttPublished, 300)
        await other.wait_until(lambda: len(other.heard) == 300)
        assert other.topics == [f"many/{number}" for number in range(300)]
        assert [done.message_id for done in one.inbox.all(MqttPublished)] == ids


@needs_mosquitto
async def test_flags_tell_a_stored_command_and_one_published_with_retain() -> None:
    order = ConnectMqtt(None, (*ORDER.subscriptions, Subscription("base/gateway/state")))
    async with mosquitto() as broker, listener(broker) as other:
        await other.publish("base/old/set", b"unlock", retain=True)
        async with linked(broker, order=order) as one:
            await one.inbox.wait_for(MqttReceived)
            await other.publish("base/new/set", b"lock", retain=True)
            await other.publish("base/gateway/state", b"offline", retain=True)
            await other.publish("base/live/set", b"lock")
            await one.inbox.wait_for(MqttReceived, 4)
            assert one.inbox.all(MqttReceived) == [
                MqttReceived("base/old/set", b"unlock", retained=True),
                MqttReceived("base/new/set", b"lock", retained=True),  # retain as published
                MqttReceived("base/gateway/state", b"offline", retained=False),  # not asked for here
                MqttReceived("base/live/set", b"lock"),
            ]


@needs_mosquitto
async def test_properties_of_mqtt_5_are_carried() -> None:
    async with (
        mosquitto() as broker,
        linked(broker) as one,
        listener(broker, protocol=MQTTProtocolVersion.MQTTv5) as other,
    ):
        await one.ready()
        await other.publish(
            SET, b"lock", ResponseTopic="answers/1", CorrelationData=b"\0\x01", MessageExpiryInterval=30
        )
        assert await one.inbox.wait_for(MqttReceived) == MqttReceived(
            SET, b"lock", response_topic="answers/1", correlation=b"\0\x01", expiry_s=30
        )


@needs_mosquitto
@pytest.mark.parametrize("correlation", [b"\0\x01\xff", b"", bytes(1000), None])
async def test_correlation_data_is_said_with_mqtt_5(correlation: bytes | None) -> None:
    async with (
        mosquitto() as broker,
        listener(broker, "answers/#", protocol=MQTTProtocolVersion.MQTTv5) as other,
        linked(broker) as one,
    ):
        assert await one.ready() == MqttProtocol.V5
        done = one.publish("answers/1", b"{}", correlation=correlation)
        heard = await other.wait_for(lambda heard: heard.topic == "answers/1")
        assert heard == Heard("answers/1", b"{}", retain=False, qos=1, correlation=correlation)
        assert await one.inbox.wait_for(MqttPublished) == MqttPublished(done)


@pytest.mark.parametrize("broker_of", [pytest.param(mosquitto, id="mosquitto", marks=needs_mosquitto), amqtt_broker])
async def test_mqtt_3_1_1_says_the_same_without_correlation_data(broker_of: BrokerOf) -> None:
    async with (
        broker_of() as broker,
        listener(broker, "answers/#") as other,
        linked(broker, protocol=MqttProtocol.V311) as one,
    ):
        assert await one.ready() == MqttProtocol.V311
        done = one.publish("answers/1", b"{}", correlation=b"\0\x01")
        assert await other.wait_for(lambda heard: heard.topic == "answers/1") == Heard(
            "answers/1", b"{}", retain=False, qos=1
        )
        assert await one.inbox.wait_for(MqttPublished) == MqttPublished(done)


@needs_mosquitto
async def test_correlation_data_counts_in_what_a_broker_accepts() -> None:
    async with mosquitto(settings=("max_packet_size 2000",)) as broker, linked(broker) as one:
        await one.ready()
        allowed = one.publish("answers/1", correlation=bytes(1000))
        too_large = one.publish("answers/1", correlation=bytes(2000))
        assert (await one.inbox.wait_for(MqttRefused)).message_id == too_large
        assert await one.inbox.wait_for(MqttPublished) == MqttPublished(allowed)
        assert not one.reasons


@BROKERS
async def test_each_message_says_when_it_was_received(broker_of: BrokerOf, protocol: MqttProtocol) -> None:
    """Also while nobody takes it: what waits in front of the inbox grows old."""
    async with broker_of() as broker, listener(broker, SET) as other, linked(broker, protocol=protocol) as one:
        await one.ready()
        before = time.monotonic()
        one.inbox.gate.clear()
        for payload in (b"lock", b"unlock"):
            await other.publish(SET, payload)
        await other.wait_until(lambda: len(other.heard) == 2)
        end = one.publish("base/end")
        await one.inbox.wait_until(lambda: MqttPublished(end) in one.inbox.events)
        opened = time.monotonic()
        one.inbox.gate.set()
        await one.inbox.wait_for(MqttReceived, 2)
        first, second = one.inbox.arrivals
        assert first is not None
        assert second is not None
        assert before <= first <= second <= opened


@needs_mosquitto
async def test_a_message_nobody_subscribed_to_is_published_and_one_the_acl_forbids_is_refused() -> None:
    acl = "topic readwrite base/#\ntopic read forbidden/#\n"
    async with mosquitto(acl=acl) as broker, linked(broker) as one:
        await one.ready()
        heard_by_nobody = one.publish("base/nobody")
        forbidden = one.publish("forbidden/topic")
        impossible = one.publish("base/+")
        await one.inbox.wait_for(MqttRefused, 2)
        await one.inbox.wait_for(MqttPublished)
        assert one.inbox.all(MqttPublished) == [MqttPublished(heard_by_nobody)]
        refused = {answer.message_id: answer.reason for answer in one.inbox.all(MqttRefused)}
        assert refused.keys() == {forbidden, impossible}
        assert refused[forbidden] == "not authorised. Give this user the right to write there (ACL)"


@BROKERS
async def test_the_will_is_said_when_the_line_is_cut(broker_of: BrokerOf, protocol: MqttProtocol) -> None:
    async with broker_of() as broker, listener(broker, WILL.topic) as other, relay(broker) as line:
        async with linked(line, protocol=protocol) as one:
            assert await one.ready() == protocol
            line.cut()
            await other.wait_for(lambda heard: heard.payload == WILL.payload)
            await one.inbox.wait_for(MqttLost)
            await one.ready(2)
            assert len(one.reasons) == 1
        async with listener(broker, WILL.topic) as late:
            assert (await late.wait_for(lambda heard: heard.topic == WILL.topic)).retain


async def test_the_will_is_said_when_the_link_is_cancelled_without_a_close() -> None:
    async with any_broker() as broker, listener(broker, WILL.topic) as other, linked(broker) as one:
        await one.ready()
        await one.crash()
        await other.wait_for(lambda heard: heard.payload == WILL.payload)


@BROKERS
async def test_close_delivers_what_was_published_and_keeps_the_will_unsaid(
    broker_of: BrokerOf, protocol: MqttProtocol
) -> None:
    async with broker_of() as broker, listener(broker, "base/#") as other, linked(broker, protocol=protocol) as one:
        assert await one.ready() == protocol
        for number in range(50):
            one.publish("base/count", str(number).encode())
        await one.link.close(5.0)
        one.publish("base/count", b"too late")
        one.link.connect(ORDER)
        await one.inbox.wait_for(MqttPublished, 50)
        await one.crash()
        await other.publish("base/end")
        await other.wait_for(lambda heard: heard.topic == "base/end")
        assert other.payloads("base/count") == [str(number).encode() for number in range(50)]
        assert not other.payloads(WILL.topic)
        assert not one.reasons


async def test_a_link_that_loses_its_line_while_it_is_cancelled_ends() -> None:
    async with any_broker() as broker, relay(broker) as line:
        for turns in range(20):
            async with linked(line) as one, asyncio.timeout(10):
                await one.ready()
                line.cut()
                for _ in range(turns):
                    await asyncio.sleep(0)  # one turn of the loop
                await one.crash()


async def test_close_without_a_connection_returns() -> None:
    async with any_broker() as broker:
        await broker.stop()
        async with linked(broker) as one:
            await one.inbox.wait_for(MqttLost)
            await one.link.close(60.0)
        async with linked(broker, order=None) as idle:
            await idle.link.close(60.0)
            assert not idle.inbox.events


async def test_a_new_order_reconnects_at_once_with_the_new_will_and_subscriptions() -> None:
    new = ConnectMqtt(Will("base/other", b"gone"), (Subscription("other/set"),))
    async with (
        any_broker() as broker,
        listener(broker, "base/#") as other,
        relay(broker) as line,
        linked(line, order=replace(ORDER, will=None), timing=replace(QUICK, backoff_min_s=60)) as one,
    ):
        protocol = await one.ready()
        one.link.connect(ORDER)
        await one.ready(2)
        one.link.connect(new)
        await one.ready(3)
        await other.publish(SET, b"lock")
        await other.publish("other/set", b"lock")
        await one.inbox.wait_for(MqttReceived)
        began = [MqttConnected(protocol), MqttSubscribed()]
        again = MqttLost("reconnecting")
        assert one.inbox.events == [*began, again, *began, again, *began, MqttReceived("other/set", b"lock")]
        line.cut()
        await other.wait_for(lambda heard: heard.topic == "base/other")
        assert not other.payloads(WILL.topic)


async def test_an_order_during_the_backoff_connects_at_once() -> None:
    async with any_broker() as broker:
        await broker.stop()
        async with linked(broker, timing=replace(QUICK, backoff_min_s=3600, backoff_max_s=7200)) as one:
            await one.inbox.wait_for(MqttLost)
            await broker.start()
            one.link.connect(ORDER)
            await one.ready()
            assert len(one.reasons) == 1


async def test_an_absent_broker_is_told_once_and_found_when_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "nuki2mqtt.adapters.mqtt_link")
    async with any_broker() as broker:
        await broker.stop()
        async with linked(broker, timing=replace(QUICK, backoff_max_s=0.02)) as one:
            await one.inbox.wait_for(MqttLost)
            assert one.link.last_activity > 0
            while caplog.text.count("nothing listens") < 2:  # noqa: ASYNC110 - the log is what is awaited
                await asyncio.sleep(0.01)
            await broker.start()
            await one.ready()
            assert len(one.reasons) == 1
            assert "is the broker running?" in one.reasons[0]


async def test_a_restarted_broker_is_found_again() -> None:
    async with any_broker() as broker, linked(broker) as one:
        protocol = await one.ready()
        await broker.stop()
        await one.inbox.wait_for(MqttLost)
        await broker.start()
        assert await one.ready(2) == protocol
        assert len(one.reasons) == 1
        async with listener(broker) as other:
            await other.publish(SET, b"lock")
            assert await one.inbox.wait_for(MqttReceived) == MqttReceived(SET, b"lock")


async def test_what_was_published_during_an_outage_is_never_delivered() -> None:
    async with any_broker() as broker, linked(broker) as one:
        await one.ready()
        await broker.stop()
        await one.inbox.wait_for(MqttLost)
        one.publish("base/front_door", b"stale", retain=True)
        one.publish("base/front_door/event", b"stale")
        await broker.start()
        async with listener(broker, "base/#") as other:
            await one.ready(2)
            fresh = one.publish("base/front_door", b"fresh")
            await other.wait_for(lambda heard: heard.payload == b"fresh")
            assert other.topics == ["base/front_door"]
            assert await one.inbox.wait_for(MqttPublished) == MqttPublished(fresh)


@needs_mosquitto
async def test_what_was_unacknowledged_at_the_loss_is_not_sent_again() -> None:
    async with mosquitto() as broker, linked(broker) as one:
        await one.ready()
        broker.pause()
        one.publish("base/front_door", b"stale", retain=True)
        await broker.kill()
        await one.inbox.wait_for(MqttLost)
        await broker.start()
        async with listener(broker, "base/#") as other:
            await one.ready(2)
            one.publish("base/front_door", b"fresh")
            await other.wait_for(lambda heard: heard.payload == b"fresh")
            assert len(other.heard) == 1


@needs_mosquitto
async def test_a_frozen_broker_is_noticed_by_its_missing_acknowledgement() -> None:
    async with mosquitto() as broker, linked(broker, timing=replace(IMPATIENT, silence_s=2)) as one:
        await one.ready()
        broker.pause()
        one.publish("base/front_door")
        assert "not acknowledged" in (await one.inbox.wait_for(MqttLost)).reason
        broker.resume()
        assert await one.ready(2) == "5"
        assert not one.inbox.all(MqttPublished)


async def test_unread_messages_do_not_survive_their_connection() -> None:
    async with any_broker() as broker, relay(broker) as line, listener(broker, SET) as other, linked(line) as one:
        await one.ready()
        one.inbox.gate.clear()
        for _ in range(3):
            await other.publish(SET, b"unlock")
        probe = one.publish(SET, b"probe")  # its PUBACK comes after what was sent to us before
        await one.inbox.wait_until(lambda: MqttPublished(probe) in one.inbox.events)
        line.cut()
        await one.inbox.wait_for(MqttLost)
        one.inbox.gate.set()
        await one.ready(2)
        await other.publish(SET, b"lock")
        assert await one.inbox.wait_for(MqttReceived) == MqttReceived(SET, b"lock")


async def test_the_link_shows_that_it_is_alive() -> None:
    async with any_broker() as broker, linked(broker, order=None) as one:
        assert one.link.last_activity == float("-inf")
        one.link.connect(ORDER)
        await one.ready()
        before = one.link.last_activity
        async with asyncio.timeout(5):
            while one.link.last_activity == before:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)


@needs_mosquitto
async def test_a_broker_that_freezes_while_nothing_is_said_is_noticed_by_the_keep_alive() -> None:
    async with mosquitto() as broker, linked(broker, timing=replace(QUICK, keepalive_s=1)) as one:
        await one.ready()
        broker.pause()
        assert "does not answer any more" in (await one.inbox.wait_for(MqttLost)).reason


async def test_no_task_outlives_its_link() -> None:
    async with any_broker() as broker, relay(broker) as line:
        before = asyncio.all_tasks()
        async with linked(line) as one:
            await one.ready()
            line.cut()
            await one.ready(2)
            ours = {task.get_name() for task in asyncio.all_tasks() - before}
            assert "mqtt-link" in ours
        for _ in range(5):
            await asyncio.sleep(0)  # what was cancelled takes its last turn
        left = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not {name for name in left & ours if name.startswith("mqtt-")}


@pytest.mark.parametrize(("jitter", "pauses"), [(0.0, [1, 1, 1, 1, 1, 1, 1]), (1.0, [2, 4, 8, 15, 15, 15, 15])])
async def test_the_pauses_grow_from_1_to_15_s_and_are_jittered(jitter: float, pauses: list[float]) -> None:
    async def nowhere(_event: object) -> None:
        pass

    link = MqttLink(MqttSettings(), "idle", emit=nowhere, jitter=lambda: jitter)
    assert [link._pause(failures) for failures in range(1, 8)] == pauses
    assert link._pause(10_000) == pauses[-1]


@needs_mosquitto
async def test_an_end_that_meets_the_suback_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiomqtt waits for it with `wait_for`, which in Python 3.11 swallows a cancellation of that moment."""
    ended: list[asyncio.Task[Any]] = []
    acknowledged = asyncio.Event()
    acknowledge = aiomqtt.Client._on_subscribe

    def acknowledge_and_cancel(client: aiomqtt.Client, *args: Any) -> None:
        acknowledge(client, *args)
        ended.extend(task for task in asyncio.all_tasks() if task.get_name() == "mqtt-receive")
        for task in ended:
            task.cancel()
        acknowledged.set()

    monkeypatch.setattr(aiomqtt.Client, "_on_subscribe", acknowledge_and_cancel)
    async with mosquitto() as broker, linked(broker) as one:
        await one.inbox.wait_for(MqttConnected)
        async with asyncio.timeout(5):
            await acknowledged.wait()
        (task,) = ended
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
