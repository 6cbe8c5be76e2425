"""FullStory's own SDK for Node, as npm installs it."""

import os
import shutil
from pathlib import Path

from tests import npm
from tests.cached import cached

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("FULLSTORY_SDK") or HERE.parents[1] / ".cache" / "fullstory-sdk")
PACKAGE = HERE / "package.json"
PROGRAM = HERE / "fullstory_sdk.cjs"


def missing_node() -> str | None:
    """Return why the SDK cannot be run, or None."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    return f"the SDK needs {' and '.join(missing)}" if missing else None


def installed() -> Path:
    """Return the folder with the SDK; npm installs it once for each state of `package.json`."""
    return cached(CACHE, PACKAGE.read_bytes(), _install)


def _install(folder: Path) -> None:
    folder.mkdir()
    shutil.copy(PACKAGE, folder)
    npm.install(folder)
