"""Fail unless everything was tested: `complete.py REPORT`, with pytest's JUnit report of a whole run.

No test may have been skipped, and some test of each file must have run, whatever kept others from being collected.
Says nothing when all is well.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import parse

ROOT = Path(__file__).parents[1]


def gaps(report: Path) -> Iterator[str]:
    """Say what was not tested."""
    cases = list(parse(report).iter("testcase"))  # noqa: S314 - our own pytest wrote it a moment ago
    for case in cases:
        if (skipped := case.find("skipped")) is not None:
            yield f"{case.get('classname')}::{case.get('name')} did not run: {skipped.get('message')}"
    ran = {f"{case.get('classname')}." for case in cases}
    for file in sorted(ROOT.glob("tests/**/test_*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if not any(name.startswith(f"{module}.") for name in ran):
            yield f"no test of {file.relative_to(ROOT)} ran"


if __name__ == "__main__":
    sys.exit("\n".join(gaps(Path(sys.argv[1]))) or 0)
