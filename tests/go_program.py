"""Go modules, and programs that are built from them, once for each version."""

import json
import os
import subprocess
from pathlib import Path

from tests.cached import cached


def go_program(cache: Path, package: str, version: str) -> Path:
    """Return the program of a package; raises `RuntimeError` with what Go says when it can't be built."""

    def build(folder: Path) -> None:
        folder.mkdir()
        go("install", f"{package}@{version}", GOBIN=str(folder))

    return cached(cache, f"{package}@{version}".encode(), build) / package.rpartition("/")[2]


def module(name: str) -> Path:
    """Return the folder of a module, which is named with its version; raises `RuntimeError` when it can't be had."""
    return Path(json.loads(go("mod", "download", "-json", name))["Dir"])


def go(*arguments: str | Path, folder: Path | str = "/", **environment: str) -> str:
    """Run Go in a folder and return what it writes; raises `RuntimeError` with what it says when it fails."""
    command = ["go", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout)[-1_000:]}")
    return done.stdout
