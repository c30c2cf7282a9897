"""By which way a command goes to its lock: a Bridge, or Nuki's cloud (`nuki_web.commands`).

The cloud answers an order with 204: it is queued, may open a door hours later, and cannot be called back (web
reference 6.2). So an order goes there only

- if no Bridge knows the lock; or, with `fallback`, if the connection to the Bridge failed before a byte was written.
  After a 503, a timeout or a reset nothing does: it may have been carried out, and the Bridge repeats what closes. Nor
  after a clear no;
- right after a read that shows the lock online: one sent at most 15 s before the order is (`send_by`);
- if the lane is not held: for two minutes after an order that let nobody see its end, nothing that opens is sent, by
  no way.

Whether a Bridge knows the lock is undecided as long as one that may know it has not listed its locks since the start;
then a command waits. Once an order has gone to the cloud, nothing of that command goes to a Bridge. Two tables decide:
`FIRST` who is to carry it out, `CLOUD` what comes before the cloud does.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.command_life import Turn
from nuki2mqtt.gateway.vocabulary import CloudDeviceMemory
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.command import Reason
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.settings_words import WebCommands
from nuki2mqtt.protocol.web_api import WebAnswer, web_actions_of

FRESH_S = 15.0
HOLD_S = 120.0


class Local(StrEnum):
    """What Bridges are to this lock, and how they fared with this command."""

    NONE = "no Bridge knows it"
    UNDECIDED = "a Bridge that may know it has not listed its locks yet"
    UNTRIED = "a Bridge knows it"
    NOT_WRITTEN = "the connection failed before a byte was written"
    IN_DOUBT = "a byte was written and nobody knows what became of it"
    SAID_NO = "a Bridge said no"


class Sight(StrEnum):
    """What the youngest read of the cloud says of the lock."""

    ABSENT = "not in the account"
    OLD = "the last read is too old"
    ONLINE = "online"
    OFFLINE = "not online"
    FAILED = "the read for this command failed"


class Way(StrEnum):
    """What is to be done now with a command."""

    BRIDGE = "the Bridge has it, and keeps it"
    CLOUD = "order it from the cloud"
    READ_FIRST = "read this lock from the cloud, then decide again"
    WAIT = "wait and decide again, until it expires"
    REFUSE = "end it"


@dataclass(frozen=True, slots=True)
class Route:
    """The decision; with `REFUSE` the reason, with `WAIT` the one to give if it expires."""

    way: Way
    reason: Reason | None = None


_BRIDGE, _CLOUD, _WAIT = Route(Way.BRIDGE), Route(Way.CLOUD), Route(Way.WAIT, Reason.BRIDGE_UNREACHABLE)
_NOBODY = Route(Way.REFUSE, Reason.NOT_PERMITTED)

# Who is to carry it out: for what opens, for what closes.
FIRST: dict[tuple[WebCommands, Local], tuple[Route, Route]] = {
    (WebCommands.NEVER, Local.NONE): (_NOBODY, _NOBODY),
    (WebCommands.NEVER, Local.UNDECIDED): (_WAIT, _WAIT),
    (WebCommands.NEVER, Local.UNTRIED): (_BRIDGE, _BRIDGE),
    (WebCommands.NEVER, Local.NOT_WRITTEN): (_BRIDGE, _BRIDGE),
    (WebCommands.NEVER, Local.IN_DOUBT): (_BRIDGE, _BRIDGE),
    (WebCommands.NEVER, Local.SAID_NO): (_BRIDGE, _BRIDGE),
    (WebCommands.WHEN_NO_BRIDGE, Local.NONE): (_CLOUD, _CLOUD),
    (WebCommands.WHEN_NO_BRIDGE, Local.UNDECIDED): (_WAIT, _WAIT),
    (WebCommands.WHEN_NO_BRIDGE, Local.UNTRIED): (_BRIDGE, _BRIDGE),
    (WebCommands.WHEN_NO_BRIDGE, Local.NOT_WRITTEN): (_BRIDGE, _BRIDGE),
    (WebCommands.WHEN_NO_BRIDGE, Local.IN_DOUBT): (_BRIDGE, _BRIDGE),
    (WebCommands.WHEN_NO_BRIDGE, Local.SAID_NO): (_BRIDGE, _BRIDGE),
    (WebCommands.FALLBACK, Local.NONE): (_CLOUD, _CLOUD),
    (WebCommands.FALLBACK, Local.UNDECIDED): (_WAIT, _WAIT),
    (WebCommands.FALLBACK, Local.UNTRIED): (_BRIDGE, _BRIDGE),
    (WebCommands.FALLBACK, Local.NOT_WRITTEN): (_CLOUD, _CLOUD),
    (WebCommands.FALLBACK, Local.IN_DOUBT): (_BRIDGE, _BRIDGE),
    (WebCommands.FALLBACK, Local.SAID_NO): (_BRIDGE, _BRIDGE),
}

# What comes before the cloud does: where a Bridge knows the lock, which then goes on with it, and where none does.
CLOUD: dict[Sight, tuple[Route, Route]] = {
    Sight.ABSENT: (_BRIDGE, Route(Way.REFUSE, Reason.DEVICE_UNREACHABLE)),
    Sight.OLD: (Route(Way.READ_FIRST), Route(Way.READ_FIRST)),
    Sight.ONLINE: (_CLOUD, _CLOUD),
    Sight.OFFLINE: (_BRIDGE, Route(Way.REFUSE, Reason.DEVICE_UNREACHABLE)),
    Sight.FAILED: (_BRIDGE, _WAIT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that the decision depends on.

    `opens` as docs/topics.md defines it. `can_do`: the device understands the action through the cloud
    (`CloudAbilities`). `is_held`: see `CloudHolds`.
    """

    setting: WebCommands
    local: Local
    sight: Sight
    opens: bool
    can_do: bool
    is_held: bool


