"""Loops laid out flat, and the rules of what is left between their iterations.

delay       carry[k] = after[k - 1], or init before the first iteration
enter_loop  an array of L slices as what the iterations read; leave_loop what they write, as an
array of L slices last        what the last iteration leaves
pick, pile  the same for loops that do not follow the ranks: there is a copy of the body for each
  iteration
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from zoo.derived.network.graph import Array, Loop, Op, constant

LONGEST = 100  # a loop that is laid out as copies of its body
SUMS: dict[str, Callable[..., Any]] = {
    "cumsum": jax.lax.add, "cumprod": jax.lax.mul, "cummax": jax.lax.max, "cummin": jax.lax.min,
}  # fmt: skip


def lay_out(ops: Sequence[Op]) -> list[Op]:
    """The operations with every scan replaced by those of its body, between delays and links."""
    result: list[Op] = []
    for op in ops:
        if op.body is None:
            result += _running(op) if op.name in SUMS and _along_ranks(op) else [op]
            continue
        if not any(
            each.live for each in op.outs
        ):  # of weights or context alone: computed once, as it is
            result.append(dataclasses.replace(op, ins=op.params["all"], body=None))
            continue
        if _beside_ranks(op):
            result += _unrolled(op)
            continue
        body, num = op.body, op.params["num_carry"]
        init, stacked = op.ins[:num], op.ins[num:]
        for carry, after, first in zip(body.carries, body.after, init, strict=True):
            result.append(_link("delay", [after, first], carry, op, loop=body.loop))
        for inner, outer in zip(body.slices, stacked, strict=True):
            result.append(_link("enter_loop", [outer], inner, op, loop=body.loop))
        result += lay_out(body.ops)
        for out, after, first in zip(op.outs, [*body.after], init, strict=False):
            result.append(_link("last", [after, first], out, op, loop=body.loop))
        for out, inner in zip(op.outs[num:], body.outputs, strict=True):
            result.append(_link("leave_loop", [inner], out, op, loop=body.loop))
    return result


def _beside_ranks(op):
    """Whether the iterations of a short loop do not follow the ranks, as those over the layers of a
    network do not."""
    assert op.body is not None
    loop = op.body.loop
    if not 0 < loop.length <= LONGEST:
        return False
    for array in (*op.body.carries, *op.body.slices):
        if array.live and loop in array.loops:
            axis = array.loops.index(loop)
            latest = array.code.max(tuple(d for d in range(array.code.ndim) if d != axis))
            known = len(np.unique(latest))
            # Two layers may become known at two ranks; what two layers read does not.
            if known > 2 or (known == loop.length == 2 and array in op.body.slices):
                return False
    return True


def _unrolled(op: Op) -> list[Op]:
    """A loop as copies of its body, one for each iteration."""
    assert op.body is not None
    body, num, loop = op.body, op.params["num_carry"], op.body.loop
    result: list[Op] = []
    carry, rows = op.ins[:num], []
    laid_out = lay_out(body.ops)
    order = range(loop.length)
    for k in reversed(order) if loop.reverse else order:
        env: dict[Array, Array] = dict(zip(body.carries, carry, strict=True))
        for inner, outer in zip(body.slices, op.ins[num:], strict=True):
            env[inner] = _iteration(inner, loop, k)
            result.append(
                Op(
                    "pick",
                    lambda *_: [],
                    [outer],
                    {"at": k},
                    op.line,
                    env[inner].loops,
                    [env[inner]],
                )
            )
            env[inner].op = result[-1]
        for each in laid_out:
            loops = tuple(other for other in each.loops if other is not loop)
            copy = dataclasses.replace(
                each,
                ins=[env.get(a, a) for a in each.ins],
                loops=loops,
                params=dict(each.params),
                outs=[],
            )
            copy.outs = [env.setdefault(a, _iteration(a, loop, k)) for a in each.outs]
            for out in copy.outs:
                out.op = copy
                if each.name != "delay":
                    out.live = any(a.live for a in copy.ins)
                    out.batched = any(a.batched for a in copy.ins)
            if each.name == "delay" and each.params["loop"] is not None:
                copy.params["axis"] = copy.outs[0].loops.index(each.params["loop"])
            elif each.name == "delay":
                copy.params["axis"] -= 1
            result.append(copy)
        carry = [env.get(a, a) for a in body.after]
        rows.append([env.get(a, a) for a in body.outputs])
    rows = rows[::-1] if loop.reverse else rows
    for out, last in zip(op.outs, carry, strict=False):
        result.append(Op("same", lambda *_: [], [last], {}, op.line, out.loops, [out]))
        out.op = result[-1]
    for i, out in enumerate(op.outs[num:]):
        result.append(
            Op("pile", lambda *_: [], [row[i] for row in rows], {}, op.line, out.loops, [out])
        )
        out.op = result[-1]
    return result


def _iteration(array: Array, loop: Loop, k: int) -> Array:
    """What an array of a loop is in iteration k."""
    if loop not in array.loops:
        return dataclasses.replace(array, origin=(array, None, 0))
    axis = array.loops.index(loop)
    code = np.asarray(array.code.take(min(k, array.code.shape[axis] - 1), axis))
    value = None if array.value is None else np.asarray(array.value.take(k, axis))
    loops = tuple(each for each in array.loops if each is not loop)
    return dataclasses.replace(array, loops=loops, code=code, value=value, origin=(array, loop, k))


def _link(name, ins, out, scan, loop):
    axis = out.loops.index(loop) if name == "delay" else 0
    link = Op(
        name,
        lambda *_: [],
        ins,
        {"loop": loop, "axis": axis, "reverse": loop.reverse},
        scan.line,
        out.loops,
        [out],
    )
    out.op = link
    return link


def _along_ranks(op):
    return op.outs[0].live and op.outs[0].code.shape[op.params["axis"] + len(op.loops)] > 1


def _running(op):
    """A running sum along an axis whose places become final one by one: sum[k] = sum[k - 1] +
    x[k]."""
    (x,), (total,), reverse = op.ins, op.outs, op.params["reverse"]
    axis, length = (
        op.params["axis"] + len(op.loops),
        total.all_shape[op.params["axis"] + len(op.loops)],
    )
    neutral = {"cumsum": 0, "cumprod": 1}.get(op.name)
    if neutral is None:
        info = np.finfo if np.dtype(x.dtype).kind == "f" else np.iinfo
        neutral = info(x.dtype).min if op.name == "cummax" else info(x.dtype).max
    places = np.clip(np.arange(length) + (1 if reverse else -1), 0, length - 1)
    before = Array(
        total.shape,
        total.dtype,
        None,
        total.loops,
        None,
        total.code.take(places, axis),
        True,
        total.batched,
    )
    params = {"loop": None, "axis": axis, "reverse": reverse}
    delay = Op(
        "delay",
        lambda *_: [],
        [total, constant(neutral, total.dtype)],
        params,
        op.line,
        op.loops,
        [before],
    )
    before.op = delay
    add = Op("add", lambda a, b: [SUMS[op.name](a, b)], [before, x], {}, op.line, op.loops, [total])
    total.op = add
    return [delay, add]
