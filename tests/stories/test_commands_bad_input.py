"""Whatever stands on a command topic: a reason, and nothing at the Bridge (docs/topics.md, "Commands")."""

import json

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock
from tests.stories.world import DONE, World, refused

DEEP = b"[" * 4000 + b"]" * 4000
BAD: dict[str, bytes] = {
    "binary": b"\xff\xfe\x00\x01",
    "half a character": b'{"action":"unlock","transaction":"\xc3"}',
    "blanks": b"  \n\t ",
    "70 KB of letters": b"a" * 70_000,
    "70 KB of JSON": json.dumps({"action": "unlock", "x": "y" * 70_000}).encode(),
    "70 KB of blanks before": b" " * 70_000 + b'{"action":"unlock"}',
    "deep": DEEP,
    "deep in an order": b'{"action":"unlock","x":' + DEEP + b"}",
    "never closed": b'{"a":' * 30_000,
    "cut off": b'{"action":"unlock"',
    "two orders": b'{"action":"unlock"}{"action":"lock"}',
    "behind it": b'{"action":"unlock"} please',
    "single quotes": b"{'action':'unlock'}",
    "list": b"[]",
    "list of an order": b'["unlock"]',
    "null": b"null",
    "true": b"true",
    "fraction": b"1.5",
    "nan": b"NaN",
    "empty object": b"{}",
    "no action": b'{"transaction":1}',
    "both keys": b'{"action":"unlock","state":"UNLOCK"}',
    "action null": b'{"action":null}',
    "action true": b'{"action":true}',
    "action list": b'{"action":["unlock"]}',
    "action object": b'{"action":{"action":"unlock"}}',
    "action nan": b'{"action":NaN}',
    "action fraction": b'{"action":1.5}',
    "action empty": b'{"action":""}',
    "action blank": b'{"action":"  "}',
    "state null": b'{"state":null}',
    "ts true": b'{"action":"unlock","ts":true}',
    "ts nan": b'{"action":"unlock","ts":NaN}',
    "ts infinity": b'{"action":"unlock","ts":-Infinity}',
    "ts huge": b'{"action":"unlock","ts":' + b"9" * 400 + b"}",
    "ts out of any calendar": b'{"action":"unlock","ts":1e300}',
    "ts object": b'{"action":"unlock","ts":{}}',
    "ts nan as text": b'{"action":"unlock","ts":"nan"}',
    "ts without an offset": b'{"action":"unlock","ts":"2026-11-22T12:00:05"}',
    "ttl negative": b'{"action":"unlock","ttl_s":-1}',
    "ttl zero": b'{"action":"unlock","ttl_s":0}',
    "ttl nan": b'{"action":"unlock","ttl_s":NaN}',
    "ttl infinity": b'{"action":"unlock","ttl_s":1e999}',
    "ttl huge": b'{"action":"unlock","ttl_s":' + b"9" * 400 + b"}",
    "ttl text": b'{"action":"unlock","ttl_s":"5"}',
    "ttl true": b'{"action":"unlock","ttl_s":true}',
    "transaction nan": b'{"action":"unlock","transaction":NaN}',
    "transaction infinity": b'{"action":"unlock","transaction":1e999}',
    "transaction huge": b'{"action":"unlock","transaction":"' + b"t" * 60_000 + b'"}',
    "transaction deep": b'{"action":"unlock","transaction":' + DEEP + b"}",
    "more digits than python reads": b"9" * 5000,
}
UNKNOWN: dict[str, bytes] = {
    "huge number": b"9" * 100,
    "huge number as action": b'{"action":' + b"9" * 400 + b"}",
    "negative": b"-3",
    "unicode digits": "٣".encode(),
    "superscript": "³".encode(),
    "long word": b"unlock" * 50,
    "look-alike": "unl\u043eck".encode(),
    "bell": b"unlock\x07",
    "nul": b"\x00",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_payload(world: World, bridge: SimulatedBridge, lock: SimulatedLock, name: str) -> None:
    process = world.start_ready()
    world.publish("nuki2mqtt/front_door/set", BAD[name])
    world.run(60)
    assert world.life("front_door") == refused("bad_payload")
    assert [reason for _, reason in world.failures("front_door")] == ["bad_payload"]
    assert world.end("front_door")["may_have_acted"] is False
    assert len(world.said("nuki2mqtt/front_door/result")[0]) < 4000
    assert all(len(log.text) < 2000 for log in process.logs)
    assert not world.actions(bridge)
    assert lock.turns == 0


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_no_word_of_ours_is_refused(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, name: str
) -> None:
    process = world.start_ready()
    world.publish("nuki2mqtt/front_door/set", UNKNOWN[name])
    world.run(60)
    assert world.life("front_door") in (refused("unknown_action"), refused("bad_payload"))
    assert len(world.said("nuki2mqtt/front_door/result")[0]) < 1000
    assert all(len(log.text) < 2000 for log in process.logs)
    assert not world.actions(bridge)
    assert lock.turns == 0


@pytest.mark.parametrize(
    "topic",
    [
        "nuki2mqtt//set",
        "nuki2mqtt/gateway/set",
        "nuki2mqtt/bridge/set",
        "nuki2mqtt/" + "x" * 5000 + "/set",
        "nuki2mqtt/\u202efront_door/set",
        "nuki2mqtt/1a2b3c4d /set",
        "nuki2mqtt/+/get",
    ],
)
def test_odd_topics_reach_no_device(world: World, bridge: SimulatedBridge, lock: SimulatedLock, topic: str) -> None:
    process = world.start_ready()
    world.publish(topic, "unlatch")
    world.run(30)
    assert process.is_alive
    assert not any(b'"accepted"' in message.payload for message in world.broker.log)
    assert all(len(message.payload) < 20_000 for message in world.broker.log)
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_a_transaction_is_said_again_as_it_was(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    values: tuple[object, ...] = ("ä\u2028\U0001f6aa", "\x00\x1f", 10**18, -1.5, [[[[]]]], {"": None}, False, "x" * 200)
    for transaction in values:
        since = world.now
        world.command("front_door", {"action": "lock", "transaction": transaction})
        world.run(30)
        assert world.life("front_door", transaction, since) == DONE
    assert len(world.actions(bridge)) == lock.turns == 8
