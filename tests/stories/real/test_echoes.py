"""Clients and brokers that say back what they hear: it moves nothing, and the gateway adds nothing to it."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.subscribeoptions import SubscribeOptions

from nuki2mqtt.protocol.settings_words import MqttProtocol
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED
from tests.adapters.brokers import Reachable
from tests.adapters.mosquitto import HOST, mosquitto, needs_mosquitto
from tests.stories.real.processes import until
from tests.stories.real.stage import AT_ONCE, RealStage, Way, stage_at, way_to
from tests.storm.broker import Packet
from tests.storm.gateway_stories import (
    AVAILABILITY,
    DOOR,
    EVENT,
    RESULT,
    SET,
    STATE,
    acted,
    begin,
    give,
    hears,
    life,
    payload_of,
    said,
    settled,
    shows,
)
from tests.storm.spec import BASE

pytestmark = [needs_mosquitto, pytest.mark.timeout(120)]

ROUNDS = 20  # what is said meanwhile goes round, too: some hundred messages
PROBE = f"{BASE}/nobody/set"
Answer = Callable[[Packet], Packet | None]


class Parrot:
    """Says something to everything it hears; `said` is what it said."""

    def __init__(self, client: aiomqtt.Client, answer: Answer) -> None:
        self.said: list[Packet] = []
        self._client = client
        self._answer = answer

    async def talk(self) -> None:
        """Until cancelled."""
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            heard = Packet(message.topic.value, message.payload, message.qos, retain=message.retain)
            answer = self._answer(heard)
            if answer is not None:
                self.said.append(answer)
                # Without aiomqtt's limit: in Python 3.11 its `wait_for` swallows a cancellation that meets the PUBACK.
                await self._client.publish(
                    answer.topic, answer.payload, answer.qos, retain=answer.retain, timeout=math.inf
                )


@asynccontextmanager
async def parrot(broker: Reachable, answer: Answer, *, hears_itself: bool = False) -> AsyncIterator[Parrot]:
    """Somebody who listens to all below the base and answers; silent afterwards."""
    options = SubscribeOptions(qos=1, retainAsPublished=True, noLocal=not hears_itself)
    async with aiomqtt.Client(
        broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5, socket_options=AT_ONCE
    ) as client:
        await client.subscribe(f"{BASE}/#", options=options)
        one = Parrot(client, answer)
        talking = asyncio.create_task(one.talk(), name="parrot")
        try:
            yield one
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)


@dataclass
class Later:
    """A broker that is not there yet."""

    host: str = HOST
    port: int = 0
    protocol: MqttProtocol = MqttProtocol.AUTO


def one_way(name: str, way: Way) -> tuple[str, ...]:
    """The settings of a bridge that takes commands away."""
    return (f"connection {name}", f"address {way.host}:{way.port}", "restart_timeout 1", f"topic {BASE}/+/set out 1")


def the_same(heard: Packet) -> Packet:
    return heard


def the_same_live(heard: Packet) -> Packet:
    return replace(heard, retain=False)


def the_same_retained(heard: Packet) -> Packet:
    return replace(heard, retain=True)


def after(transaction: str, status: str) -> Callable[[Any], bool]:
    return lambda one: (one["transaction"], one["status"]) == (transaction, status)


async def keeps_its_word(stage: RealStage) -> None:
    """The gateway takes commands, and what the broker keeps of the door is what it said last, and the truth."""
    since = len(stage.heard)
    await give(stage, "lock", "at last")
    await hears(stage, RESULT, after("at last", "confirmed"), since)
    await hears(stage, DOOR, shows("locked"), since)
    await settled(stage)
    kept = await stage.kept()
    door = payload_of(kept[DOOR])
    assert (door["state_code"], door["stale"], door["derived"]) == (stage.lock.state, False, False)
    assert (kept[STATE].payload, kept[AVAILABILITY].payload) == (b"online", b"online")
    assert not [topic for topic in kept if topic.endswith(("/set", "/get", "/request/callbacks"))]


# --- The same again -----------------------------------------------------------------------------------------------


async def an_evening(stage: RealStage) -> None:
    """Somebody turns the lock, and two commands are given."""
    await begin(stage)
    since = len(stage.heard)
    await stage.happens(lambda: stage.lock.turn(UNLOCKED))
    await hears(stage, DOOR, shows("unlocked"), since)
    for action, transaction in (("lock", "a1"), ("unlatch", "a2")):
        await give(stage, action, transaction)
        await hears(stage, RESULT, after(transaction, "confirmed"))
    await settled(stage)


def own(stage: RealStage, one: Parrot) -> Counter[str]:
    """How often others than the parrot spoke on each topic."""
    heard, back = (Counter(packet.topic for packet in packets) for packets in (stage.heard, one.said))
    return heard - back


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("answer", [the_same, the_same_live, the_same_retained])
async def test_what_is_said_back_moves_nothing_and_brings_no_storm(answer: Answer, protocol: str) -> None:
    async with mosquitto() as broker, way_to(broker) as way, stage_at(broker, way, protocol) as stage:
        async with parrot(broker, answer) as one:
            await an_evening(stage)
            await settled(stage)
        assert acted(stage) == ["2", "3"]
        # Said back retained, a command is refused for that; else it is a repeat.
        why = "retained" if protocol == "5" and answer is the_same_retained else "duplicate"
        for transaction in ("a1", "a2"):
            assert set(life(stage, transaction)) == {("accepted", None), ("confirmed", None), ("refused", why)}
        spoke = own(stage, one)
        assert spoke[RESULT] == 6  # of two commands, and of two that were said back
        assert 5 <= spoke[EVENT] <= 8  # three changes and two refusals; a poll may see more of the lock's way
        assert 4 <= spoke[DOOR] <= 10  # the start, three changes, and two on their way; the same
        assert max(spoke.values()) <= 12  # `settled` asks, and is asked back
        assert len(stage.log) <= 8
        await keeps_its_word(stage)


# --- Again and again ------------------------------------------------------------------------------------------------


async def test_a_command_that_goes_round_for_ever_is_obeyed_once() -> None:
    """Whoever hears himself says it again and again, and the gateway's answers, too."""
    async with mosquitto() as broker, way_to(broker) as way, stage_at(broker, way, "5") as stage:
        await begin(stage)
        async with parrot(broker, the_same, hears_itself=True):
            await give(stage, "unlatch", "a1")
            await until(lambda: len(said(stage, SET)) >= ROUNDS, "it goes round")
            await settled(stage)
        assert acted(stage) == ["3"]
        assert set(life(stage, "a1")) == {("accepted", None), ("confirmed", None), ("refused", "duplicate")}
        assert len(stage.log) <= 8
        await keeps_its_word(stage)


