"""Rings of one Opener: each is told once, by its timestamp, and none from before the start.

A ring never changes the Opener's state; it shows as a new `ringactionTimestamp`, in a callback usually with
`ringactionState` true (reference 3.2, recorded sequences). The flag is never called back to false.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from nuki2mqtt.gateway.bridge_clock import TOLERANCE_S, BridgeClock
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.state import Ring, Source

LATE_S = 60.0  # docs/topics.md, event/late
_RINGS_FOR_S = 30.0  # Bridge API 1.13.2 section 5: the flag falls back after 30 s
_REMEMBERED = 32


@dataclass(frozen=True, slots=True)
class NewRing:
    """A ring to tell: its timestamp, its time on our monotonic clock, and whether it is too old to act on."""

    at: datetime | None
    time: float
    is_old: bool


@dataclass(slots=True)
class Rings:
    """What is known of the rings of one Opener."""

    shown: datetime | None = None
    _newest: datetime | None = None
    _told: deque[datetime] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _last: tuple[str, float] | None = None

    def observe(
        self,
        ring: Ring,
        *,
        source: Source,
        link: str,
        clock: BridgeClock | None,
        started: float,
        is_first: bool,
        now: Moment,
    ) -> NewRing | None:
        """Take in what a report says of the ring; the ring to tell, if this is a new one."""
        is_ringing = source is Source.CALLBACK and ring.active is True
        if ring.at is None:
            return self._without_time(link, now) if is_ringing and not is_first else None
        if ring.at in self._told or not (is_ringing or self._newest is None or ring.at > self._newest):
            return None
        is_baseline = is_first or (self._newest is None and not is_ringing and clock is None)
        self._told.append(ring.at)
        self._newest = ring.at if self._newest is None else max(self._newest, ring.at)
        self.shown = ring.at
        time = now.monotonic if clock is None else clock.monotonic(ring.at)
        if is_ringing:
            # The flag lasts 30 s, whatever a clock that was just set says of the time.
            time = max(time, now.monotonic - _RINGS_FOR_S)
        if is_baseline or time + TOLERANCE_S < started or self._told_by_other(link, time, has_clock=clock is not None):
            return None
        self._last = (link, time)
        if is_ringing:
            return NewRing(ring.at, now.monotonic, is_old=False)
        is_old = clock is None or now.monotonic - time > LATE_S
        return NewRing(ring.at, min(time, now.monotonic), is_old)

    def _without_time(self, link: str, now: Moment) -> NewRing | None:
        if self._last is not None and now.monotonic - self._last[1] < _RINGS_FOR_S:
            return None
        self._last = (link, now.monotonic)
        return NewRing(None, now.monotonic, is_old=False)

    def _told_by_other(self, link: str, time: float, *, has_clock: bool) -> bool:
        # Two Bridges stamp one ring with two clocks.
        same_s = 2 * TOLERANCE_S if has_clock else _RINGS_FOR_S
        return self._last is not None and self._last[0] != link and abs(time - self._last[1]) <= same_s
