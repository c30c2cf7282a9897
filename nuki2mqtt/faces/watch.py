"""`nuki2mqtt watch`: what the service says on MQTT, as one readable line each."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from nuki2mqtt.adapters.clock import SystemEntropy
from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink
from nuki2mqtt.faces.setup import EXIT_OK, Setup
from nuki2mqtt.gateway.vocabulary import ConnectMqtt, MqttConnected, MqttLost, MqttReceived, Subscription
from nuki2mqtt.protocol.topics import TopicTree

Say = Callable[[str], None]
_MAX_TEXT = 300


def watch(setup: Setup) -> int:
    """Show messages until interrupted."""
    try:
        asyncio.run(_watch(setup, lambda line: print(line, flush=True)))
    except KeyboardInterrupt:
        print()
    except ExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is not None:
            raise
        _stop_printing()
    except BrokenPipeError:
        _stop_printing()
    return EXIT_OK


def _stop_printing() -> None:
    """Nobody reads on (`watch | head`): the interpreter must not find that out again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _watch(setup: Setup, say: Say) -> None:
    tree = TopicTree(setup.settings.mqtt.base_topic, setup.settings.homeassistant.prefix)

    async def emit(event: MqttEvent) -> None:
        match event:
            case MqttConnected(protocol):
                say(f"connected, MQTT {protocol}")
            case MqttLost(reason):
                print(f"no connection to the broker: {reason}", file=sys.stderr, flush=True)
            case MqttReceived():
                say(f"{datetime.now().astimezone():%H:%M:%S}  {describe(tree, event)}")
            case _:
                pass

    entropy = SystemEntropy()
    link = MqttLink(setup.settings.mqtt, f"nuki2mqtt-watch-{entropy.token(4)}", emit=emit, jitter=entropy.fraction)
    link.connect(ConnectMqtt(None, (Subscription(f"{tree.base}/#", qos=0),)))
    await link.run()


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
        details = " ".join(f"{key}={item}" for key, item in value.items() if key not in {"event_type", "actor"})
        text = f"{value['event_type']}: {details}"
    elif isinstance(value, dict) and "status" in value and "action" in value:
        text = _result(value)
    return f"{_printable(topic):<28} {_printable(text)}{mark}"


def _printable(text: str) -> str:
    """What may be shown in a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:_MAX_TEXT])


def _result(value: dict[str, Any]) -> str:
    """One step in the life of a command."""
    text = f"{value['action']} {value['status']}"
    if value.get("reason") is not None:
        text += f": {value['reason']}"
    if value.get("evidence") is not None:
        text += f" after {value.get('duration_s')} s by {value['evidence']}"
    elif value["status"] not in {"accepted", "confirmed"} and value.get("may_have_acted"):
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
