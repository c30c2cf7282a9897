"""One lock, and those who speak of it: a Bridge, Nuki's cloud, both, none; what is local never waits for the cloud."""

from collections.abc import Callable

import pytest

from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.visitors import enter_code
from nuki2mqtt.simulator.web_faults import CloudFault, CloudFaults
from tests.stories.cloud_world import LOCK, USUAL, WEB_TOKEN, CloudHome
from tests.stories.world import Disk

TROUBLES: dict[str, Callable[[CloudFaults], CloudFault]] = {
    "absent": lambda faults: faults.refuse_connections(),
    "silent": lambda faults: faults.silent(),
    "reset": lambda faults: faults.reset_connections(),
    "html": lambda faults: faults.proxy_error(),
    "401": lambda faults: faults.refuse_token(),
    "403": lambda faults: faults.garbage("/smartlock", b'{"detailMessage":"no"}', status=403),
    "429": lambda faults: faults.throttle(seconds=600.0),
    "garbage": lambda faults: faults.garbage("/smartlock", b"{", status=200),
}


# --- Without a Bridge -------------------------------------------------------------------------------------------------


def test_a_token_alone_is_a_complete_configuration() -> None:
    home = CloudHome()
    home.start()
    home.world.run(1800)

    assert home.process.warnings == []
    assert home.health()["needs_pairing"] is False
    assert home.health()["bridges"] == []
    assert home.health()["cloud"]["reachable"] is True
    assert home.availability == "online"
    assert (home.snapshot["device_type"], home.snapshot["source"], home.snapshot["bridge"]) == (5, "web", None)
    assert home.world.retained("nuki2mqtt/gateway/devices") == [
        {
            "id": "1A2B3C4D",
            "name": "Front door",
            "topic": "front_door",
            "type": "smart_lock",
            "sources": ["web"],
            "permitted": ["unlock", "lock", "unlatch", "lock_n_go", "lock_n_go_unlatch"],
        }
    ]
    assert home.world.retained("nuki2mqtt/gateway/info")["sources"] == ["bridge", "web"]


def test_a_change_of_a_lock_without_a_bridge_comes_with_the_next_poll() -> None:
    home = CloudHome()
    home.start()
    since = home.world.now
    home.lock.turn(3)
    home.world.run(61)

    assert [(one["to"], one["source"]) for one in home.events("state_changed", since=since)] == [("unlocked", "web")]
    assert home.snapshot["lock"] == "UNLOCKED"


def test_without_a_token_nothing_is_said_of_a_cloud() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.process = home.world.start_gateway()
    home.world.run(120)

    assert home.cloud.requests == []
    assert home.health()["cloud"] is None
    assert home.world.retained("nuki2mqtt/gateway/info")["sources"] == ["bridge"]
    assert home.world.retained("nuki2mqtt/gateway/devices")[0]["sources"] == ["bridge"]
    assert not {"last_action", "trigger", "actor"} & home.snapshot.keys()


def test_a_device_of_a_type_that_no_document_names_is_shown_by_its_number() -> None:
    home = CloudHome()
    odd = home.world.house.add(SimulatedLock(nuki_id=0x2B3C4D5E, device_type=9, name="Something new"))
    intercom = home.world.house.add(SimulatedOpener(nuki_id=0x3C4D5E6F, name="Intercom"))
    home.cloud.add(odd)
    home.cloud.add(intercom)
    home.start()

    devices = {one["topic"]: one["type"] for one in home.world.retained("nuki2mqtt/gateway/devices")}
    assert devices == {"front_door": "smart_lock", "something_new": "unknown", "intercom": "opener"}
    assert home.world.retained("nuki2mqtt/something_new")["device_type"] == 9


def test_a_device_that_is_to_be_ignored_is_neither_shown_nor_asked_about() -> None:
    home = CloudHome()
    home.start("  keypad: {manage: true}\ndevices: {1A2B3C4D: {ignore: true}}\n")
    home.world.publish("nuki2mqtt/1A2B3C4D/keypad/set", '{"op":"create","name":"Anna","code":"839275"}')
    home.world.command("1A2B3C4D", "unlock")
    home.lock.turn(3)
    home.world.run(600)

    assert home.world.retained("nuki2mqtt/gateway/devices") == []
    assert {one.path for one in home.cloud.requests} == {"/smartlock"}
    assert home.on_lock() == {}
    assert home.orders() == []


def test_a_second_gateway_of_the_same_base_asks_the_cloud_nothing() -> None:
    home = CloudHome()
    home.start()
    other = home.world.start_gateway(home.config(""), Disk("ffff0000"))
    home.world.run(300)

    assert other.web_sent == []
    assert home.availability == "online"


# --- Both -------------------------------------------------------------------------------------------------------------


