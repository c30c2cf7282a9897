"""A stored command never opens a door (docs/topics.md, "Commands": Retained; what MQTT 3.1.1 cannot tell)."""

import json

import pytest

from nuki2mqtt.gateway.vocabulary import Level
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock
from tests.stories.world import DONE, Disk, Process, Protocol, World, refused

SET = "nuki2mqtt/front_door/set"
REFUSED = refused("retained")
BOTH: list[Protocol] = ["5", "3.1.1"]


@pytest.fixture
def world_311(world: World) -> World:
    world.protocol = "3.1.1"
    return world


def clearings(world: World, topic: str = SET, since: float = 0.0) -> int:
    """How often somebody took a stored message away; only the gateway does."""
    return len([message for message in world.messages(topic, since) if message.retain and not message.payload])


def lines(process: Process, *words: str) -> list[str]:
    """The lines that people see of the log and that name all of these words."""
    seen = [log.text for log in process.logs if log.level is not Level.DEBUG]
    return [text for text in seen if all(word in text for word in words)]


def remembered(world: World) -> Disk:
    """A disk that knows the devices, of a gateway that was there before."""
    disk = Disk("1234abcd")
    world.start_ready(disk=disk).stop()
    world.run(8)
    world.broker.log.clear()
    return disk


def until_online(world: World) -> None:
    for _ in range(4000):
        if world.retained("nuki2mqtt/gateway/state") == "online":
            return
        world.run(0.001)
    raise AssertionError("it does not come online")


def until_subscribed(world: World, process: Process) -> None:
    for _ in range(4000):
        if process.number in world.broker.connected:
            return
        world.run(0.001)
    raise AssertionError("it does not subscribe again")


# --- MQTT 5 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("payload", ["unlatch", '{"action":"unlock","transaction":"a1"}', "lock", "{bad", "\x00"])
def test_retained_a_command_from_before_the_start_is_refused_and_cleared(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, protocol: Protocol, payload: str
) -> None:
    world.protocol = protocol
    disk = remembered(world)
    world.publish(SET, payload, retain=True)
    process = world.start_ready(disk=disk)
    world.run(60)
    assert world.life("front_door") == REFUSED
    assert SET not in world.broker.retained
    assert clearings(world) == 1
    assert len(lines(process, SET)) == 1
    assert not world.actions(bridge)
    assert lock.turns == 0
    world.processes[-1].kill()
    world.start_ready(disk=disk)
    world.run(30)
    assert world.life("front_door") == REFUSED, "it is gone for good"


