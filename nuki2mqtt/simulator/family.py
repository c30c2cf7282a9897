"""What the families of Bridges differ in: two generations of hardware, and the software Bridge (an Android app).

The firmware decides what a hardware Bridge can do. Sources are named per row; where the reference is silent about a
software Bridge, its few recorded bodies are followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from nuki2mqtt.simulator.bodies import Wire
from nuki2mqtt.simulator.house import Facts
from nuki2mqtt.simulator.token_check import Mode


class Family(StrEnum):
    """The family of a Bridge; firmware of `v1` begins with 1, of `v2` with 2."""

    V1 = "v1"
    V2 = "v2"
    SOFTWARE = "software"


NEWEST = {  # reference, section 1.13: the newest seen in reports; the app's is a recorded one
    Family.V1: "1.24.0",
    Family.V2: "2.18.0",
    Family.SOFTWARE: "1.4.6",
}
WIFI_FIRMWARE = {Family.V1: "1.2.0", Family.V2: "2.1.17", Family.SOFTWARE: ""}  # as recorded

_Version = tuple[int, ...]
# The first firmware of each hardware generation.
_HASHED: tuple[_Version, _Version] = (1, 12, 0), (2, 2, 0)  # reference, section 2
_ENCRYPTED: tuple[_Version, _Version] = (1, 22, 1), (2, 14, 0)  # Bridge API 1.13.2 section 3.2
_SIMPLE_ACTIONS: tuple[_Version, _Version] = (1, 14, 0), (2, 5, 0)  # Bridge API 1.13.2 section 4.5
_DOORS: tuple[_Version, _Version] = (1, 16, 0), (2, 6, 0)  # reference, section 1.5
_EXTRAS: tuple[_Version, _Version] = (1, 17, 0), (2, 7, 0)  # reference, section 1.5

_UNKNOWN_TO_SOFTWARE = frozenset({"deviceType", "mode", "firmwareVersion"})  # recorded bodies of software Bridges


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one Bridge can do. `tells_extras`: rings, keypad, charge."""

    family: Family
    modes: frozenset[Mode]
    has_simple_actions: bool
    tells_doors: bool
    tells_extras: bool

    @property
    def is_software(self) -> bool:
        """Whether it is an app: no button, no maintenance, no log (reference, section 1.13)."""
        return self.family is Family.SOFTWARE

    def visible(self, facts: Facts) -> Facts:
        """What this Bridge understands of a device."""
        if not self.tells_doors:
            facts = facts._replace(door=None)
        if not self.tells_extras:
            facts = facts._replace(
                battery_level=None, battery_charging=None, keypad_critical=None, ring_at=None, is_ringing=False
            )
        return facts

    def written(self, body: Mapping[str, Wire]) -> dict[str, Wire]:
        """A state or an entry as this Bridge writes it."""
        if not self.is_software:
            return dict(body)
        entry = {key: value for key, value in body.items() if key not in _UNKNOWN_TO_SOFTWARE}
        state = entry.get("lastKnownState")
        return entry | {"lastKnownState": self.written(state)} if isinstance(state, Mapping) else entry


def family_of(firmware: str) -> Family:
    """The hardware generation that has this firmware."""
    return Family.V1 if firmware.startswith("1.") else Family.V2


def abilities_of(family: Family, firmware: str) -> Abilities:
    """What a Bridge of this family and firmware can do; raises ValueError for what is no firmware of the family."""
    version = _version(firmware)
    if family is Family.SOFTWARE:
        return Abilities(family, frozenset({"plain"}), has_simple_actions=False, tells_doors=False, tells_extras=False)
    if family_of(firmware) is not family:
        raise ValueError(f"{firmware} is no firmware of a {family} Bridge; it begins with {str(family)[1:]}.")
    generation = 0 if family is Family.V1 else 1
    modes: set[Mode] = {"plain"}
    if version >= _HASHED[generation]:
        modes.add("hashed")
    if version >= _ENCRYPTED[generation]:
        modes.add("encrypted")
    return Abilities(
        family,
        frozenset(modes),
        has_simple_actions=version >= _SIMPLE_ACTIONS[generation],
        tells_doors=version >= _DOORS[generation],
        tells_extras=version >= _EXTRAS[generation],
    )


def _version(text: str) -> _Version:
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"{text} is no firmware; write numbers with dots, such as 2.18.0")
    return tuple(int(part) for part in parts)
