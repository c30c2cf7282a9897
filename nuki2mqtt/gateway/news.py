"""What following the Bridges brings for commands and requests; drained after every event.

`Observation` (in `evidence`) is the other kind: every report, equal ones too.
"""

from dataclasses import dataclass
from typing import Any

from nuki2mqtt.errors import BridgeError, WebError
from nuki2mqtt.gateway.evidence import Observation
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import DeviceEvent
from nuki2mqtt.model.state import DeviceState
from nuki2mqtt.protocol.bridge_api import Answer
from nuki2mqtt.protocol.discovery import Tried
from nuki2mqtt.protocol.web_api import WebAnswer


@dataclass(frozen=True, slots=True)
class OrderSent:
    """An order goes to the wire now."""

    nuki_id: NukiId


@dataclass(frozen=True, slots=True)
class OrderBegun:
    """What it relies on is kept, and it goes to the wire at this time (monotonic) at the earliest."""

    nuki_id: NukiId
    at: float


@dataclass(frozen=True, slots=True)
class OrderEnded:
    """The Bridge at this link answered an order, or did not."""

    nuki_id: NukiId
    link: str
    answer: Answer | BridgeError
    received: float  # monotonic


@dataclass(frozen=True, slots=True)
class OrderHeld:
    """An order waits, since its Bridge could not be asked who it is."""

    nuki_id: NukiId
    error: BridgeError


@dataclass(frozen=True, slots=True)
class ReadEnded:
    """A direct read is over: the state, or None with the error (None: the Bridge did not reach the device).

    `sent` is when it began, monotonic seconds.
    """

    nuki_id: NukiId
    sent: float
    state: DeviceState | None
    error: BridgeError | None = None


@dataclass(frozen=True, slots=True)
class ListEnded:
    """A `/list` of this link is over: its devices, or None where it failed; `is_complete`: all of it was readable."""

    link: str
    devices: frozenset[NukiId] | None
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class AskEnded:
    """What a person asked a Bridge is answered."""

    ask_id: int
    answer: Answer | BridgeError


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """A search for Bridges is over: what was found, the best first, and notes for people."""

    tried: tuple[Tried, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairEnded:
    """A Bridge was asked for a token; why it gave none, None where it did."""

    link: str
    why: str | None


@dataclass(frozen=True, slots=True)
class CloudOrderEnded:
    """The cloud answered an order, or did not; `was_sent`: it went to the wire. `received` is monotonic seconds."""

    nuki_id: NukiId
    answer: WebAnswer | WebError
    was_sent: bool
    received: float


@dataclass(frozen=True, slots=True)
class CloudReadEnded:
    """A read of one device in the cloud is over: its state, None where it brought none. `sent` is monotonic."""

    nuki_id: NukiId
    sent: float
    state: DeviceState | None


@dataclass(frozen=True, slots=True)
class SyncEnded:
    """A forced sync that a person asked for is over: what came of it, or why nothing did."""

    nuki_id: NukiId
    data: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of a device, and when we received the report of it (monotonic seconds).

    `earliest`: when the cloud last said otherwise, where it was the cloud that told it.
    """

    nuki_id: NukiId
    event: DeviceEvent
    received: float
    earliest: float | None = None


News = (
    Observation
    | CloudOrderEnded
    | CloudReadEnded
    | SyncEnded
    | Happening
    | OrderSent
    | OrderBegun
    | OrderEnded
    | OrderHeld
    | ReadEnded
    | ListEnded
    | AskEnded
    | SearchEnded
    | PairEnded
)
