"""Programs that are built from Go modules, once for each version."""

import os
import subprocess
from pathlib import Path

from tests.cached import cached


def go_program(cache: Path, package: str, version: str) -> Path:
    """Return the program of a package; raises `RuntimeError` with what Go says when it can't be built."""

    def build(folder: Path) -> None:
        folder.mkdir()
        command = ["go", "install", f"{package}@{version}"]
        done = subprocess.run(
            command, env=os.environ | {"GOBIN": str(folder)}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-1_000:].strip()}")

    return cached(cache, f"{package}@{version}".encode(), build) / package.rpartition("/")[2]
