"""The newest payload per topic, and what the broker was told.

States: only the newest payload of a topic is kept and only differences are said; after a new connection
everything is said again, in the order of their ranks. Events: never retained, kept until the broker has them,
said on `event/late` when 10 s have passed since we received them, or when the connection broke while they were
under way; at most 1,000 wait, the oldest is dropped and counted. Replies to commands and requests: the same, in a
queue of their own, so that no flood of commands costs a ring, bounded likewise; they are said however late. At most
20 messages are under way, so that a stalled broker costs no memory.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

from nuki2mqtt.gateway.vocabulary import Effect, MqttPublished, MqttRefused, Publish

MAX_EVENTS = 1000
MAX_REPLIES = 20_000  # a flood of 5,000 commands brings four messages each at most
MAX_REPLY_BYTES = 8 * 1024 * 1024
LATE_AFTER_S = 10.0
MAX_UNDER_WAY = 20


class Rank(IntEnum):
    """What is said first after a connection: no device may look fresh before its availability is told."""

    DEVICE = 0
    GATEWAY_STATE = 1
    GATEWAY = 2
    DISCOVERY = 3


@dataclass(frozen=True, slots=True)
class _Said:
    payload: bytes
    rank: Rank
    qos: int


@dataclass(frozen=True, slots=True)
class _Event:
    topic: str
    late_topic: str
    payload: bytes
    received: float
    correlation: bytes | None = None
    retain: bool = False
    is_reply: bool = False
    mark: str | None = None

    @property
    def size(self) -> int:
        """Roughly, in bytes."""
        return len(self.topic) + len(self.payload) + len(self.correlation or b"")


class Publications:
    """What is to be said, what is under way, what was said. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.events_dropped = 0
        self._wanted: dict[str, _Said] = {}
        self._dirty: dict[str, None] = {}
        self._events: deque[_Event] = deque()
        self._replies: deque[_Event] = deque()
        self._reply_bytes = 0
        self._delivered: list[str] = []
        self._clearing: set[str] = set()  # waiting to be cleared: once is enough
        self._under_way: dict[int, _Event | str] = {}
        self._with_broker: set[str] = set()
        self._ids = 0
        self._is_open = False

    @property
    def events_waiting(self) -> int:
        """How many events the broker does not have yet."""
        return len(self._events) + sum(isinstance(item, _Event) for item in self._under_way.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._under_way and not self._dirty and not self._events and not self._replies

    def say(self, topic: str, payload: bytes, rank: Rank, *, qos: int = 1, again: bool = False) -> None:
        """Make this the retained payload of the topic; an equal one is said anew only if `again`."""
        said = _Said(payload, rank, qos)
        if again or self._wanted.get(topic) != said:
            self._wanted[topic] = said
            self._dirty[topic] = None

    def said(self, topic: str) -> bytes | None:
        """The newest payload of a topic."""
        said = self._wanted.get(topic)
        return None if said is None else said.payload

    def is_with_broker(self, topic: str) -> bool:
        """Whether the broker has the newest payload of a topic, on whichever connection it was said."""
        return topic in self._with_broker and topic not in self._dirty

    def tell(self, topic: str, late_topic: str, payload: bytes, received: float) -> None:
        """Say an event once, on `late_topic` if it cannot be said in time."""
        self._events.append(_Event(topic, late_topic, payload, received))
        self._drop_oldest()

    def reply(
        self,
        topic: str,
        payload: bytes,
        received: float,
        *,
        late_topic: str | None = None,
        correlation: bytes | None = None,
        retain: bool = False,
        mark: str | None = None,
    ) -> None:
        """Say something once that somebody's message brought about; an empty retained one clears the topic.

        `take_delivered` gives the mark when the broker has it.
        """
        if retain and topic in self._clearing:
            return
        if retain:
            self._clearing.add(topic)
        self._reply_bytes += len(topic) + len(payload) + len(correlation or b"")
        self._replies.append(
            _Event(topic, late_topic or topic, payload, received, correlation, retain, is_reply=True, mark=mark)
        )
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        while len(self._events) > MAX_EVENTS:
            self._events.popleft()
            self.events_dropped += 1
        while len(self._replies) > MAX_REPLIES or self._reply_bytes > MAX_REPLY_BYTES:
            self._next_reply()
            self.events_dropped += 1

    def _next_reply(self) -> _Event:
        reply = self._replies.popleft()
        self._reply_bytes -= reply.size
        if reply.retain:
            self._clearing.discard(reply.topic)
        return reply

    def opened(self) -> None:
        """A new connection is ready: say everything again, by rank."""
        self.closed()
        self._is_open = True
        ranks = sorted(self._wanted, key=lambda topic: self._wanted[topic].rank)
        self._dirty = dict.fromkeys(ranks)

    def say_again(self, matches: Callable[[Rank], bool]) -> None:
        """Say all topics of some ranks again (Home Assistant was born)."""
        ranks = sorted((topic for topic, said in self._wanted.items() if matches(said.rank)), key=self._rank_of)
        for topic in ranks:
            self._dirty.setdefault(topic)

    def _rank_of(self, topic: str) -> Rank:
        return self._wanted[topic].rank

    def closed(self) -> None:
        """The connection is gone: events that were under way wait again, before the others."""
        self._is_open = False
        # The broker may have them already: said twice, nothing should act on them twice.
        under_way = (item for item in self._under_way.values() if isinstance(item, _Event))
        waiting = [replace(event, topic=event.late_topic) for event in under_way]
        self._events.extendleft(reversed([event for event in waiting if not event.is_reply]))
        replies = [event for event in waiting if event.is_reply]
        self._replies.extendleft(reversed(replies))
        self._reply_bytes += sum(reply.size for reply in replies)
        self._under_way.clear()
        self._drop_oldest()

    def forget(self) -> None:
        """Have nothing to say any more: it is another gateway's part."""
        self.closed()
        self._wanted.clear()
        self._dirty.clear()
        self._with_broker.clear()
        self._events.clear()
        self._replies.clear()
        self._clearing.clear()
        self._reply_bytes = 0

    def ended(self, event: MqttPublished | MqttRefused) -> None:
        """A message is with the broker, or will never be."""
        item = self._under_way.pop(event.message_id, None)
        if isinstance(item, _Event) and item.mark is not None:
            self._delivered.append(item.mark)
        if isinstance(item, str) and isinstance(event, MqttPublished) and item not in self._under_way.values():
            self._with_broker.add(item)

    def take_delivered(self) -> list[str]:
        """The marks of replies that have left us since the last call."""
        delivered, self._delivered = self._delivered, []
        return delivered

    def flush(self, now: float) -> list[Effect]:
        """What may go out now: states first, since an event is about a state that was said."""
        effects: list[Effect] = []
        while self._is_open and len(self._under_way) < MAX_UNDER_WAY:
            if self._dirty:
                topic = next(iter(self._dirty))
                del self._dirty[topic]
                self._with_broker.discard(topic)
                said = self._wanted[topic]
                effects.append(self._publish(topic, topic, said.payload, said.qos, retain=True))
            elif self._events or self._replies:
                event = self._events.popleft() if self._events else self._next_reply()
                is_late = now - event.received >= LATE_AFTER_S
                topic = event.late_topic if is_late else event.topic
                effects.append(self._publish(event, topic, event.payload, 1, event.retain, event.correlation))
            else:
                break
        return effects

    def _publish(
        self,
        item: "_Event | str",
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,  # noqa: FBT001 - as in MQTT's PUBLISH
        correlation: bytes | None = None,
    ) -> Publish:
        self._ids += 1
        self._under_way[self._ids] = item
        return Publish(self._ids, topic, payload, qos, retain, correlation)
