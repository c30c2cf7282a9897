"""A house whose locks an account of Nuki Web knows, with Bridges or without; told and asked by MQTT."""

import json
from typing import Any

from nuki2mqtt.gateway.vocabulary import CallWeb
from nuki2mqtt.simulator.house import SimulatedLock
from nuki2mqtt.simulator.keypad import NEW_CAPACITY
from nuki2mqtt.simulator.web import CloudTiming, Conduct, SimulatedCloud
from nuki2mqtt.simulator.web_device import KnownDevice
from tests.stories.world import BRIDGE_HOST, TOKEN, Disk, Process, World

WEB_TOKEN = "cloud-token"
USUAL = frozenset({"smartlock.readOnly", "smartlock.action", "smartlock.log", "smartlock.auth"})
HOOK_SECRET = "5ecret-of-the-hook"
HOOK_URL = "https://example.org/nuki"
LOCK = 0x1A2B3C4D
ACTION = "/action"
CLOUD_START_S = 10.0


class CloudHome:
    """One front door in the account; a Bridge knows it, too, if `has_bridge`."""

    def __init__(
        self,
        *,
        has_bridge: bool = False,
        device_type: int = 5,
        has_keypad: bool = True,
        door: int | None = 2,
        scopes: frozenset[str] = USUAL,
        conduct: Conduct | None = None,
        timing: CloudTiming | None = None,
        capacity: int = NEW_CAPACITY,
        has_unlatch: bool = True,
        state: int = 1,
    ) -> None:
        self.world = World()
        self.cloud = self.world.cloud = SimulatedCloud(self.world.house, timing=timing, conduct=conduct)
        self.cloud.tokens[WEB_TOKEN] = scopes
        self.lock = self.world.house.add(
            SimulatedLock(
                nuki_id=LOCK,
                device_type=device_type,
                door=door,
                state=state,
                keypad_critical=False if has_keypad else None,
            )
        )
        self.known: KnownDevice = self.cloud.add(self.lock, capacity=capacity, has_unlatch=has_unlatch)
        self.bridge = self.world.add_bridge() if has_bridge else None
        self.disk = Disk("1234abcd")
        self.settings = ""
        self.process: Process

    # --- Processes ----------------------------------------------------------------------------------------------------

    def config(self, settings: str) -> str:
        bridges = f"bridges:\n  - {{host: {BRIDGE_HOST}, token: {TOKEN}}}\n" if self.bridge is not None else ""
        return f"version: 1\n{bridges}nuki_web:\n  token: {WEB_TOKEN}\n{settings}"

    def start(self, settings: str = "  keypad: {manage: true}\n", *, run_s: float = CLOUD_START_S) -> Process:
        """Start a gateway; lines of `settings` belong to nuki_web, or to the top where they are not indented."""
        self.settings = settings
        self.process = self.world.start_gateway(self.config(settings), self.disk)
        self.world.run(run_s)
        return self.process

    def restart(self, *, run_s: float = CLOUD_START_S) -> Process:
        """Begin anew with what is on the disk; a process that runs still is killed."""
        if self.process.is_alive:
            self.process.kill()
        return self.start(self.settings, run_s=run_s)

    def hook(self) -> None:
        """Have the cloud post to us; to be called before `start`, with `HOOKS` among the settings."""
        from nuki2mqtt.simulator.web_hooks import FEATURES  # noqa: PLC0415

        self.cloud.hooks.add(HOOK_URL, frozenset(FEATURES), HOOK_SECRET)

    # --- Keypad -------------------------------------------------------------------------------------------------------

    def order_code(self, op: str, transaction: Any = "k", **keys: Any) -> None:
        body = {"op": op, "transaction": transaction, **keys}
        self.world.publish("nuki2mqtt/front_door/keypad/set", json.dumps(body))

    def keypad_results(self, transaction: Any = "k") -> list[dict[str, Any]]:
        """What was told of an order; none of it is retained."""
        messages = self.world.messages("nuki2mqtt/front_door/keypad/result")
        assert all(message.qos == 1 and not message.retain for message in messages)
        return [message.json for message in messages if message.json["transaction"] == transaction]

    def keypad_life(self, transaction: Any = "k") -> list[tuple[str, str | None]]:
        """Phase and reason of each step."""
        return [(one["phase"], one["reason"]) for one in self.keypad_results(transaction)]

    def keypad_end(self, transaction: Any = "k") -> tuple[str, str | None]:
        """The one end of an order."""
        steps = self.keypad_results(transaction)
        ends = [one for one in steps if one["status"] != "accepted"]
        assert len(ends) == 1, steps
        assert steps[-1] is ends[0], steps
        return ends[0]["phase"], ends[0]["reason"]

    def codes(self) -> dict[str, tuple[str, str | None]]:
        """The retained list: phase and reason by name."""
        listed = self.world.retained("nuki2mqtt/front_door/keypad") or []
        return {one["name"]: (one["phase"], one["reason"]) for one in listed}

    def on_lock(self) -> dict[str, int]:
        """The codes that open, by their names."""
        return {one.name: code for code, one in self.known.memory.codes.items() if one.enabled}

    # --- What was said and asked --------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> dict[str, Any]:
        found = self.world.retained("nuki2mqtt/front_door")
        assert isinstance(found, dict)
        return found

    @property
    def availability(self) -> str:
        return str(self.world.retained("nuki2mqtt/front_door/availability"))

    def events(self, *types: str, since: float = 0.0) -> list[dict[str, Any]]:
        return [one for one in self.world.events("front_door", since) if one["event_type"] in types or not types]

    def health(self) -> dict[str, Any]:
        found = self.world.retained("nuki2mqtt/gateway/health")
        assert isinstance(found, dict)
        return found

    def orders(self) -> list[int]:
        """The numbers of the actions that reached the cloud, of whatever process."""
        return [
            json.loads(one.body)["action"]
            for one in self.cloud.requests
            if one.method == "POST" and one.path.endswith(ACTION) and one.ending.name != "REFUSED"
        ]

    def asked(self, method: str, ending: str, since: float = 0.0) -> list[float]:
        """When requests like this reached the cloud."""
        found = (one for one in self.cloud.requests if one.method == method and one.path.endswith(ending))
        return [one.at for one in found if one.at >= since]


def is_order(effect: object) -> bool:
    """Whether an effect has the cloud move something."""
    return isinstance(effect, CallWeb) and effect.request.path.endswith(ACTION)
