"""Calls about authorizations: PUT creates, POST changes.

Source: web reference 2.2 and 6.2. Of those that can be written only keypad codes are.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from nuki2mqtt.model.keypad import KEYPAD_CODE_TYPE, KeypadCode
from nuki2mqtt.protocol.web_answers import (
    AuthorizationAnswer,
    AuthorizationListAnswer,
    AuthorizationPageAnswer,
    DoneAnswer,
)
from nuki2mqtt.protocol.web_auth_bodies import changed_code_body, new_code_body
from nuki2mqtt.protocol.web_calls import WebCall, WebWrite, check_auth_id, check_code, check_smartlock_id, read_as

MOST_PAGE_SIZE = 100
_KEYPAD_TYPES = str(KEYPAD_CODE_TYPE)


@dataclass(frozen=True, slots=True)
class AuthorizationListRequest(WebCall):
    """The authorizations of one device, or of all; of every type, or keypad codes only."""

    smartlock_id: int | None = None
    keypad_codes_only: bool = False
    scope: ClassVar[str] = "smartlock.auth"

    def __post_init__(self) -> None:
        if self.smartlock_id is not None:
            check_smartlock_id(self.smartlock_id)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/smartlock/auth" if self.smartlock_id is None else f"/smartlock/{self.smartlock_id}/auth"

    def query(self) -> dict[str, str]:
        """The query parameters."""
        return {"types": _KEYPAD_TYPES} if self.keypad_codes_only else {}

    def read(self, body: bytes) -> AuthorizationListAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(AuthorizationListAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class AuthorizationPageRequest(WebCall):
    """A page of the authorizations of all devices, from 0 on; since version 3.13.0 of the API."""

    page: int = 0
    size: int = MOST_PAGE_SIZE
    keypad_codes_only: bool = False
    scope: ClassVar[str] = "smartlock.auth"

    def __post_init__(self) -> None:
        if self.page < 0 or not 1 <= self.size <= MOST_PAGE_SIZE:
            raise ValueError(f"page {self.page} of {self.size} is no page")

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/smartlock/auth/paged"

    def query(self) -> dict[str, str]:
        """The query parameters."""
        types = {"types": _KEYPAD_TYPES} if self.keypad_codes_only else {}
        return {"page": str(self.page), "size": str(self.size), **types}

    def read(self, body: bytes) -> AuthorizationPageAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(AuthorizationPageAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class _OneAuthorization(WebCall):
    """A call about one authorization, by the id that the cloud gave it."""

    smartlock_id: int
    auth_id: str
    scope: ClassVar[str] = "smartlock.auth"

    def __post_init__(self) -> None:
        check_smartlock_id(self.smartlock_id)
        check_auth_id(self.auth_id)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return f"/smartlock/{self.smartlock_id}/auth/{self.auth_id}"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest(_OneAuthorization):
    """One authorization."""

    def read(self, body: bytes) -> AuthorizationAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(AuthorizationAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class CodeCreateRequest(WebWrite):
    """Create a keypad code; its id does not come back, it must be looked for."""

    smartlock_id: int
    wanted: KeypadCode
    method: ClassVar[str] = "PUT"
    scope: ClassVar[str] = "smartlock.auth"

    def __post_init__(self) -> None:
        check_smartlock_id(self.smartlock_id)
        check_code(self.wanted)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return f"/smartlock/{self.smartlock_id}/auth"

    def json(self) -> Any:
        """What is sent as JSON; it holds the code."""
        return new_code_body(self.wanted)


@dataclass(frozen=True, slots=True)
class CodeCreateManyRequest(WebWrite):
    """Create the same keypad code on several devices."""

    smartlock_ids: tuple[int, ...]
    wanted: KeypadCode
    method: ClassVar[str] = "PUT"
    scope: ClassVar[str] = "smartlock.auth"

    def __post_init__(self) -> None:
        if not self.smartlock_ids:
            raise ValueError("at least one device is needed")
        for smartlock_id in self.smartlock_ids:
            check_smartlock_id(smartlock_id)
        check_code(self.wanted)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/smartlock/auth"

    def json(self) -> Any:
        """What is sent as JSON; it holds the code."""
        return {**new_code_body(self.wanted), "smartlockIds": list(self.smartlock_ids)}


@dataclass(frozen=True, slots=True)
class CodeUpdateRequest(_OneAuthorization):
    """Change a keypad code: the whole of it is sent, since what is left out would be cleared (section 6.2)."""

    wanted: KeypadCode
    method: ClassVar[str] = "POST"

    def __post_init__(self) -> None:
        check_smartlock_id(self.smartlock_id)
        check_auth_id(self.auth_id)
        check_code(self.wanted)

    def json(self) -> Any:
        """What is sent as JSON; it holds the code."""
        return changed_code_body(self.wanted)

    def read(self, body: bytes) -> DoneAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(DoneAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class CodeUpdateManyRequest(WebWrite):
    """Change several keypad codes, each by its id and whole."""

    wanted: tuple[tuple[str, KeypadCode], ...]
    scope: ClassVar[str] = "smartlock.auth"

    def __post_init__(self) -> None:
        if not self.wanted:
            raise ValueError("at least one code is needed")
        for auth_id, code in self.wanted:
            check_auth_id(auth_id)
            check_code(code)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/smartlock/auth"

    def json(self) -> Any:
        """What is sent as JSON; it holds the codes."""
        return [{"id": auth_id, **changed_code_body(code)} for auth_id, code in self.wanted]


@dataclass(frozen=True, slots=True)
class AuthorizationDeleteRequest(_OneAuthorization):
    """Delete an authorization; it is gone only when a complete list does not have it any more."""

    method: ClassVar[str] = "DELETE"

    def read(self, body: bytes) -> DoneAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(DoneAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class AuthorizationDeleteManyRequest(WebWrite):
    """Delete several authorizations; a DELETE with a body."""

    auth_ids: tuple[str, ...]
    method: ClassVar[str] = "DELETE"
    scope: ClassVar[str] = "smartlock.auth"

    def __post_init__(self) -> None:
        if not self.auth_ids:  # what the cloud makes of an empty list, nobody knows
            raise ValueError("at least one authorization is needed")
        for auth_id in self.auth_ids:
            check_auth_id(auth_id)

    @property
    def path(self) -> str:
        """The path, without parameters."""
        return "/smartlock/auth"

    def json(self) -> Any:
        """What is sent as JSON."""
        return list(self.auth_ids)
