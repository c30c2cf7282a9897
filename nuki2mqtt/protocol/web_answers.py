"""What the cloud answers, as values; each can be read from its own JSON.

Source: web reference 2 (calls) and 3 (objects). The readers raise `UnreadableBody`; a field that is absent or of a
wrong type is None and never an error. Entries of a list that cannot be read are told in `broken`: a list with such is
not complete, and nothing may be concluded from what is absent in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, TypeVar

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.activity import Activity
from nuki2mqtt.model.cloud_device import CloudDevice
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_bodies import JsonObject
from nuki2mqtt.protocol.web_auth_bodies import is_auth_id, read_authorization
from nuki2mqtt.protocol.web_device_bodies import read_device
from nuki2mqtt.protocol.web_log_bodies import read_activity

_T = TypeVar("_T")

# Bounds of ours, far above what an account has.
_MOST_DEVICES = 1000
_MOST_AUTHORIZATIONS = 10_000
_MOST_ACTIVITIES = 1000
_MOST_USERS = 10_000
_MOST_WEBHOOKS = 100
_MOST_FEATURES = 32
_MOST_NAME_CHARS = 64
_MOST_URL_CHARS = 2048
_MOST_SECRET_CHARS = 512


def _read_entries(
    entries: list[object], read: Callable[[JsonObject], _T], most: int
) -> tuple[tuple[_T, ...], tuple[str, ...]]:
    """What can be read of each entry, and one loggable text for each of the others."""
    found: list[_T] = []
    broken: list[str] = []
    for number, entry in enumerate(entries[:most], start=1):
        try:
            found.append(read(bodies.as_object(entry)))
        except UnreadableBody as error:
            broken.append(f"entry {number}: {error}")
    if len(entries) > most:
        broken.append(f"{len(entries)} entries, only the first {most} were read")
    return tuple(found), tuple(broken)


@dataclass(frozen=True, slots=True)
class DoneAnswer:
    """A write was taken and waits for the device; whether it is ever carried out is to be looked for (section 6.2)."""

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer: nothing, or JSON that is no error; raises UnreadableBody, as behind a login page."""
        if body.strip() and isinstance(data := bodies.load_json(body), dict) and "detailMessage" in data:
            raise UnreadableBody("an error where there should be none")
        return cls()


@dataclass(frozen=True, slots=True)
class DeviceListAnswer:
    """`GET /smartlock`: every device of the account."""

    devices: tuple[CloudDevice, ...]
    broken: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether a device that is not in it is not in the account."""
        return not self.broken

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an array."""
        return cls(*_read_entries(bodies.load_array(body), read_device, _MOST_DEVICES))


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """`GET /smartlock/{id}`."""

    device: CloudDevice

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody."""
        return cls(read_device(bodies.load_object(body)))


@dataclass(frozen=True, slots=True)
class AuthorizationListAnswer:
    """`GET /smartlock/auth` and `GET /smartlock/{id}/auth`."""

    authorizations: tuple[Authorization, ...]
    broken: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether an authorization that is not in it is gone."""
        return not self.broken

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an array."""
        return cls(*_read_entries(bodies.load_array(body), read_authorization, _MOST_AUTHORIZATIONS))


@dataclass(frozen=True, slots=True)
class AuthorizationPageAnswer:
    """`GET /smartlock/auth/paged`: one page; `next_page` is None at the last one, or where the cloud does not say."""

    authorizations: tuple[Authorization, ...]
    broken: tuple[str, ...] = ()
    next_page: int | None = None
    pages: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every entry of this page could be read."""
        return not self.broken

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it holds no page."""
        data = bodies.load_object(body)
        results = data.get("results")
        if not isinstance(results, list):
            raise bodies.not_wanted(data, "results", "an array")
        found, broken = _read_entries(results, read_authorization, _MOST_AUTHORIZATIONS)
        pagination = bodies.read_object(data, "pagination")
        current, following = bodies.read_int(pagination, "currentPage"), bodies.read_int(pagination, "nextPage")
        # One that does not go on would be asked for ever.
        is_on = following is not None and (current is None or following > current)
        return cls(found, broken, following if is_on else None, bodies.read_int(pagination, "totalPages"))


@dataclass(frozen=True, slots=True)
class AuthorizationAnswer:
    """`GET /smartlock/{id}/auth/{authId}`."""

    authorization: Authorization

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody."""
        return cls(read_authorization(bodies.load_object(body)))


