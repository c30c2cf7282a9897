"""The reference page is what the code says, and the pages for people know the same words."""

import json
import re
from pathlib import Path

import pytest

from nuki2mqtt.faces.reference import render_topics_reference
from nuki2mqtt.gateway.requests import VERBS
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.command import Evidence, Reason, Status
from nuki2mqtt.protocol.command_payloads import parse_command

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "topics.md"


def rows(page: Path) -> set[str]:
    """What the tables of a page explain: the code words of their first cells."""
    lines = page.read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("|")]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_topics_page_is_generated_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_topics_reference(), (
        "run: python -m nuki2mqtt.faces.reference > docs/topics.md"
    )


def test_every_word_of_commands_is_explained() -> None:
    assert {*Action, *Status, *Evidence, *Reason, *VERBS} - rows(PAGE) == set()


@pytest.mark.parametrize("name", ["guide-commands.md", "guide-troubleshooting.md"])
def test_every_reason_is_explained_to_people(name: str) -> None:
    assert set(Reason) - rows(DOCS / name) == set()


def test_every_example_is_json_in_one_line_and_that_of_a_command_is_one() -> None:
    blocks = re.findall(r"```json\n(.*?)\n```", render_topics_reference(), re.DOTALL)
    examples = [json.loads(line) for block in blocks for line in block.splitlines()]
    [order] = [example for example in examples if "ttl_s" in example]

    assert parse_command(json.dumps(order).encode()).word == "unlock"
    assert {example["event_type"] for example in examples if "event_type" in example} >= {"ring", "command_failed"}
