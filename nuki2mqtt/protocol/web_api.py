"""Nuki's Web API in one place: requests, answers and HTTP statuses.

Source: web reference 1.2 (statuses), 1.3 (limits), 2 (endpoints). The rooms behind this door are `web_requests`,
`web_auth_requests`, `web_calls`, `web_answers`, the readers of bodies and `web_texts`; what the cloud posts to us is in
`webhooks`.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_texts import hide
from nuki2mqtt.protocol.web_actions import ActionOption, web_actions_of, web_code_of
from nuki2mqtt.protocol.web_answers import (
    AccountAnswer,
    AccountUser,
    AccountUserListAnswer,
    ActivityAnswer,
    AuthorizationAnswer,
    AuthorizationListAnswer,
    AuthorizationPageAnswer,
    DeviceAnswer,
    DeviceListAnswer,
    DoneAnswer,
    WebAnswer,
    Webhook,
    WebhookAnswer,
    WebhookListAnswer,
)
from nuki2mqtt.protocol.web_auth_requests import (
    AuthorizationDeleteManyRequest,
    AuthorizationDeleteRequest,
    AuthorizationListRequest,
    AuthorizationPageRequest,
    AuthorizationRequest,
    CodeCreateManyRequest,
    CodeCreateRequest,
    CodeUpdateManyRequest,
    CodeUpdateRequest,
)
from nuki2mqtt.protocol.web_calls import headers_of
from nuki2mqtt.protocol.web_requests import (
    AccountRequest,
    AccountUserListRequest,
    ActivityRequest,
    DeviceActionRequest,
    DeviceListRequest,
    DeviceRequest,
    SyncRequest,
    WebhookAddRequest,
    WebhookDeleteRequest,
    WebhookListRequest,
    WebRequest,
)
from nuki2mqtt.protocol.web_texts import read_complaint

__all__ = [
    "AccountAnswer",
    "AccountRequest",
    "AccountUser",
    "AccountUserListAnswer",
    "AccountUserListRequest",
    "ActionOption",
    "ActivityAnswer",
    "ActivityRequest",
    "AuthorizationAnswer",
    "AuthorizationDeleteManyRequest",
    "AuthorizationDeleteRequest",
    "AuthorizationListAnswer",
    "AuthorizationListRequest",
    "AuthorizationPageAnswer",
    "AuthorizationPageRequest",
    "AuthorizationRequest",
    "CodeCreateManyRequest",
    "CodeCreateRequest",
    "CodeUpdateManyRequest",
    "CodeUpdateRequest",
    "DeviceActionRequest",
    "DeviceAnswer",
    "DeviceListAnswer",
    "DeviceListRequest",
    "DeviceRequest",
    "DoneAnswer",
    "SyncRequest",
    "WebAnswer",
    "WebRequest",
    "Webhook",
    "WebhookAddRequest",
    "WebhookAnswer",
    "WebhookDeleteRequest",
    "WebhookListAnswer",
    "WebhookListRequest",
    "headers_of",
    "hide_web_secrets",
    "read_response",
    "read_retry_after",
    "web_actions_of",
    "web_code_of",
]

# 204 is what a write is answered with, 200 what a reading and some writes are (web reference 1.2).
_SUCCESSES = frozenset({200, 201, 202, 204})
_KINDS = {
    400: WebErrorKind.BAD_REQUEST,
    401: WebErrorKind.TOKEN_REFUSED,
    402: WebErrorKind.PAYMENT_REQUIRED,
    403: WebErrorKind.FORBIDDEN,
    404: WebErrorKind.NOT_FOUND,
    405: WebErrorKind.NOT_ALLOWED,
    409: WebErrorKind.CONFLICT,
    423: WebErrorKind.LOCKED,
    426: WebErrorKind.UPGRADE_REQUIRED,
    429: WebErrorKind.TOO_MANY,
}
# Nobody documents how long the cloud asks us to wait (web reference 1.3); more than an hour is no use to anybody.
LEAST_RETRY_AFTER_S = 1.0
MOST_RETRY_AFTER_S = 3600.0
_SECONDS = re.compile(r"[0-9]{1,12}")
# RFC 9110 section 5.6.7, the one form that may be sent.
_HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2}, (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) "
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def read_response(
    request: WebRequest, status: int, body: bytes, *, retry_after: str | None = None, now: datetime | None = None
) -> WebAnswer:
    """The answer to a request; raises WebError, whose detail is without what looks like a secret or a keypad code.

    `retry_after` is the header of that name, `now` the wall clock's time for the case that it holds a date.
    """
    if status in _SUCCESSES:
        return request.read(body)
    complaint = read_complaint(body)
    kind = _KINDS.get(status, WebErrorKind.SERVER_ERROR if 500 <= status <= 599 else WebErrorKind.UNEXPECTED_STATUS)
    raise WebError(
        kind,
        f"HTTP {status}: {complaint.text}" if complaint.text else f"HTTP {status}",
        parameter=complaint.parameter,
        value=complaint.value,
        retry_after_s=read_retry_after(retry_after, now),
    )


def read_retry_after(header: str | None, now: datetime | None) -> float | None:
    """How long a `Retry-After` asks to wait (RFC 9110 section 10.2.3): seconds or a date, within bounds; else None."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        wanted_s = float(text)
    else:
        at = _http_date(text)
        if at is None or now is None:
            return None
        wanted_s = (at - now).total_seconds()
    return min(max(wanted_s, LEAST_RETRY_AFTER_S), MOST_RETRY_AFTER_S)


def _http_date(text: str) -> datetime | None:
    found = _HTTP_DATE.fullmatch(text)
    if found is None or found["month"] not in _MONTHS:
        return None
    try:
        return datetime(
            int(found["year"]),
            _MONTHS.index(found["month"]) + 1,
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            min(int(found["second"]), 59),  # a leap second
            tzinfo=UTC,
        )
    except ValueError:
        return None


def hide_web_secrets(error: WebError, secrets: Collection[Secret]) -> WebError:
    """The error, in whose words none of these secrets stands any more, however it is spelled."""
    return WebError(
        error.kind,
        hide(error.detail, secrets),
        parameter=error.parameter,
        value=None if error.value is None else hide(error.value, secrets),
        retry_after_s=error.retry_after_s,
    )
