"""Who may enter a lane: each reason, the order of the closed list where several hold, and the bounds of time."""

import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from nuki2mqtt.gateway.admission import OWN_START_S, V311_START_S, Admission, Timing, age_of
from nuki2mqtt.gateway.command_journal import CommandJournal
from nuki2mqtt.model.action import LOCK_ACTIONS, Action
from nuki2mqtt.model.command import Reason
from nuki2mqtt.protocol.command_payloads import CommandOrder
from nuki2mqtt.protocol.settings import CommandSettings
from tests.gateway.builders import LOCK, ZERO, moment, wall

NOW = 100.0


@dataclass
class Case:
    """One command at 100 s that would be let in, unless something is said against it."""

    protocol: str = "5"
    opened: float | None = 0.0
    action: str = "unlock"
    transaction: str | None = None
    age_s: float | None = None
    ttl_s: float | None = None
    is_repeat: bool = False
    is_permitted: bool = True
    is_clock_trusted: bool = True
    waited_s: float = 0.0
    expiry_s: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def admission(self) -> Admission:
        journal = CommandJournal({}, moment(0))
        if self.is_repeat:
            journal.accept(LOCK, Action(self.action), self.order.key, moment(50), opens=True)
        admission = Admission(CommandSettings(**self.settings), journal)
        if self.opened is not None:
            admission.opened(self.protocol, ZERO + self.opened)
        return admission

    @property
    def order(self) -> CommandOrder:
        ts = None if self.age_s is None else wall(NOW) - timedelta(seconds=self.age_s)
        return CommandOrder(self.action, self.transaction, ts, self.ttl_s)

    def verdict(self, admission: Admission | None = None) -> Reason | Timing:
        return (admission or self.admission()).refuse(
            LOCK,
            Action(self.action),
            LOCK_ACTIONS[Action(self.action)],
            self.order,
            is_permitted=self.is_permitted,
            is_clock_trusted=self.is_clock_trusted,
            waited_s=self.waited_s,
            expiry_s=self.expiry_s,
            now=moment(NOW),
        )

    @property
    def left_s(self) -> float:
        """How long it may still be sent."""
        verdict = self.verdict()
        assert isinstance(verdict, Timing)
        return round(verdict.deadline - ZERO - NOW, 6)


# --- each reason, and which goes first ---

# In the order of the closed list. A `ts` or its absence may make two of them impossible together.
AGAINST: dict[str, dict[str, Any]] = {
    "not_permitted": {"is_permitted": False},
    "starting": {"opened": None},
    "duplicate": {"is_repeat": True, "transaction": "a1"},
    "clock_untrusted": {"is_clock_trusted": False, "age_s": 0.0},
    "stale": {"waited_s": 10.1},
    "clock_ahead": {"age_s": -10.1},
    "needs_ts": {"protocol": "3.1.1", "age_s": None},
}


def test_a_command_without_a_fault_has_its_ttl() -> None:
    assert Case().verdict() == Timing(None, ZERO + NOW + 10)
    assert Case(age_s=4).verdict() == Timing(4, ZERO + NOW + 6)


@pytest.mark.parametrize("reason", AGAINST)
def test_each_reason_alone(reason: str) -> None:
    assert Case(**AGAINST[reason]).verdict() == reason


def can_hold_together(first: str, second: str) -> bool:
    mine, other = AGAINST[first], AGAINST[second]
    if all(mine[name] == other[name] for name in mine.keys() & other.keys()):
        return True
    # A command that is ahead has a `ts` and may meet an untrusted clock, too.
    return {first, second} == {"clock_untrusted", "clock_ahead"}


PAIRS = [pair for pair in itertools.combinations(AGAINST, 2) if can_hold_together(*pair)]


def test_the_pairs_are_all_but_those_with_and_without_a_ts() -> None:
    missing = set(itertools.combinations(AGAINST, 2)) - set(PAIRS)

    assert missing == {("clock_untrusted", "needs_ts"), ("clock_ahead", "needs_ts")}
    assert list(AGAINST) == [reason for reason in Reason if reason in AGAINST]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_reasons_the_first_of_the_list_is_given(first: str, second: str) -> None:
    assert Case(**AGAINST[first] | AGAINST[second]).verdict() == first


def test_of_all_reasons_the_first_is_given() -> None:
    faults: dict[str, Any] = {}
    for reason in ("clock_ahead", "stale", "clock_untrusted", "duplicate", "starting", "not_permitted"):
        faults |= AGAINST[reason] if reason != "clock_untrusted" else {"is_clock_trusted": False}
        assert Case(**faults).verdict() == reason


# --- the age ---


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [(10, 0), (10.001, "stale"), (-10, 10), (-10.001, "clock_ahead"), (0, 10), (-3, 10), (9.5, 0.5)],
)
def test_a_ts_is_refused_above_the_ttl_on_both_sides(age_s: float, verdict: float | str) -> None:
    case = Case(age_s=age_s)

    assert (case.verdict() if isinstance(verdict, str) else case.left_s) == verdict


@pytest.mark.parametrize("action", ["unlock", "lock"])
def test_a_stale_or_early_command_is_refused_whatever_it_does(action: str) -> None:
    assert Case(action=action, age_s=11).verdict() == "stale"
    assert Case(action=action, age_s=-11).verdict() == "clock_ahead"


