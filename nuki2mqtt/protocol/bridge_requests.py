"""Every call to a Bridge as a value that can read its own answer.

Source: Bridge API 1.13.2 sections 5 (calls) and 6 (maintenance). All calls are GET; the token's parameters
are added by `bridge_auth`. Only `/lockAction` is meant for orders: `/unlock` opens the door of a lock with a
knob (section 4.5).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from nuki2mqtt.errors import BridgeError, BridgeErrorKind, UnreadableBody
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_answers import (
    ActionAnswer,
    AuthAnswer,
    CallbackListAnswer,
    EmptyAnswer,
    InfoAnswer,
    ListAnswer,
    LockStateAnswer,
    LogAnswer,
    SuccessAnswer,
)

_A = TypeVar("_A")


def _read(from_body: Callable[[bytes], _A], body: bytes) -> _A:
    try:
        return from_body(body)
    except UnreadableBody as error:
        raise BridgeError(BridgeErrorKind.UNREADABLE, str(error)) from error


class _Call:
    """What all calls share. `timeout_s` is for the whole call, `path` without parameters."""

    __slots__ = ()
    path: ClassVar[str]
    needs_token: ClassVar[bool] = True
    timeout_s: ClassVar[float] = 15.0  # reference 4.2: below 1 s usually, 5 s have been too short

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        return {}


@dataclass(frozen=True, slots=True)
class _DeviceCall(_Call):
    """A call about one device; `deviceType` is always sent, since actions on type 4 fail without it."""

    nuki_id: NukiId
    device_type: int

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        return {"nukiId": str(self.nuki_id.value), "deviceType": str(self.device_type)}


# --- Section 5 ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuthRequest(_Call):
    """Ask for the token: the Bridge waits 30 s for its button."""

    path: ClassVar[str] = "/auth"
    needs_token: ClassVar[bool] = False
    timeout_s: ClassVar[float] = 40.0

    def read(self, body: bytes) -> AuthAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(AuthAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class ConfigAuthRequest(_Call):
    """Allow or forbid `/auth`."""

    enable: bool
    path: ClassVar[str] = "/configAuth"

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        return {"enable": _digit(self.enable)}

    def read(self, body: bytes) -> SuccessAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(SuccessAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class ListRequest(_Call):
    """All paired devices with their last known state, from the Bridge's cache."""

    path: ClassVar[str] = "/list"

    def read(self, body: bytes) -> ListAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(ListAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class InfoRequest(_Call):
    """The Bridge about itself."""

    path: ClassVar[str] = "/info"

    def read(self, body: bytes) -> InfoAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(InfoAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class LockStateRequest(_DeviceCall):
    """Wake the device and ask it; costs its battery."""

    path: ClassVar[str] = "/lockState"
    timeout_s: ClassVar[float] = 30.0

    def read(self, body: bytes) -> LockStateAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(LockStateAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class LockActionRequest(_DeviceCall):
    """Order an action (section 4.4) and, unless `nowait`, wait until the motor has finished."""

    code: int
    nowait: bool
    path: ClassVar[str] = "/lockAction"
    timeout_s: ClassVar[float] = 60.0

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        device = _DeviceCall.params(self)
        return device | {"action": str(self.code), "nowait": _digit(self.nowait)}

    def read(self, body: bytes) -> ActionAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(ActionAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class SimpleLockRequest(_DeviceCall):
    """Lock; an Opener leaves ring-to-open and continuous mode (section 4.5)."""

    path: ClassVar[str] = "/lock"
    timeout_s: ClassVar[float] = 60.0

    def read(self, body: bytes) -> ActionAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(ActionAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class SimpleUnlockRequest(_DeviceCall):
    """Unlock; opens the door of a lock with a knob, and an Opener's strike (section 4.5)."""

    path: ClassVar[str] = "/unlock"
    timeout_s: ClassVar[float] = 60.0

    def read(self, body: bytes) -> ActionAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(ActionAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class UnpairRequest(_DeviceCall):
    """Forget a device."""

    path: ClassVar[str] = "/unpair"
    timeout_s: ClassVar[float] = 30.0

    def read(self, body: bytes) -> SuccessAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(SuccessAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class CallbackAddRequest(_Call):
    """Take a callback slot; the URL is `http` and has at most 254 characters."""

    url: Secret
    path: ClassVar[str] = "/callback/add"

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        return {"url": self.url.reveal()}

    def read(self, body: bytes) -> SuccessAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(SuccessAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class CallbackListRequest(_Call):
    """Who is called back."""

    path: ClassVar[str] = "/callback/list"

    def read(self, body: bytes) -> CallbackListAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(CallbackListAnswer.from_body, body)


@dataclass(frozen=True, slots=True)
class CallbackRemoveRequest(_Call):
    """Free a callback slot."""

    id: int
    path: ClassVar[str] = "/callback/remove"

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        return {"id": str(self.id)}

    def read(self, body: bytes) -> SuccessAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(SuccessAnswer.from_body, body)


# --- Section 6: hardware Bridges only -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogRequest(_Call):
    """The Bridge's own log."""

    offset: int = 0
    count: int = 100
    path: ClassVar[str] = "/log"

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        return {"offset": str(self.offset), "count": str(self.count)}

    def read(self, body: bytes) -> LogAnswer:
        """Read the body of a 200; raises BridgeError."""
        return _read(LogAnswer.from_body, body)


class _SilentCall(_Call):
    """A call that is answered by an empty body."""

    __slots__ = ()

    def read(self, _body: bytes) -> EmptyAnswer:
        """Read the body of a 200: nothing is expected in it."""
        return EmptyAnswer()


@dataclass(frozen=True, slots=True)
class ClearLogRequest(_SilentCall):
    """Empty the Bridge's own log."""

    path: ClassVar[str] = "/clearlog"


@dataclass(frozen=True, slots=True)
class FirmwareUpdateRequest(_SilentCall):
    """Look for new firmware: of all (scope 0), the Bridge (1), its devices (2) or one device."""

    scope: int = 0
    nuki_id: NukiId | None = None
    device_type: int | None = None
    path: ClassVar[str] = "/fwupdate"

    def __post_init__(self) -> None:
        if (self.nuki_id is None) != (self.device_type is None):
            raise ValueError("nuki_id and device_type name one device: give both or none")

    def params(self) -> dict[str, str]:
        """The query parameters, without those of the token."""
        params = {"scope": str(self.scope)}
        if self.nuki_id is not None:
            params |= {"nukiId": str(self.nuki_id.value), "deviceType": str(self.device_type)}
        return params


@dataclass(frozen=True, slots=True)
class RebootRequest(_SilentCall):
    """Restart the Bridge."""

    path: ClassVar[str] = "/reboot"


@dataclass(frozen=True, slots=True)
class FactoryResetRequest(_SilentCall):
    """Make the Bridge forget everything; written down for completeness, nothing sends it."""

    path: ClassVar[str] = "/factoryReset"


BridgeRequest = (
    AuthRequest
    | ConfigAuthRequest
    | ListRequest
    | InfoRequest
    | LockStateRequest
    | LockActionRequest
    | SimpleLockRequest
    | SimpleUnlockRequest
    | UnpairRequest
    | CallbackAddRequest
    | CallbackListRequest
    | CallbackRemoveRequest
    | LogRequest
    | ClearLogRequest
    | FirmwareUpdateRequest
    | RebootRequest
    | FactoryResetRequest
)


def _digit(value: bool) -> str:  # noqa: FBT001 - it is the value that is written
    return "1" if value else "0"
