"""The simulated Bridge writes what real ones were recorded to write, byte for byte."""

import json
from collections.abc import Callable
from datetime import datetime

import pytest

from nuki2mqtt.simulator import bodies
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import Facts, House, SimulatedDevice, SimulatedLock, SimulatedOpener

Recorded = Callable[[str], bytes]


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _bridge(*devices: SimulatedDevice, now: str) -> SimulatedBridge:
    house = House(now=_epoch(now))
    for device in devices:
        house.add(device)
    return SimulatedBridge(house, hardware_id=318440127, server_id=845220913, token="t")


def _ask(bridge: SimulatedBridge, path: str, **query: str) -> bytes:
    return bridge.answer(path, {"token": "t"} | query, bridge.house.now).body


@pytest.mark.parametrize(
    ("name", "state", "door", "level"),
    [
        ("01-lock-locked-door-closed", 1, 2, 80),
        ("02-lock-unlocked-door-closed", 3, 2, 80),
        ("03-lock-unlocked-door-opened", 3, 3, 80),
        ("04-lock-unlocked-door-state-unknown", 3, 4, 80),
        ("05-lock-locking", 4, 2, 80),
        ("06-lock-lockngo-door-closed", 6, 2, 80),
        ("07-lock-lockngo-door-opened", 6, 3, 76),
        ("08-lock-unlatching", 7, 2, 64),
    ],
)
def test_lock_callback(recorded: Recorded, name: str, state: int, door: int, level: int) -> None:
    lock = SimulatedLock(nuki_id=574218836, device_type=0, state=state, door=door, battery_level=level)
    assert bodies.write(bodies.callback(lock, lock.facts)) == recorded(f"callback/{name}.json")


@pytest.mark.parametrize(
    ("name", "state", "ring_at", "is_ringing"),
    [
        ("09-opener-online-stale-ring", 1, "2026-01-04T14:43:38+00:00", False),
        ("10-opener-online-ring", 1, "2026-01-05T03:16:34+00:00", True),
        ("11-opener-rto-active", 3, "2026-01-04T14:43:38+00:00", False),
        ("12-opener-opening", 7, "2026-01-05T03:16:34+00:00", False),
        ("13-opener-open", 5, "2026-01-05T03:16:34+00:00", False),
    ],
)
def test_opener_callback(recorded: Recorded, name: str, state: int, ring_at: str, *, is_ringing: bool) -> None:
    opener = SimulatedOpener(nuki_id=541093927, state=state, ring_at=_epoch(ring_at), is_ringing=is_ringing)
    assert bodies.write(bodies.callback(opener, opener.facts)) == recorded(f"callback/{name}.json")


def test_list_with_keypad_and_door_sensor(recorded: Recorded) -> None:
    wanted = recorded("bridge/29-list-v1-keypad-and-doorsensor.json")
    lock = SimulatedLock(
        nuki_id=612903477,
        device_type=0,
        name=json.loads(wanted)[0]["name"],
        firmware="2.9.6",
        state=3,
        door=2,
        battery_level=92,
        keypad_critical=False,
    )
    assert _ask(_bridge(lock, now="2020-11-20T09:02:19+00:00"), "/list") == wanted


def test_list_with_two_kinds(recorded: Recorded) -> None:
    lock = SimulatedLock(nuki_id=1026114590, name="Oak Street", firmware="4.2.6", state=3, battery_level=94)
    opener = SimulatedOpener(
        nuki_id=538116723, name="Intercom", firmware="1.10.1", ring_at=_epoch("2024-04-10T22:15:03+00:00")
    )
    bridge = _bridge(lock, opener, now="2024-04-11T05:40:12+00:00")
    bridge.house.advance(_epoch("2024-04-11T05:41:30+00:00"))
    bridge.catch_up(lock.nuki_id)
    assert _ask(bridge, "/list") == recorded("bridge/31-list-lock4-no-doorsensor-opener.json")


def test_list_without_states(recorded: Recorded) -> None:
    yard = SimulatedLock(nuki_id=340112876, device_type=0, name="Yard")
    garden = SimulatedLock(nuki_id=340199021, device_type=0, name="Garden")
    bridge = _bridge(yard, garden, now="2024-04-11T05:40:12+00:00")
    with bridge.faults.no_last_known_state():
        assert _ask(bridge, "/list") == recorded("bridge/38-list-hw-no-lastknownstate-no-firmware.json")


