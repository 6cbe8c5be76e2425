"""The architecture as a law: imports point downwards only, and every room of the house has its layer."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
APART = {"processor.sandbox"}
"""Rooms beside the layers: no contract orders them, their own contracts shut them off."""


def rooms() -> set[str]:
    """Return the packages directly below `processor`."""
    return {f"processor.{each.parent.name}" for each in ROOT.glob("processor/*/__init__.py")}


def layers() -> list[str]:
    """Return the rooms that the layers' contract orders, uppermost first; a layer may hold several, side by side."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts: list[dict[str, list[str]]] = tools["importlinter"]["contracts"]
    ordered = next(each["layers"] for each in contracts if "processor.model" in each.get("layers", []))
    return [room for layer in ordered for room in layer.split(" | ")]


def test_imports_keep_the_contracts() -> None:
    """Every contract of import-linter in pyproject.toml holds; the report names each import that breaks one."""
    check = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"

    # In a process of its own: it switches off every logger that there is.
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_every_room_has_one_place() -> None:
    """A new room cannot stay outside of the contracts, and a contract cannot name a room that is gone."""
    assert sorted([*layers(), *APART]) == sorted(rooms())
