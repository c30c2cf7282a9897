"""The pulse of a running service, left in a file for `nuki2mqtt health`.

Imports nothing but the smallest of the standard library: the health check of a container starts a process
each time.
"""

import time
from collections.abc import Callable
from pathlib import Path

_EVERY_S = 10.0


class Heartbeat:
    """Writes the monotonic time to a file, at most every `every_s` seconds."""

    def __init__(
        self, path: Path, *, every_s: float = _EVERY_S, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._every_s = every_s
        self._monotonic = monotonic
        self._last: float | None = None

    def beat(self) -> bool:
        """Say that we live; False where the file cannot be written, which must not stop the service."""
        now = self._monotonic()
        if self._last is not None and now - self._last < self._every_s:
            return True
        temp = self._path.with_name(f"{self._path.name}.tmp")
        try:
            temp.write_text(f"{now!r}\n", encoding="ascii")
            temp.replace(self._path)
        except OSError:
            return False
        self._last = now
        return True


def is_fresh(path: Path, max_age_s: float = 120.0, *, monotonic: Callable[[], float] = time.monotonic) -> bool:
    """Whether the service has said so within `max_age_s`; a time in the future is from before a reboot."""
    try:
        written = float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    return 0 <= monotonic() - written <= max_age_s
