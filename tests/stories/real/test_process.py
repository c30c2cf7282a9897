"""The real process, killed, stopped and started again, beside a real mosquitto and a simulated Bridge."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nuki2mqtt.simulator.house import SimulatedLock
from tests.adapters.mosquitto import mosquitto, needs_mosquitto
from tests.stories.real.household import Ear, ear, kept
from tests.stories.real.processes import FOREIGN, REPO, Site, leased, online, site, until

pytestmark = needs_mosquitto

STATE, HEALTH, INFO = (f"nuki2mqtt/gateway/{name}" for name in ("state", "health", "info"))
DOOR, AVAILABILITY = "nuki2mqtt/front_door", "nuki2mqtt/front_door/availability"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site with a broker of its own."""
    async with mosquitto() as broker, site(tmp_path, broker) as one:
        yield one


def is_stale(snapshot: dict[str, Any]) -> bool:
    return snapshot["stale"] is True


def is_fresh(snapshot: dict[str, Any]) -> bool:
    return snapshot["stale"] is False


# --- Its life -----------------------------------------------------------------------------------------------------


async def test_a_kill_leaves_the_last_will_and_a_restart_vouches_for_nothing_unseen(here: Site) -> None:
    async with ear(here.broker) as heard:
        first = await here.run()
        await online(heard)
        told = await heard.wait_for(DOOR)
        assert told.retain
        assert (told.payload["lock"], told.payload["door"], told.payload["stale"]) == ("LOCKED", "closed", False)

        await first.kill()
        will = await heard.wait_for(STATE, lambda said: said == "offline")
        assert will.retain

        with here.bridge.faults.refuse_connections():
            mark = len(heard.heard)
            second = await here.run()
            await heard.wait_for(STATE, lambda said: said == "online", since=mark)
            await heard.wait_for(HEALTH, lambda said: said["bridges"][0]["problem"] is not None, since=mark)
            await heard.barrier()
            assert heard.said(AVAILABILITY, mark) == ["offline"]
            assert [(said["stale"], said["lock"]) for said in heard.said(DOOR, mark)] == [(True, "LOCKED")]
            # Whoever comes now finds nothing that looks fresh.
            found = await kept(here.broker)
            assert (found[AVAILABILITY], found[DOOR]["stale"]) == ("offline", True)
            # The devices were told as stale before the gateway said that it is there.
            order = [said.topic for said in heard.heard[mark:] if said.topic in {STATE, DOOR, AVAILABILITY}]
            assert order == [DOOR, AVAILABILITY, STATE]
        await heard.wait_for(AVAILABILITY, lambda said: said == "online", since=mark)
        assert await second.stop() == 0


async def test_five_kills_leave_one_callback_slot(here: Site) -> None:
    """Killed before it asks, while it registers and after it has; a stranger's slot stays as it is."""
    here.bridge.callbacks.add(FOREIGN)
    config = here.write_config()
    async with ear(here.broker) as heard:
        for moment in ("looking", "held", "speaking", "held", "looking"):
            mark, asked = len(heard.heard), here.asked("/callback/list")
            running = await here.run(config)
            match moment:
                case "held":
                    await leased(heard, since=mark)
                case "speaking":
                    await heard.wait_for(STATE, lambda said: said == "online", since=mark)
                case _:
                    await until(lambda asked=asked: here.asked("/callback/list") > asked, "a look")  # type: ignore[misc]
            await running.kill()
        mark = len(heard.heard)
        last = await here.run(config)
        await leased(heard, since=mark)
        assert len(here.own_slots) == 1
        assert here.bridge.callbacks.slots[0] == FOREIGN
        shown = await heard.wait_for(
            "nuki2mqtt/bridge/0A1B2C3D", lambda said: [slot["own"] for slot in said["callbacks"] or ()] == [False, True]
        )
        assert shown.payload["callbacks"][0] == {"id": 0, "address": "192.0.2.77:8080", "own": False}
        assert await last.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_takes_leave(here: Site, number: signal.Signals) -> None:
    here.bridge.callbacks.add(FOREIGN)
    async with ear(here.broker) as heard:
        running = await here.run()
        await online(heard)
        await leased(heard)
        assert len(here.own_slots) == 1
        mark = len(heard.heard)
        running.send(number)
        assert await running.ended() == 0
        await heard.barrier()
        assert here.own_slots == []
        assert here.bridge.callbacks.slots[0] == FOREIGN
        assert heard.said(AVAILABILITY, mark) == ["offline"]
        assert [(said["stale"], said["lock"]) for said in heard.said(DOOR, mark)] == [(True, "LOCKED")]
        assert heard.said("nuki2mqtt/bridge/0A1B2C3D/availability", mark) == ["offline"]
        assert heard.said(STATE, mark) == ["offline"]  # once: no last will after it
        assert heard.heard[-1].topic == STATE
        found = await kept(here.broker)
        assert (found[STATE], found[AVAILABILITY], found[DOOR]["stale"]) == ("offline", "offline", True)


