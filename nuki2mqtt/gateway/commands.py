"""Commands under way: lanes of accepted commands, moved along the table of `command_life`.

Who may enter is decided in `admission`; here it is decided what is sent, when we look, and how it ends. One lane per
device: a different action waits or is refused while the Bridge's answer is outstanding, an equal one is joined.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.cloud_commands import turn_of
from nuki2mqtt.gateway.command_journal import CommandJournal
from nuki2mqtt.gateway.command_lane import Command, End, Lane
from nuki2mqtt.gateway.command_life import BEFORE_THE_ANSWER, Phase, Turn, next_phase
from nuki2mqtt.gateway.command_routes import CommandRoutes
from nuki2mqtt.gateway.evidence import Observation, Trial
from nuki2mqtt.gateway.news import (
    AskEnded,
    CloudOrderEnded,
    CloudReadEnded,
    Happening,
    ListEnded,
    News,
    OrderBegun,
    OrderEnded,
    OrderHeld,
    OrderSent,
    PairEnded,
    ReadEnded,
    SearchEnded,
)
from nuki2mqtt.gateway.vocabulary import CLOUD, Moment
from nuki2mqtt.model.command import Evidence, Reason
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DeviceState, Source
from nuki2mqtt.protocol.bridge_api import ActionAnswer
from nuki2mqtt.protocol.settings import CommandSettings
from nuki2mqtt.protocol.settings_words import Overlap

REFUSED_RETRIES_S = (1.0, 2.0, 4.0)
REPEATS_S = (2.0, 4.0, 8.0)
REPEAT_WITHIN_S = 60.0  # after that nobody expects the lock to turn any more
LOOKS_S = (2.0, 5.0, 10.0)
READ_AFTER_S = 10.0
READ_PATIENCE_S = 45.0  # a direct read takes up to 30 s, and others may be before it
MOST_JOINED = 100

_CLEAR_NO = frozenset({BridgeErrorKind.FORBIDDEN, BridgeErrorKind.BAD_REQUEST, BridgeErrorKind.NOT_PAIRED})
_HELD_BY = {BridgeErrorKind.TOKEN_REFUSED: Reason.TOKEN_REFUSED, BridgeErrorKind.BUSY: Reason.BUSY}
_CAUSES = {BridgeErrorKind.BUSY: Reason.BUSY, BridgeErrorKind.DEVICE_OFFLINE: Reason.DEVICE_UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Said:
    """One step to be told: `end` is None where the command is accepted, with `reason` where it waits."""

    command: Command
    end: End | None
    reason: Reason | None = None


class Commands:
    """The lanes of all devices."""

    def __init__(self, settings: CommandSettings, routes: CommandRoutes, journal: CommandJournal) -> None:
        self.journal = journal
        self._settings = settings
        self._routes = routes
        self._lanes: dict[NukiId, Lane] = {}
        self._said: list[Said] = []

    # --- Coming in ----------------------------------------------------------------------------------------------------

    def take(self, command: Command, now: Moment) -> Reason | None:
        """Let a command into its lane; a reason if it is refused."""
        lane = self._lanes.setdefault(command.nuki_id, Lane())
        twin = lane.twin(command)
        if lane.goes_round(command, twin) and (twin is None or twin.end is not None):
            return Reason.DUPLICATE
        if twin is not None:
            return self._join(command, twin, now)
        if command.facts.opens and self._routes.is_held(command.nuki_id, now):
            return Reason.BUSY
        if not lane.is_busy:
            self._accept(command, None, now)
            self._start(lane, command, now)
            return None
        if command.facts.opens and self._settings.overlap is Overlap.REJECT:
            return Reason.BUSY
        if lane.queued is not None:
            self._turn(lane, lane.queued, Turn.SUPERSEDED, Reason.SUPERSEDED)
        lane.queued = command
        lane.enter(command)
        command.due = command.deadline
        self._accept(command, Reason.QUEUED, now)
        return None

    def _join(self, command: Command, twin: Command, now: Moment) -> Reason | None:
        if len(twin.joined) >= MOST_JOINED:
            return Reason.BUSY
        command.is_joined = True
        self._accept(command, Reason.JOINED, now)
        if twin.end is None:
            twin.joined.append(command)
        else:
            self._end(command, twin.end)
        return None

    def _accept(self, command: Command, reason: Reason | None, now: Moment) -> None:
        self.journal.accept(command.nuki_id, command.action, command.order.key, now, opens=command.facts.opens)
        command.journal_id = self.journal.write(command.journal_entry(now))
        self._said.append(Said(command, None, reason))

    def _start(self, lane: Lane, command: Command, now: Moment) -> None:
        if lane.active is not None:
            self._supersede(lane, lane.active)
        if lane.queued is command:
            lane.queued = None
        lane.active = command
        lane.enter(command)
        command.due = command.deadline
        self._order(lane, command, now, 0.0)

    def _supersede(self, lane: Lane, command: Command) -> None:
        if command.is_evident:
            self._turn(lane, command, Turn.EVIDENCE, evidence=Evidence.TRANSITION)
        else:
            self._turn(lane, command, Turn.SUPERSEDED, Reason.SUPERSEDED)

    def _order(self, lane: Lane, command: Command, now: Moment, delay_s: float) -> None:
        """Have it sent; as long as nothing was written by whichever way is best."""
        if command.trial is None or command.link is None:
            self._withdraw(command)
            choice = self._routes.choose_for(
                command.nuki_id,
                command.action,
                opens=command.facts.opens,
                is_not_written=command.was_unreached,
                deadline=command.deadline,
                now=now,
            )
            command.link = choice.link
            if choice.refusal is not None:
                self._turn(lane, command, Turn.NEVER_WRITTEN, choice.refusal)
                return
        due = now.monotonic + delay_s
        if command.link == CLOUD:
            if command.journal_id is not None:
                self.journal.route_by_cloud(command.journal_id, now)
            self._routes.order_from_cloud(command.nuki_id, command.action, due, command.deadline, now)
        elif command.link is not None:
            not_after = command.deadline if command.trial is None else command.received + REPEAT_WITHIN_S
            self._routes.order(command.link, command.nuki_id, command.facts.code, due, not_after)

    def _withdraw(self, command: Command) -> None:
        if command.link is not None:
            self._routes.withdraw(command.link, command.nuki_id)

    # --- What happens -------------------------------------------------------------------------------------------------

    def hear(self, news: News, now: Moment) -> None:
        """Take in what following the Bridges brought."""
        match news:
            case OrderSent(nuki_id):
                self._sent(nuki_id, now)
            case OrderBegun(nuki_id, at):
                self._begun(nuki_id, at)
            case OrderEnded():
                self._answered(news, now)
            case CloudOrderEnded():
                self._answered_by_cloud(news, now)
            case CloudReadEnded():
                self._read_in_cloud(news, now)
            case OrderHeld(nuki_id, error):
                self._held(nuki_id, error, now)
            case Observation():
                self._observe(news, now)
            case ReadEnded():
                self._read(news, now)
            case ListEnded() | AskEnded() | SearchEnded() | PairEnded() | Happening():
                pass

    def _sent(self, nuki_id: NukiId, now: Moment) -> None:
        lane = self._lanes[nuki_id]
        command = lane.active
        if command is None:
            raise ValueError(f"an order went to {nuki_id} without a command")
        self._turn(lane, command, Turn.SENDING)
        command.due = None
        if command.trial is None:
            before = self._routes.state_before(command.link, nuki_id, now)
            command.trial = Trial(
                command.facts, before, now.monotonic, discounted=lane.still_bringing_about(now.monotonic)
            )
            lane.sent.append(command)
            if command.link == CLOUD and command.facts.opens:
                self._routes.sent_to_cloud(nuki_id)

    def _begun(self, nuki_id: NukiId, at: float) -> None:
        """Only now it goes to the wire: what was seen while the state file was written proves nothing of it."""
        lane = self._lanes.get(nuki_id)
        command = None if lane is None else lane.active
        if command is not None and command.trial is not None and command.phase is Phase.SENT and not command.repeats:
            command.trial.sent = max(command.trial.sent, at)

    def _answered(self, news: OrderEnded, now: Moment) -> None:
        lane, answer = self._lanes.get(news.nuki_id), news.answer
        if lane is None:
            return
        command = lane.active
        if lane.outstanding == news.link:
            lane.outstanding = None
        elif command is None or command.phase is not Phase.SENT or command.trial is None or command.link != news.link:
            return  # of a command that nobody remembers: another gateway owned the base in between
        elif isinstance(answer, BridgeError):
            self._failed(lane, command, answer, now)
        elif isinstance(answer, ActionAnswer) and answer.success:
            self._turn(lane, command, Turn.SUCCESS)
            command.trial.answered = news.received
            command.cause = None
            command.due = now.monotonic + self._settings.confirm_s
            command.looks = [now.monotonic + look_s for look_s in LOOKS_S]
        elif isinstance(answer, ActionAnswer):
            self._turn(lane, command, Turn.DENIED, Reason.BRIDGE_SAID_NO)
        else:
            # Nobody knows what it means: only a clear no is one.
            self._failed(lane, command, BridgeError(BridgeErrorKind.UNREADABLE), now)
        self._advance(lane, now)

    def _failed(self, lane: Lane, command: Command, error: BridgeError, now: Moment) -> None:
        if not error.may_have_acted and not command.repeats:
            if error.kind is BridgeErrorKind.TOO_LATE:
                self._forget_sending(lane, command)
                self._turn(lane, command, Turn.TOO_LATE, Reason.BUSY)
            elif error.kind is BridgeErrorKind.REFUSED:
                self._forget_sending(lane, command)
                command.was_unreached = True
                self._try_again(lane, command, Reason.BRIDGE_UNREACHABLE, now)
            elif error.kind in _CLEAR_NO:
                self._turn(lane, command, Turn.DENIED, Reason.BRIDGE_SAID_NO)
            else:
                self._turn(lane, command, Turn.NEVER_WRITTEN, Reason.TOKEN_REFUSED)
            return
        if error.kind is BridgeErrorKind.DEVICE_OFFLINE:
            self._routes.unreachable(command.nuki_id, now)
        cause = _CAUSES.get(error.kind, Reason.NO_ANSWER)
        if self._may_repeat(command, now):
            self._turn(lane, command, Turn.UNKNOWN_MAY_REPEAT, cause)
            command.looks = [now.monotonic]
            command.due = command.received + REPEAT_WITHIN_S
            self._order(lane, command, now, REPEATS_S[command.repeats])
            command.repeats += 1
        else:
            self._turn(lane, command, Turn.UNKNOWN, cause)
            self._doubt(command, now)

    def _may_repeat(self, command: Command, now: Moment) -> bool:
        if command.facts.opens or command.is_evident or command.repeats >= len(REPEATS_S):
            return False
        return now.monotonic + REPEATS_S[command.repeats] < command.received + REPEAT_WITHIN_S

    @staticmethod
    def _doubt(command: Command, now: Moment) -> None:
        command.looks = [now.monotonic + look_s for look_s in (0.0, *LOOKS_S)]
        command.due = now.monotonic + READ_AFTER_S

    def _forget_sending(self, lane: Lane, command: Command) -> None:
        """Not a byte was written."""
        command.trial = None
        lane.sent = [one for one in lane.sent if one is not command]

    def _held(self, nuki_id: NukiId, error: BridgeError, now: Moment) -> None:
        lane = self._lanes.get(nuki_id)
        command = None if lane is None else lane.active
        if lane is None or command is None:
            return
        if command.phase is Phase.REPEATING:
            self._order(lane, command, now, REPEATS_S[0])
        elif command.phase is Phase.WAITING and command.link != CLOUD:
            command.was_unreached = command.was_unreached or error.kind is BridgeErrorKind.REFUSED
            self._try_again(lane, command, _HELD_BY.get(error.kind, Reason.BRIDGE_UNREACHABLE), now)
        self._advance(lane, now)

    def _try_again(self, lane: Lane, command: Command, cause: Reason, now: Moment) -> None:
        """Nothing was written: again a little later, within the ttl."""
        tries = command.refusals
        if tries < len(REFUSED_RETRIES_S) and now.monotonic + REFUSED_RETRIES_S[tries] < command.deadline:
            self._turn(lane, command, Turn.NOT_WRITTEN)
            command.refusals += 1
            command.due = command.deadline
            self._order(lane, command, now, REFUSED_RETRIES_S[tries])
        else:
            self._turn(lane, command, Turn.NEVER_WRITTEN, cause)

    def _observe(self, seen: Observation, now: Moment) -> None:
        lane = self._lanes.get(seen.nuki_id)
        command = None if lane is None else lane.active
        if lane is None or command is None or command.trial is None:
            return
        if seen.source is Source.WEB and command.link != CLOUD:
            return  # the cloud's copy may be older than the order, and nothing tells
        command.has_report = command.has_report or seen.is_since(command.trial.sent)
        if command.trial.is_blocked(seen):
            self._turn(lane, command, Turn.BLOCKED, Reason.MOTOR_BLOCKED)
        elif (evidence := command.trial.judge(seen)) is not None:
            self._turn(lane, command, Turn.EVIDENCE, evidence=evidence)
        elif command.trial.has_run and command.phase is Phase.REPEATING:
            self._time_up(lane, command, now)  # it runs: nothing is to be sent again
        self._advance(lane, now)

    def _read(self, news: ReadEnded, now: Moment) -> None:
        lane = self._lanes.get(news.nuki_id)
        command = None if lane is None else lane.active
        if lane is None or command is None or command.phase not in {Phase.VERIFYING, Phase.LOOKING}:
            return
        if news.sent < command.look_from and not command.is_evident:
            self._read_now(lane, command, now)  # that one was on its way before: it tells of too early a time
            self._advance(lane, now)
            return
        state: DeviceState | None = news.state
        if command.is_evident:
            self._turn(lane, command, Turn.EVIDENCE, evidence=Evidence.TRANSITION)
        elif state is not None and command.trial is not None and command.trial.is_unmoved(state):
            self._turn(lane, command, Turn.UNMOVED)
        else:
            is_unreached = news.error is None or news.error.kind is BridgeErrorKind.DEVICE_OFFLINE
            why = Reason.DEVICE_UNREACHABLE if is_unreached else Reason.BRIDGE_UNREACHABLE
            cause = why if state is None else None
            self._turn(lane, command, Turn.NOTHING_PROVED, cause)
        self._advance(lane, now)

    # --- By the cloud -------------------------------------------------------------------------------------------------

    def _answered_by_cloud(self, news: CloudOrderEnded, now: Moment) -> None:
        """A 204 says only that the order waits there: it is no evidence, and nothing is ever sent again."""
        lane = self._lanes.get(news.nuki_id)
        if lane is None:
            return
        command = lane.active
        turn, cause = turn_of(news.answer, opens=command is not None and command.facts.opens)
        if lane.outstanding == CLOUD:
            lane.outstanding = None
        elif command is None or command.link != CLOUD:
            return
        elif not news.was_sent and command.phase in {Phase.WAITING, Phase.SENT}:
            self._unsent(lane, command, turn, cause, now)
        elif command.phase is not Phase.SENT or command.trial is None:
            return
        elif turn is Turn.SUCCESS:
            self._turn(lane, command, Turn.SUCCESS)
            command.due = now.monotonic + self._settings.confirm_s
            command.looks = [now.monotonic + look_s for look_s in LOOKS_S]
        elif turn is Turn.NOT_WRITTEN:
            self._not_taken_by_cloud(lane, command, now)
            self._try_again(lane, command, cause or Reason.BRIDGE_UNREACHABLE, now)
        else:
            self._turn(lane, command, turn, cause)
            if turn is Turn.UNKNOWN:
                self._doubt(command, now)
            else:
                self._forget_sending(lane, command)  # after a clear no it will not bring about anything
        self._advance(lane, now)

    def _not_taken_by_cloud(self, lane: Lane, command: Command, now: Moment) -> None:
        """Nothing of it waits there; what an opening order before it left open stays so if this one does not open."""
        self._forget_sending(lane, command)
        if command.facts.opens:
            self._routes.ended_in_cloud(command.nuki_id, now, is_certain=True)

    def _unsent(self, lane: Lane, command: Command, turn: Turn, cause: Reason | None, now: Moment) -> None:
        """It never went out: its read grew too old meanwhile, or the cloud may not be asked for this at all."""
        if command.phase is Phase.SENT:
            self._not_taken_by_cloud(lane, command, now)
            self._turn(lane, command, Turn.NOT_WRITTEN)
        command.link = None
        if turn is not Turn.TOO_LATE:
            self._turn(lane, command, Turn.NEVER_WRITTEN, cause)
        elif now.monotonic < command.deadline:
            command.due = command.deadline
            self._order(lane, command, now, 0.0)
        else:
            self._time_up(lane, command, now)

    def _read_in_cloud(self, news: CloudReadEnded, now: Moment) -> None:
        """What was read there was observed already; that it shows the lock unmoved proves nothing of an order."""
        lane = self._lanes.get(news.nuki_id)
        command = None if lane is None else lane.active
        if lane is None or command is None or command.link != CLOUD:
            return
        if command.phase in {Phase.VERIFYING, Phase.LOOKING} and news.sent >= command.look_from:
            if command.is_evident:
                self._turn(lane, command, Turn.EVIDENCE, evidence=Evidence.TRANSITION)
            else:
                self._turn(lane, command, Turn.NOTHING_PROVED)
            self._advance(lane, now)

    # --- Time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called."""
        times = [time for command in self._under_way() for time in (command.due, *command.looks) if time is not None]
        return min(times, default=None)

    def _under_way(self) -> Iterator[Command]:
        for lane in self._lanes.values():
            yield from lane.under_way

    def handle_timer(self, now: Moment) -> None:
        """Look where it is time to look, and end what has waited long enough."""
        for lane in list(self._lanes.values()):
            for command in lane.under_way:
                if command.looks and command.looks[0] <= now.monotonic:
                    command.looks = [look for look in command.looks if look > now.monotonic]
                    if command.link is not None:
                        self._routes.look(command.link, command.nuki_id, now)
                if command.due is not None and command.due <= now.monotonic:
                    self._time_up(lane, command, now)
                elif command.phase is Phase.WAITING and command.link is None and command is lane.active:
                    self._order(lane, command, now, 0.0)
            self._advance(lane, now)

    def _time_up(self, lane: Lane, command: Command, now: Moment) -> None:
        command.due = None
        match command.phase:
            case Phase.WAITING:
                is_queued = command is lane.queued
                why = Reason.BUSY if is_queued else self._routes.why_waiting(command.link, command.nuki_id)
                self._turn(lane, command, Turn.TIME_UP, why)
            case Phase.REPEATING:
                self._withdraw(command)
                self._turn(lane, command, Turn.TIME_UP)
                self._doubt(command, now)
            case _ if command.is_evident:
                self._turn(lane, command, Turn.EVIDENCE, evidence=Evidence.TRANSITION)
            case Phase.ACKNOWLEDGED | Phase.DOUBTFUL:
                self._turn(lane, command, Turn.TIME_UP)
                command.due, command.look_from = now.monotonic + READ_PATIENCE_S, now.monotonic
                self._read_now(lane, command, now)
            case _:
                self._turn(lane, command, Turn.TIME_UP)

    def _read_now(self, lane: Lane, command: Command, now: Moment) -> None:
        if command.link is None or not self._routes.read(command.link, command.nuki_id, now):
            self._turn(lane, command, Turn.NOTHING_PROVED)

    def _advance(self, lane: Lane, now: Moment) -> None:
        """Let the next one have its turn."""
        if lane.queued is not None and not lane.is_busy:
            self._start(lane, lane.queued, now)

    # --- Ends ---------------------------------------------------------------------------------------------------------

    def _turn(
        self,
        lane: Lane,
        command: Command,
        turn: Turn,
        cause: Reason | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        was = command.phase
        command.phase = next_phase(was, turn)
        command.cause = cause or command.cause
        if not command.phase.is_end:
            return
        if was is Phase.SENT and turn in BEFORE_THE_ANSWER:
            lane.outstanding = command.link
        if command.link is not None:
            self._routes.withdraw(command.link, command.nuki_id)
            self._routes.drop_read(command.link, command.nuki_id)
        lane.leave(command)
        end = command.make_end(turn, evidence)
        for each in (command, *command.joined):
            self._end(each, end)

    def _end(self, command: Command, end: End) -> None:
        command.end = end
        command.due, command.looks = None, []
        if not end.may_have_acted:
            self.journal.forget(command.nuki_id, command.action, command.order.key)
        self._said.append(Said(command, end))

    def stop(self) -> None:
        """The gateway stops: nothing more is sent, and everything ends now."""
        for lane in self._lanes.values():
            for command in lane.under_way[::-1]:
                if command.is_evident:
                    self._supersede(lane, command)
                else:
                    self._turn(lane, command, Turn.STOPPED, Reason.RESTARTED)

    def forget(self, nuki_id: NukiId) -> None:
        """This device is gone; nothing of it is under way."""
        self._lanes.pop(nuki_id, None)

    def drop(self) -> None:
        """Another gateway owns the base: nothing is sent and nothing is said any more."""
        for command in self._under_way():
            self._withdraw(command)
        self._lanes.clear()
        self._said.clear()
        self.journal.leave_open()

    # --- Views --------------------------------------------------------------------------------------------------------

    def take_said(self) -> list[Said]:
        """What is to be told since the last call, in order."""
        said, self._said = self._said, []
        return said

    def derived_state(self, nuki_id: NukiId) -> int | None:
        """The state that is concluded from our own command, if any."""
        lane = self._lanes.get(nuki_id)
        return None if lane is None or lane.active is None else lane.active.derived_state

    def is_under_way(self, nuki_id: NukiId) -> bool:
        """Whether a command of this device has no end, or its answer is still to come."""
        lane = self._lanes.get(nuki_id)
        return lane is not None and (bool(lane.under_way) or lane.outstanding is not None)

    @property
    def under_way(self) -> int:
        """How many commands have no end yet, without those that were joined."""
        return sum(1 for _ in self._under_way())
