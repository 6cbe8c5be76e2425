"""How much memory the process may use before the kernel kills it: the limit of its control groups."""

from collections.abc import Iterator
from pathlib import Path

LARGEST_BYTES = 2**60
"""What is larger is no limit: cgroup v1 writes the largest number of pages for none."""


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the lowest limit in bytes of the control groups that the process is in, or None where there is none.

    Blocks for a few reads of `/proc` and `/sys` below `root`. A container sees its own group as the top of a tree, or
    finds a path in `/proc/self/cgroup` that it cannot see; then the top is its own (Docker with cgroup v1).
    """
    limits = [limit for file in _files(root) if (limit := _limit(file)) is not None]
    return min(limits, default=None)


def _files(root: Path) -> Iterator[Path]:
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            tree, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            tree, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = tree / path.lstrip("/")
        yield from (each / name for each in (group, *group.parents) if each.is_relative_to(tree))


def _limit(file: Path) -> int | None:
    """Return a group's limit; None where it has none, or is not there."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() and int(text) < LARGEST_BYTES else None
