"""How a Bridge checks a caller's token: plain, hashed and encrypted (Bridge API 1.13.2 section 3.2).

Written from the document alone, so that a mistake in our own writing of tokens cannot cancel out.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Literal

import nacl.exceptions
from nacl.secret import SecretBox

Mode = Literal["plain", "hashed", "encrypted"]

ALL_MODES: frozenset[Mode] = frozenset({"plain", "hashed", "encrypted"})
AUTH_PARAMETERS = frozenset({"token", "ts", "rnr", "hash", "ctoken", "nonce"})
WINDOW_S = 60.0  # reference section 2.1 (staff answer); both sides of the Bridge's clock is our reading

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_RANDOM_NUMBER = re.compile(r"0|[1-9]\d{0,4}", re.ASCII)
_MAX_RANDOM_NUMBER = 65535


class TokenCheck:
    """Says by which mode a query proves the token, and lets no proof pass twice."""

    def __init__(self, token: str, modes: Collection[Mode]) -> None:
        self.token = token
        self.modes = frozenset(modes)
        self._used: dict[tuple[str, ...], float] = {}

    def accepts(self, query: Mapping[str, str], clock: float) -> bool:
        """Whether the query proves the token now; `clock` is the Bridge's own, epoch seconds."""
        mode = shown_mode(query)
        if mode is None or mode not in self.modes:
            return False
        match mode:
            case "plain":
                return query["token"] == self.token
            case "hashed":
                return self._accepts_hash(query, clock)
            case "encrypted":
                return self._accepts_box(query, clock)

    def _accepts_hash(self, query: Mapping[str, str], clock: float) -> bool:
        ts, rnr = query["ts"], query["rnr"]
        wanted = hashlib.sha256(f"{ts},{rnr},{self.token}".encode()).hexdigest()
        return query["hash"] == wanted and self._is_fresh(ts, rnr, "", clock)

    def _accepts_box(self, query: Mapping[str, str], clock: float) -> bool:
        key = hashlib.sha256(self.token.encode()).digest()
        try:
            nonce = bytes.fromhex(query["nonce"])
            text = SecretBox(key).decrypt(bytes.fromhex(query["ctoken"]), nonce).decode("ascii")
        except (ValueError, nacl.exceptions.CryptoError):
            return False
        ts, _, rnr = text.partition(",")
        return self._is_fresh(ts, rnr, nonce.hex(), clock)

    def _is_fresh(self, ts: str, rnr: str, nonce: str, clock: float) -> bool:
        if not _RANDOM_NUMBER.fullmatch(rnr) or int(rnr) > _MAX_RANDOM_NUMBER:
            return False
        said = _read_timestamp(ts)
        if said is None or abs(said - clock) > WINDOW_S:
            return False
        self._used = {proof: at for proof, at in self._used.items() if abs(at - clock) <= WINDOW_S}
        if (ts, rnr, nonce) in self._used:
            return False
        self._used[ts, rnr, nonce] = said
        return True


def shown_mode(query: Mapping[str, str]) -> Mode | None:
    """By which mode the query tries to prove the token; None when a part is missing."""
    if "token" in query:
        return "plain"
    if query.keys() >= {"ctoken", "nonce"}:
        return "encrypted"
    if query.keys() >= {"ts", "rnr", "hash"}:
        return "hashed"
    return None


def _read_timestamp(text: str) -> float | None:
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
