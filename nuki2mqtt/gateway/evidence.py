"""What a report proves of a command that was sent (docs/topics.md, "Confirmed").

A callback and a direct read count as of their arrival. A `/list` entry counts by its own timestamp on our clock;
that has whole seconds, like the Bridge's clock that it is mapped by, so it is certain to a second only.
"""

from dataclasses import dataclass

from nuki2mqtt.model.action import ActionFacts
from nuki2mqtt.model.command import Evidence
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DOOR_CLOSED_CODE, DOOR_OPEN_CODE, JAMMED_CODE, DeviceState, Source

STAMP_S = 1.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One report as it came; `time` is when it was so, monotonic seconds."""

    nuki_id: NukiId
    source: Source
    state: DeviceState
    time: float

    def is_since(self, moment: float) -> bool:
        """Whether it tells of this moment or a later one."""
        slack = STAMP_S if self.source is Source.LIST else 0.0
        return self.time + slack >= moment


@dataclass(slots=True)
class Trial:
    """What is known of a command that was sent: the state before it (None: not vouched for), and since.

    `discounted` are states that an order shortly before may still bring about: they prove nothing of this one.
    `sent` and `answered` are monotonic seconds; `answered` is None until the Bridge said `success`. `has_run`: it was
    seen on its way.
    """

    facts: ActionFacts
    before: DeviceState | None
    sent: float
    answered: float | None = None
    discounted: frozenset[int] = frozenset()
    has_run: bool = False
    has_moved: bool = False
    was_elsewhere: bool = False

    def __post_init__(self) -> None:
        self.was_elsewhere = self.before is not None and self._is_elsewhere(self.before)

    def judge(self, seen: Observation) -> Evidence | None:
        """Take in a report; what it proves now that the motor rests, if anything.

        A transition alone proves that the command runs (`has_run`), not where it will end: the motor may still block.
        """
        if not seen.is_since(self.sent):
            return None
        before, now = self.before, seen.state
        has_left = before is None or before.state_code != now.state_code
        is_own = self.facts.mode is not None or now.state_code not in self.discounted
        self.has_run = self.has_run or (is_own and has_left and now.state_code in self.facts.proves)
        has_opened = self._has_opened(now)
        if self._agrees(now):
            if self.has_run:
                return Evidence.TRANSITION
            if self.was_elsewhere and is_own:
                return Evidence.TARGET
        if self.answered is not None and seen.is_since(self.answered) and (self._agrees(now) or has_opened):
            return Evidence.TRANSITION if self.has_run else Evidence.ANSWER
        self.has_moved = self.has_moved or has_opened or (before is not None and has_left)
        self.was_elsewhere = self.was_elsewhere or self._is_elsewhere(now)
        return None

    def is_blocked(self, seen: Observation) -> bool:
        """Whether this report shows that the motor was blocked by our command."""
        if seen.state.state_code != JAMMED_CODE or not seen.is_since(self.sent):
            return False
        if self.before is not None and self.before.state_code != JAMMED_CODE:
            return True
        return self.answered is not None and seen.is_since(self.answered)

    def is_unmoved(self, read: DeviceState) -> bool:
        """Whether a direct read shows that the lock did not act.

        Never where the action may end in the state in which it began: there nobody can tell.
        """
        before = self.before
        if before is None or self.has_moved:
            return False
        if self.facts.mode is not None:
            return before.mode_code is not None and before.mode_code == read.mode_code != self.facts.mode
        has_closed_circle = before.state_code in self.facts.settles | self.facts.agrees
        return before.state_code == read.state_code and not has_closed_circle

    def _agrees(self, state: DeviceState) -> bool:
        if self.facts.mode is not None:
            return state.mode_code == self.facts.mode
        return state.state_code in self.facts.agrees

    def _is_elsewhere(self, state: DeviceState) -> bool:
        """Whether it is known not to be where it shall be; a mode that is not told is not another one."""
        if self.facts.mode is not None and state.mode_code is None:
            return False
        return not self._agrees(state)

    def _has_opened(self, state: DeviceState) -> bool:
        if not self.facts.opens_door or self.before is None:
            return False
        return self.before.door_code == DOOR_CLOSED_CODE and state.door_code == DOOR_OPEN_CODE
