"""From what a person asks for to an order on `keypad/set`: checked by the model's own rules before a byte is sent."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from nuki2mqtt.faces.keypad_code import NotAsked, ask_code, ask_name, read_code_file
from nuki2mqtt.faces.keypad_lists import ListedCode
from nuki2mqtt.model.keypad_order import KeypadOp
from nuki2mqtt.model.keypad_rules import (
    PROBLEM_TEXTS,
    KeypadProblem,
    problems_of_code,
    problems_of_name,
    problems_of_schedule,
)
from nuki2mqtt.model.schedule import WEEK, Schedule, Weekday
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.command_payloads import BadCommand
from nuki2mqtt.protocol.keypad_payloads import parse_keypad_order, parse_schedule, schedule_body

# A time without an offset is meant in the zone of the lock, which we do not know: only what is wrong at both ends of
# the earth is refused here, the rest is left to the gateway.
_EARTH = (timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)))
_NO_LIMIT = "none"
_LIFE = re.compile(r"([0-9]{1,9})\s*(s|m|min|h|d)?")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_CLOUD_ID = re.compile(r"[0-9a-fA-F]{24}")  # longer than a name can be
LIKE_A_CODE = re.compile(r"[1-9]{6}")
_NAMED_KEY = re.compile(r'^"[a-z]+" ')


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypadAsk:
    """What a command line asks for; None is "not said". `op` None: list them.

    `which` is the name of a new code, or the name or ID of the one that is meant. `wait_s` None: do not wait.
    """

    op: KeypadOp | None = None
    locks: tuple[str, ...] = ()
    which: str | None = None
    new_name: str | None = None
    code_file: str | None = None
    asks_code: bool = False
    draws: bool = False
    begins: str | None = None
    ends: str | None = None
    days: str | None = None
    hours: str | None = None
    is_always: bool = False
    once: bool = False
    life: str | None = None
    is_disabled: bool = False
    wait_s: float | None = None
    as_json: bool = False
    show_codes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A checked order, but for what depends on the lock: `limits` are the parts of a schedule that were said.

    `starts_anew`: what is not said of the schedule is no limit; otherwise it stays as it is.
    """

    op: KeypadOp
    name: str | None
    id: str | None
    values: dict[str, Any]
    code: Secret | None
    limits: dict[str, Any]
    starts_anew: bool

    def is_meant(self, code: ListedCode) -> bool:
        """Whether this is the code that is to be changed."""
        return code.id == self.id if self.id is not None else code.name == self.name

    def order(self, former: ListedCode | None, transaction: str, now: datetime) -> bytes:
        """The payload for a lock whose list has this code so now; raises NotAsked."""
        values = {"op": str(self.op), "id": self.id, "name": self.name, **self.values, "transaction": transaction}
        order = {key: value for key, value in values.items() if value is not None}
        if self.code is not None:
            order["code"] = self.code.reveal()
        if self.limits or (self.starts_anew and self.op is KeypadOp.UPDATE):
            order["schedule"] = self._schedule(former, now)
        payload = json.dumps(order).encode()
        for zone in _EARTH:
            try:
                parse_keypad_order(payload, zone)
            except BadCommand as error:
                raise NotAsked(str(error)) from None
        return payload

    def _schedule(self, former: ListedCode | None, now: datetime) -> dict[str, Any] | None:
        whole = dict(self.limits)
        if not self.starts_anew:
            schedule = None if former is None else former.schedule
            if schedule is None:
                text = "what limits this code now cannot be read: say all of it, beginning with --always"
                raise NotAsked(text)
            whole = (schedule_body(schedule) or {}) | whole
        _check_schedule(whole, now)
        return whole if any(value is not None for value in whole.values()) else None


