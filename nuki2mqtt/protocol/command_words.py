"""Which action a word or a number means, by device type (docs/topics.md, "Commands").

Words in any case, with or without separators; numbers are those of Bridge API 1.13.2 section 4.4.
"""

import re

from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.device import DeviceKind, kind_of

_SEPARATORS = re.compile(r"[-_ '\u2019.]")
_LOCK_WORDS = {"open": Action.UNLATCH}
_OPENER_WORDS = {
    "open": Action.ELECTRIC_STRIKE,
    "unlock": Action.ACTIVATE_RTO,
    "lock": Action.DEACTIVATE_RTO,
}


def fold(word: str) -> str:
    """A word without case and separators."""
    return _SEPARATORS.sub("", word.casefold())


_ACTIONS = {fold(action): action for action in Action}


def find_action(word: str | int, device_type: int) -> Action | None:
    """The action that a device of this type understands by a word or number; None for none."""
    understood = actions_of(device_type)
    if isinstance(word, int):
        return next((action for action, facts in understood.items() if facts.code == word), None)
    folded = fold(word)
    own_words = _OPENER_WORDS if kind_of(device_type) is DeviceKind.OPENER else _LOCK_WORDS
    action = own_words.get(folded, _ACTIONS.get(folded))
    return action if action in understood else None
