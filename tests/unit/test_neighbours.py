"""What others do, as their commits tell it."""

from processor.engine.leftover import Others
from processor.engine.neighbours import Neighbours
from processor.engine.partition.journal_format import METADATA_BYTES, RequestTally, signed

HEAD = "sf1,place,destination,0,lineage"


def told(process: str, taken: int, refused: int = 0) -> str:
    """Return what a process commits."""
    return signed(HEAD, RequestTally(process, taken, refused), METADATA_BYTES)


def test_what_processes_have_done_since_the_first_look_is_added_up() -> None:
    """What they did before that is not known to be recent."""
    neighbours = Neighbours()
    assert neighbours.seen([told("a", 500, 3), told("b", 20)]) == Others(0, 0)
    assert neighbours.seen([told("a", 510, 4), told("b", 25)]) == Others(15, 1)
    assert neighbours.seen([told("a", 510, 4), told("b", 26, 1)]) == Others(16, 2)


def test_the_latest_of_what_a_process_tells_counts() -> None:
    """It tells it with each of its partitions, and commits some of them long after the others."""
    neighbours = Neighbours()
    neighbours.seen([told("a", 100), told("a", 7), told("a", 16)])
    assert neighbours.seen([told("a", 100), told("a", 7), told("a", 260)]) == Others(160, 0)


def test_a_process_that_begins_or_goes_changes_nothing_by_itself() -> None:
    """Its successor has another name, and begins at nothing."""
    neighbours = Neighbours()
    neighbours.seen([told("a", 100)])
    assert neighbours.seen([told("a", 110), told("b", 1_000)]) == Others(10, 0)
    assert neighbours.seen([told("b", 1_005)]) == Others(15, 0)
    assert neighbours.seen([told("a", 110), told("b", 1_005)]) == Others(15, 0)


def test_what_others_have_committed_tells_nothing() -> None:
    """An earlier release, another tool, or nobody."""
    neighbours = Neighbours()
    assert neighbours.seen(["", "theirs", HEAD, f"{HEAD},more", f"{HEAD},a.1;=5", f"{HEAD},a.x.y"]) is None
    assert neighbours.seen([]) is None
    assert neighbours.seen([told("a", 5)]) == Others(0, 0)


def test_those_who_give_way_are_counted_apart() -> None:
    """What they took is part of the total; where no worker tells anything, theirs alone tells nothing of a limit."""
    neighbours = Neighbours()
    neighbours.seen([told("a", 500)], [told("x", 10), told("y", 3)])
    assert neighbours.seen([told("a", 510)], [told("x", 14, 1), told("y", 5), HEAD]) == Others(16, 1, 6, 2)
    assert neighbours.seen([told("a", 511)], [told("y", 6)]) == Others(18, 1, 7, 1)
    assert neighbours.seen([], [told("y", 6)]) is None
