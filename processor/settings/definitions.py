"""What every setting is defined with; docs/configuration.md and the messages about wrong values are made of it."""

from dataclasses import dataclass
from typing import Annotated, final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints


@final
@dataclass(frozen=True, slots=True)
class About:
    """What a setting means, why its default is what it is, and a valid value as the environment would hold it."""

    meaning: str
    reason: str
    example: str
    default: str | None = None
    """The default in words, where the value does not say it."""


class Section(BaseModel):
    """Settings that belong together: a table of the file, and a part of the name of each variable."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


OneLine = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A text that is not blank."""

Word = BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)
"""For one word of several: case does not matter."""
