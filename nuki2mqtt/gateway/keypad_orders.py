"""From an order to what is wanted from now on: which code is meant, what becomes of it, and why it cannot be.

Pure: everything that is known of the device comes in, a wish or a refusal goes out. Rules: web reference 6.1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nuki2mqtt.gateway.keypad_life import KeypadTurn, next_phase
from nuki2mqtt.gateway.keypad_wishes import KeypadWish, Why
from nuki2mqtt.model.keypad import Authorization, KeypadCode
from nuki2mqtt.model.keypad_chance import draw_code
from nuki2mqtt.model.keypad_order import KeypadOp, KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import (
    CODE_DIGITS,
    PROBLEM_TEXTS,
    KeypadProblem,
    place_of,
    problems_of,
    problems_of_name,
    problems_of_schedule,
)
from nuki2mqtt.model.schedule import ALWAYS
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.keypad_payloads import KeypadOrder

RESERVE = 2  # authorizations that somebody may want to give at the door, when we have filled it up
MOST_WISHES = 200  # of one device
ONE_TIME_LIFE_S = 86_400.0  # of a one-time code that names no end


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order is not taken; `detail` says it in words, without a code."""

    reason: Why
    detail: str | None = None


_NAME_SHOWS_CODE = Refusal(KeypadReason.BAD_PAYLOAD, "the name holds the code, and names are published")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known of the device: `listing` None before its first list; `wishes` are those of this device."""

    smartlock_id: int
    wishes: Mapping[str, KeypadWish]
    listing: tuple[Authorization, ...] | None
    has_keypad: bool | None
    capacity: int

    @property
    def owned(self) -> frozenset[str]:
        """The cloud's ids of our codes."""
        return frozenset(one.auth_id for one in self.wishes.values() if one.auth_id is not None)

    def planned(self, without: str | None) -> set[Secret]:
        """The codes that we have plans with, but for those of one wish."""
        others = [wish for wish_id, wish in self.wishes.items() if wish_id != without]
        return {code for wish in others for code in (wish.code, wish.sent_code) if code is not None}

    def problems(self, wish_id: str | None, wish: KeypadWish, code: KeypadCode, now: datetime) -> list[KeypadProblem]:
        """Every rule that this code would break there. Room is needed only by what is not there yet."""
        place = place_of(
            self.listing or (),
            is_paired=self.has_keypad,
            planned=self.planned(wish_id),
            capacity=self.capacity - RESERVE,
            without=wish.auth_id,
        )
        found = problems_of(code, place, now)
        return [one for one in found if wish.auth_id is None or one is not KeypadProblem.NO_ROOM]


def refusal_of(problems: list[KeypadProblem]) -> Refusal:
    """The first of them as the reason, all of them in words."""
    return Refusal(problems[0], "; ".join(PROBLEM_TEXTS[one] for one in problems))


def find_meant(order: KeypadOrder, there: Surroundings) -> str | Refusal:
    """Which of our codes is meant: its wish's id. Codes that others made are never meant."""
    if order.id is not None:
        for wish_id, wish in there.wishes.items():
            if wish.auth_id == order.id:
                return wish_id
        is_foreign = any(one.id == order.id for one in there.listing or ())
        return Refusal(KeypadReason.NOT_OURS if is_foreign else KeypadReason.UNKNOWN_CODE)
    named = [wish_id for wish_id, wish in there.wishes.items() if wish.name == order.name]
    if len(named) == 1:
        return named[0]
    if named:
        return Refusal(KeypadReason.NAME_AMBIGUOUS)
    is_foreign = any(one.is_keypad_code and one.name == order.name for one in there.listing or ())
    return Refusal(KeypadReason.NOT_OURS if is_foreign else KeypadReason.UNKNOWN_CODE)


def wish_for(
    order: KeypadOrder,
    there: Surroundings,
    now: datetime,
    *,
    entropy: Callable[[int], bytes],
    is_told: bool,
) -> tuple[str | None, KeypadWish] | Refusal:
    """What is wanted from now on, and the id of the wish that it changes (None: a new one).

    `entropy` draws a code where none is named, which is refused unless `is_told`: nobody would ever learn it.
    """
    if order.op is KeypadOp.CREATE:
        return _created(order, there, now, entropy, is_told=is_told)
    meant = find_meant(order, there)
    if isinstance(meant, Refusal):
        return meant
    wish = there.wishes[meant]
    if order.op is KeypadOp.DELETE:
        phase = next_phase(wish.phase, KeypadTurn.DELETE_ORDERED)
        return meant, replace(wish, phase=phase, reason=None, attempts=0, code=None)
    if wish.phase is KeypadPhase.DELETE_PENDING:
        return Refusal(KeypadReason.BUSY, "it is being deleted")
    return _changed(meant, _merged(wish, order), there, now)


