"""Everything that the demo needs, in one process on the loopback address: broker, house, Bridges, cloud, gateway.

The gateway has no Bridge in its settings and no token: it has to find and to be paired with them
(`faces/demo_meeting.py`). It searches on the loopback interface only. Of the cloud it has the token; in that
account are the front door, and a lock with Wi-Fi that no Bridge knows. The cloud's log comes after seconds instead of
a minute.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nuki2mqtt import __version__
from nuki2mqtt.adapters.bridge_finder import BridgeFinder
from nuki2mqtt.adapters.clock import SystemClock, SystemEntropy
from nuki2mqtt.adapters.embedded_broker import LOOPBACK, EmbeddedBroker
from nuki2mqtt.adapters.log_output import register_secret
from nuki2mqtt.adapters.network import SystemNetwork
from nuki2mqtt.adapters.state_file import StateFile, instance_id
from nuki2mqtt.adapters.time_zones import zone_of
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity, Outside
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.service import Service
from nuki2mqtt.simulator.announcer import Announcer
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.estate import ServedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener, Timing
from nuki2mqtt.simulator.script import DOOR_CLOSED
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from nuki2mqtt.simulator.web import CloudTiming, SimulatedCloud
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_routes import SCOPES
from nuki2mqtt.simulator.web_server import SimulatedCloudServer

HALL_ID, GARAGE_ID = 0x0A1B2C3D, 0x0A1B2C4D
BRIDGE_IDS = (HALL_ID, GARAGE_ID)
STUDIO_ID = 0x4D5E6F70
LOG_S = (1.0, 3.0)  # how late an entry is; in truth about a minute
POLL_S = 10
END_S = 10.0
_SERVER_ID_OFFSET = 0x1000


@dataclass(frozen=True, slots=True)
class Home:
    """The running demo: what can be turned by hand, where the broker is, the Bridges, the cloud, and the gateway.

    `folder` is where the gateway keeps its state, `known_front_door` is it as the cloud knows it.
    """

    settings: Settings
    folder: Path
    house: House
    bridges: tuple[ServedBridge, ...]
    front_door: SimulatedLock
    garage: SimulatedLock
    intercom: SimulatedOpener
    studio: SimulatedLock
    known_front_door: KnownDevice
    cloud: SimulatedCloudServer
    service: Service
    running: "asyncio.Task[None]"

    @property
    def timing(self) -> Timing:
        """How long things take in this house."""
        return self.bridges[0].bridge.timing

    def changed(self) -> None:
        """Somebody turned something by hand: the Bridges and the cloud have news."""
        for one in self.bridges:
            one.server.changed()
        self.cloud.changed()

    async def stop(self) -> None:
        """Let the gateway take leave; raises what it failed with."""
        self.service.request_stop()
        async with asyncio.timeout(END_S):
            await asyncio.shield(self.running)


@dataclass(frozen=True, slots=True)
class _Street:
    """The Bridges for the announcer; none of them moves."""

    bridges: tuple[ServedBridge, ...] = field(default=())

    def observe_addresses(self, tell: Callable[[], object]) -> None:
        """Nothing to tell."""

    def ignore_addresses(self, tell: Callable[[], object]) -> None:
        """Nothing was told."""


class _LoopbackNetwork(SystemNetwork):
    """This computer's network, but for the search: nobody else's network is asked for a demo."""

    def __init__(self, settings: Settings, client_id: str, *, clock: SystemClock, entropy: SystemEntropy) -> None:
        super().__init__(settings, client_id, clock=clock, entropy=entropy)
        self._found_by = BridgeFinder(settings.find, settings.nuki_web.base_url, at=(LOOPBACK,))

    def finder(self) -> BridgeFinder:
        """By mDNS on the loopback interface."""
        return self._found_by


@asynccontextmanager
async def running_home(
    folder: Path, *, port: int = 0, speed: float = 1.0, announced: bool = True
) -> AsyncIterator[Home]:
    """The demo until the block ends; `folder` takes the state, `speed` divides every duration of the house.

    Raises EmbeddedBrokerError. Without `announced` no Bridge says by mDNS where it is.
    """
    entropy = SystemEntropy()
    house = House(now=time.time())
    front_door = house.add(
        SimulatedLock(
            nuki_id=0x1A2B3C4D,
            device_type=0,
            name="Front door",
            firmware="2.15.2",
            door=DOOR_CLOSED,
            battery_level=85,
            keypad_critical=False,
        )
    )
    garage = house.add(SimulatedLock(nuki_id=0x2B3C4D5E, name="Garage", battery_level=62))
    intercom = house.add(SimulatedOpener(nuki_id=0x3C4D5E6F))
    studio = SimulatedLock(
        nuki_id=STUDIO_ID, device_type=5, name="Studio", firmware="5.1.9", battery_level=91, keypad_critical=False
    )
    bridges = (
        _bridge(house, HALL_ID, {front_door.nuki_id, intercom.nuki_id}, entropy, speed),
        _bridge(house, GARAGE_ID, {garage.nuki_id}, entropy, speed),
    )
    cloud = SimulatedCloud(house, timing=CloudTiming(log_s=LOG_S))
    token = entropy.token(16)
    cloud.tokens[token] = frozenset(SCOPES)
    known = cloud.add(front_door)
    cloud.add(house.add(studio))
    async with AsyncExitStack() as exits:
        broker = await exits.enter_async_context(EmbeddedBroker(port=port))
        for one in bridges:
            await exits.enter_async_context(one.server)
        if announced:
            await exits.enter_async_context(Announcer(_Street(bridges), tell=lambda _: None))
        web = await exits.enter_async_context(SimulatedCloudServer(cloud, time_scale=1 / speed))
        settings = read_settings(_settings_text(broker.port, web.url, token), read_file=_no_file)
        state = exits.enter_context(StateFile(folder))
        service = _service(settings, state, entropy)
        running = asyncio.create_task(service.run(), name="gateway")
        try:
            doors = (front_door, garage, intercom, studio, known)
            home = Home(settings, folder, house, bridges, *doors, web, service, running)
            yield home
            if not running.done():
                await home.stop()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def _bridge(house: House, bridge_id: int, paired: set[int], entropy: SystemEntropy, speed: float) -> ServedBridge:
    bridge = SimulatedBridge(
        house, hardware_id=bridge_id, server_id=bridge_id + _SERVER_ID_OFFSET, token=entropy.token(8), paired=paired
    )
    return ServedBridge(bridge, SimulatedBridgeServer(bridge, time_scale=1 / speed), paired)


def _settings_text(broker_port: int, cloud_url: str, token: str) -> str:
    return (
        f"mqtt: {{host: {LOOPBACK}, port: {broker_port}, protocol: 3.1.1}}\n"
        f"callback: {{host: {LOOPBACK}, bind: {LOOPBACK}, port: {_free_port()}}}\n"
        "find: {hostnames: false}\n"
        f"nuki_web: {{token: {token}, base_url: '{cloud_url}', poll_s: {POLL_S}, keypad: {{manage: true}}}}\n"
    )


def _no_file(name: str) -> str:
    raise OSError(name)


def _service(settings: Settings, state: StateFile, entropy: SystemEntropy) -> Service:
    opened, clock = state.open(), SystemClock()
    for secret in (opened.callback_secret, settings.nuki_web.token):
        if secret is not None:
            register_secret(secret)
    identity = Identity(
        instance=instance_id(opened.seed, None),
        version=__version__,
        callback_secret=opened.callback_secret,
        started=clock.now(),
        jitter=entropy.fraction(),
    )
    gateway = Gateway(settings, identity, opened.memory, Outside(entropy.bytes_of, zone_of))
    client_id = f"nuki2mqtt-{identity.instance}"
    network = _LoopbackNetwork(settings, client_id, clock=clock, entropy=entropy)
    return Service(settings, gateway, client_id=client_id, state=state, clock=clock, entropy=entropy, network=network)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
