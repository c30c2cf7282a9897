"""Two brokers, joined by a bridge of mosquitto: the gateway is at the near one, somebody gives commands at the far one.

What mosquitto 2.0.11 does, as these stories see it: live messages keep their retain flag in both protocols, and what a
broker keeps goes over the bridge with it at each connection, unless `bridge_outgoing_retain false` takes it away. What
could not be sent waits, and comes as if it were new. A message expiry counts while a message waits; a bridge of
MQTT 3.1.1 does not pass on what is left of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from nuki2mqtt.simulator.house import UNLOCKED
from tests.adapters.mosquitto import Mosquitto, mosquitto, needs_mosquitto
from tests.stories.real.processes import until
from tests.stories.real.stage import RealStage, Somebody, Way, somebody, stage_at, way_to
from tests.stories.real.trouble import marked, selected, told_at_once
from tests.storm.broker import Packet
from tests.storm.gateway_stories import (
    AVAILABILITY,
    DOOR,
    ENDS,
    GONE_S,
    RESULT,
    SET,
    STATE,
    acted,
    begin,
    hears,
    life,
    order,
    payload_of,
    said,
    settled,
    shows,
)
from tests.storm.spec import BASE

pytestmark = [needs_mosquitto, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

HOUR_S = 3600.0
PROBE = "probe"
PROBES, PROBE_S = 50, 0.3
BOTH = (f"topic {BASE}/# both 1",)
ORDERS_IN = (
    f"topic {BASE}/# out 1",
    f"topic {BASE}/+/set in 1",
    f"topic {BASE}/+/get in 1",
    f"topic {BASE}/gateway/request/+ in 1",
)
ORDERS_OUT = (
    f"topic {BASE}/# in 1",
    f"topic {BASE}/+/set out 1",
    f"topic {BASE}/+/get out 1",
    f"topic {BASE}/gateway/request/+ out 1",
)


@dataclass(frozen=True)
class Joint:
    """A bridge: which broker keeps it, what it speaks, and further lines of its settings."""

    name: str
    is_at_far: bool
    version: str
    topics: tuple[str, ...] = BOTH
    extra: tuple[str, ...] = ()
    far_base: str = BASE

    def __str__(self) -> str:
        return self.name

    def settings(self, way: Way) -> tuple[str, ...]:
        """The lines for the broker that keeps it."""
        return (
            "connection house",
            f"address {way.host}:{way.port}",
            f"bridge_protocol_version {self.version}",
            "restart_timeout 1",
            "notifications false",
            *self.extra,
            *self.topics,
            f"topic {PROBE}/# both 1",
        )


PLAIN = [
    Joint("near-3.1.1", is_at_far=False, version="mqttv311"),
    Joint("near-5", is_at_far=False, version="mqttv50"),
    Joint("far-3.1.1", is_at_far=True, version="mqttv311"),
    Joint("far-5", is_at_far=True, version="mqttv50"),
]
ONE_WAY = [
    Joint("near-3.1.1-orders-in", is_at_far=False, version="mqttv311", topics=ORDERS_IN),
    Joint("near-5-orders-in", is_at_far=False, version="mqttv50", topics=ORDERS_IN),
    Joint("far-3.1.1-orders-out", is_at_far=True, version="mqttv311", topics=ORDERS_OUT),
    Joint("far-5-orders-out", is_at_far=True, version="mqttv50", topics=ORDERS_OUT),
]
MAPPED = Joint("mapped", is_at_far=False, version="mqttv50", topics=(f"topic # both 1 {BASE}/ home/",), far_base="home")
STRIPPED = Joint("far-5-stripped", is_at_far=True, version="mqttv50", extra=("bridge_outgoing_retain false",))
# The other broker takes such a bridge for a client, and sends it back whatever it has brought.
ECHOING = [
    Joint("near-echoing", is_at_far=False, version="mqttv311", extra=("try_private false",)),
    Joint("far-echoing", is_at_far=True, version="mqttv311", extra=("try_private false",)),
]


class TwoBrokers:
    """The house with its gateway at the near broker, and somebody at the far one; `way` is that of the bridge."""

    def __init__(
        self, joint: Joint, stage: RealStage, far_broker: Mosquitto, far: Somebody, heard: list[Packet], way: Way
    ) -> None:
        self.stage = stage
        self._far_broker = far_broker
        self.far = far
        self.heard = heard
        self.way = way
        self._joint = joint
        self._probes = 0

    @property
    def has_waited(self) -> bool:
        """Whether what is said at the far broker waits for the bridge.

        With MQTT 5 the session of a mosquitto bridge ends with its connection, so that only its own queue is kept.
        """
        return self._joint.is_at_far or self._joint.version == "mqttv311"

    def at_far(self, topic: str) -> str:
        """How a topic of the gateway is called at the far broker."""
        return topic.replace(BASE, self._joint.far_base, 1)

    async def meet_again(self) -> None:
        """The way is there again."""
        self.way.is_open = True
        await self.meet()

    async def give(self, payload: bytes, *, retain: bool = False, expiry_s: int | None = None) -> None:
        """Give a command at the far broker."""
        await self.far.publish(Packet(self.at_far(SET), payload, 1, retain=retain, expiry_s=expiry_s))

    async def meet(self) -> None:
        """Until the bridge has carried in both directions what the brokers had for it when this began.

        What a broker keeps goes out when the bridge is connected, behind what waited; therefore twice.
        """
        for _ in range(2):
            await self._probe(self.far.publish, self.stage.heard)
            await self._probe(self.stage.publish, self.heard)
        await settled(self.stage)

    async def _probe(self, publish: Callable[[Packet], Awaitable[None]], heard: list[Packet]) -> None:
        """What is said before the bridge has ever been there is lost: therefore again and again."""
        self._probes += 1
        topic = f"{PROBE}/{self._probes}"
        for _ in range(PROBES):
            await publish(Packet(topic, b"?", 1))
            with contextlib.suppress(AssertionError):
                await until(lambda: any(one.topic == topic for one in heard), "the bridge brings it", PROBE_S)
                return
        raise AssertionError("the bridge brings nothing")

    async def kept_far(self) -> dict[str, Packet]:
        """What a client that comes now to the far broker is told."""
        told: list[Packet] = []
        async with somebody(self._far_broker, told):
            return {packet.topic: packet for packet in told}

    async def is_clear(self) -> None:
        """No broker keeps an order."""
        for kept in (await self.stage.kept(), await self.kept_far()):
            assert not [topic for topic in kept if topic.endswith("/set")]

    async def far_hears(self, topic: str, is_wanted: Callable[[Any], object]) -> Packet:
        """The first message of a topic that is wanted, heard at the far broker or to come."""

        def found() -> list[Packet]:
            return [one for one in self.heard if one.topic == self.at_far(topic) and is_wanted(payload_of(one))]

        await until(found, f"a message at the far broker on {topic}")
        return found()[0]


@asynccontextmanager
async def joined(joint: Joint, protocol: str) -> AsyncIterator[TwoBrokers]:
    """Two brokers, their bridge, and a gateway that takes commands and speaks `protocol`."""
    async with mosquitto() as peer, way_to(peer) as way, mosquitto(settings=joint.settings(way)) as keeper:
        near, far = (peer, keeper) if joint.is_at_far else (keeper, peer)
        heard: list[Packet] = []
        async with (
            way_to(near) as gateways_way,
            stage_at(near, gateways_way, protocol) as stage,
            somebody(far, heard) as one,
        ):
            await begin(stage)
            two = TwoBrokers(joint, stage, far, one, heard, way)
            await two.meet()
            yield two


def lives(stage: RealStage) -> set[tuple[str, str, str | None]]:
    """All results, each once: a bridge may bring them twice."""
    return {(one["action"], one["status"], one["reason"]) for one in said(stage, RESULT)}


def commands(stage: RealStage) -> list[bytes]:
    """All that came to the near broker as a command."""
    return [packet.payload for packet in stage.heard if packet.topic.endswith("/set")]


# --- A command that is given far away -----------------------------------------------------------------------------


async def a_command_of_the_far_broker_is_obeyed_once_and_answered_there(two: TwoBrokers) -> None:
    stage = two.stage
    await two.give(order(stage, "unlock", "a1"))
    await two.far_hears(RESULT, lambda one: (one["transaction"], one["status"]) == ("a1", "confirmed"))
    await two.far_hears(DOOR, shows("unlocked"))
    assert lives(stage) == {("unlock", "accepted", None), ("unlock", "confirmed", None)}
    await two.give(b"lock")
    await hears(stage, RESULT, lambda one: one["action"] == "lock" and one["status"] in ENDS)
    await two.give(b"unlatch")
    _, end = await hears(stage, RESULT, lambda one: one["action"] == "unlatch" and one["status"] in ENDS)
    is_taken = stage.protocol == "5"
    assert (payload_of(end)["status"], payload_of(end)["reason"]) == (
        ("confirmed", None) if is_taken else ("refused", "needs_ts")
    )
    await two.meet()
    assert acted(stage) == (["1", "2", "3"] if is_taken else ["1", "2"])


async def what_a_bridge_sends_back_is_obeyed_once(two: TwoBrokers) -> None:
    """The command is given at the near broker, by its key and without."""
    stage = two.stage
    await stage.publish(Packet(SET, order(stage, "unlock", "a1"), 1))
    await hears(stage, RESULT, lambda one: one["action"] == "unlock" and one["status"] == "confirmed")
    await stage.publish(Packet(SET, b"unlatch", 1))
    await hears(stage, RESULT, lambda one: one["action"] == "unlatch" and one["status"] == "confirmed")
    await two.meet()
    assert len(commands(stage)) == 4
    assert acted(stage) == ["1", "3"]
    assert ("unlock", "refused", "duplicate") in lives(stage)
    assert ("unlatch", "accepted", "joined") in lives(stage)


# --- A command that is kept far away --------------------------------------------------------------------------------


async def a_command_kept_at_the_far_broker_moves_nothing_and_is_cleared_at_both(two: TwoBrokers) -> None:
    stage = two.stage
    why = "retained" if stage.protocol == "5" else "needs_ts"
    two.way.cut()
    await two.give(b"unlatch", retain=True)
    await two.meet_again()
    assert acted(stage) == []
    assert set(commands(stage)) == {b"unlatch", b""}
    assert lives(stage) == {("unlatch", "refused", why)}
    await two.meet()
    await two.is_clear()
    if stage.protocol == "5":  # and while the bridge is there: it brings the flag
        await two.give(order(stage, "unlock", "live"), retain=True)
        await two.meet()
        assert life(stage, "live") == [("refused", "retained")]
        await two.meet()
        await two.is_clear()
    assert acted(stage) == []


# --- A command that has waited ------------------------------------------------------------------------------------


async def what_waited_at_a_bridge_for_an_hour_opens_nothing(two: TwoBrokers) -> None:
    """If it says when it was given, or for how long it is good."""
    stage = two.stage
    two.way.cut()
    await two.give(order(stage, "unlatch", "dated"))
    await two.give(b'{"action": "unlatch", "transaction": "expiring"}', expiry_s=1)
    await stage.passes(HOUR_S)
    await stage.lasts(GONE_S)
    await two.meet_again()
    assert life(stage, "dated") == ([("refused", "stale")] if two.has_waited else [])
    assert not [payload for payload in commands(stage) if b"expiring" in payload]
    assert acted(stage) == []
    await two.give(order(stage, "unlock", "after"))
    await hears(stage, RESULT, lambda one: (one["transaction"], one["status"]) == ("after", "confirmed"))
    assert acted(stage) == ["1"]


async def a_bare_opening_that_waited_at_a_bridge_is_refused(two: TwoBrokers) -> None:
    stage = two.stage
    two.way.cut()
    await two.give(b"unlatch")
    await stage.passes(HOUR_S)
    await two.meet_again()
    assert commands(stage) == [b"unlatch", b""] if stage.protocol == "3.1.1" else [b"unlatch"]
    await hears(stage, RESULT, lambda one: one["action"] == "unlatch" and one["status"] in ENDS)
    assert acted(stage) == []
    assert lives(stage) == {("unlatch", "refused", "needs_ts")}


# --- What both brokers keep ---------------------------------------------------------------------------------------


async def where_only_orders_come_in_both_brokers_keep_what_the_gateway_says(two: TwoBrokers) -> None:
    """Also what it said while the bridge was away. (With `both` the older word of the far broker comes back.)"""
    stage = two.stage
    two.way.cut()
    since = len(stage.heard)
    await stage.happens(lambda: stage.lock.turn(UNLOCKED))
    await hears(stage, DOOR, shows("unlocked"), since)
    await settled(stage)
    await two.meet_again()
    near, far = await stage.kept(), await two.kept_far()
    assert payload_of(near[DOOR])["state"] == "unlocked"
    for topic in (DOOR, AVAILABILITY, STATE):
        assert near[topic].payload == far[topic].payload
    assert near[AVAILABILITY].payload == near[STATE].payload == b"online"


# --- All of them --------------------------------------------------------------------------------------------------

Tale = Callable[[TwoBrokers], Awaitable[None]]
TALES: list[tuple[Tale, Joint, str]] = [
    *((a_command_of_the_far_broker_is_obeyed_once_and_answered_there, joint, "5") for joint in (*PLAIN, *ONE_WAY)),
    *((a_command_of_the_far_broker_is_obeyed_once_and_answered_there, joint, "5") for joint in (MAPPED, *ECHOING)),
    *((a_command_of_the_far_broker_is_obeyed_once_and_answered_there, joint, "3.1.1") for joint in PLAIN[::3]),
    (what_a_bridge_sends_back_is_obeyed_once, ECHOING[0], "5"),
    *((a_command_kept_at_the_far_broker_moves_nothing_and_is_cleared_at_both, joint, "5") for joint in PLAIN),
    *((a_command_kept_at_the_far_broker_moves_nothing_and_is_cleared_at_both, joint, "3.1.1") for joint in PLAIN[1:3]),
    (a_command_kept_at_the_far_broker_moves_nothing_and_is_cleared_at_both, STRIPPED, "5"),
    *((what_waited_at_a_bridge_for_an_hour_opens_nothing, joint, "5") for joint in PLAIN),
    (what_waited_at_a_bridge_for_an_hour_opens_nothing, PLAIN[3], "3.1.1"),
    (a_bare_opening_that_waited_at_a_bridge_is_refused, PLAIN[2], "3.1.1"),
    *((a_bare_opening_that_waited_at_a_bridge_is_refused, joint, "5") for joint in (PLAIN[0], PLAIN[3])),
    *((where_only_orders_come_in_both_brokers_keep_what_the_gateway_says, joint, "5") for joint in ONE_WAY),
]


async def tell(tale: Tale, joint: Joint, protocol: str, _folder: Path) -> None:
    async with joined(joint, protocol) as two:
        await tale(two)


STORIES = {f"{tale.__name__}-{joint}-{to}": partial(tell, tale, joint, to) for tale, joint, to in TALES}
_KEPT = a_command_kept_at_the_far_broker_moves_nothing_and_is_cleared_at_both.__name__
_BARE = a_bare_opening_that_waited_at_a_bridge_is_refused.__name__
KNOWN = {
    f"{_BARE}-{PLAIN[0]}-5": "it comes as if it had just been given",
    f"{_BARE}-{PLAIN[3]}-5": "it comes as if it had just been given",
    f"{_KEPT}-{STRIPPED}-5": "without the flag it comes as if it had just been given, at each connection of the bridge",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, "asyncio.Task[None]"]]:
    """The stories that were selected, begun together: mosquitto takes 5 s to look after a bridge that broke."""
    logger = logging.getLogger("nuki2mqtt")
    level = logger.level
    try:
        async with told_at_once(selected(request, STORIES), tmp_path_factory.mktemp("bridged"), places=12) as tasks:
            yield tasks
    finally:
        logger.setLevel(level)


@pytest.mark.parametrize("name", marked(STORIES, KNOWN))
async def test_of(name: str, begun: dict[str, "asyncio.Task[None]"]) -> None:
    await begun[name]
