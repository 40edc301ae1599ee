"""Products computed in parts: as the sum of a product of what is known earlier and of one of the rest.

rows      a convolution over an image: the rows above, and the row itself
columns   a convolution over one row: the taps to the left, and the last
pieces    a matrix product of arrays side by side: those known before, and the others

What is known before a row is computed once a row. What is known before a rank is computed as it
begins: for all layers whose products are alike by one operation (`zoo.derived.work.together`).
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Sequence
from typing import Any

from jax import lax

from zoo.derived.convolution import boxes
from zoo.derived.network import codes
from zoo.derived.network.graph import Array, Op, bind
from zoo.derived.schedule import NEVER, Demand, needs

CONV, DOT = "conv_general_dilated", "dot_general"
ALIKE = 3  # products that are alike, from which one operation for all of them is worth more


def products(ops: Sequence[Op]) -> collections.Counter:
    """How many products are alike, by `kind`."""
    return collections.Counter(kind(op) for op in ops if op.name in (CONV, DOT))


def kind(op: Op) -> Any:
    """The shapes of a product, of a convolution without the rows of its kernel."""
    shape = op.ins[1].shape
    if op.name == CONV and len(shape) == 4:
        axis = op.params["dimension_numbers"].rhs_spec[2]
        shape = (*shape[:axis], *shape[axis + 1 :])
    return op.name, shape, op.outs[0].shape


def rows_apart(op: Op, array: Array, demands: list[Demand], block: int) -> list[Op] | None:
    """A convolution of which all but the last row of taps is known before a row begins, as a sum of
    two; None if it is no such."""
    if not block or not _is_over_image(op):
        return None
    first, last = boxes(op)[0]
    if last <= first:
        return None
    grid, need = needs(array, demands)
    begins = need // (3 * block) * block
    return _if_known(op, split(op, 0), grid, need, begins)


def known_apart(
    op: Op, array: Array, demands: list[Demand], alike: collections.Counter, cheap: set[Array]
) -> list[Op] | None:
    """A product of which a part is known before the rank, as a sum of two; None if it is no such, if
    few are `alike`, or if it reads what is not remembered, being `cheap`."""
    if op.name not in (CONV, DOT) or alike[kind(op)] < ALIKE or op.ins[0] in cheap:
        return None
    if op.ins[1].live or op.ins[1].batched or any(d.frame != "step" or d.early for d in demands):
        return None
    parts = _columns(op) if op.name == CONV else _pieces(op)
    if parts is None:
        return None
    grid, need = needs(array, demands)
    return _if_known(op, parts, grid, need, (need - 2) // 3 - 1)


def _if_known(op, parts, grid, need, tick):
    """The parts, if the first product of them is known at these ticks."""
    for each in parts:
        if each.outs[0].code is None and each is not parts[-1]:
            ins = [codes.Coded(a.code, a.shape, a.value) for a in each.ins]
            (each.outs[0].code,) = codes.of(each.name, each.params, ins, each.outs, each.fn)
    earlier = grid.coarse(parts[-1].ins[0].code)
    if ((need < NEVER) & (earlier > tick)).any():
        op.outs[0].op = op
        return None
    return parts


def _is_over_image(op):
    plain = op.name == CONV and not op.loops and len(op.outs[0].shape) == 4
    return plain and not op.ins[1].live and op.params["feature_group_count"] == 1


def _columns(op):
    if not _is_over_image(op) or any(n != 1 for n in op.params["window_strides"]):
        return None
    (top, bottom), (first, last) = boxes(op)
    return split(op, 1) if top == bottom and first < last else None


def split(op: Op, q: int) -> list[Op]:
    """K * x as (the taps before the last along spatial axis q) * x + (those of the last) * x, of
    which the first is known earlier."""
    p, kernel = op.params, op.ins[1]
    axis = p["dimension_numbers"].rhs_spec[2 + q]
    length, last = kernel.shape[axis], boxes(op)[q][1]
    made = []
    for first, end in ((0, last), (last, last + 1)):
        made.append(_slice(kernel, axis, first, end, op.line))
        padding = [*p["padding"]]
        (low, high), step = padding[q], p["rhs_dilation"][q]
        padding[q] = (low - first * step, high - (length - end) * step)
        params = {**p, "padding": tuple(padding)}
        fn = functools.partial(bind, lax.conv_general_dilated_p, params)
        made.append(_product(op, fn, op.ins[0], made[-1].outs[0], params))
    return [*made, _sum(op, made[1], made[3], op.outs[0])]


def _pieces(op):
    (left, right), batch = op.params["dimension_numbers"]
    source = op.ins[0].op
    if op.loops or source is None or source.name != "concatenate" or len(left) != 1 or batch[0]:
        return None
    if source.params["dimension"] != left[0] or not all(each.live for each in source.ins):
        return None
    latest = [int(each.code.max()) for each in source.ins]
    if any(code >= latest[-1] for code in latest[:-1]):  # the newest last, as taps are
        return None
    made, total, first = [], None, 0
    for piece in source.ins:
        end = first + piece.shape[left[0]]
        cut = _slice(op.ins[1], right[0], first, end, op.line)
        product = _product(op, op.fn, piece, cut.outs[0], op.params)
        made += [cut, product]
        if total is not None:
            out = op.outs[0] if piece is source.ins[-1] else None
            made.append(_sum(op, total, product, out))
        total, first = made[-1], end
    return made


def _slice(array, axis, first, end, line):
    shape = array.shape
    params = {
        "start_indices": tuple(first if d == axis else 0 for d in range(len(shape))),
        "limit_indices": tuple(end if d == axis else n for d, n in enumerate(shape)),
        "strides": None,
    }
    cut = Op("slice", functools.partial(_cut, first, end, axis), [array], params, line)
    code = array.code if array.code.shape[axis] == 1 else array.code.take(range(first, end), axis)
    new = (*shape[:axis], end - first, *shape[axis + 1 :])
    cut.outs = [Array(new, array.dtype, cut, code=code, batched=array.batched)]
    return cut


def _cut(first, end, axis, kernel):
    return [lax.slice_in_dim(kernel, first, end, axis=axis)]


def _product(op, fn, source, weights, params):
    product, out = Op(op.name, fn, [source, weights], params, op.line), op.outs[0]
    product.outs = [Array(out.shape, out.dtype, product, live=True, batched=out.batched)]
    return product


def _sum(op, before, last, out):
    """The sum of two parts of a product, as `out`; a new array if it is none."""
    total = Op("add", lambda a, b: [a + b], [before.outs[0], last.outs[0]], {}, op.line)
    whole = op.outs[0]
    if out is None:
        out = Array(whole.shape, whole.dtype, live=True, batched=whole.batched)
    total.outs, out.op = [out], total
    return total
