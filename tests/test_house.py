"""The house around the code: what is installed, built and started is what the project says."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import click
from packaging.utils import canonicalize_name
from packaging.version import Version

import processor
from processor.commands.main import main
from tests.locks import locked, version_of
from tests.needs import need

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GENERATED = re.compile(r"\.(?!ci$|gitignore$|pre-commit-config|dockerignore$)|__pycache__$|build$|dist$|htmlcov$")
"""Names, below the root, of what tools leave there."""
FOREIGN = re.compile(r"/(?:home|root|work|Users)/|index-url[= ]+http|registry[= ]+http")
"""A path of somebody's machine, or the address of somebody's package index."""


def own_texts() -> list[Path]:
    """Return the project's own files, as far as they are text."""
    tops = [each for each in ROOT.iterdir() if not GENERATED.match(each.name)]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    return [file for file in files if "__pycache__" not in file.parts and b"\0" not in file.read_bytes()]


def targets() -> set[str]:
    """Return the targets that `make` lists."""
    return set(re.findall(r"(?m)^([a-z]+):.*## \S", (ROOT / "Makefile").read_text(encoding="utf-8")))


def test_the_console_script_leads_to_the_command_line() -> None:
    """What installation writes into `segment-fullstory` is a callable that exists."""
    module, _, name = PROJECT["project"]["scripts"]["segment-fullstory"].partition(":")

    assert getattr(import_module(module), name) is main


def test_every_listed_command_can_be_started() -> None:
    """Help lists no command whose module is missing, and each says what it does."""
    context = click.Context(main)
    commands = {name: main.get_command(context, name) for name in main.list_commands(context)}

    assert commands
    assert [name for name, command in commands.items() if command is None or not command.help] == []


def test_every_module_can_be_imported() -> None:
    """No module fails or warns when it is imported, also those that only one command wants."""
    names = [
        each.name for each in walk_packages(processor.__path__, "processor.") if not each.name.endswith("__main__")
    ]

    assert [name for name in names if import_module(name).__name__ != name] == []


def test_the_version_stands_in_one_place() -> None:
    """The package knows its version, and pyproject.toml reads it there."""
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "processor/__init__.py"
    assert str(Version(processor.__version__)) == processor.__version__


def test_a_wheel_holds_everything_that_runs(tmp_path: Path) -> None:
    """Schemas, types, the sandbox's page and the licence are in the wheel; tests are not."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {f"processor/schemas/{each.name}" for each in (ROOT / "schemas").iterdir()}
    sources = {f"processor/{each.relative_to(ROOT / 'processor')}" for each in (ROOT / "processor").rglob("*.py")}
    information = f"segment_fullstory-{processor.__version__}.dist-info"

    assert shipped | sources | {"processor/py.typed", "processor/sandbox/page.html"} <= names
    assert f"{information}/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"processor", information}


def test_a_commit_checks_what_make_checks() -> None:
    """The hooks of pre-commit call every tool that `make check` calls."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    tools = set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe))
    hooks = set(re.findall(r"entry: \.venv/bin/([\w-]+)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8")))

    assert tools
    assert hooks == tools


def test_no_file_names_a_machine() -> None:
    """Whatever is in the project works on another machine."""
    found = [str(file.relative_to(ROOT)) for file in own_texts() if FOREIGN.search(file.read_text("utf-8"))]

    assert found == []


def test_the_bill_of_materials_names_what_is_installed() -> None:
    """`make sbom` lists every package of the lock, with its version and hashes; `make audit` asks about the same."""
    venv = Path(sys.prefix)
    need(None if (venv / "installed").exists() else f"{venv} was not made by make")
    made = subprocess.run(["make", "sbom", f"VENV={venv}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    bill = json.loads((ROOT / "build" / "sbom.json").read_text(encoding="utf-8"))
    listed = {canonicalize_name(each["name"]): Version(each["version"]) for each in bill["components"]}

    assert bill["bomFormat"] == "CycloneDX"
    assert listed == {name: version_of(pin) for name, pin in locked("requirements-run.lock").items()}
    assert all(each["externalReferences"][0]["hashes"] for each in bill["components"])
    audit = subprocess.run(
        ["make", "-n", "audit", f"VENV={venv}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--strict --require-hashes --requirement requirements-run.lock" in audit.stdout
