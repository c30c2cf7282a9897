"""Everything that the demo needs, in one process on the loopback address: broker, house, Bridge, gateway."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nuki2mqtt import __version__
from nuki2mqtt.adapters.clock import SystemClock, SystemEntropy
from nuki2mqtt.adapters.embedded_broker import LOOPBACK, EmbeddedBroker
from nuki2mqtt.adapters.log_output import register_secret
from nuki2mqtt.adapters.state_file import StateFile, instance_id
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity
from nuki2mqtt.protocol.settings import Settings
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.service import Service
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.script import DOOR_CLOSED
from nuki2mqtt.simulator.server import SimulatedBridgeServer

BRIDGE_ID = 0x0A1B2C3D
END_S = 10.0
_SERVER_ID = 0x0A1B2C3E


@dataclass(frozen=True, slots=True)
class Home:
    """The running demo: what can be turned by hand, where the broker is, and the gateway."""

    settings: Settings
    house: House
    bridge: SimulatedBridge
    server: SimulatedBridgeServer
    front_door: SimulatedLock
    garage: SimulatedLock
    intercom: SimulatedOpener
    service: Service
    running: "asyncio.Task[None]"

    def changed(self) -> None:
        """Somebody turned something by hand: the Bridge has news."""
        self.server.changed()

    async def stop(self) -> None:
        """Let the gateway take leave; raises what it failed with."""
        self.service.request_stop()
        async with asyncio.timeout(END_S):
            await asyncio.shield(self.running)


@asynccontextmanager
async def running_home(folder: Path, *, port: int = 0, speed: float = 1.0) -> AsyncIterator[Home]:
    """The demo until the block ends; `folder` takes the state, `speed` divides every duration of the house.

    Raises EmbeddedBrokerError.
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
    token = entropy.token(8)
    bridge = SimulatedBridge(house, hardware_id=BRIDGE_ID, server_id=_SERVER_ID, token=token)
    async with (
        EmbeddedBroker(port=port) as broker,
        SimulatedBridgeServer(bridge, time_scale=1 / speed) as server,
    ):
        settings = read_settings(_settings_text(broker.port, server.port, token), read_file=_no_file)
        with StateFile(folder) as state:
            service = _service(settings, state, entropy)
            running = asyncio.create_task(service.run(), name="gateway")
            try:
                home = Home(settings, house, bridge, server, front_door, garage, intercom, service, running)
                yield home
                if not running.done():
                    await home.stop()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


def _settings_text(broker_port: int, bridge_port: int, token: str) -> str:
    return (
        f"mqtt: {{host: {LOOPBACK}, port: {broker_port}, protocol: 3.1.1}}\n"
        f'bridges: [{{host: {LOOPBACK}, port: {bridge_port}, token: "{token}"}}]\n'
        f"callback: {{host: {LOOPBACK}, bind: {LOOPBACK}, port: {_free_port()}}}\n"
    )


def _no_file(name: str) -> str:
    raise OSError(name)


def _service(settings: Settings, state: StateFile, entropy: SystemEntropy) -> Service:
    opened, clock = state.open(), SystemClock()
    register_secret(opened.callback_secret)
    identity = Identity(
        instance=instance_id(opened.seed, None),
        version=__version__,
        callback_secret=opened.callback_secret,
        started=clock.now(),
        jitter=entropy.fraction(),
    )
    gateway = Gateway(settings, identity, opened.memory)
    client_id = f"nuki2mqtt-{identity.instance}"
    return Service(settings, gateway, client_id=client_id, state=state, clock=clock, entropy=entropy)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
