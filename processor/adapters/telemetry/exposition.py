"""All metrics as text: what Prometheus' client writes, for a fraction of its cost.

For each sample of a scrape the client (0.26) escapes the name letter by letter and tries names by regular expressions,
which with a thousand partitions keeps the event loop for more than 30 ms. The names of this worker need no escaping.
"""

import re
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

_number: Callable[[float], str] = floatToGoString
_SCHEME = re.compile(r"(?<=escaping=)[\w-]+")


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return all metrics and their content type, in the format that an `Accept` header asks for."""
    _, content_type = choose_encoder(accept)
    is_open = content_type.startswith("application/openmetrics-text")
    return "".join(_lines(registry, is_open=is_open)).encode(), _SCHEME.sub("underscores", content_type)


def _lines(registry: CollectorRegistry, *, is_open: bool) -> Iterator[str]:
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" and not is_open else family.name
        help_text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
        yield f"# HELP {name} {_escaped(family.documentation) if is_open else help_text}\n# TYPE {name} {family.type}\n"
        for name, labels, value, *_ in family.samples:
            if labels:
                inside = ",".join([f'{label}="{_escaped(text)}"' for label, text in sorted(labels.items())])
                yield f"{name}{{{inside}}} {_number(value)}\n"
            else:
                yield f"{name} {_number(value)}\n"
    if is_open:
        yield "# EOF\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
