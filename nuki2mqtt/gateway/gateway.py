"""Routes each event to the part that knows, collects the effects."""

import math
from typing import assert_never

from nuki2mqtt.gateway.bridge_problems import pair_command
from nuki2mqtt.gateway.broker_session import BrokerSession, News
from nuki2mqtt.gateway.cloud import Cloud
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.identity import NOTHING_OUTSIDE, Identity, Outside
from nuki2mqtt.gateway.keypad_wishes import KeypadMemory
from nuki2mqtt.gateway.ownership import LIVE_S, Role
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.taking import Taking
from nuki2mqtt.gateway.telling import Telling
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import (
    BridgeAnswered,
    BridgeAskedToPair,
    BridgeOrdered,
    BridgePaired,
    BridgesFound,
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
    WebAnswered,
    WebhookDoorFailed,
    WebhookDoorOpened,
    WebhookReceived,
    WebOrdered,
)
from nuki2mqtt.protocol.payloads import GatewayClaim
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.topics import Inbound, TopicTree

NO_BROKER_S = 20.0  # Bridges are followed without a broker from then on: no ring shall be lost
STOP_S = 4.0  # container engines kill after 10 s, and the broker is given some of them
ORDERS = frozenset({Inbound.SET, Inbound.GET, Inbound.REQUEST, Inbound.KEYPAD_SET})
BORN_MIN_S = 1.0
BORN_SPAN_S = 4.0
_ACKNOWLEDGEMENTS = (MqttPublished, MqttRefused, MqttReceived, MemorySaved)


