"""The words in which the life of a keypad order is told (docs/topics.md, "Device": keypad)."""

from enum import StrEnum


class KeypadOp(StrEnum):
    """What can be asked for."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ENABLE = "enable"
    DISABLE = "disable"


class KeypadPhase(StrEnum):
    """Where a code stands between what is wanted and what was read back (web reference 6.3).

    `FOREIGN`: it is in the cloud but was not made by us; it is shown and never touched. `REFUSED` is said of an order
    only.
    """

    CREATE_PENDING = "create_pending"
    ACTIVE = "active"
    UPDATE_PENDING = "update_pending"
    DELETE_PENDING = "delete_pending"
    DELETED = "deleted"
    FAILED = "failed"
    NEEDS_REVIEW = "needs_review"
    FOREIGN = "foreign"
    REFUSED = "refused"


ENDS = frozenset(
    {KeypadPhase.ACTIVE, KeypadPhase.DELETED, KeypadPhase.FAILED, KeypadPhase.NEEDS_REVIEW, KeypadPhase.REFUSED}
)


class KeypadReason(StrEnum):
    """Why an order was refused, waits or failed, beside the rules (`keypad_rules.KeypadProblem`).

    `CODE_NEEDED`: a code that is drawn would be told to nobody, as codes are not published. `NO_CHANCE`: chance gave
    none. `SUPERSEDED`: a newer order for the same code took its place.
    """

    BAD_PAYLOAD = "bad_payload"
    RETAINED = "retained"
    UNKNOWN_DEVICE = "unknown_device"
    NOT_MANAGED = "not_managed"
    STARTING = "starting"
    DUPLICATE = "duplicate"
    CODE_NEEDED = "code_needed"
    UNKNOWN_CODE = "unknown_code"
    NAME_TAKEN = "name_taken"
    NAME_AMBIGUOUS = "name_ambiguous"
    NOT_OURS = "not_ours"
    BUSY = "busy"
    QUEUED = "queued"
    DEVICE_OFFLINE = "device_offline"
    CLOUD_UNREACHABLE = "cloud_unreachable"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason's name
    NOT_ALLOWED = "not_allowed"
    UPGRADE_REQUIRED = "upgrade_required"
    CLOUD_SAID_NO = "cloud_said_no"
    CODE_IN_USE = "code_in_use"
    NO_ANSWER = "no_answer"
    NOT_CONFIRMED = "not_confirmed"
    CHANGED_ELSEWHERE = "changed_elsewhere"
    GONE = "gone"
    NO_CHANCE = "no_chance"
    SUPERSEDED = "superseded"
