"""How near the process is to its container's limit: when that is told, and what the kernel says of the process."""

from pathlib import Path

import pytest

from processor.adapters.telemetry.memory import MemoryLook, resident_bytes


@pytest.mark.parametrize(
    ("limit", "resident", "told"),
    [
        pytest.param(100, [84, 85, 99], [False, True, False], id="once, from 85 % on"),
        pytest.param(100, [85, 81, 86, 79, 86], [True, False, False, False, True], id="again after less than 80 %"),
        pytest.param(None, [85, 1_000], [False, False], id="without a limit never"),
    ],
)
def test_short_memory_is_told_once(limit: int | None, resident: list[int], told: list[bool]) -> None:
    """Not each second, and not each time that it goes up and down a little."""
    used = iter(resident)
    look = MemoryLook(lambda: limit, lambda: next(used))

    assert [look.look() for _ in resident] == told


def test_a_limit_that_is_raised_counts_at_once() -> None:
    """As Kubernetes may, while the process runs."""
    limits = iter((100, 200))
    look = MemoryLook(lambda: next(limits), lambda: 90)

    assert (look.look(), look.limit_bytes, look.is_short) == (True, 100, True)
    assert (look.look(), look.limit_bytes, look.is_short) == (False, 200, False)


def test_the_resident_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    """In bytes; 0 where there is no `/proc`."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/statm").write_text("90000 25600 5000 1 0 60000 0\n", encoding="ascii")

    assert resident_bytes(tmp_path) in {25_600 * size for size in (4_096, 16_384, 65_536)}
    assert resident_bytes() > 1_000_000
    assert resident_bytes(tmp_path / "elsewhere") == 0
