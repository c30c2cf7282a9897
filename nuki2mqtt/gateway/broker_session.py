"""Our connection to the broker: what is read at its beginning, and whose base topic it is.

A gateway first connects without a last will and reads the retained messages. If nobody else owns the base it
connects again with its will and speaks. Retained messages have arrived when 0.2 s passed without another, at
most 2 s after the subscription; what comes later is handled as it comes.
"""

from enum import StrEnum, auto

from nuki2mqtt.gateway.ownership import Ownership, Role
from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    Level,
    Log,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttSubscribed,
    Subscription,
    Will,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.payloads import (
    OFFLINE,
    ONLINE,
    GatewayClaim,
    RetainedSnapshot,
    parse_claim,
    parse_retained_snapshot,
)
from nuki2mqtt.protocol.topics import Inbound, TopicTree

QUIET_S = 0.2
LONGEST_READ_S = 2.0
CONTRADICT_GAP_S = 1.0  # less than others wait for it, and than `starting` lasts
MAX_SNAPSHOTS = 1000
MAX_REFUSED_ROOTS = 64  # response topics are chosen by clients


class News(StrEnum):
    """What a message or a moment meant for us."""

    OWNED = auto()  # the base is ours: connect with a will
    YIELDED = auto()  # another gateway owns it after all: fall silent
    WAITING = auto()  # another gateway seems to own it: wait for its sign of life
    SILENCED = auto()  # another gateway owns it: stay silent
    READY = auto()  # connected and subscribed as owner: speak
    CLOSED = auto()  # the connection is gone
    CONTRADICT = auto()  # somebody denied us: say that we are here
    BORN = auto()  # Home Assistant started


