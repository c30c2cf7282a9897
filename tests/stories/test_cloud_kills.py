"""kill -9 of the gateway at every effect while keypad orders run: nothing is lost or doubled, each has one end."""

import itertools

import pytest

from nuki2mqtt.gateway.vocabulary import CallWeb, Effect, Remember
from nuki2mqtt.simulator.web_faults import Write
from tests.stories.cloud_world import CloudHome

CREATED, CHANGED, DELETED = "create", "change", "delete"
MOST_EFFECTS = 45


def ordered(home: CloudHome, op: str) -> None:
    match op:
        case "create":
            home.order_code("create", name="Anna", code="839275", schedule={"weekdays": ["mon"]})
        case "change":
            home.order_code("update", name="Anna", code="746913")
        case _:
            home.order_code("delete", name="Anna")


def prepared(op: str) -> CloudHome:
    home = CloudHome()
    home.start()
    if op != CREATED:
        home.order_code("create", "before", name="Anna", code="839275", schedule={"weekdays": ["mon"]})
        home.world.run(60)
        assert home.keypad_end("before") == ("active", None)
    return home


def check(home: CloudHome, op: str, accepted: bool) -> None:  # noqa: FBT001
    ends = {(one["phase"], one["reason"]) for one in home.keypad_results() if one["status"] != "accepted"}
    if not accepted:
        assert ends == set()
        return
    wanted = {CREATED: {"Anna": 839275}, CHANGED: {"Anna": 746913}, DELETED: {}}[op]
    assert home.on_lock() == wanted
    assert ends == {("deleted", None) if op == DELETED else ("active", None)}
    assert home.codes() == ({} if op == DELETED else {"Anna": ("active", None)})
    assert [one.shown.name for one in home.known.auths].count("Anna") == len(wanted)
    assert home.disk.memory.keypad_operations == {}
    if op != DELETED:
        assert {one.schedule.week_days for one in home.known.memory.codes.values()} == {64}


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("number", range(MOST_EFFECTS))
@pytest.mark.parametrize("op", [CREATED, CHANGED, DELETED])
def test_killed_at_any_effect_an_order_that_was_taken_is_done_once(
    op: str,
    number: int,
    is_before: bool,  # noqa: FBT001
) -> None:
    home = prepared(op)
    seen = itertools.count()

    def is_fatal(_: Effect) -> bool:
        return next(seen) == number

    (home.process.kill_before if is_before else home.process.kill_after)(is_fatal)
    ordered(home, op)
    home.world.run(40)
    was_killed = not home.process.is_alive
    kept = home.disk.memory
    accepted = bool(home.keypad_results()) or any(
        one.op == {CHANGED: "update"}.get(op, op) for one in kept.keypad_operations.values()
    )
    home.restart()
    home.world.run(900)

    assert was_killed or number >= 10
    check(home, op, accepted)


@pytest.mark.parametrize("op", [CREATED, CHANGED, DELETED])
def test_killed_again_and_again_before_each_request_it_still_ends(op: str) -> None:
    home = prepared(op)
    ordered(home, op)
    for _ in range(6):
        home.process.kill_before(lambda effect: isinstance(effect, CallWeb) and effect.request.method != "GET")
        home.world.run(60)
        home.restart()
    home.world.run(3600)

    check(home, op, accepted=True)


@pytest.mark.parametrize("op", [CREATED, CHANGED, DELETED])
def test_killed_after_each_save_while_the_cloud_forgets_what_it_promised(op: str) -> None:
    home = prepared(op)
    with home.cloud.faults.lost_writes(kind={CREATED: Write.CREATE, CHANGED: Write.UPDATE}.get(op, Write.DELETE)):
        ordered(home, op)
        home.world.run(1)
        for _ in range(3):
            home.process.kill_after(lambda effect: isinstance(effect, Remember))
            home.world.run(100)
            home.restart()
    home.world.run(2 * 3600)

    check(home, op, accepted=True)


def test_two_orders_for_one_code_before_a_kill_have_one_end_each() -> None:
    home = prepared(CREATED)
    home.order_code("create", "first", name="Anna", code="839275")
    home.world.run(0.1)
    home.order_code("update", "second", name="Anna", code="746913")
    home.world.run(0.1)
    home.restart()
    home.world.run(3600)

    assert home.keypad_end("first") in {("failed", "superseded"), ("active", None)}
    assert home.keypad_end("second") == ("active", None)
    assert home.on_lock() == {"Anna": 746913}


def test_a_disk_that_cannot_be_written_is_said_and_an_order_runs_all_the_same() -> None:
    home = prepared(CREATED)
    home.disk.is_writable = False
    ordered(home, CREATED)
    home.world.run(60)

    assert home.keypad_end() == ("active", None)
    assert home.health()["state_file"] is not None
