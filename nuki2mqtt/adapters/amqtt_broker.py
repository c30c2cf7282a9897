"""amqtt's broker with what is missing there. Only `embedded_broker.py` imports this, since amqtt may be absent.

What amqtt 0.12.1 does, and this does not (each held by tests/adapters/test_embedded_broker.py):

- tells a new client the retained messages of everybody else's subscriptions;
- never ends a client that falls silent, in the middle of a packet or before its CONNECT either, nor says its will;
- leaves the former connection of a client id open, and one that breaks the rules;
- hangs or garbles a CONNECT of MQTT 5, depending on what is in it;
- drops what a client sent just before its DISCONNECT;
- forgets a message whose acknowledgement does not come, and queues without bound for a client that takes nothing;
- leaves connections open when it is shut down.

No session outlives its connection: a client that asks for one is told that there is none.
"""

import asyncio
import hmac
import logging
from typing import Any

from amqtt.adapters import BufferReader
from amqtt.broker import Broker
from amqtt.mqtt.connect import ConnectPacket
from amqtt.session import Session

from nuki2mqtt.adapters.amqtt_connection import MOST_WAITING, BrokenRuleError, Handler, Reader, Writer, read_packet

CONNECT_S = 5.0  # from TCP to CONNECT
CLOSE_S = 1.0  # for a peer to take the last bytes, and for a conversation to end
MOST_RETAINED = 10_000  # topics

_LOG = logging.getLogger(__name__)
_CONNECT = 0x10  # MQTT 3.1.1 section 3.1.1
_ACCEPTABLE = b"\x00\x04MQTT\x04"  # sections 3.1.2.1 and 3.1.2.2: protocol name and level
_CLEAN_SESSION = 0x02  # section 3.1.2.3, in the byte after those
_WRONG_PROTOCOL, _NOT_AUTHORISED = 1, 5  # section 3.2.2.3


