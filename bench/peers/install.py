"""What the peers need, fetched and built at first use, below `.cache`: again when what it is made of changes."""

import sys
from pathlib import Path

from tests.cached import cached
from tests.kafka.maven import run
from tests.kafka.programs import ROOT

HERE = Path(__file__).parent
POM = HERE / "java" / "pom.xml"
CACHE = ROOT / ".cache" / "peers"


def quix_python() -> str:
    """Return the Python of a virtual environment with what Quix Streams needs, and nothing else."""
    lock = HERE / "quix" / "requirements.lock"
    key = lock.read_bytes() + sys.version.encode()
    return str(cached(CACHE, key, lambda folder: _make_environment(folder, lock)) / "bin" / "python")


def _make_environment(folder: Path, lock: Path) -> None:
    run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run([*pip, "install", "--no-deps", "--require-hashes", "--requirement", str(lock)])


def java_classpath() -> str:
    """Return where Java finds the peer on Confluent's Parallel Consumer, and what that needs."""
    files = sorted(file for file in (HERE / "java").rglob("*") if file.is_file())
    made = cached(CACHE, b"\n".join(file.read_bytes() for file in files), _build)
    return f"{made / 'classes'}:{made / 'libraries'}/*"


def _build(folder: Path) -> None:
    goals = ["compile", "dependency:copy-dependencies", "-DincludeScope=runtime"]
    places = [f"-Dmade={folder}", f"-DoutputDirectory={folder / 'libraries'}"]
    run(["mvn", "-q", "-B", "-f", str(POM), *goals, *places])
