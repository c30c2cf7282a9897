"""Which devices a Bridge has: what decides whether a command may go to the cloud at all.

One answer that lacks a lock says nothing: what a followed Bridge has listed in this process is its own until three
complete lists over ten minutes lack it (`departures`), until the Bridge is not followed any more, or until a person
removes it.
"""

from collections.abc import Mapping

from nuki2mqtt.gateway.departures import Departures
from nuki2mqtt.model.device import NukiId


class BridgedDevices:
    """The devices of all Bridges that are followed, with their types."""

    def __init__(self) -> None:
        self._types: dict[str, dict[NukiId, int]] = {}
        self._departures: dict[str, Departures] = {}
        self._heard: set[str] = set()
        self._all: dict[NukiId, int] | None = None  # until a list or a departure changes it

    def listed(self, link: str, devices: Mapping[NukiId, int], now: float, *, is_complete: bool) -> None:
        """This Bridge lists these devices, of these types; `is_complete`: all of the answer was readable."""
        types = self._types.setdefault(link, {})
        former = dict(types)
        types |= devices
        if is_complete:
            self._heard.add(link)
            departures = self._departures.setdefault(link, Departures())
            departures.listed(link, devices, types, now)
            for nuki_id in departures.gone((link,), now):
                departures.forget(nuki_id)
                del types[nuki_id]
        if types != former:
            self._all = None

    def has_heard(self, link: str) -> bool:
        """Whether a complete list of this Bridge came."""
        return link in self._heard

    def all(self) -> Mapping[NukiId, int]:
        """All of them, with their types; the same object as long as nothing of it differs."""
        if self._all is None:
            self._all = {nuki_id: kind for types in self._types.values() for nuki_id, kind in types.items()}
        return self._all

    def retire(self, link: str) -> None:
        """This Bridge is not followed any more, or under another name."""
        self._types.pop(link, None)
        self._departures.pop(link, None)
        self._heard.discard(link)
        self._all = None

    def forget(self, nuki_id: NukiId) -> None:
        """A person has removed it."""
        for link, types in self._types.items():
            types.pop(nuki_id, None)
            if link in self._departures:
                self._departures[link].forget(nuki_id)
        self._all = None

    def clear(self) -> None:
        """Another gateway owns the base: what a Bridge lists the next time is all that is known."""
        for link in list(self._types):
            self.retire(link)
        self._heard.clear()
