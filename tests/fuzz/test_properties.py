"""What holds for every input of what has no bytes to read: tokens, times, topics, discovery, the state file."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nacl.bindings import crypto_secretbox_open

from nuki2mqtt.adapters.state_codec import StateContents, read_state, render_state
from nuki2mqtt.gateway.vocabulary import BridgeMemory, CloudDeviceMemory, DeviceMemory, JournalEntry, Memory
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import Feature, NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_auth import AuthMode, sign
from nuki2mqtt.protocol.command_payloads import parse_command
from nuki2mqtt.protocol.homeassistant import DeviceFacts, DiscoveryContext, render_device
from nuki2mqtt.protocol.topics import Inbound, TopicTree, choose_slugs
from tests.fuzz.inputs import budget

TREE = TopicTree("nuki2mqtt", "homeassistant")
SPAN_S = int((datetime(2200, 1, 1, tzinfo=UTC) - datetime(1971, 1, 1, tzinfo=UTC)).total_seconds())
MOMENTS = st.builds(
    lambda seconds, part: datetime(1971, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=part),
    st.integers(0, SPAN_S),
    st.integers(0, 999_999),
)
TOKENS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
IDS = st.integers(0, 0xFFFF_FFFF).map(NukiId)
LEVELS = st.text(st.characters(codec="utf-8", exclude_characters="/+#\0"), min_size=1, max_size=20)


# --- Tokens -----------------------------------------------------------------------------------------------------------


@budget(200)
@given(token=TOKENS, now=MOMENTS, rnr=st.integers(0, 0xFFFF), nonce=st.binary(min_size=24, max_size=24))
def test_a_signature_proves_the_token_and_does_not_tell_it(token: str, now: datetime, rnr: int, nonce: bytes) -> None:
    hashed = sign(Secret(token), AuthMode.HASHED, now=now, rnr=rnr, nonce=nonce)
    text = f"{now:%Y-%m-%dT%H:%M:%SZ},{rnr}"
    assert hashed == {
        "ts": text.split(",", maxsplit=1)[0],
        "rnr": str(rnr),
        "hash": hashlib.sha256(f"{text},{token}".encode()).hexdigest(),
    }
    sealed = sign(Secret(token), AuthMode.ENCRYPTED, now=now, rnr=rnr, nonce=nonce)
    key = hashlib.sha256(token.encode()).digest()
    assert crypto_secretbox_open(bytes.fromhex(sealed["ctoken"]), nonce, key).decode() == text
    assert sealed.keys() == {"ctoken", "nonce"}
    assert key.hex() not in json.dumps([hashed, sealed])
    if len(token) > 8:
        assert token not in json.dumps([hashed, sealed])


@budget(100)
@given(token=TOKENS, rnr=st.integers(), nonce=st.binary(max_size=48), mode=st.sampled_from(AuthMode))
def test_a_signature_is_made_of_usable_parts_only(token: str, rnr: int, nonce: bytes, mode: AuthMode) -> None:
    assume(not 0 <= rnr <= 0xFFFF or len(nonce) != 24)
    with pytest.raises(ValueError, match=r"rnr|nonce") as caught:
        sign(Secret(token), mode, now=datetime(2026, 11, 22, tzinfo=UTC), rnr=rnr, nonce=nonce)
    assert token not in str(caught.value) or len(token) < 8


# --- Times ------------------------------------------------------------------------------------------------------------


@budget(300)
@given(at=MOMENTS, minutes=st.integers(-1439, 1439), how=st.sampled_from(["iso", "s", "ms", "text"]))
def test_a_ts_is_understood_however_it_is_written(at: datetime, minutes: int, how: str) -> None:
    written: Any = {
        "iso": at.astimezone(timezone(timedelta(minutes=minutes))).isoformat(),
        "s": at.timestamp(),
        "ms": at.timestamp() * 1000,
        "text": f"{at.timestamp():.6f}",
    }[how]
    assume(how != "ms" or at.timestamp() * 1000 >= 1e11)
    found = parse_command(json.dumps({"action": "lock", "ts": written}).encode()).ts
    assert found is not None
    assert abs((found - at).total_seconds()) < 0.001


# --- Topics -----------------------------------------------------------------------------------------------------------


@budget(200)
@given(base=LEVELS, level=LEVELS)
def test_what_the_tree_builds_it_reads(base: str, level: str) -> None:
    assume(not base.startswith("$"))
    tree = TopicTree(base, "homeassistant")
    assume(base != "homeassistant")
    kinds = (Inbound.SET, Inbound.GET, Inbound.REQUEST, Inbound.KEYPAD_SET)
    for filled, kind in zip(tree.command_filters, kinds, strict=True):
        topic = filled.replace("/+", f"/{level}") if kind is not Inbound.REQUEST else filled[:-1] + level
        assert tree.addressee(topic) == level or level == "gateway"
        assert tree.parse(topic) is kind
        assert not tree.may_respond(topic)


@budget(200)
@given(names=st.dictionaries(IDS, st.text(max_size=30), max_size=8), taken=st.sets(st.text(max_size=5), max_size=3))
def test_each_device_gets_a_topic_of_its_own(names: dict[NukiId, str], taken: set[str]) -> None:
    chosen = choose_slugs(names, taken)
    assert chosen.keys() == names.keys()
    assert len(set(chosen.values())) == len(names)
    assert all(TREE.parse(TREE.device(topic)) is Inbound.SNAPSHOT for topic in chosen.values())


# --- Discovery --------------------------------------------------------------------------------------------------------


@budget(100)
@given(
    name=st.text(max_size=32),
    device_type=st.integers(0, 300),
    features=st.frozensets(st.sampled_from(Feature)),
    permitted=st.frozensets(st.sampled_from(Action)),
    has_time=st.booleans(),
)
def test_an_announcement_is_json_whose_templates_hold_nothing_foreign(
    name: str, device_type: int, features: frozenset[Feature], permitted: frozenset[Action], *, has_time: bool
) -> None:
    context = DiscoveryContext(
        base_topic="nuki2mqtt", prefix="homeassistant", version="0", open_states=True, command_ts=has_time
    )

    def announced(device_name: str) -> dict[str, Any]:
        facts = DeviceFacts(
            nuki_id=NukiId(1),
            device_type=device_type,
            name=device_name,
            firmware=None,
            topic="a",
            bridge=None,
            features=features,
            permitted=permitted,
        )
        found = json.loads(render_device(facts, context).payload)
        assert isinstance(found, dict)
        return found

    # Nothing but the device's name depends on the name: no template is made of foreign text.
    ours, theirs = announced("Front door"), announced(name)
    ours.pop("dev"), theirs.pop("dev")
    assert ours == theirs


# --- The state file ---------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=20)
SECRETS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(Secret)
AWARE = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(seconds=-5))]))
MEMORIES = st.builds(
    Memory,
    bridges=st.dictionaries(
        TEXTS,
        st.builds(
            BridgeMemory,
            bridge_id=st.none() | IDS,
            token=st.none() | SECRETS,
            auth=st.none() | st.sampled_from(AuthMode),
        ),
        max_size=3,
    ),
    devices=st.dictionaries(IDS, st.builds(DeviceMemory, TEXTS, TEXTS, st.integers()), max_size=3),
    retired_topics=st.dictionaries(TEXTS, IDS, max_size=3),
    journal=st.dictionaries(
        TEXTS,
        st.builds(
            JournalEntry,
            device=IDS,
            action=st.sampled_from(Action),
            accepted=AWARE,
            key=st.none() | TEXTS,
            transaction=st.none() | TEXTS,
            response_topic=st.none() | TEXTS,
            correlation=st.none() | TEXTS,
            is_ended=st.booleans(),
        ),
        max_size=3,
    ),
    announced=st.dictionaries(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=3),
    cloud_devices=st.dictionaries(IDS, st.builds(CloudDeviceMemory, st.booleans(), st.booleans()), max_size=3),
)


@budget(150)
@given(memory=MEMORIES)
def test_a_memory_comes_back_from_the_file_as_it_was(memory: Memory) -> None:
    contents = StateContents("1234abcd", Secret("5ec4e7aa" * 4), memory)
    assert read_state(render_state(contents)) == contents