@dataclass(frozen=True, slots=True)
class ActivityAnswer:
    """`GET /smartlock/log` and `GET /smartlock/{id}/log`: newest first.

    `last_id` is where older entries go on; one that was asked for already leads nowhere. There are no more only behind
    an empty page (section 2.3): `is_empty`.
    """

    activities: tuple[Activity, ...]
    broken: tuple[str, ...] = ()
    last_id: str | None = None
    is_empty: bool = False

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an array."""
        entries = bodies.load_array(body)
        found, broken = _read_entries(entries, read_activity, _MOST_ACTIVITIES)
        ids = [one.id for one in found if one.id is not None]
        return cls(found, broken, ids[-1] if ids else None, not entries)


@dataclass(frozen=True, slots=True)
class AccountAnswer:
    """`GET /account`: whose account it is, as a number; nothing personal is read."""

    account_id: int

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody."""
        data = bodies.load_object(body)
        account_id = bodies.read_int(data, "accountId")
        if account_id is None:
            raise bodies.not_wanted(data, "accountId", "a whole number")
        return cls(account_id)


@dataclass(frozen=True, slots=True)
class AccountUser:
    """A user of the account; an address of theirs is never read."""

    id: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class AccountUserListAnswer:
    """`GET /account/user`."""

    users: tuple[AccountUser, ...]
    broken: tuple[str, ...] = ()

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an array."""
        return cls(*_read_entries(bodies.load_array(body), read_account_user, _MOST_USERS))


def read_account_user(entry: JsonObject) -> AccountUser:
    """One user; raises UnreadableBody where it has no id."""
    user_id = bodies.read_int(entry, "accountUserId")
    if user_id is None:
        raise bodies.not_wanted(entry, "accountUserId", "a whole number")
    return AccountUser(user_id, bodies.read_text(entry, "name", _MOST_NAME_CHARS))


@dataclass(frozen=True, slots=True)
class Webhook:
    """One registered webhook. `secret` signs what is posted; only the answer to its creation is sure to hold it."""

    id: int
    url: Secret | None = None
    secret: Secret | None = None
    features: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """`PUT /api/decentralWebhook`."""

    webhook: Webhook

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody."""
        return cls(_webhook(bodies.load_object(body)))


@dataclass(frozen=True, slots=True)
class WebhookListAnswer:
    """`GET /api/decentralWebhook`."""

    webhooks: tuple[Webhook, ...]
    broken: tuple[str, ...] = ()

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an array."""
        return cls(*_read_entries(bodies.load_array(body), _webhook, _MOST_WEBHOOKS))


def _webhook(entry: JsonObject) -> Webhook:
    webhook_id = bodies.read_int(entry, "id")
    if webhook_id is None:
        raise bodies.not_wanted(entry, "id", "a whole number")
    features = entry.get("webhookFeatures")
    return Webhook(
        webhook_id,
        _secret(entry, "webhookUrl", _MOST_URL_CHARS),
        _secret(entry, "secret", _MOST_SECRET_CHARS),
        frozenset(
            one
            for one in (features[:_MOST_FEATURES] if isinstance(features, list) else ())
            if isinstance(one, str) and is_auth_id(one)
        ),
    )


def _secret(entry: JsonObject, key: str, most: int) -> Secret | None:
    value = entry.get(key)
    is_usable = isinstance(value, str) and 0 < len(value) <= most and bodies.is_safe(value)
    return Secret(value) if is_usable and isinstance(value, str) else None


WebAnswer = (
    DoneAnswer
    | DeviceListAnswer
    | DeviceAnswer
    | AuthorizationListAnswer
    | AuthorizationPageAnswer
    | AuthorizationAnswer
    | ActivityAnswer
    | AccountAnswer
    | AccountUserListAnswer
    | WebhookAnswer
    | WebhookListAnswer
)
