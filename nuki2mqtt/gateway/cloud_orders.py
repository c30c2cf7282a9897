"""What commands may do to the cloud: ask whether it is their way, read before and after, order once.

The decision itself is in `cloud_commands`; here its questions are answered, and its reads and orders made. An order to
the cloud goes out once per command at most: whoever has it sent must never have it sent again.
"""

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.cloud_commands import (
    CloudAbilities,
    CloudHolds,
    Local,
    Question,
    Route,
    Sight,
    Way,
    decide,
    send_by,
)
from nuki2mqtt.gateway.cloud_truth import CloudTruth
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.news import CloudOrderEnded, CloudReadEnded
from nuki2mqtt.gateway.vocabulary import Effect, JournalEntry, Level, Log, Memory, Moment
from nuki2mqtt.gateway.web_asks import WebAsks
from nuki2mqtt.gateway.web_jobs import WebEnded
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import DeviceState
from nuki2mqtt.protocol.settings_words import WebCommands
from nuki2mqtt.protocol.web_api import DeviceActionRequest, DeviceAnswer, DeviceRequest, web_code_of

READ_AGAIN_S = 2.0
READ_PATIENCE_S = 40.0
_NEVER_BY_BRIDGE = frozenset({5})  # a type that cannot be paired with any Bridge
_WAIT = Route(Way.WAIT)
_TOO_MANY = WebError(WebErrorKind.TOO_MANY, "too much waits for the cloud")


