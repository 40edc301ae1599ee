"""Rules of gathers and updates: at places that the program says, or at places that depend on what
is drawn.

Where the program says them, such as an ordering of the sites, each entry of the output is one entry
of the source. For a window of the output, the rule asks for the smallest box that holds those
entries, and its corner is a table with one entry per rank.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network.graph import Array, bind
from zoo.derived.network.product_codes import UPDATES, gathered_from, written
from zoo.derived.network.values import LARGEST
from zoo.derived.network.windows import Refused, fixed, is_full, moving, sizes, volume, whole
from zoo.derived.rules import rule


@rule("gather")
def _(op, k, window, times):
    source, index = op.ins
    if index.value is None or index.loops or not source.live:
        return _drawn_places(op, window, times)
    places = gathered_from(op.fn, source.shape, index.value)
    if (places < 0).any():
        raise Refused("a gather that fills in")
    need, pick = _picked(source, places, window, times)
    return [need, whole(index.shape, len(times))], lambda run, x, _: pick(run, x)


@rule(*UPDATES)
def _(op, k, window, times):
    """What is written lies where the program says, the rest is as it was."""
    if any(each.loops for each in op.ins):
        raise Refused("an update in a loop")
    places = written(op.name, op.ins, op.fn)
    if places is None:
        raise Refused("an update at places that depend on what is drawn")
    at = 1 if op.name == "dynamic_update_slice" else 2
    update = op.ins[at]
    need, pick = _picked(update, places, window, times)
    reads: list[Any] = [None if each.value is not None else () for each in op.ins]
    reads[0], reads[at] = window, need

    def compute(run, *each):
        old, new = run.same(op, 0, each[0]), pick(run, each[at])
        if not update.batched and op.outs[0].batched:
            new = new[None]
        inside = run.cut(jnp.asarray(places >= 0), False, window)
        if op.name != "scatter" and at == 2:
            return old + jnp.where(inside, new, 0)
        return jnp.where(inside, new, old)

    return reads, compute


def _picked(source: Array, places: np.ndarray, window: Any, times: np.ndarray) -> Any:
    """The box of the source that a window reads, and how to read it.

    Args:
      source: the array.
      places: for each entry of the output the flat place in the source, -1 for none.
      window: of the output; times: when.
    """
    still = all(span.start.constant for span in window)
    grids = [span.first[: 1 if still else None, None] + np.arange(span.size) for span in window]
    number = len(grids[0]) if grids else 1
    if number * np.prod(sizes(window), dtype=float) > LARGEST:
        raise Refused("a gather of too many places")
    index = []
    for d, (grid, n) in enumerate(zip(grids, places.shape, strict=True)):
        shape = [number, *(-1 if e == d else 1 for e in range(len(grids)))]
        index.append(np.clip(grid, 0, n - 1).reshape(shape))
    flat = places[tuple(index)] if index else places[None]  # [ranks or 1, ...window]
    there = flat >= 0
    there = there & (times if number > 1 else times[:1] | True).reshape(-1, *[1] * len(window))
    every = tuple(range(1, flat.ndim))
    need, starts = [], []
    for n, at in zip(
        source.shape, np.unravel_index(np.maximum(flat, 0), source.shape), strict=True
    ):
        low = np.where(there, at, n - 1).min(every)
        high = np.where(there, at, 0).max(every)
        size = max(1, int((high - low).max()) + 1)
        start = np.clip(low, 0, n - size)
        need.append(moving(np.broadcast_to(start, len(times)), size))
        starts.append(start.reshape(-1, *[1] * len(window)))
    inner = np.zeros(flat.shape, np.int64)  # the place in the box
    for span, at, start in zip(
        need, np.unravel_index(np.maximum(flat, 0), source.shape), starts, strict=True
    ):
        inner = inner * span.size + np.clip(at - start, 0, span.size - 1)
    rows = inner.reshape(number, -1)
    used = rows[there.any(every)] if there.any() else rows[:1]
    alike = bool((used == used[:1]).all())
    as_it_is = alike and np.array_equal(used[0], np.arange(volume(tuple(need))))

    def pick(run, x):
        if as_it_is:
            return run.map([source], lambda a: a.reshape(sizes(window)), x)
        table = jnp.asarray(used[0] if alike else rows, jnp.int32)
        chosen = table if alike else lax.dynamic_index_in_dim(table, run.t, 0, keepdims=False)
        return run.map(
            [source],
            lambda a: jnp.take(a.reshape(-1), chosen, mode="clip").reshape(sizes(window)),
            x,
        )

    return tuple(need), pick


def _drawn_places(op, window, times):
    """A gather whose places depend on what is drawn: all of the axes that they run over."""
    source, index = op.ins
    dn, lengths = op.params["dimension_numbers"], list(op.params["slice_sizes"])
    apart = (*dn.collapsed_slice_dims, *dn.operand_batching_dims)
    offsets = iter(dn.offset_dims)
    need: list[Any] = [fixed(0, n, len(times)) for n in source.shape]
    for d, n in enumerate(source.shape):
        if d in apart:
            continue
        out = next(offsets)
        span = window[out]
        if d not in dn.start_index_map and lengths[d] == n:  # read from its first place on
            need[d], lengths[d] = span, span.size
        elif not is_full(span, lengths[d]):
            raise Refused("a gather of parts")
    rest = [span for d, span in enumerate(window) if d not in dn.offset_dims]
    vector = len(index.shape) - 1
    for d, of_index in zip(dn.operand_batching_dims, dn.start_indices_batching_dims, strict=True):
        need[d] = rest[of_index]
    params = {**op.params, "slice_sizes": tuple(lengths)}
    reads = [tuple(need), (*rest, fixed(0, index.shape[vector], len(times)))]
    return reads, lambda run, *each: run.map(
        op.ins, lambda a, i: bind(lax.gather_p, params, a, i)[0], *each
    )
