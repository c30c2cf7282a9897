"""What a complete list of the cloud says of one code of ours. Pure: the wish goes in, and comes out as it is then."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nuki2mqtt.gateway.keypad_life import KeypadTurn, next_phase
from nuki2mqtt.gateway.keypad_wishes import KeypadWish
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason

# The daily sync makes an end of what was only listed (web reference 6.2); six hours until we look, two for a late one.
YOUNG = timedelta(hours=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What else is known: the entry in the list before, and what our own writes may still do.

    `is_settled`: nothing of an earlier write is expected any more, though a creation may still come. `is_own_echo`: we
    wrote a short while ago. `is_superseded`: an older write than the newest order is still to be seen.
    """

    now: datetime
    before: Authorization | None = None
    is_settled: bool = False
    is_own_echo: bool = False
    is_superseded: bool = False


def judge(wish: KeypadWish, found: Authorization | None, sight: Sight) -> KeypadWish:
    """What has become of it by this list; the same wish where it says nothing new."""
    return _absent(wish, sight) if found is None else _present(wish, found, sight)


def _turned(wish: KeypadWish, turn: KeypadTurn, reason: KeypadReason | None = None) -> KeypadWish:
    return replace(wish, phase=next_phase(wish.phase, turn), reason=reason, attempts=0)


def _present(wish: KeypadWish, found: Authorization, sight: Sight) -> KeypadWish:
    if wish.auth_id is None:
        wish = replace(wish, auth_id=found.id, sent_name=None, sent_code=None)
    said = wish.compare(found)
    is_as_wanted = said.is_exact and not found.has_operation
    match wish.phase:
        case KeypadPhase.CREATE_PENDING:
            return _active(wish, sight) if is_as_wanted else _turned(wish, KeypadTurn.DIFFERENT)
        case KeypadPhase.UPDATE_PENDING | KeypadPhase.FAILED | KeypadPhase.NEEDS_REVIEW:
            return _active(wish, sight) if is_as_wanted and not sight.is_superseded else wish
        case KeypadPhase.ACTIVE if wish.once and found.lock_count:
            return _turned(wish, KeypadTurn.ENDED)
        case KeypadPhase.DELETED:
            # Its creation was carried out after all, long after the list had lacked it.
            return _turned(wish, KeypadTurn.CAME_LATE)
        case KeypadPhase.ACTIVE if said.differs and not found.has_operation:
            if sight.is_own_echo:
                return _turned(wish, KeypadTurn.DIFFERENT)
            return _turned(wish, KeypadTurn.CHANGED, KeypadReason.CHANGED_ELSEWHERE)
        case _:
            return wish


def _active(wish: KeypadWish, sight: Sight) -> KeypadWish:
    active = _turned(wish, KeypadTurn.AS_WANTED)
    return replace(active, code=None, sent_name=None, sent_code=None, confirmed=sight.now)


def _absent(wish: KeypadWish, sight: Sight) -> KeypadWish:
    match wish.phase:
        case KeypadPhase.UPDATE_PENDING | KeypadPhase.ACTIVE:
            code = wish.code or (None if sight.before is None else sight.before.code)
            gone = replace(wish, auth_id=None, sent_name=None, sent_code=None)
            if code is not None and _was_never_there(wish, sight):
                return replace(_turned(gone, KeypadTurn.NEVER_THERE), code=code, revived=True)
            return replace(_turned(gone, KeypadTurn.MISSING, KeypadReason.GONE), code=None)
        case KeypadPhase.DELETE_PENDING:
            if wish.auth_id is None and wish.sent_code is not None:
                late = replace(_turned(wish, KeypadTurn.MISSING), code=None, confirmed=sight.now)
                return late if sight.is_settled else wish
            return _turned(replace(wish, sent_name=None, sent_code=None), KeypadTurn.MISSING)
        case KeypadPhase.DELETED if _may_come(wish, sight):
            return wish
        case KeypadPhase.FAILED | KeypadPhase.NEEDS_REVIEW if wish.sent_code is not None:
            if not sight.is_settled:
                return wish
            if wish.confirmed is None or wish.code is not None:
                return replace(wish, auth_id=None, code=None, confirmed=sight.now)
            return wish if _may_come(wish, sight) else replace(wish, sent_name=None, sent_code=None)
        case KeypadPhase.FAILED | KeypadPhase.NEEDS_REVIEW | KeypadPhase.DELETED:
            # Nothing can bring it any more, so that its code is of no use.
            return replace(wish, auth_id=None, code=None, sent_name=None, sent_code=None)
        case _:
            return wish


def _may_come(wish: KeypadWish, sight: Sight) -> bool:
    """Whether a creation of which no list has shown anything may still be carried out."""
    is_young = wish.confirmed is not None and timedelta() <= sight.now - wish.confirmed <= YOUNG
    return wish.sent_code is not None and is_young


def _was_never_there(wish: KeypadWish, sight: Sight) -> bool:
    is_used = sight.before is not None and (sight.before.lock_count or sight.before.last_active is not None)
    is_young = wish.confirmed is None or timedelta() <= sight.now - wish.confirmed <= YOUNG
    return is_young and not wish.revived and not is_used
