"""A body that a gateway does not let through: it is halved to the record, which holds up its partition and no other."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from processor.model.reasons import DeadLetterReason
from processor.workload import GeneratedRecord, generate
from processor.workload.expectations import ExpectDeadLettered
from tests.gateways.scene import CLEAN, Scene, assert_exact, scene, track
from tests.gateways.servers import Changes
from tests.kafka.programs import WorkerProgram, wait_until

SEED = 19_300
RECORDS = 600

BLOCKING = {"SecRuleEngine Off": "SecRuleEngine On"}
INJECTION = "' OR 1=1; DROP TABLE users; -- /etc/passwd"
"""What the core rule set takes for an attack."""

DROPPED = {
    "    default_backend fullstory": "    option http-buffer-request\n"
    "    http-request reject if { req.body -m sub let-me-not-through }\n    default_backend fullstory"
}
"""HAProxy closes the connection, without an answer."""
DENIED = {
    "    default_backend fullstory": "    option http-buffer-request\n"
    "    http-request deny deny_status 502 if { req.body -m sub let-me-not-through }\n    default_backend fullstory"
}


def blocked(record: GeneratedRecord) -> GeneratedRecord:
    """Return a record of which a dead letter is expected, because a gateway lets it not through."""
    expected = ExpectDeadLettered(DeadLetterReason("blocked_by_gateway"))
    return GeneratedRecord(record.key, record.value, record.headers, record.timestamp_ms, expected)


def traffic(poison: str) -> Iterable[GeneratedRecord]:
    """Yield good records and, among them, one that does not come through."""
    for number in range(RECORDS):
        record = track(number, f"u{number % 20}", note=poison if number == RECORDS // 2 else "fine")
        yield blocked(record) if number == RECORDS // 2 else record


def settle_beside_others(here: Scene, worker: WorkerProgram) -> None:
    """Return when all is settled; meanwhile traffic goes on, for what does not come through is known by what does."""
    numbers, ends = itertools.count(RECORDS), here.ends()

    def has_settled() -> bool:
        number = next(numbers)
        here.produce([track(number, f"u{number % 20}")])
        return all(here.committed()[each] >= end for each, end in ends.items())

    wait_until(has_settled, "what was there is settled", 120.0, 0.25)
    here.wait_until_settled(worker)


CASES: dict[str, tuple[str, Changes, str, str]] = {
    "ModSecurity answers 403, in batches": ("apache", BLOCKING, INJECTION, "na1.architect"),
    "ModSecurity answers 403, one by one": ("apache", BLOCKING, INJECTION, "na1.standard"),
    "HAProxy closes the connection, in batches": ("haproxy", DROPPED, "let-me-not-through", "na1.architect"),
    "HAProxy answers 502, one by one": ("haproxy", DENIED, "let-me-not-through", "na1.standard"),
}
"""What a gateway does to one record, and the key: with a standard one each item is a request of its own."""


@pytest.mark.parametrize("name", CASES)
def test_a_record_that_does_not_come_through_is_alone_in_that(name: str, tmp_path: Path) -> None:
    """It holds its partition up until it is dead-lettered; the records of other partitions go on meanwhile."""
    kind, changes, poison, key = CASES[name]
    with (
        scene(kind, tmp_path, changes, FULLSTORY__API_KEY=key, BATCH__MAX_RECORDS=50) as here,
        here.gateway.running(),
        here.worker() as worker,
    ):
        here.produce(traffic(poison))
        wait_until(lambda: len(here.unsettled()) <= 1, "the others go on", 60.0, 0.25)
        settle_beside_others(here, worker)

        assert_exact(here)
        assert worker.metrics()["halted"] == 0


def test_the_core_rule_set_lets_few_requests_through_and_loses_none(tmp_path: Path) -> None:
    """With the stock rules in force on clean traffic, each record is delivered, or dead-lettered as blocked."""
    with scene("apache", tmp_path, BLOCKING) as here, here.gateway.running(), here.worker() as worker:
        here.produce(generate(SEED, RECORDS // 3, CLEAN))
        settle_beside_others(here, worker)
        balance, letters = here.balance(), [letter for letter, _ in here.letters()]

        assert (balance.lost, balance.repeated) == (0, 0)
        assert {letter.reason for letter in letters} == {"blocked_by_gateway"}
        assert sum(balance.delivered.values()) == len(here.account) - len(letters)


LARGE = 120_000
"""Bytes of a body that each of these gateways takes; those that the worker would like to send have 1 MiB."""

LIMITS: dict[str, tuple[str, Changes]] = {
    "nginx, 413": ("nginx", {"client_max_body_size 8m": f"client_max_body_size {LARGE}"}),
    "HAProxy, an early 413": (
        "haproxy",
        {
            "    default_backend fullstory": "    http-request deny deny_status 413 if { req.body_size gt "
            + str(LARGE)
            + " }\n    default_backend fullstory"
        },
    ),
    "ModSecurity, 413": ("apache", {"SecRuleEngine Off": "SecRuleEngine DetectionOnly"}),
    "Squid, 413": ("squid", {"cache deny all": f"cache deny all\nrequest_body_max_size {LARGE} bytes"}),
    "Caddy 2.6, 502": (
        "caddy-2.6",
        {"    reverse_proxy": f"    request_body {{\n max_size {LARGE}\n }}\n    reverse_proxy"},
    ),
    "Caddy, 413": ("caddy", {"    reverse_proxy": f"    request_body {{\n max_size {LARGE}\n }}\n    reverse_proxy"}),
    "HAProxy closes": (
        "haproxy",
        {
            "    default_backend fullstory": "    http-request reject if { req.body_size gt "
            + str(LARGE)
            + " }\n    default_backend fullstory"
        },
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_bodies_become_as_small_as_a_gateway_takes_them(name: str, tmp_path: Path) -> None:
    """Whatever a gateway answers to large bodies, the worker sends smaller ones, and all records arrive once."""
    kind, changes = LIMITS[name]
    with scene(kind, tmp_path, changes) as here:
        here.produce(track(number, f"u{number % 20}", text="x" * 1_000) for number in range(800))
        with here.gateway.running(), here.worker() as worker:
            here.wait_until_settled(worker)
            metrics = worker.metrics()

            assert_exact(here)
            assert metrics["records_dead_lettered_total"] == 0
            assert metrics["retries_total"] < 60
