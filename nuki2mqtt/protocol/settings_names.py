"""Which hosts, addresses and topics can be used.

Each check raises BadValueError that says what to write instead. No text here repeats the value, which
may hold a password that was pasted as part of a URL.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from nuki2mqtt.protocol.settings_kinds import BadValueError

_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_EIGHT_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_WILDCARDS = frozenset("+#")
_URL_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")  # what no proxy writes differently (RFC 3986, 2.3)
WIFI_LOCKS_BASE = "nuki"  # Nuki MQTT API 1.5: Wi-Fi locks publish themselves there
RESERVED_DEVICE_TOPICS = frozenset({"gateway", "bridge"})


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine itself can reach this host."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def check_host(text: str) -> None:
    """A host name or an address, nothing around it."""
    if "://" in text:
        raise BadValueError("write only the host name or address, without http:// or mqtt:// before it")
    if any(char.isspace() for char in text):
        raise BadValueError("write only the host name or address, without spaces")
    if "/" in text:
        raise BadValueError("write only the host name or address, without a slash")
    if "@" in text:
        raise BadValueError("write only the host name or address; user and password have keys of their own")
    if is_address(text):
        return
    if text.startswith("["):
        raise BadValueError("write an IPv6 address without brackets; the port has a key of its own")
    if ":" in text:
        raise BadValueError("write only the host name or address; the port has a key of its own")
    labels = text.removesuffix(".").split(".")
    if len(text) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise BadValueError("is not a host name or address; write one such as 192.0.2.10 or nuki.example.org")
    if labels[-1].isdigit():
        raise BadValueError("is not a complete address; write four numbers from 0 to 255, such as 192.0.2.10")


def check_callback_host(text: str) -> None:
    """`auto`, or a host that a Bridge can reach."""
    check_host(text)
    if is_address(text) and ipaddress.ip_address(text).is_unspecified:
        raise BadValueError("no Bridge can reach this address; write auto or this machine's address")


def check_base_url(text: str) -> None:
    """An http or https URL without user, query, fragment or slash at the end."""
    try:
        parts = urlsplit(text)
        port_is_usable = parts.port is None or parts.port > 0
    except ValueError:
        raise BadValueError("is not a URL; write one such as https://api.nuki.io") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_usable:
        raise BadValueError("is not a URL; write one such as https://api.nuki.io")
    if "@" in parts.netloc:
        raise BadValueError("must not contain a user or password")
    if parts.query or parts.fragment or text.endswith(("/", "?", "#")) or " " in text:
        raise BadValueError("must end after the host or path, without a slash, query or space")
    check_host(parts.hostname)


def check_webhook_path(text: str) -> None:
    """The path of a URL, in characters that nobody encodes."""
    if "://" in text or not text.startswith("/"):
        raise BadValueError("write only the path, with a slash before it, such as /nuki")
    if not _URL_PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise BadValueError("must be levels of letters, digits and . _ ~ -, each with one slash before it")


def check_topic_path(text: str) -> None:
    """One or more topic levels."""
    if _WILDCARDS & set(text):
        raise BadValueError("must not contain the wildcards + and #")
    if "$" in text:
        raise BadValueError("must not contain $, which belongs to the broker")
    if text.startswith("/") or text.endswith("/"):
        raise BadValueError("must not begin or end with a slash")
    levels = text.split("/")
    if not all(levels):
        raise BadValueError("must not contain an empty level (two slashes in a row)")
    if any(level != level.strip() for level in levels):
        raise BadValueError("must not have spaces around a level")


def check_base_topic(text: str) -> None:
    """One or more topic levels, not where Nuki's own Wi-Fi locks publish."""
    check_topic_path(text)
    if text.split("/", 1)[0] == WIFI_LOCKS_BASE:
        raise BadValueError("must not be nuki or below it, where Wi-Fi locks publish themselves")


def check_device_topic(text: str) -> None:
    """One topic level that cannot be taken for an ID or for our own."""
    if "/" in text:
        raise BadValueError("must be one level, without a slash")
    check_topic_path(text)
    if text in RESERVED_DEVICE_TOPICS:
        raise BadValueError("must not be gateway or bridge, which the gateway uses itself")
    if _EIGHT_HEX.fullmatch(text):
        raise BadValueError("must not be eight hex digits, which would be an ID")


def is_at_or_below(topic: str, other: str) -> bool:
    """Whether a topic path is another one or lies below it."""
    return topic == other or topic.startswith(other + "/")
