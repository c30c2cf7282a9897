"""`get`, and requests to the gateway itself (docs/topics.md, "Gateway and Nuki Bridges", "Device")."""

from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.world import Disk, Process, Protocol, World

BRIDGE = "0A1B2C3D"
FOREIGN = "http://192.0.2.77:8080/hook/of/somebody"
BOTH: list[Protocol] = ["5", "3.1.1"]


def asked(bridge: SimulatedBridge, path: str, since: float) -> int:
    return len([request for request in bridge.requests if request.path == path and request.at >= since])


def ask(world: World, verb: str, order: Any = "", wait_s: float = 15.0) -> dict[str, Any]:
    """The one answer to one request."""
    since = world.now
    world.request(verb, order)
    world.run(wait_s)
    (answer,) = world.responses(verb, since)
    assert answer["status"] in {"ok", "error"}
    assert ("error" in answer and bool(answer["error"])) == (answer["status"] == "error")
    return answer


def secrets(process: Process) -> list[bytes]:
    return [b"abcdef", process.disk.secret.encode()]


def check_no_secret_was_said(world: World, process: Process) -> None:
    for message in world.broker.log:
        assert not any(secret in message.payload for secret in secrets(process))
    for log in process.logs:
        assert not any(secret.decode() in log.text for secret in secrets(process))


# --- get --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", ["{}", "now", '{"force":false}'])
@pytest.mark.parametrize("device", ["front_door", "1A2B3C4D"])
def test_get_reads_the_cache_again_and_wakes_nobody(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, payload: str, device: str
) -> None:
    world.start_ready()
    world.run(5)
    since = world.now
    with bridge.faults.silent_callbacks():
        lock.turn(UNLOCKED)
        world.publish(f"nuki2mqtt/{device}/get", payload)
        world.run(4)
        assert world.retained("nuki2mqtt/front_door")["state"] == "unlocked"
    assert asked(bridge, "/list", since) == 1
    assert not world.reads()


