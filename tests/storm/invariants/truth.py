"""(3) After the last fault every retained state is the house's truth, and nothing unvouched is ever `online`.

The words are written here from Bridge API 1.13.2 sections 4.2, 4.3 and 4.6, not taken from our codec.
"""

import json
from typing import Any

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from tests.storm.broker import Taken
from tests.storm.computer import Computer
from tests.storm.invariants.invariant import Invariant
from tests.storm.spec import BASE
from tests.storm.world import Call

LOCK_WORDS = {1: "locked", 2: "unlocking", 3: "unlocked", 4: "locking", 5: "unlatched", 6: "unlocked_lock_n_go",
              7: "unlatching", 254: "motor_blocked"}  # fmt: skip
BELL_WORDS = {1: "online", 3: "rto_active", 5: "open", 7: "opening"}
DOOR_WORDS = {2: "closed", 3: "open"}
SLACK_S = 25.0
BUSY_S = 300.0


class TruthAfterAll(Invariant):
    """What is retained against what is so."""

    name = "3"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._vouched: set[tuple[str, int, int]] = set()  # computer, process, device
        self._listed: dict[int, float] = {}  # by device: the last readable list that a living process got
        self._busy_at = float("-inf")
        self._online_said: set[tuple[str, int]] = set()
        self.checked = 0

    # --- At rest ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        self.checked += 1
        if self._text("gateway/state") != "online":
            self.fail(f"gateway/state is {self._text('gateway/state')}")
        for bridge in self.world.bridges:
            topic = f"bridge/{bridge.hardware_id:08X}/availability"
            if self._text(topic) != "online":
                self.fail(f"{topic} is {self._text(topic)}")
        for name, device in self.world.devices.items():
            self._check_device(name, device)

    def _check_device(self, name: str, device: SimulatedLock | SimulatedOpener) -> None:
        if self._text(f"{name}/availability") != "online":
            self.fail(f"{name}/availability is {self._text(f'{name}/availability')}")
        told, true = self._snapshot(name), self._truth(device)
        wrong = {key: (told.get(key), value) for key, value in true.items() if told.get(key) != value}
        if wrong:
            self.fail(f"{name} is told otherwise than it is (told, true): {wrong}")

    @staticmethod
    def _truth(device: SimulatedLock | SimulatedOpener) -> dict[str, Any]:
        true: dict[str, Any] = {"stale": False, "derived": False, "state_code": device.state}
        if isinstance(device, SimulatedOpener):
            return true | {
                "state": BELL_WORDS[device.state],
                "ring_to_open": device.state == 3,
                "continuous_mode": device.mode == 3,
            }
        door = None if device.door is None else DOOR_WORDS[device.door]
        battery = {"level": device.battery_level, "critical": device.battery_critical, "charging": False}
        return true | {"state": LOCK_WORDS[device.state], "door": door, "battery": battery}

    # --- At every moment ----------------------------------------------------------------------------------------------

    def call_ended(self, call: Call) -> None:
        answer = call.answer
        if answer is None or call.bridge not in self.world.bridges or not call.computer.is_alive:
            return
        if answer.status == 503:
            self._busy_at = self.world.now
        if answer.status != 200:
            return
        for nuki_id in call.listed():
            self._listed[nuki_id] = self.world.now
            self._vouch(call.computer, call.process, nuki_id)
        if call.path == "/lockState" and b'"success": true' in answer.body:
            self._vouch(call.computer, call.process, int(call.params["nukiId"]))

    def called_back(
        self,
        computer: Computer | None,
        bridge: SimulatedBridge,  # noqa: ARG002
        body: bytes,
        status: int,
        *,
        is_forged: bool,  # noqa: ARG002 - who is believed vouches
    ) -> None:
        if computer is not None and computer.process is not None and status == 200:
            self._vouch(computer, computer.process.number, int(json.loads(body)["nukiId"]))

    def _vouch(self, computer: Computer, process: int, nuki_id: int) -> None:
        self._vouched.add((computer.name, process, nuki_id))

    def taken(self, taken: Taken) -> None:
        packet, levels = taken.packet, taken.packet.topic.split("/")
        computer = self._speaker(taken.client_id)
        if computer is None or computer.process is None or not computer.is_alive or levels[0] != BASE:
            return
        life = (computer.name, computer.process.number)
        if packet.topic == f"{BASE}/gateway/state" and packet.payload == b"online" and life not in self._online_said:
            self._online_said.add(life)
            if not self.stage.had_second_gateway(self.world.now):  # or it is that one which vouches
                self._check_beginning(life)
        device = self.world.devices.get(levels[1])
        if device is None or not packet.payload:
            return
        is_online = levels[2:] == ["availability"] and packet.payload == b"online"
        snapshot = json.loads(packet.payload) if len(levels) == 2 else {}
        if (snapshot or self._snapshot(levels[1])).get("nuki_id", device.nuki_id) != device.nuki_id:
            return  # a lock of the same name at a Bridge of somebody else, whom a newcomer cannot tell from ours
        is_fresh = snapshot.get("stale") is False
        if (is_online or is_fresh) and (*life, device.nuki_id) not in self._vouched:
            self.fail(f"{packet.topic} says {packet.payload.decode()[:60]}, and nobody reported in this process")
        if is_online and self._snapshot(levels[1]).get("stale") is not False:
            self.fail(f"{packet.topic} is online over a stale snapshot")

    def _check_beginning(self, life: tuple[str, int]) -> None:
        """Before the first `online` of a process everything remembered is told to be unvouched."""
        for name, device in self.world.devices.items():
            if (*life, device.nuki_id) in self._vouched:
                continue
            if self._text(f"{name}/availability") == "online" or self._snapshot(name).get("stale") is False:
                self.fail(f"gateway/state says online while {name} is still vouched for by a former process")

    def ticked(self) -> None:
        line, main = self.stage.line, self.world.main
        process = main.process
        if line is None or process is None or not main.is_alive or self.world.now - process.began < SLACK_S:
            return
        spec, now = self.world.spec, self.world.now
        if self._text("gateway/state") != "online" or self.stage.is_line_stalled or main.disk_s > 0.1:
            return
        for name, device in self.world.devices.items():
            limit_s = 2 * spec.list_s + 15.0 + SLACK_S
            if now - self._busy_at < limit_s + BUSY_S:
                limit_s += BUSY_S
            age_s = now - max(self._listed.get(device.nuki_id, float("-inf")), process.began)
            if age_s > limit_s and self._text(f"{name}/availability") == "online":
                self.fail(f"{name} is online {age_s:.0f} s after the last readable list")

    def _speaker(self, client_id: str) -> Computer | None:
        return next((one for one in self.world.computers if one.client_id == client_id), None)

    def _text(self, topic: str) -> str | None:
        payload = self.world.retained(f"{BASE}/{topic}")
        return None if payload is None else payload.decode()

    def _snapshot(self, name: str) -> dict[str, Any]:
        payload = self.world.retained(f"{BASE}/{name}")
        return {} if not payload else dict(json.loads(payload))
