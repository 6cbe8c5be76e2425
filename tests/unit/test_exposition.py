"""Metrics as text: what Prometheus' client writes, byte by byte, for whatever a scrape asks for."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from processor.adapters.telemetry.exposition import exposition
from processor.adapters.telemetry.metrics import new_registry

OPEN = "application/openmetrics-text"
ACCEPTED = (
    "",
    "text/plain;version=0.0.4",
    "text/plain;version=1.0.0",
    f"{OPEN};version=0.0.1",
    f"{OPEN};version=1.0.0,{OPEN};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    f"{OPEN};version=1.0.0;escaping=underscores;q=0.5,text/plain;version=0.0.4;q=0.3",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.floats() | st.integers(0, 10**18)


class Fixed(Collector):
    """Collects what it was given."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._families


def registry_of(*families: Metric) -> CollectorRegistry:
    """Return a registry of these."""
    registry = CollectorRegistry()
    registry.register(Fixed(families))
    return registry


@given(
    st.dictionaries(st.tuples(TEXT, TEXT), NUMBER, max_size=4),
    TEXT,
    st.lists(st.floats(0, 1e12), min_size=1, max_size=4, unique=True),
    st.sampled_from(ACCEPTED),
)
def test_it_is_what_the_client_writes(
    values: dict[tuple[str, str], float], meaning: str, bounds: list[float], accept: str
) -> None:
    """Any labels, values and texts look as the client would write them."""
    counter = CounterMetricFamily("a_total", meaning, labels=["topic", "partition"])
    gauge = GaugeMetricFamily("b", meaning, labels=["z", "a"])
    histogram = HistogramMetricFamily("c_seconds", meaning)
    for labels, value in values.items():
        counter.add_metric(labels, value)
        gauge.add_metric(labels, value)
    histogram.add_metric([], [*((str(bound), 1) for bound in bounds), ("+Inf", 2)], math.pi)
    registry = registry_of(counter, gauge, histogram, GaugeMetricFamily("d", meaning, math.inf))
    encode, content_type = choose_encoder(accept)

    assert exposition(registry, accept) == (encode(registry), content_type)


@pytest.mark.parametrize("scheme", ["allow-utf-8", "dots", "values", "underscores"])
@pytest.mark.parametrize("format_", [f"{OPEN};version=1.0.0", "text/plain;version=1.0.0"])
def test_no_name_is_escaped_whatever_the_scheme(format_: str, scheme: str) -> None:
    """Every name is one that each scraper can read as it is, and the answer says so."""
    accept = f"{format_};escaping={scheme}"
    encode, _ = choose_encoder(accept.replace(scheme, "underscores"))

    body, content_type = exposition(registry_of(GaugeMetricFamily("a_b", "meaning", 1)), accept)

    assert body == encode(registry_of(GaugeMetricFamily("a_b", "meaning", 1)))
    assert content_type.endswith("; escaping=underscores")


def test_the_process_is_told_of() -> None:
    """What the client knows of the process can be read."""
    assert b"\nprocess_cpu_seconds_total " in exposition(new_registry(), "")[0]
