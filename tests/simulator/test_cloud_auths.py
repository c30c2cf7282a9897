"""Keypad codes in the cloud: promised, made, lost, haunted. The lock is the truth, the cloud's list a copy."""

import json
from typing import Any

import pytest

from nuki2mqtt.simulator import visitors
from nuki2mqtt.simulator.keypad import OLD_CAPACITY, Refusal, StoredAuth
from nuki2mqtt.simulator.web import Conduct
from nuki2mqtt.simulator.web_faults import Write
from tests.simulator.cloud_site import WHOLE_WEEK, CloudSite, code_body, make_site
from tests.simulator.conftest import Recorded

GUEST, CLEANER = 345678, 987654


@pytest.fixture
def site() -> CloudSite:
    return make_site()


def detail(value: object, parameter: str) -> tuple[int, str]:
    return 400, f"The supplied value '{value}' for parameter '{parameter}' is not valid"


# --- Made, changed, deleted ---------------------------------------------------------------------------------------


def test_a_code_is_promised_then_made(site: CloudSite) -> None:
    site.done("PUT", f"{site.path}/auth", code_body("Guest", GUEST))
    site.wait(3.9)
    assert site.codes() == site.true_codes() == {}
    site.wait(0.1)
    assert site.codes() == site.true_codes() == {"Guest": GUEST}
    [shown] = site.get(f"{site.path}/auth", types=13)
    assert shown == {
        "id": shown["id"],
        "smartlockId": site.front.smartlock_id,
        "authId": 8192,
        "code": GUEST,
        "type": 13,
        "name": "Guest",
        "enabled": True,
        "remoteAllowed": False,
        "lockCount": 0,
        "creationDate": "2023-11-14T22:13:24.000Z",
        "updateDate": "2023-11-14T22:13:24.000Z",
    }
    assert site.get(f"{site.path}/auth/{shown['id']}") == shown
    assert len(shown["id"]) == 24


def test_on_many_locks_at_once(site: CloudSite) -> None:
    second = site.house.add(type(site.door)(nuki_id=2, keypad_critical=False))
    numbers = [site.front.smartlock_id, site.cloud.add(second).smartlock_id]
    site.done("PUT", "/smartlock/auth", code_body("Guest", GUEST, smartlockIds=numbers))
    site.wait(5)
    listed = site.get("/smartlock/auth", types=13)
    assert [(one["smartlockId"], one["code"]) for one in listed] == [(number, GUEST) for number in numbers]
    refused = site.refused("PUT", "/smartlock/auth", code_body("Again", GUEST, smartlockIds=numbers))
    assert refused == (409, None)
    assert site.refused("PUT", "/smartlock/auth", code_body("None", GUEST)) == detail("null", "smartlockIds")


def test_a_whole_update(site: CloudSite) -> None:
    one = site.make_code("Guest", GUEST)
    body = {"name": "Cleaner", "code": CLEANER, "enabled": False, "remoteAllowed": True, **WHOLE_WEEK}
    site.done("POST", f"{site.path}/auth/{one.id}", body)
    assert site.get(f"{site.path}/auth/{one.id}")["name"] == "Guest"
    site.wait(4)
    shown = site.get(f"{site.path}/auth/{one.id}")
    assert {key: shown[key] for key in body} == body
    assert site.true_codes() == {"Cleaner": CLEANER}


def test_an_update_of_a_part_clears_the_schedule(site: CloudSite) -> None:
    one = site.make_code("Guest", GUEST, **WHOLE_WEEK)
    assert "allowedWeekDays" in site.get(f"{site.path}/auth/{one.id}")
    site.done("POST", f"{site.path}/auth/{one.id}", {"name": "Guest", "code": GUEST})
    site.wait(4)
    assert not WHOLE_WEEK.keys() & site.get(f"{site.path}/auth/{one.id}").keys()
    site.wait(86_400 * 365)
    assert isinstance(visitors.enter_code(site.front, GUEST), StoredAuth), "valid always, long after its end"


