"""A house, the Bridges that serve it, and the cloud over it: what the control API acts upon."""

import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import Self

from nuki2mqtt.model.device import DEVICE_TYPES
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.catalogue import first_devices, wifi_devices
from nuki2mqtt.simulator.family import NEWEST, WIFI_FIRMWARE, Family, abilities_of
from nuki2mqtt.simulator.faults import Fault
from nuki2mqtt.simulator.house import House, SimulatedDevice, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.keypad import NEW_CAPACITY
from nuki2mqtt.simulator.server import SimulatedBridgeServer
from nuki2mqtt.simulator.web import SimulatedCloud
from nuki2mqtt.simulator.web_faults import CloudFault
from nuki2mqtt.simulator.web_routes import SCOPES
from nuki2mqtt.simulator.web_server import SimulatedCloudServer

FIRST_ID = 0x0A1B2C00
FIRST_SERVER_ID = 0x0A1B3C00


@dataclass(frozen=True, slots=True)
class BridgePlan:
    """A Bridge to be made."""

    family: Family = Family.V2
    firmware: str = NEWEST[Family.V2]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `v1`, `v2` or `software`, with a firmware behind a colon if not the newest; raises ValueError."""
        word, _, firmware = text.partition(":")
        if word not in set(Family):
            raise ValueError(f"{word} is no family of Bridges: {', '.join(Family)}")
        plan = cls(Family(word), firmware or NEWEST[Family(word)])
        abilities_of(plan.family, plan.firmware)
        return plan


@dataclass(eq=False)
class ServedBridge:
    """A Bridge, its server, its paired devices' IDs, and the faults that were begun from outside, by number."""

    bridge: SimulatedBridge
    server: SimulatedBridgeServer
    paired: set[int]
    faults: dict[int, Fault] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Eight hex digits, as `/info` tells it and as it stands on the Bridge."""
        return f"{self.bridge.id:08X}"


@dataclass(eq=False)
class ServedCloud:
    """The cloud, its server, the token that is good for it, and the faults that were begun from outside, by number."""

    cloud: SimulatedCloud
    server: SimulatedCloudServer
    token: str
    faults: dict[int, CloudFault] = field(default_factory=dict)


class Estate:
    """`async with Estate(plans) as estate:` serves a Bridge for each plan; raises OSError where it cannot listen.

    Bridges listen on `host` from `first_port` on, each on the next port, or on any free ones with 0. `speed` divides
    all durations. `seed` decides the tokens, so that they are the same at each start. With a `cloud_port` (0: any free
    one) there is a cloud on the same host, over all devices of the Bridges and some that no Bridge has.
    """

    def __init__(
        self,
        plans: Iterable[BridgePlan],
        *,
        host: str = "127.0.0.1",
        first_port: int = 0,
        speed: float = 1.0,
        seed: int = 4,
        cloud_port: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.house = House(now=clock())
        self.clock = clock
        self._exits = AsyncExitStack()
        self._address_observers: list[Callable[[], object]] = []
        self.bridges = [
            self._make(plan, number, host, first_port and first_port + number - 1, speed, seed)
            for number, plan in enumerate(plans, start=1)
        ]
        self.cloud = None if cloud_port is None else self._make_cloud(host, cloud_port, speed, seed)

    def _make_cloud(self, host: str, port: int, speed: float, seed: int) -> ServedCloud:
        cloud = SimulatedCloud(self.house, seed=seed)
        for device in wifi_devices():
            self.house.add(device)
        for device in self.house.devices:
            cloud.add(device)
        token = sha256(f"nuki2mqtt simulate {seed} cloud".encode()).hexdigest()
        cloud.tokens[token] = frozenset(SCOPES)
        server = SimulatedCloudServer(cloud, host=host, port=port, time_scale=1 / speed, clock=self.clock)
        return ServedCloud(cloud, server, token)

    def _make(self, plan: BridgePlan, number: int, host: str, port: int, speed: float, seed: int) -> ServedBridge:
        paired: set[int] = set()
        for device, is_paired in first_devices(plan.family, number):
            self.house.add(device)
            if is_paired:
                paired.add(device.nuki_id)
        bridge = SimulatedBridge(
            self.house,
            hardware_id=FIRST_ID + number,
            server_id=FIRST_SERVER_ID + number,
            token=sha256(f"nuki2mqtt simulate {seed} {number}".encode()).hexdigest()[:8],
            firmware=plan.firmware,
            wifi_firmware=WIFI_FIRMWARE[plan.family],
            is_software=plan.family is Family.SOFTWARE,
            paired=paired,
        )
        server = SimulatedBridgeServer(bridge, host=host, port=port, time_scale=1 / speed, clock=self.clock)
        return ServedBridge(bridge, server, paired)

    async def __aenter__(self) -> Self:
        try:
            for one in self.bridges:
                await self._exits.enter_async_context(one.server)
            if self.cloud is not None:
                await self._exits.enter_async_context(self.cloud.server)
        except BaseException:
            await self._exits.aclose()
            raise
        self.house.observe(self._changed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.house.ignore(self._changed)
        await self._exits.aclose()

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        self.house.advance(self.clock())

    def changed(self) -> None:
        """Something was done by hand: the Bridges have news, or something new to wait for."""
        for one in self.bridges:
            one.server.changed()
        if self.cloud is not None:
            self.cloud.server.changed()

    def move(self, one: ServedBridge, host: str, port: int) -> None:
        """Serve a Bridge at another address; raises OSError, and it stays where it was.

        Here and in `__aenter__` are the only places where an address begins to hold.
        """
        one.server.move(host, port)
        for tell in self._address_observers:
            tell()

    def observe_addresses(self, tell: Callable[[], object]) -> None:
        """Call this whenever a Bridge has moved."""
        self._address_observers.append(tell)

    def ignore_addresses(self, tell: Callable[[], object]) -> None:
        """Call this no more."""
        self._address_observers.remove(tell)

    def add(self, one: ServedBridge, device: SimulatedDevice) -> None:
        """Put another device into the house, pair it with a Bridge and take it into the account, if there is a cloud.

        Raises ValueError if its ID is taken. Types that no document names are not in the cloud.
        """
        self._demand_new(device)
        one.paired.add(device.nuki_id)
        self.house.add(device)
        if self.cloud is not None and device.device_type in DEVICE_TYPES:
            self.cloud.cloud.add(device)

    def add_to_cloud(
        self, one: ServedCloud, device: SimulatedDevice, *, has_unlatch: bool = True, capacity: int = NEW_CAPACITY
    ) -> None:
        """Put another device into the house that no Bridge has; raises ValueError if its ID is taken."""
        self._demand_new(device)
        self.house.add(device)
        one.cloud.add(device, has_unlatch=has_unlatch, capacity=capacity)

    def _demand_new(self, device: SimulatedDevice) -> None:
        if any(known.nuki_id == device.nuki_id for known in self.house.devices):
            raise ValueError(f"there is a device {device.nuki_id:08X} already; choose another ID.")

    @property
    def locks(self) -> list[SimulatedLock]:
        """Everything that turns."""
        return [device for device in self.house.devices if isinstance(device, SimulatedLock)]

    @property
    def openers(self) -> list[SimulatedOpener]:
        """Everything that rings."""
        return [device for device in self.house.devices if isinstance(device, SimulatedOpener)]

    def _changed(self, _: SimulatedDevice) -> None:
        self.changed()
