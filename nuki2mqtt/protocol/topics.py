"""The topic tree, built and parsed in one place. The contract is docs/topics.md."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from nuki2mqtt.model.device import NukiId

MAX_SLUG = 40
_SUFFIX_LENGTH = 5  # "_" and four hex digits
_MAX_RESPONSE_TOPIC = 512
# On a topic that ends so somebody may read a message as an order (Zigbee2MQTT, discovery, Nuki's own MQTT).
_ORDERING_LEVELS = frozenset({"set", "get", "config", "lockAction"})
_RESERVED = frozenset({"gateway", "bridge"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "ae", "Ö": "oe", "Ü": "ue", "ß": "ss", "ẞ": "ss"})


def slug(name: str, nuki_id: NukiId) -> str:
    """The topic level that a name gives; `nuki_<id>` where it gives none or one that is taken by us."""
    text = unicodedata.normalize("NFC", name).translate(_UMLAUTS)
    text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    text = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:MAX_SLUG].strip("_")
    # The form of the fallback is its owner's alone, whatever others are called.
    if not text or not is_device_topic(text) or re.fullmatch(r"nuki_[0-9a-f]{8}", text):
        return f"nuki_{nuki_id}".lower()
    return text


def is_device_topic(text: str) -> bool:
    """Whether a topic level may be a device's: IDs and our own levels may not."""
    return text not in _RESERVED and re.fullmatch(r"[0-9a-fA-F]{8}", text) is None


def slug_with_id(name: str, nuki_id: NukiId) -> str:
    """The slug with the last four hex digits of the ID, for a name that two devices share."""
    head = slug(name, nuki_id)[: MAX_SLUG - _SUFFIX_LENGTH].strip("_")
    return f"{head}_{str(nuki_id)[-4:].lower()}"


def choose_slugs(names: dict[NukiId, str], taken: Collection[str]) -> dict[NukiId, str]:
    """Topics for devices that are first seen together.

    Equal names among them all get a suffix; beside a topic that is taken (remembered, or once used) only the
    newcomer does.
    """
    plain = {nuki_id: slug(name, nuki_id) for nuki_id, name in names.items()}
    counts: dict[str, int] = {}
    for text in plain.values():
        counts[text] = counts.get(text, 0) + 1
    chosen: dict[NukiId, str] = {}
    used = set(taken)
    for nuki_id, name in names.items():
        candidates = [slug_with_id(name, nuki_id), f"nuki_{nuki_id}".lower()]
        if counts[plain[nuki_id]] == 1:
            candidates.insert(0, plain[nuki_id])
        topic = next(text for text in candidates if text not in used or text == candidates[-1])
        used.add(topic)
        chosen[nuki_id] = topic
    return chosen


class Inbound(Enum):
    """What an arriving topic is."""

    GATEWAY_STATE = auto()
    GATEWAY_INFO = auto()
    GATEWAY_HEALTH = auto()
    SNAPSHOT = auto()
    BRIDGE_AVAILABILITY = auto()
    HOME_ASSISTANT_STATUS = auto()
    SET = auto()
    GET = auto()
    REQUEST = auto()
    KEYPAD_SET = auto()


