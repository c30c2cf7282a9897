"""Finding Nuki Bridges: what to ask the network for, and how to read what comes back. Pure.

It is called *finding* everywhere else, since discovery is Home Assistant's. Sources: reference, section 5 (mDNS,
host names) and 1.2 (Nuki's list of Bridges). Nobody has published that a Bridge announces itself by mDNS, so an
announcement is a hint; whatever was found is asked without a token before anybody is told of it (`judge`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_api import Answer, InfoAnswer

API_PORT = 8080  # Bridge API 1.13.2 section 2; another one can be set in the Nuki app
_HTTP_TYPES = ("_http._tcp.local.", "_nuki._tcp.local.")
# Reference, section 5. The last three announce other protocols: their port is not that of the HTTP API.
SERVICE_TYPES = (*_HTTP_TYPES, "_hap._tcp.local.", "_matter._tcp.local.", "_matterc._udp.local.")
# Reference, section 5; the first one leaves it to the search domains of this computer.
DOMAINS = ("", ".local", ".lan", ".home", ".fritz.box")
CLOUD_PATH = "/discover/bridges"  # Bridge API 1.13.2 section 3

_TELLING_KEYS = ("md", "name", "fn", "manufacturer", "id")
# Reference, section 5, but no further letters: "Nukiyama Printer" is none.
_NUKI = re.compile(r"(?i)nuki(?:[ _-]?bridge)?(?:[ _-]?[0-9a-f]{8})?(?![0-9a-z])")
_NO_BRIDGE = re.compile(r"(?i)nuki(?:2mqtt|[ _-]?hub)")  # gateways to MQTT, this one and another one
_BRIDGE_ID = re.compile(r"(?i)nuki[ _-]?bridge[ _-]?([0-9a-f]{8})(?![0-9a-z])")
_EIGHT_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_SCOPE = re.compile(r"[0-9A-Za-z._-]{1,15}")  # an interface, by its name or number

_MOST_ADDRESSES = 4  # of one service or host name
_MOST_NAMES = 4
_MOST_LISTED = 32  # of Nuki's list; as many as can be configured


class How(StrEnum):
    """How a Bridge was found; what comes first is believed first.

    The local network says what holds now; Nuki's list may be stale (reference, 1.2).
    """

    HOST_NAME = "host_name"
    MDNS = "mdns"
    CLOUD = "cloud"


_RANK = {how: rank for rank, how in enumerate(How)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a Bridge may be. `host` is an address, an IPv6 one without brackets and link-local only with its scope.

    `bridge_id` is the ID that is printed on it (`hardwareId`), `server_id` the one that Nuki's list has; a software
    Bridge has the latter only. `names` are host names that lead there.
    """

    host: str
    port: int
    bridge_id: NukiId | None
    how: tuple[How, ...]
    server_id: NukiId | None = None
    names: tuple[str, ...] = ()

    @property
    def link(self) -> str:
        """Where it is, as in a URL: an IPv6 address is in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def ids(self) -> frozenset[NukiId]:
        """Every ID that it is known by."""
        return frozenset(one for one in (self.bridge_id, self.server_id) if one is not None)


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates, and why others were left out, as sentences that may hold foreign text."""

    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()


NOTHING = Found()


@dataclass(frozen=True, slots=True)
class AnnouncedService:
    """One service as mDNS told it: `name` ends in its type, `server` is its host; an IPv6 address may have a scope."""

    type: str
    name: str
    server: str
    port: int
    addresses: tuple[str, ...]
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostName:
    """A name under which a known Bridge may be reached, and the port of its HTTP API."""

    name: str
    bridge_id: NukiId
    port: int = API_PORT


# --- mDNS -----------------------------------------------------------------------------------------------------------


def is_bridge_like(service: AnnouncedService) -> bool:
    """Whether a service may belong to a Bridge, by its name, its host or its TXT record (reference, section 5)."""
    texts = [_instance(service), service.server, *_telling(service)]
    return any(_NUKI.match(text) for text in texts) and not any(_NO_BRIDGE.match(text) for text in texts)


def find_in_service(service: AnnouncedService) -> Found:
    """The candidates of a service; none if it is nothing of Nuki's."""
    if not is_bridge_like(service):
        return NOTHING
    is_http = service.type.lower() in _HTTP_TYPES
    port = service.port if is_http and 1 <= service.port <= 65535 else API_PORT
    server = service.server.rstrip(".")
    names = (server,) if server else ()
    return _at(service.addresses, port, How.MDNS, bridge_id=_id_of(service), names=names, of=_instance(service))


def _instance(service: AnnouncedService) -> str:
    """The name in front of the type."""
    name = service.name
    return name[: -len(service.type)].rstrip(".") if name.lower().endswith(service.type.lower()) else name


def _telling(service: AnnouncedService) -> Iterator[str]:
    yield from (value for key, value in service.properties.items() if key.lower() in _TELLING_KEYS)


