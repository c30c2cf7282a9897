"""What the cloud says of devices: in which order its words count, which lock is which, what may be vouched for."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.gateway.cloud_commands import Sight
from nuki2mqtt.gateway.cloud_devices import CloudDevices, CloudReport, Standing, Taken
from nuki2mqtt.model.activity import ActivityAction, Trigger
from nuki2mqtt.model.cloud_device import CloudDevice, CloudFacts
from nuki2mqtt.model.state import DeviceState, Source
from nuki2mqtt.protocol.web_api import DeviceListAnswer
from nuki2mqtt.protocol.webhooks import DeviceHook, WebhookFeature
from tests.gateway.builders import LOCK, OPENER, state
from tests.gateway.cloud_desk import LOCK_ID, cloud_device
from tests.simulator.cloud_site import make_site

LOCKED, UNLOCKED, OPEN = state(1, 2), state(3, 2), state(3, 3)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def listed(*devices: CloudDevice, broken: tuple[str, ...] = ()) -> DeviceListAnswer:
    return DeviceListAnswer(devices, broken)


def hook(said: DeviceState | None, facts: CloudFacts | None = None, *, is_deleted: bool = False) -> DeviceHook:
    device = cloud_device(said, facts=facts or CloudFacts(), name=None)
    return DeviceHook(WebhookFeature.DEVICE_STATUS, device, is_deleted)


def with_lock(said: DeviceState | None = LOCKED, sent: float = 100.0) -> CloudDevices:
    made = CloudDevices()
    made.listed(listed(cloud_device(said)), sent)
    return made


def brief(taken: Taken) -> list[tuple[int, float, float | None, bool]]:
    """State, time, since and whether it is news, of each report."""
    return [
        (one.report.state.state_code, one.time, one.since, one.is_news)
        for one in taken.reports
        if one.report.state is not None
    ]


# --- order ---


def test_the_first_word_is_no_news() -> None:
    taken = CloudDevices().listed(listed(cloud_device(LOCKED)), 100.0)

    assert taken == Taken((CloudReport(cloud_device(LOCKED).report, 100.0, None, is_news=False),))
    assert taken.reports[0].report.source is Source.WEB


def test_each_read_is_a_report_and_a_change_lies_between_two() -> None:
    made = with_lock()

    assert brief(made.listed(listed(cloud_device(LOCKED)), 160.0)) == [(1, 160, 100, False)]
    assert brief(made.listed(listed(cloud_device(UNLOCKED)), 220.0)) == [(3, 220, 160, True)]
    assert brief(made.read(cloud_device(OPEN), 225.0)) == [(3, 225, 220, True)]


def test_a_webhook_shows_at_once_and_is_confirmed_by_a_read() -> None:
    made = with_lock()
    taken = made.hooked(hook(UNLOCKED), 130.0)

    assert (brief(taken), set(taken.confirm)) == ([(3, 130, 100, True)], {LOCK})
    again = made.hooked(hook(UNLOCKED), 131.0)
    assert (brief(again), again.confirm) == ([(3, 131, 130, False)], frozenset())


def test_a_poll_that_was_under_way_when_a_webhook_came_is_older() -> None:
    made = with_lock()
    made.hooked(hook(UNLOCKED), 130.0)

    assert made.listed(listed(cloud_device(LOCKED)), 129.9) == Taken()
    view = made.view(LOCK)
    assert view is not None
    assert (view.state, view.changed) == (replace(UNLOCKED, keypad_battery_critical=None), 130.0)
    assert brief(made.listed(listed(cloud_device(LOCKED)), 130.0)) == [(1, 130, 130, True)]


def test_a_webhook_says_a_part_and_the_rest_stays() -> None:
    made = CloudDevices()
    full = CloudFacts(
        server_state_code=0, keypad_paired=True, time_zone_id=37, has_operation=True, error="subscription"
    )
    made.listed(listed(cloud_device(state(1, 2, level=80), facts=full)), 100.0)
    made.hooked(hook(state(3, None), CloudFacts(server_state_code=4, trigger_code=2, last_action_code=1)), 110.0)
    view = made.view(LOCK)

    assert view is not None
    assert view.facts == replace(full, server_state_code=4, trigger_code=2, last_action_code=1)
    assert view.state == state(3, 2, level=80)
    assert (view.name, view.last_action, view.trigger) == ("Front door", ActivityAction.UNLOCK, Trigger.BUTTON)
    made.listed(listed(cloud_device(state(1, 2))), 120.0)  # a read is the whole: what it does not say is not so
    assert view.facts == CloudFacts(server_state_code=0)


def test_a_webhook_about_an_unknown_or_deleted_device_only_wants_the_list() -> None:
    made = with_lock()

    assert CloudDevices().hooked(hook(UNLOCKED), 1.0) == Taken(wants_list=True)
    assert made.hooked(hook(UNLOCKED, is_deleted=True), 130.0) == Taken(wants_list=True)
    assert made.ids() == (LOCK,)


@pytest.mark.parametrize("code", [224, 225])
def test_a_refused_entry_is_no_position_and_stirs(code: int) -> None:
    made = with_lock()
    taken = made.listed(listed(cloud_device(state(code, 2))), 160.0)

    assert (taken.reports, set(taken.stirred)) == ((), {LOCK})
    assert made.standing(LOCK, 160.0, 60.0) is Standing.VOUCHED
    assert made.listed(listed(cloud_device(state(code, 2))), 170.0).stirred == frozenset()  # it is the same one
    assert brief(made.listed(listed(cloud_device(LOCKED)), 220.0)) == [(1, 220, 100, False)]
    assert set(made.listed(listed(cloud_device(state(code, 2))), 280.0).stirred) == {LOCK}
    assert CloudDevices().listed(listed(cloud_device(state(code, 2))), 100.0).stirred == frozenset()  # before our start


def test_an_entry_that_moved_without_a_change_stirs() -> None:
    made = CloudDevices()

    def at(minute: int, said: DeviceState) -> CloudDevice:
        return cloud_device(said, facts=CloudFacts(server_state_code=0, updated=NOON.replace(minute=minute)))

    assert made.listed(listed(at(0, LOCKED)), 100.0).stirred == frozenset()
    assert made.listed(listed(at(0, LOCKED)), 160.0).stirred == frozenset()
    assert made.listed(listed(at(1, LOCKED)), 220.0).stirred == {LOCK}
    assert made.listed(listed(at(2, UNLOCKED)), 280.0).stirred == frozenset()


words = st.tuples(st.floats(0, 100), st.booleans(), st.sampled_from([1, 2, 3, 4, 5]))


@settings(max_examples=100, deadline=None)
@given(st.lists(words, max_size=12))
def test_what_is_held_is_always_the_youngest_word(said: list[tuple[float, bool, int]]) -> None:
    """Whatever comes in whatever order: of equal times the last one, and time never runs back."""
    made = with_lock(LOCKED, -1.0)
    youngest, code = -1.0, 1
    for time, is_hook, number in said:
        device = cloud_device(state(number, 2))
        taken = made.hooked(hook(state(number, 2)), time) if is_hook else made.read(device, time)
        if time >= youngest:
            assert [report.is_news for report in taken.reports] == [number != code]
            youngest, code = time, number
        else:
            assert taken == Taken()
    view = made.view(LOCK)
    assert view is not None
    assert view.state is not None
    assert (view.time, view.state.state_code) == (youngest, code)


# --- which lock is which ---


def test_devices_are_matched_by_their_low_32_bits() -> None:
    made = CloudDevices()
    made.listed(listed(cloud_device(LOCKED), cloud_device(state(1), nuki_id=OPENER, device_type=2)), 100.0)

    assert (made.ids(), made.only_here({LOCK: 4}), made.only_here({})) == ((LOCK, OPENER), (OPENER,), (LOCK, OPENER))
    assert (made.strangers({LOCK: 0, OPENER: 2}), made.strangers({LOCK: 2, OPENER: 0})) == ((), (LOCK, OPENER))


def test_two_devices_with_one_id_are_one_and_always_the_same() -> None:
    made = with_lock()
    other = cloud_device(UNLOCKED, device_type=5)
    taken = made.listed(listed(other, cloud_device(LOCKED)), 160.0)
    view = made.view(LOCK)

    assert view is not None
    assert view.smartlock_id == LOCK_ID
    assert taken.texts == (f"Nuki Web lists two devices with the ID {LOCK}; only one is followed.",)


def test_who_is_not_in_a_complete_list_is_absent_and_comes_back() -> None:
    made = with_lock()
    made.listed(listed(broken=("entry 1: ...",)), 160.0)
    assert made.ids() == (LOCK,)
    assert made.listed(listed(broken=("entry 1: ...",)), 170.0).texts == ("Nuki Web: entry 1: ...",)
    made.listed(listed(), 220.0)
    assert (made.ids(), made.standing(LOCK, 220.0, 60.0), made.sight(LOCK, 220.0)) == (
        (),
        Standing.ABSENT,
        Sight.ABSENT,
    )
    made.listed(listed(cloud_device(LOCKED)), 280.0)
    assert made.standing(LOCK, 280.0, 60.0) is Standing.VOUCHED
    made.listed(listed(), 340.0)
    made.read(cloud_device(LOCKED), 341.0)
    assert made.standing(LOCK, 341.0, 60.0) is Standing.VOUCHED


def test_what_is_forgotten_is_a_newcomer() -> None:
    made = with_lock()
    made.forget(LOCK)
    assert made.view(LOCK) is None
    assert brief(made.listed(listed(cloud_device(UNLOCKED)), 160.0)) == [(3, 160, None, False)]
    made.clear()
    assert made.ids() == ()


# --- what may be vouched for ---


@pytest.mark.parametrize(
    ("server_state", "standing", "sight"),
    [
        (0, Standing.VOUCHED, Sight.ONLINE),
        (1, Standing.MISCONFIGURED, Sight.OFFLINE),
        (2, Standing.MISCONFIGURED, Sight.OFFLINE),
        (3, Standing.MISCONFIGURED, Sight.OFFLINE),
        (4, Standing.OFFLINE, Sight.OFFLINE),
        (9, Standing.MISCONFIGURED, Sight.OFFLINE),
        (None, Standing.MISCONFIGURED, Sight.OFFLINE),
    ],
)
def test_only_what_the_cloud_reaches(server_state: int | None, standing: Standing, sight: Sight) -> None:
    made = CloudDevices()
    made.listed(listed(cloud_device(LOCKED, facts=CloudFacts(server_state_code=server_state))), 100.0)

    assert (made.standing(LOCK, 100.0, 60.0), made.sight(LOCK, 100.0)) == (standing, sight)


@pytest.mark.parametrize(("interval_s", "silent"), [(60.0, 235.0), (300.0, 715.0)])
def test_two_polls_may_be_missed_however_far_they_are_apart(interval_s: float, silent: float) -> None:
    made = with_lock()
    made.hooked(hook(LOCKED), 200.0)  # a webhook is no read

    assert made.next_silence(100.0, interval_s) == silent
    assert made.standing(LOCK, silent - 0.1, interval_s) is Standing.VOUCHED
    assert made.standing(LOCK, silent, interval_s) is Standing.SILENT
    assert made.next_silence(silent, interval_s) is None


def test_without_a_state_nothing_is_vouched_for() -> None:
    made = with_lock()
    made.listed(listed(cloud_device(None)), 160.0)

    assert made.standing(LOCK, 160.0, 60.0) is Standing.NO_STATE


@pytest.mark.parametrize(("now", "sight"), [(100, Sight.ONLINE), (114.9, Sight.ONLINE), (115, Sight.OLD)])
def test_a_command_relies_on_a_read_of_15_s(now: float, sight: Sight) -> None:
    assert with_lock().sight(LOCK, now) is sight


def test_a_webhook_that_tells_of_an_offline_lock_counts_at_once() -> None:
    made = with_lock()
    made.hooked(hook(None, CloudFacts(server_state_code=4)), 101.0)

    assert (made.sight(LOCK, 101.0), made.standing(LOCK, 101.0, 60.0)) == (Sight.OFFLINE, Standing.OFFLINE)


# --- against the simulated cloud ---


def test_a_lock_of_the_simulated_cloud_is_followed() -> None:
    site = make_site()
    made = CloudDevices()

    def poll() -> Taken:
        body = json.dumps(site.get("/smartlock")).encode()
        return made.listed(DeviceListAnswer.from_body(body), site.house.now)

    assert [report.is_news for report in poll().reports] == [False] * 3
    assert {str(nuki_id) for nuki_id in made.only_here(dict.fromkeys(made.ids()[:2], 4))} == {"1A2B3C4D"}
    site.wait(60)
    site.wifi.turn(3 if site.wifi.facts.state == 1 else 1)
    site.wait(5)
    assert [(str(one.report.nuki_id), one.is_news) for one in poll().reports if one.is_news] == [("1A2B3C4D", True)]
    with site.cloud.faults.offline(site.wifi.nuki_id):
        site.wait(600)
        poll()
        standings = [made.standing(nuki_id, site.house.now, 60.0) for nuki_id in made.ids()]
    assert standings == [Standing.VOUCHED, Standing.VOUCHED, Standing.OFFLINE]
