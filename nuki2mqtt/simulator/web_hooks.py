"""Webhooks: what the cloud posts when something has changed, and its signature. Pure.

Shapes and signatures: reference of the Web API, section 2.5. A webhook is either the central one, which the control
API sets, or a decentral one, which a client registers with `PUT /api/decentralWebhook`.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from nuki2mqtt.simulator import web_bodies as bodies
from nuki2mqtt.simulator.web_faults import CloudFaultName
from nuki2mqtt.simulator.web_values import CloudAsked, CloudRefusalError, Json, not_valid, write

if TYPE_CHECKING:
    from nuki2mqtt.simulator.web import SimulatedCloud
    from nuki2mqtt.simulator.web_auth_list import ListedAuth
    from nuki2mqtt.simulator.web_device import KnownDevice
    from nuki2mqtt.simulator.web_log import LogEntry

FEATURES = (
    "DEVICE_STATUS",
    "DEVICE_MASTERDATA",
    "DEVICE_CONFIG",
    "DEVICE_LOGS",
    "DEVICE_AUTHS",
    "ACCOUNT_USER",
)
CONTENT_TYPE = "application/json; charset=UTF-8"
_MASTER_DATA = (
    *("accountId", "type", "authId", "name", "favorite", "firmwareVersion", "hardwareVersion", "serverState"),
    *("adminPinState", "creationDate", "updateDate"),
)
_MOST_OWED = 1000  # what nobody takes is forgotten, the oldest first


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where changes are posted to; the secret signs the bodies."""

    id: int
    url: str
    secret: str = field(repr=False)
    features: frozenset[str] = frozenset(FEATURES)


