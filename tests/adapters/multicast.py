"""Whether mDNS can be tried here without anything leaving this machine."""

import socket
from contextlib import closing

import pytest

LOOPBACK = "127.0.0.1"
_GROUP = "239.255.77.77"  # RFC 2365: for use within one site


def works_on_loopback() -> bool:
    """Whether a multicast packet from the loopback interface comes back to it."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as one:
        try:
            one.bind(("", 0))
            one.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(_GROUP) + socket.inet_aton(LOOPBACK)
            )
            one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            one.settimeout(1.0)
            one.sendto(b"here", (_GROUP, one.getsockname()[1]))
            return one.recv(16) == b"here"
        except OSError:
            return False


def is_port_free() -> bool:
    """Whether mDNS's port is free or shared here."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            one.bind(("", 5353))
        except OSError:
            return False
    return True


needs_multicast = pytest.mark.skipif(
    not (works_on_loopback() and is_port_free()),
    reason="no multicast on the loopback interface here, or another program has UDP port 5353 for itself",
)
