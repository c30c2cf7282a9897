"""`nuki2mqtt status`: all that is retained, read once, shown harmlessly; the exit status is whether all is well."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.faces.cli import run_cli
from nuki2mqtt.faces.overview import Overview, read_overview
from nuki2mqtt.faces.overview_lines import Mark, render_lines
from nuki2mqtt.faces.retained import Retained
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.faces.status import render_body, status
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.topics import TopicTree
from tests.adapters.broken_brokers import fake_broker, silent_server
from tests.adapters.brokers import HOST, Listener, Reachable, RunningBroker, listener, mosquitto
from tests.adapters.linked import IMPATIENT, QUICK
from tests.adapters.mosquitto import free_port
from tests.faces.conftest import Perform
from tests.stories.real.household import ear
from tests.stories.real.processes import REPO, online, site

TREE = TopicTree("nuki2mqtt", "homeassistant")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
INFO = {"version": "0.1.0", "instance": "1234abcd", "started": "2026-11-22T08:59:59.999Z", "protocol": "5"}
HEALTH: dict[str, Any] = {
    "instance": "1234abcd",
    "bridges": [
        {
            "id": "0A1B2C3D",
            "address": "192.0.2.10:8080",
            "reachable": True,
            "callback": "held",
            "clock_skew_s": 0,
            "problem": None,
        }
    ],
    "broker": {"protocol": "5", "connections_lost": 0},
    "state_file": None,
    "needs_pairing": False,
}
BRIDGE = {"id": "0A1B2C3D", "name": "Nuki_Bridge_0A1B2C3D", "address": "192.0.2.10:8080", "firmware": "2.18.0"}
DEVICES = [
    {
        "id": "1A2B3C4D",
        "name": "Front door",
        "topic": "front_door",
        "type": "smart_lock",
        "permitted": ["unlock", "lock"],
    },
    {"id": "2A2B3C4D", "name": "Intercom", "topic": "intercom", "type": "opener", "permitted": []},
]
LOCK: dict[str, Any] = {
    "id": "1A2B3C4D",
    "nuki_id": 439041101,
    "device_type": 4,
    "name": "Front door",
    "state": "locked",
    "lock": "LOCKED",
    "derived": False,
    "door": "closed",
    "battery": {"level": 85, "critical": False},
    "seen": "2026-11-22T11:59:48Z",
    "stale": False,
}
OPENER: dict[str, Any] = {
    "id": "2A2B3C4D",
    "nuki_id": 707476557,
    "device_type": 2,
    "name": "Intercom",
    "state": "rto_active",
    "ring_to_open": True,
    "continuous_mode": True,
    "battery": {"critical": True},
    "seen": "2026-11-22T09:00:00Z",
    "stale": False,
}
WELL: dict[str, Any] = {
    "gateway/state": "online",
    "gateway/info": INFO,
    "gateway/health": HEALTH,
    "gateway/devices": DEVICES,
    "bridge/0A1B2C3D": BRIDGE,
    "bridge/0A1B2C3D/availability": "online",
    "front_door": LOCK,
    "front_door/availability": "online",
    "intercom": OPENER,
    "intercom/availability": "online",
}


def payload(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def overview(**changes: Any) -> Overview:
    """What is read when all is well, but for these topics; None takes one away."""
    messages = {**WELL, **{key.replace("__", "/"): value for key, value in changes.items()}}
    found = {f"nuki2mqtt/{topic}": payload(value) for topic, value in messages.items() if value is not None}
    return read_overview(Retained("5", found), TREE, "nuki2mqtt at 192.0.2.2:1883")


def lines(one: Overview) -> list[str]:
    found = [*render_lines(one, NOW)]
    # The exit status is what the lines say.
    assert one.is_well == (Mark.FAIL not in {line.mark for line in found})
    assert all(str(line).isprintable() for line in found)
    json.dumps(render_body(one), allow_nan=False)
    return [str(line) for line in found]


def line(one: Overview, subject: str) -> str:
    (found,) = [text for text in lines(one) if text[6:].startswith(f"{subject} ")]
    return found


# --- What is shown ------------------------------------------------------------------------------------------------


def test_all_is_well() -> None:
    assert lines(overview()) == [
        (
            "ok    gateway  nuki2mqtt at 192.0.2.2:1883: online, version 0.1.0, instance 1234abcd, "
            "since 2026-11-22 08:59:59 UTC (3 h ago), MQTT 5 (this program 5)"
        ),
        "ok    bridge   0A1B2C3D Nuki_Bridge_0A1B2C3D at 192.0.2.10:8080: online, firmware 2.18.0, callback held",
        (
            "ok    device   front_door (Front door): locked, door closed, battery 85 %, "
            "seen 2026-11-22 11:59:48 UTC (12 s ago), may be told unlock lock"
        ),
        (
            "ok    device   intercom (Intercom): rto_active, ring to open, continuous mode, BATTERY LOW, "
            "seen 2026-11-22 09:00:00 UTC (3 h ago), may be told nothing"
        ),
    ]


@pytest.mark.parametrize(
    ("changes", "subject", "words"),
    [
        ({"gateway__state": None}, "gateway", "nothing is retained here; is a service running"),
        ({"gateway__state": "offline"}, "gateway", "'offline': nobody vouches for what follows; start the service"),
        ({"gateway__health": None}, "health", "gateway/health cannot be read"),
        ({"gateway__devices": None}, "devices", "gateway/devices cannot be read"),
        ({"gateway__health": {}}, "health", "gateway/health cannot be read"),
        ({"gateway__health": HEALTH | {"needs_pairing": True}}, "pairing", "`nuki2mqtt pair --host HOST`"),
        ({"bridge__0A1B2C3D__availability": "offline"}, "bridge", "offline, firmware 2.18.0"),
        ({"bridge__0A1B2C3D__availability": None}, "bridge", "not reached yet"),
        ({"bridge__0A1B2C3D__availability": None, "bridge__0A1B2C3D": None}, "bridge", "`nuki2mqtt check` tries it"),
        (
            {"gateway__health": HEALTH | {"bridges": [{"id": None, "address": "192.0.2.11:8080", "problem": "401"}]}},
            "bridge",
            "at 192.0.2.11:8080: not reached yet. 401",
        ),
    ],
)
def test_what_is_not_well(changes: dict[str, Any], subject: str, words: str) -> None:
    found = line(overview(**changes), subject)
    assert found.startswith("FAIL")
    assert words in found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"front_door__availability": "offline"}, "NOT vouched for: see docs/guide-troubleshooting.md"),
        ({"front_door__availability": None}, "NOT vouched for: see"),
        ({"front_door": LOCK | {"stale": True}}, "locked, door closed, battery 85 %, seen 2026-11-22 11:59:48 UTC"),
        ({"front_door": None}, "front_door (Front door): state unknown, never seen, "),
        ({"front_door": b"\xff"}, "state unknown, never seen"),
        ({"front_door": LOCK | {"seen": None, "stale": True}}, "never seen"),
        ({"gateway__devices": DEVICES[1:], "front_door": LOCK | {"stale": True}}, "not seen since the gateway's start"),
    ],
)
def test_a_device_that_nobody_vouches_for(changes: dict[str, Any], words: str) -> None:
    (found,) = [text for text in lines(overview(**changes)) if "front_door" in text]
    assert found.startswith("FAIL  device ")
    assert words in found


def test_nothing_is_vouched_for_without_a_gateway() -> None:
    """A gateway that lost its power may have left `online` everywhere else."""
    found = lines(overview(gateway__state="offline"))
    assert [text[:13] for text in found if "device" in text] == ["FAIL  device "] * 2


CLOUD: dict[str, Any] = {
    "reachable": True,
    "problem": None,
    "forced_syncs": 0,
    "scopes_missing": [],
    "poll_s": 60.0,
    "webhooks": False,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "ok    cloud    Nuki Web answers, asked every 60 s"),
        (
            {"webhooks": True, "poll_s": 900.0, "forced_syncs": 2},
            "ok    cloud    Nuki Web answers, asked every 900 s, webhooks flow, 2 forced syncs",
        ),
        ({"reachable": None, "poll_s": None}, "note  cloud    Nuki Web not asked yet"),
        (
            {"reachable": False, "problem": "401: make a new token"},
            "note  cloud    Nuki Web does not answer, asked every 60 s. 401: make a new token",
        ),
        (
            {"scopes_missing": ["smartlock.auth", "smartlock.log"], "poll_s": None},
            (
                "note  cloud    Nuki Web answers; the token lacks smartlock.auth, smartlock.log: make one in Nuki "
                "Web with the scopes of docs/guide-cloud.md"
            ),
        ),
        (
            {"scopes_missing": "all", "forced_syncs": True, "problem": 7},
            "ok    cloud    Nuki Web answers, asked every 60 s",
        ),
    ],
)
def test_the_cloud(changes: dict[str, Any], words: str) -> None:
    """What is wrong with it is a note: whatever depends on it is said of each device."""
    one = overview(gateway__health=HEALTH | {"cloud": CLOUD | changes})
    assert line(one, "cloud") == words
    assert one.is_well


@pytest.mark.parametrize("changes", [{}, {"gateway__state": "offline"}])
def test_no_word_of_a_cloud_that_nobody_asks(changes: dict[str, Any]) -> None:
    health = HEALTH | ({"cloud": CLOUD} if changes else {"cloud": None})
    assert not [text for text in lines(overview(gateway__health=health, **changes)) if text[6:].startswith("cloud ")]


def test_no_device_is_not_well() -> None:
    found = lines(overview(gateway__devices=[], front_door=None, intercom=None))
    assert found[-1].startswith("FAIL  device   none is known; ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gateway__health": HEALTH | {"state_file": "/data/state.json cannot be written"}}, "check `state_dir`"),
        (
            {"gateway__health": HEALTH | {"bridges": [HEALTH["bridges"][0] | {"problem": "All 3 callback slots"}]}},
            "All 3 callback slots",
        ),
    ],
)
def test_a_note_does_not_fail(changes: dict[str, Any], words: str) -> None:
    one = overview(**changes)
    assert one.is_well
    (found,) = [text for text in lines(one) if text.startswith("note")]
    assert words in found


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (LOCK | {"state": "unlocking", "derived": True}, "unlocking, as told, not seen yet, "),
        (LOCK | {"keypad": {"battery_critical": True}}, "KEYPAD BATTERY LOW"),
        (LOCK | {"door_sensor": {"battery_critical": True}}, "DOOR SENSOR BATTERY LOW"),
        (LOCK | {"seen": "2026-11-22T13:00:00+00:00"}, "in the future: compare the clocks"),
        (LOCK | {"seen": "2026-11-22T11:00:00"}, "(60 min ago)"),
        (LOCK | {"seen": "2026-11-12T11:00:00Z"}, "(10 d ago)"),
        (LOCK | {"seen": "0001-01-01T00:00:00+14:00"}, "never seen"),
    ],
)
def test_details_of_a_device(snapshot: dict[str, Any], words: str) -> None:
    assert words in "".join(text for text in lines(overview(front_door=snapshot)) if "front_door" in text)


def test_details_of_the_gateway_and_a_bridge() -> None:
    health = HEALTH | {"broker": {"connections_lost": 3}, "bridges": [HEALTH["bridges"][0] | {"clock_skew_s": -40}]}
    one = overview(gateway__health=health, gateway__devices=[DEVICES[0] | {"type": "smart_lock", "permitted": ALL}])
    assert "broker lost 3 times" in line(one, "gateway")
    assert "clock -40 s" in line(one, "bridge")
    assert any(text.endswith("may be told everything") for text in lines(one))


ALL = ["unlock", "lock", "unlatch", "lock_n_go", "lock_n_go_unlatch"]


def test_other_things_below_the_base_are_no_devices() -> None:
    one = overview(note="x", other=LOCK | {"id": "nobody"}, a__b=LOCK)
    assert [device.topic for device in one.devices] == ["front_door", "intercom"]


def test_single_values_instead_of_json() -> None:
    """`mqtt.output: attribute`."""
    values = {
        "front_door__state": "unlocked",
        "front_door__stale": "false",
        "front_door__battery__level": "40",
        "front_door__seen": "2026-11-22T11:59:48Z",
    }
    one = overview(gateway__devices=DEVICES[:1], intercom=None, front_door=None, **values)
    assert one.is_well
    assert "unlocked, battery 40 %, seen 2026-11-22 11:59:48 UTC" in line(one, "device")


# --- Hostile payloads ---------------------------------------------------------------------------------------------

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["online", "id"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*LOCK, *HEALTH, *INFO, "id"]), inner, max_size=5)
    ),
    max_leaves=12,
)


def like(example: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The example with other values under some of its keys."""
    return st.fixed_dictionaries({}, optional={key: st.just(value) | json_values for key, value in example.items()})


