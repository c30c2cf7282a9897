"""`nuki2mqtt diagnose`: the report beside a gateway, a stand-in, a silent one, none, and no broker; never a secret."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt import __version__
from nuki2mqtt.faces.cli import run_cli
from nuki2mqtt.faces.diagnose import Heard, diagnose, render_report
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.topics import TopicTree
from tests.adapters.broken_brokers import fake_broker, silent_server
from tests.adapters.brokers import HOST, Listener, Reachable, RunningBroker, listener, mosquitto
from tests.adapters.linked import IMPATIENT, QUICK
from tests.adapters.mosquitto import free_port
from tests.faces.conftest import Perform
from tests.stories.real.household import TOKEN, ear
from tests.stories.real.processes import online, site

TREE = TopicTree("nuki2mqtt", "homeassistant")
REQUEST, RESPONSE = "nuki2mqtt/gateway/request/diagnostics", "nuki2mqtt/gateway/response/diagnostics"
SECRETS = ("s3cret-broker", "s3cret-bridge", "s3cret-web")
SETTINGS = (
    "bridges: [{host: 192.0.2.10, token: s3cret-bridge}]\n"
    "web: {password: s3cret-web}\n"
    "devices: {1A2B3C4D: {topic: front_door}}\n"
)


def setup(broker: Reachable | None, folder: Path = Path("state"), mqtt: str = "") -> Setup:
    port = free_port() if broker is None else broker.port
    protocol = "auto" if broker is None else broker.protocol
    text = f"version: 1\nmqtt: {{host: {HOST}, port: {port}, protocol: {protocol}{mqtt}}}\n{SETTINGS}"
    return Setup(read_settings(text, read_file=lambda name: name), folder)


@asynccontextmanager
async def stand_in(broker: Reachable, *answers: dict[str, Any] | bytes) -> AsyncIterator[Listener]:
    """Says that it is online, and answers the first request with these, `transaction` added where it is asked for."""

    async def answer(speaker: Listener) -> None:
        heard = await speaker.wait_for(lambda message: message.topic == REQUEST)
        assert (heard.qos, heard.retain) == (1, False)
        transaction = json.loads(heard.payload)["transaction"]
        for each in answers:
            body = each if isinstance(each, bytes) else json.dumps({"transaction": transaction, **each}).encode()
            await speaker.publish(RESPONSE, body)

    async with listener(broker, REQUEST) as speaker:
        await speaker.publish("nuki2mqtt/gateway/state", b"online", retain=True)
        await speaker.publish("nuki2mqtt/gateway/info", b'{"version":"9.9.9"}', retain=True)
        await speaker.publish("nuki2mqtt/gateway/health", b"no json", retain=True)
        answering = asyncio.create_task(answer(speaker))
        try:
            yield speaker
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


async def test_what_the_gateway_answers_is_in_it(broker: RunningBroker, perform: Perform, tmp_path: Path) -> None:
    """Answers of others, and what is no answer at all, are passed over."""
    foreign = {"status": "ok", "data": {"bridges": ["another"]}, "transaction": "of somebody else"}
    async with stand_in(broker, b"\xff", foreign, {"status": "ok", "data": {"bridges": []}}) as speaker:
        said = await perform(diagnose, setup(broker, tmp_path), timing=QUICK)
        assert len(speaker.heard) == 1
    assert said.status == 0, said.err
    report = json.loads(said.out)
    assert report["trouble"] is None
    assert report["gateway"] == {
        "state": "online",
        "info": {"version": "9.9.9"},
        "health": None,
        "diagnostics": {"bridges": []},
    }
    assert report["broker"] == {"address": f"{HOST}:{broker.port}", "protocol": "5"}
    assert "look through it" in said.err


async def test_a_refusal_is_told(broker: RunningBroker, perform: Perform) -> None:
    async with stand_in(broker, {"status": "error", "error": "busy: too many\x1b[2J requests wait"}):
        said = await perform(diagnose, setup(broker), timing=QUICK)
    assert said.status == 1
    assert json.loads(said.out)["gateway"]["diagnostics"] is None
    assert "refused it: busy: too many?[2J requests wait" in said.err


async def test_silence_is_told_with_the_next_step(broker: RunningBroker, perform: Perform) -> None:
    async with stand_in(broker):
        said = await perform(diagnose, setup(broker), answer_s=0.3, timing=QUICK)
    assert said.status == 1
    assert f"No answer on {RESPONSE} within 0.3 s. May this user write {REQUEST}" in said.err
    assert json.loads(said.out)["gateway"]["state"] == "online"


async def test_without_a_gateway_the_rest_is_said(broker: RunningBroker, perform: Perform, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(b"12345")
    said = await perform(diagnose, setup(broker, tmp_path), timing=QUICK)
    assert said.status == 1
    assert "No gateway is online on nuki2mqtt at" in said.err
    report = json.loads(said.out)
    assert (report["program"]["version"], report["gateway"]["state"]) == (__version__, None)
    assert report["state"] == {
        "folder": str(tmp_path),
        "trouble": None,
        "alive": False,
        "files": {"state.json": 5},
    }
    assert None not in [report["program"]["packages"][name] for name in ("aiohttp", "aiomqtt", "zeroconf")]


async def test_without_a_broker_the_rest_is_said(perform: Perform, tmp_path: Path) -> None:
    said = await perform(diagnose, setup(None, tmp_path / "none"), timing=QUICK)
    assert said.status == 1
    assert "No connection to the broker: 127.0.0.1:" in said.err
    report = json.loads(said.out)
    assert report["state"]["trouble"] == "No such file or directory"
    assert report["settings"]["devices"]["1A2B3C4D"]["topic"] == "front_door"


async def test_a_broker_that_is_silent_or_refuses(perform: Perform) -> None:
    async with silent_server() as silent:
        said = await perform(diagnose, setup(silent), timing=IMPATIENT)
    assert (said.status, json.loads(said.out)["broker"]["protocol"]) == (1, None)
    assert "does not answer" in said.err
    async with fake_broker(subacks=b"\x87" * 8) as refusing:
        said = await perform(diagnose, setup(refusing), timing=QUICK)
    assert said.status == 1
    assert "ACL" in said.err


async def test_no_secret_is_in_it(perform: Perform, tmp_path: Path) -> None:
    login = ", username: gateway, password: s3cret-broker"
    said = await perform(diagnose, setup(None, tmp_path, login), timing=QUICK)
    assert '"password": "***"' in said.out
    assert not [secret for secret in SECRETS if secret in said.out + said.err]


def test_strange_files_of_the_state_folder_are_only_counted(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    for number in range(60):
        (tmp_path / f"{number:03}").touch()
    report = render_report(setup(None, tmp_path), Heard(), TREE)
    assert len(report["state"]["files"]) == 50
    assert report["gateway"] == {"state": None, "info": None, "health": None, "diagnostics": None}


async def test_the_process_beside_a_real_gateway(tmp_path: Path) -> None:
    async with mosquitto() as broker, site(tmp_path, broker) as here, ear(broker) as heard:
        config = here.write_config()
        running = await here.run(config)
        await online(heard)
        await heard.wait_for("nuki2mqtt/gateway/health", lambda health: health["bridges"][0]["reachable"])
        ended, text = await here.finish("diagnose", "--config", config)
        assert ended == 0, text
        assert '"alive": true' in text
        assert '"commands_under_way": 0' in text
        assert TOKEN not in text
        assert await running.stop() == 0


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["diagnose", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "Needs a broker and a running service" in text
    assert "example:\n  nuki2mqtt diagnose > report.json" in text
    assert "exit statuses:" in text
