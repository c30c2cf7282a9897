"""What the broker keeps of our base topic, read once; and the connections of verbs that speak through MQTT.

The retained messages have arrived when 0.2 s passed without another, at most 2 s after the subscription, as for the
gateway itself (`gateway/broker_session.py`).
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.adapters.clock import SystemEntropy
from nuki2mqtt.adapters.mqtt_link import Emit, MqttEvent, MqttLink, Timing
from nuki2mqtt.errors import MqttError
from nuki2mqtt.faces.terminal import printable
from nuki2mqtt.gateway.broker_session import LONGEST_READ_S, QUIET_S
from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttSubscribed,
    Subscription,
)
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.topics import TopicTree

BROKER_S = 15.0
EVENTS_LIMIT = 1000
# A person waits: an outage of the broker is looked at again soon.
TIMING = Timing(backoff_max_s=5.0)
_GOODBYE_S = 1.0
_MAX_TOPICS = 5000
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Retained:
    """Payloads by topic, and the protocol ("5" or "3.1.1") by which they were read."""

    protocol: str
    messages: Mapping[str, bytes]


@asynccontextmanager
async def running_link(
    settings: MqttSettings, verb: str, filters: Sequence[str], emit: Emit, *, timing: Timing = TIMING
) -> AsyncIterator[MqttLink]:
    """A connection without a last will, under a client id of its own, until the block ends."""
    entropy = SystemEntropy()
    link = MqttLink(settings, f"nuki2mqtt-{verb}-{entropy.token(4)}", emit=emit, jitter=entropy.fraction, timing=timing)
    link.connect(ConnectMqtt(None, tuple(Subscription(each) for each in filters)))
    running = asyncio.create_task(link.run(), name=f"mqtt-{verb}")
    try:
        yield link
    finally:
        await link.close(_GOODBYE_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def next_event(events: asyncio.Queue[MqttEvent], until: float) -> MqttEvent | None:
    """The next event, or None when it is `until` by the loop's clock, also if others wait then."""
    if asyncio.get_running_loop().time() >= until:
        return None
    try:
        async with asyncio.timeout_at(until):
            return await events.get()
    except TimeoutError:
        return None


async def read_retained(
    settings: MqttSettings, verb: str, filters: Sequence[str], *, timing: Timing = TIMING
) -> Retained:
    """Read what is retained at these filters; raises MqttError, whose text says what to do."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[MqttEvent] = asyncio.Queue(EVENTS_LIMIT)
    messages: dict[str, bytes] = {}
    protocol = ""
    until, latest = loop.time() + BROKER_S, None
    async with running_link(settings, verb, filters, events.put, timing=timing):
        while (event := await next_event(events, until)) is not None:
            match event:
                case MqttLost(reason):
                    raise MqttError(f"{settings.host}:{settings.port}: {reason}")
                case MqttConnected(protocol):
                    pass
                case MqttSubscribed():
                    until, latest = loop.time() + QUIET_S, loop.time() + LONGEST_READ_S
                case MqttReceived(topic, payload) if latest is not None:
                    until = min(loop.time() + QUIET_S, latest)
                    messages.pop(topic, None)
                    if payload and len(messages) < _MAX_TOPICS:
                        messages[topic] = payload
                case _:
                    pass
    if latest is None:
        text = f"{settings.host}:{settings.port}: no answer within {BROKER_S:.0f} s; check mqtt.host and mqtt.port"
        raise MqttError(text)
    return Retained(protocol, messages)


def explain_nobody(mqtt: MqttSettings, retained: Retained, tree: TopicTree) -> str:
    """Why nothing was sent: what `gateway/state` says while no gateway is online, with the next step."""
    where = f"{tree.gateway_state} at {mqtt.host}:{mqtt.port}"
    state = retained.messages.get(tree.gateway_state)
    if state is None:
        return (
            f"No gateway: nothing is retained on {where}. Nothing was sent. Is a service running with this broker and "
            "this `mqtt.base_topic`, and may this user read there?"
        )
    return (
        f"No gateway is online: {where} says {printable(state.decode(errors='replace'), 40)!r}. Nothing was sent. "
        "Start the service, or see its log."
    )


def read_json(body: bytes | None) -> Any:
    """The JSON value of a message; None for what is no JSON, nested too deep, or could not be said again."""
    try:
        value = json.loads((body or b"").decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if _is_shallow(value) else None


def read_object(body: bytes | None) -> dict[str, Any]:
    """The JSON object of a message; empty for anything else."""
    value = read_json(body)
    return value if isinstance(value, dict) else {}


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("out of range")
    return number


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return True
    return False
