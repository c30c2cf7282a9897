"""What all calls to the cloud share: a method, a path, parameters, JSON, and the header with the token.

Source: web reference 1.1 (tokens, scopes).
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from nuki2mqtt.errors import UnreadableBody, WebError, WebErrorKind
from nuki2mqtt.model.cloud_device import MOST_SMARTLOCK_ID
from nuki2mqtt.model.keypad import KeypadCode
from nuki2mqtt.model.keypad_rules import problems_of_code
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.payloads import render_json
from nuki2mqtt.protocol.web_answers import DoneAnswer
from nuki2mqtt.protocol.web_auth_bodies import is_auth_id

_A = TypeVar("_A")


def headers_of(token: Secret, *, has_body: bool = False) -> dict[str, str]:
    """The headers of a call (web reference 1.1): the token in clear, which belongs nowhere but on the wire."""
    content_type = {"Content-Type": "application/json"} if has_body else {}
    return {"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json", **content_type}


def read_as(from_body: Callable[[bytes], _A], body: bytes) -> _A:
    """The answer, or WebError instead of UnreadableBody."""
    try:
        return from_body(body)
    except UnreadableBody as error:
        raise WebError(WebErrorKind.UNREADABLE, str(error)) from error


class WebCall:
    """What all calls share.

    `scope` is the least one that the call needs (web reference 1.1): without it only this feature is missing.
    `timeout_s` is for the whole call.
    """

    __slots__ = ()
    method: ClassVar[str] = "GET"
    scope: ClassVar[str]
    timeout_s: ClassVar[float] = 30.0

    @property
    def path(self) -> str:
        """The path, without parameters."""
        raise NotImplementedError

    def query(self) -> dict[str, str]:
        """The query parameters."""
        return {}

    def json(self) -> Any:
        """What is sent as JSON; None is nothing. It can hold a keypad code or an address in clear."""
        return None

    def body(self) -> bytes | None:
        """The same as bytes."""
        value = self.json()
        return None if value is None else render_json(value)


class WebWrite(WebCall):
    """A call that is answered by 204: taken, and waiting for the device."""

    __slots__ = ()
    method: ClassVar[str] = "POST"

    def read(self, body: bytes) -> DoneAnswer:
        """Read the body of a success; raises WebError."""
        return read_as(DoneAnswer.from_body, body)


def check_smartlock_id(smartlock_id: int) -> None:
    """Raise ValueError for what cannot be the cloud's number of a device."""
    if not 0 <= smartlock_id <= MOST_SMARTLOCK_ID:
        raise ValueError(f"{smartlock_id} is no number of a device")


def check_auth_id(auth_id: str) -> None:
    """Raise ValueError for what cannot stand in an address as the id of an entry."""
    if not is_auth_id(auth_id):
        raise ValueError("this is no id of an authorization")


def check_code(wanted: KeypadCode) -> None:
    """Raise ValueError for a code that `keypad_rules` refuses; it is not told which one."""
    if problems_of_code(wanted.code):
        raise ValueError("this code breaks a rule and must not be sent")
