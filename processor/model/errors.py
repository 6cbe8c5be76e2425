"""Typed exceptions for the edges; on the hot path errors are values (`reasons`)."""

from typing import Literal


class ConfigurationError(Exception):
    """What the operator configured cannot work; `problems` says of each what, where, and what to do.

    A problem is one line, or a line with a list below it.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SourceError(Exception):
    """Kafka reported a fault from which this process cannot recover; it exits and is started again."""


WriteFault = Literal["retry", "refused", "too_large"]
"""Why the broker did not take a dead letter: a passing fault, a topic that is not as it should be, or the size."""


class DeadLetterError(Exception):
    """The broker did not take a dead letter."""

    def __init__(self, message: str, fault: WriteFault) -> None:
        super().__init__(message)
        self.fault: WriteFault = fault


class RegistryUnavailableError(Exception):
    """The schema registry could not be asked; says nothing about the record.

    `retry_after_s` is how long it, or what stands before it, asks to be left alone. `is_of_one_schema`: the registry
    answers, and refuses this schema alone to this login.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0, is_of_one_schema: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_of_one_schema = is_of_one_schema


class GlueUnavailableError(RegistryUnavailableError):
    """AWS Glue could not be asked. `is_of_login`: it refuses the credentials, or there are none."""

    def __init__(self, message: str, *, is_of_login: bool, is_of_one_schema: bool = False) -> None:
        super().__init__(message, is_of_one_schema=is_of_one_schema)
        self.is_of_login = is_of_login
