"""The link to the broker: it connects, carries and reconnects by itself, and decides nothing.

What it says and when:

- `MqttConnected` at each CONNACK, `MqttSubscribed` at the SUBACK; only then `MqttReceived`.
- `MqttLost` once per outage: when a connection is lost, and when the first attempt fails (also the first one
  after a deliberate reconnect). Further failures of the same outage go to the log: a new reason as a warning,
  an old one for debugging.
- `MqttPublished` or `MqttRefused` for each publish of a connection that lives on. Nothing is kept across
  connections: what was published while there was none, or was unacknowledged, must be said again.
"""

import asyncio
import logging
from collections.abc import Callable

from nuki2mqtt.adapters.mqtt_connection import Emit, MqttConnection, MqttEvent, Timing
from nuki2mqtt.adapters.mqtt_reasons import ConnectFailed, FailureKind
from nuki2mqtt.adapters.mqtt_tls import make_tls_context
from nuki2mqtt.gateway.vocabulary import ConnectMqtt, MqttConnected, MqttLost, Publish
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.settings_words import MqttProtocol

__all__ = ["Emit", "MqttEvent", "MqttLink", "Timing"]
_LOG = logging.getLogger(__name__)
_STANDARD = Timing()


class MqttLink:
    """The connection to the broker; `run` owns every task of it.

    `emit` puts an event into the service's inbox; while it waits nothing more is taken from the connection, and
    received messages beyond a bound are dropped. `jitter` gives a number from 0 to 1.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        emit: Emit,
        jitter: Callable[[], float],
        timing: Timing = _STANDARD,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._emit = emit
        self._jitter = jitter
        self._timing = timing
        self._order: ConnectMqtt | None = None
        self._turn = asyncio.Event()  # a new order, or the end
        self._is_closing = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._connection: MqttConnection | None = None
        self._works: MqttProtocol | None = None
        self._is_up = False  # MqttConnected was said, and no MqttLost since
        self._outage: str | None = None  # the reason said last in this outage
        self._last_activity = float("-inf")

    @property
    def last_activity(self) -> float:
        """`loop.time()` of the last sign that the link is at work.

        At most `tick_s` old while connected; between attempts as old as the back-off, a name look-up and the
        connecting may take (about 80 s). Minus infinity before the first attempt.
        """
        return self._last_activity

    def connect(self, order: ConnectMqtt) -> None:
        """Be connected like this from now on; a running connection is ended without its will being said."""
        self._order = order
        self._turn.set()

    def publish(self, order: Publish) -> None:
        """Send it now; without a connection it is dropped, for all is said again after `MqttConnected`."""
        if self._connection is not None and not self._turn.is_set() and not self._is_closing:
            self._connection.publish(order)

    async def close(self, timeout_s: float) -> None:
        """Wait for the acknowledgements, then leave with a DISCONNECT, so that the will is not said.

        Call it while `run` is running, and cancel `run` afterwards; cancelled alone, it drops the line and
        the broker says the will. No `MqttLost` is said, and `connect` does nothing any more.
        """
        self._is_closing = True
        if self._connection is not None:
            await self._connection.flush(timeout_s)
        self._turn.set()
        await self._is_idle.wait()

    async def run(self) -> None:
        """Keep the connection that was ordered last, until cancelled."""
        while True:
            await self._turn.wait()
            self._turn.clear()
            if self._is_closing:
                await asyncio.Event().wait()
            if self._order is not None:
                await self._follow(self._order)

    async def _follow(self, order: ConnectMqtt) -> None:
        """Serve one order until the next comes."""
        if self._is_up:
            await self._emit(MqttLost("reconnecting"))
            self._is_up = False
        self._outage = None
        self._is_idle.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._serve(order), name="mqtt-link")
                await self._turn.wait()
                serving.cancel()
        finally:
            self._is_idle.set()

    async def _serve(self, order: ConnectMqtt) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            try:
                connection = await self._open(order)
            except ConnectFailed as failure:
                await self._say_lost(str(failure))
            else:
                begun = loop.time()
                await self._say_lost(await self._hold(connection))
                if loop.time() - begun >= self._timing.stable_s:
                    failures = 0
            failures += 1
            await asyncio.sleep(self._pause(failures))

    async def _hold(self, connection: MqttConnection) -> str:
        """Carry until the connection is lost; gives the reason."""
        self._connection = connection
        try:
            await self._emit(MqttConnected(str(connection.protocol)))
            self._is_up, self._outage = True, None
            return await connection.carry(self._emit)
        finally:
            self._connection = None
            if self._turn.is_set():
                await connection.disconnect()
            else:
                await connection.abandon()

    async def _say_lost(self, reason: str) -> None:
        if self._is_up or self._outage is None:
            await self._emit(MqttLost(reason))
            self._is_up = False
        elif reason != self._outage:
            _LOG.warning("Still no MQTT broker: %s", reason)
        else:
            _LOG.debug("Still no MQTT broker: %s", reason)
        self._outage = reason

    def _pause(self, failures: int) -> float:
        """Exponential, fully jittered between the bounds: 1 to 2 s after the first failure, then 1 to 4 s."""
        shortest, longest = self._timing.backoff_min_s, self._timing.backoff_max_s
        ceiling: float = min(longest, shortest * 2 ** min(failures, 16))
        return shortest + self._jitter() * (ceiling - shortest)

    async def _open(self, order: ConnectMqtt) -> MqttConnection:
        """Connect with the protocol that is set, or with the one that works, tried first as it did last."""
        if self._settings.protocol is not MqttProtocol.AUTO:
            return await self._dial(self._settings.protocol, order)
        first = self._works or MqttProtocol.V5
        try:
            connection = await self._dial(first, order)
        except ConnectFailed as failure:
            if not failure.concerns_protocol:
                raise
            connection = await self._open_other(first, failure, order)
        self._works = connection.protocol
        return connection

    async def _open_other(self, refused: MqttProtocol, refusal: ConnectFailed, order: ConnectMqtt) -> MqttConnection:
        other = MqttProtocol.V311 if refused is MqttProtocol.V5 else MqttProtocol.V5
        try:
            connection = await self._dial(other, order)
        except ConnectFailed as failure:
            if failure.concerns_protocol:
                raise refusal from failure
            raise
        if other is MqttProtocol.V311 and refusal.kind is FailureKind.NO_ANSWER:
            return await self._prefer_v5(connection, order)
        return connection

    async def _prefer_v5(self, v311: MqttConnection, order: ConnectMqtt) -> MqttConnection:
        """Ask for MQTT 5 again: a broker that was just starting is silent too, and 3.1.1 would then stay."""
        await v311.disconnect()
        try:
            return await self._dial(MqttProtocol.V5, order)
        except ConnectFailed as failure:
            if not failure.concerns_protocol:
                raise
        return await self._dial(MqttProtocol.V311, order)

    async def _dial(self, protocol: MqttProtocol, order: ConnectMqtt) -> MqttConnection:
        self._touch()
        tls = None
        if self._settings.tls.enabled:
            tls = await asyncio.to_thread(make_tls_context, self._settings.tls)
        connection = MqttConnection(
            self._settings,
            self._client_id,
            protocol,
            order,
            tls=tls,
            timing=self._timing,
            touch=self._touch,
        )
        await connection.open()
        self._touch()
        return connection

    def _touch(self) -> None:
        self._last_activity = asyncio.get_running_loop().time()
