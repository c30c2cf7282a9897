"""`nuki2mqtt act`: a stand-in for the gateway answers, brokers misbehave, lines are cut; nothing is ever sent twice."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.adapters.mqtt_link import MqttLink
from nuki2mqtt.faces.act import act, default_wait_s, render_ts
from nuki2mqtt.faces.cli import make_parser, run_cli
from nuki2mqtt.faces.listed import explain_not_found, find, read_devices
from nuki2mqtt.faces.outcome import Ending, read_step
from nuki2mqtt.faces.retained import read_json
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.gateway.commands import READ_AFTER_S, READ_PATIENCE_S, REPEAT_WITHIN_S
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.command import Evidence, Reason, Status
from nuki2mqtt.protocol.bridge_api import LockActionRequest
from nuki2mqtt.protocol.settings import CommandSettings
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_words import MqttProtocol
from tests.adapters.broken_brokers import (
    ACCEPT_V311,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBLISH,
    SUBSCRIBE,
    _frame,
    _packet,
    _packet_id,
    _serving,
    relay,
    silent_server,
)
from tests.adapters.brokers import HOST, Listener, Reachable, RunningBroker, listener, mosquitto
from tests.adapters.linked import IMPATIENT, QUICK
from tests.adapters.mosquitto import MOSQUITTO, free_port
from tests.faces.conftest import Perform, Said
from tests.stories.real.household import ear, kept
from tests.stories.real.processes import REPO, Running, Site, interruptible, leased, online, site

GUIDE = Path(__file__).parents[2] / "docs" / "guide-commands.md"
STATE, LIST = "nuki2mqtt/gateway/state", "nuki2mqtt/gateway/devices"
RESULT = "nuki2mqtt/front_door/result"
DEVICES: list[dict[str, Any]] = [
    {
        "id": "1A2B3C4D",
        "name": "Front door",
        "topic": "front_door",
        "type": "smart_lock",
        "sources": ["bridge"],
        "permitted": ["unlock", "lock", "unlatch"],
    },
    {"id": "2A2B3C4D", "name": "Intercom", "topic": "intercom", "type": "opener", "permitted": ["activate_rto"]},
    {"id": "3A2B3C4D", "name": "Shed", "topic": "shed_3c4d", "type": "smart_lock", "permitted": []},
    {"id": "4A2B3C4E", "name": "shed", "topic": "shed_3c4e", "type": "smart_door", "permitted": []},
]
END = {"status": "confirmed", "evidence": "transition", "state": "unlocked", "duration_s": 3.2, "may_have_acted": True}


def setup(broker: Reachable | None, extra: str = "", mqtt: str = "") -> Setup:
    port = free_port() if broker is None else broker.port
    protocol = MqttProtocol.AUTO if broker is None else broker.protocol
    text = f"version: 1\nmqtt: {{host: {HOST}, port: {port}, protocol: {protocol}{mqtt}}}\n{extra}"
    return Setup(read_settings(text, read_file=lambda name: name), Path("state"))


# --- A stand-in for the gateway -----------------------------------------------------------------------------------


Answers = Callable[[dict[str, Any]], list[dict[str, Any]]]


@dataclass
class StandIn:
    """Says that it is online, hears every command, and says what a test prepared."""

    speaker: Listener

    async def order(self, topic: str = "nuki2mqtt/front_door/set") -> dict[str, Any]:
        """The command that came, or comes."""
        heard = await self.speaker.wait_for(lambda message: message.topic == topic)
        assert (heard.qos, heard.retain) == (1, False)
        order: dict[str, Any] = json.loads(heard.payload)
        return order

    async def say(self, order: dict[str, Any], *results: dict[str, Any], topic: str = RESULT) -> None:
        for result in results:
            body = {"transaction": order["transaction"], "action": order["action"], **result}
            await self.speaker.publish(topic, json.dumps(body).encode())

    @property
    def orders(self) -> int:
        return len(self.speaker.heard)


@asynccontextmanager
async def stand_in(broker: Reachable, devices: Any = DEVICES, **login: Any) -> AsyncIterator[StandIn]:
    async with listener(broker, "nuki2mqtt/+/set", **login) as speaker:
        await speaker.publish(STATE, b"online", retain=True)
        await speaker.publish(LIST, json.dumps(devices).encode(), retain=True)
        yield StandIn(speaker)


@dataclass
class Giving:
    """`act` at work in a thread of its own."""

    perform: Perform
    there: Setup
    wait_s: float = 10.0

    def begin(self, device: str = "front_door", action: str = "unlock", **options: Any) -> "asyncio.Task[Said]":
        given_options = {"wait_s": self.wait_s, "as_json": False, "timing": QUICK, **options}
        return asyncio.create_task(self.perform(act, self.there, device, action, **given_options))


@pytest.fixture
async def gateway(broker: RunningBroker) -> AsyncIterator[StandIn]:
    async with stand_in(broker) as one:
        yield one


@pytest.fixture
def giving(broker: RunningBroker, perform: Perform) -> Giving:
    return Giving(perform, setup(broker))


# --- Ends and reasons ---------------------------------------------------------------------------------------------


async def test_confirmed(broker: RunningBroker, gateway: StandIn, giving: Giving) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    begun = giving.begin()
    order = await gateway.order()
    await gateway.say(order, {"status": "accepted"}, END)
    said = await begun

    assert (said.status, said.err) == (0, "")
    assert said.out == (
        "accepted: The gateway has taken it.\nconfirmed: unlocked after 3.2 s; it was seen on its way\n"
    )
    assert set(order) == {"action", "transaction", "ts"}
    assert order["action"] == "unlock"
    assert re.fullmatch(r"[0-9a-f]{16}", order["transaction"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", order["ts"])
    assert before <= datetime.fromisoformat(order["ts"]) <= datetime.now(UTC)
    assert gateway.orders == 1
    assert await kept(broker, "nuki2mqtt/+/set") == {}


# What each end says, and its exit status. Every reason is in one of them.
ENDS: list[tuple[str, str | None, bool, int, str]] = [
    ("refused", "bad_payload", False, 1, "Compare its version"),
    ("refused", "retained", False, 1, "a bridge between two brokers"),
    ("refused", "unknown_device", False, 1, "`nuki2mqtt status` shows those that it knows"),
    ("refused", "unknown_action", False, 1, "`nuki2mqtt status` shows what it may be told"),
    ("refused", "not_permitted", False, 1, "`commands.permit`"),
    ("refused", "starting", False, 1, "Give it again in some seconds"),
    ("refused", "duplicate", False, 1, "nothing is done twice"),
    ("refused", "clock_untrusted", False, 1, "timedatectl set-ntp true"),
    ("refused", "stale", False, 1, "Compare both machines' clocks"),
    ("refused", "clock_ahead", False, 1, "Set both right"),
    ("refused", "needs_ts", False, 1, "MQTT 3.1.1"),
    ("refused", "busy", False, 1, "`commands.overlap: queue`"),
    ("refused", "superseded", False, 1, "it was not sent"),
    ("expired", "busy", False, 1, "another command was under way"),
    ("expired", "bridge_unreachable", False, 1, "Check its power and network"),
    ("failed", "bridge_unreachable", False, 1, "Check its power and network"),
    ("failed", "device_unreachable", False, 1, "Check its batteries"),
    ("failed", "token_refused", False, 1, "`nuki2mqtt pair` gets a new one"),
    ("failed", "bridge_said_no", False, 1, "Try the same in the Nuki app"),
    ("failed", "motor_blocked", True, 1, "Look at the door"),
    ("failed", "busy", False, 1, "The Bridge was busy"),
    ("failed", "no_answer", False, 1, "nothing had moved"),
    ("failed", "tired", False, 1, "The reason 'tired' is not known"),
    ("failed", None, False, 1, "It was not done"),
    ("unconfirmed", "no_answer", True, 3, "Look at the door"),
    ("unconfirmed", "superseded", True, 3, "A newer command was sent"),
    ("unconfirmed", "restarted", True, 3, "Look at the door"),
    ("unconfirmed", None, True, 3, "Nothing proved in time that it was done"),
]


async def test_every_end_and_every_reason(gateway: StandIn, giving: Giving) -> None:
    assert {reason for _, reason, *_ in ENDS} >= {*Reason} - {Reason.JOINED, Reason.QUEUED}
    for count, (status, reason, may_have_acted, exit_status, words) in enumerate(ENDS, start=1):
        begun = giving.begin()
        await gateway.speaker.wait_until(lambda count=count: gateway.orders == count)  # type: ignore[misc]
        order = json.loads(gateway.speaker.heard[-1].payload)
        end = {"status": status, "reason": reason, "may_have_acted": may_have_acted, "state": "locked"}
        await gateway.say(order, end)
        said = await begun

        assert (said.status, said.err) == (exit_status, ""), end
        assert said.out.startswith(f"{status}: "), end
        assert words in said.out, end
        assert "Last seen: locked." in said.out, end
        assert ("Look at the door" in said.out) == (may_have_acted or exit_status == 3), end
        assert len(said.out.splitlines()) == 1, end


@pytest.mark.parametrize("reason", [Reason.JOINED, Reason.QUEUED])
async def test_accepted_but_waiting(gateway: StandIn, giving: Giving, reason: Reason) -> None:
    begun = giving.begin()
    await gateway.say(await gateway.order(), {"status": "accepted", "reason": reason}, END)
    said = await begun
    assert said.status == 0
    assert said.out.splitlines()[0] in {
        "accepted: An equal command is under way; its end counts for this one, too, and nothing moves twice.",
        "accepted: It waits for what is under way.",
    }


@pytest.mark.parametrize("evidence", [*Evidence, None, "hearsay"])
def test_every_evidence_is_a_sentence(evidence: str | None) -> None:
    step = read_step({"status": "confirmed", "evidence": evidence, "state": "unlocked", "duration_s": 1})
    text = str(step)
    assert text.startswith("confirmed: unlocked after 1.0 s")
    assert (";" in text) == (evidence in {*Evidence})


def test_a_reason_under_any_status_is_a_sentence() -> None:
    """Also in combinations that no gateway says today."""
    for status in Status:
        for reason in (*Reason, None):
            text = str(read_step({"status": status, "reason": reason}))
            assert re.match(rf"{status}: \S.*", text)
            assert not text.endswith(": ")


async def test_foreign_transactions_do_not_count(gateway: StandIn, giving: Giving) -> None:
    """Two of somebody else, one without, and things that are no results at all."""
    begun = giving.begin()
    order = await gateway.order()
    await gateway.say({**order, "transaction": "theirs"}, {"status": "accepted"}, {"status": "failed"})
    await gateway.say({**order, "transaction": None}, {"status": "failed"})
    for junk in (b"", b"\xff\xfe", b"[" * 5000, b"7", b'"x"', json.dumps(order).encode()):
        await gateway.speaker.publish(RESULT, junk)
    await gateway.say(order, {"status": "dancing"}, {"status": ["failed"]}, {"status": "accepted"})
    await gateway.say({**order, "transaction": [order["transaction"]]}, {"status": "failed"})
    await gateway.say(order, END)
    said = await begun
    assert (said.status, said.err) == (0, "")
    assert [line.split(":")[0] for line in said.out.splitlines()] == ["accepted", "confirmed"]


async def test_a_hostile_result_is_harmless(gateway: StandIn, giving: Giving) -> None:
    begun = giving.begin()
    order = await gateway.order()
    end = {
        "status": "failed",
        "reason": "\x1b[2J\nconfirmed: unlocked",
        "state": "\x9b31m\u202e\ud800",
        "duration_s": 10**400,
        "evidence": {},
        "may_have_acted": "yes",
    }
    await gateway.say(order, end)
    said = await begun
    assert (said.status, said.err) == (1, "")
    assert said.out.count("\n") == 1
    assert said.out.rstrip("\n").isprintable()


async def test_json(gateway: StandIn, giving: Giving) -> None:
    """The messages themselves, also with what a terminal must not get."""
    begun = giving.begin(as_json=True)
    order = await gateway.order()
    accepted, end = {"status": "accepted", "note": "\x1b\x9b2J\u202e"}, {**END, "reason": None, "age_s": 0.25}
    expected = [{"transaction": order["transaction"], "action": "unlock", **each} for each in (accepted, end)]
    for body in expected:
        await gateway.speaker.publish(RESULT, json.dumps(body, ensure_ascii=False, indent=1).encode())
    said = await begun
    assert (said.status, said.err) == (0, "")
    assert [json.loads(line) for line in said.out.splitlines()] == expected
    assert said.out.replace("\n", "").isascii()


# --- Whom and what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "action", "topic"),
    [
        ("front_door", "LOCK", "front_door"),
        ("1a2b3c4d", "Lock 'n' Go", "front_door"),
        ("FRONT DOOR", "open", "front_door"),
        (" Front door ", "3", "front_door"),
        ("2A2B3C4D", "unlock", "intercom"),
        ("Intercom", "electric-strike", "intercom"),
        ("shed_3c4e", "unlatch", "shed_3c4e"),
    ],
)
async def test_the_word_is_passed_on(gateway: StandIn, giving: Giving, device: str, action: str, topic: str) -> None:
    """Whatever the contract allows, the gateway decides, also what is permitted."""
    begun = giving.begin(device, action)
    order = await gateway.order(f"nuki2mqtt/{topic}/set")
    await gateway.say(order, END, topic=f"nuki2mqtt/{topic}/result")
    assert (await begun).status == 0
    assert order["action"] == action


@pytest.mark.parametrize(
    ("device", "action", "words"),
    [
        ("back_door", "unlock", ["There is no device 'back_door'", "front_door (Front door, 1A2B3C4D)", "intercom"]),
        ("99999999", "unlock", ["There is no device '99999999'"]),
        ("\x1b[2J", "unlock", ["There is no device '?[2J'"]),
        ("", "unlock", ["There is no device ''"]),
        ("SHED", "unlock", ["'SHED' means 2 devices", "shed_3c4d (Shed, 3A2B3C4D)", "shed_3c4e (shed, 4A2B3C4E)"]),
        ("front_door", "unlok", ["did you mean unlock?", "It can be told: unlock, lock, unlatch, lock_n_go, "]),
        ("front_door", "activate_rto", ["Front door (smart_lock) has no action 'activate_rto'"]),
        ("front_door", "9", ["has no action '9'"]),
        ("front_door", "\x1b[2J", ["has no action '?[2J'"]),
        ("intercom", "unlatch", ["Intercom (opener) has no action 'unlatch'", "It can be told: activate_rto, "]),
    ],
)
async def test_what_cannot_be_is_refused_here(
    gateway: StandIn, giving: Giving, device: str, action: str, words: list[str]
) -> None:
    said = await giving.begin(device, action)
    assert (said.status, said.out) == (1, "")
    assert all(word in said.err for word in words), said.err
    assert said.err.replace("\n", "").isprintable()
    assert gateway.orders == 0


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (b"", "holds no list of devices"),
        (b"\xff", "holds no list of devices"),
        (b'{"id":1}', "holds no list of devices"),
        (b"[" * 10_000 + b"]" * 10_000, "holds no list of devices"),
        (b"[]", "the gateway lists none"),
        (b'[1,null,{},{"id":"1A2B3C4D","topic":"#"},{"id":"x","topic":"front_door"}]', "the gateway lists none"),
        (b'[{"id":"1A2B3C4D","topic":"gateway"},{"id":1,"topic":"front_door"}]', "the gateway lists none"),
        (b'[{"id":"1A2B3C4D","topic":"a\\u0000b"},{"id":"1A2B3C4D","topic":"a/b"}]', "the gateway lists none"),
    ],
)
async def test_a_list_that_is_none(gateway: StandIn, giving: Giving, devices: bytes, words: str) -> None:
    await gateway.speaker.publish(LIST, devices, retain=True)
    said = await giving.begin()
    assert (said.status, said.out) == (1, "")
    assert words in said.err
    assert gateway.orders == 0


def test_a_device_of_a_type_that_we_do_not_know_is_left_to_the_gateway() -> None:
    devices = read_devices(b'[{"id":"1A2B3C4D","topic":"x","type":"robot"},{"id":"1A2B3C4E","topic":"y","type":"box"}]')
    assert devices is not None
    robot, box = devices
    assert robot.objection("dance") is None
    assert "cannot be told anything" in (box.objection("unlock") or "")


def test_a_long_list_is_cut() -> None:
    entries = [{"id": f"{number:08X}", "topic": f"t{number}", "name": "same"} for number in range(60)]
    devices = read_devices(json.dumps(entries).encode())
    assert devices is not None
    text = explain_not_found(devices, find(devices, "same"), "same")
    assert len(text.splitlines()) == 52
    assert text.endswith("  and 10 more")


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("status", "reason", "evidence", "state", "duration_s", "may_have_acted"), json_values)
        | {"status": st.sampled_from([*Status])},
    )
)
def test_any_result_is_one_harmless_line(body: dict[str, Any]) -> None:
    step = read_step(body)
    assert step is None or str(step).isprintable()


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(("id", "name", "topic", "type", "permitted")), json_values)))
def test_any_list_can_be_read(entries: list[Any]) -> None:
    devices = read_devices(json.dumps(entries).encode())
    assert devices is not None
    for device in devices:
        assert str(device).isprintable()
        assert not set("/+#\0") & set(device.topic)


@pytest.mark.parametrize("text", [b"NaN", b"1e999", b"[-Infinity]", b"[" * 13 + b"]" * 13, b"\xff", b"9" * 5000, b""])
def test_what_is_no_json_of_ours(text: bytes) -> None:
    assert read_json(text) is None


# --- Nobody answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [b"", b"offline", b"ONLINE", b"\xff\x1b[2J"])
async def test_no_gateway_is_online(gateway: StandIn, giving: Giving, state: bytes) -> None:
    await gateway.speaker.publish(STATE, state, retain=True)
    said = await giving.begin()
    assert (said.status, said.out) == (4, "")
    assert "Nothing was sent" in said.err
    assert said.err.rstrip("\n").isprintable()
    assert gateway.orders == 0


async def test_nobody_answers(gateway: StandIn, giving: Giving) -> None:
    giving.wait_s = 0.3
    begun = giving.begin()
    await gateway.order()
    said = await begun
    assert (said.status, said.out) == (4, "")
    assert "Nobody answered" in said.err
    assert RESULT in said.err
    assert "Look at the door" in said.err
    assert gateway.orders == 1


async def test_a_gateway_that_does_not_answer_is_not_waited_for_long(
    broker: RunningBroker, gateway: StandIn, perform: Perform
) -> None:
    """It would refuse the command as stale by then."""
    giving = Giving(perform, setup(broker, "commands: {ttl_s: 1}"), wait_s=50)
    begun = giving.begin()
    await gateway.order()
    async with asyncio.timeout(15):
        assert (await begun).status == 4


async def test_accepted_and_then_nothing(gateway: StandIn, giving: Giving) -> None:
    giving.wait_s = 0.5
    begun = giving.begin()
    await gateway.say(await gateway.order(), {"status": "accepted"})
    said = await begun
    assert said.status == 3
    assert said.err.startswith("unknown: the gateway took the command, and its end was not heard within ")
    assert "Look at the door" in said.err


def test_the_default_wait_outlives_a_command() -> None:
    for commands in (
        CommandSettings(),
        CommandSettings(ttl_s=60, confirm_s=300),
        CommandSettings(ttl_s=1, confirm_s=2),
    ):
        before = max(commands.ttl_s, REPEAT_WITHIN_S)
        longest = before + LockActionRequest.timeout_s + max(commands.confirm_s, READ_AFTER_S) + READ_PATIENCE_S
        assert default_wait_s(commands) > longest
    assert default_wait_s(CommandSettings()) == 225
    options = make_parser().parse_args(["act", "x", "lock"])
    assert options.wait is None
    assert make_parser().parse_args(["act", "x", "lock", "--wait", "2.5"]).wait == 2.5


def test_the_time_has_milliseconds() -> None:
    assert render_ts(datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)) == "2026-11-21T20:15:03.000Z"


# --- Broker trouble -----------------------------------------------------------------------------------------------


async def test_no_broker(perform: Perform) -> None:
    said = await Giving(perform, setup(None)).begin()
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("No connection to the broker, nothing was sent. 127.0.0.1:")
    assert "mqtt.port" in said.err


ACL = """\
user gateway
topic readwrite nuki2mqtt/#
user person
topic read nuki2mqtt/{readable}
"""
needs_acl = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
USERS = {"gateway": "g", "person": "p"}
GATEWAY = {"username": "gateway", "password": "g"}


@needs_acl
@pytest.mark.parametrize(("protocol", "status", "words"), [("5", 1, "not authorised"), ("3.1.1", 4, "May this user")])
async def test_a_person_who_may_not_give_commands(perform: Perform, protocol: str, status: int, words: str) -> None:
    """MQTT 3.1.1 has no way to say that a publish was refused."""
    async with mosquitto(users=USERS, acl=ACL.format(readable="#")) as broker:
        broker.protocol = MqttProtocol(protocol)
        async with stand_in(broker, **GATEWAY) as gateway:
            giving = Giving(perform, setup(broker, mqtt=", username: person, password: p"), wait_s=0.4)
            said = await giving.begin()
            assert said.status == status
            assert words in said.err
            assert gateway.orders == 0


@needs_acl
async def test_a_person_who_may_not_read(perform: Perform) -> None:
    async with mosquitto(users=USERS, acl=ACL.format(readable="other")) as broker, stand_in(broker, **GATEWAY):
        said = await Giving(perform, setup(broker, mqtt=", username: person, password: p")).begin()
        assert said.status == 4
        assert "may this user read there" in said.err
        wrong = await Giving(perform, setup(broker, mqtt=", username: person, password: wrong")).begin()
        assert wrong.status == 1
        assert "mqtt.password" in wrong.err


@needs_acl
async def test_results_are_subscribed_to_before_the_command_is_sent(perform: Perform) -> None:
    async with mosquitto() as broker, stand_in(broker) as gateway:
        begun = Giving(perform, setup(broker)).begin()
        await gateway.say(await gateway.order(), END)
        assert (await begun).status == 0
        log = list(broker.log)
    subscribed = next(number for number, line in enumerate(log) if f"\t{RESULT} (QoS 1)" in line)
    published = next(number for number, line in enumerate(log) if "Received PUBLISH from nuki2mqtt-act" in line)
    assert subscribed < published


async def test_a_cut_connection_is_only_listened_on_again(
    broker: RunningBroker, gateway: StandIn, perform: Perform
) -> None:
    """The end is heard by the second connection; the command was sent by the first, once."""
    async with relay(broker) as line:
        begun = Giving(perform, setup(line)).begin()
        order = await gateway.order()
        line.cut()
        for _ in range(200):  # until the second connection hears it
            await gateway.say(order, END)
            done, _ = await asyncio.wait({begun}, timeout=0.1)
            if done:
                break
        said = await begun
    assert said.status == 0
    assert "The connection to the broker broke: " in said.err
    assert "Connected again, listening." in said.err
    assert gateway.orders == 1


async def test_a_cut_connection_and_no_end(broker: RunningBroker, gateway: StandIn, perform: Perform) -> None:
    async with relay(broker) as line:
        begun = Giving(perform, setup(line), wait_s=1.0).begin()
        await gateway.order()
        line.cut()
        said = await begun
    assert said.status == 3
    assert "unknown: " in said.err
    assert "It was sent once and is not sent again. Look at the door" in said.err
    assert gateway.orders == 1


@dataclass
class OddBroker:
    """MQTT 3.1.1 for one gateway and one command, and at odds with it where a test says so."""

    acknowledges: bool = True
    cuts_at_publish: bool = False
    refuses_results: bool = False
    results: list[dict[str, Any]] = field(default_factory=list)  # said before the PUBACK
    published: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    host: str = HOST
    port: int = 0
    protocol: MqttProtocol = MqttProtocol.V311

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                first, body = await _packet(reader)
            except (asyncio.IncompleteReadError, OSError):
                return
            match first >> 4:
                case kind if kind == CONNECT:
                    self.connections += 1
                    writer.write(ACCEPT_V311)
                case kind if kind == SUBSCRIBE:
                    self._subscribe(body, writer)
                case kind if kind == PUBLISH:
                    number = _packet_id(body)
                    self.published.append(json.loads(body[body.index(b"{") :]))
                    if self.cuts_at_publish:
                        return
                    for result in self.results:
                        body = json.dumps({"transaction": self.published[-1]["transaction"], **result}).encode()
                        writer.write(_message(RESULT, body, retain=False))
                    if self.acknowledges:
                        writer.write(_frame(0x40, number))
                case kind if kind == PINGREQ:
                    writer.write(bytes((0xD0, 0)))
                case kind if kind == DISCONNECT:
                    return

    def _subscribe(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        is_result = RESULT.encode() in body
        if is_result:
            writer.write(_frame(0x90, body[:2] + (b"\x80" if self.refuses_results else b"\x01")))
            return
        writer.write(_frame(0x90, body[:2] + b"\x01\x01"))
        writer.write(_message(STATE, b"online"))
        writer.write(_message(LIST, json.dumps(DEVICES[:1]).encode()))


def _message(topic: str, payload: bytes, *, retain: bool = True) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic.encode() + payload
    length = bytes((len(body),)) if len(body) < 128 else bytes((len(body) % 128 | 128, len(body) // 128))
    return bytes((0x30 | retain,)) + length + body


@asynccontextmanager
async def odd_broker(**how: Any) -> AsyncIterator[OddBroker]:
    one = OddBroker(**how)
    async with _serving(one.serve) as port:
        one.port = port
        yield one


async def test_a_result_before_the_puback(perform: Perform) -> None:
    async with odd_broker(results=[{"status": "accepted"}, END], acknowledges=False) as broker:
        said = await Giving(perform, setup(broker)).begin()
    assert (said.status, said.err) == (0, "")
    assert [line.split(":")[0] for line in said.out.splitlines()] == ["accepted", "confirmed"]
    assert len(broker.published) == 1


async def test_no_puback_is_unknown(perform: Perform) -> None:
    """The link gives the connection up for it; the next ones only listen."""
    async with odd_broker(acknowledges=False) as broker:
        said = await Giving(perform, setup(broker), wait_s=2.0).begin(timing=IMPATIENT)
    assert said.status == 3
    assert "the broker did not say within 2 s whether it has the command" in said.err
    assert len(broker.published) == 1
    assert broker.connections >= 3  # the list, the command, and again


async def test_a_connection_that_ends_with_the_publish_is_unknown(perform: Perform) -> None:
    async with odd_broker(cuts_at_publish=True) as broker:
        said = await Giving(perform, setup(broker), wait_s=0.5).begin()
    assert said.status == 3
    assert "whether it has the command" in said.err
    assert len(broker.published) == 1


async def test_results_that_may_not_be_heard(perform: Perform) -> None:
    """Without a way to hear the end nothing is sent."""
    async with odd_broker(refuses_results=True) as broker:
        said = await Giving(perform, setup(broker)).begin()
    assert said.status == 1
    assert "nothing was sent" in said.err
    assert "ACL" in said.err
    assert broker.published == []


# --- Mistakes of this program -------------------------------------------------------------------------------------


class _MistakeError(Exception):
    """One that nobody foresaw."""


def mistake(*_: object, **__: object) -> Any:
    raise _MistakeError


async def test_a_mistake_before_the_sending(gateway: StandIn, giving: Giving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nuki2mqtt.faces.act.read_devices", mistake)
    said = await giving.begin()
    assert (said.status, said.out) == (1, "")
    assert "a mistake in nuki2mqtt" in said.err
    assert "Look at the door" not in said.err
    assert gateway.orders == 0


async def test_a_mistake_after_the_sending(gateway: StandIn, giving: Giving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nuki2mqtt.faces.act.read_step", mistake)
    begun = giving.begin()
    await gateway.say(await gateway.order(), {"status": "accepted"})
    said = await begun
    assert (said.status, said.out) == (3, "")
    assert "a mistake in nuki2mqtt" in said.err
    assert re.search(r"^unknown: .* Look at the door", said.err, re.MULTILINE)
    assert gateway.orders == 1


@pytest.mark.parametrize(("end", "status"), [(END, 0), ({"status": "failed"}, 1), ({"status": "unconfirmed"}, 3)])
async def test_a_mistake_after_the_end(
    gateway: StandIn, giving: Giving, monkeypatch: pytest.MonkeyPatch, end: dict[str, Any], status: int
) -> None:
    """What is known by then stays known."""
    begun = giving.begin()
    order = await gateway.order()
    monkeypatch.setattr(MqttLink, "close", mistake)
    await gateway.say(order, end)
    said = await begun
    assert said.status == status
    assert "unknown: " not in said.err


async def test_an_end_that_cannot_be_printed(gateway: StandIn, giving: Giving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nuki2mqtt.faces.act.say", mistake)
    begun = giving.begin()
    await gateway.say(await gateway.order(), END)
    assert (await begun).status == 0


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Ending(), 1),
        (Ending(signal=signal.SIGINT), 130),
        (Ending(signal=signal.SIGTERM), 143),
        (Ending(signal=signal.SIGHUP), 129),
        (Ending(was_sent=True), 3),
        (Ending(was_sent=True, signal=signal.SIGINT), 130),
        (Ending(was_sent=True, signal=signal.SIGTERM), 3),
        (Ending(was_sent=True, signal=signal.SIGHUP), 3),
        *[(Ending(was_sent=True, status=end, signal=signal.SIGTERM), end) for end in (0, 1, 3, 4)],
        *[(Ending(was_sent=True, status=end, signal=signal.SIGINT), end) for end in (0, 1, 3, 4)],
    ],
)
def test_what_the_exit_status_comes_from(ending: Ending, status: int) -> None:
    """The result before all else; then what may have happened to the door; the way it was ended last."""
    assert ending.exit_status == status


# --- The process --------------------------------------------------------------------------------------------------


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    async with mosquitto() as broker, site(tmp_path, broker) as one:
        yield one


async def begin_process(here: Site, *arguments: str) -> Running:
    return await here.start("act", "--config", here.write_config(), *arguments)


async def test_interrupted_before_the_end(here: Site) -> None:
    async with stand_in(here.broker) as gateway:
        with interruptible():
            running = await begin_process(here, "Front door", "unlock")
            await gateway.order()
            running.send(signal.SIGINT)
            assert await running.ended() == 130
    assert "Interrupted. The command was sent and goes on without us. Look at the door" in running.text
    assert "Traceback" not in running.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_ended_after_the_sending(here: Site, number: signal.Signals) -> None:
    """Also when somebody cannot wait for it: the status is not one of a command that was not sent."""
    async with stand_in(here.broker) as gateway:
        running = await begin_process(here, "Front door", "unlock")
        await gateway.order()
        running.send(number)
        line = await running.wait_line("unknown: ")
        running.send(number)
        assert await running.ended() == 3
    assert line == (
        f"unknown: ended by {number.name}. The command was sent and goes on without us. "
        "Look at the door before you give it again."
    )
    assert "Traceback" not in running.text


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
async def test_ended_before_the_sending(here: Site, number: signal.Signals, status: int) -> None:
    async with silent_server() as silent:
        with interruptible():
            running = await begin_process(here, "x", "lock", "--set", f"mqtt.port={silent.port}")
            await silent.accepted.wait()
            running.send(number)
            assert await running.ended() == status
    assert running.lines == ["Interrupted. Nothing was sent."]


async def test_a_signal_that_the_shell_ignores_is_ignored(here: Site) -> None:
    """As `nohup` does with SIGHUP."""
    async with stand_in(here.broker) as gateway:
        running = await begin_shell(here, "trap '' HUP; exec \"$@\"", "Front door", "unlock")
        order = await gateway.order()
        running.send(signal.SIGHUP)
        await gateway.say(order, {"status": "accepted"})
        await running.wait_line("accepted")
        running.send(signal.SIGHUP)
        await gateway.say(order, END)
        assert await running.ended() == 0


async def begin_shell(here: Site, script: str, *arguments: str) -> Running:
    """`act` as a shell with this script starts it, which has the command in `$@`; its output is buffered."""
    config = here.write_config(extra="log: {level: debug}\n")
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", script, "sh", sys.executable, "-m", "nuki2mqtt", "act", "--config", str(config)),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=here.folder,
        env={"PATH": "", "HOME": str(here.folder), "PYTHONPATH": str(REPO)},
    )
    running = Running(process)
    here.started.append(running)
    return running


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "redirects",
    [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"],
)
async def test_output_that_cannot_be_written_does_not_change_the_status(
    here: Site, redirects: str, *, as_json: bool
) -> None:
    """A script that takes 1 for "nothing was done" would open a second time."""
    async with stand_in(here.broker) as gateway:
        ends: list[tuple[dict[str, Any], int]] = [(END, 0)]
        ends += [] if as_json else [({"status": "unconfirmed"}, 3), ({"status": "failed"}, 1)]
        for count, (end, status) in enumerate(ends, start=1):
            options = ["--json"] if as_json else []
            running = await begin_shell(here, f'exec "$@" {redirects}', "Front door", "unlatch", *options)
            await gateway.speaker.wait_until(lambda count=count: gateway.orders == count)  # type: ignore[misc]
            await gateway.say(json.loads(gateway.speaker.heard[-1].payload), {"status": "accepted"}, end)
            assert await running.ended() == status, running.text
            assert "Traceback" not in running.text
            assert "Exception" not in running.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("redirects", [">&- 2>&-", ">/dev/full 2>&1"])
async def test_ended_and_nothing_can_be_written(here: Site, redirects: str) -> None:
    async with stand_in(here.broker) as gateway:
        for count, (number, status) in enumerate(((signal.SIGTERM, 3), (signal.SIGINT, 130)), start=1):
            with interruptible():
                running = await begin_shell(here, f'exec "$@" {redirects}', "Front door", "unlatch")
                await gateway.speaker.wait_until(lambda count=count: gateway.orders == count)  # type: ignore[misc]
                running.send(number)
                assert await running.ended() == status


async def test_the_process_ends_with_the_status(here: Site) -> None:
    async with stand_in(here.broker) as gateway:
        running = await begin_process(here, "1A2B3C4D", "unlock", "--wait", "30")
        await gateway.say(await gateway.order(), {"status": "unconfirmed", "reason": "restarted"})
        assert await running.ended() == 3
        assert running.lines[0].startswith("unconfirmed: The gateway was restarted")


async def test_beside_a_real_gateway(here: Site) -> None:
    """The door moves, once for each command, and what is said of it is true."""
    async with ear(here.broker) as heard:
        config = here.write_config()
        running = await here.run(config)
        await online(heard)
        await leased(heard)
        ended, text = 1, "only just started"
        for _ in range(50):  # for 2 s it takes no commands
            if "only just started" not in text:
                break
            ended, text = await here.finish("act", "--config", config, "Front door", "unlatch")
        assert (ended, here.asked("/lockAction")) == (0, 1), text
        for count, action in enumerate(("lock", "unlock"), start=2):
            ended, text = await here.finish("act", "--config", config, "1a2b3c4d", action)
            assert ended == 0, text
            assert re.search(r"^confirmed: (un)?lock(ing|ed) after ", text, re.MULTILINE), text
            assert here.asked("/lockAction") == count
        ended, text = await here.finish("status", "--config", config)
        assert ended == 0, text
        assert await running.stop() == 0
        ended, text = await here.finish("act", "--config", config, "front_door", "unlock")
        assert (ended, here.asked("/lockAction")) == (4, 3), text


# --- What is written about it -------------------------------------------------------------------------------------


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["act", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "Needs a running service" in text
    assert "example:\n  nuki2mqtt act front_door unlock" in text
    assert all(f"\n  {status} " in text for status in (0, 1, 3, 4, 130))


@pytest.mark.parametrize("arguments", [["act"], ["act", "x"], ["act", "x", "lock", "--wait", "0"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(arguments)
    assert ended.value.code == 2
    assert "usage: nuki2mqtt act" in capsys.readouterr().err


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "soon", "3601"])
def test_a_wrong_time_to_wait(wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_cli(["act", "x", "lock", f"--wait={wait}"])
    assert "a number of seconds from 1 to 3600" in capsys.readouterr().err


def test_the_guide_explains_every_word() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    words = [*Status, *Reason, *Evidence, *Action]
    assert [str(word) for word in words if f"`{word}`" not in text] == []
    settings = ("ttl_s", "overlap", "confirm_s", "wait", "bare_opening", "trust_clock", "permit")
    assert [name for name in settings if f"`commands.{name}`" not in text] == []
