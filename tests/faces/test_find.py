"""`nuki2mqtt find`: what was found, what the settings know of it, the next command; and as a process."""

import asyncio
import json
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.adapters.bridge_finder import Search
from nuki2mqtt.faces.cli import make_parser, run_cli
from nuki2mqtt.faces.find import FindOptions, Known, as_json, find, lines
from nuki2mqtt.faces.setup import Setup
from nuki2mqtt.gateway.vocabulary import BridgeMemory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.discovery import DOMAINS, Candidate, How, Tried, Verdict
from nuki2mqtt.protocol.settings import BridgeSettings, Settings
from nuki2mqtt.protocol.settings_reader import read_settings
from tests.adapters.multicast import LOOPBACK, needs_multicast
from tests.faces.conftest import Perform, Site
from tests.faces.test_demo import our, started
from tests.faces.test_simulate import ANY, simulation

ID = NukiId(0x0A1B2C3D)
PAIR = "nuki2mqtt pair --host 192.0.2.10"
MOVED = (
    "in your settings with another address, 192.0.2.99:8080: "
    "if the Nuki app or your router has it at 192.0.2.10, too, set host: 192.0.2.10"
)
MDNS = frozenset({How.MDNS})


def candidate(host: str = "192.0.2.10", **other: Any) -> Candidate:
    return Candidate(host, other.pop("port", 8080), other.pop("bridge_id", ID), other.pop("how", (How.MDNS,)), **other)


def bridge_at(one: Candidate, also: tuple[str, ...] = ()) -> Search:
    return Search((Tried(one, Verdict.BRIDGE, "wants a token (401), as a Bridge does", also),))


def known(*bridges: BridgeSettings, **other: Any) -> Known:
    return Known(bridges, other.get("memory", {}), other.get("addresses", {}))


# --- Lines ----------------------------------------------------------------------------------------------------------


def test_a_bridge_and_the_next_command() -> None:
    one = candidate(how=(How.HOST_NAME, How.MDNS), names=("Nuki_Bridge_0A1B2C3D.local",))
    assert list(lines(MDNS, bridge_at(one, ("[fd00::5]:8080",)), known())) == [
        "Bridge 0A1B2C3D at 192.0.2.10:8080",
        "  found by its host name and mDNS, as Nuki_Bridge_0A1B2C3D.local",
        "  wants a token (401), as a Bridge does",
        "  also at [fd00::5]:8080",
        f"  not in your settings; next: {PAIR}",
    ]


@pytest.mark.parametrize(
    ("one", "first", "last"),
    [
        (candidate(bridge_id=None), "Bridge at 192.0.2.10:8080", PAIR),
        (candidate(port=8081), "Bridge 0A1B2C3D at 192.0.2.10:8081", f"{PAIR} --port 8081"),
        (candidate(bridge_id=None, server_id=ID), "Bridge with server ID 0A1B2C3D at 192.0.2.10:8080", PAIR),
        (candidate("fe80::1%2"), "Bridge 0A1B2C3D at [fe80::1%2]:8080", "nuki2mqtt pair --host fe80::1%2"),
    ],
)
def test_how_it_is_called_and_paired(one: Candidate, first: str, last: str) -> None:
    said = list(lines(MDNS, bridge_at(one), known()))
    assert said[0] == first
    assert said[-1] == f"  not in your settings; next: {last}"
    command = shlex.split(last)
    assert make_parser().parse_args(command[1:]).host == one.host


@pytest.mark.parametrize(
    ("knows", "said"),
    [
        (known(BridgeSettings(host="192.0.2.10")), f"in your settings, without a token; next: {PAIR}"),
        (
            known(BridgeSettings(host="192.0.2.10", token=Secret("abcdef"))),
            "in your settings, with a token: nothing to do",
        ),
        (
            known(BridgeSettings(host="192.0.2.10"), memory={"192.0.2.10:8080": BridgeMemory(token=Secret("abcdef"))}),
            "in your settings, with a token: nothing to do",
        ),
        (
            known(BridgeSettings(host="nuki_bridge_0a1b2c3d.local")),
            "in your settings, without a token; next: nuki2mqtt pair --host nuki_bridge_0a1b2c3d.local",
        ),
        (
            known(BridgeSettings(host="door.example.org"), addresses={"door.example.org": ("192.0.2.10",)}),
            "in your settings, without a token; next: nuki2mqtt pair --host door.example.org",
        ),
        (
            known(BridgeSettings(host="192.0.2.99", port=8081, id=ID)),
            f"{MOVED.replace('99:8080', '99:8081')} and port: 8080",
        ),
        (
            known(BridgeSettings(host="192.0.2.99", id=ID)),
            MOVED,
        ),
        (
            known(BridgeSettings(host="192.0.2.99"), memory={"192.0.2.99:8080": BridgeMemory(bridge_id=ID)}),
            MOVED,
        ),
        (known(BridgeSettings(host="192.0.2.10", port=8081)), f"not in your settings; next: {PAIR}"),
    ],
)
def test_what_the_settings_know_of_it(knows: Known, said: str) -> None:
    one = candidate(names=("Nuki_Bridge_0A1B2C3D.local",))
    assert list(lines(MDNS, bridge_at(one), knows))[-1] == f"  {said}"


