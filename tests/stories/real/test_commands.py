"""Commands from a foreign MQTT client through a real process to a simulated Bridge, beside a real mosquitto."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.adapters.mosquitto import mosquitto, needs_mosquitto
from tests.stories.real.household import Ear, ear, kept
from tests.stories.real.processes import QUICK, Site, online, site, until

pytestmark = needs_mosquitto

DOOR = "nuki2mqtt/front_door"
SET, RESULT = f"{DOOR}/set", f"{DOOR}/result"
REPLY = "clients/7/reply"
PROBES = 400


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site with a broker of its own and a motor that does not keep us waiting."""
    async with mosquitto() as broker, site(tmp_path, broker) as one:
        one.bridge.timing = replace(QUICK, motor_s=0.3, unlatched_s=0.3)
        yield one


@asynccontextmanager
async def foreign(here: Site) -> AsyncIterator[aiomqtt.Client]:
    """A client of somebody else."""
    version = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client(here.broker.host, here.broker.port, protocol=version) as client:
        yield client


def now() -> str:
    return datetime.now(UTC).isoformat()


def mqtt(protocol: str) -> str:
    """The settings for one version of MQTT."""
    return f'protocol: "{protocol}"'


async def result(heard: Ear, transaction: Any, *statuses: str, timeout_s: float = 15.0) -> dict[str, Any]:
    """The result of a transaction that has one of these states; any, if none is named."""
    said = await heard.wait_for(
        RESULT,
        lambda one: one["transaction"] == transaction and (not statuses or one["status"] in statuses),
        timeout_s=timeout_s,
    )
    assert isinstance(said.payload, dict)
    return said.payload


async def ready(heard: Ear, name: str = "probe") -> None:
    """Until commands are taken: then an old one is refused for its age."""
    for number in range(PROBES):
        transaction = f"{name} {number}"
        await heard.publish(SET, json.dumps({"action": "lock", "ts": 1, "transaction": transaction}).encode())
        found = await result(heard, transaction)
        assert found["status"] == "refused"
        if found["reason"] == "stale":
            return
        assert found["reason"] == "starting"
        await asyncio.sleep(0.02)
    raise AssertionError("it never takes commands")


async def answered(heard: Ear) -> None:
    """Until an old command is refused again; some may be dropped before."""
    for number in range(20):
        transaction = f"after {number}"
        await heard.publish(SET, json.dumps({"action": "lock", "ts": 1, "transaction": transaction}).encode())
        with contextlib.suppress(AssertionError):
            await result(heard, transaction, timeout_s=1.0)
            return
    raise AssertionError("it answers no more")


def actions(here: Site) -> list[str]:
    return [request.query["action"] for request in here.bridge.requests if request.path == "/lockAction"]


def life(heard: Ear, transaction: Any) -> list[tuple[str, str | None]]:
    said = heard.said(RESULT)
    return [(one["status"], one["reason"]) for one in said if one["transaction"] == transaction]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_unlock_and_unlatch_and_lock(here: Site, protocol: str) -> None:
    config = here.write_config(mqtt=mqtt(protocol))
    async with ear(here.broker) as heard:
        running = await here.run(config)
        await online(heard)
        await ready(heard)
        for number, action in enumerate(("unlock", "unlatch", "lock")):
            order = {"action": action, "ts": now(), "transaction": number}
            await heard.publish(SET, json.dumps(order).encode())
            end = await result(heard, number, "confirmed", "failed", "unconfirmed", "expired", "refused")
            assert (end["status"], end["action"]) == ("confirmed", action)
            assert life(heard, number) == [("accepted", None), ("confirmed", None)]
        await heard.wait_for(DOOR, lambda said: said["state"] == "locked" and not said["derived"])
        assert actions(here) == ["1", "3", "2"]
        assert (here.lock.turns, here.lock.unlatches) == (3, 1)
        assert not [topic for topic in await kept(here.broker) if topic.endswith(("/set", "/result"))]
        assert await running.stop() == 0


