"""Everything a sandbox knows, in one place, so that a reset is a new world."""

from dataclasses import replace
from typing import final

from processor.sandbox.faults import SeededChance
from processor.sandbox.idempotency import IdempotencyKeys
from processor.sandbox.intake import Intake
from processor.sandbox.jobs import SandboxJobs
from processor.sandbox.keys import Keys
from processor.sandbox.limits import RetryAfterWatch, TokenBucket
from processor.sandbox.log import RequestLog
from processor.sandbox.options import SandboxOptions, WallClock
from processor.sandbox.truth import Truth
from processor.sandbox.users import Users
from processor.sandbox.weather import Weather


@final
class World:
    """The state of one sandbox between two resets. Call `settle` before reading what a job could change."""

    def __init__(self, options: SandboxOptions, clock: WallClock) -> None:
        self.options = options
        self.clock = clock
        self.faults = replace(options.faults)
        self.chance = SeededChance(options.seed)
        self.keys = Keys(options.keys)
        self.users = Users(self.chance, options.nested)
        self.truth = Truth()
        self.intake = Intake(options, self.faults, self.users, self.truth)
        self.jobs = SandboxJobs(options, self.faults, self.chance, self.intake.of_job)
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
