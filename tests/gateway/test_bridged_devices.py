"""Which devices a Bridge has: what it has listed in this process, until it is certain that it does so no more."""

from nuki2mqtt.gateway.bridged_devices import BridgedDevices
from tests.gateway.builders import LINK, LOCK, OPENER, OTHER_LINK

BOTH = {LOCK: 0, OPENER: 2}


def with_both() -> BridgedDevices:
    bridged = BridgedDevices()
    bridged.listed(LINK, BOTH, 0.0, is_complete=True)
    return bridged


def test_three_complete_lists_over_ten_minutes_without_it_and_it_is_no_longer_bridged() -> None:
    bridged = with_both()
    seen = []
    for at in (30.0, 60.0, 629.9, 630.0):
        bridged.listed(LINK, {OPENER: 2}, at, is_complete=True)
        seen.append(LOCK in bridged.all())

    assert seen == [True, True, True, False]
    assert bridged.all() == {OPENER: 2}


def test_two_lists_are_too_few_however_late_the_second_one_is() -> None:
    bridged = with_both()
    for at in (30.0, 6000.0):
        bridged.listed(LINK, {OPENER: 2}, at, is_complete=True)

    assert bridged.all() == BOTH


def test_a_list_with_it_begins_the_count_anew() -> None:
    bridged = with_both()
    for at in range(30, 600, 30):
        bridged.listed(LINK, {OPENER: 2}, float(at), is_complete=True)
    bridged.listed(LINK, BOTH, 600.0, is_complete=True)
    for at in range(630, 1230, 30):
        bridged.listed(LINK, {OPENER: 2}, float(at), is_complete=True)

    assert bridged.all() == BOTH


def test_an_unreadable_list_proves_no_absence_and_is_not_heard() -> None:
    bridged = BridgedDevices()
    for at in range(0, 900, 30):
        bridged.listed(LINK, BOTH if at == 0 else {}, float(at), is_complete=False)

    assert bridged.all() == BOTH
    assert not bridged.has_heard(LINK)
    bridged.listed(LINK, {}, 900.0, is_complete=True)
    assert bridged.has_heard(LINK)


def test_another_bridge_says_nothing_about_the_first_ones_devices() -> None:
    bridged = with_both()
    for at in range(0, 900, 30):
        bridged.listed(OTHER_LINK, {}, float(at), is_complete=True)

    assert bridged.all() == BOTH
    bridged.retire(LINK)
    assert (bridged.all(), bridged.has_heard(LINK)) == ({}, False)


def test_what_a_person_removed_is_a_newcomer_when_it_is_listed_again() -> None:
    bridged = with_both()
    bridged.listed(LINK, {OPENER: 2}, 30.0, is_complete=True)
    bridged.forget(LOCK)

    assert bridged.all() == {OPENER: 2}
    bridged.listed(LINK, BOTH, 60.0, is_complete=True)
    bridged.listed(LINK, {OPENER: 2}, 700.0, is_complete=True)
    assert bridged.all() == BOTH


def test_nothing_is_known_after_another_gateway_had_the_base() -> None:
    bridged = with_both()
    bridged.clear()

    assert (bridged.all(), bridged.has_heard(LINK)) == ({}, False)


def test_they_are_the_same_object_as_long_as_nothing_differs() -> None:
    bridged = with_both()
    first = bridged.all()
    bridged.listed(LINK, BOTH, 30.0, is_complete=True)
    bridged.listed(LINK, {OPENER: 2}, 60.0, is_complete=True)

    assert bridged.all() is first
    bridged.listed(LINK, {LOCK: 4}, 90.0, is_complete=True)
    assert bridged.all() == {LOCK: 4, OPENER: 2}
