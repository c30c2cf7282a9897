"""What arrives on `keypad/set`, and what is said of keypad codes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.model.keypad_order import ENDS, KeypadOp, KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import PROBLEM_TEXTS, KeypadProblem
from nuki2mqtt.model.schedule import ALWAYS, EVERY_DAY, DailyWindow, Schedule, Weekday
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.command_payloads import BadCommand
from nuki2mqtt.protocol.keypad_payloads import (
    KeypadEntry,
    KeypadOrder,
    KeypadResult,
    hide_code,
    parse_keypad_order,
    parse_schedule,
    render_keypad,
    render_keypad_result,
    schedule_body,
)
from tests.protocol.test_web_requests import SCHEDULES

# A loaded machine is no reason to fail.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

GOLDEN = Path(__file__).parent / "golden" / "keypad"
BERLIN = ZoneInfo("Europe/Berlin")
CODE = Secret("839275")
LIMITED = Schedule(
    begins=datetime(2026, 12, 1, 8, 30, 15, tzinfo=UTC),
    ends=datetime(2026, 12, 24, 23, 0, tzinfo=UTC),
    weekdays=frozenset({Weekday.MON, Weekday.SUN}),
    daily=DailyWindow(480, 1085),
)


def order(**values: Any) -> KeypadOrder:
    return parse_keypad_order(json.dumps(values).encode(), BERLIN)


def refusal(payload: bytes | dict[str, Any], zone: ZoneInfo | None = BERLIN) -> BadCommand:
    with pytest.raises(BadCommand) as caught:
        parse_keypad_order(payload if isinstance(payload, bytes) else json.dumps(payload).encode(), zone)
    return caught.value


# --- Orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"op": "create", "name": "Cleaner"}, KeypadOrder(op=KeypadOp.CREATE, name="Cleaner")),
        (
            {"op": "create", "name": "Cleaner", "once": True, "life_s": 60, "schedule": {"weekdays": "mon"}},
            KeypadOrder(
                op=KeypadOp.CREATE,
                name="Cleaner",
                once=True,
                life_s=60,
                schedule=Schedule(weekdays=frozenset({Weekday.MON})),
            ),
        ),
        ({"op": "create", "name": "x", "once": None, "life_s": None}, KeypadOrder(op=KeypadOp.CREATE, name="x")),
        (
            {"op": " Create", "name": " Cleaner ", "code": "839275", "enabled": False, "schedule": None},
            KeypadOrder(op=KeypadOp.CREATE, name="Cleaner", code=CODE, enabled=False, schedule=ALWAYS),
        ),
        (
            {"op": "CREATE", "name": "Cleaner", "code": 839275, "transaction": {"n": 1}},
            KeypadOrder(op=KeypadOp.CREATE, name="Cleaner", code=CODE, transaction={"n": 1}),
        ),
        ({"op": "update", "id": "a" * 24}, KeypadOrder(op=KeypadOp.UPDATE, id="a" * 24)),
        (
            {"op": "update", "name": "Cleaner", "new_name": "Käthe", "code": None},
            KeypadOrder(op=KeypadOp.UPDATE, name="Cleaner", new_name="Käthe"),
        ),
        ({"op": "update", "id": "x", "name": "New"}, KeypadOrder(op=KeypadOp.UPDATE, id="x", name="New")),
        ({"op": "delete", "name": "Cleaner"}, KeypadOrder(op=KeypadOp.DELETE, name="Cleaner")),
        ({"op": "delete", "id": "x", "name": None}, KeypadOrder(op=KeypadOp.DELETE, id="x")),
        ({"op": "enable", "id": "x"}, KeypadOrder(op=KeypadOp.ENABLE, id="x")),
        ({"op": "disable", "id": "x"}, KeypadOrder(op=KeypadOp.DISABLE, id="x")),
        ({"op": "create", "name": "x", "code": "12"}, KeypadOrder(op=KeypadOp.CREATE, name="x", code=Secret("12"))),
        ({"op": "create", "name": "x", "code": 0}, KeypadOrder(op=KeypadOp.CREATE, name="x", code=Secret("0"))),
        (
            {"op": "create", "name": "x", "code": 10**15 - 1},
            KeypadOrder(op=KeypadOp.CREATE, name="x", code=Secret("9" * 15)),
        ),
    ],
)
def test_orders(values: dict[str, Any], wanted: KeypadOrder) -> None:
    assert order(**values) == wanted


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "only blanks"),
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b"delete", "not a JSON object"),
        (b"[]", "neither a word nor a JSON object"),
        (b'{"op":"create","op":"delete"}', "a key stands twice"),
        ({"op": "create", "name": "x", "untill": 1}, '"untill" is no key of an order; there are '),
        ({"op": "create", "name": "x", "839275": 1}, '"***" is no key of an order; there are '),
        ({}, '"op" must be one of create, update, delete, enable, disable'),
        ({"op": 5}, '"op" must be one of '),
        ({"op": "add"}, '"op" must be one of '),
        ({"op": "c" * 5000}, '"op" must be one of '),
        ({"op": "create"}, '"name" is needed'),
        ({"op": "create", "name": " "}, '"name" must be a text of at most 64 characters'),
        ({"op": "create", "name": "x" * 65}, '"name" must be a text of at most 64 characters'),
        ({"op": "create", "name": 5}, '"name" must be a text of at most 64 characters'),
        ({"op": "create", "name": "x", "id": "y"}, 'a new code has neither "id" nor "new_name"'),
        ({"op": "create", "name": "x", "new_name": "y"}, 'a new code has neither "id" nor "new_name"'),
        ({"op": "update"}, '"id" or "name" is needed'),
        ({"op": "delete"}, '"id" or "name" is needed'),
        ({"op": "update", "id": "x", "new_name": "y"}, 'with an "id", "name" is the new name'),
        ({"op": "delete", "id": "x", "code": 839275}, '"delete" changes nothing else'),
        ({"op": "enable", "id": "x", "enabled": False}, '"enable" changes nothing else'),
        ({"op": "disable", "name": "x", "schedule": None}, '"disable" changes nothing else'),
        ({"op": "delete", "name": "x", "new_name": "y"}, '"delete" changes nothing else'),
        ({"op": "create", "name": "x", "code": True}, '"code" must be six digits'),
        ({"op": "create", "name": "x", "code": 839275.0}, '"code" must be six digits'),
        ({"op": "create", "name": "x", "code": ["839275"]}, '"code" must be six digits'),
        ({"op": "create", "name": "x", "code": -839275}, '"code" must be six digits'),
        ({"op": "create", "name": "x", "code": 10**15}, '"code" must be six digits'),
        ({"op": "create", "name": "x", "code": "8" * 33}, '"code" must be six digits'),
        ({"op": "create", "name": "x", "enabled": "true"}, '"enabled" must be true or false'),
        ({"op": "create", "name": "x", "once": 1}, '"once" must be true or false'),
        ({"op": "create", "name": "x", "life_s": 59}, '"life_s" must be a whole number of seconds from 60 to 31622400'),
        ({"op": "create", "name": "x", "life_s": 31622401}, '"life_s" must be a whole number'),
        ({"op": "create", "name": "x", "life_s": 60.5}, '"life_s" must be a whole number'),
        ({"op": "create", "name": "x", "life_s": True}, '"life_s" must be a whole number'),
        ({"op": "update", "name": "x", "life_s": 60}, 'only a new code can have "once" or "life_s"'),
        ({"op": "update", "name": "x", "once": True}, 'only a new code can have "once" or "life_s"'),
        (
            {"op": "create", "name": "x", "life_s": 60, "schedule": {"until": "2026-12-24T18:00Z"}},
            '"life_s" and "until" both say when it ends',
        ),
        ({"op": "create", "name": "x", "schedule": "always"}, '"schedule" must be an object or null'),
    ],
)
def test_what_is_no_order(payload: bytes | dict[str, Any], text: str) -> None:
    error = refusal(payload)

    assert str(error).startswith(text)
    assert "839275" not in f"{error} {error!r}"


def test_a_refusal_says_as_much_of_the_order_as_could_be_read() -> None:
    error = refusal({"op": "delete", "transaction": "a1"})
    assert (error.transaction, error.word) == ("a1", "delete")
    unknown = refusal({"op": "explode", "transaction": "a1"})
    assert (unknown.transaction, unknown.word) == ("a1", None)


def test_a_code_does_not_show_itself() -> None:
    assert "839275" not in repr(order(op="create", name="x", code=839275))


# --- Schedules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "schedule"),
    [
        (None, ALWAYS),
        ({}, ALWAYS),
        ({"from": None, "until": None, "weekdays": None, "daily": None}, ALWAYS),
        (
            {
                "from": "2026-12-01T09:30:15.9+01:00",
                "until": "2026-12-24 23:00Z",
                "weekdays": ["sun", " Monday"],
                "daily": {"from": "8:00", "until": "18:05"},
            },
            LIMITED,
        ),
        (
            {
                "from": "2026-12-01T09:30:15",
                "until": "2026-12-25T00:00",
                "weekdays": "mon, sun",
                "daily": "08:00-18:05",
            },
            LIMITED,  # in Berlin
        ),
        ({"from": "2026-07-01T10:00"}, Schedule(begins=datetime(2026, 7, 1, 8, 0, tzinfo=UTC))),
        ({"weekdays": []}, Schedule(weekdays=frozenset())),
        ({"weekdays": ["mon", "mon"]}, Schedule(weekdays=frozenset({Weekday.MON}))),
        ({"weekdays": [str(day) for day in Weekday]}, Schedule(weekdays=EVERY_DAY)),
        ({"daily": {"from": "22:00", "until": "06:00"}}, Schedule(daily=DailyWindow(1320, 360))),
        ({"daily": "00:00 - 24:00"}, Schedule(daily=DailyWindow(0, 1440))),
    ],
)
def test_schedules(value: Any, schedule: Schedule) -> None:
    assert parse_schedule(value, BERLIN) == schedule


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ({"util": None}, '"util" is no key of a schedule; there are daily, from, until, weekdays'),
        ({"from": "2026-12-24"}, '"from" must be a date with a time'),
        ({"from": 1766600000}, '"from" must be a date with a time'),
        ({"from": "soon"}, '"from" must be a date with a time'),
        ({"until": "2026-02-30T10:00"}, '"until" is no date that can be'),
        ({"until": "2026-02-03T25:00"}, '"until" is no date that can be'),
        ({"until": "0001-01-01T00:00"}, '"until" is no date that can be'),
        ({"until": "0001-01-01T00:00+14:00"}, '"until" is no date that can be'),
        ({"until": "2026-12-24T10:00 CET"}, '"until" is no date that can be'),
        ({"weekdays": "holidays"}, '"weekdays" must be a list of mon, tue, wed, thu, fri, sat, sun'),
        ({"weekdays": [1]}, '"weekdays" must be a list of '),
        ({"weekdays": 127}, '"weekdays" must be a list of '),
        ({"weekdays": {}}, '"weekdays" must be a list of '),
        ({"weekdays": ["mon"] * 51}, '"weekdays" must be a list of '),
        ({"daily": 480}, '"daily" must be an object like '),
        ({"daily": "mornings"}, '"daily" must be an object like '),
        ({"daily": "8:0-9:0"}, '"daily" must be an object like '),
        ({"daily": "08:60-09:00"}, '"daily" needs "from" and "until" as times'),
        ({"daily": {}}, '"daily" needs "from" and "until" as times'),
        ({"daily": {"from": "08:00"}}, '"daily" needs "from" and "until" as times'),
        ({"daily": {"from": "08:00", "until": "24:01"}}, '"daily" needs "from" and "until" as times'),
        ({"daily": {"from": "08:00", "until": 600}}, '"daily" needs "from" and "until" as times'),
        ({"daily": {"from": "08:00", "till": "09:00"}}, '"till" is no key of a daily window; there are from, until'),
    ],
)
def test_what_is_no_schedule(schedule: dict[str, Any], text: str) -> None:
    error = refusal({"op": "update", "id": "x", "schedule": schedule, "transaction": 5})

    assert str(error).startswith(text)
    assert (error.transaction, error.word) == (5, "update")


def test_a_local_date_needs_the_time_zone_of_the_lock() -> None:
    values = {"op": "update", "id": "x", "schedule": {"until": "2026-12-24T18:00"}}

    assert str(refusal(values, None)) == '"until" needs an offset or Z: the time zone of the lock is not known'
    values["schedule"] = {"until": "2026-12-24T18:00Z", "daily": "08:00-09:00"}
    assert parse_keypad_order(json.dumps(values).encode(), None).schedule == Schedule(
        ends=datetime(2026, 12, 24, 18, 0, tzinfo=UTC), daily=DailyWindow(480, 540)
    )


def to_seconds(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(microsecond=0)


@PATIENT
@given(SCHEDULES)
def test_a_schedule_that_was_shown_is_read_again(schedule: Schedule) -> None:
    shown = json.loads(json.dumps(schedule_body(schedule)))
    same = replace(schedule, begins=to_seconds(schedule.begins), ends=to_seconds(schedule.ends))

    assert parse_schedule(shown, None) == same
    assert parse_schedule(shown, BERLIN) == same


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["from", "until", "weekdays", "daily", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@PATIENT
@given(
    st.dictionaries(
        st.sampled_from(["op", "id", "name", "new_name", "code", "enabled", "schedule", "transaction"]),
        JSON_VALUES | st.sampled_from([*KeypadOp, "x", "2026-12-24T18:00", 839275]),
        max_size=8,
    )
)
def test_any_object_is_an_order_or_the_documented_error(values: dict[str, Any]) -> None:
    for zone in (None, BERLIN):
        try:
            found, said = parse_keypad_order(json.dumps(values).encode(), zone), ""
        except BadCommand as error:
            found, said = None, str(error)
        assert "839275" not in said
        assert found is None or found.op == str(values["op"]).strip().lower()


# --- What we say ------------------------------------------------------------------------------------------------------

ENTRIES = (
    KeypadEntry(
        id="65219648fe00000000000d01",
        name="Käthe",
        enabled=True,
        schedule=LIMITED,
        phase=KeypadPhase.ACTIVE,
        uses=12,
        last_used=datetime(2026, 11, 21, 20, 15, 3, 999999, tzinfo=UTC),
        code=CODE,
    ),
    KeypadEntry(
        id=None,
        name="Cleaner",
        enabled=False,
        schedule=ALWAYS,
        phase=KeypadPhase.CREATE_PENDING,
        reason=KeypadReason.DEVICE_OFFLINE,
        code=Secret("274196"),
    ),
    KeypadEntry(
        id="65219648fe00000000000d02",
        name="Somebody",
        enabled=None,
        schedule=Schedule(weekdays=frozenset()),
        phase=KeypadPhase.FOREIGN,
        uses=0,
    ),
)
RESULTS = (
    KeypadResult(
        transaction=None, op="update", phase=KeypadPhase.NEEDS_REVIEW, name="x", reason=KeypadReason.CHANGED_ELSEWHERE
    ),
    KeypadResult(transaction=None, op="create", phase=KeypadPhase.FAILED, name="x", reason=KeypadReason.NOT_CONFIRMED),
    KeypadResult(transaction=None, op="enable", phase=KeypadPhase.ACTIVE, id="65219648fe00000000000d01", name="x"),
    KeypadResult(transaction="a1", op="create", phase=KeypadPhase.CREATE_PENDING, name="Cleaner", code=CODE),
    KeypadResult(
        transaction={"n": [1, None]},
        op="create",
        phase=KeypadPhase.REFUSED,
        name="Cleaner",
        reason=KeypadProblem.CODE_BEGINS_WITH_12,
        detail=PROBLEM_TEXTS[KeypadProblem.CODE_BEGINS_WITH_12],
    ),
    KeypadResult(
        transaction=None, op=None, phase=KeypadPhase.REFUSED, reason=KeypadReason.BAD_PAYLOAD, detail="not JSON"
    ),
    KeypadResult(
        transaction=7, op="delete", phase=KeypadPhase.DELETED, id="65219648fe00000000000d01", name="Käthe", code=CODE
    ),
)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def test_the_list_without_codes() -> None:
    said = render_keypad(ENTRIES, publish_codes=False)

    assert said == json.dumps(golden("list.json"), ensure_ascii=False, separators=(",", ":")).encode()
    assert render_keypad((), publish_codes=True) == b"[]"


def test_the_list_with_codes() -> None:
    said = json.loads(render_keypad(ENTRIES, publish_codes=True))

    assert [entry.pop("code", None) for entry in said] == ["839275", "274196", None]
    assert said == golden("list.json")


def test_results_without_codes() -> None:
    said = [render_keypad_result(result, publish_codes=False) for result in RESULTS]
    wanted = golden("results.json")

    assert said == [json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode() for one in wanted]


def test_results_with_codes() -> None:
    said = [json.loads(render_keypad_result(result, publish_codes=True)) for result in RESULTS]

    assert [one.pop("code", None) for one in said] == [None] * 3 + ["839275", None, None, "839275"]
    assert said == golden("results.json")


def test_every_golden_file_is_compared() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {"list.json", "results.json"}


def test_values_do_not_show_codes() -> None:
    assert not {"839275", "274196"} & set(f"{ENTRIES!r} {RESULTS!r}".replace("'", " ").split())
    assert "839275" not in f"{ENTRIES!r} {RESULTS!r}"


def test_reasons_and_rules_share_no_word() -> None:
    assert not set(map(str, KeypadReason)) & set(map(str, KeypadProblem))


def test_ends_are_phases_that_do_not_wait() -> None:
    assert {phase for phase in KeypadPhase if "pending" not in phase} - ENDS == {KeypadPhase.FOREIGN}
    assert all("pending" not in phase for phase in ENDS)


def test_a_name_does_not_show_its_code() -> None:
    entry = KeypadEntry(
        id=None, name="Post 839275", enabled=True, schedule=ALWAYS, phase=KeypadPhase.FOREIGN, code=Secret("839275")
    )

    assert b"839275" not in render_keypad([entry], publish_codes=False)
    assert json.loads(render_keypad([entry], publish_codes=False))[0]["name"] == "Post ***"
    assert json.loads(render_keypad([entry], publish_codes=True))[0]["name"] == "Post 839275"
    assert hide_code("Post", Secret("839275")) == "Post"
    assert hide_code("Post", None) == "Post"
    assert hide_code("Post", Secret("")) == "Post"
