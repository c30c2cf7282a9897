"""The heartbeat: one inbox, one deadline, effects carried out in order.

Owns every task. Answers of Bridges come back as events; callbacks that find the inbox full are refused (the
Bridge's `/list` repairs the loss), everything else waits for room.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Protocol, assert_never

from nuki2mqtt.adapters.clock import Clock, Entropy
from nuki2mqtt.adapters.heartbeat import Heartbeat
from nuki2mqtt.adapters.log_output import register_secret, set_log_level
from nuki2mqtt.adapters.network import Network, SystemNetwork
from nuki2mqtt.errors import BridgeError, CallbackDoorError, StateFileError, WebError, WebhookDoorError
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgeAskedToPair,
    BridgeOrdered,
    BridgePaired,
    CallbackDoorFailed,
    CallbackDoorOpened,
    CallbackReceived,
    CallBridge,
    CallWeb,
    ConnectMqtt,
    DropWeb,
    Effect,
    Event,
    FindBridges,
    Level,
    Log,
    Memory,
    MemoryNotSaved,
    MemorySaved,
    OpenCallbackDoor,
    OpenWebhookDoor,
    PairBridge,
    Publish,
    ReachBridge,
    Remember,
    SetLogLevel,
    Stop,
    StopRequested,
    WebAnswered,
    WebhookDoorFailed,
    WebhookDoorOpened,
    WebhookReceived,
    WebOrdered,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import AuthAnswer, AuthRequest
from nuki2mqtt.protocol.bridge_auth import sign
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.web_api import WebAnswer

INBOX = 1000
LONGEST_TURN_S = 30.0
PAIRING_EVERY_S = 2.0
CLOSE_S = 2.0
# A call or link that is later than this past its own limits hangs, and the heartbeat stops.
HANGS_AFTER_S = 120.0
_LOG = logging.getLogger("nuki2mqtt")
Work = Coroutine[None, None, None]
_LEVELS = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}


class StatePort(Protocol):
    """Where memory is kept."""

    def save(self, memory: Memory) -> None:
        """Write it; raises StateFileError."""
        ...

    def take_pairing(self) -> tuple[BridgePaired, ...]:
        """Tokens that were handed over since the last call; raises StateFileError."""
        ...


class Service:
    """Carries events to the gateway and its effects to the outside world.

    `network` is that of this computer, unless a simulation gives another.
    """

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        *,
        client_id: str,
        state: StatePort,
        clock: Clock,
        entropy: Entropy,
        heartbeat: Heartbeat | None = None,
        network: Network | None = None,
        pairing_every_s: float = PAIRING_EVERY_S,
    ) -> None:
        network = network or SystemNetwork(settings, client_id, clock=clock, entropy=entropy)
        self._settings = settings
        self._gateway = gateway
        self._state = state
        self._clock = clock
        self._entropy = entropy
        self._heartbeat = heartbeat
        self._inbox: asyncio.Queue[Event] = asyncio.Queue(maxsize=INBOX)
        self._pairing_every_s = pairing_every_s
        self._mqtt = network.mqtt(self._inbox.put)
        self._http = network.http()
        self._door = network.door(self._accept)
        self._finder = network.finder()
        self._web = network.web()
        self._webhooks = network.webhook_door(self._accept)
        self._hosts = {bridge.link: (bridge.host, bridge.port) for bridge in settings.bridges}
        self._call_limits: dict[tuple[str, int], float] = {}
        self._web_calls: dict[int, asyncio.Task[None]] = {}
        # What is said by ourselves and finds the inbox full; it goes before what others say.
        self._own_events: deque[Event] = deque()
        self._has_stopped = False

    def request_stop(self) -> None:
        """Tidy up and end; may be called from a signal handler of the loop."""
        self._tell_own(StopRequested())

    def _tell_own(self, event: Event) -> None:
        try:
            self._inbox.put_nowait(event)
        except asyncio.QueueFull:
            self._own_events.append(event)

    async def run(self) -> None:
        """Run until a stop was requested and everything is tidied up."""
        async with self._http, self._door, self._web, self._webhooks, asyncio.TaskGroup() as tasks:
            link = tasks.create_task(self._mqtt.run(), name="mqtt")
            pairing = tasks.create_task(self._watch_pairing(), name="pairing")
            try:
                await self._turn(tasks)
                await self._mqtt.close(CLOSE_S)
            finally:
                link.cancel()
                pairing.cancel()

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        calls: set[asyncio.Task[None]] = set()

        def start(name: str, work: Work) -> asyncio.Task[None]:
            task = tasks.create_task(work, name=name)
            calls.add(task)
            task.add_done_callback(calls.discard)
            return task

        await self._carry_out(self._gateway.begin(), start)
        while not self._has_stopped:
            event = await self._next_event()
            now = self._clock.now()
            effects = self._gateway.handle_timer(now) if event is None else self._gateway.handle(event, now)
            await self._carry_out(effects, start)
            self._beat(now.monotonic)
        for task in list(calls):
            task.cancel()

    async def _next_event(self) -> Event | None:
        """The next event, or None when the gateway's deadline comes first."""
        if self._own_events:
            return self._own_events.popleft()
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        deadline = self._gateway.next_deadline()
        # Without anybody to tell that we live there is no need to wake up in between.
        limits = [] if self._heartbeat is None else [LONGEST_TURN_S]
        if deadline is not None:
            limits.append(deadline - self._clock.now().monotonic)
        wait_s = min(limits, default=None)
        if wait_s is not None and wait_s <= 0:
            await asyncio.sleep(0)  # the other tasks get their turn
            return None
        try:
            async with asyncio.timeout(wait_s):
                return await self._inbox.get()
        except TimeoutError:
            return None

    def _beat(self, now: float) -> None:
        if self._heartbeat is None:
            return
        loop_now = asyncio.get_running_loop().time()
        is_call_hanging = any(limit + HANGS_AFTER_S < now for limit in self._call_limits.values())
        is_link_hanging = 0 < self._mqtt.last_activity < loop_now - HANGS_AFTER_S
        if not is_call_hanging and not is_link_hanging:
            self._heartbeat.beat()

    # --- Effects ------------------------------------------------------------------------------------------------------

    async def _carry_out(self, effects: list[Effect], start: Callable[[str, Work], asyncio.Task[None]]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._mqtt.publish(effect)
                case ConnectMqtt():
                    self._mqtt.connect(effect)
                case CallBridge(link, call_id) as call:
                    begun = self._clock.now().monotonic
                    self._call_limits[link, call_id] = begun + call.request.timeout_s
                    if call.not_after is not None:  # before anything that has come meanwhile
                        self._own_events.append(BridgeOrdered(link, call_id, begun))
                    start(f"bridge {link}", self._call(call))
                case CallWeb(call_id) as order:
                    begun = self._clock.now().monotonic
                    if order.not_after is not None:
                        self._own_events.append(WebOrdered(call_id, begun))
                    self._web_calls[call_id] = start("cloud", self._call_web(order))
                case DropWeb(call_id):
                    if (dropped := self._web_calls.pop(call_id, None)) is not None:
                        dropped.cancel()
                case OpenWebhookDoor():
                    start("webhook door", self._open_webhook_door())
                case ReachBridge(link, host, port):
                    self._hosts[link] = (host, port)
                case FindBridges() as order:
                    start("find", self._find(order))
                case PairBridge() as order:
                    start(f"pair {order.link}", self._pair(order))
                case OpenCallbackDoor() as order:
                    start("callback door", self._open_door(order))
                case Remember(memory):
                    await self._remember(memory)
                case Log(level, text):
                    _LOG.log(_LEVELS[level], "%s", text)
                case SetLogLevel(level):
                    set_log_level(level)
                case Stop():
                    self._has_stopped = True
                case _:
                    assert_never(effect)

    async def _call(self, call: CallBridge) -> None:
        host, port = self._hosts[call.link]
        now = self._clock.now()
        params: dict[str, str] = {}
        if call.request.needs_token:
            params = sign(call.token, call.auth, now=now.wall, rnr=self._entropy.rnr(), nonce=self._entropy.nonce())
        # The state file may have taken its time: an order that is late by now is not written any more.
        left_s = None if call.not_after is None else call.not_after - now.monotonic
        try:
            answer, local_host = await self._http.send(host, port, call.request, params, connect_within_s=left_s)
            event = BridgeAnswered(call.link, call.call_id, answer, local_host, self._clock.now().monotonic)
        except BridgeError as error:
            event = BridgeAnswered(call.link, call.call_id, error)
        self._call_limits.pop((call.link, call.call_id), None)
        await self._inbox.put(event)

    async def _call_web(self, call: CallWeb) -> None:
        left_s = None if call.not_after is None else call.not_after - self._clock.now().monotonic
        answer: WebAnswer | WebError
        try:
            answer = await self._web.send(call.request, call.token, connect_within_s=left_s)
        except WebError as error:
            answer = error
        received = self._clock.now().monotonic
        self._web_calls.pop(call.call_id, None)
        await self._inbox.put(WebAnswered(call.call_id, answer, received, self._entropy.fraction()))

    async def _open_webhook_door(self) -> None:
        webhook = self._settings.nuki_web.webhook
        if webhook.secret is None:
            raise ValueError("a door for webhooks is wanted without a secret")
        try:
            port = await self._webhooks.open(webhook.host, webhook.port, webhook.path, webhook.secret)
        except WebhookDoorError as error:
            await self._inbox.put(WebhookDoorFailed(str(error)))
        else:
            await self._inbox.put(WebhookDoorOpened(port))

    async def _find(self, order: FindBridges) -> None:
        await self._inbox.put(await self._finder.find(order))

    async def _pair(self, order: PairBridge) -> None:
        outcome: Secret | BridgeError | None
        try:
            answer, _ = await self._http.send(order.host, order.port, AuthRequest(), {})
        except BridgeError as error:
            outcome = error
        else:
            outcome = answer.token if isinstance(answer, AuthAnswer) else None
        if isinstance(outcome, Secret):
            register_secret(outcome)
        await self._inbox.put(BridgeAskedToPair(order.link, outcome))

    async def _open_door(self, order: OpenCallbackDoor) -> None:
        for path in order.paths:
            register_secret(path.path)
        callback = self._settings.callback
        try:
            port = await self._door.open(callback.bind, callback.port, order.paths, callback.sender)
        except CallbackDoorError as error:
            await self._inbox.put(CallbackDoorFailed(str(error)))
        else:
            await self._inbox.put(CallbackDoorOpened(port))

    async def _remember(self, memory: Memory) -> None:
        # A disk may take its time; events wait for it, since what follows may rely on what is kept.
        event: Event = MemorySaved()
        try:
            await asyncio.to_thread(self._state.save, memory)
        except StateFileError as error:
            event = MemoryNotSaved(str(error))
        self._tell_own(event)

    # --- From outside -------------------------------------------------------------------------------------------------

    def _accept(self, event: CallbackReceived | WebhookReceived) -> bool:
        try:
            self._inbox.put_nowait(event)
        except asyncio.QueueFull:
            return False
        return True

    async def _watch_pairing(self) -> None:
        """Look for tokens that `nuki2mqtt pair` leaves beside the state file."""
        told: str | None = None
        while True:
            try:
                for paired in await asyncio.to_thread(self._state.take_pairing):
                    register_secret(paired.token)
                    await self._inbox.put(paired)
            except StateFileError as error:
                if str(error) != told:
                    told = str(error)
                    _LOG.warning("%s", told)
            await asyncio.sleep(self._pairing_every_s)
