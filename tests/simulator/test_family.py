"""What families and firmware differ in; the software Bridge as it was recorded."""

import hashlib
import json
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.family import NEWEST, Family, abilities_of, family_of
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from tests.simulator.conftest import NOW, TOKEN

ALL = {"plain", "hashed", "encrypted"}


@pytest.mark.parametrize(
    ("family", "firmware", "modes"),
    [
        (Family.V1, "1.11.9", {"plain"}),
        (Family.V1, "1.12.0", {"plain", "hashed"}),
        (Family.V1, "1.22.0", {"plain", "hashed"}),
        (Family.V1, "1.22.1", ALL),
        (Family.V2, "2.1.99", {"plain"}),
        (Family.V2, "2.2.0", {"plain", "hashed"}),
        (Family.V2, "2.13.9", {"plain", "hashed"}),
        (Family.V2, "2.14.0", ALL),
        (Family.SOFTWARE, "1.4.6", {"plain"}),
    ],
)
def test_token_modes_by_firmware(family: Family, firmware: str, modes: set[str]) -> None:
    assert abilities_of(family, firmware).modes == modes


@pytest.mark.parametrize(
    ("firmware", "simple", "doors", "extras"),
    [
        ("1.13.9", False, False, False),
        ("1.14.0", True, False, False),
        ("1.16.0", True, True, False),
        ("1.17.0", True, True, True),
        ("2.4.9", False, False, False),
        ("2.5.0", True, False, False),
        ("2.6.0", True, True, False),
        ("2.7.0", True, True, True),
    ],
)
def test_what_a_firmware_knows(firmware: str, *, simple: bool, doors: bool, extras: bool) -> None:
    found = abilities_of(family_of(firmware), firmware)
    assert (found.has_simple_actions, found.tells_doors, found.tells_extras) == (simple, doors, extras)


@pytest.mark.parametrize(("family", "firmware"), [(Family.V1, "2.18.0"), (Family.V2, "1.24.0"), (Family.V2, "2.x")])
def test_no_firmware_of_the_family(family: Family, firmware: str) -> None:
    with pytest.raises(ValueError, match="is no firmware"):
        abilities_of(family, firmware)


def _ask(bridge: SimulatedBridge, path: str, **query: str) -> Any:
    bridge.release()
    answer = bridge.answer(path, {"token": TOKEN} | query, NOW)
    return json.loads(answer.body) if answer.status == 200 else answer.status


def _bridge(house: House, firmware: str, *, is_software: bool = False) -> SimulatedBridge:
    return SimulatedBridge(house, hardware_id=1, server_id=2, token=TOKEN, firmware=firmware, is_software=is_software)


def test_an_old_firmware_tells_neither_doors_nor_rings(house: House) -> None:
    lock = house.add(SimulatedLock(nuki_id=7, device_type=0, door=2))
    opener = house.add(SimulatedOpener(nuki_id=8))
    bridge = _bridge(house, "1.13.0")
    bridge.callbacks.add("http://192.0.2.1/")

    lock.set_door(3)
    opener.ring()
    assert bridge.take_callbacks() == []
    lock.turn(3)
    [told] = bridge.take_callbacks()
    entries = _ask(bridge, "/list")

    common = {"mode": 2, "state": 3, "stateName": "unlocked", "batteryCritical": False}
    assert json.loads(told.body) == {"deviceType": 0, "nukiId": 7} | common
    assert entries[0]["lastKnownState"] == common | {"timestamp": "2023-11-14T22:13:20+00:00"}
    assert set(entries[1]["lastKnownState"]) == {"mode", "state", "stateName", "batteryCritical", "timestamp"}
    assert _ask(bridge, "/lockState", nukiId="7") == common | {"success": True}
    assert _ask(bridge, "/unlock", nukiId="7") == 400


def test_an_old_firmware_knows_the_plain_token_only(house: House) -> None:
    bridge = _bridge(house, "2.1.0")
    ts, rnr = "2023-11-14T22:13:20Z", "1"
    proof = {"ts": ts, "rnr": rnr, "hash": hashlib.sha256(f"{ts},{rnr},{TOKEN}".encode()).hexdigest()}
    assert bridge.answer("/list", proof, NOW).status == 401
    assert _bridge(house, "2.2.0").answer("/list", proof, NOW).status == 200


def test_wlan_is_told_by_the_second_generation_only(house: House) -> None:
    assert "wlanConnected" in _ask(_bridge(house, NEWEST[Family.V2]), "/info")
    assert "wlanConnected" not in _ask(_bridge(house, NEWEST[Family.V1]), "/info")


def test_the_info_of_a_software_bridge_is_the_recorded_one(house: House, recorded: Any) -> None:
    wanted = json.loads(recorded("bridge/08-info-android-software-bridge-146.json"))
    house.add(SimulatedLock(nuki_id=592627998, device_type=0, rssi_dbm=-62))
    info = _ask(_bridge(house, "1.4.6", is_software=True), "/info")
    own = {"currentTime": "2023-11-14T22:13:20Z", "ids": {"serverId": 2}, "uptime": 86_400}
    assert info == wanted | own
    assert list(info) == list(wanted)
    assert list(info["scanResults"][0]) == list(wanted["scanResults"][0])


def test_a_software_bridge(house: House) -> None:
    lock = house.add(SimulatedLock(nuki_id=7, device_type=0, door=2))
    bridge = _bridge(house, "1.4.6", is_software=True)
    bridge.callbacks.add("http://192.0.2.1/")

    [entry] = _ask(bridge, "/list")
    assert list(entry) == ["nukiId", "name", "lastKnownState"]
    assert list(entry["lastKnownState"]) == ["state", "stateName", "batteryCritical", "timestamp"]
    assert "mode" not in _ask(bridge, "/lockState", nukiId="7")
    lock.turn(3)
    assert json.loads(bridge.take_callbacks()[0].body) == {
        "nukiId": 7,
        "state": 3,
        "stateName": "unlocked",
        "batteryCritical": False,
    }
    assert bridge.id == 2
    assert [_ask(bridge, path) for path in ("/auth", "/configAuth", "/log", "/reboot", "/fwupdate")] == [403] + [
        400
    ] * 4
    bridge.release()
    wrong = bridge.answer("/list", {"token": "wrong"}, NOW)
    assert (wrong.status, wrong.body) == (401, b'{"error":"invalid api token"}')
