"""Coverage-guided fuzzing of one target of `targets.py` with atheris (it comes as a wheel for CPython 3.11 to 3.13).

    python -m pip install atheris
    mkdir -p /tmp/found/settings
    PYTHONPATH=. python tests/fuzz/atheris_targets.py settings /tmp/found/settings tests/fuzz/corpus/settings \
        -max_total_time=300 -max_len=4096 -artifact_prefix=/tmp/found/settings-

The first argument is the target's name, the rest is libFuzzer's: the first folder takes what was found to be new, the
others are only read. A crashing input is left as `...crash-<hash>`; made small (`-minimize_crash=1 FILE`) it goes into
`tests/fuzz/corpus/<target>/`, where every test run replays it (`test_readers.py`).
"""

import sys

import atheris  # type: ignore[import-untyped]  # it has no stubs, and is not among the project's dependencies

with atheris.instrument_imports(include=["nuki2mqtt", "yaml"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz the target that the command line names."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
