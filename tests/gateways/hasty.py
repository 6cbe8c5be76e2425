"""The worker with less patience, so that a test need not wait: what takes minutes or an hour takes seconds.

`python -m tests.gateways.hasty run`. Its waits are constants of the engine and are replaced before anything reads them;
unit tests hold their true values.
"""

from dataclasses import dataclass

from processor.engine import job_polling, limits, suspicion, verdict


@dataclass(frozen=True, slots=True)
class HastyLimits(limits.LimitSettings):
    """Limits that try soon whether the cause of a halt is gone."""

    probe_interval_s: float = 2.0


SHORTER = (
    (job_polling, "UNKNOWN_PATIENCE_S", 4.0),
    (verdict, "FOREIGN_WAIT_S", 3.0),
    (suspicion, "POISON_AFTER_S", 4.0),
    (suspicion, "_LEAST_SUSPICIOUS_FAILURES", 5),
    (suspicion, "_LOST_S", 3.0),
    (suspicion, "_NEVER_PASSED_S", 3.0),
    (limits, "LimitSettings", HastyLimits),
)
"""How long a job is denied, a foreign page obeyed, and a record or a body suspected, and for how many failures."""

for module, name, shorter in SHORTER:
    assert hasattr(module, name), f"{name} is elsewhere now"
    setattr(module, name, shorter)

if __name__ == "__main__":
    from processor.commands.main import main

    main()
