"""What stands in our MQTT messages. The contract is docs/topics.md."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from nuki2mqtt.model.action import Action
from nuki2mqtt.model.bridge import HARDWARE_BRIDGE, SOFTWARE_BRIDGE, BridgeView
from nuki2mqtt.model.device import DEVICE_TYPES, NukiId, kind_of
from nuki2mqtt.model.event import BatteryPart, CommandFailure, DeviceEvent, EventType, RingTime, StateChange
from nuki2mqtt.model.state import Battery, Deed, Snapshot

_MAX_NAME = 64

ONLINE = b"online"
OFFLINE = b"offline"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def render_json(body: Any) -> bytes:
    """JSON as UTF-8 in one line."""
    # What cannot be written as UTF-8 (half a character in a name) is shown as a question mark.
    return _ENCODER.encode(body).encode(errors="replace")


def render_time(at: datetime) -> str:
    """UTC with seconds and a Z."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _time(at: datetime | None) -> str | None:
    return None if at is None else render_time(at)


def render_availability(*, is_online: bool) -> bytes:
    """`online` or `offline`."""
    return ONLINE if is_online else OFFLINE


# --- Device -------------------------------------------------------------------------------------------------


def snapshot_body(snapshot: Snapshot) -> dict[str, Any]:
    """The JSON object of a device."""
    body: dict[str, Any] = {
        "id": str(snapshot.nuki_id),
        "nuki_id": snapshot.nuki_id.value,
        "type": snapshot.kind.value,
        "device_type": snapshot.device_type,
        "name": snapshot.name,
    }
    if snapshot.firmware is not None:
        body["firmware"] = snapshot.firmware
    body |= {
        "state": snapshot.state,
        "state_code": snapshot.state_code,
        "lock": snapshot.lock,
        "derived": snapshot.derived,
    }
    if snapshot.mode_code is not None:
        body |= {"mode": snapshot.mode, "mode_code": snapshot.mode_code}
    if snapshot.is_opener:
        body |= {
            "ring_to_open": snapshot.ring_to_open,
            "continuous_mode": snapshot.continuous_mode,
            "ring": _time(snapshot.ring_at),
        }
    else:
        body |= {"door": snapshot.door, "door_code": snapshot.door_code}
    battery = snapshot.battery
    known = {"level": battery.level, "critical": battery.critical, "charging": battery.charging}
    if any(value is not None for value in known.values()):
        body["battery"] = {key: value for key, value in known.items() if value is not None}
    if snapshot.has_keypad:
        body["keypad"] = {"battery_critical": snapshot.keypad_battery_critical}
    if snapshot.door_sensor_battery_critical is not None:
        body["door_sensor"] = {"battery_critical": snapshot.door_sensor_battery_critical}
    if snapshot.deed is not None:
        deed = snapshot.deed
        body |= {"last_action": deed.action, "trigger": deed.trigger, "actor": deed.actor}
    body |= {
        "source": snapshot.source,
        "seen": _time(snapshot.seen),
        "changed": _time(snapshot.changed),
        "stale": snapshot.stale,
        "bridge": None if snapshot.bridge is None else str(snapshot.bridge),
    }
    if snapshot.rssi_dbm is not None:
        body["rssi_dbm"] = snapshot.rssi_dbm
    return body


def render_snapshot(snapshot: Snapshot) -> bytes:
    """The JSON object of a device; keys that its source does not know are absent."""
    return render_json(snapshot_body(snapshot))


def render_attributes(snapshot: Snapshot) -> dict[str, bytes]:
    """The snapshot's leaves as path -> plain payload; null is empty."""
    leaves: dict[str, bytes] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{path}/{key}" if path else key, inner)
        elif value is None:
            leaves[path] = b""
        elif isinstance(value, str):
            leaves[path] = str(value).encode(errors="replace")
        else:
            leaves[path] = json.dumps(value).encode()

    walk("", snapshot_body(snapshot))
    return leaves


def attribute_paths() -> tuple[str, ...]:
    """Every path that a snapshot of any device may have."""
    battery = Battery(0, critical=False, charging=False)
    paths: dict[str, None] = {}
    for device_type in DEVICE_TYPES:
        full = Snapshot(
            nuki_id=NukiId(0),
            device_type=device_type,
            name="",
            firmware="",
            mode_code=0,
            battery=battery,
            has_keypad=True,
            door_sensor_battery_critical=False,
            rssi_dbm=0,
            deed=Deed(),
        )
        paths |= dict.fromkeys(render_attributes(full))
    return tuple(paths)


