"""When a device's log is read: some times after a change, since entries come late, and within a budget.

After a change about 5, 15, 30, 60 and 90 s: what shows in the log at once when somebody has notifications on takes a
minute otherwise (web reference 7). One read serves all changes of its device, and soon-due ones with it. The last read
of a change is kept also when all is known: a door or a refused code may have come later.
"""

from collections import deque

from nuki2mqtt.model.device import NukiId

AFTER_S = (5.0, 15.0, 30.0, 60.0, 90.0)
STIRRED_AFTER_S = (20.0, 80.0)
MERGED_S = 4.0
HOUR_S = 3600.0
MOST_PER_HOUR = 300
MOST_OF_ONE_PER_HOUR = 60


class LogReads:
    """The reads that are wanted, by device. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.made = 0
        self.left_out = 0
        self._due: dict[NukiId, list[tuple[float, bool]]] = {}  # and whether it is the last one of a change
        self._under_way: set[NukiId] = set()
        self._of_all: deque[float] = deque()
        self._of_one: dict[NukiId, deque[float]] = {}

    def want(self, nuki_id: NukiId, now: float, after_s: tuple[float, ...] = AFTER_S) -> None:
        """Read so many seconds from now."""
        last = max(after_s)
        wanted = [(now + delay_s, delay_s == last) for delay_s in after_s]
        due = sorted([*self._due.get(nuki_id, []), *wanted])
        # A last read soon after another serves both.
        self._due[nuki_id] = [
            one
            for place, one in enumerate(due)
            if not (one[1] and any(later[1] and later[0] - one[0] < MERGED_S for later in due[place + 1 :]))
        ]

    def settle(self, nuki_id: NukiId) -> None:
        """Nothing is sought any more: only the last reads are made."""
        self._keep(nuki_id, [one for one in self._due.get(nuki_id, []) if one[1]])

    def _keep(self, nuki_id: NukiId, due: list[tuple[float, bool]]) -> None:
        if due:
            self._due[nuki_id] = due
        else:
            self._due.pop(nuki_id, None)  # the next deadline is asked for at every event

    def forget(self, nuki_id: NukiId) -> None:
        """Read nothing of this device; one under way is still to end."""
        self._due.pop(nuki_id, None)
        self._of_one.pop(nuki_id, None)

    def clear(self) -> None:
        """Read nothing any more; what was made still counts."""
        self._due.clear()
        self._under_way.clear()

    def next_due(self) -> float | None:
        """When the next read is to be made."""
        times = (due[0][0] for nuki_id, due in self._due.items() if nuki_id not in self._under_way)
        return min(times, default=None)

    def take(self, now: float) -> tuple[NukiId, ...]:
        """The devices to be read now; each is under way until `ended`."""
        ready = [one for one, due in self._due.items() if due[0][0] <= now and one not in self._under_way]
        return tuple(nuki_id for nuki_id in ready if self._take(nuki_id, now))

    def _take(self, nuki_id: NukiId, now: float) -> bool:
        due = self._due[nuki_id]
        # What is soon to be read is read now; but a last read is never made before its time.
        self._keep(nuki_id, [one for one in due if one[0] > now and (one[1] or one[0] > now + MERGED_S)])
        if not self._is_within_budget(nuki_id, now):
            self.left_out += 1
            return False
        self.made += 1
        self._of_all.append(now)
        self._of_one.setdefault(nuki_id, deque()).append(now)
        self._under_way.add(nuki_id)
        return True

    def _is_within_budget(self, nuki_id: NukiId, now: float) -> bool:
        of_one = self._of_one.setdefault(nuki_id, deque())
        for made in (self._of_all, of_one):
            while made and made[0] <= now - HOUR_S:
                made.popleft()
        return len(self._of_all) < MOST_PER_HOUR and len(of_one) < MOST_OF_ONE_PER_HOUR

    def ended(self, nuki_id: NukiId) -> None:
        """The read of this device is over."""
        self._under_way.discard(nuki_id)