def decide(question: Question) -> Route:
    """Where a command goes now; to be asked again at each turn of it as long as nothing was written."""
    if question.opens and question.is_held:
        return Route(Way.REFUSE, Reason.BUSY)
    opening, closing = FIRST[question.setting, question.local]
    first = opening if question.opens else closing
    if first.way is not Way.CLOUD:
        return first
    is_known = question.local is not Local.NONE
    if not question.can_do:
        return _BRIDGE if is_known else Route(Way.REFUSE, Reason.UNKNOWN_ACTION)
    with_bridge, without = CLOUD[question.sight]
    return with_bridge if is_known else without


def send_by(read_sent: float, deadline: float) -> float:
    """Until when (monotonic seconds) an order may be written after a read that was sent then."""
    return min(read_sent + FRESH_S, deadline)


# What an answer of the cloud to an order is in the life of a command. Whatever may have been taken is in doubt, and not
# repeated, not even when it closes: the cloud would keep both.
_TURNS: dict[WebErrorKind, tuple[Turn, Reason]] = {
    WebErrorKind.REFUSED: (Turn.NOT_WRITTEN, Reason.BRIDGE_UNREACHABLE),
    WebErrorKind.TOO_LATE: (Turn.TOO_LATE, Reason.BUSY),
    WebErrorKind.TIMEOUT: (Turn.UNKNOWN, Reason.NO_ANSWER),
    WebErrorKind.RESET: (Turn.UNKNOWN, Reason.NO_ANSWER),
    WebErrorKind.BAD_REQUEST: (Turn.DENIED, Reason.BRIDGE_SAID_NO),
    WebErrorKind.TOKEN_REFUSED: (Turn.NEVER_WRITTEN, Reason.TOKEN_REFUSED),
    WebErrorKind.PAYMENT_REQUIRED: (Turn.DENIED, Reason.BRIDGE_SAID_NO),
    WebErrorKind.FORBIDDEN: (Turn.DENIED, Reason.BRIDGE_SAID_NO),
    WebErrorKind.NOT_FOUND: (Turn.DENIED, Reason.BRIDGE_SAID_NO),
    WebErrorKind.NOT_ALLOWED: (Turn.DENIED, Reason.BRIDGE_SAID_NO),
    WebErrorKind.CONFLICT: (Turn.DENIED, Reason.BRIDGE_SAID_NO),
    WebErrorKind.LOCKED: (Turn.DENIED, Reason.BUSY),
    WebErrorKind.UPGRADE_REQUIRED: (Turn.DENIED, Reason.BRIDGE_SAID_NO),
    WebErrorKind.TOO_MANY: (Turn.NEVER_WRITTEN, Reason.BUSY),
    WebErrorKind.SERVER_ERROR: (Turn.UNKNOWN, Reason.NO_ANSWER),
    WebErrorKind.UNEXPECTED_STATUS: (Turn.UNKNOWN, Reason.NO_ANSWER),
    WebErrorKind.UNREADABLE: (Turn.UNKNOWN, Reason.NO_ANSWER),
}