def test_what_does_not_answer_is_said_and_what_to_check() -> None:
    tried = (
        Tried(candidate(), Verdict.UNCLEAR, "is busy"),
        Tried(candidate("192.0.2.11"), Verdict.SILENT, "192.0.2.11:8080 refuses the connection"),
        Tried(candidate("192.0.2.12", bridge_id=None), Verdict.OTHER, "is something else"),
    )
    said = list(lines(MDNS, Search(tried), known()))
    assert [line for line in said if not line.startswith("  ")] == [
        "Perhaps Bridge 0A1B2C3D at 192.0.2.10:8080",
        "Bridge 0A1B2C3D does not answer at 192.0.2.11:8080",
        "No Bridge at 192.0.2.12:8080",
        "What to check, in this order:",
    ]
    assert [line for line in said if "pair --host 192" in line] == [f"  not in your settings; next: {PAIR}"]


def test_foreign_text_is_made_harmless() -> None:
    one = candidate(names=("Nuki\x1b[2J_Bridge\n",))
    said = "\n".join(lines(MDNS, bridge_at(one), known()))
    assert "\x1b" not in said
    assert "Nuki?[2J_Bridge?" in said
    assert "\x1b" not in json.dumps(as_json(bridge_at(one), known()), ensure_ascii=False)


@pytest.mark.parametrize("ways", [frozenset(), MDNS, frozenset({How.CLOUD})])
def test_nothing_found_says_what_to_check(ways: frozenset[How]) -> None:
    said = "\n".join(lines(ways, Search(), known()))
    assert ("Nothing was searched" in said) == (not ways)
    assert ("No Bridge was found" in said) == bool(ways)
    assert ("nuki2mqtt find --cloud" in said) == (How.CLOUD not in ways)
    for words in ("Manage my devices > Bridge > HTTP API", "VLAN", "Nuki_Bridge_XXXXXXXX", "pair --host ADDRESS"):
        assert words in said


def test_json() -> None:
    one = candidate(names=("a.local",), server_id=NukiId(7))
    knows = known(BridgeSettings(host="192.0.2.10"))
    [shown] = as_json(bridge_at(one), knows)["found"]
    assert shown == {
        "host": "192.0.2.10",
        "port": 8080,
        "bridge_id": "0A1B2C3D",
        "server_id": "00000007",
        "found_by": ["mdns"],
        "names": ["a.local"],
        "also": [],
        "verdict": "bridge",
        "text": "wants a token (401), as a Bridge does",
        "configured": True,
        "settings": "in your settings, without a token",
        "next": PAIR,
    }


def test_what_does_not_answer_is_not_said_to_be_in_order() -> None:
    knows = known(BridgeSettings(host="192.0.2.10", token=Secret("0123456789")))
    silent = Search((Tried(candidate(), Verdict.SILENT, "does not answer"),))
    [shown] = as_json(silent, knows)["found"]

    assert (shown["configured"], shown["settings"], shown["next"]) == (True, None, None)


def test_who_has_bridges_in_the_settings_is_told_who_asks_them() -> None:
    ways = frozenset({How.MDNS})

    assert "nuki2mqtt check asks them" in "\n".join(lines(ways, Search(), known(BridgeSettings(host="192.0.2.10"))))
    assert "nuki2mqtt check" not in "\n".join(lines(ways, Search(), known()))


