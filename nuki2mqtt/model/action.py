"""What a device can be told to do.

Source: Bridge API 1.13.2 section 4.4. Which actions *open* is decided by docs/topics.md: an opening action is
never repeated when its outcome is unknown.
"""

from dataclasses import dataclass
from enum import StrEnum

from nuki2mqtt.model.device import DeviceKind, kind_of


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


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """An action's number in the Bridge API, whether it opens, what it passes through and where it settles."""

    code: int
    opens: bool
    passes: frozenset[int]
    settles: frozenset[int]


def _facts(code: int, *, opens: bool, passes: tuple[int, ...], settles: tuple[int, ...]) -> ActionFacts:
    return ActionFacts(code, opens, frozenset(passes), frozenset(settles))


LOCK_ACTIONS: dict[Action, ActionFacts] = {
    Action.UNLOCK: _facts(1, opens=True, passes=(2,), settles=(3,)),
    Action.LOCK: _facts(2, opens=False, passes=(4,), settles=(1,)),
    Action.UNLATCH: _facts(3, opens=True, passes=(2, 7, 5), settles=(5, 3)),
    Action.LOCK_N_GO: _facts(4, opens=True, passes=(2, 6, 3, 4), settles=(6, 3, 1)),
    Action.LOCK_N_GO_UNLATCH: _facts(5, opens=True, passes=(2, 7, 5, 6, 3, 4), settles=(5, 6, 3, 1)),
}
OPENER_ACTIONS: dict[Action, ActionFacts] = {
    Action.ACTIVATE_RTO: _facts(1, opens=True, passes=(), settles=(3,)),
    Action.DEACTIVATE_RTO: _facts(2, opens=False, passes=(), settles=(1,)),
    Action.ELECTRIC_STRIKE: _facts(3, opens=True, passes=(7, 5), settles=(5, 1, 3)),
    Action.ACTIVATE_CM: _facts(4, opens=True, passes=(), settles=(1, 3)),
    Action.DEACTIVATE_CM: _facts(5, opens=False, passes=(), settles=(1, 3)),
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
