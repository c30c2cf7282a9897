"""Whether our wall clock is believed (docs/topics.md, "Stale")."""

from datetime import UTC, datetime, timedelta

import pytest

from nuki2mqtt import __build_date__
from nuki2mqtt.gateway.clock_trust import is_clock_trusted
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.protocol.settings_words import TrustClock

BUILT = datetime.fromisoformat(__build_date__).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("is_synchronised", "skews", "trusted"),
    [
        (True, [], True),
        (True, [9999.0], True),
        (None, [], True),
        (None, [9999.0], True),
        (False, [], False),
        (False, [0.0], True),
        (False, [60.0], True),
        (False, [-60.0], True),
        (False, [60.1], False),
        (False, [-60.1], False),
        (False, [0.0, 61.0], False),
    ],
)
def test_an_unsynchronised_clock_needs_every_bridge_to_agree(
    is_synchronised: bool | None,  # noqa: FBT001 - a column
    skews: list[float],
    *,
    trusted: bool,
) -> None:
    now = Moment(0.0, BUILT + timedelta(days=1), is_synchronised)

    assert is_clock_trusted(now, skews, TrustClock.AUTO) is trusted


@pytest.mark.parametrize(("seconds", "trusted"), [(-1, False), (0, True)])
@pytest.mark.parametrize("is_synchronised", [True, None, False])
def test_no_clock_before_the_build_date_is_trusted(
    seconds: float,
    is_synchronised: bool | None,  # noqa: FBT001 - a column
    *,
    trusted: bool,
) -> None:
    now = Moment(0.0, BUILT + timedelta(seconds=seconds), is_synchronised)

    assert is_clock_trusted(now, [0.0], TrustClock.AUTO) is trusted


def test_the_setting_always_overrides() -> None:
    assert is_clock_trusted(Moment(0.0, BUILT - timedelta(days=9999), is_synchronised=False), [], TrustClock.ALWAYS)
