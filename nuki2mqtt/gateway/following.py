"""Following the truth: from what Bridges say to snapshots that we vouch for, and events.

Joins the parts that each know one thing: the links what to ask, the devices what was seen, vouching what of it
may be shown as fresh, the watch which callbacks were lost.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.bridge_jobs import Job, JobKind
from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.bridged_devices import BridgedDevices
from nuki2mqtt.gateway.callback_lease import OwnCallback
from nuki2mqtt.gateway.callback_watch import CallbackWatch
from nuki2mqtt.gateway.clock_trust import is_clock_trusted
from nuki2mqtt.gateway.devices import Devices, Doubt, Verdict
from nuki2mqtt.gateway.evidence import Observation
from nuki2mqtt.gateway.finding import Finding
from nuki2mqtt.gateway.learnt_bridges import followed_bridges, name_at, new_name
from nuki2mqtt.gateway.news import (
    AskEnded,
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
from nuki2mqtt.gateway.own_callbacks import OwnCallbacks
from nuki2mqtt.gateway.publications import MAX_EVENTS
from nuki2mqtt.gateway.vocabulary import (
    CLOUD,
    BridgeAnswered,
    BridgeAskedToPair,
    BridgeMemory,
    BridgeOrdered,
    BridgePaired,
    BridgesFound,
    CallbackPath,
    CallbackReceived,
    CallBridge,
    Effect,
    Level,
    Log,
    Memory,
    Moment,
    OpenCallbackDoor,
    PairBridge,
    ReachBridge,
)
from nuki2mqtt.gateway.vouching import Vouching
from nuki2mqtt.model.bridge import HARDWARE_BRIDGE
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Report, Snapshot, Source
from nuki2mqtt.protocol.bridge_api import Answer, InfoAnswer, ListAnswer, LockStateAnswer
from nuki2mqtt.protocol.settings import BRIDGES_LIMIT, BridgeSettings, Settings
from nuki2mqtt.protocol.settings_words import TrustClock

MAX_DEVICES = 1000
_MAX_UNKNOWN = 64


class CloudSide(Protocol):
    """What the cloud adds to what the Bridges say (`cloud_truth`)."""

    def is_vouched(self, nuki_id: NukiId, now: Moment) -> bool:
        """Whether the state that is shown is the cloud's, and fresh."""
        ...

    def fill(self, snapshot: Snapshot, now: Moment) -> Snapshot:
        """The snapshot with what only the cloud says; the same object as long as nothing of it differs."""
        ...

    def has_listed(self, nuki_id: NukiId, now: Moment) -> bool:
        """Whether the account has this device, as was read lately."""
        ...

    def refresh(self, now: Moment) -> bool:
        """Read the account's list soon; False where nothing is asked of the cloud."""
        ...


