"""What a command's result means to a person, with the next step; and the exit status that says it to a script."""

import signal as signals
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK
from nuki2mqtt.faces.terminal import printable
from nuki2mqtt.model.command import Evidence, Reason, Status

EXIT_UNKNOWN = 3
EXIT_NOBODY = 4
EXIT_SIGNAL = 128  # and the number of the signal, as shells say it

LOOK = "Look at the door before you give it again."

EXITS = {
    Status.CONFIRMED: EXIT_OK,
    Status.FAILED: EXIT_FAILED,
    Status.REFUSED: EXIT_FAILED,
    Status.EXPIRED: EXIT_FAILED,
    Status.UNCONFIRMED: EXIT_UNKNOWN,
}

_EVIDENCE = {
    Evidence.TRANSITION: "it was seen on its way",
    Evidence.TARGET: "the new state was seen",
    Evidence.ANSWER: "the Bridge says that it is done, and a report agrees",
}

_REASONS = {
    Reason.BAD_PAYLOAD: "The gateway could not read the command. Compare its version (`nuki2mqtt status`) with that of "
    "this program (`nuki2mqtt --version`).",
    Reason.RETAINED: "The command came with the retain flag, and nobody knows how old such a one is. Something between "
    "here and the gateway sets it, a bridge between two brokers for example: switch that off there.",
    Reason.UNKNOWN_DEVICE: "The gateway does not know this device now. `nuki2mqtt status` shows those that it knows.",
    Reason.UNKNOWN_ACTION: "This device has no such action. `nuki2mqtt status` shows what it may be told.",
    Reason.NOT_PERMITTED: "The gateway's settings do not permit it: see `commands.permit` and `devices.<ID>.permit`.",
    Reason.STARTING: "The gateway has only just started and takes no commands yet. Give it again in some seconds.",
    Reason.DUPLICATE: "It was given before, with the same transaction, and nothing is done twice. Give it anew.",
    Reason.CLOCK_UNTRUSTED: "The gateway does not trust its own clock and cannot judge how old an opening command is. "
    "Switch time synchronisation on there (timedatectl set-ntp true), or see `commands.trust_clock`.",
    Reason.STALE: "By the gateway's clock the command is older than `commands.ttl_s`. Compare both machines' clocks, "
    "then give it again.",
    Reason.CLOCK_AHEAD: "The clock of this machine is ahead of the gateway's. Set both right, then give it again.",
    Reason.NEEDS_TS: "Over MQTT 3.1.1 the gateway takes opening commands only with a fresh `ts`, and it found none in "
    "this one. Compare its version (`nuki2mqtt status`) with that of this program (`nuki2mqtt --version`).",
    Reason.BUSY: "Something else is under way. Give it again when that has ended, or set `commands.overlap: queue`.",
    Reason.JOINED: "An equal command is under way; its end counts for this one, too, and nothing moves twice.",
    Reason.QUEUED: "It waits for what is under way.",
    Reason.SUPERSEDED: "A newer command took its place.",
    Reason.BRIDGE_UNREACHABLE: "The gateway does not reach the Bridge. Check its power and network; `nuki2mqtt status` "
    "shows what is wrong with it.",
    Reason.DEVICE_UNREACHABLE: "The Bridge does not reach the device. Check its batteries and how far it is away.",
    Reason.TOKEN_REFUSED: "The Bridge refuses the token. `nuki2mqtt check` says more, `nuki2mqtt pair` gets a new one.",
    Reason.BRIDGE_SAID_NO: "The Bridge refused it. Try the same in the Nuki app, which says why.",
    Reason.MOTOR_BLOCKED: "The motor is blocked, and the bolt may be half way. Free it, best by hand.",
    Reason.NO_ANSWER: "The Bridge did not answer. If this lasts, unplug the Bridge for ten seconds.",
    Reason.RESTARTED: "The gateway was restarted while it was under way, and does not send it again.",
}

