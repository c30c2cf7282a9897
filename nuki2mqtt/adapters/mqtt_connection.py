"""One connection to the broker, from TCP to its end; it is never used twice.

paho keeps what was published during an outage and delivers it afterwards, aiomqtt keeps what was received and
not read: with a client of its own for each connection neither can happen.
"""

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from nuki2mqtt.adapters.mqtt_client import WireClient
from nuki2mqtt.adapters.mqtt_outbox import WINDOW, Outbox
from nuki2mqtt.adapters.mqtt_pulse import Pulse
from nuki2mqtt.adapters.mqtt_reasons import (
    ConnectFailed,
    FailureKind,
    closed_early,
    connack_failure,
    network_failure,
    publish_refusal,
)
from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttRefused,
    MqttSubscribed,
    Publish,
    Subscription,
)
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.settings_words import MqttProtocol

_LOG = logging.getLogger(__name__)

MqttEvent = MqttConnected | MqttSubscribed | MqttLost | MqttReceived | MqttPublished | MqttRefused
Emit = Callable[[MqttEvent], Awaitable[None]]
_Answers = tuple[int | ReasonCode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the link waits, in seconds; tests use shorter ones."""

    keepalive_s: int = 30
    silence_s: float = 5.0  # from TCP to CONNACK
    ack_s: float = 10.0  # from a write to its PUBACK, from SUBSCRIBE to SUBACK
    goodbye_s: float = 1.0  # from DISCONNECT to the end
    ask_again_s: float = 60.0  # from refused subscriptions to the next try
    tick_s: float = 1.0  # how often the acknowledgements are looked at
    backoff_min_s: float = 1.0
    standstill_s: float = 4.0  # a tick that is later means that this process stood still
    backoff_max_s: float = 15.0  # somebody stands before the door
    stable_s: float = 60.0  # a connection that lasted as long starts the back-off anew


class MqttConnection:
    """`open`, `carry` until it is lost, then `disconnect` (no will is said) or `abandon` (the will is said)."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        protocol: MqttProtocol,
        order: ConnectMqtt,
        *,
        tls: ssl.SSLContext | None,
        timing: Timing,
        touch: Callable[[], None],
    ) -> None:
        self.protocol = protocol
        self._settings = settings
        self._subscriptions = order.subscriptions
        self._refused: tuple[Subscription, ...] = ()
        self._timing = timing
        self._touch = touch
        self._now = asyncio.get_running_loop().time
        self._pulse = Pulse(timing.tick_s, timing.standstill_s)
        self._backlog_at = 0.0
        self._outcomes: asyncio.Queue[MqttPublished | MqttRefused] = asyncio.Queue()  # bounded by the outbox
        self._outbox = Outbox(self._write, self._now)
        self._client = WireClient(
            settings,
            client_id=client_id,
            protocol=protocol,
            will=order.will,
            tls=tls,
            keepalive_s=timing.keepalive_s,
            silence_s=timing.silence_s,
            pulse=self._pulse,
            on_acknowledged=self._on_acknowledged,
        )
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._client.ended.add_done_callback(lambda ended: self._lose(ended.result()))

    async def open(self) -> None:
        """Connect until the CONNACK; raises ConnectFailed and leaves nothing open then.

        Looking up the name, TCP and the TLS handshake block a thread of the executor, not the loop; each has
        a time limit of its own (the resolver's, and paho's 5 s).
        """
        entering = asyncio.create_task(self._client.__aenter__(), name="mqtt-connect")
        is_open = False
        try:
            first: set[asyncio.Future[Any]] = {entering, self._client.ended}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            self._check_entered(entering)
            is_open = True
        finally:
            if not is_open:
                entering.cancel()
                await asyncio.gather(entering, return_exceptions=True)
                await self.abandon()
        self._pulse.beat()
        self._outbox.window = max(1, min(WINDOW, self._client.limits.receive_maximum))
        self._touch()

    def _check_entered(self, entering: "asyncio.Task[WireClient]") -> None:
        client = self._client
        if client.connack is not None and client.connack.is_failure:
            raise connack_failure(client.connack.value, str(client.connack))
        if client.ended.done() and client.connack is not None:
            raise ConnectFailed(FailureKind.UNREACHABLE, client.ended.result())
        if client.ended.done():
            raise closed_early(client.wire_error, str(self.protocol))
        try:
            entering.result()
        except aiomqtt.MqttError as error:
            # aiomqtt 2.5.1 raises its own errors "from None": what happened is in the context only.
            cause = error.__context__
            if not client.is_reached and isinstance(cause, OSError):
                raise network_failure(cause, self._settings.host, self._settings.port) from error
            raise ConnectFailed(
                FailureKind.NO_ANSWER,
                f"the broker does not answer to MQTT {self.protocol} within {self._timing.silence_s:g} s",
            ) from error
        except UnicodeError as error:
            raise network_failure(error, self._settings.host, self._settings.port) from error

    async def carry(self, emit: Emit) -> str:
        """Subscribe, then carry messages and outcomes until the connection is lost; gives the reason."""
        # The tasks tell a loss by a future, not by an exception: in Python 3.11 a TaskGroup whose child fails swallows
        # a cancellation of its own task that comes in the same moment.
        self._pulse.beat()  # nothing is subscribed yet: only from here on something can wait
        async with asyncio.TaskGroup() as tasks:
            carrying = [
                tasks.create_task(self._receive(emit), name="mqtt-receive"),
                tasks.create_task(self._report(emit), name="mqtt-report"),
                tasks.create_task(self._watch(), name="mqtt-watch"),
                tasks.create_task(self._ask_again(), name="mqtt-ask-again"),
                tasks.create_task(self._await_fault(), name="mqtt-fault"),
            ]
            reason = await asyncio.shield(self._lost)
            for task in carrying:
                task.cancel()
        return reason

    def publish(self, order: Publish) -> None:
        """Write it, or keep it until fewer are unacknowledged; the outcome comes as an event."""
        if not self._outbox.put(order):
            _LOG.error("Too many MQTT messages wait to be sent; the connection is begun anew")
            self._client.abandon()

    async def flush(self, timeout_s: float) -> None:
        """Wait until everything is acknowledged, the connection has ended or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._outbox.idle.wait()

    async def disconnect(self) -> None:
        """Leave with a DISCONNECT after what is already written, so that the will is not said."""
        if not self._client.ended.done():
            self._client.say_goodbye()
            await asyncio.wait({self._client.ended}, timeout=self._timing.goodbye_s)
        await self.abandon()

    async def abandon(self) -> None:
        """Drop the line, as a power cut would: the broker says the will."""
        self._client.abandon()
        if self._client.is_reached and not self._client.ended.done():
            await asyncio.wait({self._client.ended}, timeout=self._timing.goodbye_s)

    def _lose(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)
        self._outbox.idle.set()

    async def _receive(self, emit: Emit) -> None:
        answers = await self._subscribe(self._subscriptions)
        if answers is None or not self._check_granted(answers):
            return
        self._touch()
        await emit(MqttSubscribed())
        while True:
            message = await self._client.arrivals.next()
            self._touch()
            await emit(message)

    async def _subscribe(self, subscriptions: tuple[Subscription, ...]) -> _Answers | None:
        """What the broker says to each of them; None where it says nothing, and the connection is lost for that."""
        if not subscriptions:
            return ()
        filters: Any = [
            (each.topic_filter, _options(each) if self.protocol is MqttProtocol.V5 else each.qos)
            for each in subscriptions
        ]
        try:
            # Not by aiomqtt's own limit: in Python 3.11 its `wait_for` swallows a cancellation that meets the SUBACK.
            async with asyncio.timeout(self._timing.ack_s):
                return tuple(await self._client.subscribe(filters, timeout=math.inf))
        except (aiomqtt.MqttError, TimeoutError):
            self._lose("the broker does not acknowledge our subscriptions")
            return None

    def _check_granted(self, answers: _Answers) -> bool:
        refused = _refusals(self._subscriptions, answers)
        if refused and len(refused) == len(self._subscriptions):
            self._lose(f"the broker refuses all subscriptions ({refused[0][1]}): check its ACL")
            return False
        for subscription, answer in refused:
            _LOG.warning(
                "The broker refuses to subscribe us to %s (%s): check its ACL", subscription.topic_filter, answer
            )
        self._refused = tuple(subscription for subscription, _ in refused)
        return True

    async def _ask_again(self) -> None:
        """The broker's rules may have changed."""
        while True:
            await asyncio.sleep(self._timing.ask_again_s)
            asked = self._refused
            answers = await self._subscribe(asked)
            if answers is None:
                return
            self._refused = tuple(subscription for subscription, _ in _refusals(asked, answers))
            for subscription in asked:
                if subscription not in self._refused:
                    _LOG.info("The broker subscribes us to %s now", subscription.topic_filter)

    async def _report(self, emit: Emit) -> None:
        while True:
            await emit(await self._outcomes.get())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._timing.tick_s)
            self._touch()
            if self._pulse.has_stood_still:
                self._lose("this process stood still; what waited meanwhile is not acted upon")
                self._client.abandon()
                return
            self._pulse.beat()
            if not self._client.arrivals.empty():
                self._backlog_at = self._now()  # the acknowledgements are behind what we have not got through
            since = self._outbox.waiting_since
            if since is not None and self._now() - max(since, self._backlog_at) > self._timing.ack_s:
                self._lose(f"the broker has not acknowledged a message within {self._timing.ack_s:g} s")

    async def _await_fault(self) -> None:
        """An exception of paho's reader: aiomqtt tells it only to those who iterate, and leaves the socket open."""
        try:
            async for _ in self._client.messages:
                pass  # `arrivals` has them: nothing comes this way
        except aiomqtt.MqttError as error:
            self._lose(f"what the broker sent cannot be read: {error.__cause__}")  # unless `ended` came first

    def _write(self, order: Publish) -> int | None:
        objection = self._client.limits.objection(order)
        if objection is None:
            try:
                return self._client.write(order)
            except ValueError as error:  # paho: a topic that cannot be published to
                objection = str(error)
        self._outcomes.put_nowait(MqttRefused(order.message_id, objection))
        return None

    def _on_acknowledged(self, packet: int, reason: ReasonCode) -> None:
        self._touch()
        message_id = self._outbox.acknowledge(packet)
        if message_id is None:
            return
        if reason.is_failure:  # 16, "no matching subscribers", is none
            self._outcomes.put_nowait(MqttRefused(message_id, publish_refusal(reason.value, str(reason))))
        else:
            self._outcomes.put_nowait(MqttPublished(message_id))


def _refusals(
    subscriptions: tuple[Subscription, ...], answers: _Answers
) -> list[tuple[Subscription, int | ReasonCode]]:
    return [
        (subscription, answer)
        for subscription, answer in zip(subscriptions, answers, strict=False)
        if (answer.value if isinstance(answer, ReasonCode) else answer) >= 0x80
    ]


def _options(subscription: Subscription) -> SubscribeOptions:
    return SubscribeOptions(
        qos=subscription.qos,
        noLocal=False,
        retainAsPublished=subscription.retain_as_published,
        retainHandling=SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE,
    )
