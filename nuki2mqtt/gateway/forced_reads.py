"""Reads that wake a lock: wanted for a reason, spaced, and within the budget of the day, each device its own.

One read is wanted at a time. What did not wake the lock (a busy Bridge, a refused connection) may be tried again;
a read that did not reach the lock has decided nothing and is tried twice more, much later, since a lock at rest
would otherwise stay unavailable until somebody moves it (docs/decisions/0019). Times are monotonic seconds.

Reads that settle a command have a reserve of their own and wait for nobody: somebody stands before the door.
"""

from collections import deque
from dataclasses import dataclass
from math import inf

from nuki2mqtt.errors import BridgeErrorKind
from nuki2mqtt.model.device import NukiId

_DAY_S = 86_400.0
_TRIES = 3
_UNREACHED_RETRIES_S = (600.0, 3600.0)
COMMAND_READS_PER_DAY = 48
_NOT_WOKEN = frozenset({BridgeErrorKind.BUSY, BridgeErrorKind.REFUSED, BridgeErrorKind.TOKEN_REFUSED})


@dataclass(slots=True)
class _Wish:
    device_type: int
    due: float
    tries: int = 0
    unreached: int = 0
    is_for_command: bool = False
    is_for_others: bool = False
    others_due: float = inf  # when it would be due without a command


class ForcedReads:
    """The reads that are wanted from one Bridge, and those that were made."""

    def __init__(self, min_s: float, per_day: int) -> None:
        self.made = 0
        self._min_s = min_s
        self._per_day = per_day
        self._wishes: dict[NukiId, _Wish] = {}
        self._reads: dict[NukiId, deque[float]] = {}
        self._command_reads: dict[NukiId, deque[float]] = {}

    def __len__(self) -> int:
        return len(self._wishes)

    def __contains__(self, nuki_id: NukiId) -> bool:
        return nuki_id in self._wishes

    def clear(self) -> None:
        """Want nothing any more; what was made still counts."""
        self._wishes.clear()

    def forget(self, nuki_id: NukiId) -> None:
        """Want no read of this device."""
        self._wishes.pop(nuki_id, None)

    def want(self, nuki_id: NukiId, device_type: int, now: float) -> bool:
        """Want a read as soon as it may be; False if the budget of the day is spent."""
        if self._is_spent(nuki_id, now):
            return False
        reads = self._reads.get(nuki_id)
        due = max(now, reads[-1] + self._min_s) if reads else now
        wish = self._wishes.setdefault(nuki_id, _Wish(device_type, due))
        wish.due = min(wish.due, due)
        wish.is_for_others, wish.others_due = True, min(wish.others_due, due)
        return True

    def wait_s(self, nuki_id: NukiId, now: float) -> float | None:
        """How long a read would wait; None if the budget of the day is spent."""
        reads = self._reads.get(nuki_id)
        if self._is_spent(nuki_id, now):
            return None
        return max(0.0, reads[-1] + self._min_s - now) if reads else 0.0

    def want_for_command(self, nuki_id: NukiId, device_type: int, now: float) -> bool:
        """Want a read that settles a command, now; False if that reserve is spent."""
        if self._is_reserve_spent(nuki_id, now):
            return False
        wish = self._wishes.setdefault(nuki_id, _Wish(device_type, now))
        wish.due, wish.is_for_command = now, True
        return True

    def drop_for_command(self, nuki_id: NukiId) -> None:
        """The command is settled without its read."""
        wish = self._wishes.get(nuki_id)
        if wish is not None and wish.is_for_others:
            wish.is_for_command, wish.due = False, wish.others_due
        elif wish is not None:
            del self._wishes[nuki_id]

    def _is_spent(self, nuki_id: NukiId, now: float) -> bool:
        return _count_of_day(self._reads, nuki_id, now) >= self._per_day

    def _is_reserve_spent(self, nuki_id: NukiId, now: float) -> bool:
        return _count_of_day(self._command_reads, nuki_id, now) >= COMMAND_READS_PER_DAY

    def heard_of(self, nuki_id: NukiId) -> None:
        """The lock was heard of in another way: a retry for its sake is not needed."""
        wish = self._wishes.get(nuki_id)
        if wish is not None and wish.unreached:
            del self._wishes[nuki_id]

    def next_due(self) -> float | None:
        """When the next read is due."""
        return min([wish.due for wish in self._wishes.values()]) if self._wishes else None

    def take(self, now: float) -> tuple[NukiId, int] | None:
        """The device to read now and its type, counted as read; None if none is due."""
        for nuki_id, wish in list(self._wishes.items()):
            if wish.due > now:
                continue
            is_spent = self._is_reserve_spent if wish.is_for_command else self._is_spent
            if is_spent(nuki_id, now):
                del self._wishes[nuki_id]
                continue
            (self._command_reads if wish.is_for_command else self._reads)[nuki_id].append(now)
            self.made += 1
            return nuki_id, wish.device_type
        return None

    def answered(self, nuki_id: NukiId, now: float, *, has_reached: bool) -> None:
        """The Bridge answered; `has_reached` is its `success`."""
        wish = self._wishes.get(nuki_id)
        if wish is None:
            return
        if has_reached or wish.unreached >= len(_UNREACHED_RETRIES_S):
            del self._wishes[nuki_id]
            return
        wish.due = wish.others_due = now + _UNREACHED_RETRIES_S[wish.unreached]
        wish.unreached += 1
        wish.is_for_command, wish.is_for_others = False, True  # for the lock's sake, whatever becomes of the command

    def failed(self, nuki_id: NukiId, kind: BridgeErrorKind, due: float) -> None:
        """The request failed; `due` is when the Bridge may be asked again."""
        wish = self._wishes.get(nuki_id)
        if wish is None:
            return
        if kind is BridgeErrorKind.DEVICE_OFFLINE:
            self.answered(nuki_id, due, has_reached=False)
            return
        wish.tries += 1
        reads = self._reads.get(nuki_id)
        wish.others_due = max(due, reads[-1] + self._min_s) if reads else due
        wish.due = due if wish.is_for_command else wish.others_due
        if kind not in _NOT_WOKEN or wish.tries >= _TRIES:
            del self._wishes[nuki_id]


def _count_of_day(reads: dict[NukiId, deque[float]], nuki_id: NukiId, now: float) -> int:
    times = reads.setdefault(nuki_id, deque())
    while times and now - times[0] >= _DAY_S:
        times.popleft()
    return len(times)