bodies = (
    st.binary(max_size=40)
    | json_values
    | like(LOCK)
    | like(OPENER)
    | like(HEALTH)
    | like(INFO)
    | like(BRIDGE)
    | st.lists(like(DEVICES[0]), max_size=3)
    | st.lists(like(HEALTH["bridges"][0]), max_size=3).map(lambda bridges: HEALTH | {"bridges": bridges})
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([topic.replace("/", "__") for topic in WELL]), bodies))
def test_anything_may_be_retained(changes: dict[str, Any]) -> None:
    lines(overview(**changes))


@pytest.mark.parametrize("topic", [topic.replace("/", "__") for topic in WELL])
@pytest.mark.parametrize(
    "body",
    [
        b"\x00\xff\x1b]0;owned\x07",
        b"[" * 100_000,
        b"[" * 400 + b"]" * 400,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b"1e999",
        b"NaN",
        b'"\\ud800"',
        "\u202e\u2066online".encode(),
        json.dumps(
            {"name": "\x1b[2J\n\rok    gateway", "id": "1A2B3C4D", "device_type": 4, "state": "\x9b1m"}
        ).encode(),
    ],
)
def test_known_tricks(topic: str, body: bytes) -> None:
    one = overview(**{topic: body})
    assert not one.is_well or topic in {"gateway__info", "bridge__0A1B2C3D"}
    lines(one)


