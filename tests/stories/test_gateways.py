"""One gateway per base topic, and what a gateway remembers."""

import json

import pytest

from nuki2mqtt.gateway.admission import OWN_START_S
from nuki2mqtt.gateway.broker_session import CONTRADICT_GAP_S
from nuki2mqtt.gateway.ownership import CONTRADICTED_S
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, SimulatedLock, SimulatedOpener
from tests.stories.world import BRIDGE_HOST, DONE, START, Disk, World, default_config

STATE = "nuki2mqtt/gateway/state"
LINK = f"{BRIDGE_HOST}:8080"


def test_a_second_gateway_on_the_base_is_silent_and_takes_over_when_the_first_stops(
    world: World, bridge: SimulatedBridge
) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    second = world.start_gateway(disk=Disk("second"))
    world.broker.log.clear()
    world.run(600)
    assert not second.calls
    assert {json.loads(text)["instance"] for text in world.said("nuki2mqtt/gateway/health")} == {"first"}
    assert not world.said(STATE)
    assert any("first" in text and "owns the base topic" in text for text in second.warnings)
    first.stop()
    world.run(10)
    assert first.has_stopped
    assert world.retained(STATE) == "online"
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "second"
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert [slot is not None and "/second/" in slot for slot in bridge.callbacks.slots] == [True, False, False]


def test_a_second_gateway_takes_over_when_the_first_is_killed(world: World, bridge: SimulatedBridge) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    second = world.start_gateway(disk=Disk("second"))
    world.run(100)
    first.kill()
    world.run(7)
    assert second.calls
    assert world.retained(STATE) == "online"
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "second"
    assert bridge.requests


