"""`nuki2mqtt simulate`: simulated Bridges and a cloud, for people without hardware and tests of other programs."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from nuki2mqtt.adapters.log_output import configure_logging
from nuki2mqtt.faces.demo import program
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK
from nuki2mqtt.faces.terminal import printable, say
from nuki2mqtt.protocol.settings_words import LogFormat, LogLevel
from nuki2mqtt.simulator.announcer import Announcer
from nuki2mqtt.simulator.control import ControlServer
from nuki2mqtt.simulator.estate import BridgePlan, Estate, ServedBridge, ServedCloud
from nuki2mqtt.simulator.family import Family
from nuki2mqtt.simulator.house import SimulatedDevice
from nuki2mqtt.simulator.script import Script

SEED = 4
FIRST_PORT = 8080  # a real Bridge's (Bridge API 1.13.2 section 2)
CONTROL_PORT = 8070
CLOUD_PORT = 8060
LOOPBACK = "127.0.0.1"
_ENDS = (signal.SIGINT, signal.SIGTERM)
_ANYWHERE = frozenset({"0.0.0.0", "::"})
_LOG = logging.getLogger("nuki2mqtt")


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What is simulated, and where; a port of 0 is any free one. The plans repeat until there are enough Bridges."""

    bridges: int = 1
    plans: tuple[BridgePlan, ...] = (BridgePlan(),)
    bind: str = LOOPBACK
    port: int = FIRST_PORT
    control_bind: str = LOOPBACK
    control_port: int = CONTROL_PORT
    speed: float = 1.0
    seed: int = SEED
    live: bool = False
    announce: bool = False
    cloud: bool = False
    cloud_port: int = CLOUD_PORT

    def all_plans(self) -> list[BridgePlan]:
        """One plan for each Bridge."""
        count = max(self.bridges, len(self.plans))
        return [self.plans[number % len(self.plans)] for number in range(count)]


def simulate(options: SimulateOptions) -> int:
    """Serve until interrupted; returns the exit status."""
    configure_logging(LogLevel.WARNING, LogFormat.TEXT)
    try:
        return asyncio.run(_simulate(options))
    except OSError as error:
        say(
            f"Nothing can be served: {error.strerror or error}. Choose other ports, or addresses of this machine: "
            f"Bridges from --port {options.port} on at --bind {options.bind}, "
            + (f"the cloud at --cloud-port {options.cloud_port}, " if options.cloud else "")
            + f"control at --control-port {options.control_port} and --control-bind {options.control_bind}.",
            is_trouble=True,
        )
        return EXIT_FAILED
    except KeyboardInterrupt:  # before anything runs
        return EXIT_OK
    except Exception:  # noqa: BLE001 - the last resort of the process
        _LOG.exception("This is a mistake in nuki2mqtt: please report it with these lines.")
        return EXIT_FAILED


async def _simulate(options: SimulateOptions) -> int:
    ending, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _ENDS:
        loop.add_signal_handler(number, ending.set)
    estate = Estate(
        options.all_plans(),
        host=options.bind,
        first_port=options.port,
        speed=options.speed,
        seed=options.seed,
        cloud_port=options.cloud_port if options.cloud else None,
    )
    async with (
        estate,
        ControlServer(estate, host=options.control_bind, port=options.control_port) as control,
        Announcer(estate, tell=say) if options.announce else nullcontext(),
    ):
        for line in describe(estate, control.url):
            say(line)
        people = asyncio.create_task(_live(estate, options), name="people") if options.live else None
        try:
            await _until(ending, people)
        finally:
            if people is not None:
                people.cancel()
                await asyncio.gather(people, return_exceptions=True)
    for number in _ENDS:  # `timeout` and others signal twice: that shall not spoil a good end
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    say("The simulation has ended.")
    return EXIT_OK