@dataclass(frozen=True, slots=True)
class RetainedSnapshot:
    """One of our own snapshots as the broker kept it: who it is, and how it is said with `"stale":true`."""

    nuki_id: NukiId
    name: str
    device_type: int
    stale: bytes


def parse_retained_snapshot(body: bytes) -> RetainedSnapshot | None:
    """Read a retained snapshot of ours; None for anything that is not one."""
    try:
        value = json.loads(body)
        nuki_id, name, device_type = NukiId.from_hex(value["id"]), value["name"], value["device_type"]
        is_ours = value["id"] == str(nuki_id) and value.get("nuki_id", nuki_id.value) == nuki_id.value
        stale = render_json(value | {"stale": True})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not is_ours or not isinstance(name, str) or type(device_type) is not int or not 0 <= device_type <= 0xFFFF_FFFF:
        return None
    shown = "".join(char for char in name if char.isprintable())
    return RetainedSnapshot(nuki_id, shown[:_MAX_NAME], device_type, stale)


def _event_details(event: DeviceEvent) -> dict[str, Any]:
    match event.details:
        case StateChange(from_state, to_state, from_code, to_code):
            return {"from": from_state, "to": to_state, "from_code": from_code, "to_code": to_code}
        case RingTime(at):
            return {"ring": _time(at)}
        case BatteryPart() as part:
            return {"part": part}
        case CommandFailure(action, reason):
            return {"action": action, "reason": reason}
        case None:
            return {}


def render_event(event: DeviceEvent) -> bytes:
    """One event as JSON."""
    head = {
        "event_type": event.event_type,
        "at": render_time(event.at),
        "source": event.source,
        "actor": None,
    }
    return render_json(head | _event_details(event))


EVENT_TYPES = tuple(EventType)


# --- Bridge -------------------------------------------------------------------------------------------------

_BRIDGE_TYPES = {HARDWARE_BRIDGE: "hardware", SOFTWARE_BRIDGE: "software"}


@dataclass(frozen=True, slots=True)
class SlotView:
    """One callback slot as shown: only host and port, since a path may be somebody's secret."""

    id: int
    address: str
    is_own: bool


def render_bridge(view: BridgeView, *, started: datetime | None, slots: tuple[SlotView, ...] | None) -> bytes:
    """What is known of a Bridge."""
    shown = None
    if slots is not None:
        shown = [{"id": slot.id, "address": slot.address, "own": slot.is_own} for slot in slots]
    return render_json(
        {
            "id": str(view.bridge_id),
            "name": view.name,
            "address": f"{view.host}:{view.port}",
            "type": None if view.bridge_type is None else _BRIDGE_TYPES.get(view.bridge_type, "unknown"),
            "firmware": view.firmware,
            "wifi_firmware": view.wifi_firmware,
            "app_version": view.app_version,
            "uptime_s": view.uptime_s,
            "started": _time(started),
            "cloud_connected": view.cloud_connected,
            "wlan_connected": view.wlan_connected,
            "callbacks": shown,
        }
    )


# --- Gateway ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInfo:
    """Who this gateway is. `settings` is the public rendering of the settings, without secrets."""

    version: str
    instance: str
    started: datetime
    protocol: str
    settings: dict[str, Any]
    sources: tuple[str, ...] = ("bridge",)


def render_gateway_info(info: GatewayInfo) -> bytes:
    """The retained introduction of this gateway."""
    return render_json(
        {
            "version": info.version,
            "instance": info.instance,
            "started": _precise_time(info.started),
            "protocol": info.protocol,
            "sources": list(info.sources),
            "settings": info.settings,
        }
    )


def _precise_time(at: datetime) -> str:
    # Two gateways are told apart by it, so it carries its microseconds.
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class DeviceListing:
    """One line of `gateway/devices`."""

    nuki_id: NukiId
    name: str
    topic: str
    device_type: int
    permitted: frozenset[Action]
    sources: tuple[str, ...] = ("bridge",)


