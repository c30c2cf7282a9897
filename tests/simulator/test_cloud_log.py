"""The cloud's log: who did what, when it shows, how it is paged."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from nuki2mqtt.simulator import visitors
from nuki2mqtt.simulator.script import lock_by_button, unlock_by_hand, unlock_by_keypad
from nuki2mqtt.simulator.web import Conduct
from tests.simulator.cloud_site import CloudSite, make_site
from tests.simulator.conftest import Recorded

GUEST = 345678


@pytest.fixture
def site() -> CloudSite:
    return make_site()


def by_bridge(site: CloudSite, action: int) -> None:
    query = {"token": "sim123", "nukiId": str(site.door.nuki_id), "deviceType": "4", "action": str(action)}
    assert site.bridge.answer("/lockAction", query, site.house.now).status == 200


def by_web(site: CloudSite, action: int) -> None:
    site.done("POST", f"{site.path}/action", {"action": action})
    site.wait(1)


def by_code(site: CloudSite, code: int = GUEST) -> None:
    visitors.enter_code(site.front, code)


def by_finger(site: CloudSite) -> None:
    site.front.auths.add_by_app(name="Fingers", fingerprints={"7": "thumb"})
    visitors.touch(site.front, "7")


# Each: what is done; action, trigger, state, source and name of the entry that it leaves.
DEEDS: dict[str, tuple[Callable[[CloudSite], object], tuple[Any, ...]]] = {
    "by hand, unlocked": (lambda site: site.door.turn(3), (1, 1, 0, 0, "")),
    "by hand, unlatched": (lambda site: site.door.turn(5), (3, 1, 0, 0, "")),
    "by hand, blocked": (lambda site: site.door.turn(254), (2, 1, 1, 0, "")),
    "by somebody of the script": (lambda site: unlock_by_hand(site.door), (1, 1, 0, 0, "")),
    "by a code of the script": (lambda site: unlock_by_keypad(site.door, site.cloud.motor), (1, 255, 0, 1, "")),
    "through the Bridge": (lambda site: by_bridge(site, 3), (3, 0, 0, 0, "Nuki Bridge")),
    "through the cloud": (lambda site: by_web(site, 1), (1, 4, 0, 0, "Nuki Web")),
    "by a code": (by_code, (1, 255, 0, 1, "Guest")),
    "by a wrong code": (lambda site: by_code(site, 999999), (1, 255, 224, 1, "")),
    "by a finger": (by_finger, (1, 255, 0, 2, "Fingers")),
    "by a wrong finger": (lambda site: visitors.touch(site.front, "8"), (1, 255, 225, 2, "")),
    "by an unknown tag": (lambda site: visitors.tap_unknown_tag(site.front), (1, 255, 226, 3, "")),
    "by app": (lambda site: visitors.act_by_app(site.front, 1, 1), (1, 5, 0, 0, "Owner")),
    "by button": (lambda site: visitors.press_button(site.front, 1), (1, 2, 0, 0, "")),
    "by itself": (lambda site: visitors.lock_by_itself(site.front), (2, 6, 0, 0, "")),
    "the door opens": (lambda site: site.door.set_door(3), (240, 0, 0, 0, "")),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_who_did_it(site: CloudSite, deed: str) -> None:
    do, row = DEEDS[deed]
    one = site.make_code("Guest", GUEST)
    began = site.house.now
    do(site)
    site.wait(100)
    assert site.log() == [row]
    [entry] = site.get(f"{site.path}/log")
    assert entry.get("authId") == (
        one.id if row[4] == "Guest" else site.entry("Owner").id if row[4] == "Owner" else None
    )
    assert (entry["deviceType"], entry["smartlockId"], entry["autoUnlock"]) == (4, site.front.smartlock_id, False)
    assert 0 <= (_seconds(entry["date"]) - began) <= 1


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_failed_attempt_may_have_another_trigger() -> None:
    site = make_site(Conduct(failed_trigger=253))
    by_code(site, 999999)
    site.wait(100)
    assert site.log() == [(1, 253, 224, 1, "")]


def test_a_turn_to_where_it_is_already_is_nothing(site: CloudSite) -> None:
    site.door.turn(1)
    site.door.set_door(2)
    site.wait(100)
    assert site.log() == []


def test_lock_n_go_locks_by_itself(site: CloudSite) -> None:
    for action in (4, 5):
        by_web(site, action)
        site.wait(120)
    assert site.log() == [(2, 3, 0, 0, ""), (5, 4, 0, 0, "Nuki Web"), (2, 3, 0, 0, ""), (4, 4, 0, 0, "Nuki Web")]


def test_a_motor_that_blocks(site: CloudSite) -> None:
    site.door.is_jammed = True
    by_bridge(site, 1)
    site.wait(100)
    assert site.log() == [(1, 0, 1, 0, "Nuki Bridge")]


def test_an_order_that_is_given_up(site: CloudSite) -> None:
    by_bridge(site, 1)
    site.wait(1)
    site.door.turn(1)
    site.wait(100)
    assert site.log() == [(2, 1, 0, 0, ""), (1, 0, 2, 0, "Nuki Bridge")]


def test_the_button_of_the_script(site: CloudSite) -> None:
    site.door.turn(3)
    site.wait(60)
    lock_by_button(site.door, site.cloud.motor)
    site.wait(100)
    assert site.log()[0] == (2, 2, 0, 0, "")


def test_an_opener(site: CloudSite, recorded: Recorded) -> None:
    [real] = json.loads(recorded("web/08-log-opener-ring-action224.json"))
    path = site.path_of(site.opener)
    site.opener.ring()
    site.wait(40)
    for action in (1, 3, 2, 6, 7):
        site.done("POST", f"{path}/action", {"action": action})
        site.wait(30)
    site.wait(100)
    rows = site.get(f"{path}/log")
    assert [(row["action"], row["trigger"]) for row in rows] == [(7, 4), (6, 4), (2, 4), (3, 4), (1, 4), (224, 0)]
    ring = rows[-1]
    assert {key: ring[key] for key in ("name", "state", "openerLog")} == {
        key: real[key] for key in ("name", "state", "openerLog")
    }
    assert [key for key in ring if key != "source"] == list(real)
    for newer in json.loads(recorded("web/10-log-opener-fields-2026.json")):
        assert newer.keys() <= ring.keys()
        assert newer.get("openerLog", {}).keys() <= ring["openerLog"].keys()
    assert rows[2]["openerLog"] | {"activeRto": None} == real["openerLog"] | {"activeRto": None, "source": 2}


# --- When it shows ------------------------------------------------------------------------------------------------


def test_a_minute_later(site: CloudSite) -> None:
    site.door.turn(3)
    site.wait(59)
    assert site.log() == []
    site.wait(1)
    assert len(site.log()) == 1


def test_faults_of_the_log(site: CloudSite) -> None:
    faults = site.cloud.faults
    with faults.slow_log(600.0):
        site.door.turn(3)
    site.wait(659)
    assert site.log() == []
    site.wait(1)
    assert len(site.log()) == 1
    with faults.lost_log():
        site.door.turn(1)
    site.wait(1000)
    assert len(site.log()) == 1
    with faults.nameless_log():
        by_bridge(site, 1)
        site.wait(10)
    site.wait(100)
    assert site.log()[0] == (1, 0, 0, 0, "")


def test_a_later_entry_of_a_device_never_shows_before_an_earlier_one(site: CloudSite) -> None:
    with site.cloud.faults.slow_log(600.0):
        site.door.turn(3)
    site.door.turn(1)
    site.opener.ring()
    site.wait(659)
    assert (site.log(), len(site.get("/smartlock/log"))) == ([], 1)
    site.wait(1)
    assert len(site.log()) == 2


def test_a_code_asks_for_what_the_keypad_is_set_to(site: CloudSite) -> None:
    site.make_code("Guest", GUEST)
    visitors.enter_code(site.front, GUEST, action=3)
    site.wait(100)
    visitors.enter_code(site.front, GUEST, action=2)
    site.wait(100)
    assert [row[:2] for row in site.log()] == [(2, 255), (3, 255)]


def test_what_happened_offline_comes_late_with_its_own_date(site: CloudSite) -> None:
    with site.cloud.faults.offline(site.door.nuki_id):
        site.door.turn(3)
        site.wait(3600)
        assert site.log() == []
    site.wait(60)
    [entry] = site.get(f"{site.path}/log")
    assert entry["date"] == "2023-11-14T22:13:20.000Z"


# --- How it is read -----------------------------------------------------------------------------------------------


@pytest.fixture
def long(site: CloudSite) -> CloudSite:
    """134 entries of the door, as in the pages that somebody has seen: 50, 50, 34, none."""
    for number in range(134):
        site.door.turn(3 if number % 2 == 0 else 1)
        site.wait(10)
    site.opener.ring()
    site.wait(100)
    return site


def test_pages_by_the_last_id(long: CloudSite) -> None:
    sizes, dates, query = [], [], {"limit": 50}
    while rows := long.get(f"{long.path}/log", **query):
        sizes.append(len(rows))
        dates += [row["date"] for row in rows]
        query = {"limit": 50, "id": rows[-1]["id"]}
    assert sizes == [50, 50, 34]
    assert dates == sorted(dates, reverse=True)
    assert len(set(dates)) == 134


def test_how_many(long: CloudSite) -> None:
    for limit, count in ((None, 20), (7, 7), (50, 50), (1000, 50)):
        query = {} if limit is None else {"limit": limit}
        assert len(long.get(f"{long.path}/log", **query)) == count
    assert long.refused("GET", f"{long.path}/log", limit="0")[0] == 400


def test_what_is_not_known_is_passed_over(long: CloudSite) -> None:
    first = long.get(f"{long.path}/log")
    for query in ({"offset": "20"}, {"dateSince": "x"}):
        answer = long.ask("GET", f"{long.path}/log", query=query, is_odd=True)
        assert json.loads(answer.body) == first


@pytest.mark.parametrize("parameter", ["fromDate", "toDate"])
def test_unix_seconds_are_refused(long: CloudSite, parameter: str) -> None:
    refused = long.refused("GET", f"{long.path}/log", **{parameter: "1700000000"})
    assert refused == (400, f"The supplied value '1700000000' for parameter '{parameter}' is not valid")


def test_filters(long: CloudSite) -> None:
    path = f"{long.path}/log"
    rows = long.get(path, fromDate="2023-11-14T22:14:00Z", toDate="2023-11-14T22:14:10Z")
    assert [row["date"] for row in rows] == ["2023-11-14T22:14:10.000Z", "2023-11-14T22:14:00.000Z"]
    assert {row["action"] for row in long.get(path, action=2)} == {2}
    long.make_code("Guest", GUEST)
    by_code(long)
    visitors.act_by_app(long.front, 1, 2)
    long.wait(100)
    assert [row["name"] for row in long.get(path, authId=long.entry("Guest").id)] == ["Guest"]
    assert [row["name"] for row in long.get(path, accountUserId=long.cloud.account_user_id)] == ["Owner"]


def test_of_all_devices(long: CloudSite) -> None:
    rows = long.get("/smartlock/log", limit=2)
    assert [(row["smartlockId"], row["action"]) for row in rows] == [
        (long.cloud.known(long.opener.nuki_id).smartlock_id, 224),
        (long.front.smartlock_id, 2),
    ]
