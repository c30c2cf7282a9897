"""Rings of an Opener, with the sequences that one household's Bridge really sent (reference 3.2)."""

from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki2mqtt.gateway.bridge_clock import BridgeClock
from nuki2mqtt.gateway.devices import Devices
from nuki2mqtt.gateway.rings import NewRing, Rings
from nuki2mqtt.model.event import DeviceEvent, EventType, RingTime
from nuki2mqtt.model.state import Ring, Source
from tests.gateway.builders import (
    CLOCK,
    LINK,
    LOCK,
    OPENER,
    OTHER_LINK,
    ZERO,
    called,
    entry,
    moment,
    state,
    wall,
)

STARTED = 0.0


@dataclass
class Bell:
    """An Opener of which a first report was seen, with its last ring yesterday."""

    rings: Rings = field(default_factory=Rings)
    clock: BridgeClock | None = CLOCK

    def __post_init__(self) -> None:
        assert self.listed(1, -86400, is_first=True) is None

    def listed(self, now: float, at: float | None, *, link: str = LINK, is_first: bool = False) -> NewRing | None:
        ring = Ring(None if at is None else wall(at), active=False)
        return self._observe(ring, Source.LIST, now, link, is_first=is_first)

    def called(self, now: float, at: float | None, *, rings: bool = True, link: str = LINK) -> NewRing | None:
        ring = Ring(None if at is None else wall(at), active=rings)
        return self._observe(ring, Source.CALLBACK, now, link)

    def _observe(self, ring: Ring, source: Source, now: float, link: str, *, is_first: bool = False) -> NewRing | None:
        return self.rings.observe(
            ring,
            source=source,
            link=link,
            clock=self.clock,
            started=ZERO + STARTED,
            is_first=is_first,
            now=moment(now),
        )


def ring(at: float | None, time: float, *, is_old: bool = False) -> NewRing:
    return NewRing(None if at is None else wall(at), ZERO + time, is_old)


# --- recorded sequences ---


def test_a_ring_is_told_at_its_arrival_with_the_bridge_s_timestamp() -> None:
    bell = Bell()

    assert bell.called(100, 97) == ring(97, 100)
    assert bell.rings.shown == wall(97)


def test_one_ring_delivered_twice_18_s_apart_is_told_once() -> None:
    bell = Bell()

    assert [bell.called(100, 99), bell.called(118, 99)] == [ring(99, 100), None]


@pytest.mark.parametrize("off", [22.0, -22.0])
def test_a_ring_stamped_22_s_ahead_or_behind_is_told_once_and_not_late(off: float) -> None:
    bell = Bell()

    assert [bell.called(100, 100 + off), bell.listed(130, 100 + off)] == [ring(100 + off, 100), None]


def test_in_a_ring_to_open_only_the_report_that_rings_is_told() -> None:
    bell = Bell()
    before, after = -86400.0, 510.0
    sequence = [
        bell.called(100, before, rings=False),
        bell.called(512, before, rings=False),
        bell.called(513, before, rings=False),
        bell.called(515, after, rings=True),
        bell.called(5399, after, rings=False),
    ]

    assert sequence == [None, None, None, ring(after, 515), None]


def test_a_ring_by_callback_is_told_even_when_its_stamp_is_older_than_an_earlier_ring_s() -> None:
    bell = Bell()
    bell.called(100, 122)

    assert bell.called(110, 95) == ring(95, 110)


# --- what never rings ---


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("active", [True, False, None])
@pytest.mark.parametrize("at", [None, 5.0, -500.0])
def test_the_first_report_never_rings(source: Source, at: float | None, *, active: bool | None) -> None:
    first = Ring(None if at is None else wall(at), active)
    new = Rings().observe(first, source=source, link=LINK, clock=CLOCK, started=ZERO, is_first=True, now=moment(10))
    assert new is None


@pytest.mark.parametrize("source", ["list", "callback"])
def test_a_ring_from_before_the_start_is_never_told(source: str) -> None:
    bell = Bell()
    told = bell.listed(10, -3) if source == "list" else bell.called(10, -3, rings=False)

    assert told is None
    assert bell.rings.shown == wall(-3)


def test_a_ring_just_before_the_start_is_within_the_tolerance() -> None:
    assert Bell().listed(10, -2) == ring(-2, -2)


def test_an_older_timestamp_without_ringing_is_nothing() -> None:
    bell = Bell()
    bell.called(100, 99)

    assert (bell.listed(130, 50), bell.called(131, 50, rings=False)) == (None, None)
    assert bell.rings.shown == wall(99)


def test_silence_is_no_ring() -> None:
    bell = Bell()

    assert (bell.listed(100, None), bell.called(101, None, rings=False)) == (None, None)


# --- first seen by /list ---


@pytest.mark.parametrize(("age", "is_old"), [(5, False), (60, False), (60.5, True), (2700, True)])
def test_a_ring_first_seen_by_list_is_old_after_60_s(age: float, *, is_old: bool) -> None:
    assert Bell().listed(5000, 5000 - age) == ring(5000 - age, 5000 - age, is_old=is_old)


def test_a_ring_of_the_list_stamped_in_the_future_happened_now() -> None:
    assert Bell().listed(100, 122) == ring(122, 100)


