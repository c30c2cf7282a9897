"""Gone is what three complete lists of every Bridge lack over ten minutes."""

import pytest

from nuki2mqtt.gateway.departures import GONE_AFTER_S, LISTS, Departures
from tests.gateway.builders import LINK, LOCK, OPENER, OTHER_LINK

KNOWN = (LOCK, OPENER)


def looked(*times: float, link: str = LINK, devices: tuple[object, ...] = (OPENER,)) -> Departures:
    departures = Departures()
    for now in times:
        departures.listed(link, devices, KNOWN, now)  # type: ignore[arg-type]
    return departures


@pytest.mark.parametrize(
    ("times", "now", "is_gone"),
    [
        ((0, 300, 600), 600, True),
        ((0, 300, 599.9), 599.9, False),
        ((0, 600), 600, False),
        ((0, 30, 60, 90), 90, False),
        ((0, 3600, 7200), 7200, True),
    ],
)
def test_three_lists_and_ten_minutes(times: tuple[float, ...], now: float, *, is_gone: bool) -> None:
    assert (LISTS, GONE_AFTER_S) == (3, 600)
    assert looked(*times).gone([LINK], now) == ([LOCK] if is_gone else [])


def test_every_bridge_must_lack_it() -> None:
    departures = looked(0, 300, 600)

    assert departures.gone([LINK, OTHER_LINK], 600) == []
    for now in (0, 300, 600):
        departures.listed(OTHER_LINK, (OPENER,), KNOWN, now)
    assert departures.gone([LINK, OTHER_LINK], 600) == [LOCK]


def test_one_list_with_it_begins_anew() -> None:
    departures = looked(0, 300)
    departures.listed(OTHER_LINK, KNOWN, KNOWN, 500)
    for now in (600, 700):
        departures.listed(LINK, (), KNOWN, now)

    assert departures.gone([LINK], 1299) == []


def test_without_a_bridge_nothing_is_gone() -> None:
    assert looked(0, 300, 600).gone([], 600) == []


def test_what_was_removed_is_forgotten() -> None:
    departures, others = looked(0, 300, 600), looked(0, 300, 600)
    departures.forget(LOCK)
    others.forget_all()

    assert departures.gone([LINK], 600) == others.gone([LINK], 600) == []
