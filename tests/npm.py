"""Packages of Node.js that tests need."""

import subprocess
from pathlib import Path


def install(folder: Path) -> None:
    """Install what the folder's package.json names; no script of a package is run. Raises `CalledProcessError`."""
    call = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(call, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=600)
