"""How often a device may be woken to be read by the cloud (a forced sync), whoever wants it: each costs its battery.

At most once per device in six hours, by both clocks: the wall's alone could be set forward. What was spent stands in
the state file, so that a restart gives nothing back.
"""

from datetime import datetime, timedelta

from nuki2mqtt.gateway.keypad_wishes import KeypadSyncs
from nuki2mqtt.gateway.vocabulary import Moment

SYNC_EVERY_S = 6 * 3600.0


class SyncBudget:
    """`spent` is by the cloud's number of the device as text; `started`: the process, in monotonic seconds."""

    def __init__(self, spent: dict[str, KeypadSyncs], started: float) -> None:
        self.spent = dict(spent)
        self._started = started
        self._last: dict[int, float] = {}  # of this process, monotonic
        self._former: dict[int, tuple[KeypadSyncs | None, float | None]] = {}  # what the last one has replaced

    def wait_s(self, smartlock_id: int, now: Moment) -> float:
        """How long until the next one is allowed; 0 for now."""
        last = self._last.get(smartlock_id)
        if last is not None:
            return max(last + SYNC_EVERY_S - now.monotonic, 0.0)
        spent = self.spent.get(str(smartlock_id))
        if spent is None:
            return 0.0
        age_s = (now.wall - spent.last).total_seconds()
        if age_s < 0:  # a clock that was set back tells nothing: six hours of this process do
            return max(self._started + SYNC_EVERY_S - now.monotonic, 0.0)
        return max(SYNC_EVERY_S - age_s, 0.0)

    def spend(self, smartlock_id: int, now: Moment) -> None:
        """One is ordered now."""
        spent = self.spent.get(str(smartlock_id))
        self._former[smartlock_id] = spent, self._last.get(smartlock_id)
        self.spent[str(smartlock_id)] = KeypadSyncs(1 if spent is None else spent.count + 1, now.wall)
        self._last[smartlock_id] = now.monotonic

    def refund(self, smartlock_id: int) -> None:
        """The cloud has not taken the last one: it costs nothing."""
        spent, last = self._former.pop(smartlock_id, (None, None))
        self.spent.pop(str(smartlock_id), None)
        self._last.pop(smartlock_id, None)
        if spent is not None:
            self.spent[str(smartlock_id)] = spent
        if last is not None:
            self._last[smartlock_id] = last

    def count(self, smartlock_id: int) -> int:
        """How many this device has had."""
        spent = self.spent.get(str(smartlock_id))
        return 0 if spent is None else spent.count

    def next_at(self, smartlock_id: int, now: Moment) -> datetime:
        """When the next one is allowed, in full seconds."""
        at = now.wall + timedelta(seconds=self.wait_s(smartlock_id, now))
        return at.replace(microsecond=0) + timedelta(seconds=1) if at.microsecond else at
