"""All events (past tense, they say who spoke) and all effects (orders) of the gateway.

An event is what happened in the outside world, an effect what the shell shall do there. Both are plain
values, so that a test can compare whole lists of them. A Bridge is named by its *link*, the configured
`host:port`, since its ID is learnt only at the first contact.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from nuki2mqtt.errors import BridgeError, WebError
from nuki2mqtt.gateway.keypad_wishes import KeypadOperation, KeypadSyncs, KeypadWish
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import Report
from nuki2mqtt.protocol.bridge_api import Answer, BridgeRequest
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.discovery import HostName, Tried
from nuki2mqtt.protocol.web_api import WebAnswer, WebRequest
from nuki2mqtt.protocol.webhooks import Hook

CLOUD = "cloud"  # the link by which the cloud is named among those of the Bridges, which all have a port


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: `monotonic` in seconds for deadlines, `wall` (aware UTC) for people.

    `is_synchronised` is what the kernel says of the wall clock, None where it does not say.
    """

    monotonic: float
    wall: datetime
    is_synchronised: bool | None = None


# --- Memory: what cannot be learnt again (the state file holds it) ----------------------------------


@dataclass(frozen=True, slots=True)
class BridgeMemory:
    """What is remembered of one Bridge, by its link; `at` is where it is now (host:port), if it has moved."""

    bridge_id: NukiId | None = None
    token: Secret | None = None
    auth: AuthMode | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """A device that we have published: its topic, and the name and type it had."""

    topic: str
    name: str
    device_type: int


@dataclass(frozen=True, slots=True)
class CloudDeviceMemory:
    """What is remembered of a device of Nuki's account.

    `no_unlatch`: the cloud said that it cannot be unlatched. `is_alone`: when last looked at no Bridge had it.
    """

    no_unlatch: bool = False
    is_alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A command that was accepted: after a crash it has its end, is not sent again, and repeats that open are refused.

    `key` is what makes another command its repeat, `transaction` its JSON text; both None without. `accepted` is on
    our wall clock. `correlation` is in hex. `opens`: it lets somebody in. `end` is what is said of its end, as JSON,
    once it is known, with `may_have_acted`. `is_ended`: the broker has it. `by_cloud`: it went to the cloud, or
    nowhere, and may be carried out later. `is_dated`: our clock could be believed when it was accepted.
    """

    device: NukiId
    action: Action
    accepted: datetime
    key: str | None = None
    transaction: str | None = None
    response_topic: str | None = None
    correlation: str | None = None
    is_ended: bool = False
    opens: bool = True
    end: str | None = None
    may_have_acted: bool = True
    is_dated: bool = False
    by_cloud: bool = False

    def read_transaction(self) -> object:
        """The transaction as a JSON value; None without one, and for what no process of ours has written."""
        try:
            value = json.loads(self.transaction or "null")
            json.dumps(value, allow_nan=False)
        except (ValueError, RecursionError):
            return None
        return value

    def read_end(self) -> bytes | None:
        """What is said of its end; None before it is known, and for what no process of ours has written."""
        try:
            return self.end.encode() if self.end and isinstance(json.loads(self.end), dict) else None
        except (ValueError, RecursionError):
            return None

    def read_correlation(self) -> bytes | None:
        """The correlation data; None without, and for what no process of ours has written."""
        try:
            return None if self.correlation is None else bytes.fromhex(self.correlation)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that outlives the process.

    `retired_topics` are slugs never to be reused by chance, `journal` the commands that were accepted.
    `announced` is what Home Assistant was told of: by discovery topic, component keys with their platforms. The keypad
    tables are those of `keypad_wishes.KeypadMemory`, `cloud_devices` that of `cloud_commands.CloudAbilities`.
    """

    bridges: dict[str, BridgeMemory] = field(default_factory=dict)
    devices: dict[NukiId, DeviceMemory] = field(default_factory=dict)
    retired_topics: dict[str, NukiId] = field(default_factory=dict)
    journal: dict[str, JournalEntry] = field(default_factory=dict)
    announced: dict[str, dict[str, str]] = field(default_factory=dict)
    keypad_wishes: dict[str, KeypadWish] = field(default_factory=dict)
    keypad_operations: dict[str, KeypadOperation] = field(default_factory=dict)
    keypad_syncs: dict[str, KeypadSyncs] = field(default_factory=dict)
    cloud_devices: dict[NukiId, CloudDeviceMemory] = field(default_factory=dict)


