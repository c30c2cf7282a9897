"""One client of amqtt's broker: its packets, read whole and one after another, and what is sent to it.

Belongs to `amqtt_broker.py`, which says what is mended.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, cast

from amqtt.adapters import BufferReader, StreamWriterAdapter
from amqtt.errors import ProtocolHandlerError
from amqtt.mqtt import packet_class
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader, MQTTPacket
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.pubrel import PubrelPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from amqtt.session import INCOMING

ACK_S = 4.0  # for a client to acknowledge a message
MOST_WAITING = 1000  # messages of one client not yet passed on
WINDOW = 100  # messages to one client that are sent and not yet acknowledged
MOST_LEAVING = 20_000  # messages to one client not yet taken: all that is retained, and some
LARGEST_PACKET = 1_048_576  # bytes

_LOG = logging.getLogger(__name__)


class BrokenRuleError(Exception):
    """What a client sent is no MQTT that we take."""


class Reader(BufferReader):  # type: ignore[misc] # amqtt is not typed
    """Gives amqtt the CONNECT that was read already; what follows is read as whole packets."""

    def __init__(self, connect: bytes, incoming: asyncio.StreamReader) -> None:
        super().__init__(connect)
        self._incoming = incoming
        self.silence_s: float | None = None

    async def next_packet(self) -> MQTTPacket[Any, Any, Any]:
        """The next packet; raises IncompleteReadError at the end, TimeoutError, BrokenRuleError, amqtt's errors."""
        async with asyncio.timeout(self.silence_s):
            head, body = await read_packet(self._incoming)
        header = MQTTFixedHeader(head[0] >> 4, head[0] & 0x0F, len(body))
        packet = await packet_class(header).from_stream(BufferReader(bytes(body)), fixed_header=header)
        return cast("MQTTPacket[Any, Any, Any]", packet)


class Writer(StreamWriterAdapter):  # type: ignore[misc] # amqtt is not typed
    """Never waits for a peer that does not read."""

    is_closed: bool

    def write(self, data: bytes) -> None:
        """Write, unless the line is broken: asyncio would complain of it in the log."""
        if not self._writer.transport.is_closing():
            super().write(data)

    async def close(self) -> None:
        """Send what is written, in the background, and close."""
        if not self.is_closed:
            self.is_closed = True
            self._writer.close()

    def abort(self) -> None:
        """Drop the line."""
        self._writer.transport.abort()


class Handler(BrokerProtocolHandler):  # type: ignore[misc] # amqtt is not typed
    """One client's packets; `ended` is set when nothing more will be said in its name."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # amqtt makes its own anew at each start, and so misses an end that comes at once.
        self.goodbye: asyncio.Future[DisconnectPacket | None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._pending_subscriptions: asyncio.Queue[Any] = asyncio.Queue(MOST_WAITING)
        self._pending_unsubscriptions: asyncio.Queue[Any] = asyncio.Queue(MOST_WAITING)
        self._exactly_once: set[asyncio.Task[None]] = set()
        self._leaving = 0
        self._window = asyncio.Semaphore(WINDOW)

    def drop(self, why: str) -> None:
        """End the connection as a power cut would: the client's will is said."""
        if self.writer is not None and not self.ended.is_set():
            _LOG.debug("An MQTT client is dropped: %s", why)
            self.writer.abort()

    async def handle_disconnect(self, disconnect: DisconnectPacket | None) -> None:
        """The client has said goodbye, or None: the line is broken."""
        if not self.goodbye.done():
            self.goodbye.set_result(disconnect)

    async def _reader_loop(self) -> None:
        """Take packets until the end; while what was taken cannot be passed on, no more is read."""
        self._reader_ready.set()
        try:
            while not isinstance(packet := await self.reader.next_packet(), DisconnectPacket):
                await self._take(packet)
            await self.handle_disconnect(packet)
        except Exception as error:  # noqa: BLE001 - whatever amqtt raises, this client has broken a rule or the line
            self.drop(repr(error))
        finally:
            for task in self._exactly_once:
                task.cancel()
            await self.handle_connection_closed()
            self._reader_stopped.set()
            await self.stop()

    async def _take(self, packet: MQTTPacket[Any, Any, Any]) -> None:
        match packet:
            case PublishPacket(qos=2):
                if len(self._exactly_once) >= MOST_WAITING:
                    raise BrokenRuleError("too many messages of QoS 2 at once")
                # It waits for the PUBREL, which is yet to be read.
                task = asyncio.create_task(self.handle_publish(packet))
                self._exactly_once.add(task)
                task.add_done_callback(self._exactly_once.discard)
            case PublishPacket():
                await self.handle_publish(packet)
            case SubscribePacket():
                await self.handle_subscribe(packet)
            case UnsubscribePacket():
                await self.handle_unsubscribe(packet)
            case PubackPacket():
                await self.handle_puback(packet)
            case PubrecPacket():
                await self.handle_pubrec(packet)
            case PubrelPacket():
                await self.handle_pubrel(packet)
            case PubcompPacket():
                await self.handle_pubcomp(packet)
            case PingReqPacket():
                await self.handle_pingreq(packet)
            case _:
                raise BrokenRuleError(f"{type(packet).__name__} is not for a client to send")

    async def _handle_qos0_message_flow(self, app_message: Any) -> None:
        if app_message.direction == INCOMING:
            await self.session.delivered_message_queue.put(app_message)  # amqtt drops it when there is no room
        else:
            await super()._handle_qos0_message_flow(app_message)

    async def mqtt_publish(self, *args: Any, **options: Any) -> None:
        """Send a message; a client that does not take it, or too slowly, is dropped. Nobody awaits the outcome."""
        if self._leaving >= MOST_LEAVING:
            self.drop("it takes less than is sent")
            return
        self._leaving += 1
        try:
            async with self._window:
                await self._publish_until_goodbye(super().mqtt_publish(*args, **options))
        finally:
            self._leaving -= 1

    async def _publish_until_goodbye(self, publishing: Coroutine[Any, Any, Any]) -> None:
        sending = asyncio.ensure_future(publishing)
        try:
            await asyncio.wait((sending, self.goodbye), timeout=ACK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            outcome: Any = (await asyncio.gather(sending, return_exceptions=True))[0]
        if isinstance(outcome, BaseException):
            self.drop(f"a message was not taken: {outcome!r}")

    async def _send_packet(self, packet: Any) -> None:
        try:
            await super()._send_packet(packet)
        except ProtocolHandlerError as error:
            if isinstance(error.__cause__, asyncio.CancelledError):  # amqtt hides it
                raise asyncio.CancelledError from error
            self.drop(f"a packet was not sent: {error!r}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is of no more use
            self.drop(f"a packet was not sent: {error!r}")


async def read_packet(stream: asyncio.StreamReader, *, only: int | None = None) -> tuple[bytearray, bytearray]:
    """The fixed header of the next packet, and the rest of it; raises IncompleteReadError, BrokenRuleError."""
    head = bytearray(await stream.readexactly(1))
    if only is not None and head[0] != only:
        raise BrokenRuleError(f"the first byte is {head[0]:#04x}")
    length = 0
    for place in range(4):  # MQTT 3.1.1 section 2.2.3
        head += await stream.readexactly(1)
        length |= (head[-1] & 0x7F) << 7 * place
        if head[-1] < 0x80:
            break
    else:
        raise BrokenRuleError("the length of a packet has no end")
    if length > LARGEST_PACKET:
        raise BrokenRuleError(f"a packet of {length} bytes")
    return head, bytearray(await stream.readexactly(length))
