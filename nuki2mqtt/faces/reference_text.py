"""Pieces of Markdown that the reference pages are made of."""

from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([*row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def example(body: bytes) -> str:
    """A message."""
    return f"```json\n{body.decode()}\n```\n"
