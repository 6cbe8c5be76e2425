"""Where something was measured, and by which command."""

import os
import platform
import sys
from pathlib import Path


def machine() -> str:
    """Return how many processors it has, and which."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} CPUs ({model})"


def load() -> float:
    """Return how many programs wanted a processor in the last minute, on average."""
    return round(os.getloadavg()[0], 1)


def command(module: str) -> str:
    """Return how this module was called, but for where its result goes, which is said last."""
    return f"python -m {module} {' '.join(sys.argv[1:])}".partition(" --result")[0]
