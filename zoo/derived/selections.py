"""Rules of what puts arrays together or takes them apart: padding, concatenation, gathers, slices
and updates."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network.product_codes import gathered_from, updated
from zoo.derived.network.windows import Refused, fixed, is_full, moved, moving, overhang, whole
from zoo.derived.rules import rule


@rule("pad")
def _(op, k, window, times):
    source, config = op.ins[0], op.params["padding_config"]
    if any(
        inner and not is_full(s, n)
        for s, n, (_, _, inner) in zip(window, op.outs[0].shape, config, strict=True)
    ):
        raise Refused("padding between the places of an axis")
    need: list[Any] = []
    fill: list[Any] = []
    for d, (span, (low, high, inner)) in enumerate(zip(window, config, strict=True)):
        n = source.shape[d]
        before, behind = overhang(moved(span, -low), n, times) if low or high or inner else (0, 0)
        if span.start.constant and (
            before or behind or inner
        ):  # what lies in the array, padded again
            first = 0 if inner else int(np.clip(span.first[0] - low, 0, n))
            last = n if inner else int(np.clip(span.last[0] + 1 - low, first, n))
            need.append(fixed(first, last - first, len(times)))
            start, stop = (
                (low, high)
                if inner
                else (low + first - span.first[0], span.last[0] + 1 - low - last)
            )
            fill.append(
                (int(start), int(stop), inner) if last > first or inner else (0, span.size, 0)
            )
        else:
            need.append(moved(span, -low))
            fill.append(None if before or behind else (0, 0, 0))

    def compute(run, a, value):
        still = [each or (0, 0, 0) for each in fill]
        if any(map(any, still)):
            a = run.map(op.ins, lambda a, value: lax.pad(a, value, still), a, value)
        for d, each in enumerate(fill):
            if each is None:
                a = run.outside(a, source.batched, d, need[d], source.shape[d], value)
        return a

    return [tuple(need), ()], compute


class Switch:
    """Reads the one part of a concatenation that a rank needs, and computes no other."""

    def __init__(self, op: Any, needs: Any, which: np.ndarray, times: np.ndarray):
        self.op, self.needs, self.which = op, needs, which
        self.times = [times & (which == i) for i in range(len(needs))]

    def __call__(self, run, *_):
        branches = [self._branch(run, i) for i in range(len(self.needs))]
        return lax.switch(run.at(moving(self.which).start), branches)

    def _branch(self, run, i):
        def read():
            return run.same(self.op, i, run.inside().read(self.op.ins[i], self.needs[i]))

        return read


@rule("concatenate")
def _(op, k, window, times):
    d, n = int(op.params["dimension"]), len(times)
    span, lengths = window[d], [each.shape[d] for each in op.ins]
    offsets = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    if span.start.constant:
        needs, start = [], int(span.first[0])
        for offset, length in zip(offsets, lengths, strict=True):
            low, high = max(0, start - offset), min(length, start + span.size - offset)
            needs.append((*window[:d], fixed(low, max(0, high - low), n), *window[d + 1 :]))
        used = [i for i, need in enumerate(needs) if need[d].size]
        axis = d + any(each.batched for each in op.ins)
        return needs, lambda run, *each: lax.concatenate(
            [run.same(op, i, each[i]) for i in used], axis
        )
    which = np.searchsorted(offsets, span.first, side="right") - 1
    within = (span.first >= 0) & (
        span.last < (offsets + np.array(lengths))[np.clip(which, 0, None)]
    )
    if len(op.ins) > 2 and not op.loops and within[times].all():
        needs = [(*window[:d], moved(span, -int(o)), *window[d + 1 :]) for o in offsets]
        return needs, Switch(op, needs, np.clip(which, 0, None), times)
    needs = []
    for offset, length in zip(offsets, lengths, strict=True):
        at = np.clip(span.first - offset, 1 - span.size, length - 1)
        needs.append((*window[:d], moving(at, span.size), *window[d + 1 :]))

    def compute(run, *each):
        out = run.same(op, 0, each[0])
        for i in range(1, len(each)):
            beyond = run.places(span, d, len(window)) >= int(offsets[i])
            out = jnp.where(beyond, run.same(op, i, each[i]), out)
        return out

    return needs, compute


@rule("gather")
def _(op, k, window, times):
    source, index = op.ins
    dn = op.params["dimension_numbers"]
    if index.value is not None and not index.loops and source.live:
        return _take(op, window, times)
    if source.live or dn.operand_batching_dims:
        raise Refused("a gather at places that depend on what is drawn")
    offsets = [window[d] for d in dn.offset_dims]
    if not all(
        is_full(s, op.outs[0].shape[d]) for s, d in zip(offsets, dn.offset_dims, strict=True)
    ):
        raise Refused("a gather of parts")
    rest = [s for d, s in enumerate(window) if d not in dn.offset_dims]
    full = whole(source.shape, len(times))
    return [full, (*rest, fixed(0, index.shape[-1], len(times)))], lambda run, *each: run.map(
        op.ins, lambda a, i: op.fn(a, i)[0], *each
    )


def _take(op, window, times):
    """A gather at known places along one axis, such as an ordering: the places are composed with
    the window's."""
    source, index = op.ins
    dn = op.params["dimension_numbers"]
    picked = [d for d in range(len(window)) if d not in dn.offset_dims]
    axes = tuple(dn.start_index_map)
    slices = op.params["slice_sizes"]
    others = all(slices[d] == n for d, n in enumerate(source.shape) if d not in axes)
    if (
        len(axes) != 1
        or len(picked) != 1
        or dn.collapsed_slice_dims != axes
        or not others
        or dn.operand_batching_dims
    ):
        raise Refused("a gather along several axes")
    (axis,), (out_axis,) = axes, picked
    order = gathered_from(op.fn, source.shape, index.value)
    order = np.moveaxis(order, out_axis, 0).reshape(len(order.swapaxes(0, out_axis)), -1)[:, 0]
    if (order < 0).any():
        raise Refused("a gather that fills in")
    stride = int(np.prod(source.shape[axis + 1 :], dtype=int))
    order = order // stride % source.shape[axis]
    span = window[out_axis]
    rest = [s for d, s in enumerate(window) if d != out_axis]
    steps = np.stack([order[np.clip(span.first + i, 0, len(order) - 1)] for i in range(span.size)])
    run_of = (steps == steps[0] + np.arange(span.size)[:, None]).all()
    wanted = moving(steps[0], span.size) if run_of else fixed(0, source.shape[axis], len(times))
    need = (*rest[:axis], wanted, *rest[axis:])

    def compute(run, x, _):
        if not run_of:
            places = run.at(span.start) + jnp.arange(span.size, dtype=jnp.int32)
            places = jnp.take(jnp.asarray(order, jnp.int32), places, mode="clip")
            x = jnp.take(x, places, axis=axis + source.batched, mode="clip")
        return run.map(op.ins[:1], lambda a: jnp.moveaxis(a, axis, out_axis), x)

    return [need, whole(index.shape, len(times))], compute


