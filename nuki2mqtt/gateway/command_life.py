"""The life of one command, as a table.

The rules (docs/topics.md, "Commands"):

A command WAITS until its Bridge can be asked, and EXPIRES with its ttl. While nothing was written it may be tried
again: a refused connection brings it back to WAITING. From the first byte on its outcome is the lock's. The
Bridge's `success` makes it ACKNOWLEDGED, its clear no FAILED. Any other end of the request leaves the outcome unknown:
an opening action is then never sent again, it is DOUBTFUL, and after a while we are LOOKING, by one direct read;
a closing action may be REPEATED, and is DOUBTFUL when that is used up. An acknowledged command that nothing proves
in time is VERIFIED by one direct read, too.

Evidence CONFIRMS at any time after the first byte, and a blocked motor FAILS, also before the Bridge's answer. One
that was only seen on its way is left until the motor rests, for it may still block; it is CONFIRMED by that when its
time is up or a newer command comes. A direct read that shows the lock unmoved turns a doubtful command into FAILED:
it did not act. An acknowledged one stays UNCONFIRMED by it, since the Bridge said that it did. A newer command takes
the lane from one that has its answer (UNCONFIRMED) or that still queues (REFUSED); never from one whose answer is
outstanding.

Ends are ends: nothing leads out of them. A pair that is not in the table is a mistake of ours, and raises.
"""

from enum import StrEnum


class Phase(StrEnum):
    """Where a command is; the last five are ends."""

    WAITING = "waiting"
    SENT = "sent"
    REPEATING = "repeating"
    ACKNOWLEDGED = "acknowledged"
    VERIFYING = "verifying"
    DOUBTFUL = "doubtful"
    LOOKING = "looking"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    EXPIRED = "expired"
    REFUSED = "refused"

    @property
    def is_end(self) -> bool:
        """Whether nothing comes after it."""
        return self in ENDS


ENDS = frozenset({Phase.CONFIRMED, Phase.FAILED, Phase.UNCONFIRMED, Phase.EXPIRED, Phase.REFUSED})


class Turn(StrEnum):
    """What can happen to a command."""

    SENDING = "sending"  # handed to the wire: from now on a byte may have been written
    SUCCESS = "success"  # the Bridge says yes
    DENIED = "denied"  # the Bridge says no: `success` false, or a status that means so
    NOT_WRITTEN = "not written"  # refused before a byte, and may be tried again
    TOO_LATE = "too late"  # its time was up before a byte was written
    NEVER_WRITTEN = "never written"  # refused before a byte, and not tried again
    UNKNOWN = "unknown"  # a timeout, a reset, 503: it may have acted
    UNKNOWN_MAY_REPEAT = "unknown, may repeat"  # the same, for an action that closes
    EVIDENCE = "evidence"
    BLOCKED = "blocked"
    UNMOVED = "unmoved"  # the direct read shows it where it was
    NOTHING_PROVED = "nothing proved"  # the direct read shows neither, or could not be made
    TIME_UP = "time up"
    SUPERSEDED = "superseded"
    STOPPED = "stopped"  # the gateway stops


# What can happen at any time after the first byte.
_SEEN = {Turn.EVIDENCE: Phase.CONFIRMED, Turn.BLOCKED: Phase.FAILED, Turn.STOPPED: Phase.UNCONFIRMED}

TABLE: dict[tuple[Phase, Turn], Phase] = {
    (phase, turn): end
    for phase, turns in {
        Phase.WAITING: {
            Turn.SENDING: Phase.SENT,
            Turn.NOT_WRITTEN: Phase.WAITING,
            Turn.NEVER_WRITTEN: Phase.FAILED,
            Turn.TIME_UP: Phase.EXPIRED,
            Turn.SUPERSEDED: Phase.REFUSED,
            Turn.STOPPED: Phase.EXPIRED,
        },
        Phase.SENT: {
            **_SEEN,
            Turn.SUCCESS: Phase.ACKNOWLEDGED,
            Turn.DENIED: Phase.FAILED,
            Turn.NOT_WRITTEN: Phase.WAITING,
            Turn.NEVER_WRITTEN: Phase.FAILED,
            Turn.TOO_LATE: Phase.EXPIRED,
            Turn.UNKNOWN: Phase.DOUBTFUL,
            Turn.UNKNOWN_MAY_REPEAT: Phase.REPEATING,
        },
        Phase.REPEATING: {
            **_SEEN,
            Turn.SENDING: Phase.SENT,
            Turn.TIME_UP: Phase.DOUBTFUL,
            Turn.SUPERSEDED: Phase.UNCONFIRMED,
        },
        Phase.ACKNOWLEDGED: {
            **_SEEN,
            Turn.TIME_UP: Phase.VERIFYING,
            Turn.SUPERSEDED: Phase.UNCONFIRMED,
        },
        Phase.VERIFYING: {
            **_SEEN,
            Turn.UNMOVED: Phase.UNCONFIRMED,
            Turn.NOTHING_PROVED: Phase.UNCONFIRMED,
            Turn.TIME_UP: Phase.UNCONFIRMED,
            Turn.SUPERSEDED: Phase.UNCONFIRMED,
        },
        Phase.DOUBTFUL: {
            **_SEEN,
            Turn.TIME_UP: Phase.LOOKING,
            Turn.SUPERSEDED: Phase.UNCONFIRMED,
        },
        Phase.LOOKING: {
            **_SEEN,
            Turn.UNMOVED: Phase.FAILED,
            Turn.NOTHING_PROVED: Phase.UNCONFIRMED,
            Turn.TIME_UP: Phase.UNCONFIRMED,
            Turn.SUPERSEDED: Phase.UNCONFIRMED,
        },
    }.items()
    for turn, end in turns.items()
}

# What can end a command whose answer is outstanding: its lane stays busy until that comes.
BEFORE_THE_ANSWER = frozenset({Turn.EVIDENCE, Turn.BLOCKED, Turn.STOPPED})


def next_phase(phase: Phase, turn: Turn) -> Phase:
    """Where this turn leads; raises ValueError for a pair that cannot be."""
    try:
        return TABLE[phase, turn]
    except KeyError:
        raise ValueError(f"a command that is {phase} cannot meet {turn!r}") from None
