"""What `explain` writes."""

from typing import final

from processor.commands.common.explanation import Explanation
from processor.commands.common.explanation_text import show
from processor.commands.common.terminal import Terminal, echo_json
from processor.commands.explain.difference import Comparison
from processor.commands.explain.text import show_comparison


@final
class Output:
    """Writes to standard output, for people or for machines."""

    def __init__(self, format_: str, other: str) -> None:
        self._other = other
        self._terminal = Terminal() if format_ == "text" else None

    def write(self, explanation: Explanation) -> None:
        """Write what becomes of a record."""
        if self._terminal is None:
            echo_json(explanation.as_json())
        else:
            show(explanation, self._terminal)

    def write_comparison(self, comparison: Comparison) -> None:
        """Write how two configurations differ."""
        if self._terminal is None:
            echo_json(comparison.as_json())
        else:
            show_comparison(comparison, self._other, self._terminal)