@rule("scatter", "dynamic_update_slice")
def _(op, k, window, times):
    """An update at known places: what lies in their box is of the update, the rest as it was."""
    if any(each.loops for each in op.ins):
        raise Refused("an update in a loop")
    box = updated(op.ins, op.fn)
    if box is None:
        raise Refused("an update at places that depend on what is drawn")
    at = 2 if op.name == "scatter" else 1
    update = op.ins[at]
    lengths = [b - a for a, b in box]
    part = tuple(
        moving(np.clip(s.first - a, 1 - s.size, b - a - 1), s.size)
        for s, (a, b) in zip(window, box, strict=True)
    )
    reads: list[Any] = [None if each.value is not None else () for each in op.ins]
    reads[0], reads[at] = window, whole(update.shape, len(times))

    def compute(run, *each):
        new = run.map([update], lambda a: a.reshape(lengths), each[at])
        new = run.same(op, at, run.cut(new, update.batched, part))
        inside = jnp.ones((1,) * (len(window) + 1), bool)
        for d, (span, (a, b)) in enumerate(zip(window, box, strict=True)):
            places = run.places(span, d, len(window))
            inside = inside & (places >= a) & (places < b)
        return jnp.where(inside, new, run.same(op, 0, each[0]))

    return reads, compute


@rule("dynamic_slice")
def _(op, k, window, times):
    source, *starts = op.ins
    if any(each.value is None or each.loops for each in starts):
        raise Refused("a slice at a place that depends on what is drawn")
    need = []
    for n, size, start, span in zip(
        source.shape, op.params["slice_sizes"], starts, window, strict=True
    ):
        need.append(moved(span, int(np.clip(int(start.value), 0, n - size))))
    return [tuple(need), *[()] * len(starts)], lambda run, x, *_: x
