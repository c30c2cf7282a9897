"""Each fault begins, shows, and ends."""

import json
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import Ending, SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.faults import Fault, Faults
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener

Ask = Callable[..., SimulatedAnswer]
Read = Callable[..., Any]
URL = "http://192.0.2.10:8080/callback"


@pytest.fixture
def faults(bridge: SimulatedBridge) -> Faults:
    bridge.callbacks.add(URL)
    return bridge.faults


def _known(read: Read, index: int = 0) -> dict[str, Any]:
    entry = read("/list")[index]
    return dict(entry.get("lastKnownState", {}))


def test_by_hand_and_nested(faults: Faults, ask: Ask) -> None:
    fault = faults.busy().begin()
    with faults.busy():
        assert ask("/list").status == 503
    assert ask("/list").status == 503
    with pytest.raises(RuntimeError, match="busy has begun already"):
        fault.begin()
    fault.end()
    fault.end()
    assert ask("/list").status == 200
    assert fault.begin().is_active


def test_silent_callbacks(bridge: SimulatedBridge, faults: Faults, lock: SimulatedLock, read: Read) -> None:
    with faults.silent_callbacks():
        lock.turn(3)
    assert bridge.take_callbacks() == []
    assert _known(read)["state"] == 3
    lock.turn(1)
    assert len(bridge.take_callbacks()) == 1


def test_refuse_token(faults: Faults, ask: Ask) -> None:
    with faults.refuse_token():
        assert ask("/list").body == b"HTTP 401 Unauthorized"
        assert ask("/auth").status == 200
    assert ask("/list").status == 200


def _broken(faults: Faults) -> dict[str, Callable[..., Fault]]:
    return {"busy": faults.busy, "silent": faults.silent, "reset": faults.reset_connections}


@pytest.mark.parametrize("name", ["busy", "silent", "reset"])
@pytest.mark.parametrize(("acts", "turns"), [(False, 0), (True, 1)])
def test_no_usable_answer_with_and_without_the_motor(
    faults: Faults, lock: SimulatedLock, ask: Ask, name: str, turns: int, *, acts: bool
) -> None:
    with _broken(faults)[name]("/lockAction", acts=acts):
        assert ask("/list").status == 200
        answer = ask("/lockAction", nukiId=lock.nuki_id, deviceType=4, action=1)
        assert answer.status == (503 if name == "busy" else 0)
        assert lock.turns == turns
    assert ask("/lockAction", nukiId=lock.nuki_id, deviceType=4, action=1).status == 200


def test_silent_and_reset_say_how_they_end(faults: Faults, ask: Ask) -> None:
    with faults.silent():
        answer = ask("/list")
    assert (answer.no_answer, answer.delay_s) == (True, inf)
    with faults.reset_connections():
        assert ask("/list").ending is Ending.RESET
    assert ask("/list").ending is Ending.ANSWERED


def test_refuse_connections(bridge: SimulatedBridge, faults: Faults, ask: Ask) -> None:
    with faults.refuse_connections():
        answer = ask("/list")
    assert (answer.ending, answer.no_answer) == (Ending.REFUSED, False)
    assert [request.status for request in bridge.requests] == [0]
    assert ask("/list").status == 200


def test_garbage(bridge: SimulatedBridge, faults: Faults, lock: SimulatedLock, ask: Ask) -> None:
    with faults.garbage("/lockAction", b"<html>"):
        answer = ask("/lockAction", nukiId=lock.nuki_id, deviceType=4, action=1)
        assert (answer.status, answer.body, lock.turns) == (200, b"<html>", 1)
        assert json.loads(ask("/list").body)
        bridge.release()
        assert bridge.answer("/lockAction", {"token": "wrong"}, bridge.house.now).status == 401
    with faults.garbage("/list", b"gone", 410):
        assert ask("/list").status == 410
    assert ask("/list").status == 200


def test_frozen_cache(bridge: SimulatedBridge, faults: Faults, lock: SimulatedLock, read: Read) -> None:
    before = _known(read)
    with faults.frozen_cache(lock.nuki_id):
        bridge.house.advance(bridge.house.now + 2700)
        lock.set_door(3)
        assert len(bridge.take_callbacks()) == 1
        state = read("/lockState", at=2700, nukiId=lock.nuki_id, deviceType=4)
        assert state["doorsensorState"] == 3
        assert read("/list", at=2710)[0]["lastKnownState"] == before
    assert read("/list", at=2720)[0]["lastKnownState"]["doorsensorState"] == 3
    assert bridge.take_callbacks() == []


