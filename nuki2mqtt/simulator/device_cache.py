"""What a Bridge knows of its devices, and which changes it reports.

It keeps two things apart: what it has last read over Bluetooth, which decides what is reported, and what
`/list` shows, which faults may hold back (reference, section 4.4).
"""

from collections.abc import Callable, Collection

from nuki2mqtt.simulator.family import Abilities
from nuki2mqtt.simulator.faults import FaultName, Faults
from nuki2mqtt.simulator.house import Facts, SimulatedDevice


class DeviceCache:
    """Last read facts per device; `clock` gives the Bridge's own time, epoch seconds."""

    def __init__(
        self, faults: Faults, called_back: Collection[int], clock: Callable[[], float], abilities: Abilities
    ) -> None:
        self._faults = faults
        self._called_back = frozenset(called_back)
        self._clock = clock
        self._abilities = abilities
        self._read: dict[int, Facts] = {}
        self._shown: dict[int, tuple[Facts, float]] = {}

    def is_reachable(self, device: SimulatedDevice) -> bool:
        """Whether the radio reaches the device."""
        return not self._faults.has(FaultName.UNREACHABLE, nuki_id=device.nuki_id)

    def read(self, device: SimulatedDevice) -> bool:
        """Read the device if the radio reaches it; returns whether the change is one that is reported."""
        if not self.is_reachable(device):
            return False
        before, facts = self._read.get(device.nuki_id), self._abilities.visible(device.facts)
        self._read[device.nuki_id] = facts
        held_back = (FaultName.FROZEN_CACHE, FaultName.STUCK_STATE)
        if not any(self._faults.has(name, nuki_id=device.nuki_id) for name in held_back):
            self._shown[device.nuki_id] = facts, self._clock()
        return before is not None and self._is_reported(before, facts)

    def last_read(self, device: SimulatedDevice) -> Facts:
        """What was last read of a device."""
        return self._read[device.nuki_id]

    def shown(self, device: SimulatedDevice) -> tuple[Facts, float] | None:
        """What `/list` shows of a device and since when; None when it shows no state."""
        if self._faults.has(FaultName.NO_LAST_KNOWN_STATE, nuki_id=device.nuki_id):
            return None
        return self._shown.get(device.nuki_id)

    def stick(self, device: SimulatedDevice, code: int) -> None:
        """Show a state that the device does not have."""
        self._shown[device.nuki_id] = self._abilities.visible(device.facts)._replace(state=code), self._clock()

    def forget_shown(self) -> None:
        """Show no states until the devices are read again."""
        self._shown.clear()

    def _is_reported(self, before: Facts, facts: Facts) -> bool:
        if facts.door != before.door:
            return True
        if facts.is_ringing and (facts.ring_at, True) != (before.ring_at, before.is_ringing):
            return True
        is_moved = (facts.state, facts.mode) != (before.state, before.mode)
        return is_moved and facts.state in self._called_back
