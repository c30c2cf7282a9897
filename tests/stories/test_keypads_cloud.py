"""Whatever goes wrong between us and a keypad: after the last fault it has what is wanted, or we say why not.

Random orders, faults of the simulated cloud and kills of the process, in virtual time; then four days of peace. What is
on the simulated lock itself is compared with what the process remembers, not with the cloud's list alone.
"""

import itertools
import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.gateway.keypad_life import PENDING
from nuki2mqtt.model.keypad_order import ENDS, KeypadPhase
from nuki2mqtt.model.schedule import DailyWindow, Schedule, Weekday
from nuki2mqtt.protocol.web_api import CodeCreateRequest, CodeUpdateRequest, SyncRequest
from nuki2mqtt.protocol.web_auth_bodies import read_authorization
from nuki2mqtt.simulator.web import Conduct
from nuki2mqtt.simulator.web_bodies import authorization
from nuki2mqtt.simulator.web_faults import CloudFault, CloudFaults, Write
from tests.stories.keypad_world import DAILY_S, KeypadWorld

NAMES = ("Anna", "Ben", "Chr")
CODES = ("839275", "746913", "594836", "381947", "657284", "918273", "472918", "583719")
SCHEDULES = (
    Schedule(),
    Schedule(
        begins=datetime(2026, 12, 1, 8, tzinfo=UTC),
        ends=datetime(2027, 12, 24, 23, tzinfo=UTC),
        weekdays=frozenset({Weekday.MON, Weekday.SUN}),
        daily=DailyWindow(480, 1085),
    ),
)
LOCK = 0x3ED0AFC5
LIST = "/smartlock/{smartlockId}/auth"
ONE = "/smartlock/{smartlockId}/auth/{id}"
FAULTS: dict[str, Callable[[CloudFaults], CloudFault]] = {
    "lost creates": lambda faults: faults.lost_writes(kind=Write.CREATE),
    "lost updates": lambda faults: faults.lost_writes(kind=Write.UPDATE),
    "lost deletes": lambda faults: faults.lost_writes(kind=Write.DELETE),
    "lost writes": lambda faults: faults.lost_writes(),
    "slow writes": lambda faults: faults.slow_writes(150.0),
    "ghosts": lambda faults: faults.ghost_creates(),
    "offline": lambda faults: faults.offline(LOCK),
    "held": lambda faults: faults.held_operation(LOCK),
    "silent": lambda faults: faults.silent(LIST, acts=True),
    "silent and deaf": lambda faults: faults.silent(),
    "reset": lambda faults: faults.reset_connections(ONE, acts=True),
    "html": lambda faults: faults.proxy_error(acts=True),
    "html, not done": lambda faults: faults.proxy_error(LIST),
    "throttled": lambda faults: faults.throttle(seconds=30.0),
    "token": lambda faults: faults.refuse_token(),
    "refused": lambda faults: faults.refuse_connections(),
}
PAUSES = st.sampled_from((0.0, 0.5, 3.0, 7.0, 30.0, 100.0, 400.0, 4000.0, 30_000.0))
MOVES = st.one_of(
    st.tuples(
        st.just("create"), st.sampled_from(NAMES), st.sampled_from(CODES), st.booleans(), st.sampled_from((0, 1))
    ),
    st.tuples(
        st.just("update"), st.sampled_from(NAMES), st.sampled_from(CODES), st.booleans(), st.sampled_from((0, 1))
    ),
    st.tuples(st.sampled_from(("delete", "enable", "disable")), st.sampled_from(NAMES)),
    st.tuples(st.just("begin"), st.sampled_from(sorted(FAULTS))),
    st.tuples(st.just("end"), st.sampled_from(sorted(FAULTS))),
    st.tuples(st.just("kill"), st.integers(0, 6)),
)
CONDUCTS = st.builds(
    Conduct,
    keeps_offline_writes=st.booleans(),
    code_is_a_list=st.booleans(),
    omits_defaults=st.booleans(),
    update_heals_ghosts=st.booleans(),
)
STRANGERS = {"Owner's son": "274619", "Anna": "961834"}  # one has a name of ours


