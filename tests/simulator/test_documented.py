"""Documented words, keys and lengths, by value: what docs/facts.md names and no other test here shows."""

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from nuki2mqtt.simulator.bridge import SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from tests.simulator.conftest import NOW, TOKEN

Ask = Callable[..., SimulatedAnswer]
Read = Callable[..., Any]
OF_ALL = ["mode", "state", "stateName", "batteryCritical"]
OF_LOCKS = [*OF_ALL, "batteryCharging", "batteryChargeState"]
OF_DOORS = ["doorsensorState", "doorsensorStateName"]
OF_RINGS = ["ringactionTimestamp", "ringactionState"]


@pytest.mark.parametrize(
    ("state", "of_lock", "of_opener"),
    [
        (0, "uncalibrated", "untrained"),
        (1, "locked", "online"),
        (2, "unlocking", None),
        (3, "unlocked", "rto active"),
        (4, "locking", None),
        (5, "unlatched", "open"),
        (6, "unlocked (lock 'n' go)", None),
        (7, "unlatching", "opening"),
        (253, "boot run", "boot run"),
        (254, "motor blocked", None),
        (255, "undefined", "undefined"),
    ],
)
def test_words_of_states(
    lock: SimulatedLock, opener: SimulatedOpener, read: Read, state: int, of_lock: str, of_opener: str | None
) -> None:
    lock.turn(state)
    opener.turn(state if of_opener else 1)
    shown = [entry["lastKnownState"] for entry in read("/list")]
    assert (shown[0]["state"], shown[0]["stateName"]) == (state, of_lock)
    assert shown[1]["stateName"] == (of_opener or "online")


@pytest.mark.parametrize(
    ("door", "word"),
    [
        (1, "deactivated"),
        (2, "door closed"),
        (3, "door opened"),
        (4, "door state unknown"),
        (5, "calibrating"),
        (16, "uncalibrated"),
        (240, "removed"),
        (255, "unknown"),
    ],
)
def test_words_of_doors(lock: SimulatedLock, read: Read, door: int, word: str) -> None:
    lock.set_door(door)
    shown = read("/list")[0]["lastKnownState"]
    assert (shown["doorsensorState"], shown["doorsensorStateName"]) == (door, word)


def test_keys_of_the_list(lock: SimulatedLock, opener: SimulatedOpener, read: Read) -> None:
    opener.ring()
    locks, openers = read("/list")
    assert list(locks) == list(openers) == ["deviceType", "nukiId", "name", "firmwareVersion", "lastKnownState"]
    assert list(locks["lastKnownState"]) == [*OF_LOCKS, *OF_DOORS, "timestamp"]
    assert list(openers["lastKnownState"]) == [*OF_ALL, *OF_RINGS, "timestamp"]
    lock.set_battery(keypad_critical=True)
    lock.set_door(None)
    assert list(read("/list")[0]["lastKnownState"]) == [*OF_LOCKS, "keypadBatteryCritical", "timestamp"]


def test_keys_of_a_read(lock: SimulatedLock, read: Read) -> None:
    assert list(read("/lockState", nukiId=lock.nuki_id, deviceType=4)) == [*OF_LOCKS, *OF_DOORS, "success"]


def test_keys_of_callbacks(bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener) -> None:
    """Flat, without a name, a firmware or a time of its own."""
    bridge.callbacks.add("http://192.0.2.1/")
    lock.set_door(3)
    lock.door = None
    lock.turn(3)
    opener.ring()
    with_door, without, ring = (json.loads(owed.body) for owed in bridge.take_callbacks())
    assert list(with_door) == ["deviceType", "nukiId", *OF_LOCKS, *OF_DOORS]
    assert list(ring) == ["deviceType", "nukiId", *OF_ALL, *OF_RINGS]
    assert list(without) == ["deviceType", "nukiId", *OF_LOCKS]
    assert [type(with_door[key]) for key in OF_ALL] == [int, int, str, bool]
    assert with_door["nukiId"] == lock.nuki_id


