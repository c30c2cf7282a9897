"""Every way in which the cloud says no, and that no keypad code and no secret comes back in its words."""

import json
from dataclasses import astuple
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.model.keypad import KeypadCode
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_api import (
    CodeCreateRequest,
    DeviceActionRequest,
    DeviceListRequest,
    DoneAnswer,
    hide_web_secrets,
    read_response,
    read_retry_after,
)
from nuki2mqtt.protocol.web_texts import clear_web_text, read_complaint

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
CREATE = CodeCreateRequest(1, KeypadCode(name="Cleaner", code=Secret("839275")))
ACTION = DeviceActionRequest(1, 3)
LIST = DeviceListRequest()


def java(message: object) -> bytes:
    """An error as the cloud writes it."""
    return json.dumps({"detailMessage": message, "stackTrace": [], "suppressedExceptions": []}).encode()


def refusal(status: int, body: bytes = b"", retry_after: str | None = None) -> WebError:
    with pytest.raises(WebError) as caught:
        read_response(CREATE, status, body, retry_after=retry_after, now=NOW)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "may_have_acted"),
    [
        (400, "bad_request", False),
        (401, "token_refused", False),
        (402, "payment_required", False),
        (403, "forbidden", False),
        (404, "not_found", False),
        (405, "not_allowed", False),
        (409, "conflict", False),
        (423, "locked", False),
        (426, "upgrade_required", False),
        (429, "too_many", False),
        (500, "server_error", True),
        (502, "server_error", True),
        (503, "server_error", True),
        (504, "server_error", True),
        (599, "server_error", True),
        (100, "unexpected_status", True),
        (203, "unexpected_status", True),
        (302, "unexpected_status", True),
        (408, "unexpected_status", True),
        (418, "unexpected_status", True),
        (600, "unexpected_status", True),
    ],
)
def test_statuses(status: int, kind: str, *, may_have_acted: bool) -> None:
    error = refusal(status)

    assert error == WebError(WebErrorKind(kind), f"HTTP {status}")
    assert error.may_have_acted is may_have_acted


@pytest.mark.parametrize(
    ("kind", "may_have_acted"), [("refused", False), ("too_late", False), ("timeout", True), ("reset", True)]
)
def test_what_happens_without_a_status(kind: str, *, may_have_acted: bool) -> None:
    assert WebError(WebErrorKind(kind)).may_have_acted is may_have_acted


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"null", b'{"requestId":"x"}', b"[]"])
def test_a_write_is_taken(status: int, body: bytes) -> None:
    assert read_response(ACTION, status, body) == DoneAnswer()


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"OK", java("something"), b"\xff"])
def test_a_success_that_is_none(body: bytes) -> None:
    with pytest.raises(WebError) as caught:
        read_response(ACTION, 200, body)

    assert caught.value.kind is WebErrorKind.UNREADABLE
    assert caught.value.may_have_acted


@pytest.mark.parametrize("status", [200, 204])
def test_a_reading_needs_a_body(status: int) -> None:
    with pytest.raises(WebError) as caught:
        read_response(LIST, status, b"")

    assert caught.value == WebError(WebErrorKind.UNREADABLE, "an empty body, not JSON")


# --- What is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", ("", None, None)),
        (b"{}", ("", None, None)),
        (b"[]", ("", None, None)),
        (b'{"stackTrace":[],"suppressedExceptions":[]}', ("", None, None)),
        (java(None), ("", None, None)),
        (java(7), ("", None, None)),
        (java("Your access token is not authorized"), ("Your access token is not authorized", None, None)),
        (b'{"message":"Too many requests"}', ("Too many requests", None, None)),
        (b'{"error":"nope"}', ("nope", None, None)),
        (
            java("The supplied value '839275' for parameter 'code' is not valid"),
            ("parameter code is not valid", "code", None),
        ),
        (
            java("The supplied value 'null' for parameter 'code' is not valid"),
            ("parameter code (null) is not valid", "code", "null"),
        ),
        (
            java("The supplied value '13' for parameter 'type' is not valid"),
            ("parameter type (13) is not valid", "type", "13"),
        ),
        (
            java("The supplied value '3' for parameter 'action' is not valid"),
            ("parameter action (3) is not valid", "action", "3"),
        ),
        (
            java("The supplied value '839275' for parameter 'type' is not valid"),
            ("parameter type (***) is not valid", "type", "***"),
        ),
        (
            java("The supplied value 'Somebody' for parameter 'name' is not valid"),
            ("parameter name is not valid", "name", None),
        ),
        (
            java("The supplied value '1700000000' for parameter 'fromDate' is not valid"),
            ("parameter fromDate (***) is not valid", "fromDate", "***"),
        ),
        (java("The code 839275 is in use by me@example.org"), ("The code *** is in use by ***", None, None)),
        (java("Authorization: Bearer 0a1b2c.x-y"), ("Authorization: Bearer ***", None, None)),
        (java("a\r\nb\u2028c"), ("a b c", None, None)),
        (b"<html><head><title>502 Bad\r\nGateway</title></head></html>", ("502 Bad Gateway", None, None)),
        (b"\xef\xbb\xbf <!DOCTYPE html><html></html>", ("a page of HTML", None, None)),
        (b"upstream timed out", ("upstream timed out", None, None)),
        (b'{"detailMessage":"cut o', ("", None, None)),
        (b"\xff\xfe", ("\ufffd\ufffd", None, None)),
    ],
)
def test_what_stands_in_an_error(body: bytes, complaint: tuple[str, str | None, str | None]) -> None:
    assert astuple(read_complaint(body)) == complaint


