"""`nuki2mqtt find`: which Bridges there are, how they were found, and the next command."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.adapters.address import plain_address
from nuki2mqtt.adapters.bridge_finder import MDNS_S, Search, SearchPlan, search
from nuki2mqtt.adapters.container import is_in_container
from nuki2mqtt.adapters.hostnames import resolve
from nuki2mqtt.adapters.log_output import configure_logging
from nuki2mqtt.adapters.state_file import read_memory
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK, Setup
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.gateway.bridge_problems import pair_command
from nuki2mqtt.gateway.learnt_bridges import followed_bridges
from nuki2mqtt.gateway.vocabulary import BridgeMemory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.discovery import Candidate, How, Tried, Verdict, host_names, shown
from nuki2mqtt.protocol.settings import BridgeSettings

SECONDS = MDNS_S
_WAYS = {How.HOST_NAME: "its host name", How.MDNS: "mDNS", How.CLOUD: "Nuki's list"}
_LINE = 200


@dataclass(frozen=True, slots=True)
class FindOptions:
    """How to search; `cloud` besides what the settings say; `at`: addresses of this computer, to ask by mDNS there."""

    cloud: bool = False
    seconds: float = SECONDS
    at: tuple[str, ...] = ()
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What we know of the Bridges that are followed: their IDs, their addresses, and which have a token; by link.

    `are_listed`: in the settings; otherwise they were paired.
    """

    bridges: tuple[BridgeSettings, ...]
    memory: Mapping[str, BridgeMemory]
    addresses: Mapping[str, tuple[str, ...]]
    are_listed: bool = True

    @property
    def where(self) -> str:
        """Where we know them from."""
        return "in your settings" if self.are_listed else "paired"

    def ids_of(self, bridge: BridgeSettings) -> tuple[NukiId, ...]:
        """Its ID as configured or learnt."""
        known = (bridge.id, self.memory.get(bridge.link, BridgeMemory()).bridge_id)
        return tuple(one for one in known if one is not None)

    def has_token(self, bridge: BridgeSettings) -> bool:
        """Whether it has one, configured or paired."""
        return bridge.token is not None or self.memory.get(bridge.link, BridgeMemory()).token is not None

    def at_its_place(self, candidate: Candidate) -> BridgeSettings | None:
        """The configured Bridge with this address."""
        for bridge in self.bridges:
            host = plain_address(bridge.host) or bridge.host.lower().rstrip(".")
            hosts = {candidate.host, plain_address(candidate.host), *(name.lower() for name in candidate.names)}
            is_there = host in hosts or candidate.host in self.addresses.get(bridge.host, ())
            if is_there and bridge.port == candidate.port:
                return bridge
        return None

    def elsewhere(self, candidate: Candidate) -> BridgeSettings | None:
        """The configured Bridge with this ID; asked where none has the address."""
        return next((bridge for bridge in self.bridges if candidate.ids & set(self.ids_of(bridge))), None)


def find(setup: Setup, options: FindOptions) -> int:
    """Search, say what was found; status 0 if a Bridge answered."""
    configure_logging(setup.settings.log.level, setup.settings.log.format, setup.secrets)
    ways, found, known = asyncio.run(_search(setup, options))
    if options.as_json:
        say(json.dumps(as_json(found, known), indent=2))
    else:
        for text in (*found.warnings, *found.notes):
            say(f"note: {printable(text)}", is_trouble=True)
        for line in lines(ways, found, known):
            say(line)
    return EXIT_OK if any(one.verdict is Verdict.BRIDGE for one in found.tried) else EXIT_FAILED


async def _search(setup: Setup, options: FindOptions) -> tuple[frozenset[How], Search, Known]:
    """In which ways was searched, what was found, and what was known before."""
    settings = setup.settings
    followed = followed_bridges(settings, read_memory(setup.state_dir).bridges)
    bridges = tuple(one.bridge for one in followed)
    memory = {one.bridge.link: one.memory for one in followed}
    named = [bridge.host for bridge in bridges if plain_address(bridge.host) is None]
    known = Known(bridges, memory, await resolve(named), are_listed=bool(settings.bridges))
    ports = {one: bridge.port for bridge in bridges for one in known.ids_of(bridge)}
    plan = SearchPlan(
        mdns_s=options.seconds if settings.find.mdns else None,
        host_names=host_names(ports) if settings.find.hostnames else (),
        cloud_url=settings.nuki_web.base_url if options.cloud or settings.find.cloud else None,
        at=options.at,
    )
    if plan.mdns_s is not None and not options.as_json:
        say(f"Searching for {plan.mdns_s:g} s ...")
    ways = {How.MDNS: plan.mdns_s is not None, How.HOST_NAME: bool(plan.host_names), How.CLOUD: bool(plan.cloud_url)}
    return frozenset(way for way, is_taken in ways.items() if is_taken), await search(plan), known


