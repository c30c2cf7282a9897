"""The physical truth of a small house: locks and Openers, their motors, doors and batteries.

Pure: time is what `House.advance` was last told. A motor's way is put on the house's agenda and happens when
the clock passes it; everything else is turned by hand. Numbers are those of Bridge API 1.13.2 sections 4.2
(mode), 4.3 (states), 4.4 (actions), 4.5 (simple actions) and 4.6 (door sensor).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, Self, TypeVar

from nuki2mqtt.simulator.doer import Witnesses

DOOR_MODE, CONTINUOUS_MODE = 2, 3
LOCKED, UNLOCKING, UNLOCKED, LOCKING = 1, 2, 3, 4
UNLATCHED, UNLOCKED_LOCK_N_GO, UNLATCHING, MOTOR_BLOCKED = 5, 6, 7, 254
ONLINE, RTO_ACTIVE, OPEN, OPENING = 1, 3, 5, 7
UNLOCK, LOCK, UNLATCH, LOCK_N_GO, LOCK_N_GO_UNLATCH = 1, 2, 3, 4, 5
ACTIVATE_RTO, DEACTIVATE_RTO, STRIKE, ACTIVATE_CM, DEACTIVATE_CM = 1, 2, 3, 4, 5

RING_S = 30.0  # Bridge API 1.13.2 section 5, /list: ringactionState is reset after 30 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds; typical values from the reference, section 4.2."""

    answer_s: float = 0.05
    read_s: float = 2.0
    unreachable_s: float = 10.0
    accept_s: float = 0.5
    motor_s: float = 3.0
    strike_s: float = 1.0
    unlatched_s: float = 3.0
    lock_n_go_s: float = 20.0
    callback_s: float = 0.2
    auth_window_s: float = 30.0
    reboot_s: float = 45.0

    def scaled(self, factor: float) -> Self:
        """The same with every duration multiplied."""
        return replace(self, **{name: getattr(self, name) * factor for name in self.__dataclass_fields__})


class Facts(NamedTuple):
    """What can be read of a device at one moment."""

    state: int
    mode: int
    door: int | None
    battery_level: int | None
    battery_critical: bool
    battery_charging: bool | None
    keypad_critical: bool | None
    ring_at: float | None
    is_ringing: bool


class Step(NamedTuple):
    """One step of a motor's way: how long after its start, and what is so then; None leaves it."""

    after_s: float
    state: int | None = None
    mode: int | None = None


@dataclass(kw_only=True, eq=False)
class SimulatedDevice(ABC):
    """What locks and Openers share; put it into a house with `House.add`.

    `turns` counts the orders that moved the device, `unlatches` those among them that open the door; turning
    by hand counts as neither. `wakeups` counts reads over Bluetooth. A name in bytes is written as it is.
    """

    nuki_id: int
    device_type: int
    name: str | bytes
    firmware: str | None
    state: int
    mode: int = DOOR_MODE
    door: int | None = None
    ring_at: float | None = None
    is_ringing: bool = False
    battery_level: int | None = None
    battery_critical: bool = False
    battery_charging: bool | None = None
    keypad_critical: bool | None = None
    rssi_dbm: int = -60
    turns: int = 0
    unlatches: int = 0
    wakeups: int = 0
    house: "House | None" = field(default=None, init=False, repr=False)

    @property
    def facts(self) -> Facts:
        """What can be read of the device now."""
        return Facts(
            state=self.state,
            mode=self.mode,
            door=self.door,
            battery_level=self.battery_level,
            battery_critical=self.battery_critical,
            battery_charging=self.battery_charging,
            keypad_critical=self.keypad_critical,
            ring_at=self.ring_at,
            is_ringing=self.is_ringing,
        )

    @abstractmethod
    def order(self, action: int, timing: Timing) -> float:
        """Obey one of the actions 1 to 5; returns the seconds until the device has settled."""

    @abstractmethod
    def order_lock(self, timing: Timing) -> float:
        """Obey the simple action `lock` (Bridge API 1.13.2 section 4.5)."""

    @abstractmethod
    def order_unlock(self, timing: Timing) -> float:
        """Obey the simple action `unlock` (Bridge API 1.13.2 section 4.5)."""

    def turn(self, code: int) -> None:
        """Bring the device to a state by hand; a motor's way under way is given up."""
        self._give_up()
        if self.house is not None:
            self.house.witnesses.tell(self, None)
        self.state = code
        self._changed()

    def set_mode(self, code: int) -> None:
        """Change the mode by hand."""
        self.mode = code
        self._changed()

    def set_battery(
        self,
        *,
        level: int | None = None,
        critical: bool | None = None,
        charging: bool | None = None,
        keypad_critical: bool | None = None,
    ) -> None:
        """Change what is given, leave the rest."""
        self.battery_level = self.battery_level if level is None else level
        self.battery_critical = self.battery_critical if critical is None else critical
        self.battery_charging = self.battery_charging if charging is None else charging
        self.keypad_critical = self.keypad_critical if keypad_critical is None else keypad_critical
        self._changed()

    def _go(self, steps: Sequence[Step], timing: Timing) -> float:
        house = self._home()
        self._give_up()
        self.turns += 1
        for step in steps:
            house.plan(house.now + timing.accept_s + step.after_s, self, partial(self._step, step))
        return timing.accept_s + steps[-1].after_s

    def _step(self, step: Step) -> None:
        self.state = self.state if step.state is None else step.state
        self.mode = self.mode if step.mode is None else step.mode
        self._changed()

    def _give_up(self) -> None:
        if self.house is not None:
            self.house.forget(self)

    def _changed(self) -> None:
        if self.house is not None:
            self.house.tell(self)

    def _home(self) -> "House":
        if self.house is None:
            raise RuntimeError(f"device {self.nuki_id:08X} is in no house")
        return self.house


