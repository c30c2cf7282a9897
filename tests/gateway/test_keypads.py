"""What is asked of the cloud for a keypad code, when, and what is said of it; the cloud is the simulated one."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nuki2mqtt.gateway.keypad_orders import RESERVE
from nuki2mqtt.gateway.keypad_steps import AskCloud, SaveWishes, SayResult
from nuki2mqtt.gateway.keypads import Keypads
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.keypad import Authorization
from nuki2mqtt.model.keypad_order import KeypadOp, KeypadPhase
from nuki2mqtt.model.schedule import DailyWindow, Schedule, Weekday
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.keypad_payloads import KeypadOrder
from nuki2mqtt.simulator.keypad import OLD_CAPACITY
from nuki2mqtt.simulator.web import CloudTiming, Conduct
from nuki2mqtt.simulator.web_faults import Write
from tests.stories.keypad_world import BEGAN, TOKEN, KeypadWorld, chance

CODE, OTHER, THIRD = "839275", "746913", "594836"
LOCK = 0x3ED0AFC5
AUTHS, AUTH = "/smartlock/{smartlockId}/auth", "/smartlock/{smartlockId}/auth/{id}"
FIXED = CloudTiming(write_s=(4.0, 4.0), sync_s=(6.0, 6.0))
HOUR, DAY = 3600.0, 86_400.0
CREATE, UPDATE, DELETE, SYNC = (
    "CodeCreateRequest",
    "CodeUpdateRequest",
    "AuthorizationDeleteRequest",
    "SyncRequest",
)
LIMITED = Schedule(
    begins=datetime(2026, 12, 1, 8, 30, tzinfo=UTC),
    ends=datetime(2026, 12, 24, 23, tzinfo=UTC),
    weekdays=frozenset({Weekday.MON, Weekday.SUN}),
    daily=DailyWindow(480, 1085),
)


@pytest.fixture
def world() -> KeypadWorld:
    return KeypadWorld(timing=FIXED)


def with_code(world: KeypadWorld) -> KeypadWorld:
    """A code of ours is active; nothing was told or sent so far."""
    world.create("Anna", CODE)
    world.run(60)
    assert world.phases()["Anna"] == ("active", None)
    world.told.clear()
    world.sent.clear()
    return world


# --- The good course --------------------------------------------------------------------------------------------------


def test_a_code_is_active_when_a_list_shows_it(world: KeypadWorld) -> None:
    world.create("Anna", CODE, schedule=LIMITED, transaction="t")
    world.run(3)
    assert world.steps("t") == [("create_pending", None)]
    assert world.phases() == {"Anna": ("create_pending", None)}

    world.run(60)

    assert world.steps("t") == [("create_pending", None), ("active", None)]
    assert world.on_lock() == {"Anna": CODE}
    assert world.writes() == [CREATE]
    # Before the write, and 2 and 5 s after its answer.
    assert world.reads() == [0.0, 2.4, 5.4]


def test_what_is_wanted_is_saved_before_the_request(world: KeypadWorld) -> None:
    order = KeypadOrder(op=KeypadOp.CREATE, name="Anna", code=Secret(CODE), transaction=1)
    first = world.keypads.order(world.known.smartlock_id, order, world.moment())
    assert [type(step) for step in first] == [SaveWishes, SayResult, AskCloud]
    [(_, wish)] = world.keypads.remember().wishes.items()
    assert (wish.attempts, wish.code, wish.sent_code) == (0, Secret(CODE), None)

    world.carry_out(first)
    world.run(0.3)

    # Before the creation went out: that it is tried, and with what.
    assert world.writes() == [CREATE]
    [wish] = world.saved.wishes.values()
    assert (wish.attempts, wish.sent_name, wish.sent_code) == (1, "Anna", Secret(CODE))


def test_the_code_is_forgotten_when_it_is_active(world: KeypadWorld) -> None:
    with_code(world)

    [wish] = world.saved.wishes.values()
    assert (wish.code, wish.sent_code, wish.attempts) == (None, None, 0)
    assert wish.auth_id == next(one.id for one in world.known.auths if one.shown.name == "Anna")
    assert world.saved.operations == {}


def test_a_code_that_is_wanted_disabled_is_disabled_after_its_creation(world: KeypadWorld) -> None:
    world.create("Anna", CODE, enabled=False, transaction="t")
    world.run(60)

    assert world.on_lock() == {"Anna": f"({CODE})"}
    assert world.writes() == [CREATE, UPDATE]
    assert world.steps("t") == [("create_pending", None), ("update_pending", None), ("active", None)]


def test_a_change_sends_the_whole_code_with_all_five_fields_of_its_schedule(world: KeypadWorld) -> None:
    world.create("Anna", CODE, schedule=LIMITED)
    world.run(60)
    world.order("update", "Anna", new_name="Annika")
    world.run(60)

    assert world.on_lock() == {"Annika": CODE}
    [change] = [request for _, request in world.sent if type(request).__name__ == UPDATE]
    assert change.json() == {
        "name": "Annika",
        "code": 839275,
        "enabled": True,
        "remoteAllowed": False,
        "allowedFromDate": "2026-12-01T08:30:00.000Z",
        "allowedUntilDate": "2026-12-24T23:00:00.000Z",
        "allowedWeekDays": 65,
        "allowedFromTime": 480,
        "allowedUntilTime": 1085,
    }


def test_only_a_change_renames(world: KeypadWorld) -> None:
    entry = next(one.id for one in with_code(world).known.auths if one.shown.name == "Anna")
    world.order("disable", "Annika", id=entry)
    world.run(60)
    assert world.on_lock() == {"Anna": f"({CODE})"}

    world.order("update", "Annika", id=entry)
    world.run(60)
    assert world.on_lock() == {"Annika": f"({CODE})"}


def test_a_change_that_changes_nothing_is_looked_up_and_not_written(world: KeypadWorld) -> None:
    with_code(world).order("enable", "Anna", transaction="t")
    world.run(60)

    assert world.steps("t") == [("update_pending", None), ("active", None)]
    assert world.writes() == []


def test_a_deletion_is_done_when_a_complete_list_lacks_the_code(world: KeypadWorld) -> None:
    with_code(world).order("delete", "Anna", transaction="t")
    world.run(3)
    assert world.steps("t") == [("delete_pending", None)]

    world.run(60)

    assert world.steps("t") == [("delete_pending", None), ("deleted", None)]
    assert world.on_lock() == {}
    assert world.phases() == {}
    assert (world.saved.wishes, world.saved.operations) == ({}, {})


def test_one_write_at_a_time(world: KeypadWorld) -> None:
    for name, code in (("Anna", CODE), ("Ben", OTHER), ("Chris", THIRD)):
        world.create(name, code)
    world.run(3)
    assert world.writes() == [CREATE]

    world.run(60)

    assert world.on_lock() == {"Anna": CODE, "Ben": OTHER, "Chris": THIRD}
    sent = [at for at, request in world.sent if request.method == "PUT"]
    assert [round(after - before) for before, after in itertools.pairwise(sent)] == [5, 5]


def test_a_code_that_is_created_and_deleted_before_anything_was_sent_is_gone_at_once(world: KeypadWorld) -> None:
    with world.cloud.faults.refuse_connections():
        world.create("Anna", CODE, transaction="a")
        world.run(5)
        world.order("delete", "Anna", transaction="b")
        world.run(1)

    assert world.steps("a") == [
        ("create_pending", None),
        ("create_pending", "cloud_unreachable"),
        ("failed", "superseded"),
    ]
    assert world.steps("b") == [("deleted", None)]


# --- Refused at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (KeypadOrder(op=KeypadOp.CREATE, name="Ben", code=Secret("12345")), "code_not_six_digits"),
        (KeypadOrder(op=KeypadOp.CREATE, name="Ben", code=Secret("839270")), "code_forbidden_digit"),
        (KeypadOrder(op=KeypadOp.CREATE, name="Ben", code=Secret("128369")), "code_begins_with_12"),
        (KeypadOrder(op=KeypadOp.CREATE, name="Ben", code=Secret(CODE)), "code_taken"),
        (KeypadOrder(op=KeypadOp.CREATE, name="Ben"), "code_needed"),
        (KeypadOrder(op=KeypadOp.CREATE, name=f"B {OTHER}", code=Secret(OTHER)), "bad_payload"),
        (KeypadOrder(op=KeypadOp.CREATE, name="\u00e4" * 11, code=Secret(OTHER)), "name_too_long"),
        (KeypadOrder(op=KeypadOp.CREATE, name="Anna", code=Secret(OTHER)), "name_taken"),
        (KeypadOrder(op=KeypadOp.UPDATE, name="Ben", code=Secret(OTHER)), "unknown_code"),
        (KeypadOrder(op=KeypadOp.UPDATE, name="Anna", code=Secret("111")), "code_not_six_digits"),
        (KeypadOrder(op=KeypadOp.UPDATE, name="Anna", new_name=" "), "name_missing"),
        (KeypadOrder(op=KeypadOp.DELETE, id="0123456789abcdef01234567"), "unknown_code"),
        (
            KeypadOrder(op=KeypadOp.UPDATE, name="Anna", schedule=Schedule(ends=datetime(2026, 11, 1, tzinfo=UTC))),
            "schedule_in_the_past",
        ),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_and_nothing_is_sent(
    world: KeypadWorld, order: KeypadOrder, reason: str
) -> None:
    with_code(world)
    was = world.saved

    world.carry_out(world.keypads.order(world.known.smartlock_id, order, world.moment()))
    world.run(60)

    assert world.steps() == [("refused", reason)]
    assert world.sent == []
    assert world.saved is was


def test_a_refused_name_that_holds_its_code_is_not_said_back(world: KeypadWorld) -> None:
    world.create(f"Anna {CODE}", CODE)

    assert [(one.name, str(one.reason)) for one in world.told] == [("Anna ***", "bad_payload")]


def test_a_name_that_holds_the_present_code_is_refused_also_where_the_code_is_left(world: KeypadWorld) -> None:
    with_code(world).order("update", "Anna", new_name=f"Anna {CODE}")

    assert [str(one.reason) for one in world.told] == ["bad_payload"]
    assert world.on_lock() == {"Anna": CODE}


def test_codes_of_others_are_neither_changed_nor_deleted(world: KeypadWorld) -> None:
    world.known.auths.add_by_app(name="Owner", code=int(OTHER))
    world.known.sync(is_forced=False)
    with_code(world)
    foreign = next(one.id for one in world.known.auths if one.shown.name == "Owner" and one.shown.code)

    for order in (
        KeypadOrder(op=KeypadOp.DELETE, id=foreign),
        KeypadOrder(op=KeypadOp.DISABLE, name="Owner"),
        KeypadOrder(op=KeypadOp.UPDATE, id=foreign, name="Mine"),
    ):
        world.carry_out(world.keypads.order(world.known.smartlock_id, order, world.moment()))
    world.run(60)

    assert world.steps() == [("refused", "not_ours")] * 3
    assert world.phases() == {"Anna": ("active", None), "Owner": ("foreign", None)}
    assert world.writes() == []
    assert world.keypads.is_ours(world.known.smartlock_id, foreign) is False


def test_a_repeat_of_an_order_is_refused_for_ten_minutes(world: KeypadWorld) -> None:
    world.create("Anna", CODE, transaction={"n": 1})
    world.run(590)
    world.create("Anna", CODE, transaction={"n": 1})
    world.run(20)
    world.create("Anna", CODE, transaction={"n": 1})

    assert world.steps({"n": 1})[1:] == [("active", None), ("refused", "duplicate"), ("refused", "name_taken")]


def test_what_only_the_list_knows_fails_before_anything_is_written(world: KeypadWorld) -> None:
    world.known.auths.add_by_app(name="Owner", code=int(CODE))
    world.known.sync(is_forced=False)
    world.create("Anna", CODE, transaction="t")
    world.run(60)

    assert world.steps("t") == [("create_pending", None), ("failed", "code_taken")]
    assert world.writes() == []
    [wish] = world.saved.wishes.values()
    assert wish.code is not None


def test_a_full_device_with_a_reserve(world: KeypadWorld) -> None:
    for number in range(OLD_CAPACITY - RESERVE - 2):  # the owner and the keypad are there, too
        digits = f"{number:02}".translate(str.maketrans("0123456789", "9876543219"))
        world.known.auths.add_by_app(name=f"N{number}", code=int(f"74{digits[0]}{number % 9 + 1}{digits[1]}8"))
    world.known.sync(is_forced=False)
    used = len(world.known.memory.stored)
    world.create("Anna", CODE, transaction="t")
    world.run(60)

    assert used <= OLD_CAPACITY - RESERVE
    assert world.steps("t")[-1] == (("failed", "no_room") if used == OLD_CAPACITY - RESERVE else ("active", None))


def test_without_a_keypad(world: KeypadWorld) -> None:
    world.known.config["keypadPaired"] = world.known.config["keypad2Paired"] = False
    world.poll()
    world.create("Anna", CODE)
    world.run(1)

    assert world.steps() == [("refused", "no_keypad")]


def test_a_code_is_drawn_only_where_somebody_learns_it() -> None:
    world = KeypadWorld(timing=FIXED)
    world.keypads = Keypads(world.saved, world.moment(), entropy=chance, is_told=True)
    world.poll()
    world.order("create", "Anna")
    world.run(60)

    assert world.steps() == [("create_pending", None), ("active", None)]
    [drawn] = world.on_lock().values()
    assert world.told[0].code == Secret(drawn)


# --- Trouble ----------------------------------------------------------------------------------------------------------


def test_the_reads_after_a_write(world: KeypadWorld) -> None:
    with world.cloud.faults.lost_writes(kind=Write.CREATE):
        world.create("Anna", CODE, transaction="t")
        world.run(100)

    assert world.reads() == [0.0, 2.4, 5.4, 10.4, 20.4, 40.4, 80.4]
    assert world.writes() == [CREATE]
    assert world.steps("t") == [("create_pending", None), ("create_pending", "not_confirmed")]


def test_a_creation_that_never_happens_is_tried_again_after_one_sync(world: KeypadWorld) -> None:
    with world.cloud.faults.lost_writes(kind=Write.CREATE):
        world.create("Anna", CODE, transaction="t")
        world.run(100)
    world.run(600)

    assert world.writes() == [CREATE, SYNC, CREATE]
    assert world.on_lock() == {"Anna": CODE}
    assert world.steps("t")[-1] == ("active", None)
    assert world.keypads.syncs(world.known.smartlock_id) == world.known.forced_syncs == 1


def test_a_creation_in_vain_fails_after_three_tries(world: KeypadWorld) -> None:
    with world.cloud.faults.lost_writes(kind=Write.CREATE):
        world.create("Anna", CODE, transaction="t")
        world.run(3 * HOUR)

        assert world.steps("t")[-1] == ("failed", "not_confirmed")
        assert world.writes() == [CREATE, SYNC, CREATE, CREATE]
    world.run(DAY)

    assert world.writes() == [CREATE, SYNC, CREATE, CREATE]
    assert world.phases() == {"Anna": ("failed", "not_confirmed")}
    [wish] = world.saved.wishes.values()
    assert wish.code is None
    assert wish.sent_code is not None  # it may still come
    world.run(DAY)

    # Nothing can bring it any more: its code is of no use.
    [wish] = world.saved.wishes.values()
    assert (wish.code, wish.sent_code) == (None, None)


def test_a_failed_code_can_be_created_again_under_its_name(world: KeypadWorld) -> None:
    with world.cloud.faults.lost_writes(kind=Write.CREATE):
        world.create("Anna", CODE)
        world.run(3 * HOUR)
    world.create("Anna", OTHER, transaction="t")
    world.run(60)

    assert world.steps("t") == [("create_pending", None), ("active", None)]
    assert world.on_lock() == {"Anna": OTHER}


def test_a_time_out_is_looked_up_before_anything_is_sent_again(world: KeypadWorld) -> None:
    world.create("Anna", CODE, transaction="t")
    world.run(0.1)
    with world.cloud.faults.silent(AUTHS, acts=True):
        world.run(20)
    world.run(60)

    assert world.writes() == [CREATE]
    assert world.on_lock() == {"Anna": CODE}
    assert world.steps("t")[-1] == ("active", None)


def test_a_lost_deletion_is_cured_by_one_sync_and_a_second_deletion(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.lost_writes(kind=Write.DELETE):
        world.order("delete", "Anna", transaction="t")
        world.run(100)
    world.run(600)

    assert world.writes() == [DELETE, SYNC, DELETE]
    assert world.on_lock() == {}
    assert world.steps("t") == [("delete_pending", None), ("delete_pending", "not_confirmed"), ("deleted", None)]


def test_a_ghost_is_gone_after_one_sync(world: KeypadWorld) -> None:
    with_code(world)
    world.known.auths.make_ghost(next(one.id for one in world.known.auths if one.shown.name == "Anna"))
    world.order("delete", "Anna", transaction="t")
    world.run(700)

    assert world.writes() == [DELETE, SYNC]
    assert world.steps("t")[-1] == ("deleted", None)
    assert world.in_list() == {}


def test_a_deletion_is_never_given_up_and_somebody_is_told(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.lost_writes(kind=Write.DELETE):
        world.order("delete", "Anna", transaction="t")
        world.run(2 * DAY)

        assert world.steps("t") == [("delete_pending", None), ("delete_pending", "not_confirmed")]
        assert len(world.logs) == 1
        assert world.writes().count(DELETE) <= 12
        assert world.known.forced_syncs <= 8
    world.run(DAY)

    assert world.steps("t")[-1] == ("deleted", None)


def test_syncs_keep_to_their_budget_across_kills(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.lost_writes(kind=Write.DELETE):
        world.order("delete", "Anna")
        for _ in range(24):
            world.run(HOUR / 2)
            world.kill()
    syncs = [at for at, request in world.sent if type(request).__name__ == SYNC]

    assert 1 <= len(syncs) <= 2
    assert all(after - before >= 6 * HOUR for before, after in itertools.pairwise(syncs))


def test_a_clock_that_was_set_back_does_not_give_another_sync(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.lost_writes(kind=Write.DELETE):
        world.order("delete", "Anna")
        world.run(600)
        assert world.known.forced_syncs == 1
        [spent] = world.saved.syncs.values()
        back = Moment(0.0, spent.last - timedelta(days=30), is_synchronised=True)
        keypads = Keypads(world.saved, back, entropy=chance)
        asked = []
        for second in range(0, 2 * 3600, 20):
            now = Moment(float(second), back.wall + timedelta(seconds=second), is_synchronised=True)
            steps = keypads.handle_timer(now)
            for step in [step for step in steps if isinstance(step, AskCloud)]:
                asked.append(type(step.request).__name__)
                answer, _ = world.ask(step.request)
                keypads.answered(step.call_id, answer, now)

    assert SYNC not in asked
    assert len(asked) > 3


def test_a_code_that_was_only_listed_is_created_again_once(world: KeypadWorld) -> None:
    with world.cloud.faults.ghost_creates():
        world.create("Anna", CODE, transaction="t")
        world.run(60)
    assert (world.steps("t")[-1], world.on_lock()) == (("active", None), {})

    world.run(1.5 * DAY)

    assert world.on_lock() == {"Anna": CODE}
    assert world.phases() == {"Anna": ("active", None)}
    assert world.writes() == [CREATE, CREATE]


def test_a_code_that_somebody_used_and_deleted_is_not_given_back(world: KeypadWorld) -> None:
    with_code(world)
    world.known.memory.judge_code(int(CODE), BEGAN + world.at)
    world.known.sync(is_forced=False)
    world.run(7 * HOUR)
    entry = next(one for one in world.known.auths if one.shown.name == "Anna")
    world.known.auths.delete_later(entry)
    world.run(7 * HOUR)

    assert world.phases() == {"Anna": ("needs_review", "gone")}
    assert world.writes() == []
    assert len(world.logs) == 1


def test_a_code_that_somebody_changed_is_left_for_review_until_an_order(world: KeypadWorld) -> None:
    with_code(world)
    world.run(HOUR)
    entry = next(one for one in world.known.auths if one.shown.name == "Anna")
    world.known.auths.update_later(entry, {"enabled": False}, None)
    world.run(7 * HOUR)
    assert world.phases() == {"Anna": ("needs_review", "changed_elsewhere")}
    assert world.writes() == []

    world.order("enable", "Anna", transaction="t")
    world.run(60)

    assert world.steps("t")[-1] == ("active", None)
    assert world.on_lock() == {"Anna": CODE}


def test_an_offline_device_is_taken_up_again_on_its_return(world: KeypadWorld) -> None:
    with world.cloud.faults.offline(LOCK):
        world.poll()
        world.create("Anna", CODE, transaction="t")
        world.run(DAY)
        assert world.steps("t") == [("create_pending", "device_offline")]
        assert world.writes() == []
    world.run(180)

    assert world.steps("t")[-1] == ("active", None)
    assert world.on_lock() == {"Anna": CODE}


@pytest.mark.parametrize("keeps", [True, False])
def test_a_device_that_goes_offline_under_a_creation(*, keeps: bool) -> None:
    world = KeypadWorld(timing=FIXED, conduct=Conduct(keeps_offline_writes=keeps))
    world.create("Anna", CODE, transaction="t")
    world.run(1)
    with world.cloud.faults.offline(LOCK):
        world.run(3 * HOUR)
        world.order("update", "Anna", OTHER, transaction="u")
        world.run(HOUR)
        assert world.writes() == [CREATE]
    world.run(HOUR)

    assert world.on_lock() == {"Anna": OTHER}
    assert world.in_list() == {"Anna": OTHER}
    assert world.steps("u")[-1] == ("active", None)


def test_what_waits_in_the_cloud_behind_slow_writes_is_not_called_deleted_before_it_came(world: KeypadWorld) -> None:
    """The cloud does one write of a device after the other: three of 280 s take 840 s."""
    with world.cloud.faults.slow_writes(280.0):
        for name, code in (("Anna", CODE), ("Ben", OTHER), ("Chris", THIRD)):
            world.create(name, code)
        world.run(475)
        assert world.writes() == [CREATE, CREATE, CREATE]  # and none twice
        world.order("delete", "Chris", transaction="t")
        world.run(60)
        assert world.steps("t") == [("delete_pending", None)]
    world.run(2 * HOUR)

    assert world.on_lock() == {"Anna": CODE, "Ben": OTHER}
    assert world.steps("t")[-1] == ("deleted", None)


@pytest.mark.parametrize("late_s", [1200.0, 3 * 3600.0])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_creation_that_comes_long_after_it_was_deleted_is_deleted(late_s: float, *, is_restarted: bool) -> None:
    world = KeypadWorld()
    with world.cloud.faults.slow_writes(late_s):
        world.create("Anna", CODE)
        world.run(60)
    world.order("delete", "Anna", transaction="t")
    world.run(600)
    assert world.steps("t")[-1] == ("deleted", None)
    assert world.phases() == {}
    if is_restarted:
        world.kill()
    world.run(10 * HOUR)

    assert world.on_lock() == {}
    assert world.phases() == {}
    world.run(2 * DAY)
    assert world.saved.wishes == {}


def test_a_creation_that_comes_late_is_that_of_who_has_ordered_it_again(world: KeypadWorld) -> None:
    with world.cloud.faults.slow_writes(1200.0):
        world.create("Anna", CODE)
        world.run(60)
    world.order("delete", "Anna")
    world.run(600)
    world.create("Anna", CODE, transaction="t")
    world.run(10 * HOUR)

    assert world.steps("t")[-1] == ("active", None)
    assert world.on_lock() == {"Anna": CODE}
    world.run(2 * DAY)
    assert world.on_lock() == {"Anna": CODE}


def test_what_came_late_of_a_failed_code_can_be_deleted(world: KeypadWorld) -> None:
    with world.cloud.faults.slow_writes(6 * 3600.0):
        world.create("Anna", CODE, transaction="t")
        world.run(3 * HOUR)
    assert world.steps("t")[-1] == ("failed", "not_confirmed")
    world.run(10 * HOUR)
    world.order("delete", "Anna", transaction="u")
    world.run(DAY)

    assert world.steps("u")[-1] == ("deleted", None)
    assert world.on_lock() == {}


def test_another_operation_is_waited_for(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.held_operation(LOCK):
        world.order("disable", "Anna", transaction="t")
        world.run(120)
        assert world.writes() == []
        pauses = [round(after - before) for before, after in zip(world.reads(), world.reads()[1:], strict=False)]
        assert pauses[:5] == [5, 10, 20, 30, 30]
    world.run(60)

    assert world.on_lock() == {"Anna": f"({CODE})"}
    assert world.steps("t")[-1] == ("active", None)


def test_a_code_that_the_cloud_calls_taken_though_nothing_shows_it_fails_after_one_sync(world: KeypadWorld) -> None:
    refused = b'{"stackTrace":[],"suppressedExceptions":[]}'
    world.known.auths.add_by_app(name="Owner", code=int(CODE))
    world.create("Anna", CODE, transaction="t")
    world.run(0.1)
    with world.cloud.faults.garbage(AUTHS, refused, status=409):
        world.run(0.3)
    world.run(600)

    assert world.writes() == [CREATE, SYNC]
    assert world.steps("t")[-1] == ("failed", "code_in_use")
    assert world.on_lock() == {"Owner": CODE}


def test_a_pages_error_and_html_change_nothing(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.proxy_error():
        world.order("delete", "Anna", transaction="t")
        world.run(HOUR)
        assert world.steps("t") == [("delete_pending", None), ("delete_pending", "cloud_unreachable")]
    world.run(600)

    assert world.steps("t")[-1] == ("deleted", None)


def test_a_list_without_anybody_is_no_answer(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.garbage(AUTHS, b"[]"):
        world.run(7 * HOUR)

    assert world.phases() == {"Anna": ("active", None)}
    assert world.writes() == []


def test_a_sync_that_the_token_may_not_order_costs_nothing_and_holds_nothing_up(world: KeypadWorld) -> None:
    with_code(world)
    world.cloud.tokens[TOKEN] -= {"smartlock.action"}
    with world.cloud.faults.lost_writes(kind=Write.DELETE):
        world.order("delete", "Anna", transaction="t")
        world.run(100)
    world.run(600)

    assert world.writes() == [DELETE, SYNC, DELETE]
    assert world.steps("t")[-1] == ("deleted", None)
    assert (world.keypads.syncs(world.known.smartlock_id), world.saved.syncs) == (0, {})


@pytest.mark.parametrize(
    ("status", "detail", "reason"),
    [
        (400, "The supplied value '13' for parameter 'type' is not valid", "no_keypad"),
        (400, "The supplied value 'x' for parameter 'name' is not valid", "cloud_said_no"),
        (402, None, "upgrade_required"),
        (403, None, "not_allowed"),
        (405, None, "not_allowed"),
        (426, None, "upgrade_required"),
    ],
)
def test_a_clear_no_ends_a_creation(world: KeypadWorld, status: int, detail: str | None, reason: str) -> None:
    body = json.dumps({"detailMessage": detail, "stackTrace": [], "suppressedExceptions": []}).encode()
    world.create("Anna", CODE, transaction="t")
    world.run(0.1)
    with world.cloud.faults.garbage(AUTHS, body, status=status):
        world.run(0.3)
    world.run(600)

    assert world.writes() == [CREATE]
    assert world.steps("t")[-1] == ("failed", reason)
    [wish] = world.saved.wishes.values()
    assert (wish.sent_code, wish.attempts) == (None, 0)


def test_what_the_cloud_would_not_have_us_touch_is_looked_up_first(world: KeypadWorld) -> None:
    body = b'{"stackTrace":[],"suppressedExceptions":[]}'
    with_code(world)
    with world.cloud.faults.garbage(AUTH, body, status=403):
        world.order("disable", "Anna", transaction="a")
        world.run(60)
        assert world.steps("a")[-1] == ("failed", "not_allowed")

        world.order("delete", "Anna", transaction="b")
        world.run(0.3)
        world.known.auths.delete_later(next(one for one in world.known.auths if one.shown.name == "Anna"))
        world.run(60)

    assert world.steps("b") == [("delete_pending", None), ("deleted", None)]


def test_a_newer_order_has_its_turn_when_the_former_one_was_seen(world: KeypadWorld) -> None:
    with_code(world).order("disable", "Anna", transaction="a")
    world.run(1)
    world.order("enable", "Anna", transaction="b")
    world.run(60)

    assert world.steps("a") == [("update_pending", None), ("failed", "superseded")]
    assert world.steps("b") == [("update_pending", None), ("active", None)]
    assert world.writes() == [UPDATE, UPDATE]
    assert world.on_lock() == {"Anna": CODE}


def test_a_late_change_of_ours_is_put_right_by_us(world: KeypadWorld) -> None:
    """The first change comes only after the second one was found to be there already."""
    with_code(world)
    with world.cloud.faults.silent(AUTH):  # nobody knows that it was not taken
        world.order("disable", "Anna")
        world.run(1)
    world.order("enable", "Anna", transaction="b")
    world.run(200)
    assert world.steps("b")[-1] == ("active", None)

    entry = next(one for one in world.known.auths if one.shown.name == "Anna")
    world.known.auths.update_later(entry, {"enabled": False}, None)
    world.run(10)
    world.keypads.hint(world.known.smartlock_id, world.moment())
    world.run(60)

    assert world.on_lock() == {"Anna": CODE}
    assert world.phases() == {"Anna": ("active", None)}


def test_a_list_that_is_not_complete_deletes_nothing(world: KeypadWorld) -> None:
    with_code(world)
    with world.cloud.faults.garbage(AUTHS, b'[{"id":"65219648fe00000000000d01","type":0},5]'):
        world.order("delete", "Anna", transaction="t")
        world.run(3 * HOUR)
        assert world.steps("t") == [("delete_pending", None)]
    world.run(600)

    assert world.steps("t")[-1] == ("deleted", None)
    assert world.on_lock() == {}


def test_a_look_that_nobody_answers_goes_on_past_the_next_audit(world: KeypadWorld) -> None:
    with_code(world).run(5.9 * HOUR)
    world.order("delete", "Anna", transaction="t")
    world.run(0.3)
    with world.cloud.faults.silent(AUTHS):
        world.run(12 * HOUR)
        assert world.writes() == [DELETE]
    world.run(400)

    assert world.steps("t")[-1] == ("deleted", None)


# --- Time -------------------------------------------------------------------------------------------------------------


def test_an_expired_code_is_removed_after_a_day(world: KeypadWorld) -> None:
    world.create("Anna", CODE, schedule=Schedule(ends=datetime.fromtimestamp(BEGAN + HOUR, UTC)))
    world.run(20 * HOUR)
    assert world.phases() == {"Anna": ("active", None)}

    world.run(8 * HOUR)

    assert world.phases() == {}
    assert world.on_lock() == {}


def test_a_clock_that_nobody_believes_takes_away_no_code(world: KeypadWorld) -> None:
    world.create("Anna", CODE, schedule=Schedule(ends=datetime.fromtimestamp(BEGAN + HOUR, UTC)))
    world.run(60)
    far = Moment(BEGAN + world.at + 2 * HOUR, world.moment().wall + timedelta(days=400), is_synchronised=False)

    assert [step for step in world.keypads.handle_timer(far) if isinstance(step, AskCloud)] == []
    assert world.phases() == {"Anna": ("active", None)}


def test_a_one_time_code_goes_when_it_was_used_or_its_life_is_over(world: KeypadWorld) -> None:
    world.create("Anna", CODE, once=True)
    world.create("Ben", OTHER, once=True, life_s=3600)
    world.run(60)
    ends = {one.name: one.schedule.ends for one in world.keypads.entries(world.known.smartlock_id)}
    begin = datetime.fromtimestamp(BEGAN, UTC)
    assert ends == {"Anna": begin + timedelta(days=1), "Ben": begin + timedelta(hours=1)}
    entry = next(one.id for one in world.known.auths if one.shown.name == "Anna")

    world.carry_out(world.keypads.used(world.known.smartlock_id, entry, world.moment()))
    world.run(60)
    assert world.on_lock() == {"Ben": OTHER}

    world.run(27 * HOUR)
    assert world.on_lock() == {}


# --- Kills ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fuse", range(14))
def test_a_kill_at_any_step_loses_and_doubles_nothing(fuse: int) -> None:
    world = KeypadWorld(timing=FIXED)
    world.fuse = fuse
    world.create("Anna", CODE, enabled=False, transaction="t")
    world.run(700)
    world.fuse = None

    if fuse == 0:  # before anything was saved, and before anything was said
        assert (world.told, world.on_lock()) == ([], {})
    else:
        assert world.on_lock() == {"Anna": f"({CODE})"}
        assert world.phases() == {"Anna": ("active", None)}
        ends = [one for one in world.told if one.phase is KeypadPhase.ACTIVE]
        assert len(ends) in {1, 2}
    assert world.saved.operations == {}


@pytest.mark.parametrize("fuse", range(8))
def test_a_kill_at_any_step_of_a_deletion(fuse: int) -> None:
    world = with_code(KeypadWorld(timing=FIXED))
    world.fuse = fuse
    world.order("delete", "Anna", transaction="t")
    world.run(700)

    assert world.on_lock() == ({"Anna": CODE} if fuse == 0 else {})
    assert world.saved.operations == {}


def test_many_devices_are_not_read_all_at_once_and_not_where_somebody_else_did(world: KeypadWorld) -> None:
    with_code(world)
    [wish] = world.saved.wishes.values()
    many = {str(number): replace(wish, smartlock_id=number) for number in range(1, 501)}
    now = world.moment()
    keypads = Keypads(replace(world.saved, wishes=many), now, entropy=chance)
    assert [step.smartlock_id for step in keypads.handle_timer(now) if isinstance(step, AskCloud)] == [1]

    later = Moment(now.monotonic + 2.0, now.wall, is_synchronised=True)
    listed = (Authorization(id=wish.auth_id or "", type=13, name="Anna", code=Secret(CODE), enabled=True),)
    keypads.hear_codes(2, listed, now.monotonic, later)

    assert [step.smartlock_id for step in keypads.handle_timer(later) if isinstance(step, AskCloud)] == [3]


def test_a_list_of_somebody_else_shows_codes_and_proves_no_absence(world: KeypadWorld) -> None:
    with_code(world)
    [listed] = [one for one in world.keypads.entries(world.known.smartlock_id) if one.id]
    foreign = Authorization(id="65219648fe00000000000d01", type=13, name="Owner", code=Secret(OTHER), enabled=True)
    ours = replace(foreign, id=listed.id or "", name="Anna", code=Secret(CODE), lock_count=3)

    world.run(1)
    world.carry_out(
        world.keypads.hear_codes(world.known.smartlock_id, (ours, foreign), BEGAN + world.at, world.moment())
    )
    assert world.phases() == {"Anna": ("active", None), "Owner": ("foreign", None)}
    assert world.keypads.entries(world.known.smartlock_id)[0].uses == 3

    world.carry_out(world.keypads.hear_codes(world.known.smartlock_id, (), BEGAN + world.at, world.moment()))
    assert world.phases() == {"Anna": ("active", None), "Owner": ("foreign", None)}
    world.run(10)

    assert len(world.reads()) == 1
    assert world.phases() == {"Anna": ("active", None)}


def test_an_order_that_wants_what_is_wanted_already_is_saved_too(world: KeypadWorld) -> None:
    world.create("Anna", CODE, transaction="a")
    order = KeypadOrder(op=KeypadOp.UPDATE, name="Anna", code=Secret(CODE), transaction="b")
    steps = world.keypads.order(world.known.smartlock_id, order, world.moment())

    assert [type(step) for step in steps] == [SaveWishes, SayResult, SayResult]
    assert [one.is_ended for one in world.keypads.remember().operations.values()] == [True, False]


def test_nothing_is_said_twice_and_nothing_is_asked_at_rest(world: KeypadWorld) -> None:
    with_code(world)
    was = len(world.lists)
    world.run(5 * HOUR)

    assert (world.told, world.sent, world.logs) == ([], [], [])
    assert len(world.lists) == was
