"""docs/facts.md: every test and module that it names exists, and no confirmed fact of the sheet is left out."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if re.match(r"\| \d+\.\d+ \|", line)
]
REFERENCE = ROOT.parent / "shared" / "reference" / "nuki_local_api.md"
SECTIONS = ["1", "2", "3", "4", "5"]
EXCUSES = ("not honoured: ", "no test: ")
# A mark of the reference sheet is a C that is a word of its own: `C(SPEC)`, `| C |`, `- C.`
MARK = re.compile(r"(?<![\w-])C(?![\w-])")
ALL_ROWS = "All rows C"


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file, without importing it."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = (node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def named(text: str) -> list[tuple[str, str]]:
    """Path and name of each test that is named."""
    return re.findall(r"`([^`\s]+\.py)::([^`\s]+)`", text)


def marks(text: str) -> Counter[str]:
    """How many confirmed marks each numbered part of the sheet has.

    Each mark counts once, wherever it stands: a line with two facts has two. Where a caption says that all rows of the
    next table are confirmed, each row counts once instead.
    """
    counted: Counter[str] = Counter()
    part, is_all = "", False
    for line in text.splitlines():
        heading = re.match(r"#+ (\d+(?:\.\d+)?)[. ]", line)
        part = heading[1] if heading else part
        if part.partition(".")[0] not in SECTIONS:
            continue
        if ALL_ROWS in line:
            is_all = True
        elif is_all and line.startswith("| `"):
            counted[part] += 1
        else:
            is_all = is_all and (line.startswith("|") or not line.strip())
            counted[part] += len(MARK.findall(line))
    return +counted


def test_every_row_is_whole() -> None:
    assert [row[0] for row in ROWS if len(row) != 5 or not (row[1] and row[2] and row[4])] == []
    assert len(ROWS) == len([line for line in PAGE.splitlines() if line.startswith("| ")]) - len(SECTIONS)


def test_rows_are_numbered_in_order_and_none_twice() -> None:
    counts = Counter(row[0].partition(".")[0] for row in ROWS)
    assert list(counts) == SECTIONS
    assert [row[0] for row in ROWS] == [
        f"{section}.{number}" for section, count in counts.items() for number in range(1, count + 1)
    ]


def test_every_source_begins_with_its_part_of_the_sheet() -> None:
    wrong = [row[0] for row in ROWS if not re.match(rf"{row[0].partition('.')[0]}(\.\d+)?; \S", row[2])]
    assert wrong == []


def test_every_row_has_a_test_or_says_why_not() -> None:
    without = [row for row in ROWS if not named(row[4])]
    assert [row[0] for row in without if not row[4].startswith(EXCUSES)] == []
    assert [row[0] for row in ROWS if named(row[4]) and re.sub(r"`[^`]+`", "", row[4]).strip()] == []
    assert [row[0] for row in ROWS if bool(row[3]) is row[4].startswith("not honoured")] == [], "where, or why not"


def test_every_test_that_is_named_exists() -> None:
    known = {path: names_in(ROOT / path) for path in {path for path, _ in named(PAGE)} if (ROOT / path).is_file()}
    missing = [f"{path}::{name}" for path, name in named(PAGE) if name not in known.get(path, set())]
    assert missing == []
    assert PAGE.count(".py::") == len(named(PAGE)), "one is written so that nobody finds it"


def test_every_module_that_is_named_exists() -> None:
    modules = {(row[0], module) for row in ROWS for module in re.findall(r"`([^`]+)`", row[3])}
    assert {(number, module) for number, module in modules if not (ROOT / "nuki2mqtt" / module).is_file()} == set()
    assert [row[0] for row in ROWS if re.sub(r"`[^`]+`", "", row[3]).strip()] == []


SHEET = """
* C(x)
# 1. A
| a C-like word, BLE, CG | C(x) |
| b | C |
* c - C(x). d - C(y), e I.
## 1.2 B
All rows C(x).

| Head |
|---|
| `f` | - |
| `g` | C |

* h - C(x)
| `i` | no mark |
## 2.1 D
nothing - I
# 6. E
| j | C |
"""


def test_how_marks_are_counted() -> None:
    assert marks(SHEET) == {"1": 4, "1.2": 3}


def test_no_confirmed_fact_of_the_sheet_is_left_out() -> None:
    if not REFERENCE.is_file():
        pytest.skip("the reference sheet is not beside this checkout")
    wanted = marks(REFERENCE.read_text(encoding="utf-8"))
    rows = Counter(row[2].partition(";")[0] for row in ROWS)
    assert {part.partition(".")[0] for part in wanted} == set(SECTIONS), "the sheet is written otherwise now"
    assert {part: (count, rows[part]) for part, count in wanted.items() if rows[part] < count} == {}
    assert set(rows) - set(wanted) == set()
