"""Rules of what joins the iterations of loops that are laid out flat; see `zoo.derived.loops`."""

from __future__ import annotations

import jax.numpy as jnp

from zoo.derived.network.codes import ZERO
from zoo.derived.network.windows import Refused, fixed, moving, sizes
from zoo.derived.rules import rule


@rule("delay")
def _(op, k, window, times):
    """carry[k] = after[k - 1], or init where there is nothing before; along `axis`, from the other
    end if `reverse`."""
    after, first = op.ins
    axis, reverse = op.params["axis"], op.params["reverse"]
    length, span, step = op.outs[0].all_shape[axis], window[axis], 1 if reverse else -1
    if span.size != 1 or axis >= len(window):
        raise Refused(f"several iterations of its loop are wanted at once (scan, {op.line})")
    begins = span.first == (length - 1 if reverse else 0)
    source = moving(span.first + step)
    loops = op.outs[0].loops
    inside = dict(zip(loops, window, strict=False)) if op.params["loop"] is not None else {}
    tail = window[len(loops) :]
    if op.params["loop"] is None:  # a running sum
        need = (*window[:axis], source, *window[axis + 1 :])
        init = ()
    else:
        need = (
            *(source if loop is op.params["loop"] else inside[loop] for loop in after.loops),
            *tail,
        )
        init = (*(inside[loop] for loop in first.loops), *tail)
    shape, at_start = sizes(window), begins & times
    zeros = first.code is not None and bool((first.code == ZERO).all())

    def compute(run, value, start):
        start = run.fit(start, first.batched, op.outs[0].batched, shape)
        if not at_start.any() or (zeros and run.is_blank(after, at_start)):
            return run.fit(value, after.batched, op.outs[0].batched, shape)
        if value is None:
            return start
        at_first = run.at(span.start) == (length - 1 if reverse else 0)
        return jnp.where(at_first, start, run.fit(value, after.batched, op.outs[0].batched, shape))

    return [None if begins[times].all() else need, init], compute


@rule("enter_loop", "leave_loop")
def _(op, k, window, times):
    source, out = op.ins[0], op.outs[0]
    if op.name == "enter_loop" or (
        op.params["loop"] in source.loops and len(source.all_shape) == len(window)
    ):
        return [window], lambda run, value: value
    # What does not differ from iteration to iteration; its own loops are a part of those of the
    # output.
    lead = dict(zip(out.loops, window, strict=False))
    of_loop = window[len(out.loops)]
    inner = window[len(out.loops) + 1 :]
    need = (*(lead.get(loop, of_loop) for loop in source.loops), *inner)
    shape = sizes(window)
    if any(span.size != 1 for span in need[: len(source.loops)]):
        raise Refused(f"several iterations of its loop are wanted at once (scan, {op.line})")
    return [need], lambda run, value: run.fit(value, source.batched, out.batched, shape)


@rule("same")
def _(op, k, window, times):
    source, out = op.ins[0], op.outs[0]
    lead = dict(zip(out.loops, window, strict=False))
    need = (*(lead[loop] for loop in source.loops), *window[len(out.loops) :])
    return [need], lambda run, value: run.fit(value, source.batched, out.batched, sizes(window))


@rule("pick")
def _(op, k, window, times):
    """Iteration `at` of what a loop reads."""
    number = len(op.outs[0].loops)
    need = (*window[:number], fixed(op.params["at"], 1, len(times)), *window[number:])
    return [need], lambda run, value: run.fit(
        value, op.ins[0].batched, op.outs[0].batched, sizes(window)
    )


@rule("pile")
def _(op, k, window, times):
    """The outputs of all iterations of a loop, one above the other."""
    out = op.outs[0]
    number = len(out.loops)
    span, lead = window[number], dict(zip(out.loops, window, strict=False))
    if not span.start.constant:
        raise Refused(f"which iteration of its loop is wanted differs by rank (scan, {op.line})")
    used = range(int(span.first[0]), int(span.last[0]) + 1)
    rest = window[number + 1 :]
    needs = [
        (*(lead[each] for each in a.loops), *rest) if i in used else None
        for i, a in enumerate(op.ins)
    ]
    shape = (*sizes(window[:number]), 1, *sizes(rest))

    def compute(run, *each):
        parts = [run.fit(each[i], op.ins[i].batched, out.batched, shape) for i in used]
        return jnp.concatenate(parts, number + out.batched)

    return needs, compute


@rule("last")
def _(op, k, window, times):
    after, first = op.ins
    loop, out = op.params["loop"], op.outs[0]
    lead = dict(zip(out.loops, window, strict=False))
    lead[loop] = fixed(0 if loop.reverse else loop.length - 1, 1, len(times))
    tail, shape = window[len(out.loops) :], sizes(window)
    source = after if loop.length else first
    needs = [(*(lead[each] for each in a.loops), *tail) for a in op.ins]
    at = op.ins.index(source)
    return needs, lambda run, *values: run.fit(values[at], source.batched, out.batched, shape)
