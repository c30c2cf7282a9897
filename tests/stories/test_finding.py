"""Bridges that nobody listed: found, paired, followed when they move, and what a rogue gets that announces one."""

from typing import Any

from nuki2mqtt.gateway.vocabulary import BridgeMemory, Memory
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.protocol.discovery import Candidate, How, Tried, Verdict
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock
from tests.stories.world import DONE, TOKEN, Disk, World

CONFIG = "version: 1\n"
ID = NukiId(0x0A1B2C3D)
OLD, NEW, ROGUE = "192.0.2.10:8080", "192.0.2.44:8080", "192.0.2.66:8080"


def announced(link: str, bridge_id: NukiId = ID) -> Tried:
    host, _, port = link.rpartition(":")
    return Tried(Candidate(host, int(port), bridge_id, (How.MDNS,)), Verdict.BRIDGE, "wants a token (401)")


def paired() -> Disk:
    return Disk("1234abcd", memory=Memory({OLD: BridgeMemory(ID, Secret(TOKEN), AuthMode.ENCRYPTED)}))


def ask(world: World, verb: str, payload: str) -> dict[str, Any]:
    """The answer to a request, at once or in the next minute."""
    since = len(world.broker.log)
    world.broker.publish(f"nuki2mqtt/gateway/request/{verb}", payload.encode(), retain=False)
    for _ in range(70):
        world.run(1)
        for message in world.broker.log[since:]:
            if message.topic == f"nuki2mqtt/gateway/response/{verb}":
                answer: dict[str, Any] = message.json
                return answer
    raise AssertionError("no answer")


def signed(bridge: SimulatedBridge) -> list[str]:
    """The paths of the requests that could be replayed as orders."""
    return [request.path for request in bridge.requests if request.mode is not None]


def test_a_first_run_without_anything_finds_the_bridge_and_pairs_on_request(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    world.announced.append(announced(OLD))
    process = world.start_gateway(CONFIG)
    world.run(30)
    assert f"Nuki Bridge {ID} is at {OLD} (found by mDNS). Pair with it: nuki2mqtt pair --host 192.0.2.10" in (
        process.warnings
    )
    found = ask(world, "find", "{}")
    assert (found["status"], found["data"]["bridges"][0]["bridge_id"]) == ("ok", str(ID))

    assert ask(world, "pair", '{"bridge":"192.0.2.77:8080"}')["status"] == "error"
    assert ask(world, "pair", f'{{"bridge":"{ID}"}}')["error"] == "nobody pressed the button in time"
    bridge.button_pressed = True
    assert ask(world, "pair", f'{{"bridge":"{ID}"}}')["data"] == {"address": OLD, "paired": True}
    world.run(10)
    assert world.retained("nuki2mqtt/front_door")["state"] == "locked"
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"
    assert ask(world, "pair", f'{{"bridge":"{ID}"}}')["error"] == "it is paired already"

    lock.turn(3)
    world.run(2)
    shown = world.retained("nuki2mqtt/front_door")
    assert (shown["state"], shown["source"]) == ("unlocked", "callback")
    world.run(900)
    assert process.searches < 5  # no reason any more


def test_an_id_that_was_found_at_two_places_is_paired_with_at_neither_until_somebody_says_which(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    rogue = world.add_bridge("192.0.2.66", hardware_id=0x0A1B2C3D)
    world.announced += [announced(OLD), announced(ROGUE)]
    world.start_gateway(CONFIG)
    world.run(30)
    bridge.button_pressed = rogue.button_pressed = True
    answer = ask(world, "pair", f'{{"bridge":"{ID}"}}')
    assert (answer["status"], OLD in answer["error"], ROGUE in answer["error"]) == ("error", True, True)
    assert [request.path for request in bridge.requests + rogue.requests] == []
    assert ask(world, "pair", f'{{"bridge":"{OLD}"}}')["data"] == {"address": OLD, "paired": True}
    assert rogue.requests == []
    assert lock.turns == 0


def test_a_bridge_that_moves_is_followed_with_the_same_topics(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    process = world.start_gateway(CONFIG, paired())
    world.run(60)
    before = {topic for topic in world.broker.retained if "front_door" in topic}
    told = len(world.broker.log)

    world.bridges[NEW] = world.bridges.pop(OLD)
    world.announced.append(announced(NEW))
    world.run(180)
    assert signed(bridge)[-1:] != []
    world.run(240)
    assert f"Bridge {ID} has moved from {OLD} to {NEW}, and is followed there." in process.warnings
    assert {topic for topic in world.broker.retained if "front_door" in topic} == before
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"
    assert world.retained(f"nuki2mqtt/bridge/{ID}")["address"] == NEW
    assert [m for m in world.broker.log[told:] if "/config" in m.topic and not m.payload] == []

    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(30)
    assert (world.life("front_door", "a1"), lock.unlatches) == (DONE, 1)
    lock.turn(1)
    world.run(1)
    assert world.retained("nuki2mqtt/front_door")["source"] == "callback"  # the door knows its new address, too

    process.kill()
    again = world.start_gateway(CONFIG, process.disk)
    world.run(30)
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"
    assert again.searches == 0


def test_a_rogue_announcer_gets_no_signed_request_while_the_real_bridge_answers(
    world: World, bridge: SimulatedBridge
) -> None:
    rogue = SimulatedBridge(world.house, hardware_id=ID.value, server_id=7, token="other1")
    world.bridges[ROGUE] = rogue
    world.announced.append(announced(ROGUE))
    world.start_gateway(CONFIG, paired())
    world.run(600)
    ask(world, "find", "{}")
    with bridge.faults.busy("/list"):
        world.run(600)
    world.run(600)

    assert rogue.requests == []
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"


def test_while_the_real_one_is_dead_a_rogue_gets_one_question_and_no_order(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock
) -> None:
    rogue = SimulatedBridge(world.house, hardware_id=0x0BADBAD0, server_id=7, token=TOKEN)
    world.bridges[ROGUE] = rogue
    world.announced.append(announced(ROGUE))
    process = world.start_gateway(CONFIG, paired())
    world.run(60)
    real = world.bridges.pop(OLD)
    assert real is bridge
    for number in range(20):
        world.run(60)
        world.command("front_door", {"action": "unlatch", "transaction": f"a{number}"})
    assert signed(rogue) == ["/info"]
    assert any(f"Bridge {ID} is not at {ROGUE}" in text for text in process.warnings)
    assert lock.unlatches == 0

    world.bridges[OLD] = real
    world.run(130)
    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"
    assert signed(rogue) == ["/info"]


def test_an_address_in_the_settings_is_never_left(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_gateway()
    world.run(60)
    world.bridges[NEW] = world.bridges.pop(OLD)
    world.announced.append(announced(NEW))
    asked = len(bridge.requests)
    world.run(3600)

    assert len(bridge.requests) == asked
    (hint,) = [text for text in process.warnings if NEW in text]
    assert hint.endswith("set host: 192.0.2.44 in `bridges`")


def test_paired_anew_at_the_new_address_it_is_followed_at_once(world: World, bridge: SimulatedBridge) -> None:
    process = world.start_gateway(CONFIG, paired())
    world.run(60)
    world.bridges[NEW] = world.bridges.pop(OLD)
    world.announced.append(announced(NEW))
    world.run(120)
    ask(world, "find", "{}")
    bridge.button_pressed = True
    assert ask(world, "pair", f'{{"bridge":"{NEW}"}}')["status"] == "ok"
    world.run(20)

    assert world.broker.retained["nuki2mqtt/front_door/availability"] == b"online"
    assert list(process.disk.memory.bridges) == [NEW]
