"""`make sim`: many seeds of the simulation, on all processors; exit code 1 when a law was broken.

`SEED=42` runs that one alone, and shows what was found.
"""

import argparse
import multiprocessing
import sys

from tests.simulation.chaos import fault_of

SHOW_EVERY = 500


def main() -> int:
    """Run the seeds that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="this one alone")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds) if options.seed is None else [options.seed]
    failed: list[int] = []
    with multiprocessing.get_context("spawn").Pool() as pool:
        found = pool.imap_unordered(fault_of, seeds, chunksize=4)
        for count, (seed, fault) in enumerate(found, 1):
            if fault is not None:
                failed.append(seed)
                print(  # noqa: T201
                    f"seed {seed} fails; `make sim SEED={seed}` repeats it\n{fault}", flush=True
                )
            if count % SHOW_EVERY == 0 or count == len(seeds):
                print(  # noqa: T201
                    f"{count} of {len(seeds)} seeds, {len(failed)} failed {sorted(failed)}", flush=True
                )
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
