"""What is spared while an account is surveyed hides nothing: a gateway that looks at everything says the same."""

import json

import pytest

from nuki2mqtt.adapters.time_zones import zone_of
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Outside
from nuki2mqtt.gateway.vocabulary import Event, Memory, MqttConnected, MqttSubscribed, Publish
from nuki2mqtt.protocol.web_api import AuthorizationListRequest
from nuki2mqtt.simulator.keypad import KEYPAD_CODE
from nuki2mqtt.simulator.visitors import enter_code
from nuki2mqtt.simulator.web import SimulatedCloud
from tests.gateway.builders import ZERO, Hand, identity, only, read
from tests.gateway.cloud_site import CLOUD_CONFIG, CloudSite, front_door, simulated_cloud

LOCKS, CODES = 12, 3


class Thorough(Gateway):
    """After every answer and before every question it looks at all devices."""

    def _is_quiet(self, event: Event) -> bool:  # noqa: ARG002 - as of the real one
        return False

    def next_deadline(self) -> float | None:
        deadline = super().next_deadline()
        self._asks_until = 0.0
        return deadline


def surveyed() -> SimulatedCloud:
    cloud = simulated_cloud(*(front_door(0x1A000001 + number, f"Door {number}") for number in range(LOCKS)))
    for known in cloud.devices:
        for index in range(CODES):
            known.auths.add_by_app(name=f"Guest {index}", code=391_551 + index, type=KEYPAD_CODE)
        known.sync(is_forced=False)
    return cloud


def story(kind: type[Gateway]) -> CloudSite:
    """A survey, a code that is made in it and used, a lock that goes away, a token that loses a scope."""
    outside = Outside(bytes, zone_of)
    site = CloudSite(Hand(kind(read(CLOUD_CONFIG), identity(), Memory(), outside), ZERO), cloud=surveyed())
    site.take(site.hand.tell(MqttConnected("5")))
    site.take(site.hand.tell(MqttSubscribed()))
    site.wait(0.2)
    site.reconnect()
    site.wait(3)
    site.receive("nuki2mqtt/door_5/keypad/set", {"op": "create", "name": "Anna", "code": "739164"})
    site.wait(90)
    enter_code(site.cloud.devices[5], 739_164)
    site.wait(200)
    with site.cloud.faults.offline(site.cloud.devices[3].nuki_id):
        site.wait(100)
    site.request("sync", "door_7")
    site.wait(400)
    return site


@pytest.fixture(scope="module")
def spared() -> CloudSite:
    return story(Gateway)


def test_both_say_the_same(spared: CloudSite) -> None:
    thorough = story(Thorough)
    moving = {"nuki2mqtt/gateway/health"}  # counts what was asked, and is said each minute
    held, wanted = spared.retained(), thorough.retained()

    assert {topic for topic in wanted if held.get(topic) != wanted[topic]} - moving == set()
    assert set(held) == set(wanted)
    unretained = [
        [(one.topic, one.payload) for one in only(site.effects, Publish) if not one.retain]
        for site in (spared, thorough)
    ]
    assert unretained[0] == unretained[1]


def test_all_codes_are_listed_and_each_list_was_read_once_in_the_survey(spared: CloudSite) -> None:
    listed = {
        topic: [one["name"] for one in json.loads(payload)]
        for topic, payload in spared.retained().items()
        if topic.endswith("/keypad")
    }
    guests = [f"Guest {index}" for index in range(CODES)]

    assert listed == {
        f"nuki2mqtt/door_{number}/keypad": ["Anna", *guests] if number == 5 else guests for number in range(LOCKS)
    }
    first = [at for at in spared.asked_for(AuthorizationListRequest) if at < 20]
    assert len(first) >= LOCKS
