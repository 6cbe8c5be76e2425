"""What the lock files pin."""

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = {"requirements.lock": ["build", "docs", "dev"], "requirements-run.lock": ["build"]}
"""The locks, each with the dependency groups that it holds beside what running takes."""


def locked(lock: str) -> dict[str, Requirement]:
    """Return what a lock pins, for every Python, by the name of the package."""
    lines = re.findall(r"(?m)^(\S+==.*?) *\\$", (ROOT / lock).read_text(encoding="utf-8"))
    return {canonicalize_name(pin.name): pin for pin in map(Requirement, lines)}


def version_of(pin: Requirement) -> Version:
    """Return the one version that a pin allows."""
    (specifier,) = pin.specifier
    return Version(specifier.version)
