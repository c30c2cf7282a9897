"""What a device can be told to do.

Source: Bridge API 1.13.2 section 4.4. Which actions *open* is decided by docs/topics.md: an opening action is
never repeated when its outcome is unknown.
"""

from dataclasses import dataclass
from enum import StrEnum

from nuki2mqtt.model.device import DeviceKind, kind_of
from nuki2mqtt.model.state import CONTINUOUS_MODE_CODE, DOOR_MODE_CODE


class Action(StrEnum):
    """Every action, under the name that MQTT uses."""

    UNLOCK = "unlock"
    LOCK = "lock"
    UNLATCH = "unlatch"
    LOCK_N_GO = "lock_n_go"
    LOCK_N_GO_UNLATCH = "lock_n_go_unlatch"
    ACTIVATE_RTO = "activate_rto"
    DEACTIVATE_RTO = "deactivate_rto"
    ELECTRIC_STRIKE = "electric_strike"
    ACTIVATE_CM = "activate_cm"
    DEACTIVATE_CM = "deactivate_cm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFacts:
    """An action's number in the Bridge API, whether it opens, and what is seen when it works. States are numbers.

    `passes`: what it goes through, `settles`: where it may rest, at last by locking again. `proves`: what on its
    way shows that it runs, `agrees`: what it was given for; a relocking is neither (docs/topics.md, "Confirmed").
    `mode`: continuous mode shows in the mode only (section 4.2). `derived`: what may be concluded from our own
    command. `opens_door`: a door that opens agrees with it, too.
    """

    code: int
    opens: bool
    passes: frozenset[int] = frozenset()
    settles: frozenset[int] = frozenset()
    proves: frozenset[int] = frozenset()
    agrees: frozenset[int] = frozenset()
    mode: int | None = None
    derived: int | None = None
    opens_door: bool = False


def _states(*codes: int) -> frozenset[int]:
    return frozenset(codes)


LOCK_ACTIONS: dict[Action, ActionFacts] = {
    Action.UNLOCK: ActionFacts(
        code=1, opens=True, passes=_states(2), settles=_states(3), proves=_states(2), agrees=_states(3), derived=2
    ),
    Action.LOCK: ActionFacts(
        code=2, opens=False, passes=_states(4), settles=_states(1), proves=_states(4), agrees=_states(1), derived=4
    ),
    Action.UNLATCH: ActionFacts(
        code=3,
        opens=True,
        passes=_states(2, 7, 5),
        settles=_states(5, 3),
        proves=_states(2, 7, 5),
        agrees=_states(5, 3),
        derived=7,
        opens_door=True,
    ),
    Action.LOCK_N_GO: ActionFacts(
        code=4,
        opens=True,
        passes=_states(2, 6, 3, 4),
        settles=_states(6, 3, 1),
        proves=_states(2, 6),
        agrees=_states(5, 6, 3),
        derived=2,
        opens_door=True,
    ),
    Action.LOCK_N_GO_UNLATCH: ActionFacts(
        code=5,
        opens=True,
        passes=_states(2, 7, 5, 6, 3, 4),
        settles=_states(5, 6, 3, 1),
        proves=_states(2, 7, 5, 6),
        agrees=_states(5, 6, 3),
        derived=7,
        opens_door=True,
    ),
}
OPENER_ACTIONS: dict[Action, ActionFacts] = {
    Action.ACTIVATE_RTO: ActionFacts(code=1, opens=True, settles=_states(3), agrees=_states(3)),
    Action.DEACTIVATE_RTO: ActionFacts(code=2, opens=False, settles=_states(1), agrees=_states(1)),
    Action.ELECTRIC_STRIKE: ActionFacts(
        code=3,
        opens=True,
        passes=_states(7, 5),
        settles=_states(5, 1, 3),
        proves=_states(7, 5),
        agrees=_states(5, 1, 3),
        derived=7,
    ),
    Action.ACTIVATE_CM: ActionFacts(code=4, opens=True, settles=_states(1, 3), mode=CONTINUOUS_MODE_CODE),
    Action.DEACTIVATE_CM: ActionFacts(code=5, opens=False, settles=_states(1, 3), mode=DOOR_MODE_CODE),
}
# A type that no document names is taken for a lock, without the actions that open its door.
_UNKNOWN_ACTIONS: dict[Action, ActionFacts] = {
    action: facts for action, facts in LOCK_ACTIONS.items() if action in {Action.UNLOCK, Action.LOCK}
}


def actions_of(device_type: int) -> dict[Action, ActionFacts]:
    """The actions that a device type understands through a Bridge."""
    match kind_of(device_type):
        case DeviceKind.OPENER:
            return OPENER_ACTIONS
        case DeviceKind.SMART_LOCK | DeviceKind.SMART_DOOR:
            return LOCK_ACTIONS
        case DeviceKind.BOX:
            return {}
        case DeviceKind.UNKNOWN:
            return _UNKNOWN_ACTIONS
