"""What the cloud posts to us, and how we know that it was the cloud.

Source: web reference 2.5. A body names a feature, or it tells the end of an order that was given by the API; nothing in
it says when it was sent, and the same one can come twice.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.activity import Activity
from nuki2mqtt.model.cloud_device import MOST_SMARTLOCK_ID, CloudDevice
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_bodies import JsonObject
from nuki2mqtt.protocol.web_answers import AccountUser, read_account_user
from nuki2mqtt.protocol.web_auth_bodies import is_auth_id, read_authorization
from nuki2mqtt.protocol.web_device_bodies import read_device
from nuki2mqtt.protocol.web_log_bodies import read_activity

SIGNATURE_HEADER = "X-Nuki-Signature-SHA256"  # a second one, X-Nuki-Signature, is shorter and not documented
_HEX_DIGITS = frozenset("0123456789abcdef")
_MOST_HOOKS = 100
_MOST_DETAILS = 1000
_MOST_WORD_CHARS = 64


def is_signed(body: bytes, signature: str | None, secret: Secret) -> bool:
    """Whether the header holds the HMAC-SHA-256 of exactly these bytes; without a secret nothing is signed.

    The comparison takes as long for a wrong signature as for a right one.
    """
    if not secret or signature is None:
        return False
    said = signature.strip().lower()
    if not set(said) <= _HEX_DIGITS:
        return False  # what is not ASCII cannot be compared
    own = hmac.new(secret.reveal().encode("utf-8", "surrogatepass"), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(own, said)


class WebhookFeature(StrEnum):
    """What can be subscribed to."""

    DEVICE_STATUS = "DEVICE_STATUS"
    DEVICE_MASTERDATA = "DEVICE_MASTERDATA"
    DEVICE_CONFIG = "DEVICE_CONFIG"
    DEVICE_LOGS = "DEVICE_LOGS"
    DEVICE_AUTHS = "DEVICE_AUTHS"
    ACCOUNT_USER = "ACCOUNT_USER"


@dataclass(frozen=True, slots=True)
class DeviceHook:
    """`DEVICE_STATUS`, `DEVICE_MASTERDATA`, `DEVICE_CONFIG`: what is said of a device, each only a part of it."""

    feature: WebhookFeature
    device: CloudDevice
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class ActivityHook:
    """`DEVICE_LOGS`: a new entry of the log."""

    activity: Activity


@dataclass(frozen=True, slots=True)
class AuthorizationHook:
    """`DEVICE_AUTHS`: an authorization was made, changed or deleted."""

    authorization: Authorization
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class AccountUserHook:
    """`ACCOUNT_USER`: a user of the account; None where the body does not say which."""

    user: AccountUser | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class FailureDetail:
    """What failed for one device; `error_code` is a word of the cloud, often two hex digits."""

    smartlock_id: int | None
    error_code: str | None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class OrderHook:
    """The end of an order that was given by the Advanced API; `type` is its name there ("UnlockAction")."""

    type: str
    request_id: str
    success: bool
    smartlock_id: int | None = None
    failures: tuple[FailureDetail, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownHook:
    """A feature that no document names; told once, otherwise ignored."""

    feature: str = field(default="")


Hook = DeviceHook | ActivityHook | AuthorizationHook | AccountUserHook | OrderHook | UnknownHook


def parse_webhook(body: bytes) -> tuple[Hook, ...]:
    """What a body tells; one that is a list tells several things. Raises UnreadableBody."""
    data = bodies.load_json(body)
    if isinstance(data, list):
        return tuple(_hook(bodies.as_object(entry)) for entry in data[:_MOST_HOOKS])
    return (_hook(bodies.as_object(data)),)


def _hook(data: JsonObject) -> Hook:
    feature = bodies.read_text(data, "feature", _MOST_WORD_CHARS)
    if feature is None:
        return _order(data)
    is_deleted = bodies.read_bool(data, "deleted") or False
    match feature.upper():
        case WebhookFeature.DEVICE_STATUS | WebhookFeature.DEVICE_MASTERDATA | WebhookFeature.DEVICE_CONFIG as known:
            return DeviceHook(WebhookFeature(known), read_device(data), is_deleted)
        case WebhookFeature.DEVICE_LOGS:
            return ActivityHook(read_activity(_inner(data, "smartlockLog")))
        case WebhookFeature.DEVICE_AUTHS:
            return AuthorizationHook(read_authorization(_inner(data, "smartlockAuth")), is_deleted)
        case WebhookFeature.ACCOUNT_USER:
            return _account_user(data, is_deleted=is_deleted)
        case _:
            return UnknownHook(feature)


def _inner(data: JsonObject, key: str) -> JsonObject:
    """The object under this key with the device's number beside it, wherever that stands."""
    inner = bodies.read_object(data, key)
    if not inner:
        raise bodies.not_wanted(data, key, "an object")
    if "smartlockId" in inner or "smartlockId" not in data:
        return inner
    return {**inner, "smartlockId": data["smartlockId"]}


def _account_user(data: JsonObject, *, is_deleted: bool) -> AccountUserHook:
    # No document shows this body: the user may stand under its name, or flat.
    try:
        return AccountUserHook(read_account_user(bodies.read_object(data, "accountUser") or data), is_deleted)
    except UnreadableBody:
        return AccountUserHook(None, is_deleted)


def _order(data: JsonObject) -> OrderHook:
    request_id = data.get("requestId")
    if not isinstance(request_id, str) or not is_auth_id(request_id):
        raise UnreadableBody("neither a feature nor a requestId")
    success = bodies.read_bool(data, "success")
    if success is None:
        raise bodies.not_wanted(data, "success", "true or false")
    detail = data.get("detail")
    failures = (
        [entry for entry in detail[:_MOST_DETAILS] if isinstance(entry, dict)] if isinstance(detail, list) else []
    )
    return OrderHook(
        type=bodies.read_text(data, "type", _MOST_WORD_CHARS) or "",
        request_id=request_id,
        success=success,
        smartlock_id=bodies.read_int(data, "smartlockId", high=MOST_SMARTLOCK_ID),
        failures=tuple(_failure(entry) for entry in failures if bodies.read_bool(entry, "success") is not True),
    )


def _failure(entry: JsonObject) -> FailureDetail:
    auth_id = entry.get("id")
    return FailureDetail(
        smartlock_id=bodies.read_int(entry, "smartlockId", high=MOST_SMARTLOCK_ID),
        error_code=bodies.read_text(entry, "errorCode", _MOST_WORD_CHARS),
        id=auth_id if isinstance(auth_id, str) and is_auth_id(auth_id) else None,
    )


def repeat_key(hook: Hook) -> str | None:
    """What makes a hook the same as one before; None where each is to be taken, as a repeat of it changes nothing.

    A state is one of these: its body has no time, so that an equal one later can be news (locked, unlocked, locked).
    An authorization without a date is another: it only says that the list is to be read.
    """
    match hook:
        case ActivityHook(activity):
            return None if activity.id is None else f"log {activity.id}"
        case AuthorizationHook(authorization, is_deleted):
            if authorization.updated is None:
                return None
            return f"auth {authorization.id} {authorization.updated.isoformat()} {is_deleted}"
        case OrderHook(request_id=request_id):
            return f"order {request_id}"
        case DeviceHook() | AccountUserHook() | UnknownHook():
            return None
