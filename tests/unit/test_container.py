"""The memory limit of the container, as the kernel's two generations of control groups tell it."""

from pathlib import Path

import pytest

from processor.settings.container import memory_limit

NONE_V1 = "9223372036854771712"


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        pytest.param("0::/\n", {"memory.max": "536870912\n"}, 536870912, id="v2, a container's own tree"),
        pytest.param("0::/\n", {"memory.max": "max\n"}, None, id="v2, no limit"),
        pytest.param("0::/\n", {}, None, id="v2, the root group has no file"),
        pytest.param(
            "0::/a.slice/b.scope\n",
            {"a.slice/memory.max": "1000000\n", "a.slice/b.scope/memory.max": "max\n"},
            1000000,
            id="v2, a limit of the group above",
        ),
        pytest.param("5:memory:/\n", {"memory/memory.limit_in_bytes": "268435456\n"}, 268435456, id="v1"),
        pytest.param("5:memory:/\n", {"memory/memory.limit_in_bytes": f"{NONE_V1}\n"}, None, id="v1, no limit"),
        pytest.param(
            "11:devices:/docker/1f\n5:memory,hugetlb:/docker/1f\n0::/docker/1f\n",
            {"memory/memory.limit_in_bytes": "268435456\n"},
            268435456,
            id="v1, a path that the container cannot see",
        ),
        pytest.param("", {"memory.max": "1\n"}, None, id="no control groups"),
        pytest.param("0::/../other\n", {"memory.max": "700\n"}, 700, id="v2, a path from outside of the namespace"),
    ],
)
def test_the_lowest_limit_counts(tmp_path: Path, groups: str, files: dict[str, str], limit: int | None) -> None:
    """Whichever generation, and wherever in the tree of groups the limit stands."""
    _write(tmp_path / "proc/self/cgroup", groups)
    for name, text in files.items():
        _write(tmp_path / "sys/fs/cgroup" / name, text)

    assert memory_limit(tmp_path) == limit


def test_without_proc_there_is_no_limit(tmp_path: Path) -> None:
    """As on a system without control groups."""
    assert memory_limit(tmp_path) is None


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
