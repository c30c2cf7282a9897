"""Who this process is."""

from dataclasses import dataclass

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
