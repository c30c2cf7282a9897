"""Log lines: no secret in any of them, and no line that forges another."""

import io
import json
import logging
from collections.abc import Iterator
from typing import NoReturn

import pytest

from nuki2mqtt.adapters.log_output import (
    TALKATIVE,
    Redactor,
    configure_logging,
    redact,
    register_secret,
    set_log_level,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings_words import LogFormat, LogLevel

log = logging.getLogger("nuki2mqtt.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    loggers = [logging.getLogger(name) for name in (None, *TALKATIVE)]
    levels = [logger.level for logger in loggers]
    yield io.StringIO()
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def text_to(stream: io.StringIO, *secrets: str, level: LogLevel = LogLevel.INFO) -> None:
    configure_logging(level, LogFormat.TEXT, map(Secret, secrets), stream=stream)


def json_to(stream: io.StringIO, *secrets: str) -> None:
    configure_logging(LogLevel.INFO, LogFormat.JSON, map(Secret, secrets), stream=stream)


def test_a_line_of_text(stream: io.StringIO) -> None:
    text_to(stream)
    log.info("door %s", "open")
    time, level, name, message = stream.getvalue().split(maxsplit=3)
    assert time.endswith("Z")
    assert (level, name, message) == ("INFO", "nuki2mqtt.test:", "door open\n")


def test_a_line_of_json(stream: io.StringIO) -> None:
    json_to(stream)
    log.warning("Tür %d\nis open", 1)
    assert stream.getvalue().count("\n") == 1
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {"level": "warning", "logger": "nuki2mqtt.test", "message": "Tür 1\nis open"}


def test_the_level_counts(stream: io.StringIO) -> None:
    text_to(stream, level=LogLevel.WARNING)
    log.info("no")
    log.warning("yes")
    assert "no" not in stream.getvalue()
    assert "yes" in stream.getvalue()


@pytest.mark.parametrize("level", LogLevel)
def test_the_level_can_be_changed_while_it_runs(stream: io.StringIO, level: LogLevel) -> None:
    text_to(stream, level=LogLevel.ERROR if level is LogLevel.DEBUG else LogLevel.DEBUG)
    set_log_level(level)
    for each in LogLevel:
        log.log(logging.getLevelNamesMapping()[each.upper()], "as %s", each)
    said = [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()]
    assert said == list(LogLevel)[list(LogLevel).index(level) :]


def test_a_changed_level_keeps_libraries_quiet_and_secrets_hidden(stream: io.StringIO) -> None:
    text_to(stream, "s3cret-token", level=LogLevel.ERROR)
    set_log_level("debug")
    for name in TALKATIVE:
        logging.getLogger(name).info("traffic")
        logging.getLogger(name).warning("trouble")
    log.debug("s3cret-token")
    assert "traffic" not in stream.getvalue()
    assert stream.getvalue().count("trouble") == len(TALKATIVE)
    assert stream.getvalue().rstrip().endswith("***")
    set_log_level("error")
    logging.getLogger("aiohttp").warning("no more")
    assert "no more" not in stream.getvalue()


def test_configuring_again_replaces(stream: io.StringIO) -> None:
    old = io.StringIO()
    text_to(old)
    text_to(stream)
    log.info("once")
    assert old.getvalue() == ""
    assert stream.getvalue().count("once") == 1


def test_libraries_do_not_tell_their_traffic(stream: io.StringIO) -> None:
    text_to(stream, level=LogLevel.DEBUG)
    logging.getLogger("aiohttp.access").info("GET /callback/x/y")
    logging.getLogger("asyncio").debug("Using selector")
    assert stream.getvalue() == ""


def fail(text: str) -> NoReturn:
    raise ValueError(text)


@pytest.mark.parametrize("output", LogFormat)
def test_registered_secrets_are_nowhere(stream: io.StringIO, output: LogFormat) -> None:
    secret = 'pass"wörd/ +\\1'
    configure_logging(LogLevel.INFO, output, [Secret(secret)], stream=stream)
    log.info("message " + secret)  # noqa: G003 - as a library would
    log.info("argument %s and %r", secret, {"password": secret})
    log.info("percent pass%22w%C3%B6rd%2F%20%2B%5C1")
    log.info("in json %s", json.dumps(secret))
    try:
        try:
            fail(secret)
        except ValueError:
            fail(f"because of {secret}")
    except ValueError:
        log.exception("failed with %s", secret, stack_info=True)
    assert "wörd" not in stream.getvalue()
    assert "w\\u00f6rd" not in stream.getvalue()
    assert "C3%B6" not in stream.getvalue()
    assert stream.getvalue().count("***") >= 8


def test_a_secret_learnt_later(stream: io.StringIO) -> None:
    text_to(stream)
    register_secret(Secret("learnt-later"))
    log.info("token learnt-later")
    assert "learnt-later" not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /list?token=abc&x=1", "GET /list?token=***&x=1"),
        ("/list?ctoken=a1&nonce=b2 failed", "/list?ctoken=***&nonce=*** failed"),
        ("?ts=2026&rnr=1&hash=0f", "?ts=2026&rnr=1&hash=***"),
        ('url "http://h/x?TOKEN=abc"', 'url "http://h/x?TOKEN=***"'),
        ("http://192.0.2.1:8321/callback/0bad/5ec4e7 seen", "http://192.0.2.1:8321/callback/0bad/*** seen"),
        ("url=http%3A%2F%2Fh%2Fcallback%2F0bad%2F5ec4e7&x", "url=http%3A%2F%2Fh%2Fcallback%2F0bad%2F***&x"),
        ('{"success":true,"token": "abc"}', '{"success":true,"token": "***"}'),
        ("/callback/list?x=1 and /callback/add", "/callback/list?x=1 and /callback/add"),
        ("no token given", "no token given"),
    ],
)
def test_what_looks_like_a_secret(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_longer_secrets_first_and_short_ones_as_whole_words() -> None:
    redactor = Redactor()
    for secret in ("abcd", "abcdef", "xy", "", " "):
        redactor.add(Secret(secret))
    assert redactor.redact("abcdef abcd xy xylophone, a b") == "*** *** *** xylophone, a b"


def test_no_message_forges_a_line(stream: io.StringIO) -> None:
    text_to(stream)
    log.info("door\n2026-01-01T00:00:00Z INFO fake: open\r\x1b[2J\x00\u2028\u202e")
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().isprintable() is False  # its own end
    assert stream.getvalue()[:-1].isprintable()
    assert "\\n2026" in stream.getvalue()
    assert "\\u001b[2J" in stream.getvalue()


def test_no_exception_forges_a_line(stream: io.StringIO) -> None:
    text_to(stream)
    try:
        fail("door\n2026-01-01T00:00:00Z INFO fake: open\x1b")
    except ValueError:
        log.exception("failed")
    first, *others = stream.getvalue().splitlines()
    assert first.endswith("failed")
    assert all(line.startswith("    | ") for line in others)
    assert "\x1b" not in stream.getvalue()


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize("output", LogFormat)
def test_a_bad_line_loses_neither_itself_nor_its_secrets(
    stream: io.StringIO, output: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogLevel.INFO, output, [Secret("s3cret")], stream=stream)
    [handler] = [found for found in logging.getLogger().handlers if getattr(found, "stream", None) is stream]
    for message, argument in (("needs %d", "s3cret"), ("says %s", Unprintable())):
        handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, message, (argument,), None))
    assert "needs %d (its arguments do not fit)" in stream.getvalue()
    assert "says %s (its arguments do not fit)" in stream.getvalue()
    assert capsys.readouterr() == ("", "")


def test_a_broken_stream_stops_nothing(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    text_to(stream)
    stream.close()
    log.info("into the void")
    assert capsys.readouterr() == ("", "")
