"""When a log is read: the times, what is merged, and the budget."""

from nuki2mqtt.gateway.log_reads import AFTER_S, MOST_OF_ONE_PER_HOUR, MOST_PER_HOUR, STIRRED_AFTER_S, LogReads
from nuki2mqtt.model.device import NukiId
from tests.gateway.builders import LOCK, OPENER


def run(reads: LogReads, until: float) -> list[tuple[float, NukiId]]:
    """All reads until then, each of which ends at once."""
    made: list[tuple[float, NukiId]] = []
    while (due := reads.next_due()) is not None and due <= until:
        taken = reads.take(due)
        made += [(due, nuki_id) for nuki_id in taken]
        for nuki_id in taken:
            reads.ended(nuki_id)
    return made


def times(reads: LogReads, until: float = 1e9) -> list[float]:
    return [at for at, _ in run(reads, until)]


def test_a_change_is_read_after_with_patience() -> None:
    reads = LogReads()
    reads.want(LOCK, 100.0)

    assert times(reads) == [105, 115, 130, 160, 190] == [100 + after_s for after_s in AFTER_S]
    assert (reads.made, reads.next_due()) == (5, None)


def test_something_that_stirred_is_read_twice() -> None:
    reads = LogReads()
    reads.want(LOCK, 0.0, STIRRED_AFTER_S)

    assert times(reads) == [20, 80]


def test_one_read_serves_many_changes() -> None:
    reads = LogReads()
    for at in (0.0, 1.0, 2.0, 3.0):
        reads.want(LOCK, at)

    assert times(reads) == [5, 15, 30, 60, 93]  # never before the last one's time


def test_each_change_has_a_read_at_its_own_end_or_at_most_4_s_later() -> None:
    reads = LogReads()
    for at in range(0, 60, 7):
        reads.want(LOCK, float(at))
    made = times(reads)

    assert all(any(at + 90 <= one < at + 94 for one in made) for at in range(0, 60, 7))
    assert len(made) < 30


def test_devices_do_not_share_reads_and_one_is_not_read_twice_at_once() -> None:
    reads = LogReads()
    reads.want(LOCK, 0.0)
    reads.want(OPENER, 0.0)

    assert reads.take(5.0) == (LOCK, OPENER)
    assert (reads.take(20.0), reads.next_due()) == ((), None)
    reads.ended(LOCK)
    assert (reads.next_due(), reads.take(20.0)) == (15.0, (LOCK,))


def test_when_all_is_known_only_the_last_read_is_made() -> None:
    reads = LogReads()
    reads.want(LOCK, 0.0)
    reads.take(5.0)
    reads.ended(LOCK)
    reads.settle(LOCK)

    assert times(reads) == [90]


def test_what_is_forgotten_or_cleared_is_not_read() -> None:
    reads = LogReads()
    reads.want(LOCK, 0.0)
    reads.want(OPENER, 0.0)
    reads.forget(LOCK)
    assert reads.take(5.0) == (OPENER,)
    reads.clear()
    assert reads.next_due() is None


def test_a_busy_door_has_a_budget_of_its_own() -> None:
    reads = LogReads()
    made: list[float] = []
    for at in range(0, 3600, 20):
        reads.want(LOCK, float(at))
        made += times(reads, at + 19.9)
    made += times(reads, 3600)

    assert (len(made), reads.left_out > 0) == (MOST_OF_ONE_PER_HOUR, True)
    reads.want(OPENER, 3600.0)
    assert len(times(reads, 3700)) > 0
    reads.want(LOCK, 3700.0)
    assert [at for at, nuki_id in run(reads, 3800) if nuki_id == LOCK] != []  # an hour later there is room again


def test_the_account_has_one_too() -> None:
    reads = LogReads()
    for number in range(100):
        reads.want(NukiId(number), 0.0)

    assert len(times(reads, 100)) == MOST_PER_HOUR == reads.made
    assert reads.left_out == 500 - MOST_PER_HOUR