@pytest.mark.parametrize("protocol", BOTH)
def test_retained_a_command_for_a_device_that_is_not_known_yet_is_refused_and_cleared(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, protocol: Protocol
) -> None:
    world.protocol = protocol
    by_id = "nuki2mqtt/1A2B3C4D/set"
    world.publish(SET, "unlatch", retain=True)
    world.publish(by_id, "unlatch", retain=True)
    world.publish("nuki2mqtt/garage/set", "unlatch", retain=True)
    world.start_ready()
    world.run(60)
    assert world.life("garage") == REFUSED
    assert world.life("front_door") + world.life("1A2B3C4D") == REFUSED * 2
    assert not {SET, by_id, "nuki2mqtt/garage/set"} & world.broker.retained.keys()
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_retained_with_mqtt_5_a_live_one_is_flagged_refused_and_cleared(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_ready()
    fresh = json.dumps({"action": "unlatch", "ts": world.ts(), "transaction": "a1"})
    world.publish(SET, fresh, retain=True)
    world.run(10)
    assert world.life("front_door") == REFUSED
    assert world.end("front_door")["transaction"] == "a1"
    assert world.failures("front_door") == [("unlatch", "retained")]
    assert SET not in world.broker.retained
    for word in ("lock", "unlock", "\xff"):
        world.publish(SET, word, retain=True)
        world.run(10)
    assert world.life("front_door") == REFUSED * 4
    assert SET not in world.broker.retained
    assert clearings(world) == 4
    assert len(lines(process, SET)) == 1, "said once per topic"
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_retained_one_that_came_while_we_were_cut_off_is_refused_when_we_are_back(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_ready()
    world.broker.disconnect(process, is_clean=False)
    world.publish(SET, "unlatch", retain=True)
    world.run(5)
    process.reconnect()
    world.run(30)
    assert world.life("front_door") == REFUSED
    assert SET not in world.broker.retained
    assert not world.actions(bridge)
    assert lock.turns == 0


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("retain", [True, False])
def test_retained_an_empty_payload_is_ignored(
    world: World,
    bridge: SimulatedBridge,
    protocol: Protocol,
    retain: bool,  # noqa: FBT001
) -> None:
    world.protocol = protocol
    world.start_ready()
    for _ in range(5):
        world.publish(SET, "", retain=retain)
        world.run(1)
    assert not world.results("front_door")
    assert not world.failures("front_door")
    assert not world.actions(bridge)
    assert len(world.messages(SET)) == 5, "and not answered by a clearing of ours"


def test_retained_with_mqtt_5_a_live_one_without_the_flag_clears_nothing(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge()
    world.start_ready()
    world.command("front_door", "unlock")
    world.run(30)
    assert world.life("front_door") == DONE
    assert clearings(world) == 0
    assert lock.turns == len(world.actions(bridge)) == 1


# --- MQTT 3.1.1 ---------------------------------------------------------------------------------------------------


def test_retained_with_mqtt_3_1_1_each_command_s_topic_is_cleared_after_it(
    world_311: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world = world_311
    disk = Disk("1234abcd")
    world.start_ready(disk=disk)
    lock.turn(UNLOCKED)
    world.run(2)
    world.publish(SET, "lock", retain=True)
    world.run(30)
    assert world.life("front_door") == DONE, "3.1.1 cannot tell"
    assert SET not in world.broker.retained
    assert clearings(world) == 1
    world.publish("nuki2mqtt/1A2B3C4D/set", "lock")
    world.publish(SET, "fly")
    world.run(30)
    assert clearings(world, "nuki2mqtt/1A2B3C4D/set") == 1
    assert clearings(world) == 2
    world.processes[-1].kill()
    said = len(world.results("front_door"))
    world.start_ready(disk=disk)
    world.run(60)
    assert len(world.results("front_door")) == said, "nothing was left to come again"
    assert len(world.actions(bridge)) == lock.turns == 2


def test_retained_with_mqtt_3_1_1_a_live_one_with_a_fresh_ts_is_carried_out_once_and_cleared(
    world_311: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world = world_311
    disk = Disk("1234abcd")
    world.start_ready(disk=disk)
    world.command("front_door", {"action": "unlatch", "ts": world.ts()}, retain=True)
    world.run(60)
    assert world.life("front_door") == DONE
    assert SET not in world.broker.retained
    world.processes[-1].kill()
    world.start_ready(disk=disk)
    world.run(60)
    assert len(world.results("front_door")) == 2
    assert len(world.actions(bridge)) == lock.turns == lock.unlatches == 1


def test_retained_with_mqtt_3_1_1_commands_within_3_s_of_the_subscription_are_refused(
    world_311: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world = world_311
    process = world.start_ready()
    world.broker.stop()
    world.run(10)
    world.broker.start()
    until_subscribed(world, process)
    world.run(2.7)
    world.command("front_door", {"action": "unlatch", "ts": world.ts(), "transaction": "early"}, retain=True)
    world.command("front_door", {"action": "lock", "transaction": "early, too"})
    world.run(0.6)
    world.command("front_door", {"action": "unlock", "ts": world.ts(), "transaction": "later"})
    world.run(30)
    assert world.life("front_door", "early") == [("refused", "starting")]
    assert world.life("front_door", "early, too") == [("refused", "starting")]
    assert world.life("front_door", "later") == DONE
    assert SET not in world.broker.retained
    assert [request.query["action"] for request in world.actions(bridge)] == ["1"]
    assert (lock.turns, lock.unlatches) == (1, 0)


@pytest.mark.parametrize("word", ["unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch"])
def test_needs_ts_with_mqtt_3_1_1_a_bare_opening_command_is_refused_and_the_log_says_what_to_send(
    world_311: World, bridge: SimulatedBridge, lock: SimulatedLock, word: str
) -> None:
    world = world_311
    process = world.start_ready()
    for order in (word, {"action": word}, {"action": word, "transaction": "a1"}):
        world.command("front_door", order)
        world.run(2)
    assert world.life("front_door") == [("refused", "needs_ts")] * 3
    assert world.failures("front_door") == [(word, "needs_ts")] * 3
    assert clearings(world) == 3
    (line,) = lines(process, '"ts"')
    assert f'"action":"{word}"' in line.replace('": ', '":')
    assert SET in line
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_needs_ts_with_mqtt_3_1_1_is_not_asked_of_what_closes(
    world_311: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world = world_311
    lock.state = UNLOCKED
    bridge.catch_up()
    world.start_ready()
    world.command("front_door", "lock")
    world.command("intercom", "deactivate_rto")
    world.command("intercom", "activate_rto")
    world.command("intercom", "activate_cm")
    world.command("intercom", "open")
    world.run(60)
    assert world.life("front_door") == DONE
    assert [reason for _, reason in world.life("intercom")].count("needs_ts") == 3
    assert sorted(request.query["action"] for request in world.actions(bridge)) == ["2", "2"]
    assert lock.state == LOCKED


def test_needs_ts_with_mqtt_3_1_1_a_stale_ts_does_not_help(
    world_311: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world = world_311
    world.start_ready()
    world.command("front_door", {"action": "unlock", "ts": world.ts(30)})
    world.run(30)
    assert world.life("front_door") == [("refused", "stale")]
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_bare_opening_with_mqtt_3_1_1_can_be_allowed(
    world_311: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world = world_311
    world.start_ready("commands: {bare_opening: true}\n")
    world.command("front_door", "unlatch")
    world.run(60)
    assert world.life("front_door") == DONE
    assert clearings(world) == 1
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_mqtt_5_needs_no_ts(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    world.command("front_door", "unlatch")
    world.run(60)
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


# --- Both ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", BOTH)
def test_starting_no_command_is_taken_in_the_first_2_s_after_online(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, protocol: Protocol
) -> None:
    world.protocol = protocol
    disk = remembered(world)
    world.start_gateway(disk=disk)
    until_online(world)
    world.run(0.1)
    world.command("front_door", {"action": "unlock", "ts": world.ts(), "transaction": "early"})
    world.run(1.7)
    world.command("front_door", {"action": "unlock", "ts": world.ts(), "transaction": "hardly later"})
    world.run(1.6)
    world.command("front_door", {"action": "unlock", "ts": world.ts(), "transaction": "later"})
    world.run(30)
    assert world.life("front_door", "early") == [("refused", "starting")]
    assert world.life("front_door", "hardly later") == [("refused", "starting")]
    assert world.life("front_door", "later") == DONE
    assert world.failures("front_door") == [("unlock", "starting")] * 2
    assert lock.turns == len(world.actions(bridge)) == 1
