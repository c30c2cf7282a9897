"""One gateway per base topic (docs/topics.md, "One gateway"), for all orders of messages and all start times."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.gateway.ownership import LIVE_S, Ownership, Role
from nuki2mqtt.protocol.payloads import OFFLINE, ONLINE, GatewayClaim
from tests.gateway.builders import wall

OWN = GatewayClaim("mmmm", wall(0))
EARLIER, LATER = GatewayClaim("zzzz", wall(-60)), GatewayClaim("aaaa", wall(60))
TIE_LOWER, TIE_HIGHER = GatewayClaim("aaaa", wall(0)), GatewayClaim("zzzz", wall(0))


def looking(now: float = 0.0) -> Ownership:
    ownership = Ownership(OWN)
    ownership.connected(now)
    return ownership


def owner() -> Ownership:
    ownership = looking()
    assert ownership.decide(0)
    assert ownership.role is Role.OWNER
    return ownership


def test_nobody_is_an_owner_before_the_first_connection() -> None:
    ownership = Ownership(OWN)

    assert (ownership.decide(9999), ownership.role, ownership.next_deadline()) == (False, "looking", None)


def test_an_empty_broker_is_ours_at_once_and_only_once() -> None:
    ownership = looking()

    assert (ownership.next_deadline(), ownership.decide(0), ownership.decide(0)) == (None, True, False)
    assert ownership.role is Role.OWNER


RETAINED: dict[str, Callable[[Ownership], bool]] = {
    "online": lambda made: made.heard_state(ONLINE, is_live=False),
    "info": lambda made: made.heard_claim(EARLIER, is_live=False, now=0),
    "health": lambda made: made.heard_claim(EARLIER, is_live=False, now=0),
}
LIVE: dict[str, Callable[[Ownership], bool]] = {
    "online": lambda made: made.heard_state(ONLINE, is_live=True),
    "info": lambda made: made.heard_claim(EARLIER, is_live=True, now=1),
    "health": lambda made: made.heard_claim(EARLIER, is_live=True, now=1),
}


@pytest.mark.parametrize("order", list(itertools.permutations(RETAINED)))
def test_what_another_one_left_retained_is_waited_for_150_s(order: tuple[str, ...]) -> None:
    ownership = looking()
    contradicts = [RETAINED[name](ownership) for name in order]

    assert contradicts == [False, False, False]
    assert (ownership.role, ownership.next_deadline()) == ("looking", LIVE_S)
    assert (ownership.decide(149.9), ownership.decide(150)) == (False, True)


@pytest.mark.parametrize("order", list(itertools.permutations(["offline", "info", "health"])))
def test_what_a_stopped_one_left_retained_is_not_waited_for(order: tuple[str, ...]) -> None:
    ownership = looking()
    for name in order:
        if name == "offline":
            ownership.heard_state(OFFLINE, is_live=False)
        else:
            RETAINED[name](ownership)

    assert (ownership.next_deadline(), ownership.decide(0)) == (None, True)


def test_our_own_earlier_process_is_not_another_one() -> None:
    ownership = looking()
    ownership.heard_state(ONLINE, is_live=False)
    ownership.heard_claim(GatewayClaim(OWN.instance, wall(-9999)), is_live=False, now=0)

    assert (ownership.other_instance, ownership.decide(0)) == (None, True)


@pytest.mark.parametrize("order", list(itertools.permutations(LIVE)))
@pytest.mark.parametrize("claim", [EARLIER, LATER])
def test_a_live_one_makes_a_newcomer_silent(order: tuple[str, ...], claim: GatewayClaim) -> None:
    ownership = looking()
    for name in order:
        if name == "online":
            ownership.heard_state(ONLINE, is_live=True)
        else:
            ownership.heard_claim(claim, is_live=True, now=1)

    assert (ownership.role, ownership.other_instance) == ("silent", claim.instance)
    assert (ownership.next_deadline(), ownership.decide(150.9), ownership.decide(151)) == (151, False, True)


def test_the_silent_one_waits_from_the_last_word_of_the_other() -> None:
    ownership = looking()
    for now in (1, 61, 121, 181):
        ownership.heard_claim(EARLIER, is_live=True, now=now)

    assert (ownership.next_deadline(), ownership.decide(330.9), ownership.decide(331)) == (331, False, True)


def test_the_silent_one_takes_over_when_the_other_says_offline() -> None:
    ownership = looking()
    ownership.heard_claim(EARLIER, is_live=True, now=1)
    contradicts = ownership.heard_state(OFFLINE, is_live=True)

    assert (contradicts, ownership.next_deadline(), ownership.decide(2)) == (False, None, True)


@pytest.mark.parametrize(
    ("claim", "role", "contradicts"),
    [
        (EARLIER, "silent", False),
        (LATER, "owner", True),
        (TIE_LOWER, "silent", False),
        (TIE_HIGHER, "owner", True),
        (OWN, "owner", False),
    ],
)
def test_of_two_live_ones_the_earlier_start_keeps_the_base(
    claim: GatewayClaim, role: str, *, contradicts: bool
) -> None:
    ownership = owner()

    assert ownership.heard_claim(claim, is_live=True, now=5) is contradicts
    assert ownership.role == role


@pytest.mark.parametrize(
    ("claim", "contradicts"), [(EARLIER, False), (LATER, True), (TIE_LOWER, False), (TIE_HIGHER, True), (OWN, False)]
)
def test_a_retained_claim_takes_nothing_from_an_owner(claim: GatewayClaim, *, contradicts: bool) -> None:
    ownership = owner()

    assert ownership.heard_claim(claim, is_live=False, now=5) is contradicts
    assert ownership.role is Role.OWNER


@pytest.mark.parametrize(
    ("payload", "is_live", "contradicts"),
    [(OFFLINE, True, True), (OFFLINE, False, False), (ONLINE, True, False), (b"", True, False), (b"?", True, False)],
)
def test_an_owner_contradicts_a_foreign_offline(payload: bytes, *, is_live: bool, contradicts: bool) -> None:
    ownership = owner()

    assert ownership.heard_state(payload, is_live=is_live) is contradicts
    assert ownership.role is Role.OWNER


def test_a_new_connection_forgets_what_was_heard_but_not_the_role() -> None:
    silent, owning = looking(), owner()
    silent.heard_claim(EARLIER, is_live=True, now=1)
    for ownership in (silent, owning):
        ownership.connected(50)

    assert (silent.role, owning.role) == ("silent", "owner")
    assert (silent.other_instance, silent.next_deadline(), silent.decide(50)) == (None, None, True)


# --- two gateways on one lossless bus -------------------------------------------------------------------------

DELAY_S = 0.01
READ_S = 0.2
HEALTH_S = 60.0


@dataclass
class Peer:
    claim: GatewayClaim
    begins: float
    ownership: Ownership
    has_read: bool = False


@dataclass
class Bus:
    """Retains the last word per topic, delivers all to all in order; gateways speak as docs/topics.md says."""

    peers: list[Peer]
    now: float = 0.0
    retained: dict[str, bytes | GatewayClaim] = field(default_factory=dict)
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def after(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (self.now + delay, next(self.numbers), action))

    def publish(self, topic: str, payload: bytes | GatewayClaim) -> None:
        self.retained[topic] = payload
        for peer in self.peers:
            if peer.begins <= self.now:
                self.after(DELAY_S, lambda peer=peer: self.hear(peer, payload, is_live=True))  # type: ignore[misc]

    def hear(self, peer: Peer, payload: bytes | GatewayClaim, *, is_live: bool) -> None:
        if isinstance(payload, bytes):
            contradicts = peer.ownership.heard_state(payload, is_live=is_live)
        else:
            contradicts = peer.ownership.heard_claim(payload, is_live=is_live, now=self.now)
        if contradicts:
            self.speak(peer)
        self.decide(peer)

    def begin(self, peer: Peer) -> None:
        peer.ownership.connected(self.now)
        for payload in list(self.retained.values()):
            self.after(DELAY_S, lambda payload=payload: self.hear(peer, payload, is_live=False))  # type: ignore[misc]
        self.after(READ_S, lambda: self.has_read(peer))

    def has_read(self, peer: Peer) -> None:
        peer.has_read = True
        self.decide(peer)
        self.beat(peer)

    def beat(self, peer: Peer) -> None:
        if peer.ownership.role is Role.OWNER:
            self.publish("health", peer.claim)
        self.after(HEALTH_S, lambda: self.beat(peer))

    def decide(self, peer: Peer) -> None:
        if peer.has_read and peer.ownership.decide(self.now):
            self.speak(peer)
        deadline = peer.ownership.next_deadline()
        if deadline is not None and deadline > self.now:
            self.after(deadline - self.now, lambda: self.decide(peer))

    def speak(self, peer: Peer) -> None:
        self.publish("state", ONLINE)
        self.publish("info", peer.claim)
        self.publish("health", peer.claim)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(100_000):
            if not self.agenda or self.agenda[0][0] > end:
                self.now = end
                return
            self.now, _, action = heapq.heappop(self.agenda)
            action()
        raise AssertionError("the two talk without end")


def bus_of(*peers: tuple[str, float, float]) -> Bus:
    """Peers as (instance, when it connects, when it says that it started)."""
    made = [
        Peer(GatewayClaim(name, wall(started)), begins, Ownership(GatewayClaim(name, wall(started))))
        for name, begins, started in peers
    ]
    bus = Bus(made)
    for peer in made:
        bus.after(peer.begins, lambda peer=peer: bus.begin(peer))  # type: ignore[misc]
    return bus


TIMES = st.one_of(st.sampled_from([0.0, 0.1, 0.19, 0.2, 0.21, 150.0, 150.2]), st.floats(0, 400))
STARTED = st.sampled_from([-10.0, 0.0, 0.0, 10.0])


@given(TIMES, TIMES, STARTED, STARTED)
def test_two_gateways_end_with_exactly_one_owner(
    one: float, other: float, started: float, other_started: float
) -> None:
    bus = bus_of(("aaaa", one, started), ("bbbb", other, other_started))
    bus.run(1000)

    assert sorted(peer.ownership.role for peer in bus.peers) == ["owner", "silent"]
    assert bus.retained["state"] == ONLINE
    (winner,) = (peer.claim for peer in bus.peers if peer.ownership.role is Role.OWNER)
    assert bus.retained["info"] == winner


@given(TIMES, STARTED, STARTED)
def test_the_other_one_takes_over_within_150_s_of_the_owner_s_silence(
    other: float, started: float, other_started: float
) -> None:
    bus = bus_of(("aaaa", 0, started), ("bbbb", other, other_started))
    bus.run(1000)
    bus.peers = [peer for peer in bus.peers if peer.ownership.role is Role.SILENT]
    (heir,) = bus.peers
    gone, bus.agenda = bus.now, []
    bus.decide(heir)
    bus.run(LIVE_S + HEALTH_S)

    assert heir.ownership.role is Role.OWNER
    assert bus.retained["info"] == heir.claim
    assert gone == 1000
