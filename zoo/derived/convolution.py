"""The rule of a convolution.

For one place of the output a convolution is a product of the patch under its kernel with the kernel
as a matrix. With stride s, dilation d, padding p and taps k0..k1 that are not masked, places [o, o
+ n) of the output need

    [o s + k0 d - p,  (o + n - 1) s + k1 d - p]

of the input, and zeros where that leaves the array.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network.codes import ZERO
from zoo.derived.network.graph import Op
from zoo.derived.network.windows import Refused, fixed, is_full, moving, overhang, whole
from zoo.derived.rules import rule


@rule("conv_general_dilated")
def _(op, k, window, times):
    p = op.params
    dn, source, kernel = p["dimension_numbers"], op.ins[0], op.ins[1]
    features = window[dn.out_spec[1]]
    partial = not is_full(features, op.outs[0].shape[dn.out_spec[1]])
    if kernel.live or p["batch_group_count"] != 1 or (partial and p["feature_group_count"] != 1):
        raise Refused("a convolution whose kernel is drawn, or by groups of channels")
    need: list[Any] = [None] * len(window)
    need[dn.lhs_spec[0]] = window[dn.out_spec[0]]
    need[dn.lhs_spec[1]] = fixed(0, source.shape[dn.lhs_spec[1]], len(times))
    spread, edges, leaves = [], [], []
    for q, (first, last) in enumerate(boxes(op)):
        axis, length = dn.lhs_spec[2 + q], source.shape[dn.lhs_spec[2 + q]]
        stride, dilation, wide = p["window_strides"][q], p["rhs_dilation"][q], p["lhs_dilation"][q]
        span = window[dn.out_spec[2 + q]]
        start = span.first * stride + first * dilation - p["padding"][q][0]
        size = (span.size - 1) * stride + (last - first) * dilation + 1
        spread.append((wide, moving(start % wide, size)))
        start, size = start // wide, int(((start + size - 1) // wide - start // wide).max()) + 1
        edges.append((0, 0))
        need[axis] = moving(start, size)
        before, behind = overhang(need[axis], length, times)
        leaves.append(bool(before or behind) and not need[axis].start.constant)
        if need[axis].start.constant and (before or behind):  # zeros around, the same at every rank
            low = min(before, size)
            high = min(behind, size - low)
            edges[-1] = (low, high)
            need[axis] = fixed(int(start[0]) + low, size - low - high, len(times))

    def compute(run, a, weights):
        for axis, leaves_it in zip(dn.lhs_spec[2:], leaves, strict=True):
            if leaves_it and not run.zeros_around(
                source, axis + len(source.loops), need[axis], times
            ):
                a = run.outside(a, source.batched, axis, need[axis], source.shape[axis], 0)
        config = [(0, 0, 0)] * len(window)
        for axis, (low, high), (wide, _) in zip(dn.lhs_spec[2:], edges, spread, strict=True):
            config[axis] = (low * wide, high * wide, wide - 1)
        a = (
            run.map([source], lambda a: lax.pad(a, jnp.zeros((), a.dtype), config), a)
            if any(map(any, config))
            else a
        )
        if any(wide > 1 for wide, _ in spread):
            a = _phase(run, a, source.batched, dn, spread)
        return _product(run, op, a, weights, features if partial else None)

    return [tuple(need), whole(kernel.all_shape, len(times))], compute


@rule("reduce_window_sum", "reduce_window_max", "reduce_window_min")
def _(op, k, window, times):
    """Pooling, without its padding: what lies outside counts for nothing."""
    p, source = op.params, op.ins[0]
    if any(n != 1 for n in p["base_dilation"]):
        raise Refused("pooling of an array that is spread out")
    need, leaves = [], []
    for d, span in enumerate(window):
        stride, dilation = p["window_strides"][d], p["window_dilation"][d]
        size = (span.size - 1) * stride + (p["window_dimensions"][d] - 1) * dilation + 1
        need.append(moving(span.first * stride - p["padding"][d][0], size))
        if any(overhang(need[d], source.shape[d], times)):
            leaves.append(d)
    neutral = {"reduce_window_sum": 0, "reduce_window_max": -np.inf, "reduce_window_min": np.inf}
    filling = neutral[op.name]
    if np.isinf(filling) and np.issubdtype(source.dtype, np.integer):
        filling = (np.iinfo(source.dtype).max, np.iinfo(source.dtype).min)[filling < 0]
    inner = {**p, "padding": ((0, 0),) * len(window)}

    def compute(run, a):
        for d in leaves:
            a = run.outside(a, source.batched, d, need[d], source.shape[d], filling)
        return run.map([source], lambda a: op.fn.func(op.fn.args[0], inner, a)[0], a)

    return [tuple(need)], compute


def boxes(op: Op) -> list[tuple[int, int]]:
    """For each axis of the kernel its first and last tap with weights."""
    spec, kernel = op.params["dimension_numbers"].rhs_spec, op.ins[1]
    code = kernel.code[(0,) * len(kernel.loops)] if kernel.loops else kernel.code
    result = []
    for d in spec[2:]:
        there = (code != ZERO).any(tuple(q for q in range(code.ndim) if q != d))
        at = np.flatnonzero(np.broadcast_to(there, (kernel.shape[d],)))
        result.append((int(at[0]), int(at[-1])) if len(at) else (0, 0))
    return result


def _phase(run, a, batched, dn, spread):
    """Of an input spread out with zeros in between, the part that begins at the right phase."""
    parts, shape = [], a.shape[int(batched) :]
    for d, n in enumerate(shape):
        q = dn.lhs_spec.index(d) - 2
        parts.append(spread[q][1] if q >= 0 else fixed(0, n, len(spread[0][1].first)))
    short = [
        (0, max(0, span.size + int(span.first.max()) - n), 0)
        for span, n in zip(parts, shape, strict=True)
    ]
    a = lax.pad(a, jnp.zeros((), a.dtype), [(0, 0, 0)] * int(batched) + short)
    return run.cut(a, batched, tuple(parts))


def prepared(op: Op) -> Callable:
    """The function that makes of a kernel what `_product` multiplies by: its taps with weights, as
    one matrix where that is all there is to it."""
    dn = op.params["dimension_numbers"]
    taps = [slice(None)] * len(dn.rhs_spec)
    for axis, (first, last) in zip(dn.rhs_spec[2:], boxes(op), strict=True):
        taps[axis] = slice(first, last + 1)
    order = (*reversed(dn.rhs_spec[2:]), dn.rhs_spec[1], dn.rhs_spec[0])

    def matrix(w):
        return w[tuple(taps)].transpose(order).reshape(-1, w.shape[dn.rhs_spec[0]])

    return matrix if _is_product(op) else lambda w: w[tuple(taps)]


def _is_product(op):
    return op.params["feature_group_count"] == 1 and all(
        s == 1 for s in op.params["window_strides"]
    )


def _product(run, op, a, weights, features):
    """The convolution of a window, without padding: a product of matrices if it is one place, or
    one row of them."""
    p = op.params
    dn = p["dimension_numbers"]
    weights = run.prepared(op, prepared(op), weights)
    if not _is_product(op):
        convolve = functools.partial(
            lax.conv_general_dilated,
            window_strides=p["window_strides"],
            padding=[(0, 0)] * len(p["window_strides"]),
            rhs_dilation=p["rhs_dilation"],
            dimension_numbers=dn,
            feature_group_count=p["feature_group_count"],
            precision=p["precision"],
            preferred_element_type=p["preferred_element_type"],
        )
        return run.map(op.ins[:2], convolve, a, weights)
    if features is not None:
        weights = lax.dynamic_slice_in_dim(
            weights, run.at(features.start), features.size, 1 + op.ins[1].batched
        )
    counts = [last - first + 1 for first, last in boxes(op)]

    def multiply(a, matrix):
        a = a.transpose(dn.lhs_spec[0], *dn.lhs_spec[2:], dn.lhs_spec[1])  # batch, space, channels
        for q, (number, dilation) in enumerate(zip(counts, p["rhs_dilation"], strict=True), 1):
            length = a.shape[q] - (number - 1) * dilation
            cuts = [
                lax.slice_in_dim(a, i * dilation, i * dilation + length, axis=q)
                for i in range(number)
            ]
            a = jnp.concatenate(cuts, -1) if number > 1 else a
        product = jnp.matmul(
            a, matrix, precision=p["precision"], preferred_element_type=p["preferred_element_type"]
        )
        return product.transpose(np.argsort((dn.out_spec[0], *dn.out_spec[2:], dn.out_spec[1])))

    return run.map(op.ins[:2], multiply, a, weights)
