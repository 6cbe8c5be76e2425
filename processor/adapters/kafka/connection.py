"""Whether Kafka answers and accepts this worker: what librdkafka reports and how questions end, made into a fault."""

from typing import final

from confluent_kafka import KafkaError

from processor.adapters.kafka.faults import GROUP_ACTION, reason_in
from processor.runtime.ports import SourceFault

SILENT_LOOKS = 3
"""So many questions in a row without an answer mean that no broker answers, where nothing else tells. One may have met
the one broker that is away."""

FIRST_LOOKS = 2
"""The same before any broker has ever answered."""

_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_TRANSPORT = frozenset(
    {KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._SSL, KafkaError._TIMED_OUT, *_LOGIN},
)
_GROUP = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED})


@final
class Connection:
    """For the consumer's thread alone.

    librdkafka (2.16) says `_ALL_BROKERS_DOWN` at once when the last connection breaks, and before that why each broke.
    It never says that a broker answers again, nor that one accepts connections and answers nothing.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._has_answered = False
        self._are_all_down = False
        self._unanswered = 0
        self._last: KafkaError | None = None
        self._refusal: KafkaError | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether a question should find out soon how things are."""
        return self._are_all_down or self._unanswered > 0 or self._refusal is not None

    def report(self, error: KafkaError) -> None:
        """Take what librdkafka reports of itself or in a record's place."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._are_all_down = True
        elif error.code() in _TRANSPORT:
            self._last = error
        elif error.code() in _GROUP:
            self._refusal = error

    def answered(self) -> None:
        """A broker has answered a question."""
        self._has_answered = True
        self._are_all_down = False
        self._unanswered = 0
        self._last = None

    def joined(self) -> None:
        """The group has accepted this member."""
        self._refusal = None
        self.answered()

    def group_answered(self) -> None:
        """The group has answered a member that owns partitions: whatever refused it was a passing fault."""
        self._refusal = None

    @property
    def is_refused(self) -> bool:
        """Whether the group was said to refuse this worker."""
        return self._refusal is not None

    def did_not_answer(self) -> None:
        """No broker has answered in time, whatever was asked in one look."""
        self._unanswered += 1

    @property
    def fault(self) -> SourceFault | None:
        """What is wrong, if anything is known to be."""
        silent_looks = SILENT_LOOKS if self._has_answered else FIRST_LOOKS
        if self._unanswered and (self._are_all_down or self._unanswered >= silent_looks):
            return self._unreachable()
        if self._refusal is not None:
            return SourceFault(f"Kafka does not let the worker join its group ({self._refusal.str()})", GROUP_ACTION)
        return None

    def _unreachable(self) -> SourceFault:
        if self._last is None:
            return SourceFault(f"Kafka does not answer at {self._servers}")
        reason = reason_in(self._last.str())
        if self._last.code() in _LOGIN:
            action = "Check the login in PROCESSOR_KAFKA__PROPERTIES (sasl.mechanism, sasl.username, sasl.password)."
            return SourceFault(f"Kafka at {self._servers} refuses the login ({reason})", action)
        if self._last.code() == KafkaError._SSL:
            action = "Check security.protocol and the certificates in PROCESSOR_KAFKA__PROPERTIES."
            return SourceFault(f"the TLS connection to Kafka at {self._servers} fails ({reason})", action)
        return SourceFault(f"Kafka does not answer at {self._servers} ({reason})")
