"""Log lines on standard error: one event a line, without secrets, in words or in JSON.

Redaction is done on the finished text, so that it covers messages, their arguments and exceptions alike, also
those of libraries.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO
from urllib.parse import quote

from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings_words import LogFormat, LogLevel

_STARS = "***"
_SHORT = 4  # shorter ones are replaced as whole words only, else they would cut every other word to pieces

# Parameters of a Bridge's address (Bridge API 1.13.2 section 3.2), wherever they show up.
_PARAMETER = re.compile(r"(?i)((?:token|hash|nonce|password)=)[^&\s\"'<>]+")
# The same in JSON, as in the answer to /auth.
_JSON_FIELD = re.compile(r"(?i)([\"'](?:token|ctoken|hash|nonce|password)[\"']\s*:\s*[\"'])[^\"']+")
# /callback/<instance>/<secret>, plain or percent-encoded as in `/callback/add?url=...`.
_CALLBACK = re.compile(r"(?i)((?:/|%2F)callback(?:/|%2F)[^/\s%?&\"']+(?:/|%2F))[^/\s%?&\"'<>]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Libraries that tell their whole traffic below this level.
TALKATIVE = ("aiohttp", "aiomqtt", "asyncio", "mqtt", "paho")


class Redactor:
    """Replaces every registered secret, and everything that looks like one, by three stars."""

    def __init__(self) -> None:
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: Secret) -> None:
        """Replace this secret from now on, in every spelling in which it can reach a log."""
        text = secret.reveal()
        if not text:
            return
        spellings = {text, quote(text), quote(text, safe=""), repr(text)[1:-1], json.dumps(text)[1:-1]}
        self._spellings |= {spelling for spelling in spellings if spelling.strip()}
        # The longest first, since one secret may begin with another.
        longest_first = sorted(self._spellings, key=lambda spelling: (-len(spelling), spelling))
        self._pattern = re.compile("|".join(map(_spelling_pattern, longest_first)))

    def redact(self, text: str) -> str:
        """The text without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(_STARS, text)
        for looks_secret in (_PARAMETER, _JSON_FIELD, _CALLBACK):
            text = looks_secret.sub(rf"\1{_STARS}", text)
        return text


def _spelling_pattern(spelling: str) -> str:
    pattern = re.escape(spelling)
    return pattern if len(spelling) >= _SHORT else rf"(?<!\w){pattern}(?!\w)"


_redactor = Redactor()


def register_secret(secret: Secret) -> None:
    """Keep a secret that was learnt later out of all further log lines."""
    _redactor.add(secret)


def redact(text: str) -> str:
    """The text without the registered secrets and without anything that looks like one."""
    return _redactor.redact(text)


def configure_logging(
    level: LogLevel, output: LogFormat, secrets: Iterable[Secret] = (), *, stream: TextIO | None = None
) -> None:
    """Send every log line of this process to standard error (or `stream`); replaces an earlier call."""
    for secret in secrets:
        register_secret(secret)
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if output is LogFormat.JSON else _TextFormatter())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    set_log_level(level)


def set_log_level(level: str) -> None:
    """Log from this level on: `debug`, `info`, `warning` or `error`."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(number)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class _Handler(logging.StreamHandler[TextIO]):
    """Never prints the arguments of a line that cannot be written, unlike its parent."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """A broken standard error must not stop the service, and has no place to be told."""


def _message(record: logging.LogRecord) -> str:
    try:
        return redact(record.getMessage())
    except Exception:  # noqa: BLE001 - a bad format string or a bad __str__ must not lose the line
        return f"{redact(str(record.msg)):.200} (its arguments do not fit)"


def _trace(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return redact("\n".join(parts))


def _at(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _visible(text: str) -> str:
    """Control characters spelled out, so that no message can forge a line or colour a terminal."""
    return _CONTROL.sub(lambda found: _SHORT_ESCAPES.get(found[0], f"\\u{ord(found[0]):04x}"), text)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{_at(record)} {record.levelname:<7} {record.name}: {_visible(_message(record))}"
        # Lines of a trace are set in, so that none of them can pass for a line of its own.
        trace = "".join(f"\n    | {_visible(part)}" for part in _trace(record).splitlines())
        return line + trace


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if trace := _trace(record):
            entry["exception"] = trace
        return json.dumps(entry)