def test_a_foreign_offline_does_not_wake_the_second_gateway(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Somebody else says `offline` for a moment: one command gets one answer, by the one that owns the base."""
    world.start_gateway(disk=Disk("first"))
    world.run(30)
    second = world.start_gateway(disk=Disk("second"))
    world.run(100)
    world.publish(STATE, "offline", retain=True)
    world.run(0.1)
    world.command("front_door", {"action": "unlock", "transaction": "a1"})
    world.run(60)
    assert not second.calls
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "first"
    assert world.life("front_door", "a1") == DONE
    assert len(world.actions(bridge)) == lock.turns == 1


def test_somebody_who_denies_us_waits_longer_than_we_need_to_contradict() -> None:
    assert min(CONTRADICTED_S, OWN_START_S) > CONTRADICT_GAP_S


@pytest.mark.parametrize("role", ["looking", "silent"])
@pytest.mark.parametrize("gap_s", [None, 0.2, 1.0, 2.5])
@pytest.mark.parametrize("wait_s", [0.3, 1.5, 2.5, 3.0, 4.0, 4.9])
def test_foreign_offlines_never_make_two_gateways_open_a_door(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, role: str, gap_s: float | None, wait_s: float
) -> None:
    """One command, one answer, one opening, whenever it comes and however often somebody says `offline`."""
    world.start_gateway(disk=Disk("first"))
    world.run(63.5)
    world.start_gateway(disk=Disk("second"))
    world.run(1.0 if role == "looking" else 100.0)
    world.publish(STATE, "offline", retain=True)
    if gap_s is not None:
        world.run(gap_s)
        world.publish(STATE, "offline", retain=True)
    world.run(wait_s)
    world.command("front_door", {"action": "unlatch", "transaction": "a1", "ts": world.ts()})
    world.run(120)
    assert world.life("front_door", "a1") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "first"


def test_a_dead_gateway_without_a_will_holds_the_base_for_150_s(world: World, bridge: SimulatedBridge) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    first.is_alive = False
    world.broker.connected.clear()
    assert world.retained(STATE) == "online"
    second = world.start_gateway(disk=Disk("second"))
    world.run(149)
    assert not second.calls
    world.run(5)
    assert second.calls
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "second"
    assert bridge.requests


def test_of_two_that_start_at_once_the_earlier_keeps_the_base(world: World, bridge: SimulatedBridge) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(0.01)
    second = world.start_gateway(disk=Disk("second"))
    world.run(10)
    count = len(second.calls)
    world.run(600)
    assert len(second.calls) == count
    assert first.calls[-1].call_id > 20
    assert world.retained("nuki2mqtt/gateway/health")["instance"] == "first"
    assert world.retained(STATE) == "online"
    assert bridge.requests


def test_a_gateway_that_was_cut_off_gets_its_base_back_from_a_later_one(world: World, bridge: SimulatedBridge) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    second = world.start_gateway(disk=Disk("second"))
    world.run(100)
    world.broker.disconnect(first, is_clean=False)
    world.run(20)
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "second"
    first.reconnect()
    world.run(20)
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "first"
    assert world.retained(STATE) == "online"
    count = len(second.calls)
    world.run(300)
    assert len(second.calls) == count
    assert bridge.requests


def test_the_owner_says_online_again_when_it_reads_a_foreign_offline(world: World, bridge: SimulatedBridge) -> None:
    world.start_gateway()
    world.run(30)
    world.broker.publish(STATE, b"offline", retain=True)
    world.run(1)
    assert world.retained(STATE) == "online"
    assert bridge.requests


def test_our_own_leftover_online_does_not_hold_us_up(world: World, bridge: SimulatedBridge) -> None:
    disk = Disk("first")
    process = world.start_gateway(disk=disk)
    world.run(30)
    process.is_alive = False
    world.broker.connected.clear()
    world.start_gateway(disk=disk)
    world.run(3)
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert bridge.requests


def test_start_with_the_broker_absent(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.broker.stop()
    world.start_gateway()
    world.run(15)
    assert not bridge.requests
    world.run(60)
    assert bridge.requests
    lock.turn(UNLOCKED)
    world.run(5)
    world.broker.start()
    world.run(5)
    assert world.said("nuki2mqtt/front_door/availability")[-1] == "online"
    assert world.retained("nuki2mqtt/front_door")["state"] == "unlocked"
    texts = [message for message in world.broker.log if message.topic in {STATE, "nuki2mqtt/front_door"}]
    assert texts[0].topic == STATE or json.loads(texts[0].payload)["stale"]


def test_events_before_the_first_connection_are_told_late(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    world.broker.stop()
    world.start_gateway()
    world.run(60)
    opener.ring()
    world.run(60)
    world.broker.start()
    world.run(5)
    assert not world.events("intercom")
    assert len(world.said("nuki2mqtt/intercom/event/late")) == 1
    assert bridge.requests


def test_after_a_takeover_the_last_words_of_the_other_gateway_stay_readable(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    world.start_gateway(disk=Disk("second"))
    world.run(100)
    lock.turn(UNLOCKED)
    world.run(10)
    bridge.faults.refuse_connections().begin()
    first.kill()
    world.run(30)
    snapshot = world.retained("nuki2mqtt/front_door")
    assert (snapshot["lock"], snapshot["stale"]) == ("UNLOCKED", True)


def test_two_doors_of_one_name_keep_their_topics_with_the_state_file_lost(world: World) -> None:
    for nuki_id in (0x11110001, 0x22220002):
        world.house.add(SimulatedLock(nuki_id=nuki_id, name="Door"))
    world.add_bridge()
    first = world.start_gateway(disk=Disk("first"))
    world.run(5)
    topics = {device["id"]: device["topic"] for device in world.retained("nuki2mqtt/gateway/devices")}
    assert topics == {"11110001": "door_0001", "22220002": "door_0002"}
    first.stop()
    world.run(8)
    world.house.add(SimulatedLock(nuki_id=0x33330003, name="Door"))
    world.start_gateway(disk=Disk("second"))
    world.run(5)
    again = {device["id"]: device["topic"] for device in world.retained("nuki2mqtt/gateway/devices")}
    assert again == topics | {"33330003": "door"}


def test_beside_a_remembered_device_only_the_newcomer_gets_a_suffix(world: World, bridge: SimulatedBridge) -> None:
    world.start_gateway()
    world.run(5)
    world.house.add(SimulatedLock(nuki_id=0x33330003, name="Front door"))
    world.run(40)
    topics = {device["id"]: device["topic"] for device in world.retained("nuki2mqtt/gateway/devices")}
    assert topics == {"1A2B3C4D": "front_door", "2A2B3C4E": "intercom", "33330003": "front_door_0003"}
    assert bridge.requests


def test_a_rename_in_the_app_changes_the_name_and_not_the_topic(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_gateway()
    world.run(5)
    lock.name = "Garden"
    bridge.catch_up()
    world.run(31)
    assert world.retained("nuki2mqtt/front_door")["name"] == "Garden"
    assert world.retained("homeassistant/device/nuki2mqtt_1A2B3C4D/config")["dev"]["name"] == "Garden"


@pytest.mark.parametrize(
    ("name", "topic", "shown"),
    [
        ("Haustür Straße", "haustuer_strasse", "Haustür Straße"),
        ("🚪🔑", "nuki_1a2b3c4d", "🚪🔑"),
        ("", "nuki_1a2b3c4d", "Nuki_1A2B3C4D"),
        (
            b"Kellerabgang Nordwest hinten 12b\x11\x02",
            "kellerabgang_nordwest_hinten_12b",
            "Kellerabgang Nordwest hinten 12b",
        ),
        ("Gateway", "nuki_1a2b3c4d", "Gateway"),
        ("DEADBEEF", "nuki_1a2b3c4d", "DEADBEEF"),
    ],
)
def test_names(world: World, name: str | bytes, topic: str, shown: str) -> None:
    world.house.add(SimulatedLock(nuki_id=0x1A2B3C4D, name=name))
    world.add_bridge()
    world.start_gateway()
    world.run(5)
    assert world.retained(f"nuki2mqtt/{topic}")["name"] == shown


def test_a_broken_entry_leaves_the_others_working(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_gateway()
    good = (
        '{"deviceType": 4, "nukiId": 439041101, "name": "Front door", "lastKnownState": {"mode": 2, "state": 3, '
        '"stateName": "unlocked", "batteryCritical": false, "timestamp": "2026-11-22T12:00:00+00:00"}}'
    )
    with bridge.faults.garbage("/list", f'[{{"deviceType": 0, "nukiId": "zz", "name": "?"}}, {good}, 7]'.encode()):
        world.run(100)
    assert world.retained("nuki2mqtt/front_door")["state"] == "unlocked"
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert len([text for text in process.warnings if "entry" in text]) == 2


def test_a_state_file_that_cannot_be_written_is_said_and_harmless(world: World, bridge: SimulatedBridge) -> None:
    disk = Disk("first", is_writable=False)
    process = world.start_gateway(disk=disk)
    world.run(200)
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert "cannot be written" in world.retained("nuki2mqtt/gateway/health")["state_file"]
    assert len([text for text in process.warnings if "cannot be written" in text]) == 1
    disk.is_writable = True
    world.run(130)
    assert world.retained("nuki2mqtt/gateway/health")["state_file"] is None
    assert disk.memory.devices
    assert bridge.requests


def test_home_assistant_s_birth_is_answered_within_five_seconds(world: World, bridge: SimulatedBridge) -> None:
    world.start_gateway()
    world.run(30)
    world.broker.log.clear()
    world.broker.publish("homeassistant/status", b"online", retain=False)
    world.run(0.99)
    assert not world.said("homeassistant/device/nuki2mqtt_1A2B3C4D/config")
    world.run(4.1)
    assert len(world.said("homeassistant/device/nuki2mqtt_1A2B3C4D/config")) == 1
    assert world.said("nuki2mqtt/front_door/availability") == ["online"]
    assert len(world.said("nuki2mqtt/front_door")) == 1
    assert bridge.requests


def test_discovery_is_said_again_only_when_it_changed(world: World, bridge: SimulatedBridge) -> None:
    world.start_gateway()
    world.run(3 * 3600)
    assert len(world.said("homeassistant/device/nuki2mqtt_1A2B3C4D/config")) <= 2
    assert bridge.requests


def test_needs_pairing_is_said_with_the_command(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_gateway(f"bridges: [{{host: {BRIDGE_HOST}}}]\n")
    world.run(100)
    assert world.retained("nuki2mqtt/gateway/health")["needs_pairing"] is True
    assert any("nuki2mqtt pair --host 192.0.2.10" in text for text in process.warnings)
    assert not bridge.requests


def test_events_while_the_broker_is_away_are_told_late_and_none_is_lost(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    world.start_gateway()
    world.run(30)
    world.broker.stop()
    opener.ring()
    world.run(60)
    opener.ring()
    world.run(5)
    world.broker.start()
    world.run(5)
    late = [json.loads(text)["ring"] for text in world.said("nuki2mqtt/intercom/event/late")]
    prompt = [event["ring"] for event in world.events("intercom")]
    assert late == ["2026-11-22T12:00:30Z"]
    assert prompt == ["2026-11-22T12:01:30Z"]
    assert bridge.requests


def test_a_ring_is_told_once_and_none_from_before_the_start(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    opener.ring()
    world.run(10)
    world.start_gateway()
    world.run(60)
    assert not world.events("intercom")
    opener.ring()
    world.run(1)
    bridge.call_back(opener.nuki_id)
    world.run(120)
    assert [event["event_type"] for event in world.events("intercom")] == ["ring"]
    assert not world.said("nuki2mqtt/intercom/event/late")


def test_a_ring_first_seen_by_a_late_list_is_told_late(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    world.start_gateway()
    world.run(30)
    with bridge.faults.silent_callbacks(), bridge.faults.frozen_cache(opener.nuki_id):
        opener.ring()
        world.run(100)
    world.run(40)
    assert not world.events("intercom")
    assert len(world.said("nuki2mqtt/intercom/event/late")) == 1
    assert world.now > START


def test_another_bridge_at_the_address_gets_no_second_signed_request(world: World, bridge: SimulatedBridge) -> None:
    disk = Disk("first")
    first = world.start_gateway(disk=disk)
    world.run(5)
    first.kill()
    bridge.hardware_id = 0x0BADBAD0
    count = len(bridge.requests)
    process = world.start_gateway(disk=disk)
    world.run(3600)
    assert [request.path for request in bridge.requests[count:]] == ["/info"]
    text = next(text for text in process.warnings if "0BADBAD0" in text)
    assert "0A1B2C3D" in text
    assert "pair --host 192.0.2.10 --replace" in text


def test_first_contact_takes_hashed_where_encrypted_is_refused_and_remembers_it(
    world: World, lock: SimulatedLock
) -> None:
    bridge = world.add_bridge(modes={"hashed", "plain"})
    disk = Disk("first")
    process = world.start_gateway(disk=disk)
    world.run(30)
    assert [request.mode for request in bridge.requests][:3] == ["encrypted", "encrypted", "hashed"]
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    process.stop()
    world.run(8)
    count = len(bridge.requests)
    world.start_gateway(disk=disk)
    world.run(30)
    assert {request.mode for request in bridge.requests[count:]} == {"hashed"}
    assert lock.wakeups == 0


def test_plain_is_used_only_if_allowed_after_three_refusals_over_two_minutes(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(modes={"plain"})
    process = world.start_gateway()
    world.run(1200)
    assert "plain" not in {request.mode for request in bridge.requests}
    process.kill()
    count = len(bridge.requests)
    world.start_gateway(f"bridges: [{{host: {BRIDGE_HOST}, token: abcdef, allow_plain: true}}]\n", Disk("second"))
    world.run(300)
    requests = bridge.requests[count:]
    first_plain = next(request for request in requests if request.mode == "plain")
    assert first_plain.at - requests[0].at >= 120
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert lock.wakeups == 0


def test_callback_slots_of_others_are_never_touched(world: World, bridge: SimulatedBridge) -> None:
    others = ["http://192.0.2.77:8080/a", "http://192.0.2.78:8123/api/webhook/0therhook", "http://192.0.2.79/nuki"]
    for url in others:
        bridge.callbacks.add(url)
    process = world.start_gateway()
    world.run(2000)
    assert bridge.callbacks.slots == others
    assert any("callback slots" in text for text in process.warnings)
    assert world.retained("nuki2mqtt/gateway/health")["bridges"][0]["callback"] == "full"
    assert [slot["address"] for slot in world.retained("nuki2mqtt/bridge/0A1B2C3D")["callbacks"]] == [
        "192.0.2.77:8080",
        "192.0.2.78:8123",
        "192.0.2.79:80",
    ]
    assert not any(b"0therhook" in message.payload for message in world.broker.log)


def test_own_leftovers_are_replaced_and_kills_leave_one_slot(world: World, bridge: SimulatedBridge) -> None:
    foreign = "http://192.0.2.77:8080/a"
    bridge.callbacks.add(foreign)
    disk = Disk("first")
    for _ in range(5):
        process = world.start_gateway(disk=disk)
        world.run(10)
        process.kill()
    slots = [slot for slot in bridge.callbacks.slots if slot is not None]
    assert slots[0] == foreign
    assert len(slots) == 2


def test_own_leftovers_are_known_by_path_and_address_with_the_state_file_lost(
    world: World, bridge: SimulatedBridge
) -> None:
    foreign = "http://192.0.2.77:8080/callback/1234abcd/secret"
    bridge.callbacks.add(foreign)
    world.start_gateway(disk=Disk("first")).kill()
    world.run(10)
    for instance in ("second", "third", "fourth"):
        process = world.start_gateway(disk=Disk(instance, secret=instance))
        world.run(10)
        process.kill()
    slots = [slot for slot in bridge.callbacks.slots if slot is not None]
    assert slots[0] == foreign
    assert len(slots) == 2
    assert "/fourth/" in slots[1]


def test_one_bridge_under_two_addresses_is_asked_at_one(world: World, bridge: SimulatedBridge) -> None:
    world.bridges["192.0.2.11:8080"] = bridge
    process = world.start_gateway()
    world.run(600)
    assert any("are the same Bridge" in text for text in process.warnings)
    assert len([call for call in process.calls if call.link == "192.0.2.11:8080"]) <= 2
    assert world.retained("nuki2mqtt/front_door/availability") == "online"


def test_a_server_id_in_the_settings_is_the_bridge_s_too(world: World, bridge: SimulatedBridge) -> None:
    world.start_gateway(f"bridges: [{{host: {BRIDGE_HOST}, token: abcdef, id: {bridge.server_id:08X}}}]\n")
    world.run(5)
    assert world.retained("nuki2mqtt/front_door")["bridge"] == "0A1B2C3D"


def test_a_lost_lease_is_registered_again(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_gateway()
    world.run(30)
    with bridge.faults.reboot(lose_callbacks=True):
        world.run(60)
    world.run(310)
    assert bridge.callbacks.slots[0] is not None
    assert any("lost our callback" in text for text in process.warnings)


def test_a_container_s_own_address_is_not_registered(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_gateway(in_container=True)
    world.run(10)
    assert bridge.callbacks.slots[0] is not None, "192.0.2.5 is no container's address"
    assert not any("container" in text for text in process.warnings)


def test_a_busy_callback_port_is_a_warning_and_polling_goes_on(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_gateway(door="Port 8321 is in use: set another callback.port.")
    world.run(10)
    lock.turn(UNLOCKED)
    world.run(31)
    assert world.retained("nuki2mqtt/front_door")["state"] == "unlocked"
    assert bridge.callbacks.slots == [None, None, None]
    assert any("callback.port" in text and "olling goes on" in text for text in process.warnings)


@pytest.mark.parametrize("output", ["attribute", "both"])
def test_attributes_are_plain_copies_of_the_leaves(world: World, bridge: SimulatedBridge, output: str) -> None:
    world.start_gateway(default_config(LINK, extra=f"mqtt: {{output: {output}}}\n"))
    world.run(5)
    assert world.broker.retained["nuki2mqtt/front_door/battery/level"] == b"80"
    assert world.broker.retained["nuki2mqtt/front_door/state"] == b"locked"
    assert world.broker.retained["nuki2mqtt/front_door/stale"] == b"false"
    assert ("nuki2mqtt/front_door" in world.broker.retained) is (output == "both")
    assert bridge.requests


def test_an_ignored_device_is_not_told_and_a_named_one_has_its_topic(world: World, bridge: SimulatedBridge) -> None:
    extra = "devices:\n  2A2B3C4E: {ignore: true}\n  1A2B3C4D: {topic: flat_7, name: Flat 7}\n"
    world.start_gateway(default_config(LINK, extra=extra))
    world.run(60)
    assert world.retained("nuki2mqtt/flat_7")["name"] == "Flat 7"
    assert not any(
        "intercom" in message.topic or b"2A2B3C4E" in message.payload
        for message in world.broker.log
        if "info" not in message.topic
    )
    assert bridge.requests


def test_a_new_topic_setting_clears_the_old_topics(world: World, bridge: SimulatedBridge) -> None:
    disk = Disk("first")
    world.start_gateway(disk=disk).stop()
    process = world.start_gateway(disk=disk)
    world.run(5)
    process.stop()
    world.run(8)
    world.start_gateway(default_config(LINK, extra="devices:\n  1A2B3C4D: {topic: flat_7}\n"), disk)
    world.run(5)
    assert "nuki2mqtt/front_door" not in world.broker.retained
    assert "nuki2mqtt/front_door/availability" not in world.broker.retained
    assert world.retained("nuki2mqtt/flat_7/availability") == "online"
    assert bridge.requests


def test_the_owner_says_everything_again_when_another_has_spoken_in_its_name(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    second = world.start_gateway(default_config(LINK, extra="poll: {list_s: 3600}\n"), Disk("second"))
    world.run(100)
    world.broker.disconnect(first, is_clean=False)
    world.run(20)
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "second"
    world.broker.disconnect(second, is_clean=False)
    first.reconnect()
    world.run(20)
    second.door_error = "no callback reaches it"
    lock.turn(UNLOCKED)
    world.run(35)
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED"
    since = world.now
    second.reconnect()
    world.run(30)
    assert '"lock":"LOCKED"' in "".join(world.said("nuki2mqtt/front_door", since)), "it spoke in the owner's name"
    snapshot = world.retained("nuki2mqtt/front_door")
    assert (snapshot["lock"], snapshot["stale"]) == ("UNLOCKED", False)
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert world.retained("nuki2mqtt/gateway/health")["instance"] == "first"
    assert bridge.requests


@pytest.mark.parametrize("away_ms", range(1990, 2016, 2))
def test_an_owner_that_comes_back_in_the_moment_of_a_takeover_has_the_last_word(
    world: World, bridge: SimulatedBridge, away_ms: int
) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    world.start_gateway(disk=Disk("second"))
    world.run(100)
    world.broker.disconnect(first, is_clean=False)
    world.run(away_ms / 1000)
    first.reconnect()
    world.run(20)
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "first"
    assert world.retained("nuki2mqtt/gateway/state") == "online"
    assert world.retained("nuki2mqtt/front_door/availability") == "online"
    assert world.retained("nuki2mqtt/front_door")["stale"] is False
    assert bridge.requests


def test_a_gateway_that_takes_over_again_tells_nothing_of_the_time_between(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    second = world.start_gateway(disk=Disk("second"))
    world.run(100)
    world.broker.disconnect(first, is_clean=False)
    world.run(20)
    first.reconnect()
    world.run(20)
    lock.turn(UNLOCKED)
    opener.ring()
    world.run(3600)
    since = world.now
    first.stop()
    world.run(60)
    assert second.calls
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "second"
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED"
    for device in ("front_door", "intercom"):
        assert not world.events(device, since)
        assert not world.said(f"nuki2mqtt/{device}/event/late", since)
    assert bridge.requests


def test_a_newly_ignored_device_is_told_offline_and_stale(world: World, bridge: SimulatedBridge) -> None:
    disk = Disk("first")
    process = world.start_gateway(disk=disk)
    world.run(5)
    process.kill()
    world.start_gateway(default_config(LINK, extra="devices:\n  1A2B3C4D: {ignore: true}\n"), disk)
    world.run(60)
    assert world.retained("nuki2mqtt/front_door")["stale"] is True
    assert world.retained("nuki2mqtt/front_door/availability") == "offline"
    assert bridge.requests


def test_a_clock_that_was_ahead_for_a_moment_does_not_block_the_list(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    bridge.faults.silent_callbacks().begin()
    world.start_gateway(f"bridges: [{{host: {BRIDGE_HOST}, token: abcdef, auth: plain}}]\n")
    world.run(5)
    with bridge.faults.clock_skew(86_400):
        bridge.catch_up()
        world.run(45)
    lock.turn(UNLOCKED)
    world.run(60)
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED"


def test_a_list_that_fails_beside_a_good_info_is_asked_ever_more_seldom_and_told_once(
    world: World, bridge: SimulatedBridge
) -> None:
    process = world.start_gateway()
    world.run(30)
    count, lines = len(bridge.requests), len(process.warnings)
    with bridge.faults.reset_connections("/list"):
        world.run(3600)
    assert len(bridge.requests) - count < 300
    assert len(process.warnings) - lines == 1
    world.run(60)
    assert world.retained("nuki2mqtt/front_door/availability") == "online"


def test_hostile_retained_messages_below_our_base_break_nothing(world: World, bridge: SimulatedBridge) -> None:
    deep = b'{"id":"11111111","name":"x","device_type":4,"x":' + b"[" * 900 + b"]" * 900 + b"}"
    for number, body in enumerate(
        (
            b"\xff\x00",
            b"[]",
            b'{"id":"FFFFFFFF","name":{"a":1},"device_type":-5}',
            b'{"id":"EEEEEEEE","name":"x","device_type":1e999}',
            b'{"id":"1A2B3C4D","name":"\\ud800","device_type":4}',
            deep,
        )
    ):
        world.broker.retained[f"nuki2mqtt/odd_{number}"] = body
    world.start_gateway(default_config(LINK, extra="mqtt: {output: both}\n"))
    world.run(60)
    assert world.retained("nuki2mqtt/gateway/state") == "online"
    devices = {device["id"] for device in world.retained("nuki2mqtt/gateway/devices")}
    assert devices <= {"1A2B3C4D", "2A2B3C4E", "11111111"}
    assert bridge.requests


def test_with_attributes_only_nothing_of_a_former_snapshot_stays_and_home_assistant_is_told_of_no_device(
    world: World, bridge: SimulatedBridge
) -> None:
    disk = Disk("first")
    world.start_gateway(default_config(LINK, extra="mqtt: {output: both}\n"), disk)
    world.run(5)
    world.processes[-1].kill()
    world.start_gateway(default_config(LINK, extra="mqtt: {output: attribute}\n"), disk)
    world.run(30)
    assert "nuki2mqtt/front_door" not in world.broker.retained
    assert "homeassistant/device/nuki2mqtt_1A2B3C4D/config" not in world.broker.retained
    assert world.broker.retained["nuki2mqtt/front_door/stale"] == b"false"
    assert bridge.requests


def test_a_ring_that_the_broker_may_have_is_not_rung_again(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener
) -> None:
    process = world.start_gateway()
    world.run(30)
    opener.ring()
    while not world.events("intercom"):
        world.run(0.001)
    world.broker.stop()
    world.run(2)
    world.broker.start()
    world.run(5)
    assert len(world.events("intercom")) == 1
    assert process.is_alive
    assert bridge.requests


def test_a_second_takeover_with_the_bridge_unreachable_shows_nothing_of_our_own_as_fresh(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    first = world.start_gateway(disk=Disk("first"))
    world.run(30)
    second = world.start_gateway(disk=Disk("second"))
    world.run(100)
    world.broker.disconnect(first, is_clean=False)
    world.run(20)
    first.reconnect()
    world.run(20)
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "first"
    lock.turn(UNLOCKED)
    world.run(600)
    bridge.faults.refuse_connections().begin()
    since = world.now
    first.kill()
    world.run(300)
    assert second.is_alive
    assert world.retained("nuki2mqtt/gateway/info")["instance"] == "second"
    assert world.retained(STATE) == "online"
    assert set(world.said("nuki2mqtt/front_door/availability", since)) == {"offline"}
    assert {json.loads(text)["stale"] for text in world.said("nuki2mqtt/front_door", since)} == {True}
    assert world.retained("nuki2mqtt/front_door")["lock"] == "UNLOCKED"


def test_a_device_that_a_list_names_twice_counts_once(world: World, bridge: SimulatedBridge) -> None:
    entries = [
        {"deviceType": 4, "nukiId": 0x1A2B3C4D, "name": "Front door", "lastKnownState": {"mode": 2, "state": code}}
        for code in (1, 3)
    ]
    process = world.start_gateway()
    with bridge.faults.garbage("/list", json.dumps(entries).encode()):
        world.run(600)
    assert world.retained("nuki2mqtt/front_door")["state"] == "locked"
    assert not world.events("front_door")
    assert len([text for text in process.warnings if "twice" in text]) == 1


def test_a_broker_that_comes_and_goes_does_not_keep_us_from_the_bridges(world: World, bridge: SimulatedBridge) -> None:
    """It is there at the very moment at which we would begin without it, and gone again before all is read."""
    process = world.start_gateway()
    while world.now < START + 19.9:
        world.run(0.05)
        if world.broker.connected and world.now < START + 19.8:
            world.broker.stop()
        world.broker.start()
    while not world.broker.connected:
        world.run(0.01)
    assert START + 19.8 <= world.now < START + 20, "the story needs the broker just before 20 s"
    world.run(START + 20.05 - world.now)
    assert not process.calls
    world.broker.stop()
    world.run(60)
    assert bridge.requests
