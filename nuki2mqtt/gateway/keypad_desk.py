"""Keypad codes on MQTT: orders come in here, and what `keypads` says goes out.

Without `nuki_web.keypad.manage` every order is refused; what is wanted from earlier stays in the state file, untouched.
With it each device that has a Keypad is read once at the start and from time to time, so that its codes can be shown.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo

from nuki2mqtt.gateway.cloud_history import CloudHistory
from nuki2mqtt.gateway.cloud_truth import CloudTruth
from nuki2mqtt.gateway.command_lane import response_of
from nuki2mqtt.gateway.keypad_replies import KeypadReplies
from nuki2mqtt.gateway.keypad_results import Reply
from nuki2mqtt.gateway.keypad_steps import AskCloud, KeypadStep, SaveWishes, SayKeypad, SayResult
from nuki2mqtt.gateway.keypad_wishes import KeypadMemory
from nuki2mqtt.gateway.keypads import Keypads
from nuki2mqtt.gateway.publications import Publications, Rank
from nuki2mqtt.gateway.sync_budget import SyncBudget
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import Effect, Moment, MqttReceived
from nuki2mqtt.gateway.web_asks import WebAsks
from nuki2mqtt.gateway.web_jobs import WebEnded
from nuki2mqtt.model.cloud_device import CloudDevice, nuki_id_of
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad_order import KeypadReason
from nuki2mqtt.protocol.command_payloads import BadCommand
from nuki2mqtt.protocol.keypad_payloads import KeypadEntry, parse_keypad_order, render_keypad
from nuki2mqtt.protocol.settings import KeypadSettings
from nuki2mqtt.protocol.topics import TopicTree
from nuki2mqtt.protocol.web_api import AuthorizationListAnswer, AuthorizationListRequest

SURVEY_EVERY_S = 6 * 3600.0
SURVEY_AGAIN_S = 300.0
_AFTER_SYNC_S = 20.0  # it takes seconds
_MARK = "keypad "

Zones = Callable[[str], tzinfo | None]


class KeypadDesk:
    """Orders in, results and lists out. `zones` gives a time zone by its name, None where it is not known."""

    def __init__(
        self,
        settings: KeypadSettings,
        tree: TopicTree,
        publications: Publications,
        topics: TopicMemory,
        asks: WebAsks,
        truth: CloudTruth,
        history: CloudHistory,
        memory: KeypadMemory,
        *,
        entropy: Callable[[int], bytes],
        zones: Zones,
        started: Moment,
    ) -> None:
        self.memory = memory
        self.budget = SyncBudget(memory.syncs, started.monotonic)
        self._settings = settings
        self._tree = tree
        self._publications = publications
        self._replies = KeypadReplies(tree, publications, publish_codes=settings.publish_codes)
        self._topics = topics
        self._asks = asks
        self._truth = truth
        self._history = history
        self._entropy = entropy
        self._zones = zones
        self._keypads: Keypads | None = None
        self._effects: list[Effect] = []
        self._entries: dict[int, tuple[KeypadEntry, ...]] = {}  # to be said as soon as the device has a topic
        self._survey_due: dict[int, float] = {}
        self._surveying: int | None = None

    # --- Switching ----------------------------------------------------------------------------------------------------

    def activate(self, now: Moment) -> None:
        """Begin, or begin anew: what was asked and not answered is looked for."""
        self._surveying = None
        self._survey_due.clear()
        if self._settings.manage:
            told = self._settings.publish_codes
            self._keypads = Keypads(self.memory, now, entropy=self._entropy, is_told=told, budget=self.budget)

    def deactivate(self) -> None:
        """Another gateway owns the base: nothing is wanted from us."""
        self._keypads = None
        self._entries.clear()
        self._survey_due.clear()
        self._surveying = None

    # --- Messages -----------------------------------------------------------------------------------------------------

    def take(
        self, message: MqttReceived, nuki_id: NukiId | None, now: Moment, *, is_v5: bool, is_starting: bool
    ) -> list[Effect]:
        """A message on `<device>/keypad/set`; `nuki_id` is the device that it names, None for none."""
        if not message.payload:
            return []  # our own clearing
        self._replies.clear(message, now, is_v5=is_v5)
        addressee = self._tree.addressee(message.topic)
        shown = addressee if nuki_id is None else self._topics.topic_of(nuki_id) or addressee
        reply = Reply(*response_of(message, self._tree))
        number = None if nuki_id is None else self._truth.smartlock_id(nuki_id)
        try:
            order = parse_keypad_order(message.payload, self._zone(nuki_id))
        except BadCommand as error:
            reason = KeypadReason.RETAINED if message.retained else KeypadReason.BAD_PAYLOAD
            return self._replies.refuse(shown, reply, error.word, error.transaction, reason, now, str(error))
        if message.retained:
            refusal = KeypadReason.RETAINED
        elif self._keypads is None:
            refusal = KeypadReason.NOT_MANAGED
        elif number is None:
            refusal = KeypadReason.UNKNOWN_DEVICE
        elif is_starting:
            refusal = KeypadReason.STARTING
        else:
            self._do(self._keypads.order(number, order, now, reply), now)
            return self._take_effects()
        return self._replies.refuse(shown, reply, order.op, order.transaction, refusal, now)

    def _zone(self, nuki_id: NukiId | None) -> tzinfo | None:
        view = None if nuki_id is None else self._truth.devices.view(nuki_id)
        name = None if view is None else view.facts.time_zone_name
        return None if name is None else self._zones(name)

    def delivered(self, mark: str, now: Moment) -> bool:
        """The broker has what bears this mark; False if that is none of ours."""
        if not mark.startswith(_MARK):
            return False
        if self._keypads is not None:
            self._do(self._keypads.told(mark.removeprefix(_MARK)), now)
        return True

    # --- What the cloud says ------------------------------------------------------------------------------------------

    def hear_devices(self, devices: tuple[CloudDevice, ...], now: Moment) -> None:
        """Devices of the account as the cloud just said, by whatever way; without their states."""
        if self._keypads is None or not devices:
            return
        self._do(self._keypads.hear_devices(devices, now), now)
        for device in devices:
            if device.facts.has_keypad and self._truth.knows(device.report.nuki_id):
                self._survey_due.setdefault(device.smartlock_id, now.monotonic)

    def forget(self, nuki_id: NukiId) -> None:
        """This device was removed, or is gone; what is wanted of it stays."""
        known = {*self._survey_due, *self._entries}
        for number in [one for one in known if nuki_id_of(one) == nuki_id]:
            self._survey_due.pop(number, None)
            self._entries.pop(number, None)
            if self._keypads is not None:
                self._keypads.forget_shown(number)

    def hint(self, number: int, now: Moment) -> None:
        """A webhook says that something changed there."""
        if self._keypads is not None:
            self._do(self._keypads.hint(number, now), now)
            if number in self._survey_due:
                self._survey_due[number] = now.monotonic

    def used(self, number: int, auth_id: str, now: Moment) -> None:
        """The log says that this entry opened."""
        if self._keypads is not None:
            self._do(self._keypads.used(number, auth_id, now), now)

    # --- Forced syncs that a person asked for -------------------------------------------------------------------------

    def spend_sync(self, number: int, now: Moment) -> None:
        """One is ordered; it stands in the state file before it is sent, as those of the codes do."""
        self.budget.spend(number, now)
        self.memory = replace(self.memory, syncs=dict(self.budget.spent))

    def refund_sync(self, number: int) -> None:
        """The cloud has not taken it."""
        self.budget.refund(number)
        self.memory = replace(self.memory, syncs=dict(self.budget.spent))

    def woken(self, number: int, now: Moment) -> None:
        """The device is read by the cloud: its codes may show otherwise now."""
        if self._keypads is not None:
            self._do(self._keypads.woken(number, now), now)
            if number in self._survey_due:
                self._survey_due[number] = now.monotonic + _AFTER_SYNC_S

    def _survey(self, now: Moment) -> None:
        """Read the codes of one device after the other, of those whose turn it is."""
        due = [number for number, at in self._survey_due.items() if at <= now.monotonic]
        for number in due:
            if self._truth.smartlock_id(nuki_id_of(number)) != number:
                del self._survey_due[number]  # it has left the account; `hear_devices` brings it back
        due = [number for number in due if number in self._survey_due]
        if self._surveying is not None or not due:
            return
        number = self._surveying = due[0]
        self._survey_due[number] = now.monotonic + SURVEY_AGAIN_S

        def then(ended: WebEnded, now: Moment) -> None:
            self._surveying = None
            answer = ended.answer
            if self._keypads is None or not isinstance(answer, AuthorizationListAnswer) or ended.sent is None:
                return
            self._history.hear_authorizations(answer.authorizations)
            codes = tuple(one for one in answer.authorizations if one.is_keypad_code)
            self._survey_due[number] = now.monotonic + SURVEY_EVERY_S
            self._do(self._keypads.hear_codes(number, codes, ended.sent, now), now)

        self._asks.ask(AuthorizationListRequest(number), then, now)

    # --- Time and steps -----------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called."""
        if self._keypads is None:
            return None
        survey = None if self._surveying is not None else min(self._survey_due.values(), default=None)
        own = self._keypads.next_deadline()
        return own if survey is None else min(own, survey)

    def handle_timer(self, now: Moment) -> None:
        """Do what is due."""
        if self._keypads is not None:
            self._do(self._keypads.handle_timer(now), now)
            self._survey(now)

    def _do(self, steps: list[KeypadStep], now: Moment) -> None:
        for step in steps:
            match step:
                case SaveWishes():
                    self.memory = self.memory if self._keypads is None else self._keypads.remember()
                case AskCloud():
                    self._ask(step, now)
                case SayResult(operation_id, operation):
                    nuki_id = nuki_id_of(operation.smartlock_id)
                    reply = Reply(operation.response_topic, operation.read_correlation())
                    mark = f"{_MARK}{operation_id}" if operation_id is not None and operation.is_ended else None
                    self._replies.say(self._addressee(nuki_id), reply, step.result, now, mark)
                case SayKeypad(number, entries):
                    self._entries[number] = entries
                case _:
                    self._effects.append(step)

    def _addressee(self, nuki_id: NukiId) -> str:
        return self._topics.topic_of(nuki_id) or str(nuki_id)

    def _ask(self, step: AskCloud, now: Moment) -> None:
        def then(ended: WebEnded, now: Moment) -> None:
            if isinstance(ended.answer, AuthorizationListAnswer):
                self._history.hear_authorizations(ended.answer.authorizations)
            if self._keypads is not None:
                self._do(self._keypads.answered(step.call_id, ended.answer, now), now)

        self._asks.ask(step.request, then, now)

    def show(self) -> None:
        """Say the lists of all devices that have a topic by now."""
        for number, entries in list(self._entries.items()):
            topic = self._topics.topic_of(nuki_id_of(number))
            if topic is not None:
                del self._entries[number]
                payload = render_keypad(entries, publish_codes=self._settings.publish_codes)
                self._publications.say(self._tree.keypad(topic), payload, Rank.DEVICE)

    def take_effects(self) -> list[Effect]:
        """Log lines since the last call."""
        return self._take_effects()

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
