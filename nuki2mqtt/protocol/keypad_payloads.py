"""What stands in messages on `keypad`, `keypad/set` and `keypad/result`.

The contract is docs/topics.md, "Device". The reader raises `BadCommand`, whose text holds nothing of a code. Values are
read leniently, but a key that nobody knows is refused: behind a misspelled `until` a code would work for ever. A code
is written only where `publish_codes` says so.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from nuki2mqtt.model.command import Status
from nuki2mqtt.model.keypad_order import KeypadOp, KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import KeypadProblem
from nuki2mqtt.model.schedule import ALWAYS, EVERY_DAY, DailyWindow, Schedule, Weekday, instant_of
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_bodies import safe_text
from nuki2mqtt.protocol.command_payloads import BadCommand, RequestOrder, parse_request
from nuki2mqtt.protocol.command_words import fold
from nuki2mqtt.protocol.payloads import render_json, render_time

_MOST_NAME_CHARS = 64
_MOST_CODE_CHARS = 32
_MOST_ID_CHARS = 64
_MOST_DAYS = 50
_MOST_KEY_CHARS = 32
_SHORTEST_LIFE_S, _LONGEST_LIFE_S = 60, 366 * 86_400
_KEYS = frozenset({"op", "id", "name", "new_name", "code", "enabled", "schedule", "once", "life_s", "transaction"})
_SCHEDULE_KEYS = frozenset({"from", "until", "weekdays", "daily"})
_DAILY_KEYS = frozenset({"from", "until"})
_OPS = {fold(op): op for op in KeypadOp}
_DAYS = {str(day): day for day in Weekday} | {
    "monday": Weekday.MON,
    "tuesday": Weekday.TUE,
    "wednesday": Weekday.WED,
    "thursday": Weekday.THU,
    "friday": Weekday.FRI,
    "saturday": Weekday.SAT,
    "sunday": Weekday.SUN,
}
# The same words as in the results of commands.
_STATUSES = {
    KeypadPhase.ACTIVE: Status.CONFIRMED,
    KeypadPhase.DELETED: Status.CONFIRMED,
    KeypadPhase.FAILED: Status.FAILED,
    KeypadPhase.NEEDS_REVIEW: Status.FAILED,
    KeypadPhase.REFUSED: Status.REFUSED,
}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.{0,30}")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")
_WINDOW = re.compile(r"\s*([0-9:]{4,5})\s*[-\u2013]\s*([0-9:]{4,5})\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadOrder:
    """What `keypad/set` asks for. None is "not said": a change leaves it as it is, a new code has its default.

    `id` or, without it, `name` says which code is meant; with an `id`, or as `new_name`, a name is a new one.
    `once`: a new code is to go when it was used; `life_s`: a new code ends so many seconds after the order.
    `transaction` is any JSON value.
    """

    op: KeypadOp
    id: str | None = None
    name: str | None = None
    new_name: str | None = None
    code: Secret | None = None
    enabled: bool | None = None
    schedule: Schedule | None = None
    once: bool = False
    life_s: int | None = None
    transaction: Any = None


def parse_keypad_order(payload: bytes, zone: tzinfo | None) -> KeypadOrder:
    """Read the payload of `keypad/set`; raises BadCommand.

    `zone` is the time zone of the lock: dates without an offset are meant in it, and refused where it is not known.
    """
    order = parse_request(payload)
    word = order.values.get("op")
    op = _OPS.get(fold(word)) if isinstance(word, str) and len(word) <= _MOST_KEY_CHARS else None
    try:
        return _order(op, order, zone)
    except BadCommand as error:
        raise BadCommand(str(error), order.transaction, None if op is None else str(op)) from None


def _order(op: KeypadOp | None, request: RequestOrder, zone: tzinfo | None) -> KeypadOrder:
    values = request.values
    if request.word is not None:
        raise BadCommand("not a JSON object")
    _refuse_unknown(values, _KEYS, "an order")
    if op is None:
        raise BadCommand(f'"op" must be one of {", ".join(KeypadOp)}')
    order = KeypadOrder(
        op=op,
        id=_text(values, "id", _MOST_ID_CHARS),
        name=_text(values, "name", _MOST_NAME_CHARS),
        new_name=_text(values, "new_name", _MOST_NAME_CHARS),
        code=_code(values.get("code")),
        enabled=_flag(values, "enabled"),
        schedule=parse_schedule(values["schedule"], zone) if "schedule" in values else None,
        once=_flag(values, "once") or False,
        life_s=_life(values.get("life_s")),
        transaction=request.transaction,
    )
    if order.name is None and (op is KeypadOp.CREATE or order.id is None):
        raise BadCommand('"name" is needed' if op is KeypadOp.CREATE else '"id" or "name" is needed')
    if op is KeypadOp.CREATE and (order.id is not None or order.new_name is not None):
        raise BadCommand('a new code has neither "id" nor "new_name"')
    if order.id is not None and order.new_name is not None:
        raise BadCommand('with an "id", "name" is the new name')
    is_change = op in {KeypadOp.CREATE, KeypadOp.UPDATE}
    if not is_change and any(one is not None for one in (order.code, order.enabled, order.schedule, order.new_name)):
        raise BadCommand(f'"{op}" changes nothing else')
    if op is not KeypadOp.CREATE and (order.once or order.life_s is not None):
        raise BadCommand('only a new code can have "once" or "life_s"')
    if order.life_s is not None and order.schedule is not None and order.schedule.ends is not None:
        raise BadCommand('"life_s" and "until" both say when it ends')
    return order


def _refuse_unknown(values: dict[str, Any], known: Collection[str], where: str) -> None:
    for key in values:
        if key not in known:
            # A code could stand there as a key.
            shown = re.sub(r"\d{4,}", "***", safe_text(key, _MOST_KEY_CHARS))
            raise BadCommand(f'"{shown}" is no key of {where}; there are {", ".join(sorted(known))}')


def _text(values: dict[str, Any], key: str, most: int) -> str | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise BadCommand(f'"{key}" must be a text of at most {most} characters')
    return value.strip()


def _code(value: Any) -> Secret | None:
    """A code as a text or a number; what is wrong with it is for the rules to say."""
    if value is None:
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15 else value
    if not isinstance(text, str) or len(text) > _MOST_CODE_CHARS:
        raise BadCommand('"code" must be six digits')
    return Secret(text.strip())


def _flag(values: dict[str, Any], key: str) -> bool | None:
    value = values.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise BadCommand(f'"{key}" must be true or false')


def _life(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and _SHORTEST_LIFE_S <= value <= _LONGEST_LIFE_S:
        return value
    raise BadCommand(f'"life_s" must be a whole number of seconds from {_SHORTEST_LIFE_S} to {_LONGEST_LIFE_S}')


# --- Schedules --------------------------------------------------------------------------------------------------------


def parse_schedule(value: Any, zone: tzinfo | None) -> Schedule:
    """A schedule from JSON, whole: what is left out is not limited, null is always; raises BadCommand."""
    if value is None:
        return ALWAYS
    if not isinstance(value, dict):
        raise BadCommand('"schedule" must be an object or null')
    _refuse_unknown(value, _SCHEDULE_KEYS, "a schedule")
    return Schedule(
        begins=_date(value, "from", zone),
        ends=_date(value, "until", zone),
        weekdays=_weekdays(value.get("weekdays")),
        daily=_daily(value.get("daily")),
    )


def _date(values: dict[str, Any], key: str, zone: tzinfo | None) -> datetime | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not _DATE.fullmatch(value.strip()):
        raise BadCommand(f'"{key}" must be a date with a time, like 2026-12-24T18:00')
    try:
        at = datetime.fromisoformat(value.strip()).replace(microsecond=0)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        if zone is not None:
            return instant_of(at, zone)
    except (ValueError, OverflowError):
        raise BadCommand(f'"{key}" is no date that can be') from None
    raise BadCommand(f'"{key}" needs an offset or Z: the time zone of the lock is not known')


def _weekdays(value: Any) -> frozenset[Weekday]:
    if value is None:
        return EVERY_DAY
    words = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) and len(value) <= 200 else value
    if not isinstance(words, list) or len(words) > _MOST_DAYS:
        raise BadCommand(f'"weekdays" must be a list of {", ".join(Weekday)}')
    days = set()
    for word in words:
        day = _DAYS.get(word.strip().lower()) if isinstance(word, str) else None
        if day is None:
            raise BadCommand(f'"weekdays" must be a list of {", ".join(Weekday)}')
        days.add(day)
    return frozenset(days)


def _daily(value: Any) -> DailyWindow | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= 40 and (found := _WINDOW.fullmatch(value)):
        return DailyWindow(_minute(found[1]), _minute(found[2]))
    if not isinstance(value, dict):
        raise BadCommand('"daily" must be an object like {"from":"08:00","until":"18:00"}')
    _refuse_unknown(value, _DAILY_KEYS, "a daily window")
    return DailyWindow(_minute(value.get("from")), _minute(value.get("until")))


def _minute(value: Any) -> int:
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= 20 else None
    minute = -1 if found is None else int(found[1]) * 60 + int(found[2])
    if not 0 <= minute <= 24 * 60:
        raise BadCommand('"daily" needs "from" and "until" as times like 08:00')
    return minute


def schedule_body(schedule: Schedule) -> dict[str, Any] | None:
    """A schedule as JSON; None is always. `parse_schedule` reads it again."""
    if schedule.is_always:
        return None
    daily = schedule.daily
    return {
        "from": None if schedule.begins is None else render_time(schedule.begins),
        "until": None if schedule.ends is None else render_time(schedule.ends),
        "weekdays": [day for day in Weekday if day in schedule.weekdays],
        "daily": None if daily is None else {"from": _clock(daily.from_minute), "until": _clock(daily.until_minute)},
    }


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# --- What we say ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadEntry:
    """One code of a device as it is shown. `id` is None until the cloud has given it one; times are aware UTC."""

    id: str | None
    name: str
    enabled: bool | None
    schedule: Schedule
    phase: KeypadPhase
    reason: KeypadReason | KeypadProblem | None = None
    uses: int | None = None
    last_used: datetime | None = None
    code: Secret | None = None


def render_keypad(entries: Collection[KeypadEntry], *, publish_codes: bool) -> bytes:
    """The retained list of a device's keypad codes."""
    return render_json([_entry(entry, publish_codes=publish_codes) for entry in entries])


