"""How a process is told to end."""

import asyncio
import signal


def stop_on_signal() -> asyncio.Event:
    """Return an event that the first SIGINT or SIGTERM sets; for the loop that runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
