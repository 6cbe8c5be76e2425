"""The house around the code: what is installed, built and started is what the project says."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
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


# The code's own measures


def modules() -> dict[str, ast.Module]:
    """Return the program's modules by their names."""
    files = sorted((ROOT / "processor").rglob("*.py"))
    named = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    return {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in named.items()}


MODULES = modules()


def imported(tree: ast.Module) -> set[str]:
    """Return the program's modules that a module imports, those for its types alone too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {name if (name := f"{node.module}.{each.name}") in MODULES else node.module for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found & MODULES.keys()


def assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Iterate over the names that these statements give values, and the values."""
    for each in body:
        if isinstance(each, ast.Assign):
            yield from ((target.id, each.value) for target in each.targets if isinstance(target, ast.Name))
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value is not None:
            yield each.target.id, each.value


def parameters(node: ast.ClassDef) -> int:
    """Return how much who makes an object has to know: its parameters, or its fields without a default."""
    if any("frozen=True" in ast.unparse(each) for each in node.decorator_list):
        return 0
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return len([*each.args.posonlyargs, *each.args.args, *each.args.kwonlyargs]) - 1
    if not any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        return 0
    return sum(isinstance(each, ast.AnnAssign) and each.value is None for each in node.body)


def is_of_the_app(module: str) -> bool:
    """Say whether a module puts others together, which is what `processor/app` is for."""
    return module.startswith("processor.app.")


def test_no_two_public_types_share_a_name() -> None:
    """Whoever searches for a type finds one: a class, or an alias written as one."""
    places: dict[str, list[str]] = {}
    for module, tree in MODULES.items():
        classes = [each.name for each in tree.body if isinstance(each, ast.ClassDef)]
        aliases = [name for name, _ in assigned(tree.body) if re.match(r"[A-Z][a-z]\w*$", name)]
        for name in {*classes, *aliases}:
            if not name.startswith("_"):
                places.setdefault(name, []).append(module)

    assert len(places) > 100
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_module_knows_many_others() -> None:
    """No module outside of `processor/app` imports more than eleven of the program's."""
    counts = {module: len(imported(tree)) for module, tree in MODULES.items() if not is_of_the_app(module)}

    assert {module: count for module, count in counts.items() if count > 11} == {}


def test_no_constructor_takes_many_parameters() -> None:
    """Six at most, outside of `processor/app`; what belongs together is a value, and those may have many fields."""
    counts = {
        f"{module}.{node.name}": parameters(node)
        for module, tree in MODULES.items()
        if not is_of_the_app(module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    assert any(counts.values())
    assert {name: count for name, count in counts.items() if count > 6} == {}


OF_THE_LOOP = {"LEAST_WAIT_S"}
"""What follows from the event loop itself, not from what is wanted of it."""


def test_the_runtime_holds_no_numeric_policy() -> None:
    """How long, how often and how many is decided in the engine; the runtime only carries it out."""
    found = set()
    for module, tree in MODULES.items():
        if not module.startswith("processor.runtime."):
            continue
        for body in [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
            for name, value in assigned(body):
                numbers = [each.value for each in ast.walk(value) if isinstance(each, ast.Constant)]
                if any(type(each) in {int, float} and each for each in numbers):
                    found.add(name)

    assert found == OF_THE_LOOP


def test_one_file_writes_how_far_an_entry_has_come() -> None:
    """Only the journal sets the state of its entries, with whatever has to follow from that."""
    writers = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "state" and isinstance(node.ctx, ast.Store)
    }

    assert writers == {"processor.engine.partition.journal"}