class CloudOrders:
    """Reads and orders for commands, by device."""

    def __init__(
        self,
        setting: WebCommands,
        asks: WebAsks,
        truth: CloudTruth,
        following: Following,
        memory: Memory,
    ) -> None:
        self.holds = CloudHolds()
        self.abilities = CloudAbilities(dict(memory.cloud_devices))
        self._shown_before = frozenset(memory.devices)
        self._setting = setting
        self._asks = asks
        self._truth = truth
        self._following = following
        self._reading: set[NukiId] = set()  # for a command that has not gone out
        self._failed: dict[NukiId, float] = {}  # until when (monotonic) such a read counts as failed
        self._ordered: dict[NukiId, int] = {}
        self._effects: list[Effect] = []

    # --- The decision -------------------------------------------------------------------------------------------------

    def local(self, nuki_id: NukiId, *, is_not_written: bool = False) -> Local:
        """What Bridges are to this lock; `is_not_written`: one of them could not even be connected to, just now."""
        following = self._following
        if nuki_id in following.bridged.all():
            return Local.NOT_WRITTEN if is_not_written else Local.UNTRIED
        has_unheard = any(not following.bridged.has_heard(name) for name in following.followed)
        is_open = has_unheard and self._device_type(nuki_id) not in _NEVER_BY_BRIDGE
        return Local.UNDECIDED if is_open else Local.NONE

    def _device_type(self, nuki_id: NukiId) -> int:
        return self._following.devices.device_type(nuki_id)

    def route(
        self, nuki_id: NukiId, action: Action, *, opens: bool, is_not_written: bool, deadline: float, now: Moment
    ) -> Route:
        """Where a command of which nothing was written goes now; where that takes a read first, it is made."""
        question = Question(
            setting=self._setting,
            local=self.local(nuki_id, is_not_written=is_not_written),
            sight=self._sight(nuki_id, now),
            opens=opens,
            can_do=action in self.abilities.actions(nuki_id, self._device_type(nuki_id)),
            is_held=self.holds.is_held(nuki_id, now.monotonic),
        )
        route = decide(question)
        if route.way is not Way.READ_FIRST:
            return route
        self._read_first(nuki_id, deadline, now)
        return _WAIT

    def _sight(self, nuki_id: NukiId, now: Moment) -> Sight:
        if not self._truth.knows(nuki_id):
            return Sight.ABSENT
        sight = self._truth.devices.sight(nuki_id, now.monotonic)
        if sight is Sight.OLD and self._failed.get(nuki_id, now.monotonic) > now.monotonic:
            return Sight.FAILED
        return sight

    def _read_first(self, nuki_id: NukiId, deadline: float, now: Moment) -> None:
        number = self._truth.smartlock_id(nuki_id)
        if number is None or nuki_id in self._reading:
            return
        self._reading.add(nuki_id)

        def then(ended: WebEnded, now: Moment) -> None:
            self._reading.discard(nuki_id)
            if self._take_read(ended, now) is None:
                self._failed[nuki_id] = now.monotonic + READ_AGAIN_S

        self._asks.ask(DeviceRequest(number), then, now, not_after=deadline)

    def with_way(self, nuki_id: NukiId, actions: frozenset[Action]) -> frozenset[Action]:
        """Those of the actions that the way that this lock has can carry out at all."""
        if not self._is_alone(nuki_id):
            return actions
        if self._setting is WebCommands.NEVER:
            return frozenset()
        return actions & self.abilities.actions(nuki_id, self._device_type(nuki_id))

    def _is_alone(self, nuki_id: NukiId) -> bool:
        """Whether only the cloud has it; as long as that is undecided, as it was in the process before.

        What is offered shall not change to and fro with each start: Home Assistant forgets what is taken back.
        """
        local, is_known = self.local(nuki_id), self._truth.knows(nuki_id)
        if local is Local.UNTRIED:
            return False
        if (local is Local.NONE and is_known) or self.abilities.was_alone(nuki_id):
            return True
        return is_known and nuki_id not in self._shown_before

    def note_ways(self) -> None:
        """A Bridge or the account was listed: remember where it is decided whether a Bridge has a device."""
        for nuki_id in self._truth.devices.ids():
            local = self.local(nuki_id)
            if local is not Local.UNDECIDED:
                self.abilities.note_way(nuki_id, is_alone=local is Local.NONE)

    # --- Reads and orders ---------------------------------------------------------------------------------------------

    def read(self, nuki_id: NukiId, now: Moment) -> bool:
        """Read this device once, for somebody who looks; False where that cannot be."""
        number = self._truth.smartlock_id(nuki_id)
        if number is None:
            return False

        def then(ended: WebEnded, now: Moment) -> None:
            state = self._take_read(ended, now)
            sent = ended.received if ended.sent is None else ended.sent
            self._following.tell(CloudReadEnded(nuki_id, sent, state))

        self._asks.ask(DeviceRequest(number), then, now, not_after=now.monotonic + READ_PATIENCE_S)
        return True

    def can_read(self, nuki_id: NukiId) -> bool:
        """Whether the cloud can be asked about this device."""
        return self._truth.knows(nuki_id)

    def _take_read(self, ended: WebEnded, now: Moment) -> DeviceState | None:
        answer = ended.answer
        if not isinstance(answer, DeviceAnswer) or ended.sent is None:
            return None
        taken = self._truth.devices.read(answer.device, ended.sent)
        self._effects += self._truth.take(taken, now, is_read=True)
        view = self._truth.devices.view(answer.device.report.nuki_id)
        return None if view is None else view.state

    def order(self, nuki_id: NukiId, action: Action, due: float, deadline: float, now: Moment) -> None:
        """Have it sent between these times (monotonic), as long as the last read of the lock is young enough."""
        view = self._truth.devices.view(nuki_id)
        code = web_code_of(action, self._device_type(nuki_id))
        if view is None or view.read is None or code is None:
            raise ValueError(f"{action} of {nuki_id} was routed to a cloud that cannot do it")

        def then(ended: WebEnded, _: Moment) -> None:
            self._ordered.pop(nuki_id, None)
            self._order_ended(nuki_id, action, ended)

        not_after = send_by(view.read, deadline)
        ask_id = self._asks.ask(DeviceActionRequest(view.smartlock_id, code), then, now, due=due, not_after=not_after)
        if ask_id is not None:
            self._ordered[nuki_id] = ask_id

    def _order_ended(self, nuki_id: NukiId, action: Action, ended: WebEnded) -> None:
        answer = _TOO_MANY if ended.ask_id is None else ended.answer  # refused at once: asking again would be, too
        error = answer if isinstance(answer, WebError) else None
        if error is not None and self.abilities.refused(nuki_id, action, error):
            text = f"Device {nuki_id} cannot be told {action} by the cloud: it is not offered any more."
            self._effects.append(Log(Level.WARNING, text))
        was_sent = ended.sent is not None and (error is None or error.kind is not WebErrorKind.TOO_LATE)
        self._following.tell(CloudOrderEnded(nuki_id, answer, was_sent, ended.received))

    def withdraw(self, nuki_id: NukiId) -> None:
        """Do not send what waits for this device."""
        ask_id = self._ordered.get(nuki_id)
        if ask_id is not None and self._asks.link.is_waiting(ask_id):
            del self._ordered[nuki_id]
            self._asks.withdraw(ask_id)

    def state_before(self, nuki_id: NukiId, now: Moment) -> DeviceState | None:
        """What the cloud says of the device now, if that is to be believed: the evidence begins with it."""
        view = self._truth.devices.view(nuki_id)
        if view is None or self._truth.devices.sight(nuki_id, now.monotonic) is not Sight.ONLINE:
            return None
        return view.state

    # --- Holds --------------------------------------------------------------------------------------------------------

    def sent(self, nuki_id: NukiId) -> None:
        """An opening order goes out: as long as its end is not known, no other one does."""
        self.holds.begin_open(nuki_id)

    def ended(self, nuki_id: NukiId, now: Moment, *, is_certain: bool) -> None:
        """That order has its end; `is_certain`: nobody has to fear that it is carried out later."""
        if is_certain:
            self.holds.release(nuki_id)
        else:
            self.holds.begin(nuki_id, now.monotonic)

    def left_open(self, entry: JournalEntry, now: Moment) -> None:
        """What a former process ordered may still wait in the cloud, from now on: how old it is nobody knows for sure.

        What is old for certain is not in the journal any more.
        """
        if entry.by_cloud and entry.opens and entry.may_have_acted:
            self.holds.begin(entry.device, now.monotonic)

    def take_effects(self) -> list[Effect]:
        """Log lines since the last call."""
        effects, self._effects = self._effects, []
        return effects

    def next_deadline(self, now: float) -> float | None:
        """When a failed read may be made again."""
        return min((until for until in self._failed.values() if until > now), default=None)

    def drop(self) -> None:
        """Another gateway owns the base; what may wait in the cloud still does."""
        self._reading.clear()
        self._failed.clear()
        self._ordered.clear()

    def forget(self, nuki_id: NukiId) -> None:
        """This device is gone."""
        self._failed.pop(nuki_id, None)
        self.abilities.forget(nuki_id)
