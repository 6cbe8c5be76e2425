"""How large a request may become."""

from processor.engine.body_size import GUESS_HOLDS_S, LEAST_BYTES, BodySize


def test_a_refusal_halves_it() -> None:
    """A refused size halves the limit, which later successes do not raise again."""
    size = BodySize(1_000_000)
    size.refused(800_000)
    assert size.max_bytes == 400_000
    size.taken(399_000, 0.0)
    assert size.max_bytes == 400_000


def test_what_was_taken_is_no_less_than_the_limit() -> None:
    """The limit does not fall below a size that was accepted since."""
    size = BodySize(1_000_000)
    size.taken(700_000, 0.0)
    size.refused(800_000)
    assert size.max_bytes == 700_000


def test_a_refusal_of_what_was_taken_before_counts() -> None:
    """A refusal of a size that was accepted before lowers the limit: FullStory's may have shrunk."""
    size = BodySize(1_000_000)
    size.taken(900_000, 0.0)
    size.refused(800_000)
    assert size.max_bytes == 400_000


def test_it_has_a_floor_and_never_grows_beyond_the_setting() -> None:
    """The limit stays between its floor and the setting."""
    size = BodySize(5_000)
    size.refused(100_000)
    assert size.max_bytes == 5_000
    for _ in range(20):
        size.refused(size.max_bytes)
    assert size.max_bytes == LEAST_BYTES


def test_what_was_refused_is_remembered() -> None:
    """A body of at least the size that was refused is not tried again."""
    size = BodySize(100_000)
    assert not size.is_refused(10**9)
    size.refused(50_000)
    size.refused(60_000)
    assert [size.is_refused(each) for each in (49_999, 50_000, 10**6)] == [False, True, True]


def test_what_is_only_thought_to_be_too_large_is_tried_again_later() -> None:
    """A record that a firewall blocks says nothing of sizes; a refusal in so many words holds for ever."""
    size = BodySize(1_000_000)
    size.suspected(900_000, 0.0)
    assert (size.max_bytes, size.is_refused(900_000)) == (450_000, True)
    size.taken(400_000, GUESS_HOLDS_S - 1)
    assert size.max_bytes == 450_000
    size.taken(400_000, GUESS_HOLDS_S)
    assert (size.max_bytes, size.is_refused(900_000)) == (1_000_000, False)
    size.refused(800_000)
    size.suspected(600_000, GUESS_HOLDS_S)
    size.taken(400_000, 3 * GUESS_HOLDS_S)
    assert (size.max_bytes, size.is_refused(800_000)) == (400_000, True)


def test_what_passes_after_all_is_not_too_large() -> None:
    """The limit grows to what was taken, and no further than it is configured."""
    size = BodySize(1_000_000)
    size.suspected(900_000, 0.0)
    size.taken(2_000_000, 1.0)
    assert (size.max_bytes, size.is_refused(900_000)) == (1_000_000, False)
