"""Time and chance: two of the three doors to the outside world."""

import ctypes
import secrets
import sys
import time
from datetime import UTC, datetime
from typing import ClassVar, Protocol

from nuki2mqtt.gateway.vocabulary import Moment

_NONCE_BYTES = 24  # Bridge API 1.13.2 section 3.2: crypto_secretbox
_RNR_VALUES = 1 << 16  # the same section: rnr is a uint16

_ASK_EVERY_S = 60.0

# adjtimex(2), <sys/timex.h>
_TIME_ERROR = 5
_STA_UNSYNC = 0x40


class Clock(Protocol):
    """Says what time it is, on both clocks."""

    def now(self) -> Moment:
        """This instant."""
        ...


def monotonic_s() -> float:
    """Seconds that never go back and that go on while the computer sleeps, unlike those of `time.monotonic`."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class SystemClock:
    """The clocks of this computer; the kernel is asked once a minute whether the wall clock is synchronised."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._is_synchronised: bool | None = None

    def now(self) -> Moment:
        """This instant."""
        monotonic = monotonic_s()
        if monotonic - self._asked_at >= _ASK_EVERY_S:
            self._asked_at, self._is_synchronised = monotonic, is_wall_clock_synchronised()
        return Moment(monotonic, datetime.now(UTC), self._is_synchronised)


class Entropy(Protocol):
    """Gives chance; every value is fit for cryptography."""

    def nonce(self) -> bytes:
        """24 bytes for an encrypted token."""
        ...

    def rnr(self) -> int:
        """A number from 0 to 65535 for a hashed or encrypted token."""
        ...

    def fraction(self) -> float:
        """A number from 0 up to, but not including, 1."""
        ...

    def token(self, n_bytes: int) -> str:
        """This many bytes as lower-case hex."""
        ...


class SystemEntropy:
    """The chance of this computer's operating system."""

    def __init__(self) -> None:
        self._random = secrets.SystemRandom()

    def nonce(self) -> bytes:
        """24 bytes for an encrypted token."""
        return secrets.token_bytes(_NONCE_BYTES)

    def rnr(self) -> int:
        """A number from 0 to 65535 for a hashed or encrypted token."""
        return secrets.randbelow(_RNR_VALUES)

    def fraction(self) -> float:
        """A number from 0 up to, but not including, 1."""
        return self._random.random()

    def bytes_of(self, count: int) -> bytes:
        """So many bytes, fit for cryptography."""
        return secrets.token_bytes(count)

    def token(self, n_bytes: int) -> str:
        """This many bytes as lower-case hex."""
        return secrets.token_hex(n_bytes)


class _Timex(ctypes.Structure):
    """The head of `struct timex`; the rest differs between C libraries, so there is room for the largest."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    ]


def is_wall_clock_synchronised() -> bool | None:
    """Whether the kernel holds the wall clock for synchronised; None where it does not say. Never raises."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError, TypeError):  # not Linux
        return None
    timex = _Timex()  # modes 0 only reads
    state = adjtimex(ctypes.byref(timex))
    return _judge(state, timex.status)


def _judge(state: int, status: int) -> bool | None:
    if state < 0:  # a sandbox forbids the question
        return None
    return state != _TIME_ERROR and not status & _STA_UNSYNC
