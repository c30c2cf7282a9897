"""The reference page is what the code says."""

from pathlib import Path

from nuki2mqtt.faces.reference import render_topics_reference

PAGE = Path(__file__).parents[1] / "docs" / "topics.md"


def test_topics_page_is_generated_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_topics_reference(), (
        "run: python -m nuki2mqtt.faces.reference > docs/topics.md"
    )