class BrokerSession:
    """The phases of a connection. Times are monotonic seconds."""

    def __init__(self, tree: TopicTree, own: GatewayClaim) -> None:
        self.protocol: str | None = None
        self.losses = 0
        self.has_read = False
        self.is_reconnecting = False
        self.snapshots: dict[str, RetainedSnapshot] = {}
        self.bridges: set[NukiId] = set()
        self._has_spoken = False
        self._tree = tree
        self._ownership = Ownership(own)
        self._quiet_at: float | None = None
        self._latest = 0.0
        self._may_contradict = 0.0
        self._must_contradict = False
        self._must_repeat = False
        self._refused_roots: set[tuple[str, str]] = set()

    @property
    def role(self) -> Role:
        """What we are on this base topic."""
        return self._ownership.role

    @property
    def other_instance(self) -> str | None:
        """The other gateway, where there is one."""
        return self._ownership.other_instance

    def connect_order(self) -> ConnectMqtt:
        """How to be connected in our role; a running connection will end for it."""
        tree = self._tree
        self.is_reconnecting = self.protocol is not None
        topics = (tree.gateway_state, tree.gateway_info, tree.gateway_health, tree.home_assistant_status)
        will = Will(tree.gateway_state, OFFLINE) if self.role is Role.OWNER else None
        filters = topics if self._has_spoken else (*topics, tree.snapshots_filter, tree.bridges_filter)
        listening = [Subscription(topic, qos=0) for topic in filters]
        # Only who owns the base takes orders. Each that was published with retain is to arrive flagged.
        orders = tree.command_filters if self.role is Role.OWNER else ()
        listening += [Subscription(topic, qos=1, retain_as_published=True) for topic in orders]
        return ConnectMqtt(will, tuple(listening))

    def handle(self, event: MqttConnected | MqttSubscribed | MqttLost | MqttReceived, now: float) -> list[News]:
        """Take in what the broker says."""
        match event:
            case MqttConnected(protocol):
                self.protocol, self.is_reconnecting = protocol, False
                self.has_read = False
                self._ownership.connected(now)
                self._quiet_at = None
                return []
            case MqttSubscribed():
                if self.role is Role.OWNER:
                    return [News.READY]
                self._quiet_at, self._latest = now + QUIET_S, now + LONGEST_READ_S
                return []
            case MqttLost():
                was_open = self.protocol is not None
                self.losses += was_open and not self.is_reconnecting
                self.protocol, self._quiet_at = None, None
                return [News.CLOSED] if was_open else []
            case MqttReceived():
                if self._quiet_at is not None:
                    self._quiet_at = min(now + QUIET_S, self._latest)
                return self._received(event, now)

    def _received(self, event: MqttReceived, now: float) -> list[News]:
        is_live = not event.retained
        was = self.role
        must_contradict = False
        match self._tree.parse(event.topic):
            case Inbound.GATEWAY_STATE:
                must_contradict = self._ownership.heard_state(event.payload, is_live=is_live, now=now)
            case Inbound.GATEWAY_INFO | Inbound.GATEWAY_HEALTH:
                claim = parse_claim(event.payload)
                if claim is not None:
                    must_contradict = self._ownership.heard_claim(claim, is_live=is_live, now=now)
                    # It goes on speaking until it has heard us, so the last word comes a while later.
                    if must_contradict and is_live:
                        self._must_repeat = True
                    elif must_contradict:
                        self._may_contradict = max(self._may_contradict, now + CONTRADICT_GAP_S)
            case Inbound.SNAPSHOT:
                self._read_snapshot(event)
            case Inbound.BRIDGE_AVAILABILITY:
                self._read_bridge(event)
            case Inbound.HOME_ASSISTANT_STATUS:
                return [News.BORN] if event.payload == ONLINE and is_live and was is Role.OWNER else []
            case Inbound.SET | Inbound.GET | Inbound.REQUEST | None:
                pass
        if was is not Role.SILENT and self.role is Role.SILENT:
            return [News.YIELDED if was is Role.OWNER else News.SILENCED]
        self._must_contradict = self._must_contradict or must_contradict
        return self._contradict(now) or self._decide(now)

    def _contradict(self, now: float) -> list[News]:
        """Not at once again: two that deny each other must not do it as fast as the broker carries it."""
        if not self._must_contradict or self.role is not Role.OWNER or now < self._may_contradict:
            return []
        self._must_contradict, self._must_repeat = self._must_repeat, False
        self._may_contradict = now + CONTRADICT_GAP_S
        return [News.CONTRADICT]

    def _read_snapshot(self, event: MqttReceived) -> None:
        # Until we speak, also what another gateway says: it is what we shall find when it is gone.
        retained = None if self._has_spoken else parse_retained_snapshot(event.payload)
        if retained is not None and len(self.snapshots) < MAX_SNAPSHOTS:
            self.snapshots[self._tree.device_topic(event.topic)] = retained

    def _read_bridge(self, event: MqttReceived) -> None:
        bridge_id = self._tree.bridge_of(event.topic)
        if bridge_id is not None and not self._has_spoken and len(self.bridges) < MAX_SNAPSHOTS:
            self.bridges.add(bridge_id)

    def _decide(self, now: float) -> list[News]:
        is_reading = self._quiet_at is not None or self.protocol is None
        if is_reading or not self.has_read or not self._ownership.decide(now):
            return []
        return [News.OWNED]

    def refused(self, topic: str | None, reason: str) -> Log:
        """What to say of a message that the broker refuses: once below each root topic."""
        shown = topic or "a message"
        known = (f"{root}/" for root in (self._tree.base, self._tree.prefix))
        root = next((root for root in known if shown.startswith(root)), shown.partition("/")[0])
        is_new = (root, reason) not in self._refused_roots and len(self._refused_roots) < MAX_REFUSED_ROOTS
        if is_new:
            self._refused_roots.add((root, reason))
        return Log(Level.WARNING if is_new else Level.DEBUG, f"The broker refuses {shown}: {reason}.")

    def forget_snapshots(self) -> None:
        """We speak from now on: the snapshots at the broker are our own."""
        self._has_spoken = True
        self.snapshots.clear()
        self.bridges.clear()

    def read_anew(self) -> None:
        """Another gateway speaks from now on: what it says is what we shall find when it is gone."""
        self._has_spoken = False

    def handle_timer(self, now: float) -> list[News]:
        """The retained messages have arrived, or the other gateway's silence has lasted."""
        if self._quiet_at is not None and now >= self._quiet_at:
            self._quiet_at = None
            self.has_read = True
            news = self._decide(now)
            return news if news or self.role is not Role.LOOKING else [News.WAITING]
        return self._contradict(now) or self._decide(now)

    def next_deadline(self) -> float | None:
        """When to look again."""
        if self.protocol is None:
            return None
        if self._must_contradict and self.role is Role.OWNER:
            return self._may_contradict
        if not self.has_read:
            return self._quiet_at
        return self._ownership.next_deadline()