def test_list_with_control_bytes_in_a_name(recorded: Recorded) -> None:
    lock = SimulatedLock(
        nuki_id=705820144,
        name=b"Kellerabgang Nordwest hinten 12b\x11\x02",
        firmware="3.5.6",
        battery_level=72,
    )
    bridge = _bridge(lock, now="2023-02-14T16:50:02+00:00")
    assert _ask(bridge, "/list") == recorded("bridge/42-list-control-char-in-name.txt")


def test_lock_state(recorded: Recorded) -> None:
    lock = SimulatedLock(nuki_id=1, device_type=0, door=2, battery_level=46)
    body = _ask(_bridge(lock, now="2023-02-14T16:50:02+00:00"), "/lockState", nukiId="1")
    assert body == recorded("bridge/36-lockstate-lock2-raw.json")


def test_lock_action(recorded: Recorded) -> None:
    lock = SimulatedLock(nuki_id=1, device_type=0)
    body = _ask(_bridge(lock, now="2023-02-14T16:50:02+00:00"), "/lockAction", nukiId="1", action="2")
    assert body == recorded("bridge/14-lockaction-success.json")


def test_info_of_the_first_generation(recorded: Recorded) -> None:
    house = House(now=_epoch("2020-11-20T09:12:44+00:00"))
    house.add(SimulatedOpener(nuki_id=538116723, rssi_dbm=-71))
    house.add(SimulatedLock(nuki_id=612903477, device_type=0, rssi_dbm=-64))
    bridge = SimulatedBridge(
        house,
        hardware_id=318440127,
        server_id=845220913,
        token="t",
        firmware="1.17.1",
        wifi_firmware="1.2.0",
        uptime_s=2251,
    )
    assert _ask(bridge, "/info") == recorded("bridge/28-info-hw-v1-no-wlanconnected.json")


def test_info_of_the_second_generation_has_the_keys_of_a_real_one(recorded: Recorded) -> None:
    bridge = _bridge(SimulatedLock(nuki_id=1), now="2020-11-20T09:12:44+00:00")
    info, wanted = json.loads(_ask(bridge, "/info")), json.loads(recorded("bridge/02-info-hw-v2-fw270.json"))
    assert list(info) == list(wanted)
    assert list(info["scanResults"][0]) == list(wanted["scanResults"][0])


def test_three_slots(recorded: Recorded) -> None:
    bridge = _bridge(now="2020-11-20T09:12:44+00:00")
    wanted = recorded("bridge/44-callback-list-three-slots-full.json")
    bridge.callbacks.slots = [slot["url"] for slot in json.loads(wanted)["callbacks"]]
    assert _ask(bridge, "/callback/list") == wanted
    bridge.release()
    body = _ask(bridge, "/callback/add", url="http://192.0.2.1/")
    assert body == recorded("bridge/45-callback-add-too-many.json")


@pytest.mark.parametrize(
    ("name", "path", "token", "is_busy"),
    [
        ("46-error-503-body", "/list", "t", True),
        ("47-error-401-body", "/list", "wrong", False),
        ("48-error-400-body", "/", "t", False),
    ],
)
def test_errors_are_plain_text(recorded: Recorded, name: str, path: str, token: str, *, is_busy: bool) -> None:
    bridge = _bridge(now="2020-11-20T09:12:44+00:00")
    if is_busy:
        bridge.faults.busy().begin()
    answer = bridge.answer(path, {"token": token}, bridge.house.now)
    assert answer.body == recorded(f"bridge/{name}.txt")
    assert answer.content_type == "text/plain"


def test_a_name_is_cut_at_32_bytes_even_within_a_character() -> None:
    lock = SimulatedLock(nuki_id=1, name="a" * 31 + "ü")
    assert b'"' + b"a" * 31 + b'\xc3"' in bodies.write(bodies.list_entry(lock, None))


def test_a_name_with_quotes_stays_json() -> None:
    lock = SimulatedLock(nuki_id=1, name='the "back" door \\')
    assert json.loads(bodies.write(bodies.list_entry(lock, None)))["name"] == 'the "back" door \\'


def test_unknown_numbers_are_undefined() -> None:
    lock = SimulatedLock(nuki_id=1, state=77, door=77)
    body = json.loads(bodies.write(bodies.callback(lock, lock.facts)))
    assert (body["stateName"], body["doorsensorStateName"]) == ("undefined", "unknown")


def test_a_phantom_keypad_is_in_callbacks_only() -> None:
    lock = SimulatedLock(nuki_id=1, has_phantom_keypad=True)
    known: tuple[Facts, float] = (lock.facts, 0.0)
    assert b"keypadBatteryCritical" in bodies.write(bodies.callback(lock, lock.facts))
    assert b"keypadBatteryCritical" not in bodies.write(bodies.list_entry(lock, known))
