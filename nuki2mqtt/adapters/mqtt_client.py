"""aiomqtt's client with what a gateway for locks needs beside it.

Written against aiomqtt 2.5.1 and paho-mqtt 2.2.0; the constraint `<3` and the tests of `mqtt_link` watch over
the names of aiomqtt that are overridden here. What is missing there:

- a connection closed before its CONNACK is noticed only when the time is up, and one that was given up stays
  open, connected under our client id (`ended`, `abandon`);
- `publish` does not tell the reason code of a PUBACK, and waits for it (`write`, `on_acknowledged`);
- it does not tell when the process itself stood still, and what it reads then has waited as long (`pulse`);
- its queue of received messages is read by one task per message, slower than it is filled (`arrivals`);
- the limits that the broker names in its CONNACK are dropped (`limits`);
- `add_writer` is called an iteration late, for a socket that may be closed by then: a traceback, or a foreign
  file descriptor that is watched for ever.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from nuki2mqtt.adapters.mqtt_arrivals import Arrivals, received
from nuki2mqtt.adapters.mqtt_pulse import Pulse
from nuki2mqtt.adapters.mqtt_reasons import disconnect_reason, tls_text
from nuki2mqtt.gateway.vocabulary import Publish, Will
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.settings_words import MqttProtocol

_LOG = logging.getLogger(__name__)
LARGEST_PACKET = 256 * 1024
_LARGEST_HEADER = 16  # MQTT 5.0 section 3.3: fixed header 5, topic length 2, packet id 2, no properties 1; rounded up


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """What the broker accepts (MQTT 5.0 section 3.2.2.3); the defaults are those of the specification."""

    receive_maximum: int = 65535
    maximum_qos: int = 2
    maximum_packet: int | None = None
    keeps_retained: bool = True

    @classmethod
    def of(cls, properties: Properties | None) -> "BrokerLimits":
        """Read them from a CONNACK."""
        return cls(
            receive_maximum=getattr(properties, "ReceiveMaximum", 65535),
            maximum_qos=getattr(properties, "MaximumQoS", 2),
            maximum_packet=getattr(properties, "MaximumPacketSize", None),
            keeps_retained=getattr(properties, "RetainAvailable", 1) != 0,
        )

    def objection(self, order: Publish) -> str | None:
        """Why this message must not be sent: the broker would end the whole connection for it."""
        size = len(order.topic.encode()) + len(order.payload) + len(order.correlation or b"") + _LARGEST_HEADER
        if self.maximum_packet is not None and size > self.maximum_packet:
            return f"{size} bytes are more than the {self.maximum_packet} that the broker accepts"
        if order.retain and not self.keeps_retained:
            return "the broker keeps no retained messages"
        return None


class WireClient(aiomqtt.Client):
    """One connection under our rules; never entered twice.

    `ended` gets the reason, once, whichever side ended it and whether or not the broker ever answered.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        client_id: str,
        protocol: MqttProtocol,
        will: Will | None,
        tls: ssl.SSLContext | None,
        keepalive_s: int,
        silence_s: float,
        pulse: Pulse,
        on_acknowledged: Callable[[int, ReasonCode], None],
    ) -> None:
        is_v5 = protocol is MqttProtocol.V5
        super().__init__(
            settings.host,
            settings.port,
            username=settings.username,
            password=None if settings.password is None else settings.password.reveal(),
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if is_v5 else aiomqtt.ProtocolVersion.V311,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
            clean_session=None if is_v5 else True,
            clean_start=True if is_v5 else paho.MQTT_CLEAN_START_FIRST_ONLY,  # paho refuses others for 3.1.1
            properties=_connect_properties() if is_v5 else None,
            keepalive=keepalive_s,
            timeout=silence_s,
            tls_context=tls,
            # An acknowledgement and an answer are two small segments: the second would wait for 40 ms.
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            max_inflight_messages=65535,  # the outbox keeps the window: paho's queue would change the order
            logger=_silent_logger(),
        )
        self._client.on_log = self._on_log
        self._protocol = protocol
        self._on_acknowledged = on_acknowledged
        self._abandoned = False
        self._pulse = pulse
        self.wire_error = ""
        self.is_reached = False
        self.connack: ReasonCode | None = None
        self.limits = BrokerLimits()
        self.arrivals = Arrivals()
        self.ended: asyncio.Future[str] = self._loop.create_future()

    def write(self, order: Publish) -> int:
        """Queue for the socket, without waiting; the packet's number. Raises ValueError for a bad topic."""
        qos = min(order.qos, self.limits.maximum_qos)
        properties = None
        if order.correlation is not None and self._protocol is MqttProtocol.V5:
            properties = _correlation_properties(order.correlation)
        return self._client.publish(order.topic, order.payload, qos, order.retain, properties).mid

    def say_goodbye(self) -> None:
        """Write what is queued and DISCONNECT: the broker forgets the will. `ended` follows."""
        if self._client.disconnect() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.abandon()

    def abandon(self) -> None:
        """Leave without DISCONNECT: the broker publishes the will. `ended` follows if TCP was up."""
        self._abandoned = True
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # paho reads the end of the stream and tidies up after itself

    def _on_log(self, _client: paho.Client, _userdata: Any, level: LogLevel | int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self.wire_error = text.removeprefix("failed to receive on socket: ")
        _LOG.debug("paho: %s", text)

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.connack = reason_code
        self.limits = BrokerLimits.of(properties)
        if not self._abandoned:
            super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self.ended.done():
            self.ended.set_result(self._why(flags, reason_code))
        if self._abandoned and self.connack is None:
            return  # aiomqtt 2.5.1 asks its cancelled future for an exception here, and raises CancelledError
        # Always as a good end: aiomqtt keeps a bad one in a future that nobody may ever read.
        super()._on_disconnect(client, userdata, flags, ReasonCode(PacketTypes.DISCONNECT, "Success"), properties)

    def _why(self, flags: paho.DisconnectFlags, reason_code: ReasonCode) -> str:
        if flags.is_disconnect_packet_from_server:
            return disconnect_reason(reason_code.value, str(reason_code))
        if reason_code == "Keep alive timeout":
            return "the broker does not answer any more"
        if self.wire_error:
            return f"the connection to the broker broke: {tls_text(self.wire_error)}"
        # mosquitto 2.0.11 says no more than this when another client takes our client id over.
        return "the broker closed the connection (if again and again: does another client use our mqtt.client_id?)"

    def _on_publish(
        self,
        client: paho.Client,  # noqa: ARG002
        userdata: Any,  # noqa: ARG002
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,  # noqa: ARG002
    ) -> None:
        self._on_acknowledged(mid, reason_code)

    def _on_message(
        self,
        client: paho.Client,  # noqa: ARG002
        userdata: Any,  # noqa: ARG002
        message: paho.MQTTMessage,
    ) -> None:
        if self._abandoned:
            return
        if self._pulse.has_stood_still:
            self.abandon()  # before anything is acted upon that has waited in the socket
            return
        try:
            self.arrivals.take(received(message, self._protocol, self._pulse.certain_s))
        except UnicodeDecodeError:  # MQTT 5.0 section 1.5.4: no broker may send it
            _LOG.debug("A message is ignored: its topic is no UTF-8")

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        """In a thread of the executor, when TCP and TLS are up."""
        self.is_reached = True
        if self._abandoned:
            sock.close()
            raise ConnectionAbortedError("given up while connecting")
        super()._on_socket_open(client, userdata, sock)

    def _on_socket_register_write(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ARG002
        sock: Any,
    ) -> None:
        """Watch for writability, unless the socket is gone when the turn of the loop comes."""
        number = sock.fileno()

        def write() -> None:
            client.loop_write()
            if client.socket() is sock and not client.want_write():
                self._loop.remove_writer(number)

        def watch() -> None:
            if client.socket() is sock:
                self._loop.add_writer(number, write)

        self._loop.call_soon_threadsafe(watch)


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho 2.2.0
    properties.SessionExpiryInterval = 0
    properties.MaximumPacketSize = LARGEST_PACKET
    return properties


def _correlation_properties(correlation: bytes) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho 2.2.0
    properties.CorrelationData = correlation
    return properties


def _silent_logger() -> logging.Logger:
    # paho logs each broken connection as an error, which `MqttLost` says better; `on_log` gets every line.
    logger = logging.getLogger(f"{__name__}.paho")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
