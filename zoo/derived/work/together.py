"""Products that are alike and known as a rank begins: one operation computes those of all layers.

What a layer's taps to the left add is such a product. Alone each would be a kernel of a GPU, and
another that cuts its input out of a buffer.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.derived.network import codes
from zoo.derived.network.graph import Array, Op
from zoo.derived.network.windows import Window
from zoo.derived.parts import ALIKE
from zoo.derived.plan import Plan
from zoo.derived.rules import PRODUCTS, VIEWS, follow

Read = tuple[Array, Window]
THROUGH = {*codes.ELEMENTWISE, *VIEWS, "copy_p"}


@dataclasses.dataclass(eq=False, repr=False)
class Together:
    """Products that are computed together.

    Attributes:
      ops: the products.
      reads: the windows of arrays that are read for them.
      window: of their outputs.
      times: the ranks at which they are wanted.
    """

    ops: list[Op]
    reads: list[Read]
    window: Window
    times: np.ndarray

    def weights(self, known: dict[Array, Any], prepared: dict[Op, Any]) -> Any:
        """What they multiply by, side by side."""
        return jnp.stack([prepared.get(op, known[op.ins[1]]) for op in self.ops])

    def compute(self, run: Any, weights: Any) -> dict[Op, Any]:
        """The window of each output."""
        one, inputs = self.ops[0], [op.ins[0] for op in self.ops]
        (need, _), compute = follow(one, 0, self.window, self.times)
        shelf = run.program.shelf_of.get(inputs[0])
        if shelf is not None and [each.array for each in shelf.buffers] == inputs:
            values = shelf.load(run, run.kept[shelf], need)  # one slice of all
        else:
            values = jnp.stack([run.read(each, need) for each in inputs])

        def product(value, weights):
            inner = run.inside()
            inner.prepared_values = {**run.prepared_values, one: weights}
            return compute(inner, value, weights)

        values = jax.vmap(product)(values, weights)
        return {op: values[i] for i, op in enumerate(self.ops)}


def together(plan: Plan) -> list[Together]:
    """The products of a plan that are computed together."""
    groups: dict[Any, Together] = {}
    for op in plan.ops:
        if op.name not in PRODUCTS or op.loops or op.outs[0] in plan.at:
            continue
        weights = op.ins[1]
        demands = [*plan.demands.get(op.outs[0], {}).values()]
        if weights.live or weights.batched or weights.loops or len(demands) != 1:
            continue
        (demand,) = demands
        if demand.frame != "step" or demand.early or (plan.steps & ~demand.times).any():
            continue
        need, full = follow(op, 0, demand.window, demand.times)[0]
        reads = None if need is None else _reads(plan, op.ins[0], need, demand.times)
        if not reads:
            continue
        params = tuple(sorted((name, str(value)) for name, value in op.params.items()))
        shapes = op.ins[0].all_shape, weights.all_shape
        key = (op.name, params, shapes, weights.code.tobytes(), demand.window, need, full)
        group = groups.setdefault(key, Together([], [], demand.window, demand.times))
        group.ops.append(op)
        group.reads += reads
    return [each for each in groups.values() if len(each.ops) >= ALIKE]


def _reads(plan: Plan, array: Array, window: Window, times: np.ndarray) -> list[Read] | None:
    """What is read for a window of what was remembered before the rank; None if that is not all."""
    if not array.live or array.value is not None:
        return []
    schedule = plan.at.get(array)
    if schedule is not None:
        spans = zip(window, schedule.window, strict=True)
        older = [(a.last < b.first)[times].all() for a, b in spans if a.turn < 0]
        return [(array, window)] if schedule.frame == "step" and any(older) else None
    op = array.op
    if op is None or op.name not in THROUGH or op.loops:
        return None
    needs, _ = follow(op, op.outs.index(array), window, times)
    pairs = zip(op.ins, needs, strict=True)
    found = [_reads(plan, each, need, times) for each, need in pairs if need is not None]
    return None if None in found else [each for some in found for each in some or []]
