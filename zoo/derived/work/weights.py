"""What depends on weights and context alone, computed once before the first rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from zoo.derived.network.graph import Array, Op
from zoo.derived.network.windows import Refused, Window
from zoo.derived.rules import LINKS


def evaluate(op: Op, values: Sequence[Any]) -> list:
    """All outputs of an operation for all examples and all iterations of its loops."""
    function = _over_loops(op)
    axes = [0 if each.batched else None for each in op.ins]
    return list((jax.vmap(function, axes) if 0 in axes else function)(*values))


def _over_loops(op: Op) -> Callable:
    """The operation over the loops' axes in front of its inputs."""
    function = op.fn
    for depth in reversed(range(len(op.loops))):
        loop = op.loops[depth]
        axes = [0 if loop in each.loops else None for each in op.ins]
        function = jax.vmap(function, axes)
    return function


def constants(
    ops: Sequence[Op], inputs: Sequence[Array], values: Sequence[Any]
) -> dict[Array, Any]:
    """All that depends on weights and context alone."""
    known: dict[Array, Any] = dict(zip(inputs, values, strict=True))
    for op in ops:
        if any(each.live for each in op.outs) or all(each.value is not None for each in op.outs):
            continue
        if op.name in LINKS:
            known[op.outs[0]] = _linked(op, known)
            continue
        ins = [known[each] if each.value is None else jnp.asarray(each.value) for each in op.ins]
        known.update(zip(op.outs, evaluate(op, ins), strict=True))
    return known


def part(value: Any, batched: bool, window: Window) -> Any:
    """A part of weights, the same at every rank."""
    starts = [0] * batched + [int(span.first[0]) for span in window]
    ends = [*value.shape[: int(batched)], *(int(span.last[0]) + 1 for span in window)]
    return lax.slice(value, starts, ends)


def _linked(op, known):
    source = op.ins[0]
    value = known[source] if source.value is None else jnp.asarray(source.value)
    out, offset = op.outs[0], int(source.batched)
    if op.name == "enter_loop" or source.all_shape == out.all_shape:
        return value
    if op.name == "pick":
        return lax.index_in_dim(value, op.params["at"], offset + len(out.loops), keepdims=False)
    if op.name in ("same", "pile") or any(
        loop not in (*source.loops, op.params["loop"]) for loop in out.loops
    ):
        raise Refused(f"a loop over weights alone within another ({op.line})")
    loop = op.params["loop"]
    if op.name == "leave_loop" and loop not in source.loops:
        at = offset + len(out.loops)
        return jnp.broadcast_to(jnp.expand_dims(value, at), (*value.shape[:offset], *out.all_shape))
    if op.name == "last" and loop in source.loops:
        return lax.index_in_dim(
            value,
            0 if loop.reverse else loop.length - 1,
            offset + source.loops.index(loop),
            keepdims=False,
        )
    return value
