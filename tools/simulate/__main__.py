"""`python -m tools.simulate --seeds 1000`: run seeds, stop at the first that fails, and print its trace."""

from __future__ import annotations

import argparse
import sys
import time

from .old_faults import FAULTS
from .scenario import Failure, run_seed


def main() -> int:
    """The exit status: 1 where a seed has failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.simulate")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="put an old fault back in")
    options = parser.parse_args()
    began, events = time.perf_counter(), 0
    for seed in range(options.first, options.first + options.seeds):
        try:
            world = run_seed(seed, FAULTS[options.fault] if options.fault else None)
        except Failure as failure:
            print(failure)
            print(f"\nagain: python -m tools.simulate --first {seed} --seeds 1")
            return 1
        events += len(world.trace)
        if (seed + 1 - options.first) % 1000 == 0:
            print(f"{seed + 1 - options.first} seeds, {time.perf_counter() - began:.0f} s", flush=True)
    seconds = time.perf_counter() - began
    print(f"{options.seeds} seeds without a violation in {seconds:.1f} s, {events} events")
    return 0


if __name__ == "__main__":
    sys.exit(main())
