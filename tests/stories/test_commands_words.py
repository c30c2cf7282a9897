"""Which words, numbers and topics give which order on the wire (docs/topics.md, "Commands")."""

from collections.abc import Mapping
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from tests.stories.conftest import LOCK_ID, OPENER_ID
from tests.stories.world import DONE, World

LOCK_WORDS: list[tuple[str | int | Mapping[str, Any], str, str]] = [
    ("unlock", "unlock", "1"),
    ("UNLOCK", "unlock", "1"),
    ("Unlock", "unlock", "1"),
    ("lock", "lock", "2"),
    ("LOCK", "lock", "2"),
    ("unlatch", "unlatch", "3"),
    ("UnLatch", "unlatch", "3"),
    ("open", "unlatch", "3"),
    ("OPEN", "unlatch", "3"),
    ("lock_n_go", "lock_n_go", "4"),
    ("lock-n-go", "lock_n_go", "4"),
    ("lockNgo", "lock_n_go", "4"),
    ("LOCK_N_GO", "lock_n_go", "4"),
    ("lock n go", "lock_n_go", "4"),
    ("lock_n_go_unlatch", "lock_n_go_unlatch", "5"),
    ("lockNGoUnlatch", "lock_n_go_unlatch", "5"),
    (1, "unlock", "1"),
    (2, "lock", "2"),
    (3, "unlatch", "3"),
    (4, "lock_n_go", "4"),
    (5, "lock_n_go_unlatch", "5"),
    ({"action": "unlock"}, "unlock", "1"),
    ({"action": "Lock-N-Go"}, "lock_n_go", "4"),
    ({"action": 3}, "unlatch", "3"),
    ({"action": 1}, "unlock", "1"),
    ({"state": "LOCK"}, "lock", "2"),
    ({"state": "UNLOCK"}, "unlock", "1"),
    ({"state": "OPEN"}, "unlatch", "3"),
    ({"action": "unlock", "somebody_s_key": [1, {"x": None}]}, "unlock", "1"),
]
OPENER_WORDS: list[tuple[str | int | Mapping[str, Any], str, str]] = [
    ("activate_rto", "activate_rto", "1"),
    ("ACTIVATE-RTO", "activate_rto", "1"),
    ("activateRTO", "activate_rto", "1"),
    ("unlock", "activate_rto", "1"),
    ("deactivate_rto", "deactivate_rto", "2"),
    ("deactivateRto", "deactivate_rto", "2"),
    ("lock", "deactivate_rto", "2"),
    ("electric_strike", "electric_strike", "3"),
    ("ElectricStrike", "electric_strike", "3"),
    ("open", "electric_strike", "3"),
    ("activate_cm", "activate_cm", "4"),
    ("activateCM", "activate_cm", "4"),
    ("deactivate_cm", "deactivate_cm", "5"),
    (1, "activate_rto", "1"),
    (2, "deactivate_rto", "2"),
    (3, "electric_strike", "3"),
    (4, "activate_cm", "4"),
    (5, "deactivate_cm", "5"),
    ({"action": 3}, "electric_strike", "3"),
    ({"state": "LOCK"}, "deactivate_rto", "2"),
    ({"state": "OPEN"}, "electric_strike", "3"),
]


@pytest.mark.parametrize(("order", "action", "code"), LOCK_WORDS)
def test_every_spelling_reaches_a_lock_as_its_explicit_action(
    world: World,
    bridge: SimulatedBridge,
    lock: SimulatedLock,
    order: str | int | Mapping[str, Any],
    action: str,
    code: str,
) -> None:
    world.start_ready()
    world.command("front_door", order)
    world.run(1)
    assert world.results("front_door")[0]["action"] == action
    assert world.life("front_door")[0] == ("accepted", None)
    (request,) = world.actions(bridge)
    assert request.query == {"nukiId": str(LOCK_ID), "deviceType": "4", "action": code, "nowait": "1"}
    world.run(90)
    assert world.end("front_door")["status"] == "confirmed"
    assert world.end("front_door")["action"] == action
    assert (lock.turns, lock.unlatches) == (1, 1 if code in "35" else 0)
    assert len(world.actions()) == 1


