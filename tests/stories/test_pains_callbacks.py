"""Callbacks that never came, and slots that ran full (docs/pains.md, "Callbacks")."""

import json
from collections import Counter

import pytest

from nuki2mqtt.errors import SettingsError
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.world import Disk, World

OTHERS = ["http://192.0.2.77:8080/a", "http://192.0.2.78:8123/api/webhook/x", "http://192.0.2.79/nuki"]
CONTAINER = "172.17.0.2"
LIST_S = 30.0
HOURS_S = 7200.0
BIG_ID = 0xFEDCBA98


def asked(bridge: SimulatedBridge, path: str, since: float = 0.0) -> int:
    return len([request for request in bridge.requests if request.path == path and request.at >= since])


def lease(world: World) -> str:
    state: str = world.retained("nuki2mqtt/gateway/health")["bridges"][0]["callback"]
    return state


def own_slots(bridge: SimulatedBridge) -> list[str]:
    return [url for url in bridge.callbacks.slots if url is not None and "/callback/1234abcd/" in url]


def test_with_all_slots_taken_changes_come_by_polling_and_home_assistant_shows_the_problem(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Nobody is evicted; whoever administers the house frees one, and we take it."""
    for url in OTHERS:
        bridge.callbacks.add(url)
    world.start_ready()
    world.run(10)
    lock.turn(UNLOCKED)
    world.run(LIST_S + 1)
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED"
    assert world.retained("nuki2mqtt/front_door")["source"] == "list"
    assert lease(world) == "full"
    entity = world.retained("homeassistant/device/nuki2mqtt_bridge_0A1B2C3D/config")["cmps"]["callback"]
    assert entity["dev_cla"] == "connectivity"
    slots = world.retained(entity["stat_t"])["callbacks"]
    assert [slot["own"] for slot in slots] == [False] * 3
    assert bridge.callbacks.slots == OTHERS
    world.request("callback_remove", {"bridge": "0A1B2C3D", "id": 1, "url": OTHERS[1]})
    world.run(910)
    assert lease(world) == "held"
    assert [bridge.callbacks.slots[0], bridge.callbacks.slots[2]] == [OTHERS[0], OTHERS[2]]
    assert len(own_slots(bridge)) == 1
    assert True in [slot["own"] for slot in world.retained(entity["stat_t"])["callbacks"]]


def test_for_hours_our_place_is_looked_at_and_never_touched(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """A slot that is taken away and given back leaves a gap, and the others move."""
    bridge.callbacks.add(OTHERS[0])
    world.start_ready()
    slots = list(bridge.callbacks.slots)
    world.run(HOURS_S)
    assert bridge.callbacks.slots == slots
    assert (asked(bridge, "/callback/add"), asked(bridge, "/callback/remove")) == (1, 0)
    assert asked(bridge, "/callback/list") <= HOURS_S / 900 + 3
    lock.turn(UNLOCKED)
    world.run(1)
    assert world.retained("nuki2mqtt/front_door")["source"] == "callback"


def test_a_restart_after_a_crash_finds_its_own_address_and_adds_nothing(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Port and path stay, so that what a killed process left behind is the right one."""
    disk = Disk("1234abcd")
    world.start_ready(disk=disk).kill()
    (url,) = own_slots(bridge)
    since = world.now
    for _ in range(5):
        world.start_ready(disk=disk).kill()
    world.start_ready(disk=disk)
    assert own_slots(bridge) == [url]
    assert (asked(bridge, "/callback/add", since), asked(bridge, "/callback/remove", since)) == (0, 0)
    lock.turn(UNLOCKED)
    world.run(1)
    assert world.retained("nuki2mqtt/front_door")["source"] == "callback"


def test_however_many_locks_a_bridge_has_it_gives_us_one_slot(world: World, bridge: SimulatedBridge) -> None:
    locks = [world.house.add(SimulatedLock(nuki_id=0x33330000 + number, name=f"Flat {number}")) for number in range(5)]
    world.start_ready()
    since = world.now
    for each in locks:
        each.turn(UNLOCKED)
    world.run(3)
    assert len([url for url in bridge.callbacks.slots if url is not None]) == 1
    for number in range(5):
        events = world.events(f"flat_{number}", since)
        assert [(event["to"], event["source"]) for event in events] == [("unlocked", "callback")]


def test_an_address_inside_a_container_is_not_registered_and_the_log_names_the_setting(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    disk = Disk("1234abcd")
    process = world.start_gateway(disk=disk, in_container=True, host=CONTAINER)
    world.run(60)
    assert asked(bridge, "/callback/add") == 0
    (text,) = [text for text in process.warnings if CONTAINER in text]
    assert "callback.host" in text
    lock.turn(UNLOCKED)
    world.run(LIST_S + 1)
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED"
    assert lease(world) == "off"
    assert bridge.callbacks.slots == [None] * 3


def test_in_a_container_the_address_of_the_settings_is_registered(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    config = "bridges: [{host: 192.0.2.10, token: abcdef}]\ncallback: {host: 192.0.2.44}\n"
    process = world.start_gateway(config, in_container=True, host=CONTAINER)
    world.run(10)
    (url,) = own_slots(bridge)
    assert url.startswith("http://192.0.2.44:8321/callback/")
    assert not [text for text in process.warnings if "container" in text]
    lock.turn(UNLOCKED)
    world.run(1)
    assert world.retained("nuki2mqtt/front_door")["source"] == "callback"


@pytest.mark.parametrize("host", ["https://home.example.org", "http://192.0.2.44", "https://home.example.org:443/hook"])
def test_a_web_address_for_callbacks_is_refused_at_the_start_and_what_we_register_is_plain_http(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, host: str
) -> None:
    """Bridges speak no TLS and refuse https; the address of a proxy is of no use to them."""
    with pytest.raises(SettingsError, match=r"callback\.host"):
        read_settings(f"callback: {{host: '{host}'}}\n", read_file=lambda name: name)
    world.start_ready()
    assert [url.partition(":")[0] for url in own_slots(bridge)] == ["http"]
    assert {request.status for request in bridge.requests if request.path == "/callback/add"} == {200}
    assert lock.turns == 0


def test_a_callback_is_known_by_the_whole_of_a_large_number(world: World) -> None:
    """One that has no place in 31 bits, and that others have compared as a text."""
    lock = world.house.add(SimulatedLock(nuki_id=BIG_ID, name="Shed"))
    bridge = world.add_bridge()
    world.start_ready()
    lock.turn(UNLOCKED)
    world.run(1)
    snapshot = world.retained("nuki2mqtt/shed")
    assert (snapshot["id"], snapshot["nuki_id"], snapshot["source"]) == ("FEDCBA98", BIG_ID, "callback")
    assert snapshot["lock"] == "UNLOCKED"
    world.command("FEDCBA98", "lock")
    world.run(30)
    assert [request.query["nukiId"] for request in world.actions(bridge)] == [str(BIG_ID)]
    assert lock.turns == 1


def test_an_opener_that_struck_is_shown_at_rest_again_without_any_callback(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    world.start_ready()
    with bridge.faults.silent_callbacks():
        world.command("intercom", "open")
        world.run(1)
        assert world.retained("nuki2mqtt/intercom")["lock"] == "OPENING"
        world.run(LIST_S + 5)
        assert world.retained("nuki2mqtt/intercom")["lock"] == "LOCKED"
        assert world.retained("nuki2mqtt/intercom")["derived"] is False
    assert world.end("intercom")["status"] == "confirmed"
    assert opener.unlatches == 1
    assert opener.wakeups == 0


def test_a_door_that_nobody_can_reach_leaves_polling_and_says_so(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """A firewall eats every callback: states stay right within a poll, and the loss is told where people look."""
    process = world.start_ready()
    with bridge.faults.silent_callbacks():
        for code in (3, 1, 3, 1):
            lock.turn(code)
            world.run(LIST_S + 10)
            assert world.retained("nuki2mqtt/front_door")["state_code"] == code
    assert world.retained("nuki2mqtt/gateway/health")["bridges"][0]["lost_callbacks"] >= 3
    assert [text for text in process.warnings if "8321" in text and "firewall" in text]
    assert lock.wakeups == 0


def test_what_callbacks_say_is_passed_on_as_it_is_read_and_never_kept_for_newcomers(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    """No raw body, no event and no secret of ours among what the broker keeps."""
    process = world.start_ready()
    lock.turn(UNLOCKED)
    opener.ring()
    world.run(60)
    kinds = Counter(message.topic.rpartition("/")[2] for message in world.broker.log if message.retain)
    assert not {"event", "late", "result", "set"} & kinds.keys()
    for topic, payload in world.broker.retained.items():
        assert b"ringactionState" not in payload, topic
        assert b"event_type" not in payload or topic.startswith("homeassistant/"), topic
        assert process.disk.secret.encode() not in payload
        assert own_slots(bridge)[0].rpartition("/")[2].encode() not in payload
    assert json.loads(world.broker.retained["nuki2mqtt/intercom"])["lock"] == "LOCKED"
