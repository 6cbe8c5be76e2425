"""The command line of `dead-letters`."""

import click

from processor.commands.dead_letters.listing import list_
from processor.commands.dead_letters.showing import show
from processor.commands.dead_letters.stats import stats


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at dead letters: how many there are and why, which they are, what one would become now.

    These commands only read: they join no group, commit nothing and send nothing. They read the topic from its
    beginning to the end that it has when they start, and also understand the dead letters of Kafka's share groups.
    They print no key, no value and no header of a record unless you add --with-data.

    Exit codes: 0 done, 2 the topic or the settings cannot be used.
    """


for each in (stats, list_, show):
    dead_letters.add_command(each)
