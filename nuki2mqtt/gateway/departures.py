"""Which devices are gone: no Bridge that is followed lists them any more (docs/topics.md, "Home Assistant").

Three complete lists of each Bridge over ten minutes must lack a device. A Bridge that gives none, because it is away
or because it cannot be read, keeps all devices: any of them may be its own.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from nuki2mqtt.model.device import NukiId

LISTS = 3
GONE_AFTER_S = 600.0


@dataclass(slots=True)
class _Absence:
    since: float
    lists: int = 0


class Departures:
    """Counts the lists in which known devices are missing. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._absences: dict[NukiId, dict[str, _Absence]] = {}

    def listed(self, link: str, devices: Collection[NukiId], known: Iterable[NukiId], now: float) -> None:
        """A complete list of this Bridge; `known` are the devices that have a topic."""
        for nuki_id in known:
            if nuki_id in devices:
                self._absences.pop(nuki_id, None)
            else:
                absence = self._absences.setdefault(nuki_id, {}).setdefault(link, _Absence(now))
                absence.lists += 1

    def gone(self, links: Collection[str], now: float) -> list[NukiId]:
        """The devices that none of these Bridges lists any more; none without a Bridge."""
        if not links:
            return []
        return [
            nuki_id
            for nuki_id, absences in self._absences.items()
            if all(link in absences and self._is_long(absences[link], now) for link in links)
        ]

    @staticmethod
    def _is_long(absence: _Absence, now: float) -> bool:
        return absence.lists >= LISTS and now - absence.since >= GONE_AFTER_S

    def forget(self, nuki_id: NukiId) -> None:
        """It was removed."""
        self._absences.pop(nuki_id, None)

    def forget_all(self) -> None:
        """Another gateway has followed in the meantime."""
        self._absences.clear()
