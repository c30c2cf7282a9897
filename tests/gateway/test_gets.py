"""`get`: from the Bridge's cache or by waking the lock; accepted, then one end."""

from typing import Any

import pytest

from nuki2mqtt.gateway.gets import MOST_GETS, PATIENCE_S
from nuki2mqtt.gateway.vocabulary import DeviceMemory, Memory, Publish
from tests.gateway.builders import CONFIG, LINK, LOCK, LOCKED, UNLOCKED, only
from tests.gateway.site import BOTH, Site, failure

GET = "nuki2mqtt/front_door/get"


def snapshots(site: Site) -> int:
    return sum(publish.topic == "nuki2mqtt/front_door" for publish in only(site.effects, Publish))


# --- from the cache ---


@pytest.mark.parametrize("payload", ["x", "{}", {"force": False}, "refresh"])
def test_a_get_asks_the_list_at_once_and_ends_with_what_it_says(payload: Any) -> None:
    site = Site.at_work()
    start = site.hand.now
    site.list_says(UNLOCKED, start)
    site.get(payload)

    assert site.times("List", start) == [0]
    assert site.told() == [("accepted", None), ("confirmed", None)]
    assert site.results()[-1] | {"duration_s": 0.0} == {
        "transaction": None,
        "action": "get",
        "status": "confirmed",
        "reason": None,
        "evidence": None,
        "may_have_acted": False,
        "state": "unlocked",
        "duration_s": 0.0,
        "age_s": None,
    }
    assert site.times("LockState") == []


def test_the_snapshot_is_said_again_also_when_nothing_changed() -> None:
    site = Site.at_work()
    before = snapshots(site)
    site.wait(40)
    unasked = snapshots(site)
    site.get()

    assert (unasked, snapshots(site)) == (before, before + 1)


def test_gets_in_a_row_share_the_list_and_keep_the_bridge_s_rest() -> None:
    site = Site.at_work()
    start = site.hand.now
    site.get({"transaction": 1})
    site.get({"transaction": 2})
    site.get({"transaction": 3})
    site.wait(3)

    assert site.times("List", start) == [0, 2]
    assert [result["transaction"] for result in site.results() if result["status"] == "confirmed"] == [1, 2, 3]


def test_a_list_that_fails_ends_it() -> None:
    site = Site.at_work()
    site.lists[LINK] = failure("timeout")
    site.get()

    assert site.told() == [("accepted", None), ("failed", "bridge_unreachable")]


def test_a_list_without_the_device_ends_it() -> None:
    site = Site.at_work()
    site.lists[LINK] = (BOTH[1],)
    site.get()
    site.get(to="gate")
    site.wait(3)

    assert site.told() == [("accepted", None), ("failed", "bridge_unreachable")]
    assert site.told("gate") == [("accepted", None), ("confirmed", None)]


# --- by waking the lock ---


@pytest.mark.parametrize(
    ("read", "end"),
    [
        (UNLOCKED, ("confirmed", None)),
        (LOCKED, ("confirmed", None)),
        (None, ("failed", "device_unreachable")),
        (failure("timeout"), ("failed", "bridge_unreachable")),
    ],
)
def test_with_force_the_lock_is_woken(read: Any, end: tuple[str, str | None]) -> None:
    site = Site.at_work()
    site.get({"force": True, "transaction": "a"}, response_topic="me/answers", correlation=b"c")
    site.wait(0.1)
    before = site.told()
    site.answer_read(read)
    answers = [publish for publish in only(site.effects, Publish) if publish.topic == "me/answers"]

    assert (before, site.told()) == ([("accepted", None)], [("accepted", None), end])
    assert [publish.correlation for publish in answers] == [b"c", b"c"]


def test_a_forced_get_of_one_device_does_not_end_another_s() -> None:
    site = Site.at_work()
    site.get({"force": True})
    site.get({"force": True}, "gate")
    site.wait(0.1)
    site.answer_read(LOCKED)

    assert site.told() == [("accepted", None), ("confirmed", None)]
    assert site.told("gate") == [("accepted", None)]


def test_a_second_forced_get_within_the_space_is_refused_not_kept_waiting() -> None:
    site = Site.at_work()
    for _ in range(2):
        site.get({"force": True})
        site.wait(0.6)
        if site.reads:
            site.answer_read(LOCKED)

    assert site.told() == [("accepted", None), ("confirmed", None), ("refused", "busy")]
    site.wait(60)
    site.get({"force": True})
    assert site.told()[-1] == ("accepted", None)


def test_within_the_budget_of_the_day() -> None:
    site = Site.at_work(CONFIG + "poll: {forced_per_day: 1}\n")
    site.get({"force": True})
    site.wait(0.1)
    site.answer_read(LOCKED)
    site.wait(3600)
    site.get({"force": True})

    assert site.told()[-1] == ("refused", "busy")


# --- refused ---


@pytest.mark.parametrize(
    ("payload", "fields", "reason"),
    [
        ('{"force": 1}', {}, "bad_payload"),
        ('{"force": "yes"', {}, "bad_payload"),
        (b"\xff", {}, "bad_payload"),
        ("x", {"retained": True}, "retained"),
        ('{"force": true}', {"retained": True}, "retained"),
        (b"\xff", {"retained": True}, "retained"),
        ("x", {"to": "nobody"}, "unknown_device"),
    ],
)
def test_a_get_that_is_refused(payload: Any, fields: dict[str, Any], reason: str) -> None:
    site = Site.at_work()
    start = site.hand.now
    site.get(payload, **fields)
    site.wait(1)

    assert site.told(fields.get("to", "front_door")) == [("refused", reason)]
    assert (site.times("List", start), site.reads) == ([], [])
    assert site.events() == []


def test_a_retained_get_is_cleared() -> None:
    site = Site.at_work()
    site.get('{"force": true}', retained=True)

    assert [p.payload for p in only(site.effects, Publish) if p.topic == GET and p.retain] == [b""]


def test_a_device_that_no_bridge_has_listed_cannot_be_asked() -> None:
    site = Site.at_work(reports=(BOTH[1],), memory=Memory(devices={LOCK: DeviceMemory("front_door", "Front door", 4)}))
    site.get()

    assert site.told() == [("refused", "bridge_unreachable")]


def test_at_most_a_hundred_wait() -> None:
    site = Site.at_work()
    site.set("unlock")
    for _ in range(MOST_GETS + 1):
        site.get()

    assert MOST_GETS == 100
    assert site.told()[-2:] == [("accepted", None), ("refused", "busy")]


def test_nobody_waits_longer_than_45_s() -> None:
    site = Site.at_work()
    site.set("unlock")
    site.get({"transaction": "g"})
    site.wait(PATIENCE_S - 0.1)
    before = [result for result in site.results() if result["transaction"] == "g"]
    site.wait(0.2)

    assert PATIENCE_S == 45
    assert len(before) == 1
    assert ("failed", "bridge_unreachable") in site.told()


def test_a_get_does_not_say_that_the_lock_was_moved() -> None:
    site = Site.at_work()
    site.get({"force": True})
    site.wait(0.1)
    site.answer_read(UNLOCKED)

    assert [result["may_have_acted"] for result in site.results()] == [False, False]
    assert site.sent == []
