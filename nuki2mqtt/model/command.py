"""The words in which the life of a command is told (docs/topics.md, "Commands")."""

from enum import StrEnum


class Status(StrEnum):
    """What a result says: `accepted`, then exactly one end; or `refused` alone."""

    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    EXPIRED = "expired"
    REFUSED = "refused"


class Reason(StrEnum):
    """The closed list of reasons. When several hold, the first of this order up to `BUSY` is given."""

    BAD_PAYLOAD = "bad_payload"
    RETAINED = "retained"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_ACTION = "unknown_action"
    NOT_PERMITTED = "not_permitted"
    STARTING = "starting"
    DUPLICATE = "duplicate"
    CLOCK_UNTRUSTED = "clock_untrusted"
    STALE = "stale"
    CLOCK_AHEAD = "clock_ahead"
    NEEDS_TS = "needs_ts"
    BUSY = "busy"
    JOINED = "joined"
    QUEUED = "queued"
    SUPERSEDED = "superseded"
    BRIDGE_UNREACHABLE = "bridge_unreachable"
    DEVICE_UNREACHABLE = "device_unreachable"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason's name
    BRIDGE_SAID_NO = "bridge_said_no"
    MOTOR_BLOCKED = "motor_blocked"
    NO_ANSWER = "no_answer"
    RESTARTED = "restarted"


class Evidence(StrEnum):
    """Why an end is `confirmed`.

    A transition was seen after sending; the target was reached from another state; or the Bridge's `success`
    and a later report agree.
    """

    TRANSITION = "transition"
    TARGET = "target"
    ANSWER = "answer"