@pytest.mark.parametrize(("order", "action", "code"), OPENER_WORDS)
def test_every_spelling_reaches_an_opener_as_its_explicit_action(
    world: World,
    bridge: SimulatedBridge,
    opener: SimulatedOpener,
    order: str | int | Mapping[str, Any],
    action: str,
    code: str,
) -> None:
    world.start_ready()
    world.command("intercom", order)
    world.run(90)
    assert world.life("intercom")[0] == ("accepted", None)
    assert world.end("intercom")["action"] == action
    assert world.end("intercom")["status"] == "confirmed"
    (request,) = world.actions(bridge)
    assert request.query == {"nukiId": str(OPENER_ID), "deviceType": "2", "action": code, "nowait": "1"}
    assert (opener.turns, opener.unlatches) == (1, 1 if code == "3" else 0)


@pytest.mark.parametrize("device_type", [0, 3, 4])
def test_the_device_type_is_always_sent(world: World, device_type: int) -> None:
    lock = world.house.add(SimulatedLock(nuki_id=LOCK_ID, device_type=device_type, name="Front door"))
    world.add_bridge()
    world.start_ready()
    world.command("front_door", "unlock")
    world.run(10)
    assert [request.query["deviceType"] for request in world.actions()] == [str(device_type)]
    assert world.life("front_door") == DONE
    assert (lock.turns, lock.unlatches) == (1, 0)