def test_a_terminal_that_cannot_show_it(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    sys.stdout.reconfigure(encoding="ascii")  # type: ignore[union-attr]
    say("T\u00fcr \ud800 \N{LOCK}")
    assert capsysbinary.readouterr().out == b"T?r ? ?\n"


def test_what_is_printable() -> None:
    assert printable("a\x1b[31m\n\u2028\u202eb\x85") == "a?[31m???b?"
    assert len(printable("y" * 10_000)) == 300


# --- At a broker --------------------------------------------------------------------------------------------------


def setup(broker: Reachable | None, mqtt: str = "") -> Setup:
    port = free_port() if broker is None else broker.port
    protocol = "auto" if broker is None else broker.protocol
    text = f"version: 1\nmqtt: {{host: {HOST}, port: {port}, protocol: {protocol}{mqtt}}}\n"
    return Setup(read_settings(text, read_file=lambda name: name), Path("state"))


@pytest.fixture
async def speaker(broker: RunningBroker) -> AsyncIterator[Listener]:
    async with listener(broker) as one:
        yield one


async def retain(speaker: Listener, messages: dict[str, Any]) -> None:
    for topic, value in messages.items():
        await speaker.publish(f"nuki2mqtt/{topic}", payload(value), retain=True)


async def test_what_is_retained_is_shown(broker: RunningBroker, speaker: Listener, perform: Perform) -> None:
    await retain(speaker, WELL)
    said = await perform(status, setup(broker), as_json=False, timing=QUICK)
    assert (said.status, said.err) == (0, ""), said.out
    assert [text[:15].split() for text in said.out.splitlines()] == [
        ["ok", "gateway"],
        ["ok", "bridge"],
        ["ok", "device"],
        ["ok", "device"],
    ]
    await retain(speaker, {"intercom/availability": "offline", "front_door": b"\x1b[2J\xff"})
    said = await perform(status, setup(broker), as_json=False, timing=QUICK)
    assert (said.status, said.err) == (1, "")
    assert [text[:13] for text in said.out.splitlines()[2:]] == ["FAIL  device "] * 2
    assert "\x1b" not in said.out


async def test_json(broker: RunningBroker, speaker: Listener, perform: Perform) -> None:
    await retain(speaker, WELL | {"intercom": OPENER | {"name": "\x1b[2J"}})
    said = await perform(status, setup(broker), as_json=True, timing=QUICK)
    assert (said.status, said.err) == (0, "")
    assert "\x1b" not in said.out
    body = json.loads(said.out)
    assert (body["online"], body["well"]) == (True, True)
    assert body["gateway"] == {"state": "online", "info": INFO, "health": HEALTH}
    assert body["bridges"] == [
        {"id": "0A1B2C3D", "availability": "online", "bridge": BRIDGE, "health": HEALTH["bridges"][0]}
    ]
    assert body["devices"][0] == {
        "topic": "front_door",
        "listed": True,
        "permitted": ["unlock", "lock"],
        "availability": "online",
        "vouched_for": True,
        "snapshot": LOCK,
    }


async def test_single_values_at_a_broker(broker: RunningBroker, speaker: Listener, perform: Perform) -> None:
    values = {topic: value for topic, value in WELL.items() if topic not in {"front_door", "intercom"}}
    values["gateway/devices"] = DEVICES[:1]
    values |= {"front_door/state": "locked", "front_door/stale": "false", "front_door/battery/level": "7"}
    await retain(speaker, values)
    said = await perform(status, setup(broker, ", output: attribute"), as_json=False, timing=QUICK)
    assert said.status == 0, said.out
    assert "front_door (Front door): locked, battery 7 %, never seen" in said.out


async def test_nobody_reads_on(broker: RunningBroker, speaker: Listener, tmp_path: Path) -> None:
    """`nuki2mqtt status | head -0`: no traceback, and the exit status is the true one."""
    await retain(speaker, WELL)
    config = tmp_path / "broken_pipe.yaml"
    config.write_text(f"mqtt: {{host: {HOST}, port: {broker.port}, protocol: {broker.protocol}}}\n")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nuki2mqtt", "status", "--config", str(config)),
            stdout=writing,
            stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(REPO), "PATH": ""},
        )
        _, trouble = await process.communicate()
    finally:
        os.close(writing)
    assert (process.returncode, trouble) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("redirects", [">/dev/full", ">&-", ">/dev/full 2>&1", ">&- 2>&-"])
