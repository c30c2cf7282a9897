"""An old command opens nothing, and a wrong clock takes no old one for new (docs/topics.md, "Commands": Stale)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import UNLOCKED, SimulatedLock, Timing
from tests.stories.world import DONE, Disk, Protocol, World, refused

OUTAGE_S = 600.0
HOUR_S = 3600.0


def check_nothing_moved(world: World, lock: SimulatedLock) -> None:
    assert not world.actions()
    assert (lock.turns, lock.unlatches) == (0, 0)


# --- Ten minutes without a broker -----------------------------------------------------------------------------------


def play_outage(world: World, order: dict[str, Any] | str, **options: Any) -> None:
    """A client speaks into an outage; its queue delivers ten minutes later, when we are back."""
    world.start_ready()
    world.broker.stop()
    world.run(1)
    world.command("front_door", order, **options)
    world.run(OUTAGE_S)
    world.broker.start()
    world.run(60)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_stale_a_command_with_a_ts_that_waited_ten_minutes_is_refused(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, protocol: Protocol
) -> None:
    world.protocol = protocol
    play_outage(world, {"action": "unlatch", "ts": world.ts(-6.0), "transaction": "old"})
    end = world.end("front_door", "old")
    assert (end["status"], end["reason"], end["may_have_acted"]) == ("refused", "stale", False)
    assert world.failures("front_door") == [("unlatch", "stale")]
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_stale_with_mqtt_3_1_1_a_bare_one_that_waited_ten_minutes_is_refused(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.protocol = "3.1.1"
    play_outage(world, "unlatch")
    assert world.life("front_door") == [("refused", "needs_ts")]
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_stale_with_mqtt_5_a_bare_one_cannot_be_told_from_a_new_one(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    """Nothing in it tells its age: this is what `ts` is for, and why Home Assistant is made to send it."""
    play_outage(world, "unlatch")
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_stale_one_that_was_published_with_qos_0_into_the_outage_never_comes(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    play_outage(world, "unlatch", qos=0)
    assert not world.results("front_door")
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_stale_one_that_expired_in_its_client_never_comes(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.broker.clients_heed_expiry = True
    play_outage(world, "unlatch", expiry_s=10)
    assert not world.results("front_door")
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_stale_with_a_ts_and_an_expiry_that_its_client_does_not_heed_it_is_refused(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    play_outage(world, {"action": "unlatch", "ts": world.ts()}, expiry_s=10)
    assert world.life("front_door") == [("refused", "stale")]
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_stale_retained_messages_are_the_only_ones_that_a_broker_keeps_for_us(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_ready()
    world.broker.disconnect(process, is_clean=False)
    world.command("front_door", "unlatch", qos=1)
    world.run(OUTAGE_S)
    process.reconnect()
    world.run(30)
    assert not world.results("front_door")
    assert bridge.requests
    check_nothing_moved(world, lock)


# --- A path that stalls -----------------------------------------------------------------------------------------------


def test_stale_one_that_the_path_held_back_is_refused_by_its_ts(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_ready()
    world.broker.stall(process)
    world.command("front_door", {"action": "unlock", "ts": world.ts()})
    world.run(30)
    world.broker.resume(process, in_pipe=True)
    world.run(30)
    assert world.life("front_door") == [("refused", "stale")]
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_stale_one_that_expired_at_the_broker_never_comes(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_ready()
    world.broker.stall(process)
    world.command("front_door", "unlatch", expiry_s=10)
    world.run(30)
    world.broker.resume(process)
    world.run(30)
    assert not world.results("front_door")
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_expired_what_is_left_of_an_expiry_counts_while_a_command_waits(world: World, lock: SimulatedLock) -> None:
    """Of its 8 s, 6 are over when it comes, and its lane is taken for 5 s more."""
    bridge = world.add_bridge(timing=Timing(accept_s=12.0))
    process = world.start_ready("commands: {overlap: queue}\n")
    world.command("front_door", {"action": "unlock", "transaction": "first"})
    world.run(1)
    world.broker.stall(process)
    world.command("front_door", {"action": "unlatch", "transaction": "short"}, expiry_s=8)
    world.run(6)
    world.broker.resume(process)
    world.run(90)
    assert world.life("front_door", "short")[0] == ("accepted", "queued")
    assert world.end("front_door", "short")["status"] == "expired"
    assert world.end("front_door", "first")["status"] == "confirmed"
    assert [request.query["action"] for request in world.actions(bridge)] == ["1"]
    assert (lock.turns, lock.unlatches) == (1, 0)


def test_expired_by_its_message_expiry_while_its_lane_is_taken(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(timing=Timing(accept_s=5.0))
    world.start_ready("commands: {overlap: queue}\n")
    world.command("front_door", {"action": "unlock", "transaction": "first"})
    world.run(1)
    world.command("front_door", {"action": "unlatch", "transaction": "second"}, expiry_s=2)
    world.run(90)
    assert world.life("front_door", "second")[0] == ("accepted", "queued")
    end = world.end("front_door", "second")
    assert (end["status"], end["may_have_acted"]) == ("expired", False)
    assert world.end("front_door", "first")["status"] == "confirmed"
    assert [request.query["action"] for request in world.actions(bridge)] == ["1"]
    assert (lock.turns, lock.unlatches) == (1, 0)


@pytest.mark.parametrize(
    ("order", "expiry_s"),
    [("unlatch", None), ('{"action":"unlatch","ttl_s":3}', None), ("unlatch", 3)],
)
def test_expired_waiting_in_our_own_inbox_counts(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, order: str, expiry_s: int | None
) -> None:
    process = world.start_ready()
    process.inbox_s = 12.0
    world.command("front_door", order, expiry_s=expiry_s)
    world.run(60)
    end = world.end("front_door")
    assert end["status"] in {"expired", "refused"}
    assert end["may_have_acted"] is False
    assert bridge.requests
    check_nothing_moved(world, lock)


def test_expired_waiting_goes_by_the_monotonic_clock(world: World, lock: SimulatedLock) -> None:
    """The wall clock is set back by an hour while a command waits: it does not wait an hour."""
    bridge = world.add_bridge(timing=Timing(accept_s=15.0))
    world.start_ready("commands: {overlap: queue}\n", bridge="auth: plain")
    world.command("front_door", {"action": "unlock", "transaction": "first"})
    world.run(1)
    world.command("front_door", {"action": "unlatch", "transaction": "second", "ts": world.ts()})
    world.run(1)
    world.wall_offset_s = -HOUR_S
    world.run(90)
    assert world.end("front_door", "second")["status"] == "expired"
    assert [request.query["action"] for request in world.actions(bridge)] == ["1"]
    assert (lock.turns, lock.unlatches) == (1, 0)


# --- ts and ttl -------------------------------------------------------------------------------------------------------


def iso_z(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_offset(at: float) -> str:
    return datetime.fromtimestamp(at, timezone(timedelta(hours=5, minutes=30))).isoformat()


def milliseconds(at: float) -> int:
    return int(at * 1000)


@pytest.mark.parametrize("written", [iso_z, iso_offset, int, float, milliseconds])
@pytest.mark.parametrize(
    ("ago_s", "reason"), [(0.0, None), (8.0, None), (-8.0, None), (12.0, "stale"), (-12.0, "clock_ahead")]
)
def test_stale_every_way_to_write_a_ts(
    world: World,
    bridge: SimulatedBridge,
    lock: SimulatedLock,
    written: Callable[[float], Any],
    ago_s: float,
    reason: str | None,
) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlock", "ts": written(world.now - ago_s)})
    world.run(30)
    assert world.life("front_door") == (DONE if reason is None else [("refused", reason)])
    assert len(world.actions(bridge)) == lock.turns == (reason is None)


@pytest.mark.parametrize(
    "ts", ["2026-11-22T12:00:05", "yesterday", "12:00", "", [], {}, True, 1e400, "99999-01-01T00:00Z"]
)
def test_bad_payload_a_ts_that_is_no_time_is_refused(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, ts: object
) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlock", "ts": ts})
    world.run(30)
    assert world.life("front_door") == [("refused", "bad_payload")]
    assert bridge.requests
    check_nothing_moved(world, lock)


@pytest.mark.parametrize(
    ("order", "ago_s", "reason"),
    [
        ({"action": "unlock", "ttl_s": 5}, 8.0, "stale"),
        ({"action": "unlock", "ttl_s": 5}, 3.0, None),
        ({"action": "unlock", "ttl_s": 60}, 15.0, "stale"),
        ({"action": "unlatch", "ttl_s": 3600}, 15.0, "stale"),
        ({"action": "lock", "ttl_s": 60}, 15.0, None),
        ({"action": "lock"}, 15.0, "stale"),
    ],
)
def test_ttl_s_shortens_and_for_what_opens_never_lengthens(
    world: World,
    bridge: SimulatedBridge,
    lock: SimulatedLock,
    order: dict[str, object],
    ago_s: float,
    reason: str | None,
) -> None:
    lock.state = UNLOCKED if order["action"] == "lock" else lock.state
    bridge.catch_up()
    world.start_ready()
    world.command("front_door", order | {"ts": world.ts(ago_s)})
    world.run(30)
    assert world.life("front_door") == (DONE if reason is None else [("refused", reason)])
    assert len(world.actions(bridge)) == lock.turns == (reason is None)


def test_ttl_s_of_the_settings_counts(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready("commands: {ttl_s: 30}\n")
    world.command("front_door", {"action": "unlock", "ts": world.ts(25), "transaction": 1})
    world.run(30)
    world.command("front_door", {"action": "unlock", "ts": world.ts(35), "transaction": 2})
    world.run(30)
    assert world.life("front_door", 1) == DONE
    assert world.life("front_door", 2) == [("refused", "stale")]
    assert len(world.actions(bridge)) == lock.turns == 1


# --- Clocks -----------------------------------------------------------------------------------------------------------

PLAIN = "auth: plain"  # with a wrong clock a Bridge takes no other proof


@pytest.mark.parametrize("is_synchronised", [False, None, True])
def test_clock_untrusted_before_the_build_date_and_trusted_once_it_is_set(
    world: World,
    bridge: SimulatedBridge,
    lock: SimulatedLock,
    is_synchronised: bool | None,  # noqa: FBT001
) -> None:
    world.set_wall(5.0)
    world.is_synchronised = is_synchronised
    world.start_ready(bridge=PLAIN)
    world.command("front_door", {"action": "unlatch", "ts": world.ts(), "transaction": "a"})
    world.command("intercom", {"action": "open", "ts": world.ts(HOUR_S), "transaction": "b"})
    world.run(10)
    assert world.life("front_door", "a") == [("refused", "clock_untrusted")]
    assert world.life("intercom", "b") == [("refused", "clock_untrusted")]
    check_nothing_moved(world, lock)
    world.command("front_door", {"action": "lock", "ts": world.ts(), "transaction": "c"})
    world.run(10)
    # Whether a closing command's ts is compared with such a clock is not fixed.
    assert world.life("front_door", "c") in (DONE, refused("clock_ahead"))
    world.command("front_door", {"action": "unlock", "transaction": "d"})
    world.run(30)
    assert world.life("front_door", "d") == DONE, "without a ts the clock does not matter"
    world.wall_offset_s = 0.0
    world.is_synchronised = True
    world.command("front_door", {"action": "unlatch", "ts": world.ts(), "transaction": "e"})
    world.run(30)
    assert world.life("front_door", "e") == DONE
    assert [request.query["action"] for request in world.actions(bridge)][-2:] == ["1", "3"]
    assert lock.unlatches == 1


@pytest.mark.parametrize(("offset_s", "reason"), [(HOUR_S, "stale"), (-HOUR_S, "clock_ahead")])
def test_stale_with_our_clock_an_hour_off_no_fresh_command_is_taken(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, offset_s: float, reason: str
) -> None:
    world.wall_offset_s = offset_s
    world.start_ready(bridge=PLAIN)
    world.command("front_door", {"action": "unlatch", "ts": world.ts()})
    world.run(30)
    assert world.life("front_door") == [("refused", reason)]
    assert bridge.requests
    check_nothing_moved(world, lock)


@pytest.mark.parametrize("offset_s", [HOUR_S, -HOUR_S, 90.0])
def test_clock_untrusted_unsynchronised_and_unlike_the_bridge_s(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, offset_s: float
) -> None:
    world.wall_offset_s = offset_s
    world.is_synchronised = False
    world.start_ready(bridge=PLAIN)
    world.command("front_door", {"action": "unlatch", "ts": world.ts()})
    world.run(30)
    assert world.life("front_door") == [("refused", "clock_untrusted")]
    assert bridge.requests
    check_nothing_moved(world, lock)


@pytest.mark.parametrize("skew_s", [0.0, 50.0, -50.0])
def test_clock_trusted_unsynchronised_and_like_the_bridge_s(world: World, lock: SimulatedLock, skew_s: float) -> None:
    bridge = world.add_bridge(clock_skew_s=skew_s)
    world.is_synchronised = False
    world.start_ready(bridge=PLAIN)
    world.command("front_door", {"action": "unlatch", "ts": world.ts()})
    world.run(30)
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_clock_untrusted_unsynchronised_with_no_bridge_to_ask(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge()
    disk = Disk("1234abcd")
    world.start_ready(disk=disk).stop()
    world.run(10)
    bridge.faults.refuse_connections().begin()
    world.is_synchronised = False
    world.start_ready(disk=disk)
    world.command("front_door", {"action": "unlatch", "ts": world.ts()})
    world.run(30)
    assert world.life("front_door") == [("refused", "clock_untrusted")]
    check_nothing_moved(world, lock)


@pytest.mark.parametrize("skew_s", [HOUR_S, -HOUR_S])
@pytest.mark.parametrize("is_synchronised", [True, None])
def test_clock_trusted_synchronised_whatever_a_bridge_says(
    world: World,
    lock: SimulatedLock,
    skew_s: float,
    is_synchronised: bool | None,  # noqa: FBT001
) -> None:
    bridge = world.add_bridge(clock_skew_s=skew_s)
    world.is_synchronised = is_synchronised
    world.start_ready(bridge=PLAIN)
    world.command("front_door", {"action": "unlatch", "ts": world.ts()})
    world.run(30)
    assert world.life("front_door") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_trust_clock_always_believes_it(world: World, lock: SimulatedLock) -> None:
    bridge = world.add_bridge(clock_skew_s=HOUR_S)
    world.is_synchronised = False
    world.start_ready("commands: {trust_clock: always}\n", bridge=PLAIN)
    world.command("front_door", {"action": "unlatch", "ts": world.ts(), "transaction": 1})
    world.run(30)
    world.command("front_door", {"action": "unlatch", "ts": world.ts(60), "transaction": 2})
    world.run(30)
    assert world.life("front_door", 1) == DONE
    assert world.life("front_door", 2) == [("refused", "stale")]
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_trust_clock_always_in_1970_finds_every_ts_ahead(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.set_wall(5.0)
    world.start_ready("commands: {trust_clock: always}\n", bridge=PLAIN)
    world.command("front_door", {"action": "unlatch", "ts": world.ts()})
    world.run(30)
    assert world.life("front_door") == [("refused", "clock_ahead")]
    assert bridge.requests
    check_nothing_moved(world, lock)
