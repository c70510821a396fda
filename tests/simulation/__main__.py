"""`python -m tests.simulation`: many histories, one with its story, or planted bugs."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.hunting import table
from tests.simulation.runs import Summary, play, play_all


def main() -> int:
    """Returns the exit status: 1 if an invariant is broken, or a planted bug is not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one, and tell its story")
    parser.add_argument("--seeds", type=int, default=10_000, help="play so many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--mutations",
        action="store_true",
        help="which planted bugs are found, by what, and how soon; writes seeds.json",
    )
    options = parser.parse_args()
    if options.seed is not None:
        outcome = play(options.seed, with_story=True)
        print(outcome.story)
        return 1 if outcome.broken else 0
    begun = time.monotonic()
    if options.mutations:
        text, missed = table(options.jobs)
        print(text)
        return 1 if missed else 0
    summary = Summary()
    for outcome in play_all(range(options.first, options.first + options.seeds), options.jobs):
        if outcome.broken and not summary.failed:
            print(outcome.story, flush=True)
        summary.add(outcome)
    seconds = time.monotonic() - begun
    print(summary)
    print(f"{seconds:.0f} s, {1000 * seconds * options.jobs / max(1, summary.seeds):.0f} ms of a processor for each")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
