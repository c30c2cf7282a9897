"""What is remembered of commands: keys for ten minutes, those without an end, and both across a restart."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nuki2mqtt.gateway.command_journal import MOST_KEYS, REMEMBERED_S, CommandJournal
from nuki2mqtt.gateway.vocabulary import JournalEntry, Moment
from nuki2mqtt.model.action import Action
from tests.gateway.builders import LOCK, NOON, OPENER, ZERO, moment, wall

UNLOCK, UNLATCH = Action.UNLOCK, Action.UNLATCH
KEY = '"a1"'
END = b'{"status":"confirmed"}'


def sent_at(seconds: float, key: str | None = KEY, *, is_ended: bool = False) -> JournalEntry:
    return JournalEntry(device=LOCK, action=UNLOCK, accepted=wall(seconds), key=key, is_ended=is_ended, is_dated=True)


def journal() -> CommandJournal:
    return CommandJournal({}, moment(0))


def restarted(entries: dict[str, JournalEntry], seconds: float, *, clock_off_s: float = 0.0) -> CommandJournal:
    """A new process, whose monotonic clock began anew and whose wall clock may have been set in between."""
    return CommandJournal(entries, Moment(5.0, wall(seconds + clock_off_s)))


def is_repeat(remembered: CommandJournal, now: Moment, key: str | None = KEY) -> bool:
    return remembered.is_repeat(LOCK, UNLOCK, key, now)


# --- keys ---


def test_a_key_is_remembered_from_accepted_for_ten_minutes() -> None:
    remembered = journal()
    remembered.accept(LOCK, UNLOCK, KEY, moment(10), opens=True)

    assert REMEMBERED_S == 600
    assert [is_repeat(remembered, moment(now)) for now in (10, 300, 610, 610.1)] == [True, True, True, False]


def test_a_key_is_of_one_device_and_one_action() -> None:
    remembered = journal()
    remembered.accept(LOCK, UNLOCK, KEY, moment(10), opens=True)

    assert not remembered.is_repeat(OPENER, UNLOCK, KEY, moment(11))
    assert not remembered.is_repeat(LOCK, UNLATCH, KEY, moment(11))
    assert not remembered.is_repeat(LOCK, UNLOCK, '"a2"', moment(11))


def test_without_a_key_nothing_is_a_repeat() -> None:
    remembered = journal()
    for _ in range(2):
        assert not is_repeat(remembered, moment(10), None)
        remembered.accept(LOCK, UNLOCK, None, moment(10), opens=True)


def test_at_most_a_thousand_keys_the_oldest_goes_first() -> None:
    remembered = journal()
    for number in range(MOST_KEYS + 1):
        remembered.accept(LOCK, UNLOCK, str(number), moment(number / 10), opens=True)

    assert MOST_KEYS == 1000
    assert [is_repeat(remembered, moment(100), str(number)) for number in (0, 1, MOST_KEYS)] == [False, True, True]


def test_what_closes_drives_no_key_out_that_opens() -> None:
    """A loop that locks a thousand times must not make the door open twice."""
    remembered = journal()
    remembered.accept(LOCK, UNLOCK, KEY, moment(10), opens=True)
    for number in range(MOST_KEYS):
        remembered.accept(LOCK, Action.LOCK, str(number), moment(11), opens=False)

    def is_locked_again(number: int) -> bool:
        return remembered.is_repeat(LOCK, Action.LOCK, str(number), moment(12))

    assert is_repeat(remembered, moment(12))
    assert [is_locked_again(number) for number in (0, 1, MOST_KEYS - 1)] == [False, True, True]

    for number in range(MOST_KEYS):
        remembered.accept(LOCK, UNLOCK, str(number), moment(13), opens=True)

    assert (is_repeat(remembered, moment(14)), is_locked_again(MOST_KEYS - 1)) == (False, False)
    assert is_repeat(remembered, moment(14), "0")


def test_what_did_not_act_is_forgotten() -> None:
    remembered = journal()
    remembered.accept(LOCK, UNLOCK, KEY, moment(10), opens=True)
    remembered.forget(LOCK, UNLATCH, KEY)
    before = is_repeat(remembered, moment(11))
    remembered.forget(LOCK, UNLOCK, KEY)
    remembered.forget(LOCK, UNLOCK, KEY)

    assert (before, is_repeat(remembered, moment(11))) == (True, False)


# --- what was sent ---


def test_what_is_sent_stands_there_open_until_its_end() -> None:
    remembered = journal()
    remembered.accept(LOCK, UNLOCK, KEY, moment(10), opens=True)
    entry_id = remembered.write(sent_at(10))
    before = dict(remembered.entries)
    remembered.ended(entry_id)

    assert list(before.values()) == [sent_at(10)]
    assert list(remembered.entries.values()) == [sent_at(10, is_ended=True)]


def test_what_did_not_act_leaves_no_trace() -> None:
    remembered = journal()
    entry_id = remembered.write(sent_at(10))
    remembered.conclude(entry_id, END, may_have_acted=False)
    remembered.ended(entry_id)
    remembered.ended(entry_id)
    remembered.conclude(entry_id, END, may_have_acted=True)

    assert remembered.entries == {}


def test_two_in_the_same_moment_are_two_entries() -> None:
    remembered = journal()

    assert remembered.write(sent_at(10)) != remembered.write(sent_at(10))
    assert len(remembered.entries) == 2


def test_entries_are_never_changed_in_place() -> None:
    """The state file compares what it wrote with what is to be written."""
    remembered = journal()
    first = remembered.entries
    entry_id = remembered.write(sent_at(10))
    second = remembered.entries
    remembered.conclude(entry_id, END, may_have_acted=True)
    third = remembered.entries
    remembered.ended(entry_id)

    assert third[entry_id].end == END.decode()
    assert second[entry_id].end is None
    assert first == {}
    assert not second[entry_id].is_ended


def test_an_ended_entry_goes_with_its_key_and_an_open_one_stays() -> None:
    remembered = journal()
    remembered.accept(LOCK, UNLOCK, KEY, moment(10), opens=True)
    remembered.ended(remembered.write(sent_at(10)))
    remembered.ended(remembered.write(sent_at(10, None)))
    remembered.write(sent_at(10, '"open"'))
    is_repeat(remembered, moment(20))
    after_ten_s = [entry.key for entry in remembered.entries.values()]
    is_repeat(remembered, moment(700))

    assert sorted(map(str, after_ten_s)) == ['"a1"', '"open"']
    assert [entry.key for entry in remembered.entries.values()] == ['"open"']


def test_at_most_a_thousand_entries_the_newest_stay() -> None:
    remembered = journal()
    for number in range(MOST_KEYS + 5):
        remembered.write(sent_at(number, str(number)))
    keys = [entry.key for entry in remembered.entries.values()]

    assert (len(keys), keys[0], keys[-1]) == (1000, "5", "1004")


# --- across a restart ---


@pytest.mark.parametrize(
    ("later_s", "clock_off_s", "left_s"),
    [
        (10, 0, 590),
        (590, 0, 10),
        (601, 0, None),
        (10, -3600, 600),
        (10, -20, 600),
        (10, 300, 290),
        (10, 86_400, None),
        (10, -1_700_000_000, 600),
    ],
    ids=[
        "at once",
        "in time",
        "too late",
        "set back an hour",
        "set back a little",
        "set forward a little",
        "set forward a day",
        "not yet set",
    ],
)
def test_opening_commands_are_remembered_across_a_restart(
    later_s: float, clock_off_s: float, left_s: float | None
) -> None:
    """A clock that was set back must not shorten the time; one that was set forward a day tells of an old command."""
    remembered = restarted({"1": sent_at(0, is_ended=True)}, later_s, clock_off_s=clock_off_s)

    def asked(after_s: float) -> bool:
        now = Moment(5.0 + after_s, wall(later_s + clock_off_s + after_s))
        return is_repeat(remembered, now)

    if left_s is None:
        assert not asked(0)
        assert remembered.entries == {}
    else:
        assert [asked(0), asked(left_s - 0.1), asked(left_s + 0.1)] == [True, True, False]


def test_an_entry_without_a_key_makes_no_repeat() -> None:
    remembered = restarted({"1": sent_at(0, None)}, 10)

    assert not is_repeat(remembered, Moment(5.0, wall(10)), None)
    assert list(remembered.entries) == ["1"]


def test_a_key_that_was_sent_before_the_others_is_forgotten_before_them_whatever_the_order_in_the_file() -> None:
    entries = {"1": sent_at(500, '"late"', is_ended=True), "2": sent_at(0, '"early"', is_ended=True)}
    remembered = restarted(entries, 550)
    now = Moment(5.0 + 60, wall(610))

    assert not is_repeat(remembered, now, '"early"')
    assert is_repeat(remembered, now, '"late"')


# --- what was left open ---


def test_what_a_former_process_left_open_is_given_once_and_stays_a_repeat() -> None:
    remembered = restarted({"1": sent_at(0), "2": sent_at(1, '"b"', is_ended=True)}, 10)
    now = Moment(6.0, wall(11))

    assert remembered.take_left_open() == [("1", sent_at(0))]
    assert remembered.take_left_open() == []
    before = remembered.entries["1"].is_ended
    remembered.ended("1")

    # It stays open in the file until the broker has its end.
    assert (before, [entry.is_ended for entry in remembered.entries.values()]) == (False, [True, True])
    assert is_repeat(remembered, now)


def test_what_this_process_sends_is_not_left_open() -> None:
    remembered = restarted({"1": sent_at(0)}, 10)
    remembered.write(replace(sent_at(11), action=UNLATCH))

    assert [entry.action for _, entry in remembered.take_left_open()] == [UNLOCK]
    assert [entry.action for entry in remembered.entries.values()] == [UNLOCK, UNLATCH]


def test_what_is_dropped_is_left_open_as_by_a_crash() -> None:
    remembered = journal()
    entry_id = remembered.write(sent_at(10))
    before = remembered.take_left_open()
    remembered.leave_open()

    assert (before, remembered.take_left_open()) == ([], [(entry_id, sent_at(10))])


def test_a_long_sleep_of_the_machine_does_not_lose_what_was_left_open() -> None:
    """Nobody knows for how long it was open: its repeat is refused for ten minutes from now."""
    later = NOON + timedelta(days=30)
    remembered = CommandJournal({"1": sent_at(0)}, Moment(ZERO, later))

    assert is_repeat(remembered, Moment(ZERO + 600, later + timedelta(seconds=600)))
    assert not is_repeat(remembered, Moment(ZERO + 601, later + timedelta(seconds=601)))
    assert remembered.take_left_open() == [("1", sent_at(0))]


# --- ends that the broker may not have ---


def concluded(*, may_have_acted: bool) -> dict[str, JournalEntry]:
    remembered = journal()
    entry_id = remembered.write(sent_at(10))
    remembered.conclude(entry_id, END, may_have_acted=may_have_acted)
    return remembered.entries


@pytest.mark.parametrize("may_have_acted", [True, False])
def test_an_end_that_the_broker_may_not_have_is_given_with_its_text(*, may_have_acted: bool) -> None:
    ((_, entry),) = restarted(concluded(may_have_acted=may_have_acted), 20).take_left_open()

    assert (entry.read_end(), entry.may_have_acted, entry.is_ended) == (END, may_have_acted, False)


@pytest.mark.parametrize("may_have_acted", [True, False])
def test_after_a_restart_only_what_may_have_acted_is_a_repeat(*, may_have_acted: bool) -> None:
    heir = restarted(concluded(may_have_acted=may_have_acted), 20)

    assert is_repeat(heir, Moment(6.0, wall(21))) == may_have_acted


@pytest.mark.parametrize("may_have_acted", [True, False])
def test_what_the_broker_has_stays_for_its_key_alone(*, may_have_acted: bool) -> None:
    heir = restarted(concluded(may_have_acted=may_have_acted), 20)
    ((entry_id, _),) = heir.take_left_open()
    heir.ended(entry_id)

    assert list(heir.entries.values()) == ([sent_at(10, is_ended=True)] if may_have_acted else [])


@pytest.mark.parametrize("end", ["", "{", "[]", "1", "[" * 100_000, '"\ud800"', '{"a":"\ud800"}'])
def test_an_end_that_nobody_wrote_is_none(end: str) -> None:
    assert replace(sent_at(10), end=end).read_end() is None


# --- closing commands ---


def test_the_key_of_a_closing_command_does_not_outlive_the_process() -> None:
    closing = replace(sent_at(10), action=Action.LOCK, opens=False)
    former = journal()
    former.accept(LOCK, Action.LOCK, KEY, moment(10), opens=False)
    entry_id = former.write(closing)
    heir = restarted(former.entries, 20)

    assert former.is_repeat(LOCK, Action.LOCK, KEY, moment(11))
    assert not heir.is_repeat(LOCK, Action.LOCK, KEY, Moment(6.0, wall(21)))
    assert heir.take_left_open() == [(entry_id, closing)]
    heir.ended(entry_id)
    assert heir.entries == {}


def test_a_flood_of_what_closes_drives_out_nothing_that_opens() -> None:
    """Or a door would open twice after a crash: the key of the opening one would be forgotten."""
    remembered = journal()
    kept = remembered.write(sent_at(10))
    for number in range(3000):
        remembered.write(replace(sent_at(11, f"{number}"), opens=False))

    assert kept in remembered.entries
    assert len(remembered.entries) <= 101


def test_what_opens_drives_out_what_closes_first() -> None:
    remembered = journal()
    first = remembered.write(sent_at(10))
    closing = remembered.write(replace(sent_at(10), opens=False))
    for number in range(999):
        remembered.write(sent_at(11, f"{number}"))

    assert first in remembered.entries
    assert closing not in remembered.entries
    assert len(remembered.entries) == 1000


def test_bare_openings_drive_no_key_out() -> None:
    """A door that opens twice after a crash does more harm than an end that is missing."""
    remembered = journal()
    keyed = remembered.write(sent_at(10))
    remembered.ended(keyed)
    for number in range(MOST_KEYS + 5):
        remembered.write(sent_at(11 + number / 1000, None))

    assert keyed in remembered.entries
    assert len(remembered.entries) == MOST_KEYS


def test_what_is_under_way_is_not_driven_out_by_what_has_ended() -> None:
    remembered = journal()
    under_way = remembered.write(sent_at(10, '"first"'))
    for number in range(MOST_KEYS - 1):
        remembered.ended(remembered.write(sent_at(11, str(number))))
    remembered.write(sent_at(12, '"last"'))

    assert under_way in remembered.entries
    assert len(remembered.entries) == MOST_KEYS
    assert [entry.key for entry in remembered.entries.values()][1] == "1"


def test_a_clock_that_could_not_be_believed_when_a_command_was_accepted_dates_nothing() -> None:
    """A computer whose clock was hours behind until it was set: its key counts from the start of the process."""
    undated = replace(sent_at(0, is_ended=True), is_dated=False)

    assert is_repeat(restarted({"1": undated}, 30, clock_off_s=3 * 3600.0), Moment(5.0, wall(30 + 3 * 3600.0)))


def test_what_closes_drives_no_opening_entry_out_of_the_file() -> None:
    remembered = journal()
    opening = [remembered.write(sent_at(10, str(number))) for number in range(MOST_KEYS)]
    for number in range(3):
        remembered.write(replace(sent_at(11, f"lock {number}"), action=Action.LOCK, opens=False))

    assert set(opening) <= set(remembered.entries)
    assert len(remembered.entries) == MOST_KEYS + 1


def test_a_clock_that_nobody_believes_at_the_start_dates_nothing() -> None:
    """It may be an hour ahead until it is set."""
    ended = {"1": sent_at(0, is_ended=True)}
    now = Moment(5.0, wall(3600), is_synchronised=False)

    assert is_repeat(CommandJournal(ended, now), now)
