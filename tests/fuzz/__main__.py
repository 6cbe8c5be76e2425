"""`make fuzz`: damaged records through decoding and mapping; exit code 1 when one was too much for them."""

import argparse
import json
import platform
import sys
from pathlib import Path

from processor import __version__
from tests.fuzz.fuzzer import Account, Fuzzer

SLOWEST_S = 1.0
MEMORY_MIB = 64.0
REACHED_SHARE = 0.3


def faults_of(account: Account) -> list[str]:
    """Say what is not as it must be."""
    faults = list(account.faults)
    if account.slowest_s >= SLOWEST_S:
        faults.append(f"{account.slowest} took {account.slowest_s:.2f} s")
    if account.memory_mib >= MEMORY_MIB:
        faults.append(f"the memory grew by {account.memory_mib:.0f} MiB")
    if account.reached_share < REACHED_SHARE:
        faults.append(f"only {account.reached_share:.0%} of the inputs reached the mapping: this tests little")
    return faults


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many damaged records")
    parser.add_argument("--seed", type=int, default=1, help="decides all of them")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="only show the input of this number")
    parser.add_argument("--result", type=Path, help="write the account into this file")
    options = parser.parse_args()
    fuzzer = Fuzzer(options.seed)
    if options.show is not None:
        print(fuzzer.damaged(options.show))  # noqa: T201
        return 0
    account = fuzzer.run(options.inputs, lambda line: print(line, flush=True))  # noqa: T201
    faults = faults_of(account)
    result = {
        "verdict": "broken" if faults else "kept",
        "faults": faults[:20],
        "command": f"python -m tests.fuzz {' '.join(sys.argv[1:])}",
        "inputs": account.inputs,
        "seed": options.seed,
        "reached_mapping": account.reached_mapping,
        "reached_share": round(account.reached_share, 3),
        "slowest_s": round(account.slowest_s, 3),
        "slowest": account.slowest,
        "memory_growth_mib": round(account.memory_mib, 1),
        "outcomes": dict(sorted(account.outcomes.items())),
        "versions": {"segment-fullstory": __version__, "python": platform.python_version()},
    }
    text = json.dumps(result, indent=2)
    print(text)  # noqa: T201
    if options.result is not None:
        options.result.write_text(f"{text}\n", encoding="utf-8")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
