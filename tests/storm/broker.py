"""An MQTT broker in memory, for a simulation: no tasks, no threads, no clock and no chance of its own.

It follows MQTT 5 and 3.1.1 and, where they leave freedom, mosquitto 2.0; the stories of `broker_stories.py` are
played against both. Not here: QoS 2, shared subscriptions, subscription identifiers, user properties, will delay.

Everything a client says is taken at once, everything said to a client arrives `latency_s` later, in order. The
callbacks `lost` and the taps are called while the broker works; they find it in a consistent state.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

OK, NO_SUBSCRIBERS, FAILURE, NOT_AUTHORISED = 0x00, 0x10, 0x80, 0x87
# mosquitto's max_inflight_messages: QoS 1 on one line without PUBACK; what is more waits. (2.0.11 keeps to it until
# the first PUBACK; then it sends as many as were in flight behind the acknowledged one. Nobody may rely on that.)
MAX_IN_FLIGHT = 20
MAX_QUEUED = 1000  # its max_queued_messages: what comes beyond is forgotten
KEEPALIVE_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Packet:
    """A message as it was published, or as a subscriber gets it; `expiry_s` are the whole seconds left."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """One subscription; 3.1.1 knows the first two fields only."""

    topic_filter: str
    qos: int = 1
    retain_as_published: bool = False
    no_local: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """One PUBLISH, or one will, as the broker took it; what it had no right to is not taken."""

    at: float
    client_id: str
    packet: Packet


@dataclass(slots=True, eq=False)
class _Owed:
    """A message on its way to one client; `sent` is what was last written, None before."""

    packet: Packet
    taken: float
    sent: Packet | None = None


Denial = Callable[[str, str, str], bool]


@lru_cache(maxsize=100_000)
def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter matches a topic (MQTT 5 section 4.7)."""
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index == len(given) or level not in {"+", given[index]}:
            return False
    return len(wanted) == len(given)


def is_valid_topic(topic: str) -> bool:
    """Whether it can be published to."""
    return topic != "" and not set(topic) & {"+", "#", "\0"}


def is_valid_filter(topic_filter: str) -> bool:
    """Whether it can be subscribed to."""
    levels = topic_filter.split("/")
    wild = ["+" in level or "#" in level for level in levels]
    lonely = all(len(level) == 1 for level, is_wild in zip(levels, wild, strict=True) if is_wild)
    return topic_filter != "" and lonely and "#" not in levels[:-1]


def aged(packet: Packet, waited_s: float) -> Packet | None:
    """A message that has waited in the broker: with less expiry, None if it has expired.

    mosquitto counts in whole seconds of its clock and can be one second off. It takes an expiry of 0 for none.
    """
    if packet.expiry_s is None:
        return packet
    if packet.expiry_s == 0:
        return replace(packet, expiry_s=None)
    return replace(packet, expiry_s=packet.expiry_s - int(waited_s)) if waited_s < packet.expiry_s else None


