"""How the worker works, and how it is watched."""

from typing import Annotated, Literal, final

from pydantic import Field

from processor.cli.settings import checks
from processor.cli.settings.definitions import About, Group, Line, Word
from processor.cli.settings.memory import MIB, MemorySplit
from processor.engine.limits import LimitSettings
from processor.engine.partition import BatchLimits
from processor.runtime.account import Mode
from processor.runtime.delivery import DeliverySettings, Unattributed
from processor.runtime.jobs import STUCK_AFTER_S
from processor.runtime.requests import POISON_AFTER_S

_BATCH = BatchLimits()


@final
class Delivery(Group):
    """How requests are made."""

    mode: Annotated[
        Mode,
        Word,
        About(
            "`batch`: many items a request. `single`: one. `auto`: `batch` when the key may read which items of a "
            "job failed, else `single`.",
            "Fast where failures can be attributed, exact where they cannot.",
            "single",
        ),
    ] = "auto"
    org_share: Annotated[
        float,
        Field(gt=0, le=1, allow_inf_nan=False),
        About(
            "Share of the organisation's planned allowance that all workers of the group use together. "
            "The plan is half of FullStory's hard stop.",
            "Other users of the organisation's API keep a fifth.",
            "0.5",
        ),
    ] = LimitSettings().org_share
    unattributed: Annotated[
        Unattributed,
        Word,
        About(
            "What becomes of the events of a job that failed in part, when the key may not read which: stand still, "
            "dead-letter all of them, or count all as delivered.",
            "Only the operator can weigh duplicates after a redrive against loss.",
            "dead_letter",
        ),
    ] = DeliverySettings().unattributed
    poison_after_s: Annotated[
        float,
        Field(ge=60, allow_inf_nan=False),
        About(
            "Seconds for which FullStory may fail with 5xx on one item alone, while it takes others, before the record "
            "is dead-lettered as `destination_error`.",
            "Longer than most of FullStory's own troubles last.",
            "21600",
        ),
    ] = POISON_AFTER_S
    stuck_job_after_s: Annotated[
        float,
        Field(ge=60, allow_inf_nan=False),
        About(
            "Seconds for which a job may run before its partition shows a halt. It is followed all the same.",
            "FullStory names no duration; jobs usually take seconds.",
            "7200",
        ),
    ] = STUCK_AFTER_S
    dead_letter_ratio: Annotated[
        float,
        Field(gt=0, le=1, allow_inf_nan=False),
        About(
            "Part of the last 1,000 records above which nothing more is dead-lettered and delivery halts; 1 means no "
            "limit.",
            "So many bad records speak of a bad release or a wrong setting, not of the records.",
            "0.9",
        ),
    ] = 0.5


@final
class Batch(Group):
    """When a batch closes: at whichever limit comes first."""

    max_records: Annotated[
        int,
        Field(ge=1, le=50_000),
        About(
            "Records in a batch. FullStory takes 50,000 a request.",
            "Large enough to make the cost of a request vanish, small enough to repeat.",
            "5000",
        ),
    ] = _BATCH.max_records
    max_bytes: Annotated[
        int,
        Field(ge=1_024, le=64 * MIB),
        About(
            "Size of a request body.",
            "FullStory documents no limit; a mebibyte is far below what gateways commonly refuse.",
            "524288",
        ),
    ] = _BATCH.max_bytes
    linger_s: Annotated[
        float,
        Field(ge=0, le=300, allow_inf_nan=False),
        About(
            "Seconds that the first record of a batch waits for more.",
            "Jobs take seconds anyway, and a quiet topic fills its batches.",
            "0.2",
        ),
    ] = _BATCH.linger_s


@final
class Memory(Group):
    """The memory of records; [below](#memory) is how it is split."""

    budget_bytes: Annotated[
        int,
        Field(ge=16 * MIB, le=1024 * 1024 * MIB),
        About(
            "Bytes for records: in librdkafka's queue, buffered, and on their way. The process itself comes on top.",
            "Half of a container of 512 MiB; at least 16 MiB, or a fetch would not fit its part.",
            "536870912",
        ),
    ] = 256 * MIB

    def split(self) -> MemorySplit:
        """Return the parts of the budget."""
        return MemorySplit.of(self.budget_bytes)


@final
class Shutdown(Group):
    """How the process ends."""

    grace_s: Annotated[
        float,
        Field(ge=0, le=3_600, allow_inf_nan=False),
        About(
            "Seconds from SIGTERM until the process gives up what is still on its way. Keep it below the pod's "
            "`terminationGracePeriodSeconds`.",
            "Kubernetes kills after 30 s; 5 s are left for leaving the group.",
            "55",
        ),
    ] = 25.0


@final
class Log(Group):
    """Logs, on standard error: state changes, nothing per record."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Word,
        About("Least severe level that is written.", "State changes are few and each is worth a line.", "warning"),
    ] = "info"
    format: Annotated[
        Literal["json", "console"],
        Word,
        About("One JSON object a line, or text for a terminal.", "Collectors read JSON.", "console"),
    ] = "json"


@final
class Ready(Group):
    """What counts as ready."""

    fail_on_halt: Annotated[
        bool,
        About(
            "Whether `/readyz` answers 503 while delivery is halted.",
            "A halt asks for an operator, not for another pod; a rollout must not hang on it.",
            "true",
        ),
    ] = False


@final
class Http(Group):
    """The server of `/metrics`, `/livez` and `/readyz`."""

    host: Annotated[
        Line,
        About(
            "Address to listen on.",
            "Probes and Prometheus come to the pod's address, not to loopback. Nothing secret is served.",
            "127.0.0.1",
        ),
    ] = "0.0.0.0"  # noqa: S104 - the reason above
    port: Annotated[
        int,
        Field(ge=0, le=checks.MAX_PORT),
        About(
            "Port to listen on; 0 takes any free one.",
            "Needs no privilege; a usual port of pods.",
            "9090",
        ),
    ] = 8080
