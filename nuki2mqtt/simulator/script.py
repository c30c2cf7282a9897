"""The people of a simulated house: they come, go and ring, by a seeded script.

Pure: told the time, and what it does depends on the seed and the house only. Each function below is something that a
person does; it says so in words, or gives None where it cannot be done (nobody opens a locked door).
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeVar

from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.simulator.doer import BY_BUTTON, BY_KEYPAD, Doer
from nuki2mqtt.simulator.house import (
    LOCK,
    LOCKED,
    LOCKING,
    UNLOCK,
    UNLOCKED,
    House,
    SimulatedLock,
    SimulatedOpener,
    Timing,
)

DOOR_CLOSED, DOOR_OPEN = 2, 3  # Bridge API 1.13.2 section 4.6
VISITS = 1000

_FIRST_S = 4.0
_BETWEEN_S = (6.0, 14.0)
_STEP_S = (2.0, 4.0)
_RINGS_IN_TEN = 3
_T = TypeVar("_T")


def unlock_by_hand(lock: SimulatedLock) -> str | None:
    """Turn the key or the knob."""
    if lock.state != LOCKED:
        return None
    lock.turn(UNLOCKED)
    return f"somebody unlocks {_name(lock)} by hand"


def unlock_by_keypad(lock: SimulatedLock, timing: Timing) -> str | None:
    """Type a code; the motor unlocks."""
    if lock.state != LOCKED:
        return None
    _order(lock, UNLOCK, timing, BY_KEYPAD)
    return f"somebody types a code at {_name(lock)}"


def open_door(lock: SimulatedLock) -> str | None:
    """Open a closed door that is not locked."""
    if lock.door != DOOR_CLOSED or lock.state in {LOCKED, LOCKING}:
        return None
    lock.set_door(DOOR_OPEN)
    return f"somebody opens {_name(lock)}"


def close_door(lock: SimulatedLock) -> str | None:
    """Close an open door."""
    if lock.door != DOOR_OPEN:
        return None
    lock.set_door(DOOR_CLOSED)
    return f"somebody closes {_name(lock)}"


def lock_by_hand(lock: SimulatedLock) -> str | None:
    """Turn the key or the knob of a closed door."""
    if lock.state == LOCKED or lock.door == DOOR_OPEN:
        return None
    lock.turn(LOCKED)
    return f"somebody locks {_name(lock)} by hand"


def lock_by_button(lock: SimulatedLock, timing: Timing) -> str | None:
    """Press the button of the lock at a closed door; the motor locks."""
    if lock.state == LOCKED or lock.door == DOOR_OPEN:
        return None
    _order(lock, LOCK, timing, BY_BUTTON)
    return f"somebody presses the button of {_name(lock)}"


def ring(opener: SimulatedOpener) -> str | None:
    """Ring at the house's door."""
    opener.ring()
    return f"somebody rings at {_name(opener)}"


class Chance:
    """Numbers that depend on the seed only, whatever the version of Python."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def fraction(self) -> float:
        """From 0 to below 1."""
        self._drawn += 1
        return int.from_bytes(sha256(f"{self._seed}/{self._drawn}".encode()).digest()[:6]) / 2**48

    def between(self, bounds: tuple[float, float]) -> float:
        """A number of this range."""
        return bounds[0] + self.fraction() * (bounds[1] - bounds[0])

    def pick(self, items: Sequence[_T]) -> _T:
        """One of these."""
        return items[int(self.fraction() * len(items))]


class Deed(NamedTuple):
    """What a person does, and how many seconds after the last."""

    after_s: float
    do: Callable[[], str | None]


class Script:
    """Visits one after the other, `VISITS` at most, every one planned when it begins.

    `pace` multiplies the pauses. A clock that jumps ahead catches up with the rest of one visit only.
    """

    def __init__(self, house: House, *, seed: int, timing: Timing, pace: float = 1.0, visits: int = VISITS) -> None:
        self._house = house
        self._chance = Chance(seed)
        self._timing = timing
        self._pace = pace
        self._visits_left = visits
        self._deeds: list[Deed] = []
        self._next_at: float | None = None
        self._begin_visit(house.now, _FIRST_S)

    def next_at(self) -> float | None:
        """When something happens next, in the time of the house; None when the script has ended."""
        return self._next_at

    def advance(self, now: float) -> list[str]:
        """Let everything happen that is due; what people did, in words."""
        told: list[str] = []
        while self._deeds and self._next_at is not None and self._next_at <= now:
            self._house.advance(self._next_at)
            done = self._deeds.pop(0).do()
            if done is not None:
                told.append(done)
            if not self._deeds:
                self._begin_visit(now, self._chance.between(_BETWEEN_S))
                break
            self._next_at += self._deeds[0].after_s * self._pace
        self._house.advance(now)
        return told

    def _begin_visit(self, now: float, pause_s: float) -> None:
        self._deeds = self._next_visit() if self._visits_left > 0 else []
        self._visits_left -= 1
        self._next_at = now + pause_s * self._pace if self._deeds else None

    def _next_visit(self) -> list[Deed]:
        locks = [device for device in self._house.devices if isinstance(device, SimulatedLock) and not is_box(device)]
        openers = [device for device in self._house.devices if isinstance(device, SimulatedOpener)]
        if openers and (not locks or self._chance.fraction() * 10 < _RINGS_IN_TEN):
            opener = self._chance.pick(openers)
            return [Deed(0.0, lambda: ring(opener))]
        if not locks:
            return []
        lock = self._chance.pick(locks)
        return self._coming(lock) if lock.state == LOCKED else self._going(lock)

    def _coming(self, lock: SimulatedLock) -> list[Deed]:
        has_keypad = lock.keypad_critical is not None
        if has_keypad and self._chance.fraction() < 0.5:
            # In seconds of the motor, which `pace` does not shorten.
            turning_s = (self._timing.accept_s + self._timing.motor_s) / self._pace
            return [
                Deed(0.0, lambda: unlock_by_keypad(lock, self._timing)),
                *self._through(lock, turning_s + self._step_s()),
            ]
        return [Deed(0.0, lambda: unlock_by_hand(lock)), *self._through(lock, self._step_s())]

    def _going(self, lock: SimulatedLock) -> list[Deed]:
        if self._chance.fraction() < 0.5:
            return [*self._through(lock, 0.0), Deed(self._step_s(), lambda: lock_by_hand(lock))]
        return [*self._through(lock, 0.0), Deed(self._step_s(), lambda: lock_by_button(lock, self._timing))]

    def _through(self, lock: SimulatedLock, after_s: float) -> list[Deed]:
        return [Deed(after_s, lambda: open_door(lock)), Deed(self._step_s(), lambda: close_door(lock))]

    def _step_s(self) -> float:
        return self._chance.between(_STEP_S)


def is_box(device: SimulatedLock) -> bool:
    """Whether it is a letter box, through which nobody comes."""
    return kind_of(device.device_type) is DeviceKind.BOX


def _order(lock: SimulatedLock, action: int, timing: Timing, doer: Doer) -> None:
    if lock.house is None:
        raise RuntimeError(f"device {lock.nuki_id:08X} is in no house")
    with lock.house.witnesses.doing(doer):
        lock.order(action, timing)


def _name(device: SimulatedLock | SimulatedOpener) -> str:
    return device.name if isinstance(device.name, str) else device.name.decode(errors="replace")