def test_a_lock_that_both_know_is_one_device_and_what_is_local_counts() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    home.world.run(120)
    since = home.world.now
    home.lock.turn(3)
    home.world.run(200)

    [device] = home.world.retained("nuki2mqtt/gateway/devices")
    assert (device["topic"], device["sources"]) == ("front_door", ["bridge", "web"])
    topics = {topic.split("/")[1] for topic in home.world.broker.retained if topic.startswith("nuki2mqtt/")}
    assert topics == {"gateway", "bridge", "front_door"}
    assert [(one["to"], one["source"]) for one in home.events("state_changed", since=since)] == [
        ("unlocked", "callback")
    ]
    assert home.snapshot["source"] in {"list", "callback"}


def test_when_the_bridge_dies_the_cloud_leads_and_when_it_comes_back_it_follows() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    assert home.bridge is not None
    since = home.world.now
    with home.bridge.faults.refuse_connections(), home.bridge.faults.silent_callbacks():
        home.world.run(300)
        assert (home.snapshot["source"], home.availability) == ("web", "online")
        home.lock.turn(3)
        home.world.run(70)
        assert (home.snapshot["source"], home.snapshot["state"]) == ("web", "unlocked")
    home.world.run(400)
    home.lock.turn(1)
    home.world.run(5)

    assert (home.snapshot["source"], home.snapshot["state"], home.availability) == ("callback", "locked", "online")
    changes = [(one["from"], one["to"], one["source"]) for one in home.events("state_changed", since=since)]
    assert changes == [("locked", "unlocked", "web"), ("unlocked", "locked", "callback")]
    assert "offline" not in home.world.said("nuki2mqtt/front_door/availability", since)


def test_a_cloud_that_contradicts_is_a_reason_to_look_once() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    home.world.run(120)
    assert home.bridge is not None
    with home.bridge.faults.frozen_cache(LOCK), home.bridge.faults.silent_callbacks():
        home.lock.turn(3)
        home.world.run(65)
        looked = len(home.world.reads())
        home.world.run(600)

    assert looked == 1
    assert len(home.world.reads()) == 1
    assert home.snapshot["state"] == "unlocked"
    assert home.snapshot["source"] != "web"


def test_a_cloud_that_lags_behind_changes_nothing_and_wakes_nobody() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    home.world.run(120)
    since = home.world.now
    with home.cloud.faults.frozen_copy(LOCK):
        home.lock.turn(3)
        home.world.run(900)

    assert home.world.reads() == []
    assert [(one["to"], one["source"]) for one in home.events("state_changed", since=since)] == [
        ("unlocked", "callback")
    ]
    assert home.snapshot["state"] == "unlocked"


def test_after_a_restart_with_a_dead_bridge_the_lock_is_told_of_by_the_cloud() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    home.world.run(60)
    assert home.bridge is not None
    with home.bridge.faults.refuse_connections():
        home.restart()
        home.world.run(60)
        assert (home.snapshot["source"], home.snapshot["stale"], home.availability) == ("web", False, "online")


# --- What is local never waits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_the_cloud_does_nothing_local_is_later(trouble: str) -> None:
    def times(*, has_token: bool) -> list[tuple[float, str, bytes]]:
        home = CloudHome(has_bridge=True, device_type=4)
        TROUBLES[trouble](home.cloud.faults).begin()
        if has_token:
            home.start(run_s=5)
        else:
            home.world.start_gateway()
            home.world.run(5)
        world = home.world
        for _ in range(3):
            world.command("front_door", {"action": "unlock", "ts": world.ts()})
            world.run(20)
            world.command("front_door", "lock")
            world.run(40)
            home.lock.set_door(3)
            world.run(3)
            home.lock.set_door(2)
            world.run(3)
        kept = ("event", "result", "availability", "state")
        return [
            (one.at, one.topic, one.payload)
            for one in world.broker.log
            if one.topic.startswith("nuki2mqtt/") and one.topic.endswith(kept)
        ]

    said = times(has_token=True)
    assert len(said) > 30
    assert said == times(has_token=False)


def test_a_cloud_that_is_dead_from_the_start_does_not_keep_a_lock_of_a_bridge_stale() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    with home.cloud.faults.silent():
        home.start(run_s=3)
        assert (home.availability, home.snapshot["stale"]) == ("online", False)


# --- Going away -------------------------------------------------------------------------------------------------------


def test_a_device_that_leaves_the_account_is_removed_after_ten_minutes_of_lists_without_it() -> None:
    home = CloudHome()
    home.start()
    home.cloud.remove(LOCK)
    home.world.run(500)
    assert home.availability == "offline"
    assert home.world.retained("nuki2mqtt/gateway/devices") != []
    home.world.run(300)

    assert home.world.retained("nuki2mqtt/gateway/devices") == []
    assert [topic for topic in home.world.broker.retained if "front_door" in topic or "1A2B3C4D" in topic] == []


