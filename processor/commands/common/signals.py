"""How a process is told to end."""

import asyncio
import signal


def end_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, without a word, also while it waits for input or for an answer."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop_on_signal() -> asyncio.Event:
    """Return an event that the first SIGINT or SIGTERM sets; for the loop that runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
