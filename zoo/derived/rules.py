"""What an operation needs for a window of its output, and how it computes that window.

A rule takes an operation, the number of the output, its window and the ranks at which it is wanted
(a bool for each). It returns the windows of the inputs (None for one that is not needed), and a
function (run, values of these) -> value of the output. Windows may reach over the edges of an
array, where values are arbitrary: whoever asks for them leaves them out. A rule that cannot follow
  a window raises `Refused`; the operation is then computed whole.

A value that differs from example to example has the batch in front; `run.map` takes a function of
one example over it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jax import lax

from zoo.derived.network import codes
from zoo.derived.network.reach import shortened
from zoo.derived.network.windows import (
    Refused,
    Span,
    Window,
    fixed,
    groups,
    joined,
    moved,
    moving,
    parted,
    relative,
    sizes,
    whole,
)

RULES: dict[str, Callable[..., Any]] = {}
VIEWS = {
    "reshape",
    "transpose",
    "slice",
    "pad",
    "squeeze",
    "broadcast_in_dim",
    "concatenate",
    "split",
    "rev",
}
PRODUCTS = ("dot_general", "conv_general_dilated")
LINKS = {"delay", "enter_loop", "leave_loop", "last", "pick", "pile", "same"}
KNOWS_LOOPS = {"dynamic_slice"}  # their rules take the places in loops too
TURNING = {*codes.ELEMENTWISE, *LINKS, "copy_p", "broadcast_in_dim", "transpose", "squeeze"}
TURNING |= {"reshape", "dot_general", "reduce_sum", "reduce_max"}
VIEWS |= {"enter_loop", "leave_loop", "last", "pick", "pile", "same"}


def rule(*names):
    """Registers a rule for these primitives."""

    def register(function):
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def follow(
    op: Any, k: int, window: Window, times: np.ndarray
) -> tuple[list[Window | None], Callable[..., Any]]:
    """The windows of the inputs of `op` for a window of its output k, and the computation; whole,
    where no rule can."""
    if any(span.turn >= 0 for span in window) and not _keeps_turns(op, window):
        lengths = zip(window, op.outs[k].all_shape, strict=True)
        flat = tuple(fixed(0, n, len(times)) if s.turn >= 0 else s for s, n in lengths)
        flat_needs, compute = follow(op, k, flat, times)
        turned = relative(window, flat)
        return flat_needs, lambda run, *each: run.cut(
            compute(run, *each), op.outs[k].batched, turned
        )
    if op.name in LINKS:
        return RULES[op.name](op, k, window, times)
    try:
        if op.name not in RULES:
            raise Refused(f"{op.name} has no rule")
        in_loops = op.loops and op.name not in KNOWS_LOOPS
        return (_in_loops if in_loops else RULES[op.name])(op, k, window, times)
    except Refused:
        needs: list[Window | None] = [whole(each.all_shape, len(times)) for each in op.ins]
        return needs, functools.partial(_computed_whole, op, k, window)


def _keeps_turns(op, window):
    """Whether a rule takes turned spans as they are."""
    if op.name == "concatenate":
        return window[op.params["dimension"]].turn < 0
    if op.name == "slice":
        return not op.params["strides"] or set(op.params["strides"]) == {1}
    return op.name in TURNING


def _computed_whole(op, k, window, run, *values):
    return run.cut(run.evaluate(op, values)[k], op.outs[k].batched, window, op.outs[k].all_shape)


def _in_loops(op, k, window, times):
    """The rule within one iteration, for a window with a place in each loop in front."""
    lead = dict(zip(op.loops, window, strict=False))
    inner = window[len(op.loops) :]
    if any(span.size != 1 for span in lead.values()):
        raise Refused(f"{op.name} in several iterations at once")
    needs, compute = RULES[op.name](op, k, inner, times)
    needs = [
        None if need is None else (*(lead[loop] for loop in a.loops), *need)
        for a, need in zip(op.ins, needs, strict=True)
    ]

    def run_inner(run, *values):
        plain = [_without(v, len(a.loops), a.batched) for v, a in zip(values, op.ins, strict=True)]
        return _with(compute(run, *plain), len(op.loops), op.outs[k].batched)

    return needs, run_inner


def _without(value, number, batched):
    if value is None or not number:
        return value
    at = int(batched)
    return value.reshape(*value.shape[:at], *value.shape[at + number :])


def _with(value, number, batched):
    at = int(batched)
    return value.reshape(*value.shape[:at], *[1] * number, *value.shape[at:])


# one by one, and views
@rule(*codes.ELEMENTWISE, "copy_p")
def _(op, k, window, times):
    shape, n, wanted = op.outs[0].shape, len(times), sizes(window)
    if any(len(each.shape) not in (0, len(shape)) for each in op.ins):
        raise Refused(f"{op.name} of arrays of different rank")
    needs: list[Window | None] = []
    for each in op.ins:
        pairs = zip(window, each.shape, shape, strict=False)
        needs.append(tuple(fixed(0, 1, n) if m == 1 and full != 1 else s for s, m, full in pairs))
    long = [d for d, size in enumerate(wanted) if size != 1]

    def one(*each):  # as matrices for a batch, which XLA can add within a product
        flat = [a.reshape([a.shape[d] for d in long]) if a.ndim else a for a in each]
        return op.fn(*flat)[k].reshape(wanted)

    return needs, lambda run, *values: run.map(op.ins, one, *values)


@rule("broadcast_in_dim")
def _(op, k, window, times):
    source, dims = op.ins[0], op.params["broadcast_dimensions"]
    shape = op.outs[0].shape
    need = tuple(
        fixed(0, 1, len(times)) if n == 1 and shape[d] != 1 else window[d]
        for n, d in zip(source.shape, dims, strict=True)
    )
    return [need], lambda run, x: run.map(
        op.ins, lambda a: lax.broadcast_in_dim(a, sizes(window), dims), x
    )


@rule("transpose")
def _(op, k, window, times):
    order = op.params["permutation"]
    need = tuple(window[order.index(d)] for d in range(len(order)))
    return [need], lambda run, x: run.map(op.ins, lambda a: lax.transpose(a, order), x)


@rule("squeeze")
def _(op, k, window, times):
    gone = {d % len(op.ins[0].shape) for d in op.params["dimensions"]}
    rest = iter(window)
    need = tuple(
        fixed(0, 1, len(times)) if d in gone else next(rest) for d in range(len(op.ins[0].shape))
    )
    return [need], lambda run, x: run.map(op.ins, lambda a: a.reshape(sizes(window)), x)


@rule("reshape")
def _(op, k, window, times):
    if op.params.get("dimensions") is not None:
        raise Refused("a reshape that also transposes")
    before, after, n = op.ins[0].shape, op.outs[0].shape, len(times)
    need: list[Span] = []
    steps = []  # for each group of axes: the run of entries read, the run wanted and the box that it is
    for left, right in groups(before, after):
        if any(window[d].turn >= 0 for d in right):
            whose = [[d for d in side if n[d] > 1] for side, n in ((left, before), (right, after))]
            if [len(each) for each in whose] != [1, 1]:
                raise Refused("a reshape of turned places")
            (turned,) = whose[1]
            need += [window[turned] if before[d] > 1 else fixed(0, 1, n) for d in left]
            steps.append((window[turned], window[turned], [window[d] for d in right]))
            continue
        run_wanted, box = joined([window[d] for d in right], [after[d] for d in right], n)
        found = parted(run_wanted, [before[d] for d in left], n) if left else []
        run_read, found = joined(found, [before[d] for d in left], n)
        need += found
        steps.append((run_read, run_wanted, box))
    read = tuple(each[0] for each in steps)
    wanted = tuple(each[1] for each in steps)
    boxes = tuple(span for each in steps for span in each[2])

    def compute(run, x):
        flat = run.map(op.ins, lambda a: a.reshape(sizes(read)), x)
        flat = run.cut(flat, op.ins[0].batched, relative(wanted, read))
        boxed = run.map(op.ins, lambda a: a.reshape(sizes(boxes)), flat)
        return run.cut(boxed, op.ins[0].batched, relative(window, boxes))

    return [tuple(need)], compute


@rule("slice")
def _(op, k, window, times):
    strides = op.params["strides"] or (1,) * len(window)
    need = tuple(
        moved(s, first)
        if step == 1
        else moved(Span(moving(s.first * step).start, 0), first, (s.size - 1) * step + 1)
        for s, first, step in zip(window, op.params["start_indices"], strides, strict=True)
    )
    parts = tuple(slice(None, None, step) for step in strides)
    return [need], lambda run, x: run.map(op.ins, lambda a: a[parts], x)


@rule("rev")
def _(op, k, window, times):
    dims, shape = op.params["dimensions"], op.outs[0].shape
    need = tuple(
        moving(shape[d] - s.size - s.first, s.size) if d in dims else s
        for d, s in enumerate(window)
    )
    return [need], lambda run, x: run.map(op.ins, lambda a: lax.rev(a, dims), x)


@rule("split")
def _(op, k, window, times):
    d, parts = op.params["axis"], op.params["sizes"]
    need = (*window[:d], moved(window[d], int(sum(parts[:k]))), *window[d + 1 :])
    return [need], lambda run, x: x


# along whole axes
@rule(
    *("reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "reduce_prod"),
    *("reduce_xor", "argmax", "argmin"),
)
def _(op, k, window, times):
    rest, source = iter(window), op.ins[0]
    axes = op.params["axes"]
    need = tuple(
        fixed(0, n, len(times)) if d in axes else next(rest) for d, n in enumerate(source.shape)
    )
    blank = {"reduce_sum": codes.ZERO, "reduce_max": codes.LOW}.get(op.name)
    if blank is not None and len(axes) == 1 and not op.loops:
        (need,) = shortened([source], [need], axes, blank)
    return [need], lambda run, x: run.map(op.ins, lambda a: op.fn(a)[0], x)


@rule("cumsum", "cummax", "cumprod", "cummin", "cumlogsumexp", "sort", "top_k")
def _(op, k, window, times):
    d = op.params.get("axis", op.params.get("dimension", len(window) - 1)) % len(op.ins[0].shape)
    full = fixed(0, op.ins[0].shape[d], len(times))
    need = (*window[:d], full, *window[d + 1 :])
    part = tuple(s if e == d else fixed(0, s.size, len(times)) for e, s in enumerate(window))

    def compute(run, *each):
        out = run.map(op.ins, lambda *a: op.fn(*a)[k], *each)
        return run.cut(out, op.outs[k].batched, part)

    return [need] * len(op.ins), compute


@rule("dot_general")
def _(op, k, window, times):
    contract, batch = op.params["dimension_numbers"]
    rest = iter(window)
    shared = [next(rest) for _ in batch[0]]
    needs = []
    for each, summed, common in zip(op.ins, contract, batch, strict=True):
        need = []
        for d, n in enumerate(each.shape):
            full = fixed(0, n, len(times))
            need.append(
                shared[common.index(d)] if d in common else full if d in summed else next(rest)
            )
        needs.append(tuple(need))
    if len(contract[0]) == 1 and not op.loops:
        needs = shortened(op.ins, needs, [each[0] for each in contract], codes.ZERO)
    return needs, lambda run, *each: run.map(op.ins, lambda a, b: op.fn(a, b)[0], *each)
