"""One lock of which two sources speak: who leads, what is taken of the other, and what nobody knows."""

import itertools

import pytest

from nuki2mqtt.gateway.combining import Combined, Fact, FactName, Side, cloud_leads, combine
from nuki2mqtt.model.state import Battery, DeviceState, Source
from tests.gateway.builders import state

LOCKED, UNLOCKED = state(1, 2), state(3, 2)
FULL = DeviceState(
    state_code=1,
    mode_code=2,
    door_code=2,
    battery=Battery(80, critical=False, charging=False),
    keypad_battery_critical=False,
)


def local(said: DeviceState = LOCKED, *, time: float = 100.0, is_vouched: bool = True) -> Side:
    return Side(said, Source.CALLBACK, time, is_vouched)


def cloud(
    said: DeviceState = LOCKED, *, time: float = 200.0, is_vouched: bool = True, changed: float | None = None
) -> Side:
    return Side(said, Source.WEB, time, is_vouched, changed)


def made(one: Side | None, other: Side | None) -> Combined:
    combined = combine(one, other)
    assert combined is not None
    return combined


def test_one_source_alone() -> None:
    assert combine(None, None) is None
    assert made(local(), None).leads == local()
    assert made(None, cloud()).facts[FactName.STATE] == Fact(1, Source.WEB, 200.0)


def test_local_facts_first_and_of_the_cloud_what_only_it_has() -> None:
    poor = DeviceState(state_code=3, battery=Battery(critical=True))
    combined = made(local(poor), cloud(FULL))

    assert combined.facts == {
        FactName.STATE: Fact(3, Source.CALLBACK, 100.0),
        FactName.MODE: Fact(2, Source.WEB, 200.0),
        FactName.DOOR: Fact(2, Source.WEB, 200.0),
        FactName.BATTERY_LEVEL: Fact(80, Source.WEB, 200.0),
        FactName.BATTERY_CRITICAL: Fact(True, Source.CALLBACK, 100.0),
        FactName.BATTERY_CHARGING: Fact(False, Source.WEB, 200.0),
        FactName.KEYPAD_BATTERY: Fact(False, Source.WEB, 200.0),
    }
    assert (combined.leads.source, combined.is_vouched) == (Source.CALLBACK, True)


# local vouched, cloud vouched, they agree, the cloud changed (None, before, after the local word): the cloud leads?
TABLE = {
    (True, True, True): (False, False, False),
    (True, True, False): (False, False, False),
    (True, False, True): (False, False, False),
    (True, False, False): (False, False, False),
    (False, True, True): (True, True, True),
    (False, True, False): (False, False, True),
    (False, False, True): (False, False, False),
    (False, False, False): (False, False, False),
}
CHANGES = (None, 101.9, 102.1)


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(itertools.product((True, False), repeat=3))


@pytest.mark.parametrize(("is_local", "is_cloud", "agree"), TABLE)
def test_who_leads(*, is_local: bool, is_cloud: bool, agree: bool) -> None:
    here = local(LOCKED, is_vouched=is_local)
    said = LOCKED if agree else UNLOCKED
    there = [cloud(said, is_vouched=is_cloud, changed=changed) for changed in CHANGES]

    assert tuple(cloud_leads(here, one) for one in there) == TABLE[is_local, is_cloud, agree]
    assert [made(here, one).leads is one for one in there] == list(TABLE[is_local, is_cloud, agree])


def test_of_two_contrary_states_none_is_invented_to_be_newer() -> None:
    """A dead Bridge had the lock locked; the cloud has had it unlocked since our start: nobody knows."""
    combined = made(local(LOCKED, is_vouched=False), cloud(UNLOCKED))

    assert (combined.facts[FactName.STATE].value, combined.is_vouched) == (1, False)


def test_the_door_counts_too_where_both_tell_it() -> None:
    open_door, no_door = state(1, 3), state(1)

    assert not cloud_leads(local(LOCKED, is_vouched=False), cloud(open_door))
    assert cloud_leads(local(LOCKED, is_vouched=False), cloud(no_door))


def test_where_the_cloud_leads_the_rest_keeps_its_own_time() -> None:
    combined = made(local(FULL, is_vouched=False), cloud(DeviceState(state_code=3), changed=150.0))

    assert combined.is_vouched
    assert combined.facts[FactName.STATE] == Fact(3, Source.WEB, 200.0)
    assert combined.facts[FactName.DOOR] == Fact(2, Source.CALLBACK, 100.0)


@pytest.mark.parametrize(("changed", "is_doubtful"), [(None, False), (101.0, False), (150.0, True)])
def test_a_later_contrary_word_of_the_cloud_is_a_reason_to_look(changed: float | None, *, is_doubtful: bool) -> None:
    combined = made(local(LOCKED), cloud(UNLOCKED, changed=changed))

    assert (combined.leads.source, combined.is_doubtful) == (Source.CALLBACK, is_doubtful)
    assert not made(local(LOCKED), cloud(LOCKED, changed=changed)).is_doubtful
