"""Every row and sentence of "What we vouch for" in docs/topics.md, played in the simulated house."""

import json
from itertools import pairwise

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock
from tests.stories.conftest import LOCK_ID
from tests.stories.world import BRIDGE_HOST, Disk, Process, World, default_config

AVAILABILITY = "nuki2mqtt/front_door/availability"
SNAPSHOT = "nuki2mqtt/front_door"
STATE = "nuki2mqtt/gateway/state"
LIST_S = 30.0
PATIENCE_S = 2 * LIST_S + 15


def is_fresh(world: World) -> bool:
    """Whether MQTT says that we vouch for the lock; the two ways of saying it never differ."""
    online: bool = world.retained(AVAILABILITY) == "online"
    assert online is not world.retained(SNAPSHOT)["stale"]
    return online


def order_of(world: World, *messages: tuple[str, str]) -> list[int]:
    """The places of these (topic, text in payload) in the log, the first of each."""
    return [
        next(
            index
            for index, message in enumerate(world.broker.log)
            if message.topic == topic and text in message.payload.decode()
        )
        for topic, text in messages
    ]


def started(world: World, disk: Disk | None = None) -> Process:
    process = world.start_gateway(disk=disk)
    world.run(5)
    return process


def test_first_connection_tells_every_remembered_device_offline_before_the_gateway_is_online(
    world: World, bridge: SimulatedBridge
) -> None:
    disk = Disk("1234abcd")
    started(world, disk).kill()
    world.broker.log.clear()
    world.start_gateway(disk=disk)
    world.run(0.5)
    places = order_of(world, (SNAPSHOT, '"stale":true'), (AVAILABILITY, "offline"), (STATE, "online"))
    intercom = order_of(world, ("nuki2mqtt/intercom/availability", "offline"))
    assert max(places[0], places[1], *intercom) < places[2]
    assert bridge.requests


def test_last_known_lock_stays_readable_in_the_stale_snapshot(world: World, bridge: SimulatedBridge) -> None:
    disk = Disk("1234abcd")
    started(world, disk).kill()
    before = world.retained(SNAPSHOT)
    bridge.faults.refuse_connections().begin()
    started(world, disk)
    assert world.retained(SNAPSHOT) == before | {"stale": True}
    assert before["lock"] == "LOCKED"


