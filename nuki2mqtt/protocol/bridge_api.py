"""The Bridge HTTP API in one place: requests, answers, HTTP statuses and the body of a callback.

Source: Bridge API 1.13.2 sections 5 (calls, callbacks), 6 (maintenance) and 7 (HTTP statuses). The rooms
behind this door are `bridge_requests`, `bridge_answers`, `bridge_bodies` and `bridge_texts`.
"""

from collections.abc import Collection
from dataclasses import replace

from nuki2mqtt.errors import BridgeError, BridgeErrorKind, UnreadableBody
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Report, Source
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_answers import (
    ActionAnswer,
    Answer,
    AuthAnswer,
    CallbackListAnswer,
    EmptyAnswer,
    InfoAnswer,
    ListAnswer,
    LockStateAnswer,
    LogAnswer,
    LogEntry,
    ScanHit,
    SuccessAnswer,
)
from nuki2mqtt.protocol.bridge_requests import (
    AuthRequest,
    BridgeRequest,
    CallbackAddRequest,
    CallbackListRequest,
    CallbackRemoveRequest,
    ClearLogRequest,
    ConfigAuthRequest,
    FactoryResetRequest,
    FirmwareUpdateRequest,
    InfoRequest,
    ListRequest,
    LockActionRequest,
    LockStateRequest,
    LogRequest,
    RebootRequest,
    SimpleLockRequest,
    SimpleUnlockRequest,
    UnpairRequest,
)
from nuki2mqtt.protocol.bridge_texts import clear_text, hide

__all__ = [
    "ActionAnswer",
    "Answer",
    "AuthAnswer",
    "AuthRequest",
    "BridgeRequest",
    "CallbackAddRequest",
    "CallbackListAnswer",
    "CallbackListRequest",
    "CallbackRemoveRequest",
    "ClearLogRequest",
    "ConfigAuthRequest",
    "EmptyAnswer",
    "FactoryResetRequest",
    "FirmwareUpdateRequest",
    "InfoAnswer",
    "InfoRequest",
    "ListAnswer",
    "ListRequest",
    "LockActionRequest",
    "LockStateAnswer",
    "LockStateRequest",
    "LogAnswer",
    "LogEntry",
    "LogRequest",
    "RebootRequest",
    "ScanHit",
    "SimpleLockRequest",
    "SimpleUnlockRequest",
    "SuccessAnswer",
    "UnpairRequest",
    "hide_secrets",
    "parse_callback",
    "read_response",
]

# Bridge API 1.13.2 section 7; 410 is not in it (developer.nuki.io, thread 13423).
_KINDS = {
    400: BridgeErrorKind.BAD_REQUEST,
    401: BridgeErrorKind.TOKEN_REFUSED,
    403: BridgeErrorKind.FORBIDDEN,
    404: BridgeErrorKind.NOT_PAIRED,
    410: BridgeErrorKind.DEVICE_OFFLINE,
    503: BridgeErrorKind.BUSY,
}
_MAX_DETAIL_CHARS = 80
_MAX_SEEN_BYTES = 4096  # of what the body says


def read_response(request: BridgeRequest, status: int, body: bytes) -> Answer:
    """The answer to a request; raises BridgeError, whose detail is without what looks like a secret."""
    if status != 200:
        kind = _KINDS.get(status, BridgeErrorKind.UNEXPECTED_STATUS)
        if kind is BridgeErrorKind.NOT_PAIRED and getattr(request, "nuki_id", None) is None:
            kind = BridgeErrorKind.UNEXPECTED_STATUS  # no device was named: this is some other web server
        raise BridgeError(kind, _detail(status, body))
    _refuse_error_object(body)
    return request.read(body)


def _detail(status: int, body: bytes) -> str:
    said = clear_text(body[:_MAX_SEEN_BYTES].decode("utf-8-sig", errors="replace"), _MAX_DETAIL_CHARS)
    if said.startswith("HTTP "):  # a Bridge's own bodies repeat the status: "HTTP 503 Unavailable"
        return said
    return f"HTTP {status}: {said}" if said else f"HTTP {status}"


def _refuse_error_object(body: bytes) -> None:
    # A software Bridge says {"error":"invalid api token"} with status 200 (developer.nuki.io, thread 87).
    if body.startswith(b"["):
        return  # a `/list`, which need not be read twice
    try:
        error = bodies.load_object(body).get("error")
    except UnreadableBody:
        return
    if isinstance(error, str):
        is_about_token = "token" in error.lower()
        kind = BridgeErrorKind.TOKEN_REFUSED if is_about_token else BridgeErrorKind.UNREADABLE
        raise BridgeError(kind, clear_text(error, _MAX_DETAIL_CHARS))


def hide_secrets(answer: Answer | BridgeError, secrets: Collection[Secret]) -> Answer | BridgeError:
    """The answer, in whose words none of these secrets stands any more; a log is for who shows it (`hide`)."""
    match answer:
        case BridgeError(kind=kind, detail=detail):
            return BridgeError(kind, hide(detail, secrets))
        case SuccessAnswer(message=str() as message):
            return replace(answer, message=hide(message, secrets))
        case _:
            return answer


# --- Callbacks ----------------------------------------------------------------------------------------------


def parse_callback(body: bytes) -> Report:
    """The body that a Bridge posts (section 5, callbacks); raises UnreadableBody.

    It counts as of its arrival: no document promises a time in it, so that `at` stays None. Node-RED's
    `{"nukiId":..,"state":{..}}` is read too.
    """
    outer = bodies.load_object(body)
    inner = outer.get("state")
    data = {**outer, **inner} if isinstance(inner, dict) else outer
    nuki_id = bodies.require_nuki_id(data)
    state = bodies.read_state(data)
    if state is None:
        raise bodies.not_wanted(data, "state", "a state number")
    return Report(
        nuki_id=nuki_id,
        source=Source.CALLBACK,
        device_type=bodies.read_int(data, "deviceType"),
        state=state,
    )
