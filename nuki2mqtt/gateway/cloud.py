"""Nuki's cloud beside the Bridges: joins what to ask it, what of it is shown, orders, history and keypad codes.

Nothing local waits for anything here; without a token there is no `Cloud` at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nuki2mqtt.errors import WebError
from nuki2mqtt.gateway.cloud_devices import Standing
from nuki2mqtt.gateway.cloud_history import CloudHistory
from nuki2mqtt.gateway.cloud_orders import CloudOrders
from nuki2mqtt.gateway.cloud_syncs import CloudSyncs
from nuki2mqtt.gateway.cloud_truth import CloudTruth, fill
from nuki2mqtt.gateway.following import Following
from nuki2mqtt.gateway.keypad_desk import KeypadDesk, Zones
from nuki2mqtt.gateway.keypad_wishes import KeypadMemory
from nuki2mqtt.gateway.news import ListEnded, News, OrderBegun, OrderSent
from nuki2mqtt.gateway.publications import Publications
from nuki2mqtt.gateway.topic_memory import TopicMemory
from nuki2mqtt.gateway.vocabulary import (
    CLOUD,
    CallWeb,
    Effect,
    Level,
    Log,
    Memory,
    Moment,
    OpenWebhookDoor,
    WebAnswered,
    WebhookDoorFailed,
    WebhookDoorOpened,
    WebhookReceived,
    WebOrdered,
)
from nuki2mqtt.gateway.web_asks import WebAsks
from nuki2mqtt.gateway.web_jobs import WebEnded, WebJobKind, job_kind_of
from nuki2mqtt.gateway.web_link import WebHealth, WebLink
from nuki2mqtt.model.cloud_device import nuki_id_of
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.state import Snapshot
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_words import TrustClock
from nuki2mqtt.protocol.topics import TopicTree
from nuki2mqtt.protocol.web_api import DeviceActionRequest, DeviceAnswer, DeviceListAnswer, DeviceRequest
from nuki2mqtt.protocol.webhooks import ActivityHook, AuthorizationHook, DeviceHook, Hook, UnknownHook

_QUIET = frozenset({WebJobKind.WRITE, WebJobKind.AUTHORIZATIONS, WebJobKind.SYNC})
_MOST_ROUNDS = 20  # of answers that bring questions that are refused at once


class Cloud:
    """The whole of the cloud, as the gateway sees it."""

    def __init__(
        self,
        settings: Settings,
        tree: TopicTree,
        publications: Publications,
        following: Following,
        topics: TopicMemory,
        memory: Memory,
        started: Moment,
        *,
        entropy: Callable[[int], bytes],
        zones: Zones,
    ) -> None:
        own = settings.nuki_web
        self.link = WebLink(own)
        self._asks = WebAsks(self.link)
        self.truth = CloudTruth(following, self.link)
        self.orders = CloudOrders(own.commands, self._asks, self.truth, following, memory)
        self.history = CloudHistory(self._asks, self.truth, started, self._is_clock_trusted, is_wanted=own.log)
        kept = KeypadMemory(memory.keypad_wishes, memory.keypad_operations, memory.keypad_syncs)
        self.desk = KeypadDesk(
            own.keypad,
            tree,
            publications,
            topics,
            self._asks,
            self.truth,
            self.history,
            kept,
            entropy=entropy,
            zones=zones,
            started=started,
        )
        self.syncs = CloudSyncs(self._asks, self.truth, self.desk, following.tell, self._device_read)
        self._following = following
        self._has_webhooks = own.webhook.secret is not None
        self._is_door_asked_for = False
        self._calls: dict[int, NukiId] = {}  # orders under way
        self._filled: dict[NukiId, tuple[tuple[object, ...], Snapshot]] = {}  # with what they were made of
        self._confirming: dict[NukiId, int] = {}  # the last read of what a webhook said
        self._effects_of_reads: list[Effect] = []
        self._quiet_call: int | None = None
        following.cloud = self

    def _is_clock_trusted(self, now: Moment) -> bool:
        return self._following.is_clock_trusted(now, TrustClock.AUTO)

    # --- Switching ----------------------------------------------------------------------------------------------------

    def activate(self, now: Moment) -> list[Effect]:
        """Begin to ask, and to listen for webhooks."""
        if self.link.is_active:
            return []
        self.link.start(now)
        self.history.attribution.begin(now)
        self.orders.holds.settle(now.monotonic)
        self.desk.activate(now)
        if not self._has_webhooks or self._is_door_asked_for:
            return []
        self._is_door_asked_for = True
        return [OpenWebhookDoor()]

    def deactivate(self) -> list[Effect]:
        """Ask nothing more: another gateway owns the base topic."""
        effects: list[Effect] = [*self.link.stop()]
        self._asks.drop()
        self.truth.clear()
        self.orders.drop()
        self.history.clear()
        self.desk.deactivate()
        self.syncs.drop()
        self._calls.clear()
        self._confirming.clear()
        return effects

    def release(self) -> None:
        """The gateway stops: nothing is vouched for any more, and nothing new is asked."""
        self.truth.stop()
        self.link.release()

    # --- Events -------------------------------------------------------------------------------------------------------

    def handle(
        self, event: WebOrdered | WebAnswered | WebhookReceived | WebhookDoorOpened | WebhookDoorFailed, now: Moment
    ) -> list[Effect]:
        """Take in what the cloud said, or what became of the door for it."""
        match event:
            case WebOrdered(call_id, begun):
                nuki_id = self._calls.get(call_id)
                if nuki_id is not None:
                    self._following.tell(OrderBegun(nuki_id, begun))
                return []
            case WebAnswered(call_id):
                self._calls.pop(call_id, None)
                return [*self.link.handle_answer(event, now), *self._settle(now)]
            case WebhookReceived(hooks, received):
                at = now.monotonic if received is None else received
                return [effect for hook in hooks for effect in self._hooked(hook, at, now)] + self._settle(now)
            case WebhookDoorOpened(port):
                return [Log(Level.INFO, f"Webhooks are taken at port {port}.")]
            case WebhookDoorFailed(reason):
                return [Log(Level.WARNING, f"Webhooks are not taken: {reason} Polling goes on.")]

    def _hooked(self, hook: Hook, received: float, now: Moment) -> list[Effect]:
        if not self.link.is_active:
            return []
        match hook:
            case DeviceHook():
                nuki_id = hook.device.report.nuki_id
                self.link.hook_came(now, nuki_id)
                taken = self.truth.devices.hooked(hook, received)
                effects = self.truth.take(taken, now, is_read=False)
                for one in taken.confirm:
                    self._read(one, now)
                if taken.wants_list:
                    self.link.bring_list_forward(now)
                return effects
            case ActivityHook(activity):
                self.link.hook_came(now)
                self.history.hear_entry(activity, now)
            case AuthorizationHook(authorization):
                self.link.hook_came(now)
                if authorization.smartlock_id is not None:
                    self.desk.hint(authorization.smartlock_id, now)
            case UnknownHook(feature):
                return self.truth.say_once((f"Nuki's cloud posts {feature!r}, which this version does not know.",))
            case _:
                self.link.hook_came(now)
        return []

    def _read(self, nuki_id: NukiId, now: Moment) -> None:
        """Read one device, as only a webhook said something of it; one read is enough for all that wait for it."""
        number, waiting = self.truth.smartlock_id(nuki_id), self._confirming.get(nuki_id)
        if number is None or (waiting is not None and self.link.is_waiting(waiting)):
            return
        ask_id = self._asks.ask(DeviceRequest(number), self._device_read, now)
        if ask_id is not None:
            self._confirming[nuki_id] = ask_id

    def _device_read(self, ended: WebEnded, now: Moment) -> None:
        if isinstance(ended.answer, DeviceAnswer) and ended.sent is not None:
            taken = self.truth.devices.read(ended.answer.device, ended.sent)
            self._effects_of_reads += self.truth.take(taken, now, is_read=True)
            self.history.stirred(taken.stirred, now)

    def hear(self, news: Sequence[News], now: Moment) -> None:
        """Take in what was seen, by whomever."""
        self.history.hear(news, now)
        if any(isinstance(item, ListEnded) for item in news):
            self.orders.note_ways()

    # --- Time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self, now: float) -> float | None:
        """When `handle_timer` wants to be called, or a device falls silent (monotonic seconds)."""
        if not self.link.is_active:
            return None
        times = (
            self.link.next_deadline(),
            self.truth.next_silence(now),
            self.orders.next_deadline(now),
            self.history.next_deadline(),
            self.desk.next_deadline(),
            now if self._asks.has_ends else None,
        )
        return min((time for time in times if time is not None), default=None)

    def next_change(self, now: float) -> float | None:
        """When something that is shown may change by itself; at other deadlines something is only asked."""
        if not self.link.is_active:
            return None
        times = (self.truth.next_silence(now), self.orders.next_deadline(now), self.history.next_deadline())
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: Moment) -> list[Effect]:
        """Ask what is due."""
        if not self.link.is_active:
            return []
        self.truth.take_over(now)
        self.history.handle_timer(now)
        self.desk.handle_timer(now)
        effects = self.link.handle_timer(now)
        for effect in effects:
            if isinstance(effect, CallWeb):
                self._quiet_call = effect.call_id if job_kind_of(effect.request) in _QUIET else None
            if isinstance(effect, CallWeb) and isinstance(effect.request, DeviceActionRequest):
                nuki_id = self._calls[effect.call_id] = nuki_id_of(effect.request.smartlock_id)
                self._following.tell(OrderSent(nuki_id))
        return [*effects, *self._settle(now)]

    def _settle(self, now: Moment) -> list[Effect]:
        """Tell everybody what has ended, and take what came of it."""
        effects: list[Effect] = []
        for _ in range(_MOST_ROUNDS):
            for poll in self._asks.tell(now):
                effects += self._polled(poll, now)
            self.desk.hear_devices(self.truth.devices.take_heard(), now)
            for used in self.history.take_used():
                self.desk.used(used.smartlock_id, used.auth_id, now)
            if not self._asks.has_ends:
                break
        effects += self._effects_of_reads
        self._effects_of_reads = []
        return [*effects, *self.orders.take_effects(), *self.desk.take_effects()]

    def _polled(self, ended: WebEnded, now: Moment) -> list[Effect]:
        answer = ended.answer
        if not isinstance(answer, DeviceListAnswer) or ended.sent is None:
            self._following.tell(ListEnded(CLOUD, None))
            return []
        taken = self.truth.devices.listed(answer, ended.sent)
        effects = self.truth.take(taken, now, is_read=True)
        for report in taken.reports:
            if report.is_news:
                self.link.told_by_poll(report.report.nuki_id, now)
        self.history.stirred(taken.stirred, now)
        devices = frozenset(device.report.nuki_id for device in answer.devices)
        self.history.told_by_state(devices)
        self._following.tell(ListEnded(CLOUD, devices, is_complete=answer.is_complete))
        return effects

    def is_quiet(self, event: WebAnswered) -> bool:
        """Whether an answer that has just come changes nothing of what is shown but lists of keypad codes.

        A survey of an account has hundreds of those. A name that it brings shows at the next look.
        """
        return event.call_id == self._quiet_call and not isinstance(event.answer, WebError)

    # --- Views --------------------------------------------------------------------------------------------------------

    def is_vouched(self, nuki_id: NukiId, now: Moment) -> bool:
        """Whether the state that is shown is the cloud's, and fresh."""
        return self.truth.is_vouched(nuki_id, now)

    def fill(self, snapshot: Snapshot, now: Moment) -> Snapshot:
        """The snapshot with what only the cloud says; the same object as long as nothing of it differs."""
        nuki_id = snapshot.nuki_id
        facts, state = self.truth.filling(nuki_id, now)
        if facts is None:
            return snapshot
        deed = self.history.deed(nuki_id)
        made_of = (snapshot, facts, state, deed)
        former = self._filled.get(nuki_id)
        if former is None or former[0] != made_of:
            former = self._filled[nuki_id] = made_of, replace(fill(snapshot, facts, state), deed=deed)
        return former[1]

    def has_listed(self, nuki_id: NukiId, now: Moment) -> bool:
        """Whether the account has this device, as was read lately."""
        return self.truth.standing(nuki_id, now) not in {Standing.ABSENT, Standing.SILENT}

    def refresh(self, now: Moment) -> bool:
        """Read the account's list soon; False where nothing is asked of the cloud."""
        self.link.ask_list_now(now)
        return self.link.is_active

    def sources(self, nuki_id: NukiId) -> tuple[str, ...]:
        """Who knows this device, as `gateway/devices` says it."""
        is_bridged = nuki_id in self._following.bridged.all()
        is_known = self.truth.knows(nuki_id) or (not is_bridged and self.orders.abilities.was_alone(nuki_id))
        by_bridge = ("bridge",) if is_bridged or not is_known else ()
        return (*by_bridge, "web") if is_known else by_bridge

    def health(self, now: float) -> WebHealth:
        """How the cloud fares."""
        return self.link.health(now)

    def forget(self, nuki_id: NukiId) -> None:
        """A person has removed this device, or it is gone."""
        self.truth.forget(nuki_id)
        self._confirming.pop(nuki_id, None)
        self._filled.pop(nuki_id, None)
        self.orders.forget(nuki_id)
        self.desk.forget(nuki_id)
        self.history.forget(nuki_id)
        self.syncs.forget(nuki_id)
