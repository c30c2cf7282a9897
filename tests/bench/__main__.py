"""`python -m tests.bench`: what the gateway costs, each figure beside a bare program on the same libraries.

docs/performance.md says how it is measured. `--only` picks parts, `--markdown` prints the table of that page.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.account import account
from tests.bench.figures import Figure, lines, machine, table
from tests.bench.latency import latency
from tests.bench.place import place
from tests.bench.rest import idle, requests
from tests.bench.start import first_state, imports

PARTS = ("latency", "imports", "start", "idle", "requests", "cloud")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    parser.add_argument("--samples", type=int, default=300, help="pairs of samples of each latency")
    parser.add_argument("--starts", type=int, default=5, help="how often a process is started")
    parser.add_argument("--idle-minutes", type=float, default=10.0, help="how long the idle run takes")
    parser.add_argument("--hours", type=int, default=24, help="virtual hours at rest")
    parser.add_argument("--locks", type=int, default=500, help="locks of the account")
    parser.add_argument("--codes", type=int, default=40, help="keypad codes of each of them")
    parser.add_argument("--polls", type=int, default=6, help="changes that are waited for, each takes a poll")
    parser.add_argument("--state", type=Path, help="where the folder with the gateway's state is made")
    parser.add_argument("--markdown", action="store_true", help="print a table")
    options = parser.parse_args(arguments)
    asyncio.run(_measure(options))
    return 0


async def _measure(options: argparse.Namespace) -> None:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="nuki2mqtt-bench-", dir=options.state) as folder:
        async with place(Path(folder)) as here:
            print(machine(here.broker), flush=True)
            for part in options.only or PARTS:
                match part:
                    case "latency":
                        new = await latency(here, options.samples)
                    case "imports":
                        new = await imports(here, options.starts)
                    case "start":
                        new = await first_state(here, options.starts)
                    case "idle":
                        new = await idle(here, options.idle_minutes)
                    case "cloud":
                        new = await account(here, options.locks, options.codes, options.polls)
                    case _:
                        new = requests(options.hours)
                figures += new
                if not options.markdown:
                    print("\n".join(lines(new)), flush=True)
            if options.markdown:
                print("\n".join(table(figures)))
            print(machine(here.broker))


if __name__ == "__main__":
    sys.exit(main())
