"""Which doors that opened or closed were told by the log alone.

A door event of the log is told only when the local sources can tell it no more: their youngest word about the door is
younger than the entry, by more than clocks differ, and none of their events is it. Where a local source never speaks of
the door, the log is the only one. So it comes late, or never; but not twice.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nuki2mqtt.model.event import EventType

CLOCKS_DIFFER_S = 20.0
_REPORTED_LATE_S = 600.0  # how far behind the log a report of the same event may be
_MOST_EVENTS = 50


@dataclass(slots=True)
class DoorHistory:
    """What local sources said of one door; times are aware, on our clock."""

    seen: datetime | None = None
    events: deque[tuple[EventType, datetime]] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))

    def saw(self, at: datetime) -> None:
        """A local source said how the door was at this time."""
        self.seen = at if self.seen is None else max(self.seen, at)

    def told(self, event_type: EventType, at: datetime) -> None:
        """A local source told that it opened or closed."""
        self.events.append((event_type, at))
        self.saw(at)

    def is_missing(self, event_type: EventType, at: datetime) -> bool | None:
        """Whether nobody has told this event of the log; None as long as somebody still may.

        An event that is it is used up by that.
        """
        begins, ends = at - timedelta(seconds=CLOCKS_DIFFER_S), at + timedelta(seconds=_REPORTED_LATE_S)
        same = [one for one in self.events if one[0] is event_type and begins <= one[1] <= ends]
        if same:
            self.events.remove(min(same, key=lambda one: abs(one[1] - at)))
            return False
        if self.seen is None:
            return True
        return True if self.seen > at + timedelta(seconds=CLOCKS_DIFFER_S) else None
