"""Who did what in a whole gateway: what the cloud's state and log bring, and when it is told."""

import json
from math import inf

import pytest

from nuki2mqtt.gateway.evidence import Observation
from nuki2mqtt.gateway.publications import MAX_EVENTS
from nuki2mqtt.gateway.vocabulary import MqttConnected, MqttSubscribed, Publish
from nuki2mqtt.model.activity import Activity
from nuki2mqtt.model.cloud_device import CloudFacts
from nuki2mqtt.model.state import Source
from nuki2mqtt.protocol.webhooks import ActivityHook
from tests.gateway.builders import LOCK, Hand, entry, only, state, wall
from tests.gateway.scripted_cloud import CLOUD_CONFIG, WIFI, CloudSite, twin, wifi

STUDIO = "studio"
LOCKED_BY_HAND = CloudFacts(server_state_code=0, last_action_code=2, trigger_code=2)
WITHOUT_LOG = CLOUD_CONFIG.replace("log: true", "log: false")


# --- what the cloud's state says of the last deed ---


@pytest.mark.parametrize("config", [CLOUD_CONFIG, WITHOUT_LOG], ids=["log", "no log"])
def test_the_trigger_of_an_older_deed_is_not_that_of_a_change_that_the_bridge_told(config: str) -> None:
    site = CloudSite.with_cloud(twin(state(1), facts=LOCKED_BY_HAND), config=config, seconds=70)
    assert site.shows("last_action", "trigger") == ("lock", "button")
    site.call_back(state(3, 2))
    site.wait(1)
    site.call_back(state(1, 2))
    site.wait(70)

    assert site.shows("state", "trigger") == ("locked", None)


def test_of_a_change_that_the_cloud_told_its_state_knows_the_trigger() -> None:
    site = CloudSite.with_cloud(wifi(3))
    site.have(wifi(1, facts=LOCKED_BY_HAND))
    site.wait(130)

    assert site.shows("state", "last_action", "trigger", to=STUDIO) == ("locked", "lock", "button")


# --- what only the log tells, while there is no broker ---


def refused(number: int, at: float) -> Activity:
    """A keypad refused a code."""
    return Activity(
        id=f"row{number}",
        nuki_id=WIFI,
        device_type=4,
        at=wall(at),
        action_code=1,
        trigger_code=255,
        completion_code=224,
        source_code=1,
        name="",
    )


def before_the_broker(*activities: Activity) -> CloudSite:
    """There was no broker since the start, for two hours after these were heard."""
    site = CloudSite(Hand.with_config(CLOUD_CONFIG), has_broker=False)
    site.have(wifi(1))
    site.wait(60)
    site.hook(*(ActivityHook(one) for one in activities))
    site.wait(7200)
    return site


def greet(site: CloudSite) -> None:
    site.has_broker = True
    site.take(site.hand.tell(MqttConnected("5")))
    site.take(site.hand.tell(MqttSubscribed()))
    site.wait(0.2)
    site.reconnect()
    site.wait(5)


def test_what_was_found_before_the_first_broker_came_is_told_as_late() -> None:
    site = before_the_broker(refused(1, 58))
    greet(site)

    assert (site.happened(STUDIO), site.happened_late(STUDIO)) == ([], ["code_refused"])


def test_what_is_found_while_there_is_no_broker_is_bounded_and_counted() -> None:
    site = before_the_broker(*(refused(number, 30 + number / 100) for number in range(MAX_EVENTS + 7)))
    history = site.web_side.history

    assert (len(history._findings), history.findings_dropped) == (MAX_EVENTS, 7)
    assert history._findings[0].finding.activity.id == "row7"
    greet(site)
    health = next(one for one in reversed(only(site.effects, Publish)) if one.topic == "nuki2mqtt/gateway/health")
    assert json.loads(health.payload)["broker"]["events_dropped"] == 7


# --- what nobody can date ---


def test_an_entry_that_is_dated_ahead_of_its_bridges_clock_is_shown_and_dates_nothing() -> None:
    site = CloudSite.with_cloud(twin(state(1, 2)), reports=(entry(state(1, 2), 86_400.0),), seconds=130)

    assert site.shows("state", "door", "stale", "source") == ("locked", "closed", False, "list")
    site.web_side.history.hear([Observation(LOCK, Source.LIST, state(1, 3), -inf)], site.hand.moment)
    opened = Activity(id="row9", nuki_id=LOCK, device_type=0, at=wall(140), action_code=240, trigger_code=0)
    site.wait(30)
    site.hook(ActivityHook(opened))
    assert site.happened() == []  # a door of which others speak is theirs, as long as nothing younger was seen