async def test_nothing_can_be_written(broker: RunningBroker, speaker: Listener, tmp_path: Path, redirects: str) -> None:
    """No traceback, and the exit status is the true one."""
    await retain(speaker, WELL)
    config = tmp_path / "full.yaml"
    config.write_text(f"mqtt: {{host: {HOST}, port: {broker.port}, protocol: {broker.protocol}}}\n")
    for options in ([], ["--json"]):
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", f'exec "$@" {redirects}', "sh"),
            *(sys.executable, "-m", "nuki2mqtt", "status", "--config", str(config), *options),
            stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(REPO), "PATH": ""},
        )
        _, trouble = await process.communicate()
        assert (process.returncode, trouble) == (0, b"")


async def test_an_empty_broker(broker: RunningBroker, perform: Perform) -> None:
    said = await perform(status, setup(broker), as_json=False, timing=QUICK)
    assert (said.status, said.err) == (1, "")
    assert "nothing is retained here" in said.out


async def test_messages_without_end_do_not_hold_it_up(
    broker: RunningBroker, speaker: Listener, perform: Perform
) -> None:
    """Somebody speaks all the time: after 2 s what is known is shown."""
    await retain(speaker, WELL)
    showing = asyncio.create_task(perform(status, setup(broker), as_json=False, timing=QUICK))
    async with asyncio.timeout(10):
        while not showing.done():
            await speaker.publish("nuki2mqtt/chatter", b"x")
    assert (await showing).status == 0


