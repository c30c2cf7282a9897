"""What a Bridge answers, as values; each can be read from its own JSON.

Source: Bridge API 1.13.2 sections 5 (calls) and 6 (maintenance). The readers raise `UnreadableBody`; a field
that is absent or of a wrong type is None and never an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.model.bridge import SOFTWARE_BRIDGE, CallbackSlot
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.model.state import DeviceState, Report, Source
from nuki2mqtt.protocol import bridge_bodies as bodies
from nuki2mqtt.protocol.bridge_bodies import JsonObject
from nuki2mqtt.protocol.bridge_texts import STARS, clear_log_text, clear_text, is_secret_key

# Bounds of ours, far above what a Bridge sends (three callbacks by section 5, 100 log entries by section 6).
_MOST_TOKEN = 128  # characters, far more than any that was seen
_MAX_DEVICES = 256
_MAX_SCAN_HITS = 256
_MAX_SLOTS = 16
_MAX_LOG_ENTRIES = 1000
_MAX_LOG_DETAILS = 16
_MAX_URL_CHARS = 1024
_MAX_SHORT_CHARS = 32
_MAX_TEXT_CHARS = 80
_LOG_FIELDS = frozenset({"timestamp", "type", "nukiId"})


@dataclass(frozen=True, slots=True)
class AuthAnswer:
    """`/auth`: the token, or None where nobody pressed the button."""

    token: Secret | None

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody."""
        data = bodies.load_object(body)
        if not _required_success(data):
            return cls(None)
        token = data.get("token")
        if not isinstance(token, str) or not 0 < len(token) <= _MOST_TOKEN or not bodies.is_safe(token):
            raise UnreadableBody("success is true, but there is no usable token")
        return cls(Secret(token))


@dataclass(frozen=True, slots=True)
class SuccessAnswer:
    """`/configAuth`, `/unpair`, `/callback/add`, `/callback/remove`: yes or no, and why not.

    `message` is the Bridge's own text, without what looks like a secret.
    """

    success: bool
    message: str | None = field(default=None, repr=False)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody."""
        data = bodies.load_object(body)
        message = data.get("message")
        said = clear_text(message, _MAX_TEXT_CHARS) if isinstance(message, str) else None
        return cls(_required_success(data), said or None)


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """`/lockAction`, `/lock`, `/unlock`: False is a clear no of the device."""

    success: bool
    battery_critical: bool | None = None

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody."""
        data = bodies.load_object(body)
        return cls(_required_success(data), bodies.read_bool(data, "batteryCritical"))


@dataclass(frozen=True, slots=True)
class LockStateAnswer:
    """`/lockState`: what the device said; there is no state where the Bridge did not reach it."""

    success: bool
    state: DeviceState | None = None

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; a readable state without `success` counts as one; raises UnreadableBody."""
        data = bodies.load_object(body)
        state = bodies.read_state(data)
        success = bodies.read_bool(data, "success")
        if success is None:
            if state is None:
                raise UnreadableBody("neither success nor a state number")
            success = True
        # Beside success:false a state could only be the old one, and would be taken for a fresh look.
        return cls(success, state if success else None)


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """`/list`: one report per readable entry, one loggable text per other entry."""

    reports: tuple[Report, ...]
    broken: tuple[str, ...] = ()

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an array."""
        entries = bodies.load_array(body)
        reports: list[Report] = []
        broken: list[str] = []
        for number, entry in enumerate(entries[:_MAX_DEVICES], start=1):
            try:
                reports.append(_report(bodies.as_object(entry)))
            except UnreadableBody as error:
                broken.append(f"entry {number}: {error}")
        if len(entries) > _MAX_DEVICES:
            broken.append(f"{len(entries)} entries, only the first {_MAX_DEVICES} were read")
        return cls(tuple(reports), tuple(broken))


