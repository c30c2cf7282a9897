"""`nuki2mqtt demo`: a broker, a simulated house and the gateway in one process, and what is said on MQTT about it."""

import asyncio
import contextlib
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nuki2mqtt.adapters.log_output import configure_logging, set_log_level
from nuki2mqtt.errors import EmbeddedBrokerError
from nuki2mqtt.faces.demo_cloud import Visit
from nuki2mqtt.faces.demo_course import at_start, play_course
from nuki2mqtt.faces.demo_home import Home, running_home
from nuki2mqtt.faces.demo_meeting import meet
from nuki2mqtt.faces.demo_witness import Expected, Witness
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK
from nuki2mqtt.faces.terminal import say
from nuki2mqtt.faces.watch import describe
from nuki2mqtt.gateway.admission import V311_START_S
from nuki2mqtt.gateway.vocabulary import MqttReceived
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.protocol.settings_words import LogFormat, LogLevel
from nuki2mqtt.protocol.topics import TopicTree
from nuki2mqtt.simulator.script import Script

SEED = 4
COURSE_SPEED = 10.0
START_S = 20.0
COURSE_S = 120.0
_LOG = logging.getLogger("nuki2mqtt")

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the demo runs; `port` 0 lets the system choose, `speed` None is the usual one."""

    once: bool = False
    seed: int = SEED
    speed: float | None = None
    port: int = 0


def demo(options: DemoOptions) -> int:
    """Run until interrupted or no longer read, or once through the fixed course; returns the exit status."""
    configure_logging(LogLevel.ERROR, LogFormat.TEXT)  # until the Bridges are paired: see _meet
    try:
        with tempfile.TemporaryDirectory(prefix="nuki2mqtt-demo-") as folder:
            return asyncio.run(_demo(options, Path(folder)))
    except EmbeddedBrokerError as error:
        say(f"{error}", is_trouble=True)
        return EXIT_FAILED
    except KeyboardInterrupt:  # before anything runs
        return EXIT_OK
    except Exception:  # noqa: BLE001 - the last resort of the process
        _LOG.exception("This is a mistake in nuki2mqtt: please report it with these lines.")
        return EXIT_FAILED


async def _demo(options: DemoOptions, folder: Path) -> int:
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    speed = options.speed or (COURSE_SPEED if options.once else 1.0)

    def tell(line: str) -> None:
        if not say(line) and not options.once:  # the course is played for its status, too
            ending.set()

    tell(
        "Starting a broker, a simulated house with two Bridges and a cloud, and the gateway: all of it in this process."
    )
    async with running_home(folder, port=options.port, speed=speed) as home:
        tree = TopicTree(home.settings.mqtt.base_topic, home.settings.homeassistant.prefix)
        witness = Witness(lambda message: show(tree, message, tell))
        async with witness.listening(home.settings):
            work = _once(home, witness) if options.once else _live(home, witness, tree, options, speed, tell)
            return await _until(ending, home, asyncio.create_task(work, name="demo"))


async def _until(ending: asyncio.Event, home: Home, work: "asyncio.Task[int]") -> int:
    """The status of the work, unless somebody ends it before; raises what the gateway failed with."""
    ended = asyncio.create_task(ending.wait(), name="interrupted")
    try:
        await asyncio.wait({ended, home.running, work}, return_when=asyncio.FIRST_COMPLETED)
        if home.running.done():
            home.running.result()
        if not ended.done():
            return await work
    finally:
        for task in (ended, work):
            task.cancel()
        await asyncio.gather(ended, work, return_exceptions=True)
    say("")
    await home.stop()
    return EXIT_OK


async def _meet(home: Home, witness: Witness, tell: Say) -> list[str]:
    """The gateway's first minute; what its log says of Bridges that are not paired yet is told in other words here."""
    unfound = await meet(home, witness, lambda what: _note(what, tell))
    set_log_level(LogLevel.WARNING)
    return unfound


# --- Once ---------------------------------------------------------------------------------------------------------


