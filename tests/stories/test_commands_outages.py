"""The broker goes away while a command is under way: it ends once, and moves once."""

import pytest

from nuki2mqtt.gateway.vocabulary import Memory, SentOpening
from nuki2mqtt.model.action import Action
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.simulator.bridge import SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock, Timing
from tests.stories.world import DONE, Disk, World


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
    entry = SentOpening(
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
