"""The newest payload per topic, and what the broker was told.

States: only the newest payload of a topic is kept and only differences are said; after a new connection
everything is said again, in the order of their ranks. Events: never retained, kept until the broker has them,
said on `event/late` when 10 s have passed since we received them, or when the connection broke while they were
under way; at most 1,000 wait, the oldest is dropped and counted. Replies to commands and requests: the same, in
queues of their own, so that no flood of commands costs a ring, bounded likewise; they are said however late, failures,
which are events, on `event/late` then. At most 20 messages are under way, so that a stalled broker costs no memory.
What the broker refuses of states is said again each minute, and at once when something refused was taken.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from nuki2mqtt.gateway.vocabulary import Effect, MqttPublished, MqttRefused, Publish

MAX_EVENTS = 1000
MAX_REPLIES = 20_000  # a flood of 5,000 commands brings four messages each at most
MAX_REPLY_BYTES = 8 * 1024 * 1024
LATE_AFTER_S = 10.0
MAX_UNDER_WAY = 20


class Rank(IntEnum):
    """What is said first after a connection.

    Who speaks comes first, so that another gateway hears of it before anything is said in its name; then the devices,
    since none may look fresh before its availability is told.
    """

    CLAIM = 0
    DEVICE = 1
    GATEWAY_STATE = 2
    GATEWAY = 3
    DISCOVERY = 4


@dataclass(frozen=True, slots=True)
class _Said:
    payload: bytes
    rank: Rank
    qos: int = 1
    is_once: bool = False
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class _Event:
    topic: str
    late_topic: str
    payload: bytes
    received: float
    correlation: bytes | None = None
    retain: bool = False
    is_reply: bool = False
    is_failure: bool = False
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
        self._failures: deque[_Event] = deque()
        self._replies: deque[_Event] = deque()
        self._reply_bytes = 0
        self._delivered: list[str] = []
        self._clearing: set[str] = set()  # waiting to be cleared: once is enough
        self._under_way: dict[int, _Event | str] = {}
        self._with_broker: set[str] = set()
        self._refused: set[str] = set()
        self._ids = 0
        self._is_open = False

    @property
    def events_waiting(self) -> int:
        """How many events the broker does not have yet."""
        return len(self._events) + sum(isinstance(item, _Event) for item in self._under_way.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._under_way and not self._dirty and not self._events and not self._failures and not self._replies

    def say(
        self,
        topic: str,
        payload: bytes,
        rank: Rank,
        *,
        qos: int = 1,
        again: bool = False,
        is_last: bool = False,
    ) -> None:
        """Make this the retained payload of the topic; an equal one is said anew only if `again`.

        `is_last`: it goes out after all that waits now, also if an earlier payload of it waits before that.
        """
        said = _Said(payload, rank, qos, is_last=is_last)
        if is_last and topic in self._dirty:
            del self._dirty[topic]
            again = True
        if again or self._wanted.get(topic) != said:
            self._wanted[topic] = said
            self._dirty[topic] = None

    def clear(self, topic: str, rank: Rank) -> None:
        """Take what a former process said from the broker, once: not again on each connection."""
        self._wanted[topic] = _Said(b"", rank, is_once=True)
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

        With a `late_topic` it is an event, too, and goes before the others. `take_delivered` gives the mark when the
        broker has it.
        """
        if retain and topic in self._clearing:
            return
        if retain:
            self._clearing.add(topic)
        reply = _Event(
            topic,
            late_topic or topic,
            payload,
            received,
            correlation,
            retain,
            is_reply=True,
            is_failure=late_topic is not None,
            mark=mark,
        )
        self._reply_bytes += reply.size
        self._waiting_for(reply).append(reply)
        self._drop_oldest()

    def _waiting_for(self, event: _Event) -> deque[_Event]:
        if not event.is_reply:
            return self._events
        return self._failures if event.is_failure else self._replies

    def _drop_oldest(self) -> None:
        while len(self._events) > MAX_EVENTS:
            self._events.popleft()
            self.events_dropped += 1
        while len(self._replies) + len(self._failures) > MAX_REPLIES or self._reply_bytes > MAX_REPLY_BYTES:
            self._next_reply(self._failures or self._replies)
            self.events_dropped += 1

    def _next_reply(self, waiting: deque[_Event]) -> _Event:
        reply = waiting.popleft()
        self._reply_bytes -= reply.size
        if reply.retain:
            self._clearing.discard(reply.topic)
        return reply

    def opened(self) -> None:
        """A new connection is ready: say everything again, by rank."""
        self.closed()
        self._is_open = True
        self._refused.clear()
        self._dirty = dict.fromkeys(self._in_turn(self._wanted))

    def say_again(self, matches: Callable[[Rank], bool]) -> None:
        """Say all topics of some ranks again (Home Assistant was born)."""
        self._say_all_again(topic for topic, said in self._wanted.items() if matches(said.rank))

    def say_refused_again(self) -> None:
        """Say once more what the broker has refused: its rules may have changed."""
        refused, self._refused = self._refused, set()
        self._say_all_again(topic for topic in self._wanted if topic in refused)

    def _say_all_again(self, topics: Iterable[str]) -> None:
        for topic in self._in_turn(topics):
            self._dirty.setdefault(topic)

    def _in_turn(self, topics: Iterable[str]) -> list[str]:
        """By rank, and what belongs together side by side: a device's topics, then its availability, which is last."""
        heads = {topic.rpartition("/")[0] for topic, said in self._wanted.items() if said.is_last}
        places: dict[str, int] = {}

        def turn(topic: str) -> tuple[Rank, int, bool]:
            said, head = self._wanted[topic], topic
            while head not in heads and head:
                head = head.rpartition("/")[0]
            return said.rank, places.setdefault(head or topic, len(places)), said.is_last

        return sorted(topics, key=turn)

    def _rank_of(self, topic: str) -> Rank:
        return self._wanted[topic].rank

    def closed(self) -> None:
        """The connection is gone: events that were under way wait again, before the others."""
        self._is_open = False
        # The broker may have them already: said twice, nothing should act on them twice.
        under_way = (item for item in self._under_way.values() if isinstance(item, _Event))
        waiting = [replace(event, topic=event.late_topic) for event in under_way]
        for event in reversed(waiting):
            self._waiting_for(event).appendleft(event)
        self._reply_bytes += sum(event.size for event in waiting if event.is_reply)
        self._under_way.clear()
        self._drop_oldest()

    def forget(self) -> None:
        """Have nothing to say any more: it is another gateway's part."""
        self.closed()
        self._wanted.clear()
        self._dirty.clear()
        self._with_broker.clear()
        self._refused.clear()
        self._events.clear()
        self._failures.clear()
        self._replies.clear()
        self._clearing.clear()
        self._reply_bytes = 0

    def ended(self, event: MqttPublished | MqttRefused) -> str | None:
        """A message is with the broker, or will never be; gives its topic."""
        item = self._under_way.pop(event.message_id, None)
        if item is None:
            return None
        if isinstance(item, _Event):
            if item.mark is not None:
                self._delivered.append(item.mark)
            return item.topic
        if isinstance(event, MqttPublished):
            self._taken(item)
        else:
            self._refused.add(item)
        return item

    def _taken(self, topic: str) -> None:
        if topic not in self._under_way.values():
            self._with_broker.add(topic)
            if topic not in self._dirty and self._wanted[topic].is_once:
                del self._wanted[topic]
        if topic in self._refused:
            # Its rules have changed. What was refused beside it is tried once; not for each of those again.
            self._refused.discard(topic)
            self.say_refused_again()

    def take_delivered(self) -> list[str]:
        """The marks of replies that have left us since the last call."""
        delivered, self._delivered = self._delivered, []
        return delivered

    def flush(self, now: float, *, is_kept: bool = True) -> list[Effect]:
        """What may go out now: states first, since an event is about a state that was said.

        Without `is_kept` only what does not rely on the state file: no announcement, which must be known to be
        taken back, and no reply, whose command must have its end after a crash.
        """
        effects: list[Effect] = []
        while self._is_open and len(self._under_way) < MAX_UNDER_WAY:
            topic = self._next_state(is_kept=is_kept)
            event = self._next_event(is_kept=is_kept) if topic is None else None
            if topic is not None:
                del self._dirty[topic]
                self._with_broker.discard(topic)
                said = self._wanted[topic]
                effects.append(self._publish(topic, topic, said.payload, said.qos, retain=True))
            elif event is not None:
                if now - event.received >= LATE_AFTER_S:
                    event = replace(event, topic=event.late_topic)
                effects.append(self._publish(event, event.topic, event.payload, 1, event.retain, event.correlation))
            else:
                break
        return effects

    def _next_state(self, *, is_kept: bool) -> str | None:
        if is_kept:
            return next(iter(self._dirty), None)
        return next((topic for topic in self._dirty if self._rank_of(topic) is not Rank.DISCOVERY), None)

    def _next_event(self, *, is_kept: bool) -> _Event | None:
        if self._events:
            return self._events.popleft()
        if self._failures:
            return self._next_reply(self._failures)
        return self._next_reply(self._replies) if self._replies and is_kept else None

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
