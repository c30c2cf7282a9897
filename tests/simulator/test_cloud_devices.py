"""Devices in the cloud: their bodies, what they are told to do, and what becomes of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from nuki2mqtt.simulator import visitors
from nuki2mqtt.simulator.bridge import Ending
from nuki2mqtt.simulator.catalogue import Model, make_device
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.keypad import OLD_CAPACITY
from nuki2mqtt.simulator.web import CloudTiming, Conduct, SimulatedCloud
from nuki2mqtt.simulator.web_faults import Write
from nuki2mqtt.simulator.web_routes import CALLS, SCOPES
from tests.simulator.cloud_site import AUTHORIZED, NOW, TOKEN, CloudSite, make_site
from tests.simulator.conftest import Recorded

NOT_AUTHORIZED = "Your access token is not authorized"


@pytest.fixture
def site() -> CloudSite:
    return make_site()


def shape(value: Any) -> Any:
    """Keys in order and types, all the way down."""
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items()}
        case list():
            return [shape(item) for item in value[:1]]
        case bool() | str():
            return type(value).__name__
        case _:
            return "number"


# --- What is shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["web/01-smartlock-type4-lock3pro.json", "web/02-smartlock-list-one-type4.json"])
def test_a_lock_has_the_keys_of_a_recorded_one(site: CloudSite, recorded: Recorded, name: str) -> None:
    real = json.loads(recorded(name))
    real = real[0] if isinstance(real, list) else real
    ours = site.get(site.path)
    assert shape(ours) == shape(real)
    assert list(ours) == list(real)
    for part in ("config", "advancedConfig", "state"):
        assert list(ours[part]) == list(real[part])


def test_an_opener_has_the_keys_of_a_recorded_one(site: CloudSite, recorded: Recorded) -> None:
    [real] = json.loads(recorded("web/04-smartlock-type2-opener-2022.json"))
    ours = site.get(site.path_of(site.opener))
    assert shape(ours) == shape(real)
    assert list(ours) == list(real)


def test_a_state_with_a_door_sensor(site: CloudSite, recorded: Recorded) -> None:
    real = json.loads(recorded("web/06-smartlock-state-with-doorsensor-battery.json"))
    assert list(site.get(site.path)["state"]) == list(real)
    assert shape(site.get(site.path)["state"]) == shape(real)


def test_ids_are_types_above_nuki_ids(site: CloudSite) -> None:
    """The examples of the reference, section 5: gen 3/4, Opener, gen 5; type 0 adds nothing."""
    listed = site.get("/smartlock")
    assert [(one["smartlockId"], one["type"]) for one in listed] == [
        (18233733061, 4),
        (9095667026, 2),
        (21913877581, 5),
    ]
    old = site.house.add(SimulatedLock(nuki_id=0x0A1B2C3D, device_type=0, firmware="2.15.2"))
    assert site.cloud.add(old).smartlock_id == 0x0A1B2C3D


@pytest.mark.parametrize(
    ("model", "number", "configs"),
    [
        (Model.SMART_LOCK_2, 0, {"config", "advancedConfig"}),
        (Model.BOX, 1, {"config"}),
        (Model.OPENER, 2, {"config", "openerAdvancedConfig", "webConfig"}),
        (Model.SMART_DOOR, 3, {"config", "smartdoorAdvancedConfig"}),
        (Model.SMART_LOCK_4, 4, {"config", "advancedConfig"}),
        (Model.SMART_LOCK_5, 5, {"config", "advancedConfig"}),
    ],
)
def test_types(site: CloudSite, model: Model, number: int, configs: set[str]) -> None:
    device = site.house.add(make_device(model, 0x0000_0ABC, "New"))
    known = site.cloud.add(device)
    shown = site.get(f"/smartlock/{known.smartlock_id}")
    assert (shown["type"], shown["name"], shown["smartlockId"] & 0xFFFFFFFF) == (number, "New", 0xABC)
    assert {key for key in shown if key.lower().endswith("config")} == configs
    assert [one["smartlockId"] for one in site.get("/smartlock", type=number)][-1] == known.smartlock_id


def test_firmware_is_packed() -> None:
    house = House(now=NOW)
    cloud = SimulatedCloud(house)
    cloud.tokens[TOKEN] = frozenset(SCOPES)
    cloud.add(house.add(SimulatedLock(nuki_id=1, firmware="3.10.7")))
    answer = cloud.answer("GET", "/smartlock", {}, AUTHORIZED, b"", NOW)
    assert json.loads(answer.body)[0]["firmwareVersion"] == 199175


def test_a_bridge_lists_only_what_is_paired_with_it(site: CloudSite) -> None:
    listed = json.loads(site.bridge.answer("/list", {"token": "sim123"}, site.house.now).body)
    assert [one["nukiId"] for one in listed] == [site.door.nuki_id, site.opener.nuki_id]
    assert len(site.get("/smartlock")) == 3


def test_the_copy_follows_the_lock_a_little_later(site: CloudSite) -> None:
    before = site.get(site.path)
    site.door.turn(3)
    assert site.get(site.path) == before
    site.wait(1)
    after = site.get(site.path)
    assert (after["state"]["state"], after["state"]["trigger"], after["state"]["lastAction"]) == (3, 1, 1)
    assert after["updateDate"] > before["updateDate"]


def test_a_door_and_a_battery(site: CloudSite) -> None:
    site.door.set_door(3)
    site.door.set_battery(level=12, critical=True, keypad_critical=True)
    site.wait(1)
    state = site.get(site.path)["state"]
    assert [state[key] for key in ("doorState", "batteryCharge", "batteryCritical", "keypadBatteryCritical")] == [
        3,
        12,
        True,
        True,
    ]
    site.door.set_door(None)
    site.wait(1)
    assert site.get(site.path)["state"]["doorState"] == 0


def test_ring_to_open_has_an_end(site: CloudSite) -> None:
    site.opener.turn(3)
    site.wait(61)
    state = site.get(site.path_of(site.opener))["state"]
    assert (state["state"], state["ringToOpenTimer"], state["ringToOpenEnd"]) == (3, 1139, "2023-11-14T22:33:20.000Z")
    site.opener.turn(1)
    site.wait(1)
    state = site.get(site.path_of(site.opener))["state"]
    assert (state["ringToOpenTimer"], "ringToOpenEnd" in state) == (0, False)


def test_what_an_order_through_the_bridge_does_shows_in_the_cloud(site: CloudSite) -> None:
    query = {"token": "sim123", "nukiId": str(site.door.nuki_id), "deviceType": "4", "action": "1"}
    assert site.bridge.answer("/lockAction", query, site.house.now).status == 200
    site.wait(5)
    assert site.get(site.path)["state"]["state"] == 3


# --- What is done -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "after_s", "state"), [(1, 5, 3), (2, 5, 1), (3, 5, 5), (3, 10, 3), (4, 5, 6), (5, 40, 1)]
)
def test_an_action_is_promised_and_done(site: CloudSite, action: int, after_s: float, state: int) -> None:
    site.done("POST", f"{site.path}/action", {"action": action})
    assert site.door.turns == 0
    site.wait(after_s)
    assert (site.door.turns, site.door.state) == (1, state)


@pytest.mark.parametrize(("action", "state", "mode"), [(1, 3, 2), (2, 1, 2), (3, 5, 2), (6, 1, 3), (7, 1, 2)])
def test_an_openers_actions_have_the_clouds_numbers(site: CloudSite, action: int, state: int, mode: int) -> None:
    site.done("POST", f"{site.path_of(site.opener)}/action", {"action": action})
    site.wait(3)
    assert (site.opener.state, site.opener.mode) == (state, mode)
    site.wait(1)
    assert site.get(site.path_of(site.opener))["state"]["mode"] == mode


@pytest.mark.parametrize(("word", "state"), [("lock", 1), ("unlock", 3)])
def test_lock_and_unlock_without_a_body(site: CloudSite, word: str, state: int) -> None:
    site.door.turn(3 if word == "lock" else 1)
    site.done("POST", f"{site.path}/action/{word}")
    site.wait(5)
    assert (site.door.state, site.door.unlatches) == (state, 0)
    assert site.refused("POST", f"{site.path_of(site.opener)}/action/{word}") == (405, None)


@pytest.mark.parametrize("path", ["action/advanced", "action/lock/advanced", "action/unlock/advanced"])
def test_advanced_calls_give_an_id(site: CloudSite, path: str) -> None:
    answer = site.ask("POST", f"{site.path}/{path}", {"action": 2} if path.startswith("action/adv") else None)
    assert (answer.status, list(json.loads(answer.body))) == (200, ["requestId"])
    site.wait(5)
    assert site.door.turns == 1


@pytest.mark.parametrize("action", [0, 4, 5, 8, -1, "1", True, None, 1.5])
def test_what_an_opener_does_not_do(site: CloudSite, action: object) -> None:
    shown = {None: "null", True: "true"}.get(action, action) if action is None or action is True else action
    assert site.refused("POST", f"{site.path_of(site.opener)}/action", {"action": action}) == (
        400,
        f"The supplied value '{shown}' for parameter 'action' is not valid",
    )


@pytest.mark.parametrize("action", [6, 7])
def test_a_lock_has_no_continuous_mode(site: CloudSite, action: int) -> None:
    assert site.refused("POST", f"{site.path}/action", {"action": action})[0] == 400


def test_a_lock_for_the_us_market_does_not_unlatch() -> None:
    site = make_site()
    lock = site.house.add(SimulatedLock(nuki_id=7, has_knob=False))
    path = f"/smartlock/{site.cloud.add(lock, has_unlatch=False).smartlock_id}/action"
    for action in (3, 5):
        assert site.refused("POST", path, {"action": action}) == (
            400,
            f"The supplied value '{action}' for parameter 'action' is not valid",
        )
    site.done("POST", path, {"action": 1})
    site.wait(5)
    assert (lock.state, lock.unlatches) == (3, 0)


def test_options(site: CloudSite) -> None:
    for option in (0, 2, 4):
        site.done("POST", f"{site.path}/action", {"action": 2, "option": option})
        site.wait(10)
    assert site.refused("POST", f"{site.path}/action", {"action": 2, "option": 8})[1] == (
        "The supplied value '8' for parameter 'option' is not valid"
    )


def test_a_device_that_is_not_there(site: CloudSite) -> None:
    for number in ("17", str(site.door.nuki_id), "x"):
        assert site.refused("POST", f"/smartlock/{number}/action", {"action": 2}) == (404, None)
        assert site.refused("GET", f"/smartlock/{number}") == (404, None)
        assert site.refused("GET", f"/smartlock/{number}/auth") == (403, None)


def test_an_operation_holds_the_device(site: CloudSite) -> None:
    assert "operationId" not in site.get(site.path)
    site.done("POST", f"{site.path}/action", {"action": 1})
    assert len(site.get(site.path)["operationId"]) == 24
    assert site.refused("POST", f"{site.path}/action", {"action": 2}) == (423, None)
    site.wait(1)
    assert "operationId" not in site.get(site.path)
    site.done("POST", f"{site.path}/action", {"action": 2})


@pytest.mark.parametrize("keeps", [True, False])
def test_a_device_that_is_offline(*, keeps: bool) -> None:
    """What is written to it happens when it is back, maybe hours late, or never: the reference knows both."""
    site = make_site(Conduct(keeps_offline_writes=keeps))
    with site.cloud.faults.offline(site.door.nuki_id):
        site.door.turn(3)
        site.done("POST", f"{site.path}/action", {"action": 2})
        site.wait(3600)
        shown = site.get(site.path)
        assert (shown["serverState"], shown["state"]["state"], site.door.turns) == (4, 1, 0)
        assert ("operationId" in shown) is keeps
    shown = site.get(site.path)
    assert (shown["serverState"], shown["state"]["state"]) == (0, 3)
    site.wait(10)
    assert (site.door.turns, site.door.state) == ((1, 1) if keeps else (0, 3))


def test_a_lost_and_a_late_action(site: CloudSite) -> None:
    with site.cloud.faults.lost_writes(kind=Write.ACTION) as lost:
        site.done("POST", f"{site.path}/action", {"action": 1})
    site.wait(60)
    assert (site.door.turns, lost.hits) == (0, 1)
    with site.cloud.faults.slow_writes(300.0, kind=Write.ACTION):
        site.done("POST", f"{site.path}/action", {"action": 1})
    site.wait(299)
    assert site.door.turns == 0
    site.wait(1)
    assert site.door.turns == 1


def test_a_frozen_copy(site: CloudSite) -> None:
    with site.cloud.faults.frozen_copy(site.door.nuki_id):
        site.door.turn(3)
        site.wait(60)
        assert site.get(site.path)["state"]["state"] == 1
    assert site.get(site.path)["state"]["state"] == 3


def test_a_sync_costs_the_battery_and_is_counted(site: CloudSite) -> None:
    site.done("POST", f"{site.path}/sync")
    assert site.front.forced_syncs == 0
    site.wait(6)
    assert (site.front.forced_syncs, site.front.daily_syncs) == (1, 0)
    site.wait(86_400)
    assert (site.front.forced_syncs, site.front.daily_syncs) == (1, 1)


def test_no_daily_sync_reaches_a_device_that_is_offline(site: CloudSite) -> None:
    site.front.auths.add_by_app(name="By app", code=345678)
    with site.cloud.faults.offline(site.door.nuki_id):
        site.wait(86_400)
        assert (site.codes(), site.front.daily_syncs) == ({}, 0)
    assert site.codes() == {}
    site.wait(86_400)
    assert (site.codes(), site.front.daily_syncs) == ({"By app": 345678}, 1)


def test_settings_are_written_whole(site: CloudSite) -> None:
    config = site.get(site.path)["config"]
    site.done("POST", f"{site.path}/config", config | {"name": "Hall", "ledBrightness": 5, "keypadPaired": False})
    site.wait(5)
    after = site.get(site.path)
    assert after["config"] == config | {"name": "Hall", "ledBrightness": 5}
    assert (after["name"], site.door.name) == ("Hall", "Hall")
    assert site.refused("POST", f"{site.path}/config", {"name": "Hall"}) == (
        400,
        "The supplied value 'null' for parameter 'latitude' is not valid",
    )
    assert site.refused("POST", f"{site.path}/config", config | {"ledEnabled": 1})[1] == (
        "The supplied value '1' for parameter 'ledEnabled' is not valid"
    )


def test_a_setting_that_is_not_taken_flips_back(site: CloudSite) -> None:
    path = site.path_of(site.opener)
    before = site.get(path)["openerAdvancedConfig"]
    with site.cloud.faults.lost_writes(kind=Write.CONFIG):
        site.done("POST", f"{path}/advanced/openerconfig", before | {"rtoTimeout": 5})
    assert site.get(path)["openerAdvancedConfig"]["rtoTimeout"] == 5
    site.wait(31)
    assert site.get(path)["openerAdvancedConfig"] == before


def test_other_settings(site: CloudSite) -> None:
    advanced = site.get(site.path)["advancedConfig"]
    site.done("POST", f"{site.path}/advanced/config", advanced | {"autoLock": True, "autoLockTimeout": 60})
    assert site.get(site.path)["advancedConfig"]["autoLockTimeout"] == 60
    assert site.refused("POST", f"{site.path}/advanced/openerconfig", advanced)[0] == 400
    site.done("POST", f"{site.path_of(site.opener)}/web/config", {"batteryWarningPerMailEnabled": True})
    assert site.get(site.path_of(site.opener))["webConfig"] == {"batteryWarningPerMailEnabled": True}
    site.done("POST", site.path, {"name": "Mine", "favorite": True})
    shown = site.get(site.path)
    assert (shown["name"], shown["favorite"], shown["config"]["name"]) == ("Mine", True, "Front door")


# --- Who may ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.template}")
def test_every_call_needs_its_scope(site: CloudSite, call: Any) -> None:
    path = call.template.replace("{smartlockId}", str(site.front.smartlock_id)).replace("{id}", "0" * 24)
    site.cloud.tokens[TOKEN] = frozenset(SCOPES) - call.scopes
    assert site.refused(call.method, path) == (401, NOT_AUTHORIZED)
    site.cloud.tokens[TOKEN] = frozenset({min(call.scopes)})
    answer = site.ask(call.method, path, is_odd=True)
    assert answer.status in {200, 204, 400, 403}
    assert site.door.turns == 0


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_without_a_token(site: CloudSite, headers: dict[str, str]) -> None:
    answer = site.ask("GET", "/smartlock", headers=headers)
    assert (answer.status, json.loads(answer.body)["detailMessage"]) == (401, NOT_AUTHORIZED)


def test_names_of_headers_count_in_any_case(site: CloudSite) -> None:
    assert site.ask("GET", "/smartlock", headers={"authorization": f"bearer {TOKEN}"}).status == 200


def test_what_is_not_there(site: CloudSite) -> None:
    assert site.refused("GET", "/nothing") == (404, None)
    assert site.refused("PATCH", "/smartlock") == (405, None)
    assert site.refused("POST", f"{site.path}/action", None) == (
        400,
        "The supplied value 'null' for parameter 'body' is not valid",
    )


def test_the_account(site: CloudSite) -> None:
    assert site.get("/account")["type"] == 0


# --- Faults -------------------------------------------------------------------------------------------------------


def test_the_page_of_the_proxy(site: CloudSite, recorded: Recorded) -> None:
    with site.cloud.faults.proxy_error():
        answer = site.ask("GET", "/smartlock")
    assert (answer.status, answer.content_type) == (502, "text/html")
    assert answer.body == recorded("web/15-error-502-nginx-html.txt") + b"\n"


def test_behind_the_proxy_it_may_be_done_all_the_same(site: CloudSite) -> None:
    with site.cloud.faults.proxy_error("/smartlock/{smartlockId}/action", status=500, acts=True) as fault:
        assert site.ask("POST", f"{site.path}/action", {"action": 1}).status == 500
        assert site.ask("GET", "/smartlock").status == 200
    site.wait(5)
    assert (site.door.turns, fault.hits) == (1, 1)


@pytest.mark.parametrize(("seconds", "headers"), [(None, {}), (30.0, {"Retry-After": "30"})])
def test_throttled(site: CloudSite, seconds: float | None, headers: dict[str, str]) -> None:
    with site.cloud.faults.throttle(seconds=seconds):
        answer = site.ask("GET", "/smartlock")
    assert (answer.status, answer.headers) == (429, headers)
    assert site.ask("GET", "/smartlock").status == 200


def test_no_answer(site: CloudSite) -> None:
    faults = site.cloud.faults
    for fault, ending in (
        (faults.silent(), Ending.SILENT),
        (faults.reset_connections(), Ending.RESET),
        (faults.refuse_connections(), Ending.REFUSED),
    ):
        with fault:
            answer = site.ask("POST", f"{site.path}/action", {"action": 1})
        assert (answer.status, answer.ending) == (0, ending)
    site.wait(10)
    assert site.door.turns == 0
    with faults.silent(acts=True):
        site.ask("POST", f"{site.path}/action", {"action": 1})
    site.wait(10)
    assert site.door.turns == 1


def test_garbage_and_refused_tokens(site: CloudSite) -> None:
    with site.cloud.faults.garbage("/smartlock", b"[{", status=200):
        assert site.cloud.answer("GET", "/smartlock", {}, AUTHORIZED, b"", site.house.now).body == b"[{"
    with site.cloud.faults.refuse_token():
        assert site.refused("GET", "/smartlock") == (401, NOT_AUTHORIZED)


def test_a_device_that_is_stripped(site: CloudSite) -> None:
    with site.cloud.faults.stripped(site.door.nuki_id):
        first, second, _ = site.get("/smartlock")
    assert not {"state", "config", "advancedConfig"} & first.keys()
    assert (first["smartlockId"], "error" in first, "error" in second) == (site.front.smartlock_id, True, False)


def test_offline_twice_is_offline_until_both_end(site: CloudSite) -> None:
    first = site.cloud.faults.offline(site.door.nuki_id).begin()
    second = site.cloud.faults.offline(site.door.nuki_id).begin()
    site.door.turn(3)
    site.done("POST", f"{site.path}/action", {"action": 2})
    first.end()
    site.wait(100)
    assert (site.get(site.path)["serverState"], site.log(), site.door.turns) == (4, [], 0)
    second.end()
    site.wait(100)
    assert (site.get(site.path)["serverState"], len(site.log()), site.door.turns) == (0, 2, 1)


def test_the_trigger_of_a_state_is_one_of_those_that_a_lock_has(site: CloudSite) -> None:
    """Reference, section 4: web and app are not; 6 is auto lock."""
    deeds: list[tuple[Callable[[], object], int]] = [
        (lambda: site.done("POST", f"{site.path}/action", {"action": 1}), 0),
        (lambda: visitors.act_by_app(site.front, 1, 2), 0),
        (lambda: visitors.press_button(site.front, 1), 2),
        (lambda: visitors.lock_by_itself(site.front), 6),
    ]
    for act, trigger in deeds:
        act()
        site.wait(10)
        assert site.get(site.path)["state"]["trigger"] == trigger


def test_a_held_operation(site: CloudSite) -> None:
    one = site.make_code("Guest", 345678)
    with site.cloud.faults.held_operation(site.door.nuki_id):
        assert site.get(site.path)["operationId"]
        assert site.refused("POST", f"{site.path}/action", {"action": 2}) == (423, None)
        assert site.refused("DELETE", f"{site.path}/auth/{one.id}") == (423, None)
    site.done("DELETE", f"{site.path}/auth/{one.id}")


def test_what_was_asked_is_kept_without_the_token(site: CloudSite) -> None:
    site.ask("GET", "/smartlock", query={"type": "4"})
    site.refused("GET", "/nothing")
    with site.cloud.faults.silent():
        site.ask("GET", "/account")
    shown = [(one.method, one.path, dict(one.query), one.status, str(one.ending)) for one in site.cloud.requests]
    assert shown == [
        ("GET", "/smartlock", {"type": "4"}, 200, "answered"),
        ("GET", "/nothing", {}, 404, "answered"),
        ("GET", "/account", {}, 0, "silent"),
    ]
    assert TOKEN not in repr(site.cloud.requests)


def test_the_same_seed_the_same_life() -> None:
    def life(seed: int) -> list[Any]:
        house = House(now=NOW)
        cloud = SimulatedCloud(house, seed=seed)
        cloud.tokens[TOKEN] = frozenset(SCOPES)
        lock = house.add(SimulatedLock(nuki_id=1, keypad_critical=False))
        path = f"/smartlock/{cloud.add(lock).smartlock_id}"
        seen = []
        for number in range(20):
            answer = cloud.answer("POST", f"{path}/action", {}, AUTHORIZED, b'{"action": 1}', NOW + 7 * number)
            log = cloud.answer("GET", f"{path}/log", {}, AUTHORIZED, b"", NOW + 7 * number)
            seen.append((answer.status, lock.state, log.body))
        return seen

    assert life(1) == life(1)
    assert life(1) != life(2)


def test_timing_is_scaled_but_for_the_day() -> None:
    scaled = CloudTiming().scaled(0.1)
    assert [round(number, 9) for number in (*scaled.log_s, scaled.answer_s, scaled.daily_sync_s)] == [
        4.5,
        7.5,
        0.02,
        86_400.0,
    ]


def test_a_device_can_be_taken_out(site: CloudSite) -> None:
    site.cloud.remove(site.wifi.nuki_id)
    site.wifi.turn(3)
    site.wait(90_000)
    assert len(site.get("/smartlock")) == 2
    with pytest.raises(ValueError, match="already"):
        site.cloud.add(site.door)
    again = site.cloud.add(site.wifi, capacity=OLD_CAPACITY)
    assert isinstance(site.opener, SimulatedOpener)
    assert again.memory.capacity == 100
