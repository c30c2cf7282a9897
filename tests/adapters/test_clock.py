"""Time and chance of the operating system."""

import ctypes
import sys
from datetime import UTC, timedelta

import pytest

from nuki2mqtt.adapters import clock
from nuki2mqtt.adapters.clock import Clock, Entropy, SystemClock, SystemEntropy, is_wall_clock_synchronised


def test_a_moment_is_aware_and_does_not_go_back() -> None:
    system: Clock = SystemClock()
    first, second = system.now(), system.now()
    assert first.wall.tzinfo is UTC
    assert first.wall.utcoffset() == timedelta(0)
    assert second.monotonic >= first.monotonic


def test_chance_has_the_right_size_and_differs() -> None:
    system: Entropy = SystemEntropy()
    nonces = {system.nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert {len(nonce) for nonce in nonces} == {24}
    assert all(0 <= system.rnr() <= 65535 for _ in range(1000))
    assert all(0 <= system.fraction() < 1 for _ in range(1000))
    token = system.token(16)
    assert len(token) == 32
    assert set(token) <= set("0123456789abcdef")
    assert token != system.token(16)


def test_the_kernel_is_asked_without_harm() -> None:
    assert is_wall_clock_synchronised() in {True, False, None}


@pytest.mark.skipif(sys.platform != "linux", reason="struct timex is Linux's")
def test_where_the_status_is_in_the_answer() -> None:
    # <sys/timex.h>: an unsigned int, four longs (aligned), then the status.
    assert clock._Timex.status.offset == ctypes.sizeof(ctypes.c_long) * 5
    assert ctypes.sizeof(clock._Timex) >= 208


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [(0, 0x2001, True), (5, 0x2041, False), (0, 0x40, False), (5, 0, False), (1, 0x11, True), (-1, 0, None)],
)
def test_what_the_kernel_says(state: int, status: int, *, expected: bool | None) -> None:
    assert clock._judge(state, status) is expected