# --- Events -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MqttConnected:
    """The broker accepted us; `protocol` is "5" or "3.1.1"."""

    protocol: str


@dataclass(frozen=True, slots=True)
class MqttSubscribed:
    """The broker acknowledged the subscriptions of this connection."""


@dataclass(frozen=True, slots=True)
class MqttLost:
    """The connection ended or could not be made; the link tries again by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class MqttReceived:
    """A message arrived. `retained` is the broker's retain flag, `received` the monotonic time of its arrival.

    When it came makes no other message of it, so that `received` does not count in comparisons.
    """

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    received: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class MqttPublished:
    """The broker has the message (QoS 1: PUBACK; QoS 0: written)."""

    message_id: int


@dataclass(frozen=True, slots=True)
class MqttRefused:
    """The broker refused one message for good (not authorised, too large)."""

    message_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class BridgeOrdered:
    """An order (a `CallBridge` with `not_after`) goes to the wire from this monotonic time on, and not before."""

    link: str
    call_id: int
    begun: float


@dataclass(frozen=True, slots=True)
class BridgeAnswered:
    """A call to a Bridge ended. `local_host` is our address on that connection, where there was one.

    `received` is the monotonic time of that, as of a message.
    """

    link: str
    call_id: int
    answer: Answer | BridgeError
    local_host: str | None = None
    received: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CallbackReceived:
    """A Bridge knocked at its own callback path; `received` is the monotonic time of that, as of a message."""

    link: str
    report: Report
    received: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CallbackDoorOpened:
    """The callback server listens on this port."""

    port: int


@dataclass(frozen=True, slots=True)
class CallbackDoorFailed:
    """The callback server cannot listen; the reason is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class MemorySaved:
    """The state file holds the newest memory."""


@dataclass(frozen=True, slots=True)
class MemoryNotSaved:
    """The state file could not be written; the gateway goes on without."""

    reason: str


@dataclass(frozen=True, slots=True)
class BridgePaired:
    """A token was handed over by `nuki2mqtt pair`; `replace_bridge`: another Bridge may answer there now."""

    link: str
    token: Secret
    replace_bridge: bool = False


@dataclass(frozen=True, slots=True)
class BridgeAskedToPair:
    """A Bridge was asked for a token (`PairBridge`): None if nobody pressed its button in time."""

    link: str
    outcome: Secret | BridgeError | None