def test_later_connections_say_vouched_devices_again_as_they_are(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    world.broker.stop(forget=True)
    world.run(2)
    world.broker.start()
    world.broker.log.clear()
    world.run(3)
    assert is_fresh(world)
    assert world.said(AVAILABILITY) == ["online"]
    assert bridge.requests


def test_later_connections_tell_exactly_the_unvouched_devices_offline(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    world.broker.stop(forget=True)
    lock.turn(UNLOCKED)
    with bridge.faults.silent("/list"):
        world.run(PATIENCE_S + LIST_S)
    bridge.faults.refuse_connections().begin()
    world.run(PATIENCE_S)
    world.broker.start()
    world.run(3)
    assert not is_fresh(world)
    assert world.retained("nuki2mqtt/intercom/availability") == "offline"


def test_broker_blip_of_two_seconds_flaps_no_lock(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    world.broker.log.clear()
    world.broker.stop()
    world.run(2)
    world.broker.start()
    world.run(60)
    assert set(world.said(AVAILABILITY)) == {"online"}
    assert all(not json.loads(text)["stale"] for text in world.said(SNAPSHOT))
    assert bridge.requests


def test_kill_and_restart_with_the_bridge_unreachable_shows_nothing_online_and_nothing_fresh(
    world: World, bridge: SimulatedBridge
) -> None:
    disk = Disk("1234abcd")
    started(world, disk).kill()
    assert world.retained(STATE) == "offline"
    world.broker.log.clear()
    bridge.faults.refuse_connections().begin()
    world.start_gateway(disk=disk)
    world.run(600)
    assert world.retained(STATE) == "online"
    for device in ("front_door", "intercom"):
        assert world.said(f"nuki2mqtt/{device}/availability") == ["offline"]
        assert all(json.loads(text)["stale"] for text in world.said(f"nuki2mqtt/{device}"))
    assert world.said("nuki2mqtt/bridge/0A1B2C3D/availability") == ["offline"]


def test_with_the_state_file_lost_nothing_of_before_is_online_either(world: World, bridge: SimulatedBridge) -> None:
    started(world, Disk("1234abcd")).kill()
    world.broker.log.clear()
    bridge.faults.refuse_connections().begin()
    world.start_gateway(disk=Disk("99999999"))
    world.run(600)
    assert world.retained(STATE) == "online"
    online = [topic for topic, payload in world.broker.retained.items() if payload == b"online"]
    assert online == [STATE]
    assert world.retained(SNAPSHOT)["stale"] is True


def test_device_goes_online_only_by_a_report_of_this_process(world: World, bridge: SimulatedBridge) -> None:
    disk = Disk("1234abcd")
    started(world, disk).kill()
    with bridge.faults.refuse_connections():
        world.start_gateway(disk=disk)
        world.run(60)
        assert not is_fresh(world)
    world.run(70)
    assert is_fresh(world)


@pytest.mark.parametrize(
    "fault", ["silent", "refuse_token", "refuse_connections", "reset_connections", "garbage_json", "garbage_list"]
)
def test_without_a_readable_list_for_the_patience_the_device_is_offline(
    world: World, bridge: SimulatedBridge, fault: str
) -> None:
    started(world)
    listed = max(request.at for request in bridge.requests if request.path == "/list" and request.status == 200)
    match fault:
        case "garbage_json":
            active = bridge.faults.garbage("/list", b"<html>busy</html>")
        case "garbage_list":
            active = bridge.faults.garbage("/list", b'{"success": false}')
        case name:
            active = getattr(bridge.faults, name)()
    with active:
        world.run(listed + PATIENCE_S - world.now - 0.1)
        assert is_fresh(world)
        world.run(1)
        assert not is_fresh(world)
        assert world.retained("nuki2mqtt/bridge/0A1B2C3D/availability") == "offline"
        world.run(3600)
        assert not is_fresh(world)
    world.run(65)
    assert is_fresh(world)
    assert world.retained("nuki2mqtt/bridge/0A1B2C3D/availability") == "online"


def test_a_bridge_that_answers_401_for_ever_is_told_once_loudly(world: World, bridge: SimulatedBridge) -> None:
    process = started(world)
    bridge.faults.refuse_token().begin()
    count = len(bridge.requests)
    world.run(6 * 3600)
    assert not is_fresh(world)
    assert len([text for text in process.warnings if "401" in text]) == 1
    assert len(bridge.requests) - count < 6 * 70


def test_503_extends_the_patience_by_at_most_300_s(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    listed = max(request.at for request in bridge.requests if request.path == "/list" and request.status == 200)
    with bridge.faults.busy():
        world.run(listed + PATIENCE_S + 299 - world.now)
        assert is_fresh(world)
        world.run(3)
        assert not is_fresh(world)
    world.run(65)
    assert is_fresh(world)


def test_one_503_does_not_buy_the_whole_extension(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    with bridge.faults.busy("/list"):
        world.run(32)
    with bridge.faults.silent():
        world.run(PATIENCE_S + 40)
        assert not is_fresh(world)


def test_missing_from_five_scans_in_a_row_is_offline_until_a_scan_hit(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    with bridge.faults.missing_from_scan(LOCK_ID):
        world.run(4 * 300 + 10)
        assert is_fresh(world)
        world.run(300)
        assert not is_fresh(world)
        assert world.retained("nuki2mqtt/intercom/availability") == "online"
    world.run(310)
    assert is_fresh(world)


@pytest.mark.parametrize("contrary", ["callback", "newer entry"])
def test_missing_from_scans_ends_by_a_callback_or_a_newer_entry(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, contrary: str
) -> None:
    started(world)
    bridge.faults.missing_from_scan(LOCK_ID).begin()
    world.run(5 * 300 + 20)
    assert not is_fresh(world)
    if contrary == "callback":
        bridge.call_back(LOCK_ID)
        world.run(0.5)
    else:
        with bridge.faults.silent_callbacks():
            lock.turn(UNLOCKED)
            world.run(31)
    assert is_fresh(world)


def test_a_device_that_no_scan_ever_listed_is_not_missing(world: World, bridge: SimulatedBridge) -> None:
    bridge.faults.missing_from_scan(LOCK_ID).begin()
    started(world)
    world.run(10 * 300)
    assert is_fresh(world)


def test_offline_after_scans_0_is_off(world: World, bridge: SimulatedBridge) -> None:
    world.start_gateway(default_config(f"{BRIDGE_HOST}:8080", extra="poll: {offline_after_scans: 0}\n"))
    world.run(5)
    bridge.faults.missing_from_scan(LOCK_ID).begin()
    world.run(20 * 300)
    assert is_fresh(world)


def test_an_empty_scan_says_nothing(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    info = (
        b'{"bridgeType": 1, "ids": {"hardwareId": 169552957, "serverId": 1}, "versions": {}, "uptime": 99999, '
        b'"serverConnected": true, "scanResults": []}'
    )
    with bridge.faults.garbage("/info", info):
        world.run(10 * 300)
    assert is_fresh(world)


def forced_read_fails(world: World, bridge: SimulatedBridge) -> None:
    """A forged callback raises a doubt; the read that decides it does not reach the lock."""
    bridge.faults.unreachable(LOCK_ID).begin()
    forge(world, state=UNLOCKED)
    world.run(40)


def forge(world: World, *, state: int, door: int = 2) -> None:
    url = world.bridges[f"{BRIDGE_HOST}:8080"].callbacks.slots[0]
    assert url is not None
    body = {
        "deviceType": 4,
        "nukiId": LOCK_ID,
        "mode": 2,
        "state": state,
        "batteryCritical": False,
        "doorsensorState": door,
    }
    world.knock(url, json.dumps(body).encode())


def test_a_forced_read_that_ends_unreachable_makes_the_device_offline(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    forced_read_fails(world, bridge)
    assert bridge.wakeups == 0 or not is_fresh(world)
    assert not is_fresh(world)
    world.run(3600)
    assert not is_fresh(world)


def test_an_unreachable_lock_at_rest_is_read_again_after_ten_minutes_and_an_hour(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    started(world)
    forced_read_fails(world, bridge)
    reads = [request.at for request in bridge.requests if request.path == "/lockState"]
    assert len(reads) == 1
    world.run(6000)
    reads = [request.at for request in bridge.requests if request.path == "/lockState"]
    assert [round(later - earlier, -1) for earlier, later in pairwise(reads)] == [610, 3610]
    world.run(24 * 3600)
    assert len([request for request in bridge.requests if request.path == "/lockState"]) == 3
    assert lock.wakeups == 0


def test_unreachable_ends_by_a_successful_lock_state(world: World, bridge: SimulatedBridge) -> None:
    started(world)
    forced_read_fails(world, bridge)
    others = list(bridge.faults.active)
    bridge.faults.frozen_cache(LOCK_ID).begin()
    for fault in others:
        fault.end()
    world.run(500)
    assert not is_fresh(world)
    world.run(150)
    assert is_fresh(world)
    assert world.retained(SNAPSHOT)["source"] == "lock_state"


@pytest.mark.parametrize("contrary", ["callback", "later entry"])
def test_unreachable_ends_by_a_callback_or_a_later_entry(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, contrary: str
) -> None:
    started(world)
    forced_read_fails(world, bridge)
    assert not is_fresh(world)
    for fault in list(bridge.faults.active):
        fault.end()
    world.run(31)
    if contrary == "callback":
        bridge.call_back(LOCK_ID)
        world.run(1)
    else:
        with bridge.faults.silent_callbacks():
            lock.turn(UNLOCKED)
            world.run(31)
    assert is_fresh(world)


def test_an_entry_without_a_state_is_offline_with_state_null_and_read_once(
    world: World, bridge: SimulatedBridge
) -> None:
    bridge.faults.no_last_known_state(LOCK_ID).begin()
    bridge.faults.silent("/lockState").begin()
    world.start_gateway()
    world.run(3)
    assert not is_fresh(world)
    assert world.retained(SNAPSHOT)["state"] is None
    assert world.retained(SNAPSHOT)["lock"] is None


def test_an_entry_without_a_state_ends_by_the_one_lock_state_at_start(world: World, bridge: SimulatedBridge) -> None:
    bridge.faults.no_last_known_state(LOCK_ID).begin()
    started(world)
    world.run(3600)
    reads = [request for request in bridge.requests if request.path == "/lockState"]
    assert len(reads) == 1
    assert reads[0].query == {"nukiId": str(LOCK_ID), "deviceType": "4"}
    assert is_fresh(world)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert world.retained(SNAPSHOT)["source"] == "lock_state"


def test_an_entry_without_a_state_is_read_once_more_after_a_callback(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    bridge.faults.no_last_known_state(LOCK_ID).begin()
    started(world)
    world.run(600)
    lock.turn(UNLOCKED)
    world.run(600)
    assert len([request for request in bridge.requests if request.path == "/lockState"]) == 2
    assert is_fresh(world)
    assert world.retained(SNAPSHOT)["state"] == "unlocked"


def test_a_bridge_that_lost_its_cache_makes_the_device_stale_with_its_last_lock(
    world: World, bridge: SimulatedBridge
) -> None:
    started(world)
    bridge.faults.silent("/lockState").begin()
    with bridge.faults.no_last_known_state(LOCK_ID):
        world.run(31)
        assert not is_fresh(world)
        assert world.retained(SNAPSHOT)["lock"] == "LOCKED"
    world.run(100)
    assert is_fresh(world)


def test_when_the_gateway_stops_devices_are_offline_and_stale_before_the_gateway_is(
    world: World, bridge: SimulatedBridge
) -> None:
    process = started(world)
    world.broker.log.clear()
    process.stop()
    world.run(8)
    assert process.has_stopped
    assert not is_fresh(world)
    assert world.retained(STATE) == "offline"
    places = order_of(world, (SNAPSHOT, '"stale":true'), (AVAILABILITY, "offline"), (STATE, "offline"))
    assert places == sorted(places)
    assert bridge.callbacks.slots == [None, None, None]


def test_a_door_s_silence_is_normal(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    started(world)
    world.run(30 * 3600)
    assert is_fresh(world)
    assert world.retained(SNAPSHOT)["state"] == "locked"
    assert lock.wakeups == bridge.wakeups == 0
    assert lock.state == LOCKED