async def _until(ending: asyncio.Event, people: "asyncio.Task[None] | None") -> None:
    """Until somebody ends it; raises what the people failed with."""
    ended = asyncio.create_task(ending.wait(), name="interrupted")
    try:
        await asyncio.wait({ended} if people is None else {ended, people}, return_when=asyncio.FIRST_COMPLETED)
        if people is not None and people.done():
            people.result()
            await ended
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


async def _live(estate: Estate, options: SimulateOptions) -> None:
    """Let people come and go, and say what they do."""
    timing = estate.bridges[0].bridge.timing
    script = Script(estate.house, seed=options.seed, timing=timing, pace=1 / options.speed)
    while (at := script.next_at()) is not None:
        await asyncio.sleep(max(0.0, at - estate.clock()))
        for done in script.advance(estate.clock()):
            say(f"* {done}")
        estate.changed()
    say("Nobody comes any more; the Bridges go on.")


def describe(estate: Estate, control_url: str) -> Iterator[str]:
    """What is printed at the start: each Bridge, the cloud, how to run a gateway, how to control the house."""
    for one in estate.bridges:
        yield from _describe_bridge(estate, one)
    if estate.cloud is not None:
        yield from _describe_cloud(estate.cloud)
    yield ""
    yield "A gateway with a broker of its own, for all of them, in a second terminal:"
    yield ""
    yield f"  {program()} run --set mqtt.embedded=true --set state_dir=simulated-state {' '.join(settings(estate))}"
    yield ""
    yield f"The house is controlled at {control_url} (docs/simulator.md); for example:"
    yield ""
    locks = estate.locks
    if locks:
        yield f'  curl -X POST -d \'{{"state": "unlocked"}}\' {control_url}/devices/{locks[0].nuki_id:08X}/turn'
    yield f"  curl {control_url}/bridges/1/requests"
    yield ""
    yield "Ctrl-C ends the simulation. Nothing of it is kept."


def settings(estate: Estate) -> list[str]:
    """The options of `nuki2mqtt run` that name all Bridges, and the cloud."""
    options: list[str] = []
    for number, one in enumerate(estate.bridges):
        key = f"--set bridges.{number}"
        options += [f"{key}.host={_reachable(one.server.host)}", f"{key}.port={one.server.port}"]
        options.append(f"{key}.token={one.bridge.tokens.token}")
        if one.bridge.tokens.modes == {"plain"}:
            options.append(f"{key}.auth=plain")
    if estate.cloud is not None:
        server = estate.cloud.server
        options.append(f"--set nuki_web.base_url={server.url.replace(server.host, _reachable(server.host))}")
        options += [f"--set nuki_web.token={estate.cloud.token}", "--set nuki_web.keypad.manage=true"]
    return options


def _describe_bridge(estate: Estate, one: ServedBridge) -> Iterator[str]:
    family = one.bridge.abilities.family
    what = "software Bridge, app" if family is Family.SOFTWARE else f"{family} Bridge, firmware"
    modes = ", ".join(mode for mode in ("encrypted", "hashed", "plain") if mode in one.bridge.tokens.modes)
    yield f"Bridge {one.id} ({what} {one.bridge.firmware}) at {one.server.url}"
    yield f"  token {one.bridge.tokens.token} ({modes})"
    for device in estate.house.devices:
        if device.nuki_id in one.paired:
            yield f"  {device.nuki_id:08X}  type {device.device_type}  {_name(device)}"


def _describe_cloud(one: ServedCloud) -> Iterator[str]:
    yield f"Cloud (Nuki Web API) at {one.server.url}"
    yield f"  token {one.token}"
    for known in one.cloud.devices:
        yield f"  {known.nuki_id:08X}  smartlockId {known.smartlock_id}  {printable(known.name)}"


def _reachable(host: str) -> str:
    return LOOPBACK if host in _ANYWHERE else host


def _name(device: SimulatedDevice) -> str:
    return printable(device.name if isinstance(device.name, str) else device.name.decode(errors="replace"))
