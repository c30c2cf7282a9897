"""What we vouch for: which devices may be shown as online and fresh.

A device is vouched for when a report of this process told its state and no cause below stands against it.
Each cause ends only by its own contrary (docs/topics.md, "What we vouch for"):

  no readable /list with it for 2 x list_s + 15 s   a readable /list with it     per device and Bridge
  missing from N scans of /info in a row            a scan hit, a callback,      per device and Bridge
                                                    a newer entry timestamp
  a command or forced read ended unreachable        a callback, a successful     per device
                                                    /lockState, a later entry
  an entry without a state                          a state from any source      per device

With two Bridges a device needs one Bridge without a cause of its own. A Bridge itself is online by the first
of these rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nuki2mqtt.model.device import NukiId

GRACE_S = 15.0
BUSY_EXTENSION_S = 300.0
_MAX_SCANNED = 1000  # a scan also hears the neighbours


@dataclass(slots=True)
class _Sight:
    """One device on one Bridge."""

    listed: float
    silent_from: float
    missed_scans: int = 0


@dataclass(slots=True)
class _Causes:
    has_report: bool = False
    has_no_state: bool = False
    unreachable_since: float | None = None
    sights: dict[str, _Sight] = field(default_factory=dict)


class Vouching:
    """The causes against each device. Times are monotonic seconds."""

    def __init__(self, list_s: float, offline_after_scans: int) -> None:
        self._patience_s = 2 * list_s + GRACE_S
        self._offline_after_scans = offline_after_scans
        self._devices: dict[NukiId, _Causes] = {}
        self._bridges: dict[str, _Sight] = {}
        self._scanned: dict[str, set[NukiId]] = {}
        self._is_stopped = False

    def _causes(self, nuki_id: NukiId) -> _Causes:
        return self._devices.setdefault(nuki_id, _Causes())

    def is_vouched(self, nuki_id: NukiId, now: float) -> bool:
        """Whether this device is online and its snapshot fresh."""
        causes = self._devices.get(nuki_id)
        if self._is_stopped or causes is None or not causes.has_report or causes.has_no_state:
            return False
        if causes.unreachable_since is not None:
            return False
        return any(self._is_sighted(sight, now) for sight in causes.sights.values())

    def is_unreachable(self, nuki_id: NukiId) -> bool:
        """Whether a command or forced read did not reach it, and nothing has been heard since."""
        causes = self._devices.get(nuki_id)
        return causes is not None and causes.unreachable_since is not None

    def is_bridge_online(self, link: str, now: float) -> bool:
        """Whether this Bridge gave a readable `/list` lately."""
        sight = self._bridges.get(link)
        return not self._is_stopped and sight is not None and now < sight.silent_from

    def _is_sighted(self, sight: _Sight, now: float) -> bool:
        limit = self._offline_after_scans
        return now < sight.silent_from and not (limit and sight.missed_scans >= limit)

    def next_deadline(self, now: float) -> float | None:
        """When the next device falls silent."""
        groups = [self._bridges, *[causes.sights for causes in self._devices.values()]]
        times = [sight.silent_from for sights in groups for sight in sights.values() if sight.silent_from > now]
        return min(times, default=None)

    # --- What is heard ----------------------------------------------------------------------------------

    def listed(self, link: str, devices: Iterable[NukiId], now: float) -> None:
        """A readable `/list` of this Bridge has these devices."""
        groups = [self._bridges, *(self._causes(nuki_id).sights for nuki_id in devices)]
        for sights in groups:
            sight = sights.setdefault(link, _Sight(now, now))
            sight.listed = now
            sight.silent_from = now + self._patience_s

    def busy(self, link: str, now: float) -> None:
        """The Bridge answered 503: it is there, which buys some time."""
        groups = [self._bridges, *(causes.sights for causes in self._devices.values())]
        for sights in groups:
            sight = sights.get(link)
            if sight is not None and now < sight.silent_from:
                latest = sight.listed + self._patience_s + BUSY_EXTENSION_S
                sight.silent_from = min(max(sight.silent_from, now + self._patience_s), latest)

    def newer_entry(self, link: str, nuki_id: NukiId, time: float) -> None:
        """A `/list` entry has a newer timestamp; `time` is that timestamp on our clock."""
        causes = self._causes(nuki_id)
        if link in causes.sights:
            causes.sights[link].missed_scans = 0
        if causes.unreachable_since is not None and time > causes.unreachable_since:
            causes.unreachable_since = None

    def callback(self, link: str, nuki_id: NukiId) -> None:
        """The Bridge called back about the device."""
        causes = self._causes(nuki_id)
        causes.unreachable_since = None
        if link in causes.sights:
            causes.sights[link].missed_scans = 0
        self.state_told(nuki_id)

    def lock_state_read(self, nuki_id: NukiId) -> None:
        """A `/lockState` succeeded."""
        self._causes(nuki_id).unreachable_since = None
        self.state_told(nuki_id)

    def state_told(self, nuki_id: NukiId) -> None:
        """Any source told the state."""
        causes = self._causes(nuki_id)
        causes.has_report = True
        causes.has_no_state = False

    def no_state(self, nuki_id: NukiId) -> None:
        """A `/list` entry came without the state that it had, or never had one."""
        self._causes(nuki_id).has_no_state = True

    def unreachable(self, nuki_id: NukiId, now: float) -> None:
        """A command or forced read ended `device_unreachable`."""
        self._causes(nuki_id).unreachable_since = now

    def scanned(self, link: str, hits: Iterable[NukiId]) -> None:
        """A scan that lists anything; for a device that no scan of this Bridge ever had it says nothing."""
        heard = set(hits)
        ever_heard = self._scanned.setdefault(link, set())
        for nuki_id, causes in self._devices.items():
            sight = causes.sights.get(link)
            if sight is None:
                continue
            if nuki_id in heard:
                sight.missed_scans = 0
            elif nuki_id in ever_heard:
                sight.missed_scans += 1
        if len(ever_heard) < _MAX_SCANNED:
            ever_heard |= heard

    def stop(self) -> None:
        """The gateway stops: nothing is vouched for any more."""
        self._is_stopped = True
