"""How the gateway of the demo gets to know its Bridges: it finds them by mDNS, and is paired with each by its button.

All of it goes by MQTT, as any client may ask for it. Where the loopback interface has no mDNS, the tokens are handed
over as `nuki2mqtt pair` does it, and the demo says so.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from nuki2mqtt.adapters.state_file import write_pairing
from nuki2mqtt.faces.demo_home import Home
from nuki2mqtt.faces.demo_witness import Expected, Witness
from nuki2mqtt.faces.retained import read_json
from nuki2mqtt.gateway.vocabulary import BridgePaired
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.discovery import How
from nuki2mqtt.protocol.settings import BridgeSettings
from nuki2mqtt.protocol.topics import TopicTree
from nuki2mqtt.simulator.estate import ServedBridge

FIND_S = 25.0  # two searches: one may be under way when it is asked for
PAIR_S = 10.0
AGAIN_S = 1.0
MOST_ATTEMPTS = 8
_BUTTON_AFTER_S = 0.2
_MOST_LOOKS = 100

Tell = Callable[[str], object]


async def meet(home: Home, witness: Witness, tell: Tell) -> list[str]:
    """Find and pair; the IDs of the Bridges that were not found by mDNS, but paired at the addresses that we know."""
    meeting = _Meeting(home, witness, tell)
    found = await meeting.find()
    missed: list[str] = []
    for one in home.bridges:
        address = BridgeSettings(host=one.server.host, port=one.server.port).link
        if address in found:
            tell(f"found by mDNS: Bridge {one.id} at {address}")
            if await meeting.pair(one, address):
                continue
            tell(f"the pairing with Bridge {one.id} did not succeed")
        else:
            tell(f"Bridge {one.id} was not found by mDNS: it is paired at {address}")
        missed.append(one.id)
        write_pairing(home.folder, BridgePaired(address, Secret(one.bridge.tokens.token)))
    return missed


class _Meeting:
    def __init__(self, home: Home, witness: Witness, tell: Tell) -> None:
        self._home = home
        self._witness = witness
        self._tell = tell
        self._tree = TopicTree(home.settings.mqtt.base_topic, home.settings.homeassistant.prefix)
        self._asked = 0

    async def find(self) -> set[str]:
        """The addresses of the Bridges that were found by mDNS; another demo on this computer has the same IDs."""
        online = Expected("the gateway is online", self._tree.gateway_state, "online")
        await self._witness.wait_for([online], patience_s=FIND_S)
        self._tell("the gateway knows no Bridge yet, and searches by mDNS (some seconds)")
        answer = await self._ask("find", {}, FIND_S)
        data = answer.get("data")
        bridges = data.get("bridges", []) if isinstance(data, dict) else []
        found = [one for one in bridges if How.MDNS in one["found_by"]]
        return {place for one in found for place in (f"{one['host']}:{one['port']}", *one["also"])}

    async def pair(self, one: ServedBridge, address: str) -> bool:
        """Ask for the token, and press the button when it is waited for."""
        for _ in range(MOST_ATTEMPTS):
            pressing = asyncio.create_task(self._press(one), name="button")
            answer = await self._ask("pair", {"bridge": address}, PAIR_S)
            pressing.cancel()
            if answer.get("status") == "ok":
                self._tell(f"Bridge {one.id} is paired")
                return True
            await asyncio.sleep(AGAIN_S)  # in its first seconds a gateway refuses it
        return False

    async def _press(self, one: ServedBridge) -> None:
        """As soon as the Bridge has been asked for a token."""
        before = _asked_for_tokens(one)
        for _ in range(_MOST_LOOKS):
            await asyncio.sleep(_BUTTON_AFTER_S)
            if _asked_for_tokens(one) > before:
                self._tell(f"somebody presses the button of Bridge {one.id}")
                one.server.press_button()
                return

    async def _ask(self, verb: str, order: dict[str, Any], patience_s: float) -> dict[str, Any]:
        """The answer to a request, empty if none came."""
        self._asked += 1
        transaction = f"demo-{verb}-{self._asked}"
        begun = len(self._witness.heard)
        self._witness.say(
            f"{self._tree.base}/gateway/request/{verb}", json.dumps(order | {"transaction": transaction}).encode()
        )
        wanted = Expected("an answer", self._tree.response(verb), {"transaction": transaction})
        await self._witness.wait_for([wanted], since=begun, patience_s=patience_s)
        for message in self._witness.heard[begun:]:
            if wanted.is_met_by(message):
                body = read_json(message.payload)
                return body if isinstance(body, dict) else {}
        return {}


def _asked_for_tokens(one: ServedBridge) -> int:
    return sum(request.path == "/auth" for request in one.bridge.requests)
