"""Against the simulated cloud, in virtual time: whatever people do, nobody is named who did not do it.

Ada, Bob and Cy come with their codes, fail at the keypad and move the door; the log lags, loses
its names or some of its entries, the lock's clock is a little off. Changes are seen as a Bridge calls them, a moment
after the motor rests, or by polls. What is told is held against what the house saw happen.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.gateway.attribution import Attribution
from nuki2mqtt.gateway.findings import Finding
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.event import EventType
from nuki2mqtt.protocol.web_answers import ActivityAnswer, AuthorizationListAnswer
from nuki2mqtt.simulator import visitors
from nuki2mqtt.simulator.doer import Doer
from nuki2mqtt.simulator.house import SimulatedDevice
from nuki2mqtt.simulator.web import CloudTiming
from tests.simulator.cloud_site import NOW, CloudSite, make_site

PEOPLE = {"Ada": 345671, "Bob": 345672, "Cy": 345673}
LOCKED, UNLOCKED = 1, 3
POLL_S = 30.0


def wall(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def moment(at: float) -> Moment:
    return Moment(at - NOW, wall(at))


@dataclass
class World:
    """The front door of a site, watched by an attribution; `truth` says who was the cause of each change."""

    is_polled: bool
    skew_s: float
    delay_s: float
    site: CloudSite = field(default_factory=make_site)
    findings: list[Finding] = field(default_factory=list)
    truth: dict[datetime, str] = field(default_factory=dict)
    doers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, code in PEOPLE.items():
            self.site.make_code(name, code)
        self.site.cloud.timing = replace(CloudTiming(), log_s=(1.0, 80.0))
        self.site.door.turn(LOCKED)
        self.site.wait(200)
        self.nuki_id = NukiId(self.site.door.nuki_id)
        self.attribution = Attribution(moment(self.site.house.now), lambda _: True)
        self.seen = self.settled = LOCKED
        self.cause = ""
        self.pending: list[tuple[float, int, str]] = []
        self.polled = self.site.house.now
        self.site.house.witnesses.add(self.witness)
        self.site.house.observe(self.notice)

    def witness(self, device: SimulatedDevice, _: int | None, doer: Doer) -> None:
        if device is self.site.door:
            self.cause = doer.name

    def notice(self, device: SimulatedDevice) -> None:
        state = self.site.door.facts.state
        if device is self.site.door and state in {LOCKED, UNLOCKED} and state != self.settled:
            self.settled = state
            self.pending.append((self.site.house.now + self.delay_s, state, self.cause))

    @property
    def now(self) -> float:
        return self.site.house.now

    def go_on(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.site.wait(min(1.0, end - self.now))
            if self.is_polled and self.now - self.polled >= POLL_S:
                self.poll()
            elif not self.is_polled:
                self.be_called()
            self.read()

    def be_called(self) -> None:
        for at, state, cause in [one for one in self.pending if one[0] <= self.now]:
            self.pending.remove((at, state, cause))
            self.see(state, cause, None)

    def poll(self) -> None:
        state = self.site.door.facts.state
        if state in {LOCKED, UNLOCKED} and state == self.settled:
            cause = self.pending[-1][2] if self.pending else ""
            self.pending.clear()
            self.see(state, cause, wall(self.polled))
        self.polled = self.now

    def see(self, state: int, cause: str, earliest: datetime | None) -> None:
        if state == self.seen:
            return
        latest = wall(self.now)
        self.attribution.changed(self.nuki_id, 4, self.seen, state, moment(self.now), latest=latest, earliest=earliest)
        self.truth[latest] = cause
        self.seen = state

    def read(self) -> None:
        now = moment(self.now)
        self.attribution.handle_timer(now)
        names = {}
        if self.attribution.wants_names:
            body = json.dumps(self.site.get(f"{self.site.path}/auth")).encode()
            names = {one.id: one for one in AuthorizationListAnswer.from_body(body).authorizations}
        self.findings += self.attribution.take_named(names, now)
        for wish in self.attribution.take_wishes(now):
            rows = self.site.get(f"{self.site.path}/log", limit=50)
            answer = ActivityAnswer.from_body(json.dumps(rows).encode())
            skewed = tuple(
                replace(one, at=one.at + timedelta(seconds=self.skew_s)) for one in answer.activities if one.at
            )
            self.findings += self.attribution.read_ended(wish.nuki_id, replace(answer, activities=skewed), names, now)

    def name_of(self, finding: Finding) -> str | None:
        body = json.dumps(self.site.get(f"{self.site.path}/auth")).encode()
        known = AuthorizationListAnswer.from_body(body).authorizations
        return finding.activity.actor({one.id: one.name for one in known if one.name})


visits = st.tuples(
    st.one_of(st.floats(6, 12), st.floats(6, 60)),  # until somebody comes
    st.sampled_from(sorted(PEOPLE)),
    st.sampled_from(["enter", "enter", "fail", "door"]),
    st.booleans(),  # whether the log loses the entry
)


@settings(max_examples=40, deadline=None)
@given(
    is_polled=st.booleans(),
    skew_s=st.floats(-4, 4),
    delay_s=st.floats(0, 2),
    has_names=st.booleans(),
    story=st.lists(visits, min_size=1, max_size=16),
)
def test_nobody_is_named_who_did_not_do_it_and_nothing_is_told_twice(
    *,
    is_polled: bool,
    skew_s: float,
    delay_s: float,
    has_names: bool,
    story: list[tuple[float, str, str, bool]],
) -> None:
    world = World(is_polled, skew_s, delay_s)
    cloud, front = world.site.cloud, world.site.front
    nameless = None if has_names else cloud.faults.nameless_log().begin()
    for wait_s, who, what, is_lost in story:
        # What a poll does not see and the log does not say nobody can know: then somebody else would be taken for it.
        lost = cloud.faults.lost_log().begin() if is_lost and not is_polled else None
        if what == "fail":
            visitors.enter_code(front, 999999)
        elif what == "door":
            world.site.door.set_door(5 - (world.site.door.door or 2))
        else:
            visitors.enter_code(front, PEOPLE[who], action=1 if world.settled == LOCKED else 2)
        world.go_on(wait_s)
        if lost is not None:
            lost.end()
    world.go_on(400)
    if nameless is not None:
        nameless.end()

    attributed = [one for one in world.findings if one.event_type is EventType.ATTRIBUTED]
    for one in attributed:
        assert one.changed is not None
        assert world.name_of(one) == world.truth[one.changed]
    ids = [one.activity.id for one in world.findings]
    assert len(ids) == len(set(ids))
    assert len({one.changed for one in attributed}) == len(attributed)
    fails = sum(what == "fail" for _, _, what, _ in story)
    assert sum(one.event_type is EventType.CODE_REFUSED for one in world.findings) <= fails


def test_who_comes_alone_is_always_named() -> None:
    world = World(is_polled=False, skew_s=2.0, delay_s=1.0)
    for who in (*PEOPLE, *PEOPLE):
        visitors.enter_code(world.site.front, PEOPLE[who], action=1 if world.settled == LOCKED else 2)
        world.go_on(120)

    assert [world.name_of(one) for one in world.findings] == [*PEOPLE, *PEOPLE]
    assert list(world.truth.values()) == [*PEOPLE, *PEOPLE]
