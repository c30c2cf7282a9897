"""`python -m tests.storm.mutants`: does the storm notice when the product is broken?

    python -m tests.storm.mutants                      plays every mutation, and prints a table
    python -m tests.storm.mutants --only 5-late 8-     those whose names begin like this
    python -m tests.storm.mutants --find --only 5-late looks for the smallest seed by which each is caught

A mutation is a patch in `mutations/`, named by the invariant that must notice it. Its comments say what is broken and
by which seed that is noticed: `# seed 17, days 0.12, squalls 30`, and `, paired` or `, cloud` behind it as in the
options of the storm. It is applied to a copy of the package in a temporary
folder, and the storm is played by a process of its own with that copy. The exit status is 1 if any is not caught.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import nuki2mqtt
from tests.storm import play as stage
from tests.storm.plan import draw_plan
from tests.storm.spec import Spec

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "mutations"
FIND_SEEDS = range(1, 61)
FIND_DAYS, FIND_SQUALLS = 0.12, 30.0
LONGEST_S = 170.0
FIND_S = 600.0
_CAUGHT_BY = re.compile(r"^# seed (\d+), days ([\d.]+), squalls ([\d.]+)(, paired)?(, cloud)?$", re.MULTILINE)
_PARTS = re.compile(r"^(?=--- a/|@@ )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One way to break the product; `seed` is None where it is not known yet.

    `is_learnt`: it shows where the Bridges were paired, and stand in no settings; `has_cloud`: where there is a cloud.
    """

    name: str
    patch: str
    seed: int | None
    days: float
    squalls: float
    is_learnt: bool = False
    has_cloud: bool = False

    @property
    def invariant(self) -> str:
        """The number of the invariant that must notice it."""
        return self.name.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some seeds: the last one played, and the violation there, if any."""

    seed: int
    invariant: str | None
    at: float
    text: str
    house_hours: float
    took_s: float = 0.0


# --- Patches --------------------------------------------------------------------------------------------------------


def read_mutation(file: Path) -> Mutation:
    """A patch with what its comments say."""
    patch = file.read_text()
    found = _CAUGHT_BY.search(patch)
    if found is None:
        return Mutation(
            file.stem, patch, None, FIND_DAYS, FIND_SQUALLS, has_cloud=int(file.stem.partition("-")[0]) > 10
        )
    where = {"is_learnt": found[4] is not None, "has_cloud": found[5] is not None}
    return Mutation(file.stem, patch, int(found[1]), float(found[2]), float(found[3]), **where)


def read_mutations() -> list[Mutation]:
    """All of them, in the order of their invariants."""
    mutations = [read_mutation(file) for file in FOLDER.glob("*.patch")]
    return sorted(mutations, key=lambda one: (int(one.invariant), one.name))


def patched(patch: str, root: Path) -> dict[str, str]:
    """The files that a unified diff changes, by their paths; raises ValueError unless it fits in one place only."""
    files: dict[str, str] = {}
    path = ""
    for part in _PARTS.split(patch):
        lines = part.splitlines(keepends=True)
        if part.startswith("--- a/"):
            path = lines[0].removeprefix("--- a/").strip()
        elif part.startswith("@@ "):
            old, new = ("\n" + "".join(line[1:] for line in lines[1:] if line[0] in f" {sign}") for sign in ("-", "+"))
            text = files.get(path) or "\n" + (root / path).read_text()
            places = len(re.findall(f"(?={re.escape(old)})", text))  # they may overlap
            if places != 1:
                raise ValueError(f"a hunk fits {places} times into {path}: {lines[0].strip()}")
            files[path] = text.replace(old, new)
    return {path: text.removeprefix("\n") for path, text in files.items()}


@contextmanager
def copy_with(patch: str) -> Iterator[Path]:
    """A folder with the package and the storm, and this patch in it."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "nuki2mqtt", folder / "nuki2mqtt")
        shutil.copytree(ROOT / "tests" / "storm", folder / "tests" / "storm")
        shutil.copy2(ROOT / "tests" / "__init__.py", folder / "tests" / "__init__.py")
        for path, text in patched(patch, folder).items():
            (folder / path).write_text(text)
        yield folder


# --- Playing --------------------------------------------------------------------------------------------------------


def play(mutation: Mutation) -> Outcome:
    """Play its seed with the mutation."""
    assert mutation.seed is not None
    return play_seeds(mutation, range(mutation.seed, mutation.seed + 1), LONGEST_S)


