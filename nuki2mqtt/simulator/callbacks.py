"""A Bridge's three callback slots and what it owes them (Bridge API 1.13.2 section 5, /callback)."""

from collections.abc import Collection
from typing import NamedTuple

from nuki2mqtt.simulator.bodies import Wire

SLOTS = 3
MAX_URL_LENGTH = 254


class SimulatedCallback(NamedTuple):
    """One POST that the Bridge owes."""

    due_at: float
    url: str
    body: bytes


class Callbacks:
    """The slots, whose positions are their ids, and the POSTs not yet taken."""

    def __init__(self) -> None:
        self.slots: list[str | None] = [None] * SLOTS
        self._owed: list[SimulatedCallback] = []
        self._free_at = 0.0

    def owe(self, body: bytes, at: float, each_s: float) -> None:
        """Owe a body to every slot, one after the other, each taking so many seconds."""
        due_at = max(at, self._free_at)
        for url in self.slots:
            if url is not None:
                due_at += each_s
                self._owed.append(SimulatedCallback(due_at, url, body))
        self._free_at = due_at

    def take(self) -> list[SimulatedCallback]:
        """Everything that is owed, in order; taken once."""
        owed, self._owed = self._owed, []
        return owed

    def is_acceptable(self, url: str) -> bool:
        """Whether the Bridge takes such a URL: no TLS, at most 254 characters."""
        return url.startswith("http://") and len(url) <= MAX_URL_LENGTH

    def add(self, url: str) -> dict[str, Wire]:
        """The answer of `/callback/add`; the messages are those that clients log (reference, section 3.1)."""
        if url in self.slots:
            return {"success": False, "message": "callback already added"}
        if None not in self.slots:
            return {"success": False, "message": "too many callbacks registered"}
        self.slots[self.slots.index(None)] = url
        return {"success": True}

    def remove(self, number: int) -> dict[str, Wire]:
        """The answer of `/callback/remove`; what a Bridge says of an empty slot is not known."""
        if self.slots[number] is None:
            return {"success": False, "message": "callback not found"}
        self.slots[number] = None
        return {"success": True}

    def listing(self) -> dict[str, Wire]:
        """The answer of `/callback/list`."""
        return {"callbacks": [{"id": number, "url": url} for number, url in enumerate(self.slots) if url is not None]}

    def forget_all(self) -> None:
        """Lose every registration."""
        self.slots = [None] * SLOTS

    def seat(self, urls: Collection[str]) -> None:
        """Fill slots with strangers, free ones first, then the last ones of others, who are lost."""
        free = [number for number, url in enumerate(self.slots) if url is None]
        others = [number for number, url in enumerate(self.slots) if url is not None]
        for number, url in zip(free + others[::-1], urls, strict=False):
            self.slots[number] = url

    def unseat(self, urls: Collection[str]) -> None:
        """Free the slots of these URLs."""
        self.slots = [None if url in urls else url for url in self.slots]