def test_get_force_wakes_the_lock_once(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    with bridge.faults.silent_callbacks(), bridge.faults.frozen_cache(lock.nuki_id):
        lock.turn(UNLOCKED)
        world.publish("nuki2mqtt/front_door/get", '{"force":true}')
        world.run(10)
        assert world.retained("nuki2mqtt/front_door")["state"] == "unlocked"
    assert len(world.reads()) == lock.wakeups == 1
    assert not world.actions(bridge)


@pytest.mark.parametrize("per_day", [0, 1, 3])
def test_get_force_beyond_the_budget_wakes_nobody(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, per_day: int
) -> None:
    world.start_ready(f"poll: {{forced_per_day: {per_day}}}\n")
    for _ in range(10):
        world.publish("nuki2mqtt/front_door/get", '{"force":true}')
        world.run(120)
    assert len(world.reads()) == lock.wakeups == per_day
    assert bridge.requests


def test_get_force_not_more_often_than_the_settings_allow(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    since = world.now
    for _ in range(60):
        world.publish("nuki2mqtt/front_door/get", '{"force":true}')
        world.run(2)
    assert 2 <= len(world.reads(since)) <= 3
    assert lock.wakeups == len(world.reads())
    assert bridge.requests


@pytest.mark.parametrize("protocol", BOTH)
def test_get_retained_is_refused_and_cleared(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, protocol: Protocol
) -> None:
    world.protocol = protocol
    topic = "nuki2mqtt/front_door/get"
    disk = Disk("1234abcd")
    world.start_ready(disk=disk).stop()
    world.run(8)
    world.publish(topic, '{"force":true}', retain=True)
    world.start_ready(disk=disk)
    world.run(30)
    assert topic not in world.broker.retained
    assert not world.reads()
    assert lock.wakeups == 0
    assert bridge.requests


def test_get_with_mqtt_5_a_live_retained_one_is_refused_and_cleared(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    world.publish("nuki2mqtt/front_door/get", '{"force":true}', retain=True)
    world.run(30)
    assert "nuki2mqtt/front_door/get" not in world.broker.retained
    assert not world.reads()
    assert lock.wakeups == 0
    assert bridge.requests


@pytest.mark.parametrize("payload", ["[]", '{"force":"yes"}', "\xff", "{", "[" * 5000, '{"force":1e999}', "null"])
def test_get_with_nonsense_wakes_nobody(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, payload: str
) -> None:
    process = world.start_ready()
    for device in ("front_door", "garage", "gateway"):
        world.publish(f"nuki2mqtt/{device}/get", payload)
    world.run(60)
    assert process.is_alive
    assert not world.reads()
    assert lock.wakeups == 0
    assert bridge.requests
    assert world.retained("nuki2mqtt/front_door/availability") == "online"


def test_get_a_flood_of_it_does_not_hurry_the_bridge(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready()
    since = world.now
    for _ in range(20):
        for _ in range(100):
            world.publish("nuki2mqtt/front_door/get", "{}")
        world.run(1)
    assert asked(bridge, "/list", since) <= 20
    assert {request.status for request in bridge.requests} == {200}
    world.command("front_door", "unlock")
    world.run(10)
    assert len(world.actions()) == lock.turns == 1


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transaction", ["t1", 7, ["x", None], {"a": 1}])
def test_a_request_is_answered_with_its_transaction(world: World, bridge: SimulatedBridge, transaction: object) -> None:
    world.start_ready()
    answer = ask(world, "refresh", {"transaction": transaction})
    assert answer["transaction"] == transaction
    assert answer["status"] == "ok"
    assert isinstance(answer["data"], dict)
    assert bridge.requests


@pytest.mark.parametrize("order", ["now", {}, {"transaction": 1}])
def test_refresh_asks_for_the_list(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, order: str | dict[str, Any]
) -> None:
    world.start_ready()
    world.run(5)
    since = world.now
    with bridge.faults.silent_callbacks():
        lock.turn(UNLOCKED)
        assert ask(world, "refresh", order, wait_s=5)["status"] == "ok"
        assert world.retained("nuki2mqtt/front_door")["state"] == "unlocked"
    assert 1 <= asked(bridge, "/list", since) <= 2
    assert not world.reads()


def test_callbacks_are_shown_without_our_secret(world: World, bridge: SimulatedBridge) -> None:
    bridge.callbacks.add(FOREIGN)
    process = world.start_ready()
    answer = ask(world, "callbacks", {"transaction": 1})
    assert answer["status"] == "ok"
    assert "192.0.2.77" in str(answer["data"])
    check_no_secret_was_said(world, process)


def test_callback_remove_frees_exactly_the_slot_that_was_named(world: World, bridge: SimulatedBridge) -> None:
    bridge.callbacks.add(FOREIGN)
    bridge.callbacks.add("http://192.0.2.78:8080/b")
    process = world.start_ready()
    number = bridge.callbacks.slots.index(FOREIGN)
    own = bridge.callbacks.slots[2]
    assert own is not None
    for wrong in (
        {"bridge": BRIDGE, "id": number, "url": FOREIGN + "/"},
        {"bridge": BRIDGE, "id": number + 1, "url": FOREIGN},
        {"bridge": "DEADBEEF", "id": number, "url": FOREIGN},
        {"bridge": BRIDGE, "id": number},
        {"bridge": BRIDGE, "id": "0", "url": [FOREIGN]},
        {"bridge": BRIDGE, "id": -1, "url": FOREIGN},
        {},
    ):
        assert ask(world, "callback_remove", wrong)["status"] == "error"
    assert bridge.callbacks.slots == [FOREIGN, "http://192.0.2.78:8080/b", own]
    answer = ask(world, "callback_remove", {"bridge": BRIDGE, "id": number, "url": FOREIGN, "transaction": 9})
    assert (answer["status"], answer["transaction"]) == ("ok", 9)
    assert bridge.callbacks.slots == [None, "http://192.0.2.78:8080/b", own]
    check_no_secret_was_said(world, process)


def test_bridge_log_is_read(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_ready()
    since = world.now
    answer = ask(world, "bridge_log", {"bridge": BRIDGE, "transaction": 1})
    assert answer["status"] == "ok"
    assert "HTTP-List" in str(answer["data"])
    assert asked(bridge, "/log", since) == 1
    check_no_secret_was_said(world, process)


def test_bridge_reboot_reboots_once(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    since = world.now
    assert ask(world, "bridge_reboot", {"bridge": BRIDGE, "transaction": 1})["status"] == "ok"
    assert asked(bridge, "/reboot", since) == 1
    world.run(400)
    assert asked(bridge, "/reboot", since) == 1
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert lock.turns == 0


@pytest.mark.parametrize("verb", ["bridge_log", "bridge_reboot"])
def test_bridge_requests_to_a_bridge_that_does_not_answer_end_in_an_error(
    world: World, bridge: SimulatedBridge, verb: str
) -> None:
    world.start_ready()
    with bridge.faults.refuse_connections():
        for number in range(2):  # before and after we know that it is away
            answer = ask(world, verb, {"bridge": BRIDGE, "transaction": number}, wait_s=120)
            assert (answer["status"], answer["transaction"]) == ("error", number)
    world.run(300)
    late = [request for request in bridge.requests if request.path in {"/reboot", "/log"} and request.status]
    assert not late, "what was answered by an error is not done later"


def test_bridge_requests_name_an_unknown_bridge(world: World, bridge: SimulatedBridge) -> None:
    world.start_ready()
    for verb in ("bridge_log", "bridge_reboot"):
        assert ask(world, verb, {"bridge": "DEADBEEF"})["status"] == "error"
    assert not [request for request in bridge.requests if request.path in {"/reboot", "/log"}]


def test_diagnostics_tell_no_secret(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    process = world.start_ready()
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(30)
    answer = ask(world, "diagnostics", {"transaction": 1})
    assert answer["status"] == "ok"
    assert answer["data"]
    assert BRIDGE in str(answer["data"])
    assert lock.unlatches == 1
    assert bridge.requests
    check_no_secret_was_said(world, process)


@pytest.mark.parametrize("order", [{"level": "debug", "transaction": 1}, "debug"])
def test_log_level_is_set(world: World, bridge: SimulatedBridge, order: str | dict[str, Any]) -> None:
    process = world.start_ready()
    assert ask(world, "log_level", order)["status"] == "ok"
    assert process.log_level == "debug"
    for wrong in ({"level": "loud"}, {"level": ["debug"]}, "loud", {}):
        assert ask(world, "log_level", wrong)["status"] == "error"
    assert process.log_level == "debug"
    assert bridge.requests


def test_device_remove_clears_what_was_said_of_a_device_that_is_gone(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    process = world.start_ready()
    bridge.paired = {opener.nuki_id}
    world.run(60)
    answer = ask(world, "device_remove", {"device": "front_door", "transaction": 1})
    assert (answer["status"], answer["transaction"]) == ("ok", 1)
    topics = [topic for topic in world.broker.retained if "front_door" in topic or "1A2B3C4D" in topic]
    assert not topics
    assert {device["id"] for device in world.retained("nuki2mqtt/gateway/devices")} == {"2A2B3C4E"}
    world.run(60)
    process.kill()
    world.start_ready(disk=process.disk)
    assert "nuki2mqtt/front_door" not in world.broker.retained
    assert world.retained("nuki2mqtt/intercom/availability") == "online"
    assert lock.turns == 0


def test_device_remove_of_an_unknown_device_is_an_error(world: World, bridge: SimulatedBridge) -> None:
    world.start_ready()
    before = dict(world.broker.retained)
    for wrong in ({"device": "garage"}, {"device": "DEADBEEF"}, {"device": 7}, {}, "garage", {"device": "gateway"}):
        assert ask(world, "device_remove", wrong)["status"] == "error"
    assert world.broker.retained.keys() == before.keys()
    assert bridge.requests


@pytest.mark.parametrize(
    "verb", ["fly", "factory_reset", "factoryReset", "unpair", "firmware_update", "fwupdate", "set", "REFRESH "]
)
def test_an_unknown_verb_is_answered_by_an_error(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, verb: str
) -> None:
    world.start_ready()
    answer = ask(world, verb, {"bridge": BRIDGE, "transaction": "x"})
    assert (answer["status"], answer["transaction"]) == ("error", "x")
    asked_for = {request.path for request in bridge.requests}
    assert asked_for <= {"/info", "/list", "/callback/list", "/callback/add", "/callback/remove"}
    assert lock.turns == 0


@pytest.mark.parametrize(
    "payload",
    [
        "{",
        "[1]",
        "null",
        b"\xff\xfe",
        "[" * 3000 + "]" * 3000,
        '{"transaction":NaN}',
        "x" * 70_000,
        '{"bridge":{"a":1}}',
    ],
)
@pytest.mark.parametrize("verb", ["refresh", "bridge_reboot", "callback_remove", "device_remove", "log_level"])
def test_bad_requests_do_nothing_and_are_answered(
    world: World, bridge: SimulatedBridge, verb: str, payload: bytes | str
) -> None:
    process = world.start_ready()
    since = world.now
    slots = list(bridge.callbacks.slots)
    world.publish(f"nuki2mqtt/gateway/request/{verb}", payload)
    world.run(15)
    (answer,) = world.responses(verb, since)
    if verb != "refresh" or payload != '{"bridge":{"a":1}}':
        assert answer["status"] == "error"
    assert process.is_alive
    assert bridge.callbacks.slots == slots
    assert not asked(bridge, "/reboot", since)
    assert len(str(answer)) < 4000


@pytest.mark.parametrize("protocol", BOTH)
def test_a_retained_request_from_before_the_start_is_refused_and_cleared(
    world: World, bridge: SimulatedBridge, protocol: Protocol
) -> None:
    world.protocol = protocol
    topic = "nuki2mqtt/gateway/request/bridge_reboot"
    world.publish(topic, f'{{"bridge":"{BRIDGE}"}}', retain=True)
    process = world.start_ready()
    world.run(60)
    assert topic not in world.broker.retained
    assert not asked(bridge, "/reboot", 0)
    assert all(answer["status"] == "error" for answer in world.responses("bridge_reboot"))
    process.kill()
    world.start_ready(disk=process.disk)
    world.run(60)
    assert not asked(bridge, "/reboot", 0)


def test_a_retained_request_with_mqtt_5_a_live_one_is_refused_and_cleared(
    world: World, bridge: SimulatedBridge
) -> None:
    world.start_ready()
    topic = "nuki2mqtt/gateway/request/bridge_reboot"
    world.publish(topic, f'{{"bridge":"{BRIDGE}"}}', retain=True)
    world.run(60)
    assert topic not in world.broker.retained
    assert not asked(bridge, "/reboot", 0)
    assert all(answer["status"] == "error" for answer in world.responses("bridge_reboot"))


def test_a_request_with_two_gateways_is_answered_once(world: World, bridge: SimulatedBridge) -> None:
    world.start_ready(disk=Disk("first"))
    world.run(25)
    world.start_gateway(disk=Disk("second"), host="192.0.2.6")
    world.run(100)
    assert ask(world, "refresh", {"transaction": 1})["status"] == "ok"
    assert bridge.requests
