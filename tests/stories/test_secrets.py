"""Secrets never leave: everything is driven with marked secrets, and every output is searched for the marks."""

import argparse
import asyncio
import base64
import hashlib
import html
import itertools
import json
import logging
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nuki2mqtt.adapters.bridge_http import BridgeHttp
from nuki2mqtt.errors import BridgeError, SettingsError
from nuki2mqtt.faces.setup import load
from nuki2mqtt.gateway.callback_lease import masked_url
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import CallbackAddRequest, ListRequest
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.simulator.house import House
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from nuki2mqtt.simulator.token_check import ALL_MODES, TokenCheck
from tests.adapters.mosquitto import mosquitto, needs_mosquitto
from tests.stories.real.household import ear
from tests.stories.real.processes import leased, online, site
from tests.stories.secrets_life import BY_ITS_LOOKS, LOG_S, STEPS, ask_all
from tests.stories.secrets_marks import leaks, told_by
from tests.stories.secrets_misplaced import MARK, NAMES, PLACES, SHAPES, SUFFIXES, VALUES
from tests.stories.secrets_world import (
    ECHOES,
    LINK,
    OTHER_LINK,
    PASSWORD,
    STRANGER,
    STRANGER_LOGIN,
    TOKEN,
    USERNAME,
    EchoBridge,
    MarkedWorld,
)

MARKS = {"mark": MARK}

# --- That the search finds ----------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "quoted": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "quoted twice": lambda text: quote(quote(text, safe=""), safe=""),
    "json": lambda text: json.dumps({"a": text}),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "escaped": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "html": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "quote in html": html.escape,
    "repr": lambda text: repr([text]),
    "bytes": lambda text: repr(text.encode()),
    "hex": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of a login": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "base64 within": lambda text: base64.b64encode(f"u:{text}, and more".encode()).decode(),
    "sha256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "a part of a query": lambda text: urlencode({"a": 1, "token": text}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [MARK, 'a"MARK\\ü/&%', TOKEN])
def test_the_search_finds_a_mark_in_every_form(form: str, secret: str) -> None:
    assert leaks({"it": secret}, [("here", f"before {FORMS[form](secret)} after")])
    assert not leaks({"it": secret}, [("here", f"before {FORMS[form]('somebody else')} after")])


def test_the_search_finds_what_hangs_on_to_an_exception() -> None:
    clean = KeyError("clean")
    assert not leaks(MARKS, told_by(clean))
    clean.__context__ = ValueError(MARK)
    assert leaks(MARKS, told_by(clean))


def test_the_world_has_what_is_searched_for() -> None:
    """Each mark is really under way: Bridges are shown the tokens, slots hold the paths, the file holds all."""
    world = MarkedWorld("plain")
    world.run(LOG_S)
    memory = world.disk.memory
    assert [memory.bridges[link].token for link in (OTHER_LINK,)] == [Secret(world.other.tokens.token)]
    registered = [url or "" for one in (world.bridge, world.other) for url in one.callbacks.slots]
    assert STRANGER in registered
    paths = [text for name, text in world.marks.items() if name.startswith("callback path")]
    assert all(any(path in url for url in registered) for path in paths)
    assert world.other.proofs


# --- A life with marks --------------------------------------------------------------------------------------------


def examples(count: int) -> hypothesis_settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return hypothesis_settings(max_examples=count, deadline=None, suppress_health_check=checks)


@examples(6)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=8), auth=st.sampled_from(["auto", "plain"]))
def test_no_secret_comes_out_whatever_happens(steps: list[str], auth: str) -> None:
    world = MarkedWorld(auth)
    world.run(LOG_S)
    for step in steps:
        STEPS[step](world)
        world.run(LOG_S)
    ask_all(world)
    world.process.stop()
    world.run(LOG_S)
    settings = world.process.gateway._settings
    shown = [("settings", f"{settings!r} {settings} {settings.render_public()}")]
    shown += [("memory", f"{world.disk.memory!r} {world.disk.memory}")]
    assert world.leaks() == []
    assert leaks(world.marks, shown) == []


@pytest.mark.parametrize("name", ECHOES)
def test_what_a_bridge_echoes_stays_here(name: str) -> None:
    found = []
    for auth, status in (("plain", 400), ("auto", 200)):
        world = MarkedWorld(auth)
        world.echo(name, status, "/callback/add")
        world.run(LOG_S)
        world.echo(name, status)
        ask_all(world)
        found += world.leaks()
    assert found == []