def _entry(entry: KeypadEntry, *, publish_codes: bool) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name if publish_codes else hide_code(entry.name, entry.code),
        "enabled": entry.enabled,
        "schedule": schedule_body(entry.schedule),
        "phase": entry.phase,
        "reason": entry.reason,
        "uses": entry.uses,
        "last_used": None if entry.last_used is None else render_time(entry.last_used),
        **_shown(entry.code, publish_codes=publish_codes),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadResult:
    """One step in the life of an order. `detail` says in words what the reason is about; it never holds a code."""

    transaction: Any
    op: str | None
    phase: KeypadPhase
    id: str | None = None
    name: str | None = None
    reason: KeypadReason | KeypadProblem | None = None
    detail: str | None = None
    code: Secret | None = None


def render_keypad_result(result: KeypadResult, *, publish_codes: bool) -> bytes:
    """A result as JSON."""
    return render_json(
        {
            "transaction": result.transaction,
            "op": result.op,
            "status": _STATUSES.get(result.phase, Status.ACCEPTED),
            "phase": result.phase,
            "id": result.id,
            "name": result.name,
            "reason": result.reason,
            "detail": result.detail,
            **_shown(result.code, publish_codes=publish_codes),
        }
    )


def hide_code(name: str, code: Secret | None) -> str:
    """The name without its own code, which people write into it: names are published."""
    digits = "" if code is None else code.reveal()
    return name.replace(digits, "***") if digits else name


def _shown(code: Secret | None, *, publish_codes: bool) -> dict[str, str]:
    return {"code": code.reveal()} if publish_codes and code is not None else {}