@dataclass(frozen=True, slots=True)
class BridgesFound:
    """A search (`FindBridges`) ended: what was found, the best first, and what a person should know of it."""

    tried: tuple[Tried, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebOrdered:
    """An order (a `CallWeb` with `not_after`) goes to the wire from this monotonic time on, and not before."""

    call_id: int
    begun: float


@dataclass(frozen=True, slots=True)
class WebAnswered:
    """A call to the cloud ended; `received` is the monotonic time of that, `chance` (0 to 1) was thrown by the shell.

    Chance spreads the retries of many gateways after an outage of the cloud.
    """

    call_id: int
    answer: WebAnswer | WebError
    received: float | None = field(default=None, compare=False)
    chance: float = 0.5


@dataclass(frozen=True, slots=True)
class WebhookReceived:
    """The cloud posted this to us, signed with our secret; `received` is the monotonic time of that."""

    hooks: tuple[Hook, ...]
    received: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class WebhookDoorOpened:
    """Webhooks are listened for at this port."""

    port: int


@dataclass(frozen=True, slots=True)
class WebhookDoorFailed:
    """Webhooks cannot be listened for; the reason is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """SIGTERM or SIGINT: tidy up, then stop."""


Event = (
    MqttConnected
    | MqttSubscribed
    | MqttLost
    | MqttReceived
    | MqttPublished
    | MqttRefused
    | BridgeOrdered
    | BridgeAnswered
    | CallbackReceived
    | CallbackDoorOpened
    | CallbackDoorFailed
    | MemorySaved
    | MemoryNotSaved
    | BridgePaired
    | BridgeAskedToPair
    | BridgesFound
    | WebOrdered
    | WebAnswered
    | WebhookReceived
    | WebhookDoorOpened
    | WebhookDoorFailed
    | StopRequested
)


# --- Effects ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Will:
    """The last will: what the broker says when we fall silent (QoS 1, retained)."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic filter; with MQTT 5 it is asked for with retain handling 0.

    With `retain_as_published` a live message that was published with retain arrives flagged, too: wanted for
    commands, not where the flag must tell stored messages from live ones.
    """

    topic_filter: str
    qos: int = 1
    retain_as_published: bool = False


@dataclass(frozen=True, slots=True)
class ConnectMqtt:
    """Be connected with this will and these subscriptions from now on; a running connection ends first."""

    will: Will | None
    subscriptions: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True)
class Publish:
    """Say this; `MqttPublished` or `MqttRefused` with the same id follows, or `MqttLost`."""

    message_id: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class CallBridge:
    """Ask a Bridge; `BridgeAnswered` with the same link and id follows, always.

    After `not_after` (monotonic seconds) not a byte is to be written: then the answer is `TOO_LATE`.
    """

    link: str
    call_id: int
    request: BridgeRequest
    auth: AuthMode
    token: Secret
    not_after: float | None = None


@dataclass(frozen=True, slots=True)
class ReachBridge:
    """From now on this Bridge is to be asked at this address; a configured one is known from the start."""

    link: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class FindBridges:
    """Search in the ways of the settings, for these host names, too; `BridgesFound` follows, always.

    What is at one of the `followed` addresses, or has one of these IDs, is followed already and is not asked.
    """

    names: tuple[HostName, ...] = ()
    followed: frozenset[str] = frozenset()
    followed_ids: frozenset[NukiId] = frozenset()


@dataclass(frozen=True, slots=True)
class PairBridge:
    """Ask this Bridge for a token, which takes the press of its button (30 s); `BridgeAskedToPair` follows, always."""

    link: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class CallWeb:
    """Ask the cloud; `WebAnswered` with the same id follows, unless it is dropped.

    After `not_after` (monotonic seconds) not a byte is to be written: then the answer is `TOO_LATE`.
    """

    call_id: int
    request: WebRequest
    token: Secret
    not_after: float | None = None


@dataclass(frozen=True, slots=True)
class DropWeb:
    """Do not wait for this call any more: it only reads, and something urgent is to go. An answer is ignored."""

    call_id: int


@dataclass(frozen=True, slots=True)
class OpenWebhookDoor:
    """Listen for webhooks, as the settings say."""


@dataclass(frozen=True, slots=True)
class CallbackPath:
    """A path at which one Bridge may knock, and the host it is expected from."""

    path: Secret
    link: str
    host: str


@dataclass(frozen=True, slots=True)
class OpenCallbackDoor:
    """Listen for callbacks on these paths."""

    paths: tuple[CallbackPath, ...]


@dataclass(frozen=True, slots=True)
class Remember:
    """Write this memory to the state file."""

    memory: Memory


class Level(StrEnum):
    """Log levels."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Log:
    """Tell the person who reads the log."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class SetLogLevel:
    """Log from this level on."""

    level: Level


@dataclass(frozen=True, slots=True)
class Stop:
    """Everything is tidied up: end the process."""


Effect = (
    ConnectMqtt
    | Publish
    | CallBridge
    | ReachBridge
    | FindBridges
    | PairBridge
    | CallWeb
    | DropWeb
    | OpenWebhookDoor
    | OpenCallbackDoor
    | Remember
    | Log
    | SetLogLevel
    | Stop
)
