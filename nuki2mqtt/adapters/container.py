"""Whether we live in a container."""

from collections.abc import Iterable
from pathlib import Path

# Docker and Podman each leave one of these in every container.
CONTAINER_MARKERS = (Path("/.dockerenv"), Path("/run/.containerenv"))


def is_in_container(markers: Iterable[Path] = CONTAINER_MARKERS) -> bool:
    """Whether this process runs in a container."""
    return any(marker.exists() for marker in markers)