# 423: an operation of somebody else holds the lock, and nothing was taken. It may be opening the door just now, so that
# what opens is not tried again; what closes is, after a read that is young enough.
_CLOSING_TURNS = {**_TURNS, WebErrorKind.LOCKED: (Turn.NOT_WRITTEN, Reason.BUSY)}


def turn_of(answer: WebAnswer | WebError, *, opens: bool) -> tuple[Turn, Reason | None]:
    """What the answer to an order is for the command; `opens` as docs/topics.md defines it.

    A 204 is `SUCCESS`, but it says only that the order waits: it is no evidence, and a look that shows the lock unmoved
    proves nothing either, after it or after an `UNKNOWN`. Without a transition or the target from elsewhere the end is
    `unconfirmed`.
    """
    if not isinstance(answer, WebError):
        return Turn.SUCCESS, None
    return (_TURNS if opens else _CLOSING_TURNS)[answer.kind]


@dataclass(slots=True)
class CloudHolds:
    """Devices of which an order may still wait in the cloud. Times are monotonic seconds."""

    _until: dict[NukiId, float] = field(default_factory=dict)

    def begin(self, nuki_id: NukiId, now: float) -> None:
        """An opening order that the cloud took, or may have taken, ended without evidence; or did so before a crash."""
        self._until[nuki_id] = now + HOLD_S

    def begin_open(self, nuki_id: NukiId) -> None:
        """An opening order goes to the cloud; its end will `begin` or `release`."""
        self._until[nuki_id] = inf

    def release(self, nuki_id: NukiId) -> None:
        """What became of the order is known."""
        self._until.pop(nuki_id, None)

    def settle(self, now: float) -> None:
        """Another gateway had the base meanwhile: the ends of our orders were told to nobody."""
        for nuki_id, until in self._until.items():
            if until == inf:
                self.begin(nuki_id, now)

    def is_held(self, nuki_id: NukiId, now: float) -> bool:
        """Whether nothing that opens is to be sent to this device."""
        return now < self._until.get(nuki_id, now)

    def next_deadline(self, now: float) -> float | None:
        """When the next hold ends."""
        return min((until for until in self._until.values() if now < until < inf), default=None)


_UNLATCHING = frozenset({Action.UNLATCH, Action.LOCK_N_GO_UNLATCH})


@dataclass(slots=True)
class CloudAbilities:
    """What devices can do through the cloud. Those sold in the United States cannot unlatch.

    No field tells (web reference 5): it is learnt from the 400 to an unlatch. `remembered` is for the state file, or a
    restart would offer a button that does nothing. It holds only what the cloud said in so many words: a 400 without
    any counts until the end of the process.
    """

    remembered: dict[NukiId, CloudDeviceMemory] = field(default_factory=dict)
    _no_unlatch: set[NukiId] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with what a former process has learnt."""
        self._no_unlatch = {nuki_id for nuki_id, device in self.remembered.items() if device.no_unlatch}

    def actions(self, nuki_id: NukiId, device_type: int) -> frozenset[Action]:
        """The actions that this device understands through the cloud."""
        known = frozenset(web_actions_of(device_type))
        return known - _UNLATCHING if nuki_id in self._no_unlatch else known

    def refused(self, nuki_id: NukiId, action: Action, error: WebError) -> bool:
        """Take in the end of an order; whether this is how it was learnt that the device cannot unlatch."""
        is_about_it = error.kind is WebErrorKind.BAD_REQUEST and error.parameter in {None, "action"}
        if not is_about_it or action not in _UNLATCHING or nuki_id in self._no_unlatch:
            return False
        self._no_unlatch.add(nuki_id)
        if error.parameter is not None:
            self.remembered[nuki_id] = replace(self._of(nuki_id), no_unlatch=True)
        return True

    def _of(self, nuki_id: NukiId) -> CloudDeviceMemory:
        return self.remembered.get(nuki_id, CloudDeviceMemory())

    def was_alone(self, nuki_id: NukiId) -> bool:
        """Whether no Bridge had this device when that was known last."""
        return self._of(nuki_id).is_alone

    def note_way(self, nuki_id: NukiId, *, is_alone: bool) -> None:
        """Whether a Bridge has it is known: until it is again, the next process offers what this one does."""
        known = replace(self._of(nuki_id), is_alone=is_alone)
        if known == CloudDeviceMemory():
            self.remembered.pop(nuki_id, None)
        elif known != self._of(nuki_id):
            self.remembered[nuki_id] = known

    def forget(self, nuki_id: NukiId) -> None:
        """This device is gone."""
        self._no_unlatch.discard(nuki_id)
        self.remembered.pop(nuki_id, None)
