"""The demo as a user runs it, and the course of `--once`, which must be able to fail."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nuki2mqtt.adapters.embedded_broker import EmbeddedBroker
from nuki2mqtt.faces.cli import run_cli
from nuki2mqtt.faces.demo import DemoOptions, demo, how_to_open, program, show
from nuki2mqtt.faces.demo_cloud import came, gone, made
from nuki2mqtt.faces.demo_course import (
    at_end,
    at_start,
    closed,
    locked,
    obeyed,
    opened,
    play_course,
    rung,
    unlocked,
)
from nuki2mqtt.faces.demo_home import Home, running_home
from nuki2mqtt.faces.demo_meeting import meet
from nuki2mqtt.faces.demo_witness import Expected, Witness, missing
from nuki2mqtt.gateway.vocabulary import MqttReceived
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.topics import TopicTree
from tests.stories.real.processes import REPO, Running, interruptible, until

START_S = 90.0  # a search takes six of it, two where it fails, and a busy machine its own time
TREE = TopicTree("nuki2mqtt", "homeassistant")
ALL = (
    *at_start(TREE),
    *unlocked(TREE),
    *opened(TREE),
    *closed(TREE),
    *locked(TREE),
    *rung(TREE),
    *obeyed(TREE, "unlatch", "demo-unlatch-1"),
    *obeyed(TREE, "lock", "demo-lock-0"),
    *made(TREE, "demo-code-0"),
    *came(TREE),
    *gone(TREE),
    *at_end(TREE),
)


@asynccontextmanager
async def started(folder: Path, *command: str) -> AsyncIterator[Running]:
    """A process of our own in the checkout."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=REPO,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    )
    running = Running(process)
    try:
        yield running
    finally:
        await running.kill()


def our(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "nuki2mqtt", *arguments)


# --- As a user runs it --------------------------------------------------------------------------------------------


async def test_once_ends_by_itself_with_everything_seen(tmp_path: Path) -> None:
    async with started(tmp_path, *our("demo", "--once")) as running:
        assert await running.ended(START_S) == 0, running.text
        assert "Everything that was expected has been said on MQTT" in running.lines[-1]
        # A Bridge may be busy for a moment, and the gateway say so.
        text = "\n".join(line for line in running.lines if "busy (HTTP 503" not in line)
        for words in ("MISSING", "Traceback", "WARNING", "ERROR", "/callback/", "739164"):
            assert words not in text
        for line in (
            "the keypad code of Anna is confirmed, it is in the list",
            "front_door is unlocked, an event tells of it, an event tells that it was Anna, so does the snapshot",
        ):
            assert f"seen on MQTT: {line}" in running.text
        if "NOT FOUND" in running.text:
            pytest.skip("the loopback interface has no mDNS here")
        for bridge in ("0A1B2C3D", "0A1B2C4D"):
            assert f"found by mDNS: Bridge {bridge} at 127.0.0.1:" in running.text
            assert f"Bridge {bridge} is paired" in running.text
    assert os.listdir(tmp_path) == [], "something is left behind"  # noqa: PTH208 - it does not block for long


async def test_the_copied_lines_open_the_door_and_an_interrupt_ends_it_well(tmp_path: Path) -> None:
    with interruptible():
        async with started(tmp_path, *our("demo", "--speed", "10", "--seed", "4")) as running:
            await running.wait_line("Ctrl-C ends the demo", timeout_s=START_S)
            copied = next(line for line in running.lines if " act front_door unlatch " in line)
            async with started(tmp_path, *shlex.split(copied)) as act:
                assert await act.ended() == 0, act.text
                assert "confirmed" in act.lines[-1]
            await running.wait_line("front_door/result", "unlatch confirmed")
            if shutil.which("mosquitto_pub"):
                copied = next(line for line in running.lines if "mosquitto_pub" in line)
                async with started(tmp_path, "/bin/sh", "-c", copied) as pub:
                    assert await pub.ended() == 0, pub.text
                await running.wait_line("front_door/set", '"ts":1')
                ends = ("unlatch confirmed", "unlatch unconfirmed")
                await until(lambda: sum(end in line for line in running.lines for end in ends) == 2, "two ends")
            await running.wait_line("*", "somebody")
            running.send(signal.SIGINT)
            assert await running.ended() == 0
            await running.wait_line("gateway/state", "offline")
            for words in ("Traceback", "ERROR", "/callback/"):
                assert words not in running.text
    assert os.listdir(tmp_path) == [], "something is left behind"  # noqa: PTH208 - it does not block for long