# --- What is shown of slots, names and the Bridge's log -----------------------------------------------------------


def test_a_slot_shows_no_url() -> None:
    assert not leaks(MARKS, [("repr", repr(CallbackSlot(0, f"http://192.0.2.5:8321/callback/1234abcd/{MARK}")))])


def test_the_name_at_the_broker_is_public_and_the_password_is_not() -> None:
    """docs/security.md, "MQTT"."""
    world = MarkedWorld()
    world.run(LOG_S)
    ask_all(world)
    assert world.retained("nuki2mqtt/gateway/info")["settings"]["mqtt"]["username"] == USERNAME
    assert leaks({"mqtt.password": PASSWORD}, world.outputs()) == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{MARK}@192.0.2.20/hook",
        f"http://{MARK}@192.0.2.20/hook",
        f"http://me:a@{MARK}@192.0.2.20/hook",
        f"http://192.0.2.20/hook?a={MARK}",
        f"http://192.0.2.20/hook;a={MARK}",
        f"http://192.0.2.20/hook#{MARK}",
        f"http://192.0.2.20/callback/a/{MARK}",
        f"http://192.0.2.20/a/{MARK * 2}/b",
        f"HTTP://me:{MARK}@[2001:db8::1]:80/",
        f"me:{MARK}@192.0.2.20/hook",
        f"http:/me:{MARK}@192.0.2.20/hook",
        f"http:me:{MARK}@192.0.2.20/hook",
        f"192.0.2.20/hook?a={MARK}",
        f"http://me:a/{MARK}@a/hook",
        f"http://192.0.2.20/callback/a/{MARK}/b",
        f"http://192.0.2.20/Callback/{MARK}/b/c",
        f"http://me/callback/{MARK}@a/{MARK}",
        f"{MARK}://192.0.2.20/hook",
        f"/hook?{MARK}=http://192.0.2.20/hook",
    ],
)
def test_no_login_and_no_secret_of_a_strangers_slot_is_shown(url: str) -> None:
    assert not leaks(MARKS, [("shown", masked_url(url))])


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "HTTP-Log", "token": MARK},
        {"type": "HTTP-Log", "Url": f"/list?token={MARK}"},
        {"type": "HTTP-Log", "nonce": MARK, "hash": MARK},
        {"type": "HTTP-Log", "ctoken": MARK},
        {"type": "HTTP-Log", "path": f"/list?token={MARK}"},
        {"type": "HTTP-Log", "path": f"/hook?key={MARK}"},
        {"type": "HTTP-Log", "request": f"GET /callback/add?url=http://192.0.2.5/callback/a/{MARK}"},
        {"type": "HTTP-Log", "to": f"http://192.0.2.5/callback/a/{MARK}"},
        {"type": "HTTP-Log", "to": f"http://me:{MARK}{'x' * 80}@192.0.2.5/hook"},
        {"type": "HTTP-Log", "params": {"token": MARK}},
        {"type": "HTTP-Log", "params": [{"a": {"Password": f'"{MARK}"'}}]},
        {"type": "HTTP-Log", f"token={MARK}": 1},
        {"type": f"GET /list?token={MARK[:10]}"},
        {"type": f"http://me:{MARK}{'x' * 80}@192.0.2.5/hook"},
        {"type": "HTTP-Log", "text": f"{TOKEN} is not valid"},
        {"type": f"no {TOKEN}"},
    ],
)
def test_the_log_of_a_bridge_is_shown_without_secrets(entry: Mapping[str, Any]) -> None:
    world = MarkedWorld()
    world.run(LOG_S)
    with world.bridge.faults.garbage("/log", json.dumps([entry]).encode()):
        world.request("bridge_log", {"bridge": LINK})
        world.run(LOG_S)
    assert world.responses("bridge_log")[-1]["status"] == "ok"
    said = [(message.topic, message.payload) for message in world.broker.log]
    assert leaks({"mark": MARK[:10], "token": TOKEN}, said) == []


# --- Over a real connection: exceptions, and what libraries log ---------------------------------------------------


