"""Asks the local networks by mDNS which services there are, for some seconds.

Everything works without mDNS: what goes wrong here becomes one text for a person, never an exception. zeroconf is
loaded when somebody asks, since no other verb needs it (decision 0034).
"""

import asyncio
import errno
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nuki2mqtt.protocol.discovery import SERVICE_TYPES, AnnouncedService

if TYPE_CHECKING:
    from zeroconf import IPVersion
    from zeroconf.asyncio import AsyncZeroconf

MDNS_PORT = 5353  # RFC 6762 section 3
MOST_SERVICES = 256
MOST_INTERFACES = 8
_AT_A_TIME = 8
_RESOLVE_MS = 3000
_MOST_PROPERTIES = 16
_MOST_ADDRESSES = 8
_MOST_CHARS = 255  # RFC 1035 section 2.3.4: no name is longer

# Ends of containers and virtual machines: no Bridge is there, and on a host of many of them they flood or stall
# (python-zeroconf issue 330, home-assistant/core issue 35031).
_VIRTUAL = re.compile(r"docker\d+|br-[0-9a-f]{12}|veth[0-9a-f]{7,}|virbr\d+.*|cni\d+|flannel.*|cali[0-9a-f]{6,}")

_GO_ON = "Bridges that announce themselves are not found; look up the address in your router, and pair with it."


@dataclass(frozen=True, slots=True)
class Browsed:
    """What was announced within the time, and what went wrong."""

    services: tuple[AnnouncedService, ...] = ()
    warnings: tuple[str, ...] = ()


async def browse(seconds: float, *, at: Sequence[str] = ()) -> Browsed:
    """Listen for so many seconds to all services of the kinds in which a Bridge may be announced.

    `at` are addresses of this computer; without any it is all of them, those of containers left out. IPv4 and IPv6
    are asked separately, so that trouble with one does not silence the other.
    """
    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # what went wrong is said once, by us
    try:
        import zeroconf  # noqa: PLC0415 - see above
    except ImportError:
        return Browsed(warnings=(f"mDNS is not possible: zeroconf is not installed (pip install zeroconf). {_GO_ON}",))
    seen: dict[str, AnnouncedService] = {}
    try:
        groups = list(interfaces(at))
    except (OSError, ValueError) as error:
        return Browsed(warnings=(_trouble(error),))
    if not groups:
        text = f"mDNS is not possible: this computer has no network that is up. {_GO_ON}"
        return Browsed(warnings=(text,))
    troubles: list[Exception] = []
    async with AsyncExitStack() as exits:
        opened: list[AsyncZeroconf] = []
        for version, places in groups:
            try:
                opened.append(await _open(exits, version, places))
            except (OSError, RuntimeError, ValueError, zeroconf.Error) as error:
                troubles.append(error)
        await asyncio.gather(*(_listen(one, seconds, seen) for one in opened))
        is_deaf = not opened
    return Browsed(tuple(seen.values()), (_trouble(troubles[0]),) if is_deaf else ())


def interfaces(at: Sequence[str]) -> "Iterator[tuple[IPVersion, list[str | int]]]":
    """Where to listen, in the form of zeroconf: addresses for IPv4, numbers of interfaces for IPv6."""
    import ifaddr  # noqa: PLC0415 - see above
    from zeroconf import IPVersion  # noqa: PLC0415 - see above

    v4: dict[str | int, None] = {}
    v6: dict[str | int, None] = {}
    unknown = set(at)
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            unknown.discard(text)
            if text not in at if at else _VIRTUAL.fullmatch(str(adapter.name)):
                continue
            if isinstance(ip.ip, str):
                v4[text] = None
            elif adapter.index is not None and text != "::1":  # multicast by IPv6 does not work there
                v6[adapter.index] = None
    if unknown:
        raise ValueError(f"{min(unknown)} is not an address of this computer")
    if v4:
        yield IPVersion.V4Only, list(v4)[:MOST_INTERFACES]
    if v6:
        yield IPVersion.V6Only, list(v6)[:MOST_INTERFACES]