async def test_with_mqtt_5_a_bare_word_and_a_response_topic(here: Site) -> None:
    config = here.write_config(mqtt=mqtt("5"))
    async with ear(here.broker) as heard, ear(here.broker, "clients/#") as replies, foreign(here) as client:
        await here.run(config)
        await online(heard)
        await ready(heard)
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = REPLY
        properties.CorrelationData = b"\x00\xff7"
        await client.subscribe(REPLY, qos=1)
        await client.publish(SET, b"unlatch", qos=1, properties=properties)
        answers: list[aiomqtt.Message] = []
        async with asyncio.timeout(15):
            async for message in client.messages:
                answers.append(message)
                if len(answers) == 2:
                    break
        assert [json.loads(message.payload)["status"] for message in answers] == ["accepted", "confirmed"]
        assert {getattr(message.properties, "CorrelationData", None) for message in answers} == {b"\x00\xff7"}
        await replies.barrier()
        assert [said.retain for said in replies.heard] == [False, False]
        assert life(heard, None) == [("accepted", None), ("confirmed", None)]
        assert actions(here) == ["3"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_stored_command_is_refused_and_cleared_at_the_start(here: Site, protocol: str) -> None:
    config = here.write_config(mqtt=mqtt(protocol))
    async with foreign(here) as client:
        order = {"action": "unlatch", "ts": now(), "transaction": "stored"}
        await client.publish(SET, json.dumps(order).encode(), qos=1, retain=True)
    async with ear(here.broker) as heard:
        await here.run(config)
        end = await result(heard, "stored")
        assert (end["status"], end["reason"]) == ("refused", "retained")
        await online(heard)
        await ready(heard)
        assert SET not in await kept(here.broker)
        assert life(heard, "stored") == [("refused", "retained")]
        assert actions(here) == []
        assert here.lock.turns == 0


async def test_with_mqtt_5_a_live_one_with_the_retain_flag_is_refused_and_cleared(here: Site) -> None:
    config = here.write_config(mqtt=mqtt("5"))
    async with ear(here.broker) as heard, foreign(here) as client:
        await here.run(config)
        await online(heard)
        await ready(heard)
        order = {"action": "unlatch", "ts": now(), "transaction": "live"}
        await client.publish(SET, json.dumps(order).encode(), qos=1, retain=True)
        end = await result(heard, "live")
        assert (end["status"], end["reason"]) == ("refused", "retained")
        await ready(heard, "again")
        assert SET not in await kept(here.broker)
        assert actions(here) == []


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_killed_between_sending_and_answer(here: Site, protocol: str) -> None:
    config = here.write_config(mqtt=mqtt(protocol))
    async with ear(here.broker) as heard:
        first = await here.run(config)
        await online(heard)
        await ready(heard)
        order = json.dumps({"action": "unlatch", "ts": now(), "transaction": "a1"})
        with here.bridge.faults.silent("/lockAction", acts=True):
            await heard.publish(SET, order.encode())
            await until(lambda: actions(here), "the order arrives at the Bridge")
            assert (await result(heard, "a1"))["status"] == "accepted"
            await first.kill()
        mark = len(heard.heard)
        second = await here.run(config)
        end = await result(heard, "a1", "unconfirmed")
        assert (end["reason"], end["may_have_acted"]) == ("restarted", True)
        await online(heard, since=mark)
        await ready(heard, "again")
        await heard.publish(SET, json.dumps({"action": "unlatch", "ts": now(), "transaction": "a1"}).encode())
        assert (await result(heard, "a1", "refused"))["reason"] == "duplicate"
        assert life(heard, "a1") == [("accepted", None), ("unconfirmed", "restarted"), ("refused", "duplicate")]
        assert actions(here) == ["3"]
        assert here.lock.unlatches == 1
        assert await second.stop() == 0


async def test_after_an_outage_of_the_bridge_s_network_nothing_comes_late(here: Site) -> None:
    config = here.write_config(mqtt=mqtt("5"), extra="commands: {ttl_s: 2}\n")
    async with ear(here.broker) as heard:
        await here.run(config)
        await online(heard)
        await ready(heard)
        with here.bridge.faults.refuse_connections():
            await heard.publish(SET, json.dumps({"action": "unlatch", "transaction": "a1"}).encode())
            end = await result(heard, "a1", "failed", "expired")
            assert (end["reason"], end["may_have_acted"]) == ("bridge_unreachable", False)
        await heard.publish(SET, json.dumps({"action": "unlock", "transaction": "a2"}).encode())
        assert (await result(heard, "a2", "confirmed", "failed", "expired"))["status"] == "confirmed"
        assert actions(here)[-1:] == ["1"]
        assert (here.lock.turns, here.lock.unlatches) == (1, 0)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_flood_leaves_it_responsive(here: Site, protocol: str) -> None:
    config = here.write_config(mqtt=mqtt(protocol))
    async with ear(here.broker) as heard, foreign(here) as client:
        running = await here.run(config)
        await online(heard)
        await ready(heard)
        for number in range(3000):
            await client.publish(f"nuki2mqtt/device_{number % 50}/set", b"{%d" % number, qos=0)
        for number in range(500):
            await client.publish(SET, b"[%d" % number, qos=0)
        # What comes while its inbox is full is dropped: a command is lost rather than carried out late.
        began = time.monotonic()
        await answered(heard)
        order = {"action": "unlatch", "ts": now(), "transaction": "after the flood"}
        await client.publish(SET, json.dumps(order).encode(), qos=1)
        end = await result(heard, "after the flood", "confirmed", "failed", "unconfirmed", "expired", "refused")
        assert end["status"] == "confirmed"
        assert time.monotonic() - began < 15
        assert actions(here) == ["3"]
        assert here.lock.unlatches == 1
        assert await running.stop() == 0