def test_deleted(site: CloudSite) -> None:
    one = site.make_code("Guest", GUEST)
    site.done("DELETE", f"{site.path}/auth/{one.id}")
    assert site.codes() == {"Guest": GUEST}
    site.wait(4)
    assert site.codes() == site.true_codes() == {}
    assert site.refused("GET", f"{site.path}/auth/{one.id}") == (403, None)
    site.done("PUT", f"{site.path}/auth", code_body("Again", GUEST))


def test_several_at_once(site: CloudSite) -> None:
    first, second = site.make_code("Guest", GUEST), site.make_code("Cleaner", CLEANER)
    site.done("POST", "/smartlock/auth", [{"id": first.id, "name": "One"}, {"id": second.id, "name": "Two"}])
    site.wait(8)
    assert site.true_codes() == {"One": GUEST, "Two": CLEANER}
    site.done("DELETE", "/smartlock/auth", [first.id, second.id])
    site.wait(8)
    assert site.codes() == site.true_codes() == {}
    assert site.refused("DELETE", "/smartlock/auth", ["0" * 24]) == (403, None)
    assert site.refused("DELETE", "/smartlock/auth", {"id": "x"})[0] == 400


def test_an_operation_holds_its_entry(site: CloudSite) -> None:
    one, other = site.make_code("Guest", GUEST), site.make_code("Cleaner", CLEANER)
    path = f"{site.path}/auth/{one.id}"
    site.done("POST", path, {"name": "New"})
    assert len(site.get(path)["operationId"]) == 24
    assert site.refused("POST", path, {"name": "Newer"}) == (423, None)
    assert site.refused("DELETE", path) == (423, None)
    assert site.refused("DELETE", "/smartlock/auth", [other.id, one.id]) == (423, None)
    site.done("DELETE", f"{site.path}/auth/{other.id}")
    site.wait(8)
    assert site.true_codes() == {"New": GUEST}
    assert "operationId" not in site.get(path)


# --- What goes wrong ----------------------------------------------------------------------------------------------


def test_a_code_that_exists(site: CloudSite) -> None:
    site.make_code("Guest", GUEST)
    other = site.make_code("Cleaner", CLEANER)
    assert site.refused("PUT", f"{site.path}/auth", code_body("Again", GUEST)) == (409, None)
    assert site.refused("POST", f"{site.path}/auth/{other.id}", {"name": "x", "code": GUEST}) == (409, None)
    site.done("POST", f"{site.path}/auth/{other.id}", {"name": "Cleaner", "code": CLEANER})


def test_a_burst_of_the_same_code_makes_one(site: CloudSite) -> None:
    for name in ("One", "Two"):
        site.done("PUT", f"{site.path}/auth", code_body(name, GUEST))
    site.wait(20)
    assert site.codes() == site.true_codes() == {"One": GUEST}


@pytest.mark.parametrize("kind", [Write.CREATE, Write.UPDATE, Write.DELETE])
def test_a_write_that_is_lost(site: CloudSite, kind: Write) -> None:
    one = site.make_code("Guest", GUEST)
    with site.cloud.faults.lost_writes(site.door.nuki_id, kind=kind):
        site.done("PUT", f"{site.path}/auth", code_body("Cleaner", CLEANER))
        site.wait(5)
        site.done("POST", f"{site.path}/auth/{one.id}", {"name": "New"})
        site.wait(5)
        site.done("DELETE", f"{site.path}/auth/{one.id}")
        site.wait(5)
    expected = {
        Write.CREATE: {},
        Write.UPDATE: {"Cleaner": CLEANER},
        Write.DELETE: {"New": GUEST, "Cleaner": CLEANER},
    }
    assert site.codes() == site.true_codes() == expected[kind]


