"""The three slots, and what is posted to them when."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener

Ask = Callable[..., SimulatedAnswer]
Read = Callable[..., Any]
URLS = [f"http://192.0.2.{number}:8080/callback" for number in range(4)]


@pytest.fixture
def bridge(bridge: SimulatedBridge) -> SimulatedBridge:
    bridge.callbacks.add(URLS[0])
    return bridge


def _said(bridge: SimulatedBridge, now: float | None = None) -> list[tuple[int, int]]:
    """State and door (or ring) of each callback owed."""
    told = [json.loads(callback.body) for callback in bridge.take_callbacks(now)]
    return [(body["state"], body.get("doorsensorState", body.get("ringactionState"))) for body in told]


def test_slots_are_positions(read: Read) -> None:
    assert read("/callback/add", url=URLS[1]) == {"success": True}
    assert read("/callback/add", url=URLS[1]) == {"success": False, "message": "callback already added"}
    assert read("/callback/add", url=URLS[2]) == {"success": True}
    assert read("/callback/add", url=URLS[3])["message"] == "too many callbacks registered"
    assert read("/callback/remove", id=1) == {"success": True}
    assert read("/callback/remove", id=1)["success"] is False
    assert [slot["id"] for slot in read("/callback/list")["callbacks"]] == [0, 2]
    read("/callback/add", url=URLS[3])
    assert read("/callback/list")["callbacks"][1] == {"id": 1, "url": URLS[3]}


@pytest.mark.parametrize("wrong", [{}, {"url": "https://192.0.2.1/"}, {"url": "http://" + "a" * 248}])
def test_wrong_urls(ask: Ask, wrong: dict[str, object]) -> None:
    assert ask("/callback/add", **wrong).status == 400


def test_a_url_of_254_characters_is_accepted(read: Read) -> None:
    assert read("/callback/add", url="http://" + "a" * 247) == {"success": True}


@pytest.mark.parametrize("wrong", [{}, {"id": 3}, {"id": "a"}])
def test_wrong_ids(ask: Ask, wrong: dict[str, object]) -> None:
    assert ask("/callback/remove", **wrong).status == 400


def test_final_states_only(bridge: SimulatedBridge, house: House, lock: SimulatedLock, read: Read) -> None:
    read("/lockAction", nukiId=lock.nuki_id, deviceType=4, action=3, nowait=1)
    assert _said(bridge, house.now + 5) == []
    assert _said(bridge, house.now + 5) == [(3, 2)]


def test_other_states_on_demand(house: House, lock: SimulatedLock) -> None:
    bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token="t", called_back={1, 2, 3, 4, 5, 6, 7, 254})
    bridge.callbacks.add(URLS[0])
    lock.order(1, bridge.timing)
    assert _said(bridge, house.now + 5) == [(2, 2), (3, 2)]


def test_doors_are_told_in_any_state(bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    lock.turn(6)
    lock.set_door(3)
    assert _said(bridge) == [(6, 3)]


def test_a_ring_is_told_and_its_end_is_not(bridge: SimulatedBridge, house: House, opener: SimulatedOpener) -> None:
    opener.ring()
    assert _said(bridge) == [(1, True)]
    assert _said(bridge, house.now + 40) == []
    assert not opener.is_ringing


def test_equal_states_and_batteries_are_not_told(bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    lock.turn(1)
    lock.set_battery(level=20, critical=True, charging=True, keypad_critical=True)
    assert _said(bridge) == []


def test_continuous_mode_is_told(bridge: SimulatedBridge, opener: SimulatedOpener) -> None:
    opener.set_mode(3)
    assert [json.loads(callback.body)["mode"] for callback in bridge.take_callbacks()] == [3]


def test_one_target_after_the_other(bridge: SimulatedBridge, house: House, lock: SimulatedLock) -> None:
    bridge.callbacks.add(URLS[1])
    lock.turn(3)
    lock.turn(1)
    told = [(round(owed.due_at - house.now, 3), owed.url) for owed in bridge.take_callbacks()]
    assert told == [(0.2, URLS[0]), (0.4, URLS[1]), (0.6, URLS[0]), (0.8, URLS[1])]
    assert bridge.take_callbacks() == []


def test_a_bridge_repeats_itself(bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    lock.turn(3)
    bridge.call_back(lock.nuki_id)
    first, second = bridge.take_callbacks()
    assert first.body == second.body
