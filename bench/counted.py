"""`python -m bench.counted FILE run`: a real worker that notes what Python holds, a line each time.

The kernel tells a process' memory, threads and descriptors to everybody; its tasks and objects only Python knows.
"""

import asyncio
import gc
import sys
import threading
import time
from pathlib import Path

import orjson

from processor.commands.main import main

LOOK_S = 5.0
"""A look takes some 10 ms, for which nothing else of the worker runs."""


def counts() -> dict[str, int]:
    """Return how many objects the garbage collector keeps, of those since the start, and how many tasks go on."""
    gc.collect()
    found = gc.get_objects()
    tasks = sum(isinstance(each, asyncio.Task) and not each.done() for each in found)
    return {"objects": len(found), "tasks": tasks}


def note(file: Path) -> None:
    """Write it down now and then, for ever."""
    with file.open("ab", buffering=0) as lines:
        while True:
            time.sleep(LOOK_S)
            lines.write(orjson.dumps(counts()) + b"\n")


if __name__ == "__main__":
    threading.Thread(target=note, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    main(prog_name="segment-fullstory")
