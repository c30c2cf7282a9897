"""From a message on `set` or `get` to results: reads it, lets it in or refuses it, tells what becomes of it.

Joins the parts that each know one thing: `admission` who may enter, `commands` what happens to those who did, `gets`
who wants to see anew. What is said goes to the publications.
"""

from collections.abc import Iterable

from nuki2mqtt.gateway.admission import Admission, Timing, age_of
from nuki2mqtt.gateway.cloud_orders import CloudOrders
from nuki2mqtt.gateway.command_journal import CommandJournal
from nuki2mqtt.gateway.command_lane import Command, End, ReplyTo, response_of
from nuki2mqtt.gateway.command_routes import CommandRoutes
from nuki2mqtt.gateway.commands import Commands, Said
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.gets import Get, Gets
from nuki2mqtt.gateway.news import News
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.refusal_texts import next_step
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import CLOUD, Effect, JournalEntry, Level, Log, Moment, MqttReceived
from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.command import Reason, Status
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import CommandFailure, DeviceEvent, EventType
from nuki2mqtt.model.state import Source
from nuki2mqtt.protocol.command_payloads import (
    BadCommand,
    CommandOrder,
    CommandResult,
    parse_command,
    parse_get,
    render_result,
)
from nuki2mqtt.protocol.command_words import find_action
from nuki2mqtt.protocol.payloads import render_event
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_words import TrustClock
from nuki2mqtt.protocol.topics import TopicTree

GET = "get"
_MOST_TOLD = 64
_TOLD_S = 3600.0
_FAILURES = frozenset({Status.REFUSED, Status.FAILED, Status.EXPIRED})
# What a person should see once in the log, with the next step; the rest is for those who look closer.
_WARNED = frozenset({Reason.RETAINED, Reason.NEEDS_TS, Reason.CLOCK_UNTRUSTED})