class Records(logging.Handler):
    """Every record as it is, before anything is cleared from it."""

    def __init__(self) -> None:
        super().__init__(0)
        self.said: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.msg!r} {record.args!r} {record.getMessage()}"
        self.said.append((record.name, f"{text} {logging.Formatter().format(record)}"))


@pytest.fixture
def records() -> Any:
    handler, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.mark.parametrize("name", BY_ITS_LOOKS)
async def test_no_exception_and_no_record_of_a_request_holds_what_was_sent(name: str, records: Records) -> None:
    bridge = EchoBridge(House(now=0.0), hardware_id=1, server_id=1, token=TOKEN)
    requests = (ListRequest(), CallbackAddRequest(Secret(f"http://192.0.2.5:8321/callback/1234abcd/{MARK}")))
    told: list[tuple[str, str]] = []
    async with SimulatedBridgeServer(bridge) as server, BridgeHttp() as http:
        for status in (200, 400, 401, 503):
            for request in requests:
                bridge.echo, bridge.echo_status = ECHOES[name], status
                for fault in (None, bridge.faults.reset_connections()):
                    if fault is not None:
                        bridge.echo = None
                        fault.begin()
                    try:
                        answer = await http.send(server.host, server.port, request, {"token": TOKEN})
                        told.append(("answer", repr(answer)))
                    except BridgeError as error:
                        told += told_by(error)
                    if fault is not None:
                        fault.end()
    assert len(told) >= 16
    assert leaks({**MARKS, "token": TOKEN}, [*told, *records.said]) == []


# --- The command line in processes ---------------------------------------------------------------------------------

VERB_LINES: tuple[tuple[str, ...], ...] = (
    ("check",),
    ("status", "--json"),
    ("act", "front_door", "lock"),
    ("act", "nobody", "lock"),
    ("health",),
)


@needs_mosquitto
async def test_nothing_that_processes_print_publish_or_leave_holds_a_secret(tmp_path: Path) -> None:
    """With the right settings, then with a wrong password, then with settings that cannot be used."""
    login = {"username": USERNAME, "password": MARK}
    path_mark = "cbMARK"
    async with mosquitto(users={USERNAME: MARK}) as broker, site(tmp_path, broker) as here:
        here.bridge.tokens = TokenCheck(TOKEN, ALL_MODES)
        here.bridge.callbacks.add(STRANGER)
        (tmp_path / "password").write_text(f"{MARK}\n", encoding="utf-8")
        right = here.write_config(
            bridge=f"token: {TOKEN}",
            mqtt=f"username: {USERNAME}, password_file: {tmp_path / 'password'}",
            extra="log: {level: debug}\n",
        )
        wrong = here.write_config(
            "wrong.yaml", bridge=f"token: {TOKEN}x", mqtt=f"username: {USERNAME}, password: {MARK}x"
        )
        broken = here.write_config(
            "broken.yaml", bridge=f"token: {{a: {TOKEN}}}, tokn: {MARK}", mqtt="password_file: /nonexistent"
        )
        async with ear(broker, "#", **login) as heard:
            running = await here.run(right)
            await online(heard)
            await leased(heard)
            ended = await asyncio.gather(*(here.finish(*verb, "--config", right) for verb in VERB_LINES))
            printed = [("a verb", text) for _, text in ended]
            watching = await here.start("watch", "--config", right)
            await watching.wait_line("gateway/info")
            watching.send(signal.SIGINT)
            await watching.ended()
            assert await running.stop() == 0
            printed += [("run", running.text), ("watch", watching.text)]
            said = [(topic, payload) for topic, payload in heard.raw if topic.startswith("nuki2mqtt")]
        pairing = ("pair", "--host", "127.0.0.1", "--port", "1")
        lines = [(*verb, "--config", str(wrong)) for verb in (("check",), ("status",), pairing)]
        lines += [(*verb, "--config", str(broken)) for verb in (("run",), ("check",), ("health",), pairing)]
        ended = await asyncio.gather(*(here.finish(*line) for line in lines))
        assert [status for status, _ in ended] == [1, 1, 1, 78, 78, 1, 78]
        printed += [(line[0], text) for line, (_, text) in zip(lines, ended, strict=True)]
        secret = json.loads((here.state_dir / "state.json").read_text(encoding="utf-8"))["callback_secret"]
        marks = {**MARKS, "token": TOKEN, "login": STRANGER_LOGIN, path_mark: secret}
        for url in here.own_slots:
            marks["callback path"] = url.rpartition("/")[2][:12]
        private = {"state.json", "state.json.bak", "pairing.json"}
        left = [(file.name, file.read_bytes()) for file in here.state_dir.iterdir() if file.name not in private]
        clients = [("client id", line.split(" as ")[-1].split()[0]) for line in broker.log if " as nuki2mqtt" in line]
        assert clients
        assert len(said) > 10
        assert leaks(marks, [*printed, *said, *left, *clients]) == []