class Following:
    """All configured Bridges and their devices; where none is configured, those that were paired."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        *,
        instance: str,
        callback_secret: Secret,
        in_container: bool,
        started: float,
    ) -> None:
        followed = followed_bridges(settings, memory.bridges)
        self.links = {
            one.name: BridgeLink(one.bridge, settings.poll, one.memory, name=one.name, is_learnt=not settings.bridges)
            for one in followed
        }
        self.finding = Finding(settings.find, self.links, has_cloud=settings.nuki_web.token is not None)
        self.devices = Devices(started)
        self.cloud: CloudSide | None = None
        self.vouching = Vouching(settings.poll.list_s, settings.poll.offline_after_scans)
        self.watches = {link: CallbackWatch() for link in self.links}
        self.is_active = False
        # Of Bridges that are not in the settings now: a line commented out costs nobody a walk to the button.
        known = {name_at(memory.bridges, one.bridge.link) if settings.bridges else one.name for one in followed}
        self._others = {name: one for name, one in memory.bridges.items() if name not in known}
        for name in known & memory.bridges.keys() if settings.bridges else ():
            one = memory.bridges[name]
            if one.at is not None and name_at(memory.bridges, one.at) == name and one.at not in self.links:
                self._others[new_name(one.at, {*self.links, *self._others})] = one  # it has moved away from there
        for name in self._others.keys() & self.links.keys():  # who is listed there has been met elsewhere
            other = self._others.pop(name)
            if other.at is not None:  # else it was met there, before the one that is followed there now
                self._others[new_name(name, {*self.links, *self._others})] = other
        for name, other in self._others.items():
            if other.at in self.links:  # of two that were met at one address the one that is followed there counts
                self._others[name] = replace(other, at=None)
        self._retired: set[str] = set()  # learnt ones that are followed under another name now
        # At which path, and from which host, the callback door expects each Bridge.
        self._expected_at: dict[str, tuple[str, str]] = {}
        self._pairing: str | None = None
        self._settings = settings
        self._ignored = frozenset(nuki_id for nuki_id, device in settings.devices.items() if device.ignore)
        # The last snapshots, with what they were made of: most events change nothing.
        self._snapshots: dict[NukiId, tuple[tuple[object, ...], Snapshot]] = {}
        self._own_callbacks = OwnCallbacks(
            settings.callback.host, instance=instance, secret=callback_secret, in_container=in_container
        )
        self._rssi: dict[str, dict[NukiId, int]] = {}
        self._events: deque[Happening] = deque()
        self._received = 0.0  # when what is taken in just now arrived, on the monotonic clock
        self.events_dropped = 0
        self._told_once: dict[str, None] = {}
        self._news: list[News] = []
        self.listed: dict[str, frozenset[NukiId]] = {}  # the last readable /list of each link
        self.bridged = BridgedDevices()
        self._remembered: dict[str, BridgeMemory] | None = None  # until an answer or a token may have changed it

    # --- Switching ----------------------------------------------------------------------------------------------------

    def activate(self, now: Moment, *, after_unclean_end: bool = False) -> list[Effect]:
        """Begin to ask the Bridges and to listen for their callbacks."""
        if self.is_active:
            return []
        self.is_active = True
        for link in self.links.values():
            link.start(now, after_unclean_end=after_unclean_end)
        learnt = [link for link in self.links.values() if link.is_learnt]
        effects: list[Effect] = [ReachBridge(one.link, one.settings.host, one.settings.port) for one in learnt]
        return effects + self._open_door()

    def _open_door(self) -> list[Effect]:
        """Let every Bridge knock, at the place where it is now."""
        expected = {name: (link.secret_name, link.place.host) for name, link in self.links.items()}
        if not self._settings.callback.enabled or expected == self._expected_at:
            return []
        self._expected_at = expected
        own = self._own_callbacks
        paths = (CallbackPath(own.path(one.secret_name), one.link, one.place.host) for one in self.links.values())
        return [OpenCallbackDoor(tuple(paths))]

    def deactivate(self) -> None:
        """Ask nothing more: another gateway owns the base topic."""
        self.is_active = False
        self._expected_at = {}
        self.finding.pause()
        self._events.clear()
        self._news.clear()
        self.listed.clear()
        self.bridged.clear()
        self.devices.forget_reports()
        self.vouching = Vouching(self._settings.poll.list_s, self._settings.poll.offline_after_scans)
        for link in self.links.values():
            link.stop()

    def release(self, now: Moment) -> None:
        """Before the end: vouch for nothing, give callback slots back."""
        self.vouching.stop()
        self.finding.stop()
        for link in self.links.values():
            link.release(now)

    @property
    def is_released(self) -> bool:
        """Whether no callback slot of ours is left to give back."""
        return not self.is_active or all(link.is_released for link in self.links.values())

    def remember_bridges(self) -> dict[str, BridgeMemory]:
        """What to remember of all Bridges."""
        if self._remembered is None:
            followed = {name: link.memory for name, link in self.links.items() if name not in self._retired}
            self._remembered = self._others | followed
        return self._remembered

    @property
    def needs_pairing(self) -> bool:
        """Whether a token is missing: of a Bridge, or of anything at all to follow."""
        if not self.links:
            return self._settings.nuki_web.token is None
        return any(link.needs_pairing for link in self.links.values())

    def door_opened(self, port: int, now: Moment) -> list[Effect]:
        """The callback door listens."""
        self._own_callbacks.door_port = port
        return [effect for name in self.links for effect in self._set_own_callback(name, now)]

    # --- Finding and pairing ------------------------------------------------------------------------------------------

    def handle_finding(self, event: BridgePaired | BridgeAskedToPair | BridgesFound, now: Moment) -> list[Effect]:
        """A token was handed over, a Bridge was asked for one, or a search ended."""
        match event:
            case BridgePaired():
                return self._paired(event, now)
            case BridgeAskedToPair():
                return self._pairing_ended(event, now)
            case BridgesFound(tried, notes):
                self._news.append(SearchEnded(tried, notes))
                return self.finding.take(event, now, is_active=self.is_active)

    @property
    def followed(self) -> dict[str, BridgeLink]:
        """The links that count: of a Bridge that is followed under another name now nothing is expected."""
        if not self._retired:
            return self.links
        return {name: link for name, link in self.links.items() if name not in self._retired}

    def begin_pairing(self, place: str) -> list[Effect]:
        """Ask this Bridge for a token; raises ValueError that says why that cannot be."""
        if self._pairing is not None:
            raise ValueError(f"busy: the button of {self._pairing} is waited for")
        link = self._at(place)
        if link is None and self._settings.bridges:
            raise ValueError("not in the settings: add it to `bridges` first")
        if link is not None and link.can_be_asked and not link.is_refusing_token:
            raise ValueError("it is paired already")
        if link is not None and not link.pause():
            raise ValueError("busy: a request to it is under way; try again")
        bridge = BridgeSettings.at(place) if link is None else link.place
        self._pairing = bridge.link
        text = f"Press the button of the Bridge at {bridge.link} within 30 seconds."
        return [Log(Level.WARNING, text), PairBridge(bridge.link, bridge.host, bridge.port)]

    def _pairing_ended(self, event: BridgeAskedToPair, now: Moment) -> list[Effect]:
        self._pairing = None
        if isinstance(event.outcome, Secret):
            self._news.append(PairEnded(event.link, None))
            return self._paired(BridgePaired(event.link, event.outcome), now)
        link = self._at(event.link)
        if link is not None and self.is_active:
            link.start(now)
        why = "nobody pressed the button in time" if event.outcome is None else str(event.outcome)
        self._news.append(PairEnded(event.link, why))
        return [Log(Level.WARNING, f"No token from {event.link}: {why}.")]

    def _paired(self, event: BridgePaired, now: Moment) -> list[Effect]:
        self._remembered = None
        link = self._at(event.link)
        if link is None and (self._settings.bridges or len(self.links) >= BRIDGES_LIMIT):
            self._keep(event)
            text = f"A token for {event.link} is kept, but no such Bridge is configured: add it to `bridges`."
            return [Log(Level.WARNING, text)]
        try:
            place = BridgeSettings.at(event.link)
        except ValueError:
            return [Log(Level.WARNING, f"{event.link} is no address of a Bridge; its token is dropped.")]
        effects: list[Effect] = []
        if link is None:
            link = self._add(place)
            effects.append(ReachBridge(link.link, place.host, place.port))
        self._retired.discard(link.link)
        if link.is_learnt:  # the last that was paired; see _is_newer
            self.links[link.link] = self.links.pop(link.link)
        at = place if link.is_learnt else None
        effects += link.pair(event.token, now, replace_bridge=event.replace_bridge, at=at)
        if self.is_active:
            effects += self._open_door()
        else:
            link.stop()
        return [*effects, Log(Level.INFO, f"Bridge {event.link} is paired.")]

    def _keep(self, event: BridgePaired) -> None:
        """A token that nothing uses now; of that name there may be one that has moved away."""
        name = name_at(self._others, event.link)
        former = self._others.get(name, BridgeMemory())
        if former.at not in {None, event.link} or name in self.links:
            name = new_name(event.link, {*self.links, *self._others})
        self._others[name] = BridgeMemory(token=event.token, at=None if name == event.link else event.link)

    def _add(self, bridge: BridgeSettings) -> BridgeLink:
        """Follow a Bridge that was not known before."""
        known = name_at(self._others, bridge.link)
        if self._others.get(known, BridgeMemory()).at in {None, bridge.link}:
            self._others.pop(known, None)
        name = new_name(bridge.link, {*self.links, *self._others})
        link = BridgeLink(bridge, self._settings.poll, BridgeMemory(), name=name, is_learnt=True)
        self.links[link.link] = link
        self.watches[link.link] = CallbackWatch()
        return link

    def _at(self, place: str) -> BridgeLink | None:
        """Who is followed at this address, under whatever name."""
        links = [link for link in self.links.values() if link.link not in self._retired] + [*self.links.values()]
        return next((link for link in links if place in {link.place.link, link.settings.link}), None)

    def handle(self, event: BridgeOrdered | BridgeAnswered | CallbackReceived, now: Moment) -> list[Effect]:
        """An order goes out, a Bridge answered, or it called us."""
        match event:
            case BridgeOrdered():
                return self._order_begun(event)
            case BridgeAnswered():
                return self.handle_answer(event, now)
            case CallbackReceived():
                return self.handle_callback(event, now)

    # --- Answers ------------------------------------------------------------------------------------------------------

    def handle_answer(self, event: BridgeAnswered, now: Moment) -> list[Effect]:
        """Take in an answer of a Bridge."""
        self._remembered = None
        link = self.links[event.link]
        self._received = now.monotonic if event.received is None else event.received
        job, effects = link.handle_answer(event, now, is_clock_trusted=self.is_clock_trusted(now))
        if job is None:
            return effects
        if event.local_host is not None:
            former = self._own_callbacks.local_hosts.get(event.link)
            self._own_callbacks.local_hosts[event.link] = event.local_host
            if former not in {None, event.local_host}:
                effects += self._set_own_callback(event.link, now)  # the Bridge still calls our former address
        self._tell_ended(link, job, event.answer)
        match event.answer:
            case BridgeError() as error:
                self._failed(link, job, error, now)
            case InfoAnswer() as answer if link.is_verified:
                twin = self._twin(link)
                if twin is not None and not self._is_newer(link, twin):
                    link.facts.view = None
                    if link.is_learnt:
                        return effects + self._retire(link, self.links[twin])
                    return effects + link.end_contact(bridge_problems.same_bridge(link.link, twin))
                self._informed(link, answer)
                effects += self._retire_twins(link)
                effects += self._open_door()
                effects += self._set_own_callback(event.link, now)
            case ListAnswer() as answer:
                effects += self._listed(link, answer, now)
            case LockStateAnswer() as answer if job.nuki_id is not None:
                self._read(link, job.nuki_id, answer, now)
            case _:
                pass
        return effects

    def _order_begun(self, event: BridgeOrdered) -> list[Effect]:
        nuki_id = self.links[event.link].ordered_device
        if nuki_id is not None:
            self._news.append(OrderBegun(nuki_id, event.begun))
        return []

    def _tell_ended(self, link: BridgeLink, job: Job, answer: Answer | BridgeError) -> None:
        if job.kind is JobKind.ACTION and job.nuki_id is not None:
            self._news.append(OrderEnded(job.nuki_id, link.link, answer, self._received))
        elif job.kind is JobKind.ASKED and job.ask_id is not None:
            self._news.append(AskEnded(job.ask_id, answer))

    def is_clock_trusted(self, now: Moment, setting: TrustClock | None = None) -> bool:
        """Whether our wall clock can be believed; `setting` instead of the user's."""
        # The clock may have been set since `/info` was read.
        skews = (link.facts.clock.skew_at(now) for link in self.links.values() if link.facts.clock is not None)
        return is_clock_trusted(now, skews, setting or self._settings.commands.trust_clock)

    def _failed(self, link: BridgeLink, job: Job, error: BridgeError, now: Moment) -> None:
        if error.kind is BridgeErrorKind.BUSY:
            self.vouching.busy(link.link, now.monotonic)
        if job.kind is JobKind.INFO:
            self._news += [OrderHeld(nuki_id, error) for nuki_id in link.waiting_orders]
        elif job.kind is JobKind.LIST:
            self._news.append(ListEnded(link.link, None))
        if job.kind is not JobKind.LOCK_STATE or job.nuki_id is None:
            return
        is_unreached = error.kind is BridgeErrorKind.DEVICE_OFFLINE
        if is_unreached:
            self.vouching.unreachable(job.nuki_id, now.monotonic)
        if is_unreached or not link.is_wanted(job.nuki_id):
            self.devices.settle(job.nuki_id, now)
            self._news.append(ReadEnded(job.nuki_id, link.answered_sent, None, error))

    def _twin(self, link: BridgeLink) -> str | None:
        """Another address at which this Bridge is already followed."""
        twins = (other for other in self.links.values() if other is not link and other.is_verified)
        return next((other.link for other in twins if other.bridge_id == link.bridge_id), None)

    def _is_newer(self, link: BridgeLink, twin: str) -> bool:
        """Whether a paired one was paired after its twin: somebody has just been at its button."""
        names = list(self.links)
        return link.is_learnt and names.index(link.link) > names.index(twin)

    def _retire_twins(self, link: BridgeLink) -> list[Effect]:
        """A Bridge that was paired anew elsewhere is not asked at its former address any more."""
        effects: list[Effect] = []
        for other in self.links.values():
            is_same = other is not link and other.is_learnt and other.bridge_id == link.bridge_id
            if is_same and other.link not in self._retired:
                effects += self._retire(other, link)
        return effects

    def _retire(self, link: BridgeLink, living: BridgeLink) -> list[Effect]:
        self._retired.add(link.link)
        self.bridged.retire(link.link)
        link.facts.view = None
        text = bridge_problems.followed_elsewhere(link.bridge_id, link.place.link, living.place.link)
        return link.end_contact(text)

    def _informed(self, link: BridgeLink, answer: InfoAnswer) -> None:
        if link.facts.was_clock_set or link.facts.was_rebooted:
            self.devices.forget_order(link.link)
        # A scan may miss a device once; of strangers only the last scan counts.
        known = {key: dbm for key, dbm in self._rssi.get(link.link, {}).items() if self.devices.knows(key)}
        self._rssi[link.link] = known | {hit.nuki_id: hit.rssi_dbm for hit in answer.scan if hit.rssi_dbm is not None}
        if answer.bridge_type == HARDWARE_BRIDGE and answer.scan:
            self.vouching.scanned(link.link, (hit.nuki_id for hit in answer.scan))

    def _listed(self, link: BridgeLink, answer: ListAnswer, now: Moment) -> list[Effect]:
        self.listed[link.link] = frozenset(report.nuki_id for report in answer.reports)
        self._news.append(ListEnded(link.link, self.listed[link.link], is_complete=not answer.broken))
        effects = [effect for text in answer.broken for effect in self._once(f"Bridge {link.link}: {text}")]
        once: dict[NukiId, Report] = {}
        for report in answer.reports:
            if once.setdefault(report.nuki_id, report) is not report:
                text = f"Bridge {link.link}: /list names device {report.nuki_id} twice; only the first entry counts."
                effects += self._once(text)
        room = MAX_DEVICES - len(self.devices.ids())
        reports = [report for report in once.values() if not self.is_ignored(report.nuki_id)]
        newcomers = [report.nuki_id for report in reports if not self.devices.knows(report.nuki_id)]
        if len(newcomers) > room:
            effects += self._once(f"Bridge {link.link}: more than {MAX_DEVICES} devices; the newest are not followed.")
            reports = [report for report in reports if report.nuki_id not in newcomers[max(room, 0) :]]
        self.vouching.listed(link.link, (report.nuki_id for report in reports), now.monotonic)
        for report in reports:
            may_lead = self.vouching.is_vouched(report.nuki_id, now.monotonic)
            verdict = self.devices.apply_entry(link.link, report, link.facts.clock, now, may_lead=may_lead)
            if report.state is not None:
                self._news.append(Observation(report.nuki_id, Source.LIST, report.state, verdict.time))
            if verdict.has_state:
                self.vouching.state_told(verdict.nuki_id)
            elif verdict.is_gap:
                self.vouching.no_state(verdict.nuki_id)
            if verdict.is_newer_entry:
                self.vouching.newer_entry(link.link, verdict.nuki_id, verdict.time)
            if verdict.told_first_by_list and link.lease == "held":
                self.watches[link.link].told_by_list(verdict.nuki_id, now.monotonic)
            effects += self._take(link, verdict, now)
        types = {report.nuki_id: self.devices.device_type(report.nuki_id) for report in reports}
        self.bridged.listed(link.link, types, now.monotonic, is_complete=not answer.broken)
        return effects

    def _read(self, link: BridgeLink, nuki_id: NukiId, answer: LockStateAnswer, now: Moment) -> None:
        if not answer.success:
            self.vouching.unreachable(nuki_id, now.monotonic)
            self.devices.settle(nuki_id, now)
        elif answer.state is None:
            self.devices.settle(nuki_id, now)
        else:
            verdict = self.devices.apply_lock_state(
                link.link, nuki_id, answer.state, link.facts.clock, now, sent=link.answered_sent
            )
            if verdict is not None:
                self.vouching.lock_state_read(nuki_id)
                self._note(verdict)
                self._news.append(Observation(nuki_id, Source.LOCK_STATE, answer.state, link.answered_sent))
        self._news.append(ReadEnded(nuki_id, link.answered_sent, answer.state))

    def handle_callback(self, event: CallbackReceived, now: Moment) -> list[Effect]:
        """Take in a callback: a hint that shows at once and brings `/list` forward."""
        link, report = self.links[event.link], event.report
        self._received = now.monotonic if event.received is None else event.received
        if not self.is_active or self.is_ignored(report.nuki_id):
            return []
        link.bring_list_forward(now)
        verdict = self.devices.apply_callback(event.link, report, link.facts.clock, now, received=self._received)
        if verdict is None:
            return self._once(f"Bridge {event.link} called about device {report.nuki_id}, which it has not listed.")
        if report.state is not None:
            self._news.append(Observation(report.nuki_id, Source.CALLBACK, report.state, self._received))
        self.vouching.callback(event.link, report.nuki_id)
        self.watches[event.link].told_by_callback(report.nuki_id)
        return self._take(link, verdict, now)

    def _take(self, link: BridgeLink, verdict: Verdict, now: Moment) -> list[Effect]:
        self._note(verdict)
        if not self.vouching.is_unreachable(verdict.nuki_id):
            link.drop_retry(verdict.nuki_id)
        if verdict.doubt is None:
            return []
        device_type = self.devices.device_type(verdict.nuki_id)
        if link.want_lock_state(verdict.nuki_id, device_type, now):
            return []
        self.devices.settle(verdict.nuki_id, now)
        if verdict.doubt is not Doubt.STUCK:
            link.unconfirmed_hints += 1
        text = f"Device {verdict.nuki_id}: {verdict.doubt}, and the reads of the day are spent (poll.forced_per_day)."
        return [Log(Level.DEBUG, text)]

    def _note(self, verdict: Verdict, earliest: float | None = None) -> None:
        for event in verdict.events:
            if len(self._events) >= MAX_EVENTS:
                self._events.popleft()
                self.events_dropped += 1
            happening = Happening(verdict.nuki_id, event, self._received, earliest)
            self._events.append(happening)
            if self.cloud is not None:
                self._news.append(happening)

    def take_events(self) -> list[Happening]:
        """What happened since the last call, in order."""
        events = list(self._events)
        self._events.clear()
        return events

    # --- Time ---------------------------------------------------------------------------------------------------------

    @property
    def is_steady(self) -> bool:
        """Whether `handle_timer` has nothing to do before its deadline; fast polling ends without one."""
        return not any(link.is_fast for link in self.links.values())

    def next_deadline(self, now: float) -> float | None:
        """When something is to be done or a device falls silent."""
        if not self.is_active:
            return None
        times = [link.next_deadline() for link in self.links.values()]
        times += [self.next_change(now), self.finding.next_deadline()]
        return min([time for time in times if time is not None], default=None)

    def next_change(self, now: float) -> float | None:
        """The same without what is only a question to a Bridge."""
        times = [watch.next_deadline() for watch in self.watches.values()]
        times.append(self.vouching.next_deadline(now))
        return min([time for time in times if time is not None], default=None)

    def handle_timer(self, now: Moment) -> list[Effect]:
        """Send what is due."""
        if not self.is_active:
            return []
        effects = self.finding.handle_timer(now)
        for name, link in self.links.items():
            watch = self.watches[name]
            if watch.count_lost(now.monotonic):
                link.verify_lease(now)
            is_losing = watch.is_losing(now.monotonic)
            if is_losing and not link.is_fast:
                effects.append(
                    Log(Level.WARNING, bridge_problems.losing_callbacks(name, self._own_callbacks.door_port))
                )
            link.is_fast = is_losing
            new = link.handle_timer(now)
            if link.ordered_device is not None and any(isinstance(effect, CallBridge) for effect in new):
                self._news.append(OrderSent(link.ordered_device))
            effects += new
        return effects

    def forget_device(self, nuki_id: NukiId) -> None:
        """A person has removed it; a Bridge that lists it again brings it back as a newcomer."""
        self.devices.remove(nuki_id)
        self.bridged.forget(nuki_id)
        self._snapshots.pop(nuki_id, None)
        self._events = deque(happening for happening in self._events if happening.nuki_id != nuki_id)
        for link in self.links.values():
            link.forget_device(nuki_id)

    def take_news(self) -> list[News]:
        """What came for commands and requests since the last call, in order."""
        news, self._news = self._news, []
        return news

    def rssi_dbm(self, link: str, nuki_id: NukiId) -> int | None:
        """How strong a device was in the scans of this Bridge; None without a hit."""
        return self._rssi.get(link, {}).get(nuki_id)

    # --- Views --------------------------------------------------------------------------------------------------------

    def shown_ids(self) -> Iterable[NukiId]:
        """The devices that are published, in the order of their first sight."""
        ids = self.devices.ids()
        return [nuki_id for nuki_id in ids if nuki_id not in self._ignored] if self._ignored else ids

    def snapshot(self, nuki_id: NukiId, now: Moment) -> Snapshot:
        """What is to be shown of a device; the same object as long as nothing of it differs."""
        seen = self.devices.snapshot(nuki_id)
        link_name = self.devices.link_of(nuki_id)
        link = self.links.get(link_name)
        own = self._settings.devices.get(nuki_id)
        name = own.name if own is not None and own.name else seen.name
        stale = not self.is_vouched(nuki_id, now)
        bridge = None if link is None else link.bridge_id
        rssi_dbm = self.rssi_dbm(link_name, nuki_id)
        made_of = (seen, name, stale, bridge, rssi_dbm)
        former = self._snapshots.get(nuki_id)
        if former is not None and former[0] == made_of:
            snapshot = former[1]
        else:
            snapshot = replace(seen, name=name, stale=stale, bridge=bridge, rssi_dbm=rssi_dbm)
            self._snapshots[nuki_id] = made_of, snapshot
        return snapshot if self.cloud is None else self.cloud.fill(snapshot, now)

    def is_vouched(self, nuki_id: NukiId, now: Moment) -> bool:
        """Whether what is shown of a device is fresh, by the word of a Bridge or of the cloud."""
        if self.cloud is not None and self.devices.link_of(nuki_id) == CLOUD:
            return self.cloud.is_vouched(nuki_id, now)
        return self.vouching.is_vouched(nuki_id, now.monotonic)

    # --- Beside the cloud ---------------------------------------------------------------------------------------------

    def note_cloud(self, verdict: Verdict, now: Moment, earliest: float | None) -> None:
        """Tell what came of the cloud's word; `earliest`: when it last said otherwise."""
        self._received = now.monotonic
        self._note(verdict, earliest)

    def observe(self, seen: Observation) -> None:
        """A report for those who wait for one."""
        self._news.append(seen)

    def tell(self, news: News) -> None:
        """What the cloud brought for commands and requests."""
        self._news.append(news)

    def look_again(self, nuki_id: NukiId, now: Moment) -> None:
        """Have a Bridge wake the lock, within the budget: another source says otherwise."""
        device_type = self.devices.device_type(nuki_id)
        for name, link in self.followed.items():
            if nuki_id in self.listed.get(name, frozenset()) and link.want_lock_state(nuki_id, device_type, now):
                return

    def callback_of(self, name: str) -> OwnCallback | None:
        """Where this Bridge calls us."""
        return self.links[name].own

    # --- Inside -------------------------------------------------------------------------------------------------------

    def is_ignored(self, nuki_id: NukiId) -> bool:
        """Whether the settings say to leave this device out."""
        return nuki_id in self._ignored

    def _set_own_callback(self, name: str, now: Moment) -> list[Effect]:
        return [effect for text in self._own_callbacks.set(self.links[name], now) for effect in self._once(text)]

    def _once(self, text: str) -> list[Effect]:
        if text in self._told_once:
            return []
        if len(self._told_once) >= _MAX_UNKNOWN:
            self._told_once.pop(next(iter(self._told_once)))
        self._told_once[text] = None
        return [Log(Level.WARNING, text)]
