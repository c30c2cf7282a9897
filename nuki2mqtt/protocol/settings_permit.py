"""Which actions a setting permits: `all`, or a list of action words."""

import re
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.model.action import Action
from nuki2mqtt.protocol.settings_kinds import ALL_ACTIONS, BadValueError, Spelling, closest, showable

_SEPARATORS = re.compile("[-_ ']")


def _folded(word: str) -> str:
    return _SEPARATORS.sub("", word.lower())


_ACTIONS = {_folded(action): action for action in Action}
_KNOWN = ", ".join(Action)


@dataclass(frozen=True, slots=True)
class Permit:
    """`all` or a list of actions.

    For the gateway as a whole `all` is None; for one device None inherits and `all` is every action.
    """

    nullable: bool = False

    def read(self, text: str, spelling: Spelling) -> frozenset[Action] | None:
        """`all`; outside the file also words separated by commas, `[]` for none."""
        if text.lower() == "all":
            return ALL_ACTIONS if self.nullable else None
        if spelling is not Spelling.OUTSIDE:
            raise BadValueError(f"must be {self.describe()}, such as [lock, unlock]; [] permits nothing")
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return frozenset(read_action(word.strip()) for word in inner.split(",") if word.strip())

    def show(self, value: Any) -> Any:
        """`all`, a list in the order of the actions, or null where it inherits."""
        if value is None:
            return None if self.nullable else "all"
        return "all" if value == ALL_ACTIONS else [str(action) for action in Action if action in value]

    def describe(self) -> str:
        """What can be written."""
        return "all, a list of actions or null" if self.nullable else "all or a list of actions"


def read_action(text: str) -> Action:
    """An action word in any case, with or without separators; raises BadValueError."""
    folded = _folded(text)
    if folded in _ACTIONS:
        return _ACTIONS[folded]
    if folded == "open":
        raise BadValueError("open means unlatch for a lock and electric_strike for an Opener; write the one you mean")
    if folded == "all":
        raise BadValueError("all stands alone, not in a list")
    shown = showable(text)
    meant = closest(text, [*Action])
    start = f"unknown action {shown}" if shown else "unknown action"
    raise BadValueError(f"{start}; did you mean {meant}?" if meant else f"{start}; use {_KNOWN}")