def _next(candidate: Candidate, known: Known) -> tuple[str, str | None]:
    """What our settings say of it, and the next command if there is one."""
    if (bridge := known.at_its_place(candidate)) is not None:
        if known.has_token(bridge):
            return f"{known.where}, with a token: nothing to do", None
        return "in your settings, without a token", pair_command(bridge)  # its token belongs to that spelling
    if (bridge := known.elsewhere(candidate)) is not None:
        port = "" if bridge.port == candidate.port else f" and port: {candidate.port}"
        step = f"if the Nuki app or your router has it at {candidate.host}, too, set host: {candidate.host}{port}"
        if not known.are_listed:
            step = "with find.follow the service follows it there when the old address is dead; or pair again"
            return f"paired at another address, {bridge.link}: {step}", pair_command(_place(candidate))
        return f"in your settings with another address, {bridge.link}: {step}", None
    return "not in your settings" if known.are_listed else "not paired", pair_command(_place(candidate))


def _place(candidate: Candidate) -> BridgeSettings:
    return BridgeSettings(host=candidate.host, port=candidate.port)


# --- For people -----------------------------------------------------------------------------------------------------


def lines(ways: frozenset[How], found: Search, known: Known) -> Iterator[str]:
    """Each Bridge with the next command; where there is none, what to check."""
    for one in found.tried:
        yield from _describe(one, known)
    if any(one.verdict is Verdict.BRIDGE for one in found.tried):
        return
    yield from _advice(ways, found, known)


def _describe(one: Tried, known: Known) -> Iterator[str]:
    candidate = one.candidate
    match one.verdict:
        case Verdict.BRIDGE:
            yield f"{_who(candidate)} at {candidate.link}"
        case Verdict.UNCLEAR:
            yield f"Perhaps {_who(candidate)} at {candidate.link}"
        case Verdict.SILENT:
            yield f"{_who(candidate)} does not answer at {candidate.link}"
        case Verdict.OTHER:
            yield f"No {_who(candidate)} at {candidate.link}"
    names = f", as {printable(', '.join(candidate.names), _LINE)}" if candidate.names else ""
    yield f"  found by {' and '.join(_WAYS[how] for how in candidate.how)}{names}"
    yield f"  {printable(one.text)}"
    if one.also:
        yield f"  also at {', '.join(one.also)}"
    if one.verdict in {Verdict.BRIDGE, Verdict.UNCLEAR}:
        text, command = _next(candidate, known)
        yield f"  {text}" + (f"; next: {command}" if command else "")


def _who(candidate: Candidate) -> str:
    if candidate.bridge_id is not None:
        return f"Bridge {candidate.bridge_id}"
    return "Bridge" if candidate.server_id is None else f"Bridge with server ID {candidate.server_id}"


def _advice(ways: frozenset[How], found: Search, known: Known) -> Iterator[str]:
    if not ways:
        yield (
            "Nothing was searched: find.mdns is off in your settings, and there is no known Bridge whose host name "
            "could be asked for (find.hostnames)."
        )
    elif not found.tried:
        yield "No Bridge was found. That does not mean there is none: most do not announce themselves."
    if known.bridges:
        yield "Whether the Bridges in your settings answer is not asked here: nuki2mqtt check asks them."
    yield "What to check, in this order:"
    steps = [
        "Is the HTTP API on? Nuki app: Manage my devices > Bridge > HTTP API; its address and port stand there, too.",
        "Is this computer in the network of the Bridge? A guest Wi-Fi or another VLAN is not.",
        "The list of devices in your router: a Bridge is called Nuki_Bridge_XXXXXXXX there.",
        "With its address: nuki2mqtt pair --host ADDRESS",
    ]
    if is_in_container():
        steps.insert(2, "This is a container: mDNS reaches it only in the host's network (docker run --network host).")
    if How.CLOUD not in ways:
        steps.append("nuki2mqtt find --cloud asks Nuki's server, which gets to know your public address by it.")
    for number, step in enumerate(steps, start=1):
        yield f"  {number}. {step}"


# --- For programs ---------------------------------------------------------------------------------------------------


def as_json(found: Search, known: Known) -> dict[str, Any]:
    """What was found, and for each what the settings know of it."""
    return {
        "found": [_one_as_json(one, known) for one in found.tried],
        "notes": [printable(text) for text in (*found.warnings, *found.notes)],
    }


def _one_as_json(one: Tried, known: Known) -> dict[str, Any]:
    candidate = one.candidate
    text, command = _next(candidate, known)
    is_one = one.verdict in {Verdict.BRIDGE, Verdict.UNCLEAR}
    return shown(one) | {
        "names": [printable(name, _LINE) for name in candidate.names],
        "text": printable(one.text),
        "configured": known.at_its_place(candidate) is not None,
        "settings": text if is_one else None,
        "next": command if is_one else None,
    }