def test_without_the_bridge_s_clock_nobody_knows_that_a_listed_ring_is_fresh() -> None:
    bell = Bell()
    bell.clock = None

    assert bell.listed(100, 99) == ring(99, 100, is_old=True)


def test_the_callback_after_the_list_told_a_ring_is_silent() -> None:
    bell = Bell()

    assert [bell.listed(100, 97), bell.called(103, 97)] == [ring(97, 97), None]


# --- firmware without ring timestamps ---


def test_without_a_timestamp_a_ring_is_told_once_in_30_s() -> None:
    bell = Bell()

    assert [bell.called(now, None) for now in (100, 118, 129.9, 130)] == [ring(None, 100), None, None, ring(None, 130)]


# --- two Bridges ---


def test_one_ring_told_by_two_bridges_at_once_is_told_once() -> None:
    bell = Bell()

    assert [bell.called(100, 99), bell.called(100.4, 103, link=OTHER_LINK)] == [ring(99, 100), None]


def test_two_rings_of_one_bridge_are_two_rings() -> None:
    bell = Bell()

    assert [bell.called(100, 99), bell.called(110, 109)] == [ring(99, 100), ring(109, 110)]


def test_a_later_ring_by_the_other_bridge_is_a_ring_of_its_own() -> None:
    bell = Bell()

    assert [bell.called(100, 99), bell.called(300, 299, link=OTHER_LINK)] == [ring(99, 100), ring(299, 300)]


def test_the_second_bridge_s_list_does_not_tell_a_ring_again_that_the_first_bridge_called_about() -> None:
    bell = Bell()
    told = bell.called(100, 99)
    bell.clock = BridgeClock(CLOCK.offset + 7, 7)

    assert (told, bell.listed(140, 99 + 7, link=OTHER_LINK)) == (ring(99, 100), None)


# --- as events of a device ---


def test_only_an_opener_rings() -> None:
    devices = Devices(ZERO)
    for nuki_id, device_type in ((LOCK, 0), (OPENER, 2)):
        devices.apply_entry(LINK, entry(state(1), 5, nuki_id=nuki_id, device_type=device_type), CLOCK, moment(10))
    rings = state(1, ring=Ring(wall(19), active=True))
    told = [
        devices.apply_callback(LINK, called(rings, nuki_id=nuki_id, device_type=device_type), CLOCK, moment(20))
        for nuki_id, device_type in ((LOCK, 0), (OPENER, 2))
    ]

    assert [verdict.events for verdict in told if verdict is not None] == [
        (),
        (DeviceEvent(EventType.RING, wall(20), Source.CALLBACK, RingTime(wall(19))),),
    ]
    assert devices.snapshot(OPENER).ring_at == wall(19)


def test_a_ring_that_the_list_tells_first_is_a_lost_callback_and_old() -> None:
    devices = Devices(ZERO)

    def listed(now: float, ring_at: datetime) -> tuple[bool, tuple[DeviceEvent, ...]]:
        said = state(1, ring=Ring(ring_at, active=False))
        report = entry(said, now - 1, nuki_id=OPENER, device_type=2)
        verdict = devices.apply_entry(LINK, report, CLOCK, moment(now))
        return verdict.told_first_by_list, verdict.events

    assert listed(10, wall(-500)) == (False, ())
    assert listed(400, wall(300)) == (
        True,
        (DeviceEvent(EventType.RING, wall(300), Source.LIST, RingTime(wall(300)), is_old=True),),
    )
    assert listed(430, wall(300)) == (False, ())


def test_a_ring_in_an_entry_that_changes_nothing_else_is_told() -> None:
    devices = Devices(ZERO)
    first = state(1, ring=Ring(wall(-500), active=False))
    devices.apply_entry(LINK, entry(first, 5, nuki_id=OPENER, device_type=2), CLOCK, moment(10))
    devices.apply_callback(LINK, called(state(3), nuki_id=OPENER, device_type=2), CLOCK, moment(50))
    behind = state(1, ring=Ring(wall(40), active=False))
    verdict = devices.apply_entry(LINK, entry(behind, 41, nuki_id=OPENER, device_type=2), CLOCK, moment(60))

    assert [event.event_type for event in verdict.events] == ["ring"]
    assert devices.snapshot(OPENER).state_code == 3


@given(st.lists(st.tuples(st.floats(0, 500), st.sampled_from([0, 1, 2, 3]), st.booleans()), max_size=40))
def test_no_timestamp_is_ever_told_twice_by_one_bridge(steps: list[tuple[float, int, bool]]) -> None:
    bell, now, told = Bell(), 10.0, list[datetime | None]()
    stamps = [20.0, 42.0, 300.0, 301.0]
    for delay, index, is_callback in steps:
        now += delay
        new = bell.called(now, stamps[index]) if is_callback else bell.listed(now, stamps[index])
        told += [new.at] if new is not None else []

    assert len(told) == len(set(told))


# --- mended ---


def test_a_second_ring_soon_after_the_first_is_told_whichever_bridge_speaks_first() -> None:
    bell = Bell()

    assert [bell.called(100, 99), bell.called(119, 118, link=OTHER_LINK)] == [ring(99, 100), ring(118, 119)]


def test_a_ring_that_is_called_now_is_told_though_the_bridge_s_clock_was_just_set_back() -> None:
    bell = Bell()

    assert bell.called(100, -3500) is not None