def test_unlock_at_a_lock_with_a_knob_never_unlatches(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    assert lock.has_knob
    world.start_ready()
    world.command("front_door", "unlock")
    world.run(10)
    assert (lock.turns, lock.unlatches) == (1, 0)
    assert [request.path for request in world.actions(bridge)] == ["/lockAction"]


def test_commands_wait_makes_the_bridge_wait_for_the_motor(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.start_ready("commands: {wait: true}\n")
    world.command("front_door", "unlock")
    world.run(10)
    assert [request.query["nowait"] for request in world.actions(bridge)] == ["0"]
    assert world.end("front_door")["status"] == "confirmed"
    assert lock.turns == 1


def test_commands_by_id_are_answered_on_the_device_s_topic(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    world.start_ready()
    world.command("1A2B3C4D", {"action": "unlock", "transaction": "a1"})
    world.command("2A2B3C4E", {"action": "open", "transaction": "a2"})
    world.run(60)
    assert world.life("front_door", "a1") == DONE
    assert world.life("intercom", "a2") == DONE
    assert not world.results("1A2B3C4D")
    assert not world.results("2A2B3C4E")
    assert [(request.query["nukiId"], request.query["action"]) for request in world.actions(bridge)] == [
        (str(LOCK_ID), "1"),
        (str(OPENER_ID), "3"),
    ]
    assert (lock.turns, opener.turns) == (1, 1)


@pytest.mark.parametrize("word", ["fly", "6", "0", "-1", "90", "activate_rto", "toggle", "factory_reset"])
def test_an_unknown_action_is_refused(world: World, bridge: SimulatedBridge, lock: SimulatedLock, word: str) -> None:
    world.start_ready()
    world.command("front_door", {"action": word, "transaction": 7})
    world.command("front_door", word)
    world.run(60)
    assert world.life("front_door") == [("refused", "unknown_action")] * 2
    assert [reason for _, reason in world.failures("front_door")] == ["unknown_action"] * 2
    assert not world.results("front_door")[0]["may_have_acted"]
    assert not world.actions(bridge)
    assert lock.turns == 0


@pytest.mark.parametrize("word", ["unlatch", "lock_n_go", "lock_n_go_unlatch"])
def test_an_action_of_a_lock_is_unknown_to_an_opener(
    world: World, bridge: SimulatedBridge, opener: SimulatedOpener, word: str
) -> None:
    world.start_ready()
    world.command("intercom", word)
    world.run(30)
    assert world.life("intercom") == [("refused", "unknown_action")]
    assert not world.actions(bridge)
    assert opener.turns == 0


@pytest.mark.parametrize("name", ["garage", "DEADBEEF", "nuki_1a2b3c4d"])
def test_an_unknown_device_is_refused_where_it_was_asked_for(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, name: str
) -> None:
    world.start_ready()
    world.command(name, {"action": "unlock", "transaction": "who"})
    world.run(30)
    end = world.end(name, "who")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("refused", "unknown_device", False)
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_an_ignored_device_takes_no_commands(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready("devices:\n  1A2B3C4D: {ignore: true}\n")
    world.command("1A2B3C4D", "unlock")
    world.command("front_door", "unlock")
    world.run(30)
    assert world.life("1A2B3C4D") == [("refused", "unknown_device")]
    assert world.life("front_door") == [("refused", "unknown_device")]
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_what_is_not_permitted_anywhere_is_refused(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    world.start_ready("commands: {permit: [lock, unlock, deactivate_rto]}\n")
    for order in ("unlatch", "open", 3, {"action": "lock_n_go"}):
        world.command("front_door", order)
    world.command("intercom", "open")
    world.run(30)
    assert world.life("front_door") == [("refused", "not_permitted")] * 4
    assert world.life("intercom") == [("refused", "not_permitted")]
    assert world.failures("front_door")[0] == ("unlatch", "not_permitted")
    assert not world.actions(bridge)
    world.command("front_door", "unlock")
    world.run(30)
    assert world.life("front_door")[-2:] == DONE
    assert (lock.turns, lock.unlatches, opener.turns) == (1, 0, 0)
    permitted = {device["id"]: device["permitted"] for device in world.retained("nuki2mqtt/gateway/devices")}
    assert {name: set(actions) for name, actions in permitted.items()} == {
        "1A2B3C4D": {"lock", "unlock"},
        "2A2B3C4E": {"deactivate_rto"},
    }


def test_a_device_s_own_permission_goes_before_the_common_one(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, opener: SimulatedOpener
) -> None:
    extra = "commands: {permit: []}\ndevices:\n  1A2B3C4D: {permit: [lock]}\n  2A2B3C4E: {permit: all}\n"
    world.start_ready(extra)
    world.command("front_door", "unlock")
    world.command("intercom", "electric_strike")
    world.run(60)
    assert world.life("front_door") == [("refused", "not_permitted")]
    assert world.life("intercom") == DONE
    world.command("front_door", "lock")
    world.run(60)
    assert world.life("front_door")[1:] == DONE
    assert [request.query["action"] for request in world.actions(bridge)] == ["3", "2"]
    assert (lock.turns, lock.unlatches, opener.unlatches) == (1, 0, 1)


def test_the_first_reason_of_the_list_is_given(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready("commands: {permit: [lock]}\n")
    world.command("garage", {"action": "fly", "ts": world.ts(3600), "transaction": 1})
    world.command("front_door", {"action": "fly", "ts": world.ts(3600), "transaction": 2})
    world.command("front_door", {"action": "unlock", "ts": world.ts(3600), "transaction": 3})
    world.command("garage", {"action": "unlock", "state": "LOCK", "transaction": 4})
    world.run(10)
    assert world.life("garage", 1) == [("refused", "unknown_device")]
    assert world.life("front_door", 2) == [("refused", "unknown_action")]
    assert world.life("front_door", 3) == [("refused", "not_permitted")]
    assert world.life("garage", 4) == [("refused", "bad_payload")]
    assert not world.actions(bridge)
    assert lock.turns == 0


def test_a_result_has_all_its_keys(world: World, bridge: SimulatedBridge) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlock", "transaction": {"any": ["value", 1]}, "ts": world.ts(0.5)})
    world.run(10)
    accepted, confirmed = world.results("front_door", since=0)
    keys = {"transaction", "action", "status", "reason", "evidence", "may_have_acted", "state", "duration_s", "age_s"}
    assert accepted.keys() == confirmed.keys() == keys
    assert accepted["transaction"] == confirmed["transaction"] == {"any": ["value", 1]}
    assert accepted["age_s"] == pytest.approx(0.5, abs=0.1)
    assert confirmed["state"] in {"unlocking", "unlocked"}
    assert 0.5 < confirmed["duration_s"] < 8
    assert confirmed["evidence"] in {"transition", "target"}
    assert world.actions(bridge)
