"""Forced syncs that a person asks for: the cloud reads everything back from one device, which costs its battery.

Within the budget of the keypad codes (`sync_budget`), also where those are not managed. The cloud only promises it
(204), and does it seconds later (web reference 6.2): so the device is read again at growing intervals, until the
cloud's entry of it was renewed or the time for it is up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nuki2mqtt.errors import WebError
from nuki2mqtt.gateway.cloud_devices import Standing
from nuki2mqtt.gateway.cloud_truth import CloudTruth
from nuki2mqtt.gateway.keypad_desk import KeypadDesk
from nuki2mqtt.gateway.news import SyncEnded
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.gateway.web_asks import Then, WebAsks
from nuki2mqtt.gateway.web_jobs import WebEnded
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.payloads import render_time
from nuki2mqtt.protocol.web_api import DeviceAnswer, DeviceRequest, DoneAnswer, SyncRequest

PATIENCE_S = 15.0  # for its turn among what else waits for the cloud
LOOKS_S = (3.0, 6.0, 12.0, 20.0)  # after the answer
_AWAY = {
    Standing.OFFLINE: "is offline: Nuki Web does not reach it",
    Standing.MISCONFIGURED: "cannot be read: Nuki Web has no valid authorization on it",
    Standing.SILENT: "cannot be read: Nuki Web has not answered for too long, see gateway/health",
}


Tell = Callable[[SyncEnded], None]


@dataclass(slots=True)
class _Look:
    """`updated` is the time of the cloud's entry before, `taken` when the cloud took the order (monotonic)."""

    updated: datetime | None
    taken: float = 0.0
    looks: int = 0


class CloudSyncs:
    """All of them under way, one per device at most. `read` takes in a read of a device."""

    def __init__(self, asks: WebAsks, truth: CloudTruth, desk: KeypadDesk, tell: Tell, read: Then) -> None:
        self._asks = asks
        self._truth = truth
        self._desk = desk
        self._tell = tell
        self._read = read
        self._under_way: dict[NukiId, _Look] = {}

    def begin(self, nuki_id: NukiId, now: Moment) -> None:
        """Order one; raises ValueError with a text for people. Its `SyncEnded` follows."""
        view, number, budget = self._truth.devices.view(nuki_id), self._truth.smartlock_id(nuki_id), self._desk.budget
        if view is None or number is None:
            raise ValueError(f"unknown device: {nuki_id} is not in the account of nuki_web.token, only a Bridge has it")
        if nuki_id in self._under_way:
            raise ValueError(f"busy: a sync of {nuki_id} is under way")
        standing = self._truth.standing(nuki_id, now)
        if standing in _AWAY:
            raise ValueError(f"device {nuki_id} {_AWAY[standing]}")
        if self._asks.link.is_refused(SyncRequest.scope, now.monotonic, number):
            raise ValueError(f"the token was refused for this lately: it needs the scope {SyncRequest.scope}")
        if budget.wait_s(number, now) > 0:
            at = render_time(budget.next_at(number, now))
            raise ValueError(
                f"the budget of {nuki_id} is spent: a forced sync costs its battery, so there is one in six hours;"
                f" the next one from {at} on"
            )
        self._desk.spend_sync(number, now)
        self._under_way[nuki_id] = _Look(view.facts.updated)

        def then(ended: WebEnded, now: Moment) -> None:
            self._ordered(nuki_id, number, ended, now)

        self._asks.ask(SyncRequest(number), then, now, not_after=now.monotonic + PATIENCE_S)

    def _ordered(self, nuki_id: NukiId, number: int, ended: WebEnded, now: Moment) -> None:
        look, answer = self._under_way.get(nuki_id), ended.answer
        is_taken = isinstance(answer, DoneAnswer)
        if isinstance(answer, WebError) and not answer.may_have_acted:
            self._desk.refund_sync(number)
            self._end(nuki_id, error=f"Nuki Web has not taken it ({answer}); it costs nothing")
            return
        self._desk.woken(number, now)
        if look is None:
            return  # the device was forgotten meanwhile
        if not is_taken:
            self._end(nuki_id, error=f"Nuki Web gave no answer ({answer}): it may happen or not, and it counts")
            return
        look.taken = now.monotonic
        self._look(nuki_id, number, look, now)

    def _look(self, nuki_id: NukiId, number: int, look: _Look, now: Moment) -> None:
        due = max(look.taken + LOOKS_S[look.looks], now.monotonic)
        look.looks += 1

        def then(ended: WebEnded, now: Moment) -> None:
            self._looked(nuki_id, number, ended, now)

        self._asks.ask(DeviceRequest(number), then, now, due=due)

    def _looked(self, nuki_id: NukiId, number: int, ended: WebEnded, now: Moment) -> None:
        self._read(ended, now)
        look = self._under_way.get(nuki_id)
        if look is None:
            return
        answer = ended.answer
        is_read = isinstance(answer, DeviceAnswer)
        is_renewed = isinstance(answer, DeviceAnswer) and answer.device.facts.updated != look.updated
        if not is_renewed and look.looks < len(LOOKS_S):
            self._look(nuki_id, number, look, now)
        elif is_read:
            budget = self._desk.budget
            data = {
                "id": str(nuki_id),
                "renewed": is_renewed,
                "forced_syncs": budget.count(number),
                "next": render_time(budget.next_at(number, now)),
            }
            self._end(nuki_id, data=data)
        else:
            self._end(nuki_id, error=f"Nuki Web has taken it, but the device could not be read again ({answer})")

    def _end(self, nuki_id: NukiId, *, data: dict[str, Any] | None = None, error: str | None = None) -> None:
        if self._under_way.pop(nuki_id, None) is not None:
            self._tell(SyncEnded(nuki_id, data, error))

    def forget(self, nuki_id: NukiId) -> None:
        """A person has removed it."""
        self._end(nuki_id, error="the device was removed meanwhile")

    def drop(self) -> None:
        """Another gateway owns the base: nobody waits any more."""
        self._under_way.clear()
