"""Where received messages wait for the inbox: a bounded place, first come, first served."""

import asyncio
import logging

from paho.mqtt.client import MQTTMessage

from nuki2mqtt.gateway.vocabulary import MqttReceived
from nuki2mqtt.protocol.settings_words import MqttProtocol

_LOG = logging.getLogger(__name__)
MESSAGES_LIMIT = 10_000  # commands wait here for no longer than their ttl: then they are refused
BYTES_LIMIT = 8 * 1024 * 1024
LARGEST_V311_PAYLOAD = 64 * 1024  # 3.1.1 has no limit to ask the broker for, so the rest is cut off here


class Arrivals(asyncio.Queue[MqttReceived]):
    """When it is full the newest messages are dropped and counted.

    The broker has their PUBACK by then: a command is lost rather than carried out late.
    """

    def __init__(self) -> None:
        super().__init__(MESSAGES_LIMIT)
        self._bytes = 0
        self._dropped = 0

    def take(self, message: MqttReceived) -> None:
        """Keep it or drop it; the first and the last of those dropped in a row are logged."""
        if self.full() or self._bytes + _size(message) > BYTES_LIMIT:
            if not self._dropped:
                _LOG.warning("More MQTT messages arrive than can be handled; the newest are dropped")
            self._dropped += 1
            return
        if self._dropped:
            _LOG.warning("MQTT messages are taken again; %d were dropped", self._dropped)
            self._dropped = 0
        self.put_nowait(message)
        self._bytes += _size(message)

    async def next(self) -> MqttReceived:
        """The oldest message, when there is one."""
        message = await self.get()
        self._bytes -= _size(message)
        return message


def _size(message: MqttReceived) -> int:
    return (
        len(message.topic) + len(message.payload) + len(message.response_topic or "") + len(message.correlation or b"")
    )


def received(message: MQTTMessage, protocol: MqttProtocol, at: float) -> MqttReceived:
    """Translate paho's message, which came at this monotonic time; raises UnicodeDecodeError for a bad topic."""
    payload = bytes(message.payload)
    if protocol is MqttProtocol.V311:
        payload = payload[: LARGEST_V311_PAYLOAD + 1]  # one byte more, so that it is seen to be too large
    properties = message.properties
    return MqttReceived(
        topic=message.topic,
        payload=payload,
        retained=bool(message.retain),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
        received=at,
    )
