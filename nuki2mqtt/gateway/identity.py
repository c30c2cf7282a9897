"""Who this process is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this process is. `jitter` is a chance in 0..1, drawn once."""

    instance: str
    version: str
    callback_secret: Secret
    started: Moment
    in_container: bool = False
    after_unclean_end: bool = False
    jitter: float = 0.5
    state_file_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """What decisions need from outside beside events.

    `entropy` gives so many bytes fit for cryptography, `zones` a time zone by its name, None where it is not known.
    """

    entropy: Callable[[int], bytes]
    zones: Callable[[str], tzinfo | None]


def _no_entropy(count: int) -> bytes:
    raise ValueError(f"{count} bytes of chance are wanted, and there is none")


NOTHING_OUTSIDE = Outside(_no_entropy, lambda _: None)