def play(world: KeypadWorld, moves: list[tuple[Any, float]]) -> dict[str, str]:
    """Do it all; gives the code that each name was last given by an order that was taken."""
    codes: dict[str, str] = {}
    active: dict[str, CloudFault] = {}
    with ExitStack() as stack:
        for number, (move, pause_s) in enumerate(moves):
            match move:
                case ("create" | "update") as op, name, code, enabled, schedule:
                    more = {"enabled": enabled, "schedule": SCHEDULES[schedule], "transaction": number}
                    world.order(op, name, code, **more)
                case ("delete" | "enable" | "disable") as op, name:
                    world.order(op, name, transaction=number)
                case "begin", fault if fault not in active:
                    active[fault] = stack.enter_context(FAULTS[fault](world.cloud.faults))
                case "end", fault if fault in active:
                    active.pop(fault).end()
                case "kill", steps:
                    world.fuse = steps
            if move[0] in {"create", "update"}:
                wishes = world.saved.wishes.values()
                codes |= {one.name: one.code.reveal() for one in wishes if one.code and one.name == move[1]}
            world.run(pause_s)
    return codes


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(MOVES, PAUSES), min_size=3, max_size=14), CONDUCTS, st.integers(1, 50))
def test_after_the_last_fault_the_keypad_is_as_wanted(
    moves: list[tuple[Any, float]], conduct: Conduct, seed: int
) -> None:
    converge(moves, conduct, seed)


def converge(moves: list[tuple[Any, float]], conduct: Conduct, seed: int) -> KeypadWorld:
    """Play it and hold the end against everything that was promised."""
    world = KeypadWorld(seed=seed, conduct=conduct, poll_s=600.0)
    for name, code in STRANGERS.items():
        world.known.auths.add_by_app(name=name, code=int(code))
    world.known.sync(is_forced=False)
    strangers = [one for one in world.known.auths if one.shown.code is not None]
    was = {one.id: repr(one.shown) for one in strangers}

    codes = play(world, moves)
    world.fuse, world.poll_s = None, 4 * 3600.0
    world.poll()
    world.run(4 * DAILY_S)

    wishes = {one.name: one for one in world.saved.wishes.values()}
    listed = {one.id: one for one in world.known.auths if one.shown.code is not None and one.id not in was}
    # Everything has come to an end, and says why where it is not as wanted.
    assert {name: one.phase for name, one in wishes.items() if one.phase in PENDING} == {}
    assert all(one.reason for one in wishes.values() if one.phase is not KeypadPhase.ACTIVE)
    # What is active is on the lock, exactly so.
    for name, wish in wishes.items():
        if wish.phase is KeypadPhase.ACTIVE:
            entry = listed.pop(wish.auth_id or "")
            truth = world.known.memory.stored[entry.shown.number]
            assert truth == entry.shown
            assert str(truth.code) == codes[name]
            assert wish.compare(read_authorization(json.loads(json.dumps(authorization(entry))))).is_exact
            assert wish.code is None
        elif wish.auth_id is not None:
            del listed[wish.auth_id]
    # Nothing of ours is left that is not wanted, and what others made is as they made it.
    assert [one.shown.name for one in listed.values()] == []
    assert {one.id: repr(one.shown) for one in strangers if one.shown.number in world.known.memory.stored} == was
    # Each order that was taken has one end, and each end that is no success a reason.
    for number in range(len(moves)):
        steps = [one for one in world.told if one.transaction == number]
        ends = [one for one in steps if one.phase in ENDS]
        assert len(ends) == bool(steps) or world.kills
        assert {(one.phase, one.reason) for one in ends} == {(one.phase, one.reason) for one in ends[:1]}
        assert all(one.reason for one in ends if one.phase not in {KeypadPhase.ACTIVE, KeypadPhase.DELETED})
    assert world.saved.operations == {}
    # The budget of syncs, whole objects, one write at a time, and no code anywhere.
    syncs = [at for at, request in world.sent if isinstance(request, SyncRequest)]
    assert all(after - before >= 6 * 3600 for before, after in itertools.pairwise(syncs))
    assert world.keypads.syncs(world.known.smartlock_id) <= len(syncs) + world.kills
    bodies = [one.json() for _, one in world.sent if isinstance(one, CodeUpdateRequest)]
    assert all(len([key for key in body if key.startswith("allowed")]) == 5 for body in bodies)
    creates = [one for _, one in world.sent if isinstance(one, CodeCreateRequest)]
    assert {one.wanted.name for one in creates} <= set(NAMES)
    said = "\n".join([*world.logs, repr(world.told), repr(world.lists), repr(world.saved)])
    assert [code for code in CODES if code in said] == []
    return world