def play_seeds(mutation: Mutation, seeds: range, longest_s: float) -> Outcome:
    """Play seeds with the mutation, in a process of its own, until its invariant is hurt."""
    began = time.monotonic()
    with copy_with(mutation.patch) as folder:
        life = (seeds.start, seeds.stop, mutation.days, mutation.squalls, mutation.is_learnt, mutation.has_cloud)
        command = [sys.executable, "-m", "tests.storm.mutants", "--child", str(folder), mutation.invariant]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter with our own module
                [*command, *map(str, life)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=longest_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(seeds.start, None, 0.0, f"no end within {longest_s:g} s", 0.0, longest_s)
    took_s = time.monotonic() - began
    if done.returncode != 0:
        return Outcome(seeds.start, None, 0.0, f"the storm itself broke: {done.stderr[-600:]}", 0.0, took_s)
    return Outcome(**json.loads(done.stdout), took_s=took_s)


def live_in_copy(
    folder: str, invariant: str, first: str, stop: str, days: str, squalls: str, is_learnt: str, has_cloud: str
) -> Outcome:
    """What the child does."""
    for file in (nuki2mqtt.__file__, __file__):
        if not Path(file).resolve().is_relative_to(Path(folder).resolve()):
            raise SystemExit(f"{file} is not of the copy in {folder}")
    outcome = None
    for seed in range(int(first), int(stop)):
        spec = Spec.draw(seed, is_learnt=is_learnt == "True", has_cloud=has_cloud == "True")
        report = stage.play(spec, draw_plan(spec, float(days), float(squalls)))
        violation, hours = report.violation, report.house_days * 24
        if violation is None:
            outcome = outcome or Outcome(seed, None, 0.0, "nothing is wrong", hours)
        else:
            outcome = Outcome(seed, violation.invariant, violation.at, violation.text, hours)
        if outcome.invariant == invariant:
            break
    assert outcome is not None
    return outcome


def find(mutation: Mutation) -> Outcome:
    """The smallest seed by which it is caught, among those with which nothing is wrong otherwise."""
    unchanged = replace(mutation, patch="", seed=None)
    first = FIND_SEEDS.start
    while True:
        outcome = play_seeds(mutation, range(first, FIND_SEEDS.stop), FIND_S)
        if outcome.invariant != mutation.invariant:
            return outcome
        seed = outcome.seed
        if play_seeds(unchanged, range(seed, seed + 1), FIND_S).invariant is None or seed == FIND_SEEDS[-1]:
            return outcome
        first = seed + 1


# --- The command ----------------------------------------------------------------------------------------------------


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--find", action="store_true", help="look for the smallest seed by which each is caught")
    parser.add_argument("--only", nargs="*", default=[""], help="those whose names begin like this")
    parser.add_argument("--child", nargs=8, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        outcome = live_in_copy(*options.child)
        told = {key: getattr(outcome, key) for key in ("seed", "invariant", "at", "text", "house_hours")}
        print(json.dumps(told))
        return 0
    mutations = [one for one in read_mutations() if one.name.startswith(tuple(options.only))]
    is_good = True if options.find else unchanged_is_good(mutations)
    print(f"| {'mutation':58} | seed | after house-hours | seconds | caught |")
    print(f"|{'-' * 60}|-----:|------------------:|--------:|--------|")
    for mutation in mutations:
        outcome = find(mutation) if options.find else play(mutation)
        is_caught = outcome.invariant == mutation.invariant
        is_good = is_good and is_caught
        figures = f"{outcome.seed:4} | {outcome.house_hours:17.2f} | {outcome.took_s:7.1f}"
        verdict = f"at {outcome.at:.0f} s" if is_caught else f"NO: invariant {outcome.invariant}"
        print(f"| {mutation.name:58} | {figures} | {verdict} | {outcome.text[:160]}", flush=True)
    return 0 if is_good else 1


def unchanged_is_good(mutations: Iterable[Mutation]) -> bool:
    """Whether the unchanged product passes every seed that the mutations name; tells where it does not."""
    is_good = True
    told = {replace(one, name="0-unchanged", patch="") for one in mutations if one.seed is not None}
    for one in sorted(told, key=lambda one: (one.has_cloud, one.is_learnt, one.seed, one.days)):
        outcome = play(one)
        if outcome.invariant is not None:
            is_good = False
            print(f"unchanged, seed {one.seed}: invariant {outcome.invariant}: {outcome.text}", flush=True)
    return is_good


if __name__ == "__main__":
    sys.exit(main())
