"""A Bridge's words without secrets: those that we know in every spelling, and what looks like one."""

import html
import json
from collections.abc import Callable
from time import process_time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_texts import clear_log_text, clear_text, hide, is_secret_key

TOKEN = "tk%25&'one\"/\\ ü\N{CLOSED LOCK WITH KEY}9"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "quoted": lambda text: quote(text, safe=""),
    "quoted in lower case": lambda text: quote(text, safe="").lower(),
    "quoted twice": lambda text: quote(quote(text, safe=""), safe=""),
    "quoted whole": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "of a form": quote_plus,
    "json": lambda text: json.dumps(text)[1:-1],
    "json in json": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "bytes": lambda text: repr(text.encode())[2:-1],
    "html": html.escape,
    "html in numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", ["abcdef", TOKEN, "0123", "\\u0041xyz", "%41bcd"])
def test_a_known_secret_is_hidden_in_every_spelling(spelling: str, secret: str) -> None:
    written = SPELLINGS[spelling](secret)

    assert hide(f"<{written}> {written}", [Secret("else"), Secret(secret)]) == "<***> ***"


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=4, max_size=12),
    spelling=st.sampled_from([name for name in SPELLINGS if name != "upper"]),
)
def test_any_secret_is_hidden(secret: str, spelling: str) -> None:
    written = SPELLINGS[spelling](secret)

    assert written not in hide(f"<{written}>", [Secret(secret)])


@pytest.mark.parametrize("end", range(4, 10))
def test_a_secret_that_was_cut_off_is_hidden(end: int) -> None:
    assert hide(f"not valid: {'abcdefghij'[:end]}", [Secret("abcdefghij")]) == "not valid: ***"


@pytest.mark.parametrize("written", ["ab%26cd%", "ab%26cd%2", "ab&amp;cd&am", "ab\\u0026cd\\u00"])
def test_one_that_was_cut_off_within_a_character_is_hidden(written: str) -> None:
    assert hide(f"no {written}", [Secret("ab&cd&ef")]) == "no ***"


def test_a_short_secret_is_hidden_as_a_word_only() -> None:
    assert hide("a bad ab, abc: 'ab' ab", [Secret("ab")]) == "a bad ***, abc: '***' ***"


def test_nothing_else_is_hidden() -> None:
    text = "HTTP 503 Unavailable, abcde and bcdef, ab"

    assert hide(text, [Secret("abcdef"), Secret("")]) == text
    assert hide(text, []) == text
    assert hide("", [Secret("abcdef")]) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token=abc&nowait=1", "token=***&nowait=1"),
        ("ctoken: abc nonce: def end", "ctoken: *** nonce: *** end"),
        ('{"hash": "ab cd", "a": 1}', '{"hash": "***", "a": 1}'),
        ('{"hash": "ab\\"cd", "a": 1}', '{"hash": "***", "a": 1}'),
        ("{'password': 'ab \"cd', 'a': 1}", "{'password': '***', 'a': 1}"),
        ('"{\\"token\\":\\"abc\\"}"', '"{\\"token\\":***"}"'),
        ("token%253Dabc", "token%253D***"),
        ("&quot;token&quot;:&quot;abc&quot;", "&quot;token&quot;:***&quot;"),
        ("\\/callback\\/1\\/abc end", "/callback/*** end"),
        ("http://me:a/b@192.0.2.5/x", "http://***@192.0.2.5/x"),
        ("invalid api token", "invalid api token"),
        ("HTTP 503 Unavailable", "HTTP 503 Unavailable"),
        ("a\r\nb\0 " + "c" * 100, "a b " + "c" * 76),
        ("x" * 70 + " token=abcdefghij", "x" * 70 + " token=***"),
        ("x" * 60 + " http://me:" + "y" * 60 + "@a/b", "x" * 60 + " http://***@a/b"),
    ],
)
def test_what_looks_like_a_secret_is_cleared(text: str, shown: str) -> None:
    assert clear_text(text, 80) == shown


def test_in_a_log_nothing_behind_a_question_mark_is_shown() -> None:
    assert clear_log_text("GET /hook?key=abc&b HTTP/1.1", 80) == "GET /hook?*** HTTP/1.1"
    assert clear_log_text("GET /list?token=abc HTTP/1.1", 32) == "GET /list?*** HTTP/1.1"


@pytest.mark.parametrize("key", ["token", "ctoken", "Url", "callbackUrl", "password", "Passwort", "hash", "nonce"])
def test_keys_whose_values_are_secret(key: str) -> None:
    assert is_secret_key(key)
    assert not is_secret_key("nukiId")


@pytest.mark.parametrize("secret", ["\\" * 30 + "x", "%25" * 20, "a" * 1024, "&amp;" * 20, " + " * 10])
@pytest.mark.parametrize("text", ["\\" * 100, "%25" * 34, "%" + "25" * 50, "a" * 100, "&amp;" * 20, " +" * 50])
def test_odd_secrets_take_no_time(secret: str, text: str) -> None:
    began = process_time()
    hide(text, [Secret(secret)])

    assert process_time() - began < 2