@dataclass(kw_only=True, eq=False)
class SimulatedLock(SimulatedDevice):
    """A Smart Lock (types 0, 4 and 5) or Smart Door (3).

    `door` is None without a door sensor. `has_knob`: a knob outside, so that the simple action `unlock`
    unlatches. `is_jammed`: every motor's way ends in "motor blocked". `has_phantom_keypad`: callbacks name a
    keypad's battery that `/list` does not (reference, section 1.5).
    """

    device_type: int = 4
    name: str | bytes = "Front door"
    firmware: str | None = "3.5.6"
    state: int = LOCKED
    battery_level: int | None = 80
    battery_charging: bool | None = False
    has_knob: bool = True
    is_jammed: bool = False
    has_phantom_keypad: bool = False

    def set_door(self, code: int | None) -> None:
        """Move the door, or remove the sensor with None."""
        self.door = code
        self._changed()

    def order(self, action: int, timing: Timing) -> float:
        """Obey one of the actions 1 to 5; returns the seconds until the lock has settled."""
        self._home().witnesses.tell(self, action)
        steps = _lock_way(action, timing)
        if self.is_jammed:
            steps = (steps[0], Step(timing.motor_s, MOTOR_BLOCKED))
        elif action in {UNLATCH, LOCK_N_GO_UNLATCH}:
            self.unlatches += 1
        return self._go(steps, timing)

    def order_lock(self, timing: Timing) -> float:
        """Lock."""
        return self.order(LOCK, timing)

    def order_unlock(self, timing: Timing) -> float:
        """Unlatch with a knob outside, else unlock."""
        return self.order(UNLATCH if self.has_knob else UNLOCK, timing)


@dataclass(kw_only=True, eq=False)
class SimulatedOpener(SimulatedDevice):
    """An Opener (type 2). `ring_at` is what its own clock showed at the last ring, epoch seconds."""

    device_type: int = 2
    name: str | bytes = "Intercom"
    firmware: str | None = "1.10.1"
    state: int = ONLINE

    def ring(self, at: float | None = None) -> None:
        """Ring, `at` on the Opener's clock (the house's, if not given); the state does not change by it."""
        house = self._home()
        self.ring_at = house.now if at is None else at
        self.is_ringing = True
        house.plan(house.now + RING_S, None, partial(self._stop_ringing, self.ring_at))
        self._changed()

    def order(self, action: int, timing: Timing) -> float:
        """Obey one of the actions 1 to 5; returns the seconds until the Opener has settled."""
        self._home().witnesses.tell(self, action)
        if action == STRIKE:
            self.unlatches += 1
        return self._go(_opener_way(action, self.state, timing), timing)

    def order_lock(self, timing: Timing) -> float:
        """End ring-to-open and continuous mode."""
        self._home().witnesses.tell(self, DEACTIVATE_RTO)
        return self._go((Step(0.0, ONLINE, DOOR_MODE),), timing)

    def order_unlock(self, timing: Timing) -> float:
        """Actuate the electric strike."""
        return self.order(STRIKE, timing)

    def _stop_ringing(self, ring_at: float) -> None:
        if self.ring_at == ring_at:
            self.is_ringing = False
            self._changed()


