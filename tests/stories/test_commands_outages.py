"""The broker goes away while a command is under way: it ends once, and moves once."""

import pytest

from nuki2mqtt.gateway.vocabulary import JournalEntry, Memory, Publish
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import LOCKED, UNLOCKED, SimulatedLock, Timing
from tests.stories.world import DONE, Disk, Life, Process, Protocol, World, refused


@pytest.mark.parametrize("outage_s", [0.5, 5.0, 30.0])
def test_a_broker_that_is_away_while_a_command_runs(world: World, lock: SimulatedLock, outage_s: float) -> None:
    bridge = world.add_bridge(timing=Timing(accept_s=4.0))
    world.start_ready(bridge="auth: plain")
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(1)
    world.broker.stop()
    world.run(outage_s)
    world.broker.start()
    world.run(120)
    assert world.life("front_door", "a1") == DONE
    assert len(world.actions(bridge)) == lock.unlatches == 1


def test_the_same_command_is_known_after_the_outage(world: World, bridge: SimulatedBridge, lock: SimulatedLock) -> None:
    world.start_ready()
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(5)
    world.broker.stop()
    world.run(5)
    world.broker.start()
    world.run(10)
    world.command("front_door", {"action": "unlatch", "transaction": "a1"})
    world.run(10)
    assert world.life("front_door", "a1") == [*DONE, ("refused", "duplicate")]
    assert len(world.actions(bridge)) == lock.unlatches == 1


@pytest.mark.parametrize(
    ("transaction", "correlation", "response_topic"),
    [
        ("{", "zz", "nuki2mqtt/front_door/set"),
        ("NaN", "abc", "homeassistant/x/config"),
        ("[" * 100_000, None, "a/+"),
    ],
)
def test_a_journal_that_nobody_wrote_does_not_keep_us_from_starting(
    world: World,
    bridge: SimulatedBridge,
    lock: SimulatedLock,
    transaction: str,
    correlation: str | None,
    response_topic: str,
) -> None:
    entry = JournalEntry(
        device=NukiId(lock.nuki_id),
        action=Action.UNLATCH,
        accepted=world.moment.wall,
        transaction=transaction,
        correlation=correlation,
        response_topic=response_topic,
    )
    world.start_ready(disk=Disk("1234abcd", memory=Memory(journal={"x": entry})))
    (result,) = world.results("1A2B3C4D")
    assert (result["status"], result["reason"], result["transaction"]) == ("unconfirmed", "restarted", None)
    assert not world.messages(response_topic)
    assert not world.actions(bridge)


# --- An end whose acknowledgement is lost in a kill -------------------------------------------------------------------

RESULT, ANSWERS = "nuki2mqtt/front_door/result", "me/answers"


def kill_at_the_end(process: Process, topic: str) -> None:
    """The broker has what was said there, and the process dies before it hears of it."""
    process.kill_after(
        lambda effect: isinstance(effect, Publish) and effect.topic == topic and b'"accepted"' not in effect.payload
    )


@pytest.mark.parametrize(
    ("protocol", "topic"), [("5", RESULT), ("5", ANSWERS), ("3.1.1", RESULT)], ids=["5", "5, response topic", "3.1.1"]
)
@pytest.mark.parametrize("action", ["unlatch", "lock"])
def test_an_end_that_the_broker_has_stays_the_only_one_after_a_kill(
    world: World, bridge: SimulatedBridge, lock: SimulatedLock, protocol: Protocol, topic: str, action: str
) -> None:
    world.protocol = protocol
    disk = Disk("1234abcd")
    process = world.start_ready(disk=disk)
    lock.turn(UNLOCKED if action == "lock" else LOCKED)
    world.run(10)
    kill_at_the_end(process, topic)
    order = {"action": action, "transaction": "a1", "ts": world.ts()}
    world.command("front_door", order, response_topic=ANSWERS, correlation=b"c1")
    world.run(60)
    assert not process.is_alive
    for _ in range(2):
        world.start_ready(disk=disk).kill()
    world.start_ready(disk=disk)
    world.run(60)
    ends = [said for said in world.said(RESULT) if '"accepted"' not in said]
    assert len(ends) == 2, "by each of the two that did not know that the broker has it"
    assert len(set(ends)) == 1
    assert '"confirmed"' in ends[0]
    answers = [message for message in world.messages(ANSWERS) if b'"accepted"' not in message.payload]
    said = {(message.payload.decode(), message.correlation) for message in answers}
    assert said == ({(ends[0], b"c1")} if protocol == "5" else set())
    assert len(world.actions(bridge)) == 1
    world.command("front_door", order | {"ts": world.ts()})
    world.run(60)
    again = world.life("front_door", "a1")[3:]
    assert again == (DONE if action == "lock" else refused("duplicate"))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_waits_and_a_lock_under_way_end_once_after_a_kill_and_move_nothing(
    world: World, lock: SimulatedLock, protocol: Protocol
) -> None:
    world.protocol = protocol
    bridge = world.add_bridge()
    disk = Disk("1234abcd")
    process = world.start_ready("commands: {overlap: queue}\n", disk=disk)
    lock.turn(UNLOCKED)
    world.run(10)
    with bridge.faults.silent("/lockAction"):
        world.command("front_door", {"action": "lock", "transaction": "under way", "ts": world.ts()})
        world.command("front_door", {"action": "unlatch", "transaction": "waits", "ts": world.ts()})
        world.run(1)
        process.kill()
    before = lock.turns
    for _ in range(2):
        world.start_ready(disk=disk)
        world.run(60)
        world.processes[-1].kill()
    world.start_ready(disk=disk)
    queued: Life = [("accepted", "queued"), ("unconfirmed", "restarted")]
    assert world.life("front_door", "under way") == [("accepted", None), ("unconfirmed", "restarted")]
    assert world.life("front_door", "waits") == queued
    assert (len(world.actions(bridge)), lock.turns, lock.unlatches) == (1, before, 0)
    world.command("front_door", {"action": "lock", "transaction": "under way", "ts": world.ts()})
    world.run(30)
    assert world.life("front_door", "under way")[2:] == DONE
