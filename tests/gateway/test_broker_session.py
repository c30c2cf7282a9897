"""The phases of a connection: read what is retained, own the base or be silent, speak."""

import json

import pytest

from nuki2mqtt.gateway.broker_session import MAX_SNAPSHOTS, BrokerSession, News
from nuki2mqtt.gateway.ownership import Role
from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttSubscribed,
    Subscription,
    Will,
)
from nuki2mqtt.protocol.payloads import GatewayClaim, RetainedSnapshot
from nuki2mqtt.protocol.topics import TopicTree
from tests.gateway.builders import BRIDGE_ID, LOCK, wall

TREE = TopicTree("home/nuki2mqtt", "homeassistant")
STATE, INFO, HEALTH = "home/nuki2mqtt/gateway/state", "home/nuki2mqtt/gateway/info", "home/nuki2mqtt/gateway/health"
BIRTH = "homeassistant/status"
ALWAYS = tuple(Subscription(topic, qos=0) for topic in (STATE, INFO, HEALTH, BIRTH))
SNAPSHOTS = Subscription("home/nuki2mqtt/+", qos=0)
BRIDGES = Subscription("home/nuki2mqtt/bridge/+/availability", qos=0)
ORDERS = tuple(
    Subscription(topic, qos=1, retain_as_published=True)
    for topic in (
        "home/nuki2mqtt/+/set",
        "home/nuki2mqtt/+/get",
        "home/nuki2mqtt/gateway/request/+",
        "home/nuki2mqtt/+/keypad/set",
    )
)
WILL = Will(STATE, b"offline")


def claim(instance: str, started: float) -> bytes:
    return json.dumps({"instance": instance, "started": wall(started).isoformat()}).encode()


EARLIER, LATER = claim("zzzz", -60), claim("zzzz", 60)


class Session(BrokerSession):
    """A session with the news of each step."""

    def __init__(self) -> None:
        super().__init__(TREE, GatewayClaim("mmmm", wall(0)))

    def hear(self, topic: str, payload: bytes, now: float, *, retained: bool = False) -> list[News]:
        return self.handle(MqttReceived(topic, payload, retained=retained), now)

    def connect(self, now: float) -> list[News]:
        return self.handle(MqttConnected("5"), now) + self.handle(MqttSubscribed(), now)


def reading(now: float = 0.0) -> Session:
    session = Session()
    assert session.connect(now) == []
    return session


def owner() -> Session:
    """Owns the base and speaks since 1 s."""
    session = reading()
    assert session.handle_timer(0.25) == [News.OWNED]
    session.connect_order()
    assert session.handle(MqttLost("reconnecting"), 0.3) == [News.CLOSED]
    assert session.connect(1) == [News.READY]
    session.forget_snapshots()
    return session


# --- the connect order ---


def test_the_first_connection_has_no_will_and_reads_the_snapshots() -> None:
    assert Session().connect_order() == ConnectMqtt(None, (*ALWAYS, SNAPSHOTS, BRIDGES))


def test_the_owner_connects_with_a_will_and_reads_the_snapshots_until_it_speaks() -> None:
    session = reading()
    session.handle_timer(0.25)

    assert session.connect_order() == ConnectMqtt(WILL, (*ALWAYS, SNAPSHOTS, BRIDGES, *ORDERS))
    assert owner().connect_order() == ConnectMqtt(WILL, (*ALWAYS, *ORDERS))


def test_the_silent_one_has_no_will() -> None:
    session = owner()
    assert session.hear(INFO, EARLIER, 5) == [News.YIELDED]

    assert session.connect_order() == ConnectMqtt(None, ALWAYS)


# --- reading ---


def test_nothing_is_decided_before_the_subscription() -> None:
    session = Session()
    session.handle(MqttConnected("3.1.1"), 0)

    assert (session.protocol, session.next_deadline(), session.handle_timer(5)) == ("3.1.1", None, [])
    assert session.role is Role.LOOKING


def test_an_empty_broker_is_ours_after_0_2_s_of_quiet() -> None:
    session = reading()

    assert (session.next_deadline(), session.handle_timer(0.19), session.handle_timer(0.2)) == (0.2, [], [News.OWNED])
    assert (session.role, session.has_read, session.next_deadline()) == ("owner", True, None)


def test_each_message_prolongs_the_quiet_to_at_most_2_s() -> None:
    session = reading()
    deadlines = list[float | None]()
    for now in (0.1, 0.25, 0.4, 1.7, 1.9, 1.95):
        session.hear(BIRTH, b"x", now, retained=True)
        deadlines.append(session.next_deadline())

    assert deadlines == pytest.approx([0.3, 0.45, 0.6, 1.9, 2.0, 2.0])
    assert (session.handle_timer(1.99), session.handle_timer(2.0)) == ([], [News.OWNED])


def test_another_one_that_is_online_is_waited_for_150_s_from_the_connection() -> None:
    session = reading(10)
    news = [session.hear(topic, payload, 10.1, retained=True) for topic, payload in ((STATE, b"online"), (INFO, LATER))]
    news.append(session.handle_timer(10.4))

    assert (news, session.next_deadline()) == ([[], [], [News.WAITING]], 160)
    assert (session.handle_timer(159.9), session.handle_timer(160)) == ([], [News.OWNED])


