"""`nuki2mqtt keypad`: a stand-in for the gateway answers, lines are cut; each order is sent once, no code is shown."""

import asyncio
import io
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.faces import keypad_words
from nuki2mqtt.faces.cli import make_parser, run_cli
from nuki2mqtt.faces.keypad import keypad
from nuki2mqtt.faces.keypad_asked import KeypadAsk
from nuki2mqtt.faces.keypad_line import DEFAULT_WAIT_S, read_ask
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.gateway.keypad_lane import LOOKS_S
from nuki2mqtt.model.keypad_order import KeypadOp, KeypadPhase, KeypadReason
from nuki2mqtt.model.keypad_rules import KeypadProblem
from nuki2mqtt.model.schedule import ALWAYS
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.keypad_payloads import (
    KeypadEntry,
    KeypadResult,
    parse_keypad_order,
    render_keypad,
    render_keypad_result,
)
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.broken_brokers import relay, silent_server
from tests.adapters.brokers import HOST, Listener, Reachable, RunningBroker, listener, mosquitto
from tests.adapters.linked import QUICK
from tests.adapters.mosquitto import MOSQUITTO, free_port
from tests.faces.conftest import Perform, Said
from tests.stories.real.household import kept
from tests.stories.real.processes import REPO, Running, Site, interruptible, site

CODE, DRAWN = "738194", "864297"  # marked: nothing that is printed may hold them, but for where a test says so
STATE, LIST, INFO = (f"nuki2mqtt/gateway/{name}" for name in ("state", "devices", "info"))
DEVICES: list[dict[str, Any]] = [
    {"id": "1A2B3C4D", "name": "Front door", "topic": "front_door", "type": "smart_lock", "permitted": []},
    {"id": "2A2B3C4D", "name": "Back door", "topic": "back_door", "type": "smart_lock", "permitted": []},
    {"id": "3A2B3C4D", "name": "Shed", "topic": "shed_3c4d", "type": "smart_lock", "permitted": []},
    {"id": "4A2B3C4E", "name": "shed", "topic": "shed_3c4e", "type": "smart_door", "permitted": []},
]
PHASE, REASON = KeypadPhase, KeypadReason


def info(*, manage: Any = True, publish_codes: Any = False) -> bytes:
    settings = {"nuki_web": {"keypad": {"manage": manage, "publish_codes": publish_codes}}}
    return json.dumps({"version": "0.1.0", "settings": settings}).encode()


def setup(broker: Reachable | None, mqtt: str = "") -> Setup:
    port = free_port() if broker is None else broker.port
    protocol = MqttProtocol.AUTO if broker is None else broker.protocol
    text = f"version: 1\nmqtt: {{host: {HOST}, port: {port}, protocol: {protocol}{mqtt}}}\nlog: {{level: debug}}\n"
    return Setup(read_settings(text, read_file=lambda name: name), Path("state"))


# --- A stand-in for the gateway -----------------------------------------------------------------------------------


@dataclass
class StandIn:
    """Says that it is online, reads every order with the gateway's codec, and says what a test prepared."""

    speaker: Listener

    async def order(self, lock: str = "front_door") -> dict[str, Any]:
        """The order that came, or comes."""
        heard = await self.speaker.wait_for(lambda message: message.topic == f"nuki2mqtt/{lock}/keypad/set")
        assert (heard.qos, heard.retain) == (1, False)
        parse_keypad_order(heard.payload, None)
        order: dict[str, Any] = json.loads(heard.payload)
        return order

    async def say(
        self,
        order: dict[str, Any],
        phase: KeypadPhase,
        reason: KeypadReason | KeypadProblem | None = None,
        *,
        detail: str | None = None,
        code: str | None = None,
        lock: str = "front_door",
    ) -> None:
        result = KeypadResult(
            transaction=order["transaction"],
            op=order["op"],
            phase=phase,
            name=order.get("name"),
            reason=reason,
            detail=detail,
            code=None if code is None else Secret(code),
        )
        payload = render_keypad_result(result, publish_codes=code is not None)
        await self.speaker.publish(f"nuki2mqtt/{lock}/keypad/result", payload)

    @property
    def orders(self) -> int:
        return len(self.speaker.heard)


