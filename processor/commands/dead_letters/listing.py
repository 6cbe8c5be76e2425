"""`dead-letters list`."""

from contextlib import closing
from itertools import islice

import click

from processor.adapters.kafka.letters import PlacedLetter, for_all, read_letters
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.letter_selection import selecting
from processor.commands.common.opened_topic import WITH_DATA, Opened, opening
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.common.terminal import Terminal, complain, echo_json
from processor.commands.dead_letters.documents import letter_as_json
from processor.commands.dead_letters.text import show_line
from processor.events.letters import LetterFilter


@click.command("list")
@opening
@selecting
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="End after so many letters; 0 is without end.",
)
@WITH_DATA
def list_(*, opened: Opened, is_json: bool, wanted: LetterFilter, limit: int, with_data: bool) -> None:
    """List dead letters, one a line: its place, time, reason, status, the record's own place, and the detail.

    The letters of a partition come in their order, the oldest first. A place, such as 0:12, is what `show` takes.
    """
    terminal, progress = Terminal(), ReadingProgress()

    def write(placed: PlacedLetter) -> None:
        if is_json:
            echo_json(letter_as_json(placed, with_data=with_data))
        else:
            show_line(placed, terminal, with_data=with_data)

    listed = 0
    with TopicReader(for_all(opened.kafka)) as reader, closing(read_letters(reader, opened.topic, wanted)) as batches:
        for batch in batches:
            room = limit - listed if limit else None
            if batch.letters:
                progress.clear()
            for placed in islice(batch.letters, room):
                write(placed)
                listed += 1
            if listed == limit and limit:
                break
            progress.show(batch.left)
    progress.clear()
    if listed == limit and limit:
        complain([f"ended after {limit} letters: --limit"])
