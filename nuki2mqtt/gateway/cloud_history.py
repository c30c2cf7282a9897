"""Who did what: feeds `attribution` with what is seen, reads logs and names for it, and gives what is to be told.

Only where `nuki_web.log` is on. Names are learnt from every list of authorizations that anybody reads; of codes nothing
is kept.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.attribution import Attribution
from nuki2mqtt.gateway.cloud_truth import CloudTruth
from nuki2mqtt.gateway.evidence import Observation
from nuki2mqtt.gateway.findings import Finding, LogWish
from nuki2mqtt.gateway.log_matching import is_done
from nuki2mqtt.gateway.news import Happening, News, OrderBegun
from nuki2mqtt.gateway.publications import MAX_EVENTS
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.gateway.web_asks import WebAsks
from nuki2mqtt.gateway.web_jobs import WebEnded
from nuki2mqtt.model.activity import Activity, ActivityAction, Trigger
from nuki2mqtt.model.device import DeviceKind, NukiId, kind_of
from nuki2mqtt.model.event import EventType, StateChange
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.state import DOOR_CLOSED_CODE, DOOR_OPEN_CODE, Deed, Source
from nuki2mqtt.protocol.web_api import (
    ActivityAnswer,
    ActivityRequest,
    AuthorizationListAnswer,
    AuthorizationListRequest,
)

NAMES_EVERY_S = 600.0
MOST_NAMES = 50_000
_DOORS = {EventType.DOOR_OPENED, EventType.DOOR_CLOSED}


@dataclass(frozen=True, slots=True)
class Used:
    """An authorization opened this device, as its log says."""

    smartlock_id: int
    auth_id: str


@dataclass(frozen=True, slots=True)
class Found:
    """Something to be told, and when we came to know it (monotonic seconds)."""

    finding: Finding
    received: float


class CloudHistory:
    """The changes of all devices, and the log's word on them. `started` is the process's start."""

    def __init__(
        self,
        asks: WebAsks,
        truth: CloudTruth,
        started: Moment,
        is_clock_trusted: Callable[[Moment], bool],
        *,
        is_wanted: bool,
    ) -> None:
        self.attribution = Attribution(started, is_clock_trusted)
        self.names: dict[str, Authorization] = {}
        self._asks = asks
        self._truth = truth
        self._is_wanted = is_wanted
        self._findings: deque[Found] = deque()
        self.findings_dropped = 0
        self._used: list[Used] = []
        self._names_asked: dict[NukiId, float] = {}
        self._modes: dict[NukiId, int] = {}
        self._told_locally: set[NukiId] = set()  # those whose last change was told by a Bridge

    # --- What is seen -------------------------------------------------------------------------------------------------

    def hear(self, news: Iterable[News], now: Moment) -> None:
        """Take in what was seen, by whomever."""
        for item in news:
            if isinstance(item, Happening):
                self._note_teller(item)
            if not self._is_wanted:
                continue
            match item:
                case Happening():
                    self._happened(item, now)
                case Observation():
                    self._observed(item, now)
                case OrderBegun() if self._truth.knows(item.nuki_id):
                    self.attribution.acted(item.nuki_id, now)
                case _:
                    pass

    def _note_teller(self, item: Happening) -> None:
        if item.event.event_type is EventType.STATE_CHANGED:
            note = self._told_locally.discard if item.event.source is Source.WEB else self._told_locally.add
            note(item.nuki_id)
            if not self._is_wanted:  # nobody will say who that was
                self.attribution.forget(item.nuki_id)

    def _happened(self, item: Happening, now: Moment) -> None:
        event, nuki_id = item.event, item.nuki_id
        if not self._truth.knows(nuki_id):
            return
        details = event.details
        if event.event_type is EventType.STATE_CHANGED and isinstance(details, StateChange):
            earliest = None if item.earliest is None else _wall(now, item.earliest)
            view = self._truth.devices.view(nuki_id)
            device_type = 0 if view is None else view.device_type
            self.attribution.changed(
                nuki_id, device_type, details.from_code, details.to_code, now, latest=event.at, earliest=earliest
            )
        elif event.event_type in _DOORS:
            self.attribution.told_door(nuki_id, event.event_type, event.at)

    def _observed(self, seen: Observation, now: Moment) -> None:
        nuki_id, state = seen.nuki_id, seen.state
        view = self._truth.devices.view(nuki_id)
        if view is None or seen.time == -inf:  # nobody knows since when it is so
            return
        at = _wall(now, seen.time)
        if state.door_code in {DOOR_CLOSED_CODE, DOOR_OPEN_CODE}:
            self.attribution.saw_door(nuki_id, at)
        if kind_of(view.device_type) is DeviceKind.OPENER and state.mode_code is not None:
            former = self._modes.setdefault(nuki_id, state.mode_code)
            if former != state.mode_code:
                self._modes[nuki_id] = state.mode_code
                self.attribution.mode_changed(nuki_id, state.mode_code, now, latest=at)

    def stirred(self, nuki_ids: Iterable[NukiId], now: Moment) -> None:
        """Something happened to these that is no change of state."""
        if self._is_wanted:
            for nuki_id in nuki_ids:
                self.attribution.stirred(nuki_id, now)

    def told_by_state(self, nuki_ids: Iterable[NukiId]) -> None:
        """The cloud was read: it may say what happened last to these, as far as it knows of the last change.

        Of a change that a Bridge told it may not know yet: what it says then is about an older one.
        """
        for nuki_id in nuki_ids:
            if nuki_id in self._told_locally:
                continue
            view = self._truth.devices.view(nuki_id)
            if view is not None and view.facts.last_action_code is not None and self._truth.agrees(nuki_id):
                self.attribution.told_by_state(nuki_id, view.last_action, view.trigger)

    def hear_entry(self, activity: Activity, now: Moment) -> None:
        """A webhook brought an entry of a log."""
        if self._is_wanted and self._truth.knows(activity.nuki_id):
            self._note_use((activity,))
            self._keep(self.attribution.heard(activity, self.names, now), now)

    def hear_authorizations(self, listing: Iterable[Authorization]) -> None:
        """Somebody has read a list of them: the names are kept, without what opens."""
        for one in listing:
            if one.id in self.names or len(self.names) < MOST_NAMES:
                self.names[one.id] = replace(one, code=None)

    # --- Reading ------------------------------------------------------------------------------------------------------

    def handle_timer(self, now: Moment) -> None:
        """Ask for the logs and names that are wanted now."""
        if not self._is_wanted:
            return
        for wish in self.attribution.take_wishes(now):
            self._read(wish, now)
        for nuki_id in self.attribution.wants_names:
            self._ask_names(nuki_id, now)
        self._keep(self.attribution.take_named(self.names, now), now)
        self.attribution.handle_timer(now)

    def _read(self, wish: LogWish, now: Moment) -> None:
        nuki_id, number = wish.nuki_id, self._truth.smartlock_id(wish.nuki_id)
        if number is None:
            gone = WebError(WebErrorKind.NOT_FOUND, "not in the account")
            self._keep(self.attribution.read_ended(nuki_id, gone, self.names, now), now)
            return

        def then(ended: WebEnded, now: Moment) -> None:
            answer = ended.answer
            if isinstance(answer, ActivityAnswer):
                self._note_use(answer.activities)
            elif not isinstance(answer, WebError):
                answer = WebError(WebErrorKind.UNREADABLE)
            self._keep(self.attribution.read_ended(nuki_id, answer, self.names, now), now)

        self._asks.ask(ActivityRequest(number, since=wish.since), then, now, not_after=wish.not_after)

    def _note_use(self, activities: Iterable[Activity]) -> None:
        for one in activities:
            number = self._truth.smartlock_id(one.nuki_id)
            if one.auth_id is not None and number is not None and is_done(one):
                self._used.append(Used(number, one.auth_id))

    def _ask_names(self, nuki_id: NukiId, now: Moment) -> None:
        number = self._truth.smartlock_id(nuki_id)
        asked = self._names_asked.get(nuki_id)
        if number is None or (asked is not None and now.monotonic - asked < NAMES_EVERY_S):
            return
        self._names_asked[nuki_id] = now.monotonic

        def then(ended: WebEnded, now: Moment) -> None:
            if isinstance(ended.answer, AuthorizationListAnswer):
                self.hear_authorizations(ended.answer.authorizations)
                self._keep(self.attribution.take_named(self.names, now), now)

        self._asks.ask(AuthorizationListRequest(number), then, now)

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called."""
        return self.attribution.next_deadline() if self._is_wanted else None

    # --- What comes of it ---------------------------------------------------------------------------------------------

    @property
    def has_findings(self) -> bool:
        """Whether something waits to be told."""
        return bool(self._findings)

    def _keep(self, findings: list[Finding], now: Moment) -> None:
        for one in findings:
            if len(self._findings) >= MAX_EVENTS:
                self._findings.popleft()
                self.findings_dropped += 1
            self._findings.append(Found(one, now.monotonic))

    def take_findings(self) -> list[Found]:
        """What is to be told since the last call, in order."""
        findings = list(self._findings)
        self._findings.clear()
        return findings

    def take_used(self) -> list[Used]:
        """What opened since the last call."""
        used, self._used = self._used, []
        return used

    def deed(self, nuki_id: NukiId) -> Deed | None:
        """What happened last, for the snapshot; None where no cloud could know it."""
        if not self._truth.knows(nuki_id):
            return None
        last = self.attribution.last(nuki_id)
        action = None if last.action is ActivityAction.UNKNOWN else last.action
        trigger = None if last.trigger is Trigger.UNKNOWN else last.trigger
        return Deed(action, trigger, last.actor(self.names))

    def forget(self, nuki_id: NukiId) -> None:
        """This device is gone."""
        self.attribution.forget(nuki_id)
        self._modes.pop(nuki_id, None)
        self._told_locally.discard(nuki_id)

    def clear(self) -> None:
        """Another gateway owns the base."""
        self.attribution.clear()
        self._findings.clear()
        self._used.clear()
        self._modes.clear()
        self._told_locally.clear()


def _wall(now: Moment, monotonic: float) -> datetime:
    return now.wall - timedelta(seconds=now.monotonic - monotonic)
