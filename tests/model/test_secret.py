"""A secret is shown by `reveal` only."""

import json

import pytest

from nuki2mqtt.model.secret import Secret

TOKEN = Secret("abcdef")


@pytest.mark.parametrize("shown", [str(TOKEN), repr(TOKEN), f"{TOKEN}", f"{TOKEN!r}", f"{[TOKEN]}"])
def test_no_way_of_showing_it_shows_it(shown: str) -> None:
    assert "abcdef" not in shown
    assert "***" in shown


def test_reveal_shows_it() -> None:
    assert TOKEN.reveal() == "abcdef"


def test_it_is_no_json() -> None:
    with pytest.raises(TypeError):
        json.dumps(TOKEN)


def test_equal_texts_are_equal_secrets() -> None:
    assert Secret("abcdef") == TOKEN
    assert Secret("abcdeg") != TOKEN
    assert hash(Secret("abcdef")) == hash(TOKEN)


@pytest.mark.parametrize(("text", "is_set"), [("", False), (" ", True), ("0", True)])
def test_an_empty_one_is_none(text: str, *, is_set: bool) -> None:
    assert bool(Secret(text)) is is_set
