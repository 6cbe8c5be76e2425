"""What each halt stops, what ends it, and how much of it is told."""

from processor.model.reasons import HaltReason

PROBED = frozenset({HaltReason.UNAUTHORIZED, HaltReason.FORBIDDEN, HaltReason.UNEXPECTED_ANSWER})
"""Ended by a good answer of FullStory; while one lasts only probes are sent."""

CLOSING = frozenset({HaltReason.WRONG_ORG, HaltReason.DEAD_LETTER_TOPIC, HaltReason.DEAD_LETTER_RATIO})
"""Nothing may be sent at all, not even a probe."""

ENDED_BY_A_READ = PROBED - {HaltReason.FORBIDDEN}
"""Ended by a good answer to a question for a job, too; whether the key may write it does not tell."""

UNREACHED = (HaltReason.GATEWAY, HaltReason.FULLSTORY_UNAVAILABLE)
"""What is made of answers that do not come, or come from somebody else (`service_health`)."""

OF_THE_SOURCE = frozenset({HaltReason.KAFKA_UNAVAILABLE, HaltReason.SOURCE_TOPIC, HaltReason.OFFSETS_LOST})
"""Those of which the source tells, beginning and end."""

SHOWN_FAULTS = 10
"""Of a halt in many places so many are told one by one, the first ones; the others are counted."""
