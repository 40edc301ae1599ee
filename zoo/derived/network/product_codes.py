"""The codes of reductions, products, convolutions, gathers and updates: where zeros of masks count.

An entry of a product is final when all pairs of factors are that it sums up, but for those of which
one is ZERO.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from zoo.derived.network.codes import LOW, ZERO, along, most, ordinary, rule
from zoo.derived.network.values import LARGEST

_CHUNK = 1 << 24  # entries of a product of codes at a time


@rule("reduce_max", "reduce_or")
def _(params, ins, outs, fn):
    return ins[0].code.max(axis=tuple(params["axes"]), initial=LOW)


@rule("reduce_sum")
def _(params, ins, outs, fn):
    axes = tuple(params["axes"])
    greatest, least = ins[0].code.max(axes, initial=LOW), ins[0].code.min(axes, initial=ZERO)
    return np.where((greatest == ZERO) & (least == LOW), LOW, greatest)


@rule("reduce_min", "reduce_prod", "reduce_and", "reduce_xor", "argmax", "argmin")
def _(params, ins, outs, fn):
    return np.maximum(ins[0].code.max(axis=tuple(params["axes"]), initial=LOW), 0)


def _running(code_of):
    """The rule of a running sum and the like; `code_of` (the greatest code so far, the least code)."""

    def rule_of(params, ins, outs, fn):
        axis, code = params["axis"], along(ins[0], [params["axis"]])
        turn = (lambda a: np.flip(a, axis)) if params["reverse"] else lambda a: a
        parts = (each.accumulate(turn(code), axis) for each in (np.maximum, np.minimum))
        return turn(code_of(*parts))

    return rule_of


rule("cummax")(_running(lambda most, least: most))
rule("cumsum", "cummin")(_running(lambda most, least: np.where(least == LOW, LOW, most)))
rule("cumprod")(
    _running(lambda most, least: np.where((most == ZERO) & (least == ZERO), ZERO, ordinary(most)))
)
rule("cumlogsumexp")(_running(lambda most, least: np.where(most == LOW, LOW, ordinary(most))))


@rule("reduce_window_sum", "reduce_window_max", "reduce_window_min")
def _(params, ins, outs, fn):
    """Over windows, such as pooling: the greatest code in each."""
    sizes, code = params["window_dimensions"], ins[0].code
    if any(n != 1 for n in params["base_dilation"]):
        return None
    for d, size in enumerate(sizes):
        stride, (low, high) = params["window_strides"][d], params["padding"][d]
        if code.shape[d] == 1 and not low and not high:
            continue
        first = np.arange(outs[0].shape[d]) * stride - low
        seen = along(ins[0]._replace(code=code), [d])
        places = first[:, None] + np.arange(size) * params["window_dilation"][d]
        inside = (places >= 0) & (places < ins[0].shape[d])
        shape = [1] * code.ndim
        result = None
        for at, there in zip(places.T, inside.T, strict=True):
            shape[d] = len(at)
            each = np.take(seen, np.clip(at, 0, ins[0].shape[d] - 1), d)
            each = np.where(there.reshape(shape), each, LOW)
            result = each if result is None else np.maximum(result, each)
        code = result
    return np.maximum(code, 0)


@rule("sort", "top_k", "approx_top_k")
def _(params, ins, outs, fn):
    d = params.get("axis", params.get("dimension", params.get("reduction_dimension", -1)))
    code = ordinary(*(each.code for each in ins)).max(axis=d, keepdims=True)
    return [code] * len(outs)


@rule("dynamic_slice")
def _(params, ins, outs, fn):
    if any(each.value is None for each in ins[1:]):
        return None
    parts = []
    for n, size, length, start in zip(
        ins[0].shape, params["slice_sizes"], ins[0].code.shape, ins[1:], strict=True
    ):
        first = int(np.clip(int(start.value), 0, n - size))
        parts.append(slice(None) if length == 1 else slice(first, first + size))
    return ins[0].code[tuple(parts)]


UPDATES = ("scatter", "scatter-add", "scatter_add", "dynamic_update_slice")


@rule(*UPDATES)
def _(params, ins, outs, fn):
    name = "dynamic_update_slice" if "dimension_numbers" not in params else "scatter"
    places = written(name, ins, fn)
    if places is None:
        return None
    update = ins[1 if name == "dynamic_update_slice" else 2]
    new = along(update, range(len(update.shape))).reshape(-1)[np.maximum(places, 0)]
    old = np.broadcast_to(ins[0].code, ins[0].shape)
    if params.get("update_jaxpr") is not None:  # a sum
        new = most(old, new)
    return np.where(places >= 0, new, old)


def written(name: str, ins: Sequence[Any], fn: Callable) -> np.ndarray | None:
    """For each entry of what an update gives the flat place in the update, -1 where nothing is
    written; None if the program does not say where, or some entries meet."""
    shape, scatters = ins[0].shape, name != "dynamic_update_slice"
    indices, update = (ins[1:2], ins[2]) if scatters else (ins[2:], ins[1])
    if any(each.value is None for each in indices) or np.prod(shape, dtype=float) > LARGEST:
        return None
    with jax.ensure_compile_time_eval():
        operand = np.zeros(shape, np.float32)
        number = np.arange(1, 1 + np.prod(update.shape, dtype=int), dtype=np.float32)
        number = number.reshape(update.shape)
        known = [np.asarray(each.value) for each in indices]
        given = (*known, number) if scatters else (number, *known)
        places = np.asarray(fn(operand, *given)[0]).astype(np.int64) - 1
    found = np.sort(places[places >= 0])
    return places if np.array_equal(found, np.arange(number.size)) else None


@rule("dot_general")
def _(params, ins, outs, fn):
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = params["dimension_numbers"]
    a, a_free = _arranged(ins[0], lhs_batch, lhs_contract)
    b, b_free = _arranged(ins[1], rhs_batch, rhs_contract)
    batch = np.broadcast_shapes(a[0].shape[: len(lhs_batch)], b[0].shape[: len(rhs_batch)])
    left, right = a[0], b[0]
    if left.shape[-1] == 1 or right.shape[-1] == 1:  # one side is alike along the sum
        left, right = left.max(-1), right.max(-1)
        product = _pair(left[..., :, None], right[..., None, :])
    else:
        rows = max(1, _CHUNK // max(1, right.size))
        parts = [left[..., i : i + rows, None, :] for i in range(0, left.shape[-2], rows)]
        product = np.concatenate(
            [_pair(each, right[..., None, :, :]).max(-1) for each in parts], -2
        )
    return product.reshape((*batch, *a_free, *b_free))


def _arranged(x, batch, contract):
    """[batch..., free, contracted], the last two each one axis; and the lengths of the free
    axes."""
    free = [d for d in range(len(x.shape)) if d not in batch and d not in contract]
    varied = list(contract) if any(x.code.shape[d] > 1 for d in contract) else []
    code = along(x, varied).transpose(*batch, *free, *contract)
    lengths = [x.code.shape[d] for d in free]
    return (code.reshape(*code.shape[: len(batch)], int(np.prod(lengths, dtype=int)), -1),), lengths


def _pair(a, b):
    return np.where((a == ZERO) | (b == ZERO), ZERO, ordinary(a, b))


@rule("gather")
def _(params, ins, outs, fn):
    x, index = ins
    dn = params["dimension_numbers"]
    if index.value is not None and x.code.size > 1:
        source = gathered_from(fn, x.shape, index.value)
        flat = along(x, range(len(x.shape))).reshape(-1)
        return np.where(source < 0, 0, flat[np.maximum(source, 0)])
    picked = [d for d in range(len(outs[0].shape)) if d not in dn.offset_dims]
    return ordinary(_of_index(index, picked, outs[0]), _of_source(params, x, picked, outs[0]))


def _of_index(index, picked, out):
    shape = [1] * len(out.shape)
    for d, n in zip(picked, index.code.shape[:-1], strict=True):
        shape[d] = n
    return index.code.max(-1).reshape(shape)


def _of_source(params, x, picked, out):
    """Along the axes that places are looked up on, any entry may be read."""
    dn, code = params["dimension_numbers"], x.code
    batching = zip(dn.operand_batching_dims, dn.start_indices_batching_dims, strict=True)
    axis_of = {d: picked[i] for d, i in batching}  # of the source: of the output
    apart = (*dn.collapsed_slice_dims, *axis_of)
    slices = [d for d in range(len(x.shape)) if d not in apart]
    axis_of.update(zip(slices, dn.offset_dims, strict=True))
    for d in range(len(x.shape)):
        whole = d in axis_of and d not in dn.start_index_map
        if d not in dn.operand_batching_dims and not (
            whole and params["slice_sizes"][d] == x.shape[d]
        ):
            code = code.max(d, keepdims=True)
    order = sorted(axis_of, key=axis_of.__getitem__)
    shape = [1] * len(out.shape)
    for d in order:
        shape[axis_of[d]] = code.shape[d]
    return code.transpose(*order, *(d for d in range(code.ndim) if d not in order)).reshape(shape)


def gathered_from(fn: Callable, shape: Sequence[int], index: np.ndarray) -> np.ndarray:
    """For each entry of a gather the flat place that it comes from; -1 for what is filled in."""
    with jax.ensure_compile_time_eval():
        places = 1 + np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
        return np.asarray(fn(places, np.asarray(index))[0]).clip(0) - 1


@rule("conv_general_dilated")
def _(params, ins, outs, fn):
    if params["batch_group_count"] != 1:
        return None
    dn, x, kernel = params["dimension_numbers"], ins[0], ins[1]
    space = [along(x, dn.lhs_spec[2:]).transpose(dn.lhs_spec)]
    channels, mask, of_feature = _channel_classes(
        params, space[0], kernel, outs[0].shape[dn.out_spec[1]], x.shape[dn.lhs_spec[1]]
    )
    taps = [kernel.shape[d] for d in dn.rhs_spec[2:]]
    lengths = [outs[0].shape[d] for d in dn.out_spec[2:]]
    batch = space[0].shape[0]
    result = np.full((mask.shape[1], batch, *lengths), ZERO, np.int32)
    steps = list(
        zip(
            params["window_strides"],
            params["rhs_dilation"],
            params["padding"],
            params["lhs_dilation"],
            strict=True,
        )
    )
    for number, tap in enumerate(itertools.product(*map(range, taps))):
        if not mask[number].any():
            continue
        seen = channels
        for axis, (k, n, (stride, dilation, (low, _), spread)) in enumerate(
            zip(tap, lengths, steps, strict=True), 2
        ):
            place = np.arange(n) * stride + k * dilation - low
            inside = (place >= 0) & (place % spread == 0) & (place // spread < seen.shape[axis])
            seen = np.take(seen, np.where(inside, place // spread, 0), axis)
            seen = np.where(
                inside.reshape([-1 if d == axis else 1 for d in range(seen.ndim)]), seen, ZERO
            )
        for o, i in np.argwhere(mask[number]):
            result[o] = np.maximum(result[o], seen[:, i])
    result = np.where(result >= 0, np.maximum(result, max(0, int(kernel.code.max()))), result)
    result = result[of_feature].swapaxes(0, 1)  # batch, features, space
    return result.transpose(np.argsort(dn.out_spec))


def _channel_classes(params, x, kernel, features, channels):
    """Channels that are alike, as one: x [batch, classes, space...]; which of them each tap sees,
    [taps, kinds, classes];
    and of which kind each output feature is."""
    dn, groups_ = params["dimension_numbers"], params["feature_group_count"]
    weights = kernel.code.transpose(dn.rhs_spec)  # features, channels of a group, taps...
    alike = x.shape[1] == 1
    if not alike:
        _, first, of_channel = np.unique(x, axis=1, return_index=True, return_inverse=True)
        of_channel = of_channel.reshape(-1)
        x = x[:, first]
    else:
        of_channel = np.zeros(channels, int)
    number = x.shape[1]
    full = np.broadcast_to(
        weights, (features, channels // groups_, *[kernel.shape[d] for d in dn.rhs_spec[2:]])
    )
    there = np.moveaxis((full != ZERO).reshape(features, channels // groups_, -1), 2, 0)
    seen = np.zeros((len(there), features, number), bool)
    for o_group in range(groups_ if number > 1 else 1):
        size = features // groups_ if number > 1 else features
        part = slice(o_group * size, (o_group + 1) * size)
        for i in range(there.shape[2]):
            seen[:, part, of_channel[o_group * there.shape[2] + i]] |= there[:, part, i]
    _, first, places = np.unique(seen, axis=1, return_index=True, return_inverse=True)
    return x, seen[:, first], places.reshape(-1)
