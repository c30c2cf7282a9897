"""The life of one keypad code of ours, as a table.

The rules (web reference 6.2 and 6.3; docs/decisions/0040-keypad-codes-converge.md):

A code is wanted (CREATE_PENDING, UPDATE_PENDING, DELETE_PENDING) until a list of the cloud shows what is wanted: an
answer to a write proves nothing. One that is created and found otherwise than wanted is updated. A clear no, or a rule
that it breaks, makes it FAILED; so does giving up, but a deletion is never given up.

An ACTIVE code that a list contradicts was changed by somebody else, and is left for REVIEW: nobody's access is given
back against the will of the one who took it. Shortly after our own write it is our own business, and so is one
that has gone before it was ever used: the cloud had listed what was not on the lock, and it is created again, once.

A FAILED one may still appear, or be as wanted after all: then it is ACTIVE. DELETED is the only end, but for one whose
creation no list has shown: that may be carried out for a day and longer, and is deleted then. The others are where an
order ends and the next one begins. A pair that is not in the table is a mistake of ours, and raises.
"""

from enum import StrEnum

from nuki2mqtt.model.keypad_order import KeypadPhase

LIVES = (
    KeypadPhase.CREATE_PENDING,
    KeypadPhase.UPDATE_PENDING,
    KeypadPhase.ACTIVE,
    KeypadPhase.DELETE_PENDING,
    KeypadPhase.DELETED,
    KeypadPhase.FAILED,
    KeypadPhase.NEEDS_REVIEW,
)
PENDING = frozenset({KeypadPhase.CREATE_PENDING, KeypadPhase.UPDATE_PENDING, KeypadPhase.DELETE_PENDING})


class KeypadTurn(StrEnum):
    """What can happen to a code."""

    CREATE_ORDERED = "create ordered"  # wanted, and not in the list
    CHANGE_ORDERED = "change ordered"  # wanted otherwise than it is in the list
    DELETE_ORDERED = "delete ordered"
    AS_WANTED = "as wanted"  # a list shows it exactly so
    DIFFERENT = "different"  # a list shows it, and it is ours to put right
    CHANGED = "changed"  # a list shows it as somebody else made it
    MISSING = "missing"  # a complete list lacks it, and nothing of ours will still bring it
    NEVER_THERE = "never there"  # the same of one that had only been listed
    REFUSED = "refused"  # a clear no, or a rule that it breaks
    GIVEN_UP = "given up"  # tried often enough
    CAME_LATE = "came late"  # a list shows what was created, after it was taken for deleted
    ENDED = "ended"  # its time is over, or it was used once


_P = KeypadPhase
_T = KeypadTurn

TABLE: dict[tuple[KeypadPhase, KeypadTurn], KeypadPhase] = {
    (phase, turn): end
    for phase, turns in {
        _P.CREATE_PENDING: {
            _T.CREATE_ORDERED: _P.CREATE_PENDING,
            _T.DELETE_ORDERED: _P.DELETE_PENDING,
            _T.AS_WANTED: _P.ACTIVE,
            _T.DIFFERENT: _P.UPDATE_PENDING,
            _T.REFUSED: _P.FAILED,
            _T.GIVEN_UP: _P.FAILED,
            _T.ENDED: _P.DELETE_PENDING,
        },
        _P.UPDATE_PENDING: {
            _T.CHANGE_ORDERED: _P.UPDATE_PENDING,
            _T.DELETE_ORDERED: _P.DELETE_PENDING,
            _T.AS_WANTED: _P.ACTIVE,
            _T.MISSING: _P.NEEDS_REVIEW,
            _T.NEVER_THERE: _P.CREATE_PENDING,
            _T.REFUSED: _P.FAILED,
            _T.GIVEN_UP: _P.FAILED,
            _T.ENDED: _P.DELETE_PENDING,
        },
        _P.ACTIVE: {
            _T.CHANGE_ORDERED: _P.UPDATE_PENDING,
            _T.DELETE_ORDERED: _P.DELETE_PENDING,
            _T.DIFFERENT: _P.UPDATE_PENDING,
            _T.CHANGED: _P.NEEDS_REVIEW,
            _T.MISSING: _P.NEEDS_REVIEW,
            _T.NEVER_THERE: _P.CREATE_PENDING,
            _T.ENDED: _P.DELETE_PENDING,
        },
        _P.DELETE_PENDING: {
            _T.DELETE_ORDERED: _P.DELETE_PENDING,
            _T.MISSING: _P.DELETED,
            _T.REFUSED: _P.FAILED,
        },
        _P.DELETED: {_T.CAME_LATE: _P.DELETE_PENDING},
        _P.FAILED: {
            _T.CREATE_ORDERED: _P.CREATE_PENDING,
            _T.CHANGE_ORDERED: _P.UPDATE_PENDING,
            _T.DELETE_ORDERED: _P.DELETE_PENDING,
            _T.AS_WANTED: _P.ACTIVE,
            _T.ENDED: _P.DELETE_PENDING,
        },
        _P.NEEDS_REVIEW: {
            _T.CREATE_ORDERED: _P.CREATE_PENDING,
            _T.CHANGE_ORDERED: _P.UPDATE_PENDING,
            _T.DELETE_ORDERED: _P.DELETE_PENDING,
            _T.AS_WANTED: _P.ACTIVE,
        },
    }.items()
    for turn, end in turns.items()
}


def next_phase(phase: KeypadPhase, turn: KeypadTurn) -> KeypadPhase:
    """Where this turn leads; raises ValueError for a pair that cannot be."""
    try:
        return TABLE[phase, turn]
    except KeyError:
        raise ValueError(f"a code that is {phase} cannot meet {turn!r}") from None
