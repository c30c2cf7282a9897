"""What a healthy Bridge answers, how long it takes, and what it remembers."""

from collections.abc import Callable
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import Ending, SimulatedAnswer, SimulatedBridge, SimulatedRequest
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener, Timing

Ask = Callable[..., SimulatedAnswer]
Read = Callable[..., Any]


def test_one_request_at_a_time(bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    now, query = bridge.house.now, {"token": bridge.tokens.token}
    reading = bridge.answer("/lockState", query | {"nukiId": str(lock.nuki_id), "deviceType": "4"}, now)
    assert (reading.status, reading.delay_s) == (200, 2.0)
    early = bridge.answer("/list", query, now + 1.9)
    assert (early.status, early.body) == (503, b"HTTP 503 Unavailable")
    assert bridge.answer("/list", query, now + 2.0).status == 200
    bridge.release()
    assert bridge.answer("/list", query, now + 2.0).status == 200


def test_requests_are_listed_without_what_proves_the_token(bridge: SimulatedBridge) -> None:
    now = bridge.house.now
    bridge.answer("/list", {"token": "wrong", "x": "1"}, now)
    bridge.answer("/list", {"ts": "a", "rnr": "b", "hash": "c"}, now)
    bridge.answer("/info", {"ctoken": "a", "nonce": "b"}, now + 1)
    bridge.answer("/auth", {}, now + 2)
    assert bridge.requests == [
        SimulatedRequest(now, "/list", {"x": "1"}, 401, "plain"),
        SimulatedRequest(now, "/list", {}, 503, "hashed"),
        SimulatedRequest(now + 1, "/info", {}, 401, "encrypted"),
        SimulatedRequest(now + 2, "/auth", {}, 200, None),
    ]


def test_a_refused_request_is_listed_as_one_of_which_nothing_came(bridge: SimulatedBridge) -> None:
    now, query = bridge.house.now, {"token": bridge.tokens.token}
    with bridge.faults.refuse_connections():
        bridge.answer("/list", query, now)
    with bridge.faults.reset_connections():
        bridge.answer("/list", query, now)
    bridge.answer("/list", query, now)
    assert [(request.status, request.ending) for request in bridge.requests] == [
        (0, Ending.REFUSED),
        (0, Ending.RESET),
        (200, Ending.ANSWERED),
    ]


def test_a_bridge_far_away_hears_devices_worse(bridge: SimulatedBridge, read: Read) -> None:
    before = [result["rssi"] for result in read("/info")["scanResults"]]
    bridge.rssi_offset_db = -15
    assert [result["rssi"] for result in read("/info")["scanResults"]] == [rssi - 15 for rssi in before]


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/factoryReset", "/lockaction"])
def test_unknown_paths(ask: Ask, path: str) -> None:
    assert ask(path).status == 400


def test_auth_waits_for_the_button(bridge: SimulatedBridge, read: Read, ask: Ask) -> None:
    answer = bridge.answer("/auth", {}, bridge.house.now)
    assert (answer.body, answer.delay_s) == (b'{"success": false}', 30.0)
    bridge.button_pressed = True
    assert read("/auth") == {"success": True, "token": "sim123"}
    assert read("/auth") == {"success": False}
    assert read("/configAuth", enable=0) == {"success": True}
    assert ask("/auth").body == b"HTTP 403 Forbidden"
    assert ask("/configAuth", enable=2).status == 400
    assert ask("/configAuth").status == 400
    read("/configAuth", enable=1)
    assert ask("/auth").status == 200


def test_list_follows_the_device_with_its_own_timestamps(
    bridge: SimulatedBridge, lock: SimulatedLock, read: Read
) -> None:
    bridge.clock_skew_s = 3.0
    bridge.house.advance(bridge.house.now + 60)
    lock.turn(3)
    locks, openers = read("/list", at=90)
    assert (locks["lastKnownState"]["state"], openers["lastKnownState"]["state"]) == (3, 1)
    assert locks["lastKnownState"]["timestamp"] == "2023-11-14T22:14:23+00:00"
    assert openers["lastKnownState"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert (bridge.wakeups, lock.wakeups) == (0, 0)


def test_lock_state_wakes_the_lock(bridge: SimulatedBridge, lock: SimulatedLock, read: Read) -> None:
    state = read("/lockState", at=60, nukiId=lock.nuki_id, deviceType=4)
    assert (state["state"], state["success"]) == (1, True)
    assert (bridge.wakeups, lock.wakeups) == (1, 1)
    assert read("/list", at=90)[0]["lastKnownState"]["timestamp"] == "2023-11-14T22:14:20+00:00"


@pytest.mark.parametrize(("nowait", "delay_s"), [(0, 3.5), (1, 0.5)])
def test_lock_action_moves_the_motor(house: House, lock: SimulatedLock, ask: Ask, nowait: int, delay_s: float) -> None:
    answer = ask("/lockAction", nukiId=lock.nuki_id, deviceType=4, action=1, nowait=nowait)
    assert answer.body == b'{"success": true, "batteryCritical": false}'
    assert answer.delay_s == delay_s
    assert (lock.state, lock.turns) == (1, 1)
    house.advance(house.now + 0.5)
    assert lock.state == 2
    house.advance(house.now + 3.0)
    assert (lock.state, house.next_change_at()) == (3, None)


def test_simple_actions(house: House, lock: SimulatedLock, opener: SimulatedOpener, ask: Ask) -> None:
    assert ask("/unlock", nukiId=lock.nuki_id, deviceType=4).delay_s == 6.5
    assert (lock.turns, lock.unlatches) == (1, 1)
    lock.has_knob = False
    assert ask("/unlock", at=10, nukiId=lock.nuki_id, deviceType=4).delay_s == 3.5
    assert (lock.turns, lock.unlatches) == (2, 1)
    assert ask("/lock", at=20, nukiId=lock.nuki_id, deviceType=4, nowait=1).delay_s == 0.5
    house.advance(house.now + 5)
    assert (lock.state, lock.turns) == (1, 3)
    ask("/unlock", at=30, nukiId=opener.nuki_id, deviceType=2)
    assert opener.unlatches == 1


@pytest.mark.parametrize("path", ["/lockState", "/lockAction", "/lock", "/unlock"])
def test_a_device_is_known_by_id_and_type(lock: SimulatedLock, ask: Ask, path: str) -> None:
    assert ask(path, nukiId=lock.nuki_id, action=1).status == 404
    assert ask(path, nukiId=lock.nuki_id, deviceType=2, action=1).status == 404
    assert ask(path, nukiId=1, deviceType=4, action=1).body == b"HTTP 404 Not Found"
    assert ask(path, deviceType=4, action=1).status == 400
    assert ask(path, nukiId="2239A254", deviceType=4, action=1).status == 400
    assert lock.turns == 0


@pytest.mark.parametrize("wrong", [{}, {"action": 0}, {"action": 6}, {"action": 1, "nowait": "true"}])
def test_wrong_actions(lock: SimulatedLock, ask: Ask, wrong: dict[str, object]) -> None:
    assert ask("/lockAction", nukiId=lock.nuki_id, deviceType=4, **wrong).status == 400
    assert lock.turns == 0


def test_info(bridge: SimulatedBridge, read: Read) -> None:
    info = read("/info", at=60)
    assert info["ids"] == {"hardwareId": 548263954, "serverId": 448942400}
    assert (info["uptime"], info["currentTime"]) == (86_460, "2023-11-14T22:14:20+00:00")
    assert [result["name"] for result in info["scanResults"]] == ["Nuki_2239A254", "Nuki_Opener_20406027"]
    bridge.clock_skew_s = -60.0
    assert read("/info", at=60)["currentTime"] == "2023-11-14T22:13:20+00:00"


def test_a_device_of_another_bridge_is_only_scanned(house: House, lock: SimulatedLock) -> None:
    other = SimulatedBridge(house, hardware_id=2, server_id=3, token="t", paired={1})
    assert other.answer("/list", {"token": "t"}, house.now).body == b"[]"
    info = other.answer("/info", {"token": "t"}, house.now + 1)
    assert b'"paired": false' in info.body
    query = {"token": "t", "nukiId": str(lock.nuki_id), "deviceType": "4"}
    assert other.answer("/lockState", query, house.now + 2).status == 404
    with pytest.raises(KeyError, match="2239A254"):
        other.device(lock.nuki_id)


def test_log(lock: SimulatedLock, read: Read, ask: Ask) -> None:
    read("/list")
    read("/lockState", at=10, nukiId=lock.nuki_id, deviceType=4)
    log = read("/log", at=20)
    assert [entry["type"] for entry in log] == ["HTTP-Log", "HTTP-LockState", "HTTP-List"]
    assert log[1]["nukiId"] == "2239A254"
    assert [entry["type"] for entry in read("/log", at=30, offset=1, count=1)] == ["HTTP-Log"]
    assert ask("/clearlog", at=40).body == b""
    assert len(read("/log", at=50)) == 1


def test_maintenance_answers_are_empty(ask: Ask) -> None:
    assert ask("/fwupdate") == SimulatedAnswer(200, b"", Timing().answer_s)
    assert ask("/reboot", at=10) == SimulatedAnswer(200, b"", Timing().answer_s)


def test_a_reboot_takes_a_while(bridge: SimulatedBridge, lock: SimulatedLock, ask: Ask, read: Read) -> None:
    read("/callback/add", url="http://192.0.2.1/a")
    ask("/reboot", at=10)
    assert ask("/list", at=54).ending == "refused"
    lock.turn(3)
    assert bridge.take_callbacks() == []
    assert read("/info", at=65)["uptime"] == 10
    assert read("/list", at=70)[0]["lastKnownState"]["state"] == 3
    assert [callback.url for callback in bridge.take_callbacks()] == ["http://192.0.2.1/a"]