async def test_it_ends_when_nobody_reads_any_more(tmp_path: Path) -> None:
    """`nuki2mqtt demo | head -3`."""
    script = '{ "$@" 2>"$HOME/trouble"; echo $? >"$HOME/status"; } | head -3'
    async with started(tmp_path, "/bin/sh", "-c", script, "sh", *our("demo", "--speed", "10")) as running:
        assert await running.ended(START_S) == 0
        assert len(running.lines) == 3
    assert (tmp_path / "status").read_text() == "0\n"
    assert (tmp_path / "trouble").read_text() == ""
    assert sorted(os.listdir(tmp_path)) == ["status", "trouble"]  # noqa: PTH208 - it does not block for long


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ([], "demo --seed 4"),
        (["ONCE=1"], "demo --once --seed 4"),
        (["ONCE=1", "SEED=7"], "demo --once --seed 7"),
    ],
)
async def test_make_demo_calls_it(tmp_path: Path, given: list[str], arguments: str) -> None:
    program = tmp_path / "nuki2mqtt"
    program.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    program.chmod(0o755)
    (tmp_path / "set-up").touch()
    options = (f"BIN={tmp_path}", f"STAMP={tmp_path}/set-up", *given)
    async with started(tmp_path, "make", "--no-print-directory", "demo", *options) as running:
        assert await running.ended() != 0, "its status is lost"
        assert running.lines[0] == arguments


async def test_a_busy_port_says_what_to_do(tmp_path: Path) -> None:
    async with (
        EmbeddedBroker() as other,
        started(tmp_path, *our("demo", "--once", "--port", str(other.port))) as running,
    ):
        assert await running.ended() == 1
        said = f"something listens at 127.0.0.1:{other.port} already, perhaps another broker: choose another port"
        assert running.lines[1:] == [said]


def test_without_amqtt_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "nuki2mqtt.adapters.amqtt_broker", raising=False)
    monkeypatch.setitem(sys.modules, "amqtt.contexts", None)
    assert demo(DemoOptions(once=True)) == 1
    assert capsys.readouterr().err == "the embedded broker needs amqtt: pip install 'nuki2mqtt[embedded]'\n"


def test_it_needs_no_settings_not_even_readable_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("nonsense: [")
    monkeypatch.setitem(sys.modules, "amqtt.contexts", None)
    monkeypatch.delitem(sys.modules, "nuki2mqtt.adapters.amqtt_broker", raising=False)
    assert run_cli(["demo", "--once", "--seed", "7", "--speed", "2"]) == 1
    assert "amqtt" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--speed", "0"], ["--speed", "x"], ["--port", "0"], ["--seed", "x"], ["more"]])
def test_a_wrong_command_line_is_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["demo", *arguments])
    assert ended.value.code == 2


def test_help_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_cli(["demo", "--help"])
    text = capsys.readouterr().out
    assert "Needs nothing but" in text
    assert "example:\n  nuki2mqtt demo" in text


# --- The course ---------------------------------------------------------------------------------------------------


def said(expected: Expected) -> MqttReceived:
    """A message that meets it, with more in it."""
    payload = expected.payload
    if isinstance(payload, list):
        body = json.dumps([one | {"more": 1} for one in payload])
    else:
        body = payload if isinstance(payload, str) else json.dumps(payload | {"more": 1})
    return MqttReceived(expected.topic, body.encode())


def test_everything_that_is_expected_can_be_missing() -> None:
    everything = [said(each) for each in ALL]
    assert missing(ALL, everything) == []
    assert missing(ALL, []) == list(ALL)
    for each in ALL:
        assert each in missing(ALL, [message for message in everything if not each.is_met_by(message)])


@pytest.mark.parametrize(
    ("wanted", "body", "is_met"),
    [
        ("online", b"online", True),
        ("online", b"offline", False),
        ("online", b'"online"', False),
        ({"a": 1}, b'{"a":1,"b":2}', True),
        ({"a": 1}, b'{"a":true}', False),
        ({"a": None}, b"{}", False),
        ({"a": None}, b'{"a":null}', True),
        ({"a": [{"b": 1}]}, b'{"a":[{"b":1,"c":2}]}', True),
        ({"a": [{"b": 1}]}, b'{"a":[]}', False),
        ({}, b"", False),
        ({}, b"[]", False),
        ({}, b"\xff", False),
    ],
)
def test_what_meets_an_expectation(wanted: dict[str, object] | str, body: bytes, *, is_met: bool) -> None:
    assert Expected("it", "t", wanted).is_met_by(MqttReceived("t", body)) is is_met
    assert not Expected("it", "t", wanted).is_met_by(MqttReceived("u", body))