async def test_a_second_process_on_the_same_state_folder_ends(here: Site) -> None:
    config = here.write_config()
    async with ear(here.broker) as heard:
        first = await here.run(config)
        await online(heard)
        status, text = await here.finish("run", "--config", config)
        assert status == 75
        assert f"pid {first.pid}" in text
        assert "state_dir" in text
        await heard.barrier()
        assert heard.said(STATE) == ["online"]
        assert await first.stop() == 0


async def test_mistakes_in_the_settings_are_all_told(here: Site) -> None:
    config = here.folder / "config.yaml"
    config.write_text("version: 1\nmqtt: {prot: 1883, port: 70000}\npoll: {list_s: soon}\nlog: {level: loud}\n")
    status, text = await here.finish("run", "--config", config)
    assert status == 78
    assert text.splitlines() == [
        "config.yaml:2:8: mqtt.prot: unknown key; did you mean mqtt.port?",
        "config.yaml:2:26: mqtt.port: 70000 is out of bounds; use 1 to 65535",
        "config.yaml:3:16: poll.list_s: must be a number of seconds from 1 to 3600, written without a unit",
        "config.yaml:4:14: log.level: unknown word loud; use debug, info, warning or error",
    ]


async def test_a_stop_ends_in_time_though_nobody_answers(here: Site) -> None:
    """A Bridge and a broker that have fallen silent with their connections open; container engines kill after 10 s."""
    async with ear(here.broker) as heard:
        running = await here.run()
        await online(heard)
        await leased(heard)
    with here.bridge.faults.silent():
        here.broker.pause()
        try:
            begun = time.monotonic()
            assert await running.stop() == 0
            assert time.monotonic() - begun < 9.5
        finally:
            here.broker.resume()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_stop_ends_in_time_though_the_broker_never_spoke(here: Site, tls: bool) -> None:  # noqa: FBT001
    """Something takes the connection and says nothing, as a broker on a frozen computer does."""
    reached = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        reached.set()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        config = here.write_config(extra=f"# {port}\n")
        text = config.read_text().replace(
            f"port: {here.broker.port}", f"port: {port}, tls: {{enabled: {str(tls).lower()}}}"
        )
        config.write_text(text)
        running = await here.run(config)
        async with asyncio.timeout(10):
            await reached.wait()
        begun = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - begun < 9.5
        for writer in writers:
            writer.close()


# --- Two gateways -------------------------------------------------------------------------------------------------


