"""Typed exceptions for the edges; on the hot path errors are values (`reasons`)."""


class ConfigurationError(Exception):
    """What the operator configured cannot work; `problems` has one line each: what, where, and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SourceError(Exception):
    """Kafka reported a fault from which this process cannot recover; it exits and is started again."""


class DeadLetterError(Exception):
    """The broker did not take a dead letter; `permanent` when trying again unchanged cannot help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class RegistryUnavailableError(Exception):
    """The schema registry could not be asked; says nothing about the record."""