@dataclass(frozen=True, slots=True)
class ScanHit:
    """A device that the Bridge hears by radio, paired or a stranger's; `name` is its radio name."""

    nuki_id: NukiId
    device_type: int | None = None
    name: str = ""
    rssi_dbm: int | None = None
    paired: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoAnswer:
    """`/info`: the Bridge about itself, and what it hears."""

    bridge_type: int | None = None
    hardware_id: NukiId | None = None
    server_id: NukiId | None = None
    firmware: str | None = None
    wifi_firmware: str | None = None
    app_version: str | None = None
    uptime_s: int | None = None
    current_time: datetime | None = None
    wlan_connected: bool | None = None
    server_connected: bool | None = None
    scan: tuple[ScanHit, ...] = ()

    @property
    def bridge_id(self) -> NukiId | None:
        """The ID that people know: printed on a hardware Bridge, the server's one of a software Bridge."""
        if self.bridge_type == SOFTWARE_BRIDGE or self.hardware_id is None:
            return self.server_id
        return self.hardware_id

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an object."""
        data = bodies.load_object(body)
        ids = bodies.read_object(data, "ids")
        versions = bodies.read_object(data, "versions")
        return cls(
            bridge_type=bodies.read_int(data, "bridgeType"),
            hardware_id=bodies.read_nuki_id(ids, "hardwareId"),
            server_id=bodies.read_nuki_id(ids, "serverId"),
            firmware=bodies.read_text(versions, "firmwareVersion", _MAX_SHORT_CHARS),
            wifi_firmware=bodies.read_text(versions, "wifiFirmwareVersion", _MAX_SHORT_CHARS),
            app_version=bodies.read_text(versions, "appVersion", _MAX_SHORT_CHARS),
            uptime_s=bodies.read_int(data, "uptime"),
            current_time=bodies.read_time(data, "currentTime"),
            wlan_connected=bodies.read_bool(data, "wlanConnected"),
            server_connected=bodies.read_bool(data, "serverConnected"),
            scan=tuple(_scan_hits(data)),
        )


@dataclass(frozen=True, slots=True)
class CallbackListAnswer:
    """`/callback/list`: who is called; ids may have gaps."""

    slots: tuple[CallbackSlot, ...]

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it holds no list of callbacks."""
        data = bodies.load_object(body)
        callbacks = data.get("callbacks")
        if not isinstance(callbacks, list):
            raise bodies.not_wanted(data, "callbacks", "an array")
        return cls(tuple(_slots(callbacks)))


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the Bridge's own log; `details` are its other fields as text, in the Bridge's order.

    All texts are without what looks like a secret.
    """

    at: datetime | None
    type: str = field(repr=False)
    nuki_id: NukiId | None = None
    details: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """`/log`: newest first, as the Bridge wrote them."""

    entries: tuple[LogEntry, ...]

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the answer; raises UnreadableBody where it is not an array."""
        entries = bodies.load_array(body)[:_MAX_LOG_ENTRIES]
        return cls(tuple(_log_entry(entry) for entry in entries if isinstance(entry, dict)))


@dataclass(frozen=True, slots=True)
class EmptyAnswer:
    """`/clearlog`, `/fwupdate`, `/reboot`, `/factoryReset` have no body (section 6)."""


Answer = (
    AuthAnswer
    | SuccessAnswer
    | ActionAnswer
    | LockStateAnswer
    | ListAnswer
    | InfoAnswer
    | CallbackListAnswer
    | LogAnswer
    | EmptyAnswer
)


def _required_success(data: JsonObject) -> bool:
    # Without it nobody knows whether the order was taken, which is not the same as a no.
    success = bodies.read_bool(data, "success")
    if success is None:
        raise bodies.not_wanted(data, "success", "true or false")
    return success


def _report(entry: JsonObject) -> Report:
    known = bodies.read_object(entry, "lastKnownState")
    return Report(
        nuki_id=bodies.require_nuki_id(entry),
        source=Source.LIST,
        device_type=bodies.read_int(entry, "deviceType"),
        name=bodies.read_name(entry),
        firmware=bodies.read_text(entry, "firmwareVersion", _MAX_SHORT_CHARS),
        state=bodies.read_state(known),
        at=bodies.read_time(known, "timestamp"),
    )


def _scan_hits(data: JsonObject) -> Iterator[ScanHit]:
    results = data.get("scanResults")
    for result in results[:_MAX_SCAN_HITS] if isinstance(results, list) else ():
        hit = result if isinstance(result, dict) else {}
        nuki_id = bodies.read_nuki_id(hit, "nukiId")
        if nuki_id is None:
            continue
        device_type = bodies.read_int(hit, "deviceType")
        if device_type is None:  # section 5 writes "type" in one of its samples
            device_type = bodies.read_int(hit, "type")
        yield ScanHit(
            nuki_id=nuki_id,
            device_type=device_type,
            name=bodies.read_name(hit) or "",
            rssi_dbm=bodies.read_int(hit, "rssi", low=-255, high=255),
            paired=bodies.read_bool(hit, "paired"),
        )


def _slots(callbacks: list[object]) -> Iterator[CallbackSlot]:
    for callback in callbacks[:_MAX_SLOTS]:
        slot = callback if isinstance(callback, dict) else {}
        slot_id = bodies.read_int(slot, "id")
        url = bodies.read_text(slot, "url", _MAX_URL_CHARS)
        if slot_id is not None and url is not None:
            yield CallbackSlot(slot_id, url)


def _log_entry(entry: JsonObject) -> LogEntry:
    others = [key for key in entry if key not in _LOG_FIELDS][:_MAX_LOG_DETAILS]
    details = [(clear_log_text(key, _MAX_SHORT_CHARS), _log_detail(key, entry[key])) for key in others]
    kind = entry.get("type")
    return LogEntry(
        at=bodies.read_time(entry, "timestamp"),
        type=clear_log_text(kind, _MAX_SHORT_CHARS) if isinstance(kind, str) else "",
        nuki_id=bodies.read_nuki_id(entry, "nukiId"),
        details=tuple(details),
    )


def _log_detail(key: str, value: object) -> str:
    return STARS if is_secret_key(key) else clear_log_text(bodies.detail_text(value), _MAX_TEXT_CHARS)
