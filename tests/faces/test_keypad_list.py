"""`nuki2mqtt keypad list`: what is retained as tables and as JSON; and words for every reason that can stand there."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.faces.cli import make_parser
from nuki2mqtt.faces.keypad import keypad
from nuki2mqtt.faces.keypad_line import read_ask
from nuki2mqtt.faces.keypad_words import PHASES, REASONS, explain
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import PROBLEM_TEXTS, KeypadProblem
from nuki2mqtt.protocol.settings_reader import read_settings
from tests.adapters.brokers import HOST, Listener, RunningBroker, listener
from tests.adapters.linked import QUICK
from tests.faces.conftest import Perform, Said

CODE = "738194"  # marked: it is printed only where a test says so
ID = "5f0a1b2c3d4e5f6a7b8c9d0e"
DEVICES = [
    {"id": "1A2B3C4D", "name": "Front door", "topic": "front_door", "type": "smart_lock", "permitted": []},
    {"id": "2A2B3C4D", "name": "Back door", "topic": "back_door", "type": "smart_lock", "permitted": []},
    {"id": "3A2B3C4D", "name": "Garage", "topic": "garage", "type": "smart_lock", "permitted": []},
]
HOURS = {"from": None, "until": None, "weekdays": ["mon", "tue", "wed", "thu", "fri"]}
CLEANER: dict[str, Any] = {
    "id": ID,
    "name": "Cleaner",
    "enabled": True,
    "schedule": HOURS | {"daily": {"from": "08:00", "until": "12:00"}},
    "phase": "active",
    "reason": None,
    "uses": 3,
    "last_used": "2026-11-21T20:15:03Z",
}
GUEST: dict[str, Any] = {
    "id": None,
    "name": "Guest 7",
    "enabled": False,
    "schedule": None,
    "phase": "create_pending",
    "reason": "device_offline",
    "uses": None,
    "last_used": None,
}
OWNER = CLEANER | {"id": "6" * 24, "name": "Owner", "schedule": None, "phase": "foreign", "uses": 0, "last_used": None}


class Shelf:
    """What a gateway has left at a broker, and the verb that reads it."""

    def __init__(self, broker: RunningBroker, speaker: Listener, perform: Perform) -> None:
        self._broker, self._speaker, self._perform = broker, speaker, perform

    async def keep(self, topic: str, value: Any) -> None:
        payload = value if isinstance(value, bytes) else json.dumps(value).encode()
        await self._speaker.publish(f"nuki2mqtt/{topic}", payload, retain=True)

    async def list(self, *arguments: str) -> Said:
        text = (
            f"version: 1\nmqtt: {{host: {HOST}, port: {self._broker.port}, protocol: {self._broker.protocol}}}\n"
            "log: {level: error}\n"
        )
        there = Setup(read_settings(text, read_file=lambda name: name), Path("state"))
        asked = read_ask(make_parser().parse_args(["keypad", "list", *arguments]))
        said: Said = await self._perform(keypad, there, asked, timing=QUICK)
        return said


@pytest.fixture
async def shelf(broker: RunningBroker, perform: Perform) -> AsyncIterator[Shelf]:
    async with listener(broker, "nuki2mqtt/#") as speaker:
        one = Shelf(broker, speaker, perform)
        await one.keep("gateway/state", b"online")
        await one.keep("gateway/devices", DEVICES)
        yield one
        # It reads, and says nothing: whatever was heard, this test has put there.
        assert [message.topic for message in speaker.heard if "/keypad/" in message.topic] == []


# --- For people -------------------------------------------------------------------------------------------------------


async def test_several_locks(shelf: Shelf) -> None:
    await shelf.keep("front_door/keypad", [CLEANER, GUEST, OWNER])
    await shelf.keep("back_door/keypad", [])
    said = await shelf.list()
    assert (said.status, said.err) == (0, "")
    lines = re.sub(r"2026-11-2[12] [0-9:+-]{11}", "SOME TIME", said.out).splitlines()
    assert lines == [
        "front_door (Front door): 3 codes",
        "  NAME     ON   WORKS                PHASE           USES  LAST USE                ID",
        "  Cleaner  yes  Mon-Fri 08:00-12:00  active          3     SOME TIME  5f0a1b2c3d4e5f6a7b8c9d0e",
        "  Guest 7  no   always               create_pending  -     -                       -",
        "  Owner    yes  always               foreign         0     -                       666666666666666666666666",
        f"  Guest 7: {REASONS[KeypadReason.DEVICE_OFFLINE]}",
        "back_door (Back door): 0 codes",
        "  no codes",
    ]


@pytest.mark.parametrize("word", ["back_door", "2a2b3c4d", "Back Door"])
async def test_one_lock_by_any_of_its_names(shelf: Shelf, word: str) -> None:
    await shelf.keep("front_door/keypad", [CLEANER])
    await shelf.keep("back_door/keypad", [OWNER])
    said = await shelf.list("--lock", word)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("back_door (Back door): 1 code\n")
    assert "Cleaner" not in said.out


async def test_a_lock_that_is_named_twice_is_shown_once(shelf: Shelf) -> None:
    await shelf.keep("front_door/keypad", [CLEANER])
    said = await shelf.list("--lock", "front_door", "--lock", "1A2B3C4D")
    assert said.status == 0
    assert said.out.count("front_door (Front door)") == 1


async def test_a_lock_without_a_keypad(shelf: Shelf) -> None:
    """It has no list, and whoever asks for it is told so; nobody is who asks for all."""
    await shelf.keep("front_door/keypad", [CLEANER])
    said = await shelf.list("--lock", "garage", "--lock", "front_door")
    assert said.status == 1
    assert said.out.startswith("garage (Garage): no list\nfront_door (Front door): 1 code\n")
    assert said.err == (
        "garage: there is no list of its keypad codes that can be read. Has it a Keypad, and is it in the account of "
        "`nuki_web.token`?\n"
    )
    everything = await shelf.list()
    assert (everything.status, everything.err) == (0, "")
    assert "garage" not in everything.out


async def test_no_lock_has_a_list(shelf: Shelf) -> None:
    said = await shelf.list()
    assert (said.status, said.out) == (1, "")
    assert "The gateway needs `nuki_web.token` with the scope `smartlock.auth`" in said.err
    assert "a lock with a Keypad" in said.err


@pytest.mark.parametrize("body", [b"\xff", b"{}", b"[" * 5000, b"nothing"])
async def test_a_list_that_cannot_be_read(shelf: Shelf, body: bytes) -> None:
    await shelf.keep("front_door/keypad", body)
    said = await shelf.list()
    assert (said.status, said.out) == (1, "front_door (Front door): no list\n")
    assert said.err.startswith("front_door: there is no list of its keypad codes that can be read.")


async def test_entries_that_a_newer_gateway_or_nobody_wrote(shelf: Shelf) -> None:
    """What cannot be read is said to be so: a code whose limits nobody knows is not called one that always works."""
    odd = CLEANER | {"schedule": {"until": "soon"}, "phase": "resting", "reason": "moon_phase", "uses": -1}
    await shelf.keep("front_door/keypad", [odd | {"name": "\x1b[2J"}, 7, {}])
    said = await shelf.list()
    assert said.status == 0
    head, shown, empty, why = said.out.splitlines()[1:]
    assert head.split() == ["NAME", "ON", "WORKS", "PHASE", "USES", "LAST", "USE", "ID"]
    assert "yes" in shown
    assert "cannot be read  unknown  -" in shown
    assert empty.split() == ["(no", "name)", "?", "cannot", "be", "read", "unknown", "-", "-", "-"]
    assert "The reason 'moon_phase' is not known to this version" in why
    assert all(line.isprintable() for line in said.out.splitlines())


# --- No gateway -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [b"offline", b""])
async def test_the_gateway_is_offline(shelf: Shelf, state: bytes) -> None:
    """What is retained is shown, and that it may be old."""
    await shelf.keep("front_door/keypad", [CLEANER])
    await shelf.keep("gateway/state", state)
    said = await shelf.list()
    assert said.status == 4
    assert said.out.startswith("front_door (Front door): 1 code\n")
    assert said.err == "No gateway is online: this may be old. Start the service, or see its log.\n"
    as_json = await shelf.list("--json")
    assert (as_json.status, json.loads(as_json.out)["online"]) == (4, False)


async def test_an_empty_broker(shelf: Shelf) -> None:
    await shelf.keep("gateway/state", b"")
    await shelf.keep("gateway/devices", b"")
    for arguments in ((), ("--lock", "front_door")):
        said = await shelf.list(*arguments)
        assert (said.status, said.out) == (4, "")
        assert said.err.startswith("No gateway: nothing is retained on nuki2mqtt/gateway/state at ")
        assert "Nothing was sent" not in said.err


async def test_a_lock_that_is_not_there(shelf: Shelf) -> None:
    await shelf.keep("front_door/keypad", [CLEANER])
    said = await shelf.list("--lock", "front_door", "--lock", "cellar")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("There is no device 'cellar'. There are:\n  front_door (Front door, 1A2B3C4D)\n")


# --- For programs -----------------------------------------------------------------------------------------------------


async def test_json(shelf: Shelf) -> None:
    await shelf.keep("front_door/keypad", [CLEANER, GUEST])
    await shelf.keep("back_door/keypad", [])
    said = await shelf.list("--json")
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out) == {
        "online": True,
        "locks": [
            {"id": "1A2B3C4D", "topic": "front_door", "name": "Front door", "codes": [CLEANER, GUEST]},
            {"id": "2A2B3C4D", "topic": "back_door", "name": "Back door", "codes": []},
        ],
    }


async def test_json_of_a_lock_without_a_keypad(shelf: Shelf) -> None:
    said = await shelf.list("--json", "--lock", "garage")
    assert said.status == 1
    assert json.loads(said.out)["locks"] == [{"id": "3A2B3C4D", "topic": "garage", "name": "Garage", "codes": None}]
    assert said.err.startswith("garage: there is no list")


async def test_json_of_what_cannot_be_read(shelf: Shelf) -> None:
    """`schedule` null is a code that always works, so that one that nobody can read has another word."""
    await shelf.keep("front_door/keypad", [GUEST | {"schedule": "never"}])
    (lock,) = json.loads((await shelf.list("--json")).out)["locks"]
    assert [code["schedule"] for code in lock["codes"]] == ["unknown"]


# --- Codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [(), ("--json",)])
async def test_a_published_code_is_not_shown_unless_that_is_asked_for(shelf: Shelf, as_json: tuple[str, ...]) -> None:
    await shelf.keep("front_door/keypad", [CLEANER | {"code": CODE}, GUEST])
    said = await shelf.list(*as_json)
    assert said.status == 0
    assert CODE not in said.out + said.err
    asked = await shelf.list(*as_json, "--show-codes")
    assert (asked.status, asked.err) == (0, "")
    assert asked.out.count(CODE) == 1


@pytest.mark.parametrize("as_json", [(), ("--json",)])
async def test_codes_that_are_not_published_cannot_be_shown(shelf: Shelf, as_json: tuple[str, ...]) -> None:
    await shelf.keep("front_door/keypad", [CLEANER])
    said = await shelf.list(*as_json, "--show-codes")
    assert said.status == 0
    assert said.err == "No code is published: see `nuki_web.keypad.publish_codes`.\n"
    assert '"code"' not in said.out


async def test_what_is_no_code_is_not_shown_as_one(shelf: Shelf) -> None:
    """And no words of others show what could be one."""
    await shelf.keep("front_door/keypad", [CLEANER | {"code": "12\x1b[2J", "reason": f"is {CODE} there"}])
    said = await shelf.list("--show-codes")
    assert "No code is published" in said.err
    assert CODE not in said.out + said.err
    assert all(line.isprintable() for line in said.out.splitlines())


# --- Words ------------------------------------------------------------------------------------------------------------

# A step for the reader has one of these words; or it is said that there is none.
STEPS = re.compile(
    r"\b([Aa]dd|[Cc]hange|[Cc]heck|[Cc]hoose|[Cc]ompare|[Gg]ive|[Ll]ook|[Mm]ake|Name|[Pp]air|[Ss]ee|[Ss]et|[Ss]witch"
    r"|[Tt]ry|[Uu]se|[Ww]ait|Activate|goes on by itself|asked again by itself|looked for before|tried again"
    r"|nothing is to be done|is being removed)\b"
)
WAITING = (KeypadPhase.CREATE_PENDING, KeypadPhase.UPDATE_PENDING, KeypadPhase.DELETE_PENDING)


@pytest.mark.parametrize("reason", [*KeypadReason, *KeypadProblem])
def test_every_reason_has_words_of_its_own_and_a_next_step(reason: KeypadReason | KeypadProblem) -> None:
    for phase in KeypadPhase:
        text = explain(phase, reason, None, None)
        assert text.endswith(".")
        assert STEPS.search(text), text
        assert "_" not in reason or not re.search(rf"\b{reason}\b", text), "the bare word"
        others = {other: explain(phase, other, None, None) for other in REASONS if other != reason}
        assert [other for other, words in others.items() if words == text] == []
    assert not isinstance(reason, KeypadProblem) or PROBLEM_TEXTS[reason][1:] in explain(None, reason, None, None)


@pytest.mark.parametrize("phase", KeypadPhase)
def test_every_phase_has_words_of_its_own(phase: KeypadPhase) -> None:
    text = explain(phase, None, None, None)
    assert text == PHASES[phase]
    assert str(phase) not in text
    assert list(PHASES.values()).count(text) == 1


@pytest.mark.parametrize("phase", WAITING)
def test_while_it_is_not_confirmed_it_is_said_what_the_code_does_meanwhile(phase: KeypadPhase) -> None:
    text = explain(phase, KeypadReason.NOT_CONFIRMED, None, None)
    assert text != REASONS[KeypadReason.NOT_CONFIRMED]
    assert "tried again" in text