async def test_a_command_between_two_brokers_that_send_each_other_commands_is_obeyed_once() -> None:
    """Two bridges of mosquitto, one at each broker: neither knows that the other one brings back what it takes away."""
    later = Later()
    async with (
        way_to(later) as back,
        mosquitto(settings=one_way("back", back)) as far,
        way_to(far) as there,
        mosquitto(settings=one_way("there", there)) as near,
    ):
        later.port = near.port
        async with way_to(near) as way, stage_at(near, way, "5") as stage:
            await begin(stage)
            await stage.publish(Packet(PROBE, b"", 1))
            await until(lambda: len(said(stage, PROBE)) >= 3, "the circle is closed")
            await give(stage, "unlatch", "a1")
            await until(lambda: len(said(stage, SET)) >= 10 * ROUNDS, "it goes round")
            back.cut()
            await settled(stage)
            assert acted(stage) == ["3"]
            assert set(life(stage, "a1")) == {("accepted", None), ("confirmed", None), ("refused", "duplicate")}
            assert len(stage.log) <= 8
            await keeps_its_word(stage)


# --- Snapshots as commands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_snapshots_that_are_copied_to_set_are_no_commands(protocol: str) -> None:
    def copy(heard: Packet) -> Packet | None:
        return replace(heard, topic=SET, retain=False) if heard.topic == DOOR else None

    async with mosquitto() as broker, way_to(broker) as way, stage_at(broker, way, protocol) as stage:
        async with parrot(broker, copy) as one:
            await begin(stage)
            for state, word in ((UNLOCKED, "unlocked"), (LOCKED, "locked"), (UNLOCKED, "unlocked")):
                since = len(stage.heard)
                await stage.happens(partial(stage.lock.turn, state))
                await hears(stage, DOOR, shows(word), since)
            await settled(stage)
            await until(lambda: len(said(stage, RESULT)) >= len(said(stage, DOOR)), "each copy is refused")
        assert acted(stage) == []
        results = [(one["status"], one["reason"]) for one in said(stage, RESULT)]
        assert results == [("refused", "bad_payload")] * len(one.said)
        assert len(one.said) == len(said(stage, DOOR)) <= 6
        assert len(stage.log) <= 8
        await keeps_its_word(stage)
