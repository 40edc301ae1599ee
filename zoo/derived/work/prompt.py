"""A prompt in one pass: the params of the first n ranks, and the buffers as n steps leave them.

The network runs once, on as much as n ranks need. Backwards from the params and from what the
buffers hold, every array collects the box that is asked for; forwards each box is computed once, by
the same rules as in a step. A loop runs over the iterations that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network.bodies import inside, read_from_outside
from zoo.derived.network.graph import Array, Body, Loop, Op
from zoo.derived.network.windows import Refused, Span, Window, fixed, relative, sizes, whole
from zoo.derived.rules import follow
from zoo.derived.work.memory import Buffer
from zoo.derived.work.program import Program, in_network, in_parts
from zoo.derived.work.run import Run

ONCE = np.ones(1, bool)  # windows have one rank here


class Prompt(Run):
    """The network on the first n ranks.

    Attributes:
      ops: its operations, loops not laid out.
      boxes: the part of each array that is computed; within loops, the arrays that buffers hold.
      values: these parts.
    """

    def __init__(
        self,
        program: Program,
        ops: Sequence[Op],
        known: dict[Array, Any],
        prepared: dict,
        x: Any,
        n: int,
    ):
        # The tick behind that of the last rank: what is known then is known of the prompt.
        ticks = program.plan.clock.of_ranks[:n]
        super().__init__(program, known, dict(prepared), len(x), x, ticks[-1] + 1, {})
        self.ops, self.n = [*in_parts(ops, program.plan.parts)], n
        self.ticks, self.end = ticks, int(ticks[-1]) + 1
        self.boxes: dict[Array, Window] = {}
        self.values: dict[Array, Any] = {}

    def run(self) -> tuple[Any, tuple]:
        """The params [batch, n, num_params] of the first n ranks, and the buffers after n steps."""
        plan, held = self.program.plan, {}
        wanted = tuple(_covered(span, self.ticks) for span in plan.goal)
        self._ask(plan.output, wanted)
        for array, buffer in self.program.buffers.items():
            window = self._held(buffer)
            held[array] = window
            if window is not None:
                self._ask(*in_network(array, window))
        for op in reversed(self.ops):
            self._ask_inputs(op)
        for op in self.ops:
            self._run(op)
        value = self.read(plan.output, wanted)  # [batch, 1, sites..., num_params]
        value = value if plan.output.batched else value[None]
        places = [
            span.first[self.ticks] - int(box.first[0])
            for span, box in zip(plan.goal[1:], wanted[1:], strict=True)
            if span.size == 1 or not span.start.constant
        ]
        params = value[(slice(None), 0, *places)].reshape(len(value), self.n, -1)
        params = jnp.broadcast_to(params, (self.batch, *params.shape[1:]))
        return params, tuple(
            buffer.zeros(self.batch)
            if held[array] is None
            else self._filled(buffer, held[array], buffer.zeros(self.batch))
            for array, buffer in self.program.buffers.items()
        )

    # --------------------------------------------------------------------------------------------
    # what buffers hold
    def _held(self, buffer: Buffer) -> Window | None:
        """The box of what n steps know of an array and its buffer still holds."""
        array = buffer.array
        final = array.code <= self.end
        if not final.any():
            return None
        window = []
        for d, length in enumerate(array.all_shape):
            at = np.flatnonzero(final.any(tuple(e for e in range(final.ndim) if e != d)))
            low, end = (0, length) if final.shape[d] == 1 else (int(at[0]), int(at[-1]) + 1)
            if d == buffer.ring:
                newest = int(self.program.plan.at[array].window[d].first[self.end - 1])
                low, end = max(0, newest - buffer.slots + 1), newest + 1
            window.append(fixed(low, end - low, 1))
        return tuple(window)

    def _filled(self, buffer, window, blank):
        array = buffer.array
        source, part = in_network(array, window)
        if source not in self.values:
            raise Refused(f"{array.all_shape} is remembered, and no part of the network")
        value = self.read(source, part).reshape(self.batch, *sizes(window))
        parts = tuple(
            slice(None) if n == 1 else slice(int(s.first[0]), int(s.last[0]) + 1)
            for n, s in zip(array.code.shape, window, strict=True)
        )
        final = array.code[parts] <= self.end
        if not final.all():
            value = jnp.where(
                final[None], value, jnp.zeros((), value.dtype).reshape([1] * value.ndim)
            )
        return buffer.filled(self, window, value, blank)

    # --------------------------------------------------------------------------------------------
    # backwards
    def _ask(self, array: Array, window: Window | None) -> None:
        if window is None or not array.live or array is self.program.plan.canvas:
            return
        spans = []
        for d, (span, n) in enumerate(zip(window, array.all_shape, strict=True)):
            low, end = max(0, int(span.first[0])), min(n, int(span.last[0]) + 1)
            if end <= low:
                return
            if array in self.boxes:
                old = self.boxes[array][d]
                low, end = min(low, int(old.first[0])), max(end, int(old.last[0]) + 1)
            spans.append(fixed(low, end - low, 1))
        self.boxes[array] = tuple(spans)

    def _ask_inputs(self, op: Op) -> None:
        if op.body is None:
            for k, array in enumerate(op.outs):
                if array in self.boxes:
                    needs = follow(op, k, self.boxes[array], ONCE)[0]
                    for each, need in zip(op.ins, needs, strict=True):
                        self._ask(each, need)
            return
        first, number = self._iterations(op)
        if not number:
            return
        num = op.params["num_carry"]
        for i, each in enumerate(op.ins):
            window = whole(each.all_shape, 1)
            self._ask(each, window if i < num else (fixed(first, number, 1), *window[1:]))
        for each in read_from_outside(op.body):
            self._ask(each, whole(each.all_shape, 1))

    def _iterations(self, op: Op) -> tuple[int, int]:
        """The first of the iterations that are asked for, and their number."""
        assert op.body is not None
        num, loop = op.params["num_carry"], op.body.loop
        spans = [self.boxes[each][0] for each in op.outs[num:] if each in self.boxes]
        for each in self._kept(op.body):
            at = each.loops.index(loop) if loop in each.loops else None
            spans.append(fixed(0, 1, 1) if at is None else self.boxes[each][at])
        if any(each in self.boxes for each in op.outs[:num]):
            spans.append(fixed(0, loop.length, 1))
        if not spans:
            return 0, 0
        if loop.reverse:
            first = min(int(each.first[0]) for each in spans)
            return first, loop.length - first
        return 0, max(int(each.last[0]) for each in spans) + 1

    def _kept(self, body: Body) -> list[Array]:
        """The arrays in a body that buffers hold."""
        return [each for each in inside(body) if each in self.boxes]

    # --------------------------------------------------------------------------------------------
    # forwards
    def read(self, array: Array, window: Window, early: bool = False) -> Any:
        """A window of an array outside of loops, or of one that a buffer holds."""
        if array.value is not None or not array.live or array is self.program.plan.canvas:
            return super().read(array, window)
        if array not in self.values:  # it lies outside of the array
            return jnp.zeros((self.batch, *sizes(window)), array.dtype)
        return self.cut(self.values[array], array.batched, relative(window, self.boxes[array]))

    def _run(self, op: Op) -> None:
        if op.body is not None:
            self._run_loop(op)
            return
        for k, array in enumerate(op.outs):
            if array not in self.boxes:
                continue
            window = self.boxes[array]
            needs, compute = follow(op, k, window, ONCE)
            pairs = zip(op.ins, needs, strict=True)
            value = compute(
                self, *(None if need is None else self.read(each, need) for each, need in pairs)
            )
            self.values[array] = value.reshape(self.batch, *sizes(window))

    def _run_loop(self, op: Op) -> None:
        assert op.body is not None
        first, number = self._iterations(op)
        if not number:
            return
        num = op.params["num_carry"]
        ins = []
        for i, each in enumerate(op.ins):
            window = whole(each.all_shape, 1)
            ins.append(
                self.read(each, window if i < num else (fixed(first, number, 1), *window[1:]))
            )
        kept = self._kept(op.body)
        env: dict[Array, Any] = {}
        self._scan(op, ins, env, {}, first, number, kept)
        for array in (*op.outs, *kept):
            if array.live:
                self.values[array], window = env[array], whole(array.all_shape, 1)
                if array in op.outs[num:] or op.body.loop in array.loops:
                    window = (fixed(first, number, 1), *window[1:])
                self.boxes[array] = window

    def _scan(self, op, ins, env, places, first, number, kept):
        """Adds the outputs of a loop, and its arrays `kept` for all iterations, to `env`."""
        body, num = op.body, op.params["num_carry"]
        carry = [
            self._with_batch(value, outer, inner)
            for value, outer, inner in zip(ins, op.ins, body.carries, strict=False)
        ]
        slices = [
            jnp.moveaxis(value, 1, 0) if outer.batched else value
            for value, outer in zip(ins[num:], op.ins[num:], strict=True)
        ]

        def iteration(carry, each):
            k, rows = each
            inner = {
                **env,
                **dict(zip((*body.carries, *body.slices), (*carry, *rows), strict=True)),
            }
            at = {**places, body.loop: k}
            for one in body.ops:
                self._run_within(one, inner, at, kept)
            after = [
                self._with_batch(self._get(a, inner, at), a, carried)
                for a, carried in zip(body.after, body.carries, strict=True)
            ]
            outputs = [self._get(a, inner, at) for a in body.outputs]
            return after, (outputs, [inner[a] for a in held])

        held = [a for a in kept if a in set(inside(body))]
        at = jnp.arange(first, first + number)
        last, (outputs, values) = lax.scan(
            iteration, carry, (at, slices), reverse=body.loop.reverse
        )
        env.update(zip(op.outs, last, strict=False))
        for out, a, value in zip(op.outs[num:], body.outputs, outputs, strict=True):
            value = jnp.moveaxis(value, 0, 1) if a.batched else value
            env[out] = self._with_batch(value, a, out)
        for a, value in zip(held, values, strict=True):
            stacked = jnp.moveaxis(value, 0, 1) if a.batched else value
            env[a] = stacked if body.loop in a.loops else value[0]

    def _run_within(self, op: Op, env: dict, places: dict[Loop, Any], kept: list[Array]) -> None:
        """An operation in one iteration of the loops around it."""
        values = [self._get(a, env, places) for a in op.ins]
        if op.body is not None:
            self._scan(op, values, env, places, 0, op.body.loop.length, kept)
            return
        axes = [0 if a.batched else None for a in op.ins]
        outs = jax.vmap(op.fn, axes)(*values) if 0 in axes else op.fn(*values)
        env.update(zip(op.outs, outs, strict=True))

    def _get(self, array, env, places):
        if array in env:
            return env[array]
        if array.value is None and array.live:
            return self.read(array, whole(array.all_shape, 1))
        value = self.known[array] if array.value is None else jnp.asarray(array.value)
        for loop in array.loops:
            value = lax.dynamic_index_in_dim(value, places[loop], int(array.batched), False)
        return value

    def _with_batch(self, value, source, target):
        if source.batched or not target.batched:
            return value
        return jnp.broadcast_to(value[None], (self.batch, *value.shape))


def _covered(span: Span, ticks: np.ndarray) -> Span:
    """All that a span covers at these ticks."""
    low = int(span.first[ticks].min())
    return fixed(low, int(span.last[ticks].max()) + 1 - low, 1)