class _Session:
    """What the broker keeps of a client, connected or not."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.subscriptions: dict[str, Filter] = {}
        self.in_flight: list[_Owed] = []  # QoS 1, written and not acknowledged
        self.queued: deque[_Owed] = deque()
        self.line: Line | None = None
        self.is_v5 = True
        self.expiry_s = 0.0
        self.ends_at = math.inf

    def matching(self, topic: str) -> list[Filter]:
        """The subscriptions that match, in the order in which mosquitto walks through its tree."""
        found = [one for one in self.subscriptions.values() if matches(one.topic_filter, topic)]
        return found if len(found) < 2 else sorted(found, key=_place_in_tree)


def _place_in_tree(subscription: Filter) -> list[int]:
    """Below each node mosquitto looks for the level itself, then for `+`, then for `#`; the node itself is last."""
    return [{"+": 1, "#": 2}.get(level, 0) for level in subscription.topic_filter.split("/")] + [3]


class Line:
    """One connection of a client; closed once, never opened again."""

    def __init__(
        self,
        broker: "MemoryBroker",
        session: _Session,
        *,
        session_present: bool,
        will: Packet | None,
        deliver: Callable[[Packet], None],
        lost: Callable[[str], None],
        keepalive_s: float | None,
        manual_ack: bool,
    ) -> None:
        self.client_id = session.client_id
        self.is_open = True
        self.session_present = session_present
        self.will = will
        self.lost = lost
        self._is_v5 = session.is_v5
        self._deliver = deliver
        self._keepalive_s = keepalive_s
        self._manual_ack = manual_ack
        self._broker = broker
        self._session = session
        self._pipe: deque[_Owed | Callable[[], None]] = deque()  # each comes out by one call of `_arrive`
        self._held = 0  # calls of `_arrive` that found the line stalled
        self._is_stalled = False
        self._swallowed: Callable[[], None] | None = None
        self._heard = broker.now()

    # --- what the client does ---

    def subscribe(self, *filters: Filter) -> tuple[int, ...]:
        """Subscribe; retained messages follow. The reason codes of SUBACK, none where the broker hung up."""
        self._hear()
        if not all(is_valid_filter(one.topic_filter) for one in filters):
            self._end("malformed packet")  # mosquitto does not answer it
            return ()
        return tuple(self._broker.subscribe(self._session, self._known(one)) for one in filters)

    def unsubscribe(self, *topic_filters: str) -> None:
        """End subscriptions; what is on its way still arrives."""
        self._hear()
        for topic_filter in topic_filters:
            self._session.subscriptions.pop(topic_filter, None)

    def publish(self, packet: Packet, *, acknowledged: Callable[[int], None] | None = None) -> None:
        """Publish; with QoS 1 `acknowledged` is called with the reason code of PUBACK, if this line lives so long."""
        self._hear()
        assert packet.qos in {0, 1}
        if not is_valid_topic(packet.topic):
            self._end("malformed packet")  # mosquitto does not answer it
            return
        if self._swallowed is not None:
            self._swallowed()
            return
        reason = self._broker.take(self.client_id, self.plain(packet))
        if packet.qos and acknowledged is not None:
            answer = partial(acknowledged, reason if self._is_v5 else OK)
            self._broker.later(self._broker.latency_s, partial(self._push, answer))

    def acknowledge(self, packet: Packet) -> None:
        """PUBACK of a message of QoS 1 that was delivered, for lines with `manual_ack`; nothing on a closed line."""
        if self.is_open:
            self._hear()
            found = next((one for one in self._session.in_flight if one.sent == packet), None)
            if found is not None:
                self._settle(found)

    def disconnect(self) -> None:
        """DISCONNECT: the will is dropped."""
        self.will = None
        self.drop()

    # --- what happens to the connection ---

    def drop(self) -> None:
        """Our own side broke the connection and the broker notices at once: it says the will."""
        if self.is_open:
            self._broker.close(self)

    def cut(self) -> None:
        """The network broke and both sides notice at once: the will is said and `lost` called."""
        self._end("connection reset")

    def stall(self) -> None:
        """From now on nothing arrives. With a keepalive nothing is heard, too, unless the client says something."""
        self._is_stalled = True
        self._heard = self._broker.now()
        if self._keepalive_s:
            self._broker.later(self._keepalive_s * KEEPALIVE_FACTOR, self._check_silence)

    def swallow(self, note: Callable[[], None]) -> None:
        """From now on no PUBLISH of the client arrives, and none is acknowledged; `note` is called for each."""
        self._swallowed = note

    def resume(self, *, in_pipe: bool = False) -> None:
        """What waited arrives: as it was if it waited in the pipe, otherwise aged, as it waited in the broker."""
        self._is_stalled = False
        self._heard = self._broker.now()
        if not self.is_open:
            return
        if not in_pipe:
            for item in [one for one in self._pipe if isinstance(one, _Owed)]:
                self._age(item)
        held, self._held = self._held, 0
        for _ in range(held):
            self._broker.later(self._broker.latency_s, self._arrive)

    # --- what the broker does ---

    def send(self, owed: _Owed) -> bool:
        """Write a message if it has not expired; it is a duplicate if it was written before."""
        packet = aged(owed.packet, self._broker.now() - owed.taken)
        if packet is None:
            return False
        is_again = owed.sent is not None
        owed.sent = self.plain(packet if packet.dup is is_again else replace(packet, dup=is_again))
        self._push(owed)
        return True

    def flush(self) -> None:
        """What was written arrives; the broker reads nothing any more, no acknowledgement either."""
        while self._pipe and not self._is_stalled:
            item = self._pipe.popleft()
            if not isinstance(item, _Owed):
                item()
            elif item.sent is not None:
                self._deliver(item.sent)

    def fill(self) -> None:
        """Write what is queued, as far as the client acknowledges."""
        session = self._session
        while session.queued and len(session.in_flight) < MAX_IN_FLIGHT:
            owed = session.queued.popleft()
            if self.send(owed):
                session.in_flight.append(owed)

    def _push(self, item: _Owed | Callable[[], None]) -> None:
        self._pipe.append(item)
        self._broker.later(self._broker.latency_s, self._arrive)

    def _arrive(self) -> None:
        """The next thing in the pipe, if the line can carry it."""
        if self._is_stalled:
            self._held += 1
        elif self.is_open and self._pipe:
            item = self._pipe.popleft()
            if not isinstance(item, _Owed):
                item()
            elif item.sent is not None:
                self._deliver(item.sent)
                if not self._manual_ack and self.is_open:
                    self._settle(item)

    def _age(self, owed: _Owed) -> None:
        packet = aged(owed.packet, self._broker.now() - owed.taken)
        if packet is not None and owed.sent is not None:
            owed.sent = replace(owed.sent, expiry_s=self.plain(packet).expiry_s)
        else:
            owed.sent = None  # nothing comes out of the pipe in its place
            self._settle(owed)

    def _settle(self, owed: _Owed) -> None:
        if owed in self._session.in_flight:
            self._session.in_flight.remove(owed)
            self.fill()

    def _known(self, subscription: Filter) -> Filter:
        return subscription if self._is_v5 else Filter(subscription.topic_filter, subscription.qos)

    def plain(self, packet: Packet) -> Packet:
        """What of a message this client can say or hear: 3.1.1 knows no properties."""
        if self._is_v5 or (packet.response_topic, packet.correlation, packet.expiry_s) == (None, None, None):
            return packet
        return replace(packet, response_topic=None, correlation=None, expiry_s=None)

    def _hear(self) -> None:
        if not self.is_open:
            raise ConnectionResetError(f"the connection of {self.client_id} is closed")
        self._heard = self._broker.now()

    def _check_silence(self) -> None:
        if not self._is_stalled or not self.is_open or not self._keepalive_s:
            return
        left = self._heard + self._keepalive_s * KEEPALIVE_FACTOR - self._broker.now()
        if left > 0:
            self._broker.later(left, self._check_silence)
        else:
            self._end("keepalive timeout")

    def _end(self, reason: str) -> None:
        if self.is_open:
            self._broker.close(self)
            self.lost(reason)


class MemoryBroker:
    """The broker; `later` calls a function after some seconds, two for the same moment in order of their asking."""

    def __init__(
        self,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
        *,
        latency_s: float = 0.002,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        self.now = now
        self.later = later
        self.latency_s = latency_s
        self.is_up = True
        self.taps: list[Callable[[Taken], None]] = []
        self._max_queued = max_queued
        self._retained: dict[str, Packet] = {}
        self._retained_at: dict[str, float] = {}
        self._nodes: dict[str, int] = {}
        self._sessions: dict[str, _Session] = {}
        self._denied: Denial | None = None

    @property
    def retained(self) -> Mapping[str, Packet]:
        """What is retained, with what has expired and was not looked at since."""
        return self._retained

    def retained_payload(self, topic: str) -> bytes | None:
        """What a new subscriber would get at this topic."""
        found = self._kept(topic)
        return None if found is None else found.payload

    def deny(self, predicate: Denial | None) -> None:
        """Deny what the predicate says of client, topic and what: `read`, `write`, or `subscribe` of a filter.

        A denied `read` is not told: the subscription is granted and nothing arrives (mosquitto with an ACL file).
        """
        self._denied = predicate

    def connect(
        self,
        client_id: str,
        *,
        protocol: str = "5",
        clean: bool = True,
        session_expiry_s: float = 0,
        will: Packet | None = None,
        deliver: Callable[[Packet], None],
        lost: Callable[[str], None],
        keepalive_s: float | None = None,
        manual_ack: bool = False,
    ) -> Line:
        """CONNECT; a connection of the same name ends. With 3.1.1 a session that is not clean stays for ever."""
        if not self.is_up:
            raise ConnectionRefusedError("the broker is down")
        before = self._sessions.get(client_id)
        taken_over = before.line if before is not None else None
        if before is not None and taken_over is not None:
            if not clean and before.expiry_s > 0:
                taken_over.will = None  # mosquitto says no will when the session goes on; the standard would have it
            self.close(taken_over)
        self._forget_ended()
        found = None if clean else self._sessions.get(client_id)
        session = found or _Session(client_id)
        self._sessions[client_id] = session
        session.is_v5 = protocol == "5"
        session.expiry_s = session_expiry_s if session.is_v5 else (0 if clean else math.inf)
        line = session.line = Line(
            self,
            session,
            session_present=found is not None,
            will=will,
            deliver=deliver,
            lost=lost,
            keepalive_s=keepalive_s,
            manual_ack=manual_ack,
        )
        session.in_flight = [owed for owed in session.in_flight if line.send(owed)]
        line.fill()
        if taken_over is not None:
            taken_over.lost("session taken over")
        return line

    def stop(self, *, keep_retained: bool = True, keep_sessions: bool = True, says_wills: bool = False) -> None:
        """The broker dies and every line breaks. It says no will; mosquitto at a SIGTERM does: `says_wills`."""
        lines = [session.line for session in self._sessions.values() if session.line is not None]
        if says_wills:
            for line in lines:
                self._say_will(line)
            for line in lines:
                line.flush()
        self.is_up = False
        for line in lines:
            line.will = None
            self.close(line)
        self._forget_ended()
        if not keep_retained:
            self._retained.clear()
            self._retained_at.clear()
            self._nodes.clear()
        if not keep_sessions:
            self._sessions.clear()
        for line in lines:
            line.lost("the broker stopped")

    def start(self) -> None:
        """Be there again."""
        self.is_up = True

    # --- for the lines ---

    def close(self, line: Line) -> None:
        """A line ends; its will, if it still has one, is said."""
        line.is_open = False
        session = self._sessions.get(line.client_id)
        if session is not None and session.line is line:
            session.line = None
            session.ends_at = self.now() + session.expiry_s
        self._say_will(line)

    def subscribe(self, session: _Session, subscription: Filter) -> int:
        """Add or replace a subscription; the reason code of SUBACK."""
        topic_filter = subscription.topic_filter
        if self._is_denied(session.client_id, topic_filter, "subscribe"):
            return NOT_AUTHORISED if session.is_v5 else FAILURE
        is_new = topic_filter not in session.subscriptions
        session.subscriptions[topic_filter] = subscription
        if subscription.retain_handling == 0 or (subscription.retain_handling == 1 and is_new):
            for topic in self._retained_order(topic_filter):
                found = self._kept(topic)
                if found is not None and not self._is_denied(session.client_id, topic, "read"):
                    qos = min(found.qos, subscription.qos)
                    self._owe(session, _Owed(replace(found, qos=qos), self._retained_at[topic]))
        return subscription.qos

    def take(self, client_id: str, packet: Packet) -> int:
        """Take a message: tell it, keep it, deliver it. The reason code of PUBACK."""
        if self._is_denied(client_id, packet.topic, "write"):
            return NOT_AUTHORISED
        at = self.now()
        for tap in list(self.taps):
            tap(Taken(at, client_id, packet))
        if packet.retain:
            self._keep(packet, at)
        self._forget_ended()
        is_wanted = False
        for session in list(self._sessions.values()):
            for subscription in session.matching(packet.topic):
                is_wanted = True
                is_own = subscription.no_local and session.client_id == client_id
                if not is_own and not self._is_denied(session.client_id, packet.topic, "read"):
                    flag = packet.retain and subscription.retain_as_published
                    live = replace(packet, qos=min(packet.qos, subscription.qos), retain=flag, dup=False)
                    if self._owe(session, _Owed(live, at)) and not session.is_v5:
                        break  # one copy for 3.1.1, by the first subscription in the tree, not the one with most QoS
        return OK if is_wanted else NO_SUBSCRIBERS

    def _say_will(self, line: Line) -> None:
        will, line.will = line.will, None
        if will is not None:
            self.take(line.client_id, line.plain(will))

    def _owe(self, session: _Session, owed: _Owed) -> bool:
        """QoS 0 is written or lost; QoS 1 waits until there is a line with room."""
        if owed.packet.qos == 0:
            return session.line is not None and session.line.send(owed)
        # mosquitto counts like this: offline what is in flight takes room in the queue, online it does not.
        room = self._max_queued + (0 if session.line is None else MAX_IN_FLIGHT)
        if len(session.in_flight) + len(session.queued) >= room:
            return False
        session.queued.append(owed)
        if session.line is not None:
            session.line.fill()
        return True

    def _keep(self, packet: Packet, at: float) -> None:
        if not packet.payload:
            self._retained.pop(packet.topic, None)
            self._retained_at.pop(packet.topic, None)
            return
        self._retained[packet.topic] = replace(packet, dup=False) if packet.dup else packet
        self._retained_at[packet.topic] = at
        for node in _nodes(packet.topic):
            self._nodes.setdefault(node, len(self._nodes))

    def _kept(self, topic: str) -> Packet | None:
        """A retained message as it was published; one that has expired is forgotten."""
        found = self._retained.get(topic)
        if found is not None and aged(found, self.now() - self._retained_at[topic]) is None:
            del self._retained[topic], self._retained_at[topic]
            return None
        return found

    def _retained_order(self, topic_filter: str) -> list[str]:
        """The topics with retained messages in the order of mosquitto's tree: nodes by age, `a` behind `a/#`."""
        found = [topic for topic in self._retained if matches(topic_filter, topic)]

        def place(topic: str) -> list[float]:
            is_stem = topic_filter.endswith("/#") and topic.count("/") == topic_filter.count("/") - 1
            return [self._nodes[node] for node in _nodes(topic)] + [math.inf] * is_stem

        return sorted(found, key=place)

    def _is_denied(self, client_id: str, topic: str, what: str) -> bool:
        return self._denied is not None and self._denied(client_id, topic, what)

    def _forget_ended(self) -> None:
        now = self.now()
        for session in [one for one in self._sessions.values() if one.line is None and one.ends_at <= now]:
            del self._sessions[session.client_id]


@lru_cache(maxsize=10_000)
def _nodes(topic: str) -> tuple[str, ...]:
    levels = topic.split("/")
    return tuple("/".join(levels[: count + 1]) for count in range(len(levels)))
