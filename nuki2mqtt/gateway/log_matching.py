"""Which entry of a device's log tells who brought about a change that we saw; better none than a wrong one.

An entry is dated by the lock when the order was given; a change is seen when the motor rests, or later, somewhere
between two polls. Nobody knows how well the lock's clock is set. So each change has two windows around its own time:

  near   an entry in it may be taken at once; it bears 5 s of a clock ahead and, with what a motor takes, 15 s before
  far    20 s ahead and 45 s before; an entry in it is taken only at the last read, when what was late has come

Where a change lies somewhere between two polls (`is_wide`), others may hide there, and the log may have only the first
of them yet: then nothing is taken before the last read.

An entry is taken if it is of the same device, its action can have led to the state, it ended as the state shows
(success, or a blocked motor), and nobody else can have been meant:

- of the entries in the window none with another action came after it and before the change: then the log is not
  complete, or it was not this one. Which of them came before the change is not certain to the second either: each way
  of seeing it must name the same one, or none;
- all that remain name the same person, trigger and way; the first of them is taken;
- no other change of which the cause is not known can claim it: none whose near window it is in, none before this one
  whose far window it is in. A change whose cause was never found goes on claiming for some minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nuki2mqtt.model.activity import Activity, ActivityAction, Completion
from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.model.state import CONTINUOUS_MODE_CODE, DOOR_MODE_CODE, JAMMED_CODE

NEAR_BEFORE_S, NEAR_AFTER_S = 15.0, 5.0
FAR_BEFORE_S, FAR_AFTER_S = 45.0, 20.0
WIDE_S = 5.0

_UNLOCKING = frozenset(
    {
        ActivityAction.UNLOCK,
        ActivityAction.UNLATCH,
        ActivityAction.LOCK_N_GO,
        ActivityAction.LOCK_N_GO_UNLATCH,
    }
)
_LOCKING = frozenset({ActivityAction.LOCK})
_UNLATCHING = frozenset({ActivityAction.UNLATCH, ActivityAction.LOCK_N_GO_UNLATCH})
_GOING = frozenset({ActivityAction.LOCK_N_GO, ActivityAction.LOCK_N_GO_UNLATCH})
# By the state that was reached (web reference 4); of others nobody is the cause.
_LOCK_CAUSES = {
    1: _LOCKING,
    2: _UNLOCKING,
    3: _UNLOCKING,
    4: _LOCKING,
    5: _UNLATCHING,
    6: _GOING,
    7: _UNLATCHING,
    JAMMED_CODE: _UNLOCKING | _LOCKING,
}
_OPENER_CAUSES = {
    1: frozenset({ActivityAction.DEACTIVATE_RTO}),
    3: frozenset({ActivityAction.ACTIVATE_RTO}),
    5: frozenset({ActivityAction.ELECTRIC_STRIKE}),
    7: frozenset({ActivityAction.ELECTRIC_STRIKE}),
}
_MODE_CAUSES = {
    CONTINUOUS_MODE_CODE: frozenset({ActivityAction.ACTIVATE_CM}),
    DOOR_MODE_CODE: frozenset({ActivityAction.DEACTIVATE_CM}),
}
# What a device does by itself when it was let go: nobody's deed.
_LOCK_TAILS = frozenset({(5, 3), (7, 3), (6, 3)})
_OPENER_TAILS = frozenset({(5, 1), (5, 3), (7, 1), (7, 3)})
# States on a device's way: what comes next belongs to the same deed.
_LOCK_WAYS = frozenset({2, 4, 5, 7})
_OPENER_WAYS = frozenset({5, 7})
_SUCCEEDED = frozenset({Completion.SUCCESS, Completion.UNKNOWN})  # rows of old logs do not say how it ended
_BLOCKED = frozenset(
    {
        Completion.MOTOR_BLOCKED,
        Completion.CLUTCH_FAILURE,
        Completion.MOTOR_POWER_FAILURE,
        Completion.LOW_MOTOR_VOLTAGE,
        Completion.INCOMPLETE,
        Completion.OTHER_ERROR,
        Completion.UNKNOWN_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Deed:
    """A change whose cause is sought: `actions` can have led to it, between `earliest` and `latest` (our clock, aware).

    `until` (monotonic seconds): a read made from then on is the last one for it. `is_moving`: the device was on its
    way, so that the next change may belong to it.
    """

    number: int
    actions: frozenset[ActivityAction]
    earliest: datetime
    latest: datetime
    until: float = 0.0
    is_blocked: bool = False
    is_moving: bool = False

    def is_near(self, at: datetime) -> bool:
        """Whether what is dated so can be its cause, by clocks that agree."""
        return self._is_in(at, NEAR_BEFORE_S, NEAR_AFTER_S)

    def is_far(self, at: datetime) -> bool:
        """Whether it can be, by a clock that is not set well."""
        return self._is_in(at, FAR_BEFORE_S, FAR_AFTER_S)

    @property
    def is_wide(self) -> bool:
        """Whether others may have come between what was seen before and this."""
        return self.latest - self.earliest > timedelta(seconds=WIDE_S)

    def _is_in(self, at: datetime, before_s: float, after_s: float) -> bool:
        return self.earliest - timedelta(seconds=before_s) <= at <= self.latest + timedelta(seconds=after_s)


def causes_of(device_type: int, to_code: int) -> frozenset[ActivityAction]:
    """The actions that can lead to this state; none where nobody does it."""
    table = _OPENER_CAUSES if kind_of(device_type) is DeviceKind.OPENER else _LOCK_CAUSES
    return table.get(to_code, frozenset())


def mode_causes_of(to_mode: int) -> frozenset[ActivityAction]:
    """The actions that can lead to this mode of an Opener."""
    return _MODE_CAUSES.get(to_mode, frozenset())


def is_tail(device_type: int, from_code: int, to_code: int) -> bool:
    """Whether the device does this by itself after somebody's deed."""
    tails = _OPENER_TAILS if kind_of(device_type) is DeviceKind.OPENER else _LOCK_TAILS
    return (from_code, to_code) in tails


