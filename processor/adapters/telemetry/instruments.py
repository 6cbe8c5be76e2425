"""Counters and histograms as plain numbers, read by Prometheus' client when it is asked.

They belong to the event loop's thread, which also answers a scrape: one scrape shows one moment, and nothing is locked.
The client's own instruments cost a lock and a lookup per observation, and write a `_created` series beside each.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

PREFIX = "segment_fullstory_"


class Type(StrEnum):
    """What a metric's numbers do."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@final
@dataclass(frozen=True, slots=True)
class Label:
    """A label; `values` are all that it can have, or None where the configuration or the assignment decides."""

    name: str
    values: tuple[str, ...] | None = None


@final
@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A metric as docs/metrics.md shows it; compared by identity, as a key."""

    name: str
    type: Type
    unit: str
    meaning: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """The name in Prometheus."""
        return PREFIX + self.name

    @property
    def label_names(self) -> list[str]:
        """The names of the labels, in order."""
        return [label.name for label in self.labels]

    def label_sets(self) -> Iterator[tuple[str, ...]]:
        """Iterate over all sets of label values that are known beforehand."""
        return product(*(label.values or () for label in self.labels))


@final
class Tally:
    """A counter, one number for each set of label values; all that are known beforehand begin at 0."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._values = dict.fromkeys(definition.label_sets(), 0.0)

    def add(self, amount: float, *labels: str) -> None:
        """Count."""
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def family(self) -> Metric:
        """Return the numbers as Prometheus takes them."""
        definition = self._definition
        family = CounterMetricFamily(definition.full_name, definition.meaning, labels=definition.label_names)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return family


@final
class Distribution:
    """A histogram, one for each set of label values; all that are known beforehand begin empty."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._series = {labels: self._empty() for labels in definition.label_sets()}

    def observe(self, values: Sequence[float], *labels: str) -> None:
        """Count values, thousands as cheaply as they can be sorted."""
        series = self._series.setdefault(labels, self._empty())
        ordered = sorted(values)
        for index, bound in enumerate(self._definition.buckets):
            series.cumulative[index] += bisect_right(ordered, bound)
        series.count += len(ordered)
        series.sum += sum(ordered)

    def family(self) -> Metric:
        """Return the numbers as Prometheus takes them."""
        definition = self._definition
        family = HistogramMetricFamily(definition.full_name, definition.meaning, labels=definition.label_names)
        bounds = [str(float(bound)) for bound in definition.buckets]
        for labels, series in self._series.items():
            buckets = [*zip(bounds, series.cumulative, strict=True), ("+Inf", series.count)]
            family.add_metric(labels, buckets, series.sum)
        return family

    def _empty(self) -> "_Series":
        return _Series([0] * len(self._definition.buckets))


@dataclass(slots=True)
class _Series:
    cumulative: list[int]
    """How many values were at or below each bound."""
    count: int = 0
    sum: float = 0.0


def gauge(definition: Definition, values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    """Return a gauge with these values, each with its labels."""
    family = GaugeMetricFamily(definition.full_name, definition.meaning, labels=definition.label_names)
    for labels, value in values:
        family.add_metric(labels, value)
    return family
