"""One command and its lane: a device has one command at a time, and at most one that waits for its turn."""

from dataclasses import dataclass, field

from nuki2mqtt.gateway.command_life import Phase, Turn
from nuki2mqtt.gateway.evidence import Trial
from nuki2mqtt.gateway.vocabulary import CLOUD, JournalEntry, Moment, MqttReceived
from nuki2mqtt.model.action import Action, ActionFacts
from nuki2mqtt.model.command import Evidence, Reason, Status
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.command_payloads import CommandOrder, transaction_key
from nuki2mqtt.protocol.topics import TopicTree

JOIN_S = 5.0
STILL_MOVING_S = 60.0  # a motor, a latch held open, the delay of lock 'n' go
_MOST_RECENT = 8
MAX_CORRELATION = 1024  # bytes; with more of it nothing is said on the response topic


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where a command's results go: `addressee` as the command named it; MQTT 5's response topic, if it may be used."""

    addressee: str
    response_topic: str | None = None
    correlation: bytes | None = None


def response_of(message: MqttReceived, tree: TopicTree) -> tuple[str | None, bytes | None]:
    """The response topic and its correlation data, where they may be used."""
    topic, correlation = message.response_topic, message.correlation
    if topic is None or len(correlation or b"") > MAX_CORRELATION or not tree.may_respond(topic):
        return None, None
    return topic, correlation


@dataclass(frozen=True, slots=True)
class End:
    """How a command ended."""

    status: Status
    reason: Reason | None = None
    evidence: Evidence | None = None
    may_have_acted: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Command:
    """One accepted command. Times are monotonic seconds.

    `arrived`: when the message came, which may have waited for us until `received` (None: not known to have).
    `deadline`: not sent after it. `due`: when the time of its phase is up. `looks`: when `/list` is wanted.
    `cause`: why its outcome is in doubt, or why it failed. `joined` are those that get the same end.
    `was_unreached`: a Bridge could not even be connected to. `is_dated`: our wall clock could be believed when it came.
    """

    nuki_id: NukiId
    action: Action
    facts: ActionFacts
    order: CommandOrder
    reply_to: ReplyTo
    received: float
    deadline: float
    arrived: float | None = None
    age_s: float | None = None
    is_dated: bool = False
    phase: Phase = Phase.WAITING
    link: str | None = None
    trial: Trial | None = None
    due: float | None = None
    looks: list[float] = field(default_factory=list)
    refusals: int = 0
    was_unreached: bool = False
    repeats: int = 0
    cause: Reason | None = None
    has_report: bool = False
    is_joined: bool = False
    look_from: float = 0.0
    journal_id: str | None = None
    end: End | None = None
    joined: "list[Command]" = field(default_factory=list)

    @property
    def came(self) -> float:
        """When somebody gave it, as far as we know."""
        return self.received if self.arrived is None else self.arrived

    @property
    def is_evident(self) -> bool:
        """Whether it was seen on its way, though not yet at its end."""
        return self.trial is not None and self.trial.has_run

    @property
    def derived_state(self) -> int | None:
        """The state to be concluded from the Bridge's `success` until a report comes."""
        is_acknowledged = self.phase in {Phase.ACKNOWLEDGED, Phase.VERIFYING}
        if self.trial is None or not is_acknowledged or self.has_report or self.link == CLOUD:
            return None
        is_there = self.trial.before is not None and not self.trial.was_elsewhere
        # A latch or a strike moves in any case, a bolt that is where it shall be does not.
        return None if is_there and self.action in {Action.LOCK, Action.UNLOCK} else self.facts.derived

    def make_end(self, turn: Turn, evidence: Evidence | None) -> End:
        """The end that this turn has brought."""
        status = Status(self.phase.value)
        match self.phase:
            case Phase.CONFIRMED:
                return End(status, None, evidence, may_have_acted=True)
            case Phase.UNCONFIRMED:
                return End(status, self.cause, None, may_have_acted=True)
            case Phase.FAILED:
                # A clear no to the last of several tries says nothing of the others.
                has_acted = turn is Turn.BLOCKED or (turn is Turn.DENIED and (self.repeats > 0 or self.is_evident))
                return End(status, self.cause, None, may_have_acted=has_acted)
            case _:
                return End(status, self.cause)

    def journal_entry(self, now: Moment) -> JournalEntry:
        """What the state file is to hold of it."""
        correlation = self.reply_to.correlation
        transaction = self.order.transaction
        return JournalEntry(
            device=self.nuki_id,
            action=self.action,
            accepted=now.wall,
            key=self.order.key,
            transaction=None if transaction is None else transaction_key(transaction),
            response_topic=self.reply_to.response_topic,
            correlation=None if correlation is None else correlation.hex(),
            opens=self.facts.opens,
            is_dated=self.is_dated,
        )