def test_a_stack_trace_does_not_hide_the_message() -> None:
    trace = json.dumps({"stackTrace": ["at some.Class"] * 2000, "detailMessage": "in use"}).encode()

    assert read_complaint(trace).text == "in use"
    assert read_complaint(trace + b" " * 64 * 1024).text == "in use"
    assert read_complaint(trace[:9000]).text == ""


def test_an_error_in_words() -> None:
    error = refusal(400, java("The supplied value '13' for parameter 'type' is not valid"))

    assert str(error) == "bad_request: HTTP 400: parameter type (13) is not valid"
    assert repr(error) == "WebError(bad_request)"
    assert (error.parameter, error.value) == ("type", "13")


@PATIENT
@given(
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    parameter=st.sampled_from(["code", "type", "name", "allowedFromTime", "x"]),
    code=st.text("123456789", min_size=6, max_size=6),
    status=st.sampled_from([400, 402, 409, 423, 426, 500]),
)
def test_a_code_never_comes_back(before: str, after: str, parameter: str, code: str, status: int) -> None:
    texts = [
        f"The supplied value '{code}' for parameter '{parameter}' is not valid",
        f"The supplied value '{before}{code}{after}' for parameter '{parameter}' is not valid",
        f"The supplied value 'x' for parameter 'a{code}' is not valid",
        f"{before}{code}{after}",
        f"{before} {code} {after}",
    ]
    for text in texts:
        for body in (java(text), text.encode(errors="replace"), f"<title>{text}</title>".encode(errors="replace")):
            error = refusal(status, body)
            assert code not in f"{error} {error!r} {error.parameter} {error.value}"


@PATIENT
@given(st.text(max_size=300))
def test_cleared_text_is_short_safe_and_clear(text: str) -> None:
    once = clear_web_text(text)

    assert len(once) <= 100
    assert not any(char < " " or char in "\x7f\x85\u2028\u2029" for char in once)
    assert clear_web_text(once) == once


def test_secrets_that_are_known_are_hidden_in_every_spelling() -> None:
    error = WebError(
        WebErrorKind.BAD_REQUEST, "HTTP 400: t0k3n%2Dx is bad", parameter="type", value="t0k3n-x", retry_after_s=2.0
    )
    hidden = hide_web_secrets(error, [Secret("t0k3n-x")])

    assert hidden == WebError(
        WebErrorKind.BAD_REQUEST, "HTTP 400: *** is bad", parameter="type", value="***", retry_after_s=2.0
    )


# --- Retry-After ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 1.0),
        ("1", 1.0),
        (" 120 ", 120.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("999999999999", 3600.0),
        ("9" * 13, None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("\u0663", None),
        ("Sat, 21 Nov 2026 20:16:03 GMT", 60.0),
        ("Sat, 21 Nov 2026 20:15:03 GMT", 1.0),
        ("Fri, 20 Nov 2026 20:15:03 GMT", 1.0),
        ("Sun, 22 Nov 2026 20:15:03 GMT", 3600.0),
        ("Sat, 21 Nov 2026 20:15:60 GMT", 56.0),
        ("Sat, 31 Feb 2026 20:16:03 GMT", None),
        ("Sat, 21 Nox 2026 20:16:03 GMT", None),
        ("Sat, 21 Nov 2026 20:16:03 CET", None),
        ("2026-11-21T20:16:03Z", None),
    ],
)
def test_how_long_to_wait(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, NOW) == seconds
    assert refusal(429, retry_after=header).retry_after_s == seconds
    assert refusal(503, retry_after=header).retry_after_s == seconds


def test_a_date_is_worth_nothing_without_a_clock() -> None:
    assert read_retry_after("Sat, 21 Nov 2026 20:16:03 GMT", None) is None
    assert read_retry_after("7", None) == 7.0


@PATIENT
@given(st.text(max_size=40))
def test_any_header_gives_a_bounded_time_or_none(header: str) -> None:
    seconds = read_retry_after(header, NOW)
    assert seconds is None or 1 <= seconds <= 3600


@PATIENT
@given(st.datetimes(NOW.replace(tzinfo=None), NOW.replace(tzinfo=None) + timedelta(minutes=59)))
def test_a_date_is_the_seconds_until_then(at: datetime) -> None:
    header = at.strftime("Sat, %d Nov %Y %H:%M:%S GMT")
    seconds = read_retry_after(header, NOW)

    assert seconds is not None
    assert 0 <= seconds - max(1.0, (at.replace(microsecond=0, tzinfo=UTC) - NOW).total_seconds()) < 1


# --- The error as a value ---------------------------------------------------------------------------------------------


def test_a_web_error_is_equal_by_value() -> None:
    error = WebError(WebErrorKind.TOO_MANY, "HTTP 429", retry_after_s=5.0)

    assert error == WebError(WebErrorKind.TOO_MANY, "HTTP 429", retry_after_s=5.0)
    assert hash(error) == hash(WebError(WebErrorKind.TOO_MANY, "HTTP 429", retry_after_s=5.0))
    assert error not in {WebError(WebErrorKind.TOO_MANY, "HTTP 429"), WebError(WebErrorKind.LOCKED, "HTTP 429")}
    assert error != "too_many: HTTP 429"
    assert str(WebError(WebErrorKind.RESET)) == "reset"


def test_every_kind_is_tried_here() -> None:
    marks = [
        *test_statuses.pytestmark,  # type: ignore[attr-defined]
        *test_what_happens_without_a_status.pytestmark,  # type: ignore[attr-defined]
    ]
    tried = {value for mark in marks for row in mark.args[1] for value in row if isinstance(value, str)}

    assert tried | {"unreadable"} == set(WebErrorKind)
