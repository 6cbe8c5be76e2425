"""What `make` installs: a lock holds for every installer, whatever the index has later, and make says how far it is."""

import io
import os
import pty
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.locks import LOCKS, ROOT, locked, version_of

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OLD_PIP = {(3, 11): "23.0.1", (3, 12): "23.2.1"}.get(sys.version_info[:2], "24.2")
"""The oldest pip in use with this Python: Debian 12's, or the one of the first release."""
FAR_AHEAD = "99999"


def here(lock: str) -> dict[str, Requirement]:
    """Return what a lock pins for this Python."""
    return {name: pin for name, pin in locked(lock).items() if pin.marker is None or pin.marker.evaluate()}


def asked_by(pin: Requirement) -> Iterator[Requirement]:
    """Yield what a locked package asks for here, with the extras that the lock gives it."""
    for asked in map(Requirement, requires(pin.name) or []):
        if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in {"", *pin.extras}):
            yield asked


def satisfies(pin: Requirement | None, asked: Requirement) -> bool:
    """Return whether what is pinned is in a version that is asked for, with its extras."""
    return pin is not None and asked.extras <= pin.extras and asked.specifier.contains(version_of(pin))


@pytest.mark.parametrize("lock", list(LOCKS))
def test_a_lock_pins_each_package_by_hash(lock: str) -> None:
    """Nothing is installed that nobody has seen."""
    packages = re.split(r"(?m)^(?=\S+==)", (ROOT / lock).read_text(encoding="utf-8"))[1:]

    assert packages
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_running_installs_a_part_of_what_developing_installs() -> None:
    """The lock of `make run` holds no package in another version than the lock of `make test`."""
    versions = [{(name, version_of(pin)) for name, pin in locked(lock).items()} for lock in LOCKS]

    assert versions[1] < versions[0]


@pytest.mark.parametrize(("lock", "groups"), list(LOCKS.items()))
def test_a_lock_satisfies_the_project(lock: str, groups: list[str]) -> None:
    """What pyproject.toml asks for is locked, in a version that it allows: otherwise `make lock` is due."""
    asked = [*PROJECT["project"]["dependencies"]]
    asked += [each for group in groups for each in PROJECT["dependency-groups"][group] if isinstance(each, str)]
    pins = locked(lock)
    missing = [each for each in map(Requirement, asked) if not satisfies(pins.get(canonicalize_name(each.name)), each)]

    assert missing == []


@pytest.mark.parametrize("lock", list(LOCKS))
def test_a_lock_names_all_that_its_packages_ask_for_with_their_extras(lock: str) -> None:
    """So nothing has to be resolved, and no pip looks for `name[extra]` among what the index has now."""
    pins = here(lock)
    missing = [
        f"{pin.name} asks for {asked}"
        for pin in pins.values()
        for asked in asked_by(pin)
        if not satisfies(pins.get(canonicalize_name(asked.name)), asked)
    ]

    assert any(pin.extras for pin in pins.values())
    assert missing == []


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a newer release of every locked package, as an index will have one day."""
    folder = tmp_path_factory.mktemp("newer")
    for name, pin in here("requirements.lock").items():
        epoch = version_of(pin).epoch
        version = f"{epoch}!{FAR_AHEAD}" if epoch else FAR_AHEAD
        stem = f"{name.replace('-', '_')}-{version}"
        extras = "".join(f"Provides-Extra: {extra}\n" for extra in pin.extras)
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{extras}"
            wheel.writestr(f"{stem}.dist-info/METADATA", about)
            wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return folder


@pytest.fixture(scope="module", params=[f"pip=={OLD_PIP}", "pip", "uv"])
def installer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Give the `install` of an old pip, the newest, and uv, each in an environment that holds nothing else."""
    folder = tmp_path_factory.mktemp("installer")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = str(folder / "bin" / "python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", request.param)
    if request.param == "uv":
        return [str(folder / "bin" / "uv"), "pip", "install", "--python", python]
    return [python, "-m", "pip", "install"]


@pytest.mark.parametrize("lock", list(LOCKS))
def test_a_lock_holds_for_an_old_pip_the_newest_and_uv(installer: list[str], lock: str, newer: Path) -> None:
    """Each resolves it to exactly what it pins, although newer releases of everything are there."""
    said = run(*installer, "--dry-run", "--require-hashes", "--find-links", str(newer), "--requirement", lock)

    chosen = said.lower().replace("_", "-").replace("==", "-")
    pinned = [f"{name}-{version_of(pin)}" for name, pin in here(lock).items()]
    assert pinned
    assert [each for each in pinned if each not in chosen] == []
    assert f"-{FAR_AHEAD}" not in chosen


