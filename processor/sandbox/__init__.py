"""An emulator of FullStory's server API (REST v2), for tests, the demo and development.

It shares no code with the worker, so that the two cannot share a mistake: both are written from
docs/fullstory-api.md, each on its own. Everything it accepts is kept in memory as *the truth*: which user and event
took effect, when, by which request, under which Idempotency-Key. docs/fullstory-api.md#sandbox says what it emulates.
"""

from processor.sandbox.faults import Echo, Faults
from processor.sandbox.gateway import Gateway
from processor.sandbox.options import Role, SandboxOptions, SystemWallClock, WallClock
from processor.sandbox.server import Sandbox
from processor.sandbox.truth import Effect, Truth
from processor.sandbox.weather import Condition

__all__ = [
    "Condition",
    "Echo",
    "Effect",
    "Faults",
    "Gateway",
    "Role",
    "Sandbox",
    "SandboxOptions",
    "SystemWallClock",
    "Truth",
    "WallClock",
]
