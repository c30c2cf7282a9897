"""Every call to the cloud that this gateway may make, as a value that can read its own answer.

Source: web reference 2 (endpoints) and the API description (version 3.9.0). A token is no part of a request: it goes
into a header (`web_calls.headers_of`). Calls that change a lock's configuration, its PIN, the account or its keys are
left out on purpose, and so are `action/lock` and `action/unlock`, which say less than `action`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_actions import ActionOption
from nuki2mqtt.protocol.web_answers import (
    AccountAnswer,
    AccountUserListAnswer,
    ActivityAnswer,
    DeviceAnswer,
    DeviceListAnswer,
    WebhookAnswer,
    WebhookListAnswer,
)
from nuki2mqtt.protocol.web_auth_bodies import render_date
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
from nuki2mqtt.protocol.web_calls import WebCall, WebWrite, check_auth_id, check_smartlock_id, read_as

MOST_LOG_ENTRIES = 50  # more are silently cut to these (web reference 2.3)

# --- Devices (section 2.1) --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceListRequest(WebCall):
    """All devices of the account with their state, in one call."""

    scope: ClassVar[str] = "smartlock.readOnly"

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/smartlock"

    def read(self, body: bytes) -> DeviceListAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(DeviceListAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class DeviceRequest(WebCall):
    """One device."""

    smartlock_id: int
    scope: ClassVar[str] = "smartlock.readOnly"

    def __post_init__(self) -> None:
        check_smartlock_id(self.smartlock_id)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return f"/smartlock/{self.smartlock_id}"

    def read(self, body: bytes) -> DeviceAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(DeviceAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class DeviceActionRequest(WebWrite):
    """Order an action; `code` is the cloud's number of it (`web_actions`). What became of it must be looked for."""

    smartlock_id: int
    code: int
    option: ActionOption = ActionOption.NONE
    scope: ClassVar[str] = "smartlock.action"

    def __post_init__(self) -> None:
        check_smartlock_id(self.smartlock_id)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return f"/smartlock/{self.smartlock_id}/action"

    def json(self) -> Any:
        """What is sent as JSON."""
        option = {"option": int(self.option)} if self.option else {}
        return {"action": self.code, **option}


@dataclass(frozen=True, slots=True)
class SyncRequest(WebWrite):
    """Read everything back from the device; costs its battery (section 6.2)."""

    smartlock_id: int
    scope: ClassVar[str] = "smartlock.action"

    def __post_init__(self) -> None:
        check_smartlock_id(self.smartlock_id)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return f"/smartlock/{self.smartlock_id}/sync"


# --- Log (section 2.3) ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActivityRequest(WebCall):
    """The log of one device, or of all: the newest, or those older than the entry `before`.

    `since` and `until` are aware; they bound the entries' dates.
    """

    smartlock_id: int | None = None
    limit: int = MOST_LOG_ENTRIES
    before: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    scope: ClassVar[str] = "smartlock.log"

    def __post_init__(self) -> None:
        if self.smartlock_id is not None:
            check_smartlock_id(self.smartlock_id)
        if self.before is not None:
            check_auth_id(self.before)
        if not 1 <= self.limit <= MOST_LOG_ENTRIES:
            raise ValueError(f"{self.limit} entries cannot be asked for (1 to {MOST_LOG_ENTRIES})")

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/smartlock/log" if self.smartlock_id is None else f"/smartlock/{self.smartlock_id}/log"

    def query(self) -> dict[str, str]:
        """The query parameters."""
        query = {"limit": str(self.limit)}
        if self.before is not None:
            query["id"] = self.before
        if self.since is not None:
            query["fromDate"] = render_date(self.since)
        if self.until is not None:
            query["toDate"] = render_date(self.until)
        return query

    def read(self, body: bytes) -> ActivityAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(ActivityAnswer.from_body, body)


# --- Account and webhooks (section 2.4) -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountRequest(WebCall):
    """Whose account it is."""

    scope: ClassVar[str] = "account"

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/account"

    def read(self, body: bytes) -> AccountAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(AccountAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class AccountUserListRequest(WebCall):
    """The users of the account, for their names; `smartlock.auth` is needed beside the scope."""

    offset: int = 0
    scope: ClassVar[str] = "account"

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/account/user"

    def query(self) -> dict[str, str]:
        """The query parameters."""
        return {"offset": str(self.offset)} if self.offset else {}

    def read(self, body: bytes) -> AccountUserListAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(AccountUserListAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class WebhookListRequest(WebCall):
    """The registered webhooks of this token."""

    scope: ClassVar[str] = "webhook.decentral"

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/api/decentralWebhook"

    def read(self, body: bytes) -> WebhookListAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(WebhookListAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class WebhookAddRequest(WebCall):
    """Register a webhook; the address is https, and the answer holds the secret that signs what is posted there."""

    url: Secret
    features: tuple[str, ...] = field(default=("DEVICE_STATUS", "DEVICE_MASTERDATA", "DEVICE_LOGS", "DEVICE_AUTHS"))
    method: ClassVar[str] = "PUT"
    scope: ClassVar[str] = "webhook.decentral"

    def __post_init__(self) -> None:
        if not self.url.reveal().startswith("https://"):
            raise ValueError("the address of a webhook must begin with https://")

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/api/decentralWebhook"

    def json(self) -> Any:
        """What is sent as JSON; it holds the address."""
        return {"webhookUrl": self.url.reveal(), "webhookFeatures": list(self.features)}

    def read(self, body: bytes) -> WebhookAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(WebhookAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class WebhookDeleteRequest(WebWrite):
    """Remove a webhook."""

    id: int
    method: ClassVar[str] = "DELETE"
    scope: ClassVar[str] = "webhook.decentral"

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return f"/api/decentralWebhook/{self.id}"


WebRequest = (
    DeviceListRequest
    | DeviceRequest
    | DeviceActionRequest
    | SyncRequest
    | AuthorizationListRequest
    | AuthorizationPageRequest
    | AuthorizationRequest
    | CodeCreateRequest
    | CodeCreateManyRequest
    | CodeUpdateRequest
    | CodeUpdateManyRequest
    | AuthorizationDeleteRequest
    | AuthorizationDeleteManyRequest
    | ActivityRequest
    | AccountRequest
    | AccountUserListRequest
    | WebhookListRequest
    | WebhookAddRequest
    | WebhookDeleteRequest
)