def is_on_way(device_type: int, code: int) -> bool:
    """Whether a device passes this state on its way to another one."""
    return code in (_OPENER_WAYS if kind_of(device_type) is DeviceKind.OPENER else _LOCK_WAYS)


def is_done(activity: Activity) -> bool:
    """Whether the entry tells that somebody moved the device."""
    return activity.is_actuation and not activity.is_entry_refused and activity.completion in _SUCCEEDED


def _is_blocked(activity: Activity) -> bool:
    return activity.is_actuation and not activity.is_entry_refused and activity.completion in _BLOCKED


def identity(activity: Activity) -> tuple[object, ...]:
    """Who it was, and by which means."""
    return (
        activity.auth_id,
        (activity.name or "").strip(),
        activity.trigger_code,
        activity.source_code,
        None if activity.opener is None else activity.opener.source_code,
        activity.auto_unlock,
    )


def find_cause(deed: Deed, entries: Iterable[Activity], others: Sequence[Deed], *, is_last: bool) -> Activity | None:
    """The entry that tells who did it; None as long as it is not known, or is not certain.

    `entries` are those of this device that tell of no other deed; `others` are the other deeds of this device whose
    cause is not known.
    """
    if deed.is_wide and not is_last:
        return None
    moved = [one for one in entries if is_done(one) or (deed.is_blocked and _is_blocked(one))]
    found = _find(deed, [one for one in moved if one.at and deed.is_near(one.at)], NEAR_AFTER_S)
    if found is None and is_last:
        found = _find(deed, [one for one in moved if one.at and deed.is_far(one.at)], FAR_AFTER_S)
    if found is None or found.at is None:
        return None
    for other in others:
        is_older = other.earliest <= deed.earliest
        if found.action in other.actions and (other.is_near(found.at) or (is_older and other.is_far(found.at))):
            return None
    return found


def _find(deed: Deed, entries: Sequence[Activity], skew_s: float) -> Activity | None:
    """The one that it can be, whichever of them came before the change: the clocks may differ by so much."""
    ordered = sorted(entries, key=lambda one: (one.at or deed.latest, one.id or ""))
    certain = deed.latest - timedelta(seconds=skew_s)
    before = sum(one.at is not None and one.at <= certain for one in ordered)
    runs = [_last_run(deed, ordered[:end]) for end in range(before, len(ordered) + 1)]
    meant = [one for run in runs for one in run]
    return meant[0] if len({identity(one) for one in meant}) == 1 else None


def _last_run(deed: Deed, entries: Sequence[Activity]) -> list[Activity]:
    """Those that can have led to the state, after the last that led to another one."""
    run: list[Activity] = []
    for one in entries:
        if one.action not in deed.actions:
            run.clear()
        elif not deed.is_blocked or _is_blocked(one):
            run.append(one)
    return run
