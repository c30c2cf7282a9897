"""Announces simulated Bridges by mDNS, in several of the forms in which a real one might (reference, section 5).

Nobody has published that real Bridges announce themselves; this is for trying out what finds them. zeroconf is
loaded only where somebody asks for announcements.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from nuki2mqtt.simulator.estate import ServedBridge

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

LOOPBACK = "127.0.0.1"
_MOST_ADDRESSES = 8


class Street(Protocol):
    """Whose Bridges are announced: an estate's, or some that never move."""

    @property
    def bridges(self) -> Sequence[ServedBridge]:
        """All of them."""
        ...

    def observe_addresses(self, tell: Callable[[], object]) -> None:
        """Call this whenever a Bridge has moved."""
        ...

    def ignore_addresses(self, tell: Callable[[], object]) -> None:
        """Call this no more."""
        ...


@dataclass(frozen=True, slots=True)
class _Told:
    """What the network was told of one Bridge."""

    place: tuple[str, int]
    by: "AsyncZeroconf"


class Announcer:
    """`async with Announcer(estate, tell=print):` announces every Bridge at the address where it is served.

    A Bridge on the loopback address is announced on the loopback interface only. When one moves, the old address is
    taken back and the new one announced; at the end everything is taken back. `tell` gets a line when a Bridge is
    announced (about two seconds after the start), or why it cannot be.
    """

    def __init__(self, estate: Street, *, tell: Callable[[str], object]) -> None:
        self._estate = estate
        self._tell = tell
        self._told: dict[ServedBridge, _Told] = {}
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # what went wrong is told once, by us
        self._estate.observe_addresses(self._moved.set)
        self._following = asyncio.create_task(self._follow(), name="announcements")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._estate.ignore_addresses(self._moved.set)
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await asyncio.gather(*(told.by.async_close() for told in self._told.values()))
        self._told.clear()

    async def _follow(self) -> None:
        while True:
            self._moved.clear()
            await asyncio.gather(*map(self._announce, self._estate.bridges))
            await self._moved.wait()

    async def _announce(self, one: ServedBridge) -> None:
        """Announce it where it is now, if it was not."""
        place, told = (one.server.host, one.server.port), self._told.get(one)
        if told is not None:
            if told.place == place:
                return
            await told.by.async_close()
            del self._told[one]
        try:
            addresses, interfaces = _where(place[0])
            by = self._open(one, place, interfaces)
            await by.zeroconf.async_wait_for_start()
            tasks = [
                await by.async_register_service(info, allow_name_change=True)
                for info in _services(one, place[1], addresses)
            ]
            await asyncio.gather(*tasks)
        except Exception as error:  # noqa: BLE001 - zeroconf has many; the simulation goes on without announcements
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._tell(f"Bridge {one.id} cannot be announced by mDNS at {one.server.url}: {why}.")
        else:
            self._tell(f"Bridge {one.id} is announced by mDNS at {one.server.url}.")

    def _open(self, one: ServedBridge, place: tuple[str, int], interfaces: list[str]) -> "AsyncZeroconf":
        from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415 - see above

        by = AsyncZeroconf(interfaces=interfaces)
        self._told[one] = _Told(place, by)  # at once, so that it is closed whatever happens
        return by


def _where(host: str) -> tuple[list[str], list[str]]:
    """The addresses to announce, and those of the interfaces on which to do so."""
    try:
        address = ip_address(host)
    except ValueError:  # a name of this computer
        address = ip_address(socket.gethostbyname(host))
    if not address.is_unspecified:
        return [str(address)], [str(address)]
    own = list(_own_addresses())
    return own or [LOOPBACK], [*own, LOOPBACK]


def _own_addresses() -> Iterator[str]:
    import ifaddr  # noqa: PLC0415 - see above

    own = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    yield from [text for text in own if not ip_address(text).is_loopback][:_MOST_ADDRESSES]


def _services(one: ServedBridge, port: int, addresses: list[str]) -> "Iterator[AsyncServiceInfo]":
    """A type of its own; a web server under the Bridge's host name; and one that only its TXT record tells."""
    from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415 - see above

    packed = [ip_address(address).packed for address in addresses]
    name = f"Nuki_Bridge_{one.id}"
    kinds: list[tuple[str, str, dict[str, str]]] = [
        ("_nuki._tcp.local.", f"Nuki Bridge {one.id}", {"id": one.id}),
        ("_http._tcp.local.", name, {}),
        ("_http._tcp.local.", f"Hall {one.id}", {"md": "Nuki Bridge", "id": one.id}),
    ]
    for kind, instance, properties in kinds:
        yield AsyncServiceInfo(
            kind, f"{instance}.{kind}", addresses=packed, port=port, properties=properties, server=f"{name}.local."
        )
