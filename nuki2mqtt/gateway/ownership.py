"""One gateway per base topic (docs/topics.md, "One gateway").

Another instance counts as online while `gateway/state` is online and its health was heard live within 150 s.
Of two that are live the one that started earlier keeps the base (tie: the lower id). The other is silent: no
last will, no request to any Bridge, no answer to any command; it takes over when the first is gone. A live
`offline` is believed after 2 s without a contradiction, since anybody can say it (docs/decisions/0031).

  LOOKING --nobody else, or its silence lasted 150 s--> OWNER
  LOOKING --another is live--> SILENT          SILENT --it is gone--> OWNER
  OWNER --another is live and started earlier--> SILENT
"""

from dataclasses import dataclass
from enum import StrEnum

from nuki2mqtt.protocol.payloads import OFFLINE, ONLINE, GatewayClaim

LIVE_S = 150.0
CONTRADICTED_S = 2.0  # an owner that lives contradicts a foreign `offline`


class Role(StrEnum):
    """What we are on this base topic."""

    LOOKING = "looking"
    OWNER = "owner"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class _Other:
    claim: GatewayClaim
    heard_live: bool
    heard: float


class Ownership:
    """Decides whether this gateway owns the base topic. Times are monotonic seconds."""

    def __init__(self, own: GatewayClaim) -> None:
        self.role = Role.LOOKING
        self._own = own
        self._other: _Other | None = None
        self._is_online = False
        self._looking_since: float | None = None
        self._gone_at: float | None = None
        self._has_yielded = False

    @property
    def other_instance(self) -> str | None:
        """The other gateway that was heard of."""
        return None if self._other is None else self._other.claim.instance

    def connected(self, now: float) -> None:
        """A connection begins: what was heard before it says nothing any more."""
        if self._has_yielded:
            # What is retained now was our own word; the other one lives, and has been heard to.
            self._has_yielded = False
            return
        self._is_online = False
        self._gone_at = None
        self._other = None
        self._looking_since = now

    def heard_claim(self, claim: GatewayClaim, *, is_live: bool, now: float) -> bool:
        """Another gateway's info or health; True if we own the base and must say so again."""
        if claim.instance == self._own.instance:
            return False
        known = self._other
        was_live = known is not None and known.heard_live and known.claim.instance == claim.instance
        self._other = _Other(claim, is_live or was_live, now)
        if not is_live:
            # Said while we were away for a moment: it may have said more, and not have heard us yet.
            return self.role is Role.OWNER and not self._is_earlier(claim)
        self._is_online = True
        if (self.role is Role.OWNER and self._is_earlier(claim)) or self.role is Role.LOOKING:
            self._has_yielded = self.role is Role.OWNER
            self.role = Role.SILENT
        return self.role is Role.OWNER

    def heard_state(self, payload: bytes, *, is_live: bool, now: float | None = None) -> bool:
        """`gateway/state` was said; True if we own the base and must contradict."""
        if payload == ONLINE:
            self._is_online = True
        elif payload == OFFLINE:
            if self._is_online and is_live and now is not None:
                self._gone_at = now + CONTRADICTED_S
            self._is_online = False
            return self.role is Role.OWNER and is_live
        return False

    def _is_earlier(self, claim: GatewayClaim) -> bool:
        return (claim.started, claim.instance) < (self._own.started, self._own.instance)

    def decide(self, now: float) -> bool:
        """Become the owner if nobody else is; True when the role changed to owner."""
        if self.role is Role.OWNER or self._looking_since is None:
            return False
        deadline = self.next_deadline()
        if deadline is not None and now < deadline:
            return False
        self.role = Role.OWNER
        return True

    def next_deadline(self) -> float | None:
        """When the silence of the other ends its claim; None if there is nobody to wait for."""
        if self.role is not Role.OWNER and not self._is_online:
            return self._gone_at
        if self.role is Role.OWNER or self._other is None or not self._is_online:
            return None
        since = self._other.heard if self._other.heard_live else self._looking_since
        return None if since is None else since + LIVE_S
