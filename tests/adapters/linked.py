"""A running `MqttLink` and the inbox that it fills."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink, Timing
from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttSubscribed,
    Publish,
    Subscription,
    Will,
)
from nuki2mqtt.protocol.settings import MqttSettings
from tests.adapters.brokers import Reachable

E = TypeVar("E", bound=MqttEvent)
QUICK = Timing(ack_s=5.0, tick_s=0.05, backoff_min_s=0.02, backoff_max_s=0.2)
IMPATIENT = Timing(silence_s=0.4, ack_s=0.4, tick_s=0.05, backoff_min_s=0.02, backoff_max_s=0.2)
WILL = Will("base/gateway/state", b"offline")
ORDER = ConnectMqtt(WILL, (Subscription("base/+/set", retain_as_published=True),))


class Inbox:
    """Takes events in; while `gate` is closed it takes no received message.

    When a message was received, which no test can foretell, is taken off it and kept in `arrivals`.
    """

    def __init__(self) -> None:
        self.events: list[MqttEvent] = []
        self.arrivals: list[float | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._changed = asyncio.Condition()

    async def emit(self, event: MqttEvent) -> None:
        if isinstance(event, MqttReceived):
            await self.gate.wait()
            self.arrivals.append(event.received)
            event = replace(event, received=None)
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def all(self, kind: type[E]) -> list[E]:
        """Every event of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type[E], count: int = 1, timeout_s: float = 15.0) -> E:
        """The count-th event of a kind, come already or to come."""
        await self.wait_until(lambda: len(self.all(kind)) >= count, timeout_s)
        return self.all(kind)[count - 1]

    async def wait_until(self, predicate: Callable[[], bool], timeout_s: float = 15.0) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(predicate)
        except TimeoutError:
            raise AssertionError(f"it did not come; the last events: {self.events[-20:]}") from None


@dataclass
class Linked:
    """The link, its inbox and the task that runs it."""

    link: MqttLink
    inbox: Inbox
    running: asyncio.Task[None]
    _published: int = 0

    def publish(
        self,
        topic: str,
        payload: bytes = b"x",
        *,
        qos: int = 1,
        retain: bool = False,
        correlation: bytes | None = None,
    ) -> int:
        """Publish under the next message id."""
        self._published += 1
        self.link.publish(Publish(self._published, topic, payload, qos, retain, correlation))
        return self._published

    async def ready(self, count: int = 1) -> str:
        """Wait for the count-th connection and its subscriptions; its protocol."""
        await self.inbox.wait_for(MqttSubscribed, count)
        return self.inbox.all(MqttConnected)[-1].protocol

    @property
    def reasons(self) -> list[str]:
        """Why the connection was lost, each time."""
        return [lost.reason for lost in self.inbox.all(MqttLost)]

    async def crash(self) -> None:
        """End it without a goodbye."""
        self.running.cancel()
        done, _ = await asyncio.wait({self.running}, timeout=5)
        assert done, "the link has swallowed its cancellation"
        if not self.running.cancelled():
            self.running.result()


@asynccontextmanager
async def linked(
    broker: Reachable,
    *,
    order: ConnectMqtt | None = ORDER,
    timing: Timing = QUICK,
    client_id: str = "nuki2mqtt-test",
    **settings: Any,
) -> AsyncIterator[Linked]:
    """A link that was told to connect to this broker (unless `order` is None)."""
    inbox = Inbox()
    there = {"host": broker.host, "port": broker.port, "protocol": broker.protocol}
    link = MqttLink(
        MqttSettings(**{**there, **settings}),
        client_id,
        emit=inbox.emit,
        jitter=lambda: 0.5,
        timing=timing,
    )
    if order is not None:
        link.connect(order)
    one = Linked(link, inbox, asyncio.create_task(link.run(), name="link"))
    try:
        yield one
    finally:
        await one.crash()
