"""Several processes that compute as one: how they find each other, agree and share what they know.

All are started with the same command. Process 0 leads: it alone writes and prints.
"""

import argparse
import dataclasses
import functools
import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh
from jaxtyping import PyTree

from zoo.foundation.outside.meeting import meet

_Result = TypeVar("_Result")
COORDINATOR, COUNT, ID = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
WAIT = 300  # seconds that a process waits for the others to be started


@dataclasses.dataclass(frozen=True)
class Distributed:
    """Several processes, on one host or on many, that work on one command."""

    distributed: bool = False
    """Work with other processes, which are started with the same command; each takes its share of
    every batch, and process 0 writes.
    """
    coordinator: str | None = None
    """HOST:PORT at which process 0 is reached (default: JAX_COORDINATOR_ADDRESS, or what the
    cluster says, such as Slurm or a TPU pod).
    """
    processes: int | None = None
    """How many processes there are (default: JAX_NUM_PROCESSES, or what the cluster says)."""
    process_id: int | None = None
    """Which of them this one is, from 0 on (default: JAX_PROCESS_ID, or what the cluster says)."""


def join(words: Sequence[str]) -> None:
    """Joins the processes that the flags of `Distributed` among the words of a command name, before
    any device is used.

    Raises:
      ValueError: a flag is wrong or lacks others, or the processes do not find each other.
    """
    names = [field.name for field in dataclasses.fields(Distributed)]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--distributed", action="store_true")
    for name in names[1:]:
        words_of = (f"--{name.replace('_', '-')}", f"--{name}")
        parser.add_argument(*words_of, dest=name, nargs="?", const="")
    flags = parser.parse_known_args(list(words))[0]
    if not flags.distributed:
        if given := [name for name in names[1:] if getattr(flags, name) is not None]:
            flag = f"--{given[0].replace('_', '-')}"
            raise ValueError(f"{flag} is for several processes: pass --distributed, or drop it.")
        return
    address = flags.coordinator
    if address is None:
        address = os.environ.get(COORDINATOR)
    count = _number("--processes", flags.processes, COUNT)
    number = _number("--process-id", flags.process_id, ID)
    _check(address, count, number)
    if address is not None:
        meet(address, count, number, WAIT)
    # On CPUs, processes exchange arrays by gloo; other devices have their own way.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(address, count, number, initialization_timeout=WAIT)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        where = f"at {address}" if address else "without --coordinator, as no cluster tells where"
        raise ValueError(
            f"the processes did not find each other {where}: {reason[:200]}. Start "
            f"{count or 'all'} processes with the same --coordinator HOST:PORT and --processes, "
            "each with another --process-id."
        ) from None
    any_of(
        False
    )  # while all are here: who comes to the first exchange 30 s later is not waited for


def _number(flag, word, variable):
    word = os.environ.get(variable) if word is None else word
    if word is None or re.fullmatch(r"\d{1,6}", word):
        return None if word is None else int(word)
    raise ValueError(f"{flag} (or {variable}) must be a whole number; got {word!r}.")


def _check(address, count, number):
    """Raises ValueError unless all three are known and fit, or none is, for a cluster to say."""
    missing = [
        flag
        for flag, value in (
            (f"--coordinator HOST:PORT (or {COORDINATOR})", address),
            (f"--processes (or {COUNT})", count),
            (f"--process-id (or {ID})", number),
        )
        if value is None
    ]
    if missing and (address, count, number) != (None, None, None):
        raise ValueError(f"--distributed also needs {' and '.join(missing)}.")
    found = None if address is None else re.fullmatch(r".+:(\d{1,5})", address)
    if address is not None and not (found and 0 < int(found[1]) < 2**16):
        raise ValueError(
            "--coordinator must be HOST:PORT, such as 10.0.0.1:1234, with a port in 1..65535; got "
            f"{address}."
        )
    if count == 0:
        raise ValueError("--processes must be at least 1; got 0.")
    if count is not None and not 0 <= number < count:
        raise ValueError(f"--process-id must be in 0..{count - 1} of {count}; got {number}.")


def leads() -> bool:
    """Whether this process writes and prints: the first of several, or the only one."""
    return jax.process_index() == 0


def several() -> bool:
    """Whether there are other processes."""
    return jax.process_count() > 1


def from_leader(tree: PyTree) -> PyTree:
    """The arrays of process 0 in every process; the others pass arrays of the same shapes."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental.multihost_utils import broadcast_one_to_all

    return broadcast_one_to_all(jax.tree.map(np.asarray, tree))


def led(function: Callable[[], bytes]) -> bytes:
    """The result of the function, which process 0 alone calls, in every process.

    Raises:
      ValueError: the function raised an error in process 0, where that error itself is raised.
    """
    if jax.process_count() == 1:
        return function()
    said, error = b"", None
    if leads():
        try:
            said = b"+" + function()
        except BaseException as caught:
            words = " ".join(str(caught).split()) or type(caught).__name__
            error, said = caught, b"-" + words.encode()
    size = int(from_leader(np.int32(len(said))))
    padded = np.frombuffer(said, np.uint8) if leads() else np.zeros(size, np.uint8)
    said = np.asarray(from_leader(padded), np.uint8).tobytes()
    if error is not None:
        raise error
    if said[:1] == b"-":
        raise ValueError(f"process 0 stopped: {said[1:].decode()}")
    return said[1:]


def everywhere(function: Callable[[], _Result]) -> _Result:
    """The result of the function, which every process calls with its own flags and files.

    Raises:
      ValueError: it raised an error in another process; none waits for one that has stopped.

    Example:
      >>> everywhere(lambda: 3)
      3
    """
    try:
        result = function()
    except BaseException:
        any_of(True)
        raise
    if any_of(False):
        raise ValueError("another process could not begin; its own message says why.")
    return result


def told(value: Callable[[], Any]) -> Any:
    """What process 0 computes, as JSON holds it, in every process; see `led`."""
    return json.loads(led(lambda: json.dumps(value()).encode()))


def gathered(rows: PyTree) -> PyTree:
    """The rows of all processes, those of process 0 first; each has equally many of its own."""
    if jax.process_count() == 1:
        return rows
    from jax.experimental.multihost_utils import process_allgather

    return process_allgather(jax.tree.map(np.asarray, rows), tiled=True)


def share_of(num: int) -> tuple[int, int]:
    """(the first, how many) of `num` rows that are this process's; the last processes' may reach
    beyond the end, so that each has equally many.

    Example:
      >>> share_of(5)
      (0, 5)
    """
    size = -(-num // jax.process_count())
    return jax.process_index() * size, size


def any_of(flag: bool) -> bool:
    """Whether the flag is True in some process."""
    return bool(np.any(gathered(np.array([flag]))))


@functools.cache
def local_mesh() -> Mesh:
    """The devices of this process as one row."""
    devices = jax.local_devices()
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
