"""Plays a plan in a house of its own and says what became of it."""

import asyncio
import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.storm.computer import thread_s
from tests.storm.invariants.cloud_orders import OnlyWhatTheCloudMay
from tests.storm.invariants.codes import CodesConverge
from tests.storm.invariants.ends import ExactlyOneEnd
from tests.storm.invariants.events import EventsAreTold
from tests.storm.invariants.invariant import Invariant
from tests.storm.invariants.moves import OnlyWhatWasOrdered, OpensOnce
from tests.storm.invariants.names import NobodyElseIsNamed
from tests.storm.invariants.rest import EverythingIsBounded, NothingSecretIsSaid, OneSlotIsOurs
from tests.storm.invariants.truth import TruthAfterAll
from tests.storm.invariants.undisturbed import NothingLocalWaits
from tests.storm.invariants.wire import OneAtATime, OnlyWhereAllowed
from tests.storm.judge import Judge, Violation
from tests.storm.plan import DAY_S, draw_plan
from tests.storm.spec import Spec
from tests.storm.stage import Stage
from tests.storm.virtual_loop import VirtualLoop

Step = dict[str, Any]
# Seed, days, squalls a day, further houses, list_s, whether its Bridges were paired only, whether its plan is even, and
# whether there is a cloud.
Life = tuple[int, float, float, int | None, int | None, bool, bool, bool]
TICK_S = 60.0
DEBUG_EVERY = 8  # one seed in so many says what it says for debugging, too, which is searched for secrets
INVARIANTS: list[type[Invariant]] = [
    OnlyWhatWasOrdered,
    OpensOnce,
    EventsAreTold,  # before those that take in what a report says: the first one of a process makes no event
    TruthAfterAll,
    ExactlyOneEnd,
    OneAtATime,
    OneSlotIsOurs,
    NothingSecretIsSaid,
    EverythingIsBounded,
    OnlyWhereAllowed,
]
OF_CLOUD: list[type[Invariant]] = [CodesConverge, OnlyWhatTheCloudMay, NobodyElseIsNamed, NothingLocalWaits]


@dataclass
class Report:
    """What became of a plan."""

    days: float = 0.0  # of the gateway
    house_days: float = 0.0
    wall_s: float = 0.0
    violation: Violation | None = None
    trace: tuple[str, ...] = ()
    injected: Counter[str] = field(default_factory=Counter)
    bit: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    code_outcomes: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    peaks: dict[str, float] = field(default_factory=dict)


def play(spec: Spec, steps: Sequence[Step], *, keeps_trace: bool = False) -> Report:
    """Play it from the first step to the last, or to the first violation."""
    began = time.perf_counter()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(thread_s)) as runner:
        report = runner.run(_play(spec, steps, keeps_trace=keeps_trace))
    report.wall_s = time.perf_counter() - began
    return report


def leave_ending() -> None:
    """It is for the first process to end the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def live(life: Life) -> tuple[int, Report]:
    """The gateway of a seed, for so many days with so many squalls a day."""
    seed, days, squalls, flats, list_s, is_learnt, is_even, has_cloud = life
    spec = Spec.draw(seed, flats, list_s, is_learnt=is_learnt, has_cloud=has_cloud)
    return seed, play(spec, draw_plan(spec, days, squalls, is_even=is_even))


async def _play(spec: Spec, steps: Sequence[Step], *, keeps_trace: bool) -> Report:
    judge = Judge(keeps_trace=keeps_trace)
    stage = Stage(spec, judge)
    judge.begin(stage, [*INVARIANTS, *OF_CLOUD] if spec.has_cloud else INVARIANTS)
    world = stage.world
    is_chatty = keeps_trace or spec.seed % DEBUG_EVERY == 0
    logging.getLogger("nuki2mqtt").setLevel(logging.DEBUG if is_chatty else logging.INFO)
    try:
        world.main.start()
        next_tick = TICK_S
        for step in steps:
            while judge.violation is None and float(step["at"]) > next_tick:
                await _until(stage, judge, next_tick)
                judge.ticked()
                stage.tidy_up()
                next_tick += TICK_S
            await _until(stage, judge, float(step["at"]))
            if judge.violation is not None:
                break
            if step["do"] == "check":
                judge.check()
            elif step["do"] != "end":
                judge.note(f"step {step}")
                stage.play(step)
        return _report(stage, judge)
    finally:
        world.main.kill()
        world.other.kill()
        tasks = [one.task for computer in world.computers for one in computer.processes if one.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        world.close()


async def _until(stage: Stage, judge: Judge, at: float) -> None:
    if judge.violation is None and at > stage.world.elapsed:
        # Not a moment longer than until something is wrong: what is wrong may spin.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at - stage.world.elapsed):
                await judge.broken.wait()


def _report(stage: Stage, judge: Judge) -> Report:
    report = Report(
        days=stage.world.elapsed / DAY_S,
        house_days=stage.world.elapsed / DAY_S * stage.world.spec.houses,
        violation=judge.violation,
        trace=tuple(judge.trace),
        injected=stage.injected,
        bit=stage.bit,
    )
    for one in judge.invariants:
        match one:
            case ExactlyOneEnd():
                report.outcomes = one.outcomes
            case TruthAfterAll():
                report.figures["checks"] = one.checked
            case EventsAreTold():
                report.figures["events"], report.figures["late events"] = one.told, one.late
            case EverythingIsBounded():
                report.peaks["objects"], report.peaks["longest"] = one.most_objects, one.longest
            case CodesConverge():
                report.code_outcomes, report.figures["keypads judged"] = one.outcomes, one.judged
            case OnlyWhatTheCloudMay():
                report.figures["orders to the cloud"] = one.orders
            case NobodyElseIsNamed():
                report.figures["named"], report.figures["codes refused"] = one.attributed, one.refused
            case OneAtATime():
                report.peaks["gap"] = one.shortest_gap_s
    report.figures["requests"] = stage.requests + len(stage.world.wire.calls)
    cloud = stage.world.cloud
    if cloud is not None:
        report.figures["requests to the cloud"] = stage.web_requests + len(cloud.calls)
        report.figures["forced syncs"] = sum(known.forced_syncs for known in cloud.names.values())
    report.figures["starts"] = sum(len(computer.processes) for computer in stage.world.computers)
    return report
