"""Which doors of the log nobody else told: at once, never, or not yet."""

from datetime import datetime, timedelta

import pytest

from nuki2mqtt.gateway.door_history import DoorHistory
from nuki2mqtt.model.event import EventType
from tests.gateway.builders import NOON

OPENED, CLOSED = EventType.DOOR_OPENED, EventType.DOOR_CLOSED


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_where_nobody_else_speaks_of_the_door_the_log_tells_all() -> None:
    assert DoorHistory().is_missing(OPENED, at(0)) is True


@pytest.mark.parametrize(("seen", "is_missing"), [(-100, None), (0, None), (20, None), (20.1, True), (900, True)])
def test_only_what_the_sources_cannot_tell_any_more(seen: float, *, is_missing: bool | None) -> None:
    history = DoorHistory()
    history.saw(at(seen))
    history.saw(at(seen - 50))  # a later word about an earlier time

    assert history.is_missing(OPENED, at(0)) is is_missing


@pytest.mark.parametrize(("told", "is_missing"), [(-20.1, True), (-20, False), (0, False), (600, False), (600.1, True)])
def test_what_was_told_is_not_missing(told: float, *, is_missing: bool) -> None:
    history = DoorHistory()
    history.told(OPENED, at(told))
    history.saw(at(1000))

    assert history.is_missing(OPENED, at(0)) is is_missing
    assert history.is_missing(CLOSED, at(0)) is True


def test_one_event_is_one_entry_and_the_nearest() -> None:
    history = DoorHistory()
    history.told(OPENED, at(2))
    history.told(OPENED, at(40))
    history.saw(at(900))

    assert [history.is_missing(OPENED, at(time)) for time in (38, 0, 10)] == [False, False, True]
