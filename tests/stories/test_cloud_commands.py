"""Commands through Nuki's cloud: when they go there, what counts as done, and that nothing opens twice or late."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from nuki2mqtt.gateway.vocabulary import Effect
from nuki2mqtt.simulator.faults import Fault, Faults
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.web_faults import Write
from tests.stories.cloud_world import LOCK, CloudHome, is_order

NEVER, ALONE, FALLBACK = (f"  commands: {word}\n" for word in ("never", "when_no_bridge", "fallback"))
CONFIG = "homeassistant/device/nuki2mqtt_1A2B3C4D/config"
ONE = "/smartlock/21913877581"  # type 5 and the ID
BROKEN: dict[str, Callable[[Faults], Fault]] = {  # after a byte was written
    "busy": lambda faults: faults.busy("/lockAction"),
    "busy, but acts": lambda faults: faults.busy("/lockAction", acts=True),
    "silent": lambda faults: faults.silent("/lockAction"),
    "reset": lambda faults: faults.reset_connections("/lockAction"),
    "no": lambda faults: faults.garbage("/lockAction", b'{"success":false,"batteryCritical":false}'),
}


def wifi_lock(settings: str = ALONE, **options: object) -> CloudHome:
    home = CloudHome(**options)  # type: ignore[arg-type]
    home.start(settings)
    return home


def with_bridge(settings: str) -> CloudHome:
    home = CloudHome(has_bridge=True, device_type=4)
    home.start(settings)
    home.world.run(60)
    return home


def order(home: CloudHome, action: str, transaction: int = 1, **keys: object) -> None:
    home.world.command("front_door", {"action": action, "transaction": transaction, **keys})


def end(home: CloudHome, transaction: int = 1) -> tuple[str, str | None, str | None]:
    found = home.world.end("front_door", transaction)
    return found["status"], found["reason"], found["evidence"]


# --- Which way --------------------------------------------------------------------------------------------------------


def test_never_means_never() -> None:
    home = wifi_lock(NEVER)
    order(home, "unlock")
    home.world.run(120)

    assert end(home) == ("refused", "not_permitted", None)
    assert home.orders() == []
    assert home.world.retained("nuki2mqtt/gateway/devices")[0]["permitted"] == []


def without_its_bridge(settings: str, *, has_unlatch: bool = True) -> CloudHome:
    """A lock that could be paired with a Bridge, and is not; one is there, and is slower than the cloud."""
    home = CloudHome(device_type=4, has_unlatch=has_unlatch)
    other = home.world.house.add(SimulatedLock(nuki_id=0x5E6F7A8B, name="Shed", device_type=4))
    home.bridge = home.world.add_bridge(paired=[other.nuki_id])
    home.start(settings, run_s=60)
    return home


def test_what_may_not_be_told_is_not_offered_for_a_moment_either() -> None:
    home = without_its_bridge(NEVER)
    front = {tuple(one["permitted"]) for one in listings(home, 0)}
    home.restart(run_s=60)
    at = home.world.now
    assert home.bridge is not None
    with home.bridge.faults.refuse_connections():
        home.restart(run_s=60)

    assert front | {tuple(one["permitted"]) for one in listings(home, 0)} == {()}
    assert not {"lock", "unlatch", "lock_n_go"} & offered(home, 0)[1]
    assert {tuple(one["sources"]) for one in listings(home, at)} == {("web",)}


def test_never_takes_nothing_from_a_lock_that_a_bridge_has() -> None:
    home = with_bridge(NEVER)
    assert home.bridge is not None
    at = home.world.now
    home.restart(run_s=60)
    with home.bridge.faults.refuse_connections():
        home.restart(run_s=60)

    assert len({tuple(one["permitted"]) for one in listings(home, at)}) == 1
    assert all({"lock", "unlatch"} <= set(one.json["cmps"]) for one in home.world.messages(CONFIG, at) if one.payload)


@pytest.mark.parametrize("settings", [ALONE, FALLBACK])
@pytest.mark.parametrize(
    ("action", "number", "state"),
    [("unlock", 1, 3), ("unlatch", 3, 3), ("lock_n_go", 4, 1), ("lock_n_go_unlatch", 5, 1)],
)
def test_a_lock_without_a_bridge_is_moved_by_the_cloud_once(
    settings: str, action: str, number: int, state: int
) -> None:
    home = wifi_lock(settings)
    order(home, action)
    home.world.run(120)

    assert end(home)[:2] == ("confirmed", None)
    assert home.orders() == [number]
    assert home.lock.state == state


def test_where_a_bridge_knows_the_lock_the_cloud_is_asked_nothing_unless_the_settings_say_so() -> None:
    home = with_bridge(ALONE)
    assert home.bridge is not None
    with home.bridge.faults.refuse_connections():
        order(home, "unlock")
        home.world.run(120)

    assert end(home) == ("failed", "bridge_unreachable", None)
    assert home.orders() == []


@pytest.mark.parametrize("action", ["unlock", "lock"])
def test_with_fallback_the_cloud_has_it_when_not_a_byte_reached_the_bridge(action: str) -> None:
    home = with_bridge(FALLBACK)
    home.lock.turn(1 if action == "unlock" else 3)
    home.world.run(60)
    assert home.bridge is not None
    before = len(home.world.actions())
    with home.bridge.faults.refuse_connections():
        order(home, action)
        home.world.run(120)

    assert end(home)[:2] == ("confirmed", None)
    assert home.orders() == [1 if action == "unlock" else 2]
    assert len(home.world.actions()) == before


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("action", ["unlock", "lock"])
def test_once_a_byte_went_to_the_bridge_nothing_goes_to_the_cloud(broken: str, action: str) -> None:
    home = with_bridge(FALLBACK)
    home.lock.turn(1 if action == "unlock" else 3)
    home.world.run(60)
    assert home.bridge is not None
    with BROKEN[broken](home.bridge.faults):
        order(home, action)
        home.world.run(200)

    assert end(home)[0] in {"failed", "unconfirmed", "confirmed"}
    assert home.orders() == []
    assert len(home.world.actions()) == 1 or action == "lock"


def test_a_healthy_bridge_has_every_command() -> None:
    home = with_bridge(FALLBACK)
    for number, action in enumerate(("unlock", "lock", "unlatch", "lock")):
        order(home, action, number)
        home.world.run(60)

    assert [end(home, number)[0] for number in range(4)] == ["confirmed"] * 4
    assert home.orders() == []


# --- Only after a young read ------------------------------------------------------------------------------------------


def test_an_order_goes_out_only_after_a_read_that_is_younger_than_15_s() -> None:
    home = wifi_lock()
    home.world.run(30)
    for number, (action, pause_s) in enumerate([("unlock", 3.0), ("lock", 40.0), ("unlatch", 55.0), ("lock", 90.0)]):
        order(home, action, number)
        home.world.run(60 + pause_s)

    sent = home.asked("POST", "/action")
    reads = sorted([*home.asked("GET", "/smartlock"), *home.asked("GET", ONE)])
    assert len(sent) == 4
    assert all(at - max(read for read in reads if read <= at) <= 15.0 for at in sent)


@pytest.mark.parametrize("action", ["unlock", "lock"])
def test_a_lock_that_the_cloud_does_not_reach_is_not_ordered_anything(action: str) -> None:
    home = wifi_lock()
    with home.cloud.faults.offline(LOCK):
        home.world.run(30)
        order(home, action)
        home.world.run(60)
    home.world.run(600)

    assert end(home)[:2] == ("failed", "device_unreachable")
    assert home.orders() == []
    assert home.lock.state == 1


@pytest.mark.parametrize("name", ["refuse_connections", "silent", "proxy_error"])
def test_where_the_lock_cannot_be_read_the_command_expires_and_never_comes_later(name: str) -> None:
    home = wifi_lock()
    home.world.run(30)
    with getattr(home.cloud.faults, name)():
        order(home, "unlock")
        home.world.run(60)
        assert end(home)[0] in {"expired", "failed"}
        assert home.world.end("front_door", 1)["may_have_acted"] is False
    home.world.run(1800)

    assert home.orders() == []
    assert home.lock.state == 1


# --- No evidence ------------------------------------------------------------------------------------------------------


def promised_and_not_done(home: CloudHome) -> None:
    with home.cloud.faults.lost_writes(kind=Write.ACTION):
        order(home, "unlock")
        home.world.run(100)
    assert end(home) == ("unconfirmed", None, None)
    assert home.world.end("front_door", 1)["may_have_acted"] is True


def test_a_204_without_evidence_is_no_success_and_nothing_opens_for_two_minutes() -> None:
    home = wifi_lock()
    promised_and_not_done(home)
    ended = home.world.messages("nuki2mqtt/front_door/result")[-1].at
    for number, action in enumerate(("unlock", "unlatch", "lock_n_go"), start=10):
        order(home, action, number)
        home.world.run(1)
        assert end(home, number) == ("refused", "busy", None)
    order(home, "lock", 20)
    home.world.run(ended + 119 - home.world.now)
    order(home, "unlatch", 21)
    home.world.run(2)
    assert end(home, 21) == ("refused", "busy", None)
    order(home, "unlatch", 22)
    home.world.run(60)

    assert end(home, 22)[0] == "confirmed"
    assert home.orders() == [1, 2, 3]


def test_the_two_minutes_hold_over_a_kill_and_a_restart() -> None:
    home = wifi_lock()
    promised_and_not_done(home)
    home.restart(run_s=6)
    order(home, "unlatch", 2)
    home.world.run(60)
    assert end(home, 2) == ("refused", "busy", None)
    home.restart(run_s=100)
    home.world.run(60)
    order(home, "unlatch", 3)
    home.world.run(60)

    assert end(home, 3)[0] == "confirmed"
    assert home.orders() == [1, 3]


def test_the_two_minutes_hold_at_the_bridge_too() -> None:
    home = with_bridge(FALLBACK)
    assert home.bridge is not None
    with home.cloud.faults.lost_writes(kind=Write.ACTION), home.bridge.faults.refuse_connections():
        order(home, "unlock")
        home.world.run(100)
    assert end(home)[0] == "unconfirmed"
    home.world.run(10)
    order(home, "unlatch", 2)
    home.world.run(5)

    assert end(home, 2) == ("refused", "busy", None)
    assert home.world.actions() == []


def test_a_lock_that_does_not_get_through_does_not_end_the_two_minutes() -> None:
    home = wifi_lock()
    promised_and_not_done(home)
    home.world.publish("nuki2mqtt/front_door/get", "{}")
    home.world.run(2)
    with home.cloud.faults.refuse_connections():
        order(home, "lock", 2)
        home.world.run(1)
    home.world.run(15)
    order(home, "unlatch", 3)
    home.world.run(30)

    assert end(home, 3) == ("refused", "busy", None)
    assert 3 not in home.orders()


def test_an_order_that_is_carried_out_late_opens_once() -> None:
    home = wifi_lock()
    with home.cloud.faults.slow_writes(100.0, kind=Write.ACTION):
        order(home, "unlatch")
        home.world.run(95)
        assert end(home)[0] == "unconfirmed"
        order(home, "unlatch", 2)
        home.world.run(5)
        assert end(home, 2) == ("refused", "busy", None)
    home.world.run(600)

    assert home.lock.unlatches == 1


# --- Never twice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["silent", "reset_connections", "proxy_error"])
@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize("action", ["unlatch", "lock"])
def test_an_order_of_which_nobody_knows_is_not_sent_again(fault: str, acts: bool, action: str) -> None:  # noqa: FBT001
    home = wifi_lock(state=3)
    home.world.run(20)
    with getattr(home.cloud.faults, fault)(f"{ONE}/action", acts=acts):
        order(home, action)
        home.world.run(200)

    assert len(home.orders()) == 1
    is_over = fault == "silent" and action == "unlatch"  # the latch is back in its place when somebody looks
    assert end(home)[0] == ("confirmed" if acts and not is_over else "unconfirmed")
    assert home.lock.unlatches == (1 if acts and action == "unlatch" else 0)


def _moments() -> list[tuple[int, bool]]:
    return list(itertools.product(range(40), [False, True]))


@pytest.mark.parametrize(("number", "is_before"), _moments())
def test_killed_at_any_effect_the_door_opens_once_at_most_and_the_command_has_an_end(
    number: int,
    is_before: bool,  # noqa: FBT001
) -> None:
    home = wifi_lock()
    home.world.run(30)
    seen = itertools.count()

    def is_fatal(_: Effect) -> bool:
        return next(seen) == number

    (home.process.kill_before if is_before else home.process.kill_after)(is_fatal)
    order(home, "unlatch")
    home.world.run(20)
    home.restart()
    home.world.run(100)

    assert home.lock.unlatches <= 1
    assert len(home.orders()) <= 1
    results = home.world.results("front_door")
    ends = [one for one in results if one["status"] != "accepted"]
    if [one for one in results if one["status"] == "accepted"] or home.orders():
        assert {one["status"] for one in ends} in ({"confirmed"}, {"unconfirmed"}, {"expired"}, {"failed"})
    assert home.lock.unlatches == 0 or ends[-1]["may_have_acted"]


def test_the_same_transaction_again_after_a_kill_is_a_duplicate() -> None:
    home = wifi_lock()
    home.world.run(30)
    home.process.kill_after(is_order)
    order(home, "unlatch")
    home.world.run(20)
    home.restart(run_s=200)
    order(home, "unlatch")
    home.world.run(60)

    assert home.world.life("front_door", 1) == [
        ("accepted", None),
        ("unconfirmed", "restarted"),
        ("refused", "duplicate"),
    ]
    assert home.orders() == [3]


# --- One at a time ----------------------------------------------------------------------------------------------------


def test_equal_bare_orders_are_joined_and_move_once() -> None:
    home = wifi_lock()
    for _ in range(3):
        home.world.command("front_door", "unlatch")
        home.world.run(0.5)
    home.world.run(120)

    assert home.orders() == [3]
    assert home.lock.unlatches == 1
    assert [one["status"] for one in home.world.results("front_door")].count("confirmed") == 3


def test_lock_waits_behind_an_unlock_and_goes_after_it() -> None:
    home = wifi_lock()
    order(home, "unlock", 1)
    home.world.run(0.1)
    order(home, "lock", 2)
    home.world.run(0.1)
    order(home, "unlatch", 3)
    home.world.run(200)

    assert home.world.life("front_door", 2)[0] == ("accepted", "queued")
    assert end(home, 3) == ("refused", "busy", None)
    assert end(home, 2) == ("confirmed", None, "transition")
    assert home.lock.state == 1


def test_an_old_command_is_refused_before_the_cloud_is_asked() -> None:
    home = wifi_lock()
    home.world.run(30)
    since = home.world.now
    order(home, "unlock", ts=home.world.ts(60))
    home.world.run(5)

    assert end(home) == ("refused", "stale", None)
    assert home.asked("POST", "/action") == []
    assert home.asked("GET", ONE, since) == []


def test_what_cannot_be_sent_within_its_time_to_live_is_never_sent() -> None:
    home = wifi_lock()
    home.world.run(30)
    with home.cloud.faults.silent(ONE):
        order(home, "unlock", ttl_s=5)
        home.world.run(40)
    home.world.run(600)

    assert end(home)[0] == "expired"
    assert home.orders() == []


def test_while_a_bridge_that_may_know_the_lock_was_never_heard_a_command_waits_and_expires() -> None:
    home = CloudHome(has_bridge=True, device_type=4)
    assert home.bridge is not None
    home.bridge.paired = set()
    with home.bridge.faults.refuse_connections():
        home.start(ALONE)
        home.world.run(60)
        order(home, "unlock")
        home.world.run(60)
        assert end(home) == ("expired", "bridge_unreachable", None)
        assert home.orders() == []
    home.world.run(120)
    order(home, "unlock", 2)
    home.world.run(60)

    assert end(home, 2)[0] == "confirmed"
    assert home.orders() == [1]


def test_a_lock_that_no_bridge_can_know_does_not_wait_for_a_dead_one() -> None:
    home = CloudHome(has_bridge=True, device_type=5)
    assert home.bridge is not None
    home.bridge.paired = set()
    with home.bridge.faults.refuse_connections():
        home.start(ALONE)
        order(home, "unlock")
        home.world.run(60)

    assert end(home)[0] == "confirmed"


def test_a_motor_that_blocks_is_told_and_is_no_success() -> None:
    home = CloudHome()
    home.lock.is_jammed = True
    home.start(ALONE)
    order(home, "unlock")
    home.world.run(100)

    assert end(home)[:2] == ("failed", "motor_blocked")
    assert home.snapshot["lock"] == "JAMMED"
    assert [one["event_type"] for one in home.events("jammed", "command_failed")] == ["jammed", "command_failed"]


@pytest.mark.parametrize("action", ["unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch"])
def test_what_opens_is_not_pushed_again_after_an_operation_of_somebody_else(action: str) -> None:
    """423: whoever holds the lock may be opening it just now."""
    home = wifi_lock()
    with home.cloud.faults.held_operation(LOCK):
        order(home, action)
        home.world.run(1.5)
    home.world.run(120)

    assert end(home) == ("failed", "busy", None)
    assert home.world.end("front_door", 1)["may_have_acted"] is False
    assert len(home.asked("POST", "/action")) == 1
    assert home.lock.state == 1
    order(home, action, 2)
    home.world.run(120)
    assert end(home, 2)[0] == "confirmed"


def test_an_opener_is_not_pushed_again_either() -> None:
    home = CloudHome()
    opener = home.world.house.add(SimulatedOpener(nuki_id=0x3C4D5E6F, name="Intercom"))
    home.cloud.add(opener)
    home.start()
    for number, action in enumerate(("electric_strike", "activate_rto", "activate_cm")):
        with home.cloud.faults.held_operation(opener.nuki_id):
            home.world.command("intercom", {"action": action, "transaction": number})
            home.world.run(1.5)
        home.world.run(30)

    assert [home.world.end("intercom", number)["reason"] for number in range(3)] == ["busy"] * 3
    assert len(home.asked("POST", "/action")) == 3
    assert opener.unlatches == 0


def test_lock_goes_when_the_operation_of_somebody_else_is_over() -> None:
    home = wifi_lock(state=3)
    with home.cloud.faults.held_operation(LOCK):
        order(home, "lock")
        home.world.run(1.5)
    home.world.run(120)

    assert end(home)[0] == "confirmed"
    assert len(home.asked("POST", "/action")) > 1
    assert home.lock.state == 1


def test_lock_behind_an_operation_that_does_not_end_fails_in_time() -> None:
    home = wifi_lock(state=3)
    with home.cloud.faults.held_operation(LOCK):
        order(home, "lock")
        home.world.run(15)
        assert end(home) == ("failed", "busy", None)
    home.world.run(120)

    assert home.lock.state == 3


# --- Devices ----------------------------------------------------------------------------------------------------------


def test_a_lock_of_the_united_states_is_not_offered_unlatch_any_more_once_the_cloud_said_no() -> None:
    home = wifi_lock(has_unlatch=False)
    order(home, "unlatch")
    home.world.run(60)
    assert end(home)[:2] == ("failed", "bridge_said_no")
    permitted = home.world.retained("nuki2mqtt/gateway/devices")[0]["permitted"]
    assert permitted == ["unlock", "lock", "lock_n_go"]
    order(home, "unlatch", 2)
    order(home, "unlock", 3)
    home.world.run(60)

    assert end(home, 2)[0] == "refused"
    assert end(home, 3)[0] == "confirmed"


def listings(home: CloudHome, since: float) -> list[dict[str, Any]]:
    """What was said of the front door in the list of all devices since then."""
    listed = [one.json for one in home.world.messages("nuki2mqtt/gateway/devices", since)]
    return [device for devices in listed for device in devices if device["topic"] == "front_door"]


def offered(home: CloudHome, since: float) -> tuple[set[tuple[str, ...]], set[str]]:
    """All that was said to be permitted, and of what entities Home Assistant was told, since then."""
    told = [one.json["cmps"] for one in home.world.messages(CONFIG, since) if one.payload]
    entities = {key for components in told for key, entity in components.items() if len(entity) > 1}
    return {tuple(device["permitted"]) for device in listings(home, since)}, entities


@pytest.mark.parametrize("is_killed", [True, False])
def test_that_a_lock_cannot_unlatch_is_known_after_a_restart(*, is_killed: bool) -> None:
    home = wifi_lock(has_unlatch=False)
    assert "unlatch" in offered(home, 0)[1]
    order(home, "unlatch")
    home.world.run(60)
    if not is_killed:
        home.process.stop()
    at = home.world.now
    home.restart(run_s=60)

    permitted, entities = offered(home, at)
    assert permitted == {("unlock", "lock", "lock_n_go")}
    assert {"lock", "lock_n_go"} <= entities
    assert not {"unlatch", "lock_n_go_unlatch"} & entities
    order(home, "unlatch", 2)
    home.world.run(60)
    assert end(home, 2) == ("refused", "not_permitted", None)
    assert len(home.asked("POST", "/action")) == 1


def test_an_opener_by_the_cloud_has_numbers_of_its_own_for_continuous_mode() -> None:
    home = CloudHome()
    opener = home.world.house.add(SimulatedOpener(nuki_id=0x3C4D5E6F, name="Intercom"))
    home.cloud.add(opener)
    home.start()
    for number, action in enumerate(
        ("activate_cm", "deactivate_cm", "activate_rto", "deactivate_rto", "electric_strike")
    ):
        home.world.command("intercom", {"action": action, "transaction": number})
        home.world.run(150)

    assert home.orders() == [6, 7, 1, 2, 3]
    assert opener.unlatches == 1
    assert [home.world.end("intercom", number)["status"] for number in range(5)] == ["confirmed"] * 5


def test_get_reads_the_lock_from_the_cloud() -> None:
    home = wifi_lock()
    home.world.run(20)
    home.lock.turn(3)
    home.world.run(2)
    home.world.publish("nuki2mqtt/front_door/get", '{"transaction":"g"}')
    home.world.run(3)

    assert home.world.life("front_door", "g") == [("accepted", None), ("confirmed", None)]
    assert home.snapshot["state"] == "unlocked"