def _lock_way(action: int, timing: Timing) -> tuple[Step, ...]:
    motor, held, left = timing.motor_s, timing.unlatched_s, timing.lock_n_go_s
    ways = {
        UNLOCK: (Step(0.0, UNLOCKING), Step(motor, UNLOCKED)),
        LOCK: (Step(0.0, LOCKING), Step(motor, LOCKED)),
        UNLATCH: (Step(0.0, UNLATCHING), Step(motor, UNLATCHED), Step(motor + held, UNLOCKED)),
        LOCK_N_GO: (
            Step(0.0, UNLOCKING),
            Step(motor, UNLOCKED_LOCK_N_GO),
            Step(motor + left, LOCKING),
            Step(2 * motor + left, LOCKED),
        ),
        LOCK_N_GO_UNLATCH: (
            Step(0.0, UNLATCHING),
            Step(motor, UNLATCHED),
            Step(motor + held, UNLOCKED_LOCK_N_GO),
            Step(motor + held + left, LOCKING),
            Step(2 * motor + held + left, LOCKED),
        ),
    }
    return ways[action]


def _opener_way(action: int, state: int, timing: Timing) -> tuple[Step, ...]:
    back = RTO_ACTIVE if state == RTO_ACTIVE else ONLINE
    struck = timing.strike_s
    ways = {
        ACTIVATE_RTO: (Step(0.0, RTO_ACTIVE),),
        DEACTIVATE_RTO: (Step(0.0, ONLINE),),
        STRIKE: (Step(0.0, OPENING), Step(struck, OPEN), Step(struck + timing.unlatched_s, back)),
        ACTIVATE_CM: (Step(0.0, None, CONTINUOUS_MODE),),
        DEACTIVATE_CM: (Step(0.0, None, DOOR_MODE),),
    }
    return ways[action]


DeviceT = TypeVar("DeviceT", bound=SimulatedDevice)


class House:
    """All devices, the clock they live by (`now`, epoch seconds) and what is yet to happen."""

    def __init__(self, *, now: float) -> None:
        self.now = now
        self.witnesses = Witnesses()
        self._devices: dict[int, SimulatedDevice] = {}
        self._observers: list[Callable[[SimulatedDevice], None]] = []
        self._agenda: list[tuple[float, SimulatedDevice | None, Callable[[], None]]] = []

    @property
    def devices(self) -> tuple[SimulatedDevice, ...]:
        """All devices in the order in which they came."""
        return tuple(self._devices.values())

    def add(self, device: DeviceT) -> DeviceT:
        """Put a device into the house; returns it."""
        device.house = self
        self._devices[device.nuki_id] = device
        self.tell(device)
        return device

    def advance(self, now: float) -> None:
        """Let time pass until `now`; what was planned happens in order. Time never runs backwards."""
        while (at := self.next_change_at()) is not None and at <= now:
            index = min(range(len(self._agenda)), key=lambda index: self._agenda[index][0])
            _, _, happen = self._agenda.pop(index)
            self.now = max(self.now, at)
            happen()
        self.now = max(self.now, now)

    def next_change_at(self) -> float | None:
        """When the next planned change happens."""
        return min((at for at, _, _ in self._agenda), default=None)

    def plan(self, at: float, device: SimulatedDevice | None, happen: Callable[[], None]) -> None:
        """Let something happen at a time; what belongs to a device's motor can be forgotten."""
        self._agenda.append((at, device, happen))

    def forget(self, device: SimulatedDevice) -> None:
        """Give up what the device's motor was about to do."""
        self._agenda = [entry for entry in self._agenda if entry[1] is not device]

    def observe(self, observer: Callable[[SimulatedDevice], None]) -> None:
        """Call `observer` after each change of a device."""
        self._observers.append(observer)

    def ignore(self, observer: Callable[[SimulatedDevice], None]) -> None:
        """Do not call `observer` any more."""
        self._observers.remove(observer)

    def tell(self, device: SimulatedDevice) -> None:
        """Tell all observers that the device has changed."""
        for observer in tuple(self._observers):
            observer(device)
