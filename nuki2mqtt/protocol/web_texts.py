"""What the cloud says in words, without secrets and without keypad codes.

Source: web reference 1.2: an error is `{"detailMessage": .., "stackTrace": [], "suppressedExceptions": []}`, and behind
a 5xx there can be a page of HTML. The cloud repeats what it was sent, so that a refused code stands in its words.
"""

import re
from dataclasses import dataclass

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_texts import STARS, clear_text

_MOST_SEEN_BYTES = 4096
_MOST_JSON_BYTES = 64 * 1024  # a stack trace may stand behind the message
_MOST_SEEN_CHARS = 4096
_MOST_CHARS = 100
_MOST_VALUE_CHARS = 40
# Seen live (developer.nuki.io threads 16794 and 39051); "null" stands there for what was missing.
_NOT_VALID = re.compile(r"(?s)value '(.{0,200}?)' for parameter '([A-Za-z][A-Za-z_.]{0,39})'")
# Of these the value is no secret and says what is wrong. Of any other parameter only that it was missing is told.
_HARMLESS = frozenset(
    {
        "type",
        "types",
        "action",
        "option",
        "enabled",
        "remoteAllowed",
        "allowedFromDate",
        "allowedUntilDate",
        "allowedWeekDays",
        "allowedFromTime",
        "allowedUntilTime",
        "fromDate",
        "toDate",
        "limit",
    }
)
_MISSING = "null"
_DIGITS = re.compile(r"\d{4,}")  # a keypad code has six; no shorter number of ours is a secret
_ADDRESS = re.compile(r"[^\s@<>\"']{1,64}@[^\s@<>\"']{1,128}")
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s\"'<>]+")
_TITLE = re.compile(r"(?is)<title[^>]{0,40}>(.{0,200}?)</title>")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error's body says: words that are safe to show, and which parameter it is about."""

    text: str
    parameter: str | None = None
    value: str | None = None


def clear_web_text(text: str, max_chars: int = _MOST_CHARS) -> str:
    """A short text on one line, without what looks like a secret, a keypad code or somebody's address."""
    shown = _BEARER.sub(rf"\1{STARS}", clear_text(text, _MOST_SEEN_CHARS))
    shown = _ADDRESS.sub(STARS, shown)
    return _DIGITS.sub(STARS, shown)[:max_chars].rstrip()


def read_complaint(body: bytes) -> Complaint:
    """What the body of an error says, whatever it is."""
    text = body[:_MOST_SEEN_BYTES].decode("utf-8-sig", errors="replace")
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text)
        return Complaint(clear_web_text(title[1]) if title else "a page of HTML")
    message = _message(body[:_MOST_JSON_BYTES])
    if message is None:
        return Complaint("" if text.lstrip().startswith(("{", "[")) else clear_web_text(text))
    found = _NOT_VALID.search(message[:_MOST_SEEN_CHARS])
    if found is None:
        return Complaint(clear_web_text(message))
    parameter = found[2]
    value = _shown_value(parameter, found[1])
    said = "" if value is None else f" ({value})"
    return Complaint(f"parameter {parameter}{said} is not valid", parameter, value)


def _message(body: bytes) -> str | None:
    try:
        data = bodies.load_object(body)
    except UnreadableBody:
        return None
    for key in ("detailMessage", "message", "error"):
        message = data.get(key)
        if isinstance(message, str) and message.strip():
            return message
    return None


def _shown_value(parameter: str, value: str) -> str | None:
    if value == _MISSING:
        return _MISSING
    if parameter not in _HARMLESS:
        return None
    # Who says that a code stands under the name of another parameter cannot make us show it.
    return clear_web_text(value, _MOST_VALUE_CHARS)
