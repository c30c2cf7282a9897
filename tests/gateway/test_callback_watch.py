"""Lost callbacks are counted by the five seconds and by the hour."""

import pytest

from nuki2mqtt.gateway.callback_watch import CallbackWatch
from tests.gateway.builders import LOCK, OPENER


def test_a_change_told_by_list_alone_is_lost_after_5_s() -> None:
    watch = CallbackWatch()
    watch.told_by_list(LOCK, 100)

    assert (watch.next_deadline(), watch.count_lost(104.9), watch.count_lost(105)) == (105, 0, 1)
    assert (watch.lost, watch.next_deadline(), watch.count_lost(200)) == (1, None, 0)


def test_a_callback_within_5_s_came_after_all() -> None:
    watch = CallbackWatch()
    watch.told_by_list(LOCK, 100)
    watch.told_by_callback(LOCK)

    assert (watch.next_deadline(), watch.count_lost(200), watch.lost) == (None, 0, 0)


def test_the_callback_of_another_device_does_not_count() -> None:
    watch = CallbackWatch()
    watch.told_by_list(LOCK, 100)
    watch.told_by_callback(OPENER)

    assert watch.count_lost(105) == 1


def test_a_callback_before_the_list_takes_nothing_back() -> None:
    watch = CallbackWatch()
    watch.told_by_callback(LOCK)
    watch.told_by_list(LOCK, 100)

    assert watch.count_lost(105) == 1


def test_a_second_list_does_not_lengthen_the_patience() -> None:
    watch = CallbackWatch()
    watch.told_by_list(LOCK, 100)
    watch.told_by_list(LOCK, 104)

    assert (watch.next_deadline(), watch.count_lost(105)) == (105, 1)


def test_two_devices_are_two_lost_callbacks_and_the_earlier_one_is_next() -> None:
    watch = CallbackWatch()
    watch.told_by_list(OPENER, 101)
    watch.told_by_list(LOCK, 100)

    assert (watch.next_deadline(), watch.count_lost(106), watch.lost) == (105, 2, 2)


@pytest.mark.parametrize(
    ("lost_at", "asked_at", "is_losing"),
    [
        ((), 0, False),
        ((0, 10), 10, False),
        ((0, 10, 20), 20, True),
        ((0, 10, 3599), 3599, True),
        ((0, 10, 3600), 3600, False),
        ((0, 10, 20), 3599, True),
        ((0, 10, 20), 3600, False),
        ((0, 2000, 3000, 4000), 4000, True),
        ((0, 2000, 3000, 4000), 5600, False),
    ],
)
def test_three_lost_within_an_hour_are_too_many(
    lost_at: tuple[float, ...], asked_at: float, *, is_losing: bool
) -> None:
    watch = CallbackWatch()
    for at in lost_at:
        watch.told_by_list(LOCK, at - 5)
        assert watch.count_lost(at) == 1

    assert watch.is_losing(asked_at) is is_losing
    assert watch.lost == len(lost_at)
