"""The entity form of discovery: a message for each entity; what is not offered any more gets an empty one.

It speaks of the same `announced` as the device form (gateway/announcements.py), each entity under its own topic.
"""

from collections.abc import Iterator

from nuki2mqtt.gateway.publications import Publications, Rank
from nuki2mqtt.protocol.homeassistant import Discovery, entity_topic, is_entity_of, split_by_entity


class SingleAnnouncements:
    """Says discovery messages, one for each entity. `announced` is kept up to date, by topic."""

    def __init__(self, publications: Publications, announced: dict[str, dict[str, str]]) -> None:
        self._publications = publications
        self._announced = announced
        self._clearing: set[str] = set()

    def announce(self, discovery: Discovery) -> None:
        """Say each entity of this device, and take back those that are not offered any more."""
        offered = split_by_entity(discovery)
        for one in offered:
            self._announced[one.topic] = dict(one.platforms)
            self._clearing.discard(one.topic)
            self._publications.say(one.topic, one.payload, Rank.DISCOVERY)
        kept = {one.topic for one in offered}
        kept |= {entity_topic(discovery.topic, key, platform) for key, platform in discovery.unseen.items()}
        for topic in self.topics_of(discovery.topic):
            if topic not in kept:
                self.clear(topic)

    def topics_of(self, device_topic: str) -> list[str]:
        """Where entities of this device are announced."""
        known = self._announced.items()
        return [topic for topic, components in known if is_entity_of(topic, device_topic, components)]

    def clear(self, topic: str) -> None:
        """Announce nothing there; a restart before the broker has that begins it again."""
        if topic not in self._clearing:
            self._clearing.add(topic)
            # Once: said again later, Home Assistant would take it for the removal of what has moved from there.
            self._publications.clear(topic, Rank.DISCOVERY)

    def finish(self) -> None:
        """Forget what the broker has as cleared."""
        for topic in list(self._cleared()):
            self._clearing.discard(topic)
            self._announced.pop(topic, None)

    def _cleared(self) -> Iterator[str]:
        return (topic for topic in self._clearing if self._publications.is_with_broker(topic))
