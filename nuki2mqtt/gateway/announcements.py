"""What Home Assistant was told of, and what of it is taken back.

A component that a discovery message leaves out is kept there. So one that is not offered any more is named once
by its platform alone, and left out 2 s after the broker has that. What was announced outlives the process, since
what is permitted changes between two of them. Nothing is taken back that was merely not seen again.
"""

from dataclasses import dataclass

from nuki2mqtt.gateway.publications import Publications, Rank
from nuki2mqtt.protocol.homeassistant import Discovery, render_removal

LEAVE_OUT_AFTER_S = 2.0


@dataclass(slots=True)
class _Removal:
    """What is being taken back; `then` is said without it, None where nothing is left.

    `told_at`: since when the broker has it, in monotonic seconds.
    """

    gone: dict[str, str]
    then: Discovery | None
    told_at: float | None = None


class Announcements:
    """Says discovery messages. `announced` is kept up to date: by topic, component keys with their platforms."""

    def __init__(self, publications: Publications, announced: dict[str, dict[str, str]]) -> None:
        self._publications = publications
        self._announced = announced
        self._removals: dict[str, _Removal] = {}

    def announce(self, discovery: Discovery) -> None:
        """Say this, and take back what was announced at its topic and is not offered any more."""
        topic = discovery.topic
        known, possible = self._announced.get(topic, {}), discovery.unseen | discovery.platforms
        # A component that changes its platform must be taken back, too, before it is there anew.
        gone = {key: platform for key, platform in known.items() if possible.get(key) != platform}
        former = self._removals.pop(topic, None)
        # What is being taken back stays until that is done: a restart in between begins it again.
        self._announced[topic] = known | discovery.platforms | gone
        if not gone:
            self._publications.say(topic, discovery.payload, Rank.DISCOVERY)
            return
        told_at = former.told_at if former is not None and former.gone == gone else None
        self._removals[topic] = _Removal(gone, discovery, told_at)
        self._publications.say(topic, render_removal(discovery, gone), Rank.DISCOVERY)

    def withdraw(self, topic: str) -> None:
        """Announce nothing at this topic: an empty message removes all that was."""
        self._publications.say(topic, b"", Rank.DISCOVERY)
        former = self._removals.get(topic)
        if topic in self._announced and (former is None or former.then is not None):
            self._removals[topic] = _Removal(self._announced[topic], None)

    def finish(self, now: float) -> None:
        """Leave out what was taken back long enough ago, on whichever connection the broker was told."""
        for topic, removal in list(self._removals.items()):
            if removal.told_at is None and self._publications.is_with_broker(topic):
                removal.told_at = now
            if removal.told_at is None or now < removal.told_at + LEAVE_OUT_AFTER_S:
                continue
            del self._removals[topic]
            if removal.then is None:
                self._announced.pop(topic, None)
            else:
                known = self._announced.get(topic, {})
                kept = {key: value for key, value in known.items() if key not in removal.gone}
                self._announced[topic] = kept | removal.then.platforms
                self._publications.say(topic, removal.then.payload, Rank.DISCOVERY)

    def next_deadline(self) -> float | None:
        """When something is to be left out; an acknowledgement wakes us without."""
        told = [removal.told_at for removal in self._removals.values() if removal.told_at is not None]
        return min(told) + LEAVE_OUT_AFTER_S if told else None
