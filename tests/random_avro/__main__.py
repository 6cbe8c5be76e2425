"""`make avro`: random schemas and values by Avro for Java, each compared with what the worker reads."""

import argparse
import sys

from tests.kafka.maven import missing_java
from tests.random_avro.compared import Account
from tests.random_avro.written import SAMPLE, parsed, written

SHOWN = 5


def main() -> int:
    """Run what the arguments ask for; 1 where something differs that is not listed."""
    parser = argparse.ArgumentParser(prog="python -m tests.random_avro", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides all of them")
    parser.add_argument("--records", type=int, default=2_000, help="how many schemas that are records")
    parser.add_argument("--unions", type=int, default=800, help="how many schemas that are unions of records")
    parser.add_argument("--values", type=int, default=20_000, help="how many values in all")
    parser.add_argument("--record", action="store_true", help=f"write them into {SAMPLE.name}, for the tests")
    options = parser.parse_args()
    if (reason := missing_java()) is not None:
        print(reason, file=sys.stderr)  # noqa: T201
        return 2
    account = Account()
    lines = []
    for line in written(options.seed, options.records, options.unions, options.values):
        account.add(parsed(line))
        if options.record:
            lines.append(line)
    if options.record:
        SAMPLE.write_text("".join(lines), encoding="utf-8")
    print("\n\n".join([*account.faults[:SHOWN], str(account)]))  # noqa: T201
    return int(bool(account.faults))


if __name__ == "__main__":
    sys.exit(main())
