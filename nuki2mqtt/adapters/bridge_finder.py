"""Searches for Bridges in every way at once, and asks each candidate for `/info` without a token.

Nothing signed and no token is ever sent from here: whoever gets a signed request can replay it as an order
(docs/security.md). A candidate is asked once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nuki2mqtt.adapters.bridge_http import BridgeHttp
from nuki2mqtt.adapters.cloud_list import ask_cloud
from nuki2mqtt.adapters.hostnames import resolve
from nuki2mqtt.adapters.mdns import browse
from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.gateway.vocabulary import BridgesFound, FindBridges
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.bridge_api import InfoRequest
from nuki2mqtt.protocol.discovery import (
    NOTHING,
    Candidate,
    Found,
    HostName,
    Tried,
    Verdict,
    find_in_names,
    find_in_service,
    join_found,
    join_tried,
    judge,
)
from nuki2mqtt.protocol.settings import FindSettings

MOST_CANDIDATES = 32
_MOST_NOTES = 16
MDNS_S = 5.0  # what does not answer a question by mDNS within 3 s will not
AT_A_TIME = 4
_CONNECT_S = 3.0
_ANSWER_S = 5.0  # for all of it


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """In which ways to search: None or empty leaves one out; `at` limits mDNS to these addresses of this computer.

    What is at one of the `followed` addresses (host:port) or has one of these IDs is asked by somebody else already.
    """

    mdns_s: float | None = None
    host_names: tuple[HostName, ...] = ()
    cloud_url: str | None = None
    at: tuple[str, ...] = ()
    followed: frozenset[str] = frozenset()
    followed_ids: frozenset[NukiId] = frozenset()


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, one of each Bridge and the best first, or `every` place; what was left out; what went wrong."""

    tried: tuple[Tried, ...] = ()
    every: tuple[Tried, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    found: Found = NOTHING
    warnings: tuple[str, ...] = ()


async def search(plan: SearchPlan) -> Search:
    """Search in all ways of the plan at once, then ask what was found; never raises for what the network does."""
    parts = await asyncio.gather(_by_mdns(plan), _by_names(plan.host_names), _by_cloud(plan.cloud_url))
    found = join_found(part.found for part in parts)
    notes = found.notes
    if len(found.candidates) > MOST_CANDIDATES:
        notes += (f"{len(found.candidates)} addresses were found; only the best {MOST_CANDIDATES} are asked.",)
    candidates = found.candidates[:MOST_CANDIDATES]
    asked: list[Candidate] = []
    tried: list[Tried] = []
    for one in candidates:
        if one.link in plan.followed:
            # Who lives there is known; what else is announced of the place is not true.
            is_known = one.bridge_id is None or one.bridge_id in plan.followed_ids
            known = one if is_known else replace(one, bridge_id=None, server_id=None)
            tried.append(Tried(known, Verdict.BRIDGE, "is followed already"))
        elif one.ids & plan.followed_ids:
            text = "calls itself like a Bridge that answers at its own address; not asked"
            tried.append(Tried(one, Verdict.UNCLEAR, text))
        else:
            asked.append(one)
    tried += await probe(asked)
    return Search(
        join_tried(tried), tuple(tried), notes[:_MOST_NOTES], tuple(text for part in parts for text in part.warnings)
    )


class BridgeFinder:
    """The search of a service: in the ways that its settings permit."""

    def __init__(self, settings: FindSettings, cloud_url: str, *, at: tuple[str, ...] = ()) -> None:
        self._settings = settings
        self._cloud_url = cloud_url
        self._at = at

    async def find(self, order: FindBridges) -> BridgesFound:
        """What was found; never raises for what the network does."""
        plan = SearchPlan(
            mdns_s=MDNS_S if self._settings.mdns else None,
            host_names=order.names,
            cloud_url=self._cloud_url if self._settings.cloud else None,
            at=self._at,
            followed=order.followed,
            followed_ids=order.followed_ids,
        )
        found = await search(plan)
        return BridgesFound(found.every, (*found.warnings, *found.notes))


async def _by_mdns(plan: SearchPlan) -> _Part:
    if plan.mdns_s is None:
        return _Part()
    browsed = await browse(plan.mdns_s, at=plan.at)
    return _Part(join_found(map(find_in_service, browsed.services)), browsed.warnings)


async def _by_names(names: Sequence[HostName]) -> _Part:
    addresses = await resolve(name.name for name in names)
    return _Part(find_in_names({name: addresses[name.name] for name in names}))


async def _by_cloud(base_url: str | None) -> _Part:
    if base_url is None:
        return _Part()
    answer = await ask_cloud(base_url)
    return _Part(answer.found, answer.warnings)


async def probe(candidates: Sequence[Candidate]) -> list[Tried]:
    """Ask each candidate once, four at a time, without a token."""
    turn = asyncio.Semaphore(AT_A_TIME)
    async with BridgeHttp() as http:

        async def one(candidate: Candidate) -> Tried:
            async with turn:
                return await _probe(http, candidate)

        return await asyncio.gather(*map(one, candidates))


async def _probe(http: BridgeHttp, candidate: Candidate) -> Tried:
    try:
        async with asyncio.timeout(_ANSWER_S):
            answer, _ = await http.send(candidate.host, candidate.port, InfoRequest(), {}, connect_within_s=_CONNECT_S)
    except BridgeError as error:
        return judge(candidate, error)
    except TimeoutError:
        text = f"{candidate.link} does not answer within {_ANSWER_S:g} s"
        return judge(candidate, BridgeError(BridgeErrorKind.TIMEOUT, text))
    return judge(candidate, answer)