def test_no_last_known_state(faults: Faults, lock: SimulatedLock, read: Read) -> None:
    with faults.no_last_known_state(lock.nuki_id):
        assert (_known(read), _known(read, 1)["state"]) == ({}, 1)
        assert "firmwareVersion" not in read("/list")[0]
    with faults.no_last_known_state():
        assert (_known(read), _known(read, 1)) == ({}, {})
    assert _known(read)["state"] == 1


def test_unreachable(bridge: SimulatedBridge, faults: Faults, lock: SimulatedLock, read: Read) -> None:
    where = {"nukiId": lock.nuki_id, "deviceType": 4}
    with faults.unreachable(lock.nuki_id):
        assert read("/lockState", **where) == {"success": False}
        assert read("/lockAction", action=1, **where) == {"success": False, "batteryCritical": False}
        assert (lock.turns, lock.wakeups) == (0, 0)
        assert [found["deviceType"] for found in read("/info")["scanResults"]] == [2]
        lock.turn(3)
        assert _known(read)["state"] == 1
        assert bridge.take_callbacks() == []
    assert _known(read)["state"] == 3
    assert len(bridge.take_callbacks()) == 1
    assert len(read("/info")["scanResults"]) == 2


def test_missing_from_scan(faults: Faults, opener: SimulatedOpener, read: Read) -> None:
    with faults.missing_from_scan(opener.nuki_id):
        assert [found["deviceType"] for found in read("/info")["scanResults"]] == [4]
        assert read("/lockState", nukiId=opener.nuki_id, deviceType=2)["success"]
    assert len(read("/info")["scanResults"]) == 2


def test_stuck_state_ends_by_a_read(bridge: SimulatedBridge, faults: Faults, lock: SimulatedLock, read: Read) -> None:
    fault = faults.stuck_state(lock.nuki_id, 4)
    with fault:
        lock.turn(3)
        assert len(bridge.take_callbacks()) == 1
        assert (_known(read)["state"], _known(read)["stateName"]) == (4, "locking")
        read("/lockState", nukiId=lock.nuki_id, deviceType=4)
        assert not fault.is_active
        assert _known(read)["state"] == 3
    with fault:
        assert _known(read)["state"] == 4
    assert _known(read)["state"] == 3


def test_lost_orders(house: House, faults: Faults, lock: SimulatedLock, read: Read) -> None:
    with faults.lost_orders(lock.nuki_id):
        assert read("/lockAction", nukiId=lock.nuki_id, deviceType=4, action=1)["success"]
    assert (lock.turns, house.next_change_at()) == (0, None)


def test_reboot(bridge: SimulatedBridge, faults: Faults, lock: SimulatedLock, read: Read) -> None:
    with faults.reboot():
        assert read("/info")["uptime"] == 0
        assert _known(read)["state"] == 1
        assert len(read("/callback/list")["callbacks"]) == 1
    with faults.reboot(lose_states=True, lose_callbacks=True):
        assert (_known(read), _known(read, 1)) == ({}, {})
        assert read("/callback/list") == {"callbacks": []}
        lock.turn(3)
        assert (_known(read)["state"], _known(read, 1)) == (3, {})
    assert _known(read, 1)["state"] == 1
    assert read("/info", at=60)["uptime"] == 60
    assert bridge.take_callbacks() == []


def test_slots_taken(faults: Faults, read: Read) -> None:
    with faults.slots_taken(2):
        assert [slot["id"] for slot in read("/callback/list")["callbacks"]] == [0, 1, 2]
        assert read("/callback/add", url="http://192.0.2.9/")["success"] is False
    assert read("/callback/list")["callbacks"] == [{"id": 0, "url": URL}]
    with faults.slots_taken(3):
        assert URL not in [slot["url"] for slot in read("/callback/list")["callbacks"]]
    assert read("/callback/list") == {"callbacks": []}


def test_clock_skew(faults: Faults, lock: SimulatedLock, read: Read) -> None:
    with faults.clock_skew(3600):
        assert read("/info")["currentTime"] == "2023-11-14T23:13:20+00:00"
        lock.turn(3)
        assert _known(read)["timestamp"] == "2023-11-14T23:13:20+00:00"
    assert read("/info")["currentTime"] == "2023-11-14T22:13:20+00:00"
