"""The overview for people: one line for the gateway, each Bridge and each device, well or with the next step.

Each value is looked at before it is shown, and none can forge a line.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from nuki2mqtt.faces.listed import Listed, shown_name
from nuki2mqtt.faces.overview import BridgeView, DeviceView, Overview
from nuki2mqtt.faces.terminal import printable

_UNAVAILABLE = 'docs/guide-troubleshooting.md, "A lock is unavailable"'
_FAR = 1e9
_SHOWN_SCOPES = 10


class Mark(StrEnum):
    """How a line begins; `FAIL` is why the exit status is not 0."""

    OK = "ok"
    NOTE = "note"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: about what, and the next step where it is not well."""

    mark: Mark
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark:<4}  {self.subject:<8} {self.text}"


def render_lines(overview: Overview, now: datetime) -> Iterator[Line]:
    """The overview for people; `now` is aware UTC."""
    yield _gateway_line(overview, now)
    yield from (_bridge_line(bridge) for bridge in overview.bridges)
    yield from _cloud_line(overview)
    yield from (_device_line(device, now, is_gateway_online=overview.is_online) for device in overview.devices)
    if not overview.devices:
        yield Line(Mark.FAIL, "device", "none is known; see what is said of the Bridges, or the gateway's log")
    yield from _problems(overview)


def _gateway_line(overview: Overview, now: datetime) -> Line:
    if overview.state is None:
        text = "nothing is retained here; is a service running with this broker and this mqtt.base_topic?"
        return Line(Mark.FAIL, "gateway", f"{overview.where}: {text}")
    if not overview.is_online:
        text = f"{overview.state!r}: nobody vouches for what follows; start the service, or see its log"
        return Line(Mark.FAIL, "gateway", f"{overview.where}: {text}")
    info, broker = overview.info, _object(overview.health, "broker")
    parts = [f"{overview.where}: online"]
    parts += [f"version {version}" for version in [_text(info, "version")] if version]
    parts += [f"instance {instance}" for instance in [_text(info, "instance")] if instance]
    started = _time(info.get("started"))
    parts += [] if started is None else [f"since {_shown(started)} ({_age(now - started)})"]
    parts.append(f"MQTT {_text(info, 'protocol') or '?'} (this program {overview.protocol})")
    lost = _number(broker, "connections_lost")
    parts += [f"broker lost {lost} times"] if lost else []
    return Line(Mark.OK, "gateway", ", ".join(parts))


def _bridge_line(bridge: BridgeView) -> Line:
    health = bridge.health
    name, address = _text(bridge.body, "name"), _text(health, "address") or _text(bridge.body, "address")
    who = " ".join(part for part in (bridge.bridge_id, name, f"at {address}" if address else None) if part)
    is_well = bridge.availability == "online"
    parts = [bridge.availability or "not reached yet"]
    firmware, lease = _text(bridge.body, "firmware"), _text(health, "callback")
    parts += [f"firmware {firmware}"] if firmware else []
    parts += [f"callback {lease}"] if lease else []
    skew_s = _number(health, "clock_skew_s")
    parts += [f"clock {skew_s:+d} s"] if skew_s is not None and abs(skew_s) > 5 else []
    problem = _text(health, "problem")
    text = f"{who or 'unknown'}: {', '.join(parts)}{f'. {problem}' if problem else ''}"
    if not is_well and not problem:
        text += "; `nuki2mqtt check` tries it"
    return Line(Mark.FAIL if not is_well else Mark.NOTE if problem else Mark.OK, "bridge", text)


