"""Where received messages wait for the inbox: a bounded place, first come, first served."""

import asyncio
import logging

from paho.mqtt.client import MQTTMessage

from nuki2mqtt.gateway.vocabulary import MqttReceived
from nuki2mqtt.protocol.settings_words import MqttProtocol

_LOG = logging.getLogger(__name__)
MESSAGES_LIMIT = 1000
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
        if self.full() or self._bytes + len(message.payload) > BYTES_LIMIT:
            if not self._dropped:
                _LOG.warning("More MQTT messages arrive than can be handled; the newest are dropped")
            self._dropped += 1
            return
        if self._dropped:
            _LOG.warning("MQTT messages are taken again; %d were dropped", self._dropped)
            self._dropped = 0
        self.put_nowait(message)
        self._bytes += len(message.payload)

    async def next(self) -> MqttReceived:
        """The oldest message, when there is one."""
        message = await self.get()
        self._bytes -= len(message.payload)
        return message


def received(message: MQTTMessage, protocol: MqttProtocol) -> MqttReceived:
    """Translate paho's message; raises UnicodeDecodeError for a topic that is no UTF-8."""
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
    )
