"""Lost callbacks: changes that `/list` had to tell.

A change first seen by `/list` and not told by a callback within 5 s is one lost callback; three in an hour
mean that callbacks cannot be relied on (docs/architecture.md, "One state change").
"""

from collections import deque

from nuki2mqtt.model.device import NukiId

PATIENCE_S = 5.0
WINDOW_S = 3600.0
TOO_MANY = 3


class CallbackWatch:
    """Counts the lost callbacks of one Bridge. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.lost = 0
        self._pending: dict[NukiId, float] = {}
        self._recent: deque[float] = deque(maxlen=TOO_MANY)

    def told_by_list(self, nuki_id: NukiId, now: float) -> None:
        """`/list` was the first to tell a change of this device."""
        self._pending.setdefault(nuki_id, now + PATIENCE_S)

    def told_by_callback(self, nuki_id: NukiId) -> None:
        """The callback came after all."""
        self._pending.pop(nuki_id, None)

    def next_deadline(self) -> float | None:
        """When the next callback counts as lost."""
        return min(self._pending.values()) if self._pending else None

    def count_lost(self, now: float) -> int:
        """How many callbacks have been lost since the last call."""
        if not self._pending:
            return 0
        overdue = [nuki_id for nuki_id, deadline in self._pending.items() if deadline <= now]
        for nuki_id in overdue:
            del self._pending[nuki_id]
            self._recent.append(now)
        self.lost += len(overdue)
        return len(overdue)

    def is_losing(self, now: float) -> bool:
        """Whether callbacks are being lost so often that polling must make up for it."""
        return len(self._recent) == TOO_MANY and now - self._recent[0] < WINDOW_S
