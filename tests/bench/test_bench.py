"""The benchmark starts, and has a line for each figure; what it measures here means nothing."""

import pytest

from tests.bench.__main__ import main
from tests.bench.figures import Figure, lines, quantile, table
from tests.bench.start import imported_ms

NAMES = (
    "callback to snapshot, p50",
    "callback to snapshot, p99",
    "callback to event, p50",
    "callback to event, p99",
    "command to the Bridge, p50",
    "command to the Bridge, p99",
    "command to `accepted`, p50",
    "command to `accepted`, p99",
    "imports, best",
    "start to first state, best",
    "start to first state, median",
    "resident memory (VmRSS) after 0.01 idle minutes",
    "processor time in 0.01 idle minutes",
    "requests an hour at each Bridge, of the idle run",
    "requests an hour at rest, 1 virtual hours",
    "times a device was woken, 1 virtual hours",
    "start to the last of 3 locks published",
    "start to the last of 6 codes listed",
    "processor time of a poll of 3 locks",
    "a change of one of 3 locks, the slowest",
    "memory (VmRSS) with 3 locks and their codes",
)
CLOUD = ["--locks", "3", "--codes", "2", "--polls", "1"]


def test_every_figure_has_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--samples", "2", "--starts", "1", "--idle-minutes", "0.01", "--hours", "1", *CLOUD]) == 0

    first, *printed, last = capfd.readouterr().out.splitlines()
    assert [name for name in NAMES if not any(line.startswith(f"{name} ") for line in printed)] == []
    assert "cores, Python 3." in first
    assert "load average" in last


def test_the_table_has_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "requests", "--hours", "1", "--markdown"]) == 0

    assert "| requests an hour at rest, 1 virtual hours | 136 | - | - | at most 136 | met |" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("figure", "end"),
    [
        (Figure("a", 2.0, "ms", 1.0, 1.3, aims_at_ratio=True), "ratio  2.00  aim ratio at most 1.3   NOT met"),
        (Figure("a", 2.0, "ms", 1.6, 1.3, aims_at_ratio=True), "ratio  1.25  aim ratio at most 1.3   met"),
        (Figure("a", 2.0, "s", 0.1, 1.0), "ratio 20.00  aim at most 1 s         NOT met"),
        (Figure("a", 136.0, "", aim=136.0), "ratio     -  aim at most 136         met"),
        (Figure("a", 2.0, "s", 0.0), "ratio     -  aim -                   -"),
    ],
)
def test_a_figure_is_judged_by_its_aim(figure: Figure, end: str) -> None:
    assert lines([figure])[0].endswith(end)
    assert len({row.count("|") for row in table([figure])}) == 1


def test_the_share_of_values() -> None:
    values = [float(number) for number in range(300, 0, -1)]

    assert [quantile(values, share) for share in (0.5, 0.99)] == [150.0, 297.0]
    assert quantile([7.0], 0.99) == 7.0


def test_imports_count_from_the_end_of_the_interpreters_own_start() -> None:
    text = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      1000 |       1000 |   os\n"
        "import time:      1510 |       9266 | site\n"
        "import time:       500 |        500 |   one.two\n"
        "import time:      2000 |       2500 | one\n"
    )

    assert imported_ms(text) == 2.5
