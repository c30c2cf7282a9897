"""Authorizations of the cloud, read and written; of those that we write, only keypad codes.

Source: web reference 3.5 (fields), 5 (dates, weekdays, times), 6.2 (an update with a part of the fields silently clears
the schedule: the whole object is written, always).
"""

import re
from datetime import UTC, datetime
from typing import Any

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.cloud_device import MOST_SMARTLOCK_ID
from nuki2mqtt.model.keypad import KEYPAD_CODE_TYPE, Authorization, CodeField, KeypadCode
from nuki2mqtt.model.schedule import (
    EVERY_DAY,
    MINUTES_OF_A_DAY,
    OPEN_BEGINNING,
    DailyWindow,
    Schedule,
    bits_of,
    weekdays_of,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_bodies import JsonObject
from nuki2mqtt.protocol.web_device_bodies import is_said, read_error

# 24 hex digits (web reference 3.5). Whatever else comes must at least be harmless in an address.
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_UNKNOWN_TYPE = -1
_EVERY_DAY_BITS = 127
_MOST_CODE_CHARS = 12


def is_auth_id(text: str) -> bool:
    """Whether a text can be the id of an authorization in an address of the cloud."""
    return _ID.fullmatch(text) is not None


def read_authorization(entry: JsonObject) -> Authorization:
    """One authorization; raises UnreadableBody where it has no id."""
    auth_id = entry.get("id")
    if not isinstance(auth_id, str) or not is_auth_id(auth_id):
        raise bodies.not_wanted(entry, "id", "an id") if not isinstance(auth_id, str) else UnreadableBody("id is no id")
    number = bodies.read_int(entry, "type")
    schedule, unreadable = _schedule(entry)
    return Authorization(
        id=auth_id,
        smartlock_id=bodies.read_int(entry, "smartlockId", high=MOST_SMARTLOCK_ID),
        lock_auth_id=bodies.read_int(entry, "authId"),
        type=_UNKNOWN_TYPE if number is None else number,
        name=_name(entry),
        code=_code(entry.get("code")),
        enabled=bodies.read_bool(entry, "enabled"),
        remote_allowed=bodies.read_bool(entry, "remoteAllowed"),
        schedule=schedule,
        lock_count=bodies.read_int(entry, "lockCount"),
        last_active=bodies.read_time(entry, "lastActiveDate"),
        created=bodies.read_time(entry, "creationDate"),
        updated=bodies.read_time(entry, "updateDate"),
        has_operation=is_said(entry, "operationId"),
        error=read_error(entry),
        unreadable=unreadable,
    )


def _name(entry: JsonObject) -> str | None:
    """The name as it is, blanks at its ends too, since it is compared with what is wanted."""
    name = entry.get("name")
    if not isinstance(name, str):
        return None
    return name if bodies.is_safe(name) and len(name) <= 64 else bodies.safe_text(name, 64)


def _code(value: object) -> Secret | None:
    """The digits of a code, however they are written.

    The description says a number; a text was taken on the way there, and a list has been reported (web reference 3.5).
    0 is no code.
    """
    if isinstance(value, list):
        parts = [_digits(part) for part in value]
        joined = "".join(part for part in parts if part)
        return Secret(joined) if parts and all(parts) and len(joined) <= _MOST_CODE_CHARS else None
    digits = _digits(value)
    return Secret(digits) if digits and digits.strip("0") else None


def _digits(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 10**_MOST_CODE_CHARS else None
    text = str(value) if isinstance(value, int) else value.strip() if isinstance(value, str) else ""
    return text if text.isascii() and text.isdigit() and len(text) <= _MOST_CODE_CHARS else None


# --- Schedules --------------------------------------------------------------------------------------------------------


def _schedule(entry: JsonObject) -> tuple[Schedule, frozenset[CodeField]]:
    """The schedule, and which of its fields are there but cannot be read: those must not pass for "no limit"."""
    unreadable: set[CodeField] = set()

    def date(key: str, field: CodeField) -> datetime | None:
        at = bodies.read_time(entry, key)
        if at is None and is_said(entry, key):
            unreadable.add(field)
        return at

    def number(key: str, high: int, field: CodeField) -> int | None:
        value = bodies.read_int(entry, key, high=high)
        if value is None and is_said(entry, key):
            unreadable.add(field)
        return value

    begins = date("allowedFromDate", CodeField.BEGINS)
    bits = number("allowedWeekDays", _EVERY_DAY_BITS, CodeField.WEEKDAYS)
    from_minute = number("allowedFromTime", MINUTES_OF_A_DAY, CodeField.DAILY) or 0
    until_minute = number("allowedUntilTime", MINUTES_OF_A_DAY, CodeField.DAILY) or 0
    schedule = Schedule(
        begins=None if begins == OPEN_BEGINNING else begins,
        ends=date("allowedUntilDate", CodeField.ENDS),
        weekdays=EVERY_DAY if bits is None else weekdays_of(bits),
        daily=DailyWindow(from_minute, until_minute) if from_minute or until_minute else None,  # web reference 5: 0 / 0
    )
    return schedule, frozenset(unreadable)


def schedule_fields(schedule: Schedule) -> dict[str, Any]:
    """All five fields of a schedule; null clears a limit (web reference 5).

    A daily window was ignored where no beginning stood beside it (web reference 6.1): any limit gets one.
    """
    begins = schedule.begins
    if begins is None and not schedule.is_always:
        begins = OPEN_BEGINNING
    daily = schedule.daily or DailyWindow(0, 0)
    return {
        "allowedFromDate": _date(begins),
        "allowedUntilDate": _date(schedule.ends),
        "allowedWeekDays": bits_of(schedule.weekdays),
        "allowedFromTime": daily.from_minute,
        "allowedUntilTime": daily.until_minute,
    }


def _date(at: datetime | None) -> str | None:
    return None if at is None else render_date(at)


def render_date(at: datetime) -> str:
    """A time as the cloud writes it: UTC, with milliseconds, here always 0 (web reference 5)."""
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + ".000Z"


# --- What is written --------------------------------------------------------------------------------------------------


def new_code_body(wanted: KeypadCode) -> dict[str, Any]:
    """A keypad code to be created.

    A new one is enabled, there is no field for it: one that is wanted disabled is disabled by an update. Limits that
    are not wanted are left out.
    """
    fields = {key: value for key, value in schedule_fields(wanted.schedule).items() if value is not None}
    return {
        "name": wanted.name,
        "type": KEYPAD_CODE_TYPE,
        "code": int(wanted.code.reveal()),
        "remoteAllowed": False,
        **fields,
    }


def changed_code_body(wanted: KeypadCode) -> dict[str, Any]:
    """A keypad code as it shall be: the whole of it."""
    return {
        "name": wanted.name,
        "code": int(wanted.code.reveal()),
        "enabled": wanted.enabled,
        "remoteAllowed": False,
        **schedule_fields(wanted.schedule),
    }
