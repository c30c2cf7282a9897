"""Whether this process has stood still: suspended, stopped by a signal, or starved for seconds.

What waited in the socket meanwhile looks new when it is read. So a connection over which time stood still is given up
before anything of it is acted upon: the session is clean, and the broker keeps nothing for us.
"""

from collections.abc import Callable

from nuki2mqtt.adapters.clock import monotonic_s


class Pulse:
    """Beaten by a task each `every_s`; it has stood still when a beat is `patience_s` late. `now` gives seconds."""

    def __init__(self, every_s: float, patience_s: float, now: Callable[[], float] = monotonic_s) -> None:
        self._every_s = every_s
        self._patience_s = patience_s
        self._now = now
        self._last = now()

    def beat(self) -> None:
        """Time passes."""
        self._last = self._now()

    @property
    def late_s(self) -> float:
        """By how much the next beat is late."""
        return max(0.0, self._now() - self._last - self._every_s)

    @property
    def has_stood_still(self) -> bool:
        """Whether the next beat is too late."""
        return self.late_s > self._patience_s

    @property
    def certain_s(self) -> float:
        """The latest time at which what is read now was certainly not there yet, or now."""
        return self._now() - self.late_s
