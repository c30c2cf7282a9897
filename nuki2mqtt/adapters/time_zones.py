"""The rules of time zones, which are files of this computer or of the package `tzdata`."""

from datetime import tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo | None:
    """The time zone of this name ("Europe/Berlin"); None where its rules are not known here."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        return None
