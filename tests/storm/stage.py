"""Where a plan is played: the world, its people, and the episodes that are on."""

import json
from collections import Counter
from typing import Any

import tests.storm.cloud_faults  # noqa: F401 - its kinds are known by it
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.callbacks import SimulatedCallback
from nuki2mqtt.simulator.house import House, SimulatedLock, SimulatedOpener
from tests.storm.broker import Line
from tests.storm.cloud_visits import visit
from tests.storm.faults import KINDS, End, Episode
from tests.storm.keypad_people import KeypadPeople
from tests.storm.people import Order, People
from tests.storm.spec import TOKEN, Spec
from tests.storm.world import Watch, World

Step = dict[str, Any]
MOST_CALLS = 1000


class Stage:
    """Plays the steps of a plan; `injected` and `bit` count the faults by kind."""

    def __init__(self, spec: Spec, watch: Watch) -> None:
        self.world = World(spec, watch)
        self.people = People(self.world)
        self.keypad_people = KeypadPeople(self.world, self.people.client)
        self.injected: Counter[str] = Counter()
        self.bit: Counter[str] = Counter()
        self.delivered = 0
        self.line_stalls = 0  # how many faults keep what is said from coming through
        self.second_gateways: list[tuple[float, float]] = []  # from, and until when it may have been believed
        self.full_disks: list[tuple[float, float]] = []  # from, until
        self.stalled_lines: list[tuple[float, float]] = []  # from, until
        self._held: dict[tuple[int, str], list[list[Any]]] = {}
        self.ends: dict[int, tuple[Episode, End]] = {}
        self._episodes: dict[int, Episode] = {}  # by their number in the plan
        self.ended_at = self.world.now  # when the last fault ended, or the last order was given
        self.requests = 0
        self.web_requests = 0
        self._number = 0
        self._strangers = 0
        self._connected_since = self.world.now
        self._seen_line: Line | None = None

    # --- What faults ask for ------------------------------------------------------------------------------------------

    def bridge(self, step: Step) -> SimulatedBridge:
        """The Bridge that a step names."""
        return self.world.bridges[int(step.get("bridge", 0))]

    @property
    def line(self) -> Line | None:
        """The gateway's connection to the broker."""
        process = self.world.main.process
        line = None if process is None or process.link is None else process.link.line
        return line if line is not None and line.is_open else None

    @property
    def is_connected(self) -> bool:
        """Whether it has one."""
        return self.world.main.is_alive and self.line is not None

    @property
    def is_line_stalled(self) -> bool:
        """Whether what is said does not come through."""
        return self.line_stalls > 0

    def had_second_gateway(self, at: float) -> bool:
        """Whether another gateway may have owned the base then."""
        return any(begins <= at <= until for begins, until in self.second_gateways)

    def had_full_disk(self, at: float, within_s: float = 60.0) -> bool:
        """Whether the state file could not be written then or soon after.

        What is remembered in memory only dies with the process.
        """
        return any(begins <= at + within_s and at <= until for begins, until in self.full_disks)

    def had_stalled_line(self, taken: float, delivered: float) -> bool:
        """Whether what the broker took and we got at these times may have waited on the line."""
        return any(begins <= delivered and taken <= until for begins, until in self.stalled_lines)

    def hold(self, owner: object, name: str, value: object) -> End:
        """Set an attribute until the end; of several faults that do so the last one that lasts has it."""
        layers = self._held.setdefault((id(owner), name), [[getattr(owner, name)]])
        own = [value]
        layers.append(own)
        setattr(owner, name, value)

        def end() -> None:
            layers[:] = [layer for layer in layers if layer is not own]
            setattr(owner, name, layers[-1][0])

        return end

    def connected_since(self, seconds: float) -> bool:
        """Whether the gateway has been connected for so long."""
        is_same = self.is_connected and self.line is self._seen_line
        return is_same and self.world.now - self._connected_since >= seconds

    @property
    def inbox_size(self) -> int:
        """How many events wait for the gateway."""
        return self.world.main.inbox_size

    def tidy_up(self) -> None:
        """Once a minute: forget what nobody asks for any more."""
        world = self.world
        line = self.line
        if line is None or line is not self._seen_line:
            self._seen_line, self._connected_since = line, world.now
        if world.cloud is not None and len(world.cloud.calls) > MOST_CALLS and not self.ends:
            self.web_requests += len(world.cloud.calls) - MOST_CALLS // 2
            del world.cloud.calls[: -MOST_CALLS // 2]
            world.cloud.cloud.requests.clear()
        if len(world.wire.calls) > MOST_CALLS and not self.ends:
            self.requests += len(world.wire.calls) - MOST_CALLS // 2
            world.wire.calls = world.wire.calls[-MOST_CALLS // 2 :]
            for bridge in world.bridges:
                bridge.requests.clear()

    def make_stranger(self, number: int) -> SimulatedBridge:
        """Another Bridge with another lock, which takes the token of ours."""
        self._strangers += 1
        house = House(now=self.world.now)
        house.add(SimulatedLock(nuki_id=0x7A000001, name="Front door", state=3))
        return SimulatedBridge(
            house, hardware_id=0x77000000 + self._strangers, server_id=0x78000000, token=f"{TOKEN}{number}"
        )

    def forge(self, step: Step) -> bool:
        """Knock with what is not so; whether it was believed."""
        world, bridge = self.world, self.bridge(step)
        device = world.devices[step["device"]]
        url = next((url for url in bridge.callbacks.slots if url is not None and world.spec.is_own_url(url)), None)
        if url is None:
            return False
        body = {"deviceType": device.device_type, "nukiId": device.nuki_id, "mode": 2, "state": step["code"]}
        if isinstance(device, SimulatedOpener):
            body["state"] = 3
        text = json.dumps({**body, "stateName": "forged", "batteryCritical": False}).encode()
        senders = {"bridge": world.host_of(bridge), "neighbour": "192.168.1.77", "elsewhere": "203.0.113.9"}
        forged = SimulatedCallback(world.now, url, text)
        return world.deliver_callback(bridge, forged, senders[str(step["sender"])], is_forged=True) == 200

    def stop_broker(self, *, keeps: bool) -> End:
        """The broker goes down; gives what brings it back."""
        broker = self.world.broker
        if broker.is_up:
            broker.stop(keep_retained=keeps, keep_sessions=keeps)

        def start() -> None:
            if not broker.is_up:
                broker.start()

        return start

    # --- Steps --------------------------------------------------------------------------------------------------------

    def play(self, step: Step) -> None:
        """Let a step happen now."""
        self.world.house.advance(self.world.now)
        match step["do"]:
            case "fault":
                self._begin(step)
            case "order":
                self._order(step)
            case "say" if not self._is_content(step):
                self.people.say(step)
            case "code":
                self._order_code(step)
            case "visit":
                self._visit(step)
            case "turn" | "door" | "ring" | "battery" | "mode":
                self._live(step)

    def _begin(self, step: Step) -> None:
        kind = KINDS[step["kind"]]
        episode = Episode(kind.name, self.world.now)
        self.injected[kind.name] += 1
        end = kind.begin(self, step, episode)
        if "number" in step:
            self._episodes[int(step["number"])] = episode
        self._number += 1
        number = self._number
        self.ends[number] = (episode, end)
        self.world.later(float(step["for"]), lambda: self.end(number))

    def end(self, number: int) -> None:
        """End an episode, if it is on."""
        found = self.ends.pop(number, None)
        if found is not None:
            episode, end = found
            self.world.house.advance(self.world.now)
            end()
            self.ended_at = self.world.now
            if episode.hits:
                self.bit[episode.kind] += 1

    def _is_content(self, step: Step) -> bool:
        """Whether somebody who insists has got what he wanted: the fault of that number has bitten."""
        episode = self._episodes.get(int(step.get("insists", 0)))
        return episode is not None and episode.hits > 0

    def _order(self, step: Step) -> Order | None:
        if self._is_content(step) or step["device"] not in self.world.devices:
            return None
        order = self.people.order(step)
        self.ended_at = self.world.now
        for after_s in step.get("again_after_s", ()):
            self.world.later(float(after_s), lambda: self.people.order(step))
        return order

    def _order_code(self, step: Step) -> None:
        self.ended_at = self.world.now
        self.keypad_people.order(step)
        for after_s in step.get("again_after_s", ()):
            self.world.later(float(after_s), lambda: self.keypad_people.order(step))

    def _visit(self, step: Step) -> None:
        if self.world.cloud is not None:
            self.ended_at = self.world.now
            visit(self.world.cloud, step)

    def _live(self, step: Step) -> None:
        device = self.world.devices[step["device"]]
        self.ended_at = self.world.now
        match step["do"]:
            case "turn":
                device.turn(int(step["code"]))
            case "door" if isinstance(device, SimulatedLock):
                device.set_door(int(step["code"]))
            case "ring" if isinstance(device, SimulatedOpener):
                device.ring()
            case "battery":
                device.set_battery(level=int(step["level"]), critical=bool(step["critical"]))
            case "mode":
                device.set_mode(int(step["code"]))
