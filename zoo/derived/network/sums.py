"""Sums of products as one product.

What layers add to a sum, x_1 W_1 + ... + x_n W_n, is the product of the x_i side by side and of the
W_i below each other, computed when the last of the x_i is known. The skip outputs of WaveNet are such
a sum: the product of a layer then has those features alone that the next layer reads.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network import finality
from zoo.derived.network.graph import Array, Op, graph_of

FEWEST = 3  # products of which one is worth more
Readers = dict[Array, list[Op]]


class Term(NamedTuple):
    """Features `first` to `end` of an array, as a term of a sum."""

    array: Array
    first: int
    end: int

    def features(self, value: Any) -> Any:
        """These features of what lies along the last axis."""
        if value.shape[-1:] in ((), (1,)):
            return value
        return lax.slice_in_dim(value, self.first, self.end, axis=-1)


def with_sums_in_one(ops: Sequence[Op]) -> list[Op]:
    """The operations, with one product in each sum of `FEWEST` or more that become known together."""
    readers: Readers = {}
    for op in ops:
        for each in op.ins:
            readers.setdefault(each, []).append(op)
    found: list[Op] = []
    for op in ops:
        found += _in_one(op, readers) or [op]
    return found


def _in_one(op: Op, readers: Readers) -> list[Op] | None:
    out = op.outs[0]
    goes_on = [each.name for each in readers.get(out, [])] == ["add"]
    if op.name != "add" or op.loops or not out.live or not out.shape or goes_on:
        return None
    products: list[Op] = []
    terms: list[Term] = []
    others: list[Term] = []
    for each in _terms(op, 0, out.shape[-1], readers):
        made_by = each.array.op
        if made_by is None or not _is_matmul(made_by) or not _together([*products[:1], made_by]):
            others.append(each)
        else:
            products.append(made_by)
            terms.append(each)
    if len(products) < FEWEST:
        return None
    fixed = [each for each in others if not each.array.live]  # added up before the first rank
    terms += [*fixed, *(each for each in others if each.array.live)]
    n, m = len(products), len(products) + len(fixed)

    def total(sources, *values):
        parts = [term.features(each) for term, each in zip(terms, values, strict=True)]
        sums = [functools.reduce(operator.add, parts[n:m])] if fixed else []
        made = products[0].fn(jnp.concatenate(sources, -1), jnp.concatenate(parts[:n]))
        return functools.reduce(operator.add, [*made, *sums, *parts[m:]])

    sources, kernels = ([each.ins[side] for each in products] for side in (0, 1))
    inputs = sources, *kernels, *(each.array for each in terms[n:])
    shapes = jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype), inputs)
    ops, _, made = graph_of(jax.make_jaxpr(total)(*shapes), jax.tree.leaves(inputs))
    finality.propagate_on(ops)
    assert made.op is not None
    made.op.outs, out.op = [out], made.op
    return ops


def _terms(op: Op, first: int, end: int, readers: Readers) -> Iterator[Term]:
    """What an addition adds up, through sums and slices that are read for it alone."""
    for array in op.ins:
        low, high, inner = first, end, array.op
        if inner is not None and inner.name == "slice" and _is_of_features(inner):
            start, array = inner.params["start_indices"][-1], inner.ins[0]
            low, high, inner = first + start, end + start, array.op
        names = [each.name for each in readers[array]]
        alone = len(names) == 1 or {*names} == {"slice"}
        if alone and inner is not None and inner.name == "add" and array.live and not inner.loops:
            yield from _terms(inner, low, high, readers)
        else:
            yield Term(array, low, high)


def _is_of_features(op):
    """Whether a slice takes a range along the last axis alone."""
    p, shape = op.params, op.ins[0].shape
    spans = [*zip(p["start_indices"], p["limit_indices"], strict=True)][:-1]
    return not p["strides"] and spans == [(0, n) for n in shape[:-1]]


def _is_matmul(op):
    """Whether it is x W with weights W."""
    if op.name != "dot_general" or op.loops:
        return False
    x, weights = op.ins
    plain = op.params["dimension_numbers"] == (((len(x.shape) - 1,), (0,)), ((), ()))
    return plain and x.live and not (weights.live or weights.batched) and len(weights.shape) == 2


def _together(products):
    """Whether what they multiply becomes known together, and they are computed alike."""
    a, b = products[0], products[-1]
    known = [each.ins[0].code.max(-1) for each in (a, b)]
    alike = [(each.ins[0].dtype, each.ins[1].dtype, str(each.params)) for each in (a, b)]
    return np.array_equal(*known) and alike[0] == alike[1]
