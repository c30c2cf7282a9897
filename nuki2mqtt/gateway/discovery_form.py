"""Which form the discovery has, and the way from the other one on which Home Assistant loses no entity.

At each old topic it is said that its entities move, 2 s after the broker has that the new form is announced, 2 s
after the broker has that the old topics are cleared (reference, conventions A5). Until the end both stand in the state
file, so that a restart in between begins the last step again.
"""

from dataclasses import dataclass

from nuki2mqtt.gateway.announcements import LEAVE_OUT_AFTER_S, Announcements
from nuki2mqtt.gateway.publications import Publications, Rank
from nuki2mqtt.gateway.single_announcements import SingleAnnouncements
from nuki2mqtt.protocol.homeassistant import MIGRATE, Discovery, split_by_entity
from nuki2mqtt.protocol.settings_words import DiscoveryForm


@dataclass(slots=True)
class _Move:
    """One device on its way; `waits_for` are topics that the broker must have, `since` when it had them all."""

    discovery: Discovery
    old: list[str]
    waits_for: list[str]
    has_announced: bool = False
    since: float | None = None


class DiscoveryForms:
    """Announces devices in the form of the settings. Times are monotonic seconds."""

    def __init__(
        self,
        publications: Publications,
        announced: dict[str, dict[str, str]],
        form: DiscoveryForm = DiscoveryForm.DEVICE,
    ) -> None:
        self._publications = publications
        self._announced = announced
        self._is_single = form is DiscoveryForm.ENTITY
        self._whole = Announcements(publications, announced)
        self._single = SingleAnnouncements(publications, announced)
        self._moves: dict[str, _Move] = {}

    def announce(self, discovery: Discovery) -> None:
        """Say this, after its move from the other form if it was announced in that."""
        move = self._moves.get(discovery.topic)
        if move is not None:
            move.discovery = discovery
            if move.has_announced:
                self._say(discovery)
            return
        old = self._old_topics(discovery.topic)
        if not old:
            self._say(discovery)
            return
        for topic in old:
            self._publications.say(topic, MIGRATE, Rank.DISCOVERY)
        self._moves[discovery.topic] = _Move(discovery, old, list(old))

    def _old_topics(self, device_topic: str) -> list[str]:
        if self._is_single:
            return [device_topic] if device_topic in self._announced else []
        return self._single.topics_of(device_topic)

    def _say(self, discovery: Discovery) -> None:
        (self._single if self._is_single else self._whole).announce(discovery)

    def withdraw(self, device_topic: str) -> None:
        """Announce nothing of this device, in whichever form."""
        self._moves.pop(device_topic, None)
        for topic in self._single.topics_of(device_topic):
            self._single.clear(topic)
        if not self._is_single or device_topic in self._announced:
            self._whole.withdraw(device_topic)

    def finish(self, now: float) -> None:
        """Take the steps that are due."""
        self._whole.finish(now)
        self._single.finish()
        for topic, move in list(self._moves.items()):
            if move.since is None and all(map(self._publications.is_with_broker, move.waits_for)):
                move.since = now
            if move.since is None or now < move.since + LEAVE_OUT_AFTER_S:
                continue
            if not move.has_announced:
                self._say(move.discovery)
                new = split_by_entity(move.discovery) if self._is_single else (move.discovery,)
                move.has_announced, move.since, move.waits_for = True, None, [one.topic for one in new]
                continue
            del self._moves[topic]
            for old in move.old:
                self._single.clear(old)

    def next_deadline(self) -> float | None:
        """When something is due; an acknowledgement wakes us without."""
        times = [move.since + LEAVE_OUT_AFTER_S for move in self._moves.values() if move.since is not None]
        left_out_at = self._whole.next_deadline()
        return min([*times, *([] if left_out_at is None else [left_out_at])], default=None)
