"""Whether Kafka answers and accepts this worker: what librdkafka reports and how questions end, made into a fault."""

from typing import final

from confluent_kafka import KafkaError

from processor.adapters.kafka.faults import GROUP_ACTIONS, reason_in, server_in
from processor.runtime.ports import SourceFault

SILENT_LOOKS = 3
"""So many questions in a row without an answer mean that no broker answers, where nothing else tells. One may have met
the one broker that is away."""

FIRST_LOOKS = 2
"""The same before any broker has ever answered."""

SERVERS_TOLD = 5
"""So many are told one by one where their reasons differ."""

_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_TRANSPORT = frozenset(
    {KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._SSL, KafkaError._TIMED_OUT, *_LOGIN},
)

UNKNOWN_TO_GROUP = SourceFault(
    "Kafka answers, and the worker's group does not know the worker", GROUP_ACTIONS[KafkaError.UNSUPPORTED_VERSION]
)
"""Of brokers without the protocol librdkafka (2.16) says nothing at all: it tries to join for ever."""


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
        self._broke: dict[str, KafkaError] = {}  # by server, the latest last
        self._refusal: SourceFault | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether a question should find out soon how things are."""
        return self._are_all_down or self._unanswered > 0 or self._refusal is not None

    def report(self, error: KafkaError) -> None:
        """Take what librdkafka reports of itself or in a record's place."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._are_all_down = True
        elif error.code() in _TRANSPORT:
            server = server_in(error.str())
            self._broke.pop(server, None)
            self._broke[server] = error
        elif (action := GROUP_ACTIONS.get(error.code())) is not None:
            self._refusal = SourceFault(f"Kafka does not let the worker join its group ({error.str()})", action)

    def answered(self) -> None:
        """A broker has answered a question."""
        self._has_answered = True
        self._are_all_down = False
        self._unanswered = 0
        self._broke.clear()

    def joined(self) -> None:
        """The group has accepted this member."""
        self._refusal = None
        self.answered()

    def hold(self, refusal: SourceFault | None) -> None:
        """Take why the group cannot be joined yet, as was asked before; None where it can."""
        self._refusal = refusal

    def left_out(self) -> None:
        """The group's coordinator answers, and has not had this member for too long."""
        self._refusal = self._refusal or UNKNOWN_TO_GROUP

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
        return self._refusal

    def _unreachable(self) -> SourceFault:
        if not self._broke:
            return SourceFault(f"Kafka does not answer at {self._servers}")
        last, reason = list(self._broke.values())[-1], self._reasons
        if last.code() in _LOGIN:
            action = "Check the login in PROCESSOR_KAFKA__PROPERTIES (sasl.mechanism, sasl.username, sasl.password)."
            return SourceFault(f"Kafka at {self._servers} refuses the login ({reason})", action)
        if last.code() == KafkaError._SSL:
            action = "Check security.protocol and the certificates in PROCESSOR_KAFKA__PROPERTIES."
            return SourceFault(f"the TLS connection to Kafka at {self._servers} fails ({reason})", action)
        return SourceFault(f"Kafka does not answer at {self._servers} ({reason})")

    @property
    def _reasons(self) -> str:
        """The reason that all servers have in common, or that of each of the latest."""
        reasons = {server: reason_in(error.str()) for server, error in reversed(self._broke.items())}
        if len({*reasons.values()}) == 1:
            return next(iter(reasons.values()))
        told = [f"{server}: {reason}" if server else reason for server, reason in reasons.items()]
        more = [f"and {len(told) - SERVERS_TOLD} more"] if len(told) > SERVERS_TOLD else []
        return "; ".join([*told[:SERVERS_TOLD], *more])
