"""Which MQTT is spoken, and what refusals and broken brokers lead to."""

import asyncio
import logging
from dataclasses import replace

import pytest

from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttRefused,
    MqttSubscribed,
    Subscription,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.broken_brokers import (
    ACCEPT_V5,
    ACCEPT_V311,
    CLOSE,
    NOT_AUTHORISED_V5,
    NOT_AUTHORISED_V311,
    REFUSE_V5,
    REFUSE_V311,
    SILENT,
    TAKEN_OVER,
    accept_with,
    fake_broker,
    silent_server,
)
from tests.adapters.brokers import amqtt_broker, mosquitto, needs_mosquitto
from tests.adapters.linked import IMPATIENT, ORDER, linked
from tests.stories.real.processes import until

PASSWORD = "correct horse battery staple"


@pytest.mark.parametrize("answer", [REFUSE_V5, REFUSE_V311], ids=["code of 5", "code of 3.1.1"])
async def test_a_refused_mqtt_5_leads_to_3_1_1_which_is_remembered(answer: bytes) -> None:
    async with fake_broker(v5=answer) as fake, linked(fake) as one:
        assert await one.ready() == "3.1.1"
        one.link.connect(ORDER)
        assert await one.ready(2) == "3.1.1"
        assert fake.levels == [5, 4, 4]
        assert one.reasons == ["reconnecting"]


@pytest.mark.parametrize("answer", [SILENT, CLOSE], ids=["silent", "closed"])
async def test_no_answer_to_mqtt_5_leads_to_3_1_1_after_a_second_try(answer: bytes | None) -> None:
    async with fake_broker(v5=answer) as fake, linked(fake, timing=IMPATIENT) as one:
        assert await one.ready() == "3.1.1"
        one.link.connect(ORDER)
        await one.ready(2)
        assert fake.levels == [5, 4, 5, 4, 4]
        assert one.reasons == ["reconnecting"]


async def test_a_broker_that_was_only_starting_is_spoken_to_in_mqtt_5() -> None:
    async with fake_broker(v5=[SILENT, ACCEPT_V5]) as fake, linked(fake, timing=IMPATIENT) as one:
        assert await one.ready() == "5"
        assert fake.levels == [5, 4, 5]
        one.link.connect(ORDER)
        assert await one.ready(2) == "5"
        assert fake.goodbyes == 2  # the trial of 3.1.1, and the connection before the new order


async def test_a_remembered_3_1_1_that_is_refused_leads_back_to_mqtt_5() -> None:
    async with (
        fake_broker(v5=[REFUSE_V5, ACCEPT_V5], v311=[ACCEPT_V311, REFUSE_V311]) as fake,
        linked(fake) as one,
    ):
        assert await one.ready() == "3.1.1"
        one.link.connect(ORDER)
        assert await one.ready(2) == "5"
        one.link.connect(ORDER)
        assert await one.ready(3) == "5"
        assert fake.levels == [5, 4, 4, 5, 5]


async def test_silence_of_amqtt_leads_to_3_1_1() -> None:
    async with amqtt_broker() as broker, linked(broker, timing=IMPATIENT, protocol=MqttProtocol.AUTO) as one:
        assert await one.ready() == "3.1.1"


async def test_a_broker_that_answers_to_nothing_is_told_once() -> None:
    async with fake_broker(v5=CLOSE, v311=CLOSE) as fake, linked(fake, timing=IMPATIENT) as one:
        reason = (await one.inbox.wait_for(MqttLost)).reason
        assert "instead of answering to MQTT 5" in reason
        while len(fake.levels) < 6:  # noqa: ASYNC110 - attempts have no event
            await asyncio.sleep(0.01)
        assert fake.levels[:4] == [5, 4, 5, 4]
        assert len(one.inbox.events) == 1


