"""Which Bridges are followed: those of the settings, or else those that somebody has paired with.

A paired Bridge has the name under which the state file holds it, which is the address of its pairing unless another one
had that name; where it is now may be another address.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from nuki2mqtt.gateway.vocabulary import BridgeMemory
from nuki2mqtt.protocol.settings import BRIDGES_LIMIT, BridgeSettings, Settings


@dataclass(frozen=True, slots=True)
class Followed:
    """A Bridge to be followed: its name, where it is, and what is remembered of it."""

    name: str
    bridge: BridgeSettings
    memory: BridgeMemory


def followed_bridges(settings: Settings, known: Mapping[str, BridgeMemory]) -> list[Followed]:
    """The configured Bridges; where none is, those for which there is a token, where they are now."""
    if settings.bridges:
        return [
            Followed(bridge.link, bridge, replace(memory_at(known, bridge.link), at=None))
            for bridge in settings.bridges
        ]
    learnt: list[Followed] = []
    for name, memory in known.items():
        if memory.token is not None:
            with suppress(ValueError):
                learnt.append(Followed(name, BridgeSettings.at(memory.at or name), memory))
    return learnt[:BRIDGES_LIMIT]


def name_at(known: Mapping[str, BridgeMemory], place: str) -> str:
    """Under which name a Bridge at this address is remembered: who has moved there was met there last."""
    moved = (name for name, memory in known.items() if memory.at == place)
    return next(moved, place)


def memory_at(known: Mapping[str, BridgeMemory], place: str) -> BridgeMemory:
    """What is remembered of the Bridge at this address; nothing of one that was met here and has moved away."""
    memory = known.get(name_at(known, place), BridgeMemory())
    return memory if memory.at in {None, place} else BridgeMemory()


def new_name(place: str, taken: Collection[str]) -> str:
    """A name for a Bridge that is paired here, where one that has moved away may still have that name."""
    names = (place, *(f"{place}/{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
