"""The journal of accepted commands in the state file: what stands there decides whether a door opens twice."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from nuki2mqtt.adapters.state_file import StateFile
from nuki2mqtt.gateway.vocabulary import DeviceMemory, JournalEntry, Memory
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId

BEFORE = Memory(devices={NukiId(0x1A2B3C4D): DeviceMemory("front_door", "Haustür", 4)})
SENT = JournalEntry(
    device=NukiId(0x1A2B3C4D),
    action=Action.UNLATCH,
    accepted=datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC),
    key='"a\\u00fc1"',
    transaction='"a\\u00fc1"',
    response_topic="answers/ü",
    correlation="0001ff",
    is_ended=True,
    end='{"status":"confirmed"}',
)
JOURNAL = {
    "2026-11-22T12:00:00.123456+00:00 1": SENT,
    "2026-11-22T12:00:00+01:00 2": JournalEntry(
        device=NukiId(0xBEEF),
        action=Action.ELECTRIC_STRIKE,
        accepted=datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=1))),
        opens=False,
        may_have_acted=False,
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def saved(folder: Path, memory: Memory) -> None:
    with StateFile(folder) as state:
        state.open()
        state.save(memory)


def test_commands_that_were_sent_are_read_again_in_their_order(folder: Path) -> None:
    saved(folder, replace(BEFORE, journal=JOURNAL))
    with StateFile(folder) as state:
        found = state.open()
    assert found.problems == ()
    assert found.memory == replace(BEFORE, journal=JOURNAL)
    assert list(found.memory.journal) == list(JOURNAL)
    assert [entry.accepted.utcoffset() for entry in found.memory.journal.values()] == [timedelta(), timedelta(hours=1)]


def test_a_command_stands_in_the_file_as_people_can_read_it(folder: Path) -> None:
    saved(folder, Memory(journal={"x 1": SENT}))
    assert json.loads((folder / "state.json").read_text())["journal"] == {
        "x 1": {
            "device": "1A2B3C4D",
            "action": "unlatch",
            "accepted": "2026-11-22T12:00:00.123456+00:00",
            "key": '"a\\u00fc1"',
            "transaction": '"a\\u00fc1"',
            "response_topic": "answers/ü",
            "correlation": "0001ff",
            "is_ended": True,
            "opens": True,
            "end": '{"status":"confirmed"}',
            "may_have_acted": True,
            "is_dated": False,
            "by_cloud": False,
        }
    }


def test_an_entry_of_a_version_that_kept_no_ends_is_read(folder: Path) -> None:
    saved(folder, Memory(journal={"x 1": SENT}))
    path = folder / "state.json"
    data = json.loads(path.read_text())
    for name in ("opens", "end", "may_have_acted", "is_dated"):
        del data["journal"]["x 1"][name]
    path.write_text(json.dumps(data))
    with StateFile(folder) as state:
        found = state.open()
    assert (found.memory, found.problems) == (Memory(journal={"x 1": replace(SENT, end=None)}), ())


def test_the_file_of_a_version_that_sent_no_commands_is_read(folder: Path) -> None:
    saved(folder, BEFORE)
    path = folder / "state.json"
    data = json.loads(path.read_text())
    del data["journal"]
    path.write_text(json.dumps(data))
    with StateFile(folder) as state:
        found = state.open()
    assert (found.memory, found.problems) == (BEFORE, ())


BROKEN_ENTRIES: dict[str, object] = {
    "no object": "unlatch",
    "nothing in it": {},
    "no device": {"action": "unlatch", "accepted": "2026-11-22T12:00:00Z"},
    "a foreign device": {"device": "front_door", "action": "unlatch", "accepted": "2026-11-22T12:00:00Z"},
    "no such action": {"device": "1A2B3C4D", "action": "open", "accepted": "2026-11-22T12:00:00Z"},
    "no time": {"device": "1A2B3C4D", "action": "unlatch", "accepted": None},
    "a time as a number": {"device": "1A2B3C4D", "action": "unlatch", "accepted": 1795348800},
    "a time without an offset": {"device": "1A2B3C4D", "action": "unlatch", "accepted": "2026-11-22T12:00:00"},
    "a key of another kind": {"device": "1A2B3C4D", "action": "lock", "accepted": "2026-11-22T12:00:00Z", "key": 1},
    "an end that is a word": {
        "device": "1A2B3C4D",
        "action": "unlatch",
        "accepted": "2026-11-22T12:00:00Z",
        "is_ended": "yes",
    },
    "an end that is no text": {
        "device": "1A2B3C4D",
        "action": "unlatch",
        "accepted": "2026-11-22T12:00:00Z",
        "end": {"status": "confirmed"},
    },
    "a doubt that is no truth value": {
        "device": "1A2B3C4D",
        "action": "unlatch",
        "accepted": "2026-11-22T12:00:00Z",
        "may_have_acted": 1,
    },
}


@pytest.mark.parametrize("name", BROKEN_ENTRIES)
def test_a_broken_entry_of_the_journal_is_dropped_and_named(folder: Path, name: str) -> None:
    saved(folder, Memory(journal=JOURNAL))
    path = folder / "state.json"
    data = json.loads(path.read_text())
    data["journal"][name] = BROKEN_ENTRIES[name]
    path.write_text(json.dumps(data))
    with StateFile(folder) as state:
        found = state.open()
    assert found.memory == Memory(journal=JOURNAL)
    [problem] = found.problems
    assert f"journal {name!r}" in problem
