"""A seeded generator of Segment traffic that knows what must become of every record it makes.

The demo, the tests and the benches produce these records to Kafka and afterwards compare what arrived with what each
record's expectation says. The same seed, mix and start give the same bytes.
"""

from processor.workload.expectations import (
    Expectation,
    ExpectDeadLettered,
    ExpectDelivered,
    ExpectFiltered,
    GeneratedRecord,
    Mix,
)
from processor.workload.generator import GATE_MIX, START_MS, generate

__all__ = [
    "GATE_MIX",
    "START_MS",
    "ExpectDeadLettered",
    "ExpectDelivered",
    "ExpectFiltered",
    "Expectation",
    "GeneratedRecord",
    "Mix",
    "generate",
]
