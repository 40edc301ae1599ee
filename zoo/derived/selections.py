"""Rules of what puts arrays together or takes them apart: padding, concatenation and slices."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network.windows import Refused, fixed, is_full, moved, moving, overhang, sizes
from zoo.derived.rules import PRODUCTS, VIEWS, rule


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
        which = run.at(moving(self.which).start)
        return branches[which]() if isinstance(which, int) else lax.switch(which, branches)

    def _branch(self, run, i):
        def read():
            return run.same(self.op, i, run.inside().read(self.op.ins[i], self.needs[i]))

        return read


def is_product(array: Any) -> bool:
    """Whether it is a product, seen through views."""
    while array.op is not None and array.op.name in VIEWS and len(array.op.ins) == 1:
        array = array.op.ins[0]
    return array.live and array.op is not None and array.op.name in PRODUCTS


def is_biased_product(array: Any) -> bool:
    """Whether it is a product, also with something that depends on weights alone added."""
    live = [each for each in array.op.ins if each.live] if array.op is not None else []
    biased = len(live) == 1 and array.op.name == "add" and is_biased_product(live[0])
    return biased or is_product(array)


@rule("concatenate")
def _(op, k, window, times):
    d, n = int(op.params["dimension"]), len(times)
    span, lengths = window[d], [each.shape[d] for each in op.ins]
    offsets = np.concatenate([[0], np.cumsum(lengths)])[:-1].tolist()
    if span.start.constant:
        needs, start = [], int(span.first[0])
        for offset, length in zip(offsets, lengths, strict=True):
            low, high = max(0, start - offset), min(length, start + span.size - offset)
            need = (*window[:d], fixed(low, max(0, high - low), n), *window[d + 1 :])
            needs.append(need if high > low else None)
        used = [i for i, need in enumerate(needs) if need is not None]
        axis = d + any(each.batched for each in op.ins)
        return needs, lambda run, *each: lax.concatenate(
            [run.same(op, i, each[i]) for i in used], axis
        )
    which = np.searchsorted(offsets, span.first, side="right") - 1
    within = (span.first >= 0) & (
        span.last < (offsets + np.array(lengths))[np.clip(which, 0, None)]
    )
    costly = len(op.ins) > 2 or all(is_product(each) for each in op.ins)
    if costly and not op.loops and within[times].all():
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


@rule("dynamic_slice")
def _(op, k, window, times):
    source, *starts = op.ins
    if any(each.value is None for each in starts):
        raise Refused("a slice at a place that depends on what is drawn")
    lead, inner = dict(zip(op.loops, window, strict=False)), window[len(op.loops) :]
    if any(span.size != 1 for span in lead.values()):
        raise Refused("slices in several iterations at once")
    need = [lead[loop] for loop in source.loops]
    for n, size, start, span in zip(
        source.shape, op.params["slice_sizes"], starts, inner, strict=True
    ):
        iteration = tuple(np.clip(lead[each].first, 0, each.length - 1) for each in start.loops)
        need.append(moved(span, np.clip(start.value[iteration], 0, n - size)))
    shape, out = sizes(window), op.outs[0]
    reads = [tuple(need), *[None] * len(starts)]
    return reads, lambda run, x, *_: run.fit(x, source.batched, out.batched, shape)