def test_a_full_lock_never_gets_it() -> None:
    site = make_site()
    small = site.house.add(type(site.door)(nuki_id=2, keypad_critical=False))
    known = site.cloud.add(small, capacity=OLD_CAPACITY)
    path = f"/smartlock/{known.smartlock_id}/auth"
    for number in range(98):  # with the owner and the keypad: 100
        known.auths.add_by_app(name=f"Code {number}", code=333_333 + number * 1000)
    assert known.memory.is_full
    site.done("PUT", path, code_body("Guest", GUEST))
    site.wait(60)
    assert [one["name"] for one in site.get(path)] == ["Owner", "Keypad"]
    assert GUEST not in known.memory.codes


def test_a_ghost(site: CloudSite) -> None:
    """In the list and not on the lock: deleting does nothing, making it again is a conflict, a sync cures it."""
    one = site.make_code("Guest", GUEST)
    site.front.auths.make_ghost(one.id)
    assert (one.is_ghost, site.codes(), site.true_codes()) == (True, {"Guest": GUEST}, {})
    site.done("DELETE", f"{site.path}/auth/{one.id}")
    site.done("POST", f"{site.path}/sync")
    site.wait(4)
    assert site.codes() == {"Guest": GUEST}
    assert site.refused("PUT", f"{site.path}/auth", code_body("Guest", GUEST)) == (409, None)
    site.wait(6)
    assert site.codes() == {}
    site.make_code("Guest", GUEST)
    assert site.true_codes() == {"Guest": GUEST}


@pytest.mark.parametrize("heals", [False, True])
def test_an_update_of_a_ghost(*, heals: bool) -> None:
    site = make_site(Conduct(update_heals_ghosts=heals))
    with site.cloud.faults.ghost_creates():
        one = site.make_code("Guest", GUEST)
    assert (site.codes(), site.true_codes()) == ({"Guest": GUEST}, {})
    site.done("POST", f"{site.path}/auth/{one.id}", {"name": "Guest", "code": GUEST})
    site.wait(4)
    assert site.true_codes() == ({"Guest": GUEST} if heals else {})


def test_what_the_app_makes_shows_at_the_daily_sync(site: CloudSite) -> None:
    site.front.auths.add_by_app(name="By app", code=GUEST)
    assert (site.codes(), site.true_codes()) == ({}, {"By app": GUEST})
    site.done("PUT", f"{site.path}/auth", code_body("Mine", GUEST))
    site.wait(10)
    assert site.true_codes() == {"By app": GUEST}, "the lock does not take a code twice, and nobody is told"
    assert site.codes() == {}
    site.wait(86_400)
    assert site.codes() == {"By app": GUEST}
    assert site.front.forced_syncs == 0


@pytest.mark.parametrize("keeps", [True, False])
def test_codes_for_a_device_that_is_offline(*, keeps: bool) -> None:
    site = make_site(Conduct(keeps_offline_writes=keeps))
    with site.cloud.faults.offline(site.door.nuki_id):
        site.done("PUT", f"{site.path}/auth", code_body("Guest", GUEST))
        site.done("POST", f"{site.path}/sync")
        site.wait(7200)
        assert (site.codes(), site.front.forced_syncs) == ({}, 0)
    site.wait(20)
    assert site.codes() == site.true_codes() == ({"Guest": GUEST} if keeps else {})
    assert site.front.forced_syncs == int(keeps)


def test_what_became_of_each_write(site: CloudSite) -> None:
    one = site.make_code("Guest", GUEST)
    site.front.auths.make_ghost(one.id)
    site.done("DELETE", f"{site.path}/auth/{one.id}")
    with site.cloud.faults.lost_writes():
        site.done("PUT", f"{site.path}/auth", code_body("Cleaner", CLEANER))
    with site.cloud.faults.ghost_creates():
        site.wait(20)
        site.done("PUT", f"{site.path}/auth", code_body("Cleaner", CLEANER))
        site.wait(20)
    site.done("POST", f"{site.path}/sync")
    assert [(str(write.kind), str(write.end)) for write in site.cloud.writes] == [
        ("create", "done"),
        ("delete", "no_effect"),
        ("create", "lost"),
        ("create", "no_effect"),
        ("sync", "waiting"),
    ]
    assert [write.ended_at for write in site.cloud.writes][-1] is None