def test_a_live_one_makes_us_silent_while_we_read() -> None:
    session = reading()
    news = [session.hear(HEALTH, LATER, 0.1), session.handle_timer(0.4)]

    assert (news, session.role, session.other_instance) == ([[News.SILENCED], []], "silent", "zzzz")
    assert session.next_deadline() == pytest.approx(150.1)


def test_the_silent_one_owns_the_base_at_the_other_s_offline() -> None:
    session = reading()
    session.hear(HEALTH, EARLIER, 0.1)
    session.handle_timer(0.4)

    assert session.hear(STATE, b"offline", 7) == []
    assert (session.next_deadline(), session.handle_timer(8.9), session.role) == (9, [], "silent")
    assert session.handle_timer(9) == [News.OWNED]
    assert session.role is Role.OWNER


def test_the_silent_one_stays_silent_when_the_other_contradicts_an_offline() -> None:
    session = reading()
    session.hear(HEALTH, EARLIER, 0.1)
    session.handle_timer(0.4)
    session.hear(STATE, b"offline", 7)
    session.hear(STATE, b"online", 7.1)

    assert (session.handle_timer(9), session.handle_timer(20), session.role) == ([], [], "silent")


def test_an_offline_while_reading_is_acted_on_when_the_reading_is_over() -> None:
    session = reading()
    news = [session.hear(HEALTH, EARLIER, 0.1), session.hear(STATE, b"offline", 0.15), session.handle_timer(0.35)]

    assert news == [[News.SILENCED], [], []]
    assert session.handle_timer(2.15) == [News.OWNED]


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff", b'{"instance":"","started":"2026-01-01"}', b"null"])
def test_what_is_no_claim_is_nothing(payload: bytes) -> None:
    session = reading()

    assert [session.hear(INFO, payload, 0.1), session.hear(HEALTH, payload, 0.1)] == [[], []]
    assert session.handle_timer(0.35) == [News.OWNED]


# --- snapshots ---

SNAPSHOT = json.dumps({"id": str(LOCK), "name": "Front door", "device_type": 4, "state": "locked"}).encode()


@pytest.mark.parametrize("retained", [True, False])
def test_until_we_speak_snapshots_are_read_by_the_device_s_level(*, retained: bool) -> None:
    session = reading()
    session.hear("home/nuki2mqtt/front_door", SNAPSHOT, 0.1, retained=retained)

    stale = b'{"id":"1A2B3C4D","name":"Front door","device_type":4,"state":"locked","stale":true}'
    assert session.snapshots == {"front_door": RetainedSnapshot(LOCK, "Front door", 4, stale)}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("home/nuki2mqtt/front_door/state", SNAPSHOT),
        ("home/nuki2mqtt/front_door", b"{}"),
        ("home/nuki2mqtt/front_door", b"locked"),
        ("elsewhere/front_door", SNAPSHOT),
    ],
)
def test_what_is_not_a_snapshot_of_ours_is_not_read(topic: str, payload: bytes) -> None:
    session = reading()
    session.hear(topic, payload, 0.1, retained=True)

    assert session.snapshots == {}


def test_the_newest_snapshot_of_a_device_counts() -> None:
    session = reading()
    session.hear("home/nuki2mqtt/front_door", SNAPSHOT, 0.1, retained=True)
    session.hear("home/nuki2mqtt/front_door", SNAPSHOT.replace(b"locked", b"unlocked"), 60)

    assert b"unlocked" in session.snapshots["front_door"].stale


def test_after_we_spoke_snapshots_are_our_own_and_not_read() -> None:
    session = owner()
    session.hear("home/nuki2mqtt/front_door", SNAPSHOT, 5, retained=True)

    assert session.snapshots == {}


def test_at_most_1000_snapshots_are_kept() -> None:
    session = reading()
    for number in range(1005):
        session.hear(f"home/nuki2mqtt/d{number}", SNAPSHOT, 0.1, retained=True)

    assert (MAX_SNAPSHOTS, len(session.snapshots)) == (1000, 1000)


@pytest.mark.parametrize("retained", [True, False])
def test_until_we_speak_bridges_are_read_by_their_id(*, retained: bool) -> None:
    session = reading()
    session.hear("home/nuki2mqtt/bridge/0A1B2C3D/availability", b"online", 0.1, retained=retained)
    session.hear("home/nuki2mqtt/bridge/0A1B2C3D", b"{}", 0.1, retained=retained)
    session.hear("home/nuki2mqtt/bridge/front/availability", b"online", 0.1, retained=retained)

    assert (session.bridges, session.snapshots) == ({BRIDGE_ID}, {})


def test_after_we_spoke_bridges_are_our_own_and_not_read() -> None:
    session = owner()
    session.hear("home/nuki2mqtt/bridge/0A1B2C3D/availability", b"online", 5, retained=True)

    assert session.bridges == set()


