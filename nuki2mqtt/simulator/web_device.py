"""One device as the cloud knows it: a copy of its state, its settings, its authorizations, what is under way. Pure.

The lock is the truth, and the cloud follows it: soon after a change while the device is online, else when it is back.
"""

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nuki2mqtt.simulator.bodies import is_opener
from nuki2mqtt.simulator.house import RTO_ACTIVE, Facts, SimulatedDevice
from nuki2mqtt.simulator.keypad import NEW_CAPACITY, LockMemory
from nuki2mqtt.simulator.web_auth_list import AuthList
from nuki2mqtt.simulator.web_config import first_advanced_config, first_config
from nuki2mqtt.simulator.web_faults import CloudFaultName, Write
from nuki2mqtt.simulator.web_operations import Lane, Operation
from nuki2mqtt.simulator.web_values import Json, web_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from nuki2mqtt.simulator.web import SimulatedCloud

ONLINE, OFFLINE = 0, 4  # serverState (reference of the Web API, section 3.1)
_CONFIG_REVERTS_S = 30.0  # section 2.1: a setting that was not taken was seen flipping back after 30 s
_HELD = "ffffffffffffffffffffffff"


class StateCopy(NamedTuple):
    """What the cloud shows of a device's state; `rto_until` is epoch seconds, None without ring-to-open."""

    facts: Facts
    trigger: int
    last_action: int
    rto_until: float | None


