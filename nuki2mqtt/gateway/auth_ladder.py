"""Which token mode a Bridge is asked with.

A configured mode is used as it is, and the mode that worked is never descended from. A first contact in mode
`auto` tries encrypted twice, then hashed; plain only if allowed, with a trusted clock, after three refusals
over two minutes (docs/architecture.md, "Whom we talk to"): a single 401 could be an attacker's.
"""

from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.settings_words import AuthSetting

PLAIN_AFTER_REFUSALS = 3
PLAIN_AFTER_S = 120.0
_ENCRYPTED_TRIES = 2


class AuthLadder:
    """The mode for the next request, and what the answers taught."""

    def __init__(self, setting: AuthSetting, remembered: AuthMode | None, *, allow_plain: bool) -> None:
        self._allow_plain = allow_plain
        self._is_auto = setting is AuthSetting.AUTO
        self._proven = remembered if self._is_auto else AuthMode(setting.value)
        self._refusals = 0
        self._first_refusal = 0.0
        self.mode = self._proven or AuthMode.ENCRYPTED

    @property
    def proven(self) -> AuthMode | None:
        """The mode that worked, or that is configured."""
        return self._proven

    @property
    def learnt(self) -> AuthMode | None:
        """The mode to remember: one that worked, not one that is configured."""
        return self._proven if self._is_auto else None

    @property
    def is_exhausted(self) -> bool:
        """Whether every mode that may be tried was refused: time to tell a person."""
        return self._refusals > 0 and (self._proven is not None or self._refusals > _ENCRYPTED_TRIES)

    def accepted(self) -> None:
        """The Bridge took the token."""
        self._proven = self.mode
        self._refusals = 0

    def refused(self, now: float, *, is_clock_trusted: bool) -> None:
        """The Bridge answered 401."""
        if self._refusals == 0:
            self._first_refusal = now
        self._refusals += 1
        if self._proven is not None:
            return
        is_long = self._refusals >= PLAIN_AFTER_REFUSALS and now - self._first_refusal >= PLAIN_AFTER_S
        if self._allow_plain and is_clock_trusted and is_long and self.mode is not AuthMode.PLAIN:
            self.mode = AuthMode.PLAIN
        elif self._refusals < _ENCRYPTED_TRIES:
            self.mode = AuthMode.ENCRYPTED
        else:
            self.mode = AuthMode.HASHED if self.mode is AuthMode.ENCRYPTED else AuthMode.ENCRYPTED
