"""The published vectors of the Bridge API 1.13.2, section 3.2, and what `sign` refuses."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.secret import SecretBox

from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_auth import AuthMode, sign

TOKEN = Secret("123456")
NOW = datetime(2019, 3, 5, 1, 6, 53, tzinfo=UTC)
RNR = 4711
NONCE = bytes.fromhex("119c38fb6d7d707b8a45f14e688b74b8c4c1acf33643c71a")
# SHA-256 of "123456": the key of the published vector.
KEY = bytes.fromhex("8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92")


def test_plain_token() -> None:
    assert sign(TOKEN, AuthMode.PLAIN, now=NOW, rnr=RNR, nonce=NONCE) == {"token": "123456"}


def test_published_hash() -> None:
    assert sign(TOKEN, AuthMode.HASHED, now=NOW, rnr=RNR, nonce=NONCE) == {
        "ts": "2019-03-05T01:06:53Z",
        "rnr": "4711",
        "hash": "f52eb5ce382e356c4239f8fb4d0a87402bb95b7b3124f0762b806ad7d0d01cb6",
    }


def test_published_ctoken() -> None:
    assert sign(TOKEN, AuthMode.ENCRYPTED, now=NOW, rnr=RNR, nonce=NONCE) == {
        "ctoken": "a7f6b4df6758b92445bd5470b755b43ba41cf50af8b3f6e19368348ddfb1686291555dfd90b31f9333",
        "nonce": "119c38fb6d7d707b8a45f14e688b74b8c4c1acf33643c71a",
    }


@pytest.mark.parametrize("mode", AuthMode)
def test_another_time_zone_is_the_same_instant(mode: AuthMode) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert sign(TOKEN, mode, now=there, rnr=RNR, nonce=NONCE) == sign(TOKEN, mode, now=NOW, rnr=RNR, nonce=NONCE)


def test_a_fraction_of_a_second_is_dropped() -> None:
    later = NOW.replace(microsecond=999_999)

    assert sign(TOKEN, AuthMode.HASHED, now=later, rnr=0, nonce=NONCE)["ts"] == "2019-03-05T01:06:53Z"


def test_rnr_is_not_padded() -> None:
    assert sign(TOKEN, AuthMode.HASHED, now=NOW, rnr=7, nonce=NONCE)["rnr"] == "7"


@pytest.mark.parametrize("mode", AuthMode)
def test_naive_time_is_refused(mode: AuthMode) -> None:
    with pytest.raises(ValueError, match=r"^now has no time zone$"):
        sign(TOKEN, mode, now=NOW.replace(tzinfo=None), rnr=RNR, nonce=NONCE)


@pytest.mark.parametrize("rnr", [-1, 65536])
def test_rnr_out_of_range_is_refused(rnr: int) -> None:
    with pytest.raises(ValueError, match=r"is not 0 to 65535$"):
        sign(TOKEN, AuthMode.HASHED, now=NOW, rnr=rnr, nonce=NONCE)


@pytest.mark.parametrize("rnr", [0, 65535])
def test_the_ends_of_rnr_are_taken(rnr: int) -> None:
    assert sign(TOKEN, AuthMode.HASHED, now=NOW, rnr=rnr, nonce=NONCE)["rnr"] == str(rnr)


@pytest.mark.parametrize("length", [0, 23, 25])
def test_nonce_of_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=rf"^a nonce has 24 bytes, not {length}$"):
        sign(TOKEN, AuthMode.ENCRYPTED, now=NOW, rnr=RNR, nonce=bytes(length))


def test_a_token_beyond_ascii_is_hashed_as_utf8() -> None:
    signed = sign(Secret("schlüssel"), AuthMode.HASHED, now=NOW, rnr=1, nonce=NONCE)

    # printf '2019-03-05T01:06:53Z,1,schlüssel' | sha256sum
    assert signed["hash"] == "d3dc75106c13a32143266c49991a017765f919480635d38242f39694197ab845"


@settings(deadline=None)
@given(
    nonce=st.binary(min_size=24, max_size=24),
    rnr=st.integers(0, 65535),
    when=st.datetimes(timezones=st.just(UTC)).filter(lambda when: when.year >= 1000),
)
def test_whoever_knows_the_token_can_open_the_box(nonce: bytes, rnr: int, when: datetime) -> None:
    signed = sign(TOKEN, AuthMode.ENCRYPTED, now=when, rnr=rnr, nonce=nonce)

    opened = SecretBox(KEY).decrypt(bytes.fromhex(signed["ctoken"]), bytes.fromhex(signed["nonce"]))

    assert opened.decode() == f"{when:%Y-%m-%dT%H:%M:%SZ},{rnr}"
    assert signed["ctoken"] == signed["ctoken"].lower()
