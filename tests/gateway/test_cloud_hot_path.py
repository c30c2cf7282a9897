"""What is spared beside the cloud when nothing differs must never hide that something does."""

from dataclasses import replace

import pytest

from nuki2mqtt.model.activity import ActivityAction
from nuki2mqtt.model.cloud_device import CloudFacts
from nuki2mqtt.model.state import Deed, DeviceState
from tests.gateway.builders import LOCK, LOCKED, UNLOCKED, entry, state
from tests.gateway.scripted_cloud import ONLINE, CloudSite, twin

NO_DOOR = (entry(state(1), -3600),)


def test_a_filled_snapshot_is_the_same_object_as_long_as_nothing_differs() -> None:
    site = CloudSite.with_cloud(twin(state(1, 2)), reports=NO_DOOR, seconds=20)
    following = site.hand.gateway._following
    first = following.snapshot(LOCK, site.hand.moment)
    site.wait(61)  # the cloud was read again

    assert following.snapshot(LOCK, site.hand.moment) is first
    assert first.door_code == 2


@pytest.mark.parametrize(
    ("said", "facts", "name", "value"),
    [
        (state(1, 3), ONLINE, "door_code", 3),
        (state(1, 2, level=50), ONLINE, "battery", replace(state(1).battery, level=50)),
        (state(1, 2, keypad=True), ONLINE, "keypad_battery_critical", True),
        (state(1, 2), replace(ONLINE, keypad_paired=True), "has_keypad", True),
        (state(1, 2), replace(ONLINE, door_sensor_battery_critical=True), "door_sensor_battery_critical", True),
        (state(1, 2), replace(ONLINE, server_state_code=4), "door_code", None),
    ],
)
def test_whatever_fills_a_snapshot_makes_another_one(
    said: DeviceState, facts: CloudFacts, name: str, value: object
) -> None:
    site = CloudSite.with_cloud(twin(state(1, 2)), reports=NO_DOOR, seconds=20)
    following = site.hand.gateway._following
    first = following.snapshot(LOCK, site.hand.moment)
    site.have(twin(said, facts=facts))
    site.wait(61)

    assert getattr(first, name) != value
    assert getattr(following.snapshot(LOCK, site.hand.moment), name) == value


def test_who_it_was_makes_another_snapshot() -> None:
    site = CloudSite.with_cloud(twin(state(1, 2)), seconds=20)
    following = site.hand.gateway._following
    first = following.snapshot(LOCK, site.hand.moment)
    site.call_back(UNLOCKED)
    site.call_back(LOCKED)

    assert first.deed == Deed()
    assert following.snapshot(LOCK, site.hand.moment).deed == Deed(ActivityAction.LOCK)


def test_a_device_that_left_the_account_is_filled_no_more() -> None:
    site = CloudSite.with_cloud(twin(state(1, 2)), reports=NO_DOOR, seconds=20)
    site.have()
    site.wait(61)

    assert (site.shows("door"), LOCKED.door_code) == ((None,), 2)
