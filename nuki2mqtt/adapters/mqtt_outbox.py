"""The publishes of one connection: written in order, a bounded number of them unacknowledged."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from nuki2mqtt.gateway.vocabulary import Publish

WINDOW = 20  # mosquitto's and Home Assistant's default for messages in flight
LIMIT = 5000


@dataclass(frozen=True, slots=True)
class _Written:
    message_id: int
    at: float


class Outbox:
    """Hands orders to `write` while fewer than `window` wait for their acknowledgement.

    `write` gives the packet's number, or None where it took the message and answered itself. Pipelined: the
    next one does not wait for the acknowledgement of the one before. Orders beyond `LIMIT` are not taken
    (`put` says so): the gateway keeps about 20 unacknowledged, so that a full box means a fault.
    """

    def __init__(self, write: Callable[[Publish], int | None], now: Callable[[], float]) -> None:
        self.window = WINDOW
        self.idle = asyncio.Event()
        self.idle.set()
        self._write = write
        self._now = now
        self._waiting: deque[Publish] = deque()
        self._written: dict[int, _Written] = {}

    def put(self, order: Publish) -> bool:
        """Write it, now or when its turn comes; False when the box is full."""
        if len(self._waiting) >= LIMIT:
            return False
        self.idle.clear()
        self._waiting.append(order)
        self._fill()
        return True

    def acknowledge(self, packet: int) -> int | None:
        """The broker has answered a packet: its message id, None for one that is not ours."""
        written = self._written.pop(packet, None)
        self._fill()
        return None if written is None else written.message_id

    @property
    def waiting_since(self) -> float | None:
        """When the oldest unacknowledged message was written."""
        return next((written.at for written in self._written.values()), None)

    def _fill(self) -> None:
        while self._waiting and len(self._written) < self.window:
            order = self._waiting.popleft()
            packet = self._write(order)
            if packet is not None:
                self._written[packet] = _Written(order.message_id, self._now())
        if not self._waiting and not self._written:
            self.idle.set()
