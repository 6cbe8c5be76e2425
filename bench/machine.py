"""Where something was measured."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Return how many processors it has, and which."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} CPUs ({model})"


def load() -> float:
    """Return how many programs wanted a processor in the last minute, on average."""
    return round(os.getloadavg()[0], 1)
