"""`nuki2mqtt watch`: one readable line per message."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.faces.watch import _watch, describe
from nuki2mqtt.gateway.vocabulary import MqttReceived
from nuki2mqtt.protocol.topics import TopicTree
from tests.adapters.brokers import RunningBroker, listener
from tests.faces.conftest import Site
from tests.stories.real.processes import REPO

TREE = TopicTree("nuki2mqtt", "homeassistant")
LOCK: dict[str, Any] = {
    "state": "unlocked",
    "lock": "UNLOCKED",
    "door": "open",
    "battery": {"level": 85},
    "source": "callback",
    "seen": "2026-11-21T20:15:03Z",
    "stale": False,
}
OPENER: dict[str, Any] = {
    "state": "online",
    "lock": "UNLOCKED",
    "ring_to_open": True,
    "continuous_mode": True,
    "battery": {"critical": False},
    "source": "list",
    "seen": "2026-11-21T20:15:03Z",
    "stale": True,
}

RESULT: dict[str, Any] = {
    "transaction": None,
    "action": "unlock",
    "reason": None,
    "evidence": None,
    "may_have_acted": False,
    "state": "locked",
    "duration_s": 3.2,
    "age_s": 0.2,
}


def line(topic: str, payload: Any, *, retained: bool = False) -> str:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return describe(TREE, MqttReceived(topic, body, retained=retained))


@pytest.mark.parametrize("status", [{}, [], {"a": []}, None, 1])
def test_a_result_of_odd_types_is_a_line_like_any_other(status: Any) -> None:
    said = line("nuki2mqtt/front_door/result", {"action": None, "status": status, "may_have_acted": True})

    assert f"None {status}, may have acted, state None" in said


@pytest.mark.parametrize(
    ("topic", "payload", "wanted"),
    [
        (
            "nuki2mqtt/front_door",
            LOCK,
            "front_door                   unlocked, door open, battery 85 %, by callback, seen 2026-11-21T20:15:03Z",
        ),
        (
            "nuki2mqtt/intercom",
            OPENER,
            (
                "intercom                     online, ring to open, continuous mode, by list, "
                "seen 2026-11-21T20:15:03Z, STALE"
            ),
        ),
        (
            "nuki2mqtt/front_door",
            {"state": None, "lock": None, "door": None, "source": None, "seen": None, "stale": True},
            "front_door                   None, by None, seen None, STALE",
        ),
        (
            "nuki2mqtt/front_door/event",
            {"event_type": "state_changed", "at": "x", "source": "list", "actor": None, "from": "locked", "to": "open"},
            "front_door/event             state_changed: at=x source=list from=locked to=open",
        ),
        (
            "nuki2mqtt/front_door/result",
            RESULT | {"status": "accepted", "transaction": "a1"},
            "front_door/result            unlock accepted, state locked, transaction a1",
        ),
        (
            "nuki2mqtt/front_door/result",
            RESULT | {"status": "confirmed", "evidence": "target", "state": "unlocked", "may_have_acted": True},
            "front_door/result            unlock confirmed after 3.2 s by target, state unlocked",
        ),
        (
            "nuki2mqtt/front_door/result",
            RESULT | {"status": "refused", "reason": "needs_ts"},
            "front_door/result            unlock refused: needs_ts, state locked",
        ),
        (
            "nuki2mqtt/front_door/result",
            RESULT | {"status": "unconfirmed", "may_have_acted": True},
            "front_door/result            unlock unconfirmed, may have acted, state locked",
        ),
        (
            "nuki2mqtt/front_door/event",
            {"event_type": "attributed", "at": "x", "actor": "Anna", "action": "unlock"},
            "front_door/event             attributed: at=x actor=Anna action=unlock",
        ),
        (
            "nuki2mqtt/front_door/keypad/set",
            {"op": "create", "name": "Anna", "code": "739164"},
            'front_door/keypad/set        {"op": "create", "name": "Anna", "code": "***"}',
        ),
        ("nuki2mqtt/front_door/keypad/set", b"code 739164", "front_door/keypad/set        ***"),
        ("nuki2mqtt/front_door/keypad/set", b"", "front_door/keypad/set        "),
        (
            "nuki2mqtt/front_door/keypad/result",
            {"op": "create", "name": "Anna", "status": "accepted", "phase": "create_pending", "reason": None},
            "front_door/keypad/result     create Anna: accepted, create_pending",
        ),
        (
            "nuki2mqtt/front_door/keypad/result",
            {"op": "create", "name": "Anna", "status": "refused", "phase": "refused", "reason": "code_taken"},
            "front_door/keypad/result     create Anna: refused, refused, code_taken",
        ),
        (
            "nuki2mqtt/front_door/keypad",
            [{"name": "Anna", "phase": "active"}, {"name": "Ben", "phase": "foreign"}],
            "front_door/keypad            Anna active, Ben foreign",
        ),
        ("nuki2mqtt/front_door/keypad", b"[]", "front_door/keypad            no codes"),
        ("nuki2mqtt/gateway/state", b"online", "gateway/state                online"),
        ("nuki2mqtt/gateway/devices", b"[1]", "gateway/devices              [1]"),
        ("nuki2mqtt/front_door", b"", "front_door                   "),
        ("nuki2mqtt/front_door", b"\xff\x00", "front_door                   \N{REPLACEMENT CHARACTER}?"),
        ("other/topic", b"1", "other/topic                  1"),
    ],
)
def test_a_message_is_a_line(topic: str, payload: Any, wanted: str) -> None:
    assert line(topic, payload) == wanted
    assert line(topic, payload, retained=True) == f"{wanted} (retained)"


def test_a_line_cannot_be_forged_and_is_bounded() -> None:
    """Terminal codes and line ends in a payload, a payload without end, JSON that is too deep."""
    assert line("nuki2mqtt/x", b"a\r\nb\x1b[31mc") == "x                            a??b?[31mc"
    assert len(line("nuki2mqtt/x", b"y" * 10_000)) == 29 + 300
    deep = b"[" * 100_000
    assert line("nuki2mqtt/x", deep).startswith("x                            [[[")


def test_a_topic_cannot_forge_a_line() -> None:
    """MQTT 5.0 section 1.5.4 allows control characters in topics."""
    assert "\n" not in line("nuki2mqtt/x\ngateway/state   offline", b"")
    assert "\x1b" not in line("nuki2mqtt/x\x1b[2J", b"")


async def test_what_is_said_is_shown(here: Site, broker: RunningBroker) -> None:
    said: list[str] = []
    heard = asyncio.Event()

    def say(text: str) -> bool:
        said.append(text)
        heard.set()
        return True

    async def until(words: str) -> str:
        async with asyncio.timeout(10):
            while not any(words in text for text in said):
                heard.clear()
                await heard.wait()
        return next(text for text in said if words in text)

    async with listener(broker) as speaker:
        await speaker.publish("nuki2mqtt/gateway/state", b"online", retain=True)
        watching = asyncio.create_task(_watch(here.setup(broker), say))
        try:
            assert (await until("connected")).startswith("connected, MQTT ")
            assert (await until("gateway/state")).endswith("online (retained)")
            await speaker.publish("nuki2mqtt/front_door", json.dumps(LOCK).encode())
            assert (await until("front_door")).endswith("by callback, seen 2026-11-21T20:15:03Z")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def test_it_ends_when_nobody_reads_any_more(here: Site, broker: RunningBroker) -> None:
    """The second line finds nobody."""
    said: list[str] = []

    def say(text: str) -> bool:
        said.append(text)
        return len(said) < 2

    async with listener(broker) as speaker:
        await speaker.publish("nuki2mqtt/gateway/state", b"online", retain=True)
        async with asyncio.timeout(10):
            await _watch(here.setup(broker), say)
    assert len(said) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("redirects", [">/dev/full", ">/dev/full 2>&1", "| head -n 0"])
async def test_the_process_ends_when_nothing_can_be_written(
    broker: RunningBroker, tmp_path: Path, redirects: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"mqtt: {{host: 127.0.0.1, port: {broker.port}, protocol: {broker.protocol}}}\n")
    async with listener(broker) as speaker:
        await speaker.publish("nuki2mqtt/gateway/state", b"online", retain=True)
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", f'{{ "$@"; echo $? >status; }} {redirects}', "sh"),
            *(sys.executable, "-m", "nuki2mqtt", "watch", "--config", str(config)),
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin"},
        )
        async with asyncio.timeout(20):
            _, trouble = await process.communicate()
    assert trouble == b""
    assert (tmp_path / "status").read_text() == "0\n"
