"""Whatever is asked, whoever comes and whatever breaks: what must hold of a cloud and its locks all the same."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.simulator import visitors
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.doer import BY_BRIDGE, BY_BUTTON, BY_HAND, Doer
from nuki2mqtt.simulator.house import House, SimulatedDevice, SimulatedLock
from nuki2mqtt.simulator.web import Conduct, SimulatedCloud
from nuki2mqtt.simulator.web_faults import CloudFault
from nuki2mqtt.simulator.web_log import CANCELED, MOST_ENTRIES
from tests.simulator.cloud_site import NOW, CloudSite, code_body, make_site

CODES = (345678, 456789, 567891)
NAMES = ("One", "Two")


def _auth_path(site: CloudSite, pick: int) -> str:
    """One of the entries of the door, or one that is not there."""
    ids = [one.id for one in site.front.auths if one.shown.code is not None]
    return f"{site.path}/auth/{ids[pick % len(ids)] if ids else '0' * 24}"


def _begin(site: CloudSite, name: str) -> None:
    faults = site.cloud.faults
    every: dict[str, Callable[[], CloudFault]] = {
        "lost": faults.lost_writes,
        "ghosts": faults.ghost_creates,
        "offline": lambda: faults.offline(site.door.nuki_id),
        "frozen": lambda: faults.frozen_copy(site.door.nuki_id),
        "slow": lambda: faults.slow_writes(40.0),
        "proxy": lambda: faults.proxy_error(acts=True),
        "silent": faults.silent,
    }
    every[name]().begin()


def _end_all(site: CloudSite) -> None:
    for fault in tuple(site.cloud.faults.active):
        fault.end()


# Each step: a word, and a number that it may use.
STEPS: dict[str, Callable[[CloudSite, int], object]] = {
    "wait": lambda site, number: site.wait(float(number)),
    "create": lambda site, number: site.ask(
        "PUT", f"{site.path}/auth", code_body(NAMES[number % 2], CODES[number % 3])
    ),
    "update": lambda site, number: site.ask(
        "POST", _auth_path(site, number), {"name": NAMES[number % 2], "code": CODES[number % 3]}
    ),
    "delete": lambda site, number: site.ask("DELETE", _auth_path(site, number)),
    "sync": lambda site, _: site.ask("POST", f"{site.path}/sync"),
    "action": lambda site, number: site.ask("POST", f"{site.path}/action", {"action": 1 + number % 5}),
    "code": lambda site, number: visitors.enter_code(site.front, CODES[number % 3]),
    "hand": lambda site, number: site.door.turn(1 if number % 2 else 3),
    "door": lambda site, number: site.door.set_door(2 + number % 2),
    "app code": lambda site, number: site.front.auths.add_by_app(name="App", code=CODES[number % 3]),
    "ghost": lambda site, number: site.front.memory.remove(8192 + number % 3),
    "fault": lambda site, number: _begin(
        site, ("lost", "ghosts", "offline", "frozen", "slow", "proxy", "silent")[number % 7]
    ),
    "end": lambda site, _: _end_all(site),
}
LIVES = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 60)), max_size=40)


def live(site: CloudSite, steps: list[tuple[str, int]]) -> None:
    for word, number in steps:
        STEPS[word](site, number)
        memory = site.front.memory
        codes = [one.code for one in memory.stored.values() if one.code is not None]
        assert len(codes) == len(set(codes)), "a keypad has a code once"
        assert len(memory.stored) <= memory.capacity


@settings(max_examples=60, deadline=None)
@given(LIVES, st.booleans())
def test_at_the_end_a_sync_shows_the_truth(steps: list[tuple[str, int]], keeps: bool) -> None:  # noqa: FBT001
    site = make_site(Conduct(keeps_offline_writes=keeps))
    live(site, steps)
    _end_all(site)
    site.wait(3000)
    site.done("POST", f"{site.path}/sync")
    site.wait(10)
    stored = site.front.memory.stored
    assert {one.shown.number: one.shown for one in site.front.auths} == stored
    shown = site.get(site.path)
    assert (shown["state"]["state"], shown["state"]["doorState"]) == (site.door.state, site.door.door)
    assert ("operationId" in shown, shown["serverState"]) == (False, 0)
    assert not any(one.operation_id for one in site.front.auths)


@settings(max_examples=60, deadline=None)
@given(LIVES)
def test_every_turn_of_the_motor_is_one_entry(steps: list[tuple[str, int]]) -> None:
    """Done, given up or, after lock'n'go, begun by the lock itself; nobody's turn is told twice or not at all."""
    site = make_site()
    live(site, steps)
    _end_all(site)
    site.wait(3000)
    by_motor = [entry for entry in site.cloud.log.entries if entry.doer.trigger in {4, 255} and entry.state < 224]
    assert len(by_motor) == site.door.turns
    assert all(entry.is_shown for entry in site.cloud.log.entries)
    entered = [one.lock_count for one in site.front.memory.stored.values()]
    named = [entry for entry in by_motor if entry.doer.trigger == 255]
    assert sum(entered) <= len(named)


