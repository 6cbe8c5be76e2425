"""A process that delivers what is selected of a topic beside the workers: how it differs from them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, final

import click

from processor.adapters.kafka.group_commits import GroupCommits
from processor.adapters.kafka.other_lanes import OtherLanes
from processor.adapters.kafka.selected import Selections, unsettled
from processor.app.lane import Lane
from processor.commands.common.delivering import deliver
from processor.commands.common.delivery import Delivery
from processor.commands.common.delivery_run import DeliveryRun
from processor.commands.common.moments import lasting
from processor.commands.common.opened_topic import Opened
from processor.commands.common.reading_progress import ReadingProgress
from processor.settings import Settings, load


@final
@dataclass(frozen=True, slots=True)
class Beside:
    """How a process that delivers beside the workers differs from them."""

    share: float
    """As a `Lane` has it."""
    rate: int | None
    """How many items it sends in a second, at most."""
    port: int
    """Where metrics and probes are served; 0 for any that is free."""
    stale_before_ms: int | None = None
    """As a `Lane` has it."""
    is_forced: bool = False
    """Whether also what would fail is wanted: that most of it does is no news then."""

    def of(self, settings: Settings, topic: str, group: str) -> Settings:
        """Return what its worker works with, by the settings of the others.

        What expired meanwhile is no reason to stand still.
        """
        kafka = {
            "topics": (topic,),
            "redrive_topic": None,
            "group_id": group,
            "start": "earliest",
            "on_gap": "continue",
        }
        delivery = {"dead_letter_ratio": 1.0} if self.is_forced else {}
        return settings.model_copy(
            update={
                "kafka": settings.kafka.model_copy(update=kafka),
                "delivery": settings.delivery.model_copy(update=delivery),
                "http": settings.http.model_copy(update={"port": self.port}),
            }
        )

    async def deliver(
        self, opened: Opened, run: DeliveryRun, selections: Selections, doing: str, what: str
    ) -> Delivery:
        """Deliver what is left of the run, until all has settled or a signal comes; return what became of it."""

        def reload() -> Settings:
            return self.of(load(os.environ, opened.config), opened.topic, run.group)

        told = ReadingProgress(doing, what)
        told.show(unsettled(selections, run.committed()))
        delivery = Delivery(selections)
        with GroupCommits(opened.kafka, opened.settings.kafka.consumed_topics) as workers:
            lanes = OtherLanes(opened.kafka, run.group)
            pace = Lane(
                share=self.share,
                max_rate=self.rate,
                stale_before_ms=self.stale_before_ms,
                others=lambda: (workers.metadata(), lanes.metadata()),
            )
            await deliver(delivery, reload, partial(run.left, selections), pace, told)
        delivery.end(run.committed())
        return delivery


_OPTIONS = (
    click.option(
        "--max-age",
        "max_age_s",
        callback=lasting,
        default="1d",
        show_default=True,
        metavar="DURATION",
        help="Skip records older than this that change a user, such as identifies.",
    ),
    click.option("--allow-stale", "allows_stale", is_flag=True, help="Also those."),
    click.option("--rate", type=click.IntRange(min=1), help="At most so many records a second."),
    click.option(
        "--share",
        type=click.FloatRange(0, 1, min_open=True),
        default=0.2,
        show_default=True,
        help="To FullStory: the part of what the workers may have in progress; below 1 it gives way to them.",
    ),
    click.option(
        "--http-port",
        type=click.IntRange(0, 65_535),
        default=0,
        metavar="PORT",
        help="To FullStory: where metrics, probes and the page are served; any free port if not given.",
    ),
)


def beside_workers(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of who delivers beside workers; it takes `max_age_s`, `allows_stale` and `beside`."""

    @wraps(command)
    def carried_out(share: float, rate: int | None, http_port: int, **others: Any) -> None:
        command(beside=Beside(share, rate, http_port), **others)

    for option in reversed(_OPTIONS):
        carried_out = option(carried_out)
    return carried_out
