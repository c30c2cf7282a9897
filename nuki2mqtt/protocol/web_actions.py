"""Actions as the cloud numbers them, by device type, and what can be added to one.

Source: web reference 4 (actions; a trap: an Opener's continuous mode is 4 and 5 for a Bridge, 6 and 7 here) and 2.1
(`option`).
"""

from enum import IntFlag

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import DeviceKind, kind_of

_LOCK_CODES = {
    Action.UNLOCK: 1,
    Action.LOCK: 2,
    Action.UNLATCH: 3,
    Action.LOCK_N_GO: 4,
    Action.LOCK_N_GO_UNLATCH: 5,
}
_OPENER_CODES = {
    Action.ACTIVATE_RTO: 1,
    Action.DEACTIVATE_RTO: 2,
    Action.ELECTRIC_STRIKE: 3,
    Action.ACTIVATE_CM: 6,
    Action.DEACTIVATE_CM: 7,
}
_BOX_CODES = {Action.UNLOCK: 1}
# A type that no document names is taken for a lock, without the actions that open its door (as through a Bridge).
_UNKNOWN_CODES = {Action.UNLOCK: 1, Action.LOCK: 2}


class ActionOption(IntFlag):
    """Bits of `option`: `FORCE` although something speaks against it, `FULL_LOCK` to the largest angle."""

    NONE = 0
    FORCE = 2
    FULL_LOCK = 4


def web_actions_of(device_type: int) -> dict[Action, int]:
    """The actions that a device type understands through the cloud, with their numbers."""
    match kind_of(device_type):
        case DeviceKind.SMART_LOCK | DeviceKind.SMART_DOOR:
            return _LOCK_CODES
        case DeviceKind.OPENER:
            return _OPENER_CODES
        case DeviceKind.BOX:
            return _BOX_CODES
        case DeviceKind.UNKNOWN:
            return _UNKNOWN_CODES


def web_code_of(action: Action, device_type: int) -> int | None:
    """The number of an action; None where this device type does not understand it."""
    return web_actions_of(device_type).get(action)
