"""The fixed course of `nuki2mqtt demo --once`: what happens, and what has to be said on MQTT about it.

It listens and commands as any other client would. Every step waits for all that is expected of it; what does not come
is told in the end, and the exit status says whether anything is missing.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from nuki2mqtt.faces.demo_cloud import PATIENCE_S as CLOUD_PATIENCE_S
from nuki2mqtt.faces.demo_cloud import Visit, came, gone, made
from nuki2mqtt.faces.demo_home import BRIDGE_IDS, Home
from nuki2mqtt.faces.demo_witness import PATIENCE_S, Expected, Witness, missing
from nuki2mqtt.model.command import Reason, Status
from nuki2mqtt.protocol.topics import TopicTree
from nuki2mqtt.simulator.script import close_door, lock_by_hand, open_door, ring, unlock_by_hand

AGAIN_S = 1.0
MOST_ATTEMPTS = 6
DEVICES = {"front_door": "1A2B3C4D", "garage": "2B3C4D5E", "intercom": "3C4D5E6F", "studio": "4D5E6F70"}

Tell = Callable[[str], None]


async def play_course(
    home: Home,
    witness: Witness,
    tell: Tell,
    *,
    patience_s: float = PATIENCE_S,
    cloud_patience_s: float = CLOUD_PATIENCE_S,
) -> list[str]:
    """Play the course and end the gateway; what was expected and did not come, in words."""
    course = _Course(home, witness, tell, patience_s, cloud_patience_s)
    await course.play()
    return course.missing


class _Course:
    def __init__(self, home: Home, witness: Witness, tell: Tell, patience_s: float, cloud_patience_s: float) -> None:
        self.missing: list[str] = []
        self._home = home
        self._witness = witness
        self._tell = tell
        self._patience_s = patience_s
        self._cloud_patience_s = cloud_patience_s
        self._tree = TopicTree(home.settings.mqtt.base_topic, home.settings.homeassistant.prefix)

    async def play(self) -> None:
        """The steps, one after the other."""
        await self._expect(at_start(self._tree), since=0)
        await self._cloud()
        await self._by_hand(unlock_by_hand(self._home.front_door), unlocked(self._tree))
        await self._by_hand(open_door(self._home.front_door), opened(self._tree))
        await self._by_hand(close_door(self._home.front_door), closed(self._tree))
        await self._by_hand(lock_by_hand(self._home.front_door), locked(self._tree))
        await self._by_hand(ring(self._home.intercom), rung(self._tree))
        await self._command("unlatch")
        await self._command("lock")
        if self._home.front_door.unlatches != 1:
            self.missing.append(f"one unlatching of the lock itself, not {self._home.front_door.unlatches}")
        begun = len(self._witness.heard)
        self._tell("the gateway takes leave")
        await self._home.stop()
        await self._expect(at_end(self._tree), since=begun)

    async def _cloud(self) -> None:
        """A code for the keypad, and somebody who comes in with it; first of all, since the log tells one by one."""
        visit = Visit(self._home, self._witness, self._tell)
        begun, transaction = await visit.order_code()
        await self._expect(made(self._tree, transaction), since=begun, patience_s=self._cloud_patience_s)
        begun = len(self._witness.heard)
        visit.come()
        await self._expect(came(self._tree), since=begun, patience_s=self._cloud_patience_s)
        begun = len(self._witness.heard)
        visit.go()
        await self._expect(gone(self._tree), since=begun, patience_s=self._cloud_patience_s)

    async def _expect(self, expected: Sequence[Expected], since: int, patience_s: float | None = None) -> None:
        patience_s = self._patience_s if patience_s is None else patience_s
        left = await self._witness.wait_for(expected, since=since, patience_s=patience_s)
        self.missing += [f"{each.what} ({each.topic})" for each in left]
        if not left:
            self._tell(f"seen on MQTT: {', '.join(each.what for each in expected)}")

    async def _by_hand(self, done: str | None, expected: Sequence[Expected]) -> None:
        begun = len(self._witness.heard)
        self._tell(done or "somebody could not do what they wanted")
        self._home.changed()
        await self._expect(expected, since=begun)

    async def _command(self, action: str) -> None:
        """As another client would: in the first seconds of a gateway a command is refused, and given again."""
        self._tell(f"another client sends {action} to front_door")
        begun, transaction = 0, ""
        for attempt in range(MOST_ATTEMPTS):
            begun, transaction = len(self._witness.heard), f"demo-{action}-{attempt}"
            order = {"action": action, "transaction": transaction, "ts": datetime.now(UTC).isoformat()}
            self._witness.say(f"{self._tree.device('front_door')}/set", json.dumps(order).encode())
            answer = Expected("an answer", self._tree.result("front_door"), {"transaction": transaction})
            await self._witness.wait_for([answer], since=begun, patience_s=self._patience_s)
            if missing([refused_as_starting(self._tree, transaction)], self._witness.heard[begun:]):
                break
            await asyncio.sleep(AGAIN_S)
        await self._expect(obeyed(self._tree, action, transaction), since=begun)


# --- What is expected ---------------------------------------------------------------------------------------------


def at_start(tree: TopicTree) -> list[Expected]:
    """Everybody is online and announced."""
    states = {"front_door": ("locked", "closed"), "intercom": ("online", None)}
    expected = [
        Expected("the gateway is online", tree.gateway_state, "online"),
        *(
            Expected(f"Bridge {bridge_id:08X} is online", f"{tree.base}/bridge/{bridge_id:08X}/availability", "online")
            for bridge_id in BRIDGE_IDS
        ),
        Expected("the Bridges call back", tree.gateway_health, {"bridges": [{"callback": "held"}] * len(BRIDGE_IDS)}),
    ]
    for topic, nuki_id in DEVICES.items():
        state, door = states.get(topic, ("locked", None))
        snapshot = {"id": nuki_id, "state": state, "stale": False} | ({} if door is None else {"door": door})
        config = f"{tree.prefix}/device/nuki2mqtt_{nuki_id}/config"
        expected += [
            Expected(f"{topic} is vouched for", tree.availability(topic), "online"),
            Expected(f"{topic} is {state}", tree.device(topic), snapshot),
            Expected(f"{topic} is announced", config, {}),
        ]
    return expected


def unlocked(tree: TopicTree) -> list[Expected]:
    """By hand."""
    changed = {"event_type": "state_changed", "from": "locked", "to": "unlocked", "source": "callback"}
    return [
        Expected("front_door is unlocked", tree.device("front_door"), {"state": "unlocked", "lock": "UNLOCKED"}),
        Expected("an event tells of it", tree.event("front_door"), changed),
    ]


def opened(tree: TopicTree) -> list[Expected]:
    """The door."""
    return [
        Expected("the door is open", tree.device("front_door"), {"door": "open"}),
        Expected("an event tells of it", tree.event("front_door"), {"event_type": "door_opened"}),
    ]


def closed(tree: TopicTree) -> list[Expected]:
    """The door."""
    return [
        Expected("the door is closed", tree.device("front_door"), {"door": "closed"}),
        Expected("an event tells of it", tree.event("front_door"), {"event_type": "door_closed"}),
    ]


def locked(tree: TopicTree) -> list[Expected]:
    """By hand."""
    changed = {"event_type": "state_changed", "from": "unlocked", "to": "locked", "source": "callback"}
    return [
        Expected("front_door is locked", tree.device("front_door"), {"state": "locked", "lock": "LOCKED"}),
        Expected("an event tells of it", tree.event("front_door"), changed),
    ]


def rung(tree: TopicTree) -> list[Expected]:
    """The bell."""
    return [Expected("an event tells of the ring", tree.event("intercom"), {"event_type": "ring"})]


def refused_as_starting(tree: TopicTree, transaction: str) -> Expected:
    """The gateway has only just begun."""
    body = {"transaction": transaction, "status": str(Status.REFUSED), "reason": str(Reason.STARTING)}
    return Expected("the gateway is starting", tree.result("front_door"), body)


def obeyed(tree: TopicTree, action: str, transaction: str) -> list[Expected]:
    """A command has been taken and carried out."""
    state = {"unlatch": "unlocked", "lock": "locked"}[action]
    taken = {"transaction": transaction, "status": str(Status.ACCEPTED), "action": action}
    done = {"transaction": transaction, "status": str(Status.CONFIRMED), "action": action}
    return [
        Expected(f"the {action} is accepted", tree.result("front_door"), taken),
        Expected(f"the {action} is confirmed", tree.result("front_door"), done),
        Expected(f"front_door is {state}", tree.device("front_door"), {"state": state, "derived": False}),
    ]


def at_end(tree: TopicTree) -> list[Expected]:
    """Nothing is vouched for any more."""
    return [
        *(Expected(f"{topic} is offline", tree.availability(topic), "offline") for topic in DEVICES),
        Expected("the gateway is offline", tree.gateway_state, "offline"),
    ]
