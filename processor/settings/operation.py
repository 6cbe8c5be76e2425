"""How the worker works, and how it is monitored."""

from typing import Annotated, Literal, final

from pydantic import Field

from processor.engine.job_polling import STUCK_AFTER_S
from processor.engine.limits import LimitSettings
from processor.engine.partition.common import PartitionSettings, Unattributed
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.suspicion import POISON_AFTER_S
from processor.runtime.account import Mode
from processor.settings import validators
from processor.settings.definitions import About, OneLine, Section, Word
from processor.settings.memory import DEFAULT_BUDGET, LEAST_BUDGET, MIB, PROCESS_BYTES, MemorySplit, default_budget

_BATCH = BatchLimits()


@final
class DeliverySection(Section):
    """How requests are made."""

    mode: Annotated[
        Mode,
        Word,
        About(
            "`batch` sends many items in a request, `single` sends one. `auto` is `batch` if the key may read which "
            "items of a job failed, otherwise `single`.",
            "Fast if failures can be attributed to records, and exact if they cannot.",
            "single",
        ),
    ] = "auto"
    org_share: Annotated[
        float,
        Field(gt=0, le=1, allow_inf_nan=False),
        About(
            "Share of the organisation's API limits that all workers of the consumer group use together. The limits "
            "are planned at half of FullStory's documented maximum.",
            "A fifth is left for other clients of the organisation.",
            "0.5",
        ),
    ] = LimitSettings().org_share
    unattributed: Annotated[
        Unattributed,
        Word,
        About(
            "What to do with the events of a job that failed in part, if it is not known which of them failed: "
            "halt delivery, dead-letter all of them, or count all of them as delivered.",
            "Only an operator can weigh duplicates after a redrive against lost events.",
            "dead_letter",
        ),
    ] = PartitionSettings().unattributed
    poison_after_s: Annotated[
        float,
        Field(ge=60, allow_inf_nan=False),
        About(
            "If FullStory answers 5xx to one item while it accepts others: seconds until its record is dead-lettered, "
            "as `destination_error`.",
            "Longer than most incidents at FullStory.",
            "21600",
        ),
    ] = POISON_AFTER_S
    stuck_job_after_s: Annotated[
        float,
        Field(ge=60, allow_inf_nan=False),
        About(
            "Seconds that a job may run before its partition is reported as halted. The worker keeps polling the job.",
            "FullStory documents no maximum. Jobs usually take seconds.",
            "7200",
        ),
    ] = STUCK_AFTER_S
    dead_letter_ratio: Annotated[
        float,
        Field(gt=0, le=1, allow_inf_nan=False),
        About(
            "If a larger share of the last 1,000 records is dead-lettered, delivery halts instead. 1 means no limit.",
            "So many bad records point to a bad release or a wrong setting, not to the records.",
            "0.9",
        ),
    ] = 0.5


@final
class BatchSection(Section):
    """When a batch closes: at whichever limit is reached first."""

    max_records: Annotated[
        int,
        Field(ge=1, le=50_000),
        About(
            "Maximum number of records in a batch. FullStory accepts 50,000 per request.",
            "Large enough to make the cost of a request negligible, small enough to repeat.",
            "5000",
        ),
    ] = _BATCH.max_records
    max_bytes: Annotated[
        int,
        Field(ge=1_024, le=64 * MIB),
        About(
            "Maximum size of a request body in bytes.",
            "FullStory documents no limit. nginx takes a mebibyte by default; what is refused is sent in halves.",
            "524288",
        ),
    ] = _BATCH.max_bytes
    linger_s: Annotated[
        float,
        Field(ge=0, le=300, allow_inf_nan=False),
        About(
            "Seconds that the first record of a batch waits for more records.",
            "Jobs take seconds anyway, and batches of a quiet topic become larger.",
            "0.2",
        ),
    ] = _BATCH.linger_s


@final
class MemorySection(Section):
    """Memory for records."""

    budget_bytes: Annotated[
        int,
        Field(ge=LEAST_BUDGET, le=1024 * 1024 * MIB),
        About(
            "Bytes for records: queued in librdkafka, buffered and in flight. The process itself needs more.",
            f"Half of what the container's memory limit leaves beside {PROCESS_BYTES // MIB} MiB for the process. "
            f"One process has no use for more than {DEFAULT_BUDGET // MIB}, and needs {LEAST_BUDGET // MIB}.",
            "536870912",
            default=f"{DEFAULT_BUDGET // MIB} MiB, or less where the container has a limit",
        ),
    ] = Field(default_factory=default_budget)

    def split(self) -> MemorySplit:
        """Return the parts of the budget."""
        return MemorySplit.of(self.budget_bytes)


@final
class ShutdownSection(Section):
    """Graceful shutdown."""

    grace_s: Annotated[
        float,
        Field(ge=0, le=3_600, allow_inf_nan=False),
        About(
            "Seconds from SIGTERM until the process has ended, whatever it waits for; what is still in flight then is "
            "carried on by the next owner. Below 8 it acts like 8. Keep it below the pod's "
            "`terminationGracePeriodSeconds`.",
            "Kubernetes kills a pod after 30 s. 5 s are left for leaving the consumer group.",
            "55",
        ),
    ] = 25.0


@final
class LogSection(Section):
    """Logs, on standard error. They contain state changes, nothing per record."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Word,
        About("Least severe level that is written.", "State changes are few, and each is worth a line.", "warning"),
    ] = "info"
    format: Annotated[
        Literal["json", "console"],
        Word,
        About("One JSON object per line, or text for a terminal.", "Collectors read JSON.", "console"),
    ] = "json"


@final
class ReadySection(Section):
    """When the process is ready."""

    fail_on_halt: Annotated[
        bool,
        About(
            "Whether `/readyz` answers 503 while delivery is halted.",
            "A halt needs an operator, not another pod, and must not block a rollout.",
            "true",
        ),
    ] = False


@final
class HttpSection(Section):
    """The server of `/metrics`, `/livez` and `/readyz`."""

    host: Annotated[
        OneLine,
        About(
            "Address to listen on.",
            "Probes and Prometheus use the address of the pod, not loopback. Nothing secret is served.",
            "127.0.0.1",
        ),
    ] = "0.0.0.0"  # noqa: S104 - the reason above
    port: Annotated[
        int,
        Field(ge=0, le=validators.MAX_PORT),
        About(
            "Port to listen on. 0 takes any free port.",
            "A common port in pods that needs no privileges.",
            "9090",
        ),
    ] = 8080
