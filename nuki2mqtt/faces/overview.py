"""What is retained of one gateway, sorted: itself, its Bridges, its devices.

All of it was written by somebody else: what is not as it should be is left out, and nothing is believed to have a type.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.faces.listed import Listed, read_devices
from nuki2mqtt.faces.retained import Retained, read_json, read_object
from nuki2mqtt.faces.terminal import printable
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.protocol.payloads import attribute_paths, parse_retained_snapshot
from nuki2mqtt.protocol.topics import TopicTree


@dataclass(frozen=True, slots=True)
class DeviceView:
    """What is retained of a device; `listed` None where the running gateway does not list it."""

    topic: str
    listed: Listed | None
    snapshot: Mapping[str, Any]
    availability: str | None

    @property
    def is_vouched_for(self) -> bool:
        """Whether the snapshot can be believed, as far as the device's own topics say."""
        return self.availability == "online" and self.snapshot.get("stale") is False


@dataclass(frozen=True, slots=True)
class BridgeView:
    """What is retained of a Bridge; `health` is its part of `gateway/health`. The ID is None until it is known."""

    bridge_id: str | None
    body: Mapping[str, Any]
    health: Mapping[str, Any]
    availability: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that is retained of one gateway.

    `state` is the word on `gateway/state`, None without one; `is_listed`: whether there is a readable list of devices.
    """

    where: str
    protocol: str
    state: str | None
    info: Mapping[str, Any]
    health: Mapping[str, Any]
    bridges: tuple[BridgeView, ...]
    devices: tuple[DeviceView, ...]
    is_listed: bool

    @property
    def is_online(self) -> bool:
        """Whether a gateway says that it is there."""
        return self.state == "online"

    @property
    def is_well(self) -> bool:
        """Whether a gateway is online, has all its tokens, and vouches for its Bridges and devices."""
        return (
            self.is_online
            and self.health.get("needs_pairing") is False
            and self.is_listed
            and bool(self.devices)
            and all(bridge.availability == "online" for bridge in self.bridges)
            and all(device.is_vouched_for for device in self.devices)
        )


def topic_filters(tree: TopicTree, *, has_attributes: bool) -> tuple[str, ...]:
    """What to read; with `has_attributes` also the single values, for a gateway that writes no JSON snapshots."""
    filters = (
        tree.gateway_state,
        tree.gateway_info,
        tree.gateway_health,
        tree.gateway_devices,
        f"{tree.base}/bridge/+",
        tree.bridges_filter,
        tree.snapshots_filter,
        tree.availability("+"),
    )
    return filters if not has_attributes else (*filters, *(tree.attribute("+", path) for path in attribute_paths()))


# --- Reading --------------------------------------------------------------------------------------------------------


def read_overview(retained: Retained, tree: TopicTree, where: str) -> Overview:
    """Sort what was read; whatever is not as it should be is left out."""
    messages = retained.messages
    health = read_object(messages.get(tree.gateway_health))
    listed = read_devices(messages.get(tree.gateway_devices))
    return Overview(
        where=where,
        protocol=retained.protocol,
        state=_word(messages.get(tree.gateway_state)),
        info=read_object(messages.get(tree.gateway_info)),
        health=health,
        bridges=tuple(_bridges(messages, tree, health)),
        devices=tuple(_devices(messages, tree, listed or ())),
        is_listed=listed is not None,
    )


def _devices(messages: Mapping[str, bytes], tree: TopicTree, known: Sequence[Listed]) -> Iterator[DeviceView]:
    """Those that are listed, in their order, then others that a gateway once published."""
    listed = {device.topic: device for device in known}
    others = sorted(
        tree.device_topic(topic)
        for topic, payload in messages.items()
        if topic.startswith(f"{tree.base}/") and parse_retained_snapshot(payload) is not None
    )
    for topic in dict.fromkeys([*listed, *(level for level in others if "/" not in level)]):
        snapshot = read_object(messages.get(tree.device(topic))) or _from_attributes(messages, tree, topic)
        yield DeviceView(topic, listed.get(topic), snapshot, _word(messages.get(tree.availability(topic))))


def _from_attributes(messages: Mapping[str, bytes], tree: TopicTree, topic: str) -> dict[str, Any]:
    """A snapshot put together from its single values (`mqtt.output: attribute`)."""
    snapshot: dict[str, Any] = {}
    for path in attribute_paths():
        payload = messages.get(tree.attribute(topic, path))
        if payload is None:
            continue
        value = read_json(payload)
        if isinstance(value, dict | list) or value is None:
            value = payload.decode(errors="replace")
        head, _, tail = path.partition("/")
        if tail:
            snapshot.setdefault(head, {})[tail] = value
        else:
            snapshot[head] = value
    return snapshot


def _bridges(messages: Mapping[str, bytes], tree: TopicTree, health: Mapping[str, Any]) -> Iterator[BridgeView]:
    """Those of the gateway's health, which are its configured ones; without a health those of the topics."""
    parts = health.get("bridges")
    parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    if not parts:
        ids = {str(found) for topic in messages if (found := tree.bridge_of(topic)) is not None}
        parts = [{"id": each} for each in sorted(ids)]
    for part in parts:
        bridge_id = _nuki_id(part.get("id"))
        if bridge_id is None:
            yield BridgeView(None, {}, part, None)
        else:
            availability = _word(messages.get(tree.bridge_availability(bridge_id)))
            yield BridgeView(str(bridge_id), read_object(messages.get(tree.bridge(bridge_id))), part, availability)


def _nuki_id(value: Any) -> NukiId | None:
    try:
        return NukiId.from_hex(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _word(payload: bytes | None) -> str | None:
    return None if payload is None else printable(payload.decode(errors="replace"), 40)
