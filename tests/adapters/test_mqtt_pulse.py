"""Time that stood still is noticed by whoever looks first."""

import pytest

from nuki2mqtt.adapters.mqtt_pulse import Pulse


class Watch:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("passed_s", "late_s", "has_stood_still", "certain"),
    [(0.0, 0.0, False, 100.0), (1.0, 0.0, False, 101.0), (3.0, 2.0, False, 101.0), (5.5, 4.5, True, 101.0)],
)
def test_a_beat_that_is_late(passed_s: float, late_s: float, has_stood_still: bool, certain: float) -> None:  # noqa: FBT001
    watch = Watch()
    pulse = Pulse(1.0, 4.0, watch)
    watch.at += passed_s

    assert (pulse.late_s, pulse.has_stood_still, pulse.certain_s) == (late_s, has_stood_still, certain)


def test_a_beat_begins_anew() -> None:
    watch = Watch()
    pulse = Pulse(1.0, 4.0, watch)
    watch.at += 60
    pulse.beat()

    assert (pulse.late_s, pulse.has_stood_still, pulse.certain_s) == (0.0, False, 160.0)
