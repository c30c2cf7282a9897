"""What the demo shows of the cloud: a code for the front door's keypad is made, and somebody comes in with it.

That there is a code, that it is on the lock now, and who came is known to the (simulated) cloud only; that the door was
unlocked the Bridge tells. The Studio's lock has Wi-Fi and no Bridge, so that all of it comes from the cloud.
"""

import asyncio
import json
from collections.abc import Callable

from nuki2mqtt.faces.demo_home import Home
from nuki2mqtt.faces.demo_witness import Expected, Witness, missing
from nuki2mqtt.model.command import Status
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.protocol.topics import TopicTree
from nuki2mqtt.simulator.script import lock_by_hand, unlock_by_hand
from nuki2mqtt.simulator.visitors import enter_code

PATIENCE_S = 30.0  # a poll takes ten, and the log is read 5 s and 15 s after the change
TOPIC, STUDIO = "front_door", "studio"
NAME = "Anna"
AGAIN_S = 1.0
MOST_ATTEMPTS = 6
_CODE = 739_164
_COMES_AFTER_S, _GOES_AFTER_S, _STAYS_AWAY_S = 5.0, 30.0, 120.0

Tell = Callable[[str], object]


class Visit:
    """Anna, her code, and the client that orders it."""

    def __init__(self, home: Home, witness: Witness, tell: Tell) -> None:
        self._home = home
        self._witness = witness
        self._tell = tell
        self._tree = TopicTree(home.settings.mqtt.base_topic, home.settings.homeassistant.prefix)

    async def order_code(self) -> tuple[int, str]:
        """As another client would, again while the gateway starts; when that began, and the transaction."""
        self._tell(f"another client orders a keypad code for {NAME} at {TOPIC}")
        begun, transaction = 0, ""
        for attempt in range(MOST_ATTEMPTS):
            begun, transaction = len(self._witness.heard), f"demo-code-{attempt}"
            order = {"op": "create", "name": NAME, "code": str(_CODE), "transaction": transaction}
            self._witness.say(f"{self._tree.device(TOPIC)}/keypad/set", json.dumps(order).encode())
            answer = Expected("an answer", self._tree.keypad_result(TOPIC), {"transaction": transaction})
            await self._witness.wait_for([answer], since=begun, patience_s=PATIENCE_S)
            if missing([refused_as_starting(self._tree, transaction)], self._witness.heard[begun:]):
                break
            await asyncio.sleep(AGAIN_S)
        return begun, transaction

    def come(self) -> None:
        """Anna types her code at the front door, and somebody in the studio unlocks by hand."""
        self._tell(unlock_by_hand(self._home.studio) or "the studio is unlocked already")
        self._tell(f"{NAME} types a code at the keypad of {TOPIC}")
        enter_code(self._home.known_front_door, _CODE)
        self._home.changed()

    def go(self) -> None:
        """Both lock again."""
        for lock in (self._home.studio, self._home.front_door):
            if (done := lock_by_hand(lock)) is not None:
                self._tell(done)
        self._home.changed()

    async def live(self, speed: float) -> None:
        """She gets her code, and comes and goes until this is cancelled."""
        begun, transaction = await self.order_code()
        if await self._witness.wait_for(made(self._tree, transaction), since=begun, patience_s=PATIENCE_S):
            self._tell(f"the code for {NAME} is not confirmed yet")
        while True:
            await asyncio.sleep(_COMES_AFTER_S / speed)
            self.come()
            await asyncio.sleep(_GOES_AFTER_S / speed)
            self.go()
            await asyncio.sleep(_STAYS_AWAY_S / speed)


def refused_as_starting(tree: TopicTree, transaction: str) -> Expected:
    """The gateway has only just begun, or does not know the lock yet."""
    body = {"transaction": transaction, "status": str(Status.REFUSED), "reason": str(KeypadReason.STARTING)}
    return Expected("the gateway is starting", tree.keypad_result(TOPIC), body)


def made(tree: TopicTree, transaction: str) -> list[Expected]:
    """The code is on the lock, as a list of the cloud has shown."""
    done = {"transaction": transaction, "status": str(Status.CONFIRMED), "phase": str(KeypadPhase.ACTIVE)}
    return [
        Expected(f"the keypad code of {NAME} is confirmed", tree.keypad_result(TOPIC), done),
        Expected("it is in the list", tree.keypad(TOPIC), [{"name": NAME, "phase": str(KeypadPhase.ACTIVE)}]),
    ]


def came(tree: TopicTree) -> list[Expected]:
    """Both locks have moved, and the log has told who it was at the front door."""
    changed = {"event_type": "state_changed", "from": "locked", "to": "unlocked"}
    who = {"event_type": "attributed", "action": "unlock", "actor": NAME, "via": "code"}
    return [
        Expected(f"{TOPIC} is unlocked", tree.device(TOPIC), {"state": "unlocked"}),
        Expected("an event tells of it", tree.event(TOPIC), changed | {"source": "callback"}),
        Expected(f"an event tells that it was {NAME}", tree.event(TOPIC), who),
        Expected("so does the snapshot", tree.device(TOPIC), {"state": "unlocked", "actor": NAME}),
        Expected(f"{STUDIO} is unlocked", tree.device(STUDIO), {"state": "unlocked", "source": "web"}),
        Expected("an event tells of it", tree.event(STUDIO), changed | {"source": "web"}),
    ]


def gone(tree: TopicTree) -> list[Expected]:
    """Both are locked again."""
    return [
        Expected(f"{TOPIC} is locked", tree.device(TOPIC), {"state": "locked"}),
        Expected(f"{STUDIO} is locked", tree.device(STUDIO), {"state": "locked", "source": "web"}),
    ]
