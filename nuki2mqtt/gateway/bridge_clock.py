"""A Bridge's clock as read from `/info`, mapped to our monotonic clock."""

from dataclasses import dataclass
from datetime import datetime

from nuki2mqtt.gateway.vocabulary import Moment

# `currentTime` has whole seconds and travels for some time: nothing finer than this is certain.
TOLERANCE_S = 2.0


@dataclass(frozen=True, slots=True)
class BridgeClock:
    """`offset` is the Bridge's time in epoch seconds minus our monotonic clock."""

    offset: float
    skew_s: float

    @classmethod
    def read(cls, current_time: datetime, now: Moment, *, travelled_s: float) -> "BridgeClock":
        """From the `currentTime` of an answer that arrived now, `travelled_s` after the request."""
        bridge_s = current_time.timestamp() + travelled_s / 2
        return cls(bridge_s - now.monotonic, bridge_s - now.wall.timestamp())

    def monotonic(self, at: datetime) -> float:
        """A time of the Bridge's on our monotonic clock."""
        return at.timestamp() - self.offset

    def skew_at(self, now: Moment) -> float:
        """How far the Bridge's clock is ahead of our wall clock now, in seconds."""
        return self.offset + now.monotonic - now.wall.timestamp()

    def agrees_with(self, other: "BridgeClock", travelled_s: float = 0.0) -> bool:
        """Whether the clock went on between two readings, and was not set; `travelled_s` of the slower one."""
        return abs(self.offset - other.offset) <= 2 * TOLERANCE_S + travelled_s / 2