@dataclass(frozen=True, slots=True)
class TopicTree:
    """Builds and reads our topics below `base`; `prefix` is Home Assistant's."""

    base: str
    prefix: str

    @property
    def gateway_state(self) -> str:
        """Retained, `online` or `offline`, last will."""
        return f"{self.base}/gateway/state"

    @property
    def gateway_info(self) -> str:
        """Retained, who we are and how we are set up."""
        return f"{self.base}/gateway/info"

    @property
    def gateway_devices(self) -> str:
        """Retained, all devices with their topics."""
        return f"{self.base}/gateway/devices"

    @property
    def gateway_health(self) -> str:
        """Retained, at change and each minute."""
        return f"{self.base}/gateway/health"

    def bridge(self, bridge_id: NukiId) -> str:
        """Retained, what is known of a Bridge."""
        return f"{self.base}/bridge/{bridge_id}"

    def bridge_availability(self, bridge_id: NukiId) -> str:
        """Retained, `online` or `offline`."""
        return f"{self.base}/bridge/{bridge_id}/availability"

    def device(self, topic: str) -> str:
        """Retained, the snapshot of a device."""
        return f"{self.base}/{topic}"

    def attribute(self, topic: str, path: str) -> str:
        """Retained, one leaf of the snapshot."""
        return f"{self.base}/{topic}/{path}"

    def availability(self, topic: str) -> str:
        """Retained, whether we vouch for the snapshot."""
        return f"{self.base}/{topic}/availability"

    def event(self, topic: str) -> str:
        """Never retained, what happened just now."""
        return f"{self.base}/{topic}/event"

    def event_late(self, topic: str) -> str:
        """Never retained, what happened too long ago to act on."""
        return f"{self.base}/{topic}/event/late"

    @property
    def home_assistant_status(self) -> str:
        """Where Home Assistant says that it was born."""
        return f"{self.prefix}/status"

    @property
    def snapshots_filter(self) -> str:
        """Matches the snapshots of all devices."""
        return f"{self.base}/+"

    @property
    def bridges_filter(self) -> str:
        """Matches the availability of all Bridges."""
        return f"{self.base}/bridge/+/availability"

    @property
    def command_filters(self) -> tuple[str, ...]:
        """Matches every topic that takes orders."""
        return (
            f"{self.base}/+/set",
            f"{self.base}/+/get",
            f"{self.base}/gateway/request/+",
            f"{self.base}/+/keypad/set",
        )

    def keypad(self, topic: str) -> str:
        """Retained, the keypad codes of a device."""
        return f"{self.base}/{topic}/keypad"

    def keypad_result(self, addressee: str) -> str:
        """Never retained, the life of a keypad order."""
        return f"{self.base}/{addressee}/keypad/result"

    def result(self, addressee: str) -> str:
        """Never retained, the life of a command; `addressee` is a device's level, or what a command named instead."""
        return f"{self.base}/{addressee}/result"

    def response(self, verb: str) -> str:
        """Never retained, the answer to a request."""
        return f"{self.base}/gateway/response/{verb}"

    def addressee(self, topic: str) -> str:
        """Whom a command or `get` names, which request is made: the level that the filter leaves open."""
        levels = topic.removeprefix(f"{self.base}/").split("/")
        return levels[-1] if levels[:2] == ["gateway", "request"] and len(levels) == 3 else levels[0]

    def may_respond(self, topic: str) -> bool:
        """Whether a response topic is nobody's to act on: not ours, not discovery, no command topic of anybody."""
        if not 0 < len(topic) <= _MAX_RESPONSE_TOPIC or any(char in topic for char in "+#$\0"):
            return False
        if any(topic == root or topic.startswith(f"{root}/") for root in (self.base, self.prefix)):
            return False
        return topic.rpartition("/")[2] not in _ORDERING_LEVELS

    def bridge_of(self, topic: str) -> NukiId | None:
        """The Bridge of an availability topic; None if this is none."""
        head, _, tail = topic.removeprefix(f"{self.base}/bridge/").partition("/")
        if not topic.startswith(f"{self.base}/bridge/") or tail != "availability":
            return None
        try:
            bridge_id = NukiId.from_hex(head)
        except ValueError:
            return None
        return bridge_id if str(bridge_id) == head else None

    def parse(self, topic: str) -> Inbound | None:
        """What arrived at a topic that we subscribe to; None for anything else."""
        known = _known_topics(self).get(topic)
        if known is not None:
            return known
        if self.bridge_of(topic) is not None:
            return Inbound.BRIDGE_AVAILABILITY
        if topic.startswith(f"{self.base}/"):
            match topic.removeprefix(f"{self.base}/").split("/"):
                case ["gateway", "request", _]:
                    return Inbound.REQUEST
                case [_, "set"]:
                    return Inbound.SET
                case [_, "get"]:
                    return Inbound.GET
                case [_, "keypad", "set"]:
                    return Inbound.KEYPAD_SET
                case [last] if last:
                    return Inbound.SNAPSHOT
        return None

    def device_topic(self, topic: str) -> str:
        """The device's level of a snapshot topic."""
        return topic.removeprefix(f"{self.base}/")


@lru_cache(maxsize=8)
def _known_topics(tree: TopicTree) -> dict[str, Inbound]:
    return {
        tree.gateway_state: Inbound.GATEWAY_STATE,
        tree.gateway_info: Inbound.GATEWAY_INFO,
        tree.gateway_health: Inbound.GATEWAY_HEALTH,
        tree.home_assistant_status: Inbound.HOME_ASSISTANT_STATUS,
    }
