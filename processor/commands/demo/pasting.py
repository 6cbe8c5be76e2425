"""Commands that can be pasted into the terminal in which the demo was started, as it was started."""

import os
import shlex
import shutil
import sys
from pathlib import Path

MAKE = "SEGMENT_FULLSTORY_MAKE"
"""Set by `make run`: how make was called."""


def pasted(command: str, options: str = "") -> str:
    """Return how to start a command of this program."""
    make = os.environ.get(MAKE)
    if make is None:
        return f"{_program()} {command} {options}".rstrip()
    target = "run" if command == "demo" else command
    return f"{make} {target}" + (f' ARGS="{options}"' if options else "")


def _program() -> str:
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m processor"
    found = shutil.which(started.name)
    is_on_path = found is not None and started.exists() and Path(found).samefile(started)
    return started.name if is_on_path else shlex.quote(sys.argv[0])