class Pair:
    """Two services of two state folders on one base topic; the Bridge knows them apart by the way they sign."""

    def __init__(self, here: Site) -> None:
        self.here = here
        self.configs = {
            "encrypted": here.write_config(
                "a.yaml", bridge="token: abcdef, auth: encrypted", poll="min_gap_s: 0, list_s: 1"
            ),
            "hashed": here.write_config(
                "b.yaml",
                bridge="token: abcdef, auth: hashed",
                poll="min_gap_s: 0, list_s: 1",
                callback_port=here.callback_port + 1,
                state_dir=here.folder / "other",
            ),
        }

    def asked_by(self, name: str) -> int:
        return sum(request.mode == name for request in self.here.bridge.requests)

    async def keeps_silent(self, heard: Ear, first: str, second: str, since: int) -> None:
        """While the first goes on asking, the second says and asks nothing."""
        asked, asked_by_silent = self.asked_by(first), self.asked_by(second)
        await until(lambda: self.asked_by(first) >= asked + 3, "three more questions of the first")
        await heard.barrier()
        assert self.asked_by(second) == asked_by_silent
        assert {said.topic for said in heard.heard[since:]} <= {HEALTH}
        assert len(self.here.own_slots) == 1


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_the_second_gateway_waits_until_the_first_is_gone(here: Site, end: signal.Signals) -> None:
    both = Pair(here)
    async with ear(here.broker) as heard:
        first = await here.run(both.configs["encrypted"])
        await online(heard)
        await leased(heard)
        owner = (await heard.wait_for(INFO)).payload["instance"]
        mark = len(heard.heard)
        second = await here.run(both.configs["hashed"])
        with here.bridge.faults.busy(
            "/list"
        ):  # shows in the health of the first, by which the second knows that it lives
            await second.wait_line("ERROR", "Another gateway", owner, "nuki2mqtt", "mqtt.base_topic")
        await both.keeps_silent(heard, "encrypted", "hashed", mark)

        # What the first says meanwhile is what the second finds when it takes over.
        here.lock.turn(3)
        await heard.wait_for(DOOR, lambda said: said["lock"] == "UNLOCKED", since=mark)
        mark = len(heard.heard)
        first.send(end)
        assert await first.ended() == (0 if end is signal.SIGTERM else -signal.SIGKILL)
        await heard.wait_for(STATE, lambda said: said == "offline", since=mark)
        taken = await heard.wait_for(INFO, lambda said: said["instance"] != owner, since=mark)
        await heard.wait_for(DOOR, is_fresh, since=mark)
        await heard.wait_for(AVAILABILITY, lambda said: said == "online", since=mark)
        assert {said["lock"] for said in heard.said(DOOR, mark)} == {"UNLOCKED"}
        assert both.asked_by("hashed") > 0
        await until(lambda: any(f":{here.callback_port + 1}/" in url for url in here.own_slots), "its callback slot")
        await heard.barrier()
        assert (await kept(here.broker))[STATE] == "online"

        # The first comes back, and is the silent one now.
        mark = len(heard.heard)
        third = await here.run(both.configs["encrypted"])
        with here.bridge.faults.busy("/list"):
            await third.wait_line("ERROR", "Another gateway", taken.payload["instance"])
        asked = both.asked_by("hashed")
        await until(lambda: both.asked_by("hashed") >= asked + 2, "two more questions of the owner")
        await heard.barrier()
        assert heard.said(STATE, mark) == []
        assert heard.said(INFO, mark) == []
        assert await third.stop() == 0
        await heard.barrier()
        assert heard.said(STATE, mark) == []  # it leaves as silently as it came
        assert await second.stop() == 0


async def test_a_second_gateway_says_at_once_why_it_is_silent(here: Site) -> None:
    """Whoever starts it looks at its log, and sees nothing there."""
    both = Pair(here)
    async with ear(here.broker) as heard:
        await here.run(both.configs["encrypted"])
        await online(heard)
        await leased(heard)
        second = await here.run(both.configs["hashed"])
        await second.wait_line("WARNING", "Another gateway", "seems to own", "mqtt.base_topic", timeout_s=5)


# --- The broker ---------------------------------------------------------------------------------------------------


async def test_the_broker_comes_later(here: Site) -> None:
    await here.broker.stop()
    running = await here.run()
    line = await running.wait_line("No connection to the broker")
    assert "mqtt.host" in line
    assert here.bridge.requests == []
    await here.broker.start()
    async with ear(here.broker) as heard:
        await online(heard)
        assert await running.stop() == 0


