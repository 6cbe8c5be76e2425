"""What tests need and fetch from elsewhere, once."""

import fcntl
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path


def cached(cache: Path, key: bytes, fetch: Callable[[Path], None]) -> Path:
    """Return the folder that `fetch` made at the path it is given; once for each key, whoever else asks."""
    folder = cache / hashlib.sha256(key).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as partial:
                made = Path(partial).resolve() / "files"
                fetch(made)
                made.rename(folder)
    return folder
