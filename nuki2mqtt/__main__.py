"""`python -m nuki2mqtt`: the command line.

`health` starts a process every half minute in a container, so it is answered before anything large is loaded.
"""

import sys

from nuki2mqtt.faces.terminal import settle_output


def main() -> int:
    """Run the verb of this command line; returns the exit status."""
    try:
        return _run_verb()
    finally:
        settle_output()


def _run_verb() -> int:
    if sys.argv[1:2] == ["health"]:
        from nuki2mqtt.faces.health import run_health  # noqa: PLC0415 - the only import that it needs

        return run_health(sys.argv[2:])
    from nuki2mqtt.faces.cli import run_cli  # noqa: PLC0415 - large

    return run_cli(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