class KnownDevice:
    """A device of the account; `auth_id` is the cloud's own authorization on it.

    `has_unlatch` False is a lock for the US market, which the cloud lets neither unlatch nor lock'n'go with unlatch
    (section 5, markets). `memory` is what the lock itself remembers. `forced_syncs` and `daily_syncs` count how often
    the cloud woke the lock to read it all; `server_state` and `admin_pin_state` may be set at will.
    """

    def __init__(
        self,
        cloud: "SimulatedCloud",
        device: SimulatedDevice,
        *,
        auth_id: int,
        has_unlatch: bool = True,
        capacity: int = NEW_CAPACITY,
    ) -> None:
        house = cloud.house
        self.cloud = cloud
        self.device = device
        self.smartlock_id = web_id(device.device_type, device.nuki_id)
        self.auth_id = auth_id
        self.has_unlatch = has_unlatch
        self.has_keypad = device.keypad_critical is not None
        self.name = device.name if isinstance(device.name, str) else device.name.decode(errors="replace")
        self.favorite = False
        self.server_state = ONLINE
        self.admin_pin_state = 0
        self.forced_syncs = 0
        self.daily_syncs = 0
        self.trigger = 0
        self.last_action = 0
        self.created_at = house.now
        self.updated_at = house.now
        self.config: dict[str, Json] = first_config(device.device_type, self.name, has_keypad=self.has_keypad)
        self.advanced = first_advanced_config(device.device_type)
        self.web_config: dict[str, Json] = {"batteryWarningPerMailEnabled": False}
        self.memory = LockMemory(capacity=capacity)
        self.auths = AuthList(self)
        self._rto_until: float | None = None
        self._actions = self._lane()
        self._writes = self._lane()
        self.copy = self._truth()

    def _lane(self) -> Lane:
        cloud = self.cloud
        return Lane(
            cloud.house, is_reachable=lambda: not self.is_offline, is_kept=lambda: cloud.conduct.keeps_offline_writes
        )

    @property
    def nuki_id(self) -> int:
        """The ID as people know it."""
        return self.device.nuki_id

    @property
    def is_opener(self) -> bool:
        """Whether it is an Opener."""
        return is_opener(self.device)

    @property
    def is_offline(self) -> bool:
        """Whether nothing comes from it and nothing reaches it."""
        return self.cloud.faults.is_on(CloudFaultName.OFFLINE, nuki_id=self.nuki_id)

    @property
    def shown_server_state(self) -> int:
        """The serverState that the cloud shows."""
        return OFFLINE if self.is_offline else self.server_state

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Everything under way."""
        return self._actions.operations + self._writes.operations

    @property
    def operation_id(self) -> str | None:
        """The operation that holds the device: an action or a change of settings; None if nothing does."""
        if self._is_held:
            return _HELD
        holds = {Write.ACTION, Write.CONFIG}
        return next((one.id for one in self.operations if one.kind in holds), None)

    def operation_of(self, auth_id: str) -> str | None:
        """The operation that holds an authorization; None if nothing does."""
        if self._is_held:
            return _HELD
        return next((one.id for one in self.operations if auth_id in one.auth_ids), None)

    @property
    def _is_held(self) -> bool:
        return self.cloud.faults.has(CloudFaultName.HELD_OPERATION, nuki_id=self.nuki_id)

    def later(self, kind: Write, do: "Callable[[], bool]", *, auth_ids: "Collection[str]" = ()) -> Operation:
        """Promise a write: it is carried out after a while, if nothing prevents it; `do` says if it did anything."""
        cloud, nuki_id = self.cloud, self.nuki_id
        slow = cloud.faults.find(CloudFaultName.SLOW_WRITES, nuki_id=nuki_id, kind=kind)
        is_lost = cloud.faults.find(CloudFaultName.LOST_WRITES, nuki_id=nuki_id, kind=kind) is not None
        takes_s = cloud.chance.between(cloud.timing.of(kind))
        operation = Operation(
            id=cloud.ids.make(cloud.house.now),
            nuki_id=nuki_id,
            kind=kind,
            do=do,
            asked_at=cloud.house.now,
            is_lost=is_lost,
            takes_s=takes_s if slow is None or slow.seconds is None else slow.seconds,
            auth_ids=frozenset(auth_ids),
        )
        (self._actions if kind is Write.ACTION else self._writes).add(operation)
        cloud.keep(operation)
        return operation

    def notice(self) -> None:
        """The device has changed: the copy follows a little later."""
        house, truth = self.cloud.house, self._truth()
        house.plan(house.now + self.cloud.timing.state_s, None, partial(self._show, truth))

    def catch_up(self) -> None:
        """Copy the state now."""
        self._show(self._truth())

    def go(self) -> None:
        """The device is offline from now on."""
        self.cloud.hooks.status(self)

    def come_back(self) -> None:
        """The device is online again: the cloud learns what it missed, and what has waited goes on."""
        if self.is_offline:  # by another fault
            return
        self.catch_up()
        self.cloud.hooks.status(self)
        self.cloud.log.arrive(self)
        self._actions.resume()
        self._writes.resume()

    def touch(self) -> None:
        """Something of the cloud's copy has changed."""
        self.updated_at = self.cloud.house.now

    def sync(self, *, is_forced: bool) -> bool:
        """Read everything from the lock, which costs its battery."""
        if is_forced:
            self.forced_syncs += 1
        else:
            self.daily_syncs += 1
        self.catch_up()
        self.auths.follow_lock()
        self.touch()
        self.cloud.hooks.master_data(self)
        self.cloud.hooks.config(self)
        return True

    def write_config(self, key: str, after: dict[str, Json]) -> None:
        """Show other settings at once; what the device does not take flips back."""
        before = self.config if key == "config" else self.advanced[1] if self.advanced is not None else {}
        self._set_config(key, after)
        if self.later(Write.CONFIG, partial(self._take_config, key, after)).is_lost:
            house = self.cloud.house
            house.plan(house.now + _CONFIG_REVERTS_S, None, partial(self._set_config, key, before))

    def _set_config(self, key: str, config: dict[str, Json]) -> None:
        if key == "config":
            self.config = config
            self.name = str(config["name"])
        else:
            self.advanced = key, config
        self.touch()
        self.cloud.hooks.config(self)

    def _take_config(self, key: str, config: dict[str, Json]) -> bool:
        if key == "config":
            self.device.name = str(config["name"])
        return True

    def _show(self, copy: StateCopy) -> None:
        if self.is_offline or self.cloud.faults.has(CloudFaultName.FROZEN_COPY, nuki_id=self.nuki_id):
            return
        if copy != self.copy:
            self.copy = copy
            self.touch()
            self.cloud.hooks.status(self)

    def _truth(self) -> StateCopy:
        facts = self.device.facts
        if not (self.is_opener and facts.state == RTO_ACTIVE):
            self._rto_until = None
        elif self._rto_until is None and self.advanced is not None:
            minutes = self.advanced[1].get("rtoTimeout")
            self._rto_until = self.cloud.house.now + 60.0 * (minutes if isinstance(minutes, int) else 20)
        return StateCopy(facts, self.trigger, self.last_action, self._rto_until)