# --- the owner ---


@pytest.mark.parametrize(("topic", "payload"), [(STATE, b"offline"), (INFO, LATER), (HEALTH, LATER)])
def test_the_owner_contradicts(topic: str, payload: bytes) -> None:
    session = owner()

    assert session.hear(topic, payload, 5) == [News.CONTRADICT]
    assert session.role is Role.OWNER


@pytest.mark.parametrize("topic", [INFO, HEALTH])
def test_the_owner_yields_to_an_earlier_start(topic: str) -> None:
    session = owner()

    assert session.hear(topic, EARLIER, 5) == [News.YIELDED]
    assert (session.role, session.other_instance) == ("silent", "zzzz")


def test_who_yields_reads_its_own_words_and_stays_silent_while_the_other_may_live() -> None:
    """What is retained then is what we said ourselves: no sign that nobody else is there."""
    session = owner()
    session.hear(HEALTH, EARLIER, 5)
    session.handle(MqttLost("reconnecting"), 5)
    session.handle(MqttConnected("5"), 5.1)
    session.handle(MqttSubscribed(), 5.1)
    session.hear(STATE, b"online", 5.2, retained=True)

    assert (session.handle_timer(5.5), session.role) == ([], "silent")
    assert (session.handle_timer(154.9), session.role) == ([], "silent")
    assert (session.handle_timer(155), session.role) == ([News.OWNED], "owner")


@pytest.mark.parametrize(
    ("topic", "payload"), [(STATE, b"offline"), (INFO, EARLIER), (INFO, LATER), (STATE, b"online"), ("x/y", b"z")]
)
def test_what_is_retained_moves_no_owner(topic: str, payload: bytes) -> None:
    session = owner()

    assert session.hear(topic, payload, 5, retained=True) == []
    assert session.role is Role.OWNER


def test_two_talkers_do_not_shout_without_end() -> None:
    session = owner()

    assert [session.hear(HEALTH, LATER, now) for now in (5, 5.1, 5.9, 6)] == [
        [News.CONTRADICT],
        [],
        [],
        [News.CONTRADICT],
    ]


def test_a_second_foreign_offline_is_contradicted_when_the_gap_is_over() -> None:
    session = owner()
    news = session.hear(STATE, b"offline", 5) + session.hear(STATE, b"offline", 5.5)
    for now in (5.7, 6, 6.5, 10, 60):
        news += session.handle_timer(now)

    assert news == [News.CONTRADICT, News.CONTRADICT]


@pytest.mark.parametrize("topic", [INFO, HEALTH])
def test_who_spoke_in_our_name_is_contradicted_at_once_and_again_when_it_has_heard_us(topic: str) -> None:
    session = owner()

    assert session.hear(topic, LATER, 5) == [News.CONTRADICT]
    assert (session.handle_timer(5.9), session.next_deadline()) == ([], 6)
    assert (session.handle_timer(6), session.next_deadline()) == ([News.CONTRADICT], None)
    assert session.handle_timer(60) == []


def test_who_spoke_in_our_name_while_we_were_away_is_contradicted_when_it_has_heard_us() -> None:
    session = owner()

    assert (session.hear(INFO, LATER, 5, retained=True), session.next_deadline()) == ([], 6)
    assert (session.handle_timer(6), session.next_deadline()) == ([News.CONTRADICT], None)


@pytest.mark.parametrize(
    ("payload", "retained", "news"),
    [(b"online", False, [News.BORN]), (b"online", True, []), (b"offline", False, []), (b"", False, [])],
)
def test_home_assistant_is_born_by_a_live_online(payload: bytes, news: list[News], *, retained: bool) -> None:
    assert owner().hear(BIRTH, payload, 5, retained=retained) == news


def test_a_birth_is_nothing_to_those_who_do_not_own_the_base() -> None:
    assert reading().hear(BIRTH, b"online", 0.1) == []


# --- connections that end ---


def test_the_owner_speaks_again_as_soon_as_it_is_subscribed() -> None:
    session = owner()
    news = [session.handle(MqttLost("gone"), 50), session.handle(MqttConnected("5"), 60)]

    assert news == [[News.CLOSED], []]
    assert session.handle(MqttSubscribed(), 60.1) == [News.READY]


def test_a_connection_that_never_was_is_not_lost() -> None:
    session = Session()

    assert [session.handle(MqttLost("refused"), now) for now in (1, 2)] == [[], []]
    assert session.losses == 0


def test_losses_are_counted_but_not_our_own_reconnecting() -> None:
    session = owner()
    before = session.losses
    session.handle(MqttLost("gone"), 50)
    session.handle(MqttLost("refused"), 51)

    assert (before, session.losses) == (0, 1)


def test_a_reading_that_was_cut_off_begins_anew() -> None:
    session = reading()
    session.handle(MqttLost("gone"), 0.1)
    without = (session.next_deadline(), session.handle_timer(5))
    session.connect(10)

    assert without == (None, [])
    assert (session.handle_timer(10.1), session.handle_timer(10.2)) == ([], [News.OWNED])
