"""What tests run on Java, fetched by Maven from a pom that only names it."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tests.cached import cached

JAVA_VERSION = 17


def fetched(pom: Path, cache: Path, goal: Literal["copy", "unpack"], *properties: str) -> Path:
    """Return the folder with what the pom names, as it is or unpacked; it is fetched once for each state of the pom.

    `properties` replace the pom's own: `kafka.version=4.4.0`.
    """
    key = pom.read_bytes() + "\n".join(properties).encode()
    return cached(cache, key, lambda folder: _fetch(pom, folder, goal, properties))


def _fetch(pom: Path, folder: Path, goal: str, properties: Sequence[str]) -> None:
    command = ["mvn", "-q", "-B", "-f", str(pom), f"dependency:{goal}-dependencies"]
    run(
        [
            *command,
            *(f"-D{each}" for each in properties),
            "-DincludeScope=runtime",
            f"-DoutputDirectory={folder}",
            f"-DmarkersDirectory={folder.with_name('markers')}",  # else they stand beside the pom
        ]
    )


def missing_java() -> str | None:
    """Return why no program of these can run, or None."""
    version = _java_version()
    return None if version >= JAVA_VERSION else f"Java {JAVA_VERSION} or newer is needed, found {version or 'none'}"


def _java_version() -> int:
    """Return the major version of the `java` on the path; 0 when there is none."""
    try:
        answer = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r'version "(\d+)', answer)
    return int(found[1]) if found else 0


def run(command: Sequence[str]) -> str:
    """Run a program to its end and return what it printed; raises `RuntimeError` with that when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1_000:].strip()}")
    return done.stdout
