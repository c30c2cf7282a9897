"""What a keypad order's result means to a person, with the next step; and the exit status that says it to a script."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from nuki2mqtt.faces.outcome import EXITS
from nuki2mqtt.faces.terminal import printable
from nuki2mqtt.model.command import Status
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import PROBLEM_TEXTS, KeypadProblem
from nuki2mqtt.model.secret import Secret

_Word = TypeVar("_Word", bound=StrEnum)
# What could be a code, in words of others: six digits in a row.
_LIKE_A_CODE = re.compile(r"(?<![0-9])[0-9]{6}(?![0-9])")
_CODE = re.compile(r"[1-9]{6}")
_MOST_DETAIL = 200

PHASES = {
    KeypadPhase.CREATE_PENDING: "The gateway keeps the order. The code counts as made only when it was read back.",
    KeypadPhase.UPDATE_PENDING: "The gateway keeps the order. The code counts as changed only when it was read back.",
    KeypadPhase.DELETE_PENDING: "The gateway keeps the order. The code counts as gone only when a complete list "
    "lacks it; until then it may still open.",
    KeypadPhase.ACTIVE: "It was read back exactly as it is wanted.",
    KeypadPhase.DELETED: "A complete list has it no more.",
    KeypadPhase.FAILED: "It was not done.",
    KeypadPhase.NEEDS_REVIEW: "It is not as it was wanted, and the gateway leaves it so until it gets an order.",
    KeypadPhase.FOREIGN: "It was made elsewhere and is never touched.",
    KeypadPhase.REFUSED: "The gateway does not take the order, and changed nothing.",
}

REASONS: dict[KeypadReason | KeypadProblem, str] = {
    KeypadReason.BAD_PAYLOAD: "The gateway does not take the order as it is. Where nothing more is said, compare its "
    "version (`nuki2mqtt status`) with that of this program (`nuki2mqtt --version`).",
    KeypadReason.RETAINED: "The order came with the retain flag, and nobody knows how old such a one is. Something "
    "between here and the gateway sets it, a bridge between two brokers for example: switch that off there.",
    KeypadReason.UNKNOWN_DEVICE: "Nuki's cloud does not list this lock for the gateway. Activate it for Nuki Web in "
    "the Nuki app, in the account that the token is from.",
    KeypadReason.NOT_MANAGED: "This gateway changes no keypad codes. Set `nuki_web.token` and "
    "`nuki_web.keypad.manage: true` there.",
    KeypadReason.STARTING: "The gateway has only just started and takes no orders yet. Give it again in some seconds.",
    KeypadReason.DUPLICATE: "It was given before, with the same transaction, and nothing is done twice. Give it anew.",
    KeypadReason.CODE_NEEDED: "There is no code that could be written. A drawn one needs "
    "`nuki_web.keypad.publish_codes: true`, since nobody would learn it otherwise: choose one yourself. A code that "
    "is not on the lock any more must be added anew.",
    KeypadReason.UNKNOWN_CODE: "This lock has no code of ours with that name or ID. See `nuki2mqtt keypad list`; a "
    "code is named by its name or ID, never by its digits.",
    KeypadReason.NAME_TAKEN: "Another code of this lock has that name. Choose another one, or change or remove that.",
    KeypadReason.NAME_AMBIGUOUS: "Several codes of this lock have that name. Give the ID of the one that is meant: "
    "`nuki2mqtt keypad list` shows it.",
    KeypadReason.NOT_OURS: "That code was made elsewhere and is never touched from here. Change it in the Nuki app, or "
    "delete it there and add it here.",
    KeypadReason.BUSY: "Another order for it is under way. Wait for its end, then give this one again.",
    KeypadReason.QUEUED: "It waits for another order of the same lock; nothing is to be done.",
    KeypadReason.DEVICE_OFFLINE: "The cloud does not reach the lock, and nothing is sent before it is back. Check its "
    "batteries and its Wi-Fi or Bridge; the order goes on by itself.",
    KeypadReason.CLOUD_UNREACHABLE: "Nuki's cloud does not answer or asks for patience. It is asked again by itself; "
    "check the gateway's way to the internet if this lasts.",
    KeypadReason.TOKEN_REFUSED: "Nuki Web refuses the token. Make a new one there, with the scopes of "
    "docs/guide-keypad.md, and set `nuki_web.token`.",
    KeypadReason.NOT_ALLOWED: "The token may not do this for this lock. Make one with the scope `smartlock.auth`, in "
    "an account that administers the lock.",
    KeypadReason.UPGRADE_REQUIRED: "Nuki asks for another subscription of this account. Look into Nuki Web.",
    KeypadReason.CLOUD_SAID_NO: "The cloud refused it. Try the same in the Nuki app, which may say why.",
    KeypadReason.CODE_IN_USE: "The cloud says that this lock has that code already, and it is none of ours. Choose "
    "another code; if nothing shows it, try again tomorrow, when the lock was read anew.",
    KeypadReason.NO_ANSWER: "The cloud did not answer. It is looked for before anything is sent again.",
    KeypadReason.NOT_CONFIRMED: "The cloud took the order, and does not show that it was carried out. See in the Nuki "
    "app whether the lock is reached.",
    KeypadReason.CHANGED_ELSEWHERE: "Somebody changed it elsewhere, in the Nuki app for example. `change` or `enable` "
    "makes it yours again, `remove` takes it away.",
    KeypadReason.GONE: "It is gone from the lock, and not by us. Add it again if it is still wanted.",
    KeypadReason.NO_CHANCE: "The gateway's machine gave no usable random numbers. Choose a code yourself.",
    KeypadReason.SUPERSEDED: "A newer order for the same code took its place; look at what became of that one.",
    KeypadProblem.NO_KEYPAD: "Pair one in the Nuki app, then give it again.",
    KeypadProblem.NO_ROOM: "Expired codes and old phones count, too: see the Nuki app. Two places stay free for it.",
    KeypadProblem.NAME_MISSING: "Give one.",
    KeypadProblem.NAME_TOO_LONG: "Choose a shorter one.",
    KeypadProblem.NAME_NOT_PRINTABLE: "Choose another one.",
    KeypadProblem.CODE_NOT_SIX_DIGITS: "Choose another one.",
    KeypadProblem.CODE_FORBIDDEN_DIGIT: "Choose another one.",
    KeypadProblem.CODE_BEGINS_WITH_12: "Choose another one.",
    KeypadProblem.CODE_TAKEN: "Choose another code. The same one on another lock is no harm.",
    KeypadProblem.SCHEDULE_OUT_OF_RANGE: "Check the dates.",
    KeypadProblem.SCHEDULE_ENDS_TOO_EARLY: "Check the dates.",
    KeypadProblem.SCHEDULE_IN_THE_PAST: "Check the date, and the clocks of both machines.",
    KeypadProblem.SCHEDULE_WITHOUT_DAYS: "Name the days.",
    KeypadProblem.SCHEDULE_BAD_WINDOW: "For a night use two codes, one before and one after midnight.",
}

# Where the same word means something else, or asks for another step.
_SPECIAL = {
    (KeypadPhase.CREATE_PENDING, KeypadReason.NOT_CONFIRMED): "The cloud took the order, and does not show the code "
    "yet. It is tried again after five minutes and after an hour; nobody should wait at the door for it.",
    (KeypadPhase.UPDATE_PENDING, KeypadReason.NOT_CONFIRMED): "The cloud took the change, and does not show it yet. It "
    "is tried again after five minutes and after an hour; until then the code may still be as before.",
    (KeypadPhase.DELETE_PENDING, KeypadReason.NOT_CONFIRMED): "The cloud took the deletion, and lists the code still: "
    "it may still open. It is tried again until it is gone, hourly, later daily. If it is urgent, delete it in the "
    "Nuki app, standing at the lock.",
    (KeypadPhase.FAILED, KeypadReason.NOT_CONFIRMED): "The cloud took the order three times within a good hour, and "
    "never showed that it was carried out. See in the Nuki app whether the lock is reached and has room, then give it "
    "again.",
    (KeypadPhase.FAILED, KeypadProblem.SCHEDULE_IN_THE_PAST): "Its time was over, or it was used, before the order was "
    "done: the code is being removed.",
}


@dataclass(frozen=True, slots=True)
class KeypadStep:
    """One result. `phase` and `reason` are None where this version does not know the word, or there is none.

    `words` are for the reason that is not known, `detail` what the gateway adds; neither shows what could be a code.
    """

    status: Status
    phase: KeypadPhase | None
    reason: KeypadReason | KeypadProblem | None
    words: str | None
    detail: str | None
    code: Secret | None

    @property
    def exit_status(self) -> int | None:
        """What to end with; None while it goes on."""
        return EXITS.get(self.status)

    @property
    def what(self) -> tuple[object, ...]:
        """What makes it another step than the one before."""
        return self.status, self.phase, self.reason, self.words, self.detail

    def __str__(self) -> str:
        if self.status is Status.CONFIRMED:
            return f"confirmed: {explain(self.phase, None, None, None) or 'It is as wanted.'}"
        text = explain(self.phase, self.reason, self.words, self.detail)
        word: str = self.phase if self.status is Status.ACCEPTED and self.phase else self.status
        if self.phase is KeypadPhase.NEEDS_REVIEW:
            word = f"{self.status} ({self.phase})"
        return f"{word}: {text or 'The gateway does not say why; see its log.'}"


def explain(
    phase: KeypadPhase | None, reason: KeypadReason | KeypadProblem | None, words: str | None, detail: str | None
) -> str:
    """A phase with its reason in sentences; empty where nothing is known."""
    if words is not None:
        text = f"The reason {words!r} is not known to this version; see the gateway's log."
    elif reason is None:
        text = "" if phase is None else PHASES[phase]
    elif phase is not None and (phase, reason) in _SPECIAL:
        text = _SPECIAL[phase, reason]
    elif isinstance(reason, KeypadProblem):
        rule = PROBLEM_TEXTS[reason]
        text = f"{rule[0].upper()}{rule[1:]}. {REASONS[reason]}"
    else:
        text = REASONS[reason]
    if detail and not (isinstance(reason, KeypadProblem) and detail == PROBLEM_TEXTS[reason]):
        text += f" The gateway says: {detail}."
    return text.strip()


def read_step(body: dict[str, Any]) -> KeypadStep | None:
    """Read a result; None for what is none that we know. Wrong types are left out, foreign text is made harmless."""
    status = member(Status, body.get("status"))
    if status is None:
        return None
    reason, words = read_reason(body.get("reason"))
    detail = body.get("detail")
    return KeypadStep(
        status=status,
        phase=member(KeypadPhase, body.get("phase")),
        reason=reason,
        words=words,
        detail=harmless(detail).rstrip(". ") if isinstance(detail, str) else None,
        code=read_code(body.get("code")),
    )


def member(words: type[_Word], value: Any) -> _Word | None:
    """The word of a closed list; None for any other value."""
    return next((each for each in words if isinstance(value, str) and each == value), None)


def read_reason(value: Any) -> tuple[KeypadReason | KeypadProblem | None, str | None]:
    """The reason, or the text of one that this version does not know."""
    if not isinstance(value, str) or not value:
        return None, None
    known = member(KeypadReason, value) or member(KeypadProblem, value)
    return (known, None) if known is not None else (None, harmless(value, 40))


def read_code(value: Any) -> Secret | None:
    """A code that the gateway says; None for what can be none."""
    return Secret(value) if isinstance(value, str) and _CODE.fullmatch(value) else None


def harmless(text: str, limit: int = _MOST_DETAIL) -> str:
    """Foreign words without what a terminal must not get, and without what could be a code."""
    return _LIKE_A_CODE.sub("***", printable(text, limit))