async def _open(exits: AsyncExitStack, version: "IPVersion", places: list[str | int]) -> "AsyncZeroconf":
    from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415 - see above

    one = AsyncZeroconf(interfaces=places, ip_version=version)
    exits.push_async_callback(_close, one)
    await one.zeroconf.async_wait_for_start()
    if not one.zeroconf.engine.senders:  # it passes over every interface that it cannot use
        raise OSError(errno.ENODEV, "no interface can be used")
    return one


async def _close(one: "AsyncZeroconf") -> None:
    import zeroconf  # noqa: PLC0415 - see above

    with suppress(OSError, RuntimeError, zeroconf.Error):  # a network that went away meanwhile
        await one.async_close()


async def _listen(one: "AsyncZeroconf", seconds: float, seen: dict[str, AnnouncedService]) -> None:
    """Note every service that is announced, resolved, until the time is over."""
    from zeroconf import DNSQuestionType, ServiceStateChange  # noqa: PLC0415 - see above
    from zeroconf.asyncio import AsyncServiceBrowser  # noqa: PLC0415 - see above

    names: set[str] = set()
    resolving: set[asyncio.Task[None]] = set()
    turn = asyncio.Semaphore(_AT_A_TIME)

    def noticed(*, service_type: str, name: str, state_change: ServiceStateChange, **_: Any) -> None:
        if state_change is ServiceStateChange.Removed:
            seen.pop(name, None)
        elif name in names or len(names) < MOST_SERVICES:
            names.add(name)
            task = asyncio.create_task(_resolve(one, turn, service_type, name, seen), name=f"mDNS {len(names)}")
            resolving.add(task)
            task.add_done_callback(resolving.discard)

    browser = AsyncServiceBrowser(
        one.zeroconf,
        list(SERVICE_TYPES),
        handlers=[noticed],
        # Answers to all: one that is meant for us alone may reach another program that shares the port.
        question_type=DNSQuestionType.QM,
    )
    try:
        await asyncio.sleep(seconds)
    finally:
        await browser.async_cancel()
        for task in resolving:
            task.cancel()
        await asyncio.gather(*resolving, return_exceptions=True)


async def _resolve(
    one: "AsyncZeroconf", turn: asyncio.Semaphore, service_type: str, name: str, seen: dict[str, AnnouncedService]
) -> None:
    import zeroconf  # noqa: PLC0415 - see above
    from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415 - see above

    try:
        async with turn:
            info = AsyncServiceInfo(service_type, name)
            if not await info.async_request(one.zeroconf, _RESOLVE_MS, zeroconf.DNSQuestionType.QM):
                return
    except (OSError, RuntimeError, ValueError, zeroconf.Error):
        return  # a name that nobody can ask for
    known = seen[name].addresses if name in seen else ()  # by the other IP version
    seen[name] = AnnouncedService(
        type=service_type,
        name=name[:_MOST_CHARS],
        server=(info.server or "")[:_MOST_CHARS],
        port=info.port or 0,
        addresses=tuple(dict.fromkeys((*info.parsed_scoped_addresses(), *known)))[:_MOST_ADDRESSES],
        properties=dict(list(_properties(info.properties))[:_MOST_PROPERTIES]),
    )


def _properties(raw: dict[bytes, bytes | None]) -> Iterator[tuple[str, str]]:
    for key, value in raw.items():
        yield key.decode(errors="replace")[:_MOST_CHARS], (value or b"").decode(errors="replace")[:_MOST_CHARS]


def _trouble(error: Exception) -> str:
    """What a person can do about it."""
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            why = (
                f"another program has UDP port {MDNS_PORT} for itself. Stop it, or let it share the port "
                "(avahi: disallow-other-stacks=no)"
            )
        case errno.EACCES | errno.EPERM:
            why = f"this process may not listen on UDP port {MDNS_PORT}. Permit multicast in its sandbox or firewall"
        case errno.ENODEV | errno.EADDRNOTAVAIL | errno.ENETUNREACH | errno.ENOPROTOOPT:
            why = "no network here has multicast. In a container use the host's network"
        case errno.EAFNOSUPPORT:
            why = "this computer does not speak the protocol of that address"
        case _:
            why = f"{getattr(error, 'strerror', None) or error}"
    return f"mDNS is not possible: {why}. {_GO_ON}"
