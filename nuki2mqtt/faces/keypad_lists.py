"""The retained lists on `<device>/keypad`: read leniently, shown as a table for people or as JSON for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from nuki2mqtt.faces.keypad_words import explain, harmless, member, read_code, read_reason
from nuki2mqtt.faces.retained import read_json
from nuki2mqtt.faces.terminal import printable
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import KeypadProblem
from nuki2mqtt.model.schedule import EVERY_DAY, WEEK, Schedule
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.command_payloads import BadCommand
from nuki2mqtt.protocol.keypad_payloads import parse_schedule, schedule_body

_MOST_CODES = 2000
_SHOWN_NAME = 40
_SHOWN_ID = 32
_HEAD = ("NAME", "ON", "WORKS", "PHASE", "USES", "LAST USE", "ID")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCode:
    """One entry. None where the list does not say it, or nobody can read it; `name` is as the list has it."""

    id: str | None
    name: str
    enabled: bool | None
    schedule: Schedule | None
    phase: KeypadPhase | None
    reason: KeypadReason | KeypadProblem | None
    words: str | None
    uses: int | None
    last_used: datetime | None
    code: Secret | None


def read_codes(body: bytes | None) -> tuple[ListedCode, ...] | None:
    """Read a list; None if that is none. Entries that are no objects are left out."""
    value = read_json(body)
    if not isinstance(value, list):
        return None
    return tuple(_read(entry) for entry in value[:_MOST_CODES] if isinstance(entry, dict))


def _read(entry: dict[str, Any]) -> ListedCode:
    auth_id, name, enabled, uses = (entry.get(key) for key in ("id", "name", "enabled", "uses"))
    reason, words = read_reason(entry.get("reason"))
    return ListedCode(
        id=auth_id if isinstance(auth_id, str) and auth_id else None,
        name=name if isinstance(name, str) else "",
        enabled=enabled if isinstance(enabled, bool) else None,
        schedule=_schedule(entry),
        phase=member(KeypadPhase, entry.get("phase")),
        reason=reason,
        words=words,
        uses=uses if isinstance(uses, int) and not isinstance(uses, bool) and 0 <= uses < 10**9 else None,
        last_used=_time(entry.get("last_used")),
        code=read_code(entry.get("code")),
    )


def _schedule(entry: dict[str, Any]) -> Schedule | None:
    try:
        return parse_schedule(entry["schedule"], None)
    except (KeyError, BadCommand):  # nobody knows when it works, which is not the same as always
        return None


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if at is None or at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- For people -------------------------------------------------------------------------------------------------------


def render_table(codes: Sequence[ListedCode], now: datetime, zone: tzinfo | None, *, show_codes: bool) -> Iterator[str]:
    """The codes of one lock; dates in `zone`, None is that of this machine. `now` is aware."""
    if not codes:
        yield "  no codes"
        return
    head = (*_HEAD, "CODE") if show_codes else _HEAD
    rows = [head, *(_row(code, now, zone, show_codes=show_codes) for code in codes)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(head))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for code in codes:
        if code.reason is not None or code.words is not None:
            yield f"  {_name(code)}: {explain(code.phase, code.reason, code.words, None)}"


def _row(code: ListedCode, now: datetime, zone: tzinfo | None, *, show_codes: bool) -> tuple[str, ...]:
    row = (
        _name(code),
        {True: "yes", False: "no", None: "?"}[code.enabled],
        "cannot be read" if code.schedule is None else describe(code.schedule, now, zone),
        "unknown" if code.phase is None else str(code.phase),
        "-" if code.uses is None else str(code.uses),
        "-" if code.last_used is None else _shown(code.last_used, zone),
        "-" if code.id is None else printable(code.id, _SHOWN_ID),
    )
    return (*row, "-" if code.code is None else code.code.reveal()) if show_codes else row


def _name(code: ListedCode) -> str:
    return printable(code.name, _SHOWN_NAME) or "(no name)"


def describe(schedule: Schedule, now: datetime, zone: tzinfo | None) -> str:
    """When a code works, in words: days and hours as the lock's clock shows them, dates in `zone`."""
    if not schedule.weekdays:
        return "never: no weekday"
    if schedule.ends is not None and schedule.has_ended(now):
        return f"over since {_shown(schedule.ends, zone)}"
    daily = schedule_body(schedule) or {}
    window = daily.get("daily")
    parts = [_days(schedule)] if schedule.weekdays != EVERY_DAY else ["daily"] if window else []
    if window:
        parts[0] += f" {window['from']}-{window['until']}"
    if schedule.begins is not None:
        parts.append(f"from {_shown(schedule.begins, zone)}")
    if schedule.ends is not None:
        parts.append(f"until {_shown(schedule.ends, zone)}")
    return ", ".join(parts) or "always"


def _days(schedule: Schedule) -> str:
    """`Mon-Fri`, `Mon Wed Fri`: three and more in a row as a range."""
    runs: list[list[int]] = []
    for number, day in enumerate(WEEK):
        if day in schedule.weekdays:
            if runs and runs[-1][-1] == number - 1:
                runs[-1].append(number)
            else:
                runs.append([number])
    names = [str(day).capitalize() for day in WEEK]
    shown = [
        f"{names[run[0]]}-{names[run[-1]]}" if len(run) > 2 else " ".join(names[one] for one in run) for run in runs
    ]
    return " ".join(shown)


def _shown(at: datetime, zone: tzinfo | None) -> str:
    try:
        local = at.astimezone(zone)
    except (OverflowError, ValueError, OSError):
        local = at
    return local.isoformat(sep=" ", timespec="minutes")


# --- For programs -----------------------------------------------------------------------------------------------------


def render_codes(codes: Sequence[ListedCode], *, show_codes: bool) -> list[dict[str, Any]]:
    """The entries with the keys of the contract, `schedule` "unknown" where nobody can read it."""
    return [
        {
            "id": code.id,
            "name": code.name,
            "enabled": code.enabled,
            "schedule": "unknown" if code.schedule is None else schedule_body(code.schedule),
            "phase": code.phase,
            "reason": code.reason or (None if code.words is None else harmless(code.words)),
            "uses": code.uses,
            "last_used": None if code.last_used is None else code.last_used.isoformat().replace("+00:00", "Z"),
            **({"code": code.code.reveal()} if show_codes and code.code is not None else {}),
        }
        for code in codes
    ]
