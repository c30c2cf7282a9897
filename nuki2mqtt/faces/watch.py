"""`nuki2mqtt watch`: what the service says on MQTT, as one readable line each."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from nuki2mqtt.adapters.clock import SystemEntropy
from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink
from nuki2mqtt.faces.setup import EXIT_OK, Setup
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.gateway.vocabulary import ConnectMqtt, MqttConnected, MqttLost, MqttReceived, Subscription
from nuki2mqtt.protocol.bridge_texts import STARS
from nuki2mqtt.protocol.topics import TopicTree

Say = Callable[[str], bool]
_FAREWELL_S = 1.0


def watch(setup: Setup) -> int:
    """Show messages until interrupted, or until nobody reads any more (`watch | head`)."""
    try:
        asyncio.run(_watch(setup, say))
    except KeyboardInterrupt:
        say("")
    return EXIT_OK


async def _watch(setup: Setup, tell: Say) -> None:
    """Until `tell` says that nobody takes a line."""
    tree = TopicTree(setup.settings.mqtt.base_topic, setup.settings.homeassistant.prefix)
    unread = asyncio.Event()

    def show(line: str) -> None:
        if not tell(line):
            unread.set()

    async def emit(event: MqttEvent) -> None:
        match event:
            case _ if unread.is_set():
                pass
            case MqttConnected(protocol):
                show(f"connected, MQTT {protocol}")
            case MqttLost(reason):
                say(f"no connection to the broker: {printable(reason)}", is_trouble=True)
            case MqttReceived():
                show(f"{datetime.now().astimezone():%H:%M:%S}  {describe(tree, event)}")
            case _:
                pass

    entropy = SystemEntropy()
    link = MqttLink(setup.settings.mqtt, f"nuki2mqtt-watch-{entropy.token(4)}", emit=emit, jitter=entropy.fraction)
    link.connect(ConnectMqtt(None, (Subscription(f"{tree.base}/#", qos=0),)))
    tasks = [asyncio.create_task(link.run(), name="mqtt-watch"), asyncio.create_task(unread.wait(), name="unread")]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        # Bounded: Python 3.11 may lose a cancellation that meets the broker's SUBACK. `asyncio.run` ends what is left.
        await asyncio.wait(tasks, timeout=_FAREWELL_S)


def describe(tree: TopicTree, message: MqttReceived) -> str:
    """One message as a line: the topic below the base, and what matters of the payload."""
    topic = message.topic.removeprefix(f"{tree.base}/")
    mark = " (retained)" if message.retained else ""
    text = message.payload.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and "lock" in value and "state" in value:
        text = _snapshot(value)
    elif isinstance(value, dict) and "event_type" in value:
        shown = {key: item for key, item in value.items() if key != "event_type" and (key != "actor" or item)}
        text = f"{value['event_type']}: {' '.join(f'{key}={item}' for key, item in shown.items())}"
    elif isinstance(value, dict) and "status" in value and "action" in value:
        text = _result(value)
    elif topic.endswith("/keypad/result") and isinstance(value, dict):
        text = _keypad_result(value)
    elif topic.endswith("/keypad") and isinstance(value, list):
        text = ", ".join(_keypad_code(code) for code in value if isinstance(code, dict)) or "no codes"
    elif topic.endswith("/keypad/set"):
        text = _without_code(text, value)
    return f"{printable(topic):<28} {printable(text)}{mark}"


def _without_code(text: str, value: Any) -> str:
    """An order for a keypad, which holds a code that is nobody's business; what is no order is not shown at all."""
    if not isinstance(value, dict):
        return STARS if text else ""
    return json.dumps({key: STARS if key == "code" else item for key, item in value.items()})


def _keypad_result(value: dict[str, Any]) -> str:
    """One step in the life of an order for a keypad."""
    text = f"{value.get('op')} {value.get('name')}: {value.get('status')}, {value.get('phase')}"
    return text if value.get("reason") is None else f"{text}, {value['reason']}"


def _keypad_code(value: dict[str, Any]) -> str:
    return f"{value.get('name')} {value.get('phase')}"


def _result(value: dict[str, Any]) -> str:
    """One step in the life of a command."""
    text = f"{value['action']} {value['status']}"
    if value.get("reason") is not None:
        text += f": {value['reason']}"
    if value.get("evidence") is not None:
        text += f" after {value.get('duration_s')} s by {value['evidence']}"
    elif value["status"] not in ("accepted", "confirmed") and value.get("may_have_acted"):
        text += ", may have acted"
    parts = [text, f"state {value.get('state')}"]
    if value.get("transaction") is not None:
        parts.append(f"transaction {value['transaction']}")
    return ", ".join(parts)


def _snapshot(value: dict[str, Any]) -> str:
    parts = [str(value.get("state"))]
    if value.get("door") is not None:
        parts.append(f"door {value['door']}")
    battery = value.get("battery")
    if isinstance(battery, dict) and battery.get("level") is not None:
        parts.append(f"battery {battery['level']} %")
    if value.get("ring_to_open"):
        parts.append("ring to open")
    if value.get("continuous_mode"):
        parts.append("continuous mode")
    parts.append(f"by {value.get('source')}, seen {value.get('seen')}")
    return ", ".join(parts) + (", STALE" if value.get("stale") else "")
