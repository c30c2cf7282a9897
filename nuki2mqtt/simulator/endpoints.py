"""What each endpoint of a Bridge does (Bridge API 1.13.2 section 5; maintenance in section 6).

The caller has been let in already; here an answer is a body (None: empty) and the seconds it takes.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from nuki2mqtt.model.bridge import HARDWARE_BRIDGE, SOFTWARE_BRIDGE
from nuki2mqtt.simulator import bodies
from nuki2mqtt.simulator.bodies import Wire
from nuki2mqtt.simulator.callbacks import SLOTS
from nuki2mqtt.simulator.family import Family
from nuki2mqtt.simulator.faults import FaultName
from nuki2mqtt.simulator.house import SimulatedDevice

if TYPE_CHECKING:
    from nuki2mqtt.simulator.bridge import SimulatedBridge

Query: TypeAlias = Mapping[str, str]
Work: TypeAlias = "tuple[Wire | None, float]"

_ACTIONS = range(1, 6)  # Bridge API 1.13.2 section 4.4
_SWITCH = range(2)
_SIMPLE_ACTIONS = frozenset({"/lock", "/unlock"})
_HARDWARE_ONLY = frozenset({"/configAuth", "/log", "/clearlog", "/reboot", "/fwupdate"})  # reference, section 1.13
_LOG_ENTRIES = 500
_LOG_COUNT = 100  # Bridge API 1.13.2 section 6, /log: count's default


class RefusalError(Exception):
    """The request ends with an HTTP status and its text."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


