"""The cores of a processor, each of which draws a part of a batch.

A step of a sampler multiplies few rows, so XLA keeps it on one core. On a CPU the rows of a batch are
therefore shared among the cores: one program runs for each part, in a thread of its own.
"""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
from jax.sharding import Mesh
from jaxtyping import PyTree

from zoo.foundation.precision import without_x64

LEAST_ROWS = 8  # a part of fewer rows takes about as long as one of these
MOST_BYTES = 1 << 26  # every part reads all weights: larger ones fit no cache, and memory limits


def cores() -> int:
    """The cores that this process may use.

    Example:
      >>> cores() >= 1
      True
    """
    affinity = getattr(os, "sched_getaffinity", None)  # absent on some systems
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def parts_of(rows: int, variables: PyTree, mesh: Mesh) -> int:
    """How many parts of a batch are drawn at the same time, at least 1.

    It is 1 on another device than a CPU, and with several devices, which share the batch already.

    Example:
      >>> from zoo.foundation.processes import local_mesh
      >>> parts_of(2 * LEAST_ROWS - 1, {}, local_mesh())
      1
    """
    if mesh.size > 1 or mesh.devices.flat[0].platform != "cpu":
        return 1
    if sum(leaf.nbytes for leaf in jax.tree.leaves(variables)) > MOST_BYTES:
        return 1
    return max(1, min(cores(), rows // LEAST_ROWS))


def together(calls: Sequence[Callable[[], PyTree]], threads: int) -> list[Any]:
    """The results of the calls, in their order; so many of them run at the same time.

    Other threads do not see what a context manager of jax has set in this one. If something is set,
    such as `jax.default_matmul_precision`, the calls run here, one after the other.

    Example:
      >>> together([lambda: 1, lambda: 2, lambda: 3], threads=2)
      [1, 2, 3]
    """
    if threads == 1 or len(calls) == 1:
        return [call() for call in calls]
    pool = _pool(threads)
    if pool.submit(_settings).result() != _settings():
        return [call() for call in calls]
    return list(pool.map(_finished, calls))


@functools.cache
def _pool(threads):
    """Threads that stay: in a new one, the first call of a compiled program is slow."""
    return ThreadPoolExecutor(threads)


if hasattr(os, "register_at_fork"):  # threads do not live on in a forked process
    os.register_at_fork(after_in_child=_pool.cache_clear)


@without_x64
def _finished(call):
    return jax.block_until_ready(call())


@without_x64
def _settings():
    """What jax is set to, as this thread sees it."""
    return [getattr(jax.config, name, None) for name in jax.config.values]