def _id_of(service: AnnouncedService) -> NukiId | None:
    for text in (_instance(service), service.server, *_telling(service)):
        if found := _BRIDGE_ID.search(text):
            return NukiId.from_hex(found[1])
    for key, value in service.properties.items():
        if key.lower() == "id" and _EIGHT_HEX.fullmatch(value):
            return NukiId.from_hex(value)
    return None


# --- Host names -----------------------------------------------------------------------------------------------------


def host_names(ports: Mapping[NukiId, int]) -> tuple[HostName, ...]:
    """The names under which Bridges with these IDs ask a router for an address, in the usual domains of homes.

    The name is `Nuki_Bridge_<ID>` (home-assistant/core issue 93230; the ID is padded to eight digits).
    """
    return tuple(HostName(f"Nuki_Bridge_{one}{domain}", one, port) for one, port in ports.items() for domain in DOMAINS)


def find_in_names(resolved: Mapping[HostName, Iterable[str]]) -> Found:
    """The candidates of resolved names."""
    parts = [
        _at(addresses, name.port, How.HOST_NAME, bridge_id=name.bridge_id, names=(name.name,), of=name.name)
        for name, addresses in resolved.items()
    ]
    return join_found(parts)


# --- Nuki's list ----------------------------------------------------------------------------------------------------


def find_in_cloud_list(body: bytes) -> Found:
    """The candidates of Nuki's list (Bridge API 1.13.2 section 3); raises UnreadableBody.

    Entries that are not understood are passed over. An address that is not one of a home is not taken: behind a
    shared public address the list has strangers' Bridges (homebridge-nb issue 150), and nobody shall send us to any
    place of the internet.
    """
    data = bodies.load_object(body)
    notes: list[str] = []
    if bodies.read_int(data, "errorCode"):
        notes.append("Nuki's list says that something went wrong there; try again later.")
    listed = data.get("bridges")
    entries = listed if isinstance(listed, list) else []
    if len(entries) > _MOST_LISTED:
        notes.append(f"Nuki's list has {len(entries)} Bridges; only the first {_MOST_LISTED} are looked at.")
    parts = [_listed(entry) for entry in entries[:_MOST_LISTED] if isinstance(entry, dict)]
    return join_found([Found(notes=tuple(notes)), *parts])


def _listed(entry: bodies.JsonObject) -> Found:
    server_id = bodies.read_nuki_id(entry, "bridgeId")
    who = "a Bridge" if server_id is None else f"Bridge with server ID {server_id}"
    host, port = entry.get("ip"), bodies.read_int(entry, "port", high=65535)
    if not isinstance(host, str) or not host:
        return Found(notes=(f"Nuki's list has no address of {who}; it may be the app as a software Bridge.",))
    if host == "0.0.0.0" or port == 0:  # reference, 1.2
        step = "Switch discovery on in the Nuki app (Manage my devices > Bridge > HTTP API), or look into your router."
        return Found(notes=(f"Nuki's list has no address of {who}, because discovery is off there. {step}",))
    try:
        address = ip_address(host)
    except ValueError:
        return NOTHING
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if port is None or not address.is_private or address.is_loopback:
        return Found(notes=(f"Nuki's list has an address of {who} that is not one of a home; it is left out.",))
    return _at((host,), port, How.CLOUD, server_id=server_id, of=who)


# --- Addresses ------------------------------------------------------------------------------------------------------


