"""What becomes of a consumer that will never reach Kafka again: another worker begins in its worker's place.

A broker that is the only one it knows says at the end of an orderly stop, for a few milliseconds, that there is no
broker (Kafka 4.4.0: it is fenced by then, and still answers). librdkafka 2.16.0 drops all brokers that metadata does
not name, those of `bootstrap.servers` as well, and has nobody left to ask: it stays so for ever, whatever its
`metadata.recovery` properties say (https://github.com/confluentinc/librdkafka/issues/5301, open in 2026-11).
"""

from collections.abc import Callable
from typing import Protocol, final

from structlog.typing import FilteringBoundLogger

from processor.model.errors import ConfigurationError
from processor.model.records import ClientFigures


class HasFigures(Protocol):
    """A client of Kafka's that tells of itself."""

    @property
    def figures(self) -> ClientFigures:
        """What it last said."""
        ...


@final
class StrandedConsumer:
    """Looks whether the consumer is stranded; `begin_anew` raises `ConfigurationError` while no worker can begin."""

    def __init__(self, consumer: HasFigures, begin_anew: Callable[[], None], log: FilteringBoundLogger) -> None:
        self._consumer = consumer
        self._begin_anew = begin_anew
        self._log = log
        self._has_told = False

    async def look(self) -> None:
        """Have another worker begin where it is."""
        if not self._consumer.figures.is_stranded:
            return
        if not self._has_told:
            self._has_told = True
            self._log.warning("kafka's client has lost all brokers, and is replaced")
        try:
            self._begin_anew()
        except ConfigurationError as error:
            self._log.warning("kafka's client cannot be replaced", detail=str(error))
