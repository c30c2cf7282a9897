"""What a storm has shown, summed up over its houses."""

from collections import Counter
from collections.abc import Sequence

from tests.storm.faults import KINDS
from tests.storm.play import Report

THOUSAND = 1000.0


class Summary:
    """Sums up reports."""

    def __init__(self) -> None:
        self.gateways = 0
        self.days = 0.0
        self.house_days = 0.0
        self.cpu_s = 0.0
        self.injected: Counter[str] = Counter()
        self.bit: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.code_outcomes: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self.peaks: dict[str, float] = {}
        self.violations: Counter[str] = Counter()

    def add(self, report: Report) -> None:
        """Take in one house."""
        self.gateways += 1
        self.days += report.days
        self.house_days += report.house_days
        self.cpu_s += report.wall_s
        self.injected += report.injected
        self.bit += report.bit
        self.outcomes += report.outcomes
        self.code_outcomes += report.code_outcomes
        self.figures += report.figures
        for name, value in report.peaks.items():
            better = min if name == "gap" else max
            self.peaks[name] = better(self.peaks.get(name, value), value)
        if report.violation is not None:
            self.violations[report.violation.invariant] += 1

    def progress(self, seconds: float, gateways: int, jobs: int) -> str:
        """One line on the way."""
        rate = self.house_days / seconds / jobs if seconds else 0.0
        return (
            f"{self.gateways} of {gateways} gateways, {self.house_days:.1f} house-days,"
            f" {sum(self.injected.values())} faults, {sum(self.violations.values())} violations,"
            f" {rate:.2f} house-days a second and core"
        )

    def render(self, seconds: float, jobs: int, *, is_markdown: bool) -> str:
        """Everything, for people; as Markdown for docs/reliability.md."""
        rows = [
            (name, str(self.injected[name]), str(self.bit[name]), f"{self._per_thousand(self.bit[name]):.0f}")
            for name in sorted(KINDS)
            if not KINDS[name].is_of_cloud or self.code_outcomes
        ]
        head = ("fault", "injected", "changed something", "that a 1,000 days")
        outcomes = [(name, str(count)) for name, count in self.outcomes.most_common()]
        figures, peaks = self.figures, self.peaks
        rate = self.house_days / max(seconds, 0.001) / jobs
        lines = [
            f"{self.house_days:.1f} house-days ({self.days:.1f} days of {self.gateways} gateways)",
            f"{seconds:.0f} s on {jobs} processes: {rate:.2f} house-days a second and core",
            f"{sum(self.injected.values())} faults, of which {sum(self.bit.values())} changed something",
            f"{figures['requests']} requests, {figures['starts']} starts, {figures['checks']} times at rest",
            f"{figures['events']} events and {figures['late events']} late ones",
            f"at most {peaks.get('objects', 0):.0f} objects in a gateway",
            f"at most {peaks.get('longest', 0):.0f} items in one collection of it",
            f"shortest gap between requests {peaks.get('gap', 0):.3f} s",
            f"violations: {dict(self.violations) or 'none'}",
        ]
        table = _markdown if is_markdown else _plain
        parts = [*lines, "", *table(head, rows), "", *table(("command's word", "times"), outcomes)]
        if self.code_outcomes:
            codes = [(name, str(count)) for name, count in self.code_outcomes.most_common()]
            lines.insert(
                4, f"{figures['requests to the cloud']} requests to the cloud, {figures['forced syncs']} forced syncs"
            )
            parts = [*lines, *parts[len(lines) - 1 :], "", *table(("keypad's word", "times"), codes)]
        return "\n".join(parts)

    def _per_thousand(self, count: int) -> float:
        return count / self.house_days * THOUSAND if self.house_days else 0.0


def _plain(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]