@asynccontextmanager
async def stand_in(broker: Reachable, **login: Any) -> AsyncIterator[StandIn]:
    async with listener(broker, "nuki2mqtt/+/keypad/set", **login) as speaker:
        await speaker.publish(STATE, b"online", retain=True)
        await speaker.publish(LIST, json.dumps(DEVICES).encode(), retain=True)
        await speaker.publish(INFO, info(), retain=True)
        yield StandIn(speaker)


@dataclass
class Giving:
    """`keypad` at work in a thread of its own, with the arguments of a command line."""

    perform: Perform
    there: Setup
    code_file: str
    answer_s: float = 10.0

    def begin(self, *arguments: str) -> "asyncio.Task[Said]":
        waits = [] if {"--wait", "--no-wait"} & set(arguments) or arguments[0] == "list" else ["--wait", "10"]
        asked = read_ask(make_parser().parse_args(["keypad", *arguments, *waits]))
        return asyncio.create_task(self._perform(asked))

    def add(self, *arguments: str) -> "asyncio.Task[Said]":
        locks = [] if "--lock" in arguments else ["--lock", "front_door"]
        code = [] if "--draw" in arguments else ["--code-file", self.code_file]
        return self.begin("add", "Cleaner", *locks, *code, *arguments)

    async def _perform(self, asked: KeypadAsk) -> Said:
        said: Said = await self.perform(keypad, self.there, asked, answer_s=self.answer_s, timing=QUICK)
        assert CODE not in said.out + said.err
        return replace(said, err="".join(line for line in said.err.splitlines(keepends=True) if " DEBUG " not in line))


@pytest.fixture
async def gateway(broker: RunningBroker) -> AsyncIterator[StandIn]:
    async with stand_in(broker) as one:
        yield one


@pytest.fixture
def giving(broker: RunningBroker, perform: Perform, tmp_path: Path) -> Giving:
    path = tmp_path / "code"
    path.write_text(CODE)
    return Giving(perform, setup(broker), str(path))


# --- Phases, reasons and ends -------------------------------------------------------------------------------------


async def test_made_and_confirmed(broker: RunningBroker, gateway: StandIn, giving: Giving) -> None:
    begun = giving.add("--days", "mon-fri", "--hours", "08:00-12:00")
    order = await gateway.order()
    await gateway.say(order, PHASE.CREATE_PENDING)
    await gateway.say(order, PHASE.CREATE_PENDING, REASON.NOT_CONFIRMED)
    await gateway.say(order, PHASE.ACTIVE)
    said = await begun

    assert (said.status, said.err) == (0, "")
    assert said.out == (
        "front_door: create_pending: The gateway keeps the order. The code counts as made only when it was read "
        "back.\n"
        "front_door: create_pending: The cloud took the order, and does not show the code yet. It is tried again "
        "after five minutes and after an hour; nobody should wait at the door for it.\n"
        "front_door: confirmed: It was read back exactly as it is wanted.\n"
    )
    assert re.fullmatch(r"[0-9a-f]{16}", order.pop("transaction"))
    assert order == {
        "op": "create",
        "name": "Cleaner",
        "code": CODE,
        "schedule": {"weekdays": ["mon", "tue", "wed", "thu", "fri"], "daily": {"from": "08:00", "until": "12:00"}},
    }
    assert gateway.orders == 1
    assert await kept(broker, "nuki2mqtt/+/keypad/set") == {}


ENDS: list[tuple[KeypadPhase, int, str]] = [
    (PHASE.ACTIVE, 0, "confirmed: It was read back exactly as it is wanted."),
    (PHASE.DELETED, 0, "confirmed: A complete list has it no more."),
    (PHASE.FAILED, 1, "failed: It was not done."),
    (PHASE.NEEDS_REVIEW, 1, "failed (needs_review): It is not as it was wanted"),
    (PHASE.REFUSED, 1, "refused: The gateway does not take the order, and changed nothing."),
]


@pytest.mark.parametrize("op", ["change", "remove", "enable", "disable"])
async def test_every_end_of_every_word(gateway: StandIn, giving: Giving, op: str) -> None:
    for count, (phase, status, words) in enumerate(ENDS, start=1):
        more = ["--always"] if op == "change" else []
        begun = giving.begin(op, "Cleaner", "--lock", "Front door", *more)
        await gateway.speaker.wait_until(lambda count=count: gateway.orders == count)  # type: ignore[misc]
        order = json.loads(gateway.speaker.heard[-1].payload)
        assert order["op"] == {"change": "update", "remove": "delete"}.get(op, op)
        await gateway.say(order, phase)
        said = await begun
        assert (said.status, said.err) == (status, ""), said.out
        assert said.out.startswith(f"front_door: {words}"), said.out


