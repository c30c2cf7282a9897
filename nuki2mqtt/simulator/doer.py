"""Who moves a device: what the log of the Web API tells, and nobody can see on the device itself.

Numbers are those of the Web API's log: trigger and source (reference of the Web API, section 3.6).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from nuki2mqtt.simulator.house import SimulatedDevice

SYSTEM, MANUAL, BUTTON, AUTOMATIC, WEB, APP, AUTO_LOCK, ACCESSORY = range(8)
KEYPAD_ERROR, KEYPAD = 253, 255
NO_SOURCE, CODE, FINGERPRINT, TAP = 0, 1, 2, 3


class Doer(NamedTuple):
    """Who did it: by which way, with what, under which name; `number` is his authorization's on the lock itself."""

    trigger: int
    source: int = NO_SOURCE
    name: str = ""
    number: int | None = None


BY_HAND = Doer(MANUAL)
BY_BUTTON = Doer(BUTTON)
BY_ITSELF = Doer(AUTOMATIC)
BY_AUTO_LOCK = Doer(AUTO_LOCK)
BY_BRIDGE = Doer(SYSTEM, name="Nuki Bridge")
BY_WEB = Doer(WEB, name="Nuki Web")
BY_KEYPAD = Doer(KEYPAD, CODE)  # by a code of which nothing more is known

Witness: TypeAlias = "Callable[[SimulatedDevice, int | None, Doer], None]"


class Witnesses:
    """Those who are told what is done to a device just before it moves: the device, the action, and who does it.

    The action is 1 to 5 for the motor, None where the device is turned by hand. Who does not say who he is counts as
    a Bridge if he orders the motor, else as somebody's hand.
    """

    def __init__(self) -> None:
        self._witnesses: list[Witness] = []
        self._doer: Doer | None = None

    def add(self, witness: Witness) -> None:
        """Tell `witness` from now on."""
        self._witnesses.append(witness)

    def remove(self, witness: Witness) -> None:
        """Tell `witness` no more."""
        self._witnesses.remove(witness)

    @contextmanager
    def doing(self, doer: Doer) -> Iterator[None]:
        """Whatever is done meanwhile, this one does it."""
        before, self._doer = self._doer, doer
        try:
            yield
        finally:
            self._doer = before

    def tell(self, device: "SimulatedDevice", action: int | None) -> None:
        """Somebody is about to do this."""
        nobody = BY_HAND if action is None else BY_BRIDGE
        for witness in tuple(self._witnesses):
            witness(device, action, self._doer or nobody)