async def _once(home: Home, witness: Witness) -> int:
    begun = time.monotonic()
    unfound: list[str] = []
    try:
        async with asyncio.timeout(COURSE_S):
            unfound = await _meet(home, witness, say)
            missing = await play_course(home, witness, lambda what: _note(what, say))
    except TimeoutError:
        missing = [f"the end of the course within {COURSE_S:.0f} s"]
    for each in missing:
        say(f"MISSING  {each}", is_trouble=True)
    for each in unfound:
        say(f"NOT FOUND  Bridge {each} by mDNS: see docs/guide-find.md", is_trouble=True)
    took = f"{time.monotonic() - begun:.1f} s, {len(witness.heard)} messages heard"
    say(f"{'Not everything' if missing else 'Everything'} that was expected has been said on MQTT ({took}).")
    return EXIT_FAILED if missing else EXIT_OK


# --- Live ---------------------------------------------------------------------------------------------------------


async def _live(home: Home, witness: Witness, tree: TopicTree, options: DemoOptions, speed: float, tell: Say) -> int:
    await _meet(home, witness, tell)
    left = await witness.wait_for(at_start(tree), patience_s=START_S)
    if left:
        say(f"Not everything has started: {_words(left)} is missing. See the lines above.", is_trouble=True)
        return EXIT_FAILED
    await asyncio.sleep(V311_START_S)  # as long as the gateway refuses commands after its start
    for line in how_to_open(home.settings.mqtt, program()):
        tell(line)
    visitor = asyncio.create_task(Visit(home, witness, lambda what: _note(what, tell)).live(speed), name="visitor")
    try:
        await _play(home, options, speed, tell, visitor)
    finally:
        visitor.cancel()
        await asyncio.gather(visitor, return_exceptions=True)
    return EXIT_OK


async def _play(home: Home, options: DemoOptions, speed: float, tell: Say, visitor: "asyncio.Task[None]") -> None:
    """People come and go; raises what the visitor failed with."""
    script = Script(home.house, seed=options.seed, timing=home.timing, pace=1 / speed)
    while (at := script.next_at()) is not None:
        await asyncio.wait({visitor}, timeout=max(0.0, at - time.time()))
        if visitor.done():
            visitor.result()
        for done in script.advance(time.time()):
            _note(done, tell)
        home.changed()
    tell("Only the visitor comes any more; commands still work. Ctrl-C ends the demo.")
    await visitor


def how_to_open(mqtt: MqttSettings, program: str) -> list[str]:
    """What to copy into a second terminal."""
    there = f"--set mqtt.host={mqtt.host} --set mqtt.port={mqtt.port} --set mqtt.protocol={mqtt.protocol}"
    # Over MQTT 3.1.1 an opening command needs its time; the shell fills it in.
    payload = r'"{\"action\":\"unlatch\",\"ts\":$(date +%s)}"'
    return [
        "",
        "Open the front door from a second terminal:",
        "",
        f"  {program} act front_door unlatch {there}",
        "",
        "or with mosquitto's client:",
        "",
        f"  mosquitto_pub -h {mqtt.host} -p {mqtt.port} -t nuki2mqtt/front_door/set -m {payload}",
        "",
        "Ctrl-C ends the demo. Nothing of it is kept.",
        "",
    ]


def program() -> str:
    """How this program is called from here: `.venv/bin/nuki2mqtt` in a checkout."""
    script = Path(sys.executable).parent / "nuki2mqtt"
    if not script.is_file():
        return f"{sys.executable} -m nuki2mqtt"
    with contextlib.suppress(ValueError):
        return str(script.relative_to(Path.cwd()))
    return str(script)


def _words(expected: list[Expected]) -> str:
    return ", ".join(each.what for each in expected)


# --- The view -----------------------------------------------------------------------------------------------------


def _note(what: str, tell: Say) -> None:
    tell(f"{_now()}  * {what}")


def show(tree: TopicTree, message: MqttReceived, tell: Say = say) -> None:
    """One line for each message about a device; the gateway's own long ones and Home Assistant's are left out."""
    topic = message.topic
    is_long = topic in {tree.gateway_info, tree.gateway_devices, tree.gateway_health}
    is_bridge = topic.startswith(f"{tree.base}/bridge/") and not topic.endswith("/availability")
    is_clearing = not message.payload  # of a command's topic, after the command
    if topic.startswith(f"{tree.base}/") and not (is_long or is_bridge or is_clearing):
        tell(f"{_now()}  {describe(tree, message)}")


def _now() -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}"
