"""(3) After the last fault every retained state is the house's truth, and nothing unvouched is ever `online`.

While faults last, what is said as fresh is what some source said last, and no older `/list` overrides a callback.

The words are written here from Bridge API 1.13.2 sections 4.2, 4.3 and 4.6, not taken from our codec.
"""

import json
from typing import Any

from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from tests.storm.broker import Packet, Taken
from tests.storm.cloud import WebCall
from tests.storm.computer import Computer
from tests.storm.invariants.invariant import Invariant
from tests.storm.invariants.reports import CALLBACK, GRACE_S, OLDER_S, SKEWED_S, Reports, Words, last_words
from tests.storm.spec import BASE
from tests.storm.world import Call

LOCK_WORDS = {1: "locked", 2: "unlocking", 3: "unlocked", 4: "locking", 5: "unlatched", 6: "unlocked_lock_n_go",
              7: "unlatching", 254: "motor_blocked"}  # fmt: skip
BELL_WORDS = {1: "online", 3: "rto_active", 5: "open", 7: "opening"}
DOOR_WORDS = {2: "closed", 3: "open"}
SLACK_S = 25.0
BUSY_S = 300.0
DERIVED = frozenset({2, 4, 7})  # unlocking, locking, opening: what may be concluded from an order
CLOUD_S = 5000.0  # a token that was refused is tried again after an hour
CLOUD_POLL_S = 300.0  # while webhooks flow it is polled so rarely
DERIVED_S = 200.0  # so long after the order at most: a minute for the answer, confirm_s and a direct read


