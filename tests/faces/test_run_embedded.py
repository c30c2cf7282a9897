"""`mqtt.embedded: true`: the service with a broker of its own, in a process of its own."""

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from nuki2mqtt.adapters.embedded_broker import EmbeddedBroker
from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.brokers import HOST, listener
from tests.stories.real.household import free_port
from tests.stories.real.processes import Site, site


@dataclass(frozen=True)
class Place:
    """Where the service is to listen."""

    host: str
    port: int
    protocol: MqttProtocol = MqttProtocol.V311


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path, cast("Any", Place(HOST, free_port()))) as one:
        yield one


async def test_it_runs_with_a_broker_of_its_own(here: Site) -> None:
    running = await here.run(here.write_config(mqtt="embedded: true"))
    await running.wait_line("The embedded broker listens at", f":{here.broker.port},")
    async with listener(here.broker, "nuki2mqtt/#") as ear:
        await ear.wait_for(lambda heard: (heard.topic, heard.payload) == ("nuki2mqtt/gateway/state", b"online"))
        await ear.wait_for(
            lambda heard: (heard.topic, heard.payload) == ("nuki2mqtt/front_door/availability", b"online")
        )
        status, text = await here.finish("check", "--config", here.folder / "config.yaml")
        assert "MQTT 3.1.1, a service is online there" in text, status
        running.send(signal.SIGTERM)
        await ear.wait_for(lambda heard: (heard.topic, heard.payload) == ("nuki2mqtt/gateway/state", b"offline"))
    assert await running.ended() == 0
    assert "use one of its own for real locks" in running.text
    assert "Traceback" not in running.text
    assert "amqtt" not in running.text


async def test_with_a_login_it_lets_nobody_else_in(here: Site) -> None:
    running = await here.run(here.write_config(mqtt="embedded: true, username: me, password: hush-hush"))
    await running.wait_line("The embedded broker listens at")
    async with listener(here.broker, "nuki2mqtt/#", username="me", password="hush-hush") as ear:
        await ear.wait_for(lambda heard: (heard.topic, heard.payload) == ("nuki2mqtt/gateway/state", b"online"))
    config = here.write_config("other.yaml", mqtt="username: me, password: wrong")
    status, text = await here.finish("check", "--config", config)
    assert status == 1
    assert "the broker does not authorise us" in text
    assert await running.stop() == 0
    assert "hush-hush" not in running.text


async def test_a_busy_port_ends_the_start(here: Site) -> None:
    async with EmbeddedBroker(port=here.broker.port):
        running = await here.run(here.write_config(mqtt="embedded: true"))
        assert await running.ended() == 1
    said = f"mqtt.embedded: something listens at 127.0.0.1:{here.broker.port} already"
    assert running.lines[-1].startswith(said)
    again = await here.run()
    await again.wait_line("nothing listens at")
    assert here.asked("/info") == 0
    assert await again.stop() == 0
