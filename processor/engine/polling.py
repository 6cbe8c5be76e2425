"""When to ask for a job's state: often at first, then ever less, in proportion to how long it has run.

FullStory names neither a typical duration nor a limit for questions; its own SDK asks every two seconds
(docs/fullstory-api.md#jobs). Asking after a fixed share of the age keeps the number of questions logarithmic while no
job is known to be complete more than that share later than it was.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """The waits between two questions for one job."""

    first_s: float = 0.25
    share: float = 0.25
    cap_s: float = 10.0

    def wait_s(self, age_s: float) -> float:
        """Return how long to wait when the job was accepted so long ago."""
        return min(self.cap_s, max(self.first_s, age_s * self.share))