# Where the same word means something else, or asks for another step.
_SPECIAL = {
    (Status.ACCEPTED, None): "The gateway has taken it.",
    (Status.UNCONFIRMED, None): "Nothing proved in time that it was done.",
    (Status.FAILED, None): "It was not done.",
    (Status.EXPIRED, None): "It could not be sent in time. Give it again.",
    (Status.REFUSED, None): "The gateway does not take it.",
    (Status.FAILED, Reason.BUSY): "The Bridge was busy with something else. Give it again.",
    (Status.EXPIRED, Reason.BUSY): "It could not be sent in time: another command was under way. Give it again.",
    (Status.FAILED, Reason.NO_ANSWER): "The Bridge did not answer, and nothing had moved. Give it again.",
    (Status.REFUSED, Reason.SUPERSEDED): "A newer command took its place while it waited; it was not sent.",
    (Status.UNCONFIRMED, Reason.SUPERSEDED): "A newer command was sent before the end of this one could be seen.",
}


@dataclass(slots=True)
class Ending:
    """All that the exit status of a command comes from, however the process ends.

    `status` is that of the result, None as long as none is known; `was_sent` whether the lock may have moved; `signal`
    what ended the waiting.
    """

    was_sent: bool = False
    status: int | None = None
    signal: int | None = None

    @property
    def exit_status(self) -> int:
        """What is known comes first. Nothing that was sent ends like something that was not."""
        if self.status is not None:
            return self.status
        if self.was_sent and self.signal != signals.SIGINT:
            return EXIT_UNKNOWN
        return EXIT_FAILED if self.signal is None else EXIT_SIGNAL + self.signal


@dataclass(frozen=True, slots=True)
class Step:
    """One result. `reason` is None without one, a text where this version does not know the word."""

    status: Status
    reason: Reason | str | None
    evidence: Evidence | None
    may_have_acted: bool
    state: str | None
    duration_s: float | None

    @property
    def exit_status(self) -> int | None:
        """What to end with; None while it goes on."""
        return EXITS.get(self.status)

    def __str__(self) -> str:
        if self.status is Status.CONFIRMED:
            return f"confirmed: {self._what_was_seen()}"
        parts = [f"{self.status}: {self._why()}"]
        if self.exit_status is not None:
            if self.state is not None:
                parts.append(f"Last seen: {self.state}.")
            if self.may_have_acted or self.status is Status.UNCONFIRMED:
                parts.append(LOOK)
        return " ".join(parts)

    def _why(self) -> str:
        known = self.reason if isinstance(self.reason, Reason) else None
        if self.reason is not None and known is None:
            return f"The reason {self.reason!r} is not known to this version; see the gateway's log."
        if (self.status, known) in _SPECIAL:
            return _SPECIAL[self.status, known]
        return "" if known is None else _REASONS[known]

    def _what_was_seen(self) -> str:
        text = self.state or "done"
        if self.duration_s is not None:
            text += f" after {self.duration_s:.1f} s"
        if self.evidence is not None:
            text += f"; {_EVIDENCE[self.evidence]}"
        return text


def read_step(body: dict[str, Any]) -> Step | None:
    """Read a result; None for what is none that we know. Wrong types are left out, foreign text is made harmless."""
    status = next((each for each in Status if each == body.get("status")), None)
    if status is None:
        return None
    reason, state, duration = body.get("reason"), body.get("state"), body.get("duration_s")
    is_number = isinstance(duration, int | float) and not isinstance(duration, bool) and 0 <= duration < 1e6
    return Step(
        status=status,
        reason=_reason(reason) if isinstance(reason, str) else None,
        evidence=next((each for each in Evidence if each == body.get("evidence")), None),
        may_have_acted=body.get("may_have_acted") is True,
        state=printable(state) if isinstance(state, str) and state else None,
        duration_s=duration if is_number else None,
    )


def _reason(word: str) -> Reason | str:
    return next((each for each in Reason if each == word), printable(word))
