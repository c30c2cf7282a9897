"""When Bridges are searched for, and what is made of what was found.

A configured address is never left, a learnt one only for a place at which a Bridge with the same ID was found, after
it was dead for three minutes, and for one question at first: who is there. What else was found is only told
(docs/architecture.md, "Whom we talk to").
"""

import math
from collections.abc import Iterator, Mapping

from nuki2mqtt.gateway import bridge_problems
from nuki2mqtt.gateway.bridge_link import BridgeLink
from nuki2mqtt.gateway.vocabulary import BridgesFound, Effect, FindBridges, Level, Log, Moment
from nuki2mqtt.protocol.discovery import How, Tried, Verdict, host_names
from nuki2mqtt.protocol.settings import BridgeSettings, FindSettings

DEAD_S = 180.0
SOON_S = 60.0  # from the end of a search to the next one, as long as there is a reason
LATER_S = 600.0
SOON_TIMES = 5
REJECTED_S = 3600.0
_MOST_TOLD = 64
_WAYS = {How.HOST_NAME: "its host name", How.MDNS: "mDNS", How.CLOUD: "Nuki's list"}


class Finding:
    """Searches while a Bridge is dead or there is none at all, and when somebody asks.

    `links` is what is followed, by name. `found` is what the last search brought.
    """

    def __init__(self, settings: FindSettings, links: Mapping[str, BridgeLink]) -> None:
        self.found: tuple[Tried, ...] = ()
        self._settings = settings
        self._links = links
        self._is_searching = False
        self._is_asked_for = False
        self._is_stopped = False
        self._searches = 0  # for the present reason
        self._not_before = -math.inf
        self._moves: dict[str, BridgeSettings] = {}
        self._rejected: dict[str, float] = {}  # places that were tried, and until when that counts
        self._told: dict[str, None] = {}

    @property
    def is_possible(self) -> bool:
        """Whether the settings permit any way to search."""
        return self._settings.mdns or self._settings.hostnames or self._settings.cloud

    def ask(self) -> bool:
        """Somebody wants to know what there is; False if the settings permit no search."""
        self._is_asked_for = self._is_asked_for or self.is_possible
        return self.is_possible

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
                self._rejected.pop(link.settings.link, None)
        deadline = self.next_deadline()
        if deadline is None or now.monotonic < deadline:
            return effects
        self._is_searching = True
        self._is_asked_for = False
        alive = [link for link in self._links.values() if self._is_spared(link, now)]
        ids = {link.bridge_id: link.settings.port for link in self._links.values() if link.bridge_id is not None}
        names = host_names(ids) if self._settings.hostnames else ()
        followed_ids = frozenset(link.bridge_id for link in alive if link.bridge_id is not None)
        return [*effects, FindBridges(names, frozenset(link.settings.link for link in alive), followed_ids)]

    def _is_spared(self, link: BridgeLink, now: Moment) -> bool:
        """Whether a Bridge is asked anyway: it answers one question at a time, and ours come first."""
        dead = self._dead_at(link)
        return link.can_be_asked and (dead is None or now.monotonic < dead)

    # --- What was found -----------------------------------------------------------------------------------------------

    def take(self, event: BridgesFound, now: Moment) -> list[Effect]:
        """A search ended."""
        self._is_searching = False
        self._searches += 1
        self._not_before = now.monotonic + (SOON_S if self._searches < SOON_TIMES else LATER_S)
        self._rejected = {place: until for place, until in self._rejected.items() if until > now.monotonic}
        self.found = event.tried
        effects: list[Effect] = []
        for link in self._links.values():
            effects += self._look_for(link, now)
        if not self._links:
            for note in event.notes:
                effects += self._once(note)
            effects += self._tell_found()
        return effects

    def _look_for(self, link: BridgeLink, now: Moment) -> list[Effect]:
        dead = self._dead_at(link)
        if dead is None or link.bridge_id is None or now.monotonic < dead:
            return []
        for place in self._places(link):
            if place.link == link.settings.link or place.link in self._rejected:
                continue
            if link.may_move and self._settings.follow:
                self._moves[link.link] = place
                return []
            text = bridge_problems.seems_moved(link.settings, link.bridge_id, place, is_listed=not link.is_learnt)
            return self._once(text)
        return []

    def _places(self, link: BridgeLink) -> Iterator[BridgeSettings]:
        """Where something calls itself like this Bridge, and wants a token as a Bridge does."""
        for tried in self.found:
            if tried.verdict is Verdict.BRIDGE and link.bridge_id in tried.candidate.ids:
                yield BridgeSettings(host=tried.candidate.host, port=tried.candidate.port)
                for also in tried.also:
                    yield BridgeSettings.at(also)

    def _move(self, now: Moment) -> list[Effect]:
        """Try the places that were found, as soon as nothing else is under way there."""
        effects: list[Effect] = []
        for name, place in list(self._moves.items()):
            link = self._links.get(name)
            dead = None if link is None else self._dead_at(link)
            if link is None or dead is None or now.monotonic < dead:
                del self._moves[name]  # it has answered meanwhile
            elif link.is_idle:
                del self._moves[name]
                self._rejected[place.link] = now.monotonic + REJECTED_S
                effects += link.try_address(place, now)
        return effects

    def _tell_found(self) -> list[Effect]:
        bridges = [tried for tried in self.found if tried.verdict is Verdict.BRIDGE]
        if not bridges:
            return self._once(bridge_problems.none_found())
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
