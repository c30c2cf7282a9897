"""Routes each event to the part that knows, collects the effects."""

from dataclasses import dataclass
from typing import assert_never

from nuki2mqtt.gateway.bridge_problems import pair_command
from nuki2mqtt.gateway.broker_session import BrokerSession, News
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.ownership import LIVE_S, Role
from nuki2mqtt.gateway.projection import Projection, bridge_health
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgePaired,
    CallbackDoorFailed,
    CallbackDoorOpened,
    CallbackReceived,
    Effect,
    Event,
    Level,
    Log,
    Memory,
    MemoryNotSaved,
    MemorySaved,
    Moment,
    MqttConnected,
    MqttLost,
    MqttPublished,
    MqttReceived,
    MqttRefused,
    MqttSubscribed,
    Remember,
    Stop,
    StopRequested,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.payloads import GatewayClaim, GatewayHealth, GatewayInfo
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.topics import TopicTree

HEALTH_S = 60.0
NO_BROKER_S = 20.0  # Bridges are followed without a broker from then on: no ring shall be lost
STOP_S = 4.0  # container engines kill after 10 s, and the broker is given some of them
BORN_MIN_S = 1.0
BORN_SPAN_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this process is. `jitter` is a chance in 0..1, drawn once."""

    instance: str
    version: str
    callback_secret: Secret
    started: Moment
    in_container: bool = False
    after_unclean_end: bool = False
    jitter: float = 0.5
    state_file_problem: str | None = None


class Gateway:
    """The whole of floor 2: events and time in, effects out."""

    def __init__(self, settings: Settings, identity: Identity, memory: Memory) -> None:
        self._settings = settings
        self._identity = identity
        self._tree = TopicTree(settings.mqtt.base_topic, settings.homeassistant.prefix)
        self._session = BrokerSession(self._tree, GatewayClaim(identity.instance, identity.started.wall))
        self._publications = Publications()
        self._projection = Projection(settings, self._tree, self._publications, identity.version)
        self._following = Following(
            settings,
            memory,
            instance=identity.instance,
            callback_secret=identity.callback_secret,
            in_container=identity.in_container,
            started=identity.started.monotonic,
        )
        self._topics = TopicMemory(settings, memory, self._following.devices)
        self._memory = memory
        self._must_save_again = False
        self._last_refusal: str | None = None
        self._state_file_problem = identity.state_file_problem
        self._no_broker_at: float | None = identity.started.monotonic + NO_BROKER_S
        self._health_at = 0.0
        self._born_at: float | None = None
        self._has_announced = False
        self._is_holding = False
        self._stop_at: float | None = None
        self._is_ending = False
        self._last = identity.started.monotonic

    def begin(self) -> list[Effect]:
        """The first effects of the process."""
        effects: list[Effect] = [self._session.connect_order()]
        for link in self._following.links.values():
            if link.needs_pairing:
                text = f"Bridge {link.link} has no token. Pair it: {pair_command(link.settings)}"
                effects.append(Log(Level.WARNING, text))
        if not self._following.links:
            text = "No Bridge is configured. Add its address under `bridges`, then: nuki2mqtt pair --host ADDRESS"
            effects.append(Log(Level.WARNING, text))
        return effects

    def handle(self, event: Event, now: Moment) -> list[Effect]:
        """Take in one event."""
        self._last = now.monotonic
        match event:
            case MqttConnected() | MqttSubscribed() | MqttReceived():
                effects = self._heard(self._session.handle(event, now.monotonic), now)
                if isinstance(event, MqttConnected):
                    level = Level.INFO if self._session.role is Role.OWNER else Level.DEBUG
                    effects.append(Log(level, f"Connected to the broker, MQTT {event.protocol}."))
            case MqttLost(reason):
                level = Level.DEBUG if self._session.is_reconnecting else Level.WARNING
                effects = self._heard(self._session.handle(event, now.monotonic), now)
                effects.append(Log(level, f"No connection to the broker: {reason}"))
                if self._session.role is Role.LOOKING and self._no_broker_at is None:
                    self._no_broker_at = now.monotonic + NO_BROKER_S
            case MqttPublished() | MqttRefused():
                self._publications.ended(event)
                effects = [] if isinstance(event, MqttPublished) else [self._refused(event)]
            case BridgeAnswered():
                effects = self._following.handle_answer(event, now)
            case CallbackReceived():
                effects = self._following.handle_callback(event, now)
            case CallbackDoorOpened(port):
                effects = self._following.door_opened(port, now)
            case CallbackDoorFailed(reason):
                text = f"The callback door is closed: {reason} Polling goes on, changes come later."
                effects = [Log(Level.WARNING, text)]
            case MemorySaved():
                self._state_file_problem = None
                effects = []
            case MemoryNotSaved(reason):
                is_new = self._state_file_problem != reason
                self._state_file_problem = reason
                effects = [Log(Level.ERROR, reason)] if is_new else []
            case BridgePaired():
                effects = self._following.paired(event, now)
            case StopRequested():
                effects = self._stop(now)
            case _:
                assert_never(event)
        is_ack = isinstance(event, MqttPublished | MqttRefused | MqttReceived | MemorySaved)
        return effects + self._settle(now, may_show=not is_ack)

    def handle_timer(self, now: Moment) -> list[Effect]:
        """Do what is due."""
        self._last = now.monotonic
        effects = self._heard(self._session.handle_timer(now.monotonic), now)
        if self._no_broker_at is not None and now.monotonic >= self._no_broker_at:
            self._no_broker_at = None
            if self._session.protocol is None and self._session.role is Role.LOOKING:
                effects += self._activate(now)
        if self._born_at is not None and now.monotonic >= self._born_at:
            self._born_at = None
            self._publications.say_again(lambda _: True)
        return effects + self._settle(now, may_show=True)

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called, on the monotonic clock."""
        times = [self._no_broker_at, self._born_at, self._stop_at, self._session.next_deadline()]
        if self._has_announced and not self._is_holding:
            times.append(self._health_at)
        times.append(self._following.next_deadline(self._last))
        return min((time for time in times if time is not None), default=None)

    # --- Broker -------------------------------------------------------------------------------------------------------

    def _heard(self, news: list[News], now: Moment) -> list[Effect]:
        effects: list[Effect] = []
        for item in news:
            match item:
                case News.OWNED:
                    effects += [self._session.connect_order(), *self._activate(now)]
                case News.YIELDED:
                    self._publications.closed()
                    self._publications.drop_events()
                    self._following.deactivate()
                    effects += [self._session.connect_order(), Log(Level.ERROR, self._other_owns())]
                case News.WAITING:
                    effects.append(Log(Level.WARNING, self._other_seems_to_own()))
                case News.SILENCED:
                    self._following.deactivate()
                    effects.append(Log(Level.ERROR, self._other_owns()))
                case News.READY:
                    self._announce()
                case News.CLOSED:
                    self._publications.closed()
                case News.CONTRADICT if self._stop_at is None:
                    # Whoever denied us may have spoken in our devices' names, too.
                    self._projection.show_gateway_again()
                    self._publications.say_again(lambda _: True)
                case News.BORN:
                    self._born_at = now.monotonic + BORN_MIN_S + BORN_SPAN_S * self._identity.jitter
                case _:
                    pass
        return effects

    def _activate(self, now: Moment) -> list[Effect]:
        return self._following.activate(now, after_unclean_end=self._identity.after_unclean_end)

    def _other_owns(self) -> str:
        return (
            f"Another gateway ({self._session.other_instance}) owns the base topic {self._tree.base!r}: this one is "
            "silent until it is gone. Stop one of the two, or give this one another `mqtt.base_topic`."
        )

    def _other_seems_to_own(self) -> str:
        return (
            f"Another gateway ({self._session.other_instance}) seems to own the base topic {self._tree.base!r}: "
            f"waiting {LIVE_S:.0f} s at most for its sign of life. If it is still used, give this one another "
            "`mqtt.base_topic`."
        )

    def _announce(self) -> None:
        if not self._has_announced:
            self._has_announced = True
            # Everything is told as stale before the gateway says that it is online; what this process has
            # already seen follows when the broker has that.
            self._is_holding = True
            self._topics.learn_retained(self._session.snapshots, self._following.devices)
            by_id = {retained.nuki_id: retained for retained in self._session.snapshots.values()}
            for nuki_id, device in self._topics.remembered():
                self._projection.show_remembered(nuki_id, device, by_id.get(nuki_id))
            remembered = {link.bridge_id for link in self._following.links.values() if link.bridge_id is not None}
            for bridge_id in sorted(remembered | self._session.bridges):
                self._projection.show_bridge_offline(bridge_id)
            self._session.forget_snapshots()
        self._projection.show_gateway(self._info())
        self._publications.opened()

    def _info(self) -> GatewayInfo:
        return GatewayInfo(
            version=self._identity.version,
            instance=self._identity.instance,
            started=self._identity.started.wall,
            protocol=self._session.protocol or "",
            settings=self._settings.render_public(),
        )

    def _refused(self, event: MqttRefused) -> Log:
        is_new = event.reason != self._last_refusal
        self._last_refusal = event.reason
        text = f"The broker refused a message: {event.reason}. Check its access rules (ACL) for us."
        return Log(Level.WARNING if is_new else Level.DEBUG, text)

    # --- After each event ---------------------------------------------------------------------------------------------

    def _settle(self, now: Moment, *, may_show: bool) -> list[Effect]:
        effects = self._following.handle_timer(now)
        was_holding = self._is_holding
        if was_holding and self._publications.is_idle:
            self._is_holding = False
        if self._has_announced and not self._is_holding and (may_show or was_holding):
            self._show(now)
        effects += self._remember()
        effects += self._publications.flush(now.monotonic)
        return effects + self._end(now)

    def _show(self, now: Moment) -> None:
        following = self._following
        snapshots = [following.snapshot(nuki_id, now) for nuki_id in following.shown_ids()]
        for topic in self._topics.assign(snapshots):
            self._projection.clear_device(topic)
        for name, link in following.links.items():
            is_online = following.vouching.is_bridge_online(name, now.monotonic)
            self._projection.show_bridge(link, is_online=is_online)
        for snapshot in snapshots:
            self._projection.show_device(snapshot, self._topics.known[snapshot.nuki_id].topic, now)
        self._projection.show_devices(following, self._topics.known)
        for happening in following.take_events():
            topic = self._topics.known[happening.nuki_id].topic
            self._projection.tell_event(happening.event, topic, happening.received)
        is_minute_over = now.monotonic >= self._health_at
        if is_minute_over:
            self._health_at = now.monotonic + HEALTH_S
            self._must_save_again = self._state_file_problem is not None
        self._projection.show_health(self._health(now), again=is_minute_over)

    def _health(self, now: Moment) -> GatewayHealth:
        following = self._following
        bridges = (
            bridge_health(
                link,
                is_online=following.vouching.is_bridge_online(name, now.monotonic),
                lost_callbacks=following.watches[name].lost,
            )
            for name, link in following.links.items()
        )
        return GatewayHealth(
            instance=self._identity.instance,
            started=self._identity.started.wall,
            bridges=tuple(bridges),
            protocol=self._session.protocol,
            connections_lost=self._session.losses,
            events_waiting=self._publications.events_waiting,
            events_dropped=self._publications.events_dropped + following.events_dropped,
            state_file=self._state_file_problem,
            needs_pairing=following.needs_pairing,
        )

    def _remember(self) -> list[Effect]:
        memory = Memory(
            bridges=self._following.remember_bridges(),
            devices=dict(self._topics.known),
            retired_topics=dict(self._topics.retired),
        )
        if memory == self._memory and not self._must_save_again:
            return []
        self._memory, self._must_save_again = memory, False
        return [Remember(memory)]

    # --- The end ------------------------------------------------------------------------------------------------------

    def _stop(self, now: Moment) -> list[Effect]:
        if self._stop_at is not None:
            return []
        self._stop_at = now.monotonic + STOP_S
        self._following.release(now)
        return [Log(Level.INFO, "Stopping.")]

    def _end(self, now: Moment) -> list[Effect]:
        if self._stop_at is None:
            return []
        is_over = now.monotonic >= self._stop_at
        if not is_over and not self._following.is_released:
            return []
        can_speak = self._session.protocol is not None and self._session.role is Role.OWNER and self._has_announced
        effects: list[Effect] = []
        if can_speak and not self._is_ending:
            self._is_ending = True
            self._projection.show_gateway_offline()
            effects = self._publications.flush(now.monotonic)
        if is_over or not can_speak or self._publications.is_idle:
            effects.append(Stop())
        return effects