async def course(folder: Path, spoil: Callable[[Home], object]) -> list[str]:
    """What is missing of the course in a home that is spoilt before it begins."""
    told: list[str] = []
    async with running_home(folder, speed=20) as home:
        spoil(home)
        witness = Witness(lambda _: None)
        async with witness.listening(home.settings):
            await meet(home, witness, told.append)
            return await play_course(home, witness, told.append, patience_s=3.0, cloud_patience_s=6.0)


async def test_orders_that_are_lost_are_missed(tmp_path: Path) -> None:
    lost = await course(
        tmp_path, lambda home: home.bridges[0].bridge.faults.lost_orders(home.front_door.nuki_id).begin()
    )
    assert {text.partition(" (")[0] for text in lost} >= {
        "the unlatch is confirmed",
        "front_door is unlocked",
        "one unlatching of the lock itself, not 0",
    }
    assert "the unlatch is accepted (nuki2mqtt/front_door/result)" not in lost


async def test_a_code_that_never_comes_to_the_lock_and_a_log_without_a_name_are_missed(tmp_path: Path) -> None:
    def spoil(home: Home) -> None:
        home.cloud.cloud.faults.lost_writes().begin()
        home.cloud.cloud.faults.nameless_log().begin()

    lost = {text.partition(" (")[0] for text in await course(tmp_path, spoil)}
    assert lost >= {"the keypad code of Anna is confirmed", "it is in the list", "an event tells that it was Anna"}


async def test_without_mdns_the_bridges_are_paired_at_their_addresses_and_that_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    async with running_home(tmp_path, speed=20, announced=False) as home:
        witness = Witness(lambda _: None)
        async with witness.listening(home.settings):
            assert await meet(home, witness, told.append) == ["0A1B2C3D", "0A1B2C4D"]
            assert await witness.wait_for(at_start(TREE), patience_s=20) == []
    assert told[1:] == [
        f"Bridge {one.id} was not found by mDNS: it is paired at 127.0.0.1:{one.server.port}" for one in home.bridges
    ]


# --- Lines --------------------------------------------------------------------------------------------------------


def test_the_lines_to_copy() -> None:
    lines = how_to_open(MqttSettings(host="127.0.0.1", port=1884), ".venv/bin/nuki2mqtt")
    [act] = [line for line in lines if " act " in line]
    [pub] = [line for line in lines if "mosquitto_pub" in line]
    assert act.startswith(
        "  .venv/bin/nuki2mqtt act front_door unlatch --set mqtt.host=127.0.0.1 --set mqtt.port=1884 "
    )
    assert pub == (
        "  mosquitto_pub -h 127.0.0.1 -p 1884 -t nuki2mqtt/front_door/set"
        r' -m "{\"action\":\"unlatch\",\"ts\":$(date +%s)}"'
    )


def test_how_this_program_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    python = tmp_path / "venv" / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    assert program() == f"{python} -m nuki2mqtt"
    (tmp_path / "venv" / "nuki2mqtt").touch()
    monkeypatch.chdir(tmp_path)
    assert program() == "venv/nuki2mqtt"
    monkeypatch.chdir("/")
    assert program() in {str(tmp_path / "venv" / "nuki2mqtt"), str(tmp_path / "venv" / "nuki2mqtt").lstrip("/")}


@pytest.mark.parametrize(
    ("topic", "payload", "is_shown"),
    [
        ("nuki2mqtt/front_door", b"{}", True),
        ("nuki2mqtt/front_door/set", b"", False),
        ("nuki2mqtt/gateway/state", b"online", True),
        ("nuki2mqtt/gateway/health", b"{}", False),
        ("nuki2mqtt/bridge/0A1B2C3D", b"{}", False),
        ("nuki2mqtt/bridge/0A1B2C3D/availability", b"online", True),
        ("homeassistant/device/x/config", b"{}", False),
    ],
)
def test_what_is_shown(topic: str, payload: bytes, *, is_shown: bool, capsys: pytest.CaptureFixture[str]) -> None:
    show(TREE, MqttReceived(topic, payload))
    assert bool(capsys.readouterr().out) is is_shown