async def test_a_step_is_said_once_and_nothing_after_the_end(gateway: StandIn, giving: Giving) -> None:
    """A gateway that was restarted says the last step, and an end, again."""
    begun = giving.begin("remove", "Cleaner", "--lock", "front_door", "--lock", "back_door")
    order, other = await gateway.order(), await gateway.order("back_door")
    for _ in range(2):
        await gateway.say(order, PHASE.DELETE_PENDING)
    for phase in (PHASE.DELETED, PHASE.DELETED, PHASE.FAILED):
        await gateway.say(order, phase)
    await gateway.say(other, PHASE.DELETED, lock="back_door")
    said = await begun
    assert said.status == 0
    assert [line.partition(" ")[2].partition(":")[0] for line in said.out.splitlines()] == [
        "delete_pending",
        "confirmed",
        "confirmed",
    ]


async def test_foreign_and_hostile_results(gateway: StandIn, giving: Giving) -> None:
    begun = giving.add()
    order = await gateway.order()
    await gateway.say({**order, "transaction": "theirs"}, PHASE.FAILED)
    await gateway.say(order, PHASE.ACTIVE, lock="back_door")
    result = "nuki2mqtt/front_door/keypad/result"
    for junk in (b"", b"\xff", b"[" * 5000, b"7", json.dumps(order).encode()):
        await gateway.speaker.publish(result, junk)
    for odd in ({"status": "dancing"}, {"status": ["failed"]}, {"phase": "active"}):
        await gateway.speaker.publish(result, json.dumps({"transaction": order["transaction"], **odd}).encode())
    end = {
        "transaction": order["transaction"],
        "status": "failed",
        "phase": {},
        "reason": f"\x1b[2J\nconfirmed {CODE}",
        "detail": f"\x9b\u202eparameter '{CODE}' \ud800",
        "code": [CODE],
        "name": CODE,
    }
    await gateway.speaker.publish(result, json.dumps(end).encode())
    said = await begun
    assert (said.status, said.err) == (1, "")
    assert said.out.count("\n") == 1
    assert said.out.rstrip("\n").isprintable()


async def test_json(gateway: StandIn, giving: Giving) -> None:
    begun = giving.add("--json")
    order = await gateway.order()
    await gateway.say(order, PHASE.CREATE_PENDING, REASON.DEVICE_OFFLINE, code=CODE)
    await gateway.say(order, PHASE.FAILED, REASON.CLOUD_SAID_NO, detail=f"no {CODE} \x1b", code=CODE)
    said = await begun
    assert (said.status, said.err) == (1, "")
    common = {"lock": "front_door", "transaction": order["transaction"], "op": "create", "id": None, "name": "Cleaner"}
    assert [json.loads(line) for line in said.out.splitlines()] == [
        common | {"status": "accepted", "phase": "create_pending", "reason": "device_offline", "detail": None},
        common | {"status": "failed", "phase": "failed", "reason": "cloud_said_no", "detail": "no *** ?"},
    ]
    assert said.out.replace("\n", "").isascii()


# --- Several locks ------------------------------------------------------------------------------------------------

ALL = ("--lock", "front_door", "--lock", "2a2b3c4d", "--lock", "shed_3c4d", "--lock", "BACK DOOR")


