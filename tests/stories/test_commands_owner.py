"""Who answers commands, and where (docs/topics.md, "Commands": One gateway; Response topic)."""

import json

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock
from tests.stories.world import DONE, Disk, Process, World, is_action, refused

SECOND_GATEWAY = "192.0.2.6"
REPLY = "clients/7/reply"


def started_twice(world: World) -> tuple[Process, Process]:
    """One gateway that owns the base, and one beside it on another computer."""
    first = world.start_ready(disk=Disk("first"))
    world.run(25)
    second = world.start_gateway(disk=Disk("second"), host=SECOND_GATEWAY)
    world.run(100)
    return first, second


def orders_of(process: Process) -> int:
    return sum(is_action(call) for call in process.calls)


# --- One gateway ------------------------------------------------------------------------------------------------------


def test_one_gateway_one_command_is_one_request_and_the_silent_one_says_nothing(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    first, second = started_twice(world)
    world.command("front_door", "unlatch")
    world.command("front_door", {"action": "fly", "transaction": "no"})
    world.run(60)
    assert sorted(world.life("front_door"), key=str) == sorted([*DONE, *refused("unknown_action")], key=str)
    assert (orders_of(first), orders_of(second)) == (1, 0)
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_one_gateway_the_silent_one_clears_nothing(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    started_twice(world)
    world.command("front_door", "unlatch", retain=True)
    world.run(10)
    assert world.life("front_door") == refused("retained")
    clearings = [message for message in world.messages("nuki2mqtt/front_door/set") if not message.payload]
    assert len(clearings) == 1
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_one_gateway_after_a_takeover_the_other_takes_commands(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    first, second = started_twice(world)
    since = world.now
    first.stop()
    for _ in range(8000):
        if world.said("nuki2mqtt/gateway/state", since)[-1:] == ["online"]:
            break
        world.run(0.001)
    world.run(0.5)
    world.command("front_door", {"action": "unlatch", "transaction": "early"})
    world.run(4)
    world.command("front_door", {"action": "unlatch", "transaction": "later"})
    world.run(60)
    # Which of its devices it knows by then is not fixed.
    assert world.life("front_door", "early") in (refused("starting"), refused("unknown_device"))
    assert world.life("front_door", "later") == DONE
    assert (orders_of(first), orders_of(second)) == (0, 1)
    assert len(world.actions(bridge)) == lock.unlatches == 1


def hammer(world: World, seconds: float) -> None:
    """A command of its own every 0.2 s."""
    for number in range(int(seconds / 0.2)):
        world.command("front_door", {"action": "unlatch", "transaction": f"{world.now} {number}"})
        world.run(0.2)


def check_each_was_taken_once(world: World) -> None:
    taken = [one["transaction"] for one in world.results("front_door") if one["status"] == "accepted"]
    assert len(taken) == len(set(taken)), "two gateways took one command"
    ended = [one["transaction"] for one in world.results("front_door") if one["status"] != "accepted"]
    assert len(ended) == len(set(ended))
    assert 0 < len(world.actions()) <= len(taken)


def test_one_gateway_two_that_start_at_once_take_no_command_twice(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(0.01)
    second = world.start_gateway(disk=Disk("second"), host=SECOND_GATEWAY)
    hammer(world, 20)
    world.run(120)
    check_each_was_taken_once(world)
    assert orders_of(second) == 0
    assert orders_of(first) == len(world.actions(bridge)) == lock.unlatches


def test_one_gateway_one_that_was_cut_off_and_comes_back_takes_no_command_twice(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    first, second = started_twice(world)
    world.broker.disconnect(first, is_clean=False)
    hammer(world, 20)
    first.reconnect()
    hammer(world, 20)
    world.run(120)
    check_each_was_taken_once(world)
    assert orders_of(first) > 0
    assert orders_of(second) > 0
    assert orders_of(first) + orders_of(second) == len(world.actions(bridge)) == lock.unlatches


def test_one_gateway_one_with_a_wrong_clock_beside_it_takes_no_command_twice(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """It says that it started in 1970, and gets the base for that; still one of them acts."""
    first = world.start_ready(bridge="auth: plain", disk=Disk("first"))
    world.run(25)
    config = "version: 1\nbridges: [{host: 192.0.2.10, token: abcdef, auth: plain}]\n"
    second = world.start_gateway(config, Disk("second"), host=SECOND_GATEWAY, wall_offset_s=-world.now)
    hammer(world, 20)
    world.run(120)
    check_each_was_taken_once(world)
    assert orders_of(first) + orders_of(second) == len(world.actions(bridge)) == lock.unlatches


# --- Response topic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", [REPLY, "nuki2mqtt2/x", "homeassistants/x", "a/settings", "set/me"])
@pytest.mark.parametrize("correlation", [None, b"", b"\x00\xff7"])
def test_response_topic_gets_the_same_results_with_the_correlation_never_retained(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, topic: str, correlation: bytes | None
) -> None:
    world.start_ready()
    order = {"action": "unlatch", "transaction": "a1"}
    world.command("front_door", order, response_topic=topic, correlation=correlation)
    world.run(30)
    answers = world.messages(topic)
    assert [answer.json for answer in answers] == world.results("front_door")
    assert world.life("front_door") == DONE
    assert {answer.correlation or None for answer in answers} == {correlation or None}
    assert not any(answer.retain for answer in answers)
    assert topic not in world.broker.retained
    assert all(message.correlation is None for message in world.messages("nuki2mqtt/front_door/result"))
    assert len(world.actions(bridge)) == lock.unlatches == 1


@pytest.mark.parametrize(
    ("device", "payload"),
    [("front_door", "{"), ("front_door", "fly"), ("garage", "unlock"), ("front_door", '{"action":"unlock","ts":1}')],
)
def test_response_topic_gets_refusals_too(world: World, bridge: SimulatedBridge, device: str, payload: str) -> None:
    world.start_ready()
    world.publish(f"nuki2mqtt/{device}/set", payload, response_topic=REPLY, correlation=b"7")
    world.run(5)
    assert [answer.json for answer in world.messages(REPLY)] == world.results(device)
    assert [answer.correlation for answer in world.messages(REPLY)] == [b"7"]
    assert world.end(device)["status"] == "refused"
    assert not world.actions(bridge)


def test_response_topic_of_each_command_is_its_own(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    for number in range(3):
        world.command("front_door", "unlatch", response_topic=f"clients/{number}", correlation=b"%d" % number)
        world.run(0.5)
    world.run(60)
    for number in range(3):
        answers = world.messages(f"clients/{number}")
        assert [answer.json["status"] for answer in answers] == ["accepted", "confirmed"]
        assert {answer.correlation for answer in answers} == {b"%d" % number}
        assert answers[0].json["reason"] == (None if number == 0 else "joined")
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_response_topic_gets_the_end_after_a_restart(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_ready()
    world.command("front_door", "unlatch", response_topic=REPLY, correlation=b"\x00\x01")
    world.run(0.3)
    process.kill()
    world.run(10)
    world.start_ready(disk=process.disk)
    answers = world.messages(REPLY)
    assert [(answer.json["status"], answer.json["reason"]) for answer in answers] == [
        ("accepted", None),
        ("unconfirmed", "restarted"),
    ]
    assert {answer.correlation for answer in answers} == {b"\x00\x01"}
    assert len(world.actions(bridge)) == lock.unlatches == 1


@pytest.mark.parametrize(
    "topic",
    [
        "nuki2mqtt/x",
        "nuki2mqtt/front_door/set",
        "nuki2mqtt/front_door/event",
        "nuki2mqtt/gateway/state",
        "nuki2mqtt/gateway/request/bridge_reboot",
        "homeassistant/x",
        "homeassistant/status",
        "homeassistant/lock/door/config",
        "$SYS/broker/uptime",
        "$share/a/b",
        "a/$b/c",
        "a/+/c",
        "a/#",
        "#",
        "zigbee2mqtt/lamp/set",
        "zigbee2mqtt/lamp/get",
        "elsewhere/lock/x/config",
        "nuki/1A2B3C4D/lockAction",
        "",
    ],
)
def test_response_topic_that_somebody_could_act_on_is_never_used(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, topic: str
) -> None:
    world.start_ready()
    world.run(60)
    since = world.now
    world.command("front_door", "fly", response_topic=topic, correlation=b"7")
    world.command("front_door", {"action": "unlock", "transaction": 1}, response_topic=topic, correlation=b"7")
    world.run(20)
    assert world.life("front_door", 1) == DONE
    assert world.life("front_door") == [*refused("unknown_action"), *DONE]
    ours = [message for message in world.broker.log if message.response_topic is None and message.at >= since]
    assert not any(message.correlation is not None for message in ours)
    assert not any(message.topic == topic and b"transaction" in message.payload for message in ours)
    assert len(world.actions(bridge)) == lock.turns == 1
    assert not [request for request in bridge.requests if request.path == "/reboot"]


def test_response_topic_with_mqtt_3_1_1_there_is_none(world: World, bridge: SimulatedBridge) -> None:
    world.protocol = "3.1.1"
    world.start_ready()
    world.command("front_door", "lock", response_topic=REPLY, correlation=b"7")
    world.run(60)
    assert world.life("front_door") == DONE
    assert not world.messages(REPLY)
    assert world.actions(bridge)


def test_nothing_that_we_publish_is_read_as_a_command(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """A day's life with both outputs and 3.1.1, where we publish on command topics to clear them."""
    world.protocol = "3.1.1"
    world.start_ready("mqtt: {output: both}\n")
    for _ in range(5):
        world.command("front_door", {"action": "unlatch", "ts": world.ts()})
        world.run(60)
    assert world.life("front_door") == DONE * 5
    said = [json.loads(text) for text in world.said("nuki2mqtt/front_door/result")]
    assert len(said) == 10
    assert len(world.actions(bridge)) == lock.unlatches == 5
