"""Which Bridges are followed: those of the settings, or else those that somebody has paired with."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from nuki2mqtt.gateway.vocabulary import BridgeMemory
from nuki2mqtt.protocol.settings import BRIDGES_LIMIT, BridgeSettings, Settings


def rename_moved(bridges: Mapping[str, BridgeMemory]) -> dict[str, BridgeMemory]:
    """What a former process remembered, each Bridge under the address at which it is now."""
    renamed = {link: known for link, known in bridges.items() if known.at is None}
    for known in bridges.values():
        if known.at is not None:
            renamed.setdefault(known.at, replace(known, at=None))  # who was paired there since is newer
    return renamed


def followed_bridges(settings: Settings, known: Mapping[str, BridgeMemory]) -> tuple[BridgeSettings, ...]:
    """The configured Bridges; where none is, those for which there is a token, by the addresses they were paired at."""
    if settings.bridges:
        return settings.bridges
    learnt: list[BridgeSettings] = []
    for link, memory in known.items():
        if memory.token is not None:
            with suppress(ValueError):
                learnt.append(BridgeSettings.at(link))
    return tuple(learnt[:BRIDGES_LIMIT])