class Endpoints:
    """The endpoints of one Bridge, by path, and its log."""

    def __init__(self, bridge: "SimulatedBridge") -> None:
        self._bridge = bridge
        self._log: deque[dict[str, Wire]] = deque(maxlen=_LOG_ENTRIES)
        self._by_path: dict[str, Callable[[Query], Work]] = {
            "/auth": self._auth,
            "/configAuth": self._config_auth,
            "/list": self._list,
            "/lockState": self._lock_state,
            "/lockAction": self._lock_action,
            "/lock": self._simple_lock,
            "/unlock": self._simple_unlock,
            "/info": self._info,
            "/callback/add": self._callback_add,
            "/callback/list": self._callback_list,
            "/callback/remove": self._callback_remove,
            "/log": self._show_log,
            "/clearlog": self._clear_log,
            "/reboot": self._reboot,
            "/fwupdate": self._firmware_update,
        }

    def has(self, path: str) -> bool:
        """Whether there is such an endpoint."""
        abilities = self._bridge.abilities
        is_missing = (path in _HARDWARE_ONLY and abilities.is_software) or (
            path in _SIMPLE_ACTIONS and not abilities.has_simple_actions
        )
        return path in self._by_path and not is_missing

    def work(self, path: str, query: Query) -> Work:
        """Do what the endpoint does; raises RefusalError."""
        return self._by_path[path](query)

    @property
    def _answer_s(self) -> float:
        return self._bridge.timing.answer_s

    def _auth(self, _query: Query) -> Work:
        bridge = self._bridge
        if not bridge.auth_enabled:
            raise RefusalError(403)
        if not bridge.button_pressed:
            return {"success": False}, bridge.timing.auth_window_s
        bridge.button_pressed = False
        return {"success": True, "token": bridge.tokens.token}, self._answer_s

    def _config_auth(self, query: Query) -> Work:
        self._bridge.auth_enabled = _number(query, "enable", within=_SWITCH) == 1
        return {"success": True}, self._answer_s

    def _list(self, _query: Query) -> Work:
        bridge = self._bridge
        self._note("HTTP-List")
        entries = (bodies.list_entry(device, bridge.cache.shown(device)) for device in bridge.devices)
        return [bridge.abilities.written(entry) for entry in entries], self._answer_s

    def _lock_state(self, query: Query) -> Work:
        bridge, device = self._bridge, self._device(query)
        self._note("HTTP-LockState", {"nukiId": f"{device.nuki_id:08X}"})
        if not bridge.cache.is_reachable(device):
            return {"success": False}, bridge.timing.unreachable_s
        bridge.wakeups += 1
        device.wakeups += 1
        stuck = bridge.faults.find(FaultName.STUCK_STATE, nuki_id=device.nuki_id)
        if stuck is not None:
            stuck.end()
        bridge.catch_up(device.nuki_id)
        body = bodies.lock_state(device, bridge.abilities.visible(device.facts))
        return bridge.abilities.written(body), bridge.timing.read_s

    def _lock_action(self, query: Query) -> Work:
        device = self._device(query)
        action = _number(query, "action", within=_ACTIONS)
        self._note("HTTP-LockActionStart", {"action": action})
        return self._order(device, query, lambda: device.order(action, self._bridge.timing))

    def _simple_lock(self, query: Query) -> Work:
        device = self._device(query)
        return self._order(device, query, lambda: device.order_lock(self._bridge.timing))

    def _simple_unlock(self, query: Query) -> Work:
        device = self._device(query)
        return self._order(device, query, lambda: device.order_unlock(self._bridge.timing))

    def _order(self, device: SimulatedDevice, query: Query, order: Callable[[], float]) -> Work:
        bridge = self._bridge
        is_waiting = _number(query, "nowait", default=0, within=_SWITCH) == 0
        if not bridge.cache.is_reachable(device):
            return {"success": False, "batteryCritical": device.battery_critical}, bridge.timing.unreachable_s
        settled_s = bridge.timing.accept_s
        if not bridge.faults.has(FaultName.LOST_ORDERS, nuki_id=device.nuki_id):
            self._note("BLE-SendLockAction", {"nukiId": f"{device.nuki_id:08X}"})
            settled_s = order()
        body: dict[str, Wire] = {"success": True, "batteryCritical": device.battery_critical}
        return body, settled_s if is_waiting else bridge.timing.accept_s

    def _info(self, _query: Query) -> Work:
        bridge = self._bridge
        self._note("HTTP-Info")
        if bridge.abilities.is_software:
            return self._software_info(), self._answer_s
        body: dict[str, Wire] = {
            "bridgeType": HARDWARE_BRIDGE,
            "ids": {"hardwareId": bridge.hardware_id, "serverId": bridge.server_id},
            "versions": {
                "firmwareVersion": bridge.firmware,
                "wifiFirmwareVersion": bridge.wifi_firmware,
            },
            "uptime": int(bridge.house.now - bridge.booted_at),
            "currentTime": bodies.iso(bridge.clock(bridge.house.now)),
        }
        if bridge.abilities.family is Family.V2:  # reference, section 1.6: second generation only
            body["wlanConnected"] = True
        body["serverConnected"] = bridge.server_connected
        body["scanResults"] = self._scan()
        return body, self._answer_s

    def _software_info(self) -> dict[str, Wire]:
        """The keys and their order as recorded of an Android app: times end in Z, no type in the scan."""
        bridge = self._bridge
        return {
            "bridgeType": SOFTWARE_BRIDGE,
            "currentTime": bodies.iso(bridge.clock(bridge.house.now)).removesuffix("+00:00") + "Z",
            "ids": {"serverId": bridge.server_id},
            "scanResults": [dict(sorted(bridge.abilities.written(result).items())) for result in self._scan()],
            "serverConnected": bridge.server_connected,
            "uptime": int(bridge.house.now - bridge.booted_at),
            "versions": {"appVersion": bridge.firmware},
        }

    def _scan(self) -> list[dict[str, Wire]]:
        bridge = self._bridge
        return [
            {
                "deviceType": device.device_type,
                "nukiId": device.nuki_id,
                "name": bodies.ble_name(device),
                "rssi": device.rssi_dbm + bridge.rssi_offset_db,
                "paired": bridge.is_paired(device),
            }
            for device in bridge.house.devices
            if self._is_in_scan(device)
        ]

    def _callback_add(self, query: Query) -> Work:
        url = query.get("url", "")
        if not self._bridge.callbacks.is_acceptable(url):
            raise RefusalError(400)
        return self._bridge.callbacks.add(url), self._answer_s

    def _callback_list(self, _query: Query) -> Work:
        return self._bridge.callbacks.listing(), self._answer_s

    def _callback_remove(self, query: Query) -> Work:
        number = _number(query, "id", within=range(SLOTS))
        return self._bridge.callbacks.remove(number), self._answer_s

    def _show_log(self, query: Query) -> Work:
        offset, count = _number(query, "offset", default=0), _number(query, "count", default=_LOG_COUNT)
        self._note("HTTP-Log")
        return list(self._log)[offset : offset + count], self._answer_s

    def _clear_log(self, _query: Query) -> Work:
        self._log.clear()
        return None, self._answer_s

    def _reboot(self, _query: Query) -> Work:
        self._bridge.restart()
        return None, self._answer_s

    def _firmware_update(self, _query: Query) -> Work:
        return None, self._answer_s

    def _device(self, query: Query) -> SimulatedDevice:
        nuki_id, device_type = _number(query, "nukiId"), _number(query, "deviceType", default=0)
        for device in self._bridge.devices:
            if (device.nuki_id, device.device_type) == (nuki_id, device_type):
                return device
        raise RefusalError(404)

    def _is_in_scan(self, device: SimulatedDevice) -> bool:
        is_missing = self._bridge.faults.has(FaultName.MISSING_FROM_SCAN, nuki_id=device.nuki_id)
        return self._bridge.cache.is_reachable(device) and not is_missing

    def _note(self, what: str, extras: Mapping[str, Wire] | None = None) -> None:
        at = bodies.iso(self._bridge.clock(self._bridge.house.now))
        self._log.appendleft({"timestamp": at, "type": what, **(extras or {})})


def _number(query: Query, key: str, *, default: int | None = None, within: range | None = None) -> int:
    """A decimal parameter; raises RefusalError with 400 where it is missing, no number or out of range."""
    text = query.get(key)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdigit()):
        raise RefusalError(400)
    number = int(text)
    if within is not None and number not in within:
        raise RefusalError(400)
    return number