def test_a_device_that_leaves_the_account_stays_as_long_as_a_bridge_lists_it() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    home.cloud.remove(LOCK)
    home.world.run(3600)

    [device] = home.world.retained("nuki2mqtt/gateway/devices")
    assert device["sources"] == ["bridge"]
    assert home.availability == "online"


def test_a_device_that_a_bridge_forgets_stays_as_long_as_the_account_has_it() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    assert home.bridge is not None
    home.bridge.paired = set()
    home.world.run(3600)

    [device] = home.world.retained("nuki2mqtt/gateway/devices")
    assert "web" in device["sources"]
    assert (home.availability, home.snapshot["source"]) == ("online", "web")


def test_a_device_of_the_account_cannot_be_removed_as_long_as_it_would_come_back() -> None:
    home = CloudHome()
    home.start()
    home.world.request("device_remove", "front_door")
    home.world.run(1)
    [refusal] = home.world.responses("device_remove")
    assert refusal["status"] == "error"
    assert "Nuki Web still lists 1A2B3C4D" in refusal["error"]
    assert home.availability == "online"

    home.cloud.remove(LOCK)
    home.world.run(61)
    home.world.request("device_remove", "front_door")
    home.world.run(1)
    assert home.world.responses("device_remove")[1]["status"] == "ok"
    assert home.world.retained("nuki2mqtt/gateway/devices") == []


def test_refresh_reads_the_account_too() -> None:
    home = CloudHome()
    home.start()
    home.world.run(20)
    home.lock.turn(3)
    home.world.run(2)
    home.world.request("refresh", "now")
    home.world.run(3)

    assert [one["status"] for one in home.world.responses("refresh")] == ["ok"]
    assert home.snapshot["state"] == "unlocked"


def test_a_cloud_that_is_away_for_a_day_removes_nothing() -> None:
    home = CloudHome()
    home.start()
    with home.cloud.faults.proxy_error():
        home.world.run(86_400)
        assert home.availability == "offline"
        assert len(home.world.retained("nuki2mqtt/gateway/devices")) == 1
    with home.cloud.faults.garbage("/smartlock", b'[{"nonsense":1}]'):
        home.world.run(3600)
        assert len(home.world.retained("nuki2mqtt/gateway/devices")) == 1
    home.world.run(600)
    assert home.availability == "online"


def test_a_device_that_only_lost_its_scope_is_not_gone() -> None:
    home = CloudHome()
    home.start()
    home.cloud.tokens[WEB_TOKEN] = USUAL - {"smartlock.readOnly"}
    home.world.run(7200)

    assert len(home.world.retained("nuki2mqtt/gateway/devices")) == 1
    assert home.availability == "offline"
    assert home.health()["cloud"]["scopes_missing"] == ["smartlock.readOnly"]


def test_a_name_that_changes_in_nuki_web_changes_what_is_shown_and_not_the_topic() -> None:
    home = CloudHome()
    home.start()
    home.known.name = "Haustür"
    home.world.run(120)

    assert home.snapshot["name"] == "Haustür"
    assert home.world.retained("nuki2mqtt/gateway/devices")[0]["topic"] == "front_door"


def test_a_keypad_at_a_lock_of_a_bridge_names_who_came_by_the_cloud() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start()
    home.order_code("create", name="Anna", code="839275")
    home.world.run(60)
    enter_code(home.known, 839275)
    home.world.run(200)

    assert (home.snapshot["actor"], home.snapshot["trigger"]) == ("Anna", "keypad")
    assert home.codes() == {"Anna": ("active", None)}


@pytest.mark.parametrize("first", ["bridge", "cloud"])
def test_a_topic_is_kept_whoever_answers_first_at_the_next_start(first: str) -> None:
    """The Bridge and the account call the lock by different names."""
    home = CloudHome(has_bridge=True, device_type=4)
    home.known.name = "Main entrance"
    assert home.bridge is not None
    silence = home.cloud.faults.refuse_connections, home.bridge.faults.refuse_connections
    at_first, later = silence if first == "bridge" else silence[::-1]
    with at_first():
        home.start(run_s=60)
    with later():
        home.restart(run_s=60)
    home.restart(run_s=60)

    topic = "front_door" if first == "bridge" else "main_entrance"
    assert [one["topic"] for one in home.world.retained("nuki2mqtt/gateway/devices")] == [topic]
    assert {name.split("/")[1] for name in home.world.broker.retained if name.startswith("nuki2mqtt/")} == {
        "gateway",
        "bridge",
        topic,
    }
