"""A short storm: some gateways with their houses for a few hours each; docs/reliability.md tells of the long ones."""

import json
from collections import Counter

import pytest

from tests.storm.faults import kinds_of
from tests.storm.judge import Violation
from tests.storm.plan import SCANS, draw_plan, settle_s
from tests.storm.play import live, play
from tests.storm.shrink import shrink
from tests.storm.spec import Spec

SEEDS = range(10)
DAYS = 0.12
SQUALLS = 30.0
CLOUD_SEED = 5


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_wrong_in_a_short_storm(seed: int) -> None:
    _, report = live((seed, DAYS, SQUALLS, None, None, False, False, False))

    assert report.violation is None
    assert report.figures["checks"] > 5
    assert sum(report.bit.values()) >= 3


@pytest.mark.timeout(180)
def test_nothing_is_wrong_in_a_short_storm_with_the_cloud() -> None:
    _, report = live((CLOUD_SEED, DAYS, SQUALLS, 0, None, False, False, True))

    assert report.violation is None
    assert report.figures["keypads judged"] > 0
    assert report.figures["requests to the cloud"] > 100
    assert report.code_outcomes["active"] > 0


def test_a_storm_is_the_same_each_time() -> None:
    spec = Spec.draw(11)
    steps = draw_plan(spec, 0.05, SQUALLS)
    first, second = (play(spec, steps, keeps_trace=True) for _ in range(2))

    assert first.trace == second.trace
    assert len(first.trace) > 100


def test_a_plan_is_json_and_back() -> None:
    spec = Spec.draw(12)
    steps = draw_plan(spec, 0.05, SQUALLS)

    assert json.loads(json.dumps(steps)) == steps
    assert Spec(**json.loads(json.dumps(spec.as_json()))) == spec


def test_every_kind_of_fault_comes_before_any_comes_again() -> None:
    spec = Spec.draw(13, flats=0)
    faults = [step for step in draw_plan(spec, 2, SQUALLS) if step["do"] == "fault"]
    kinds = [step["kind"] for step in faults if step["for"] < SCANS * spec.info_s]

    possible = kinds_of(spec)
    assert set(kinds) == set(possible)
    assert max(kinds.count(kind) for kind in possible) - min(kinds.count(kind) for kind in possible) <= 2
    assert len(faults) > len(kinds)  # some devices are missing from so many scans that they are offline


def test_a_violation_is_made_smaller() -> None:
    """What breaks it here are two steps of many: the other ones are left out."""
    spec = Spec.draw(14)
    steps = [{"at": float(number), "do": "turn", "device": "front_door", "code": number} for number in range(64)]
    violation = Violation("3", 63.5, "made up")

    def play_it(_: Spec, some: object) -> Violation | None:
        assert isinstance(some, list)
        return violation if {17, 42} <= {step.get("code") for step in some} else None

    left = shrink(spec, steps, violation, play_it=play_it)

    assert [step.get("code") for step in left] == [17, 42]


def test_a_check_stands_behind_every_squall() -> None:
    spec = Spec.draw(15)
    steps = draw_plan(spec, 0.5, SQUALLS)
    ends = [float(step["at"]) + float(step["for"]) for step in steps if step["do"] == "fault"]
    checks = [float(step["at"]) for step in steps if step["do"] == "check"]

    assert max(checks) >= max(ends) + settle_s(spec) - 1


def test_an_even_plan_deals_more_often_what_bites_less_often() -> None:
    spec = Spec.draw(1, 7, 3600)
    dealt = Counter(step["kind"] for step in draw_plan(spec, 30, 4, is_even=True) if step["do"] == "fault")
    assert dealt.keys() == kinds_of(spec).keys()
    assert 1.2 < dealt["standing_still"] / dealt["reboot"] < 1.8
