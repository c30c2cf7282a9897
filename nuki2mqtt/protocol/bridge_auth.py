"""A token as query parameters: plain, hashed or encrypted.

Source: Bridge API 1.13.2 section 3.2. The document's sample address spells `nonce` as "nounce"; its table and
every Bridge say `nonce` (reference 2.2).
"""

import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from nacl.bindings import crypto_secretbox

from nuki2mqtt.model.secret import Secret

NONCE_BYTES = 24  # crypto_secretbox (XSalsa20-Poly1305)
RNR_MAX = 0xFFFF  # rnr is a uint16


class AuthMode(StrEnum):
    """How a token is shown to the Bridge."""

    PLAIN = "plain"
    HASHED = "hashed"
    ENCRYPTED = "encrypted"


def sign(token: Secret, mode: AuthMode, *, now: datetime, rnr: int, nonce: bytes) -> dict[str, str]:
    """The query parameters that prove the token; they are as secret as the token for about a minute.

    `now` is aware, `rnr` 0 to 65535, `nonce` 24 bytes, each used only once; raises ValueError.
    """
    if now.utcoffset() is None:
        raise ValueError("now has no time zone")
    if not 0 <= rnr <= RNR_MAX:
        raise ValueError(f"rnr {rnr} is not 0 to {RNR_MAX}")
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
    text = token.reveal()
    ts = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    match mode:
        case AuthMode.PLAIN:
            return {"token": text}
        case AuthMode.HASHED:
            digest = hashlib.sha256(f"{ts},{rnr},{text}".encode())
            return {"ts": ts, "rnr": str(rnr), "hash": digest.hexdigest()}
        case AuthMode.ENCRYPTED:
            key = hashlib.sha256(text.encode()).digest()
            box = crypto_secretbox(f"{ts},{rnr}".encode(), nonce, key)
            return {"ctoken": box.hex(), "nonce": nonce.hex()}
        case _:
            assert_never(mode)
