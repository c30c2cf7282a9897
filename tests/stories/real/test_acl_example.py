"""docs/examples/mosquitto.acl at a real mosquitto: each user has what he shall have, and no other sees keypad codes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from tests.adapters.brokers import Listener, listener
from tests.adapters.mosquitto import Mosquitto, mosquitto, needs_mosquitto

ACL = (Path(__file__).parents[3] / "docs" / "examples" / "mosquitto.acl").read_text(encoding="utf-8")
USERS = [line.partition(" ")[2] for line in ACL.splitlines() if line.startswith("user ")]
DEVICE = "nuki2mqtt/front_door"
# Topic -> who may read it and who may write it, beside the gateway, which may both.
RIGHTS: dict[str, tuple[set[str], set[str]]] = {
    DEVICE: ({"homeassistant", "viewer"}, set()),
    f"{DEVICE}/availability": ({"homeassistant", "viewer"}, set()),
    f"{DEVICE}/event": ({"homeassistant", "viewer"}, set()),
    f"{DEVICE}/set": ({"homeassistant", "viewer"}, {"homeassistant"}),
    "nuki2mqtt/1A2B3C4D/set": ({"homeassistant", "viewer"}, {"homeassistant"}),
    f"{DEVICE}/get": ({"homeassistant", "viewer"}, {"homeassistant"}),
    f"{DEVICE}/keypad": ({"keypad"}, set()),
    f"{DEVICE}/keypad/set": (set(), {"keypad"}),
    "nuki2mqtt/1A2B3C4D/keypad/set": (set(), {"keypad"}),
    f"{DEVICE}/keypad/result": ({"keypad"}, set()),
    "nuki2mqtt/gateway/state": ({"homeassistant", "keypad", "viewer"}, set()),
    "nuki2mqtt/gateway/info": ({"homeassistant", "keypad", "viewer"}, set()),
    "nuki2mqtt/gateway/devices": ({"homeassistant", "keypad", "viewer"}, set()),
    "nuki2mqtt/gateway/health": ({"homeassistant", "viewer"}, set()),
    "nuki2mqtt/gateway/request/sync": ({"homeassistant", "viewer"}, set()),
}
pytestmark = needs_mosquitto


@asynccontextmanager
async def everybody(broker: Mosquitto) -> AsyncIterator[dict[str, Listener]]:
    """All users, each with two filters that anybody might try, and one for what ends the test."""
    async with AsyncExitStack() as stack:
        yield {
            user: await stack.enter_async_context(
                listener(broker, "nuki2mqtt/#", f"{DEVICE}/keypad/#", "end", username=user, password=user)
            )
            for user in USERS
        }


def ended(one: Listener, writer: str) -> bool:
    """Whether all that this writer said, and that is let through, was heard."""
    return writer.encode() in one.payloads("end")


async def test_each_user_has_his_rights_and_no_other() -> None:
    """A publish that is refused is acknowledged all the same in MQTT 3.1.1: what counts is who hears it."""
    acl = ACL + "".join(f"\nuser {user}\ntopic readwrite end\n" for user in USERS)
    heard: dict[tuple[str, str], set[str]] = {}
    async with mosquitto(users={user: user for user in USERS}, acl=acl) as broker, everybody(broker) as users:
        for writer, speaker in users.items():
            for topic in RIGHTS:
                await speaker.publish(topic, writer.encode())
            await speaker.publish("end", writer.encode())
            for reader, one in users.items():
                await one.wait_until(partial(ended, one, writer))
                for message in one.heard:
                    heard.setdefault((message.payload.decode(), message.topic), set()).add(reader)
    expected = {
        (writer, topic): {"nuki2mqtt", *readers}
        for topic, (readers, writers) in RIGHTS.items()
        for writer in {"nuki2mqtt", *writers}
    }
    assert {key: found for key, found in heard.items() if key[1] != "end"} == expected