# --- What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"type": 0, "name": "x", "code": 234567}, detail(234567, "code")),
        ({"type": 13, "name": "x"}, detail("null", "code")),
        ({"type": 13, "name": "x", "code": 123456}, detail(123456, "code")),
        ({"type": 13, "name": "x", "code": 34567}, detail(34567, "code")),
        ({"type": 13, "name": "x", "code": 340567}, detail(340567, "code")),
        ({"type": 13, "code": GUEST}, detail("null", "name")),
        ({"type": 13, "name": "x" * 21, "code": GUEST}, detail("x" * 21, "name")),
        ({"type": 7, "name": "x"}, detail(7, "type")),
        ({"name": "x"}, detail("null", "accountUserId")),
        ({"type": 13, "name": "x", "code": GUEST, "allowedWeekDays": 128}, detail(128, "allowedWeekDays")),
        (
            {"type": 13, "name": "x", "code": GUEST, "allowedFromDate": 1700000000},
            detail(1700000000, "allowedFromDate"),
        ),
        (
            {"type": 13, "name": "x", "code": GUEST, "allowedUntilDate": "2023-02-30T00:00:00Z"},
            detail("2023-02-30T00:00:00Z", "allowedUntilDate"),
        ),
        ({"type": 13, "name": "x", "code": GUEST, "remoteAllowed": "no"}, detail("no", "remoteAllowed")),
    ],
)
def test_refused(site: CloudSite, body: dict[str, Any], refusal: tuple[int, str]) -> None:
    assert site.refused("PUT", f"{site.path}/auth", body) == refusal
    site.wait(10)
    assert site.codes() == site.true_codes() == {}


def test_refusals_read_like_recorded_ones(site: CloudSite, recorded: Recorded) -> None:
    answer = site.ask("PUT", f"{site.path}/auth", {"type": 0, "name": "x", "code": 234567}, is_odd=True)
    assert json.loads(answer.body) == json.loads(recorded("web/11-error-400-code-not-valid.json"))
    path = f"{site.path_of(site.wifi)}/auth"
    answer = site.ask("PUT", path, code_body("x", GUEST))
    assert json.loads(answer.body) == json.loads(recorded("web/12-error-400-type-not-valid.json"))


def test_a_code_in_a_string_and_dates_without_seconds_are_taken(site: CloudSite) -> None:
    body = code_body("Guest", GUEST, allowedFromDate="2023-11-01T00:00Z", allowedWeekDays=127) | {"code": str(GUEST)}
    assert site.ask("PUT", f"{site.path}/auth", body, is_odd=True).status == 204
    site.wait(4)
    [shown] = site.get(f"{site.path}/auth", types=13)
    assert (shown["code"], shown["allowedFromDate"]) == (GUEST, "2023-11-01T00:00:00.000Z")


# --- Lists --------------------------------------------------------------------------------------------------------


def test_lists_are_filtered_by_types_and_users(site: CloudSite) -> None:
    site.make_code("Guest", GUEST)
    user = site.cloud.account_user_id
    names = [one["name"] for one in site.get("/smartlock/auth")]
    assert names == ["Owner", "Keypad", "Guest", "Owner", "Owner"]
    assert [one["name"] for one in site.get("/smartlock/auth", types="3,13")] == ["Keypad", "Guest"]
    assert [one["name"] for one in site.get("/smartlock/auth", accountUserId=user)] == ["Owner"] * 3
    assert [one["name"] for one in site.get("/smartlock/auth", accountUserId=-1)] == ["Keypad", "Guest"]
    assert site.refused("GET", "/smartlock/auth", types="x") == detail("x", "types")


