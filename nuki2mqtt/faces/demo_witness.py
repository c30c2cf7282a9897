"""Who listens in the demo, and what is expected to be said: a client of its own on the same broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink
from nuki2mqtt.faces.retained import read_json, running_link
from nuki2mqtt.gateway.vocabulary import MqttLost, MqttReceived, MqttSubscribed, Publish
from nuki2mqtt.protocol.settings import Settings

PATIENCE_S = 8.0  # for each step; the motors of the course go at ten times their speed
MOST_HEARD = 10_000

Show = Callable[[MqttReceived], None]


@dataclass(frozen=True, slots=True)
class Expected:
    """One message that has to come: in words, at which topic, and with what in it (fields of JSON, or a text)."""

    what: str
    topic: str
    payload: dict[str, Any] | list[Any] | str

    def is_met_by(self, message: MqttReceived) -> bool:
        """Whether this is the message."""
        if message.topic != self.topic:
            return False
        if isinstance(self.payload, str):
            return message.payload.decode(errors="replace") == self.payload
        return _agrees(self.payload, read_json(message.payload))


def _agrees(wanted: Any, found: Any) -> bool:
    """Whether everything that is wanted is there; objects may hold more."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(key in found and _agrees(value, found[key]) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_agrees, wanted, found))
    return type(wanted) is type(found) and bool(wanted == found)


def missing(expected: Sequence[Expected], heard: Sequence[MqttReceived]) -> list[Expected]:
    """What of it nobody has heard."""
    return [each for each in expected if not any(map(each.is_met_by, heard))]


class Witness:
    """A client that hears everything."""

    def __init__(self, show: Show) -> None:
        self.heard: list[MqttReceived] = []
        self._show = show
        self._changed = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._link: MqttLink | None = None
        self._sent = 0

    async def take(self, event: MqttEvent) -> None:
        """Note what is said."""
        match event:
            case MqttReceived() if len(self.heard) < MOST_HEARD:
                self.heard.append(event)
                self._show(event)
            case MqttSubscribed():
                self._subscribed.set()
            case MqttLost():
                self._subscribed.clear()
            case _:
                pass
        self._changed.set()

    @asynccontextmanager
    async def listening(self, settings: Settings) -> AsyncIterator["Witness"]:
        """Hear everything below the base topic and the discovery prefix until the block ends."""
        filters = (f"{settings.mqtt.base_topic}/#", f"{settings.homeassistant.prefix}/#")
        async with running_link(settings.mqtt, "demo", filters, self.take) as self._link:
            async with asyncio.timeout(PATIENCE_S):
                await self._subscribed.wait()
            yield self

    def say(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1."""
        if self._link is not None:
            self._sent += 1
            self._link.publish(Publish(self._sent, topic, payload, qos=1, retain=False))

    async def wait_for(self, expected: Sequence[Expected], *, since: int = 0, patience_s: float) -> list[Expected]:
        """Until all of it was heard after the first `since` messages, or patience ends; what is missing then."""
        try:
            async with asyncio.timeout(patience_s):
                while missing(expected, self.heard[since:]):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return missing(expected, self.heard[since:])
