"""One lock that a Bridge and the cloud both speak of: whose word is shown, and whether as fresh."""

import pytest

from nuki2mqtt.protocol.web_api import DeviceListRequest, DeviceRequest
from tests.gateway.builders import LINK, LOCK, LOCKED, UNLOCKED, entry, state
from tests.gateway.scripted_cloud import BAD_GATEWAY, CLOUD_CONFIG, CloudSite, twin
from tests.gateway.site import YES, failure

NO_READS = CLOUD_CONFIG + "poll: {forced_per_day: 0}\n"
SILENT = {LINK: failure("timeout")}
AN_HOUR_AGO = -3600


def cloud_first(config: str = CLOUD_CONFIG) -> CloudSite:
    """The cloud says locked before the Bridge is heard, which knows better for an hour."""
    reports = (entry(UNLOCKED, AN_HOUR_AGO),)
    site = CloudSite.with_cloud(twin(state(1)), config=config, reports=reports, infos=SILENT, seconds=2)
    assert site.shows("state", "stale", "source") == ("locked", False, "web")
    site.infos.clear()
    return site


# --- the Bridge takes the lead back ---


@pytest.mark.parametrize("config", [CLOUD_CONFIG, NO_READS], ids=["with reads", "without"])
def test_a_bridge_that_says_otherwise_leads_as_soon_as_it_speaks(config: str) -> None:
    site = cloud_first(config)
    site.wait(60)

    assert site.shows("state", "stale", "source", "bridge") == ("unlocked", False, "list", "0A1B2C3D")
    assert site.reads == []


def test_a_cloud_that_falls_silent_takes_nothing_along() -> None:
    site = cloud_first(NO_READS)
    site.wait(60)
    site.failing = {DeviceListRequest: BAD_GATEWAY, DeviceRequest: BAD_GATEWAY}
    site.wait(1200)

    assert site.shows("state", "stale", "source") == ("unlocked", False, "list")


def test_after_an_outage_the_bridge_leads_again_though_the_cloud_is_read_each_minute() -> None:
    site = CloudSite.with_cloud(twin(state(1)), config=NO_READS, seconds=10)
    site.silence_bridge()
    site.wait(400)
    assert site.shows("state", "stale", "source") == ("locked", False, "web")
    site.hear_bridge(entry(UNLOCKED, site.hand.now - 60))
    site.wait(300)

    assert site.shows("state", "stale", "source", "door") == ("unlocked", False, "list", "closed")


def test_an_entry_from_before_a_change_that_the_cloud_saw_decides_nothing_but_has_the_lock_read() -> None:
    site = CloudSite.with_cloud(twin(state(1)), seconds=10)
    site.silence_bridge()
    site.wait(400)
    site.have(twin(state(3)))
    site.wait(130)
    assert site.shows("state", "stale", "source") == ("unlocked", False, "web")
    site.hear_bridge(entry(LOCKED, AN_HOUR_AGO))
    site.wait_for_read(120)

    assert site.shows("state", "stale", "source") == ("unlocked", False, "web")
    site.wait(1)
    site.answer_read(state(1, 2))
    assert site.shows("state", "stale", "source") == ("locked", False, "lock_state")


def test_such_an_entry_asks_once_also_where_nobody_reaches_the_lock() -> None:
    site = CloudSite.with_cloud(twin(state(1)), seconds=10)
    site.silence_bridge()
    site.wait(400)
    site.have(twin(state(3)))
    site.wait(130)
    site.hear_bridge(entry(LOCKED, AN_HOUR_AGO))
    site.wait_for_read(120)
    site.answer_read(failure("unreadable"))
    site.wait(590)

    assert (site.reads, site.shows("state", "stale", "source")) == ([], ("unlocked", False, "web"))


def test_without_a_read_the_state_of_a_silent_cloud_is_stale_whatever_the_bridge_is_worth() -> None:
    site = CloudSite.with_cloud(twin(state(1)), config=NO_READS, seconds=10)
    site.silence_bridge()
    site.wait(400)
    site.have(twin(state(3)))
    site.wait(130)
    site.hear_bridge(entry(LOCKED, AN_HOUR_AGO))
    site.wait(120)
    site.failing = {DeviceListRequest: BAD_GATEWAY, DeviceRequest: BAD_GATEWAY}
    site.wait(1200)

    assert site.hand.gateway._following.vouching.is_vouched(LOCK, site.hand.monotonic)
    assert site.shows("state", "stale", "source") == ("unlocked", True, "web")


def test_reads_of_the_lock_count_however_many_polls_come_in_between() -> None:
    site = cloud_first()
    site.lists[LINK] = (entry(None, None),)  # the Bridge has lost the state: only a read tells it
    site.wait_for_read(60)
    sent, polls = site.hand.monotonic, site.web.count
    before = polls((60.2, "DeviceList"))
    site.wait(61.0 - site.hand.now)
    site.answer_read(UNLOCKED)

    assert (before, polls((60.2, "DeviceList"))) == (0, 1)
    assert site.shows("state", "source") == ("unlocked", "lock_state")
    assert site.hand.gateway._following.devices.time_of(LOCK) == sent