def test_how_packages_are_found_is_taken_along_to_another_root(tmp_path: Path) -> None:
    """For `make bare`: files of configuration become variables, and what they name is copied to the same place."""
    certificate, wheels, root = tmp_path / "own.pem", tmp_path / "wheels", tmp_path / "root"
    certificate.write_text("certificate", encoding="utf-8")
    wheels.mkdir()
    (wheels / "a.whl").touch()
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        f"[global]\ncert = {certificate}\nfind-links = {wheels}\nextra-index-url =\n  http://127.0.0.1/a\n  http://127.0.0.1/b\n",
        encoding="utf-8",
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment = {**own, "PIP_CONFIG_FILE": str(configuration), "PIP_TIMEOUT": "7", "NO_PROXY": "localhost"}
    command = [sys.executable, ".ci/index.py", str(root)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())

    assert found["PIP_EXTRA_INDEX_URL"] == "http://127.0.0.1/a http://127.0.0.1/b"
    assert (found["PIP_CERT"], found["PIP_FIND_LINKS"]) == (str(certificate), str(wheels))
    assert (found["PIP_TIMEOUT"], found["NO_PROXY"]) == ("7", "localhost")
    assert "PIP_CONFIG_FILE" not in found
    assert (root / certificate.relative_to("/")).read_text(encoding="utf-8") == "certificate"
    assert (root / wheels.relative_to("/") / "a.whl").exists()


# What make says while it installs


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """Give a virtual environment whose pip installs nothing and says what pip says; `FAILS` names a step that fails."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        """#!/bin/sh
        case "$* " in
            *" $FAILS "*) echo "ERROR: $FAILS failed" >&2; exit 1;;
            *" --quiet "*) exit;;
            *" check ") echo 'No broken requirements found.'; exit;;
        esac
        printf '%s\\n' 'Ignoring colorama: markers do not match' 'Collecting attrs==26.1.0 (from -r the.lock)' \\
            '  Downloading attrs-26.1.0-py3-none-any.whl (67 kB)' 'Requirement already satisfied: rich==15.0.0' \\
            'Installing collected packages: attrs' 'Successfully installed attrs-26.1.0'
        """,
        encoding="utf-8",
    )
    python.chmod(0o755)
    return tmp_path


def install(venv: Path, fails: str = "no step", stderr: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    """Let make install what running takes into a virtual environment."""
    command = ["make", "--no-print-directory", f"VENV={venv}", str(venv / "installed-to-run")]
    environment = {**os.environ, "FAILS": fails}
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False
    )


def test_make_says_what_it_installs_and_no_more_where_nobody_watches(venv: Path) -> None:
    """Two plain lines around what `pip check` says, on stderr alone."""
    done = install(venv)
    first, *_, last = done.stderr.splitlines()

    assert (done.returncode, done.stdout) == (0, "")
    total = len(locked("requirements-run.lock"))
    assert first == f"Installing {total} packages from requirements-run.lock into {venv}"
    assert re.fullmatch(r"Installed in \d+ s", last)
    assert " of " not in done.stderr
    assert "\r" not in done.stderr


def _all_of(terminal: io.FileIO) -> Iterator[bytes]:
    """Give what was written to a terminal that nobody else has open: the kernel hands it over piece by piece."""
    with suppress(OSError):  # that is how the end of one is told
        while said := terminal.read(10_000):
            yield said


def test_a_terminal_shows_each_package_in_one_line(venv: Path) -> None:
    """The line is rewritten in place, and what comes next overwrites it."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = install(venv, stderr=theirs)
        os.close(theirs)
        said = b"".join(_all_of(terminal)).decode()
    total = len(locked("requirements-run.lock"))

    assert done.returncode == 0
    assert [part.strip() for part in said.split("\r") if " of " in part] == [
        f"1 of {total}: colorama",
        f"2 of {total}: attrs",
        f"3 of {total}: rich",
    ]


@pytest.mark.parametrize("step", ["--require-hashes", "--editable", "check"])
def test_what_was_not_installed_is_not_taken_as_installed(venv: Path, step: str) -> None:
    """Whichever step fails, make fails with its message, and tries again next time."""
    (venv / "installed-to-run").touch()
    os.utime(venv / "installed-to-run", (0, 0))
    done = install(venv, fails=step)

    assert done.returncode == 2
    assert f"ERROR: {step} failed" in done.stderr
    assert "Installed in" not in done.stderr
    assert ("try again: packages of an earlier installation" in done.stderr) == (step == "check")
    assert not (venv / "installed-to-run").exists()


def run(*command: str) -> str:
    """Run a program to its good end; return what it said."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
