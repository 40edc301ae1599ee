"""The cores of a processor, each of which draws a part of a batch.

A step of a sampler multiplies few rows, so XLA keeps it on one core. On a CPU the rows of a batch are
therefore shared among the cores: one program runs for each part, in a thread of its own.
"""

import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import PyTree

import zoo
from zoo.foundation.flop_counter import flops
from zoo.foundation.precision import without_x64

LEAST_ROWS = 4  # of a part
LEAST_WORK = 500_000  # FLOPs of a step of a part: a shorter one takes as long with half of its rows
MOST_BYTES = 1 << 26  # every part reads all weights: larger ones fit no cache, and memory limits
_REFUSED = object()
_works: dict[zoo.Autoregressive, float] = {}


def cores() -> int:
    """The cores that this process may use.

    Example:
      >>> cores() >= 1
      True
    """
    affinity = getattr(os, "sched_getaffinity", None)  # absent on some systems
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def parts_of(
    rows: int, model: zoo.Autoregressive, variables: PyTree, context: PyTree, mesh: Mesh
) -> int:
    """How many parts of a batch are drawn at the same time, at least 1.

    It is 1 on another device than a CPU, with several devices, which share the batch already, and
    where a part would have too little to do.

    Example:
      >>> from zoo.foundation.processes import local_mesh
      >>> model = zoo.NADE((4, 4), hidden=3)
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> parts_of(64, model, variables, None, local_mesh())
      1
    """
    most = min(cores(), rows // LEAST_ROWS)
    if mesh.size > 1 or mesh.devices.flat[0].platform != "cpu" or most < 2:
        return 1
    if sum(leaf.nbytes for leaf in jax.tree.leaves(variables)) > MOST_BYTES:
        return 1
    return max(1, int(min(most, rows * _work(model, variables, context) / LEAST_WORK)))


def _work(model, variables, context):
    """The FLOPs of a step for each example: those of its likelihood, over the number of sites."""
    if model not in _works:
        x = jax.ShapeDtypeStruct((1, *model.site_shape, *model.head.event_shape), model.head.dtype)
        one = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), context
        )
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), variables)
        try:
            count = flops(lambda v, x, c: zoo.log_prob(model, v, x, c), shapes, x, one)
            _works[model] = count / model.num_sites
        except ValueError:  # a loop whose number of turns is not known
            _works[model] = math.inf
    return _works[model]


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
    results = _pool(threads).map(functools.partial(_finished, _settings()), calls)
    return [
        call() if result is _REFUSED else result
        for call, result in zip(calls, results, strict=True)
    ]


@jax.jit
def joined(parts: Sequence[PyTree]) -> PyTree:
    """The parts of a batch as one: trees of arrays, joined along the first axis.

    Example:
      >>> joined([jnp.zeros((2, 3)), jnp.ones((2, 3))]).shape
      (4, 3)
    """
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


@functools.cache
def _pool(threads):
    """Threads that stay: in a new one, the first call of a compiled program is slow."""
    return ThreadPoolExecutor(threads)


if hasattr(os, "register_at_fork"):  # threads do not live on in a forked process
    os.register_at_fork(after_in_child=_pool.cache_clear)


@without_x64
def _finished(settings, call):
    """The result of a call, once it is computed; _REFUSED where this thread has other settings."""
    return jax.block_until_ready(call()) if _settings() == settings else _REFUSED


@without_x64
def _settings():
    """What jax is set to, as this thread sees it."""
    return [getattr(jax.config, name, None) for name in jax.config.values]