def test_pages(site: CloudSite) -> None:
    first = site.get("/smartlock/auth/paged", size=3)
    assert [one["name"] for one in first["results"]] == ["Owner", "Keypad", "Owner"]
    assert first["pagination"] == {
        "totalItems": 4,
        "totalPages": 2,
        "currentPage": 0,
        "nextPage": 1,
        "prevPage": None,
        "pageSize": 3,
    }
    last = site.get("/smartlock/auth/paged", size=3, page=1)
    assert len(last["results"]) == 1
    assert (last["pagination"]["nextPage"], last["pagination"]["prevPage"]) == (None, 0)
    assert site.get("/smartlock/auth/paged", page=9)["results"] == []


def test_odd_forms_of_a_list() -> None:
    site = make_site(Conduct(code_is_a_list=True, omits_defaults=True))
    site.make_code("Guest", GUEST)
    path = f"{site.path}/auth"
    [shown] = json.loads(site.cloud.answer("GET", path, {"types": "13"}, _headers(), b"", site.house.now).body)
    assert (shown["code"], "enabled" in shown, "remoteAllowed" in shown) == ([GUEST], False, False)


def _headers() -> dict[str, str]:
    return {"Authorization": "Bearer cloud-token"}


# --- At the keypad ------------------------------------------------------------------------------------------------


def test_only_what_the_lock_has_opens(site: CloudSite) -> None:
    site.make_code("Guest", GUEST)
    ghost = site.make_code("Ghost", CLEANER)
    site.front.auths.make_ghost(ghost.id)
    assert visitors.enter_code(site.front, CLEANER) is Refusal.UNKNOWN
    assert site.door.turns == 0
    opened = visitors.enter_code(site.front, GUEST)
    assert isinstance(opened, StoredAuth)
    assert (opened.name, opened.lock_count, site.door.turns) == ("Guest", 1, 1)
    with pytest.raises(ValueError, match="no keypad"):
        visitors.enter_code(site.cloud.known(site.wifi.nuki_id), GUEST)


def test_disabled_and_not_now(site: CloudSite) -> None:
    one = site.make_code("Guest", GUEST, **(WHOLE_WEEK | {"allowedUntilDate": "2023-11-15T00:00:00Z"}))
    assert isinstance(visitors.enter_code(site.front, GUEST), StoredAuth)
    site.wait(7200)
    assert visitors.enter_code(site.front, GUEST) is Refusal.NOT_NOW
    assert site.codes() == {"Guest": GUEST}, "what has ended stays listed, and enabled"
    site.done("POST", f"{site.path}/auth/{one.id}", {"name": "Guest", "enabled": False})
    site.wait(4)
    assert visitors.enter_code(site.front, GUEST) is Refusal.DISABLED


def test_how_often_it_was_used_shows_after_a_sync(site: CloudSite) -> None:
    one = site.make_code("Guest", GUEST)
    visitors.enter_code(site.front, GUEST)
    assert site.get(f"{site.path}/auth/{one.id}")["lockCount"] == 0
    site.done("POST", f"{site.path}/sync")
    site.wait(6)
    shown = site.get(f"{site.path}/auth/{one.id}")
    assert (shown["lockCount"], shown["lastActiveDate"]) == (1, "2023-11-14T22:13:25.000Z")


def test_invitations_to_the_app(site: CloudSite) -> None:
    user = site.cloud.account_user_id
    site.done("PUT", f"{site.path}/auth", {"name": "Phone", "accountUserId": user, "remoteAllowed": True})
    numbers = [site.front.smartlock_id]
    body = {"name": "Second", "accountUserId": user, "remoteAllowed": True, "smartlockIds": numbers}
    assert list(json.loads(site.ask("PUT", "/smartlock/auth/advanced", body).body)) == ["requestId"]
    site.wait(10)
    assert [one["name"] for one in site.get(f"{site.path}/auth", types=0)] == ["Owner", "Phone", "Second"]
