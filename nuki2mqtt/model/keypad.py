"""Keypad codes: what is wanted, what the cloud says there is, and whether both are the same.

Source: web reference 3.5 (an authorization) and 6 (keypad codes). A code is a `Secret`: it never shows itself.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nuki2mqtt.model.schedule import ALWAYS, Schedule, is_same_instant
from nuki2mqtt.model.secret import Secret

KEYPAD_CODE_TYPE = 13


class AuthorizationKind(StrEnum):
    """What somebody or something opens with."""

    APP = "app"
    BRIDGE = "bridge"
    FOB = "fob"
    KEYPAD = "keypad"
    KEYPAD_CODE = "keypad_code"
    Z_KEY = "z_key"
    VIRTUAL = "virtual"
    UNKNOWN = "unknown"


# Web reference 3.5, `type`; 3 is the keypad itself.
_KINDS = {
    0: AuthorizationKind.APP,
    1: AuthorizationKind.BRIDGE,
    2: AuthorizationKind.FOB,
    3: AuthorizationKind.KEYPAD,
    KEYPAD_CODE_TYPE: AuthorizationKind.KEYPAD_CODE,
    14: AuthorizationKind.Z_KEY,
    15: AuthorizationKind.VIRTUAL,
}


def authorization_kind_of(number: int) -> AuthorizationKind:
    """The word for the type of an authorization; numbers that no document names are `UNKNOWN`."""
    return _KINDS.get(number, AuthorizationKind.UNKNOWN)


class CodeField(StrEnum):
    """What two views of a code can differ in."""

    NAME = "name"
    CODE = "code"
    ENABLED = "enabled"
    BEGINS = "begins"
    ENDS = "ends"
    WEEKDAYS = "weekdays"
    DAILY = "daily"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadCode:
    """A code as it is wanted; what is allowed in it is decided by `keypad_rules`."""

    name: str
    code: Secret
    enabled: bool = True
    schedule: Schedule = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What the cloud says of one authorization; None is "it does not say".

    `id` are the 24 hex digits that the cloud's addresses need, `lock_auth_id` the number on the lock, which addresses
    nothing. `smartlock_id` is the cloud's number of the device. `has_operation`: the cloud holds it for a change that
    is under way, and refuses others until then. `unreadable` are fields that it says something of that nobody can read.
    Times are aware UTC.
    """

    id: str
    smartlock_id: int | None = None
    lock_auth_id: int | None = None
    type: int
    name: str | None = None
    code: Secret | None = None
    enabled: bool | None = None
    remote_allowed: bool | None = None
    schedule: Schedule = ALWAYS
    lock_count: int | None = None
    last_active: datetime | None = None
    created: datetime | None = None
    updated: datetime | None = None
    has_operation: bool = False
    error: str | None = None
    unreadable: frozenset[CodeField] = frozenset()

    @property
    def kind(self) -> AuthorizationKind:
        """What it is."""
        return authorization_kind_of(self.type)

    @property
    def is_keypad_code(self) -> bool:
        """Whether it is a code for the keypad."""
        return self.type == KEYPAD_CODE_TYPE


@dataclass(frozen=True, slots=True)
class Comparison:
    """In what the cloud contradicts what is wanted, and of what it says nothing."""

    differs: frozenset[CodeField]
    unsaid: frozenset[CodeField]

    @property
    def is_exact(self) -> bool:
        """Whether the cloud says of every field exactly what is wanted."""
        return not self.differs and not self.unsaid


def compare(wanted: KeypadCode, found: Authorization) -> Comparison:
    """Field by field what is wanted against what is there; dates as instants, to the second."""
    said: dict[CodeField, bool | None] = {
        CodeField.NAME: None if found.name is None else found.name == wanted.name,
        CodeField.CODE: None if found.code is None else found.code == wanted.code,
        CodeField.ENABLED: None if found.enabled is None else found.enabled == wanted.enabled,
        CodeField.BEGINS: is_same_instant(wanted.schedule.begins, found.schedule.begins),
        CodeField.ENDS: is_same_instant(wanted.schedule.ends, found.schedule.ends),
        CodeField.WEEKDAYS: wanted.schedule.weekdays == found.schedule.weekdays,
        CodeField.DAILY: wanted.schedule.daily == found.schedule.daily,
    }
    said |= dict.fromkeys(found.unreadable)
    return Comparison(
        frozenset(field for field, is_same in said.items() if is_same is False),
        frozenset(field for field, is_same in said.items() if is_same is None),
    )
