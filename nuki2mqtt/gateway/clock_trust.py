"""Whether our wall clock can be believed (docs/topics.md, "Stale")."""

from collections.abc import Iterable
from datetime import UTC, datetime

from nuki2mqtt import __build_date__
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.protocol.settings_words import TrustClock

BUILT = datetime.fromisoformat(__build_date__).replace(tzinfo=UTC)
_MAX_SKEW_S = 60.0


def is_clock_trusted(now: Moment, skews_s: Iterable[float], setting: TrustClock) -> bool:
    """Untrusted before the build date, or unsynchronised and not confirmed by any Bridge's clock."""
    if setting is TrustClock.ALWAYS:
        return True
    if now.wall < BUILT:
        return False
    if now.is_synchronised is not False:
        return True
    skews = list(skews_s)
    return bool(skews) and all(abs(skew) <= _MAX_SKEW_S for skew in skews)