def test_a_command_by_the_bridge_does_not_begin_with_the_clouds_state() -> None:
    site = CloudSite.with_cloud(twin(state(1)), config=NO_READS, seconds=10)
    site.silence_bridge()
    site.wait(400)
    site.have(twin(state(3)))
    site.wait(130)
    site.hear_bridge(entry(LOCKED, AN_HOUR_AGO))
    site.wait(120)
    assert site.shows("state", "source") == ("unlocked", "web")
    site.set("lock")
    site.answer(YES)  # and what its list has said for an hour is no evidence
    site.wait(4)

    assert site.told() == [("accepted", None)]


def test_a_bridge_that_does_not_reach_the_lock_does_not_take_turns_with_the_cloud() -> None:
    site = CloudSite.with_cloud(twin(state(1)), seconds=10)
    site.set("lock")
    for _ in range(6):
        while site.orders:
            site.answer(failure("device_offline"))
        while site.reads:
            site.answer_read(None)
        site.wait(20)
    assert site.shows("state", "stale", "source") == ("locked", False, "web")
    before = len(site.published("availability"))
    site.wait(300)

    assert site.published("availability")[before:] == []
    site.call_back(UNLOCKED)
    assert site.shows("state", "stale", "source") == ("unlocked", False, "callback")


# --- what the cloud said does not stay behind ---


def test_a_door_that_only_the_cloud_told_is_not_the_bridges() -> None:
    site = CloudSite.with_cloud(twin(state(1, 3, level=80)), reports=(entry(state(1), AN_HOUR_AGO),), seconds=20)
    assert site.shows("source", "door", "battery") == ("list", "open", {"level": 80, "critical": False})
    site.have(twin(state(1, 2, level=20)))
    site.wait(130)
    assert site.shows("source", "door", "battery") == ("list", "closed", {"level": 20, "critical": False})
    site.have()
    site.wait(900)

    assert site.shows("source", "stale", "door", "battery") == ("list", False, None, {"critical": False})


def test_what_the_cloud_says_no_more_is_gone() -> None:
    site = CloudSite.with_cloud(twin(state(1, 3)), infos=SILENT)
    assert site.shows("door", "source") == ("open", "web")
    site.have(twin(state(1)))
    site.wait(70)

    assert site.shows("door", "source") == (None, "web")


def test_a_change_from_the_clouds_word_to_the_bridges_is_no_lost_callback() -> None:
    site = cloud_first()
    site.wait(60)

    assert site.hand.gateway._following.watches[LINK].lost == 0
    assert site.happened() == ["state_changed"]


# --- a door of which only the cloud speaks ---


def bridge_without_door(door: int) -> CloudSite:
    site = CloudSite.with_cloud(
        twin(state(1, door)), reports=(entry(state(1), AN_HOUR_AGO),), holds={DeviceListRequest}, seconds=20
    )
    site.holds.clear()
    site.answer_web(DeviceListRequest)
    site.wait(5)
    assert site.shows("source", "door") == ("list", "closed" if door == 2 else "open")
    return site


def test_a_door_of_which_only_the_cloud_speaks_has_events() -> None:
    site = bridge_without_door(2)
    site.have(twin(state(1, 3)))
    site.wait(61)
    assert (site.shows("source", "door"), site.happened()) == (("list", "open"), ["door_opened"])
    site.wait(200)
    site.have(twin(state(1, 2)))
    site.wait(61)

    assert (site.shows("source", "door"), site.happened()) == (("list", "closed"), ["door_opened", "door_closed"])


def test_a_door_that_is_unknown_in_between_has_not_moved() -> None:
    site = bridge_without_door(3)
    for door in (4, 3):
        site.have(twin(state(1, door)))
        site.wait(61)

    assert site.happened() == []


def test_of_a_door_that_the_bridge_tells_the_cloud_says_nothing() -> None:
    site = CloudSite.with_cloud(twin(state(1, 2)), seconds=20)
    site.have(twin(state(1, 3)))
    site.wait_for_read(100)
    site.answer_read(LOCKED)
    site.wait(60)

    assert (site.shows("door"), site.happened()) == (("closed",), [])


def test_a_door_moves_once_whoever_leads() -> None:
    site = CloudSite.with_cloud(twin(state(1, 2)), reports=(entry(state(1), AN_HOUR_AGO),), seconds=20)
    site.silence_bridge()
    site.wait(400)
    site.have(twin(state(1, 3)))
    site.wait(61)
    site.hear_bridge(entry(state(1), AN_HOUR_AGO))
    site.wait(300)

    assert (site.shows("source", "door"), site.happened()) == (("list", "open"), ["door_opened"])
