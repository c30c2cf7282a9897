"""Whether the last process ended without tidying up: its last request may still run at a Bridge."""

import contextlib
from pathlib import Path


class RunMarker:
    """A file that exists while a service runs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "running"

    def set(self) -> bool:
        """Mark that we run; True where the last process left its mark."""
        was_left = self._path.exists()
        with contextlib.suppress(OSError):
            self._path.touch(mode=0o600)
        return was_left

    def clear(self) -> None:
        """Mark that we ended well."""
        with contextlib.suppress(OSError):
            self._path.unlink()
