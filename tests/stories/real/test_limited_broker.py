"""A broker that refuses MQTT 5: with `protocol: auto` everything works in 3.1.1, and opens nothing by chance.

The stories of the whole gateway that hold for 3.1.1 are told once more, to gateways that have to find out. The rest is
told of a process.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.broken_brokers import REFUSE_V5, REFUSE_V311, limited_broker
from tests.adapters.mosquitto import mosquitto, needs_mosquitto
from tests.stories.real.stage import stage_at, way_to
from tests.stories.real.trouble import (
    ENDS,
    RESULT,
    SET,
    STATE,
    home,
    now,
    selected,
    started,
    told_at_once,
)
from tests.storm.gateway_stories import STORIES as OF_ALL
from tests.storm.gateway_stories import Story, settings_of, spec_of

pytestmark = [needs_mosquitto, pytest.mark.timeout(180)]

V311 = [story for story in OF_ALL if story.protocol == "3.1.1"]
INFO, BY_ID = "nuki2mqtt/gateway/info", "nuki2mqtt/1A2B3C4D/set"


@pytest.mark.parametrize("story", V311, ids=str)
async def test_story_for_a_gateway_that_has_to_fall_back(story: Story) -> None:
    settings = settings_of(spec_of(story.protocol))
    settings = replace(settings, mqtt=replace(settings.mqtt, protocol=MqttProtocol.AUTO))
    async with (
        mosquitto(persistence=True) as broker,
        limited_broker(broker, REFUSE_V5) as limited,
        way_to(limited) as way,
        stage_at(broker, way, story.protocol, settings) as stage,
    ):
        await story.tell(stage)
        assert "Connected to the broker, MQTT 3.1.1." in stage.log
        assert limited.levels[:3] == [5, 4, 4]  # looking, then with a will


# --- A process ----------------------------------------------------------------------------------------------------


async def it_falls_back_and_works(folder: Path, answer: bytes) -> None:
    async with (
        mosquitto(persistence=True) as broker,
        limited_broker(broker, answer) as limited,
        home(folder, broker, mqtt="protocol: auto") as one,
    ):
        config = one.here.write_config(via=limited)
        for topic in (SET, BY_ID):  # it opens, and it has a ts that is in order
            order = {"action": "unlatch", "ts": now(), "transaction": f"kept at {topic}"}
            await one.heard.publish(topic, json.dumps(order).encode(), retain=True)

        running = await started(one.here, one.heard, config)
        assert limited.levels[:3] == [5, 4, 4]
        await running.wait_line("INFO", "Connected to the broker, MQTT 3.1.1.")
        assert (await one.heard.wait_for(INFO)).payload["protocol"] == "3.1.1"
        for topic in (SET, BY_ID):  # the device is not known yet: each is answered where it was given
            refusal = (await one.heard.wait_for(topic.replace("/set", "/result"))).payload
            assert (refusal["status"], refusal["reason"]) == ("refused", "retained")
        await one.heard.publish(SET, b"lock")
        refusal = await one.orders.result(None, "refused")
        assert (refusal["action"], refusal["reason"]) == ("lock", "starting")
        await one.orders.ready()
        await one.orders.shows_the_truth()  # and keeps no command
        assert one.orders.acted == []

        await one.heard.publish(SET, b"unlatch")
        await one.heard.wait_for(RESULT, lambda said: said["reason"] == "needs_ts")
        await running.wait_line("WARNING", "needs_ts", '{"action": "unlatch", "ts": "')
        order = {"action": "unlatch", "ts": now(), "transaction": "twice"}
        for _ in range(2):
            await one.heard.publish(SET, json.dumps(order).encode())
        await one.orders.result("twice", "refused")
        await one.orders.result("twice", *ENDS)
        assert sorted(one.orders.life("twice"), key=str) == [
            ("accepted", None),
            ("confirmed", None),
            ("refused", "duplicate"),
        ]
        assert one.orders.acted == ["3"]

        mark = len(one.heard.heard)
        await running.kill()
        await one.heard.wait_for(STATE, lambda said: said == "offline", since=mark)


async def refused_in_the_words_of_mqtt_5(folder: Path) -> None:
    await it_falls_back_and_works(folder, REFUSE_V5)


async def refused_in_the_words_of_3_1_1(folder: Path) -> None:
    await it_falls_back_and_works(folder, REFUSE_V311)


STORIES = {story.__name__: story for story in (refused_in_the_words_of_mqtt_5, refused_in_the_words_of_3_1_1)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, "asyncio.Task[None]"]]:
    """The stories that were selected, begun together: each of them mostly waits."""
    async with told_at_once(selected(request, STORIES), tmp_path_factory.mktemp("limited"), places=2) as tasks:
        yield tasks


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", STORIES)
async def test_of(name: str, begun: dict[str, "asyncio.Task[None]"]) -> None:
    await begun[name]
