"""Makes the plan of a violation smaller: what can be left out while the same invariant still breaks, is left out."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.storm.judge import Violation
from tests.storm.play import play
from tests.storm.spec import Spec

Step = dict[str, Any]
GIVE_UP_S = 120.0


def shrink(
    spec: Spec,
    steps: Sequence[Step],
    violation: Violation,
    *,
    give_up_s: float = GIVE_UP_S,
    play_it: Callable[[Spec, Sequence[Step]], Violation | None] | None = None,
) -> list[Step]:
    """The shortest plan that was found within the time; delta debugging over the steps before the violation."""
    limit = time.monotonic() + give_up_s
    breaks = play_it or (lambda a_spec, some: play(a_spec, some).violation)

    def is_still_broken(some: Sequence[Step]) -> bool:
        found = breaks(spec, some)
        return found is not None and found.invariant == violation.invariant

    # What a check finds, it finds at its own time: the last one stays.
    best = [step for step in steps if float(step["at"]) <= violation.at]
    best.append({"at": violation.at + 1.0, "do": "end"})
    recent = [step for step in best if float(step["at"]) > violation.at - 3600.0]
    if len(recent) < len(best) and is_still_broken(recent):
        best = recent
    size = max(1, len(best) // 2)
    while time.monotonic() < limit:
        position, is_smaller = 0, False
        while position < len(best) and time.monotonic() < limit:
            some = best[:position] + best[position + size :]
            if is_still_broken(some):
                best, is_smaller = some, True
            else:
                position += size
        if not is_smaller and size == 1:
            break
        size = size if is_smaller else max(1, size // 2)
    return best