@dataclass(frozen=True, slots=True)
class OwedPost:
    """One POST that the cloud owes."""

    due_at: float
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The headers of a post: the hex HMAC-SHA-256 of the body with the secret as UTF-8, and the older SHA-1 beside."""
    key = secret.encode()
    return {
        "Content-Type": CONTENT_TYPE,
        "X-Nuki-Signature-SHA256": hmac.new(key, body, sha256).hexdigest(),
        "X-Nuki-Signature": hmac.new(key, body, "sha1").hexdigest(),  # of its size only the reference knows
    }


class Webhooks:
    """All webhooks of the account, and the posts not yet taken."""

    def __init__(self, cloud: "SimulatedCloud") -> None:
        self.hooks: list[Webhook] = []
        self._cloud = cloud
        self._owed: list[OwedPost] = []
        self._made = 0

    def add(self, url: str, features: frozenset[str], secret: str | None = None) -> Webhook:
        """Post these features to an address from now on."""
        self._made += 1
        made = sha256(f"{self._cloud.seed}/hook/{self._made}".encode()).hexdigest()[:40]
        hook = Webhook(self._made, url, made if secret is None else secret, features)
        self.hooks.append(hook)
        return hook

    def remove(self, number: int) -> bool:
        """Post there no more; False where there is no such webhook."""
        found = [hook for hook in self.hooks if hook.id == number]
        self.hooks = [hook for hook in self.hooks if hook.id != number]
        return bool(found)

    def take(self) -> list[OwedPost]:
        """Everything that is owed, in order; taken once."""
        owed, self._owed = self._owed, []
        return owed

    def status(self, known: "KnownDevice") -> None:
        """The state of a device has changed, or how well it can be reached."""
        now = self._cloud.house.now
        self._owe(
            "DEVICE_STATUS",
            {
                "feature": "DEVICE_STATUS",
                "smartlockId": known.smartlock_id,
                "state": bodies.state(known.copy, known, now),
                "serverState": known.shown_server_state,
                "adminPinState": known.admin_pin_state,
            },
        )

    def master_data(self, known: "KnownDevice") -> None:
        """A device was renamed or synced."""
        whole = bodies.smartlock(known, self._cloud.house.now)
        body: dict[str, Json] = {
            "feature": "DEVICE_MASTERDATA",
            "deleted": False,
            "smartlockId": known.smartlock_id,
        }
        self._owe("DEVICE_MASTERDATA", body | {key: whole[key] for key in _MASTER_DATA})

    def config(self, known: "KnownDevice") -> None:
        """The settings of a device have changed, or it was synced."""
        self._owe(
            "DEVICE_CONFIG",
            {"feature": "DEVICE_CONFIG", "smartlockId": known.smartlock_id, "config": known.config},
        )

    def log_entry(self, entry: "LogEntry") -> None:
        """The log has a new entry."""
        self._owe("DEVICE_LOGS", {"feature": "DEVICE_LOGS", "smartlockLog": bodies.log_entry(entry)})

    def authorization(self, one: "ListedAuth", *, deleted: bool) -> None:
        """An authorization is new, is different or is gone."""
        self._owe(
            "DEVICE_AUTHS",
            {"feature": "DEVICE_AUTHS", "deleted": deleted, "smartlockAuth": bodies.authorization(one)},
        )

    def triggered(self, kind: str, request_id: str, known: "KnownDevice", *, error_code: str | None = None) -> None:
        """What a call of the Advanced API has come to; every webhook gets it."""
        body: dict[str, Json] = {"type": kind, "requestId": request_id}
        if error_code is None:
            body |= {"smartlockId": known.smartlock_id, "success": True}
        else:
            failed: dict[str, Json] = {
                "smartlockId": known.smartlock_id,
                "success": False,
                "errorCode": error_code,
                "id": self._cloud.ids.make(self._cloud.house.now),
            }
            body |= {"success": False, "detail": [failed]}
        self._owe(None, body)

    def _owe(self, feature: str | None, body: Mapping[str, Json]) -> None:
        cloud = self._cloud
        targets = [hook for hook in self.hooks if feature is None or feature in hook.features]
        if not targets or cloud.faults.has(CloudFaultName.SILENT_WEBHOOKS):
            return
        raw, due_at = write(body), cloud.house.now + cloud.timing.webhook_s
        times = 2 if cloud.faults.has(CloudFaultName.REPEATED_WEBHOOKS) else 1
        for hook in targets:
            self._owed += [OwedPost(due_at, hook.url, signed(raw, hook.secret), raw)] * times
        del self._owed[:-_MOST_OWED]


def register(cloud: "SimulatedCloud", asked: CloudAsked) -> tuple[int, Json]:
    """`PUT /api/decentralWebhook`: the answer is the only place where the secret is certain to be told."""
    given = asked.members()
    url, features = given.text("webhookUrl"), given.values.get("webhookFeatures")
    is_secure = url is not None and url.startswith("https://")
    if url is None or not (is_secure or (cloud.conduct.allows_plain_webhooks and url.startswith("http://"))):
        raise not_valid("webhookUrl", url)
    if not isinstance(features, list) or not set(map(str, features)) <= set(FEATURES):
        raise not_valid("webhookFeatures", None)
    return 200, _described(cloud.hooks.add(url, frozenset(map(str, features))), is_secret_shown=True)


def listing(cloud: "SimulatedCloud", _: CloudAsked) -> tuple[int, Json]:
    """`GET /api/decentralWebhook`; whether the secret is in it is told differently."""
    return 200, [_described(hook, is_secret_shown=cloud.conduct.shows_webhook_secret) for hook in cloud.hooks.hooks]


def unregister(cloud: "SimulatedCloud", asked: CloudAsked) -> tuple[int, Json]:
    """`DELETE /api/decentralWebhook/{id}`."""
    number = asked.places["id"]
    if not (number.isascii() and number.isdecimal() and cloud.hooks.remove(int(number[:9]))):
        raise CloudRefusalError(403, None)
    return 204, None


def _described(hook: Webhook, *, is_secret_shown: bool) -> dict[str, Json]:
    features = [name for name in FEATURES if name in hook.features]
    body: dict[str, Json] = {"id": hook.id, "webhookUrl": hook.url, "webhookFeatures": features}
    return body | {"secret": hook.secret} if is_secret_shown else body