@pytest.mark.parametrize(
    ("phases", "status"),
    [
        ((PHASE.ACTIVE, PHASE.ACTIVE, PHASE.ACTIVE), 0),
        ((PHASE.ACTIVE, PHASE.REFUSED, PHASE.ACTIVE), 1),
        ((PHASE.ACTIVE, PHASE.FAILED, PHASE.CREATE_PENDING), 1),
        ((PHASE.ACTIVE, PHASE.CREATE_PENDING, PHASE.ACTIVE), 3),
        ((PHASE.ACTIVE, PHASE.ACTIVE, None), 3),
        ((None, PHASE.NEEDS_REVIEW, None), 1),
        ((None, None, None), 4),
    ],
)
async def test_several_locks_with_different_ends(
    gateway: StandIn, giving: Giving, phases: tuple[KeypadPhase | None, ...], status: int
) -> None:
    """A lock that is named twice gets one order. One that failed counts most, then one that is not known."""
    giving.answer_s = 1.0
    begun = giving.add(*ALL, "--wait", "1.5")
    locks = ("front_door", "back_door", "shed_3c4d")
    orders = [await gateway.order(lock) for lock in locks]
    assert len({order["transaction"] for order in orders}) == 3
    for lock, order, phase in zip(locks, orders, phases, strict=True):
        if phase is not None:
            await gateway.say(order, phase, lock=lock)
    said = await begun
    assert said.status == status
    assert gateway.orders == 3
    for lock, phase in zip(locks, phases, strict=True):
        assert (f"{lock}: " in said.out) == (phase is not None)
        is_silent = phase is None
        assert (f"{lock}: nobody answered within" in said.err) == is_silent
        assert (f"{lock}: under way: its end was not heard" in said.err) == (phase is PHASE.CREATE_PENDING)


async def test_one_wrong_lock_and_nothing_is_sent(gateway: StandIn, giving: Giving) -> None:
    said = await giving.add("--lock", "front_door", "--lock", "cellar", "--lock", "shed")
    assert (said.status, said.out) == (1, "")
    assert "There is no device 'cellar'. There are:" in said.err
    assert "'shed' means 2 devices" in said.err
    assert said.err.endswith("Nothing was sent.\n")
    assert gateway.orders == 0


# --- Codes --------------------------------------------------------------------------------------------------------


async def test_a_drawn_code_is_shown_once(gateway: StandIn, giving: Giving) -> None:
    await gateway.speaker.publish(INFO, info(publish_codes=True), retain=True)
    begun = giving.add("--draw", "--once", "--life", "4h")
    order = await gateway.order()
    assert (order["once"], order["life_s"], "code" in order) == (True, 14_400, False)
    await gateway.say(order, PHASE.CREATE_PENDING, code=DRAWN)
    await gateway.say(order, PHASE.CREATE_PENDING, REASON.NOT_CONFIRMED, code=DRAWN)
    await gateway.say(order, PHASE.ACTIVE)
    said = await begun
    assert said.status == 0
    assert said.out.splitlines()[0] == (
        f"front_door: the code is {DRAWN} (shown once, here); it opens when it is confirmed"
    )
    assert (said.out + said.err).count(DRAWN) == 1


async def test_a_drawn_code_for_programs(gateway: StandIn, giving: Giving) -> None:
    await gateway.speaker.publish(INFO, info(publish_codes=True), retain=True)
    begun = giving.add("--draw", "--json")
    order = await gateway.order()
    for phase in (PHASE.CREATE_PENDING, PHASE.UPDATE_PENDING, PHASE.ACTIVE):
        await gateway.say(order, phase, code=DRAWN)
    said = await begun
    assert [json.loads(line).get("code") for line in said.out.splitlines()] == [DRAWN, None, None]


async def test_codes_that_somebody_wants_to_see(gateway: StandIn, giving: Giving) -> None:
    begun = giving.begin("enable", "Cleaner", "--lock", "front_door", "--show-codes")
    order = await gateway.order()
    await gateway.say(order, PHASE.UPDATE_PENDING, code=DRAWN)
    await gateway.say(order, PHASE.ACTIVE, code=DRAWN)
    said = await begun
    assert (said.out + said.err).count(DRAWN) == 1
    again = giving.begin("disable", "Cleaner", "--lock", "front_door")
    await gateway.speaker.wait_until(lambda: gateway.orders == 2)
    await gateway.say(json.loads(gateway.speaker.heard[-1].payload), PHASE.ACTIVE, code=DRAWN)
    said = await again
    assert DRAWN not in said.out + said.err


