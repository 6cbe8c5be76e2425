"""Everything a sandbox knows, in one place, so that a reset is a new world."""

from dataclasses import replace
from typing import Any, final

from processor.sandbox.faults import Chance
from processor.sandbox.idempotency import IdempotencyKeys
from processor.sandbox.intake import Intake
from processor.sandbox.jobs import Job, Jobs
from processor.sandbox.keys import Keys
from processor.sandbox.limits import RetryAfterWatch, TokenBucket
from processor.sandbox.log import RequestLog
from processor.sandbox.options import Clock, SandboxOptions
from processor.sandbox.truth import Taken, Truth
from processor.sandbox.users import Users
from processor.sandbox.weather import Weather
from processor.sandbox.wire import Json, invalid


@final
class World:
    """The state of one sandbox between two resets. Call `settle` before reading what a job could change."""

    def __init__(self, options: SandboxOptions, clock: Clock) -> None:
        self.options = options
        self.clock = clock
        self.faults = replace(options.faults)
        self.chance = Chance(options.seed)
        self.keys = Keys(options.keys)
        self.users = Users(self.chance)
        self.truth = Truth()
        self.intake = Intake(options, self.faults, self.users, self.truth)
        self.jobs = Jobs(options, self.faults, self.chance, self._take)
        self.idempotency = IdempotencyKeys(options.idempotency_ttl_s, replay_500=options.replay_500)
        self.bucket = TokenBucket(options.requests_per_s, options.burst)
        self.watch = RetryAfterWatch(options.early_grace_s)
        self.log = RequestLog(options.request_log)
        self.weather = Weather(options, self.faults, self.bucket, self.keys, clock.now())

    def settle(self) -> float:
        """Carry out the jobs that are due, and return the time."""
        now = self.clock.now()
        self.jobs.settle(now)
        return now

    def stats(self) -> Json:
        """Return the body of `GET /sandbox/stats`."""
        now = self.settle()
        jobs = self.jobs
        return {
            "now": now,
            "requests": self.log.counts(),
            "requests_total": self.log.total,
            "requests_in_progress": self.log.in_progress,
            "effects": {"user": self.truth.counts["user"], "event": self.truth.counts["event"]},
            "users": sum(1 for _ in self.users),
            "properties_dropped": self.intake.properties_dropped,
            "jobs": {
                "total": sum(1 for _ in jobs),
                "running": jobs.running,
                "queued": jobs.queued,
                "max_in_progress": jobs.max_in_progress,
            },
            "operations": {"in_progress": jobs.operations, "max_in_progress": jobs.max_operations},
            "throttled": self.log.with_status(429),
            "replays": self.idempotency.replays,
            "conflicts": self.idempotency.conflicts,
            "early_requests": self.watch.early_requests,
            "earliest_margin_s": self.watch.earliest_margin_s,
            "faults": dict(self.log.faults),
        }

    def _take(self, job: Job, item: Any, at: float) -> Taken:
        if job.origin.kind == "user":
            return self.intake.user(item, job.origin, at)
        if job.shared and isinstance(item, dict):
            if repeated := item.keys() & job.shared.keys():
                raise invalid(f"{min(repeated)} is given both in shared and in the event")
            item = {**job.shared, **item}
        return self.intake.event(item, job.origin, at)