@settings(max_examples=30, deadline=None)
@given(LIVES)
def test_the_same_life_twice(steps: list[tuple[str, int]]) -> None:
    def seen() -> list[Any]:
        site = make_site()
        live(site, steps)
        _end_all(site)
        site.wait(100)
        return [site.get("/smartlock"), site.get("/smartlock/auth"), site.get("/smartlock/log"), site.cloud.requests]

    assert seen() == seen()


# --- A cloud beside a Bridge --------------------------------------------------------------------------------------


def test_a_cloud_changes_nothing_for_the_bridge() -> None:
    """The same answers and callbacks at the same times, whether the locks are in an account or not."""

    def said(*, has_cloud: bool) -> list[Any]:
        house = House(now=NOW)
        lock = house.add(SimulatedLock(nuki_id=1, door=2, keypad_critical=False))
        bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token="sim123")
        bridge.callbacks.add("http://192.0.2.1/")
        if has_cloud:
            SimulatedCloud(house).add(lock)
        told: list[Any] = []
        for number in range(30):
            at = NOW + 7.0 * number
            query = {"token": "sim123", "nukiId": "1", "deviceType": "4", "action": str(1 + number % 5), "nowait": "1"}
            told.append(bridge.answer("/lockAction" if number % 3 else "/list", query, at))
            told.append(bridge.take_callbacks(at + 5))
        return told

    assert said(has_cloud=True) == said(has_cloud=False)


def test_witnesses_are_told_who_does_it(house: House, lock: SimulatedLock) -> None:
    told: list[tuple[int, int | None, Doer]] = []

    def witness(device: SimulatedDevice, action: int | None, doer: Doer) -> None:
        told.append((device.state, action, doer))

    house.witnesses.add(witness)
    timing = make_site().cloud.motor
    lock.turn(3)
    lock.order(2, timing)
    with house.witnesses.doing(BY_BUTTON):
        lock.order_unlock(timing)
        with house.witnesses.doing(Doer(5, name="Owner")):
            lock.turn(1)
        lock.turn(3)
    house.witnesses.remove(witness)
    lock.turn(1)
    assert told == [
        (1, None, BY_HAND),
        (3, 2, BY_BRIDGE),
        (3, 3, BY_BUTTON),
        (3, None, Doer(5, name="Owner")),
        (1, None, BY_BUTTON),
    ]


def test_the_log_is_bounded() -> None:
    site = make_site()
    for number in range(MOST_ENTRIES + 1):
        site.cloud.log.write(site.front, 1, BY_HAND, state=CANCELED)
        if number % 50 == 0:
            site.wait(100)
    assert len(site.cloud.log.entries) == MOST_ENTRIES // 2 + 1
    assert len(json.loads(site.ask("GET", "/smartlock/log", query={"limit": "50"}).body)) == 50
