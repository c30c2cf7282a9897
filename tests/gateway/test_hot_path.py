"""What is spared when nothing differs must never hide that something does."""

from dataclasses import replace
from datetime import datetime

import pytest

from nuki2mqtt.gateway.devices import _Device, _make_snapshot
from nuki2mqtt.gateway.vocabulary import CallBridge, Event, MemorySaved, MqttPublished, MqttReceived, Publish
from nuki2mqtt.model.state import Source
from tests.gateway.builders import LINK, LOCK, LOCKED, UNLOCKED, Seen, only, state, wall
from tests.gateway.site import Site

HEALTH = "nuki2mqtt/gateway/health"
ACK = MqttPublished(999_999)


def seen_device() -> tuple[Seen, _Device]:
    seen = Seen()
    seen.listed(0, LOCKED, -5)
    return seen, seen.devices._devices[LOCK]


def test_a_snapshot_is_the_same_object_as_long_as_nothing_differs() -> None:
    seen, _ = seen_device()
    first = seen.devices.snapshot(LOCK)
    seen.listed(30, LOCKED, -5)

    assert seen.devices.snapshot(LOCK) is first

    seen.listed(60, UNLOCKED, 55)

    assert seen.devices.snapshot(LOCK).state_code == 3


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("device_type", 2),
        ("name", "Gate"),
        ("name", ""),
        ("firmware", "9.9.9"),
        ("firmware", None),
        ("state", UNLOCKED),
        ("state", replace(state(1, 2), keypad_battery_critical=True)),
        ("state", None),
        ("source", Source.CALLBACK),
        ("seen", wall(7)),
        ("changed", wall(7)),
        ("has_keypad", True),
    ],
)
def test_whatever_a_snapshot_is_made_of_makes_another_one(attribute: str, value: object) -> None:
    seen, device = seen_device()
    first = seen.devices.snapshot(LOCK)
    setattr(device, attribute, value)

    assert seen.devices.snapshot(LOCK) == _make_snapshot(device) != first


def test_a_ring_makes_another_snapshot() -> None:
    seen, device = seen_device()
    seen.devices.snapshot(LOCK)
    shown: datetime = wall(7)
    device.rings.shown = shown

    assert seen.devices.snapshot(LOCK).ring_at == shown


def test_vouching_signal_and_bridge_make_another_snapshot() -> None:
    site = Site.at_work()
    following = site.hand.gateway._following
    fresh = following.snapshot(LOCK, site.hand.moment)

    assert following.snapshot(LOCK, site.hand.moment) is fresh
    assert not fresh.stale

    following.vouching.unreachable(LOCK, site.hand.monotonic)
    stale = following.snapshot(LOCK, site.hand.moment)

    assert stale == replace(fresh, stale=True)

    following._rssi = {link: {LOCK: -55} for link in following.links}

    assert following.snapshot(LOCK, site.hand.moment) == replace(stale, rssi_dbm=-55)

    for link in following.links.values():
        link.bridge_id = None

    assert following.snapshot(LOCK, site.hand.moment).bridge is None


def test_what_is_due_is_done_with_whatever_event_comes_first() -> None:
    site = Site.at_work()
    deadline = site.hand.gateway._following.next_deadline(site.hand.monotonic)
    assert deadline is not None
    while (due := site.hand.gateway.next_deadline()) is not None and due < deadline:
        site.wait(due - site.hand.monotonic)

    assert not only(site.hand.tell(ACK), CallBridge)

    site.hand.monotonic = deadline

    assert only(site.hand.tell(ACK), CallBridge)


def test_nobody_has_to_ask_for_the_deadline() -> None:
    asked, unasked = Site.at_work(), Site.at_work()
    ours = MqttReceived(HEALTH, b'{"instance":"1234abcd","started":"2026-01-01T00:00:00Z"}')
    for second in range(200):
        for site in (asked, unasked):
            site.hand.monotonic += 1
            site.take(site.hand.tell(ACK))
            site.take(site.hand.tell(ours))
            site.take(site.hand.gateway.handle_timer(site.hand.moment) if second % 3 == 0 else [])
        asked.hand.gateway.next_deadline()

    assert asked.effects == unasked.effects


def test_each_minute_tells_what_waits_just_then() -> None:
    site = Site.at_work()
    projection = site.hand.gateway._telling._projection
    health = projection._health
    assert health is not None
    waiting = replace(health, events_waiting=7, bridges=(replace(health.bridges[0], queue=3),))
    projection.show_health(waiting, again=True)
    (told,) = [publish for publish in only(site.hand.tell(ACK), Publish) if publish.topic == HEALTH]

    assert b'"events_waiting":7' in told.payload
    assert b'"queue":3' in told.payload


@pytest.mark.parametrize("event", [ACK, MemorySaved(), MqttReceived(HEALTH, b"{}")])
def test_an_acknowledgement_hides_no_silence_that_fell_due_before_it(event: Event) -> None:
    """It comes first when much arrives at once, and shows nothing itself."""
    site = Site.at_work()
    gateway = site.hand.gateway
    for link in gateway._following.links.values():
        site.take(link.end_contact("another Bridge answers"))
    gateway._rests_until = None  # as after its answer
    silent_from = gateway._following.vouching._devices[LOCK].sights[LINK].silent_from
    while (due := gateway.next_deadline()) is not None and due < silent_from:
        site.wait(due - site.hand.monotonic)
    site.hand.monotonic = silent_from + 0.002
    site.take(site.hand.tell(event))
    due = gateway.next_deadline()

    assert due is not None
    assert due <= site.hand.monotonic

    told = {publish.topic: publish.payload for publish in only(gateway.handle_timer(site.hand.moment), Publish)}

    assert told["nuki2mqtt/front_door/availability"] == b"offline"
    assert b'"stale":true' in told["nuki2mqtt/front_door"]
