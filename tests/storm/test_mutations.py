"""The storm has teeth: each mutation of the product is noticed by the invariant that it is named by.

Here some that are noticed soon; with NUKI2MQTT_MUTATIONS=all every one. `python -m tests.storm.mutants` prints a
table.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.storm.mutants import ROOT, Mutation, patched, play, read_mutations

MUTATIONS = {one.name: one for one in read_mutations()}
FAST = ("3-availability-goes-first", "6-gap-is-counted-from-the-question", "10-orders-go-before-identity")
PLAYED = sorted(MUTATIONS) if os.environ.get("NUKI2MQTT_MUTATIONS") == "all" else FAST


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutation_fits_into_the_source_of_today(mutation: Mutation) -> None:
    files = patched(mutation.patch, ROOT)

    assert files
    for path, text in files.items():
        assert path.startswith("nuki2mqtt/")
        assert text != (ROOT / path).read_text()
        compile(text, path, "exec")


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutation_says_what_it_breaks_and_who_notices(mutation: Mutation) -> None:
    first, second, *_ = mutation.patch.splitlines()

    assert first.startswith("# ")
    assert first.endswith(".")
    assert second.startswith("# seed ")
    assert mutation.seed is not None


def test_every_invariant_has_its_mutations() -> None:
    counts = Counter(one.invariant for one in MUTATIONS.values() if not one.has_cloud)

    assert sorted(counts, key=int) == [str(number) for number in range(1, 11)]
    assert min(counts.values()) >= 3
    assert sum(counts.values()) >= 30


def test_a_patch_that_does_not_fit_is_told(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text("one\ntwo\none\ntwo\n")
    patch = "# What it is.\n--- a/some.py\n+++ b/some.py\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"

    with pytest.raises(ValueError, match="fits 2 times into some"):
        patched(patch, tmp_path)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", PLAYED)
def test_the_storm_notices(name: str) -> None:
    mutation = MUTATIONS[name]
    outcome = play(mutation)

    assert outcome.invariant == mutation.invariant, outcome.text