class TruthAfterAll(Invariant):
    """What is retained against what is so."""

    name = "3"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._vouched: set[tuple[str, int, int]] = set()  # computer, process, device
        self._listed: dict[int, float] = {}  # by device: the last readable list that a living process got
        self._told_by_cloud: dict[int, float] = {}
        self._busy_at = float("-inf")
        self._online_said: set[tuple[str, int]] = set()
        self.checked = 0
        self._reports = Reports()
        self._ordered: dict[tuple[str, int, int], float] = {}
        self._skewed_at = float("-inf")

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
            if self.world.is_bridged(device.nuki_id):
                self._check_device(name, device)
            elif self.world.now - self.stage.ended_at > CLOUD_S:
                self._check_wifi(name, device)

    def _check_wifi(self, name: str, device: SimulatedLock | SimulatedOpener) -> None:
        """What only the cloud tells: as far as it tells it, and after its own patience."""
        told = self._snapshot(name)
        true = {key: value for key, value in self._truth(device).items() if key in {"stale", "state_code", "door"}}
        wrong = {key: (told.get(key), value) for key, value in true.items() if told.get(key) != value}
        if self._text(f"{name}/availability") != "online" or wrong:
            self.fail(
                f"{name} is {self._text(f'{name}/availability')}, told otherwise than it is (told, true): {wrong}"
            )

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

    def call_arrived(self, call: Call) -> None:
        if call.path == "/lockAction" and call.was_written:
            self._ordered[call.computer.name, call.process, int(call.params["nukiId"])] = self.world.now
        elif call.path == "/list" and call.bridge is not None and call.bridge.faults.clock_skew_s:
            self._skewed_at = self.world.now

    def call_ended(self, call: Call) -> None:
        self._reports.hear_call(call)
        answer = call.answer
        if answer is None or call.bridge not in self.world.bridges or not call.computer.is_alive:
            return
        if answer.status == 503:
            self._busy_at = self.world.now
        if answer.status != 200:
            return
        for nuki_id in call.entries:
            self._listed[nuki_id] = self.world.now
            self._vouch(call.computer, call.process, nuki_id)
        if call.path == "/lockState" and b'"success": true' in answer.body:
            self._vouch(call.computer, call.process, int(call.params["nukiId"]))

    def web_ended(self, call: WebCall) -> None:
        if call.is_answered and call.computer.is_alive:
            for nuki_id, row in call.shown().items():
                self._hear_cloud(call.computer, call.process, nuki_id, row.get("state"))

    def hooked(self, computer: Computer, body: bytes, status: int, *, is_forged: bool) -> None:  # noqa: ARG002
        if status == 200 and computer.process is not None:
            said = json.loads(body)
            if "smartlockId" in said:
                nuki_id = int(said["smartlockId"]) & 0xFFFF_FFFF
                self._hear_cloud(computer, computer.process.number, nuki_id, said.get("state"))

    def _hear_cloud(self, computer: Computer, process: int, nuki_id: int, state: object) -> None:
        if isinstance(state, dict) and isinstance(state.get("state"), int):
            self._reports.hear_cloud(computer, process, nuki_id, state["state"])
            self._told_by_cloud[nuki_id] = self.world.now
            self._vouch(computer, process, nuki_id)

    def called_back(
        self,
        computer: Computer | None,
        bridge: SimulatedBridge,  # noqa: ARG002
        body: bytes,
        status: int,
        *,
        is_forged: bool,  # noqa: ARG002 - who is believed vouches
    ) -> None:
        self._reports.hear_callback(computer, body, status)
        if computer is not None and computer.process is not None and status == 200:
            self._vouch(computer, computer.process.number, int(json.loads(body)["nukiId"]))

    def _vouch(self, computer: Computer, process: int, nuki_id: int) -> None:
        self._vouched.add((computer.name, process, nuki_id))

    def said(self, computer: Computer, packet: Packet) -> None:
        """A fresh state is one that a source said last."""
        now, process = self.world.now, computer.process
        if packet.topic.count("/") != 1 or not packet.payload or process is None:
            return
        if now < computer.waits_until + GRACE_S:
            return  # what came meanwhile is still to be taken in
        snapshot = json.loads(packet.payload)
        if snapshot.get("stale") is not False or now < self._skewed_at + SKEWED_S:
            return
        nuki_id, code = int(snapshot["nuki_id"]), snapshot["state_code"]
        if snapshot["derived"]:
            ordered_at = self._ordered.get((computer.name, process.number, nuki_id), float("-inf"))
            if code not in DERIVED or now > ordered_at + DERIVED_S:
                self.fail(f"{packet.topic} concludes state {code} from an order of {now - ordered_at:.0f} s ago")
            return
        words = self._reports.of(computer, process.number, nuki_id)
        if not any(word.state == code for heard in words.values() for word in last_words(heard, now)):
            last = {source: heard[-1].state for source, heard in words.items()}
            self.fail(f"{packet.topic} says state {code}, and what was said last is {last}")
        elif self._is_overridden(computer, process.number, nuki_id, code, words):
            self.fail(f"{packet.topic} says state {code} of an old /list, and a callback has said another since")

    def _is_overridden(self, computer: Computer, process: int, nuki_id: int, code: int, words: Words) -> bool:
        """Whether a later callback, which was taken, says another state than this one of `/list` alone."""
        callbacks = words.get(CALLBACK, ())
        if not callbacks or any(word.state == code or word.at > self.world.now - GRACE_S for word in callbacks[-1:]):
            return False
        at, listed_at = callbacks[-1].at, self._reports.listed_at(computer, process, nuki_id)
        if listed_at is None or listed_at >= at or any(until >= at for _, until in self.stage.second_gateways):
            return False  # it was the first word, or another gateway followed in between
        for source, heard in words.items():
            for word in heard:
                is_young = word.since is None or word.since >= at - OLDER_S
                if source != CALLBACK and word.state == code and word.at >= at - GRACE_S and is_young:
                    return False
        return True

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
        # Two gateways that both find the base free speak at once until one has heard of the other; at rest it is right.
        is_alone = not self.stage.had_second_gateway(self.world.now)
        if is_online and is_alone and self._snapshot(levels[1]).get("stale") is not False:
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
            if not self.world.is_bridged(device.nuki_id):
                continue
            limit_s = 2 * spec.list_s + 15.0 + SLACK_S
            if now - self._busy_at < limit_s + BUSY_S:
                limit_s += BUSY_S
            age_s = now - max(self._listed.get(device.nuki_id, float("-inf")), process.began)
            cloud_age_s = now - self._told_by_cloud.get(device.nuki_id, float("-inf"))
            if cloud_age_s < 2 * max(CLOUD_POLL_S, spec.web_poll_s) + SLACK_S:
                continue  # it vouches, too
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
