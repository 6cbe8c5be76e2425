"""When to ask for a job's state: first when such jobs use to end, then ever less, in proportion to how long it has run.

FullStory names neither a typical duration nor a limit for questions; its own SDK asks every two seconds
(docs/fullstory-api.md#jobs). Questions count for the rate of requests like everything else, so a job costs as few as
can be while none is known to be complete much later than it was. While requests wait for that rate, a question keeps
one from being sent: then a job may be known later, and most cost one question.
"""

from processor.model.reasons import Kind

FIRST_S = 0.25
"""Before any job has ended, and the least between two questions."""
CAP_S = 10.0
UNKNOWN_PATIENCE_S = 60.0
"""How long a job that FullStory does not know is asked for: its own reads may lag behind its writes."""
LATE_AFTER_S = 600.0
"""FullStory tells no duration of a job; its own tests allow seconds (docs/fullstory-api.md#jobs)."""
STUCK_AFTER_S = 3_600.0
"""How long a job may run before it is a halt."""
_SHARE = 0.25
"""Of a job's age: so much later than it was it may be known to be complete."""
_SHARE_WHERE_DEAR = 1.0
"""The same where requests wait: 9 to 16 % more events a second pass a limit that binds (`segment-fullstory simulate
--rate 11600 --workers 1`, limits of 45 and 50)."""
_EARLY = 0.8
"""The first question comes a little before the usual end, so that jobs that have become faster are found out."""
_WEIGHT = 0.5


class PollSchedule:
    """The waits between two questions for one job; learns from every job that ends."""

    def __init__(self) -> None:
        self._usual_s = dict.fromkeys(Kind, 0.0)

    def wait_s(self, kind: Kind, age_s: float, *, is_dear: bool = False) -> float:
        """Return how long to wait when the job was accepted so long ago; questions are dear while requests wait."""
        until_usual = _EARLY * self._usual_s[kind] - age_s
        share = _SHARE_WHERE_DEAR if is_dear else _SHARE
        return min(max(FIRST_S, until_usual, share * age_s), CAP_S)

    def ended(self, kind: Kind, waited_s: float) -> None:
        """Learn from a job that was over when it had been let go on for so long, answers to questions not counted.

        How long those took tells nothing of jobs: if it were learned, each first wait would be longer than the last.
        """
        usual = self._usual_s[kind]
        self._usual_s[kind] = usual + _WEIGHT * (waited_s - usual) if usual else waited_s
