"""`nuki2mqtt simulate` as a user runs it: its lines, the gateway that they start, its control API, its end."""

import json
import re
import shlex
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from nuki2mqtt.faces.cli import make_parser, run_cli
from nuki2mqtt.faces.simulate import SimulateOptions, describe, settings
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.settings_words import AuthSetting
from nuki2mqtt.simulator.estate import BridgePlan, Estate
from tests.adapters.brokers import HOST, Reachable, listener
from tests.faces.test_demo import our, started
from tests.faces.test_run_embedded import Place
from tests.stories.real.household import free_port
from tests.stories.real.processes import REPO, Running, interruptible

README = (REPO / "README.md").read_text(encoding="utf-8")
ANY = ("--port", "0", "--control-port", "0")


@dataclass
class Simulation:
    """A running simulation and what it printed."""

    running: Running
    control: str

    async def do(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.control + path, json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def printed(self, *words: str) -> str:
        [line] = [line for line in self.running.lines if all(word in line for word in words)]
        return line


@asynccontextmanager
async def simulation(folder: Path, *options: str) -> AsyncIterator[Simulation]:
    with interruptible():
        async with started(folder, *our("simulate", *options)) as running:
            await running.wait_line("Ctrl-C ends the simulation")
            line = await running.wait_line("The house is controlled at")
            found = re.search(r"http://\S+:\d+", line)
            assert found is not None
            yield Simulation(running, found[0])


# --- As a user runs it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_what_it_prints_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    async with simulation(tmp_path, *ANY, "--family", "v1:1.11.0", "--family", "software") as one:
        first, second = await one.do("GET", "/bridges")
        assert one.printed("v1 Bridge, firmware 1.11.0") == (
            f"Bridge {first['id']} (v1 Bridge, firmware 1.11.0) at {first['url']}"
        )
        assert one.printed("software") == f"Bridge {second['id']} (software Bridge, app 1.4.6) at {second['url']}"
        assert f"  token {first['token']} (plain)" in one.running.lines
        assert "  1A2B0101  type 4  Front door" in one.running.lines
        async with (
            aiohttp.ClientSession() as session,
            session.get(first["url"] + "/info", params={"token": first["token"]}) as answer,
        ):
            assert (await answer.json())["versions"]["firmwareVersion"] == "1.11.0"
        one.running.send(number)
        one.running.send(number)
        assert await one.running.ended() == 0
    assert one.running.lines[-1] == "The simulation has ended."
    assert "Traceback" not in one.running.text


async def test_the_printed_curl_turns_the_lock(tmp_path: Path) -> None:
    async with simulation(tmp_path, *ANY) as one:
        command = shlex.split(one.printed("curl -X POST"))
        assert command[:4] == ["curl", "-X", "POST", "-d"]
        path = command[5].removeprefix(one.control)
        assert await one.do("POST", path, json.loads(command[4])) == {"state": 3, "state_name": "unlocked"}
        path = shlex.split(one.printed("/bridges/1/requests"))[1].removeprefix(one.control)
        assert await one.do("GET", path) == []
        assert await one.running.stop() == 0


@asynccontextmanager
async def gateway(folder: Path, command: list[str], mqtt_port: int) -> AsyncIterator[Running]:
    """The gateway of a printed command, on ports that are free."""
    assert command[1] == "run"
    options = [*command[2:], "--set", f"mqtt.port={mqtt_port}", "--set", f"callback.port={free_port()}"]
    options = [f"state_dir={folder / 'state'}" if part == "state_dir=simulated-state" else part for part in options]
    async with started(folder, *our("run", "--config", str(folder / "none.yaml"), *options)) as running:
        yield running


async def test_the_printed_gateway_follows_and_acts(tmp_path: Path) -> None:
    (tmp_path / "none.yaml").touch()
    place = cast("Reachable", Place(HOST, free_port()))
    families = ("--family", "v2", "--family", "v1:1.11.0", "--family", "software")
    async with simulation(tmp_path, *ANY, *families, "--speed", "10") as one:
        command = shlex.split(one.printed(" run --set mqtt.embedded=true"))
        async with gateway(tmp_path, command, place.port) as running:
            await running.wait_line("The embedded broker listens at")
            async with listener(place, "nuki2mqtt/#") as ear:
                for topic in ("front_door", "back_door", "intercom", "flat_2", "flat_3"):
                    await ear.wait_for(_says(f"nuki2mqtt/{topic}/availability", b"online"))
                await ear.wait_for(
                    lambda heard: heard.topic.endswith("/health") and heard.payload.count(b'"held"') == 3
                )
                await one.do("POST", "/devices/1A2B0101/turn", {"state": "unlocked"})
                await ear.wait_for(_says("nuki2mqtt/front_door", b'"lock":"UNLOCKED"', b'"source":"callback"'))
                act = our("act", "flat_2", "unlock", "--set", f"mqtt.port={place.port}", "--set", "mqtt.protocol=3.1.1")
                assert await _acted(tmp_path, act) == 0
            assert await running.stop() == 0
        orders = [each for each in await one.do("GET", "/bridges/2/requests") if each["path"] == "/lockAction"]
        assert [(each["status"], each["token_mode"], each["query"]["action"]) for each in orders] == [
            (200, "plain", "1")
        ]
        modes = [{each["token_mode"] for each in await one.do("GET", f"/bridges/{n}/requests")} for n in (1, 2, 3)]
        assert modes == [{"encrypted"}, {"plain"}, {"plain"}]
        assert await one.running.stop() == 0


async def _acted(folder: Path, act: tuple[str, ...]) -> int:
    """The exit status of `act`, tried again while the gateway says that it is starting."""
    for _ in range(10):
        async with started(folder, *act) as acting:
            status = await acting.ended(30)
            if "Give it again in some seconds" not in acting.text:
                assert status == 0, acting.text
                return status
    raise AssertionError("the gateway starts for ever")


def _says(topic: str, *words: bytes) -> Callable[[Any], bool]:
    return lambda heard: heard.topic == topic and all(word in heard.payload for word in words)


async def test_pair_gets_the_token_by_the_button(tmp_path: Path) -> None:
    async with simulation(tmp_path, *ANY) as one:
        [bridge] = await one.do("GET", "/bridges")
        there = ("--host", "127.0.0.1", "--port", str(bridge["port"]))
        async with started(tmp_path, *our("pair", *there, "--set", f"state_dir={tmp_path / 'state'}")) as pairing:
            await pairing.wait_line("Press the button")
            await one.do("POST", "/bridges/1/button")
            assert await pairing.ended() == 0, pairing.text
        assert bridge["token"] in (tmp_path / "state" / "pairing.json").read_text()
        assert await one.running.stop() == 0


async def test_the_cloud_serves_what_is_printed(tmp_path: Path) -> None:
    async with simulation(tmp_path, *ANY, "--cloud", "--cloud-port", "0") as one:
        cloud = await one.do("GET", "/cloud")
        assert one.printed("Nuki Web API") == f"Cloud (Nuki Web API) at {cloud['url']}"
        assert f"  token {cloud['token']}" in one.running.lines
        headers = {"Authorization": f"Bearer {cloud['token']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(cloud["url"] + "/smartlock") as answer,
        ):
            listed = await answer.json()
        assert [(each["name"], each["type"]) for each in listed][-2:] == [("Terrace", 4), ("Studio", 5)]
        assert one.printed("Studio") == f"  1A2B0002  smartlockId {listed[-1]['smartlockId']}  Studio"
        assert await one.running.stop() == 0


async def test_people_come_and_go(tmp_path: Path) -> None:
    async with simulation(tmp_path, *ANY, "--live", "--speed", "50") as one:
        await one.running.wait_line("* somebody")
        assert await one.running.stop() == 0


async def test_the_two_terminals_of_the_readme(tmp_path: Path) -> None:
    """The commands as they are printed there, on other ports: 8080 may be taken here."""
    section = README.split("## Without hardware: two terminals")[1].split("\n## ")[0]
    serving, running = (
        shlex.split(block.replace("\\\n", " ")) for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    )
    assert serving[:2] == [".venv/bin/nuki2mqtt", "simulate"]
    place, port = cast("Reachable", Place(HOST, free_port())), free_port()
    assert "bridges.0.port=8080" in running
    command = [part.replace("8080", str(port)) for part in running]
    (tmp_path / "none.yaml").touch()
    options = (*serving[2:], "--port", str(port), "--control-port", "0")
    async with simulation(tmp_path, *options) as one, gateway(tmp_path, command, place.port) as service:
        await service.wait_line("The embedded broker listens at")
        async with listener(place, "nuki2mqtt/#") as ear:
            await ear.wait_for(_says("nuki2mqtt/front_door/availability", b"online"))
        assert await service.stop() == 0
        assert await one.running.stop() == 0


# --- Lines and options --------------------------------------------------------------------------------------------


async def test_the_settings_name_all_bridges() -> None:
    plans = [BridgePlan(), BridgePlan.parse("software")]
    async with Estate(plans, host="0.0.0.0") as estate:
        options = [option for option in " ".join(settings(estate)).split() if option != "--set"]
        read = read_settings("", overrides=dict(option.split("=") for option in options), read_file=lambda name: name)
        assert [bridge.port for bridge in read.bridges] == [one.server.port for one in estate.bridges]
        assert [bridge.host for bridge in read.bridges] == ["127.0.0.1", "127.0.0.1"]
        assert [bridge.auth for bridge in read.bridges] == [AuthSetting.AUTO, AuthSetting.PLAIN]
        assert [bridge.token is not None for bridge in read.bridges] == [True, True]


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
async def test_the_settings_name_the_cloud(host: str, shown: str) -> None:
    async with Estate([BridgePlan()], host=host, cloud_port=0) as estate:
        assert estate.cloud is not None
        options = [option for option in " ".join(settings(estate)).split() if option != "--set"]
        read = read_settings("", overrides=dict(option.split("=") for option in options), read_file=lambda name: name)
        assert read.nuki_web.base_url == f"http://{shown}:{estate.cloud.server.port}"
        assert read.nuki_web.token is not None
        assert read.nuki_web.token.reveal() == estate.cloud.token
        assert read.nuki_web.keypad.manage
        assert any(" run " in line and estate.cloud.token in line for line in describe(estate, "http://127.0.0.1:1"))


async def test_the_same_seed_gives_the_same_tokens() -> None:
    def tokens(seed: int) -> list[str]:
        estate = Estate([BridgePlan(), BridgePlan()], seed=seed)
        return [one.bridge.tokens.token for one in estate.bridges]

    assert tokens(4) == tokens(4)
    assert not set(tokens(4)) & set(tokens(5))
    assert f"bridges.0.token={tokens(4)[0]}" in README


@pytest.mark.parametrize(
    ("count", "families", "made"),
    [
        (1, ("v2",), "v2"),
        (3, ("v1",), "v1 v1 v1"),
        (3, ("v2", "software"), "v2 software v2"),
        (1, ("v1", "v2"), "v1 v2"),
    ],
)
def test_families_repeat_until_there_are_enough_bridges(count: int, families: tuple[str, ...], made: str) -> None:
    options = SimulateOptions(bridges=count, plans=tuple(map(BridgePlan.parse, families)))
    assert " ".join(plan.family for plan in options.all_plans()) == made


def test_the_defaults_of_the_command_line_are_those_of_the_face() -> None:
    options, face = make_parser().parse_args(["simulate"]), SimulateOptions()
    ports = ("port", "control_port", "cloud_port")
    same = ("bridges", "bind", "control_bind", "speed", "seed", "live", "announce", "cloud", *ports)
    assert {key: getattr(options, key) for key in same} == {key: getattr(face, key) for key in same}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--family", "v3"], "v3 is no family of Bridges: v1, v2, software"),
        (["--family", "v2:1.0.0"], "1.0.0 is no firmware of a v2 Bridge"),
        (["--bridges", "0"], "is no number of Bridges"),
        (["--bridges", "33"], "is no number of Bridges"),
        (["--port", "65536"], "is no port"),
        (["--speed", "0"], "is no speed"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["simulate", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run_cli(["simulate", "--port", "0", "--control-port", port]) == 1
        assert run_cli(["simulate", "--port", port, "--control-port", "0"]) == 1
        assert run_cli(["simulate", "--port", "0", "--control-port", "0", "--cloud", "--cloud-port", port]) == 1
    said = capsys.readouterr()
    assert said.err.count("Nothing can be served: ") == 3
    assert said.err.count(f"the cloud at --cloud-port {port}, control at") == 1
    assert said.out == ""


async def test_a_house_without_a_lock_has_no_lock_to_turn() -> None:
    async with Estate([]) as estate:
        assert not any("/turn" in line for line in describe(estate, "http://127.0.0.1:1"))