# --- The verb -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds", "0"], "is no time to search"),
        (["--seconds", "61"], "is no time to search"),
        (["--interface", "eth0"], "is no address of this computer"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_cli(["find", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_the_defaults_of_the_command_line_are_those_of_the_face() -> None:
    options, face = make_parser().parse_args(["find"]), FindOptions()
    assert (options.cloud, options.seconds, tuple(options.interface), options.json) == (
        face.cloud,
        face.seconds,
        face.at,
        face.as_json,
    )


async def test_with_everything_off_nothing_is_asked(tmp_path: Path, perform: Perform) -> None:
    settings = read_settings("find: {mdns: false, hostnames: false}", read_file=lambda name: name)
    said = await perform(find, Setup(settings, tmp_path), FindOptions())
    assert said.status == 1
    assert said.out.startswith("Nothing was searched: find.mdns is off in your settings")
    assert said.err == ""


async def test_a_bridge_that_has_moved_is_found_by_its_host_name(
    here: Site, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router knows its name; its port is the one of the settings."""
    resolve, asked = socket.getaddrinfo, []

    def router(host: Any, *others: Any, **named: Any) -> Any:
        asked.append(host)
        if host == "Nuki_Bridge_0A1B2C3D.lan":
            return resolve(LOOPBACK, *others, **named)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", router)
    port = here.server.port
    text = f"find: {{mdns: false}}\nbridges: [{{host: 192.0.2.99, port: {port}, id: 0A1B2C3D, token: abcdef}}]"
    setup = Setup(read_settings(text, read_file=lambda name: name), here.folder / "state")
    said = await perform(find, setup, FindOptions())
    assert said.status == 0
    assert said.err == ""
    assert said.out.splitlines() == [
        f"Bridge 0A1B2C3D at {here.link}",
        "  found by its host name, as Nuki_Bridge_0A1B2C3D.lan",
        "  wants a token (401), as a Bridge does",
        "  " + MOVED.replace("99:8080", f"99:{port}").replace("192.0.2.10", LOOPBACK),
    ]
    assert sorted(asked) == sorted(f"Nuki_Bridge_0A1B2C3D{domain}" for domain in DOMAINS)
    assert [(request.path, request.mode) for request in here.bridge.requests] == [("/info", None)]


async def test_mdns_that_is_not_possible_is_a_note(tmp_path: Path, perform: Perform) -> None:
    said = await perform(find, Setup(Settings(), tmp_path), FindOptions(at=("192.0.2.213",)))
    assert said.status == 1
    assert said.err.startswith("note: mDNS is not possible: 192.0.2.213 is not an address of this computer.")
    assert "What to check, in this order:" in said.out


async def test_the_cloud_is_asked_only_if_somebody_wants_it(tmp_path: Path, perform: Perform) -> None:
    asked = 0

    async def cloud(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        body = b'{"bridges": [{"bridgeId": 7, "ip": "0.0.0.0", "port": 0}], "errorCode": 0}'
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(cloud, LOOPBACK, 0) as server:
        url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        for in_settings, by_option, times in [("false", False, 0), ("false", True, 1), ("true", False, 2)]:
            text = f"find: {{mdns: false, hostnames: false, cloud: {in_settings}}}\nnuki_web: {{base_url: '{url}'}}"
            setup = Setup(read_settings(text, read_file=lambda name: name), tmp_path)
            said = await perform(find, setup, FindOptions(cloud=by_option))
            assert (said.status, asked) == (1, times)
            assert ("because discovery is off there" in said.err) == (times > 0)


# --- As a process ---------------------------------------------------------------------------------------------------


@needs_multicast
async def test_it_finds_what_simulate_announces_and_follows_it(tmp_path: Path) -> None:
    search = our("find", "--interface", LOOPBACK, "--seconds", "2", "--set", f"state_dir={tmp_path / 'state'}")
    async with simulation(tmp_path, *ANY, "--announce") as one:
        await one.running.wait_line("is announced by mDNS")
        [bridge] = await one.do("GET", "/bridges")
        async with started(tmp_path, *search) as finding:
            assert await finding.ended(30) == 0, finding.text
        assert f"Bridge {bridge['id']} at 127.0.0.1:{bridge['port']}" in finding.lines
        assert finding.lines[-1] == (f"  not paired; next: nuki2mqtt pair --host 127.0.0.1 --port {bridge['port']}")
        [asked] = await one.do("GET", "/bridges/1/requests")
        assert (asked["path"], asked["query"], asked["token_mode"], asked["status"]) == ("/info", {}, None, 401)

        moved = await one.do("POST", "/bridges/1/address", {"port": 0})
        await one.running.wait_line("is announced by mDNS", moved["url"])
        there = ("--set", f"bridges.0.host={LOOPBACK}", "--set", f"bridges.0.port={bridge['port']}")
        also = ("--set", f"bridges.0.id={bridge['id']}", "--set", "find.hostnames=false", "--json")
        async with started(tmp_path, *search, *there, *also) as finding:
            assert await finding.ended(30) == 0, finding.text
        [found] = json.loads(finding.text)["found"]
        assert f"http://{found['host']}:{found['port']}" == moved["url"]
        assert found["settings"].startswith(f"in your settings with another address, 127.0.0.1:{bridge['port']}")
        assert await one.running.stop() == 0
    assert "Traceback" not in one.running.text
    async with started(tmp_path, *search) as finding:
        assert await finding.ended(30) == 1, finding.text
    assert "What to check, in this order:" in finding.lines


async def test_a_port_that_is_taken_only_warns(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        try:
            taken.bind((LOOPBACK, 5353))
        except OSError:
            pytest.skip("another program has UDP port 5353")
        async with started(tmp_path, *our("find", "--interface", LOOPBACK, "--seconds", "1")) as finding:
            assert await finding.ended(30) == 1, finding.text
    [note] = [line for line in finding.lines if line.startswith("note: ")]
    assert "another program has UDP port 5353 for itself" in note
    assert "Traceback" not in finding.text