def _cloud_line(overview: Overview) -> Iterator[Line]:
    """Nothing without a token. A note at most: what depends on the cloud is said of each device."""
    cloud = _object(overview.health, "cloud")
    if not cloud or not overview.is_online:
        return
    answers = {True: "answers", False: "does not answer", None: "not asked yet"}
    value = cloud.get("reachable")
    parts = [f"Nuki Web {answers[value if isinstance(value, bool) else None]}"]
    poll_s, syncs = _number(cloud, "poll_s"), _number(cloud, "forced_syncs")
    parts += [f"asked every {poll_s} s"] if poll_s is not None else []
    parts += ["webhooks flow"] if cloud.get("webhooks") is True else []
    parts += [f"{syncs} forced sync{'' if syncs == 1 else 's'}"] if syncs else []
    missing = cloud.get("scopes_missing")
    scopes = [printable(each, 40) for each in missing if isinstance(each, str)] if isinstance(missing, list) else []
    problem = _text(cloud, "problem")
    text = ", ".join(parts) + (f". {problem}" if problem else "")
    if scopes:
        lacking = ", ".join(scopes[:_SHOWN_SCOPES])
        text += f"; the token lacks {lacking}: make one in Nuki Web with the scopes of docs/guide-cloud.md"
    is_well = value is True and not problem and not scopes
    yield Line(Mark.OK if is_well else Mark.NOTE, "cloud", text)


def _device_line(device: DeviceView, now: datetime, *, is_gateway_online: bool) -> Line:
    snapshot = device.snapshot
    name = shown_name(device.listed) if device.listed is not None else _text(snapshot, "name")
    seen = _time(snapshot.get("seen"))
    when = "never seen" if seen is None else f"seen {_shown(seen)} ({_age(now - seen)})"
    is_well = device.is_vouched_for and is_gateway_online
    parts = [*_states(snapshot), when]
    parts += [] if device.listed is None else [_permitted(device.listed)]
    if not is_well:
        listed = "" if device.listed is not None or not is_gateway_online else ", not seen since the gateway's start"
        parts.append(f"NOT vouched for{listed}: see {_UNAVAILABLE}")
    text = f"{printable(device.topic)} ({name or 'no name'}): {', '.join(parts)}"
    return Line(Mark.OK if is_well else Mark.FAIL, "device", text)


def _states(snapshot: Mapping[str, Any]) -> Iterator[str]:
    yield _text(snapshot, "state") or "state unknown"
    if snapshot.get("derived") is True:
        yield "as told, not seen yet"
    if door := _text(snapshot, "door"):
        yield f"door {door}"
    if snapshot.get("ring_to_open") is True:
        yield "ring to open"
    if snapshot.get("continuous_mode") is True:
        yield "continuous mode"
    battery = _object(snapshot, "battery")
    level = _number(battery, "level")
    if level is not None:
        yield f"battery {level} %"
    if battery.get("critical") is True:
        yield "BATTERY LOW"
    for part, words in (("keypad", "KEYPAD BATTERY LOW"), ("door_sensor", "DOOR SENSOR BATTERY LOW")):
        if _object(snapshot, part).get("battery_critical") is True:
            yield words


def _permitted(device: Listed) -> str:
    if not device.permitted:
        return "may be told nothing"
    if device.actions is not None and set(device.actions) == set(device.permitted):
        return "may be told everything"
    return f"may be told {' '.join(device.permitted)}"


def _problems(overview: Overview) -> Iterator[Line]:
    health = overview.health
    if not overview.is_online:
        return
    if not isinstance(health.get("needs_pairing"), bool):
        yield Line(Mark.FAIL, "health", "gateway/health cannot be read; see the gateway's log")
    if not overview.is_listed:
        yield Line(Mark.FAIL, "devices", "gateway/devices cannot be read; see the gateway's log")
    if health.get("needs_pairing") is True:
        text = "a Bridge has no token, or there is none yet: `nuki2mqtt find`, then `nuki2mqtt pair --host HOST`"
        yield Line(Mark.FAIL, "pairing", text)
    if state_file := _text(health, "state_file"):
        text = (
            "what is learnt now (tokens, topics) is lost at the next start: check `state_dir`, its owner and its disk"
        )
        yield Line(Mark.NOTE, "state", f"{state_file}; {text}")


# --- Values of others -----------------------------------------------------------------------------------------------


def _object(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def _text(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    return printable(value) if isinstance(value, str) and value else None


def _number(body: Mapping[str, Any], key: str) -> int | None:
    value = body.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_FAR < value < _FAR:
        return None
    return math.floor(value)


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if at is None else (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _age(age: timedelta) -> str:
    seconds = age.total_seconds()
    if seconds < -1:
        return "in the future: compare the clocks"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