@dataclass(slots=True)
class Lane:
    """The commands of one device.

    `recent`: those that had or have their turn, the newest last, with what moved last among them. `outstanding`: the
    link whose answer to a command that has ended is still to come. `sent`: what went out lately. `rounds`: of bare
    opening commands that came without a pause, when the first and the last one did.
    """

    active: Command | None = None
    queued: Command | None = None
    recent: list[Command] = field(default_factory=list)
    sent: list[Command] = field(default_factory=list)
    outstanding: str | None = None
    rounds: dict[Action, tuple[float, float]] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether the Bridge's answer is yet to come."""
        is_unanswered = self.active is not None and self.active.phase in {Phase.WAITING, Phase.SENT}
        return self.outstanding is not None or is_unanswered

    @property
    def under_way(self) -> tuple[Command, ...]:
        """The commands without an end, in the order of their turns."""
        return tuple(command for command in (self.active, self.queued) if command is not None)

    def enter(self, command: Command) -> None:
        """This command is the newest one now."""
        kept = [one for one in self.recent if one is not command and (one.end is None or one.end.may_have_acted)]
        self.recent = [*kept[-_MOST_RECENT:], command]

    def leave(self, command: Command) -> None:
        """This command has ended."""
        if command is self.active:
            self.active = None
        if command is self.queued:
            self.queued = None

    def twin(self, command: Command) -> Command | None:
        """The command that this one is to be joined to: an equal one that has no answer, or was given just now."""
        last = self.recent[-1] if self.recent else None
        is_equal = last is not None and last.action is command.action
        if is_equal and (last is self.queued or (last is self.active and self.is_busy)):
            return last
        if command.order.key is not None or not command.facts.opens:
            return None
        # A copy of what was given before. What came in between and moved nothing makes no other wish of it.
        for one in reversed(self.recent):
            if one.end is not None and not one.end.may_have_acted:
                continue
            if one.action is command.action:
                return one if command.came - one.came <= JOIN_S else None
            if one is not self.queued and one.phase is not Phase.WAITING:
                return None
        return None

    def goes_round(self, command: Command, twin: Command | None) -> bool:
        """Whether equal ones have come without a pause for longer than one is joined; to be asked once for each.

        `twin` is what it would be joined to, which may have begun the round though it is no bare one.
        Between brokers that hand everything to each other a command goes round for ever. Without `transaction` and
        `ts` nothing tells a copy from a new wish, whatever became of the former ones and came in between.
        """
        if command.order.key is not None or not command.facts.opens:
            return False
        first, last = self.rounds.get(command.action, (command.came, command.came))
        first = first if command.came - last <= JOIN_S else command.came
        first = first if twin is None else min(first, twin.came)
        self.rounds[command.action] = first, max(last, command.came)
        return command.came - first > JOIN_S

    def still_bringing_about(self, now: float) -> frozenset[int]:
        """The states that the orders before may still bring about at this monotonic time."""
        self.sent = [one for one in self.sent if one.trial is not None and now - one.trial.sent <= STILL_MOVING_S]
        return frozenset().union(*(one.facts.passes | one.facts.settles | one.facts.agrees for one in self.sent))
