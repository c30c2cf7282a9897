"""A Bridge: its HTTP API, its memory of the devices, its callbacks.

Pure: `answer` is told the time and says after how many seconds the answer comes. Behaves as Bridge API 1.13.2
sections 3.2 and 5 to 8 say, and where the document is silent as the reference collects from the field.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from nuki2mqtt.simulator import bodies
from nuki2mqtt.simulator.callbacks import Callbacks, SimulatedCallback
from nuki2mqtt.simulator.device_cache import DeviceCache
from nuki2mqtt.simulator.endpoints import Endpoints, RefusalError
from nuki2mqtt.simulator.family import Family, abilities_of, family_of
from nuki2mqtt.simulator.faults import FaultName, Faults
from nuki2mqtt.simulator.house import House, SimulatedDevice, Timing
from nuki2mqtt.simulator.token_check import AUTH_PARAMETERS, Mode, TokenCheck, shown_mode

FINAL_STATES = frozenset({1, 3})  # developer.nuki.io, thread 4237: only final states are called back

_DAY_S = 86_400.0
_JSON = "application/json;charset=utf-8"  # reference, section 1.1
_REASONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 503: "Unavailable"}


class Ending(StrEnum):
    """How a request ends."""

    ANSWERED = "answered"
    SILENT = "silent"
    RESET = "reset"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """What becomes of a request; `status` is 0 unless `ANSWERED`, `delay_s` is infinite when `SILENT`."""

    status: int
    body: bytes = b""
    delay_s: float = 0.0
    content_type: str = _JSON
    ending: Ending = Ending.ANSWERED

    @property
    def no_answer(self) -> bool:
        """Whether the connection stays open without an answer."""
        return self.ending is Ending.SILENT


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A request as it came, without what proves the token; `status` is 0 when it got no answer.

    `mode` is how it tried to prove the token, None when it did not. When `ending` is `REFUSED` nothing of it came.
    """

    at: float
    path: str
    query: Mapping[str, str]
    status: int
    mode: Mode | None
    ending: Ending = Ending.ANSWERED