@pytest.mark.parametrize("persistence", [False, True])
async def test_the_broker_is_restarted(tmp_path: Path, persistence: bool) -> None:  # noqa: FBT001
    async with mosquitto(persistence=persistence) as broker, site(tmp_path, broker) as here:
        async with ear(broker) as heard:
            running = await here.run()
            await online(heard)
            await leased(heard)
        before = await kept(broker, "#")
        await broker.stop()
        await running.wait_line("No connection to the broker")
        here.lock.turn(3)
        assert [status for _, status in await here.server.deliver()] == [200]
        running.send(signal.SIGSTOP)  # until we listen
        await broker.start()
        async with ear(broker, "#") as heard:
            mark = len(heard.heard)
            running.send(signal.SIGCONT)
            assert (mark > 0) is persistence
            await heard.wait_for(HEALTH, lambda said: said["broker"]["connections_lost"] == 1, since=mark)
            await heard.barrier()
            assert heard.said(STATE, mark) == ["online"]
            # It never took back what it vouched for: the Bridge went on answering.
            assert set(heard.said(AVAILABILITY)) == {"online"}
            assert all(map(is_fresh, heard.said(DOOR)))
            # What happened less than 10 s ago is told, once, after the state.
            (event,) = heard.said(f"{DOOR}/event")
            assert (event["event_type"], event["from"], event["to"]) == ("state_changed", "locked", "unlocked")
            topics = [said.topic for said in heard.heard[mark:]]
            assert topics.index(DOOR) < topics.index(STATE) < topics.index(f"{DOOR}/event")
            assert not heard.heard[mark + topics.index(f"{DOOR}/event")].retain
        after = await kept(broker, "#")
        assert after.keys() == before.keys()
        changing = {HEALTH, DOOR, "nuki2mqtt/bridge/0A1B2C3D"}
        assert {topic: after[topic] for topic in after.keys() - changing} == {
            topic: before[topic] for topic in before.keys() - changing
        }
        moved = {"state": "unlocked", "state_code": 3, "lock": "UNLOCKED"}
        when = {key: after[DOOR][key] for key in ("seen", "changed", "source")}
        assert after[DOOR] == before[DOOR] | moved | when
        assert running.text.count("No connection to the broker") == 1
        assert await running.stop() == 0


# --- Pairing ------------------------------------------------------------------------------------------------------


async def test_a_token_is_handed_over_to_the_running_service(here: Site) -> None:
    config = here.write_config(bridge="")
    async with ear(here.broker) as heard:
        running = await here.run(config)
        await running.wait_line("has no token", "nuki2mqtt pair --host 127.0.0.1")
        health = await heard.wait_for(HEALTH)
        assert health.payload["needs_pairing"] is True
        assert here.bridge.requests == []
        here.bridge.button_pressed = True
        status, text = await here.finish(
            "--config", config, "pair", "--host", "127.0.0.1", "--port", str(here.server.port)
        )
        assert status == 0, text
        assert "abcdef" not in text
        await online(heard)
        await heard.wait_for(HEALTH, lambda said: said["needs_pairing"] is False)
        mark = len(heard.heard)
        assert await running.stop() == 0
        # The token is kept: the next process needs no pairing.
        again = await here.run(config)
        await online(heard, since=mark)
        assert "has no token" not in again.text
        assert await again.stop() == 0


async def test_the_command_in_the_log_pairs_the_bridge(here: Site) -> None:
    """The log prints the one command that pairs; it has to work as it stands."""
    running = await here.run(here.write_config(bridge=""))
    line = await running.wait_line("has no token")
    command = line.partition("nuki2mqtt pair ")[2].split()
    here.bridge.button_pressed = True
    status, text = await here.finish("--config", here.folder / "config.yaml", "pair", *command)
    assert status == 0, text
    await running.wait_line("is paired")


async def test_who_was_paired_is_followed_without_a_line_in_the_settings(here: Site) -> None:
    """Pair beside the running service, then start it again: nobody presses the button twice."""
    without = here.write_config("without.yaml", bridge="", extra="find: {mdns: false, hostnames: false}\n")
    without.write_text(
        "\n".join(line for line in without.read_text().splitlines() if not line.startswith("bridges")) + "\n"
    )
    running = await here.run(without)
    await running.wait_line("No Bridge is configured or paired")
    here.bridge.button_pressed = True
    status, text = await here.finish(
        "--config", without, "pair", "--host", "127.0.0.1", "--port", str(here.server.port)
    )
    assert status == 0
    assert "Add to config.yaml" not in text
    await running.wait_line("is paired.")
    await running.wait_line("calls us back.")
    assert await running.stop() == 0
    async with ear(here.broker) as heard:
        mark = len(heard.heard)
        again = await here.run(without)
        await again.wait_line("calls us back.")
        health = await heard.wait_for(HEALTH, since=mark)
        assert await again.stop() == 0
        assert health.payload["needs_pairing"] is False


async def test_an_interrupted_pairing_has_not_paired(here: Site) -> None:
    config = here.write_config(bridge="")
    with here.bridge.faults.silent("/auth"):
        pairing = await here.start("--config", config, "pair", "--host", "127.0.0.1", "--port", str(here.server.port))
        await until(lambda: here.asked("/auth"), "the question")
        pairing.send(signal.SIGINT)
        assert await pairing.ended() == 130


