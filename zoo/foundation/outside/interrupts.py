"""Signals that ask a process to end, which it does when it is ready."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupted() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, which would end the process at once; a second one still does."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number, frame):
        caught.append(number)
        signal.signal(number, usual[number])

    usual = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
