"""Serving until somebody says stop."""

import signal
import threading


def stopped_by_signal() -> threading.Event:
    """An event that is set by Ctrl-C or by ``SIGTERM``, for what serves to end in its own time."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