class Commanding:
    """Takes commands for all devices while we own the base topic."""

    def __init__(
        self,
        settings: Settings,
        tree: TopicTree,
        publications: Publications,
        following: Following,
        topics: TopicMemory,
        journal: dict[str, JournalEntry],
        now: Moment,
        cloud: CloudOrders | None = None,
    ) -> None:
        routes = CommandRoutes(following, waits=settings.commands.wait, cloud=cloud)
        remembered = CommandJournal(journal, now)
        if cloud is not None:
            for entry in remembered.entries.values():
                cloud.left_open(entry, now)
        self.admission = Admission(settings.commands, remembered)
        self.commands = Commands(settings.commands, routes, remembered)
        self.gets = Gets(routes)
        self.seen_anew: set[NukiId] = set()
        self.has_told = False  # something that may change what is to be shown
        self._settings = settings
        self._tree = tree
        self._publications = publications
        self._following = following
        self._topics = topics
        self._routes = routes
        self._is_stopping = False
        self._told: dict[tuple[str, Reason], None] = {}
        self._told_until = now.monotonic + _TOLD_S

    @property
    def journal(self) -> dict[str, JournalEntry]:
        """The accepted commands, for the state file."""
        return self.commands.journal.entries

    # --- The connection -----------------------------------------------------------------------------------------------

    def opened(self, protocol: str, now: Moment) -> None:
        """The base is ours and we are subscribed; what a former process left open is told now."""
        self.admission.opened(protocol, now.monotonic)
        for entry_id, entry in self.commands.journal.take_left_open():
            self._tell_left_open(entry_id, entry, now)

    def closed(self) -> None:
        """The connection is gone."""
        self.admission.closed()

    def stop(self, now: Moment) -> list[Effect]:
        """Take no more commands and end those under way."""
        self._is_stopping = True
        self.commands.stop()
        self.gets.drop()
        return self.settle(now)

    def drop(self) -> None:
        """Another gateway owns the base: say nothing, send nothing."""
        self.commands.drop()
        self.gets.drop()
        self.admission.closed()

    def is_under_way(self, nuki_id: NukiId) -> bool:
        """Whether anything that concerns this device has no end yet."""
        return self.commands.is_under_way(nuki_id) or self.gets.is_under_way(nuki_id)

    # --- Messages -----------------------------------------------------------------------------------------------------

    def take_set(self, message: MqttReceived, now: Moment) -> list[Effect]:
        """A message on `<device>/set`."""
        if not message.payload:
            return []  # our own clearing
        self._clear(message, now)
        nuki_id = self.find_device(self._tree.addressee(message.topic))
        reply_to = self._reply_to(message, nuki_id)
        try:
            order = parse_command(message.payload)
        except BadCommand as error:
            reason = Reason.RETAINED if message.retained else Reason.BAD_PAYLOAD
            return self._refuse(reply_to, nuki_id, error.word, error.transaction, reason, now, str(error))
        action = None if nuki_id is None else find_action(order.word, self._following.devices.device_type(nuki_id))
        shown = action or order.shown_word
        if message.retained:
            return self._refuse(reply_to, nuki_id, shown, order.transaction, Reason.RETAINED, now)
        if nuki_id is None or action is None:
            reason = Reason.UNKNOWN_DEVICE if nuki_id is None else Reason.UNKNOWN_ACTION
            return self._refuse(reply_to, nuki_id, shown, order.transaction, reason, now)
        return self._admit(message, reply_to, nuki_id, action, order, now)

    def _admit(
        self,
        message: MqttReceived,
        reply_to: ReplyTo,
        nuki_id: NukiId,
        action: Action,
        order: CommandOrder,
        now: Moment,
    ) -> list[Effect]:
        device_type = self._following.devices.device_type(nuki_id)
        facts = actions_of(device_type)[action]
        waited_s = 0.0 if message.received is None else max(0.0, now.monotonic - message.received)
        is_clock_trusted = self._following.is_clock_trusted(now)
        verdict = self.admission.refuse(
            nuki_id,
            action,
            facts,
            order,
            is_permitted=action in self.permitted(nuki_id, device_type),
            is_clock_trusted=is_clock_trusted,
            waited_s=waited_s,
            expiry_s=message.expiry_s,
            now=now,
        )
        reason: Reason | None
        if isinstance(verdict, Timing) and not self._is_stopping:
            command = Command(
                nuki_id=nuki_id,
                action=action,
                facts=facts,
                order=order,
                reply_to=reply_to,
                received=now.monotonic,
                arrived=message.received,
                deadline=verdict.deadline,
                age_s=verdict.age_s,
                is_dated=self._following.is_clock_trusted(now, TrustClock.AUTO),
            )
            reason = self.commands.take(command, now)
        else:
            reason = Reason.STARTING if isinstance(verdict, Timing) else verdict
        if reason is None:
            return []
        return self._refuse(reply_to, nuki_id, action, order.transaction, reason, now, age_s=age_of(order, now))

    def permitted(self, nuki_id: NukiId, device_type: int) -> frozenset[Action]:
        """What a device may be told: as the settings say, as far as there is a way to it that can."""
        permitted = self._settings.permitted(nuki_id, device_type)
        return self._routes.with_way(nuki_id, permitted)

    def take_get(self, message: MqttReceived, now: Moment) -> list[Effect]:
        """A message on `<device>/get`."""
        if not message.payload:
            return []
        self._clear(message, now)
        nuki_id = self.find_device(self._tree.addressee(message.topic))
        reply_to = self._reply_to(message, nuki_id)
        try:
            order = parse_get(message.payload)
        except BadCommand as error:
            reason = Reason.RETAINED if message.retained else Reason.BAD_PAYLOAD
            return self._refuse(reply_to, None, GET, error.transaction, reason, now, str(error))
        refusal: Reason | None
        if message.retained:
            refusal = Reason.RETAINED
        elif nuki_id is None:
            refusal = Reason.UNKNOWN_DEVICE
        else:
            refusal = Reason.STARTING if self._is_stopping else self.gets.take(nuki_id, order, reply_to, now)
        if refusal is not None:
            return self._refuse(reply_to, None, GET, order.transaction, refusal, now)
        self._say(reply_to, CommandResult(transaction=order.transaction, action=GET, status=Status.ACCEPTED), now)
        return []

    def find_device(self, addressee: str) -> NukiId | None:
        """The device that a topic level names: its topic or its ID; None for none, and for those left out."""
        nuki_id = self._topics.find(addressee)
        if nuki_id is None or self._following.is_ignored(nuki_id) or not self._following.devices.knows(nuki_id):
            return None
        return nuki_id

    def _reply_to(self, message: MqttReceived, nuki_id: NukiId | None) -> ReplyTo:
        addressee = self._tree.addressee(message.topic)
        shown = addressee if nuki_id is None else self._topics.topic_of(nuki_id) or addressee
        return ReplyTo(shown, *response_of(message, self._tree))

    def _clear(self, message: MqttReceived, now: Moment) -> None:
        """Take a retained order from the broker; 3.1.1 does not tell which live one was retained, too."""
        if message.retained or not self.admission.is_v5:
            self._publications.reply(message.topic, b"", now.monotonic, retain=True)

    # --- What is said -------------------------------------------------------------------------------------------------

    def _refuse(
        self,
        reply_to: ReplyTo,
        nuki_id: NukiId | None,
        action: str | None,
        transaction: object,
        reason: Reason,
        now: Moment,
        detail: str = "",
        age_s: float | None = None,
    ) -> list[Effect]:
        state = None if nuki_id is None else self._routes.state_word(nuki_id)
        result = CommandResult(
            transaction=transaction, action=action, status=Status.REFUSED, reason=reason, state=state, age_s=age_s
        )
        self._say(reply_to, result, now)
        if nuki_id is not None:
            self._tell_failure(nuki_id, action, reason, now)
        topic = self._tree.result(reply_to.addressee).rpartition("/")[0] + ("/get" if action == GET else "/set")
        why = f"{reason} ({detail})" if detail else reason
        text = f"A command on {topic} is refused: {why}.{next_step(reason, action, now)}"
        return self._once(reply_to.addressee, reason, text, now)

    def _once(self, addressee: str, reason: Reason, text: str, now: Moment) -> list[Effect]:
        """Each refusal once per topic and reason, and a flood of them not at all: the results say it anyway."""
        if (addressee, reason) in self._told:
            return []
        if len(self._told) >= _MOST_TOLD:
            if now.monotonic < self._told_until:
                return []
            self._told.clear()
            self._told_until = now.monotonic + _TOLD_S
        self._told[addressee, reason] = None
        return [Log(Level.WARNING if reason in _WARNED else Level.INFO, text)]

    def _say(self, reply_to: ReplyTo, result: CommandResult, now: Moment) -> None:
        self._say_rendered(reply_to, render_result(result), now, None)

    def _say_end(self, entry_id: str, reply_to: ReplyTo, payload: bytes, now: Moment, *, may_have_acted: bool) -> None:
        """Until the broker has it, the journal holds it: another process would say the same."""
        self.commands.journal.conclude(entry_id, payload, may_have_acted=may_have_acted)
        self._say_rendered(reply_to, payload, now, entry_id)

    def _say_rendered(self, reply_to: ReplyTo, payload: bytes, now: Moment, mark: str | None) -> None:
        """Say it on both topics; the last of the two carries the mark."""
        answer = reply_to.response_topic
        topic = self._tree.result(reply_to.addressee)
        self._publications.reply(topic, payload, now.monotonic, mark=mark if answer is None else None)
        if answer is not None:
            correlation = reply_to.correlation
            self._publications.reply(answer, payload, now.monotonic, correlation=correlation, mark=mark)

    def _tell_failure(self, nuki_id: NukiId, action: str | None, reason: Reason, now: Moment) -> None:
        topic = self._topics.topic_of(nuki_id)
        if topic is not None:
            failure = CommandFailure(action, reason)
            payload = render_event(DeviceEvent(EventType.COMMAND_FAILED, now.wall, Source.COMMAND, failure))
            event, late = self._tree.event(topic), self._tree.event_late(topic)
            self._publications.reply(event, payload, now.monotonic, late_topic=late)

    def _tell_left_open(self, entry_id: str, entry: JournalEntry, now: Moment) -> None:
        """Its end, if it had one that the broker may not have; else that nobody knows it."""
        result = CommandResult(
            transaction=entry.read_transaction(),
            action=entry.action,
            status=Status.UNCONFIRMED,
            reason=Reason.RESTARTED,
            may_have_acted=True,
            duration_s=max(0.0, (now.wall - entry.accepted).total_seconds()),
        )
        addressee = self._topics.topic_of(entry.device) or str(entry.device)
        # The file may be older than our settings: what may be answered is asked again.
        topic = entry.response_topic
        may_respond = topic is not None and self._tree.may_respond(topic)
        reply_to = ReplyTo(addressee, topic if may_respond else None, entry.read_correlation())
        known = entry.read_end()
        payload = render_result(result) if known is None else known
        self._say_end(entry_id, reply_to, payload, now, may_have_acted=known is None or entry.may_have_acted)

    # --- After each event ---------------------------------------------------------------------------------------------

    def hear(self, news: Iterable[News], now: Moment) -> None:
        """Take in what following the Bridges brought."""
        for item in news:
            self.commands.hear(item, now)
            self.gets.hear(item)

    def delivered(self, marks: list[str]) -> None:
        """The broker has these ends."""
        for entry_id in marks:
            self.commands.journal.ended(entry_id)

    def next_deadline(self) -> float | None:
        """When `settle` wants to be called."""
        times = (self.commands.next_deadline(), self.gets.next_deadline())
        return min((time for time in times if time is not None), default=None)

    def settle(self, now: Moment) -> list[Effect]:
        """Do what is due, and tell what became of commands."""
        self.commands.handle_timer(now)
        self.gets.handle_timer(now)
        return self.tell(now)

    def tell(self, now: Moment) -> list[Effect]:
        """Tell what became of commands."""
        effects = [effect for said in self.commands.take_said() for effect in self._tell_said(said, now)]
        for get, end in self.gets.take_ended():
            self._tell_get(get, end, now)
        return effects

    def _tell_said(self, said: Said, now: Moment) -> list[Effect]:
        command, end = said.command, said.end
        duration_s = now.monotonic - command.received
        state = self._routes.state_word(command.nuki_id)
        result = CommandResult(
            transaction=command.order.transaction,
            action=command.action,
            status=Status.ACCEPTED if end is None else end.status,
            reason=said.reason if end is None else end.reason,
            evidence=None if end is None else end.evidence,
            may_have_acted=end is not None and end.may_have_acted,
            state=state,
            duration_s=0.0 if end is None else duration_s,
            age_s=command.age_s,
        )
        if end is None or command.journal_id is None:
            self._say(command.reply_to, result, now)
        else:
            payload = render_result(result)
            self._say_end(command.journal_id, command.reply_to, payload, now, may_have_acted=end.may_have_acted)
        self.has_told = True
        if command.is_joined:
            return []
        if end is not None and command.link == CLOUD and command.facts.opens:
            is_certain = end.evidence is not None or not end.may_have_acted
            self._routes.ended_in_cloud(command.nuki_id, now, is_certain=is_certain)
            if is_certain and command.journal_id is not None:
                self.commands.journal.settle_in_cloud(command.journal_id)
        name = f"{command.action} for {command.reply_to.addressee}"
        if end is None:
            return [Log(Level.INFO, f"Command {name}: accepted{f' ({said.reason})' if said.reason else ''}.")]
        if end.status in _FAILURES and end.reason is not None:
            self._tell_failure(command.nuki_id, command.action, end.reason, now)
        why = end.evidence or end.reason
        is_good = end.status is Status.CONFIRMED
        text = f"Command {name}: {end.status}{f' ({why})' if why else ''} after {duration_s:.1f} s; state {state}."
        return [Log(Level.INFO if is_good else Level.WARNING, text)]

    def _tell_get(self, get: Get, end: End, now: Moment) -> None:
        if end.status is Status.CONFIRMED:
            self.seen_anew.add(get.nuki_id)
        result = CommandResult(
            transaction=get.order.transaction,
            action=GET,
            status=end.status,
            reason=end.reason,
            state=self._routes.state_word(get.nuki_id),
            duration_s=now.monotonic - get.received,
        )
        self._say(get.reply_to, result, now)
