"""Home Assistant's MQTT discovery: in the device form one message announces a device with all its entities.

In the entity form, which is made of it, each entity has a message of its own (`split_by_entity`).

The entities stand in `homeassistant_entities`; here they are only chosen and written down. Home Assistant
refuses the whole device for one unknown key at the top or in `dev`, so both hold only what its release
2024.12, the first with this form, knows. A message that no longer names an entity does not remove it there;
`render_removal` does.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from nuki2mqtt.model.action import Action, actions_of
from nuki2mqtt.model.bridge import SOFTWARE_BRIDGE, BridgeView
from nuki2mqtt.model.device import Feature, NukiId, kind_of, model_name
from nuki2mqtt.protocol.homeassistant_entities import (
    BRIDGE_ENTITIES,
    DEVICE_ENTITIES,
    GATEWAY_ENTITIES,
    Entity,
)

# Home Assistant's clock travels with the command: its client may deliver it long after it was given.
_TIMED_COMMAND = '{"action":"{{ value }}","ts":"{{ utcnow().isoformat() }}"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryContext:
    """What holds for all announcements; `command_ts` is already resolved from the setting's `auto`."""

    base_topic: str
    prefix: str
    version: str
    open_states: bool
    command_ts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What an announcement says of a device; `topic` is its slug."""

    nuki_id: NukiId
    device_type: int
    name: str
    firmware: str | None
    topic: str
    bridge: NukiId | None
    features: frozenset[Feature]
    permitted: frozenset[Action]


@dataclass(frozen=True, slots=True)
class Discovery:
    """A discovery message, which is published retained, with the platforms of its components by their keys.

    `unseen` are those that are not in it only because the device was not yet seen to have them.
    """

    topic: str
    payload: bytes
    platforms: dict[str, str]
    unseen: dict[str, str]


# Said retained at the topics of one form before the other one is announced, it hands the entities over with their
# IDs and history (Home Assistant 2024.12; both ways).
MIGRATE = b'{"migrate_discovery":true}'


def split_by_entity(discovery: Discovery) -> tuple[Discovery, ...]:
    """The same in the entity form: `<prefix>/<platform>/<device>/<key>/config`, one message for each component."""
    message = json.loads(discovery.payload)
    common = {key: value for key, value in message.items() if key != "cmps"}
    singles = []
    for key, component in message["cmps"].items():
        platform = str(component["p"])
        payload = {name: value for name, value in component.items() if name != "p"} | common
        singles.append(Discovery(entity_topic(discovery.topic, key, platform), _encode(payload), {key: platform}, {}))
    return tuple(singles)


def entity_topic(device_topic: str, key: str, platform: str) -> str:
    """Where one entity of a device is announced in the entity form; the same IDs make it the same entity."""
    prefix, _, device_id, config = device_topic.rsplit("/", 3)
    return f"{prefix}/{platform}/{device_id}/{key}/{config}"


def is_entity_of(topic: str, device_topic: str, components: Mapping[str, str]) -> bool:
    """Whether this is such a topic, at which these components were announced."""
    return any(topic == entity_topic(device_topic, key, platform) for key, platform in components.items())


def render_removal(discovery: Discovery, gone: Mapping[str, str]) -> bytes:
    """The same message, in which some components, keys with their platforms, are taken back."""
    message = json.loads(discovery.payload)
    message["cmps"] |= {key: {"p": platform} for key, platform in gone.items()}
    return _encode(message)


def render_device(facts: DeviceFacts, context: DiscoveryContext) -> Discovery:
    """Announce a lock or an Opener with what was seen of it and what is permitted."""
    base = context.base_topic
    permitted = facts.permitted & frozenset(actions_of(facts.device_type))
    bridge_availability = [] if facts.bridge is None else [f"{base}/bridge/{facts.bridge}/availability"]
    via = _gateway_id(context) if facts.bridge is None else _bridge_id(facts.bridge)
    device = {
        "ids": [_device_id(facts.nuki_id)],
        "name": facts.name or f"Nuki {facts.nuki_id}",
        "mf": "Nuki",
        "mdl": model_name(facts.device_type),
        "sn": str(facts.nuki_id),
        "sw": facts.firmware,
        "via_device": via,
    }
    return _render(
        _device_id(facts.nuki_id),
        device,
        [f"{base}/gateway/state", *bridge_availability, f"{base}/{facts.topic}/availability"],
        _components(_device_id(facts.nuki_id), f"{base}/{facts.topic}", _offered(facts), permitted, context),
        context,
        {entity.key: entity.platform for entity in _allowed(facts) if not _is_seen(entity, facts)},
    )


def device_topic(nuki_id: NukiId, context: DiscoveryContext) -> str:
    """Where a device is announced."""
    return _topic(_device_id(nuki_id), context)


def entity_keys(facts: DeviceFacts) -> tuple[str, ...]:
    """The keys of the entities that a device gets, in their order."""
    return tuple(entity.key for entity in _offered(facts))


def _offered(facts: DeviceFacts) -> Iterable[Entity]:
    return (entity for entity in _allowed(facts) if _is_seen(entity, facts))


def _is_seen(entity: Entity, facts: DeviceFacts) -> bool:
    return entity.feature is None or entity.feature in facts.features


def _allowed(facts: DeviceFacts) -> Iterable[Entity]:
    permitted = facts.permitted & frozenset(actions_of(facts.device_type))
    return (
        entity
        for entity in DEVICE_ENTITIES
        if kind_of(facts.device_type) in entity.kinds
        and permitted.issuperset(entity.sends)
        and not (entity.unless and permitted.issuperset(entity.unless))
    )


def render_bridge(view: BridgeView, context: DiscoveryContext) -> Discovery:
    """Announce a Nuki Bridge."""
    is_software = view.bridge_type == SOFTWARE_BRIDGE
    return _render_bridge(
        view.bridge_id, view.name, view.firmware or view.app_version, context, is_software=is_software
    )


@lru_cache(maxsize=16)  # its uptime, which makes another view of every answer, stands in none of it
def _render_bridge(
    bridge_id: NukiId, name: str, version: str | None, context: DiscoveryContext, *, is_software: bool
) -> Discovery:
    base = context.base_topic
    own_id = _bridge_id(bridge_id)
    own_topic = f"{base}/bridge/{bridge_id}"
    device = {
        "ids": [own_id],
        "name": name,
        "mf": "Nuki",
        "mdl": "Software Bridge" if is_software else "Bridge",
        "sn": str(bridge_id),
        "sw": version,
        "via_device": _gateway_id(context),
    }
    return _render(
        own_id,
        device,
        [f"{base}/gateway/state", f"{own_topic}/availability"],
        _components(own_id, own_topic, _bridge_offered(bridge_id, is_software=is_software), frozenset(), context),
        context,
    )


def _bridge_offered(bridge_id: NukiId, *, is_software: bool) -> Iterator[Entity]:
    for entity in BRIDGE_ENTITIES:
        if entity.request is None:
            yield entity
        elif not is_software:  # Bridge API 1.13.2 section 5: it has no /reboot
            payload = _encode({"bridge": str(bridge_id)}).decode()
            yield replace(entity, options={**entity.options, "pl_prs": payload})


def render_gateway(instance: str, context: DiscoveryContext) -> Discovery:
    """Announce this gateway."""
    own_id = _gateway_id(context)
    own_topic = f"{context.base_topic}/gateway"
    device = {
        "ids": [own_id],
        "name": "nuki2mqtt",
        "mf": "nuki2mqtt",
        "mdl": "Gateway",
        "sn": instance,
        "sw": context.version,
    }
    return _render(
        own_id,
        device,
        [f"{own_topic}/state"],
        _components(own_id, own_topic, GATEWAY_ENTITIES, frozenset(), context),
        context,
    )


def _device_id(nuki_id: NukiId) -> str:
    return f"nuki2mqtt_{nuki_id}"


def _bridge_id(bridge_id: NukiId) -> str:
    return f"nuki2mqtt_bridge_{bridge_id}"


def _gateway_id(context: DiscoveryContext) -> str:
    """An ID for each base topic, since two gateways may share one Home Assistant."""
    return "nuki2mqtt_gateway_" + re.sub(r"[^a-zA-Z0-9_-]", "_", context.base_topic)


def _components(
    device_id: str,
    own_topic: str,
    entities: Iterable[Entity],
    permitted: frozenset[Action],
    context: DiscoveryContext,
) -> dict[str, dict[str, object]]:
    return {
        entity.key: _component(f"{device_id}_{entity.key}", own_topic, entity, permitted, context)
        for entity in entities
    }


def _component(
    unique_id: str, own_topic: str, entity: Entity, permitted: frozenset[Action], context: DiscoveryContext
) -> dict[str, object]:
    component: dict[str, object] = {"p": entity.platform, "uniq_id": unique_id, "qos": 1, **entity.options}
    if entity.state is not None:
        component["stat_t"] = own_topic + entity.state
    template = entity.template if context.open_states else entity.template_without_open or entity.template
    if template is not None:
        component["val_tpl"] = template
    if entity.command is not None:
        component["cmd_t"] = own_topic + entity.command
    if entity.command == "/set" and context.command_ts:
        component["cmd_tpl"] = _TIMED_COMMAND
    elif entity.command == "/set":
        component["qos"] = 0  # nothing would tell that it is late, so no client may queue it
    if entity.request is not None:
        component["cmd_t"] = f"{context.base_topic}/gateway/request/{entity.request}"
    if entity.opens is not None and entity.opens in permitted:
        component["pl_open"] = "OPEN"
    return component


def _render(
    device_id: str,
    device: Mapping[str, object],
    availability: list[str],
    components: dict[str, dict[str, object]],
    context: DiscoveryContext,
    unseen: dict[str, str] | None = None,
) -> Discovery:
    payload = {
        "dev": {key: value for key, value in device.items() if value is not None},
        "o": {"name": "nuki2mqtt", "sw": context.version},
        "avty": [{"t": topic} for topic in availability],
        "avty_mode": "all",
        "cmps": components,
    }
    platforms = {key: str(component["p"]) for key, component in components.items()}
    return Discovery(_topic(device_id, context), _encode(payload), platforms, unseen or {})


def _encode(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _topic(device_id: str, context: DiscoveryContext) -> str:
    return f"{context.prefix}/device/{device_id}/config"