def render_devices(devices: tuple[DeviceListing, ...]) -> bytes:
    """All devices with their topics."""
    return render_json(
        [
            {
                "id": str(device.nuki_id),
                "name": device.name,
                "topic": device.topic,
                "type": kind_of(device.device_type).value,
                "sources": list(device.sources),
                "permitted": [action for action in Action if action in device.permitted],
            }
            for device in devices
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeHealth:
    """How one Bridge fares. Counters run since the start; `clock_skew_s` is its clock minus ours.

    What waits comes and goes with every request, so that `queue` does not count in comparisons.
    """

    bridge_id: NukiId | None
    address: str
    is_reachable: bool
    busy_answers: int
    forced_reads: int
    lost_callbacks: int
    unconfirmed_hints: int
    callback: str
    clock_skew_s: int | None
    queue: int = field(compare=False)
    auth: str | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudHealth:
    """How Nuki's cloud fares. Counters run since the start; what moves always does not count in comparisons.

    `is_reachable` is None before the first answer; `scopes_missing` are rights that the token lacks.
    """

    is_reachable: bool | None
    problem: str | None
    requests: int = field(compare=False)
    failures: int
    throttled: int
    forced_syncs: int
    scopes_missing: tuple[str, ...]
    refused_devices: tuple[NukiId, ...]
    queue: int = field(compare=False)
    poll_s: float
    has_webhooks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayHealth:
    """How the gateway fares; `events_waiting` does not count in comparisons, as with `BridgeHealth.queue`."""

    instance: str
    started: datetime
    bridges: tuple[BridgeHealth, ...]
    protocol: str | None
    connections_lost: int
    events_waiting: int = field(compare=False)
    events_dropped: int
    state_file: str | None
    needs_pairing: bool
    command_clock_skew_s: float | None = None
    cloud: CloudHealth | None = None


def render_health(health: GatewayHealth) -> bytes:
    """The retained report on the gateway's own state."""
    return render_json(
        {
            "instance": health.instance,
            "started": _precise_time(health.started),
            "bridges": [
                {
                    "id": None if bridge.bridge_id is None else str(bridge.bridge_id),
                    "address": bridge.address,
                    "reachable": bridge.is_reachable,
                    "busy_answers": bridge.busy_answers,
                    "forced_reads": bridge.forced_reads,
                    "lost_callbacks": bridge.lost_callbacks,
                    "unconfirmed_hints": bridge.unconfirmed_hints,
                    "callback": bridge.callback,
                    "clock_skew_s": bridge.clock_skew_s,
                    "queue": bridge.queue,
                    "auth": bridge.auth,
                    "problem": bridge.problem,
                }
                for bridge in health.bridges
            ],
            "broker": {
                "connected": health.protocol is not None,
                "protocol": health.protocol,
                "connections_lost": health.connections_lost,
                "events_waiting": health.events_waiting,
                "events_dropped": health.events_dropped,
            },
            "cloud": None if health.cloud is None else _cloud(health.cloud),
            "command_clock_skew_s": health.command_clock_skew_s,
            "state_file": health.state_file,
            "needs_pairing": health.needs_pairing,
        }
    )


def _cloud(health: CloudHealth) -> dict[str, Any]:
    return {
        "reachable": health.is_reachable,
        "problem": health.problem,
        "requests": health.requests,
        "failures": health.failures,
        "throttled": health.throttled,
        "forced_syncs": health.forced_syncs,
        "scopes_missing": list(health.scopes_missing),
        "refused_devices": [str(one) for one in health.refused_devices],
        "queue": health.queue,
        "poll_s": health.poll_s,
        "webhooks": health.has_webhooks,
    }


@dataclass(frozen=True, slots=True)
class GatewayClaim:
    """Who says to own a base topic: read from `gateway/info` and `gateway/health`."""

    instance: str
    started: datetime


@lru_cache(maxsize=1)  # our own health comes back each minute, mostly the same
def parse_claim(body: bytes) -> GatewayClaim | None:
    """Read the claim in an info or health message; None where there is none."""
    try:
        value = json.loads(body)
        started = datetime.fromisoformat(value["started"])
        instance = value["instance"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(instance, str) or not instance:
        return None
    if started.tzinfo is None:
        started = started.replace(tzinfo=UTC)
    return GatewayClaim(instance, started)