def usable_host(text: str) -> str:
    """An address in the one spelling in which it can be asked; raises ValueError that says why it cannot be."""
    plain, _, scope = text.partition("%")
    try:
        address = ip_address(plain)
    except ValueError:
        raise ValueError("is no address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_multicast or (isinstance(address, IPv4Address) and address.is_reserved):
        raise ValueError("is not the address of one device")
    # Whoever announces, or a resolver that answers for names that do not exist, shall not send us into the internet.
    if address.is_global:
        raise ValueError("is an address of the internet, not of a home")
    if isinstance(address, IPv6Address) and address.is_link_local:
        if not _SCOPE.fullmatch(scope):
            raise ValueError("is link-local and without its network, such as %eth0, so that nobody can reach it")
        return f"{address}%{scope}"
    return str(address)


def _at(
    addresses: Iterable[str],
    port: int,
    how: How,
    *,
    of: str,
    bridge_id: NukiId | None = None,
    server_id: NukiId | None = None,
    names: tuple[str, ...] = (),
) -> Found:
    """A candidate for each usable address; IPv6 only where there is no IPv4: Bridges speak that (reference, 1.2)."""
    hosts: dict[str, None] = {}
    notes: list[str] = []
    for text in addresses:
        try:
            hosts[usable_host(text)] = None
        except ValueError as error:
            notes.append(f"{text}, an address of {of}, {error}.")
    chosen = [host for host in hosts if ":" not in host] or list(hosts)
    candidates = (Candidate(host, port, bridge_id, (how,), server_id, names) for host in chosen[:_MOST_ADDRESSES])
    return Found(tuple(candidates), () if chosen else tuple(notes[:_MOST_ADDRESSES]))


# --- All together ---------------------------------------------------------------------------------------------------


def join_found(parts: Iterable[Found]) -> Found:
    """Everything in one; an address that was found in several ways is one candidate, and each note is said once."""
    notes: dict[str, None] = {}
    places: dict[tuple[str, int], Candidate] = {}
    for part in parts:
        notes |= dict.fromkeys(part.notes)
        for candidate in part.candidates:
            place = (candidate.host, candidate.port)
            known = places.get(place)
            places[place] = candidate if known is None else _joined(known, candidate)
    return Found(tuple(sorted(places.values(), key=_rank)), tuple(notes))


def _joined(one: Candidate, other: Candidate) -> Candidate:
    first, second = sorted((one, other), key=_rank)
    return replace(
        first,
        bridge_id=first.bridge_id or second.bridge_id,
        server_id=first.server_id or second.server_id,
        how=_ways(first, second),
        names=tuple(dict.fromkeys((*first.names, *second.names)))[:_MOST_NAMES],
    )


def _ways(one: Candidate, other: Candidate) -> tuple[How, ...]:
    return tuple(sorted({*one.how, *other.how}, key=lambda how: _RANK[how]))


def _rank(candidate: Candidate) -> tuple[int, int, bool, int, int, int]:
    """Better ways first, then those with an ID; IPv4 before IPv6, the lower address first."""
    address = ip_address(candidate.host.partition("%")[0])
    ways = tuple(_RANK[how] for how in candidate.how)
    return ways[0], -len(ways), candidate.bridge_id is None, address.version, int(address), candidate.port


# --- What answers there ---------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What a candidate turned out to be; better ones first."""

    BRIDGE = "bridge"  # as far as can be seen without a token
    UNCLEAR = "unclear"
    SILENT = "silent"
    OTHER = "other"


_VERDICT_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate and what answered there; `also` are links at which the same Bridge was found."""

    candidate: Candidate
    verdict: Verdict
    text: str
    also: tuple[str, ...] = ()


def shown(tried: Tried) -> dict[str, object]:
    """One find for programs: `nuki2mqtt find --json` and `gateway/request/find`; texts may be foreign."""
    candidate = tried.candidate
    return {
        "host": candidate.host,
        "port": candidate.port,
        "bridge_id": None if candidate.bridge_id is None else str(candidate.bridge_id),
        "server_id": None if candidate.server_id is None else str(candidate.server_id),
        "found_by": list(candidate.how),
        "also": list(tried.also),
        "verdict": str(tried.verdict),
        "text": tried.text,
    }


def judge(candidate: Candidate, answer: Answer | BridgeError) -> Tried:
    """What the answer to a `/info` without a token says (reference, 1.6: a Bridge says 401)."""
    match answer:
        case InfoAnswer(bridge_type=int()):  # no Bridge does so; a clone may
            known = replace(
                candidate,
                bridge_id=answer.bridge_id or candidate.bridge_id,
                server_id=answer.server_id or candidate.server_id,
            )
            return Tried(known, Verdict.BRIDGE, "answers as a Bridge, even without a token")
        case BridgeError(kind=BridgeErrorKind.TOKEN_REFUSED):
            return Tried(candidate, Verdict.BRIDGE, "wants a token (401), as a Bridge does")
        case BridgeError(kind=BridgeErrorKind.BUSY | BridgeErrorKind.FORBIDDEN):
            text = "is busy or wants nothing of us, as a Bridge may; try again in a minute"
            return Tried(candidate, Verdict.UNCLEAR, text)
        case BridgeError(
            kind=BridgeErrorKind.REFUSED | BridgeErrorKind.TIMEOUT | BridgeErrorKind.RESET | BridgeErrorKind.TOO_LATE
        ):
            return Tried(candidate, Verdict.SILENT, answer.detail or "does not answer")
        case _:
            return Tried(candidate, Verdict.OTHER, "is something else: it does not answer as a Bridge does")


def join_tried(tried: Iterable[Tried]) -> tuple[Tried, ...]:
    """One line for each Bridge, the best first: the same ID at another address is the same Bridge."""
    kept: list[Tried] = []
    for one in sorted(tried, key=lambda one: (_VERDICT_RANK[one.verdict], _rank(one.candidate))):
        at = next((at for at, known in enumerate(kept) if known.candidate.ids & one.candidate.ids), None)
        if at is None:
            kept.append(one)
            continue
        better = kept[at]
        # A busy one may be the real Bridge, and who answers first its impostor. Elsewhere it is no more.
        if one.verdict in {better.verdict, Verdict.UNCLEAR}:
            candidate = replace(better.candidate, how=_ways(better.candidate, one.candidate))
            kept[at] = replace(better, candidate=candidate, also=(*better.also, one.candidate.link))
    return tuple(kept)
