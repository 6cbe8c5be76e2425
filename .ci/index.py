"""Take along to another root how packages are found here: `index.py ROOT`.

Copies the certificates and folders that pip's configuration names to the same places below ROOT, and says which
variables to set there, one NAME=value a line. Files of configuration are turned into variables.
"""

import os
import shutil
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

BY_PATH = {"PIP_CERT", "PIP_CLIENT_CERT", "PIP_FIND_LINKS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}
PROXIES = {f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")}
STAY = {"PIP_CONFIG_FILE", "PIP_CACHE_DIR"}
"""What has a meaning on this machine alone."""


def variables() -> dict[str, str]:
    """Return pip's configuration, from its files and the environment, as variables, and what else leads to an index."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    lines = [line.partition("=") for line in listed.stdout.splitlines()]
    files = {f"PIP_{_name(key)}": " ".join(literal_eval(value).split()) for key, _, value in lines}
    own = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name in BY_PATH or name.lower() in PROXIES
    }
    return {name: value for name, value in (files | own).items() if name not in STAY}


def _name(key: str) -> str:
    return key.rpartition(".")[2].replace("-", "_").upper()


def paths(found: dict[str, str]) -> Iterator[Path]:
    """Yield what they name of this machine's files."""
    for name in BY_PATH & found.keys():
        yield from (path for path in map(Path, found[name].split()) if path.is_absolute() and path.exists())


if __name__ == "__main__":
    root = Path(sys.argv[1])
    found = variables()
    for path in paths(found):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copy(path, target)
    sys.stdout.writelines(f"{name}={value}\n" for name, value in found.items())