# --- Secrets ------------------------------------------------------------------------------------------------------


async def test_no_secret_is_told_anywhere(tmp_path: Path) -> None:
    """Searched for in every line of every verb at the most talkative level, and in every message."""
    token, password = "tokenMARKEDx9", "pass%MARKED/y 8"
    async with mosquitto(users={"nuki": password}) as broker, site(tmp_path, broker) as here:
        here.bridge.tokens.token = token
        here.bridge.callbacks.add("http://192.0.2.77:8080/foreignMARKED?key=foreignMARKED")
        (tmp_path / "token").write_text(token)
        config = here.write_config(
            bridge=f"token_file: {tmp_path}/token",
            mqtt="username: nuki",
            poll="min_gap_s: 0, list_s: 1",
            extra="log: {level: debug}\n",
        )
        secret = {"NUKI2MQTT_MQTT__PASSWORD": password}
        async with ear(broker, "#", username="nuki", password=password) as heard:
            watching = await here.start("watch", "--config", config, environ=secret)
            await watching.wait_line("connected")
            running = await here.run(config, **secret)
            await leased(heard)
            (url,) = (url for url in here.own_slots if "/callback/" in url)
            callback_secret = json.loads((here.state_dir / "state.json").read_text())["callback_secret"]
            path = url.rpartition("/")[2]
            assert len(path) >= 32

            # Everything goes wrong once, and echoes what it was told.
            await post(url, b'{"token": "' + token.encode())
            await post(url + "x", b"{}")
            here.bridge.call_back(here.lock.nuki_id)
            faults = here.bridge.faults
            echo = f"http://127.0.0.1/list?token={token} {url} {password}".encode()
            wrong = (
                faults.refuse_token(),
                faults.garbage("/list", echo),
                faults.garbage("/list", echo, status=418),
                faults.busy("/list"),
            )
            for fault in wrong:
                with fault:
                    asked = here.asked("/list")
                    await until(lambda asked=asked: here.asked("/list") > asked, "a question")  # type: ignore[misc]
            await heard.wait_for(HEALTH, lambda said: said["bridges"][0]["busy_answers"] > 0)
            checking = await here.start("check", "--config", config, environ=secret)
            await checking.ended()
            failing = await here.start(
                "check", "--config", config, environ={"NUKI2MQTT_MQTT__PASSWORD": password + "9"}
            )
            assert await failing.ended() == 1
            await failing.wait_line("FAIL", "broker", "mqtt.password")
            assert await running.stop() == 0
            await heard.barrier()
            watching.send(signal.SIGINT)
            assert await watching.ended() == 0
            said = b"\n".join(topic.encode() + b" " + payload for topic, payload in heard.raw).decode()
        keeps = json.dumps(await kept(broker, "#", username="nuki", password=password))
    printed = "\n".join(each.text for each in here.started)
    assert "gateway/health" in watching.text
    assert len(printed.splitlines()) > 50
    for marked in (token, password, callback_secret, path, "foreignMARKED"):
        for where in (printed, said, keeps):
            assert marked not in where


async def post(url: str, body: bytes) -> None:
    """A POST as a Bridge sends it; the answer does not matter."""
    host, _, rest = url.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await reader.read()
    writer.close()


# --- What is missing or broken ------------------------------------------------------------------------------------


async def test_a_busy_callback_port_leaves_polling(here: Site) -> None:
    with socket.create_server(("127.0.0.1", here.callback_port)):
        async with ear(here.broker) as heard:
            running = await here.run(here.write_config(poll="min_gap_s: 0, list_s: 1"))
            line = await running.wait_line("WARNING", "callback door is closed", str(here.callback_port))
            assert "callback.port" in line
            await online(heard)
            here.lock.turn(3)
            told = await heard.wait_for(DOOR, lambda said: said["lock"] == "UNLOCKED")
            assert told.payload["source"] == "list"
            assert here.own_slots == []
            assert here.asked("/callback/add") == 0
            assert await running.stop() == 0


