"""A house with a cloud, whose every request and answer is held against the vendor's description."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nuki2mqtt.simulator.bridge import Ending, SimulatedBridge
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.web import CloudAnswer, CloudTiming, Conduct, SimulatedCloud
from nuki2mqtt.simulator.web_auth_list import ListedAuth
from nuki2mqtt.simulator.web_device import KnownDevice
from nuki2mqtt.simulator.web_routes import SCOPES
from tests.simulator.openapi import complaints_of_answer, complaints_of_request

NOW = 1_700_000_000.0  # a Tuesday, 22:13:20 UTC
TOKEN = "cloud-token"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
FIXED = CloudTiming(action_s=(1.0, 1.0), write_s=(4.0, 4.0), sync_s=(6.0, 6.0), log_s=(60.0, 60.0), daily_sync_s=86_400)
WHOLE_WEEK = {
    "allowedFromDate": "2023-11-01T00:00:00.000Z",
    "allowedUntilDate": "2023-12-31T00:00:00.000Z",
    "allowedWeekDays": 127,
    "allowedFromTime": 0,
    "allowedUntilTime": 0,
}


@dataclass
class CloudSite:
    """A door with a keypad that a Bridge knows, too, an Opener, and a Wi-Fi lock of which no Bridge knows."""

    house: House
    bridge: SimulatedBridge
    cloud: SimulatedCloud
    door: SimulatedLock
    opener: SimulatedOpener
    wifi: SimulatedLock

    @property
    def front(self) -> KnownDevice:
        return self.cloud.known(self.door.nuki_id)

    @property
    def path(self) -> str:
        """Where the door is in the API."""
        return f"/smartlock/{self.front.smartlock_id}"

    def path_of(self, device: SimulatedLock | SimulatedOpener) -> str:
        return f"/smartlock/{self.cloud.known(device.nuki_id).smartlock_id}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        is_odd: bool = False,
        headers: Mapping[str, str] = AUTHORIZED,
        raw: bytes | None = None,
    ) -> CloudAnswer:
        """Ask now; `is_odd`: the request is wrong on purpose."""
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        if not is_odd:
            assert complaints_of_request(method, path, query or {}, data) == []
        answer = self.cloud.answer(method, path, query or {}, headers, data, self.house.now)
        if answer.ending is Ending.ANSWERED:
            told = complaints_of_answer(method, path, answer.status, answer.content_type, answer.body)
            assert told == []
        return answer

    def get(self, path: str, **query: object) -> Any:
        answer = self.ask("GET", path, query={key: str(value) for key, value in query.items()})
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def done(self, method: str, path: str, body: Any = None) -> None:
        """Demand a 204, which has no body."""
        answer = self.ask(method, path, body)
        assert (answer.status, answer.body) == (204, b"")

    def refused(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, str | None]:
        """The status and the detail of a request that is not taken."""
        answer = self.ask(method, path, body, query=query, is_odd=True)
        says = json.loads(answer.body)
        assert (answer.status >= 400, says["stackTrace"], says["suppressedExceptions"]) == (True, [], [])
        return answer.status, says.get("detailMessage")

    def wait(self, seconds: float) -> None:
        self.house.advance(self.house.now + seconds)

    def codes(self) -> dict[str, int]:
        """Names and codes that the cloud lists for the door."""
        return {one["name"]: one["code"] for one in self.get(f"{self.path}/auth", types=13)}

    def true_codes(self) -> dict[str, int]:
        """Those that the lock has."""
        return {one.name: code for code, one in self.front.memory.codes.items()}

    def entry(self, name: str) -> ListedAuth:
        [one] = [one for one in self.front.auths if one.shown.name == name]
        return one

    def make_code(self, name: str, code: int, **more: Any) -> ListedAuth:
        """A code that is on the lock and in the list."""
        self.done("PUT", f"{self.path}/auth", code_body(name, code, **more))
        self.wait(5)
        return self.entry(name)

    def log(self) -> list[tuple[Any, ...]]:
        """Action, trigger, state, source and name of the door's log, newest first."""
        keys = ("action", "trigger", "state", "source", "name")
        return [tuple(row[key] for key in keys) for row in self.get(f"{self.path}/log")]


def code_body(name: str, code: int, **more: Any) -> dict[str, Any]:
    return {"type": 13, "name": name, "code": code, "remoteAllowed": False, **more}


def make_site(conduct: Conduct | None = None, seed: int = 4) -> CloudSite:
    house = House(now=NOW)
    door = house.add(SimulatedLock(nuki_id=0x3ED0AFC5, device_type=4, door=2, keypad_critical=False))
    opener = house.add(SimulatedOpener(nuki_id=0x1E24DD52))
    bridge = SimulatedBridge(house, hardware_id=1, server_id=2, token="sim123", paired={door.nuki_id, opener.nuki_id})
    wifi = house.add(SimulatedLock(nuki_id=0x1A2B3C4D, device_type=5, name="Wi-Fi", firmware="5.1.2"))
    cloud = SimulatedCloud(house, seed=seed, timing=FIXED, conduct=conduct)
    cloud.tokens[TOKEN] = frozenset(SCOPES)
    for device in (door, opener, wifi):
        cloud.add(device)
    return CloudSite(house, bridge, cloud, door, opener, wifi)