def read_wanted(ask: KeypadAsk, now: datetime) -> Wanted:
    """Check what is asked for, and ask for what is missing; raises NotAsked with every objection."""
    if ask.op is None:
        raise ValueError("nothing is ordered")
    limits = dict(_limits(ask))
    is_new = ask.op is KeypadOp.CREATE
    which = (ask.which if ask.which is not None else ask_name() if is_new else "").strip()
    new_name = None if ask.new_name is None else ask.new_name.strip()
    starts_anew = is_new or ask.is_always
    if limits and starts_anew:
        _check_schedule(limits, now)
    _refuse({PROBLEM_TEXTS[one]: one for one in _problems_of_names(which if is_new else None, new_name)})
    life_s = None if ask.life is None else _life(ask.life)
    if life_s is not None and limits.get("until") is not None:
        raise NotAsked("--life and --until both say when it ends: give one of them")
    has_id = not is_new and _CLOUD_ID.fullmatch(which) is not None
    if has_id and len(ask.locks) > 1:
        raise NotAsked("an ID belongs to a code of one lock: give the name, or one --lock")
    if ask.op is KeypadOp.UPDATE and not (limits or ask.is_always or new_name is not None or _says_code(ask)):
        raise NotAsked("nothing is to be changed: give --name, a code, or when it works")
    code = _code(ask)
    if code is not None:
        broken = problems_of_code(code)
        _refuse({PROBLEM_TEXTS[one]: one for one in KeypadProblem if one in broken})
        if any(code.reveal() in name for name in (which, new_name or "")):
            raise NotAsked("the name holds the code, and names are published")
    values = {
        "new_name": None if has_id else new_name,
        "once": True if ask.once else None,
        "life_s": life_s,
        "enabled": False if ask.is_disabled else None,
    }
    if has_id and new_name is not None:
        values["name"] = new_name
    return Wanted(
        op=ask.op,
        name=None if has_id else which,
        id=which if has_id else None,
        values={key: value for key, value in values.items() if value is not None},
        code=code,
        limits=limits,
        starts_anew=starts_anew,
    )


def _problems_of_names(name: str | None, new_name: str | None) -> Iterator[KeypadProblem]:
    broken = {one for each in (name, new_name) if each is not None for one in problems_of_name(each)}
    yield from (one for one in KeypadProblem if one in broken)


def _refuse(problems: dict[str, KeypadProblem]) -> None:
    if problems:
        raise NotAsked(*problems)


def _says_code(ask: KeypadAsk) -> bool:
    return ask.asks_code or ask.code_file is not None


def _code(ask: KeypadAsk) -> Secret | None:
    if ask.code_file is not None:
        return read_code_file(ask.code_file)
    if ask.asks_code or (ask.op is KeypadOp.CREATE and not ask.draws):
        return ask_code()
    return None


# --- When it works ----------------------------------------------------------------------------------------------------


def _limits(ask: KeypadAsk) -> Iterator[tuple[str, Any]]:
    """The parts of a schedule that were said, as in JSON; None is no limit."""
    for option, key, text in (("--from", "from", ask.begins), ("--until", "until", ask.ends)):
        if text is not None:
            yield key, None if _is_none(text) else _date(option, key, text)
    if ask.days is not None:
        yield "weekdays", None if _is_none(ask.days) else parse_days(ask.days)
    if ask.hours is not None:
        yield "daily", None if _is_none(ask.hours) else _hours(ask.hours)


def _is_none(text: str) -> bool:
    return text.strip().lower() in {_NO_LIMIT, "all"}


def _date(option: str, key: str, text: str) -> str:
    _parse(option, {key: text})
    return text.strip()


def _hours(text: str) -> Any:
    schedule = _parse("--hours", {"daily": text.strip()}, "must be two times like 08:00-18:00")
    return (schedule_body(schedule) or {}).get("daily")


def _parse(option: str, value: dict[str, Any], otherwise: str | None = None) -> Schedule:
    try:
        schedules = [parse_schedule(value, zone) for zone in _EARTH]
    except BadCommand as error:
        why = otherwise or _NAMED_KEY.sub("", str(error))
        raise NotAsked(f"{option} {why}") from None
    return schedules[0]


def parse_days(text: str) -> list[str]:
    """`mon-fri`, `sat,sun`, `fri-mon`: the days in the order of a week; raises NotAsked."""
    days: set[Weekday] = set()
    for part in re.split(r"[,\s]+", text.strip()):
        ends = [_day(word) for word in re.split(r"[-\u2013]", part, maxsplit=1)]
        first, last = WEEK.index(ends[0]), WEEK.index(ends[-1])
        days.update(WEEK[(first + one) % len(WEEK)] for one in range((last - first) % len(WEEK) + 1))
    return [str(day) for day in WEEK if day in days]


def _day(word: str) -> Weekday:
    schedule = _parse("--days", {"weekdays": [word]}, f"must be days like mon-fri or sat,sun, out of {', '.join(WEEK)}")
    return next(iter(schedule.weekdays))


def _check_schedule(value: dict[str, Any], now: datetime) -> None:
    broken = set(KeypadProblem)
    for zone in _EARTH:
        try:
            broken &= problems_of_schedule(parse_schedule(value, zone), now.astimezone(UTC))
        except BadCommand as error:
            raise NotAsked(str(error)) from None
    _refuse({PROBLEM_TEXTS[one]: one for one in KeypadProblem if one in broken})


def _life(text: str) -> int:
    found = _LIFE.fullmatch(text.strip().lower())
    if found is None:
        raise NotAsked("--life must be a time like 90m, 2h or 3d")
    return int(found[1]) * _UNITS[found[2] or "s"]
