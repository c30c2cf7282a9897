"""Who may enter a lane: the reasons for which a command is refused before anything else happens.

The first of the closed list that holds is given, but a retained flag wins always (docs/topics.md, "Commands").
"""

from dataclasses import dataclass

from nuki2mqtt.gateway.command_journal import CommandJournal
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.action import Action, ActionFacts
from nuki2mqtt.model.command import Reason
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.command_payloads import CommandOrder
from nuki2mqtt.protocol.settings import CommandSettings

OWN_START_S = 2.0  # another gateway is looked for once more after we said that the base is ours
V311_START_S = 3.0  # retained messages of 3.1.1 have come by then
LONGEST_TTL_S = 60.0  # the bound of commands.ttl_s


@dataclass(frozen=True, slots=True)
class Timing:
    """How old a command is, as far as it says (seconds), and until when it may be sent (monotonic)."""

    age_s: float | None
    deadline: float


class Admission:
    """Decides by the settings, the connection and the clocks."""

    def __init__(self, settings: CommandSettings, journal: CommandJournal) -> None:
        self.clock_skew_s: float | None = None
        self._settings = settings
        self._journal = journal
        self._is_v5 = False
        self._opens_at: float | None = None

    @property
    def is_v5(self) -> bool:
        """Whether the broker flags live messages that were published with retain."""
        return self._is_v5

    def opened(self, protocol: str, now: float) -> None:
        """Our base, our subscriptions: commands are taken soon."""
        self._is_v5 = protocol == "5"
        self._opens_at = now + (OWN_START_S if self._is_v5 else V311_START_S)

    def closed(self) -> None:
        """The connection is gone."""
        self._opens_at = None

    def is_starting(self, now: float) -> bool:
        """Whether it is too early for commands."""
        return self._opens_at is None or now < self._opens_at

    def refuse(
        self,
        nuki_id: NukiId,
        action: Action,
        facts: ActionFacts,
        order: CommandOrder,
        *,
        is_permitted: bool,
        is_clock_trusted: bool,
        waited_s: float,
        expiry_s: int | None,
        now: Moment,
    ) -> Reason | Timing:
        """The reason for which a readable command is refused, or the time that it has."""
        if not is_permitted:
            return Reason.NOT_PERMITTED
        if self.is_starting(now.monotonic):
            return Reason.STARTING
        if self._journal.is_repeat(nuki_id, action, order.key, now):
            return Reason.DUPLICATE
        if order.ts is not None:
            self.clock_skew_s = (order.ts - now.wall).total_seconds() + waited_s
        if facts.opens and order.ts is not None and not is_clock_trusted:
            return Reason.CLOCK_UNTRUSTED
        ttl_s = self._ttl_s(order, facts)
        age_s = age_of(order, now)
        if (age_s is not None and age_s > ttl_s) or waited_s > ttl_s or (expiry_s is not None and expiry_s <= waited_s):
            return Reason.STALE
        if age_s is not None and -age_s > ttl_s:
            return Reason.CLOCK_AHEAD
        is_bare = facts.opens and order.ts is None
        if is_bare and not self._is_v5 and not self._settings.bare_opening:
            return Reason.NEEDS_TS
        left_s = ttl_s - max(0.0, waited_s if age_s is None else age_s)
        if expiry_s is not None:
            left_s = min(left_s, expiry_s - waited_s)
        return Timing(age_s, now.monotonic + max(0.0, left_s))

    def _ttl_s(self, order: CommandOrder, facts: ActionFacts) -> float:
        if order.ttl_s is None:
            return self._settings.ttl_s
        longest = self._settings.ttl_s if facts.opens else LONGEST_TTL_S
        return min(order.ttl_s, longest)


def age_of(order: CommandOrder, now: Moment) -> float | None:
    """How long ago a command was given, in seconds by our clock; None where it does not say."""
    return None if order.ts is None else (now.wall - order.ts).total_seconds()
