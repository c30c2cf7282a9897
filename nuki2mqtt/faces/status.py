"""`nuki2mqtt status`: what the running gateway says of itself, its Bridges and its devices, read once.

It reads retained messages only and asks nobody: neither a Bridge nor a lock notices.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from nuki2mqtt.adapters.clock import SystemClock
from nuki2mqtt.adapters.log_output import configure_logging
from nuki2mqtt.adapters.mqtt_link import Timing
from nuki2mqtt.errors import MqttError
from nuki2mqtt.faces.overview import BridgeView, DeviceView, Overview, read_overview, topic_filters
from nuki2mqtt.faces.overview_lines import render_lines
from nuki2mqtt.faces.retained import TIMING, read_retained
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK, Setup
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_words import Output
from nuki2mqtt.protocol.topics import TopicTree


def status(setup: Setup, *, as_json: bool, timing: Timing = TIMING) -> int:
    """Print the overview; status 0 if a gateway is online and vouches for everything, 1 otherwise."""
    settings = setup.settings
    configure_logging(settings.log.level, settings.log.format, setup.secrets)
    try:
        overview = asyncio.run(_read(settings, timing))
    except MqttError as error:
        say(f"No connection to the broker. {printable(str(error))}", is_trouble=True)
        return EXIT_FAILED
    if as_json:
        say(json.dumps(render_body(overview)))
    else:
        for line in render_lines(overview, SystemClock().now().wall):
            say(str(line))
    return EXIT_OK if overview.is_well else EXIT_FAILED


async def _read(settings: Settings, timing: Timing) -> Overview:
    mqtt = settings.mqtt
    tree = TopicTree(mqtt.base_topic, settings.homeassistant.prefix)
    filters = topic_filters(tree, has_attributes=mqtt.output is Output.ATTRIBUTE)
    retained = await read_retained(mqtt, "status", filters, timing=timing)
    return read_overview(retained, tree, f"{mqtt.base_topic} at {mqtt.host}:{mqtt.port}")


def render_body(overview: Overview) -> dict[str, Any]:
    """The overview for programs: the retained objects as they are, sorted, with the verdicts beside them."""
    return {
        "online": overview.is_online,
        "well": overview.is_well,
        "gateway": {"state": overview.state, "info": overview.info, "health": overview.health},
        "bridges": [_bridge(bridge) for bridge in overview.bridges],
        "devices": [_device(device) for device in overview.devices],
    }


def _bridge(bridge: BridgeView) -> Mapping[str, Any]:
    return {
        "id": bridge.bridge_id,
        "availability": bridge.availability,
        "bridge": bridge.body,
        "health": bridge.health,
    }


def _device(device: DeviceView) -> Mapping[str, Any]:
    listed = device.listed
    return {
        "topic": device.topic,
        "listed": listed is not None,
        "permitted": None if listed is None else list(listed.permitted),
        "availability": device.availability,
        "vouched_for": device.is_vouched_for,
        "snapshot": device.snapshot,
    }
