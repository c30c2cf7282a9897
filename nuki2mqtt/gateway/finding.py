"""When Bridges are searched for, and what is made of what was found.

A configured address is never left, a learnt one only for a place at which a Bridge with the same ID was found, after
it was dead for three minutes, and for one question at first: who is there. What else was found is only told
(docs/architecture.md, "Whom we talk to").
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.vocabulary import BridgesFound, Effect, FindBridges, Level, Log, Moment
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.discovery import How, Tried, Verdict, host_names, join_tried
from nuki2mqtt.protocol.settings import BridgeSettings, FindSettings

DEAD_S = 180.0
SOON_S = 60.0  # from the end of a search to the next one, as long as there is a reason
LATER_S = 600.0
SOON_TIMES = 5
REJECTED_S = 600.0  # so long a place is left alone that was tried, then twice as long each time
_MOST_REJECTED_S = 86_400.0
_MOST_TOLD = 64
_WAYS = {How.HOST_NAME: "its host name", How.MDNS: "mDNS", How.CLOUD: "Nuki's list"}


@dataclass(frozen=True, slots=True)
class _Rejection:
    """A place that was tried: until when it is left alone (monotonic), and for how long in all."""

    until: float
    lasts_s: float


class Finding:
    """Searches while a Bridge is dead or there is none at all, and when somebody asks.

    `links` is what is followed, by name. `found` is what the last search brought. `has_cloud`: locks are followed
    without any Bridge, so that finding none is nothing to tell.
    """

    def __init__(self, settings: FindSettings, links: Mapping[str, BridgeLink], *, has_cloud: bool = False) -> None:
        self.found: tuple[Tried, ...] = ()
        self._settings = settings
        self._has_cloud = has_cloud
        self._links = links
        self._is_searching = False
        self._is_asked_for = False
        self._is_stopped = False
        self._searches = 0  # for the present reason
        self._not_before = -math.inf
        self._moves: dict[str, tuple[BridgeSettings, float]] = {}  # where to, and when that was found (monotonic)
        self._trials: dict[str, str] = {}  # the last place that was tried for each
        self._not_looked_for: frozenset[NukiId] = frozenset()
        self._rejected: dict[str, _Rejection] = {}  # places that were tried
        self._told: dict[str, None] = {}

    @property
    def is_possible(self) -> bool:
        """Whether the settings permit any way to search."""
        return self._settings.mdns or self._settings.hostnames or self._settings.cloud

    def ask(self) -> bool:
        """Somebody wants to know what there is; False if the settings permit no search."""
        self._is_asked_for = self._is_asked_for or self.is_possible
        return self.is_possible

    def pause(self) -> None:
        """Another gateway owns the base: what was found is too old when we go on."""
        self._moves.clear()
        self._trials.clear()

    def stop(self) -> None:
        """Move nowhere and search no more."""
        self._is_stopped = True

    # --- Time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When to search next."""
        if self._is_searching or self._is_stopped or not self.is_possible:
            return None
        if self._is_asked_for:
            return -math.inf
        reason = self._reason_at()
        return None if reason is None else max(reason, self._not_before)

    def _reason_at(self) -> float | None:
        """Since when or from when on there is something to search for."""
        if not self._links:
            return -math.inf
        dead = [since for link in self._links.values() if (since := self._dead_at(link)) is not None]
        return min(dead, default=None)

    @staticmethod
    def _dead_at(link: BridgeLink) -> float | None:
        """When a Bridge that can be told by its ID counts as dead."""
        if link.dead_since is None or link.bridge_id is None or not link.can_be_asked:
            return None
        return link.dead_since + DEAD_S

    def handle_timer(self, now: Moment) -> list[Effect]:
        """Search, or move what is to be moved."""
        effects = [] if self._is_stopped else self._move(now)
        if self._reason_at() is None:
            self._searches, self._not_before = 0, -math.inf
        for link in self._links.values() if self._rejected else ():
            if link.is_verified:
                self._rejected.pop(link.place.link, None)
        deadline = self.next_deadline()
        if deadline is None or now.monotonic < deadline:
            return effects
        self._is_searching = True
        self._is_asked_for = False
        alive = [link for link in self._links.values() if self._is_spared(link, now)]
        ids = {link.bridge_id: link.settings.port for link in self._links.values() if link.bridge_id is not None}
        names = host_names(ids) if self._settings.hostnames else ()
        followed_ids = frozenset(link.bridge_id for link in alive if link.bridge_id is not None)
        self._not_looked_for = followed_ids
        return [*effects, FindBridges(names, frozenset(link.place.link for link in alive), followed_ids)]

    def _is_spared(self, link: BridgeLink, now: Moment) -> bool:
        """Whether a Bridge is asked anyway: it answers one question at a time, and ours come first."""
        dead = self._dead_at(link)
        return link.can_be_asked and (dead is None or now.monotonic < dead)

    # --- What was found -----------------------------------------------------------------------------------------------

    def take(self, event: BridgesFound, now: Moment, *, is_active: bool) -> list[Effect]:
        """A search ended; where we are not active nothing follows from it."""
        self._is_searching = False
        self._searches += 1
        self._not_before = now.monotonic + (SOON_S if self._searches < SOON_TIMES else LATER_S)
        oldest = now.monotonic - _MOST_REJECTED_S
        self._rejected = {place: one for place, one in self._rejected.items() if one.until > oldest}
        self.found = event.tried
        if not is_active:
            return []
        effects: list[Effect] = []
        for link in self._links.values():
            effects += self._look_for(link, now)
        if not self._links:
            for note in () if self._has_cloud else event.notes:
                effects += self._once(note)
            effects += self._tell_found()
        return effects

    def _look_for(self, link: BridgeLink, now: Moment) -> list[Effect]:
        dead = self._dead_at(link)
        if dead is None or link.bridge_id is None or now.monotonic < dead or link.bridge_id in self._not_looked_for:
            return []
        tried = self._trials.pop(link.link, None)
        if tried is not None and link.was_nobody:
            self._rejected.pop(tried, None)  # who did not answer or was busy says nothing of who it is
        place = self._place_of(link, now)
        if place is None:
            return []
        # It may be alive again, and our own network have been dead: one more question before anybody else is asked.
        link.look_for_life(now)
        if link.may_move and self._settings.follow:
            self._moves[link.link] = place, now.monotonic
            return []
        return self._once(
            bridge_problems.seems_moved(link.settings, link.bridge_id, place, is_listed=not link.is_learnt)
        )

    def _place_of(self, link: BridgeLink, now: Moment) -> BridgeSettings | None:
        """Where something calls itself like this Bridge, and wants a token as a Bridge does; None if it is at home."""
        places: list[BridgeSettings] = []
        # Whatever is said of the address of another Bridge that answers: who is there is known.
        others = {one.place.link for one in self._links.values() if one is not link and self._is_spared(one, now)}
        for tried in self.found:
            candidate = tried.candidate
            if candidate.link in others:
                continue
            if candidate.link == link.place.link and tried.verdict is not Verdict.SILENT:
                return None
            if tried.verdict is Verdict.BRIDGE and link.bridge_id in candidate.ids:
                places.append(BridgeSettings(host=candidate.host, port=candidate.port))
        return next((place for place in places if not self._is_left_alone(place, link, now)), None)

    def _is_left_alone(self, place: BridgeSettings, link: BridgeLink, now: Moment) -> bool:
        rejection = self._rejected.get(place.link)
        return place.link == link.place.link or (rejection is not None and now.monotonic < rejection.until)

    def _move(self, now: Moment) -> list[Effect]:
        """Try the places that were found, as soon as the old ones have proved to be dead once more."""
        effects: list[Effect] = []
        for name, (place, found_at) in list(self._moves.items()):
            link = self._links.get(name)
            dead = None if link is None else self._dead_at(link)
            if link is None or dead is None or now.monotonic < dead:
                del self._moves[name]  # it has answered meanwhile
            elif link.is_idle and link.found_dead >= found_at:
                del self._moves[name]
                former = self._rejected.get(place.link)
                lasts_s = REJECTED_S if former is None else min(2 * former.lasts_s, _MOST_REJECTED_S)
                self._rejected[place.link] = _Rejection(now.monotonic + lasts_s, lasts_s)
                self._trials[name] = place.link
                effects += link.try_address(place, now)
        return effects

    def _tell_found(self) -> list[Effect]:
        bridges = [tried for tried in join_tried(self.found) if tried.verdict is Verdict.BRIDGE]
        if not bridges:
            return [] if self._has_cloud else self._once(bridge_problems.none_found())
        effects: list[Effect] = []
        for tried in bridges:
            place = BridgeSettings(host=tried.candidate.host, port=tried.candidate.port)
            how = " and ".join(_WAYS[way] for way in tried.candidate.how)
            effects += self._once(bridge_problems.found_unpaired(tried.candidate.bridge_id, place, how))
        return effects

    def _once(self, text: str) -> list[Effect]:
        if text in self._told:
            return []
        if len(self._told) >= _MOST_TOLD:
            self._told.pop(next(iter(self._told)))
        self._told[text] = None
        return [Log(Level.WARNING, text)]
