"""How a command of several processes ends, also where it does so in one of them alone."""

import os
import re
import sys
import threading
import traceback
from collections.abc import Callable

import jax

PATIENCE = 10  # seconds that a process which stops waits for the others to stop too
_GONE = re.compile("gloo|nccl|peer|unavailable|deadline|heartbeat|coordination", re.IGNORECASE)


def run_to_end(command: Callable[[], int | None]) -> int | None:
    """The exit code that a command returns, once the other processes end too.

    A process that stops may be the only one: the others wait for it in an exchange, or one of them
    was killed. So it waits at most `PATIENCE` seconds for them, and ends; the exchange of those
    that waited for it then fails. Without this, jax would end all after 100 s, by an abort with a
    stack trace.

    Raises:
      SystemExit: the command stopped with an error; nobody else sees it any more.

    Example:
      >>> run_to_end(lambda: 0)
      0
    """
    try:
        code = command()
    except BaseException as error:
        if not jax.distributed.is_initialized():
            raise
        code = _printed(error)
        _end_soon(code)
        sys.exit(code)
    if code:
        _end_soon(code)
    else:
        leave()
    return code


def _printed(error):
    """The exit code of an error, which is printed as the interpreter would when it ends."""
    if not isinstance(error, SystemExit):
        traceback.print_exc()
        return 1
    if isinstance(error.code, str):
        print(error.code, file=sys.stderr)
        return 1
    return int(error.code or 0)


def _end_soon(code):
    """Parts from the other processes, or ends this one if they do not do so in time."""
    parting = threading.Thread(target=leave, daemon=True)
    parting.start()
    parting.join(PATIENCE)
    if parting.is_alive():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def lost(error: BaseException) -> str | None:
    """What a user is told of an error that means that another process is gone; None of any other.

    Example:
      >>> lost(ValueError("too many"))
    """
    said = " ".join(str(error).split())
    if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
        return None
    if not jax.distributed.is_initialized() or not _GONE.search(said):
        return None
    return (
        "another process ended in the middle, and its own message says why: start all processes "
        "again, a training with --resume."
    )


def leave() -> None:
    """Waits for the other processes to come this far, and parts from them."""
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()
