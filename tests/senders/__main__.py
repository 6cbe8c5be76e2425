"""Writes the tables of docs/senders.md; with a folder, what they are made of is recorded anew before.

    python -m tests.senders [FOLDER]

FOLDER is where the libraries are installed, in the pinned versions. Node and npm, Java and Maven, cargo, pip and their
package indexes are needed; the tests need none of them.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import npm
from tests.senders.receiver import Receiver
from tests.senders.registered import by_registries
from tests.senders.senders import PROGRAMS, RECORDING, SCHEMA, SENDERS, SERIALIZED, messages_in, parsed
from tests.senders.tables import PAGE, with_tables

OF_RUDDERSTACK = {
    "com.segment.analytics.Analytics;": "com.rudderstack.sdk.java.analytics.RudderAnalytics;",
    "com.segment.analytics": "com.rudderstack.sdk.java.analytics",
    " Analytics": " RudderAnalytics",
    ".endpoint(": ".setDataPlaneUrl(",
}
"""What RudderStack's library for Java, a fork of Segment's, calls otherwise."""

FOR_SPARK = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.nio", "java.util", "java.util.concurrent", "sun.nio.ch", "sun.util.calendar")
]
"""What Spark's own launcher lets it see of Java."""


def install(folder: Path) -> None:
    """Install all libraries below the folder."""
    shutil.copytree(PROGRAMS, folder, dirs_exist_ok=True)
    venv = folder / "python/venv"
    npm.install(folder / "node")
    _run([sys.executable, "-m", "venv", str(venv)], folder)
    _run([str(venv / "bin/pip"), "install", "-q", "-r", "requirements.txt"], folder / "python")
    calls = (folder / "java/segment/Calls.java").read_text(encoding="utf-8")
    for theirs, own in OF_RUDDERSTACK.items():
        calls = calls.replace(theirs, own)
    (folder / "java/rudderstack").mkdir(exist_ok=True)
    (folder / "java/rudderstack/Calls.java").write_text(calls, encoding="utf-8")
    for place in ("java", "spark", "flink", "converters"):
        _run(["mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=classpath.txt"], folder / place)
    _run(["cargo", "build", "-q", "--release"], folder / "rust")


def command(folder: Path, program: str) -> tuple[list[str], Path]:
    """Return how to call a program, and where."""
    language, *arguments = program.split()
    here = folder / language
    if language == "node":
        return ["node", "calls.cjs", *arguments], here
    if language == "python":
        return ["venv/bin/python", "calls.py", *arguments], here
    if language == "rust":
        return ["target/release/senders"], here
    return java(here, f"{arguments[0]}/Calls.java"), here


def java(here: Path, program: str, *options: str) -> list[str]:
    """Return how to run a program for Java by the libraries of its folder."""
    classpath = (here / "classpath.txt").read_text(encoding="utf-8").strip()
    return ["java", *options, "-Duser.timezone=UTC", "-Duser.language=en", "-cp", classpath, str(here / program)]


def record(folder: Path) -> str:
    """Return what each library posts, a line for each message."""
    lines = []
    for sender in SENDERS:
        call, here = command(folder, sender.program)
        with Receiver() as receiver:
            _run([*call, receiver.url], here)
        for body in receiver.bodies:
            lines += [
                json.dumps(message._asdict(), ensure_ascii=False) for message in messages_in(sender.name, body.decode())
            ]
    return "".join(f"{line}\n" for line in lines)


def serialize(folder: Path) -> str:
    """Return what each serializer writes, a line each."""
    calls = (
        [str(folder / "python/venv/bin/python"), "python/serializers.py", SCHEMA.name],
        [*java(folder / "java", "Serializers.java"), SCHEMA.name],
        java(folder / "spark", "Spark.java", *FOR_SPARK),
    )
    programs = (
        subprocess.run(call, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout for call in calls
    )
    written = [parsed(line) for program in programs for line in program.splitlines()]
    written += by_registries(java(folder / "flink", "Flink.java"), java(folder / "converters", "Converters.java"))
    return "".join(each.line() for each in written)


def _run(call: Sequence[str], here: Path) -> None:
    subprocess.run(call, cwd=here, check=True, stdout=sys.stderr, timeout=600)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        place = Path(sys.argv[1]).resolve()
        install(place)
        RECORDING.write_text(record(place), encoding="utf-8")
        SERIALIZED.write_text(serialize(place), encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
