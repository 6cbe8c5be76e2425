"""How calls travel to FullStory: which way, with which certificates, and for how long at most."""

from dataclasses import dataclass, field

from processor.adapters.proxies import Proxies
from processor.adapters.tls import Tls

MAX_CONNECTIONS = 100
"""The most POSTs that limits ever admit at once (64), and room for the questions about their jobs."""


@dataclass(frozen=True, slots=True)
class Transport:
    """How calls travel, and after how many seconds one is given up, which ends as `NoAnswer(TIMEOUT)`."""

    connect_s: float = 10.0
    """TCP alone, by address: two lost SYNs (1 s and 2 s later sent again) are survived; a dead host is noticed soon."""
    read_s: float = 60.0
    """Silence before and within an answer: a batch of 50,000 items may take long to be taken in."""
    total_s: float = 120.0
    """All of it, with name resolution, TLS, waiting for a connection and sending: 8 MiB at 1 Mbit/s take 67 s."""
    connections: int = MAX_CONNECTIONS
    """How many calls may be on their way; others wait for one of them to end."""
    proxies: Proxies = field(default_factory=Proxies)
    """Those of the environment, of which one may be on the way."""
    tls: Tls | None = None
    """What to trust and to show; None is the system's store of authorities, and no certificate."""
