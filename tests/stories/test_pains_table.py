"""docs/pains.md: every test that it names exists, every row has one or says why not, and no story is left out."""

import ast
import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "pains.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| [A-Z]\d+ \|", line)
]
EXCUSES = ("not yet: belongs to the page",)


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file, without importing it."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = (node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def named(text: str) -> list[tuple[str, str]]:
    """Path and name of each test that is named."""
    return re.findall(r"`([^`\s]+\.py)::([^`\s]+)`", text)


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) >= 90
    assert all(len(row) == 5 for row in ROWS), [row[0] for row in ROWS if len(row) != 5]


def test_rows_are_numbered_in_order_and_none_twice() -> None:
    numbers = [(row[0][0], int(row[0][1:])) for row in ROWS]
    firsts = [numbers[0], *(later for earlier, later in pairwise(numbers) if earlier[0] != later[0])]
    assert [number for _, number in firsts] == [1] * len(firsts)
    assert len({letter for letter, _ in firsts}) == len(firsts)
    assert all(later[1] == earlier[1] + 1 for earlier, later in pairwise(numbers) if earlier[0] == later[0])


def test_every_test_that_is_named_exists() -> None:
    known = {path: names_in(ROOT / path) for path in {path for path, _ in named(PAGE)} if (ROOT / path).is_file()}
    missing = [f"{path}::{name}" for path, name in named(PAGE) if name not in known.get(path, set())]
    assert missing == []
    assert PAGE.count(".py::") == len(named(PAGE)), "one is written so that nobody finds it"


def test_every_row_has_a_test_or_says_to_which_part_it_belongs() -> None:
    without = [row for row in ROWS if not named(row[4])]
    assert [row[0] for row in without if row[4] not in EXCUSES] == []
    assert [row[0] for row in ROWS if named(row[4]) and not row[3]] == [], "what it does instead"


def test_no_story_of_the_pains_is_left_out() -> None:
    folder = ROOT / "tests" / "stories"
    paths = [path for path in folder.glob("test_*pains*.py") if path.name != Path(__file__).name]
    assert folder / "test_cloud_pains.py" in paths
    stories = {(path.relative_to(ROOT).as_posix(), name) for path in paths for name in names_in(path)}
    assert len(stories) >= 60
    assert stories - set(named(PAGE)) == set()
