"""The build's hook: where SEGMENT_FULLSTORY_NATIVE is 1, what runs per event is compiled to C, and needs a C compiler.

It is the same program, faster (docs/adr/0024-compiled-as-a-choice.md says what is compiled, and what is not, and why).
Without the variable nothing is compiled and the package is the same for every machine.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "SEGMENT_FULLSTORY_NATIVE"

_SETUP = """
from mypyc.build import mypycify
from setuptools import setup

setup(name="native", packages=[], ext_modules=mypycify({modules!r}, group_name="segment_fullstory"))
"""


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds compiled modules to a wheel, beside their sources; `modules` of its settings names them."""

    def dependencies(self) -> list[str]:
        """Return what compiling takes; a build without it takes nothing but Hatchling."""
        return list(self.metadata.config["dependency-groups"]["native"]) if _is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the build is for an editable installation, whose sources change."""
        if not _is_wanted() or version == "editable":
            return
        folder = Path(self.root, "build", "mypyc")
        for library in _compiled(self.config["modules"], Path(self.root), folder):
            build_data["force_include"][str(library)] = str(library.relative_to(folder))
        build_data["pure_python"], build_data["infer_tag"] = False, True


def _is_wanted() -> bool:
    return os.environ.get(SWITCH) == "1"


def _compiled(modules: list[str], root: Path, folder: Path) -> list[Path]:
    """Compile modules of a copy of the package; return the libraries, each at its place in the copy."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "processor", folder / "processor", ignore=shutil.ignore_patterns("__pycache__"))
    setup = _SETUP.format(modules=modules)
    # The copy has no pyproject.toml, which old releases of setuptools would read and refuse.
    command = [sys.executable, "-c", setup, "--quiet", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - of what pyproject.toml names
    return [*folder.glob("*.so"), *sorted((folder / "processor").rglob("*.so"))]