class Gateway:
    """The whole of floor 2: events and time in, effects out."""

    def __init__(
        self, settings: Settings, identity: Identity, memory: Memory, outside: Outside = NOTHING_OUTSIDE
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._tree = TopicTree(settings.mqtt.base_topic, settings.homeassistant.prefix)
        self._session = BrokerSession(self._tree, GatewayClaim(identity.instance, identity.started.wall))
        self._publications = Publications()
        self._following = Following(
            settings,
            memory,
            instance=identity.instance,
            callback_secret=identity.callback_secret,
            in_container=identity.in_container,
            started=identity.started.monotonic,
        )
        self._topics = TopicMemory(settings, memory, self._following.devices)
        self._cloud = self._make_cloud(memory, outside)
        self._telling = self._make_telling()
        parts = (settings, identity, self._tree, self._publications, self._following, self._topics)
        self._taking = Taking(*parts, memory, self._cloud)
        self._memory = memory
        self._keypads = (
            KeypadMemory(memory.keypad_wishes, memory.keypad_operations, memory.keypad_syncs)
            if self._cloud is None
            else self._cloud.desk.memory
        )
        self._must_save_again = False
        self._state_file_problem = identity.state_file_problem
        self._no_broker_at: float | None = identity.started.monotonic + NO_BROKER_S
        self._born_at: float | None = None
        self._stop_at: float | None = None
        self._is_ending = False
        # Following and taking have nothing to do before then, unless they are told something; None: nobody knows.
        self._rests_until: float | None = None
        self._looked = (
            identity.started.monotonic
        )  # when what is shown was looked at last: no deadline since then may be passed over
        self._asks_until = 0.0  # until then they only ask Bridges, which changes nothing of what is shown

    def _make_cloud(self, memory: Memory, outside: Outside) -> Cloud | None:
        if self._settings.nuki_web.token is None:
            return None
        parts = (self._settings, self._tree, self._publications, self._following, self._topics)
        started = self._identity.started
        return Cloud(*parts, memory, started, entropy=outside.entropy, zones=outside.zones)

    def _make_telling(self) -> Telling:
        return Telling(self._settings, self._identity, self._tree, self._publications, self._topics, self._cloud)

    def begin(self) -> list[Effect]:
        """The first effects of the process."""
        effects: list[Effect] = [self._session.connect_order()]
        for link in self._following.links.values():
            if link.needs_pairing:
                text = f"Bridge {link.link} has no token. Pair it: {pair_command(link.settings)}"
                effects.append(Log(Level.WARNING, text))
        if not self._following.links and self._cloud is None:
            way = "Searching" if self._following.finding.is_possible else "Look up its address in the Nuki app"
            text = f"No Bridge is configured or paired. {way}; with its address: nuki2mqtt pair --host ADDRESS"
            effects.append(Log(Level.WARNING, text))
        return effects

    def handle(self, event: Event, now: Moment) -> list[Effect]:
        """Take in one event."""
        is_new = True  # for following or taking
        match event:
            case MqttReceived(topic) if (kind := self._tree.parse(topic)) in ORDERS:
                is_ours = self._session.role is Role.OWNER and self._telling.has_announced
                effects = self._taking.take(event, kind, now) if is_ours else []
            case MqttConnected() | MqttSubscribed() | MqttReceived():
                news = self._session.handle(event, now.monotonic)
                is_new = bool(news)
                effects = self._heard(news, now)
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
                said_on = self._publications.ended(event)
                delivered = self._publications.take_delivered()
                is_new = bool(delivered)
                self._taking.delivered(delivered, now)
                effects = [] if isinstance(event, MqttPublished) else [self._session.refused(said_on, event.reason)]
            case BridgeOrdered() | BridgeAnswered() | CallbackReceived():
                effects = self._following.handle(event, now)
            case CallbackDoorOpened(port):
                effects = self._following.door_opened(port, now)
            case CallbackDoorFailed(reason):
                text = f"The callback door is closed: {reason} Polling goes on, changes come later."
                effects = [Log(Level.WARNING, text)]
            case MemorySaved():
                is_new = False
                self._state_file_problem = None
                effects = []
            case MemoryNotSaved(reason):
                effects = [Log(Level.ERROR, reason)] if self._state_file_problem != reason else []
                self._state_file_problem = reason
            case WebOrdered() | WebAnswered() | WebhookReceived() | WebhookDoorOpened() | WebhookDoorFailed():
                effects = [] if self._cloud is None else self._cloud.handle(event, now)
            case BridgePaired() | BridgeAskedToPair() | BridgesFound():
                effects = self._following.handle_finding(event, now)
            case StopRequested():
                effects = self._stop(now)
            case _:
                assert_never(event)
        is_ack = isinstance(event, _ACKNOWLEDGEMENTS) or self._is_quiet(event)
        may_show = not is_ack or self._taking.has_something_to_show
        by = event.link if isinstance(event, (BridgeAnswered, CallbackReceived)) else None
        return effects + self._settle(now, is_new=is_new, may_show=may_show, by=by)

    def _is_quiet(self, event: Event) -> bool:
        return self._cloud is not None and isinstance(event, WebAnswered) and self._cloud.is_quiet(event)

    def handle_timer(self, now: Moment) -> list[Effect]:
        """Do what is due."""
        news = self._session.handle_timer(now.monotonic)
        is_new = bool(news)
        effects = self._heard(news, now)
        if self._no_broker_at is not None and now.monotonic >= self._no_broker_at:
            self._no_broker_at = None
            if self._session.protocol is None and self._session.role is Role.LOOKING:
                effects += self._activate(now)
                is_new = True
        if self._born_at is not None and now.monotonic >= self._born_at:
            self._born_at = None
            self._publications.say_again(lambda _: True)
        return effects + self._settle(now, is_new=is_new, may_show=True)

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called, on the monotonic clock."""
        if self._rests_until is None:
            following, taking = self._following, self._taking.next_deadline()
            cloud = None if self._cloud is None else self._cloud.next_deadline(self._looked)
            cloud_change = None if self._cloud is None else self._cloud.next_change(self._looked)
            self._asks_until = _first(following.next_change(self._looked), taking, cloud_change)
            self._rests_until = _first(following.next_deadline(self._looked), taking, cloud)
        others = (self._session.next_deadline(), self._telling.next_deadline())
        deadline = _first(self._rests_until, *others, self._no_broker_at, self._born_at, self._stop_at)
        return None if deadline == math.inf else deadline

    # --- Broker -------------------------------------------------------------------------------------------------------

    def _heard(self, news: list[News], now: Moment) -> list[Effect]:
        effects: list[Effect] = []
        for item in news:
            match item:
                case News.OWNED:
                    effects += [self._session.connect_order(), *self._activate(now)]
                case News.YIELDED:
                    # What we have said and seen is not ours any more; the next time begins like a first one.
                    self._publications.forget()
                    self._session.read_anew()
                    self._taking.drop()
                    effects += self._deactivate()
                    self._telling = self._make_telling()
                    effects += [self._session.connect_order(), Log(Level.ERROR, self._other_owns())]
                case News.WAITING:
                    effects.append(Log(Level.WARNING, self._other_seems_to_own()))
                case News.SILENCED:
                    self._taking.drop()
                    effects += [*self._deactivate(), Log(Level.ERROR, self._other_owns())]
                case News.READY:
                    self._telling.announce(self._session, self._following)
                    self._taking.opened(self._session, now)
                case News.CLOSED:
                    self._taking.closed()
                    self._publications.closed()
                case News.CONTRADICT if self._stop_at is None:
                    self._telling.say_all_again()
                case News.BORN:
                    self._born_at = now.monotonic + BORN_MIN_S + BORN_SPAN_S * self._identity.jitter
                case _:
                    pass
        return effects

    def _activate(self, now: Moment) -> list[Effect]:
        effects = self._following.activate(now, after_unclean_end=self._identity.after_unclean_end)
        return effects if self._cloud is None else effects + self._cloud.activate(now)

    def _deactivate(self) -> list[Effect]:
        self._following.deactivate()
        return [] if self._cloud is None else self._cloud.deactivate()

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

    # --- After each event ---------------------------------------------------------------------------------------------

    def _settle(self, now: Moment, *, is_new: bool, may_show: bool, by: str | None = None) -> list[Effect]:
        """Do what follows from an event, the word of the Bridge `by` perhaps: then only what it tells of can differ."""
        effects: list[Effect] = []
        calls: list[Effect] = []
        if is_new or not self._is_resting(now):
            is_alone = self._rests_until is not None and self._is_before(self._asks_until, now)
            is_only_asking = is_alone and not is_new
            by = by if is_alone else None
            self._rests_until = None
            effects = self._taking.hear(now) + self._taking.settle(now)
            calls = self._following.handle_timer(now)
            if self._cloud is not None:
                calls += self._cloud.handle_timer(now)
            effects += self._taking.hear(now)
            may_show = (may_show and not is_only_asking) or self._taking.has_something_to_show
        else:
            may_show = self._taking.has_something_to_show
        if may_show:
            self._looked = now.monotonic
        problem = self._state_file_problem
        if self._telling.tell(self._session, self._following, self._taking, problem, now, may_show=may_show, by=by):
            self._must_save_again = problem is not None
        # Before an order goes to the wire, what it relies on is in the state file, and that it was accepted is said.
        # A disk may take its time: what does not rely on it goes before.
        remember = self._remember()
        first = self._publications.flush(now.monotonic, is_kept=False) if remember else []
        effects = [*first, *remember, *effects, *self._publications.flush(now.monotonic), *calls]
        return effects + self._end(now)

    def _is_resting(self, now: Moment) -> bool:
        """Whether following and taking would have nothing to do, as after most acknowledgements."""
        return self._rests_until is not None and self._is_before(self._rests_until, now)

    def _is_before(self, until: float, now: Moment) -> bool:
        return now.monotonic < until and self._following.is_steady and self._taking.is_steady

    def _remember(self) -> list[Effect]:
        topics, journal, bridges = self._topics, self._taking.journal, self._following.remember_bridges()
        former = self._memory
        is_same = (bridges, topics.known, journal) == (former.bridges, former.devices, former.journal)
        is_same = is_same and (topics.retired, topics.announced) == (former.retired_topics, former.announced)
        kept = self._keypads if self._cloud is None else self._cloud.desk.memory
        in_cloud = former.cloud_devices if self._cloud is None else self._cloud.orders.abilities.remembered
        is_same = is_same and kept is self._keypads and in_cloud == former.cloud_devices
        if is_same and not self._must_save_again:
            return []
        announced = {topic: dict(components) for topic, components in topics.announced.items()}
        self._keypads = kept
        self._memory = Memory(
            bridges,
            dict(topics.known),
            dict(topics.retired),
            journal,
            announced,
            keypad_wishes=kept.wishes,
            keypad_operations=kept.operations,
            keypad_syncs=kept.syncs,
            cloud_devices=dict(in_cloud),
        )
        self._must_save_again = False
        return [Remember(self._memory)]

    # --- The end ------------------------------------------------------------------------------------------------------

    def _stop(self, now: Moment) -> list[Effect]:
        if self._stop_at is not None:
            return []
        self._stop_at = now.monotonic + STOP_S
        effects = self._taking.stop(now)
        self._following.release(now)
        if self._cloud is not None:
            self._cloud.release()
        return [*effects, Log(Level.INFO, "Stopping.")]

    def _end(self, now: Moment) -> list[Effect]:
        if self._stop_at is None:
            return []
        is_over = now.monotonic >= self._stop_at
        if not is_over and not self._following.is_released:
            return []
        is_owner = self._session.protocol is not None and self._session.role is Role.OWNER
        can_speak = is_owner and self._telling.has_announced
        effects: list[Effect] = []
        if can_speak and not self._is_ending:
            self._is_ending = True
            self._telling.say_offline()
            effects = self._publications.flush(now.monotonic)
        if is_over or not can_speak or self._publications.is_idle:
            effects.append(Stop())
        return effects


def _first(*times: float | None) -> float:
    return min([time for time in times if time is not None], default=math.inf)
