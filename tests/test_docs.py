"""The pages that people write by hand: links lead somewhere, and docs/architecture.md knows every module."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "nuki2mqtt"
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> Iterator[str]:
    """The lines of a page outside its code blocks."""
    is_code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield line


def links(page: Path) -> Iterator[str]:
    """Targets of all links that stay in this repository."""
    for line in prose(page):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if not re.match(r"[a-z][a-z0-9+.-]*:", target):
                yield target


def anchors(page: Path) -> set[str]:
    """What a heading can be linked by: lower case, spaces as hyphens, other signs left out."""
    headings = (match[1] for line in prose(page) if (match := re.match(r"#+ +(.+)", line)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page

        assert target.exists(), f"{link} does not exist"
        assert target.is_relative_to(ROOT), f"{link} leaves the repository"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_architecture_names_every_module_and_no_other() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", text))
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}

    assert modules - named == set(), "not in docs/architecture.md"
    assert {name for name in named - modules if not (ROOT / name).is_file()} == set(), "there is no such module"
    rows = Counter(re.findall(r"^\| `([a-z0-9_/]+\.py)` \|", text, re.MULTILINE))
    assert [name for name, count in rows.items() if count > 1] == [], "has several rows"


def test_every_decision_is_in_the_index_and_short() -> None:
    index = {(DOCS / "decisions" / link).resolve() for link in links(DOCS / "decisions" / "0000-index.md")}

    assert set(DECISIONS) - index == {DOCS / "decisions" / "0000-index.md"}
    pages = [page for page in DECISIONS if page.name != "0000-index.md"]
    assert [name_of(page) for page in pages if len(page.read_text(encoding="utf-8").splitlines()) >= 40] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = ((page.parent / unquote(link.partition("#")[0])).resolve() for link in links(page))
        waiting += [target for target in targets if target.suffix == ".md" and target.is_file()]

    assert [name_of(page) for page in PAGES if page not in seen] == []