@pytest.mark.parametrize(
    ("protocol", "level", "script"),
    [(MqttProtocol.V5, 5, {"v5": REFUSE_V5}), (MqttProtocol.V311, 4, {"v311": REFUSE_V311})],
)
async def test_a_protocol_that_is_set_is_never_changed(
    protocol: MqttProtocol, level: int, script: dict[str, bytes]
) -> None:
    async with fake_broker(**script) as fake, linked(fake, protocol=protocol) as one:
        await one.inbox.wait_for(MqttLost)
        one.link.connect(ORDER)
        await one.inbox.wait_for(MqttLost, 2)
        assert set(fake.levels) == {level}


@pytest.mark.parametrize(
    ("script", "levels"),
    [
        ({"v5": NOT_AUTHORISED_V5}, [5, 5]),
        ({"v5": REFUSE_V5, "v311": NOT_AUTHORISED_V311}, [5, 4, 5, 4]),
    ],
    ids=["5", "3.1.1"],
)
async def test_a_bad_login_does_not_change_the_protocol(script: dict[str, bytes], levels: list[int]) -> None:
    async with fake_broker(**script) as fake, linked(fake) as one:
        assert "mqtt.password" in (await one.inbox.wait_for(MqttLost)).reason
        while len(fake.levels) < len(levels):  # noqa: ASYNC110 - attempts have no event
            await asyncio.sleep(0.01)
        assert fake.levels[: len(levels)] == levels
        assert len(one.reasons) == 1


@needs_mosquitto
async def test_the_login_is_used_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with mosquitto(users={"gateway": PASSWORD}) as broker:
        async with linked(broker, username="gateway", password=Secret(PASSWORD)) as one:
            assert await one.ready() == "5"
        async with linked(broker, username="gateway", password=Secret(PASSWORD + "!")) as one:
            reason = (await one.inbox.wait_for(MqttLost)).reason
            assert "mqtt.username and mqtt.password" in reason
            assert PASSWORD not in reason
        async with linked(broker) as one:
            assert "mqtt.username" in (await one.inbox.wait_for(MqttLost)).reason
    assert PASSWORD not in caplog.text
    assert "CONNACK" in caplog.text


async def test_a_name_that_does_not_exist_is_explained() -> None:
    async with fake_broker() as fake, linked(fake, host="nuki2mqtt.invalid") as one:
        assert "mqtt.host" in (await one.inbox.wait_for(MqttLost)).reason
        assert not fake.levels


async def test_the_reason_of_an_ended_connection_is_told() -> None:
    async with fake_broker(after_suback=TAKEN_OVER) as fake, linked(fake) as one:
        assert "mqtt.client_id" in (await one.inbox.wait_for(MqttLost)).reason
        await one.inbox.wait_for(MqttLost, 2)
        assert fake.goodbyes == 0


async def test_a_refused_subscription_is_a_warning_while_another_works(caplog: pytest.LogCaptureFixture) -> None:
    order = ConnectMqtt(None, (Subscription("base/+/set"), Subscription("homeassistant/status")))
    async with fake_broker(subacks=b"\x01\x87") as fake, linked(fake, order=order) as one:
        assert await one.ready() == "5"
        assert "homeassistant/status (Not authorized): check its ACL" in caplog.text
        assert "base/+/set" not in caplog.text
        assert not one.reasons


async def test_a_refused_subscription_is_asked_for_again_until_it_is_granted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    timing = replace(IMPATIENT, ask_again_s=0.05)
    order = ConnectMqtt(None, (Subscription("base/+/set"), Subscription("homeassistant/status")))
    async with fake_broker(subacks=b"\x01\x87") as fake, linked(fake, order=order, timing=timing) as one:
        await one.ready()
        fake.subacks = b"\x87"
        await until(lambda: len(fake.subscribed) >= 3, "it asks again")
        fake.subacks = b"\x01"
        await until(lambda: "subscribes us to homeassistant/status now" in caplog.text, "it is granted")
        asked = len(fake.subscribed)
        await asyncio.sleep(0.3)
        assert len(fake.subscribed) == asked
        assert all(b"base/+/set" not in body for body in fake.subscribed[1:])
        assert [record.levelname for record in caplog.records if "refuses to subscribe" in record.message] == [
            "WARNING"
        ]
        assert not one.reasons


