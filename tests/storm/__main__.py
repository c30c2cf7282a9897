"""`python -m tests.storm`: simulated days in which everything goes wrong, judged by ten invariants.

    python -m tests.storm --seed 1 --days 1 --houses 20     twenty houses for a day each
    python -m tests.storm --replay storm-17.json            a trace of a violation, with all that happened
    python -m tests.storm --markdown ...                    the summary as tables

A gateway is a seed; it looks after one house or several, each with a Bridge and doors of its own, and a house-day is
the day of one of them. On a violation the seed is printed, the plan made
smaller and written to a file that `--replay` takes, and the exit status is 1.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

from tests.storm.judge import Violation
from tests.storm.plan import SQUALLS, draw_plan
from tests.storm.play import Life, leave_ending, live, play
from tests.storm.shrink import shrink
from tests.storm.spec import Spec
from tests.storm.summary import Summary

EVERY_S = 10.0


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the first house")
    parser.add_argument("--days", type=float, default=1.0, help="how many days each house lives")
    parser.add_argument("--houses", type=int, default=20, help="how many houses, or a few more")
    parser.add_argument("--flats", type=int, help="further houses of each gateway; else its seed says")
    parser.add_argument("--list-s", type=int, help="seconds between two readings of a Bridge; else the seed says")
    parser.add_argument("--squalls", type=float, default=SQUALLS, help="squalls a day; fewer go by faster")
    parser.add_argument(
        "--learnt", action="store_true", help="Bridges that were paired only: they move, rogues announce themselves"
    )
    parser.add_argument("--cloud", action="store_true", help="all devices are in Nuki's cloud, and have keypads, too")
    parser.add_argument("--even", action="store_true", help="deal the faults so that each kind bites about as often")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--replay", type=Path, help="replay the trace of a violation")
    parser.add_argument("--markdown", action="store_true", help="print the summary as tables")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    options = parser.parse_args()
    if options.replay is not None:
        return replay(options.replay)
    summary, began, told = Summary(), time.monotonic(), 0.0
    drawn = (options.seed, options.houses, options.days, options.squalls, options.flats, options.list_s)
    lives = draw_lives(*drawn, is_learnt=options.learnt, is_even=options.even, has_cloud=options.cloud)
    is_good, report = True, None
    # Ctrl-C or SIGTERM ends it with the figures so far.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        multiprocessing.get_context("spawn").Pool(
            max(1, min(options.jobs, len(lives))), initializer=leave_ending
        ) as pool,
    ):
        for seed, report in pool.imap_unordered(live, lives):
            summary.add(report)
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                print(summary.progress(told - began, len(lives), options.jobs), flush=True)
            if report.violation is not None:
                is_good = False
                print(f"gateway {seed}: invariant {report.violation.invariant}: {report.violation.text}", flush=True)
                if not options.keep_going:
                    pool.terminate()
                    break
    print(summary.render(time.monotonic() - began, options.jobs, is_markdown=options.markdown))
    if not is_good and not options.keep_going and report is not None and report.violation is not None:
        explain(next(life for life in lives if life[0] == seed), report.violation)
    return 0 if is_good else 1


def draw_lives(
    seed: int,
    houses: int,
    days: float,
    squalls: float,
    flats: int | None,
    list_s: int | None,
    *,
    is_learnt: bool = False,
    is_even: bool = False,
    has_cloud: bool = False,
) -> list[Life]:
    """Gateways from this seed on until there are so many houses."""
    lives: list[Life] = []
    left = houses
    while left > 0:
        lives.append((seed, days, squalls, flats, list_s, is_learnt, is_even, has_cloud))
        left -= Spec.draw(seed, flats).houses
        seed += 1
    return lives


def explain(life: Life, violation: Violation) -> None:
    """Make the plan smaller and write it down."""
    seed, days, squalls, flats, list_s, is_learnt, is_even, has_cloud = life
    print(f"The seed is {seed}. Making its plan smaller (up to two minutes) ...", flush=True)
    spec = Spec.draw(seed, flats, list_s, is_learnt=is_learnt, has_cloud=has_cloud)
    steps = shrink(spec, draw_plan(spec, days, squalls, is_even=is_even), violation)
    file = Path(f"storm-{seed}.json")
    file.write_text(json.dumps({"spec": spec.as_json(), "steps": steps}, indent=1) + "\n")
    for step in steps:
        print(f"  {json.dumps(step)}")
    print(f"These {len(steps)} steps are in {file}. See what happens: python -m tests.storm --replay {file}")


def replay(file: Path) -> int:
    """Play a trace and print all that happens."""
    trace = json.loads(file.read_text())
    report = play(Spec(**trace["spec"]), trace["steps"], keeps_trace=True)
    print("\n".join(report.trace))
    if report.violation is None:
        print("Nothing is wrong.")
        return 0
    print(f"invariant {report.violation.invariant} at {report.violation.at:.3f} s: {report.violation.text}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
