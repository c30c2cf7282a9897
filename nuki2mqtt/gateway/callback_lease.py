"""Our place among a Bridge's three callback slots.

Own entries are known by our instance id in the path or, with the id lost, by our path's form at our address.
Foreign ones are never touched. Since slot numbers are positions, the list is read anew after every step.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.payloads import SlotView

SLOTS = 3  # Bridge API 1.13.2 section 5, /callback/add
PATH_PREFIX = "/callback/"
_LONGEST_SHOWN = 24
_SCHEMES = frozenset({"http", "https"})

# The addresses that Docker, Podman and Docker Desktop give to containers, with the size of one such network.
# Docker Desktop's lies where house networks do, so that only its own 256 addresses count as its network.
_CONTAINER_NETWORKS = {
    ipaddress.IPv4Network("172.16.0.0/12"): 16,
    ipaddress.IPv4Network("10.88.0.0/15"): 16,
    ipaddress.IPv4Network("192.168.65.0/24"): 24,
}


@dataclass(frozen=True, slots=True)
class OwnCallback:
    """Where a Bridge shall call us."""

    host: str
    port: int
    path: Secret
    instance: str

    def url(self) -> Secret:
        """The URL to register."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Secret(f"http://{host}:{self.port}{self.path.reveal()}")

    @property
    def secret(self) -> Secret:
        """The part of the path that nobody can guess."""
        return Secret(self.path.reveal().rpartition("/")[2])

    def is_own(self, slot: CallbackSlot) -> bool:
        """Whether this slot is ours, from this or an earlier process."""
        try:
            parts = urlsplit(slot.url)
            address = (parts.hostname, parts.port or 80)
        except ValueError:
            return False
        if parts.path.startswith(f"{PATH_PREFIX}{self.instance}/"):
            return True
        return parts.path.startswith(PATH_PREFIX) and address == (self.host.lower(), self.port)


@dataclass(frozen=True, slots=True)
class Held:
    """Our URL is registered, once."""


@dataclass(frozen=True, slots=True)
class Register:
    """Add our URL."""

    url: Secret


@dataclass(frozen=True, slots=True)
class Unregister:
    """Remove one of our own slots."""

    slot: CallbackSlot


@dataclass(frozen=True, slots=True)
class Full:
    """All slots belong to others."""


LeaseStep = Held | Register | Unregister | Full


def next_step(slots: tuple[CallbackSlot, ...], own: OwnCallback) -> LeaseStep:
    """What to do about the slots as they are: old ones of ours first, then our URL."""
    url = own.url().reveal()
    right = [slot for slot in slots if slot.url == url]
    wrong = [slot for slot in slots if slot.url != url and own.is_own(slot)]
    for slot in (*wrong, *right[1:]):
        return Unregister(slot)
    if right:
        return Held()
    return Full() if len(slots) >= SLOTS else Register(own.url())


def next_release(slots: tuple[CallbackSlot, ...], own: OwnCallback) -> Unregister | None:
    """The next slot to give back before we stop."""
    return next((Unregister(slot) for slot in slots if own.is_own(slot)), None)


def view_slots(slots: tuple[CallbackSlot, ...], own: OwnCallback | None) -> tuple[SlotView, ...]:
    """The slots as they may be shown."""
    return tuple(SlotView(slot.id, _address(slot.url), is_own=own is not None and own.is_own(slot)) for slot in slots)


def masked_url(url: str) -> str:
    """A slot's URL so that a person can tell it from others, without what may be a secret.

    That is a login, a long level of the path, what follows a "?", ";" or "#", and every level behind "/callback/".
    What does not begin like an address is a secret as a whole.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes or scheme.lower() not in _SCHEMES:
        return "***"
    path = re.split(r"[?;#]", rest)[0]
    login, at, place = path.rpartition("@")  # a password may hold a slash
    host, *levels = place.split("/")
    shown: list[str] = []
    is_callback = PATH_PREFIX in f"{login}/".lower()
    for level in levels:
        shown.append("***" if is_callback or len(level) > _LONGEST_SHOWN else level)
        is_callback = is_callback or level.lower() == PATH_PREFIX.strip("/")
    tail = "" if path == rest else "?***"
    return "/".join([f"{scheme}://{'***@' if at else ''}{host}", *shown]) + tail


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "?", parts.port or 80
    except ValueError:
        return "?"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_container_internal(local_host: str, bridge_host: str) -> bool:
    """Whether our address exists in a container only, so that the Bridge cannot call it.

    A Bridge on the same container network (a simulated one) can; one that is given by name counts as elsewhere.
    """
    local, bridge = _parse_ipv4(local_host), _parse_ipv4(bridge_host)
    prefix = next((prefix for network, prefix in _CONTAINER_NETWORKS.items() if local and local in network), None)
    if prefix is None:
        return False
    return bridge is None or bridge not in ipaddress.ip_network(f"{local}/{prefix}", strict=False)


def _parse_ipv4(text: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None
