"""A process that stood still acts upon nothing that waited in its socket meanwhile."""

import threading
from dataclasses import replace

import paho.mqtt.publish
import pytest

from nuki2mqtt.adapters.clock import monotonic_s
from nuki2mqtt.gateway.vocabulary import MqttReceived, MqttSubscribed
from tests.adapters.brokers import listener
from tests.adapters.linked import QUICK, linked
from tests.adapters.mosquitto import mosquitto, needs_mosquitto

SET = "base/front_door/set"
TICK_S = 0.05
PATIENCE_S = 0.3

pytestmark = needs_mosquitto


def stand_still(seconds: float) -> None:
    """Keep the loop from running, as a stopped process or a sleeping computer does."""
    threading.Event().wait(seconds)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_waited_while_we_stood_still_is_dropped_with_the_connection(protocol: str) -> None:
    timing = replace(QUICK, tick_s=TICK_S, standstill_s=PATIENCE_S)
    async with (
        mosquitto() as broker,
        linked(broker, timing=timing, protocol=protocol) as one,
        listener(broker) as other,
    ):
        await one.ready()
        # Without a turn of our loop: the message is in our socket, and stays there.
        paho.mqtt.publish.single(SET, b"unlatch", qos=1, hostname=broker.host, port=broker.port)
        stand_still(TICK_S + PATIENCE_S + 0.2)
        await one.inbox.wait_for(MqttSubscribed, 2)
        await other.publish(SET, b"after", qos=1)
        await one.inbox.wait_until(lambda: MqttReceived(SET, b"after") in one.inbox.events)
        assert [message.payload for message in one.inbox.all(MqttReceived)] == [b"after"]


async def test_a_short_pause_is_told_as_age() -> None:
    timing = replace(QUICK, tick_s=TICK_S, standstill_s=30)
    async with mosquitto() as broker, linked(broker, timing=timing) as one:
        await one.ready()
        paho.mqtt.publish.single(SET, b"unlatch", qos=1, hostname=broker.host, port=broker.port)
        stand_still(0.5)
        resumed = monotonic_s()
        await one.inbox.wait_for(MqttReceived)
        (stamp,) = one.inbox.arrivals
        assert stamp is not None
        assert stamp <= resumed - 0.3