class SimulatedBridge:
    """One Bridge in a house, paired with all devices or with those that `paired` names.

    `firmware` decides what it can do, also which generation it is of, unless `is_software`: then it is the app's
    version, and there is no `hardware_id` to be seen. `modes` are the ways of proving the token, if other ones than
    the firmware's; `called_back` says which states it reports. `rssi_offset_db` is by how much it hears devices better
    than they say (worse, if negative). An answered request occupies the Bridge until its answer is out; what arrives
    before that gets 503.
    """

    def __init__(
        self,
        house: House,
        *,
        hardware_id: int,
        server_id: int,
        token: str,
        firmware: str = "2.18.0",
        wifi_firmware: str = "2.1.17",
        is_software: bool = False,
        modes: Collection[Mode] | None = None,
        paired: Collection[int] | None = None,
        called_back: Collection[int] = FINAL_STATES,
        clock_skew_s: float = 0.0,
        uptime_s: float = 86_400.0,
        timing: Timing | None = None,
    ) -> None:
        self.house = house
        self.hardware_id = hardware_id
        self.server_id = server_id
        self.firmware = firmware
        self.wifi_firmware = wifi_firmware
        self.abilities = abilities_of(Family.SOFTWARE if is_software else family_of(firmware), firmware)
        self.tokens = TokenCheck(token, self.abilities.modes if modes is None else modes)
        self.paired = paired
        self.clock_skew_s = clock_skew_s
        self.timing = Timing() if timing is None else timing
        self.booted_at = house.now - uptime_s
        self.auth_enabled = not is_software  # its token is set in the app (reference, section 1.12)
        self.server_connected = True
        self.rssi_offset_db = 0
        self.wakeups = 0
        self.requests: list[SimulatedRequest] = []
        self.callbacks = Callbacks()
        self.faults = Faults(self)
        self.cache = DeviceCache(self.faults, called_back, lambda: self.clock(house.now), self.abilities)
        self._busy_until = -inf
        self._pressed_until = -inf
        self._is_auth_waiting = False
        self._drift_per_s = 0.0
        self._drifts_since = house.now
        self._endpoints = Endpoints(self)
        self.catch_up()
        house.observe(self._notice)

    def clock(self, now: float) -> float:
        """What the Bridge's own clock shows, epoch seconds."""
        drifted_s = self._drift_per_s * (now - self._drifts_since)
        return now + self.clock_skew_s + self.faults.clock_skew_s + drifted_s

    def set_clock(self, *, skew_s: float | None = None, drift_s_per_day: float | None = None) -> None:
        """Put the Bridge's clock ahead of the house's, or let it run fast (behind and slow, if negative)."""
        now = self.house.now
        drifted_s = self._drift_per_s * (now - self._drifts_since)
        self._drifts_since = now
        self.clock_skew_s = self.clock_skew_s + drifted_s if skew_s is None else skew_s
        if drift_s_per_day is not None:
            self._drift_per_s = drift_s_per_day / _DAY_S

    @property
    def id(self) -> int:
        """The number by which people know it: hardwareId, or serverId of a software Bridge."""
        return self.server_id if self.abilities.is_software else self.hardware_id

    @property
    def button_pressed(self) -> bool:
        """Whether the next `/auth` succeeds. Set to True, it waits for that one however long it takes to come."""
        return self.house.now <= self._pressed_until

    @button_pressed.setter
    def button_pressed(self, is_pressed: bool) -> None:
        self._pressed_until = inf if is_pressed else -inf

    def press_button(self) -> None:
        """Press it now: an `/auth` that waits succeeds, or one that comes within the window of 30 s."""
        self._pressed_until = self.house.now + self.timing.auth_window_s

    def answer_pressed(self, now: float) -> SimulatedAnswer | None:
        """What an `/auth` that waits is answered after the button was pressed; None if there is nothing to say yet."""
        self.house.advance(now)
        if not (self._is_auth_waiting and self.button_pressed):
            return None
        self._is_auth_waiting = False
        return self._replaced("/auth", self._work("/auth", {}, now))

    def answer(self, path: str, query: Mapping[str, str], now: float) -> SimulatedAnswer:
        """Answer a GET request that arrives at `now` (epoch seconds)."""
        self.house.advance(now)
        answer = self._answer(path, query, now)
        shown = {key: value for key, value in query.items() if key not in AUTH_PARAMETERS}
        self.requests.append(SimulatedRequest(now, path, shown, answer.status, shown_mode(query), answer.ending))
        if answer.ending is Ending.ANSWERED and answer.status != 503:
            self._busy_until = now + answer.delay_s
        self.house.advance(now)
        return answer

    def release(self) -> None:
        """The answer is out: the next request may come, whatever the caller's clock says."""
        self._busy_until = -inf
        self._is_auth_waiting = False

    def take_callbacks(self, now: float | None = None) -> list[SimulatedCallback]:
        """What the Bridge owes its callback targets, taken once. Time passes until `now` first, if given."""
        if now is not None:
            self.house.advance(now)
        return self.callbacks.take()

    def call_back(self, nuki_id: int) -> None:
        """Report a device once more, as real Bridges repeat themselves."""
        self._owe(self.device(nuki_id))

    def has_endpoint(self, path: str) -> bool:
        """Whether this Bridge has such an endpoint."""
        return self._endpoints.has(path)

    @property
    def devices(self) -> tuple[SimulatedDevice, ...]:
        """The devices that are paired with this Bridge, in the order of `/list`."""
        return tuple(device for device in self.house.devices if self.is_paired(device))

    def device(self, nuki_id: int) -> SimulatedDevice:
        """A paired device; raises KeyError."""
        for device in self.devices:
            if device.nuki_id == nuki_id:
                return device
        raise KeyError(f"{nuki_id:08X}")

    def is_paired(self, device: SimulatedDevice) -> bool:
        """Whether the device is paired with this Bridge."""
        return self.paired is None or device.nuki_id in self.paired

    def catch_up(self, nuki_id: int | None = None) -> None:
        """Read one device or all, and report what has changed."""
        for device in self.house.devices:
            if nuki_id in {None, device.nuki_id}:
                self._notice(device)

    def stick(self, nuki_id: int, code: int) -> None:
        """Let `/list` show a state that the device does not have."""
        self.cache.stick(self.device(nuki_id), code)

    def restart(self) -> None:
        """Go down now and come back after a while, with all registrations (reference, section 4.1)."""
        self.booted_at = self.house.now + self.timing.reboot_s
        self.house.plan(self.booted_at, None, self.catch_up)

    def boot(self, *, lose_states: bool, lose_callbacks: bool) -> None:
        """Begin a new uptime now."""
        self.booted_at = self.house.now
        self.release()
        if lose_states:
            self.cache.forget_shown()
        if lose_callbacks:
            self.callbacks.forget_all()

    def _answer(self, path: str, query: Mapping[str, str], now: float) -> SimulatedAnswer:
        if self.faults.has(FaultName.REFUSE_CONNECTIONS) or now < self.booted_at:
            return SimulatedAnswer(0, ending=Ending.REFUSED)
        for name, broken in (
            (FaultName.SILENT, SimulatedAnswer(0, delay_s=inf, ending=Ending.SILENT)),
            (FaultName.RESET_CONNECTIONS, SimulatedAnswer(0, ending=Ending.RESET)),
            (FaultName.BUSY, self._refuse(503)),
        ):
            if fault := self.faults.find(name, path=path):
                if fault.acts:
                    self._work(path, query, now)
                return broken
        if now < self._busy_until:
            return self._refuse(503)
        return self._replaced(path, self._work(path, query, now))

    def _replaced(self, path: str, answer: SimulatedAnswer) -> SimulatedAnswer:
        garbage = self.faults.find(FaultName.GARBAGE, path=path)
        if garbage and answer.status == 200:
            return SimulatedAnswer(garbage.status, garbage.body, answer.delay_s)
        return answer

    def _work(self, path: str, query: Mapping[str, str], now: float) -> SimulatedAnswer:
        if not self._endpoints.has(path):
            return self._refuse(400)
        if path != "/auth" and not self._is_token_proved(query, now):
            return self._refuse(401)
        try:
            body, delay_s = self._endpoints.work(path, query)
        except RefusalError as refusal:
            return self._refuse(refusal.status)
        self._is_auth_waiting = path == "/auth" and delay_s >= self.timing.auth_window_s
        return SimulatedAnswer(200, b"" if body is None else bodies.write(body), delay_s)

    def _refuse(self, status: int) -> SimulatedAnswer:
        if status == 401 and self.abilities.is_software:  # reference, section 1.1
            return SimulatedAnswer(status, b'{"error":"invalid api token"}', self.timing.answer_s)
        body = f"HTTP {status} {_REASONS[status]}".encode()
        return SimulatedAnswer(status, body, self.timing.answer_s, "text/plain")

    def _is_token_proved(self, query: Mapping[str, str], now: float) -> bool:
        return not self.faults.has(FaultName.REFUSE_TOKEN) and self.tokens.accepts(query, self.clock(now))

    def _notice(self, device: SimulatedDevice) -> None:
        if self.is_paired(device) and self.house.now >= self.booted_at and self.cache.read(device):
            self._owe(device)

    def _owe(self, device: SimulatedDevice) -> None:
        if not self.faults.has(FaultName.SILENT_CALLBACKS):
            body = bodies.write(self.abilities.written(bodies.callback(device, self.cache.last_read(device))))
            self.callbacks.owe(body, self.house.now, self.timing.callback_s)
