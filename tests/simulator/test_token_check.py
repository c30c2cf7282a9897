"""The published vectors open the door, and nothing opens it twice."""

import hashlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.secret import SecretBox

from nuki2mqtt.simulator.token_check import ALL_MODES, Mode, TokenCheck, shown_mode

# Bridge API 1.13.2 section 3.2
TOKEN = "123456"
TS = "2019-03-05T01:06:53Z"
THEN = datetime.fromisoformat(TS).timestamp()
HASHED = {
    "ts": TS,
    "rnr": "4711",
    "hash": "f52eb5ce382e356c4239f8fb4d0a87402bb95b7b3124f0762b806ad7d0d01cb6",
}
ENCRYPTED = {
    "ctoken": "a7f6b4df6758b92445bd5470b755b43ba41cf50af8b3f6e19368348ddfb1686291555dfd90b31f9333",
    "nonce": "119c38fb6d7d707b8a45f14e688b74b8c4c1acf33643c71a",
}
PLAIN = {"token": TOKEN}


def _hashed(ts: str, rnr: str) -> dict[str, str]:
    return {"ts": ts, "rnr": rnr, "hash": hashlib.sha256(f"{ts},{rnr},{TOKEN}".encode()).hexdigest()}


def _encrypted(text: str, nonce: bytes) -> dict[str, str]:
    box = SecretBox(hashlib.sha256(TOKEN.encode()).digest())
    return {"ctoken": box.encrypt(text.encode(), nonce).ciphertext.hex(), "nonce": nonce.hex()}


@pytest.mark.parametrize("query", [PLAIN, HASHED, ENCRYPTED])
def test_published_vectors(query: dict[str, str]) -> None:
    assert TokenCheck(TOKEN, ALL_MODES).accepts(query, THEN)
    assert not TokenCheck("1234567", ALL_MODES).accepts(query, THEN)


@pytest.mark.parametrize("query", [HASHED, ENCRYPTED])
def test_a_proof_serves_once(query: dict[str, str]) -> None:
    check = TokenCheck(TOKEN, ALL_MODES)
    assert check.accepts(query, THEN)
    assert not check.accepts(query, THEN + 1)


def test_another_number_or_nonce_is_another_proof() -> None:
    check = TokenCheck(TOKEN, ALL_MODES)
    assert check.accepts(HASHED, THEN)
    assert check.accepts(_hashed(TS, "4712"), THEN)
    assert check.accepts(ENCRYPTED, THEN)
    assert check.accepts(_encrypted(f"{TS},4711", bytes(24)), THEN)
    assert check.accepts(_encrypted(f"{TS},4712", bytes(24)), THEN)


@pytest.mark.parametrize("query", [HASHED, ENCRYPTED])
@pytest.mark.parametrize(("off_s", "accepted"), [(-61, False), (-60, True), (60, True), (61, False)])
def test_the_window(query: dict[str, str], off_s: int, *, accepted: bool) -> None:
    assert TokenCheck(TOKEN, ALL_MODES).accepts(query, THEN + off_s) is accepted


@pytest.mark.parametrize(("mode", "query"), [("plain", PLAIN), ("hashed", HASHED), ("encrypted", ENCRYPTED)])
def test_only_the_modes_of_the_firmware(mode: Mode, query: dict[str, str]) -> None:
    assert shown_mode(query) == mode
    assert TokenCheck(TOKEN, {mode}).accepts(query, THEN)
    assert not TokenCheck(TOKEN, ALL_MODES - {mode}).accepts(query, THEN)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"ts": TS, "rnr": "4711"},
        {"ctoken": ENCRYPTED["ctoken"]},
        ENCRYPTED | {"nonce": "zz"},
        ENCRYPTED | {"nonce": "00" * 23},
        ENCRYPTED | {"ctoken": "00" * 41},
        _encrypted("no comma", bytes(24)),
        _encrypted("é,1", bytes(24)),
        _hashed("2019-03-05T01:06:53+00:00", "4711"),
        _hashed("2019-13-05T01:06:53Z", "4711"),
        _hashed(TS, "04711"),
        _hashed(TS, "65536"),
        _hashed(TS, "-1"),
    ],
)
def test_what_is_no_proof(query: dict[str, str]) -> None:
    assert not TokenCheck(TOKEN, ALL_MODES).accepts(query, THEN)


@given(st.dictionaries(st.sampled_from(["token", "ts", "rnr", "hash", "ctoken", "nonce"]), st.text()))
def test_noise_never_raises(query: dict[str, str]) -> None:
    assert TokenCheck(TOKEN, ALL_MODES).accepts(query, THEN) is (query.get("token") == TOKEN)
