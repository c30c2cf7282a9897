"""The rules of keypad codes (reference 6.1), and whether the cloud says what is wanted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nuki2mqtt.model.keypad import (
    Authorization,
    AuthorizationKind,
    CodeField,
    Comparison,
    KeypadCode,
    authorization_kind_of,
    compare,
)
from nuki2mqtt.model.keypad_rules import (
    PROBLEM_TEXTS,
    KeypadPlace,
    KeypadProblem,
    place_of,
    problems_of,
)
from nuki2mqtt.model.schedule import ALWAYS, DailyWindow, Schedule, Weekday
from nuki2mqtt.model.secret import Secret

NOW = datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
WANTED = KeypadCode(
    name="Cleaner",
    code=Secret("839275"),
    schedule=Schedule(
        begins=NOW, ends=NOW + DAY, weekdays=frozenset({Weekday.MON, Weekday.FRI}), daily=DailyWindow(480, 720)
    ),
)
FOUND = Authorization(
    id="65f1a2b3c4d5e6f708192a3b",
    type=13,
    name="Cleaner",
    code=Secret("839275"),
    enabled=True,
    schedule=WANTED.schedule,
)


def broken(wanted: KeypadCode, place: KeypadPlace | None = None) -> tuple[KeypadProblem, ...]:
    return problems_of(wanted, place or KeypadPlace(), NOW)


def test_a_good_code_breaks_no_rule() -> None:
    assert broken(WANTED) == ()
    assert broken(KeypadCode(name="x", code=Secret("211111"))) == ()


@pytest.mark.parametrize(
    ("code", "problems"),
    [
        ("", ["code_not_six_digits"]),
        ("83927", ["code_not_six_digits"]),
        ("8392751", ["code_not_six_digits"]),
        ("839270", ["code_forbidden_digit"]),
        ("039275", ["code_forbidden_digit"]),
        ("83927x", ["code_forbidden_digit"]),
        ("83927 ", ["code_forbidden_digit"]),
        ("83927²", ["code_forbidden_digit"]),
        ("83927\u0665", ["code_forbidden_digit"]),  # a five that is not ours
        ("-83927", ["code_forbidden_digit"]),
        ("129275", ["code_begins_with_12"]),
        ("123456", ["code_begins_with_12"]),
        ("120", ["code_not_six_digits", "code_forbidden_digit", "code_begins_with_12"]),
        ("112345", []),
        ("212345", []),
        ("999999", []),
    ],
)
def test_rules_of_the_digits(code: str, problems: list[str]) -> None:
    assert list(broken(replace(WANTED, code=Secret(code)))) == problems


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("", ["name_missing"]),
        ("   ", ["name_missing"]),
        ("x" * 20, []),
        ("x" * 21, ["name_too_long"]),
        ("ä" * 10, []),
        ("ä" * 10 + "x", ["name_too_long"]),
        ("\U0001f511" * 5, []),
        ("\U0001f511" * 5 + "x", ["name_too_long"]),
        ("two words", []),
        (" Cleaner", ["name_not_printable"]),
        ("Cleaner ", ["name_not_printable"]),
        ("a\nb", ["name_not_printable"]),
        ("a\x00", ["name_not_printable"]),
        ("a\ud83d", ["name_not_printable"]),  # half a character
        ("\n" * 21, ["name_missing", "name_too_long"]),
    ],
)
def test_rules_of_the_name(name: str, problems: list[str]) -> None:
    assert list(broken(replace(WANTED, name=name))) == problems


@pytest.mark.parametrize(
    ("schedule", "problems"),
    [
        (ALWAYS, []),
        (Schedule(begins=NOW - 900 * DAY), []),
        (Schedule(ends=NOW + SECOND), []),
        (Schedule(ends=NOW), ["schedule_in_the_past"]),
        (Schedule(begins=NOW + DAY, ends=NOW + DAY + SECOND), []),
        (Schedule(begins=NOW + DAY, ends=NOW + DAY), ["schedule_ends_too_early"]),
        (Schedule(begins=NOW + DAY, ends=NOW + DAY + SECOND / 2), ["schedule_ends_too_early"]),
        (Schedule(begins=NOW, ends=NOW - DAY), ["schedule_ends_too_early", "schedule_in_the_past"]),
        (Schedule(begins=datetime(2020, 1, 1, tzinfo=UTC)), ["schedule_out_of_range"]),
        (Schedule(begins=datetime(2020, 1, 1, 0, 0, 0, 9, tzinfo=UTC)), ["schedule_out_of_range"]),
        (Schedule(begins=datetime(2020, 1, 1, 0, 0, 1, tzinfo=UTC)), []),
        (Schedule(ends=datetime(2100, 1, 1, tzinfo=UTC)), ["schedule_out_of_range"]),
        (Schedule(weekdays=frozenset()), ["schedule_without_days"]),
        (Schedule(weekdays=frozenset({Weekday.SUN})), []),
        (Schedule(daily=DailyWindow(0, 1439)), []),
        (Schedule(daily=DailyWindow(0, 1440)), ["schedule_bad_window"]),
        (Schedule(daily=DailyWindow(-1, 60)), ["schedule_bad_window"]),
        (Schedule(daily=DailyWindow(0, 0)), ["schedule_bad_window"]),
        (Schedule(daily=DailyWindow(600, 600)), ["schedule_bad_window"]),
        (Schedule(daily=DailyWindow(1320, 360)), ["schedule_bad_window"]),  # over midnight
    ],
)
def test_rules_of_the_schedule(schedule: Schedule, problems: list[str]) -> None:
    assert list(broken(replace(WANTED, schedule=schedule))) == problems


@pytest.mark.parametrize(
    ("place", "problems"),
    [
        (KeypadPlace(is_paired=False), ["no_keypad"]),
        (KeypadPlace(is_paired=None), []),
        (KeypadPlace(used=99), []),
        (KeypadPlace(used=100), ["no_room"]),
        (KeypadPlace(used=100, capacity=200), []),
        (KeypadPlace(used=200, capacity=200), ["no_room"]),
        (KeypadPlace(taken=frozenset({Secret("839275")})), ["code_taken"]),
        (KeypadPlace(taken=frozenset({Secret("839276")})), []),
    ],
)
def test_rules_of_the_place(place: KeypadPlace, problems: list[str]) -> None:
    assert list(broken(WANTED, place)) == problems


def test_all_broken_rules_are_told_in_the_order_of_the_list() -> None:
    worst = KeypadCode(name="", code=Secret("120"), schedule=Schedule(weekdays=frozenset(), ends=NOW))
    place = KeypadPlace(is_paired=False, used=7, capacity=7, taken=frozenset({Secret("120")}))

    assert broken(worst, place) == (
        "no_keypad",
        "no_room",
        "name_missing",
        "code_not_six_digits",
        "code_forbidden_digit",
        "code_begins_with_12",
        "code_taken",
        "schedule_in_the_past",
        "schedule_without_days",
    )


def test_every_rule_has_a_text() -> None:
    assert list(PROBLEM_TEXTS) == list(KeypadProblem)


def test_the_place_that_a_list_and_our_plans_leave() -> None:
    app = Authorization(id="a" * 24, type=0, name="Somebody")
    other = replace(FOUND, id="b" * 24, code=Secret("274196"))
    planned = {Secret("331385"), Secret("274196")}

    assert place_of([app, FOUND, other], is_paired=True, planned=planned, capacity=9) == KeypadPlace(
        taken=frozenset({Secret("839275"), Secret("274196"), Secret("331385")}), used=4, capacity=9
    )
    assert place_of([app, FOUND], is_paired=None, without=FOUND.id) == KeypadPlace(is_paired=None, used=1)


# --- Comparison -------------------------------------------------------------------------------------------------------


def test_the_same() -> None:
    assert compare(WANTED, FOUND) == Comparison(frozenset(), frozenset())
    assert compare(WANTED, FOUND).is_exact


@pytest.mark.parametrize(
    ("found", "field"),
    [
        (replace(FOUND, name="cleaner"), CodeField.NAME),
        (replace(FOUND, code=Secret("839276")), CodeField.CODE),
        (replace(FOUND, enabled=False), CodeField.ENABLED),
        (replace(FOUND, schedule=replace(WANTED.schedule, begins=None)), CodeField.BEGINS),
        (replace(FOUND, schedule=replace(WANTED.schedule, begins=NOW + SECOND)), CodeField.BEGINS),
        (replace(FOUND, schedule=replace(WANTED.schedule, ends=None)), CodeField.ENDS),
        (replace(FOUND, schedule=replace(WANTED.schedule, weekdays=frozenset())), CodeField.WEEKDAYS),
        (replace(FOUND, schedule=replace(WANTED.schedule, daily=None)), CodeField.DAILY),
        (replace(FOUND, schedule=replace(WANTED.schedule, daily=DailyWindow(480, 721))), CodeField.DAILY),
    ],
)
def test_one_field_differs(found: Authorization, field: CodeField) -> None:
    assert compare(WANTED, found) == Comparison(frozenset({field}), frozenset())


@pytest.mark.parametrize(
    ("found", "field"),
    [
        (replace(FOUND, name=None), CodeField.NAME),
        (replace(FOUND, code=None), CodeField.CODE),
        (replace(FOUND, enabled=None), CodeField.ENABLED),
        (replace(FOUND, unreadable=frozenset({CodeField.DAILY})), CodeField.DAILY),
    ],
)
def test_what_is_not_said_is_neither_the_same_nor_another(found: Authorization, field: CodeField) -> None:
    compared = compare(WANTED, found)

    assert compared == Comparison(frozenset(), frozenset({field}))
    assert not compared.is_exact


def test_a_lost_schedule_is_seen() -> None:
    assert compare(WANTED, replace(FOUND, schedule=ALWAYS)).differs == {"begins", "ends", "weekdays", "daily"}


def test_milliseconds_of_the_cloud_are_no_difference() -> None:
    later = replace(WANTED.schedule, begins=NOW + timedelta(milliseconds=123))

    assert compare(WANTED, replace(FOUND, schedule=later)).is_exact


# --- Words and secrets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (0, "app"),
        (1, "bridge"),
        (2, "fob"),
        (3, "keypad"),
        (13, "keypad_code"),
        (14, "z_key"),
        (15, "virtual"),
        (4, "unknown"),
        (99, "unknown"),
    ],
)
def test_kinds_of_authorizations(number: int, word: str) -> None:
    assert authorization_kind_of(number) is AuthorizationKind(word)
    assert replace(FOUND, type=number).kind == word
    assert replace(FOUND, type=number).is_keypad_code is (number == 13)


def test_nothing_is_held_unless_it_is_said() -> None:
    assert not Authorization(id="a", type=13).has_operation
    assert Authorization(id="a", type=13).unreadable == frozenset()


def test_no_code_shows_itself() -> None:
    place = place_of([FOUND], is_paired=True, planned=[Secret("274196")])
    shown = f"{WANTED} {WANTED!r} {FOUND} {FOUND!r} {place} {place!r} {compare(WANTED, FOUND)!r}"

    assert "839275" not in shown
    assert "274196" not in shown
