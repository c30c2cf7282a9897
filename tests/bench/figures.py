"""What was measured, as values, as lines and as a table."""

import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `baseline` is the same of the bare program, and `aim` the most that it, or its ratio, should be."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    aim: float | None = None
    aims_at_ratio: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times the baseline it is."""
        return self.value / self.baseline if self.baseline else None

    @property
    def cells(self) -> tuple[str, ...]:
        """Name, value, baseline, ratio, aim, met or not; a dash stands for nothing."""
        aim = met = "-"
        judged = self.ratio if self.aims_at_ratio else self.value
        if self.aim is not None and judged is not None:
            aim = f"ratio at most {self.aim:g}" if self.aims_at_ratio else f"at most {self._shown(self.aim)}"
            met = "met" if judged <= self.aim else "NOT met"
        baseline = "-" if self.baseline is None else self._shown(self.baseline)
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        return self.name, self._shown(self.value), baseline, ratio, aim, met

    def _shown(self, value: float) -> str:
        return f"{value:.4g} {self.unit}".rstrip()


HEAD = ("figure", "gateway", "baseline", "ratio", "aim", "")


def lines(figures: Iterable[Figure]) -> list[str]:
    """One line per figure."""
    return [_line(figure.cells) for figure in figures]


def _line(cells: tuple[str, ...]) -> str:
    name, value, baseline, ratio, aim, met = cells
    return f"{name:<58}  {value:>12}  baseline {baseline:>12}  ratio {ratio:>5}  aim {aim:<18}  {met}"


def table(figures: Iterable[Figure]) -> list[str]:
    """The table of docs/performance.md."""
    rows = [HEAD, ("---",) * len(HEAD), *(figure.cells for figure in figures)]
    return [f"| {' | '.join(row)} |" for row in rows]


def machine(broker: str) -> str:
    """On what it was measured, and how busy that is just now."""
    load = " ".join(f"{load:.2f}" for load in os.getloadavg())
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {broker}, load average {load}"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not pass."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
