"""`nuki2mqtt keypad`: from options to an order that the codec reads as it was meant, or every reason why not."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.faces.keypad_asked import KeypadAsk, Wanted, parse_days, read_wanted
from nuki2mqtt.faces.keypad_code import NotAsked, read_code_file
from nuki2mqtt.faces.keypad_lists import ListedCode, read_codes
from nuki2mqtt.model.keypad_order import KeypadOp
from nuki2mqtt.model.keypad_rules import PROBLEM_TEXTS, KeypadProblem
from nuki2mqtt.model.schedule import WEEK, DailyWindow, Schedule, Weekday
from nuki2mqtt.protocol.keypad_payloads import parse_keypad_order, schedule_body

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1))
CODE = "738194"  # marked: it may stand in a payload and nowhere else
AUTH_ID = "5f0a1b2c3d4e5f6a7b8c9d0e"
WORKDAYS = frozenset(WEEK[:5])


@pytest.fixture
def code_file(tmp_path: Path) -> str:
    path = tmp_path / "code"
    path.write_text(f"{CODE}\n")
    return str(path)


def ask(op: KeypadOp = KeypadOp.CREATE, **options: Any) -> KeypadAsk:
    return KeypadAsk(op=op, **{"locks": ("front_door",), "which": "Cleaner", **options})


def order(wanted: Wanted, former: ListedCode | None = None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(wanted.order(former, "t1", NOW))
    return body


def listed(**entry: Any) -> ListedCode:
    body = {"id": AUTH_ID, "name": "Cleaner", "enabled": True, "schedule": None, "phase": "active", **entry}
    codes = read_codes(json.dumps([body]).encode())
    assert codes is not None
    return codes[0]


# --- What is sent -------------------------------------------------------------------------------------------------


def test_a_new_code_with_all_that_can_be_said(code_file: str) -> None:
    wanted = read_wanted(
        ask(
            which="  Cleaner ",
            code_file=code_file,
            begins="2026-12-01 08:00",
            ends="2026-12-24T18:00+01:00",
            days="mon-fri",
            hours="8:00-12:30",
            once=True,
            is_disabled=True,
        ),
        NOW,
    )
    assert order(wanted) == {
        "op": "create",
        "name": "Cleaner",
        "code": CODE,
        "enabled": False,
        "once": True,
        "schedule": {
            "from": "2026-12-01 08:00",
            "until": "2026-12-24T18:00+01:00",
            "weekdays": ["mon", "tue", "wed", "thu", "fri"],
            "daily": {"from": "08:00", "until": "12:30"},
        },
        "transaction": "t1",
    }
    read = parse_keypad_order(wanted.order(None, "t1", NOW), BERLIN)
    assert read.schedule == Schedule(
        begins=datetime(2026, 12, 1, 7, 0, tzinfo=UTC),
        ends=datetime(2026, 12, 24, 17, 0, tzinfo=UTC),
        weekdays=WORKDAYS,
        daily=DailyWindow(480, 750),
    )
    assert CODE not in repr(wanted)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ask(draws=True), {"op": "create", "name": "Cleaner"}),
        (ask(draws=True, once=True, life="4h"), {"op": "create", "name": "Cleaner", "once": True, "life_s": 14400}),
        (ask(draws=True, life="90 min"), {"op": "create", "name": "Cleaner", "life_s": 5400}),
        (ask(draws=True, life="3D"), {"op": "create", "name": "Cleaner", "life_s": 259200}),
        (ask(draws=True, life="61"), {"op": "create", "name": "Cleaner", "life_s": 61}),
        (ask(draws=True, days="all", hours="none"), {"op": "create", "name": "Cleaner", "schedule": None}),
        (ask(KeypadOp.DELETE), {"op": "delete", "name": "Cleaner"}),
        (ask(KeypadOp.ENABLE), {"op": "enable", "name": "Cleaner"}),
        (ask(KeypadOp.DISABLE, which=AUTH_ID), {"op": "disable", "id": AUTH_ID}),
        (ask(KeypadOp.UPDATE, new_name="Cleaning"), {"op": "update", "name": "Cleaner", "new_name": "Cleaning"}),
        (ask(KeypadOp.UPDATE, which=AUTH_ID, new_name="X"), {"op": "update", "id": AUTH_ID, "name": "X"}),
        (ask(KeypadOp.UPDATE, is_always=True), {"op": "update", "name": "Cleaner", "schedule": None}),
        (
            ask(KeypadOp.UPDATE, is_always=True, days="sat"),
            {"op": "update", "name": "Cleaner", "schedule": {"weekdays": ["sat"]}},
        ),
        (ask(KeypadOp.DELETE, locks=("a", "b")), {"op": "delete", "name": "Cleaner"}),
    ],
)
def test_what_is_sent(asked: KeypadAsk, expected: dict[str, Any]) -> None:
    assert order(read_wanted(asked, NOW)) == expected | {"transaction": "t1"}


LIMITED = {
    "from": "2026-12-01T07:00:00Z",
    "until": "2027-01-31T17:00:00Z",
    "weekdays": ["mon", "tue"],
    "daily": {"from": "08:00", "until": "12:00"},
}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"days": "sat,sun"}, {"weekdays": ["sat", "sun"]}),
        ({"hours": "none"}, {"daily": None}),
        ({"ends": "2027-02-01T00:00Z"}, {"until": "2027-02-01T00:00Z"}),
        ({"begins": "none", "days": "all"}, {"from": None, "weekdays": None}),
    ],
)
def test_a_change_leaves_the_other_limits(options: dict[str, str], changed: dict[str, Any]) -> None:
    """The contract replaces a schedule as a whole: what is left out there would be no limit any more."""
    wanted = read_wanted(ask(KeypadOp.UPDATE, **options), NOW)
    assert order(wanted, listed(schedule=LIMITED))["schedule"] == LIMITED | changed


def test_a_change_of_a_code_without_limits() -> None:
    wanted = read_wanted(ask(KeypadOp.UPDATE, days="sat"), NOW)
    assert order(wanted, listed())["schedule"] == {"weekdays": ["sat"]}
    assert order(read_wanted(ask(KeypadOp.UPDATE, days="all"), NOW), listed())["schedule"] is None


@pytest.mark.parametrize("former", [None, listed(schedule="mon"), listed(schedule={"until": "soon"})])
def test_a_limit_is_never_lost_because_the_others_are_not_known(former: ListedCode | None) -> None:
    wanted = read_wanted(ask(KeypadOp.UPDATE, days="sat"), NOW)
    with pytest.raises(NotAsked, match="say all of it, beginning with --always"):
        wanted.order(former, "t1", NOW)


def test_a_changed_schedule_is_checked_as_a_whole() -> None:
    wanted = read_wanted(ask(KeypadOp.UPDATE, begins="2027-03-01T00:00Z"), NOW)
    with pytest.raises(NotAsked, match="the end must be later than the beginning"):
        wanted.order(listed(schedule=LIMITED), "t1", NOW)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", "mon tue wed thu fri"),
        ("sat,sun", "sat sun"),
        ("Fri-Mon", "mon fri sat sun"),
        ("wednesday", "wed"),
        ("sun-sun", "sun"),
        ("tue, thu-fri  sun", "tue thu fri sun"),
        ("mon-sun", "mon tue wed thu fri sat sun"),
        ("mon\u2013wed", "mon tue wed"),
    ],
)
def test_days(text: str, days: str) -> None:
    assert parse_days(text) == days.split()


@given(st.sampled_from(WEEK), st.sampled_from(WEEK))
def test_a_range_of_days_has_both_ends_and_all_between(first: Weekday, last: Weekday) -> None:
    days = parse_days(f"{first}-{last}")
    assert {first, last} <= set(days)
    assert len(days) == (WEEK.index(last) - WEEK.index(first)) % 7 + 1


# --- What is refused before anything is sent ----------------------------------------------------------------------

RULES = PROBLEM_TEXTS


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (ask(draws=True, which=""), RULES[KeypadProblem.NAME_MISSING]),
        (ask(draws=True, which="   "), RULES[KeypadProblem.NAME_MISSING]),
        (ask(draws=True, which="x" * 21), RULES[KeypadProblem.NAME_TOO_LONG]),
        (ask(draws=True, which="\u00e4" * 11), RULES[KeypadProblem.NAME_TOO_LONG]),
        (ask(draws=True, which="a\x1bb"), RULES[KeypadProblem.NAME_NOT_PRINTABLE]),
        (ask(KeypadOp.UPDATE, new_name="y" * 21), RULES[KeypadProblem.NAME_TOO_LONG]),
        (ask(KeypadOp.UPDATE, new_name=""), RULES[KeypadProblem.NAME_MISSING]),
        (ask(draws=True, ends="2026-11-20T12:00"), RULES[KeypadProblem.SCHEDULE_IN_THE_PAST]),
        (ask(draws=True, ends="2026-11-22T11:59Z"), RULES[KeypadProblem.SCHEDULE_IN_THE_PAST]),
        (ask(draws=True, ends="2101-01-01T00:00"), RULES[KeypadProblem.SCHEDULE_OUT_OF_RANGE]),
        (
            ask(draws=True, begins="2026-12-02T00:00", ends="2026-12-01T00:00"),
            RULES[KeypadProblem.SCHEDULE_ENDS_TOO_EARLY],
        ),
        (ask(draws=True, hours="18:00-08:00"), RULES[KeypadProblem.SCHEDULE_BAD_WINDOW]),
        (ask(draws=True, hours="08:00-24:00"), RULES[KeypadProblem.SCHEDULE_BAD_WINDOW]),
        (ask(draws=True, begins="2026-12-24"), "--from must be a date with a time, like 2026-12-24T18:00"),
        (ask(draws=True, ends="tomorrow"), "--until must be a date with a time"),
        (ask(draws=True, ends="2026-02-30T10:00"), "--until is no date that can be"),
        (ask(draws=True, days="mon-someday"), "--days must be days like mon-fri"),
        (ask(draws=True, days=""), "--days must be days like mon-fri"),
        (ask(draws=True, hours="8-18"), "--hours must be two times like 08:00-18:00"),
        (ask(draws=True, life="soon"), "--life must be a time like 90m, 2h or 3d"),
        (ask(draws=True, life="2h", ends="2026-12-24T10:00"), "--life and --until both say when it ends"),
        (ask(KeypadOp.UPDATE), "nothing is to be changed"),
        (ask(KeypadOp.DELETE, which=AUTH_ID, locks=("a", "b")), "an ID belongs to a code of one lock"),
    ],
)
def test_what_is_refused(asked: KeypadAsk, words: str) -> None:
    with pytest.raises(NotAsked) as refused:
        read_wanted(asked, NOW)
    assert any(words in one for one in refused.value.objections), refused.value.objections


@pytest.mark.parametrize("life", ["59", "1s", "400d", "999999999d"])
def test_a_life_out_of_bounds(life: str) -> None:
    wanted = read_wanted(ask(draws=True, life=life), NOW)
    with pytest.raises(NotAsked, match="must be a whole number of seconds from 60 to"):
        wanted.order(None, "t1", NOW)


@pytest.mark.parametrize("ends", ["2026-11-22T13:30", "2026-11-22T01:00"])
def test_a_local_time_that_may_lie_ahead_is_left_to_the_gateway(ends: str) -> None:
    """Somewhere on earth it does; only the gateway knows where the lock is."""
    assert order(read_wanted(ask(draws=True, ends=ends), NOW))["schedule"] == {"until": ends}


@pytest.mark.parametrize(
    ("code", "problems"),
    [
        ("73819", [KeypadProblem.CODE_NOT_SIX_DIGITS]),
        ("7381945", [KeypadProblem.CODE_NOT_SIX_DIGITS]),
        ("738190", [KeypadProblem.CODE_FORBIDDEN_DIGIT]),
        ("128194", [KeypadProblem.CODE_BEGINS_WITH_12]),
        ("12x", [KeypadProblem.CODE_NOT_SIX_DIGITS, KeypadProblem.CODE_FORBIDDEN_DIGIT, "12"]),
    ],
)
def test_a_code_that_cannot_be(tmp_path: Path, code: str, problems: list[Any]) -> None:
    path = tmp_path / "code"
    path.write_text(code)
    with pytest.raises(NotAsked) as refused:
        read_wanted(ask(code_file=str(path)), NOW)
    assert len(refused.value.objections) == len(problems)
    assert PROBLEM_TEXTS[problems[0]] in refused.value.objections
    assert code not in " ".join(refused.value.objections)


@pytest.mark.parametrize(
    "asked", [ask(which=f"Guest {CODE}"), ask(KeypadOp.UPDATE, new_name=f"x{CODE}"), ask(KeypadOp.UPDATE, which=CODE)]
)
def test_a_name_that_holds_the_code(asked: KeypadAsk, code_file: str) -> None:
    options = {name: getattr(asked, name) for name in ("op", "locks", "which", "new_name")}
    with pytest.raises(NotAsked, match="names are published") as refused:
        read_wanted(KeypadAsk(**options, code_file=code_file), NOW)
    assert CODE not in str(refused.value)


# --- Where the code comes from ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "there is no code in it"), (b"\n \n", "there is no code in it"), (b"\xff\xfe", "there is no code in it")],
)
def test_a_file_without_a_code(tmp_path: Path, body: bytes, words: str) -> None:
    path = tmp_path / "code"
    path.write_bytes(body)
    with pytest.raises(NotAsked, match=words):
        read_code_file(str(path))


def test_a_file_that_is_not_there_is_not_said_again_if_it_may_be_the_code(tmp_path: Path) -> None:
    with pytest.raises(NotAsked) as refused:
        read_code_file(CODE)
    assert str(refused.value) == "--code-file ***: No such file or directory"
    with pytest.raises(NotAsked, match="Is a directory"):
        read_code_file(str(tmp_path))


def test_a_file_without_end_is_not_read_to_it() -> None:
    with pytest.raises(NotAsked, match="exactly 6 digits"):
        read_wanted(ask(code_file="/dev/zero"), NOW)


@pytest.mark.parametrize("asked", [ask(), ask(KeypadOp.UPDATE, asks_code=True), ask(which=None)])
def test_nobody_can_be_asked(asked: KeypadAsk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(CODE))
    with pytest.raises(NotAsked, match="there is no terminal"):
        read_wanted(asked, NOW)


# --- Properties ---------------------------------------------------------------------------------------------------

clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


@given(
    st.sets(st.sampled_from(WEEK), min_size=1),
    st.tuples(clocks, clocks).filter(lambda window: window[0] < window[1]),
    st.datetimes(datetime(2027, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001 - a time on a clock beside the lock
    st.integers(1, 10**7),
)
def test_what_is_said_is_what_the_gateway_reads(
    days: set[Weekday], window: tuple[str, str], begins: datetime, minutes: int
) -> None:
    """And what it publishes of it can be changed in one part without any other."""
    begins = begins.replace(second=0, microsecond=0)
    ends = begins + timedelta(minutes=minutes)
    asked = ask(
        draws=True,
        days=",".join(days),
        hours="-".join(window),
        begins=begins.isoformat(),
        ends=ends.isoformat() if ends.year < 2100 else None,
    )
    schedule = parse_keypad_order(read_wanted(asked, NOW).order(None, "t1", NOW), BERLIN).schedule
    assert schedule is not None
    assert schedule.weekdays == days
    assert schedule.begins == begins.replace(tzinfo=BERLIN)
    assert schedule.daily is not None
    assert window == tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in _minutes(schedule.daily))

    wanted = read_wanted(ask(KeypadOp.UPDATE, days="sun"), NOW)
    former = listed(schedule=schedule_body(schedule))
    changed = parse_keypad_order(wanted.order(former, "t1", NOW), None).schedule
    assert changed == Schedule(
        begins=schedule.begins, ends=schedule.ends, weekdays=frozenset({Weekday.SUN}), daily=schedule.daily
    )


def _minutes(window: DailyWindow) -> tuple[int, int]:
    return window.from_minute, window.until_minute