def test_the_token_comes_after_the_success(bridge: SimulatedBridge) -> None:
    bridge.press_button()
    assert bridge.answer("/auth", {}, NOW).body == b'{"success": true, "token": "sim123"}'


def test_the_same_token_each_time(bridge: SimulatedBridge, read: Read) -> None:
    bridge.press_button()
    first = read("/auth")
    bridge.press_button()
    assert read("/auth") == first


@pytest.mark.parametrize("query", [{}, {"ts": "2023-11-14T22:13:20Z", "rnr": "1"}, {"token": "wrong"}])
def test_without_a_whole_proof_it_is_401(bridge: SimulatedBridge, query: dict[str, str]) -> None:
    assert bridge.answer("/list", query, NOW).status == 401


def test_what_is_not_called_nowait_makes_nobody_hurry(lock: SimulatedLock, ask: Ask) -> None:
    assert ask("/lockAction", nukiId=lock.nuki_id, deviceType=4, action=1).delay_s == 3.5
    assert ask("/lockAction", at=10, nukiId=lock.nuki_id, deviceType=4, action=2, noWait=1).delay_s == 3.5


def test_a_log_shows_100_entries_if_not_told_otherwise(bridge: SimulatedBridge, read: Read) -> None:
    for number in range(120):
        read("/list", at=number)
    shown = read("/log", at=200)
    assert (len(shown), shown[0]["type"]) == (100, "HTTP-Log")
    assert list(shown[1]) == ["timestamp", "type"]
    assert shown[1]["timestamp"] == "2023-11-14T22:15:19+00:00"
    assert bridge.wakeups == 0


def test_info_of_a_device_that_is_not_paired(house: House, lock: SimulatedLock) -> None:
    bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token=TOKEN, paired=())
    info = json.loads(bridge.answer("/info", {"token": TOKEN}, NOW).body)
    assert (info["bridgeType"], info["versions"]) == (
        1,
        {"firmwareVersion": "2.18.0", "wifiFirmwareVersion": "2.1.17"},
    )
    assert info["scanResults"] == [
        {"deviceType": 4, "nukiId": lock.nuki_id, "name": "Nuki_2239A254", "rssi": -60, "paired": False}
    ]


@pytest.mark.parametrize("path", ["/configAuth", "/unpair", "/log", "/clearlog", "/fwupdate", "/reboot"])
def test_what_a_software_bridge_does_not_have(house: House, path: str) -> None:
    bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token=TOKEN, firmware="1.4.6", is_software=True)
    assert bridge.answer(path, {"token": TOKEN}, NOW).status == 400


@pytest.mark.parametrize(
    "path",
    [
        *("/configAuth", "/list", "/lockState", "/lockAction", "/lock", "/unlock", "/info"),
        *("/callback/add", "/callback/list", "/callback/remove", "/log", "/clearlog", "/fwupdate", "/reboot"),
    ],
)
def test_everything_but_auth_needs_a_token(bridge: SimulatedBridge, path: str) -> None:
    assert bridge.answer(path, {}, NOW).status == 401
    assert bridge.answer("/auth", {}, NOW + 1).status == 200


def test_info_of_a_software_bridge(house: House) -> None:
    bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token=TOKEN, firmware="1.4.6", is_software=True)
    assert json.loads(bridge.answer("/info", {"token": TOKEN}, NOW).body) == {
        "bridgeType": 2,
        "currentTime": "2023-11-14T22:13:20Z",
        "ids": {"serverId": 2},
        "scanResults": [],
        "serverConnected": True,
        "uptime": 86_400,
        "versions": {"appVersion": "1.4.6"},
    }


async def test_answers_are_chunked(bridge: SimulatedBridge) -> None:
    async with (
        SimulatedBridgeServer(bridge, time_scale=0.01) as server,
        aiohttp.ClientSession() as session,
        session.get(server.url + "/list", params={"token": TOKEN}) as answer,
    ):
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in answer.headers