@pytest.fixture
def standard_input(giving: Giving, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file with the code is standard input: a real one, with a descriptor."""
    with Path(giving.code_file).open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield


@pytest.mark.usefixtures("standard_input")
async def test_standard_input(gateway: StandIn, giving: Giving) -> None:
    begun = giving.begin("add", "Cleaner", "--lock", "front_door", "--code-file", "-")
    order = await gateway.order()
    assert order["code"] == CODE
    await gateway.say(order, PHASE.ACTIVE)
    assert (await begun).status == 0


# --- Refused before anything is sent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "retained", "words"),
    [
        (("add", "Cleaner", "--lock", "front_door", "--draw"), {}, "the gateway publishes no codes"),
        (
            ("remove", "Cleaner", "--lock", "front_door"),
            {INFO: info(manage=False)},
            "this gateway changes no keypad codes",
        ),
        (("remove", CODE, "--lock", "front_door"), {}, "front_door: a code is named by its name or ID, never by its"),
        (
            ("change", "Cleaner", "--lock", "front_door", "--days", "sat"),
            {},
            "front_door: what limits this code now cannot be read",
        ),
        (("remove", "Cleaner", "--lock", "front_door"), {LIST: b"[[["}, "holds no list of devices"),
        (("add", "x" * 21, "--lock", "front_door", "--draw"), {}, "the name has more than 20 bytes"),
        (("add", "Cleaner", "--lock", "front_door"), {}, "there is no terminal to ask"),
        (("add", "Cleaner", "--lock", "front_door", "--draw", "--life", "1s"), {INFO: b"{}"}, "seconds from 60 to"),
    ],
)
async def test_what_is_refused_here(
    gateway: StandIn,
    giving: Giving,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    retained: dict[str, bytes],
    words: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for topic, payload in retained.items():
        await gateway.speaker.publish(topic, payload, retain=True)
    said = await giving.begin(*arguments)
    assert (said.status, said.out) == (1, "")
    assert words in said.err
    assert said.err.endswith("Nothing was sent.\n")
    assert gateway.orders == 0


@pytest.mark.parametrize("gateway_info", [b"", b"\xff", b"{}", b'{"settings":[]}', info(manage="no"), b"[" * 9000])
async def test_settings_that_cannot_be_read_are_left_to_the_gateway(
    gateway: StandIn, giving: Giving, gateway_info: bytes
) -> None:
    await gateway.speaker.publish(INFO, gateway_info, retain=True)
    begun = giving.begin("remove", "Cleaner", "--lock", "front_door")
    await gateway.say(await gateway.order(), PHASE.REFUSED, REASON.NOT_MANAGED)
    said = await begun
    assert said.status == 1
    assert "`nuki_web.keypad.manage: true`" in said.out


async def test_a_code_that_is_named_like_a_code(gateway: StandIn, giving: Giving) -> None:
    """Where the list has such a name it is no mistake."""
    entry = KeypadEntry(id=None, name="444555", enabled=True, schedule=ALWAYS, phase=PHASE.ACTIVE)
    payload = render_keypad([entry], publish_codes=False)
    await gateway.speaker.publish("nuki2mqtt/front_door/keypad", payload, retain=True)
    begun = giving.begin("remove", "444555", "--lock", "front_door")
    await gateway.say(await gateway.order(), PHASE.DELETED)
    assert (await begun).status == 0


async def test_a_change_keeps_the_limits_of_each_lock(gateway: StandIn, giving: Giving) -> None:
    for lock, until in (("front_door", "2090-01-01T00:00:00Z"), ("back_door", "2091-01-01T00:00:00Z")):
        entry = {"id": None, "name": "Cleaner", "enabled": True, "schedule": {"until": until}, "phase": "active"}
        await gateway.speaker.publish(f"nuki2mqtt/{lock}/keypad", json.dumps([entry]).encode(), retain=True)
    begun = giving.begin("change", "Cleaner", "--lock", "front_door", "--lock", "back_door", "--days", "sun")
    for lock, year in (("front_door", 2090), ("back_door", 2091)):
        order = await gateway.order(lock)
        assert order["schedule"] == {
            "from": None,
            "until": f"{year}-01-01T00:00:00Z",
            "weekdays": ["sun"],
            "daily": None,
        }
        await gateway.say(order, PHASE.ACTIVE, lock=lock)
    assert (await begun).status == 0


# --- Nobody answers, and how long is waited -----------------------------------------------------------------------


@pytest.mark.parametrize("state", [b"", b"offline", b"\xff\x1b[2J"])
async def test_no_gateway_is_online(gateway: StandIn, giving: Giving, state: bytes) -> None:
    await gateway.speaker.publish(STATE, state, retain=True)
    said = await giving.add()
    assert (said.status, said.out) == (4, "")
    assert "Nothing was sent" in said.err
    assert said.err.rstrip("\n").isprintable()
    assert gateway.orders == 0


async def test_taken_and_then_nothing(gateway: StandIn, giving: Giving) -> None:
    begun = giving.add("--wait", "1")
    await gateway.say(await gateway.order(), PHASE.CREATE_PENDING, REASON.DEVICE_OFFLINE)
    said = await begun
    assert said.status == 3
    assert said.err == (
        "front_door: under way: its end was not heard within 1 s. The gateway keeps the order and goes on by itself, "
        "for days if need be; see later with `nuki2mqtt keypad list --lock front_door`\n"
    )


async def test_without_waiting(gateway: StandIn, giving: Giving) -> None:
    """It is waited until the gateway has taken it, since only then it is kept."""
    begun = giving.add("--no-wait", "--lock", "front_door", "--lock", "back_door")
    order, other = await gateway.order(), await gateway.order("back_door")
    await gateway.say(order, PHASE.CREATE_PENDING)
    done, _ = await asyncio.wait({begun}, timeout=0.3)
    assert not done
    await gateway.say(other, PHASE.CREATE_PENDING, lock="back_door")
    said = await begun
    assert (said.status, said.err) == (3, "")
    assert [line.partition(":")[0] for line in said.out.splitlines()] == ["front_door", "back_door"]
    again = giving.begin("remove", "Cleaner", "--lock", "front_door", "--no-wait")
    await gateway.speaker.wait_until(lambda: gateway.orders == 3)
    await gateway.say(json.loads(gateway.speaker.heard[-1].payload), PHASE.REFUSED, REASON.UNKNOWN_CODE)
    assert (await again).status == 1


def test_the_default_wait_outlives_the_looks_after_a_write() -> None:
    assert max(LOOKS_S) + 60 < DEFAULT_WAIT_S


async def test_the_gateway_goes_and_comes_back(gateway: StandIn, giving: Giving) -> None:
    begun = giving.add()
    order = await gateway.order()
    await gateway.say(order, PHASE.CREATE_PENDING)
    await gateway.speaker.publish(STATE, b"offline", retain=True)
    await gateway.speaker.publish(STATE, b"online", retain=True)
    await gateway.say(order, PHASE.ACTIVE)
    said = await begun
    assert said.status == 0
    assert said.err.splitlines() == [
        "The gateway went offline. What it has taken is kept in its state file and goes on when it is back.",
        "The gateway is online again.",
    ]


# --- Broker trouble -----------------------------------------------------------------------------------------------


async def test_no_broker(perform: Perform, giving: Giving) -> None:
    for arguments in (("remove", "x", "--lock", "front_door"), ("list",)):
        said = await Giving(perform, setup(None), giving.code_file).begin(*arguments)
        assert (said.status, said.out) == (1, "")
        assert said.err.startswith("No connection to the broker")


async def test_a_cut_connection_is_only_listened_on_again(
    broker: RunningBroker, gateway: StandIn, giving: Giving
) -> None:
    async with relay(broker) as line:
        giving.there = setup(line)
        begun = giving.add()
        order = await gateway.order()
        await gateway.say(order, PHASE.CREATE_PENDING)
        line.cut()
        for _ in range(200):  # until the second connection hears it
            await gateway.say(order, PHASE.ACTIVE)
            done, _ = await asyncio.wait({begun}, timeout=0.1)
            if done:
                break
        said = await begun
    assert said.status == 0
    assert "Orders are sent once and never again." in said.err
    assert "Connected again, listening." in said.err
    assert gateway.orders == 1


async def test_a_cut_connection_and_no_end(broker: RunningBroker, gateway: StandIn, giving: Giving) -> None:
    async with relay(broker) as line:
        giving.there = setup(line)
        begun = giving.add("--wait", "1")
        await gateway.order()
        line.cut()
        said = await begun
    assert said.status == 3
    assert "front_door: unknown: " in said.err
    assert "See `nuki2mqtt keypad list --lock front_door`" in said.err
    assert gateway.orders == 1


ACL = "user gateway\ntopic readwrite nuki2mqtt/#\nuser person\ntopic read nuki2mqtt/#\n"


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
@pytest.mark.parametrize(("protocol", "status", "words"), [("5", 1, "not authorised"), ("3.1.1", 4, "May this user")])
async def test_a_person_who_may_not_give_orders(giving: Giving, protocol: str, status: int, words: str) -> None:
    """MQTT 3.1.1 has no way to say that a publish was refused."""
    async with mosquitto(users={"gateway": "g", "person": "p"}, acl=ACL) as broker:
        broker.protocol = MqttProtocol(protocol)
        async with stand_in(broker, username="gateway", password="g") as gateway:
            giving.there, giving.answer_s = setup(broker, ", username: person, password: p"), 0.4
            said = await giving.add("--json")
            assert (said.status, said.out) == (status, "")
            assert words in said.err
            assert gateway.orders == 0


# --- Mistakes of this program -------------------------------------------------------------------------------------


class _MistakeError(Exception):
    """One that nobody foresaw."""


def mistake(*_: object, **__: object) -> Any:
    raise _MistakeError(f"with {CODE} in it")


async def test_a_mistake_before_and_after_the_sending(
    gateway: StandIn, giving: Giving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("nuki2mqtt.faces.keypad.read_devices", mistake)
        said = await giving.add()
        assert (said.status, said.out, gateway.orders) == (1, "", 0)
        assert "a mistake in nuki2mqtt" in said.err
    monkeypatch.setattr("nuki2mqtt.faces.keypad_wait.read_step", mistake)
    begun = giving.add()
    await gateway.say(await gateway.order(), PHASE.CREATE_PENDING)
    said = await begun
    assert (said.status, said.out) == (3, "")
    assert "What was sent goes on without us" in said.err
    assert gateway.orders == 1


# --- The process --------------------------------------------------------------------------------------------------


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    async with mosquitto() as broker, site(tmp_path, broker) as one:
        yield one


async def begin_process(here: Site, *arguments: str) -> Running:
    (here.folder / "code").write_text(CODE)
    return await here.start("keypad", "add", "Cleaner", "--config", here.write_config(), *arguments)


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGINT, 130, "Interrupted. What was sent goes on without us and is not taken back."),
        (signal.SIGTERM, 3, "unknown: ended by SIGTERM. What was sent goes on without us and is not taken back."),
    ],
)
async def test_ended_after_the_sending(here: Site, number: signal.Signals, status: int, words: str) -> None:
    locks = ("--lock", "front_door", "--lock", "back_door", "--lock", "shed_3c4d")
    async with stand_in(here.broker) as gateway:
        with interruptible():
            running = await begin_process(here, *locks, "--code-file", str(here.folder / "code"))
            order, other = await gateway.order(), await gateway.order("back_door")
            await gateway.say(order, PHASE.ACTIVE)
            await gateway.say(other, PHASE.CREATE_PENDING, lock="back_door")
            await running.wait_line("back_door: ")
            running.send(number)
            assert await running.ended() == status
    assert running.lines[-3:] == [
        words,
        "back_door: under way; see later with `nuki2mqtt keypad list --lock back_door`",
        "shed_3c4d: not heard of yet; see later with `nuki2mqtt keypad list --lock shed_3c4d`",
    ]
    assert CODE not in running.text
    assert "Traceback" not in running.text


async def test_ended_before_the_sending(here: Site) -> None:
    async with silent_server() as silent:
        with interruptible():
            code_file = ("--code-file", str(here.folder / "code"))
            running = await begin_process(here, "--lock", "x", *code_file, "--set", f"mqtt.port={silent.port}")
            await silent.accepted.wait()
            running.send(signal.SIGINT)
            assert await running.ended() == 130
    assert running.lines == ["Interrupted. Nothing was sent."]


TERMINAL = """\
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


@pytest.mark.parametrize("again", [CODE, "864297"])
async def test_asked_at_a_terminal(here: Site, again: str) -> None:
    """Twice, and neither is seen on the screen."""
    async with stand_in(here.broker) as gateway:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TERMINAL, sys.executable, "-m", "nuki2mqtt", "keypad", "add"),
            *("--lock", "front_door", "--config", here.write_config()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=here.folder,
            env={"PATH": "", "HOME": str(here.folder), "PYTHONPATH": str(REPO)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""
        async with asyncio.timeout(60):
            for prompt, answer in ((b"Name of the code", "Cleaner"), (b"Code (six", CODE), (b"same again: ", again)):
                while prompt not in seen:
                    some = await process.stdout.read(1000)
                    assert some, seen
                    seen += some
                process.stdin.write(f"{answer}\n".encode())
            if again == CODE:
                order = await gateway.order()
                assert (order["name"], order["code"]) == ("Cleaner", CODE)
                await gateway.say(order, PHASE.ACTIVE)
            seen += await process.stdout.read()
            status = await process.wait()
        process.stdin.close()
    assert status == (0 if again == CODE else 1)
    assert (b"confirmed" if again == CODE else b"the two are not the same") in seen
    assert CODE.encode() not in seen
    assert b"864297" not in seen


# --- The command line ---------------------------------------------------------------------------------------------

WORDS = ("list", "add", "change", "remove", "enable", "disable")


@pytest.mark.parametrize("word", WORDS)
def test_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["keypad", word, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "Needs a running gateway" in text
    assert f"example:\n  nuki2mqtt keypad {word}" in text
    assert all(f"\n  {status} " in text for status in (0, 1, 3, 4, 130))
    assert "--code " not in text


def test_help_of_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_cli(["keypad", "--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {word} " in text for word in WORDS)
    assert "nuki2mqtt keypad add Plumber --lock front_door --draw --once --life 4h" in text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["add"],
        ["add", "x"],
        ["remove", "--lock", "x"],
        ["add", "x", "--lock", "y", "--draw", "--code-file", "z"],
        ["change", "x", "--lock", "y", "--draw"],
        ["add", "x", "--lock", "y", "--wait", "5", "--no-wait"],
        ["add", "x", "--lock", "y", "--wait", "0"],
        ["add", "x", "--lock", "y", "--wait", CODE],
        ["add", "x", "--lock", "y", "--code", CODE],
        ["add", "x", "--lock", "y", f"--code={CODE}"],
        ["change", "x", "--lock", "y", "--code", CODE],
        ["add", "x", CODE, "--lock", "y"],
        ["remove", "x", "--cod", CODE, "--lock", "y"],
        ["remove", "x", "--lock", "y", "--draw"],
    ],
)
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["keypad", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "usage: nuki2mqtt keypad" in said.err
    assert CODE not in said.err + said.out


def test_every_option_is_read() -> None:
    line = ["keypad", "add", "N", "--lock", "a", "--lock", "b", "--draw", "--from", "f", "--until", "u", "--days", "d"]
    line += ["--hours", "h", "--once", "--life", "l", "--disabled", "--wait", "7", "--json", "--show-codes"]
    assert read_ask(make_parser().parse_args(line)) == KeypadAsk(
        op=KeypadOp.CREATE,
        locks=("a", "b"),
        which="N",
        draws=True,
        begins="f",
        ends="u",
        days="d",
        hours="h",
        once=True,
        life="l",
        is_disabled=True,
        wait_s=7.0,
        as_json=True,
        show_codes=True,
    )
    line = ["keypad", "change", "N", "--lock", "a", "--name", "M", "--new-code", "--always", "--no-wait"]
    assert read_ask(make_parser().parse_args(line)) == KeypadAsk(
        op=KeypadOp.UPDATE, locks=("a",), which="N", new_name="M", asks_code=True, is_always=True
    )
    asked = read_ask(make_parser().parse_args(["keypad", "remove", "N", "--lock", "a"]))
    assert asked == KeypadAsk(op=KeypadOp.DELETE, locks=("a",), which="N", wait_s=DEFAULT_WAIT_S)
    assert read_ask(make_parser().parse_args(["keypad", "list"])) == KeypadAsk()


def test_the_guide_explains_every_word() -> None:
    text = (REPO / "docs" / "guide-keypad.md").read_text(encoding="utf-8")
    words = [*KeypadPhase, *KeypadReason, *KeypadProblem, *KeypadOp]
    assert [str(word) for word in words if f"`{word}`" not in text] == []
    options = re.findall(r"--[a-z-]+", (REPO / "nuki2mqtt/faces/keypad_line.py").read_text(encoding="utf-8"))
    assert {option for option in options if option not in text} - {"--code"} == set()
    assert keypad_words.PHASES.keys() == {*KeypadPhase}