async def test_health_says_whether_it_lives(here: Site) -> None:
    config = here.write_config()
    heartbeat = here.state_dir / "heartbeat"
    assert (await here.finish("health", "--config", config))[0] == 1
    async with ear(here.broker) as heard:
        running = await here.run(config)
        await online(heard)
        assert await here.finish("health", "--config", config) == (0, "alive")
        assert await here.finish("--config", config, "health") == (0, "alive")
        await running.kill()
        # Two minutes of silence, by setting its last sign of life back.
        heartbeat.write_text(f"{float(heartbeat.read_text()) - 121}\n")
        status, text = await here.finish("health", "--config", config)
        assert status == 1
        assert str(here.state_dir) in text


async def test_health_says_that_a_stopped_service_does_not_live(here: Site) -> None:
    config = here.write_config()
    async with ear(here.broker) as heard:
        running = await here.run(config)
        await online(heard)
        assert await running.stop() == 0
    assert (await here.finish("health", "--config", config))[0] == 1


async def test_watch_ends_quietly_when_nobody_reads_on(here: Site) -> None:
    """`nuki2mqtt watch | head -1`."""
    config = here.write_config()
    reading, writing = os.pipe()
    with (here.folder / "errors").open("wb") as errors:
        watching = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nuki2mqtt",
            "watch",
            "--config",
            config,
            stdout=writing,
            stderr=errors,
            env={"PYTHONPATH": str(REPO)},
        )
    os.close(writing)
    try:
        assert (await asyncio.to_thread(os.read, reading, 100)).startswith(b"connected")
        os.close(reading)
        async with ear(here.broker) as speaker:
            await speaker.publish("nuki2mqtt/x", b"1")
        async with asyncio.timeout(10):
            await watching.wait()
    finally:
        if watching.returncode is None:
            watching.kill()
            await watching.wait()
    assert "Traceback" not in (here.folder / "errors").read_text()


async def test_without_a_usable_state_folder_it_runs_and_says_so(here: Site) -> None:
    (here.folder / "file").touch()
    async with ear(here.broker) as heard:
        running = await here.run(here.write_config(state_dir=here.folder / "file" / "state"))
        await running.wait_line("WARNING", "cannot be written", "state_dir")
        await online(heard)
        await leased(heard)
        told = await heard.wait_for(HEALTH)
        assert "cannot be written" in told.payload["state_file"]
        assert "Traceback" not in running.text
        assert await running.stop() == 0
        assert here.own_slots == []


async def test_a_damaged_state_file_loses_no_topic(here: Site) -> None:
    """The names have changed meanwhile, so that only the retained snapshots know the topics."""
    config = here.write_config()
    async with ear(here.broker) as heard:
        first = await here.run(config)
        await online(heard)
        await leased(heard)
        assert await first.stop() == 0
        for name in ("state.json", "state.json.bak"):
            (here.state_dir / name).write_text('{"version": 1, "seed":')
        here.lock.name = "Renamed door"
        mark = len(heard.heard)
        second = await here.run(config)
        await second.wait_line("WARNING", "state.json cannot be read", "state.json.broken")
        await online(heard, since=mark)
        await leased(heard, since=mark)
        assert heard.said(DOOR, mark)[-1]["name"] == "Renamed door"
        assert {said.topic.split("/")[1] for said in heard.heard} == {"front_door", "gateway", "bridge"}
        assert len(here.own_slots) == 1  # the slot of the forgotten instance was known by its address
        assert await second.stop() == 0


async def test_two_doors_of_one_name_keep_their_topics_without_the_state_folder(here: Site) -> None:
    config = here.write_config(poll="min_gap_s: 0, list_s: 1")
    here.lock.name = "Door"
    async with ear(here.broker) as heard:
        first = await here.run(config)
        await online(heard, device="door")
        newcomer = here.bridge.house.add(SimulatedLock(nuki_id=0x0BADCAFE, device_type=4, name="Door", state=3))
        await online(heard, device="door_cafe")
        assert await first.stop() == 0
        for path in here.state_dir.iterdir():
            path.unlink()
        here.state_dir.rmdir()
        mark = len(heard.heard)
        second = await here.run(config)
        await online(heard, since=mark, device="door")
        await online(heard, since=mark, device="door_cafe")
        ids = {topic: said["id"] for topic, said in (await kept(here.broker, "nuki2mqtt/+")).items()}
        assert ids == {"nuki2mqtt/door": "1A2B3C4D", "nuki2mqtt/door_cafe": f"{newcomer.nuki_id:08X}"}
        assert await second.stop() == 0
