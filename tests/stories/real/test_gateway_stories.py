"""The stories of the gateway, told to mosquitto in real time; they are told to the broker in memory, too."""

import pytest

from tests.adapters.mosquitto import mosquitto, needs_mosquitto
from tests.stories.real.stage import stage_at, way_to
from tests.storm.gateway_stories import STORIES, Story

pytestmark = needs_mosquitto


@pytest.mark.parametrize("story", STORIES, ids=str)
async def test_story(story: Story) -> None:
    async with (
        mosquitto(persistence=True) as broker,
        way_to(broker) as way,
        stage_at(broker, way, story.protocol) as stage,
    ):
        await story.tell(stage)