async def test_no_broker(perform: Perform) -> None:
    said = await perform(status, setup(None), as_json=False, timing=QUICK)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("No connection to the broker. 127.0.0.1:")


async def test_a_broker_that_is_silent_or_refuses(perform: Perform) -> None:
    async with silent_server() as silent:
        said = await perform(status, setup(silent, ", client_id: x"), as_json=True, timing=IMPATIENT)
    assert (said.status, said.out) == (1, "")
    assert "does not answer" in said.err
    async with fake_broker(subacks=b"\x87" * 8) as refusing:
        said = await perform(status, setup(refusing), as_json=False, timing=QUICK)
    assert (said.status, said.out) == (1, "")
    assert "ACL" in said.err


async def test_the_process_beside_a_real_gateway(tmp_path: Path) -> None:
    async with mosquitto() as broker, site(tmp_path, broker) as here, ear(broker) as heard:
        config = here.write_config()
        ended, text = await here.finish("status", "--config", config)
        assert (ended, text.splitlines()[0][:14]) == (1, "FAIL  gateway ")
        running = await here.run(config)
        await online(heard)
        await heard.wait_for("nuki2mqtt/gateway/health", lambda health: health["bridges"][0]["reachable"])
        ended, text = await here.finish("status", "--config", config)
        assert ended == 0, text
        assert "front_door (Front door): locked, door closed" in text
        assert await running.stop() == 0
        ended, text = await here.finish("status", "--config", config)
        assert ended == 1
        assert "NOT vouched for" in text


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["status", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "Needs a broker" in text
    assert "example:\n  nuki2mqtt status" in text
    assert "exit statuses:" in text
