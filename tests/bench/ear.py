"""The subscriber: notes when a message comes, before anything else is done with it."""

import asyncio
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from tests.bench.bare import HOST

WAIT_S = 20.0
Expected = asyncio.Future[tuple[float, Any]]


class Ear:
    """paho alone on this loop, without a queue or a task between the socket and the clock."""

    def __init__(self, port: int, protocol: str, *filters: str) -> None:
        version = MQTTProtocolVersion.MQTTv5 if protocol == "5" else MQTTProtocolVersion.MQTTv311
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.on_connect = self._on_connect
        self._port = port
        self._filters = filters
        self._number = -1
        self._loop = asyncio.get_running_loop()
        self._connected = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._expected: list[tuple[str, Callable[[Any], object], Expected]] = []

    async def __aenter__(self) -> Self:
        self._client.connect(HOST, self._port, keepalive=0)
        connection = self._client.socket()
        if connection is None:
            raise ConnectionError("the broker is gone")
        self._number = connection.fileno()
        self._loop.add_reader(self._number, self._client.loop_read)
        async with asyncio.timeout(WAIT_S):
            await self._connected.wait()
            self._client.subscribe([(each, 0) for each in self._filters])
            await self._subscribed.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._number)
        self._client.disconnect()

    def expect(self, topic: str, is_wanted: Callable[[Any], object] = lambda _: True) -> Expected:
        """When the next such message comes (`time.perf_counter`), and what it says."""
        expected: Expected = self._loop.create_future()
        self._expected.append((topic, is_wanted, expected))
        return expected

    def say(self, topic: str, payload: Any) -> float:
        """Publish; the moment at which it began."""
        text = json.dumps(payload)
        at = time.perf_counter()
        if self._client.publish(topic, text, qos=1).rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionError("the broker is gone")
        return at

    def _on_connect(self, *_: Any) -> None:
        self._connected.set()

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed.set()

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        at = time.perf_counter()
        self._expected = [one for one in self._expected if not one[2].done()]
        for topic, is_wanted, expected in self._expected:
            if topic == message.topic and is_wanted(said := json.loads(message.payload or b"null")):
                expected.set_result((at, said))


async def heard(*expected: Expected, within_s: float = WAIT_S) -> list[float]:
    """When all of this was heard; raises TimeoutError, and then expects none of it any more."""
    async with asyncio.timeout(within_s):
        return [at for at, _ in await asyncio.gather(*expected)]