class MendedBroker(Broker):  # type: ignore[misc] # amqtt is not typed
    """The broker; with a `login` (user and password) nobody else is let in."""

    def __init__(self, config: Any, login: tuple[str, str] | None) -> None:
        super().__init__(config)
        self._login = login
        self._broadcast_queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MOST_WAITING)
        self._conversations: dict[asyncio.Task[Any], asyncio.WriteTransport] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._servers["default"].instance.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, end every conversation, then the broker."""
        for server in self._servers.values():
            server.instance.close()
        for transport in self._conversations.values():
            transport.abort()
        if self._conversations:
            _, left = await asyncio.wait(tuple(self._conversations), timeout=CLOSE_S)
            for task in left:
                task.cancel()
        await self.shutdown()

    # --- One conversation ---------------------------------------------------------------------------------------------

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Talk with a client until its end; nothing is left open."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this in a task
        self._conversations[task] = writer.transport
        try:
            await self._converse(reader, writer, listener_name)
        except Exception as error:  # noqa: BLE001 - amqtt lets much through, and no client may hurt the others
            _LOG.debug("A conversation with an MQTT client ended by %r", error)
        finally:
            writer.close()
            try:
                async with asyncio.timeout(CLOSE_S):
                    await writer.wait_closed()
            except (TimeoutError, OSError):
                writer.transport.abort()
            del self._conversations[task]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        async with asyncio.timeout(CONNECT_S):
            head, body = await read_packet(reader, only=_CONNECT)
        if len(body) <= len(_ACCEPTABLE):
            raise BrokenRuleError("a CONNECT that says nothing")
        if body[:7] != _ACCEPTABLE:
            writer.write(_connack(_WRONG_PROTOCOL))
            return
        body[7] |= _CLEAN_SESSION
        if not await self._may_enter(bytes(head + body)):
            writer.write(_connack(_NOT_AUTHORISED))
            return
        await self._client_connected(listener_name, Reader(bytes(head + body), reader), Writer(writer))

    async def _may_enter(self, connect: bytes) -> bool:
        if self._login is None:
            return True
        payload = (await ConnectPacket.from_stream(BufferReader(connect))).payload
        given = (payload.username or "", payload.password or "")
        return all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, self._login, strict=True))

    async def _initialize_client_session(
        self, reader: Reader, writer: Writer, remote_address: str, remote_port: int
    ) -> tuple[Handler, Session]:
        _, session = await super()._initialize_client_session(reader, writer, remote_address, remote_port)
        reader.silence_s = 1.5 * session.keep_alive or None  # MQTT 3.1.1 section 3.1.2.10
        session.keep_alive = 0  # amqtt's own count leads to nothing
        session.delivered_message_queue = asyncio.Queue(MOST_WAITING)
        return Handler(self.plugins_manager), session

    async def _authenticate(self, *_: Any) -> bool:
        return True  # `_may_enter` has asked

    async def _topic_filtering(self, *_: Any, **__: Any) -> bool:
        return True

    async def _delete_session(self, client_id: str) -> None:
        """Make room for a newcomer: the former owner of its id is dropped and its will said before (section 3.1.4)."""
        while (old := self._sessions.get(client_id, (None, None))[1]) is not None:
            old.drop("another client has come with its id")
            await old.ended.wait()

    async def _handle_client_session(
        self, reader: Reader, writer: Writer, client_session: Session, handler: Handler, *where: Any
    ) -> None:
        try:
            await super()._handle_client_session(reader, writer, client_session, handler, *where)
        finally:
            if self._sessions.get(client_session.client_id, (None, None))[1] is handler:
                await super()._delete_session(client_session.client_id)
            handler.ended.set()

    async def _client_message_loop(self, client_session: Session, handler: Handler) -> None:
        """Serve one client until its end. What it had sent before goes out first, then its will, if it is due."""
        arrivals = client_session.delivered_message_queue
        ended = handler.goodbye
        subscribed = asyncio.ensure_future(handler.get_next_pending_subscription())
        unsubscribed = asyncio.ensure_future(handler.get_next_pending_unsubscription())
        arrived = asyncio.ensure_future(arrivals.get())
        is_obedient = True
        try:
            while is_obedient and not ended.done():
                waiters = (ended, subscribed, unsubscribed, arrived)
                await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
                if subscribed.done():
                    await self._handle_subscription(client_session, handler, subscribed)
                    subscribed = asyncio.ensure_future(handler.get_next_pending_subscription())
                if unsubscribed.done():
                    await self._handle_unsubscription(client_session, handler, unsubscribed)
                    unsubscribed = asyncio.ensure_future(handler.get_next_pending_unsubscription())
                if arrived.done():
                    is_obedient = await self._handle_message_delivery(client_session, handler, arrived)
                    arrived = asyncio.ensure_future(arrivals.get())
        finally:
            for waiter in (subscribed, unsubscribed, arrived):
                waiter.cancel()
            await asyncio.gather(subscribed, unsubscribed, arrived, return_exceptions=True)
        left = [] if arrived.cancelled() else [arrived.result()]
        while is_obedient and not arrivals.empty():
            left.append(arrivals.get_nowait())
        for message in left:
            is_obedient = is_obedient and await self._handle_message_delivery(client_session, handler, _done(message))
        await self._handle_disconnect(client_session, handler, ended if is_obedient else _done(None))

    # --- Retained messages --------------------------------------------------------------------------------------------

    async def retain_message(self, source_session: Any, topic_name: Any, data: Any, qos: Any = None) -> None:
        """Keep or clear, unless too many topics are kept."""
        if data and topic_name not in self._retained_messages and len(self._retained_messages) >= MOST_RETAINED:
            _LOG.warning("The embedded broker keeps %d retained messages and takes no more", MOST_RETAINED)
            return
        await super().retain_message(source_session, topic_name, data, qos)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """After SUBSCRIBE; amqtt calls it at CONNECT too, with the filters of all clients."""
        topic_filter, qos = subscription
        handler = self._get_handler(session)
        if handler is None or all(owner is not session for owner, _ in self._subscriptions.get(topic_filter, ())):
            return
        found = [kept for topic, kept in self._retained_messages.items() if self._matches(topic, topic_filter)]
        await asyncio.gather(
            *(handler.mqtt_publish(each.topic, each.data, min(qos, each.qos or 0), retain=True) for each in found),
            return_exceptions=True,
        )


def _connack(code: int) -> bytes:
    return bytes((0x20, 2, 0, code))  # MQTT 3.1.1 section 3.2


def _done(value: Any) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
