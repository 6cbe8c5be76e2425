"""Which known name is meant by one that is mistyped."""

import pytest

from processor.model.nearest import nearest

TOPICS = ["segment.track", "segment.identify", "segment.dead-letters", "orders"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("segment.trak", "segment.track"),
        ("segment.tracks", "segment.track"),
        ("segment_track", "segment.track"),
        ("Segment.Track", "segment.track"),
        ("segmt.identify", "segment.identify"),
        ("segment.deadletters", "segment.dead-letters"),
        ("order", "orders"),
        ("segment.page", None),
        ("segment.alias", None),
        ("segment", None),
        ("letters", None),
        ("", None),
    ],
)
def test_a_slip_is_told_from_another_name(name: str, expected: str | None) -> None:
    """A name that differs in a few characters is near; one that only shares a prefix is not."""
    assert nearest(name, TOPICS) == expected


def test_the_most_similar_name_is_the_nearest() -> None:
    """The most similar name is proposed, whatever the order of the names."""
    names = ["segment.track.v1", "segment.track", "segment.tracks"]

    assert nearest("segment.trck", names) == nearest("segment.trck", names[::-1]) == "segment.track"


def test_nothing_is_near_where_nothing_is() -> None:
    """Without names there is no suggestion."""
    assert nearest("segment.track", []) is None