def test_a_set_without_a_value_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("version: 1\n", encoding="utf-8")
    options = argparse.Namespace(config=str(tmp_path / "config.yaml"), set=[f"mqtt.password:{MARK}"])
    with pytest.raises(SettingsError) as caught:
        load(options)
    assert leaks(MARKS, told_by(caught.value)) == []


# --- Settings: secrets in wrong places ----------------------------------------------------------------------------


def shown_of(text: str | None, **given_outside: Any) -> list[tuple[str, str]]:
    """What these settings show, or the error about them."""
    try:
        found = read_settings(text, read_file=_no_file, **given_outside)
    except SettingsError as error:
        return [*told_by(error), *(("problem", repr(problem)) for problem in error.problems)]
    return [("settings", f"{found!r} {found} {found.warnings} {found.render_public()['bridges']}")]


def _no_file(_: str) -> str:
    raise FileNotFoundError(2, "No such file or directory")


@pytest.mark.parametrize("place", PLACES)
def test_no_error_about_settings_repeats_what_may_be_a_secret(place: str) -> None:
    texts = [place.format(shape) for shape in SHAPES]
    shown = [
        each
        for text in texts
        for around in ("{}", "bridgs: 1\n{}", "{}mqtt: 1\n  x")
        for each in shown_of(around.format(text))
    ]
    assert leaks(MARKS, shown) == []


@pytest.mark.parametrize(
    "text",
    [
        f"mqtt: {{password: {{{MARK}: 1, {MARK}: 2}}}}",
        f"mqtt: {{password: [{{a: {{{MARK}: 1, {MARK}: 2}}}}]}}",
        f"bridges: [{{host: a, token: {{{MARK}: {{a: 1, a: 2}}}}}}]",
        f"bridges: [{{host: a, token: {{a: {{{MARK}: 1, {MARK}: 2}}}}}}]",
        f"bridges: [{{host: a, auth: {MARK}}}]",
    ],
)
def test_no_error_repeats_what_stands_below_a_secret_or_beside_one(text: str) -> None:
    assert leaks(MARKS, shown_of(text)) == []


def test_an_unknown_key_is_repeated_so_that_its_writer_finds_it() -> None:
    """Also where somebody wrote a secret before the colon and its name behind it."""
    assert leaks(MARKS, shown_of(f"mqtt: {{{MARK}: password}}"))


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_hangs_on_to_an_error_about_settings(shape: str) -> None:
    """PyYAML's errors show a piece of the file; also a suppressed one can be printed by a tool."""
    with pytest.raises(SettingsError) as caught:
        read_settings(f"mqtt: {{password: {shape}, tls: 1}}\n{shape}", read_file=_no_file)
    hanging: BaseException | None = caught.value
    while hanging is not None:
        assert leaks(MARKS, told_by(hanging)) == []
        hanging = hanging.__cause__ or hanging.__context__


def test_nothing_hangs_on_to_an_error_about_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(f"mqtt: {{password: {MARK}\xff}}".encode("latin-1"))
    with pytest.raises(SettingsError) as caught:
        load(argparse.Namespace(config=str(tmp_path / "config.yaml"), set=[]))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("name", NAMES)
def test_no_error_about_a_variable_repeats_its_value(name: str) -> None:
    for suffix, value in itertools.product(SUFFIXES, VALUES):
        environ = {f"NUKI2MQTT_{name}{suffix}": value, "NUKI2MQTT_BRIDGES__0__HOST": "192.0.2.10"}
        overrides = {f"{name}{suffix}".lower().replace("__", "."): value}
        assert leaks(MARKS, [*shown_of(None, environ=environ), *shown_of(None, overrides=overrides)]) == []