@pytest.mark.parametrize(
    ("action", "configured_s", "ttl_s", "left_s"),
    [
        ("unlock", 10, None, 10),
        ("unlock", 10, 3, 3),
        ("unlock", 10, 60, 10),
        ("unlock", 10, 10.5, 10),
        ("unlock", 60, 45, 45),
        ("lock", 10, None, 10),
        ("lock", 10, 3, 3),
        ("lock", 10, 60, 60),
        ("lock", 10, 3600, 60),
        ("lock", 60, 0.2, 0.2),
    ],
)
def test_a_ttl_of_its_own_shortens_and_lengthens_only_what_closes(
    action: str, configured_s: float, ttl_s: float | None, left_s: float
) -> None:
    assert Case(action=action, ttl_s=ttl_s, settings={"ttl_s": configured_s}).left_s == left_s


def test_its_own_ttl_is_the_measure_of_its_age() -> None:
    assert Case(ttl_s=3, age_s=3.1).verdict() == "stale"
    assert Case(ttl_s=3, age_s=-3.1).verdict() == "clock_ahead"
    assert Case(ttl_s=3, age_s=2).left_s == 1
    assert Case(ttl_s=60, age_s=11).verdict() == "stale"
    assert Case(action="lock", ttl_s=60, age_s=11).left_s == 49


@pytest.mark.parametrize(("waited_s", "verdict"), [(0, 10), (4, 6), (10, 0), (10.1, "stale"), (3600, "stale")])
def test_the_time_waited_in_our_own_queues_counts(waited_s: float, verdict: float | str) -> None:
    case = Case(waited_s=waited_s)

    assert (case.verdict() if isinstance(verdict, str) else case.left_s) == verdict


def test_a_ts_tells_the_waiting_already() -> None:
    assert Case(waited_s=4, age_s=5).left_s == 5


@pytest.mark.parametrize(
    ("expiry_s", "waited_s", "verdict"),
    [(0, 0, "stale"), (3, 0, 3), (3, 1, 2), (3, 3, "stale"), (3, 4, "stale"), (60, 0, 10), (60, 4, 6), (None, 0, 10)],
)
def test_the_message_expiry_of_mqtt_5_counts(expiry_s: int | None, waited_s: float, verdict: float | str) -> None:
    case = Case(expiry_s=expiry_s, waited_s=waited_s)

    assert (case.verdict() if isinstance(verdict, str) else case.left_s) == verdict


# --- the clock ---


@pytest.mark.parametrize(
    ("action", "age_s", "verdict"),
    [("unlock", 1, "clock_untrusted"), ("unlock", None, 10), ("lock", 1, 9), ("lock", None, 10)],
)
def test_an_untrusted_clock_refuses_opening_commands_that_carry_a_ts(
    action: str, age_s: float | None, verdict: float | str
) -> None:
    case = Case(action=action, age_s=age_s, is_clock_trusted=False)

    assert (case.verdict() if isinstance(verdict, str) else case.left_s) == verdict


@pytest.mark.parametrize(("age_s", "waited_s", "skew_s"), [(-3, 0, 3), (5, 4, -1), (11, 0, -11)])
def test_the_skew_of_the_sender_is_known_also_of_what_is_refused(age_s: float, waited_s: float, skew_s: float) -> None:
    case = Case(age_s=age_s, waited_s=waited_s)
    admission = case.admission()
    before = admission.clock_skew_s
    case.verdict(admission)

    assert (before, admission.clock_skew_s) == (None, skew_s)


def test_without_a_ts_nothing_is_known_of_the_sender_s_clock() -> None:
    admission = Case().admission()
    Case().verdict(admission)

    assert admission.clock_skew_s is None
    assert age_of(CommandOrder("unlock"), moment(NOW)) is None


# --- the beginning ---


@pytest.mark.parametrize(("protocol", "start_s"), [("5", OWN_START_S), ("3.1.1", V311_START_S)])
def test_commands_are_taken_some_seconds_after_the_base_is_ours(protocol: str, start_s: float) -> None:
    assert (OWN_START_S, V311_START_S) == (2, 3)
    early = Case(action="lock", protocol=protocol, opened=NOW - start_s + 0.01)
    late = Case(action="lock", protocol=protocol, opened=NOW - start_s)

    assert (early.verdict(), late.left_s) == ("starting", 10)


def test_without_a_connection_nothing_is_taken() -> None:
    admission = Case().admission()
    admission.closed()

    assert Case().verdict(admission) == "starting"


# --- 3.1.1 ---


@pytest.mark.parametrize(
    ("action", "age_s", "is_bare_allowed", "verdict"),
    [
        ("unlock", None, False, "needs_ts"),
        ("unlock", 1, False, 9),
        ("unlock", None, True, 10),
        ("lock", None, False, 10),
        ("lock", 1, False, 9),
    ],
)
def test_with_3_1_1_an_opening_command_needs_a_fresh_ts_unless_bare_ones_are_allowed(
    action: str, age_s: float | None, verdict: float | str, *, is_bare_allowed: bool
) -> None:
    case = Case(action=action, age_s=age_s, protocol="3.1.1", settings={"bare_opening": is_bare_allowed})

    assert (case.verdict() if isinstance(verdict, str) else case.left_s) == verdict
    assert case.admission().is_v5 is False


@pytest.mark.parametrize("action", [action for action in LOCK_ACTIONS if LOCK_ACTIONS[action].opens])
def test_every_opening_action_needs_a_ts_with_3_1_1(action: str) -> None:
    assert Case(action=action, protocol="3.1.1").verdict() == "needs_ts"
    assert Case(action=action).left_s == 10