async def test_a_broker_that_does_not_answer_when_it_is_asked_again_is_lost() -> None:
    timing = replace(IMPATIENT, ask_again_s=0.05)
    order = ConnectMqtt(None, (Subscription("base/+/set"), Subscription("homeassistant/status")))
    async with fake_broker(subacks=b"\x01\x87") as fake, linked(fake, order=order, timing=timing) as one:
        await one.ready()
        fake.subacks = b""
        assert "our subscriptions" in (await one.inbox.wait_for(MqttLost)).reason


@pytest.mark.parametrize("protocol", [MqttProtocol.V5, MqttProtocol.V311])
async def test_no_subscription_at_all_is_a_lost_connection(protocol: MqttProtocol) -> None:
    async with fake_broker(subacks=b"\x80") as fake, linked(fake, protocol=protocol) as one:
        assert "ACL" in (await one.inbox.wait_for(MqttLost)).reason
        await one.inbox.wait_for(MqttConnected, 2)
        assert not one.inbox.all(MqttSubscribed)


async def test_without_subscriptions_the_link_is_ready_at_once() -> None:
    async with fake_broker() as fake, linked(fake, order=ConnectMqtt(None, ())) as one:
        assert await one.ready() == "5"


async def test_an_unacknowledged_message_is_the_end_of_the_connection() -> None:
    timing = replace(IMPATIENT, silence_s=5)
    async with fake_broker(acknowledges=False) as fake, linked(fake, timing=timing) as one:
        await one.ready()
        one.publish("base/front_door")
        one.publish("base/front_door/event", qos=0)
        assert "not acknowledged" in (await one.inbox.wait_for(MqttLost)).reason
        await one.ready(2)
        assert one.inbox.all(MqttPublished) == [MqttPublished(2)]
        assert len(fake.published) == 2


async def test_messages_of_either_qos_are_written_in_the_order_they_were_published() -> None:
    # A broker may turn them round behind this: mosquitto 2.0.11 lets QoS 0 overtake where a subscriber is slow.
    async with fake_broker(v5=accept_with(b"\x21\0\3")) as fake, linked(fake) as one:
        await one.ready()
        for number in range(100, 200):
            one.publish(f"many/{number}", qos=number % 3 % 2)
        await one.inbox.wait_for(MqttPublished, 100)
        assert [body[2:10] for body in fake.published] == [b"many/%d" % number for number in range(100, 200)]


async def test_the_limits_of_the_broker_are_kept() -> None:
    receive_maximum_2 = b"\x21\0\2"
    no_retain = b"\x25\0"
    at_most_100_bytes = b"\x27\0\0\0\x64"
    limited = accept_with(receive_maximum_2 + no_retain + at_most_100_bytes)
    async with fake_broker(v5=limited, acknowledges=False) as fake, linked(fake) as one:
        await one.ready()
        for number in range(4):
            one.publish(f"base/{number}")
        one.link.connect(ORDER)
        await one.ready(2)
        assert len(fake.published) == 2  # the others had to wait, and were dropped at the goodbye
        large = one.publish("base/large", bytes(100))
        retained = one.publish("base/retained", retain=True)
        await one.inbox.wait_for(MqttRefused, 2)
        assert [refused.message_id for refused in one.inbox.all(MqttRefused)] == [large, retained]


async def test_an_attempt_that_hangs_does_not_outlive_its_link() -> None:
    timing = replace(IMPATIENT, silence_s=600)
    async with silent_server() as silent, linked(silent, timing=timing) as one, asyncio.timeout(10):
        await silent.accepted.wait()
        await one.crash()
        await silent.ended.wait()


async def test_a_new_order_ends_an_attempt_that_hangs() -> None:
    timing = replace(IMPATIENT, silence_s=600)
    async with fake_broker(v5=[SILENT, ACCEPT_V5]) as fake, linked(fake, timing=timing) as one:
        while not fake.levels:  # noqa: ASYNC110 - attempts have no event
            await asyncio.sleep(0.01)
        one.link.connect(ORDER)
        assert await one.ready() == "5"
        assert not one.reasons