def _created(
    order: KeypadOrder, there: Surroundings, now: datetime, entropy: Callable[[int], bytes], *, is_told: bool
) -> tuple[str | None, KeypadWish] | Refusal:
    name = order.name or ""
    named = [(wish_id, wish) for wish_id, wish in there.wishes.items() if wish.name == name]
    former = next(((wish_id, wish) for wish_id, wish in named if _is_nothing(wish)), (None, None))
    if named and former[1] is None:
        return Refusal(KeypadReason.NAME_TAKEN)
    if former[1] is None and len(there.wishes) >= MOST_WISHES:
        return refusal_of([KeypadProblem.NO_ROOM])
    code = order.code
    if code is None:
        if not is_told:
            return Refusal(KeypadReason.CODE_NEEDED, "codes are not published, so that nobody would learn it")
        taken = {one.code for one in there.listing or () if one.code is not None} | there.planned(None)
        code = draw_code(entropy, taken)
        if code is None:
            return Refusal(KeypadReason.NO_CHANCE)
    schedule = order.schedule or ALWAYS
    life_s = order.life_s if order.life_s is not None or not order.once else ONE_TIME_LIFE_S
    if life_s is not None and schedule.ends is None:
        schedule = replace(schedule, ends=(now + timedelta(seconds=life_s)).replace(microsecond=0))
    wish = KeypadWish(
        smartlock_id=there.smartlock_id,
        name=name,
        phase=KeypadPhase.CREATE_PENDING,
        enabled=order.enabled is not False,
        schedule=schedule,
        code=code,
        once=order.once,
    )
    if former[1] is not None:  # what was sent of it may still come
        wish = replace(wish, sent_name=former[1].sent_name, sent_code=former[1].sent_code)
    if _shows_code(wish):
        return _NAME_SHOWS_CODE
    problems = there.problems(former[0], wish, _whole(wish), now)
    return refusal_of(problems) if problems else (former[0], wish)


def _is_nothing(wish: KeypadWish) -> bool:
    """Whether it failed, or went, and is not on the device: then it may be created again under its name."""
    return wish.auth_id is None and wish.phase in {KeypadPhase.FAILED, KeypadPhase.NEEDS_REVIEW}


def _merged(wish: KeypadWish, order: KeypadOrder) -> KeypadWish:
    name = None
    if order.op is KeypadOp.UPDATE:
        name = order.name if order.id is not None else order.new_name
    enabled = {KeypadOp.ENABLE: True, KeypadOp.DISABLE: False}.get(order.op, order.enabled)
    return replace(
        wish,
        name=wish.name if name is None else name,
        enabled=wish.enabled if enabled is None else enabled,
        schedule=wish.schedule if order.schedule is None else order.schedule,
        code=wish.code if order.code is None else order.code,
        reason=None,
        attempts=0,
    )


def _changed(
    wish_id: str, wish: KeypadWish, there: Surroundings, now: datetime
) -> tuple[str | None, KeypadWish] | Refusal:
    if any(other.name == wish.name for other_id, other in there.wishes.items() if other_id != wish_id):
        return Refusal(KeypadReason.NAME_TAKEN)
    if wish.auth_id is None and wish.code is None:
        return Refusal(KeypadReason.CODE_NEEDED, "it is not on the device; create it again")
    is_there = wish.auth_id is not None
    turn = KeypadTurn.CHANGE_ORDERED if is_there else KeypadTurn.CREATE_ORDERED
    wish = replace(wish, phase=next_phase(wish.phase, turn))
    listed = next((one.code for one in there.listing or () if one.id == wish.auth_id), None)
    if _shows_code(wish, listed):
        return _NAME_SHOWS_CODE
    if wish.code is not None:
        problems = there.problems(wish_id, wish, _whole(wish), now)
    else:  # the code stays as it is, and is nobody else's
        broken = problems_of_name(wish.name) | problems_of_schedule(wish.schedule, now)
        problems = [one for one in KeypadProblem if one in broken]
    return refusal_of(problems) if problems else (wish_id, wish)


def _shows_code(wish: KeypadWish, listed: Secret | None = None) -> bool:
    """Whether the name, which is published, holds the code; `listed` is the present one, where it is left as it is."""
    code = listed if wish.code is None else wish.code
    digits = "" if code is None else code.reveal()
    return len(digits) == CODE_DIGITS and digits in wish.name


def _whole(wish: KeypadWish) -> KeypadCode:
    code = wish.code or Secret("")
    return KeypadCode(name=wish.name, code=code, enabled=wish.enabled, schedule=wish.schedule)
